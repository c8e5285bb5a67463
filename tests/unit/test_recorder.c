/* gateway/recorder: what passes is kept, whole lines by many at once, and only where nobody else can read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "gateway/recorder.h"

#define DAY_MS INT64_C(86400000)

static char folder[] = "/tmp/tollgate-record-XXXXXX";
static char ledger[128], day_file[200], logged[8192];
static const struct ledger_row row = {.id = 77,
                                      .time_ms = INT64_C(1764151200000), /* 2025-11-26T10:00:00Z */
                                      .request_id = "req-1",
                                      .account = "helpdesk",
                                      .user = "alice",
                                      .endpoint = "/chat",
                                      .model = "assistant"};

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
        if (!mkdtemp(folder))
                return -1;
        snprintf(ledger, sizeof ledger, "%s/usage.db", folder);
        snprintf(day_file, sizeof day_file, "%s-record/helpdesk-2025-11-26.jsonl", ledger);
        return 0;
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
        char command[128];
        (void)state;
        logged[0] = '\0';
        snprintf(command, sizeof command, "rm -rf '%s'/*", folder);
        return system(command);
}

/* ---- a client that counts ---- */

struct seen {
        int begun, flushed;
        size_t bytes, most; /* most: the client leaves then; 0: never */
};

static bool on_begin(void *context, const struct relay_head *head)
{
        (void)head;
        ((struct seen *)context)->begun++;
        return true;
}

static bool on_write(void *context, const char *bytes, size_t len)
{
        struct seen *s = context;
        (void)bytes;
        s->bytes += len;
        return !s->most || s->bytes <= s->most;
}

static bool on_flush(void *context)
{
        ((struct seen *)context)->flushed++;
        return true;
}

static struct relay_client client_of(struct seen *s)
{
        return (struct relay_client){
                .context = s, .begin = on_begin, .write = on_write, .flush = on_flush, .fd = -1};
}

static void tell(struct recorder *r, int status, const char *text, size_t len)
{
        const struct relay_client *c = recorder_sink(r);
        const struct relay_head head = {.status = status, .content_type = "text/plain"};
        assert_true(c->begin(c->context, &head));
        for (size_t at = 0; at < len; at += 1000) {
                if (!c->write(c->context, text + at, len - at < 1000 ? len - at : 1000))
                        break;
        }
        c->flush(c->context);
}

/* One request with its answer, recorded. */
static void record(const struct ledger_row *of, struct str body, struct str answer, int64_t memory)
{
        struct arena *a = arena_new();
        struct seen s = {0};
        struct meter meter = {0};
        const struct relay_client inner = client_of(&s);
        struct recorder *r = recorder_new(a, &inner, &meter, memory);
        tell(r, 200, answer.at, answer.len);
        assert_int_equal(s.bytes, answer.len);
        assert_int_equal(s.begun, 1);
        assert_int_equal(s.flushed, 1);
        recorder_write(r, ledger, of, body);
        arena_free(a);
        assert_int_equal(atomic_load(&meter.used), 0);
}

/* ---- the file ---- */

static char *text_of_file(void)
{
        struct buf b;
        buf_init(&b, 256 << 20);
        if (!buf_read_file(&b, day_file))
                fail_msg("%s is not there: %s", day_file, logged);
        return b.data;
}

/* The next line as a tree; *at goes on. NULL: no more. */
static json_object *next_line(struct arena *a, char **at)
{
        struct err err = {0};
        char *stop = strchr(*at, '\n');
        if (!**at)
                return NULL;
        assert_non_null(stop);
        json_object *o = json_parse(a, *at, (size_t)(stop - *at), JSON_FROM_CLIENT, &err);
        if (!o)
                fail_msg("%s", err.message);
        *at = stop + 1;
        return o;
}

static void a_line_for_each_request(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        record(&row, str_of("{\"prompt\":\"gr\xc3\xbc\xc3\x9f\\n\"}"), str_of("answer\r\n\"one\""),
               INT64_MAX);
        record(&row, (struct str){"\xff\x00\x01", 3}, str_of(""), INT64_MAX);
        char *text = text_of_file(), *at = text;
        json_object *o = next_line(a, &at);
        assert_string_equal(json_peek_string(o, "time"), "2025-11-26T10:00:00.000Z");
        assert_string_equal(json_peek_string(o, "request_id"), "req-1");
        assert_int_equal(json_peek_count(o, "row"), 77);
        assert_string_equal(json_peek_string(o, "account"), "helpdesk");
        assert_string_equal(json_peek_string(o, "user"), "alice");
        assert_string_equal(json_peek_string(o, "endpoint"), "/chat");
        assert_string_equal(json_peek_string(o, "model"), "assistant");
        assert_int_equal(json_peek_count(o, "status"), 200);
        assert_string_equal(json_peek_string(o, "content_type"), "text/plain");
        assert_string_equal(json_peek_string(o, "request"), "{\"prompt\":\"gr\xc3\xbc\xc3\x9f\\n\"}");
        assert_string_equal(json_peek_string(o, "answer"), "answer\r\n\"one\"");
        assert_null(json_peek(o, "answer_cut"));
        o = next_line(a, &at);
        assert_null(json_peek(o, "request"));
        assert_string_equal(json_peek_string(o, "request_base64"), "/wAB");
        assert_string_equal(json_peek_string(o, "answer"), "");
        assert_null(next_line(a, &at));
        free(text);
        arena_free(a);
}

static void what_is_long_is_cut_and_told(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        size_t len = RECORDER_BODY_MAX + 5000;
        char *bytes = arena_alloc(a, len);
        memset(bytes, 'x', len);
        /* The cut goes through a character of the body. */
        memcpy(bytes + RECORDER_BODY_MAX - 1, "\xc3\xbc", 2);
        record(&row, (struct str){bytes, len}, (struct str){bytes, len}, INT64_MAX);
        /* Without memory the answer goes out all the same. */
        record(&row, str_of("q"), (struct str){bytes, len}, 100000);
        char *text = text_of_file(), *at = text;
        json_object *o = next_line(a, &at);
        assert_int_equal(json_peek_str(o, "request").len, RECORDER_BODY_MAX - 1);
        assert_true(json_object_get_boolean(json_peek(o, "request_cut")));
        assert_int_equal(json_peek_str(o, "answer").len, RECORDER_BODY_MAX - 1);
        assert_true(json_object_get_boolean(json_peek(o, "answer_cut")));
        o = next_line(a, &at);
        assert_null(json_peek(o, "request_cut"));
        assert_true(json_object_get_boolean(json_peek(o, "answer_cut")));
        assert_in_range(json_peek_str(o, "answer").len, 1, 100000);
        free(text);
        arena_free(a);
}

static void only_what_was_sent(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct seen s = {.most = 2500};
        struct meter meter = {0};
        const struct relay_client inner = client_of(&s);
        struct recorder *r = recorder_new(a, &inner, &meter, INT64_MAX);
        char bytes[5000];
        memset(bytes, 'y', sizeof bytes);
        tell(r, 200, bytes, sizeof bytes);
        recorder_write(r, ledger, &row, str_of("q"));
        char *text = text_of_file(), *at = text;
        assert_int_equal(json_peek_str(next_line(a, &at), "answer").len, 2000);
        free(text);
        arena_free(a);
}

static void *many(void *argument)
{
        static const char *const answers[] = {"short", "a longer one that is written as well"};
        for (int i = 0; i < 50; i++)
                record(&row, str_of("question"), str_of(answers[(i + *(int *)argument) % 2]), INT64_MAX);
        return NULL;
}

static void many_at_once(void **state)
{
        enum { THREADS = 4, PROCESSES = 3 };
        (void)state;
        pid_t pids[PROCESSES];
        for (int p = 0; p < PROCESSES; p++) {
                pids[p] = fork();
                if (pids[p])
                        continue;
                pthread_t threads[THREADS];
                int numbers[THREADS];
                for (int i = 0; i < THREADS; i++) {
                        numbers[i] = i;
                        pthread_create(&threads[i], NULL, many, &numbers[i]);
                }
                for (int i = 0; i < THREADS; i++)
                        pthread_join(threads[i], NULL);
                _exit(logged[0] != '\0');
        }
        for (int p = 0; p < PROCESSES; p++) {
                int status;
                assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
                assert_int_equal(status, 0);
        }
        struct arena *a = arena_new();
        char *text = text_of_file(), *at = text;
        int count = 0;
        while (next_line(a, &at))
                count++;
        assert_int_equal(count, PROCESSES * THREADS * 50);
        free(text);
        arena_free(a);
}

/* A process that is killed while it writes spoils no line of others. */
static void a_torn_line_stays_alone(void **state)
{
        (void)state;
        record(&row, str_of("q"), str_of("a"), INT64_MAX);
        FILE *f = fopen(day_file, "a");
        assert_non_null(f);
        fputs("{\"torn\":", f);
        fclose(f);
        record(&row, str_of("q"), str_of("b"), INT64_MAX);
        struct arena *a = arena_new();
        char *text = text_of_file(), *at = text;
        assert_string_equal(json_peek_string(next_line(a, &at), "answer"), "a");
        assert_memory_equal(at, "{\"torn\":\n", 9);
        at += 9;
        assert_string_equal(json_peek_string(next_line(a, &at), "answer"), "b");
        free(text);
        arena_free(a);
}

static unsigned mode_of(const char *path)
{
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 07777;
}

static void closed_to_others(void **state)
{
        char place[160], elsewhere[160];
        struct stat st;
        (void)state;
        snprintf(place, sizeof place, "%s-record", ledger);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
        record(&row, str_of("q"), str_of("a"), INT64_MAX);
        assert_int_equal(mode_of(place), 0700);
        assert_int_equal(mode_of(day_file), 0600);
        /* Through no link, neither the file's nor the folder's, and into nothing that others may open. */
        assert_int_equal(unlink(day_file), 0);
        assert_int_equal(symlink(elsewhere, day_file), 0);
        record(&row, str_of("q"), str_of("a"), INT64_MAX);
        assert_int_equal(stat(elsewhere, &st), -1);
        assert_non_null(strstr(logged, "could not be recorded"));
        assert_int_equal(unlink(day_file), 0);
        assert_int_equal(chmod(place, 0755), 0);
        record(&row, str_of("q"), str_of("a"), INT64_MAX);
        assert_int_equal(stat(day_file, &st), -1);
        assert_int_equal(rmdir(place), 0);
        assert_int_equal(mkdir(elsewhere, 0700), 0);
        assert_int_equal(symlink(elsewhere, place), 0);
        record(&row, str_of("q"), str_of("a"), INT64_MAX);
        assert_int_equal(stat(day_file, &st), -1);
}

static void old_days_go(void **state)
{
        (void)state;
        char other[200];
        assert_int_equal(recorder_forget(ledger, row.time_ms), 0);
        for (int i = 0; i < 4; i++) {
                struct ledger_row r = row;
                r.time_ms += i * DAY_MS;
                record(&r, str_of("q"), str_of("a"), INT64_MAX);
        }
        snprintf(other, sizeof other, "%s-record/notes-of-2020.txt", ledger);
        int fd = open(other, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(recorder_forget(ledger, row.time_ms + 2 * DAY_MS + 1000), 2);
        assert_int_equal(recorder_forget(ledger, row.time_ms + 2 * DAY_MS + 1000), 0);
        assert_int_equal(access(other, F_OK), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(a_line_for_each_request, fresh),
                cmocka_unit_test_setup(what_is_long_is_cut_and_told, fresh),
                cmocka_unit_test_setup(only_what_was_sent, fresh),
                cmocka_unit_test_setup(many_at_once, fresh),
                cmocka_unit_test_setup(a_torn_line_stays_alone, fresh),
                cmocka_unit_test_setup(closed_to_others, fresh),
                cmocka_unit_test_setup(old_days_go, fresh),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
