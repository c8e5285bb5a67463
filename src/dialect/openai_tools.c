#include "dialect/openai.h"

static void decode_function(struct json_reader *r, json_object *function, const struct json_path *at,
                            struct chat_tool *t)
{
        bool strict;
        if (!json_need_string(r, function, at, "name", &t->name))
                return;
        if (!*t->name)
                json_fail(r, at, "name", "is empty");
        json_get_string(r, function, at, "description", &t->description);
        json_get_object(r, function, at, "parameters", &t->parameters);
        if (json_get_bool(r, function, at, "strict", &strict))
                t->strict = strict ? TRI_YES : TRI_NO;
        json_get_object(r, function, at, "cache_control", &t->cache_control);
}

static void decode_tool(struct json_reader *r, json_object *tool, const struct json_path *at,
                        struct chat_tool *t)
{
        json_object *in;
        const char *type;
        if (!json_need_string(r, tool, at, "type", &type))
                return;
        struct json_path inside = {.up = at, .key = type};
        if (strcmp(type, "function") == 0) {
                if (json_need_object(r, tool, at, "function", &in))
                        decode_function(r, in, &inside, t);
                json_get_object(r, tool, at, "cache_control", &t->cache_control);
                return;
        }
        t->raw = tool;
        t->raw_dialect = DIALECT_OPENAI;
        t->raw_type = type;
        if (strcmp(type, "custom") == 0 && json_need_object(r, tool, at, "custom", &in))
                json_need_string(r, in, &inside, "name", &t->name);
}

static void decode_list(struct json_reader *r, json_object *body, const char *key, bool wrapped,
                        struct chat_request *out)
{
        struct json_path in = {.key = key};
        json_object *list;
        if (!json_get_array(r, body, NULL, key, &list))
                return;
        size_t count = json_object_array_length(list);
        if (count > OPENAI_TOOLS_MAX)
                json_fail(r, NULL, key, "at most %d tools", OPENAI_TOOLS_MAX);
        for (size_t i = 0; i < count && r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &in, .index = i};
                json_object *tool = json_object_array_get_idx(list, i);
                struct chat_tool *t = chat_add_tool(r->arena, out);
                t->path = json_path_text(r->arena, &item, NULL);
                if (!json_object_is_type(tool, json_type_object))
                        json_fail(r, &item, NULL, "expected an object, got %s", json_type_text(tool));
                else if (wrapped)
                        decode_tool(r, tool, &item, t);
                else
                        decode_function(r, tool, &item, t);
        }
}

static bool is_tool(const struct chat_request *out, const char *name)
{
        for (const struct chat_tool *t = out->tools; t; t = t->next) {
                if (t->name && strcmp(t->name, name) == 0)
                        return true;
        }
        return false;
}

static void choose_named(struct json_reader *r, json_object *in, const struct json_path *at,
                         struct chat_request *out)
{
        out->tool_choice = TOOL_CHOICE_NAMED;
        if (json_need_string(r, in, at, "name", &out->tool_choice_name) &&
            !is_tool(out, out->tool_choice_name))
                json_fail(r, at, "name", "names no tool of this request");
}

static void decode_allowed(struct json_reader *r, json_object *choice, const struct json_path *at,
                           struct chat_request *out)
{
        static const char *const modes[] = {"auto", "required", NULL};
        struct json_path in = {.up = at, .key = "allowed_tools"}, list_at = {.up = &in, .key = "tools"};
        json_object *allowed, *list, *function;
        const char *mode = modes[0], *name, *type;
        if (!json_need_object(r, choice, at, "allowed_tools", &allowed))
                return;
        openai_get_word(r, allowed, &in, "mode", modes, &mode);
        out->tool_choice = mode == modes[0] ? TOOL_CHOICE_AUTO : TOOL_CHOICE_REQUIRED;
        if (!json_need_array(r, allowed, &in, "tools", &list))
                return;
        size_t count = json_object_array_length(list);
        if (!count || count > OPENAI_TOOLS_MAX)
                json_fail(r, &in, "tools", "must hold 1 to %d tools", OPENAI_TOOLS_MAX);
        for (size_t i = 0; i < count && r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &list_at, .index = i};
                json_object *tool = json_object_array_get_idx(list, i);
                if (!json_object_is_type(tool, json_type_object)) {
                        json_fail(r, &item, NULL, "expected an object, got %s", json_type_text(tool));
                        return;
                }
                if (!json_need_string(r, tool, &item, "type", &type))
                        return;
                struct json_path inside = {.up = &item, .key = type};
                if (!json_need_object(r, tool, &item, type, &function) ||
                    !json_need_string(r, function, &inside, "name", &name))
                        return;
                if (!is_tool(out, name))
                        json_fail(r, &inside, "name", "names no tool of this request");
                chat_add_name(r->arena, &out->allowed_tools, name);
        }
}

static void decode_choice_word(struct json_reader *r, json_object *body, const char *key,
                               const char *const *words, struct chat_request *out)
{
        static const enum tool_choice choices[] = {TOOL_CHOICE_NONE, TOOL_CHOICE_AUTO, TOOL_CHOICE_REQUIRED};
        const char *word;
        size_t i = 0;
        if (!openai_get_word(r, body, NULL, key, words, &word))
                return;
        while (words[i] != word)
                i++;
        out->tool_choice = choices[i];
        if (out->tool_choice == TOOL_CHOICE_REQUIRED && !out->tools)
                json_fail(r, NULL, key, "\"required\" needs tools");
}

static void decode_choice(struct json_reader *r, json_object *body, struct chat_request *out)
{
        static const char *const words[] = {"none", "auto", "required", NULL};
        static const char *const types[] = {"function", "custom", "allowed_tools", NULL};
        struct json_path at = {.key = "tool_choice"};
        json_object *choice = json_peek(body, "tool_choice"), *in;
        const char *type;
        if (json_object_is_type(choice, json_type_string)) {
                decode_choice_word(r, body, "tool_choice", words, out);
                return;
        }
        if (!json_get_object(r, body, NULL, "tool_choice", &choice))
                return;
        if (!openai_get_word(r, choice, &at, "type", types, &type)) {
                json_fail(r, &at, "type", "is required");
                return;
        }
        struct json_path inside = {.up = &at, .key = type};
        if (type == types[2])
                decode_allowed(r, choice, &at, out);
        else if (json_need_object(r, choice, &at, type, &in))
                choose_named(r, in, &inside, out);
}

/* Deprecated: "none", "auto" or {name}. */
static void decode_function_call(struct json_reader *r, json_object *body, struct chat_request *out)
{
        static const char *const words[] = {"none", "auto", NULL};
        struct json_path at = {.key = "function_call"};
        json_object *choice = json_peek(body, "function_call");
        if (!choice)
                return;
        if (json_peek(body, "tool_choice"))
                json_fail(r, NULL, "function_call",
                          "given together with tool_choice, which is the same field");
        if (json_object_is_type(choice, json_type_string))
                decode_choice_word(r, body, "function_call", words, out);
        else if (json_get_object(r, body, NULL, "function_call", &choice))
                choose_named(r, choice, &at, out);
}

void openai_decode_tools(struct json_reader *r, json_object *body, struct chat_request *out)
{
        bool parallel;
        if (json_peek(body, "tools") && json_peek(body, "functions"))
                json_fail(r, NULL, "functions", "given together with tools, which is the same field");
        decode_list(r, body, "tools", true, out);
        decode_list(r, body, "functions", false, out);
        decode_choice(r, body, out);
        decode_function_call(r, body, out);
        if (json_get_bool(r, body, NULL, "parallel_tool_calls", &parallel))
                out->parallel_tools = parallel ? TRI_YES : TRI_NO;
}
