#include "upstream/alert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/money.h"
#include "base/text.h"
#include "upstream/transport.h"

enum { OUTPUT_MAX = 4096, LINES_MAX = 20, STEP_MS = 50, CONNECT_MS = 10000 };

/* ---- what is told ---- */

/* Of a day's or a month's number (policy/budget.h). */
static const char *date_of(const struct ledger_alert *a, char out[32])
{
        bool day = strcmp(a->period, "day") == 0;
        time_t s = (time_t)a->number * 86400;
        struct tm tm = {0};
        if (day && gmtime_r(&s, &tm))
                strftime(out, 32, "%Y-%m-%d", &tm);
        else
                snprintf(out, 32, "%04d-%02d", (int)(1970 + a->number / 12), (int)(a->number % 12 + 1));
        return out;
}

static const char *share_text(const struct ledger_alert *a, char out[MONEY_TEXT])
{
        return money_text(out, (__int128)a->share_micro * (MONEY_PICO / 1000000));
}

bool alert_json(const struct ledger_alert *a, int64_t now_ms, struct buf *out)
{
        char text[MONEY_TEXT], when[32];
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_int(&w, "id", a->id);
        jw_key_string(&w, "account", a->account);
        jw_key_string(&w, "period", a->period);
        jw_key_string(&w, "date", date_of(a, when));
        jw_key_string(&w, "share", share_text(a, text));
        jw_key_string(&w, "spent", money_text(text, a->spent_pico));
        jw_key_string(&w, "limit", money_text(text, a->limit_pico));
        jw_key_string(&w, "currency", a->currency);
        clock_format(a->time_ms, when);
        jw_key_string(&w, "reached", when);
        clock_format(now_ms, when);
        jw_key_string(&w, "sent", when);
        jw_end(&w);
        return jw_done(&w);
}

void alert_signature(char out[ALERT_SIGNATURE], const char *secret, struct str body)
{
        uint8_t sum[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        strcpy(out, "sha256=");
        if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)body.at, body.len, sum,
                 &len))
                text_hex(out + strlen(out), sum, len);
}

static bool is_over(int64_t until_ms, const struct alert_limits *limits)
{
        return clock_now_ms() >= until_ms || (limits->stop && atomic_load(limits->stop));
}

/* ---- to a program ---- */

struct child {
        pid_t pid;
        int in, out; /* our ends of its pipes; -1: closed */
        char output[OUTPUT_MAX];
        size_t len;
};

static char **environment_of(struct arena *a, const struct ledger_alert *alert)
{
        enum { VARIABLES = 8 };
        char text[MONEY_TEXT];
        char **env = arena_alloc(a, (VARIABLES + 1) * sizeof *env);
        env[0] = arena_strdup(a, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        env[1] = arena_strdup(a, "LC_ALL=C.UTF-8");
        env[2] = arena_printf(a, "TOLLGATE_ACCOUNT=%s", alert->account);
        env[3] = arena_printf(a, "TOLLGATE_PERIOD=%s", alert->period);
        env[4] = arena_printf(a, "TOLLGATE_SHARE=%s", share_text(alert, text));
        env[5] = arena_printf(a, "TOLLGATE_SPENT=%s", money_text(text, alert->spent_pico));
        env[6] = arena_printf(a, "TOLLGATE_LIMIT=%s", money_text(text, alert->limit_pico));
        env[7] = arena_printf(a, "TOLLGATE_CURRENCY=%s", alert->currency);
        return env;
}

/* Every other descriptor of this process is closed on exec. A group of its own, to be killed as a whole; what
 * is ignored or blocked here is not so there. */
static int spawn(pid_t *pid, const char *program, char **environment, int in, int out)
{
        posix_spawn_file_actions_t files;
        posix_spawnattr_t how;
        sigset_t all, none;
        char *argv[] = {(char *)program, NULL};
        sigfillset(&all);
        sigemptyset(&none);
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&how);
        posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
        posix_spawnattr_setflags(&how,
                                 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
        posix_spawnattr_setsigmask(&how, &none);
        posix_spawnattr_setsigdefault(&how, &all);
        posix_spawnattr_setpgroup(&how, 0);
        int problem = posix_spawn(pid, program, &files, &how, argv, environment);
        posix_spawn_file_actions_destroy(&files);
        posix_spawnattr_destroy(&how);
        return problem;
}

static bool child_start(struct child *c, const char *program, const struct ledger_alert *a,
                        char why[ALERT_WHY])
{
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        struct arena *arena = arena_new();
        int problem = pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0
                              ? errno
                              : spawn(&c->pid, program, environment_of(arena, a), in[0], out[1]);
        arena_free(arena);
        c->in = in[1];
        c->out = out[0];
        if (in[0] >= 0)
                close(in[0]);
        if (out[1] >= 0)
                close(out[1]);
        if (problem)
                snprintf(why, ALERT_WHY, "%.150s cannot be run: %.80s", program, strerror(problem));
        return !problem;
}

static void shut(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

/* Reads what there is, at most for a step. What is beyond the room is thrown away. */
static void child_listen(struct child *c)
{
        char bytes[1024];
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        if (poll(&p, c->out >= 0, STEP_MS) <= 0)
                return;
        ssize_t n = read(c->out, bytes, sizeof bytes);
        size_t room = sizeof c->output - c->len, len = n > 0 ? (size_t)n : 0;
        if (n <= 0)
                shut(&c->out);
        memcpy(c->output + c->len, bytes, len < room ? len : room);
        c->len += len < room ? len : room;
}

/* The log makes bytes that are none of text harmless. */
static void tell_output(const struct child *c)
{
        const char *s = c->output, *end = s + c->len;
        for (int i = 0; s < end && i < LINES_MAX; i++) {
                const char *stop = memchr(s, '\n', (size_t)(end - s));
                size_t len = (size_t)((stop ? stop : end) - s);
                if (len)
                        log_info("the alert's program: %.*s", (int)len, s);
                s += len + 1;
        }
}

/* False: it had to be killed. */
static bool child_wait(struct child *c, int64_t until_ms, const struct alert_limits *limits, int *status)
{
        bool killed = false;
        for (;;) {
                pid_t done = waitpid(c->pid, status, WNOHANG);
                if (done == c->pid)
                        break;
                if (done < 0 && errno != EINTR) {
                        *status = -1; /* somebody else was told */
                        break;
                }
                if (!killed && is_over(until_ms, limits)) {
                        kill(-c->pid, SIGKILL);
                        killed = true;
                }
                child_listen(c);
        }
        /* What it said last; a grandchild may hold the pipe for as long as it likes. */
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        while (c->out >= 0 && c->len < sizeof c->output && poll(&p, 1, 0) > 0)
                child_listen(c);
        return !killed;
}

bool alert_run(const char *program, const struct ledger_alert *a, struct str json,
               const struct alert_limits *limits, char why[ALERT_WHY])
{
        struct child c = {.in = -1, .out = -1};
        int64_t until = clock_now_ms() + limits->ms;
        int status = 0;
        bool ok = child_start(&c, program, a, why);
        if (!ok)
                goto out;
        /* It fits the pipe's own buffer. A program that doesn't read it is none of our business: SIGPIPE is
         * ignored. */
        fcntl(c.in, F_SETFL, O_NONBLOCK);
        if (write(c.in, json.at, json.len) < 0)
                log_debug("the alert's program reads nothing: %s", strerror(errno));
        shut(&c.in);
        ok = child_wait(&c, until, limits, &status);
        if (!ok)
                snprintf(why, ALERT_WHY, "%.150s was killed: it did not end in time", program);
        else if (!(ok = WIFEXITED(status) && WEXITSTATUS(status) == 0))
                snprintf(why, ALERT_WHY, "%.150s ended with %s %d", program,
                         WIFSIGNALED(status) ? "signal" : "status",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        tell_output(&c);
out:
        shut(&c.in);
        shut(&c.out);
        return ok;
}

/* ---- to a URL ---- */

static bool ignore(void *context, const char *bytes, size_t len)
{
        (void)context;
        (void)bytes;
        (void)len;
        return true;
}

/* What comes behind the status is nobody's business. */
static bool judge(const struct transfer *t, char why[ALERT_WHY])
{
        const char *message = NULL;
        int status = transfer_status(t);
        if (status >= 200 && status < 300)
                return true;
        if (status)
                snprintf(why, ALERT_WHY, "the webhook answered with status %d", status);
        else if (!transfer_ended(t))
                snprintf(why, ALERT_WHY, "the webhook did not answer in time");
        else if (transfer_fault(t, &message) != FAULT_NONE)
                snprintf(why, ALERT_WHY, "the webhook: %.200s", message ? message : "no answer");
        else
                snprintf(why, ALERT_WHY, "the webhook: no answer");
        return false;
}

/* A pool of its own: this is seldom, and no connection of the providers' is to wait for it. */
bool alert_post(const char *url, const char *secret, struct str json, const struct alert_limits *limits,
                char why[ALERT_WHY])
{
        char signature[ALERT_SIGNATURE];
        int64_t until = clock_now_ms() + limits->ms;
        struct wire_header headers[] = {{"content-type", "application/json"},
                                        {"user-agent", "tollgate"},
                                        {"x-tollgate-signature", signature}};
        bool is_signed = secret && *secret;
        struct transfer_request r = {.method = "POST",
                                     .url = url,
                                     .headers = headers,
                                     .header_count = is_signed ? 3 : 2,
                                     .body = json,
                                     .connect_ms = CONNECT_MS,
                                     .max_bytes = 64 << 10};
        const struct transfer_sink sink = {.bytes = ignore};
        if (is_signed)
                alert_signature(signature, secret, json);
        struct arena *a = arena_new();
        struct upstream_pool *pool = upstream_pool_new();
        struct upstream_lane *lane = upstream_lane_take(pool);
        struct transfer *t = transfer_open(lane, a, &r, &sink);
        while (!transfer_ended(t) && !transfer_status(t) && !is_over(until, limits))
                upstream_lane_run(lane, STEP_MS, -1);
        bool ok = judge(t, why);
        transfer_close(t);
        upstream_lane_give(lane);
        upstream_pool_free(pool);
        arena_free(a);
        return ok;
}
