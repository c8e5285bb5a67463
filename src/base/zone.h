/*
 * Days in a time zone, read from TZif files (RFC 8536): glibc knows no time zone per thread. A zone is read
 * once, never changes, and may be used by all threads.
 */
#ifndef TOLLGATE_BASE_ZONE_H
#define TOLLGATE_BASE_ZONE_H

#include <stdint.h>

struct zone;

/* By its name in the time zone database. "UTC" always works. NULL: *why tells what is wrong ("is …"). */
struct zone *zone_open(const char *name, const char **why);
void zone_free(struct zone *z); /* NULL is fine */

struct zone_day {
        int64_t number;       /* days since 1970-01-01 in that zone's own calendar */
        int64_t starts, ends; /* unix seconds; `ends` is the start of the next day (23 to 25 hours later) */
};

/* The day that holds a moment; z NULL: UTC. */
struct zone_day zone_day_of(const struct zone *z, int64_t unix_s);

#endif
