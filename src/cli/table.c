#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* Digits and nothing else. */
static bool number(const char *s, size_t len, int *out)
{
        *out = 0;
        for (size_t i = 0; i < len; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return false;
                *out = *out * 10 + (s[i] - '0');
        }
        return len > 0;
}

static bool ago(const char *text, int64_t now_ms, int64_t *out_ms)
{
        static const struct {
                char unit;
                int64_t ms;
        } units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
        size_t len = strlen(text);
        int n;
        for (size_t i = 0; len > 1 && len < 8 && i < sizeof units / sizeof *units; i++) {
                if (text[len - 1] == units[i].unit && number(text, len - 1, &n)) {
                        *out_ms = now_ms - n * units[i].ms;
                        return true;
                }
        }
        return false;
}

/* "10:00", "10:00:30" */
static bool time_of_day(const char *s, size_t len, int *out_s)
{
        int h, m, rest = 0;
        if ((len != 5 && len != 8) || !number(s, 2, &h) || s[2] != ':' || !number(s + 3, 2, &m) ||
            (len == 8 && (s[5] != ':' || !number(s + 6, 2, &rest))) || h > 23 || m > 59 || rest > 59)
                return false;
        *out_s = h * 3600 + m * 60 + rest;
        return true;
}

bool cli_when(const char *text, const struct zone *zone, int64_t now_ms, int64_t *out_ms)
{
        enum { DATE = 10, DAY_S = 86400 };
        size_t len = strlen(text);
        struct zone_date date;
        int64_t day;
        int seconds = 0;
        bool utc = len > DATE && text[len - 1] == 'Z';
        if (ago(text, now_ms, out_ms))
                goto good;
        if (len < DATE || !number(text, 4, &date.year) || text[4] != '-' ||
            !number(text + 5, 2, &date.month) || text[7] != '-' || !number(text + 8, 2, &date.day) ||
            !zone_date_number(date, &day))
                return false;
        if (len > DATE && ((text[DATE] != 'T' && text[DATE] != ' ') ||
                           !time_of_day(text + DATE + 1, len - DATE - 1 - utc, &seconds)))
                return false;
        *out_ms = zone_moment(utc ? NULL : zone, day * DAY_S + seconds) * 1000;
good:
        /* 0 would be an open end. */
        if (*out_ms < 1)
                *out_ms = 1;
        return true;
}

const char *cli_count(char out[16], int64_t n)
{
        if (n < 10000)
                snprintf(out, 16, "%d", (int)n);
        else if (n < 10000000)
                snprintf(out, 16, "%.1fk", (double)n / 1e3);
        else if (n < INT64_C(10000000000))
                snprintf(out, 16, "%.1fM", (double)n / 1e6);
        else
                snprintf(out, 16, "%.1fG", (double)n / 1e9);
        return out;
}

const char *cli_ms(char out[16], int64_t ms)
{
        if (ms <= 0)
                return "-";
        if (ms < 1000)
                snprintf(out, 16, "%d ms", (int)ms);
        else
                snprintf(out, 16, "%.2f s", (double)ms / 1000);
        return out;
}

void cli_time(char out[32], const struct zone *zone, int64_t ms)
{
        enum { DAY_S = 86400 };
        int64_t local = zone_local(zone, ms / 1000), s = (local % DAY_S + DAY_S) % DAY_S;
        struct zone_date d = zone_date_of((local - s) / DAY_S);
        char text[64];
        snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d", d.year, d.month, d.day, (int)(s / 3600),
                 (int)(s / 60 % 60), (int)(s % 60));
        snprintf(out, 32, "%.31s", text);
}

static size_t characters(const char *s)
{
        size_t n = 0;
        for (; *s; s++)
                n += ((unsigned char)*s & 0xc0) != 0x80;
        return n;
}

void cli_cell(struct buf *out, const char *text, int width)
{
        char shown[1024];
        text_escape(shown, sizeof shown, text, strlen(text));
        size_t n = characters(shown), most = (size_t)width;
        if (n > most) {
                char *s = shown;
                for (size_t i = 0; i + 1 < most; i++)
                        s += text_utf8_length(s, strlen(s)) ? text_utf8_length(s, strlen(s)) : 1;
                *s = '\0';
                buf_addf(out, "%s…", shown);
                return;
        }
        buf_addf(out, "%s%*s", shown, (int)(most - n), "");
}

bool cli_print(const char *command, struct buf *out)
{
        bool ok = !out->failed && fwrite(out->data ? out->data : "", 1, out->len, stdout) == out->len &&
                  fflush(stdout) == 0;
        if (!ok)
                fprintf(stderr, "tollgate %s: could not write it\n", command);
        return ok;
}
