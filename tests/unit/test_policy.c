/* policy: the table of faults, and the way from a name to a version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/advice.h"
#include "policy/catalogue.h"
#include "policy/fault.h"
#include "policy/route.h"

/* Of `retry`: three attempts at one target. */
static const struct config_version three_tries = {
        .retry = {.attempts = 3, .backoff_ms = 1000, .max_backoff_ms = 3000}};

/* The table of docs/operations.md, a row each: what follows the first failure, the second, the third. */
static void every_fault_has_its_row(void **state)
{
        (void)state;
        static const enum fault_action A = FAULT_AGAIN, N = FAULT_NEXT, G = FAULT_GIVE_UP;
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
                const struct route_caller caller = {.account = rows[i].account};
                bool ok = route_resolve(&conf, &caller, rows[i].name, rows[i].task, 0, a, &route, &e);
                assert_int_equal(e.cause, rows[i].cause);
                assert_int_equal(ok, rows[i].cause == ERR_NONE);
                if (ok) {
                        assert_string_equal(route.model_name, rows[i].model);
                        assert_string_equal(route.version->name, rows[i].version);
                }
                arena_free(a);
        }
}

/* ---------------------------------------------------------------- versions */

/* A chain 1 → 2 → 3 that ends one after another, one that ends without a successor, and a circle. */
enum { JUNE = 1780272000, JULY = 1782864000, AUGUST = 1785542400 };
static const struct config_version chain[] = {
        {.name = "1",
         .targets = &target,
         .target_count = 1,
         .deprecated = "2026-01-01",
         .deprecated_unix = 1767225600,
         .sunset = "2026-06-01",
         .sunset_unix = JUNE,
         .after_sunset = &chain[1]},
        {.name = "2",
         .targets = &target,
         .target_count = 1,
         .sunset = "2026-07-01",
         .sunset_unix = JULY,
         .after_sunset = &chain[2]},
        {.name = "3", .targets = &target, .target_count = 1},
        {.name = "4", .targets = &target, .target_count = 1, .sunset = "2026-08-01", .sunset_unix = AUGUST},
        {.name = "5",
         .targets = &target,
         .target_count = 1,
         .sunset = "2026-06-01",
         .sunset_unix = JUNE,
         .after_sunset = &chain[5]},
        {.name = "6",
         .targets = &target,
         .target_count = 1,
         .sunset = "2026-06-01",
         .sunset_unix = JUNE,
         .after_sunset = &chain[4]},
};
static const struct config_pin pin = {.model = "m", .use = "1"};

static void versions_come_and_go(void **state)
{
        (void)state;
        static const struct {
                const char *asked;
                const struct config_version *use, *canary;
                const struct config_pin *pin;
                int64_t now;
                const char *version; /* NULL: 404 */
                enum route_why why;
                const char *meant;
        } rows[] = {
                {"m", &chain[0], NULL, NULL, JUNE - 1, "1", ROUTE_USE, "1"},
                {"m", &chain[0], NULL, &pin, JUNE - 1, "1", ROUTE_PIN, "1"},
                {"m@1", &chain[2], NULL, &pin, JUNE - 1, "1", ROUTE_ASKED, "1"},
                {"m@1", &chain[2], NULL, NULL, JUNE, "2", ROUTE_AFTER_SUNSET, "1"},
                {"m", &chain[0], NULL, &pin, JUNE, "2", ROUTE_AFTER_SUNSET, "1"},
                {"m@1", &chain[2], NULL, NULL, JULY, "3", ROUTE_AFTER_SUNSET, "1"},
                {"m@4", &chain[2], NULL, NULL, AUGUST - 1, "4", ROUTE_ASKED, "4"},
                {"m@4", &chain[2], NULL, NULL, AUGUST, NULL, ROUTE_ASKED, "4"},
                {"m", &chain[3], NULL, NULL, AUGUST, NULL, ROUTE_USE, "4"},
                {"m@5", &chain[2], NULL, NULL, JUNE, NULL, ROUTE_ASKED, "5"},
                /* The canary is for who names no version, and takes nobody with it when it is gone. */
                {"m", &chain[2], &chain[3], &pin, AUGUST - 1, "4", ROUTE_CANARY, "4"},
                {"m@3", &chain[2], &chain[3], NULL, AUGUST - 1, "3", ROUTE_ASKED, "3"},
                {"m", &chain[2], &chain[3], NULL, AUGUST, "3", ROUTE_USE, "3"},
                {"m", &chain[3], &chain[0], NULL, JUNE, "2", ROUTE_AFTER_SUNSET, "1"},
        };
        static const char *const all[] = {"*"};
        static const struct config_account account = {.name = "x", .models = all, .model_count = 1};
        const struct route_caller caller = {&account, "somebody"};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                const struct config_model m = {.name = "m",
                                               .tasks = TASK_CHAT,
                                               .versions = chain,
                                               .version_count = 6,
                                               .use = rows[i].use,
                                               .pin = rows[i].pin,
                                               .canary = rows[i].canary,
                                               .canary_percent = 100};
                const struct config c = {.models = &m, .model_count = 1};
                struct arena *a = arena_new();
                struct route r;
                struct err e = {0};
                bool ok = route_resolve(&c, &caller, rows[i].asked, TASK_CHAT, rows[i].now, a, &r, &e);
                if (ok != (rows[i].version != NULL) || (ok && strcmp(r.version->name, rows[i].version) != 0))
                        print_error("row %zu\n", i);
                assert_int_equal(ok, rows[i].version != NULL);
                assert_int_equal(e.cause, ok ? ERR_NONE : ERR_MODEL_NOT_FOUND);
                if (ok) {
                        assert_string_equal(r.version->name, rows[i].version);
                        assert_int_equal(r.why, rows[i].why);
                        assert_string_equal(r.meant->name, rows[i].meant);
                        assert_true(r.sunset_unix == r.meant->sunset_unix);
                        assert_true(r.deprecated_unix == r.meant->deprecated_unix);
                } else {
                        assert_non_null(strstr(e.message, "is gone since 2026-0"));
                }
                arena_free(a);
        }
}

static size_t share(const char *model, int64_t percent, const char *account, uint8_t *side)
{
        const struct config_model m = {
                .name = model, .canary = &chain[0], .canary_percent = percent, .use = &chain[2]};
        const struct config_account a = {.name = account};
        size_t in = 0;
        for (size_t i = 0; i < 10000; i++) {
                char name[32];
                snprintf(name, sizeof name, "user%zu", i);
                const struct route_caller caller = {&a, name};
                side[i] = route_in_canary(&m, &caller);
                in += side[i];
        }
        return in;
}

/* The share is right within a point; each caller stays on its side; a larger share only adds; canaries of two
 * models don't hit the same callers. */
static void canaries(void **state)
{
        (void)state;
        static uint8_t five[10000], again[10000], twenty[10000], other[10000];
        static const int64_t percents[] = {1, 5, 10, 25, 50, 75, 99};
        for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
                size_t in = share("m", percents[i], "x", five);
                assert_in_range(in, percents[i] * 100 - 100, percents[i] * 100 + 100);
        }
        assert_int_equal(share("m", 0, "x", five), 0);
        assert_int_equal(share("m", 100, "x", five), 10000);
        share("m", 5, "x", five);
        share("m", 5, "x", again);
        share("m", 20, "x", twenty);
        size_t n = share("n", 20, "x", other), both = 0;
        assert_memory_equal(five, again, sizeof five);
        for (size_t i = 0; i < 10000; i++) {
                assert_true(!five[i] || twenty[i]);
                both += twenty[i] && other[i];
        }
        assert_in_range(n, 1900, 2100);
        assert_in_range(both, 300, 500); /* 4 % by chance */
        share("m", 20, "y", other);
        assert_memory_not_equal(twenty, other, sizeof twenty);
        /* The command line takes what is in force. */
        const struct config_model m = {.name = "m", .canary = &chain[0], .canary_percent = 100};
        assert_false(route_in_canary(&m, &(struct route_caller){0}));
        /* As documented, reckoned elsewhere: 1933 of 10000. */
        const struct config_account a = {.name = "helpdesk"};
        const struct config_model fixed = {.name = "assistant", .canary = &chain[0], .canary_percent = 20};
        const struct config_model less = {.name = "assistant", .canary = &chain[0], .canary_percent = 19};
        const struct route_caller alice = {&a, "alice"};
        assert_true(route_in_canary(&fixed, &alice));
        assert_false(route_in_canary(&less, &alice));
}

static void dates_of_headers(void **state)
{
        (void)state;
        char text[ROUTE_DATE_MAX];
        route_deprecation(1793491200, text);
        assert_string_equal(text, "@1793491200");
        static const struct {
                int64_t at;
                const char *text;
        } rows[] = {
                {1798675200, "Thu, 31 Dec 2026 00:00:00 GMT"},
                {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
                {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                route_sunset(rows[i].at, text);
                assert_string_equal(text, rows[i].text);
        }
}

/* ---------------------------------------------------------------- advice */

struct said {
        size_t count;
        const char *texts[16];
};

static void keep(void *context, const char *text)
{
        struct said *s = context;
        assert_true(s->count < 16);
        s->texts[s->count++] = text;
}

static void operators_are_advised(void **state)
{
        (void)state;
        static const struct config_target targets[] = {
                {.provider = &provider, .model = "x-latest"},
                {.provider = &provider, .model = "x-preview"},
                {.provider = &provider, .model = "old"},
                {.provider = &provider, .model = "soon"},
                {.provider = &provider, .model = "later"},
                {.provider = &provider, .model = "x-preview-09-2025"},
        };
        static const struct config_catalogue_row catalogue[] = {
                {.pattern = "old", .caps = {.retires = "2026-05-30"}},
                {.pattern = "soon", .caps = {.retires = "2026-07-01"}},
                {.pattern = "later", .caps = {.retires = "2026-07-02"}},
        };
        static const struct config_price prices[] = {
                {.pattern = "x*", .input_micro = 1, .output_micro = 1},
                {.pattern = "old", .input_micro = 1, .output_micro = -1},
                {.pattern = "later", .input_micro = 1, .output_micro = 1},
                {.pattern = "soon"}};
        const struct config_version v[] = {
                {.name = "a", .targets = targets, .target_count = 6, .strategy = STRATEGY_COST},
                {.name = "b", .deprecated = "2026-05-01", .deprecated_unix = JUNE - 86400},
                {.name = "c", .sunset = "2026-06-01", .sunset_unix = JUNE, .after_sunset = &v[0]},
                {.name = "d", .sunset = "2026-06-02", .sunset_unix = JUNE + 86400},
        };
        const struct config_model m = {.name = "m", .versions = v, .version_count = 4, .use = &v[2]};
        const struct config c = {.models = &m,
                                 .model_count = 1,
                                 .catalogue = catalogue,
                                 .catalogue_count = 3,
                                 .prices = prices,
                                 .price_count = 4};
        static const char *const expected[] = {
                "m@a: the model \"x-latest\" of provider \"gemini\" is whatever is newest",
                "m@a: the model \"x-preview\" of provider \"gemini\" is a preview",
                "m@a: strategy \"cost\", and prices say nothing of \"old\"",
                "m@a: the model \"old\" of provider \"gemini\" was to retire on 2026-05-30",
                "m@a: the model \"soon\" of provider \"gemini\" retires on 2026-07-01",
                "m@b: deprecated since 2026-05-01",
                "m@c: gone since its sunset on 2026-06-01, and in force; its callers get a",
        };
        struct arena *a = arena_new();
        struct said s = {0};
        advice_give(&c, JUNE, a, keep, &s);
        for (size_t i = 0; i < s.count && i < 7; i++)
                assert_non_null(strstr(s.texts[i], expected[i]));
        assert_int_equal(s.count, 7);
        arena_free(a);
}

static void moving_ids(void **state)
{
        (void)state;
        static const char *const moving[] = {"latest", "gpt-5-chat-latest", "claude-3-7-sonnet-latest",
                                             "gemini-3.1-pro-preview", "llama3:latest"};
        static const char *const fixed[] = {"gpt-5.5-2026-04-23", "gemini-2.5-flash-preview-09-2025",
                                            "latest-1", "claude-opus-4-7", "preview"};
        for (size_t i = 0; i < 5; i++) {
                assert_non_null(advice_moving(moving[i]));
                assert_null(advice_moving(fixed[i]));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_fault_has_its_row),
                cmocka_unit_test(the_moment_decides_too),
                cmocka_unit_test(several_faults_tell_one_thing),
                cmocka_unit_test(names_lead_to_versions),
                cmocka_unit_test(versions_come_and_go),
                cmocka_unit_test(canaries),
                cmocka_unit_test(dates_of_headers),
                cmocka_unit_test(operators_are_advised),
                cmocka_unit_test(moving_ids),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
