/* Lines of reports for programs: the command line's and the status page's. */
#ifndef TOLLGATE_STORE_USAGE_WRITE_H
#define TOLLGATE_STORE_USAGE_WRITE_H

#include "base/json.h"
#include "store/ledger_query.h"

/* An object; amounts are decimals as strings. */
void usage_write_json(struct json_writer *w, const struct usage_line *l);
/* RFC 4180: the head, named by what the first column holds; then a row for each currency of a line, the
 * counts in the first of them. */
void usage_write_csv_head(struct buf *out, const char *key);
void usage_write_csv(struct buf *out, const char *key, const struct usage_line *l);
/* A cell; what a spreadsheet would take for a formula is neutralised. */
void csv_cell(struct buf *out, const char *cell);

#endif
