/*
 * What a caller is told when something is wrong: one table maps each cause to a status, the types of every
 * dialect, and whether asking again can help (contract §6). The message names the field, the limit or the
 * line; it never holds a secret, an internal address or a file path. Strings live in the arena that was
 * given.
 */
#ifndef TOLLGATE_BASE_ERR_H
#define TOLLGATE_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"

enum err_cause {
        ERR_NONE,
        ERR_BAD_REQUEST,          /* 400: body is not what it says, a field is missing, wrong, given twice */
        ERR_UNSUPPORTED,          /* 400: what no target can do */
        ERR_UNAUTHENTICATED,      /* 401: no or wrong credentials */
        ERR_FORBIDDEN,            /* 403: the account may not */
        ERR_NOT_FOUND,            /* 404: unknown path */
        ERR_MODEL_NOT_FOUND,      /* 404: unknown or sunset model */
        ERR_METHOD,               /* 405, with `allow` */
        ERR_TOO_LARGE,            /* 413: beyond max_body */
        ERR_MEDIA_TYPE,           /* 415: content-encoding, unknown content type */
        ERR_RATE_LIMIT,           /* 429: limit of the account */
        ERR_QUOTA,                /* 429: budget or balance used up */
        ERR_PROVIDER_REFUSED,     /* the provider's own 4xx, passed on (err.status) */
        ERR_CONTEXT_LENGTH,       /* the provider's: context too long */
        ERR_CONTENT_POLICY,       /* the provider's: content policy */
        ERR_UPSTREAM,             /* 502: every target failed */
        ERR_UPSTREAM_CREDENTIALS, /* 502: the provider refused our credentials */
        ERR_OVERLOADED,           /* 503: every target at its limit, cooling down; all workers busy */
        ERR_UNAVAILABLE,          /* 503: no usable configuration */
        ERR_UPSTREAM_TIMEOUT,     /* 504: every target timed out */
        ERR_INTERNAL,             /* 500: a fault here; the details only in the log */
        ERR_CAUSES
};

struct err_row {
        int status;
        const char *openai_type, *openai_code;
        const char *anthropic_type;
        const char *gemini_status; /* google.rpc.Code */
        const char *plain_code;
        bool asking_again_helps; /* false: `x-should-retry: false` */
};

struct err {
        enum err_cause cause; /* ERR_NONE: no error */
        int status;           /* 0: the row's */
        const char *message;
        const char *param;      /* the field's path in the client's words, or NULL */
        const char *code;       /* overrides openai_code / plain_code, or NULL */
        const char *allow;      /* ERR_METHOD: the methods */
        int64_t retry_after_ms; /* 0: unknown */
        bool final;             /* asking again can't help, whatever the row says */
};

const struct err_row *err_row(enum err_cause cause);
int err_status(const struct err *e);
/* Keeps the first error: does nothing when e already holds one. Returns false, so that `return err_set(…)`
 * reads well. Message and param are copied, cleaned of control bytes, and cut at 3000 and 500 bytes. */
bool err_set(struct err *e, struct arena *a, enum err_cause cause, const char *param, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

#endif
