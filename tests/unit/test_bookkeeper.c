/* gateway/bookkeeper and chores: rows get into the ledger without a request's help, the dead are settled,
 * alerts are given once, what is old goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/money.h"
#include "gateway/bookkeeper.h"
#include "gateway/chores.h"

#define DAY_MS INT64_C(86400000)

static char folder[] = "/tmp/tollgate-keeper-XXXXXX";
static char logged[32768];

static void sink(void *context, const char *line, size_t len)
{
        size_t used = strlen(logged);
        (void)context;
        if (used + len < sizeof logged) {
                memcpy(logged + used, line, len);
                logged[used + len] = '\0';
        }
}

static int begin(void **state)
{
        (void)state;
        log_bind(sink, NULL, NULL);
        log_configure(LOG_LEVEL_INFO, NULL);
        signal(SIGPIPE, SIG_IGN);
        return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
        char command[128];
        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

static int fresh(void **state)
{
        char command[160];
        (void)state;
        logged[0] = '\0';
        snprintf(command, sizeof command, "chmod 700 '%s' && rm -rf '%s'/*", folder, folder);
        return system(command);
}

/* ledger: in the folder. more: settings. */
static const struct config *config_of(const char *ledger, const char *more)
{
        char path[128];
        struct config_report report;
        snprintf(path, sizeof path, "%s/tollgate.conf", folder);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f,
                "version = 1;\nstate = \"%s/state\";\nledger = \"%s/%s\";\nkeep_days = 10;\n%s\n"
                "prices = ( { model = \"echo\"; input = 1.0; output = 1.0; } );\n"
                "providers = ( { name = \"echo\"; dialect = \"echo\"; } );\n"
                "models = ( { name = \"m\"; versions = ( { name = \"1\"; targets = ( { provider = \"echo\"; "
                "model = "
                "\"echo\"; } ); } ); } );\n"
                "accounts = ( { name = \"desk\"; users = [\"alice\"]; models = [\"*\"];\n"
                "  budget = { day = 5.0; month = 50.0; alert = [0.5, 0.9]; hard = true; }; } );\n",
                folder, folder, ledger, more);
        assert_int_equal(fclose(f), 0);
        const struct config *c = config_load(path, &report);
        for (size_t i = 0; i < report.count && !c; i++)
                print_error("%s:%d: %s\n", report.problems[i].file, report.problems[i].line,
                            report.problems[i].text);
        config_report_free(&report);
        assert_non_null(c);
        return c;
}

static struct ledger_row row_of(struct book *b)
{
        int64_t now = clock_unix_ms();
        return (struct ledger_row){.id = book_id(b, now),
                                   .time_ms = now,
                                   .request_id = "r",
                                   .account = "desk",
                                   .outcome = "ok",
                                   .status = 200,
                                   .priced = 1,
                                   .currency = "USD",
                                   .charge_currency = "USD"};
}

static void book_one(struct book *b)
{
        struct ledger_row row = row_of(b);
        assert_true(book_end(b, &row, NULL, 0));
}

static int64_t number(const struct config *c, const char *sql)
{
        char why[512];
        bool absent;
        struct ledger *l = ledger_open(c->ledger, LEDGER_READ, &absent, why);
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

static void wait_for(const struct config *c, const char *sql, int64_t wanted)
{
        for (int64_t until = clock_now_ms() + 60000; number(c, sql) != wanted;) {
                if (clock_now_ms() > until)
                        fail_msg("%s: %lld, not %lld", sql, (long long)number(c, sql), (long long)wanted);
                usleep(50000);
        }
}

static struct bookkeeper *keeper(struct state_holder *states, bool threaded)
{
        return bookkeeper_new(&(struct bookkeeper_options){.states = states, .threaded = threaded});
}

/* ---- books ---- */

static void rows_get_in_by_themselves(void **unused)
{
        (void)unused;
        const struct config *one = config_of("one.db", ""), *two = config_of("two.db", "");
        struct state_holder *states = state_holder_new();
        struct bookkeeper *k = keeper(states, true);
        struct book *b = bookkeeper_get(k, one), *other = bookkeeper_get(k, two);
        assert_true(b && other && b != other);
        assert_ptr_equal(bookkeeper_get(k, one), b);
        book_one(b);
        book_one(other);
        wait_for(one, "SELECT count(*) FROM requests", 1);
        wait_for(two, "SELECT count(*) FROM requests", 1);
        /* What is told last gets in at the end. */
        book_one(b);
        bookkeeper_free(k);
        assert_int_equal(number(one, "SELECT count(*) FROM requests"), 2);
        assert_string_equal(logged, "");
        state_holder_free(states);
        config_unref(one);
        config_unref(two);
}

static void a_cgi_process_moves_at_its_end(void **unused)
{
        (void)unused;
        const struct config *c = config_of("usage.db", "");
        struct state_holder *states = state_holder_new();
        struct bookkeeper *k = keeper(states, false);
        struct book *b = bookkeeper_get(k, c);
        assert_non_null(b);
        book_one(b);
        assert_int_equal(number(c, "SELECT count(*) FROM requests"), 0);
        bookkeeper_free(k);
        assert_int_equal(number(c, "SELECT count(*) FROM requests"), 1);
        state_holder_free(states);
        config_unref(c);
}

static void without_a_ledger(void **unused)
{
        (void)unused;
        const struct config *c = config_of("usage.db", "");
        struct state_holder *states = state_holder_new();
        struct bookkeeper *k = keeper(states, true);
        assert_int_equal(chmod(folder, 0777), 0);
        for (int i = 0; i < 5; i++)
                assert_null(bookkeeper_get(k, c));
        assert_non_null(strstr(logged, "everybody can write"));
        assert_non_null(strstr(logged, "hard budgets are refused"));
        const char *line = strstr(logged, "not in the ledger");
        assert_null(strstr(line + 1, "not in the ledger")); /* once */
        assert_int_equal(chmod(folder, 0700), 0);
        struct book *b = NULL;
        int64_t missed = 5;
        for (int64_t until = clock_now_ms() + 60000; !(b = bookkeeper_get(k, c)) && clock_now_ms() < until;) {
                missed++;
                usleep(500000);
        }
        assert_non_null(b);
        char text[64];
        snprintf(text, sizeof text, "in use again; %lld requests", (long long)missed);
        assert_non_null(strstr(logged, text));
        bookkeeper_free(k);
        assert_null(bookkeeper_get(NULL, c));
        state_holder_free(states);
        config_unref(c);
}

/* ---- what the dead held ---- */

enum { HELD = 4, CHARGED = 3 }; /* units of 5 */

static bool hold_slot(struct slot *slot, int64_t now_ms, void *context)
{
        struct ledger_attempt *a = context;
        const struct config_budget budget = {
                .day_micro = 5000000, .month_micro = 50000000, .currency = "USD", .hard = true};
        const struct budget_terms terms = {.budget = &budget};
        const struct budget_moment m = budget_moment_at(&budget, clock_unix());
        struct budget_hold hold = {0};
        (void)now_ms;
        if (!slot->budget.loaded)
                budget_load(&slot->budget, "USD", &m, &(struct budget_spent){0}, 1);
        assert_int_equal(budget_reserve(&slot->budget, &terms, &m, HELD * MONEY_PICO, &hold), BUDGET_FINE);
        a->hold_pico = hold.pico;
        a->hold_day = hold.day;
        a->hold_month = hold.month;
        a->hold_era = hold.era;
        return true;
}

/* Begins a request whose worst case is held, and dies. */
static void die_over_a_request(const struct config *c)
{
        struct state_holder *states = state_holder_new();
        struct book *b = bookkeeper_get(keeper(states, false), c);
        struct ledger_attempt a = {.n = 1,
                                   .provider = "echo",
                                   .kind = "first",
                                   .priced = 1,
                                   .charge_pico = CHARGED * MONEY_PICO};
        if (!b || state_update(state_holder_get(states, c), (struct subject){SLOT_BUDGET, "desk"}, hold_slot,
                               &a) != STATE_DONE)
                _exit(1);
        struct ledger_row row = row_of(b);
        a.request = row.id;
        if (!book_begin(b, &row, &a))
                _exit(1);
        raise(SIGKILL);
}

/* A process that does so once told: it is made before this one has a ledger open. */
static pid_t doomed(const struct config *c, int *go)
{
        int pipes[2];
        char byte;
        assert_int_equal(pipe(pipes), 0);
        pid_t pid = fork();
        if (!pid) {
                close(pipes[1]);
                if (read(pipes[0], &byte, 1) == 1)
                        die_over_a_request(c);
                _exit(2);
        }
        close(pipes[0]);
        *go = pipes[1];
        return pid;
}

static void let_die(pid_t pid, int go)
{
        int status;
        assert_int_equal(write(go, "x", 1), 1);
        close(go);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int64_t day_of(struct state_holder *states, const struct config *c)
{
        struct slot slot;
        struct state *s = state_holder_get(states, c);
        return s && state_read(s, (struct subject){SLOT_BUDGET, "desk"}, &slot) ? slot.budget.day_pico : -1;
}

static void what_the_dead_held_is_settled_at_the_start(void **unused)
{
        int go;
        (void)unused;
        const struct config *c = config_of("usage.db", "");
        pid_t pid = doomed(c, &go);
        let_die(pid, go);
        struct state_holder *states = state_holder_new();
        assert_int_equal(day_of(states, c), HELD * MONEY_PICO);
        struct bookkeeper *k = keeper(states, true);
        assert_non_null(bookkeeper_get(k, c));
        assert_int_equal(number(c, "SELECT count(*) FROM requests WHERE outcome = 'interrupted'"), 1);
        assert_int_equal(day_of(states, c), CHARGED * MONEY_PICO);
        bookkeeper_free(k);
        state_holder_free(states);
        config_unref(c);
}

static void what_the_dead_held_is_settled_meanwhile(void **unused)
{
        int go;
        (void)unused;
        const struct config *c = config_of("usage.db", "");
        pid_t pid = doomed(c, &go);
        struct state_holder *states = state_holder_new();
        struct bookkeeper *k = keeper(states, true);
        assert_non_null(bookkeeper_get(k, c));
        let_die(pid, go);
        wait_for(c, "SELECT count(*) FROM requests WHERE outcome = 'interrupted'", 1);
        for (int i = 0; i < 3000 && day_of(states, c) != CHARGED * MONEY_PICO; i++)
                usleep(20000);
        assert_int_equal(day_of(states, c), CHARGED * MONEY_PICO);
        /* Which is more than a half: that is told. */
        wait_for(c, "SELECT count(*) FROM alerts WHERE account = 'desk' AND period = 'day'", 1);
        assert_int_equal(number(c, "SELECT share_micro FROM alerts"), 500000);
        bookkeeper_free(k);
        state_holder_free(states);
        config_unref(c);
}

/* ---- alerts ---- */

static const char *program(const char *text)
{
        static char path[128];
        snprintf(path, sizeof path, "%s/program", folder);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "#!/bin/sh\ncd '%s'\n%s\n", folder, text);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0700), 0);
        return path;
}

static int lines(const char *name)
{
        char path[160];
        int n = 0;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *f = fopen(path, "r");
        for (int c; f && (c = fgetc(f)) != EOF;)
                n += c == '\n';
        if (f)
                fclose(f);
        return n;
}

static struct ledger *alerts_of(const struct config *c, int count)
{
        char why[512];
        struct book *b = book_open(
                &(struct book_options){
                        .path = c->ledger, .currency = "USD", .first_bytes = 1 << 16, .most_bytes = 1 << 20},
                why);
        if (!b)
                fail_msg("%s", why);
        for (int i = 0; i < count; i++)
                book_alert(b, &(struct book_alert){"desk", "day", 20000, 100000 * (i + 1), 1, 2, "USD",
                                                   clock_unix_ms()});
        assert_true(book_move(b) >= 0);
        struct ledger *l = book_ledger(b, why);
        book_close(b, 0);
        assert_non_null(l);
        return l;
}

static void an_alert_is_given_once_and_tried_until_then(void **unused)
{
        char settings[400];
        (void)unused;
        snprintf(settings, sizeof settings,
                 "alerts = { command = \"%s\"; webhook = \"http://127.0.0.1:1/\"; };",
                 program("echo $TOLLGATE_SHARE >>given"));
        const struct config *both = config_of("usage.db", settings);
        snprintf(settings, sizeof settings, "alerts = { command = \"%s\"; };", program("echo >>given"));
        const struct config *command = config_of("usage.db", settings);
        struct ledger *l = alerts_of(both, 2);
        int64_t now = clock_unix_ms() + 1000;
        /* The command gets through, the webhook does not: that alone is tried again. */
        assert_int_equal(chores_alerts(l, both, 10, now, NULL), 2);
        assert_int_equal(lines("given"), 2);
        assert_non_null(strstr(logged, "could not be given (try 1): the webhook"));
        assert_int_equal(chores_alerts(l, both, 10, now + 1000, NULL), 0);
        assert_int_equal(chores_alerts(l, both, 10, now + 61000, NULL), 2);
        assert_int_equal(lines("given"), 2);
        assert_non_null(strstr(logged, "(try 2)"));
        /* Who takes the webhook out of the configuration has been told all. */
        assert_int_equal(chores_alerts(l, command, 10, now + 3600000, NULL), 2);
        assert_int_equal(chores_alerts(l, command, 10, now + 7200000, NULL), 0);
        assert_int_equal(lines("given"), 2);
        ledger_close(l);
        config_unref(both);
        config_unref(command);
}

static void an_alert_is_given_up_after_a_day(void **unused)
{
        char settings[400];
        int64_t now = clock_unix_ms() + 1000, at = now;
        (void)unused;
        snprintf(settings, sizeof settings, "alerts = { command = \"%s\"; };",
                 program("echo >>tried; exit 1"));
        const struct config *c = config_of("usage.db", settings);
        struct ledger *l = alerts_of(c, 1);
        for (; at < now + 3 * DAY_MS; at += 60000)
                chores_alerts(l, c, 10, at, NULL);
        assert_in_range(lines("tried"), 10, 40);
        ledger_close(l);
        config_unref(c);
}

static void alerts_of_two_processes(void **unused)
{
        enum { COUNT = 20 };
        char settings[400], why[512];
        (void)unused;
        snprintf(settings, sizeof settings, "alerts = { command = \"%s\"; };",
                 program("echo $TOLLGATE_SHARE >>given"));
        const struct config *c = config_of("usage.db", settings);
        pid_t pids[2];
        int64_t now = clock_unix_ms() + 100000;
        ledger_close(alerts_of(c, COUNT));
        for (int i = 0; i < 2; i++) {
                pids[i] = fork();
                if (pids[i])
                        continue;
                struct ledger *l = ledger_open(c->ledger, LEDGER_WRITE, NULL, why);
                _exit(!l || chores_alerts(l, c, 100, now, NULL) < 0);
        }
        for (int i = 0; i < 2; i++) {
                int status;
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        assert_int_equal(lines("given"), COUNT);
        config_unref(c);
}

/* ---- forgetting ---- */

static void what_is_old_goes(void **unused)
{
        enum { OLD = 1200, NEW = 3 };
        char why[512], record[160];
        int64_t now = clock_unix_ms();
        (void)unused;
        const struct config *c = config_of("usage.db", "");
        ledger_close(alerts_of(c, 0));
        struct ledger *l = ledger_open(c->ledger, LEDGER_WRITE, NULL, why);
        assert_true(ledger_begin(l, 1000));
        for (int i = 0; i < OLD + NEW; i++) {
                int64_t at = now - (i < OLD ? 11 : 9) * DAY_MS + i;
                struct ledger_row row = {
                        .id = at << 20, .time_ms = at, .account = "desk", .outcome = "ok", .priced = 1};
                struct ledger_attempt a = {.request = row.id, .n = 1};
                assert_true(ledger_add(l, &row, &a, 1));
        }
        assert_true(ledger_flush(l) && ledger_commit(l));
        for (int days = 9; days <= 12; days += 3) {
                char day[32];
                clock_format(now - days * DAY_MS, day);
                snprintf(record, sizeof record, "%s-record", c->ledger);
                mkdir(record, 0700);
                snprintf(record, sizeof record, "%s-record/desk-%.10s.jsonl", c->ledger, day);
                fclose(fopen(record, "w"));
        }
        /* A step at a time, or all. */
        assert_int_equal(chores_forget(l, c, 1, now, NULL), 500);
        assert_int_equal(chores_forget(l, c, 100, now, NULL), OLD - 500);
        assert_int_equal(chores_forget(l, c, 100, now, NULL), 0);
        assert_int_equal(number(c, "SELECT count(*) FROM requests"), NEW);
        assert_int_equal(number(c, "SELECT count(*) FROM attempts"), NEW);
        assert_int_equal(access(record, F_OK), -1);
        clock_format(now - 9 * DAY_MS, why);
        snprintf(record, sizeof record, "%s-record/desk-%.10s.jsonl", c->ledger, why);
        assert_int_equal(access(record, F_OK), 0);
        ledger_close(l);
        config_unref(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(rows_get_in_by_themselves, fresh),
                cmocka_unit_test_setup(a_cgi_process_moves_at_its_end, fresh),
                cmocka_unit_test_setup(without_a_ledger, fresh),
                cmocka_unit_test_setup(what_the_dead_held_is_settled_at_the_start, fresh),
                cmocka_unit_test_setup(what_the_dead_held_is_settled_meanwhile, fresh),
                cmocka_unit_test_setup(an_alert_is_given_once_and_tried_until_then, fresh),
                cmocka_unit_test_setup(an_alert_is_given_up_after_a_day, fresh),
                cmocka_unit_test_setup(alerts_of_two_processes, fresh),
                cmocka_unit_test_setup(what_is_old_goes, fresh),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
