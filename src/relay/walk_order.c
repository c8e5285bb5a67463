/* In which order the targets are asked: what the strategy wants to know of them, looked up. */
#include <sys/random.h>

#include "base/clock.h"
#include "policy/catalogue.h"
#include "policy/order.h"
#include "policy/price.h"
#include "relay/walk.h"

double walk_chance(void)
{
        uint32_t n = 0;
        if (getrandom(&n, sizeof n, 0) != sizeof n)
                return 0.5;
        return (double)n / 4294967296.0;
}

bool walk_is_direct(const struct relay_run *run)
{
        return !run->call->route->model;
}

static bool next_turn(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        *(uint64_t *)context = slot->turn++;
        return true;
}

/* A slot is a page: on the stack, whose depth is given back, not in the arena of a stream that waits. */
static __attribute__((noinline)) void read_fact(struct relay_run *run, const struct config_target *t,
                                                struct order_fact *fact)
{
        const struct relay_call *call = run->call;
        struct state *state = call->env->state;
        struct slot slot;
        if (!state || !state_read(state, admission_subject(call->arena, t, walk_is_direct(run)), &slot))
                return;
        const struct lease_context leases = state_leases(state);
        int64_t now_ms = state_now_ms(state);
        fact->latency_ms = latency_now(&slot.latency, now_ms);
        fact->in_flight = lease_count(&slot.leases, &leases);
        fact->open = slot.cool.until_ms > now_ms ||
                     (slot.breaker.mode != BREAKER_CLOSED && slot.breaker.until_ms > now_ms);
}

static void read_cost(struct relay_run *run, const struct errand *errand, const struct config_target *t,
                      struct order_fact *fact)
{
        struct estimate e = {0};
        errand->estimate(t, run, errand->request, &e);
        const struct price_ask ask = {.config = run->call->env->config,
                                      .provider = t->provider,
                                      .model = t->model,
                                      .unix_s = clock_unix()};
        fact->cost_pico = price_of(&ask, price_find(&ask, e.input), e.input, estimate_total(&e, 0) - e.input);
}

const size_t *walk_order(struct relay_run *run, const struct errand *errand)
{
        const struct relay_call *call = run->call;
        const struct config_version *v = call->route->version;
        const struct order_needs needs = order_needs(v);
        struct order_fact *facts = arena_alloc(call->arena, (v->target_count + 1) * sizeof *facts);
        size_t *places = arena_alloc(call->arena, (v->target_count + 1) * sizeof *places);
        uint64_t turn = 0;
        for (size_t i = 0; needs.facts && i < v->target_count; i++)
                read_fact(run, &v->targets[i], &facts[i]);
        for (size_t i = 0; needs.cost && i < v->target_count; i++)
                read_cost(run, errand, &v->targets[i], &facts[i]);
        if (needs.turn && call->env->state) {
                const char *name = arena_printf(call->arena, "%s@%s", call->route->model_name, v->name);
                state_update(call->env->state, (struct subject){SLOT_VERSION, name}, next_turn, &turn);
        }
        order_targets(v, facts, turn, (const double[]){walk_chance(), walk_chance()}, places);
        return places;
}
