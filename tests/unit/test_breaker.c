/* policy/breaker: when it opens, who probes, and when it closes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "dialect/fault_kind.h"
#include "policy/breaker.h"

static const struct config_breaker usual = {
        .share = 0.5, .minimum = 4, .window_ms = 10000, .cooldown_ms = 1000};
static const struct breaker_fault server = {FAULT_SERVER, 500, "boom"};
static const struct breaker_fault refused = {FAULT_CREDENTIALS, 401, "bad key"};
static const struct breaker_fault gone = {FAULT_MODEL_GONE, 404, "no such model"};

static bool alive(void *context, struct process_id p)
{
        return p.index != *(const uint32_t *)context; /* the one that is dead */
}

static enum breaker_word ask(struct breaker_state *b, uint32_t process, uint32_t dead, uint64_t key,
                             int64_t now_ms)
{
        struct lease_context c = {.self = {process, 1}, .alive = alive, .context = &dead};
        return breaker_ask(b, key, &c, now_ms);
}

/* A history of calls, one every step_ms: '+' well, '-' failed. */
static void it_opens_on_a_share(void **state)
{
        (void)state;
        static const struct {
                const char *calls;
                int64_t step_ms;
                double share;
                int64_t minimum;
                int opens_at; /* which call, from 1; 0: never */
        } rows[] = {
                {"---", 1, 0.5, 4, 0},
                {"----", 1, 0.5, 4, 4},
                {"++--", 1, 0.5, 4, 4},
                {"+++--+-", 1, 0.5, 4, 0},
                {"+++---", 1, 0.5, 4, 6},
                {"--++--", 1, 0.5, 4, 5},
                {"--------", 4000, 0.5, 4, 0}, /* never four within ten seconds */
                {"--------", 2400, 0.5, 4, 4},
                {"++++++++--", 2000, 0.5, 4, 0},
                {"++++++++----", 1000, 0.4, 4, 12},
                {"--------", 1, 0, 1, 0},
                {"++++-", 1, 0.2, 1, 5},
                {"++++++++++++++-", 1, 0.07, 1, 0},
                {"+++++++++-", 1, 0.1, 10, 10},
                {"----", 1, 1.0, 4, 4},
                {"+----------", 1, 1.0, 4, 0},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct config_breaker rules = usual;
                struct breaker_state b = {0};
                int64_t now = 123456789;
                int opened = 0;
                rules.share = rows[i].share;
                rules.minimum = rows[i].minimum;
                for (int k = 0; rows[i].calls[k]; k++, now += rows[i].step_ms) {
                        const struct breaker_fault *f = rows[i].calls[k] == '-' ? &server : NULL;
                        if (breaker_note(&b, &rules, false, f, now) && !opened)
                                opened = k + 1;
                }
                if (opened != rows[i].opens_at)
                        fail_msg("row %zu (%s) opened at %d", i, rows[i].calls, opened);
                assert_int_equal(b.mode, opened ? BREAKER_OPEN : BREAKER_CLOSED);
        }
}

static struct breaker_state opened_at(int64_t now_ms)
{
        struct breaker_state b = {0};
        for (int i = 0; i < 4; i++)
                breaker_note(&b, &usual, false, &server, now_ms);
        assert_int_equal(b.mode, BREAKER_OPEN);
        return b;
}

static void exactly_one_probes(void **state)
{
        (void)state;
        struct breaker_state b = opened_at(5000);
        assert_int_equal(b.until_ms, 6000);
        assert_int_equal(b.kind, FAULT_SERVER);
        assert_string_equal(b.why, "boom");
        assert_int_equal(ask(&b, 1, 99, 0, 5999), BREAKER_REFUSE);
        assert_int_equal(ask(&b, 1, 99, 0, 6000), BREAKER_PROBE);
        assert_int_equal(ask(&b, 1, 99, 0, 6000), BREAKER_REFUSE);
        assert_int_equal(ask(&b, 2, 99, 0, 900000), BREAKER_REFUSE); /* no timeout ends it */
        assert_int_equal(ask(&b, 2, 1, 0, 6001), BREAKER_PROBE);     /* its death does */
        assert_int_equal(ask(&b, 3, 99, 0, 6001), BREAKER_REFUSE);
        breaker_drop(&b);
        assert_int_equal(ask(&b, 3, 99, 0, 6002), BREAKER_PROBE);
        assert_true(breaker_note(&b, &usual, true, NULL, 6003));
        assert_int_equal(ask(&b, 1, 99, 0, 6003), BREAKER_PASS);
        int64_t calls, failed;
        breaker_look(&b, 6003, &calls, &failed);
        assert_int_equal(calls, 0); /* forgotten */
        assert_false(breaker_note(&b, &usual, false, &server, 6004));
}

static void failing_probes_double_the_cooldown(void **state)
{
        (void)state;
        static const struct {
                int64_t cooldown_ms, expected[8];
        } rows[] = {
                {1000, {1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000}},
                {60000, {60000, 120000, 240000, 480000, 600000, 600000, 600000, 600000}},
                {3600000, {3600000, 3600000, 3600000, 3600000, 3600000, 3600000, 3600000, 3600000}},
                {333, {333, 666, 1332, 2664, 5328, 10656, 10656, 10656}},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct config_breaker rules = usual;
                struct breaker_state b = {0};
                int64_t now = 77;
                rules.cooldown_ms = rows[i].cooldown_ms;
                for (int k = 0; k < 4; k++)
                        breaker_note(&b, &rules, false, &server, now);
                for (int k = 0; k < 8; k++) {
                        assert_int_equal(b.until_ms - now, rows[i].expected[k]);
                        assert_int_equal(ask(&b, 1, 99, 0, b.until_ms - 1), BREAKER_REFUSE);
                        now = b.until_ms;
                        assert_int_equal(ask(&b, 1, 99, 0, now), BREAKER_PROBE);
                        assert_true(breaker_note(&b, &rules, true, &server, now));
                        assert_int_equal(b.opened_ms, 77);
                }
                assert_int_equal(ask(&b, 1, 99, 0, b.until_ms), BREAKER_PROBE);
                assert_true(breaker_note(&b, &rules, true, NULL, b.until_ms));
                assert_int_equal(b.cooldown_ms, 0);
        }
}

static void late_results_change_nothing(void **state)
{
        (void)state;
        struct breaker_state b = opened_at(5000), before = b;
        assert_false(breaker_note(&b, &usual, false, NULL, 5100));
        assert_false(breaker_note(&b, &usual, false, &server, 5100));
        assert_false(breaker_note(&b, &usual, true, NULL, 5100)); /* nobody probes */
        assert_memory_equal(&b, &before, sizeof b);
        assert_int_equal(ask(&b, 1, 99, 0, 6000), BREAKER_PROBE);
        before = b;
        assert_false(breaker_note(&b, &usual, false, NULL, 6100));
        assert_false(breaker_note(&b, &usual, false, &server, 6100));
        assert_false(breaker_out(&b, false, 1, &refused, 6100));
        assert_memory_equal(&b, &before, sizeof b);
}

static void one_answer_takes_it_out_of_service(void **state)
{
        (void)state;
        struct breaker_state b = {0};
        assert_true(breaker_out(&b, false, 11, &refused, 1000));
        assert_int_equal(b.until_ms, 1000 + BREAKER_OUT_MS);
        assert_int_equal(b.out, 1);
        struct breaker_state before = b;
        assert_false(breaker_out(&b, false, 11, &refused, 1500)); /* another call's, of the same time */
        assert_memory_equal(&b, &before, sizeof b);
        assert_int_equal(ask(&b, 1, 99, 11, 30000), BREAKER_REFUSE);
        assert_int_equal(ask(&b, 1, 99, 11, 61000), BREAKER_PROBE);
        assert_false(breaker_out(&b, true, 11, &refused, 61000)); /* it was so before */
        assert_int_equal(b.until_ms, 61000 + 2 * BREAKER_OUT_MS);
        /* A probe that meets another fault: the reason stays. */
        assert_int_equal(ask(&b, 1, 99, 11, b.until_ms), BREAKER_PROBE);
        assert_true(breaker_note(&b, &usual, true, &server, 181000));
        assert_int_equal(b.kind, FAULT_CREDENTIALS);
        assert_string_equal(b.why, "bad key");
        assert_int_equal(b.until_ms, 181000 + 4 * BREAKER_OUT_MS);
        assert_int_equal(ask(&b, 1, 99, 11, b.until_ms), BREAKER_PROBE);
        assert_true(breaker_note(&b, &usual, true, NULL, b.until_ms));
        assert_int_equal(b.out, 0);
        /* One that was only broken goes out of service by its probe, with the first cool-down of that. */
        b = opened_at(5000);
        assert_int_equal(ask(&b, 1, 99, 11, 6000), BREAKER_PROBE);
        assert_true(breaker_out(&b, true, 11, &refused, 6000));
        assert_int_equal(b.until_ms, 6000 + BREAKER_OUT_MS);
}

static void another_key_closes_it(void **state)
{
        (void)state;
        static const struct breaker_fault quota = {FAULT_QUOTA, 402, NULL},
                                          forbidden = {FAULT_FORBIDDEN, 403, NULL};
        static const struct {
                const struct breaker_fault *fault;
                uint64_t refused, now;
                enum breaker_word word;
        } rows[] = {
                {&refused, 11, 11, BREAKER_REFUSE}, {&refused, 11, 12, BREAKER_PASS},
                {&refused, 11, 0, BREAKER_REFUSE},  {&refused, 0, 12, BREAKER_REFUSE},
                {&quota, 11, 12, BREAKER_PASS},     {&forbidden, 11, 12, BREAKER_PASS},
                {&gone, 11, 12, BREAKER_REFUSE},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct breaker_state b = {0};
                assert_true(breaker_out(&b, false, rows[i].refused, rows[i].fault, 1000));
                assert_int_equal(ask(&b, 1, 99, rows[i].now, 1001), rows[i].word);
                assert_int_equal(b.mode == BREAKER_CLOSED, rows[i].word == BREAKER_PASS);
        }
        struct breaker_state b = opened_at(5000);
        assert_int_equal(ask(&b, 1, 99, 12, 5001), BREAKER_REFUSE); /* it was not the key */
}

static void odd_times_and_words_do_no_harm(void **state)
{
        (void)state;
        struct breaker_state b = opened_at(5000000);
        /* The clock is younger than what is written. */
        assert_int_equal(ask(&b, 1, 99, 0, 1000), BREAKER_PROBE);
        assert_true(breaker_note(&b, &usual, true, NULL, 1000));
        for (int i = 0; i < 3; i++)
                assert_false(breaker_note(&b, &usual, false, &server, 9000000));
        assert_false(breaker_note(&b, &usual, false, &server, 1000)); /* another window */
        /* Another window's length forgets, too. */
        struct config_breaker rules = usual;
        rules.window_ms = 5;
        assert_false(breaker_note(&b, &rules, false, &server, 1000));
        /* Words are cut on a character. */
        char why[BREAKER_WHY + 40];
        memset(why, 'x', sizeof why);
        why[sizeof why - 1] = '\0';
        memcpy(why + BREAKER_WHY - 2, "\xc3\xa4", 2);
        struct breaker_fault f = {FAULT_MODEL_GONE, 404, why};
        assert_true(breaker_out(&b, false, 1, &f, 1000));
        assert_int_equal(strlen(b.why), BREAKER_WHY - 2);
        assert_true(text_is_utf8(b.why, strlen(b.why)));
        int64_t calls, failed;
        breaker_reset(&b);
        breaker_look(&b, 1000, &calls, &failed);
        assert_int_equal(calls + failed, 0);
        assert_int_equal(ask(&b, 1, 99, 0, 1000), BREAKER_PASS);
}

static void a_window_slides(void **state)
{
        (void)state;
        struct breaker_state b = {0};
        struct config_breaker rules = usual;
        int64_t calls, failed;
        rules.minimum = 1000;
        for (int64_t t = 0; t < 20000; t += 500)
                breaker_note(&b, &rules, false, t % 1000 ? &server : NULL, t);
        static const struct {
                int64_t at, calls, failed;
        } rows[] = {{19999, 20, 10}, {20000, 18, 9}, {25500, 8, 4}, {28999, 2, 1}, {29000, 0, 0}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                breaker_look(&b, rows[i].at, &calls, &failed);
                assert_int_equal(calls, rows[i].calls);
                assert_int_equal(failed, rows[i].failed);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_opens_on_a_share),
                cmocka_unit_test(exactly_one_probes),
                cmocka_unit_test(failing_probes_double_the_cooldown),
                cmocka_unit_test(late_results_change_nothing),
                cmocka_unit_test(one_answer_takes_it_out_of_service),
                cmocka_unit_test(another_key_closes_it),
                cmocka_unit_test(odd_times_and_words_do_no_harm),
                cmocka_unit_test(a_window_slides),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
