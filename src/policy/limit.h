/*
 * Limits of requests and tokens: exact sliding windows of a minute, and days. Pure functions over a struct of
 * fixed layout that lives in the shared state (store/slot.h); the time is an argument.
 *
 * The window has a grain of one second. A turn passes only if the second it falls into and the 60 before it
 * hold no more than the limit together with it: whatever 60 s one looks at, not only those that begin with a
 * second, they lie within 61 such seconds. Turns are booked: a caller that may wait gets the earliest moment,
 * not before the last one given out, at which it fits; nobody asks twice, and nobody overtakes. What is given
 * back counts for those who ask later.
 *
 * Milliseconds are those of the state's clock (state_now_ms), which only goes forward.
 */
#ifndef TOLLGATE_POLICY_LIMIT_H
#define TOLLGATE_POLICY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"

/* Seconds of a ring: a window and its grain behind, and as far as turns are booked ahead. */
enum { LIMIT_WINDOW_S = 60, LIMIT_AHEAD_S = 60, LIMIT_RING = 128 };

/* A provider's own word (x-ratelimit-*, anthropic-ratelimit-*): its bucket fills evenly until full_ms. */
struct limit_told {
        int64_t limit;     /* 0: nothing was said */
        int64_t remaining; /* at at_ms, less what passed here since */
        int64_t at_ms, full_ms;
};

struct limit_state {
        int64_t newest_s;                                  /* the latest second that the ring speaks of */
        uint32_t requests[LIMIT_RING], tokens[LIMIT_RING]; /* by second % LIMIT_RING */
        int64_t booked_ms;                                 /* no turn that stands is later */
        int64_t passed_s;                                  /* the second in which one last went at once … */
        uint32_t passed;                                   /* … and how many did: they never waited */
        uint32_t era; /* told by when the counts began; 0: none yet. Another's turns give nothing back */
        int64_t day, day_requests, day_tokens; /* zone_day.number */
        struct limit_told told_requests, told_tokens;
};

enum limit_kind {
        LIMIT_NONE,
        LIMIT_RPM,
        LIMIT_TPM,
        LIMIT_RPD,
        LIMIT_TPD,
        LIMIT_CONCURRENT,
        LIMIT_QUEUE,     /* queue_length are waiting already */
        LIMIT_TOO_LARGE, /* more tokens than tpm or tpd at all: asking again never helps */
        LIMIT_TOLD,      /* the provider's own word */
        LIMIT_KINDS
};
const char *limit_name(enum limit_kind kind); /* "rpm", …, as in the configuration */

struct limit_ask {
        int64_t tokens;      /* to be reserved */
        int64_t day;         /* zone_day.number of now, in the limits' zone */
        int64_t day_left_ms; /* until that day ends */
        int64_t wait_ms;     /* the longest that the caller would wait; 0: now or not at all */
};

struct limit_turn {
        bool granted;
        int64_t at_ms; /* granted: when the turn is (now, or later: it is booked); refused: when it could have
                          been, 0: never */
        int64_t tokens, day; /* reserved; for settling */
        uint32_t era;
        enum limit_kind by; /* what delays or refuses it; LIMIT_NONE: nothing */
};

/* Reserves a request and its tokens. l may be NULL: no limits of our own, only the provider's word. A refusal
 * changes nothing. */
struct limit_turn limit_reserve(struct limit_state *s, const struct config_limits *l,
                                const struct limit_ask *ask, int64_t now_ms);
/* What the call really used: less goes back to where it was reserved; more counts now, and delays the next.
 * Of a turn that a reset or a damage has forgotten since, nothing goes back here and in limit_give_back. */
void limit_settle(struct limit_state *s, const struct limit_turn *turn, int64_t used_tokens, int64_t now_ms);
/* The turn was not used at all: request and tokens go back. */
void limit_give_back(struct limit_state *s, const struct limit_turn *turn, int64_t now_ms);
/* The provider said so in an answer; nothing it says loosens a limit of ours. */
void limit_tell(struct limit_state *s, const struct limit_told *requests, const struct limit_told *tokens);
/* Turns that lie ahead. Exact in whole seconds; what is left of the one under way is reckoned by its share.
 */
int64_t limit_waiting(const struct limit_state *s, int64_t now_ms);

/* For headers and status. */
struct limit_view {
        int64_t max;      /* 0: no such limit */
        int64_t used;     /* in the window or on the day */
        int64_t reset_ms; /* until all of it is free again; 0: it is */
};
struct limit_views {
        struct limit_view rpm, tpm, rpd, tpd;
};
void limit_look(const struct limit_state *s, const struct config_limits *l, int64_t day, int64_t day_left_ms,
                int64_t now_ms, struct limit_views *out);

#endif
