/* Whole answers of the provider. */
#include "dialect/anthropic.h"
#include "dialect/tool_name.h"
#include "dialect/usage.h"

#include <string.h>

#include "dialect/carry.h"

#define COUNT_MAX INT64_C(1000000000000) /* of chat_usage */

static void release_json(void *node)
{
        json_object_put(node);
}

json_object *anthropic_keep(struct arena *a, json_object *node)
{
        if (node)
                arena_defer(a, release_json, json_object_get(node));
        return node;
}

enum chat_finish anthropic_finish(const char *stop_reason)
{
        static const struct {
                const char *name;
                enum chat_finish finish;
        } reasons[] = {
                {"end_turn", FINISH_STOP},
                {"max_tokens", FINISH_LENGTH},
                {"stop_sequence", FINISH_STOP_SEQUENCE},
                {"tool_use", FINISH_TOOL},
                {"pause_turn", FINISH_PAUSE},
                {"refusal", FINISH_FILTER},
                {"model_context_window_exceeded", FINISH_LENGTH},
                {"compaction", FINISH_STOP},
        };
        if (!stop_reason)
                return FINISH_NONE;
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
                if (strcmp(reasons[i].name, stop_reason) == 0)
                        return reasons[i].finish;
        }
        return FINISH_STOP;
}

/*
 * The totals leave out what a compaction took (Claude docs, "Compaction", on usage.iterations): it is billed
 * all the same. group: of the member, or NULL.
 */
static int64_t compacted(json_object *usage, const char *group, const char *key)
{
        json_object *list = json_peek_array(usage, "iterations");
        int64_t sum = 0;
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                json_object *row = json_object_array_get_idx(list, i);
                const char *type = json_peek_string(row, "type");
                if (type && strcmp(type, "compaction") == 0)
                        sum += json_peek_count(group ? json_peek_object(row, group) : row, key);
                if (sum > COUNT_MAX)
                        return COUNT_MAX;
        }
        return sum;
}

static void read_count(json_object *usage, const char *group, const char *key, int64_t *out)
{
        json_object *at = group ? json_peek_object(usage, group) : usage;
        if (!json_peek(at, key))
                return;
        int64_t n = json_peek_count(at, key) + compacted(usage, group, key);
        *out = n < COUNT_MAX ? n : COUNT_MAX;
}

static void read_tier(json_object *usage, struct chat_usage *out)
{
        const char *tier = json_peek_string(usage, "service_tier"), *speed = json_peek_string(usage, "speed");
        if (tier && out->tier != TIER_FAST)
                out->tier = usage_tier(tier);
        if (speed && strcmp(speed, "fast") == 0)
                out->tier = TIER_FAST;
}

void anthropic_read_usage(json_object *usage, struct chat_usage *out)
{
        if (!json_object_is_type(usage, json_type_object))
                return;
        /* The wire counts fresh input apart; `input` holds all three. */
        int64_t fresh = out->input - out->cached - out->cache_write;
        json_object *split = json_peek_object(usage, "cache_creation");
        out->known = true;
        read_count(usage, NULL, "input_tokens", &fresh);
        read_count(usage, NULL, "cache_read_input_tokens", &out->cached);
        read_count(usage, NULL, "cache_creation_input_tokens", &out->cache_write);
        read_count(usage, "cache_creation", "ephemeral_1h_input_tokens", &out->cache_write_1h);
        if (split && !json_peek(usage, "cache_creation_input_tokens"))
                out->cache_write = out->cache_write_1h + json_peek_count(split, "ephemeral_5m_input_tokens");
        if (out->cache_write_1h > out->cache_write)
                out->cache_write_1h = out->cache_write;
        out->input = fresh + out->cached + out->cache_write;
        read_count(usage, NULL, "output_tokens", &out->output);
        read_count(usage, "output_tokens_details", "thinking_tokens", &out->reasoning);
        read_tier(usage, out);
        int64_t cost = usage_cost(usage);
        if (cost)
                out->reported_pico = cost;
        if (out->reasoning > out->output)
                out->reasoning = out->output;
}

struct chat_citation *anthropic_read_citation(struct arena *a, json_object *node)
{
        struct chat_citation *c = arena_alloc(a, sizeof *c);
        enum dialect_id from;
        enum carry_on on;
        struct str ignored, index = json_peek_str(node, "encrypted_index");
        anthropic_keep(a, node);
        c->url = json_peek_string(node, "url");
        c->title = json_peek_string(node, "title");
        if (!c->title)
                c->title = json_peek_string(node, "document_title");
        c->cited_text = json_peek_str(node, "cited_text");
        if (!index.at || !carry_unwrap(a, index, &from, &on, &ignored)) {
                c->raw = node;
                c->raw_dialect = DIALECT_ANTHROPIC;
        }
        return c;
}

static void read_call(struct arena *a, json_object *node, struct chat_block *b)
{
        static const char *const known[] = {"type", "id", "name", "input", NULL};
        b->id = json_peek_string(node, "id");
        if (!b->id)
                b->id = "";
        const char *name = json_peek_string(node, "name");
        b->arguments = json_peek_object(node, "input");
        if (name && strcmp(name, ANTHROPIC_ANSWER_TOOL) == 0) {
                b->text = chat_arguments_text(a, b);
                *b = (struct chat_block){.next = b->next, .type = BLOCK_TEXT, .text = b->text};
                return;
        }
        b->name = name ? tool_name_back(a, name) : "";
        b->raw = anthropic_other_members(a, node, known);
        b->raw_dialect = b->raw ? DIALECT_ANTHROPIC : DIALECT_NONE;
        if (!b->arguments)
                b->arguments_text = str_of("{}");
}

static void read_text(struct arena *a, json_object *node, struct chat_block *b)
{
        b->text = json_peek_str(node, "text");
        json_object *list = json_peek_array(node, "citations");
        size_t count = list ? json_object_array_length(list) : 0;
        struct chat_citation **end = &b->citations;
        for (size_t i = 0; i < count; i++) {
                *end = anthropic_read_citation(a, json_object_array_get_idx(list, i));
                end = &(*end)->next;
        }
}

static void read_thought(json_object *node, struct chat_block *b, bool redacted)
{
        b->redacted = redacted;
        b->text = redacted ? (struct str){0} : json_peek_str(node, "thinking");
        b->signature = json_peek_str(node, redacted ? "data" : "signature");
        b->signature_from = DIALECT_ANTHROPIC;
}

void anthropic_read_reply_block(struct arena *a, json_object *node, struct chat_block *b)
{
        const char *type = json_peek_string(node, "type");
        anthropic_keep(a, node);
        if (type && strcmp(type, "text") == 0) {
                b->type = BLOCK_TEXT;
                read_text(a, node, b);
        } else if (type && strcmp(type, "tool_use") == 0) {
                b->type = BLOCK_TOOL_CALL;
                read_call(a, node, b);
        } else if (type && (strcmp(type, "thinking") == 0 || strcmp(type, "redacted_thinking") == 0)) {
                b->type = BLOCK_THINKING;
                read_thought(node, b, *type == 'r');
        } else {
                b->type = BLOCK_OTHER;
                b->raw = node;
                b->raw_dialect = DIALECT_ANTHROPIC;
        }
}

static bool has_call(const struct chat_choice *c)
{
        for (const struct chat_block *b = c->blocks; b; b = b->next) {
                if (b->type == BLOCK_TOOL_CALL)
                        return true;
        }
        return false;
}

static void read_choice(struct arena *a, json_object *root, json_object *content, struct chat_choice *c)
{
        size_t count = json_object_array_length(content);
        for (size_t i = 0; i < count; i++) {
                json_object *node = json_object_array_get_idx(content, i);
                if (json_object_is_type(node, json_type_object))
                        anthropic_read_reply_block(a, node, chat_add_reply_block(a, c, BLOCK_OTHER));
        }
        c->finish_raw = json_peek_string(root, "stop_reason");
        c->finish = anthropic_finish(c->finish_raw);
        if (c->finish == FINISH_TOOL && !has_call(c)) /* the answer came as a tool's input */
                c->finish = FINISH_STOP;
        c->stop_sequence = json_peek_string(root, "stop_sequence");
        c->stop_details = json_peek_object(root, "stop_details");
}

static bool malformed(struct upstream_fault *fault, const char *message)
{
        *fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .message = message};
        return false;
}

bool anthropic_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                                 struct upstream_fault *fault)
{
        struct err err = {0};
        *out = (struct chat_reply){0};
        json_object *root = json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err);
        if (!json_object_is_type(root, json_type_object))
                return malformed(fault, "the answer is no JSON object");
        json_object *error = json_peek(root, "error"), *content = json_peek_array(root, "content");
        if (error && !content) {
                anthropic_read_fault(a, 0, error, true, fault);
                return false;
        }
        if (!content)
                return malformed(fault, "the answer has no content");
        out->id = json_peek_string(root, "id");
        out->model = json_peek_string(root, "model");
        json_object *usage = json_peek_object(root, "usage");
        anthropic_read_usage(usage, &out->usage);
        out->service_tier = json_peek_string(usage, "service_tier");
        read_choice(a, root, content, chat_add_choice(a, out));
        return true;
}
