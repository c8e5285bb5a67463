/*
 * Load over HTTP/1.1 with kept connections, for benches: many requests or streams at once from one epoll
 * loop, each timed to its first text and to its end.
 *
 *     load [-c CONNECTIONS] [-n REQUESTS | -d SECONDS] [-H HEADER]… [-b BODY] [-t FIRST] [-e LAST] [-p
 * HOST:PORT] URL
 *
 * FIRST: the text that marks the first token (without it the first byte of the body does); LAST: a text that
 * every whole answer holds, else it counts as an error. -p connects elsewhere than the URL says. With -b the
 * method is POST. Prints one line of key=value pairs; times in microseconds. Exit 1 when an answer was no
 * 200, cut, or without LAST.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

enum { HEAD_MAX = 16 * 1024, READ_SIZE = 64 * 1024, EVENTS = 256, OVERLAP = 64 };

enum part { PART_HEAD, PART_BODY, PART_SIZE, PART_CHUNK, PART_CHUNK_END, PART_TRAILER };

struct connection {
        int fd;
        enum part part;
        char head[HEAD_MAX];
        size_t head_len;
        char line[32]; /* a chunk's size */
        size_t line_len;
        uint64_t left; /* of the body or chunk */
        bool until_close, close_after, last_seen, bad;
        char tail[OVERLAP]; /* of the body, so that a text split in two is found */
        size_t tail_len;
        size_t sent;
        int64_t start_us, first_us;
        bool busy;
};

struct times {
        uint32_t *at;
        size_t count, room;
};

static struct load {
        int connections;
        int64_t requests, seconds;
        const char *first, *last;
        struct sockaddr_in to;
        char *request;
        size_t request_len;
        int epoll;
        int64_t begun, ended, errors, bytes, end_us;
        struct times whole, first_text;
} load = {.connections = 1};

static int64_t now_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void note(struct times *t, int64_t us)
{
        if (t->count == t->room) {
                t->room = t->room ? 2 * t->room : 4096;
                if (!(t->at = realloc(t->at, t->room * sizeof *t->at)))
                        abort();
        }
        t->at[t->count++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int by_size(const void *a, const void *b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return (x > y) - (x < y);
}

static uint32_t percentile(struct times *t, double share)
{
        if (!t->count)
                return 0;
        qsort(t->at, t->count, sizeof *t->at, by_size);
        return t->at[(size_t)((double)(t->count - 1) * share)];
}

/* ---------------------------------------------------------------- connections */

static void watch(struct connection *c, int op, uint32_t events)
{
        struct epoll_event e = {.events = events, .data.ptr = c};
        epoll_ctl(load.epoll, op, c->fd, &e);
}

static bool may_begin(void)
{
        return load.requests ? load.begun < load.requests : now_us() < load.end_us;
}

static void open_connection(struct connection *c)
{
        int on = 1;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(c->fd, (struct sockaddr *)&load.to, sizeof load.to) != 0 && errno != EINPROGRESS) {
                perror("load: connect");
                exit(1);
        }
        watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void send_rest(struct connection *c)
{
        while (c->sent < load.request_len) {
                ssize_t n = send(c->fd, load.request + c->sent, load.request_len - c->sent, MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno == EAGAIN)
                                watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
                        return;
                }
                c->sent += (size_t)n;
        }
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void begin(struct connection *c)
{
        int fd = c->fd;
        *c = (struct connection){.fd = fd};
        if (!may_begin())
                return;
        load.begun++;
        c->busy = true;
        c->start_us = now_us();
        if (c->fd < 0)
                open_connection(c);
        else
                send_rest(c);
}

static void finish(struct connection *c, bool whole)
{
        int64_t now = now_us();
        load.ended++;
        if (!whole || c->bad || (load.last && !c->last_seen))
                load.errors++;
        note(&load.whole, now - c->start_us);
        if (c->first_us)
                note(&load.first_text, c->first_us - c->start_us);
        if (!whole || c->close_after) {
                close(c->fd);
                c->fd = -1;
        }
        begin(c);
}

/* ---------------------------------------------------------------- answers */

static void look_at(struct connection *c, const char *bytes, size_t len)
{
        char joined[OVERLAP + READ_SIZE];
        memcpy(joined, c->tail, c->tail_len);
        memcpy(joined + c->tail_len, bytes, len);
        size_t all = c->tail_len + len;
        load.bytes += (int64_t)len;
        if (!c->first_us && (!load.first || memmem(joined, all, load.first, strlen(load.first))))
                c->first_us = now_us();
        if (load.last && !c->last_seen && memmem(joined, all, load.last, strlen(load.last)))
                c->last_seen = true;
        c->tail_len = all < OVERLAP ? all : OVERLAP;
        memcpy(c->tail, joined + all - c->tail_len, c->tail_len);
}

/* Returns how much of the bytes was head. */
static size_t take_head(struct connection *c, const char *bytes, size_t len)
{
        size_t before = c->head_len, take = len < HEAD_MAX - 1 - before ? len : HEAD_MAX - 1 - before;
        memcpy(c->head + before, bytes, take);
        c->head[before + take] = 0;
        c->head_len += take;
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end) {
                c->bad = c->head_len == HEAD_MAX - 1;
                return take;
        }
        end[2] = 0;
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        c->bad = strncmp(c->head, "HTTP/1.", 7) != 0 || strncmp(c->head + 8, " 200", 4) != 0;
        c->close_after = strcasestr(c->head, "\r\nconnection: close") != NULL;
        if (strcasestr(c->head, "\r\ntransfer-encoding: chunked"))
                c->part = PART_SIZE;
        else if (length)
                c->part = PART_BODY, c->left = strtoull(length + 17, NULL, 10);
        else
                c->part = PART_BODY, c->left = UINT64_MAX, c->until_close = true;
        return (size_t)(end - c->head) + 4 - before;
}

/* A line of the chunked coding, without its end; true when it is whole. */
static bool take_line(struct connection *c, char byte)
{
        if (byte == '\n')
                return true;
        if (byte != '\r' && c->line_len < sizeof c->line - 1)
                c->line[c->line_len++] = byte;
        return false;
}

/* True when the answer ended. */
static bool take_bytes(struct connection *c, const char *bytes, size_t len)
{
        for (size_t at = 0; at < len || (c->part == PART_BODY && c->left == 0);) {
                if (c->part == PART_HEAD) {
                        at += take_head(c, bytes + at, len - at);
                        if (c->bad && c->part == PART_HEAD)
                                return true;
                } else if (c->part == PART_BODY || c->part == PART_CHUNK) {
                        size_t n = len - at < c->left ? len - at : (size_t)c->left;
                        if (n)
                                look_at(c, bytes + at, n);
                        at += n;
                        c->left -= n;
                        if (c->left == 0 && c->part == PART_BODY)
                                return true;
                        if (c->left == 0)
                                c->part = PART_CHUNK_END;
                } else if (take_line(c, bytes[at++])) {
                        c->line[c->line_len] = 0;
                        if (c->part == PART_TRAILER && c->line_len == 0)
                                return true;
                        if (c->part == PART_SIZE) {
                                c->left = strtoull(c->line, NULL, 16);
                                c->part = c->left ? PART_CHUNK : PART_TRAILER;
                        } else if (c->part == PART_CHUNK_END) {
                                c->part = PART_SIZE;
                        }
                        c->line_len = 0;
                }
        }
        return false;
}

static void on_event(struct connection *c, uint32_t events)
{
        static char bytes[READ_SIZE];
        if (events & EPOLLOUT && c->busy)
                send_rest(c);
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return;
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EAGAIN)
                return;
        if (!c->busy) {
                close(c->fd);
                c->fd = -1;
        } else if (n <= 0) {
                finish(c, n == 0 && c->until_close);
        } else if (take_bytes(c, bytes, (size_t)n)) {
                finish(c, true);
        }
}

/* ---------------------------------------------------------------- start */

static void set_target(const char *url, const char *peer, const char *headers, const char *body)
{
        char host[256], address[256];
        const char *path;
        if (strncmp(url, "http://", 7) != 0 || strcspn(url + 7, "/") >= sizeof host) {
                fprintf(stderr, "load: the URL must be http://HOST:PORT/…\n");
                exit(2);
        }
        snprintf(host, sizeof host, "%.*s", (int)strcspn(url + 7, "/"), url + 7);
        path = url + 7 + strlen(host);
        snprintf(address, sizeof address, "%s", peer ? peer : host);
        char *colon = strchr(address, ':');
        load.to = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons(colon ? (uint16_t)atoi(colon + 1) : 80)};
        if (colon)
                *colon = 0;
        if (inet_pton(AF_INET, strcmp(address, "localhost") ? address : "127.0.0.1", &load.to.sin_addr) !=
            1) {
                fprintf(stderr, "load: %s is no address\n", address);
                exit(2);
        }
        int len = body ? asprintf(&load.request,
                                  "POST %s HTTP/1.1\r\nhost: %s\r\n%scontent-length: %zu\r\n\r\n%s",
                                  *path ? path : "/", host, headers, strlen(body), body)
                       : asprintf(&load.request, "GET %s HTTP/1.1\r\nhost: %s\r\n%s\r\n", *path ? path : "/",
                                  host, headers);
        load.request_len = (size_t)len;
}

static void run(void)
{
        struct epoll_event events[EVENTS];
        struct connection *all = calloc((size_t)load.connections, sizeof *all);
        if (!all)
                abort();
        load.epoll = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < load.connections; i++) {
                all[i].fd = -1;
                begin(&all[i]);
        }
        while (load.ended < load.begun) {
                int n = epoll_wait(load.epoll, events, EVENTS, 60000);
                if (n == 0) {
                        load.errors += load.begun - load.ended; /* a minute of silence */
                        break;
                }
                for (int i = 0; i < n; i++)
                        on_event(events[i].data.ptr, events[i].events);
        }
        free(all);
}

static void report(int64_t took_us)
{
        printf("requests=%lld errors=%lld seconds=%.3f rps=%.1f p50=%u p99=%u first_p50=%u first_p99=%u "
               "bytes=%lld\n",
               (long long)load.ended, (long long)load.errors, (double)took_us / 1e6,
               (double)load.ended * 1e6 / (double)(took_us ? took_us : 1), percentile(&load.whole, 0.5),
               percentile(&load.whole, 0.99), percentile(&load.first_text, 0.5),
               percentile(&load.first_text, 0.99), (long long)load.bytes);
}

int main(int argc, char **argv)
{
        char headers[8192] = "";
        const char *body = NULL, *peer = NULL;
        struct rlimit files;
        for (int o; (o = getopt(argc, argv, "c:n:d:H:b:t:e:p:")) != -1;) {
                switch (o) {
                case 'c': load.connections = atoi(optarg); break;
                case 'n': load.requests = atoll(optarg); break;
                case 'd': load.seconds = atoll(optarg); break;
                case 'H':
                        if (strlen(headers) + strlen(optarg) + 3 > sizeof headers)
                                return 2;
                        strcat(strcat(headers, optarg), "\r\n");
                        break;
                case 'b': body = optarg; break;
                case 't': load.first = optarg; break;
                case 'e': load.last = optarg; break;
                case 'p': peer = optarg; break;
                default: return 2;
                }
        }
        bool texts_fit = (!load.first || strlen(load.first) <= OVERLAP) &&
                         (!load.last || strlen(load.last) <= OVERLAP);
        if (optind != argc - 1 || load.connections < 1 || load.connections > 60000 || !texts_fit) {
                fprintf(stderr, "usage: load [-c N] [-n N | -d SECONDS] [-H HEADER] [-b BODY] [-t FIRST] [-e "
                                "LAST] [-p PEER] URL\n");
                return 2;
        }
        if (!load.requests && !load.seconds)
                load.requests = load.connections;
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        set_target(argv[optind], peer, headers, body);
        int64_t start = now_us();
        load.end_us = start + load.seconds * 1000000;
        run();
        report(now_us() - start);
        return load.errors ? 1 : 0;
}
