/*
 * What the shared state knows of a configuration's targets, providers, accounts and versions, for
 * `tollgate status` and GET /status.json. Collected into an arena; names point into the configuration or the
 * arena. Times are milliseconds from now unless they are called unix.
 */
#ifndef TOLLGATE_RELAY_STATUS_H
#define TOLLGATE_RELAY_STATUS_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "store/book.h"
#include "store/state.h"

/* Of what strangers name (callers of an account, direct targets) only the busiest are told. */
enum { STATUS_BUSIEST = 50 };

/* The provider's own word of its limit, as of now. limit 0: nothing was said. */
struct status_told {
        int64_t limit, left, reset_ms;
};

/* Why a target is not asked. kind FAULT_NONE: there is no cause to tell. */
struct status_trouble {
        int32_t kind, status;
        char why[SLOT_WHY]; /* the provider's words, or "" */
        int64_t since_ms;   /* ago */
        int64_t left_ms;    /* 0: over */
};
_Static_assert((int)SLOT_WHY >= (int)BREAKER_WHY, "the breaker's words fit");

struct status_row {
        enum slot_kind kind;
        const char *name;
        bool counted;      /* false: nothing of it is limited, so its use is not counted here */
        bool used;         /* the state knows it */
        int64_t last_unix; /* when it was used last, in ms; 0: never */
        /* limits and leases */
        const struct config_limits *limits; /* NULL: none of ours */
        struct limit_views views;
        struct status_told told_requests, told_tokens;
        int64_t in_flight, waiting;
        struct status_trouble cool; /* left_ms 0: it is not cooling down */
        /* targets */
        enum breaker_mode breaker;
        bool out; /* the breaker says: out of service */
        struct status_trouble broken;
        int64_t cooldown_ms;
        int64_t window_ms, calls, failed;       /* window_ms 0: none yet */
        int64_t average_ms, p50_ms, p95_ms;     /* of the first token; 0: not known */
        int64_t output_tokens;                  /* of a usual answer; 0: not known */
        char served[SLOT_SERVED];               /* "": not known */
        int64_t served_since;                   /* unix seconds */
        const struct config_provider *provider; /* of a target or provider; NULL: not configured any more */
        const char *model;                      /* of a target: the upstream id */
        const char **versions;                  /* of a target: "assistant@2026-08", those in force first */
        size_t version_count;
        /* accounts: those of the callers that are busiest, and how many there are */
        const struct config_account *account;
        struct status_row *callers;
        size_t caller_count, caller_total;
};

enum status_stage { STAGE_LIVE, STAGE_DEPRECATED, STAGE_SUNSET };

struct status_version {
        const char *name; /* "assistant@2026-08" */
        const struct config_model *model;
        const struct config_version *version;
        const struct config_pin *pin; /* that put it in force, or NULL */
        bool in_force;
        int64_t canary_percent; /* 0: no canary */
        enum status_stage stage;
};

struct status_rows {
        struct status_row *at;
        size_t count;
        size_t left_out; /* less busy ones */
};

/* What an account has spent, in its own currency; 1e-12 units. */
struct status_budget {
        const struct config_account *account;
        bool loaded; /* false: nobody has asked since the state was made, so that it is not known here */
        bool prepaid;
        char currency[4];
        struct budget_view view;
        int64_t day_limit_pico, month_limit_pico, topped_pico; /* -1: no such budget */
        struct budget_times times;
};

struct status {
        int64_t unix_ms;
        struct status_rows targets, providers, accounts;
        struct status_version *versions;
        size_t version_count;
        struct status_budget *budgets; /* of accounts that have one, or a balance */
        size_t budget_count;
};

struct status_ask {
        const struct config *config;
        struct state *state; /* NULL: nothing is known of use */
        struct book *book;   /* NULL: balances are not known */
        int64_t unix_ms;
        /* Only these: names, or "kind:name" as slot_kind_name() calls kinds; a version also by its model.
         * NULL: all. */
        const char *const *names;
        size_t name_count;
        bool *found; /* name_count of them, or NULL: made true for each name that something answers to */
};

void status_collect(const struct status_ask *ask, struct arena *a, struct status *out);
/* status_budget.c: a part of the former. */
void status_collect_budgets(const struct status_ask *ask, struct arena *a, struct status *out);
/* As an object (tollgate(1), "status"). False: longer than the buffer's cap. */
bool status_write(const struct status *s, struct buf *out);

/* Does a word that somebody typed mean this subject? "openai", "provider:openai". */
bool status_means(const char *word, enum slot_kind kind, const char *name);
/* "target:openai/gpt-5.5" */
const char *status_full_name(struct arena *a, enum slot_kind kind, const char *name);
/* The account that a caller's slot belongs to ("staff:alice"), or NULL. */
const struct config_account *status_account_of(const struct config *c, const char *caller);

/* What stands in the way of a target, in a word: "closed", "open", "probing", "out-of-service". */
const char *status_breaker_name(const struct status_row *target);
const char *status_per_name(enum config_per per);
const char *status_strategy_name(enum config_strategy strategy);
const char *status_stage_name(enum status_stage stage);
/* The limits of ours in order; false behind the last. max 0: there is none. */
struct status_limit {
        const char *name;
        struct limit_view view; /* reset_ms 0 where it has no window (concurrent, queue) */
        bool window;
};
enum { STATUS_LIMITS = 6 };
void status_limits(const struct status_row *row, struct status_limit out[STATUS_LIMITS]);

#endif
