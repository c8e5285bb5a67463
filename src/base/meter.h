/* A bounded sum shared by threads: bytes of bodies and answers in flight (`max_memory`). */
#ifndef TOLLGATE_BASE_METER_H
#define TOLLGATE_BASE_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct meter {
        _Atomic int64_t used;
};

/* True when n more fit under max; then they count until meter_give(). */
static inline bool meter_take(struct meter *m, int64_t n, int64_t max)
{
        int64_t before = atomic_fetch_add(&m->used, n);
        if (before + n <= max)
                return true;
        atomic_fetch_sub(&m->used, n);
        return false;
}

static inline void meter_give(struct meter *m, int64_t n)
{
        atomic_fetch_sub(&m->used, n);
}

#endif
