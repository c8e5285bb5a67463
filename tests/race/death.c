/*
 * Death: processes under load are killed at random moments, 50 times. No limit is passed, no lease is left,
 * no slot is torn, and nobody waits for the dead.
 */
#include "race.h"

#include <sched.h>
#include <time.h>

enum { PROCESSES = 4, THREADS = 8, KILLS = 50, GRANTS = 200000, CONCURRENT = 6, TARGETS = 3, LINE = 2 };

/* One snapshot holds one number: of the targets only the first is counted. */
enum { AT_TARGET, AT_ACCOUNT, AT_MANY };
static const int at_once[AT_MANY] = {CONCURRENT, LINE};

struct field {
        _Atomic int64_t now_ms;
        atomic_size_t grant_count;
        _Atomic uint64_t flying[AT_MANY]; /* calls that hold a lease, 16 bits for each process */
        atomic_uint epoch; /* odd: one is being killed, and its part of `flying` says nothing */
        atomic_int passed[AT_MANY], overtaken, complaints;
        _Atomic int64_t done[PROCESSES], held[PROCESSES], waited[PROCESSES];
        struct grant grants[GRANTS];
};
static struct field *field;
static const struct config_limits limits = {.rpm = 300};
static const struct subject provider = {SLOT_PROVIDER, "openai"};
static const struct subject account = {SLOT_ACCOUNT, "helpdesk"}; /* its calls stand in line */

static int64_t now(void *context)
{
        (void)context;
        return atomic_load(&field->now_ms);
}

struct call {
        struct state *state;
        struct limit_turn turn;
        struct lease lease;
        uint64_t ticket;
};

static bool reserve(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        static const struct limit_ask ask = {.day = 1, .tokens = 10};
        c->turn = limit_reserve(&slot->limit, &limits, &ask, now_ms);
        return c->turn.granted;
}

static bool take(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        struct lease_context leases = state_leases(c->state);
        (void)now_ms;
        slot->turn++;
        lease_take(&slot->leases, CONCURRENT, &leases, &c->lease);
        return true;
}

static bool give(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        struct lease_context leases = state_leases(c->state);
        (void)now_ms;
        lease_give(&slot->leases, &leases, &c->lease);
        return true;
}

static bool join(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        struct lease_context leases = state_leases(c->state);
        (void)now_ms;
        c->ticket = lease_line_join(&slot->leases, 0, &leases);
        return true;
}

/* The slot's turn is the last ticket that was served: tickets never go back, whoever dies between them. */
static bool come_in(struct slot *slot, int64_t now_ms, void *context)
{
        struct call *c = context;
        struct lease_context leases = state_leases(c->state);
        (void)now_ms;
        if (!lease_line_take(&slot->leases, c->ticket, LINE, &leases, &c->lease))
                return true;
        if (c->ticket <= slot->turn)
                atomic_fetch_add(&field->overtaken, 1);
        slot->turn = c->ticket;
        return true;
}

static int64_t sum_of(uint64_t flying)
{
        int64_t sum = 0;
        for (int i = 0; i < PROCESSES; i++)
                sum += flying >> 16 * i & 0xffff;
        return sum;
}

static void pause_us(unsigned most, unsigned *seed)
{
        struct timespec t = {.tv_nsec = (long)(rand_r(seed) % (most + 1)) * 1000};
        nanosleep(&t, NULL);
}

static struct subject target(unsigned *seed)
{
        static const char *const names[TARGETS] = {"openai/a", "openai/b", "openai/c"};
        return (struct subject){SLOT_TARGET, names[(unsigned)rand_r(seed) % TARGETS]};
}

static void hold(int process, int at, unsigned *seed)
{
        uint64_t one = (uint64_t)1 << 16 * process;
        unsigned before = atomic_load(&field->epoch);
        uint64_t flying = atomic_fetch_add(&field->flying[at], one) + one;
        if (sum_of(flying) > at_once[at] && before % 2 == 0 && atomic_load(&field->epoch) == before)
                atomic_fetch_add(&field->passed[at], 1);
        pause_us(200, seed);
        atomic_fetch_sub(&field->flying[at], one);
}

static void update(struct call *c, struct subject at, slot_fn *fn)
{
        if (state_update(c->state, at, fn, c) != STATE_DONE)
                race_die("an update failed");
}

/* A place in the line, and the lease when it is its turn. */
static void stand_in_line(struct state *s, int process, unsigned *seed)
{
        struct call c = {.state = s};
        update(&c, account, join);
        if (c.ticket == 0)
                return; /* the line is full */
        for (update(&c, account, come_in); !c.lease.held; update(&c, account, come_in))
                pause_us(200, seed);
        hold(process, AT_ACCOUNT, seed);
        update(&c, account, give);
        atomic_fetch_add(&field->waited[process], 1);
}

static void work(struct state *s, int process, unsigned *seed)
{
        struct call c = {.state = s};
        struct subject at = target(seed);
        update(&c, provider, reserve);
        update(&c, at, take);
        if (c.turn.granted) {
                size_t i = atomic_fetch_add(&field->grant_count, 1);
                if (i < GRANTS)
                        field->grants[i] = (struct grant){c.turn.at_ms, c.turn.tokens};
        }
        if (c.lease.held) {
                if (strcmp(at.name, "openai/a") == 0)
                        hold(process, AT_TARGET, seed);
                else
                        pause_us(200, seed);
                atomic_fetch_add(&field->held[process], 1);
                update(&c, at, give);
        }
        if (rand_r(seed) % 4 == 0)
                stand_in_line(s, process, seed);
        atomic_fetch_add(&field->done[process], 1);
}

struct thread {
        struct state *state;
        int process;
        unsigned seed;
};

static void *thread(void *context)
{
        struct thread *t = context;
        log_bind(race_sink, &field->complaints, NULL);
        for (;;)
                work(t->state, t->process, &t->seed);
        return NULL;
}

static pid_t spawn(int number, unsigned seed)
{
        pid_t child = race_fork();
        if (child != 0)
                return child;
        pthread_t id;
        struct thread threads[THREADS];
        log_bind(race_sink, &field->complaints, NULL);
        struct state *s = race_open(now, NULL, true);
        for (int i = 0; i < THREADS; i++) {
                threads[i] = (struct thread){s, number, seed * 100 + (unsigned)i};
                if (pthread_create(&id, NULL, thread, &threads[i]) != 0)
                        race_die("no thread");
        }
        for (;;)
                pause();
}

/* Every process works on, however long the machine takes; the watchdog ends what hangs. */
static void all_work_on(void)
{
        int64_t before[PROCESSES];
        for (int i = 0; i < PROCESSES; i++)
                before[i] = atomic_load(&field->done[i]);
        for (int i = 0; i < PROCESSES; i++) {
                while (atomic_load(&field->done[i]) < before[i] + 20)
                        usleep(500);
        }
}

static void kill_one(pid_t *child, int number)
{
        int status;
        atomic_fetch_add(&field->epoch, 1);
        kill(*child, SIGKILL);
        if (waitpid(*child, &status, 0) != *child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                race_die("a process ended by itself");
        *child = -1;
        for (int at = 0; at < AT_MANY; at++)
                atomic_fetch_and(&field->flying[at], ~((uint64_t)0xffff << 16 * number));
        atomic_fetch_add(&field->epoch, 1);
}

static int64_t leases_left(struct state *s)
{
        int64_t left = 0;
        for (int i = 0; i < TARGETS; i++) {
                struct slot slot;
                char name[] = "openai/a";
                name[7] = (char)('a' + i);
                struct lease_context c = state_leases(s);
                if (state_read(s, (struct subject){SLOT_TARGET, name}, &slot))
                        left += lease_count(&slot.leases, &c);
        }
        return left;
}

/* One look strikes off all the dead: those who held a lease, and those who waited for one. */
static void judge_line(struct state *s)
{
        struct slot slot;
        struct lease lease;
        struct lease_context c = state_leases(s);
        int64_t waited = 0;
        bool there = state_read(s, account, &slot);
        race_ok(there && lease_take(&slot.leases, LINE, &c, &lease) && lease_line_length(&slot.leases) == 0 &&
                        lease_count(&slot.leases, &c) == 1,
                "none of the dead stands in line");
        race_ok(atomic_load(&field->passed[AT_ACCOUNT]) == 0, "the line: never more than %d at once", LINE);
        race_ok(atomic_load(&field->overtaken) == 0, "the line: first come, first served");
        for (int i = 0; i < PROCESSES; i++)
                waited += atomic_load(&field->waited[i]);
        race_ok(waited > 0, "the line: there was one");
        printf("# %lld had their turn in the line\n", (long long)waited);
}

static void judge(void)
{
        int64_t requests, tokens, held = 0;
        struct state_found found;
        struct slot slot;
        size_t count = atomic_load(&field->grant_count);
        struct state *s = race_open(now, NULL, false);
        race_ok(leases_left(s) == 0, "no lease is left");
        race_ok(atomic_load(&field->passed[AT_TARGET]) == 0, "never more than %d at once", CONCURRENT);
        state_slots_verify(s, &found);
        race_ok(atomic_load(&s->mended) == 0 && found.used == TARGETS + 2 && found.lost == 0,
                "no slot is torn");
        race_ok(state_read(s, provider, &slot) && slot.limit.day_requests >= (int64_t)count &&
                        slot.limit.day_requests <= (int64_t)count + (soak() ? 10 : 1) * KILLS * THREADS,
                "every turn that was used is counted");
        fullest(field->grants, count, &requests, &tokens);
        race_ok(requests <= limits.rpm, "never more than %lld in any 60 s", (long long)limits.rpm);
        race_ok(atomic_load(&field->complaints) == 0, "the log is silent");
        for (int i = 0; i < PROCESSES; i++)
                held += atomic_load(&field->held[i]);
        race_ok(held > 0 && count > 0, "there was something to lose");
        printf("# %zu turns, %lld in the fullest minute; %lld leases\n", count, (long long)requests,
               (long long)held);
        judge_line(s);
        state_close(s);
}

int main(void)
{
        pid_t children[PROCESSES];
        unsigned seed = (unsigned)time(NULL);
        int kills = soak() ? 10 * KILLS : KILLS;
        race_begin(soak() ? 3600 : 600);
        printf("# seed %u\n", seed);
        field = shared(sizeof *field);
        atomic_store(&field->now_ms, 1000000345);
        for (int i = 0; i < PROCESSES; i++)
                children[i] = spawn(i, seed + (unsigned)i);
        all_work_on();
        for (int n = 0; n < kills; n++) {
                int victim = rand_r(&seed) % PROCESSES;
                pause_us(3000, &seed);
                kill_one(&children[victim], victim);
                children[victim] = spawn(victim, seed);
                all_work_on();
                atomic_fetch_add(&field->now_ms, 1700);
        }
        race_ok(true, "nobody waits for the dead, %d times", kills);
        for (int i = 0; i < PROCESSES; i++)
                kill_one(&children[i], i);
        judge();
        return race_end();
}
