#include "dialect/tool_name.h"

#include <string.h>

#include "base/text.h"

#define ESCAPED "tg--"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool is_word(unsigned char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool tool_name_is_legal(const char *name, enum dialect_id to)
{
        const char *more = to == DIALECT_GEMINI ? "-.:" : "-";
        bool digit = *name >= '0' && *name <= '9';
        if (!*name || (to == DIALECT_GEMINI && (digit || strchr(more, *name))))
                return false;
        for (; *name; name++) {
                if (!is_word((unsigned char)*name) && !strchr(more, *name))
                        return false;
        }
        return true;
}

const char *tool_name_out(struct arena *a, const char *name, enum dialect_id to)
{
        if (!name)
                name = "";
        if (tool_name_is_legal(name, to) && strncmp(name, ESCAPED, sizeof ESCAPED - 1) != 0)
                return name;
        size_t len = strlen(name);
        char *out = arena_alloc(a, sizeof ESCAPED + 3 * len), *at = out;
        memcpy(at, ESCAPED, sizeof ESCAPED - 1);
        at += sizeof ESCAPED - 1;
        for (size_t i = 0; i < len; i++) {
                if (is_word((unsigned char)name[i])) {
                        *at++ = name[i];
                        continue;
                }
                char hex[3];
                text_hex(hex, (const uint8_t *)&name[i], 1);
                *at++ = '-';
                *at++ = hex[0];
                *at++ = hex[1];
        }
        return out;
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *tool_name_back(struct arena *a, const char *name)
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

bool tool_name_fits(const char *escaped, enum dialect_id to)
{
        return strlen(escaped) <= (to == DIALECT_OPENAI ? 64 : 128);
}

bool tool_id_fits(const char *id, int64_t length)
{
        size_t len = strlen(id);
        return length <= 0 || (len == (size_t)length && strspn(id, letters) == len);
}

const char *tool_id_out(struct arena *a, const char *id, int64_t length)
{
        if (!id)
                id = "";
        if (tool_id_fits(id, length))
                return id;
        uint64_t hash = 14695981039346656037u; /* FNV-1a */
        for (const char *c = id; *c; c++)
                hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        char *out = arena_alloc(a, (size_t)length + 1);
        for (int64_t i = 0; i < length; i++) {
                out[i] = letters[hash % (sizeof letters - 1)];
                hash = hash / (sizeof letters - 1) ^ hash << 43;
        }
        return out;
}
