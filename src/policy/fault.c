#include "policy/fault.h"

#include "policy/retry.h"

/* Named for the table's sake: a row reads like the design's. */
#define TARGETS_FAULT .next = NEXT_ANY, .mark = MARK_FAILURE
#define NOT_ASKED     .next = NEXT_ANY, .mark = MARK_NONE
#define CALLERS_FAULT .asked = true, .callers = true
#define REACHED       .asked = true

static const struct fault_row rows[FAULT_KINDS] = {
        [FAULT_NONE] = {"none", .tells = ERR_INTERNAL},
        [FAULT_RATE_LIMIT] = {"rate limit", AGAIN_BACKOFF, NEXT_ANY, MARK_COOL, REACHED,
                              .tells = ERR_OVERLOADED},
        [FAULT_QUOTA] = {"credit used up", AGAIN_NEVER, NEXT_ANY, MARK_OUT, REACHED,
                         .tells = ERR_UPSTREAM_CREDENTIALS},
        [FAULT_CREDENTIALS] = {"credentials refused", AGAIN_NEVER, NEXT_ANY, MARK_OUT, REACHED,
                               .tells = ERR_UPSTREAM_CREDENTIALS},
        [FAULT_FORBIDDEN] = {"forbidden", AGAIN_NEVER, NEXT_ANY, MARK_OUT, REACHED,
                             .tells = ERR_UPSTREAM_CREDENTIALS},
        [FAULT_MODEL_GONE] = {"model gone", AGAIN_NEVER, NEXT_ANY, MARK_OUT, REACHED, .tells = ERR_UPSTREAM},
        [FAULT_BAD_REQUEST] = {"bad request", AGAIN_NEVER, NEXT_NONE, MARK_NONE, CALLERS_FAULT,
                               .tells = ERR_PROVIDER_REFUSED},
        [FAULT_CONTEXT_LENGTH] = {"context too long", AGAIN_NEVER, NEXT_LARGER, MARK_NONE, CALLERS_FAULT,
                                  .tells = ERR_CONTEXT_LENGTH},
        [FAULT_CONTENT_POLICY] = {"content policy", AGAIN_NEVER, NEXT_REROUTE, MARK_NONE, CALLERS_FAULT,
                                  .tells = ERR_CONTENT_POLICY},
        [FAULT_SERVER] = {"server error", AGAIN_ONCE, TARGETS_FAULT, REACHED, .tells = ERR_UPSTREAM},
        [FAULT_OVERLOAD] = {"overloaded", AGAIN_ONCE, TARGETS_FAULT, REACHED, .tells = ERR_OVERLOADED},
        [FAULT_TIMEOUT] = {"timeout there", AGAIN_ONCE, TARGETS_FAULT, REACHED,
                           .tells = ERR_UPSTREAM_TIMEOUT},
        [FAULT_DNS] = {"name not found", AGAIN_ONCE, TARGETS_FAULT, .tells = ERR_UPSTREAM},
        [FAULT_CONNECT] = {"no connection", AGAIN_ONCE, TARGETS_FAULT, .tells = ERR_UPSTREAM},
        [FAULT_CONNECT_TIME] = {"no connection in time", AGAIN_NEVER, TARGETS_FAULT,
                                .tells = ERR_UPSTREAM_TIMEOUT},
        [FAULT_TLS] = {"TLS failed", AGAIN_ONCE, TARGETS_FAULT, .tells = ERR_UPSTREAM},
        [FAULT_FIRST_TOKEN] = {"silence before the first token", AGAIN_NEVER, TARGETS_FAULT, REACHED,
                               .tells = ERR_UPSTREAM_TIMEOUT},
        [FAULT_IDLE] = {"stall in the stream", AGAIN_ONCE, TARGETS_FAULT, REACHED,
                        .tells = ERR_UPSTREAM_TIMEOUT},
        [FAULT_ATTEMPT_TIME] = {"attempt took too long", AGAIN_NEVER, TARGETS_FAULT, REACHED,
                                .tells = ERR_UPSTREAM_TIMEOUT},
        [FAULT_CUT] = {"connection cut", AGAIN_ONCE, TARGETS_FAULT, REACHED, .tells = ERR_UPSTREAM},
        [FAULT_MALFORMED] = {"malformed answer", AGAIN_ONCE, TARGETS_FAULT, REACHED, .tells = ERR_UPSTREAM},
        [FAULT_IN_BODY] = {"error inside the answer", AGAIN_ONCE, TARGETS_FAULT, REACHED,
                           .tells = ERR_UPSTREAM},
        [FAULT_OUT_OF_SERVICE] = {"out of service", NOT_ASKED, .tells = ERR_UPSTREAM_CREDENTIALS},
        [FAULT_AT_LIMIT] = {"at its limit", NOT_ASKED, .tells = ERR_OVERLOADED},
        [FAULT_COOLING] = {"cooling down", NOT_ASKED, .tells = ERR_OVERLOADED},
        [FAULT_BROKEN] = {"circuit open", NOT_ASKED, .tells = ERR_OVERLOADED},
};

const struct fault_row *fault_row(enum fault_kind kind)
{
        return &rows[kind < FAULT_KINDS ? kind : FAULT_NONE];
}

static bool may_go_on(enum fault_next next, const struct config_version *v)
{
        return next == NEXT_REROUTE ? v->reroute_refusals : next != NEXT_NONE;
}

/* The caller may have caused it: then it is no word on the target. */
static enum fault_mark mark_of(const struct fault_row *row, const struct upstream_fault *f,
                               const struct fault_moment *moment)
{
        if (row->mark == MARK_OUT)
                return f->sure && !moment->provoked ? MARK_OUT : MARK_NONE;
        if (row->mark == MARK_COOL)
                return f->retry_after_ms > 0 || f->per_day ? MARK_COOL : MARK_NONE;
        return row->mark;
}

static bool may_try_again(const struct fault_row *row, const struct upstream_fault *f,
                          const struct config_version *v, int64_t tries)
{
        /* It waited there for as long as the provider would. */
        if (f->status == 408 || row->again == AGAIN_NEVER)
                return false;
        return tries < v->retry.attempts && (row->again == AGAIN_BACKOFF || tries < 2);
}

struct fault_plan fault_judge(const struct upstream_fault *f, const struct config_version *v,
                              const struct fault_moment *moment)
{
        const struct fault_row *row = fault_row(f->kind);
        struct fault_plan plan = {.action = FAULT_GIVE_UP, .mark = mark_of(row, f, moment)};
        if (plan.mark == MARK_COOL)
                plan.cool_ms = f->per_day && moment->day_left_ms > f->retry_after_ms ? moment->day_left_ms
                                                                                     : f->retry_after_ms;
        if (moment->content_sent || moment->time_left_ms <= 0 || !may_go_on(row->next, v))
                return plan;
        plan.action = FAULT_NEXT;
        plan.larger = row->next == NEXT_LARGER;
        if (plan.mark == MARK_COOL || !may_try_again(row, f, v, moment->tries))
                return plan;
        int64_t wait = retry_backoff_ms(&v->retry, moment->tries, moment->chance);
        if (wait < moment->time_left_ms) {
                plan.action = FAULT_AGAIN;
                plan.wait_ms = wait;
        }
        return plan;
}

void fault_count(struct fault_tally *tally, const struct upstream_fault *fault)
{
        const struct fault_row *row = fault_row(fault->kind);
        tally->count++;
        tally->of_cause[row->tells]++;
        tally->last = *fault;
        if (row->callers)
                tally->callers = *fault;
        if (fault->retry_after_ms > 0 &&
            (!tally->retry_after_ms || fault->retry_after_ms < tally->retry_after_ms))
                tally->retry_after_ms = fault->retry_after_ms;
}

static bool all_are(const struct fault_tally *t, enum err_cause cause)
{
        return t->count > 0 && t->of_cause[cause] == t->count;
}

static void tell_callers(const struct upstream_fault *f, struct arena *a, struct err *out)
{
        const struct fault_row *row = fault_row(f->kind);
        err_set(out, a, row->tells, f->param, "%s",
                f->message && *f->message ? f->message : "the provider refused the request");
        if (row->tells == ERR_PROVIDER_REFUSED)
                out->code = arena_strdup(a, f->code);
        if (f->status >= 400 && f->status < 500)
                out->status = f->status;
}

void fault_tell(const struct fault_tally *t, struct arena *a, struct err *out)
{
        if (t->callers.kind != FAULT_NONE) {
                tell_callers(&t->callers, a, out);
                return;
        }
        if (all_are(t, ERR_UPSTREAM_TIMEOUT)) {
                err_set(out, a, ERR_UPSTREAM_TIMEOUT, NULL, "every target timed out (%s)",
                        fault_row(t->last.kind)->name);
        } else if (all_are(t, ERR_OVERLOADED)) {
                err_set(out, a, ERR_OVERLOADED, NULL, "every target is overloaded or at its limit");
                out->retry_after_ms = t->retry_after_ms ? t->retry_after_ms : 1000;
        } else if (all_are(t, ERR_UPSTREAM_CREDENTIALS)) {
                err_set(out, a, ERR_UPSTREAM_CREDENTIALS, NULL,
                        "the gateway's own credentials for the provider are missing or were refused; yours "
                        "are fine, "
                        "tell the administrator");
        } else if (t->last.status) {
                err_set(out, a, ERR_UPSTREAM, NULL, "every target failed; the last one answered %d (%s)",
                        t->last.status, fault_row(t->last.kind)->name);
        } else {
                err_set(out, a, ERR_UPSTREAM, NULL, "every target failed; the last one: %s",
                        fault_row(t->last.kind)->name);
        }
}
