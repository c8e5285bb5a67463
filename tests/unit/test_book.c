/* The books: what is told is in the ledger once, whoever dies, and whenever. */
#include "book_world.h"

static void test_told_and_moved(void **unused)
{
        struct book *b = open_book();
        (void)unused;
        for (int i = 0; i < 5000; i++) {
                struct ledger_row row = row_of(b);
                struct ledger_attempt a = attempt_of(&row, 1);
                row.outcome = NULL;
                assert_true(book_begin(b, &row, &a));
                row.outcome = "ok";
                assert_true(book_end(b, &row, &a, 1));
        }
        assert_true(book_has_lines(b));
        assert_int_equal(book_move(b), 5000);
        assert_false(book_has_lines(b));
        assert_int_equal(
                number("SELECT count(*) FROM requests WHERE outcome = 'ok' AND request_id = 'abc' || "
                       "char(9) || 'def\\n'"),
                5000);
        assert_int_equal(number("SELECT count(*) FROM attempts WHERE hold_pico = 90 AND provider = 'openai'"),
                         5000);
        assert_int_equal(number("SELECT money_sum(charge_pico) FROM requests"), 5000 * 6000);
        assert_int_equal(number("SELECT count(*) FROM totals"), 1);
        book_close(b, 0);
}

static void test_interrupted(void **unused)
{
        struct settled s = {0};
        (void)unused;
        die_after(begin_two);
        struct book *b = open_book_with(16 << 20, note_settled, &s);
        book_move_all(b);
        assert_int_equal(number("SELECT count(*) FROM requests"), 3);
        assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 'interrupted'"), 2);
        assert_int_equal(number("SELECT charge_pico FROM requests WHERE attempts = 2"), 14);
        assert_int_equal(number("SELECT output FROM requests WHERE attempts = 2"), 9);
        assert_int_equal(number("SELECT count(*) FROM attempts WHERE outcome = 'error'"), 1);
        assert_int_equal(
                number("SELECT charge_pico FROM requests WHERE attempts = 1 AND outcome = 'interrupted'"),
                80);
        assert_int_equal(s.count, 2); /* what was over was settled by itself */
        assert_int_equal(s.holds, 180);
        book_move_all(b);
        assert_int_equal(number("SELECT count(*) FROM requests"), 3);
        assert_int_equal(s.count, 2);
        book_close(b, 0);
}

/* Any number of processes, killed at any moment: what they told they had begun is there once. */
struct shared_counts {
        _Atomic int64_t begun, ended;
};

static void work_until_killed(struct shared_counts *c)
{
        const struct book_options o = {
                .path = path, .currency = "USD", .first_bytes = 64 << 10, .most_bytes = 16 << 20};
        struct book *b = book_open(&o, why);
        if (!b)
                _exit(9);
        for (int i = 0;; i++) {
                struct ledger_row row = row_of(b);
                struct ledger_attempt a = attempt_of(&row, 1);
                row.attempts = 0;
                if (!book_begin(b, &row, &a))
                        _exit(8);
                atomic_fetch_add(&c->begun, 1);
                if (i % 7 == 0)
                        book_progress(b, &(struct ledger_progress){row.id, 1, 100, 0, i, 1, 1});
                if (i % 3) {
                        row.attempts = 1;
                        if (!book_end(b, &row, &a, 1))
                                _exit(7);
                        atomic_fetch_add(&c->ended, 1);
                }
                if (i % 50 == 49)
                        book_move(b);
                if (i % 200 == 199)
                        usleep(500);
        }
}

static void test_killed(void **unused)
{
        struct shared_counts *c =
                mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        enum { ROUNDS = 12, PROCESSES = 3 };
        (void)unused;
        srand48(getpid());
        for (int round = 0; round < ROUNDS; round++) {
                pid_t pids[PROCESSES];
                for (int i = 0; i < PROCESSES; i++) {
                        if ((pids[i] = fork()) == 0)
                                work_until_killed(c);
                }
                usleep(20000 + (useconds_t)(lrand48() % 60000));
                for (int i = 0; i < PROCESSES; i++) {
                        int status;
                        kill(pids[i], SIGKILL);
                        waitpid(pids[i], &status, 0);
                        assert_true(WIFSIGNALED(status));
                }
        }
        struct book *b = open_book();
        while (book_move_all(b) < 0)
                usleep(10000);
        /* A kill between the record and the count leaves one more of the first than was told. */
        int64_t rows = number("SELECT count(*) FROM requests");
        assert_in_range(rows, atomic_load(&c->begun), atomic_load(&c->begun) + ROUNDS * PROCESSES);
        assert_in_range(number("SELECT count(*) FROM requests WHERE outcome = 'ok'"), atomic_load(&c->ended),
                        atomic_load(&c->ended) + ROUNDS * PROCESSES);
        assert_int_equal(number("SELECT count(*) FROM attempts"), rows);
        book_close(b, 0);
        munmap(c, sizeof *c);
}

static void test_locked(void **unused)
{
        struct book *b = open_book();
        struct ledger *other = ledger_open(path, LEDGER_WRITE, NULL, why);
        struct ledger_row row = row_of(b);
        (void)unused;
        assert_true(ledger_begin(other, 0));
        assert_true(book_end(b, &row, NULL, 0));
        assert_int_equal(book_move(b), -1);
        assert_true(book_has_lines(b));
        ledger_rollback(other);
        ledger_close(other);
        assert_int_equal(book_move(b), 1);
        assert_int_equal(number("SELECT count(*) FROM requests"), 1);
        book_close(b, 0);
}

/* Full at the bound, and as good as new when it was moved; what had begun goes on. */
static void test_full(void **unused)
{
        struct book *b = open_book_with(1 << 20, NULL, NULL);
        struct ledger_row open_row = row_of(b);
        struct ledger_attempt a = attempt_of(&open_row, 1);
        int64_t told = 0;
        (void)unused;
        assert_true(book_begin(b, &open_row, &a));
        for (;; told++) {
                struct ledger_row row = row_of(b);
                if (!book_end(b, &row, NULL, 0))
                        break;
        }
        assert_true(told > 2000 && book_full(b));
        assert_int_equal(book_move(b), told);
        assert_false(book_full(b));
        struct ledger_row row = row_of(b);
        assert_true(book_end(b, &row, NULL, 0));
        assert_true(book_end(b, &open_row, &a, 1));
        assert_int_equal(book_move(b), 2);
        assert_int_equal(number("SELECT count(*) FROM requests"), told + 2);
        book_close(b, 0);
}

static void test_progress_does_not_fill(void **unused)
{
        struct book *b = open_book_with(1 << 20, NULL, NULL);
        struct ledger_row row = row_of(b);
        struct ledger_attempt a = attempt_of(&row, 1);
        (void)unused;
        assert_true(book_begin(b, &row, &a));
        for (int i = 0; i < 40000; i++) {
                book_progress(b, &(struct ledger_progress){row.id, 1, 100, 0, i, i, i});
                if (i % 2000 == 0)
                        assert_int_equal(book_move(b), 0);
                assert_false(book_full(b));
        }
        book_close(b, 0);
        b = open_book();
        assert_int_equal(number("SELECT output FROM requests WHERE outcome = 'interrupted'"), 39999);
        book_close(b, 0);
}

/* Whatever is in the file: no crash, nothing made up. */
static void test_hostile_spool(void **unused)
{
        char name[160];
        (void)unused;
        srand48(3);
        for (int round = 0; round < 60; round++) {
                die_after(begin_two);
                snprintf(name, sizeof name, "%s-spool/0000", path);
                int fd = open(name, O_RDWR);
                assert_true(fd >= 0);
                for (int i = 0; i < 40; i++) {
                        unsigned char c = (unsigned char)lrand48();
                        off_t at = round % 3 ? 4096 + lrand48() % 4000 : lrand48() % 32;
                        assert_int_equal(pwrite(fd, &c, 1, at), 1);
                }
                close(fd);
                struct book *b = open_book();
                book_move_all(b);
                struct ledger_row row = row_of(b);
                assert_true(book_end(b, &row, NULL, 0));
                assert_int_equal(book_move(b), 1);
                book_close(b, 0);
        }
        assert_in_range(number("SELECT count(*) FROM requests"), 60, 60 * 4);
}

static void test_places(void **unused)
{
        bool absent;
        char link_name[160];
        (void)unused;
        assert_null(ledger_open(path, LEDGER_READ, &absent, why));
        assert_true(absent);
        snprintf(link_name, sizeof link_name, "%s/link.db", folder);
        assert_int_equal(symlink("/dev/null", link_name), 0);
        assert_null(ledger_open(link_name, LEDGER_MAKE, NULL, why));
        struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
        assert_non_null(l);
        ledger_close(l);
        assert_int_equal(chmod(path, 0644), 0);
        assert_null(ledger_open(path, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "0600"));
        assert_int_equal(chmod(path, 0600), 0);
        l = ledger_open(path, LEDGER_MAKE, NULL, why);
        assert_int_equal(sqlite3_exec(ledger_sqlite(l), "PRAGMA user_version = 99", NULL, NULL, NULL),
                         SQLITE_OK);
        ledger_close(l);
        assert_null(ledger_open(path, LEDGER_MAKE, NULL, why));
        assert_non_null(strstr(why, "newer"));
}

static void test_purses(void **unused)
{
        struct book *b = open_book();
        struct ledger *l = ledger_open(path, LEDGER_WRITE, NULL, why);
        struct book_purse purse;
        struct budget_spent spent;
        (void)unused;
        assert_false(book_purse(b, "desk", &purse));
        assert_true(ledger_topup(l, "desk", 70000, "EUR", "root", NULL, clock_unix_ms() - 10, why));
        book_refresh(b);
        assert_true(book_purse(b, "desk", &purse));
        assert_int_equal(purse.topped_pico, 70000);
        assert_false(ledger_topup(l, "desk", 1, "USD", "root", NULL, 1, why));
        assert_false(ledger_topup(l, "desk", -70001, "EUR", "root", NULL, 1, why));
        assert_true(ledger_topup(l, "desk", -1, "EUR", "root", "mistake", 1, why));
        struct ledger_row row = row_of(b);
        assert_true(book_end(b, &row, NULL, 0));
        assert_true(book_spent(b, "desk", "EUR", clock_unix_ms() - 60000, 0, &spent));
        assert_int_equal(spent.day_pico, 6000);
        assert_int_equal(spent.month_pico, 6000);
        assert_int_equal(spent.spent_pico, 6000);
        assert_true(book_spent(b, "desk", "USD", 0, 0, &spent));
        assert_int_equal(spent.spent_pico, 0);
        ledger_close(l);
        book_close(b, 0);
}

static void test_alerts(void **unused)
{
        struct book *b = open_book();
        struct book_alert a = {"desk", "day", 20000, 500000, 1, 2, "EUR", clock_unix_ms()};
        struct ledger_alert got;
        int64_t now = clock_unix_ms();
        (void)unused;
        book_alert(b, &a);
        book_alert(b, &a);
        a.share_micro = 800000;
        book_alert(b, &a);
        assert_int_equal(book_move(b), 0);
        struct ledger *l = book_ledger(b, why);
        assert_true(ledger_alert_take(l, now, &got));
        assert_int_equal(got.share_micro, 500000);
        assert_true(ledger_alert_take(l, now, &got));
        assert_int_equal(got.share_micro, 800000);
        assert_false(ledger_alert_take(l, now, &got));
        ledger_alert_done(l, got.id, true, now);
        assert_true(ledger_alert_take(l, now + 61000, &got)); /* the other one again */
        assert_int_equal(got.share_micro, 500000);
        assert_int_equal(got.tries, 2);
        ledger_close(l);
        book_close(b, 0);
}

/* SQLite's locks go when any descriptor of the file is closed: to open it once more must not do that. */
static void test_opening_takes_no_lock_away(void **unused)
{
        struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
        int status;
        (void)unused;
        assert_true(ledger_begin(l, 0));
        ledger_close(ledger_open(path, LEDGER_MAKE, NULL, why));
        pid_t pid = fork();
        if (pid == 0) {
                struct ledger *other = ledger_open(path, LEDGER_WRITE, NULL, why);
                _exit(!other ? 2 : ledger_begin(other, 0) ? 1 : 0);
        }
        waitpid(pid, &status, 0);
        assert_int_equal(status, 0);
        assert_true(ledger_commit(l));
        ledger_close(l);
}

static void test_ids(void **unused)
{
        struct book *one = open_book(), *two = open_book();
        int64_t last = 0;
        (void)unused;
        for (int i = 0; i < 5000; i++) {
                int64_t id = book_id(one, 1000 - i / 100), other = book_id(two, 1000);
                assert_true(id > last && id != other);
                last = id;
        }
        book_close(one, 0);
        book_close(two, 0);
}

static void test_forget_and_backup(void **unused)
{
        struct book *b = open_book();
        char copy[160];
        (void)unused;
        for (int i = 0; i < 100; i++) {
                struct ledger_row row = row_of(b);
                struct ledger_attempt a = attempt_of(&row, 1);
                row.id = ((int64_t)(i + 1) << 20) + 5;
                book_end(b, &row, &a, 1);
        }
        book_move(b);
        struct ledger *l = book_ledger(b, why);
        snprintf(copy, sizeof copy, "%s-copy", path);
        assert_true(ledger_backup(l, copy, why));
        assert_false(ledger_backup(l, copy, why));
        assert_int_equal(ledger_forget(l, 51, 10), 10);
        assert_int_equal(ledger_forget(l, 51, 1000), 40);
        assert_int_equal(ledger_forget(l, 51, 1000), 0);
        assert_int_equal(number("SELECT count(*) FROM attempts"), 50);
        assert_int_equal(number("SELECT count(*) FROM totals"), 1);
        ledger_close(l);
        book_close(b, 0);
        struct ledger *restored = ledger_open(copy, LEDGER_READ, NULL, why);
        assert_non_null(restored);
        ledger_close(restored);
}

/* Another connection of this process comes and goes, then another process's: the books' own is still in use,
 * and what it writes is not lost with a WAL that was taken for left behind. */
static void test_connections_come_and_go(void **unused)
{
        struct book *b = open_book();
        int status;
        (void)unused;
        for (int i = 1; i <= 3; i++) {
                struct ledger_row row = row_of(b);
                assert_true(book_end(b, &row, NULL, 0));
                assert_int_equal(book_move(b), 1);
                ledger_close(book_ledger(b, why));
                pid_t pid = fork();
                if (pid == 0) {
                        execlp("sqlite3", "sqlite3", path, "SELECT 1 FROM requests WHERE 0", (char *)NULL);
                        _exit(127);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (WEXITSTATUS(status) == 127)
                        skip();
                assert_int_equal(number("SELECT count(*) FROM requests"), i);
        }
        book_close(b, 1000);
        assert_int_equal(number("SELECT count(*) FROM requests"), 3);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_told_and_moved, fresh),
                cmocka_unit_test_setup(test_interrupted, fresh),
                cmocka_unit_test_setup(test_killed, fresh),
                cmocka_unit_test_setup(test_locked, fresh),
                cmocka_unit_test_setup(test_full, fresh),
                cmocka_unit_test_setup(test_progress_does_not_fill, fresh),
                cmocka_unit_test_setup(test_hostile_spool, fresh),
                cmocka_unit_test_setup(test_places, fresh),
                cmocka_unit_test_setup(test_connections_come_and_go, fresh),
                cmocka_unit_test_setup(test_purses, fresh),
                cmocka_unit_test_setup(test_alerts, fresh),
                cmocka_unit_test_setup(test_opening_takes_no_lock_away, fresh),
                cmocka_unit_test_setup(test_ids, fresh),
                cmocka_unit_test_setup(test_forget_and_backup, fresh),
        };
        return book_world_run(tests, sizeof tests / sizeof *tests);
}
