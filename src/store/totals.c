#include "store/totals.h"

#include <string.h>

/* OpenTelemetry semantic conventions 1.37, "Generative AI metrics", explicit bucket boundaries. */
const double totals_seconds_bounds[TOTALS_SECONDS] = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                      1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
const double totals_tokens_bounds[TOTALS_TOKENS] = {
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
const double totals_ttft_bounds[TOTALS_TTFT] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                                0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
const double totals_tpot_bounds[TOTALS_TPOT] = {0.01, 0.025, 0.05, 0.075, 0.1,  0.15,
                                                0.2,  0.3,   0.4,  0.5,   0.75, 1.0};

/* ---- labels ---- */

/* Whose fault it is, by the plain_code of the cause (base/err.c). */
static const struct {
        const char *code, *type;
        const char *asked; /* where a provider was asked, if that makes a difference */
} error_types[] = {
        {"bad_request", "caller_bad_request", NULL},
        {"unsupported_value", "caller_unsupported", NULL},
        {"request_too_large", "caller_too_large", NULL},
        {"unsupported_media_type", "caller_media_type", NULL},
        {"not_found", "caller_not_found", NULL},
        {"method_not_allowed", "caller_method", NULL},
        {"model_not_found", "caller_model_not_found", NULL},
        {"invalid_api_key", "caller_credentials", NULL},
        {"provider_refused", "caller_refused_by_provider", NULL},
        {"context_length_exceeded", "caller_context_length", NULL},
        {"content_policy_violation", "caller_content_policy", NULL},
        {"forbidden", "policy_forbidden", NULL},
        {"rate_limit_exceeded", "policy_rate_limit", NULL},
        {"insufficient_quota", "policy_budget", NULL},
        {"overloaded", "policy_overloaded", "provider_overloaded"},
        {"upstream_error", "provider_error", NULL},
        {"upstream_credentials", "provider_credentials", NULL},
        {"timeout", "provider_timeout", NULL},
        {"unavailable", "gateway_unavailable", NULL},
        {"internal_error", "gateway_internal", NULL},
};

static bool is(const char *text, const char *word)
{
        return text && strcmp(text, word) == 0;
}

static const char *error_type(const struct ledger_row *row)
{
        for (size_t i = 0; row->error && i < sizeof error_types / sizeof *error_types; i++) {
                if (strcmp(error_types[i].code, row->error) == 0)
                        return row->attempts > 0 && error_types[i].asked ? error_types[i].asked
                                                                         : error_types[i].type;
        }
        if (is(row->outcome, "left"))
                return "caller_left";
        if (is(row->outcome, "interrupted"))
                return "gateway_interrupted";
        return row->error || is(row->outcome, "error") ? "gateway_other" : "";
}

static bool is_embedding(const struct ledger_row *row)
{
        return row->endpoint && strstr(row->endpoint, "mbed");
}

/* A model of which nothing tells that it is there: whoever may ask could make up as many as he likes. */
static bool is_made_up(const struct ledger_row *row)
{
        if (is(row->version, "direct"))
                return !is(row->outcome, "ok");
        return !row->version || !*row->version || is(row->error, "model_not_found") ||
               is(row->error, "forbidden");
}

void totals_labels_of(const struct ledger_row *row, struct totals_labels *out)
{
        bool made_up = row->model && is_made_up(row);
        *out = (struct totals_labels){
                .account = row->account,
                .model = made_up ? "other" : row->model,
                .version = made_up && !is(row->version, "direct") ? NULL : row->version,
                .provider = row->provider,
                .upstream_model = made_up && row->upstream_model ? "other" : row->upstream_model,
                .served_model = row->served_model,
                .operation = is_embedding(row) ? "embeddings" : "chat",
                .error = error_type(row),
                .outcome = row->outcome,
                .currency = row->currency,
        };
}

enum { LABELS = 10, LABEL_MAX = 128 };

static const size_t label_places[LABELS] = {
        offsetof(struct totals_labels, account),        offsetof(struct totals_labels, model),
        offsetof(struct totals_labels, version),        offsetof(struct totals_labels, provider),
        offsetof(struct totals_labels, upstream_model), offsetof(struct totals_labels, served_model),
        offsetof(struct totals_labels, operation),      offsetof(struct totals_labels, error),
        offsetof(struct totals_labels, outcome),        offsetof(struct totals_labels, currency),
};

/* Each label with a NUL behind it. */
bool totals_key(const struct totals_labels *labels, struct buf *out)
{
        for (size_t i = 0; i < LABELS; i++) {
                const char *s = *(const char *const *)((const char *)labels + label_places[i]);
                buf_add(out, s ? s : "", s ? strnlen(s, LABEL_MAX) : 0);
                buf_addc(out, '\0');
        }
        return !out->failed;
}

bool totals_labels_from(const char *key, size_t len, struct totals_labels *out)
{
        const char *end = key + len;
        for (size_t i = 0; i < LABELS; i++) {
                const char *stop = key < end ? memchr(key, '\0', (size_t)(end - key)) : NULL;
                if (!stop)
                        return false;
                *(const char **)((char *)out + label_places[i]) = key;
                key = stop + 1;
        }
        return key == end;
}

/* ---- values ---- */

static void observe(int64_t *counts, const double *bounds, size_t n, double value)
{
        size_t i = 0;
        while (i < n && value > bounds[i])
                i++;
        counts[i]++;
}

/* Kept within 64 bits, whatever a damaged ledger says. */
static void more(int64_t *sum, int64_t n)
{
        if (__builtin_add_overflow(*sum, n, sum))
                *sum = n < 0 ? INT64_MIN : INT64_MAX;
}

static int64_t us_of(int64_t ms)
{
        return ms < 0 ? 0 : ms > INT64_MAX / 1000 ? INT64_MAX : ms * 1000;
}

static void add_big(__int128 *sum, __int128 n)
{
        *sum = (__int128)((unsigned __int128)*sum + (unsigned __int128)n);
}

/* What was asked of providers: an answer out of the response cache used none. */
static void add_tokens(struct totals_values *v, const struct ledger_row *row)
{
        more(&v->input, row->input);
        more(&v->cached, row->cached);
        more(&v->cache_write, row->cache_write);
        more(&v->output, row->output);
        more(&v->reasoning, row->reasoning);
        observe(v->input_tokens, totals_tokens_bounds, TOTALS_TOKENS, (double)row->input);
        observe(v->output_tokens, totals_tokens_bounds, TOTALS_TOKENS, (double)row->output);
}

static void add_first_token(struct totals_values *v, const struct ledger_row *row)
{
        observe(v->ttft, totals_ttft_bounds, TOTALS_TTFT, (double)row->first_token_ms / 1000);
        more(&v->ttft_us, us_of(row->first_token_ms));
        int64_t left_us = us_of(row->total_ms) - us_of(row->first_token_ms);
        if (!is(row->outcome, "ok") || row->output < 2 || left_us < 0)
                return;
        /* Of the tokens behind the first one. */
        int64_t us = left_us / (row->output - 1);
        observe(v->tpot, totals_tpot_bounds, TOTALS_TPOT, (double)us / 1e6);
        more(&v->tpot_us, us);
}

void totals_add(struct totals_values *v, const struct ledger_row *row)
{
        more(&v->requests, 1);
        more(&v->attempts, row->attempts);
        more(&v->retries, row->retries);
        more(&v->rescues, row->rescues);
        more(&v->hedges, row->hedges);
        more(&v->cache_hits, row->cache_hit);
        more(&v->estimated, row->estimated);
        more(&v->unpriced, row->attempts > 0 && !row->priced);
        more(&v->images, row->images);
        more(&v->queue_ms, row->queue_ms);
        add_big(&v->cost_pico, row->cost_pico);
        add_big(&v->saved_pico, row->saved_pico);
        observe(v->duration, totals_seconds_bounds, TOTALS_SECONDS, (double)row->total_ms / 1000);
        more(&v->duration_us, us_of(row->total_ms));
        if (row->attempts > 0)
                add_tokens(v, row);
        if (row->attempts > 0 && row->stream && row->first_token_ms > 0)
                add_first_token(v, row);
}

/* Everything but the two sums of 128 bits is a number of 64 bits, in the order of the struct. */
struct numbers {
        size_t at, count;
};
static const struct numbers all_numbers[] = {
        {offsetof(struct totals_values, requests), 9},
        {offsetof(struct totals_values, input), 5},
        {offsetof(struct totals_values, duration), TOTALS_SECONDS + 1},
        {offsetof(struct totals_values, ttft), TOTALS_TTFT + 1},
        {offsetof(struct totals_values, tpot), TOTALS_TPOT + 1},
        {offsetof(struct totals_values, input_tokens), TOTALS_TOKENS + 1},
        {offsetof(struct totals_values, output_tokens), TOTALS_TOKENS + 1},
        {offsetof(struct totals_values, duration_us), 4},
};
enum { GROUPS = sizeof all_numbers / sizeof *all_numbers, VERSION = 1 };

static int64_t *numbers_at(struct totals_values *v, size_t group)
{
        return (int64_t *)(void *)((char *)v + all_numbers[group].at);
}

void totals_merge(struct totals_values *into, const struct totals_values *that)
{
        for (size_t g = 0; g < GROUPS; g++) {
                int64_t *to = numbers_at(into, g);
                const int64_t *from = numbers_at((struct totals_values *)that, g);
                for (size_t i = 0; i < all_numbers[g].count; i++)
                        more(&to[i], from[i]);
        }
        add_big(&into->cost_pico, that->cost_pico);
        add_big(&into->saved_pico, that->saved_pico);
}

static void put(struct buf *out, uint64_t n)
{
        /* LEB128: most of the numbers are small. */
        do {
                buf_addc(out, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
                n >>= 7;
        } while (n);
}

static void put_big(struct buf *out, __int128 n)
{
        put(out, (uint64_t)((unsigned __int128)n >> 64));
        put(out, (uint64_t)(unsigned __int128)n);
}

bool totals_encode(const struct totals_values *v, struct buf *out)
{
        buf_addc(out, VERSION);
        for (size_t g = 0; g < GROUPS; g++) {
                const int64_t *from = numbers_at((struct totals_values *)v, g);
                put(out, all_numbers[g].count);
                for (size_t i = 0; i < all_numbers[g].count; i++)
                        put(out, (uint64_t)from[i]);
        }
        put_big(out, v->cost_pico);
        put_big(out, v->saved_pico);
        return !out->failed;
}

struct bytes {
        const unsigned char *at, *end;
        bool bad;
};

static uint64_t get(struct bytes *b)
{
        uint64_t n = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
                if (b->at >= b->end)
                        break;
                unsigned char c = *b->at++;
                n |= (uint64_t)(c & 0x7f) << shift;
                if (!(c & 0x80))
                        return n;
        }
        b->bad = true;
        return 0;
}

static __int128 get_big(struct bytes *b)
{
        uint64_t high = get(b);
        return (__int128)((unsigned __int128)high << 64 | get(b));
}

bool totals_decode(const void *bytes, size_t len, struct totals_values *out)
{
        struct bytes b = {bytes, (const unsigned char *)bytes + len, false};
        memset(out, 0, sizeof *out);
        if (len < 1 || *b.at++ != VERSION)
                return false;
        for (size_t g = 0; g < GROUPS && !b.bad; g++) {
                int64_t *to = numbers_at(out, g);
                uint64_t count = get(&b);
                if (count > 1000)
                        return false;
                /* A version that had fewer left the last ones out; of more, the last are of no use here. */
                for (uint64_t i = 0; i < count && !b.bad; i++) {
                        int64_t n = (int64_t)get(&b);
                        if (i < all_numbers[g].count)
                                to[i] = n;
                }
        }
        out->cost_pico = get_big(&b);
        out->saved_pico = get_big(&b);
        return !b.bad;
}
