/* policy: the table of faults, and the way from a name to a version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/fault.h"
#include "policy/route.h"

static void every_fault_has_its_row(void **state)
{
        (void)state;
        static const struct {
                enum fault_kind kind;
                bool next;
                int status; /* told when it was the only fault */
        } rows[] = {
                {FAULT_RATE_LIMIT, true, 503},
                {FAULT_QUOTA, true, 502},
                {FAULT_CREDENTIALS, true, 502},
                {FAULT_FORBIDDEN, true, 502},
                {FAULT_MODEL_GONE, true, 502},
                {FAULT_BAD_REQUEST, false, 422},
                {FAULT_CONTEXT_LENGTH, true, 422},
                {FAULT_CONTENT_POLICY, false, 422},
                {FAULT_SERVER, true, 502},
                {FAULT_OVERLOAD, true, 503},
                {FAULT_TIMEOUT, true, 504},
                {FAULT_DNS, true, 502},
                {FAULT_CONNECT, true, 502},
                {FAULT_CONNECT_TIME, true, 504},
                {FAULT_TLS, true, 502},
                {FAULT_FIRST_TOKEN, true, 504},
                {FAULT_IDLE, true, 504},
                {FAULT_ATTEMPT_TIME, true, 504},
                {FAULT_CUT, true, 502},
                {FAULT_MALFORMED, true, 502},
                {FAULT_IN_BODY, true, 502},
                {FAULT_OUT_OF_SERVICE, true, 502},
        };
        assert_int_equal(sizeof rows / sizeof *rows, FAULT_KINDS - 1);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct upstream_fault f = {.kind = rows[i].kind, .status = 422, .message = "words"};
                struct fault_moment left = {.target_left = true, .time_left_ms = 1};
                assert_int_equal(fault_judge(&f, left) == FAULT_TRY_NEXT, rows[i].next);
                static const struct fault_moment final[] = {
                        {.content_sent = true, .target_left = true, .time_left_ms = 1},
                        {.target_left = false, .time_left_ms = 1},
                        {.target_left = true, .time_left_ms = 0},
                };
                for (size_t k = 0; k < 3; k++)
                        assert_int_equal(fault_judge(&f, final[k]), FAULT_GIVE_UP);
                struct fault_tally tally = {0};
                struct err e = {0};
                fault_count(&tally, &f);
                fault_tell(&tally, a, &e);
                assert_int_equal(err_status(&e), rows[i].status);
                assert_non_null(fault_row(rows[i].kind)->name);
                /* The provider's words only where the mistake is the caller's. */
                assert_int_equal(strstr(e.message, "words") != NULL, fault_row(rows[i].kind)->callers);
                arena_free(a);
        }
}

static void several_faults_tell_one_thing(void **state)
{
        (void)state;
        static const struct {
                enum fault_kind kinds[3];
                int status;
        } rows[] = {
                {{FAULT_FIRST_TOKEN, FAULT_TIMEOUT}, 504}, {{FAULT_FIRST_TOKEN, FAULT_SERVER}, 502},
                {{FAULT_RATE_LIMIT, FAULT_OVERLOAD}, 503}, {{FAULT_RATE_LIMIT, FAULT_CREDENTIALS}, 502},
                {{FAULT_SERVER, FAULT_BAD_REQUEST}, 400},  {{FAULT_CONTEXT_LENGTH, FAULT_SERVER}, 400},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct fault_tally tally = {0};
                struct err e = {0};
                for (size_t k = 0; rows[i].kinds[k]; k++)
                        fault_count(&tally,
                                    &(struct upstream_fault){.kind = rows[i].kinds[k],
                                                             .retry_after_ms = 7000 - 1000 * (int64_t)k});
                fault_tell(&tally, a, &e);
                assert_int_equal(err_status(&e), rows[i].status);
                if (rows[i].status == 503)
                        assert_int_equal(e.retry_after_ms, 6000);
                arena_free(a);
        }
}

static const struct config_provider provider = {.name = "gemini", .dialect = "gemini"};
static const struct config_target target = {.provider = &provider, .model = "x"};
static const struct config_version versions[] = {{.name = "1", .targets = &target, .target_count = 1},
                                                 {.name = "2", .targets = &target, .target_count = 1}};
static const struct config_model models[] = {
        {.name = "assistant",
         .tasks = TASK_CHAT | TASK_VISION,
         .versions = versions,
         .version_count = 2,
         .use = &versions[1]},
        {.name = "search",
         .tasks = TASK_EMBED,
         .versions = versions,
         .version_count = 1,
         .use = &versions[0]},
        {.name = "odd@name",
         .tasks = TASK_CHAT,
         .versions = versions,
         .version_count = 1,
         .use = &versions[0]},
};
static const struct config conf = {.models = models,
                                   .model_count = 3,
                                   .providers = &provider,
                                   .provider_count = 1,
                                   .defaults = {.chat = "assistant"}};

static void names_lead_to_versions(void **state)
{
        (void)state;
        static const char *const only_assistant[] = {"assistant"}, *const all[] = {"*"};
        static const struct config_account open = {.models = all, .model_count = 1, .direct = true},
                                           narrow = {.models = only_assistant, .model_count = 1};
        static const struct {
                const struct config_account *account;
                const char *name;
                enum model_task task;
                enum err_cause cause;
                const char *model, *version;
        } rows[] = {
                {&open, "assistant", TASK_CHAT, ERR_NONE, "assistant", "2"},
                {&open, "assistant@1", TASK_VISION, ERR_NONE, "assistant", "1"},
                {&open, "assistant@3", TASK_CHAT, ERR_MODEL_NOT_FOUND, NULL, NULL},
                {&open, "odd@name", TASK_CHAT, ERR_NONE, "odd@name", "1"},
                {&open, NULL, TASK_CHAT, ERR_NONE, "assistant", "2"},
                {&open, "", TASK_EMBED, ERR_BAD_REQUEST, NULL, NULL},
                {&open, "search", TASK_CHAT, ERR_UNSUPPORTED, NULL, NULL},
                {&open, "nothing", TASK_CHAT, ERR_MODEL_NOT_FOUND, NULL, NULL},
                {&open, "gemini/any-model@2", TASK_CHAT, ERR_NONE, "gemini/any-model@2", "direct"},
                {&open, "gemini/", TASK_CHAT, ERR_MODEL_NOT_FOUND, NULL, NULL},
                {&open, "other/x", TASK_CHAT, ERR_MODEL_NOT_FOUND, NULL, NULL},
                {&narrow, "gemini/any-model", TASK_CHAT, ERR_MODEL_NOT_FOUND, NULL, NULL},
                {&narrow, "search", TASK_EMBED, ERR_FORBIDDEN, NULL, NULL},
                {NULL, "search", TASK_EMBED, ERR_NONE, "search", "1"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct route route;
                struct err e = {0};
                bool ok = route_resolve(&conf, rows[i].account, rows[i].name, rows[i].task, a, &route, &e);
                assert_int_equal(e.cause, rows[i].cause);
                assert_int_equal(ok, rows[i].cause == ERR_NONE);
                if (ok) {
                        assert_string_equal(route.model_name, rows[i].model);
                        assert_string_equal(route.version->name, rows[i].version);
                }
                arena_free(a);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_fault_has_its_row),
                cmocka_unit_test(several_faults_tell_one_thing),
                cmocka_unit_test(names_lead_to_versions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
