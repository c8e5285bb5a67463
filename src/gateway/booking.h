/* The ledger's row of a model request, from who asks to how it ended; the relay fills in what it cost. */
#ifndef TOLLGATE_GATEWAY_BOOKING_H
#define TOLLGATE_GATEWAY_BOOKING_H

#include "gateway/exchange.h"

/* Once it is known who asks. False: err, as the account's budget can't be kept without a ledger. */
bool booking_begin(struct exchange *x, struct err *err);
/* After the answer. err: what was told of it; ERR_NONE: nothing, or by the relay. */
void booking_end(struct exchange *x, const struct err *err);

#endif
