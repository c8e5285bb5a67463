/* gateway/guard: which pages may use what a browser sends along by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/guard.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static const char *const cors[] = {"https://app.example"};
static const struct config plain_config = {.cors_count = 0};
static const struct config listing = {.cors = cors, .cors_count = 1};

static void foreign_pages(void **state)
{
        (void)state;
        static const struct {
                const char *method, *site, *mode, *origin, *host;
                bool https, own;
        } rows[] = {
                /* programs send none of these headers */
                {"POST", NULL, NULL, NULL, "h", false, true},
                {"GET", NULL, NULL, NULL, "h", false, true},
                /* node's fetch sends a mode alone */
                {"POST", NULL, "cors", NULL, "h", false, true},
                {"POST", "same-origin", "cors", "http://h", "h", false, true},
                {"POST", "none", "navigate", NULL, "h", false, true},
                {"POST", "same-site", "cors", "http://x.h", "h", false, false},
                {"POST", "cross-site", "cors", "http://evil", "h", false, false},
                {"POST", "cross-site", "navigate", NULL, "h", false, false},
                {"POST", "rubbish", NULL, NULL, "h", false, false},
                /* a link to us is no attack, an image or script that names us is */
                {"GET", "cross-site", "navigate", NULL, "h", false, true},
                {"GET", "cross-site", "no-cors", NULL, "h", false, false},
                {"GET", "cross-site", NULL, NULL, "h", false, false},
                /* older browsers: the origin alone */
                {"POST", NULL, NULL, "http://h", "h", false, true},
                {"POST", NULL, NULL, "http://H", "h", false, true},
                {"POST", NULL, NULL, "http://h:80", "h", false, true},
                {"POST", NULL, NULL, "http://h", "h:80", false, true},
                {"POST", NULL, NULL, "http://h:8080", "h", false, false},
                {"POST", NULL, NULL, "http://h:8080", "h:8080", false, true},
                {"POST", NULL, NULL, "https://h", "h", false, false},
                {"POST", NULL, NULL, "https://h", "h:443", true, true},
                {"POST", NULL, NULL, "http://h", "h", true, false},
                {"POST", NULL, NULL, "http://hx", "h", false, false},
                {"POST", NULL, NULL, "http://h.evil", "h", false, false},
                {"POST", NULL, NULL, "http://h", NULL, false, false},
                {"POST", NULL, NULL, "null", "h", false, false},
                {"POST", NULL, NULL, "null", "null", false, false},
                {"GET", NULL, NULL, "http://evil", "h", false, false},
                {"POST", "same-origin", NULL, "null", "h", false, true},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct guard_input in = {
                        .method = rows[i].method,
                        .site = rows[i].site,
                        .mode = rows[i].mode,
                        .origin = rows[i].origin,
                        .host = rows[i].host,
                        .https = rows[i].https,
                };
                if (guard_is_own_page(&in, &plain_config) != rows[i].own)
                        print_error("row %zu\n", i);
                assert_int_equal(guard_is_own_page(&in, &plain_config), rows[i].own);
        }
}

static void listed_origins(void **state)
{
        (void)state;
        struct guard_input in = {.method = "POST", .origin = "https://app.example", .host = "h"};
        assert_true(guard_is_own_page(&in, &listing));
        in.site = "cross-site";
        assert_true(guard_is_own_page(&in, &listing));
        in.origin = "https://app.example.evil";
        assert_false(guard_is_own_page(&in, &listing));
        assert_true(guard_origin_listed(&listing, "https://app.example"));
        assert_false(guard_origin_listed(&listing, in.origin));
        assert_false(guard_origin_listed(&listing, "null"));
        assert_false(guard_origin_listed(&listing, NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(foreign_pages),
                cmocka_unit_test(listed_origins),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
