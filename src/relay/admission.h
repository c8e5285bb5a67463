/*
 * What a request takes of the shared state before work is done, and gives back after: turns, leases, the word
 * of the breaker. One slot for the account (or the caller, by `per`), one for the provider where it has
 * limits, one for the target; each is changed once before and once after.
 */
#ifndef TOLLGATE_RELAY_ADMISSION_H
#define TOLLGATE_RELAY_ADMISSION_H

#include "policy/estimate.h"
#include "policy/fault.h"
#include "store/state.h"
#include "upstream/quota.h"

struct relay_run;
struct relay_env;

/* What one subject has granted. */
struct permit {
        struct subject subject;
        bool taken;
        struct limit_turn turn;
        struct lease lease;
        bool probe; /* target: it is the breaker's one probe */
};

/* ---- the account ---- */

/*
 * The account's turn: waits in its queue where it has one. False: *err (ERR_RATE_LIMIT, ERR_OVERLOADED), or
 * the client has left (run->stop). What is taken is given back by admission_leave().
 */
bool admission_enter(struct relay_run *run, const struct estimate *e, struct err *err);
/* used_tokens: what all attempts together used. */
void admission_leave(struct relay_run *run, int64_t used_tokens);
/* Before a body is read: false, *err and what the headers tell, where the account could not pass now and has
 * no queue. */
bool admission_peek(const struct relay_env *env, const struct config_account *account, struct subject caller,
                    struct arena *a, struct limit_views *views, struct err *err);

/* ---- a target ---- */

struct target_permit {
        struct permit provider, target;
        int64_t tokens; /* reserved */
};

struct target_ask {
        const struct config_target *target;
        const struct config_version *version;
        bool direct;     /* named by the caller as "provider/model" */
        bool again;      /* adds to its load: the retry budget is asked */
        int64_t wait_ms; /* for a turn at a limit */
        const struct estimate *estimate;
        uint64_t credentials; /* a fingerprint */
};

struct target_answer {
        bool go;
        int64_t at_ms; /* go: when (state clock; in the future: booked). Else: when it may be asked; 0: not by
                          this request */
        /* Why not: FAULT_AT_LIMIT, FAULT_COOLING, FAULT_BROKEN, or the fault that took it out of service. */
        enum fault_kind kind;
        int status;
        const char *why; /* in the arena, or NULL */
        int64_t until_ms;
        bool lease; /* FAULT_AT_LIMIT: a lease is missing, which no time is known for */
};

/* Never waits itself: a turn that lies ahead is the caller's to wait for, or to give back. */
void admission_target(const struct relay_env *env, struct arena *a, const struct target_ask *ask,
                      struct target_permit *permit, struct target_answer *out);
/* It was not asked after all: everything goes back. */
void admission_give_back(const struct relay_env *env, struct target_permit *permit);

/* How an attempt ended. */
struct target_note {
        const struct upstream_fault *fault; /* NULL: it answered */
        struct fault_plan plan;             /* of the fault */
        bool silent;                        /* says nothing of the target: the client left, a fault here */
        bool asked;                         /* the request may have reached the provider */
        int64_t tokens;                     /* used */
        int64_t calls;                      /* upstream, where it took more than the one that was admitted */
        int64_t first_token_ms, output_tokens; /* 0: not known */
        const struct upstream_quota *quota;    /* what its headers said, or NULL */
        const char *served_model;              /* or NULL */
};
void admission_settle(const struct relay_env *env, const struct target_ask *ask, struct target_permit *permit,
                      const struct target_note *note);

/* Changes with the provider's key and address: what was refused with another one is tried again. */
uint64_t admission_credentials(const struct config_provider *p);
/* The subject of a target: kind and "provider/model", in the arena. */
struct subject admission_subject(struct arena *a, const struct config_target *t, bool direct);

#endif
