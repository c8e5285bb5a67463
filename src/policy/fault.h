/*
 * What each fault upstream gets: one table (kind → again at the same target, another target, what is marked
 * there, what the caller is told), and pure functions over it. Chance and the moment are arguments.
 */
#ifndef TOLLGATE_POLICY_FAULT_H
#define TOLLGATE_POLICY_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"
#include "dialect/fault_kind.h"

/* At the same target. */
enum fault_again {
        AGAIN_NEVER,
        AGAIN_ONCE,   /* after a backoff, where breaker and retry budget agree */
        AGAIN_BACKOFF /* as often as `attempts` says, with a growing backoff */
};

enum fault_next {
        NEXT_NONE, /* the answer is the caller's */
        NEXT_ANY,
        NEXT_LARGER, /* a target whose window is larger */
        NEXT_REROUTE /* any, where the version says reroute_refusals */
};

/* What stays with the target, for all processes. */
enum fault_mark {
        MARK_NONE,    /* it says nothing of the target */
        MARK_FAILURE, /* counts for the breaker */
        MARK_COOL,    /* not to be asked until the time that the provider named */
        MARK_OUT      /* out of service until a probe succeeds, if the answer leaves no doubt */
};

struct fault_row {
        const char *name; /* for the log */
        enum fault_again again;
        enum fault_next next;
        enum fault_mark mark;
        bool asked;           /* it may have reached the provider: a request and tokens are counted */
        bool callers;         /* the caller's mistake: passed on */
        enum err_cause tells; /* what the caller is told when no target is left */
};

const struct fault_row *fault_row(enum fault_kind kind);

/* Where the request stood when an attempt failed. */
struct fault_moment {
        bool content_sent;    /* the client has content, and no rescue is possible */
        bool provoked;        /* the caller's own references, betas or direct model may have caused it */
        int64_t tries;        /* at this target, this one included */
        int64_t time_left_ms; /* of the version's total */
        int64_t day_left_ms;  /* until the provider's day ends, for what is used up for today */
        double chance;        /* 0 … 1, for the backoff */
};

enum fault_action {
        FAULT_AGAIN,   /* ask the same target after wait_ms */
        FAULT_NEXT,    /* ask another; this one no more for this request, but see cool_ms */
        FAULT_GIVE_UP, /* tell the client: an error answer, or an error event where the head is out */
};

struct fault_plan {
        enum fault_action action;
        int64_t wait_ms; /* FAULT_AGAIN */
        bool larger;     /* FAULT_NEXT: only a target with a larger window */
        enum fault_mark mark;
        int64_t cool_ms; /* MARK_COOL: how long from now; this request may come back then */
};

struct fault_plan fault_judge(const struct upstream_fault *fault, const struct config_version *version,
                              const struct fault_moment *moment);

/* All that went wrong with one request, to tell the caller one thing. */
struct fault_tally {
        size_t count;
        size_t of_cause[ERR_CAUSES];
        struct upstream_fault last, callers; /* `callers`: the last that was the caller's mistake */
        int64_t retry_after_ms;              /* the shortest that was named */
};

void fault_count(struct fault_tally *tally, const struct upstream_fault *fault);
/* The error for the caller. The provider's words only where the mistake is the caller's; else none of them.
 */
void fault_tell(const struct fault_tally *tally, struct arena *a, struct err *out);

#endif
