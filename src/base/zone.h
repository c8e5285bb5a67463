/*
 * Days in a time zone, read from TZif files (RFC 8536): glibc knows no time zone per thread. A zone is read
 * once, never changes, and may be used by all threads.
 */
#ifndef TOLLGATE_BASE_ZONE_H
#define TOLLGATE_BASE_ZONE_H

#include <stdbool.h>
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

/* What the zone's clocks show at a moment: seconds since 1970-01-01 in that zone's own calendar. */
int64_t zone_local(const struct zone *z, int64_t unix_s);
/* The first moment at which they show that: where they are put back over it the earlier of the two, where
 * they are put forward over it the moment of the change. */
int64_t zone_moment(const struct zone *z, int64_t local_s);

/* Dates of days since 1970-01-01 (Gregorian). */
struct zone_date {
        int year, month, day;
};
struct zone_date zone_date_of(int64_t number);
/* False: there is no such date in the years 1 to 9999. */
bool zone_date_number(struct zone_date d, int64_t *number);

#endif
