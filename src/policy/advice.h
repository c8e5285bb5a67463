/*
 * What an operator should know of a configuration that is right and yet may surprise: versions and models
 * past their dates, ids that change their meaning, prices that are missing. Pure: the time is an argument.
 */
#ifndef TOLLGATE_POLICY_ADVICE_H
#define TOLLGATE_POLICY_ADVICE_H

#include <stdint.h>
#include "base/arena.h"
#include "config/config.h"

/* One piece of advice; text lives as long as the arena. */
typedef void advice_fn(void *context, const char *text);

enum { ADVICE_RETIRES_DAYS = 30 }; /* a model that retires so soon is told of */

/* now: unix seconds. In the order of the configuration. */
void advice_give(const struct config *c, int64_t now, struct arena *a, advice_fn *fn, void *context);
/* Why the provider may change what stands behind this id ("…"), or NULL. */
const char *advice_moving(const char *upstream_model);

#endif
