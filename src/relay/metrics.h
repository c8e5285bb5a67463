/*
 * GET /metrics (docs/monitoring.md): counters and histograms of all processes, from the ledger's running
 * totals (store/totals.h), and gauges from the shared state. The number of series is bounded: where names are
 * many, labels are left out.
 */
#ifndef TOLLGATE_RELAY_METRICS_H
#define TOLLGATE_RELAY_METRICS_H

#include "base/arena.h"
#include "config/config.h"
#include "relay/exposition.h"
#include "store/book.h"
#include "store/state.h"

enum { METRICS_MAX = 32 << 20 }; /* bytes that the longest answer stays below */

struct metrics_ask {
        const struct config *config;
        struct state *state; /* NULL: it can't be used now: no gauges of it */
        struct book *book;   /* NULL: there is none, or it can't be used now: no counters */
        int64_t unix_ms;
        bool openmetrics;
};

/* False: longer than the buffer's cap. */
bool metrics_write(const struct metrics_ask *ask, struct arena *a, struct buf *out);

/* ---- its parts ---- */
void metrics_write_totals(struct exposition *e, struct book *book, struct arena *a, bool *readable);
void metrics_write_gauges(struct exposition *e, const struct metrics_ask *ask, struct arena *a);

#endif
