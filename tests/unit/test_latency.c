/* policy/latency: the average that jumps up and comes down, percentiles, the tokens of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/latency.h"

static void near(double value, double expected)
{
        if (value < expected - 1 || value > expected + 1)
                fail_msg("%f is not about %f", value, expected);
}

static void the_average_jumps_up_and_comes_down(void **state)
{
        (void)state;
        static const struct {
                int64_t at, sample; /* -1: only looked at */
                double average;
        } rows[] = {
                {1000, -1, 0},       {1000, 500, 500},   {1000, 900, 900}, /* up at once */
                {1000, 100, 900},                                          /* down only with time */
                {11000, 100, 394},                                         /* 100 + 800 / e */
                {11000, -1, 394},    {21000, -1, 145},   /* nobody measures: it comes down */
                {21000, 2000, 2000}, {20000, 100, 2000}, /* a clock a little behind */
                {21000, 0, 1809},                        /* a second from then on */
                {999999999, -1, 0},  {999999999, 0, 1},  /* known, though nothing */
                {999999999, -5, 1},
        };
        struct latency_state l = {0};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                if (rows[i].sample != -1)
                        latency_note(&l, rows[i].sample, rows[i].at);
                near(latency_now(&l, rows[i].at), rows[i].average);
        }
        assert_true(latency_now(&l, 999999999) > 0);
}

static void percentiles(void **state)
{
        (void)state;
        static const struct {
                int quick, slow; /* samples of 100 ms and of 3 s */
                double share;
                int64_t expected;
        } rows[] = {
                {19, 0, 0.95, 0},   {20, 0, 0.95, 114},  {18, 2, 0.95, 4379}, {19, 1, 0.95, 114},
                {10, 10, 0.5, 114}, {10, 11, 0.5, 4379}, {90, 10, 0.9, 114},  {90, 10, 1.0, 4379},
                {90, 10, 0.0, 114}, {0, 40, 0.01, 4379},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct latency_state l = {0};
                for (int k = 0; k < rows[i].quick; k++)
                        latency_note(&l, 100, 1000);
                for (int k = 0; k < rows[i].slow; k++)
                        latency_note(&l, 3000, 1000);
                assert_int_equal(latency_percentile(&l, rows[i].share), rows[i].expected);
        }
}

static void what_is_old_is_forgotten(void **state)
{
        (void)state;
        struct latency_state l = {0};
        for (int i = 0; i < 512; i++)
                latency_note(&l, 3000, 1000);
        assert_int_equal(latency_percentile(&l, 0.5), 4379);
        for (int i = 0; i < 600; i++)
                latency_note(&l, 9, 1000);
        assert_int_equal(latency_percentile(&l, 0.5), 10);
        uint32_t total = 0;
        for (int i = 0; i < LATENCY_BUCKETS; i++)
                total += l.counts[i];
        assert_in_range(total, 250, 512);
        /* Beyond the last bucket. */
        struct latency_state slow = {0};
        for (int i = 0; i < 20; i++)
                latency_note(&slow, INT64_MAX, 1000);
        assert_in_range(latency_percentile(&slow, 0.95), 2876000, 2877000);
}

static void the_tokens_of_answers(void **state)
{
        (void)state;
        struct latency_state l = {0};
        latency_note_output(&l, 400);
        near(l.output_tokens, 400);
        latency_note_output(&l, 900);
        near(l.output_tokens, 450);
        for (int i = 0; i < 200; i++)
                latency_note_output(&l, 0);
        near(l.output_tokens, 1);
        assert_true(l.output_tokens >= 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_average_jumps_up_and_comes_down),
                cmocka_unit_test(percentiles),
                cmocka_unit_test(what_is_old_is_forgotten),
                cmocka_unit_test(the_tokens_of_answers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
