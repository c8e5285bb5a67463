/*
 * In which order the targets of a version are asked (contract §4, `strategy`). Pure: chance and everything
 * that is known of the targets are arguments.
 */
#ifndef TOLLGATE_POLICY_ORDER_H
#define TOLLGATE_POLICY_ORDER_H

#include <stddef.h>
#include "config/config.h"

/* What is known of one target now. */
struct order_fact {
        double latency_ms; /* 0: unknown, which makes it worth a try */
        int64_t in_flight;
        int64_t cost_pico; /* of this request, in 1e-12 of the prices' currency; -1: no price known */
        bool open;         /* broken or cooling down: goes last, whatever the strategy */
};

/* What a strategy wants to know, so that nothing else is looked up: `facts` are the measured ones. */
struct order_needs {
        bool facts, turn, cost;
};
struct order_needs order_needs(const struct config_version *v);

/*
 * Fills order[0 … target_count) with indices of targets, best first; all of them are in it once (weight 0:
 * after all others). turn: a counter of the version, for round-robin. chance: two numbers in 0 … 1.
 */
void order_targets(const struct config_version *v, const struct order_fact *facts, uint64_t turn,
                   const double chance[2], size_t *order);

#endif
