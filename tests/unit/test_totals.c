/* store/totals: what is counted where, and what the ledger keeps of it, whoever adds and whatever is
 * forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "store/book.h"
#include "store/totals.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static struct ledger_row plain_row(void)
{
        return (struct ledger_row){.time_ms = 1795341600000,
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
                                   .output = 11,
                                   .cost_pico = 5000,
                                   .currency = "USD",
                                   .first_token_ms = 100,
                                   .total_ms = 1100};
}

/* ---- buckets ---- */

static int64_t sum(const int64_t *counts, size_t n)
{
        int64_t all = 0;
        for (size_t i = 0; i < n; i++)
                all += counts[i];
        return all;
}

static void test_a_request_is_in_the_buckets_of_its_times(void **state)
{
        struct totals_values v = {0};
        struct ledger_row row = plain_row();
        (void)state;
        totals_add(&v, &row);
        assert_int_equal(v.requests, 1);
        assert_int_equal(v.duration[7], 1); /* 0.64 < 1.1 <= 1.28 */
        assert_int_equal(v.ttft[7], 1);     /* 0.1 itself: buckets hold their upper bound */
        assert_int_equal(v.tpot[4], 1);     /* 1 s over the ten tokens behind the first: 0.1 */
        assert_int_equal(v.input_tokens[4], 1);
        assert_int_equal(v.output_tokens[2], 1);
        assert_int_equal(v.duration_us, 1100000);
        assert_int_equal(v.ttft_us, 100000);
        assert_int_equal(v.tpot_us, 100000);
        assert_int_equal(v.input, 100);
        assert_int_equal(v.output, 11);
        assert_true(v.cost_pico == 5000);
}

static void test_bounds_hold_what_equals_them(void **state)
{
        (void)state;
        for (size_t i = 0; i < TOTALS_TOKENS; i++) {
                struct totals_values v = {0};
                struct ledger_row row = plain_row();
                row.input = (int64_t)totals_tokens_bounds[i];
                row.output = row.input + 1;
                totals_add(&v, &row);
                assert_int_equal(v.input_tokens[i], 1);
                assert_int_equal(v.output_tokens[i + 1], 1);
        }
        for (size_t i = 0; i < TOTALS_SECONDS; i++) {
                struct totals_values v = {0};
                struct ledger_row row = plain_row();
                row.total_ms = (int64_t)(totals_seconds_bounds[i] * 1000 + 0.5);
                totals_add(&v, &row);
                assert_int_equal(v.duration[i], 1);
                row.total_ms++;
                totals_add(&v, &row);
                assert_int_equal(v.duration[i + 1], 1);
        }
}

static void test_what_has_no_first_token_has_no_time_of_one(void **state)
{
        (void)state;
        struct totals_values v = {0};
        struct ledger_row whole = plain_row(), refused = plain_row(), hit = plain_row(), broken = plain_row();
        whole.stream = 0;
        refused.attempts = 0;
        refused.input = refused.output = refused.first_token_ms = 0;
        refused.outcome = "error";
        hit.attempts = 0;
        hit.cache_hit = 1;
        broken.outcome = "interrupted";
        totals_add(&v, &whole);
        totals_add(&v, &refused);
        totals_add(&v, &hit);
        assert_int_equal(v.requests, 3);
        assert_int_equal(sum(v.duration, TOTALS_SECONDS + 1), 3);
        assert_int_equal(sum(v.ttft, TOTALS_TTFT + 1), 0);
        assert_int_equal(sum(v.tpot, TOTALS_TPOT + 1), 0);
        assert_int_equal(sum(v.input_tokens, TOTALS_TOKENS + 1), 1);
        assert_int_equal(v.cache_hits, 1);
        assert_int_equal(v.input, 100); /* what came from the cache was asked of nobody */
        assert_int_equal(v.unpriced, 0);
        totals_add(&v, &broken);
        assert_int_equal(sum(v.ttft, TOTALS_TTFT + 1), 1);
        assert_int_equal(sum(v.tpot, TOTALS_TPOT + 1), 0); /* its tokens are not all that it was to have */
}

static void test_nothing_overflows(void **state)
{
        struct totals_values v = {0}, w;
        struct ledger_row row = plain_row();
        (void)state;
        row.input = row.output = row.total_ms = row.attempts = INT64_MAX;
        row.first_token_ms = INT64_MAX;
        row.cost_pico = INT64_MAX;
        for (int i = 0; i < 3; i++)
                totals_add(&v, &row);
        assert_int_equal(v.input, INT64_MAX);
        assert_int_equal(v.duration_us, INT64_MAX);
        assert_true(v.cost_pico == (__int128)INT64_MAX * 3);
        w = v;
        totals_merge(&v, &w);
        assert_int_equal(v.input, INT64_MAX);
        assert_true(v.cost_pico == (__int128)INT64_MAX * 6);
        assert_int_equal(v.requests, 6);
}

/* ---- labels ---- */

/* Each cause has a class, and the class says whose fault it is. */
static void test_each_cause_has_its_class(void **state)
{
        static const char *const sides[] = {"caller_", "policy_", "provider_", "gateway_"};
        (void)state;
        for (int cause = ERR_NONE + 1; cause < ERR_CAUSES; cause++) {
                struct ledger_row row = plain_row();
                struct totals_labels labels;
                bool known = false;
                row.error = err_row((enum err_cause)cause)->plain_code;
                row.outcome = "error";
                totals_labels_of(&row, &labels);
                for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
                        known |= strncmp(labels.error, sides[i], strlen(sides[i])) == 0;
                if (!known || strcmp(labels.error, "gateway_other") == 0)
                        fail_msg("%s is \"%s\"", row.error, labels.error);
        }
}

static void test_classes(void **state)
{
        static const struct {
                const char *error, *outcome;
                int64_t attempts;
                const char *type;
        } rows[] = {
                {NULL, "ok", 1, ""},
                {NULL, "left", 1, "caller_left"},
                {NULL, "interrupted", 1, "gateway_interrupted"},
                {NULL, "error", 1, "gateway_other"},
                {"never heard of", "error", 1, "gateway_other"},
                {"overloaded", "error", 0, "policy_overloaded"},
                {"overloaded", "error", 2, "provider_overloaded"},
                {"rate_limit_exceeded", "error", 0, "policy_rate_limit"},
                {"insufficient_quota", "error", 1, "policy_budget"},
                {"invalid_api_key", "error", 0, "caller_credentials"},
                {"upstream_credentials", "error", 1, "provider_credentials"},
                {"timeout", "left", 1, "provider_timeout"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ledger_row row = plain_row();
                struct totals_labels labels;
                row.error = rows[i].error;
                row.outcome = rows[i].outcome;
                row.attempts = rows[i].attempts;
                totals_labels_of(&row, &labels);
                assert_string_equal(labels.error, rows[i].type);
        }
}

static void test_strangers_make_up_no_names(void **state)
{
        static const struct {
                const char *model, *version, *upstream, *error;
                const char *model_label, *version_label, *upstream_label;
        } rows[] = {
                {"assistant", "2026-11", "gpt-5.5", "timeout", "assistant", "2026-11", "gpt-5.5"},
                {"no-such", NULL, NULL, "model_not_found", "other", "-", "-"},
                {"no-such", "", NULL, "model_not_found", "other", "-", "-"},
                {"assistant", "no-such", NULL, "model_not_found", "other", "-", "-"},
                {"assistant", "no-such", NULL, "forbidden", "other", "-", "-"},
                {NULL, NULL, NULL, "bad_request", "-", "-", "-"},
                {"openai/x", "direct", "x", "provider_refused", "other", "direct", "other"},
                {"openai/x", "direct", NULL, "rate_limit_exceeded", "other", "direct", "-"},
                {"openai/gpt-5.5", "direct", "gpt-5.5", NULL, "openai/gpt-5.5", "direct", "gpt-5.5"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ledger_row row = plain_row();
                struct totals_labels labels;
                row.model = rows[i].model;
                row.version = rows[i].version;
                row.upstream_model = rows[i].upstream;
                row.error = rows[i].error;
                row.outcome = rows[i].error ? "error" : "ok";
                totals_labels_of(&row, &labels);
                assert_string_equal(labels.model ? labels.model : "-", rows[i].model_label);
                assert_string_equal(labels.version ? labels.version : "-", rows[i].version_label);
                assert_string_equal(labels.upstream_model ? labels.upstream_model : "-",
                                    rows[i].upstream_label);
        }
}

static void test_operations(void **state)
{
        static const char *const rows[][2] = {
                {"/embed", "embeddings"},
                {"/v1/embeddings", "embeddings"},
                {"/v1beta/models/{}:batchEmbedContents", "embeddings"},
                {"/v1/models/{}:embedContent", "embeddings"},
                {"/v1/messages", "chat"},
                {"/vision", "chat"},
                {NULL, "chat"},
        };
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct ledger_row row = {.endpoint = rows[i][0]};
                struct totals_labels labels;
                totals_labels_of(&row, &labels);
                assert_string_equal(labels.operation, rows[i][1]);
        }
}

static void test_a_key_gives_its_labels_back(void **state)
{
        struct ledger_row row = plain_row();
        struct totals_labels labels, back;
        struct buf key, other;
        char longest[400];
        (void)state;
        buf_init(&key, 4096);
        buf_init(&other, 4096);
        totals_labels_of(&row, &labels);
        labels.served_model = NULL;
        assert_true(totals_key(&labels, &key));
        assert_true(totals_labels_from(key.data, key.len, &back));
        assert_string_equal(back.account, "desk");
        assert_string_equal(back.upstream_model, "gpt-5.5");
        assert_string_equal(back.served_model, "");
        assert_string_equal(back.currency, "USD");
        /* Neighbours don't run together. */
        labels.account = "des";
        labels.model = "kassistant";
        assert_true(totals_key(&labels, &other));
        assert_int_equal(other.len, key.len);
        assert_memory_not_equal(other.data, key.data, key.len);
        for (size_t len = 0; len < key.len; len++)
                assert_false(totals_labels_from(key.data, len, &back));
        assert_false(totals_labels_from("", 0, &back));
        memset(longest, 'x', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        labels.served_model = longest;
        buf_release(&other);
        buf_init(&other, 4096);
        assert_true(totals_key(&labels, &other));
        assert_true(totals_labels_from(other.data, other.len, &back));
        assert_int_equal(strlen(back.served_model), 128);
        buf_release(&key);
        buf_release(&other);
}

/* ---- bytes ---- */

static void fill(struct totals_values *v)
{
        int64_t *n = (int64_t *)(void *)v;
        memset(v, 0, sizeof *v);
        for (size_t i = 0; i < sizeof *v / sizeof *n; i++)
                n[i] = (int64_t)(i * 0x9E3779B97F4A7ull) ^ (int64_t)i;
        v->saved_pico = -v->cost_pico; /* writes of a cache cost more than they save */
}

static void test_values_come_back(void **state)
{
        struct totals_values v, back;
        struct buf out;
        (void)state;
        fill(&v);
        buf_init(&out, 16 << 10);
        assert_true(totals_encode(&v, &out));
        assert_true(totals_decode(out.data, out.len, &back));
        /* Padding is none of it. */
        struct totals_values twice = {0}, both = {0};
        totals_merge(&twice, &v);
        totals_merge(&both, &back);
        assert_memory_equal(&twice, &both, sizeof both);
        assert_int_equal(back.requests, v.requests);
        assert_true(back.saved_pico == v.saved_pico);
        assert_true(back.cost_pico == v.cost_pico);
        assert_int_equal(back.output_tokens[TOTALS_TOKENS], v.output_tokens[TOTALS_TOKENS]);
        assert_int_equal(back.queue_ms, v.queue_ms);
        buf_release(&out);
        /* One request takes little room: 4000 sets are read in a few milliseconds. */
        struct ledger_row row = plain_row();
        memset(&v, 0, sizeof v);
        totals_add(&v, &row);
        buf_init(&out, 16 << 10);
        assert_true(totals_encode(&v, &out));
        assert_true(out.len < 200);
        buf_release(&out);
}

/* A version with fewer numbers in a group than today's, and one with more. */
static void test_other_lengths_are_read(void **state)
{
        static const unsigned char fewer[] = {1, 1, 7, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 6};
        static const unsigned char more[] = {1,  11, 7, 6, 5, 4, 3, 2, 1, 0, 9, 99,
                                             98, 0,  0, 0, 0, 0, 0, 0, 0, 5, 0, 6};
        struct totals_values v;
        (void)state;
        assert_true(totals_decode(fewer, sizeof fewer, &v));
        assert_int_equal(v.requests, 7);
        assert_int_equal(v.attempts, 0);
        assert_int_equal(v.input, 8);
        assert_true(v.cost_pico == 5);
        assert_true(v.saved_pico == 6);
        assert_true(totals_decode(more, sizeof more, &v));
        assert_int_equal(v.requests, 7);
        assert_int_equal(v.images, 9);
        assert_int_equal(v.input, 0);
        assert_true(v.saved_pico == 6);
        assert_false(totals_decode("\2", 1, &v)); /* another version altogether */
}

static void test_hostile_bytes(void **state)
{
        struct totals_values v, back;
        struct buf out;
        unsigned seed = 1;
        (void)state;
        fill(&v);
        buf_init(&out, 16 << 10);
        assert_true(totals_encode(&v, &out));
        for (size_t len = 0; len < out.len; len++) {
                /* A copy of just that length, for the sanitizer to see what is read behind it. */
                char *cut = malloc(len ? len : 1);
                memcpy(cut, out.data, len);
                assert_false(totals_decode(cut, len, &back));
                free(cut);
        }
        assert_false(totals_decode(NULL, 0, &back));
        char *bad = malloc(out.len);
        for (int round = 0; round < 20000; round++) {
                memcpy(bad, out.data, out.len);
                for (int i = 0; i < 4; i++) {
                        seed = seed * 1103515245 + 12345;
                        bad[(seed >> 8) % out.len] = (char)(seed >> 20);
                }
                if (totals_decode(bad, out.len, &back))
                        totals_merge(&v, &back);
                struct totals_labels labels;
                totals_labels_from(bad, out.len, &labels);
        }
        free(bad);
        buf_release(&out);
}

/* ---- in the ledger ---- */

static char folder[] = "/tmp/tollgate-totals-XXXXXX";
static char path[128], why[512];

static int fresh(void **unused)
{
        char command[256];
        (void)unused;
        snprintf(command, sizeof command, "rm -rf %s/*", folder);
        return system(command);
}

static struct ledger *open_ledger(void)
{
        struct ledger *l = ledger_open(path, LEDGER_MAKE, NULL, why);
        if (!l)
                fail_msg("%s", why);
        return l;
}

struct seen {
        size_t sets, others;
        struct totals_values sum;
        char last[64];
};

static void see(const struct totals_labels *labels, const struct totals_values *values, void *context)
{
        struct seen *s = context;
        s->sets++;
        s->others += strcmp(labels->model, "other") == 0;
        totals_merge(&s->sum, values);
        snprintf(s->last, sizeof s->last, "%s", labels->model);
}

static void add_requests(struct ledger *l, int64_t first_id, int64_t count, int64_t models)
{
        assert_true(ledger_begin(l, 1000));
        for (int64_t i = 0; i < count; i++) {
                struct ledger_row row = plain_row();
                char model[32];
                row.id = first_id + i;
                snprintf(model, sizeof model, "m%05lld", (long long)((first_id + i) % models));
                row.model = model;
                assert_true(ledger_add(l, &row, NULL, 0));
        }
        assert_true(ledger_flush(l));
        assert_true(ledger_commit(l));
}

/* Rows go by keep_days; what was counted stays, over a restart too, and is counted once. */
static void test_totals_outlive_their_rows(void **state)
{
        struct seen seen = {0};
        struct ledger *l = open_ledger();
        (void)state;
        add_requests(l, 1, 10, 2);
        add_requests(l, 6, 10, 2); /* five of them again */
        assert_int_equal(ledger_forget(l, INT64_C(1) << 40, 1000), 15);
        ledger_close(l);
        l = open_ledger();
        add_requests(l, 100, 1, 2);
        assert_true(ledger_totals_each(l, see, &seen));
        assert_int_equal(seen.sets, 2);
        assert_int_equal(seen.sum.requests, 16);
        assert_int_equal(seen.sum.input, 1600);
        assert_true(seen.sum.cost_pico == 16 * 5000);
        assert_string_equal(seen.last, "m00001");
        ledger_close(l);
}

static void test_what_was_rolled_back_is_not_counted(void **state)
{
        struct seen seen = {0};
        struct ledger *l = open_ledger();
        struct ledger_row row = plain_row();
        (void)state;
        row.id = 1;
        assert_true(ledger_begin(l, 1000));
        assert_true(ledger_add(l, &row, NULL, 0));
        ledger_rollback(l);
        add_requests(l, 2, 1, 1);
        assert_true(ledger_totals_each(l, see, &seen));
        assert_int_equal(seen.sum.requests, 1);
        ledger_close(l);
}

/* Whichever connection adds them. */
static void test_sets_are_bounded(void **state)
{
        struct seen seen = {0};
        struct ledger *one = open_ledger(), *two = open_ledger();
        (void)state;
        add_requests(one, 1, 3000, 1000000);
        add_requests(two, 3001, 3000, 1000000);
        add_requests(one, 6001, 500, 1000000);
        add_requests(two, 1000001, 100, 1000000); /* known ones go on */
        assert_true(ledger_totals_each(one, see, &seen));
        assert_int_equal(seen.sets, TOTALS_SETS_MAX + 1);
        assert_int_equal(seen.others, 1);
        assert_int_equal(seen.sum.requests, 6600);
        ledger_close(one);
        ledger_close(two);
}

static void test_damaged_sets_are_left_out(void **state)
{
        struct seen seen = {0};
        struct ledger *l = open_ledger();
        (void)state;
        add_requests(l, 1, 4, 2);
        assert_int_equal(
                sqlite3_exec(
                        ledger_sqlite(l),
                        "INSERT INTO totals(key, value) VALUES(x'00', x'01'), ('', ''), (5, zeroblob(300)); "
                        "UPDATE totals SET value = x'02' WHERE key = (SELECT min(key) FROM totals WHERE "
                        "length(key) > 20)",
                        NULL, NULL, NULL),
                SQLITE_OK);
        assert_true(ledger_totals_each(l, see, &seen));
        assert_int_equal(seen.sets, 1);
        assert_int_equal(seen.sum.requests, 2);
        add_requests(l, 10, 2, 2); /* the damaged one begins anew */
        seen = (struct seen){0};
        assert_true(ledger_totals_each(l, see, &seen));
        assert_int_equal(seen.sum.requests, 4);
        ledger_close(l);
}

static void test_the_book_tells_them(void **state)
{
        const struct book_options o = {
                .path = path, .currency = "USD", .first_bytes = 64 << 10, .most_bytes = 1 << 20};
        struct book *b = book_open(&o, why);
        struct ledger_row row = plain_row();
        struct seen seen = {0};
        (void)state;
        assert_non_null(b);
        row.id = book_id(b, clock_unix_ms());
        assert_int_equal(book_waiting(b), 0);
        assert_true(book_end(b, &row, NULL, 0));
        assert_true(book_waiting(b) > 0);
        assert_true(book_totals(b, see, &seen));
        assert_int_equal(seen.sum.requests, 0);
        assert_int_equal(book_move(b), 1);
        assert_int_equal(book_waiting(b), 0);
        assert_true(book_totals(b, see, &seen));
        assert_int_equal(seen.sum.requests, 1);
        book_close(b, 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_request_is_in_the_buckets_of_its_times),
                cmocka_unit_test(test_bounds_hold_what_equals_them),
                cmocka_unit_test(test_what_has_no_first_token_has_no_time_of_one),
                cmocka_unit_test(test_nothing_overflows),
                cmocka_unit_test(test_each_cause_has_its_class),
                cmocka_unit_test(test_classes),
                cmocka_unit_test(test_strangers_make_up_no_names),
                cmocka_unit_test(test_operations),
                cmocka_unit_test(test_a_key_gives_its_labels_back),
                cmocka_unit_test(test_values_come_back),
                cmocka_unit_test(test_other_lengths_are_read),
                cmocka_unit_test(test_hostile_bytes),
                cmocka_unit_test_setup(test_totals_outlive_their_rows, fresh),
                cmocka_unit_test_setup(test_what_was_rolled_back_is_not_counted, fresh),
                cmocka_unit_test_setup(test_sets_are_bounded, fresh),
                cmocka_unit_test_setup(test_damaged_sets_are_left_out, fresh),
                cmocka_unit_test_setup(test_the_book_tells_them, fresh),
        };
        if (!mkdtemp(folder))
                return 1;
        snprintf(path, sizeof path, "%s/usage.db", folder);
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        char command[256];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        return system(command) || failed;
}
