/* base/json: the scan before json-c, spans, checked getters, the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"

static void scan_takes_json_and_nothing_else(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                const char *what;     /* NULL: good */
                const char *provider; /* the same, read leniently; "=": as for clients */
        } rows[] = {
                {"{}", NULL, "="},
                {" [1, -2.5e+3, 0, \"a\\u00e9\\n\", true, false, null] ", NULL, "="},
                {"{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}", NULL, "="},
                {"\"\\ud83d\\ude00\"", NULL, "="},
                {"{\"a\":1,\"a\":2}", "duplicate key", NULL},
                {"{\"model\":1,\"m\\u006fdel\":2}", "duplicate key", NULL},
                {"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", "duplicate key", NULL},
                {"\"a\\u0000b\"", "a NUL character (\\u0000) in a string", NULL},
                {"\"\\ud800\"", "a lone surrogate in a string", NULL},
                {"\"\\ude00\"", "a lone surrogate in a string", NULL},
                {"\"\\ud800\\u0041\"", "a lone surrogate in a string", NULL},
                {"\"\xc3\xa9\x80\"", "bytes that are not UTF-8", "="},
                {"\"\xed\xa0\x80\"", "bytes that are not UTF-8", "="},
                {"\"\xc0\xaf\"", "bytes that are not UTF-8", "="},
                {"\"\xf4\x90\x80\x80\"", "bytes that are not UTF-8", "="},
                {"\"12345678\x01 \"", "a control character in a string", "="},
                {"\"abc", "a string without end", "="},
                {"\"abc\\", "a string without end", "="},
                {"\"\\x\"", "an unknown escape in a string", "="},
                {"\"\\u12g4\"", "a \\u escape without four hex digits", "="},
                {"{\"a\" 1}", "a ':' was expected", "="},
                {"{\"a\":1 \"b\":2}", "a ',' or '}' was expected", "="},
                {"{\"a\":1,}", "a key was expected", "="},
                {"{a:1}", "a key was expected", "="},
                {"[1,]", "a value was expected", "="},
                {"[1 2]", "a ',' or ']' was expected", "="},
                {"[1", "a ',' or ']' was expected", "="},
                {"", "a value was expected", "="},
                {"01", "a malformed number", "="},
                {"1.", "a malformed number", "="},
                {"1e", "a malformed number", "="},
                {"-", "a malformed number", "="},
                {"NaN", "a value was expected", "="},
                {"nul", "not JSON", "="},
                {"{} {}", "text after the end of the JSON", "="},
                {"{}\x00", NULL, "="},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct json_fault f;
                bool good = json_scan(rows[i].text, strlen(rows[i].text), JSON_FROM_CLIENT, &f);
                assert_int_equal(good, rows[i].what == NULL);
                if (!good)
                        assert_string_equal(f.what, rows[i].what);
                const char *lenient =
                        rows[i].provider && *rows[i].provider == '=' ? rows[i].what : rows[i].provider;
                good = json_scan(rows[i].text, strlen(rows[i].text), JSON_FROM_PROVIDER, &f);
                assert_int_equal(good, lenient == NULL);
        }
        struct json_fault f;
        assert_false(json_scan("{}\0", 3, JSON_FROM_CLIENT, &f));
}

/* Every prefix of a document is bad, and none is read beyond. */
static void scan_of_every_prefix_fails(void **state)
{
        (void)state;
        static const char whole[] = "{\"a\":[1,2.5,\"x\\u00e9\xc3\xa9\",{\"b\":null}],\"c\":true}";
        for (size_t len = 0; len < sizeof whole - 1; len++) {
                char *copy = malloc(len ? len : 1);
                memcpy(copy, whole, len);
                struct json_fault f;
                assert_false(json_scan(copy, len, JSON_FROM_CLIENT, &f));
                assert_true(f.offset <= len);
                free(copy);
        }
}

static void scan_is_bounded(void **state)
{
        (void)state;
        struct buf b;
        struct json_fault f;
        buf_init(&b, 1 << 24);
        for (int i = 0; i < 65; i++)
                buf_addc(&b, '[');
        assert_false(json_scan(b.data, b.len, JSON_FROM_CLIENT, &f));
        assert_string_equal(f.what, "more than 64 levels");
        buf_reset(&b);
        buf_addc(&b, '[');
        for (int i = 0; i < 1000000; i++)
                buf_adds(&b, "[],");
        buf_adds(&b, "[]]");
        assert_false(json_scan(b.data, b.len, JSON_FROM_CLIENT, &f));
        assert_string_equal(f.what, "more than 200000 values");
        buf_reset(&b);
        buf_addc(&b, '{');
        for (int i = 0; i < 50000; i++)
                buf_addf(&b, "\"key%d\":1,", i);
        size_t before = b.len;
        buf_adds(&b, "\"last\":1}");
        assert_true(json_scan(b.data, b.len, JSON_FROM_CLIENT, &f));
        b.len = before;
        buf_adds(&b, "\"key49999\":1}");
        assert_false(json_scan(b.data, b.len, JSON_FROM_CLIENT, &f));
        assert_string_equal(f.key, "key49999");
        buf_release(&b);
}

/* Counts that a provider tells: never negative, never beyond what sums can hold. */
static void counts_are_bounded(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t count;
        } cases[] = {
                {"{\"n\":7}", 7},
                {"{\"n\":7.9}", 7},
                {"{\"n\":-7}", 0},
                {"{\"n\":-1e300}", 0},
                {"{\"n\":1e300}", 1000000000000},
                {"{\"n\":9223372036854775807}", 1000000000000},
                {"{\"n\":99999999999999999999999999}", 1000000000000},
                {"{\"n\":-99999999999999999999999999}", 0},
                {"{\"n\":\"7\"}", 0},
                {"{\"n\":null}", 0},
                {"{\"n\":[7]}", 0},
                {"[7]", 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct err err = {0};
                json_object *node =
                        json_parse(a, cases[i].text, strlen(cases[i].text), JSON_FROM_PROVIDER, &err);
                assert_non_null(node);
                assert_int_equal(json_peek_count(node, "n"), cases[i].count);
                arena_free(a);
        }
}

static void trees_are_reckoned(void **state)
{
        (void)state;
        static const struct {
                const char *item;
                size_t each; /* at least, as measured */
        } cases[] = {{"{}", 792}, {"{\"a\":1}", 864}, {"[]", 152}, {"1", 72}, {"\"{,{,\"", 88}};
        enum { ITEMS = 5000 };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct buf text;
                buf_init(&text, 1 << 20);
                buf_addc(&text, '[');
                for (int k = 0; k < ITEMS; k++)
                        buf_addf(&text, "%s%s", k ? "," : "", cases[i].item);
                assert_int_equal(json_tree_bytes(text.data, text.len), 0); /* no end: not JSON */
                buf_addc(&text, ']');
                size_t bytes = json_tree_bytes(text.data, text.len);
                assert_true(bytes >= ITEMS * cases[i].each && bytes < ITEMS * (cases[i].each + 400));
                buf_release(&text);
        }
        assert_int_equal(json_tree_bytes("[{},{}]", 7), 0);
}

static void members_are_where_they_stand(void **state)
{
        (void)state;
        static const char text[] =
                " { \"a\" : \"x,}\\\"\" , \"b\":[1,{\"c\":2}],\"d\":-1.5e3 ,\"e\":{},\"f\":null}";
        static const char *const want[][2] = {
                {"a", "\"x,}\\\"\""}, {"b", "[1,{\"c\":2}]"}, {"d", "-1.5e3"}, {"e", "{}"}, {"f", "null"}};
        struct json_member m[8];
        assert_int_equal(json_members(text, sizeof text - 1, m, 8), 5);
        for (size_t i = 0; i < 5; i++) {
                assert_true(str_is((struct str){m[i].key, m[i].key_len}, want[i][0]));
                assert_true(str_is((struct str){m[i].value, m[i].value_len}, want[i][1]));
                assert_int_equal(*m[i].start, '"');
        }
        assert_int_equal(json_members(text, sizeof text - 1, m, 2), 5);
        assert_int_equal(json_members("{ }", 3, m, 2), 0);
        assert_true(json_members("[1]", 3, m, 2) == SIZE_MAX);
}

static void getters_name_the_path(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct err err = {0};
        static const char text[] = "{\"messages\":[{\"role\":7,\"n\":1.5,\"m\":3.0,\"f\":9,\"s\":null}]}";
        json_object *root = json_parse(a, text, sizeof text - 1, JSON_FROM_CLIENT, &err);
        assert_non_null(root);
        struct json_reader r = {a, &err};
        struct json_path top = {.key = "messages"}, at = {.up = &top, .index = 0};
        json_object *list, *m;
        assert_true(json_need_array(&r, root, NULL, "messages", &list));
        m = json_object_array_get_idx(list, 0);
        const char *s;
        int64_t n;
        double f;
        assert_false(json_get_string(&r, m, &at, "s", &s));
        assert_int_equal(err.cause, ERR_NONE);
        assert_true(json_get_int(&r, m, &at, "m", 0, 9, &n));
        assert_int_equal(n, 3);
        assert_false(json_get_string(&r, m, &at, "role", &s));
        assert_string_equal(err.message, "messages[0].role: expected a string, got a number");
        assert_string_equal(err.param, "messages[0].role");
        err = (struct err){0};
        assert_false(json_get_int(&r, m, &at, "n", 0, 9, &n));
        assert_string_equal(err.message, "messages[0].n: expected an integer, got a number");
        err = (struct err){0};
        assert_false(json_get_number(&r, m, &at, "f", 0, 2, &f));
        assert_string_equal(err.message, "messages[0].f: must be between 0 and 2");
        err = (struct err){0};
        assert_false(json_need_string(&r, m, &at, "name", &s));
        assert_string_equal(err.message, "messages[0].name: is required");
        arena_free(a);
}

static void parse_tells_line_and_column(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        static const struct {
                const char *text, *message;
        } rows[] = {
                {"{\n  \"a\": 1,\n  \"a\": 2}",
                 "the body is not valid JSON: line 3, column 3: duplicate key \"a\""},
                {"{\"a\": tru}", "the body is not valid JSON: line 1, column 7: not JSON"},
                {"", "the body is empty; JSON was expected"},
                {"null", "the body is null; a JSON object was expected"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct err err = {0};
                assert_null(json_parse(a, rows[i].text, strlen(rows[i].text), JSON_FROM_CLIENT, &err));
                assert_string_equal(err.message, rows[i].message);
        }
        struct err err = {0};
        assert_non_null(json_parse(a, "12", 2, JSON_FROM_CLIENT, &err));
        arena_free(a);
}

static void writer_writes_json(void **state)
{
        (void)state;
        struct buf b;
        struct json_writer w;
        buf_init(&b, 1000);
        json_writer_init(&w, &b);
        jw_object(&w);
        jw_key_string(&w, "a\"", "x\n\x01\xff\xc3\xa9");
        jw_key_array(&w, "b");
        jw_int(&w, -1);
        jw_number(&w, 0.1);
        jw_number(&w, 1e300 * 1e300);
        jw_bool(&w, true);
        jw_object(&w);
        jw_end(&w);
        jw_end(&w);
        jw_key_null(&w, "c");
        jw_end(&w);
        assert_true(jw_done(&w));
        assert_string_equal(
                b.data,
                "{\"a\\\"\":\"x\\n\\u0001\xef\xbf\xbd\xc3\xa9\",\"b\":[-1,0.1,null,true,{}],\"c\":null}");
        buf_release(&b);
        buf_init(&b, 3);
        json_writer_init(&w, &b);
        jw_array(&w);
        jw_string(&w, "long");
        jw_end(&w);
        assert_false(jw_done(&w));
        buf_release(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(scan_takes_json_and_nothing_else),
                cmocka_unit_test(scan_of_every_prefix_fails),
                cmocka_unit_test(scan_is_bounded),
                cmocka_unit_test(counts_are_bounded),
                cmocka_unit_test(trees_are_reckoned),
                cmocka_unit_test(members_are_where_they_stand),
                cmocka_unit_test(getters_name_the_path),
                cmocka_unit_test(parse_tells_line_and_column),
                cmocka_unit_test(writer_writes_json),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
