/*
 * A request's life from the canonical form to the last event: targets in order, the pump between provider and
 * client, the settled record. Knows no web server: the client is a table of callbacks.
 */
#ifndef TOLLGATE_RELAY_RELAY_H
#define TOLLGATE_RELAY_RELAY_H

#include <stdatomic.h>
#include "base/meter.h"
#include "config/config.h"
#include "dialect/dialect.h"
#include "policy/route.h"
#include "store/book.h"
#include "store/state.h"
#include "upstream/transport.h"

struct relay_header {
        const char *name, *value;
};

enum { RELAY_HEADERS_MAX = 24 };

struct relay_head {
        int status;
        const char *content_type;
        bool stream; /* cache-control: no-cache, x-accel-buffering: no; flush after every write */
        struct relay_header headers[RELAY_HEADERS_MAX]; /* x-tollgate-*, retry-after, …; names in lower case,
                                                           values safe */
        size_t header_count;
};

struct relay_client {
        void *context;
        bool (*begin)(void *context, const struct relay_head *head); /* once, before any write */
        bool (*write)(void *context, const char *bytes, size_t len); /* false: the client has gone */
        bool (*flush)(void *context);                                /* false: the client has gone */
        int fd; /* polled while waiting: an event means that the client may have gone; -1: none */
        bool (*gone)(void *context); /* asked after an event on fd */
};

/* Requests of this process that wait for a turn, and how many may: they never take the last workers. */
struct relay_waiting {
        _Atomic int count;
        int most;
};

/* What every call shares. */
struct relay_env {
        const struct config *config;
        struct upstream_pool *pool;
        struct meter *memory;          /* answers count here against config->max_memory */
        struct state *state;           /* NULL: nothing is limited, remembered or counted */
        struct relay_waiting *waiting; /* NULL: as many as like */
        struct book *book;             /* NULL: nothing is booked */
        struct response_cache *cache;  /* NULL: none */
};

struct relay_call {
        const struct relay_env *env;
        struct arena *arena;
        const struct dialect *dialect;        /* the client's */
        const struct config_account *account; /* NULL: the command line */
        struct subject
                caller; /* whose limits count: the account, or by `per` one user, address or key of it */
        const struct route *route;
        struct answer_context *answer;
        struct str body; /* the client's own bytes, for the fast path; {NULL, 0}: none (forms) */
        bool body_is_json;
        const struct relay_client *client;
        int64_t started_ms;     /* clock_now_ms() at the request's arrival */
        struct ledger_row *row; /* what the gateway knows is written there; the relay writes the rest
                                   (billing.c). NULL: nobody books it */
        const char *trace;      /* traceparent, to be passed on; or NULL */
        bool no_cache;          /* the client said so: the response cache is not asked, only told */
        bool no_store;          /* nor told */
};

/* What happened, for the log now and the ledger later. */
struct relay_record {
        int status;
        enum err_cause cause;
        bool client_left, streamed, whole, fast_path;
        bool cache_hit;                      /* of the response cache: nobody was asked */
        int64_t cache_saved_pico;            /* what it would have cost, in 1e-12 of config.currency */
        int64_t attempts, retries;           /* retries: of those, second tries at the same target */
        int64_t rescues;                     /* those asked to go on with a stream that had broken off */
        int64_t hedges;                      /* those asked besides one that was late */
        int64_t queue_ms;                    /* waited for turns */
        struct chat_usage spent;             /* of all attempts together */
        struct ledger_attempt *attempt_rows; /* in the arena; of the attempts that ended (billing.c) */
        size_t attempt_row_count;
        const char *provider, *upstream_model, *served_model, *upstream_request_id;
        struct chat_usage usage;
        int64_t first_token_ms, total_ms;
};

/* Answers the client whatever happens: with the reply, a stream, or an error in its dialect. */
void relay_chat(const struct relay_call *call, const struct chat_request *request,
                struct relay_record *record);
void relay_embed(const struct relay_call *call, const struct embed_request *request,
                 struct relay_record *record);
/* An error in the client's dialect and format, with its headers (retry-after, x-should-retry, allow). */
void relay_error(const struct relay_client *client, const struct dialect *dialect,
                 const struct answer_context *answer, const struct err *err);

#endif
