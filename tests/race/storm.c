/*
 * Exactness under a storm: 8 processes of 16 threads hammer limits for 90 simulated seconds. Never more than
 * the limit in any 60 s, wherever they begin; all of it can be used; every total is exact; and whoever asks
 * first gets the first turn.
 *
 * The parent keeps time: it wakes all threads that are due, waits until each has said when it is due next,
 * and moves the clock. So what happens is independent of the machine's speed; what races, races for real.
 */
#include "race.h"

enum { PROCESSES = 8, THREADS = 16, ALL = PROCESSES * THREADS, STEP_MS = 50, GRANTS = 200000, TOKENS = 200 };

struct variant {
        const char *name;
        struct config_limits limits;
        int64_t wait_ms, patience_ms; /* patience: how long at most between two asks of a thread */
        bool settle;                  /* what was used is told later, and is less */
        bool one_each;                /* of each process, one thread asks at a time */
};

static const struct variant variants[] = {
        {.name = "rpm", .limits = {.rpm = 300}, .patience_ms = 100},
        {.name = "rpm, asked for now and then", .limits = {.rpm = 300}, .patience_ms = 20000},
        {.name = "tpm", .limits = {.tpm = 30000}, .patience_ms = 400, .settle = true},
        {.name = "rpm and tpm", .limits = {.rpm = 300, .tpm = 30000}, .patience_ms = 400, .settle = true},
        {.name = "rpm with a queue",
         .limits = {.rpm = 300, .queue_ms = 5000},
         .wait_ms = 5000,
         .patience_ms = 400},
        {.name = "a queue, one thread a process",
         .limits = {.rpm = 300, .queue_ms = 5000},
         .wait_ms = 5000,
         .patience_ms = 400,
         .one_each = true},
        {.name = "a long queue",
         .limits = {.rpm = 300, .queue_ms = 60000},
         .wait_ms = 60000,
         .patience_ms = 8000},
        {.name = "a short queue",
         .limits = {.rpm = 300, .queue_ms = 20000, .queue_length = 20},
         .wait_ms = 20000,
         .patience_ms = 400},
};

/* One ask, for the order: counters of one shared counter before and after, and the turn's number. */
struct asked {
        int64_t before, after, served, at_ms;
};

struct field {
        _Atomic int64_t now_ms, counter, asks;
        atomic_size_t grant_count;
        atomic_int working, complaints;
        atomic_bool stop;
        sem_t wake[ALL], done;
        int64_t due_ms[ALL];
        struct grant grants[GRANTS];
        struct asked asked[GRANTS];
};
static struct field *field;
static const struct subject subject = {SLOT_PROVIDER, "openai"};

static int64_t now(void *context)
{
        (void)context;
        return atomic_load(&field->now_ms);
}

struct ask_turn {
        const struct variant *variant;
        struct limit_ask ask;
        struct limit_turn turn;
        int64_t served, used;
};

static bool reserve(struct slot *slot, int64_t now_ms, void *context)
{
        struct ask_turn *t = context;
        t->turn = limit_reserve(&slot->limit, &t->variant->limits, &t->ask, now_ms);
        t->served = (int64_t)slot->turn;
        slot->turn += t->turn.granted;
        return t->turn.granted;
}

static bool settle(struct slot *slot, int64_t now_ms, void *context)
{
        struct ask_turn *t = context;
        limit_settle(&slot->limit, &t->turn, t->used, now_ms);
        return true;
}

static void update(struct state *s, slot_fn *fn, struct ask_turn *t)
{
        if (state_update(s, subject, fn, t) != STATE_DONE)
                race_die("an update failed");
}

static void grant_note(const struct ask_turn *t, int64_t before, int64_t after)
{
        size_t i = atomic_fetch_add(&field->grant_count, 1);
        if (i >= GRANTS)
                race_die("more turns than can be");
        field->grants[i] = (struct grant){t->turn.at_ms, t->used};
        field->asked[i] = (struct asked){before, after, t->served, t->turn.at_ms};
}

struct thread {
        struct state *state;
        const struct variant *variant;
        int number;
        unsigned seed;
        bool held; /* a turn that is still to be settled */
        struct ask_turn turn;
};

static int64_t chance(struct thread *t, int64_t most)
{
        return most <= 0 ? 0 : rand_r(&t->seed) % (most + 1);
}

/* Gives when the thread is due next. */
static int64_t step(struct thread *t)
{
        const struct variant *v = t->variant;
        struct ask_turn *turn = &t->turn;
        int64_t now_ms = now(NULL);
        if (t->held) {
                update(t->state, settle, turn);
                t->held = false;
        }
        int64_t tokens = v->settle ? 10 + chance(t, TOKENS - 10) : 0;
        *turn = (struct ask_turn){.variant = v, .ask = {.tokens = tokens, .day = 1, .wait_ms = v->wait_ms}};
        turn->used = v->settle ? tokens / 2 + chance(t, tokens / 2) : 0;
        int64_t before = atomic_fetch_add(&field->counter, 1);
        update(t->state, reserve, turn);
        int64_t after = atomic_fetch_add(&field->counter, 1);
        atomic_fetch_add(&field->asks, 1);
        if (turn->turn.granted) {
                grant_note(turn, before, after);
                t->held = v->settle;
        }
        int64_t next = now_ms + 1 + chance(t, v->patience_ms);
        return turn->turn.granted && turn->turn.at_ms > next ? turn->turn.at_ms : next;
}

static void *thread(void *context)
{
        struct thread *t = context;
        log_bind(race_sink, &field->complaints, NULL);
        for (;;) {
                while (sem_wait(&field->wake[t->number]) != 0)
                        ;
                if (atomic_load(&field->stop))
                        break;
                field->due_ms[t->number] = step(t);
                if (atomic_fetch_sub(&field->working, 1) == 1)
                        sem_post(&field->done);
        }
        if (t->held)
                update(t->state, settle, &t->turn);
        return NULL;
}

static void process(const struct variant *v, int number)
{
        pthread_t ids[THREADS];
        struct thread threads[THREADS];
        log_bind(race_sink, &field->complaints, NULL);
        struct state *s = race_open(now, NULL, true);
        for (int i = 0; i < THREADS; i++) {
                int all = number * THREADS + i;
                threads[i] =
                        (struct thread){.state = s, .variant = v, .number = all, .seed = (unsigned)all + 1};
                if (pthread_create(&ids[i], NULL, thread, &threads[i]) != 0)
                        race_die("no thread");
        }
        for (int i = 0; i < THREADS; i++)
                pthread_join(ids[i], NULL);
        state_close(s);
}

/* Lets all who are due work at once. Gives false when nobody was. */
static bool round_of(const struct variant *v, int64_t now_ms)
{
        int due[ALL], count = 0;
        for (int p = 0; p < PROCESSES; p++) {
                for (int i = p * THREADS; i < (p + 1) * THREADS; i++) {
                        if (field->due_ms[i] > now_ms)
                                continue;
                        due[count++] = i;
                        if (v->one_each)
                                break;
                }
        }
        if (count == 0)
                return false;
        atomic_store(&field->working, count);
        for (int i = 0; i < count; i++)
                sem_post(&field->wake[due[i]]);
        while (sem_wait(&field->done) != 0)
                ;
        return true;
}

static void field_begin(void)
{
        field = shared(sizeof *field);
        /* Not at the begin of a second: windows begin anywhere. */
        atomic_store(&field->now_ms, 1000000345);
        sem_init(&field->done, 1, 0);
        for (int i = 0; i < ALL; i++)
                sem_init(&field->wake[i], 1, 0);
}

/* ---- what must hold */

static int by_before(const void *a, const void *b)
{
        const struct asked *x = a, *y = b;
        return x->before < y->before ? -1 : x->before > y->before;
}

static int by_served(const void *a, const void *b)
{
        const struct asked *x = a, *y = b;
        return x->served < y->served ? -1 : x->served > y->served;
}

/* Whoever had his answer before another asked has the earlier turn, always. Gives the most places that one
 * lies behind those who asked later. */
static int64_t overtaken(size_t count, bool *fine)
{
        struct asked *a = field->asked;
        int64_t worst = 0, last = 0;
        qsort(a, count, sizeof *a, by_served);
        for (size_t i = 0; i < count; i++) {
                *fine &= a[i].served == (int64_t)i && a[i].at_ms >= last;
                last = a[i].at_ms;
                /* Who asked only after i had his answer must not have been served before. */
                for (size_t k = i; k-- > 0 && i - k < 4 * ALL;)
                        *fine &= a[k].before < a[i].after;
        }
        qsort(a, count, sizeof *a, by_before);
        for (size_t i = 0; i < count; i++) {
                if (a[i].served - (int64_t)i > worst)
                        worst = a[i].served - (int64_t)i;
        }
        return worst;
}

static void judge(const struct variant *v)
{
        const struct config_limits *l = &v->limits;
        size_t count = atomic_load(&field->grant_count);
        int64_t requests, tokens, used = 0;
        struct slot slot = {0};
        struct state *s = race_open(now, NULL, false);
        bool there = state_read(s, subject, &slot);
        state_close(s);
        for (size_t i = 0; i < count; i++)
                used += field->grants[i].tokens;
        fullest(field->grants, count, &requests, &tokens);
        printf("# %s: %lld asked, %zu turns; the fullest minute: %lld turns, %lld tokens\n", v->name,
               (long long)atomic_load(&field->asks), count, (long long)requests, (long long)tokens);
        if (l->rpm)
                race_ok(requests <= l->rpm, "%s: never more than %lld in any 60 s", v->name,
                        (long long)l->rpm);
        if (l->tpm)
                race_ok(tokens <= l->tpm, "%s: never more than %lld tokens in any 60 s", v->name,
                        (long long)l->tpm);
        race_ok((l->rpm && requests >= l->rpm * 99 / 100) || (l->tpm && tokens >= l->tpm * 97 / 100),
                "%s: all of it can be used", v->name);
        race_ok(there && slot.limit.day_requests == (int64_t)count && slot.turn == count &&
                        slot.limit.day_tokens == used,
                "%s: the totals are exact", v->name);
        bool fine = true;
        int64_t places = overtaken(count, &fine);
        race_ok(fine, "%s: nobody is served before one who had his answer when he asked", v->name);
        if (v->one_each)
                race_ok(places <= PROCESSES, "%s: turns in the order of asking, to within a place a process",
                        v->name);
        printf("# %s: %lld places at most behind one who asked later\n", v->name, (long long)places);
        race_ok(atomic_load(&field->complaints) == 0, "%s: the log is silent", v->name);
}

static void run(const struct variant *v)
{
        pid_t children[PROCESSES];
        int64_t seconds = soak() ? 900 : 90;
        bool fine = true;
        field_begin();
        for (int i = 0; i < PROCESSES; i++) {
                children[i] = race_fork();
                if (children[i] == 0) {
                        process(v, i);
                        _exit(0);
                }
        }
        int64_t began = atomic_load(&field->now_ms);
        for (int64_t t = began; t < began + seconds * 1000; t += STEP_MS) {
                atomic_store(&field->now_ms, t);
                while (round_of(v, t))
                        ;
        }
        atomic_store(&field->stop, true);
        for (int i = 0; i < ALL; i++)
                sem_post(&field->wake[i]);
        for (int i = 0; i < PROCESSES; i++) {
                int status;
                fine &= waitpid(children[i], &status, 0) == children[i] && status == 0;
        }
        race_ok(fine, "%s: every process ends well", v->name);
        judge(v);
        munmap(field, sizeof *field);
        unlink(path);
}

int main(void)
{
        race_begin(soak() ? 3600 : 600);
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
                run(&variants[i]);
        return race_end();
}
