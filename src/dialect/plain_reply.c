#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/plain_internal.h"

/* All that one answer may hold; providers' answers are capped far below (max_bytes of the transport). */
enum { TEXT_MAX = 256 << 20, CALLS_MAX = 256 };

const char *plain_finish_word(enum chat_finish finish)
{
        switch (finish) {
        case FINISH_LENGTH: return "length";
        case FINISH_TOOL: return "tool";
        case FINISH_FILTER: return "filter";
        default: return "stop";
        }
}

static void write_usage(struct json_writer *w, const struct chat_usage *u)
{
        jw_key_object(w, "usage");
        jw_key_int(w, "input", u->input);
        jw_key_int(w, "output", u->output);
        jw_key_int(w, "cached", u->cached);
        jw_key_int(w, "reasoning", u->reasoning);
        jw_end(w);
}

static void write_cost(struct json_writer *w, const struct answer_context *c)
{
        if (!c->cost)
                return;
        jw_key_object(w, "cost");
        jw_key_string(w, "amount", c->cost);
        jw_key_string(w, "currency", c->currency);
        jw_end(w);
}

static void write_head(struct json_writer *w, const struct answer_context *c, const char *id,
                       const char *served)
{
        jw_key_string(w, "id",
                      id ? id : arena_printf(c->arena, "tg-%s", c->id_seed ? c->id_seed : c->request_id));
        jw_key_string(w, "model", c->model_asked);
        jw_key_string(w, "version", c->version);
        jw_key_string(w, "provider", c->provider);
        jw_key_string(w, "served_model", served);
}

static void write_calls(struct json_writer *w, struct arena *a, const struct chat_block *calls)
{
        bool open = false;
        for (const struct chat_block *b = calls; b; b = b->next) {
                if (b->type != BLOCK_TOOL_CALL)
                        continue;
                if (!open)
                        jw_key_array(w, "tool_calls");
                open = true;
                jw_object(w);
                jw_key_string(w, "id", b->id);
                jw_key_string(w, "name", b->name);
                jw_key_node(w, "arguments", chat_arguments_object(a, b));
                jw_end(w);
        }
        if (open)
                jw_end(w);
}

void plain_write_answer(const struct answer_context *c, const struct plain_answer *answer, struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        write_head(&w, c, answer->id, answer->served_model);
        jw_key_str(&w, "text", answer->text);
        jw_key_string(&w, "finish", plain_finish_word(answer->finish));
        write_calls(&w, c->arena, answer->calls);
        write_usage(&w, &answer->usage);
        write_cost(&w, c);
        jw_key_int(&w, "latency_ms", c->latency_ms);
        jw_end(&w);
        if (!jw_done(&w))
                out->failed = true;
}

/* What a reader sees: text, and a refusal where the model gave one. */
static struct str visible_text(struct arena *a, const struct chat_block *blocks)
{
        struct buf *text = buf_in_arena(a, TEXT_MAX);
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->type == BLOCK_TEXT || b->type == BLOCK_REFUSAL)
                        buf_add_str(text, b->text);
        }
        return text->len ? (struct str){text->data, text->len} : str_of("");
}

void plain_encode_chat(const struct answer_context *c, const struct chat_reply *reply, struct buf *out)
{
        const struct chat_choice *choice = reply->choices;
        struct str text = visible_text(c->arena, choice ? choice->blocks : NULL);
        if (c->format == ANSWER_TEXT) {
                buf_add_str(out, text);
                return;
        }
        struct plain_answer answer = {
                .id = reply->id,
                .served_model = reply->model,
                .text = text,
                .finish = choice ? choice->finish : FINISH_NONE,
                .calls = choice ? choice->blocks : NULL,
                .usage = reply->usage,
        };
        if (c->format == ANSWER_HTML)
                plain_write_page(c, &answer, out);
        else
                plain_write_answer(c, &answer, out);
}

/* The fewest digits that read back as the same float. */
static int float_text(char out[32], float value)
{
        for (int digits = 6; digits < 9; digits++) {
                int len = snprintf(out, 32, "%.*g", digits, (double)value);
                if (strtof(out, NULL) == value)
                        return len;
        }
        return snprintf(out, 32, "%.9g", (double)value);
}

static void write_vector(struct buf *out, const struct embed_vector *v, char separator)
{
        char number[32];
        for (size_t i = 0; i < v->count; i++) {
                if (i)
                        buf_addc(out, separator);
                int len = float_text(number, v->values[i] == v->values[i] ? v->values[i] : 0);
                buf_add(out, number, (size_t)len);
        }
}

void plain_encode_embed(const struct answer_context *c, const struct embed_reply *reply, struct buf *out)
{
        if (c->format == ANSWER_TEXT) {
                for (size_t i = 0; i < reply->vector_count; i++) {
                        write_vector(out, &reply->vectors[i], ' ');
                        buf_addc(out, '\n');
                }
                return;
        }
        if (c->format == ANSWER_HTML) {
                plain_write_vectors_page(c, reply, out);
                return;
        }
        struct json_writer w;
        struct buf vector;
        buf_init(&vector, TEXT_MAX);
        json_writer_init(&w, out);
        jw_object(&w);
        write_head(&w, c, NULL, reply->model);
        jw_key_array(&w, "embeddings");
        for (size_t i = 0; i < reply->vector_count; i++) {
                buf_reset(&vector);
                buf_addc(&vector, '[');
                write_vector(&vector, &reply->vectors[i], ',');
                buf_addc(&vector, ']');
                jw_raw(&w, vector.data, vector.len);
        }
        jw_end(&w);
        write_usage(&w, &reply->usage);
        write_cost(&w, c);
        jw_key_int(&w, "latency_ms", c->latency_ms);
        jw_end(&w);
        if (!jw_done(&w) || vector.failed)
                out->failed = true;
        buf_release(&vector);
}

/* ---- errors ---- */

static void write_error(struct json_writer *w, const struct answer_context *c, const struct err *e)
{
        jw_object(w);
        jw_key_object(w, "error");
        jw_key_string(w, "code", e->code ? e->code : err_row(e->cause)->plain_code);
        jw_key_string(w, "message", e->message);
        jw_key_string(w, "request_id", c->request_id);
        jw_end(w);
        jw_end(w);
}

void plain_encode_error(const struct answer_context *c, const struct err *e, struct buf *out)
{
        struct json_writer w;
        if (c->format == ANSWER_TEXT) {
                buf_adds(out, e->message ? e->message : "");
                buf_addc(out, '\n');
                return;
        }
        if (c->format == ANSWER_HTML) {
                plain_write_error_page(c, e, out);
                return;
        }
        json_writer_init(&w, out);
        write_error(&w, c, e);
}

/* ---- streams ---- */

struct plain_call {
        struct chat_block block;
        struct buf arguments;
};

struct plain_encoder {
        const struct answer_context *c;
        const char *id, *served_model;
        enum chat_finish finish;
        struct chat_usage usage;
        struct buf text;
        struct {
                int64_t block;
                struct plain_call *call;
        } calls[CALLS_MAX];
        size_t call_count;
        unsigned char shown[1024]; /* bit per block: its deltas are text to show */
};

static void release_encoder(void *encoder)
{
        struct plain_encoder *e = encoder;
        buf_release(&e->text);
        for (size_t i = 0; i < e->call_count; i++)
                buf_release(&e->calls[i].call->arguments);
}

void *plain_encoder_new(const struct answer_context *c)
{
        struct plain_encoder *e = arena_alloc(c->arena, sizeof *e);
        e->c = c;
        buf_init(&e->text, TEXT_MAX);
        arena_defer(c->arena, release_encoder, e);
        return e;
}

static bool block_in_range(const struct plain_encoder *e, int64_t block)
{
        return block >= 0 && block < (int64_t)sizeof e->shown * 8;
}

static void start_block(struct plain_encoder *e, const struct chat_event *event)
{
        const struct chat_block *b = &event->block_start;
        if ((b->type == BLOCK_TEXT || b->type == BLOCK_REFUSAL) && block_in_range(e, event->block))
                e->shown[event->block / 8] |= (unsigned char)(1u << event->block % 8);
        if (b->type != BLOCK_TOOL_CALL || e->call_count == CALLS_MAX)
                return;
        struct plain_call *call = arena_alloc(e->c->arena, sizeof *call);
        call->block.type = BLOCK_TOOL_CALL;
        call->block.id = arena_strdup(e->c->arena, b->id);
        call->block.name = arena_strdup(e->c->arena, b->name);
        buf_init(&call->arguments, TEXT_MAX);
        e->calls[e->call_count].block = event->block;
        e->calls[e->call_count++].call = call;
}

static void text_event(struct plain_encoder *e, struct str delta, struct buf *out)
{
        struct json_writer w;
        buf_add_str(&e->text, delta);
        buf_adds(out, "event: text\ndata: ");
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_str(&w, "text", delta);
        jw_end(&w);
        buf_adds(out, "\n\n");
}

static void delta_event(struct plain_encoder *e, const struct chat_event *event, struct buf *out)
{
        if (event->delta_kind == DELTA_TEXT && event->delta.len && block_in_range(e, event->block) &&
            (e->shown[event->block / 8] & 1u << event->block % 8))
                text_event(e, event->delta, out);
        for (size_t i = 0; event->delta_kind == DELTA_ARGUMENTS && i < e->call_count; i++) {
                if (e->calls[i].block == event->block)
                        buf_add_str(&e->calls[i].call->arguments, event->delta);
        }
}

static void done_event(struct plain_encoder *e, struct buf *out)
{
        for (size_t i = 0; i < e->call_count; i++) {
                struct plain_call *call = e->calls[i].call;
                call->block.arguments_text = (struct str){call->arguments.data, call->arguments.len};
                call->block.next = i + 1 < e->call_count ? &e->calls[i + 1].call->block : NULL;
        }
        struct plain_answer answer = {
                .id = e->id,
                .served_model = e->served_model,
                .text = e->text.len ? (struct str){e->text.data, e->text.len} : str_of(""),
                .finish = e->finish,
                .calls = e->call_count ? &e->calls[0].call->block : NULL,
                .usage = e->usage,
        };
        buf_adds(out, "event: done\ndata: ");
        plain_write_answer(e->c, &answer, out);
        buf_adds(out, "\n\n");
}

void plain_encode_event(void *encoder, const struct chat_event *event, struct buf *out)
{
        struct plain_encoder *e = encoder;
        if (event->choice != 0)
                return;
        switch (event->type) {
        case EVENT_START:
                e->id = arena_strdup(e->c->arena, event->id);
                e->served_model = arena_strdup(e->c->arena, event->model);
                if (event->usage.known)
                        e->usage = event->usage;
                break;
        case EVENT_BLOCK_START: start_block(e, event); break;
        case EVENT_DELTA: delta_event(e, event, out); break;
        case EVENT_USAGE: e->usage = event->usage; break;
        case EVENT_STOP: e->finish = event->finish; break;
        case EVENT_END: done_event(e, out); break;
        default: break;
        }
}

void plain_encode_stream_error(void *encoder, const struct err *err, struct buf *out)
{
        struct plain_encoder *e = encoder;
        struct json_writer w;
        buf_adds(out, "event: error\ndata: ");
        json_writer_init(&w, out);
        write_error(&w, e->c, err);
        buf_adds(out, "\n\n");
}

void plain_encode_keepalive(void *encoder, struct buf *out)
{
        (void)encoder;
        buf_adds(out, ": keep-alive\n\n");
}
