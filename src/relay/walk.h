/*
 * The walk over the targets of a version until one has answered: in the order of the strategy, each admitted
 * by the shared state, what failed judged by the table of faults, waits and second tries inside the version's
 * total. Inside the relay only.
 */
#ifndef TOLLGATE_RELAY_WALK_H
#define TOLLGATE_RELAY_WALK_H

#include "relay/attempt.h"

/* A call of either kind, as the walk sees it. */
struct errand {
        /* False: the target can't take this request; err tells why (the first one is kept). */
        bool (*fit)(struct relay_run *run, const struct config_target *target, void *request,
                    struct err *err);
        enum attempt_result (*attempt)(struct attempt *at, void *request);
        void (*estimate)(const struct config_target *target, const struct relay_run *run, void *request,
                         struct estimate *out);
        /* For a second target besides: a fit of its own, or NULL. May be NULL itself. */
        const struct fit *(*fit_besides)(struct relay_run *run, const struct config_target *target,
                                         void *request);
        /* The most that it can be counted as, as fitted for the target: for budgets. fit: of a second target
         * besides, else NULL. */
        void (*most)(const struct config_target *target, const struct relay_run *run, void *request,
                     const struct fit *fit, struct estimate *out);
        /* Looks into the response cache. True: the client has its answer. */
        bool (*cached)(struct relay_run *run, void *request);
        void *request;
};

/* Answers the client whatever happens. */
void walk_targets(struct relay_run *run, const struct errand *errand);

/* Indices of the version's targets, best first, in the arena (walk_order.c). */
const size_t *walk_order(struct relay_run *run, const struct errand *errand);
/* The caller named provider and model itself. */
bool walk_is_direct(const struct relay_run *run);
/* From 0 to 1. */
double walk_chance(void);

#endif
