/*
 * What a request may cost, for the strategy "cost": the operator's `prices`, matched as the catalogue is.
 * Integers in 1e-12 of the prices' currency (tokens × millionths per million tokens).
 */
#ifndef TOLLGATE_POLICY_PRICE_H
#define TOLLGATE_POLICY_PRICE_H

#include "config/config.h"

/* The row with the longest literal part that matches; NULL: no price is known. */
const struct config_price *price_find(const struct config *c, const char *model);
/* -1: p is NULL or lacks what is needed, or the sum passes int64_t. Tokens are not negative. */
int64_t price_of(const struct config_price *p, int64_t input_tokens, int64_t output_tokens);

#endif
