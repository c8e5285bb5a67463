/* tollgate log: requests as they end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/money.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table.h"
#include "store/ledger_query.h"

enum { OUT_MAX = 256 << 20, WHY = 512, SHOWN = 20, MOST = 1000000, AT_ONCE = 1000, POLL_US = 300000 };

static enum cli_exit fail(const struct cli_command *command, const char *why)
{
        fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return CLI_FAILED;
}

/* ---- a line ---- */

struct log {
        struct buf out;
        bool json;
        const struct ledger_follow *known; /* NULL, or: of ids from known_from on only these */
        int64_t known_from;
};

static const char *or_dash(const char *s)
{
        return s && *s ? s : "-";
}

static void log_text(struct buf *out, const struct ledger_row *r)
{
        char when[32], ms[16], money[MONEY_TEXT], count[16];
        const struct {
                const char *text;
                int width;
        } cells[] = {{r->account, 12}, {r->model, 18}, {r->provider, 10}};
        cli_time(when, NULL, r->time_ms);
        buf_addf(out, "%s ", when);
        for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
                cli_cell(out, or_dash(cells[i].text), cells[i].width);
                buf_addc(out, ' ');
        }
        buf_addf(out, "%3lld ", (long long)r->status);
        cli_cell(out, r->error ? r->error : r->cache_hit ? "ok, cached" : or_dash(r->outcome), 18);
        buf_addf(out, " %7s", cli_count(count, r->input));
        buf_addf(out, " %7s %8s %s %s ", cli_count(count, r->output), cli_ms(ms, r->total_ms),
                 r->priced ? money_text(money, r->cost_pico) : "unpriced",
                 r->priced ? or_dash(r->currency) : "");
        cli_cell(out, or_dash(r->request_id), (int)strlen(or_dash(r->request_id)));
        buf_addc(out, '\n');
}

static int by_id(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static void log_row(const struct ledger_row *r, void *context)
{
        struct log *l = context;
        struct json_writer w;
        if (l->known && r->id >= l->known_from &&
            (!l->known->count || !bsearch(&r->id, l->known->ids, l->known->count, sizeof r->id, by_id)))
                return;
        if (!l->json) {
                log_text(&l->out, r);
                return;
        }
        json_writer_init(&w, &l->out);
        jw_object(&w);
        cli_json_columns(&w, ledger_request_columns, ledger_request_column_count, r);
        jw_end(&w);
        buf_addc(&l->out, '\n');
}

/* ---- the last ones, and those that follow ---- */

struct log_wishes {
        const struct cli_command *command;
        struct usage_filter filter;
        int64_t most, window_ms;
        bool follow, json;
};

static bool print(const struct log_wishes *w, struct log *log)
{
        bool ok = cli_print(w->command->name, &log->out);
        buf_release(&log->out);
        return ok;
}

/* Those that `known` does not have come with the next look. */
static enum cli_exit print_last(struct ledger *l, const struct log_wishes *w,
                                const struct ledger_follow *known, int64_t known_from)
{
        char why[WHY] = "";
        int64_t before, after = w->most ? ledger_last(l, &w->filter, w->most, why) : 0;
        if (after < 0)
                return fail(w->command, why);
        while (w->most) {
                struct log log = {.json = w->json, .known = known, .known_from = known_from};
                buf_init(&log.out, OUT_MAX);
                before = after;
                after = ledger_each(l, &w->filter, before, AT_ONCE, log_row, &log, why);
                if (!print(w, &log))
                        return CLI_FAILED;
                if (after < 0)
                        return fail(w->command, why);
                if (after == before)
                        break;
        }
        return CLI_DONE;
}

/* Ends at a signal only, or where it can't go on. */
static enum cli_exit print_fresh(struct ledger *l, const struct log_wishes *w, struct ledger_follow *known,
                                 int64_t looked_ms)
{
        char why[WHY] = "";
        for (;;) {
                struct usage_filter f = w->filter;
                struct log log = {.json = w->json};
                usleep(POLL_US);
                /* From the last look on, which may be long ago: who reads this may have paused. */
                f.since_ms = looked_ms - w->window_ms;
                looked_ms = clock_unix_ms();
                buf_init(&log.out, OUT_MAX);
                int64_t fresh = ledger_fresh(l, &f, known, log_row, &log, why);
                if (!print(w, &log))
                        return CLI_FAILED;
                if (fresh < 0)
                        return fail(w->command, why);
        }
}

static void leave(int number)
{
        (void)number;
        _exit(CLI_DONE);
}

static enum cli_exit show(struct ledger *l, const struct log_wishes *w)
{
        struct ledger_follow known = {0};
        struct usage_filter f = w->filter;
        char why[WHY] = "";
        int64_t now = clock_unix_ms();
        if (!w->follow)
                return print_last(l, w, NULL, 0);
        signal(SIGINT, leave);
        signal(SIGTERM, leave);
        f.since_ms = now - w->window_ms;
        if (ledger_fresh(l, &f, &known, NULL, NULL, why) < 0)
                return fail(w->command, why);
        enum cli_exit status = print_last(l, w, &known, f.since_ms << 20);
        if (status == CLI_DONE)
                status = print_fresh(l, w, &known, now);
        ledger_follow_release(&known);
        return status;
}

/* How long after it came a request may be in the ledger: it may take its time, and its row wait in a spool.
 */
static int64_t window_of(const struct config *c)
{
        enum { SPOOL_MS = 300000, TOTAL_MS = 600000 };
        int64_t longest = TOTAL_MS;
        for (size_t i = 0; i < c->model_count; i++) {
                for (size_t k = 0; k < c->models[i].version_count; k++) {
                        if (c->models[i].versions[k].total_ms > longest)
                                longest = c->models[i].versions[k].total_ms;
                }
        }
        return longest + SPOOL_MS;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct log_wishes w = {.command = command, .most = SHOWN};
        const char *count = NULL;
        const struct cli_option options[] = {
                {.name = "-n", .value = &count},
                {.name = "-f", .flag = &w.follow},
                {.name = "--account", .value = &w.filter.account},
                {.name = "--model", .value = &w.filter.model},
                {.name = "--errors", .flag = &w.filter.errors},
                {.name = "--json", .flag = &w.json},
        };
        enum cli_exit status;
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv,
                       &status))
                return status;
        if (argc > 0)
                return cli_misuse(command, "%.64s: expected options only", argv[1]);
        if (count) {
                size_t len = strspn(count, "0123456789");
                w.most = len && len < 9 && !count[len] ? strtol(count, NULL, 10) : -1;
                if (w.most < 0 || w.most > MOST)
                        return cli_misuse(command, "-n: expected a number of requests, at most %d", MOST);
        }
        const struct config *c = cli_load(config_path);
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        status = CLI_FAILED;
        if (l) {
                w.window_ms = window_of(c);
                status = show(l, &w);
        }
        ledger_close(l);
        config_unref(c);
        return status;
}

const struct cli_command cli_log = {
        .name = "log",
        .arguments = "[-f] [-n COUNT] [--account NAME] [--model NAME] [--errors] [--json] [-c FILE]",
        .summary = "Shows requests as they end",
        .help = "  -f              goes on until Ctrl-C\n"
                "  -n COUNT        the last so many first (20)\n"
                "  --account NAME, --model NAME\n"
                "                  only those\n"
                "  --errors        only what did not end well\n"
                "  --json          an object a line, with all that is known\n"
                "  -c FILE         configuration\n"
                "\n"
                "Columns: time (UTC), account, model, provider, status, outcome, input and output tokens, "
                "time taken,\n"
                "cost, request id.\n",
        .run = run,
};
