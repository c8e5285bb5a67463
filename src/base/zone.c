#include "base/zone.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/zone_parse.h"

#define ZONE_FOLDER "/usr/share/zoneinfo/"

enum { DAY_S = 86400, FILE_MAX = 64 << 10, TIMES_MAX = 4000, TYPES_MAX = 256, OFFSET_MAX = 26 * 3600 };

/* A rule of the footer (POSIX TZ): when a time begins in a year. */
struct rule {
        enum { RULE_JULIAN, RULE_DAY, RULE_MONTH } kind;
        int month, week, day;
        int64_t time_s;
};

struct zone {
        size_t count;
        int64_t *times;   /* of changes, unix seconds, rising */
        int32_t *offsets; /* seconds east of UTC from times[i] on */
        int32_t first;    /* before the first change */
        bool has_footer, has_summer;
        int32_t standard, summer; /* of the footer, after the last change */
        struct rule begins, ends; /* of summer time */
};

/* ---------------------------------------------------------------- calendar (proleptic Gregorian) */

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b < 0);
}

static bool is_leap(int64_t y)
{
        return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to the first day of a year. */
static int64_t year_day(int64_t y)
{
        y--;
        return 365 * (y - 1969) + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 477;
}

static int64_t year_of(int64_t day)
{
        int64_t y = 1970 + floor_div(day, 366);
        while (year_day(y + 1) <= day)
                y++;
        while (year_day(y) > day)
                y--;
        return y;
}

static int month_day(int64_t year, int month)
{
        static const int days[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
        return days[month - 1] + (month > 2 && is_leap(year));
}

static int month_length(int64_t year, int month)
{
        static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        return lengths[month - 1] + (month == 2 && is_leap(year));
}

/* ---------------------------------------------------------------- the footer */

/* Local seconds since 1970 at which a rule comes true in a year. */
static int64_t rule_time(const struct rule *r, int64_t year)
{
        int64_t day = year_day(year);
        if (r->kind == RULE_DAY) {
                day += r->day;
        } else if (r->kind == RULE_JULIAN) {
                /* 1 to 365: the 29th of February is never counted. */
                day += r->day - 1 + (is_leap(year) && r->day > 59);
        } else {
                int64_t first = day + month_day(year, r->month);
                int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
                int date = (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
                while (date >= month_length(year, r->month))
                        date -= 7;
                day = first + date;
        }
        return day * DAY_S + r->time_s;
}

static int32_t footer_offset(const struct zone *z, int64_t unix_s)
{
        if (!z->has_summer)
                return z->standard;
        int64_t year = year_of(floor_div(unix_s + z->standard, DAY_S));
        int64_t begins = rule_time(&z->begins, year) - z->standard,
                ends = rule_time(&z->ends, year) - z->summer;
        bool summer = begins < ends ? unix_s >= begins && unix_s < ends : unix_s >= begins || unix_s < ends;
        return summer ? z->summer : z->standard;
}

struct reader {
        const char *at, *end;
};

static bool take(struct reader *r, char c)
{
        if (r->at == r->end || *r->at != c)
                return false;
        r->at++;
        return true;
}

static bool number(struct reader *r, int max, int *out)
{
        int n = 0, digits = 0;
        for (; r->at < r->end && isdigit((unsigned char)*r->at) && digits < 4; r->at++, digits++)
                n = n * 10 + (*r->at - '0');
        *out = n;
        return digits > 0 && n <= max;
}

/* "EST" or "<+03>" */
static bool name(struct reader *r)
{
        const char *from = r->at;
        if (take(r, '<')) {
                while (r->at < r->end && *r->at != '>')
                        r->at++;
                return take(r, '>');
        }
        while (r->at < r->end && isalpha((unsigned char)*r->at))
                r->at++;
        return r->at - from >= 3;
}

/* [+-]h[h][:mm[:ss]], hours up to 167 as RFC 8536 lets rules have */
static bool duration(struct reader *r, int64_t *out)
{
        int h = 0, m = 0, s = 0;
        bool negative = take(r, '-');
        if (!negative)
                take(r, '+');
        if (!number(r, 167, &h) ||
            (take(r, ':') && (!number(r, 59, &m) || (take(r, ':') && !number(r, 59, &s)))))
                return false;
        *out = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
        return true;
}

static bool offset(struct reader *r, int32_t *out)
{
        int64_t west;
        if (!duration(r, &west) || west > OFFSET_MAX || west < -OFFSET_MAX)
                return false;
        *out = (int32_t)-west;
        return true;
}

static bool rule(struct reader *r, struct rule *out)
{
        bool ok;
        if (take(r, 'M')) {
                out->kind = RULE_MONTH;
                ok = number(r, 12, &out->month) && out->month >= 1 && take(r, '.') &&
                     number(r, 5, &out->week) && out->week >= 1 && take(r, '.') && number(r, 6, &out->day);
        } else if (take(r, 'J')) {
                out->kind = RULE_JULIAN;
                ok = number(r, 365, &out->day) && out->day >= 1;
        } else {
                out->kind = RULE_DAY;
                ok = number(r, 365, &out->day);
        }
        out->time_s = 7200;
        return ok && (!take(r, '/') || duration(r, &out->time_s));
}

static bool footer(struct zone *z, struct reader *r)
{
        if (!name(r) || !offset(r, &z->standard))
                return false;
        if (r->at == r->end)
                return true;
        z->has_summer = true;
        if (!name(r))
                return false;
        z->summer = z->standard + 3600;
        if (r->at < r->end && *r->at != ',' && !offset(r, &z->summer))
                return false;
        return take(r, ',') && rule(r, &z->begins) && take(r, ',') && rule(r, &z->ends) && r->at == r->end;
}

/* ---------------------------------------------------------------- TZif (RFC 8536, section 3) */

static int64_t big_endian(const unsigned char *p, size_t bytes)
{
        uint64_t n = p[0] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < bytes; i++)
                n = n << 8 | p[i];
        return (int64_t)n;
}

struct head {
        char version;
        size_t isut, isstd, leap, times, types, chars;
        size_t size; /* of the block behind it */
};

enum { HEAD_BYTES = 44, TYPE_BYTES = 6 };

static bool read_head(const unsigned char *p, size_t len, size_t time_bytes, struct head *h)
{
        size_t counts[6];
        if (len < HEAD_BYTES || memcmp(p, "TZif", 4) != 0)
                return false;
        for (size_t i = 0; i < 6; i++) {
                int64_t n = big_endian(p + 20 + 4 * i, 4);
                if (n < 0 || n > FILE_MAX)
                        return false;
                counts[i] = (size_t)n;
        }
        *h = (struct head){(char)p[4], counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], 0};
        h->size = h->times * (time_bytes + 1) + h->types * TYPE_BYTES + h->chars +
                  h->leap * (time_bytes + 4) + h->isstd + h->isut;
        return h->times <= TIMES_MAX && h->types >= 1 && h->types <= TYPES_MAX && len - HEAD_BYTES >= h->size;
}

static bool read_block(struct zone *z, const unsigned char *p, const struct head *h, size_t time_bytes)
{
        const unsigned char *kinds = p + h->times * time_bytes, *types = kinds + h->times;
        z->times = calloc(h->times + 1, sizeof *z->times);
        z->offsets = calloc(h->times + 1, sizeof *z->offsets);
        if (!z->times || !z->offsets)
                abort();
        for (size_t i = 0; i < h->times; i++) {
                if (kinds[i] >= h->types)
                        return false;
                z->times[i] = big_endian(p + i * time_bytes, time_bytes);
                z->offsets[i] = (int32_t)big_endian(types + TYPE_BYTES * kinds[i], 4);
                if ((i && z->times[i] <= z->times[i - 1]) || z->offsets[i] > OFFSET_MAX ||
                    z->offsets[i] < -OFFSET_MAX)
                        return false;
        }
        z->count = h->times;
        z->first = (int32_t)big_endian(types, 4);
        return z->first <= OFFSET_MAX && z->first >= -OFFSET_MAX;
}

struct zone *zone_parse(const void *bytes, size_t len)
{
        const unsigned char *p = bytes, *end = p + len;
        struct zone *z = calloc(1, sizeof *z);
        struct head h;
        if (!z)
                abort();
        if (!read_head(p, len, 4, &h))
                goto bad;
        if (h.version < '2') {
                if (!read_block(z, p + HEAD_BYTES, &h, 4))
                        goto bad;
                return z;
        }
        p += HEAD_BYTES + h.size;
        if (!read_head(p, (size_t)(end - p), 8, &h) || !read_block(z, p + HEAD_BYTES, &h, 8))
                goto bad;
        p += HEAD_BYTES + h.size;
        if (end - p > 2 && p[0] == '\n' && end[-1] == '\n') {
                struct reader r = {(const char *)p + 1, (const char *)end - 1};
                z->has_footer = true;
                if (!footer(z, &r))
                        goto bad;
        }
        return z;
bad:
        zone_free(z);
        return NULL;
}

/* ---------------------------------------------------------------- zones by name */

struct zone *zone_open(const char *zone_name, const char **why)
{
        char path[sizeof ZONE_FOLDER + 80];
        struct zone *z = NULL;
        struct buf file;
        if (!*zone_name || strlen(zone_name) > 64 || *zone_name == '/' || strstr(zone_name, "..")) {
                *why = "is no name of a time zone";
                return NULL;
        }
        snprintf(path, sizeof path, "%s%s", ZONE_FOLDER, zone_name);
        buf_init(&file, FILE_MAX);
        if (buf_read_file(&file, path))
                z = zone_parse(file.data, file.len);
        else if (strcmp(zone_name, "UTC") == 0 && !(z = calloc(1, sizeof *z)))
                abort();
        buf_release(&file);
        if (!z)
                *why = "is an unknown time zone";
        return z;
}

void zone_free(struct zone *z)
{
        if (!z)
                return;
        free(z->times);
        free(z->offsets);
        free(z);
}

static int32_t offset_at(const struct zone *z, int64_t unix_s)
{
        size_t low = 0, high = z ? z->count : 0;
        if (!z)
                return 0;
        while (low < high) {
                size_t middle = (low + high) / 2;
                if (z->times[middle] <= unix_s)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == z->count && z->has_footer)
                return footer_offset(z, unix_s);
        return low ? z->offsets[low - 1] : z->first;
}

int64_t zone_local(const struct zone *z, int64_t unix_s)
{
        return unix_s + offset_at(z, unix_s);
}

int64_t zone_moment(const struct zone *z, int64_t local)
{
        int64_t low = local - 2 * DAY_S, high = local + 2 * DAY_S;
        const int64_t told[] = {local - offset_at(z, low), local - offset_at(z, high)};
        for (int i = 0; i < 2; i++) {
                if (zone_local(z, told[i]) == local)
                        return told[i];
        }
        /* No clock showed it: a search for the change. */
        while (high - low > 1) {
                int64_t middle = low + (high - low) / 2;
                if (zone_local(z, middle) >= local)
                        high = middle;
                else
                        low = middle;
        }
        return high;
}

struct zone_day zone_day_of(const struct zone *z, int64_t unix_s)
{
        struct zone_day day = {.number = floor_div(unix_s + offset_at(z, unix_s), DAY_S)};
        day.starts = zone_moment(z, day.number * DAY_S);
        day.ends = zone_moment(z, (day.number + 1) * DAY_S);
        return day;
}

struct zone_date zone_date_of(int64_t number)
{
        int64_t year = year_of(number), day = number - year_day(year);
        int month = 1;
        while (month < 12 && month_day(year, month + 1) <= day)
                month++;
        return (struct zone_date){(int)year, month, (int)(day - month_day(year, month)) + 1};
}

bool zone_date_number(struct zone_date d, int64_t *number)
{
        if (d.year < 1 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 ||
            d.day > month_length(d.year, d.month))
                return false;
        *number = year_day(d.year) + month_day(d.year, d.month) + d.day - 1;
        return true;
}
