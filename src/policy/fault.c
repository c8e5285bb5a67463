#include "policy/fault.h"

static const struct fault_row rows[FAULT_KINDS] = {
        [FAULT_NONE] = {"none", false, false, ERR_INTERNAL},
        [FAULT_RATE_LIMIT] = {"rate limit", true, false, ERR_OVERLOADED},
        [FAULT_QUOTA] = {"credit used up", true, false, ERR_UPSTREAM_CREDENTIALS},
        [FAULT_CREDENTIALS] = {"credentials refused", true, false, ERR_UPSTREAM_CREDENTIALS},
        [FAULT_FORBIDDEN] = {"forbidden", true, false, ERR_UPSTREAM_CREDENTIALS},
        [FAULT_MODEL_GONE] = {"model gone", true, false, ERR_UPSTREAM},
        [FAULT_BAD_REQUEST] = {"bad request", false, true, ERR_PROVIDER_REFUSED},
        [FAULT_CONTEXT_LENGTH] = {"context too long", true, true, ERR_CONTEXT_LENGTH},
        [FAULT_CONTENT_POLICY] = {"content policy", false, true, ERR_CONTENT_POLICY},
        [FAULT_SERVER] = {"server error", true, false, ERR_UPSTREAM},
        [FAULT_OVERLOAD] = {"overloaded", true, false, ERR_OVERLOADED},
        [FAULT_TIMEOUT] = {"timeout there", true, false, ERR_UPSTREAM_TIMEOUT},
        [FAULT_DNS] = {"name not found", true, false, ERR_UPSTREAM},
        [FAULT_CONNECT] = {"no connection", true, false, ERR_UPSTREAM},
        [FAULT_CONNECT_TIME] = {"no connection in time", true, false, ERR_UPSTREAM_TIMEOUT},
        [FAULT_TLS] = {"TLS failed", true, false, ERR_UPSTREAM},
        [FAULT_FIRST_TOKEN] = {"silence before the first token", true, false, ERR_UPSTREAM_TIMEOUT},
        [FAULT_IDLE] = {"stall in the stream", true, false, ERR_UPSTREAM_TIMEOUT},
        [FAULT_ATTEMPT_TIME] = {"attempt took too long", true, false, ERR_UPSTREAM_TIMEOUT},
        [FAULT_CUT] = {"connection cut", true, false, ERR_UPSTREAM},
        [FAULT_MALFORMED] = {"malformed answer", true, false, ERR_UPSTREAM},
        [FAULT_IN_BODY] = {"error inside the answer", true, false, ERR_UPSTREAM},
        [FAULT_OUT_OF_SERVICE] = {"out of service", true, false, ERR_UPSTREAM_CREDENTIALS},
};

const struct fault_row *fault_row(enum fault_kind kind)
{
        return &rows[kind < FAULT_KINDS ? kind : FAULT_NONE];
}

enum fault_verdict fault_judge(const struct upstream_fault *fault, struct fault_moment moment)
{
        if (moment.content_sent || !moment.target_left || moment.time_left_ms <= 0)
                return FAULT_GIVE_UP;
        return fault_row(fault->kind)->next_target ? FAULT_TRY_NEXT : FAULT_GIVE_UP;
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
