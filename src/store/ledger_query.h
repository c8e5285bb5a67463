/*
 * What the ledger tells: reports and single requests. Reckoned over the rows themselves, with exact sums
 * (__int128); a million rows in under two seconds.
 */
#ifndef TOLLGATE_STORE_LEDGER_QUERY_H
#define TOLLGATE_STORE_LEDGER_QUERY_H

#include "base/arena.h"
#include "base/zone.h"
#include "store/ledger.h"

enum usage_by {
        USAGE_ALL,
        USAGE_ACCOUNT,
        USAGE_MODEL,
        USAGE_PROVIDER,
        USAGE_VERSION,
        USAGE_DAY,
        USAGE_HOUR,
        USAGE_USER,
        USAGE_ERROR,
        USAGE_MINUTE, /* for the page of the last hour */
        USAGE_BYS
};
const char *usage_by_name(enum usage_by by); /* "account", … */

struct usage_filter {
        int64_t since_ms, until_ms;                    /* unix; until is not included; 0: open */
        const char *account, *model, *provider, *user; /* NULL: all */
        bool errors;                                   /* only those that did not end well */
};

struct usage_sum {
        const char *currency;
        __int128 cost_pico, saved_pico;
};

struct usage_line {
        const char *
                key; /* "helpdesk", "2026-11-26", "2026-11-26 14:00"; "" for USAGE_ALL or what is not known */
        int64_t starts_ms; /* of a day, hour, minute; else 0 */
        int64_t requests, errors, interrupted, attempts, retries, rescues, hedges, cache_hits, images;
        int64_t input, cached, cache_write, output, reasoning, estimated, unpriced;
        struct usage_sum *sums; /* one for each currency of prices, in order of name */
        size_t sum_count;
        int64_t first_token_ms[3], total_ms[3]; /* p50, p95, p99, within 2 %; 0: none */
};

struct usage_report {
        struct usage_line *lines; /* by key; times ascending, others by cost, then requests, falling */
        size_t count;
        struct usage_line total;
};

/* zone NULL: UTC. False: why. */
bool usage_report(struct ledger *l, const struct usage_filter *f, enum usage_by by, const struct zone *zone,
                  struct arena *a, struct usage_report *out, char why[512]);

/* The id behind which the last `most` rows of the filter lie; -1: why. */
int64_t ledger_last(struct ledger *l, const struct usage_filter *f, int64_t most, char why[512]);
/*
 * Over time: `count` stretches that begin at starts_ms (rising; the first one is the filter's since, the last
 * one ends with its until), told apart by one more thing (not a time), all in one pass over the rows.
 */
struct usage_series {
        struct usage_line *times;  /* one for each stretch, percentiles with them; key "" */
        struct usage_report keys;  /* the whole, by the other thing */
        struct usage_line **cells; /* cells[k][t]: of keys.lines[k] in stretch t, without percentiles;
                                      cells[k] NULL: of one name too many */
};
bool usage_series(struct ledger *l, const struct usage_filter *f, const int64_t *starts_ms, size_t count,
                  enum usage_by by, struct arena *a, struct usage_series *out, char why[512]);

/* Rows of the filter in the order of their ids, from after_id on, at most `most`; strings live during the
 * call of fn. Gives the last id, or -1: why. */
int64_t ledger_each(struct ledger *l, const struct usage_filter *f, int64_t after_id, int64_t most,
                    void (*fn)(const struct ledger_row *row, void *context), void *context, char why[512]);
/*
 * Follows the ledger. A request is in it once it has ended, so one that came before another may be there
 * after it: those that came since a moment (the filter's since_ms, which moves on from call to call) are
 * looked at anew each time, and those that were not there at the call before are given to fn, in the order of
 * their ids. fn NULL: only notes them. Gives how many; -1: why.
 */
struct ledger_follow {
        int64_t *ids; /* there at the call before, rising */
        size_t count;
};
int64_t ledger_fresh(struct ledger *l, const struct usage_filter *f, struct ledger_follow *follow,
                     void (*fn)(const struct ledger_row *row, void *context), void *context, char why[512]);
void ledger_follow_release(struct ledger_follow *follow);

/* Requests with this x-request-id, or Tollgate's own id in decimal; newest first, attempts with them. Strings
 * in the arena. Gives how many; -1: why. */
struct ledger_story {
        struct ledger_row row;
        struct ledger_attempt *attempts;
        size_t attempt_count;
};
int64_t ledger_find(struct ledger *l, const char *id, struct arena *a, struct ledger_story **out,
                    char why[512]);

#endif
