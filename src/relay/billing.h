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

/* Before the walk: what is to be asked of the account at all. False: *err (ERR_QUOTA, with what is used up
 * and when it begins anew; ERR_OVERLOADED where the books are full). */
bool billing_enter(struct relay_run *run, struct err *err);
/* Before an attempt goes out: reserves its worst case, and notes its begin. False: *err; the attempt is not
 * to be made. */
bool billing_begin(struct relay_run *run, struct attempt *at, const char *kind, struct err *err);
/* A stream has come further. Cheap; notes it once a second. */
void billing_progress(struct attempt *at);
/* Before an answer goes out whole: its cost so far, for x-tollgate-cost and the plain dialect
 * (answer_context.cost). */
void billing_show(struct attempt *at);
/* The attempt is over, its usage reckoned: settles the budget, keeps its row. outcome: ledger_attempt. */
void billing_end(struct relay_run *run, struct attempt *at, const char *outcome);
/* It was not sent after all. */
void billing_cancel(struct relay_run *run, struct attempt *at);

#endif
