/* What both halves of admission share; not for others. */
#ifndef TOLLGATE_RELAY_ADMISSION_ASKS_H
#define TOLLGATE_RELAY_ADMISSION_ASKS_H

#include "policy/estimate.h"
#include "policy/limit.h"

/* A lease may end at any moment: a line for one is looked at this often. Turns need no looking: they are
 * booked. */
enum { LINE_LOOK_MS = 20, LEASE_RETRY_MS = 1000 };

struct limit_ask admission_ask(const struct config_limits *l, int64_t tokens, int64_t wait_ms);
/* What is hoped of the output may shrink to fit under the limit; the input is what it is. */
int64_t admission_tokens(const struct estimate *e, const struct config_limits *l, double lately);
/* Of two limits, of which 0 is none. */
int64_t admission_smaller(int64_t a, int64_t b);

#endif
