/* policy/order: which target is asked first, by strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/order.h"

enum { MOST = 6 };

struct world {
        struct config_target targets[MOST];
        struct config_version version;
};

static void make(struct world *w, enum config_strategy strategy, size_t count, const int64_t *weights)
{
        *w = (struct world){.version = {.strategy = strategy, .target_count = count}};
        w->version.targets = w->targets;
        for (size_t i = 0; i < count; i++)
                w->targets[i].weight = weights ? weights[i] : 1;
}

/* As letters: "bac". */
static const char *ordered(const struct world *w, const struct order_fact *facts, uint64_t turn, double a,
                           double b, char out[MOST + 1])
{
        size_t order[MOST], n = w->version.target_count;
        const double chance[2] = {a, b};
        order_targets(&w->version, facts, turn, chance, order);
        for (size_t i = 0; i < n; i++) {
                assert_true(order[i] < n);
                out[i] = (char)('a' + order[i]);
                for (size_t k = 0; k < i; k++)
                        assert_true(out[k] != out[i]);
        }
        out[n] = '\0';
        return out;
}

static void by_facts(void **state)
{
        (void)state;
        static const struct {
                enum config_strategy strategy;
                size_t count;
                uint64_t turn;
                double a, b;
                const char *expected;
                struct order_fact facts[4];
        } rows[] = {
                {STRATEGY_FAILOVER, 3, 7, 0.9, 0.9, "abc", {{.open = false}}},
                {STRATEGY_FAILOVER,
                 4,
                 0,
                 0,
                 0,
                 "bdac",
                 {{.open = true}, {.open = false}, {.open = true}, {.open = false}}},
                {STRATEGY_ROUND_ROBIN, 3, 0, 0, 0, "abc", {{.open = false}}},
                {STRATEGY_ROUND_ROBIN, 3, 1, 0, 0, "bca", {{.open = false}}},
                {STRATEGY_ROUND_ROBIN, 3, 5, 0, 0, "cab", {{.open = false}}},
                {STRATEGY_ROUND_ROBIN, 3, UINT64_MAX, 0, 0, "abc", {{.open = false}}},
                {STRATEGY_ROUND_ROBIN,
                 4,
                 1,
                 0,
                 0,
                 "cdab",
                 {{.open = false}, {.open = true}, {.open = false}, {.open = false}}},
                {STRATEGY_COST,
                 4,
                 0,
                 0,
                 0,
                 "cdab",
                 {{.cost_pico = 9}, {.cost_pico = -1}, {.open = false}, {.cost_pico = 5}}},
                {STRATEGY_COST,
                 4,
                 0,
                 0,
                 0,
                 "abcd",
                 {{.cost_pico = 5}, {.cost_pico = 5}, {.cost_pico = -1}, {.cost_pico = -1}}},
                {STRATEGY_COST,
                 3,
                 0,
                 0,
                 0,
                 "bca",
                 {{.cost_pico = 1, .open = true}, {.cost_pico = 2}, {.cost_pico = -1}}},
                /* a and b are drawn: the better of them, then the rest by what they take. */
                {STRATEGY_LATENCY,
                 4,
                 0,
                 0,
                 0,
                 "bdca",
                 {{.latency_ms = 900}, {.latency_ms = 500}, {.latency_ms = 200}, {.latency_ms = 100}}},
                {STRATEGY_LATENCY,
                 4,
                 0,
                 0.99,
                 0.99,
                 "dcba",
                 {{.latency_ms = 900}, {.latency_ms = 500}, {.latency_ms = 200}, {.latency_ms = 100}}},
                {STRATEGY_LATENCY,
                 2,
                 0,
                 1,
                 1,
                 "ba",
                 {{.latency_ms = 100, .in_flight = 9}, {.latency_ms = 900}}},
                {STRATEGY_LATENCY,
                 2,
                 0,
                 0,
                 0,
                 "ab",
                 {{.latency_ms = 100, .in_flight = 7}, {.latency_ms = 900}}},
                {STRATEGY_LATENCY, 2, 0, 0, 0, "ba", {{.latency_ms = 100}, {.open = false}}},    /* unknown:
                                                                                                    tried */
                {STRATEGY_LATENCY, 2, 0, 0, 0, "ab", {{.latency_ms = 100}, {.in_flight = 100}}}, /* not by all
                                                                                                  */
                {STRATEGY_LATENCY,
                 3,
                 0,
                 0,
                 0,
                 "bca",
                 {{.latency_ms = 1, .open = true}, {.latency_ms = 2}, {.latency_ms = 3}}},
                {STRATEGY_LATENCY, 1, 0, 0.5, 0.5, "a", {{.open = false}}},
                {STRATEGY_LATENCY, 2, 0, 0.5, 0.5, "ba", {{.open = true}, {.latency_ms = 2}}},
        };
        char out[MOST + 1];
        struct world w;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                make(&w, rows[i].strategy, rows[i].count, NULL);
                ordered(&w, rows[i].facts, rows[i].turn, rows[i].a, rows[i].b, out);
                if (strcmp(out, rows[i].expected) != 0)
                        fail_msg("row %zu: %s, not %s", i, out, rows[i].expected);
        }
}

/* Over a lattice of chances, which of the first two places each target gets how often. */
static void by_weight(void **state)
{
        (void)state;
        enum { STEPS = 400 };
        static const int64_t weights[] = {5, 0, 3, 2};
        int first[4] = {0}, second[4] = {0};
        char out[MOST + 1];
        struct world w;
        make(&w, STRATEGY_WEIGHTED, 4, weights);
        for (int i = 0; i < STEPS; i++) {
                for (int k = 0; k < STEPS; k++) {
                        ordered(&w, NULL, 0, (i + 0.5) / STEPS, (k + 0.5) / STEPS, out);
                        first[out[0] - 'a']++;
                        second[out[1] - 'a']++;
                        assert_int_equal(out[3], 'b'); /* weight 0 */
                }
        }
        /* Without replacement: a is second with 3/10 × 5/7 + 2/10 × 5/8, and so on. */
        static const double firsts[] = {0.5, 0, 0.3, 0.2};
        static const double seconds[] = {0.3393, 0, 0.3750, 0.2857};
        for (int t = 0; t < 4; t++) {
                double one = (double)first[t] / (STEPS * STEPS), two = (double)second[t] / (STEPS * STEPS);
                assert_true(one > firsts[t] - 0.01 && one < firsts[t] + 0.01);
                assert_true(two > seconds[t] - 0.01 && two < seconds[t] + 0.01);
        }
}

static void the_edges_of_weight(void **state)
{
        (void)state;
        static const int64_t none[] = {0, 0, 0}, one[] = {0, 7, 0}, odd[] = {1000000, 1, 1000000};
        static const double chances[] = {0, 0.5, 0.999999999999, 1, 2, -1};
        char out[MOST + 1];
        struct world w;
        for (size_t i = 0; i < sizeof chances / sizeof *chances; i++) {
                make(&w, STRATEGY_WEIGHTED, 3, none);
                assert_string_equal(ordered(&w, NULL, 0, chances[i], chances[i], out), "abc");
                make(&w, STRATEGY_WEIGHTED, 3, one);
                assert_string_equal(ordered(&w, NULL, 0, chances[i], chances[i], out), "bac");
                make(&w, STRATEGY_WEIGHTED, 3, odd);
                ordered(&w, NULL, 0, chances[i], chances[i], out);
                make(&w, STRATEGY_LATENCY, 3, odd);
                ordered(&w, (struct order_fact[3]){{.open = false}}, 0, chances[i], chances[i], out);
        }
}

/* Many that come at once, with what each adds under way: none is overrun, and the slow one gets less. */
static void two_choices_spread(void **state)
{
        (void)state;
        struct order_fact facts[4] = {
                {.latency_ms = 100}, {.latency_ms = 100}, {.latency_ms = 100}, {.latency_ms = 1000}};
        char out[MOST + 1];
        struct world w;
        uint32_t random = 12345;
        make(&w, STRATEGY_LATENCY, 4, NULL);
        for (int i = 0; i < 300; i++) {
                double chance[2];
                for (int k = 0; k < 2; k++) {
                        random = random * 1664525 + 1013904223;
                        chance[k] = random / 4294967296.0;
                }
                facts[ordered(&w, facts, 0, chance[0], chance[1], out)[0] - 'a'].in_flight++;
        }
        for (int t = 0; t < 3; t++)
                assert_in_range(facts[t].in_flight, 80, 110);
        assert_in_range(facts[3].in_flight, 1, 30);
}

static void only_what_is_needed_is_looked_up(void **state)
{
        (void)state;
        static const struct {
                enum config_strategy strategy;
                size_t count;
                bool facts, turn, cost;
        } rows[] = {
                {STRATEGY_FAILOVER, 2, false, false, false},    {STRATEGY_WEIGHTED, 2, false, false, false},
                {STRATEGY_ROUND_ROBIN, 2, false, true, false},  {STRATEGY_LATENCY, 2, true, false, false},
                {STRATEGY_COST, 2, false, false, true},         {STRATEGY_COST, 1, false, false, false},
                {STRATEGY_ROUND_ROBIN, 1, false, false, false},
        };
        struct world w;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                make(&w, rows[i].strategy, rows[i].count, NULL);
                struct order_needs n = order_needs(&w.version);
                assert_true(n.facts == rows[i].facts && n.turn == rows[i].turn && n.cost == rows[i].cost);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(by_facts),
                cmocka_unit_test(by_weight),
                cmocka_unit_test(the_edges_of_weight),
                cmocka_unit_test(two_choices_spread),
                cmocka_unit_test(only_what_is_needed_is_looked_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
