/* Marks for prompt caches: put where they pay, kept where they can be used, the earliest of too many left
 * out; and the caller's own request, which serves other targets too, is never changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect_dump.h"
#include "policy/fit.h"

static const struct config_catalogue_row rows[] = {
        {.pattern = "small", .caps = {.cache_min = 50}},
        {.pattern = "router", .caps = {.cache_control = TRI_YES}},
};
static const struct config config = {.catalogue = rows, .catalogue_count = 2};
static const struct config_version automatic = {.name = "1", .auto_cache = true}, manual = {.name = "2"};
static const struct config_provider anthropic = {.name = "a", .dialect = "anthropic"},
                                    openai = {.name = "o", .dialect = "openai"},
                                    gemini = {.name = "g", .dialect = "gemini"};

struct world {
        struct arena *arena;
        struct chat_request request;
        struct fit fit;
};

static void decode(struct world *w, const struct dialect *d, const char *body)
{
        struct form_fields none = {0};
        struct err err = {0};
        struct client_input in = {.arena = w->arena,
                                  .query = &none,
                                  .api_version = "2023-06-01",
                                  .content_type = "application/json",
                                  .body = str_of(body)};
        if (!d->decode_chat_request(&in, &w->request, &err))
                fail_msg("%s: %s", body, err.message);
}

/* Where the marks are: "tool:NAME", "system:TEXT", "TEXT", "result:ID", "request". */
static const char *marks(struct arena *a, const struct chat_request *r)
{
        struct buf out;
        buf_init(&out, 1 << 16);
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (t->cache_control || json_peek(t->raw, "cache_control"))
                        buf_addf(&out, "tool:%s ", t->name ? t->name : t->raw_type);
        }
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        for (const struct chat_block *c = b->content; c; c = c->next) {
                                if (c->cache_control)
                                        buf_addf(&out, "in:%.10s ", c->text.at);
                        }
                        if (b->cache_control && b->type == BLOCK_TOOL_RESULT)
                                buf_addf(&out, "result:%s ", b->id);
                        else if (b->cache_control)
                                buf_addf(&out, "%s%.10s ", m->role == CHAT_SYSTEM ? "system:" : "",
                                         b->text.at);
                }
        }
        if (r->cache_control)
                buf_adds(&out, "request ");
        const char *text = arena_strdup(a, out.len ? out.data : "");
        buf_release(&out);
        return text;
}

static const char *adjusted(const struct fit *f)
{
        return f->change_count ? f->changes[0].shown : "";
}

static void check(const struct dialect *from, const char *body, const struct config_provider *to,
                  const char *model, const struct config_version *v, const char *expected, const char *told,
                  bool patchable)
{
        struct world w = {.arena = arena_new()};
        const struct config_target target = {.provider = to, .model = model};
        decode(&w, from, body);
        const char *before = marks(w.arena, &w.request);
        fit_chat(w.arena, &config, &w.request, &target, v, NULL, &w.fit);
        if (!w.fit.fits)
                fail_msg("%s: %s", body, w.fit.unfit_why);
        if (strcmp(marks(w.arena, &w.fit.request), expected) != 0 || strcmp(adjusted(&w.fit), told) != 0 ||
            w.fit.patchable != patchable)
                fail_msg("%s\nmarks \"%s\", told \"%s\", patchable %d", body, marks(w.arena, &w.fit.request),
                         adjusted(&w.fit), w.fit.patchable);
        assert_string_equal(before, marks(w.arena, &w.request));
        arena_free(w.arena);
}

#define TEN    "one two three four five six seven eight nine ten "
#define SIXTY  TEN TEN TEN TEN TEN TEN
#define THIRTY TEN TEN TEN
#define MARK   "\"cache_control\":{\"type\":\"ephemeral\"}"
#define A(rest)                                                                                              \
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" rest "}"
#define TOOL(name, text)                                                                                     \
        "{\"name\":\"" name "\",\"description\":\"" text "\",\"input_schema\":{\"type\":\"object\"}}"
#define TEXT(text, more) "{\"type\":\"text\",\"text\":\"" text "\"" more "}"

static void test_put(void **state)
{
        const struct dialect *a = &dialect_anthropic;
        (void)state;
        /* Nothing is long enough. */
        check(a, A(""), &anthropic, "small", &automatic, "", "", true);
        check(a, A(",\"system\":\"short\",\"tools\":[" TOOL("f", "x") "]"), &anthropic, "small", &automatic,
              "", "", true);
        /* The system prompt alone, or with the tools before it; tools alone. */
        check(a, A(",\"system\":\"" SIXTY "\""), &anthropic, "small", &automatic, "system:one two th ", "",
              false);
        check(a, A(",\"system\":\"" THIRTY "\""), &anthropic, "small", &automatic, "", "", true);
        check(a, A(",\"system\":\"" THIRTY "\",\"tools\":[" TOOL("f", THIRTY) "]"), &anthropic, "small",
              &automatic, "system:one two th ", "", false);
        check(a, A(",\"tools\":[" TOOL("f", SIXTY) "," TOOL("g", "x") "]"), &anthropic, "small", &automatic,
              "tool:g ", "", false);
        check(a, A(",\"system\":\"short\",\"tools\":[" TOOL("f", SIXTY) "]"), &anthropic, "small", &automatic,
              "tool:f system:short ", "", false);
        /* Behind the last block that will be sent. */
        check(a, A(",\"system\":[" TEXT(SIXTY, "") "," TEXT("end", "") "," TEXT(" ", "") "]"), &anthropic,
              "small", &automatic, "system:end ", "", false);
        /* 1024 where the catalogue says nothing. */
        check(a, A(",\"system\":\"" SIXTY "\""), &anthropic, "other", &automatic, "", "", true);
        check(a,
              A(",\"system\":\"" SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY SIXTY
                        SIXTY SIXTY SIXTY SIXTY SIXTY "\""),
              &anthropic, "other", &automatic, "system:one two th ", "", false);
        /* A tool of the provider's own can't be marked; the system prompt behind it can. */
        check(a,
              A(",\"system\":\"s\",\"tools\":[" TOOL(
                      "f", SIXTY) ",{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"),
              &anthropic, "small", &automatic, "system:s ", "", false);
        /* Only where it was said, and only there. */
        check(a, A(",\"system\":\"" SIXTY "\""), &anthropic, "small", &manual, "", "", true);
        check(a, A(",\"system\":\"" SIXTY "\""), &openai, "small", &automatic, "", "", false);
        /* From another dialect, too. */
        check(&dialect_openai,
              "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"" SIXTY
              "\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
              &anthropic, "small", &automatic, "system:one two th ", "", false);
}

/* Who marks, knows better. */
static void test_callers_own(void **state)
{
        const struct dialect *a = &dialect_anthropic;
        (void)state;
        check(a, A(",\"system\":[" TEXT(SIXTY, "") "," TEXT("x", "," MARK) "]"), &anthropic, "small",
              &automatic, "system:x ", "", true);
        check(a, A(",\"system\":\"" SIXTY "\"," MARK), &anthropic, "small", &automatic, "request ", "", true);
        check(a,
              A(",\"system\":\"" SIXTY "\",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"," MARK
                "}]"),
              &anthropic, "small", &automatic, "tool:bash ", "", true);
}

#define O(content, rest)                                                                                     \
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[" content "]}]" rest "}"
#define BREAKPOINT "\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}"

static void test_kept_or_told(void **state)
{
        const struct dialect *o = &dialect_openai, *a = &dialect_anthropic;
        (void)state;
        check(o, O(TEXT("x", "," MARK), ""), &anthropic, "other", &manual, "x ", "", false);
        check(o, O(TEXT("x", "," MARK), "," MARK), &anthropic, "other", &manual, "x request ", "", false);
        check(o, O(TEXT("x", "," BREAKPOINT), ""), &anthropic, "other", &manual, "x ", "", false);
        check(o, O(TEXT("x", "," BREAKPOINT), ""), &openai, "other", &manual, "x ", "", true);
        check(o, O(TEXT("x", "," BREAKPOINT), ""), &gemini, "other", &manual, "x ", "prompt_cache_breakpoint",
              false);
        check(o, O(TEXT("x", "," MARK), ""), &gemini, "other", &manual, "x ", "cache_control", false);
        check(o, O(TEXT("x", "," MARK), ""), &openai, "other", &manual, "x ", "cache_control", false);
        check(o, O(TEXT("x", ""), "," MARK), &openai, "other", &manual, "", "cache_control", false);
        check(o, O(TEXT("x", "," MARK), "," MARK), &openai, "router", &manual, "x request ", "", true);
        check(a, A(",\"system\":[" TEXT("x", "," MARK) "]"), &openai, "router", &manual, "system:x ", "",
              false);
        check(a, A(",\"system\":[" TEXT("x", "," MARK) "]"), &openai, "other", &manual, "system:x ",
              "cache_control", false);
        check(a, A(",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}," MARK "}]"), &openai,
              "other", &manual, "tool:f ", "cache_control", false);
}

static void test_too_many(void **state)
{
        const struct dialect *a = &dialect_anthropic;
        static const char four[] = A(",\"system\":[" TEXT("a", "," MARK) "," TEXT("b", "," MARK) "," TEXT(
                "c", "," MARK) "," TEXT("d", "," MARK) "]"),
                          five[] = A(",\"system\":[" TEXT("a", "," MARK) "," TEXT("b", "," MARK) "," TEXT(
                                  "c", "," MARK) "," TEXT("d", "," MARK) "," TEXT("e", "," MARK) "]");
        (void)state;
        check(a, four, &anthropic, "other", &manual, "system:a system:b system:c system:d ", "", true);
        check(a, five, &anthropic, "other", &manual, "system:b system:c system:d system:e ", "cache_control",
              false);
        check(a, five, &openai, "router", &manual, "system:b system:c system:d system:e ", "cache_control",
              false);
        /* Tools come first, also those that are passed on as they came; the request's own mark is the last.
         */
        check(a,
              A(",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}," MARK
                "},{\"type\":\"bash_20250124\",\"name\":\"bash\"," MARK "}],\"system\":[" TEXT(
                        "a", "," MARK) "," TEXT("b", "," MARK) "," TEXT("c", "," MARK) "]," MARK),
              &anthropic, "other", &manual, "system:a system:b system:c request ", "cache_control", false);
        /* Inside results before the results themselves. */
        check(a,
              "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{"
              "\"role\":"
              "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\",\"input\":{}}]},"
              "{\"role\":"
              "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":[" TEXT(
                      "a", "," MARK) "]," MARK
                                     "}," TEXT("b", "," MARK) "," TEXT("c", "," MARK) "," TEXT(
                                             "d", "," MARK) "]}]}",
              &anthropic, "other", &manual, "result:1 b c d ", "cache_control", false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_put),
                cmocka_unit_test(test_callers_own),
                cmocka_unit_test(test_kept_or_told),
                cmocka_unit_test(test_too_many),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
