/* For tests of the books: a folder, rows as they come, processes that die, numbers of the ledger. */
#ifndef TOLLGATE_TESTS_BOOK_WORLD_H
#define TOLLGATE_TESTS_BOOK_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/book.h"
#include "store/book_internal.h"
#include "store/spool.h"

static char folder[] = "/tmp/tollgate-book-XXXXXX";
static char path[128], why[512];

static inline int fresh(void **unused)
{
        char command[256];
        (void)unused;
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        return system(command);
}

static inline struct book *open_book_with(int64_t most,
                                          void (*settle)(void *, const char *, const struct ledger_attempt *),
                                          void *context)
{
        const struct book_options o = {.path = path,
                                       .currency = "USD",
                                       .first_bytes = 64 << 10,
                                       .most_bytes = most,
                                       .settle = settle,
                                       .context = context};
        struct book *b = book_open(&o, why);
        if (!b)
                fail_msg("%s", why);
        return b;
}

static inline struct book *open_book(void)
{
        return open_book_with(16 << 20, NULL, NULL);
}

static inline struct ledger_row row_of(struct book *b)
{
        int64_t now = clock_unix_ms();
        return (struct ledger_row){.id = book_id(b, now),
                                   .time_ms = now,
                                   .request_id = "abc\tdef\\n",
                                   .account = "desk",
                                   .endpoint = "/chat",
                                   .outcome = "ok",
                                   .status = 200,
                                   .attempts = 1,
                                   .input = 100,
                                   .output = 10,
                                   .priced = 1,
                                   .cost_pico = 5000,
                                   .charge_pico = 6000,
                                   .currency = "USD",
                                   .charge_currency = "EUR"};
}

static inline struct ledger_attempt attempt_of(const struct ledger_row *row, int64_t n)
{
        return (struct ledger_attempt){.request = row->id,
                                       .n = n,
                                       .provider = "openai",
                                       .kind = "first",
                                       .outcome = "ok",
                                       .input = 100,
                                       .output = 1000,
                                       .priced = 1,
                                       .cost_pico = 70,
                                       .charge_pico = 80,
                                       .hold_pico = 90};
}

static inline int64_t number(const char *sql)
{
        struct ledger *l = ledger_open(path, LEDGER_READ, NULL, why);
        sqlite3_stmt *s = NULL;
        if (!l)
                fail_msg("%s", why);
        assert_int_equal(sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        int64_t n = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        ledger_close(l);
        return n;
}

struct settled {
        int count;
        int64_t holds;
};

static inline void note_settled(void *context, const char *account, const struct ledger_attempt *a)
{
        struct settled *s = context;
        assert_string_equal(account, "desk");
        s->count++;
        s->holds += a->hold_pico;
}

/* In a child that is killed: begins, and may go on. */
static inline void die_after(void (*what)(struct book *b))
{
        pid_t pid = fork();
        if (pid == 0) {
                const struct book_options o = {
                        .path = path, .currency = "USD", .first_bytes = 64 << 10, .most_bytes = 16 << 20};
                struct book *b = book_open(&o, why);
                if (b)
                        what(b);
                raise(SIGKILL);
        }
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
}

static inline void begin_two(struct book *b)
{
        struct ledger_row row = row_of(b);
        struct ledger_attempt first = attempt_of(&row, 1), second = attempt_of(&row, 2);
        book_begin(b, &row, &first);
        first.outcome = "error";
        first.charge_pico = first.cost_pico = first.output = 0;
        book_attempt(b, &first);
        second.kind = "failover";
        book_begin(b, &row, &second);
        book_progress(b, &(struct ledger_progress){row.id, 2, 100, 0, 7, 11, 12});
        book_progress(b, &(struct ledger_progress){row.id, 2, 100, 0, 9, 13, 14});
        row = row_of(b); /* and another one, of which nothing came */
        first = attempt_of(&row, 1);
        book_begin(b, &row, &first);
        row = row_of(b); /* one that ended */
        first = attempt_of(&row, 1);
        book_begin(b, &row, &first);
        book_end(b, &row, &first, 1);
}

static inline int book_world_run(const struct CMUnitTest *tests, size_t count)
{
        if (!mkdtemp(folder))
                return 99;
        snprintf(path, sizeof path, "%s/usage.db", folder);
        int status = _cmocka_run_group_tests("books", tests, count, NULL, NULL);
        fresh(NULL);
        rmdir(folder);
        return status;
}

#endif
