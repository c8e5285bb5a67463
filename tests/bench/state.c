/*
 * What the shared state costs: reserving and settling a turn in one slot, alone, with many threads of one
 * process, and with as many over several processes.
 *
 *     state [--check] [FOLDER]      a folder that only its owner can write in; without: a new one below /tmp
 *
 * BENCH_SECONDS: length of each part (2). Times are of the processor, so that what else the machine does
 * matters little. --check: exit 1 when a figure is out of reach.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policy/limit.h"
#include "store/state.h"

enum { THREADS = 64, PROCESSES = 4 };

/* Shared by the processes. */
struct field {
        atomic_int ready;
        atomic_bool go, stop;
        int64_t pairs[THREADS];
        int64_t cpu_us[PROCESSES];
};

static const struct config_limits limits = {.rpm = 1000000000, .tpm = 1000000000};
static char path[4096];
static struct field *field;

struct call {
        struct limit_turn turn;
};

static bool reserve(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        static const struct limit_ask ask = {.tokens = 100};
        c->turn = limit_reserve(&slot->limit, &limits, &ask, now_ms);
        return true;
}

static bool settle(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        limit_settle(&slot->limit, &c->turn, 120, now_ms);
        return true;
}

static void die(const char *what)
{
        fprintf(stderr, "state: %s\n", what);
        exit(3);
}

static struct state *open_state(const char *at)
{
        enum state_problem problem;
        char why[512];
        struct state_options options = {.path = at, .create = true};
        struct state *s = state_open(&options, &problem, why);
        if (!s)
                die(why);
        return s;
}

static void pair(struct state *s)
{
        static const struct subject subject = {SLOT_TARGET, "openai/gpt-5.5"};
        struct call call;
        if (state_update(s, subject, reserve, &call) != STATE_DONE ||
            state_update(s, subject, settle, &call) != STATE_DONE)
                die("an update failed");
}

static int64_t cpu_us(void)
{
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static double seconds(void)
{
        const char *given = getenv("BENCH_SECONDS");
        return given ? atof(given) : 2;
}

static double wall(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct worker {
        struct state *state;
        int number;
};

static void *work(void *context)
{
        struct worker *w = context;
        int64_t n = 0;
        atomic_fetch_add(&field->ready, 1);
        while (!atomic_load(&field->go))
                usleep(1000);
        for (; !atomic_load(&field->stop); n++)
                pair(w->state);
        field->pairs[w->number] = n;
        return NULL;
}

static void process(int number, int threads)
{
        pthread_t ids[THREADS];
        struct worker workers[THREADS];
        struct state *s = open_state(path);
        for (int i = 0; i < threads; i++) {
                workers[i] = (struct worker){s, number * threads + i};
                if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
                        die("no thread");
        }
        for (int i = 0; i < threads; i++)
                pthread_join(ids[i], NULL);
        field->cpu_us[number] = cpu_us();
        state_close(s);
}

struct figures {
        double per_core, per_pair; /* updates a second of the processor; µs of it */
        double rate;               /* updates a second */
        int64_t least, most, pairs;
};

static struct figures crowd(int processes, int threads)
{
        pid_t children[PROCESSES];
        struct figures f = {.least = INT64_MAX};
        memset(field, 0, sizeof *field);
        for (int i = 0; i < processes; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                        process(i, threads / processes);
                        _exit(0);
                }
        }
        while (atomic_load(&field->ready) < threads)
                usleep(1000);
        double began = wall();
        atomic_store(&field->go, true);
        usleep((useconds_t)(seconds() * 1e6));
        atomic_store(&field->stop, true);
        double took = wall() - began;
        int64_t cpu = 0;
        for (int i = 0; i < processes; i++) {
                int status;
                if (waitpid(children[i], &status, 0) < 0 || status != 0)
                        die("a process failed");
                cpu += field->cpu_us[i];
        }
        for (int i = 0; i < threads; i++) {
                f.pairs += field->pairs[i];
                f.least = field->pairs[i] < f.least ? field->pairs[i] : f.least;
                f.most = field->pairs[i] > f.most ? field->pairs[i] : f.most;
        }
        f.per_pair = (double)cpu / (double)f.pairs;
        f.per_core = 2e6 / f.per_pair;
        f.rate = 2 * (double)f.pairs / took;
        return f;
}

static int failed;

static void goal(const char *what, double value, bool at_most, double limit, const char *unit)
{
        bool reached = at_most ? value <= limit : value >= limit;
        failed |= !reached;
        printf("  %-58s %9.2f %-5s %s %g: %s\n", what, value, unit, at_most ? "at most" : "at least", limit,
               reached ? "reached" : "OUT OF REACH");
}

static void show(const char *what, const struct figures *f)
{
        printf("%-42s %12.0f %12.0f %10.2f %10lld %10lld\n", what, f->rate, f->per_core, f->per_pair,
               (long long)f->least, (long long)f->most);
}

int main(int argc, char **argv)
{
        bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
        char own[] = "/tmp/tollgate-bench-XXXXXX";
        const char *folder = argc > 1 + check ? argv[1 + check] : mkdtemp(own);
        field = mmap(NULL, sizeof *field, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (!folder || field == MAP_FAILED)
                die("no folder, or no memory");
        snprintf(path, sizeof path, "%s/state-bench", folder);
        printf("The shared state, a slot with limits: reserve and settle; %s\n\n", folder);
        printf("%-42s %12s %12s %10s %10s %10s\n", "", "updates/s", "/s of a core", "µs a pair", "least",
               "most");
        struct figures alone = crowd(1, 1);
        show("alone", &alone);
        struct figures threads = crowd(1, THREADS);
        show("64 threads of one process", &threads);
        struct figures processes = crowd(PROCESSES, THREADS);
        show("64 threads of 4 processes", &processes);
        printf("\nTo reach:\n");
        goal("reserve and settle, alone", alone.per_pair, true, 10, "µs");
        goal("64 threads on one slot, updates a second of a core", threads.per_core, false, 200000, "");
        goal("64 threads over 4 processes, updates a second of a core", processes.per_core, false, 200000,
             "");
        goal("64 threads, least of a thread / most", (double)threads.least / (double)threads.most, false, 0.5,
             "");
        goal("over 4 processes, least of a thread / most", (double)processes.least / (double)processes.most,
             false, 0.25, "");
        unlink(path);
        if (folder == own)
                rmdir(folder);
        return check ? failed : 0;
}
