#include "dialect/fault_words.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const double day_ms = 86400000;

bool fault_words_any(const char *text, const char *const *words)
{
        for (; text && *words; words++) {
                if (strcasestr(text, *words))
                        return true;
        }
        return false;
}

static const struct unit_row {
        const char *name; /* "ms" before "m" */
        double ms;
} unit_rows[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

static const struct unit_row *find_unit(const char *s)
{
        for (size_t i = 0; i < sizeof unit_rows / sizeof *unit_rows; i++) {
                if (strncmp(unit_rows[i].name, s, strlen(unit_rows[i].name)) == 0)
                        return &unit_rows[i];
        }
        return NULL;
}

/* The number at *at, which is left behind it; the locale has no say in what a point is. */
static double read_number(const char **at)
{
        double n = 0, place = 1;
        for (; isdigit((unsigned char)**at); ++*at)
                n = n < day_ms ? n * 10 + (**at - '0') : n;
        /* The point may also end the sentence. */
        if (**at == '.' && isdigit((unsigned char)(*at)[1])) {
                for (++*at; isdigit((unsigned char)**at); ++*at)
                        n += (**at - '0') * (place /= 10);
        }
        return n;
}

int64_t fault_words_wait_ms(const char *message)
{
        static const char words[] = "try again in ";
        const char *at = message ? strcasestr(message, words) : NULL;
        double sum = 0;
        if (!at)
                return 0;
        for (at += sizeof words - 1; isdigit((unsigned char)*at);) {
                double n = read_number(&at);
                const struct unit_row *unit = find_unit(at);
                if (!unit)
                        return 0;
                sum += n * unit->ms;
                at += strlen(unit->name);
        }
        /* "5 minutes", "5min" were no unit: then none of it counts. */
        if (isalpha((unsigned char)*at))
                return 0;
        sum = sum < day_ms ? sum : day_ms;
        return (int64_t)sum + ((double)(int64_t)sum < sum);
}

bool fault_words_per_day(const char *message)
{
        static const char *const day[] = {
                "(RPD)", "(TPD)", "requests per day", "tokens per day", "per-day", "daily rate limit", NULL};
        static const char *const minute[] = {"(RPM)", "(TPM)", "per minute", "per min", "per-min", NULL};
        return fault_words_any(message, day) && !fault_words_any(message, minute);
}
