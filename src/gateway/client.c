#include "gateway/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

enum { DRAIN_MAX = 1 << 28, DRAIN_STEP = 64 << 10, DRAIN_QUIET_MS = 5000 };
enum {
        HEAD_MAX = 64 << 10,
        CGI_BUFFER = 8192,
        OWN_HEADERS_MAX = 24,
        UNTOLD_MAX = 16 << 10,
        FCGI_HEADER_BYTES = 8,
        FCGI_ABORT = 2
};

extern char **environ;

struct client {
        FCGX_Request *fcgi; /* NULL: CGI */
        char **environment;
        struct arena *arena;
        struct relay_client sink;
        struct relay_header own[OWN_HEADERS_MAX];
        size_t own_count;
        struct buf out;    /* CGI: what was not written yet */
        struct buf untold; /* log lines that the error stream did not take */
        int64_t body_read; /* CGI: bytes of the body so far; -1: it has ended */
        bool body_done;    /* FastCGI: the input stream was freed */
        bool began;
        bool broken;  /* a write failed: the client has gone */
        bool no_body; /* HEAD, and statuses without one */
};

/* ---- variables ---- */

static const char *find_variable(char **environment, const char *name)
{
        size_t len = strlen(name);
        for (char **v = environment; v && *v; v++) {
                if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
                        return *v + len + 1;
        }
        return NULL;
}

const char *client_variable(const struct client *c, const char *name)
{
        const char *value = find_variable(c->environment, name);
        return value && *value ? value : NULL;
}

void client_each_variable(const struct client *c, void (*fn)(void *context, const char *variable),
                          void *context)
{
        for (char **v = c->environment; v && *v; v++)
                fn(context, *v);
}

/* ---- body ---- */

long client_read(struct client *c, char *out, size_t room)
{
        if (room > 1 << 20)
                room = 1 << 20;
        if (c->fcgi) {
                if (c->body_done)
                        return 0;
                int n = FCGX_GetStr(out, (int)room, c->fcgi->in);
                return n > 0 ? n : FCGX_GetError(c->fcgi->in) ? -1 : 0;
        }
        ssize_t n;
        do
                n = read(STDIN_FILENO, out, room);
        while (n < 0 && errno == EINTR);
        c->body_read = n <= 0 || c->body_read < 0 ? -1 : c->body_read + n;
        return n;
}

void client_body_done(struct client *c)
{
        if (!c->fcgi || c->body_done || FCGX_GetError(c->fcgi->in) != 0)
                return;
        FCGX_FreeStream(&c->fcgi->in);
        c->body_done = true;
}

/*
 * Apache's mod_cgid sends the whole body before it looks at the answer, over one socket for both: what stays
 * unread there when the process ends resets the connection, and the answer is lost. Bounded in bytes and in
 * silence.
 */
static void drain_body(struct client *c)
{
        const char *said = client_variable(c, "CONTENT_LENGTH");
        bool chunked = client_variable(c, "HTTP_TRANSFER_ENCODING") != NULL;
        int64_t left = chunked ? DRAIN_MAX : said ? strtoll(said, NULL, 10) - c->body_read : 0;
        char *waste = malloc(DRAIN_STEP);
        left = left < DRAIN_MAX ? left : DRAIN_MAX;
        while (waste && left > 0 && c->body_read >= 0) {
                struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
                if (poll(&in, 1, DRAIN_QUIET_MS) <= 0)
                        break;
                long n = client_read(c, waste, DRAIN_STEP);
                left -= n > 0 ? n : 0;
        }
        free(waste);
}

/* ---- answer ---- */

static bool put(struct client *c, const char *bytes, size_t len);

static bool write_stdout(struct client *c, const char *bytes, size_t len)
{
        while (len && !c->broken) {
                ssize_t n = write(STDOUT_FILENO, bytes, len);
                if (n < 0 && errno != EINTR)
                        c->broken = true;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return !c->broken;
}

static bool flush(void *context)
{
        struct client *c = context;
        if (c->broken)
                return false;
        if (c->fcgi) {
                c->broken = FCGX_FFlush(c->fcgi->out) != 0;
        } else {
                write_stdout(c, c->out.data ? c->out.data : "", c->out.len);
                buf_reset(&c->out);
        }
        return !c->broken;
}

static bool put(struct client *c, const char *bytes, size_t len)
{
        if (c->broken)
                return false;
        if (c->fcgi) {
                for (size_t piece; len && !c->broken; bytes += piece, len -= piece) {
                        piece = len < 1 << 30 ? len : 1 << 30;
                        c->broken = FCGX_PutStr(bytes, (int)piece, c->fcgi->out) != (int)piece;
                }
                return !c->broken;
        }
        if (c->out.len + len <= CGI_BUFFER)
                return buf_add(&c->out, bytes, len);
        return flush(c) && write_stdout(c, bytes, len);
}

static bool sink_write(void *context, const char *bytes, size_t len)
{
        struct client *c = context;
        assert(c->began);
        return c->no_body ? !c->broken : put(c, bytes, len);
}

/* Bytes that may not stand in a header are percent-encoded: nothing in a name of the configuration ends a
 * line. */
static void add_header(struct buf *head, const char *name, const char *value)
{
        if (!text_is_token(name, 64) || !value)
                return;
        buf_addf(head, "%s: ", name);
        for (const char *s = value; *s; s++) {
                if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
                        buf_addf(head, "%%%02X", (unsigned char)*s);
                else
                        buf_addc(head, *s);
        }
        buf_adds(head, "\r\n");
}

static const char *reason(int status)
{
        static const struct {
                int status;
                const char *text;
        } reasons[] = {
                {200, "OK"},
                {204, "No Content"},
                {308, "Permanent Redirect"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {413, "Content Too Large"},
                {415, "Unsupported Media Type"},
                {429, "Too Many Requests"},
                {500, "Internal Server Error"},
                {502, "Bad Gateway"},
                {503, "Service Unavailable"},
                {504, "Gateway Timeout"},
        };
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
                if (reasons[i].status == status)
                        return reasons[i].text;
        }
        return status < 400 ? "OK" : status < 500 ? "Refused" : "Error";
}

/* Pages load what is ours and nothing else, and run no script that stands in them (SECURITY item 13). */
static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
                                  "data: blob:; connect-src 'self'; "
                                  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static bool has_own_header(const struct client *c, const char *name)
{
        for (size_t i = 0; i < c->own_count; i++) {
                if (strcasecmp(c->own[i].name, name) == 0)
                        return true;
        }
        return false;
}

/* No `no-referrer`: the forms of a page would then come with `Origin: null` (SECURITY item 3). */
static void add_page_headers(struct buf *head, const struct relay_head *h)
{
        if (!h->content_type || strncmp(h->content_type, "text/html", 9) != 0)
                return;
        add_header(head, "content-security-policy", page_policy);
        add_header(head, "referrer-policy", "same-origin");
        add_header(head, "cross-origin-opener-policy", "same-origin");
}

static bool begin(void *context, const struct relay_head *h)
{
        struct client *c = context;
        struct buf head;
        assert(!c->began);
        c->began = true;
        c->no_body = c->no_body || h->status == 204 || h->status == 304;
        buf_init(&head, HEAD_MAX);
        buf_addf(&head, "Status: %d %s\r\n", h->status, reason(h->status));
        if (h->content_type && h->status != 204)
                add_header(&head, "Content-Type", h->content_type);
        if (!has_own_header(c, "cache-control"))
                add_header(&head, "cache-control", h->stream ? "no-cache" : "private, no-store");
        if (h->stream)
                add_header(&head, "x-accel-buffering", "no");
        add_header(&head, "x-content-type-options", "nosniff");
        add_page_headers(&head, h);
        for (size_t i = 0; i < c->own_count; i++)
                add_header(&head, c->own[i].name, c->own[i].value);
        for (size_t i = 0; i < h->header_count && i < RELAY_HEADERS_MAX; i++)
                add_header(&head, h->headers[i].name, h->headers[i].value);
        buf_adds(&head, "\r\n");
        bool ok = !head.failed && put(c, head.data, head.len);
        buf_release(&head);
        return ok;
}

/*
 * An event on the connection: its end, FastCGI's abort record, or bytes of a body that nobody reads. The
 * latter are taken away, lest the descriptor stays readable and the wait for the provider spins.
 */
static bool gone(void *context)
{
        struct client *c = context;
        unsigned char bytes[1024];
        if (!c->fcgi || c->fcgi->ipcFd < 0)
                return c->broken;
        ssize_t n = recv(c->fcgi->ipcFd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
                c->broken = true;
        for (ssize_t at = 0; at + FCGI_HEADER_BYTES <= n;) {
                if (bytes[at] == 1 && bytes[at + 1] == FCGI_ABORT)
                        c->broken = true;
                at += FCGI_HEADER_BYTES + (bytes[at + 4] << 8 | bytes[at + 5]) + bytes[at + 6];
        }
        return c->broken;
}

const struct relay_client *client_sink(struct client *c)
{
        return &c->sink;
}

void client_set_header(struct client *c, const char *name, const char *value)
{
        assert(!c->began);
        for (size_t i = 0; i < c->own_count; i++) {
                if (strcasecmp(c->own[i].name, name) == 0) {
                        c->own[i].value = arena_strdup(c->arena, value);
                        return;
                }
        }
        assert(c->own_count < OWN_HEADERS_MAX);
        c->own[c->own_count++] =
                (struct relay_header){arena_strdup(c->arena, name), arena_strdup(c->arena, value)};
}

bool client_began(const struct client *c)
{
        return c->began;
}

void client_log_line(void *client, const char *line, size_t len)
{
        struct client *c = client;
        if (c->fcgi) {
                /* The connection of a client that has left is closed, and its last lines tell just that. */
                if (FCGX_PutStr(line, (int)len, c->fcgi->err) != (int)len || FCGX_FFlush(c->fcgi->err) != 0)
                        buf_add(&c->untold, line, len);
                return;
        }
        ssize_t n;
        do
                n = write(STDERR_FILENO, line, len);
        while (n < 0 && errno == EINTR);
}

char *client_untold_log(struct client *c)
{
        char *text = c->untold.data;
        buf_init(&c->untold, UNTOLD_MAX);
        return text;
}

/* ---- life ---- */

static struct client *client_new(FCGX_Request *fcgi, char **environment)
{
        struct client *c = calloc(1, sizeof *c);
        if (!c)
                abort();
        c->fcgi = fcgi;
        c->environment = environment;
        c->arena = arena_new();
        c->sink = (struct relay_client){
                .context = c,
                .begin = begin,
                .write = sink_write,
                .flush = flush,
                .fd = fcgi ? fcgi->ipcFd : -1,
                .gone = gone,
        };
        const char *method = client_variable(c, "REQUEST_METHOD");
        c->no_body = method && strcmp(method, "HEAD") == 0;
        buf_init(&c->out, CGI_BUFFER);
        buf_init(&c->untold, UNTOLD_MAX);
        return c;
}

struct client *client_from_fastcgi(FCGX_Request *request)
{
        return client_new(request, request->envp);
}

struct client *client_from_cgi(void)
{
        return client_new(NULL, environ);
}

/* FCGX_Finish_r() ends the answer only of a request that still has its input stream. */
static void finish_fastcgi(FCGX_Request *r)
{
        int broken = FCGX_FClose(r->err);
        broken |= FCGX_FClose(r->out);
        if (broken)
                r->keepConnection = 0;
}

void client_free(struct client *c)
{
        if (!c)
                return;
        if (c->began)
                flush(c);
        if (c->body_done)
                finish_fastcgi(c->fcgi);
        if (!c->fcgi && !c->broken)
                drain_body(c);
        buf_release(&c->out);
        buf_release(&c->untold);
        arena_free(c->arena);
        free(c);
}
