/* What reports of the ledger share: times as people write them, amounts, tables, CSV. */
#ifndef TOLLGATE_CLI_TABLE_H
#define TOLLGATE_CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/zone.h"

/* "2026-11-26" (the day's start in the zone), "2026-11-26T10:00" (the zone's clocks), "2026-11-26T10:00:00Z",
 * "7d", "24h", "30m", "90s" (ago). At least 1. False: none of them. */
bool cli_when(const char *text, const struct zone *zone, int64_t now_ms, int64_t *out_ms);
/* "1.2M", "34.5k", "812". */
const char *cli_count(char out[16], int64_t n);
/* "1.20 s", "812 ms", "-" for 0. */
const char *cli_ms(char out[16], int64_t ms);
/* Local time of the zone: "2026-11-26 10:00:03". */
void cli_time(char out[32], const struct zone *zone, int64_t ms);
/* Names without a terminal's escapes, in columns; longer ones are cut with "…". Bytes, padded by characters.
 */
void cli_cell(struct buf *out, const char *text, int width);
/* Writes all of it to standard output. False: told. */
bool cli_print(const char *command, struct buf *out);

#endif
