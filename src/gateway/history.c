/* What the ledger tells for the status page: GET /status/history.json and .csv. Operators only. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "gateway/exchange.h"
#include "store/usage_write.h"

enum { OUT_MAX = 16 << 20, WHY = 512 };

static const struct range {
        const char *name;
        int64_t ms, step_ms;
        enum usage_by by;
} ranges[] = {
        {"hour", 3600000, 60000, USAGE_MINUTE},
        {"day", 86400000, 3600000, USAGE_HOUR},
        {"month", INT64_C(30) * 86400000, 86400000, USAGE_DAY},
};

static const struct {
        const char *name;
        enum usage_by by;
} groupings[] = {{"model", USAGE_MODEL},
                 {"provider", USAGE_PROVIDER},
                 {"account", USAGE_ACCOUNT},
                 {"time", USAGE_ALL}};

struct question {
        const struct range *range;
        const char *by_name;
        enum usage_by by;
        struct usage_filter filter;
};

static const char *parameter(const struct exchange *x, const char *name, const char *fallback)
{
        const struct form_field *f = form_find(&x->request.query, name);
        return f && f->value.at ? f->value.at : fallback;
}

static bool read_question(struct exchange *x, struct question *q, struct err *err)
{
        const char *range = parameter(x, "range", "day"), *by = parameter(x, "by", "model");
        for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
                if (strcmp(ranges[i].name, range) == 0)
                        q->range = &ranges[i];
        }
        for (size_t i = 0; i < sizeof groupings / sizeof *groupings; i++) {
                if (strcmp(groupings[i].name, by) == 0) {
                        q->by_name = groupings[i].name;
                        q->by = groupings[i].by;
                }
        }
        if (!q->range)
                return err_set(err, x->arena, ERR_BAD_REQUEST, "range", "range: expected hour, day or month");
        if (!q->by_name)
                return err_set(err, x->arena, ERR_BAD_REQUEST, "by",
                               "by: expected model, provider, account or time");
        int64_t now = clock_unix_ms();
        q->filter.since_ms = (now - q->range->ms) / q->range->step_ms * q->range->step_ms + q->range->step_ms;
        return true;
}

/* Moments without a request have a line too: a chart shows gaps as gaps. */
static void fill_gaps(struct exchange *x, const struct question *q, struct usage_report *r)
{
        int64_t now = clock_unix_ms(), step = q->range->step_ms;
        size_t count = (size_t)((now - q->filter.since_ms) / step + 1), given = 0;
        struct usage_line *all = arena_alloc(x->arena, (count + r->count + 1) * sizeof *all);
        size_t n = 0;
        for (int64_t at = q->filter.since_ms; at <= now && n < count; at += step) {
                if (given < r->count && r->lines[given].starts_ms <= at) {
                        all[n++] = r->lines[given++];
                        continue;
                }
                char text[32];
                clock_format(at, text);
                text[10] = '\0';
                all[n].key = q->range->by == USAGE_DAY ? arena_strdup(x->arena, text)
                                                       : arena_printf(x->arena, "%s %.5s", text, text + 11);
                all[n++].starts_ms = at;
        }
        while (given < r->count)
                all[n++] = r->lines[given++];
        r->lines = all;
        r->count = n;
}

static bool report(struct exchange *x, const struct question *q, enum usage_by by, struct usage_report *out,
                   struct err *err)
{
        char why[WHY] = "";
        if (!x->config->ledger || !*x->config->ledger)
                return err_set(err, x->arena, ERR_NOT_FOUND, NULL, "there is no ledger");
        struct ledger *l = ledger_open(x->config->ledger, LEDGER_READ, NULL, why);
        bool ok = l && usage_report(l, &q->filter, by, NULL, x->arena, out, why);
        ledger_close(l);
        return ok ||
               err_set(err, x->arena, ERR_OVERLOADED, NULL, "the ledger can't be read; the log says why");
}

bool handle_history(struct exchange *x, struct err *err)
{
        struct question q = {0};
        struct usage_report times = {0}, groups = {0};
        struct json_writer w;
        struct buf *out = buf_in_arena(x->arena, OUT_MAX);
        if (!read_question(x, &q, err) || !report(x, &q, q.range->by, &times, err) ||
            !report(x, &q, q.by == USAGE_ALL ? USAGE_MODEL : q.by, &groups, err))
                return false;
        fill_gaps(x, &q, &times);
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "range", q.range->name);
        jw_key_string(&w, "by", q.by_name);
        jw_key_array(&w, "times");
        for (size_t i = 0; i < times.count; i++)
                usage_write_json(&w, &times.lines[i]);
        jw_end(&w);
        jw_key_array(&w, "groups");
        for (size_t i = 0; i < groups.count; i++)
                usage_write_json(&w, &groups.lines[i]);
        jw_end(&w);
        jw_key(&w, "total");
        usage_write_json(&w, &times.total);
        jw_end(&w);
        if (!jw_done(&w) || !buf_addc(out, '\n'))
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the history is too long");
        exchange_answer(x, "application/json", (struct str){out->data, out->len});
        return true;
}

bool handle_history_csv(struct exchange *x, struct err *err)
{
        struct question q = {0};
        struct usage_report r = {0};
        struct buf *out = buf_in_arena(x->arena, OUT_MAX);
        if (!read_question(x, &q, err) || !report(x, &q, q.by == USAGE_ALL ? q.range->by : q.by, &r, err))
                return false;
        if (q.by == USAGE_ALL)
                fill_gaps(x, &q, &r);
        usage_write_csv_head(out, q.by_name);
        for (size_t i = 0; i < r.count; i++)
                usage_write_csv(out, r.lines[i].key, &r.lines[i]);
        if (out->failed)
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the history is too long");
        client_set_header(x->client, "content-disposition",
                          arena_printf(x->arena, "attachment; filename=\"tollgate-%s-by-%s.csv\"",
                                       q.range->name, q.by_name));
        exchange_answer(x, "text/csv; charset=utf-8", (struct str){out->data, out->len});
        return true;
}
