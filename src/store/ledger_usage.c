/* Reports: one pass over the rows, grouped here (SQLite would sort them first). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/ledger_filter.h"
#include "store/usage_times.h"

enum {
        SQL_MAX = 4096,
        KEY_MAX = 512,
        LINES_MAX = 100000,
        CELLS_MAX = 500,
        MINUTE_MS = 60000,
        HOUR_MS = 3600000
};

const char *usage_by_name(enum usage_by by)
{
        static const char *const names[USAGE_BYS] = {"all", "account", "model", "provider", "version",
                                                     "day", "hour",    "user",  "error",    "minute"};
        return by < USAGE_BYS ? names[by] : "";
}

/* ---- groups ---- */

struct group {
        struct usage_line line;
        size_t len; /* of the key */
        uint64_t hash;
        struct usage_times first, total;
};

struct report {
        struct arena *arena;
        enum usage_by by;
        const struct zone *zone;
        struct zone_day day; /* of the row before */
        struct group *groups;
        size_t count, room;
        uint32_t *table; /* index + 1 of a group; 0: free */
        size_t table_size;
        size_t last;               /* the group of the row before */
        int64_t from_ms, until_ms; /* by time: what it holds */
};

static uint64_t hash_of(const char *s, size_t len)
{
        uint64_t h = UINT64_C(14695981039346656037);
        for (size_t i = 0; i < len; i++)
                h = (h ^ (unsigned char)s[i]) * UINT64_C(1099511628211);
        return h ^ h >> 31;
}

static void *grown(struct report *r, void *old, size_t count, size_t room, size_t size)
{
        void *more = arena_alloc(r->arena, room * size);
        if (count)
                memcpy(more, old, count * size);
        return more;
}

static void rehash(struct report *r)
{
        r->table_size = r->table_size ? r->table_size * 2 : 256;
        r->table = arena_alloc(r->arena, r->table_size * sizeof *r->table);
        for (size_t i = 0; i < r->count; i++) {
                size_t at = r->groups[i].hash & (r->table_size - 1);
                while (r->table[at])
                        at = (at + 1) & (r->table_size - 1);
                r->table[at] = (uint32_t)i + 1;
        }
}

static bool is_group(const struct group *g, const char *key, size_t len, int64_t starts_ms)
{
        return g->line.starts_ms == starts_ms && g->len == len && memcmp(g->line.key, key, len) == 0;
}

/* Beyond LINES_MAX (users of a large site, minutes of a year) the rest is one line. */
static size_t group_of(struct report *r, const char *key, size_t len, int64_t starts_ms)
{
        static const char others[] = "(others)";
        if (r->count && is_group(&r->groups[r->last], key, len, starts_ms))
                return r->last;
        uint64_t hash = hash_of(key, len) ^ (uint64_t)starts_ms;
        if (r->count * 2 >= r->table_size)
                rehash(r);
        size_t at = hash & (r->table_size - 1);
        for (; r->table[at]; at = (at + 1) & (r->table_size - 1)) {
                const struct group *g = &r->groups[r->table[at] - 1];
                if (g->hash == hash && is_group(g, key, len, starts_ms))
                        return r->table[at] - 1;
        }
        if (r->count >= LINES_MAX && strcmp(key, others) != 0)
                return group_of(r, others, sizeof others - 1, 0);
        if (r->count == r->room) {
                r->room = r->room ? r->room * 2 : 64;
                r->groups = grown(r, r->groups, r->count, r->room, sizeof *r->groups);
        }
        r->groups[r->count] =
                (struct group){.line = {.key = arena_strndup(r->arena, key, len), .starts_ms = starts_ms},
                               .len = len,
                               .hash = hash};
        r->table[at] = (uint32_t)++r->count;
        return r->count - 1;
}

static struct usage_sum *sum_of(struct report *r, struct usage_line *line, const char *currency)
{
        for (size_t i = 0; i < line->sum_count; i++) {
                if (strcmp(line->sums[i].currency, currency) == 0)
                        return &line->sums[i];
        }
        line->sums = grown(r, line->sums, line->sum_count, line->sum_count + 1, sizeof *line->sums);
        line->sums[line->sum_count] = (struct usage_sum){.currency = arena_strdup(r->arena, currency)};
        return &line->sums[line->sum_count++];
}

/* ---- one row ---- */

/* In the order of the columns that are read. */
enum column {
        C_ID,
        C_OUTCOME,
        C_ATTEMPTS,
        C_RETRIES,
        C_RESCUES,
        C_HEDGES,
        C_CACHE_HIT,
        C_IMAGES,
        C_INPUT,
        C_CACHED,
        C_CACHE_WRITE,
        C_OUTPUT,
        C_REASONING,
        C_ESTIMATED,
        C_PRICED,
        C_COST,
        C_SAVED,
        C_CURRENCY,
        C_FIRST,
        C_TOTAL,
        C_KEY,
        C_KEY2
};
static const char columns[] =
        "id, outcome, attempts, retries, rescues, hedges, cache_hit, images, input, cached, "
        "cache_write, output, reasoning, estimated, priced, cost_pico, saved_pico, currency, "
        "first_token_ms, total_ms";
static const char *const key_columns[USAGE_BYS] = {
        [USAGE_ALL] = "NULL, NULL",         [USAGE_ACCOUNT] = "account, NULL",
        [USAGE_MODEL] = "model, NULL",      [USAGE_PROVIDER] = "provider, NULL",
        [USAGE_VERSION] = "model, version", [USAGE_DAY] = "NULL, NULL",
        [USAGE_HOUR] = "NULL, NULL",        [USAGE_USER] = "user, NULL",
        [USAGE_ERROR] = "error, outcome",   [USAGE_MINUTE] = "NULL, NULL",
};

static const char *text(sqlite3_stmt *s, enum column c)
{
        const char *t = (const char *)sqlite3_column_text(s, c);
        return t ? t : "";
}

/* "2026-11-26", "2026-11-26 14:00" as the zone's clocks show it: where they are put back an hour comes twice,
 * told apart by its start. */
static size_t time_group(struct report *r, int64_t ms)
{
        char key[KEY_MAX];
        if (r->count && ms >= r->from_ms && ms < r->until_ms)
                return r->last;
        if (ms / 1000 < r->day.starts || ms / 1000 >= r->day.ends)
                r->day = zone_day_of(r->zone, ms / 1000);
        struct zone_date date = zone_date_of(r->day.number);
        int len = snprintf(key, sizeof key, "%04d-%02d-%02d", date.year, date.month, date.day);
        int64_t starts = r->day.starts * 1000;
        r->until_ms = r->day.ends * 1000;
        if (r->by != USAGE_DAY) {
                int64_t step = r->by == USAGE_HOUR ? HOUR_MS : MINUTE_MS;
                starts += (ms - starts) / step * step;
                r->until_ms = starts + step < r->until_ms ? starts + step : r->until_ms;
                int minutes = (int)(zone_local(r->zone, starts / 1000) / 60 % 1440);
                len += snprintf(key + len, sizeof key - (size_t)len, " %02d:%02d", minutes / 60,
                                minutes % 60);
        }
        r->from_ms = starts;
        return group_of(r, key, (size_t)len, starts);
}

static size_t row_group(struct report *r, sqlite3_stmt *s)
{
        char key[KEY_MAX];
        const char *one = text(s, C_KEY), *two;
        switch (r->by) {
        case USAGE_DAY:
        case USAGE_HOUR:
        case USAGE_MINUTE: return time_group(r, sqlite3_column_int64(s, C_ID) >> 20);
        case USAGE_VERSION:
                two = text(s, C_KEY2);
                if (*two && strlen(one) + strlen(two) + 2 < sizeof key)
                        one = strcpy(key, one), strcpy(stpcpy(key + strlen(key), "@"), two);
                break;
        case USAGE_ERROR:
                if (!*one && strcmp(text(s, C_KEY2), "ok") != 0)
                        one = text(s, C_KEY2);
                break;
        case USAGE_ALL: one = ""; break;
        default: break;
        }
        return group_of(r, one, strlen(one), 0);
}

static void add_counts(struct report *r, struct usage_line *l, sqlite3_stmt *s)
{
        const char *outcome = text(s, C_OUTCOME);
        l->requests++;
        l->errors += strcmp(outcome, "error") == 0;
        l->interrupted += strcmp(outcome, "interrupted") == 0;
        const struct {
                int64_t *to;
                enum column from;
        } sums[] = {
                {&l->attempts, C_ATTEMPTS}, {&l->retries, C_RETRIES},      {&l->rescues, C_RESCUES},
                {&l->hedges, C_HEDGES},     {&l->cache_hits, C_CACHE_HIT}, {&l->images, C_IMAGES},
                {&l->input, C_INPUT},       {&l->cached, C_CACHED},        {&l->cache_write, C_CACHE_WRITE},
                {&l->output, C_OUTPUT},     {&l->reasoning, C_REASONING},  {&l->estimated, C_ESTIMATED},
        };
        for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
                *sums[i].to += sqlite3_column_int64(s, (int)sums[i].from);
        l->unpriced += sqlite3_column_int64(s, C_ATTEMPTS) > 0 && !sqlite3_column_int64(s, C_PRICED);
        int64_t cost = sqlite3_column_int64(s, C_COST), saved = sqlite3_column_int64(s, C_SAVED);
        if (cost || saved) {
                struct usage_sum *sum = sum_of(r, l, text(s, C_CURRENCY));
                sum->cost_pico += cost;
                sum->saved_pico += saved;
        }
}

static void add_to(struct report *r, struct group *g, sqlite3_stmt *s)
{
        add_counts(r, &g->line, s);
        usage_times_add(&g->first, r->arena, sqlite3_column_int64(s, C_FIRST));
        usage_times_add(&g->total, r->arena, sqlite3_column_int64(s, C_TOTAL));
}

/* ---- the whole ---- */

/* Everything but key, start and percentiles is a number of 64 bits, from `requests` to `unpriced`. */
static void add_group(struct report *r, struct group *all, const struct group *g)
{
        int64_t *to = &all->line.requests;
        const int64_t *from = &g->line.requests;
        size_t count =
                (offsetof(struct usage_line, sums) - offsetof(struct usage_line, requests)) / sizeof *to;
        for (size_t i = 0; i < count; i++)
                to[i] += from[i];
        for (size_t i = 0; i < g->line.sum_count; i++) {
                struct usage_sum *sum = sum_of(r, &all->line, g->line.sums[i].currency);
                sum->cost_pico += g->line.sums[i].cost_pico;
                sum->saved_pico += g->line.sums[i].saved_pico;
        }
        usage_times_merge(&all->first, r->arena, &g->first);
        usage_times_merge(&all->total, r->arena, &g->total);
}

static int by_currency(const void *a, const void *b)
{
        return strcmp(((const struct usage_sum *)a)->currency, ((const struct usage_sum *)b)->currency);
}

static void finish(struct group *g)
{
        static const int percents[3] = {50, 95, 99};
        for (size_t i = 0; i < 3; i++) {
                g->line.first_token_ms[i] = usage_times_percentile(&g->first, percents[i]);
                g->line.total_ms[i] = usage_times_percentile(&g->total, percents[i]);
        }
        if (g->line.sum_count)
                qsort(g->line.sums, g->line.sum_count, sizeof *g->line.sums, by_currency);
}

static __int128 cost_of(const struct usage_line *l)
{
        return l->sum_count ? l->sums[0].cost_pico : 0;
}

static int by_cost(const void *a, const void *b)
{
        const struct usage_line *x = a, *y = b;
        if (x->starts_ms != y->starts_ms)
                return x->starts_ms < y->starts_ms ? -1 : 1;
        if (cost_of(x) != cost_of(y))
                return cost_of(x) > cost_of(y) ? -1 : 1;
        if (x->requests != y->requests)
                return x->requests > y->requests ? -1 : 1;
        return strcmp(x->key, y->key);
}

static sqlite3_stmt *prepare(struct ledger *l, const struct usage_filter *f, enum usage_by by, char why[512])
{
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        buf_addf(&sql, "SELECT %s, %s FROM requests WHERE 1", columns, key_columns[by]);
        ledger_filter_sql(f, &sql);
        return ledger_filtered(l, &sql, f, why);
}

/* Lines in order, and the total. */
static void conclude(struct report *r, struct usage_report *out)
{
        struct group all = {.line = {.key = ""}};
        *out = (struct usage_report){.lines = arena_alloc(r->arena, (r->count + 1) * sizeof *out->lines),
                                     .count = r->by == USAGE_ALL ? 0 : r->count};
        for (size_t i = 0; i < r->count; i++) {
                add_group(r, &all, &r->groups[i]);
                finish(&r->groups[i]);
                out->lines[i] = r->groups[i].line;
        }
        finish(&all);
        out->total = all.line;
        qsort(out->lines, out->count, sizeof *out->lines, by_cost);
}

bool usage_report(struct ledger *l, const struct usage_filter *f, enum usage_by by, const struct zone *zone,
                  struct arena *a, struct usage_report *out, char why[512])
{
        struct report r = {.arena = a, .by = by, .zone = zone};
        sqlite3_stmt *s = prepare(l, f, by, why);
        int code;
        if (!s)
                return false;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                r.last = row_group(&r, s);
                add_to(&r, &r.groups[r.last], s);
        }
        sqlite3_finalize(s);
        if (code != SQLITE_DONE)
                return ledger_failed(l, why);
        conclude(&r, out);
        return true;
}

/* ---- over time ---- */

/* The stretch that holds a moment; the first one also what is before it. */
static size_t stretch_of(const int64_t *starts_ms, size_t count, int64_t ms)
{
        size_t low = 0, high = count;
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;
                *(starts_ms[middle] <= ms ? &low : &high) = middle;
        }
        return low;
}

/* Names without end are none that a chart shows: from the CELLS_MAX-th on a key has no cells. */
static struct usage_line *cell_of(struct report *keys, struct usage_line **cells, size_t count,
                                  size_t stretch)
{
        size_t k = keys->last;
        if (k >= CELLS_MAX)
                return NULL;
        if (!cells[k]) {
                cells[k] = arena_alloc(keys->arena, count * sizeof **cells);
                for (size_t i = 0; i < count; i++)
                        cells[k][i].key = "";
        }
        return &cells[k][stretch];
}

static struct usage_line **sorted_cells(struct report *keys, struct usage_line **cells,
                                        const struct usage_report *report)
{
        struct usage_line **out = arena_alloc(keys->arena, (report->count + 1) * sizeof(struct usage_line *));
        for (size_t i = 0; i < report->count; i++) {
                size_t k = group_of(keys, report->lines[i].key, strlen(report->lines[i].key), 0);
                out[i] = k < CELLS_MAX ? cells[k] : NULL;
        }
        return out;
}

bool usage_series(struct ledger *l, const struct usage_filter *f, const int64_t *starts_ms, size_t count,
                  enum usage_by by, struct arena *a, struct usage_series *out, char why[512])
{
        struct report keys = {.arena = a, .by = by};
        struct group *times = arena_alloc(a, (count + 1) * sizeof *times);
        struct usage_line **cells = arena_alloc(a, CELLS_MAX * sizeof(struct usage_line *));
        sqlite3_stmt *s = prepare(l, f, by, why);
        int code;
        if (!s)
                return false;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                size_t stretch = stretch_of(starts_ms, count, sqlite3_column_int64(s, C_ID) >> 20);
                keys.last = row_group(&keys, s);
                struct usage_line *cell = cell_of(&keys, cells, count, stretch);
                add_to(&keys, &keys.groups[keys.last], s);
                add_to(&keys, &times[stretch], s);
                if (cell)
                        add_counts(&keys, cell, s);
        }
        sqlite3_finalize(s);
        if (code != SQLITE_DONE)
                return ledger_failed(l, why);
        conclude(&keys, &out->keys);
        out->cells = sorted_cells(&keys, cells, &out->keys);
        out->times = arena_alloc(a, (count + 1) * sizeof *out->times);
        for (size_t i = 0; i < count; i++) {
                finish(&times[i]);
                times[i].line.key = "";
                times[i].line.starts_ms = starts_ms[i];
                out->times[i] = times[i].line;
        }
        return true;
}
