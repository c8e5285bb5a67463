/* tollgate log, show, backup: single requests, and a copy of all. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table.h"
#include "store/ledger_query.h"

enum { OUT_MAX = 64 << 20, WHY = 512, SHOWN = 20, AT_ONCE = 1000, POLL_US = 300000 };

static enum cli_exit say(const struct cli_command *command, enum cli_exit status, const char *why)
{
        fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return status;
}

static const char *or_dash(const char *s)
{
        return s && *s ? s : "-";
}

static void json_columns(struct json_writer *w, const struct ledger_column *columns, size_t count,
                         const void *row)
{
        for (size_t i = 0; i < count; i++) {
                const void *at = (const char *)row + columns[i].offset;
                if (columns[i].type == LEDGER_INT)
                        jw_key_int(w, columns[i].name, *(const int64_t *)at);
                else
                        jw_key_string(w, columns[i].name, *(const char *const *)at);
        }
}

/* ---- log ---- */

struct log {
        struct buf out;
        bool json;
};

static void log_text(struct buf *out, const struct ledger_row *r)
{
        char when[32], ms[16], money[MONEY_TEXT], tokens[16];
        cli_time(when, NULL, r->time_ms);
        buf_addf(out, "%s ", when);
        cli_cell(out, or_dash(r->account), 12);
        buf_addc(out, ' ');
        cli_cell(out, or_dash(r->model), 16);
        buf_addc(out, ' ');
        cli_cell(out, or_dash(r->provider), 10);
        buf_addf(out, " %3lld ", (long long)r->status);
        cli_cell(out, r->error ? r->error : or_dash(r->outcome), 20);
        buf_addf(out, " %8s", cli_count(tokens, r->input));
        buf_addf(out, " %7s %8s %s %s ", cli_count(tokens, r->output), cli_ms(ms, r->total_ms),
                 r->priced ? money_text(money, r->cost_pico) : "unpriced",
                 r->priced ? or_dash(r->currency) : "");
        cli_cell(out, or_dash(r->request_id), r->request_id ? (int)strlen(r->request_id) : 1);
        buf_addc(out, '\n');
}

static void log_row(const struct ledger_row *r, void *context)
{
        struct log *l = context;
        if (!l->json) {
                log_text(&l->out, r);
                return;
        }
        struct json_writer w;
        json_writer_init(&w, &l->out);
        jw_object(&w);
        json_columns(&w, ledger_request_columns, ledger_request_column_count, r);
        jw_end(&w);
        buf_addc(&l->out, '\n');
}

struct log_wishes {
        const char *account, *model, *count;
        bool follow, errors, json;
};

/* As long as there are rows behind `after`. -1: told. */
static int64_t print_more(const struct cli_command *command, struct ledger *l, const struct usage_filter *f,
                          int64_t after, bool json)
{
        char why[WHY] = "";
        int64_t last;
        do {
                struct log log = {.json = json};
                buf_init(&log.out, OUT_MAX);
                last = after;
                after = ledger_each(l, f, last, AT_ONCE, log_row, &log, why);
                bool ok = after >= 0 ? cli_print(command->name, &log.out)
                                     : (say(command, CLI_FAILED, why), false);
                buf_release(&log.out);
                if (!ok)
                        return -1;
        } while (after > last);
        return after;
}

static enum cli_exit follow(const struct cli_command *command, struct ledger *l, const struct usage_filter *f,
                            const struct log_wishes *w, int64_t most)
{
        char why[WHY] = "";
        int64_t after = most ? ledger_last(l, f, most, why) : clock_unix_ms() << 20;
        if (after < 0)
                return say(command, CLI_FAILED, why);
        if (most && !after && !w->follow)
                return CLI_DONE;
        after = print_more(command, l, f, after, w->json);
        while (after >= 0 && w->follow) {
                usleep(POLL_US);
                after = print_more(command, l, f, after, w->json);
        }
        return after < 0 ? CLI_FAILED : CLI_DONE;
}

static enum cli_exit run_log(const struct cli_command *command, const char *config_path, int argc,
                             char **argv)
{
        struct log_wishes w = {0};
        const struct cli_option options[] = {
                {.name = "-n", .value = &w.count},       {.name = "--account", .value = &w.account},
                {.name = "--model", .value = &w.model},  {.name = "-f", .flag = &w.follow},
                {.name = "--errors", .flag = &w.errors}, {.name = "--json", .flag = &w.json},
        };
        enum cli_exit status;
        char *end = NULL;
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv,
                       &status))
                return status;
        long most = w.count ? strtol(w.count, &end, 10) : SHOWN;
        if (argc > 0 || (w.count && (*end || most < 0 || most > 1000000)))
                return cli_misuse(command, "-n: expected a number of requests");
        const struct config *c = cli_load(config_path);
        const struct usage_filter f = {.account = w.account, .model = w.model, .errors = w.errors};
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        status = l ? follow(command, l, &f, &w, most) : CLI_FAILED;
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
        .run = run_log,
};

/* ---- show ---- */

static void fact(struct buf *out, const char *name, const char *value)
{
        char shown[1024];
        if (!value || !*value)
                return;
        text_escape(shown, sizeof shown, value, strlen(value));
        buf_addf(out, "%-14s %s\n", name, shown);
}

static void tokens(struct buf *out, const char *name, int64_t input, int64_t cached, int64_t write,
                   int64_t output, int64_t reasoning, bool estimated)
{
        buf_addf(out, "%-14s %lld in", name, (long long)input);
        if (cached || write)
                buf_addf(out, " (%lld cached, %lld written to the cache)", (long long)cached,
                         (long long)write);
        buf_addf(out, ", %lld out", (long long)output);
        if (reasoning)
                buf_addf(out, " (%lld reasoning)", (long long)reasoning);
        buf_addf(out, "%s\n", estimated ? ", estimated" : "");
}

static void show_attempt(struct buf *out, const struct ledger_attempt *t, const struct ledger_row *r)
{
        char ms[16], first[16], money[MONEY_TEXT], started[16];
        buf_addf(out, "\nattempt %lld, %s, after %s\n", (long long)t->n, or_dash(t->kind),
                 t->time_ms > r->time_ms ? cli_ms(started, t->time_ms - r->time_ms) : "0 ms");
        buf_addf(out, "  %-12s %s/%s", "target", or_dash(t->provider), or_dash(t->upstream_model));
        if (t->served_model)
                buf_addf(out, ", served by %s", t->served_model);
        buf_addf(out, "\n  %-12s %s%s%s", "outcome", or_dash(t->outcome), t->error ? ": " : "",
                 t->error ? t->error : "");
        if (t->status)
                buf_addf(out, " (status %lld)", (long long)t->status);
        buf_addf(out, "\n  %-12s first token %s, all %s\n  ", "time", cli_ms(first, t->first_token_ms),
                 cli_ms(ms, t->total_ms));
        tokens(out, "tokens", t->input, t->cached, t->cache_write, t->output, t->reasoning, t->estimated);
        buf_addf(out, "  %-12s %s %s", "cost",
                 t->priced ? money_text(money, t->cost_pico) : "no price is known",
                 t->priced ? or_dash(r->currency) : "");
        if (t->reported_pico)
                buf_addf(out, ", the provider says %s", money_text(money, t->reported_pico));
        buf_addc(out, '\n');
        if (t->tier)
                buf_addf(out, "  %-12s %s\n", "tier", t->tier);
        if (t->upstream_request_id)
                buf_addf(out, "  %-12s %s\n", "upstream id", t->upstream_request_id);
}

static void show_story(struct buf *out, struct arena *a, const struct ledger_story *s)
{
        const struct ledger_row *r = &s->row;
        char when[32], money[MONEY_TEXT], ms[16], first[16], queue[16];
        clock_format(r->time_ms, when);
        fact(out, "request", r->request_id);
        fact(out, "number", arena_printf(a, "%lld", (long long)r->id));
        fact(out, "time", when);
        fact(out, "account", r->account);
        fact(out, "by", r->user ? arena_printf(a, "%s %s", or_dash(r->identity), r->user) : r->identity);
        fact(out, "asked at",
             r->endpoint ? arena_printf(a, "%s (%s%s)", r->endpoint, or_dash(r->dialect),
                                        r->stream ? ", streaming" : "")
                         : NULL);
        fact(out, "model", r->version ? arena_printf(a, "%s@%s", or_dash(r->model), r->version) : r->model);
        fact(out, "outcome",
             arena_printf(a, "%s, status %lld%s%s%s", or_dash(r->outcome), (long long)r->status,
                          r->error ? ", " : "", r->error ? r->error : "",
                          r->cache_hit ? ", from the response cache" : ""));
        fact(out, "times",
             arena_printf(a, "queue %s, first token %s, all %s", cli_ms(queue, r->queue_ms),
                          cli_ms(first, r->first_token_ms), cli_ms(ms, r->total_ms)));
        tokens(out, "tokens", r->input, r->cached, r->cache_write, r->output, r->reasoning, r->estimated);
        if (r->images)
                fact(out, "images", arena_printf(a, "%lld", (long long)r->images));
        fact(out, "cost",
             r->priced ? arena_printf(a, "%s %s", money_text(money, r->cost_pico), or_dash(r->currency))
                       : "no price is known");
        if (r->charge_currency && r->currency && strcmp(r->charge_currency, r->currency) != 0)
                fact(out, "charged",
                     arena_printf(a, "%s %s", money_text(money, r->charge_pico), r->charge_currency));
        if (r->saved_pico)
                fact(out, "saved",
                     arena_printf(a, "%s %s", money_text(money, r->saved_pico), or_dash(r->currency)));
        fact(out, "trace", r->trace);
        for (size_t i = 0; i < s->attempt_count; i++)
                show_attempt(out, &s->attempts[i], r);
}

static void json_story(struct json_writer *w, const struct ledger_story *s)
{
        jw_object(w);
        json_columns(w, ledger_request_columns, ledger_request_column_count, &s->row);
        jw_key_array(w, "attempt_rows");
        for (size_t i = 0; i < s->attempt_count; i++) {
                jw_object(w);
                json_columns(w, ledger_attempt_columns, ledger_attempt_column_count, &s->attempts[i]);
                jw_end(w);
        }
        jw_end(w);
        jw_end(w);
}

static enum cli_exit show(const struct cli_command *command, struct ledger *l, const char *id, bool json)
{
        struct arena *a = arena_new();
        struct ledger_story *stories;
        struct json_writer w;
        struct buf out;
        char why[WHY] = "";
        int64_t count = ledger_find(l, id, a, &stories, why);
        enum cli_exit status = count < 0 ? say(command, CLI_FAILED, why) : CLI_DONE;
        buf_init(&out, OUT_MAX);
        json_writer_init(&w, &out);
        if (json)
                jw_array(&w);
        for (int64_t i = 0; i < count; i++) {
                if (json) {
                        json_story(&w, &stories[i]);
                        continue;
                }
                buf_adds(&out, i ? "\n\n" : "");
                show_story(&out, a, &stories[i]);
        }
        if (json) {
                jw_end(&w);
                buf_addc(&out, '\n');
        }
        if (count > 0 && !cli_print(command->name, &out))
                status = CLI_FAILED;
        if (count == 0)
                status = say(command, CLI_NO,
                             "no request in the ledger has this id (one that has just ended comes in a "
                             "moment)");
        buf_release(&out);
        arena_free(a);
        return status;
}

static enum cli_exit run_show(const struct cli_command *command, const char *config_path, int argc,
                              char **argv)
{
        bool json = false;
        const struct cli_option options[] = {{.name = "--json", .flag = &json}};
        enum cli_exit status = CLI_FAILED;
        if (!cli_parse(command, options, 1, &config_path, &argc, argv, &status))
                return status;
        if (argc != 1)
                return cli_misuse(command, "expected a request id");
        const struct config *c = cli_load(config_path);
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        if (l)
                status = show(command, l, argv[1], json);
        ledger_close(l);
        config_unref(c);
        return status;
}

const struct cli_command cli_show = {
        .name = "show",
        .arguments = "REQUEST-ID [--json] [-c FILE]",
        .summary = "Tells the whole story of a request",
        .help = "  --json    all columns of the request and its attempts\n"
                "  -c FILE   configuration\n"
                "\n"
                "REQUEST-ID is the answer's x-request-id, or the ledger's own number.\n",
        .run = run_show,
};

/* ---- backup ---- */

static enum cli_exit run_backup(const struct cli_command *command, const char *config_path, int argc,
                                char **argv)
{
        enum cli_exit status = CLI_FAILED;
        char why[WHY] = "";
        if (!cli_parse(command, NULL, 0, &config_path, &argc, argv, &status))
                return status;
        if (argc != 1)
                return cli_misuse(command, "expected the file to be made");
        const struct config *c = cli_load(config_path);
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        if (l)
                status = ledger_backup(l, argv[1], why) ? CLI_DONE : say(command, CLI_FAILED, why);
        ledger_close(l);
        config_unref(c);
        return status;
}

const struct cli_command cli_backup = {
        .name = "backup",
        .arguments = "FILE [-c FILE]",
        .summary = "Copies the ledger while it is in use",
        .help = "  -c FILE   configuration\n"
                "\n"
                "FILE must not be there yet. Run by root, it is made by the ledger's owner, who must be able "
                "to\n"
                "write there.\n",
        .run = run_backup,
};
