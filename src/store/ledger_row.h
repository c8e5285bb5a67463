/*
 * What the ledger keeps: a row for each request and one for each attempt. One table of columns
 * (ledger_columns.c) drives the spool's lines, the schema, the statements and the JSON of `tollgate show`.
 * Strings are NULL where not known. Never a prompt or an answer.
 */
#ifndef TOLLGATE_STORE_LEDGER_ROW_H
#define TOLLGATE_STORE_LEDGER_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger_row {
        int64_t id;                  /* Tollgate's own: unix ms << 20 | chance; never a caller's word */
        int64_t time_ms;             /* unix, when it came */
        const char *request_id;      /* as the caller was told (may be the caller's own) */
        const char *account, *user;  /* user: of the web server, or the key's name, or the certificate */
        const char *identity;        /* "key", "user", "certificate", "anonymous" */
        const char *endpoint;        /* "/v1/messages" (the pattern) */
        const char *dialect;         /* the client's */
        const char *model, *version; /* as asked for, without @version; "provider/model" for direct */
        const char *provider, *upstream_model, *served_model,
                *upstream_request_id; /* of the attempt that counts */
        const char *trace;            /* traceparent as received, checked (W3C Trace Context) */
        const char *outcome;          /* "ok", "error", "left" (the client), "interrupted" (a process died) */
        int64_t status;
        const char *error;         /* err_row(cause)->plain_code; NULL: none */
        int64_t stream, cache_hit; /* 0 or 1 */
        int64_t attempts, retries, rescues, hedges;
        int64_t input, cached, cache_write, cache_write_1h, output,
                reasoning;             /* of all attempts (chat_usage) */
        int64_t images;                /* in the request */
        int64_t estimated;             /* 1: some tokens were reckoned here */
        int64_t priced;                /* 0: an attempt's model has no price; its cost is missing */
        int64_t cost_pico, saved_pico; /* of `currency`; saved: by prompt caches, and by the response cache */
        const char *currency;          /* of the prices */
        int64_t charge_pico;           /* the same in the account's currency: what budgets and invoices sum */
        const char *charge_currency;
        int64_t reported_pico; /* the providers' own word, of whatever currency they count in; 0: none */
        int64_t queue_ms, first_token_ms, total_ms; /* 0: none */
};

struct ledger_attempt {
        int64_t request; /* ledger_row.id */
        int64_t n;       /* from 1 */
        int64_t time_ms; /* unix */
        const char *provider, *upstream_model, *served_model, *upstream_request_id;
        const char *kind;    /* "first", "retry", "failover", "rescue", "hedge" */
        const char *outcome; /* as above; "slower": the other one of a hedge was heard first */
        int64_t status;
        const char *error; /* fault_row(kind)->name; NULL: none */
        const char *tier;  /* service tier that served it; NULL: standard */
        int64_t input, cached, cache_write, cache_write_1h, output, reasoning, estimated, priced;
        int64_t cost_pico, charge_pico, reported_pico;
        int64_t hold_pico, hold_day, hold_month,
                hold_era; /* what the account's budget counts for it until it ends */
        int64_t first_token_ms, total_ms;
};

/* How far a stream has come, for the row of a process that dies. */
struct ledger_progress {
        int64_t request, n, input, cached, output, cost_pico, charge_pico;
};

enum ledger_type { LEDGER_INT, LEDGER_TEXT };
struct ledger_column {
        const char *name; /* in SQL and JSON */
        enum ledger_type type;
        size_t offset; /* in the struct */
        size_t most;   /* text: bytes kept */
};
extern const struct ledger_column ledger_request_columns[], ledger_attempt_columns[],
        ledger_progress_columns[];
extern const size_t ledger_request_column_count, ledger_attempt_column_count, ledger_progress_column_count;

#endif
