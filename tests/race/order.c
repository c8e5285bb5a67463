/*
 * The order of asking: while one thread is at a slot, others come one after another; their turns are in that
 * order. And while its process is at the slot, another process is not kept out for ever.
 */
#include "race.h"

enum { THREADS = 16, ROUNDS = 50 };

struct field {
        sem_t inside, go;
        atomic_int complaints, served;
        int order[THREADS];
        atomic_bool stop;
        _Atomic int64_t turns;
};
static struct field *field;
static const struct subject subject = {SLOT_PROVIDER, "openai"};

struct member {
        struct state *state;
        int number;
};

static bool at_the_slot(struct slot *slot, int64_t now_ms, void *context)
{
        (void)slot;
        (void)now_ms;
        (void)context;
        sem_post(&field->inside);
        while (sem_wait(&field->go) != 0)
                ;
        return false;
}

static bool note(struct slot *slot, int64_t now_ms, void *context)
{
        const struct member *m = context;
        (void)now_ms;
        field->order[atomic_fetch_add(&field->served, 1)] = m->number;
        slot->turn++;
        return true;
}

static bool count(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        (void)context;
        slot->turn++;
        return true;
}

static void update(struct state *s, slot_fn *fn, void *context)
{
        if (state_update(s, subject, fn, context) != STATE_DONE)
                race_die("an update failed");
}

static void *first(void *context)
{
        struct member *m = context;
        log_bind(race_sink, &field->complaints, NULL);
        update(m->state, at_the_slot, m);
        return NULL;
}

static void *other(void *context)
{
        struct member *m = context;
        log_bind(race_sink, &field->complaints, NULL);
        update(m->state, note, m);
        return NULL;
}

static void start(pthread_t *id, void *(*fn)(void *), struct member *m)
{
        if (pthread_create(id, NULL, fn, m) != 0)
                race_die("no thread");
}

/* The only line where somebody is. */
static size_t line_in_use(struct state *s)
{
        for (size_t i = 0; i < STATE_SLOTS; i++) {
                if (atomic_load(&s->lines[i]))
                        return i;
        }
        race_die("nobody is at a slot");
        return 0;
}

static bool in_order(struct state *s)
{
        pthread_t ids[THREADS + 1];
        struct member members[THREADS + 1];
        bool fine = true;
        atomic_store(&field->served, 0);
        members[THREADS] = (struct member){s, THREADS};
        start(&ids[THREADS], first, &members[THREADS]);
        while (sem_wait(&field->inside) != 0)
                ;
        size_t line = line_in_use(s);
        for (int i = 0; i < THREADS; i++) {
                struct ask *top = atomic_load(&s->lines[line]);
                members[i] = (struct member){s, i};
                start(&ids[i], other, &members[i]);
                while (atomic_load(&s->lines[line]) == top)
                        usleep(50);
        }
        sem_post(&field->go);
        for (int i = 0; i <= THREADS; i++)
                pthread_join(ids[i], NULL);
        for (int i = 0; i < THREADS; i++)
                fine &= field->order[i] == i;
        return fine && atomic_load(&field->served) == THREADS;
}

static void threads_in_order(void)
{
        struct state *s = race_open(NULL, NULL, true);
        int fine = 0;
        update(s, count, NULL);
        for (int i = 0; i < ROUNDS; i++)
                fine += in_order(s);
        race_ok(fine == ROUNDS, "threads have their turns in the order of asking, %d of %d times", fine,
                ROUNDS);
        state_close(s);
}

/* ---- a crowd in one process, and one alone in another */

static void *crowd_member(void *context)
{
        log_bind(race_sink, &field->complaints, NULL);
        while (!atomic_load(&field->stop)) {
                update(context, count, NULL);
                atomic_fetch_add(&field->turns, 1);
        }
        return NULL;
}

static void crowd(void)
{
        pthread_t ids[THREADS];
        struct state *s = race_open(NULL, NULL, false);
        log_bind(race_sink, &field->complaints, NULL);
        for (int i = 0; i < THREADS; i++) {
                if (pthread_create(&ids[i], NULL, crowd_member, s) != 0)
                        race_die("no thread");
        }
        for (int i = 0; i < THREADS; i++)
                pthread_join(ids[i], NULL);
        state_close(s);
}

static int by_number(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return x < y ? -1 : x > y;
}

/* Counted in turns of the others, not in time: so the machine's speed does not matter. */
static void one_among_many(void)
{
        enum { TIMES = 301 };
        static int64_t passed[TIMES];
        int status;
        pid_t child = race_fork();
        if (child == 0) {
                crowd();
                _exit(0);
        }
        struct state *s = race_open(NULL, NULL, false);
        while (atomic_load(&field->turns) < 1000)
                usleep(500);
        for (int i = 0; i < TIMES; i++) {
                int64_t before = atomic_load(&field->turns);
                update(s, count, NULL);
                passed[i] = atomic_load(&field->turns) - before;
                usleep(500);
        }
        atomic_store(&field->stop, true);
        bool fine = waitpid(child, &status, 0) == child && status == 0;
        qsort(passed, TIMES, sizeof *passed, by_number);
        printf("# one among %d threads of another process waits for %lld of their turns, at most %lld\n",
               THREADS, (long long)passed[TIMES / 2], (long long)passed[TIMES - 1]);
        race_ok(fine && passed[TIMES / 2] <= 100 * THREADS,
                "one process has its turns among the %d threads of another", THREADS);
        state_close(s);
}

int main(void)
{
        race_begin(soak() ? 3600 : 600);
        field = shared(sizeof *field);
        sem_init(&field->inside, 0, 0);
        sem_init(&field->go, 0, 0);
        log_bind(race_sink, &field->complaints, NULL);
        threads_in_order();
        one_among_many();
        race_ok(atomic_load(&field->complaints) == 0, "the log is silent");
        return race_end();
}
