/* Days in time zones, and files that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/zone_parse.h"

static struct zone *open_zone(const char *name)
{
        const char *why = NULL;
        struct zone *z = zone_open(name, &why);
        if (!z)
                print_message("%s %s\n", name, why);
        return z;
}

/* Days that are known: hours of the day, and the unix time of its start. */
static void days_are_23_to_25_hours(void **state)
{
        (void)state;
        static const struct {
                const char *zone;
                int64_t moment, starts, hours;
        } rows[] = {
                {"UTC", 1795694400 + 5, 1795694400, 24},             /* 2026-11-26 */
                {"Europe/Berlin", 1774749600, 1774738800, 23},       /* 2026-03-29 */
                {"Europe/Berlin", 1792890000, 1792879200, 25},       /* 2026-10-25 */
                {"Europe/Berlin", 1795690800, 1795647600, 24},       /* 2026-11-26 */
                {"America/Los_Angeles", 1772965000, 1772956800, 23}, /* 2026-03-08 */
                {"America/Los_Angeles", 1793520000, 1793516400, 25}, /* 2026-11-01 */
                {"Asia/Kolkata", 1795694400, 1795631400, 24},
                {"America/Los_Angeles", 4108060800, 4108046400, 24}, /* by the footer alone */
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct zone *z = open_zone(rows[i].zone);
                if (!z)
                        continue;
                const struct zone_day day = zone_day_of(z, rows[i].moment);
                print_message("%s %lld\n", rows[i].zone, (long long)rows[i].moment);
                assert_true(day.starts <= rows[i].moment && rows[i].moment < day.ends);
                assert_int_equal(day.ends - day.starts, rows[i].hours * 3600);
                zone_free(z);
        }
}

/* The C library's own idea of the same days, over some hundred years of every third day. */
static void agrees_with_the_c_library(void **state)
{
        (void)state;
        static const char *const zones[] = {"Europe/Berlin",       "America/Los_Angeles", "Asia/Kolkata",
                                            "Australia/Lord_Howe", "America/Sao_Paulo",   "Africa/Casablanca",
                                            "Asia/Tehran",         "Pacific/Apia",        "UTC"};
        for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
                struct zone *z = open_zone(zones[i]);
                if (!z)
                        continue;
                setenv("TZ", zones[i], 1);
                tzset();
                for (int64_t t = 86400; t < INT64_C(4200000000); t += 3 * 86400 + 4567) {
                        time_t moment = (time_t)t;
                        struct tm tm;
                        localtime_r(&moment, &tm);
                        int64_t local = t + tm.tm_gmtoff;
                        const struct zone_day day = zone_day_of(z, t);
                        assert_int_equal(day.number, local / 86400);
                        assert_true(day.starts <= t && t < day.ends);
                        /* Its neighbours begin where it ends. */
                        assert_int_equal(zone_day_of(z, day.ends).starts, day.ends);
                        assert_true(zone_day_of(z, day.starts - 1).number < day.number);
                        assert_int_equal(zone_local(z, t), local);
                        int64_t same = zone_moment(z, local);
                        assert_true(zone_local(z, same) == local && same <= t && t - same <= 3 * 3600);
                        const struct zone_date date = zone_date_of(day.number);
                        assert_int_equal(date.year, tm.tm_year + 1900);
                        assert_int_equal(date.month, tm.tm_mon + 1);
                        assert_int_equal(date.day, tm.tm_mday);
                }
                unsetenv("TZ");
                zone_free(z);
        }
}

static void dates(void **state)
{
        (void)state;
        int64_t number = -1;
        for (int64_t day = -719162; day <= 2932896; day += day < 0 || day > 30000 ? 97 : 1) {
                assert_true(zone_date_number(zone_date_of(day), &number));
                assert_int_equal(number, day);
        }
        assert_true(zone_date_number((struct zone_date){2024, 2, 29}, &number));
        assert_int_equal(number, 19782);
        static const struct zone_date none[] = {{2026, 2, 29}, {2026, 13, 1}, {2026, 0, 1},  {2026, 4, 31},
                                                {2026, 1, 0},  {0, 1, 1},     {10000, 1, 1}, {1900, 2, 29}};
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
                assert_false(zone_date_number(none[i], &number));
}

/* 2026 in Berlin: 02:00 to 03:00 is missing on 29 March, and comes twice on 25 October. */
static void moments_at_changes(void **state)
{
        (void)state;
        struct zone *z = open_zone("Europe/Berlin");
        if (!z)
                skip();
        assert_int_equal(zone_moment(z, 1774751400), 1774746000); /* 02:30 */
        assert_int_equal(zone_local(z, 1774746000), 1774753200);  /* 03:00 */
        assert_int_equal(zone_moment(z, 1792895400), 1792888200); /* 02:30, in summer time */
        assert_int_equal(zone_local(z, 1792888200 + 3600), 1792895400);
        assert_int_equal(zone_moment(NULL, 1792895400), 1792895400);
        zone_free(z);
}

static void names_that_are_none(void **state)
{
        (void)state;
        static const char *const names[] = {"", "/etc/passwd", "../../../etc/passwd", "Nowhere/At_All",
                                            "Europe"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                const char *why = NULL;
                assert_null(zone_open(names[i], &why));
                assert_non_null(why);
        }
        assert_int_equal(zone_day_of(NULL, 86400 * 3 + 1).number, 3);
        assert_int_equal(zone_day_of(NULL, -1).number, -1);
}

/* A file cut short anywhere, and one with any byte changed: an answer or none, never more. */
static void hostile_files(void **state)
{
        (void)state;
        struct buf file;
        buf_init(&file, 1 << 16);
        if (!buf_read_file(&file, "/usr/share/zoneinfo/Europe/Berlin"))
                skip();
        for (size_t len = 0; len < file.len; len++) {
                char *cut = malloc(len + 1);
                memcpy(cut, file.data, len);
                struct zone *z = zone_parse(cut, len);
                free(cut);
                if (z)
                        zone_day_of(z, 1795694400);
                zone_free(z);
        }
        for (size_t i = 0; i < file.len; i++) {
                char *odd = malloc(file.len);
                memcpy(odd, file.data, file.len);
                for (int n = 0; n < 3; n++) {
                        odd[i] = (char)(n == 0 ? 0xff : n == 1 ? 0x7f : 0);
                        struct zone *z = zone_parse(odd, file.len);
                        if (z)
                                zone_day_of(z, 1795694400);
                        zone_free(z);
                }
                free(odd);
        }
        buf_release(&file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(days_are_23_to_25_hours),
                cmocka_unit_test(agrees_with_the_c_library),
                cmocka_unit_test(dates),
                cmocka_unit_test(moments_at_changes),
                cmocka_unit_test(names_that_are_none),
                cmocka_unit_test(hostile_files),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
