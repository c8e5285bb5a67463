/* Canonical forms as short text, for tables of expectations. Included by the tests of dialects. */
#ifndef TOLLGATE_TESTS_DIALECT_DUMP_H
#define TOLLGATE_TESTS_DIALECT_DUMP_H

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dialect/dialect.h"

enum { DUMP_JSON = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE };

static const char *const dump_roles[] = {"system", "developer", "user", "assistant"};
static const char *const dump_types[] = {"text",   "image",    "document", "audio", "call",
                                         "result", "thinking", "refusal",  "other"};
static const char *const dump_finishes[] = {"none", "stop",   "stop_sequence", "length",
                                            "tool", "filter", "pause",         "error"};
static const char *const dump_sources[] = {"none", "base64", "url", "file", "text"};
static const char *const dump_dialects[] = {"-", "openai", "anthropic", "gemini", "plain", "echo"};

static inline void dump_signature(struct buf *out, struct str signature, enum dialect_id from)
{
        if (signature.len)
                buf_addf(out, " sig(%s:%.*s)", dump_dialects[from], (int)signature.len, signature.at);
}

static inline void dump_blocks(struct buf *out, struct arena *a, const struct chat_block *b)
{
        for (; b; b = b->next) {
                buf_addf(out, " [%s", dump_types[b->type]);
                if (b->id)
                        buf_addf(out, " %s", b->id);
                if (b->name)
                        buf_addf(out, " %s", b->name);
                if (b->type == BLOCK_TOOL_CALL) {
                        struct str args = chat_arguments_text(a, b);
                        buf_addf(out, " %.*s", (int)args.len, args.at);
                }
                if (b->text.at)
                        buf_addf(out, " '%.*s'", (int)b->text.len, b->text.at);
                if (b->source.kind)
                        buf_addf(out, " %s %s %.*s%s", dump_sources[b->source.kind],
                                 b->source.media_type ? b->source.media_type : "?", (int)b->source.data.len,
                                 b->source.data.at ? b->source.data.at : "",
                                 b->source.url ? b->source.url : "");
                if (b->is_error)
                        buf_adds(out, " error");
                if (b->redacted)
                        buf_adds(out, " redacted");
                if (b->detail)
                        buf_addf(out, " detail=%s", b->detail);
                if (b->raw)
                        buf_addf(out, " raw=%s", json_object_to_json_string_ext(b->raw, DUMP_JSON));
                dump_signature(out, b->signature, b->signature_from);
                for (const struct chat_citation *c = b->citations; c; c = c->next)
                        buf_addf(out, " cite(%s %s %d-%d)", c->url ? c->url : "-", c->title ? c->title : "-",
                                 (int)c->start, (int)c->end);
                dump_blocks(out, a, b->content);
                buf_adds(out, "]");
        }
}

static inline void dump_usage(struct buf *out, const struct chat_usage *u)
{
        if (u->known)
                buf_addf(out, " usage(in=%lld cached=%lld tool=%lld out=%lld think=%lld)",
                         (long long)u->input, (long long)u->cached, (long long)u->tool_input,
                         (long long)u->output, (long long)u->reasoning);
}

static inline void dump_reply(struct buf *out, struct arena *a, const struct chat_reply *r)
{
        for (const struct chat_choice *c = r->choices; c; c = c->next) {
                buf_addf(out, "%lld:", (long long)c->index);
                dump_blocks(out, a, c->blocks);
                buf_addf(out, " %s/%s\n", dump_finishes[c->finish], c->finish_raw ? c->finish_raw : "-");
        }
        dump_usage(out, &r->usage);
}

/* A reply put together from events, in `a`: what a client of the stream would have. */
struct dump_stream {
        struct arena *arena;
        struct chat_reply reply;
        bool started, ended;
        enum fault_kind fault;
        struct upstream_fault error;
        size_t broken; /* rules of the stream that were broken */
};

static inline struct chat_choice *dump_choice(struct dump_stream *s, int64_t index)
{
        for (struct chat_choice *c = s->reply.choices; c; c = c->next) {
                if (c->index == index)
                        return c;
        }
        struct chat_choice *c = chat_add_choice(s->arena, &s->reply);
        c->index = index;
        return c;
}

static inline struct chat_block *dump_block_at(struct chat_choice *c, int64_t index)
{
        struct chat_block *b = c->blocks;
        while (b && index-- > 0)
                b = b->next;
        return b;
}

static inline struct str dump_append(struct arena *a, struct str one, struct str two)
{
        char *text = arena_alloc(a, one.len + two.len + 1);
        if (one.len)
                memcpy(text, one.at, one.len);
        if (two.len)
                memcpy(text + one.len, two.at, two.len);
        return (struct str){text, one.len + two.len};
}

static inline struct str dump_copy(struct arena *a, struct str s)
{
        return s.at ? arena_str(a, s.at, s.len) : s;
}

static inline json_object *dump_copy_json(struct arena *a, json_object *node)
{
        struct err ignored = {0};
        const char *text = node ? json_object_to_json_string_ext(node, DUMP_JSON) : NULL;
        return text ? json_parse(a, text, strlen(text), JSON_FROM_PROVIDER, &ignored) : NULL;
}

static inline void dump_start_block(struct dump_stream *s, const struct chat_event *e)
{
        struct chat_choice *c = dump_choice(s, e->choice);
        const struct chat_block *from = &e->block_start;
        int64_t count = 0;
        for (struct chat_block *b = c->blocks; b; b = b->next)
                count++;
        if (count != e->block)
                s->broken++;
        struct chat_block *b = chat_add_reply_block(s->arena, c, from->type);
        b->id = arena_strdup(s->arena, from->id);
        b->name = arena_strdup(s->arena, from->name);
        b->redacted = from->redacted;
        b->signature = dump_copy(s->arena, from->signature);
        b->signature_from = from->signature_from;
        b->source = from->source;
        b->source.data = dump_copy(s->arena, from->source.data);
        b->source.media_type = arena_strdup(s->arena, from->source.media_type);
        b->raw = dump_copy_json(s->arena, from->raw);
        b->raw_dialect = from->raw_dialect;
}

static inline void dump_delta(struct dump_stream *s, const struct chat_event *e)
{
        struct chat_block *b = dump_block_at(dump_choice(s, e->choice), e->block);
        if (!b) {
                s->broken += e->delta_kind != DELTA_LOGPROBS;
                return;
        }
        if (e->delta_kind == DELTA_TEXT) {
                b->text = dump_append(s->arena, b->text, e->delta);
        } else if (e->delta_kind == DELTA_ARGUMENTS) {
                b->arguments_text = dump_append(s->arena, b->arguments_text, e->delta);
        } else if (e->delta_kind == DELTA_SIGNATURE) {
                b->signature = dump_append(s->arena, b->signature, e->delta);
        } else if (e->delta_kind == DELTA_CITATION) {
                struct chat_citation *c = arena_alloc(s->arena, sizeof *c), **at = &b->citations;
                *c = *e->citation;
                c->next = NULL;
                c->url = arena_strdup(s->arena, c->url);
                c->title = arena_strdup(s->arena, c->title);
                c->cited_text = dump_copy(s->arena, c->cited_text);
                c->raw = dump_copy_json(s->arena, c->raw);
                while (*at)
                        at = &(*at)->next;
                *at = c;
        }
}

static inline void dump_event(struct dump_stream *s, const struct chat_event *e)
{
        struct chat_choice *c;
        if (s->ended || s->fault)
                s->broken++;
        switch (e->type) {
        case EVENT_START:
                s->started = true;
                s->reply.id = arena_strdup(s->arena, e->id);
                s->reply.model = arena_strdup(s->arena, e->model);
                if (e->usage.known)
                        s->reply.usage = e->usage;
                break;
        case EVENT_BLOCK_START: dump_start_block(s, e); break;
        case EVENT_DELTA: dump_delta(s, e); break;
        case EVENT_USAGE: s->reply.usage = e->usage; break;
        case EVENT_STOP:
                c = dump_choice(s, e->choice);
                c->finish = e->finish;
                c->finish_raw = arena_strdup(s->arena, e->finish_raw);
                c->stop_sequence = arena_strdup(s->arena, e->stop_sequence);
                c->stop_details = dump_copy_json(s->arena, e->stop_details);
                break;
        case EVENT_END: s->ended = true; break;
        case EVENT_ERROR:
                s->error = *e->fault;
                s->error.message = arena_strdup(s->arena, e->fault->message);
                s->fault = e->fault->kind;
                break;
        case EVENT_BLOCK_STOP:
        case EVENT_PING: break;
        }
}

static inline void dump_events(struct dump_stream *s, const struct chat_events *events)
{
        for (const struct chat_event *e = events->first; e; e = e->next)
                dump_event(s, e);
}

/* A whole stream's bytes through the parser and a dialect's decoder; chunk 0: all at once. */
static inline void dump_decode_sse(const struct dialect *d, struct arena *a, struct str bytes, size_t first,
                                   size_t chunk, struct dump_stream *s)
{
        struct sse_parser *p = sse_new(16 << 20);
        void *decoder = d->decoder_new(a, NULL);
        struct sse_event event;
        size_t at = 0;
        while (at < bytes.len) {
                size_t n = at == 0 && first ? first : chunk ? chunk : bytes.len;
                n = n > bytes.len - at ? bytes.len - at : n;
                sse_feed(p, bytes.at + at, n);
                at += n;
                while (sse_next(p, &event)) {
                        struct chat_events events = {.arena = arena_new()};
                        d->decode_event(decoder, &event, &events);
                        dump_events(s, &events);
                        arena_free(events.arena);
                }
        }
        if (sse_end(p, &event)) {
                struct chat_events events = {.arena = arena_new()};
                d->decode_event(decoder, &event, &events);
                dump_events(s, &events);
                arena_free(events.arena);
        }
        struct chat_events events = {.arena = arena_new()};
        d->decode_end(decoder, sse_stray(p), &events);
        dump_events(s, &events);
        arena_free(events.arena);
        sse_free(p);
}

static inline bool dump_json_equal(const char *got, const char *expected)
{
        json_object *a = json_tokener_parse(got), *b = json_tokener_parse(expected);
        bool equal = a && b && json_object_equal(a, b);
        if (!equal)
                fprintf(stderr, "got      %s\nexpected %s\n", got, expected);
        json_object_put(a);
        json_object_put(b);
        return equal;
}

/* The folder of recordings, or NULL: the test is skipped. In the arena. */
static inline const char *dump_shared(struct arena *a, const char *folder)
{
        const char *shared = getenv("TOLLGATE_SHARED"), *source = getenv("TOLLGATE_SRCDIR");
        if (!shared)
                shared = arena_printf(a, "%s/../shared", source ? source : ".");
        const char *path = arena_printf(a, "%s/real/%s", shared, folder);
        FILE *f = fopen(arena_printf(a, "%s/real/README.md", shared), "r");
        if (!f) {
                fprintf(stderr, "skipped: no recordings at %s\n", path);
                return NULL;
        }
        fclose(f);
        return path;
}

static inline struct str dump_file(struct arena *a, const char *path)
{
        struct buf b;
        buf_init(&b, 64 << 20);
        struct str text = {0};
        if (buf_read_file(&b, path))
                text = arena_str(a, b.data ? b.data : "", b.len);
        buf_release(&b);
        return text;
}

#endif
