/* Amounts in another currency, by the dated `rates`. Pure. */
#ifndef TOLLGATE_POLICY_RATE_H
#define TOLLGATE_POLICY_RATE_H

#include "config/config.h"

/*
 * False: there is no rate for one of them on that day (USD needs none), or it passes 64 bits. Rounded up to
 * the next 1e-12: what a row is charged is reckoned once, and never less than it cost.
 */
bool rate_convert(const struct config *c, int64_t pico, const char *from, const char *to, int64_t unix_s,
                  int64_t *out);

#endif
