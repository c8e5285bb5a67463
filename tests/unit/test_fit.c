/* policy/fit: what a target cannot do, `set` and `default`, guards, and the edits of the fast path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "policy/catalogue.h"
#include "policy/fit.h"

#define OPENAI_EFFORTS (1u << EFFORT_NONE | 1u << EFFORT_LOW | 1u << EFFORT_MEDIUM | 1u << EFFORT_HIGH)
#define CLAUDE_EFFORTS (1u << EFFORT_LOW | 1u << EFFORT_MEDIUM | 1u << EFFORT_HIGH)

static const struct config_catalogue_row rows[] = {
        {.pattern = "gpt",
         .caps = {.max_output = 1000,
                  .sampling = SAMPLING_WITHOUT_REASONING,
                  .reasoning = REASONING_EFFORT,
                  .efforts = OPENAI_EFFORTS,
                  .off = THINKING_OFF_DISABLED,
                  .penalties = TRI_NO,
                  .logprobs = TRI_NO,
                  .max_tokens_field = "max_completion_tokens"}},
        {.pattern = "gpt-tools",
         .caps = {.reasoning = REASONING_EFFORT, .efforts = OPENAI_EFFORTS, .tools_with_reasoning = TRI_NO}},
        {.pattern = "gpt-old",
         .caps = {.reasoning = REASONING_NONE,
                  .stop = TRI_NO,
                  .seed = TRI_NO,
                  .structured = STRUCTURED_JSON_OBJECT}},
        {.pattern = "blind",
         .caps = {.vision = TRI_NO, .documents = TRI_NO, .tools = TRI_NO, .structured = STRUCTURED_NONE}},
        {.pattern = "claude-new",
         .caps = {.max_output = 128000,
                  .sampling = SAMPLING_NO,
                  .reasoning = REASONING_ADAPTIVE,
                  .efforts = CLAUDE_EFFORTS,
                  .off = THINKING_OFF_NEVER,
                  .forced_tools = TRI_NO,
                  .prefill = TRI_NO}},
        {.pattern = "claude-old",
         .caps = {.reasoning = REASONING_BUDGET, .prefill = TRI_YES, .efforts = 1u << EFFORT_NONE}},
        {.pattern = "claude-strict", .caps = {.api_version = "2026-10-21"}},
        {.pattern = "claude-tool", .caps = {.structured = STRUCTURED_FORCED_TOOL}},
        {.pattern = "gemini-level",
         .caps = {.reasoning = REASONING_LEVEL,
                  .efforts = CLAUDE_EFFORTS,
                  .candidates = TRI_YES,
                  .parallel_tool_switch = TRI_NO}},
        {.pattern = "gemini-plain", .caps = {.reasoning = REASONING_NONE}},
};

static const struct config_guard guards[] = {
        {"openai", "service_tier", "tiers", false},
        {"openai", "file_id", "files", true},
        {"openai", "store", "files", true},
        {"anthropic", "header:anthropic-beta", "betas", false},
        {"anthropic", "service_tier", "tiers", false},
        {"anthropic", "mcp_servers", "hosted-tools", true},
        {"anthropic", "speed", "tiers", false},
        {"anthropic", "container", "files", false},
        {"anthropic", "tool:web_search*", "hosted-tools", false},
        {"anthropic", "tool:code_execution*", "hosted-tools", true},
        {"anthropic", "file_id", "files", true},
        {"gemini", "fileData", "files", true},
        {"gemini", "cachedContent", "files", false},
        {"gemini", "labels", "files", false},
};

static const struct config config = {.catalogue = rows,
                                     .catalogue_count = sizeof rows / sizeof *rows,
                                     .guards = guards,
                                     .guard_count = sizeof guards / sizeof *guards};
static const struct config_account nobody = {.name = "nobody"};

#define O(members) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" members "}"
#define A(members)                                                                                           \
        "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" members "}"
#define A_CONTENT(block)                                                                                     \
        "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[" block "]}]}"
#define G(members) "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]" members "}"
#define TOOL_O     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
#define TOOL_A     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"

struct scene {
        const char *client, *body, *provider, *model;
        const char *unfit;    /* field; NULL: it fits */
        const char *adjusted; /* fields, in order; NULL: nothing */
        const char *patched;  /* the bytes that go out; NULL: not by the fast path */
        const struct config_account *account;
};

static const struct scene scenes[] = {
        /* the same dialect */
        {"openai", O(""), "openai", "x", NULL, NULL,
         "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL},
        {"openai", O(",\"new_field\":{\"a\":1},\"stream\":true"), "openai", "x", NULL, NULL,
         "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"new_field\":{\"a\":1},"
         "\"stream\":true,"
         "\"stream_options\":{\"include_usage\":true}}",
         NULL},
        {"openai", O(",\"max_tokens\":5000,\"temperature\":0.5,\"seed\":3"), "openai", "gpt", NULL,
         "temperature, max_tokens",
         "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_completion_tokens\":"
         "1000,"
         "\"seed\":3}",
         NULL},
        {"openai", O(",\"temperature\":0.5,\"reasoning_effort\":\"none\",\"max_tokens\":5"), "openai", "gpt",
         NULL, NULL,
         "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"temperature\":0.5,"
         "\"reasoning_effort\":\"none\",\"max_completion_tokens\":5}",
         NULL},
        {"openai", O(",\"reasoning_effort\":\"xhigh\",\"presence_penalty\":1"), "openai", "gpt", NULL,
         "reasoning_effort, presence_penalty",
         "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"reasoning_effort\":"
         "\"high\"}",
         NULL},
        {"openai", O(",\"reasoning_effort\":\"high\""), "openai", "gpt-old", NULL, "reasoning_effort",
         "{\"model\":\"gpt-old\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL},
        {"openai", O(",\"reasoning_effort\":\"none\""), "openai", "gpt-old", NULL, NULL,
         "{\"model\":\"gpt-old\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL},
        {"openai", O("," TOOL_O), "openai", "gpt-tools", NULL, NULL,
         "{\"model\":\"gpt-tools\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," TOOL_O
         ",\"reasoning_effort\":\"none\"}",
         NULL},
        {"openai", O("," TOOL_O ",\"reasoning_effort\":\"high\""), "openai", "gpt-tools", NULL,
         "reasoning_effort",
         "{\"model\":\"gpt-tools\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," TOOL_O
         ",\"reasoning_effort\":\"none\"}",
         NULL},
        {"openai", O(",\"stop\":\"x\""), "openai", "gpt-old", "stop", NULL, NULL, NULL},
        {"openai", O(",\"seed\":1"), "openai", "gpt-old", NULL, "seed",
         "{\"model\":\"gpt-old\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL},
        {"openai", O(",\"logprobs\":true"), "openai", "gpt", "logprobs", NULL, NULL, NULL},
        {"openai", O(",\"logit_bias\":{\"5\":1}"), "openai", "gpt", "logit_bias", NULL, NULL, NULL},
        {"openai", O(",\"n\":2,\"logprobs\":true,\"logit_bias\":{\"5\":1}"), "openai", "x", NULL, NULL,
         "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"n\":2,\"logprobs\":true,"
         "\"logit_bias\":"
         "{\"5\":1}}",
         NULL},
        {"openai",
         O(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{"
           "\"type\":\"object\"}}}"),
         "openai", "gpt-old", "response_format", NULL, NULL, NULL},
        {"openai", O(",\"response_format\":{\"type\":\"json_object\"}"), "openai", "blind", "response_format",
         NULL, NULL, NULL},
        {"openai", O("," TOOL_O), "openai", "blind", "tools", NULL, NULL, NULL},
        {"openai",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_"
         "url\":{\"url\":"
         "\"https://x/y.png\"}}]}]}",
         "openai", "blind", "messages[0].content[0]", NULL, NULL, NULL},
        {"anthropic", A(",\"temperature\":0.5,\"top_k\":2"), "anthropic", "claude-new", NULL,
         "temperature, top_k",
         "{\"model\":\"claude-new\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         NULL},
        {"anthropic", A(",\"temperature\":0.5"), "anthropic", "claude-strict", NULL, "temperature",
         "{\"model\":\"claude-strict\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}"
         "]}",
         NULL},
        {"anthropic", A("," TOOL_A ",\"tool_choice\":{\"type\":\"any\"}"), "anthropic", "claude-new",
         "tool_choice", NULL, NULL, NULL},
        {"anthropic", A(",\"thinking\":{\"type\":\"disabled\"}"), "anthropic", "claude-new", NULL, "thinking",
         NULL, NULL},
        {"anthropic", A(",\"thinking\":{\"type\":\"adaptive\"}"), "anthropic", "claude-new", NULL, NULL,
         "{\"model\":\"claude-new\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
         "\"thinking\":"
         "{\"type\":\"adaptive\"}}",
         NULL},
        {"anthropic", A(",\"thinking\":{\"type\":\"adaptive\"}"), "anthropic", "claude-old", NULL,
         "max_tokens, thinking", NULL, NULL},
        {"anthropic", A(",\"output_config\":{\"effort\":\"max\"}"), "anthropic", "claude-new", NULL,
         "thinking", NULL, NULL},
        {"anthropic", A(",\"output_config\":{\"effort\":\"high\"}"), "anthropic", "claude-old", NULL,
         "thinking", NULL, NULL},
        {"anthropic",
         A(",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}"),
         "anthropic", "claude-tool", NULL, NULL, NULL, NULL},
        {"anthropic",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
         "\"assistant\","
         "\"content\":\"a\"}]}",
         "anthropic", "claude-new", "messages[1]", NULL, NULL, NULL},
        {"gemini", G(",\"generation_config\":{\"max_output_tokens\":9}"), "gemini", "gemini-level", NULL,
         NULL, G(",\"generation_config\":{\"max_output_tokens\":9}"), NULL},
        {"gemini", G(",\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":500}}"), "gemini",
         "gemini-level", NULL, "generationConfig.thinkingConfig", NULL, NULL},
        {"gemini", G(",\"generationConfig\":{\"candidateCount\":2}"), "gemini", "gemini-level", NULL, NULL,
         G(",\"generationConfig\":{\"candidateCount\":2}"), NULL},
        /* another dialect */
        {"openai", O(",\"n\":2"), "anthropic", "x", "n", NULL, NULL, NULL},
        {"openai", O(",\"n\":1"), "anthropic", "x", NULL, NULL, NULL, NULL},
        {"openai", O(",\"n\":2"), "gemini", "gemini-level", NULL, NULL, NULL, NULL},
        {"openai", O(",\"n\":2"), "gemini", "gemini-plain", "n", NULL, NULL, NULL},
        {"openai", O(",\"logprobs\":true"), "anthropic", "x", "logprobs", NULL, NULL, NULL},
        {"openai", O(",\"logit_bias\":{\"5\":1}"), "gemini", "x", "logit_bias", NULL, NULL, NULL},
        {"openai",
         O(",\"temperature\":1.5,\"seed\":4,\"frequency_penalty\":1,\"user\":\"u\",\"verbosity\":\"low\","
           "\"prompt_cache_key\":\"k\",\"metadata\":{\"a\":\"b\"}"),
         "anthropic", "x", NULL,
         "temperature, frequency_penalty, seed, metadata, prompt_cache_key, verbosity", NULL, NULL},
        {"openai", O(",\"user\":\"u\",\"seed\":4"), "gemini", "x", NULL, "user", NULL, NULL},
        {"openai", O(",\"stop\":[\" \",\"a\"]"), "anthropic", "x", NULL, "stop", NULL, NULL},
        {"openai", O(",\"unheard_of\":1"), "anthropic", "x", "unheard_of", NULL, NULL, NULL},
        {"openai", O(",\"prompt_cache_retention\":\"24h\""), "anthropic", "x", NULL, "prompt_cache_retention",
         NULL, NULL},
        {"openai", O("," TOOL_O ",\"parallel_tool_calls\":false"), "gemini", "gemini-level", NULL,
         "parallel_tool_calls", NULL, NULL},
        {"openai", O("," TOOL_O ",\"tool_choice\":\"required\",\"reasoning_effort\":\"high\""), "anthropic",
         "claude-old", NULL, "reasoning_effort", NULL, NULL},
        {"openai", O(",\"reasoning_effort\":\"high\",\"temperature\":0.1"), "anthropic", "claude-old", NULL,
         "temperature", NULL, NULL},
        {"openai", O(",\"reasoning_effort\":\"none\""), "anthropic", "claude-new", NULL, "reasoning_effort",
         NULL, NULL},
        {"openai", O(",\"reasoning_effort\":\"high\""), "gemini", "gemini-plain", NULL, "reasoning_effort",
         NULL, NULL},
        {"openai",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_"
         "audio\":{\"data\":"
         "\"aGk=\",\"format\":\"wav\"}}]}]}",
         "anthropic", "x", "messages[0].content[0]", NULL, NULL, NULL},
        {"anthropic", A(",\"thinking\":{\"type\":\"adaptive\"},\"speed\":\"fast\""), "openai", "x", NULL,
         "speed, thinking", NULL, NULL},
        {"anthropic", A(",\"inference_geo\":\"eu\""), "openai", "x", "inference_geo", NULL, NULL, NULL},
        {"anthropic",
         A(",\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}]"),
         "openai", "x", NULL, "cache_control", NULL, NULL},
        {"anthropic", A(",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"), "openai",
         "x", "tools[0]", NULL, NULL, NULL},
        {"anthropic",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"document\",\"source\":{"
         "\"type\":\"text\",\"media_type\":\"text/"
         "plain\",\"data\":\"d\"},\"citations\":{\"enabled\":true}},{\"type\":"
         "\"search_result\"}]}]}",
         "gemini", "x", "messages[0].content[1]", NULL, NULL, NULL},
        {"anthropic",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
         "\"assistant\","
         "\"content\":\"a\"}]}",
         "openai", "x", "messages[1]", NULL, NULL, NULL},
        {"gemini", G(",\"generationConfig\":{\"topK\":4}"), "openai", "x", NULL, "generationConfig.topK",
         NULL, NULL},
        /* echo takes everything */
        {"openai", O(",\"n\":3,\"logprobs\":true,\"unheard_of\":1"), "echo", "x", NULL, NULL, NULL, NULL},
        /* guards */
        {"openai", O(",\"service_tier\":\"flex\""), "openai", "x", NULL, "service_tier",
         "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", &nobody},
        {"openai", O(",\"store\":true"), "openai", "x", "store", NULL, NULL, &nobody},
        {"openai",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_"
         "id\":\"f\"}}]}]}",
         "openai", "x", "messages[0].content[0]", NULL, NULL, &nobody},
        {"anthropic", A(",\"mcp_servers\":[]"), "anthropic", "x", "mcp_servers", NULL, NULL, &nobody},
        {"anthropic", A(",\"speed\":\"fast\",\"service_tier\":\"auto\",\"container\":\"c\""), "anthropic",
         "x", NULL, "service_tier, speed, container",
         "{\"model\":\"x\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         &nobody},
        {"anthropic", A(",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"),
         "anthropic", "x", NULL, "tools", NULL, &nobody},
        {"anthropic", A(",\"tools\":[{\"type\":\"code_execution_20250825\",\"name\":\"c\"}]"), "anthropic",
         "x", "tools[0]", NULL, NULL, &nobody},
        {"anthropic",
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"container_upload\","
         "\"file_id\":\"f\"}]}]}",
         "anthropic", "x", "messages[0].content[0]", NULL, NULL, &nobody},
        /* a file deep inside content that nobody takes apart */
        {"anthropic",
         A_CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"image\","
                   "\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]}}"),
         "anthropic", "x", "messages[0].content[0]", NULL, NULL, &nobody},
        {"anthropic",
         A_CONTENT("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"image\","
                   "\"text\":\"x\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]}}"),
         "anthropic", "x", "messages[0].content[0]", NULL, NULL, &nobody},
        {"anthropic", A_CONTENT("{\"type\":\"text\",\"text\":\"x\",\"new\":[{\"file_ids\":[\"f\"]}]}"),
         "anthropic", "x", "messages[0].content[0]", NULL, NULL, &nobody},
        {"gemini",
         "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":"
         "\"https://generativelanguage.googleapis.com/v1beta/files/f\"}}]}]}",
         "gemini", "x", "contents[0].parts[0]", NULL, NULL, &nobody},
        {"gemini",
         "{\"contents\":[{\"parts\":[{\"file_data\":{\"mime_type\":\"image/png\",\"file_uri\":"
         "\"http://u@GenerativeLanguage.googleapis.com:443/v1beta/files/f\"}}]}]}",
         "gemini", "x", "contents[0].parts[0]", NULL, NULL, &nobody},
        {"gemini", G(",\"cached_content\":\"c\",\"labels\":{\"a\":\"b\"}"), "gemini", "gemini-level", NULL,
         "cachedContent, labels", G(""), &nobody},
};

static bool decode(struct arena *a, const struct scene *s, struct chat_request *r, struct err *err)
{
        static const struct form_fields no_query;
        struct client_input in = {.arena = a, .body = str_of(s->body), .path_model = "m", .query = &no_query};
        *r = (struct chat_request){0};
        return dialect_by_name(s->client)->decode_chat_request(&in, r, err);
}

static const char *adjusted(struct arena *a, const struct fit *f)
{
        const char *text = NULL;
        for (size_t i = 0; i < f->change_count; i++) {
                if (!f->changes[i].forced)
                        text = arena_printf(a, "%s%s%s", text ? text : "", text ? ", " : "",
                                            f->changes[i].shown);
        }
        return text;
}

static const char *patched(struct arena *a, const struct fit *f, const struct config_target *t,
                           const char *body, const struct config_version *version)
{
        struct patch_edit edits[64];
        struct buf out;
        if (!f->patchable)
                return NULL;
        size_t n = fit_patch_edits(a, f, t, version, edits, 64);
        buf_init(&out, 1 << 20);
        assert_true(patch_apply(str_of(body), edits, n, &out));
        const char *text = arena_strdup(a, out.data);
        buf_release(&out);
        return text;
}

static bool same_json(const char *got, const char *want)
{
        json_object *g = json_tokener_parse(got), *w = json_tokener_parse(want);
        bool same = g && w && json_object_equal(g, w);
        json_object_put(g);
        json_object_put(w);
        return same;
}

static bool same_text(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_scene(const struct scene *s)
{
        struct arena *a = arena_new();
        struct config_provider provider = {.name = "p", .dialect = s->provider};
        struct config_target target = {.provider = &provider, .model = s->model};
        struct chat_request r;
        struct err err = {0};
        struct fit f;
        if (!decode(a, s, &r, &err))
                fail_msg("%s: %s", s->body, err.message);
        struct chat_request before = r;
        fit_chat(a, &config, &r, &target, NULL, s->account, &f);
        assert_memory_equal(&before, &r, sizeof r);
        if (!f.fits && !s->unfit)
                fail_msg("%s to %s: unfit: %s: %s", s->body, s->model, f.unfit_field, f.unfit_why);
        if (s->unfit && (f.fits || strcmp(f.unfit_field, s->unfit) != 0))
                fail_msg("%s to %s: %s, not unfit for %s", s->body, s->model, f.fits ? "fits" : f.unfit_field,
                         s->unfit);
        if (s->unfit) {
                assert_int_equal(f.unfit_cause, s->account ? ERR_FORBIDDEN : ERR_UNSUPPORTED);
                arena_free(a);
                return;
        }
        if (!same_text(adjusted(a, &f), s->adjusted))
                fail_msg("%s to %s: adjusted %s, not %s", s->body, s->model, adjusted(a, &f), s->adjusted);
        const char *bytes = patched(a, &f, &target, s->body, NULL);
        if (!!bytes != !!s->patched || (bytes && !same_json(bytes, s->patched)))
                fail_msg("%s to %s: patched to %s", s->body, s->model, bytes ? bytes : "nothing");
        arena_free(a);
}

static void requests_are_fitted(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
                check_scene(&scenes[i]);
}

/* With the permission, everything travels. */
static void permissions(void **state)
{
        (void)state;
        static const char *const words[] = {"files", "tiers", "hosted-tools", "betas"};
        static const struct config_account all = {.name = "all", .allow = words, .allow_count = 4};
        for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
                if (scenes[i].account != &nobody)
                        continue;
                struct scene s = scenes[i];
                s.account = &all;
                s.unfit = s.adjusted = NULL;
                struct arena *a = arena_new();
                struct config_provider provider = {.name = "p", .dialect = s.provider};
                struct config_target target = {.provider = &provider, .model = s.model};
                struct chat_request r;
                struct err err = {0};
                struct fit f;
                assert_true(decode(a, &s, &r, &err));
                fit_chat(a, &config, &r, &target, NULL, &all, &f);
                assert_true(f.fits && f.patchable);
                assert_int_equal(f.change_count, 0);
                arena_free(a);
        }
}

/* What an earlier answer held comes back in the history, and reaches no file. */
static void results_name_files(void **state)
{
        (void)state;
        static const char body[] = A_CONTENT(
                "{\"type\":\"bash_code_execution_tool_result\",\"tool_use_id\":\"t\",\"content\":{"
                "\"type\":\"bash_code_execution_result\",\"content\":[{\"type\":"
                "\"bash_code_execution_output\",\"file_id\":\"f\"}]}},"
                "{\"type\":\"server_tool_use\",\"id\":\"t\",\"name\":\"n\",\"input\":{\"file_id\":\"f\"}}");
        struct arena *a = arena_new();
        struct scene s = {.client = "anthropic", .body = body};
        struct config_provider provider = {.name = "p", .dialect = "anthropic"};
        struct config_target target = {.provider = &provider, .model = "x"};
        struct chat_request r;
        struct err err = {0};
        struct fit f;
        assert_true(decode(a, &s, &r, &err));
        fit_chat(a, &config, &r, &target, NULL, &nobody, &f);
        assert_true(f.fits && f.patchable);
        arena_free(a);
}

static void betas_are_guarded(void **state)
{
        (void)state;
        static const struct form_fields no_query;
        struct arena *a = arena_new();
        struct config_provider provider = {.name = "p", .dialect = "anthropic"};
        struct config_target target = {.provider = &provider, .model = "x"};
        struct chat_request r;
        struct err err = {0};
        struct fit f;
        struct wire_request wire = {0};
        struct wire_target wire_target = {.model = "x"};
        struct client_input in = {.arena = a, .body = str_of(A("")), .betas = "b-1", .query = &no_query};
        assert_true(dialect_anthropic.decode_chat_request(&in, &r, &err));
        fit_chat(a, &config, &r, &target, NULL, &nobody, &f);
        assert_true(f.fits && f.patchable);
        assert_string_equal(adjusted(a, &f), "header:anthropic-beta");
        dialect_anthropic.address_chat_request(a, &f.request, &wire_target, &wire);
        assert_int_equal(wire.header_count, 1);
        assert_true(same_json(
                patched(a, &f, &target, A(""), NULL),
                "{\"model\":\"x\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
        arena_free(a);
}

/* ---- set and default ---- */

static const char *const stops[] = {"END"};
static const struct config_field set[] = {
        {.name = "temperature", .type = CONFIG_FIELD_NUMBER, .number = 0.2},
        {.name = "max_tokens", .type = CONFIG_FIELD_INT, .integer = 7},
        {.name = "stop", .type = CONFIG_FIELD_STRINGS, .strings = stops, .string_count = 1},
};
static const struct config_field fill[] = {
        {.name = "top_p", .type = CONFIG_FIELD_NUMBER, .number = 0.5},
        {.name = "user", .type = CONFIG_FIELD_STRING, .string = "u\"1"},
};
static const struct config_version version = {
        .name = "1", .set = set, .set_count = 3, .fill = fill, .fill_count = 2};

static void set_and_default(void **state)
{
        (void)state;
        static const struct {
                const char *client, *body, *patched;
        } cases[] = {
                {"openai", O(",\"max_completion_tokens\":100,\"temperature\":2,\"top_p\":0.9,\"stop\":\"x\""),
                 "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":7,"
                 "\"temperature\":0.2,"
                 "\"top_p\":0.9,\"stop\":[\"END\"],\"user\":\"u\\\"1\"}"},
                {"openai", O(",\"max_tokens\":null"),
                 "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":7,"
                 "\"temperature\":0.2,"
                 "\"top_p\":0.5,\"stop\":[\"END\"],\"user\":\"u\\\"1\"}"},
                {"anthropic", A(",\"metadata\":{\"user_id\":\"me\"}"),
                 "{\"model\":\"x\",\"max_tokens\":7,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                 "\"metadata\":{"
                 "\"user_id\":\"me\"},\"temperature\":0.2,\"top_p\":0.5,\"stop_sequences\":[\"END\"]}"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct scene s = {.client = cases[i].client, .body = cases[i].body};
                struct config_provider provider = {.name = "p", .dialect = cases[i].client};
                struct config_target target = {.provider = &provider, .model = "x"};
                struct chat_request r;
                struct err err = {0};
                struct fit f;
                assert_true(decode(a, &s, &r, &err));
                fit_chat(a, &config, &r, &target, &version, NULL, &f);
                assert_true(f.fits && f.patchable);
                assert_null(adjusted(a, &f));
                assert_int_equal(f.request.max_tokens.value, 7);
                const char *bytes = patched(a, &f, &target, s.body, &version);
                if (!same_json(bytes, cases[i].patched))
                        fail_msg("%s: %s", s.body, bytes);
                arena_free(a);
        }
}

/* What the operator sets in one dialect's words counts under every alias of gemini, too. */
static void set_in_gemini(void **state)
{
        (void)state;
        static const char body[] =
                G(",\"generation_config\":{\"max_output_tokens\":500,\"temperature\":1.5}");
        struct arena *a = arena_new();
        struct scene s = {.client = "gemini", .body = body};
        struct config_provider provider = {.name = "p", .dialect = "gemini"};
        struct config_target target = {.provider = &provider, .model = "gemini-level"};
        struct config_version only = {.name = "1", .set = set, .set_count = 2};
        struct chat_request r;
        struct err err = {0};
        struct fit f;
        assert_true(decode(a, &s, &r, &err));
        fit_chat(a, &config, &r, &target, &only, NULL, &f);
        assert_true(f.fits && f.patchable);
        const char *bytes = patched(a, &f, &target, body, &only);
        assert_null(strstr(bytes, "500"));
        assert_null(strstr(bytes, "1.5"));
        assert_non_null(strstr(bytes, ":7"));
        assert_non_null(strstr(bytes, "0.2"));
        arena_free(a);
}

static void forced_efforts(void **state)
{
        (void)state;
        static const struct config_field effort[] = {
                {.name = "reasoning_effort", .type = CONFIG_FIELD_STRING, .string = "low"}};
        struct config_version v = {.name = "1", .set = effort, .set_count = 1};
        struct arena *a = arena_new();
        struct scene s = {.client = "openai", .body = O(",\"reasoning_effort\":\"high\"")};
        struct config_provider openai = {.name = "p", .dialect = "openai"},
                               claude = {.name = "c", .dialect = "anthropic"};
        struct config_target at_openai = {.provider = &openai, .model = "gpt"},
                             at_claude = {.provider = &claude, .model = "claude-new"};
        struct chat_request r;
        struct err err = {0};
        struct fit f;
        assert_true(decode(a, &s, &r, &err));
        fit_chat(a, &config, &r, &at_openai, &v, NULL, &f);
        assert_true(f.patchable);
        assert_non_null(strstr(patched(a, &f, &at_openai, s.body, &v), "\"reasoning_effort\":\"low\""));
        s = (struct scene){.client = "anthropic", .body = A("")};
        assert_true(decode(a, &s, &r, &err));
        fit_chat(a, &config, &r, &at_claude, &v, NULL, &f);
        assert_false(f.patchable);
        assert_int_equal(f.request.reasoning.effort, EFFORT_LOW);
        arena_free(a);
}

/* ---- allowed tools ---- */

static void allowed_tools_are_filtered(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.from = DIALECT_OPENAI, .model = "m", .tool_choice = TOOL_CHOICE_AUTO};
        chat_add_tool(a, &r)->name = "f";
        chat_add_tool(a, &r)->name = "g";
        chat_add_name(a, &r.allowed_tools, "g");
        struct config_provider provider = {.name = "p", .dialect = "anthropic"};
        struct config_target target = {.provider = &provider, .model = "x"};
        struct fit f;
        fit_chat(a, &config, &r, &target, NULL, NULL, &f);
        assert_true(f.fits);
        assert_string_equal(f.request.tools->name, "g");
        assert_null(f.request.tools->next);
        assert_string_equal(r.tools->next->name, "g");
        arena_free(a);
}

/* ---- embeddings ---- */

static void embeddings(void **state)
{
        (void)state;
        static const struct config_catalogue_row embed_rows[] = {
                {.pattern = "ada", .caps = {.tasks = TASK_EMBED, .dimensions = TRI_NO, .batch_inputs = 9}},
                {.pattern = "chat", .caps = {.tasks = TASK_CHAT}},
        };
        static const struct config c = {.catalogue = embed_rows, .catalogue_count = 2};
        static const int64_t tokens[] = {1};
        struct embed_input text = {.text = {"x", 1}},
                           ids = {.tokens = tokens, .token_count = 1, .path = "input[0]"};
        struct chat_extra hint = {.name = "h", .hint = true}, extra = {.name = "e"};
        const struct {
                const char *dialect, *model;
                struct embed_request r;
                const char *unfit, *adjusted;
                int64_t batch;
        } cases[] = {
                {"openai", "x", {.from = DIALECT_OPENAI, .inputs = &text}, NULL, NULL, 2048},
                {"gemini", "x", {.from = DIALECT_OPENAI, .inputs = &text, .user = "u"}, NULL, "user", 100},
                {"openai", "ada", {.from = DIALECT_OPENAI, .inputs = &text}, NULL, NULL, 9},
                {"openai",
                 "ada",
                 {.from = DIALECT_OPENAI, .inputs = &text, .dimensions = {true, 5}},
                 "dimensions",
                 NULL,
                 0},
                {"openai", "chat", {.from = DIALECT_OPENAI, .inputs = &text}, "model", NULL, 0},
                {"anthropic", "x", {.from = DIALECT_OPENAI, .inputs = &text}, "model", NULL, 0},
                {"gemini", "x", {.from = DIALECT_OPENAI, .inputs = &ids}, "input[0]", NULL, 0},
                {"openai", "x", {.from = DIALECT_OPENAI, .inputs = &ids}, NULL, NULL, 2048},
                {"openai",
                 "x",
                 {.from = DIALECT_GEMINI, .inputs = &text, .task_type = "T"},
                 NULL,
                 "taskType",
                 2048},
                {"gemini", "x", {.from = DIALECT_OPENAI, .inputs = &text, .extras = &extra}, "e", NULL, 0},
                {"gemini", "x", {.from = DIALECT_OPENAI, .inputs = &text, .extras = &hint}, NULL, "h", 100},
                {"echo", "x", {.from = DIALECT_OPENAI, .inputs = &ids, .extras = &extra}, NULL, NULL, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct config_provider provider = {.name = "p", .dialect = cases[i].dialect};
                struct config_target target = {.provider = &provider, .model = cases[i].model};
                struct embed_fit f;
                fit_embed(a, &c, &cases[i].r, &target, NULL, &f);
                if (f.fits != !cases[i].unfit || (!f.fits && strcmp(f.unfit_field, cases[i].unfit) != 0))
                        fail_msg("case %zu: %s", i, f.fits ? "fits" : f.unfit_field);
                if (f.fits) {
                        assert_int_equal(f.batch_inputs, cases[i].batch);
                        assert_true(same_text(f.adjusted_count ? f.adjusted[0] : NULL, cases[i].adjusted));
                }
                arena_free(a);
        }
}

static void efforts_snap_to_the_nearest(void **state)
{
        (void)state;
        static const struct {
                unsigned set;
                enum effort wanted, nearest;
        } cases[] = {
                {0, EFFORT_MAX, EFFORT_MAX},
                {CLAUDE_EFFORTS, EFFORT_MAX, EFFORT_HIGH},
                {CLAUDE_EFFORTS, EFFORT_MINIMAL, EFFORT_LOW},
                {CLAUDE_EFFORTS, EFFORT_NONE, EFFORT_LOW},
                {OPENAI_EFFORTS, EFFORT_MINIMAL, EFFORT_LOW},
                {1u << EFFORT_LOW | 1u << EFFORT_HIGH, EFFORT_MEDIUM, EFFORT_LOW},
                {1u << EFFORT_NONE, EFFORT_HIGH, EFFORT_UNSET},
                {CLAUDE_EFFORTS, EFFORT_UNSET, EFFORT_UNSET},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                assert_int_equal(effort_nearest(cases[i].set, cases[i].wanted), cases[i].nearest);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_are_fitted), cmocka_unit_test(permissions),
                cmocka_unit_test(results_name_files),  cmocka_unit_test(betas_are_guarded),
                cmocka_unit_test(set_and_default),     cmocka_unit_test(set_in_gemini),
                cmocka_unit_test(forced_efforts),      cmocka_unit_test(allowed_tools_are_filtered),
                cmocka_unit_test(embeddings),          cmocka_unit_test(efforts_snap_to_the_nearest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
