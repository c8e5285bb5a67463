/*
 * Running totals of all requests ever, for /metrics: they survive restarts and `keep_days`. One set of
 * counters and histograms for each set of labels; a table row each, written in the transaction that adds the
 * requests. Buckets are those that OpenTelemetry's GenAI conventions advise. Pure but for the memory.
 */
#ifndef TOLLGATE_STORE_TOTALS_H
#define TOLLGATE_STORE_TOTALS_H

#include "base/buf.h"
#include "store/ledger_row.h"

enum { TOTALS_SETS_MAX = 4000 }; /* beyond it new ones are counted under the labels "other" */

/* What a set is told by; NULL counts as "". */
struct totals_labels {
        const char *account, *model, *version, *provider, *upstream_model, *served_model;
        const char *operation; /* "chat", "embeddings" */
        const char *error;     /* of the closed set in store/totals.c; "": none */
        const char *outcome;
        const char *currency; /* of the prices: what cost_pico and saved_pico count */
};

enum { TOTALS_SECONDS = 14, TOTALS_TOKENS = 14, TOTALS_TTFT = 16, TOTALS_TPOT = 12 };

struct totals_values {
        int64_t requests, attempts, retries, rescues, hedges, cache_hits, estimated, unpriced, images;
        int64_t input, cached, cache_write, output, reasoning;
        __int128 cost_pico, saved_pico; /* of the label `currency` */
        int64_t duration[TOTALS_SECONDS + 1], ttft[TOTALS_TTFT + 1],
                tpot[TOTALS_TPOT + 1]; /* counts by bucket */
        int64_t input_tokens[TOTALS_TOKENS + 1], output_tokens[TOTALS_TOKENS + 1];
        int64_t duration_us, ttft_us, tpot_us; /* sums */
        int64_t queue_ms;
};
extern const double totals_seconds_bounds[TOTALS_SECONDS], totals_ttft_bounds[TOTALS_TTFT],
        totals_tpot_bounds[TOTALS_TPOT], totals_tokens_bounds[TOTALS_TOKENS];

/*
 * The labels of a request (text of the row's own); `error` from row->error by the closed set, whose words say
 * whose fault it was: "caller_…", "policy_…" (of this gateway's operator: limits, budgets), "provider_…",
 * "gateway_…". Names that strangers made up, of models that were not found, are "other".
 */
void totals_labels_of(const struct ledger_row *row, struct totals_labels *out);
/* A key of bytes that is equal only for equal labels. False: too long. */
bool totals_key(const struct totals_labels *labels, struct buf *out);
/* The labels of a key; they point into it. */
bool totals_labels_from(const char *key, size_t len, struct totals_labels *out);
void totals_add(struct totals_values *v, const struct ledger_row *row);
void totals_merge(struct totals_values *into, const struct totals_values *more);
/* A BLOB of the ledger: versioned, of any length that a version had. Hostile bytes give wrong numbers at
 * most. */
bool totals_encode(const struct totals_values *v, struct buf *out);
bool totals_decode(const void *bytes, size_t len, struct totals_values *out);

#endif
