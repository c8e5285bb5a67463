/*
 * Streams of providers as tests write them down, and what a client's decoder hears in the one that it was
 * given: blocks in their order, and whether it ended well.
 */
#ifndef TESTS_RELAY_STREAMS_H
#define TESTS_RELAY_STREAMS_H

#include "relay_world.h"

#include "base/json.h"
#include "dialect/sse.h"

#define SSE_HEAD           "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
#define JSON_HEAD          "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
#define ERROR_HEAD(status) "HTTP/1.1 " status " X\r\ncontent-type: application/json\r\nconnection: close\r\n"

/* openai */
#define O_CHUNK(choice, delta, finish)                                                                       \
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"served\","      \
        "\"choices\":[{\"index\":" choice ",\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define O_ROLE       O_CHUNK("0", "{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define O_WORD(word) O_CHUNK("0", "{\"content\":\"" word "\"}", "null")
#define O_CALL(index, id, name, arguments)                                                                   \
        O_CHUNK("0",                                                                                         \
                "{\"tool_calls\":[{\"index\":" index ",\"id\":\"" id                                         \
                "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments    \
                "\"}}]}",                                                                                    \
                "null")
#define O_MORE(index, arguments)                                                                             \
        O_CHUNK("0",                                                                                         \
                "{\"tool_calls\":[{\"index\":" index ",\"function\":{\"arguments\":\"" arguments "\"}}]}",   \
                "null")
#define O_STOP   O_CHUNK("0", "{}", "\"stop\"")
#define O_CALLED O_CHUNK("0", "{}", "\"tool_calls\"")
#define O_USAGE                                                                                              \
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"served\","      \
        "\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}\n\n"
#define O_DONE "data: [DONE]\n\n"
#define O_END  O_STOP O_USAGE O_DONE

/* anthropic */
#define A_EVENT(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define A_BEGIN                                                                                              \
        A_EVENT("message_start",                                                                             \
                ",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"         \
                "\"served\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"           \
                "{\"input_tokens\":7,\"output_tokens\":1}}")
#define A_BLOCK(index, block) A_EVENT("content_block_start", ",\"index\":" index ",\"content_block\":" block)
#define A_TEXT(index)         A_BLOCK(index, "{\"type\":\"text\",\"text\":\"\"}")
#define A_THOUGHT(index)      A_BLOCK(index, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
#define A_TOOL(index, name)                                                                                  \
        A_BLOCK(index, "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"" name "\",\"input\":{}}")
#define A_DELTA(index, delta) A_EVENT("content_block_delta", ",\"index\":" index ",\"delta\":" delta)
#define A_WORD(index, word)   A_DELTA(index, "{\"type\":\"text_delta\",\"text\":\"" word "\"}")
#define A_THINK(index, word)  A_DELTA(index, "{\"type\":\"thinking_delta\",\"thinking\":\"" word "\"}")
#define A_SIGN(index, word)   A_DELTA(index, "{\"type\":\"signature_delta\",\"signature\":\"" word "\"}")
#define A_INPUT(index, word)  A_DELTA(index, "{\"type\":\"input_json_delta\",\"partial_json\":\"" word "\"}")
#define A_CLOSE(index)        A_EVENT("content_block_stop", ",\"index\":" index)
#define A_STOP(reason)                                                                                       \
        A_EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason                                     \
                                 "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}")               \
        A_EVENT("message_stop", "")
#define A_ERROR A_EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}")

/* gemini */
#define G_CHUNK(part, more)                                                                                  \
        "data: {\"candidates\":[{\"content\":{\"parts\":[" part "],\"role\":\"model\"},\"index\":0" more     \
        "}],\"modelVersion\":\"served\",\"responseId\":\"r1\"}\r\n\r\n"
#define G_WORD(word) G_CHUNK("{\"text\":\"" word "\"}", "")
#define G_CALL(name, args)                                                                                   \
        G_CHUNK("{\"functionCall\":{\"name\":\"" name "\",\"args\":" args                                    \
                "},\"thoughtSignature\":\"c2ln\"}",                                                          \
                "")
#define G_STOP G_CHUNK("{\"text\":\"\"}", ",\"finishReason\":\"STOP\"")

/* The same stream asked for in each dialect, with the members that a test adds to its body. */
static const struct ask {
        const char *dialect, *begin, *keepalive, *end, *error;
        bool array;
} asks[] = {
        {"openai",
         "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]",
         ": keep-alive\n\n", "[DONE]", "data: {\"error\":", false},
        {"anthropic",
         "{\"model\":\"asked\",\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"Hi\"}]",
         "event: ping\n", "message_stop", "event: error\n", false},
        {"gemini", "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]}]", "\r\n\r\n",
         "finishReason", "\"error\":", false},
        {"gemini", "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]}]", "\r\n",
         "finishReason", "\"error\":", true},
        {"plain", "{\"model\":\"asked\",\"prompt\":\"Hi\",\"stream\":true", ": keep-alive\n\n",
         "event: done\n", "event: error\n", false},
};
enum { ASKS = sizeof asks / sizeof *asks, ASK_OPENAI = 0, ASK_ANTHROPIC = 1, ASK_GEMINI = 2, ASK_PLAIN = 4 };

static void ask_with(struct world *w, const struct ask *ask, const char *more)
{
        w->array = ask->array;
        world_chat(w, ask->dialect, arena_printf(w->arena, "%s%s}", ask->begin, more), true);
}

/* ---- what a client hears ---- */

enum { HEARD_MAX = 16 };

struct heard {
        struct heard_block {
                char kind; /* t text, h thought, c call, r refusal, o other */
                const char *name, *id;
                struct buf text, signature;
                bool stopped;
        } blocks[HEARD_MAX];
        size_t count;
        int starts, stops, ends, errors;
        enum chat_finish finish;
        struct chat_usage usage;
};

static char heard_kind(enum chat_block_type type)
{
        return type == BLOCK_TEXT        ? 't'
               : type == BLOCK_THINKING  ? 'h'
               : type == BLOCK_TOOL_CALL ? 'c'
               : type == BLOCK_REFUSAL   ? 'r'
                                         : 'o';
}

static void hear_event(struct arena *a, struct heard *h, const struct chat_event *e)
{
        struct heard_block *b = &h->blocks[e->block];
        assert_in_range(e->block, 0, HEARD_MAX - 1);
        switch (e->type) {
        case EVENT_START: h->starts++; break;
        case EVENT_BLOCK_START:
                assert_int_equal(e->block, h->count);
                h->count++;
                b->kind = heard_kind(e->block_start.type);
                b->name = arena_strdup(a, e->block_start.name);
                b->id = arena_strdup(a, e->block_start.id);
                buf_init_in_arena(&b->text, a, 1 << 20);
                buf_init_in_arena(&b->signature, a, 1 << 20);
                break;
        case EVENT_DELTA:
                assert_false(b->stopped);
                if (e->delta_kind == DELTA_SIGNATURE)
                        buf_add_str(&b->signature, e->delta);
                else
                        buf_add_str(&b->text, e->delta);
                break;
        case EVENT_BLOCK_STOP: b->stopped = true; break;
        case EVENT_USAGE: h->usage = e->usage; break;
        case EVENT_STOP:
                h->stops++;
                h->finish = e->finish;
                break;
        case EVENT_END: h->ends++; break;
        case EVENT_ERROR: h->errors++; break;
        case EVENT_PING: break;
        }
}

static void hear_events(struct arena *a, struct heard *h, const struct chat_events *events)
{
        for (const struct chat_event *e = events->first; e; e = e->next)
                hear_event(a, h, e);
}

static void hear_array(const struct world *w, const struct dialect *d, void *decoder, struct heard *h)
{
        struct err err = {.cause = ERR_NONE};
        json_object *list = json_parse(w->arena, world_text(w), w->seen.body.len, JSON_FROM_PROVIDER, &err);
        assert_true(json_object_is_type(list, json_type_array));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct chat_events events = {.arena = w->arena};
                const struct sse_event wire = {
                        .name = str_of(""),
                        .data = str_of(json_object_to_json_string(json_object_array_get_idx(list, i)))};
                d->decode_event(decoder, &wire, &events);
                hear_events(w->arena, h, &events);
        }
}

static void hear_sse(const struct world *w, const struct dialect *d, void *decoder, struct heard *h)
{
        struct sse_parser *sse = sse_new(1 << 20);
        struct sse_event wire;
        assert_true(sse_feed(sse, world_text(w), w->seen.body.len));
        while (sse_next(sse, &wire)) {
                struct chat_events events = {.arena = w->arena};
                d->decode_event(decoder, &wire, &events);
                hear_events(w->arena, h, &events);
        }
        assert_false(sse_end(sse, &wire));
        assert_int_equal(sse_stray(sse).len, 0);
        sse_free(sse);
}

/* With the decoder of the client's dialect, which is strict about the order of things. Not for plain. */
static inline struct heard *hear(const struct world *w, const struct ask *ask)
{
        const struct dialect *d = dialect_by_name(ask->dialect);
        struct heard *h = arena_alloc(w->arena, sizeof *h);
        struct chat_request none = {.model = NULL};
        void *decoder = d->decoder_new(w->arena, &none);
        if (ask->array)
                hear_array(w, d, decoder, h);
        else
                hear_sse(w, d, decoder, h);
        if (!h->ends && !h->errors) {
                struct chat_events events = {.arena = w->arena};
                d->decode_end(decoder, (struct str){0}, &events);
                hear_events(w->arena, h, &events);
        }
        return h;
}

/* "t:one two|c look:{}", in the order of the blocks; neighbouring texts are one, thoughts that only carry a
 * signature none. */
static const char *heard_words(const struct world *w, const struct heard *h)
{
        struct buf *out = buf_in_arena(w->arena, 1 << 20);
        char before = 0;
        for (size_t i = 0; i < h->count; i++) {
                const struct heard_block *b = &h->blocks[i];
                if (b->kind == 'h' && !b->text.len)
                        continue;
                if (b->kind != 't' || before != 't')
                        buf_addf(out, "%s%c%s%s:", before ? "|" : "", b->kind, b->name ? " " : "",
                                 b->name ? b->name : "");
                buf_adds(out, b->text.data ? b->text.data : "");
                before = b->kind;
        }
        return out->data ? out->data : "";
}

/* The whole text of a plain stream, from its last event; NULL: it has none. */
static const char *plain_words(const struct world *w)
{
        const char *done = strstr(world_text(w), "event: done\ndata: ");
        struct err err = {.cause = ERR_NONE};
        if (!done)
                return NULL;
        done += strlen("event: done\ndata: ");
        json_object *root =
                json_parse(w->arena, done, (size_t)(strchr(done, '\n') - done), JSON_FROM_PROVIDER, &err);
        assert_non_null(root);
        return json_object_get_string(json_object_object_get(root, "text"));
}

/* The client has all of these words, and a stream that ended as it should. */
static inline void assert_heard(const struct world *w, const struct ask *ask, const char *words)
{
        assert_int_equal(w->seen.head.status, 200);
        assert_true(w->record.whole);
        assert_int_equal(w->record.cause, ERR_NONE);
        assert_true(world_has(w, ask->end));
        assert_false(world_has(w, ask->error));
        if (strcmp(ask->dialect, "plain") == 0) {
                const char *text = plain_words(w);
                assert_non_null(text);
                assert_int_equal(words[0], 't');
                assert_string_equal(text, words + 2);
                return;
        }
        const struct heard *h = hear(w, ask);
        assert_string_equal(heard_words(w, h), words);
        assert_int_equal(h->starts, 1);
        assert_int_equal(h->stops, 1);
        assert_int_equal(h->ends, 1);
        assert_int_equal(h->errors, 0);
        for (size_t i = 0; i < h->count; i++)
                assert_true(h->blocks[i].stopped);
}

/* It does not look finished, and says why. */
static inline void assert_broken(const struct world *w, const struct ask *ask)
{
        assert_int_equal(w->seen.head.status, 200);
        assert_false(w->record.whole);
        assert_int_not_equal(w->record.cause, ERR_NONE);
        assert_true(world_has(w, ask->error));
        assert_false(world_has(w, ask->end));
        if (strcmp(ask->dialect, "plain") == 0)
                return;
        const struct heard *h = hear(w, ask);
        assert_int_equal(h->errors, 1);
        assert_int_equal(h->stops, 0);
        assert_int_equal(h->ends, 0);
}

#endif
