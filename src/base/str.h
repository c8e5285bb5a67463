/*
 * A borrowed piece of text: pointer and length. Always followed by a NUL byte that is not counted, so that a
 * text without inner NULs may also be used as a C string. Text of models and clients may hold NUL bytes;
 * names and ids never do (the decoders refuse them), and are plain `const char *`.
 */
#ifndef TOLLGATE_BASE_STR_H
#define TOLLGATE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
        const char *at; /* NULL: absent */
        size_t len;
};

static inline struct str str_of(const char *cstring)
{
        return (struct str){.at = cstring, .len = cstring ? strlen(cstring) : 0};
}

static inline bool str_equal(struct str a, struct str b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool str_is(struct str a, const char *cstring)
{
        return str_equal(a, str_of(cstring));
}

#endif
