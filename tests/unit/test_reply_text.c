/* Answers as text of our own: every recording of a provider comes back as it was, whole and gathered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ftw.h>
#include <cmocka.h>

#include "dialect/gather.h"
#include "dialect/reply_text.h"
#include "dialect_dump.h"

static size_t recordings, streams, failures;

static const char *dumped(struct arena *a, const struct chat_reply *r)
{
        struct buf out;
        buf_init(&out, 64 << 20);
        buf_addf(&out, "%s %s %lld\n", r->id ? r->id : "-", r->model ? r->model : "-", (long long)r->created);
        dump_reply(&out, a, r);
        const char *text = arena_strndup(a, out.data, out.len);
        buf_release(&out);
        return text;
}

static const char *written(struct arena *a, const struct chat_reply *r)
{
        struct json_writer w;
        struct buf out;
        buf_init(&out, 64 << 20);
        json_writer_init(&w, &out);
        reply_text_write_chat(&w, r);
        assert_true(jw_done(&w));
        const char *text = arena_strndup(a, out.data, out.len);
        buf_release(&out);
        return text;
}

static bool read_back(struct arena *a, const char *text, struct chat_reply *out)
{
        struct err err = {0};
        json_object *node = json_parse(a, text, strlen(text), JSON_FROM_PROVIDER, &err);
        return node && reply_text_read_chat(a, node, out);
}

static void differ(const char *what, const char *how, const char *one, const char *two)
{
        if (strcmp(one, two) == 0)
                return;
        failures++;
        print_error("%s: %s\n  was %.800s\n  is  %.800s\n", what, how, one, two);
}

static void take_reply(struct arena *a, const char *what, const struct chat_reply *r)
{
        struct chat_reply back = {0};
        const char *text = written(a, r);
        recordings++;
        if (!read_back(a, text, &back)) {
                failures++;
                print_error("%s: can't be read: %.800s\n", what, text);
                return;
        }
        differ(what, "text", text, written(a, &back));
        differ(what, "reply", dumped(a, r), dumped(a, &back));
        /* Taken apart and put together again. */
        struct chat_events events = {.arena = a};
        struct gather *g = gather_new(a, 64 << 20);
        struct dump_stream s = {.arena = a};
        chat_reply_events(&back, &events);
        for (const struct chat_event *e = events.first; e; e = e->next)
                gather_event(g, e);
        dump_events(&s, &events);
        assert_non_null(gather_reply(g));
        differ(what, "gathered", dumped(a, &s.reply), dumped(a, gather_reply(g)));
}

/* Event by event, each one's memory gone before the next. */
static void take_stream(struct arena *a, const char *what, const struct dialect *d, struct str bytes)
{
        struct sse_parser *p = sse_new(16 << 20);
        struct dump_stream s = {.arena = a};
        struct gather *g = gather_new(a, 64 << 20);
        struct sse_event event;
        void *decoder = d->decoder_new(a, NULL);
        sse_feed(p, bytes.at, bytes.len);
        for (bool more = true; more;) {
                struct chat_events events = {.arena = arena_new()};
                more = sse_next(p, &event) || sse_end(p, &event);
                if (more)
                        d->decode_event(decoder, &event, &events);
                else
                        d->decode_end(decoder, sse_stray(p), &events);
                for (const struct chat_event *e = events.first; e; e = e->next)
                        gather_event(g, e);
                dump_events(&s, &events);
                arena_free(events.arena);
        }
        sse_free(p);
        streams++;
        const struct chat_reply *r = gather_reply(g);
        if (!s.ended || s.fault) {
                assert_null(r);
                return;
        }
        assert_non_null(r);
        differ(what, "stream", dumped(a, &s.reply), dumped(a, r));
        take_reply(a, what, r);
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

/* A stream as a JSON array, as Gemini gives it without alt=sse. */
static void take_array(struct arena *a, const char *what, json_object *list)
{
        struct buf sse;
        buf_init(&sse, 16 << 20);
        for (size_t i = 0; i < json_object_array_length(list); i++)
                buf_addf(&sse, "data: %s\r\n\r\n",
                         json_object_to_json_string_ext(json_object_array_get_idx(list, i), DUMP_JSON));
        take_stream(a, what, &dialect_gemini, (struct str){sse.data, sse.len});
        buf_release(&sse);
}

static void take_body(struct arena *a, const char *what, struct str body)
{
        struct err err = {0};
        struct upstream_fault fault = {0};
        struct chat_reply *r = arena_alloc(a, sizeof *r);
        if (strncmp(body.at, "data: ", 6) == 0 || strncmp(body.at, "event: ", 7) == 0) {
                take_stream(a, what, *body.at == 'd' ? &dialect_openai : &dialect_anthropic, body);
                return;
        }
        json_object *o = json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err);
        const struct dialect *d = o ? whose(o) : NULL;
        bool list = json_object_is_type(o, json_type_array) && json_object_array_length(o);
        if (list && whose(json_object_array_get_idx(o, 0)) == &dialect_gemini)
                take_array(a, what, o);
        else if (d && d->decode_chat_reply(a, body, r, &fault))
                take_reply(a, what, r);
}

static void take_lines(struct arena *a, const char *what, struct str text)
{
        const struct dialect *d = NULL;
        struct buf sse;
        buf_init(&sse, 16 << 20);
        for (const char *line = text.at, *end; *line; line = end + (*end == '\n')) {
                struct err err = {0};
                end = strchrnul(line, '\n');
                json_object *o = end > line
                                         ? json_parse(a, line, (size_t)(end - line), JSON_FROM_PROVIDER, &err)
                                         : NULL;
                if (!o || (!d && !(d = whose(o))))
                        continue;
                const char *type = json_peek_string(o, "type");
                if (d == &dialect_anthropic && type)
                        buf_addf(&sse, "event: %s\n", type);
                buf_addf(&sse, "data: %.*s\n\n", (int)(end - line), line);
        }
        if (d)
                take_stream(a, what, d, (struct str){sse.data, sse.len});
        buf_release(&sse);
}

static int visit(const char *path, const struct stat *info, int kind)
{
        (void)info;
        struct arena *a = arena_new();
        struct str text = kind == FTW_F ? dump_file(a, path) : (struct str){0};
        struct err err = {0};
        json_object *o = NULL;
        if (text.len && strstr(path, ".chunks.txt"))
                take_lines(a, path, text);
        else if (text.len && strstr(path, ".json"))
                o = json_parse(a, text.at, text.len, JSON_FROM_PROVIDER, &err);
        if (json_object_is_type(o, json_type_array)) {
                for (size_t i = 0; i < json_object_array_length(o); i++) {
                        struct str body = json_peek_str(
                                json_peek_object(json_object_array_get_idx(o, i), "response"), "body");
                        if (body.len)
                                take_body(a, path, body);
                }
        } else if (o) {
                take_body(a, path, text);
        }
        arena_free(a);
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
        print_message("%zu answers, %zu of them streams\n", recordings, streams);
        assert_true(recordings > 100 && streams > 30);
        assert_int_equal(failures, 0);
}

static json_object *tree(struct arena *a, const char *text)
{
        struct err err = {0};
        json_object *o = json_parse(a, text, strlen(text), JSON_FROM_PROVIDER, &err);
        assert_non_null(o);
        return o;
}

/* Every member of every struct, so that none is forgotten. */
static void test_everything(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_citation quote = {.url = "https://a.example/",
                                      .title = "A",
                                      .cited_text = {"a\0b", 3},
                                      .start = 1,
                                      .end = 2,
                                      .raw = tree(a, "{\"x\":1.50}"),
                                      .raw_dialect = DIALECT_ANTHROPIC};
        struct chat_block inner = {.type = BLOCK_IMAGE,
                                   .source = {SOURCE_BASE64, "image/png", {"AAAA", 4}, "u"},
                                   .detail = "low",
                                   .title = "t"};
        struct chat_block call = {.type = BLOCK_TOOL_CALL,
                                  .id = "id",
                                  .name = "n",
                                  .arguments = tree(a, "{\"b\":2,\"a\":[1,null]}"),
                                  .arguments_text = {"{ \"b\": 2 }", 10},
                                  .content = &inner,
                                  .is_error = true,
                                  .signature = {"s", 1},
                                  .signature_from = DIALECT_GEMINI,
                                  .cache_control = tree(a, "{\"type\":\"ephemeral\"}")};
        struct chat_block thought = {
                .next = &call, .type = BLOCK_THINKING, .redacted = true, .text = {"", 0}};
        struct chat_block text = {.next = &thought,
                                  .type = BLOCK_TEXT,
                                  .text = {"x\0\xf0\x9f\x8e\x84", 6},
                                  .citations = &quote,
                                  .raw = tree(a, "{\"y\":\"z\"}"),
                                  .raw_dialect = DIALECT_OPENAI};
        struct chat_choice second = {.index = 1,
                                     .finish = FINISH_STOP_SEQUENCE,
                                     .finish_raw = "stop_sequence",
                                     .stop_sequence = "END",
                                     .stop_details = tree(a, "{\"why\":0}"),
                                     .logprobs = tree(a, "{\"content\":[]}")};
        struct chat_choice first = {.next = &second, .blocks = &text, .finish = FINISH_TOOL};
        struct chat_reply reply = {.id = "r",
                                   .model = "m",
                                   .created = 5,
                                   .choices = &first,
                                   .usage = {true, true, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, TIER_FLEX},
                                   .service_tier = "flex"},
                          back;
        const char *text1 = written(a, &reply);
        assert_true(read_back(a, text1, &back));
        assert_string_equal(text1, written(a, &back));
        /* None of them is lost in both directions. */
        static const char *const there[] = {"\"id\":\"r\"",
                                            "\"model\":\"m\"",
                                            "\"created\":5",
                                            "\"service_tier\":\"flex\"",
                                            "\"known\":true",
                                            "\"estimated\":true",
                                            "\"input\":1",
                                            "\"cached\":2",
                                            "\"cache_write\":3",
                                            "\"cache_write_1h\":4",
                                            "\"output\":5",
                                            "\"reasoning\":6",
                                            "\"audio_input\":7",
                                            "\"audio_output\":8",
                                            "\"image_input\":9",
                                            "\"tool_input\":10",
                                            "\"reported_pico\":11",
                                            "\"tier\":2",
                                            "\"cited_text\":\"a\\u0000b\"",
                                            "1.50",
                                            "\"detail\":\"low\"",
                                            "\"title\":\"t\"",
                                            "\"arguments_text\":\"{ \\\"b\\\": 2 }\"",
                                            "{\"b\":2,\"a\":[1,null]}",
                                            "\"is_error\":true",
                                            "\"redacted\":true",
                                            "\"signature\":\"s\"",
                                            "\"cache_control\"",
                                            "\"y\":\"z\"",
                                            "\"index\":1",
                                            "\"stop_sequence\":\"END\"",
                                            "\"why\":0",
                                            "\"logprobs\"",
                                            "\"data\":\"AAAA\"",
                                            "\"url\":\"u\""};
        for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
                if (!strstr(text1, there[i]))
                        fail_msg("%s is not in %s", there[i], text1);
        }
        assert_int_equal(back.choices->blocks->text.len, 6);
        assert_memory_equal(back.choices->blocks->text.at, text.text.at, 6);
        assert_non_null(back.choices->blocks->next->text.at);
        assert_null(back.choices->blocks->next->signature.at);
        assert_string_equal(back.choices->blocks->next->next->content->source.media_type, "image/png");
        arena_free(a);
}

static void test_vectors(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        const float one[] = {0.1f, -0.0f, 3.4e38f, 1e-45f}, two[] = {1, 2, 3, 4};
        struct embed_vector vectors[] = {{one, 4}, {two, 4}, {two, 0}};
        struct embed_reply reply = {.model = "m",
                                    .vectors = vectors,
                                    .vector_count = 3,
                                    .usage = {.known = true, .input = 7}},
                           back;
        struct json_writer w;
        struct buf out;
        buf_init(&out, 1 << 20);
        json_writer_init(&w, &out);
        reply_text_write_embed(&w, &reply);
        assert_true(jw_done(&w));
        assert_true(reply_text_read_embed(a, tree(a, out.data), &back));
        assert_int_equal(back.vector_count, 3);
        assert_memory_equal(back.vectors[0].values, one, sizeof one);
        assert_memory_equal(back.vectors[1].values, two, sizeof two);
        assert_int_equal(back.vectors[2].count, 0);
        assert_string_equal(back.model, "m");
        assert_int_equal(back.usage.input, 7);
        buf_release(&out);
        arena_free(a);
}

/* What another version wrote, or nobody. */
static void test_foreign(void **state)
{
        static const char *const bad[] = {
                "{}",
                "[]",
                "{\"choices\":[]}",
                "{\"usage\":{},\"choices\":{}}",
                "{\"usage\":{},\"choices\":[1]}",
                "{\"usage\":{},\"choices\":[{\"finish\":99}]}",
                "{\"usage\":{},\"choices\":[{\"finish\":-1}]}",
                "{\"usage\":{},\"choices\":[{\"finish\":\"stop\"}]}",
                "{\"usage\":{\"known\":1},\"choices\":[]}",
                "{\"usage\":{\"input\":\"1\"},\"choices\":[]}",
                "{\"usage\":{},\"choices\":[{\"blocks\":[{\"type\":77}]}]}",
                "{\"usage\":{},\"choices\":[{\"blocks\":[{\"id\":\"a\\u0000\"}]}]}",
                "{\"usage\":{},\"choices\":[{\"blocks\":[{\"content\":[{\"content\":[{\"content\":[{"
                "\"content\":[{"
                "\"content\":[{}]}]}]}]}]}]}]}",
        };
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply reply;
        struct embed_reply vectors;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                if (reply_text_read_chat(a, tree(a, bad[i]), &reply))
                        fail_msg("%s was read", bad[i]);
        }
        assert_true(
                reply_text_read_chat(a, tree(a, "{\"usage\":{},\"choices\":[{\"blocks\":[{}]}]}"), &reply));
        assert_false(reply_text_read_embed(a, tree(a, "{\"usage\":{},\"vectors\":[\"AAA\"]}"), &vectors));
        assert_false(reply_text_read_embed(a, tree(a, "{\"usage\":{},\"vectors\":[\"!\"]}"), &vectors));
        assert_false(reply_text_read_embed(a, tree(a, "{\"usage\":{},\"vectors\":[1]}"), &vectors));
        assert_false(reply_text_read_embed(a, tree(a, "{\"vectors\":[]}"), &vectors));
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recordings),
                cmocka_unit_test(test_everything),
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_foreign),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
