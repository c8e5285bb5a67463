/* Inside of upstream/: what transport.c and pool.c share. */
#ifndef TOLLGATE_UPSTREAM_LANE_H
#define TOLLGATE_UPSTREAM_LANE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include "upstream/transport.h"
#include "upstream/trust.h"

enum { LANE_SPARES = 2 };

struct upstream_lane {
        struct upstream_pool *pool;
        struct upstream_lane *warmer, *colder; /* neighbours at rest */
        CURLM *multi;
        CURL *spares[LANE_SPARES]; /* easy handles set up and not in use */
        size_t spare_count;
        struct transfer *transfers;
        bool perform; /* libcurl has something to do before it is worth waiting */
        bool progress;
        int64_t rested_ms; /* since when at rest */
};

/* An easy handle with all that is the same for every call. */
CURL *lane_handle_take(struct upstream_lane *lane);
void lane_handle_give(struct upstream_lane *lane, CURL *easy);
struct trust *upstream_pool_trust(struct upstream_pool *p);
/* What an error of libcurl's means; detail: its own words. The message is for callers, and static. */
enum fault_kind lane_fault(CURLcode code, const char *detail, const char **message);

#endif
