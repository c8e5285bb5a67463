#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/invoice.h"

static bool number(const char *s, size_t len, long *out)
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
        long n;
        for (size_t i = 0; len > 1 && len < 8 && i < sizeof units / sizeof *units; i++) {
                if (text[len - 1] == units[i].unit && number(text, len - 1, &n)) {
                        *out_ms = now_ms - n * units[i].ms;
                        return true;
                }
        }
        return false;
}

bool cli_when(const char *text, const struct zone *zone, int64_t now_ms, int64_t *out_ms)
{
        int year, month;
        long day, h, m, s = 0;
        char start[8] = "";
        size_t len = strlen(text);
        if (ago(text, now_ms, out_ms))
                return true;
        memcpy(start, text, len < 7 ? len : 7);
        if (len < 10 || !invoice_month(start, &year, &month) || text[7] != '-' ||
            !number(text + 8, 2, &day) || day < 1 || day > 31)
                return false;
        int64_t month_starts = invoice_month_starts(zone, year, month);
        struct zone_day d = zone_day_of(zone, month_starts);
        for (long i = 1; i < day; i++)
                d = zone_day_of(zone, d.ends);
        if (len == 10) {
                *out_ms = d.starts * 1000;
                return true;
        }
        /* A time of day: in UTC with a Z, else in the zone. */
        bool utc = text[len - 1] == 'Z';
        const char *t = text + 11;
        size_t rest = len - 11 - utc;
        if (len < 16 || (text[10] != 'T' && text[10] != ' ') || !number(t, 2, &h) || t[2] != ':' ||
            !number(t + 3, 2, &m) || (rest != 5 && (rest != 8 || t[5] != ':' || !number(t + 6, 2, &s))) ||
            h > 23 || m > 59 || s > 60)
                return false;
        int64_t starts = utc ? invoice_month_starts(NULL, year, month) + (day - 1) * 86400 : d.starts;
        *out_ms = (starts + h * 3600 + m * 60 + s) * 1000;
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
        int64_t unix_s = ms / 1000;
        struct zone_day d = zone_day_of(zone, unix_s);
        int64_t z = d.number + 719468, era = z / 146097, doe = z - era * 146097;
        int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
        int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9, s = unix_s - d.starts;
        char text[128];
        snprintf(text, sizeof text, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld",
                 (long long)(yoe + era * 400 + (month <= 2)), (long long)month, (long long)day,
                 (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
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
