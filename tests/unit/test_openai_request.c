/* dialect/openai: requests of clients, and what providers are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/carry.h"
#include "dialect/dialect.h"

static bool decode(struct arena *a, const char *json, struct chat_request *r, struct err *err)
{
        static const struct form_fields no_query;
        struct client_input in = {.arena = a, .body = str_of(json), .query = &no_query};
        return dialect_openai.decode_chat_request(&in, r, err);
}

static const char *encode(struct arena *a, const struct chat_request *r, const struct model_caps *caps,
                          struct err *err)
{
        struct wire_target t = {.model = "up", .caps = *caps};
        struct wire_request out = {0};
        buf_init(&out.body, 1 << 20);
        bool ok = dialect_openai.encode_chat_request(a, r, &t, &out, err);
        const char *text = ok ? arena_strndup(a, out.body.data, out.body.len) : NULL;
        if (ok) {
                assert_string_equal(out.path, "/chat/completions");
                assert_string_equal(out.method, "POST");
        }
        buf_release(&out.body);
        return text;
}

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define TOOLS                                                                                                \
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","              \
        "\"parameters\":{\"type\":"                                                                          \
        "\"object\"},\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]"
#define PNG "iVBORw0KGgo="

/* ---- what comes out is what went in, in the words of the target ---- */

static const struct {
        const char *in, *out;
        struct model_caps caps;
} passes[] = {
        {"{\"model\":\"m\"," USER "}", "{\"model\":\"up\"," USER "}", {0}},
        {"{" USER
         ",\"max_completion_tokens\":7,\"temperature\":0.5,\"top_p\":1,\"seed\":-3,\"n\":2,\"stop\":\"x\","
         "\"presence_penalty\":-2,\"frequency_penalty\":2,\"logprobs\":true,\"top_logprobs\":3,\"logit_"
         "bias\":{\"5\":-100}}",
         "{\"model\":\"up\"," USER ",\"max_tokens\":7,\"temperature\":0.5,\"top_p\":1,\"presence_penalty\":-"
         "2,\"frequency_penalty\":2,\"seed\":-3,"
         "\"n\":2,\"stop\":[\"x\"],\"logprobs\":true,\"top_logprobs\":3,\"logit_bias\":{\"5\":-100}}",
         {0}},
        {"{" USER ",\"max_tokens\":7}",
         "{\"model\":\"up\"," USER ",\"max_completion_tokens\":7}",
         {.max_tokens_field = "max_completion_tokens"}},
        {"{" USER ",\"max_tokens\":null,\"stop\":null,\"tools\":null,\"stream\":false}",
         "{\"model\":\"up\"," USER "}",
         {0}},
        {"{" USER ",\"stream\":true}",
         "{\"model\":\"up\"," USER ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         {0}},
        {"{" USER
         ",\"stop\":[\"a\",\"b\"],\"reasoning_effort\":\"xhigh\",\"verbosity\":\"low\",\"user\":\"u\","
         "\"service_tier\":\"flex\",\"store\":false,\"metadata\":{\"k\":\"v\"},\"prompt_cache_key\":\"k\","
         "\"safety_identifier\":\"s\",\"prediction\":{\"type\":\"content\",\"content\":\"x\"}}",
         "{\"model\":\"up\"," USER
         ",\"stop\":[\"a\",\"b\"],\"reasoning_effort\":\"xhigh\",\"user\":\"u\",\"service_tier\":"
         "\"flex\",\"store\":false,\"metadata\":{\"k\":\"v\"},\"prompt_cache_key\":\"k\",\"verbosity\":"
         "\"low\","
         "\"safety_identifier\":\"s\",\"prediction\":{\"type\":\"content\",\"content\":\"x\"}}",
         {0}},
        {"{" USER ",\"safety_identifier\":\"s\",\"modalities\":[\"text\"]}",
         "{\"model\":\"up\"," USER ",\"safety_identifier\":\"s\"}",
         {0}},
        {"{" USER ",\"reasoning\":{\"effort\":\"low\"}}",
         "{\"model\":\"up\"," USER ",\"reasoning_effort\":\"low\"}",
         {0}},
        {"{" USER "," TOOLS ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
         "{\"model\":\"up\"," USER "," TOOLS ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
         {0}},
        {"{" USER "," TOOLS ",\"parallel_tool_calls\":true,\"reasoning_effort\":\"high\"}",
         "{\"model\":\"up\"," USER "," TOOLS ",\"reasoning_effort\":\"high\"}",
         {.parallel_tool_switch = TRI_NO}},
        {"{" USER "," TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         "{\"model\":\"up\"," USER "," TOOLS
         ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         {0}},
        {"{" USER "," TOOLS ",\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}}",
         "{\"model\":\"up\"," USER "," TOOLS
         ",\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}}",
         {0}},
        {"{" USER "," TOOLS
         ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":"
         "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}}",
         "{\"model\":\"up\"," USER "," TOOLS
         ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"
         "\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}}",
         {0}},
        {"{" USER ",\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"}}",
         "{\"model\":\"up\"," USER
         ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{"
         "\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
         {0}},
        {"{" USER ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"description\":\"d\","
         "\"schema\":{\"type\":\"object\"},\"strict\":true}}}",
         "{\"model\":\"up\"," USER
         ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
         "\"description\":\"d\",\"schema\":{\"type\":\"object\"},\"strict\":true}}}",
         {0}},
        {"{" USER ",\"response_format\":{\"type\":\"json_object\"}}",
         "{\"model\":\"up\"," USER ",\"response_format\":{\"type\":\"json_object\"}}",
         {0}},
        /* system and developer, wherever they stand */
        {"{\"messages\":[{\"role\":\"developer\",\"content\":\"d\",\"name\":\"n\"},{\"role\":\"user\","
         "\"content\":\"\"},{"
         "\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
         "\"b\"}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"developer\",\"name\":\"n\",\"content\":\"d\"},{"
         "\"role\":\"user\","
         "\"content\":\"\"},{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
         "\"text\",\"text\":"
         "\"b\"}]}]}",
         {.developer_role = TRI_YES}},
        {"{\"messages\":[{\"role\":\"developer\",\"content\":\"d\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"system\",\"content\":\"d\"}]}",
         {.developer_role = TRI_NO}},
        /* parts */
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\",\"prompt_cache_"
         "breakpoint\":{"
         "\"mode\":\"explicit\",\"ttl\":\"12h\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"DATA:"
         "image/PNG;base64," PNG "\",\"detail\":\"low\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"https://x/y\"}},{\"type\":\"input_audio\","
         "\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\"}},{\"type\":\"file\",\"file\":{\"filename\":"
         "\"a.pdf\","
         "\"file_data\":\"data:application/"
         "pdf;base64,JVBERi0x\"}},{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\","
         "\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}},{\"type\":\"image_url\","
         "\"image_url\":{\"url\":"
         "\"data:image/png;base64," PNG
         "\",\"detail\":\"low\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}},{"
         "\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\"}},{\"type\":"
         "\"file\",\"file\":{"
         "\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
         "pdf;base64,JVBERi0x\"}},{\"type\":\"file\",\"file\":{"
         "\"file_id\":\"file-1\"}}]}]}",
         {0}},
        /* calls and results; an empty content beside calls is none */
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"1\",\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": "
         "1.0}\"}},{\"id\":\"2\",\"type\":\"custom\",\"custom\":{"
         "\"name\":\"c\",\"input\":\"x "
         "\\\"y\\\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r1\"},{\"role\":"
         "\"tool\",\"tool_call_id\":\"2\",\"content\":[{\"type\":\"text\",\"text\":\"r\"},{\"type\":\"text\","
         "\"text\":\"2\"}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
         "\"1\",\"type\":"
         "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": "
         "1.0}\"}},{\"id\":\"2\",\"type\":\"custom\","
         "\"custom\":{\"name\":\"c\",\"input\":\"x "
         "\\\"y\\\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"r1\"},{"
         "\"role\":\"tool\",\"tool_call_id\":\"2\",\"content\":\"r2\"}]}",
         {0}},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
         "\"arguments\":\"\"}},{"
         "\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
         "\"function_f\","
         "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
         "\"tool_call_id\":"
         "\"function_f\",\"content\":\"r\"}]}",
         {0}},
        /* images of a result: to the user message that follows, or where they were */
        {"{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":"
         "\"data:image/png;base64," PNG "\"}}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"The result "
         "is attached to the "
         "next user message.\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Result of the "
         "tool call 1:\"},{"
         "\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64," PNG "\"}}]}]}",
         {0}},
        {"{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":[{\"type\":\"text\",\"text\":"
         "\"t\"},{\"type\":"
         "\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":[{\"type\":"
         "\"text\",\"text\":"
         "\"t\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}}]}]}",
         {.tool_result_images = TRI_YES}},
        /* refusals, thoughts */
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
         "\"refusal\":\"no\"}]}]}",
         {0}},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"th\"}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":"
         "\"th\"}]}",
         {0}},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":\"th\",\"reasoning_"
         "details\":[{\"type\":"
         "\"reasoning.text\",\"text\":\"t\",\"index\":0},{\"type\":\"reasoning.text\",\"text\":\"h\","
         "\"index\":0},{\"type\":"
         "\"reasoning.text\",\"signature\":\"s\",\"index\":0},{\"type\":\"reasoning.encrypted\",\"data\":"
         "\"e\"}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_details\":[{"
         "\"type\":"
         "\"reasoning.text\",\"text\":\"th\",\"signature\":\"s\",\"format\":\"unknown\",\"index\":0},{"
         "\"type\":"
         "\"reasoning.encrypted\",\"data\":\"e\",\"format\":\"unknown\",\"index\":1}]}]}",
         {0}},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{}\"},"
         "\"extra_content\":{\"google\":{\"thought_signature\":\"sig\"}}}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
         "\"1\",\"type\":"
         "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},\"extra_content\":{\"google\":{"
         "\"thought_signature\":"
         "\"sig\"}}}]}]}",
         {.signatures = TRI_YES}},
};

static void requests_pass(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
                struct arena *a = arena_new();
                struct chat_request r;
                struct err err = {0};
                if (!decode(a, passes[i].in, &r, &err))
                        fail_msg("%s: %s", passes[i].in, err.message);
                const char *out = encode(a, &r, &passes[i].caps, &err);
                if (!out)
                        fail_msg("%s: %s", passes[i].in, err.message);
                assert_string_equal(out, passes[i].out);
                arena_free(a);
        }
}

/* ---- what is wrong is told with its path ---- */

#define PARTS(x) "{\"messages\":[{\"role\":\"user\",\"content\":[" x "]}]}"

static const struct {
        const char *in, *param, *says;
} faults[] = {
        {"", NULL, "empty"},
        {"{", NULL, "line 1, column 2"},
        {"[1]", NULL, "expected an object, got an array"},
        {"3", NULL, "expected an object"},
        {"{\"model\":\"a\",\"model\":\"b\"," USER "}", "model", "model"},
        {"{\"model\":\"a\",\"Model\":\"b\"," USER "}", "Model", "another spelling"},
        {"{\"model\":\"a\",\"MAX_tokens\":9," USER "}", "MAX_tokens", "another spelling"},
        {"{\"model\":\"a\",\"max_to\u212aens\":9," USER "}", "max_to\u212aens", "another spelling"},
        {"{}", "messages", "messages: is required"},
        {"{\"messages\":{}}", "messages", "expected an array, got an object"},
        {"{\"messages\":[]}", "messages", "messages: an empty array"},
        {"{\"messages\":[3]}", "messages[0]", "messages[0]: expected an object"},
        {"{\"messages\":[{}]}", "messages[0].role", "messages[0].role: is required"},
        {"{\"messages\":[{\"role\":\"bot\"}]}", "messages[0].role", "\"system\", \"developer\", \"user\""},
        {"{\"messages\":[{\"role\":3}]}", "messages[0].role", "expected a string, got a number"},
        {"{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content", "is required"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "messages[0].content",
         "a string or an array of parts"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content", "an empty array"},
        {"{\"messages\":[{\"role\":\"assistant\"}]}", "messages[0].content", "no tool_calls"},
        {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].tool_call_id", "is required"},
        {"{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\"}]}", "messages[0].content", "is required"},
        {"{\"messages\":[{\"role\":\"function\",\"content\":\"x\"}]}", "messages[0].name", "is required"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"function\":{}}]}]}",
         "messages[0].tool_calls[0].function.name", "is required"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}]}",
         "messages[0].tool_calls[0].id", "is required"},
        {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":{}}]}", "messages[0].tool_calls",
         "expected an array"},
        {PARTS("3"), "messages[0].content[0]", "expected an object"},
        {PARTS("{}"), "messages[0].content[0].type", "is required"},
        {PARTS("{\"type\":\"video\"}"), "messages[0].content[0].type",
         "\"video\" is not taken here, only \"text\""},
        {PARTS("{\"type\":\"refusal\",\"refusal\":\"x\"}"), "messages[0].content[0].type", "\"input_audio\""},
        {PARTS("{\"type\":\"text\"}"), "messages[0].content[0].text", "is required"},
        {PARTS("{\"type\":\"image_url\"}"), "messages[0].content[0].image_url", "is required"},
        {PARTS("{\"type\":\"image_url\",\"image_url\":\"x\"}"), "messages[0].content[0].image_url",
         "expected an object"},
        {PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":\"ftp://x\"}}"),
         "messages[0].content[0].image_url.url", "must be an http or https URL"},
        {PARTS("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:"
               "image/png;base64,!!\"}}"),
         "messages[0].content[1].image_url.url", "no valid base64"},
        {PARTS("{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x\",\"detail\":\"much\"}}"),
         "messages[0].content[0].image_url.detail", "\"auto\", \"low\", \"high\", \"original\""},
        {PARTS("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\"}}"),
         "messages[0].content[0].input_audio.format", "is required"},
        {PARTS("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"?\",\"format\":\"wav\"}}"),
         "messages[0].content[0].input_audio.data", "no valid base64"},
        {PARTS("{\"type\":\"file\",\"file\":{}}"), "messages[0].content[0].file",
         "needs file_data or file_id"},
        {PARTS("{\"type\":\"file\",\"file\":{\"file_data\":\"x\"}}"), "messages[0].content[0].file.file_data",
         "data URL"},
        {"{" USER ",\"max_tokens\":5,\"max_completion_tokens\":6}", "max_completion_tokens",
         "together with max_tokens"},
        {"{" USER ",\"max_tokens\":0}", "max_tokens", "between 1 and"},
        {"{" USER ",\"max_tokens\":\"5\"}", "max_tokens", "expected an integer, got a string"},
        {"{" USER ",\"temperature\":2.5}", "temperature", "between 0 and 2"},
        {"{" USER ",\"temperature\":\"x\"}", "temperature", "expected a number"},
        {"{" USER ",\"top_p\":-1}", "top_p", "between 0 and 1"},
        {"{" USER ",\"presence_penalty\":-3}", "presence_penalty", "between -2 and 2"},
        {"{" USER ",\"frequency_penalty\":3}", "frequency_penalty", "between -2 and 2"},
        {"{" USER ",\"n\":0}", "n", "between 1 and 128"},
        {"{" USER ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs", "between 0 and 20"},
        {"{" USER ",\"top_logprobs\":2}", "top_logprobs", "needs logprobs"},
        {"{" USER ",\"logit_bias\":{\"5\":101}}", "logit_bias.5", "between -100 and 100"},
        {"{" USER ",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "stop", "at most 4"},
        {"{" USER ",\"stop\":[\"a\",3]}", "stop[1]", "expected a string, got a number"},
        {"{" USER ",\"stop\":3}", "stop", "a string or an array"},
        {"{" USER ",\"stream\":\"yes\"}", "stream", "expected a boolean"},
        {"{" USER ",\"stream_options\":{\"include_usage\":true}}", "stream_options", "where stream is true"},
        {"{" USER ",\"reasoning_effort\":\"huge\"}", "reasoning_effort", "must be one of \"none\""},
        {"{" USER ",\"reasoning_effort\":\"low\",\"reasoning\":{\"effort\":\"low\"}}", "reasoning",
         "together with"},
        {"{" USER ",\"verbosity\":\"x\"}", "verbosity", "\"low\", \"medium\", \"high\""},
        {"{" USER ",\"metadata\":{\"a\":3}}", "metadata.a", "expected a string"},
        {"{" USER ",\"response_format\":{\"type\":\"xml\"}}", "response_format.type", "\"json_schema\""},
        {"{" USER ",\"response_format\":{}}", "response_format.type", "is required"},
        {"{" USER ",\"response_format\":{\"type\":\"json_schema\"}}", "response_format.json_schema",
         "is required"},
        {"{" USER ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}",
         "response_format.json_schema.name", "is required"},
        {"{" USER ",\"tools\":[{}]}", "tools[0].type", "is required"},
        {"{" USER ",\"tools\":[{\"type\":\"function\"}]}", "tools[0].function", "is required"},
        {"{" USER ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]}",
         "tools[0].function.name", "is empty"},
        {"{" USER ",\"tools\":[],\"functions\":[]}", "functions", "together with tools"},
        {"{" USER ",\"tool_choice\":\"required\"}", "tool_choice", "needs tools"},
        {"{" USER ",\"tool_choice\":\"maybe\"}", "tool_choice", "must be one of"},
        {"{" USER "," TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
         "tool_choice.function.name", "names no tool"},
        {"{" USER "," TOOLS ",\"tool_choice\":\"auto\",\"function_call\":\"auto\"}", "function_call",
         "together with"},
        {"{\"model\":3," USER "}", "model", "expected a string"},
        {"{\"model\":\"a\\u0000b\"," USER "}", NULL, "NUL character"},
};

static void faults_name_their_path(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
                struct arena *a = arena_new();
                struct chat_request r;
                struct err err = {0};
                if (decode(a, faults[i].in, &r, &err))
                        fail_msg("taken: %s", faults[i].in);
                assert_int_equal(err.cause, ERR_BAD_REQUEST);
                if (!strstr(err.message, faults[i].says))
                        fail_msg("%s: %s", faults[i].in, err.message);
                if (!faults[i].param)
                        assert_null(err.param);
                else if (!err.param || strcmp(err.param, faults[i].param) != 0)
                        fail_msg("%s: %s", faults[i].in, err.param ? err.param : "no param");
                arena_free(a);
        }
}

/* ---- the canonical form ---- */

static void results_join_and_know_their_names(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err = {0};
        assert_true(decode(
                a,
                "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\","
                "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"2\",\"type\":"
                "\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"broken\"}}]},{\"role\":\"tool\","
                "\"tool_call_id\":\"2\",\"content\":\"b\"},{\"role\":\"tool\",\"tool_call_id\":\"1\","
                "\"content\":"
                "\"a\"},{\"role\":\"tool\",\"tool_call_id\":\"9\",\"content\":\"c\"},{\"role\":\"user\","
                "\"content\":"
                "\"u\"}]}",
                &r, &err));
        const struct chat_block *call = r.messages->blocks;
        assert_int_equal(json_object_object_length(call->arguments), 1);
        assert_null(call->next->arguments);
        assert_string_equal(call->next->arguments_text.at, "broken");
        assert_string_equal(call->next->path, "messages[0].tool_calls[1]");
        const struct chat_message *results = r.messages->next;
        assert_int_equal(results->role, CHAT_USER);
        const struct chat_block *b = results->blocks;
        assert_string_equal(b->name, "g");
        assert_string_equal(b->content->text.at, "b");
        assert_string_equal(b->next->name, "f");
        assert_string_equal(b->next->path, "messages[2]");
        assert_null(b->next->next->name);
        assert_null(b->next->next->next);
        assert_string_equal(results->next->blocks->text.at, "u");
        assert_null(results->next->next);
        arena_free(a);
}

static void hints_are_told_from_what_changes_answers(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err = {0};
        assert_true(decode(
                a,
                "{" USER
                ",\"safety_identifier\":\"s\",\"prompt_cache_retention\":\"24h\",\"prompt_cache_options\":{"
                "},\"moderation\":{},\"audio\":{\"voice\":\"x\"},\"zzz\":1,\"nothing\":null}",
                &r, &err));
        static const struct {
                const char *name;
                bool hint;
        } want[] = {{"safety_identifier", true},
                    {"prompt_cache_retention", true},
                    {"prompt_cache_options", true},
                    {"moderation", false},
                    {"audio", false},
                    {"zzz", false}};
        const struct chat_extra *e = r.extras;
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, e = e->next) {
                assert_string_equal(e->name, want[i].name);
                assert_int_equal(e->hint, want[i].hint);
        }
        assert_null(e);
        assert_string_equal(r.user, "s");
        arena_free(a);
}

/* Signatures of other vendors come back through a client, and go to none but their own. */
static void foreign_signatures_are_unwrapped_and_not_sent(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r;
        struct err err = {0};
        struct model_caps caps = {0};
        struct str thought = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_THINKING, str_of("sig/1"));
        struct str opaque = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_REDACTED, str_of("data"));
        struct str text = carry_wrap(a, DIALECT_GEMINI, CARRY_ON_NEXT_TEXT, str_of("ts"));
        const char *body = arena_printf(
                a,
                "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"reasoning_content\":\"th\","
                "\"reasoning_details\":[{"
                "\"type\":\"reasoning.text\",\"text\":\"th\",\"signature\":\"%s\",\"index\":0},{\"type\":"
                "\"reasoning.encrypted\",\"data\":\"%s\",\"index\":1},{\"type\":\"reasoning.encrypted\","
                "\"data\":\"%s\"}],"
                "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"{}\"},"
                "\"extra_content\":{\"google\":{\"thought_signature\":\"gs\"}}}]}]}",
                thought.at, opaque.at, text.at);
        assert_true(decode(a, body, &r, &err));
        const struct chat_block *b = r.messages->blocks;
        assert_int_equal(b->type, BLOCK_THINKING);
        assert_string_equal(b->signature.at, "sig/1");
        assert_int_equal(b->signature_from, DIALECT_ANTHROPIC);
        assert_false(b->redacted);
        b = b->next;
        assert_true(b->redacted);
        assert_string_equal(b->signature.at, "data");
        b = b->next;
        assert_int_equal(b->type, BLOCK_TEXT);
        assert_string_equal(b->signature.at, "ts");
        assert_int_equal(b->signature_from, DIALECT_GEMINI);
        b = b->next;
        assert_string_equal(b->signature.at, "gs");
        assert_int_equal(b->signature_from, DIALECT_GEMINI);
        assert_string_equal(
                encode(a, &r, &caps, &err),
                "{\"model\":\"up\",\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{"
                "\"id\":"
                "\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}");
        arena_free(a);
}

static void what_no_openai_server_takes_is_named(void **state)
{
        (void)state;
        static const struct {
                struct chat_block block;
                enum chat_role role;
        } blocks[] = {
                {{.type = BLOCK_OTHER, .raw_dialect = DIALECT_ANTHROPIC, .path = "messages[0].content[0]"},
                 CHAT_USER},
                {{.type = BLOCK_OTHER, .raw_dialect = DIALECT_GEMINI, .path = "messages[0].content[0]"},
                 CHAT_ASSISTANT},
                {{.type = BLOCK_DOCUMENT,
                  .source = {.kind = SOURCE_URL, .url = "https://x"},
                  .path = "messages[0].content[0]"},
                 CHAT_USER},
                {{.type = BLOCK_DOCUMENT,
                  .source = {.kind = SOURCE_FILE_ID, .url = "f"},
                  .path = "messages[0].content[0]"},
                 CHAT_USER},
                {{.type = BLOCK_AUDIO,
                  .source = {.kind = SOURCE_BASE64, .media_type = "audio/ogg"},
                  .path = "messages[0].content[0]"},
                 CHAT_USER},
        };
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
                struct arena *a = arena_new();
                struct chat_request r = {.from = DIALECT_ANTHROPIC, .model = "m"};
                struct err err = {0};
                struct model_caps caps = {0};
                *chat_add_block(a, chat_add_message(a, &r, blocks[i].role), BLOCK_TEXT) = blocks[i].block;
                assert_null(encode(a, &r, &caps, &err));
                assert_int_equal(err.cause, ERR_UNSUPPORTED);
                assert_string_equal(err.param, "messages[0].content[0]");
                arena_free(a);
        }
}

static void errors_of_tools_are_told_as_text(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.from = DIALECT_ANTHROPIC};
        struct err err = {0};
        struct model_caps caps = {0};
        struct chat_message *m = chat_add_message(a, &r, CHAT_USER);
        struct chat_block *result = chat_add_block(a, m, BLOCK_TOOL_RESULT),
                          *text = chat_add_block(a, m, BLOCK_TEXT);
        struct chat_block content = {.type = BLOCK_TEXT, .text = str_of("disk full")};
        result->id = "1";
        result->is_error = true;
        result->content = &content;
        text->text = str_of("go on");
        assert_string_equal(encode(a, &r, &caps, &err),
                            "{\"model\":\"up\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"1\","
                            "\"content\":\"Error: disk "
                            "full\"},{\"role\":\"user\",\"content\":\"go on\"}]}");
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_pass),
                cmocka_unit_test(faults_name_their_path),
                cmocka_unit_test(results_join_and_know_their_names),
                cmocka_unit_test(hints_are_told_from_what_changes_answers),
                cmocka_unit_test(foreign_signatures_are_unwrapped_and_not_sent),
                cmocka_unit_test(what_no_openai_server_takes_is_named),
                cmocka_unit_test(errors_of_tools_are_told_as_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
