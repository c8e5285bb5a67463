/*
 * Growable bytes with a mandatory cap. Writers are sticky: after the cap is passed or a write fails, `failed`
 * is set, later writes do nothing, and the caller looks once at the end. Out of memory aborts (the web server
 * restarts us). The contents are always NUL-terminated; the NUL is not counted in `len`.
 */
#ifndef TOLLGATE_BASE_BUF_H
#define TOLLGATE_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/str.h"

struct buf {
        char *data;
        size_t len;
        size_t size; /* allocated bytes */
        size_t max;  /* cap of len */
        bool failed; /* sticky: a write would have passed the cap */
};

void buf_init(struct buf *b, size_t max);
/* Released with the arena. */
void buf_init_in_arena(struct buf *b, struct arena *a, size_t max);
struct buf *buf_in_arena(struct arena *a, size_t max); /* itself in the arena, too */
void buf_release(struct buf *b); /* frees the contents; the struct may be initialised again */
void buf_reset(struct buf *b);   /* empty again, memory and cap kept, `failed` cleared */
bool buf_reserve(struct buf *b, size_t more);
bool buf_add(struct buf *b, const void *bytes, size_t len);
bool buf_adds(struct buf *b, const char *cstring);
bool buf_add_str(struct buf *b, struct str s);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vaddf(struct buf *b, const char *fmt, va_list ap);
void buf_drop_front(struct buf *b, size_t len); /* forgets the first len bytes */
/* Reads the whole of a file; false and errno when it can't be read, EFBIG when it is beyond the cap. */
bool buf_read_file(struct buf *b, const char *path);

#endif
