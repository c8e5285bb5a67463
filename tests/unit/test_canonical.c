/* Requests as bytes: whatever differs, differs there; how the answer travels does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect/canonical.h"
#include "dialect_dump.h"

static void collect(void *context, const void *bytes, size_t len)
{
        buf_add(context, bytes, len);
}

struct seen {
        struct str bytes;
        bool blurred, portable, fixed;
};

static struct chat_request *decoded(struct arena *a, const struct dialect *d, const char *body)
{
        struct chat_request *r = arena_alloc(a, sizeof *r);
        struct form_fields none = {0};
        struct err err = {0};
        struct client_input in = {.arena = a,
                                  .path_model = "m",
                                  .query = &none,
                                  .api_version = "2023-06-01",
                                  .content_type = "application/json",
                                  .body = str_of(body)};
        if (!d->decode_chat_request(&in, r, &err))
                fail_msg("%s: %s", body, err.message);
        return r;
}

static struct seen look(struct arena *a, const struct dialect *d, const char *body)
{
        const struct chat_request *r = decoded(a, d, body);
        struct buf out;
        struct seen s;
        buf_init(&out, 1 << 20);
        struct canonical c = {.add = collect, .context = &out};
        canonical_chat(&c, r);
        assert_false(out.failed);
        s = (struct seen){arena_str(a, out.data, out.len), c.blurred, canonical_is_portable(r),
                          canonical_is_fixed(r)};
        buf_release(&out);
        return s;
}

#define O(rest)     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" rest "}"
#define M(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define PNG         "data:image/png;base64,iVBORw0KGgo="

/* All of them differ from each other. */
static const char *const different[] = {
        O(""),
        O(",\"temperature\":0"),
        O(",\"temperature\":0.5"),
        O(",\"top_p\":0.5"),
        O(",\"top_k\":5"),
        O(",\"seed\":0"),
        O(",\"seed\":5"),
        O(",\"max_tokens\":5"),
        O(",\"n\":2"),
        O(",\"presence_penalty\":0.5"),
        O(",\"frequency_penalty\":0.5"),
        O(",\"logprobs\":true"),
        O(",\"logprobs\":true,\"top_logprobs\":2"),
        O(",\"logit_bias\":{\"5\":1}"),
        O(",\"stop\":\"a\""),
        O(",\"stop\":\"b\""),
        O(",\"stop\":[\"a\",\"b\"]"),
        O(",\"stop\":[\"ab\"]"),
        O(",\"user\":\"a\""),
        O(",\"user\":\"b\""),
        O(",\"service_tier\":\"flex\""),
        O(",\"store\":true"),
        O(",\"store\":false"),
        O(",\"metadata\":{\"a\":\"b\"}"),
        O(",\"prompt_cache_key\":\"a\""),
        O(",\"verbosity\":\"low\""),
        O(",\"reasoning_effort\":\"low\""),
        O(",\"reasoning_effort\":\"high\""),
        O(",\"reasoning\":{\"max_tokens\":2000}"),
        O(",\"response_format\":{\"type\":\"text\"}"),
        O(",\"response_format\":{\"type\":\"json_object\"}"),
        O(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{"
          "\"type\":"
          "\"object\"}}}"),
        O(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"b\",\"schema\":{"
          "\"type\":"
          "\"object\"}}}"),
        O(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"strict\":true,"
          "\"schema\":{\"type\":\"object\"}}}"),
        O(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"description\":"
          "\"d\","
          "\"schema\":{\"type\":\"object\"}}}"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\"}}]"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}]"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
          "\"object\"}}}]"),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"required\""),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"none\""),
        O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"parallel_tool_calls\":false"),
        O(",\"min_p\":0.1"),
        O(",\"min_p\":0.2"),
        O(",\"other\":{\"b\":1,\"a\":2}"),
        O(",\"other\":{\"a\":2,\"b\":1}"),
        M("{\"role\":\"user\",\"content\":\"hi \"}"),
        M("{\"role\":\"user\",\"content\":\"hi\",\"name\":\"n\"}"),
        M("{\"role\":\"system\",\"content\":\"hi\"}"),
        M("{\"role\":\"developer\",\"content\":\"hi\"}"),
        M("{\"role\":\"user\",\"content\":\"h\"},{\"role\":\"user\",\"content\":\"i\"}"),
        M("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\"},{\"type\":\"text\",\"text\":"
          "\"i\"}]}"),
        M("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"text\",\"text\":"
          "\"\"}]}"),
        M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}}]}"),
        M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG
          "\",\"detail\":\"low\"}}]}"),
        M("{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
          "\"id\":"
          "\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
          "\"tool\","
          "\"tool_call_id\":\"1\",\"content\":\"r\"}"),
        M("{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
          "\"id\":"
          "\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{ "
          "}\"}}]},{\"role\":\"tool\","
          "\"tool_call_id\":\"1\",\"content\":\"r\"}"),
        M("{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
          "\"id\":"
          "\"2\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
          "\"tool\","
          "\"tool_call_id\":\"2\",\"content\":\"r\"}"),
};

static void test_different(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        enum { N = sizeof different / sizeof *different };
        struct seen seen[N];
        for (size_t i = 0; i < N; i++) {
                seen[i] = look(a, &dialect_openai, different[i]);
                assert_false(seen[i].blurred);
                for (size_t k = 0; k < i; k++) {
                        if (str_equal(seen[i].bytes, seen[k].bytes))
                                fail_msg("the same: %s\n%s", different[i], different[k]);
                }
        }
        arena_free(a);
}

static void test_same(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct seen plain = look(a, &dialect_openai, O(",\"max_tokens\":5"));
        const struct {
                const struct dialect *dialect;
                const char *body;
        } same[] = {
                {&dialect_openai,
                 O(",\"max_completion_tokens\":5,\"stream\":true,\"stream_options\":{\"include_"
                   "usage\":true}")},
                {&dialect_openai,
                 "{ \"max_tokens\" : 5.0, \"messages\":[{\"content\":\"h\\u0069\",\"role\":\"user\"}]}"},
                {&dialect_openai,
                 "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                 "\"text\":\"hi\"}]}]}"},
                {&dialect_anthropic, O(",\"max_tokens\":5")},
                {&dialect_gemini, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],"
                                  "\"generationConfig\":{\"maxOutputTokens\":5}}"},
                {&dialect_plain, "{\"prompt\":\"hi\",\"max_tokens\":5}"},
        };
        assert_true(plain.portable && plain.fixed);
        for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
                struct seen s = look(a, same[i].dialect, same[i].body);
                assert_true(s.portable);
                if (!str_equal(s.bytes, plain.bytes))
                        fail_msg("not the same: %s", same[i].body);
        }
        arena_free(a);
}

static void test_meaning(void **state)
{
        (void)state;
        const struct {
                const char *body;
                bool portable, fixed, blurred;
        } rows[] = {
                {O(",\"temperature\":1,\"stop\":[\"a\"]"), true, true, false},
                {M("{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
                   "\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"}"),
                 true, true, false},
                {M("{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}"), false,
                 true, false},
                {M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG
                   "\"}}]}"),
                 true, true, false},
                {M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://"
                   "a.example/"
                   "\"}}]}"),
                 false, false, false},
                {M("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}"),
                 false, false, false},
                {O(",\"top_k\":5"), false, true, false},
                {O(",\"min_p\":5"), false, true, false},
                {O(",\"reasoning_effort\":\"low\""), false, true, false},
                {O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"), false, true, false},
                {O(",\"tools\":[{\"type\":\"web_search\"}]"), false, false, false},
                {O(",\"other\":9223372036854775806"), false, true, false},
                {O(",\"other\":9223372036854775807"), false, true, true},
                {O(",\"other\":[{\"a\":123456789012345678901234567890}]"), false, true, true},
                {O(",\"other\":-123456789012345678901234567890"), false, true, true},
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct seen s = look(a, &dialect_openai, rows[i].body);
                if (s.portable != rows[i].portable || s.fixed != rows[i].fixed ||
                    s.blurred != rows[i].blurred)
                        fail_msg("%s: portable %d, fixed %d, blurred %d", rows[i].body, s.portable, s.fixed,
                                 s.blurred);
        }
        arena_free(a);
}

/* Thoughts, marks and members that only one vendor knows. */
static void test_of_one_dialect(void **state)
{
        static const char *const bodies[] = {
                O(",\"max_tokens\":5"),
                O(",\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"s\"}]"),
                O(",\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{"
                  "\"type\":"
                  "\"ephemeral\"}}]"),
                O(",\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{"
                  "\"type\":"
                  "\"ephemeral\",\"ttl\":\"1h\"}}]"),
                O(",\"max_tokens\":5,\"thinking\":{\"type\":\"disabled\"}"),
                O(",\"max_tokens\":5,\"thinking\":{\"type\":\"adaptive\"}"),
                O(",\"max_tokens\":5,\"cache_control\":{\"type\":\"ephemeral\"}"),
                O(",\"max_tokens\":5,\"context_management\":{\"edits\":[]}"),
                "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{"
                "\"role\":"
                "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"}]}]"
                "}",
                "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{"
                "\"role\":"
                "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"z\"}]}]"
                "}",
                "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                "\"text\","
                "\"text\":\"hi\",\"citations\":[{\"type\":\"x\",\"cited_text\":\"q\"}]}]}]}",
                "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                "\"text\","
                "\"text\":\"hi\",\"new_member\":1}]}]}",
        };
        enum { N = sizeof bodies / sizeof *bodies };
        struct seen seen[N];
        (void)state;
        struct arena *a = arena_new();
        for (size_t i = 0; i < N; i++) {
                seen[i] = look(a, &dialect_anthropic, bodies[i]);
                assert_int_equal(seen[i].portable, i < 2);
                for (size_t k = 0; k < i; k++) {
                        if (str_equal(seen[i].bytes, seen[k].bytes))
                                fail_msg("the same: %s\n%s", bodies[i], bodies[k]);
                }
        }
        arena_free(a);
}

static struct str embed_bytes(struct arena *a, const struct embed_request *r)
{
        struct buf out;
        buf_init(&out, 1 << 20);
        struct canonical c = {.add = collect, .context = &out};
        canonical_embed(&c, r);
        struct str s = arena_str(a, out.data, out.len);
        buf_release(&out);
        return s;
}

static void test_embed(void **state)
{
        static const char *const bodies[] = {
                "{\"input\":\"ab\"}",
                "{\"input\":\"ab\",\"dimensions\":5}",
                "{\"input\":[\"a\",\"b\"]}",
                "{\"input\":[\"ab\",\"\\n\"]}",
                "{\"input\":\"ab\",\"user\":\"u\"}",
                "{\"input\":[1,2]}",
                "{\"input\":[[1],[2]]}",
                "{\"input\":\"ab\",\"x\":1}",
        };
        enum { N = sizeof bodies / sizeof *bodies };
        struct str seen[N];
        (void)state;
        struct arena *a = arena_new();
        struct form_fields none = {0};
        for (size_t i = 0; i <= N; i++) {
                struct embed_request r = {0};
                struct err err = {0};
                struct client_input in = {
                        .arena = a,
                        .query = &none,
                        .body = str_of(i < N ? bodies[i]
                                             : "{\"encoding_format\":\"base64\",\"input\":[\"ab\"]}")};
                assert_true(dialect_openai.decode_embed_request(&in, &r, &err));
                struct str s = embed_bytes(a, &r);
                if (i == N) {
                        assert_true(str_equal(s, seen[0]));
                        break;
                }
                seen[i] = s;
                for (size_t k = 0; k < i; k++)
                        assert_false(str_equal(seen[i], seen[k]));
        }
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_different), cmocka_unit_test(test_same),
                cmocka_unit_test(test_meaning),   cmocka_unit_test(test_of_one_dialect),
                cmocka_unit_test(test_embed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
