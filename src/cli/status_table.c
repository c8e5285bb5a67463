#include "cli/status_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/fault.h"

enum { NAME_MAX_WIDTH = 60, TEXT_ROOM = 640, BAR_WIDTH = 20, COLUMNS_MAX = 12 };

/* ---------------------------------------------------------------- text */

/* Characters, which is near enough to columns for names. */
static size_t width_of(const char *s)
{
        size_t n = 0;
        for (; *s; s++)
                n += ((unsigned char)*s & 0xc0) != 0x80;
        return n;
}

static void add_padded(struct buf *out, const char *s, size_t width, bool right)
{
        size_t has = width_of(s);
        int pad = has < width ? (int)(width - has) : 0;
        buf_addf(out, "%*s%s%*s", right ? pad : 0, "", s, right ? 0 : pad, "");
}

/* Names and words of strangers: no control byte reaches the terminal. */
static const char *clean(char out[TEXT_ROOM], const char *s)
{
        text_escape(out, TEXT_ROOM, s, strlen(s));
        return out;
}

static const char *duration(char out[32], int64_t ms)
{
        if (ms < 1000)
                snprintf(out, 32, "%" PRId64 " ms", ms);
        else if (ms < 120000)
                snprintf(out, 32, "%.1f s", (double)ms / 1000);
        else if (ms < 7200000)
                snprintf(out, 32, "%.1f min", (double)ms / 60000);
        else
                snprintf(out, 32, "%.1f h", (double)ms / 3600000);
        return out;
}

/* ---------------------------------------------------------------- columns */

struct column {
        const char *title;
        bool right;
        void (*cell)(char out[TEXT_ROOM], const struct status_row *row);
};

static void cell_name(char out[TEXT_ROOM], const struct status_row *row)
{
        clean(out, row->name);
}

static void cell_caller(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "  ");
        text_escape(out + 2, TEXT_ROOM - 2, row->name, strlen(row->name));
}

/* The worst that can be said of it. */
static void cell_target_state(char out[TEXT_ROOM], const struct status_row *row)
{
        const char *state = status_breaker_name(row);
        if (!row->provider || row->provider->out_of_service)
                state = "out-of-service";
        else if (row->breaker == BREAKER_CLOSED)
                state = row->cool.left_ms ? "cooling" : "ok";
        snprintf(out, TEXT_ROOM, "%s", state);
}

static void cell_provider_state(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "%s",
                 row->provider->out_of_service ? "out-of-service"
                 : row->cool.left_ms           ? "cooling"
                                               : "ok");
}

static void cell_account_state(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "%s", row->account->enabled ? "ok" : "disabled");
}

static void cell_nothing(char out[TEXT_ROOM], const struct status_row *row)
{
        (void)row;
        out[0] = '\0';
}

static void cell_per(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "%s", status_per_name(row->account->per));
}

static void cell_dialect(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "%s", row->provider->dialect);
}

static void put_count(char out[TEXT_ROOM], const struct status_row *row, int64_t n)
{
        if (row->counted)
                snprintf(out, TEXT_ROOM, "%" PRId64, n);
        else
                snprintf(out, TEXT_ROOM, "-");
}

static void cell_in_flight(char out[TEXT_ROOM], const struct status_row *row)
{
        put_count(out, row, row->in_flight);
}

static void cell_waiting(char out[TEXT_ROOM], const struct status_row *row)
{
        put_count(out, row, row->waiting);
}

static void cell_requests(char out[TEXT_ROOM], const struct status_row *row)
{
        put_count(out, row, row->views.rpm.used);
}

static void cell_tokens(char out[TEXT_ROOM], const struct status_row *row)
{
        put_count(out, row, row->views.tpm.used);
}

static void cell_failed(char out[TEXT_ROOM], const struct status_row *row)
{
        snprintf(out, TEXT_ROOM, "%" PRId64 "/%" PRId64, row->failed, row->calls);
}

static void put_known_ms(char out[TEXT_ROOM], int64_t ms)
{
        char text[32];
        snprintf(out, TEXT_ROOM, "%s", ms ? duration(text, ms) : "-");
}

static void cell_average(char out[TEXT_ROOM], const struct status_row *row)
{
        put_known_ms(out, row->average_ms);
}

static void cell_p50(char out[TEXT_ROOM], const struct status_row *row)
{
        put_known_ms(out, row->p50_ms);
}

static void cell_p95(char out[TEXT_ROOM], const struct status_row *row)
{
        put_known_ms(out, row->p95_ms);
}

#define LOAD_COLUMNS                                                                                         \
        {"IN FLIGHT", true, cell_in_flight}, {"WAITING", true, cell_waiting},                                \
                {"REQ/MIN", true, cell_requests},                                                            \
        {                                                                                                    \
                "TOK/MIN", true, cell_tokens                                                                 \
        }

static const struct column target_columns[] = {{"TARGETS", false, cell_name},
                                               {"STATE", false, cell_target_state},
                                               LOAD_COLUMNS,
                                               {"FAILED", true, cell_failed},
                                               {"FIRST TOKEN", true, cell_average},
                                               {"P50", true, cell_p50},
                                               {"P95", true, cell_p95},
                                               {0}};
static const struct column provider_columns[] = {{"PROVIDERS", false, cell_name},
                                                 {"STATE", false, cell_provider_state},
                                                 LOAD_COLUMNS,
                                                 {"DIALECT", false, cell_dialect},
                                                 {0}};
static const struct column account_columns[] = {{"ACCOUNTS", false, cell_name},
                                                {"STATE", false, cell_account_state},
                                                LOAD_COLUMNS,
                                                {"LIMITS PER", false, cell_per},
                                                {0}};
static const struct column caller_columns[] = {
        {"", false, cell_caller}, {"", false, cell_nothing}, LOAD_COLUMNS, {"", false, cell_nothing}, {0}};

struct widths {
        size_t of[COLUMNS_MAX];
};

static void widen(struct widths *w, const struct column *columns, const struct status_row *row)
{
        char cell[TEXT_ROOM];
        for (size_t i = 0; columns[i].title; i++) {
                columns[i].cell(cell, row);
                size_t has = width_of(cell);
                has = has < NAME_MAX_WIDTH ? has : NAME_MAX_WIDTH;
                w->of[i] = has > w->of[i] ? has : w->of[i];
        }
}

static void end_line(struct buf *out)
{
        while (out->len && out->data[out->len - 1] == ' ')
                out->data[--out->len] = '\0';
        buf_addc(out, '\n');
}

static void add_title(struct buf *out, const struct widths *w, const struct column *columns)
{
        for (size_t i = 0; columns[i].title; i++) {
                buf_adds(out, i ? "  " : "");
                add_padded(out, columns[i].title, w->of[i], columns[i].right);
        }
        end_line(out);
}

static void add_row(struct buf *out, const struct widths *w, const struct column *columns,
                    const struct status_row *row)
{
        char cell[TEXT_ROOM];
        for (size_t i = 0; columns[i].title; i++) {
                columns[i].cell(cell, row);
                buf_adds(out, i ? "  " : "");
                add_padded(out, cell, w->of[i], columns[i].right);
        }
        end_line(out);
}

/* ---------------------------------------------------------------- what there is to say of a row */

static void add_bar(struct buf *out, int64_t used, int64_t max)
{
        int64_t full = used >= max ? BAR_WIDTH : (int64_t)((double)used * BAR_WIDTH / (double)max);
        buf_addc(out, '[');
        for (int64_t i = 0; i < BAR_WIDTH; i++)
                buf_addc(out, i < full ? '#' : '.');
        buf_adds(out, "]  ");
}

static void add_limits(struct buf *out, const struct status_row *row, bool bars, const char *indent)
{
        struct status_limit limits[STATUS_LIMITS];
        char text[32];
        status_limits(row, limits);
        for (size_t i = 0; i < STATUS_LIMITS; i++) {
                const struct limit_view *v = &limits[i].view;
                /* A queue that nobody is in is no news. */
                if (!v->max || (!limits[i].window && !v->used && i == STATUS_LIMITS - 1))
                        continue;
                buf_addf(out, "%s%-10s  ", indent, limits[i].name);
                if (bars)
                        add_bar(out, v->used, v->max);
                buf_addf(out, "%" PRId64 " of %" PRId64 ", %" PRId64 " left", v->used, v->max,
                         v->max > v->used ? v->max - v->used : 0);
                if (v->reset_ms)
                        buf_addf(out, ", all free in %s", duration(text, v->reset_ms));
                buf_addc(out, '\n');
        }
}

static void add_told(struct buf *out, const char *what, const struct status_told *t)
{
        char text[32];
        if (!t->limit)
                return;
        buf_addf(out, "  the provider says: %" PRId64 " of %" PRId64 " %s left", t->left, t->limit, what);
        if (t->reset_ms)
                buf_addf(out, ", all in %s", duration(text, t->reset_ms));
        buf_addc(out, '\n');
}

static void add_cause(struct buf *out, const struct status_trouble *t)
{
        char text[TEXT_ROOM];
        if (t->kind > 0 && t->kind < FAULT_KINDS)
                buf_addf(out, ": %s", fault_row(t->kind)->name);
        if (t->status)
                buf_addf(out, " (%d)", (int)t->status);
        if (t->why[0])
                buf_addf(out, ": %s", clean(text, t->why));
        buf_addc(out, '\n');
}

static void add_breaker(struct buf *out, const struct status_row *row)
{
        char since[32], left[32];
        if (row->breaker == BREAKER_CLOSED)
                return;
        buf_addf(out, "  %s since %s ago, ", row->out ? "out of service" : "open",
                 duration(since, row->broken.since_ms));
        if (row->breaker == BREAKER_PROBING)
                buf_adds(out, "a probe is under way");
        else if (row->broken.left_ms)
                buf_addf(out, "probed in %s", duration(left, row->broken.left_ms));
        else
                buf_adds(out, "the next request probes it");
        add_cause(out, &row->broken);
}

static void add_served(struct buf *out, const struct status_row *row)
{
        char name[TEXT_ROOM], time[32];
        if (!row->served[0] || (row->model && strcmp(row->served, row->model) == 0))
                return;
        clock_format(row->served_since * 1000, time);
        buf_addf(out, "  serves %s since %s\n", clean(name, row->served), time);
}

static void add_details(struct buf *out, const struct status_row *row, bool bars)
{
        char text[32], words[TEXT_ROOM];
        if (row->provider && row->provider->out_of_service)
                buf_addf(out, "  out of service: %s\n", clean(words, row->provider->out_of_service));
        if (!row->provider && row->kind == SLOT_TARGET)
                buf_adds(out, "  its provider is not configured any more\n");
        add_breaker(out, row);
        if (row->cool.left_ms) {
                buf_addf(out, "  cooling down for %s", duration(text, row->cool.left_ms));
                add_cause(out, &row->cool);
        }
        add_limits(out, row, bars, "  ");
        add_told(out, "requests", &row->told_requests);
        add_told(out, "tokens", &row->told_tokens);
        add_served(out, row);
}

/* ---------------------------------------------------------------- sections */

static struct widths measure(const struct column *columns, const struct status_rows *rows)
{
        struct widths w = {0};
        for (size_t i = 0; columns[i].title; i++)
                w.of[i] = width_of(columns[i].title);
        for (size_t i = 0; i < rows->count; i++) {
                widen(&w, columns, &rows->at[i]);
                for (size_t k = 0; k < rows->at[i].caller_count; k++)
                        widen(&w, caller_columns, &rows->at[i].callers[k]);
        }
        return w;
}

static void add_section(struct buf *out, const struct column *columns, const struct status_rows *rows,
                        bool bars)
{
        const struct widths w = measure(columns, rows);
        if (!rows->count)
                return;
        if (out->len)
                buf_addc(out, '\n');
        add_title(out, &w, columns);
        for (size_t i = 0; i < rows->count; i++) {
                const struct status_row *row = &rows->at[i];
                add_row(out, &w, columns, row);
                add_details(out, row, bars);
                for (size_t k = 0; k < row->caller_count; k++) {
                        add_row(out, &w, caller_columns, &row->callers[k]);
                        add_limits(out, &row->callers[k], bars, "    ");
                }
                if (row->caller_total > row->caller_count)
                        buf_addf(out, "  and %zu less busy ones\n", row->caller_total - row->caller_count);
        }
        if (rows->left_out)
                buf_addf(out, "and %zu less busy ones\n", rows->left_out);
}

static void add_version(struct buf *out, const struct status_version *v, size_t width)
{
        const struct config_version *version = v->version;
        char words[TEXT_ROOM];
        add_padded(out, v->name, width, false);
        buf_addf(out, "  %s", v->in_force ? "in force" : v->canary_percent ? "canary" : "by name");
        if (v->canary_percent)
                buf_addf(out, ", for %" PRId64 " %% of callers", v->canary_percent);
        if (v->pin)
                buf_adds(out, ", pinned");
        if (v->pin && v->pin->by)
                buf_addf(out, " by %s", clean(words, v->pin->by));
        if (v->pin && v->pin->at)
                buf_addf(out, " at %s", clean(words, v->pin->at));
        if (v->pin && v->pin->why)
                buf_addf(out, " (%s)", clean(words, v->pin->why));
        if (version->deprecated)
                buf_addf(out, ", deprecated %s%s", v->stage == STAGE_LIVE ? "from " : "since ",
                         version->deprecated);
        if (version->sunset)
                buf_addf(out, ", %s %s", v->stage == STAGE_SUNSET ? "gone since" : "sunset", version->sunset);
        if (version->sunset && version->after_sunset)
                buf_addf(out, ", then %s", version->after_sunset->name);
        buf_addc(out, '\n');
}

static void add_versions(struct buf *out, const struct status *s)
{
        size_t width = strlen("VERSIONS");
        for (size_t i = 0; i < s->version_count; i++) {
                size_t has = width_of(s->versions[i].name);
                width = has > width ? has : width;
        }
        if (!s->version_count)
                return;
        if (out->len)
                buf_addc(out, '\n');
        buf_adds(out, "VERSIONS\n");
        for (size_t i = 0; i < s->version_count; i++)
                add_version(out, &s->versions[i], width);
}

void status_table(const struct status *s, bool bars, struct buf *out)
{
        add_section(out, target_columns, &s->targets, bars);
        add_section(out, provider_columns, &s->providers, bars);
        add_section(out, account_columns, &s->accounts, bars);
        add_versions(out, s);
}
