/* upstream/alert: what a program and a webhook are told, and what becomes of those that don't behave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "upstream/alert.h"

static char folder[] = "/tmp/tollgate-alert-XXXXXX";
static char logged[16384], why[ALERT_WHY];
static const struct alert_limits generous = {.ms = 60000};
static const struct ledger_alert helpdesk = {.id = 7,
                                             .account = "helpdesk",
                                             .period = "day",
                                             .currency = "EUR",
                                             .number = 20418,
                                             .share_micro = 800000,
                                             .spent_pico = INT64_C(16200000000000),
                                             .limit_pico = INT64_C(20000000000000),
                                             .time_ms = INT64_C(1764151200000)};
static const char told[] =
        "{\"id\":7,\"account\":\"helpdesk\",\"period\":\"day\",\"date\":\"2025-11-26\",\"share\":\"0.8\","
        "\"spent\":\"16.2\",\"limit\":\"20\",\"currency\":\"EUR\",\"reached\":\"2025-11-26T10:00:00.000Z\","
        "\"sent\":\"2025-11-26T10:00:01.000Z\"}";

static void sink(void *context, const char *line, size_t len)
{
        size_t used = strlen(logged);
        (void)context;
        if (used + len < sizeof logged) {
                memcpy(logged + used, line, len);
                logged[used + len] = '\0';
        }
}

static int begin(void **state)
{
        (void)state;
        log_bind(sink, NULL, NULL);
        log_configure(LOG_LEVEL_INFO, NULL);
        signal(SIGPIPE, SIG_IGN);
        return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
        char command[128];
        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

static int fresh(void **state)
{
        (void)state;
        logged[0] = why[0] = '\0';
        return 0;
}

/* A program with this text below its #! line. */
static const char *program(const char *text)
{
        static char path[128];
        static int count;
        snprintf(path, sizeof path, "%s/program-%d", folder, ++count);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "#!/bin/sh\ncd '%s' || exit 9\n%s\n", folder, text);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0700), 0);
        return path;
}

static bool run(const char *path)
{
        return alert_run(path, &helpdesk, (struct str){told, strlen(told)}, &generous, why);
}

static const char *content(const char *name)
{
        static char text[8192];
        char path[160];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *f = fopen(path, "r");
        text[0] = '\0';
        if (!f)
                return text;
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        return text;
}

/* ---- the message ---- */

static void as_json(void **state)
{
        (void)state;
        struct buf out;
        struct ledger_alert a = helpdesk;
        buf_init(&out, ALERT_JSON_MAX);
        assert_true(alert_json(&a, a.time_ms + 1000, &out));
        assert_string_equal(out.data, told);
        buf_reset(&out);
        strcpy(a.period, "month");
        a.number = 2025 * 12 + 11 - 1970 * 12 - 1;
        assert_true(alert_json(&a, a.time_ms, &out));
        assert_non_null(strstr(out.data, "\"period\":\"month\",\"date\":\"2025-11\""));
        buf_release(&out);
}

/* RFC 4231, test case 2. */
static void signatures(void **state)
{
        char out[ALERT_SIGNATURE];
        (void)state;
        alert_signature(out, "Jefe", str_of("what do ya want for nothing?"));
        assert_string_equal(out, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* ---- programs ---- */

static void a_program_gets_what_it_needs_and_nothing_else(void **state)
{
        (void)state;
        setenv("TOLLGATE_TEST_SECRET", "s3cret", 1);
        assert_true(run(program("env >env; cat >body; for f in /proc/self/fd/*; do [ -e \"$f\" ] && readlink "
                                "\"$f\"; done >fds; kill -PIPE $$; echo alive >alive")) ||
                    strstr(why, "signal 13")); /* SIGPIPE has its meaning there */
        assert_string_equal(content("body"), told);
        const char *env = content("env");
        static const char *const lines[] = {"TOLLGATE_ACCOUNT=helpdesk\n", "TOLLGATE_PERIOD=day\n",
                                            "TOLLGATE_SHARE=0.8\n",        "TOLLGATE_SPENT=16.2\n",
                                            "TOLLGATE_LIMIT=20\n",         "TOLLGATE_CURRENCY=EUR\n"};
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                assert_non_null(strstr(env, lines[i]));
        assert_null(strstr(env, "s3cret"));
        assert_null(strstr(env, "HOME="));
        assert_string_equal(content("alive"), "");
}

/* Of the descriptors that are open here, which are closed on exec, it sees none. */
static void a_program_sees_no_other_descriptor(void **state)
{
        (void)state;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_true(run(program("ls -l /proc/$$/fd >fds")));
        assert_null(strstr(content("fds"), "socket:"));
        close(fd);
}

static void what_it_prints_is_logged(void **state)
{
        (void)state;
        assert_true(run(program("echo mailed; printf 'a\\033[2Jb\\n' >&2; echo end")));
        assert_non_null(strstr(logged, "the alert's program: mailed\n"));
        assert_non_null(strstr(logged, "a\\x1b[2Jb"));
        assert_non_null(strstr(logged, ": end\n"));
        assert_null(strchr(logged, '\033'));
        fresh(state);
        /* More than is kept, and lines without end. */
        assert_true(run(program("head -c 300000 /dev/zero | tr '\\0' x; for i in 1 2 3 4 5; do echo; done")));
        assert_true(strlen(logged) < 8192);
}

static void programs_that_fail(void **state)
{
        (void)state;
        assert_false(run(program("exit 3")));
        assert_non_null(strstr(why, "ended with status 3"));
        assert_false(run(program("kill -TERM $$")));
        assert_non_null(strstr(why, "signal 15"));
        assert_false(run("/nonexistent/program"));
        assert_non_null(strstr(why, "cannot be run: No such file"));
        /* No shell: this is a name and no command line. */
        assert_false(run("/bin/echo hello"));
        assert_true(run(program("exec <&-; exit 0"))); /* reads nothing */
}

static bool is_alive(const char *name)
{
        int pid = atoi(content(name));
        assert_true(pid > 0);
        for (int i = 0; i < 200 && kill(pid, 0) == 0; i++)
                usleep(20000);
        return kill(pid, 0) == 0;
}

static void a_program_that_hangs_is_killed_with_its_children(void **state)
{
        static _Atomic bool stop = true;
        const struct alert_limits shortly = {.ms = 2000}, stopped = {.ms = 600000, .stop = &stop};
        (void)state;
        const char *path = program("sleep 600 & echo $! >child; echo $$ >pid; trap '' TERM; wait; sleep 600");
        assert_false(alert_run(path, &helpdesk, str_of("{}"), &shortly, why));
        assert_non_null(strstr(why, "was killed"));
        if (*content("pid")) { /* it came that far */
                assert_false(is_alive("pid"));
                assert_false(is_alive("child"));
        }
        int64_t start = clock_now_ms();
        assert_false(alert_run(program("sleep 600"), &helpdesk, str_of("{}"), &stopped, why));
        assert_true(clock_now_ms() - start < 300000);
}

/* Its grandchild keeps the pipe open: nobody waits for that. */
static void a_program_may_leave_something_behind(void **state)
{
        (void)state;
        int64_t start = clock_now_ms();
        assert_true(run(program("sleep 600 & echo $! >left; echo done")));
        assert_true(clock_now_ms() - start < 50000);
        assert_non_null(strstr(logged, "done"));
        kill(atoi(content("left")), SIGKILL);
}

/* ---- webhooks ---- */

static struct {
        int fd, port, count;
        pthread_t thread;
        const char *answer; /* NULL: silence until the peer goes */
        char request[8192];
} hook;

static void *serve(void *unused)
{
        (void)unused;
        for (;;) {
                int fd = accept(hook.fd, NULL, NULL);
                if (fd < 0)
                        return NULL;
                size_t len = 0, want = 0;
                memset(hook.request, 0, sizeof hook.request);
                while (!want || len < want) {
                        ssize_t n = recv(fd, hook.request + len, sizeof hook.request - 1 - len, 0);
                        if (n <= 0)
                                break;
                        len += (size_t)n;
                        char *gap = strstr(hook.request, "\r\n\r\n");
                        char *length = strcasestr(hook.request, "content-length:");
                        if (gap)
                                want = (size_t)(gap - hook.request) + 4 +
                                       (length ? strtoul(length + 15, NULL, 10) : 0);
                }
                hook.count++;
                char waste[16];
                if (hook.answer)
                        send(fd, hook.answer, strlen(hook.answer), MSG_NOSIGNAL);
                else
                        while (recv(fd, waste, sizeof waste, 0) > 0)
                                continue;
                close(fd);
        }
}

static int hook_begin(void **state)
{
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof name;
        hook.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(hook.fd, (struct sockaddr *)&name, len) != 0 || listen(hook.fd, 8) != 0 ||
            getsockname(hook.fd, (struct sockaddr *)&name, &len) != 0)
                return -1;
        hook.port = ntohs(name.sin_port);
        hook.count = 0;
        fresh(state);
        return pthread_create(&hook.thread, NULL, serve, NULL);
}

static int hook_end(void **state)
{
        (void)state;
        shutdown(hook.fd, SHUT_RDWR);
        pthread_join(hook.thread, NULL);
        close(hook.fd);
        return 0;
}

static bool post(const char *secret, int64_t ms)
{
        char url[128];
        const struct alert_limits limits = {.ms = ms};
        snprintf(url, sizeof url, "http://127.0.0.1:%d/alert?x=1", hook.port);
        return alert_post(url, secret, str_of(told), &limits, why);
}

static void a_webhook_is_told(void **state)
{
        char line[160] = "x-tollgate-signature: ";
        (void)state;
        hook.answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        setenv("http_proxy", "http://127.0.0.1:1", 1);
        setenv("all_proxy", "http://127.0.0.1:1", 1);
        bool ok = post("Jefe", 60000);
        unsetenv("http_proxy");
        unsetenv("all_proxy");
        if (!ok)
                fail_msg("%s", why);
        alert_signature(line + strlen(line), "Jefe", str_of(told));
        assert_memory_equal(hook.request, "POST /alert?x=1 HTTP/1.1\r\n", 26);
        assert_non_null(strcasestr(hook.request, "content-type: application/json\r\n"));
        assert_non_null(strstr(hook.request, line));
        assert_string_equal(strstr(hook.request, "\r\n\r\n") + 4, told);
        assert_true(post(NULL, 60000));
        assert_null(strcasestr(hook.request, "x-tollgate-signature"));
        assert_true(post("", 60000));
        assert_null(strcasestr(hook.request, "x-tollgate-signature"));
}

static void webhooks_that_fail(void **state)
{
        (void)state;
        hook.answer = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_false(post("s", 60000));
        assert_non_null(strstr(why, "status 500"));
        hook.answer = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: "
                      "close\r\n\r\n";
        int before = hook.count;
        assert_false(post("s", 60000));
        assert_non_null(strstr(why, "status 302"));
        assert_int_equal(hook.count, before + 1);
        hook.answer = "";
        assert_false(post("s", 60000));
        assert_non_null(strstr(why, "the webhook: "));
        hook.answer = NULL;
        assert_false(post("s", 300));
        assert_non_null(strstr(why, "did not answer in time"));
        assert_false(alert_post("http://127.0.0.1:1/x", "s", str_of(told), &generous, why));
        assert_false(alert_post("file:///etc/passwd", "s", str_of(told), &generous, why));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(as_json, fresh),
                cmocka_unit_test_setup(signatures, fresh),
                cmocka_unit_test_setup(a_program_gets_what_it_needs_and_nothing_else, fresh),
                cmocka_unit_test_setup(a_program_sees_no_other_descriptor, fresh),
                cmocka_unit_test_setup(what_it_prints_is_logged, fresh),
                cmocka_unit_test_setup(programs_that_fail, fresh),
                cmocka_unit_test_setup(a_program_that_hangs_is_killed_with_its_children, fresh),
                cmocka_unit_test_setup(a_program_may_leave_something_behind, fresh),
                cmocka_unit_test_setup_teardown(a_webhook_is_told, hook_begin, hook_end),
                cmocka_unit_test_setup_teardown(webhooks_that_fail, hook_begin, hook_end),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
