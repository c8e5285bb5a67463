/*
 * What a report over a million requests takes, and whether its sums are SQL's own.
 *
 *     usage [--check] [--rows N] [FOLDER]      a folder that only its owner can write in; without: a new one
 *                                              below /tmp
 *
 * Times are of the processor, so that what else the machine does matters little. --check: exit 1 when a
 * report takes two seconds or more. Exit 1 too when a sum is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/money.h"
#include "store/ledger_query.h"

enum { ROWS = 1000000, AT_ONCE = 50000 };

static char why[512];

static void die(const char *what)
{
        fprintf(stderr, "usage: %s\n", what);
        exit(3);
}

static double cpu_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Two months of requests, as a gateway would leave them. */
static void fill(struct ledger *l, int rows)
{
        static const char sql[] =
                "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) "
                "INSERT INTO requests(id, time_ms, request_id, account, user, identity, endpoint, dialect, "
                "model, version, provider, upstream_model, served_model, upstream_request_id, outcome, "
                "status, error, stream, cache_hit, attempts, retries, rescues, hedges, input, cached, "
                "cache_write, cache_write_1h, output, reasoning, images, estimated, priced, cost_pico, "
                "saved_pico, currency, charge_pico, charge_currency, reported_pico, queue_ms, "
                "first_token_ms, total_ms) "
                "SELECT ((1790000000000 + i * 5184) << 20) + abs(random() %% 1048576), 1790000000000 + i * "
                "5184, "
                "'tg-' || hex(randomblob(16)), 'account-' || (i * 7919 %% 37), 'user-' || (i * 104729 %% "
                "997), "
                "'user', '/v1/chat/completions', 'openai', 'model-' || (i * 31 %% 11), '2026-' || (i %% 3), "
                "'provider-' || (i * 13 %% 5), 'upstream-model-2026-04-23', 'upstream-model-2026-04-23', "
                "'req_' || hex(randomblob(12)), iif(i %% 50 = 0, 'error', 'ok'), iif(i %% 50 = 0, 502, 200), "
                "iif(i %% 50 = 0, 'upstream_error', NULL), i %% 2, i %% 20 = 0, 1 + (i %% 30 = 0), i %% 30 = "
                "0, 0, "
                "0, 500 + abs(random() %% 8000), abs(random() %% 400), 0, 0, 50 + abs(random() %% 900), 0, "
                "0, "
                "0, 1, "
                "abs(random() %% 900000000000000), abs(random() %% 1000000000), iif(i %% 9 = 0, 'EUR', "
                "'USD'), "
                "0, 'USD', 0, 0, 100 + abs(random() %% 3000), 300 + abs(random() %% 30000) FROM n";
        char text[4096];
        for (int i = 0; i < rows; i += AT_ONCE) {
                snprintf(text, sizeof text, sql, i, i + AT_ONCE < rows ? i + AT_ONCE : rows);
                if (!ledger_begin(l, 10000) ||
                    sqlite3_exec(ledger_sqlite(l), text, NULL, NULL, NULL) != SQLITE_OK || !ledger_commit(l))
                        die(ledger_problem(l));
        }
}

static void expect(struct ledger *l, const char *sql, const char *told)
{
        sqlite3_stmt *s = NULL;
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK ||
            sqlite3_step(s) != SQLITE_ROW)
                die(ledger_problem(l));
        if (strcmp((const char *)sqlite3_column_text(s, 0), told) != 0) {
                printf("%s: %s, the report says %s\n", sql, sqlite3_column_text(s, 0), told);
                exit(1);
        }
        sqlite3_finalize(s);
}

static void check_sums(struct ledger *l, const struct usage_line *total)
{
        char text[MONEY_TEXT];
        snprintf(text, sizeof text, "%lld %lld %lld %lld %lld", (long long)total->requests,
                 (long long)total->errors, (long long)total->input, (long long)total->output,
                 (long long)total->retries);
        expect(l,
               "SELECT count(*) || ' ' || sum(outcome = 'error') || ' ' || sum(input) || ' ' || sum(output) "
               "|| ' ' || sum(retries) FROM requests",
               text);
        /* Whole picos: twelve places further left. */
        if (total->sum_count != 2 || strcmp(total->sums[1].currency, "USD") != 0)
                die("expected two currencies");
        __int128 pico = total->sums[1].cost_pico;
        snprintf(text, sizeof text, "%lld%012lld", (long long)(pico / MONEY_PICO),
                 (long long)(pico % MONEY_PICO));
        expect(l, "SELECT money_sum(cost_pico) FROM requests WHERE currency = 'USD'", text);
}

static double report(struct ledger *l, const struct usage_filter *f, enum usage_by by,
                     const struct zone *zone, struct usage_report *out, struct arena *a)
{
        double start = cpu_s();
        if (!usage_report(l, f, by, zone, a, out, why))
                die(why);
        return cpu_s() - start;
}

int main(int argc, char **argv)
{
        static const enum usage_by bys[] = {USAGE_ALL,  USAGE_ACCOUNT, USAGE_VERSION, USAGE_DAY,
                                            USAGE_HOUR, USAGE_USER,    USAGE_ERROR};
        bool check = false, slow = false, made = false;
        int rows = ROWS;
        char own[] = "/tmp/tollgate-usage-XXXXXX", path[4096];
        const char *folder = NULL, *zone_why;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--check") == 0)
                        check = true;
                else if (strcmp(argv[i], "--rows") == 0 && i + 1 < argc)
                        rows = atoi(argv[++i]);
                else
                        folder = argv[i];
        }
        made = !folder;
        if (made && !(folder = mkdtemp(own)))
                die("no folder");
        snprintf(path, sizeof path, "%s/usage.db", folder);
        struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
        if (!l)
                die(why);
        double start = cpu_s();
        fill(l, rows);
        printf("# %d rows written in %.1f s\n", rows, cpu_s() - start);
        struct zone *zone = zone_open("Europe/Berlin", &zone_why);
        for (size_t i = 0; i < sizeof bys / sizeof *bys; i++) {
                static const struct usage_filter all = {0};
                struct arena *a = arena_new();
                struct usage_report r;
                double took = report(l, &all, bys[i], zone, &r, a);
                slow |= took >= 2;
                printf("# figure: usage of %d requests by %s, %zu lines: %.2f s, wanted below 2 s: %s\n",
                       rows, usage_by_name(bys[i]), r.count, took, took < 2 ? "reached" : "OUT OF REACH");
                check_sums(l, &r.total);
                arena_free(a);
        }
        zone_free(zone);
        ledger_close(l);
        if (made) {
                char command[4200];
                snprintf(command, sizeof command, "rm -r '%s'", folder);
                if (system(command) != 0)
                        die("the folder is left");
        }
        return check && slow;
}
