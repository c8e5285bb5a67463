#include "policy/order.h"

#include <math.h>

/* What a strategy puts in order: the targets that are not open. */
struct list {
        const struct config_version *version;
        const struct order_fact *facts;
        uint64_t turn;
        const double *chance;
        size_t *order, count;
};

static size_t below(double chance, size_t count)
{
        double n = floor(chance * (double)count);
        if (!(n > 0))
                return 0;
        return n < (double)count ? (size_t)n : count - 1;
}

/* Moves one forward; those between keep their order. */
static void move(size_t *order, size_t from, size_t to)
{
        size_t kept = order[from];
        for (; from > to; from--)
                order[from] = order[from - 1];
        order[to] = kept;
}

static void sort(const struct list *l, size_t first, double (*key)(const struct list *, size_t))
{
        for (size_t i = first + 1; i < l->count; i++) {
                size_t to = i;
                while (to > first && key(l, l->order[i]) < key(l, l->order[to - 1]))
                        to--;
                move(l->order, i, to);
        }
}

/* ---- strategies ---- */

static void as_written(const struct list *l)
{
        (void)l;
}

static double weight(const struct list *l, size_t target)
{
        int64_t w = l->version->targets[target].weight;
        return w > 0 ? (double)w : 0;
}

/* The one that *chance falls on. What is left of it within that one's share is a chance again, as even as
 * before: the second number only freshens it up. */
static size_t draw(const struct list *l, size_t first, double *chance)
{
        double total = 0, sum = 0;
        size_t found = first;
        for (size_t i = first; i < l->count; i++)
                total += weight(l, l->order[i]);
        double point = *chance * total;
        for (size_t i = first; i < l->count; i++) {
                double w = weight(l, l->order[i]);
                if (w <= 0)
                        continue;
                found = i;
                if (point < sum + w) {
                        *chance = (point - sum) / w + l->chance[1];
                        *chance -= floor(*chance);
                        break;
                }
                sum += w;
        }
        return found;
}

static void weighted(const struct list *l)
{
        double chance = l->chance[0];
        for (size_t i = 0; i + 1 < l->count; i++)
                move(l->order, draw(l, i, &chance), i);
}

static void round_robin(const struct list *l)
{
        for (size_t n = l->count ? l->turn % l->count : 0; n > 0; n--) {
                size_t first = l->order[0];
                for (size_t i = 1; i < l->count; i++)
                        l->order[i - 1] = l->order[i];
                l->order[l->count - 1] = first;
        }
}

/* One that is unknown is quick, until a few are under way there. */
static double load(const struct list *l, size_t target)
{
        const struct order_fact *f = &l->facts[target];
        return fmax(f->latency_ms, 1) * ((double)f->in_flight + 1);
}

/* Two drawn, the better taken: all that come at once do not run to the same one. */
static void quickest(const struct list *l)
{
        if (l->count < 2 || !l->facts)
                return;
        size_t a = below(l->chance[0], l->count), b = below(l->chance[1], l->count - 1);
        if (b >= a)
                b++;
        move(l->order, load(l, l->order[b]) < load(l, l->order[a]) ? b : a, 0);
        sort(l, 1, load);
}

static double cost(const struct list *l, size_t target)
{
        int64_t pico = l->facts[target].cost_pico;
        return pico >= 0 ? (double)pico : INFINITY;
}

static void cheapest(const struct list *l)
{
        if (l->facts)
                sort(l, 0, cost);
}

static const struct strategy {
        void (*put)(const struct list *l);
        bool facts, turn, cost;
} strategies[] = {
        [STRATEGY_FAILOVER] = {as_written, .facts = false},
        [STRATEGY_WEIGHTED] = {weighted, .facts = false},
        [STRATEGY_ROUND_ROBIN] = {round_robin, .turn = true},
        [STRATEGY_LATENCY] = {quickest, .facts = true},
        [STRATEGY_COST] = {cheapest, .cost = true},
};

/* To look at a target costs a lock. A broken one is passed over when it is asked, so most need no look. */
struct order_needs order_needs(const struct config_version *v)
{
        const struct strategy *s = &strategies[v->strategy];
        bool choice = v->target_count > 1;
        return (struct order_needs){
                .facts = choice && s->facts, .turn = choice && s->turn, .cost = choice && s->cost};
}

void order_targets(const struct config_version *v, const struct order_fact *facts, uint64_t turn,
                   const double chance[2], size_t *order)
{
        struct list l = {.version = v, .facts = facts, .turn = turn, .chance = chance, .order = order};
        size_t end = 0;
        for (size_t i = 0; i < v->target_count; i++) {
                if (!facts || !facts[i].open)
                        order[l.count++] = i;
        }
        end = l.count;
        for (size_t i = 0; i < v->target_count; i++) {
                if (facts && facts[i].open)
                        order[end++] = i;
        }
        strategies[v->strategy].put(&l);
}
