#include "dialect/openai.h"
#include "dialect/tool_name.h"

/* A client of this dialect knows what its server takes. */
static const char *wire_name(struct arena *a, const struct chat_request *r, const char *name)
{
        return r->from == DIALECT_OPENAI ? name : tool_name_out(a, name, DIALECT_OPENAI);
}

/* Names that only other vendors take are escaped; one that is too long even so can't be sent. */
static bool write_function(struct json_writer *w, struct arena *a, const struct chat_request *r,
                           const struct chat_tool *t, bool marks, struct err *err)
{
        const char *name = wire_name(a, r, t->name);
        if (r->from != DIALECT_OPENAI && !tool_name_fits(name, DIALECT_OPENAI)) {
                const char *path = arena_printf(a, "%s.name", t->path ? t->path : "tools");
                return err_set(err, a, ERR_UNSUPPORTED, path,
                               "%s: the target takes names of at most 64 letters", path);
        }
        jw_object(w);
        jw_key_string(w, "type", "function");
        jw_key_object(w, "function");
        jw_key_string(w, "name", name);
        if (t->description)
                jw_key_string(w, "description", t->description);
        if (t->parameters)
                jw_key_node(w, "parameters", t->parameters);
        if (t->strict != TRI_UNSET)
                jw_key_bool(w, "strict", t->strict == TRI_YES);
        jw_end(w);
        if (marks && t->cache_control)
                jw_key_node(w, "cache_control", t->cache_control);
        jw_end(w);
        return true;
}

static bool write_tools(struct json_writer *w, struct arena *a, const struct chat_request *r,
                        const struct wire_target *t, struct err *err)
{
        jw_key_array(w, "tools");
        for (const struct chat_tool *tool = r->tools; tool; tool = tool->next) {
                if (!tool->raw && !write_function(w, a, r, tool, t->caps.cache_control == TRI_YES, err))
                        return false;
                if (tool->raw && tool->raw_dialect == DIALECT_OPENAI)
                        jw_node(w, tool->raw);
                else if (tool->raw)
                        return err_set(err, a, ERR_UNSUPPORTED, tool->path,
                                       "%s: a %s tool can't be sent to %s", tool->path ? tool->path : "tools",
                                       tool->raw_type ? tool->raw_type : "hosted", t->model);
        }
        jw_end(w);
        return true;
}

static const char *type_of_tool(const struct chat_request *r, const char *name)
{
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (t->raw && t->name && strcmp(t->name, name) == 0)
                        return t->raw_type;
        }
        return "function";
}

static void write_named(struct json_writer *w, struct arena *a, const struct chat_request *r,
                        const char *name)
{
        const char *type = type_of_tool(r, name);
        jw_object(w);
        jw_key_string(w, "type", type);
        jw_key_object(w, type);
        jw_key_string(w, "name", wire_name(a, r, name));
        jw_end(w);
        jw_end(w);
}

static void write_choice(struct json_writer *w, struct arena *a, const struct chat_request *r)
{
        static const char *const words[] = {[TOOL_CHOICE_AUTO] = "auto",
                                            [TOOL_CHOICE_NONE] = "none",
                                            [TOOL_CHOICE_REQUIRED] = "required"};
        if (r->tool_choice == TOOL_CHOICE_UNSET)
                return;
        jw_key(w, "tool_choice");
        if (r->tool_choice == TOOL_CHOICE_NAMED) {
                write_named(w, a, r, r->tool_choice_name);
        } else if (r->allowed_tools && r->tool_choice != TOOL_CHOICE_NONE) {
                jw_object(w);
                jw_key_string(w, "type", "allowed_tools");
                jw_key_object(w, "allowed_tools");
                jw_key_string(w, "mode", words[r->tool_choice]);
                jw_key_array(w, "tools");
                for (const struct chat_name *n = r->allowed_tools; n; n = n->next)
                        write_named(w, a, r, n->name);
                jw_end(w);
                jw_end(w);
                jw_end(w);
        } else {
                jw_string(w, words[r->tool_choice]);
        }
}

static void write_format(struct json_writer *w, const struct chat_request *r)
{
        if (r->response_format == FORMAT_UNSET)
                return;
        jw_key_object(w, "response_format");
        if (r->response_format == FORMAT_TEXT) {
                jw_key_string(w, "type", "text");
        } else if (r->response_format == FORMAT_JSON_OBJECT) {
                jw_key_string(w, "type", "json_object");
        } else {
                jw_key_string(w, "type", "json_schema");
                jw_key_object(w, "json_schema");
                jw_key_string(w, "name", r->schema_name ? r->schema_name : "response");
                if (r->schema_description)
                        jw_key_string(w, "description", r->schema_description);
                if (r->schema)
                        jw_key_node(w, "schema", r->schema);
                if (r->schema_strict != TRI_UNSET)
                        jw_key_bool(w, "strict", r->schema_strict == TRI_YES);
                jw_end(w);
        }
        jw_end(w);
}

static void write_opt_int(struct json_writer *w, const char *key, struct opt_int n)
{
        if (n.set)
                jw_key_int(w, key, n.value);
}

static void write_opt_number(struct json_writer *w, const char *key, struct opt_number n)
{
        if (n.set)
                jw_key_number(w, key, n.value);
}

static void write_sampling(struct json_writer *w, const struct chat_request *r, const struct wire_target *t)
{
        write_opt_int(w, t->caps.max_tokens_field ? t->caps.max_tokens_field : "max_tokens", r->max_tokens);
        write_opt_number(w, "temperature", r->temperature);
        write_opt_number(w, "top_p", r->top_p);
        write_opt_int(w, "top_k", r->top_k);
        write_opt_number(w, "presence_penalty", r->presence_penalty);
        write_opt_number(w, "frequency_penalty", r->frequency_penalty);
        write_opt_int(w, "seed", r->seed);
        write_opt_int(w, "n", r->n);
        if (r->stop) {
                jw_key_array(w, "stop");
                for (const struct chat_name *s = r->stop; s; s = s->next)
                        jw_string(w, s->name);
                jw_end(w);
        }
        if (r->logprobs)
                jw_key_bool(w, "logprobs", true);
        write_opt_int(w, "top_logprobs", r->top_logprobs);
        if (r->logit_bias)
                jw_key_node(w, "logit_bias", r->logit_bias);
}

static void write_effort(struct json_writer *w, const struct chat_request *r, const struct wire_target *t)
{
        enum effort effort = r->reasoning.effort;
        bool none_is_known = !t->caps.efforts || (t->caps.efforts & 1u << EFFORT_NONE);
        if (effort == EFFORT_UNSET && r->reasoning.mode == THINKING_OFF && none_is_known &&
            t->caps.off == THINKING_OFF_DISABLED)
                effort = EFFORT_NONE;
        if (effort != EFFORT_UNSET)
                jw_key_string(w, "reasoning_effort", effort_name(effort));
}

/* Words of other dialects for the same thing; those of openai and its likes go as they are. */
static const char *service_tier(const struct chat_request *r)
{
        static const struct {
                enum dialect_id from;
                const char *word, *ours;
        } tiers[] = {
                {DIALECT_ANTHROPIC, "auto", "auto"},      {DIALECT_ANTHROPIC, "standard_only", "default"},
                {DIALECT_GEMINI, "standard", "default"},  {DIALECT_GEMINI, "flex", "flex"},
                {DIALECT_GEMINI, "priority", "priority"},
        };
        if (!r->service_tier || r->from == DIALECT_OPENAI)
                return r->service_tier;
        for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
                if (tiers[i].from == r->from && strcmp(tiers[i].word, r->service_tier) == 0)
                        return tiers[i].ours;
        }
        return NULL;
}

/* A safety_identifier stands for the user in the canonical form, and goes out as what it was. */
static bool is_identifier(const struct chat_request *r)
{
        for (const struct chat_extra *e = r->extras; e; e = e->next) {
                if (r->from == DIALECT_OPENAI && strcmp(e->name, "safety_identifier") == 0 &&
                    json_object_is_type(e->value, json_type_string))
                        return strcmp(json_object_get_string(e->value), r->user) == 0;
        }
        return false;
}

static void write_hints(struct json_writer *w, const struct chat_request *r)
{
        const char *tier = service_tier(r);
        if (r->user && !is_identifier(r))
                jw_key_string(w, "user", r->user);
        if (tier)
                jw_key_string(w, "service_tier", tier);
        if (r->store != TRI_UNSET)
                jw_key_bool(w, "store", r->store == TRI_YES);
        if (r->metadata && r->from == DIALECT_OPENAI)
                jw_key_node(w, "metadata", r->metadata);
        if (r->cache_key)
                jw_key_string(w, "prompt_cache_key", r->cache_key);
        if (r->verbosity)
                jw_key_string(w, "verbosity", r->verbosity);
        for (const struct chat_extra *e = r->extras; e && r->from == DIALECT_OPENAI; e = e->next)
                jw_key_node(w, e->name, e->value);
}

void openai_address_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                 struct wire_request *out)
{
        (void)a;
        (void)r;
        (void)t;
        out->method = "POST";
        out->path = "/chat/completions";
        out->header_count = 0;
}

bool openai_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                struct wire_request *out, struct err *err)
{
        struct json_writer w;
        openai_address_chat_request(a, r, t, out);
        json_writer_init(&w, &out->body);
        jw_object(&w);
        jw_key_string(&w, "model", t->model);
        if (!openai_write_messages(&w, a, r, t, err))
                return false;
        if (r->tools) {
                if (!write_tools(&w, a, r, t, err))
                        return false;
                write_choice(&w, a, r);
                if (r->parallel_tools != TRI_UNSET && t->caps.parallel_tool_switch != TRI_NO)
                        jw_key_bool(&w, "parallel_tool_calls", r->parallel_tools == TRI_YES);
        }
        write_sampling(&w, r, t);
        write_format(&w, r);
        write_effort(&w, r, t);
        if (r->stream) {
                jw_key_bool(&w, "stream", true);
                jw_key_object(&w, "stream_options");
                jw_key_bool(&w, "include_usage", true);
                jw_end(&w);
        }
        write_hints(&w, r);
        if (r->cache_control && t->caps.cache_control == TRI_YES)
                jw_key_node(&w, "cache_control", r->cache_control);
        jw_end(&w);
        if (!jw_done(&w))
                return err_set(err, a, ERR_TOO_LARGE, NULL,
                               "the request is larger than what can be sent upstream");
        return true;
}
