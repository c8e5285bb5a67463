/* `set` and `default` of a version: fields of requests by openai's names. */
#include "config/load.h"

#include <string.h>

#include "base/json.h"

enum { JSON_MAX = 1 << 20 };

static const struct setting_field *field_find(const char *name)
{
        for (size_t i = 0; i < setting_field_count; i++) {
                if (strcmp(setting_fields[i].name, name) == 0)
                        return &setting_fields[i];
        }
        return NULL;
}

bool read_field_known(const char *name)
{
        return field_find(name) != NULL;
}

/* Spellings that other interfaces have for a field, too far from it for a misspelling. */
static const char *field_alias(const char *name)
{
        static const char *const aliases[][2] = {
                {"max_completion_tokens", "max_tokens"},
                {"max_output_tokens", "max_tokens"},
                {"maxOutputTokens", "max_tokens"},
                {"stop_sequences", "stop"},
                {"stopSequences", "stop"},
        };
        for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
                if (strcmp(aliases[i][0], name) == 0)
                        return aliases[i][1];
        }
        return name;
}

static void range_good(struct loader *l, const config_setting_t *at, const struct setting_field *f,
                       double value)
{
        if (value < f->min || value > f->max)
                load_error(l, at, "%s: must be %.15g to %.15g, not %.15g", f->name, f->min, f->max, value);
}

static void word_good(struct loader *l, const config_setting_t *at, const struct setting_field *f,
                      const char *value)
{
        const char *known = "";
        for (const struct setting_word *w = f->words; w && w->name; w++) {
                if (strcmp(w->name, value) == 0)
                        return;
                known = arena_printf(l->arena, "%s%s\"%s\"", known, *known ? ", " : "", w->name);
        }
        if (f->words)
                load_error(l, at, "%s: expected one of %s", f->name, known);
}

/* One string, or several. */
static bool read_stop(struct loader *l, const config_setting_t *at, struct config_field *out)
{
        int type = config_setting_type(at);
        bool one = type == CONFIG_TYPE_STRING;
        if (!one && type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST)
                return false;
        size_t count = one ? 1 : (size_t)config_setting_length(at);
        const char **list = arena_alloc(l->arena, (count + 1) * sizeof *list);
        for (size_t i = 0; i < count; i++) {
                const config_setting_t *element = one ? at : config_setting_get_elem(at, (unsigned)i);
                if (config_setting_type(element) != CONFIG_TYPE_STRING)
                        return false;
                list[i] = arena_strdup(l->arena, config_setting_get_string(element));
        }
        out->strings = list;
        out->string_count = count;
        return true;
}

/* False: wrong type, not reported yet. */
static bool read_value(struct loader *l, const config_setting_t *at, const struct setting_field *f,
                       struct config_field *out)
{
        switch (f->type) {
        case CONFIG_FIELD_INT:
                if (!read_whole(at, &out->integer))
                        return false;
                out->number = (double)out->integer;
                range_good(l, at, f, out->number);
                return true;
        case CONFIG_FIELD_NUMBER:
                if (!read_number(at, &out->number))
                        return false;
                range_good(l, at, f, out->number);
                return true;
        case CONFIG_FIELD_BOOL:
                if (config_setting_type(at) != CONFIG_TYPE_BOOL)
                        return false;
                out->boolean = config_setting_get_bool(at) != 0;
                return true;
        case CONFIG_FIELD_STRING:
                if (config_setting_type(at) != CONFIG_TYPE_STRING)
                        return false;
                out->string = arena_strdup(l->arena, config_setting_get_string(at));
                word_good(l, at, f, out->string);
                return true;
        default: return read_stop(l, at, out);
        }
}

static const char *field_json(struct loader *l, const struct config_field *f)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, JSON_MAX);
        json_writer_init(&w, &text);
        switch (f->type) {
        case CONFIG_FIELD_INT: jw_int(&w, f->integer); break;
        case CONFIG_FIELD_NUMBER: jw_number(&w, f->number); break;
        case CONFIG_FIELD_BOOL: jw_bool(&w, f->boolean); break;
        case CONFIG_FIELD_STRING: jw_string(&w, f->string); break;
        case CONFIG_FIELD_STRINGS:
                jw_array(&w);
                for (size_t i = 0; i < f->string_count; i++)
                        jw_string(&w, f->strings[i]);
                jw_end(&w);
                break;
        }
        const char *json = arena_strndup(l->arena, text.data, text.len);
        buf_release(&text);
        return json;
}

void read_fields(struct loader *l, const config_setting_t *at, const struct config_field **out, size_t *count)
{
        static const char *const wanted[] = {
                [CONFIG_FIELD_INT] = "a whole number",
                [CONFIG_FIELD_NUMBER] = "a number",
                [CONFIG_FIELD_BOOL] = "true or false",
                [CONFIG_FIELD_STRING] = "a string",
                [CONFIG_FIELD_STRINGS] = "a string or an array of strings",
        };
        size_t length = (size_t)config_setting_length(at);
        struct config_field *fields = arena_alloc(l->arena, (length + 1) * sizeof *fields);
        *count = 0;
        for (size_t i = 0; i < length; i++) {
                const config_setting_t *member = config_setting_get_elem(at, (unsigned)i);
                const struct setting_field *f = field_find(config_setting_name(member));
                if (!f) {
                        struct nearest nearest;
                        nearest_init(&nearest, field_alias(config_setting_name(member)));
                        for (size_t k = 0; k < setting_field_count; k++)
                                nearest_offer(&nearest, setting_fields[k].name);
                        load_error(l, member, "\"%s\" is no field that \"%s\" knows%s",
                                   config_setting_name(member), config_setting_name(at),
                                   nearest_text(l, &nearest));
                        continue;
                }
                struct config_field field = {.name = f->name, .type = f->type};
                if (!read_value(l, member, f, &field)) {
                        load_error(l, member, "%s: expected %s, found %s", f->name, wanted[f->type],
                                   read_type(member));
                        continue;
                }
                field.json = field_json(l, &field);
                fields[(*count)++] = field;
        }
        *out = fields;
}
