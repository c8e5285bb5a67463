#ifndef TOLLGATE_UPSTREAM_QUOTA_H
#define TOLLGATE_UPSTREAM_QUOTA_H
#include <stdbool.h>
#include <stdint.h>
struct upstream_count {
        int64_t limit, remaining, reset_ms;
        bool known;
};
struct upstream_quota {
        struct upstream_count requests, tokens;
};
#endif
