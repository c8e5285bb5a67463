/*
 * The provider's stream: each event is a GenerateContentResponse with the next parts. There is no event at
 * the end; the answer is whole when every candidate had its finishReason, or the prompt was blocked.
 */
#include "dialect/gemini.h"
#include "dialect/tool_name.h"

#include <stdlib.h>
#include <string.h>

enum { CHOICES_MAX = 128 };

struct choice {
        struct choice *next;
        int64_t index, blocks; /* blocks: how many have started */
        bool open;             /* the last of them has not stopped */
        enum chat_block_type type;
        bool is_signed; /* the open one: more text is another block */
        bool called, finished;
        const char *finish_raw, *message;
        struct gemini_partial *partial; /* the open call's arguments come in pieces */
};

struct decoder {
        struct arena *arena;
        struct choice *choices, *last;
        size_t choice_count;
        struct gemini_ids ids;
        struct gemini_usage usage;
        bool started, blocked, over;
};

struct step {
        struct decoder *d;
        struct choice *c;
        struct chat_events *out;
};

static void release_partials(void *decoder)
{
        struct decoder *d = decoder;
        for (struct choice *c = d->choices; c; c = c->next) {
                if (c->partial)
                        gemini_partial_free(c->partial);
                c->partial = NULL;
        }
}

void *gemini_decoder_new(struct arena *a, const struct chat_request *r)
{
        struct decoder *d = arena_alloc(a, sizeof *d);
        d->arena = a;
        /* Where the provider gives no responseId: calls of earlier turns must not have the same ids. */
        for (const struct chat_message *m = r ? r->messages : NULL; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next)
                        d->ids.next += b->type == BLOCK_TOOL_CALL;
        }
        arena_defer(a, release_partials, d);
        return d;
}

static void fail(struct decoder *d, struct chat_events *out, const struct upstream_fault *fault)
{
        struct chat_event *e = chat_add_event(out, EVENT_ERROR, 0, 0);
        e->fault = arena_alloc(out->arena, sizeof *e->fault);
        *e->fault = *fault;
        d->over = true;
}

static void fail_with(struct decoder *d, struct chat_events *out, enum fault_kind kind, const char *why)
{
        struct upstream_fault fault = {.kind = kind, .message = arena_strdup(out->arena, why)};
        fail(d, out, &fault);
}

/* ---- blocks ---- */

static int64_t current(const struct choice *c)
{
        return c->blocks - 1;
}

static void delta(struct step *s, enum chat_delta_kind kind, struct str text)
{
        if (!text.len)
                return;
        struct chat_event *e = chat_add_event(s->out, EVENT_DELTA, s->c->index, current(s->c));
        e->delta_kind = kind;
        e->delta = arena_str(s->out->arena, text.at, text.len);
}

static void stop_block(struct step *s)
{
        struct choice *c = s->c;
        if (!c->open)
                return;
        if (c->partial) {
                delta(s, DELTA_ARGUMENTS, gemini_partial_text(c->partial, s->out->arena));
                gemini_partial_free(c->partial);
                c->partial = NULL;
        }
        chat_add_event(s->out, EVENT_BLOCK_STOP, c->index, current(c));
        c->open = false;
}

static struct chat_block *start_block(struct step *s, enum chat_block_type type)
{
        struct choice *c = s->c;
        stop_block(s);
        struct chat_event *e = chat_add_event(s->out, EVENT_BLOCK_START, c->index, c->blocks++);
        c->open = true;
        c->type = type;
        c->is_signed = false;
        e->block_start.type = type;
        return &e->block_start;
}

static bool is_true(json_object *part, const char *key)
{
        json_object *value = json_peek(part, key);
        return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

static struct str scratch(struct step *s, struct str text)
{
        return text.at ? arena_str(s->out->arena, text.at, text.len) : text;
}

static void decode_text(struct step *s, json_object *part)
{
        struct choice *c = s->c;
        struct str text = json_peek_str(part, "text"), signature = json_peek_str(part, "thoughtSignature");
        enum chat_block_type type = is_true(part, "thought") ? BLOCK_THINKING : BLOCK_TEXT;
        if (!text.len && !signature.len)
                return;
        /* A signature may come later: whose it will be is told at the start. */
        if (!c->open || c->type != type || c->is_signed)
                start_block(s, type)->signature_from = DIALECT_GEMINI;
        delta(s, DELTA_TEXT, text);
        if (!signature.len)
                return;
        /* A signature on an empty text ends the text that streamed before it. */
        delta(s, DELTA_SIGNATURE, signature);
        c->is_signed = true;
}

static void decode_call_start(struct step *s, json_object *part, json_object *call, const char *name)
{
        struct choice *c = s->c;
        json_object *args = json_peek_object(call, "args");
        struct str signature = json_peek_str(part, "thoughtSignature");
        struct chat_block *b = start_block(s, BLOCK_TOOL_CALL);
        c->called = true;
        b->id = gemini_call_id(s->out->arena, &s->d->ids, call, name);
        b->name = tool_name_back(s->out->arena, arena_strdup(s->out->arena, name));
        if (signature.len) {
                b->signature = scratch(s, signature);
                b->signature_from = DIALECT_GEMINI;
        }
        if (is_true(call, "willContinue") || json_peek_array(call, "partialArgs")) {
                c->partial = gemini_partial_new(args);
                return;
        }
        struct chat_block whole = {.arguments = args};
        delta(s, DELTA_ARGUMENTS, chat_arguments_text(s->out->arena, &whole));
        stop_block(s);
}

static void decode_call(struct step *s, json_object *part, json_object *call)
{
        struct choice *c = s->c;
        const char *name = json_peek_string(call, "name");
        json_object *pieces = json_peek_array(call, "partialArgs");
        if (name && *name)
                decode_call_start(s, part, call, name);
        if (!c->partial)
                return;
        if (pieces && !gemini_partial_add(c->partial, pieces)) {
                fail_with(s->d, s->out, FAULT_MALFORMED,
                          "arguments of a call in pieces that don't fit together");
                return;
        }
        if (!is_true(call, "willContinue"))
                stop_block(s);
}

static void decode_part(struct step *s, json_object *part)
{
        json_object *call = json_peek_object(part, "functionCall"),
                    *blob = json_peek_object(part, "inlineData");
        const char *type = json_peek_string(blob, "mimeType");
        if (call) {
                decode_call(s, part, call);
                return;
        }
        bool only_signature = json_peek(part, "thoughtSignature") && json_object_object_length(part) == 1;
        if (json_peek(part, "text") || only_signature) {
                decode_text(s, part);
                return;
        }
        if (!json_object_is_type(part, json_type_object) || json_object_object_length(part) == 0)
                return;
        bool image = type && strncmp(type, "image/", 6) == 0;
        struct chat_block *b = start_block(s, image ? BLOCK_IMAGE : BLOCK_OTHER);
        if (image) {
                b->source.kind = SOURCE_BASE64;
                b->source.media_type = arena_strdup(s->out->arena, type);
                b->source.data = scratch(s, json_peek_str(blob, "data"));
                b->signature = scratch(s, json_peek_str(part, "thoughtSignature"));
                b->signature_from = b->signature.len ? DIALECT_GEMINI : DIALECT_NONE;
        } else {
                b->raw = part;
                b->raw_dialect = DIALECT_GEMINI;
        }
        stop_block(s);
}

/* ---- candidates ---- */

static struct choice *choice_at(struct decoder *d, int64_t index)
{
        for (struct choice *c = d->choices; c; c = c->next) {
                if (c->index == index)
                        return c;
        }
        if (d->choice_count == CHOICES_MAX)
                return NULL;
        struct choice *c = arena_alloc(d->arena, sizeof *c);
        c->index = index;
        if (d->last)
                d->last->next = c;
        else
                d->choices = c;
        d->choice_count++;
        return d->last = c;
}

static void decode_extras(struct step *s, json_object *candidate)
{
        json_object *logprobs = gemini_logprobs(s->out->arena, candidate);
        if (logprobs && s->c->open) {
                struct chat_event *e = chat_add_event(s->out, EVENT_DELTA, s->c->index, current(s->c));
                e->delta_kind = DELTA_LOGPROBS;
                e->logprobs = logprobs;
        }
        if (!s->c->open || s->c->type != BLOCK_TEXT)
                return;
        for (struct chat_citation *c = gemini_citations(s->out->arena, candidate, (struct str){0}), *next; c;
             c = next) {
                struct chat_event *e = chat_add_event(s->out, EVENT_DELTA, s->c->index, current(s->c));
                next = c->next;
                c->next = NULL;
                e->delta_kind = DELTA_CITATION;
                e->citation = c;
        }
}

static void decode_candidate(struct decoder *d, json_object *candidate, struct chat_events *out)
{
        struct step s = {.d = d, .c = choice_at(d, json_peek_count(candidate, "index")), .out = out};
        if (!s.c) {
                fail_with(d, out, FAULT_MALFORMED, "more candidates than can be");
                return;
        }
        json_object *parts = json_peek_array(json_peek_object(candidate, "content"), "parts");
        for (size_t i = 0; parts && i < json_object_array_length(parts) && !d->over; i++)
                decode_part(&s, json_object_array_get_idx(parts, i));
        if (d->over)
                return;
        decode_extras(&s, candidate);
        const char *reason = json_peek_string(candidate, "finishReason");
        if (gemini_finish(reason) == FINISH_NONE)
                return;
        s.c->finished = true;
        s.c->finish_raw = arena_strdup(d->arena, reason);
        s.c->message = arena_strdup(d->arena, json_peek_string(candidate, "finishMessage"));
}

static void decode_block(struct decoder *d, json_object *root, struct chat_events *out)
{
        const char *reason = NULL, *text = gemini_block_text(d->arena, root, &reason);
        if (!text || d->choices)
                return;
        struct step s = {.d = d, .c = choice_at(d, 0), .out = out};
        start_block(&s, BLOCK_REFUSAL);
        delta(&s, DELTA_TEXT, str_of(text));
        s.c->finished = true;
        s.c->finish_raw = reason;
        d->blocked = true;
}

static void decode_start(struct decoder *d, json_object *root, struct chat_events *out)
{
        if (d->started)
                return;
        d->started = true;
        d->ids.response = arena_strdup(d->arena, json_peek_string(root, "responseId"));
        struct chat_event *e = chat_add_event(out, EVENT_START, 0, 0);
        e->id = d->ids.response;
        e->model = arena_strdup(d->arena, json_peek_string(root, "modelVersion"));
        e->usage = gemini_usage_canonical(&d->usage);
}

static void decode_chunk(struct decoder *d, json_object *root, struct chat_events *out)
{
        json_object *metadata = json_peek_object(root, "usageMetadata");
        json_object *list = json_peek_array(root, "candidates");
        gemini_usage_read(metadata, &d->usage);
        decode_start(d, root, out);
        for (size_t i = 0; list && i < json_object_array_length(list) && !d->over; i++)
                decode_candidate(d, json_object_array_get_idx(list, i), out);
        if (d->over)
                return;
        decode_block(d, root, out);
        if (metadata && d->usage.seen)
                chat_add_event(out, EVENT_USAGE, 0, 0)->usage = gemini_usage_canonical(&d->usage);
}

void gemini_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out)
{
        struct decoder *d = decoder;
        struct err err = {0};
        if (d->over || !event->data.len)
                return;
        json_object *root = json_parse(out->arena, event->data.at, event->data.len, JSON_FROM_PROVIDER, &err);
        json_object *error = root ? gemini_error_of(root) : NULL;
        if (error) {
                struct upstream_fault fault = {0};
                gemini_error_read(out->arena, 0, error, true, &fault);
                fail(d, out, &fault);
        } else if (!json_object_is_type(root, json_type_object)) {
                fail_with(d, out, FAULT_MALFORMED, root ? "an event that is no object" : err.message);
        } else {
                decode_chunk(d, root, out);
        }
}

/* ---- the end ---- */

static void stop_choice(struct decoder *d, struct choice *c, struct chat_events *out)
{
        struct step s = {.d = d, .c = c, .out = out};
        enum chat_finish finish = d->blocked ? FINISH_FILTER : gemini_finish(c->finish_raw);
        if (finish == FINISH_STOP && c->called)
                finish = FINISH_TOOL;
        if (finish == FINISH_FILTER && !c->blocks && c->message) {
                start_block(&s, BLOCK_REFUSAL);
                delta(&s, DELTA_TEXT, str_of(c->message));
        }
        stop_block(&s);
        struct chat_event *e = chat_add_event(out, EVENT_STOP, c->index, 0);
        e->finish = finish;
        e->finish_raw = c->finish_raw;
}

void gemini_decode_end(void *decoder, struct str stray, struct chat_events *out)
{
        struct decoder *d = decoder;
        struct err err = {0};
        if (d->over)
                return;
        json_object *root =
                stray.len ? json_parse(out->arena, stray.at, stray.len, JSON_FROM_PROVIDER, &err) : NULL;
        json_object *error = root ? gemini_error_of(root) : NULL;
        if (error) {
                struct upstream_fault fault = {0};
                gemini_error_read(out->arena, 0, error, true, &fault);
                fail(d, out, &fault);
                return;
        }
        bool whole = d->choices != NULL;
        for (struct choice *c = d->choices; c; c = c->next)
                whole = whole && c->finished;
        if (!whole) {
                fail_with(d, out, FAULT_CUT, "the stream ended before the answer was whole");
                return;
        }
        for (struct choice *c = d->choices; c; c = c->next)
                stop_choice(d, c, out);
        if (d->usage.seen)
                chat_add_event(out, EVENT_USAGE, 0, 0)->usage = gemini_usage_canonical(&d->usage);
        chat_add_event(out, EVENT_END, 0, 0);
        d->over = true;
}
