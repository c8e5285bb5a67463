/* Requests to the provider: everything but the messages. */
#include "dialect/anthropic.h"
#include "dialect/tool_name.h"

#include <string.h>

#include "base/text.h"

#define JSON_HINT "Answer with one valid JSON object and nothing else: no explanation and no code fence."

enum { PAST_TOOLS_MAX = 128 };

struct call {
        struct arena *arena;
        struct json_writer w;
        const struct chat_request *request;
        const struct wire_target *target;
        struct anthropic_plan plan;
        bool answer_tool; /* the schema goes as a forced tool */
        bool json_hint;
        struct err *err;
};

static bool starts_with(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* ---- system ---- */

static void write_system_block(struct call *c, const struct chat_block *b)
{
        jw_object(&c->w);
        jw_key_string(&c->w, "type", "text");
        jw_key_str(&c->w, "text", b->text);
        if (b->cache_control)
                jw_key_node(&c->w, "cache_control", b->cache_control);
        jw_end(&c->w);
}

/* Walks the text blocks of `system`; write NULL: only counts. last: the last block. */
static size_t each_system_block(struct call *c, void (*write)(struct call *, const struct chat_block *),
                                const struct chat_block **last)
{
        size_t count = 0;
        const struct chat_request *r = c->request;
        if (!r->messages || !anthropic_is_leading_system(r, r->messages))
                return 0;
        for (const struct chat_message *m = r->messages;
             m && (m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER); m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TEXT || strspn(b->text.at, " \t\r\n") == b->text.len)
                                continue;
                        count++;
                        *last = b;
                        if (write)
                                write(c, b);
                }
        }
        return count;
}

static void write_system(struct call *c)
{
        static const struct chat_block hint = {.type = BLOCK_TEXT, .text = {JSON_HINT, sizeof JSON_HINT - 1}};
        const struct chat_block *last = NULL;
        size_t count = each_system_block(c, NULL, &last);
        if (!count && !c->json_hint)
                return;
        jw_key(&c->w, "system");
        if (count == 1 && !last->cache_control && !c->json_hint) {
                jw_str(&c->w, last->text);
                return;
        }
        jw_array(&c->w);
        each_system_block(c, write_system_block, &last);
        if (c->json_hint)
                write_system_block(c, &hint);
        jw_end(&c->w);
}

/* ---- tools ---- */

static bool tool_allowed(const struct chat_request *r, const struct chat_tool *t)
{
        if (!r->allowed_tools)
                return true;
        for (const struct chat_name *n = r->allowed_tools; n; n = n->next) {
                if (t->name && strcmp(n->name, t->name) == 0)
                        return true;
        }
        return false;
}

static bool offers_tools(const struct chat_request *r)
{
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (tool_allowed(r, t))
                        return true;
        }
        return false;
}

/* The vendor wants an object schema that says so. */
static void write_schema(struct call *c, json_object *schema)
{
        bool typed = json_peek(schema, "type") != NULL;
        if (typed) {
                jw_node(&c->w, schema);
                return;
        }
        jw_object(&c->w);
        jw_key_string(&c->w, "type", "object");
        if (!json_peek(schema, "properties")) {
                jw_key_object(&c->w, "properties");
                jw_end(&c->w);
        }
        if (schema)
                anthropic_write_members(&c->w, schema);
        jw_end(&c->w);
}

static void write_tool(struct call *c, const struct chat_tool *t)
{
        if (t->raw) {
                jw_node(&c->w, t->raw);
                return;
        }
        jw_object(&c->w);
        jw_key_string(&c->w, "name", tool_name_out(c->arena, t->name, DIALECT_ANTHROPIC));
        if (t->description)
                jw_key_string(&c->w, "description", t->description);
        jw_key(&c->w, "input_schema");
        /* Of a strict tool the vendor takes what it takes of a format. */
        if (t->strict == TRI_YES && c->request->from != DIALECT_ANTHROPIC && json_peek(t->parameters, "type"))
                anthropic_write_schema(&c->w, t->parameters);
        else
                write_schema(c, t->parameters);
        if (t->strict == TRI_YES)
                jw_key_bool(&c->w, "strict", true);
        if (c->request->from == DIALECT_ANTHROPIC)
                anthropic_write_members(&c->w, t->extra);
        if (t->cache_control)
                jw_key_node(&c->w, "cache_control", t->cache_control);
        jw_end(&c->w);
}

static void write_answer_tool(struct call *c)
{
        const struct chat_request *r = c->request;
        jw_object(&c->w);
        jw_key_string(&c->w, "name", ANTHROPIC_ANSWER_TOOL);
        jw_key_string(&c->w, "description",
                      r->schema_description ? r->schema_description
                                            : "Gives the answer. Call it once, with all of it.");
        jw_key(&c->w, "input_schema");
        write_schema(c, r->schema);
        jw_end(&c->w);
}

/*
 * A conversation that holds calls must define tools, also where the caller offers none any more: those it
 * called, and no choice of them.
 */
static void write_past_tools(struct call *c)
{
        const char *seen[PAST_TOOLS_MAX];
        size_t count = 0, i;
        for (const struct chat_message *m = c->request->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TOOL_CALL || !b->name || count == PAST_TOOLS_MAX)
                                continue;
                        for (i = 0; i < count && strcmp(seen[i], b->name) != 0; i++)
                                ;
                        if (i == count)
                                seen[count++] = b->name;
                }
        }
        if (!count)
                return;
        jw_key_array(&c->w, "tools");
        for (i = 0; i < count; i++)
                write_tool(c, &(struct chat_tool){.name = seen[i]});
        jw_end(&c->w);
        jw_key_object(&c->w, "tool_choice");
        jw_key_string(&c->w, "type", "none");
        jw_end(&c->w);
}

static bool write_tools(struct call *c)
{
        size_t count = 0;
        for (const struct chat_tool *t = c->request->tools; t; t = t->next) {
                if (t->raw && t->raw_dialect != DIALECT_ANTHROPIC)
                        return err_set(c->err, c->arena, ERR_UNSUPPORTED, t->path,
                                       "%s: the model has no tool of type %s", t->path ? t->path : "tools",
                                       t->raw_type ? t->raw_type : "unknown");
                count += tool_allowed(c->request, t);
        }
        if (!count && !c->answer_tool) {
                if (c->request->from != DIALECT_ANTHROPIC)
                        write_past_tools(c);
                return true;
        }
        jw_key_array(&c->w, "tools");
        for (const struct chat_tool *t = c->request->tools; t; t = t->next) {
                if (tool_allowed(c->request, t))
                        write_tool(c, t);
        }
        if (c->answer_tool)
                write_answer_tool(c);
        jw_end(&c->w);
        return true;
}

static void write_tool_choice(struct call *c)
{
        static const char *const types[] = {[TOOL_CHOICE_AUTO] = "auto",
                                            [TOOL_CHOICE_NONE] = "none",
                                            [TOOL_CHOICE_REQUIRED] = "any",
                                            [TOOL_CHOICE_NAMED] = "tool"};
        const struct chat_request *r = c->request;
        enum tool_choice choice = r->tool_choice;
        const char *name = r->tool_choice_name;
        if (!offers_tools(r) && !c->answer_tool)
                return;
        if (c->answer_tool) {
                /* With tools of the caller's own the model chooses: one of them, or the answer. */
                choice = r->tools && choice != TOOL_CHOICE_NONE ? TOOL_CHOICE_REQUIRED : TOOL_CHOICE_NAMED;
                name = ANTHROPIC_ANSWER_TOOL;
        }
        if (choice == TOOL_CHOICE_UNSET && r->parallel_tools == TRI_NO)
                choice = TOOL_CHOICE_AUTO;
        if (choice == TOOL_CHOICE_UNSET)
                return;
        jw_key_object(&c->w, "tool_choice");
        jw_key_string(&c->w, "type", types[choice]);
        if (choice == TOOL_CHOICE_NAMED)
                jw_key_string(&c->w, "name", tool_name_out(c->arena, name, DIALECT_ANTHROPIC));
        if (r->parallel_tools == TRI_NO && choice != TOOL_CHOICE_NONE)
                jw_key_bool(&c->w, "disable_parallel_tool_use", true);
        jw_end(&c->w);
}

/* ---- thinking and output ---- */

/* Extras named "PARENT.x" as members of the object that is open. */
static void write_nested_extras(struct call *c, const char *parent)
{
        size_t len = strlen(parent);
        for (const struct chat_extra *e = c->request->extras; e; e = e->next) {
                if (c->request->from == DIALECT_ANTHROPIC && starts_with(e->name, parent) &&
                    e->name[len] == '.')
                        jw_key_node(&c->w, e->name + len + 1, e->value);
        }
}

static void write_thinking(struct call *c)
{
        bool bound = anthropic_is_bound(c->request, &c->target->caps);
        if (!c->plan.type && !bound)
                return;
        jw_key_object(&c->w, "thinking");
        jw_key_string(&c->w, "type", c->plan.type ? c->plan.type : "adaptive"); /* which is their default */
        if (c->plan.budget)
                jw_key_int(&c->w, "budget_tokens", c->plan.budget);
        if (c->plan.display)
                jw_key_string(&c->w, "display", c->plan.display);
        if (bound) {
                jw_key_object(&c->w, "block_binding");
                jw_key_string(&c->w, "prefix_mismatch_behavior", "drop_block");
                jw_end(&c->w);
        }
        write_nested_extras(c, "thinking");
        jw_end(&c->w);
}

static bool has_nested_extras(const struct call *c, const char *parent)
{
        size_t len = strlen(parent);
        for (const struct chat_extra *e = c->request->extras; e; e = e->next) {
                if (c->request->from == DIALECT_ANTHROPIC && starts_with(e->name, parent) &&
                    e->name[len] == '.')
                        return true;
        }
        return false;
}

static void write_output_config(struct call *c)
{
        const struct chat_request *r = c->request;
        bool format = r->response_format == FORMAT_JSON_SCHEMA && !c->answer_tool;
        if (!format && !c->plan.effort && !has_nested_extras(c, "output_config"))
                return;
        jw_key_object(&c->w, "output_config");
        if (c->plan.effort)
                jw_key_string(&c->w, "effort", effort_name(c->plan.effort));
        if (format) {
                jw_key_object(&c->w, "format");
                jw_key_string(&c->w, "type", "json_schema");
                jw_key(&c->w, "schema");
                if (r->from == DIALECT_ANTHROPIC)
                        jw_node(&c->w, r->schema);
                else
                        anthropic_write_schema(&c->w, r->schema);
                jw_end(&c->w);
        }
        write_nested_extras(c, "output_config");
        jw_end(&c->w);
}

/* ---- the rest ---- */

static void write_sampling(struct call *c)
{
        const struct chat_request *r = c->request;
        /* Thinking within a budget allows none of it. */
        if (c->target->caps.sampling == SAMPLING_NO || c->plan.budget)
                return;
        if (r->temperature.set)
                jw_key_number(&c->w, "temperature", r->temperature.value > 1 ? 1 : r->temperature.value);
        if (r->top_p.set)
                jw_key_number(&c->w, "top_p", r->top_p.value);
        if (r->top_k.set)
                jw_key_int(&c->w, "top_k", r->top_k.value);
}

static void write_stop_sequences(struct call *c)
{
        bool any = false;
        for (const struct chat_name *n = c->request->stop; n; n = n->next) {
                if (strspn(n->name, " \t\r\n") == strlen(n->name))
                        continue; /* refused by the vendor */
                if (!any)
                        jw_key_array(&c->w, "stop_sequences");
                any = true;
                jw_string(&c->w, n->name);
        }
        if (any)
                jw_end(&c->w);
}

static void write_tier(struct call *c)
{
        static const char *const words[][2] = {
                {"auto", "auto"},
                {"standard_only", "standard_only"},
                {"default", "standard_only"},
                {"standard", "standard_only"},
        };
        for (size_t i = 0; c->request->service_tier && i < sizeof words / sizeof *words; i++) {
                if (strcmp(words[i][0], c->request->service_tier) == 0)
                        jw_key_string(&c->w, "service_tier", words[i][1]);
        }
}

static void write_hints(struct call *c)
{
        const struct chat_request *r = c->request;
        if (r->user || has_nested_extras(c, "metadata")) {
                jw_key_object(&c->w, "metadata");
                if (r->user)
                        jw_key_string(&c->w, "user_id", r->user);
                write_nested_extras(c, "metadata");
                jw_end(&c->w);
        }
        write_tier(c);
        if (r->cache_control)
                jw_key_node(&c->w, "cache_control", r->cache_control);
        if (r->stream)
                jw_key_bool(&c->w, "stream", true);
        for (const struct chat_extra *e = r->extras; r->from == DIALECT_ANTHROPIC && e; e = e->next) {
                if (!strchr(e->name, '.') && !starts_with(e->name, "header:"))
                        jw_key_node(&c->w, e->name, e->value);
        }
}

void anthropic_address_chat_request(struct arena *a, const struct chat_request *r,
                                    const struct wire_target *t, struct wire_request *out)
{
        (void)a;
        out->method = "POST";
        out->path = "/v1/messages";
        out->header_count = 0;
        out->headers[out->header_count++] = (struct wire_header){
                "anthropic-version", t->caps.api_version ? t->caps.api_version : ANTHROPIC_VERSION_CLASSIC};
        if (anthropic_is_bound(r, &t->caps))
                out->headers[out->header_count++] =
                        (struct wire_header){"anthropic-beta", ANTHROPIC_BINDING_BETA};
        for (const struct chat_extra *e = r->extras; r->from == DIALECT_ANTHROPIC && e; e = e->next) {
                if (strcmp(e->name, ANTHROPIC_BETAS) != 0)
                        continue;
                const char *betas = json_object_get_string(e->value);
                if (text_header_safe(betas))
                        out->headers[out->header_count++] = (struct wire_header){"anthropic-beta", betas};
                break;
        }
}

bool anthropic_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                   struct wire_request *out, struct err *err)
{
        bool json = r->response_format == FORMAT_JSON_OBJECT || r->response_format == FORMAT_JSON_SCHEMA;
        struct call c = {.arena = a, .request = r, .target = t, .err = err};
        c.answer_tool = json && t->caps.structured == STRUCTURED_FORCED_TOOL;
        c.json_hint = r->response_format == FORMAT_JSON_OBJECT && !c.answer_tool;
        anthropic_plan_thinking(r, &t->caps, &c.plan);
        anthropic_address_chat_request(a, r, t, out);
        json_writer_init(&c.w, &out->body);
        jw_object(&c.w);
        jw_key_string(&c.w, "model", t->model);
        jw_key_int(&c.w, "max_tokens", c.plan.max_tokens);
        write_system(&c);
        jw_key(&c.w, "messages");
        if (!anthropic_write_turns(a, &c.w, r, &t->caps, err) || !write_tools(&c))
                return false;
        write_tool_choice(&c);
        write_thinking(&c);
        write_output_config(&c);
        write_sampling(&c);
        write_stop_sequences(&c);
        write_hints(&c);
        jw_end(&c.w);
        if (!jw_done(&c.w))
                return err_set(err, a, ERR_TOO_LARGE, NULL, "the request is too large for the provider");
        return true;
}
