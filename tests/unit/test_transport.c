/* Transfers against a small HTTP server in threads of this test: each path behaves in its own way. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "upstream/provider.h"
#include "upstream/transport.h"

/* ---------------------------------------------------------------- the server */

static struct {
        int fd;
        int port;
        pthread_t thread;
        atomic_int connections, requests, left; /* left: connections that the peer ended under /wait */
        atomic_bool stop;
} server;

static void say(int fd, const char *text)
{
        for (size_t len = strlen(text); len;) {
                ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
                if (n <= 0)
                        return;
                text += n;
                len -= (size_t)n;
        }
}

/* Reads one request whole. Returns its length, 0 at the end. */
static size_t read_request(int fd, char *out, size_t room)
{
        size_t len = 0, want = 0;
        while (!want || len < want) {
                ssize_t n = recv(fd, out + len, room - 1 - len, 0);
                if (n <= 0 || out[0] == 0x16) /* a TLS handshake */
                        return 0;
                len += (size_t)n;
                out[len] = 0;
                char *end = strstr(out, "\r\n\r\n"), *length = strcasestr(out, "content-length:");
                if (end)
                        want = (size_t)(end - out) + 4 +
                               (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
        }
        return len;
}

static bool answer_plain(int fd, const char *head, const char *body)
{
        char text[8192];
        snprintf(text, sizeof text, "%scontent-length: %zu\r\n\r\n%s", head, strlen(body), body);
        say(fd, text);
        return true;
}

static bool do_stream(int fd)
{
        say(fd, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for (int i = 0; i < 3; i++) {
                say(fd, "3\r\nab\n\r\n");
                usleep(20000);
        }
        say(fd, "0\r\nretry-after: 9\r\nx-ratelimit-remaining-requests: 9\r\n\r\n");
        return true;
}

static bool do_wait(int fd)
{
        char byte;
        struct timeval second = {.tv_sec = 5};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
        if (recv(fd, &byte, 1, 0) == 0)
                server.left++;
        return false;
}

static bool do_large(int fd, size_t size, const char *status)
{
        char head[128], piece[4097];
        memset(piece, 'x', sizeof piece - 1);
        piece[sizeof piece - 1] = 0;
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-length: %zu\r\n\r\n", status, size);
        say(fd, head);
        for (size_t sent = 0; sent < size; sent += sizeof piece - 1)
                say(fd, piece);
        return true;
}

static bool do_headers(int fd, int count)
{
        say(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < count; i++)
                say(fd, "x-filler: y\r\n");
        return answer_plain(fd, "", "ok");
}

#define OK "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

#define QUOTA                                                                                                \
        "X-RateLimit-Limit-Requests:500\r\nx-ratelimit-remaining-requests: 42 \r\n"                          \
        "x-ratelimit-reset-requests: 1m2s\r\nx-ratelimit-limit-tokens: "                                     \
        "9999999999999999999999999999999999999999999999999999999999999999999999\r\n"

static bool answer(int fd, const char *path, const char *request, int nth)
{
        if (strcmp(path, "/ok") == 0)
                return answer_plain(fd, OK "X-Request-Id: req_1\r\nrequest-id: other\r\n", "{\"a\":1}");
        if (strcmp(path, "/request-id") == 0)
                return answer_plain(fd, OK "request-id: req\x01\xff_2 \r\n", "{}");
        if (strcmp(path, "/interim") == 0) {
                say(fd, "HTTP/1.1 103 Early Hints\r\nx-request-id: early\r\nretry-after: 7\r\n"
                        "x-ratelimit-remaining-tokens: 1\r\n\r\n");
                return answer_plain(fd, OK, "late");
        }
        if (strcmp(path, "/echo") == 0)
                return answer_plain(fd, OK, request);
        if (strcmp(path, "/stream") == 0)
                return do_stream(fd);
        if (strcmp(path, "/429") == 0)
                return answer_plain(fd,
                                    "HTTP/1.1 429 Too Many\r\nretry-after: 2\r\nretry-after-ms: 150.5\r\n",
                                    "{\"error\":1}");
        if (strcmp(path, "/quota") == 0 || strcmp(path, "/quota-429") == 0)
                return answer_plain(fd, path[6] ? "HTTP/1.1 429 Slow\r\n" QUOTA : "HTTP/1.1 200 OK\r\n" QUOTA,
                                    "{}");
        if (strcmp(path, "/503") == 0)
                return answer_plain(fd, "HTTP/1.1 503 Busy\r\nretry-after: 2\r\n", "busy");
        if (strcmp(path, "/past") == 0)
                return answer_plain(fd, "HTTP/1.1 503 Busy\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                                    "");
        if (strcmp(path, "/future") == 0)
                return answer_plain(fd, "HTTP/1.1 503 Busy\r\nretry-after: Sun, 06 Nov 2044 08:49:37 GMT\r\n",
                                    "");
        if (strcmp(path, "/odd-wait") == 0)
                return answer_plain(fd, "HTTP/1.1 503 Busy\r\nretry-after: -5\r\nretry-after-ms: inf\r\n",
                                    "");
        if (strcmp(path, "/redirect") == 0)
                return answer_plain(fd, "HTTP/1.1 302 Found\r\nlocation: /ok\r\n", "moved");
        if (strcmp(path, "/cut") == 0)
                say(fd, OK "content-length: 100\r\n\r\nhalf");
        else if (strcmp(path, "/cut-chunk") == 0)
                say(fd, OK "transfer-encoding: chunked\r\n\r\n8\r\nhalf");
        else if (strcmp(path, "/until-close") == 0)
                say(fd, OK "\r\nall of it");
        else if (strcmp(path, "/garbage") == 0)
                say(fd, "SSH-2.0-nothing here is HTTP\r\n\r\n");
        else if (strcmp(path, "/large") == 0)
                return do_large(fd, 1 << 20, "200 OK");
        else if (strcmp(path, "/large-error") == 0)
                return do_large(fd, 1 << 20, "500 Oh");
        else if (strcmp(path, "/headers") == 0)
                return do_headers(fd, 1000);
        else if (strcmp(path, "/some-headers") == 0)
                return do_headers(fd, 100);
        else if (strcmp(path, "/wait") == 0)
                return do_wait(fd);
        else if (strcmp(path, "/fresh-only") == 0 && nth == 1)
                return answer_plain(fd, OK, "fresh");
        return false; /* also "/nothing" */
}

static void *serve_connection(void *context)
{
        static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        int fd = (int)(intptr_t)context;
        char request[16384], path[128];
        server.connections++;
        for (int nth = 1; read_request(fd, request, sizeof request); nth++) {
                server.requests++;
                if (sscanf(request, "%*s %127s", path) != 1 || !answer(fd, path, request, nth)) {
                        if (strcmp(path, "/fresh-only") == 0 && server.connections % 2)
                                setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
                        break;
                }
        }
        close(fd);
        return NULL;
}

static void *serve(void *unused)
{
        for (;;) {
                int fd = accept(server.fd, NULL, NULL), on = 1;
                if (server.stop || fd < 0)
                        return unused;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                pthread_t thread;
                pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd);
                pthread_detach(thread);
        }
}

static int bind_any(int *port)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
        *port = ntohs(at.sin_port);
        return fd;
}

static struct upstream_pool *pool;

static int set_up(void **state)
{
        (void)state;
        server.fd = bind_any(&server.port);
        listen(server.fd, 64);
        pthread_create(&server.thread, NULL, serve, NULL);
        pool = upstream_pool_new();
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        upstream_pool_free(pool);
        server.stop = true;
        shutdown(server.fd, SHUT_RDWR);
        pthread_join(server.thread, NULL);
        close(server.fd);
        return 0;
}

/* ---------------------------------------------------------------- one transfer, driven to its end */

struct got {
        char body[16384];
        size_t len, calls, stop_after; /* stop_after: calls; 0: never */
};

static bool take(void *context, const char *bytes, size_t len)
{
        struct got *g = context;
        if (g->len + len < sizeof g->body) {
                memcpy(g->body + g->len, bytes, len);
                g->body[g->len + len] = 0;
        }
        g->len += len;
        return ++g->calls != g->stop_after;
}

static struct transfer *open_path(struct upstream_lane *lane, struct arena *a, const char *path,
                                  struct got *got, size_t max)
{
        struct transfer_request r = {
                .method = "POST",
                .url = arena_printf(a, "http://127.0.0.1:%d%s", server.port, path),
                .body = str_of("{}"),
                .connect_ms = 2000,
                .max_bytes = max,
        };
        memset(got, 0, sizeof *got);
        return transfer_open(lane, a, &r, &(struct transfer_sink){got, take});
}

static void drive(struct upstream_lane *lane, struct transfer *t)
{
        int64_t end = clock_now_ms() + 10000;
        while (!transfer_ended(t) && clock_now_ms() < end)
                upstream_lane_run(lane, 1000, -1);
        assert_true(transfer_ended(t));
}

static const struct answer_case {
        const char *path;
        int status;
        enum fault_kind fault;
        const char *body, *error_body, *request_id, *type;
        int64_t wait_ms;
} answer_cases[] = {
        {"/ok", 200, FAULT_NONE, "{\"a\":1}", "", "req_1", "application/json", 0},
        {"/request-id", 200, FAULT_NONE, "{}", "", "req??_2", "application/json", 0},
        {"/interim", 200, FAULT_NONE, "late", "", NULL, "application/json", 0},
        {"/stream", 200, FAULT_NONE, "ab\nab\nab\n", "", NULL, "text/event-stream", 0},
        {"/429", 429, FAULT_NONE, "", "{\"error\":1}", NULL, NULL, 150},
        {"/503", 503, FAULT_NONE, "", "busy", NULL, NULL, 2000},
        {"/past", 503, FAULT_NONE, "", "", NULL, NULL, 0},
        {"/future", 503, FAULT_NONE, "", "", NULL, NULL, 86400000},
        {"/odd-wait", 503, FAULT_NONE, "", "", NULL, NULL, 0},
        {"/redirect", 302, FAULT_NONE, "", "moved", NULL, NULL, 0},
        {"/until-close", 200, FAULT_NONE, "all of it", "", NULL, "application/json", 0},
        {"/some-headers", 200, FAULT_NONE, "ok", "", NULL, NULL, 0},
        {"/cut", 200, FAULT_CUT, "half", "", NULL, "application/json", 0},
        {"/cut-chunk", 200, FAULT_CUT, "half", "", NULL, "application/json", 0},
        {"/nothing", 0, FAULT_CUT, "", "", NULL, NULL, 0},
        {"/garbage", 0, FAULT_MALFORMED, "", "", NULL, NULL, 0},
        {"/headers", 0, FAULT_MALFORMED, "", "", NULL, NULL, 0},
};

static void assert_text(const char *got, const char *want)
{
        if (want)
                assert_string_equal(got ? got : "(null)", want);
        else
                assert_null(got);
}

static void test_answers(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof answer_cases / sizeof *answer_cases; i++) {
                const struct answer_case *c = &answer_cases[i];
                struct arena *a = arena_new();
                struct upstream_lane *lane = upstream_lane_take(pool);
                struct got got;
                struct transfer *t = open_path(lane, a, c->path, &got, 0);
                const char *message = NULL;
                print_message("%s\n", c->path);
                assert_int_equal(transfer_status(t), 0);
                drive(lane, t);
                assert_int_equal(transfer_fault(t, &message), c->fault);
                assert_int_equal(transfer_status(t), c->status);
                assert_string_equal(got.body, c->body);
                assert_string_equal(transfer_error_body(t).at, c->error_body);
                assert_text(transfer_request_id(t), c->request_id);
                assert_text(transfer_content_type(t), c->type);
                assert_int_equal(transfer_retry_after_ms(t), c->wait_ms);
                if (c->fault) {
                        assert_non_null(message);
                        assert_null(strstr(message, "127.0.0.1"));
                }
                transfer_close(t);
                transfer_close(t);
                upstream_lane_give(lane);
                arena_free(a);
        }
}

static void test_quota(void **state)
{
        (void)state;
        static const struct {
                const char *path;
                bool known;
        } rows[] = {{"/quota", true},
                    {"/quota-429", true},
                    {"/ok", false},
                    {"/interim", false},
                    {"/stream", false}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct upstream_lane *lane = upstream_lane_take(pool);
                struct got got;
                struct transfer *t = open_path(lane, a, rows[i].path, &got, 0);
                assert_false(transfer_quota(t)->requests.known);
                drive(lane, t);
                const struct upstream_quota *q = transfer_quota(t);
                assert_int_equal(q->requests.known, rows[i].known);
                assert_false(q->tokens.known);
                if (rows[i].known) {
                        assert_int_equal(q->requests.limit, 500);
                        assert_int_equal(q->requests.remaining, 42);
                        assert_int_equal(q->requests.reset_ms, 62000);
                }
                transfer_close(t);
                upstream_lane_give(lane);
                arena_free(a);
        }
}

static void test_caps(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got;
        const char *message;

        struct transfer *t = open_path(lane, a, "/large", &got, 100000);
        drive(lane, t);
        assert_int_equal(transfer_fault(t, &message), FAULT_MALFORMED);
        assert_string_equal(message, "the provider's answer is too large");
        assert_true(got.len <= 100000);
        transfer_close(t);

        t = open_path(lane, a, "/large", &got, 1 << 20);
        drive(lane, t);
        assert_int_equal(transfer_fault(t, &message), FAULT_NONE);
        assert_int_equal(got.len, 1 << 20);
        transfer_close(t);

        t = open_path(lane, a, "/large-error", &got, 0);
        drive(lane, t);
        assert_int_equal(transfer_fault(t, &message), FAULT_NONE);
        assert_int_equal(transfer_status(t), 500);
        assert_int_equal(transfer_error_body(t).len, 65536);
        assert_int_equal(got.len, 0);
        transfer_close(t);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_request(void **state)
{
        (void)state;
        static const struct wire_header headers[] = {{"x-a", "1"},
                                                     {"x-bad", "1\r\nx-smuggled: 2"},
                                                     {"x-empty", ""},
                                                     {"content-type", "application/json"}};
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got = {.len = 0};
        struct transfer_request r = {
                .method = "POST",
                .url = arena_printf(a, "http://127.0.0.1:%d/echo", server.port),
                .headers = headers,
                .header_count = 4,
                .body = str_of("the body"),
        };
        setenv("http_proxy", "http://127.0.0.1:9", 1);
        struct transfer *t = transfer_open(lane, a, &r, &(struct transfer_sink){&got, take});
        drive(lane, t);
        assert_int_equal(transfer_status(t), 200);
        transfer_close(t);
        unsetenv("http_proxy");
        assert_non_null(strstr(got.body, "POST /echo HTTP/1.1\r\n"));
        assert_non_null(strstr(got.body, "x-a: 1\r\n"));
        assert_non_null(strstr(got.body, "x-empty:\r\n"));
        assert_non_null(strstr(got.body, "\r\n\r\nthe body"));
        assert_null(strstr(got.body, "smuggled"));
        assert_null(strcasestr(got.body, "expect"));
        assert_null(strcasestr(got.body, "accept-encoding"));
        assert_null(strstr(got.body, "x-www-form"));

        r = (struct transfer_request){.method = "GET", .url = r.url};
        got = (struct got){.len = 0};
        t = transfer_open(lane, a, &r, &(struct transfer_sink){&got, take});
        drive(lane, t);
        transfer_close(t);
        assert_non_null(strstr(got.body, "GET /echo HTTP/1.1\r\n"));
        assert_null(strstr(got.body, "the body"));
        upstream_lane_give(lane);
        arena_free(a);
}

/* The setting alone says where a proxy is, and where none is. */
static void test_proxy(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got = {.len = 0};
        const char *message;
        struct transfer_request r = {.method = "GET",
                                     .url = "http://provider.invalid/echo",
                                     .proxy = arena_printf(a, "http://127.0.0.1:%d", server.port)};
        setenv("no_proxy", "*", 1);
        struct transfer *t = transfer_open(lane, a, &r, &(struct transfer_sink){&got, take});
        drive(lane, t);
        unsetenv("no_proxy");
        /* The server here knows no absolute addresses; what counts is that it was asked, and no name looked
         * up. */
        assert_int_equal(transfer_fault(t, &message), FAULT_CUT);
        transfer_close(t);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_piece_by_piece(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got;
        struct transfer *t = open_path(lane, a, "/stream", &got, 0);
        for (size_t want = 1; want <= 3; want++) {
                assert_int_equal(upstream_lane_run(lane, 5000, -1), LANE_PROGRESS);
                assert_int_equal(got.calls, want);
                assert_false(transfer_ended(t));
        }
        drive(lane, t);
        transfer_close(t);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_sink_ends(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got;
        const char *message;
        struct transfer *t = open_path(lane, a, "/stream", &got, 0);
        got.stop_after = 2;
        drive(lane, t);
        assert_int_equal(got.calls, 2);
        assert_int_equal(transfer_fault(t, &message), FAULT_NONE);
        assert_null(message);
        transfer_close(t);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_warm(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct got got;
        int before = server.connections;
        for (int i = 0; i < 5; i++) {
                struct upstream_lane *lane = upstream_lane_take(pool);
                struct transfer *t = open_path(lane, a, "/ok", &got, 0);
                drive(lane, t);
                transfer_close(t);
                upstream_lane_give(lane);
        }
        assert_true(server.connections <= before + 1);
        /* The lane given last is taken first. */
        struct upstream_lane *one = upstream_lane_take(pool), *two = upstream_lane_take(pool);
        upstream_lane_give(one);
        upstream_lane_give(two);
        assert_ptr_equal(upstream_lane_take(pool), two);
        upstream_lane_give(two);
        arena_free(a);
}

/* A kept connection that ends before a byte of the answer came: asked again on a fresh one, also a POST.
 * Closed in good order and by a reset. */
static void test_stale_connection(void **state)
{
        (void)state;
        for (int round = 0; round < 3; round++) {
                struct arena *a = arena_new();
                struct upstream_lane *lane = upstream_lane_take(pool);
                struct got got;
                for (int i = 0; i < 12;
                     i++) { /* libcurl has a bound of five, of which a handle must be freed */
                        struct transfer *t = open_path(lane, a, "/fresh-only", &got, 0);
                        drive(lane, t);
                        assert_int_equal(transfer_fault(t, NULL), FAULT_NONE);
                        assert_string_equal(got.body, "fresh");
                        transfer_close(t);
                }
                upstream_lane_give(lane);
                arena_free(a);
        }
}

static void test_waiting(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got got;
        int ends[2], left = server.left;
        struct transfer *t = open_path(lane, a, "/wait", &got, 0);

        int64_t start = clock_now_ms();
        assert_int_equal(upstream_lane_run(lane, 60, -1), 0);
        assert_in_range(clock_now_ms() - start, 50, 2000);
        assert_int_equal(upstream_lane_run(lane, 0, -1), 0);

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(upstream_lane_run(lane, 30, ends[0]), 0);
        assert_int_equal(write(ends[1], "x", 1), 1);
        assert_int_equal(upstream_lane_run(lane, 5000, ends[0]), LANE_CLIENT);
        char byte;
        assert_int_equal(read(ends[0], &byte, 1), 1); /* it was not taken */
        close(ends[1]);
        assert_int_equal(upstream_lane_run(lane, 5000, ends[0]), LANE_CLIENT);
        close(ends[0]);

        /* A pipe's hang-up comes without anything to read. */
        assert_int_equal(pipe(ends), 0);
        close(ends[1]);
        start = clock_now_ms();
        assert_int_equal(upstream_lane_run(lane, 5000, ends[0]), LANE_CLIENT);
        assert_in_range(clock_now_ms() - start, 0, 2000);
        close(ends[0]);

        /* Closing a running transfer ends its connection. */
        transfer_close(t);
        for (int i = 0; i < 200 && server.left == left; i++)
                usleep(10000);
        assert_int_equal(server.left, left + 1);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_two_at_once(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct got slow, quick;
        struct transfer *one = open_path(lane, a, "/wait", &slow, 0),
                        *two = open_path(lane, a, "/ok", &quick, 0);
        drive(lane, two);
        assert_string_equal(quick.body, "{\"a\":1}");
        assert_false(transfer_ended(one));
        transfer_close(one);
        transfer_close(two);
        upstream_lane_give(lane);
        arena_free(a);
}

static void test_no_connection(void **state)
{
        (void)state;
        int port, closed = bind_any(&port); /* bound, and nobody listens */
        struct arena *a = arena_new();
        const struct {
                const char *url, *proxy, *ca;
                enum fault_kind fault;
        } cases[] = {
                {arena_printf(a, "http://127.0.0.1:%d/", port), NULL, NULL, FAULT_CONNECT},
                {"http://nowhere.invalid/", NULL, NULL, FAULT_DNS},
                {"http://provider.invalid/", "http://proxy.invalid:3128", NULL, FAULT_DNS},
                {arena_printf(a, "https://127.0.0.1:%d/nothing", server.port), NULL, NULL, FAULT_TLS},
                {arena_printf(a, "https://127.0.0.1:%d/nothing", server.port), NULL, "/nonexistent.pem",
                 FAULT_TLS},
                {"file:///etc/passwd", NULL, NULL, FAULT_MALFORMED},
                {"no url at all", NULL, NULL, FAULT_CONNECT},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct upstream_lane *lane = upstream_lane_take(pool);
                struct got got = {.len = 0};
                struct transfer_request r = {.method = "POST",
                                             .url = cases[i].url,
                                             .proxy = cases[i].proxy,
                                             .ca = cases[i].ca,
                                             .body = str_of("x"),
                                             .connect_ms = 5000};
                struct transfer *t = transfer_open(lane, a, &r, &(struct transfer_sink){&got, take});
                const char *message = NULL;
                print_message("%s\n", cases[i].url);
                drive(lane, t);
                assert_int_equal(transfer_fault(t, &message), cases[i].fault);
                assert_non_null(message);
                assert_int_equal(transfer_status(t), 0);
                transfer_close(t);
                upstream_lane_give(lane);
        }
        close(closed);
        arena_free(a);
}

/* ---------------------------------------------------------------- provider_prepare */

static const char *header_of(const struct transfer_request *r, const char *name)
{
        const char *found = NULL;
        for (size_t i = 0; i < r->header_count; i++) {
                if (strcasecmp(r->headers[i].name, name) == 0) {
                        assert_null(found); /* once at most */
                        found = r->headers[i].value;
                }
        }
        return found;
}

static void test_prepare(void **state)
{
        (void)state;
        static const struct config_header own[] = {{"X-Team", "web"}, {"Authorization", "Special s3"}};
        static const struct prepare_case {
                enum dialect_id dialect;
                const char *key;
                size_t own;
                const char *name, *value;
        } cases[] = {
                {DIALECT_OPENAI, "k1", 0, "authorization", "Bearer k1"},
                {DIALECT_OPENAI, NULL, 0, "authorization", NULL},
                {DIALECT_OPENAI, "k1", 2, "authorization", "Special s3"},
                {DIALECT_OPENAI, "k1", 1, "x-team", "web"},
                {DIALECT_ANTHROPIC, "k2", 0, "x-api-key", "k2"},
                {DIALECT_ANTHROPIC, "k2", 0, "authorization", NULL},
                {DIALECT_ANTHROPIC, "k2", 0, "anthropic-version", "2023-06-01"},
                {DIALECT_ANTHROPIC, "k2", 0, "content-type", "application/json"},
                {DIALECT_GEMINI, "k3", 0, "x-goog-api-key", "k3"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const struct prepare_case *c = &cases[i];
                struct arena *a = arena_new();
                struct config_provider p = {.name = "p",
                                            .base = "https://api.example/v1",
                                            .key = c->key,
                                            .headers = own,
                                            .header_count = c->own,
                                            .proxy = "http://proxy",
                                            .timeouts.connect_ms = 1234};
                struct dialect d = {.id = c->dialect};
                struct wire_request wire = {.method = "POST",
                                            .path = "/chat?x=%20",
                                            .headers = {{"anthropic-version", "2023-06-01"}},
                                            .header_count = 1};
                struct transfer_request out;
                provider_prepare(a, &p, &d, &wire, NULL, &out);
                assert_string_equal(out.url, "https://api.example/v1/chat?x=%20");
                assert_string_equal(out.method, "POST");
                assert_string_equal(out.proxy, "http://proxy");
                assert_int_equal(out.connect_ms, 1234);
                assert_text(header_of(&out, c->name), c->value);
                assert_non_null(header_of(&out, "user-agent"));
                arena_free(a);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_quota),
                cmocka_unit_test(test_caps),
                cmocka_unit_test(test_proxy),
                cmocka_unit_test(test_request),
                cmocka_unit_test(test_piece_by_piece),
                cmocka_unit_test(test_sink_ends),
                cmocka_unit_test(test_warm),
                cmocka_unit_test(test_stale_connection),
                cmocka_unit_test(test_waiting),
                cmocka_unit_test(test_two_at_once),
                cmocka_unit_test(test_no_connection),
                cmocka_unit_test(test_prepare),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
