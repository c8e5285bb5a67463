/* Names of tools between vendors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dialect/tool_name.h"

static void test_names(void **state)
{
        (void)state;
        static const struct {
                const char *name;
                enum dialect_id to;
                const char *out;
        } rows[] = {
                {"weather", DIALECT_OPENAI, "weather"},
                {"get-it_2", DIALECT_OPENAI, "get-it_2"},
                {"home.light:on", DIALECT_OPENAI, "tg--home-2elight-3aon"},
                {"home.light:on", DIALECT_ANTHROPIC, "tg--home-2elight-3aon"},
                {"home.light:on", DIALECT_GEMINI, "home.light:on"},
                {"3d", DIALECT_OPENAI, "3d"},
                {"3d", DIALECT_GEMINI, "tg--3d"},
                {"-x", DIALECT_GEMINI, "tg---2dx"},
                {"a b", DIALECT_GEMINI, "tg--a-20b"},
                {"\xc3\xa4", DIALECT_ANTHROPIC, "tg---c3-a4"},
                {"tg--x", DIALECT_OPENAI, "tg--tg-2d-2dx"}, /* what looks escaped is escaped once more */
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                const char *out = tool_name_out(a, rows[i].name, rows[i].to);
                assert_string_equal(out, rows[i].out);
                assert_true(tool_name_is_legal(out, rows[i].to));
                assert_string_equal(tool_name_back(a, out), rows[i].name);
        }
        arena_free(a);
}

static void test_foreign(void **state)
{
        (void)state;
        /* Never made here: a model's own invention stays as it is. */
        static const char *const names[] = {"", "weather", "tg--a-2", "tg--a-zz", "tg--a-00", "tg-a"};
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                assert_string_equal(tool_name_back(a, names[i]), names[i]);
        assert_null(tool_name_back(a, NULL));
        arena_free(a);
}

static void test_length(void **state)
{
        (void)state;
        char name[130] = {0};
        memset(name, 'a', 64);
        assert_true(tool_name_fits(name, DIALECT_OPENAI));
        name[64] = 'a';
        assert_false(tool_name_fits(name, DIALECT_OPENAI));
        memset(name, 'a', 128);
        assert_true(tool_name_fits(name, DIALECT_GEMINI) && tool_name_fits(name, DIALECT_ANTHROPIC));
        name[128] = 'a';
        assert_false(tool_name_fits(name, DIALECT_GEMINI) || tool_name_fits(name, DIALECT_ANTHROPIC));
}

static void test_ids(void **state)
{
        (void)state;
        static const char *const ids[] = {"call_1", "call_2", "toolu_01AbCdEf", "", "call:1", "1234567890"};
        struct arena *a = arena_new();
        assert_string_equal(tool_id_out(a, "call:1", 0), "call:1");
        assert_string_equal(tool_id_out(a, "D681PevKs", 9), "D681PevKs");
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
                const char *nine = tool_id_out(a, ids[i], 9);
                assert_false(tool_id_fits(ids[i], 9));
                assert_true(tool_id_fits(nine, 9) && tool_id_fits(tool_id_out(a, ids[i], 40), 40));
                assert_string_equal(nine, tool_id_out(a, ids[i], 9));
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(nine, tool_id_out(a, ids[k], 9));
        }
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_length),
                cmocka_unit_test(test_ids),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
