/* What the ledger tells for the status page: GET /status/history.json and .csv. Operators only. */
#include "gateway/history.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/money.h"
#include "gateway/exchange.h"
#include "store/usage_write.h"

enum { OUT_MAX = 16 << 20, WHY = 512, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

/* Names that the charts tell apart; the page sums up the others. */
enum { SHOWN_NAMES = 7 };

/* ---- stretches of time ---- */

const struct history_range *history_range_find(const char *name)
{
        static const struct history_range ranges[] = {{"hour", 59 * MINUTE_S, MINUTE_S},
                                                      {"day", 23 * HOUR_S, HOUR_S},
                                                      {"month", 29 * DAY_S, DAY_S}};
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
                if (strcmp(ranges[i].name, name) == 0)
                        return &ranges[i];
        }
        return NULL;
}

/* The one that holds a moment, in unix seconds. */
static void stretch_at(const struct zone *zone, int64_t step_s, int64_t unix_s, int64_t *starts,
                       int64_t *ends)
{
        struct zone_day day = zone_day_of(zone, unix_s);
        *starts = day.starts;
        *ends = day.ends;
        if (step_s >= DAY_S)
                return;
        *starts += (unix_s - day.starts) / step_s * step_s;
        *ends = *starts + step_s < day.ends ? *starts + step_s : day.ends;
}

void history_stretch(const struct history_range *range, const struct zone *zone, int64_t now_ms,
                     struct history_times *out)
{
        int64_t now_s = now_ms / 1000, at = now_s - range->span_s, starts, ends = now_s;
        /* Noon of a day stays in that day, whatever the clocks do between. */
        if (range->step_s >= DAY_S)
                at = zone_day_of(zone, now_s).starts + DAY_S / 2 - range->span_s;
        for (out->count = 0; out->count < HISTORY_STRETCHES; at = ends) {
                stretch_at(zone, range->step_s, at, &starts, &ends);
                out->starts_ms[out->count++] = starts * 1000;
                if (ends > now_s)
                        break;
        }
        out->until_ms = ends * 1000;
}

/* ---- what is asked ---- */

static const struct {
        const char *name;
        enum usage_by by;
} groupings[] = {{"model", USAGE_MODEL},
                 {"provider", USAGE_PROVIDER},
                 {"account", USAGE_ACCOUNT},
                 {"time", USAGE_ALL}};

struct history {
        const struct history_range *range;
        const char *by_name, *zone_name;
        enum usage_by by;
        bool over_time; /* of the CSV: a line for each stretch and name */
        struct history_times times;
        struct usage_series series;
};

static const char *parameter(const struct exchange *x, const char *name, const char *fallback)
{
        const struct form_field *f = form_find(&x->request.query, name);
        return f && f->value.at ? f->value.at : fallback;
}

static bool find_by(const char *name, struct history *h)
{
        for (size_t i = 0; i < sizeof groupings / sizeof *groupings; i++) {
                if (strcmp(groupings[i].name, name) == 0) {
                        h->by_name = groupings[i].name;
                        h->by = groupings[i].by;
                        return true;
                }
        }
        return false;
}

static bool read_question(struct exchange *x, struct history *h, struct err *err)
{
        const char *why = NULL;
        h->range = history_range_find(parameter(x, "range", "day"));
        if (!h->range)
                return err_set(err, x->arena, ERR_BAD_REQUEST, "range", "range: expected hour, day or month");
        if (!find_by(parameter(x, "by", "model"), h))
                return err_set(err, x->arena, ERR_BAD_REQUEST, "by",
                               "by: expected model, provider, account or time");
        h->over_time = h->by == USAGE_ALL || strcmp(parameter(x, "over", ""), "time") == 0;
        h->zone_name = parameter(x, "zone", "UTC");
        struct zone *zone = zone_open(h->zone_name, &why);
        if (!zone)
                return err_set(err, x->arena, ERR_BAD_REQUEST, "zone", "zone: it %s", why);
        history_stretch(h->range, zone, clock_unix_ms(), &h->times);
        zone_free(zone);
        return true;
}

/* Before the first request there is no ledger, and nothing in it. */
static void read_nothing(struct exchange *x, struct history *h)
{
        h->series.times = arena_alloc(x->arena, h->times.count * sizeof *h->series.times);
        for (size_t t = 0; t < h->times.count; t++)
                h->series.times[t] = (struct usage_line){.key = "", .starts_ms = h->times.starts_ms[t]};
        h->series.keys.total.key = "";
}

static bool read_history(struct exchange *x, struct history *h, struct err *err)
{
        char why[WHY] = "";
        bool absent = false;
        if (!read_question(x, h, err))
                return false;
        if (!x->config->ledger || !*x->config->ledger)
                return err_set(err, x->arena, ERR_NOT_FOUND, NULL,
                               "no ledger is kept (the setting `ledger`), so there is no history");
        const struct usage_filter f = {.since_ms = h->times.starts_ms[0], .until_ms = h->times.until_ms};
        struct ledger *l = ledger_open(x->config->ledger, LEDGER_READ, &absent, why);
        bool ok = l &&
                  usage_series(l, &f, h->times.starts_ms, h->times.count, h->by, x->arena, &h->series, why);
        ledger_close(l);
        if (!l && absent)
                read_nothing(x, h);
        if (ok || (!l && absent))
                return true;
        log_warn("the history can't be read: %s", why);
        return err_set(err, x->arena, ERR_OVERLOADED, NULL, "the ledger can't be read; the log says why");
}

/* ---- JSON ---- */

static const struct usage_line *cell_of(const struct history *h, size_t name, size_t t)
{
        static const struct usage_line none = {.key = ""};
        const struct usage_line *cells = h->series.cells[name];
        return cells ? &cells[t] : &none;
}

static void json_numbers(struct json_writer *w, const struct history *h, size_t name, const char *key,
                         size_t offset)
{
        jw_key_array(w, key);
        for (size_t t = 0; t < h->times.count; t++)
                jw_int(w, *(const int64_t *)(const void *)((const char *)cell_of(h, name, t) + offset));
        jw_end(w);
}

/* In the currency that prices have now; what has another one is in `times` only. */
static void json_costs(struct json_writer *w, const struct history *h, size_t name, const char *currency)
{
        jw_key_array(w, "cost");
        for (size_t t = 0; t < h->times.count; t++) {
                const struct usage_line *l = cell_of(h, name, t);
                char text[MONEY_TEXT];
                __int128 cost = 0;
                for (size_t i = 0; i < l->sum_count; i++)
                        cost += strcmp(l->sums[i].currency, currency) == 0 ? l->sums[i].cost_pico : 0;
                jw_string(w, money_text(text, cost));
        }
        jw_end(w);
}

/* One name over time, as a chart wants it. */
static void json_cells(struct json_writer *w, const struct history *h, size_t name, const char *currency)
{
        static const struct {
                const char *key;
                size_t offset;
        } numbers[] = {{"requests", offsetof(struct usage_line, requests)},
                       {"errors", offsetof(struct usage_line, errors)},
                       {"interrupted", offsetof(struct usage_line, interrupted)},
                       {"input", offsetof(struct usage_line, input)},
                       {"output", offsetof(struct usage_line, output)}};
        jw_object(w);
        jw_key_string(w, "key", h->series.keys.lines[name].key);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                json_numbers(w, h, name, numbers[i].key, numbers[i].offset);
        json_costs(w, h, name, currency);
        jw_end(w);
}

static void json_times(struct json_writer *w, struct exchange *x, const struct history *h)
{
        jw_key_array(w, "times");
        for (size_t t = 0; t < h->times.count; t++) {
                struct usage_line line = h->series.times[t];
                char text[32];
                clock_format(h->times.starts_ms[t], text);
                line.key = arena_strdup(x->arena, text);
                usage_write_json(w, &line);
        }
        jw_end(w);
}

bool handle_history(struct exchange *x, struct err *err)
{
        struct history *h = arena_alloc(x->arena, sizeof *h);
        struct buf *out = buf_in_arena(x->arena, OUT_MAX);
        const struct usage_report *names = &h->series.keys;
        struct json_writer w;
        if (!read_history(x, h, err))
                return false;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "range", h->range->name);
        jw_key_string(&w, "by", h->by_name);
        jw_key_string(&w, "zone", h->zone_name);
        jw_key_string(&w, "currency", x->config->currency);
        json_times(&w, x, h);
        jw_key_array(&w, "cells");
        for (size_t i = 0; i < names->count && i < SHOWN_NAMES; i++)
                json_cells(&w, h, i, x->config->currency);
        jw_end(&w);
        jw_key_array(&w, "groups");
        for (size_t i = 0; i < names->count; i++)
                usage_write_json(&w, &names->lines[i]);
        jw_end(&w);
        jw_key(&w, "total");
        usage_write_json(&w, &names->total);
        jw_end(&w);
        if (!jw_done(&w) || !buf_addc(out, '\n'))
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the history is too long");
        exchange_answer(x, "application/json", (struct str){out->data, out->len});
        return true;
}

/* ---- CSV ---- */

static void csv_money(struct buf *out, const struct usage_sum *sum)
{
        char text[MONEY_TEXT];
        buf_addf(out, ",%s", money_text(text, sum->cost_pico));
        buf_addf(out, ",%s,%s\r\n", money_text(text, sum->saved_pico), sum->currency);
}

/* A row for each currency; the counts are those of the first. Without an odd one for names that had nothing
 * to do. */
static void csv_cells(const struct history *h, struct buf *out, size_t name, size_t t)
{
        const struct usage_line *l = cell_of(h, name, t);
        static const struct usage_sum none = {"", 0, 0};
        char when[32];
        clock_format(h->times.starts_ms[t], when);
        for (size_t i = 0; l->requests && (i == 0 || i < l->sum_count); i++) {
                buf_addf(out, "%s,", when);
                csv_cell(out, h->series.keys.lines[name].key);
                if (i == 0)
                        buf_addf(out, ",%lld,%lld,%lld,%lld,%lld,%lld", (long long)l->requests,
                                 (long long)(l->errors + l->interrupted), (long long)l->input,
                                 (long long)l->cached, (long long)l->output, (long long)l->cache_hits);
                else
                        buf_adds(out, ",,,,,,");
                csv_money(out, i < l->sum_count ? &l->sums[i] : &none);
        }
}

static void csv_names(const struct history *h, struct buf *out)
{
        usage_write_csv_head(out, h->by_name);
        for (size_t i = 0; i < h->series.keys.count; i++)
                usage_write_csv(out, h->series.keys.lines[i].key, &h->series.keys.lines[i]);
}

static void csv_times(const struct history *h, struct buf *out)
{
        if (h->by == USAGE_ALL)
                usage_write_csv_head(out, h->by_name);
        else
                buf_addf(out,
                         "time,%s,requests,errors,input,cached,output,cache_hits,cost,saved,currency\r\n",
                         h->by_name);
        for (size_t t = 0; t < h->times.count; t++) {
                char when[32];
                clock_format(h->times.starts_ms[t], when);
                if (h->by == USAGE_ALL)
                        usage_write_csv(out, when, &h->series.times[t]);
                for (size_t i = 0; i < h->series.keys.count; i++)
                        csv_cells(h, out, i, t);
        }
}

bool handle_history_csv(struct exchange *x, struct err *err)
{
        struct history *h = arena_alloc(x->arena, sizeof *h);
        struct buf *out = buf_in_arena(x->arena, OUT_MAX);
        if (!read_history(x, h, err))
                return false;
        if (h->over_time)
                csv_times(h, out);
        else
                csv_names(h, out);
        if (out->failed)
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the history is too long");
        client_set_header(x->client, "content-disposition",
                          arena_printf(x->arena, "attachment; filename=\"tollgate-%s-by-%s%s.csv\"",
                                       h->range->name, h->by_name,
                                       h->over_time && h->by != USAGE_ALL ? "-over-time" : ""));
        exchange_answer(x, "text/csv; charset=utf-8", (struct str){out->data, out->len});
        return true;
}
