#include "dialect/form.h"

#include <string.h>
#include <strings.h>

#include "dialect/form_internal.h"

struct form_field *form_add(struct arena *a, struct form_fields *f)
{
        struct form_field *field = arena_alloc(a, sizeof *field);
        if (f->last)
                f->last->next = field;
        else
                f->first = field;
        f->count++;
        return f->last = field;
}

const struct form_field *form_find(const struct form_fields *f, const char *name)
{
        for (const struct form_field *field = f->first; field; field = field->next) {
                if (strcmp(field->name, name) == 0)
                        return field;
        }
        return NULL;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A '%' that no two hex digits follow stands for itself, as every browser and server has it. */
static struct str percent_decode(struct arena *a, const char *s, size_t len)
{
        char *out = arena_alloc(a, len + 1);
        size_t n = 0;
        for (size_t i = 0; i < len; i++) {
                if (s[i] == '+') {
                        out[n++] = ' ';
                } else if (s[i] == '%' && len - i > 2 && hex_value(s[i + 1]) >= 0 &&
                           hex_value(s[i + 2]) >= 0) {
                        out[n++] = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
                        i += 2;
                } else {
                        out[n++] = s[i];
                }
        }
        return (struct str){out, n};
}

bool form_set_name(struct arena *a, struct form_field *field, struct str name, const char *charset,
                   struct err *err)
{
        struct str text;
        if (name.len > FORM_NAME_MAX)
                return err_set(err, a, ERR_BAD_REQUEST, NULL, "a form field's name is longer than %d bytes",
                               FORM_NAME_MAX);
        if (memchr(name.at, '\0', name.len))
                return err_set(err, a, ERR_BAD_REQUEST, NULL, "a form field's name holds a NUL byte");
        if (!form_to_utf8(a, name, charset, &text, err))
                return false;
        field->name = arena_strndup(a, text.at, text.len);
        return true;
}

bool form_convert_value(struct arena *a, struct form_field *field, const char *charset, struct err *err)
{
        struct err bad = {0};
        if (form_to_utf8(a, field->value, charset, &field->value, &bad))
                return true;
        return err_set(err, a, bad.cause, field->name, "%s: %s", field->name, bad.message);
}

static bool split_pairs(struct arena *a, struct str body, struct form_fields *raw, struct err *err)
{
        const char *at = body.at, *end = body.at + body.len;
        while (at < end) {
                const char *stop = memchr(at, '&', (size_t)(end - at));
                if (!stop)
                        stop = end;
                const char *equal = memchr(at, '=', (size_t)(stop - at));
                const char *name_end = equal ? equal : stop;
                if (stop > at) {
                        if (raw->count >= FORM_FIELDS_MAX)
                                return err_set(err, a, ERR_BAD_REQUEST, NULL, "more than %d form fields",
                                               FORM_FIELDS_MAX);
                        struct form_field *field = form_add(a, raw);
                        struct str name = percent_decode(a, at, (size_t)(name_end - at));
                        field->name = name.at;
                        if (name.len > FORM_NAME_MAX || memchr(name.at, '\0', name.len))
                                return form_set_name(a, field, name, NULL, err);
                        if (equal)
                                field->value = percent_decode(a, equal + 1, (size_t)(stop - equal - 1));
                        else
                                field->value = arena_str(a, "", 0);
                }
                at = stop + 1;
        }
        return true;
}

bool form_decode_urlencoded(struct arena *a, struct str body, const char *charset, struct form_fields *out,
                            struct err *err)
{
        *out = (struct form_fields){0};
        if (!split_pairs(a, body, out, err))
                return false;
        /* A page in a legacy charset tells it in a hidden field (WHATWG HTML, 4.10.21.5). */
        const struct form_field *told = form_find(out, "_charset_");
        if (!charset && told && told->value.len)
                charset = told->value.at;
        for (struct form_field *field = out->first; field; field = field->next) {
                if (!form_set_name(a, field, str_of(field->name), charset, err) ||
                    !form_convert_value(a, field, charset, err))
                        return false;
        }
        return true;
}

static const char *skip_space(const char *s)
{
        return s + strspn(s, " \t");
}

/* Leaves *at behind the value, quoted or not; with an arena also gives it. */
static char *parameter_value(struct arena *a, const char **at)
{
        const char *s = skip_space(*at);
        if (*s != '"') {
                size_t len = strcspn(s, ";");
                *at = s + len;
                while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
                        len--;
                return a ? arena_strndup(a, s, len) : NULL;
        }
        const char *from = ++s;
        /* Only these two are escaped: old browsers send file names with bare backslashes. */
        for (; *s && *s != '"'; s++)
                s += *s == '\\' && (s[1] == '"' || s[1] == '\\');
        *at = *s ? s + 1 : s;
        char *out = a ? arena_strndup(a, from, (size_t)(s - from)) : NULL, *to = out;
        for (const char *c = from; out && c < s; c++) {
                c += *c == '\\' && (c[1] == '"' || c[1] == '\\');
                *to++ = *c;
        }
        if (out)
                *to = '\0';
        return out;
}

const char *form_header_parameter(struct arena *a, const char *value, const char *name)
{
        if (!value)
                return NULL;
        const char *at = value + strcspn(value, ";");
        size_t want = strlen(name);
        while (*at == ';') {
                at = skip_space(at + 1);
                size_t len = strcspn(at, "=; \t");
                const char *key = at;
                at = skip_space(at + len);
                if (*at != '=') {
                        at += strcspn(at, ";");
                        continue;
                }
                at++;
                /* Memory for the one that is asked for only: a header may hold thousands. */
                bool found = len == want && strncasecmp(key, name, len) == 0;
                char *text = parameter_value(found ? a : NULL, &at);
                if (found)
                        return text;
                at += strcspn(at, ";");
        }
        return NULL;
}

const char *form_media_type(struct arena *a, const char *value)
{
        if (!value)
                return NULL;
        value = skip_space(value);
        size_t len = strcspn(value, "; \t");
        char *type = arena_strndup(a, value, len);
        for (char *c = type; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        return type;
}
