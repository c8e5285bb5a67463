/*
 * Schemas of other dialects for responseJsonSchema and parametersJsonSchema, which take a part of JSON
 * Schema (API reference, GenerationConfig.responseJsonSchema): no const, definitions under $defs alone, and
 * beside a $ref nothing but members with $.
 */
#include "dialect/gemini.h"

#include <string.h>

/* Members that hold schemas by name, where a member's name is no keyword. */
static const char *const maps[] = {"properties", "patternProperties", "$defs", "definitions", NULL};
/* Members whose value is plain data. */
static const char *const data[] = {"enum", "default", "examples", "example", "required", NULL};

static bool listed(const char *const *list, const char *name)
{
        while (*list && strcmp(*list, name) != 0)
                list++;
        return *list;
}

static void write_map(struct json_writer *w, json_object *map)
{
        jw_object(w);
        json_object_object_foreach(map, key, value)
        {
                jw_key(w, key);
                gemini_write_schema(w, value);
        }
        jw_end(w);
}

static void write_ref(struct json_writer *w, json_object *ref)
{
        static const char old[] = "#/definitions/";
        struct str at = {json_object_get_string(ref), (size_t)json_object_get_string_len(ref)};
        struct buf text;
        buf_init(&text, at.len + 1);
        if (at.len > sizeof old - 1 && memcmp(at.at, old, sizeof old - 1) == 0) {
                buf_adds(&text, "#/$defs/");
                at = (struct str){at.at + sizeof old - 1, at.len - (sizeof old - 1)};
        }
        buf_add_str(&text, at);
        jw_key_str(w, "$ref", (struct str){text.data ? text.data : "", text.len});
        buf_release(&text);
}

static void write_member(struct json_writer *w, json_object *schema, const char *key, json_object *value)
{
        if (strcmp(key, "$schema") == 0 || (strcmp(key, "const") == 0 && json_peek(schema, "enum")) ||
            (strcmp(key, "definitions") == 0 && json_peek(schema, "$defs")))
                return;
        if (strcmp(key, "const") == 0) {
                jw_key_array(w, "enum");
                jw_node(w, value);
                jw_end(w);
                return;
        }
        jw_key(w, strcmp(key, "definitions") == 0 ? "$defs" : key);
        if (listed(maps, key) && json_object_is_type(value, json_type_object))
                write_map(w, value);
        else if (listed(data, key))
                jw_node(w, value);
        else
                gemini_write_schema(w, value);
}

/* The reference goes one level down, where it stands alone. */
static void write_reference(struct json_writer *w, json_object *schema, json_object *ref)
{
        bool alone = true;
        json_object_object_foreach(schema, name, unused)
        {
                (void)unused;
                alone = alone && (*name == '$' || strcmp(name, "definitions") == 0);
        }
        jw_object(w);
        if (alone) {
                write_ref(w, ref);
        } else {
                jw_key_array(w, "anyOf");
                jw_object(w);
                write_ref(w, ref);
                jw_end(w);
                jw_end(w);
        }
        json_object_object_foreach(schema, key, value)
        {
                if (strcmp(key, "$ref") != 0 && strcmp(key, "anyOf") != 0)
                        write_member(w, schema, key, value);
        }
        jw_end(w);
}

/* As deep as the text that was parsed: JSON_DEPTH_MAX. */
void gemini_write_schema(struct json_writer *w, json_object *schema)
{
        json_object *ref = json_peek(schema, "$ref");
        if (json_object_is_type(schema, json_type_array)) {
                size_t count = json_object_array_length(schema);
                jw_array(w);
                for (size_t i = 0; i < count; i++)
                        gemini_write_schema(w, json_object_array_get_idx(schema, i));
                jw_end(w);
        } else if (!json_object_is_type(schema, json_type_object)) {
                jw_node(w, schema);
        } else if (json_object_is_type(ref, json_type_string)) {
                write_reference(w, schema, ref);
        } else {
                jw_object(w);
                json_object_object_foreach(schema, key, value)
                {
                        write_member(w, schema, key, value);
                }
                jw_end(w);
        }
}
