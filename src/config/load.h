/* What the parts of loading share (config.c, source.c, report.c, read.c, check*.c, watch.c); not for other
 * floors. */
#ifndef TOLLGATE_CONFIG_LOAD_H
#define TOLLGATE_CONFIG_LOAD_H

#include <libconfig.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/setting.h"

/* ---- problems (report.c) ---- */
struct problems {
        struct arena *arena;
        struct config_problem *list;
        size_t count, size, errors;
};
void problem_add(struct problems *p, bool warning, const char *file, int line, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));
void problem_vadd(struct problems *p, bool warning, const char *file, int line, const char *fmt, va_list ap);
/* Sorted, in memory of the report's own. */
void problems_pack(const struct problems *p, struct config_report *report);

/* ---- the files a configuration was made of, as they were when read (stamp.c) ---- */
struct stamp {
        char *path;
        bool there;
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec modified;
};
struct stamps {
        struct stamp *list;
        size_t count, size;
};
void stamps_add(struct stamps *s,
                const char *path); /* before the file is read, so that no change is missed */
bool stamps_changed(const struct stamps *s);
void stamps_release(struct stamps *s);

/* ---- text with its includes put in, and where each line came from (source.c) ---- */
struct source_line {
        const char *file;
        int line;
};
struct source_swap {
        const char *path, *text; /* NULL: no file is replaced */
};
struct source {
        struct arena *arena; /* of file names */
        struct problems *problems;
        struct stamps *stamps;
        struct buf text;
        struct source_line *lines; /* lines[i]: where line i + 1 of the text came from */
        size_t count, size;
        bool broken;             /* could not be read whole */
        const char *pins;        /* the included file named pins.conf, or NULL */
        struct source_swap swap; /* to be read in place of a file */
};
/* Reports what is wrong; false when the text is of no use. missing_is_fine: an absent file gives a warning
 * and false. An included pins.conf need not be there: the first pin makes it. */
bool source_read(struct source *s, const char *path, bool missing_is_fine);
void source_release(struct source *s);
/* file and line of a line of the text. */
struct source_line source_where(const struct source *s, unsigned line);

/* ---- loading ---- */
struct loader {
        struct arena *arena; /* of the tree */
        struct problems *problems;
        const struct source *source; /* of the document being read or checked */
        struct stamps *stamps;
        struct source_swap swap;
        struct config *config;
};
/* At the place of a setting. */
void load_error(struct loader *l, const config_setting_t *at, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void load_warning(struct loader *l, const config_setting_t *at, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Folder of the file in which a setting stands. */
const char *load_folder(struct loader *l, const config_setting_t *at);
/* '; did you mean "x"?', or "" when no candidate is near. */
struct nearest {
        const char *name, *best;
        unsigned distance;
};
void nearest_init(struct nearest *n, const char *name);
void nearest_offer(struct nearest *n, const char *candidate);
const char *nearest_text(struct loader *l, const struct nearest *n);
/* A setting that the group does not have, with the name that may be meant or the place where it belongs. */
void load_unknown(struct loader *l, const config_setting_t *at, const struct setting_group *g);

/* Reads a group by its table into base (NULL: only checks it). at NULL: absent, only defaults are written. */
void read_group(struct loader *l, const config_setting_t *at, const struct setting_group *g, void *base);
/* `set` and `default` (fields.c). */
void read_fields(struct loader *l, const config_setting_t *at, const struct config_field **out,
                 size_t *count);
bool read_field_known(const char *name);
/* A printable, short form of a setting's type: "a string". */
const char *read_type(const config_setting_t *at);
/* A number written either way, when it is whole or a number is wanted. */
bool read_whole(const config_setting_t *at, int64_t *out);
bool read_number(const config_setting_t *at, double *out);

/* What the table can't say: names that point somewhere, what fits together (check.c, check_models.c,
 * check_pins.c, check_limits.c). */
void check_config(struct loader *l, const config_setting_t *root);
void check_models(struct loader *l, const config_setting_t *root);
void check_pins(struct loader *l, const config_setting_t *root);
void check_limits(struct loader *l, const config_setting_t *root);
/* Prices, rates, currencies, alerts (check_money.c); the price rows alone, of the shipped list too. */
void check_money(struct loader *l, const config_setting_t *root);
void check_prices(struct loader *l, const config_setting_t *root);
/* The value of "env:NAME", "file:PATH" or the text itself; NULL: *why. (check.c) */
const char *check_secret(struct loader *l, const config_setting_t *at, const char *text, const char **why);
/* A version of the model by the name that a setting gives; an error and NULL where there is none. */
const struct config_version *check_need_version(struct loader *l, const config_setting_t *at,
                                                const char *setting, const struct config_model *m,
                                                const char *name);

/* As config_load, and notes the files in stamps (NULL: doesn't). */
const struct config *load_stamped(const char *path, struct config_report *report, struct stamps *stamps);

#endif
