#include "dialect/anthropic.h"

#include <string.h>

static bool legal(unsigned char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
}

static bool all_legal(const char *s)
{
        if (!*s)
                return false;
        while (*s && legal((unsigned char)*s))
                s++;
        return !*s;
}

const char *anthropic_tool_id(struct arena *a, const char *id)
{
        if (!id)
                id = "";
        if (all_legal(id))
                return id;
        uint64_t hash = 14695981039346656037u; /* FNV-1a: two ids that clean up alike stay apart */
        for (const char *c = id; *c; c++)
                hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        char *cleaned = arena_strndup(a, id, strlen(id) < 40 ? strlen(id) : 40);
        for (char *c = cleaned; *c; c++) {
                if (!legal((unsigned char)*c))
                        *c = '_';
        }
        return arena_printf(a, "toolu_%s_%016llx", cleaned, (unsigned long long)hash);
}
