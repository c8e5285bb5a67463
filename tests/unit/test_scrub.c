/* relay/scrub: what a provider says, before a caller or the log sees it (SECURITY item 12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "relay/attempt.h"

static const struct config_header headers[] = {{"x-team", "web"}, {"api-key", "0123456789abcdef"}};
static const struct config_provider providers[] = {
        {.name = "one", .key = "first-secret"},
        {.name = "two", .headers = headers, .header_count = 2},
};
static const struct config config = {.providers = providers, .provider_count = 2};

static void texts(void **state)
{
        (void)state;
        static const struct {
                const char *text, *clean;
        } cases[] = {
                {"nothing to hide", "nothing to hide"},
                {"key first-secret is wrong", "key [removed] is wrong"},
                {"key xfirst-secretx", "key x[removed]x"},
                {"api-key 0123456789abcdef of web", "api-key [removed] of web"},
                {"Incorrect API key provided: sk-proj-abc***xyz.", "Incorrect API key provided: [removed]"},
                {"AIzaSyABCDEFGH and Bearer abcdefgh", "[removed] and [removed]"},
                {"task-abcdefgh is no key", "task-abcdefgh is no key"},
                {"\x1b[31mred\a", " [31mred "},
                {"a\xff\xc2\x9b"
                 "b",
                 "a?  b"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                assert_string_equal(scrub_text(a, &config, cases[i].text), cases[i].clean);
                arena_free(a);
        }
}

static void faults(void **state)
{
        (void)state;
        static char words[] = "first-secret";
        struct arena *a = arena_new();
        struct upstream_fault f = {.message = words, .type = words, .code = words, .param = words};
        char *huge = arena_alloc(a, 100001);
        memset(huge, 'x', 100000);
        scrub_fault(a, &config, &f);
        assert_string_equal(f.message, "[removed]");
        assert_string_equal(f.type, "[removed]");
        assert_string_equal(f.code, "[removed]");
        assert_string_equal(f.param, "[removed]");
        assert_int_equal(strlen(scrub_text(a, &config, huge)), 2048);
        assert_null(scrub_text(a, &config, NULL));
        arena_free(a);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(faults)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
