/* Balances, alerts, backups. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/money.h"
#include "store/ledger_internal.h"

static void copy(char *out, size_t room, sqlite3_stmt *s, int column)
{
        const char *text = (const char *)sqlite3_column_text(s, column);
        snprintf(out, room, "%s", text ? text : "");
}

/* ---- prepaid accounts ---- */

bool ledger_purses(struct ledger *l, void (*fn)(const struct ledger_purse *p, void *context), void *context)
{
        sqlite3_stmt *s =
                ledger_query(l, "SELECT account, currency, topped_pico, spent_pico, since_ms FROM purses "
                                "ORDER BY account");
        int code = SQLITE_ERROR;
        while (s && (code = sqlite3_step(s)) == SQLITE_ROW) {
                struct ledger_purse p = {.topped_pico = sqlite3_column_int64(s, 2),
                                         .spent_pico = sqlite3_column_int64(s, 3),
                                         .since_ms = sqlite3_column_int64(s, 4)};
                copy(p.account, sizeof p.account, s, 0);
                copy(p.currency, sizeof p.currency, s, 1);
                fn(&p, context);
        }
        sqlite3_finalize(s);
        return s && ledger_ok(l, code);
}

struct wanted_purse {
        const char *account;
        struct ledger_purse found;
};

static void find_purse(const struct ledger_purse *p, void *context)
{
        struct wanted_purse *w = context;
        if (strcmp(p->account, w->account) == 0)
                w->found = *p;
}

static bool add_to_purse(struct ledger *l, const char *account, int64_t topped, const char *currency,
                         int64_t time_ms)
{
        sqlite3_stmt *s = ledger_query(
                l, "INSERT INTO purses(account, currency, topped_pico, spent_pico, since_ms) "
                   "VALUES(?1, ?2, ?3, 0, ?4) ON CONFLICT(account) DO UPDATE SET topped_pico = ?3");
        if (!s)
                return false;
        sqlite3_bind_text(s, 1, account, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, currency, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, topped);
        sqlite3_bind_int64(s, 4, time_ms);
        bool ok = ledger_ok(l, sqlite3_step(s));
        sqlite3_finalize(s);
        return ok;
}

static bool note_topup(struct ledger *l, const char *account, int64_t pico, const char *currency,
                       const char *by, const char *note, int64_t time_ms)
{
        sqlite3_stmt *s = ledger_query(l, "INSERT INTO topups(account, time_ms, pico, currency, by, note) "
                                          "VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
        if (!s)
                return false;
        sqlite3_bind_text(s, 1, account, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, time_ms);
        sqlite3_bind_int64(s, 3, pico);
        sqlite3_bind_text(s, 4, currency, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 5, by, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 6, note, -1, SQLITE_STATIC);
        bool ok = ledger_ok(l, sqlite3_step(s));
        sqlite3_finalize(s);
        return ok;
}

bool ledger_topup(struct ledger *l, const char *account, int64_t pico, const char *currency, const char *by,
                  const char *note, int64_t time_ms, char why[512])
{
        enum { BUSY_MS = 10000 };
        struct wanted_purse w = {.account = account};
        int64_t topped;
        bool ok = false;
        if (!ledger_begin(l, BUSY_MS))
                goto failed;
        if (!ledger_purses(l, find_purse, &w))
                goto failed;
        if (w.found.account[0] && strcmp(w.found.currency, currency) != 0) {
                snprintf(why, LEDGER_WHY, "the balance of %s is in %s", account, w.found.currency);
                goto out;
        }
        topped = money_add(w.found.topped_pico, pico);
        if (topped < 0 || topped > 9000000 * MONEY_PICO) {
                snprintf(why, LEDGER_WHY, "what %s was topped up with would be below zero or beyond 9000000",
                         account);
                goto out;
        }
        ok = add_to_purse(l, account, topped, currency, time_ms) &&
             note_topup(l, account, pico, currency, by, note, time_ms) && ledger_commit(l);
        if (ok)
                return true;
failed:
        snprintf(why, LEDGER_WHY, "%.300s: %.200s", l->path, ledger_problem(l));
out:
        ledger_rollback(l);
        return false;
}

/* ---- alerts ---- */

bool ledger_alert_take(struct ledger *l, int64_t now_ms, struct ledger_alert *out)
{
        /* Each try makes the next one wait longer: a minute, two, four … an hour. It counts as made when it
         * begins, so that a process which dies over it is followed by another. After a day it is given up. */
        static const char sql[] = "UPDATE alerts SET tries = tries + 1, due_ms = ?1 + min(60000 << "
                                  "min(tries, 6), 3600000) WHERE id = "
                                  "(SELECT id FROM alerts WHERE given_ms IS NULL AND due_ms <= ?1 AND "
                                  "time_ms > ?1 - 86400000 ORDER BY id "
                                  "LIMIT 1) RETURNING id, account, period, number, share_micro, spent_pico, "
                                  "limit_pico, currency, "
                                  "time_ms, tries, parts";
        sqlite3_stmt *s = ledger_query(l, sql);
        if (!s)
                return false;
        sqlite3_bind_int64(s, 1, now_ms);
        bool found = sqlite3_step(s) == SQLITE_ROW;
        if (found) {
                *out = (struct ledger_alert){
                        .id = sqlite3_column_int64(s, 0),
                        .number = sqlite3_column_int64(s, 3),
                        .share_micro = sqlite3_column_int64(s, 4),
                        .spent_pico = sqlite3_column_int64(s, 5),
                        .limit_pico = sqlite3_column_int64(s, 6),
                        .time_ms = sqlite3_column_int64(s, 8),
                        .tries = sqlite3_column_int64(s, 9),
                        .parts = sqlite3_column_int64(s, 10),
                };
                copy(out->account, sizeof out->account, s, 1);
                copy(out->period, sizeof out->period, s, 2);
                copy(out->currency, sizeof out->currency, s, 7);
                found = sqlite3_step(s) == SQLITE_DONE; /* the change is made when the statement ends */
        }
        sqlite3_finalize(s);
        return found;
}

void ledger_alert_done(struct ledger *l, int64_t id, bool given, int64_t now_ms)
{
        sqlite3_stmt *s = given ? ledger_query(l, "UPDATE alerts SET given_ms = ?1 WHERE id = ?2") : NULL;
        if (!s)
                return;
        sqlite3_bind_int64(s, 1, now_ms);
        sqlite3_bind_int64(s, 2, id);
        ledger_ok(l, sqlite3_step(s));
        sqlite3_finalize(s);
}

void ledger_alert_part(struct ledger *l, int64_t id, int64_t parts)
{
        sqlite3_stmt *s = ledger_query(l, "UPDATE alerts SET parts = parts | ?1 WHERE id = ?2");
        if (!s)
                return;
        sqlite3_bind_int64(s, 1, parts);
        sqlite3_bind_int64(s, 2, id);
        ledger_ok(l, sqlite3_step(s));
        sqlite3_finalize(s);
}

/* ---- backups ---- */

static bool copy_pages(struct ledger *l, sqlite3 *to, char why[LEDGER_WHY])
{
        enum { PAGES = 1024, PAUSE_MS = 5, BUSY_TRIES = 2000 };
        sqlite3_backup *b = sqlite3_backup_init(to, "main", l->db, "main");
        int code = b ? SQLITE_OK : sqlite3_errcode(to), busy = 0;
        while (b && (code == SQLITE_OK ||
                     ((code == SQLITE_BUSY || code == SQLITE_LOCKED) && ++busy < BUSY_TRIES))) {
                code = sqlite3_backup_step(b, PAGES);
                if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
                        sqlite3_sleep(PAUSE_MS);
        }
        sqlite3_backup_finish(b);
        if (code != SQLITE_DONE)
                snprintf(why, LEDGER_WHY, "the copy could not be made: %s", sqlite3_errstr(code));
        return code == SQLITE_DONE;
}

bool ledger_backup(struct ledger *l, const char *path, char why[512])
{
        sqlite3 *to = NULL;
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
        if (fd < 0) {
                snprintf(why, LEDGER_WHY, "%.300s: %s", path, strerror(errno));
                return false;
        }
        close(fd);
        bool ok = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) == SQLITE_OK;
        if (!ok)
                snprintf(why, LEDGER_WHY, "%.300s: %.150s", path, to ? sqlite3_errmsg(to) : "no memory");
        /* One transaction's view, which begins with its first look: else each write of another process would
         * start the copy anew. */
        ok = ok && ledger_exec(l, "BEGIN; SELECT count(*) FROM meta") && copy_pages(l, to, why);
        ledger_rollback(l);
        sqlite3_close(to);
        if (!ok)
                unlink(path);
        return ok;
}
