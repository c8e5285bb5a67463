/*
 * make_ledger LEDGER: a ledger with requests that run.sh knows.
 * make_ledger LEDGER NAME MS: one more, that came so many ms ago and has just ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/ledger.h"

enum { NOON = 1795694400 / 86400 * 86400 + 43200 }; /* of 2026-11-26, UTC */

static const struct ledger_row common = {.identity = "key",
                                         .endpoint = "/v1/chat/completions",
                                         .dialect = "openai",
                                         .outcome = "ok",
                                         .status = 200,
                                         .attempts = 1,
                                         .priced = 1,
                                         .currency = "USD",
                                         .charge_currency = "USD"};

static bool add(struct ledger *l, struct ledger_row row, int64_t time_ms, int64_t chance,
                struct ledger_attempt *attempts, size_t count)
{
        row.id = time_ms << 20 | chance;
        row.time_ms = time_ms;
        for (size_t i = 0; i < count; i++)
                attempts[i].time_ms += time_ms;
        return ledger_add(l, &row, attempts, count);
}

static bool add_all(struct ledger *l)
{
        const int64_t noon = (int64_t)NOON * 1000, day = 86400000;
        struct ledger_row plain = common, failed = common, hit = common, odd = common;
        struct ledger_attempt one = {.n = 1,
                                     .provider = "openai",
                                     .upstream_model = "gpt-5.5",
                                     .served_model = "gpt\033[31m-5.5-red",
                                     .upstream_request_id = "req_1",
                                     .kind = "first",
                                     .outcome = "ok",
                                     .status = 200,
                                     .tier = "flex",
                                     .input = 1000,
                                     .cached = 400,
                                     .output = 50,
                                     .priced = 1,
                                     .cost_pico = 1500000000,
                                     .reported_pico = 1600000000,
                                     .first_token_ms = 200,
                                     .total_ms = 900};
        struct ledger_attempt two[] = {{.n = 1,
                                        .provider = "openai",
                                        .upstream_model = "gpt-5.5",
                                        .kind = "first",
                                        .outcome = "error",
                                        .status = 529,
                                        .error = "overloaded",
                                        .priced = 1,
                                        .total_ms = 30},
                                       {.n = 2,
                                        .time_ms = 40,
                                        .provider = "claude",
                                        .upstream_model = "claude-opus-4-7",
                                        .kind = "failover",
                                        .outcome = "error",
                                        .status = 500,
                                        .error = "server",
                                        .total_ms = 60}};
        plain.request_id = "mine-1";
        plain.account = "desk";
        plain.user = "crm";
        plain.model = "assistant";
        plain.version = "2026-11";
        plain.provider = "openai";
        plain.input = 1000;
        plain.cached = 400;
        plain.output = 50;
        plain.cost_pico = 1500000000;
        plain.saved_pico = 250000000;
        plain.first_token_ms = 200;
        plain.total_ms = 900;
        failed.request_id = "mine-2";
        failed.account = "desk";
        failed.model = "assistant";
        failed.outcome = "error";
        failed.error = "upstream_failed";
        failed.status = 502;
        failed.attempts = 2;
        failed.retries = 1;
        failed.priced = 0;
        failed.total_ms = 100;
        hit.request_id = "mine-1";
        hit.account = "=cmd()";
        hit.model = "=cmd()";
        hit.provider = "openai";
        hit.cache_hit = 1;
        hit.attempts = 0;
        hit.saved_pico = 1500000000;
        odd.request_id = "odd";
        odd.account = "shop";
        odd.user = "al\033[2Jice";
        odd.model = "search";
        odd.version = "1";
        odd.provider = "gemini";
        odd.input = 7;
        odd.cost_pico = 2;
        odd.currency = "EUR";
        odd.first_token_ms = 0;
        odd.total_ms = 12000;
        return add(l, plain, noon - 2 * day, 1, &one, 1) && add(l, failed, noon - day, 2, two, 2) &&
               add(l, hit, noon, 3, NULL, 0) && add(l, odd, noon + 1000, 4, NULL, 0);
}

int main(int argc, char **argv)
{
        char why[512] = "";
        struct ledger *l = argc == 2 || argc == 4 ? ledger_open(argv[1], LEDGER_MAKE, NULL, why) : NULL;
        bool ok = l && ledger_begin(l, 10000);
        if (ok && argc == 2) {
                ok = add_all(l);
        } else if (ok) {
                struct ledger_row row = common;
                row.request_id = argv[2];
                row.account = "late";
                row.model = "assistant";
                ok = add(l, row, clock_unix_ms() - atol(argv[3]), 7, NULL, 0);
        }
        ok = ok && ledger_flush(l) && ledger_commit(l);
        if (!ok)
                fprintf(stderr, "make_ledger: %s\n", l ? ledger_problem(l) : why);
        ledger_close(l);
        return ok ? 0 : 3;
}
