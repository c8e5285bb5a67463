/* gateway/client: the head of an answer, and that nothing in it ends a line early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "gateway/client.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static unsigned char written[65536];

static void emptied(struct FCGX_Stream *stream, int closing)
{
        (void)stream;
        (void)closing;
}

/* A libfcgi stream that writes into memory. */
static struct client *client_over_memory(FCGX_Request *request, FCGX_Stream *out, char **environment)
{
        memset(written, 0, sizeof written);
        *out = (FCGX_Stream){
                .wrNext = written, .stop = written + sizeof written - 1, .emptyBuffProc = emptied};
        *request = (FCGX_Request){.envp = environment, .ipcFd = -1, .out = out};
        return client_from_fastcgi(request);
}

static void heads(void **state)
{
        (void)state;
        static const struct {
                const char *method;
                struct relay_head head;
                const char *want;
        } rows[] = {
                {"REQUEST_METHOD=GET",
                 {.status = 200, .content_type = "application/json"},
                 "Status: 200 OK\r\nContent-Type: application/json\r\ncache-control: private, no-store\r\n"
                 "x-content-type-options: nosniff\r\nx-request-id: own\r\n\r\nbody"},
                {"REQUEST_METHOD=HEAD",
                 {.status = 200, .content_type = "application/json"},
                 "Status: 200 OK\r\nContent-Type: application/json\r\ncache-control: private, no-store\r\n"
                 "x-content-type-options: nosniff\r\nx-request-id: own\r\n\r\n"},
                {"REQUEST_METHOD=POST",
                 {.status = 200, .content_type = "text/event-stream", .stream = true},
                 "Status: 200 OK\r\nContent-Type: text/event-stream\r\ncache-control: no-cache\r\n"
                 "x-accel-buffering: no\r\nx-content-type-options: nosniff\r\nx-request-id: own\r\n\r\nbody"},
                {"REQUEST_METHOD=OPTIONS",
                 {.status = 204, .headers = {{"allow", "POST"}}, .header_count = 1},
                 "Status: 204 No Content\r\ncache-control: private, no-store\r\nx-content-type-options: "
                 "nosniff\r\n"
                 "x-request-id: own\r\nallow: POST\r\n\r\n"},
                /* what may not stand in a header */
                {"REQUEST_METHOD=POST",
                 {.status = 418,
                  .headers = {{"x-tollgate-model", "a\r\nx-evil: 1"},
                              {"x-bad\r\nx-evil", "1"},
                              {"x-tollgate-version", "\xc3\xa9\x7f"},
                              {"x-none", NULL}},
                  .header_count = 4},
                 "Status: 418 Refused\r\ncache-control: private, no-store\r\nx-content-type-options: "
                 "nosniff\r\n"
                 "x-request-id: own\r\nx-tollgate-model: a%0D%0Ax-evil: 1\r\nx-tollgate-version: "
                 "%C3%A9%7F\r\n\r\n"
                 "body"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *environment[] = {(char *)rows[i].method, NULL};
                FCGX_Request request;
                FCGX_Stream out;
                struct client *c = client_over_memory(&request, &out, environment);
                const struct relay_client *sink = client_sink(c);
                client_set_header(c, "X-Request-Id", "first");
                client_set_header(c, "x-request-id", "own");
                assert_false(client_began(c));
                assert_true(sink->begin(sink->context, &rows[i].head));
                assert_true(client_began(c));
                assert_true(sink->write(sink->context, "body", 4));
                for (char *s = strstr((char *)written, "X-Request-Id"); s; s = NULL)
                        memcpy(s, "x-request-id", 12);
                assert_string_equal((char *)written, rows[i].want);
                client_free(c);
        }
}

static void variables(void **state)
{
        (void)state;
        char *environment[] = {"A=1", "AB=2", "EMPTY=", "NOTHING", NULL};
        FCGX_Request request;
        FCGX_Stream out;
        struct client *c = client_over_memory(&request, &out, environment);
        assert_string_equal(client_variable(c, "A"), "1");
        assert_string_equal(client_variable(c, "AB"), "2");
        assert_null(client_variable(c, "EMPTY"));
        assert_null(client_variable(c, "NOTHING"));
        assert_null(client_variable(c, "B"));
        client_free(c);
}

/* The end of the connection, FastCGI's abort record, and bytes that mean nothing. */
static void a_client_that_leaves(void **state)
{
        (void)state;
        static const char abort_record[8] = {1, 2, 0, 1}, stdin_record[16] = {1, 5, 0, 1, 0, 8, 0, 0, 1, 2};
        for (int way = 0; way < 4; way++) {
                char *environment[] = {NULL};
                int pair[2];
                FCGX_Request request;
                FCGX_Stream out;
                struct client *c = client_over_memory(&request, &out, environment);
                const struct relay_client *sink = client_sink(c);
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
                request.ipcFd = pair[0];
                if (way == 1)
                        assert_int_equal(write(pair[1], abort_record, 8), 8);
                if (way == 2)
                        assert_int_equal(write(pair[1], stdin_record, 16), 16);
                if (way == 3)
                        close(pair[1]);
                assert_int_equal(sink->gone(sink->context), way == 1 || way == 3);
                /* Taken away: the next wait does not spin on it. */
                if (way == 2)
                        assert_int_equal(recv(pair[0], written, 1, MSG_DONTWAIT), -1);
                assert_int_equal(sink->flush(sink->context), way == 0 || way == 2);
                close(pair[0]);
                if (way != 3)
                        close(pair[1]);
                client_free(c);
        }
}

/* Lines that the error stream of a closed connection does not take are kept, and given once. */
static void log_of_a_closed_connection(void **state)
{
        (void)state;
        char *environment[] = {NULL};
        unsigned char told[64] = {0};
        FCGX_Request request;
        FCGX_Stream out, err = {.wrNext = told, .stop = told + sizeof told - 1, .emptyBuffProc = emptied};
        struct client *c = client_over_memory(&request, &out, environment);
        request.err = &err;
        client_log_line(c, "open\n", 5);
        assert_string_equal((char *)told, "open\n");
        assert_null(client_untold_log(c));
        err = (FCGX_Stream){.isClosed = 1, .emptyBuffProc = emptied};
        client_log_line(c, "one\n", 4);
        client_log_line(c, "two\n", 4);
        char *text = client_untold_log(c);
        assert_string_equal(text, "one\ntwo\n");
        free(text);
        assert_null(client_untold_log(c));
        client_log_line(c, "three\n", 6);
        client_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(heads),
                cmocka_unit_test(variables),
                cmocka_unit_test(a_client_that_leaves),
                cmocka_unit_test(log_of_a_closed_connection),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
