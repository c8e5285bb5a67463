#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/account.h"

/* Parts of one name; a certificate with more is none that an account lists. */
enum { PARTS_MAX = 32, NAME_MAX_BYTES = 2048 };

struct part {
        const char *type, *value;
};

struct parts {
        struct part list[PARTS_MAX];
        size_t count;
};

/* Servers differ in what they call the same attribute. */
static const char *common_type(const char *type)
{
        static const char *const aliases[][2] = {
                {"E", "emailAddress"},
                {"email", "emailAddress"},
                {"S", "ST"},
                {"SP", "ST"},
                {"userid", "UID"},
                {"0.9.2342.19200300.100.1.1", "UID"},
                {"0.9.2342.19200300.100.1.25", "DC"},
                {"1.2.840.113549.1.9.1", "emailAddress"},
                {"2.5.4.3", "CN"},
                {"2.5.4.6", "C"},
                {"2.5.4.7", "L"},
                {"2.5.4.8", "ST"},
                {"2.5.4.10", "O"},
                {"2.5.4.11", "OU"},
        };
        for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
                if (strcasecmp(type, aliases[i][0]) == 0)
                        return aliases[i][1];
        }
        return type;
}

static bool add_part(struct parts *p, const char *type, const char *value)
{
        if (p->count == PARTS_MAX || !*type)
                return false;
        p->list[p->count++] = (struct part){common_type(type), value};
        return true;
}

/* "/O=Example/CN=desk": a slash begins a part only where a type and '=' follow; values are not escaped. */
static bool split_slashes(struct arena *a, const char *s, struct parts *out)
{
        while (*s == '/') {
                s++;
                size_t type_len =
                        strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.");
                if (!type_len || s[type_len] != '=')
                        return false;
                const char *value = s + type_len + 1, *end = value;
                for (;;) {
                        end += strcspn(end, "/");
                        size_t n = *end ? strspn(end + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
                                                          "yz0123456789.")
                                        : 0;
                        if (!*end || (n && end[1 + n] == '='))
                                break;
                        end++;
                }
                if (!add_part(out, arena_strndup(a, s, type_len),
                              arena_strndup(a, value, (size_t)(end - value))))
                        return false;
                s = end;
        }
        return *s == '\0' && out->count;
}

static int hex_digit(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The byte behind a backslash; *s is left behind it. A NUL is refused: it would end the value early. */
static bool unescape(const char **s, char *out)
{
        if (hex_digit((*s)[0]) >= 0 && hex_digit((*s)[1]) >= 0) {
                *out = (char)(hex_digit((*s)[0]) << 4 | hex_digit((*s)[1]));
                *s += 2;
        } else {
                *out = **s;
                *s += **s != '\0';
        }
        return *out != '\0';
}

/* One value up to an unescaped ',', ';' or '+'. NULL: broken. */
static const char *take_value(struct arena *a, const char **at)
{
        const char *s = *at + strspn(*at, " ");
        char *value = arena_alloc(a, strlen(s) + 1);
        size_t n = 0, keep = 0; /* keep: bytes that are no trailing space */
        bool quoted = *s == '"';
        s += quoted;
        while (*s && (quoted ? *s != '"' : !strchr(",;+", *s))) {
                bool escaped = *s == '\\';
                char c = *s++;
                if (escaped && !unescape(&s, &c))
                        return NULL;
                value[n++] = c;
                keep = escaped || quoted || c != ' ' ? n : keep;
        }
        if (quoted && *s++ != '"')
                return NULL;
        s += strspn(s, " ");
        value[keep] = '\0';
        *at = s;
        return value;
}

static bool split_commas(struct arena *a, const char *s, struct parts *out)
{
        for (;;) {
                s += strspn(s, " ");
                size_t len = strcspn(s, "= ,;+\"\\");
                const char *type = arena_strndup(a, s, len);
                s += len;
                s += strspn(s, " ");
                if (!len || *s++ != '=')
                        return false;
                const char *value = take_value(a, &s);
                if (!value || !add_part(out, type, value))
                        return false;
                if (!*s)
                        return true;
                if (!strchr(",;+", *s++))
                        return false;
        }
}

static bool split(struct arena *a, const char *name, struct parts *out)
{
        out->count = 0;
        if (!name || strlen(name) > NAME_MAX_BYTES)
                return false;
        name += strspn(name, " ");
        return *name == '/' ? split_slashes(a, name, out) : split_commas(a, name, out);
}

static int compare_parts(const void *x, const void *y)
{
        const struct part *p = x, *q = y;
        int by_type = strcasecmp(p->type, q->type);
        return by_type ? by_type : strcmp(p->value, q->value);
}

bool subject_equal(struct arena *a, const char *x, const char *y)
{
        struct parts p, q;
        if (!split(a, x, &p) || !split(a, y, &q) || p.count != q.count)
                return false;
        qsort(p.list, p.count, sizeof *p.list, compare_parts);
        qsort(q.list, q.count, sizeof *q.list, compare_parts);
        for (size_t i = 0; i < p.count; i++) {
                if (compare_parts(&p.list[i], &q.list[i]) != 0)
                        return false;
        }
        return true;
}
