#include "store/invoice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"

enum { LINES_MAX = 200000, SECONDS_OF_DAY = 86400 };

#define SHOWN_UNIT INT64_C(1000000) /* 1e-12 units in the last of INVOICE_PLACES */

/* ---- small facts ---- */

static bool digits(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return false;
        }
        return true;
}

bool invoice_month(const char *text, int *year, int *month)
{
        if (strlen(text) != 7 || text[4] != '-' || !digits(text, 4) || !digits(text + 5, 2))
                return false;
        *year = atoi(text);
        *month = atoi(text + 5);
        return *year >= 1970 && *month >= 1 && *month <= 12;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
        y -= m <= 2;
        int64_t era = y / 400, yoe = y - era * 400;
        int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
        return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static const char *day_text(struct arena *a, int64_t z)
{
        z += 719468;
        int64_t era = z / 146097, doe = z - era * 146097;
        int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
        int64_t d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
        return arena_printf(a, "%04lld-%02lld-%02lld", (long long)(yoe + era * 400 + (m <= 2)), (long long)m,
                            (long long)d);
}

int64_t invoice_month_starts(const struct zone *z, int year, int month)
{
        int64_t wanted = days_from_civil(year, month, 1);
        struct zone_day day = zone_day_of(z, wanted * SECONDS_OF_DAY);
        /* No zone is more than a day away from UTC; a day may be missing from one (Samoa, 2011). */
        while (day.number > wanted)
                day = zone_day_of(z, day.starts - 1);
        while (day.number < wanted)
                day = zone_day_of(z, day.ends);
        return day.starts;
}

unsigned invoice_places(const char *currency)
{
        static const char none[][4] = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
                                       "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"};
        static const char three[][4] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"};
        for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
                if (strcmp(none[i], currency) == 0)
                        return 0;
        }
        for (size_t i = 0; i < sizeof three / sizeof *three; i++) {
                if (strcmp(three[i], currency) == 0)
                        return 3;
        }
        return 2;
}

bool invoice_percent(const char *text, int64_t *micro)
{
        int64_t pico;
        if (!money_parse(text, &pico) || pico > 100 * MONEY_PICO || pico % (MONEY_PICO / 10000))
                return false;
        *micro = pico / (MONEY_PICO / 10000);
        return true;
}

/* ---- sums ---- */

static int by_rest(const void *a, const void *b)
{
        const struct invoice_line *x = *(struct invoice_line *const *)a,
                                  *y = *(struct invoice_line *const *)b;
        __int128 rx = x->pico - x->shown, ry = y->pico - y->shown;
        /* Lines keep their order where the rests are equal: an invoice is always the same. */
        return rx < ry ? 1 : rx > ry ? -1 : x < y ? -1 : x > y;
}

/* Each line is cut to the places shown; what the cuts leave of the total goes to the lines that lost most. */
static void share_out(struct invoice *inv)
{
        struct invoice_line **order = malloc((inv->line_count + 1) * sizeof *order);
        __int128 cut = 0;
        if (!order)
                abort();
        for (size_t i = 0; i < inv->line_count; i++) {
                struct invoice_line *line = &inv->lines[i];
                line->shown = line->pico - line->pico % SHOWN_UNIT;
                cut += line->shown;
                order[i] = line;
        }
        qsort(order, inv->line_count, sizeof *order, by_rest);
        for (size_t i = 0; i < inv->line_count && cut < inv->shown; i++, cut += SHOWN_UNIT)
                order[i]->shown += SHOWN_UNIT;
        free(order);
}

void invoice_reckon(struct invoice *inv)
{
        int64_t percent_micro = 0;
        inv->exact = 0;
        inv->requests = 0;
        for (size_t i = 0; i < inv->line_count; i++) {
                inv->exact += inv->lines[i].pico;
                inv->requests += inv->lines[i].requests;
        }
        inv->places = invoice_places(inv->currency);
        inv->shown = money_round(inv->exact, INVOICE_PLACES);
        share_out(inv);
        inv->net = money_round(inv->exact, inv->places);
        inv->rounding = inv->net - inv->shown;
        invoice_percent(inv->tax_percent, &percent_micro);
        /* net × percent is exact in 1e-12: both are whole multiples of larger units. */
        inv->tax = money_round(inv->net * percent_micro / 1000000, inv->places);
        inv->gross = inv->net + inv->tax;
}

/* ---- collecting ---- */

struct collect {
        const struct invoice_ask *ask;
        struct arena *arena;
        struct invoice *out;
        size_t room;
        struct zone_day day; /* of the line before */
};

static const char *column(sqlite3_stmt *s, int i)
{
        const char *text = (const char *)sqlite3_column_text(s, i);
        return text ? text : "";
}

static struct invoice_line *find_line(struct collect *c, const char *day, const char *model)
{
        struct invoice *inv = c->out;
        /* Rows come in the order of time: a day's lines are the last ones. */
        for (size_t i = inv->line_count; i-- > 0 && strcmp(inv->lines[i].day, day) == 0;) {
                if (strcmp(inv->lines[i].model, model) == 0)
                        return &inv->lines[i];
        }
        if (inv->line_count == LINES_MAX)
                return NULL;
        if (inv->line_count == c->room) {
                struct invoice_line *old = inv->lines;
                c->room = c->room ? c->room * 2 : 64;
                inv->lines = arena_alloc(c->arena, c->room * sizeof *inv->lines);
                if (inv->line_count)
                        memcpy(inv->lines, old, inv->line_count * sizeof *old);
        }
        struct invoice_line *line = &inv->lines[inv->line_count++];
        *line = (struct invoice_line){.day = day, .model = arena_strdup(c->arena, model)};
        return line;
}

static bool add_row(struct collect *c, sqlite3_stmt *s)
{
        int64_t unix_s = sqlite3_column_int64(s, 0) / 1000;
        const char *day = c->out->line_count ? c->out->lines[c->out->line_count - 1].day : NULL;
        if (!day || unix_s < c->day.starts || unix_s >= c->day.ends) {
                c->day = zone_day_of(c->ask->account->budget.days, unix_s);
                day = day_text(c->arena, c->day.number);
        }
        struct invoice_line *line = find_line(c, day, column(s, 1));
        if (!line)
                return false;
        line->requests++;
        line->input += sqlite3_column_int64(s, 2);
        line->cached += sqlite3_column_int64(s, 3);
        line->output += sqlite3_column_int64(s, 4);
        line->pico += sqlite3_column_int64(s, 5);
        return true;
}

static int by_day_and_model(const void *a, const void *b)
{
        const struct invoice_line *x = a, *y = b;
        int days = strcmp(x->day, y->day);
        return days ? days : strcmp(x->model, y->model);
}

static bool failed(struct ledger *l, char why[512])
{
        snprintf(why, 512, "the ledger: %s", sqlite3_errmsg(ledger_sqlite(l)));
        return false;
}

/* The one currency of the month's charges; "": there are none. Several: why. */
static bool find_currency(struct ledger *l, const struct invoice_ask *ask, int64_t from_ms, int64_t until_ms,
                          struct arena *a, const char **currency, char why[512])
{
        static const char sql[] = "SELECT DISTINCT charge_currency FROM requests WHERE id >= ?1 << 20 AND "
                                  "id < ?2 << 20 AND account = ?3 AND charge_pico > 0 ORDER BY 1";
        sqlite3_stmt *s = NULL;
        const char *list = "";
        int found = 0, rc;
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK)
                return failed(l, why);
        sqlite3_bind_int64(s, 1, from_ms);
        sqlite3_bind_int64(s, 2, until_ms);
        sqlite3_bind_text(s, 3, ask->account->name, -1, SQLITE_STATIC);
        for (; (rc = sqlite3_step(s)) == SQLITE_ROW; found++)
                list = arena_printf(a, "%s%s%s", list, found ? ", " : "", column(s, 0));
        sqlite3_finalize(s);
        if (rc != SQLITE_DONE)
                return failed(l, why);
        *currency = found == 1 ? list : "";
        if (found > 1)
                snprintf(why, 512, "%s was charged in %s in that month: say which with --currency",
                         ask->account->name, list);
        return found <= 1;
}

static bool read_rows(struct ledger *l, struct collect *c, int64_t from_ms, int64_t until_ms, char why[512])
{
        static const char sql[] =
                "SELECT time_ms, model, input, cached, output, charge_pico FROM requests "
                "WHERE id >= ?1 << 20 AND id < ?2 << 20 AND account = ?3 AND charge_pico > 0 AND "
                "charge_currency = ?4 ORDER BY id";
        sqlite3_stmt *s = NULL;
        int rc;
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK)
                return failed(l, why);
        sqlite3_bind_int64(s, 1, from_ms);
        sqlite3_bind_int64(s, 2, until_ms);
        sqlite3_bind_text(s, 3, c->ask->account->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 4, c->out->currency, -1, SQLITE_STATIC);
        while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
                if (!add_row(c, s)) {
                        sqlite3_finalize(s);
                        snprintf(why, 512, "more than %d lines", LINES_MAX);
                        return false;
                }
        }
        sqlite3_finalize(s);
        return rc == SQLITE_DONE || failed(l, why);
}

static void find_purse(const struct ledger_purse *p, void *context)
{
        struct collect *c = context;
        if (strcmp(p->account, c->ask->account->name) == 0)
                c->out->prepaid = true;
}

bool invoice_collect(struct ledger *l, const struct invoice_ask *ask, struct arena *a, struct invoice *out,
                     char why[512])
{
        const struct zone *z = ask->account->budget.days;
        bool last = ask->month == 12;
        int64_t from = invoice_month_starts(z, ask->year, ask->month);
        int64_t until = invoice_month_starts(z, ask->year + last, last ? 1 : ask->month + 1);
        struct collect c = {.ask = ask, .arena = a, .out = out};
        *out = (struct invoice){
                .account = ask->account->name,
                .month = arena_printf(a, "%04d-%02d", ask->year, ask->month),
                .currency = ask->currency,
                .zone = ask->account->budget.zone,
                .issued = "",
                .from = day_text(a, zone_day_of(z, from).number),
                .until = day_text(a, zone_day_of(z, until - 1).number),
                .seller = ask->config->seller,
                .buyer = ask->account->buyer,
                .tax_percent = ask->tax_percent,
        };
        if (!out->currency && !find_currency(l, ask, from * 1000, until * 1000, a, &out->currency, why))
                return false;
        if (!*out->currency)
                out->currency = ask->account->budget.currency;
        if (!read_rows(l, &c, from * 1000, until * 1000, why) || !ledger_purses(l, find_purse, &c))
                return false;
        qsort(out->lines, out->line_count, sizeof *out->lines, by_day_and_model);
        invoice_reckon(out);
        return true;
}
