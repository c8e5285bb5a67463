/*
 * An upstream provider made of canned answers, for benches: as fast as two cores allow, so that what is
 * measured is what stands before it. HTTP/1.1 with kept connections; one epoll loop a thread, each with its
 * own listener (SO_REUSEPORT).
 *
 *     canned PORT [THREADS]
 *
 * The path decides the dialect (…/chat/completions, …/embeddings, …/messages, …:generateContent,
 * …:streamGenerateContent), "stream": true in the body (or the gemini path) whether it streams. Options stand
 * anywhere in the path, as in /delay_ms=20,events=50,gap_ms=40/v1/chat/completions: delay_ms  before the
 * answer or the first event (0) events    text events of a stream (8) gap_ms    between them (0: all at once)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 64 << 20, READ_SIZE = 16 * 1024, EVENTS = 256 };

/* ---------------------------------------------------------------- the answers */

#define USAGE_OPENAI "{\"prompt_tokens\":14,\"completion_tokens\":8,\"total_tokens\":22}"
#define CHUNK_OPENAI                                                                                         \
        "data: "                                                                                             \
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":"  \
        "\"bench-1\","                                                                                       \
        "\"choices\":[{\"index\":0,\"delta\":"

static const struct dialect_row {
        const char *suffix; /* the path ends so */
        bool streams;       /* always */
        const char *json;
        const char *head, *event, *tail; /* of a stream */
} dialect_rows[] = {
        {.suffix = "/chat/completions",
         .json = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":"
                 "\"bench-1\","
                 "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The quick "
                 "brown fox jumps over the "
                 "lazy "
                 "dog.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                 "\"usage\":" USAGE_OPENAI "}",
         .head = CHUNK_OPENAI
         "{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
         .event = CHUNK_OPENAI "{\"content\":\" word\"},\"finish_reason\":null}],\"usage\":null}\n\n",
         .tail = CHUNK_OPENAI
         "{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
         "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"
         "\"model\":\"bench-1\",\"choices\":[],\"usage\":" USAGE_OPENAI "}\n\ndata: [DONE]\n\n"},
        {.suffix = "/embeddings",
         .json = "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5,0."
                 "5,0.5,0.5]}],"
                 "\"model\":\"bench-1\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}"},
        {.suffix = "/messages",
         .json = "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench-1\","
                 "\"content\":[{\"type\":"
                 "\"text\",\"text\":\"The quick brown fox jumps over the lazy "
                 "dog.\"}],\"stop_reason\":\"end_turn\","
                 "\"stop_sequence\":null,\"usage\":{\"input_tokens\":14,\"output_tokens\":8}}",
         .head = "event: message_start\ndata: "
                 "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\","
                 "\"role\":\"assistant\",\"model\":\"bench-1\",\"content\":[],\"stop_reason\":null,\"stop_"
                 "sequence\":null,"
                 "\"usage\":{\"input_tokens\":14,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: "
                 "{\"type\":"
                 "\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"
                 "\n\n",
         .event = "event: content_block_delta\ndata: "
                  "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                  "\"text_delta\",\"text\":\" word\"}}\n\n",
         .tail = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: "
                 "message_delta\ndata: "
                 "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}"
                 ",\"usage\":{"
                 "\"output_tokens\":8}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
        {.suffix = ":generateContent",
         .json = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"The quick brown fox jumps over the "
                 "lazy dog.\"}],\"role\":"
                 "\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":"
                 "14,"
                 "\"candidatesTokenCount\":8,\"totalTokenCount\":22},\"modelVersion\":\"bench-1\","
                 "\"responseId\":\"bench\"}"},
        {.suffix = ":streamGenerateContent",
         .streams = true,
         .json = "",
         .head = "",
         .event = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\" "
                  "word\"}],\"role\":\"model\"},\"index\":0}],"
                  "\"modelVersion\":\"bench-1\",\"responseId\":\"bench\"}\r\n\r\n",
         .tail = "data: "
                 "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
                 "\"finishReason\":\"STOP\","
                 "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":14,\"candidatesTokenCount\":8,"
                 "\"totalTokenCount\":22},"
                 "\"modelVersion\":\"bench-1\",\"responseId\":\"bench\"}\r\n\r\n"},
};

/* ---------------------------------------------------------------- connections */

struct connection {
        int fd;
        char *in;
        size_t len, room;
        char *out; /* what the socket did not take */
        size_t out_len;
        const struct dialect_row *row;
        bool streaming, started;
        int64_t due_us; /* of the next piece; 0: none */
        int64_t gap_us, left;
        size_t place; /* in the heap */
};

struct loop {
        int epoll, listener, port;
        struct connection **heap; /* by due time */
        size_t count, room;
};

static int64_t now_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void heap_put(struct loop *l, size_t at, struct connection *c)
{
        l->heap[at] = c;
        c->place = at;
}

static void heap_up(struct loop *l, size_t at, struct connection *c)
{
        for (; at && l->heap[(at - 1) / 2]->due_us > c->due_us; at = (at - 1) / 2)
                heap_put(l, at, l->heap[(at - 1) / 2]);
        heap_put(l, at, c);
}

static void heap_down(struct loop *l, size_t at, struct connection *c)
{
        for (size_t child; (child = 2 * at + 1) < l->count; at = child) {
                if (child + 1 < l->count && l->heap[child + 1]->due_us < l->heap[child]->due_us)
                        child++;
                if (l->heap[child]->due_us >= c->due_us)
                        break;
                heap_put(l, at, l->heap[child]);
        }
        heap_put(l, at, c);
}

static void wait_until(struct loop *l, struct connection *c, int64_t due_us)
{
        c->due_us = due_us;
        if (l->count == l->room) {
                l->room = l->room ? 2 * l->room : 64;
                if (!(l->heap = realloc(l->heap, l->room * sizeof *l->heap)))
                        abort();
        }
        heap_up(l, l->count++, c);
}

static void wait_no_more(struct loop *l, struct connection *c)
{
        if (!c->due_us)
                return;
        struct connection *last = l->heap[--l->count];
        size_t at = c->place;
        c->due_us = 0;
        if (last == c)
                return;
        heap_down(l, at, last);
        heap_up(l, last->place, last);
}

static void drop(struct loop *l, struct connection *c)
{
        wait_no_more(l, c);
        close(c->fd);
        free(c->in);
        free(c->out);
        free(c);
}

static bool keep_rest(struct loop *l, struct connection *c, const char *bytes, size_t len)
{
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        char *more = realloc(c->out, c->out_len + len);
        if (!more)
                return false;
        memcpy(more + c->out_len, bytes, len);
        c->out = more;
        c->out_len += len;
        return epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0;
}

static bool say(struct loop *l, struct connection *c, const char *bytes, size_t len)
{
        if (!c->out_len) {
                ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
                if (n < 0 && errno != EAGAIN)
                        return false;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return len == 0 || keep_rest(l, c, bytes, len);
}

/* ---------------------------------------------------------------- answering */

static size_t add_chunk(char *out, const char *text)
{
        size_t len = strlen(text);
        return len ? (size_t)sprintf(out, "%zx\r\n%s\r\n", len, text) : 0;
}

/* The next piece of a stream: the head with the first event, one event, or the last one with the end. */
static bool stream_piece(struct loop *l, struct connection *c)
{
        char out[8192];
        size_t len = 0;
        bool ok = true;
        do {
                len = 0;
                if (!c->started) {
                        len += (size_t)sprintf(out, "HTTP/1.1 200 OK\r\ncontent-type: "
                                                    "text/event-stream\r\nx-request-id: req_bench"
                                                    "\r\ntransfer-encoding: chunked\r\n\r\n");
                        len += add_chunk(out + len, c->row->head);
                        c->started = true;
                }
                len += add_chunk(out + len, c->row->event);
                if (--c->left <= 0) {
                        len += add_chunk(out + len, c->row->tail);
                        len += (size_t)sprintf(out + len, "0\r\n\r\n");
                        c->streaming = false;
                }
                ok = say(l, c, out, len);
        } while (ok && c->streaming && !c->gap_us);
        if (ok && c->streaming)
                wait_until(l, c, now_us() + c->gap_us);
        return ok;
}

static bool reply(struct loop *l, struct connection *c)
{
        char out[4096];
        if (c->streaming)
                return stream_piece(l, c);
        int len = c->row ? snprintf(out, sizeof out,
                                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: "
                                    "req_bench\r\n"
                                    "content-length: %zu\r\n\r\n%s",
                                    strlen(c->row->json), c->row->json)
                         : snprintf(out, sizeof out, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        return say(l, c, out, (size_t)len);
}

static int64_t option(const char *target, const char *name, int64_t otherwise)
{
        const char *at = strstr(target, name);
        return at ? strtoll(at + strlen(name), NULL, 10) : otherwise;
}

static const struct dialect_row *find_row(const char *target)
{
        size_t len = strcspn(target, "?");
        for (size_t i = 0; i < sizeof dialect_rows / sizeof *dialect_rows; i++) {
                size_t n = strlen(dialect_rows[i].suffix);
                if (len >= n && memcmp(target + len - n, dialect_rows[i].suffix, n) == 0)
                        return &dialect_rows[i];
        }
        return NULL;
}

static bool wants_stream(const char *body, size_t len)
{
        const char *at = memmem(body, len, "\"stream\"", 8);
        if (!at)
                return false;
        at += 8;
        while (at < body + len && (*at == ':' || *at == ' '))
                at++;
        return at < body + len && *at == 't';
}

static bool begin(struct loop *l, struct connection *c, const char *target, const char *body, size_t body_len)
{
        int64_t delay = option(target, "delay_ms=", 0);
        c->row = find_row(target);
        c->streaming = c->row && c->row->head && (c->row->streams || wants_stream(body, body_len));
        c->started = false;
        c->left = option(target, "events=", 8);
        c->gap_us = 1000 * option(target, "gap_ms=", 0);
        if (delay <= 0)
                return reply(l, c);
        wait_until(l, c, now_us() + 1000 * delay);
        return true;
}

/* Takes one whole request from the front; false: the connection is no good. */
static bool take_request(struct loop *l, struct connection *c, bool *taken)
{
        *taken = false;
        char *end = c->len ? memmem(c->in, c->len, "\r\n\r\n", 4) : NULL;
        if (!end)
                return true;
        *end = 0;
        char *length = strcasestr(c->in, "\r\ncontent-length:");
        size_t head = (size_t)(end - c->in) + 4, body = length ? strtoul(length + 17, NULL, 10) : 0;
        if (body > REQUEST_MAX)
                return false;
        if (c->len < head + body) {
                *end = '\r';
                return true;
        }
        char *target = strchr(c->in, ' '), *stop = target ? strchr(target + 1, ' ') : NULL;
        if (!stop)
                return false;
        *stop = 0;
        bool ok = begin(l, c, target + 1, c->in + head, body);
        c->len -= head + body;
        memmove(c->in, c->in + head + body, c->len);
        *taken = true;
        return ok;
}

static bool read_some(struct connection *c)
{
        if (c->room - c->len < READ_SIZE) {
                size_t room = c->room ? 2 * c->room : 2 * READ_SIZE;
                char *in = room <= 2 * (size_t)REQUEST_MAX ? realloc(c->in, room + 1) : NULL;
                if (!in)
                        return false;
                c->in = in;
                c->room = room;
        }
        ssize_t n = recv(c->fd, c->in + c->len, c->room - c->len, 0);
        if (n <= 0)
                return n < 0 && errno == EAGAIN;
        c->len += (size_t)n;
        c->in[c->len] = 0;
        return true;
}

static bool flush(struct loop *l, struct connection *c)
{
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN;
        c->out_len -= (size_t)n;
        memmove(c->out, c->out + n, c->out_len);
        return c->out_len > 0 || epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0;
}

static void on_event(struct loop *l, struct connection *c, uint32_t events)
{
        bool ok = true, taken = true;
        if (events & EPOLLOUT)
                ok = flush(l, c);
        if (ok && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                ok = read_some(c);
        while (ok && taken && !c->due_us)
                ok = take_request(l, c, &taken);
        if (!ok)
                drop(l, c);
}

static void on_due(struct loop *l)
{
        int64_t now = now_us();
        while (l->count && l->heap[0]->due_us <= now) {
                struct connection *c = l->heap[0];
                wait_no_more(l, c);
                if (!reply(l, c))
                        drop(l, c);
        }
}

static void take_connections(struct loop *l)
{
        for (int fd, on = 1; (fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                struct connection *c = calloc(1, sizeof *c);
                if (!c)
                        abort();
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                c->fd = fd;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
        }
}

static void *run(void *context)
{
        struct loop *l = context;
        struct epoll_event events[EVENTS];
        for (;;) {
                int64_t wait = l->count ? l->heap[0]->due_us - now_us() : -1;
                int n = epoll_wait(l->epoll, events, EVENTS,
                                   l->count ? (wait > 0 ? (int)((wait + 999) / 1000) : 0) : -1);
                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr)
                                on_event(l, events[i].data.ptr, events[i].events);
                        else
                                take_connections(l);
                }
                on_due(l);
        }
        return NULL;
}

static void open_loop(struct loop *l, int port)
{
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct epoll_event e = {.events = EPOLLIN};
        int on = 1;
        l->port = port;
        l->epoll = epoll_create1(EPOLL_CLOEXEC);
        l->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(l->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(l->listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        if (bind(l->listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(l->listener, 4096) != 0) {
                perror("canned: listen");
                exit(1);
        }
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->listener, &e);
}

int main(int argc, char **argv)
{
        int port = argc > 1 ? atoi(argv[1]) : 0, threads = argc > 2 ? atoi(argv[2]) : 2;
        struct rlimit files;
        if (port <= 0 || threads < 1 || threads > 64) {
                fprintf(stderr, "usage: canned PORT [THREADS]\n");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        struct loop *loops = calloc((size_t)threads, sizeof *loops);
        if (!loops)
                return 1;
        for (int i = 0; i < threads; i++)
                open_loop(&loops[i], port);
        for (int i = 1; i < threads; i++) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, run, &loops[i]) != 0)
                        return 1;
        }
        run(&loops[0]);
        return 0;
}
