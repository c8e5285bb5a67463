#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect/carry.h"
#include "dialect_dump.h"

static struct answer_context context(struct arena *a, enum answer_format format)
{
        return (struct answer_context){
                .arena = a,
                .format = format,
                .request_id = "req1",
                .model_asked = "assistant",
                .id_seed = "seed",
        };
}

static struct chat_block *add(struct arena *a, struct chat_choice *c, enum chat_block_type type,
                              const char *text)
{
        struct chat_block *b = chat_add_reply_block(a, c, type);
        b->text = text ? str_of(text) : (struct str){0};
        return b;
}

/* Two thoughts, a text, two calls: as another vendor would answer. */
static void make_reply(struct arena *a, struct chat_reply *r)
{
        *r = (struct chat_reply){.id = "id1", .model = "served"};
        struct chat_choice *c = chat_add_choice(a, r);
        struct chat_block *b = add(a, c, BLOCK_THINKING, "hm");
        b->signature = str_of("sigA");
        b->signature_from = DIALECT_ANTHROPIC;
        b = add(a, c, BLOCK_THINKING, "");
        b->redacted = true;
        b->signature = str_of("secret");
        b->signature_from = DIALECT_ANTHROPIC;
        add(a, c, BLOCK_TEXT, "hi");
        b = add(a, c, BLOCK_TOOL_CALL, NULL);
        b->id = "c1";
        b->name = "f";
        b->arguments_text = str_of("{\"a\":1}");
        b->signature = str_of("c2ln");
        b->signature_from = DIALECT_GEMINI;
        b = add(a, c, BLOCK_TOOL_CALL, NULL);
        b->id = "c2";
        b->name = "g";
        b->arguments_text = str_of("{oops");
        c->finish = FINISH_TOOL;
        r->usage = (struct chat_usage){.known = true, .input = 10, .cached = 4, .output = 7, .reasoning = 3};
}

static void test_reply(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        struct chat_reply r, back = {0};
        struct upstream_fault fault = {0};
        struct buf out;
        buf_init(&out, 1 << 16);
        make_reply(a, &r);
        dialect_gemini.encode_chat_reply(&c, &r, &out);
        struct str thought = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_THINKING, str_of("sigA"));
        struct str secret = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_REDACTED, str_of("secret"));
        assert_true(dump_json_equal(
                out.data,
                arena_printf(
                        a,
                        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true,"
                        "\"thoughtSignature\":"
                        "\"%s\"},{\"text\":\"\",\"thought\":true,\"thoughtSignature\":\"%s\"},{\"text\":"
                        "\"hi\"},{"
                        "\"functionCall\":{\"id\":\"c1\",\"name\":\"f\",\"args\":{\"a\":1}},"
                        "\"thoughtSignature\":\"c2ln\"},"
                        "{\"functionCall\":{\"id\":\"c2\",\"name\":\"g\",\"args\":{\"arguments\":\"{oops\"}}}"
                        "],\"role\":"
                        "\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{"
                        "\"promptTokenCount\":10,"
                        "\"candidatesTokenCount\":4,\"totalTokenCount\":17,\"cachedContentTokenCount\":4,"
                        "\"thoughtsTokenCount\":3},\"modelVersion\":\"served\",\"responseId\":\"id1\"}",
                        thought.at, secret.at)));
        assert_true(dialect_gemini.decode_chat_reply(a, (struct str){out.data, out.len}, &back, &fault));
        assert_int_equal(back.choices->finish, FINISH_TOOL);
        assert_int_equal(back.usage.input, 10);
        assert_int_equal(back.usage.output, 7);
        buf_release(&out);
        arena_free(a);
}

static const struct finish_case {
        enum chat_finish finish;
        const char *raw, *expected;
} finishes[] = {
        {FINISH_STOP, "stop", "STOP"},
        {FINISH_STOP_SEQUENCE, NULL, "STOP"},
        {FINISH_LENGTH, "length", "MAX_TOKENS"},
        {FINISH_TOOL, NULL, "STOP"},
        {FINISH_FILTER, "refusal", "SAFETY"},
        {FINISH_FILTER, "RECITATION", "RECITATION"},
        {FINISH_PAUSE, NULL, "STOP"},
        {FINISH_ERROR, NULL, "OTHER"},
        {FINISH_STOP, "SAFETY", "STOP"},
        {FINISH_ERROR, "MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"},
};

static void test_finishes(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof finishes / sizeof *finishes; i++) {
                struct arena *a = arena_new();
                struct answer_context c = context(a, ANSWER_JSON);
                struct chat_reply r = {0};
                struct buf out;
                buf_init(&out, 4096);
                struct chat_choice *choice = chat_add_choice(a, &r);
                choice->finish = finishes[i].finish;
                choice->finish_raw = finishes[i].raw;
                add(a, choice, BLOCK_REFUSAL, "no");
                dialect_gemini.encode_chat_reply(&c, &r, &out);
                assert_true(dump_json_equal(
                        out.data,
                        arena_printf(a,
                                     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"no\"}],\"role\":"
                                     "\"model\"},"
                                     "\"finishReason\":\"%s\",\"index\":0}],\"modelVersion\":\"assistant\","
                                     "\"responseId\":\"seed\"}",
                                     finishes[i].expected)));
                buf_release(&out);
                arena_free(a);
        }
}

static void stream(struct arena *a, enum answer_format format, const struct chat_events *events,
                   struct buf *out)
{
        struct answer_context *c = arena_alloc(a, sizeof *c);
        *c = context(a, format);
        void *encoder = dialect_gemini.encoder_new(c);
        dialect_gemini.encode_keepalive(encoder, out);
        for (const struct chat_event *e = events->first; e; e = e->next) {
                dialect_gemini.encode_event(encoder, e, out);
                dialect_gemini.encode_keepalive(encoder, out);
        }
}

/* The array form is one JSON text, keep-alives and all, and says what the events say. */
static void test_streams(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply r;
        struct chat_events events = {.arena = a};
        struct buf sse, array, text, whole;
        buf_init(&sse, 1 << 16);
        buf_init(&array, 1 << 16);
        buf_init(&text, 1 << 16);
        buf_init(&whole, 1 << 16);
        make_reply(a, &r);
        chat_reply_events(&r, &events);
        stream(a, ANSWER_SSE, &events, &sse);
        stream(a, ANSWER_JSON_ARRAY, &events, &array);
        assert_null(strstr(sse.data, "\n:"));
        assert_null(strstr(sse.data, "[DONE]"));
        struct err err = {0};
        json_object *list = json_parse(a, array.data, array.len, JSON_FROM_CLIENT, &err);
        assert_true(json_object_is_type(list, json_type_array));
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *chunk = json_object_array_get_idx(list, i);
                json_object *candidate = json_object_array_get_idx(json_peek(chunk, "candidates"), 0);
                assert_string_equal(json_peek_string(json_peek(candidate, "content"), "role"), "model");
                assert_true((json_peek(candidate, "finishReason") != NULL) ==
                            (i + 1 == json_object_array_length(list)));
        }
        struct dump_stream s = {.arena = a};
        dump_decode_sse(&dialect_gemini, a, (struct str){sse.data, sse.len}, 0, 0, &s);
        assert_true(s.ended);
        dump_reply(&text, a, &s.reply);
        struct str thought = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_THINKING, str_of("sigA"));
        struct str secret = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_REDACTED, str_of("secret"));
        buf_addf(&whole,
                 "0: [thinking 'hm' sig(gemini:%s)] [thinking sig(gemini:%s)] [text 'hi'] [call c1 f "
                 "{\"a\":1} "
                 "sig(gemini:c2ln)] [call c2 g {\"arguments\":\"{oops\"}] tool/STOP\n usage(in=10 cached=4 "
                 "tool=0 out=7 think=3)",
                 thought.at, secret.at);
        assert_string_equal(text.data, whole.data);
        buf_release(&sse);
        buf_release(&array);
        buf_release(&text);
        buf_release(&whole);
        arena_free(a);
}

static struct chat_event *event(struct chat_events *e, enum chat_event_type type, int64_t block,
                                const char *text)
{
        struct chat_event *x = chat_add_event(e, type, 0, block);
        x->delta = str_of(text);
        x->delta_kind = DELTA_ARGUMENTS;
        x->block_start.type = BLOCK_TOOL_CALL;
        x->block_start.name = text;
        return x;
}

/* Parallel calls whose pieces come mixed, and stop in the wrong order. */
static void test_interleaved(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_events e = {.arena = a};
        struct buf out, text;
        buf_init(&out, 1 << 16);
        buf_init(&text, 1 << 16);
        event(&e, EVENT_BLOCK_START, 0, "f");
        event(&e, EVENT_DELTA, 0, "{\"a\":");
        event(&e, EVENT_BLOCK_START, 1, "g");
        event(&e, EVENT_DELTA, 1, "{\"b\":");
        event(&e, EVENT_DELTA, 0, "1}");
        event(&e, EVENT_DELTA, 1, "2}");
        event(&e, EVENT_BLOCK_STOP, 1, NULL);
        event(&e, EVENT_BLOCK_STOP, 0, NULL);
        chat_add_event(&e, EVENT_STOP, 0, 0)->finish = FINISH_TOOL;
        chat_add_event(&e, EVENT_END, 0, 0);
        stream(a, ANSWER_SSE, &e, &out);
        struct dump_stream s = {.arena = a};
        dump_decode_sse(&dialect_gemini, a, (struct str){out.data, out.len}, 0, 0, &s);
        dump_reply(&text, a, &s.reply);
        assert_string_equal(text.data,
                            "0: [call call_seed_0 f {\"a\":1}] [call call_seed_1 g {\"b\":2}] tool/STOP\n");
        buf_release(&out);
        buf_release(&text);
        arena_free(a);
}

static void test_stream_errors(void **state)
{
        (void)state;
        static const enum answer_format formats[] = {ANSWER_SSE, ANSWER_JSON_ARRAY};
        for (size_t i = 0; i < 4; i++) {
                struct arena *a = arena_new();
                struct answer_context c = context(a, formats[i % 2]);
                struct err failure = {.cause = ERR_UPSTREAM, .message = "cut"};
                struct chat_events e = {.arena = a};
                struct buf out;
                buf_init(&out, 4096);
                void *encoder = dialect_gemini.encoder_new(&c);
                chat_add_event(&e, EVENT_BLOCK_START, 0, 0)->block_start.type = BLOCK_TEXT;
                chat_add_event(&e, EVENT_DELTA, 0, 0)->delta = str_of("hi");
                chat_add_event(&e, EVENT_STOP, 0, 0)->finish = FINISH_STOP;
                for (struct chat_event *x = i < 2 ? e.first : NULL; x; x = x->next)
                        dialect_gemini.encode_event(encoder, x, &out);
                dialect_gemini.encode_keepalive(encoder, &out);
                dialect_gemini.encode_stream_error(encoder, &failure, &out);
                size_t len = out.len;
                dialect_gemini.encode_keepalive(encoder, &out);
                chat_add_event(&e, EVENT_END, 0, 0);
                dialect_gemini.encode_event(encoder, e.last, &out);
                assert_int_equal(out.len, len);
                assert_null(strstr(out.data, "finishReason"));
                assert_non_null(strstr(out.data, "\"message\":\"cut\""));
                if (formats[i % 2] == ANSWER_JSON_ARRAY) {
                        struct err err = {0};
                        json_object *list = json_parse(a, out.data, out.len, JSON_FROM_CLIENT, &err);
                        assert_int_equal(json_object_array_length(list), i < 2 ? 2 : 1);
                } else {
                        struct dump_stream s = {.arena = a};
                        dump_decode_sse(&dialect_gemini, a, (struct str){out.data, out.len}, 0, 0, &s);
                        assert_int_equal(s.fault, FAULT_OVERLOAD);
                        assert_int_equal(s.error.status, 502);
                }
                buf_release(&out);
                arena_free(a);
        }
}

static void test_grounding(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        struct chat_reply r = {0}, back = {0};
        struct upstream_fault fault = {0};
        struct chat_citation cite = {
                .url = "https://a", .title = "A", .cited_text = str_of("x"), .start = 1, .end = 3};
        struct buf out;
        buf_init(&out, 4096);
        struct chat_choice *choice = chat_add_choice(a, &r);
        choice->finish = FINISH_STOP;
        add(a, choice, BLOCK_TEXT,
            "\xc3\xa9\xc3\xa9"
            "abc")
                ->citations = &cite;
        dialect_gemini.encode_chat_reply(&c, &r, &out);
        assert_true(dialect_gemini.decode_chat_reply(a, (struct str){out.data, out.len}, &back, &fault));
        const struct chat_citation *got = back.choices->blocks->citations;
        assert_string_equal(got->url, "https://a");
        assert_string_equal(got->title, "A");
        assert_int_equal(got->start, 1);
        assert_int_equal(got->end, 3);
        struct chat_events events = {.arena = a};
        struct dump_stream s = {.arena = a};
        chat_reply_events(&r, &events);
        buf_reset(&out);
        stream(a, ANSWER_SSE, &events, &out);
        assert_non_null(strstr(out.data, "\"uri\":\"https://a\",\"title\":\"A\""));
        dump_decode_sse(&dialect_gemini, a, (struct str){out.data, out.len}, 0, 0, &s);
        assert_string_equal(s.reply.choices->blocks->citations->url, "https://a");
        buf_release(&out);
        arena_free(a);
}

static void test_logprobs(void **state)
{
        (void)state;
        static const char shape[] =
                "{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],\"top_logprobs\":[{\"token\":"
                "\"a\",\"logprob\":-0.5,\"bytes\":[97]}]}]}";
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        struct chat_reply r = {0}, back = {0};
        struct upstream_fault fault = {0};
        struct err err = {0};
        struct buf out;
        buf_init(&out, 4096);
        struct chat_choice *choice = chat_add_choice(a, &r);
        choice->finish = FINISH_STOP;
        choice->logprobs = json_parse(a, shape, strlen(shape), JSON_FROM_CLIENT, &err);
        add(a, choice, BLOCK_TEXT, "a");
        dialect_gemini.encode_chat_reply(&c, &r, &out);
        assert_true(dialect_gemini.decode_chat_reply(a, (struct str){out.data, out.len}, &back, &fault));
        assert_true(dump_json_equal(json_object_to_json_string(back.choices->logprobs), shape));
        buf_release(&out);
        arena_free(a);
}

static const struct error_case {
        struct err err;
        enum answer_format format;
        const char *expected;
} errors[] = {
#define INFO(reason)                                                                                         \
        "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason                       \
        "\",\"domain\":\"tollgate\",\"metadata\":{\"requestId\":\"req1\"}}"
        {{.cause = ERR_BAD_REQUEST, .message = "m", .param = "contents[0]"},
         ANSWER_JSON,
         "{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\",\"details\":[" INFO(
                 "BAD_REQUEST") ",{\"@type\":\"type.googleapis.com/"
                                "google.rpc.BadRequest\",\"fieldViolations\":[{\"field\":\"contents[0]\","
                                "\"description\":"
                                "\"m\"}]}]}}"},
        {{.cause = ERR_RATE_LIMIT, .message = "m", .retry_after_ms = 34400},
         ANSWER_SSE,
         "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[" INFO(
                 "RATE_LIMIT_EXCEEDED") ",{\"@type\":\"type.googleapis.com/"
                                        "google.rpc.RetryInfo\",\"retryDelay\":\"34.400s\"}]}}"},
        {{.cause = ERR_OVERLOADED, .message = "m", .retry_after_ms = 2000},
         ANSWER_JSON_ARRAY,
         "[{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\",\"details\":[" INFO(
                 "OVERLOADED") ",{\"@type\":\"type.googleapis.com/"
                               "google.rpc.RetryInfo\",\"retryDelay\":\"2s\"}]}}]"},
        {{.cause = ERR_UNAUTHENTICATED},
         ANSWER_JSON,
         "{\"error\":{\"code\":401,\"message\":\"\",\"status\":\"UNAUTHENTICATED\",\"details\":[" INFO(
                 "INVALID_API_KEY") "]}}"},
        {{.cause = ERR_PROVIDER_REFUSED, .status = 404, .message = "m"},
         ANSWER_JSON,
         "{\"error\":{\"code\":404,\"message\":\"m\",\"status\":\"NOT_FOUND\",\"details\":[" INFO(
                 "PROVIDER_REFUSED") "]}}"},
};

static void test_errors(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
                struct arena *a = arena_new();
                struct answer_context c = context(a, errors[i].format);
                struct buf out;
                buf_init(&out, 4096);
                dialect_gemini.encode_error(&c, &errors[i].err, &out);
                assert_true(dump_json_equal(out.data, errors[i].expected));
                buf_release(&out);
                arena_free(a);
        }
}

static void test_models(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        const struct model_entry models[] = {
                {.id = "assistant", .window = 100, .max_output = 10, .tasks = TASK_CHAT | TASK_VISION},
                {.id = "search", .tasks = TASK_EMBED},
        };
        struct buf out;
        buf_init(&out, 4096);
        dialect_gemini.encode_models(&c, models, 2, &out);
        assert_true(dump_json_equal(
                out.data,
                "{\"models\":[{\"name\":\"models/"
                "assistant\",\"version\":\"\",\"displayName\":\"assistant\",\"inputTokenLimit\":100,"
                "\"outputTokenLimit\":10,\"supportedGenerationMethods\":[\"generateContent\","
                "\"streamGenerateContent\"]},{\"name\":"
                "\"models/"
                "search\",\"version\":\"\",\"displayName\":\"search\",\"supportedGenerationMethods\":["
                "\"embedContent\","
                "\"batchEmbedContents\"]}]}"));
        buf_reset(&out);
        dialect_gemini.encode_model(&c, &models[1], &out);
        assert_true(dump_json_equal(
                out.data, "{\"name\":\"models/search\",\"version\":\"\",\"displayName\":\"search\","
                          "\"supportedGenerationMethods\":[\"embedContent\",\"batchEmbedContents\"]}"));
        buf_release(&out);
        arena_free(a);
}

static void test_embed(void **state)
{
        (void)state;
        static const float one[] = {0.1f, -2.5f, 1e-8f}, two[] = {1.0f, 0.0f, 0.33333334f};
        struct embed_vector vectors[] = {{one, 3}, {two, 3}};
        struct embed_reply r = {.vectors = vectors, .vector_count = 1, .usage = {.known = true, .input = 4}};
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        struct embed_reply back = {0};
        struct upstream_fault fault = {0};
        struct buf out;
        buf_init(&out, 4096);
        dialect_gemini.encode_embed_reply(&c, &r, &out);
        assert_string_equal(
                out.data,
                "{\"embedding\":{\"values\":[0.1,-2.5,1e-08]},\"usageMetadata\":{\"promptTokenCount\":4,"
                "\"totalTokenCount\":4}}");
        c.embed_batch = true;
        r.vector_count = 2;
        buf_reset(&out);
        dialect_gemini.encode_embed_reply(&c, &r, &out);
        assert_true(dialect_gemini.decode_embed_reply(a, (struct str){out.data, out.len}, 2, &back, &fault));
        for (int i = 0; i < 3; i++) {
                assert_true(back.vectors[0].values[i] == one[i]);
                assert_true(back.vectors[1].values[i] == two[i]);
        }
        assert_int_equal(back.usage.input, 4);
        buf_release(&out);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reply),         cmocka_unit_test(test_finishes),
                cmocka_unit_test(test_streams),       cmocka_unit_test(test_interleaved),
                cmocka_unit_test(test_stream_errors), cmocka_unit_test(test_grounding),
                cmocka_unit_test(test_logprobs),      cmocka_unit_test(test_errors),
                cmocka_unit_test(test_models),        cmocka_unit_test(test_embed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
