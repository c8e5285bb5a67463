/* The ledger: where it may lie, how it is migrated, what several connections of several processes see of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/ledger.h"

static char folder[] = "/tmp/tollgate-ledger-XXXXXX";
static char path[128], why[512];

static int fresh(void **unused)
{
        char command[256];
        (void)unused;
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        return system(command);
}

static struct ledger *opened(enum ledger_mode mode)
{
        struct ledger *l = ledger_open(path, mode, NULL, why);
        if (!l)
                fail_msg("%s", why);
        return l;
}

static void run(struct ledger *l, const char *sql)
{
        if (sqlite3_exec(ledger_sqlite(l), sql, NULL, NULL, NULL) != SQLITE_OK)
                fail_msg("%s: %s", sql, ledger_problem(l));
}

/* "": NULL. */
static const char *text_of(struct ledger *l, const char *sql)
{
        static char out[128];
        sqlite3_stmt *s = NULL;
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK ||
            sqlite3_step(s) != SQLITE_ROW)
                fail_msg("%s: %s", sql, ledger_problem(l));
        const char *text = (const char *)sqlite3_column_text(s, 0);
        snprintf(out, sizeof out, "%s", text ? text : "");
        sqlite3_finalize(s);
        return out;
}

static bool add(struct ledger *l, const struct ledger_row *row, const struct ledger_attempt *a, size_t count)
{
        bool ok = ledger_begin(l, 5000) && ledger_add(l, row, a, count) && ledger_flush(l);
        return ok && ledger_commit(l);
}

/*
 * Another process, which opens the ledger, counts the requests and closes it, as often as it is asked. It
 * begins before this one opens any: what SQLite knows of its own connections would be copied by a fork.
 */
struct other {
        pid_t pid;
        int ask, answer;
};

static struct other other_begin(void)
{
        int ask[2], answer[2];
        char c;
        assert_int_equal(pipe(ask) | pipe(answer), 0);
        pid_t pid = fork();
        if (pid == 0) {
                close(ask[1]);
                while (read(ask[0], &c, 1) == 1) {
                        struct ledger *l = ledger_open(path, LEDGER_READ, NULL, why);
                        c = l ? (char)atoi(text_of(l, "SELECT count(*) FROM requests")) : 99;
                        ledger_close(l);
                        if (write(answer[1], &c, 1) != 1)
                                break;
                }
                _exit(0);
        }
        close(ask[0]);
        close(answer[1]);
        return (struct other){pid, ask[1], answer[0]};
}

static int other_counts(const struct other *o)
{
        char c = 0;
        assert_int_equal(write(o->ask, &c, 1), 1);
        assert_int_equal(read(o->answer, &c, 1), 1);
        return c;
}

static void other_end(const struct other *o)
{
        close(o->ask);
        close(o->answer);
        assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
}

/* Whoever closes last clears the WAL away; no connection of this process may hide that another is left. */
static void what_others_close_takes_nothing_away(void **unused)
{
        char wal[160];
        (void)unused;
        snprintf(wal, sizeof wal, "%s-wal", path);
        struct other other = other_begin();
        struct ledger *first = opened(LEDGER_MAKE), *second = opened(LEDGER_WRITE);
        ledger_close(opened(LEDGER_READ));
        for (int i = 1; i <= 3; i++) {
                assert_true(add(first, &(struct ledger_row){.id = i}, NULL, 0));
                assert_int_equal(other_counts(&other), i);
                assert_int_equal(access(wal, F_OK), 0);
        }
        ledger_close(second);
        assert_int_equal(other_counts(&other), 3);
        assert_int_equal(access(wal, F_OK), 0);
        ledger_close(first);
        assert_int_not_equal(access(wal, F_OK), 0);
        other_end(&other);
}

/* ---- schema */

static void older_ones_are_migrated(void **unused)
{
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        assert_true(add(l, &(struct ledger_row){.id = 7, .account = "desk"}, NULL, 0));
        run(l, "PRAGMA user_version = 99");
        ledger_close(l);
        assert_null(ledger_open(path, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "newer Tollgate"));
        assert_non_null(strstr(why, path));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(what_others_close_takes_nothing_away, fresh),
                cmocka_unit_test_setup(older_ones_are_migrated, fresh),
        };
        if (!mkdtemp(folder))
                return 99;
        snprintf(path, sizeof path, "%s/usage.db", folder);
        int status = cmocka_run_group_tests(tests, NULL, NULL);
        fresh(NULL);
        rmdir(folder);
        return status;
}
