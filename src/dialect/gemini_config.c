#include "dialect/gemini.h"

#include <string.h>
#include <strings.h>

enum { NAMES_LIST_MAX = 1024, TOKENS_MAX = 1000000000 };

static struct json_path config_at(const char *key)
{
        return (struct json_path){.key = key};
}

/* ---- generationConfig ---- */

struct config {
        struct gemini_decode *d;
        json_object *node;
        struct json_path at;
};

static const char *key_of(struct config *c, const char *camel)
{
        return gemini_key(&c->d->r, c->node, &c->at, camel);
}

static void get_int(struct config *c, const char *camel, int64_t min, int64_t max, struct opt_int *out)
{
        out->set = json_get_int(&c->d->r, c->node, &c->at, key_of(c, camel), min, max, &out->value);
}

static void get_number(struct config *c, const char *camel, double min, double max, struct opt_number *out)
{
        out->set = json_get_number(&c->d->r, c->node, &c->at, key_of(c, camel), min, max, &out->value);
}

static void get_names(struct gemini_decode *d, json_object *list, const struct json_path *at,
                      struct chat_name **out)
{
        size_t count = json_object_array_length(list);
        if (count > NAMES_LIST_MAX)
                json_fail(&d->r, at, NULL, "has more than %d entries", NAMES_LIST_MAX);
        for (size_t i = 0; i < count && d->r.err->cause == ERR_NONE; i++) {
                json_object *name = json_object_array_get_idx(list, i);
                struct json_path here = {.up = at, .index = i};
                if (!json_object_is_type(name, json_type_string))
                        json_fail(&d->r, &here, NULL, "expected a string, got %s", json_type_text(name));
                else
                        chat_add_name(d->arena, out, json_object_get_string(name));
        }
}

static void decode_stop(struct config *c)
{
        json_object *list = NULL;
        if (!gemini_get_array(&c->d->r, c->node, &c->at, "stopSequences", &list))
                return;
        struct json_path at = {.up = &c->at, .key = key_of(c, "stopSequences")};
        get_names(c->d, list, &at, &c->d->out->stop);
}

static json_object *find_schema(struct config *c)
{
        json_object *schema = NULL, *json_schema = NULL;
        gemini_get_object(&c->d->r, c->node, &c->at, "responseSchema", &schema);
        json_get_any(c->node, key_of(c, "responseJsonSchema"), &json_schema);
        if (schema && json_schema) {
                json_fail(&c->d->r, &c->at, "responseSchema", "and responseJsonSchema can't both be set");
                return NULL;
        }
        struct json_path at = {.up = &c->at, .key = key_of(c, "responseSchema")};
        return schema ? gemini_schema_decode(&c->d->r, schema, &at) : json_schema;
}

static void decode_format(struct config *c)
{
        struct chat_request *out = c->d->out;
        const char *type = NULL;
        gemini_get_string(&c->d->r, c->node, &c->at, "responseMimeType", &type);
        if (type && strcmp(type, "text/x.enum") == 0) {
                chat_add_extra(c->d->arena, &out->extras, "generationConfig.responseMimeType",
                               json_peek(c->node, key_of(c, "responseMimeType")), false);
                json_object *schema = json_peek(c->node, key_of(c, "responseSchema"));
                if (schema)
                        chat_add_extra(c->d->arena, &out->extras, "generationConfig.responseSchema", schema,
                                       false);
                return;
        }
        out->schema = find_schema(c);
        if (out->schema)
                out->response_format = FORMAT_JSON_SCHEMA;
        else if (type && strcmp(type, "application/json") == 0)
                out->response_format = FORMAT_JSON_OBJECT;
        else if (type && strcmp(type, "text/plain") == 0)
                out->response_format = FORMAT_TEXT;
        else if (type)
                json_fail(&c->d->r, &c->at, key_of(c, "responseMimeType"),
                          "expected text/plain or application/json");
}

static void decode_level(struct gemini_decode *d, json_object *thinking, const struct json_path *at)
{
        const char *level = NULL;
        if (!gemini_get_string(&d->r, thinking, at, "thinkingLevel", &level) ||
            strcasecmp(level, "THINKING_LEVEL_UNSPECIFIED") == 0)
                return;
        char *lower = arena_strdup(d->arena, level);
        for (char *c = lower; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        d->out->reasoning.effort = effort_parse(lower);
        if (d->out->reasoning.effort == EFFORT_UNSET)
                json_fail(&d->r, at, "thinkingLevel", "expected minimal, low, medium or high");
}

static void decode_thinking(struct config *c)
{
        struct gemini_decode *d = c->d;
        struct chat_reasoning *out = &d->out->reasoning;
        json_object *thinking = NULL;
        int64_t budget;
        bool show;
        if (!gemini_get_object(&d->r, c->node, &c->at, "thinkingConfig", &thinking))
                return;
        struct json_path at = {.up = &c->at, .key = key_of(c, "thinkingConfig")};
        if (gemini_get_bool(&d->r, thinking, &at, "includeThoughts", &show))
                out->show = show ? TRI_YES : TRI_NO;
        decode_level(d, thinking, &at);
        if (!json_get_int(&d->r, thinking, &at, gemini_key(&d->r, thinking, &at, "thinkingBudget"), -1,
                          TOKENS_MAX, &budget))
                return;
        out->budget_tokens = budget;
        if (budget == 0) {
                out->mode = THINKING_OFF;
                out->effort = EFFORT_NONE;
        } else {
                out->mode = budget < 0 ? THINKING_ADAPTIVE : THINKING_BUDGET;
        }
}

static void decode_modalities(struct config *c)
{
        json_object *list = NULL;
        if (!gemini_get_array(&c->d->r, c->node, &c->at, "responseModalities", &list))
                return;
        bool text_only = true;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *name = json_object_array_get_idx(list, i);
                if (!json_object_is_type(name, json_type_string) ||
                    strcasecmp(json_object_get_string(name), "TEXT"))
                        text_only = false;
        }
        chat_add_extra(c->d->arena, &c->d->out->extras, "generationConfig.responseModalities", list,
                       text_only);
}

static void config_extras(struct config *c)
{
        static const struct gemini_member members[] = {
                {"temperature", MEMBER_KNOWN},
                {"topP", MEMBER_KNOWN},
                {"topK", MEMBER_KNOWN},
                {"candidateCount", MEMBER_KNOWN},
                {"maxOutputTokens", MEMBER_KNOWN},
                {"stopSequences", MEMBER_KNOWN},
                {"responseMimeType", MEMBER_KNOWN},
                {"responseSchema", MEMBER_KNOWN},
                {"responseJsonSchema", MEMBER_KNOWN},
                {"responseModalities", MEMBER_KNOWN},
                {"presencePenalty", MEMBER_KNOWN},
                {"frequencyPenalty", MEMBER_KNOWN},
                {"seed", MEMBER_KNOWN},
                {"responseLogprobs", MEMBER_KNOWN},
                {"logprobs", MEMBER_KNOWN},
                {"thinkingConfig", MEMBER_KNOWN},
                {"mediaResolution", MEMBER_HINT},
                {"enableEnhancedCivicAnswers", MEMBER_HINT},
                {NULL, MEMBER_KNOWN},
        };
        json_object_object_foreach(c->node, key, value)
        {
                gemini_key(&c->d->r, c->node, &c->at, gemini_camel(c->d->arena, key));
                (void)value;
        }
        gemini_collect_extras(c->d->arena, c->node, "generationConfig.", members, &c->d->out->extras);
}

void gemini_decode_config(struct gemini_decode *d, json_object *root)
{
        struct chat_request *out = d->out;
        struct config c = {.d = d};
        const char *key = gemini_key(&d->r, root, NULL, "generationConfig");
        if (!json_get_object(&d->r, root, NULL, key, &c.node))
                return;
        c.at = config_at(key);
        get_number(&c, "temperature", 0, 2, &out->temperature);
        get_number(&c, "topP", 0, 1, &out->top_p);
        /* A float in proto, sent as 40 or 40.0. */
        get_int(&c, "topK", 0, INT32_MAX, &out->top_k);
        get_int(&c, "candidateCount", 1, 128, &out->n);
        get_int(&c, "maxOutputTokens", 1, TOKENS_MAX, &out->max_tokens);
        get_int(&c, "seed", INT32_MIN, INT32_MAX, &out->seed);
        get_number(&c, "presencePenalty", -2, 2, &out->presence_penalty);
        get_number(&c, "frequencyPenalty", -2, 2, &out->frequency_penalty);
        gemini_get_bool(&d->r, c.node, &c.at, "responseLogprobs", &out->logprobs);
        get_int(&c, "logprobs", 0, 20, &out->top_logprobs);
        decode_stop(&c);
        decode_format(&c);
        decode_thinking(&c);
        decode_modalities(&c);
        config_extras(&c);
}

/* ---- tools ---- */

static void decode_function(struct gemini_decode *d, json_object *f, const struct json_path *at)
{
        const char *name = NULL;
        json_object *schema = NULL, *json_schema = NULL;
        if (!json_object_is_type(f, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(f));
                return;
        }
        if (!json_need_string(&d->r, f, at, "name", &name))
                return;
        struct chat_tool *t = chat_add_tool(d->arena, d->out);
        t->name = name;
        t->path = json_path_text(d->arena, at, NULL);
        json_get_string(&d->r, f, at, "description", &t->description);
        json_get_object(&d->r, f, at, "parameters", &schema);
        gemini_get_object(&d->r, f, at, "parametersJsonSchema", &json_schema);
        if (schema && json_schema)
                json_fail(&d->r, at, "parameters", "and parametersJsonSchema can't both be set");
        struct json_path here = {.up = at, .key = "parameters"};
        t->parameters = schema ? gemini_schema_decode(&d->r, schema, &here) : json_schema;
}

static void decode_hosted(struct gemini_decode *d, const char *key, json_object *value,
                          const struct json_path *at)
{
        struct chat_tool *t = chat_add_tool(d->arena, d->out);
        t->raw = json_object_new_object();
        t->raw_type = gemini_camel(d->arena, key);
        json_object_object_add(t->raw, t->raw_type, json_object_get(value));
        arena_defer(d->arena, gemini_release_json, t->raw);
        t->raw_dialect = DIALECT_GEMINI;
        t->path = json_path_text(d->arena, at, key);
}

static void decode_tool(struct gemini_decode *d, json_object *tool, const struct json_path *at)
{
        json_object *list = NULL;
        if (!json_object_is_type(tool, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(tool));
                return;
        }
        const char *functions = gemini_key(&d->r, tool, at, "functionDeclarations");
        json_get_array(&d->r, tool, at, functions, &list);
        struct json_path list_at = {.up = at, .key = functions};
        for (size_t i = 0; list && i < json_object_array_length(list) && d->r.err->cause == ERR_NONE; i++) {
                struct json_path here = {.up = &list_at, .index = i};
                decode_function(d, json_object_array_get_idx(list, i), &here);
        }
        json_object_object_foreach(tool, key, value)
        {
                if (value && strcmp(key, functions) != 0)
                        decode_hosted(d, key, value, at);
        }
}

static void decode_calling(struct gemini_decode *d, json_object *calling, const struct json_path *at)
{
        struct chat_request *out = d->out;
        const char *mode = "AUTO";
        json_object *names = NULL;
        gemini_get_string(&d->r, calling, at, "mode", &mode);
        if (gemini_get_array(&d->r, calling, at, "allowedFunctionNames", &names)) {
                struct json_path here = {.up = at, .key = "allowedFunctionNames"};
                get_names(d, names, &here, &out->allowed_tools);
        }
        if (strcasecmp(mode, "MODE_UNSPECIFIED") == 0)
                out->tool_choice = TOOL_CHOICE_UNSET;
        else if (strcasecmp(mode, "AUTO") == 0 || strcasecmp(mode, "VALIDATED") == 0)
                out->tool_choice = TOOL_CHOICE_AUTO;
        else if (strcasecmp(mode, "NONE") == 0)
                out->tool_choice = TOOL_CHOICE_NONE;
        else if (strcasecmp(mode, "ANY") == 0)
                out->tool_choice = TOOL_CHOICE_REQUIRED;
        else
                json_fail(&d->r, at, "mode", "expected AUTO, ANY, NONE or VALIDATED");
        if (out->tool_choice == TOOL_CHOICE_REQUIRED && out->allowed_tools && !out->allowed_tools->next) {
                out->tool_choice = TOOL_CHOICE_NAMED;
                out->tool_choice_name = out->allowed_tools->name;
                out->allowed_tools = NULL;
        }
}

static void decode_tool_config(struct gemini_decode *d, json_object *root)
{
        static const struct gemini_member members[] = {
                {"functionCallingConfig", MEMBER_KNOWN},
                {"includeServerSideToolInvocations", MEMBER_HINT},
                {"retrievalConfig", MEMBER_HINT},
                {NULL, MEMBER_KNOWN},
        };
        const char *key = gemini_key(&d->r, root, NULL, "toolConfig");
        json_object *config = NULL, *calling = NULL;
        if (!json_get_object(&d->r, root, NULL, key, &config))
                return;
        struct json_path at = {.key = key};
        if (gemini_get_object(&d->r, config, &at, "functionCallingConfig", &calling)) {
                struct json_path here = {.up = &at, .key = "functionCallingConfig"};
                decode_calling(d, calling, &here);
        }
        gemini_collect_extras(d->arena, config, "toolConfig.", members, &d->out->extras);
}

void gemini_decode_tools(struct gemini_decode *d, json_object *root)
{
        json_object *tools = NULL;
        struct json_path at = {.key = "tools"};
        if (json_get_array(&d->r, root, NULL, "tools", &tools)) {
                for (size_t i = 0; i < json_object_array_length(tools) && d->r.err->cause == ERR_NONE; i++) {
                        struct json_path here = {.up = &at, .index = i};
                        decode_tool(d, json_object_array_get_idx(tools, i), &here);
                }
        }
        decode_tool_config(d, root);
}
