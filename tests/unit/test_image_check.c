/* dialect/image_check: base64 and images of clients, judged once for all dialects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dialect/image_check.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static void sources(void **state)
{
        (void)state;
        static const struct {
                enum dialect_id from;
                enum chat_block_type type;
                const char *data, *want, *media_type; /* want NULL: an error */
        } rows[] = {
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlh++++", "R0lGODlh++++", "image/gif"},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlhAQ==", "R0lGODlhAQ==", "image/gif"},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlhAQI=", "R0lGODlhAQI=", "image/gif"},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlhAQ", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlhAQI==", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlh----", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "R0lGODlh**++", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "====", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "", NULL, NULL},
                {DIALECT_OPENAI, BLOCK_IMAGE, "bm8gaW1hZ2U=", NULL, NULL},
                {DIALECT_ANTHROPIC, BLOCK_IMAGE, "JVBERi0xLjcK", NULL, NULL}, /* a PDF */
                {DIALECT_ANTHROPIC, BLOCK_DOCUMENT, "JVBERi0xLjcK", "JVBERi0xLjcK", "image/png"},
                {DIALECT_ANTHROPIC, BLOCK_DOCUMENT, "JVBERi0xLjc-", NULL, NULL},
                {DIALECT_GEMINI, BLOCK_IMAGE, "R0lGODlh----", "R0lGODlh++++", "image/gif"},
                {DIALECT_GEMINI, BLOCK_IMAGE, "R0lGODlhAQ", "R0lGODlhAQ==", "image/gif"},
                {DIALECT_GEMINI, BLOCK_IMAGE, "R0lGODlh*", NULL, NULL},
                {DIALECT_GEMINI, BLOCK_IMAGE, "", NULL, NULL},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
                size_t n = i / 2;
                struct arena *a = arena_new();
                struct chat_request r = {.from = rows[n].from};
                struct chat_message *m = chat_add_message(a, &r, CHAT_USER);
                struct chat_block *b = chat_add_block(a, m, i % 2 ? BLOCK_TOOL_RESULT : rows[n].type);
                b->path = "here";
                if (i % 2) {
                        b->content = arena_alloc(a, sizeof *b);
                        b = b->content;
                        b->type = rows[n].type;
                }
                b->source = (struct chat_source){
                        .kind = SOURCE_BASE64, .media_type = "image/png", .data = str_of(rows[n].data)};
                struct err err = {0};
                bool ok = image_check_request(a, &r, &err);
                if (ok != (rows[n].want != NULL))
                        print_error("row %zu: %s\n", n, ok ? "taken" : err.message);
                assert_int_equal(ok, rows[n].want != NULL);
                if (ok) {
                        assert_string_equal(b->source.data.at, rows[n].want);
                        assert_string_equal(b->source.media_type, rows[n].media_type);
                } else {
                        assert_string_equal(err.param, "here");
                        assert_int_equal(err.cause, ERR_BAD_REQUEST);
                }
                arena_free(a);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(sources)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
