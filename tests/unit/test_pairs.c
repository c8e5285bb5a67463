/*
 * Every recording of a provider, through every other dialect: what its own dialect decodes is written for
 * clients of each dialect, whole and as a stream, and read again. Text, calls, finish and usage must be the
 * same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ftw.h>
#include <cmocka.h>

#include "dialect_dump.h"

static size_t recordings, pairs, failures;

static void complain(const char *what, const struct dialect *from, const struct dialect *to, const char *part,
                     const char *expected, const char *got)
{
        failures++;
        print_error("%s: %s to %s: %s\n  expected %.600s\n  got      %.600s\n", what, from->name, to->name,
                    part, expected, got);
}

/* ---- what must survive ---- */

struct essence {
        struct buf text, calls, rest;
};

static enum chat_finish finish_class(const struct chat_choice *c)
{
        bool called = false;
        for (const struct chat_block *b = c->blocks; b; b = b->next)
                called |= b->type == BLOCK_TOOL_CALL;
        switch (c->finish) {
        case FINISH_STOP_SEQUENCE:
        case FINISH_PAUSE:
        case FINISH_NONE:
        case FINISH_ERROR:
        case FINISH_STOP: return called ? FINISH_TOOL : FINISH_STOP;
        case FINISH_TOOL: return called ? FINISH_TOOL : FINISH_STOP;
        default: return c->finish;
        }
}

static void essence_of(struct arena *a, const struct chat_reply *r, struct essence *e)
{
        buf_init(&e->text, 16 << 20);
        buf_init(&e->calls, 16 << 20);
        buf_init(&e->rest, 4096);
        buf_adds(&e->text, "|");
        buf_adds(&e->calls, "|");
        const struct chat_choice *c = r->choices;
        if (!c) {
                buf_adds(&e->rest, "no choice");
                return;
        }
        for (const struct chat_block *b = c->blocks; b; b = b->next) {
                if (b->type == BLOCK_TEXT)
                        buf_add_str(&e->text, b->text);
        }
        for (const struct chat_block *b = c->blocks; b; b = b->next) {
                if (b->type == BLOCK_REFUSAL)
                        buf_add_str(&e->text, b->text);
                if (b->type == BLOCK_TOOL_CALL)
                        buf_addf(&e->calls, "%s %s\n", b->name,
                                 json_object_to_json_string_ext(chat_arguments_object(a, b), DUMP_JSON));
        }
        buf_addf(&e->rest, "%s in=%lld cached=%lld out=%lld", dump_finishes[finish_class(c)],
                 (long long)r->usage.input, (long long)r->usage.cached, (long long)r->usage.output);
}

static void essence_release(struct essence *e)
{
        buf_release(&e->text);
        buf_release(&e->calls);
        buf_release(&e->rest);
}

/* A refusal without words may be told in those of its explanation. */
static bool explained(const struct chat_reply *sent, const char *text, const char *got)
{
        const struct chat_choice *c = sent->choices;
        const char *why = c ? json_peek_string(c->stop_details, "explanation") : NULL;
        return why && c->finish == FINISH_FILTER && strcmp(text, "|") == 0 && strcmp(got + 1, why) == 0;
}

static void compare(struct arena *a, const char *what, const struct dialect *from, const struct dialect *to,
                    const struct chat_reply *sent, const struct chat_reply *got)
{
        struct essence one, two;
        essence_of(a, sent, &one);
        essence_of(a, got, &two);
        pairs++;
        if (strcmp(one.text.data, two.text.data) != 0 && !explained(sent, one.text.data, two.text.data))
                complain(what, from, to, "text", one.text.data, two.text.data);
        if (strcmp(one.calls.data, two.calls.data) != 0)
                complain(what, from, to, "calls", one.calls.data, two.calls.data);
        if (strcmp(one.rest.data, two.rest.data) != 0)
                complain(what, from, to, "finish and usage", one.rest.data, two.rest.data);
        essence_release(&one);
        essence_release(&two);
}

/* ---- out to clients and in again ---- */

static struct answer_context context(struct arena *a, enum answer_format format)
{
        return (struct answer_context){
                .arena = a,
                .format = format,
                .request_id = "req",
                .model_asked = "assistant",
                .version = "1",
                .provider = "p",
                .created = 1700000000,
                .stream_usage = true,
                .id_seed = "0123456789abcdef",
        };
}

static void through_whole(struct arena *a, const char *what, const struct dialect *from,
                          const struct dialect *to, const struct chat_reply *r)
{
        struct answer_context c = context(a, ANSWER_JSON);
        struct chat_reply back = {0};
        struct upstream_fault fault = {0};
        struct buf out;
        buf_init(&out, 16 << 20);
        to->encode_chat_reply(&c, r, &out);
        if (to->decode_chat_reply(a, (struct str){out.data, out.len}, &back, &fault))
                compare(a, what, from, to, r, &back);
        else
                complain(what, from, to, "whole", "an answer", fault.message ? fault.message : "a fault");
        buf_release(&out);
}

static void through_stream(struct arena *a, const char *what, const struct dialect *from,
                           const struct dialect *to, const struct chat_reply *r)
{
        struct answer_context c = context(a, ANSWER_SSE);
        struct chat_events events = {.arena = a};
        struct dump_stream s = {.arena = a};
        struct buf out;
        buf_init(&out, 16 << 20);
        chat_reply_events(r, &events);
        void *encoder = to->encoder_new(&c);
        for (const struct chat_event *e = events.first; e; e = e->next)
                to->encode_event(encoder, e, &out);
        dump_decode_sse(to, a, (struct str){out.data, out.len}, 0, 0, &s);
        if (s.ended && !s.broken)
                compare(a, what, from, to, r, &s.reply);
        else
                complain(what, from, to, "stream", "an answer", s.error.message ? s.error.message : "no end");
        buf_release(&out);
}

/* Plain is written only: its text, finish and usage are looked at. */
static void through_plain(struct arena *a, const char *what, const struct dialect *from,
                          const struct chat_reply *r)
{
        struct answer_context c = context(a, ANSWER_JSON);
        struct err err = {0};
        struct essence e;
        struct buf out;
        buf_init(&out, 16 << 20);
        dialect_plain.encode_chat_reply(&c, r, &out);
        json_object *root = json_parse(a, out.data, out.len, JSON_FROM_CLIENT, &err);
        json_object *usage = json_peek_object(root, "usage");
        essence_of(a, r, &e);
        pairs++;
        const char *text =
                arena_printf(a, "|%s", json_peek_str(root, "text").at ? json_peek_str(root, "text").at : "");
        const char *finish = json_peek_string(root, "finish");
        bool tool = r->choices && r->choices->finish == FINISH_TOOL;
        /* Calls that ran at the provider are none to the caller. */
        if (finish && strcmp(finish, "stop") == 0 && !tool && finish_class(r->choices) == FINISH_TOOL)
                finish = "tool";
        const char *rest = arena_printf(
                a, "%s in=%lld cached=%lld out=%lld", finish, (long long)json_peek_count(usage, "input"),
                (long long)json_peek_count(usage, "cached"), (long long)json_peek_count(usage, "output"));
        if (strcmp(text, e.text.data) != 0)
                complain(what, from, &dialect_plain, "text", e.text.data, text);
        if (strcmp(rest, e.rest.data) != 0)
                complain(what, from, &dialect_plain, "finish and usage", e.rest.data, rest);
        essence_release(&e);
        buf_release(&out);
}

/* ---- what a client sends back ---- */

static int by_text(const void *one, const void *two)
{
        return strcmp(*(const char *const *)one, *(const char *const *)two);
}

/* Signatures with their vendors, sorted: where they stand may change, whose they are may not. Those of text
 * are asked of nobody who can't carry them: anthropic's text blocks have no place for one, and gemini does
 * not insist. */
static const char *signatures(struct arena *a, const struct chat_block *blocks, bool of_text)
{
        const char *list[256];
        size_t count = 0;
        struct buf out;
        buf_init(&out, 16 << 20);
        for (const struct chat_block *b = blocks; b && count < 256; b = b->next) {
                if (b->signature.len && b->signature_from && b->type != BLOCK_IMAGE &&
                    (of_text || b->type != BLOCK_TEXT))
                        list[count++] = arena_printf(a, "%s:%.*s;", dump_dialects[b->signature_from],
                                                     (int)b->signature.len, b->signature.at);
        }
        qsort(list, count, sizeof *list, by_text);
        for (size_t i = 0; i < count; i++)
                buf_adds(&out, list[i]);
        const char *text = arena_strdup(a, out.data ? out.data : "");
        buf_release(&out);
        return text;
}

static struct chat_block *all_blocks(struct arena *a, const struct chat_request *r)
{
        struct chat_message list = {0};
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b && m->role == CHAT_ASSISTANT; b = b->next) {
                        struct chat_block *copy = chat_add_block(a, &list, b->type);
                        *copy = *b;
                        copy->next = NULL;
                }
        }
        return list.blocks;
}

static const char *next_request(struct arena *a, const struct dialect *to, json_object *reply)
{
        const char *frame = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"u\"},%s]}";
        if (to == &dialect_anthropic)
                return arena_printf(a,
                                    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                                    "\"content\":\"u\"},{"
                                    "\"role\":\"assistant\",\"content\":%s}]}",
                                    json_object_to_json_string_ext(json_peek(reply, "content"), DUMP_JSON));
        bool gemini = to == &dialect_gemini;
        json_object *first =
                json_object_array_get_idx(json_peek(reply, gemini ? "candidates" : "choices"), 0);
        if (gemini)
                frame = "{\"contents\":[{\"parts\":[{\"text\":\"u\"}]},%s]}";
        return arena_printf(
                a, frame,
                json_object_to_json_string_ext(json_peek(first, gemini ? "content" : "message"), DUMP_JSON));
}

/* Signed calls in order, as gemini gave them, and as it gets them back. */
static const char *signed_calls(struct arena *a, const struct chat_block *blocks)
{
        const char *text = "";
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->type == BLOCK_TOOL_CALL && b->signature.len)
                        text = arena_printf(a, "%s%s:%.*s;", text, b->name, (int)b->signature.len,
                                            b->signature.at);
        }
        return text;
}

static const char *sent_calls(struct arena *a, const struct chat_request *r)
{
        struct wire_target target = {.model = "m", .caps = {.signatures = TRI_YES}};
        struct wire_request w = {0};
        struct err err = {0};
        const char *text = "";
        buf_init(&w.body, 16 << 20);
        dialect_gemini.encode_chat_request(a, r, &target, &w, &err);
        json_object *root = json_parse(a, w.body.data, w.body.len, JSON_FROM_CLIENT, &err);
        json_object *contents = json_peek_array(root, "contents");
        for (size_t i = 0; contents && i < json_object_array_length(contents); i++) {
                json_object *parts = json_peek_array(json_object_array_get_idx(contents, i), "parts");
                for (size_t k = 0; parts && k < json_object_array_length(parts); k++) {
                        json_object *part = json_object_array_get_idx(parts, k);
                        const char *name = json_peek_string(json_peek(part, "functionCall"), "name");
                        const char *signature = json_peek_string(part, "thoughtSignature");
                        if (name && signature)
                                text = arena_printf(a, "%s%s:%s;", text, name, signature);
                }
        }
        buf_release(&w.body);
        return text;
}

/* The answer as the client's next request has it: signatures come back to their vendors. */
static void through_history(struct arena *a, const char *what, const struct dialect *from,
                            const struct dialect *to, const struct chat_reply *r)
{
        struct answer_context c = context(a, ANSWER_JSON);
        struct form_fields none = {0};
        struct err err = {0};
        struct buf out;
        bool of_text = to != &dialect_anthropic;
        const char *sent = r->choices ? signatures(a, r->choices->blocks, of_text) : "";
        if (!*sent)
                return;
        buf_init(&out, 16 << 20);
        to->encode_chat_reply(&c, r, &out);
        json_object *reply = json_parse(a, out.data, out.len, JSON_FROM_PROVIDER, &err);
        struct client_input in = {
                .arena = a,
                .path_model = "m",
                .query = &none,
                .api_version = "2023-06-01",
                .body = str_of(next_request(a, to, reply)),
                .content_type = "application/json",
        };
        struct chat_request request = {0};
        pairs++;
        if (!to->decode_chat_request(&in, &request, &err))
                complain(what, from, to, "history", "a request", err.message);
        else if (strcmp(sent, signatures(a, all_blocks(a, &request), of_text)) != 0)
                complain(what, from, to, "signatures", sent, signatures(a, all_blocks(a, &request), of_text));
        const char *calls = signed_calls(a, r->choices->blocks);
        if (from == &dialect_gemini && *calls && strcmp(calls, sent_calls(a, &request)) != 0)
                complain(what, from, to, "calls sent back", calls, sent_calls(a, &request));
        buf_release(&out);
}

/* Event by event, as the relay does it. */
static void through_pump(struct arena *a, const char *what, const struct dialect *from,
                         const struct dialect *to, struct str bytes, const struct chat_reply *r)
{
        struct answer_context c = context(a, ANSWER_SSE);
        struct dump_stream s = {.arena = a};
        struct sse_parser *p = sse_new(16 << 20);
        struct sse_event event;
        struct buf out;
        buf_init(&out, 16 << 20);
        void *decoder = from->decoder_new(a, NULL), *encoder = to->encoder_new(&c);
        sse_feed(p, bytes.at, bytes.len);
        for (bool more = true; more;) {
                struct chat_events events = {.arena = arena_new()};
                more = sse_next(p, &event) || sse_end(p, &event);
                if (more)
                        from->decode_event(decoder, &event, &events);
                else
                        from->decode_end(decoder, sse_stray(p), &events);
                for (const struct chat_event *e = events.first; e; e = e->next) {
                        if (e->type != EVENT_ERROR)
                                to->encode_event(encoder, e, &out);
                }
                arena_free(events.arena);
        }
        sse_free(p);
        dump_decode_sse(to, a, (struct str){out.data, out.len}, 0, 0, &s);
        if (s.ended && !s.broken)
                compare(a, what, from, to, r, &s.reply);
        else
                complain(what, from, to, "pump", "an answer", s.error.message ? s.error.message : "no end");
        buf_release(&out);
}

/* ---- in from providers ---- */

static void through_all(struct arena *a, const char *what, const struct dialect *from,
                        const struct chat_reply *r)
{
        const struct dialect *const to[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini};
        recordings++;
        for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
                through_whole(a, what, from, to[i], r);
                through_stream(a, what, from, to[i], r);
                through_history(a, what, from, to[i], r);
        }
        through_plain(a, what, from, r);
}

static void take_whole(struct arena *a, const char *what, const struct dialect *d, struct str body)
{
        struct chat_reply r = {0};
        struct upstream_fault fault = {0};
        if (d->decode_chat_reply(a, body, &r, &fault))
                through_all(a, what, d, &r);
        else
                complain(what, d, d, "decoding", "an answer", fault.message ? fault.message : "a fault");
}

static void take_sse(struct arena *a, const char *what, const struct dialect *d, struct str bytes)
{
        struct dump_stream s = {.arena = a};
        dump_decode_sse(d, a, bytes, 0, 0, &s);
        if (strstr(what, "spliced")) {
                /* Two answers in one stream, on purpose. */
                if (s.fault != FAULT_MALFORMED)
                        complain(what, d, d, "decoding", "a fault", "an answer");
        } else if (s.ended && !s.broken) {
                const struct dialect *const to[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini};
                through_all(a, what, d, &s.reply);
                for (size_t i = 0; i < sizeof to / sizeof *to; i++)
                        through_pump(a, what, d, to[i], bytes, &s.reply);
        } else {
                complain(what, d, d, "decoding", "a stream",
                         s.broken          ? "rules of streams broken"
                         : s.error.message ? s.error.message
                                           : "no end");
        }
}

static const struct dialect *whose(json_object *o)
{
        const char *type = json_peek_string(o, "type");
        if (json_peek_array(o, "choices"))
                return &dialect_openai;
        if (json_peek(o, "candidates") || json_peek(o, "promptFeedback"))
                return &dialect_gemini;
        if (type && (strcmp(type, "message") == 0 || strcmp(type, "message_start") == 0))
                return &dialect_anthropic;
        return NULL;
}

static void take_lines(struct arena *a, const char *what, struct str text)
{
        const struct dialect *d = NULL;
        struct buf sse;
        buf_init(&sse, 16 << 20);
        for (const char *line = text.at, *end; *line; line = end + (*end == '\n')) {
                end = strchrnul(line, '\n');
                struct err err = {0};
                json_object *o = end > line
                                         ? json_parse(a, line, (size_t)(end - line), JSON_FROM_PROVIDER, &err)
                                         : NULL;
                if (!o)
                        continue;
                if (!d && !(d = whose(o)))
                        break;
                const char *type = json_peek_string(o, "type");
                if (d == &dialect_anthropic && type)
                        buf_addf(&sse, "event: %s\n", type);
                buf_addf(&sse, "data: %.*s\n\n", (int)(end - line), line);
        }
        if (d == &dialect_openai)
                buf_adds(&sse, "data: [DONE]\n\n");
        if (d)
                take_sse(a, what, d, (struct str){sse.data, sse.len});
        buf_release(&sse);
}

/* A stream as a JSON array, as Gemini gives it without alt=sse. */
static void take_array(struct arena *a, const char *what, json_object *list)
{
        struct buf sse;
        buf_init(&sse, 16 << 20);
        for (size_t i = 0; i < json_object_array_length(list); i++)
                buf_addf(&sse, "data: %s\r\n\r\n",
                         json_object_to_json_string_ext(json_object_array_get_idx(list, i), DUMP_JSON));
        take_sse(a, what, &dialect_gemini, (struct str){sse.data, sse.len});
        buf_release(&sse);
}

static void take_entry(struct arena *a, const char *what, json_object *entry)
{
        json_object *response = json_peek_object(entry, "response");
        struct str body = json_peek_str(response, "body");
        struct err err = {0};
        if (json_peek_count(response, "status") != 200 || !body.len)
                return;
        if (strncmp(body.at, "data: ", 6) == 0 || strncmp(body.at, "event: ", 7) == 0) {
                take_sse(a, what, *body.at == 'd' ? &dialect_openai : &dialect_anthropic, body);
                return;
        }
        json_object *o = json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err);
        json_object *first = json_object_is_type(o, json_type_array) ? json_object_array_get_idx(o, 0) : NULL;
        if (first && whose(first))
                take_array(a, what, o);
        else if (o && whose(o))
                take_whole(a, what, whose(o), body);
}

static void take_file(struct arena *a, const char *path)
{
        struct str text = dump_file(a, path);
        struct err err = {0};
        if (!text.len)
                return;
        if (strstr(path, ".chunks.txt")) {
                take_lines(a, path, text);
                return;
        }
        json_object *o =
                strstr(path, ".json") ? json_parse(a, text.at, text.len, JSON_FROM_PROVIDER, &err) : NULL;
        if (json_object_is_type(o, json_type_array)) {
                for (size_t i = 0; i < json_object_array_length(o); i++)
                        take_entry(a, path, json_object_array_get_idx(o, i));
        } else if (o && whose(o)) {
                take_whole(a, path, whose(o), text);
        }
}

static int visit(const char *path, const struct stat *info, int kind)
{
        (void)info;
        if (kind == FTW_F) {
                struct arena *a = arena_new();
                take_file(a, path);
                arena_free(a);
        }
        return 0;
}

static void test_recordings(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        const char *folder = dump_shared(a, "");
        if (!folder) {
                arena_free(a);
                skip();
        }
        ftw(folder, visit, 16);
        arena_free(a);
        print_message("%zu recordings, %zu pairs, %zu differences\n", recordings, pairs, failures);
        assert_true(recordings > 100);
        assert_int_equal(failures, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_recordings)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
