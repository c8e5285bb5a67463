/*
 * Forms: application/x-www-form-urlencoded (WHATWG URL), multipart/form-data (RFC 7578), and text in other
 * charsets (iconv). Everything is bounded: fields, names, parts, headers of a part.
 */
#ifndef TOLLGATE_DIALECT_FORM_H
#define TOLLGATE_DIALECT_FORM_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { FORM_FIELDS_MAX = 1000 };

struct form_field {
        struct form_field *next;
        const char *name;
        struct str value; /* UTF-8 for text fields, bytes for files */
        bool is_file;
        const char *content_type; /* of a part, or NULL */
};

struct form_fields {
        struct form_field *first, *last;
        size_t count;
};

bool form_decode_urlencoded(struct arena *a, struct str body, const char *charset, struct form_fields *out,
                            struct err *err);
/* content_type: the header's whole value with its boundary. Text parts are converted from their charset, or
 * the form's. */
bool form_decode_multipart(struct arena *a, struct str body, const char *content_type,
                           struct form_fields *out, struct err *err);
const struct form_field *form_find(const struct form_fields *f, const char *name);
/* Value of a parameter of a header value ("charset" of "text/plain; charset=\"x\""), or NULL. */
const char *form_header_parameter(struct arena *a, const char *value, const char *name);
/* "application/json" of "Application/JSON; charset=utf-8": lower case, no parameters. NULL stays NULL. */
const char *form_media_type(struct arena *a, const char *value);
/* To UTF-8. charset NULL, utf-8: checked only. Unknown charset, bytes that are not of it, NUL:
 * ERR_BAD_REQUEST.
 */
bool form_to_utf8(struct arena *a, struct str in, const char *charset, struct str *out, struct err *err);

#endif
