/* dialect/openai: embeddings, both ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/dialect.h"

static bool decode(struct arena *a, struct str json, struct embed_request *r, struct err *err)
{
        static const struct form_fields no_query;
        struct client_input in = {.arena = a, .body = json, .query = &no_query};
        return dialect_openai.decode_embed_request(&in, r, err);
}

static const struct {
        const char *in, *out; /* out NULL: refused */
        const char *param, *says;
} requests[] = {
        {"{\"model\":\"m\",\"input\":\"a\"}",
         "{\"model\":\"up\",\"input\":\"a\",\"encoding_format\":\"float\"}", NULL, NULL},
        {"{\"input\":[\"a\",\" \"],\"encoding_format\":\"base64\",\"dimensions\":5,\"user\":\"u\"}",
         "{\"model\":\"up\",\"input\":[\"a\",\" "
         "\"],\"encoding_format\":\"base64\",\"dimensions\":5,\"user\":\"u\"}",
         NULL, NULL},
        {"{\"input\":[\"a\"]}", "{\"model\":\"up\",\"input\":[\"a\"],\"encoding_format\":\"float\"}", NULL,
         NULL},
        {"{\"input\":[1,2]}", "{\"model\":\"up\",\"input\":[1,2],\"encoding_format\":\"float\"}", NULL, NULL},
        {"{\"input\":[[1,2],[3]],\"x\":true}",
         "{\"model\":\"up\",\"input\":[[1,2],[3]],\"encoding_format\":\"float\",\"x\":true}", NULL, NULL},
        {"{}", NULL, "input", "is required"},
        {"{\"input\":3}", NULL, "input", "expected a string or an array"},
        {"{\"input\":[]}", NULL, "input", "1 to 2048"},
        {"{\"input\":\"\"}", NULL, "input", "must not be empty"},
        {"{\"input\":[\"a\",\"\"]}", NULL, "input[1]", "must not be empty"},
        {"{\"input\":[\"a\",3]}", NULL, "input[1]", "a string or an array of tokens"},
        {"{\"input\":[1,\"a\"]}", NULL, "input[1]", "a token's number, got a string"},
        {"{\"input\":[[1,-2]]}", NULL, "input[0][1]", "between 0"},
        {"{\"input\":[[]]}", NULL, "input[0]", "must not be empty"},
        {"{\"input\":\"a\",\"dimensions\":0}", NULL, "dimensions", "between 1"},
        {"{\"input\":\"a\",\"encoding_format\":\"hex\"}", NULL, "encoding_format", "\"float\", \"base64\""},
        {"[]", NULL, NULL, "expected an object"},
};

static void requests_pass_or_are_told(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
                struct arena *a = arena_new();
                struct embed_request r;
                struct wire_target t = {.model = "up"};
                struct wire_request out = {0};
                struct err err = {0};
                buf_init(&out.body, 1 << 20);
                bool ok = decode(a, str_of(requests[i].in), &r, &err);
                if (ok != (requests[i].out != NULL))
                        fail_msg("%s: %s", requests[i].in, ok ? "taken" : err.message);
                if (ok) {
                        assert_true(dialect_openai.encode_embed_request(a, &r, &t, &out, &err));
                        assert_string_equal(out.body.data, requests[i].out);
                        assert_string_equal(out.path, "/embeddings");
                } else {
                        assert_non_null(strstr(err.message, requests[i].says));
                        if (requests[i].param)
                                assert_string_equal(err.param, requests[i].param);
                }
                buf_release(&out.body);
                arena_free(a);
        }
}

static void too_many_inputs_are_refused(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct embed_request r;
        struct err err = {0};
        struct buf body;
        buf_init(&body, 1 << 20);
        buf_adds(&body, "{\"input\":[\"a\"");
        for (int i = 0; i < 2048; i++)
                buf_adds(&body, ",\"a\"");
        buf_adds(&body, "]}");
        assert_false(decode(a, (struct str){body.data, body.len}, &r, &err));
        assert_non_null(strstr(err.message, "1 to 2048"));
        buf_release(&body);
        arena_free(a);
}

static const struct {
        const char *body;
        size_t expected;
        float first[2]; /* of the first and of the last vector */
        enum fault_kind kind;
} replies[] = {
        {"{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5, "
         "-1e-3]}],\"model\":\"m\",\"usage\":{"
         "\"prompt_tokens\":7,\"total_tokens\":7}}",
         1,
         {0.5f, 0.5f},
         FAULT_NONE},
        /* out of order, base64, an escaped slash, strange members before and after */
        {" { \"x\" : {\"data\":[1,\"]\"]} , \"data\" : [ { \"index\" : 1 , \"embedding\" : \"AACAPw==\" } , "
         "{\"embedding\":\"AAAAv"
         "w==\",\"index\":0,\"q\":[{}]} ] , \"model\":\"m\",\"usage\":{\"prompt_tokens\":7}}",
         2,
         {-0.5f, 1.0f},
         FAULT_NONE},
        {"{\"data\":[{\"embedding\":\"\\/\\/\\/\\/"
         "Pg==\"},{\"embedding\":[2]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":7}}",
         2,
         {0.49999997f, 2.0f},
         FAULT_NONE},
        {"{\"data\":[{\"embedding\":[1]}]}", 2, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1],\"index\":0},{\"embedding\":[1],\"index\":0}]}",
         2,
         {0, 0},
         FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1],\"index\":1e39}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1],\"index\":9}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":[1,2]}]}", 2, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[]}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1,]}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1e999]}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[nan]}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":\"AAA=\"}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":\"AADAfw==\"}]}", 1, {0, 0}, FAULT_MALFORMED}, /* NaN */
        {"{\"data\":[{\"embedding\":null}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{}]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":3}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":[1]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":[{\"embedding\":\"AACAPw", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data\":]}", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"data", 1, {0, 0}, FAULT_MALFORMED},
        {"", 1, {0, 0}, FAULT_MALFORMED},
        {"[1]", 1, {0, 0}, FAULT_MALFORMED},
        {"{\"error\":{\"message\":\"m\",\"code\":429}}", 1, {0, 0}, FAULT_RATE_LIMIT},
        {"{\"error\":\"m\",\"data\":[]}", 1, {0, 0}, FAULT_IN_BODY},
};

static void replies_are_read(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
                struct arena *a = arena_new();
                struct embed_reply reply;
                struct upstream_fault fault = {0};
                bool ok = dialect_openai.decode_embed_reply(a, str_of(replies[i].body), replies[i].expected,
                                                            &reply, &fault);
                if (fault.kind != replies[i].kind || ok != (fault.kind == FAULT_NONE))
                        fail_msg("%s: kind %d", replies[i].body, fault.kind);
                if (ok) {
                        assert_int_equal(reply.vector_count, replies[i].expected);
                        assert_true(reply.vectors[0].values[0] == replies[i].first[0]);
                        assert_true(reply.vectors[reply.vector_count - 1].values[0] == replies[i].first[1]);
                        assert_string_equal(reply.model, "m");
                        assert_int_equal(reply.usage.input, 7);
                }
                arena_free(a);
        }
}

/* Every float comes back the same through both forms, and cut bodies never read too far. */
static void vectors_come_back_the_same(void **state)
{
        (void)state;
        static const float values[] = {0.0f,    -0.0f,           1.0f,       0.1f, -0.017608326f, 1e-30f,
                                       3.4e38f, 1.17549435e-38f, 123456.789f};
        struct embed_vector vectors[2] = {{values, 9}, {values, 9}};
        struct embed_reply reply = {
                .vectors = vectors, .vector_count = 2, .usage = {.known = true, .input = 3}};
        for (int base64 = 0; base64 < 2; base64++) {
                struct arena *a = arena_new();
                struct answer_context c = {.arena = a, .model_asked = "asked", .embed_base64 = base64};
                struct embed_reply back;
                struct upstream_fault fault = {0};
                struct buf out;
                buf_init(&out, 1 << 20);
                dialect_openai.encode_embed_reply(&c, &reply, &out);
                assert_true(dialect_openai.decode_embed_reply(a, (struct str){out.data, out.len}, 2, &back,
                                                              &fault));
                assert_int_equal(back.vectors[1].count, 9);
                assert_memory_equal(back.vectors[1].values, values, sizeof values);
                assert_string_equal(back.model, "asked");
                for (size_t len = 0; len < out.len; len++) {
                        struct arena *b = arena_new();
                        char *cut = malloc(len + 1);
                        assert_non_null(cut);
                        memcpy(cut, out.data, len);
                        cut[len] = '\0';
                        assert_false(dialect_openai.decode_embed_reply(b, (struct str){cut, len}, 2, &back,
                                                                       &fault));
                        free(cut);
                        arena_free(b);
                }
                buf_release(&out);
                arena_free(a);
        }
}

static const char *read_shared(struct buf *file, const char *name)
{
        char path[1024];
        const char *dir = getenv("TOLLGATE_SHARED"), *src = getenv("TOLLGATE_SRCDIR");
        snprintf(path, sizeof path, "%s%s/real/openai/%s",
                 dir   ? dir
                 : src ? src
                       : ".",
                 dir ? "" : "/../shared", name);
        buf_init(file, 16 << 20);
        return buf_read_file(file, path) ? file->data : NULL;
}

static void recorded_vectors_are_the_same_in_both_forms(void **state)
{
        (void)state;
        static const char *const names[] = {"recorded/embeddings-basic.json",
                                            "recorded/embeddings-base64.json"};
        struct arena *a = arena_new();
        struct embed_reply replies_of[2];
        for (int i = 0; i < 2; i++) {
                struct buf file;
                struct upstream_fault fault = {0};
                struct embed_request r;
                struct err err = {0};
                if (!read_shared(&file, names[i])) {
                        print_message("skipped: no recordings at hand\n");
                        buf_release(&file);
                        arena_free(a);
                        skip();
                }
                json_object *list = json_tokener_parse(file.data),
                            *exchange = json_object_array_get_idx(list, 0);
                struct str body = json_peek_str(json_peek(exchange, "response"), "body");
                assert_true(decode(a, json_peek_str(json_peek(exchange, "request"), "body"), &r, &err));
                assert_int_equal(r.base64, i);
                body = arena_str(a, body.at, body.len);
                assert_true(dialect_openai.decode_embed_reply(a, body, 1, &replies_of[i], &fault));
                assert_int_equal(replies_of[i].vectors[0].count, 1536);
                assert_int_equal(replies_of[i].usage.input, 7);
                json_object_put(list);
                buf_release(&file);
        }
        for (size_t i = 0; i < 1536; i++)
                assert_true(fabsf(replies_of[0].vectors[0].values[i] - replies_of[1].vectors[0].values[i]) <
                            1e-3f);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_pass_or_are_told),
                cmocka_unit_test(too_many_inputs_are_refused),
                cmocka_unit_test(replies_are_read),
                cmocka_unit_test(vectors_come_back_the_same),
                cmocka_unit_test(recorded_vectors_are_the_same_in_both_forms),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
