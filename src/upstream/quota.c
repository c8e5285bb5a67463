#include "upstream/quota.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const int64_t count_max = INT64_C(1000000000000);
static const int64_t reset_max_ms = INT64_C(24) * 3600 * 1000;

/* ---------------------------------------------------------------- counts and times */

static bool is_digit(char c)
{
        return isdigit((unsigned char)c) != 0;
}

/* Digits, and a fraction, of which three places count; in thousandths. strtod would take "inf" and "0x1". */
static bool read_thousandths(const char **at, int64_t *out)
{
        int64_t n = 0, place = 100;
        const char *s = *at;
        if (!is_digit(*s))
                return false;
        for (; is_digit(*s); s++) {
                n = n * 10 + (*s - '0') * 1000;
                if (n > 10000 * count_max)
                        return false;
        }
        if (*s == '.') {
                for (s++; is_digit(*s); s++, place /= 10)
                        n += (*s - '0') * place;
        }
        *at = s;
        *out = n;
        return true;
}

static bool parse_count(const char *s, int64_t *out)
{
        if (!read_thousandths(&s, out) || *s)
                return false;
        *out /= 1000;
        return *out <= count_max;
}

static int64_t bound_reset(int64_t ms)
{
        return ms < 0 ? 0 : ms < reset_max_ms ? ms : reset_max_ms;
}

/* Longer names first: "ms" is no "m". */
static const struct unit_row {
        const char *name;
        int64_t us;
} unit_rows[] = {
        {"ms", 1000},   {"us", 1},       {"µs", 1},         {"μs", 1},          {"ns", 0},
        {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000},
};

static const struct unit_row *find_unit(const char *s)
{
        for (size_t i = 0; i < sizeof unit_rows / sizeof *unit_rows; i++) {
                if (strncmp(unit_rows[i].name, s, strlen(unit_rows[i].name)) == 0)
                        return &unit_rows[i];
        }
        return NULL;
}

/* "1h2m3.5s": numbers with units. Part of a millisecond is one: what is not free yet is not. */
static bool parse_duration(const char *s, int64_t *out_ms)
{
        int64_t sum_us = 0, n;
        while (*s) {
                const struct unit_row *unit;
                if (!read_thousandths(&s, &n) || !(unit = find_unit(s)))
                        return false;
                if (n > 100 * reset_max_ms)
                        n = 100 * reset_max_ms;
                /* Never more than 1e10 thousandths of a day. */
                double us = (double)n / 1000 * (double)unit->us + (double)sum_us;
                sum_us = us < 1e15 ? (int64_t)us : INT64_C(1000000000000000);
                s += strlen(unit->name);
        }
        *out_ms = (sum_us + 999) / 1000;
        return true;
}

/* Seconds from now; what is too large for that is a time since 1970, in seconds or milliseconds. */
static bool parse_number(const char *s, int64_t now_unix_ms, int64_t *out_ms)
{
        static const int64_t since_1970 = 100000000, in_ms = INT64_C(100000000000);
        int64_t n;
        if (!read_thousandths(&s, &n) || *s)
                return false;
        if (n / 1000 >= in_ms)
                *out_ms = n / 1000 - now_unix_ms;
        else
                *out_ms = n / 1000 >= since_1970 ? n - now_unix_ms : n;
        return true;
}

/* Two or four digits within bounds, and what must stand behind them. */
static bool read_field(const char **at, int digits, int min, int max, const char *ends, int *out)
{
        int n = 0;
        for (int i = 0; i < digits; i++, ++*at) {
                if (!is_digit(**at))
                        return false;
                n = n * 10 + (**at - '0');
        }
        *out = n;
        if (n < min || n > max)
                return false;
        if (!ends)
                return true;
        bool found = **at && strchr(ends, **at);
        *at += found;
        return found;
}

/* Of the Gregorian calendar; the year begins in March, so that the leap day is its last. */
static int64_t days_since_1970(int year, int month, int day)
{
        int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
        return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* "Z", "+02:00"; nothing may follow. */
static bool read_zone(const char *s, int *minutes)
{
        int sign = *s == '-' ? -1 : 1, hour, minute;
        *minutes = 0;
        if (*s == 'Z' || *s == 'z')
                return s[1] == 0;
        if (*s != '+' && *s != '-')
                return false;
        s++;
        if (!read_field(&s, 2, 0, 23, ":", &hour) || !read_field(&s, 2, 0, 59, NULL, &minute))
                return false;
        *minutes = sign * (hour * 60 + minute);
        return *s == 0;
}

/* RFC 3339 */
static bool parse_date(const char *s, int64_t now_unix_ms, int64_t *out_ms)
{
        int year, month, day, hour, minute, second, zone;
        int64_t ms = 0;
        if (!read_field(&s, 4, 1970, 9999, "-", &year) || !read_field(&s, 2, 1, 12, "-", &month) ||
            !read_field(&s, 2, 1, 31, "Tt ", &day) || !read_field(&s, 2, 0, 23, ":", &hour) ||
            !read_field(&s, 2, 0, 59, ":", &minute) || !read_field(&s, 2, 0, 60, NULL, &second))
                return false;
        if (*s == '.') {
                int64_t place = 100;
                for (s++; is_digit(*s); s++, place /= 10)
                        ms += (*s - '0') * place;
        }
        if (!read_zone(s, &zone))
                return false;
        int64_t minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - zone;
        *out_ms = (minutes * 60 + second) * 1000 + ms - now_unix_ms;
        return true;
}

static bool parse_reset(const char *s, int64_t now_unix_ms, int64_t *out)
{
        int64_t ms;
        if (!*s || (!parse_number(s, now_unix_ms, &ms) && !parse_duration(s, &ms) &&
                    !parse_date(s, now_unix_ms, &ms)))
                return false;
        *out = bound_reset(ms);
        return true;
}

/* ---------------------------------------------------------------- headers */

enum quota_part { PART_LIMIT, PART_REMAINING, PART_RESET };

#define WORD(member) offsetof(struct upstream_quota, member)
#define OPENAI_ROWS(kind, word)                                                                              \
        {"x-ratelimit-limit-" kind, word, PART_LIMIT},                                                       \
                {"x-ratelimit-remaining-" kind, word, PART_REMAINING},                                       \
        {                                                                                                    \
                "x-ratelimit-reset-" kind, word, PART_RESET                                                  \
        }
#define ANTHROPIC_ROWS(kind, word)                                                                           \
        {"anthropic-ratelimit-" kind "-limit", word, PART_LIMIT},                                            \
                {"anthropic-ratelimit-" kind "-remaining", word, PART_REMAINING},                            \
        {                                                                                                    \
                "anthropic-ratelimit-" kind "-reset", word, PART_RESET                                       \
        }

static const struct quota_row {
        const char *name;
        size_t word;
        enum quota_part part;
} quota_rows[] = {
        OPENAI_ROWS("requests", WORD(requests)),
        OPENAI_ROWS("tokens", WORD(of_kind[QUOTA_ALL_TOKENS])),
        ANTHROPIC_ROWS("requests", WORD(requests)),
        ANTHROPIC_ROWS("tokens", WORD(of_kind[QUOTA_ALL_TOKENS])),
        ANTHROPIC_ROWS("input-tokens", WORD(of_kind[QUOTA_INPUT_TOKENS])),
        ANTHROPIC_ROWS("output-tokens", WORD(of_kind[QUOTA_OUTPUT_TOKENS])),
};

static const struct quota_row *find_row(const char *name)
{
        for (size_t i = 0; i < sizeof quota_rows / sizeof *quota_rows; i++) {
                if (strcasecmp(quota_rows[i].name, name) == 0)
                        return &quota_rows[i];
        }
        return NULL;
}

static bool read_part(struct quota_word *w, enum quota_part part, const char *value, int64_t now_unix_ms)
{
        switch (part) {
        case PART_LIMIT: return parse_count(value, &w->limit);
        case PART_REMAINING: return parse_count(value, &w->remaining);
        case PART_RESET: return parse_reset(value, now_unix_ms, &w->reset_ms);
        }
        return false;
}

static double share_left(const struct quota_word *w)
{
        if (!w->known || w->remaining < 0)
                return 2; /* nothing to compare */
        return w->limit ? (double)w->remaining / (double)w->limit : w->remaining ? 1 : 0;
}

static void choose_tokens(struct upstream_quota *q)
{
        const struct quota_word *tightest = &q->of_kind[0];
        int64_t limit = 0;
        for (int i = 0; i < QUOTA_TOKEN_KINDS; i++) {
                const struct quota_word *w = &q->of_kind[i];
                if (share_left(w) < share_left(tightest) || (!tightest->known && w->known))
                        tightest = w;
                if (w->known && w->limit > limit)
                        limit = w->limit;
        }
        q->tokens = *tightest;
        if (tightest->limit && tightest->remaining >= 0)
                q->tokens.remaining = (int64_t)((double)limit * share_left(tightest));
        q->tokens.limit = limit;
}

void quota_header(struct upstream_quota *q, const char *name, const char *value, int64_t now_unix_ms)
{
        const struct quota_row *row = find_row(name);
        if (!row)
                return;
        struct quota_word *at = (struct quota_word *)((char *)q + row->word);
        struct quota_word w = at->known ? *at : (struct quota_word){true, 0, -1, -1};
        if (!read_part(&w, row->part, value, now_unix_ms))
                return;
        if (w.limit && w.remaining > w.limit)
                w.remaining = w.limit;
        *at = w;
        choose_tokens(q);
}
