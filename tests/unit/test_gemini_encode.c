#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect_dump.h"

static const struct form_fields no_query;

/* Requests are written in the dialect itself; `from` then says who is taken to have sent them. */
static const struct encode_case {
        const char *body;
        enum dialect_id from;
        struct model_caps caps;
        const char *expected; /* JSON; or "!" and the path of the error */
} cases[] = {
#define HI "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"
        {"{" HI "}", DIALECT_OPENAI, {0}, "{" HI "}"},
        {"{" HI ",\"systemInstruction\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}}",
         DIALECT_OPENAI,
         {0},
         "{" HI ",\"systemInstruction\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}}"},
        /* user first */
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"hi\"}]},{\"parts\":[{\"text\":\"x\"}]}]}",
         DIALECT_OPENAI,
         {0},
         "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Begin.\"}]},{\"role\":\"model\",\"parts\":"
         "[{\"text\":"
         "\"hi\"}]},{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}]}"},
        /* settings */
        {"{" HI ",\"generationConfig\":{\"maxOutputTokens\":5,\"temperature\":0.5,\"topP\":1,\"topK\":3,"
         "\"candidateCount\":2,"
         "\"stopSequences\":[\"a\",\"b\"],\"seed\":7,\"presencePenalty\":1,\"frequencyPenalty\":-1,"
         "\"responseLogprobs\":true,"
         "\"logprobs\":2,\"responseMimeType\":\"application/"
         "json\",\"responseJsonSchema\":{\"type\":\"object\"}}}",
         DIALECT_OPENAI,
         {0},
         "{" HI ",\"generationConfig\":{\"maxOutputTokens\":5,\"temperature\":0.5,\"topP\":1,\"topK\":3,"
         "\"candidateCount\":2,"
         "\"stopSequences\":[\"a\",\"b\"],\"seed\":7,\"presencePenalty\":1,\"frequencyPenalty\":-1,"
         "\"responseLogprobs\":"
         "true,\"logprobs\":2,\"responseMimeType\":\"application/"
         "json\",\"responseJsonSchema\":{\"type\":\"object\"}}}"},
        {"{" HI ",\"generationConfig\":{\"stopSequences\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}}",
         DIALECT_GEMINI,
         {0},
         "!generationConfig.stopSequences"},
        {"{" HI ",\"generationConfig\":{\"responseMimeType\":\"application/json\"}}",
         DIALECT_OPENAI,
         {0},
         "{" HI ",\"generationConfig\":{\"responseMimeType\":\"application/json\"}}"},
        /* members of its own go back to where they were, and not to this dialect from another */
        {"{" HI ",\"generation_config\":{\"speech_config\":{\"a\":1}},\"safety_settings\":[{\"a\":1}],\"tool_"
         "config\":{"
         "\"retrieval_config\":{}},\"service_tier\":\"flex\",\"store\":true,\"system_instruction\":\"s\"}",
         DIALECT_GEMINI,
         {0},
         "{" HI ",\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"generationConfig\":{"
         "\"speechConfig\":{\"a\":1}},"
         "\"safetySettings\":[{\"a\":1}],\"toolConfig\":{\"retrievalConfig\":{}},\"serviceTier\":\"flex\","
         "\"store\":true}"},
        {"{" HI ",\"safetySettings\":[{\"a\":1}],\"store\":true}", DIALECT_OPENAI, {0}, "{" HI "}"},
/* thinking */
#define THINK(inside) "{" HI ",\"generationConfig\":{\"thinkingConfig\":{" inside "}}}"
        {THINK("\"thinkingLevel\":\"high\",\"includeThoughts\":true"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL},
         THINK("\"thinkingLevel\":\"high\",\"includeThoughts\":true")},
        {THINK("\"thinkingLevel\":\"max\""),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL},
         THINK("\"thinkingLevel\":\"high\"")},
        {THINK("\"thinkingLevel\":\"minimal\""),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL, .efforts = 1u << EFFORT_LOW | 1u << EFFORT_HIGH},
         THINK("\"thinkingLevel\":\"low\"")},
        {THINK("\"thinkingLevel\":\"medium\""),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL, .efforts = 1u << EFFORT_LOW | 1u << EFFORT_HIGH},
         THINK("\"thinkingLevel\":\"low\"")},
        {THINK("\"thinkingBudget\":0"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL},
         THINK("\"thinkingLevel\":\"minimal\"")},
        {THINK("\"thinkingBudget\":3000"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_LEVEL},
         THINK("\"thinkingLevel\":\"medium\"")},
        {THINK("\"thinkingLevel\":\"low\""),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET},
         THINK("\"thinkingBudget\":1024")},
        {THINK("\"thinkingLevel\":\"high\""),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET, .budget_max = 8192},
         THINK("\"thinkingBudget\":8192")},
        {THINK("\"thinkingBudget\":5"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET, .budget_min = 128},
         THINK("\"thinkingBudget\":128")},
        {THINK("\"thinkingBudget\":0,\"includeThoughts\":true"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET},
         THINK("\"thinkingBudget\":0")},
        {THINK("\"thinkingBudget\":0"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET, .off = THINKING_OFF_NEVER, .budget_min = 128},
         THINK("\"thinkingBudget\":128")},
        {THINK("\"thinkingBudget\":-1"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_BUDGET},
         THINK("\"thinkingBudget\":-1")},
        {THINK("\"thinkingLevel\":\"low\",\"includeThoughts\":true"),
         DIALECT_OPENAI,
         {.reasoning = REASONING_NONE},
         "{" HI "}"},
        {THINK("\"thinkingLevel\":\"low\""), DIALECT_OPENAI, {0}, THINK("\"thinkingLevel\":\"low\"")},
        {THINK("\"thinkingBudget\":77"), DIALECT_OPENAI, {0}, THINK("\"thinkingBudget\":77")},
/* tools */
#define TOOLS(functions) "\"tools\":[{\"functionDeclarations\":[" functions "]}]"
        {"{" HI
         "," TOOLS("{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"OBJECT\",\"properties\":"
                   "{\"a\":{"
                   "\"type\":\"STRING\"}}}},{\"name\":\"g\",\"parametersJsonSchema\":{\"type\":\"object\","
                   "\"properties\":{}}}") "}",
         DIALECT_OPENAI,
         {0},
         "{" HI "," TOOLS("{\"name\":\"f\",\"description\":\"d\",\"parametersJsonSchema\":{\"type\":"
                          "\"object\",\"properties\":{"
                          "\"a\":{\"type\":\"string\"}}}},{\"name\":\"g\"}") "}"},
        {"{" HI ",\"tools\":[{\"googleSearch\":{}},{\"functionDeclarations\":[{\"name\":\"f\"}]}]}",
         DIALECT_GEMINI,
         {0},
         "{" HI ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"}]},{\"googleSearch\":{}}]}"},
        {"{" HI "," TOOLS("{\"name\":\"1f\"}") "}",
         DIALECT_GEMINI,
         {0},
         "!tools[0].functionDeclarations[0].name"},
        {"{" HI "," TOOLS("{\"name\":\"a b\"}") "}",
         DIALECT_GEMINI,
         {0},
         "!tools[0].functionDeclarations[0].name"},
#define CHOICE(inside) "\"toolConfig\":{\"functionCallingConfig\":{" inside "}}"
#define F              TOOLS("{\"name\":\"f\"}")
        {"{" HI "," F "," CHOICE("\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]") "}",
         DIALECT_OPENAI,
         {0},
         "{" HI "," F "," CHOICE("\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]") "}"},
        {"{" HI "," F "," CHOICE("\"mode\":\"AUTO\",\"allowedFunctionNames\":[\"f\"]") "}",
         DIALECT_OPENAI,
         {0},
         "{" HI "," F "," CHOICE("\"mode\":\"VALIDATED\",\"allowedFunctionNames\":[\"f\"]") "}"},
        {"{" HI "," F "," CHOICE("\"mode\":\"ANY\"") "}",
         DIALECT_OPENAI,
         {0},
         "{" HI "," F "," CHOICE("\"mode\":\"ANY\"") "}"},
        {"{" HI "," F "," CHOICE("\"mode\":\"NONE\"") "}",
         DIALECT_OPENAI,
         {0},
         "{" HI "," F "," CHOICE("\"mode\":\"NONE\"") "}"},
        {"{" HI "," CHOICE("\"mode\":\"AUTO\"") "}", DIALECT_OPENAI, {0}, "{" HI "}"},
/* media */
#define PART(part) "{\"contents\":[{\"role\":\"user\",\"parts\":[" part "]}]}"
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}},{\"text\":\"x\"}"),
         DIALECT_OPENAI,
         {0},
         PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}},{\"text\":\"x\"}")},
        {PART("{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}}"),
         DIALECT_OPENAI,
         {0},
         PART("{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}}")},
        {PART("{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"AAAA\"}}"),
         DIALECT_GEMINI,
         {0},
         PART("{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"AAAA\"}}")},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://a/b\"}}"),
         DIALECT_GEMINI,
         {.image_urls = TRI_YES},
         PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://a/b\"}}")},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://a/b\"}}"),
         DIALECT_GEMINI,
         {0},
         "!contents[0].parts[0]"},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://a/b\"}}"),
         DIALECT_GEMINI,
         {0},
         PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://a/b\"}}")},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://a/b\"}}"),
         DIALECT_OPENAI,
         {0},
         "!contents[0].parts[0]"},
/* calls and results: in the order of the calls, in one turn, before what else the user says */
#define CALLS(first, second)                                                                                 \
        "{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[{"                 \
        "\"functionCall\":{\"id\":\"1\",\"name\":\"f\",\"args\":{\"a\":1}}" first                            \
        "},{\"functionCall\":{\"id\":\"2\",\"name\":"                                                        \
        "\"g\",\"args\":{}}" second "}]}"
#define SKIP ",\"thoughtSignature\":\"skip_thought_signature_validator\""
#define RESULT(id, name, response)                                                                           \
        "{\"functionResponse\":{\"id\":\"" id "\",\"name\":\"" name "\",\"response\":" response "}}"
        {"{\"contents\":[" CALLS("", "") ",{\"parts\":[{\"text\":\"and\"}," RESULT(
                 "2", "g", "{\"output\":\"x\"}") "]},{\"parts\":"
                                                 "[" RESULT("1", "f", "{\"error\":\"bad\"}") "]}]}",
         DIALECT_ANTHROPIC,
         {.signatures = TRI_YES},
         "{\"contents\":[" CALLS(SKIP, "") ",{\"role\":\"user\",\"parts\":[" RESULT(
                 "1", "f",
                 "{\"error\":\"bad\"}") "," RESULT("2", "g",
                                                   "{\"output\":\"x\"}") "]},{\"role\":\"user\",\"parts\":[{"
                                                                         "\"text\":\"and\"}]}]}"},
        {"{\"contents\":[" CALLS("", "") "]}", DIALECT_ANTHROPIC, {0}, "{\"contents\":[" CALLS("", "") "]}"},
        {"{\"contents\":[" CALLS(",\"thoughtSignature\":\"c2ln\"", "") "]}",
         DIALECT_GEMINI,
         {.signatures = TRI_YES},
         "{\"contents\":[" CALLS(",\"thoughtSignature\":\"c2ln\"", "") "]}"},
        {"{\"contents\":[" CALLS(",\"thoughtSignature\":\"c2ln\"", "") "]}",
         DIALECT_GEMINI,
         {.signatures = TRI_NO},
         "{\"contents\":[" CALLS("", "") "]}"},
        {"{\"contents\":[" CALLS("", "") ",{\"parts\":[" RESULT("1", "f", "{\"a\":[1,2]}") "," RESULT(
                 "2", "g",
                 "{\"output\":"
                 "\"{\\\"error\\\":1}\"}") "]}]}",
         DIALECT_OPENAI,
         {0},
         "{\"contents\":[" CALLS("", "") ",{\"role\":\"user\",\"parts\":[" RESULT(
                 "1", "f", "{\"a\":[1,2]}") "," RESULT("2", "g",
                                                       "{\"output\":\"{\\\"error\\\":1}\"}") "]}]}"},
        /* images of results: within, or after all of them */
        {"{\"contents\":[" CALLS("", "") ",{\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
                                         "\"response\":{\"output\":"
                                         "\"x\"},\"parts\":[{\"inlineData\":{\"mimeType\":\"image/"
                                         "png\",\"data\":\"AAAA\"}}]}}," RESULT("2", "g",
                                                                                "{\"output\":"
                                                                                "\"y\"}") "]}]}",
         DIALECT_OPENAI,
         {.tool_result_images = TRI_YES},
         "{\"contents\":[" CALLS(
                 "", "") ",{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
                         "\"response\":{\"output\":\"x\"},\"parts\":[{\"inlineData\":{\"mimeType\":\"image/"
                         "png\",\"data\":\"AAAA\"}}]}}," RESULT("2", "g", "{\"output\":\"y\"}") "]}]}"},
        {"{\"contents\":[" CALLS("", "") ",{\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
                                         "\"response\":{\"output\":"
                                         "\"x\"},\"parts\":[{\"inlineData\":{\"mimeType\":\"image/"
                                         "png\",\"data\":\"AAAA\"}}]}}," RESULT("2", "g",
                                                                                "{\"output\":"
                                                                                "\"y\"}") "]}]}",
         DIALECT_OPENAI,
         {0},
         "{\"contents\":[" CALLS("", "") ",{\"role\":\"user\",\"parts\":[" RESULT(
                 "1", "f",
                 "{\"output\":\"x\"}") "," RESULT("2", "g",
                                                  "{\"output\":\"y\"}") ",{\"inlineData\":{\"mimeType\":"
                                                                        "\"image/"
                                                                        "png\",\"data\":\"AAAA\"}}]}]}"},
        /* thoughts: only with its own signature; text keeps its own */
        {"{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[{\"text\":"
         "\"unsigned\",\"thought\":true},{"
         "\"text\":\"t\",\"thought\":true,\"thoughtSignature\":\"MQ==\"},{\"text\":\"a\"},{\"text\":\"\","
         "\"thoughtSignature\":"
         "\"Mg==\"}]}]}",
         DIALECT_GEMINI,
         {0},
         "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[{"
         "\"text\":\"t\","
         "\"thought\":true,\"thoughtSignature\":\"MQ==\"},{\"text\":\"a\"},{\"text\":\"\","
         "\"thoughtSignature\":\"Mg==\"}]}]}"},
};

static void encode(struct arena *a, const struct chat_request *r, const struct model_caps *caps,
                   struct err *err, struct wire_request *w)
{
        struct wire_target target = {.model = "m", .caps = *caps};
        *w = (struct wire_request){0};
        buf_init(&w->body, 1 << 20);
        dialect_gemini.encode_chat_request(a, r, &target, w, err);
}

static void test_cases(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const struct encode_case *c = &cases[i];
                struct arena *a = arena_new();
                struct client_input in = {
                        .arena = a, .body = str_of(c->body), .path_model = "x", .query = &no_query};
                struct chat_request r = {0};
                struct err err = {0};
                struct wire_request w;
                if (!dialect_gemini.decode_chat_request(&in, &r, &err))
                        fail_msg("%zu: %s", i, err.message);
                r.from = c->from;
                encode(a, &r, &c->caps, &err, &w);
                if (*c->expected == '!') {
                        assert_int_equal(err.cause, ERR_UNSUPPORTED);
                        assert_string_equal(err.param, c->expected + 1);
                } else {
                        if (err.cause)
                                fail_msg("%zu: %s", i, err.message);
                        if (!dump_json_equal(w.body.data, c->expected))
                                fail_msg("case %zu", i);
                        assert_string_equal(w.path, "/v1beta/models/m:generateContent");
                        assert_string_equal(w.method, "POST");
                }
                buf_release(&w.body);
                arena_free(a);
        }
}

static struct chat_block *say(struct arena *a, struct chat_request *r, enum chat_role role,
                              enum chat_block_type type, const char *text)
{
        struct chat_block *b = chat_add_block(a, chat_add_message(a, r, role), type);
        b->text = str_of(text);
        b->path = "messages[0]";
        return b;
}

static void expect(struct arena *a, const struct chat_request *r, const char *expected)
{
        struct err err = {0};
        struct wire_request w;
        encode(a, r, &(struct model_caps){0}, &err, &w);
        if (*expected == '!') {
                assert_int_not_equal(err.cause, ERR_NONE);
                assert_string_equal(err.param, expected + 1);
        } else {
                assert_int_equal(err.cause, ERR_NONE);
                assert_true(dump_json_equal(w.body.data, expected));
        }
        buf_release(&w.body);
}

/* What this dialect can't write itself. */
static void test_foreign(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.from = DIALECT_OPENAI};
        say(a, &r, CHAT_SYSTEM, BLOCK_TEXT, "s");
        say(a, &r, CHAT_DEVELOPER, BLOCK_TEXT, "d");
        say(a, &r, CHAT_USER, BLOCK_TEXT, "u");
        struct chat_block *thought = say(a, &r, CHAT_ASSISTANT, BLOCK_THINKING, "t");
        thought->signature = str_of("sig");
        thought->signature_from = DIALECT_ANTHROPIC;
        say(a, &r, CHAT_ASSISTANT, BLOCK_REFUSAL, "no");
        say(a, &r, CHAT_DEVELOPER, BLOCK_TEXT, "late");
        r.seed = (struct opt_int){true, INT64_C(1) << 40};
        expect(a, &r,
               "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"},{\"text\":\"d\"}]},\"contents\":[{"
               "\"role\":\"user\",\"parts\":"
               "[{\"text\":\"u\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"no\"}]},{\"role\":\"user\","
               "\"parts\":[{\"text\":"
               "\"<system>\\nlate\\n</system>\"}]}],\"generationConfig\":{\"seed\":256}}");

        r = (struct chat_request){.from = DIALECT_OPENAI};
        say(a, &r, CHAT_SYSTEM, BLOCK_TEXT, "alone");
        expect(a, &r, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"alone\"}]}]}");

        r = (struct chat_request){.from = DIALECT_OPENAI};
        say(a, &r, CHAT_USER, BLOCK_TOOL_RESULT, NULL)->id = "nobody";
        expect(a, &r, "!messages[0]");

        r = (struct chat_request){.from = DIALECT_ANTHROPIC};
        say(a, &r, CHAT_USER, BLOCK_OTHER, NULL)->raw_dialect = DIALECT_ANTHROPIC;
        expect(a, &r, "!messages[0]");

        r = (struct chat_request){.from = DIALECT_OPENAI};
        say(a, &r, CHAT_USER, BLOCK_TEXT, "u");
        struct chat_block *call = say(a, &r, CHAT_ASSISTANT, BLOCK_TOOL_CALL, NULL);
        call->id = "c";
        call->name = "f";
        call->arguments_text = str_of("{broken");
        say(a, &r, CHAT_USER, BLOCK_TOOL_RESULT, NULL)->id = "c";
        expect(a, &r,
               "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"u\"}]},{\"role\":\"model\","
               "\"parts\":[{\"functionCall\":{"
               "\"id\":\"c\",\"name\":\"f\",\"args\":{\"arguments\":\"{broken\"}}}]},{\"role\":\"user\","
               "\"parts\":[{"
               "\"functionResponse\":{\"id\":\"c\",\"name\":\"f\",\"response\":{\"output\":\"\"}}}]}]}");

        r = (struct chat_request){.from = DIALECT_OPENAI};
        struct chat_block *document = say(a, &r, CHAT_USER, BLOCK_DOCUMENT, NULL);
        document->source = (struct chat_source){.kind = SOURCE_TEXT, .data = str_of("body")};
        document->title = "T";
        struct chat_block *image = say(a, &r, CHAT_USER, BLOCK_IMAGE, NULL);
        image->source = (struct chat_source){.kind = SOURCE_BASE64, .data = str_of("/9j/AAAA")};
        expect(a, &r,
               "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"T\\n\\nbody\"},{\"inlineData\":{"
               "\"mimeType\":"
               "\"image/jpeg\",\"data\":\"/9j/AAAA\"}}]}]}");
        r.logit_bias = json_object_new_object();
        expect(a, &r, "!logit_bias");
        json_object_put(r.logit_bias);
        arena_free(a);
}

static const struct path_case {
        const char *model, *path;
} paths[] = {
        {"gemini-3.5-flash", "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"},
        {"models/gemini-3.5-flash", "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"},
        {"tunedModels/a/b", "/v1beta/tunedModels/a%2Fb:streamGenerateContent?alt=sse"},
        {"../x?y#z:w a", "/v1beta/models/..%2Fx%3Fy%23z%3Aw%20a:streamGenerateContent?alt=sse"},
};

static void test_paths(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
                struct wire_target t = {.model = paths[i].model};
                struct chat_request r = {.stream = true};
                struct wire_request w = {0};
                dialect_gemini.address_chat_request(a, &r, &t, &w);
                assert_string_equal(w.path, paths[i].path);
        }
        arena_free(a);
}

static void test_embed(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct embed_request r = {
                .from = DIALECT_OPENAI, .dimensions = {true, 256}, .task_type = "CLUSTERING"};
        struct wire_target t = {.model = "gemini-embedding-001"};
        struct wire_request w = {0};
        struct err err = {0};
        embed_add_input(a, &r)->text = str_of("a");
        embed_add_input(a, &r)->text = str_of("b");
        buf_init(&w.body, 4096);
        assert_true(dialect_gemini.encode_embed_request(a, &r, &t, &w, &err));
        assert_string_equal(w.path, "/v1beta/models/gemini-embedding-001:batchEmbedContents");
        assert_true(dump_json_equal(w.body.data,
                                    "{\"requests\":[{\"model\":\"models/"
                                    "gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
                                    "\"taskType\":\"CLUSTERING\",\"outputDimensionality\":256},{\"model\":"
                                    "\"models/gemini-embedding-001\","
                                    "\"content\":{\"parts\":[{\"text\":\"b\"}]},\"taskType\":\"CLUSTERING\","
                                    "\"outputDimensionality\":256}]}"));
        static const int64_t tokens[] = {1, 2};
        struct embed_input *i = embed_add_input(a, &r);
        i->tokens = tokens;
        i->token_count = 2;
        i->path = "input[2]";
        buf_reset(&w.body);
        assert_false(dialect_gemini.encode_embed_request(a, &r, &t, &w, &err));
        assert_string_equal(err.param, "input[2]");
        buf_reset(&w.body);
        w.body.max = 10;
        err = (struct err){0};
        r.inputs->next->next = NULL;
        assert_false(dialect_gemini.encode_embed_request(a, &r, &t, &w, &err));
        assert_int_equal(err.cause, ERR_TOO_LARGE);
        buf_release(&w.body);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cases),
                cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_embed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
