/* dialect/anthropic: requests of clients, and requests to the provider. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/carry.h"
#include "dialect/dialect.h"

#define HEAD "{\"model\":\"m\",\"max_tokens\":100,"
#define HI   "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static bool decode(struct arena *a, const char *body, const char *version, struct chat_request *r,
                   struct err *err)
{
        static const struct form_fields no_query;
        struct client_input in = {
                .arena = a, .body = str_of(body), .api_version = version, .query = &no_query};
        *err = (struct err){0};
        return dialect_anthropic.decode_chat_request(&in, r, err);
}

static bool same_json(const char *got, const char *want)
{
        json_object *g = json_tokener_parse(got), *w = json_tokener_parse(want);
        bool same = g && w && json_object_equal(g, w);
        json_object_put(g);
        json_object_put(w);
        return same;
}

/* ---- bad requests name what is wrong ---- */

static void bad_requests(void **state)
{
        (void)state;
        static const struct {
                const char *body, *param, *says;
                const char *version;
        } cases[] = {
                {"[]", NULL, "expected an object", NULL},
                {"{", NULL, "line 1", NULL},
                {"{\"max_tokens\":1," HI "}", "model", "", NULL},
                {"{\"model\":\"m\"," HI "}", "max_tokens", "Field required", NULL},
                {"{\"model\":\"m\",\"max_tokens\":-1," HI "}", "max_tokens", "between", NULL},
                {"{\"model\":\"m\",\"max_tokens\":\"9\"," HI "}", "max_tokens", "integer", NULL},
                {"{\"model\":\"m\",\"model\":\"n\",\"max_tokens\":1," HI "}", NULL, "duplicate key", NULL},
                {HEAD "\"messages\":[]}", "messages", "at least one", NULL},
                {HEAD "\"messages\":{}}", "messages", "array", NULL},
                {HEAD "\"messages\":[3]}", "messages[0]", "expected an object", NULL},
                {HEAD "\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].role",
                 "must be one of", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\"}]}", "messages[0].content", "Field required", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content",
                 "a string or a list", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
                 "messages[0].content[0].type", "", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
                 "messages[0].content[0].text", "Field required", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{"
                      "\"type\":\"base64\","
                      "\"media_type\":\"image/png\",\"data\":\"%%\"}}]}]}",
                 "messages[0].content[0].source.data", "base64", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{"
                      "\"type\":\"url\","
                      "\"url\":\"file:///etc/passwd\"}}]}]}",
                 "messages[0].content[0].source.url", "http", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
                      "\"name\":\"b\","
                      "\"input\":{}}]}]}",
                 "messages[0].content[0]", "assistant", NULL},
                {HEAD "\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
                      "\"a\",\"name\":\"b\","
                      "\"input\":\"{}\"}]}]}",
                 "messages[0].content[0].input", "object", NULL},
                {HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_"
                      "id\":\"a\","
                      "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}]}]}",
                 "messages[0].content[0].content[0].type", "inside", NULL},
                {HEAD HI ",\"system\":[{\"type\":\"image\"}]}", "system[0].type", "only text", NULL},
                {HEAD HI ",\"temperature\":1.5}", "temperature", "between", NULL},
                {HEAD HI ",\"Model\":\"dear\"}", "Model", "Extra inputs are not permitted", "2023-06-01"},
                {HEAD HI ",\"temperature\":1}", "temperature", "Extra inputs are not permitted",
                 "2026-10-21"},
                {HEAD HI ",\"top_p\":null}", "top_p", "Extra inputs are not permitted", "2026-10-21"},
                {HEAD HI ",\"top_k\":5}", "top_k", "Extra inputs are not permitted", "2027-01-01"},
                {HEAD HI ",\"tools\":[{\"name\":\"x\"}]}", "tools[0].input_schema", "", NULL},
                {HEAD HI ",\"tools\":[{\"input_schema\":{}}]}", "tools[0].name", "", NULL},
                {HEAD HI ",\"tool_choice\":{\"type\":\"required\"}}", "tool_choice.type", "must be one of",
                 NULL},
                {HEAD HI ",\"tool_choice\":{\"type\":\"tool\"}}", "tool_choice.name", "", NULL},
                {HEAD HI ",\"thinking\":{\"type\":\"on\"}}", "thinking.type", "must be one of", NULL},
                {HEAD HI ",\"thinking\":{\"type\":\"enabled\"}}", "thinking.budget_tokens", "Field required",
                 NULL},
                {HEAD HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5}}",
                 "thinking.budget_tokens", "", NULL},
                {HEAD HI ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
                 "thinking.budget_tokens", "less than max_tokens", NULL},
                {HEAD HI ",\"output_config\":{\"effort\":\"none\"}}", "output_config.effort",
                 "must be one of", NULL},
                {HEAD HI ",\"output_config\":{\"format\":{\"type\":\"text\"}}}", "output_config.format.type",
                 "json_schema", NULL},
                {HEAD HI
                 ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{}},\"output_config\":{\"format\":"
                 "{\"type\":\"json_schema\",\"schema\":{}}}}",
                 "output_config.format", "given twice", NULL},
                {HEAD HI ",\"stop_sequences\":[1]}", "stop_sequences[0]", "string", NULL},
                {HEAD HI ",\"metadata\":{\"user_id\":5}}", "metadata.user_id", "string", NULL},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct chat_request r;
                struct err err;
                if (decode(a, cases[i].body, cases[i].version, &r, &err))
                        fail_msg("taken: %s", cases[i].body);
                assert_int_equal(err.cause, ERR_BAD_REQUEST);
                if (cases[i].param && (!err.param || strcmp(err.param, cases[i].param) != 0))
                        fail_msg("%s: %s, not %s", cases[i].body, err.param ? err.param : "-",
                                 cases[i].param);
                if (!strstr(err.message, cases[i].says))
                        fail_msg("%s: says %s", cases[i].body, err.message);
                arena_free(a);
        }
}

/* ---- from a client's body to the provider's ---- */

static const struct model_caps budget_model = {.reasoning = REASONING_BUDGET, .max_output = 64000};
static const struct model_caps adaptive_model = {.reasoning = REASONING_ADAPTIVE,
                                                 .max_output = 128000,
                                                 .sampling = SAMPLING_NO,
                                                 .mid_system = TRI_YES,
                                                 .efforts = 1u << EFFORT_LOW | 1u << EFFORT_MEDIUM |
                                                            1u << EFFORT_HIGH};
static const struct model_caps tool_model = {.structured = STRUCTURED_FORCED_TOOL};
static const struct model_caps plain_model;

static const struct {
        const char *name, *in, *out;
        const struct model_caps *caps;
} trips[] = {
        {"plain text", HEAD HI "}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}",
         &plain_model},
        {"system as a string, cached blocks, sampling, stops, hints",
         HEAD HI ",\"system\":\"be "
                 "brief\",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":3,\"stop_sequences\":[\"a\",\" "
                 "\\n\",\"b\"],\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"auto\",\"stream\":true,"
                 "\"inference_geo\":\"eu\",\"cache_control\":{\"type\":\"ephemeral\"}}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
              "\"system\":\"be "
              "brief\",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":3,\"stop_sequences\":[\"a\",\"b\"],"
              "\"metadata\":{"
              "\"user_id\":\"u\"},\"service_tier\":\"auto\",\"stream\":true,\"inference_geo\":\"eu\",\"cache_"
              "control\":{"
              "\"type\":\"ephemeral\"}}",
         &plain_model},
        {"system blocks",
         HEAD HI ",\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"\"},{"
                 "\"type\":\"text\","
                 "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
              "\"system\":[{\"type\":"
              "\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{\"type\":"
              "\"ephemeral\","
              "\"ttl\":\"1h\"}}]}",
         &plain_model},
        {"system in mid-conversation, where the model has it",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"b\"}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":"
              "\"system\","
              "\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}]}",
         &adaptive_model},
        {"system in mid-conversation, where it has not",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"b\"}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
              "\"text\",\"text\":"
              "\"<system>\\nb\\n</system>\"}]}]}",
         &plain_model},
        {"tools round: results first, ids and errors kept, empty text gone",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{"
              "\"type\":\"text\","
              "\"text\":\"\"},{\"type\":\"tool_use\",\"id\":\"call.1\",\"name\":\"f\",\"input\":{\"x\":1},"
              "\"caller\":{"
              "\"type\":\"direct\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"and\"},{"
              "\"type\":"
              "\"tool_result\",\"tool_use_id\":\"call.1\",\"is_error\":true,\"content\":\"bad\"}]}],"
              "\"tools\":[{\"name\":"
              "\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"},\"strict\":true,\"defer_"
              "loading\":true},"
              "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_choice\":{\"type\":\"any\","
              "\"disable_parallel_tool_use\":true}}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]},{\"role\":"
              "\"assistant\","
              "\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_call_1_958ca8995d7ef1bc\",\"name\":\"f\","
              "\"input\":{"
              "\"x\":1},\"caller\":{\"type\":\"direct\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_"
              "result\","
              "\"tool_use_id\":\"toolu_call_1_958ca8995d7ef1bc\",\"content\":[{\"type\":\"text\",\"text\":"
              "\"bad\"}],"
              "\"is_error\":true},{\"type\":\"text\",\"text\":\"and\"}]}],\"tools\":[{\"name\":\"f\","
              "\"description\":\"d\","
              "\"input_schema\":{\"type\":\"object\"},\"strict\":true,\"defer_loading\":true},{\"type\":"
              "\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_choice\":{\"type\":\"any\","
              "\"disable_parallel_tool_use\":true}}",
         &plain_model},
        {"images, documents, server blocks",
         HEAD
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
         "\"media_type\":\"image/"
         "png\",\"data\":\"aGk=\"},\"transformations\":{\"oversized_image\":\"error\"}},{"
         "\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/"
         "y.png\"}},{\"type\":\"image\",\"source\":{"
         "\"type\":\"file\",\"file_id\":\"f1\"}},{\"type\":\"document\",\"source\":{\"type\":\"base64\","
         "\"media_type\":"
         "\"application/pdf\",\"data\":\"aGk=\"},\"title\":\"t\",\"citations\":{\"enabled\":true}},{\"type\":"
         "\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
         "plain\",\"data\":\"d\"}},{\"type\":"
         "\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"text\",\"text\":\"p\"},{"
         "\"type\":"
         "\"text\",\"text\":\"q\"}]}},{\"type\":\"container_upload\",\"file_id\":\"f2\"}]}]}",
         HEAD
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
         "\"media_type\":\"image/"
         "png\",\"data\":\"aGk=\"},\"transformations\":{\"oversized_image\":\"error\"}},{"
         "\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/"
         "y.png\"}},{\"type\":\"image\",\"source\":{"
         "\"type\":\"file\",\"file_id\":\"f1\"}},{\"type\":\"document\",\"source\":{\"type\":\"base64\","
         "\"media_type\":"
         "\"application/pdf\",\"data\":\"aGk=\"},\"title\":\"t\",\"citations\":{\"enabled\":true}},{\"type\":"
         "\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
         "plain\",\"data\":\"d\"}},{\"type\":"
         "\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
         "plain\",\"data\":\"p\\n\\nq\"}},{\"type\":"
         "\"container_upload\",\"file_id\":\"f2\"}]}]}",
         &plain_model},
        {"thoughts go back as they came, also redacted ones; unsigned ones do not",
         HEAD
         "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"thinking\",\"thinking\":\"\\u00e9 \\/ "
         "\",\"signature\":\"c2ln\"},{\"type\":\"redacted_thinking\",\"data\":"
         "\"ZGF0YQ\"},{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"\"},{\"type\":\"text\","
         "\"text\":\"a\"}]}"
         ",{\"role\":\"user\",\"content\":\"r\"}]}",
         HEAD
         "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]},{\"role\":"
         "\"assistant\","
         "\"content\":[{\"type\":\"thinking\",\"thinking\":\"\\u00e9 / \",\"signature\":\"c2ln\"},{\"type\":"
         "\"redacted_thinking\",\"data\":\"ZGF0YQ\"},{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"user\","
         "\"content\":[{\"type\":\"text\",\"text\":\"r\"}]}]}",
         &plain_model},
        {"prefill loses its trailing space",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a "
              "\\n\"}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"q\"}]},{\"role\":"
              "\"assistant\","
              "\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}]}",
         &plain_model},
        {"a budget becomes an effort where the model thinks adaptively; sampling goes",
         "{\"model\":\"m\",\"max_tokens\":9000," HI
         ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096},"
         "\"temperature\":1}",
         "{\"model\":\"m\",\"max_tokens\":9000,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":"
         "\"hi\"}]}],\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"output_config\":{"
         "\"effort\":"
         "\"medium\"}}",
         &adaptive_model},
        {"effort alone stays effort alone; a schema; a beta member",
         HEAD HI
         ",\"output_config\":{\"effort\":\"max\",\"task_budget\":{\"type\":\"tokens\",\"total\":5},"
         "\"format\":{"
         "\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"additionalProperties\":false}}}}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],\"output_"
              "config\":{"
              "\"effort\":\"high\",\"task_budget\":{\"type\":\"tokens\",\"total\":5},\"format\":{\"type\":"
              "\"json_schema\","
              "\"schema\":{\"type\":\"object\",\"additionalProperties\":false}}}}",
         &adaptive_model},
        {"adaptive becomes a budget; max_tokens holds both",
         HEAD HI ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}}",
         "{\"model\":\"m\",\"max_tokens\":1124,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":"
         "\"hi\"}]}],\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
         &budget_model},
        {"no thinking in a tool loop that began without it",
         "{\"model\":\"m\",\"max_tokens\":9000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
         "\"messages\":[{"
         "\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
         "\"id\":\"t\","
         "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_"
         "use_id\":\"t\"}]}"
         "]}",
         "{\"model\":\"m\",\"max_tokens\":9000,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":"
         "\"q\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
         "\"input\":{}}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]}]}",
         &budget_model},
        {"a schema by a forced tool",
         HEAD HI
         ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],"
              "\"tools\":[{\"name\":"
              "\"tollgate_answer\",\"description\":\"Gives the answer. Call it once, with all of "
              "it.\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":"
              "\"tollgate_answer\"}}",
         &tool_model},
};

static void from_client_to_provider(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof trips / sizeof *trips; i++) {
                struct arena *a = arena_new();
                struct chat_request r;
                struct err err;
                struct wire_target target = {.model = "m", .caps = *trips[i].caps};
                struct wire_request wire = {0};
                buf_init(&wire.body, 1 << 20);
                if (!decode(a, trips[i].in, "2023-06-01", &r, &err))
                        fail_msg("%s: %s", trips[i].name, err.message);
                if (!dialect_anthropic.encode_chat_request(a, &r, &target, &wire, &err))
                        fail_msg("%s: %s", trips[i].name, err.message);
                if (!same_json(wire.body.data, trips[i].out))
                        fail_msg("%s:\n%s\nnot\n%s", trips[i].name, wire.body.data, trips[i].out);
                assert_string_equal(wire.path, "/v1/messages");
                assert_string_equal(wire.method, "POST");
                buf_release(&wire.body);
                arena_free(a);
        }
}

/* ---- canonical requests of other dialects ---- */

struct built {
        struct arena *arena;
        struct chat_request request;
        struct chat_message *message;
};

static struct chat_block *add(struct built *b, enum chat_role role, enum chat_block_type type,
                              const char *text)
{
        if (!b->message || b->message->role != role)
                b->message = chat_add_message(b->arena, &b->request, role);
        struct chat_block *block = chat_add_block(b->arena, b->message, type);
        block->text = str_of(text);
        return block;
}

static char *encode(struct built *b, const struct model_caps *caps, struct err *err)
{
        struct wire_target target = {.model = "m", .caps = *caps};
        struct wire_request wire = {0};
        *err = (struct err){0};
        buf_init(&wire.body, 1 << 20);
        char *body = NULL;
        if (dialect_anthropic.encode_chat_request(b->arena, &b->request, &target, &wire, err))
                body = arena_strdup(b->arena, wire.body.data);
        buf_release(&wire.body);
        return body;
}

static struct built start(void)
{
        struct built b = {.arena = arena_new(), .request = {.from = DIALECT_OPENAI, .model = "m"}};
        return b;
}

static json_object *member(json_object *root, const char *key)
{
        json_object *out = NULL;
        json_object_object_get_ex(root, key, &out);
        return out;
}

static void efforts_of_other_dialects(void **state)
{
        (void)state;
        static const struct model_caps off_disabled = {.reasoning = REASONING_ADAPTIVE,
                                                       .off = THINKING_OFF_DISABLED},
                                       off_never = {.reasoning = REASONING_ADAPTIVE,
                                                    .off = THINKING_OFF_NEVER},
                                       off_between = {.reasoning = REASONING_ADAPTIVE,
                                                      .off = THINKING_OFF_BETWEEN_TOOLS},
                                       off_omit = {.reasoning = REASONING_ADAPTIVE, .off = THINKING_OFF_OMIT},
                                       none = {.reasoning = REASONING_NONE};
        static const struct {
                enum effort effort;
                const struct model_caps *caps;
                const char *thinking, *config;
                int64_t max_tokens;
        } cases[] = {
                {EFFORT_NONE, &off_disabled, "{\"type\":\"disabled\"}", NULL, 4096},
                {EFFORT_NONE, &off_never, NULL, "{\"effort\":\"low\"}", 4096},
                {EFFORT_NONE, &off_between, "{\"type\":\"between_tools\"}", NULL, 4096},
                {EFFORT_NONE, &off_omit, NULL, NULL, 4096},
                {EFFORT_NONE, &budget_model, NULL, NULL, 64000},
                {EFFORT_UNSET, &off_disabled, NULL, NULL, 4096},
                {EFFORT_HIGH, &none, NULL, NULL, 4096},
                {EFFORT_MINIMAL, &off_never, "{\"type\":\"adaptive\"}", "{\"effort\":\"low\"}", 4096},
                {EFFORT_XHIGH, &adaptive_model, "{\"type\":\"adaptive\"}", "{\"effort\":\"high\"}", 128000},
                {EFFORT_LOW, &budget_model, "{\"type\":\"enabled\",\"budget_tokens\":1024}", NULL, 64000},
                {EFFORT_MEDIUM, &budget_model, "{\"type\":\"enabled\",\"budget_tokens\":4096}", NULL, 64000},
                {EFFORT_HIGH, &budget_model, "{\"type\":\"enabled\",\"budget_tokens\":16384}", NULL, 64000},
                {EFFORT_MAX, &budget_model, "{\"type\":\"enabled\",\"budget_tokens\":32768}", NULL, 64000},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct built b = start();
                struct err err;
                add(&b, CHAT_USER, BLOCK_TEXT, "hi");
                b.request.reasoning.effort = cases[i].effort;
                json_object *root = json_tokener_parse(encode(&b, cases[i].caps, &err));
                json_object *thinking = member(root, "thinking"), *config = member(root, "output_config");
                const char *t = thinking ? json_object_to_json_string_ext(thinking, 0) : NULL;
                const char *c = config ? json_object_to_json_string_ext(config, 0) : NULL;
                if (!!t != !!cases[i].thinking || (t && !same_json(t, cases[i].thinking)))
                        fail_msg("case %zu: thinking %s", i, t ? t : "-");
                if (!!c != !!cases[i].config || (c && !same_json(c, cases[i].config)))
                        fail_msg("case %zu: output_config %s", i, c ? c : "-");
                assert_int_equal(json_object_get_int64(member(root, "max_tokens")), cases[i].max_tokens);
                json_object_put(root);
                arena_free(b.arena);
        }
}

static void budget_stays_below_max_tokens(void **state)
{
        (void)state;
        static const struct {
                int64_t max_tokens, budget, becomes;
        } cases[] = {{20000, 16384, 20000}, {5000, 4999, 5000}, {1000, 1024, 2024}, {1024, 1024, 2048}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct built b = start();
                struct err err;
                add(&b, CHAT_USER, BLOCK_TEXT, "hi");
                b.request.reasoning.effort = EFFORT_HIGH;
                b.request.max_tokens = (struct opt_int){true, cases[i].max_tokens};
                b.request.temperature = (struct opt_number){true, 0.3};
                json_object *root = json_tokener_parse(encode(&b, &budget_model, &err));
                assert_int_equal(json_object_get_int64(member(member(root, "thinking"), "budget_tokens")),
                                 cases[i].budget);
                assert_int_equal(json_object_get_int64(member(root, "max_tokens")), cases[i].becomes);
                assert_null(member(root, "temperature"));
                json_object_put(root);
                arena_free(b.arena);
        }
}

static void conversation_of_another_dialect(void **state)
{
        (void)state;
        struct built b = start();
        struct err err;
        add(&b, CHAT_SYSTEM, BLOCK_TEXT, "s1");
        add(&b, CHAT_DEVELOPER, BLOCK_TEXT, "s2");
        add(&b, CHAT_USER, BLOCK_TEXT, "q");
        add(&b, CHAT_ASSISTANT, BLOCK_THINKING, "theirs")->signature = str_of("gem");
        b.message->last_block->signature_from = DIALECT_GEMINI;
        struct chat_block *one = add(&b, CHAT_ASSISTANT, BLOCK_TOOL_CALL, NULL);
        one->id = "call_1";
        one->name = "ns.f";
        one->arguments_text = str_of("{\"a\": 1}");
        struct chat_block *two = add(&b, CHAT_ASSISTANT, BLOCK_TOOL_CALL, NULL);
        two->id = "call_2";
        two->name = "g";
        two->arguments_text = str_of("{broken");
        struct chat_message *results = chat_add_message(b.arena, &b.request, CHAT_USER);
        chat_add_block(b.arena, results, BLOCK_TOOL_RESULT)->id = "call_1";
        results = chat_add_message(b.arena, &b.request, CHAT_USER);
        chat_add_block(b.arena, results, BLOCK_TOOL_RESULT)->id = "call_2";
        struct chat_tool *tool = chat_add_tool(b.arena, &b.request);
        tool->name = "ns.f";
        b.request.temperature = (struct opt_number){true, 1.7};
        b.request.tool_choice = TOOL_CHOICE_NAMED;
        b.request.tool_choice_name = "ns.f";
        b.request.response_format = FORMAT_JSON_OBJECT;
        const char *got = encode(&b, &plain_model, &err);
        static const char want[] =
                "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\",\"text\":\"s1\"},{"
                "\"type\":\"text\","
                "\"text\":\"s2\"},{\"type\":\"text\",\"text\":\"Answer with one valid JSON object and "
                "nothing else: no "
                "explanation and no code "
                "fence.\"}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                "\"text\":\"q\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"call_"
                "1\",\"name\":"
                "\"tg--ns-2ef\",\"input\":{\"a\":1}},{\"type\":\"tool_use\",\"id\":\"call_2\",\"name\":\"g\","
                "\"input\":{"
                "\"arguments\":\"{broken\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                "\"tool_use_id\":"
                "\"call_1\"},{\"type\":\"tool_result\",\"tool_use_id\":\"call_2\"}]}],\"tools\":[{\"name\":"
                "\"tg--ns-2ef\","
                "\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":"
                "\"tool\",\"name\":"
                "\"tg--ns-2ef\"},\"temperature\":1}";
        if (!got || !same_json(got, want))
                fail_msg("%s\nnot\n%s", got ? got : err.message, want);
        arena_free(b.arena);
}

static void expect(struct built *b, const struct model_caps *caps, const char *want)
{
        struct err err;
        const char *got = encode(b, caps, &err);
        if (!got || !same_json(got, want))
                fail_msg("%s\nnot\n%s", got ? got : err.message, want);
        arena_free(b->arena);
}

static void the_vendors_habits(void **state)
{
        (void)state;
        /* The assistant speaks first, and called a tool that is no longer offered. */
        struct built b = start();
        struct chat_block *call = add(&b, CHAT_ASSISTANT, BLOCK_TOOL_CALL, NULL);
        call->id = "t1";
        call->name = "f";
        add(&b, CHAT_USER, BLOCK_TOOL_RESULT, NULL)->id = "t1";
        expect(&b, &plain_model,
               "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
               "\"text\","
               "\"text\":\"(The conversation "
               "begins.)\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
               "\"id\":\"t1\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
               "\"tool_result\",\"tool_use_id\":\"t1\"}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{"
               "\"type\":"
               "\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":\"none\"}}");
        /* A schema with rules that the vendor does not take. */
        struct built s = start();
        struct err err = {0};
        static const char schema[] = "{\"type\":\"object\",\"properties\":{\"minimum\":{\"type\":\"integer\","
                                     "\"minimum\":1,\"maximum\":9,"
                                     "\"description\":\"n\"},\"l\":{\"type\":\"array\",\"minItems\":1,"
                                     "\"maxItems\":3,\"items\":{\"type\":["
                                     "\"object\",\"null\"],\"additionalProperties\":true,\"properties\":{}}}}"
                                     ",\"required\":[\"minimum\"]}";
        add(&s, CHAT_USER, BLOCK_TEXT, "q");
        s.request.response_format = FORMAT_JSON_SCHEMA;
        s.request.schema = json_parse(s.arena, schema, sizeof schema - 1, JSON_FROM_CLIENT, &err);
        expect(&s, &plain_model,
               "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
               "\"text\","
               "\"text\":\"q\"}]}],\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{"
               "\"type\":"
               "\"object\",\"properties\":{\"minimum\":{\"type\":\"integer\",\"description\":\"n\\n\\n{"
               "minimum: 1, "
               "maximum: "
               "9}\"},\"l\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":[\"object\",\"null\"],"
               "\"properties\":{},\"additionalProperties\":false},\"description\":\"{maxItems: "
               "3}\"}},\"required\":["
               "\"minimum\"],\"additionalProperties\":false}}}}");
        /* Only a system prompt: somebody must ask. */
        struct built o = start();
        add(&o, CHAT_SYSTEM, BLOCK_TEXT, "s");
        expect(&o, &plain_model,
               "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
               "\"text\","
               "\"text\":\"s\"}]}]}");
}

/* Thoughts count from the user's last word on; a later turn without one spoils the loop. */
static void loops_and_thoughts(void **state)
{
        (void)state;
        static const struct {
                const char *turns; /* u: user speaks, t: thought, c: call, x: text, r: result */
                bool lacks;
        } cases[] = {{"u", false},       {"utcr", false},  {"ucr", true},      {"utcrcr", true},
                     {"utcrtcr", false}, {"ucru", false},  {"ucrutcr", false}, {"utcrux", false},
                     {"uxcr", true},     {"utxcr", false}, {"", false}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct built b = start();
                for (const char *c = cases[i].turns; *c; c++) {
                        struct chat_block *block = add(&b, strchr("ur", *c) ? CHAT_USER : CHAT_ASSISTANT,
                                                       *c == 't'   ? BLOCK_THINKING
                                                       : *c == 'c' ? BLOCK_TOOL_CALL
                                                       : *c == 'r' ? BLOCK_TOOL_RESULT
                                                                   : BLOCK_TEXT,
                                                       "words");
                        block->signature = str_of("s");
                        block->signature_from = DIALECT_ANTHROPIC;
                }
                if (chat_loop_lacks_thinking(&b.request, DIALECT_ANTHROPIC) != cases[i].lacks)
                        fail_msg("%s", cases[i].turns);
                if (strcmp(cases[i].turns, "utcr") == 0) /* the thoughts of another do not count */
                        assert_true(chat_loop_lacks_thinking(&b.request, DIALECT_GEMINI));
                arena_free(b.arena);
        }
}

static void what_it_can_not_take_is_named(void **state)
{
        (void)state;
        static const struct {
                enum chat_block_type type;
                struct chat_source source;
        } cases[] = {
                {BLOCK_AUDIO, {.kind = SOURCE_BASE64, .media_type = "audio/wav", .data = {"aGk=", 4}}},
                {BLOCK_IMAGE, {.kind = SOURCE_BASE64, .media_type = "image/tiff", .data = {"aGk=", 4}}},
                {BLOCK_IMAGE, {.kind = SOURCE_FILE_ID, .url = "file-1"}},
                {BLOCK_DOCUMENT,
                 {.kind = SOURCE_BASE64, .media_type = "application/zip", .data = {"aGk=", 4}}},
                {BLOCK_DOCUMENT, {.kind = SOURCE_FILE_ID, .url = "file-1"}},
                {BLOCK_OTHER, {0}},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct built b = start();
                struct err err;
                struct chat_block *block = add(&b, CHAT_USER, cases[i].type, NULL);
                block->source = cases[i].source;
                block->path = "messages[0].content[0]";
                assert_null(encode(&b, &plain_model, &err));
                assert_int_equal(err.cause, ERR_UNSUPPORTED);
                assert_string_equal(err.param, "messages[0].content[0]");
                arena_free(b.arena);
        }
}

/* ---- signatures of others, carried by clients ---- */

static void wrapped_signatures_return(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err;
        struct str own = carry_wrap(a, DIALECT_GEMINI, CARRY_ON_THINKING, str_of("g1"));
        struct str call = carry_wrap(a, DIALECT_GEMINI, CARRY_ON_NEXT_CALL, str_of("g2"));
        const char *body = arena_printf(a,
                                        HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
                                             "\"assistant\",\"content\":[{\"type\":"
                                             "\"thinking\",\"thinking\":\"t\",\"signature\":\"%s\"},{"
                                             "\"type\":\"thinking\",\"thinking\":\"\","
                                             "\"signature\":\"%s\"},{\"type\":\"tool_use\",\"id\":\"a\","
                                             "\"name\":\"f\",\"input\":{}},{\"type\":"
                                             "\"tool_use\",\"id\":\"b\",\"name\":\"f\",\"input\":{}}]}]}",
                                        own.at, call.at);
        assert_true(decode(a, body, NULL, &r, &err));
        const struct chat_block *b = r.last_message->blocks;
        assert_int_equal(b->type, BLOCK_THINKING);
        assert_string_equal(b->text.at, "t");
        assert_string_equal(b->signature.at, "g1");
        assert_int_equal(b->signature_from, DIALECT_GEMINI);
        b = b->next;
        assert_int_equal(b->type, BLOCK_TOOL_CALL);
        assert_string_equal(b->signature.at, "g2");
        assert_int_equal(b->signature_from, DIALECT_GEMINI);
        assert_null(b->next->signature.at);
        assert_int_equal(b->next->signature_from, DIALECT_NONE);
        arena_free(a);
}

static void extras_and_betas(void **state)
{
        (void)state;
        static const struct form_fields no_query;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err = {0};
        struct client_input in = {.arena = a,
                                  .body = str_of(HEAD HI ",\"speed\":\"fast\",\"mcp_servers\":[]}"),
                                  .betas = "x-1,y-2",
                                  .query = &no_query};
        assert_true(dialect_anthropic.decode_chat_request(&in, &r, &err));
        assert_string_equal(r.extras->name, "speed");
        assert_true(r.extras->hint);
        assert_string_equal(r.extras->next->name, "mcp_servers");
        assert_false(r.extras->next->hint);
        assert_string_equal(r.extras->next->next->name, "header:anthropic-beta");
        struct wire_target target = {.model = "m"};
        struct wire_request wire = {0};
        dialect_anthropic.address_chat_request(a, &r, &target, &wire);
        assert_int_equal(wire.header_count, 2);
        assert_string_equal(wire.headers[0].value, "2023-06-01");
        assert_string_equal(wire.headers[1].name, "anthropic-beta");
        assert_string_equal(wire.headers[1].value, "x-1,y-2");
        arena_free(a);
}

static void too_many_members_are_refused(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err;
        struct buf body;
        buf_init(&body, 1 << 20);
        buf_adds(&body, HEAD HI);
        for (int i = 0; i < 20000; i++)
                buf_addf(&body, ",\"k%d\":1", i);
        buf_addc(&body, '}');
        assert_false(decode(a, body.data, NULL, &r, &err));
        buf_release(&body);
        arena_free(a);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(bad_requests),
                cmocka_unit_test(from_client_to_provider),
                cmocka_unit_test(efforts_of_other_dialects),
                cmocka_unit_test(budget_stays_below_max_tokens),
                cmocka_unit_test(conversation_of_another_dialect),
                cmocka_unit_test(the_vendors_habits),
                cmocka_unit_test(loops_and_thoughts),
                cmocka_unit_test(what_it_can_not_take_is_named),
                cmocka_unit_test(wrapped_signatures_return),
                cmocka_unit_test(extras_and_betas),
                cmocka_unit_test(too_many_members_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
