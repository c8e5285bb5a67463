#include "dialect/anthropic.h"

#include <string.h>

#include "base/text.h"

#define ESCAPED "tg--"

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

const char *anthropic_tool_name(struct arena *a, const char *name)
{
        if (!name)
                name = "";
        if (all_legal(name) && strncmp(name, ESCAPED, sizeof ESCAPED - 1) != 0)
                return name;
        size_t len = strlen(name);
        char *out = arena_alloc(a, sizeof ESCAPED + 3 * len), *to = out;
        memcpy(to, ESCAPED, sizeof ESCAPED - 1);
        to += sizeof ESCAPED - 1;
        for (size_t i = 0; i < len; i++) {
                if (legal((unsigned char)name[i]) && name[i] != '-') {
                        *to++ = name[i];
                        continue;
                }
                char hex[3];
                text_hex(hex, (const uint8_t *)&name[i], 1);
                *to++ = '-';
                *to++ = hex[0];
                *to++ = hex[1];
        }
        return out;
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *anthropic_tool_name_back(struct arena *a, const char *name)
{
        if (!name || strncmp(name, ESCAPED, sizeof ESCAPED - 1) != 0)
                return name;
        char *out = arena_alloc(a, strlen(name) + 1), *to = out;
        for (const char *c = name + sizeof ESCAPED - 1; *c; c++) {
                if (*c != '-') {
                        *to++ = *c;
                        continue;
                }
                int high = nibble(c[1]), low = high < 0 ? -1 : nibble(c[2]);
                if (low < 0 || (high == 0 && low == 0))
                        return name;
                *to++ = (char)(high * 16 + low);
                c += 2;
        }
        return out;
}
