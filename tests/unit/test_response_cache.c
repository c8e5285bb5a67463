/* Answers in files: kept, found, expired, bounded; by many processes at once, some of which die; and hostile
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/response_cache.h"

#define NOW INT64_C(1790000000000)

static char base[] = "/tmp/tollgate-answers-XXXXXX";
static char folder[128];
static struct response_cache *rc;

static void shell(const char *fmt, const char *where)
{
        char command[4096];
        snprintf(command, sizeof command, fmt, where);
        assert_int_equal(system(command), 0);
}

static int fresh(void **unused)
{
        (void)unused;
        shell("chmod 700 %s; rm -rf %1$s/*", base);
        rc = response_cache_new();
        return 0;
}

static int done(void **unused)
{
        (void)unused;
        response_cache_free(rc);
        return 0;
}

static struct response_room room(const char *name)
{
        return (struct response_room){.folder = folder, .name = name, .keep_ms = 60000, .size = 1 << 20};
}

static void name_of(const char *what, uint8_t name[RESPONSE_NAME])
{
        struct response_digest *d = response_digest_new(rc, folder);
        assert_non_null(d);
        response_digest_add(d, what, strlen(what));
        response_digest_end(d, name);
}

static bool keep(const struct response_room *r, const char *what, int64_t now, const char *answer)
{
        uint8_t name[RESPONSE_NAME];
        name_of(what, name);
        return response_cache_keep(rc, r, name, now, str_of(answer));
}

static bool finds(const struct response_room *r, const char *what, int64_t now, const char *answer)
{
        uint8_t name[RESPONSE_NAME];
        struct buf out;
        name_of(what, name);
        buf_init(&out, 1 << 20);
        bool found = response_cache_find(rc, r, name, now, &out);
        if (found && answer)
                assert_string_equal(out.data, answer);
        buf_release(&out);
        return found;
}

/* ---- all files ---- */

static size_t answers, unfinished, wrong_modes;
static int64_t bytes;
static char last[512];

static int look(const char *path, const struct stat *st, int kind, struct FTW *at)
{
        const char *name = path + at->base;
        if ((st->st_mode & 07777) != (kind == FTW_D ? 0700 : 0600))
                wrong_modes++;
        if (kind != FTW_F)
                return 0;
        if (strncmp(name, ".new-", 5) == 0)
                unfinished++;
        if (strlen(name) == 64) {
                answers++;
                bytes += st->st_size;
                snprintf(last, sizeof last, "%s", path);
        }
        return 0;
}

static void look_at_files(void)
{
        answers = unfinished = wrong_modes = 0;
        bytes = 0;
        nftw(folder, look, 16, FTW_PHYS);
}

/* ---- tests ---- */

static void test_kept_and_found(void **unused)
{
        struct response_room a = room("a"), b = room("b"), shared = room("");
        (void)unused;
        assert_false(finds(&a, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW, "the answer"));
        assert_true(finds(&a, "q", NOW + 1, "the answer"));
        assert_false(finds(&a, "other", NOW, NULL));
        assert_false(finds(&b, "q", NOW, NULL));
        assert_false(finds(&shared, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW + 5, "a newer one"));
        assert_true(finds(&a, "q", NOW + 6, "a newer one"));
        assert_true(keep(&a, "empty", NOW, ""));
        assert_true(finds(&a, "empty", NOW, ""));
        /* Another process, later. */
        response_cache_free(rc);
        rc = response_cache_new();
        assert_true(finds(&a, "q", NOW + 7, "a newer one"));
        look_at_files();
        assert_int_equal(answers, 2);
        assert_int_equal(unfinished, 0);
        assert_int_equal(wrong_modes, 0);
}

static void test_expiry(void **unused)
{
        struct response_room a = room("a"), shorter = room("a");
        (void)unused;
        shorter.keep_ms = 1000;
        assert_true(keep(&a, "q", NOW, "x"));
        assert_true(finds(&a, "q", NOW + 59999, NULL));
        assert_false(finds(&a, "q", NOW + 60000, NULL));
        /* What the configuration says now counts, for what was kept before too. */
        assert_true(finds(&shorter, "q", NOW + 999, NULL));
        assert_false(finds(&shorter, "q", NOW + 1000, NULL));
        /* From a time to come: a clock was set back. */
        assert_false(finds(&a, "q", NOW - 3600000, NULL));
        /* Removed, of whichever account, once in ten minutes. */
        struct response_room other = room("other");
        assert_true(keep(&other, "p", NOW + 300000, "y"));
        look_at_files();
        assert_int_equal(answers, 2);
        assert_true(keep(&other, "p", NOW + 700000, "y"));
        look_at_files();
        assert_int_equal(answers, 1);
}

static void test_size(void **unused)
{
        struct response_room a = room("a"), b = room("b");
        char what[32], answer[1001];
        (void)unused;
        a.size = 100000;
        memset(answer, 'x', 1000);
        answer[1000] = '\0';
        assert_true(keep(&b, "b", NOW, answer));
        for (int i = 0; i < 1000; i++) {
                snprintf(what, sizeof what, "%d", i);
                assert_true(keep(&a, what, NOW + i, answer));
                look_at_files();
                assert_true(bytes <= a.size + 1200);
        }
        /* The newest are there, the oldest not; nobody else's was touched. */
        for (int i = 0; i < 1000; i++) {
                snprintf(what, sizeof what, "%d", i);
                assert_int_equal(finds(&a, what, NOW + 1000, answer), i >= 1000 - (int)answers + 1);
        }
        assert_true(answers > 70);
        assert_true(finds(&b, "b", NOW, answer));
        /* One that is too large is not kept, and drives nothing out. */
        a.size = 1000;
        assert_false(keep(&a, "large", NOW + 1001, answer));
        assert_true(finds(&a, "999", NOW + 1001, answer));
}

static void test_torn_and_hostile(void **unused)
{
        struct response_room a = room("a");
        struct stat st;
        char other[512];
        (void)unused;
        assert_true(keep(&a, "q", NOW, "the answer of the model"));
        look_at_files();
        assert_int_equal(stat(last, &st), 0);
        /* Cut anywhere. */
        for (off_t len = 0; len < st.st_size; len++) {
                assert_int_equal(truncate(last, len), 0);
                assert_false(finds(&a, "q", NOW, NULL));
                assert_true(keep(&a, "q", NOW, "the answer of the model"));
        }
        /* Any bit changed. */
        for (off_t at = 0; at < st.st_size; at++) {
                int fd = open(last, O_RDWR);
                char byte;
                assert_int_equal(pread(fd, &byte, 1, at), 1);
                byte ^= 4;
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
                assert_false(finds(&a, "q", NOW, NULL));
                byte ^= 4;
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
                close(fd);
                assert_true(finds(&a, "q", NOW, NULL));
        }
        /* Longer than it says. */
        assert_int_equal(truncate(last, st.st_size + 1), 0);
        assert_false(finds(&a, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW, "one"));
        /* Another question's answer under this name. */
        snprintf(other, sizeof other, "%s", last);
        assert_true(keep(&a, "p", NOW, "two"));
        shell("cp $(find %s -mindepth 3 -type f | head -n 1) %1$s/two", folder);
        shell("for f in %s/*/*/*; do cp %1$s/two $f; done", folder);
        assert_int_equal(finds(&a, "q", NOW, NULL) + finds(&a, "p", NOW, NULL), 1);
        /* A link to somewhere, a name more, a mode for all, no file at all. */
        assert_true(keep(&a, "q", NOW, "one"));
        shell("mv %s %1$s.away && ln -s %1$s.away %1$s", other);
        assert_false(finds(&a, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW, "one"));
        assert_int_equal(lstat(other, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        shell("ln %s %1$s.more", other);
        assert_false(finds(&a, "q", NOW, NULL));
        shell("rm %s.more && chmod 644 %1$s", other);
        assert_false(finds(&a, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW, "one"));
        assert_true(finds(&a, "q", NOW, "one"));
        shell("rm %s && mkfifo -m 600 %1$s", other);
        assert_false(finds(&a, "q", NOW, NULL));
}

static bool usable(void)
{
        struct response_digest *d = response_digest_new(rc, folder);
        if (d)
                response_digest_end(d, NULL);
        response_cache_free(rc);
        rc = response_cache_new();
        return d;
}

static void test_place(void **unused)
{
        (void)unused;
        assert_true(usable());
        shell("chmod 755 %s", folder);
        assert_false(usable());
        shell("chmod 700 %s && mv %1$s %1$s.away && ln -s %1$s.away %1$s", folder);
        assert_false(usable());
        shell("rm %s && touch %1$s", folder);
        assert_false(usable());
        shell("rm -r %s && rm -r %1$s.away", folder);
}

static void test_open_parent(void **unused)
{
        (void)unused;
        shell("chmod 777 %s", base);
        assert_false(usable());
        shell("chmod 700 %s", base);
        assert_true(usable());
        /* A key that a full disk cut short is made anew, one of others is not used. */
        shell("truncate -s 7 %s/key", folder);
        assert_true(usable());
        shell("chmod 640 %s/key", folder);
        assert_false(usable());
        shell("rm %s/key && ln -s /etc/hostname %1$s/key", folder);
        assert_false(usable());
}

static void test_folder_removed(void **unused)
{
        struct response_room a = room("a");
        (void)unused;
        assert_true(keep(&a, "q", NOW, "x"));
        shell("rm -r %s", folder);
        assert_false(finds(&a, "q", NOW, NULL));
        assert_true(keep(&a, "q", NOW, "y"));
        assert_true(finds(&a, "q", NOW, "y"));
}

/* ---- processes ---- */

static void fill(char *answer, size_t size, int question)
{
        memset(answer, 'a' + question % 26, size - 1);
        answer[size - 1] = '\0';
}

/* Keeps and finds at random, until it is killed or has done its share. Whatever is found is whole. */
static int live(unsigned seed, int turns)
{
        struct response_room a = room("a");
        char what[32], answer[4096];
        a.size = 200000;
        response_cache_free(rc); /* what the parent knew is not this one's */
        rc = response_cache_new();
        for (int i = 0; i < turns; i++) {
                int question = rand_r(&seed) % 100;
                uint8_t name[RESPONSE_NAME];
                struct buf out;
                snprintf(what, sizeof what, "%d", question);
                fill(answer, sizeof answer, question);
                struct response_digest *d = response_digest_new(rc, folder);
                if (!d)
                        return 2;
                response_digest_add(d, what, strlen(what));
                response_digest_end(d, name);
                buf_init(&out, 1 << 20);
                if (response_cache_find(rc, &a, name, NOW, &out)) {
                        if (out.len != sizeof answer - 1 || memcmp(out.data, answer, out.len) != 0)
                                return 3;
                } else if (!response_cache_keep(rc, &a, name, NOW, str_of(answer))) {
                        return 4;
                }
                buf_release(&out);
        }
        return 0;
}

static pid_t begin(unsigned seed, int turns)
{
        pid_t pid = fork();
        if (pid == 0)
                _exit(live(seed, turns));
        return pid;
}

static void test_processes(void **unused)
{
        (void)unused;
        for (int round = 0; round < 5; round++) {
                pid_t pids[8];
                int status;
                shell("rm -rf %s", folder); /* they all make the key at once */
                for (unsigned i = 0; i < 8; i++)
                        pids[i] = begin(100 * (unsigned)round + i, 300);
                for (int i = 0; i < 8; i++) {
                        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                        assert_int_equal(status, 0);
                }
                look_at_files();
                assert_true(bytes <= 200000 + 8 * 4200);
                assert_int_equal(unfinished, 0);
                assert_int_equal(wrong_modes, 0);
        }
}

static void test_killed(void **unused)
{
        struct response_room a = room("a");
        int status;
        (void)unused;
        for (unsigned i = 0; i < 60; i++) {
                pid_t pid = begin(i, 1000000);
                usleep(1000 + i * 300);
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
        }
        assert_int_equal(live(7, 500), 0);
        look_at_files();
        assert_int_equal(wrong_modes, 0);
        /* What they left unfinished goes, since nobody else would take it away. */
        shell("d=$(dirname $(find %s -mindepth 3 -type f | head -n 1)); : >$d/.new-0123456789abcdef; "
              "chmod 600 $d/.new-*",
              folder);
        look_at_files();
        assert_true(unfinished > 0);
        assert_true(keep(&a, "late", (int64_t)(time(NULL) + 700) * 1000, "x"));
        look_at_files();
        assert_int_equal(unfinished, 0);
}

static void no_log(void *context, const char *line, size_t len)
{
        (void)context;
        (void)line;
        (void)len;
}

static int prepare(void **unused)
{
        (void)unused;
        log_bind(no_log, NULL, NULL);
        if (!mkdtemp(base))
                return 1;
        snprintf(folder, sizeof folder, "%s/usage.db-cache", base);
        return 0;
}

static int clean(void **unused)
{
        (void)unused;
        shell("rm -rf %s", base);
        return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fresh, done)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_kept_and_found),   TEST(test_expiry),    TEST(test_size),
                TEST(test_torn_and_hostile), TEST(test_place),     TEST(test_open_parent),
                TEST(test_folder_removed),   TEST(test_processes), TEST(test_killed),
        };
        return cmocka_run_group_tests(tests, prepare, clean);
}
