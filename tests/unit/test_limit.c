/* policy/limit: tables for what it says, and random histories against a list of what it granted. */
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

/* ---- tables ---- */

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

/* ---- random histories ---- */

enum { LIST = 4096 };

struct entry { /* what was granted and stands; requests 0: over-use, when it was settled */
        struct limit_turn turn;
        int64_t at_ms, requests, tokens;
        bool settled;
};

struct world {
        uint64_t chance;
        struct config_limits limits;
        struct limit_state s;
        struct entry list[LIST];
        size_t count;
        int64_t now_ms, over_share, wait_max_ms, step_max_ms, tokens_max;
        int64_t granted, refused, waited;
};

static int64_t pick(struct world *w, int64_t below)
{
        w->chance ^= w->chance << 13;
        w->chance ^= w->chance >> 7;
        w->chance ^= w->chance << 17;
        return below > 0 ? (int64_t)(w->chance % (uint64_t)below) : 0;
}

static void sum_of(const struct world *w, int64_t from_ms, int64_t to_ms, int64_t *requests, int64_t *tokens)
{
        *requests = *tokens = 0;
        for (size_t i = 0; i < w->count; i++) {
                if (w->list[i].at_ms >= from_ms && w->list[i].at_ms < to_ms) {
                        *requests += w->list[i].requests;
                        *tokens += w->list[i].tokens;
                }
        }
}

static int64_t last_at(const struct world *w)
{
        int64_t last = 0;
        for (size_t i = 0; i < w->count; i++) {
                if (w->list[i].requests && w->list[i].at_ms > last)
                        last = w->list[i].at_ms;
        }
        return last;
}

/* What is too old to be in any window to come. */
static void prune(struct world *w)
{
        size_t kept = 0;
        for (size_t i = 0; i < w->count; i++) {
                if (w->list[i].at_ms > w->now_ms - 130000)
                        w->list[kept++] = w->list[i];
        }
        w->count = kept;
}

/* The 61 whole seconds that end with this turn hold no more than the limit, and so do any 60 s within. */
static void check_grant(const struct world *w, const struct limit_turn *t)
{
        int64_t requests, tokens, second = t->at_ms / 1000 * 1000;
        sum_of(w, second - 60000, second + 1000, &requests, &tokens);
        if (w->limits.rpm)
                assert_true(requests <= w->limits.rpm);
        if (w->limits.tpm)
                assert_true(tokens <= w->limits.tpm);
}

/* One that would not wait gets its turn exactly when the list has room and nobody is ahead. */
static bool expected_at_once(const struct world *w, int64_t tokens)
{
        int64_t requests, used, second = w->now_ms / 1000 * 1000;
        sum_of(w, second - 60000, second + 1000, &requests, &used);
        return (!w->limits.rpm || requests < w->limits.rpm) &&
               (!w->limits.tpm || used + tokens <= w->limits.tpm);
}

static void check_waiting(const struct world *w)
{
        int64_t second = w->now_ms / 1000, later = 0, here = 0, told = limit_waiting(&w->s, w->now_ms);
        for (size_t i = 0; i < w->count; i++) {
                if (w->list[i].requests && w->list[i].at_ms > w->now_ms) {
                        later += w->list[i].at_ms / 1000 > second;
                        here += w->list[i].at_ms / 1000 == second;
                }
        }
        assert_true(told >= later);
        if (later == 0 && here == 0)
                assert_true(told <= 50);
        if (w->limits.queue_length)
                assert_true(later <= w->limits.queue_length);
}

static void do_ask(struct world *w)
{
        int64_t tokens = pick(w, w->tokens_max), ahead = last_at(w);
        int64_t wait_ms = pick(w, 2) ? 0 : pick(w, w->wait_max_ms + 1);
        bool at_once = expected_at_once(w, tokens);
        struct limit_turn t = ask(&w->s, &w->limits, tokens, wait_ms, w->now_ms);
        if (!t.granted) {
                w->refused++;
                assert_true(t.by == LIMIT_QUEUE || t.at_ms > w->now_ms + wait_ms);
                if (ahead <= w->now_ms && at_once)
                        assert_true(w->s.booked_ms > w->now_ms); /* only behind turns given back late */
                return;
        }
        w->granted++;
        w->waited += t.at_ms > w->now_ms;
        assert_true(t.at_ms >= ahead && t.at_ms >= w->now_ms && t.at_ms <= w->now_ms + wait_ms);
        if (t.at_ms == w->now_ms)
                assert_true(at_once);
        assert_true(w->count < LIST);
        w->list[w->count++] = (struct entry){.turn = t, .at_ms = t.at_ms, .requests = 1, .tokens = tokens};
        check_grant(w, &t);
}

static void do_settle(struct world *w)
{
        struct entry *e = &w->list[pick(w, (int64_t)w->count)];
        if (w->count == 0 || e->settled || !e->requests)
                return;
        e->settled = true;
        int64_t used = pick(w, e->tokens + 1);
        if (pick(w, 100) < w->over_share) {
                int64_t over = 1 + pick(w, w->limits.tpm / 4);
                assert_true(w->count < LIST);
                w->list[w->count++] = (struct entry){.at_ms = w->now_ms, .tokens = over, .settled = true};
                used = e->tokens + over;
        } else {
                e->tokens = used;
        }
        limit_settle(&w->s, &e->turn, used, w->now_ms);
}

static void do_give_back(struct world *w)
{
        struct entry *e = &w->list[pick(w, (int64_t)w->count)];
        if (w->count == 0 || e->settled || !e->requests)
                return;
        limit_give_back(&w->s, &e->turn, w->now_ms);
        *e = w->list[--w->count];
}

static void a_random_history(struct world *w, int steps)
{
        for (int i = 0; i < steps; i++) {
                w->now_ms += pick(w, 4) ? pick(w, w->step_max_ms) : 0;
                if (pick(w, 2000) == 0)
                        w->now_ms += pick(w, 200000);
                prune(w);
                int64_t what = pick(w, 20);
                if (what < 14)
                        do_ask(w);
                else if (what < 19)
                        do_settle(w);
                else
                        do_give_back(w);
                check_waiting(w);
        }
        assert_true(w->granted > steps / 50 && w->refused > 0);
        if (w->wait_max_ms)
                assert_true(w->waited > 0);
}

static void no_history_breaks_a_limit(void **state)
{
        (void)state;
        static const struct {
                struct config_limits limits;
                int64_t over_share, wait_max, step_max, tokens_max;
        } rows[] = {
                {{.rpm = 1}, 0, 60000, 6000, 1},
                {{.rpm = 7}, 0, 0, 2000, 1},
                {{.rpm = 30}, 0, 5000, 1500, 1},
                {{.rpm = 300}, 0, 60000, 200, 1},
                {{.rpm = 60, .queue_length = 10}, 0, 60000, 500, 1},
                {{.tpm = 1000}, 0, 0, 1500, 300},
                {{.tpm = 1000}, 0, 60000, 1500, 1001},
                {{.rpm = 40, .tpm = 5000}, 0, 20000, 900, 300},
                {{.rpm = 40, .tpm = 5000}, 15, 20000, 900, 300},
                {{.tpm = 3000, .queue_length = 5}, 30, 60000, 900, 600},
        };
        struct world *w = malloc(sizeof *w);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                for (uint64_t seed = 1; seed <= 3; seed++) {
                        *w = (struct world){.chance = seed * 0x9e3779b97f4a7c15 + i,
                                            .limits = rows[i].limits,
                                            .now_ms = 7000000,
                                            .over_share = rows[i].over_share,
                                            .wait_max_ms = rows[i].wait_max,
                                            .step_max_ms = rows[i].step_max,
                                            .tokens_max = rows[i].tokens_max};
                        a_random_history(w, 8000);
                }
        }
        free(w);
}

/* All that hammering gets, as a sorted list of moments. */
static size_t hammer(const struct config_limits *l, int64_t wait_ms, int64_t step_ms, int64_t *at,
                     size_t room)
{
        struct limit_state s = {0};
        size_t count = 0;
        for (int64_t now = 1234567; now < 1234567 + 300000; now += step_ms) {
                struct limit_turn t = ask(&s, l, 10, wait_ms, now);
                if (t.granted) {
                        assert_true(count < room && (count == 0 || t.at_ms >= at[count - 1]));
                        at[count++] = t.at_ms;
                }
        }
        return count;
}

static void the_whole_limit_can_be_used(void **state)
{
        (void)state;
        static const struct {
                struct config_limits limits;
                int64_t wait, step, most, least;
        } rows[] = {
                {{.rpm = 300}, 0, 1, 300, 297},
                {{.rpm = 300}, 0, 7, 300, 297},
                {{.rpm = 300}, 5000, 3, 300, 297},
                {{.rpm = 300}, 60000, 3, 300, 297},
                {{.rpm = 300}, 60000, 200, 300, 297},
                {{.rpm = 300}, 60000, 900, 300, 60},
                {{.tpm = 3000}, 0, 3, 300, 297},
                {{.tpm = 3000}, 5000, 3, 300, 297},
                {{.rpm = 1000, .tpm = 3000}, 60000, 200, 300, 297},
                {{.rpm = 60000}, 60000, 1, 60000, 59000},
        };
        enum { ROOM = 400000 };
        int64_t *at = calloc(ROOM, sizeof *at);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                size_t count = hammer(&rows[i].limits, rows[i].wait, rows[i].step, at, ROOM), first = 0;
                int64_t best = 0;
                for (size_t k = 0; k < count; k++) { /* the 60 s that end with each turn */
                        while (at[k] - at[first] >= 60000)
                                first++;
                        if ((int64_t)(k - first + 1) > best)
                                best = (int64_t)(k - first + 1);
                }
                if (best > rows[i].most || best < rows[i].least)
                        fail_msg("row %zu: at most %lld in a minute", i, (long long)best);
                /* Over the whole time too: 60 of every 61 seconds, whatever the pattern. */
                if (rows[i].least >= 297)
                        assert_true((int64_t)count >= rows[i].least * 4);
        }
        free(at);
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
                cmocka_unit_test(looking),
                cmocka_unit_test(no_history_breaks_a_limit),
                cmocka_unit_test(the_whole_limit_can_be_used),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
