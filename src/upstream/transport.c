#include "upstream/transport.h"

#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "upstream/lane.h"

enum {
        ERROR_BODY_MAX = 64 * 1024,
        HEADERS_MAX = 200,
        HEADER_BYTES_MAX = 64 * 1024,
        REQUEST_ID_MAX = 128,
        CONTENT_TYPE_MAX = 256,
        QUOTA_TEXT_MAX = 64,
};

static const int64_t retry_after_max_ms = INT64_C(24) * 3600 * 1000;
static const size_t answer_max = (size_t)128 << 20; /* where the caller sets no cap */

struct transfer {
        struct upstream_lane *lane;
        struct transfer *next;
        struct arena *arena;
        CURL *easy;
        struct trust_use trust;
        struct transfer_sink sink;
        int status;      /* of a whole head */
        int head_status; /* of the head that is coming in */
        size_t header_count, header_bytes;
        const char *content_type, *request_id;
        bool own_request_id; /* from x-request-id, which goes before request-id */
        int64_t retry_after_ms;
        bool retry_in_ms;
        struct upstream_quota quota;
        struct buf error_body;
        size_t received, max_bytes;
        bool ended;
        bool stopped;        /* by the sink, or because an error's body is long enough */
        const char *refused; /* why the answer is beyond our bounds, or NULL */
        CURLcode result;
        char detail[CURL_ERROR_SIZE]; /* libcurl's words, for the log: they hold addresses */
};

/* ---------------------------------------------------------------- the head of an answer */

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *copy_visible(struct arena *a, const char *s, size_t len, size_t max)
{
        char *out = arena_strndup(a, s, len < max ? len : max);
        for (char *c = out; *c; c++) {
                if (*c < ' ' || *c > '~')
                        *c = '?';
        }
        return out;
}

static void on_content_type(struct transfer *t, const char *value, size_t len)
{
        t->content_type = copy_visible(t->arena, value, len, CONTENT_TYPE_MAX);
}

static void on_x_request_id(struct transfer *t, const char *value, size_t len)
{
        t->request_id = copy_visible(t->arena, value, len, REQUEST_ID_MAX);
        t->own_request_id = true;
}

static void on_request_id(struct transfer *t, const char *value, size_t len)
{
        if (!t->own_request_id)
                t->request_id = copy_visible(t->arena, value, len, REQUEST_ID_MAX);
}

static int64_t bound_wait(double ms)
{
        if (!(ms > 0))
                return 0;
        return ms < (double)retry_after_max_ms ? (int64_t)ms : retry_after_max_ms;
}

/* Digits with an optional fraction; strtod would also take "inf", "0x1" and what the locale likes. */
static bool parse_decimal(const char *s, double *out)
{
        double value = 0, place = 1;
        if (!isdigit((unsigned char)*s))
                return false;
        for (; isdigit((unsigned char)*s); s++)
                value = value * 10 + (*s - '0');
        if (*s == '.') {
                for (s++; isdigit((unsigned char)*s); s++)
                        value += (*s - '0') * (place /= 10);
        }
        *out = value;
        return *s == 0;
}

static void on_retry_after_ms(struct transfer *t, const char *value, size_t len)
{
        double ms;
        if (!parse_decimal(copy_visible(t->arena, value, len, 64), &ms))
                return;
        t->retry_after_ms = bound_wait(ms);
        t->retry_in_ms = true;
}

/* RFC 9110 §10.2.3 */
static void on_retry_after(struct transfer *t, const char *value, size_t len)
{
        const char *text = copy_visible(t->arena, value, len, 64);
        double seconds;
        if (t->retry_in_ms)
                return;
        if (!parse_decimal(text, &seconds)) {
                time_t then = curl_getdate(text, NULL);
                if (then == -1)
                        return;
                seconds = (double)(then - clock_unix());
        }
        t->retry_after_ms = bound_wait(seconds * 1000);
}

static const struct header_row {
        const char *name;
        void (*take)(struct transfer *t, const char *value, size_t len);
} header_rows[] = {
        {"content-type", on_content_type},     {"x-request-id", on_x_request_id},
        {"request-id", on_request_id},         {"retry-after", on_retry_after},
        {"retry-after-ms", on_retry_after_ms},
};

static void take_quota(struct transfer *t, struct str name, struct str value)
{
        char texts[2][QUOTA_TEXT_MAX] = {{0}};
        if (name.len >= QUOTA_TEXT_MAX || value.len >= QUOTA_TEXT_MAX)
                return;
        memcpy(texts[0], name.at, name.len);
        memcpy(texts[1], value.at, value.len);
        quota_header(&t->quota, texts[0], texts[1], clock_unix_ms());
}

static void take_header(struct transfer *t, const char *line, size_t len)
{
        const char *colon = memchr(line, ':', len);
        if (!colon)
                return;
        const char *value = colon + 1, *end = line + len;
        while (value < end && is_space(*value))
                value++;
        while (end > value && is_space(end[-1]))
                end--;
        for (size_t i = 0; i < sizeof header_rows / sizeof *header_rows; i++) {
                const char *name = header_rows[i].name;
                if (strlen(name) == (size_t)(colon - line) && strncasecmp(name, line, strlen(name)) == 0)
                        header_rows[i].take(t, value, (size_t)(end - value));
        }
        take_quota(t, (struct str){line, (size_t)(colon - line)}, (struct str){value, (size_t)(end - value)});
}

/* "HTTP/1.1 200 OK", "HTTP/2 200" */
static int parse_status(const char *line, size_t len)
{
        const char *space = memchr(line, ' ', len);
        int status = 0;
        for (size_t i = 1; space && i <= 3 && space + i < line + len && isdigit((unsigned char)space[i]); i++)
                status = status * 10 + (space[i] - '0');
        return status;
}

static void start_head(struct transfer *t, int status)
{
        t->head_status = status;
        t->content_type = t->request_id = NULL;
        t->own_request_id = t->retry_in_ms = false;
        t->retry_after_ms = 0;
        t->quota = (struct upstream_quota){0};
}

/* A line at a time. Interim answers (1xx) come first and are forgotten; trailers come after the body. */
static size_t on_header(char *line, size_t size, size_t count, void *context)
{
        struct transfer *t = context;
        size_t len = size * count;

        t->header_bytes += len;
        if (++t->header_count > HEADERS_MAX || t->header_bytes > HEADER_BYTES_MAX) {
                t->refused = "the provider's answer has too many headers";
                return 0;
        }
        if (t->status)
                return len;
        if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
                start_head(t, parse_status(line, len));
        else if (len && (line[0] == '\r' || line[0] == '\n'))
                t->status = t->head_status >= 200 ? t->head_status : 0;
        else
                take_header(t, line, len);
        return len;
}

/* ---------------------------------------------------------------- the body */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
        struct transfer *t = context;
        size_t len = size * count;

        t->received += len;
        if (t->received > t->max_bytes) {
                t->refused = "the provider's answer is too large";
                return 0;
        }
        if (t->status >= 300) {
                size_t room = ERROR_BODY_MAX - t->error_body.len;
                buf_add(&t->error_body, bytes, len < room ? len : room);
                t->stopped = len > room;
        } else {
                t->lane->progress = true;
                t->stopped = !t->sink.bytes(t->sink.context, bytes, len);
        }
        return t->stopped ? 0 : len;
}

/* ---------------------------------------------------------------- open and close */

/* A list of libcurl's whose nodes are in the arena: it only reads them. */
static struct curl_slist *header_list(struct arena *a, const struct wire_header *headers, size_t count)
{
        struct curl_slist *list = NULL;
        for (size_t i = count + 1; i-- > 0;) {
                struct curl_slist *node = arena_alloc(a, sizeof *node);
                if (i == count) {
                        node->data = arena_strdup(a, "Expect:"); /* no waiting for a 100 */
                } else if (!text_header_safe(headers[i].value) ||
                           headers[i].name[strcspn(headers[i].name, ":\r\n ")]) {
                        log_warn("a header for a provider was left out: %s holds bytes that no header may",
                                 headers[i].name);
                        continue;
                } else {
                        /* An empty value is written "name;" for libcurl. */
                        node->data = *headers[i].value
                                             ? arena_printf(a, "%s: %s", headers[i].name, headers[i].value)
                                             : arena_printf(a, "%s;", headers[i].name);
                }
                node->next = list;
                list = node;
        }
        return list;
}

static void set_method(CURL *e, const struct transfer_request *r)
{
        bool get = strcmp(r->method, "GET") == 0;
        if (get) {
                curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
        } else {
                curl_easy_setopt(e, CURLOPT_POST, 1L);
                curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body.len ? r->body.at : "");
                curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        }
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, get || strcmp(r->method, "POST") == 0 ? NULL : r->method);
}

struct transfer *transfer_open(struct upstream_lane *lane, struct arena *a, const struct transfer_request *r,
                               const struct transfer_sink *sink)
{
        struct transfer *t = arena_alloc(a, sizeof *t);
        CURL *e = lane_handle_take(lane);

        t->lane = lane;
        t->arena = a;
        t->easy = e;
        t->sink = *sink;
        t->max_bytes = r->max_bytes ? r->max_bytes : answer_max;
        t->trust = (struct trust_use){.trust = upstream_pool_trust(lane->pool), .ca = r->ca};
        buf_init_in_arena(&t->error_body, a, ERROR_BODY_MAX);

        set_method(e, r);
        curl_easy_setopt(e, CURLOPT_URL, r->url);
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, header_list(a, r->headers, r->header_count));
        curl_easy_setopt(e, CURLOPT_PROXY, r->proxy ? r->proxy : "");
        curl_easy_setopt(e, CURLOPT_NOPROXY, ""); /* or the environment's no_proxy would go round the proxy */
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_ms > 0 ? r->connect_ms : 0));
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail);
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
        curl_easy_setopt(e, CURLOPT_PRIVATE, t);
        trust_apply(e, &t->trust);

        t->next = lane->transfers;
        lane->transfers = t;
        lane->perform = true;
        if (curl_multi_add_handle(lane->multi, e) != CURLM_OK) {
                t->ended = true;
                t->result = CURLE_FAILED_INIT;
        }
        return t;
}

void transfer_close(struct transfer *t)
{
        struct upstream_lane *lane = t->lane;
        if (!t->easy)
                return;
        for (struct transfer **at = &lane->transfers; *at; at = &(*at)->next) {
                if (*at == t) {
                        *at = t->next;
                        break;
                }
        }
        curl_multi_remove_handle(lane->multi, t->easy);
        /* Nothing of this transfer's memory may be known to a handle that waits for the next. */
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
        curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, NULL);
        curl_easy_setopt(t->easy, CURLOPT_PRIVATE, NULL);
        lane_handle_give(lane, t->easy);
        t->easy = NULL;
        t->ended = true;
}

/* ---------------------------------------------------------------- what became of it */

bool transfer_ended(const struct transfer *t)
{
        return t->ended;
}

int transfer_status(const struct transfer *t)
{
        return t->status;
}

const char *transfer_content_type(const struct transfer *t)
{
        return t->status ? t->content_type : NULL;
}

const char *transfer_request_id(const struct transfer *t)
{
        return t->status ? t->request_id : NULL;
}

struct str transfer_error_body(const struct transfer *t)
{
        return (struct str){.at = t->error_body.len ? t->error_body.data : "", .len = t->error_body.len};
}

int64_t transfer_retry_after_ms(const struct transfer *t)
{
        return t->status ? t->retry_after_ms : 0;
}

const struct upstream_quota *transfer_quota(const struct transfer *t)
{
        static const struct upstream_quota nothing;
        return t->status ? &t->quota : &nothing;
}

enum fault_kind transfer_fault(const struct transfer *t, const char **message)
{
        const char *unused;
        if (!message)
                message = &unused;
        *message = t->refused;
        if (t->refused)
                return FAULT_MALFORMED;
        if (!t->ended || t->stopped || t->result == CURLE_OK)
                return FAULT_NONE;
        return lane_fault(t->result, t->detail, message);
}

/* ---------------------------------------------------------------- driving */

static void note_end(struct upstream_lane *lane, CURL *easy, CURLcode result)
{
        for (struct transfer *t = lane->transfers; t; t = t->next) {
                if (t->easy != easy)
                        continue;
                t->ended = true;
                t->result = result;
                lane->progress = true;
                if (result != CURLE_OK && !t->stopped)
                        log_info("upstream: %s (%d)", t->detail[0] ? t->detail : curl_easy_strerror(result),
                                 result);
        }
}

static void perform(struct upstream_lane *lane)
{
        int running, left;
        lane->perform = false;
        curl_multi_perform(lane->multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(lane->multi, &left));) {
                if (m->msg == CURLMSG_DONE)
                        note_end(lane, m->easy_handle, m->data.result);
        }
}

/* libcurl's poll wakes for a hang-up without anything to read, but does not say so. */
static bool has_hung_up(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        return fd >= 0 && poll(&p, 1, 0) > 0;
}

static bool any_ended(const struct upstream_lane *lane)
{
        for (const struct transfer *t = lane->transfers; t; t = t->next) {
                if (t->ended && t->result == CURLE_FAILED_INIT)
                        return true;
        }
        return false;
}

unsigned upstream_lane_run(struct upstream_lane *lane, int64_t timeout_ms, int client_fd)
{
        int64_t now = clock_now_ms(), end = now + (timeout_ms > 0 ? timeout_ms : 0);
        bool woken = false;

        if (any_ended(lane))
                return LANE_PROGRESS;
        for (;;) {
                /* After progress there is nothing to do until a descriptor or one of libcurl's timers says
                 * so, and its poll returns at once where they do: performing only after it saves two calls an
                 * event. */
                lane->progress = false;
                if (lane->perform)
                        perform(lane);
                if (lane->progress)
                        return LANE_PROGRESS;
                if (woken && has_hung_up(client_fd))
                        return LANE_CLIENT;
                now = clock_now_ms();
                if (woken && now >= end)
                        return 0;
                int64_t wait = end > now ? end - now : 0;
                struct curl_waitfd client = {.fd = client_fd, .events = CURL_WAIT_POLLIN};
                int ready = 0;
                curl_multi_poll(lane->multi, &client, client_fd >= 0, wait < 60000 ? (int)wait : 60000,
                                &ready);
                lane->perform = true;
                woken = true;
                if (client.revents) {
                        perform(lane);
                        return LANE_CLIENT | (lane->progress ? LANE_PROGRESS : 0);
                }
        }
}
