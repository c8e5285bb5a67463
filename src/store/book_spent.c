/* What an account has spent: the ledger, and what lies in the spools of processes that live. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/money.h"
#include "store/book_internal.h"

struct spending {
        const char *account, *currency;
        int64_t day_ms, month_ms, purse_ms; /* since when; purse_ms INT64_MAX: no balance */
        __int128 day, month, purse;
        struct ledger *ledger; /* in a transaction: one view of it */
        sqlite3_stmt *has;
        uint64_t epochs; /* of the spools looked at, mixed */
        bool failed;
};

static void find_purse(const struct ledger_purse *p, void *context)
{
        struct spending *s = context;
        if (strcmp(p->account, s->account) != 0 || strcmp(p->currency, s->currency) != 0)
                return;
        s->purse = p->spent_pico;
        s->purse_ms = p->since_ms;
}

/* Ids ascend with the time and are never before it. */
static bool sum_rows(struct spending *spent)
{
        static const char sql[] = "SELECT time_ms, charge_pico FROM requests WHERE id >= ?1 AND account = ?2 "
                                  "AND charge_currency = ?3";
        sqlite3_stmt *s = NULL;
        int code = SQLITE_ERROR;
        int64_t since = spent->day_ms < spent->month_ms ? spent->day_ms : spent->month_ms;
        if (sqlite3_prepare_v2(ledger_sqlite(spent->ledger), sql, -1, &s, NULL) == SQLITE_OK) {
                sqlite3_bind_int64(s, 1, since > 0 ? since << 20 : 0);
                sqlite3_bind_text(s, 2, spent->account, -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 3, spent->currency, -1, SQLITE_STATIC);
                while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                        int64_t time = sqlite3_column_int64(s, 0), pico = sqlite3_column_int64(s, 1);
                        spent->day += time >= spent->day_ms ? pico : 0;
                        spent->month += time >= spent->month_ms ? pico : 0;
                }
        }
        sqlite3_finalize(s);
        return code == SQLITE_DONE;
}

/* ---- spools of others ---- */

static bool in_ledger(struct spending *spent, int64_t id)
{
        sqlite3_bind_int64(spent->has, 1, id);
        int code = sqlite3_step(spent->has);
        sqlite3_reset(spent->has);
        spent->failed |= code != SQLITE_ROW && code != SQLITE_DONE;
        return code == SQLITE_ROW;
}

static bool add_ended(const struct spool_record *r, void *context)
{
        struct spending *spent = context;
        struct ledger_row row;
        if (r->kind != SPOOL_END || !book_read_row(r, &row) || !row.account || !row.charge_currency ||
            strcmp(row.account, spent->account) != 0 || strcmp(row.charge_currency, spent->currency) != 0 ||
            in_ledger(spent, row.id))
                return true;
        spent->day += row.time_ms >= spent->day_ms ? row.charge_pico : 0;
        spent->month += row.time_ms >= spent->month_ms ? row.charge_pico : 0;
        spent->purse += row.time_ms >= spent->purse_ms ? row.charge_pico : 0;
        return true;
}

static bool note_epoch(struct book *b, const char *name, void *context)
{
        struct spool *s = spool_look(b->folder, name);
        uint64_t *epochs = context;
        if (s)
                *epochs += (spool_epoch(s) ^ (uint64_t)atoi(name) << 52) * UINT64_C(0x9E3779B97F4A7C15);
        spool_close(s);
        return true;
}

static bool look_at(struct book *b, const char *name, void *context)
{
        struct spool *s = spool_look(b->folder, name);
        bool ok = !s || spool_read(s, 0, add_ended, context) >= 0;
        spool_close(s);
        return ok;
}

/* ---- both ---- */

static bool reckon(struct book *b, struct spending *spent)
{
        sqlite3 *db = ledger_sqlite(spent->ledger);
        bool ok = ledger_purses(spent->ledger, find_purse, spent) && sum_rows(spent) &&
                  sqlite3_prepare_v2(db, "SELECT 1 FROM requests WHERE id = ?1", -1, &spent->has, NULL) ==
                          SQLITE_OK &&
                  book_each_spool(b, look_at, spent) && !spent->failed;
        sqlite3_finalize(spent->has);
        return ok;
}

/* One view of the ledger, and spools that did not begin anew since it was taken: each request is in one of
 * the two, or in both. *again: one did. */
static bool reckon_once(struct book *b, struct spending *spent, bool *again)
{
        uint64_t before = 0, after = 0;
        sqlite3 *db = ledger_sqlite(spent->ledger);
        if (!book_each_spool(b, note_epoch, &before) ||
            sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
                return false;
        bool ok = reckon(b, spent) && book_each_spool(b, note_epoch, &after);
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        *again = ok && before != after;
        return ok && !*again;
}

static int64_t within(__int128 pico)
{
        return pico > INT64_MAX ? INT64_MAX : pico < 0 ? 0 : (int64_t)pico;
}

bool book_spent(struct book *b, const char *account, const char *currency, int64_t day_starts_ms,
                int64_t month_starts_ms, struct budget_spent *out)
{
        enum { TRIES = 50, PAUSE_US = 20000 };
        bool ok = false, again = true;
        for (int i = 0; i < TRIES && book_move_all(b) < 0; i++) {
                if (i == TRIES - 1)
                        return false;
                usleep(PAUSE_US);
        }
        pthread_mutex_lock(&b->reading);
        struct ledger *l = book_reader(b);
        for (int i = 0; l && again && i < TRIES; i++) {
                struct spending spent = {.account = account,
                                         .currency = currency,
                                         .day_ms = day_starts_ms,
                                         .month_ms = month_starts_ms,
                                         .purse_ms = INT64_MAX,
                                         .ledger = l};
                ok = reckon_once(b, &spent, &again);
                again &= !ok;
                *out = (struct budget_spent){within(spent.day), within(spent.month), within(spent.purse)};
                if (!ok && !again)
                        book_complain(b, BOOK_UNREADABLE, ledger_problem(l));
        }
        pthread_mutex_unlock(&b->reading);
        return ok;
}
