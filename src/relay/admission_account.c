/* The account's turn: a place in its window, its queue, its leases. */
#include <string.h>

#include "base/clock.h"
#include "relay/admission.h"
#include "relay/admission_asks.h"
#include "relay/attempt.h"

struct limit_ask admission_ask(const struct config_limits *l, int64_t tokens, int64_t wait_ms)
{
        int64_t now = clock_unix();
        struct zone_day day = zone_day_of(l->days, now);
        return (struct limit_ask){
                .tokens = tokens,
                .day = day.number,
                .day_left_ms = (day.ends - now) * 1000,
                .wait_ms = wait_ms,
        };
}

int64_t admission_smaller(int64_t a, int64_t b)
{
        return !a ? b : !b || a < b ? a : b;
}

int64_t admission_tokens(const struct estimate *e, const struct config_limits *l, double lately)
{
        int64_t tokens = estimate_total(e, lately), most = admission_smaller(l->tpm, l->tpd);
        if (most && tokens > most)
                tokens = e->input < most ? most : e->input;
        return tokens;
}

struct entry {
        const struct config_limits *limits;
        const struct estimate *estimate;
        struct lease_context leases;
        int64_t wait_ms;
        struct permit *permit;
        struct limit_views *views;
        uint64_t ticket; /* of the line for a lease */
        int64_t used;    /* leaving: tokens */
        int64_t output;  /* leaving: tokens of the answer */
};

static void look(struct entry *e, const struct slot *slot, const struct limit_ask *ask, int64_t now_ms)
{
        limit_look(&slot->limit, e->limits, ask->day, ask->day_left_ms, now_ms, e->views);
}

/* A lease for a turn that has come, or a place in the line. */
static bool take_lease(struct entry *e, struct slot *slot)
{
        if (lease_take(&slot->leases, e->limits->concurrent, &e->leases, &e->permit->lease))
                return true;
        e->permit->turn.by = LIMIT_CONCURRENT;
        if (e->wait_ms > 0)
                e->ticket = lease_line_join(&slot->leases, e->limits->queue_length, &e->leases);
        return e->ticket != 0;
}

static bool enter(struct slot *slot, int64_t now_ms, void *context)
{
        struct entry *e = context;
        struct permit *p = e->permit;
        const struct limit_ask ask = admission_ask(
                e->limits, admission_tokens(e->estimate, e->limits, slot->latency.output_tokens), e->wait_ms);
        p->turn = limit_reserve(&slot->limit, e->limits, &ask, now_ms);
        p->taken = p->turn.granted;
        if (p->taken && p->turn.at_ms <= now_ms && !take_lease(e, slot)) {
                limit_give_back(&slot->limit, &p->turn, now_ms);
                p->taken = p->turn.granted = false;
                p->turn.at_ms = now_ms + LEASE_RETRY_MS;
        }
        look(e, slot, &ask, now_ms);
        return p->taken;
}

/* The turn has come, or it is looked whether a lease is free. */
static bool come_in(struct slot *slot, int64_t now_ms, void *context)
{
        struct entry *e = context;
        (void)now_ms;
        if (e->ticket) {
                if (lease_line_take(&slot->leases, e->ticket, e->limits->concurrent, &e->leases,
                                    &e->permit->lease))
                        e->ticket = 0;
                return true;
        }
        take_lease(e, slot);
        return true;
}

static bool turn_back(struct slot *slot, int64_t now_ms, void *context)
{
        struct entry *e = context;
        if (e->ticket)
                lease_line_leave(&slot->leases, e->ticket);
        e->ticket = 0;
        limit_give_back(&slot->limit, &e->permit->turn, now_ms);
        lease_give(&slot->leases, &e->leases, &e->permit->lease);
        return true;
}

static bool leave(struct slot *slot, int64_t now_ms, void *context)
{
        struct entry *e = context;
        limit_settle(&slot->limit, &e->permit->turn, e->used, now_ms);
        lease_give(&slot->leases, &e->leases, &e->permit->lease);
        if (e->output > 0)
                latency_note_output(&slot->latency, e->output);
        return true;
}

static int64_t limit_value(const struct config_limits *l, enum limit_kind kind)
{
        switch (kind) {
        case LIMIT_RPM: return l->rpm;
        case LIMIT_TPM:
        case LIMIT_TOO_LARGE: return admission_smaller(l->tpm, l->tpd);
        case LIMIT_RPD: return l->rpd;
        case LIMIT_TPD: return l->tpd;
        case LIMIT_CONCURRENT: return l->concurrent;
        case LIMIT_QUEUE: return l->queue_length;
        default: return 0;
        }
}

static bool refuse(struct arena *a, const struct config_limits *l, const struct limit_turn *turn,
                   int64_t now_ms, struct err *err)
{
        long long max = (long long)limit_value(l, turn->by);
        if (turn->by == LIMIT_TOO_LARGE) {
                err_set(err, a, ERR_RATE_LIMIT, NULL,
                        "this request alone has about %lld tokens, more than the account's limit of %lld "
                        "lets pass",
                        (long long)turn->tokens, max);
                err->final = true;
                return false;
        }
        int64_t wait = turn->at_ms > now_ms ? turn->at_ms - now_ms : 1000;
        err_set(err, a, ERR_RATE_LIMIT, NULL, "the account's limit %s = %lld is reached; try again in %lld s",
                limit_name(turn->by), max, (long long)((wait + 999) / 1000));
        err->retry_after_ms = wait;
        return false;
}

static bool no_state(struct arena *a, enum state_result result, struct err *err)
{
        err_set(err, a, ERR_OVERLOADED, NULL, "%s",
                result == STATE_FULL ? "too many callers at once; try again"
                                     : "the gateway's shared state can't be used; tell the administrator");
        err->retry_after_ms = LEASE_RETRY_MS;
        return false;
}

/* Waits for the booked turn, then in the line for a lease. False: too late, or the client has left. */
static bool wait_in_queue(struct relay_run *run, struct entry *e)
{
        struct state *state = run->call->env->state;
        int64_t until = clock_now_ms() + e->wait_ms;
        int64_t ahead = e->permit->turn.at_ms - state_now_ms(state);
        if (ahead > 0) {
                if (!relay_wait(run, ahead))
                        return false;
                e->wait_ms = until - clock_now_ms();
                if (state_update(state, e->permit->subject, come_in, e) != STATE_DONE)
                        return false;
        }
        while (!e->permit->lease.held) {
                if (!e->ticket || clock_now_ms() >= until || !relay_wait(run, LINE_LOOK_MS) ||
                    state_update(state, e->permit->subject, come_in, e) != STATE_DONE)
                        return false;
        }
        return true;
}

static int64_t queue_ms(const struct relay_run *run, const struct config_limits *l)
{
        int64_t left = run->deadline_ms - clock_now_ms();
        return l->queue_ms < left ? l->queue_ms : left;
}

bool admission_enter(struct relay_run *run, const struct estimate *estimate, struct err *err)
{
        const struct relay_call *call = run->call;
        struct state *state = call->env->state;
        /* Where nothing is limited there is nothing to keep: its calls under way are seen at the targets. */
        if (!call->account || !state || !config_any_limit(&call->account->limits))
                return true;
        const struct config_limits *l = &call->account->limits;
        struct permit *permit = &run->account;
        struct entry e = {.limits = l,
                          .estimate = estimate,
                          .leases = state_leases(state),
                          .permit = permit,
                          .views = &run->limits};
        bool waits = l->queue_ms > 0 && relay_waiting_take(call->env);
        e.wait_ms = waits ? queue_ms(run, l) : 0;
        *permit = (struct permit){.subject = call->caller};
        int64_t began = clock_now_ms();
        enum state_result result = state_update(state, permit->subject, enter, &e);
        bool ok = result == STATE_DONE && permit->taken;
        if (ok && !permit->lease.held)
                ok = wait_in_queue(run, &e);
        if (waits)
                relay_waiting_give(call->env);
        run->record->queue_ms += clock_now_ms() - began;
        run->limited = result == STATE_DONE;
        if (ok)
                return true;
        if (permit->taken)
                state_update(state, permit->subject, turn_back, &e);
        permit->taken = false;
        if (run->stop)
                return false;
        return result == STATE_DONE ? refuse(call->arena, l, &permit->turn, state_now_ms(state), err)
                                    : no_state(call->arena, result, err);
}

void admission_leave(struct relay_run *run, int64_t used_tokens)
{
        struct state *state = run->call->env->state;
        if (!run->account.taken)
                return;
        struct entry e = {.limits = &run->call->account->limits,
                          .leases = state_leases(state),
                          .permit = &run->account,
                          .used = used_tokens,
                          .output = run->record->whole ? run->record->usage.output : 0};
        state_update(state, run->account.subject, leave, &e);
        run->account.taken = false;
}

bool admission_peek(const struct relay_env *env, const struct config_account *account, struct subject caller,
                    struct arena *a, struct limit_views *views, struct err *err)
{
        const struct config_limits *l = &account->limits;
        if (!env->state || l->queue_ms > 0 || !(l->rpm || l->rpd))
                return true;
        struct slot slot;
        if (!state_read(env->state, caller, &slot))
                return true;
        int64_t now_ms = state_now_ms(env->state);
        const struct limit_ask ask = admission_ask(l, 0, 0);
        limit_look(&slot.limit, l, ask.day, ask.day_left_ms, now_ms, views);
        const struct limit_turn turn = limit_reserve(&slot.limit, l, &ask, now_ms);
        return turn.granted || refuse(a, l, &turn, now_ms, err);
}
