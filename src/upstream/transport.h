/*
 * HTTP to providers over libcurl. A lane is a multi handle with its warm connections, taken from a LIFO pool
 * shared by all threads (the warmest first) and used by one thread at a time. A lane drives one transfer, or
 * several (fetching, later hedging). No redirects, no proxy from the environment, TLS verified, responses
 * capped. SECURITY item 9.
 */
#ifndef TOLLGATE_UPSTREAM_TRANSPORT_H
#define TOLLGATE_UPSTREAM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/str.h"
#include "dialect/dialect.h"
#include "dialect/fault_kind.h"
#include "upstream/quota.h"

struct upstream_pool;
struct upstream_lane;
struct transfer;

/* One per process; curl_global_init happens here, once. */
struct upstream_pool *upstream_pool_new(void);
void upstream_pool_free(struct upstream_pool *p);
struct upstream_lane *upstream_lane_take(struct upstream_pool *p);
void upstream_lane_give(struct upstream_lane *lane); /* every transfer of it must be closed */

struct transfer_request {
        const char *method, *url;
        const struct wire_header *headers; /* all of them, credentials too */
        size_t header_count;
        struct str body;        /* must live until transfer_close */
        const char *proxy, *ca; /* or NULL */
        int64_t connect_ms;
        size_t max_bytes; /* cap of the answer's body; beyond: FAULT_MALFORMED */
};

/* Called from within upstream_lane_run(). */
struct transfer_sink {
        void *context;
        /* A piece of the body of a status below 300. False ends the transfer (transfer_ended, no fault). */
        bool (*bytes)(void *context, const char *bytes, size_t len);
};

/* Bodies of status >= 300 are collected (at most 64 KiB) and not given to the sink. */
struct transfer *transfer_open(struct upstream_lane *lane, struct arena *a, const struct transfer_request *r,
                               const struct transfer_sink *sink);
bool transfer_ended(const struct transfer *t);
int transfer_status(const struct transfer *t);               /* 0 until the headers are there */
const char *transfer_content_type(const struct transfer *t); /* or NULL */
const char *transfer_request_id(
        const struct transfer *t); /* the provider's x-request-id or request-id, cleaned; or NULL */
struct str transfer_error_body(const struct transfer *t);
int64_t transfer_retry_after_ms(
        const struct transfer *t); /* retry-after-ms, or retry-after in seconds or as a date; 0: none */
/* What the provider said of its own limits, at any status; nothing is known until the headers are there. */
const struct upstream_quota *transfer_quota(const struct transfer *t);
/* What the network did, once ended: FAULT_NONE, DNS, CONNECT, CONNECT_TIME, TLS, CUT, MALFORMED (over the
 * cap). */
enum fault_kind transfer_fault(const struct transfer *t, const char **message);
void transfer_close(struct transfer *t); /* ends it if it still runs, which closes its connection */

enum lane_event { LANE_PROGRESS = 1, LANE_CLIENT = 2 };
/* Drives all transfers until something came, one ended, timeout_ms passed, or client_fd (-1: none) had an
 * event (readable end or hang-up). Returns enum lane_event bits; 0: time passed. */
unsigned upstream_lane_run(struct upstream_lane *lane, int64_t timeout_ms, int client_fd);

#endif
