/*
 * Accounts with record = "full": what a client sent as the body, and what it was answered, as one line of
 * JSON for each request in "<ledger>-record/ACCOUNT-YYYY-MM-DD.jsonl" (days of UTC). The folder has mode
 * 0700, the files 0600. Headers and queries, which hold credentials, are not recorded.
 */
#ifndef TOLLGATE_GATEWAY_RECORDER_H
#define TOLLGATE_GATEWAY_RECORDER_H

#include "base/meter.h"
#include "relay/relay.h"
#include "store/ledger_row.h"

struct recorder;

/* Of a body or an answer this many bytes are kept; the line tells when there were more. */
enum { RECORDER_BODY_MAX = 4 << 20 };

/* In the arena; listens to all that goes through to `sink`. What it keeps counts in the meter. */
struct recorder *recorder_new(struct arena *a, const struct relay_client *sink, struct meter *memory,
                              int64_t max_memory);
/* To be written through in the sink's place. */
const struct relay_client *recorder_sink(struct recorder *r);
/* Appends the line; what goes wrong is logged. The row tells whose and when; ledger: its path. */
void recorder_write(struct recorder *r, const char *ledger, const struct ledger_row *row, struct str body);

/* Removes the files of days that ended before. Gives how many; -1: the folder can't be used. */
int recorder_forget(const char *ledger, int64_t before_ms);

#endif
