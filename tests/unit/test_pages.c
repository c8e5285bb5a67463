/* base/html, the plain dialect's pages, gateway/history, and the ledger's series over time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/html.h"
#include "dialect/dialect.h"
#include "gateway/history.h"
#include "store/ledger_query.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

/* ---- text in HTML ---- */

static void escaping(void **state)
{
        (void)state;
        static const struct {
                struct str text;
                const char *want;
        } rows[] = {
                {{"plain", 5}, "plain"},
                {{"<script>alert('x') && \"y\"</script>", 34},
                 "&lt;script&gt;alert(&#39;x&#39;) &amp;&amp; &quot;y&quot;&lt;/script&gt;"},
                {{"a\tb\nc\r", 6}, "a\tb\nc\r"},
                {{"a\0b", 3},
                 "a\xEF\xBF\xBD"
                 "b"},
                {{"\x1b[2J\x7f", 5}, "\xEF\xBF\xBD[2J\xEF\xBF\xBD"},
                {{"Gr\xc3\xbc\xc3\x9f"
                  "e",
                  7},
                 "Gr\xc3\xbc\xc3\x9f"
                 "e"},
                {{"\xc3<", 2}, "\xEF\xBF\xBD&lt;"},
                {{"\xed\xa0\x80", 3}, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                {{NULL, 0}, ""},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct buf out;
                buf_init(&out, 1000);
                html_text(&out, rows[i].text);
                assert_string_equal(out.data ? out.data : "", rows[i].want);
                buf_release(&out);
        }
}

/* ---- answers as pages ---- */

static struct answer_context context(struct arena *a)
{
        return (struct answer_context){
                .arena = a,
                .format = ANSWER_HTML,
                .request_id = "req<1>",
                .model_asked = "assistant",
                .version = "2026-11",
                .provider = "far",
                .cost = "0.0125",
                .currency = "USD",
                .latency_ms = 1250,
        };
}

static void has(const struct buf *out, const char *what)
{
        assert_false(out->failed);
        if (!strstr(out->data, what))
                print_error("there is no %s in:\n%s\n", what, out->data);
        assert_non_null(strstr(out->data, what));
}

static void has_not(const struct buf *out, const char *what)
{
        if (strstr(out->data, what))
                print_error("there is %s in:\n%s\n", what, out->data);
        assert_null(strstr(out->data, what));
}

/* What a model or provider says is text, wherever it stands; nothing in a page is a script or a style. */
static void chat_page(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a);
        struct buf *out = buf_in_arena(a, 1 << 20);
        struct chat_reply reply = {.model = "<b>served</b>",
                                   .usage = {.known = true, .input = 12, .output = 34}};
        chat_add_choice(a, &reply)->finish = FINISH_LENGTH;
        chat_add_reply_block(a, reply.choices, BLOCK_TEXT)->text = str_of("1 < 2 <img src=x onerror=a()>");
        struct chat_block *call = chat_add_reply_block(a, reply.choices, BLOCK_TOOL_CALL);
        call->name = "<look>";
        call->arguments_text = str_of("{\"at\":\"</li>\"}");
        dialect_plain.encode_chat_reply(&c, &reply, out);
        has(out, "<!doctype html>");
        has(out, "<html lang=\"en\">");
        has(out, "1 &lt; 2 &lt;img src=x onerror=a()&gt;");
        has(out, "&lt;look&gt;");
        has(out, "&lt;b&gt;served&lt;/b&gt;");
        has(out, "<dd>2026-11</dd>");
        has(out, "<dd>12 in, 34 out</dd>");
        has(out, "<dd>0.0125 USD</dd>");
        has(out, "<dd>1.25 s</dd>");
        has(out, "<dd>length</dd>");
        has(out, "href=\"./page.css\"");
        has_not(out, "<img");
        has_not(out, "<b>");
        has_not(out, "</li>\"");
        has_not(out, "<script");
        has_not(out, "style=");
        assert_string_equal(dialect_plain.content_type(ANSWER_HTML), "text/html; charset=utf-8");
        arena_free(a);
}

static void error_page(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a);
        struct buf *out = buf_in_arena(a, 1 << 20);
        struct err e = {0};
        c.home = "../../";
        err_set(&e, a, ERR_RATE_LIMIT, NULL, "too many: <script>");
        dialect_plain.encode_error(&c, &e, out);
        has(out, "too many: &lt;script&gt;");
        has(out, "<dd>429</dd>");
        has(out, "<dd>req&lt;1&gt;</dd>");
        has(out, "href=\"../../page.css\"");
        has_not(out, "<script");
        arena_free(a);
}

static void embed_page(void **state)
{
        (void)state;
        static const float x[] = {1, 0}, y[] = {3, 4}, none[] = {0, 0};
        struct arena *a = arena_new();
        struct answer_context c = context(a);
        struct buf *out = buf_in_arena(a, 1 << 20);
        struct embed_vector vectors[] = {{x, 2}, {y, 2}, {none, 2}};
        struct embed_reply reply = {.model = "e", .vectors = vectors, .vector_count = 3};
        dialect_plain.encode_embed_reply(&c, &reply, out);
        has(out, "<td class=\"n10\">1.000</td><td class=\"n6\">0.600</td><td class=\"n0\">0.000</td>");
        has(out, "<th scope=\"row\">Text 3</th>");
        arena_free(a);
}

/* ---- stretches of time ---- */

static const int64_t hour = 3600, day = 86400;

/* 2026-03-29 and 2026-10-25 are the days on which Berlin's clocks change. */
static void stretches(void **state)
{
        (void)state;
        static const struct {
                const char *range, *zone;
                int64_t now_s;
                size_t count;
                int64_t first_s, until_s;
        } rows[] = {
                /* 2026-11-26 12:34:56 */
                {"hour", "UTC", 1795696496, 60, 1795692900, 1795696500},
                {"day", "UTC", 1795696496, 24, 1795611600, 1795698000},
                {"month", "UTC", 1795696496, 30, 1793145600, 1795737600},
                {"month", "Europe/Berlin", 1795696496, 30, 1793142000, 1795734000},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *why;
                struct zone *zone = zone_open(rows[i].zone, &why);
                struct history_times t;
                assert_non_null(zone);
                history_stretch(history_range_find(rows[i].range), zone, rows[i].now_s * 1000 + 999, &t);
                assert_int_equal(t.count, rows[i].count);
                assert_int_equal(t.starts_ms[0], rows[i].first_s * 1000);
                assert_int_equal(t.until_ms, rows[i].until_s * 1000);
                zone_free(zone);
        }
        assert_null(history_range_find("year"));
}

/* Every moment of a year, in a zone whose clocks change: nothing is left out, nothing is twice. */
static void stretches_meet(void **state)
{
        (void)state;
        static const char *const ranges[] = {"hour", "day", "month"};
        static const size_t counts[] = {60, 24, 30};
        const char *why;
        struct zone *zone = zone_open("Europe/Berlin", &why);
        assert_non_null(zone);
        for (int64_t now = 1767225600; now < 1767225600 + 365 * day; now += 3 * hour + 7) {
                for (size_t r = 0; r < 3; r++) {
                        const struct history_range *range = history_range_find(ranges[r]);
                        struct history_times t;
                        history_stretch(range, zone, now * 1000, &t);
                        assert_in_range(t.count, counts[r], counts[r] + 1);
                        assert_true(t.starts_ms[t.count - 1] <= now * 1000 && t.until_ms > now * 1000);
                        for (size_t i = 1; i < t.count; i++)
                                assert_in_range(t.starts_ms[i] - t.starts_ms[i - 1], 1,
                                                (range->step_s + hour) * 1000);
                }
        }
        zone_free(zone);
}

/* ---- the series ---- */

static void series(void **state)
{
        (void)state;
        static const int64_t starts[] = {1000000, 2000000, 3000000};
        char folder[] = "/tmp/tollgate-pages-XXXXXX", path[64], why[512] = "";
        struct arena *a = arena_new();
        struct usage_series s;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/usage.db", folder);
        struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
        if (!l)
                print_error("%s\n", why);
        assert_non_null(l);
        assert_true(ledger_begin(l, 1000));
        for (int64_t i = 0; i < 900; i++) {
                /* From before the first stretch to behind the last. */
                int64_t ms = 700000 + i * 4000;
                struct ledger_row row = {
                        .id = ms << 20 | i,
                        .time_ms = ms,
                        .account = "a",
                        .model = i % 3 ? "often" : "seldom",
                        .outcome = i % 10 ? "ok" : "error",
                        .currency = "USD",
                        .charge_currency = "USD",
                        .priced = 1,
                        .attempts = 1,
                        .input = i,
                        .output = 2,
                        .cost_pico = 1000 + i,
                        .first_token_ms = 100,
                        .total_ms = 1 + i,
                };
                assert_true(ledger_add(l, &row, NULL, 0));
        }
        assert_true(ledger_flush(l) && ledger_commit(l));
        const struct usage_filter f = {.since_ms = starts[0], .until_ms = 4000000};
        assert_true(usage_series(l, &f, starts, 3, USAGE_MODEL, a, &s, why));

        /* By other means: a report of each stretch. */
        assert_int_equal(s.keys.count, 2);
        assert_string_equal(s.keys.lines[0].key, "often");
        for (size_t t = 0; t < 3; t++) {
                struct usage_filter one = {.since_ms = starts[t], .until_ms = starts[t] + 1000000};
                struct usage_report r;
                assert_true(usage_report(l, &one, USAGE_MODEL, NULL, a, &r, why));
                assert_int_equal(s.times[t].requests, r.total.requests);
                assert_int_equal(s.times[t].errors, r.total.errors);
                assert_int_equal(s.times[t].total_ms[1], r.total.total_ms[1]);
                assert_true(s.times[t].sums[0].cost_pico == r.total.sums[0].cost_pico);
                assert_int_equal(r.count, 2);
                for (size_t k = 0; k < 2; k++) {
                        assert_string_equal(r.lines[k].key, s.keys.lines[k].key);
                        assert_int_equal(s.cells[k][t].requests, r.lines[k].requests);
                        assert_int_equal(s.cells[k][t].input, r.lines[k].input);
                        assert_true(s.cells[k][t].sums[0].cost_pico == r.lines[k].sums[0].cost_pico);
                }
        }
        assert_int_equal(s.keys.total.requests, 750);

        /* More names than anybody looks at have no cells, and are in the whole all the same. */
        assert_true(ledger_begin(l, 1000));
        for (int64_t i = 0; i < 700; i++) {
                char name[32];
                snprintf(name, sizeof name, "stranger/%d", (int)i);
                struct ledger_row row = {.id = (INT64_C(2500000) << 20) + 100000 + i,
                                         .time_ms = 2500000,
                                         .account = "a",
                                         .model = name,
                                         .outcome = "ok"};
                assert_true(ledger_add(l, &row, NULL, 0));
        }
        assert_true(ledger_flush(l) && ledger_commit(l));
        assert_true(usage_series(l, &f, starts, 3, USAGE_MODEL, a, &s, why));
        size_t without = 0;
        for (size_t k = 0; k < s.keys.count; k++)
                without += s.cells[k] == NULL;
        assert_int_equal(s.keys.count, 702);
        assert_int_equal(without, 202);
        assert_int_equal(s.keys.total.requests, 1450);
        ledger_close(l);
        arena_free(a);
        char *command = NULL;
        assert_true(asprintf(&command, "rm -rf '%s'", folder) > 0);
        assert_int_equal(system(command), 0);
        free(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(escaping),   cmocka_unit_test(chat_page), cmocka_unit_test(error_page),
                cmocka_unit_test(embed_page), cmocka_unit_test(stretches), cmocka_unit_test(stretches_meet),
                cmocka_unit_test(series),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
