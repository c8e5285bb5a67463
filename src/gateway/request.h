/*
 * What a web server hands over (RFC 3875), made the same for all of them: method, mount, endpoint path,
 * query, the headers that matter, the body. Paths were decoded by the server and are never decoded again.
 * Strings live in the arena or in the client's environment.
 */
#ifndef TOLLGATE_GATEWAY_REQUEST_H
#define TOLLGATE_GATEWAY_REQUEST_H

#include "base/meter.h"
#include "config/config.h"
#include "dialect/form.h"
#include "gateway/client.h"

struct request {
        struct arena *arena;
        const char *id;     /* x-request-id: the caller's own, or made here */
        const char *unique; /* made here, whatever the caller sent (store/ledger_id.h) */
        const char *trace;  /* traceparent, where it is one (W3C Trace Context, level 1); or NULL */
        bool no_cache;      /* cache-control: no-cache */
        bool no_store;      /* cache-control: no-store */
        const char *method; /* HEAD counts as GET; `head` tells */
        bool head;
        const char *full_path; /* SCRIPT_NAME and PATH_INFO */
        const char *path;      /* below the mount: "/v1/chat/completions" */
        const char *mount;     /* "" or "/ai" */
        struct form_fields query;
        const char *content_type, *content_encoding, *accept; /* or NULL */
        const char *api_version, *betas;                      /* anthropic-version, anthropic-beta; or NULL */
        struct str body;
        int64_t body_taken; /* bytes counted in the meter, to be given back */
};

/* Does this path (below a mount) belong to an endpoint? */
typedef bool request_path_known(const char *path);

/*
 * Reads all but the body. mount: the setting, or NULL. False: err is set (a path or query that no request may
 * have); id, method and path hold something usable all the same.
 */
bool request_read(struct request *r, struct arena *a, const struct client *c, const char *mount,
                  request_path_known *known, struct err *err);

/* It is booked under this id: `unique`, and `id` where the caller gave none, tell it from now on. */
void request_take_id(struct request *r, int64_t row_id);

/* version-format of W3C Trace Context (level 1, section 3.2), of version 00 only, with no id of zeros. */
bool request_trace_valid(const char *traceparent);

/*
 * Where the mount ends: pure. script and info may be NULL. The mount is the setting where there is one (a
 * path beside it gives NULL); else the shortest part of `script`, up to a slash, behind which a known
 * endpoint stands; else script.
 */
const char *request_split_path(struct arena *a, const char *script, const char *info, const char *setting,
                               request_path_known *known, const char **mount);

/* Reads the body, with the caps of the configuration. False: err (413, 400 when it is shorter than it says,
 * 503 when the memory of the process is taken). */
bool request_read_body(struct request *r, struct client *c, const struct config *config, struct meter *memory,
                       struct err *err);

#endif
