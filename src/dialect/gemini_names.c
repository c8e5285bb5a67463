#include "dialect/gemini.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 96 };

static void snake_of(char *out, const char *camel)
{
        size_t n = 0;
        for (; *camel && n + 2 < NAME_MAX_BYTES; camel++) {
                if (isupper((unsigned char)*camel))
                        out[n++] = '_';
                out[n++] = (char)tolower((unsigned char)*camel);
        }
        out[n] = '\0';
}

const char *gemini_camel(struct arena *a, const char *key)
{
        if (!strchr(key, '_'))
                return key;
        char *out = arena_strdup(a, key), *to = out;
        for (; *key; key++) {
                if (*key == '_' && islower((unsigned char)key[1]))
                        *to++ = (char)toupper((unsigned char)*++key);
                else
                        *to++ = *key;
        }
        *to = '\0';
        return out;
}

const char *gemini_key(struct json_reader *r, json_object *obj, const struct json_path *at, const char *camel)
{
        char snake[NAME_MAX_BYTES];
        snake_of(snake, camel);
        if (strcmp(snake, camel) == 0 || !json_object_object_get_ex(obj, snake, NULL))
                return camel;
        if (json_object_object_get_ex(obj, camel, NULL))
                json_fail(r, at, snake, "is the same field as %s; it stands twice", camel);
        return arena_strdup(r->arena, snake);
}

void gemini_collect_extras(struct arena *a, json_object *obj, const char *prefix,
                           const struct gemini_member *table, struct chat_extra **extras)
{
        json_object_object_foreach(obj, key, value)
        {
                if (!value)
                        continue;
                const char *camel = gemini_camel(a, key);
                const struct gemini_member *m = table;
                while (m->camel && strcmp(m->camel, camel) != 0)
                        m++;
                if (m->camel && m->use == MEMBER_KNOWN)
                        continue;
                chat_add_extra(a, extras, arena_printf(a, "%s%s", prefix, camel), value,
                               m->camel && m->use == MEMBER_HINT);
                while (*extras && (*extras)->next)
                        extras = &(*extras)->next;
        }
}

/* ---- finish reasons: https://ai.google.dev/api/generate-content#FinishReason, and what live traffic adds
 * ---- */

static const struct finish_row {
        const char *reason;
        enum chat_finish finish;
} finishes[] = {
        {"STOP", FINISH_STOP},
        {"MAX_TOKENS", FINISH_LENGTH},
        {"CONTINUATION", FINISH_LENGTH},
        {"SAFETY", FINISH_FILTER},
        {"RECITATION", FINISH_FILTER},
        {"LANGUAGE", FINISH_FILTER},
        {"BLOCKLIST", FINISH_FILTER},
        {"PROHIBITED_CONTENT", FINISH_FILTER},
        {"SPII", FINISH_FILTER},
        {"MODEL_ARMOR", FINISH_FILTER},
        {"JAILBREAK", FINISH_FILTER},
        {"IMAGE_SAFETY", FINISH_FILTER},
        {"IMAGE_PROHIBITED_CONTENT", FINISH_FILTER},
        {"IMAGE_RECITATION", FINISH_FILTER},
        {"IMAGE_OTHER", FINISH_FILTER},
        {"MALFORMED_FUNCTION_CALL", FINISH_ERROR},
        {"UNEXPECTED_TOOL_CALL", FINISH_ERROR},
        {"TOO_MANY_TOOL_CALLS", FINISH_ERROR},
        {"MALFORMED_RESPONSE", FINISH_ERROR},
        {"NO_IMAGE", FINISH_STOP},
        {"OTHER", FINISH_STOP},
};
enum { FINISH_ROWS = sizeof finishes / sizeof *finishes };

static const struct finish_row *finish_find(const char *reason)
{
        for (size_t i = 0; i < FINISH_ROWS; i++) {
                if (strcmp(finishes[i].reason, reason) == 0)
                        return &finishes[i];
        }
        return NULL;
}

enum chat_finish gemini_finish(const char *reason)
{
        if (!reason || strcmp(reason, "FINISH_REASON_UNSPECIFIED") == 0)
                return FINISH_NONE;
        const struct finish_row *row = finish_find(reason);
        return row ? row->finish : FINISH_STOP;
}

const char *gemini_finish_name(enum chat_finish finish, const char *raw)
{
        static const char *const names[] = {
                [FINISH_STOP] = "STOP",   [FINISH_STOP_SEQUENCE] = "STOP", [FINISH_LENGTH] = "MAX_TOKENS",
                [FINISH_TOOL] = "STOP",   [FINISH_FILTER] = "SAFETY",      [FINISH_PAUSE] = "STOP",
                [FINISH_ERROR] = "OTHER",
        };
        const struct finish_row *row = raw ? finish_find(raw) : NULL;
        if (row && row->finish == finish)
                return row->reason;
        return (size_t)finish < sizeof names / sizeof *names ? names[finish] : NULL;
}

/* ---- schemas ---- */

static json_object *schema_decode(struct json_reader *r, json_object *schema, const struct json_path *at);

static void put(json_object *to, const char *key, json_object *value)
{
        json_object_object_add(to, key, value);
}

/* int64 comes as text in proto3 JSON. */
static json_object *whole_number(json_object *value)
{
        if (!json_object_is_type(value, json_type_string))
                return json_object_get(value);
        const char *text = json_object_get_string(value);
        char *end;
        long long n = strtoll(text, &end, 10);
        return *text && !*end ? json_object_new_int64(n) : json_object_get(value);
}

static json_object *type_name(struct json_reader *r, json_object *value, const struct json_path *at)
{
        static const char *const names[] = {"string", "number", "integer", "boolean",
                                            "array",  "object", "null"};
        if (!json_object_is_type(value, json_type_string))
                return json_object_get(value); /* a list of types is JSON Schema already */
        const char *name = json_object_get_string(value);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                if (strcasecmp(names[i], name) == 0)
                        return json_object_new_string(names[i]);
        }
        if (strcmp(name, "TYPE_UNSPECIFIED") != 0)
                json_fail(r, at, "type", "expected STRING, NUMBER, INTEGER, BOOLEAN, ARRAY, OBJECT or NULL");
        return NULL;
}

/* Properties in the order that propertyOrdering asks for: other dialects have no such member, but keep the
 * order. */
static json_object *properties(struct json_reader *r, json_object *value, json_object *ordering,
                               const struct json_path *at)
{
        json_object *out = json_object_new_object();
        size_t count =
                json_object_is_type(ordering, json_type_array) ? json_object_array_length(ordering) : 0;
        for (size_t i = 0; i < count; i++) {
                json_object *name = json_object_array_get_idx(ordering, i), *first;
                if (json_object_is_type(name, json_type_string) &&
                    json_object_object_get_ex(value, json_object_get_string(name), &first))
                        put(out, json_object_get_string(name), NULL);
        }
        json_object_object_foreach(value, key, schema)
        {
                struct json_path here = {.up = at, .key = key};
                put(out, key, schema_decode(r, schema, &here));
        }
        return out;
}

static json_object *schema_list(struct json_reader *r, json_object *value, const struct json_path *at)
{
        json_object *out = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(value); i++) {
                struct json_path here = {.up = at, .index = i};
                json_object_array_add(out, schema_decode(r, json_object_array_get_idx(value, i), &here));
        }
        return out;
}

static void allow_null(json_object *out)
{
        json_object *type = json_peek(out, "type"), *list = json_peek_array(out, "enum");
        json_object *any = json_peek_array(out, "anyOf");
        if (json_object_is_type(type, json_type_string)) {
                json_object *types = json_object_new_array();
                json_object_array_add(types, json_object_get(type));
                json_object_array_add(types, json_object_new_string("null"));
                put(out, "type", types);
        }
        if (list) {
                json_object *with = json_object_new_array();
                for (size_t i = 0; i < json_object_array_length(list); i++)
                        json_object_array_add(with, json_object_get(json_object_array_get_idx(list, i)));
                json_object_array_add(with, NULL);
                put(out, "enum", with);
        }
        if (any) {
                json_object *null_type = json_object_new_object();
                put(null_type, "type", json_object_new_string("null"));
                json_object_array_add(any, null_type);
        }
}

static bool is_one_of(const char *name, const char *const *names)
{
        while (*names && strcmp(*names, name) != 0)
                names++;
        return *names != NULL;
}

static void schema_member(struct json_reader *r, json_object *schema, const char *key, json_object *value,
                          json_object *out, const struct json_path *at)
{
        static const char *const counts[] = {"minItems",      "maxItems",      "minLength", "maxLength",
                                             "minProperties", "maxProperties", NULL};
        static const char *const subs[] = {"items", "additionalProperties", "not", NULL};
        static const char *const lists[] = {"anyOf", "oneOf", "allOf", "prefixItems", NULL};
        static const char *const gone[] = {"nullable", "propertyOrdering", NULL};
        const char *name = gemini_camel(r->arena, key);
        struct json_path here = {.up = at, .key = key};
        gemini_key(r, schema, at, name); /* both spellings: an error */
        if (!value || is_one_of(name, gone))
                return;
        if (strcmp(name, "type") == 0) {
                json_object *type = type_name(r, value, at);
                if (type)
                        put(out, name, type);
        } else if (strcmp(name, "format") == 0 && json_object_is_type(value, json_type_string) &&
                   strcmp(json_object_get_string(value), "enum") == 0) {
                return; /* says no more than `enum` does */
        } else if (strcmp(name, "example") == 0) {
                json_object *examples = json_object_new_array();
                json_object_array_add(examples, json_object_get(value));
                put(out, "examples", examples);
        } else if (is_one_of(name, counts)) {
                put(out, name, whole_number(value));
        } else if (is_one_of(name, subs) && json_object_is_type(value, json_type_object)) {
                put(out, name, schema_decode(r, value, &here));
        } else if (is_one_of(name, lists) && json_object_is_type(value, json_type_array)) {
                put(out, name, schema_list(r, value, &here));
        } else if (strcmp(name, "properties") == 0 && json_object_is_type(value, json_type_object)) {
                json_object *ordering = json_peek_array(schema, "propertyOrdering");
                if (!ordering)
                        ordering = json_peek_array(schema, "property_ordering");
                put(out, name, properties(r, value, ordering, &here));
        } else {
                put(out, name, json_object_get(value));
        }
}

static json_object *schema_decode(struct json_reader *r, json_object *schema, const struct json_path *at)
{
        if (!json_object_is_type(schema, json_type_object))
                return json_object_get(schema);
        json_object *out = json_object_new_object();
        bool nullable = false;
        json_get_bool(r, schema, at, "nullable", &nullable);
        json_object_object_foreach(schema, key, value)
        {
                schema_member(r, schema, key, value, out, at);
        }
        if (nullable)
                allow_null(out);
        return out;
}

json_object *gemini_schema_decode(struct json_reader *r, json_object *schema, const struct json_path *at)
{
        json_object *out = schema_decode(r, schema, at);
        arena_defer(r->arena, gemini_release_json, out);
        return out;
}
