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
} error_types[] = {
        {"bad_request", "caller_bad_request"},
        {"unsupported_value", "caller_unsupported"},
        {"request_too_large", "caller_too_large"},
        {"unsupported_media_type", "caller_media_type"},
        {"not_found", "caller_not_found"},
        {"method_not_allowed", "caller_method"},
        {"model_not_found", "caller_model_not_found"},
        {"provider_refused", "caller_refused_by_provider"},
        {"context_length_exceeded", "caller_context_length"},
        {"content_policy_violation", "caller_content_policy"},
        {"invalid_api_key", "policy_credentials"},
        {"forbidden", "policy_forbidden"},
        {"rate_limit_exceeded", "policy_rate_limit"},
        {"insufficient_quota", "policy_budget"},
        {"overloaded", "policy_overloaded"},
        {"unavailable", "policy_unavailable"},
        {"upstream_error", "provider_error"},
        {"upstream_credentials", "provider_credentials"},
        {"timeout", "provider_timeout"},
        {"internal_error", "internal"},
};

static const char *error_type(const struct ledger_row *row)
{
        for (size_t i = 0; row->error && i < sizeof error_types / sizeof *error_types; i++) {
                if (strcmp(error_types[i].code, row->error) == 0)
                        return error_types[i].type;
        }
        if (row->outcome && strcmp(row->outcome, "left") == 0)
                return "caller_left";
        if (row->outcome && strcmp(row->outcome, "interrupted") == 0)
                return "interrupted";
        return row->error ? "other" : "";
}

static bool is_embedding(const struct ledger_row *row)
{
        return row->endpoint && (strstr(row->endpoint, "mbed") != NULL);
}

void totals_labels_of(const struct ledger_row *row, struct totals_labels *out)
{
        *out = (struct totals_labels){
                .account = row->account,
                .model = row->model,
                .version = row->version,
                .provider = row->provider,
                .upstream_model = row->upstream_model,
                .served_model = row->served_model,
                .operation = is_embedding(row) ? "embeddings" : "chat",
                .error = error_type(row),
                .outcome = row->outcome,
        };
}

enum { LABELS = 9, LABEL_MAX = 128 };

static const size_t label_places[LABELS] = {
        offsetof(struct totals_labels, account),        offsetof(struct totals_labels, model),
        offsetof(struct totals_labels, version),        offsetof(struct totals_labels, provider),
        offsetof(struct totals_labels, upstream_model), offsetof(struct totals_labels, served_model),
        offsetof(struct totals_labels, operation),      offsetof(struct totals_labels, error),
        offsetof(struct totals_labels, outcome),
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

void totals_add(struct totals_values *v, const struct ledger_row *row)
{
        bool ok = row->outcome && strcmp(row->outcome, "ok") == 0;
        v->requests++;
        v->attempts += row->attempts;
        v->retries += row->retries;
        v->rescues += row->rescues;
        v->hedges += row->hedges;
        v->cache_hits += row->cache_hit;
        v->estimated += row->estimated;
        v->unpriced += row->attempts > 0 && !row->priced;
        v->images += row->images;
        v->input += row->input;
        v->cached += row->cached;
        v->cache_write += row->cache_write;
        v->output += row->output;
        v->reasoning += row->reasoning;
        v->cost_pico += row->cost_pico;
        v->saved_pico += row->saved_pico;
        v->queue_ms += row->queue_ms;
        observe(v->duration, totals_seconds_bounds, TOTALS_SECONDS, (double)row->total_ms / 1000);
        v->duration_us += row->total_ms * 1000;
        if (row->attempts > 0) {
                observe(v->input_tokens, totals_tokens_bounds, TOTALS_TOKENS, (double)row->input);
                observe(v->output_tokens, totals_tokens_bounds, TOTALS_TOKENS, (double)row->output);
        }
        if (row->first_token_ms <= 0 || !row->stream)
                return;
        observe(v->ttft, totals_ttft_bounds, TOTALS_TTFT, (double)row->first_token_ms / 1000);
        v->ttft_us += row->first_token_ms * 1000;
        int64_t left_ms = row->total_ms - row->first_token_ms;
        if (!ok || row->output < 2 || left_ms < 0)
                return;
        /* Of the tokens behind the first one. */
        int64_t us = left_ms * 1000 / (row->output - 1);
        observe(v->tpot, totals_tpot_bounds, TOTALS_TPOT, (double)us / 1e6);
        v->tpot_us += us;
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

void totals_merge(struct totals_values *into, const struct totals_values *more)
{
        for (size_t g = 0; g < GROUPS; g++) {
                int64_t *to = numbers_at(into, g);
                const int64_t *from = numbers_at((struct totals_values *)more, g);
                for (size_t i = 0; i < all_numbers[g].count; i++)
                        to[i] += from[i];
        }
        into->cost_pico += more->cost_pico;
        into->saved_pico += more->saved_pico;
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
