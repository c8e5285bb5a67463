#include "store/usage_write.h"

#include <string.h>

#include "base/money.h"

static void json_percentiles(struct json_writer *w, const char *key, const int64_t ms[3])
{
        jw_key_object(w, key);
        jw_key_int(w, "p50", ms[0]);
        jw_key_int(w, "p95", ms[1]);
        jw_key_int(w, "p99", ms[2]);
        jw_end(w);
}

void usage_write_json(struct json_writer *w, const struct usage_line *l)
{
        const struct {
                const char *name;
                int64_t n;
        } counts[] = {
                {"requests", l->requests}, {"errors", l->errors},         {"interrupted", l->interrupted},
                {"attempts", l->attempts}, {"retries", l->retries},       {"rescues", l->rescues},
                {"hedges", l->hedges},     {"cache_hits", l->cache_hits}, {"images", l->images},
                {"input", l->input},       {"cached", l->cached},         {"cache_write", l->cache_write},
                {"output", l->output},     {"reasoning", l->reasoning},   {"estimated", l->estimated},
                {"unpriced", l->unpriced},
        };
        char text[MONEY_TEXT];
        jw_object(w);
        jw_key_string(w, "key", l->key);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                jw_key_int(w, counts[i].name, counts[i].n);
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

void csv_cell(struct buf *out, const char *cell)
{
        bool plain = !*cell || (!strpbrk(cell, ",\"\r\n") && !strchr("=+-@\t", *cell));
        if (plain) {
                buf_adds(out, cell);
                return;
        }
        buf_addc(out, '"');
        if (strchr("=+-@\t\r", *cell))
                buf_addc(out, '\'');
        for (; *cell; cell++) {
                if (*cell == '"')
                        buf_addc(out, '"');
                buf_addc(out, *cell);
        }
        buf_addc(out, '"');
}

void usage_write_csv(struct buf *out, const char *key, const struct usage_line *l)
{
        char text[MONEY_TEXT], saved[MONEY_TEXT];
        struct usage_sum none = {"", 0, 0};
        const struct usage_sum *sums = l->sum_count ? l->sums : &none;
        /* One row for each currency; the counts are those of the first. */
        for (size_t i = 0; i < (l->sum_count ? l->sum_count : 1); i++) {
                csv_cell(out, key);
                if (i == 0)
                        buf_addf(out, ",%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld", (long long)l->requests,
                                 (long long)(l->errors + l->interrupted), (long long)l->attempts,
                                 (long long)l->input, (long long)l->cached, (long long)l->output,
                                 (long long)l->reasoning, (long long)l->cache_hits);
                else
                        buf_adds(out, ",,,,,,,,");
                buf_addf(out, ",%s,%s,%s", money_text(text, sums[i].cost_pico), sums[i].currency,
                         money_text(saved, sums[i].saved_pico));
                for (size_t p = 0; p < 3; p++)
                        buf_addf(out, ",%lld,%lld", (long long)l->first_token_ms[p],
                                 (long long)l->total_ms[p]);
                buf_adds(out, "\r\n");
        }
}

void usage_write_csv_head(struct buf *out, const char *key)
{
        buf_addf(out,
                 "%s,requests,errors,attempts,input,cached,output,reasoning,cache_hits,cost,currency,saved,"
                 "first_token_ms_p50,total_ms_p50,first_token_ms_p95,total_ms_p95,first_token_ms_p99,total_"
                 "ms_p99"
                 "\r\n",
                 key);
}
