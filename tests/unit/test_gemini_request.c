#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect/carry.h"
#include "dialect_dump.h"

static const struct form_fields no_query;

static struct client_input input(struct arena *a, const char *body)
{
        return (struct client_input){
                .arena = a, .body = str_of(body), .path_model = "assistant", .query = &no_query};
}

static void dump_settings(struct buf *out, const struct chat_request *r)
{
        static const char *const choices[] = {"", "auto", "none", "required", "named"};
        static const char *const formats[] = {"", "text", "json", "schema"};
        static const char *const modes[] = {"", "off", "budget", "adaptive", "between"};
        const struct {
                const char *name;
                const struct opt_int *value;
        } ints[] = {{"max", &r->max_tokens},
                    {"top_k", &r->top_k},
                    {"seed", &r->seed},
                    {"n", &r->n},
                    {"top", &r->top_logprobs}};
        const struct {
                const char *name;
                const struct opt_number *value;
        } numbers[] = {{"temperature", &r->temperature},
                       {"top_p", &r->top_p},
                       {"presence", &r->presence_penalty},
                       {"frequency", &r->frequency_penalty}};
        for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
                if (ints[i].value->set)
                        buf_addf(out, " %s=%lld", ints[i].name, (long long)ints[i].value->value);
        }
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
                if (numbers[i].value->set)
                        buf_addf(out, " %s=%g", numbers[i].name, numbers[i].value->value);
        }
        for (const struct chat_name *n = r->stop; n; n = n->next)
                buf_addf(out, " stop=%s", n->name);
        if (r->logprobs)
                buf_adds(out, " logprobs");
        if (r->response_format)
                buf_addf(out, " format=%s", formats[r->response_format]);
        if (r->schema)
                buf_addf(out, " schema=%s",
                         json_object_to_json_string_ext(r->schema, JSON_C_TO_STRING_PLAIN));
        if (r->reasoning.effort)
                buf_addf(out, " effort=%s", effort_name(r->reasoning.effort));
        if (r->reasoning.mode)
                buf_addf(out, " mode=%s", modes[r->reasoning.mode]);
        if (r->reasoning.budget_tokens)
                buf_addf(out, " budget=%lld", (long long)r->reasoning.budget_tokens);
        if (r->reasoning.show)
                buf_addf(out, " show=%d", r->reasoning.show == TRI_YES);
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                json_object *shown = t->raw ? t->raw : t->parameters;
                buf_addf(out, " tool(%s %s %s)", t->name ? t->name : t->raw_type, t->path,
                         shown ? json_object_to_json_string_ext(shown, JSON_C_TO_STRING_PLAIN) : "-");
        }
        if (r->tool_choice)
                buf_addf(out, " choice=%s%s%s", choices[r->tool_choice], r->tool_choice_name ? ":" : "",
                         r->tool_choice_name ? r->tool_choice_name : "");
        for (const struct chat_name *n = r->allowed_tools; n; n = n->next)
                buf_addf(out, " allowed=%s", n->name);
        if (r->service_tier)
                buf_addf(out, " tier=%s", r->service_tier);
        if (r->store)
                buf_addf(out, " store=%d", r->store == TRI_YES);
        for (const struct chat_extra *x = r->extras; x; x = x->next)
                buf_addf(out, " extra(%s%s)", x->name, x->hint ? "?" : "!");
}

static void dump_request(struct buf *out, struct arena *a, const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                buf_addf(out, "%s:", dump_roles[m->role]);
                dump_blocks(out, a, m->blocks);
                buf_adds(out, "; ");
        }
        dump_settings(out, r);
}

#define HI             "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],"
#define HI_IS          "user: [text 'hi'];  "
#define CONFIG(inside) HI "\"generationConfig\":{" inside "}}"
#define PART(part)     "{\"contents\":[{\"parts\":[" part "]}]}"

static const struct good {
        const char *body, *expected;
} goods[] = {
        {HI "\"model\":\"models/assistant\"}", "user: [text 'hi']; "},
        {"{\"contents\":[{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}]}", "user: [text 'a'] [text 'b']; "},
        {"{\"systemInstruction\":{\"role\":\"x\",\"parts\":[{\"text\":\"be\"},{\"text\":\"kind\"}]},"
         "\"contents\":[{\"role\":\"\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[]},"
         "{\"role\":\"model\"},{\"role\":\"user\",\"parts\":[{\"text\":\"again\"}]}]}",
         "system: [text 'be'] [text 'kind']; user: [text 'hi']; user: [text 'again']; "},
        {"{\"system_instruction\":\"be kind\",\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}",
         "system: [text 'be kind']; user: [text 'hi']; "},
        /* media */
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBORw0KGgo=\"}}"),
         "user: [image base64 image/png iVBORw0KGgo=]; "},
        {PART("{\"inline_data\":{\"mime_type\":\"IMAGE/"
              "JPG\",\"data\":\"_-8\"},\"mediaResolution\":{\"level\":"
              "\"MEDIA_RESOLUTION_LOW\"}}"),
         "user: [image base64 image/jpeg /+8= detail=low]; "},
        {PART("{\"inlineData\":{\"mimeType\":\"audio/mpeg\",\"data\":\"AAAA\"}}"),
         "user: [audio base64 audio/mp3 AAAA]; "},
        {PART("{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBERi0=\"}}"),
         "user: [document base64 application/pdf JVBERi0=]; "},
        {PART("{\"inlineData\":{\"mimeType\":\"text/plain; charset=utf-8\",\"data\":\"aGk=\"}}"),
         "user: [document base64 text/plain aGk=]; "},
        {PART("{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"AAAA\"}}"),
         "user: [other raw={\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"AAAA\"}}]; "},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://example.com/a.png\"}}"),
         "user: [image url image/png https://example.com/a.png]; "},
        {PART("{\"file_data\":{\"file_uri\":\"https://example.com/a\"}}"),
         "user: [image url ? https://example.com/a]; "},
        {PART("{\"fileData\":{\"mimeType\":\"application/pdf\",\"fileUri\":\"https://example.com/a\"}}"),
         "user: [document url application/pdf https://example.com/a]; "},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":"
              "\"https://generativelanguage.googleapis.com/v1beta/files/abc\"}}"),
         "user: [image file image/png https://generativelanguage.googleapis.com/v1beta/files/abc]; "},
        {PART("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://b/o\"}}"),
         "user: [image file image/png gs://b/o]; "},
        {PART("{\"fileData\":{\"fileUri\":\"https://youtu.be/x\"}}"),
         "user: [other raw={\"fileData\":{\"fileUri\":\"https://youtu.be/x\"}}]; "},
        {PART("{\"text\":\"x\",\"thought\":true}"), "user: [text 'x']; "},
        /* calls, with and without ids; results by id, by name and order, with errors and media */
        {"{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":["
         "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"},"
         "{\"functionCall\":{\"name\":\"g.h\"}},{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\",\"args\":{}},"
         "\"thoughtSignature\":\"skip_thought_signature_validator\"}]},"
         "{\"role\":\"function\",\"parts\":[{\"functionResponse\":{\"name\":\"g.h\",\"response\":{\"output\":"
         "\"o\"}}},"
         "{\"functionResponse\":{\"id\":\"x1\",\"name\":\"f\",\"response\":{\"result\":[1,2]}}},"
         "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"error\":\"bad\"}}}]}]}",
         "user: [text 'hi']; assistant: [call call_0_f f {\"a\":1} sig(gemini:c2ln)] [call call_1_g_h g.h "
         "{}] [call x1 f "
         "{}]; user: [result call_1_g_h g.h [text 'o']] [result x1 f [text '[1,2]']] [result call_0_f f "
         "error [text "
         "'bad']]; "},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]},{\"parts\":["
         "{\"function_response\":{\"name\":\"f\",\"response\":{\"a\":\"b\",\"c\":1},\"parts\":[{"
         "\"inlineData\":{"
         "\"mimeType\":\"image/png\",\"data\":\"iVBORw0KGgo=\"}}]}}]}]}",
         "assistant: [call call_0_f f {}]; user: [result call_0_f f [text '{\"a\":\"b\",\"c\":1}'] [image "
         "base64 image/png "
         "iVBORw0KGgo=]]; "},
        {PART("{\"functionResponse\":{\"name\":\"f\",\"response\":{}}}"),
         "user: [result call_0_f f [text '{}']]; "},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"executableCode\":{\"code\":\"1\"}},{\"text\":"
         "\"t\"}]}]}",
         "assistant: [other raw={\"executableCode\":{\"code\":\"1\"}}] [text 't']; "},
        /* thoughts */
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"a\",\"thought\":true},{\"text\":\"b\","
         "\"thought\":true},"
         "{\"text\":\"\",\"thought\":true,\"thoughtSignature\":\"c2ln\"},{\"text\":\"x\"},"
         "{\"text\":\"\",\"thoughtSignature\":\"dHh0\"},{\"text\":\"\"},{\"thought_signature\":\"YQ==\"}]}]}",
         "assistant: [thinking 'ab'] [thinking '' sig(gemini:c2ln)] [text 'x'] [text '' sig(gemini:dHh0)] "
         "[text '' "
         "sig(gemini:YQ==)]; "},
        /* settings */
        {CONFIG("\"temperature\":0.5,\"topP\":0.9,\"top_k\":40.0,\"candidateCount\":2,\"max_output_tokens\":"
                "100,"
                "\"seed\":-7,\"presencePenalty\":0.1,\"frequency_penalty\":-0.2,\"stopSequences\":[\"a\","
                "\"b\"],"
                "\"responseLogprobs\":true,\"logprobs\":3"),
         HI_IS "max=100 top_k=40 seed=-7 n=2 top=3 temperature=0.5 top_p=0.9 presence=0.1 frequency=-0.2 "
               "stop=a stop=b "
               "logprobs"},
        {CONFIG("\"responseMimeType\":\"application/json\""), HI_IS "format=json"},
        {CONFIG("\"response_mime_type\":\"text/plain\""), HI_IS "format=text"},
        {CONFIG("\"responseMimeType\":\"application/"
                "json\",\"responseSchema\":{\"type\":\"OBJECT\",\"propertyOrdering\":["
                "\"b\",\"a\"],\"properties\":{\"a\":{\"type\":\"STRING\",\"nullable\":true,\"enum\":[\"x\"],"
                "\"format\":\"enum\"},\"b\":{\"type\":\"ARRAY\",\"min_items\":\"2\",\"items\":{\"anyOf\":[{"
                "\"type\":"
                "\"INTEGER\"},{\"type\":\"number\",\"example\":1}]}}},\"required\":[\"a\"]}"),
         HI_IS
         "format=schema "
         "schema={\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\",\"minItems\":2,\"items\":"
         "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"number\",\"examples\":[1]}]}},\"a\":{\"type\":["
         "\"string\","
         "\"null\"],\"enum\":[\"x\",null]}},\"required\":[\"a\"]}"},
        {CONFIG("\"responseMimeType\":\"application/"
                "json\",\"responseJsonSchema\":{\"type\":\"object\",\"min_items\":1}"),
         HI_IS "format=schema schema={\"type\":\"object\",\"min_items\":1}"},
        {CONFIG("\"responseMimeType\":\"text/x.enum\",\"responseSchema\":{\"type\":\"STRING\"}"),
         HI_IS "extra(generationConfig.responseMimeType!) extra(generationConfig.responseSchema!)"},
        {CONFIG("\"thinkingConfig\":{\"includeThoughts\":true,\"thinkingLevel\":\"HIGH\"}"),
         HI_IS "effort=high show=1"},
        {CONFIG("\"thinking_config\":{\"thinking_level\":\"minimal\",\"include_thoughts\":false}"),
         HI_IS "effort=minimal show=0"},
        {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":0}"), HI_IS "effort=none mode=off"},
        {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":-1}"), HI_IS "mode=adaptive budget=-1"},
        {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":2048}"), HI_IS "mode=budget budget=2048"},
        {CONFIG("\"responseModalities\":[\"TEXT\"],\"mediaResolution\":\"MEDIA_RESOLUTION_LOW\","
                "\"speechConfig\":{}"),
         HI_IS "extra(generationConfig.responseModalities?) extra(generationConfig.mediaResolution?) "
               "extra(generationConfig.speechConfig!)"},
        {CONFIG("\"responseModalities\":[\"TEXT\",\"AUDIO\"]"),
         HI_IS "extra(generationConfig.responseModalities!)"},
        {HI "\"safety_settings\":[],\"labels\":{},\"cachedContent\":\"cachedContents/"
            "x\",\"serviceTier\":\"STANDARD\","
            "\"store\":false,\"frobnicate\":1}",
         HI_IS "tier=default store=0 extra(safetySettings?) extra(labels?) extra(cachedContent!) "
               "extra(frobnicate!)"},
        /* tools */
        {HI
         "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"parameters\":{\"type\":\"OBJECT\","
         "\"properties\":{"
         "\"a\":{\"type\":\"STRING\"}}}},{\"name\":\"g\",\"parameters_json_schema\":{\"type\":\"object\"}}],"
         "\"googleSearch\":{}},{\"code_execution\":{}}],\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
         "\"ANY\","
         "\"allowedFunctionNames\":[\"f\"]},\"retrievalConfig\":{}}}",
         HI_IS "tool(f tools[0].functionDeclarations[0] "
               "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}) "
               "tool(g tools[0].functionDeclarations[1] {\"type\":\"object\"}) tool(googleSearch "
               "tools[0].googleSearch "
               "{\"googleSearch\":{}}) tool(codeExecution tools[1].code_execution {\"codeExecution\":{}}) "
               "choice=named:f "
               "extra(toolConfig.retrievalConfig?)"},
        {HI "\"tool_config\":{\"function_calling_config\":{\"mode\":\"any\",\"allowed_function_names\":["
            "\"f\",\"g\"]}}}",
         HI_IS "choice=required allowed=f allowed=g"},
        {HI "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"VALIDATED\",\"allowedFunctionNames\":["
            "\"f\"]}}}",
         HI_IS "choice=auto allowed=f"},
        {HI "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"NONE\"}}}", HI_IS "choice=none"},
        {HI "\"toolConfig\":{\"functionCallingConfig\":{}}}", HI_IS "choice=auto"},
};

static void test_good(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
                struct arena *a = arena_new();
                struct client_input in = input(a, goods[i].body);
                struct chat_request r = {0};
                struct err err = {0};
                struct buf out;
                buf_init(&out, 1 << 16);
                if (!dialect_gemini.decode_chat_request(&in, &r, &err))
                        fail_msg("%zu: %s", i, err.message);
                dump_request(&out, a, &r);
                assert_string_equal(out.data, goods[i].expected);
                assert_int_equal(r.from, DIALECT_GEMINI);
                assert_string_equal(r.model, "assistant");
                buf_release(&out);
                arena_free(a);
        }
}

static const struct bad {
        const char *body, *param; /* param NULL: any */
} bads[] = {
        {"", NULL},
        {"[]", NULL},
        {"{}", "contents"},
        {"{\"contents\":[]}", "contents"},
        {"{\"contents\":{}}", "contents"},
        {"{\"contents\":[1]}", "contents[0]"},
        {"{\"contents\":[{\"role\":\"system\",\"parts\":[{\"text\":\"x\"}]}]}", "contents[0].role"},
        {"{\"contents\":[{\"parts\":{}}]}", "contents[0].parts"},
        {"{\"contents\":[{\"parts\":[{\"text\":\"\"}]}]}", "contents"},
        {PART("3"), "contents[0].parts[0]"},
        {PART("{}"), "contents[0].parts[0]"},
        {PART("{\"text\":1}"), "contents[0].parts[0].text"},
        {PART("{\"text\":\"a\",\"functionCall\":{\"name\":\"f\"}}"), "contents[0].parts[0]"},
        {PART("{\"functionCall\":{\"name\":\"f\"}}"), "contents[0].parts[0].functionCall"},
        {PART("{\"functionResponse\":{}}"), "contents[0].parts[0].functionResponse.name"},
        {PART("{\"functionResponse\":{\"name\":\"f\",\"response\":\"x\"}}"),
         "contents[0].parts[0].functionResponse.response"},
        {PART("{\"functionResponse\":{\"name\":\"f\",\"parts\":[{\"text\":\"x\"}]}}"),
         "contents[0].parts[0].functionResponse.parts[0]"},
        {PART("{\"inlineData\":{\"data\":\"AAAA\"}}"), "contents[0].parts[0].inlineData.mimeType"},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\"}}"), "contents[0].parts[0].inlineData.data"},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"!\"}}"),
         "contents[0].parts[0].inlineData.data"},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"\"}}"),
         "contents[0].parts[0].inlineData.data"},
        {PART("{\"inlineData\":{\"mimeType\":\"image/png\",\"mime_type\":\"image/png\",\"data\":\"AAAA\"}}"),
         "contents[0].parts[0].inlineData.mime_type"},
        {PART("{\"fileData\":{}}"), "contents[0].parts[0].fileData.fileUri"},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{}}]}]}",
         "contents[0].parts[0].functionCall.name"},
        {"{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":[]}}]}]}",
         "contents[0].parts[0].functionCall.args"},
        {HI "\"system_instruction\":\"a\",\"systemInstruction\":\"b\"}", "system_instruction"},
        {HI "\"systemInstruction\":{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/"
            "png\",\"data\":\"AAAA\"}}]}}",
         "systemInstruction.parts[0]"},
        {HI "\"generation_config\":{},\"generationConfig\":{}}", "generation_config"},
        {HI "\"safety_settings\":[],\"safetySettings\":[]}", "safety_settings"},
        {HI "\"model\":\"models/other\"}", "model"},
        {CONFIG("\"topP\":1,\"top_p\":1"), "generationConfig.top_p"},
        {CONFIG("\"speechConfig\":1,\"speech_config\":1"), "generationConfig.speech_config"},
        {CONFIG("\"temperature\":\"hot\""), "generationConfig.temperature"},
        {CONFIG("\"temperature\":3"), "generationConfig.temperature"},
        {CONFIG("\"max_output_tokens\":0"), "generationConfig.max_output_tokens"},
        {CONFIG("\"seed\":4294967296"), "generationConfig.seed"},
        {CONFIG("\"stopSequences\":[1]"), "generationConfig.stopSequences[0]"},
        {CONFIG("\"responseMimeType\":\"image/png\""), "generationConfig.responseMimeType"},
        {CONFIG("\"responseSchema\":{},\"responseJsonSchema\":{}"), "generationConfig.responseSchema"},
        {CONFIG("\"responseSchema\":{\"type\":\"THING\"}"), "generationConfig.responseSchema.type"},
        {CONFIG("\"responseSchema\":{\"items\":{\"any_of\":[],\"anyOf\":[]}}"), NULL},
        {CONFIG("\"thinkingConfig\":{\"thinkingLevel\":\"huge\"}"),
         "generationConfig.thinkingConfig.thinkingLevel"},
        {CONFIG("\"thinkingConfig\":{\"thinkingBudget\":-2}"),
         "generationConfig.thinkingConfig.thinkingBudget"},
        {HI "\"tools\":[{\"functionDeclarations\":[{}]}]}", "tools[0].functionDeclarations[0].name"},
        {HI "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"parameters\":{},"
            "\"parametersJsonSchema\":{}}]}]}",
         "tools[0].functionDeclarations[0].parameters"},
        {HI "\"tools\":[{\"functionDeclarations\":[],\"function_declarations\":[]}]}",
         "tools[0].function_declarations"},
        {HI "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"MAYBE\"}}}",
         "toolConfig.functionCallingConfig.mode"},
        {HI "\"contents\":[]}", NULL},
};

static void test_bad(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
                struct arena *a = arena_new();
                struct client_input in = input(a, bads[i].body);
                struct chat_request r = {0};
                struct err err = {0};
                if (dialect_gemini.decode_chat_request(&in, &r, &err))
                        fail_msg("%zu was taken: %s", i, bads[i].body);
                assert_int_equal(err_status(&err), 400);
                if (bads[i].param && (!err.param || strcmp(err.param, bads[i].param) != 0))
                        fail_msg("%zu: names %s, expected %s (%s)", i, err.param, bads[i].param, err.message);
                arena_free(a);
        }
}

/* Another vendor's thoughts, as our own answers gave them, in parts. */
static void test_wrapped(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct str thought = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_THINKING, str_of("sigA"));
        struct str redacted = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_REDACTED, str_of("secret"));
        struct str call = carry_wrap(a, DIALECT_OPENAI, CARRY_ON_NEXT_CALL, str_of("sigC"));
        const char *body = arena_printf(a,
                                        "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"a\","
                                        "\"thought\":true},{\"text\":\"b\","
                                        "\"thought\":true},{\"text\":\"\",\"thought\":true,"
                                        "\"thoughtSignature\":\"%s\"},{\"text\":\"\",\"thought\":"
                                        "true,\"thoughtSignature\":\"%s\"},{\"text\":\"c\",\"thought\":true},"
                                        "{\"functionCall\":{\"name\":\"f\"},"
                                        "\"thoughtSignature\":\"%s\"},{\"text\":\"\",\"thought\":true,"
                                        "\"thoughtSignature\":\"%s\"}]}]}",
                                        thought.at, redacted.at, call.at, thought.at);
        struct client_input in = input(a, body);
        struct chat_request r = {0};
        struct err err = {0};
        struct buf out;
        buf_init(&out, 1 << 16);
        assert_true(dialect_gemini.decode_chat_request(&in, &r, &err));
        dump_request(&out, a, &r);
        assert_string_equal(out.data,
                            "assistant: [thinking 'ab' sig(anthropic:sigA)] [thinking '' redacted "
                            "sig(anthropic:secret)] [thinking 'c'] [call call_0_f f {} sig(openai:sigC)] "
                            "[thinking '' sig(anthropic:sigA)]; ");
        buf_release(&out);
        arena_free(a);
}

static void test_formats(void **state)
{
        (void)state;
        struct form_field sse = {.name = "alt", .value = {"sse", 3}},
                          json = {.name = "alt", .value = {"json", 4}};
        struct form_fields with_sse = {&sse, &sse, 1}, with_json = {&json, &json, 1};
        struct client_input in = {.query = &with_sse, .path_stream = true};
        assert_int_equal(dialect_gemini.answer_format(&in, true), ANSWER_SSE);
        in.query = &with_json;
        assert_int_equal(dialect_gemini.answer_format(&in, true), ANSWER_JSON_ARRAY);
        in.query = &no_query;
        assert_int_equal(dialect_gemini.answer_format(&in, true), ANSWER_JSON_ARRAY);
        in.path_stream = false;
        in.query = &with_sse;
        assert_int_equal(dialect_gemini.answer_format(&in, false), ANSWER_JSON);
        assert_string_equal(dialect_gemini.content_type(ANSWER_SSE), "text/event-stream");
}

static const struct embed_case {
        bool batch;
        const char *body, *expected; /* "!" and a path: an error */
} embeds[] = {
        {false, "{\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}}", "a\nb|"},
        {false,
         "{\"model\":\"models/"
         "assistant\",\"contents\":[{\"parts\":[{\"text\":\"a\"}]}],\"task_type\":\"CLUSTERING\","
         "\"outputDimensionality\":768,\"title\":\"t\"}",
         "a| task=CLUSTERING title=t dim=768"},
        {true,
         "{\"requests\":[{\"model\":\"models/assistant\",\"content\":{\"parts\":[{\"text\":\"a\"}]}},"
         "{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}",
         "a|b|"},
        {false, "{}", "!content"},
        {false, "{\"content\":{}}", "!content.parts"},
        {false, "{\"content\":{\"parts\":[]}}", "!content"},
        {false, "{\"content\":{\"parts\":[{\"inlineData\":{}}]}}", "!content.parts[0]"},
        {false, "{\"model\":\"other\",\"content\":{\"parts\":[{\"text\":\"a\"}]}}", "!model"},
        {false, "{\"taskType\":\"A\",\"task_type\":\"A\",\"content\":{\"parts\":[{\"text\":\"a\"}]}}",
         "!task_type"},
        {false, "{\"contents\":[{\"parts\":[{\"text\":\"a\"}]},{\"parts\":[{\"text\":\"b\"}]}]}",
         "!contents"},
        {true, "{\"requests\":[]}", "!requests"},
        {true, "{\"requests\":[1]}", "!requests[0]"},
        {true,
         "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"taskType\":\"X\"},{\"content\":{"
         "\"parts\":[{"
         "\"text\":\"b\"}]}}]}",
         "!requests[1].taskType"},
        {true,
         "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":{\"parts\":[{\"text\":"
         "\"b\"}]},"
         "\"outputDimensionality\":3}]}",
         "!requests[1].outputDimensionality"},
};

static void test_embed(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof embeds / sizeof *embeds; i++) {
                struct arena *a = arena_new();
                struct client_input in = input(a, embeds[i].body);
                struct embed_request r = {0};
                struct err err = {0};
                struct buf out;
                buf_init(&out, 4096);
                in.path_batch = embeds[i].batch;
                if (!dialect_gemini.decode_embed_request(&in, &r, &err)) {
                        buf_addf(&out, "!%s", err.param);
                } else {
                        for (struct embed_input *e = r.inputs; e; e = e->next)
                                buf_addf(&out, "%s|", e->text.at);
                        if (r.task_type)
                                buf_addf(&out, " task=%s", r.task_type);
                        if (r.title)
                                buf_addf(&out, " title=%s", r.title);
                        if (r.dimensions.set)
                                buf_addf(&out, " dim=%d", (int)r.dimensions.value);
                        assert_int_equal(r.single, !embeds[i].batch);
                }
                assert_string_equal(out.data, embeds[i].expected);
                buf_release(&out);
                arena_free(a);
        }
}

/* Work must stay linear in what a client can send. */
static void test_many_parts(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct buf body;
        buf_init(&body, 64 << 20);
        buf_adds(&body, "{\"contents\":[{\"role\":\"model\",\"parts\":[");
        for (int i = 0; i < 20000; i++)
                buf_addf(&body, "%s{\"text\":\"%0100d\",\"thought\":true}", i ? "," : "", i);
        buf_adds(&body, "]},{\"parts\":[{\"text\":\"x\"}]}]}");
        struct client_input in = input(a, body.data);
        struct chat_request r = {0};
        struct err err = {0};
        assert_true(dialect_gemini.decode_chat_request(&in, &r, &err));
        assert_int_equal(r.messages->blocks->text.len, 2000000);
        assert_null(r.messages->blocks->next);
        buf_release(&body);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
                cmocka_unit_test(test_wrapped), cmocka_unit_test(test_formats),
                cmocka_unit_test(test_embed),   cmocka_unit_test(test_many_parts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
