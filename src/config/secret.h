/*
 * Secrets as the configuration names them: "env:NAME", "file:PATH" (relative to the file that names it), or
 * the secret itself, which is warned about. What `why` says never holds any of it.
 */
#ifndef TOLLGATE_CONFIG_SECRET_H
#define TOLLGATE_CONFIG_SECRET_H

#include <stdbool.h>
#include "base/arena.h"

enum secret_kind { SECRET_LITERAL, SECRET_ENV, SECRET_FILE };

enum { SECRET_BYTES_MAX = 16384 };

struct secret {
        enum secret_kind kind;
        const char *value;   /* NULL: it could not be had */
        const char *why;     /* then: the reason */
        const char *path;    /* SECRET_FILE: where it was looked for */
        bool open_to_others; /* SECRET_FILE: any user of the machine can read or write it */
};

/* folder: of the file that names it; NULL: the current one. All text goes to the arena. */
void secret_resolve(struct arena *a, const char *text, const char *folder, struct secret *out);
/* Which of the three, without looking. */
enum secret_kind secret_kind(const char *text);
/* May any user of the machine read or write this file? False also when it can't be asked. */
bool secret_file_is_open(const char *path);

#endif
