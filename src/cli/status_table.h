/* A status (relay/status.h) for reading: sections of aligned columns, and below each row what there is to
 * say. */
#ifndef TOLLGATE_CLI_STATUS_TABLE_H
#define TOLLGATE_CLI_STATUS_TABLE_H

#include "base/buf.h"
#include "relay/status.h"

/* bars: shows limits as bars, for a terminal. What strangers named is escaped. */
void status_table(const struct status *s, bool bars, struct buf *out);

#endif
