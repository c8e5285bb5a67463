/* store/state: slots that are found, made, forgotten and taken over; whose leases die with whom. */
#include "state_world.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void slots_are_found_again(void **state)
{
        (void)state;
        char name[32];
        struct slot slot;
        struct state *s = opened();
        assert_int_equal(turns(s, SLOT_TARGET, "a"), -1);
        for (int i = 0; i < 500; i++) {
                snprintf(name, sizeof name, "t%d", i);
                for (int n = 0; n <= i % 3; n++)
                        assert_int_equal(turn(s, SLOT_TARGET, name), STATE_DONE);
                assert_int_equal(turn(s, SLOT_CALLER, name), STATE_DONE);
        }
        state_close(s);
        s = opened();
        for (int i = 0; i < 500; i++) {
                snprintf(name, sizeof name, "t%d", i);
                assert_int_equal(turns(s, SLOT_TARGET, name), i % 3 + 1);
                assert_int_equal(turns(s, SLOT_CALLER, name), 1);
                assert_int_equal(turns(s, SLOT_PROVIDER, name), -1);
        }
        assert_int_equal(turns(s, SLOT_TARGET, "t"), -1);
        assert_int_equal(turns(s, SLOT_TARGET, "t10x"), -1);
        assert_true(state_read(s, (struct subject){SLOT_TARGET, "t7"}, &slot));
        assert_string_equal(slot.name, "t7");
        assert_int_equal(slot.kind, SLOT_TARGET);
        assert_in_range(slot.used_ms, state_now_ms(s) - 600000, state_now_ms(s));
        assert_string_equal(logged, "");
        state_close(s);
}

static void long_names_are_cut(void **state)
{
        (void)state;
        char name[400], cut[400];
        struct state *s = opened();
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        memcpy(cut, name, sizeof cut);
        cut[SLOT_NAME - 1] = '\0';
        assert_int_equal(turn(s, SLOT_CALLER, name), STATE_DONE);
        assert_int_equal(turns(s, SLOT_CALLER, cut), 1);
        cut[SLOT_NAME - 2] = '\0';
        assert_int_equal(turns(s, SLOT_CALLER, cut), -1);
        assert_int_equal(turn(s, SLOT_CALLER, ""), STATE_DONE);
        assert_int_equal(turns(s, SLOT_CALLER, ""), 1);
        state_close(s);
}

static bool leave(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        slot->turn = 99;
        *(bool *)context = true;
        return false;
}

static void what_is_not_written_is_not_there(void **state)
{
        (void)state;
        bool called = false;
        struct state *s = opened();
        assert_int_equal(state_update(s, (struct subject){SLOT_VERSION, "v"}, leave, &called), STATE_DONE);
        assert_true(called);
        assert_int_equal(turns(s, SLOT_VERSION, "v"), -1);
        turn(s, SLOT_VERSION, "v");
        state_update(s, (struct subject){SLOT_VERSION, "v"}, leave, &called);
        assert_int_equal(turns(s, SLOT_VERSION, "v"), 1);
        state_close(s);
}

struct seen {
        int count;
        uint64_t turns;
};

static void see(const struct slot *slot, void *context)
{
        struct seen *seen = context;
        seen->count++;
        seen->turns += slot->turn;
        assert_in_range(slot->kind, SLOT_ACCOUNT, SLOT_DIRECT);
}

static void each_is_seen_once(void **state)
{
        (void)state;
        char name[32];
        struct seen seen = {0};
        struct state *s = opened();
        state_each(s, see, &seen);
        assert_int_equal(seen.count, 0);
        for (int i = 0; i < 60; i++) {
                snprintf(name, sizeof name, "n%d", i);
                turn(s, (enum slot_kind)(SLOT_ACCOUNT + i % 6), name);
                turn(s, (enum slot_kind)(SLOT_ACCOUNT + i % 6), name);
        }
        state_each(s, see, &seen);
        assert_int_equal(seen.count, 60);
        assert_int_equal(seen.turns, 120);
        state_close(s);
}

/* ---- leases */

static bool take_one(struct slot *slot, int64_t now_ms, void *context)
{
        struct lease_context c = state_leases(context);
        struct lease lease;
        (void)now_ms;
        slot->turn++;
        return lease_take(&slot->leases, 0, &c, &lease) && lease.counted;
}

static int64_t leases(struct state *s, const char *name)
{
        struct slot slot;
        struct lease_context c = state_leases(s);
        return state_read(s, (struct subject){SLOT_TARGET, name}, &slot) ? lease_count(&slot.leases, &c) : -1;
}

static void reset_keeps_calls_under_way(void **state)
{
        (void)state;
        struct state *s = opened();
        struct subject subject = {SLOT_TARGET, "a"};
        assert_false(state_reset(s, subject));
        state_update(s, subject, take_one, s);
        assert_true(state_reset(s, subject));
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 0);
        assert_int_equal(leases(s, "a"), 1);
        state_close(s);
        s = opened();
        assert_int_equal(leases(s, "a"), 0);
        state_close(s);
}

/* A process that opens the state, holds `count` leases and sits there. helper: with a program of its own. */
static pid_t holder(int count, pid_t *helper)
{
        int ends[2];
        pid_t told[2] = {0};
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
                enum state_problem problem;
                struct state_options o = {.path = path};
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                struct state *s = state_open(&o, &problem, why);
                for (int i = 0; s && i < count; i++)
                        state_update(s, (struct subject){SLOT_TARGET, "a"}, take_one, s);
                if (helper && (told[1] = fork()) == 0) {
                        execl("/bin/sleep", "sleep", "600", (char *)NULL);
                        _exit(127);
                }
                told[0] = s != NULL;
                if (write(ends[1], told, sizeof told) != sizeof told)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], told, sizeof told), sizeof told);
        close(ends[0]);
        assert_int_equal(told[0], 1);
        if (helper)
                *helper = told[1];
        return child;
}

static void end(pid_t pid)
{
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void leases_die_with_their_process(void **state)
{
        (void)state;
        struct state *s = opened();
        state_update(s, (struct subject){SLOT_TARGET, "a"}, take_one, s);
        pid_t first = holder(2, NULL), second = holder(3, NULL);
        assert_int_equal(leases(s, "a"), 6);
        end(first);
        assert_int_equal(leases(s, "a"), 4);
        /* The next one gets the same number in the registry, not its leases. */
        pid_t third = holder(1, NULL);
        assert_int_equal(leases(s, "a"), 5);
        end(second);
        end(third);
        assert_int_equal(leases(s, "a"), 1);
        state_close(s);
}

static void a_program_started_keeps_nothing_alive(void **state)
{
        (void)state;
        pid_t helper;
        struct state *s = opened();
        pid_t child = holder(2, &helper);
        /* The helper becomes another program in its own time: only then is nothing inherited any more. */
        char exe[64], program[256] = "";
        snprintf(exe, sizeof exe, "/proc/%ld/exe", (long)helper);
        for (int i = 0; i < 3000 && !strstr(program, "sleep") && !strstr(program, "coreutils") &&
                        !strstr(program, "busybox");
             i++) {
                ssize_t n = readlink(exe, program, sizeof program - 1);
                program[n > 0 ? n : 0] = '\0';
                usleep(10000);
        }
        assert_int_equal(leases(s, "a"), 2);
        end(child);
        assert_int_equal(kill(helper, 0), 0);
        assert_int_equal(leases(s, "a"), 0);
        kill(helper, SIGKILL);
        state_close(s);
}

static void in_memory(void **state)
{
        (void)state;
        struct state *s = open_as(&(struct state_options){.now_ms = simulated}, STATE_FINE);
        struct state *other = open_as(&(struct state_options){0}, STATE_FINE);
        assert_int_equal(state_now_ms(s), clock_ms);
        assert_int_equal(turn(s, SLOT_TARGET, "a"), STATE_DONE);
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 1);
        assert_int_equal(turns(other, SLOT_TARGET, "a"), -1);
        state_update(s, (struct subject){SLOT_TARGET, "a"}, take_one, s);
        assert_int_equal(leases(s, "a"), 1);
        state_close(s);
        state_close(other);
        state_close(NULL);
}

/* ---- full */

/* What a slot of a crowd is to hold. */
struct filling {
        struct state *state;
        bool lease, day, open, told;
};

static bool fill(struct slot *slot, int64_t now_ms, void *context)
{
        const struct filling *f = context;
        slot->limit.day_requests = f->day;
        if (f->open)
                slot->cool.until_ms = now_ms + 3600 * 1000;
        if (f->told)
                slot->limit.told_requests = (struct limit_told){100, 0, now_ms, now_ms + 3600 * 1000};
        if (f->lease)
                take_one(slot, now_ms, f->state);
        return true;
}

/* Names until one finds no place; how many found one. */
static int fill_up(struct state *s, enum slot_kind kind, const char *name, struct filling f)
{
        char full[64];
        f.state = s;
        for (int i = 0; i < 2 * STATE_SLOTS; i++) {
                snprintf(full, sizeof full, "%s%d", name, i);
                enum state_result r = state_update(s, (struct subject){kind, full}, fill, &f);
                if (r == STATE_FULL)
                        return i;
                assert_int_equal(r, STATE_DONE);
        }
        fail_msg("never full");
        return 0;
}

static void strangers_fill_only_their_own(void **state)
{
        (void)state;
        struct state *s = opened_in_simulation();
        int n = fill_up(s, SLOT_CALLER, "c", (struct filling){0});
        char last[32];
        snprintf(last, sizeof last, "c%d", n);
        assert_in_range(n, STATE_SLOTS_CALLERS / 4, STATE_SLOTS_CALLERS);
        assert_int_equal(turn(s, SLOT_ACCOUNT, "helpdesk"), STATE_DONE);
        assert_int_equal(turn(s, SLOT_CALLER, "c0"), STATE_DONE);
        /* Within the window nobody gives way; afterwards one does, and whoever was active stays. */
        clock_ms += 119000;
        assert_int_equal(turn(s, SLOT_CALLER, last), STATE_FULL);
        assert_int_equal(turn(s, SLOT_CALLER, "c1"), STATE_DONE);
        clock_ms += 2000;
        assert_int_equal(turn(s, SLOT_CALLER, last), STATE_DONE);
        assert_int_equal(turns(s, SLOT_CALLER, last), 1);
        assert_int_equal(turns(s, SLOT_CALLER, "c1"), 1);
        struct seen seen = {0};
        state_each(s, see, &seen);
        assert_int_equal(seen.count, n + 1);
        state_close(s);
}

static void who_holds_something_stays(void **state)
{
        (void)state;
        static const struct {
                enum slot_kind kind;
                struct filling filling;
                int64_t stays_ms, goes_ms;
        } cases[] = {
                {SLOT_CALLER, {.lease = true}, 72 * 3600000LL, 0},
                {SLOT_CALLER, {.open = true}, 3500000, 3700000},
                {SLOT_CALLER, {.day = true}, 60000, 130000},
                {SLOT_ACCOUNT, {.day = true}, 47 * 3600000LL, 49 * 3600000LL},
                {SLOT_ACCOUNT, {0}, 60000, 130000},
                {SLOT_TARGET, {.told = true}, 3500000, 3700000},
                {SLOT_DIRECT, {.told = true}, 60000, 130000},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                world_fresh(NULL);
                struct state *s = opened_in_simulation();
                int n = fill_up(s, cases[i].kind, "n", cases[i].filling);
                char last[32];
                snprintf(last, sizeof last, "n%d", n);
                int64_t began = clock_ms;
                clock_ms = began + cases[i].stays_ms;
                if (turn(s, cases[i].kind, last) != STATE_FULL)
                        fail_msg("case %zu gives way too early", i);
                clock_ms = began + cases[i].goes_ms;
                if (cases[i].goes_ms && turn(s, cases[i].kind, last) != STATE_DONE)
                        fail_msg("case %zu stays too long", i);
                state_close(s);
        }
}

/* Names that all want the same place. */
static void neighbours(struct state *s, char (*names)[32], int count)
{
        uint64_t seed = atomic_load(&s->seed);
        for (int i = 0, n = 0; n < count; i++) {
                int len = snprintf(names[n], sizeof names[n], "n%d", i);
                n += slot_hash(seed, SLOT_CALLER, names[n], (size_t)len) % STATE_SLOTS_CALLERS == 7000;
        }
}

/* Days give way only after those that hold nothing, the oldest first. */
static void the_least_is_lost(void **state)
{
        (void)state;
        enum { WINDOW = 16, COUNT = WINDOW + 4 };
        char names[COUNT][32];
        struct state *s = opened_in_simulation();
        neighbours(s, names, COUNT);
        for (int i = 0; i < WINDOW; i++) {
                bool idle = i == 9 || i == 12;
                clock_ms += 1000;
                assert_int_equal(state_update(s, (struct subject){SLOT_CALLER, names[i]}, fill,
                                              &(struct filling){.state = s, .day = !idle}),
                                 STATE_DONE);
        }
        assert_int_equal(turn(s, SLOT_CALLER, names[WINDOW]), STATE_FULL);
        clock_ms += 200000;
        static const int goes[] = {9, 12, 0, 1};
        for (int n = 0; n < COUNT - WINDOW; n++) {
                assert_int_equal(turn(s, SLOT_CALLER, names[WINDOW + n]), STATE_DONE);
                assert_int_equal(turns(s, SLOT_CALLER, names[goes[n]]), -1);
                struct seen seen = {0};
                state_each(s, see, &seen);
                assert_int_equal(seen.count, WINDOW);
        }
        state_close(s);
}

/* ---- trouble */

static void a_full_disk_is_told_once(void **state)
{
        (void)state;
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        state_close(s);
        pid_t child = fork();
        if (child == 0) {
                struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
                s = opened();
                logged[0] = '\0';
                signal(SIGXFSZ, SIG_IGN);
                setrlimit(RLIMIT_FSIZE, &none);
                for (int i = 0; i < 5; i++) {
                        if (turn(s, SLOT_TARGET, "a") != STATE_FAILED ||
                            turn(s, SLOT_TARGET, "b") != STATE_FAILED)
                                _exit(2);
                }
                char *first = strstr(logged, "cannot be written");
                if (!first || strstr(first + 1, "cannot be") || !strstr(logged, path))
                        _exit(3);
                _exit(turns(s, SLOT_TARGET, "a") == 1 ? 0 : 4);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

/* ---- many at once */

enum { CROWD = 16, EACH = 400 };

static void *crowd_member(void *context)
{
        char name[32];
        for (int i = 0; i < EACH; i++) {
                snprintf(name, sizeof name, "shared%d", i % 40);
                if (turn(context, SLOT_CALLER, name) != STATE_DONE ||
                    turn(context, SLOT_TARGET, "one") != STATE_DONE)
                        abort();
        }
        return NULL;
}

static void nothing_is_lost_among_many(void **state)
{
        (void)state;
        enum { PROCESSES = 3 };
        pid_t children[PROCESSES];
        for (int p = 0; p < PROCESSES; p++) {
                children[p] = fork();
                if (children[p] == 0) {
                        pthread_t threads[CROWD];
                        struct state *s = opened();
                        for (int i = 0; i < CROWD; i++)
                                pthread_create(&threads[i], NULL, crowd_member, s);
                        for (int i = 0; i < CROWD; i++)
                                pthread_join(threads[i], NULL);
                        state_close(s);
                        _exit(0);
                }
        }
        for (int p = 0; p < PROCESSES; p++) {
                int status;
                assert_int_equal(waitpid(children[p], &status, 0), children[p]);
                assert_int_equal(status, 0);
        }
        struct state *s = opened();
        struct seen seen = {0};
        state_each(s, see, &seen);
        assert_int_equal(seen.count, 41);
        assert_int_equal(seen.turns, 2 * PROCESSES * CROWD * EACH);
        assert_int_equal(turns(s, SLOT_TARGET, "one"), PROCESSES * CROWD * EACH);
        state_close(s);
}

static void kinds_have_names(void **state)
{
        (void)state;
        for (int i = 0; i < SLOT_KINDS; i++)
                assert_non_null(slot_kind_name((enum slot_kind)i));
        assert_string_equal(slot_kind_name(SLOT_VERSION), "version");
        assert_string_equal(slot_kind_name((enum slot_kind)77), "unknown");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup(fn, world_fresh)
        static const struct CMUnitTest tests[] = {
                TEST(slots_are_found_again),
                TEST(long_names_are_cut),
                TEST(what_is_not_written_is_not_there),
                TEST(each_is_seen_once),
                TEST(reset_keeps_calls_under_way),
                TEST(leases_die_with_their_process),
                TEST(a_program_started_keeps_nothing_alive),
                TEST(in_memory),
                TEST(strangers_fill_only_their_own),
                TEST(who_holds_something_stays),
                TEST(the_least_is_lost),
                TEST(a_full_disk_is_told_once),
                TEST(nothing_is_lost_among_many),
                TEST(kinds_have_names),
        };
        return cmocka_run_group_tests(tests, world_begin, world_end);
}
