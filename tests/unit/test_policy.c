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

/* Of `retry`: three attempts at one target. */
static const struct config_version three_tries = {
        .retry = {.attempts = 3, .backoff_ms = 1000, .max_backoff_ms = 3000}};

/* The table of docs/operations.md, a row each: what follows the first failure, the second, the third. */
static void every_fault_has_its_row(void **state)
{
        (void)state;
        enum { A = FAULT_AGAIN, N = FAULT_NEXT, G = FAULT_GIVE_UP };
        static const struct {
                enum fault_kind kind;
                int status, retry_after_ms;
                bool sure;
                enum fault_action then[3];
                enum fault_mark mark;
                int told; /* status when it was the only fault */
        } rows[] = {
                {FAULT_RATE_LIMIT, 429, 9000, false, {N, N, N}, MARK_COOL, 503},
                {FAULT_RATE_LIMIT, 429, 0, false, {A, A, N}, MARK_NONE, 503},
                {FAULT_QUOTA, 402, 0, true, {N, N, N}, MARK_OUT, 502},
                {FAULT_QUOTA, 429, 0, false, {N, N, N}, MARK_NONE, 502},
                {FAULT_CREDENTIALS, 401, 0, true, {N, N, N}, MARK_OUT, 502},
                {FAULT_CREDENTIALS, 401, 0, false, {N, N, N}, MARK_NONE, 502},
                {FAULT_FORBIDDEN, 403, 0, true, {N, N, N}, MARK_OUT, 502},
                {FAULT_FORBIDDEN, 403, 0, false, {N, N, N}, MARK_NONE, 502},
                {FAULT_MODEL_GONE, 404, 0, true, {N, N, N}, MARK_OUT, 502},
                {FAULT_MODEL_GONE, 410, 0, false, {N, N, N}, MARK_NONE, 502},
                {FAULT_BAD_REQUEST, 422, 0, false, {G, G, G}, MARK_NONE, 422},
                {FAULT_CONTEXT_LENGTH, 400, 0, false, {N, N, N}, MARK_NONE, 400},
                {FAULT_CONTENT_POLICY, 400, 0, false, {G, G, G}, MARK_NONE, 400},
                {FAULT_SERVER, 500, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_OVERLOAD, 529, 0, false, {A, N, N}, MARK_FAILURE, 503},
                {FAULT_TIMEOUT, 504, 0, false, {A, N, N}, MARK_FAILURE, 504},
                {FAULT_TIMEOUT, 408, 0, false, {N, N, N}, MARK_FAILURE, 504},
                {FAULT_DNS, 0, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_CONNECT, 0, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_CONNECT_TIME, 0, 0, false, {N, N, N}, MARK_FAILURE, 504},
                {FAULT_TLS, 0, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_FIRST_TOKEN, 200, 0, false, {N, N, N}, MARK_FAILURE, 504},
                {FAULT_IDLE, 200, 0, false, {A, N, N}, MARK_FAILURE, 504},
                {FAULT_ATTEMPT_TIME, 0, 0, false, {N, N, N}, MARK_FAILURE, 504},
                {FAULT_CUT, 200, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_MALFORMED, 200, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_IN_BODY, 200, 0, false, {A, N, N}, MARK_FAILURE, 502},
                {FAULT_OUT_OF_SERVICE, 0, 0, false, {N, N, N}, MARK_NONE, 502},
                {FAULT_AT_LIMIT, 0, 2000, false, {N, N, N}, MARK_NONE, 503},
                {FAULT_COOLING, 0, 2000, false, {N, N, N}, MARK_NONE, 503},
                {FAULT_BROKEN, 0, 2000, false, {N, N, N}, MARK_NONE, 503},
        };
        bool seen[FAULT_KINDS] = {true};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                const struct upstream_fault f = {.kind = rows[i].kind,
                                                 .status = rows[i].status,
                                                 .retry_after_ms = rows[i].retry_after_ms,
                                                 .sure = rows[i].sure,
                                                 .message = "words"};
                seen[rows[i].kind] = true;
                for (int64_t tries = 1; tries <= 3; tries++) {
                        const struct fault_moment m = {.tries = tries, .time_left_ms = 60000, .chance = 0.5};
                        const struct fault_plan plan = fault_judge(&f, &three_tries, &m);
                        print_message("%s %d, try %d\n", fault_row(f.kind)->name, f.status, (int)tries);
                        assert_int_equal(plan.action, rows[i].then[tries - 1]);
                        assert_int_equal(plan.mark, rows[i].mark);
                        assert_int_equal(plan.cool_ms, plan.mark == MARK_COOL ? rows[i].retry_after_ms : 0);
                        /* Full jitter: half of the chance is half of what doubles. */
                        if (plan.action == FAULT_AGAIN)
                                assert_int_equal(plan.wait_ms, tries == 1 ? 500 : 1000);
                        assert_int_equal(plan.larger, f.kind == FAULT_CONTEXT_LENGTH);
                }
                struct fault_tally tally = {0};
                struct err e = {0};
                fault_count(&tally, &f);
                fault_tell(&tally, a, &e);
                assert_int_equal(err_status(&e), rows[i].told);
                /* The provider's words only where the mistake is the caller's. */
                assert_int_equal(strstr(e.message, "words") != NULL, fault_row(rows[i].kind)->callers);
                arena_free(a);
        }
        for (size_t k = 0; k < FAULT_KINDS; k++)
                assert_true(seen[k]);
}

static void the_moment_decides_too(void **state)
{
        (void)state;
        static const struct config_version reroutes = {.reroute_refusals = true, .retry = {.attempts = 3}};
        const struct upstream_fault broken = {.kind = FAULT_SERVER, .status = 500},
                                    refused = {.kind = FAULT_CONTENT_POLICY, .status = 400},
                                    barred = {.kind = FAULT_CREDENTIALS, .status = 401, .sure = true},
                                    daily = {.kind = FAULT_RATE_LIMIT,
                                             .status = 429,
                                             .per_day = true,
                                             .retry_after_ms = 30000};
        const struct fault_moment now = {.tries = 1, .time_left_ms = 60000, .chance = 1};
        struct fault_moment m = now;
        m.content_sent = true;
        assert_int_equal(fault_judge(&broken, &three_tries, &m).action, FAULT_GIVE_UP);
        assert_int_equal(fault_judge(&broken, &three_tries, &m).mark, MARK_FAILURE);
        m = now;
        m.time_left_ms = 0;
        assert_int_equal(fault_judge(&broken, &three_tries, &m).action, FAULT_GIVE_UP);
        /* No time for the backoff, but for another target. */
        m.time_left_ms = 500;
        assert_int_equal(fault_judge(&broken, &three_tries, &m).action, FAULT_NEXT);
        assert_int_equal(fault_judge(&refused, &reroutes, &now).action, FAULT_NEXT);
        assert_int_equal(fault_judge(&barred, &three_tries, &now).mark, MARK_OUT);
        m = now;
        m.provoked = true;
        assert_int_equal(fault_judge(&barred, &three_tries, &m).mark, MARK_NONE);
        m = now;
        m.day_left_ms = 7200000;
        assert_int_equal(fault_judge(&daily, &three_tries, &m).cool_ms, 7200000);
        m.day_left_ms = 1000;
        assert_int_equal(fault_judge(&daily, &three_tries, &m).cool_ms, 30000);
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
                cmocka_unit_test(the_moment_decides_too),
                cmocka_unit_test(several_faults_tell_one_thing),
                cmocka_unit_test(names_lead_to_versions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
