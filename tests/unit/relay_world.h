/*
 * What the tests of the relay stand on: a provider in threads of the test, which plays a script by the name
 * of the model that it is asked for, and a client that writes down what it is given and when.
 */
#ifndef TESTS_RELAY_WORLD_H
#define TESTS_RELAY_WORLD_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
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
#include "relay/relay.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- the provider ---- */

struct step {
        int wait_ms; /* before it; a client that leaves meanwhile ends the script */
        const char *text;
};

/* Steps in order, then the connection is closed, or after `linger_ms` more. */
struct script {
        const char *model;
        struct step steps[8];
        int linger_ms;
        char *(*make)(const char *request); /* the answer, malloc'd, in place of steps */
};

static struct {
        int fd, port;
        pthread_t thread;
        const struct script *scripts;
        size_t script_count;
        atomic_int calls, left, open;
        atomic_bool stop;
        pthread_mutex_t lock;
        char last[1 << 16]; /* the last request, whole */
} provider = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool say(int fd, const char *text, size_t len)
{
        while (len) {
                ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
                if (n <= 0)
                        return false;
                text += n;
                len -= (size_t)n;
        }
        return true;
}

static bool read_request(int fd, char *out, size_t room)
{
        size_t len = 0, want = 0;
        while (!want || len < want) {
                ssize_t n = recv(fd, out + len, room - 1 - len, 0);
                if (n <= 0)
                        return false;
                len += (size_t)n;
                out[len] = 0;
                char *end = strstr(out, "\r\n\r\n"), *length = strcasestr(out, "content-length:");
                if (end)
                        want = (size_t)(end - out) + 4 +
                               (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
        }
        return true;
}

/* False: the peer has left. */
static bool wait_for(int fd, int ms)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (ms <= 0 || poll(&p, 1, ms) == 0)
                return true;
        provider.left++;
        return false;
}

static void play(int fd, const struct script *s, const char *request)
{
        char *made = s->make ? s->make(request) : NULL;
        if (made)
                say(fd, made, strlen(made));
        free(made);
        for (size_t i = 0; i < sizeof s->steps / sizeof *s->steps && s->steps[i].text; i++) {
                const struct step *step = &s->steps[i];
                if (!wait_for(fd, step->wait_ms) || !say(fd, step->text, strlen(step->text)))
                        return;
        }
        wait_for(fd, s->linger_ms);
}

/* The script whose model stands in the body, or in the path as /name: (gemini). */
static const struct script *script_of(const char *request)
{
        char quoted[128], in_path[128];
        for (size_t i = 0; i < provider.script_count; i++) {
                const struct script *s = &provider.scripts[i];
                snprintf(quoted, sizeof quoted, "\"model\":\"%s\"", s->model);
                snprintf(in_path, sizeof in_path, "/%s:", s->model);
                if (strstr(request, quoted) || strstr(request, in_path))
                        return s;
        }
        return NULL;
}

static void *serve_one(void *context)
{
        int fd = (int)(intptr_t)context;
        static const char unknown[] = "HTTP/1.1 418 No Script\r\nconnection: close\r\n\r\n";
        char *request = malloc(sizeof provider.last);
        if (read_request(fd, request, sizeof provider.last)) {
                const struct script *s = script_of(request);
                pthread_mutex_lock(&provider.lock);
                memcpy(provider.last, request, strlen(request) + 1);
                pthread_mutex_unlock(&provider.lock);
                provider.calls++;
                if (s)
                        play(fd, s, request);
                else
                        say(fd, unknown, strlen(unknown));
        }
        free(request);
        close(fd);
        provider.open--;
        return NULL;
}

static void *serve(void *unused)
{
        for (;;) {
                int fd = accept(provider.fd, NULL, NULL), on = 1;
                if (provider.stop || fd < 0)
                        return unused;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                pthread_t thread;
                provider.open++;
                pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd);
                pthread_detach(thread);
        }
}

static void provider_start(const struct script *scripts, size_t count)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        provider.scripts = scripts;
        provider.script_count = count;
        provider.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(provider.fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(provider.fd, (struct sockaddr *)&at, &size), 0);
        provider.port = ntohs(at.sin_port);
        listen(provider.fd, 64);
        pthread_create(&provider.thread, NULL, serve, NULL);
}

static void provider_stop(void)
{
        provider.stop = true;
        shutdown(provider.fd, SHUT_RDWR);
        pthread_join(provider.thread, NULL);
        close(provider.fd);
        for (int i = 0; provider.open && i < 500; i++)
                usleep(10000);
}

/* Waits until that many peers have left in all. */
static inline bool provider_saw_leave(int count)
{
        for (int i = 0; provider.left < count && i < 200; i++)
                usleep(10000);
        return provider.left >= count;
}

/* ---- the client ---- */

struct seen {
        struct buf body;
        struct relay_head head;
        int begun, flushes;
        int64_t first_ms; /* when the head came, on clock_now_ms() */
        int leave_after;  /* writes; 0: never */
        int write_ms;     /* a write takes this long */
        int writes;
        int fds[2]; /* the connection: [0] is the relay's end */
        bool hung_up;
};

static bool seen_begin(void *context, const struct relay_head *head)
{
        struct seen *s = context;
        s->begun++;
        s->head = *head;
        s->first_ms = clock_now_ms();
        return true;
}

static bool seen_write(void *context, const char *bytes, size_t len)
{
        struct seen *s = context;
        assert_int_equal(s->begun, 1);
        usleep((useconds_t)s->write_ms * 1000);
        buf_add(&s->body, bytes, len);
        return !s->leave_after || ++s->writes < s->leave_after;
}

static bool seen_flush(void *context)
{
        struct seen *s = context;
        s->flushes++;
        return true;
}

static bool seen_gone(void *context)
{
        struct seen *s = context;
        char byte;
        s->hung_up |= recv(s->fds[0], &byte, 1, MSG_DONTWAIT) == 0;
        return s->hung_up;
}

/* ---- a call ---- */

enum { TARGETS = 3 };

struct world {
        struct arena *arena;
        struct upstream_pool *pool;
        struct config config;
        struct config_provider providers[4]; /* openai, anthropic, gemini, echo */
        struct config_target targets[TARGETS];
        struct config_version version;
        struct route route;
        struct meter memory;
        struct state *state;        /* NULL: none */
        _Atomic int64_t skipped_ms; /* how far its clock is ahead of the machine's */
        struct relay_waiting waiting;
        const struct config_account *account;
        const char *caller, *betas;
        struct relay_record record;
        struct seen seen;
        int64_t took_ms;
        bool array;     /* gemini: a JSON array in place of an event stream */
        bool no_answer; /* expected: the client is not there any more */
};

static void world_start(struct world *w)
{
        static const char *const names[] = {"openai", "anthropic", "gemini", "echo"};
        *w = (struct world){.arena = arena_new(), .pool = upstream_pool_new()};
        for (size_t i = 0; i < 4; i++)
                w->providers[i] = (struct config_provider){
                        .name = names[i],
                        .dialect = names[i],
                        .key = "secret-of-the-test",
                        .base = arena_printf(w->arena, "http://127.0.0.1:%d", provider.port),
                        .timeouts = {.connect_ms = 2000,
                                     .first_token_ms = 5000,
                                     .idle_ms = 5000,
                                     .attempt_ms = 5000},
                        .index = i,
                };
        w->config = (struct config){
                .max_body = 1 << 20,
                .max_memory = 1 << 26,
                .providers = w->providers,
                .provider_count = 4,
        };
        w->version = (struct config_version){.name = "1", .targets = w->targets, .total_ms = 10000};
        w->route = (struct route){.model_name = "asked", .version = &w->version};
        buf_init(&w->seen.body, 1 << 24);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w->seen.fds), 0);
}

static void world_end(struct world *w)
{
        /* Whatever happened, nothing is held any more. */
        assert_int_equal(w->memory.used, 0);
        assert_int_equal(w->seen.begun, !w->no_answer);
        close(w->seen.fds[0]);
        if (w->seen.fds[1] >= 0)
                close(w->seen.fds[1]);
        buf_release(&w->seen.body);
        if (w->state)
                state_close(w->state);
        upstream_pool_free(w->pool);
        arena_free(w->arena);
}

static inline void world_timeouts(struct config_provider *p, int64_t first_token, int64_t idle,
                                  int64_t attempt)
{
        p->timeouts.first_token_ms = first_token;
        p->timeouts.idle_ms = idle;
        p->timeouts.attempt_ms = attempt;
}

static void world_target(struct world *w, const char *dialect, const char *model)
{
        assert_true(w->version.target_count < TARGETS);
        const struct config_provider *p = config_find_provider(&w->config, dialect);
        assert_non_null(p);
        w->targets[w->version.target_count++] = (struct config_target){.provider = p, .model = model};
}

static int64_t world_now_ms(void *context)
{
        struct world *w = context;
        return clock_now_ms() + w->skipped_ms;
}

/* A state of this world alone. */
static void world_state(struct world *w)
{
        char why[512] = "";
        enum state_problem problem;
        w->state = state_open(&(struct state_options){.now_ms = world_now_ms, .context = w}, &problem, why);
        assert_non_null(w->state);
}

/* For another request in the same world. */
static void world_again(struct world *w)
{
        assert_int_equal(w->memory.used, 0);
        assert_int_equal(w->seen.begun, !w->no_answer);
        buf_reset(&w->seen.body);
        w->seen.begun = w->seen.flushes = w->seen.writes = 0;
}

static struct relay_env world_env(struct world *w)
{
        return (struct relay_env){.config = &w->config,
                                  .pool = w->pool,
                                  .memory = &w->memory,
                                  .state = w->state,
                                  .waiting = w->waiting.most ? &w->waiting : NULL};
}

static inline void world_embed(struct world *w, const char *dialect, const char *body)
{
        static const struct form_fields no_query;
        const struct dialect *d = dialect_by_name(dialect);
        const struct client_input in = {
                .arena = w->arena,
                .body = str_of(body),
                .content_type = "application/json",
                .query = &no_query,
        };
        struct embed_request r = {.model = NULL};
        struct err err = {.cause = ERR_NONE};
        d->decode_embed_request(&in, &r, &err);
        assert_null(err.message);
        const struct relay_env env = world_env(w);
        struct answer_context answer = {
                .arena = w->arena, .format = ANSWER_JSON, .request_id = "req", .id_seed = "seed"};
        const struct relay_client client = {&w->seen,   seen_begin,     seen_write,
                                            seen_flush, w->seen.fds[0], seen_gone};
        const struct relay_call call = {
                .env = &env,
                .arena = w->arena,
                .dialect = d,
                .account = w->account,
                .caller = {SLOT_ACCOUNT, w->caller ? w->caller : "account"},
                .route = &w->route,
                .answer = &answer,
                .body = in.body,
                .body_is_json = true,
                .client = &client,
                .started_ms = clock_now_ms(),
        };
        relay_embed(&call, &r, &w->record);
}

static void world_chat(struct world *w, const char *dialect, const char *body, bool stream)
{
        static const struct form_fields no_query;
        const struct dialect *d = dialect_by_name(dialect);
        const struct client_input in = {
                .arena = w->arena,
                .body = str_of(body),
                .betas = w->betas,
                .content_type = "application/json",
                .query = &no_query,
                .path_model = d->id == DIALECT_GEMINI ? "asked" : NULL,
                .path_stream = d->id == DIALECT_GEMINI && stream,
        };
        struct chat_request r = {.model = NULL};
        struct err err = {.cause = ERR_NONE};
        d->decode_chat_request(&in, &r, &err);
        assert_null(err.message);
        const struct relay_env env = world_env(w);
        struct answer_context answer = {
                .arena = w->arena,
                .format = d->id == DIALECT_GEMINI && stream && !w->array ? ANSWER_SSE
                                                                         : d->answer_format(&in, r.stream),
                .request_id = "req",
                .id_seed = "seed",
                .created = 1700000000,
                .stream_usage = r.stream_usage,
        };
        const struct relay_client client = {&w->seen,   seen_begin,     seen_write,
                                            seen_flush, w->seen.fds[0], seen_gone};
        const struct relay_call call = {
                .env = &env,
                .arena = w->arena,
                .dialect = d,
                .account = w->account,
                .caller = {SLOT_ACCOUNT, w->caller ? w->caller : "account"},
                .route = &w->route,
                .answer = &answer,
                .body = in.body,
                .body_is_json = true,
                .client = &client,
                .started_ms = clock_now_ms(),
        };
        relay_chat(&call, &r, &w->record);
        w->took_ms = clock_now_ms() - call.started_ms;
}

static inline const char *world_header(const struct world *w, const char *name)
{
        const char *found = NULL;
        for (size_t i = 0; i < w->seen.head.header_count; i++) {
                if (strcmp(w->seen.head.headers[i].name, name) == 0) {
                        assert_null(found);
                        found = w->seen.head.headers[i].value;
                }
        }
        return found;
}

static const char *world_text(const struct world *w)
{
        return w->seen.body.data ? w->seen.body.data : "";
}

static bool world_has(const struct world *w, const char *text)
{
        return strstr(world_text(w), text) != NULL;
}

#endif
