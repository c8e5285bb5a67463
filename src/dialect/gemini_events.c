/*
 * The client's stream: every event is a GenerateContentResponse with the next part. A call goes out whole, so
 * its arguments are held until it stops, and calls leave in the order in which they began. Finish reasons are
 * held until the answer is known to be whole: a stream that fails must not look finished.
 */
#include "dialect/gemini.h"

#include <stdlib.h>
#include <string.h>

enum { CITATIONS_MAX = 256, ARGUMENTS_MAX = 64 * 1024 * 1024 };

struct block {
        struct block *next;
        struct chat_block copy; /* type, and of calls and thoughts what goes into their part */
        int64_t index;
        struct buf text; /* arguments of a call, or a signature in pieces */
        bool is_call, stopped, sent;
        struct chat_citation *citations, *last_citation;
        size_t citation_count;
};

struct choice {
        struct choice *next;
        int64_t index;
        struct block *blocks, *last;
        struct block *first_call; /* the first call that was not sent */
        bool finished;
        enum chat_finish finish;
        const char *finish_raw, *message;
};

struct encoder {
        const struct answer_context *context;
        struct arena *arena;
        struct choice *choices, *last;
        const char *id, *model;
        struct chat_usage usage;
        bool began, over; /* array: its bracket was written, was closed */
};

static void release_blocks(void *encoder)
{
        struct encoder *e = encoder;
        for (struct choice *c = e->choices; c; c = c->next) {
                for (struct block *b = c->blocks; b; b = b->next)
                        buf_release(&b->text);
        }
}

void *gemini_encoder_new(const struct answer_context *c)
{
        struct encoder *e = arena_alloc(c->arena, sizeof *e);
        e->context = c;
        e->arena = c->arena;
        arena_defer(c->arena, release_blocks, e);
        return e;
}

/* ---- framing ---- */

static void frame_begin(struct encoder *e, struct buf *out)
{
        if (e->context->format == ANSWER_SSE)
                buf_adds(out, "data: ");
        else
                buf_adds(out, e->began ? ",\r\n" : "[");
        e->began = true;
}

static void frame_end(struct encoder *e, struct buf *out)
{
        if (e->context->format == ANSWER_SSE)
                buf_adds(out, "\r\n\r\n");
}

static void stream_end(struct encoder *e, struct buf *out)
{
        if (e->context->format != ANSWER_SSE && !e->over)
                buf_adds(out, e->began ? "]" : "[]");
        e->over = true;
}

static void chunk_begin(struct encoder *e, struct json_writer *w, struct buf *out)
{
        frame_begin(e, out);
        json_writer_init(w, out);
        jw_object(w);
        jw_key_array(w, "candidates");
}

static void chunk_end(struct encoder *e, struct json_writer *w, struct buf *out, bool last)
{
        const char *model = e->model ? e->model : e->context->model_asked;
        const char *id = e->id ? e->id : e->context->id_seed;
        jw_end(w);
        if (last)
                gemini_write_usage(w, &e->usage);
        if (model)
                jw_key_string(w, "modelVersion", model);
        if (id)
                jw_key_string(w, "responseId", id);
        jw_end(w);
        frame_end(e, out);
}

static void candidate_begin(struct json_writer *w)
{
        jw_object(w);
        jw_key_object(w, "content");
        jw_key_array(w, "parts");
}

static void candidate_middle(struct json_writer *w)
{
        jw_end(w);
        jw_key_string(w, "role", "model");
        jw_end(w);
}

static void candidate_end(struct json_writer *w, const struct choice *c)
{
        jw_key_int(w, "index", c->index);
        jw_end(w);
}

static void empty_part(struct json_writer *w)
{
        jw_object(w);
        jw_key_string(w, "text", "");
        jw_end(w);
}

/* One part, one event. logprobs: to go with it, or NULL. */
static void send_part(struct encoder *e, const struct choice *c, const struct chat_block *part,
                      json_object *logprobs, struct buf *out)
{
        struct json_writer w;
        chunk_begin(e, &w, out);
        candidate_begin(&w);
        if (!part || !gemini_write_part(&w, e->arena, part))
                empty_part(&w);
        candidate_middle(&w);
        gemini_write_logprobs(&w, logprobs);
        candidate_end(&w, c);
        chunk_end(e, &w, out, false);
}

/* ---- events ---- */

static struct choice *choice_at(struct encoder *e, int64_t index)
{
        for (struct choice *c = e->choices; c; c = c->next) {
                if (c->index == index)
                        return c;
        }
        struct choice *c = arena_alloc(e->arena, sizeof *c);
        c->index = index;
        if (e->last)
                e->last->next = c;
        else
                e->choices = c;
        return e->last = c;
}

static struct block *block_at(struct choice *c, int64_t index)
{
        if (c->last && c->last->index == index)
                return c->last;
        for (struct block *b = c->blocks; b; b = b->next) {
                if (b->index == index)
                        return b;
        }
        return NULL;
}

static struct str keep(struct encoder *e, struct str s)
{
        return s.at ? arena_str(e->arena, s.at, s.len) : s;
}

static void on_block_start(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        struct choice *c = choice_at(e, event->choice);
        const struct chat_block *from = &event->block_start;
        struct block *b = arena_alloc(e->arena, sizeof *b);
        b->index = event->block;
        b->is_call = from->type == BLOCK_TOOL_CALL;
        b->copy = (struct chat_block){
                .type = from->type,
                .id = arena_strdup(e->arena, from->id),
                .name = arena_strdup(e->arena, from->name),
                .redacted = from->redacted,
                .signature = keep(e, from->signature),
                .signature_from = from->signature_from,
        };
        buf_init(&b->text, ARGUMENTS_MAX);
        if (c->last)
                c->last->next = b;
        else
                c->blocks = b;
        c->last = b;
        if (b->is_call && !c->first_call)
                c->first_call = b;
        bool whole = from->type == BLOCK_OTHER || from->type == BLOCK_IMAGE || from->type == BLOCK_AUDIO ||
                     from->type == BLOCK_DOCUMENT;
        if (whole && (from->type != BLOCK_OTHER || from->raw_dialect == DIALECT_GEMINI))
                send_part(e, c, from, NULL, out);
}

static void on_citation(struct encoder *e, struct block *b, const struct chat_citation *from)
{
        if (b->citation_count++ >= CITATIONS_MAX)
                return;
        struct chat_citation *c = arena_alloc(e->arena, sizeof *c);
        *c = (struct chat_citation){
                .url = arena_strdup(e->arena, from->url),
                .title = arena_strdup(e->arena, from->title),
                .cited_text = keep(e, from->cited_text),
        };
        if (b->last_citation)
                b->last_citation->next = c;
        else
                b->citations = c;
        b->last_citation = c;
}

static void on_delta(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        struct choice *c = choice_at(e, event->choice);
        struct block *b = block_at(c, event->block);
        if (event->delta_kind == DELTA_LOGPROBS) {
                send_part(e, c, NULL, event->logprobs, out);
                return;
        }
        if (!b)
                return;
        struct chat_block part = {.type = b->copy.type, .text = event->delta};
        switch (event->delta_kind) {
        case DELTA_TEXT:
                if (event->delta.len && !b->is_call)
                        send_part(e, c, &part, NULL, out);
                break;
        case DELTA_ARGUMENTS:
        case DELTA_SIGNATURE: buf_add_str(&b->text, event->delta); break;
        case DELTA_CITATION: on_citation(e, b, event->citation); break;
        case DELTA_LOGPROBS: break;
        }
}

/* Calls leave in order: those that stopped wait for the ones that began before them. */
static void send_calls(struct encoder *e, struct choice *c, struct buf *out)
{
        while (c->first_call && (c->first_call->stopped || !c->first_call->is_call)) {
                struct block *b = c->first_call;
                if (b->is_call && !b->sent) {
                        b->copy.arguments_text = (struct str){b->text.data, b->text.len};
                        send_part(e, c, &b->copy, NULL, out);
                        b->sent = true;
                        buf_release(&b->text);
                        buf_init(&b->text, 0);
                }
                c->first_call = b->next;
        }
}

static void on_block_stop(struct encoder *e, const struct chat_event *event, struct buf *out)
{
        struct choice *c = choice_at(e, event->choice);
        struct block *b = block_at(c, event->block);
        if (!b || b->stopped)
                return;
        b->stopped = true;
        if (b->is_call) {
                send_calls(e, c, out);
                return;
        }
        if (b->copy.type != BLOCK_THINKING && b->copy.type != BLOCK_TEXT)
                return;
        if (b->text.len)
                b->copy.signature = (struct str){b->text.data, b->text.len};
        if (b->copy.signature.len && b->copy.signature_from != DIALECT_NONE)
                send_part(e, c, &b->copy, NULL, out);
}

static void on_stop(struct encoder *e, const struct chat_event *event)
{
        struct choice *c = choice_at(e, event->choice);
        c->finished = true;
        c->finish = event->finish;
        c->finish_raw = arena_strdup(e->arena, event->finish_raw);
        c->message = arena_strdup(e->arena, json_peek_string(event->stop_details, "explanation"));
}

static void write_last(struct json_writer *w, const struct choice *c)
{
        const char *reason = gemini_finish_name(c->finish, c->finish_raw);
        candidate_begin(w);
        empty_part(w);
        candidate_middle(w);
        if (reason)
                jw_key_string(w, "finishReason", reason);
        if (c->message)
                jw_key_string(w, "finishMessage", c->message);
        for (struct block *b = c->blocks; b; b = b->next) {
                b->copy.citations = b->citations;
                b->copy.next = b->next ? &b->next->copy : NULL;
        }
        if (c->blocks)
                gemini_write_grounding(w, &c->blocks->copy);
        candidate_end(w, c);
}

static void on_end(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        chunk_begin(e, &w, out);
        for (struct choice *c = e->choices; c; c = c->next) {
                if (c->finished)
                        write_last(&w, c);
        }
        chunk_end(e, &w, out, true);
        stream_end(e, out);
}

void gemini_encode_event(void *encoder, const struct chat_event *event, struct buf *out)
{
        struct encoder *e = encoder;
        if (e->over)
                return;
        switch (event->type) {
        case EVENT_START:
                e->id = arena_strdup(e->arena, event->id);
                e->model = arena_strdup(e->arena, event->model);
                if (event->usage.known)
                        e->usage = event->usage;
                break;
        case EVENT_BLOCK_START: on_block_start(e, event, out); break;
        case EVENT_DELTA: on_delta(e, event, out); break;
        case EVENT_BLOCK_STOP: on_block_stop(e, event, out); break;
        case EVENT_USAGE: e->usage = event->usage; break;
        case EVENT_STOP: on_stop(e, event); break;
        case EVENT_END: on_end(e, out); break;
        case EVENT_ERROR:
        case EVENT_PING: break;
        }
}

void gemini_encode_stream_error(void *encoder, const struct err *error, struct buf *out)
{
        struct encoder *e = encoder;
        struct json_writer w;
        if (e->over)
                return;
        frame_begin(e, out);
        json_writer_init(&w, out);
        gemini_write_error(&w, e->context, error);
        frame_end(e, out);
        stream_end(e, out);
}

void gemini_encode_keepalive(void *encoder, struct buf *out)
{
        const struct encoder *e = encoder;
        /* White space: Python's SDK dies on comments, and between elements of an array it is JSON. */
        if (!e->over)
                buf_adds(out, "\r\n");
}
