#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dialect/sse.h"

/* Events as text: [name|data] each, then the stray bytes after '#'. Fed in two pieces, cut at `split`. */
static void render(struct buf *out, const struct sse_event *e, struct buf *raw)
{
        assert_int_equal(e->name.at[e->name.len], 0);
        assert_int_equal(e->data.at[e->data.len], 0);
        buf_addc(out, '[');
        buf_add_str(out, e->name);
        buf_addc(out, '|');
        buf_add_str(out, e->data);
        buf_addc(out, ']');
        buf_add_str(raw, e->raw);
}

static void parse(const char *text, size_t len, size_t split, struct buf *out, struct buf *raw)
{
        struct sse_parser *p = sse_new(1 << 20);
        struct sse_event e;
        assert_true(sse_feed(p, text, split));
        while (sse_next(p, &e))
                render(out, &e, raw);
        assert_true(sse_feed(p, text + split, len - split));
        while (sse_next(p, &e))
                render(out, &e, raw);
        if (sse_end(p, &e))
                render(out, &e, raw);
        assert_false(sse_end(p, &e));
        struct str stray = sse_stray(p);
        if (stray.len) {
                buf_addc(out, '#');
                buf_add_str(out, stray);
        }
        sse_free(p);
}

static const struct {
        const char *text, *want;
} cases[] = {
        {"", ""},
        {"data: a\n\n", "[|a]"},
        {"data:a\n\ndata:  b\n\n", "[|a][| b]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]"},
        {"data: a\r\rdata: b\r\r", "[|a][|b]"},
        {"event: x\ndata: a\ndata: b\n\n", "[x|a\nb]"},
        {"event: x\n\ndata: a\n\n", "[|a]"},
        {"\xEF\xBB\xBF"
         "data: a\n\n",
         "[|a]"},
        {": hi\n\n: hi\n\ndata: a\n\n", "[|a]"},
        {"id: 7\nretry: 10\ndata: a\n\n", "[|a]"},
        {"data: a\n\ndata: [DONE]", "[|a][|[DONE]]"},
        {"data: a\n\ndata: b\n", "[|a][|b]"},
        {"data\ndata\n\n", "[|\n]"},
        {"data:\n\ndata: a\n\n", "[|a]"},
        {"\n\n\r\n\ndata: a\n\n\n\n", "[|a]"},
        {"{\"error\": {\n \"code\": 1}}\n", "#{\"error\": {\n \"code\": 1}}\n"},
        {"data: a\n\n<html>", "[|a]#<html>\n"},
        {"data: a\r\n\r\n{\"x\":1}\r\n", "[|a]#{\"x\":1}\n"},
        {"event: ping\r\ndata: {}\r\n\r\n: c\r\ndata: x: y\r\n\r\n", "[ping|{}][|x: y]"},
        {"data: \xC3\xA4\n\n", "[|\xC3\xA4]"},
};

static void every_split_gives_the_same(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                size_t len = strlen(cases[i].text);
                for (size_t split = 0; split <= len; split++) {
                        struct buf out, raw;
                        buf_init(&out, 4096);
                        buf_init(&raw, 4096);
                        parse(cases[i].text, len, split, &out, &raw);
                        assert_string_equal(out.data ? out.data : "", cases[i].want);
                        /* What was given raw is what came, in order. */
                        if (raw.len)
                                assert_memory_equal(raw.data, cases[i].text, raw.len);
                        buf_release(&out);
                        buf_release(&raw);
                }
        }
}

static void byte_by_byte_gives_the_same(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct buf out, raw;
                buf_init(&out, 4096);
                buf_init(&raw, 4096);
                struct sse_parser *p = sse_new(1000);
                struct sse_event e;
                for (const char *c = cases[i].text; *c; c++) {
                        assert_true(sse_feed(p, c, 1));
                        while (sse_next(p, &e))
                                render(&out, &e, &raw);
                }
                if (sse_end(p, &e))
                        render(&out, &e, &raw);
                struct str stray = sse_stray(p);
                if (stray.len)
                        buf_addc(&out, '#');
                buf_add_str(&out, stray);
                assert_string_equal(out.data ? out.data : "", cases[i].want);
                sse_free(p);
                buf_release(&out);
                buf_release(&raw);
        }
}

static void a_cr_ends_an_event_at_once(void **state)
{
        (void)state;
        struct sse_parser *p = sse_new(1000);
        struct sse_event e;
        assert_true(sse_feed(p, "data: a\r\n\r", 10));
        assert_true(sse_next(p, &e));
        assert_string_equal(e.data.at, "a");
        assert_false(sse_next(p, &e));
        sse_free(p);
}

static void an_event_beyond_the_cap_fails(void **state)
{
        (void)state;
        struct sse_event e;
        struct sse_parser *p = sse_new(16);
        assert_true(sse_feed(p, "data: 12345\n\ndata: 12345\n\ndata: 1", 33));
        assert_true(sse_next(p, &e));
        assert_true(sse_next(p, &e));
        assert_false(sse_next(p, &e));
        assert_false(sse_feed(p, "234567890123", 12));
        assert_false(sse_feed(p, "\n", 1));
        assert_false(sse_next(p, &e));
        assert_false(sse_end(p, &e));
        sse_free(p);

        p = sse_new(16);
        assert_false(sse_feed(p, "data: 12345678901234567890\n\n", 28));
        sse_free(p);
}

static void stray_bytes_are_capped(void **state)
{
        (void)state;
        struct sse_parser *p = sse_new(1 << 20);
        char line[1001];
        memset(line, 'x', 1000);
        line[1000] = '\n';
        for (int i = 0; i < 200; i++)
                assert_true(sse_feed(p, line, sizeof line));
        struct sse_event e;
        assert_false(sse_end(p, &e));
        assert_in_range(sse_stray(p).len, 60000, 65536);
        sse_free(p);
}

static void endless_comments_take_no_memory(void **state)
{
        (void)state;
        struct sse_parser *p = sse_new(8192);
        struct sse_event e;
        for (int i = 0; i < 10000; i++) {
                assert_true(sse_feed(p, ": keep-alive\n\n", 14));
                assert_false(sse_next(p, &e));
        }
        assert_true(sse_feed(p, "data: a\n\n", 9));
        assert_true(sse_next(p, &e));
        assert_string_equal(e.data.at, "a");
        assert_true(e.raw.len < 8192);
        sse_free(p);
        sse_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_split_gives_the_same),
                cmocka_unit_test(byte_by_byte_gives_the_same),
                cmocka_unit_test(a_cr_ends_an_event_at_once),
                cmocka_unit_test(an_event_beyond_the_cap_fails),
                cmocka_unit_test(stray_bytes_are_capped),
                cmocka_unit_test(endless_comments_take_no_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
