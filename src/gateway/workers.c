#include "gateway/workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <locale.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 2 << 20 }; /* red zones make frames large */
#else
enum { STACK_BYTES = 256 << 10 };
#endif

/* WAKE interrupts accept() and nothing else: it is blocked everywhere else in a worker. */
enum {
        FIRST_WORKERS = 4,
        WAKE = SIGUSR2,
        FIRST_BYTE_MS = 10000,
        NEXT_REQUEST_MS = 1000,
        STOP_STEP_MS = 10,
        RETRY_ACCEPT_MS = 50
};

struct worker {
        struct workers *all;
        pthread_t thread;
        _Atomic bool ended;
};

struct workers {
        struct gateway *gateway;
        int listener, most;
        bool tcp;
        const char *peers; /* FCGI_WEB_SERVER_ADDRS, or NULL */
        _Atomic int idle, started;
        _Atomic bool stopping;
        pthread_mutex_t lock; /* of the list and its growth */
        struct worker *list;
};

static void on_wake(int number)
{
        (void)number;
}

static void mask_wake(int how)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, WAKE);
        pthread_sigmask(how, &set, NULL);
}

bool workers_peer_allowed(const char *list, const struct sockaddr *peer)
{
        char text[INET6_ADDRSTRLEN] = "";
        if (!list || (peer->sa_family != AF_INET && peer->sa_family != AF_INET6))
                return true;
        if (peer->sa_family == AF_INET) {
                inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, text,
                          sizeof text);
        } else {
                const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
                /* A socket of both families shows IPv4 peers so. */
                if (IN6_IS_ADDR_V4MAPPED(six))
                        inet_ntop(AF_INET, six->s6_addr + 12, text, sizeof text);
                else
                        inet_ntop(AF_INET6, six, text, sizeof text);
        }
        size_t len = strlen(text);
        for (const char *s = list; *s; s += strcspn(s, ","), s += *s == ',') {
                s += strspn(s, " ");
                if (strncasecmp(s, text, len) == 0 && (s[len] == '\0' || s[len] == ',' || s[len] == ' '))
                        return true;
        }
        return false;
}

/* A connection, -1: none this time. */
static int take_connection(struct workers *w)
{
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        mask_wake(SIG_UNBLOCK);
        int fd = atomic_load(&w->stopping)
                         ? -1
                         : accept4(w->listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
        int problem = errno;
        mask_wake(SIG_BLOCK);
        if (fd < 0 && !atomic_load(&w->stopping) && problem != EINTR && problem != ECONNABORTED) {
                log_error("accept: %s", strerror(problem));
                poll(NULL, 0, RETRY_ACCEPT_MS);
        }
        if (fd >= 0 && w->tcp) {
                int on = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
        if (fd >= 0 && !workers_peer_allowed(w->peers, (struct sockaddr *)&peer)) {
                close(fd);
                return -1;
        }
        return fd;
}

static void grow(struct workers *w);

static bool readable_within(int fd, int ms)
{
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        return poll(&readable, 1, ms) > 0;
}

/*
 * libfcgi accepts by itself only where there is no connection yet; given one, it reads the request from that.
 * A server that keeps its connection open may bring the next request at once, but no idle connection holds a
 * worker.
 */
static void serve_connection(struct workers *w, int fd)
{
        FCGX_Request request;
        if (!readable_within(fd, FIRST_BYTE_MS) ||
            FCGX_InitRequest(&request, -1, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
                close(fd);
                return;
        }
        request.ipcFd = fd;
        request.keepConnection = 1; /* or it would be closed as what an earlier request has left */
        do {
                if (FCGX_Accept_r(&request) != 0)
                        break;
                struct client *client = client_from_fastcgi(&request);
                gateway_serve(w->gateway, client);
                client_free(client);
                FCGX_Finish_r(&request);
        } while (request.ipcFd >= 0 && !atomic_load(&w->stopping) &&
                 readable_within(request.ipcFd, NEXT_REQUEST_MS));
        FCGX_Free(&request, 1);
}

static void *work(void *argument)
{
        struct worker *self = argument;
        struct workers *w = self->all;
        mask_wake(SIG_BLOCK);
        /* json-c copies the thread's locale for each text it parses; all but the C locale are copied under a
         * lock of the whole process. */
        uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
        while (!atomic_load(&w->stopping)) {
                int fd = take_connection(w);
                if (fd < 0)
                        continue;
                if (atomic_fetch_sub(&w->idle, 1) == 1)
                        grow(w);
                serve_connection(w, fd);
                atomic_fetch_add(&w->idle, 1);
        }
        atomic_store(&self->ended, true);
        return NULL;
}

static bool start_one(struct workers *w)
{
        struct worker *one = &w->list[atomic_load(&w->started)];
        pthread_attr_t attributes;
        one->all = w;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        atomic_fetch_add(&w->idle, 1);
        int problem = pthread_create(&one->thread, &attributes, work, one);
        pthread_attr_destroy(&attributes);
        if (problem) {
                atomic_fetch_sub(&w->idle, 1);
                log_error("a worker could not be started: %s", strerror(problem));
                return false;
        }
        atomic_fetch_add(&w->started, 1);
        return true;
}

static void grow(struct workers *w)
{
        pthread_mutex_lock(&w->lock);
        if (!atomic_load(&w->stopping) && atomic_load(&w->idle) < 1 && atomic_load(&w->started) < w->most)
                start_one(w);
        pthread_mutex_unlock(&w->lock);
}

struct workers *workers_start(struct gateway *g, int listener, int most)
{
        struct workers *w = calloc(1, sizeof *w);
        struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART: accept() has to return */
        if (!w || !(w->list = calloc((size_t)most, sizeof *w->list)))
                abort();
        w->gateway = g;
        w->listener = listener;
        w->most = most;
        w->tcp = g->socket_is_remote;
        w->peers = getenv("FCGI_WEB_SERVER_ADDRS");
        pthread_mutex_init(&w->lock, NULL);
        sigemptyset(&wake.sa_mask);
        sigaction(WAKE, &wake, NULL);
        pthread_mutex_lock(&w->lock);
        for (int i = 0; i < FIRST_WORKERS && i < most; i++)
                start_one(w);
        pthread_mutex_unlock(&w->lock);
        if (atomic_load(&w->started))
                return w;
        free(w->list);
        free(w);
        return NULL;
}

static bool all_ended(const struct workers *w, int count)
{
        for (int i = 0; i < count; i++) {
                if (!atomic_load(&w->list[i].ended))
                        return false;
        }
        return true;
}

bool workers_stop(struct workers *w, int64_t drain_ms)
{
        int64_t until = clock_now_ms() + drain_ms;
        pthread_mutex_lock(&w->lock);
        atomic_store(&w->stopping, true);
        int count = atomic_load(&w->started);
        pthread_mutex_unlock(&w->lock);
        /* A thread between its look at `stopping` and accept() misses one signal, so they are sent again. */
        while (!all_ended(w, count) && clock_now_ms() < until) {
                for (int i = 0; i < count; i++) {
                        if (!atomic_load(&w->list[i].ended))
                                pthread_kill(w->list[i].thread, WAKE);
                }
                poll(NULL, 0, STOP_STEP_MS);
        }
        if (!all_ended(w, count))
                return false;
        for (int i = 0; i < count; i++)
                pthread_join(w->list[i].thread, NULL);
        pthread_mutex_destroy(&w->lock);
        free(w->list);
        free(w);
        return true;
}
