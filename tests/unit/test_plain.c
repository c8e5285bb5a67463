/* dialect/plain: every body type in, JSON, text and event streams out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/dialect.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

/* 1 x 1, transparent */
#define GIF64 "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
#define FORM  "application/x-www-form-urlencoded"
#define JSON  "application/json"
#define MULTI "multipart/form-data; boundary=B"

static struct client_input input(struct arena *a, const char *type, struct str body, const char *query,
                                 struct form_fields *fields)
{
        struct err err = {0};
        assert_true(form_decode_urlencoded(a, str_of(query ? query : ""), NULL, fields, &err));
        return (struct client_input){.arena = a, .content_type = type, .body = body, .query = fields};
}

static const char *const roles[] = {"system", "developer", "user", "assistant"};

/* "model; role: text, [image/gif], [url]; … temperature, max_tokens, stream" */
static char *render(struct arena *a, const struct chat_request *r)
{
        char *out = arena_strdup(a, r->model ? r->model : "-");
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                out = arena_printf(a, "%s; %s:", out, roles[m->role]);
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_TEXT)
                                out = arena_printf(a, "%s %.*s", out, (int)b->text.len, b->text.at);
                        else if (b->source.kind == SOURCE_URL)
                                out = arena_printf(a, "%s [%s]", out, b->source.url);
                        else
                                out = arena_printf(a, "%s [%s %zu]", out, b->source.media_type,
                                                   b->source.data.len);
                }
        }
        if (r->temperature.set)
                out = arena_printf(a, "%s; t=%g", out, r->temperature.value);
        if (r->max_tokens.set)
                out = arena_printf(a, "%s; m=%lld", out, (long long)r->max_tokens.value);
        return r->stream ? arena_printf(a, "%s; stream", out) : out;
}

static void chat_requests(void **state)
{
        (void)state;
        static const struct {
                const char *type, *body, *query;
                const char *want; /* or what the error says, behind its '!' */
        } rows[] = {
                {JSON, "{\"model\":\"m\",\"prompt\":\"hi\"}", NULL, "m; user: hi"},
                {NULL, "{\"prompt\":\"hi\"}", NULL, "-; user: hi"},
                {"application/vnd.x+json", "{\"prompt\":\"hi\",\"model\":null}", NULL, "-; user: hi"},
                {JSON,
                 "{\"prompt\":\"hi\",\"system\":\"s\",\"temperature\":1,\"max_tokens\":5.0,\"stream\":true}",
                 NULL, "-; system: s; user: hi; t=1; m=5; stream"},
                {JSON, "{\"prompt\":\"hi\",\"image\":\"https://x/y.png\"}", NULL,
                 "-; user: [https://x/y.png] hi"},
                {JSON, "{\"image\":[\"https://x/1\",\"data:image/png;base64," GIF64 "\",\"" GIF64 "\"]}",
                 NULL, "-; user: [https://x/1] [image/gif 56] [image/gif 56]"},
                {"application/json; charset=iso-8859-1", "{\"prompt\":\"\xe9\"}", NULL, "-; user: \xc3\xa9"},
                {JSON, "{\"prompt\":\"\xe9\"}", NULL, "!UTF-8"},
                {JSON, "", NULL, "!empty"},
                {JSON, "[]", NULL, "!an array"},
                {JSON, "{\"prompt\":\"hi\"", NULL, "!JSON"},
                {JSON, "{}", NULL, "!prompt: missing"},
                {JSON, "{\"prompt\":\"\"}", NULL, "!prompt: missing"},
                {JSON, "{\"prompt\":1}", NULL, "!prompt"},
                {JSON, "{\"prompt\":\"a\",\"prompt\":\"b\"}", NULL, "!duplicate"},
                {JSON, "{\"prompt\":\"a\",\"nonsense\":1}", NULL, "!nonsense: unknown field"},
                {JSON, "{\"prompt\":\"a\",\"dimensions\":1}", NULL, "!dimensions: not a field of chat"},
                {JSON, "{\"prompt\":\"a\",\"temperature\":3}", NULL, "!temperature"},
                {JSON, "{\"prompt\":\"a\",\"max_tokens\":0}", NULL, "!max_tokens"},
                {JSON, "{\"prompt\":\"a\",\"max_tokens\":\"1\"}", NULL, "!max_tokens"},
                {JSON, "{\"prompt\":\"a\",\"stream\":\"yes\"}", NULL, "!stream"},
                {JSON, "{\"prompt\":\"a\",\"image\":[1]}", NULL, "!image[0]"},
                {JSON, "{\"prompt\":\"a\",\"image\":[\"https://x/1\",\"rubbish!\"]}", NULL,
                 "!image[1]: neither"},
                {JSON, "{\"prompt\":\"a\",\"image\":\"aGVsbG8=\"}", NULL, "!image: not an image"},
                {JSON, "{\"prompt\":\"a\",\"image\":\"data:image/png,xx\"}", NULL, "!image: a data URL"},
                {JSON, "{\"prompt\":\"a\",\"image\":\"data:image/png;base64,\"}", NULL, "!image: empty"},
                {JSON, "{\"prompt\":\"a\",\"image\":\"https://x/ y\"}", NULL, "!image: not a valid URL"},
                {JSON, "{\"prompt\":\"a\",\"messages\":[]}", NULL, "!messages: given together with prompt"},
                {JSON, "{\"prompt\":\"a\"}", "model=m", "!model: belongs into the body"},
                {JSON, "{\"prompt\":\"a\"}", "utm=x", "-; user: a"},
                {FORM, "prompt=h%C3%A9&model=m&temperature=0.5&stream=on&max_tokens=", NULL,
                 "m; user: h\xc3\xa9; t=0.5; stream"},
                {FORM "; charset=windows-1252", "prompt=%80", NULL, "-; user: \xe2\x82\xac"},
                {FORM, "_charset_=iso-8859-1&prompt=%E9", NULL, "-; user: \xc3\xa9"},
                {FORM, "prompt=a&prompt=b", NULL, "!prompt: given twice"},
                {FORM, "prompt=a&image=https://x/1&image=https://x/2", NULL,
                 "-; user: [https://x/1] [https://x/2] a"},
                {FORM, "prompt=a&go=1", NULL, "!go: unknown field"},
                {FORM, "prompt=a&temperature=warm", NULL, "!temperature: not a number"},
                {FORM, "prompt=a&temperature=nan", NULL, "!temperature: not a number"},
                {FORM, "prompt=a&temperature=0x1", NULL, "!temperature: not a number"},
                {FORM, "prompt=a&max_tokens=1.5", NULL, "!max_tokens: not a whole number"},
                {FORM, "prompt=a&max_tokens=1e30", NULL, "!max_tokens: must be"},
                {FORM, "prompt=a&stream=maybe", NULL, "!stream: neither"},
                {FORM, "messages=[]", NULL, "!messages: only in a JSON body"},
                {FORM, "prompt=%FF", NULL, "!prompt: not valid UTF-8"},
                {FORM, "", NULL, "!prompt: missing"},
                {"text/plain", "hello there", "model=m&temperature=0", "m; user: hello there; t=0"},
                {"text/plain; charset=iso-8859-15", "\xa4", NULL, "-; user: \xe2\x82\xac"},
                {"text/plain", "a", "prompt=b", "!prompt: given twice"},
                {"text/plain", "a", "nonsense=b", "!nonsense: unknown field"},
                {"text/plain", "", NULL, "!prompt: missing"},
                {"text/plain; charset=klingon", "a", NULL, "!charset"},
                {"text/html", "a", NULL, "!content-type text/html"},
                {"image/png", "a", NULL, "!content-type image/png"},
                {MULTI,
                 "--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nwhat?\r\n"
                 "--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x.png\"\r\n"
                 "Content-Type: image/png\r\n\r\nGIF89a\x01\x02\x01\x02\x80\r\n--B--\r\n",
                 NULL, "-; user: [image/gif 16] what?"},
                /* no file was chosen */
                {MULTI,
                 "--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nwhat?\r\n"
                 "--B\r\nContent-Disposition: form-data; name=\"image\"; filename=\"\"\r\n\r\n\r\n--B--\r\n",
                 NULL, "-; user: what?"},
                {MULTI,
                 "--B\r\nContent-Disposition: form-data; name=\"image\"; "
                 "filename=\"x.png\"\r\n\r\nrubbish\r\n--B--",
                 NULL, "!image: not an image"},
                {MULTI,
                 "--B\r\nContent-Disposition: form-data; name=\"prompt\"; "
                 "filename=\"x.txt\"\r\n\r\nhi\r\n--B--",
                 NULL, "!prompt: a file was sent"},
                {MULTI, "--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nwhat?", NULL,
                 "!no end"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct form_fields fields;
                struct client_input in = input(a, rows[i].type, str_of(rows[i].body), rows[i].query, &fields);
                struct chat_request r;
                struct err err = {0};
                bool ok = dialect_plain.decode_chat_request(&in, &r, &err), want = *rows[i].want != '!';
                char *got = ok ? render(a, &r) : (char *)err.message;
                if (ok != want || (ok ? strcmp(got, rows[i].want) != 0 : !strstr(got, rows[i].want + 1)))
                        print_error("row %zu: %s\n", i, got);
                assert_int_equal(ok, want);
                if (ok)
                        assert_string_equal(got, rows[i].want);
                else
                        assert_non_null(strstr(got, rows[i].want + 1));
                arena_free(a);
        }
}

static void messages_are_openais(void **state)
{
        (void)state;
        static const struct {
                const char *body, *want;
        } rows[] = {
                {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"system\":\"s\",\"model\":\"m\"}",
                 "m; system: s; user: hi"},
                {"{\"messag\\u0065s\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "-; user: hi"},
                {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"nobody\",\"content\":"
                 "\"x\"}]}",
                 "!messages[1].role"},
                {"{\"messages\":7}", "!messages"},
                {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"image\":\"https://x/1\"}",
                 "!messages: given together with image"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct form_fields fields;
                struct client_input in = input(a, JSON, str_of(rows[i].body), NULL, &fields);
                struct chat_request r;
                struct err err = {0};
                bool ok = dialect_plain.decode_chat_request(&in, &r, &err), want = *rows[i].want != '!';
                if (ok != want)
                        print_error("row %zu: %s\n", i, ok ? "taken" : err.message);
                assert_int_equal(ok, want);
                if (ok) {
                        assert_string_equal(render(a, &r), rows[i].want);
                        assert_int_equal(r.from, DIALECT_PLAIN);
                } else {
                        assert_non_null(strstr(err.message, rows[i].want + 1));
                }
                arena_free(a);
        }
}

static void vision_wants_an_image(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct form_fields fields;
        struct client_input in = input(a, JSON, str_of("{\"prompt\":\"x\"}"), NULL, &fields);
        struct chat_request r;
        struct err err = {0};
        in.want_image = true;
        assert_false(dialect_plain.decode_chat_request(&in, &r, &err));
        assert_string_equal(err.param, "image");
        arena_free(a);
}

/* A '+' that was not percent-encoded arrives as a space; wrapped base64 has line ends. */
static void base64_as_forms_send_it(void **state)
{
        (void)state;
        static const char *const bodies[] = {
                "prompt=x&image=data:image/gif;base64,R0lGODlh++++", "prompt=x&image=R0lGODlh%2B%2B%2B%2B",
                "prompt=x&image=R0lG%0D%0AODlh%2B%2B%2B%2B%0A", "prompt=x&image=data:;base64,R0lGODlh----"};
        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
                struct arena *a = arena_new();
                struct form_fields fields;
                struct client_input in = input(a, FORM, str_of(bodies[i]), NULL, &fields);
                struct chat_request r;
                struct err err = {0};
                assert_true(dialect_plain.decode_chat_request(&in, &r, &err));
                assert_string_equal(r.messages->blocks->source.data.at, "R0lGODlh++++");
                arena_free(a);
        }
}

static void embed_requests(void **state)
{
        (void)state;
        static const struct {
                const char *type, *body, *query;
                size_t count; /* 0: an error */
                bool single;
                const char *last;
        } rows[] = {
                {JSON, "{\"input\":\"a\",\"model\":\"m\",\"dimensions\":8}", NULL, 1, true, "a"},
                {JSON, "{\"input\":[\"a\",\"b\"]}", NULL, 2, false, "b"},
                {JSON, "{\"input\":[\"a\"]}", NULL, 1, false, "a"},
                {JSON, "{\"input\":[]}", NULL, 0, false, "input: an empty list"},
                {JSON, "{\"input\":[\"\"]}", NULL, 0, false, "input[0]: empty"},
                {JSON, "{\"input\":[[1,2]]}", NULL, 0, false, "input[0]"},
                {JSON, "{}", NULL, 0, false, "input: missing"},
                {JSON, "{\"prompt\":\"a\"}", NULL, 0, false, "prompt: not a field of embed"},
                {FORM, "input=a&input=b", NULL, 2, false, "b"},
                {FORM, "input=a", NULL, 1, true, "a"},
                {"text/plain", "some text", "dimensions=8", 1, true, "some text"},
                {"text/plain", "", NULL, 0, false, "input: missing"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct form_fields fields;
                struct client_input in = input(a, rows[i].type, str_of(rows[i].body), rows[i].query, &fields);
                struct embed_request r;
                struct err err = {0};
                bool ok = dialect_plain.decode_embed_request(&in, &r, &err);
                if (ok != (rows[i].count > 0))
                        print_error("row %zu: %s\n", i, ok ? "taken" : err.message);
                assert_int_equal(ok, rows[i].count > 0);
                if (ok) {
                        assert_int_equal(r.input_count, rows[i].count);
                        assert_int_equal(r.single, rows[i].single);
                        assert_true(str_is(r.last_input->text, rows[i].last));
                } else {
                        assert_non_null(strstr(err.message, rows[i].last));
                }
                arena_free(a);
        }
}

static void accept_headers(void **state)
{
        (void)state;
        static const struct {
                const char *accept;
                enum answer_format want;
        } rows[] = {
                {NULL, ANSWER_JSON},
                {"*/*", ANSWER_JSON},
                {"application/json", ANSWER_JSON},
                {"text/plain", ANSWER_TEXT},
                {"Text/Plain; charset=utf-8", ANSWER_TEXT},
                {"text/*", ANSWER_TEXT},
                {"text/event-stream", ANSWER_SSE},
                {"text/event-stream, */*", ANSWER_SSE},
                {"application/json, text/event-stream", ANSWER_JSON},
                {"application/json;q=0.5, text/plain;q=0.9", ANSWER_TEXT},
                {"application/json;q=0.9, text/plain; q=0.85", ANSWER_JSON},
                {"text/plain;q=0, application/json;q=0.1", ANSWER_JSON},
                {"text/plain;q=0", ANSWER_JSON},
                {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", ANSWER_HTML},
                {"text/html, text/plain;q=0.5", ANSWER_HTML},
                {"text/html;q=0.5, application/json", ANSWER_JSON},
                {"text/html, application/json", ANSWER_JSON},
                {"application/json;q=0.5, text/html", ANSWER_HTML},
                {"text/html;q=0", ANSWER_JSON},
                {"text/html;q=0, */*", ANSWER_JSON},
                {"image/png", ANSWER_JSON},
                {"", ANSWER_JSON},
                {",;q=,,", ANSWER_JSON},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const struct client_input in = {.accept = rows[i].accept};
                if (dialect_plain.answer_format(&in, false) != rows[i].want)
                        print_error("row %zu: %s\n", i, rows[i].accept);
                assert_int_equal(dialect_plain.answer_format(&in, false), rows[i].want);
                assert_int_equal(dialect_plain.answer_format(&in, true), ANSWER_SSE);
        }
}

static struct answer_context context(struct arena *a, enum answer_format format)
{
        return (struct answer_context){
                .arena = a,
                .format = format,
                .request_id = "req",
                .model_asked = "assistant",
                .version = "1",
                .provider = "echo",
                .latency_ms = 12,
                .id_seed = "seed",
        };
}

static void add_text(struct arena *a, struct chat_reply *reply, const char *text)
{
        if (!reply->choices)
                chat_add_choice(a, reply)->finish = FINISH_TOOL;
        chat_add_reply_block(a, reply->choices, BLOCK_TEXT)->text = str_of(text);
}

static struct chat_reply sample_reply(struct arena *a)
{
        struct chat_reply reply = {
                .id = "id",
                .model = "served",
                .usage = {.known = true, .input = 3, .cached = 1, .output = 5, .reasoning = 2}};
        add_text(a, &reply, "one\n\n");
        chat_add_reply_block(a, reply.choices, BLOCK_THINKING)->text = str_of("secret thoughts");
        add_text(a, &reply, "event: done");
        struct chat_block *call = chat_add_reply_block(a, reply.choices, BLOCK_TOOL_CALL);
        call->id = "c1";
        call->name = "f";
        call->arguments_text = str_of("{\"x\":1}");
        return reply;
}

#define WHOLE                                                                                                \
        "{\"id\":\"id\",\"model\":\"assistant\",\"version\":\"1\",\"provider\":\"echo\",\"served_model\":"   \
        "\"served\","                                                                                        \
        "\"text\":\"one\\n\\nevent: done\",\"finish\":\"tool\","                                             \
        "\"tool_calls\":[{\"id\":\"c1\",\"name\":\"f\",\"arguments\":{\"x\":1}}],"                           \
        "\"usage\":{\"input\":3,\"output\":5,\"cached\":1,\"reasoning\":2},\"latency_ms\":12}"

static void chat_answers(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply reply = sample_reply(a);
        struct answer_context c = context(a, ANSWER_JSON);
        struct buf out;
        buf_init(&out, 1 << 16);
        dialect_plain.encode_chat_reply(&c, &reply, &out);
        assert_string_equal(out.data, WHOLE);
        buf_reset(&out);
        c.format = ANSWER_TEXT;
        dialect_plain.encode_chat_reply(&c, &reply, &out);
        assert_string_equal(out.data, "one\n\nevent: done");
        buf_release(&out);
        arena_free(a);
}

/* Nothing that a model says ends an event early. */
static void chat_streams(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply reply = sample_reply(a);
        struct answer_context c = context(a, ANSWER_SSE);
        struct chat_events events = {.arena = a};
        struct buf out;
        buf_init(&out, 1 << 16);
        chat_reply_events(&reply, &events);
        void *encoder = dialect_plain.encoder_new(&c);
        dialect_plain.encode_keepalive(encoder, &out);
        for (const struct chat_event *e = events.first; e; e = e->next)
                dialect_plain.encode_event(encoder, e, &out);
        assert_string_equal(out.data, ": keep-alive\n\n"
                                      "event: text\ndata: {\"text\":\"one\\n\\n\"}\n\n"
                                      "event: text\ndata: {\"text\":\"event: done\"}\n\n"
                                      "event: done\ndata: " WHOLE "\n\n");
        buf_reset(&out);
        struct err err = {.cause = ERR_UPSTREAM, .message = "line\nline"};
        dialect_plain.encode_stream_error(encoder, &err, &out);
        assert_string_equal(out.data,
                            "event: error\ndata: {\"error\":{\"code\":\"upstream_error\",\"message\":"
                            "\"line\\nline\",\"request_id\":\"req\"}}\n\n");
        buf_release(&out);
        arena_free(a);
}

static void embed_answers(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        static const float first[] = {0.1f, -1, 1e-9f}, second[] = {0.33333334f};
        struct embed_vector vectors[] = {{first, 3}, {second, 1}};
        struct embed_reply reply = {
                .model = "served", .vectors = vectors, .vector_count = 2, .usage = {.input = 4}};
        struct answer_context c = context(a, ANSWER_JSON);
        struct buf out;
        buf_init(&out, 1 << 16);
        dialect_plain.encode_embed_reply(&c, &reply, &out);
        assert_string_equal(
                out.data,
                "{\"id\":\"tg-seed\",\"model\":\"assistant\",\"version\":\"1\",\"provider\":\"echo\","
                "\"served_model\":\"served\",\"embeddings\":[[0.1,-1,1e-09],[0.33333334]],"
                "\"usage\":{\"input\":4,\"output\":0,\"cached\":0,\"reasoning\":0},"
                "\"latency_ms\":12}");
        buf_reset(&out);
        c.format = ANSWER_TEXT;
        dialect_plain.encode_embed_reply(&c, &reply, &out);
        assert_string_equal(out.data, "0.1 -1 1e-09\n0.33333334\n");
        buf_release(&out);
        arena_free(a);
}

static void errors(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = context(a, ANSWER_JSON);
        struct err err = {.cause = ERR_BAD_REQUEST, .message = "prompt: \"missing\""};
        struct buf out;
        buf_init(&out, 1 << 16);
        dialect_plain.encode_error(&c, &err, &out);
        assert_string_equal(out.data,
                            "{\"error\":{\"code\":\"bad_request\",\"message\":\"prompt: \\\"missing\\\"\","
                            "\"request_id\":\"req\"}}");
        buf_reset(&out);
        c.format = ANSWER_TEXT;
        dialect_plain.encode_error(&c, &err, &out);
        assert_string_equal(out.data, "prompt: \"missing\"\n");
        buf_release(&out);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(chat_requests),         cmocka_unit_test(messages_are_openais),
                cmocka_unit_test(vision_wants_an_image), cmocka_unit_test(base64_as_forms_send_it),
                cmocka_unit_test(embed_requests),        cmocka_unit_test(accept_headers),
                cmocka_unit_test(chat_answers),          cmocka_unit_test(chat_streams),
                cmocka_unit_test(embed_answers),         cmocka_unit_test(errors),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
