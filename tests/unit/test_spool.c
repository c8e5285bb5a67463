/* A spool file: what was appended is read again, whatever a kill, a full disk or a stranger made of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/spool.h"

enum { MIB = 1 << 20, HEADER = 4096 };

static char folder[] = "/tmp/tollgate-spool-XXXXXX";
static char why[512], logged[4096];
static int at = -1;

static void sink(void *context, const char *line, size_t len)
{
        (void)context;
        snprintf(logged, sizeof logged, "%.*s", (int)len, line);
}

static int fresh(void **unused)
{
        char command[256];
        (void)unused;
        logged[0] = '\0';
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        return system(command);
}

static struct spool *opened_with(int64_t first, int64_t most)
{
        bool taken;
        struct spool *s = spool_open(at, "0000", true, first, most, &taken, why);
        if (!s)
                fail_msg("%s", why);
        return s;
}

static struct spool *opened(void)
{
        return opened_with(64 << 10, 4 * MIB);
}

static bool append(struct spool *s, enum spool_kind kind, int64_t id)
{
        char text[64];
        int len = snprintf(text, sizeof text, "record %lld\n", (long long)id);
        return spool_append(s, kind, id, text, (size_t)len);
}

/* What was read: each text must be its own id's. */
struct seen {
        int64_t count, sum, last, first, stop_at;
};

static bool note(const struct spool_record *r, void *context)
{
        struct seen *s = context;
        char text[64];
        snprintf(text, sizeof text, "record %lld\n", (long long)r->id);
        if (s->stop_at && r->id == s->stop_at)
                return false;
        assert_true(r->len >= strlen(text));
        assert_memory_equal(r->bytes, text, strlen(text));
        s->first = s->count ? s->first : r->id;
        s->count++;
        s->sum += r->id;
        s->last = r->id;
        return true;
}

static struct seen look(struct spool *s)
{
        struct seen seen = {0};
        assert_int_equal(spool_read(s, 0, note, &seen), spool_end(s));
        return seen;
}

static bool keep_odd(const struct spool_record *r, void *context)
{
        (void)context;
        return r->id % 2;
}

static bool keep_none(const struct spool_record *r, void *context)
{
        (void)r;
        (void)context;
        return false;
}

static void damage(off_t place, const void *bytes, size_t len)
{
        int fd = openat(at, "0000", O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, bytes, len, place), len);
        close(fd);
}

/* The half in use, by the header. */
static off_t half(int64_t most)
{
        uint64_t header[2];
        int fd = openat(at, "0000", O_RDONLY);
        assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
        close(fd);
        return HEADER + (off_t)(header[1] & 1) * most;
}

/* ---- reading and writing */

static void what_is_appended_is_read(void **unused)
{
        (void)unused;
        struct spool *s = opened();
        struct seen seen = {.stop_at = 700};
        assert_int_equal(look(s).count, 0);
        for (int i = 1; i <= 40000; i++)
                assert_true(append(s, SPOOL_END, i));
        assert_int_equal(look(s).count, 40000);
        int64_t there = spool_read(s, 0, note, &seen);
        assert_int_equal(seen.last, 699);
        seen = (struct seen){0};
        assert_int_equal(spool_read(s, there, note, &seen), spool_end(s));
        assert_int_equal(seen.first, 700);
        assert_int_equal(seen.count, 40000 - 699);
        int64_t end = spool_end(s);
        spool_close(s);
        s = opened();
        assert_int_equal(spool_end(s), end);
        assert_int_equal(look(s).sum, 40000LL * 40001 / 2);
        spool_close(s);
}

static void long_ones_and_none(void **unused)
{
        static char text[SPOOL_RECORD_MAX + 1];
        (void)unused;
        struct spool *s = opened();
        memset(text, 'x', sizeof text);
        assert_false(spool_append(s, SPOOL_END, 1, text, 0));
        assert_false(spool_append(s, SPOOL_END, 1, text, sizeof text));
        assert_false(spool_full(s));
        memcpy(text, "record 5\n", 9);
        for (int i = 0; i < 20; i++)
                assert_true(spool_append(s, SPOOL_END, 5, text, SPOOL_RECORD_MAX - (size_t)i));
        assert_int_equal(look(s).count, 20);
        spool_close(s);
}

static void one_owner_at_a_time(void **unused)
{
        bool taken;
        (void)unused;
        struct spool *s = opened();
        assert_null(spool_open(at, "0000", true, 0, 0, &taken, why));
        assert_true(taken);
        append(s, SPOOL_BEGIN, 1);
        struct spool *other = spool_look(at, "0000");
        assert_int_equal(look(other).count, 1);
        spool_close(other);
        assert_null(spool_open(at, "0000", true, 0, 0, &taken, why)); /* to look takes nothing away */
        spool_close(s);
        spool_close(opened());
        assert_null(spool_look(at, "0001"));
        assert_null(spool_open(at, "0001", false, 0, 0, &taken, why));
        assert_false(taken);
}

/* ---- beginning anew */

static void beginning_anew_keeps_what_is_asked(void **unused)
{
        (void)unused;
        struct spool *s = opened();
        for (int round = 0; round < 6; round++) {
                uint64_t epoch = spool_epoch(s);
                for (int i = 1; i <= 100; i++)
                        append(s, SPOOL_BEGIN, 1000 * (round + 1) + i);
                int64_t moved = spool_end(s);
                append(s, SPOOL_END, 2);
                append(s, SPOOL_END, 4);
                assert_true(spool_restart(s, &moved, keep_odd, NULL));
                assert_true(spool_epoch(s) > epoch && (spool_epoch(s) ^ epoch) & 1);
                struct seen seen = {0};
                assert_int_equal(spool_read(s, moved, note, &seen), spool_end(s));
                assert_int_equal(seen.count, 2);
                moved = spool_end(s);
                assert_int_equal(look(s).count, 50 * (round + 1) + 2);
                assert_true(spool_restart(s, &moved, keep_odd, NULL)); /* and without the two */
                assert_int_equal(moved, spool_end(s));
                spool_close(s);
                s = opened();
                assert_int_equal(look(s).count, 50 * (round + 1));
        }
        spool_close(s);
}

struct writer {
        struct spool *spool;
        atomic_bool stop;
        _Atomic int64_t told;
};

static void *write_on(void *context)
{
        struct writer *w = context;
        while (!atomic_load(&w->stop)) {
                if (append(w->spool, SPOOL_END, atomic_load(&w->told) + 1))
                        atomic_fetch_add(&w->told, 1);
        }
        return NULL;
}

/* Somebody always writes: it begins anew all the same, each record is moved once, and it never fills. */
static void beginning_anew_under_load(void **unused)
{
        (void)unused;
        struct writer w = {.spool = opened()};
        struct seen seen = {0};
        int64_t moved = 0, restarts = 0;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
        while (restarts < 200) {
                moved = spool_read(w.spool, moved, note, &seen);
                assert_int_equal(seen.last, seen.count);
                if (moved < 64 << 10)
                        continue;
                assert_true(spool_restart(w.spool, &moved, keep_none, NULL));
                restarts++;
        }
        atomic_store(&w.stop, true);
        pthread_join(thread, NULL);
        spool_read(w.spool, moved, note, &seen);
        assert_int_equal(seen.count, atomic_load(&w.told));
        assert_false(spool_full(w.spool));
        spool_close(w.spool);
}

/* ---- kills, damage, strangers */

static void torn_records_are_passed_over(void **unused)
{
        static const char zeros[64];
        (void)unused;
        struct spool *s = opened();
        for (int i = 1; i <= 1000; i++)
                append(s, SPOOL_END, i);
        int64_t end = spool_end(s), each = end / 1000; /* about */
        off_t start = half(4 * MIB);
        spool_close(s);
        damage(start + 500 * each, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
        damage(start + 700 * each + 3, zeros, sizeof zeros);
        s = opened();
        assert_int_equal(spool_end(s), end);
        assert_in_range(look(s).count, 994, 998);
        assert_int_equal(look(s).last, 1000);
        spool_close(s);
        damage(start + end - 8, "torn", 4); /* the last one: as a kill leaves it */
        s = opened();
        assert_true(spool_end(s) < end);
        assert_int_equal(look(s).last, 999);
        assert_true(append(s, SPOOL_END, 1001));
        assert_int_equal(look(s).last, 1001);
        spool_close(s);
}

static void what_is_none_of_ours_is_set_aside(void **unused)
{
        char command[256];
        (void)unused;
        static const char *const first_bytes[] = {"sqlite format 3", "tgspool2", "\1\2\3"};
        for (size_t i = 0; i < 3; i++) {
                fresh(NULL);
                struct spool *s = opened();
                append(s, SPOOL_END, 7);
                spool_close(s);
                damage(0, first_bytes[i], strlen(first_bytes[i]));
                s = opened();
                assert_int_equal(look(s).count, 0);
                assert_non_null(strstr(logged, "0000"));
                spool_close(s);
                snprintf(command, sizeof command, "ls %s/0000.damaged-* >/dev/null", folder);
                assert_int_equal(system(command), 0);
        }
        fresh(NULL);
        spool_close(opened());
        damage(9, "\x55", 1); /* the epoch: nothing would be found in it */
        spool_close(opened());
        assert_non_null(strstr(logged, "0000"));
}

static void hostile_bytes(void **unused)
{
        (void)unused;
        srand48(11);
        for (int round = 0; round < 300; round++) {
                unsigned char noise[256];
                struct spool *s = opened_with(64 << 10, MIB);
                for (int i = 1; i <= 50; i++)
                        append(s, SPOOL_END, i);
                off_t start = half(MIB);
                spool_close(s);
                for (size_t i = 0; i < sizeof noise; i++)
                        noise[i] = (unsigned char)(round % 2 ? lrand48() : (lrand48() & 7 ? 0 : lrand48()));
                size_t len = 1 + (size_t)lrand48() % sizeof noise;
                damage(round % 8 ? start + lrand48() % 2600 : lrand48() % 64, noise, len);
                s = opened_with(64 << 10, MIB);
                struct seen seen = look(s); /* whatever is read is whole: note() asserts it */
                assert_true(seen.count <= 50);
                int64_t moved = spool_end(s);
                assert_true(spool_restart(s, &moved, keep_odd, NULL));
                assert_true(append(s, SPOOL_END, 51));
                assert_int_equal(look(s).last, 51);
                spool_close(s);
                fresh(NULL);
        }
}

static void where_it_may_lie(void **unused)
{
        bool taken;
        char other[128], name[128];
        (void)unused;
        snprintf(other, sizeof other, "%s/other", folder);
        snprintf(name, sizeof name, "%s/0000", folder);
        assert_int_equal(symlink("/dev/null", name), 0);
        assert_null(spool_open(at, "0000", true, 0, MIB, &taken, why));
        assert_false(taken);
        unlink(name);
        spool_close(opened());
        assert_int_equal(link(name, other), 0);
        assert_null(spool_open(at, "0000", true, 0, MIB, &taken, why));
        assert_non_null(strstr(why, "hard link"));
        unlink(other);
        chmod(name, 0640);
        assert_null(spool_open(at, "0000", true, 0, MIB, &taken, why));
        assert_non_null(strstr(why, "0600"));
        chmod(name, 0600);
        if (geteuid() == 0) {
                assert_int_equal(chown(name, 1234, (gid_t)-1), 0);
                assert_null(spool_open(at, "0000", true, 0, MIB, &taken, why));
                assert_non_null(strstr(why, "1234"));
                assert_int_equal(chown(name, 0, (gid_t)-1), 0);
        }
        spool_close(opened());
}

/* ---- no room */

static void the_bound_leaves_room_for_ends(void **unused)
{
        (void)unused;
        struct spool *s = opened_with(256 << 10, MIB);
        int64_t begun = 0, ended = 0;
        while (append(s, SPOOL_BEGIN, begun + 1))
                begun++;
        assert_true(spool_full(s));
        assert_false(append(s, SPOOL_PROGRESS, 1));
        while (append(s, SPOOL_END, begun + ended + 1))
                ended++;
        assert_in_range(ended, 64 * 1024 / 100, 64 * 1024 / 40);
        assert_int_equal(look(s).count, begun + ended);
        int64_t moved = spool_end(s);
        assert_true(spool_restart(s, &moved, keep_odd, NULL));
        assert_false(spool_full(s));
        assert_true(append(s, SPOOL_BEGIN, 1));
        spool_close(s);
}

/* The room allocated at the beginning is there when the disk is full: here no file may grow any more. */
static int fill_without_growing(void)
{
        bool taken;
        struct stat st;
        signal(SIGXFSZ, SIG_IGN);
        struct spool *s = spool_open(at, "0000", true, 256 << 10, 16 * MIB, &taken, why);
        int fd = openat(at, "0000", O_RDONLY), count = 0;
        if (!s || fstat(fd, &st) != 0)
                return 1;
        struct rlimit limit = {(rlim_t)st.st_size, (rlim_t)st.st_size};
        /* The half that lies behind is the one that would grow. */
        int64_t moved = spool_end(s);
        if (half(16 * MIB) == HEADER && !spool_restart(s, &moved, keep_odd, NULL))
                return 2;
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
                return 3;
        while (append(s, SPOOL_BEGIN, count + 1))
                count++;
        if (!spool_full(s) || count < 1000)
                return 4;
        if (!append(s, SPOOL_END, count + 1))
                return 5;
        struct seen seen = {0};
        if (spool_read(s, 0, note, &seen) != spool_end(s) || seen.count != count + 1)
                return 6;
        moved = spool_end(s);
        if (!spool_restart(s, &moved, keep_odd, NULL) || !append(s, SPOOL_BEGIN, 3))
                return 7;
        return 0;
}

static void a_full_disk(void **unused)
{
        int status;
        (void)unused;
        pid_t pid = fork();
        if (pid == 0)
                _exit(fill_without_growing());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- kills at any moment */

static void killed_at_any_moment(void **unused)
{
        _Atomic int64_t *told =
                mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        (void)unused;
        srand48(getpid());
        for (int round = 0; round < 40; round++) {
                fresh(NULL);
                atomic_store(told, 0);
                pid_t pid = fork();
                if (pid == 0) {
                        struct spool *s = opened_with(64 << 10, MIB);
                        /* Odd ones stay for ever; an even one is there until the next time it begins anew. */
                        for (int64_t id = 1;; id++) {
                                if (!append(s, id % 50 == 1 ? SPOOL_BEGIN : SPOOL_END,
                                            id % 50 == 1 ? id : id * 2))
                                        _exit(9);
                                atomic_store(told, id);
                                int64_t moved = spool_end(s);
                                if (id % 1000 == 0 && !spool_restart(s, &moved, keep_odd, NULL))
                                        _exit(8);
                        }
                }
                while (atomic_load(told) < 2000)
                        usleep(100);
                usleep((useconds_t)(lrand48() % 3000));
                kill(pid, SIGKILL);
                int status;
                waitpid(pid, &status, 0);
                if (WIFEXITED(status)) { /* full: enough for this once */
                        assert_int_equal(WEXITSTATUS(status), 9);
                        continue;
                }
                struct spool *s = opened_with(64 << 10, MIB);
                int64_t odd = (atomic_load(told) + 49) / 50;
                struct seen seen = look(s);
                int64_t moved = spool_end(s);
                assert_true(spool_restart(s, &moved, keep_odd, NULL));
                seen = look(s);
                assert_in_range(seen.count, odd, odd + 1);
                spool_close(s);
        }
        munmap((void *)told, sizeof *told);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(what_is_appended_is_read, fresh),
                cmocka_unit_test_setup(long_ones_and_none, fresh),
                cmocka_unit_test_setup(one_owner_at_a_time, fresh),
                cmocka_unit_test_setup(beginning_anew_keeps_what_is_asked, fresh),
                cmocka_unit_test_setup(beginning_anew_under_load, fresh),
                cmocka_unit_test_setup(torn_records_are_passed_over, fresh),
                cmocka_unit_test_setup(what_is_none_of_ours_is_set_aside, fresh),
                cmocka_unit_test_setup(hostile_bytes, fresh),
                cmocka_unit_test_setup(where_it_may_lie, fresh),
                cmocka_unit_test_setup(the_bound_leaves_room_for_ends, fresh),
                cmocka_unit_test_setup(a_full_disk, fresh),
                cmocka_unit_test_setup(killed_at_any_moment, fresh),
        };
        log_bind(sink, NULL, NULL);
        if (!mkdtemp(folder) || (at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
                return 99;
        int status = cmocka_run_group_tests(tests, NULL, NULL);
        fresh(NULL);
        rmdir(folder);
        return status;
}
