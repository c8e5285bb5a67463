/*
 * What went wrong upstream, told apart far enough for policy/fault.h to decide what happens next. Dialects
 * make these from answers; upstream/transport.h from the network; the relay from its timers.
 */
#ifndef TOLLGATE_DIALECT_FAULT_KIND_H
#define TOLLGATE_DIALECT_FAULT_KIND_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
        FAULT_NONE,
        FAULT_RATE_LIMIT,     /* 429; retry_after_ms where the provider named a time */
        FAULT_QUOTA,          /* 402, insufficient_quota: our credit is used up */
        FAULT_CREDENTIALS,    /* 401, API_KEY_INVALID: our key */
        FAULT_FORBIDDEN,      /* 403 */
        FAULT_MODEL_GONE,     /* 404 or 410 on the model */
        FAULT_BAD_REQUEST,    /* any other 4xx: the caller's mistake */
        FAULT_CONTEXT_LENGTH, /* too long for this model */
        FAULT_CONTENT_POLICY, /* refused by the provider's rules, as an error (not as an answer) */
        FAULT_SERVER,         /* 500, 502 and other 5xx; redirects */
        FAULT_OVERLOAD,       /* 503, 529 */
        FAULT_TIMEOUT,        /* 408 or 504 from the provider */
        FAULT_DNS,
        FAULT_CONNECT,      /* refused, unreachable */
        FAULT_CONNECT_TIME, /* no connection within connect: the name, TCP or TLS took too long */
        FAULT_TLS,
        FAULT_FIRST_TOKEN,    /* nothing within first_token */
        FAULT_IDLE,           /* a stall within the stream */
        FAULT_ATTEMPT_TIME,   /* longer than attempt */
        FAULT_CUT,            /* the connection ended before the answer was whole, wrong length */
        FAULT_MALFORMED,      /* not what the dialect allows, or beyond our caps */
        FAULT_IN_BODY,        /* 200 with an error inside, or an error event in the stream */
        FAULT_OUT_OF_SERVICE, /* not asked at all: its secret is missing */
        FAULT_AT_LIMIT,       /* not asked: a limit of ours, or the provider's own word on it */
        FAULT_COOLING,        /* not asked: its provider named a time that has not come */
        FAULT_BROKEN,         /* not asked: its circuit breaker is open */
        FAULT_KINDS
};

struct upstream_fault {
        enum fault_kind kind;
        int status;                      /* HTTP status, 0: none */
        const char *message;             /* provider's words, cleaned and capped at 2 KiB; NULL: none */
        const char *type, *code, *param; /* provider's, or NULL */
        int64_t retry_after_ms;          /* 0: not said */
        bool per_day;                    /* rate limit: of the day, so that it lasts to the day's end */
        /*
         * Credentials, quota, forbidden, model gone: the answer says in the dialect's own shape and without a
         * doubt that it is about our key, our credit, our right to be there, or the model. False for what a
         * caller can bring about with its own references (files, caches), and for the pages of proxies.
         */
        bool sure;
};

#endif
