/*
 * Schemas for output_config.format and for strict tools: the vendor takes a part of JSON Schema. Objects must
 * close themselves, and limits of numbers and lengths, among others, are refused: like the vendor's own SDK,
 * what can't be said as a rule is said in the description, oneOf is said as anyOf, and a $ref stands alone.
 */
#include "dialect/anthropic.h"

#include <string.h>

enum { DESCRIPTION_MAX = 16 * 1024 };

static const char *const refused[] = {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "prefixItems",
        "minProperties",
        "maxProperties",
        "propertyNames",
        "patternProperties",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "unevaluatedItems",
        "not",
        "if",
        "then",
        "else",
        NULL,
};
static const char *const formats[] = {"date-time", "time", "date", "duration", "email", "hostname",
                                      "uri",       "ipv4", "ipv6", "uuid",     NULL};
/* Members that hold schemas by name, where a member's name is no keyword. */
static const char *const maps[] = {"properties", "$defs", "definitions", NULL};
/* Members whose value is plain data. */
static const char *const data[] = {"enum", "const", "default", "examples", "example", "required", NULL};

static bool listed(const char *const *list, const char *name)
{
        while (*list && strcmp(*list, name) != 0)
                list++;
        return *list;
}

static bool is_refused(const char *key, json_object *value)
{
        if (strcmp(key, "minItems") == 0) /* 0 and 1 are taken */
                return json_object_get_int64(value) > 1;
        if (strcmp(key, "format") == 0)
                return !json_object_is_type(value, json_type_string) ||
                       !listed(formats, json_object_get_string(value));
        return listed(refused, key);
}

/* True when the schema is of an object: by type, or because it has properties. */
static bool is_object_schema(json_object *schema)
{
        json_object *type = json_peek(schema, "type");
        if (json_object_is_type(type, json_type_string))
                return strcmp(json_object_get_string(type), "object") == 0;
        size_t count = json_object_is_type(type, json_type_array) ? json_object_array_length(type) : 0;
        for (size_t i = 0; i < count; i++) {
                json_object *one = json_object_array_get_idx(type, i);
                if (json_object_is_type(one, json_type_string) &&
                    strcmp(json_object_get_string(one), "object") == 0)
                        return true;
        }
        return !type && json_peek_object(schema, "properties");
}

static void write_description(struct json_writer *w, json_object *schema)
{
        struct buf text;
        struct str own = json_peek_str(schema, "description");
        bool any = false;
        buf_init(&text, DESCRIPTION_MAX + own.len);
        buf_add_str(&text, own);
        json_object_object_foreach(schema, key, value)
        {
                if (!value || !is_refused(key, value))
                        continue;
                buf_addf(&text, "%s%s: %s",
                         any       ? ", "
                         : own.len ? "\n\n{"
                                   : "{",
                         key, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
                any = true;
        }
        if (any)
                buf_adds(&text, "}");
        if (own.at || any)
                jw_key_str(w, "description", (struct str){text.data ? text.data : "", text.len});
        buf_release(&text);
}

static void write_map(struct json_writer *w, json_object *map)
{
        jw_object(w);
        json_object_object_foreach(map, key, value)
        {
                jw_key(w, key);
                anthropic_write_schema(w, value);
        }
        jw_end(w);
}

static void write_list(struct json_writer *w, json_object *list)
{
        size_t count = json_object_array_length(list);
        jw_array(w);
        for (size_t i = 0; i < count; i++)
                anthropic_write_schema(w, json_object_array_get_idx(list, i));
        jw_end(w);
}

/* A reference, with nothing beside it but the definitions that it may point to. */
static void write_reference(struct json_writer *w, json_object *schema)
{
        jw_object(w);
        jw_key_node(w, "$ref", json_peek(schema, "$ref"));
        json_object_object_foreach(schema, key, value)
        {
                bool defs = strcmp(key, "$defs") == 0 || strcmp(key, "definitions") == 0;
                if (!defs || !json_object_is_type(value, json_type_object))
                        continue;
                jw_key(w, key);
                write_map(w, value);
        }
        jw_end(w);
}

/* What is not written, or written elsewhere. */
static bool is_left_out(json_object *schema, const char *key, json_object *value, bool closes)
{
        return is_refused(key, value) || strcmp(key, "description") == 0 || strcmp(key, "$schema") == 0 ||
               (closes && strcmp(key, "additionalProperties") == 0) ||
               (strcmp(key, "oneOf") == 0 && json_peek(schema, "anyOf"));
}

/* As deep as the text that was parsed: JSON_DEPTH_MAX. */
void anthropic_write_schema(struct json_writer *w, json_object *schema)
{
        if (json_object_is_type(schema, json_type_array)) {
                write_list(w, schema);
                return;
        }
        if (!json_object_is_type(schema, json_type_object)) {
                jw_node(w, schema);
                return;
        }
        if (json_object_is_type(json_peek(schema, "$ref"), json_type_string)) {
                write_reference(w, schema);
                return;
        }
        bool closes = is_object_schema(schema);
        jw_object(w);
        json_object_object_foreach(schema, key, value)
        {
                if (is_left_out(schema, key, value, closes))
                        continue;
                jw_key(w, strcmp(key, "oneOf") == 0 ? "anyOf" : key);
                if (listed(maps, key) && json_object_is_type(value, json_type_object))
                        write_map(w, value);
                else if (listed(data, key))
                        jw_node(w, value);
                else
                        anthropic_write_schema(w, value);
        }
        write_description(w, schema);
        if (closes)
                jw_key_bool(w, "additionalProperties", false);
        jw_end(w);
}
