/*
 * Streams of the provider. Blocks come strictly one after the other. A block that only this dialect knows
 * (server tools, compaction) is held back until it is whole, since its pieces mean nothing to another
 * dialect.
 */
#include "dialect/anthropic.h"

#include <string.h>

enum { HELD_MAX = 16 * 1024 * 1024 };

struct decoder {
        struct arena *arena;
        const char *id; /* of the message that is open; NULL: none */
        struct chat_usage usage;
        int64_t block;      /* number of the open or next block */
        int64_t wire_index; /* of the open block */
        enum { CLOSED, OPEN, HELD } state;
        enum chat_block_type type;
        bool answer_tool; /* the open block is the tool whose input is the answer */
        bool arguments_seen, called;
        json_object *start;      /* tool_use: its input in content_block_start; HELD: the block */
        struct buf held;         /* input_json of a HELD block */
        enum chat_finish finish; /* FINISH_NONE: not yet */
        const char *finish_raw, *stop_sequence;
        json_object *stop_details;
        bool ended;
};

static void release_held(void *held)
{
        buf_release(held);
}

void *anthropic_decoder_new(struct arena *a, const struct chat_request *r)
{
        (void)r;
        struct decoder *d = arena_alloc(a, sizeof *d);
        d->arena = a;
        buf_init(&d->held, HELD_MAX);
        arena_defer(a, release_held, &d->held);
        return d;
}

static void fail(struct decoder *d, struct chat_events *out, enum fault_kind kind, const char *message)
{
        struct upstream_fault *fault = arena_alloc(out->arena, sizeof *fault);
        *fault = (struct upstream_fault){.kind = kind, .message = message};
        chat_add_event(out, EVENT_ERROR, 0, 0)->fault = fault;
        d->ended = true;
}

static struct chat_event *delta(struct decoder *d, struct chat_events *out, enum chat_delta_kind kind,
                                struct str text)
{
        struct chat_event *e = chat_add_event(out, EVENT_DELTA, 0, d->block);
        e->delta_kind = kind;
        e->delta = text;
        return e;
}

/* ---- blocks ---- */

static void close_held(struct decoder *d, struct chat_events *out)
{
        struct err ignored = {0};
        json_object *input = NULL;
        if (d->held.len && !d->held.failed)
                input = json_parse(d->arena, d->held.data, d->held.len, JSON_FROM_PROVIDER, &ignored);
        if (json_object_is_type(input, json_type_object))
                json_object_object_add(d->start, "input", json_object_get(input));
        struct chat_event *e = chat_add_event(out, EVENT_BLOCK_START, 0, d->block);
        e->block_start.type = BLOCK_OTHER;
        e->block_start.raw = d->start;
        e->block_start.raw_dialect = DIALECT_ANTHROPIC;
}

/* Calls without arguments send no pieces: the input stands in the start, or is {}. */
static void close_call(struct decoder *d, struct chat_events *out)
{
        if (d->arguments_seen)
                return;
        struct chat_block call = {.arguments = d->start};
        delta(d, out, d->answer_tool ? DELTA_TEXT : DELTA_ARGUMENTS, chat_arguments_text(out->arena, &call));
}

static void close_block(struct decoder *d, struct chat_events *out)
{
        if (d->state == CLOSED)
                return;
        if (d->state == HELD)
                close_held(d, out);
        else if (d->type == BLOCK_TOOL_CALL || d->answer_tool)
                close_call(d, out);
        chat_add_event(out, EVENT_BLOCK_STOP, 0, d->block);
        d->block++;
        d->state = CLOSED;
        buf_reset(&d->held);
}

static void start_text(struct decoder *d, struct chat_events *out, struct chat_block *b)
{
        if (b->text.len)
                delta(d, out, DELTA_TEXT, b->text);
        for (struct chat_citation *c = b->citations; c; c = c->next)
                delta(d, out, DELTA_CITATION, (struct str){0})->citation = c;
}

static void on_block_start(struct decoder *d, json_object *event, struct chat_events *out)
{
        json_object *node = json_peek_object(event, "content_block");
        if (!node) {
                fail(d, out, FAULT_MALFORMED, "content_block_start without its block");
                return;
        }
        close_block(d, out); /* a stop that was lost */
        const char *type = json_peek_string(node, "type"), *name = json_peek_string(node, "name");
        struct chat_block b = {0};
        anthropic_read_reply_block(out->arena, node, &b);
        d->wire_index = json_peek_count(event, "index");
        d->answer_tool = type && strcmp(type, "tool_use") == 0 && b.type == BLOCK_TEXT;
        d->type = b.type;
        d->arguments_seen = false;
        d->start = NULL;
        if (b.type == BLOCK_OTHER) {
                d->state = HELD;
                d->start = anthropic_keep(d->arena, node);
                return;
        }
        d->state = OPEN;
        if (b.type == BLOCK_TOOL_CALL || d->answer_tool)
                d->start = anthropic_keep(d->arena, json_peek_object(node, "input"));
        d->called |= b.type == BLOCK_TOOL_CALL && name;
        struct chat_event *e = chat_add_event(out, EVENT_BLOCK_START, 0, d->block);
        e->block_start = b;
        e->block_start.text = (struct str){0};
        e->block_start.citations = NULL;
        e->block_start.arguments = NULL;
        e->block_start.arguments_text = (struct str){0};
        if (!b.redacted)
                e->block_start.signature = (struct str){0};
        if (!d->answer_tool)
                start_text(d, out, &b);
        if (b.type == BLOCK_THINKING && !b.redacted && b.signature.len)
                delta(d, out, DELTA_SIGNATURE, b.signature);
}

/* Deltas of a held block: pieces of its input; anything else replaces members of the block
 * (compaction_delta). */
static void hold(struct decoder *d, const char *type, json_object *change)
{
        if (strcmp(type, "input_json_delta") == 0) {
                buf_add_str(&d->held, json_peek_str(change, "partial_json"));
                return;
        }
        json_object_object_foreach(change, key, value)
        {
                if (value && strcmp(key, "type") != 0)
                        json_object_object_add(d->start, key, json_object_get(value));
        }
}

static void on_arguments(struct decoder *d, struct chat_events *out, struct str piece)
{
        if (!piece.len)
                return;
        d->arguments_seen = true;
        delta(d, out, d->answer_tool ? DELTA_TEXT : DELTA_ARGUMENTS, piece);
}

static void on_delta(struct decoder *d, json_object *event, struct chat_events *out)
{
        json_object *change = json_peek_object(event, "delta");
        const char *type = json_peek_string(change, "type");
        if (!type || d->state == CLOSED || json_peek_count(event, "index") != d->wire_index) {
                fail(d, out, FAULT_MALFORMED, "a delta for a block that is not open");
                return;
        }
        if (d->state == HELD) {
                hold(d, type, change);
                return;
        }
        struct str text = json_peek_str(change, "text"), thought = json_peek_str(change, "thinking"),
                   signature = json_peek_str(change, "signature");
        if (strcmp(type, "text_delta") == 0 && d->type == BLOCK_TEXT && text.len)
                delta(d, out, DELTA_TEXT, text);
        else if (strcmp(type, "thinking_delta") == 0 && d->type == BLOCK_THINKING && thought.len)
                delta(d, out, DELTA_TEXT, thought);
        else if (strcmp(type, "signature_delta") == 0 && d->type == BLOCK_THINKING && signature.len)
                delta(d, out, DELTA_SIGNATURE, signature);
        else if (strcmp(type, "input_json_delta") == 0 && (d->type == BLOCK_TOOL_CALL || d->answer_tool))
                on_arguments(d, out, json_peek_str(change, "partial_json"));
        else if (strcmp(type, "citations_delta") == 0 && d->type == BLOCK_TEXT &&
                 json_peek_object(change, "citation"))
                delta(d, out, DELTA_CITATION, (struct str){0})->citation =
                        anthropic_read_citation(out->arena, json_peek_object(change, "citation"));
}

static void on_block_stop(struct decoder *d, json_object *event, struct chat_events *out)
{
        if (d->state != CLOSED && json_peek_count(event, "index") == d->wire_index)
                close_block(d, out);
}

/* ---- the message ---- */

/* Some gateways send the start twice; after a retry in the middle some splice a second answer into the first,
 * which can't be told apart from it by any client. */
static void on_message_start(struct decoder *d, json_object *event, struct chat_events *out)
{
        json_object *message = json_peek_object(event, "message");
        const char *id = json_peek_string(message, "id");
        if (!id)
                id = "";
        if (d->id) {
                if (strcmp(d->id, id) != 0)
                        fail(d, out, FAULT_MALFORMED, "a second answer began within the first");
                return;
        }
        d->id = arena_strdup(d->arena, id);
        anthropic_read_usage(json_peek(message, "usage"), &d->usage);
        struct chat_event *e = chat_add_event(out, EVENT_START, 0, 0);
        e->id = *id ? id : NULL;
        e->model = json_peek_string(message, "model");
        e->usage = d->usage;
}

static void on_message_delta(struct decoder *d, json_object *event, struct chat_events *out)
{
        json_object *change = json_peek_object(event, "delta"), *usage = json_peek_object(event, "usage");
        const char *reason = json_peek_string(change, "stop_reason");
        if (usage) {
                anthropic_read_usage(usage, &d->usage);
                chat_add_event(out, EVENT_USAGE, 0, 0)->usage = d->usage;
        }
        if (!reason)
                return;
        d->finish_raw = arena_strdup(d->arena, reason);
        d->finish = anthropic_finish(reason);
        d->stop_sequence = arena_strdup(d->arena, json_peek_string(change, "stop_sequence"));
        d->stop_details = anthropic_keep(d->arena, json_peek_object(change, "stop_details"));
}

static void finish(struct decoder *d, struct chat_events *out)
{
        close_block(d, out);
        struct chat_event *stop = chat_add_event(out, EVENT_STOP, 0, 0);
        stop->finish = d->finish == FINISH_TOOL && !d->called ? FINISH_STOP : d->finish;
        stop->finish_raw = d->finish_raw;
        stop->stop_sequence = d->stop_sequence;
        stop->stop_details = d->stop_details;
        chat_add_event(out, EVENT_END, 0, 0);
        d->ended = true;
}

static void on_message_stop(struct decoder *d, json_object *event, struct chat_events *out)
{
        (void)event;
        if (!d->id)
                fail(d, out, FAULT_MALFORMED, "an end without a beginning");
        else
                finish(d, out);
}

static void on_error(struct decoder *d, json_object *event, struct chat_events *out)
{
        struct upstream_fault *fault = arena_alloc(out->arena, sizeof *fault);
        anthropic_read_fault(out->arena, 0, json_peek(event, "error"), true, fault);
        chat_add_event(out, EVENT_ERROR, 0, 0)->fault = fault;
        d->ended = true;
}

static void on_ping(struct decoder *d, json_object *event, struct chat_events *out)
{
        (void)d;
        (void)event;
        chat_add_event(out, EVENT_PING, 0, 0);
}

static const struct {
        const char *type;
        void (*on)(struct decoder *d, json_object *event, struct chat_events *out);
        bool needs_start;
} handlers[] = {
        {"message_start", on_message_start, false},
        {"content_block_start", on_block_start, true},
        {"content_block_delta", on_delta, true},
        {"content_block_stop", on_block_stop, true},
        {"message_delta", on_message_delta, true},
        {"message_stop", on_message_stop, false},
        {"ping", on_ping, false},
        {"error", on_error, false},
};

void anthropic_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out)
{
        struct decoder *d = decoder;
        struct err err = {0};
        if (d->ended || str_is(event->data, "[DONE]")) /* gateways of another dialect end so */
                return;
        json_object *root = json_parse(out->arena, event->data.at, event->data.len, JSON_FROM_PROVIDER, &err);
        if (!json_object_is_type(root, json_type_object)) {
                fail(d, out, FAULT_MALFORMED, "an event is no JSON object");
                return;
        }
        const char *type = json_peek_string(root, "type");
        if (!type)
                type = json_peek(root, "error") ? "error" : "";
        for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
                if (strcmp(handlers[i].type, type) != 0)
                        continue;
                if (handlers[i].needs_start && !d->id)
                        fail(d, out, FAULT_MALFORMED, "an event before message_start");
                else
                        handlers[i].on(d, root, out);
                return;
        }
        /* Kinds of events that are not known yet are left alone, as the vendor asks. */
}

void anthropic_decode_end(void *decoder, struct str stray, struct chat_events *out)
{
        struct decoder *d = decoder;
        struct err ignored = {0};
        if (d->ended)
                return;
        json_object *root =
                stray.len ? json_parse(out->arena, stray.at, stray.len, JSON_FROM_PROVIDER, &ignored) : NULL;
        if (json_peek(root, "error"))
                on_error(d, root, out);
        else if (d->finish != FINISH_NONE)
                finish(d, out);
        else
                fail(d, out, FAULT_CUT, "the stream ended before the answer was whole");
}
