#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "upstream/echo.h"
#include "upstream/echo_schema.h"

static json_object *parse(struct arena *a, const char *text)
{
        struct err err = {.cause = ERR_NONE};
        json_object *node = json_parse(a, text, strlen(text), JSON_FROM_CLIENT, &err);
        assert_int_equal(err.cause, ERR_NONE);
        return node;
}

static void add_text(struct arena *a, struct chat_request *r, enum chat_role role, const char *text)
{
        chat_add_block(a, chat_add_message(a, r, role), BLOCK_TEXT)->text = str_of(text);
}

static struct chat_reply ask(struct arena *a, const struct chat_request *r, int64_t tokens)
{
        struct config_provider p = {.name = "local", .dialect = "echo", .echo_tokens = tokens};
        struct chat_reply reply;
        echo_chat(a, &p, "echo-1", r, 1700000000, "seed", &reply);
        assert_string_equal(reply.model, "echo-1");
        assert_int_equal(reply.created, 1700000000);
        assert_true(reply.usage.known);
        assert_non_null(reply.choices);
        return reply;
}

static void test_tokens(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t tokens;
        } cases[] = {
                {"", 0},
                {"hello", 1},
                {"Hello, world!", 4},
                {"  a  b ", 3},
                {"snake_case 42", 2},
                {"日本語", 1},
                {"a\n\nb", 2},
                {"0123456789abcdef0123", 2},
                {"...", 3},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                assert_int_equal(echo_tokens(str_of(cases[i].text)), cases[i].tokens);
}

static const struct text_case {
        const char *prompt;
        int64_t tokens, max_tokens; /* 0: not set */
        const char *stop;
        enum response_format format;
        const char *text;
        enum chat_finish finish;
        int64_t output;
} text_cases[] = {
        {"Hello, world!", 0, 0, NULL, 0, "Hello, world!", FINISH_STOP, 4},
        {"Hello, world!", 0, 2, NULL, 0, "Hello,", FINISH_LENGTH, 2},
        {"Hello, world!", 0, 4, NULL, 0, "Hello, world!", FINISH_STOP, 4},
        {"Hello, world!", 6, 0, NULL, 0, "Hello, world! Hello,", FINISH_STOP, 6},
        {"Hello, world!", 1, 0, NULL, 0, "Hello", FINISH_STOP, 1},
        {"Hello, world!", 100, 3, NULL, 0, "Hello, world", FINISH_LENGTH, 3},
        {"one two three", 0, 0, "two", 0, "one ", FINISH_STOP_SEQUENCE, 2},
        {"one two three", 0, 1, "two", 0, "one", FINISH_LENGTH, 1},
        {"one two three", 0, 0, "four", 0, "one two three", FINISH_STOP, 3},
        {"", 0, 0, NULL, 0, "echo", FINISH_STOP, 1},
        {"say \"x\"", 0, 0, NULL, FORMAT_JSON_OBJECT, "{\"echo\":\"say \\\"x\\\"\"}", FINISH_STOP, 14},
};

static void test_text(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof text_cases / sizeof *text_cases; i++) {
                const struct text_case *c = &text_cases[i];
                struct arena *a = arena_new();
                struct chat_request r = {.response_format = c->format};
                print_message("case %zu\n", i);
                add_text(a, &r, CHAT_SYSTEM, "be kind");
                add_text(a, &r, CHAT_USER, "an earlier question");
                add_text(a, &r, CHAT_ASSISTANT, "an earlier answer");
                add_text(a, &r, CHAT_USER, c->prompt);
                r.max_tokens = (struct opt_int){c->max_tokens != 0, c->max_tokens};
                if (c->stop)
                        chat_add_name(a, &r.stop, c->stop);
                struct chat_reply reply = ask(a, &r, c->tokens);
                struct chat_choice *choice = reply.choices;
                assert_string_equal(choice->blocks->text.at, c->text);
                assert_int_equal(choice->blocks->text.len, strlen(c->text));
                assert_int_equal(choice->finish, c->finish);
                if (c->finish == FINISH_STOP_SEQUENCE)
                        assert_string_equal(choice->stop_sequence, c->stop);
                else
                        assert_null(choice->stop_sequence);
                assert_int_equal(reply.usage.output, c->output);
                assert_true(reply.usage.input >= 8 + echo_tokens(str_of(c->prompt)));
                arena_free(a);
        }
}

static void test_choices(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.n = {true, 3}};
        add_text(a, &r, CHAT_USER, "hi there");
        struct chat_reply reply = ask(a, &r, 0);
        int64_t index = 0;
        for (struct chat_choice *c = reply.choices; c; c = c->next) {
                assert_int_equal(c->index, index++);
                assert_string_equal(c->blocks->text.at, "hi there");
        }
        assert_int_equal(index, 3);
        assert_int_equal(reply.usage.output, 6);
        arena_free(a);
}

static void test_images(void **state)
{
        (void)state;
        static const char gif[] = "R0lGODlhQAHIAIA="; /* 320x200 */
        struct arena *a = arena_new();
        struct chat_request r = {.from = DIALECT_OPENAI};
        struct chat_message *m = chat_add_message(a, &r, CHAT_USER);
        chat_add_block(a, m, BLOCK_TEXT)->text = str_of("what is this?");
        struct chat_block *b = chat_add_block(a, m, BLOCK_IMAGE);
        b->source =
                (struct chat_source){.kind = SOURCE_BASE64, .media_type = "image/png", .data = str_of(gif)};
        b = chat_add_block(a, m, BLOCK_IMAGE);
        b->source = (struct chat_source){.kind = SOURCE_URL, .url = "https://example.com/a.png"};
        b = chat_add_block(a, m, BLOCK_DOCUMENT);
        b->source = (struct chat_source){
                .kind = SOURCE_BASE64, .media_type = "application/pdf", .data = str_of("JVBERi0xLjc=")};
        struct chat_reply reply = ask(a, &r, 0);
        assert_string_equal(
                reply.choices->blocks->text.at,
                "what is this?\nimage/gif 320x200\nimage https://example.com/a.png\napplication/pdf");
        assert_true(reply.usage.input >= 2 * 85);
        arena_free(a);
}

static const struct call_case {
        const char *prompt;
        enum tool_choice choice;
        const char *named, *allowed;
        enum tri parallel;
        int calls;
        const char *name;
} call_cases[] = {
        {"hello", TOOL_CHOICE_AUTO, NULL, NULL, TRI_UNSET, 0, NULL},
        {"please call it", TOOL_CHOICE_AUTO, NULL, NULL, TRI_UNSET, 1, "weather"},
        {"please recall it", TOOL_CHOICE_AUTO, NULL, NULL, TRI_UNSET, 0, NULL},
        {"call clock", TOOL_CHOICE_UNSET, NULL, NULL, TRI_UNSET, 1, "clock"},
        {"call clock twice", TOOL_CHOICE_UNSET, NULL, NULL, TRI_UNSET, 2, "clock"},
        {"call clock twice", TOOL_CHOICE_UNSET, NULL, NULL, TRI_NO, 1, "clock"},
        {"call", TOOL_CHOICE_NONE, NULL, NULL, TRI_UNSET, 0, NULL},
        {"hello", TOOL_CHOICE_REQUIRED, NULL, NULL, TRI_UNSET, 1, "weather"},
        {"hello", TOOL_CHOICE_REQUIRED, NULL, "clock", TRI_UNSET, 1, "clock"},
        {"hello", TOOL_CHOICE_NAMED, "clock", NULL, TRI_UNSET, 1, "clock"},
};

static void test_calls(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof call_cases / sizeof *call_cases; i++) {
                const struct call_case *c = &call_cases[i];
                struct arena *a = arena_new();
                struct chat_request r = {.tool_choice = c->choice,
                                         .tool_choice_name = c->named,
                                         .parallel_tools = c->parallel};
                print_message("case %zu\n", i);
                add_text(a, &r, CHAT_USER, c->prompt);
                struct chat_tool *t = chat_add_tool(a, &r);
                t->name = "weather";
                t->parameters =
                        parse(a, "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
                                 "\"days\":{\"type\":\"integer\"}},\"required\":[\"city\"]}");
                chat_add_tool(a, &r)->name = "clock";
                if (c->allowed)
                        chat_add_name(a, &r.allowed_tools, c->allowed);
                struct chat_reply reply = ask(a, &r, 0);
                int calls = 0;
                for (struct chat_block *b = reply.choices->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TOOL_CALL)
                                continue;
                        calls++;
                        assert_string_equal(b->name, c->name);
                        assert_true(text_is_token(b->id, 64));
                        assert_string_equal(chat_arguments_text(a, b).at,
                                            strcmp(c->name, "weather") == 0 ? "{\"city\":\"echo\"}" : "{}");
                        if (b->next)
                                assert_string_not_equal(b->id, b->next->id);
                }
                assert_int_equal(calls, c->calls);
                assert_int_equal(reply.choices->finish, c->calls ? FINISH_TOOL : FINISH_STOP);
                arena_free(a);
        }
}

static void test_results(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.tool_choice = TOOL_CHOICE_REQUIRED};
        add_text(a, &r, CHAT_USER, "call weather twice");
        chat_add_tool(a, &r)->name = "weather";
        for (int i = 0; i < 2; i++) {
                struct chat_block *b =
                        chat_add_block(a, chat_add_message(a, &r, CHAT_USER), BLOCK_TOOL_RESULT);
                b->content = arena_alloc(a, sizeof *b->content);
                b->content->type = BLOCK_TEXT;
                b->content->text = str_of(i ? "no such place" : "sunny");
                b->is_error = i;
        }
        struct chat_reply reply = ask(a, &r, 0);
        assert_string_equal(reply.choices->blocks->text.at, "tool said: sunny\ntool failed: no such place");
        assert_int_equal(reply.choices->finish, FINISH_STOP);
        arena_free(a);
}

static void test_thought(void **state)
{
        (void)state;
        static const struct {
                struct chat_reasoning reasoning;
                bool counted, shown;
        } cases[] = {
                {{.effort = EFFORT_UNSET}, false, false},
                {{.effort = EFFORT_NONE, .show = TRI_YES}, false, false},
                {{.effort = EFFORT_MINIMAL, .show = TRI_YES}, false, false},
                {{.effort = EFFORT_LOW}, true, false},
                {{.effort = EFFORT_HIGH, .show = TRI_YES}, true, true},
                {{.mode = THINKING_BUDGET, .budget_tokens = 1024, .show = TRI_YES}, true, true},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct chat_request r = {.reasoning = cases[i].reasoning};
                add_text(a, &r, CHAT_USER, "why");
                struct chat_reply reply = ask(a, &r, 0);
                struct chat_block *b = reply.choices->blocks;
                assert_int_equal(b->type, cases[i].shown ? BLOCK_THINKING : BLOCK_TEXT);
                if (cases[i].shown) {
                        assert_string_equal(b->text.at, "thinking about: why");
                        assert_true(b->signature.len > 0);
                        b = b->next;
                }
                assert_string_equal(b->text.at, "why");
                assert_int_equal(reply.usage.reasoning, cases[i].counted ? 4 : 0);
                assert_int_equal(reply.usage.output, cases[i].counted ? 5 : 1);
                arena_free(a);
        }
}

static void test_schema(void **state)
{
        (void)state;
        static const struct {
                const char *schema, *value;
        } cases[] = {
                {"{}", "\"echo\""},
                {"{\"type\":\"object\"}", "{}"},
                {"{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\"}},\"required\":[\"a\"]}",
                 "{\"a\":\"echo\"}"},
                {"{\"type\":\"object\",\"required\":[\"a\",\"b\",\"c\",\"d\"],\"properties\":{\"a\":{"
                 "\"type\":\"integer\"},"
                 "\"b\":{\"type\":\"boolean\"},\"c\":{\"type\":[\"null\",\"string\"]},\"d\":{\"type\":"
                 "\"null\"}}}",
                 "{\"a\":1,\"b\":true,\"c\":\"echo\",\"d\":null}"},
                {"{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2}", "[1.0,1.0]"},
                {"{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"maxItems\":0}", "[]"},
                {"{\"type\":\"integer\",\"minimum\":7,\"multipleOf\":5}", "10"},
                {"{\"type\":\"integer\",\"exclusiveMinimum\":3}", "4"},
                {"{\"type\":\"integer\",\"maximum\":-2}", "-2"},
                {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1}", "0.5"},
                {"{\"enum\":[\"red\",\"blue\"]}", "\"red\""},
                {"{\"const\":{\"x\":1}}", "{\"x\":1}"},
                {"{\"type\":\"string\",\"default\":\"d\"}", "\"d\""},
                {"{\"type\":\"string\",\"format\":\"date\"}", "\"2026-01-01\""},
                {"{\"type\":\"string\",\"minLength\":6}", "\"echo..\""},
                {"{\"type\":\"string\",\"maxLength\":2}", "\"ec\""},
                {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]}", "1"},
                {"{\"$ref\":\"#/$defs/"
                 "P\",\"$defs\":{\"P\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},"
                 "\"required\":[\"n\"]}}}",
                 "{\"n\":1}"},
                {"{\"allOf\":[{\"properties\":{\"x\":{\"type\":\"integer\"}},\"required\":[\"x\"]},"
                 "{\"properties\":{\"y\":{\"type\":\"string\"}},\"required\":[\"y\"]}]}",
                 "{\"x\":1,\"y\":\"echo\"}"},
                {"{\"$ref\":\"#\"}", "{}"},
                {"{\"$ref\":\"#/nowhere\"}", "\"echo\""},
                {"{\"required\":[1,null],\"properties\":{\"a\":1},\"type\":\"object\"}", "{}"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                json_object *value = echo_schema_value(a, parse(a, cases[i].schema), "echo");
                print_message("%s\n", cases[i].schema);
                assert_string_equal(json_object_to_json_string_ext(
                                            value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                                    cases[i].value);
                arena_free(a);
        }
}

/* A schema that branches at every level into itself ends anyway. */
static void test_schema_bomb(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        json_object *value = echo_schema_value(a,
                                               parse(a, "{\"$defs\":{\"T\":{\"type\":\"object\",\"required\":"
                                                        "[\"a\",\"b\",\"c\"],\"properties\":{"
                                                        "\"a\":{\"$ref\":\"#/$defs/T\"},\"b\":{\"$ref\":\"#/"
                                                        "$defs/T\"},\"c\":{\"$ref\":\"#/$defs/T\"}}}},"
                                                        "\"$ref\":\"#/$defs/T\"}"),
                                               "echo");
        assert_true(strlen(json_object_to_json_string(value)) < 20000);
        arena_free(a);
}

static void test_schema_reply(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.response_format = FORMAT_JSON_SCHEMA};
        add_text(a, &r, CHAT_USER, "give me a person");
        r.schema = parse(a, "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"tags\":{"
                            "\"type\":\"array\","
                            "\"items\":{\"type\":\"string\"}}},\"required\":[\"name\",\"tags\"]}");
        struct chat_reply reply = ask(a, &r, 50);
        assert_string_equal(reply.choices->blocks->text.at, "{\"name\":\"echo\",\"tags\":[\"echo\"]}");
        arena_free(a);
}

static void test_events(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.reasoning = {.effort = EFFORT_HIGH, .show = TRI_YES}};
        add_text(a, &r, CHAT_USER, "Hello, dear world!");
        struct chat_reply reply = ask(a, &r, 0);
        struct chat_events events = {.arena = a};
        echo_events(&reply, &events);

        char text[256] = "", thought[256] = "";
        int deltas = 0, starts = 0, stops = 0;
        bool usage = false;
        for (struct chat_event *e = events.first; e; e = e->next) {
                assert_ptr_equal(e->next ? events.last : e, events.last);
                starts += e->type == EVENT_BLOCK_START;
                stops += e->type == EVENT_BLOCK_STOP;
                usage |= e->type == EVENT_USAGE && e->usage.output == reply.usage.output;
                if (e->type != EVENT_DELTA || e->delta_kind != DELTA_TEXT)
                        continue;
                assert_int_equal(echo_tokens(e->delta), 1);
                assert_int_equal(strlen(e->delta.at), e->delta.len);
                strcat(e->block ? text : thought, e->delta.at);
                deltas += e->block == 1;
        }
        assert_int_equal(events.first->type, EVENT_START);
        assert_int_equal(events.last->type, EVENT_END);
        assert_string_equal(text, "Hello, dear world!");
        assert_string_equal(thought, "thinking about: Hello, dear world!");
        assert_int_equal(deltas, 5);
        assert_int_equal(starts, 2);
        assert_int_equal(stops, 2);
        assert_true(usage);
        arena_free(a);
}

/* An event takes hundreds of bytes: a text of a million tokens must not become as many. */
static void test_events_are_bounded(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_request r = {.n = {.set = true, .value = 2}};
        char *many = arena_alloc(a, 1000001);
        memset(many, '!', 1000000);
        add_text(a, &r, CHAT_USER, many);
        struct chat_reply reply = ask(a, &r, 0);
        struct chat_events events = {.arena = a};
        size_t count = 0, bytes = 0;
        echo_events(&reply, &events);
        for (struct chat_event *e = events.first; e; e = e->next) {
                count++;
                bytes += e->type == EVENT_DELTA ? e->delta.len : 0;
        }
        assert_int_equal(bytes % 1000000, 0);
        assert_true(bytes > 0);
        assert_in_range(count, 10000, 40000);
        arena_free(a);
}

static double cosine(const char *one, const char *two)
{
        struct arena *a = arena_new();
        struct embed_request r = {.from = DIALECT_OPENAI};
        struct embed_reply reply;
        embed_add_input(a, &r)->text = str_of(one);
        embed_add_input(a, &r)->text = str_of(two);
        echo_embed(a, "e", &r, &reply);
        assert_int_equal(reply.vector_count, 2);
        double dot = 0, length = 0;
        for (size_t i = 0; i < reply.vectors[0].count; i++) {
                dot += (double)reply.vectors[0].values[i] * reply.vectors[1].values[i];
                length += (double)reply.vectors[0].values[i] * reply.vectors[0].values[i];
        }
        assert_true(fabs(length - 1) < 1e-4);
        arena_free(a);
        return dot;
}

static void test_embed(void **state)
{
        (void)state;
        static const char *const text = "The quick brown fox jumps over the lazy dog";
        static const struct {
                const char *other;
                double least, most;
        } cases[] = {
                {"The quick brown fox jumps over the lazy dog", 0.9999, 1.0001},
                {"  the QUICK brown fox,\njumps over the lazy dog.", 0.9999, 1.0001},
                {"The quick brown foxes jump over the lazy dogs", 0.6, 0.98},
                {"A quick brown fox jumped over a lazy dog", 0.45, 0.95},
                {"Quarterly revenue rose by twelve percent", -0.3, 0.3},
                {"", -0.3, 0.3},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                double got = cosine(text, cases[i].other);
                print_message("%.3f %s\n", got, cases[i].other);
                assert_true(got >= cases[i].least && got <= cases[i].most);
        }
        assert_true(cosine(text, "The quick brown foxes jump over the lazy dogs") >
                    cosine(text, "My dog is not lazy but sleeps all day"));
}

static void test_embed_dimensions(void **state)
{
        (void)state;
        static const int64_t tokens[] = {1, 2, 3};
        struct arena *a = arena_new();
        struct embed_request r = {.dimensions = {true, 16}};
        struct embed_reply reply;
        embed_add_input(a, &r)->text = str_of("hello there");
        struct embed_input *in = embed_add_input(a, &r);
        in->tokens = tokens;
        in->token_count = 3;
        echo_embed(a, "e", &r, &reply);
        assert_int_equal(reply.vectors[0].count, 16);
        assert_int_equal(reply.vectors[1].count, 16);
        assert_int_equal(reply.usage.input, 5);
        r.dimensions.set = false;
        echo_embed(a, "e", &r, &reply);
        assert_int_equal(reply.vectors[0].count, 256);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tokens),      cmocka_unit_test(test_text),
                cmocka_unit_test(test_choices),     cmocka_unit_test(test_images),
                cmocka_unit_test(test_calls),       cmocka_unit_test(test_results),
                cmocka_unit_test(test_thought),     cmocka_unit_test(test_schema),
                cmocka_unit_test(test_schema_bomb), cmocka_unit_test(test_schema_reply),
                cmocka_unit_test(test_events),      cmocka_unit_test(test_events_are_bounded),
                cmocka_unit_test(test_embed),       cmocka_unit_test(test_embed_dimensions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
