#include "gateway/chores.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/recorder.h"
#include "upstream/alert.h"

enum {
        ALERT_PART_MS = 20000, /* both parts within the minute for which an alert is this process's */
        ALERTS_AT_ONCE = 100,
        ALERT_BUSY_MS = 10000,
        CGI_BUSY_MS = 500,
        STEP_ROWS = 500,
        STEP_PAUSE_US = 50000,
        STEPS_MAX = 1000000,
        FORGET_EVERY_MS = 3600000,
        FIRST_FORGET_MS = 30000,
        LOOK_FOR_ALERTS_MS = 4000,
        CGI_FORGETS_ONE_IN = 50
};

struct chores {
        struct ledger *ledger;
        struct book *of; /* the book that it is of */
        int64_t forget_ms, alerts_ms;
};

static uint32_t chance(uint32_t below)
{
        uint32_t n = 0;
        if (getrandom(&n, sizeof n, 0) != (ssize_t)sizeof n)
                return 0;
        return n % below;
}

struct chores *chores_new(void)
{
        struct chores *ch = calloc(1, sizeof *ch);
        if (!ch)
                abort();
        /* Not all processes at once. */
        ch->forget_ms = clock_now_ms() + FIRST_FORGET_MS + chance(FIRST_FORGET_MS);
        return ch;
}

void chores_free(struct chores *ch)
{
        ledger_close(ch->ledger);
        free(ch);
}

static struct ledger *ledger_of(struct chores *ch, struct book *book)
{
        char why[512];
        if (ch->of != book) {
                ledger_close(ch->ledger);
                ch->ledger = NULL;
                ch->of = book;
        }
        if (!ch->ledger && !(ch->ledger = book_ledger(book, why)))
                log_debug("%s", why); /* whoever moves tells it */
        return ch->ledger;
}

static bool is_over(const _Atomic bool *stop)
{
        return stop && atomic_load(stop);
}

/* ---- alerts ---- */

static bool any_alerts(const struct config *c)
{
        for (size_t i = 0; i < c->account_count; i++) {
                if (c->accounts[i].budget.alert_count && config_any_budget(&c->accounts[i].budget))
                        return true;
        }
        return false;
}

static bool is_set(const char *s)
{
        return s && *s;
}

static bool give_part(enum alert_part part, const struct config *c, const struct ledger_alert *a,
                      struct str json, const _Atomic bool *stop)
{
        char why[ALERT_WHY];
        const struct alert_limits limits = {.ms = ALERT_PART_MS, .stop = stop};
        bool ok = part == ALERT_COMMAND ? alert_run(c->alerts.command, a, json, &limits, why)
                                        : alert_post(c->alerts.webhook, c->alerts.secret, json, &limits, why);
        if (!ok)
                log_warn("an alert of account %s could not be given (try %lld): %s", a->account,
                         (long long)a->tries, why);
        return ok;
}

/* A part that is done is noted at once, lest it is done again with the other. */
static void give(struct ledger *l, const struct config *c, const struct ledger_alert *a, int64_t unix_ms,
                 const _Atomic bool *stop)
{
        const struct {
                enum alert_part part;
                bool wanted;
        } parts[] = {{ALERT_COMMAND, is_set(c->alerts.command)}, {ALERT_WEBHOOK, is_set(c->alerts.webhook)}};
        struct buf json;
        int64_t failed = 0;
        buf_init(&json, ALERT_JSON_MAX);
        if (!alert_json(a, unix_ms, &json))
                log_error("an alert of account %s is too long to be given", a->account);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                if (!parts[i].wanted || (a->parts & parts[i].part))
                        continue;
                if (give_part(parts[i].part, c, a, (struct str){json.data, json.len}, stop))
                        ledger_alert_part(l, a->id, parts[i].part);
                else
                        failed |= parts[i].part;
        }
        if (!failed)
                ledger_alert_done(l, a->id, true, unix_ms);
        buf_release(&json);
}

int chores_alerts(struct ledger *l, const struct config *c, int most, int64_t unix_ms,
                  const _Atomic bool *stop)
{
        struct ledger_alert a;
        int count = 0;
        while (count < most && !is_over(stop) && ledger_alert_take(l, unix_ms, &a)) {
                give(l, c, &a, unix_ms, stop);
                count++;
        }
        return count;
}

/* ---- forgetting ---- */

int64_t chores_forget(struct ledger *l, const struct config *c, int steps, int64_t unix_ms,
                      const _Atomic bool *stop)
{
        int64_t before = unix_ms - c->keep_days * 86400000, gone = 0, n;
        for (int i = 0; i < steps && !is_over(stop); i++) {
                n = ledger_forget(l, before, STEP_ROWS);
                gone += n > 0 ? n : 0;
                if (n < STEP_ROWS)
                        break;
                usleep(STEP_PAUSE_US);
        }
        if (recorder_forget(c->ledger, before) < 0)
                log_warn("old records beside %s could not be removed", c->ledger);
        return gone;
}

/* ---- both ---- */

void chores_do(struct chores *ch, struct book *book, const struct config *c, const _Atomic bool *stop)
{
        int64_t now = clock_now_ms();
        bool alerts = now >= ch->alerts_ms && any_alerts(c), forget = now >= ch->forget_ms;
        struct ledger *l = alerts || forget ? ledger_of(ch, book) : NULL;
        if (!l)
                return;
        if (alerts) {
                sqlite3_busy_timeout(ledger_sqlite(l), ALERT_BUSY_MS);
                chores_alerts(l, c, ALERTS_AT_ONCE, clock_unix_ms(), stop);
                ch->alerts_ms = clock_now_ms() + LOOK_FOR_ALERTS_MS;
        }
        if (forget) {
                int64_t gone = chores_forget(l, c, STEPS_MAX, clock_unix_ms(), stop);
                if (gone > 0)
                        log_info("%lld requests older than %lld days are forgotten", (long long)gone,
                                 (long long)c->keep_days);
                ch->forget_ms = clock_now_ms() + FORGET_EVERY_MS;
        }
}

void chores_do_little(struct chores *ch, struct book *book, const struct config *c)
{
        bool alerts = any_alerts(c), forget = chance(CGI_FORGETS_ONE_IN) == 0;
        struct ledger *l = alerts || forget ? ledger_of(ch, book) : NULL;
        if (!l)
                return;
        sqlite3_busy_timeout(ledger_sqlite(l), CGI_BUSY_MS);
        if (alerts)
                chores_alerts(l, c, 1, clock_unix_ms(), NULL);
        if (forget)
                chores_forget(l, c, 1, clock_unix_ms(), NULL);
}
