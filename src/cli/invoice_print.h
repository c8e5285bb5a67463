/* An invoice for people: text of 79 columns, HTML that prints on A4, CSV. */
#ifndef TOLLGATE_CLI_INVOICE_PRINT_H
#define TOLLGATE_CLI_INVOICE_PRINT_H

#include "store/invoice.h"

void invoice_write_text(const struct invoice *inv, struct buf *out);
void invoice_write_html(const struct invoice *inv, struct buf *out);
/* RFC 4180; a row for each line, then the sums. */
void invoice_write_csv(const struct invoice *inv, struct buf *out);

#endif
