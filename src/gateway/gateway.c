#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "gateway/booking.h"
#include "gateway/guard.h"
#include "gateway/operator.h"
#include "relay/admission.h"
#include "relay/limit_headers.h"
#include "store/ledger_id.h"

/* Workers that no model request may take. */
enum { KEPT_WORKERS = 2, RETRY_MS = 1000, KEPT_LOG_MAX = 64 << 10 };

/* ---- answers that no relay gives ---- */

void exchange_answer(struct exchange *x, const char *content_type, struct str body)
{
        const struct relay_client *sink = x->sink;
        const struct relay_head head = {.status = 200, .content_type = content_type};
        x->status = head.status;
        if (sink->begin(sink->context, &head) && sink->write(sink->context, body.at, body.len))
                sink->flush(sink->context);
}

static void answer_options(struct exchange *x, const char *allow)
{
        const struct relay_client *sink = x->sink;
        struct relay_head head = {.status = 204, .headers = {{"allow", allow}}, .header_count = 1};
        x->status = head.status;
        if (sink->begin(sink->context, &head))
                sink->flush(sink->context);
}

/* ---- pages of other origins that the configuration lists (Fetch, "CORS protocol") ---- */

static bool header_list_safe(const char *s)
{
        enum { LIST_MAX = 2048 };
        size_t len = strlen(s);
        return len < LIST_MAX &&
               strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ") == len;
}

static void set_cors(struct exchange *x, const char *allow)
{
        const char *origin = client_variable(x->client, "HTTP_ORIGIN");
        const char *wanted = client_variable(x->client, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
        if (!x->config->cors_count)
                return;
        client_set_header(x->client, "vary", "Origin");
        if (!guard_origin_listed(x->config, origin) || !text_header_safe(origin))
                return;
        client_set_header(x->client, "access-control-allow-origin", origin);
        client_set_header(x->client, "access-control-allow-credentials", "true");
        client_set_header(
                x->client, "access-control-expose-headers",
                "x-request-id, request-id, retry-after, x-should-retry, x-tollgate-model, "
                "x-tollgate-version, "
                "x-tollgate-provider, x-tollgate-served-model, x-tollgate-attempts, x-tollgate-adjusted, "
                "x-tollgate-cost, x-tollgate-cache, "
                "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
                "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
                "deprecation, sunset");
        if (!allow)
                return;
        client_set_header(x->client, "access-control-allow-methods", allow);
        client_set_header(x->client, "access-control-max-age", "600");
        if (wanted && header_list_safe(wanted))
                client_set_header(x->client, "access-control-allow-headers", wanted);
}

/* ---- the columns of the table ---- */

static bool is_operator(const struct exchange *x, const struct credentials *given, bool believe)
{
        struct operator_input in = {.user = given->key || given->key_conflict ? NULL : given->user,
                                    .account = x->identity.account};
        operator_read_peer(&in, x->client, believe);
        return operator_is(x->config, &in);
}

static bool believes_server(const struct exchange *x)
{
        return !x->gateway->socket_is_remote || x->config->trust_web_server;
}

bool exchange_by_operator(struct exchange *x)
{
        struct credentials given;
        bool believe = believes_server(x);
        credentials_read(&given, x->arena, x->client, NULL, believe);
        return is_operator(x, &given, believe);
}

/* found: what account_find() said; its error stands where nothing else makes the caller an operator. */
static bool check_operator(struct exchange *x, const struct credentials *given, bool believe, bool found,
                           struct err *err)
{
        /* A key that is no good is refused, whatever else would do. */
        if (!found && (given->key || given->key_conflict))
                return false;
        if (is_operator(x, given, believe)) {
                *err = (struct err){0};
                return true;
        }
        if (!found)
                return false;
        if (x->identity.kind == IDENTITY_ANONYMOUS)
                return err_set(err, x->arena, ERR_UNAUTHENTICATED, NULL, "this is for operators");
        return err_set(err, x->arena, ERR_FORBIDDEN, NULL, "this is for operators only");
}

static bool check_access(struct exchange *x, struct err *err)
{
        const struct endpoint *e = x->match.endpoint;
        struct credentials given;
        struct guard_input page;
        if (e->access == ACCESS_OPEN)
                return true;
        bool believe = believes_server(x);
        credentials_read(&given, x->arena, x->client, e->key_in_query ? &x->request.query : NULL, believe);
        bool found = account_find(x->config, &given, clock_unix(), x->arena, &x->identity, err);
        if (e->access == ACCESS_OPERATOR)
                found = check_operator(x, &given, believe, found, err);
        if (!found)
                return false;
        guard_read(&page, x->client, x->request.method);
        if (x->identity.kind == IDENTITY_KEY || guard_is_own_page(&page, x->config))
                return true;
        return err_set(err, x->arena, ERR_FORBIDDEN, NULL,
                       "a page of another origin may call this with an API key only");
}

static bool check_media_type(struct exchange *x, struct err *err)
{
        const struct request *r = &x->request;
        if (r->content_encoding && strcasecmp(r->content_encoding, "identity") != 0)
                return err_set(err, x->arena, ERR_MEDIA_TYPE, NULL,
                               "content-encoding is not supported on requests");
        const char *type = form_media_type(x->arena, r->content_type);
        if (x->match.endpoint->body != BODY_JSON || !type)
                return true;
        char shown[64];
        size_t len = strlen(type);
        text_escape(shown, sizeof shown, type, len);
        if (strcmp(type, "application/json") != 0 && (len < 5 || strcmp(type + len - 5, "+json") != 0))
                return err_set(err, x->arena, ERR_MEDIA_TYPE, NULL,
                               "content-type %s: expected application/json", shown);
        const char *charset = form_header_parameter(x->arena, r->content_type, "charset");
        if (charset && strcasecmp(charset, "utf-8") != 0 && strcasecmp(charset, "utf8") != 0)
                return err_set(err, x->arena, ERR_MEDIA_TYPE, NULL,
                               "content-type: JSON is always UTF-8 (RFC 8259)");
        return true;
}

/* Two workers are left for what must always be answered. */
static bool take_worker(struct exchange *x, struct err *err)
{
        struct gateway *g = x->gateway;
        int most = g->workers > KEPT_WORKERS ? g->workers - KEPT_WORKERS : 1;
        if (atomic_fetch_add(&g->busy, 1) < most)
                return true;
        atomic_fetch_sub(&g->busy, 1);
        err_set(err, x->arena, ERR_OVERLOADED, NULL, "all workers are busy; try again");
        err->retry_after_ms = RETRY_MS;
        return false;
}

/* The state, and the account's limits before any work is done (SECURITY item 4). */
static bool check_limits(struct exchange *x, struct err *err)
{
        struct limit_views views = {0};
        struct relay_header headers[LIMIT_HEADERS];
        if (!x->match.endpoint->holds_worker)
                return true;
        x->state = state_holder_get(x->gateway->states, x->config);
        if (!x->state) {
                err_set(err, x->arena, ERR_OVERLOADED, NULL,
                        "the gateway's shared state can't be used; tell the administrator");
                err->retry_after_ms = RETRY_MS;
                return false;
        }
        x->caller = caller_subject(x->arena, &x->identity, client_variable(x->client, "REMOTE_ADDR"));
        const struct relay_env env = exchange_env(x);
        if (admission_peek(&env, x->identity.account, x->caller, x->arena, &views, err))
                return true;
        size_t count = limit_headers(x->arena, &views, headers);
        for (size_t i = 0; i < count; i++)
                client_set_header(x->client, headers[i].name, headers[i].value);
        return false;
}

void gateway_set_workers(struct gateway *g, int workers)
{
        int models = workers > KEPT_WORKERS ? workers - KEPT_WORKERS : 1;
        g->workers = workers;
        /* A fourth of them is left for those who need not wait. */
        g->waiting.most = models * 3 / 4;
}

static void make_input(struct exchange *x)
{
        const struct endpoint *e = x->match.endpoint;
        x->input = (struct client_input){
                .arena = x->arena,
                .body = x->request.body,
                .content_type = x->request.content_type,
                .accept = x->request.accept,
                .path_model = e && e->dialect == DIALECT_GEMINI ? x->match.name : NULL,
                .path_stream = e && e->stream,
                .path_batch = e && e->batch,
                .want_image = e && e->task == TASK_VISION,
                .query = &x->request.query,
                .api_version = x->request.api_version,
                .betas = x->request.betas,
        };
}

static bool handle_with_body(struct exchange *x, struct err *err)
{
        if (!request_read_body(&x->request, x->client, x->config, &x->gateway->memory, err))
                return false;
        client_body_done(x->client);
        make_input(x);
        return x->match.endpoint->handle(x, err);
}

static bool serve(struct exchange *x, struct err *err)
{
        struct request *r = &x->request;
        const struct endpoint *e = x->match.endpoint;
        if (strcmp(r->method, "OPTIONS") == 0) {
                const char *allow = endpoint_allow(x->arena, r->path);
                if (!allow)
                        return err_set(err, x->arena, ERR_NOT_FOUND, NULL, "no such path here");
                set_cors(x, allow);
                answer_options(x, allow);
                return true;
        }
        set_cors(x, NULL);
        if (!e)
                return endpoint_find(x->arena, r->method, r->path, &x->match, err);
        if (!check_access(x, err) || !booking_begin(x, err) || !check_media_type(x, err) ||
            !check_limits(x, err))
                return false;
        if (e->body == BODY_NONE)
                return e->handle(x, err);
        if (e->holds_worker && !take_worker(x, err))
                return false;
        bool ok = handle_with_body(x, err);
        if (e->holds_worker)
                atomic_fetch_sub(&x->gateway->busy, 1);
        return ok;
}

/* ---- the whole ---- */

static void tell_error(struct exchange *x, struct err *e)
{
        if (e->cause == ERR_UNAUTHENTICATED)
                client_set_header(x->client, "www-authenticate", "Bearer realm=\"tollgate\"");
        x->status = err_status(e);
        x->record.cause = e->cause;
        relay_error(x->sink, x->dialect, &x->answer, e);
}

/* No prompt, no answer, no query, no secret: who asked what of whom, how it ended, what it took. */
static void log_request(struct exchange *x, const struct err *e)
{
        const char *trace = x->request.trace ? x->request.trace : "";
        const char *traced = *trace ? " trace=" : "";
        const struct relay_record *r = &x->record;
        /* What callers and providers name: one word each, whatever they put into it. */
        char path[200], by[100], model[100], upstream[100], served[100], upstream_id[80];
        int status = r->status ? r->status : x->status;
        long long took = (long long)(clock_now_ms() - x->started_ms);
        if (!log_enabled(LOG_LEVEL_INFO))
                return;
        bool chosen = x->route && x->route->why != ROUTE_USE && x->route->why != ROUTE_DIRECT;
        text_word(path, sizeof path, x->request.path);
        text_word(by, sizeof by, x->identity.name);
        text_word(model, sizeof model, x->answer.model_asked ? x->answer.model_asked : x->model);
        if (!r->attempts && !r->cache_hit) {
                log_info("%.20s %s %d account=%s %s:%s model=%s ms=%lld%s%s%s%.300s", x->request.method, path,
                         status, x->identity.account ? x->identity.account->name : "-",
                         identity_kind_name(x->identity.kind), by, model, took, traced, trace,
                         e->cause ? " error=" : "", e->cause && e->message ? e->message : "");
                return;
        }
        log_info("%.20s %s %d account=%s %s:%s model=%s version=%s%s%s provider=%s upstream=%s served=%s "
                 "attempts=%lld retries=%lld rescues=%lld hedges=%lld queue_ms=%lld input=%lld cached=%lld "
                 "output=%lld reasoning=%lld "
                 "first_ms=%lld "
                 "ms=%lld%s%s%s%s%s%s%s%s%s",
                 x->request.method, path, status, x->identity.account ? x->identity.account->name : "-",
                 identity_kind_name(x->identity.kind), by, model, x->answer.version ? x->answer.version : "-",
                 chosen ? " by=" : "", chosen ? route_why_name(x->route->why) : "",
                 r->provider ? r->provider : "-", text_word(upstream, sizeof upstream, r->upstream_model),
                 text_word(served, sizeof served, r->served_model), (long long)r->attempts,
                 (long long)r->retries, (long long)r->rescues, (long long)r->hedges, (long long)r->queue_ms,
                 (long long)r->usage.input, (long long)r->usage.cached, (long long)r->usage.output,
                 (long long)r->usage.reasoning, (long long)r->first_token_ms, took,
                 r->streamed ? " stream" : "", r->fast_path ? " fast" : "", r->cache_hit ? " cache-hit" : "",
                 r->whole ? "" : " incomplete", r->client_left ? " client-left" : "", traced, trace,
                 r->upstream_request_id ? " upstream_id=" : "",
                 r->upstream_request_id ? text_word(upstream_id, sizeof upstream_id, r->upstream_request_id)
                                        : "");
}

/* A web server that listens to the error stream of requests only has not heard these. */
static void tell_kept_log(struct exchange *x)
{
        char *text = atomic_exchange(&x->gateway->kept_log, NULL);
        if (text)
                client_log_line(x->client, text, strlen(text));
        free(text);
}

/* For the next request to tell; another thread may do the same. */
static void keep_log(struct gateway *g, char *text)
{
        while (text && *text) {
                char *other = NULL;
                if (atomic_compare_exchange_strong(&g->kept_log, &other, text))
                        return;
                other = atomic_exchange(&g->kept_log, NULL);
                if (!other)
                        continue;
                struct buf both;
                buf_init(&both, KEPT_LOG_MAX);
                buf_adds(&both, other);
                buf_adds(&both, text); /* too much: the older ones stay */
                free(other);
                free(text);
                text = both.data;
        }
        free(text);
}

void gateway_log_line(void *gateway, const char *line, size_t len)
{
        ssize_t n;
        do
                n = write(STDERR_FILENO, line, len);
        while (n < 0 && errno == EINTR);
        keep_log(gateway, strndup(line, len));
}

void exchange_tell_id(struct exchange *x)
{
        const struct request *r = &x->request;
        client_set_header(x->client, "x-request-id", r->id);
        if (x->dialect->id == DIALECT_ANTHROPIC)
                client_set_header(x->client, "request-id", r->id);
        x->answer.request_id = r->id;
        x->answer.id_seed = r->unique + LEDGER_ID_MARK; /* dialects have marks of their own */
}

/* One step up for each folder of the path. */
static const char *way_home(struct arena *a, const char *path)
{
        struct buf *way = buf_in_arena(a, 4096);
        for (const char *s = path && *path ? path + 1 : ""; (s = strchr(s, '/')); s++)
                buf_adds(way, "../");
        return way->len && !way->failed ? way->data : "./";
}

static void set_answer(struct exchange *x)
{
        x->answer = (struct answer_context){
                .arena = x->arena, .created = clock_unix(), .home = way_home(x->arena, x->request.path)};
        exchange_tell_id(x);
        make_input(x);
        bool stream = x->match.endpoint && x->match.endpoint->stream;
        x->answer.format = x->dialect->answer_format(&x->input, stream);
}

static void run(struct exchange *x)
{
        struct err err = {0}, no_route = {0};
        bool sane = request_read(&x->request, x->arena, x->client, x->config ? x->config->mount : NULL,
                                 endpoint_known, &err);
        log_bind(client_log_line, x->client, x->request.id);
        tell_kept_log(x);
        if (sane)
                endpoint_find(x->arena, x->request.method, x->request.path, &x->match, &no_route);
        const struct endpoint_signs signs = {
                .anthropic = x->request.api_version != NULL,
                .gemini = client_variable(x->client, "HTTP_X_GOOG_API_KEY") != NULL,
        };
        x->dialect = endpoint_dialect(x->request.path, x->match.endpoint, &signs);
        set_answer(x);
        if (!x->config) {
                err = (struct err){0};
                err_set(&err, x->arena, ERR_UNAVAILABLE, NULL, "the gateway is not configured");
                err.retry_after_ms = RETRY_MS;
                log_error("there is no usable configuration");
        } else if (sane) {
                serve(x, &err);
        }
        if (err.cause != ERR_NONE && !client_began(x->client))
                tell_error(x, &err);
        log_request(x, &err);
        booking_end(x, &err);
}

void gateway_serve(struct gateway *g, struct client *client)
{
        struct arena *a = arena_new();
        struct exchange *x = arena_alloc(a, sizeof *x);
        log_bind(client_log_line, client, NULL);
        *x = (struct exchange){
                .gateway = g,
                .client = client,
                .sink = client_sink(client),
                .config = config_watch_get(g->watch),
                .arena = a,
                .started_ms = clock_now_ms(),
        };
        run(x);
        if (x->request.body_taken)
                meter_give(&g->memory, x->request.body_taken);
        log_bind(NULL, NULL, NULL);
        keep_log(g, client_untold_log(client));
        if (x->config)
                config_unref(x->config);
        arena_free(a);
}
