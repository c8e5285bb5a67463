/*
 * What a call costs, by the rows of `prices` (the operator's, then those of prices.conf). Amounts are 1e-12
 * of config.currency (base/money.h); shipped prices are US dollars, and converted at the rate of the moment
 * asked for. Pure functions.
 *
 * The row of a call: of the rows whose pattern matches the model as the catalogue's do (longest literal part;
 * the operator's own win over shipped ones; one that names the provider over one that names none), those in
 * force on the day (the latest `from` that has come), and of these the one with the largest `above` that the
 * whole prompt passes. A price that a row leaves out: cached, cache writes, audio and image input cost what
 * input costs (a write of 1 h what one of 5 min costs), audio output what output costs; a row with `above` or
 * `from` that leaves out a price does not take it from another row.
 */
#ifndef TOLLGATE_POLICY_PRICE_H
#define TOLLGATE_POLICY_PRICE_H

#include "config/config.h"
#include "dialect/chat.h"

struct price_ask {
        const struct config *config;
        const struct config_provider *provider;
        const char *model;        /* upstream id */
        const char *served_model; /* what the provider says served it, or NULL: priced first, where it has a
                                     row */
        int64_t unix_s;
};

/* The row for a prompt of so many tokens; NULL: the model has no price. */
const struct config_price *price_find(const struct price_ask *ask, int64_t prompt_tokens);

/* 1e-12 of config.currency; -1: no price is known. The echo provider without a row of its own costs 0. */
int64_t price_usage(const struct price_ask *ask, const struct chat_usage *usage);
/* The same, had nothing come from a prompt cache and nothing been written there: what caching saved is the
 * difference (it may be negative). */
int64_t price_uncached(const struct price_ask *ask, const struct chat_usage *usage);
/* The most that a call of at most so many tokens can cost, whatever of it is cached, written or long;
 * -1: no price is known. */
int64_t price_worst(const struct price_ask *ask, int64_t input_tokens, int64_t output_tokens);
/* Both by one row, for the strategy "cost"; p may be NULL. -1: not known. */
int64_t price_of(const struct price_ask *ask, const struct config_price *p, int64_t input_tokens,
                 int64_t output_tokens);

#endif
