/* policy/retry: the budget, and the backoff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/retry.h"

static int allowed(struct retry_state *r, double share, int64_t now_ms)
{
        int count = 0;
        while (count < 10000 && retry_allow(r, share, now_ms))
                count++;
        return count;
}

static void retries_are_a_share_of_traffic(void **state)
{
        (void)state;
        static const struct {
                int calls;
                double share;
                int allowed, later, much_later; /* again after 30 s and after ten minutes */
        } rows[] = {
                {0, 0.2, 5, 3, 5},      {10, 0.2, 5, 3, 5},    {25, 0.2, 5, 3, 5},     {50, 0.2, 10, 1, 5},
                {1000, 0.2, 200, 0, 5}, {1000, 1, 1000, 0, 5}, {1000, 0.001, 5, 3, 5}, {1000, 0, 0, 0, 0},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct retry_state r = {0};
                for (int k = 0; k < rows[i].calls; k++)
                        retry_count_call(&r, 1000);
                assert_int_equal(allowed(&r, rows[i].share, 1000), rows[i].allowed);
                assert_int_equal(allowed(&r, rows[i].share, 31000), rows[i].later);
                assert_int_equal(allowed(&r, rows[i].share, 631000), rows[i].much_later);
        }
}

/* An outage: every call fails and would be tried again, for ten minutes. */
static void an_outage_is_not_multiplied(void **state)
{
        (void)state;
        struct retry_state r = {0};
        int calls = 0, retries = 0;
        for (int64_t now = 1000; now < 601000; now += 20) {
                retry_count_call(&r, now);
                calls++;
                retries += retry_allow(&r, 0.2, now);
        }
        assert_in_range(retries, calls * 19 / 100, calls * 20 / 100 + RETRY_FLOOR);
}

static void a_clock_behind_fades_nothing(void **state)
{
        (void)state;
        struct retry_state r = {0};
        retry_count_call(&r, 5000);
        retry_count_call(&r, 4000);
        assert_true(r.calls > 1.9 && r.calls <= 2);
}

static void the_backoff_is_full_jitter(void **state)
{
        (void)state;
        static const struct {
                int64_t backoff, most, tries;
                double chance;
                int64_t expected;
        } rows[] = {
                {500, 8000, 1, 1, 500},    {500, 8000, 1, 0, 0},
                {500, 8000, 1, 0.5, 250},  {500, 8000, 2, 1, 1000},
                {500, 8000, 4, 0.5, 2000}, {500, 8000, 5, 1, 8000},
                {500, 8000, 6, 1, 8000},   {500, 8000, 1000000, 1, 8000},
                {500, 300, 1, 1, 300},     {0, 8000, 9, 1, 0},
                {500, 0, 3, 1, 0},         {500, 8000, 0, 1, 500},
                {500, 8000, -9, 1, 500},   {500, 8000, 1, 7, 500},
                {500, 8000, 1, -7, 0},     {500, INT64_MAX / 4, 99, 0, 0},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct config_retry rules = {.backoff_ms = rows[i].backoff, .max_backoff_ms = rows[i].most};
                assert_int_equal(retry_backoff_ms(&rules, rows[i].tries, rows[i].chance), rows[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(retries_are_a_share_of_traffic),
                cmocka_unit_test(an_outage_is_not_multiplied),
                cmocka_unit_test(a_clock_behind_fades_nothing),
                cmocka_unit_test(the_backoff_is_full_jitter),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
