#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/plain_internal.h"

enum plain_kind { KIND_NAME, KIND_TEXT, KIND_INT, KIND_NUMBER, KIND_BOOL, KIND_LIST, KIND_MESSAGES };

static const struct plain_field {
        const char *name;
        enum plain_kind kind;
        unsigned use; /* enum plain_use bits */
        size_t offset;
        double min, max;
        bool files; /* may be a file of a multipart form */
} fields[] = {
        {"model", KIND_NAME, PLAIN_CHAT | PLAIN_EMBED, offsetof(struct plain_values, model), 0, 0, false},
        {"prompt", KIND_TEXT, PLAIN_CHAT, offsetof(struct plain_values, prompt), 0, 0, false},
        {"system", KIND_TEXT, PLAIN_CHAT, offsetof(struct plain_values, system), 0, 0, false},
        {"messages", KIND_MESSAGES, PLAIN_CHAT, offsetof(struct plain_values, messages), 0, 0, false},
        {"image", KIND_LIST, PLAIN_CHAT, offsetof(struct plain_values, images), 0, 0, true},
        {"input", KIND_LIST, PLAIN_EMBED, offsetof(struct plain_values, inputs), 0, 0, false},
        {"max_tokens", KIND_INT, PLAIN_CHAT, offsetof(struct plain_values, max_tokens), 1, 1e9, false},
        {"temperature", KIND_NUMBER, PLAIN_CHAT, offsetof(struct plain_values, temperature), 0, 2, false},
        {"stream", KIND_BOOL, PLAIN_CHAT, offsetof(struct plain_values, stream), 0, 0, false},
        {"dimensions", KIND_INT, PLAIN_EMBED, offsetof(struct plain_values, dimensions), 1, 1e6, false},
};

enum { FIELDS = sizeof fields / sizeof *fields };

static const struct plain_field *find_field(const char *name)
{
        for (size_t i = 0; i < FIELDS; i++) {
                if (strcmp(fields[i].name, name) == 0)
                        return &fields[i];
        }
        return NULL;
}

static bool unknown_field(struct arena *a, const char *name, enum plain_use use, struct err *err)
{
        bool known = find_field(name) != NULL;
        char shown[128];
        text_escape(shown, sizeof shown, name, strlen(name));
        return err_set(err, a, ERR_BAD_REQUEST, shown, "%s: %s", shown,
                       !known              ? "unknown field"
                       : use == PLAIN_CHAT ? "not a field of chat"
                                           : "not a field of embed");
}

static void *slot(struct plain_values *v, const struct plain_field *f)
{
        return (char *)v + f->offset;
}

static struct plain_item *add_item(struct arena *a, struct plain_list *list, const char *name)
{
        struct plain_item *item = arena_alloc(a, sizeof *item);
        item->path = list->count ? arena_printf(a, "%s[%zu]", name, list->count) : name;
        if (list->last)
                list->last->next = item;
        else
                list->first = item;
        list->count++;
        return list->last = item;
}

/* ---- JSON ---- */

static bool json_list(struct json_reader *r, json_object *body, const struct plain_field *f,
                      struct plain_list *list)
{
        json_object *node, *array;
        if (!json_get_any(body, f->name, &node))
                return true;
        if (json_object_is_type(node, json_type_string)) {
                struct plain_item *item = add_item(r->arena, list, f->name);
                return json_get_str(r, body, NULL, f->name, &item->value);
        }
        if (!json_object_is_type(node, json_type_array))
                return json_fail(r, NULL, f->name, "expected a string or an array of strings, got %s",
                                 json_type_text(node));
        array = node;
        list->is_list = true;
        struct json_path up = {.key = f->name};
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                json_object *element = json_object_array_get_idx(array, i);
                struct json_path at = {.up = &up, .index = i};
                if (!json_object_is_type(element, json_type_string))
                        return json_fail(r, &at, NULL, "expected a string, got %s", json_type_text(element));
                struct plain_item *item = add_item(r->arena, list, f->name);
                item->path = arena_printf(r->arena, "%s[%zu]", f->name, i);
                item->value = (struct str){json_object_get_string(element),
                                           (size_t)json_object_get_string_len(element)};
        }
        return true;
}

/* The array's own text, for the openai decoder. */
static bool json_messages(struct json_reader *r, json_object *body, struct str text, struct str *out)
{
        enum { MEMBERS = 64 };
        struct json_member members[MEMBERS];
        json_object *array;
        if (!json_get_array(r, body, NULL, "messages", &array))
                return r->err->cause == ERR_NONE;
        size_t count = json_members(text.at, text.len, members, MEMBERS);
        for (size_t i = 0; count <= MEMBERS && i < count; i++) {
                if (members[i].value_len && *members[i].value == '[' &&
                    members[i].key_len == strlen("messages") &&
                    memcmp(members[i].key, "messages", members[i].key_len) == 0)
                        *out = (struct str){members[i].value, members[i].value_len};
        }
        /* The key was written with escapes. */
        if (!out->at)
                *out = str_of(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN));
        return true;
}

static bool json_field(struct json_reader *r, json_object *body, struct str text, const struct plain_field *f,
                       struct plain_values *v)
{
        struct opt_int *integer = slot(v, f);
        struct opt_number *number = slot(v, f);
        bool flag;
        switch (f->kind) {
        case KIND_NAME: json_get_string(r, body, NULL, f->name, slot(v, f)); break;
        case KIND_TEXT: json_get_str(r, body, NULL, f->name, slot(v, f)); break;
        case KIND_INT:
                integer->set = json_get_int(r, body, NULL, f->name, (int64_t)f->min, (int64_t)f->max,
                                            &integer->value);
                break;
        case KIND_NUMBER:
                number->set = json_get_number(r, body, NULL, f->name, f->min, f->max, &number->value);
                break;
        case KIND_BOOL:
                if (json_get_bool(r, body, NULL, f->name, &flag))
                        *(enum tri *)slot(v, f) = flag ? TRI_YES : TRI_NO;
                break;
        case KIND_LIST: return json_list(r, body, f, slot(v, f));
        case KIND_MESSAGES: return json_messages(r, body, text, slot(v, f));
        }
        return r->err->cause == ERR_NONE;
}

static bool read_json(const struct client_input *in, struct str text, enum plain_use use,
                      struct plain_values *v, struct err *err)
{
        struct json_reader r = {.arena = in->arena, .err = err};
        json_object *body = json_parse(in->arena, text.at, text.len, JSON_FROM_CLIENT, err);
        if (!body)
                return false;
        if (!json_object_is_type(body, json_type_object))
                return err_set(err, in->arena, ERR_BAD_REQUEST, NULL,
                               "the body is %s; a JSON object was expected", json_type_text(body));
        json_object_object_foreach(body, key, member)
        {
                const struct plain_field *f = find_field(key);
                (void)member;
                if (!f || !(f->use & use))
                        return unknown_field(in->arena, key, use, err);
        }
        for (size_t i = 0; i < FIELDS; i++) {
                if ((fields[i].use & use) && !json_field(&r, body, text, &fields[i], v))
                        return false;
        }
        return true;
}

/* ---- forms ---- */

static bool bad_value(struct arena *a, const struct plain_field *f, const char *what, struct err *err)
{
        return err_set(err, a, ERR_BAD_REQUEST, f->name, "%s: %s", f->name, what);
}

static bool form_number(struct arena *a, const struct plain_field *f, struct str value,
                        struct plain_values *v, struct err *err)
{
        char *end;
        size_t len = strspn(value.at, "0123456789+-.eE");
        double n = len == value.len ? strtod(value.at, &end) : NAN;
        if (len != value.len || *end || !isfinite(n))
                return bad_value(a, f, "not a number", err);
        if (n < f->min || n > f->max)
                return err_set(err, a, ERR_BAD_REQUEST, f->name, "%s: must be from %g to %g", f->name, f->min,
                               f->max);
        if (f->kind == KIND_NUMBER) {
                *(struct opt_number *)slot(v, f) = (struct opt_number){.set = true, .value = n};
                return true;
        }
        if (n != floor(n))
                return bad_value(a, f, "not a whole number", err);
        *(struct opt_int *)slot(v, f) = (struct opt_int){.set = true, .value = (int64_t)n};
        return true;
}

static bool form_bool(struct arena *a, const struct plain_field *f, struct str value, struct plain_values *v,
                      struct err *err)
{
        static const struct {
                const char *word;
                enum tri means;
        } words[] = {
                {"true", TRI_YES}, {"1", TRI_YES}, {"on", TRI_YES}, {"yes", TRI_YES},
                {"false", TRI_NO}, {"0", TRI_NO},  {"off", TRI_NO}, {"no", TRI_NO},
        };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                if (value.len == strlen(words[i].word) && strcasecmp(value.at, words[i].word) == 0) {
                        *(enum tri *)slot(v, f) = words[i].means;
                        return true;
                }
        }
        return bad_value(a, f, "neither true nor false", err);
}

static bool form_value(struct arena *a, const struct plain_field *f, const struct form_field *given,
                       struct plain_values *v, struct err *err)
{
        struct plain_item *item;
        switch (f->kind) {
        case KIND_NAME:
                if (memchr(given->value.at, '\0', given->value.len))
                        return bad_value(a, f, "holds a NUL byte", err);
                *(const char **)slot(v, f) = given->value.at;
                return true;
        case KIND_TEXT: *(struct str *)slot(v, f) = given->value; return true;
        case KIND_INT:
        case KIND_NUMBER: return form_number(a, f, given->value, v, err);
        case KIND_BOOL: return form_bool(a, f, given->value, v, err);
        case KIND_MESSAGES: return bad_value(a, f, "only in a JSON body", err);
        case KIND_LIST: break;
        }
        struct plain_list *list = slot(v, f);
        item = add_item(a, list, f->name);
        item->value = given->value;
        item->is_file = given->is_file;
        list->is_list = list->count > 1;
        return true;
}

static bool read_form(struct arena *a, const struct form_fields *form, enum plain_use use,
                      struct plain_values *v, struct err *err)
{
        bool seen[FIELDS] = {false};
        for (const struct form_field *given = form->first; given; given = given->next) {
                if (strcmp(given->name, "_charset_") == 0)
                        continue;
                const struct plain_field *f = find_field(given->name);
                if (!f || !(f->use & use))
                        return unknown_field(a, given->name, use, err);
                if (given->is_file && !f->files)
                        return bad_value(a, f, "a file was sent where text is expected", err);
                /* What a form's user left empty was not given (a text to embed may be: its provider says no).
                 */
                if (given->value.len == 0 && f->kind != KIND_TEXT)
                        continue;
                if (seen[f - fields] && f->kind != KIND_LIST)
                        return bad_value(a, f, "given twice", err);
                seen[f - fields] = true;
                if (!form_value(a, f, given, v, err))
                        return false;
        }
        return true;
}

/* A text body is the prompt, or the one text to embed. */
static bool read_text(const struct client_input *in, struct str text, enum plain_use use,
                      struct plain_values *v, struct err *err)
{
        const char *name = use == PLAIN_CHAT ? "prompt" : "input";
        if (form_find(in->query, name))
                return err_set(err, in->arena, ERR_BAD_REQUEST, name,
                               "%s: given twice (a text body is the %s)", name, name);
        if (!read_form(in->arena, in->query, use, v, err))
                return false;
        if (use == PLAIN_CHAT)
                v->prompt = text;
        else if (text.len)
                add_item(in->arena, &v->inputs, name)->value = text;
        return true;
}

/* Only a text body leaves room for the query; elsewhere a field there would be overlooked. */
static bool query_is_free(const struct client_input *in, struct err *err)
{
        for (const struct form_field *q = in->query->first; q; q = q->next) {
                if (find_field(q->name))
                        return err_set(err, in->arena, ERR_BAD_REQUEST, q->name,
                                       "%s: belongs into the body (the query counts beside a text body only)",
                                       q->name);
        }
        return true;
}

static bool is_json(const char *type)
{
        size_t len = strlen(type);
        return strcmp(type, "application/json") == 0 || (len > 5 && strcmp(type + len - 5, "+json") == 0);
}

bool plain_read(const struct client_input *in, enum plain_use use, struct plain_values *out, struct err *err)
{
        struct arena *a = in->arena;
        const char *type = form_media_type(a, in->content_type);
        const char *charset = form_header_parameter(a, in->content_type, "charset");
        struct form_fields form;
        struct str text;
        *out = (struct plain_values){0};
        bool as_text = type && strcmp(type, "text/plain") == 0;
        if (!as_text && !query_is_free(in, err))
                return false;
        if (!type || is_json(type))
                return form_to_utf8(a, in->body, charset, &text, err) && read_json(in, text, use, out, err);
        if (as_text)
                return form_to_utf8(a, in->body, charset, &text, err) && read_text(in, text, use, out, err);
        if (strcmp(type, "application/x-www-form-urlencoded") == 0)
                return form_decode_urlencoded(a, in->body, charset, &form, err) &&
                       read_form(a, &form, use, out, err);
        if (strcmp(type, "multipart/form-data") == 0)
                return form_decode_multipart(a, in->body, in->content_type, &form, err) &&
                       read_form(a, &form, use, out, err);
        char shown[64];
        text_escape(shown, sizeof shown, type, strlen(type));
        return err_set(err, a, ERR_MEDIA_TYPE, NULL,
                       "content-type %s: expected application/json, application/x-www-form-urlencoded, "
                       "multipart/form-data or text/plain",
                       shown);
}
