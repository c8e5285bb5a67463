#include "dialect/canonical.h"

#include <string.h>

/* ---- fields ---- */

void canonical_add(struct canonical *c, const void *bytes, size_t len)
{
        uint64_t size = len;
        c->add(c->context, &size, sizeof size);
        if (len)
                c->add(c->context, bytes, len);
}

static void add_int(struct canonical *c, int64_t n)
{
        canonical_add(c, &n, sizeof n);
}

/* Absent is not empty. */
static void add_str(struct canonical *c, struct str s)
{
        add_int(c, s.at != NULL);
        canonical_add(c, s.at, s.at ? s.len : 0);
}

void canonical_string(struct canonical *c, const char *s)
{
        add_str(c, str_of(s));
}

/* Larger numbers become these: two that differ would look alike. */
static bool is_blurred(const char *json)
{
        static const char *const ends[] = {"9223372036854775807", "9223372036854775808",
                                           "18446744073709551615"};
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
                if (strstr(json, ends[i]))
                        return true;
        }
        return false;
}

/* In the order in which the members came: some models heed it. */
static void add_node(struct canonical *c, json_object *node)
{
        size_t len = 0;
        const char *text =
                node ? json_object_to_json_string_length(node, JSON_C_TO_STRING_PLAIN, &len) : NULL;
        add_str(c, (struct str){text, len});
        c->blurred |= text && is_blurred(text);
}

static void add_opt_int(struct canonical *c, struct opt_int n)
{
        add_int(c, n.set);
        add_int(c, n.set ? n.value : 0);
}

static void add_opt_number(struct canonical *c, struct opt_number n)
{
        double value = n.set ? n.value : 0;
        add_int(c, n.set);
        canonical_add(c, &value, sizeof value);
}

static void add_names(struct canonical *c, const struct chat_name *names)
{
        for (; names; names = names->next)
                canonical_string(c, names->name);
        canonical_string(c, NULL);
}

static void add_extras(struct canonical *c, const struct chat_extra *extras)
{
        for (; extras; extras = extras->next) {
                canonical_string(c, extras->name);
                add_node(c, extras->value);
        }
        canonical_string(c, NULL);
}

/* ---- content ---- */

static void add_citations(struct canonical *c, const struct chat_citation *list)
{
        for (; list; list = list->next) {
                add_int(c, 1);
                canonical_string(c, list->url);
                canonical_string(c, list->title);
                add_str(c, list->cited_text);
                add_int(c, list->start);
                add_int(c, list->end);
                add_node(c, list->raw);
                add_int(c, list->raw_dialect);
        }
        add_int(c, 0);
}

static void add_blocks(struct canonical *c, const struct chat_block *b)
{
        for (; b; b = b->next) {
                add_int(c, 1 + (int64_t)b->type);
                add_str(c, b->text);
                add_int(c, b->source.kind);
                canonical_string(c, b->source.media_type);
                add_str(c, b->source.data);
                canonical_string(c, b->source.url);
                canonical_string(c, b->detail);
                canonical_string(c, b->title);
                canonical_string(c, b->id);
                canonical_string(c, b->name);
                add_node(c, b->arguments_text.at ? NULL : b->arguments);
                add_str(c, b->arguments_text);
                add_int(c, b->is_error);
                add_int(c, b->redacted);
                add_str(c, b->signature);
                add_int(c, b->signature_from);
                add_citations(c, b->citations);
                add_node(c, b->cache_control);
                add_int(c, b->cache_breakpoint);
                add_node(c, b->raw);
                add_int(c, b->raw_dialect);
                add_blocks(c, b->content);
        }
        add_int(c, 0);
}

static void add_tools(struct canonical *c, const struct chat_request *r)
{
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                add_int(c, 1);
                canonical_string(c, t->name);
                canonical_string(c, t->description);
                add_node(c, t->parameters);
                add_int(c, t->strict);
                add_node(c, t->cache_control);
                add_node(c, t->raw);
                add_int(c, t->raw_dialect);
                canonical_string(c, t->raw_type);
                add_node(c, t->extra);
        }
        add_int(c, 0);
        add_int(c, r->tool_choice);
        canonical_string(c, r->tool_choice_name);
        add_names(c, r->allowed_tools);
        add_int(c, r->parallel_tools);
}

static void add_sampling(struct canonical *c, const struct chat_request *r)
{
        add_opt_int(c, r->max_tokens);
        add_opt_int(c, r->top_k);
        add_opt_int(c, r->seed);
        add_opt_int(c, r->n);
        add_opt_int(c, r->top_logprobs);
        add_opt_number(c, r->temperature);
        add_opt_number(c, r->top_p);
        add_opt_number(c, r->presence_penalty);
        add_opt_number(c, r->frequency_penalty);
        add_names(c, r->stop);
        add_int(c, r->logprobs);
        add_node(c, r->logit_bias);
}

static void add_hints(struct canonical *c, const struct chat_request *r)
{
        canonical_string(c, r->user);
        canonical_string(c, r->service_tier);
        canonical_string(c, r->cache_key);
        canonical_string(c, r->verbosity);
        add_node(c, r->metadata);
        add_int(c, r->store);
        add_node(c, r->cache_control);
        add_extras(c, r->extras);
}

void canonical_chat(struct canonical *c, const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                add_int(c, 1 + (int64_t)m->role);
                canonical_string(c, m->name);
                add_blocks(c, m->blocks);
        }
        add_int(c, 0);
        add_tools(c, r);
        add_int(c, r->response_format);
        add_node(c, r->schema);
        canonical_string(c, r->schema_name);
        canonical_string(c, r->schema_description);
        add_int(c, r->schema_strict);
        add_int(c, r->reasoning.effort);
        add_int(c, r->reasoning.mode);
        add_int(c, r->reasoning.budget_tokens);
        add_int(c, r->reasoning.show);
        add_sampling(c, r);
        add_hints(c, r);
}

void canonical_embed(struct canonical *c, const struct embed_request *r)
{
        for (const struct embed_input *i = r->inputs; i; i = i->next) {
                add_int(c, i->tokens ? 2 : 1);
                add_str(c, i->text);
                canonical_add(c, i->tokens, i->tokens ? i->token_count * sizeof *i->tokens : 0);
        }
        add_int(c, 0);
        add_opt_int(c, r->dimensions);
        canonical_string(c, r->task_type);
        canonical_string(c, r->title);
        canonical_string(c, r->user);
        add_extras(c, r->extras);
}

/* ---- what it means ---- */

static bool is_portable_block(const struct chat_block *b)
{
        bool text = b->type == BLOCK_TEXT && b->text.len > 0;
        bool image = b->type == BLOCK_IMAGE && b->source.kind == SOURCE_BASE64;
        return (text || image) && !b->detail && !b->cache_control && !b->raw && !b->citations &&
               !b->signature.len;
}

static bool asks_for_more(const struct chat_request *r)
{
        const struct chat_reasoning *t = &r->reasoning;
        bool answer = r->response_format || r->n.set || r->logprobs || r->logit_bias || r->top_k.set;
        bool thought = t->effort || t->mode || t->budget_tokens || t->show;
        bool hints = r->user || r->service_tier || r->cache_key || r->verbosity || r->metadata ||
                     r->store != TRI_UNSET || r->cache_control || r->extras;
        bool tools = r->tools || r->tool_choice || r->allowed_tools || r->parallel_tools != TRI_UNSET;
        return answer || thought || hints || tools;
}

bool canonical_is_portable(const struct chat_request *r)
{
        if (asks_for_more(r) || !r->last_message || r->last_message->role != CHAT_USER)
                return false;
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                if (m->name || !m->blocks)
                        return false;
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (!is_portable_block(b))
                                return false;
                }
        }
        return true;
}

static bool refers(const struct chat_block *blocks)
{
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->source.kind == SOURCE_URL || b->source.kind == SOURCE_FILE_ID || refers(b->content))
                        return true;
        }
        return false;
}

bool canonical_is_fixed(const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                if (refers(m->blocks))
                        return false;
        }
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (t->raw)
                        return false;
        }
        return true;
}
