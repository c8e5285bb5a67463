/*
 * The text that Prometheus scrapes: its own format 0.0.4, or OpenMetrics 1.0. Metrics are described once, by
 * a row each; samples of one follow its begin. Label values are escaped; empty ones are left out, which means
 * the same.
 */
#ifndef TOLLGATE_RELAY_EXPOSITION_H
#define TOLLGATE_RELAY_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
        const char *name; /* of a counter without "_total" */
        enum metric_type type;
        const char *unit; /* the end of the name: "seconds", "bytes"; NULL: none */
        const char *help; /* one line, no backslash */
};

struct metric_label {
        const char *name, *value; /* value NULL: "" */
};

struct exposition {
        struct buf *out;
        bool openmetrics;
        const struct metric *metric;
};

void exposition_begin(struct exposition *e, const struct metric *m);
void exposition_int(struct exposition *e, const struct metric_label *labels, size_t count, int64_t value);
/* A decimal as it is ("12.5"). */
void exposition_text(struct exposition *e, const struct metric_label *labels, size_t count,
                     const char *value);
/* value / 10^places. */
void exposition_decimal(struct exposition *e, const struct metric_label *labels, size_t count, int64_t value,
                        unsigned places);

struct metric_histogram {
        const double *bounds;  /* ascending */
        const int64_t *counts; /* bound_count + 1 of them, each of its own bucket alone */
        size_t bound_count;
        int64_t sum; /* in 1e-sum_places of the unit */
        unsigned sum_places;
};
void exposition_histogram(struct exposition *e, const struct metric_label *labels, size_t count,
                          const struct metric_histogram *h);
/* False: the buffer's cap was passed. */
bool exposition_end(struct exposition *e);

/* By an Accept header (RFC 9110, 12.5.1), or NULL: is OpenMetrics wanted at least as much as plain text? */
bool exposition_wants_openmetrics(const char *accept);
const char *exposition_content_type(bool openmetrics);

#endif
