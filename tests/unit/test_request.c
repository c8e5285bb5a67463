/* gateway/request: paths and mounts of every web server, bad paths, ids, bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "gateway/endpoints.h"
#include "gateway/request.h"
#include "store/ledger_id.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static struct client *client_of(FCGX_Request *request, const char *const *environment, char **copy)
{
        size_t n = 0;
        for (; environment[n]; n++)
                copy[n] = (char *)environment[n];
        copy[n] = NULL;
        *request = (FCGX_Request){.envp = copy, .ipcFd = -1};
        return client_from_fastcgi(request);
}

static void mounts(void **state)
{
        (void)state;
        static const struct {
                const char *script, *info, *setting, *mount, *path; /* path NULL: beside the mount */
        } rows[] = {
                /* lighttpd "/ai", Apache Alias or ScriptAlias */
                {"/ai", "/v1/chat/completions", NULL, "/ai", "/v1/chat/completions"},
                {"/ai", "/healthz", NULL, "/ai", "/healthz"},
                {"/ai", NULL, NULL, "/ai", "/"},
                {"/ai", "/", NULL, "/ai", "/"},
                /* lighttpd "/ai/": the script takes the next step too */
                {"/ai/v1beta", "/models/m:generateContent", NULL, "/ai", "/v1beta/models/m:generateContent"},
                {"/ai/v1", "/chat/completions", NULL, "/ai", "/v1/chat/completions"},
                {"/ai/chat", NULL, NULL, "/ai", "/chat"},
                {"/ai/v1", "/chat", NULL, "/ai", "/v1/chat"},
                /* lighttpd "/", nginx: no PATH_INFO */
                {"/ai/v1/chat/completions", NULL, NULL, "/ai", "/v1/chat/completions"},
                {"/v1/models/m", NULL, NULL, "", "/v1/models/m"},
                {"/v1/models/vendor/chat", NULL, NULL, "", "/v1/models/vendor/chat"},
                {"/a/b/c/v1beta/models", NULL, NULL, "/a/b/c", "/v1beta/models"},
                {"", "/v1/models", NULL, "", "/v1/models"},
                {"/", "/v1/models", NULL, "", "/v1/models"},
                {NULL, "/v1/models", NULL, "", "/v1/models"},
                /* CGI */
                {"/cgi-bin/tollgate.cgi", "/v1/messages", NULL, "/cgi-bin/tollgate.cgi", "/v1/messages"},
                {"/~joe/tollgate.cgi", "/embed", NULL, "/~joe/tollgate.cgi", "/embed"},
                /* a mount that sounds like an endpoint */
                {"/chat", "/v1/models", NULL, "/chat", "/v1/models"},
                /* unknown paths */
                {"/ai", "/v2/x", NULL, "/ai", "/v2/x"},
                {"/ai/v1beta", "/nothing", NULL, "/ai", "/v1beta/nothing"},
                /* the setting */
                {"/ai", "/v1/models", "/ai", "/ai", "/v1/models"},
                {"/ai", "/v1/models", "/ai/", "/ai", "/v1/models"},
                {"/aixyz", "/v1/models", "/ai", "/ai", NULL},
                {"/v1/models", NULL, "", "", "/v1/models"},
                {"/v1/models", NULL, "/", "", "/v1/models"},
                {"/ai", NULL, "/ai", "/ai", "/"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                const char *mount = NULL;
                const char *path = request_split_path(a, rows[i].script, rows[i].info, rows[i].setting,
                                                      endpoint_known, &mount);
                if ((path == NULL) != (rows[i].path == NULL) || (path && strcmp(path, rows[i].path) != 0) ||
                    strcmp(mount, rows[i].mount) != 0)
                        print_error("row %zu: %s below %s\n", i, path ? path : "(beside)", mount);
                assert_int_equal(path == NULL, rows[i].path == NULL);
                if (path)
                        assert_string_equal(path, rows[i].path);
                assert_string_equal(mount, rows[i].mount);
                arena_free(a);
        }
}

static void bad_paths(void **state)
{
        (void)state;
        static const struct {
                const char *environment[4];
                int status; /* 0: fine */
        } rows[] = {
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=/ai/v1/models?x=/../"}, 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models/..x", "REQUEST_URI=/ai/v1/models/..x"}, 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/", "REQUEST_URI=/ai/"}, 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=http://h/ai/v1/models"}, 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=http://h"}, 0},
                {{"SCRIPT_NAME=/ai", "REQUEST_URI=*"}, 0},
                {{"REQUEST_URI=/"}, 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1//models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=//v1/models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/../v1/models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/./models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models/.."}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models/a\nb"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models/a\x7f"}, 400},
                {{"SCRIPT_NAME=ai"}, 400},
                /* what the server tidied away */
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=/ai/x/../v1/models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=/ai/x/%2e%2E/v1/models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=/ai//v1/models"}, 400},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "REQUEST_URI=/ai/v1/models%0a"}, 400},
                /* not decoded twice */
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models/%2e%2e", "REQUEST_URI=/ai/v1/models/%252e%252e"},
                 0},
                {{"SCRIPT_NAME=/ai", "PATH_INFO=/v1/models", "QUERY_STRING=a=%FF"}, 400},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                FCGX_Request fcgi;
                char *copy[8];
                const char *environment[6] = {0};
                memcpy(environment, rows[i].environment, sizeof rows[i].environment);
                struct client *c = client_of(&fcgi, environment, copy);
                struct request r;
                struct err err = {0};
                bool ok = request_read(&r, a, c, NULL, endpoint_known, &err);
                if (ok != !rows[i].status)
                        print_error("row %zu: %s\n", i, err.message ? err.message : "taken");
                assert_int_equal(ok, !rows[i].status);
                assert_non_null(r.id);
                assert_non_null(r.path);
                if (!ok)
                        assert_int_equal(err_status(&err), rows[i].status);
                client_free(c);
                arena_free(a);
        }
}

static void ids_and_methods(void **state)
{
        (void)state;
        static const struct {
                const char *id;
                bool kept;
        } rows[] = {
                {"HTTP_X_REQUEST_ID=abc-1.2_3", true},
                {"HTTP_X_REQUEST_ID=", false},
                {"HTTP_X_REQUEST_ID=a b", false},
                {"HTTP_X_REQUEST_ID=a\r\nx: y", false},
                {"HTTP_X_REQUEST_ID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
                {"HTTP_X_REQUEST_ID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 false},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                FCGX_Request fcgi;
                char *copy[8];
                const char *environment[] = {rows[i].id, "REQUEST_METHOD=HEAD", "PATH_INFO=/v1/models", NULL};
                struct client *c = client_of(&fcgi, environment, copy);
                struct request r;
                struct err err = {0};
                assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
                assert_int_equal(strcmp(r.id, strchr(rows[i].id, '=') + 1) == 0, rows[i].kept);
                assert_true(text_is_token(r.id, 64));
                assert_string_not_equal(r.id, rows[i].kept ? r.unique : "");
                assert_string_equal(r.method, "GET");
                assert_true(r.head);
                client_free(c);
                arena_free(a);
        }
}

static void a_row_is_found_by_the_id_made_here(void **state)
{
        (void)state;
        const char *own[] = {"HTTP_X_REQUEST_ID=mine", "PATH_INFO=/chat", NULL};
        const char *none[] = {"PATH_INFO=/chat", NULL};
        for (int i = 0; i < 2; i++) {
                struct arena *a = arena_new();
                FCGX_Request fcgi;
                char *copy[8];
                struct client *c = client_of(&fcgi, i ? own : none, copy);
                struct request r;
                struct err err = {0};
                int64_t id = (INT64_C(1795000000123) << 20) + 5;
                assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
                assert_true(ledger_id_of(r.unique) > 0);
                request_take_id(&r, id);
                assert_int_equal(ledger_id_of(r.unique), id);
                assert_true(text_is_token(r.unique, 64));
                assert_string_equal(r.id, i ? "mine" : r.unique);
                const char *first = r.unique;
                request_take_id(&r, id);
                assert_string_not_equal(first, r.unique);
                client_free(c);
                arena_free(a);
        }
        static const char *const foreign[] = {"",
                                              "mine",
                                              "tg-",
                                              "tg-00000000000000000000000000000001x",
                                              "TG-00000000000000010000000000000001",
                                              "tg-0000000000000001000000000000000A",
                                              "tg-0000000000000001ffffffffffffffff",
                                              "tg-000000000000000100000000000000000"};
        for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
                assert_int_equal(ledger_id_of(foreign[i]), 0);
        assert_int_equal(ledger_id_of(NULL), 0);
}

static void traces_and_caches(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                bool valid;
        } traces[] = {
                {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
                {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true},
                {"00-00000000000000000000000000000001-0000000000000001-00", true},
                {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
                {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
                {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
                {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
                {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
                {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
                {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
                {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false},
                {"00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01", false},
                {"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false},
                {"", false},
        };
        static const struct {
                const char *text;
                bool no_cache;
        } caches[] = {{"no-cache", true},
                      {"max-age=0, No-Cache", true},
                      {"no-cache,no-store", true},
                      {"no-cached", false},
                      {"max-age=0", false},
                      {"x-no-cache", false},
                      {"no-store ,\tno-cache", true}};
        for (size_t i = 0; i < ARRAY_SIZE(traces); i++)
                assert_int_equal(request_trace_valid(traces[i].text), traces[i].valid);
        assert_false(request_trace_valid(NULL));
        for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
                struct arena *a = arena_new();
                FCGX_Request fcgi;
                char *copy[8], trace[128], cache[128];
                snprintf(trace, sizeof trace, "HTTP_TRACEPARENT=%s", traces[i].text);
                snprintf(cache, sizeof cache, "HTTP_CACHE_CONTROL=%s", caches[i].text);
                const char *environment[] = {trace, cache, "PATH_INFO=/chat", NULL};
                struct client *c = client_of(&fcgi, environment, copy);
                struct request r;
                struct err err = {0};
                assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
                assert_int_equal(r.trace != NULL, traces[i].valid);
                assert_int_equal(r.no_cache, caches[i].no_cache);
                client_free(c);
                arena_free(a);
        }
}

/* ---- bodies, through a libfcgi stream over memory ---- */

static void at_end(struct FCGX_Stream *stream)
{
        stream->isClosed = 1;
}

/* As libfcgi makes it, which frees it once the body is read to its end. */
static FCGX_Stream *stream_of(unsigned char *bytes, size_t len)
{
        FCGX_Stream *in = calloc(1, sizeof *in);
        void *data = calloc(1, 256); /* libfcgi's own, opaque */
        assert_true(in && data);
        *in = (FCGX_Stream){.rdNext = bytes,
                            .stop = bytes + len,
                            .stopUnget = bytes,
                            .isReader = 1,
                            .fillBuffProc = at_end,
                            .data = data};
        return in;
}

static void free_stream(FCGX_Stream *in)
{
        if (!in)
                return;
        free(in->data);
        free(in);
}

static void bodies(void **state)
{
        (void)state;
        static const struct {
                const char *length, *coding; /* "CONTENT_LENGTH=…" */
                size_t sent;
                int status; /* 0: fine */
                size_t got;
        } rows[] = {
                {"CONTENT_LENGTH=10", NULL, 10, 0, 10},
                {"CONTENT_LENGTH=10", NULL, 9, 400, 0},
                {"CONTENT_LENGTH=10", NULL, 0, 400, 0},
                {"CONTENT_LENGTH=10", NULL, 11, 0, 10},
                {"CONTENT_LENGTH=0", NULL, 0, 0, 0},
                {"X=", NULL, 10, 0, 10},
                {"X=", NULL, 0, 0, 0},
                {"X=", NULL, 1000, 0, 1000},
                {"X=", NULL, 1001, 413, 0},
                {"CONTENT_LENGTH=1000", NULL, 1000, 0, 1000},
                {"CONTENT_LENGTH=1001", NULL, 0, 413, 0},
                {"CONTENT_LENGTH=99999999999999999999999999", NULL, 0, 413, 0},
                {"CONTENT_LENGTH=-1", NULL, 10, 400, 0},
                {"CONTENT_LENGTH=1x", NULL, 10, 400, 0},
                {"CONTENT_LENGTH= 1", NULL, 10, 400, 0},
                {"CONTENT_LENGTH=0", "HTTP_TRANSFER_ENCODING=chunked", 10, 0, 10},
        };
        static unsigned char bytes[2048];
        const struct config config = {.max_body = 1000, .max_memory = 1 << 20};
        memset(bytes, 'x', sizeof bytes);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct meter memory = {0};
                FCGX_Request fcgi;
                char *copy[8];
                const char *environment[] = {"PATH_INFO=/chat", rows[i].length, rows[i].coding, NULL};
                struct client *c = client_of(&fcgi, environment, copy);
                struct request r;
                struct err err = {0};
                fcgi.in = stream_of(bytes, rows[i].sent);
                assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
                bool ok = request_read_body(&r, c, &config, &memory, &err);
                if (ok != !rows[i].status || (ok && r.body.len != rows[i].got))
                        print_error("row %zu: %s, %zu bytes\n", i, err.message ? err.message : "taken",
                                    r.body.len);
                assert_int_equal(ok, !rows[i].status);
                if (ok)
                        assert_int_equal(r.body.len, rows[i].got);
                else
                        assert_int_equal(err_status(&err), rows[i].status);
                assert_non_null(r.body.at);
                assert_int_equal(memory.used, r.body_taken);
                client_free(c);
                free_stream(fcgi.in);
                arena_free(a);
        }
}

static void memory_of_the_process(void **state)
{
        (void)state;
        static const char *const environment[] = {"PATH_INFO=/chat", "CONTENT_LENGTH=600", NULL};
        const struct config config = {.max_body = 1000, .max_memory = 1000};
        struct meter memory = {.used = 401};
        struct arena *a = arena_new();
        FCGX_Request fcgi;
        char *copy[8];
        struct client *c = client_of(&fcgi, environment, copy);
        struct request r;
        struct err err = {0};
        assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
        assert_false(request_read_body(&r, c, &config, &memory, &err));
        assert_int_equal(err_status(&err), 503);
        assert_true(err.retry_after_ms > 0);
        assert_int_equal(memory.used, 401);
        assert_int_equal(r.body_taken, 0);
        client_free(c);
        arena_free(a);
}

/* A short body that makes a large tree counts as what it becomes. */
static void memory_of_trees(void **state)
{
        (void)state;
        enum { OBJECTS = 100000, BYTES = 3 * OBJECTS + 1 };
        static unsigned char bytes[BYTES + 1];
        static const char *const environment[] = {"PATH_INFO=/chat", "CONTENT_LENGTH=300001", NULL};
        const struct config config = {.max_body = 1 << 20, .max_memory = 50 << 20};
        struct meter memory = {0};
        struct arena *a = arena_new();
        FCGX_Request fcgi;
        char *copy[8];
        struct request r;
        struct err err = {0};
        for (size_t i = 0; i < OBJECTS; i++)
                memcpy(bytes + 3 * i, i ? ",{}" : "[{}", 3);
        bytes[BYTES - 1] = ']';
        struct client *c = client_of(&fcgi, environment, copy);
        fcgi.in = stream_of(bytes, BYTES);
        assert_true(request_read(&r, a, c, NULL, endpoint_known, &err));
        assert_false(request_read_body(&r, c, &config, &memory, &err));
        assert_int_equal(err_status(&err), 503);
        assert_int_equal(memory.used, r.body_taken);
        client_free(c);
        free_stream(fcgi.in);
        arena_free(a);
}

static void endpoints(void **state)
{
        (void)state;
        static const struct {
                const char *method, *path;
                int status; /* 0: found */
                const char *name, *allow;
                enum dialect_id dialect;
        } rows[] = {
                {"POST", "/chat", 0, NULL, NULL, DIALECT_PLAIN},
                {"GET", "/chat", 405, NULL, "POST, OPTIONS", DIALECT_PLAIN},
                {"POST", "/healthz", 405, NULL, "GET, HEAD, OPTIONS", DIALECT_PLAIN},
                {"GET", "/healthz", 0, NULL, NULL, DIALECT_PLAIN},
                {"GET", "/", 0, NULL, NULL, DIALECT_PLAIN},
                {"GET", "/chat/", 404, NULL, NULL, DIALECT_PLAIN},
                {"POST", "/v1/chat/completions", 0, NULL, NULL, DIALECT_OPENAI},
                {"DELETE", "/v1/chat/completions", 405, NULL, "POST, OPTIONS", DIALECT_OPENAI},
                {"GET", "/v1/models/a/b", 0, "a/b", NULL, DIALECT_OPENAI},
                {"GET", "/v1/models/", 404, NULL, NULL, DIALECT_OPENAI},
                {"POST", "/v1/messages", 0, NULL, NULL, DIALECT_ANTHROPIC},
                {"POST", "/v1/messages/nothing", 404, NULL, NULL, DIALECT_ANTHROPIC},
                {"POST", "/v1/messagesx", 404, NULL, NULL, DIALECT_OPENAI},
                {"POST", "/v1beta/models/m:generateContent", 0, "m", NULL, DIALECT_GEMINI},
                {"POST", "/v1beta/models/p/m:embedContent", 0, "p/m", NULL, DIALECT_GEMINI},
                {"POST", "/v1beta/models/m:nothing", 404, NULL, NULL, DIALECT_GEMINI},
                {"GET", "/v1beta/models/m:generateContent", 405, NULL, "POST, OPTIONS", DIALECT_GEMINI},
                {"POST", "/v1beta/models/:generateContent", 404, NULL, NULL, DIALECT_GEMINI},
                {"POST", "/v1beta/models/m", 405, NULL, "GET, HEAD, OPTIONS", DIALECT_GEMINI},
                {"GET", "/v1beta/models/m:x", 0, "m:x", NULL, DIALECT_GEMINI},
                {"GET", "/v1beta/nothing", 404, NULL, NULL, DIALECT_GEMINI},
                {"POST", "/v1/models/m:generateContent", 0, "m", NULL, DIALECT_GEMINI},
                {"POST", "/v1/models/m:nothing", 404, NULL, NULL, DIALECT_OPENAI},
        };
        const struct endpoint_signs none = {0}, claude = {.anthropic = true};
        struct arena *a = arena_new();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct endpoint_match match = {0};
                struct err err = {0};
                bool ok = endpoint_find(a, rows[i].method, rows[i].path, &match, &err);
                if (ok != !rows[i].status)
                        print_error("row %zu: %s\n", i, err.message ? err.message : "found");
                assert_int_equal(ok, !rows[i].status);
                if (!ok)
                        assert_int_equal(err_status(&err), rows[i].status);
                if (rows[i].name)
                        assert_string_equal(match.name, rows[i].name);
                if (rows[i].allow)
                        assert_string_equal(err.allow, rows[i].allow);
                assert_int_equal(endpoint_dialect(rows[i].path, match.endpoint, &none)->id, rows[i].dialect);
        }
        struct endpoint_match match;
        struct err err = {0};
        assert_true(endpoint_find(a, "GET", "/v1/models", &match, &err));
        assert_int_equal(endpoint_dialect("/v1/models", match.endpoint, &claude)->id, DIALECT_ANTHROPIC);
        assert_true(endpoint_find(a, "POST", "/v1/chat/completions", &match, &err));
        assert_int_equal(endpoint_dialect("/v1/chat/completions", match.endpoint, &claude)->id,
                         DIALECT_OPENAI);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(mounts),
                cmocka_unit_test(bad_paths),
                cmocka_unit_test(ids_and_methods),
                cmocka_unit_test(a_row_is_found_by_the_id_made_here),
                cmocka_unit_test(traces_and_caches),
                cmocka_unit_test(bodies),
                cmocka_unit_test(memory_of_the_process),
                cmocka_unit_test(memory_of_trees),
                cmocka_unit_test(endpoints),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
