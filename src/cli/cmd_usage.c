/* tollgate usage: what was asked, and what it cost. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table.h"
#include "store/usage_write.h"

enum { OUT_MAX = 256 << 20, WHY = 512 };

struct wishes {
        const char *by, *since, *until, *zone, *account, *model, *provider, *user;
        bool json, csv;
};

static const char *share(char out[16], int64_t part, int64_t whole)
{
        if (whole > 0)
                snprintf(out, 16, "%.1f %%", 100.0 * (double)part / (double)whole);
        else
                snprintf(out, 16, "-");
        return out;
}

/* ---- text ---- */

/* Four places, and more where that would be nothing. */
static void text_costs(struct buf *out, const struct usage_line *l)
{
        char text[MONEY_TEXT];
        if (!l->sum_count)
                buf_adds(out, "0");
        for (size_t i = 0; i < l->sum_count; i++) {
                __int128 pico = l->sums[i].cost_pico;
                bool tiny = pico && pico < MONEY_PICO / 100 && pico > -MONEY_PICO / 100;
                buf_addf(out, "%s%s %s", i ? " + " : "",
                         tiny ? money_text(text, pico) : money_text_places(text, pico, 4),
                         l->sums[i].currency);
        }
        if (l->unpriced)
                buf_addf(out, " (%lld unpriced)", (long long)l->unpriced);
}

static void text_line(struct buf *out, const char *key, const struct usage_line *l)
{
        char requests[16], errors[16], input[16], cached[16], output[16], first[16], whole[16];
        cli_cell(out, *key ? key : "-", 22);
        buf_addf(out, " %8s %7s %9s", cli_count(requests, l->requests),
                 share(errors, l->errors + l->interrupted, l->requests), cli_count(input, l->input));
        buf_addf(out, " %8s %9s %9s %9s  ", share(cached, l->cached, l->input), cli_count(output, l->output),
                 cli_ms(first, l->first_token_ms[0]), cli_ms(whole, l->total_ms[1]));
        text_costs(out, l);
        buf_addc(out, '\n');
}

static void text_times(struct buf *out, const char *name, const int64_t ms[3])
{
        char p50[16], p95[16], p99[16];
        buf_addf(out, "%-12s p50 %s, p95 %s, p99 %s\n", name, cli_ms(p50, ms[0]), cli_ms(p95, ms[1]),
                 cli_ms(p99, ms[2]));
}

static void text_total(struct buf *out, const struct usage_line *l)
{
        char text[MONEY_TEXT], saved[MONEY_TEXT];
        text_line(out, "all", l);
        buf_addf(out, "\n%-12s %lld, %lld failed, %lld interrupted, %lld answered from the response cache\n",
                 "requests", (long long)l->requests, (long long)l->errors, (long long)l->interrupted,
                 (long long)l->cache_hits);
        buf_addf(out, "%-12s %lld: %lld retries, %lld rescues, %lld hedges\n", "attempts",
                 (long long)l->attempts, (long long)l->retries, (long long)l->rescues, (long long)l->hedges);
        buf_addf(out, "%-12s %lld in (%lld cached, %lld written to caches), %lld out (%lld reasoning)",
                 "tokens", (long long)l->input, (long long)l->cached, (long long)l->cache_write,
                 (long long)l->output, (long long)l->reasoning);
        if (l->estimated)
                buf_addf(out, ", of %lld requests estimated", (long long)l->estimated);
        buf_addc(out, '\n');
        text_times(out, "first token", l->first_token_ms);
        text_times(out, "whole answer", l->total_ms);
        for (size_t i = 0; i < l->sum_count; i++)
                buf_addf(out, "%-12s %s %s, saved by caches %s %s\n", "cost",
                         money_text(text, l->sums[i].cost_pico), l->sums[i].currency,
                         money_text(saved, l->sums[i].saved_pico), l->sums[i].currency);
}

static void write_text(struct buf *out, const struct usage_report *r, enum usage_by by)
{
        buf_addf(out, "%-22s %8s %7s %9s %8s %9s %9s %9s  %s\n", by == USAGE_ALL ? "" : usage_by_name(by),
                 "requests", "errors", "input", "cached", "output", "first p50", "total p95", "cost");
        for (size_t i = 0; i < r->count; i++)
                text_line(out, r->lines[i].key, &r->lines[i]);
        text_total(out, &r->total);
}

/* ---- JSON, CSV ---- */

static void write_json(struct buf *out, const struct usage_report *r, enum usage_by by)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "by", usage_by_name(by));
        jw_key_array(&w, "lines");
        for (size_t i = 0; i < r->count; i++) {
                usage_write_json(&w, &r->lines[i]);
        }
        jw_end(&w);
        jw_key(&w, "total");
        usage_write_json(&w, &r->total);
        jw_end(&w);
        if (!jw_done(&w))
                out->failed = true;
        buf_addc(out, '\n');
}

static void write_csv(struct buf *out, const struct usage_report *r, enum usage_by by)
{
        usage_write_csv_head(out, usage_by_name(by));
        for (size_t k = 0; k < r->count; k++)
                usage_write_csv(out, r->lines[k].key, &r->lines[k]);
        if (by == USAGE_ALL)
                usage_write_csv(out, "all", &r->total);
}

/* ---- the command ---- */

static enum cli_exit report(const struct cli_command *command, const struct config *c,
                            const struct usage_filter *f, enum usage_by by, const struct zone *zone,
                            const struct wishes *w)
{
        struct arena *a = arena_new();
        struct ledger *l = cli_open_ledger(command, c, LEDGER_READ);
        struct usage_report r;
        struct buf out;
        char why[WHY] = "";
        bool ok = false;
        buf_init(&out, OUT_MAX);
        if (l && !(ok = usage_report(l, f, by, zone, a, &r, why)))
                fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        if (ok) {
                (w->json ? write_json : w->csv ? write_csv : write_text)(&out, &r, by);
                ok = cli_print(command->name, &out);
        }
        buf_release(&out);
        ledger_close(l);
        arena_free(a);
        return ok ? CLI_DONE : CLI_FAILED;
}

static bool find_by(const char *name, enum usage_by *by)
{
        for (*by = USAGE_ALL; *by < USAGE_BYS; ++*by) {
                if (strcmp(name, usage_by_name(*by)) == 0)
                        return true;
        }
        return false;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct wishes w = {0};
        const struct cli_option options[] = {
                {.name = "--by", .value = &w.by},
                {.name = "--since", .value = &w.since},
                {.name = "--until", .value = &w.until},
                {.name = "--zone", .value = &w.zone},
                {.name = "--account", .value = &w.account},
                {.name = "--model", .value = &w.model},
                {.name = "--provider", .value = &w.provider},
                {.name = "--user", .value = &w.user},
                {.name = "--json", .flag = &w.json},
                {.name = "--csv", .flag = &w.csv},
        };
        enum cli_exit status;
        enum usage_by by = USAGE_ALL;
        const char *why = NULL;
        int64_t now = clock_unix_ms();
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv,
                       &status))
                return status;
        if (argc > 0)
                return cli_misuse(command, "%.64s: expected options only", argv[1]);
        if (w.by && !find_by(w.by, &by))
                return cli_misuse(
                        command,
                        "--by: expected account, model, provider, version, day, hour, user or error");
        if (w.json && w.csv)
                return cli_misuse(command, "--json or --csv");
        struct zone *zone = zone_open(w.zone ? w.zone : "UTC", &why);
        if (!zone)
                return cli_misuse(command, "--zone: \"%.64s\" %s", w.zone, why);
        struct usage_filter f = {
                .account = w.account, .model = w.model, .provider = w.provider, .user = w.user};
        status = CLI_FAILED;
        if ((w.since && !cli_when(w.since, zone, now, &f.since_ms)) ||
            (w.until && !cli_when(w.until, zone, now, &f.until_ms))) {
                status = cli_misuse(
                        command, "--since, --until: expected 2026-11-26, 2026-11-26T10:00:00Z, or 7d, 24h, "
                                 "30m ago");
        } else {
                const struct config *c = cli_load(config_path);
                if (c)
                        status = report(command, c, &f, by, zone, &w);
                config_unref(c);
        }
        zone_free(zone);
        return status;
}

const struct cli_command cli_usage = {
        .name = "usage",
        .arguments =
                "[--by WHAT] [--since WHEN] [--until WHEN] [--zone ZONE] [--account NAME] [--model NAME] "
                "[--provider NAME] [--user NAME] [--json|--csv] [-c FILE]",
        .summary = "Sums up requests, tokens and cost",
        .help = "  --by WHAT      account, model, provider, version, day, hour, user or error\n"
                "  --since WHEN   2026-11-26, 2026-11-26T10:00:00Z, or 7d, 24h, 30m ago\n"
                "  --until WHEN   up to then, without it\n"
                "  --zone ZONE    of days and hours; UTC without it\n"
                "  --account NAME, --model NAME, --provider NAME, --user NAME\n"
                "                 only those\n"
                "  --json, --csv  for programs: exact amounts, all percentiles\n"
                "  -c FILE        configuration\n",
        .run = run,
};
