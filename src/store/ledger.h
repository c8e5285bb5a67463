/*
 * The ledger: SQLite in WAL mode, schema versioned and migrated in place (user_version). One connection, one
 * thread. The file is made with mode 0600, never in a folder that others can write, never through a symbolic
 * link (SECURITY item 18).
 *
 * Tables: requests(id INTEGER PRIMARY KEY, …ledger_request_columns), attempts(request, n, …) WITHOUT ROWID,
 * totals (store/totals.h), topups, purses, invoices, alerts, spools, meta. Sums of money use the
 * aggregate money_sum(x), which gives the exact sum as decimal text of 1e-12 units.
 */
#ifndef TOLLGATE_STORE_LEDGER_H
#define TOLLGATE_STORE_LEDGER_H

#include <sqlite3.h>
#include "store/ledger_row.h"

struct ledger;

enum ledger_mode {
        LEDGER_MAKE,  /* the responder: made or migrated where needed */
        LEDGER_WRITE, /* the command line: never made; migrated */
        LEDGER_READ
};

/* NULL: why, in words that name the file; *absent (may be NULL): it is not there. */
struct ledger *ledger_open(const char *path, enum ledger_mode mode, bool *absent, char why[512]);
void ledger_close(struct ledger *l);
sqlite3 *ledger_sqlite(struct ledger *l);

/* A transaction: one writer at a time. False: locked or full (ledger_problem() says which). */
bool ledger_begin(struct ledger *l, int busy_ms);
bool ledger_commit(struct ledger *l);
void ledger_rollback(struct ledger *l);
const char *ledger_problem(const struct ledger *l);

/*
 * In a transaction: a request with its attempts, its totals, and what its account has spent. Once only: a
 * second time changes nothing. False: it could not be written, and the transaction is to be rolled back.
 */
bool ledger_add(struct ledger *l, const struct ledger_row *row, const struct ledger_attempt *attempts,
                size_t count);
/* Writes what ledger_add() gathered in memory (totals); before ledger_commit(). */
bool ledger_flush(struct ledger *l);

/* Gives each set of running totals to fn, in the order of their keys; labels live during the call. One that
 * can't be read is left out. False: ledger_problem(). */
struct totals_labels;
struct totals_values;
typedef void ledger_totals_fn(const struct totals_labels *labels, const struct totals_values *values,
                              void *context);
bool ledger_totals_each(struct ledger *l, ledger_totals_fn *fn, void *context);

/*
 * How far a spool (store/spool.h) was moved, kept in the transaction that moved it: so nothing is moved
 * twice, whatever was forgotten since.
 */
struct ledger_spool {
        uint64_t epoch;
        int64_t moved;
        int64_t done; /* 1: what had begun in it is booked as well */
};
/* *out: of this epoch; zeros: none. False: it can't be read. */
bool ledger_spool_read(struct ledger *l, unsigned number, uint64_t epoch, struct ledger_spool *out);
bool ledger_spool_note(struct ledger *l, unsigned number, const struct ledger_spool *s);
/* The largest id; 0: there is none, or it can't be read. */
int64_t ledger_last_id(struct ledger *l);

/* Rows older than this go, at most `most` of them; gives how many, -1: not now. Totals and invoices stay. */
int64_t ledger_forget(struct ledger *l, int64_t before_ms, int64_t most);

/* Into a file that is not there yet, by SQLite's backup interface; safe while others write. False: why. */
bool ledger_backup(struct ledger *l, const char *to, char why[512]);

/* ---- prepaid accounts ---- */
struct ledger_purse {
        char account[65], currency[4];
        int64_t topped_pico, spent_pico; /* spent: since the first top-up */
        int64_t since_ms;
};
/* Gives all of them to fn. */
bool ledger_purses(struct ledger *l, void (*fn)(const struct ledger_purse *p, void *context), void *context);
/* One more top-up. False: why ("helpdesk's balance is in EUR"). */
bool ledger_topup(struct ledger *l, const char *account, int64_t pico, const char *currency, const char *by,
                  const char *note, int64_t time_ms, char why[512]);

/* ---- alerts to be given ---- */
struct ledger_alert {
        int64_t id;
        char account[65], period[8], currency[4];
        int64_t number, share_micro, spent_pico, limit_pico, time_ms, tries;
        int64_t parts; /* what of it was given before: bits of the caller's */
};
/* The oldest that is due; it is due again in a while unless ledger_alert_done() comes (so another process
 * does not give it too). False: none. */
bool ledger_alert_take(struct ledger *l, int64_t now_ms, struct ledger_alert *out);
void ledger_alert_done(struct ledger *l, int64_t id, bool given, int64_t now_ms);
/* A part of it was given, which is not to be given again when the rest is tried once more. */
void ledger_alert_part(struct ledger *l, int64_t id, int64_t parts);

#endif
