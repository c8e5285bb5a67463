/* Time. Durations run on CLOCK_MONOTONIC, dates on CLOCK_REALTIME. */
#ifndef TOLLGATE_BASE_CLOCK_H
#define TOLLGATE_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_now_ms(void);  /* monotonic milliseconds */
int64_t clock_now_us(void);  /* monotonic microseconds */
int64_t clock_unix(void);    /* seconds since 1970 */
int64_t clock_unix_ms(void); /* milliseconds since 1970 */
/* RFC 3339 in UTC with milliseconds, "2026-11-22T10:00:00.000Z"; out holds at least 32 bytes. */
void clock_format(int64_t unix_ms, char out[32]);

#endif
