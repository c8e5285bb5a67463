/*
 * What a request may cost, for the strategy "cost", by a row of the operator's `prices` (catalogue_price()).
 * Integers in 1e-12 of the prices' currency (tokens × millionths per million tokens).
 */
#ifndef TOLLGATE_POLICY_PRICE_H
#define TOLLGATE_POLICY_PRICE_H

#include "config/config.h"

/* -1: p is NULL or lacks what is needed, or the sum passes int64_t. Tokens are not negative. */
int64_t price_of(const struct config_price *p, int64_t input_tokens, int64_t output_tokens);

#endif
