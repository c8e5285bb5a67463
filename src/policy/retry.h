/*
 * How often is tried again, and when. The budget keeps what is added to a target's load (second tries there,
 * hedges) under a share of its traffic, with a floor for low traffic, so that an outage is not multiplied. To
 * go on to another target is no retry in this sense: it takes load off. Pure functions.
 */
#ifndef TOLLGATE_POLICY_RETRY_H
#define TOLLGATE_POLICY_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"

/* Over this time both counts fade to a third; the floor is what is always allowed in it. */
enum { RETRY_FADE_MS = 30000, RETRY_FLOOR = 5 };

struct retry_state {
        double calls, retries; /* fading counts */
        int64_t at_ms;
};

void retry_count_call(struct retry_state *r, int64_t now_ms);
/* True: it may be tried again, and is counted. */
bool retry_allow(struct retry_state *r, double share, int64_t now_ms);

/* Full jitter: evenly between 0 and backoff × 2^(tries - 1), at most max_backoff. chance: 0 … 1. tries:
 * from 1.
 */
int64_t retry_backoff_ms(const struct config_retry *rules, int64_t tries, double chance);

#endif
