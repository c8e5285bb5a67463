/* The books: each request once, whatever was forgotten, copied back, or had no room since. */
#include "book_world.h"

#include <sys/resource.h>

/* ---- once, whatever happened since */

static void end_and_move(struct book *b)
{
        for (int i = 0; i < 20; i++) {
                struct ledger_row row = row_of(b);
                struct ledger_attempt a = attempt_of(&row, 1);
                book_begin(b, &row, &a);
                book_end(b, &row, &a, 1);
        }
        struct ledger_row row = row_of(b);
        struct ledger_attempt a = attempt_of(&row, 1);
        book_begin(b, &row, &a);
        book_move(b);
}

/* Rows that were moved, then forgotten, do not come back by the spool of a process that dies later. */
static void test_forgotten_stay_so(void **unused)
{
        struct settled s = {0};
        (void)unused;
        ledger_close(ledger_open(path, LEDGER_MAKE, NULL, why));
        struct ledger *l = ledger_open(path, LEDGER_WRITE, NULL, why);
        assert_true(ledger_topup(l, "desk", 1000000, "EUR", "root", NULL, 1, why));
        ledger_close(l);
        die_after(end_and_move);
        assert_int_equal(number("SELECT count(*) FROM requests"), 20);
        l = ledger_open(path, LEDGER_WRITE, NULL, why);
        assert_int_equal(ledger_forget(l, clock_unix_ms() + 1000, 100), 20);
        ledger_close(l);
        struct book *b = open_book_with(16 << 20, note_settled, &s);
        book_move_all(b);
        assert_int_equal(number("SELECT count(*) FROM requests"), 1); /* what had begun */
        assert_int_equal(number("SELECT spent_pico FROM purses"), 20 * 6000 + 80);
        assert_int_equal(s.count, 1);
        book_close(b, 0);
}

static void copy_spool(const char *from, const char *to)
{
        char command[512];
        snprintf(command, sizeof command, "cp -p --sparse=always %s-spool/%s %s-spool/%s", path, from, path,
                 to);
        assert_int_equal(system(command), 0);
}

/* A kill between the commit and the spool's new beginning: all of it is found again. */
static void test_replayed(void **unused)
{
        struct settled s = {0};
        (void)unused;
        die_after(begin_two);
        copy_spool("0000", "kept");
        for (int i = 0; i < 3; i++) {
                struct book *b = open_book_with(1 << 20, note_settled, &s);
                book_move_all(b);
                book_close(b, 0);
                if (i == 1) { /* and even when its rows are gone */
                        struct ledger *l = ledger_open(path, LEDGER_WRITE, NULL, why);
                        assert_int_equal(ledger_forget(l, clock_unix_ms() + 1000, 100), 3);
                        ledger_close(l);
                }
                assert_int_equal(number("SELECT count(*) FROM requests"), i == 0 ? 3 : 0);
                assert_int_equal(s.count, 2);
                copy_spool("kept", "0000");
        }
}

static void test_ids_of_those_before(void **unused)
{
        struct book *b = open_book();
        int64_t now = clock_unix_ms(), last = 0;
        (void)unused;
        for (int i = 0; i < 3000; i++) {
                struct ledger_row row = row_of(b);
                row.id = last = book_id(b, now);
                book_end(b, &row, NULL, 0);
        }
        book_move(b);
        book_close(b, 0);
        b = open_book(); /* with the same spool; the clock went back, or both came in one millisecond */
        assert_true(book_id(b, now - 5000) > last);
        book_close(b, 0);
        struct ledger *l = ledger_open(path, LEDGER_WRITE, NULL, why);
        char sql[128]; /* a clock that was years ahead is not followed */
        snprintf(sql, sizeof sql, "INSERT INTO requests(id) VALUES(%lld)",
                 (long long)((clock_unix_ms() + INT64_C(100000000000)) << 20));
        assert_int_equal(sqlite3_exec(ledger_sqlite(l), sql, NULL, NULL, NULL), SQLITE_OK);
        ledger_close(l);
        b = open_book();
        assert_in_range(book_id(b, 0) >> 20, clock_unix_ms() - 60000, clock_unix_ms() + 60000);
        book_close(b, 0);
}

/* What lies in spools of processes that live is spent as well: each once, moved or not. */
static void test_spent_elsewhere(void **unused)
{
        struct book *one = open_book(), *two = open_book();
        struct budget_spent spent;
        int64_t day = clock_unix_ms() - 60000;
        (void)unused;
        for (int i = 0; i < 10; i++) {
                struct ledger_row row = row_of(two);
                if (i == 9)
                        row.time_ms = day - 1;
                assert_true(book_end(two, &row, NULL, 0));
                if (i == 4)
                        assert_int_equal(book_move(two), 9);
                row = row_of(two);
                row.account = "lab";
                assert_true(book_end(two, &row, NULL, 0));
        }
        struct ledger_row row = row_of(one);
        assert_true(book_end(one, &row, NULL, 0));
        for (int i = 0; i < 2; i++) {
                assert_true(book_spent(one, "desk", "EUR", day, day - 1, &spent));
                assert_int_equal(spent.day_pico, 10 * 6000);
                assert_int_equal(spent.month_pico, 11 * 6000);
                assert_int_equal(spent.spent_pico, 0);
                book_move(two);
        }
        book_close(one, 0);
        book_close(two, 0);
}

/* ---- disks */

/* In a child: from here on no file may become larger than `bytes`. */
static void limit_files(rlim_t bytes)
{
        struct rlimit limit;
        signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = bytes;
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
                _exit(20);
}

/* The ledger's file can't grow: rows wait, none is lost, and all is well when it can. */
static int move_to_a_full_disk(void)
{
        const struct book_options o = {
                .path = path, .currency = "USD", .first_bytes = 1 << 20, .most_bytes = 1 << 20};
        struct book *b = book_open(&o, why);
        enum { ROWS = 600 };
        if (!b)
                return 1;
        for (int i = 0; i < ROWS; i++) {
                struct ledger_row row = row_of(b);
                struct ledger_attempt a = attempt_of(&row, 1);
                if (!book_begin(b, &row, &a) || !book_end(b, &row, &a, 1))
                        return 2;
        }
        limit_files(100 << 10);
        for (int i = 0; i < 3; i++) {
                if (book_move(b) != -1 || !book_has_lines(b))
                        return 3;
        }
        limit_files(RLIM_INFINITY);
        if (book_move(b) != ROWS || book_has_lines(b))
                return 4;
        book_close(b, 0);
        return 0;
}

static void in_child(int (*what)(void))
{
        int status;
        pid_t pid = fork();
        if (pid == 0)
                _exit(what());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_full_disk(void **unused)
{
        (void)unused;
        in_child(move_to_a_full_disk);
        assert_int_equal(number("SELECT count(*) FROM requests WHERE outcome = 'ok'"), 600);
        assert_int_equal(number("SELECT count(*) FROM attempts"), 600);
        assert_int_equal(number("SELECT count(*) FROM totals"), 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_forgotten_stay_so, fresh),
                cmocka_unit_test_setup(test_replayed, fresh),
                cmocka_unit_test_setup(test_ids_of_those_before, fresh),
                cmocka_unit_test_setup(test_spent_elsewhere, fresh),
                cmocka_unit_test_setup(test_full_disk, fresh),
        };
        return book_world_run(tests, sizeof tests / sizeof *tests);
}
