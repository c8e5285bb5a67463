/*
 * JSON (RFC 8259) over json-c, made safe for hostile bytes. json-c keeps the last of two equal keys, cuts
 * keys at NUL, replaces lone surrogates and makes a gigabyte of 32 MB of brackets; so json_scan() looks
 * first: valid UTF-8 and JSON, no duplicate keys, bounded depth and nodes. Then: reading   struct
 * json_reader: checked getters over a tree, which name the path of what is wrong spans     json_members():
 * where the members of an object stand in the text, for patches (dialect/patch.h) writing   struct
 * json_writer: a scope stack, so that broken JSON cannot be written
 */
#ifndef TOLLGATE_BASE_JSON_H
#define TOLLGATE_BASE_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 64, JSON_NODES_MAX = 200000 };

enum json_source {
        JSON_FROM_CLIENT,   /* strict: duplicate keys, \u0000, lone surrogates are errors */
        JSON_FROM_PROVIDER, /* those three are let through (json-c makes the best of them); the bounds hold */
};

struct json_fault {
        size_t offset;    /* byte where it went wrong */
        const char *what; /* static text: "duplicate key", "more than 64 levels", … */
        char key[64];     /* the key concerned, escaped and cut, or "" */
};

bool json_scan(const char *text, size_t len, enum json_source source, struct json_fault *fault);

/*
 * About what the tree of a text and all that is made of it take, in bytes: json-c gives each object a table
 * of 16 places, so that 600 KB of "{}," become 150 MB. 0: not JSON, or so little that it is not worth a scan.
 */
size_t json_tree_bytes(const char *text, size_t len);

/* Scan and parse. The tree is released with the arena. NULL and err (ERR_BAD_REQUEST, "line 3, column 7: …")
 * if bad. */
json_object *json_parse(struct arena *a, const char *text, size_t len, enum json_source source,
                        struct err *err);

/* ---- spans ---- */
struct json_member {
        const char *key; /* between the quotes, as written */
        size_t key_len;
        const char *value; /* first byte of the value */
        size_t value_len;
        const char *start; /* the opening quote of the key */
};

/* Members of the object in already scanned text (leading space is skipped). Returns the count, which may be
 * larger than max (then only max were written); SIZE_MAX when it is no object. */
size_t json_members(const char *text, size_t len, struct json_member *out, size_t max);

/* ---- reading ---- */
/* Where we are, as a chain on the stack: text is only made when there is an error. Path text:
 * messages[2].content[0].type */
struct json_path {
        const struct json_path *up;
        const char *key; /* NULL: an array element */
        size_t index;
};

struct json_reader {
        struct arena *arena;
        struct err *err; /* sticky: getters after an error do nothing and return false */
};

/* Path of `at` and then key (NULL: at itself), in the reader's arena. "" for the root. */
const char *json_path_text(struct arena *a, const struct json_path *at, const char *key);
/* Reports ERR_BAD_REQUEST at the path: "messages[2].role: expected …". Returns false. */
bool json_fail(struct json_reader *r, const struct json_path *at, const char *key, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/*
 * Optional members: true when the member is there, not null, and of the type asked for; then *out is written.
 * A missing or null one gives false and no error; a wrong type gives false and the error. `need` versions
 * report a missing member. Strings must hold no NUL in the const char * forms. Integers accept 5 and 5.0;
 * numbers accept both.
 */
bool json_get_string(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     const char **out);
bool json_get_str(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                  struct str *out);
bool json_get_int(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                  int64_t min, int64_t max, int64_t *out);
bool json_get_number(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     double min, double max, double *out);
bool json_get_bool(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                   bool *out);
bool json_get_object(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     json_object **out);
bool json_get_array(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                    json_object **out);
/* Any type but null. Never an error. */
bool json_get_any(json_object *obj, const char *key, json_object **out);
bool json_need_string(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                      const char **out);
bool json_need_array(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     json_object **out);
bool json_need_object(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                      json_object **out);
const char *json_type_text(json_object *node); /* "a string", "null", … for messages */

/* For answers of providers, where a wrong type is ignored rather than an error: never NULL-unsafe. */
struct str json_peek_str(json_object *obj, const char *key); /* {NULL, 0} if absent or no string */
const char *json_peek_string(json_object *obj,
                             const char *key); /* NULL if absent, no string, or with a NUL in it */
int64_t json_peek_count(json_object *obj, const char *key); /* 0 if absent or negative, capped at 1e12 */
json_object *json_peek(json_object *obj, const char *key);  /* NULL if absent, null, or obj is no object */
json_object *json_peek_object(json_object *obj, const char *key); /* NULL unless an object */
json_object *json_peek_array(json_object *obj, const char *key);  /* NULL unless an array */

/* ---- writing ---- */
struct json_writer {
        struct buf *out;
        unsigned depth;
        bool is_object[JSON_DEPTH_MAX];
        bool has_items[JSON_DEPTH_MAX];
        bool after_key;
};

void json_writer_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w); /* { */
void jw_array(struct json_writer *w);  /* [ */
void jw_end(struct json_writer *w);    /* closes the innermost */
void jw_key(struct json_writer *w, const char *key);
void jw_str(struct json_writer *w, struct str s); /* invalid UTF-8 is replaced by U+FFFD */
void jw_string(struct json_writer *w, const char *s);
void jw_int(struct json_writer *w, int64_t n);
void jw_number(struct json_writer *w,
               double n); /* shortest form that reads back the same; NaN and infinities: null */
void jw_bool(struct json_writer *w, bool b);
void jw_null(struct json_writer *w);
void jw_node(struct json_writer *w, json_object *node);           /* a whole json-c tree; NULL: null */
void jw_raw(struct json_writer *w, const char *text, size_t len); /* text that is already valid JSON */
/* key and value in one */
void jw_key_str(struct json_writer *w, const char *key, struct str s);
void jw_key_string(struct json_writer *w, const char *key, const char *s); /* s NULL: null */
void jw_key_int(struct json_writer *w, const char *key, int64_t n);
void jw_key_number(struct json_writer *w, const char *key, double n);
void jw_key_bool(struct json_writer *w, const char *key, bool b);
void jw_key_null(struct json_writer *w, const char *key);
void jw_key_node(struct json_writer *w, const char *key, json_object *node);
void jw_key_object(struct json_writer *w, const char *key); /* "key": { */
void jw_key_array(struct json_writer *w, const char *key);  /* "key": [ */
/* True when everything was closed and the buffer did not fail. */
bool jw_done(const struct json_writer *w);

/* Escapes s as the inside of a JSON string (no quotes). */
void json_escape(struct buf *out, const char *s, size_t len);

#endif
