/* policy/catalogue: which rows count for a model, and in which order; and the rows as shipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "policy/catalogue.h"
#include "policy/fit.h"

static void ids_dates_and_globs(void **state)
{
        (void)state;
        static const struct {
                const char *pattern, *model;
                bool matches;
                size_t literal;
        } cases[] = {
                {"gpt-5.5", "gpt-5.5", true, 7},
                {"gpt-5.5", "gpt-5.5-2026-04-23", true, 7},
                {"claude-opus-4-5", "claude-opus-4-5-20251101", true, 15},
                {"claude-sonnet-4-5", "claude-sonnet-4-5@20250929", true, 17},
                {"gpt-5.5", "gpt-5.5-pro", false, 0},
                {"gpt-5.5", "gpt-5.5-2026-04-2", false, 0},
                {"gpt-5.5", "gpt-5.5-2026-04-233", false, 0},
                {"gpt-5.5", "gpt-5.5-2026-0423", false, 0},
                {"gpt-5.5", "gpt-5.5@2026-04-23", false, 0},
                {"gpt-5.5", "gpt-5", false, 0},
                {"claude-opus-5", "claude-opus-5-5", false, 0},
                {"gpt-5.5*", "gpt-5.5-pro", true, 7},
                {"*", "anything", true, 0},
                {"gpt-?", "gpt-5", true, 4},
                {"gpt-*-mini", "gpt-5.4-mini", true, 9},
                {"gpt-*-mini", "gpt-5.4", false, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                size_t literal = 0;
                if (catalogue_matches(cases[i].pattern, cases[i].model, &literal) != cases[i].matches)
                        fail_msg("%s and %s", cases[i].pattern, cases[i].model);
                if (cases[i].matches)
                        assert_int_equal(literal, cases[i].literal);
        }
}

static void rows_are_laid_over_each_other(void **state)
{
        (void)state;
        static const struct config_catalogue_row rows[] = {
                {.pattern = "m-1", .shipped = true, .caps = {.window = 30, .vision = TRI_YES}},
                {.pattern = "*", .shipped = true, .caps = {.window = 10, .max_output = 5, .tools = TRI_NO}},
                {.pattern = "m-*", .shipped = true, .caps = {.window = 20, .seed = TRI_YES}},
                {.pattern = "m-1", .shipped = false, .caps = {.max_output = 7}},
                {.pattern = "m-*", .shipped = false, .caps = {.window = 25}},
        };
        const struct config c = {.catalogue = rows, .catalogue_count = sizeof rows / sizeof *rows};
        struct model_caps caps;
        catalogue_caps(&c, "m-1-2026-01-01", &caps);
        assert_int_equal(caps.window, 30); /* the id says more than the operator's glob */
        assert_int_equal(caps.max_output, 7);
        assert_int_equal(caps.tools, TRI_NO);
        assert_int_equal(caps.seed, TRI_YES);
        assert_int_equal(caps.vision, TRI_YES);
        catalogue_caps(&c, "m-2", &caps);
        assert_int_equal(caps.window, 25); /* the operator's of two alike */
        assert_int_equal(caps.vision, TRI_UNSET);
        catalogue_caps(&c, "other", &caps);
        assert_int_equal(caps.window, 10);
        struct config_target t = {
                .model = "m-1", .capabilities_given = true, .capabilities = CAPABILITY_TOOLS};
        catalogue_target_caps(&c, &t, &caps);
        assert_int_equal(caps.tools, TRI_YES);
        assert_int_equal(caps.vision, TRI_NO);
        assert_int_equal(caps.window, 30);
}

/* The shipped file, read by the program's own reader. */
static const struct config *load_shipped(char *path, size_t room)
{
        const char *source = getenv("TOLLGATE_SRCDIR");
        char folder[512];
        struct config_report report;
        snprintf(folder, sizeof folder, "%s/conf", source ? source : ".");
        setenv("TOLLGATE_DATADIR", folder, 1);
        snprintf(path, room, "/tmp/tollgate-catalogue-%ld.conf", (long)getpid());
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs("version = 1;\nproviders = ( { name = \"local\"; dialect = \"echo\"; } );\n"
              "models = ( { name = \"m\"; tasks = [\"chat\"]; versions = ( { name = \"1\"; targets = ( { "
              "provider = "
              "\"local\"; model = \"echo\"; } ); } ); } );\n"
              "accounts = ( { name = \"public\"; models = [\"*\"]; } );\nanonymous = \"public\";\n",
              f);
        fclose(f);
        const struct config *c = config_load(path, &report);
        for (size_t i = 0; i < report.count; i++)
                print_message("%s:%d: %s\n", report.problems[i].file, report.problems[i].line,
                              report.problems[i].text);
        assert_int_equal(report.errors, 0);
        config_report_free(&report);
        unlink(path);
        return c;
}

static void shipped_rows(void **state)
{
        (void)state;
        static const struct {
                const char *model;
                int64_t window, max_output;
                enum sampling_rule sampling;
                enum reasoning_kind reasoning;
                enum thinking_off off;
                enum tri forced_tools;
        } cases[] = {
                {"gpt-5.5-2026-04-23", 1050000, 128000, SAMPLING_WITHOUT_REASONING, REASONING_EFFORT,
                 THINKING_OFF_DISABLED, TRI_UNSET},
                {"gpt-5.4-mini-2026-03-17", 400000, 128000, SAMPLING_WITHOUT_REASONING, REASONING_EFFORT,
                 THINKING_OFF_DISABLED, TRI_UNSET},
                {"gpt-6-astra", 1050000, 128000, SAMPLING_NO, REASONING_EFFORT, THINKING_OFF_NEVER,
                 TRI_UNSET},
                {"gpt-5-mini", 400000, 128000, SAMPLING_NO, REASONING_EFFORT, THINKING_OFF_NEVER, TRI_UNSET},
                {"gpt-4o-mini", 128000, 16384, SAMPLING_YES, REASONING_NONE, THINKING_OFF_UNSET, TRI_UNSET},
                {"claude-opus-4-7", 1000000, 128000, SAMPLING_NO, REASONING_ADAPTIVE, THINKING_OFF_OMIT,
                 TRI_YES},
                {"claude-haiku-4-5-20251001", 200000, 64000, SAMPLING_YES, REASONING_BUDGET,
                 THINKING_OFF_OMIT, TRI_YES},
                {"claude-opus-5-5", 1000000, 128000, SAMPLING_NO, REASONING_ADAPTIVE, THINKING_OFF_NEVER,
                 TRI_NO},
                {"claude-sonnet-5-5", 1000000, 128000, SAMPLING_NO, REASONING_ADAPTIVE,
                 THINKING_OFF_BETWEEN_TOOLS, TRI_NO},
                {"gemini-3.5-flash", 1048576, 65536, SAMPLING_YES, REASONING_LEVEL, THINKING_OFF_NEVER,
                 TRI_YES},
                {"gemini-2.5-flash", 1048576, 65536, SAMPLING_YES, REASONING_BUDGET, THINKING_OFF_DISABLED,
                 TRI_YES},
                {"never-heard-of", 0, 0, SAMPLING_UNSET, REASONING_UNSET, THINKING_OFF_UNSET, TRI_UNSET},
        };
        char path[128];
        const struct config *c = load_shipped(path, sizeof path);
        assert_non_null(c);
        assert_true(c->catalogue_count > 50 && c->guard_count > 30);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct model_caps caps;
                catalogue_caps(c, cases[i].model, &caps);
                if (caps.window != cases[i].window || caps.max_output != cases[i].max_output ||
                    caps.sampling != cases[i].sampling || caps.reasoning != cases[i].reasoning ||
                    caps.off != cases[i].off || caps.forced_tools != cases[i].forced_tools)
                        fail_msg("%s: %lld %lld %d %d %d %d", cases[i].model, (long long)caps.window,
                                 (long long)caps.max_output, caps.sampling, caps.reasoning, caps.off,
                                 caps.forced_tools);
        }
        struct model_caps caps;
        catalogue_caps(c, "gemini-embedding-001", &caps);
        assert_int_equal(caps.tasks, TASK_EMBED);
        config_unref(c);
}

/* What reaches into the provider's account, price or network, as a caller may write it. */
static void shipped_guards(void **state)
{
        (void)state;
#define O(member) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," member "}"
#define A(member)                                                                                            \
        "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," member "}"
#define G(member) "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]," member "}"
        static const struct {
                const struct dialect *dialect;
                const char *body, *refused; /* NULL: left out */
        } cases[] = {
                {&dialect_openai, O("\"service_tier\":\"priority\""), NULL},
                {&dialect_openai, O("\"store\":true"), NULL},
                {&dialect_openai, O("\"previous_response_id\":\"r\""), "previous_response_id"},
                {&dialect_openai, O("\"Conversation\":\"c\""), "Conversation"},
                {&dialect_openai, O("\"web_search_options\":{}"), "web_search_options"},
                {&dialect_openai, O("\"tools\":[{\"type\":\"web_search_preview\"}]"), "tools[0]"},
                {&dialect_openai, O("\"tools\":[{\"type\":\"x_search\"}]"), "tools[0]"},
                {&dialect_openai, O("\"tools\":[{\"type\":\"mcp\",\"server_url\":\"x\"}]"), "tools[0]"},
                {&dialect_openai, O("\"models\":[\"dear\"]"), "models"},
                {&dialect_openai, O("\"plugins\":[{\"id\":\"web\"}]"), "plugins"},
                {&dialect_openai, O("\"extra_body\":{\"google\":{\"cached_content\":\"c\"}}"), "extra_body"},
                {&dialect_anthropic, A("\"container\":\"c\""), "container"},
                {&dialect_anthropic, A("\"mcp_servers\":[{}]"), "mcp_servers"},
                {&dialect_anthropic, A("\"inference_geo\":\"us\""), "inference_geo"},
                {&dialect_anthropic, A("\"service_tier\":\"auto\""), NULL},
                {&dialect_anthropic, A("\"speed\":\"fast\""), NULL},
                {&dialect_anthropic, A("\"SPEED\":\"fast\""), NULL},
                {&dialect_anthropic, A("\"tools\":[{\"type\":\"web_fetch_20260318\",\"name\":\"f\"}]"),
                 "tools[0]"},
                {&dialect_gemini, G("\"cachedContent\":\"c\""), "cachedContent"},
                {&dialect_gemini, G("\"cached_content\":\"c\""), "cachedContent"},
                {&dialect_gemini, G("\"service_tier\":\"flex\""), NULL},
                {&dialect_gemini, G("\"serviceTier\":\"flex\""), NULL},
                {&dialect_gemini, G("\"tools\":[{\"google_search\":{}}]"), "tools[0].google_search"},
                {&dialect_gemini, G("\"tools\":[{\"enterpriseWebSearch\":{}}]"),
                 "tools[0].enterpriseWebSearch"},
        };
        static const struct config_account nobody = {.name = "nobody"};
        static const struct form_fields no_query;
        char path[128];
        const struct config *c = load_shipped(path, sizeof path);
        assert_non_null(c);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct config_provider p = {.name = "p", .dialect = cases[i].dialect->name};
                struct config_target target = {.provider = &p, .model = "never-heard-of"};
                struct client_input in = {
                        .arena = a, .body = str_of(cases[i].body), .path_model = "m", .query = &no_query};
                struct patch_edit edits[64];
                struct chat_request r = {0};
                struct err err = {0};
                struct buf out;
                struct fit f;
                buf_init(&out, 1 << 16);
                if (!cases[i].dialect->decode_chat_request(&in, &r, &err))
                        fail_msg("%s: %s", cases[i].body, err.message);
                fit_chat(a, c, &r, &target, NULL, &nobody, &f);
                if (f.fits == !!cases[i].refused || (!f.fits && strcmp(f.unfit_field, cases[i].refused) != 0))
                        fail_msg("%s: %s", cases[i].body, f.fits ? "fits" : f.unfit_field);
                if (f.fits) {
                        /* A bare request is left, whatever way it goes. */
                        assert_true(f.patchable && f.change_count == 1 && !f.request.extras);
                        size_t n = fit_patch_edits(a, &f, &target, NULL, edits, 64);
                        assert_true(patch_apply(str_of(cases[i].body), edits, n, &out));
                        size_t members = json_members(out.data, out.len, NULL, 0);
                        assert_int_equal(members, cases[i].dialect == &dialect_gemini   ? 1
                                                  : cases[i].dialect == &dialect_openai ? 2
                                                                                        : 3);
                }
                buf_release(&out);
                arena_free(a);
        }
        config_unref(c);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(ids_dates_and_globs),
                cmocka_unit_test(rows_are_laid_over_each_other),
                cmocka_unit_test(shipped_rows),
                cmocka_unit_test(shipped_guards),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
