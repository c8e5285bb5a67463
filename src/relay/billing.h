/*
 * What a request costs, while it runs: its account's budget, the begins and progress in the spool, the
 * attempts of its row. Inside the relay; a call without a book (relay_env.book NULL) is priced, and nothing
 * is kept.
 */
#ifndef TOLLGATE_RELAY_BILLING_H
#define TOLLGATE_RELAY_BILLING_H

#include "policy/budget.h"
#include "relay/attempt.h"
#include "store/book.h"

/* Before the walk: may the account ask at all? False: *err (ERR_QUOTA, with what is used up and when it
 * begins anew; ERR_OVERLOADED where the books are full or can't be read). */
bool billing_enter(struct relay_run *run, struct err *err);
/* Its attempts must be covered: billing_begin() wants their worst case. */
bool billing_is_limited(const struct relay_run *run);
/* Before an attempt goes out: sets its worst case aside, and notes its begin. False: *err; it is not to be
 * made. */
bool billing_begin(struct relay_run *run, struct attempt *at, const struct estimate *most, struct err *err);
/* A stream has come further. Cheap; noted once a second. */
void billing_progress(struct attempt *at);
/* Its usage is known, and the answer is about to be told: what the request costs so far, for x-tollgate-cost
 * and the plain dialect (answer_context.cost). */
void billing_show(struct attempt *at, const char *served_model);
/* The attempt is over, its usage reckoned: settles the budget, keeps its row. */
void billing_end(struct relay_run *run, struct attempt *at, bool answered);
/* It was not sent after all. */
void billing_cancel(struct relay_run *run, struct attempt *at);
/* The request is over: the relay's part of its row, and relay_record.attempt_rows. */
void billing_leave(struct relay_run *run);

#endif
