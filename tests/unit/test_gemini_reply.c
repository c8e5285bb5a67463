#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <cmocka.h>

#include "dialect_dump.h"

#define CANDIDATE(rest) "{\"candidates\":[{" rest "}],\"modelVersion\":\"m\",\"responseId\":\"r1\"}"
#define CONTENT(parts)  "\"content\":{\"role\":\"model\",\"parts\":[" parts "]}"

/* Whole replies. Those without fault give the same when their candidates come as one event of a stream. */
static const struct reply_case {
        const char *body, *expected;
        enum fault_kind fault;
} replies[] = {
        {CANDIDATE(CONTENT("{\"text\":\"hi\"}") ",\"finishReason\":\"STOP\""), "0: [text 'hi'] stop/STOP\n",
         0},
        {CANDIDATE(CONTENT("{\"text\":\"think\",\"thought\":true},{\"text\":\"hi\",\"thoughtSignature\":"
                           "\"c2ln\"}") ",\"finishReason\":\"MAX_TOKENS\""),
         "0: [thinking 'think'] [text 'hi' sig(gemini:c2ln)] length/MAX_TOKENS\n", 0},
        {CANDIDATE(CONTENT(
                 "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"},"
                 "{\"functionCall\":{\"id\":\"x\",\"name\":\"g\"}}") ",\"finishReason\":\"STOP\""),
         "0: [call call_r1_0 f {\"a\":1} sig(gemini:c2ln)] [call x g {}] tool/STOP\n", 0},
        {CANDIDATE(CONTENT("{\"functionCall\":{\"name\":\"f\"}}") ",\"finishReason\":\"MAX_TOKENS\""),
         "0: [call call_r1_0 f {}] length/MAX_TOKENS\n", 0},
        {CANDIDATE("\"finishReason\":\"SAFETY\",\"content\":{}"), "0: filter/SAFETY\n", 0},
        {CANDIDATE("\"finishReason\":\"RECITATION\",\"finishMessage\":\"no\""),
         "0: [refusal 'no'] filter/RECITATION\n", 0},
        {CANDIDATE("\"finishReason\":\"MODEL_ARMOR\""), "0: filter/MODEL_ARMOR\n", 0},
        {CANDIDATE("\"finishReason\":\"LANGUAGE\""), "0: filter/LANGUAGE\n", 0},
        {CANDIDATE("\"finishReason\":\"BLOCKLIST\""), "0: filter/BLOCKLIST\n", 0},
        {CANDIDATE("\"finishReason\":\"PROHIBITED_CONTENT\""), "0: filter/PROHIBITED_CONTENT\n", 0},
        {CANDIDATE("\"finishReason\":\"SPII\""), "0: filter/SPII\n", 0},
        {CANDIDATE("\"finishReason\":\"IMAGE_SAFETY\""), "0: filter/IMAGE_SAFETY\n", 0},
        {CANDIDATE("\"finishReason\":\"CONTINUATION\""), "0: length/CONTINUATION\n", 0},
        {CANDIDATE("\"finishReason\":\"OTHER\""), "0: stop/OTHER\n", 0},
        {CANDIDATE("\"finishReason\":\"NO_IMAGE\""), "0: stop/NO_IMAGE\n", 0},
        {CANDIDATE("\"finishReason\":\"MALFORMED_FUNCTION_CALL\""), "0: error/MALFORMED_FUNCTION_CALL\n", 0},
        {CANDIDATE("\"finishReason\":\"UNEXPECTED_TOOL_CALL\""), "0: error/UNEXPECTED_TOOL_CALL\n", 0},
        {CANDIDATE("\"finishReason\":\"TOO_MANY_TOOL_CALLS\""), "0: error/TOO_MANY_TOOL_CALLS\n", 0},
        {CANDIDATE("\"finishReason\":\"MALFORMED_RESPONSE\""), "0: error/MALFORMED_RESPONSE\n", 0},
        {CANDIDATE("\"finishReason\":\"OF_TOMORROW\""), "0: stop/OF_TOMORROW\n", 0},
        {"{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":5,"
         "\"totalTokenCount\":5}}",
         "0: [refusal 'The prompt was blocked by the provider (SAFETY).'] filter/SAFETY\n usage(in=5 "
         "cached=0 tool=0 out=0 "
         "think=0)",
         0},
        {"{\"promptFeedback\":{\"blockReason\":\"OTHER\",\"blockReasonMessage\":\"why\"}}",
         "0: [refusal 'The prompt was blocked by the provider (OTHER): why'] filter/OTHER\n", 0},
        {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"},{\"index\":"
         "1,\"content\":{"
         "\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":"
         "10,"
         "\"candidatesTokenCount\":4,\"thoughtsTokenCount\":3,\"toolUsePromptTokenCount\":2,"
         "\"cachedContentTokenCount\":1,"
         "\"totalTokenCount\":19}}",
         "0: [text 'a'] stop/STOP\n1: [text 'b'] stop/STOP\n usage(in=12 cached=1 tool=2 out=7 think=3)", 0},
        {CANDIDATE(CONTENT(
                 "{\"executableCode\":{\"code\":\"1\"}},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":"
                 "\"AAAA\"}},{}") ",\"finishReason\":\"STOP\""),
         "0: [other raw={\"executableCode\":{\"code\":\"1\"}}] [image base64 image/png AAAA] stop/STOP\n", 0},
        {"{}", NULL, FAULT_MALFORMED},
        {"[]", NULL, FAULT_MALFORMED},
        {"", NULL, FAULT_MALFORMED},
        {"{\"candidates\":", NULL, FAULT_MALFORMED},
        {"{\"candidates\":7}", NULL, FAULT_MALFORMED},
        {"{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}", NULL, FAULT_OVERLOAD},
        {"[{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}]", NULL,
         FAULT_OVERLOAD},
};

static void test_replies(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
                const struct reply_case *c = &replies[i];
                struct arena *a = arena_new();
                struct chat_reply r = {0};
                struct upstream_fault fault = {0};
                struct buf out;
                buf_init(&out, 1 << 16);
                bool ok = dialect_gemini.decode_chat_reply(a, str_of(c->body), &r, &fault);
                assert_int_equal(fault.kind, c->fault);
                assert_int_equal(ok, c->fault == FAULT_NONE);
                if (ok) {
                        dump_reply(&out, a, &r);
                        assert_string_equal(out.data, c->expected);
                        struct dump_stream s = {.arena = a};
                        dump_decode_sse(&dialect_gemini, a,
                                        str_of(arena_printf(a, "data: %s\r\n\r\n", c->body)), 0, 0, &s);
                        assert_true(s.started && s.ended);
                        assert_int_equal(s.broken, 0);
                        buf_reset(&out);
                        dump_reply(&out, a, &s.reply);
                        assert_string_equal(out.data, c->expected);
                }
                buf_release(&out);
                arena_free(a);
        }
}

#define EVENT(json)  "data: " json "\r\n\r\n"
#define PARTS(parts) EVENT("{\"candidates\":[{\"content\":{\"parts\":[" parts "]}}]}")
#define LAST(parts)                                                                                          \
        EVENT("{\"candidates\":[{\"content\":{\"parts\":[" parts "]},\"finishReason\":\"STOP\"}]}")

static const struct stream_case {
        const char *bytes, *expected;
        enum fault_kind fault;
} streams[] = {
        {PARTS("{\"text\":\"a\",\"thought\":true}") PARTS("{\"text\":\"b\",\"thought\":true}")
                 PARTS("{\"text\":\"c\"}") PARTS("{\"text\":\"d\"}")
                         LAST("{\"text\":\"\",\"thoughtSignature\":\"c2ln\"}"),
         "0: [thinking 'ab'] [text 'cd' sig(gemini:c2ln)] stop/STOP\n", 0},
        /* a signed text is never merged with the next */
        {PARTS("{\"text\":\"a\",\"thoughtSignature\":\"MQ==\"}")
                 LAST("{\"text\":\"b\",\"thoughtSignature\":\"Mg==\"}"),
         "0: [text 'a' sig(gemini:MQ==)] [text 'b' sig(gemini:Mg==)] stop/STOP\n", 0},
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"MQ==\"}")
                 LAST("{\"text\":\"\",\"thoughtSignature\":\"Mg==\"}"),
         "0: [call call_f_0 f {} sig(gemini:MQ==)] [text sig(gemini:Mg==)] tool/STOP\n", 0},
        /* usage may fall, and a field that is absent stays */
        {EVENT("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{"
               "\"promptTokenCount\":198,"
               "\"thoughtsTokenCount\":5,\"totalTokenCount\":203}}")
                 EVENT("{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{"
                       "\"promptTokenCount\":46,"
                       "\"candidatesTokenCount\":7,\"totalTokenCount\":58}}"),
         "0: [text 'a'] stop/STOP\n usage(in=46 cached=0 tool=0 out=12 think=5)", 0},
        /* arguments in pieces */
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}") PARTS(
                 "{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0].b\",\"stringValue\":\"x\","
                 "\"willContinue\":"
                 "true}],\"willContinue\":true}}") PARTS("{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":"
                                                         "\"$.a[0].b\",\"stringValue\":\"y\"}],"
                                                         "\"willContinue\":true}}")
                 PARTS("{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[1]\",\"numberValue\":2},{"
                       "\"jsonPath\":\"$['k.k']\",\"boolValue\":true},{\"jsonPath\":\"$.n\",\"nullValue\":"
                       "\"NULL_VALUE\"},{\"jsonPath\":\"$.a[0].b\",\"stringValue\":\"z\"}],"
                       "\"willContinue\":true}}") LAST("{\"functionCall\":{}}"),
         "0: [call call_f_0 f {\"a\":[{\"b\":\"xyz\"},2],\"k.k\":true,\"n\":null}] tool/STOP\n", 0},
        /* … without their end */
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}")
                 PARTS("{\"functionCall\":{\"name\":\"g\",\"willContinue\":true}}") LAST("{\"text\":\"\"}"),
         "0: [call call_f_0 f {}] [call call_g_1 g {}] tool/STOP\n", 0},
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}") PARTS(
                 "{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[99999999]\",\"numberValue\":2}]}}"),
         "", FAULT_MALFORMED},
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}")
                 PARTS("{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"a\",\"numberValue\":2}]}}"),
         "", FAULT_MALFORMED},
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}")
                 PARTS("{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a\",\"numberValue\":2},{"
                       "\"jsonPath\":\"$.a.b\","
                       "\"numberValue\":2}]}}"),
         "", FAULT_MALFORMED},
        {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}")
                 PARTS("{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a\",\"numberValue\":2},{"
                       "\"jsonPath\":\"$.a.b\","
                       "\"stringValue\":\"x\"},{\"jsonPath\":\"$.c\",\"stringValue\":\"x\"}]}}"),
         "", FAULT_MALFORMED},
        /* what ends badly */
        {PARTS("{\"text\":\"a\"}"), "", FAULT_CUT},
        {"", "", FAULT_CUT},
        {PARTS("{\"text\":\"a\"}")
                 EVENT("{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}"),
         "", FAULT_RATE_LIMIT},
        {PARTS("{\"text\":\"a\"}") "{\"error\":{\"code\":500,\n\"message\":\"m\",\"status\":\"INTERNAL\"}}\n",
         "", FAULT_IN_BODY},
        {"[{\"error\":{\"code\":500,\"message\":\"m\",\"status\":\"INTERNAL\"}}]", "", FAULT_IN_BODY},
        {EVENT("{\"candidates\""), "", FAULT_MALFORMED},
        {EVENT("[]"), "", FAULT_MALFORMED},
        {EVENT("{\"candidates\":[{\"index\":0,\"finishReason\":\"STOP\"}]}")
                 EVENT("{\"candidates\":[{\"index\":1,\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}"),
         "", FAULT_CUT},
};

static void stream_text(const struct stream_case *c, size_t first, size_t chunk, struct buf *out)
{
        struct arena *a = arena_new();
        struct dump_stream s = {.arena = a};
        dump_decode_sse(&dialect_gemini, a, str_of(c->bytes), first, chunk, &s);
        assert_int_equal(s.broken, 0);
        assert_int_equal(s.fault, c->fault);
        assert_int_equal(s.ended, c->fault == FAULT_NONE);
        buf_reset(out);
        dump_reply(out, a, &s.reply);
        arena_free(a);
}

static void test_streams(void **state)
{
        (void)state;
        struct buf whole, split;
        buf_init(&whole, 1 << 16);
        buf_init(&split, 1 << 16);
        for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
                const struct stream_case *c = &streams[i];
                stream_text(c, 0, 0, &whole);
                if (c->fault == FAULT_NONE)
                        assert_string_equal(whole.data, c->expected);
                for (size_t at = 1; at < strlen(c->bytes); at++) {
                        stream_text(c, at, 0, &split);
                        assert_string_equal(split.data ? split.data : "", whole.data ? whole.data : "");
                }
                stream_text(c, 0, 1, &split);
                assert_string_equal(split.data ? split.data : "", whole.data ? whole.data : "");
        }
        buf_release(&whole);
        buf_release(&split);
}

static void test_citations(void **state)
{
        (void)state;
        static const char body[] = CANDIDATE(CONTENT(
                "{\"text\":\"h\xc3\xa9llo world\"}") ",\"finishReason\":\"STOP\",\"citationMetadata\":{"
                                                     "\"citationSources\":[{\"startIndex\":0,\"endIndex\":6,"
                                                     "\"uri\":\"https://"
                                                     "a\"}]},\"groundingMetadata\":{\"groundingChunks\":[{"
                                                     "\"web\":{\"uri\":\"https://b\","
                                                     "\"title\":\"B\"}},{\"web\":{\"uri\":\"https://"
                                                     "c\"}}],\"groundingSupports\":[{\"segment\":{"
                                                     "\"startIndex\":7,"
                                                     "\"endIndex\":12,\"text\":\"world\"},"
                                                     "\"groundingChunkIndices\":[0,9,1]}]}");
        struct arena *a = arena_new();
        struct chat_reply r = {0};
        struct upstream_fault fault = {0};
        struct buf out;
        buf_init(&out, 4096);
        assert_true(dialect_gemini.decode_chat_reply(a, str_of(body), &r, &fault));
        dump_reply(&out, a, &r);
        assert_string_equal(out.data,
                            "0: [text 'h\xc3\xa9llo world' cite(https://a - 0-5) cite(https://b B 6-11) "
                            "cite(https://c - 6-11)] stop/STOP\n");
        struct dump_stream s = {.arena = a};
        dump_decode_sse(&dialect_gemini, a, str_of(arena_printf(a, "data: %s\r\n\r\n", body)), 0, 0, &s);
        assert_string_equal(s.reply.choices->blocks->citations->url, "https://a");
        assert_string_equal(s.reply.choices->blocks->citations->next->title, "B");
        buf_release(&out);
        arena_free(a);
}

static void test_logprobs(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply r = {0};
        struct upstream_fault fault = {0};
        static const char body[] =
                CANDIDATE(CONTENT("{\"text\":\"hi\"}") ",\"finishReason\":\"STOP\",\"logprobsResult\":{"
                                                       "\"chosenCandidates\":[{\"token\":"
                                                       "\"hi\",\"logProbability\":-0.5}],\"topCandidates\":[{"
                                                       "\"candidates\":[{\"token\":"
                                                       "\"hi\",\"logProbability\":-0.5},{\"token\":\"ho\","
                                                       "\"logProbability\":-2}]}]}");
        assert_true(dialect_gemini.decode_chat_reply(a, str_of(body), &r, &fault));
        assert_true(dump_json_equal(json_object_to_json_string(r.choices->logprobs),
                                    "{\"content\":[{\"token\":\"hi\",\"logprob\":-0.5,\"bytes\":[104,105],"
                                    "\"top_logprobs\":[{\"token\":\"hi\","
                                    "\"logprob\":-0.5,\"bytes\":[104,105]},{\"token\":\"ho\",\"logprob\":-2."
                                    "0,\"bytes\":[104,111]}]}]}"));
        arena_free(a);
}

#define ERROR(code, status, message, details)                                                                \
        "{\"error\":{\"code\":" code ",\"status\":\"" status "\",\"message\":\"" message                     \
        "\",\"details\":[" details "]}}"

static const struct error_case {
        int status;
        const char *body;
        enum fault_kind kind;
        int64_t wait_ms;
        const char *message;
} errors[] = {
        {429,
         ERROR("429", "RESOURCE_EXHAUSTED", "slow",
               "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"34.4s\"}"),
         FAULT_RATE_LIMIT, 34400, "slow"},
        {429,
         ERROR("429", "RESOURCE_EXHAUSTED", "slow",
               "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"0.074482772s\"}"),
         FAULT_RATE_LIMIT, 74, "slow"},
        {429,
         ERROR("429", "RESOURCE_EXHAUSTED", "slow",
               "{\"@type\":\"x.RetryInfo\",\"retryDelay\":\"99999999999999999999s\"}"),
         FAULT_RATE_LIMIT, 86400000, "slow"},
        {429,
         ERROR("429", "RESOURCE_EXHAUSTED", "slow",
               "{\"@type\":\"x.RetryInfo\",\"retryDelay\":\"soon\"},7,{}"),
         FAULT_RATE_LIMIT, 0, "slow"},
        {400,
         ERROR("400", "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
               "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}"),
         FAULT_CREDENTIALS, 0, "API key not valid. Please pass a valid API key."},
        {400,
         ERROR("400", "INVALID_ARGUMENT",
               "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", ""),
         FAULT_CONTEXT_LENGTH, 0, NULL},
        {400, ERROR("400", "INVALID_ARGUMENT", "x", ""), FAULT_BAD_REQUEST, 0, "x"},
        {400, ERROR("400", "FAILED_PRECONDITION", "User location is not supported for the API use.", ""),
         FAULT_FORBIDDEN, 0, NULL},
        {401, ERROR("401", "UNAUTHENTICATED", "x", ""), FAULT_CREDENTIALS, 0, NULL},
        {403, ERROR("403", "PERMISSION_DENIED", "x", ""), FAULT_FORBIDDEN, 0, NULL},
        {403,
         ERROR("403", "PERMISSION_DENIED", "x",
               "{\"@type\":\"a.ErrorInfo\",\"reason\":\"BILLING_DISABLED\"}"),
         FAULT_QUOTA, 0, NULL},
        {404, ERROR("404", "NOT_FOUND", "models/x is not found for API version v1beta", ""), FAULT_MODEL_GONE,
         0, NULL},
        {500, ERROR("500", "INTERNAL", "x", ""), FAULT_SERVER, 0, NULL},
        {503, ERROR("503", "UNAVAILABLE", "x", ""), FAULT_OVERLOAD, 0, NULL},
        {504, ERROR("504", "DEADLINE_EXCEEDED", "x", ""), FAULT_TIMEOUT, 0, NULL},
        {429, "[" ERROR("429", "RESOURCE_EXHAUSTED", "slow", "") "]", FAULT_RATE_LIMIT, 0, "slow"},
        {502, "<html>bad gateway</html>", FAULT_SERVER, 0, NULL},
        {503, "", FAULT_OVERLOAD, 0, NULL},
        {404, "null", FAULT_MODEL_GONE, 0, NULL},
        {418, "{\"error\":\"teapot\"}", FAULT_BAD_REQUEST, 0, NULL},
};

static void test_errors(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
                struct arena *a = arena_new();
                struct upstream_fault f = {0};
                dialect_gemini.decode_error(a, errors[i].status, str_of(errors[i].body), &f);
                if (f.kind != errors[i].kind || f.retry_after_ms != errors[i].wait_ms)
                        fail_msg("%zu: kind %d, wait %lld", i, f.kind, (long long)f.retry_after_ms);
                assert_int_equal(f.status, errors[i].status);
                if (errors[i].message)
                        assert_string_equal(f.message, errors[i].message);
                arena_free(a);
        }
}

static const struct vector_case {
        const char *body;
        size_t expected, count;
        enum fault_kind fault;
        int64_t input;
} vectors[] = {
        {"{\"embeddings\":[{\"values\":[0.5,1]},{\"values\":[2,3]}],\"usageMetadata\":{\"promptTokenCount\":"
         "4,"
         "\"promptTokenDetails\":[]}}",
         2, 2, 0, 4},
        {"{\"embeddings\":[{\"values\":[0.5,1]}]}", 1, 1, 0, 0},
        {"{\"embedding\":{\"values\":[0.5]},\"usageMetadata\":{\"promptTokenCount\":9,"
         "\"promptTokensDetails\":[]}}",
         1, 1, 0, 9},
        {"{\"predictions\":[{\"embeddings\":{\"values\":[1],\"statistics\":{\"token_count\":5}}},{"
         "\"embeddings\":{\"values\":[1],"
         "\"statistics\":{\"token_count\":6}}}]}",
         2, 2, 0, 11},
        {"{\"embeddings\":[{\"values\":[0.5,1]}]}", 2, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[\"x\"]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1e300]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1,]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1,,2]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1 2]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1,[2]]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1,2", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[-]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":0}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"embeddings\":[{\"values\":[1]},{\"values\":[2]}]}", 1, 0, FAULT_MALFORMED, 0},
        {"{\"x\":\"\\\"values\\\":[1]\",\"embeddings\":[{\"values\":[1]}]}", 1, 1, 0, 0},
        {"{\"embeddings\":[7]}", 1, 0, FAULT_MALFORMED, 0},
        {"x", 1, 0, FAULT_MALFORMED, 0},
        {"{\"error\":{\"code\":500}}", 1, 0, FAULT_IN_BODY, 0},
};

static void test_vectors(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
                const struct vector_case *c = &vectors[i];
                struct arena *a = arena_new();
                struct embed_reply r = {0};
                struct upstream_fault f = {0};
                bool ok = dialect_gemini.decode_embed_reply(a, str_of(c->body), c->expected, &r, &f);
                assert_int_equal(ok, c->fault == FAULT_NONE);
                assert_int_equal(f.kind, c->fault);
                if (ok) {
                        assert_int_equal(r.vector_count, c->count);
                        assert_int_equal(r.usage.input, c->input);
                        assert_int_equal(r.usage.known, c->input > 0);
                }
                arena_free(a);
        }
}

/* A batch has more numbers than a tree may have nodes. */
static void test_many_vectors(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct embed_reply r = {0};
        struct upstream_fault f = {0};
        struct buf body;
        buf_init(&body, 16 << 20);
        buf_adds(&body, "{ \"embeddings\" : [");
        for (int i = 0; i < 100; i++) {
                buf_addf(&body, "%s{\"values\" : [ %d.5", i ? "," : "", i);
                for (int k = 1; k < 3072; k++)
                        buf_adds(&body, " ,\n -1e-3");
                buf_adds(&body, " ] }");
        }
        buf_adds(&body, "] }");
        assert_true(dialect_gemini.decode_embed_reply(a, (struct str){body.data, body.len}, 100, &r, &f));
        assert_int_equal(r.vector_count, 100);
        assert_int_equal(r.vectors[99].count, 3072);
        assert_true(r.vectors[99].values[0] == 99.5f && r.vectors[99].values[3071] == -1e-3f);
        buf_release(&body);
        arena_free(a);
}

/* ---- recordings ---- */

/* What a recording says, read the plain way: text, thoughts and names of calls in order, the last reason. */
static void raw_text(json_object *root, struct buf *text, struct buf *thoughts, struct buf *calls)
{
        json_object *list = json_peek_array(root, "candidates");
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                json_object *content = json_peek_object(json_object_array_get_idx(list, i), "content");
                json_object *parts = json_peek_array(content, "parts");
                for (size_t k = 0; parts && k < json_object_array_length(parts); k++) {
                        json_object *part = json_object_array_get_idx(parts, k);
                        struct str piece = json_peek_str(part, "text");
                        const char *name = json_peek_string(json_peek_object(part, "functionCall"), "name");
                        buf_add_str(json_object_get_boolean(json_peek(part, "thought")) ? thoughts : text,
                                    piece);
                        if (name)
                                buf_addf(calls, "%s,", name);
                }
        }
}

static void blocks_text(const struct chat_reply *r, struct buf *text, struct buf *thoughts, struct buf *calls)
{
        for (const struct chat_choice *c = r->choices; c; c = c->next) {
                for (const struct chat_block *b = c->blocks; b; b = b->next) {
                        if (b->type == BLOCK_TEXT)
                                buf_add_str(text, b->text);
                        else if (b->type == BLOCK_THINKING)
                                buf_add_str(thoughts, b->text);
                        else if (b->type == BLOCK_TOOL_CALL)
                                buf_addf(calls, "%s,", b->name);
                }
        }
}

static void compare(struct arena *a, json_object **events, size_t count, const char *what)
{
        struct buf raw[3], got[3], sse;
        for (int i = 0; i < 3; i++) {
                buf_init(&raw[i], 1 << 22);
                buf_init(&got[i], 1 << 22);
                buf_adds(&raw[i], "|");
                buf_adds(&got[i], "|");
        }
        buf_init(&sse, 1 << 24);
        for (size_t i = 0; i < count; i++) {
                raw_text(events[i], &raw[0], &raw[1], &raw[2]);
                buf_addf(&sse, "data: %s\r\n\r\n", json_object_to_json_string_ext(events[i], DUMP_JSON));
        }
        struct dump_stream s = {.arena = a}, bytewise = {.arena = a};
        dump_decode_sse(&dialect_gemini, a, (struct str){sse.data, sse.len}, 0, 0, &s);
        dump_decode_sse(&dialect_gemini, a, (struct str){sse.data, sse.len}, 0, 7, &bytewise);
        if (!s.ended || s.broken || s.fault)
                fail_msg("%s: ended %d, broken %zu, fault %d", what, s.ended, s.broken, s.fault);
        blocks_text(&s.reply, &got[0], &got[1], &got[2]);
        for (int i = 0; i < 3; i++)
                assert_string_equal(got[i].data, raw[i].data);
        json_object *usage = json_peek_object(events[count - 1], "usageMetadata");
        assert_int_equal(s.reply.usage.input + s.reply.usage.output,
                         json_peek_count(usage, "totalTokenCount"));
        assert_int_equal(s.reply.usage.reasoning, json_peek_count(usage, "thoughtsTokenCount"));
        buf_reset(&got[0]);
        buf_reset(&got[1]);
        dump_reply(&got[0], a, &s.reply);
        dump_reply(&got[1], a, &bytewise.reply);
        assert_string_equal(got[0].data, got[1].data);
        for (int i = 0; i < 3; i++) {
                buf_release(&raw[i]);
                buf_release(&got[i]);
        }
        buf_release(&sse);
}

static void record_whole(struct arena *a, json_object *root, const char *what)
{
        struct chat_reply r = {0};
        struct upstream_fault fault = {0};
        const char *text = json_object_to_json_string_ext(root, DUMP_JSON);
        if (!dialect_gemini.decode_chat_reply(a, str_of(text), &r, &fault))
                fail_msg("%s: %s", what, fault.message);
        compare(a, &root, 1, what);
}

static void record_chunks(struct arena *a, struct str text, const char *what)
{
        json_object *events[4096];
        size_t count = 0;
        for (const char *line = text.at, *end; *line && count < 4096; line = end + (*end == '\n')) {
                end = strchrnul(line, '\n');
                struct err err = {0};
                if (end > line)
                        events[count++] = json_parse(a, line, (size_t)(end - line), JSON_FROM_PROVIDER, &err);
        }
        assert_true(count > 0);
        compare(a, events, count, what);
}

static void record_body(struct arena *a, const char *url, struct str body, const char *what)
{
        struct err err = {0};
        json_object *root = json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err);
        json_object *events[4096];
        assert_non_null(root);
        if (strstr(url, "mbed")) {
                struct embed_reply r = {0};
                struct upstream_fault fault = {0};
                json_object *list = json_peek_array(root, "embeddings");
                size_t count = list ? json_object_array_length(list) : 1;
                assert_true(dialect_gemini.decode_embed_reply(a, body, count, &r, &fault));
                assert_true(r.vectors[0].count >= 768);
        } else if (json_object_is_type(root, json_type_array)) {
                size_t count = json_object_array_length(root);
                for (size_t i = 0; i < count && i < 4096; i++)
                        events[i] = json_object_array_get_idx(root, i);
                compare(a, events, count, what);
        }
}

static size_t record_folder(const char *folder, void (*one)(struct arena *, const char *, struct str))
{
        struct arena *names = arena_new();
        DIR *d = opendir(folder);
        size_t count = 0;
        for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
                if (*e->d_name == '.' || !strchr(e->d_name, '.'))
                        continue;
                struct arena *a = arena_new();
                one(a, e->d_name, dump_file(a, arena_printf(names, "%s/%s", folder, e->d_name)));
                arena_free(a);
                count++;
        }
        if (d)
                closedir(d);
        arena_free(names);
        return count;
}

static void one_google(struct arena *a, const char *name, struct str text)
{
        struct err err = {0};
        if (strstr(name, ".chunks.txt")) {
                record_chunks(a, text, name);
        } else if (strstr(name, "429")) {
                struct upstream_fault f = {0};
                dialect_gemini.decode_error(a, 429, text, &f);
                assert_int_equal(f.kind, FAULT_RATE_LIMIT);
                assert_int_equal(f.retry_after_ms, 34400);
        } else {
                record_whole(a, json_parse(a, text.at, text.len, JSON_FROM_PROVIDER, &err), name);
        }
}

static void one_recorded(struct arena *a, const char *name, struct str text)
{
        struct err err = {0};
        json_object *list = json_parse(a, text.at, text.len, JSON_FROM_PROVIDER, &err);
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *entry = json_object_array_get_idx(list, i);
                record_body(a, json_peek_string(json_peek_object(entry, "request"), "url"),
                            json_peek_str(json_peek_object(entry, "response"), "body"), name);
        }
}

static void one_vertex(struct arena *a, const char *name, struct str text)
{
        struct embed_reply r = {0};
        struct upstream_fault fault = {0};
        (void)name;
        assert_true(dialect_gemini.decode_embed_reply(a, text, 2, &r, &fault));
        assert_int_equal(r.usage.input, 11);
}

static void test_recordings(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        const char *google = dump_shared(a, "google"), *vertex = dump_shared(a, "google-vertex");
        if (!google) {
                arena_free(a);
                skip();
        }
        assert_true(record_folder(google, one_google) >= 14);
        assert_true(record_folder(arena_printf(a, "%s/recorded", google), one_recorded) >= 10);
        assert_true(record_folder(vertex, one_vertex) >= 1);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_replies),      cmocka_unit_test(test_streams),
                cmocka_unit_test(test_citations),    cmocka_unit_test(test_logprobs),
                cmocka_unit_test(test_errors),       cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_many_vectors), cmocka_unit_test(test_recordings),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
