#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "dialect/carry.h"

static const struct round_case {
        enum dialect_id from;
        enum carry_on on;
        const char *signature;
} rounds[] = {
        {DIALECT_ANTHROPIC, CARRY_ON_THINKING, "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="},
        {DIALECT_ANTHROPIC, CARRY_ON_REDACTED,
         "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP"},
        {DIALECT_GEMINI, CARRY_ON_NEXT_CALL, "CiMBjz1rX25KieIB4d4AwFn8/WbsHTRNHBXso88PtemwfsSfRAp6AY89"},
        {DIALECT_GEMINI, CARRY_ON_NEXT_TEXT, "A"},
        {DIALECT_OPENAI, CARRY_ON_THINKING, "gAAAA \"quoted\" \\ \xc3\xa9\n\x01"},
        {DIALECT_OPENAI, CARRY_ON_THINKING, ""},
};

static void assert_unwraps(struct arena *a, struct str wrapped, const struct round_case *c)
{
        enum dialect_id from = DIALECT_NONE;
        enum carry_on on = CARRY_ON_NEXT_TEXT;
        struct str signature = {0};
        assert_true(carry_unwrap(a, wrapped, &from, &on, &signature));
        assert_int_equal(from, c->from);
        assert_int_equal(on, c->on);
        assert_true(str_is(signature, c->signature));
}

static void test_round_trip(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
                struct arena *a = arena_new();
                const struct round_case *c = &rounds[i];
                struct str wrapped = carry_wrap(a, c->from, c->on, str_of(c->signature));
                size_t decoded;
                assert_non_null(wrapped.at);
                assert_int_equal(wrapped.len % 4, 0);
                assert_true(text_base64_valid(wrapped.at, wrapped.len, &decoded));
                assert_true(carry_present(wrapped));
                assert_unwraps(a, wrapped, c);
                /* A client that decodes and encodes again, in the other alphabet. */
                struct buf bytes, again;
                buf_init(&bytes, 4096);
                buf_init(&again, 4096);
                assert_true(text_base64_decode(&bytes, wrapped.at, wrapped.len, false));
                text_base64_encode(&again, bytes.data, bytes.len);
                assert_int_equal(again.len, wrapped.len);
                assert_unwraps(a, (struct str){again.data, again.len}, c);
                buf_adds(&again, "=");
                enum dialect_id from;
                enum carry_on on;
                struct str signature;
                assert_false(carry_unwrap(a, (struct str){again.data, again.len}, &from, &on, &signature));
                buf_release(&bytes);
                buf_release(&again);
                arena_free(a);
        }
}

/* What stands behind the marker, before base64. */
static const char *const broken[] = {
        "",
        "x",
        "{}",
        "[1]",
        "\"from\"",
        "{\"from\":\"gemini\",\"on\":\"thinking\"}",
        "{\"from\":\"gemini\",\"on\":\"thinking\",\"data\":7}",
        "{\"from\":\"gemini\",\"on\":\"elsewhere\",\"data\":\"x\"}",
        "{\"from\":\"plain\",\"on\":\"thinking\",\"data\":\"x\"}",
        "{\"from\":\"echo\",\"on\":\"thinking\",\"data\":\"x\"}",
        "{\"from\":null,\"on\":\"thinking\",\"data\":\"x\"}",
        "{\"from\":\"gemini\",\"on\":\"thinking\",\"data\":\"x\\u0000y\"}",
        "{\"from\":\"gemini\",\"from\":\"openai\",\"on\":\"thinking\",\"data\":\"x\"}",
        "{\"from\":\"gemini\",\"on\":\"thinking\",\"data\":\"x\"",
};

static void test_broken(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
                struct arena *a = arena_new();
                struct buf b;
                buf_init(&b, 4096);
                buf_adds(&b, CARRY_MARKER);
                text_base64url_encode(&b, broken[i], strlen(broken[i]));
                enum dialect_id from;
                enum carry_on on;
                struct str signature;
                assert_false(carry_unwrap(a, (struct str){b.data, b.len}, &from, &on, &signature));
                buf_release(&b);
                arena_free(a);
        }
}

static const char *const foreign[] = {
        "",
        "Tollgate",
        CARRY_MARKER,
        CARRY_MARKER "!!!!",
        "tollgateSig1AAAA",
        "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLo=",
};

static void test_foreign(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
                enum dialect_id from;
                enum carry_on on;
                struct str signature;
                assert_false(carry_unwrap(a, str_of(foreign[i]), &from, &on, &signature));
        }
        assert_false(carry_unwrap(a, (struct str){0}, &(enum dialect_id){0}, &(enum carry_on){0},
                                  &(struct str){0}));
        assert_false(carry_present((struct str){0}));
        assert_false(carry_present(str_of("{\"signature\":\"TollgateSig\"}")));
        assert_true(carry_present(str_of("{\"signature\":\"TollgateSig1eyJ\"}")));
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_foreign),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
