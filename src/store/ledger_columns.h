/* Rows as text, by their table of columns: the spool's records. */
#ifndef TOLLGATE_STORE_LEDGER_COLUMNS_H
#define TOLLGATE_STORE_LEDGER_COLUMNS_H

#include "base/buf.h"
#include "store/ledger_row.h"

/* Bytes of a text that are kept: at most `most`, and no half of a character. */
size_t ledger_text_len(const char *text, size_t most);

/* Fields in the columns' order, each ended by a tab; texts cut at their `most`, with \t, \n, \\ and NUL
 * escaped. */
bool ledger_encode(const struct ledger_column *columns, size_t count, const void *row, struct buf *out);
/* In place: strings of the row point into the text, which is changed. Gives what follows, or NULL: it is
 * none. Fields that are missing at the end (of an older version) are 0 and NULL. */
char *ledger_decode(const struct ledger_column *columns, size_t count, char *text, char *end, void *row);

#endif
