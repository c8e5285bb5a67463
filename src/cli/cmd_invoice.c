/* tollgate invoice: what an account owes for a month. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"
#include "cli/cli.h"
#include "cli/invoice_print.h"
#include "cli/ledger.h"

enum { OUT_MAX = 64 << 20, WHY = 512, SETTLED_S = 600 };

static const struct invoice_format {
        const char *name;
        void (*write)(const struct invoice *inv, struct buf *out); /* NULL: JSON */
} formats[] = {{"text", invoice_write_text},
               {"html", invoice_write_html},
               {"csv", invoice_write_csv},
               {"json", NULL}};

struct wishes {
        const char *month, *format, *tax, *currency;
        bool final, json;
};

static const struct invoice_format *format_find(const char *name)
{
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
                if (strcmp(formats[i].name, name) == 0)
                        return &formats[i];
        }
        return NULL;
}

static enum cli_exit print(const struct cli_command *command, const struct invoice_format *f,
                           const struct invoice *inv)
{
        struct buf out;
        buf_init(&out, OUT_MAX);
        if (f->write)
                f->write(inv, &out);
        else if (invoice_write_json(inv, &out))
                buf_addc(&out, '\n');
        else
                out.failed = true;
        bool ok = !out.failed && fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
        buf_release(&out);
        if (!ok)
                fprintf(stderr, "tollgate %s: could not write it\n", command->name);
        return ok ? CLI_DONE : CLI_FAILED;
}

static enum cli_exit say(const struct cli_command *command, enum cli_exit status, const char *why)
{
        fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return status;
}

/* A month is settled some minutes after its end, when the last rows have come in. */
static bool is_over(const struct invoice_ask *ask, int64_t now)
{
        bool last = ask->month == 12;
        return now >=
               invoice_month_starts(ask->account->budget.days, ask->year + last, last ? 1 : ask->month + 1) +
                       SETTLED_S;
}

/* Issued already: it stays as it is. Requests that came in later are told of. */
static enum cli_exit again(const struct cli_command *command, struct ledger *l, const struct invoice_ask *ask,
                           const struct wishes *w, struct invoice *kept, struct arena *a)
{
        struct invoice now;
        char why[WHY] = "", more[MONEY_TEXT];
        if (w->tax && strcmp(w->tax, kept->tax_percent) != 0)
                return say(command, CLI_NO,
                           arena_printf(a, "invoice %lld was issued with %s %% tax, and does not change",
                                        (long long)kept->number, kept->tax_percent));
        struct invoice_ask same = *ask;
        same.currency = kept->currency;
        if (invoice_collect(l, &same, a, &now, why) && now.exact > kept->exact)
                fprintf(stderr, "tollgate %s: %s %s of this month came in after invoice %lld was issued\n",
                        command->name, money_text(more, now.exact - kept->exact), kept->currency,
                        (long long)kept->number);
        return print(command, format_find(w->format), kept);
}

static enum cli_exit make(const struct cli_command *command, struct ledger *l, const struct invoice_ask *ask,
                          const struct wishes *w, struct arena *a)
{
        struct invoice inv;
        char why[WHY] = "", month[16];
        int64_t now = clock_unix();
        snprintf(month, sizeof month, "%04d-%02d", ask->year, ask->month);
        if (invoice_find(l, ask->account->name, month, ask->currency, a, &inv, why))
                return again(command, l, ask, w, &inv, a);
        if (*why || !invoice_collect(l, ask, a, &inv, why))
                return say(command, *why && strstr(why, "--currency") ? CLI_NO : CLI_FAILED, why);
        if (!w->final && !is_over(ask, now)) {
                fprintf(stderr,
                        "tollgate %s: %s is not over: this is a draft (--final issues it as it stands)\n",
                        command->name, month);
                return print(command, format_find(w->format), &inv);
        }
        if (!inv.line_count)
                return say(command, CLI_NO,
                           arena_printf(a, "%s was charged nothing in %s", ask->account->name, month));
        inv.issued = ask->today;
        if (!invoice_issue(l, &inv, now * 1000, why))
                return say(command, CLI_FAILED, why);
        return print(command, format_find(w->format), &inv);
}

static enum cli_exit invoice(const struct cli_command *command, const char *config_path, const char *account,
                             const struct wishes *w)
{
        const struct config *c = cli_load(config_path);
        struct invoice_ask ask = {.config = c, .currency = w->currency, .tax_percent = w->tax ? w->tax : "0"};
        struct arena *a = arena_new();
        struct ledger *l = NULL;
        enum cli_exit status = CLI_FAILED;
        char today[32];
        if (!c)
                goto out;
        invoice_month(w->month, &ask.year, &ask.month);
        clock_format(clock_unix_ms(), today);
        today[strlen("2026-11-26")] = '\0';
        ask.today = today;
        ask.account = config_find_account(c, account);
        if (!ask.account) {
                status = say(command, CLI_NO, arena_printf(a, "there is no account \"%.64s\"", account));
                goto out;
        }
        if (!(l = cli_open_ledger(command, c, LEDGER_WRITE)))
                goto out;
        status = make(command, l, &ask, w, a);
out:
        if (l)
                ledger_close(l);
        arena_free(a);
        config_unref(c);
        return status;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct wishes w = {.format = "text"};
        const struct cli_option options[] = {
                {.name = "--month", .value = &w.month}, {.name = "--format", .value = &w.format},
                {.name = "--tax", .value = &w.tax},     {.name = "--currency", .value = &w.currency},
                {.name = "--final", .flag = &w.final},  {.name = "--json", .flag = &w.json},
        };
        enum cli_exit status;
        int year, month;
        int64_t micro;
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv,
                       &status))
                return status;
        if (w.json)
                w.format = "json";
        if (argc != 1)
                return cli_misuse(command, "name one account");
        if (!w.month || !invoice_month(w.month, &year, &month))
                return cli_misuse(command, "--month: expected a month such as 2026-11");
        if (!format_find(w.format))
                return cli_misuse(command, "--format: expected text, html, csv or json");
        if (w.tax && !invoice_percent(w.tax, &micro))
                return cli_misuse(command, "--tax: expected a percentage such as 19 or 7.5");
        return invoice(command, config_path, argv[1], &w);
}

const struct cli_command cli_invoice = {
        .name = "invoice",
        .arguments =
                "ACCOUNT --month YYYY-MM [--format text|html|csv|json] [--tax PERCENT] [--currency CODE] "
                "[--final] [-c FILE]",
        .summary = "Prints the invoice of an account for a month",
        .help = "  --month YYYY-MM    the month, in the account's time zone\n"
                "  --format FORMAT    text (default), html, csv or json; --json is the last one\n"
                "  --tax PERCENT      tax on the net amount\n"
                "  --currency CODE    where the account was charged in several\n"
                "  --final            issues the invoice of a month that is not over\n"
                "  -c FILE            configuration\n"
                "\n"
                "The first time after the month's end the invoice gets the next number and is kept; from "
                "then\n"
                "on the same invoice is printed. Before, it is a draft without a number.\n",
        .run = run,
};
