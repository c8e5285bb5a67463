/* policy/limit: random histories against a list of what was granted, and how much of a limit can be used. */
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
                cmocka_unit_test(no_history_breaks_a_limit),
                cmocka_unit_test(the_whole_limit_can_be_used),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
