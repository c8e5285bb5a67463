/*
 * What each fault upstream gets: one table (kind → next target or not, what the caller is told), and pure
 * functions over it. When to try again at the same place, cool-downs and breakers are further columns of the
 * same table.
 */
#ifndef TOLLGATE_POLICY_FAULT_H
#define TOLLGATE_POLICY_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/err.h"
#include "dialect/fault_kind.h"

struct fault_row {
        const char *name;     /* for the log */
        bool next_target;     /* may another target be asked? */
        bool callers;         /* the caller's mistake: passed on, no mark against the target */
        enum err_cause tells; /* what the caller is told when no target is left */
};

const struct fault_row *fault_row(enum fault_kind kind);

/* Where the attempt stood when it failed. */
struct fault_moment {
        bool content_sent;    /* the client has a content event */
        bool target_left;     /* there is another fit target */
        int64_t time_left_ms; /* of the version's total */
};

enum fault_verdict {
        FAULT_TRY_NEXT, /* ask the next target */
        FAULT_GIVE_UP,  /* tell the client: an error answer, or an error event where the head is out */
};

enum fault_verdict fault_judge(const struct upstream_fault *fault, struct fault_moment moment);

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
