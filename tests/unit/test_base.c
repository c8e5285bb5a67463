/* base: buf, arena, text, err. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"

static void buf_is_capped_and_sticky(void **state)
{
        (void)state;
        struct buf b;
        buf_init(&b, 5);
        assert_true(buf_adds(&b, "abc"));
        assert_false(buf_adds(&b, "def"));
        assert_true(b.failed);
        assert_false(buf_adds(&b, "d"));
        assert_string_equal(b.data, "abc");
        buf_reset(&b);
        assert_true(buf_addf(&b, "%d", 12345));
        buf_drop_front(&b, 2);
        assert_string_equal(b.data, "345");
        buf_release(&b);
}

static void count_release(void *counter)
{
        ++*(int *)counter;
}

static void arena_releases_once(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        int released = 0;
        for (int round = 0; round < 3; round++) {
                arena_defer(a, count_release, &released);
                char *big = arena_alloc(a, 100000);
                char *small = arena_printf(a, "%s-%d", "x", 7);
                memset(big, 1, 100000);
                assert_string_equal(small, "x-7");
                for (int i = 0; i < 1000; i++)
                        assert_int_equal((uintptr_t)arena_alloc(a, 33) % 16, 0);
                arena_reset(a);
                assert_int_equal(released, round + 1);
        }
        arena_free(a);
}

static void base64_both_ways(void **state)
{
        (void)state;
        static const struct {
                const char *plain, *coded;
        } rows[] = {{"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
                    {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct buf b;
                buf_init(&b, 100);
                text_base64_encode(&b, rows[i].plain, strlen(rows[i].plain));
                assert_string_equal(b.data ? b.data : "", rows[i].coded);
                buf_reset(&b);
                assert_true(text_base64_decode(&b, rows[i].coded, strlen(rows[i].coded), false));
                assert_string_equal(b.data ? b.data : "", rows[i].plain);
                buf_release(&b);
        }
        static const char *const bad[] = {"Z", "Zg=", "Zg===", "Z=g=", "Zm9v!", "Zm 9v", "====", "Zm9vY"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_false(text_base64_valid(bad[i], strlen(bad[i]), NULL));
        assert_true(text_base64_valid("_-79", 4, NULL));
        assert_true(text_base64_valid("Zg", 2, NULL));
}

static void utf8_is_checked(void **state)
{
        (void)state;
        assert_true(text_is_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
        static const char *const bad[] = {
                "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void escapes_forge_nothing(void **state)
{
        (void)state;
        char out[64];
        text_escape(out, sizeof out, "a\nb\x1b[31m\xff\xc2\x85", 11);
        assert_string_equal(out, "a\\x0ab\\x1b[31m\\xff\\xc2\\x85");
        size_t n = text_escape(out, 6, "abc\n", 4);
        assert_int_equal(n, 3);
        char clean[] = "a\x1b\xff\xc3\xa9z";
        text_clean(clean, 4);
        assert_string_equal(clean, "a ?");
        assert_true(text_header_safe("abc d~"));
        assert_false(text_header_safe("a\r\nb"));
        assert_true(text_is_token("a.b_c-1", 64));
        assert_false(text_is_token("", 64));
        assert_false(text_is_token("a b", 64));
}

static void globs_match(void **state)
{
        (void)state;
        size_t literal;
        assert_true(text_glob("gpt-5*", "gpt-5.5", &literal));
        assert_int_equal(literal, 5);
        assert_true(text_glob("*a*b", "xxaxxab", NULL));
        assert_false(text_glob("a?c", "ac", NULL));
        assert_true(text_glob("*", "", NULL));
        assert_int_equal(text_distance("timeout", "timeouts"), 1);
        assert_int_equal(text_distance("abc", "xyz"), 3);
}

static void words_stay_one(void **state)
{
        (void)state;
        static const struct {
                const char *text, *word;
        } cases[] = {
                {NULL, "-"},
                {"", "-"},
                {"gpt-5.5", "gpt-5.5"},
                {"p/model@1", "p/model@1"},
                {"a b=c", "\"a b=c\""},
                {"a\"b\\", "\"a\\\"b\\\\\""},
                {"0123456789abcdef", "0123456789abcd"},
                {"0 23456789abcdef", "\"0 23456789abc\""},
                {"= 23456789abc\"", "\"= 23456789abc\""},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char out[16];
                assert_string_equal(text_word(out, sizeof out, cases[i].text), cases[i].word);
        }
}

static void first_error_is_kept(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct err e = {0};
        assert_false(err_set(&e, a, ERR_TOO_LARGE, "body", "larger than %d", 5));
        err_set(&e, a, ERR_INTERNAL, NULL, "second");
        assert_int_equal(err_status(&e), 413);
        assert_string_equal(e.message, "larger than 5");
        /* What a caller wrote is quoted, but not without end. */
        char *huge = arena_alloc(a, 100001);
        memset(huge, 'x', 100000);
        e = (struct err){0};
        err_set(&e, a, ERR_BAD_REQUEST, huge, "no \x1b[1m\x7f %s", huge);
        assert_int_equal(strlen(e.message), 3000);
        assert_memory_equal(e.message, "no  [1m  xxx", 12);
        assert_int_equal(strlen(e.param), 500);
        for (int cause = ERR_BAD_REQUEST; cause < ERR_CAUSES; cause++) {
                const struct err_row *row = err_row((enum err_cause)cause);
                assert_true(row->status >= 400);
                assert_non_null(row->openai_type);
                assert_non_null(row->anthropic_type);
                assert_non_null(row->gemini_status);
                assert_non_null(row->plain_code);
        }
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(buf_is_capped_and_sticky), cmocka_unit_test(arena_releases_once),
                cmocka_unit_test(base64_both_ways),         cmocka_unit_test(utf8_is_checked),
                cmocka_unit_test(escapes_forge_nothing),    cmocka_unit_test(globs_match),
                cmocka_unit_test(words_stay_one),           cmocka_unit_test(first_error_is_kept),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
