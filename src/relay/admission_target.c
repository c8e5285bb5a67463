/* A target's turn: cool-down, breaker, limits, leases; and what an attempt leaves behind. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "relay/admission.h"
#include "relay/admission_asks.h"
#include "relay/attempt.h"

struct visit {
        const struct target_ask *ask;
        const struct config_limits *limits;
        struct lease_context leases;
        struct permit *permit;
        struct target_answer *answer;
        struct arena *arena;
        double retry_share;
        bool target; /* else the provider */
        const struct target_note *note;
};

static void not_before(struct visit *v, enum fault_kind kind, int64_t at_ms, int64_t now_ms)
{
        v->answer->go = false;
        v->answer->kind = kind;
        v->answer->at_ms = v->answer->until_ms = at_ms > now_ms ? at_ms : now_ms + LEASE_RETRY_MS;
}

/* Nobody waits for a breaker: this request does not come back. */
static void remember_cause(struct visit *v, const struct breaker_state *b, int64_t now_ms)
{
        v->answer->go = false;
        v->answer->kind = b->out ? (enum fault_kind)b->kind : FAULT_BROKEN;
        v->answer->status = b->status;
        v->answer->why =
                b->why[0] ? arena_strdup(v->arena, b->why) : fault_row((enum fault_kind)b->kind)->name;
        v->answer->at_ms = 0;
        v->answer->until_ms = b->until_ms > now_ms ? b->until_ms : now_ms + LEASE_RETRY_MS;
}

/* Turn and lease; what else there is was asked before. */
static bool take_turn(struct visit *v, struct slot *slot, int64_t now_ms)
{
        struct permit *p = v->permit;
        const struct limit_ask ask = admission_ask(
                v->limits, admission_tokens(v->ask->estimate, v->limits, slot->latency.output_tokens),
                v->ask->wait_ms);
        p->turn = limit_reserve(&slot->limit, v->limits, &ask, now_ms);
        if (!p->turn.granted) {
                not_before(v, FAULT_AT_LIMIT, p->turn.at_ms, now_ms);
                if (p->turn.by == LIMIT_TOO_LARGE)
                        v->answer->at_ms = 0;
                return false;
        }
        if (!lease_take(&slot->leases, v->limits->concurrent, &v->leases, &p->lease)) {
                limit_give_back(&slot->limit, &p->turn, now_ms);
                not_before(v, FAULT_AT_LIMIT, now_ms + LINE_LOOK_MS, now_ms);
                v->answer->lease = true;
                return false;
        }
        p->taken = true;
        if (p->turn.at_ms > v->answer->at_ms)
                v->answer->at_ms = p->turn.at_ms;
        return true;
}

static bool visit_provider(struct slot *slot, int64_t now_ms, void *context)
{
        return take_turn(context, slot, now_ms);
}

static bool visit_target(struct slot *slot, int64_t now_ms, void *context)
{
        struct visit *v = context;
        if (slot->cool.until_ms > now_ms) {
                not_before(v, FAULT_COOLING, slot->cool.until_ms, now_ms);
                v->answer->status = slot->cool.status;
                return false;
        }
        enum breaker_word word = breaker_ask(&slot->breaker, v->ask->credentials, &v->leases, now_ms);
        if (word == BREAKER_REFUSE) {
                remember_cause(v, &slot->breaker, now_ms);
                return false;
        }
        v->permit->probe = word == BREAKER_PROBE;
        bool ok = take_turn(v, slot, now_ms);
        if (ok && v->ask->again && !retry_allow(&slot->retry, v->retry_share, now_ms)) {
                limit_give_back(&slot->limit, &v->permit->turn, now_ms);
                lease_give(&slot->leases, &v->leases, &v->permit->lease);
                not_before(v, FAULT_AT_LIMIT, 0, now_ms);
                v->answer->at_ms = 0;
                v->answer->why = "the retry budget is used up";
                v->permit->taken = ok = false;
        }
        if (ok)
                retry_count_call(&slot->retry, now_ms);
        else if (v->permit->probe)
                breaker_drop(&slot->breaker);
        return true;
}

struct subject admission_subject(struct arena *a, const struct config_target *t, bool direct)
{
        return (struct subject){direct ? SLOT_DIRECT : SLOT_TARGET,
                                arena_printf(a, "%s/%s", t->provider->name, t->model)};
}

/* FNV-1a, 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *s)
{
        for (; s && *s; s++)
                hash = (hash ^ (unsigned char)*s) * UINT64_C(1099511628211);
        return hash;
}

uint64_t admission_credentials(const struct config_provider *p)
{
        uint64_t hash = hash_text(hash_text(UINT64_C(14695981039346656037), p->base), p->key);
        return hash ? hash : 1;
}

static bool give_back(struct slot *slot, int64_t now_ms, void *context)
{
        struct visit *v = context;
        limit_give_back(&slot->limit, &v->permit->turn, now_ms);
        lease_give(&slot->leases, &v->leases, &v->permit->lease);
        if (v->permit->probe)
                breaker_drop(&slot->breaker);
        return true;
}

static void permit_give_back(const struct relay_env *env, struct permit *p)
{
        if (!p->taken)
                return;
        struct visit v = {.permit = p, .leases = state_leases(env->state)};
        state_update(env->state, p->subject, give_back, &v);
        p->taken = p->probe = false;
}

void admission_give_back(const struct relay_env *env, struct target_permit *permit)
{
        permit_give_back(env, &permit->target);
        permit_give_back(env, &permit->provider);
}

void admission_target(const struct relay_env *env, struct arena *a, const struct target_ask *ask,
                      struct target_permit *permit, struct target_answer *out)
{
        const struct config_provider *p = ask->target->provider;
        *permit = (struct target_permit){.tokens = estimate_total(ask->estimate, 0)};
        *out = (struct target_answer){.go = true};
        if (!env->state)
                return;
        struct visit v = {.ask = ask,
                          .limits = &p->limits,
                          .leases = state_leases(env->state),
                          .permit = &permit->provider,
                          .answer = out,
                          .arena = a,
                          .retry_share = env->config->retry_share};
        permit->provider.subject = (struct subject){SLOT_PROVIDER, p->name};
        permit->target.subject = admission_subject(a, ask->target, ask->direct);
        enum state_result result = STATE_DONE;
        if (config_any_limit(&p->limits))
                result = state_update(env->state, permit->provider.subject, visit_provider, &v);
        if (result == STATE_DONE && out->go) {
                v.permit = &permit->target;
                v.limits = &ask->target->limits;
                result = state_update(env->state, permit->target.subject, visit_target, &v);
        }
        permit->tokens = permit->target.turn.tokens;
        if (result == STATE_DONE && out->go)
                return;
        if (result != STATE_DONE)
                *out = (struct target_answer){.kind = FAULT_AT_LIMIT,
                                              .why = "the shared state can't be used"};
        admission_give_back(env, permit);
}

/* ---- afterwards ---- */

/* Without a limit or a time it tells nothing that could be reckoned with. */
static struct limit_told told_of(const struct quota_word *w, int64_t now_ms)
{
        struct limit_told told = {0};
        if (!w->known || w->reset_ms < 0 || w->remaining < 0)
                return told;
        told.limit = w->limit > 0 ? w->limit : w->remaining > 0 ? w->remaining : 1;
        told.remaining = w->remaining;
        told.at_ms = now_ms;
        told.full_ms = now_ms + w->reset_ms;
        return told;
}

static void tell_limits(struct slot *slot, const struct upstream_quota *q, int64_t now_ms)
{
        if (!q)
                return;
        const struct limit_told requests = told_of(&q->requests, now_ms),
                                tokens = told_of(&q->tokens, now_ms);
        limit_tell(&slot->limit, requests.limit ? &requests : NULL, tokens.limit ? &tokens : NULL);
}

static void cool(struct slot *slot, const struct target_note *n, int64_t now_ms)
{
        int64_t until = now_ms + n->plan.cool_ms;
        if (until <= slot->cool.until_ms)
                return;
        slot->cool.until_ms = until;
        slot->cool.kind = (int32_t)n->fault->kind;
        slot->cool.status = n->fault->status;
        snprintf(slot->cool.why, sizeof slot->cool.why, "%s", n->fault->message ? n->fault->message : "");
        text_clean(slot->cool.why, sizeof slot->cool.why - 1);
}

/* What a probe says that met a fault which is no mark. Most: it answered, though not as we wish, and the
 * circuit is fine. But what might be about our key or the model does not bring back one that is out for such
 * a reason. */
static void judge_probe(struct visit *v, struct breaker_state *b, const struct upstream_fault *f,
                        int64_t now_ms)
{
        if (!f || v->note->silent || (b->out && fault_row(f->kind)->mark == MARK_OUT))
                breaker_drop(b);
        else
                breaker_note(b, &v->ask->version->breaker, true, NULL, now_ms);
}

/* Once for all processes: what changes the breaker says so. */
static void judge(struct visit *v, struct slot *slot, int64_t now_ms)
{
        const struct target_note *n = v->note;
        struct breaker_state *b = &slot->breaker;
        bool probe = v->permit->probe;
        const struct upstream_fault *f = n->fault;
        const struct breaker_fault fault = {f ? (int32_t)f->kind : 0, f ? f->status : 0,
                                            f ? f->message : NULL};
        if (n->silent || (f && (n->plan.mark == MARK_NONE || n->plan.mark == MARK_COOL))) {
                if (f && n->plan.mark == MARK_COOL)
                        cool(slot, n, now_ms);
                if (probe)
                        judge_probe(v, b, f, now_ms);
        } else if (f && n->plan.mark == MARK_OUT) {
                if (breaker_out(b, probe, v->ask->credentials, &fault, now_ms))
                        log_error("%s is out of service: %s%s%s", slot->name, fault_row(f->kind)->name,
                                  f->message ? ": " : "", f->message ? f->message : "");
        } else if (breaker_note(b, &v->ask->version->breaker, probe, f ? &fault : NULL, now_ms)) {
                if (b->mode == BREAKER_CLOSED)
                        log_warn("%s answers again: its circuit is closed", slot->name);
                else
                        log_warn("%s: its circuit is open for %lld s: %s", slot->name,
                                 (long long)(b->cooldown_ms / 1000), f ? fault_row(f->kind)->name : "");
        }
}

/* A model that changes is worth a line; one that changes all the time is not worth one each time. */
static void note_served(struct slot *slot, const char *served)
{
        enum { QUIET_S = 600 };
        char name[SLOT_SERVED] = ""; /* zeroed to its end: all of it is written to the file */
        int64_t now = clock_unix();
        snprintf(name, sizeof name, "%s", served ? served : "");
        text_clean(name, sizeof name - 1);
        if (!name[0] || strcmp(slot->served, name) == 0)
                return;
        if (slot->served[0] && now - slot->served_since >= QUIET_S)
                log_warn("%s is served by the model %s now; it was %s", slot->name, name, slot->served);
        memcpy(slot->served, name, sizeof name);
        slot->served_since = now;
}

/* Embeddings of many inputs take several calls for one turn: those count as they were made, and delay the
 * next. */
static void count_more_calls(struct slot *slot, const struct permit *p, int64_t calls, int64_t now_ms)
{
        enum { CALLS_MAX = 10000 };
        const struct limit_ask one = {.day = p->turn.day, .wait_ms = LIMIT_AHEAD_S * 1000};
        for (int64_t i = 1; i < calls && i < CALLS_MAX; i++)
                limit_reserve(&slot->limit, NULL, &one, now_ms);
}

static bool settle(struct slot *slot, int64_t now_ms, void *context)
{
        struct visit *v = context;
        const struct target_note *n = v->note;
        lease_give(&slot->leases, &v->leases, &v->permit->lease);
        if (n->asked) {
                limit_settle(&slot->limit, &v->permit->turn, n->tokens, now_ms);
                count_more_calls(slot, v->permit, n->calls, now_ms);
        } else {
                limit_give_back(&slot->limit, &v->permit->turn, now_ms);
        }
        if (n->output_tokens > 0)
                latency_note_output(&slot->latency, n->output_tokens);
        if (!v->target)
                return true;
        if (n->first_token_ms > 0)
                latency_note(&slot->latency, n->first_token_ms, now_ms);
        judge(v, slot, now_ms);
        tell_limits(slot, n->quota, now_ms);
        if (!n->fault)
                note_served(slot, n->served_model);
        return true;
}

void admission_settle(const struct relay_env *env, const struct target_ask *ask, struct target_permit *permit,
                      const struct target_note *note)
{
        struct permit *both[] = {&permit->target, &permit->provider};
        for (size_t i = 0; i < 2; i++) {
                if (!both[i]->taken)
                        continue;
                struct visit v = {.ask = ask,
                                  .leases = state_leases(env->state),
                                  .permit = both[i],
                                  .note = note,
                                  .target = i == 0};
                state_update(env->state, both[i]->subject, settle, &v);
                both[i]->taken = false;
        }
}
