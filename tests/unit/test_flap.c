/*
 * Twenty minutes of a provider that flaps, in simulated time: what share of the requests is answered, how
 * often it is probed, how soon it is used again. Through the same admission and table of faults as the walk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "relay/relay.h"
#include "relay/admission.h"

enum { MINUTES = 20, EVERY_MS = 100 }; /* ten requests a second */

/* Up and down by turns, from the first: seconds. */
static const int phases[] = {60, 45, 120, 5, 90, 180, 30, 10, 20, 10, 20, 10, 300, 90, 210};

static int64_t now_ms = 1000000;

static int64_t simulated(void *context)
{
        (void)context;
        return now_ms;
}

static bool is_up(int64_t ms)
{
        int64_t s = ms / 1000;
        for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
                if (s < phases[i])
                        return i % 2 == 0;
                s -= phases[i];
        }
        return true;
}

struct figures {
        int asked, answered;           /* requests */
        int calls, calls_while_down;   /* to the flapping target */
        int returns;                   /* times that it came back */
        int64_t return_ms, slowest_ms; /* from its coming back to its first answer */
};

struct flap {
        struct relay_env env;
        struct arena *arena;
        struct config_version version;
        struct figures seen;
        int64_t back_ms; /* since when it is up and not used yet; 0: it is used, or down */
};

static uint32_t dice = 12345;

static double chance(void)
{
        dice = dice * 1664525 + 1013904223;
        return (double)dice / 4294967296.0;
}

static bool answers(struct flap *f, const struct config_target *t, int64_t began)
{
        if (t != &f->version.targets[0])
                return true;
        bool up = is_up(now_ms - began);
        f->seen.calls++;
        f->seen.calls_while_down += !up;
        if (up && f->back_ms) {
                int64_t took = now_ms - f->back_ms;
                f->seen.returns++;
                f->seen.return_ms += took;
                f->seen.slowest_ms = took > f->seen.slowest_ms ? took : f->seen.slowest_ms;
                f->back_ms = 0;
        }
        return up;
}

/* As the walk does it: second tries where the table says so, then the next target. */
static bool request(struct flap *f, int64_t began)
{
        static const struct upstream_fault broken = {.kind = FAULT_SERVER, .status = 503};
        const struct estimate estimate = {.input = 10};
        for (size_t i = 0; i < f->version.target_count; i++) {
                for (int64_t tries = 1;; tries++) {
                        struct target_ask ask = {.target = &f->version.targets[i],
                                                 .version = &f->version,
                                                 .again = tries > 1,
                                                 .estimate = &estimate};
                        struct target_permit permit;
                        struct target_answer answer;
                        admission_target(&f->env, f->arena, &ask, &permit, &answer);
                        if (!answer.go)
                                break;
                        bool ok = answers(f, ask.target, began);
                        const struct fault_moment moment = {
                                .tries = tries, .time_left_ms = 60000, .chance = chance()};
                        const struct fault_plan plan = fault_judge(&broken, &f->version, &moment);
                        const struct target_note note = {
                                .fault = ok ? NULL : &broken, .plan = plan, .asked = true, .tokens = 20};
                        admission_settle(&f->env, &ask, &permit, &note);
                        if (ok)
                                return true;
                        if (plan.action != FAULT_AGAIN)
                                break;
                }
        }
        return false;
}

static struct figures flap(size_t targets)
{
        static const struct config_provider providers[] = {{.name = "flaps", .dialect = "openai"},
                                                           {.name = "stands", .dialect = "openai"}};
        static const struct config_target list[] = {{.provider = &providers[0], .model = "m"},
                                                    {.provider = &providers[1], .model = "m"}};
        static const struct config config = {.retry_share = 0.2};
        struct flap f = {
                .arena = arena_new(),
                .version =
                        {.name = "1",
                         .targets = list,
                         .target_count = targets,
                         .retry = {.attempts = 2, .backoff_ms = 500, .max_backoff_ms = 8000},
                         .breaker = {.share = 0.5, .minimum = 5, .window_ms = 30000, .cooldown_ms = 15000}},
        };
        char why[512] = "";
        enum state_problem problem;
        struct state *state = state_open(&(struct state_options){.now_ms = simulated}, &problem, why);
        assert_non_null(state);
        f.env = (struct relay_env){.config = &config, .state = state};
        int64_t began = now_ms;
        bool up = true;
        for (; now_ms - began < MINUTES * 60000; now_ms += EVERY_MS) {
                bool was = up;
                up = is_up(now_ms - began);
                f.back_ms = up && !was ? now_ms : up ? f.back_ms : 0;
                f.seen.asked++;
                f.seen.answered += request(&f, began);
                arena_reset(f.arena);
        }
        state_close(state);
        arena_free(f.arena);
        return f.seen;
}

static void report(const char *name, const struct figures *n)
{
        print_message(
                "# %s: %d requests, %.1f %% answered; %d calls to what flaps, %d of them while it was down; "
                "back in use after %.1f s on average, %.1f s at most (%d times)\n",
                name, n->asked, 100.0 * n->answered / n->asked, n->calls, n->calls_while_down,
                n->returns ? (double)n->return_ms / n->returns / 1000 : 0, (double)n->slowest_ms / 1000,
                n->returns);
}

static void alone(void **state)
{
        (void)state;
        struct figures n = flap(1);
        report("alone", &n);
        /* It was up for 850 s of 1200. What is lost besides is the cool-downs after it came back. */
        assert_in_range(n.answered * 1000 / n.asked, 600, 710);
        assert_int_equal(n.asked, MINUTES * 60 * 10);
        /* 350 s down at ten requests a second, and at most so many calls: the openings and a probe now and
         * then. */
        assert_in_range(n.calls_while_down, 20, 200);
        assert_in_range(n.returns, 4, 7);
        assert_in_range(n.slowest_ms, 0, 120000);
}

static void with_another(void **state)
{
        (void)state;
        struct figures n = flap(2);
        report("with another target", &n);
        assert_int_equal(n.answered, n.asked);
        assert_in_range(n.calls_while_down, 20, 200);
        /* It is used again, and not for good left to the other. */
        assert_in_range(n.calls, n.asked * 55 / 100, n.asked * 72 / 100);
        assert_in_range(n.slowest_ms, 0, 120000);
}

int main(void)
{
        log_configure(LOG_LEVEL_ERROR, NULL);
        const struct CMUnitTest tests[] = {cmocka_unit_test(alone), cmocka_unit_test(with_another)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
