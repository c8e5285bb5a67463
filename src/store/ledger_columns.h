/* Rows as bytes, by their table of columns: the spool's records. */
#ifndef TOLLGATE_STORE_LEDGER_COLUMNS_H
#define TOLLGATE_STORE_LEDGER_COLUMNS_H

#include "base/buf.h"
#include "store/ledger_row.h"

/* Bytes of a text that are kept: at most `most`, and no half of a character. */
size_t ledger_text_len(const char *text, size_t most);

/* How many columns there are, then the fields in their order; texts cut at their `most`. False: no room. */
bool ledger_encode(const struct ledger_column *columns, size_t count, const void *row, struct buf *out);
/* Strings of the row point into the bytes. Gives what follows, or NULL: it is none, or of a newer version.
 * Fields that are missing at the end (of an older version) are 0 and NULL. */
const char *ledger_decode(const struct ledger_column *columns, size_t count, const char *at, const char *end,
                          void *row);

#endif
