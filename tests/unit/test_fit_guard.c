/* policy/fit_guard: which requests reach into the provider's account, since their own account may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/fit.h"

static const struct config_guard guards[] = {
        {"openai", "file_id", "files", true},
        {"openai", "store", "files", false},
        {"openai", "web_search_options", "hosted-tools", true},
        {"openai", "tool:*search*", "hosted-tools", true},
        {"anthropic", "file_id", "files", true},
        {"anthropic", "container", "files", true},
        {"anthropic", "header:anthropic-beta", "betas", false},
        {"anthropic", "tool:web_search*", "hosted-tools", false},
        {"gemini", "fileData", "files", true},
        {"gemini", "cachedContent", "files", true},
        {"gemini", "tool:*", "hosted-tools", true},
};
static const struct config config = {.guards = guards, .guard_count = sizeof guards / sizeof *guards};

#define O(members) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" members "}"
#define A(members)                                                                                           \
        "{\"model\":\"m\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" members "}"
#define G(members) "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]" members "}"

static const struct reach_case {
        const struct dialect *dialect;
        const char *body, *betas;
        const char *needs; /* what lets it through; NULL: nothing is guarded */
} cases[] = {
        {&dialect_openai, O(""), NULL, NULL},
        {&dialect_openai, O(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"search\"}}]"), NULL,
         NULL},
        {&dialect_openai, O(",\"store\":false,\"seed\":3"), NULL, "files"},
        {&dialect_openai,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":"
         "{\"file_id\":\"f\"}}]}]}",
         NULL, "files"},
        {&dialect_openai, O(",\"web_search_options\":{}"), NULL, "hosted-tools"},
        {&dialect_openai, O(",\"Web_Search_Options\":{}"), NULL, "hosted-tools"},
        {&dialect_openai, O(",\"tools\":[{\"type\":\"file_search\"}]"), NULL, "hosted-tools"},
        {&dialect_anthropic, A(""), NULL, NULL},
        {&dialect_anthropic,
         A(",\"tools\":[{\"name\":\"web_search\",\"input_schema\":{\"type\":\"object\"}}]"), NULL, NULL},
        {&dialect_anthropic, A(""), "context-1m", "betas"},
        {&dialect_anthropic, A(",\"container\":\"c\""), NULL, "files"},
        {&dialect_anthropic, A(",\"tools\":[{\"type\":\"web_search_20260318\",\"name\":\"web_search\"}]"),
         NULL, "hosted-tools"},
        {&dialect_anthropic,
         "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"container_upload\",\"file_id\":\"f\"}]}]}",
         NULL, "files"},
        {&dialect_gemini, G(""), NULL, NULL},
        {&dialect_gemini, G(",\"cachedContent\":\"cachedContents/c\""), NULL, "files"},
        {&dialect_gemini, G(",\"tools\":[{\"googleSearch\":{}}]"), NULL, "hosted-tools"},
        {&dialect_gemini,
         "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":"
         "\"https://generativelanguage.googleapis.com/v1beta/files/f\"}}]}]}",
         NULL, "files"},
};

/* Fits it for an account that may do what `allow` says; NULL: nothing. */
static void fit(struct arena *a, const struct reach_case *c, const char *allow,
                const struct config_version *version, struct fit *out)
{
        static const struct form_fields no_query;
        struct client_input in = {.arena = a,
                                  .body = str_of(c->body),
                                  .betas = c->betas,
                                  .path_model = "m",
                                  .query = &no_query};
        struct config_provider provider = {.name = "p", .dialect = c->dialect->name};
        struct config_target target = {.provider = &provider, .model = "x"};
        struct config_account account = {.name = "a", .allow = &allow, .allow_count = allow ? 1 : 0};
        struct chat_request r = {0};
        struct err err = {0};
        if (!c->dialect->decode_chat_request(&in, &r, &err))
                fail_msg("%s: %s", c->body, err.message);
        fit_chat(a, &config, &r, &target, version, &account, out);
}

static void only_what_was_let_through_reaches_the_account(void **state)
{
        (void)state;
        static const char *const permissions[] = {NULL, "files", "tiers", "hosted-tools", "betas"};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                for (size_t p = 0; p < sizeof permissions / sizeof *permissions; p++) {
                        const struct reach_case *c = &cases[i];
                        struct arena *a = arena_new();
                        struct fit f;
                        bool may = c->needs && permissions[p] && strcmp(c->needs, permissions[p]) == 0;
                        fit(a, c, permissions[p], NULL, &f);
                        if (f.reaches_account != may || (may && !f.fits))
                                fail_msg("%s with %s: %d, %s", c->body, permissions[p], f.reaches_account,
                                         f.unfit_why ? f.unfit_why : "fits");
                        arena_free(a);
                }
        }
}

/* What the operator's own version sets is no doing of the caller's. */
static void what_a_version_sets_is_not_the_callers(void **state)
{
        (void)state;
        static const struct config_field set[] = {
                {.name = "store", .type = CONFIG_FIELD_BOOL, .boolean = true}};
        static const struct config_version version = {.set = set, .set_count = 1};
        static const struct reach_case plain = {&dialect_openai, O(""), NULL, NULL};
        struct arena *a = arena_new();
        struct fit f;
        fit(a, &plain, "files", &version, &f);
        assert_true(f.fits);
        assert_int_equal(f.request.store, TRI_YES);
        assert_false(f.reaches_account);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_what_was_let_through_reaches_the_account),
                cmocka_unit_test(what_a_version_sets_is_not_the_callers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
