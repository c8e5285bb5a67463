#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dialect/patch.h"

static const char *const model[] = {"model", NULL};
static const char *const max_tokens[] = {"max_completion_tokens", "max_tokens", NULL};
static const char *const usage[] = {"stream_options.include_usage", NULL};
static const char *const padding[] = {"stream_options.include_obfuscation", NULL};
static const char *const output[] = {"generationConfig.maxOutputTokens", "generationConfig.max_output_tokens",
                                     "generation_config.maxOutputTokens",
                                     "generation_config.max_output_tokens", NULL};
static const char *const effort[] = {"reasoning_effort", "reasoning.effort", NULL};
static const char *const deep[] = {"a.b.c", NULL};

static const struct {
        const char *json;
        struct patch_edit edits[3];
        const char *want; /* NULL: refused */
} cases[] = {
        {"{\"model\":\"a\",\"x\":1}", {{model, "\"b\"", false}}, "{\"model\":\"b\",\"x\":1}"},
        {" {\n \"model\" : \"a\" ,\n \"x\" : 1.50 }\n",
         {{model, "\"b\"", false}},
         " {\n \"model\" : \"b\" ,\n \"x\" : 1.50 }\n"},
        {"{\"x\":1}", {{model, "\"b\"", false}}, "{\"x\":1,\"model\":\"b\"}"},
        {"{}", {{model, "\"b\"", false}}, "{\"model\":\"b\"}"},
        {" { } ", {{model, "\"b\"", false}}, " {\"model\":\"b\"} "},
        {"{\"m\\u006fdel\":\"a\"}", {{model, "\"b\"", false}}, "{\"m\\u006fdel\":\"b\"}"},
        {"{\"m\\u006fdel\":\"a\",\"x\":\"\\\"}\"}", {{model, NULL, false}}, "{\"x\":\"\\\"}\"}"},
        {"{\"model\":\"a\"}", {{model, NULL, false}}, "{}"},
        {"{\"x\":1, \"model\":\"a\"}", {{model, NULL, false}}, "{\"x\":1}"},
        {"{\"model\":\"a\", \"x\":1}", {{model, NULL, false}}, "{ \"x\":1}"},
        {"{\"y\":0,\"max_tokens\":5,\"x\":1}",
         {{max_tokens, "7", false}},
         "{\"y\":0,\"max_completion_tokens\":7,\"x\":1}"},
        {"{\"max_tokens\":5,\"max_completion_tokens\":6}",
         {{max_tokens, "7", false}},
         "{\"max_completion_tokens\":7}"},
        {"{\"max_tokens\":5}", {{max_tokens, "7", true}}, "{\"max_tokens\":5}"},
        {"{\"max_tokens\":null}", {{max_tokens, "7", true}}, "{\"max_completion_tokens\":7}"},
        {"{\"a\":1}", {{max_tokens, "7", true}}, "{\"a\":1,\"max_completion_tokens\":7}"},
        {"{\"stream\":true}",
         {{usage, "true", false}},
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {"{\"stream\":true}",
         {{usage, "true", false}, {padding, "false", false}},
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}"},
        {"{\"stream_options\":{ \"include_usage\" : false , \"z\":[1, 2]}}",
         {{usage, "true", false}},
         "{\"stream_options\":{ \"include_usage\" : true , \"z\":[1, 2]}}"},
        {"{\"stream_options\":null}",
         {{usage, "true", false}},
         "{\"stream_options\":{\"include_usage\":true}}"},
        {"{\"stream_options\":{}}",
         {{usage, "true", false}},
         "{\"stream_options\":{\"include_usage\":true}}"},
        {"{\"generation_config\":{\"max_output_tokens\":5,\"topK\":3}}",
         {{output, "9", false}},
         "{\"generation_config\":{\"maxOutputTokens\":9,\"topK\":3}}"},
        {"{\"generation_config\":{\"max_output_tokens\":5},\"generationConfig\":{\"maxOutputTokens\":6}}",
         {{output, "9", false}},
         "{\"generation_config\":{},\"generationConfig\":{\"maxOutputTokens\":9}}"},
        {"{\"reasoning\":{\"effort\":\"low\",\"x\":1}}",
         {{effort, "\"high\"", false}},
         "{\"reasoning\":{\"x\":1},\"reasoning_effort\":\"high\"}"},
        {"{\"a\":{\"b\":{\"c\":1,\"d\":2}}}", {{deep, "3", false}}, "{\"a\":{\"b\":{\"c\":3,\"d\":2}}}"},
        {"{\"a\":{\"b\":{\"c\":1,\"d\":2}}}", {{deep, NULL, false}}, "{\"a\":{\"b\":{\"d\":2}}}"},
        {"{}", {{deep, "3", false}}, "{\"a\":{\"b\":{\"c\":3}}}"},
        {"{\"a\":1}", {{deep, NULL, false}}, "{\"a\":1}"},
        {"{\"a\":[{\"model\":1}],\"b\":{\"model\":2}}",
         {{model, "3", false}},
         "{\"a\":[{\"model\":1}],\"b\":{\"model\":2},\"model\":3}"},
        {"{\"model\":1}", {{model, NULL, false}, {model, "2", false}}, "{\"model\":2}"},
        {"{\"model\":1,\"x\":2,\"max_tokens\":3}",
         {{model, NULL, false}, {max_tokens, NULL, false}},
         "{\"x\":2}"},
        {"[1]", {{model, "3", false}}, NULL},
        {"3", {{model, "3", false}}, NULL},
};

static void edits_change_only_what_they_name(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                size_t count = 0;
                while (count < 3 && cases[i].edits[count].paths)
                        count++;
                struct buf out;
                buf_init(&out, 4096);
                bool ok = patch_apply(str_of(cases[i].json), cases[i].edits, count, &out);
                assert_int_equal(ok, cases[i].want != NULL);
                if (cases[i].want)
                        assert_string_equal(out.data, cases[i].want);
                buf_release(&out);
        }
}

static void no_edit_changes_no_byte(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct buf out;
                buf_init(&out, 4096);
                if (cases[i].json[0] != ' ' && cases[i].want) {
                        assert_true(patch_apply(str_of(cases[i].json), NULL, 0, &out));
                        assert_string_equal(out.data, cases[i].json);
                }
                buf_release(&out);
        }
}

static void a_full_buffer_is_told(void **state)
{
        (void)state;
        struct buf out;
        struct patch_edit e = {model, "\"a long name\"", false};
        buf_init(&out, 20);
        assert_false(patch_apply(str_of("{\"model\":\"a\"}"), &e, 1, &out));
        buf_release(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(edits_change_only_what_they_name),
                cmocka_unit_test(no_edit_changes_no_byte),
                cmocka_unit_test(a_full_buffer_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
