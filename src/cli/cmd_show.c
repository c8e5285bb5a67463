/* tollgate show: all that is known of a request. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/table.h"
#include "store/ledger_query.h"

enum { OUT_MAX = 64 << 20, WHY = 512 };

static const char *or_dash(const char *s)
{
        return s && *s ? s : "-";
}

/* Callers and providers wrote some of it: no terminal escapes. */
static void fact(struct buf *out, const char *name, const char *value)
{
        char shown[1024];
        if (!value || !*value)
                return;
        text_escape(shown, sizeof shown, value, strlen(value));
        buf_addf(out, "%-16s %s\n", name, shown);
}

struct counts {
        int64_t input, cached, cache_write, output, reasoning, estimated;
};

static const char *tokens(struct arena *a, const struct counts *n)
{
        const char *from_cache = "", *thought = "";
        if (n->cached || n->cache_write)
                from_cache = arena_printf(a, " (%lld cached, %lld written to the cache)",
                                          (long long)n->cached, (long long)n->cache_write);
        if (n->reasoning)
                thought = arena_printf(a, " (%lld reasoning)", (long long)n->reasoning);
        return arena_printf(a, "%lld in%s, %lld out%s%s", (long long)n->input, from_cache,
                            (long long)n->output, thought, n->estimated ? ", estimated" : "");
}

static const char *amount(struct arena *a, int64_t pico, const char *currency)
{
        char text[MONEY_TEXT];
        return arena_printf(a, "%s %s", money_text(text, pico), or_dash(currency));
}

static void show_attempt(struct buf *out, struct arena *a, const struct ledger_attempt *t,
                         const struct ledger_row *r)
{
        char text[MONEY_TEXT], first[16], all[16];
        const struct counts n = {t->input, t->cached, t->cache_write, t->output, t->reasoning, t->estimated};
        int64_t after = t->time_ms > r->time_ms ? t->time_ms - r->time_ms : 0;
        buf_addf(out, "\nattempt %lld%s%s, after %s\n", (long long)t->n, t->kind ? ", " : "",
                 t->kind ? t->kind : "", after ? cli_ms(all, after) : "0 ms");
        fact(out, "  target",
             arena_printf(a, "%s/%s%s%s", or_dash(t->provider), or_dash(t->upstream_model),
                          t->served_model ? ", served by " : "", t->served_model ? t->served_model : ""));
        fact(out, "  outcome",
             arena_printf(a, "%s%s%s%s", or_dash(t->outcome), t->error ? ": " : "", t->error ? t->error : "",
                          t->status ? arena_printf(a, ", status %lld", (long long)t->status) : ""));
        fact(out, "  times",
             arena_printf(a, "first token %s, all %s", cli_ms(first, t->first_token_ms),
                          cli_ms(all, t->total_ms)));
        fact(out, "  tokens", tokens(a, &n));
        fact(out, "  cost", t->priced ? amount(a, t->cost_pico, r->currency) : "no price is known");
        if (t->reported_pico)
                fact(out, "  provider's word", money_text(text, t->reported_pico));
        fact(out, "  service tier", t->tier);
        fact(out, "  upstream id", t->upstream_request_id);
}

static void show_money(struct buf *out, struct arena *a, const struct ledger_row *r)
{
        fact(out, "cost", r->priced ? amount(a, r->cost_pico, r->currency) : "no price is known");
        if (r->charge_currency && r->currency && strcmp(r->charge_currency, r->currency) != 0)
                fact(out, "charged", amount(a, r->charge_pico, r->charge_currency));
        if (r->saved_pico)
                fact(out, "saved by caches", amount(a, r->saved_pico, r->currency));
}

static void show_story(struct buf *out, struct arena *a, const struct ledger_story *s)
{
        const struct ledger_row *r = &s->row;
        const struct counts n = {r->input, r->cached, r->cache_write, r->output, r->reasoning, r->estimated};
        char when[32], all[16], first[16], queue[16];
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
             arena_printf(a, "%s%s%s, status %lld%s", or_dash(r->outcome), r->error ? ": " : "",
                          r->error ? r->error : "", (long long)r->status,
                          r->cache_hit ? ", from the response cache" : ""));
        fact(out, "times",
             arena_printf(a, "queue %s, first token %s, all %s", cli_ms(queue, r->queue_ms),
                          cli_ms(first, r->first_token_ms), cli_ms(all, r->total_ms)));
        fact(out, "tokens", tokens(a, &n));
        if (r->images)
                fact(out, "images", arena_printf(a, "%lld", (long long)r->images));
        show_money(out, a, r);
        fact(out, "trace", r->trace);
        for (size_t i = 0; i < s->attempt_count; i++)
                show_attempt(out, a, &s->attempts[i], r);
}

/* `attempts` is a column, the count of them. */
static void json_story(struct json_writer *w, const struct ledger_story *s)
{
        jw_object(w);
        cli_json_columns(w, ledger_request_columns, ledger_request_column_count, &s->row);
        jw_key_array(w, "attempt_rows");
        for (size_t i = 0; i < s->attempt_count; i++) {
                jw_object(w);
                cli_json_columns(w, ledger_attempt_columns, ledger_attempt_column_count, &s->attempts[i]);
                jw_end(w);
        }
        jw_end(w);
        jw_end(w);
}

static void write_stories(struct buf *out, struct arena *a, const struct ledger_story *stories, int64_t count,
                          bool json)
{
        struct json_writer w;
        if (!json) {
                for (int64_t i = 0; i < count; i++) {
                        buf_adds(out, i ? "\n\n" : "");
                        show_story(out, a, &stories[i]);
                }
                return;
        }
        json_writer_init(&w, out);
        jw_array(&w);
        for (int64_t i = 0; i < count; i++)
                json_story(&w, &stories[i]);
        jw_end(&w);
        buf_addc(out, '\n');
}

static enum cli_exit show(const struct cli_command *command, struct ledger *l, const char *id, bool json)
{
        struct arena *a = arena_new();
        struct ledger_story *stories;
        struct buf out;
        char why[WHY] = "";
        int64_t count = ledger_find(l, id, a, &stories, why);
        enum cli_exit status = CLI_FAILED;
        buf_init(&out, OUT_MAX);
        if (count < 0) {
                fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        } else if (count == 0) {
                fprintf(stderr,
                        "tollgate %s: no request in the ledger has this id (one that has just ended comes "
                        "in a moment)\n",
                        command->name);
                status = CLI_NO;
        } else {
                write_stories(&out, a, stories, count, json);
                status = cli_print(command->name, &out) ? CLI_DONE : CLI_FAILED;
        }
        buf_release(&out);
        arena_free(a);
        return status;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
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
        .help = "  --json    a list, with all columns of the request and of its attempts\n"
                "  -c FILE   configuration\n"
                "\n"
                "REQUEST-ID is the answer's x-request-id, or the ledger's own number.\n",
        .run = run,
};
