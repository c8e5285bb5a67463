/*
 * A slot of the shared state: all that is known of one subject, in a page of the file, written in one piece.
 * Fixed layout: a change of any struct in here is another SLOT_LAYOUT.
 */
#ifndef TOLLGATE_STORE_SLOT_H
#define TOLLGATE_STORE_SLOT_H

#include "policy/breaker.h"
#include "policy/budget.h"
#include "policy/latency.h"
#include "policy/lease.h"
#include "policy/limit.h"
#include "policy/retry.h"

enum { SLOT_BYTES = 4096, SLOT_LAYOUT = 1, SLOT_NAME = 208, SLOT_SERVED = 128, SLOT_WHY = 120 };

/* Written in the file: the numbers never change. */
enum slot_kind {
        SLOT_FREE = 0,
        SLOT_ACCOUNT = 1,  /* "helpdesk" */
        SLOT_PROVIDER = 2, /* "openai" */
        SLOT_TARGET = 3,   /* "openai/gpt-5.5" */
        SLOT_VERSION = 4,  /* "assistant@2026-08" */
        /* Named by strangers: these have a region of their own in the file, so that nobody crowds out the
           others. */
        SLOT_CALLER = 5, /* "staff:alice", "public:192.0.2.1": one user, address or key of an account */
        SLOT_DIRECT = 6, /* "openai/some-model", asked for as such */
        SLOT_BUDGET = 7, /* "helpdesk": what the account has spent (region of the accounts) */
        SLOT_KINDS
};
const char *slot_kind_name(enum slot_kind kind); /* "account", … */

/* A target that must not be asked before a time, by its provider's word. */
struct slot_cool {
        int64_t until_ms;
        int32_t kind, status; /* enum fault_kind */
        char why[SLOT_WHY];
};

struct slot {
        uint64_t checksum; /* of all that follows, as long as the page */
        uint32_t layout, kind;
        int64_t used_ms; /* the last write */
        char name[SLOT_NAME];
        struct limit_state limit;
        struct lease_table leases;
        struct breaker_state breaker;
        struct slot_cool cool;
        struct latency_state latency;
        struct retry_state retry;
        uint64_t turn;            /* version: for round-robin */
        char served[SLOT_SERVED]; /* target: the model that it said served the last answer */
        int64_t served_since;     /* unix seconds */
        /* Later than layout 1, which has zeros here: to be loaded. */
        struct budget_state budget;
};
_Static_assert(sizeof(struct slot) <= SLOT_BYTES, "a slot is a page");

#endif
