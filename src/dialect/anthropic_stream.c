/*
 * Streams to clients. Blocks on the wire are strictly one after the other: what comes for a later one while
 * another is open is held back. The end (message_delta) waits for the last word about usage.
 */
#include "dialect/anthropic.h"

#include <string.h>

#include "dialect/carry.h"

enum { HELD_MAX = 64 * 1024 * 1024, REFUSAL_MAX = 64 * 1024 };

struct held_block { /* a block from its start until it is on the wire as a whole */
        struct held_block *next;
        int64_t number; /* canonical */
        struct chat_block start;
        bool live, opened, stopped;
        struct buf text, signature, citations; /* citations: JSON, one a line */
};

struct encoder {
        const struct answer_context *context;
        struct arena *arena;
        const char *id, *model;
        bool started, ended;
        struct held_block *blocks; /* in order; the first is the one on the wire */
        int64_t wire_index;        /* of the block that is open, or the next one */
        int64_t made_ids;
        struct chat_usage usage;
        struct anthropic_stop stop;
        struct buf refusal;
};

void *anthropic_encoder_new(const struct answer_context *c)
{
        struct encoder *e = arena_alloc(c->arena, sizeof *e);
        e->context = c;
        e->arena = c->arena;
        buf_init_in_arena(&e->refusal, c->arena, REFUSAL_MAX);
        return e;
}

/* ---- framing ---- */

static void event_begin(struct json_writer *w, struct buf *out, const char *type)
{
        buf_addf(out, "event: %s\ndata: ", type);
        json_writer_init(w, out);
        jw_object(w);
        jw_key_string(w, "type", type);
}

static void event_end(struct json_writer *w)
{
        jw_end(w);
        buf_adds(w->out, "\n\n");
}

static void ensure_started(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        if (e->started)
                return;
        e->started = true;
        event_begin(&w, out, "message_start");
        jw_key_object(&w, "message");
        jw_key_string(&w, "id", anthropic_message_id(e->context, e->id));
        jw_key_string(&w, "type", "message");
        jw_key_string(&w, "role", "assistant");
        jw_key_string(&w, "model", e->model ? e->model : e->context->model_asked);
        jw_key_array(&w, "content");
        jw_end(&w);
        jw_key_null(&w, "stop_reason");
        jw_key_null(&w, "stop_sequence");
        jw_key_null(&w, "stop_details");
        jw_key(&w, "usage");
        anthropic_write_usage(&w, &e->usage);
        jw_end(&w);
        event_end(&w);
}

static void delta_begin(struct encoder *e, struct json_writer *w, struct buf *out, const char *type)
{
        event_begin(w, out, "content_block_delta");
        jw_key_int(w, "index", e->wire_index);
        jw_key_object(w, "delta");
        jw_key_string(w, "type", type);
}

static void delta_end(struct json_writer *w)
{
        jw_end(w);
        event_end(w);
}

static void write_delta(struct encoder *e, struct buf *out, const char *type, const char *key,
                        struct str text)
{
        struct json_writer w;
        if (!text.len)
                return;
        delta_begin(e, &w, out, type);
        jw_key_str(&w, key, text);
        delta_end(&w);
}

/* ---- blocks on the wire ---- */

static void block_begin(struct encoder *e, struct json_writer *w, struct buf *out)
{
        event_begin(w, out, "content_block_start");
        jw_key_int(w, "index", e->wire_index);
        jw_key(w, "content_block");
}

static void wire_stop(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        event_begin(&w, out, "content_block_stop");
        jw_key_int(&w, "index", e->wire_index);
        event_end(&w);
        e->wire_index++;
}

static void open_text(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        block_begin(e, &w, out);
        jw_object(&w);
        jw_key_string(&w, "type", "text");
        jw_key_string(&w, "text", "");
        jw_end(&w);
        event_end(&w);
}

static void open_thought(struct encoder *e, const struct chat_block *b, struct buf *out)
{
        struct json_writer w;
        block_begin(e, &w, out);
        jw_object(&w);
        jw_key_string(&w, "type", b->redacted ? "redacted_thinking" : "thinking");
        if (b->redacted) {
                jw_key_str(&w, "data", anthropic_signature(e->arena, b, CARRY_ON_REDACTED));
        } else {
                jw_key_string(&w, "thinking", "");
                jw_key_string(&w, "signature", "");
        }
        jw_end(&w);
        event_end(&w);
}

/* A thinking block without a thought carries the signature of the call that follows it. */
static void carry_signature(struct encoder *e, const struct chat_block *b, struct buf *out)
{
        static const struct chat_block thought = {.type = BLOCK_THINKING};
        if (!b->signature.len || b->signature_from == DIALECT_ANTHROPIC)
                return;
        open_thought(e, &thought, out);
        write_delta(e, out, "signature_delta", "signature",
                    anthropic_signature(e->arena, b, CARRY_ON_NEXT_CALL));
        wire_stop(e, out);
}

static void open_call(struct encoder *e, const struct chat_block *b, struct buf *out)
{
        struct json_writer w;
        carry_signature(e, b, out);
        block_begin(e, &w, out);
        jw_object(&w);
        jw_key_string(&w, "type", "tool_use");
        if (b->id && *b->id)
                jw_key_string(&w, "id", anthropic_tool_id(e->arena, b->id));
        else
                jw_key_string(&w, "id",
                              arena_printf(e->arena, "toolu_%s_%lld",
                                           anthropic_message_id(e->context, e->id) + 4,
                                           (long long)e->made_ids++));
        jw_key_string(&w, "name", b->name ? b->name : "");
        jw_key_object(&w, "input");
        jw_end(&w);
        if (b->raw_dialect == DIALECT_ANTHROPIC)
                anthropic_write_members(&w, b->raw);
        jw_end(&w);
        event_end(&w);
        e->stop.called = true;
}

static void write_citation(struct encoder *e, struct str json, struct buf *out)
{
        struct json_writer w;
        delta_begin(e, &w, out, "citations_delta");
        jw_key(&w, "citation");
        jw_raw(&w, json.at, json.len);
        delta_end(&w);
}

/* Opens it where there is something to show: the vendor refuses empty text when it comes back. */
static bool open_block(struct encoder *e, struct held_block *h, struct buf *out)
{
        struct json_writer w;
        if (h->opened)
                return true;
        switch (h->start.type) {
        case BLOCK_TEXT:
                if (!h->text.len)
                        return false;
                open_text(e, out);
                break;
        case BLOCK_IMAGE:
        case BLOCK_AUDIO:
                open_text(e, out);
                write_delta(e, out, "text_delta", "text", anthropic_media_text(e->arena, &h->start));
                break;
        case BLOCK_THINKING: open_thought(e, &h->start, out); break;
        case BLOCK_TOOL_CALL: open_call(e, &h->start, out); break;
        case BLOCK_OTHER:
                block_begin(e, &w, out);
                jw_node(&w, h->start.raw);
                event_end(&w);
                break;
        default: return false;
        }
        return h->opened = true;
}

/* Writes what was held of the block that is on the wire. */
static void flush_block(struct encoder *e, struct held_block *h, struct buf *out)
{
        if (!open_block(e, h, out))
                return;
        struct str text = {h->text.data, h->text.len};
        switch (h->start.type) {
        case BLOCK_TOOL_CALL: write_delta(e, out, "input_json_delta", "partial_json", text); break;
        case BLOCK_THINKING: write_delta(e, out, "thinking_delta", "thinking", text); break;
        default: write_delta(e, out, "text_delta", "text", text); break;
        }
        buf_reset(&h->text);
        for (char *line = h->citations.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
                write_citation(e, (struct str){line, (size_t)(end - line)}, out);
        buf_reset(&h->citations);
}

/* Signatures go out whole, at the end: another vendor's must be wrapped in one piece. */
static void close_block(struct encoder *e, struct held_block *h, struct buf *out)
{
        flush_block(e, h, out);
        if (!h->opened)
                return;
        if (h->start.type == BLOCK_THINKING && !h->start.redacted) {
                struct chat_block b = h->start;
                b.signature = (struct str){h->signature.len ? h->signature.data : "", h->signature.len};
                write_delta(e, out, "signature_delta", "signature",
                            anthropic_signature(e->arena, &b, CARRY_ON_THINKING));
        }
        wire_stop(e, out);
}

/* Lets the first block flow, and those after it that are whole. */
static void advance(struct encoder *e, struct buf *out)
{
        while (e->blocks) {
                struct held_block *h = e->blocks;
                if (!h->stopped) {
                        flush_block(e, h, out);
                        return;
                }
                close_block(e, h, out);
                e->blocks = h->next;
                buf_release(&h->text);
                buf_release(&h->signature);
                buf_release(&h->citations);
        }
}

/* ---- events ---- */

static void on_block_start(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        const struct chat_block *b = &event->block_start;
        bool foreign = b->type == BLOCK_OTHER && (!b->raw || b->raw_dialect != DIALECT_ANTHROPIC);
        if (foreign || b->type == BLOCK_DOCUMENT || b->type == BLOCK_TOOL_RESULT)
                return;
        struct held_block *h = arena_alloc(e->arena, sizeof *h), **end = &e->blocks;
        while (*end)
                end = &(*end)->next;
        *end = h;
        h->number = event->block;
        h->start = *b;
        /* The event's memory is gone after this call. */
        h->start.id = arena_strdup(e->arena, b->id);
        h->start.name = arena_strdup(e->arena, b->name);
        h->start.signature =
                b->signature.at ? arena_str(e->arena, b->signature.at, b->signature.len) : (struct str){0};
        h->start.raw = anthropic_keep(e->arena, b->raw);
        h->start.source.media_type = arena_strdup(e->arena, b->source.media_type);
        h->start.source.url = arena_strdup(e->arena, b->source.url);
        if (b->source.data.at)
                h->start.source.data = arena_str(e->arena, b->source.data.at, b->source.data.len);
        buf_init_in_arena(&h->text, e->arena, HELD_MAX);
        buf_init_in_arena(&h->signature, e->arena, HELD_MAX);
        buf_init_in_arena(&h->citations, e->arena, HELD_MAX);
        if (b->type == BLOCK_TOOL_CALL || b->type == BLOCK_THINKING)
                advance(e, out);
}

static struct held_block *find_block(struct encoder *e, int64_t number)
{
        struct held_block *h = e->blocks;
        while (h && h->number != number)
                h = h->next;
        return h;
}

static void hold_citation(struct encoder *e, struct held_block *h, const struct chat_citation *c)
{
        struct json_writer w;
        if (!c || !anthropic_citation_fits(c) || h->start.type != BLOCK_TEXT)
                return;
        json_writer_init(&w, &h->citations);
        anthropic_write_citation(e->arena, &w, c);
        buf_addc(&h->citations, '\n');
}

static void on_delta(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        struct held_block *h = find_block(e, event->block);
        if (!h)
                return;
        bool is_call = h->start.type == BLOCK_TOOL_CALL;
        if (h->start.type == BLOCK_REFUSAL && event->delta_kind == DELTA_TEXT)
                buf_add_str(&e->refusal, event->delta);
        else if (event->delta_kind == (is_call ? DELTA_ARGUMENTS : DELTA_TEXT))
                buf_add_str(&h->text, event->delta);
        else if (event->delta_kind == DELTA_SIGNATURE && h->start.type == BLOCK_THINKING)
                buf_add_str(&h->signature, event->delta);
        else if (event->delta_kind == DELTA_CITATION)
                hold_citation(e, h, event->citation);
        if (h == e->blocks)
                advance(e, out);
}

static void on_block_stop(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        struct held_block *h = find_block(e, event->block);
        if (!h)
                return;
        h->stopped = true;
        advance(e, out);
}

static void on_stop(struct encoder *e, const struct chat_event *event)
{
        e->stop.finish = event->finish;
        e->stop.finish_raw = arena_strdup(e->arena, event->finish_raw);
        e->stop.stop_sequence = arena_strdup(e->arena, event->stop_sequence);
        e->stop.stop_details = anthropic_keep(e->arena, event->stop_details);
}

static void on_end(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        for (struct held_block *h = e->blocks; h; h = h->next)
                h->stopped = true;
        advance(e, out);
        e->stop.refusal = (struct str){e->refusal.data, e->refusal.len};
        event_begin(&w, out, "message_delta");
        jw_key_object(&w, "delta");
        anthropic_write_stop(&w, &e->stop);
        jw_end(&w);
        jw_key(&w, "usage");
        anthropic_write_usage(&w, &e->usage);
        event_end(&w);
        event_begin(&w, out, "message_stop");
        event_end(&w);
        e->ended = true;
}

static void on_start(struct encoder *e, const struct chat_event *event)
{
        if (e->started)
                return;
        e->id = arena_strdup(e->arena, event->id);
        e->model = arena_strdup(e->arena, event->model);
        e->usage = event->usage;
}

void anthropic_encode_event(void *encoder, const struct chat_event *event, struct buf *out)
{
        struct encoder *e = encoder;
        if (e->ended || event->choice != 0 || event->type == EVENT_ERROR)
                return;
        if (event->type == EVENT_PING) {
                anthropic_encode_keepalive(e, out);
                return;
        }
        if (event->type == EVENT_START)
                on_start(e, event);
        if (event->type != EVENT_USAGE) /* usage alone is no reason to begin */
                ensure_started(e, out);
        switch (event->type) {
        case EVENT_BLOCK_START: on_block_start(e, event, out); break;
        case EVENT_DELTA: on_delta(e, event, out); break;
        case EVENT_BLOCK_STOP: on_block_stop(e, event, out); break;
        case EVENT_USAGE: e->usage = event->usage; break;
        case EVENT_STOP: on_stop(e, event); break;
        case EVENT_END: on_end(e, out); break;
        default: break;
        }
}

/* Every SDK of the vendor drops these before it looks at the order of events. */
void anthropic_encode_keepalive(void *encoder, struct buf *out)
{
        (void)encoder;
        buf_adds(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

void anthropic_encode_stream_error(void *encoder, const struct err *error, struct buf *out)
{
        struct encoder *e = encoder;
        struct json_writer w;
        buf_adds(out, "event: error\ndata: ");
        json_writer_init(&w, out);
        anthropic_write_error(e->context, error, &w);
        buf_adds(out, "\n\n");
        e->ended = true;
}
