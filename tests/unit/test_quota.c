/* What providers say of their limits, in their headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "dialect_dump.h"
#include "upstream/quota.h"

static const int64_t now = INT64_C(1786960800000); /* 2026-08-17T10:00:00Z */
static const int64_t day = INT64_C(86400000);

/* "-1" of a reset row: not taken. */
static void resets_come_in_many_forms(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t ms;
        } rows[] = {
                {"1s", 1000},
                {"6m0s", 360000},
                {"120ms", 120},
                {"1h2m3.5s", 3723500},
                {"0s", 0},
                {"2m59.56s", 179560},
                {"7.66s", 7660},
                {"0.5ms", 1},
                {"250us", 1},
                {"250\xc2\xb5s", 1},
                {"1d", 86400000},
                {"59", 59000},
                {"0.25", 250},
                {"0", 0},
                {"1786960812", 12000},    /* unix seconds */
                {"1786960812.5", 12500},  /* … with a fraction */
                {"1786960812345", 12345}, /* unix milliseconds */
                {"1786960000", 0},        /* past */
                {"2026-08-17T10:00:30Z", 30000},
                {"2026-08-17T10:00:30.250Z", 30250},
                {"2026-08-17T12:01:00+02:00", 60000},
                {"2026-08-17t05:30:01-04:30", 1000},
                {"2026-08-17 10:00:01z", 1000},
                {"2026-08-17T09:59:59Z", 0},
                {"2026-08-18T09:59:59Z", 86399000},
                /* at most a day */
                {"2027-01-01T00:00:00Z", 86400000},
                {"9999-12-31T23:59:60Z", 86400000},
                {"99h", 86400000},
                {"9999999999999d", 86400000},
                {"99999999", 86400000},
                {"9999999999999", 86400000},
                /* hostile, or none at all */
                {"", -1},
                {" ", -1},
                {"s", -1},
                {"-5", -1},
                {"-5s", -1},
                {"1s ", -1},
                {"1x", -1},
                {"1s2", -1},
                {"1,000", -1},
                {"inf", -1},
                {"nan", -1},
                {"0x10", -1},
                {"1e3", -1},
                {".5s", -1},
                {"99999999999999999999999999", -1},
                {"99999999999999999999999999h", -1},
                {"2026-08-17", -1},
                {"2026-08-17T10:00", -1},
                {"2026-08-17T10:00:30", -1},
                {"2026-13-17T10:00:30Z", -1},
                {"2026-08-32T10:00:30Z", -1},
                {"2026-08-17T24:00:30Z", -1},
                {"2026-08-17T10:00:30Zulu", -1},
                {"2026-08-17T10:00:30+2", -1},
                {"26-08-17T10:00:30Z", -1},
                {"Mon, 17 Aug 2026 10:00:30 GMT", -1},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct upstream_quota q = {0};
                quota_header(&q, "x-ratelimit-reset-requests", rows[i].text, now);
                if (q.requests.known != (rows[i].ms >= 0) ||
                    (q.requests.known && q.requests.reset_ms != rows[i].ms))
                        fail_msg("\"%s\": %d, %ld ms", rows[i].text, q.requests.known,
                                 (long)q.requests.reset_ms);
                if (q.requests.known) {
                        assert_int_equal(q.requests.limit, 0);
                        assert_int_equal(q.requests.remaining, -1);
                }
        }
}

/* The years are checked against the clock that writes dates. */
static void dates_of_every_month_are_right(void **state)
{
        (void)state;
        for (int64_t then = 0; then < INT64_C(4102444800000); then += 13 * day + 3671000) {
                char text[32];
                struct upstream_quota q = {0};
                clock_format(then + 4000, text);
                quota_header(&q, "anthropic-ratelimit-requests-reset", text, then);
                assert_int_equal(q.requests.reset_ms, 4000);
        }
}

static void counts_are_digits_within_bounds(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t count; /* -1: not taken */
        } rows[] = {
                {"0", 0},
                {"500", 500},
                {"199996.0", 199996},
                {"1000000000000", INT64_C(1000000000000)},
                {"1000000000001", -1},
                {"99999999999999999999999999999", -1},
                {"-1", -1},
                {"+1", -1},
                {"", -1},
                {"unlimited", -1},
                {"500, 500", -1},
                {"500;w=60", -1},
                {"5e3", -1},
                {"0x10", -1},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct upstream_quota q = {0};
                quota_header(&q, "X-RateLimit-Remaining-Tokens", rows[i].text, now);
                assert_int_equal(q.tokens.known, rows[i].count >= 0);
                if (q.tokens.known)
                        assert_int_equal(q.tokens.remaining, rows[i].count);
                assert_false(q.requests.known);
        }
}

/* ---- whole heads ---- */

struct head_case {
        const char *name;
        const char *headers[24]; /* name, value, … */
        struct quota_word requests, tokens;
};

static const struct head_case heads[] = {
        {"openai",
         {"x-ratelimit-limit-requests", "500", "x-ratelimit-limit-tokens", "200000",
          "x-ratelimit-remaining-requests", "499", "x-ratelimit-remaining-tokens", "199996",
          "x-ratelimit-reset-requests", "120ms", "x-ratelimit-reset-tokens", "1ms"},
         {true, 500, 499, 120},
         {true, 200000, 199996, 1}},
        {"groq",
         {"x-ratelimit-limit-requests", "14400", "x-ratelimit-limit-tokens", "18000",
          "x-ratelimit-remaining-requests", "14370", "x-ratelimit-remaining-tokens", "17997",
          "x-ratelimit-reset-requests", "2m59.56s", "x-ratelimit-reset-tokens", "7.66s"},
         {true, 14400, 14370, 179560},
         {true, 18000, 17997, 7660}},
        {"azure",
         {"x-ratelimit-remaining-requests", "99", "x-ratelimit-remaining-tokens", "99000"},
         {true, 0, 99, -1},
         {true, 0, 99000, -1}},
        {"input-images are none of these",
         {"x-ratelimit-limit-input-images", "50000", "x-ratelimit-remaining-input-images", "49999",
          "anthropic-priority-input-tokens-limit", "10", "x-ratelimit-limit", "60", "retry-after", "9"},
         {false, 0, 0, 0},
         {false, 0, 0, 0}},
        {"anthropic: the input is the tightest",
         {"anthropic-ratelimit-requests-limit", "4000", "anthropic-ratelimit-requests-remaining", "3999",
          "anthropic-ratelimit-requests-reset", "2026-08-17T10:00:01Z",
          "anthropic-ratelimit-input-tokens-limit", "2000000", "anthropic-ratelimit-input-tokens-remaining",
          "500000", "anthropic-ratelimit-input-tokens-reset", "2026-08-17T10:00:45Z",
          "anthropic-ratelimit-output-tokens-limit", "400000", "anthropic-ratelimit-output-tokens-remaining",
          "400000", "anthropic-ratelimit-output-tokens-reset", "2026-08-17T10:00:00Z"},
         {true, 4000, 3999, 1000},
         {true, 2000000, 500000, 45000}},
        {"anthropic: the output is, whatever comes first",
         {"anthropic-ratelimit-output-tokens-remaining", "40000", "anthropic-ratelimit-output-tokens-reset",
          "2026-08-17T10:00:54Z", "anthropic-ratelimit-output-tokens-limit", "400000",
          "anthropic-ratelimit-tokens-limit", "2400000", "anthropic-ratelimit-tokens-remaining", "2040000",
          "anthropic-ratelimit-tokens-reset", "2026-08-17T10:00:09Z",
          "anthropic-ratelimit-input-tokens-remaining", "2000000", "anthropic-ratelimit-input-tokens-limit",
          "2000000"},
         {false, 0, 0, 0},
         {true, 2400000, 240000, 54000}},
        {"nothing left",
         {"anthropic-ratelimit-tokens-limit", "100000", "anthropic-ratelimit-tokens-remaining", "90000",
          "anthropic-ratelimit-input-tokens-remaining", "0", "anthropic-ratelimit-input-tokens-reset",
          "2026-08-17T10:00:20Z", "anthropic-ratelimit-input-tokens-limit", "80000"},
         {false, 0, 0, 0},
         {true, 100000, 0, 20000}},
        {"more left than there is",
         {"x-ratelimit-remaining-tokens", "900", "x-ratelimit-limit-tokens", "100",
          "x-ratelimit-remaining-requests", "-3", "x-ratelimit-limit-requests", "60"},
         {true, 60, -1, -1},
         {true, 100, 100, -1}},
        {"the last of two counts, and what is none changes nothing",
         {"x-ratelimit-remaining-requests", "5", "x-ratelimit-remaining-requests", "4",
          "x-ratelimit-remaining-requests", "many"},
         {true, 0, 4, -1},
         {false, 0, 0, 0}},
};

static void assert_word(const char *name, const struct quota_word *got, const struct quota_word *expected)
{
        if (got->known != expected->known || got->limit != expected->limit ||
            got->remaining != expected->remaining || got->reset_ms != expected->reset_ms)
                fail_msg("%s: %d %ld %ld %ld", name, got->known, (long)got->limit, (long)got->remaining,
                         (long)got->reset_ms);
}

static void heads_of_every_vendor_are_understood(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
                const struct head_case *c = &heads[i];
                struct upstream_quota q = {0};
                for (size_t h = 0; h + 1 < sizeof c->headers / sizeof *c->headers && c->headers[h]; h += 2)
                        quota_header(&q, c->headers[h], c->headers[h + 1], now);
                assert_word(c->name, &q.requests, &c->requests);
                assert_word(c->name, &q.tokens, &c->tokens);
        }
}

static void check_recorded(const char *file, json_object *exchange, int *said)
{
        json_object *headers = json_peek_object(json_peek(exchange, "response"), "headers");
        struct upstream_quota q = {0};
        if (!headers)
                return;
        json_object_object_foreach(headers, name, value)
        {
                if (json_object_is_type(value, json_type_string))
                        quota_header(&q, name, json_object_get_string(value), now);
        }
        if (!q.requests.known)
                return;
        ++*said;
        const struct quota_word *words[] = {&q.requests, &q.tokens};
        for (int i = 0; i < 2; i++) {
                if (!words[i]->known || words[i]->limit < 100 || words[i]->remaining < words[i]->limit / 2 ||
                    words[i]->remaining > words[i]->limit || words[i]->reset_ms < 0)
                        fail_msg("%s: %ld of %ld, %ld ms", file, (long)words[i]->remaining,
                                 (long)words[i]->limit, (long)words[i]->reset_ms);
        }
}

static void recorded_heads_are_read_whole(void **state)
{
        (void)state;
        static const char *const folders[] = {"openai", "anthropic"};
        struct arena *a = arena_new();
        const char *root = dump_shared(a, "");
        int said = 0;
        if (!root) {
                arena_free(a);
                skip();
        }
        for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
                glob_t found;
                if (glob(arena_printf(a, "%s%s/recorded/*.json", root, folders[f]), 0, NULL, &found) != 0)
                        fail_msg("no recordings of %s", folders[f]);
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        json_object *list = json_object_from_file(found.gl_pathv[i]);
                        for (size_t n = 0; list && n < json_object_array_length(list); n++)
                                check_recorded(found.gl_pathv[i], json_object_array_get_idx(list, n), &said);
                        json_object_put(list);
                }
                globfree(&found);
        }
        assert_true(said >= 40);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(resets_come_in_many_forms),
                cmocka_unit_test(dates_of_every_month_are_right),
                cmocka_unit_test(counts_are_digits_within_bounds),
                cmocka_unit_test(heads_of_every_vendor_are_understood),
                cmocka_unit_test(recorded_heads_are_read_whole),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
