/* policy/limit: what it says, by tables. test_limit_history.c proves that it is exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/limit.h"

static struct limit_turn ask(struct limit_state *s, const struct config_limits *l, int64_t tokens,
                             int64_t wait_ms, int64_t now_ms)
{
        struct limit_ask a = {.tokens = tokens, .day = 20000, .day_left_ms = 7777, .wait_ms = wait_ms};
        return limit_reserve(s, l, &a, now_ms);
}

static void one_ask_after_others(void **state)
{
        (void)state;
        static const struct {
                struct config_limits limits;
                int64_t before, before_tokens; /* asked at 100000 each */
                int64_t now, tokens, wait;
                bool granted;
                int64_t at;
                enum limit_kind by;
        } rows[] = {
                {{0}, 5000, 9, 100000, 9, 0, true, 100000, LIMIT_NONE},
                {{.rpm = 3}, 2, 0, 100999, 0, 0, true, 100999, LIMIT_NONE},
                {{.rpm = 3}, 3, 0, 100999, 0, 0, false, 161000, LIMIT_RPM},
                {{.rpm = 3}, 3, 0, 160999, 0, 0, false, 161000, LIMIT_RPM},
                {{.rpm = 3}, 3, 0, 160999, 0, 1, true, 161000, LIMIT_RPM},
                {{.rpm = 3}, 3, 0, 161000, 0, 0, true, 161000, LIMIT_NONE},
                {{.rpm = 3}, 3, 0, 101000, 0, 60000, true, 161000, LIMIT_RPM},
                {{.rpm = 3}, 3, 0, 100999, 0, 3600000, false, 161000, LIMIT_RPM}, /* no further ahead */
                {{.tpm = 100}, 2, 40, 100500, 20, 0, true, 100500, LIMIT_NONE},
                {{.tpm = 100}, 2, 40, 100500, 21, 0, false, 161000, LIMIT_TPM},
                {{.tpm = 100}, 0, 0, 100500, 100, 0, true, 100500, LIMIT_NONE},
                {{.tpm = 100}, 0, 0, 100500, 101, 5000, false, 0, LIMIT_TOO_LARGE},
                {{.tpd = 100}, 0, 0, 100500, 101, 5000, false, 0, LIMIT_TOO_LARGE},
                {{0}, 0, 0, 100500, 1ll + UINT32_MAX, 5000, false, 0, LIMIT_TOO_LARGE},
                {{0}, 1, UINT32_MAX, 100500, 1, 0, false, 101000, LIMIT_TPM},
                {{.rpd = 3}, 3, 0, 100500, 0, 60000, false, 108277, LIMIT_RPD},
                {{.rpd = 4}, 3, 0, 100500, 0, 0, true, 100500, LIMIT_NONE},
                {{.tpd = 90}, 3, 30, 100500, 1, 60000, false, 108277, LIMIT_TPD},
                {{.tpd = 91}, 3, 30, 100500, 1, 0, true, 100500, LIMIT_NONE},
                {{.tpd = 90}, 3, 30, 100500, -5, 0, true, 100500, LIMIT_NONE},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct limit_state s = {0};
                for (int64_t k = 0; k < rows[i].before; k++)
                        assert_true(ask(&s, &rows[i].limits, rows[i].before_tokens, 0, 100000).granted);
                struct limit_state before = s;
                struct limit_turn t = ask(&s, &rows[i].limits, rows[i].tokens, rows[i].wait, rows[i].now);
                if (t.granted != rows[i].granted || t.at_ms != rows[i].at || t.by != rows[i].by)
                        fail_msg("row %zu: granted %d at %lld by %s", i, t.granted, (long long)t.at_ms,
                                 limit_name(t.by));
                if (!t.granted)
                        assert_memory_equal(&s, &before, sizeof s);
        }
}

static void turns_ahead_are_spaced_in_order(void **state)
{
        (void)state;
        static const struct {
                int64_t rpm, gap, last; /* after 20 turns ahead */
        } rows[] = {{20, 50, 950}, {40, 25, 475}, {100, 10, 190}, {900, 1, 19}, {5000, 1, 19}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct config_limits l = {.rpm = rows[i].rpm};
                struct limit_state s = {0};
                for (int64_t k = 0; k < l.rpm; k++)
                        assert_true(ask(&s, &l, 0, 0, 5000).granted);
                int64_t last = 0;
                for (int k = 0; k < 20; k++) {
                        struct limit_turn t = ask(&s, &l, 0, 60000, 7000);
                        assert_true(t.granted && t.at_ms > last);
                        last = t.at_ms;
                        if (k == 1)
                                assert_in_range(t.at_ms - 66000, rows[i].gap, rows[i].gap + 3);
                        assert_int_equal(limit_waiting(&s, 7000), k + 1);
                }
                assert_in_range(last - 66000, rows[i].last, rows[i].last + 30);
                assert_false(ask(&s, &l, 0, 0, 66000).granted); /* nobody overtakes */
        }
}

static void a_queue_is_bounded(void **state)
{
        (void)state;
        struct config_limits l = {.rpm = 10, .queue_length = 3};
        struct limit_state s = {0};
        for (int i = 0; i < 10; i++)
                assert_true(ask(&s, &l, 0, 0, 1500).granted);
        assert_int_equal(limit_waiting(&s, 1500), 0);
        for (int i = 0; i < 3; i++)
                assert_true(ask(&s, &l, 0, 60000, 3000).granted);
        struct limit_turn t = ask(&s, &l, 0, 60000, 3000);
        assert_false(t.granted);
        assert_int_equal(t.by, LIMIT_QUEUE);
        assert_in_range(t.at_ms, 62101, 62150);
        /* They leave the line one by one, while others go at once in the same second. */
        static const struct {
                int64_t at, waiting;
        } rows[] = {{61999, 3}, {62000, 2}, {62049, 2}, {62050, 1}, {62099, 1}, {62100, 0}, {62999, 0}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                assert_int_equal(limit_waiting(&s, rows[i].at), rows[i].waiting);
        assert_true(ask(&s, &l, 0, 0, 62100).granted);
        assert_int_equal(limit_waiting(&s, 62100), 0);
}

static void what_is_given_back_counts_for_the_next(void **state)
{
        (void)state;
        struct config_limits l = {.rpm = 2, .tpm = 100, .rpd = 5, .tpd = 1000};
        struct limit_state s = {0};
        struct limit_turn a = ask(&s, &l, 50, 0, 1000), b = ask(&s, &l, 50, 0, 1000);
        assert_true(a.granted && b.granted);
        assert_false(ask(&s, &l, 0, 0, 2000).granted);
        limit_give_back(&s, &b, 2000);
        assert_int_equal(s.day_requests, 1);
        assert_int_equal(s.day_tokens, 50);
        struct limit_turn c = ask(&s, &l, 50, 0, 2000);
        assert_true(c.granted);
        /* Turns that lie ahead hold back those behind them only as long as they stand. */
        struct limit_turn d = ask(&s, &l, 100, 60000, 5000), e = ask(&s, &l, 1, 60000, 5000);
        assert_int_equal(d.at_ms, 63000);
        assert_false(e.granted);
        limit_give_back(&s, &d, 5500);
        e = ask(&s, &l, 1, 58000, 5500);
        assert_true(e.granted);
        assert_int_equal(e.at_ms, 62000);
        assert_int_equal(limit_waiting(&s, 5500), 1);
        limit_give_back(&s, &e, 5600);
        assert_int_equal(limit_waiting(&s, 5600), 0);
        assert_int_equal(s.booked_ms, 5600);
}

static void settling_corrects(void **state)
{
        (void)state;
        static const struct {
                int64_t used, day; /* that now is when it settles: the slot's */
                int64_t window, day_tokens;
        } rows[] = {
                {40, 20000, 40, 40},    {0, 20000, 0, 0},   {-7, 20000, 0, 0}, {50, 20000, 50, 50},
                {170, 20000, 170, 170}, {40, 20001, 41, 1}, {0, 20001, 1, 1},  {170, 20001, 171, 121},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct config_limits l = {.tpm = 100};
                struct limit_state s = {0};
                struct limit_views v;
                struct limit_turn t = ask(&s, &l, 50, 0, 1000);
                if (rows[i].day != 20000) {
                        struct limit_ask next = {.tokens = 1, .day = rows[i].day, .day_left_ms = 1000};
                        assert_true(limit_reserve(&s, &l, &next, 3000).granted);
                }
                limit_settle(&s, &t, rows[i].used, 9000);
                limit_look(&s, &l, rows[i].day, 500, 9000, &v);
                assert_int_equal(v.tpm.used, rows[i].window);
                assert_int_equal(v.tpd.used, rows[i].day_tokens);
                /* What it used beyond its reservation counts from when it was known. */
                if (rows[i].used > 100)
                        assert_int_equal(ask(&s, &l, 100, 0, 10000).at_ms, 70000);
        }
}

static void days_turn(void **state)
{
        (void)state;
        struct config_limits l = {.rpd = 2};
        struct limit_state s = {0};
        struct limit_ask a = {.day = 100, .day_left_ms = 500};
        assert_true(limit_reserve(&s, &l, &a, 1000).granted);
        struct limit_turn old = limit_reserve(&s, &l, &a, 1000);
        assert_false(limit_reserve(&s, &l, &a, 1000).granted);
        a.day = 101;
        assert_true(limit_reserve(&s, &l, &a, 1500).granted);
        a.day = 100; /* just before midnight, late under the lock: counts on the new day */
        struct limit_turn t = limit_reserve(&s, &l, &a, 1499 + 1);
        assert_true(t.granted);
        assert_int_equal(t.day, 101);
        assert_false(limit_reserve(&s, &l, &a, 1500).granted);
        limit_give_back(&s, &old, 1600); /* of yesterday: gives nothing to today */
        a.day = 101;
        assert_false(limit_reserve(&s, &l, &a, 1600).granted);
        a.day = 90; /* the clock was set back */
        assert_true(limit_reserve(&s, &l, &a, 1700).granted);
}

static void the_providers_word_tightens(void **state)
{
        (void)state;
        static const struct {
                int64_t limit, remaining, full; /* said at 10000 */
                int64_t before;                 /* asks before the one, at 10000 */
                int64_t now, tokens, wait;
                bool granted;
                int64_t at;
        } rows[] = {
                {100, 1, 20000, 0, 10000, 0, 0, true, 10000},
                {100, 1, 20000, 1, 10000, 0, 0, false, 10100},
                {100, 0, 20000, 0, 10000, 0, 99, false, 10100},
                {100, 0, 20000, 0, 10000, 0, 100, true, 10100},
                {100, 0, 20000, 0, 10050, 0, 0, false, 10100},
                {100, 0, 20000, 0, 10100, 0, 0, true, 10100},
                {100, 0, 9000, 5, 10100, 0, 0, true, 10100}, /* it has passed */
                {100, 2, 20000, 2, 20000, 0, 0, true, 20000},
                {0, 0, 20000, 2, 10000, 0, 0, true, 10000},
                {100, -9, 20000, 0, 10000, 0, 0, false, 10100},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct limit_state s = {0};
                struct limit_told told = {rows[i].limit, rows[i].remaining, 10000, rows[i].full};
                limit_tell(&s, &told, NULL);
                for (int64_t k = 0; k < rows[i].before; k++)
                        assert_true(ask(&s, NULL, 0, 0, 10000).granted);
                struct limit_turn t = ask(&s, NULL, rows[i].tokens, rows[i].wait, rows[i].now);
                if (t.granted != rows[i].granted || t.at_ms != rows[i].at)
                        fail_msg("row %zu: granted %d at %lld", i, t.granted, (long long)t.at_ms);
                assert_int_equal(t.by, t.at_ms > rows[i].now ? LIMIT_TOLD : LIMIT_NONE);
        }
}

static void the_providers_word_on_tokens(void **state)
{
        (void)state;
        struct limit_state s = {0};
        struct limit_told told = {1000, 600, 10000, 14000};
        struct config_limits tight = {.rpm = 1};
        limit_tell(&s, NULL, &told);
        struct limit_turn a = ask(&s, NULL, 500, 0, 11000);
        assert_true(a.granted);
        assert_int_equal(s.told_tokens.remaining, 100);
        assert_int_equal(ask(&s, NULL, 500, 0, 11000).at_ms, 11778);   /* 100 + 900 × t / 4000 */
        assert_int_equal(ask(&s, NULL, 90000, 0, 11000).at_ms, 14000); /* a full bucket */
        limit_settle(&s, &a, 200, 12000);
        assert_int_equal(s.told_tokens.remaining, 400);
        limit_settle(&s, &a, 700, 12000);
        assert_int_equal(s.told_tokens.remaining, 200);
        /* An older word does not undo a newer one; a newer one has counted what passed before it. */
        struct limit_told old = {1000, 1000, 9999, 9999}, newer = {1000, 900, 12000, 13000};
        limit_tell(&s, NULL, &old);
        assert_int_equal(s.told_tokens.remaining, 200);
        limit_tell(&s, NULL, &newer);
        limit_settle(&s, &a, 100, 12100);
        assert_int_equal(s.told_tokens.remaining, 900);
        /* … but not what is booked ahead. And nothing it says loosens a limit of ours. */
        struct limit_turn b = ask(&s, &tight, 300, 60000, 12500);
        assert_true(b.granted && b.at_ms == 72000);
        newer.at_ms = 13000;
        limit_tell(&s, NULL, &newer);
        assert_int_equal(s.told_tokens.remaining, 600);
        limit_give_back(&s, &b, 13500);
        assert_int_equal(s.told_tokens.remaining, 900);
        assert_false(ask(&s, &tight, 0, 0, 13500).granted);
}

static void a_clock_that_is_no_more_is_forgotten(void **state)
{
        (void)state;
        struct config_limits l = {.rpm = 1, .rpd = 2};
        struct limit_state s = {0};
        struct limit_views v;
        struct limit_turn old = ask(&s, &l, 5, 0, 900000000);
        assert_true(old.granted);
        limit_look(&s, &l, 20000, 500, 1000, &v);
        assert_int_equal(v.rpm.used, 0);
        assert_int_equal(limit_waiting(&s, 1000), 0);
        struct limit_turn t = ask(&s, &l, 5, 0, 1000);
        assert_true(t.granted && t.at_ms == 1000);
        limit_settle(&s, &old, 0, 1000);
        limit_give_back(&s, &old, 1000);
        assert_false(ask(&s, &l, 0, 0, 1000).granted);
        /* Far ahead is only what nobody could have booked. */
        assert_true(ask(&s, &l, 0, 60000, 2000).granted);
        assert_int_equal(limit_waiting(&s, 2000), 1);
}

/* Reset by hand, damaged and begun anew, given to another caller: what was reserved before is not in it. */
static void turns_of_before_give_nothing_back(void **state)
{
        (void)state;
        struct config_limits l = {.rpm = 10, .tpm = 1000, .rpd = 10, .tpd = 1000};
        struct limit_state s = {0};
        struct limit_views v;
        struct limit_turn kept = ask(&s, &l, 100, 0, 5000), dropped = ask(&s, &l, 100, 0, 5000);
        assert_true(kept.granted && dropped.granted);
        memset(&s, 0, sizeof s);
        struct limit_turn fresh = ask(&s, &l, 300, 0, 5100);
        assert_true(fresh.granted && ask(&s, &l, 300, 0, 5100).granted);
        limit_settle(&s, &kept, 1, 5200);
        limit_give_back(&s, &dropped, 5200);
        limit_look(&s, &l, 20000, 7000, 5200, &v);
        assert_int_equal(v.rpm.used, 2);
        assert_int_equal(v.rpd.used, 2);
        assert_int_equal(v.tpm.used, 600);
        assert_int_equal(v.tpd.used, 600);
        /* What they used beyond their reservation was used now, and counts. */
        limit_settle(&s, &kept, 150, 5300);
        limit_settle(&s, &fresh, 250, 5300);
        limit_look(&s, &l, 20000, 7000, 5300, &v);
        assert_int_equal(v.tpm.used, 600);
        assert_int_equal(v.tpd.used, 600);
}

static void looking(void **state)
{
        (void)state;
        struct config_limits l = {.rpm = 10, .tpm = 1000, .rpd = 50, .tpd = 5000};
        struct limit_state s = {0};
        struct limit_views v;
        limit_look(&s, &l, 20000, 7000, 5500, &v);
        assert_int_equal(v.rpm.used + v.tpm.used + v.rpd.used + v.tpd.used, 0);
        assert_int_equal(v.rpm.reset_ms + v.tpm.reset_ms + v.rpd.reset_ms + v.tpd.reset_ms, 0);
        ask(&s, &l, 100, 0, 5500);
        ask(&s, &l, 0, 0, 7500);
        limit_look(&s, &l, 20000, 7000, 8000, &v);
        assert_int_equal(v.rpm.max, 10);
        assert_int_equal(v.rpm.used, 2);
        assert_int_equal(v.rpm.reset_ms, 60000);
        assert_int_equal(v.tpm.used, 100);
        assert_int_equal(v.tpm.reset_ms, 58000);
        assert_int_equal(v.rpd.used, 2);
        assert_int_equal(v.tpd.used, 100);
        assert_int_equal(v.tpd.reset_ms, 7000);
        limit_look(&s, NULL, 20001, 7000, 66000, &v);
        assert_int_equal(v.rpm.max, 0);
        assert_int_equal(v.rpm.used, 1);
        assert_int_equal(v.rpd.used, 0);
        limit_look(&s, NULL, 20001, 7000, 68000, &v);
        assert_int_equal(v.rpm.used + v.rpm.reset_ms, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_ask_after_others),
                cmocka_unit_test(turns_ahead_are_spaced_in_order),
                cmocka_unit_test(a_queue_is_bounded),
                cmocka_unit_test(what_is_given_back_counts_for_the_next),
                cmocka_unit_test(settling_corrects),
                cmocka_unit_test(days_turn),
                cmocka_unit_test(the_providers_word_tightens),
                cmocka_unit_test(the_providers_word_on_tokens),
                cmocka_unit_test(a_clock_that_is_no_more_is_forgotten),
                cmocka_unit_test(turns_of_before_give_nothing_back),
                cmocka_unit_test(looking),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
