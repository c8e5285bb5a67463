/* Amounts, prices, rates, budgets: tables, and a million random ones against OpenSSL's big numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bn.h>

#include "base/clock.h"
#include "base/money.h"
#include "policy/budget.h"
#include "policy/price.h"
#include "policy/rate.h"
#include "store/invoice.h"
#include "store/ledger.h"

/* ---- amounts ---- */

static void amounts_are_read_and_shown(void **state)
{
        static const struct {
                const char *text;
                int64_t pico;
                const char *shown;
        } rows[] = {
                {"0", 0, "0"},
                {"12", 12 * MONEY_PICO, "12"},
                {"12.50", 12 * MONEY_PICO + MONEY_PICO / 2, "12.5"},
                {"0.000001", 1000000, "0.000001"},
                {"0.000000000001", 1, "0.000000000001"},
                {"9223372.036854775807", INT64_MAX, "9223372.036854775807"},
        };
        static const char *const bad[] = {"",
                                          ".",
                                          "1.",
                                          ".5",
                                          "-1",
                                          "1e3",
                                          "1,5",
                                          " 1",
                                          "1 ",
                                          "0.0000000000001",
                                          "9223372.036854775808",
                                          "99999999999999999999"};
        char text[MONEY_TEXT];
        int64_t pico;
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                assert_true(money_parse(rows[i].text, &pico));
                assert_int_equal(pico, rows[i].pico);
                assert_string_equal(money_text(text, pico), rows[i].shown);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_false(money_parse(bad[i], &pico));
        assert_string_equal(money_text(text, -MONEY_PICO / 4), "-0.25");
        assert_string_equal(money_text_places(text, MONEY_PICO / 8, 2), "0.13");
        assert_string_equal(money_text_places(text, -MONEY_PICO / 8, 2), "-0.13");
        assert_string_equal(money_text_places(text, -MONEY_PICO / 1000, 2), "0.00");
        assert_string_equal(money_text_places(text, MONEY_PICO / 2, 0), "1");
        assert_string_equal(money_text(text, (__int128)INT64_MAX * 1000000), "9223372036854.775807");
        assert_int_equal(money_add(INT64_MAX, 1), INT64_MAX);
        assert_int_equal(money_scale(3, 500000), 2);
        assert_int_equal(money_scale(INT64_MAX, 2000000), INT64_MAX);
}

static void numbers_of_json_are_read(void **state)
{
        static const struct {
                const char *text;
                int shift;
                int64_t pico; /* -1: refused */
        } rows[] = {
                {"0", 0, 0},
                {"0.0", 0, 0},
                {"1", 0, MONEY_PICO},
                {"0.00011765", 0, 117650000},
                {"1.1765e-4", 0, 117650000},
                {"1.1765E-04", 0, 117650000},
                {"0.1", 0, MONEY_PICO / 10},
                {"1e6", 0, 1000000 * MONEY_PICO},
                {"1e+6", 0, 1000000 * MONEY_PICO},
                {"9223372.036854775807", 0, INT64_MAX},
                {"9223372.0368547758070000000000000000000000000001", 0, INT64_MAX},
                {"9223372.036854775808", 0, -1},
                {"9223372.0368547758075", 0, -1},
                {"0.0000000000005", 0, 1},
                {"0.00000000000049999999999999999999999999999999", 0, 0},
                {"5e-13", 0, 1},
                {"4e-13", 0, 0},
                {"1e-999999999999999999999", 0, 0},
                {"1e999999999999999999999", 0, -1},
                {"0e99", 0, 0},
                {"1176500", -10, 117650000},
                {"15", -13, 2},
                {"1", 7, -1},
                {"", 0, -1},
                {"-1", 0, -1},
                {"-0", 0, -1},
                {".5", 0, -1},
                {"1e", 0, -1},
                {"1e+", 0, -1},
                {"1e 5", 0, -1},
                {"1 ", 0, -1},
                {"NaN", 0, -1},
                {"Infinity", 0, -1},
                {"0x10", 0, -1},
        };
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                int64_t pico = -1;
                if (money_number(rows[i].text, rows[i].shift, &pico) != (rows[i].pico >= 0) ||
                    pico != rows[i].pico)
                        fail_msg("%s: %lld", rows[i].text, (long long)pico);
        }
}

/* ---- prices ---- */

static const struct config_provider openai = {.name = "openai", .dialect = "openai"};
static const struct config_provider azure = {.name = "azure", .dialect = "openai"};
static const struct config_provider echo = {.name = "local", .dialect = "echo"};

static struct config_price prices[] = {
        {.pattern = "gpt-5.5",
         .shipped = true,
         .input_micro = 5000000,
         .cached_micro = 500000,
         .output_micro = 30000000,
         .priority_micro = 2000000,
         .flex_micro = 500000},
        {.pattern = "gpt-5.5",
         .shipped = true,
         .above = 272000,
         .input_micro = 10000000,
         .cached_micro = 1000000,
         .output_micro = 45000000},
        {.pattern = "gpt-5.5",
         .shipped = true,
         .from_unix = 2000,
         .input_micro = 4000000,
         .output_micro = 20000000},
        {.pattern = "gpt-5.5",
         .shipped = true,
         .provider = "azure",
         .input_micro = 6000000,
         .output_micro = 33000000},
        {.pattern = "claude-*",
         .shipped = true,
         .input_micro = 3000000,
         .cached_micro = 300000,
         .cache_write_micro = 3750000,
         .cache_write_1h_micro = 6000000,
         .output_micro = 15000000},
        {.pattern = "claude-own", .input_micro = 1000000, .output_micro = 2000000},
        {.pattern = "claude-own", .shipped = true, .input_micro = 9000000, .output_micro = 9000000},
        {
                .pattern = "embed",
                .shipped = true,
                .input_micro = 20000,
        },
        {.pattern = "speaks",
         .input_micro = 1000000,
         .output_micro = 2000000,
         .audio_input_micro = 40000000,
         .audio_output_micro = 80000000,
         .image_input_micro = 7000000},
};
static const struct config config = {
        .prices = prices, .price_count = sizeof prices / sizeof *prices, .currency = "USD"};

/* 0 above stands for what a row does not say. */
static void leave_out(struct config_price *p)
{
        int64_t *const left[] = {&p->cached_micro,      &p->cache_write_micro, &p->cache_write_1h_micro,
                                 &p->output_micro,      &p->audio_input_micro, &p->audio_output_micro,
                                 &p->image_input_micro, &p->priority_micro,    &p->flex_micro,
                                 &p->batch_micro,       &p->fast_micro};
        for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
                if (!*left[i])
                        *left[i] = -1;
        }
}

static int set_up(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof prices / sizeof *prices; i++)
                leave_out(&prices[i]);
        return 0;
}

static int64_t cost(const struct config_provider *p, const char *model, const char *served, int64_t now,
                    struct chat_usage u)
{
        const struct price_ask ask = {&config, p, model, served, now};
        u.known = true;
        return price_usage(&ask, &u);
}

static void prices_are_chosen_and_counted_once(void **state)
{
        (void)state;
        /* Cached tokens are part of the input, reasoning of the output. */
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1000,
                     (struct chat_usage){.input = 1000, .cached = 400, .output = 200, .reasoning = 150}),
                600 * INT64_C(5000000) + 400 * INT64_C(500000) + 200 * INT64_C(30000000));
        assert_int_equal(
                cost(&openai, "gpt-5.5-2026-04-23", NULL, 1000, (struct chat_usage){.input = 272000}),
                272000 * INT64_C(5000000));
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1000, (struct chat_usage){.input = 272001, .output = 1}),
                272001 * INT64_C(10000000) + 45000000);
        assert_int_equal(cost(&openai, "gpt-5.5", NULL, 2000, (struct chat_usage){.input = 10, .cached = 10}),
                         10 * INT64_C(4000000));
        assert_int_equal(cost(&azure, "gpt-5.5", NULL, 2000, (struct chat_usage){.input = 10}), 60000000);
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1, (struct chat_usage){.input = 10, .tier = TIER_FLEX}),
                25000000);
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1, (struct chat_usage){.input = 10, .tier = TIER_PRIORITY}),
                100000000);
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1, (struct chat_usage){.input = 10, .tier = TIER_BATCH}),
                50000000);
        /* Written for five minutes and for an hour: the latter is part of the former. */
        assert_int_equal(
                cost(&openai, "claude-x", NULL, 1,
                     (struct chat_usage){
                             .input = 1000, .cached = 100, .cache_write = 300, .cache_write_1h = 50}),
                600 * INT64_C(3000000) + 100 * INT64_C(300000) + 250 * INT64_C(3750000) +
                        50 * INT64_C(6000000));
        assert_int_equal(cost(&openai, "claude-own", NULL, 1, (struct chat_usage){.input = 10}), 10000000);
        assert_int_equal(cost(&openai, "gpt-5.5", "claude-own", 1, (struct chat_usage){.input = 10}),
                         10000000);
        assert_int_equal(cost(&openai, "gpt-5.5", "unheard-of", 1, (struct chat_usage){.input = 10}),
                         50000000);
        assert_int_equal(cost(&openai, "unheard-of", NULL, 1, (struct chat_usage){.input = 10}), -1);
        assert_int_equal(cost(&openai, "gpt-5", NULL, 1, (struct chat_usage){.input = 10}), -1);
        assert_int_equal(cost(&openai, "gpt-unheard-of", NULL, 1, (struct chat_usage){.input = 10}), -1);
        assert_int_equal(cost(&echo, "unheard-of", NULL, 1, (struct chat_usage){.input = 10}), 0);
        assert_int_equal(cost(&openai, "embed", NULL, 1, (struct chat_usage){.input = 10}), 200000);
        assert_int_equal(cost(&openai, "embed", NULL, 1, (struct chat_usage){.input = 10, .output = 1}), -1);
        assert_int_equal(cost(&openai, "speaks", NULL, 1,
                              (struct chat_usage){.input = 10,
                                                  .audio_input = 3,
                                                  .image_input = 2,
                                                  .output = 5,
                                                  .audio_output = 4}),
                         5 * 1000000 + 3 * 40000000 + 2 * 7000000 + 2000000 + 4 * 80000000);
}

static void hostile_counts_are_bounded(void **state)
{
        (void)state;
        /* Parts that are larger than their whole, and counts below zero. */
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1,
                     (struct chat_usage){.input = 10, .cached = 100, .cache_write = -5, .output = -7}),
                10 * INT64_C(500000));
        assert_int_equal(
                cost(&openai, "gpt-5.5", NULL, 1,
                     (struct chat_usage){.input = INT64_C(1000000000000), .output = INT64_C(1000000000000)}),
                INT64_MAX);
}

static void the_worst_case_is_never_passed(void **state)
{
        (void)state;
        srand48(11);
        static const char *const models[] = {"gpt-5.5", "claude-x", "claude-own", "speaks"};
        for (int i = 0; i < 20000; i++) {
                const struct price_ask ask = {&config, i & 1 ? &openai : &azure, models[lrand48() % 4], NULL,
                                              lrand48() % 4000};
                int64_t most_in = lrand48() % 600000, most_out = lrand48() % 100000;
                struct chat_usage u = {.known = true, .tier = (enum chat_tier)(lrand48() % 5)};
                u.input = most_in ? lrand48() % (most_in + 1) : 0;
                u.output = most_out ? lrand48() % (most_out + 1) : 0;
                u.cached = u.input ? lrand48() % (u.input + 1) : 0;
                u.cache_write = lrand48() % (u.input - u.cached + 1);
                u.cache_write_1h = u.cache_write ? lrand48() % (u.cache_write + 1) : 0;
                u.audio_input = u.input ? lrand48() % (u.input + 1) : 0;
                u.audio_output = u.output ? lrand48() % (u.output + 1) : 0;
                int64_t worst = price_worst(&ask, most_in, most_out), real = price_usage(&ask, &u);
                if (worst < real)
                        fail_msg("%s at %s: %lld is more than %lld", ask.model, ask.provider->name,
                                 (long long)real, (long long)worst);
        }
        const struct price_ask unknown = {&config, &openai, "unheard-of", NULL, 1};
        const struct price_ask free_one = {&config, &echo, "unheard-of", NULL, 1};
        assert_int_equal(price_worst(&unknown, 1, 1), -1);
        assert_int_equal(price_worst(&free_one, 1, 1), 0);
}

static void shipped_prices_are_dollars(void **state)
{
        static const struct config_rate rates[] = {
                {.currency = "EUR", .per_usd_micro = 900000},
                {.currency = "EUR", .per_usd_micro = 800000, .from_unix = 100}};
        struct config c = config;
        const struct chat_usage u = {.known = true, .input = 10};
        struct price_ask ask = {&c, &openai, "gpt-5.5", NULL, 1};
        (void)state;
        c.currency = "EUR";
        assert_int_equal(price_usage(&ask, &u), -1);
        assert_int_equal(price_worst(&ask, 10, 0), -1);
        c.rates = rates;
        c.rate_count = 2;
        assert_int_equal(price_usage(&ask, &u), 45000000);
        assert_int_equal(price_of(&ask, price_find(&ask, 10), 10, 0), 45000000);
        assert_int_equal(price_worst(&ask, 10, 0), 90000000); /* of the tier "priority" */
        ask.unix_s = 100;
        assert_int_equal(price_usage(&ask, &u), 40000000);
        ask.model = "claude-own"; /* not shipped: as written */
        assert_int_equal(price_usage(&ask, &u), 10000000);
}

/* ---- rates ---- */

static void rates_have_dates(void **state)
{
        static const struct config_rate rates[] = {
                {.currency = "EUR", .per_usd_micro = 900000},
                {.currency = "EUR", .per_usd_micro = 920000, .from_unix = 100},
                {.currency = "JPY", .per_usd_micro = 155000000, .from_unix = 50}};
        const struct config c = {.rates = rates, .rate_count = 3};
        int64_t out;
        (void)state;
        assert_true(rate_convert(&c, 1000000, "USD", "EUR", 99, &out));
        assert_int_equal(out, 900000);
        assert_true(rate_convert(&c, 1000000, "USD", "EUR", 100, &out));
        assert_int_equal(out, 920000);
        assert_true(rate_convert(&c, 1, "USD", "EUR", 100, &out)); /* never less than it cost */
        assert_int_equal(out, 1);
        assert_true(rate_convert(&c, 920000, "EUR", "JPY", 100, &out));
        assert_int_equal(out, 155000000);
        assert_true(rate_convert(&c, 7, "GBP", "GBP", 100, &out));
        assert_int_equal(out, 7);
        assert_false(rate_convert(&c, 7, "USD", "JPY", 49, &out));
        assert_false(rate_convert(&c, 7, "USD", "GBP", 49, &out));
        assert_false(rate_convert(&c, INT64_MAX, "USD", "JPY", 100, &out));
}

/* ---- budgets ---- */

static const int64_t shares[] = {500000, 1000000};

static void budgets_refuse_turn_and_tell(void **state)
{
        const struct config_budget b = {.day_micro = 10,
                                        .month_micro = 25,
                                        .currency = "EUR",
                                        .alert_micro = shares,
                                        .alert_count = 2,
                                        .hard = true};
        const struct budget_terms t = {.budget = &b};
        struct budget_moment m = {.day = 5, .month = 1};
        struct budget_state s = {0};
        struct budget_hold one = {0}, two = {0}, three = {0};
        struct budget_alerts alerts;
        struct budget_view view;
        (void)state;
        assert_false(budget_loaded(&s, "EUR"));
        budget_load(&s, "EUR", &m, &(struct budget_spent){1000000, 2000000, 0}, 77);
        assert_true(budget_loaded(&s, "EUR") && !budget_loaded(&s, "USD"));
        assert_int_equal(budget_reserve(&s, &t, &m, 6000000, &one), BUDGET_FINE);
        assert_int_equal(budget_reserve(&s, &t, &m, 3000001, &two), BUDGET_DAY);
        assert_int_equal(budget_reserve(&s, &t, &m, -1, &two), BUDGET_UNPRICED);
        assert_int_equal(budget_reserve(&s, &t, &m, 3000000, &two), BUDGET_FINE);
        budget_settle(&s, &t, &m, &one, 4000000, &alerts);
        assert_int_equal(alerts.day, 1); /* 1 + 4 + 3 held of 10 */
        assert_int_equal(alerts.month, 0);
        budget_settle(&s, &t, &m, &two, 3000000, &alerts);
        assert_int_equal(alerts.day, 0);
        budget_settle(&s, &t, &m, &two, 3000000, &alerts); /* once */
        budget_look(&s, &t, &m, &view);
        assert_int_equal(view.day_pico, 8000000);
        assert_int_equal(view.month_pico, 9000000);
        /* Over midnight: what was held yesterday is yesterday's. */
        assert_int_equal(budget_reserve(&s, &t, &m, 2000000, &three), BUDGET_FINE);
        m.day = 6;
        budget_settle(&s, &t, &m, &three, 1000000, &alerts);
        budget_look(&s, &t, &m, &view);
        assert_int_equal(view.day_pico, 0);
        assert_int_equal(view.month_pico, 10000000);
        assert_int_equal(budget_reserve(&s, &t, &m, 10000001, &one), BUDGET_DAY);
        assert_int_equal(budget_reserve(&s, &t, &m, 10000000, &one), BUDGET_FINE);
        budget_settle(&s, &t, &m, &one, 10000000, &alerts);
        assert_int_equal(alerts.day, 3);
        assert_int_equal(alerts.month, 1);
        m.day = 7;
        assert_int_equal(budget_reserve(&s, &t, &m, 5000001, &one), BUDGET_MONTH);
        m.month = 2;
        assert_int_equal(budget_reserve(&s, &t, &m, 5000001, &one), BUDGET_FINE);
        /* Loaded anew while an attempt runs: it is counted whole when it ends. */
        budget_load(&s, "EUR", &m, &(struct budget_spent){100, 100, 0}, 78);
        budget_settle(&s, &t, &m, &one, 3, &alerts);
        budget_look(&s, &t, &m, &view);
        assert_int_equal(view.day_pico, 103);
}

static void balances_and_soft_budgets(void **state)
{
        const struct config_budget none = {.day_micro = -1, .month_micro = -1, .hard = true};
        const struct config_budget soft = {.day_micro = 1, .month_micro = -1};
        const struct budget_terms prepaid = {.budget = &none, .prepaid = true, .topped_pico = 100};
        const struct budget_terms open_end = {.budget = &soft};
        struct budget_moment m = {.day = 5, .month = 1};
        struct budget_state s = {0};
        struct budget_hold hold = {0};
        struct budget_alerts alerts;
        struct budget_view view;
        (void)state;
        budget_load(&s, "USD", &m, &(struct budget_spent){0, 0, 40}, 1);
        assert_int_equal(budget_reserve(&s, &prepaid, &m, 61, &hold), BUDGET_BALANCE);
        assert_int_equal(budget_reserve(&s, &prepaid, &m, -1, &hold), BUDGET_UNPRICED);
        assert_int_equal(budget_reserve(&s, &prepaid, &m, 60, &hold), BUDGET_FINE);
        budget_settle(&s, &prepaid, &m, &hold, 10, &alerts);
        budget_look(&s, &prepaid, &m, &view);
        assert_int_equal(view.balance_pico, 50);
        assert_int_equal(budget_reserve(&s, &open_end, &m, 5000000, &hold), BUDGET_FINE);
        assert_int_equal(budget_reserve(&s, &open_end, &m, -1, &hold), BUDGET_FINE);
}

static void days_and_months_of_a_zone(void **state)
{
        const char *why;
        struct zone *berlin = zone_open("Europe/Berlin", &why);
        const struct config_budget b = {.days = berlin};
        (void)state;
        assert_non_null(berlin);
        /* 2026-11-30T23:30:00Z is December there */
        struct budget_moment m = budget_moment_at(&b, 1796081400);
        assert_int_equal(m.month, (2026 - 1970) * 12 + 11);
        struct budget_times t = budget_times_at(&b, 1796081400);
        assert_int_equal(t.day_starts, t.month_starts);
        assert_int_equal(t.day_ends - t.day_starts, 86400);
        assert_int_equal(t.month_ends - t.month_starts, 31 * 86400);
        /* October 2026 has an hour more there. */
        t = budget_times_at(&b, 1792000000);
        assert_int_equal(t.month_ends - t.month_starts, 31 * 86400 + 3600);
        zone_free(berlin);
}

/* ---- a million random ones ---- */

struct big {
        BN_CTX *ctx;
        BIGNUM *sum, *term, *other, *rest;
};

static void big_set(BIGNUM *n, int64_t value)
{
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)value);
        BN_dec2bn(&n, text);
}

static void big_add(struct big *b, BIGNUM *sum, int64_t tokens, int64_t micro)
{
        big_set(b->term, tokens);
        big_set(b->other, micro);
        BN_mul(b->term, b->term, b->other, b->ctx);
        BN_add(sum, sum, b->term);
}

static int64_t big_get(const BIGNUM *n)
{
        char *text = BN_bn2dec(n);
        int64_t value = strtoll(text, NULL, 10);
        OPENSSL_free(text);
        return value;
}

static int64_t below(int64_t n)
{
        return n > 0 ? (int64_t)((double)n * drand48()) : 0;
}

static struct chat_usage random_usage(void)
{
        struct chat_usage u = {.known = true};
        u.input = below(300000);
        u.output = below(20000);
        u.cached = below(u.input);
        u.cache_write = below(u.input - u.cached);
        u.cache_write_1h = below(u.cache_write);
        u.reasoning = below(u.output);
        int64_t fresh = u.input - u.cached - u.cache_write;
        u.audio_input = below(fresh);
        u.image_input = below(fresh - u.audio_input);
        u.audio_output = below(u.output);
        u.tier = (enum chat_tier)below(5);
        return u;
}

/* Some prices are left out, and none is 0, which would be taken for that. */
static struct config_price random_price(void)
{
        struct config_price row = {.pattern = "m", .input_micro = below(20000000)};
        int64_t *const others[] = {&row.cached_micro,      &row.cache_write_micro,  &row.cache_write_1h_micro,
                                   &row.audio_input_micro, &row.audio_output_micro, &row.image_input_micro,
                                   &row.priority_micro,    &row.flex_micro,         &row.batch_micro,
                                   &row.fast_micro};
        row.output_micro = 1 + below(90000000);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                *others[i] = below(8) ? 1 + below(i < 6 ? 40000000 : 3000000) : -1;
        return row;
}

/* sum × micro ÷ 1e6, with so many millionths added before what is over is cut off. */
static void big_scale(struct big *b, BIGNUM *sum, int64_t micro, int64_t more)
{
        big_set(b->other, micro);
        BN_mul(b->term, sum, b->other, b->ctx);
        big_set(b->other, more);
        BN_add(b->term, b->term, b->other);
        big_set(b->other, 1000000);
        BN_div(sum, b->rest, b->term, b->other, b->ctx);
}

static int64_t first_said(int64_t a, int64_t b)
{
        return a < 0 ? b : a;
}

/* Into b->sum, told anew: each token once, at the price of its kind, and the whole at its tier's factor. */
static void big_price(struct big *b, const struct config_price *p, const struct chat_usage *u)
{
        const int64_t factors[] = {-1, p->priority_micro, p->flex_micro, p->batch_micro, p->fast_micro};
        int64_t write = first_said(p->cache_write_micro, p->input_micro);
        BN_zero(b->sum);
        big_add(b, b->sum, u->input - u->cached - u->cache_write - u->audio_input - u->image_input,
                p->input_micro);
        big_add(b, b->sum, u->cached, first_said(p->cached_micro, p->input_micro));
        big_add(b, b->sum, u->cache_write - u->cache_write_1h, write);
        big_add(b, b->sum, u->cache_write_1h, first_said(p->cache_write_1h_micro, write));
        big_add(b, b->sum, u->audio_input, first_said(p->audio_input_micro, p->input_micro));
        big_add(b, b->sum, u->image_input, first_said(p->image_input_micro, p->input_micro));
        big_add(b, b->sum, u->output - u->audio_output, p->output_micro);
        big_add(b, b->sum, u->audio_output, first_said(p->audio_output_micro, p->output_micro));
        big_scale(b, b->sum, first_said(factors[u->tier], 1000000), 500000); /* the nearest */
}

struct rounds {
        struct ledger *ledger;
        struct budget_state budget;
        BIGNUM *all; /* of the charges of the rows */
        int64_t id;
};

/* A row in the ledger, the same in the budget: they are to agree in the end. */
static void book(struct rounds *r, const struct budget_terms *t, int64_t cost_pico, int64_t charge_pico)
{
        const struct budget_moment m = {.day = 1, .month = 1};
        const struct ledger_row row = {.id = ++r->id,
                                       .time_ms = INT64_C(1793491200000) + r->id,
                                       .account = "desk",
                                       .model = r->id % 3 ? "a" : "b",
                                       .outcome = "ok",
                                       .cost_pico = cost_pico,
                                       .currency = "USD",
                                       .charge_pico = charge_pico,
                                       .charge_currency = "EUR"};
        struct ledger_row stored = row;
        struct budget_hold hold = {0};
        struct budget_alerts alerts;
        stored.id = (row.time_ms << 20) + r->id % 1000;
        assert_int_equal(budget_reserve(&r->budget, t, &m, charge_pico + below(1000000000), &hold),
                         BUDGET_FINE);
        budget_settle(&r->budget, t, &m, &hold, charge_pico, &alerts);
        assert_true(ledger_add(r->ledger, &stored, NULL, 0));
}

static const char *sum_of_rows(struct ledger *l, char out[64])
{
        sqlite3_stmt *s = NULL;
        assert_int_equal(sqlite3_prepare_v2(ledger_sqlite(l), "SELECT money_sum(charge_pico) FROM requests",
                                            -1, &s, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        snprintf(out, 64, "%s", (const char *)sqlite3_column_text(s, 0));
        sqlite3_finalize(s);
        return out;
}

static void check_totals(struct rounds *r)
{
        static const struct config_budget budget = {
                .currency = "EUR", .zone = "UTC", .day_micro = -1, .month_micro = -1};
        static const struct config c = {.currency = "USD"};
        const struct config_account desk = {.name = "desk", .budget = budget};
        const struct invoice_ask ask = {.config = &c,
                                        .account = &desk,
                                        .year = 2026,
                                        .month = 11,
                                        .tax_percent = "0",
                                        .today = "2026-12-01"};
        struct arena *a = arena_new();
        struct invoice invoice;
        char rows[64], exact[MONEY_TEXT], why[512] = "";
        char *expected = BN_bn2dec(r->all);
        assert_string_equal(sum_of_rows(r->ledger, rows), expected);
        snprintf(rows, sizeof rows, "%lld", (long long)r->budget.spent_pico);
        assert_string_equal(rows, expected);
        if (!invoice_collect(r->ledger, &ask, a, &invoice, why))
                fail_msg("%s", why);
        money_text(exact, invoice.exact * MONEY_PICO); /* as a whole number of 1e-12 */
        assert_string_equal(exact, expected);
        OPENSSL_free(expected);
        arena_free(a);
}

static void a_million_agree_to_the_last_unit(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
        enum { ROUNDS = 200000, ROWS = 20000 };
#else
        enum { ROUNDS = 1000000, ROWS = 60000 };
#endif
        static const struct config_budget wide = {
                .day_micro = INT64_C(900000000000), .month_micro = -1, .hard = true};
        const struct budget_terms terms = {.budget = &wide};
        struct big b = {BN_CTX_new(), BN_new(), BN_new(), BN_new(), BN_new()};
        char folder[] = "/tmp/tollgate-money-XXXXXX", path[64], why[512], command[96];
        struct rounds r = {.all = BN_new()};
        const struct budget_moment m = {.day = 1, .month = 1};
        (void)state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/usage.db", folder);
        r.ledger = ledger_open(path, LEDGER_MAKE, NULL, why);
        assert_non_null(r.ledger);
        assert_true(ledger_begin(r.ledger, 1000));
        budget_load(&r.budget, "EUR", &m, &(struct budget_spent){0}, 1);
        srand48(42);
        for (int i = 0; i < ROUNDS; i++) {
                const struct config_price row = random_price();
                struct config_rate rate = {.currency = "EUR", .per_usd_micro = 1 + below(2000000)};
                const struct config c = {.prices = &row, .price_count = 1, .rates = &rate, .rate_count = 1};
                const struct price_ask ask = {&c, &openai, "m", NULL, 5};
                const struct chat_usage u = random_usage();
                big_price(&b, &row, &u);
                int64_t pico = price_usage(&ask, &u), charge = -1;
                assert_int_equal(pico, big_get(b.sum));
                assert_true(rate_convert(&c, pico, "USD", "EUR", 5, &charge));
                big_scale(&b, b.sum, rate.per_usd_micro, 999999); /* up */
                assert_int_equal(charge, big_get(b.sum));
                if (i >= ROWS)
                        continue;
                BN_add(r.all, r.all, b.sum);
                book(&r, &terms, pico, charge);
        }
        assert_true(ledger_flush(r.ledger));
        assert_true(ledger_commit(r.ledger));
        check_totals(&r);
        print_message("# figure: %d random usages, prices and rates agree with big numbers; %d of them in "
                      "ledger, budget "
                      "and invoice\n",
                      ROUNDS, ROWS);
        ledger_close(r.ledger);
        snprintf(command, sizeof command, "rm -rf %s", folder);
        assert_int_equal(system(command), 0);
        BN_free(b.sum), BN_free(b.term), BN_free(b.other), BN_free(b.rest), BN_free(r.all),
                BN_CTX_free(b.ctx);
}

/* Any order of any number of attempts: what is spent and held is never more than the budget. */
static void no_order_passes_a_hard_budget(void **state)
{
        const struct config_budget b = {.day_micro = 1000, .month_micro = 20000, .hard = true};
        const struct budget_terms t = {.budget = &b};
        struct budget_moment m = {.day = 1, .month = 1};
        struct budget_state s = {0};
        struct budget_hold holds[64] = {0};
        int64_t spent = 0;
        (void)state;
        srand48(5);
        budget_load(&s, "USD", &m, &(struct budget_spent){0}, 1);
        for (int i = 0; i < 300000; i++) {
                size_t k = (size_t)(lrand48() % 64);
                struct budget_alerts alerts;
                if (i % 20000 == 19999) {
                        for (size_t h = 0; h < 64; h++)
                                budget_settle(&s, &t, &m, &holds[h], 0, &alerts);
                        m.day++;
                        spent = 0;
                }
                if (!holds[k].taken) {
                        budget_reserve(&s, &t, &m, lrand48() % 90000000, &holds[k]);
                } else {
                        int64_t really = below(holds[k].pico + 1);
                        budget_settle(&s, &t, &m, &holds[k], really, &alerts);
                        spent += really;
                }
                assert_true(spent <= 1000000000 && s.day_pico <= 1000000000 &&
                            s.month_pico <= INT64_C(20000000000));
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(amounts_are_read_and_shown),
                cmocka_unit_test(numbers_of_json_are_read),
                cmocka_unit_test(prices_are_chosen_and_counted_once),
                cmocka_unit_test(hostile_counts_are_bounded),
                cmocka_unit_test(the_worst_case_is_never_passed),
                cmocka_unit_test(shipped_prices_are_dollars),
                cmocka_unit_test(rates_have_dates),
                cmocka_unit_test(budgets_refuse_turn_and_tell),
                cmocka_unit_test(balances_and_soft_budgets),
                cmocka_unit_test(days_and_months_of_a_zone),
                cmocka_unit_test(no_order_passes_a_hard_budget),
                cmocka_unit_test(a_million_agree_to_the_last_unit),
        };
        return cmocka_run_group_tests(tests, set_up, NULL);
}
