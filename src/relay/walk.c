#include "relay/walk.h"

#include "base/clock.h"
#include "base/log.h"
#include "policy/catalogue.h"
#include "relay/billing.h"
#include "relay/rescue.h"

/* Those who wait for the same cool-down do not all come back in the same moment. */
enum { COOLED_SPREAD_MS = 250 };

struct candidate {
        const struct config_target *target;
        int64_t tries;
        bool closed;               /* not for this request any more */
        bool slow;                 /* another one was heard before it: after all that may be asked now */
        bool again;                /* its next try is a second one: it goes before other targets */
        int64_t ready_ms;          /* clock_now_ms(): not before */
        enum fault_kind waits_for; /* FAULT_COOLING, FAULT_AT_LIMIT; FAULT_NONE: nothing */
        bool lease;                /* it is a lease that is missing, and any moment may free one */
};

struct walk {
        struct relay_run *run;
        const struct errand *errand;
        struct candidate *candidates; /* in the order of the strategy */
        size_t count;
        int64_t larger_than; /* only targets with a larger window; 0: all */
        struct attempt at;
        struct hedge hedge;
        struct err problem;
        bool over;
};

static const struct config_version *version_of(const struct walk *w)
{
        return w->run->call->route->version;
}

static void set_candidates(struct walk *w)
{
        const struct config_version *v = version_of(w);
        const size_t *places = walk_order(w->run, w->errand);
        w->count = v->target_count;
        w->candidates = arena_alloc(w->run->call->arena, (w->count + 1) * sizeof *w->candidates);
        for (size_t i = 0; i < w->count; i++)
                w->candidates[i].target = &v->targets[places[i]];
}

/* ---- whom next ---- */

/* A second try goes first, then the first target that may be asked now, then one that was slow, then the one
 * whose time comes soonest. */
static struct candidate *next_candidate(struct walk *w, int64_t now_ms)
{
        struct candidate *soonest = NULL;
        for (size_t i = 0; i < w->count; i++) {
                struct candidate *c = &w->candidates[i];
                if (c->closed)
                        continue;
                if (c->again || (c->ready_ms <= now_ms && !c->slow))
                        return c;
                if (!soonest || c->ready_ms < soonest->ready_ms)
                        soonest = c;
        }
        return soonest;
}

static int64_t queue_left(const struct walk *w)
{
        const struct relay_call *call = w->run->call;
        int64_t left = call->account ? call->account->limits.queue_ms - w->run->record->queue_ms : 0;
        int64_t total = w->run->deadline_ms - clock_now_ms();
        return left < 0 ? 0 : left < total ? left : total;
}

/* False: it would take too long, or the client has left. */
static bool pause_for(struct walk *w, int64_t ms)
{
        if (ms <= 0)
                return true;
        return ms < w->run->deadline_ms - clock_now_ms() && relay_wait(w->run, ms);
}

/* The same for a turn or a cool-down, which many may wait for at once. A backoff is a part of asking. */
static bool wait_for(struct walk *w, int64_t ms, bool queued)
{
        struct relay_run *run = w->run;
        if (ms <= 0)
                return true;
        if (!relay_waiting_take(run->call->env))
                return false;
        bool ok = pause_for(w, ms);
        relay_waiting_give(run->call->env);
        if (queued && ok)
                run->record->queue_ms += ms;
        return ok;
}

/* ---- one that was not asked ---- */

static void count_fault(struct walk *w, enum fault_kind kind, int status, int64_t retry_after_ms)
{
        fault_count(
                &w->run->tally,
                &(struct upstream_fault){.kind = kind, .status = status, .retry_after_ms = retry_after_ms});
}

/* The caller is told why it was not asked, unless its own failure was counted before. */
static void close_candidate(struct walk *w, struct candidate *c, enum fault_kind kind, int status,
                            int64_t retry_after_ms)
{
        c->closed = true;
        c->again = false;
        if (!c->tries)
                count_fault(w, kind, status, retry_after_ms);
}

/* booked: it would have waited in the queue, and that did not help either. */
static void not_admitted(struct walk *w, struct candidate *c, const struct target_answer *answer, bool booked)
{
        int64_t now_ms = clock_now_ms(), wait = 0;
        if (w->run->call->env->state)
                wait = answer->until_ms - state_now_ms(w->run->call->env->state);
        log_info("%s/%s is not asked: %s%s%s", c->target->provider->name, c->target->model,
                 fault_row(answer->kind)->name, answer->why ? ": " : "", answer->why ? answer->why : "");
        if (!answer->at_ms || (booked && !answer->lease)) {
                close_candidate(w, c, answer->kind, answer->status, wait > 0 ? wait : 0);
                return;
        }
        c->again = false;
        c->waits_for = answer->kind;
        c->lease = answer->lease;
        c->ready_ms = now_ms + wait;
}

/* ---- one attempt ---- */

/* Asks the shared state. False: not now. */
static bool admit(struct walk *w, struct attempt *at, const struct candidate *c, int64_t wait_ms, bool again,
                  struct target_answer *answer)
{
        const struct relay_call *call = w->run->call;
        w->errand->estimate(c->target, w->run, w->errand->request, &at->estimate);
        at->ask = (struct target_ask){
                .target = c->target,
                .version = version_of(w),
                .direct = walk_is_direct(w->run),
                .again = again,
                .wait_ms = wait_ms,
                .estimate = &at->estimate,
                .credentials = admission_credentials(c->target->provider),
        };
        admission_target(call->env, call->arena, &at->ask, &at->permit, answer);
        return answer->go;
}

static const char *kind_of(const struct walk *w, const struct candidate *c, bool besides)
{
        const struct relay_record *record = w->run->record;
        if (besides)
                return "hedge";
        if (c->tries)
                return "retry";
        return w->run->content_sent ? "rescue" : record->attempts ? "failover" : "first";
}

/* Its worst case is set aside, its begin noted. False: not with this account's money. */
static bool bill(struct walk *w, struct attempt *at, const struct candidate *c, const struct fit *besides,
                 struct err *err)
{
        struct estimate most = {0};
        if (billing_is_limited(w->run))
                w->errand->most(c->target, w->run, w->errand->request, besides, &most);
        at->n = w->run->record->attempts + 1;
        at->kind = kind_of(w, c, besides != NULL);
        if (billing_begin(w->run, at, &most, err))
                return true;
        admission_give_back(w->run->call->env, &at->permit);
        return false;
}

static void begin_attempt(struct walk *w, struct attempt *at, struct candidate *c)
{
        struct relay_run *run = w->run;
        at->started_ms = clock_now_ms();
        at->provoked = walk_is_direct(run) || run->provoked;
        run->record->attempts++;
        run->record->retries += c->tries > 0;
        c->tries++;
        c->again = false;
}

static void clear_record(const struct relay_run *run, const struct config_target *target)
{
        struct relay_record *record = run->record;
        record->provider = target->provider->name;
        record->upstream_model = target->model;
        record->upstream_request_id = NULL;
        record->served_model = NULL;
        record->usage = (struct chat_usage){0};
        /* Where another goes on, the client's first token came from the one before. */
        if (!run->content_sent)
                record->first_token_ms = 0;
        record->whole = false;
}

static void add_usage(struct chat_usage *sum, const struct chat_usage *u)
{
        sum->known |= u->known;
        sum->estimated |= u->estimated;
        sum->input += u->input;
        sum->cached += u->cached;
        sum->cache_write += u->cache_write;
        sum->cache_write_1h += u->cache_write_1h;
        sum->output += u->output;
        sum->reasoning += u->reasoning;
}

/* plan NULL and not answered: it says nothing of the target. */
static void settle(struct walk *w, struct attempt *at, bool answered, const struct fault_plan *plan)
{
        struct relay_run *run = w->run;
        attempt_reckon(at, answered);
        const struct chat_usage *u = &at->usage;
        const struct target_note note = {
                .fault = plan ? &at->fault : NULL,
                .plan = plan ? *plan : (struct fault_plan){0},
                .silent = !answered && !plan,
                .asked = answered || (at->sent && (!plan || fault_row(at->fault.kind)->asked)),
                .tokens = u->input + u->output,
                .calls = at->calls,
                .first_token_ms = at->first_token_ms,
                .output_tokens = answered && !u->estimated ? u->output : 0,
                .quota = at->quota.requests.known || at->quota.tokens.known ? &at->quota : NULL,
                .served_model = at->served_model,
        };
        admission_settle(run->call->env, &at->ask, &at->permit, &note);
        add_usage(&run->record->spent, u);
        billing_end(run, at, answered);
}

/* ---- one that failed ---- */

static int64_t window_of(const struct walk *w, const struct config_target *t)
{
        struct model_caps caps;
        catalogue_target_caps(w->run->call->env->config, t, &caps);
        return caps.window;
}

static int64_t day_left_ms(const struct config_provider *p)
{
        int64_t now = clock_unix();
        return (zone_day_of(p->limits.days, now).ends - now) * 1000;
}

/* Once the client has content, only a target that can go on from there. */
static bool can_go_on(const struct walk *w, const struct config_target *t)
{
        if (!w->run->content_sent)
                return true;
        struct model_caps caps;
        catalogue_target_caps(w->run->call->env->config, t, &caps);
        return rescue_possible(w->run, t, &caps);
}

static bool any_can_go_on(const struct walk *w)
{
        for (size_t i = 0; i < w->count; i++) {
                if (!w->candidates[i].closed && can_go_on(w, w->candidates[i].target))
                        return true;
        }
        return false;
}

/* The total ran out before the target had half the time that it may take, or while it spoke: no word on it.
 */
static bool cut_short(const struct walk *w, const struct attempt *at)
{
        const struct relay_run *run = w->run;
        const struct config_timeouts *t = &at->target->provider->timeouts;
        int64_t now_ms = clock_now_ms(), total = run->deadline_ms - run->call->started_ms;
        int64_t may = run->record->streamed ? t->first_token_ms : t->attempt_ms;
        if (at->fault.kind != FAULT_ATTEMPT_TIME || now_ms < run->deadline_ms)
                return false;
        if (may <= 0 || may > total)
                may = total;
        return at->first_token_ms > 0 || (now_ms - at->started_ms) * 2 < may;
}

/* Judged, told in the log, counted, settled. */
static struct fault_plan fail(struct walk *w, struct attempt *at, const struct candidate *c)
{
        static const char *const actions[] = {"again", "next target", "no other target"};
        struct relay_run *run = w->run;
        struct upstream_fault *f = &at->fault;
        scrub_fault(run->call->arena, run->call->env->config, f);
        const struct fault_moment moment = {
                .content_sent = !any_can_go_on(w),
                .provoked = at->provoked,
                .tries = c->tries,
                .time_left_ms = run->deadline_ms - clock_now_ms(),
                .day_left_ms = f->per_day ? day_left_ms(at->target->provider) : 0,
                .chance = walk_chance(),
        };
        const struct fault_plan plan = fault_judge(f, version_of(w), &moment);
        log_warn("attempt %lld at %s/%s failed: %s (status %d)%s%s; %s", (long long)run->record->attempts,
                 at->target->provider->name, at->target->model, fault_row(f->kind)->name, f->status,
                 f->message ? ": " : "", f->message ? f->message : "", actions[plan.action]);
        if (f->kind == FAULT_RATE_LIMIT && plan.cool_ms > f->retry_after_ms)
                f->retry_after_ms = plan.cool_ms;
        fault_count(&run->tally, f);
        settle(w, at, false, cut_short(w, at) ? NULL : &plan);
        return plan;
}

static void after_failure(struct walk *w, struct candidate *c)
{
        const struct fault_plan plan = fail(w, &w->at, c);
        w->over = plan.action == FAULT_GIVE_UP;
        c->again = plan.action == FAULT_AGAIN;
        if (c->again) {
                c->ready_ms = clock_now_ms() + plan.wait_ms;
                return;
        }
        /* Its own time may come while this request still has time; it was counted already. */
        c->closed = plan.mark != MARK_COOL || c->tries >= version_of(w)->retry.attempts;
        c->waits_for = FAULT_COOLING;
        c->ready_ms = clock_now_ms() + plan.cool_ms;
        if (plan.larger) {
                int64_t window = window_of(w, c->target);
                w->larger_than = window > w->at.estimate.input ? window : w->at.estimate.input + 1;
        }
}

/* False: not this one, for this request. */
static bool suits(struct walk *w, struct candidate *c)
{
        const struct config_provider *p = c->target->provider;
        if (p->out_of_service) {
                log_warn("%s is out of service: %s", p->name, p->out_of_service);
                count_fault(w, FAULT_OUT_OF_SERVICE, 0, 0);
                return false;
        }
        return (!w->larger_than || window_of(w, c->target) > w->larger_than) && can_go_on(w, c->target);
}

/* ---- a second one besides (relay/attempt.h: struct hedge) ---- */

static struct candidate *candidate_of(struct walk *w, const struct config_target *target)
{
        for (size_t i = 0; i < w->count; i++) {
                if (w->candidates[i].target == target)
                        return &w->candidates[i];
        }
        return NULL;
}

static const struct fit *open_besides(struct hedge *h, struct attempt *second)
{
        struct walk *w = h->context;
        int64_t now_ms = clock_now_ms();
        for (size_t i = 0; i < w->count; i++) {
                struct candidate *c = &w->candidates[i];
                struct target_answer answer;
                if (c->closed || c->tries || c->ready_ms > now_ms ||
                    !dialect_by_name(c->target->provider->dialect) || !suits(w, c))
                        continue;
                const struct fit *fit = w->errand->fit_besides(w->run, c->target, w->errand->request);
                second->target = c->target;
                second->dialect = dialect_by_name(c->target->provider->dialect);
                struct err ignored = {0};
                if (!fit || !admit(w, second, c, 0, true, &answer) || !bill(w, second, c, fit, &ignored))
                        continue;
                begin_attempt(w, second, c);
                w->run->record->hedges++;
                return fit;
        }
        return NULL;
}

/* It could not be made ready: no attempt, and the walk may come to this target yet. */
static void take_back(struct walk *w, struct attempt *at, struct candidate *c)
{
        struct relay_run *run = w->run;
        admission_give_back(run->call->env, &at->permit);
        billing_cancel(run, at);
        c->tries--;
        run->record->attempts--;
        run->record->hedges--;
}

/* One that was only slower may still be asked, should the other break. */
static void ended_besides(struct hedge *h, struct attempt *other, enum attempt_result result)
{
        struct walk *w = h->context;
        struct candidate *c = candidate_of(w, other->target);
        c->closed = result == ATTEMPT_FAILED;
        if (c->closed) {
                fail(w, other, c);
                return;
        }
        if (!other->sent) {
                take_back(w, other, c);
                return;
        }
        c->slow = true;
        /* It would have taken longer than this: else nothing that is slow is ever known to be. */
        if (!other->besides && !other->first_token_ms && !w->run->stop)
                other->first_token_ms = clock_now_ms() - other->started_ms;
        settle(w, other, false, NULL);
}

/* When the first one counts as late: by the version's time, or by what the target itself lately took. */
static __attribute__((noinline)) int64_t hedge_after_ms(const struct walk *w, const struct config_target *t)
{
        const struct config_hedge *hedge = &version_of(w)->hedge;
        const struct relay_call *call = w->run->call;
        if (hedge->after_ms > 0 || hedge->percentile <= 0 || !call->env->state)
                return hedge->after_ms;
        struct slot slot;
        if (!state_read(call->env->state, admission_subject(call->arena, t, walk_is_direct(w->run)), &slot))
                return 0;
        return latency_percentile(&slot.latency, hedge->percentile);
}

static void set_hedge(struct walk *w, const struct candidate *c)
{
        w->hedge = (struct hedge){.open = open_besides, .ended = ended_besides, .context = w};
        w->run->hedge = NULL;
        if (w->count < 2 || !w->errand->fit_besides ||
            (w->hedge.after_ms = hedge_after_ms(w, c->target)) <= 0)
                return;
        w->run->hedge = &w->hedge;
}

/* ---- one step ---- */

static void ask(struct walk *w, struct candidate *c, int64_t wait_ms)
{
        struct relay_run *run = w->run;
        const struct relay_env *env = run->call->env;
        struct attempt *at = &w->at;
        struct target_answer answer;
        if (!suits(w, c) || !w->errand->fit(run, c->target, w->errand->request, &w->problem)) {
                c->closed = true;
                return;
        }
        *at = (struct attempt){
                .run = run, .target = c->target, .dialect = dialect_by_name(c->target->provider->dialect)};
        if (!admit(w, at, c, wait_ms, c->tries > 0, &answer)) {
                not_admitted(w, c, &answer, wait_ms > 0);
                return;
        }
        int64_t ahead = env->state && answer.at_ms ? answer.at_ms - state_now_ms(env->state) : 0;
        if (ahead > 0 && !wait_for(w, ahead, true)) {
                admission_give_back(env, &at->permit);
                close_candidate(w, c, FAULT_AT_LIMIT, 0, ahead);
                return;
        }
        if (!bill(w, at, c, NULL, &w->problem)) {
                c->closed = true;
                return;
        }
        begin_attempt(w, at, c);
        clear_record(run, c->target);
        run->call->answer->provider = c->target->provider->name;
        set_hedge(w, c);
        enum attempt_result result = w->errand->attempt(at, w->errand->request);
        run->hedge = NULL;
        /* The one that was asked besides may have taken its place. */
        c = candidate_of(w, at->target);
        if (result == ATTEMPT_FAILED) {
                after_failure(w, c);
                return;
        }
        settle(w, at, result == ATTEMPT_ANSWERED, NULL);
        w->problem = at->err;
        w->over = true;
        run->answered = true;
}

/* False: it can't be waited for. *booked: how long it may wait for a turn at a limit. */
static bool wait_until_ready(struct walk *w, const struct candidate *c, int64_t wait_ms, int64_t *booked)
{
        if (wait_ms <= 0 || c->again)
                return pause_for(w, wait_ms);
        if (c->waits_for != FAULT_AT_LIMIT)
                return wait_for(w, wait_ms + (int64_t)(walk_chance() * COOLED_SPREAD_MS), false);
        *booked = queue_left(w);
        return *booked > 0 && (!c->lease || wait_for(w, wait_ms, true));
}

static bool step(struct walk *w)
{
        int64_t now_ms = clock_now_ms(), booked = 0;
        struct candidate *c = next_candidate(w, now_ms);
        if (!c || w->run->stop)
                return false;
        if (wait_until_ready(w, c, c->ready_ms - now_ms, &booked))
                ask(w, c, booked);
        else /* its time is too far away */
                close_candidate(w, c, c->waits_for, 0, c->ready_ms - now_ms);
        return !w->over;
}

void walk_targets(struct relay_run *run, const struct errand *errand)
{
        struct walk *w = arena_alloc(run->call->arena, sizeof *w);
        w->run = run;
        w->errand = errand;
        set_candidates(w);
        while (step(w))
                continue;
        if (!run->answered && !run->stop) {
                if (run->tally.count) {
                        w->problem = (struct err){0};
                        fault_tell(&run->tally, run->call->arena, &w->problem);
                }
        }
        if (w->problem.cause != ERR_NONE)
                relay_tell(run, &w->problem);
}
