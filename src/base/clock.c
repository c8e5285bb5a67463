#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
        struct timespec t;
        clock_gettime(id, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
        return read_us(CLOCK_MONOTONIC);
}

int64_t clock_now_ms(void)
{
        return clock_now_us() / 1000;
}

int64_t clock_unix_ms(void)
{
        return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_unix(void)
{
        return clock_unix_ms() / 1000;
}

void clock_format(int64_t unix_ms, char out[32])
{
        time_t s = (time_t)(unix_ms / 1000);
        struct tm tm;
        gmtime_r(&s, &tm);
        size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(out + n, 32 - n, ".%03dZ", (int)(unix_ms % 1000));
}
