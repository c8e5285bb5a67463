/* Invoices: sums to the last digit, rounding, months of a zone, numbers without gaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/money.h"
#include "cli/invoice_print.h"
#include "store/invoice.h"

static char folder[] = "/tmp/tollgate-invoice-XXXXXX";
static char ledger_path[128], why[512];

static struct ledger *make_ledger(void)
{
        struct ledger *l = ledger_open(ledger_path, LEDGER_MAKE, NULL, why);
        if (!l)
                fail_msg("%s", why);
        return l;
}

static void remove_ledger(void)
{
        static const char *const tails[] = {"", "-wal", "-shm", "-numbers"};
        char path[160];
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
                snprintf(path, sizeof path, "%s%s", ledger_path, tails[i]);
                unlink(path);
        }
}

static int64_t next_id(int64_t time_ms)
{
        static int64_t n;
        return time_ms << 20 | (n++ & 0xfffff);
}

static void add(struct ledger *l, const char *account, int64_t time_ms, const char *model, int64_t pico)
{
        const struct ledger_row row = {.id = next_id(time_ms),
                                       .time_ms = time_ms,
                                       .account = account,
                                       .model = model,
                                       .outcome = "ok",
                                       .input = 100,
                                       .output = 10,
                                       .currency = "USD",
                                       .cost_pico = pico,
                                       .priced = 1,
                                       .charge_pico = pico,
                                       .charge_currency = "EUR"};
        assert_true(ledger_begin(l, 1000));
        assert_true(ledger_add(l, &row, NULL, 0));
        assert_true(ledger_flush(l));
        assert_true(ledger_commit(l));
}

static struct config_account account_of(const char *name)
{
        return (struct config_account){
                .name = name,
                .budget = {.currency = "EUR", .zone = "UTC", .day_micro = -1, .month_micro = -1},
                .buyer = {"Buyer <Ltd>", "Street 1\nTown", "DE1"}};
}

static void collect(struct ledger *l, struct arena *a, const struct config_account *account, const char *tax,
                    struct invoice *inv)
{
        static const struct config config = {.seller = {"Seller & Sons", "Road 2", "DE2"}};
        const struct invoice_ask ask = {.config = &config,
                                        .account = account,
                                        .year = 2026,
                                        .month = 11,
                                        .tax_percent = tax,
                                        .today = "2026-12-01"};
        if (!invoice_collect(l, &ask, a, inv, why))
                fail_msg("%s", why);
}

/* 2026-11-01T00:00:00Z */
#define NOVEMBER_MS (INT64_C(1793491200) * 1000)
#define DAY_MS      (INT64_C(86400) * 1000)

static void test_months(void **unused)
{
        int y = 0, m = 0;
        (void)unused;
        assert_true(invoice_month("2026-11", &y, &m));
        assert_int_equal(y, 2026);
        assert_int_equal(m, 11);
        assert_false(invoice_month("2026-13", &y, &m));
        assert_false(invoice_month("2026-1", &y, &m));
        assert_false(invoice_month("26-11-01", &y, &m));
        assert_int_equal(invoice_month_starts(NULL, 2026, 11) * 1000, NOVEMBER_MS);
        struct zone *berlin = zone_open("Europe/Berlin", &(const char *){NULL});
        assert_non_null(berlin);
        assert_int_equal(invoice_month_starts(berlin, 2026, 11) * 1000, NOVEMBER_MS - 3600000);
        assert_int_equal(invoice_month_starts(berlin, 2026, 7) - invoice_month_starts(NULL, 2026, 7), -7200);
        zone_free(berlin);
}

static void test_percents(void **unused)
{
        int64_t micro;
        (void)unused;
        assert_true(invoice_percent("19", &micro));
        assert_int_equal(micro, 190000);
        assert_true(invoice_percent("7.5", &micro));
        assert_int_equal(micro, 75000);
        assert_true(invoice_percent("8.8750", &micro));
        assert_int_equal(micro, 88750);
        assert_false(invoice_percent("100.1", &micro));
        assert_false(invoice_percent("-1", &micro));
        assert_false(invoice_percent("1.23456", &micro));
}

/* Whatever the lines are: what is shown adds up, and the exact sum is the rows'. */
static void test_sums(void **unused)
{
        static struct invoice_line lines[400];
        (void)unused;
        srand48(7);
        for (int round = 0; round < 3000; round++) {
                struct invoice inv = {
                        .lines = lines, .currency = round % 3 ? "EUR" : "JPY", .tax_percent = "19"};
                __int128 exact = 0, shown = 0;
                inv.line_count = (size_t)(lrand48() % 400);
                for (size_t i = 0; i < inv.line_count; i++) {
                        lines[i] = (struct invoice_line){.day = "2026-11-01", .model = "m"};
                        lines[i].pico = lrand48() % 5 ? lrand48() * 37 : lrand48() % 1000000;
                        exact += lines[i].pico;
                }
                invoice_reckon(&inv);
                for (size_t i = 0; i < inv.line_count; i++) {
                        __int128 off = lines[i].shown - lines[i].pico;
                        shown += lines[i].shown;
                        assert_true(lines[i].shown % 1000000 == 0 && off < 1000000 && off > -1000000);
                }
                assert_true(inv.exact == exact && shown == inv.shown);
                assert_true(inv.shown + inv.rounding == inv.net && inv.net + inv.tax == inv.gross);
                assert_true(inv.net == money_round(exact, inv.places));
                __int128 unit = inv.places ? MONEY_PICO / 100 : MONEY_PICO;
                assert_true(inv.net % unit == 0 && inv.tax % unit == 0);
        }
}

static void test_collect(void **unused)
{
        struct ledger *l = make_ledger();
        struct arena *a = arena_new();
        struct config_account account = account_of("desk");
        struct invoice inv;
        (void)unused;
        add(l, "desk", NOVEMBER_MS - 1, "assistant", 5); /* October */
        add(l, "desk", NOVEMBER_MS, "assistant", 1500000);
        add(l, "desk", NOVEMBER_MS + 5, "search", 1);
        add(l, "desk", NOVEMBER_MS + 9, "assistant", 1600000);
        add(l, "other", NOVEMBER_MS + 9, "assistant", 1600000);
        add(l, "desk", NOVEMBER_MS + DAY_MS, "assistant", MONEY_PICO / 3);
        add(l, "desk", NOVEMBER_MS + 30 * DAY_MS, "assistant", 7); /* December */
        collect(l, a, &account, "19", &inv);
        assert_int_equal(inv.line_count, 3);
        assert_string_equal(inv.currency, "EUR");
        assert_string_equal(inv.lines[0].day, "2026-11-01");
        assert_string_equal(inv.lines[0].model, "assistant");
        assert_int_equal(inv.lines[0].requests, 2);
        assert_int_equal(inv.lines[0].input, 200);
        assert_true(inv.lines[0].pico == 3100000);
        assert_string_equal(inv.lines[1].model, "search");
        assert_string_equal(inv.lines[2].day, "2026-11-02");
        assert_true(inv.exact == 3100001 + MONEY_PICO / 3);
        assert_true(inv.net == MONEY_PICO * 33 / 100);
        assert_true(inv.tax == MONEY_PICO * 6 / 100);
        assert_int_equal(inv.number, 0);
        arena_free(a);
        ledger_close(l);
        remove_ledger();
}

static int64_t issue(struct ledger *l, struct arena *a, const char *name)
{
        struct config_account account = account_of(name);
        struct invoice inv;
        collect(l, a, &account, "19", &inv);
        inv.issued = "2026-12-01";
        if (!invoice_issue(l, &inv, 1, why))
                return 0;
        return inv.number;
}

static void copy(const char *from_tail, const char *to_tail)
{
        char command[512];
        snprintf(command, sizeof command, "cp %s%s %s%s", ledger_path, from_tail, ledger_path, to_tail);
        assert_int_equal(system(command), 0);
}

static void test_numbers(void **unused)
{
        struct ledger *l = make_ledger();
        struct arena *a = arena_new();
        struct invoice again;
        (void)unused;
        const char *names[] = {"a", "b", "c", "d"};
        for (size_t i = 0; i < 4; i++)
                add(l, names[i], NOVEMBER_MS, "assistant", MONEY_PICO);
        assert_int_equal(issue(l, a, "a"), 1);
        assert_int_equal(issue(l, a, "a"), 0); /* a month is invoiced once, and no number is lost by that */
        assert_int_equal(issue(l, a, "b"), 2);
        assert_true(invoice_find(l, "b", "2026-11", NULL, a, &again, why));
        assert_int_equal(again.number, 2);
        assert_string_equal(again.buyer.name, "Buyer <Ltd>");
        assert_true(again.exact == MONEY_PICO && again.gross == MONEY_PICO * 119 / 100);
        assert_false(invoice_find(l, "c", "2026-11", NULL, a, &again, why));
        /* A ledger restored from before goes on behind the highest. */
        char backup[160];
        snprintf(backup, sizeof backup, "%s-backup", ledger_path);
        unlink(backup);
        assert_true(ledger_backup(l, backup, why));
        assert_int_equal(issue(l, a, "c"), 3);
        ledger_close(l);
        char path[160];
        snprintf(path, sizeof path, "%s-wal", ledger_path);
        unlink(path);
        snprintf(path, sizeof path, "%s-shm", ledger_path);
        unlink(path);
        copy("-backup", "");
        unlink(backup);
        l = make_ledger();
        assert_int_equal(issue(l, a, "d"), 4);
        ledger_close(l);
        remove_ledger();
        arena_free(a);
}

/* A process that died between the file and the ledger leaves no gap: the number was never shown. */
static void test_taken_number(void **unused)
{
        struct ledger *l = make_ledger();
        struct arena *a = arena_new();
        char path[160];
        (void)unused;
        add(l, "a", NOVEMBER_MS, "assistant", MONEY_PICO);
        snprintf(path, sizeof path, "%s-numbers", ledger_path);
        FILE *f = fopen(path, "w");
        fputs("7 taken\n", f);
        fclose(f);
        assert_int_equal(issue(l, a, "a"), 7);
        f = fopen(path, "w");
        fputs("garbage\n", f);
        fclose(f);
        add(l, "b", NOVEMBER_MS, "assistant", MONEY_PICO);
        assert_int_equal(issue(l, a, "b"), 0);
        assert_non_null(strstr(why, "-numbers"));
        arena_free(a);
        ledger_close(l);
        remove_ledger();
}

static void test_printed(void **unused)
{
        struct arena *a = arena_new();
        struct invoice_line line = {"2026-11-01", "=cmd|<b>", 3, 1000, 0, 50, 1234567890123, 0};
        struct invoice inv = {.account = "desk",
                              .month = "2026-11",
                              .from = "2026-11-01",
                              .until = "2026-11-30",
                              .zone = "UTC",
                              .issued = "2026-12-01",
                              .number = 12,
                              .currency = "EUR",
                              .tax_percent = "19",
                              .lines = &line,
                              .line_count = 1,
                              .seller = {"Seller & Sons", "Road 2\nTown", "DE2"}};
        struct buf *text = buf_in_arena(a, 1 << 20), *page = buf_in_arena(a, 1 << 20),
                   *csv = buf_in_arena(a, 1 << 20);
        (void)unused;
        invoice_reckon(&inv);
        invoice_write_text(&inv, text);
        invoice_write_html(&inv, page);
        invoice_write_csv(&inv, csv);
        buf_addc(text, '\0');
        buf_addc(page, '\0');
        buf_addc(csv, '\0');
        assert_non_null(strstr(text->data, "Invoice 12"));
        assert_non_null(strstr(text->data, "1.234568"));
        assert_non_null(strstr(text->data, "1.46"));
        assert_non_null(strstr(page->data, "Seller &amp; Sons"));
        assert_non_null(strstr(page->data, "=cmd|&lt;b&gt;"));
        assert_null(strstr(page->data, "<b>"));
        assert_non_null(strstr(csv->data, "\"'=cmd|<b>\""));
        assert_non_null(strstr(csv->data, "1.234567890123"));
        arena_free(a);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_months),  cmocka_unit_test(test_percents),
                cmocka_unit_test(test_sums),    cmocka_unit_test(test_collect),
                cmocka_unit_test(test_numbers), cmocka_unit_test(test_taken_number),
                cmocka_unit_test(test_printed),
        };
        if (!mkdtemp(folder))
                return 99;
        snprintf(ledger_path, sizeof ledger_path, "%s/usage.db", folder);
        int status = cmocka_run_group_tests(tests, NULL, NULL);
        rmdir(folder);
        return status;
}
