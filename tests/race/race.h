/*
 * For the races on one state file: TAP, memory that the processes share, a folder, a watchdog, and a log that
 * must stay silent. Time is simulated: it stands in the shared memory, and only the parent moves it.
 */
#ifndef TOLLGATE_TESTS_RACE_H
#define TOLLGATE_TESTS_RACE_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "policy/lease.h"
#include "policy/limit.h"
#include "store/state.h"
#include "store/state_internal.h"

/* A turn that was granted. */
struct grant {
        int64_t at_ms, tokens;
};

static char folder[] = "/tmp/tollgate-race-XXXXXX";
static char path[64];
static int tests, failures;
static pid_t race_parent;

/* No child outlives the parent, however that ends. */
static inline pid_t race_fork(void)
{
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(1);
        }
        return child;
}

static inline void race_ok(bool fine, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void race_ok(bool fine, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        printf("%sok %d - ", fine ? "" : "not ", ++tests);
        vprintf(fmt, ap);
        printf("\n");
        fflush(stdout);
        va_end(ap);
        failures += !fine;
}

static inline void race_die(const char *what)
{
        printf("not ok %d - %s\n", tests + 1, what);
        fflush(stdout);
        if (getpid() != race_parent)
                kill(race_parent, SIGTERM);
        _exit(1);
}

static inline void *shared(size_t size)
{
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                race_die("no shared memory");
        return p;
}

/* Nothing is damaged here: whatever the state logs is a failure. */
static inline void race_sink(void *context, const char *line, size_t len)
{
        atomic_fetch_add((atomic_int *)context, 1);
        printf("# %.*s", (int)len, line);
        fflush(stdout);
}

static inline struct state *race_open(int64_t (*now_ms)(void *), void *context, bool create)
{
        enum state_problem problem;
        char why[512];
        struct state_options o = {.path = path, .create = create, .now_ms = now_ms, .context = context};
        struct state *s = state_open(&o, &problem, why);
        if (!s)
                race_die(why);
        return s;
}

/* Ended from outside, or by the watchdog: nothing is left behind. Only the parent does this. */
static inline void race_stop(int signal)
{
        static const char hangs[] = "not ok - the watchdog: somebody hangs\n";
        if (getpid() != race_parent)
                _exit(1);
        if (signal == SIGALRM && write(STDOUT_FILENO, hangs, sizeof hangs - 1) < 0)
                _exit(3);
        unlink(path);
        rmdir(folder);
        _exit(2);
}

static inline void race_begin(unsigned watchdog_s)
{
        static const int ends[] = {SIGALRM, SIGTERM, SIGINT, SIGHUP};
        race_parent = getpid();
        if (!mkdtemp(folder))
                race_die("no folder");
        snprintf(path, sizeof path, "%s/state", folder);
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
                signal(ends[i], race_stop);
        alarm(watchdog_s); /* generous: the machine may be busy */
}

static inline int race_end(void)
{
        unlink(path);
        rmdir(folder);
        printf("1..%d\n", tests);
        return failures != 0;
}

static inline bool soak(void)
{
        const char *s = getenv("SOAK");
        return s && *s && strcmp(s, "0") != 0;
}

static inline int grant_order(const void *a, const void *b)
{
        const struct grant *x = a, *y = b;
        return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

/* Sorts; the most requests and tokens of any 60 s, wherever they begin. */
static inline void fullest(struct grant *grants, size_t count, int64_t *requests, int64_t *tokens)
{
        size_t first = 0;
        int64_t sum = 0;
        *requests = *tokens = 0;
        qsort(grants, count, sizeof *grants, grant_order);
        for (size_t i = 0; i < count; i++) {
                sum += grants[i].tokens;
                while (grants[i].at_ms - grants[first].at_ms >= 60000)
                        sum -= grants[first++].tokens;
                if ((int64_t)(i - first) + 1 > *requests)
                        *requests = (int64_t)(i - first) + 1;
                if (sum > *tokens)
                        *tokens = sum;
        }
}

#endif
