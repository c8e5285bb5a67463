/*
 * The circuit breaker of a target, shared by all processes: opens on a share of failures over a sliding
 * window with a minimum count, or at once on an answer that leaves no doubt (credentials, a model that is
 * gone: then the target is out of service). While it is open nobody is sent there; after the cool-down one
 * probe is, whose lease dies with its process. Success closes it, failure doubles the cool-down up to a
 * bound. Pure functions over a struct of fixed layout.
 */
#ifndef TOLLGATE_POLICY_BREAKER_H
#define TOLLGATE_POLICY_BREAKER_H

#include "config/config.h"
#include "policy/lease.h"

enum { BREAKER_BUCKETS = 10, BREAKER_WHY = 120, BREAKER_DOUBLINGS = 5 };

/* The longest cool-down, whatever was doubled; and the first one of a target that is out of service. */
enum { BREAKER_COOLDOWN_MAX_MS = 600000, BREAKER_OUT_MS = 60000 };

enum breaker_mode { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

struct breaker_state {
        int64_t bucket; /* the newest: now_ms / (window_ms / BREAKER_BUCKETS) */
        int64_t bucket_ms;
        uint32_t answered[BREAKER_BUCKETS], failed[BREAKER_BUCKETS]; /* by bucket % BREAKER_BUCKETS */
        int64_t opened_ms, until_ms, cooldown_ms;
        struct process_id probe; /* while probing: who does */
        int32_t mode;
        int32_t out;           /* 1: out of service, by one answer */
        int32_t kind, status;  /* of the fault that opened it: enum fault_kind, HTTP status */
        uint64_t credentials;  /* a fingerprint of what was refused: another key closes it. 0: no matter */
        char why[BREAKER_WHY]; /* the provider's words, cleaned */
};

enum breaker_word {
        BREAKER_PASS,
        BREAKER_PROBE, /* go, as the one probe: breaker_note or breaker_drop must follow */
        BREAKER_REFUSE /* until b->until_ms, or while another probes */
};

struct breaker_fault {
        int32_t kind, status;
        const char *why; /* or NULL */
};

enum breaker_word breaker_ask(struct breaker_state *b, uint64_t credentials, const struct lease_context *c,
                              int64_t now_ms);
/* How a call that was let through ended: fault NULL: well. probe: it was the probe. Gives true when this
 * changed the mode. */
bool breaker_note(struct breaker_state *b, const struct config_breaker *rules, bool probe,
                  const struct breaker_fault *fault, int64_t now_ms);
/* Opens it at once: out of service. Gives true when it was not so before. */
bool breaker_out(struct breaker_state *b, bool probe, uint64_t credentials, const struct breaker_fault *fault,
                 int64_t now_ms);
/* The probe ended in a way that says nothing of the target (the client left): the next may probe at once. */
void breaker_drop(struct breaker_state *b);
void breaker_reset(struct breaker_state *b);
/* Share of failures and calls in the window, for a status. */
void breaker_look(const struct breaker_state *b, int64_t now_ms, int64_t *calls, int64_t *failed);

#endif
