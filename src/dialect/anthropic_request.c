#include "dialect/anthropic.h"

#include <string.h>

enum { EXTRAS_MAX = 64, STOP_MAX = 256, MAX_TOKENS_MAX = 1000000000 };

static void release_json(void *node)
{
        json_object_put(node);
}

static bool in_list(const char *const *list, const char *name)
{
        while (*list && strcmp(*list, name) != 0)
                list++;
        return *list;
}

json_object *anthropic_other_members(struct arena *a, json_object *obj, const char *const *known)
{
        json_object *others = NULL;
        json_object_object_foreach(obj, key, value)
        {
                if (!value || in_list(known, key))
                        continue;
                if (!others) {
                        others = json_object_new_object();
                        arena_defer(a, release_json, others);
                }
                json_object_object_add(others, key, json_object_get(value));
        }
        return others;
}

/* What another dialect may go without: the answer is the same to the caller. */
static const char *const hints[] = {
        "speed",
        "diagnostics",
        "betas",
        "fallbacks",
        "fallback_credit_token",
        "compaction",
        "billing_policy",
        "context_management",
        "output_config.task_budget",
        NULL,
};

/* Members of obj that the canonical form does not know become extras, named with their parent. */
static bool add_extras(struct anthropic_reader *r, json_object *obj, const char *parent,
                       const char *const *known)
{
        json_object *others = anthropic_other_members(r->json.arena, obj, known);
        if (!others)
                return true;
        size_t count = 0;
        for (struct chat_extra *e = r->request->extras; e; e = e->next)
                count++;
        json_object_object_foreach(others, key, value)
        {
                if (++count > EXTRAS_MAX)
                        return json_fail(&r->json, NULL, NULL, "too many unknown members");
                if (chat_name_is_twin(known, key) ||
                    strpbrk(key, ".:")) /* would read like a member of another, or a header */
                        return json_fail(&r->json, NULL, key, "Extra inputs are not permitted");
                const char *name = *parent ? arena_printf(r->json.arena, "%s.%s", parent, key) : key;
                chat_add_extra(r->json.arena, &r->request->extras, name, value, in_list(hints, name));
        }
        return true;
}

/* ---- system ---- */

static void read_system(struct anthropic_reader *r, json_object *root)
{
        json_object *node;
        if (!json_get_any(root, "system", &node))
                return;
        const struct json_path at = {.key = "system"};
        struct chat_message *m = chat_add_message(r->json.arena, r->request, CHAT_SYSTEM);
        m->path = "system";
        anthropic_read_content(r, node, &at, m);
}

/* ---- messages ---- */

static bool read_role(struct anthropic_reader *r, json_object *node, const struct json_path *at,
                      enum chat_role *role)
{
        static const struct {
                const char *name;
                enum chat_role role;
        } roles[] = {{"user", CHAT_USER}, {"assistant", CHAT_ASSISTANT}, {"system", CHAT_SYSTEM}};
        const char *name;
        if (!json_need_string(&r->json, node, at, "role", &name))
                return false;
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
                if (strcmp(roles[i].name, name) == 0) {
                        *role = roles[i].role;
                        return true;
                }
        }
        return json_fail(&r->json, at, "role", "must be one of user, assistant, system");
}

static bool read_messages(struct anthropic_reader *r, json_object *root)
{
        json_object *list, *content;
        if (!json_need_array(&r->json, root, NULL, "messages", &list))
                return false;
        const struct json_path messages = {.key = "messages"};
        size_t count = json_object_array_length(list);
        if (count == 0)
                return json_fail(&r->json, &messages, NULL, "at least one message is required");
        for (size_t i = 0; i < count; i++) {
                const struct json_path at = {.up = &messages, .index = i};
                json_object *node = json_object_array_get_idx(list, i);
                enum chat_role role = CHAT_USER;
                if (!json_object_is_type(node, json_type_object))
                        return json_fail(&r->json, &at, NULL, "expected an object, got %s",
                                         json_type_text(node));
                if (!read_role(r, node, &at, &role))
                        return false;
                const struct json_path content_at = {.up = &at, .key = "content"};
                if (!json_get_any(node, "content", &content))
                        return json_fail(&r->json, &content_at, NULL, "Field required");
                struct chat_message *m = chat_add_message(r->json.arena, r->request, role);
                m->path = json_path_text(r->json.arena, &at, NULL);
                if (!anthropic_read_content(r, content, &content_at, m))
                        return false;
        }
        return true;
}

/* ---- tools ---- */

static bool read_tool(struct anthropic_reader *r, json_object *node, const struct json_path *at)
{
        static const char *const known[] = {"type",   "name",          "description", "input_schema",
                                            "strict", "cache_control", NULL};
        if (!json_object_is_type(node, json_type_object))
                return json_fail(&r->json, at, NULL, "expected an object, got %s", json_type_text(node));
        const char *type = "custom";
        json_get_string(&r->json, node, at, "type", &type);
        struct chat_tool *t = chat_add_tool(r->json.arena, r->request);
        t->path = json_path_text(r->json.arena, at, NULL);
        json_get_object(&r->json, node, at, "cache_control", &t->cache_control);
        if (strcmp(type, "custom") != 0) {
                json_get_string(&r->json, node, at, "name", &t->name);
                t->raw = node;
                t->raw_dialect = DIALECT_ANTHROPIC;
                t->raw_type = type;
                return r->json.err->cause == ERR_NONE;
        }
        bool strict;
        if (json_get_bool(&r->json, node, at, "strict", &strict))
                t->strict = strict ? TRI_YES : TRI_NO;
        json_get_string(&r->json, node, at, "description", &t->description);
        t->extra = anthropic_other_members(r->json.arena, node, known);
        if (!json_need_string(&r->json, node, at, "name", &t->name) ||
            !json_need_object(&r->json, node, at, "input_schema", &t->parameters))
                return false;
        return *t->name || json_fail(&r->json, at, "name", "must not be empty");
}

static bool read_tools(struct anthropic_reader *r, json_object *root)
{
        json_object *list;
        if (!json_get_array(&r->json, root, NULL, "tools", &list))
                return r->json.err->cause == ERR_NONE;
        const struct json_path tools = {.key = "tools"};
        size_t count = json_object_array_length(list);
        for (size_t i = 0; i < count; i++) {
                const struct json_path at = {.up = &tools, .index = i};
                if (!read_tool(r, json_object_array_get_idx(list, i), &at))
                        return false;
        }
        return true;
}

static bool read_tool_choice(struct anthropic_reader *r, json_object *root)
{
        static const struct {
                const char *name;
                enum tool_choice choice;
        } choices[] = {{"auto", TOOL_CHOICE_AUTO},
                       {"any", TOOL_CHOICE_REQUIRED},
                       {"tool", TOOL_CHOICE_NAMED},
                       {"none", TOOL_CHOICE_NONE}};
        const struct json_path at = {.key = "tool_choice"};
        struct chat_request *q = r->request;
        json_object *node;
        const char *type;
        bool serial;
        if (!json_get_object(&r->json, root, NULL, "tool_choice", &node))
                return r->json.err->cause == ERR_NONE;
        if (!json_need_string(&r->json, node, &at, "type", &type))
                return false;
        for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
                if (strcmp(choices[i].name, type) == 0)
                        q->tool_choice = choices[i].choice;
        }
        if (q->tool_choice == TOOL_CHOICE_UNSET)
                return json_fail(&r->json, &at, "type", "must be one of auto, any, tool, none");
        if (json_get_bool(&r->json, node, &at, "disable_parallel_tool_use", &serial))
                q->parallel_tools = serial ? TRI_NO : TRI_YES;
        if (q->tool_choice == TOOL_CHOICE_NAMED)
                json_need_string(&r->json, node, &at, "name", &q->tool_choice_name);
        return r->json.err->cause == ERR_NONE;
}

/* ---- thinking and output ---- */

static bool read_budget(struct anthropic_reader *r, json_object *node, const struct json_path *at)
{
        struct chat_request *q = r->request;
        if (!json_get_int(&r->json, node, at, "budget_tokens", ANTHROPIC_BUDGET_MIN, MAX_TOKENS_MAX,
                          &q->reasoning.budget_tokens))
                return json_fail(&r->json, at, "budget_tokens", "Field required");
        if (q->max_tokens.set && q->reasoning.budget_tokens >= q->max_tokens.value)
                return json_fail(&r->json, at, "budget_tokens", "must be less than max_tokens");
        return true;
}

static bool read_thinking(struct anthropic_reader *r, json_object *root)
{
        static const struct {
                const char *name;
                enum thinking_mode mode;
        } modes[] = {{"enabled", THINKING_BUDGET},
                     {"adaptive", THINKING_ADAPTIVE},
                     {"disabled", THINKING_OFF},
                     {"between_tools", THINKING_BETWEEN_TOOLS}};
        const struct json_path at = {.key = "thinking"};
        struct chat_reasoning *t = &r->request->reasoning;
        json_object *node, *binding;
        const char *type, *display;
        if (!json_get_object(&r->json, root, NULL, "thinking", &node))
                return r->json.err->cause == ERR_NONE;
        if (!json_need_string(&r->json, node, &at, "type", &type))
                return false;
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
                if (strcmp(modes[i].name, type) == 0)
                        t->mode = modes[i].mode;
        }
        if (t->mode == THINKING_UNSET)
                return json_fail(&r->json, &at, "type",
                                 "must be one of enabled, adaptive, disabled, between_tools");
        if (t->mode == THINKING_BUDGET) {
                t->show = TRI_YES; /* the default of the models that take a budget */
                read_budget(r, node, &at);
        }
        if (json_get_string(&r->json, node, &at, "display", &display))
                t->show = strcmp(display, "omitted") == 0 ? TRI_NO : TRI_YES;
        if (json_get_any(node, "block_binding", &binding))
                chat_add_extra(r->json.arena, &r->request->extras, "thinking.block_binding", binding, true);
        return r->json.err->cause == ERR_NONE;
}

static bool read_format(struct anthropic_reader *r, json_object *format, const struct json_path *at)
{
        const char *type;
        struct chat_request *q = r->request;
        if (q->response_format != FORMAT_UNSET)
                return json_fail(&r->json, at, NULL,
                                 "given twice, as output_format and as output_config.format");
        if (!json_need_string(&r->json, format, at, "type", &type))
                return false;
        if (strcmp(type, "json_schema") != 0)
                return json_fail(&r->json, at, "type", "must be json_schema");
        q->response_format = FORMAT_JSON_SCHEMA;
        return json_need_object(&r->json, format, at, "schema", &q->schema);
}

static bool read_effort(struct anthropic_reader *r, json_object *config, const struct json_path *at)
{
        const char *name;
        if (!json_get_string(&r->json, config, at, "effort", &name))
                return r->json.err->cause == ERR_NONE;
        enum effort effort = effort_parse(name);
        if (effort < EFFORT_LOW)
                return json_fail(&r->json, at, "effort", "must be one of low, medium, high, xhigh, max");
        r->request->reasoning.effort = effort;
        return true;
}

static bool read_output(struct anthropic_reader *r, json_object *root)
{
        static const char *const known[] = {"effort", "format", NULL};
        const struct json_path config_at = {.key = "output_config"}, old_at = {.key = "output_format"},
                               format_at = {.up = &config_at, .key = "format"};
        json_object *config, *format;
        if (json_get_object(&r->json, root, NULL, "output_format", &format))
                read_format(r, format, &old_at);
        if (json_get_object(&r->json, root, NULL, "output_config", &config)) {
                read_effort(r, config, &config_at);
                if (json_get_object(&r->json, config, &config_at, "format", &format))
                        read_format(r, format, &format_at);
                add_extras(r, config, "output_config", known);
        }
        return r->json.err->cause == ERR_NONE;
}

/* ---- the rest ---- */

static void read_number(struct anthropic_reader *r, json_object *root, const char *key, double max,
                        struct opt_number *out)
{
        out->set = json_get_number(&r->json, root, NULL, key, 0, max, &out->value);
}

static bool read_sampling(struct anthropic_reader *r, json_object *root)
{
        static const char *const fields[] = {"temperature", "top_p", "top_k"};
        for (size_t i = 0; r->strict && i < sizeof fields / sizeof *fields; i++) {
                if (json_object_object_get_ex(root, fields[i], NULL))
                        return json_fail(&r->json, NULL, fields[i], "Extra inputs are not permitted");
        }
        struct chat_request *q = r->request;
        read_number(r, root, "temperature", 1, &q->temperature);
        read_number(r, root, "top_p", 1, &q->top_p);
        q->top_k.set = json_get_int(&r->json, root, NULL, "top_k", 0, INT32_MAX, &q->top_k.value);
        return r->json.err->cause == ERR_NONE;
}

static bool read_stop(struct anthropic_reader *r, json_object *root)
{
        json_object *list;
        if (!json_get_array(&r->json, root, NULL, "stop_sequences", &list))
                return r->json.err->cause == ERR_NONE;
        size_t count = json_object_array_length(list);
        if (count > STOP_MAX)
                return json_fail(&r->json, NULL, "stop_sequences", "at most %d", STOP_MAX);
        const struct json_path stops = {.key = "stop_sequences"};
        for (size_t i = 0; i < count; i++) {
                const struct json_path at = {.up = &stops, .index = i};
                json_object *node = json_object_array_get_idx(list, i);
                const char *text =
                        json_object_is_type(node, json_type_string) ? json_object_get_string(node) : NULL;
                if (!text || strlen(text) != (size_t)json_object_get_string_len(node))
                        return json_fail(&r->json, &at, NULL, "expected a string without NUL");
                chat_add_name(r->json.arena, &r->request->stop, text);
        }
        return true;
}

static void read_hints(struct anthropic_reader *r, json_object *root)
{
        static const char *const known[] = {"user_id", NULL};
        const struct json_path at = {.key = "metadata"};
        json_object *metadata;
        if (json_get_object(&r->json, root, NULL, "metadata", &metadata)) {
                json_get_string(&r->json, metadata, &at, "user_id", &r->request->user);
                add_extras(r, metadata, "metadata", known);
        }
        json_get_string(&r->json, root, NULL, "service_tier", &r->request->service_tier);
        json_get_bool(&r->json, root, NULL, "stream", &r->request->stream);
}

static void read_betas(struct anthropic_reader *r, const char *betas)
{
        if (!betas || !*betas)
                return;
        json_object *value = json_object_new_string(betas);
        arena_defer(r->json.arena, release_json, value);
        chat_add_extra(r->json.arena, &r->request->extras, ANTHROPIC_BETAS, value, true);
}

bool anthropic_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err)
{
        static const char *const known[] = {
                "model",       "max_tokens",  "messages", "system",        "stream",        "stop_sequences",
                "tools",       "tool_choice", "thinking", "output_config", "output_format", "metadata",
                "temperature", "top_p",       "top_k",    "service_tier",  "cache_control", NULL,
        };
        *out = (struct chat_request){.from = DIALECT_ANTHROPIC, .api_version = in->api_version};
        json_object *root = json_parse(in->arena, in->body.at, in->body.len, JSON_FROM_CLIENT, err);
        if (!root)
                return false;
        if (!json_object_is_type(root, json_type_object))
                return err_set(err, in->arena, ERR_BAD_REQUEST, NULL, "expected an object, got %s",
                               json_type_text(root));
        struct anthropic_reader r = {
                .json = {.arena = in->arena, .err = err},
                .request = out,
                .strict = in->api_version && strcmp(in->api_version, ANTHROPIC_VERSION_STRICT) >= 0,
        };
        json_need_string(&r.json, root, NULL, "model", &out->model);
        out->max_tokens.set =
                json_get_int(&r.json, root, NULL, "max_tokens", 0, MAX_TOKENS_MAX, &out->max_tokens.value);
        if (!out->max_tokens.set)
                return json_fail(&r.json, NULL, "max_tokens", "Field required");
        read_hints(&r, root);
        json_get_object(&r.json, root, NULL, "cache_control", &out->cache_control);
        return read_sampling(&r, root) && read_thinking(&r, root) && read_output(&r, root) &&
               read_stop(&r, root) && read_tools(&r, root) && read_tool_choice(&r, root) &&
               (read_system(&r, root), true) && err->cause == ERR_NONE && read_messages(&r, root) &&
               add_extras(&r, root, "", known) && (read_betas(&r, in->betas), err->cause == ERR_NONE);
}
