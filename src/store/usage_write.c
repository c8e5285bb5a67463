#include "store/usage_write.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"

/* The counts of a line, by the names that programs see. */
static const struct {
        const char *name;
        size_t offset;
} counts[] = {
#define COUNT(member)                                                                                        \
        {                                                                                                    \
#member, offsetof(struct usage_line, member)                                                 \
        }
        COUNT(requests), COUNT(errors),    COUNT(interrupted), COUNT(attempts),
        COUNT(retries),  COUNT(rescues),   COUNT(hedges),      COUNT(cache_hits),
        COUNT(images),   COUNT(input),     COUNT(cached),      COUNT(cache_write),
        COUNT(output),   COUNT(reasoning), COUNT(estimated),   COUNT(unpriced),
#undef COUNT
};
enum { COUNTS = sizeof counts / sizeof *counts };
static const char *const percentiles[3] = {"p50", "p95", "p99"};

static long long count_of(const struct usage_line *l, size_t i)
{
        return (long long)*(const int64_t *)((const char *)l + counts[i].offset);
}

static void json_percentiles(struct json_writer *w, const char *key, const int64_t ms[3])
{
        jw_key_object(w, key);
        for (size_t i = 0; i < 3; i++)
                jw_key_int(w, percentiles[i], ms[i]);
        jw_end(w);
}

void usage_write_json(struct json_writer *w, const struct usage_line *l)
{
        char text[MONEY_TEXT];
        jw_object(w);
        jw_key_string(w, "key", l->key);
        if (l->starts_ms) {
                clock_format(l->starts_ms, text);
                jw_key_string(w, "starts", text);
        }
        for (size_t i = 0; i < COUNTS; i++)
                jw_key_int(w, counts[i].name, count_of(l, i));
        jw_key_number(w, "error_share",
                      l->requests ? (double)(l->errors + l->interrupted) / (double)l->requests : 0);
        jw_key_number(w, "cached_share", l->input ? (double)l->cached / (double)l->input : 0);
        jw_key_array(w, "costs");
        for (size_t i = 0; i < l->sum_count; i++) {
                jw_object(w);
                jw_key_string(w, "currency", l->sums[i].currency);
                jw_key_string(w, "amount", money_text(text, l->sums[i].cost_pico));
                jw_key_string(w, "saved", money_text(text, l->sums[i].saved_pico));
                jw_end(w);
        }
        jw_end(w);
        json_percentiles(w, "first_token_ms", l->first_token_ms);
        json_percentiles(w, "total_ms", l->total_ms);
        jw_end(w);
}

/* ---- CSV ---- */

void csv_cell(struct buf *out, const char *cell)
{
        static const char formula[] = "=+-@\t\r";
        bool plain = !*cell || (!strpbrk(cell, ",\"\r\n") && !strchr(formula, *cell));
        if (plain) {
                buf_adds(out, cell);
                return;
        }
        buf_addc(out, '"');
        if (strchr(formula, *cell))
                buf_addc(out, '\'');
        for (; *cell; cell++) {
                if (*cell == '"')
                        buf_addc(out, '"');
                buf_addc(out, *cell);
        }
        buf_addc(out, '"');
}

void usage_write_csv_head(struct buf *out, const char *key)
{
        csv_cell(out, key);
        buf_adds(out, ",currency,cost,saved");
        for (size_t i = 0; i < COUNTS; i++)
                buf_addf(out, ",%s", counts[i].name);
        for (size_t i = 0; i < 3; i++)
                buf_addf(out, ",first_token_ms_%s", percentiles[i]);
        for (size_t i = 0; i < 3; i++)
                buf_addf(out, ",total_ms_%s", percentiles[i]);
        buf_adds(out, "\r\n");
}

void usage_write_csv(struct buf *out, const char *key, const struct usage_line *l)
{
        static const struct usage_sum none = {"", 0, 0};
        size_t rows = l->sum_count ? l->sum_count : 1;
        for (size_t r = 0; r < rows; r++) {
                const struct usage_sum *sum = l->sum_count ? &l->sums[r] : &none;
                char cost[MONEY_TEXT], saved[MONEY_TEXT];
                csv_cell(out, key);
                buf_addf(out, ",%s,%s,%s", sum->currency, money_text(cost, sum->cost_pico),
                         money_text(saved, sum->saved_pico));
                /* Once only, so that a column adds up. */
                for (size_t i = 0; i < COUNTS; i++) {
                        buf_addc(out, ',');
                        if (!r)
                                buf_addf(out, "%lld", count_of(l, i));
                }
                for (size_t i = 0; i < 6; i++) {
                        buf_addc(out, ',');
                        if (!r)
                                buf_addf(out, "%lld",
                                         (long long)(i < 3 ? l->first_token_ms[i] : l->total_ms[i - 3]));
                }
                buf_adds(out, "\r\n");
        }
}
