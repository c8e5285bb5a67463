/* Inside the ledger (ledger*.c); not for others. */
#ifndef TOLLGATE_STORE_LEDGER_INTERNAL_H
#define TOLLGATE_STORE_LEDGER_INTERNAL_H

#include "base/buf.h"
#include "store/ledger.h"
#include "store/totals.h"

enum { LEDGER_SCHEMA = 2, LEDGER_WHY = 512 };

enum ledger_statement {
        STATEMENT_REQUEST,
        STATEMENT_ATTEMPT,
        STATEMENT_SPEND,
        STATEMENT_TOTALS_READ,
        STATEMENT_TOTALS_WRITE,
        STATEMENT_SPOOL,
        STATEMENTS
};

/* What the requests of a transaction add to one set of totals. */
struct ledger_total {
        struct buf key;
        struct totals_values values;
};

struct ledger {
        sqlite3 *db;
        char *path;
        sqlite3_stmt *statements[STATEMENTS]; /* prepared when first used */
        struct ledger_total *totals;
        size_t total_count, total_room;
        int64_t sets; /* rows of `totals`, in this transaction; -1: not counted yet */
};

/* True where the code means that all is well; else it is in the log at level debug, and ledger_problem()
 * tells. */
bool ledger_ok(struct ledger *l, int code);
bool ledger_exec(struct ledger *l, const char *sql);
/* Of a fixed text, reset and ready to be bound; NULL: ledger_problem(). */
sqlite3_stmt *ledger_prepare(struct ledger *l, enum ledger_statement which, const char *sql);
/* One that is used once; sqlite3_finalize() is the caller's. */
sqlite3_stmt *ledger_query(struct ledger *l, const char *sql);
/* Runs one that gives no rows, and resets it. */
bool ledger_run(struct ledger *l, sqlite3_stmt *s);

/* ledger_schema.c: makes or migrates it, in a transaction of its own. False: why. */
bool ledger_schema_ready(struct ledger *l, bool may_write, char why[LEDGER_WHY]);
/* ledger_totals.c */
bool ledger_totals_add(struct ledger *l, const struct ledger_row *row);
bool ledger_totals_flush(struct ledger *l);
void ledger_totals_forget(struct ledger *l);

#endif
