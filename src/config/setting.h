/*
 * The table of settings: one row for each, with its type, range, default and milestone, and where its value
 * is kept. The reader (read.c), the checks and the manual page follow it.
 */
#ifndef TOLLGATE_CONFIG_SETTING_H
#define TOLLGATE_CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"

enum setting_type {                  /* what is kept at `place`; at `place2` */
                    SETTING_BOOL,    /* bool */
                    SETTING_TRI,     /* enum tri, from a boolean */
                    SETTING_INT,     /* int64_t */
                    SETTING_NUMBER,  /* double */
                    SETTING_SECONDS, /* int64_t, milliseconds */
                    SETTING_SIZE,    /* int64_t, bytes; 1048576, or "1M" */
                    SETTING_STRING,  /* const char * */
                    SETTING_SECRET,  /* const char *, as written; never shown (config/secret.h) */
                    SETTING_STRINGS, /* const char *const *; size_t */
                    SETTING_SHARES,  /* const int64_t *, millionths in ascending order; size_t */
                    SETTING_WORD,    /* one of `words`, as an enum */
                    SETTING_CHOICE,  /* one of `words`, as const char * */
                    SETTING_WORDS,   /* a list of `words`, as bits; bool whether it was given */
                    SETTING_DATE,    /* const char *; "2026-11-01" */
                    SETTING_EXPIRY,  /* int64_t: a date, as the unix seconds of its end in UTC */
                    SETTING_TIME,    /* const char *; "2026-11-22T10:00:00Z" */
                    SETTING_ZONE,    /* const char *; a name of the time zone database */
                    SETTING_SHA256,  /* uint8_t[32], from 64 hex digits */
                    SETTING_HEDGE,   /* struct config_hedge: "off", "p95", seconds */
                    SETTING_PRICE,   /* int64_t, millionths; -1: not said */
                    SETTING_FIELDS,  /* const struct config_field *; size_t */
                    SETTING_GROUP,   /* `group`, kept in a struct at `place` */
                    SETTING_LIST,    /* a list of `group`, kept as an array of structs; size_t */
                    SETTING_TYPES
};

struct setting_word {
        const char *name; /* NULL ends a table */
        int value;
};

struct setting {
        const char *name;
        enum setting_type type;
        int milestone; /* 2 to 4: known and checked, not in force yet; 0: in force */
        bool required;
        double min, max;      /* of numbers, seconds, sizes; max 0: no range */
        const char *fallback; /* the default, as text; NULL: absent, 0 or empty */
        const struct setting_word *words;
        const struct setting_group *group;
        const char *(*check)(const char *value); /* of strings: what is wrong ("is no …"), or NULL */
        const char *only;                        /* `in force` all the same when it has this value */
        size_t place, place2;                    /* 1 + offset within the struct of the group; 0: not kept */
};

struct setting_group {
        const char *title; /* as in the manual: "providers" */
        const struct setting *settings;
        size_t count; /* at most 64 */
        size_t size;  /* of one element's struct, for lists */
};

extern const struct setting_group setting_root;      /* the main file: struct config */
extern const struct setting_group setting_catalogue; /* the shipped catalogue file: struct config */
extern const struct setting_group setting_prices;    /* the shipped price list: struct config */

/* Fields of `set` and `default`: openai's names. */
struct setting_field {
        const char *name;
        int type; /* of struct config_field */
        double min, max;
        const struct setting_word *words;
};
extern const struct setting_field setting_fields[];
extern const size_t setting_field_count;

const struct setting *setting_find(const struct setting_group *g, const char *name);

/* ---- values (value.c): pure ---- */
bool value_size(const char *text, int64_t *bytes); /* "32M", "4k", "100" */
bool value_date(const char *text, int64_t *end);   /* "2026-11-01"; the unix seconds of the day's end */
bool value_time(const char *text);                 /* "2026-11-22T10:00:00Z" */
bool value_sha256(const char *text, uint8_t out[32]);
bool value_hedge(const char *text, struct config_hedge *out); /* "off", "p50" to "p99", "2.5" */
const char *value_zone(const char *text);                     /* what is wrong, or NULL */
const char *value_name(const char *text);                     /* 1 to 64 of [A-Za-z0-9._-] */
const char *value_id(const char *text);         /* an upstream model's id, or a pattern of such */
const char *value_filled(const char *text);     /* not empty */
const char *value_line(const char *text);       /* no control characters */
const char *value_url(const char *text);        /* http(s)://host[:port][/path] */
const char *value_proxy(const char *text);      /* http, https, socks5, socks5h */
const char *value_origin(const char *text);     /* scheme://host[:port] */
const char *value_peer(const char *text);       /* an address or a CIDR block */
const char *value_fetch_host(const char *text); /* a host or an address, maybe with a port, or a CIDR block */
const char *value_absolute(const char *text);   /* "" or an absolute path */
const char *value_mount(const char *text);      /* "" or "/path", no slash at its end */
const char *value_header_name(const char *text);
const char *value_currency(const char *text); /* three capitals */

#endif
