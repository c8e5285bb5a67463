/* config: what changes is taken by the next request, what is broken is told once and left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/config.h"

static char folder[] = "/tmp/tollgate-watch-XXXXXX";
static char logged[65536];

static void sink(void *context, const char *line, size_t len)
{
        (void)context;
        size_t used = strlen(logged);
        if (used + len < sizeof logged) {
                memcpy(logged + used, line, len);
                logged[used + len] = '\0';
        }
}

static size_t logged_times(const char *what)
{
        size_t n = 0;
        for (const char *at = logged; (at = strstr(at, what)); at++)
                n++;
        return n;
}

static const char *path_of(const char *name)
{
        static char path[4][256];
        static unsigned turn;
        char *p = path[turn++ % 4];
        snprintf(p, sizeof path[0], "%s/%s", folder, name);
        return p;
}

/* As an editor does it: a new file in place of the old one. */
static void write_file(const char *name, const char *text)
{
        const char *temporary = path_of("temporary");
        FILE *f = fopen(temporary, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        chmod(temporary, 0600);
        assert_int_equal(rename(temporary, path_of(name)), 0);
}

static int setup(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        setenv("TOLLGATE_DATADIR", folder, 1);
        unsetenv("GATEWAY_INTERFACE");
        write_file("catalogue.conf", "");
        write_file("prices.conf", "");
        log_bind(sink, NULL, NULL);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

static void a_second(void)
{
        usleep(1050000);
}

static int64_t workers(struct config_watch *w)
{
        const struct config *c = config_watch_get(w);
        int64_t n = c ? c->workers : -1;
        config_unref(c);
        return n;
}

static void changes_are_taken(void **state)
{
        (void)state;
        write_file("main.conf", "workers = 10;\n@include \"more.conf\"\n");
        write_file("more.conf", "keepalive = 1;\nproviders = ( { name = \"o\"; dialect = \"openai\"; base = "
                                "\"https://x\"; key = \"file:o.key\"; } );\n");
        struct config_watch *w = config_watch_new(path_of("main.conf"));
        assert_int_equal(workers(w), 10);
        assert_int_equal(logged_times("out of service"), 1);
        /* Not looked at again within the second. */
        write_file("main.conf", "workers = 11;\n@include \"more.conf\"\n");
        assert_int_equal(workers(w), 10);
        const struct config *old = config_watch_get(w);
        a_second();
        assert_int_equal(workers(w), 11);
        /* The old tree stays for those who hold it. */
        assert_int_equal(old->workers, 10);
        assert_null(old->providers[0].key);
        config_unref(old);
        /* A secret that comes, then an included file that changes. */
        write_file("o.key", "sk-secret\n");
        a_second();
        const struct config *c = config_watch_get(w);
        assert_string_equal(c->providers[0].key, "sk-secret");
        assert_null(c->providers[0].out_of_service);
        config_unref(c);
        write_file("more.conf", "keepalive = 2;\n");
        a_second();
        c = config_watch_get(w);
        assert_int_equal(c->keepalive_ms, 2000);
        assert_int_equal(c->provider_count, 0);
        config_unref(c);
        assert_int_equal(logged_times("sk-secret"), 0);
        config_watch_free(w);
}

static void broken_changes_are_told_once(void **state)
{
        (void)state;
        write_file("main.conf", "workers = 20;\n");
        struct config_watch *w = config_watch_new(path_of("main.conf"));
        assert_int_equal(workers(w), 20);
        logged[0] = '\0';
        write_file("main.conf", "workers = 1;\nkeepalive = \"x\";\n");
        a_second();
        assert_int_equal(workers(w), 20);
        a_second();
        assert_int_equal(workers(w), 20);
        assert_int_equal(logged_times("main.conf:1: workers"), 1);
        assert_int_equal(logged_times("main.conf:2: keepalive"), 1);
        assert_int_equal(logged_times("not taken"), 1);
        unlink(path_of("main.conf"));
        a_second();
        assert_int_equal(workers(w), 20);
        assert_int_equal(logged_times("cannot be read"), 1);
        write_file("main.conf", "workers = 21;\n");
        a_second();
        assert_int_equal(workers(w), 21);
        assert_int_equal(logged_times("is in force"), 1);
        config_watch_free(w);
}

static void a_start_with_a_broken_one(void **state)
{
        (void)state;
        logged[0] = '\0';
        write_file("main.conf", "nonsense = 1;\n");
        struct config_watch *w = config_watch_new(path_of("main.conf"));
        assert_null(config_watch_get(w));
        assert_null(config_watch_get(w));
        assert_int_equal(logged_times("nonsense"), 1);
        write_file("main.conf", "workers = 30;\n");
        a_second();
        assert_int_equal(workers(w), 30);
        config_watch_free(w);
}

struct crowd {
        struct config_watch *watch;
        _Atomic bool stop;
        _Atomic int seen_new;
};

static void *reads_on(void *context)
{
        struct crowd *crowd = context;
        bool seen = false;
        while (!atomic_load(&crowd->stop)) {
                const struct config *c = config_watch_get(crowd->watch);
                if (c && c->workers == 41 && !seen) {
                        seen = true;
                        atomic_fetch_add(&crowd->seen_new, 1);
                }
                if (c && c->workers != 40 && c->workers != 41)
                        abort();
                config_unref(c);
        }
        return NULL;
}

static void many_threads_read_while_it_changes(void **state)
{
        (void)state;
        enum { THREADS = 8 };
        pthread_t threads[THREADS];
        write_file("main.conf", "workers = 40;\n");
        struct crowd crowd = {.watch = config_watch_new(path_of("main.conf"))};
        for (int i = 0; i < THREADS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, reads_on, &crowd), 0);
        write_file("main.conf", "workers = 41;\n");
        for (int i = 0; i < 100 && atomic_load(&crowd.seen_new) < THREADS; i++)
                usleep(50000);
        atomic_store(&crowd.stop, true);
        for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&crowd.seen_new), THREADS);
        config_watch_free(crowd.watch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(changes_are_taken),
                cmocka_unit_test(broken_changes_are_told_once),
                cmocka_unit_test(a_start_with_a_broken_one),
                cmocka_unit_test(many_threads_read_while_it_changes),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
