/* The ledger: where it may lie, how it is migrated, what several connections of several processes see of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
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

/* As version 1 was: no table of spools, and without a column that came later. */
static void older_ones_are_migrated(void **unused)
{
        bool absent;
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        assert_true(add(l, &(struct ledger_row){.id = 7, .account = "desk", .charge_pico = 5},
                        &(struct ledger_attempt){.n = 1, .hold_pico = 3}, 1));
        run(l, "DROP TABLE spools; ALTER TABLE attempts DROP COLUMN hold_era; PRAGMA user_version = 1");
        ledger_close(l);
        assert_null(ledger_open(path, LEDGER_READ, &absent, why));
        assert_false(absent);
        assert_non_null(strstr(why, "older Tollgate"));
        l = opened(LEDGER_WRITE);
        assert_string_equal(text_of(l, "PRAGMA user_version"), "2");
        assert_string_equal(text_of(l, "SELECT charge_pico FROM requests WHERE account = 'desk'"), "5");
        assert_string_equal(text_of(l, "SELECT hold_pico || ' ' || hold_era FROM attempts"), "3 0");
        assert_string_equal(text_of(l, "SELECT count(*) FROM spools"), "0");
        assert_true(
                add(l, &(struct ledger_row){.id = 8}, &(struct ledger_attempt){.n = 1, .hold_era = 4}, 1));
        ledger_close(l);
        l = opened(LEDGER_READ);
        run(l, "PRAGMA user_version = 99");
        ledger_close(l);
        for (enum ledger_mode mode = LEDGER_MAKE; mode <= LEDGER_READ; mode++) {
                assert_null(ledger_open(path, mode, NULL, why));
                assert_non_null(strstr(why, "newer Tollgate"));
                assert_non_null(strstr(why, path));
        }
}

/* Many that start at once make one ledger, and one column once. */
static void made_and_migrated_by_many(void **unused)
{
        enum { PROCESSES = 8 };
        (void)unused;
        for (int round = 0; round < 6; round++) {
                pid_t pids[PROCESSES];
                if (round == 3) {
                        struct ledger *l = opened(LEDGER_MAKE);
                        run(l, "DROP TABLE spools; ALTER TABLE requests DROP COLUMN images; PRAGMA "
                               "user_version = 1");
                        ledger_close(l);
                } else {
                        fresh(NULL);
                }
                for (int i = 0; i < PROCESSES; i++) {
                        if ((pids[i] = fork()) == 0) {
                                struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
                                bool ok = l && add(l, &(struct ledger_row){.id = getpid()}, NULL, 0);
                                ledger_close(l);
                                _exit(!ok);
                        }
                }
                for (int i = 0; i < PROCESSES; i++) {
                        int status;
                        waitpid(pids[i], &status, 0);
                        assert_int_equal(status, 0);
                }
                struct ledger *l = opened(LEDGER_READ);
                assert_string_equal(text_of(l, "PRAGMA integrity_check"), "ok");
                assert_string_equal(text_of(l, "SELECT count(*) >= 8 FROM requests"), "1");
                ledger_close(l);
        }
}

/* ---- rows */

static void a_row_is_added_once(void **unused)
{
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        assert_true(ledger_topup(l, "desk", INT64_C(5000000000000), "EUR", "root", NULL, 1000, why));
        struct ledger_row row = {.id = 1,
                                 .time_ms = 2000,
                                 .account = "desk",
                                 .charge_pico = 17,
                                 .charge_currency = "EUR",
                                 .currency = "USD",
                                 .cost_pico = 16,
                                 .attempts = 2,
                                 .priced = 1};
        const struct ledger_attempt attempts[] = {{.n = 1, .outcome = "error"}, {.n = 2, .outcome = "ok"}};
        for (int i = 0; i < 3; i++)
                assert_true(add(l, &row, attempts, 2));
        assert_string_equal(text_of(l, "SELECT count(*) FROM requests"), "1");
        assert_string_equal(text_of(l, "SELECT count(*) FROM attempts"), "2");
        assert_string_equal(text_of(l, "SELECT spent_pico FROM purses"), "17");
        char *value = strdup(text_of(l, "SELECT hex(value) FROM totals"));
        assert_true(add(l, &row, attempts, 2));
        assert_string_equal(text_of(l, "SELECT hex(value) FROM totals"), value);
        free(value);
        row.id = 2; /* another currency, and before it was prepaid: none of the balance's */
        row.charge_currency = "USD";
        assert_true(add(l, &row, attempts, 2));
        row.id = 3;
        row.charge_currency = "EUR";
        row.time_ms = 999;
        assert_true(add(l, &row, attempts, 2));
        assert_string_equal(text_of(l, "SELECT spent_pico FROM purses"), "17");
        row.time_ms = 2000;
        for (row.id = 4; row.id < 9; row.id++) { /* kept within bounds */
                row.charge_pico = INT64_MAX;
                assert_true(add(l, &row, attempts, 2));
        }
        assert_string_equal(text_of(l, "SELECT typeof(spent_pico) || spent_pico FROM purses"),
                            "integer9000000000000000000");
        ledger_close(l);
}

/* What was rolled back leaves nothing, not even in what is gathered. */
static void a_rollback_leaves_nothing(void **unused)
{
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        assert_true(ledger_begin(l, 0));
        assert_true(ledger_add(l, &(struct ledger_row){.id = 1, .account = "desk"}, NULL, 0));
        ledger_rollback(l);
        assert_string_equal(text_of(l, "SELECT count(*) FROM requests"), "0");
        assert_true(add(l, &(struct ledger_row){.id = 2, .account = "lab"}, NULL, 0));
        assert_string_equal(text_of(l, "SELECT count(*) FROM totals"), "1");
        ledger_close(l);
}

static void sums_are_exact(void **unused)
{
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        assert_string_equal(text_of(l, "SELECT money_sum(x) FROM (SELECT 1 AS x WHERE 0)"), "0");
        assert_string_equal(
                text_of(l, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000) "
                           "SELECT money_sum(9223372036854775807) FROM n"),
                "9223372036854775807000");
        assert_string_equal(
                text_of(l, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000) "
                           "SELECT money_sum(-9223372036854775807 - 1) FROM n"),
                "-9223372036854775808000");
        assert_string_equal(text_of(l, "SELECT money_sum(x) FROM (SELECT NULL AS x UNION ALL SELECT -3)"),
                            "-3");
        ledger_close(l);
}

static void texts_are_cut_and_kept(void **unused)
{
        char name[400], got[8];
        (void)unused;
        struct ledger *l = opened(LEDGER_MAKE);
        for (size_t i = 0; i + 1 < sizeof name; i += 3)
                memcpy(name + i, "\xe2\x82\xac", 3);
        name[399] = '\0';
        assert_true(add(l, &(struct ledger_row){.id = 1, .account = name, .user = "O'Brien\t\"\x1b[31m"},
                        NULL, 0));
        assert_string_equal(text_of(l, "SELECT user FROM requests"), "O'Brien\t\"\x1b[31m");
        assert_string_equal(text_of(l, "SELECT length(CAST(account AS BLOB)) FROM requests"), "63");
        snprintf(got, sizeof got, "%.3s", text_of(l, "SELECT account FROM requests"));
        assert_string_equal(got, "\xe2\x82\xac");
        assert_string_equal(text_of(l, "SELECT model IS NULL FROM requests"), "1");
        ledger_close(l);
}

/* ---- places */

static void where_it_may_lie(void **unused)
{
        char other[160], below[160];
        bool absent;
        (void)unused;
        snprintf(other, sizeof other, "%s/other", folder);
        assert_null(ledger_open(path, LEDGER_WRITE, &absent, why));
        assert_true(absent);
        assert_int_equal(access(path, F_OK), -1);
        ledger_close(opened(LEDGER_MAKE));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(link(path, other), 0);
        assert_null(ledger_open(path, LEDGER_MAKE, &absent, why));
        assert_non_null(strstr(why, "hard link"));
        assert_false(absent);
        unlink(other);
        assert_int_equal(symlink(path, other), 0);
        assert_null(ledger_open(other, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "symbolic link"));
        chmod(path, 0660);
        assert_null(ledger_open(path, LEDGER_READ, NULL, why));
        assert_non_null(strstr(why, "0600"));
        chmod(path, 0600);
        if (geteuid() == 0) {
                assert_int_equal(chown(path, 1234, (gid_t)-1), 0);
                assert_null(ledger_open(path, LEDGER_READ, NULL, why));
                assert_non_null(strstr(why, "1234"));
                assert_int_equal(chown(path, 0, (gid_t)-1), 0);
        }
        snprintf(below, sizeof below, "%s/open", folder);
        assert_int_equal(mkdir(below, 0777), 0);
        chmod(below, 0777);
        snprintf(below, sizeof below, "%s/open/usage.db", folder);
        assert_null(ledger_open(below, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "everybody can write"));
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_null(ledger_open(path, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "no regular file"));
}

static void what_is_no_ledger_is_left_alone(void **unused)
{
        (void)unused;
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        chmod(path, 0600);
        for (int i = 0; i < 1000; i++)
                fputs("not a database at all\n", f);
        fclose(f);
        assert_null(ledger_open(path, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "not a database"));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 22000);
}

/* ---- backups */

/* Each transaction adds a request and its attempt: a copy has both, or none. */
static void a_backup_is_of_one_moment(void **unused)
{
        char copy[160];
        int begun[2];
        (void)unused;
        assert_int_equal(pipe(begun), 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
                char user[120];
                memset(user, 'u', sizeof user - 1);
                user[sizeof user - 1] = '\0';
                for (int64_t id = 1; l; id++) {
                        if (!add(l, &(struct ledger_row){.id = id, .user = user},
                                 &(struct ledger_attempt){.n = 1}, 1))
                                _exit(1);
                        if (id == 5000 && write(begun[1], "", 1) != 1)
                                _exit(1);
                }
                _exit(1);
        }
        char c;
        assert_int_equal(read(begun[0], &c, 1), 1);
        for (int i = 0; i < 5; i++) {
                struct stat st;
                struct ledger *l = opened(LEDGER_WRITE);
                snprintf(copy, sizeof copy, "%s/copy-%d", folder, i);
                assert_true(ledger_backup(l, copy, why));
                assert_false(ledger_backup(l, copy, why));
                ledger_close(l);
                assert_int_equal(stat(copy, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
                struct ledger *restored = ledger_open(copy, LEDGER_WRITE, NULL, why);
                assert_non_null(restored);
                assert_string_equal(text_of(restored, "PRAGMA integrity_check"), "ok");
                assert_string_equal(
                        text_of(restored,
                                "SELECT (SELECT count(*) FROM requests) = (SELECT count(*) FROM attempts)"),
                        "1");
                assert_string_equal(
                        text_of(restored, "SELECT count(*) >= 5000 AND count(*) = max(id) FROM requests"),
                        "1");
                ledger_close(restored);
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(what_others_close_takes_nothing_away, fresh),
                cmocka_unit_test_setup(older_ones_are_migrated, fresh),
                cmocka_unit_test_setup(made_and_migrated_by_many, fresh),
                cmocka_unit_test_setup(a_row_is_added_once, fresh),
                cmocka_unit_test_setup(a_rollback_leaves_nothing, fresh),
                cmocka_unit_test_setup(sums_are_exact, fresh),
                cmocka_unit_test_setup(texts_are_cut_and_kept, fresh),
                cmocka_unit_test_setup(where_it_may_lie, fresh),
                cmocka_unit_test_setup(what_is_no_ledger_is_left_alone, fresh),
                cmocka_unit_test_setup(a_backup_is_of_one_moment, fresh),
        };
        if (!mkdtemp(folder))
                return 99;
        snprintf(path, sizeof path, "%s/usage.db", folder);
        int status = cmocka_run_group_tests(tests, NULL, NULL);
        fresh(NULL);
        rmdir(folder);
        return status;
}
