/* tollgate topup, tollgate balance: prepaid accounts. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "cli/cli.h"
#include "cli/ledger.h"
#include "policy/rate.h"

enum { WHY = 512, OUT_MAX = 8 << 20, NOTE_MAX = 200 };

static enum cli_exit say(const struct cli_command *command, enum cli_exit status, const char *why)
{
        fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return status;
}

/* ---- balances ---- */

struct balances {
        const char *account; /* NULL: all */
        bool json;
        size_t count;
        struct json_writer *writer;
};

static void json_balance(struct json_writer *w, const struct ledger_purse *p)
{
        char text[MONEY_TEXT], since[32];
        clock_format(p->since_ms, since);
        jw_object(w);
        jw_key_string(w, "account", p->account);
        jw_key_string(w, "balance", money_text(text, (__int128)p->topped_pico - p->spent_pico));
        jw_key_string(w, "currency", p->currency);
        jw_key_string(w, "topped_up", money_text(text, p->topped_pico));
        jw_key_string(w, "spent", money_text(text, p->spent_pico));
        jw_key_string(w, "since", since);
        jw_end(w);
}

static void show_balance(const struct ledger_purse *p, void *context)
{
        struct balances *b = context;
        char left[MONEY_TEXT], topped[MONEY_TEXT], spent[MONEY_TEXT];
        if (b->account && strcmp(b->account, p->account) != 0)
                return;
        b->count++;
        if (b->json) {
                json_balance(b->writer, p);
                return;
        }
        printf("%-20s %16s %s   (topped up %s, spent %s)\n", p->account,
               money_text(left, (__int128)p->topped_pico - p->spent_pico), p->currency,
               money_text(topped, p->topped_pico), money_text(spent, p->spent_pico));
}

static enum cli_exit show(const struct cli_command *command, struct ledger *l, const char *account, bool json)
{
        struct buf out;
        struct json_writer w = {.out = &out};
        struct balances b = {.account = account, .json = json, .writer = &w};
        buf_init(&out, OUT_MAX);
        jw_array(&w);
        bool ok = ledger_purses(l, show_balance, &b);
        jw_end(&w);
        if (ok && json)
                ok = buf_addc(&out, '\n') && fwrite(out.data, 1, out.len, stdout) == out.len;
        buf_release(&out);
        if (!ok)
                return say(command, CLI_FAILED, ledger_problem(l));
        if (b.count || json)
                return CLI_DONE;
        fprintf(stderr, "tollgate %s: %s%s\n", command->name, account ? account : "no account",
                account ? " is not prepaid: nothing was ever topped up" : " is prepaid");
        return account ? CLI_NO : CLI_DONE;
}

static enum cli_exit run_balance(const struct cli_command *command, const char *config_path, int argc,
                                 char **argv)
{
        bool json = false;
        const struct cli_option options[] = {{.name = "--json", .flag = &json}};
        enum cli_exit status = CLI_FAILED;
        if (!cli_parse(command, options, 1, &config_path, &argc, argv, &status))
                return status;
        if (argc > 1)
                return cli_misuse(command, "name one account, or none for all");
        const struct config *c = cli_load(config_path);
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        if (l) {
                status = show(command, l, argc == 1 ? argv[1] : NULL, json);
                ledger_close(l);
        }
        config_unref(c);
        return status;
}

/* ---- top-ups ---- */

struct topup {
        const char *account, *amount, *currency, *note;
        int64_t pico;
        bool json;
};

/* Who does it, before this becomes the ledger's owner. */
static void whoami(char out[64])
{
        const char *sudo = getenv("SUDO_USER");
        const struct passwd *pw = getpwuid(getuid());
        snprintf(out, 64, "%s", getuid() == 0 && sudo && *sudo ? sudo : pw ? pw->pw_name : "");
}

/* A minus takes back what was topped up by mistake. */
static bool parse_amount(const char *text, int64_t *pico)
{
        bool minus = *text == '-';
        if (!money_parse(text + minus, pico) || *pico == 0)
                return false;
        if (minus)
                *pico = -*pico;
        return true;
}

static enum cli_exit topup(const struct cli_command *command, const struct config *c, const struct topup *t)
{
        const struct config_account *account = config_find_account(c, t->account);
        char why[WHY] = "", by[64];
        whoami(by);
        if (!account) {
                snprintf(why, sizeof why, "there is no account \"%.64s\" in the configuration", t->account);
                return say(command, CLI_NO, why);
        }
        if (config_any_budget(&account->budget) && strcmp(account->budget.currency, t->currency) != 0) {
                snprintf(why, sizeof why, "the budget of %s is in %s: top it up in that currency", t->account,
                         account->budget.currency);
                return say(command, CLI_NO, why);
        }
        int64_t cost;
        if (!rate_convert(c, 0, c->currency, t->currency, clock_unix(), &cost)) {
                snprintf(why, sizeof why,
                         "`rates` has none for %s: what requests cost could not be taken from it",
                         t->currency);
                return say(command, CLI_NO, why);
        }
        struct ledger *l = cli_open_ledger(command, c, LEDGER_WRITE);
        if (!l)
                return CLI_FAILED;
        enum cli_exit status = CLI_DONE;
        if (!ledger_topup(l, t->account, t->pico, t->currency, by, t->note, clock_unix_ms(), why))
                status = say(command, CLI_NO, why);
        else
                status = show(command, l, t->account, t->json);
        ledger_close(l);
        return status;
}

static enum cli_exit run_topup(const struct cli_command *command, const char *config_path, int argc,
                               char **argv)
{
        struct topup t = {0};
        const struct cli_option options[] = {{.name = "--note", .value = &t.note},
                                             {.name = "--json", .flag = &t.json}};
        enum cli_exit status = CLI_FAILED;
        if (!cli_parse(command, options, 2, &config_path, &argc, argv, &status))
                return status;
        if (argc != 3)
                return cli_misuse(command, "expected an account, an amount and a currency");
        t.account = argv[1];
        t.amount = argv[2];
        t.currency = argv[3];
        if (!parse_amount(t.amount, &t.pico))
                return cli_misuse(command,
                                  "%.64s is no amount: expected a number such as 50 or 12.50, up to "
                                  "9000000",
                                  t.amount);
        if (strlen(t.currency) != 3 || strspn(t.currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
                return cli_misuse(command, "%.16s is no currency: expected three capitals such as EUR",
                                  t.currency);
        if (t.note && strlen(t.note) > NOTE_MAX)
                return cli_misuse(command, "--note: at most %d bytes", NOTE_MAX);
        const struct config *c = cli_load(config_path);
        if (c)
                status = topup(command, c, &t);
        config_unref(c);
        return status;
}

const struct cli_command cli_topup = {
        .name = "topup",
        .arguments = "ACCOUNT AMOUNT CURRENCY [--note TEXT] [--json] [-c FILE]",
        .summary = "Adds to the balance of a prepaid account",
        .help = "  --note TEXT   kept with it\n"
                "  --json        the balance as JSON\n"
                "  -c FILE       configuration\n"
                "\n"
                "The first one makes the account prepaid, in that currency: from then on requests are "
                "refused\n"
                "when its balance is used up. After -- a negative amount takes back.\n",
        .run = run_topup,
};

const struct cli_command cli_balance = {
        .name = "balance",
        .arguments = "[ACCOUNT] [--json] [-c FILE]",
        .summary = "Shows what prepaid accounts have left",
        .help = "  --json    as JSON\n"
                "  -c FILE   configuration\n",
        .run = run_balance,
};
