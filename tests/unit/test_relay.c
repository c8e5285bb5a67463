/* The relay against providers that are slow, silent, broken or cut, and clients that leave. */
#include "relay_world.h"

#include "base/json.h"

#define JSON_HEAD "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
#define SSE_HEAD                                                                                             \
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: up_1\r\nconnection: "           \
        "close\r\n\r\n"
#define ERROR_HEAD(status) "HTTP/1.1 " status " X\r\ncontent-type: application/json\r\nconnection: close\r\n"

/* openai */
#define CHUNK(delta, finish)                                                                                 \
        "data: "                                                                                             \
        "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"served\",\"x_own\":[" \
        "1],"                                                                                                \
        "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define ROLE       CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define WORD(word) CHUNK("{\"content\":\"" word "\"}", "null")
#define STOP       CHUNK("{}", "\"stop\"")
#define USAGE                                                                                                \
        "data: "                                                                                             \
        "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"served\","            \
        "\"choices\":[],"                                                                                    \
        "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}\n\n"
#define DONE "data: [DONE]\n\n"
#define WHOLE                                                                                                \
        "{\"id\":\"c1\", \"object\":\"chat.completion\",\"created\":1,\"model\":\"served\",\"x_own\": "      \
        "[1],\"choices\":[{"                                                                                 \
        "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"one "                                 \
        "two\"},\"finish_reason\":\"stop\"}],"                                                               \
        "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}"

/* anthropic */
#define EVENT(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define A_START                                                                                              \
        EVENT("message_start", ",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\","    \
                               "\"model\":\"served\",\"content\":[],"                                        \
                               "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,"  \
                               "\"output_tokens\":1}}")                                                      \
        EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define A_PING EVENT("ping", "")
#define A_WORD(word)                                                                                         \
        EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" word "\"" \
                                     "}")
#define A_END                                                                                                \
        EVENT("content_block_stop", ",\"index\":0")                                                          \
        EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":" \
                               "{\"output_tokens\":5}")                                                      \
        EVENT("message_stop", "")

/* A vector for each one-letter input, the last first: its place is told by its index only. "x" is a failure.
 */
static char *embed(const char *request)
{
        struct buf out;
        const char *input = strstr(request, "\"input\":[");
        size_t count = 0;
        buf_init(&out, 1 << 16);
        if (!input || strstr(input, "\"x\"")) {
                buf_adds(&out, ERROR_HEAD("500") "\r\n");
                return out.data;
        }
        input += strlen("\"input\":[");
        while (input[4 * count] == '"')
                count++;
        buf_adds(&out, JSON_HEAD "{\"object\":\"list\",\"model\":\"served\",\"data\":[");
        for (size_t i = count; i-- > 0;)
                buf_addf(&out, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":[%d,0]}%s", i,
                         input[4 * i + 1], i ? "," : "");
        buf_addf(&out, "],\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", count, count);
        return out.data;
}

static const struct script scripts[] = {
        {.model = "embed", .make = embed},
        {.model = "embed-2", .make = embed},
        {"stream",
         {{0, SSE_HEAD ": hello\n\n" ROLE WORD("one ")}, {20, WORD("two") STOP USAGE DONE}},
         0,
         NULL},
        {"crlf",
         {{0, SSE_HEAD "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\r\n\r"},
          {20, "\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
               "data: [DONE]\r\n\r\n"}},
         0,
         NULL},
        {"lingers", {{0, SSE_HEAD WORD("one") STOP DONE}}, 5000, NULL},
        {"no-done", {{0, SSE_HEAD WORD("one") STOP}}, 0, NULL},
        {"no-end", {{0, SSE_HEAD WORD("one")}}, 0, NULL},
        {"a-stream", {{0, SSE_HEAD A_START A_WORD("one ")}, {10, A_WORD("two") A_END}}, 0, NULL},
        {"a-pings",
         {{0, SSE_HEAD A_START A_WORD("one ")},
          {100, A_PING},
          {100, A_PING},
          {100, A_PING},
          {100, A_PING},
          {100, A_PING},
          {100, A_PING},
          {100, A_PING A_WORD("two") A_END}},
         0,
         NULL},
        {"comments",
         {{0, SSE_HEAD WORD("one")},
          {100, ": x\n\n"},
          {100, ": x\n\n"},
          {100, ": x\n\n"},
          {100, ": x\n\n"},
          {100, ": x\n\n"},
          {100, ": x\n\n"},
          {100, STOP DONE}},
         0,
         NULL},
        {"a-error",
         {{0, SSE_HEAD A_START A_WORD("one ")},
          {20,
           A_WORD("two") EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}")}},
         0,
         NULL},
        {"a-error-at-once",
         {{0, SSE_HEAD A_START A_WORD("one ")
                      EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}")}},
         0,
         NULL},
        {"a-whole",
         {{0, JSON_HEAD "{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"served\","
                        "\"content\":[{\"type\":\"text\",\"text\":\"one\"}],\"stop_reason\":\"end_turn\","
                        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":5}}"}},
         0,
         NULL},
        {"silent", {{3000, SSE_HEAD ROLE}}, 0, NULL},
        {"silent-head", {{0, SSE_HEAD ROLE ": still here\n\n"}, {3000, STOP}}, 0, NULL},
        {"silent-then-cut", {{600, SSE_HEAD ROLE}}, 0, NULL},
        {"silent-json", {{0, JSON_HEAD "{"}, {3000, "}"}}, 0, NULL},
        {"whole", {{0, JSON_HEAD WHOLE}}, 0, NULL},
        {"whole-1.0",
         {{0, "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n"}, {20, WHOLE}},
         0,
         NULL},
        {"interim", {{0, "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" JSON_HEAD WHOLE}}, 0, NULL},
        {"streams-anyway", {{0, SSE_HEAD ROLE WORD("one") STOP DONE}}, 0, NULL},
        {"error-in-200",
         {{0, JSON_HEAD "{\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}"}},
         0,
         NULL},
        {"empty", {{0, JSON_HEAD}}, 0, NULL},
        {"nothing", {{0, "HTTP/1.1 204 None\r\n\r\n"}}, 0, NULL},
        {"short",
         {{0, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" WHOLE}},
         0,
         NULL},
        {"gzip",
         {{0, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
              "connection: close\r\n\r\n\x1f\x8b\x08\x03\x04\x05"}},
         0,
         NULL},
        {"moved",
         {{0, "HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-type: text/event-stream\r\n"
              "connection: close\r\n\r\n" WORD("evil") STOP DONE}},
         0,
         NULL},
        {"refuses",
         {{0,
           ERROR_HEAD("422") "\r\n{\"error\":{\"message\":\"too odd\",\"type\":\"invalid_request_error\"}}"}},
         0,
         NULL},
        {"busy",
         {{0, ERROR_HEAD("429") "retry-after: 9\r\n\r\n{\"error\":{\"message\":\"slow down\"}}"}},
         0,
         NULL},
        {"broken", {{0, ERROR_HEAD("500") "\r\n<html>"}}, 0, NULL},
};

static const char openai_body[] =
        "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
                  openai_whole[] =
                          "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";

/* The same stream asked for in each dialect: how it waits, ends well, and tells of an error. */
static const struct asks {
        const char *dialect, *stream, *whole, *keepalive, *end, *error;
} asks[] = {
        {"openai", openai_body, openai_whole, ": keep-alive\n\n", "[DONE]", "data: {\"error\":"},
        {"anthropic",
         "{\"model\":\"asked\",\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"Hi\"}]}",
         "{\"model\":\"asked\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
         "event: ping\n", "message_stop", "event: error\n"},
        {"gemini", "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]}]}",
         "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]}]}", "\r\n\r\n", "finishReason",
         "\"error\":"},
        {"plain", "{\"model\":\"asked\",\"prompt\":\"Hi\",\"stream\":true}",
         "{\"model\":\"asked\",\"prompt\":\"Hi\"}", ": keep-alive\n\n", "event: done\n", "event: error\n"},
};
enum { ASKS = sizeof asks / sizeof *asks };

/* ---- the fast path ---- */

static void raw_bytes_pass(void **state)
{
        (void)state;
        static const struct {
                const char *model, *stream_options;
                bool hides; /* the usage that the client did not ask for */
        } cases[] = {
                {"stream", "", true},
                {"stream", ",\"stream_options\":{\"include_usage\":true}", false},
                {"crlf", "", false},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                world_start(&w);
                world_target(&w, "openai", cases[i].model);
                world_chat(&w, "openai",
                           arena_printf(
                                   w.arena,
                                   "{\"model\":\"asked\",\"stream\":true%s,\"messages\":[{\"role\":\"user\","
                                   "\"content\":\"Hi\"}]}",
                                   cases[i].stream_options),
                           true);
                const struct script *s = NULL;
                for (size_t k = 0; k < sizeof scripts / sizeof *scripts; k++) {
                        if (strcmp(scripts[k].model, cases[i].model) == 0)
                                s = &scripts[k];
                }
                struct buf want;
                buf_init(&want, 1 << 16);
                buf_adds(&want, strstr(s->steps[0].text, "\r\n\r\n") + 4);
                buf_adds(&want, s->steps[1].text);
                char *usage = strstr(want.data, USAGE);
                if (cases[i].hides)
                        memmove(usage, usage + strlen(USAGE), strlen(usage + strlen(USAGE)) + 1);
                assert_string_equal(world_text(&w), want.data);
                buf_release(&want);
                assert_true(w.record.fast_path && w.record.whole && w.record.streamed &&
                            !w.record.client_left);
                assert_true(w.seen.head.stream);
                assert_int_equal(w.seen.head.status, 200);
                assert_memory_equal(w.seen.head.content_type, "text/event-stream", 17);
                if (usage) {
                        assert_int_equal(w.record.usage.input, 7);
                        assert_int_equal(w.record.usage.output, 5);
                        assert_string_equal(w.record.upstream_request_id, "up_1");
                }
                /* The usage is asked for upstream, whether or not the client wants it. */
                assert_non_null(strstr(provider.last, "\"include_usage\":true"));
                world_end(&w);
        }
}

static void whole_bytes_pass(void **state)
{
        (void)state;
        static const char *const models[] = {"whole", "whole-1.0", "interim"};
        for (size_t i = 0; i < 3; i++) {
                struct world w;
                world_start(&w);
                world_target(&w, "openai", models[i]);
                world_chat(&w, "openai", openai_whole, false);
                assert_string_equal(world_text(&w), WHOLE);
                assert_true(w.record.fast_path && w.record.whole && !w.seen.head.stream);
                assert_string_equal(world_header(&w, "x-tollgate-model"), "asked");
                assert_string_equal(world_header(&w, "x-tollgate-version"), "1");
                assert_string_equal(world_header(&w, "x-tollgate-provider"), "openai");
                assert_string_equal(world_header(&w, "x-tollgate-served-model"), "served");
                assert_string_equal(world_header(&w, "x-tollgate-attempts"), "1");
                world_end(&w);
        }
}

/* The body is the provider's own; the header and the log line are ours. */
static void no_secret_in_a_served_model(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct world w;
                world_start(&w);
                world_target(&w, "openai", stream ? "stream" : "whole");
                w.providers[0].key = "served";
                world_chat(&w, "openai",
                           stream ? "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                                    "\"content\":\"Hi\"}]}"
                                  : openai_whole,
                           stream);
                assert_true(w.record.whole);
                assert_string_equal(world_header(&w, "x-tollgate-served-model"), "[removed]");
                assert_string_equal(w.record.served_model, "[removed]");
                world_end(&w);
        }
}

/* ---- streams in every dialect ---- */

static void every_dialect_gets_the_stream(void **state)
{
        (void)state;
        static const char *const models[][2] = {
                {"openai", "stream"}, {"anthropic", "a-stream"}, {"openai", "whole"}, {"openai", "no-done"}};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < 4; k++) {
                        struct world w;
                        print_message("%s from %s\n", asks[i].dialect, models[k][1]);
                        world_start(&w);
                        world_target(&w, models[k][0], models[k][1]);
                        world_chat(&w, asks[i].dialect, asks[i].stream, true);
                        assert_true(world_has(&w, "one"));
                        assert_true(world_has(&w, asks[i].end));
                        assert_false(world_has(&w, asks[i].error));
                        assert_true(w.record.whole);
                        world_end(&w);
                }
        }
}

static void waits_with_keepalives_and_goes_on(void **state)
{
        (void)state;
        for (size_t i = 0; i < ASKS; i++) {
                struct world w;
                print_message("%s\n", asks[i].dialect);
                world_start(&w);
                w.config.keepalive_ms = 60;
                world_target(&w, "openai", "silent-then-cut");
                world_target(&w, "anthropic", "a-stream");
                int64_t began = clock_now_ms();
                world_chat(&w, asks[i].dialect, asks[i].stream, true);
                /* The head goes out with the first keep-alive, and names no provider: none is chosen yet. */
                assert_in_range(w.seen.first_ms - began, 50, 1000);
                assert_null(world_header(&w, "x-tollgate-provider"));
                assert_string_equal(world_header(&w, "x-tollgate-attempts"), "1");
                assert_memory_equal(world_text(&w), asks[i].keepalive, 2);
                assert_true(world_has(&w, asks[i].keepalive));
                assert_true(world_has(&w, "two"));
                assert_true(world_has(&w, asks[i].end));
                assert_false(world_has(&w, asks[i].error));
                assert_int_equal(w.record.attempts, 2);
                assert_true(w.record.whole);
                world_end(&w);
        }
}

static void what_fails_late_is_an_error_event(void **state)
{
        (void)state;
        static const struct {
                const char *dialect, *model;
                int64_t keepalive, first_token, idle, total;
        } cases[] = {
                {"openai", "silent-then-cut", 60, 0, 0, 0}, {"openai", "silent", 60, 500, 0, 0},
                {"openai", "silent", 60, 0, 0, 500},        {"openai", "no-end", 0, 0, 0, 0},
                {"anthropic", "a-error", 0, 0, 0, 0},       {"anthropic", "a-pings", 0, 0, 300, 0},
                {"anthropic", "a-pings", 40, 0, 300, 0},    {"openai", "comments", 0, 0, 300, 0},
                {"openai", "comments", 0, 0, 0, 500},
        };
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s from %s\n", asks[i].dialect, cases[k].model);
                        world_start(&w);
                        w.config.keepalive_ms = cases[k].keepalive;
                        for (size_t n = 0; n < 4; n++)
                                world_timeouts(&w.providers[n], cases[k].first_token, cases[k].idle, 0);
                        w.version.total_ms = cases[k].total ? cases[k].total : 5000;
                        world_target(&w, cases[k].dialect, cases[k].model);
                        world_chat(&w, asks[i].dialect, asks[i].stream, true);
                        assert_int_equal(w.seen.head.status, 200);
                        assert_true(world_has(&w, asks[i].error));
                        assert_false(world_has(&w, asks[i].end));
                        /* What came in one piece with the error is not lost. */
                        if (strcmp(cases[k].model, "a-error") == 0)
                                assert_true(world_has(&w, "two"));
                        assert_false(w.record.whole);
                        assert_int_not_equal(w.record.cause, ERR_NONE);
                        assert_in_range(w.took_ms, 0, 2000);
                        world_end(&w);
                }
        }
}

/* gemini without alt=sse: whatever happens, what went out is one JSON array. */
static void an_array_stays_json(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second;
                bool good;
        } cases[] = {
                {"stream", NULL, true},
                {"silent-then-cut", "stream", true},
                {"silent-then-cut", "broken", false},
                {"no-end", NULL, false},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                print_message("%s\n", cases[i].first);
                world_start(&w);
                w.config.keepalive_ms = 60;
                w.array = true;
                world_target(&w, "openai", cases[i].first);
                if (cases[i].second)
                        world_target(&w, "openai", cases[i].second);
                world_chat(&w, "gemini", asks[2].stream, true);
                struct err err = {.cause = ERR_NONE};
                json_object *list =
                        json_parse(w.arena, world_text(&w), w.seen.body.len, JSON_FROM_PROVIDER, &err);
                assert_true(json_object_is_type(list, json_type_array));
                assert_int_equal(world_has(&w, "finishReason"), cases[i].good);
                assert_int_equal(world_has(&w, "\"error\":"), !cases[i].good);
                assert_int_equal(w.record.whole, cases[i].good);
                world_end(&w);
        }
}

/* ---- times ---- */

static void times_out_before_content(void **state)
{
        (void)state;
        static const struct {
                const char *model;
                bool stream;
                int64_t first_token, attempt, total;
        } cases[] = {
                {"silent", true, 100, 0, 0},       {"silent-head", true, 100, 0, 0},
                {"silent-json", false, 0, 100, 0}, {"silent", true, 0, 0, 100},
                {"silent", false, 0, 0, 100},      {"silent-json", false, 0, 0, 100},
                {"silent-json", true, 100, 0, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                for (int more = 0; more < 2; more++) {
                        struct world w;
                        print_message("%s\n", cases[i].model);
                        world_start(&w);
                        world_timeouts(&w.providers[0], cases[i].first_token, 0, cases[i].attempt);
                        w.version.total_ms = cases[i].total ? cases[i].total : 5000;
                        world_target(&w, "openai", cases[i].model);
                        if (more)
                                world_target(&w, "anthropic", cases[i].stream ? "a-stream" : "a-whole");
                        world_chat(&w, "openai", cases[i].stream ? openai_body : openai_whole,
                                   cases[i].stream);
                        assert_in_range(w.took_ms, 90, 2000);
                        /* After the total there is no time for another target. */
                        bool helped = more && !cases[i].total;
                        assert_int_equal(w.seen.head.status, helped ? 200 : 504);
                        assert_int_equal(w.record.attempts, helped ? 2 : 1);
                        assert_int_equal(w.record.whole, helped);
                        assert_int_equal(world_has(&w, "timeout_error"), !helped);
                        world_end(&w);
                }
        }
}

/* The built-in provider's own delay is no way around the total. */
static void echo_keeps_the_total(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct world w;
                world_start(&w);
                w.providers[3].echo_delay_ms = 3000;
                w.version.total_ms = 100;
                world_target(&w, "echo", "echo");
                world_chat(&w, "openai", stream ? openai_body : openai_whole, stream);
                assert_int_equal(w.seen.head.status, stream ? 200 : 504);
                assert_true(world_has(&w, "timeout_error"));
                assert_false(world_has(&w, "[DONE]") || w.record.whole);
                assert_in_range(w.took_ms, 90, 2000);
                world_end(&w);
        }
}

/* The connection stands, and nobody shakes hands. */
static void no_connection_in_time(void **state)
{
        (void)state;
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
        listen(fd, 8);
        for (int more = 0; more < 2; more++) {
                struct world w;
                world_start(&w);
                w.providers[0].base = arena_printf(w.arena, "https://127.0.0.1:%d", ntohs(at.sin_port));
                w.providers[0].timeouts.connect_ms = 100;
                world_target(&w, "openai", "stream");
                if (more)
                        world_target(&w, "anthropic", "a-stream");
                world_chat(&w, "openai", openai_body, true);
                assert_int_equal(w.seen.head.status, more ? 200 : 504);
                assert_int_equal(w.record.whole, more);
                assert_in_range(w.took_ms, 90, 2000);
                world_end(&w);
        }
        close(fd);
}

/* The provider keeps its connection after the sign of the end: the client is not kept waiting, nor told more.
 */
static void nothing_comes_after_the_end(void **state)
{
        (void)state;
        struct world w;
        world_start(&w);
        w.config.keepalive_ms = 30;
        world_timeouts(&w.providers[0], 5000, 100, 0);
        world_target(&w, "openai", "lingers");
        world_chat(&w, "openai", openai_body, true);
        assert_string_equal(world_text(&w), WORD("one") STOP DONE);
        assert_true(w.record.whole);
        assert_int_equal(w.record.cause, ERR_NONE);
        assert_in_range(w.took_ms, 0, 2000);
        world_end(&w);
}

/* ---- odd answers ---- */

static void odd_answers_go_to_the_next_target(void **state)
{
        (void)state;
        static const char *const odd[] = {"error-in-200", "empty", "nothing", "short",
                                          "gzip",         "moved", "busy",    "broken"};
        static const char *const dialects[] = {"openai", "anthropic", "gemini"};
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                for (int k = 0; k < 12; k++) {
                        bool stream = k % 2, more = k / 2 % 2;
                        struct world w;
                        print_message("%s from %s\n", odd[i], dialects[k / 4]);
                        world_start(&w);
                        world_target(&w, dialects[k / 4], odd[i]);
                        if (more)
                                world_target(&w, "openai", stream ? "stream" : "whole");
                        /* A length that is wrong shows after a stream's content. */
                        world_chat(&w, "openai", stream ? openai_body : openai_whole, stream);
                        assert_false(world_has(&w, "evil"));
                        assert_int_equal(w.seen.head.status, more                          ? 200
                                                             : strcmp(odd[i], "busy") == 0 ? 503
                                                                                           : 502);
                        assert_int_equal(w.record.whole, more);
                        assert_string_equal(world_header(&w, "x-tollgate-attempts"), more ? "2" : "1");
                        if (!more)
                                assert_string_equal(w.seen.head.content_type, "application/json");
                        world_end(&w);
                }
        }
}

/* The same status in each dialect, and what an SDK looks at before it asks again. */
static void errors_in_every_dialect(void **state)
{
        (void)state;
        static const struct {
                const char *model;
                int status;
                const char *retry_after, *should_retry;
        } cases[] = {
                {"refuses", 422, NULL, "false"},
                {"busy", 503, "9", NULL},
                {"broken", 502, NULL, "false"},
        };
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s\n", asks[i].dialect, cases[k].model);
                        world_start(&w);
                        world_target(&w, "openai", cases[k].model);
                        world_chat(&w, asks[i].dialect, k % 2 ? asks[i].stream : asks[i].whole, k % 2);
                        assert_int_equal(w.seen.head.status, cases[k].status);
                        assert_int_equal(w.record.status, cases[k].status);
                        assert_false(w.seen.head.stream);
                        assert_true(world_has(&w, "\"error\":"));
                        assert_string_equal(world_header(&w, "x-tollgate-model"), "asked");
                        const char *after = world_header(&w, "retry-after"),
                                   *should = world_header(&w, "x-should-retry");
                        assert_string_equal(after ? after : "-",
                                            cases[k].retry_after ? cases[k].retry_after : "-");
                        assert_string_equal(should ? should : "-",
                                            cases[k].should_retry ? cases[k].should_retry : "-");
                        world_end(&w);
                }
        }
}

/* An answer that finds no room is our own trouble, not the provider's: no other target is asked. */
static void memory_is_bounded_and_given_back(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct world w;
                world_start(&w);
                w.config.max_memory = 100;
                world_target(&w, "openai", "whole");
                world_target(&w, "openai", "whole");
                world_chat(&w, "openai", stream ? openai_body : openai_whole, stream);
                assert_int_equal(w.seen.head.status, 503);
                assert_non_null(world_header(&w, "retry-after"));
                assert_int_equal(w.record.attempts, 1);
                world_end(&w);
        }
}

/* ---- clients that leave ---- */

static void *hang_up(void *context)
{
        struct world *w = context;
        usleep(100000);
        shutdown(w->seen.fds[1], SHUT_RDWR);
        return NULL;
}

static void the_upstream_call_ends_with_the_client(void **state)
{
        (void)state;
        static const struct {
                const char *model;
                bool stream, by_fd;
                int64_t keepalive;
        } cases[] = {
                {"silent", true, true, 0},   {"silent", false, true, 0},    {"silent-head", true, true, 0},
                {"silent", true, false, 50}, {"comments", true, false, 50},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                pthread_t other;
                int left = provider.left;
                print_message("%s\n", cases[i].model);
                world_start(&w);
                w.config.keepalive_ms = cases[i].keepalive;
                world_target(&w, "openai", cases[i].model);
                world_target(&w, "openai", "stream");
                if (cases[i].by_fd)
                        pthread_create(&other, NULL, hang_up, &w);
                else
                        w.seen.leave_after = 2;
                w.no_answer = cases[i].by_fd;
                world_chat(&w, "openai", cases[i].stream ? openai_body : openai_whole, cases[i].stream);
                if (cases[i].by_fd)
                        pthread_join(other, NULL);
                assert_true(w.record.client_left && !w.record.whole);
                assert_int_equal(w.record.attempts, 1);
                assert_in_range(w.took_ms, 40, 2000);
                assert_true(provider_saw_leave(left + 1));
                world_end(&w);
        }
}

/* ---- embeddings ---- */

static void inputs_are_split_and_joined_in_order(void **state)
{
        (void)state;
        static const struct config_catalogue_row rows[] = {
                {.pattern = "embed-2", .shipped = true, .caps = {.batch_inputs = 2}}};
        static const struct {
                const char *first, *second, *inputs;
                int calls, status;
                int64_t attempts, tokens;
        } cases[] = {
                {"embed", NULL, "\"a\",\"b\",\"c\",\"d\",\"e\"", 1, 200, 1, 5},
                {"embed-2", NULL, "\"a\",\"b\",\"c\",\"d\",\"e\"", 3, 200, 1, 5},
                {"embed-2", NULL, "\"a\",\"b\"", 1, 200, 1, 2},
                /* A later part fails: nothing of the first target's is used, and all is asked again. */
                {"embed-2", "embed", "\"a\",\"b\",\"x\"", 3, 502, 2, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                int calls = provider.calls;
                world_start(&w);
                world_state(&w);
                w.config.catalogue = rows;
                w.config.catalogue_count = 1;
                world_target(&w, "openai", cases[i].first);
                if (cases[i].second)
                        world_target(&w, "openai", cases[i].second);
                world_embed(&w, "openai",
                            arena_printf(w.arena, "{\"model\":\"asked\",\"input\":[%s]}", cases[i].inputs));
                print_message("%s %s\n", cases[i].first, cases[i].inputs);
                assert_int_equal(w.seen.head.status, cases[i].status);
                assert_int_equal(provider.calls - calls, cases[i].calls);
                assert_int_equal(w.record.attempts, cases[i].attempts);
                assert_int_equal(w.record.usage.input, cases[i].tokens);
                /* Each call counts at the provider. */
                struct slot slot;
                struct limit_views views;
                const struct subject first = {SLOT_DIRECT,
                                              arena_printf(w.arena, "openai/%s", cases[i].first)};
                assert_true(state_read(w.state, first, &slot));
                limit_look(&slot.limit, NULL, 0, 0, state_now_ms(w.state), &views);
                assert_int_equal(views.rpm.used, cases[i].calls - (cases[i].second != NULL));
                struct err err = {.cause = ERR_NONE};
                json_object *body =
                        json_parse(w.arena, world_text(&w), w.seen.body.len, JSON_FROM_PROVIDER, &err);
                json_object *data = json_object_object_get(body, "data");
                for (size_t k = 0; cases[i].status == 200 && k < (size_t)cases[i].tokens; k++) {
                        size_t n = json_object_array_length(data);
                        assert_int_equal(n, cases[i].tokens);
                        for (size_t j = 0; j < n; j++) {
                                json_object *one = json_object_array_get_idx(data, j);
                                if (json_object_get_int(json_object_object_get(one, "index")) == (int)k)
                                        assert_int_equal(
                                                json_object_get_int(json_object_array_get_idx(
                                                        json_object_object_get(one, "embedding"), 0)),
                                                'a' + (int)k);
                        }
                }
                world_end(&w);
        }
}

/* ---- the other way round ---- */

static void a_stream_nobody_asked_for(void **state)
{
        (void)state;
        struct world w;
        world_start(&w);
        world_target(&w, "openai", "streams-anyway");
        world_target(&w, "openai", "whole");
        world_chat(&w, "openai", openai_whole, false);
        assert_string_equal(world_text(&w), WHOLE);
        assert_int_equal(w.record.attempts, 2);
        world_end(&w);
}

/* Nothing of it had reached the client: another target may still give a whole answer. */
static void content_with_its_error_fails_over(void **state)
{
        (void)state;
        struct world w;
        world_start(&w);
        world_target(&w, "anthropic", "a-error-at-once");
        world_target(&w, "openai", "no-done");
        world_chat(&w, "openai", openai_body, true);
        assert_string_equal(world_text(&w), WORD("one") STOP DONE);
        assert_string_equal(world_header(&w, "x-tollgate-provider"), "openai");
        world_end(&w);
}

static int set_up(void **state)
{
        (void)state;
        log_configure(LOG_LEVEL_ERROR, NULL);
        provider_start(scripts, sizeof scripts / sizeof *scripts);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        provider_stop();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(raw_bytes_pass),
                cmocka_unit_test(whole_bytes_pass),
                cmocka_unit_test(no_secret_in_a_served_model),
                cmocka_unit_test(every_dialect_gets_the_stream),
                cmocka_unit_test(waits_with_keepalives_and_goes_on),
                cmocka_unit_test(what_fails_late_is_an_error_event),
                cmocka_unit_test(an_array_stays_json),
                cmocka_unit_test(times_out_before_content),
                cmocka_unit_test(echo_keeps_the_total),
                cmocka_unit_test(no_connection_in_time),
                cmocka_unit_test(nothing_comes_after_the_end),
                cmocka_unit_test(odd_answers_go_to_the_next_target),
                cmocka_unit_test(errors_in_every_dialect),
                cmocka_unit_test(memory_is_bounded_and_given_back),
                cmocka_unit_test(the_upstream_call_ends_with_the_client),
                cmocka_unit_test(inputs_are_split_and_joined_in_order),
                cmocka_unit_test(a_stream_nobody_asked_for),
                cmocka_unit_test(content_with_its_error_fails_over),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
