/*
 * How many answers took how long, for percentiles within 2 %: counts in buckets that are at most 1/32 of
 * their times wide, kept for those octaves only in which there is one. In an arena; pure.
 */
#ifndef TOLLGATE_STORE_USAGE_TIMES_H
#define TOLLGATE_STORE_USAGE_TIMES_H

#include <stdint.h>
#include "base/arena.h"

struct usage_times {
        uint32_t **octaves; /* NULL: none yet */
        int64_t count;
};

/* ms <= 0 is no time. */
void usage_times_add(struct usage_times *t, struct arena *a, int64_t ms);
void usage_times_merge(struct usage_times *into, struct arena *a, const struct usage_times *more);
/* The time that so many percent took at most; 0: there is none. */
int64_t usage_times_percentile(const struct usage_times *t, int percent);

#endif
