/*
 * A question at one target, and when that is late at a second one besides. Both run on one lane. Nothing of
 * either reaches the client before one was heard; that one is the attempt from then on, and the other one's
 * connection is closed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "relay/attempt.h"

/* Which of the two goes on, or has ended with `result`. */
struct survivor {
        struct question *question;
        bool done;
        enum attempt_result result;
};

static enum attempt_result end(struct question *q)
{
        bool ok = exchange_close(q->exchange);
        return q->end(q, ok);
}

/* True: nothing was heard of it in time, and it still runs. */
static bool is_late(const struct question *q, struct upstream_lane *lane)
{
        const struct relay_run *run = q->attempt->run;
        struct exchange *x = q->exchange;
        if (!run->hedge || run->hedge->after_ms <= 0 || run->content_sent)
                return false;
        bool ended = exchange_drive(lane, x, NULL, x->times.started_ms + run->hedge->after_ms);
        return !ended && !run->stop;
}

static struct question *open_second(const struct question *first)
{
        struct relay_run *run = first->attempt->run;
        struct attempt *at = arena_alloc(run->call->arena, sizeof *at);
        *at = (struct attempt){.run = run, .besides = true};
        const struct fit *fit = run->hedge->open(run->hedge, at);
        if (!fit)
                return NULL;
        log_info("%s/%s is late: %s/%s is asked besides", first->attempt->target->provider->name,
                 first->attempt->target->model, at->target->provider->name, at->target->model);
        struct question *second = question_new(at, first->original, fit);
        if (!second)
                run->hedge->ended(run->hedge, at, ATTEMPT_OVER);
        return second;
}

/* It was not heard first: that is no fault of its. */
static void end_loser(struct question *q)
{
        struct hedge *h = q->attempt->run->hedge;
        exchange_close(q->exchange);
        q->attempt->fault = (struct upstream_fault){0};
        h->ended(h, q->attempt, ATTEMPT_OVER);
}

static struct survivor race(struct question *first, struct question *second, struct upstream_lane *lane)
{
        const struct relay_run *run = first->attempt->run;
        struct exchange_race race = {0};
        first->exchange->race = second->exchange->race = &race;
        struct exchange *ended = exchange_drive(lane, first->exchange, second->exchange, 0);
        /* Where the client has left, it is all the same. */
        struct exchange *other_than = race.winner ? race.winner : ended ? ended : first->exchange;
        struct question *q = other_than == first->exchange ? first : second,
                        *other = q == first ? second : first;
        struct survivor s = {.question = q};
        if (!race.winner && !run->stop) {
                s.result = end(q);
                s.done = true;
                if (s.result != ATTEMPT_ANSWERED && !race.winner && !run->stop) {
                        run->hedge->ended(run->hedge, q->attempt, s.result);
                        s = (struct survivor){.question = other};
                }
        }
        first->exchange->race = second->exchange->race = NULL;
        if (s.question == q)
                end_loser(other);
        return s;
}

enum attempt_result question_ask(struct question *q)
{
        struct attempt *at = q->attempt;
        struct upstream_lane *lane = upstream_lane_take(at->run->call->env->pool);
        struct survivor s = {.question = q};
        struct question *second = NULL;
        exchange_open(q->exchange, lane);
        if (is_late(q, lane) && (second = open_second(q))) {
                exchange_open(second->exchange, lane);
                s = race(q, second, lane);
        }
        if (!s.done) {
                exchange_drive(lane, s.question->exchange, NULL, 0);
                s.result = end(s.question);
        }
        if (s.question != q)
                *at = *s.question->attempt;
        if (second)
                question_free(second);
        upstream_lane_give(lane);
        return s.result;
}
