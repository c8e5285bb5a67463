/* Inside the ledger's queries; not for others. */
#ifndef TOLLGATE_STORE_LEDGER_FILTER_H
#define TOLLGATE_STORE_LEDGER_FILTER_H

#include "base/buf.h"
#include "store/ledger_query.h"

/* " AND …" for what a filter asks; texts are parameters 1 to 4. */
void ledger_filter_sql(const struct usage_filter *f, struct buf *sql);
/* Prepares the text, which is released, and binds the filter's texts. NULL: why. */
sqlite3_stmt *ledger_filtered(struct ledger *l, struct buf *sql, const struct usage_filter *f, char why[512]);
/* The names of columns, and a row of them; strings are the statement's, or copies in the arena where one is
 * given. */
void ledger_add_names(struct buf *sql, const struct ledger_column *columns, size_t count);
void ledger_read_row(sqlite3_stmt *s, const struct ledger_column *columns, size_t count, struct arena *a,
                     void *row);
bool ledger_failed(struct ledger *l, char why[512]);

#endif
