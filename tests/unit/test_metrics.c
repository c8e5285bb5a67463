/* relay/metrics, relay/exposition: the text that Prometheus gets, byte by byte, and its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/money.h"
#include "relay/metrics.h"
#include "store/totals.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

/* 2026-11-22T10:00:00Z, and what the state's clock says then. */
static const int64_t NOW_UNIX_MS = 1795341600000, NOW_MS = 1000000;

static const struct config_provider providers[] = {
        {.name = "openai", .dialect = "openai", .limits = {.rpm = 300, .concurrent = 20}},
        {.name = "far", .dialect = "gemini", .out_of_service = "env:FAR_KEY is not set"},
};
static const struct config_target targets[] = {
        {.provider = &providers[0], .model = "gpt-5.5", .limits = {.tpm = 1000}},
        {.provider = &providers[1], .model = "gemini-3.5-flash"},
};
static const struct config_version versions[] = {
        {.name = "2026-08", .targets = targets + 1, .target_count = 1},
        {.name = "2026-11", .targets = targets, .target_count = 2},
};
static const struct config_model models[] = {{.name = "assistant",
                                              .versions = versions,
                                              .version_count = 2,
                                              .use = &versions[1],
                                              .canary = &versions[0],
                                              .canary_percent = 5}};
static const struct config_account accounts[] = {
        {.name = "desk",
         .enabled = true,
         .limits = {.rpm = 60, .concurrent = 8},
         .budget = {.day_micro = 20000000, .month_micro = -1, .currency = "EUR", .hard = true}},
        {.name = "staff",
         .enabled = true,
         .per = PER_USER,
         .limits = {.rpm = 10},
         .index = 1,
         .budget = {.day_micro = -1, .month_micro = -1, .currency = "USD"}},
        {.name = "new", .index = 2, .budget = {.day_micro = 1, .month_micro = 1, .currency = "USD"}},
};
static const struct config config = {.path = "/none",
                                     .currency = "USD",
                                     .ledger = "/usage.db",
                                     .providers = providers,
                                     .provider_count = ARRAY_SIZE(providers),
                                     .models = models,
                                     .model_count = ARRAY_SIZE(models),
                                     .accounts = accounts,
                                     .account_count = ARRAY_SIZE(accounts)};

/* ---- a world */

static int64_t read_clock(void *context)
{
        return *(int64_t *)context;
}

static char folder[] = "/tmp/tollgate-metrics-XXXXXX";
static struct {
        struct state *state;
        struct arena *arena;
        struct book *book;
        int64_t now_ms;
} world;

static int set_up(void **state)
{
        char why[512], path[128], command[128];
        enum state_problem problem;
        (void)state;
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        snprintf(path, sizeof path, "%s/usage.db", folder);
        world.now_ms = NOW_MS;
        const struct state_options options = {.now_ms = read_clock, .context = &world.now_ms};
        const struct book_options books = {
                .path = path, .currency = "USD", .first_bytes = 64 << 10, .most_bytes = 16 << 20};
        if (system(command) != 0)
                return 1;
        world.state = state_open(&options, &problem, why);
        world.book = book_open(&books, why);
        world.arena = arena_new();
        return world.state && world.book ? 0 : 1;
}

static int tear_down(void **state)
{
        (void)state;
        book_close(world.book, 0);
        state_close(world.state);
        arena_free(world.arena);
        return 0;
}

static void change(enum slot_kind kind, const char *name, slot_fn *fn)
{
        assert_int_equal(state_update(world.state, (struct subject){kind, name}, fn, NULL), STATE_DONE);
}

static bool use(struct slot *s, int64_t now_ms, void *context)
{
        const struct limit_ask ask = {.tokens = 100, .day = 20779, .day_left_ms = 50400000};
        const struct lease_context self = state_leases(world.state);
        struct lease lease;
        (void)context;
        assert_true(limit_reserve(&s->limit, NULL, &ask, now_ms).granted);
        assert_true(lease_take(&s->leases, 0, &self, &lease));
        return true;
}

static bool break_target(struct slot *s, int64_t now_ms, void *context)
{
        s->breaker = (struct breaker_state){
                .mode = BREAKER_OPEN, .opened_ms = now_ms - 4000, .until_ms = now_ms + 11000};
        s->cool = (struct slot_cool){.until_ms = now_ms + 2500};
        s->limit.told_requests = (struct limit_told){
                .limit = 100, .remaining = 40, .at_ms = now_ms, .full_ms = now_ms + 10000};
        return use(s, now_ms, context);
}

static bool spend(struct slot *s, int64_t now_ms, void *context)
{
        const struct budget_moment m = budget_moment_at(&accounts[0].budget, NOW_UNIX_MS / 1000);
        const struct budget_spent spent = {5 * MONEY_PICO, 7 * MONEY_PICO, 0};
        (void)now_ms, (void)context;
        budget_load(&s->budget, "EUR", &m, &spent, 1);
        return true;
}

static struct ledger_row plain_row(int64_t id)
{
        return (struct ledger_row){.id = id,
                                   .time_ms = NOW_UNIX_MS,
                                   .account = "desk",
                                   .endpoint = "/v1/chat/completions",
                                   .model = "assistant",
                                   .version = "2026-11",
                                   .provider = "openai",
                                   .upstream_model = "gpt-5.5",
                                   .served_model = "gpt-5.5-2026-04-23",
                                   .outcome = "ok",
                                   .status = 200,
                                   .stream = 1,
                                   .attempts = 1,
                                   .priced = 1,
                                   .input = 100,
                                   .cached = 60,
                                   .output = 11,
                                   .reasoning = 5,
                                   .cost_pico = 1234500000,
                                   .saved_pico = -500000000,
                                   .currency = "USD",
                                   .queue_ms = 250,
                                   .first_token_ms = 100,
                                   .total_ms = 1100};
}

static void book_row(struct ledger_row row)
{
        assert_true(book_end(world.book, &row, NULL, 0));
}

static const char *text_of(const struct metrics_ask *ask)
{
        struct buf *out = buf_in_arena(world.arena, METRICS_MAX);
        assert_true(metrics_write(ask, world.arena, out));
        assert_true(buf_addc(out, '\0'));
        return out->data;
}

static const char *text(bool openmetrics)
{
        return text_of(&(struct metrics_ask){.config = &config,
                                             .state = world.state,
                                             .book = world.book,
                                             .unix_ms = NOW_UNIX_MS,
                                             .openmetrics = openmetrics});
}

static bool has(const char *all, const char *line)
{
        size_t len = strlen(line);
        for (const char *s = all; (s = strstr(s, line)); s++) {
                if ((s == all || s[-1] == '\n') && s[len] == '\n')
                        return true;
        }
        return false;
}

static size_t count_of(const char *all, const char *word)
{
        size_t n = 0;
        for (const char *s = all; (s = strstr(s, word)); s++)
                n++;
        return n;
}

/* ---- rules that both formats have */

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each sample belongs to the metric that was begun last, no metric is begun twice, no series is there twice.
 */
static void check_rules(const char *all)
{
        char *copy = strdup(all), *save, **seen = calloc(strlen(all) / 4 + 1, sizeof *seen);
        char name[256] = "";
        size_t count = 0;
        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (strncmp(line, "# TYPE ", 7) == 0)
                        snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 7, " "), line + 7);
                if (strncmp(line, "# TYPE ", 7) != 0 && *line == '#')
                        continue;
                if (*line != '#') {
                        if (strncmp(line, name, strlen(name)) != 0)
                                fail_msg("%s in %s", line, name);
                        *strrchr(line, ' ') = '\0';
                }
                seen[count++] = line;
        }
        qsort(seen, count, sizeof *seen, by_text);
        for (size_t i = 1; i < count; i++) {
                if (strcmp(seen[i - 1], seen[i]) == 0)
                        fail_msg("twice: %s", seen[i]);
        }
        free(seen);
        free(copy);
}

/* ---- the whole text */

static void fill(void)
{
        struct ledger_row row = plain_row(1);
        book_row(row);
        row = plain_row(2);
        row.account = "staff";
        book_row(row);
        row = plain_row(3);
        row.provider = row.upstream_model = row.served_model = NULL;
        row.outcome = "error";
        row.error = "rate_limit_exceeded";
        row.attempts = row.input = row.cached = row.output = row.reasoning = 0;
        row.first_token_ms = row.cost_pico = row.saved_pico = row.queue_ms = 0;
        row.total_ms = 3;
        book_row(row);
        assert_int_equal(book_move(world.book), 3);
        change(SLOT_TARGET, "openai/gpt-5.5", break_target);
        change(SLOT_PROVIDER, "openai", use);
        change(SLOT_ACCOUNT, "desk", use);
        change(SLOT_CALLER, "staff:user:alice", use);
        change(SLOT_CALLER, "staff:user:bob", use);
        change(SLOT_DIRECT, "openai/whatever", use);
        change(SLOT_BUDGET, "desk", spend);
}

static void whole(void **state)
{
        const char *source = getenv("TOLLGATE_SRCDIR"), *update = getenv("UPDATE_GOLDEN");
        struct buf *file = buf_in_arena(world.arena, 1 << 20);
        (void)state;
        fill();
        const char *path = arena_printf(world.arena, "%s/tests/unit/metrics.txt", source ? source : ".");
        char *got = arena_strdup(world.arena, text(false));
        check_rules(got);
        char *version = strstr(got, "tollgate_build_info{version=\"");
        assert_non_null(version);
        version += strlen("tollgate_build_info{version=\"");
        memmove(version, strchr(version, '"'), strlen(strchr(version, '"')) + 1);
        if (update) {
                FILE *f = fopen(path, "w");
                fputs(got, f);
                fclose(f);
        }
        assert_true(buf_read_file(file, path));
        assert_true(buf_addc(file, '\0'));
        for (const char *a = got, *b = file->data; *a || *b; a += *a != '\0', b += *b != '\0') {
                size_t m = strcspn(a, "\n"), n = strcspn(b, "\n");
                if (m != n || memcmp(a, b, n) != 0)
                        fail_msg("got  %.*s\nwant %.*s", (int)m, a, (int)n, b);
                a += m;
                b += n;
        }
}

/* The same numbers under OpenMetrics' rules. */
static void openmetrics(void **state)
{
        (void)state;
        fill();
        const char *plain = text(false), *open = text(true);
        check_rules(open);
        assert_true(has(open, "# TYPE tollgate_requests counter"));
        assert_true(has(plain, "# TYPE tollgate_requests_total counter"));
        assert_true(has(open, "# UNIT tollgate_queue_seconds seconds"));
        assert_true(has(open, "# UNIT gen_ai_server_request_duration_seconds seconds"));
        assert_false(has(plain, "# UNIT tollgate_queue_seconds seconds"));
        assert_string_equal(open + strlen(open) - 6, "# EOF\n");
        assert_null(strstr(plain, "# EOF"));
        /* Samples are the same in both. */
        size_t samples = 0;
        for (const char *s = plain; *s; s += strcspn(s, "\n") + 1) {
                if (*s == '#')
                        continue;
                samples++;
                if (!has(open, arena_strndup(world.arena, s, strcspn(s, "\n"))))
                        fail_msg("%.*s", (int)strcspn(s, "\n"), s);
        }
        assert_true(samples > 100);
        /* A unit is the end of the name. */
        for (const char *s = open; (s = strstr(s, "# UNIT ")); s++) {
                const char *name = s + 7, *unit = strchr(name, ' ') + 1;
                size_t len = strcspn(unit, "\n");
                assert_memory_equal(unit - 1 - len, unit, len);
        }
}

static void without_state_and_ledger(void **state)
{
        (void)state;
        const char *all = text_of(&(struct metrics_ask){.config = &config, .unix_ms = NOW_UNIX_MS});
        check_rules(all);
        assert_true(has(all, "tollgate_state_readable 0"));
        assert_true(has(all, "tollgate_ledger_readable 0"));
        assert_null(strstr(all, "\ntollgate_requests_total"));
        assert_null(strstr(all, "\ntollgate_limit"));
        struct config none = config;
        none.ledger = "";
        all = text_of(&(struct metrics_ask){.config = &none, .state = world.state, .unix_ms = NOW_UNIX_MS});
        assert_null(strstr(all, "\ntollgate_ledger_readable"));
        assert_true(has(all, "tollgate_state_readable 1"));
        assert_true(has(all, "tollgate_limit{kind=\"account\",name=\"desk\",limit=\"rpm\"} 60"));
}

/* ---- hostile names */

static void names_that_hurt(void **state)
{
        (void)state;
        static const char *const names[] = {"a\"b",   "a\\b",  "a\nb",          "a\tb", "a\x01z",
                                            "a\x02z", "a\xff", "a\xfe",         "{}",   "h\xc3\xa9",
                                            "",       "# EOF", "x\"} 1\ny{z=\""};
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct ledger_row row = plain_row((int64_t)i + 1);
                row.served_model = names[i];
                row.model = names[i];
                book_row(row);
        }
        assert_int_equal(book_move(world.book), ARRAY_SIZE(names));
        const char *all = text(true);
        check_rules(all);
        /* Those that look the same are the same. */
        assert_int_equal(count_of(all, "\ntollgate_requests_total"), ARRAY_SIZE(names) - 3);
        assert_true(has(all, "tollgate_requests_total{account=\"desk\",model=\"a z\",version=\"2026-11\","
                             "provider=\"openai\",outcome=\"ok\"} 2"));
        assert_non_null(strstr(all, "gen_ai_response_model=\"a\\\"b\""));
        assert_non_null(strstr(all, "gen_ai_response_model=\"a\\\\b\""));
        assert_non_null(strstr(all, "gen_ai_response_model=\"h\xc3\xa9\""));
        assert_non_null(strstr(all, "gen_ai_response_model=\"x\\\"} 1 y{z=\\\"\""));
        assert_int_equal(count_of(all, "# EOF\n"), 1);
        for (const char *s = all; *s; s++)
                assert_true((unsigned char)*s >= ' ' || *s == '\n');
}

/* ---- many names */

static void book_many(int64_t first, int64_t count, bool in_accounts)
{
        for (int64_t i = first; i < first + count; i++) {
                struct ledger_row row = plain_row(i + 1);
                char name[64], served[64];
                snprintf(name, sizeof name, "name-%05lld", (long long)i);
                snprintf(served, sizeof served, "served-%05lld", (long long)i);
                if (in_accounts)
                        row.account = name;
                row.version = name;
                row.served_model = served;
                book_row(row);
        }
        while (book_has_lines(world.book))
                assert_true(book_move(world.book) >= 0);
}

/* Labels are left out where they make too many series; the sums stay. */
static void bounds(void **state)
{
        (void)state;
        book_many(0, 200, false);
        const char *all = text(false);
        assert_int_equal(count_of(all, "\ntollgate_attempts_total{"), 200);
        assert_int_equal(count_of(all, "\ngen_ai_server_request_duration_seconds_count{"), 200);
        assert_non_null(strstr(all, "gen_ai_response_model="));

        book_many(200, 900, false);
        all = text(false);
        check_rules(all);
        assert_true(has(all, "tollgate_attempts_total{account=\"desk\",model=\"assistant\"} 1100"));
        assert_int_equal(count_of(all, "\ntollgate_requests_total{"), 1100);
        assert_null(strstr(all, "gen_ai_response_model="));
        assert_true(has(all, "gen_ai_server_request_duration_seconds_count{gen_ai_operation_name=\"chat\","
                             "gen_ai_provider_name=\"openai\",gen_ai_request_model=\"gpt-5.5\"} 1100"));

        book_many(1100, 3500, true);
        all = text(false);
        check_rules(all);
        assert_true(has(all, "tollgate_attempts_total 4600")); /* more accounts than series */
        assert_true(has(all, "tollgate_cost_total{currency=\"USD\"} 5.6787"));
        assert_true(strlen(all) < METRICS_MAX / 2);
        struct config none = config;
        none.currency = "EUR"; /* what was spent stays in the currency it was spent in */
        all = text_of(&(struct metrics_ask){.config = &none, .book = world.book, .unix_ms = NOW_UNIX_MS});
        assert_true(has(all, "tollgate_cost_total{currency=\"USD\"} 5.6787"));
}

/* The longest answer that there can be fits: as many series as the bounds let be, of the longest names. */
static void the_longest(void **state)
{
        (void)state;
        static const char *const errors[] = {NULL, "timeout", "upstream_error", "overloaded"};
        enum { SERIES = 500, CONVENTION = 50, LONG = 128 };
        char names[6][LONG + 1];
        for (int i = 0; i < SERIES * 4; i++) {
                struct ledger_row row = plain_row(i + 1);
                for (int n = 0; n < 6; n++) {
                        int number = n < 3 ? i / 4 : i / 4 % CONVENTION;
                        memset(names[n], n < 4 ? 'x' : '"', LONG); /* two bytes for one */
                        names[n][LONG] = '\0';
                        names[n][0] = (char)('A' + number / 26);
                        names[n][1] = (char)('A' + number % 26);
                }
                row.account = names[0];
                row.model = names[1];
                row.version = names[2];
                row.provider = names[3];
                row.upstream_model = names[4];
                row.served_model = names[5];
                row.error = errors[i % 4];
                book_row(row);
        }
        while (book_has_lines(world.book))
                assert_true(book_move(world.book) >= 0);
        const char *all = text(true);
        assert_int_equal(count_of(all, "\ntollgate_requests_total{"), SERIES * 4);
        assert_int_equal(count_of(all, "\ntollgate_attempts_total{"), SERIES);
        assert_int_equal(count_of(all, "\ngen_ai_server_request_duration_seconds_count{"), CONVENTION * 4);
        print_message("%zu bytes\n", strlen(all));
        assert_true(strlen(all) < METRICS_MAX);
}

/* ---- the text's pieces */

static void negotiation(void **state)
{
        (void)state;
        static const struct {
                const char *accept;
                bool open;
        } rows[] = {
                {NULL, false},
                {"", false},
                {"*/*", false},
                {"text/plain", false},
                {"application/openmetrics-text", true},
                {"Application/OpenMetrics-Text; version=1.0.0", true},
                {"application/openmetrics-text;version=1.0.0,application/"
                 "openmetrics-text;version=0.0.1;q=0.75,"
                 "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                 true},
                {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/"
                 "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
                 "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                 true},
                {"text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.4", false},
                {"application/openmetrics-text;q=0", false},
                {"application/openmetrics-text-like", false},
                {"text/html,application/openmetrics", false},
                {";;;,,,;q=,application/openmetrics-text;;q=", true},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (exposition_wants_openmetrics(rows[i].accept) != rows[i].open)
                        fail_msg("%s", rows[i].accept);
        }
}

static void numbers(void **state)
{
        (void)state;
        static const struct metric metric = {"m", METRIC_GAUGE, NULL, "M."};
        static const struct metric histogram = {"h", METRIC_HISTOGRAM, NULL, "H."};
        static const double bounds_of_all[] = {0.00005, 0.001,  0.025,   1,       5.12,
                                               65536,   262144, 1048576, 67108864};
        static const int64_t counts[ARRAY_SIZE(bounds_of_all) + 1] = {0, 1, 0, 0, 2, 0, 0, 0, 0, 5};
        struct buf *out = buf_in_arena(world.arena, 1 << 16);
        struct exposition e = {.out = out};
        exposition_begin(&e, &metric);
        exposition_decimal(&e, NULL, 0, INT64_MIN, 0);
        exposition_decimal(&e, NULL, 0, INT64_MIN, 6);
        exposition_decimal(&e, NULL, 0, -5, 3);
        exposition_decimal(&e, NULL, 0, 12345, 3);
        exposition_decimal(&e, &(struct metric_label){"a", NULL}, 1, 0, 3);
        exposition_begin(&e, &histogram);
        exposition_histogram(
                &e, &(struct metric_label){"a", "b"}, 1,
                &(struct metric_histogram){bounds_of_all, counts, ARRAY_SIZE(bounds_of_all), 7, 6});
        assert_true(exposition_end(&e));
        buf_addc(out, '\0');
        assert_string_equal(out->data, "# HELP m M.\n# TYPE m gauge\n"
                                       "m -9223372036854775808\n"
                                       "m -9223372036854.775808\n"
                                       "m -0.005\n"
                                       "m 12.345\n"
                                       "m 0.000\n"
                                       "# HELP h H.\n# TYPE h histogram\n"
                                       "h_bucket{a=\"b\",le=\"5e-05\"} 0\n"
                                       "h_bucket{a=\"b\",le=\"0.001\"} 1\n"
                                       "h_bucket{a=\"b\",le=\"0.025\"} 1\n"
                                       "h_bucket{a=\"b\",le=\"1.0\"} 1\n"
                                       "h_bucket{a=\"b\",le=\"5.12\"} 3\n"
                                       "h_bucket{a=\"b\",le=\"65536.0\"} 3\n"
                                       "h_bucket{a=\"b\",le=\"262144.0\"} 3\n"
                                       "h_bucket{a=\"b\",le=\"1.048576e+06\"} 3\n"
                                       "h_bucket{a=\"b\",le=\"6.7108864e+07\"} 3\n"
                                       "h_bucket{a=\"b\",le=\"+Inf\"} 8\n"
                                       "h_sum{a=\"b\"} 0.000007\n"
                                       "h_count{a=\"b\"} 8\n");
}

static void a_cap_is_told(void **state)
{
        (void)state;
        fill();
        const struct metrics_ask ask = {
                .config = &config, .state = world.state, .book = world.book, .unix_ms = NOW_UNIX_MS};
        struct buf *out = buf_in_arena(world.arena, 2000);
        assert_false(metrics_write(&ask, world.arena, out));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(whole),           test(openmetrics), test(without_state_and_ledger),
                test(names_that_hurt), test(bounds),      test(the_longest),
                test(negotiation),     test(numbers),     test(a_cap_is_told),
        };
        if (!mkdtemp(folder))
                return 1;
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        return system(command) || failed;
}
