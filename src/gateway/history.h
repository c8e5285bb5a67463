/* The stretches of time that the status page shows. Pure. */
#ifndef TOLLGATE_GATEWAY_HISTORY_H
#define TOLLGATE_GATEWAY_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include "base/zone.h"

enum { HISTORY_STRETCHES = 62 };

struct history_range {
        const char *name;       /* "hour": 60 minutes; "day": 24 hours; "month": 30 days */
        int64_t span_s, step_s; /* from the first stretch to the last, and of one */
};

struct history_times {
        int64_t starts_ms[HISTORY_STRETCHES]; /* rising, unix */
        size_t count;
        int64_t until_ms; /* the end of the last one, which is under way */
};

/* NULL: no such range. */
const struct history_range *history_range_find(const char *name);
/* Whole minutes, hours or days of the zone (NULL: UTC), up to now. */
void history_stretch(const struct history_range *range, const struct zone *zone, int64_t now_ms,
                     struct history_times *out);

#endif
