#include "base/money.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 12 };

static const int64_t powers[PLACES + 1] = {1,           10,           100,          1000,      10000,
                                           100000,      1000000,      10000000,     100000000, 1000000000,
                                           10000000000, 100000000000, 1000000000000};

/* Digits at *s; false where the number passes 64 bits or there is none. */
static bool read_digits(const char **s, int64_t *value, unsigned *count)
{
        *value = 0;
        for (*count = 0; **s >= '0' && **s <= '9'; ++*s, ++*count) {
                if (__builtin_mul_overflow(*value, 10, value) ||
                    __builtin_add_overflow(*value, **s - '0', value))
                        return false;
        }
        return *count > 0;
}

bool money_parse(const char *text, int64_t *pico)
{
        int64_t whole, part = 0;
        unsigned count;
        if (!read_digits(&text, &whole, &count))
                return false;
        if (*text == '.') {
                text++;
                if (!read_digits(&text, &part, &count) || count > PLACES)
                        return false;
                part *= powers[PLACES - count];
        }
        return *text == '\0' && !__builtin_mul_overflow(whole, MONEY_PICO, &whole) &&
               !__builtin_add_overflow(whole, part, pico);
}

/* A number so far: mantissa × 10^exponent. */
struct decimal {
        unsigned __int128 mantissa;
        long exponent;
        bool digits;
};

/* Digits beyond 30 can't change what is rounded to 64 bits. */
static void take_digits(const char **s, struct decimal *d, bool fraction)
{
        const unsigned __int128 full = (unsigned __int128)MONEY_PICO * MONEY_PICO * 1000000;
        for (; **s >= '0' && **s <= '9'; ++*s) {
                bool kept = d->mantissa < full;
                if (kept)
                        d->mantissa = d->mantissa * 10 + (unsigned)(**s - '0');
                d->exponent += !kept - fraction;
                d->digits = true;
        }
}

static bool read_decimal(const char *s, struct decimal *d)
{
        char *end = NULL;
        *d = (struct decimal){0};
        take_digits(&s, d, false);
        if (d->digits && *s == '.') {
                s++;
                take_digits(&s, d, true);
        }
        if (!d->digits || (*s != 'e' && *s != 'E'))
                return d->digits && !*s;
        if (!strchr("+-0123456789", s[1]) || !s[1])
                return false;
        long more = strtol(s + 1, &end, 10);
        d->exponent += more > 1000 ? 1000 : more < -1000 ? -1000 : more;
        return !*end && end[-1] >= '0' && end[-1] <= '9';
}

bool money_number(const char *text, int shift, int64_t *pico)
{
        struct decimal d;
        unsigned rest = 0;
        if (!read_decimal(text, &d))
                return false;
        d.exponent += PLACES + shift;
        for (; d.exponent > 0 && d.mantissa && d.mantissa <= INT64_MAX; d.exponent--)
                d.mantissa *= 10;
        for (; d.exponent < 0 && (d.mantissa || rest); d.exponent++) {
                rest = (unsigned)(d.mantissa % 10);
                d.mantissa /= 10;
        }
        d.mantissa += rest >= 5;
        if (d.mantissa > INT64_MAX)
                return false;
        *pico = (int64_t)d.mantissa;
        return true;
}

/* From the end backwards. */
static char *put_number(char *end, unsigned __int128 n, unsigned at_least)
{
        for (; n || at_least; n /= 10, at_least -= at_least > 0)
                *--end = (char)('0' + (int)(n % 10));
        return end;
}

static char *put(char out[MONEY_TEXT], __int128 pico, unsigned places, bool trim)
{
        char text[MONEY_TEXT], *end = text + sizeof text - 1, *s = end;
        bool minus = pico < 0;
        unsigned __int128 n = minus ? -(unsigned __int128)pico : (unsigned __int128)pico;
        unsigned __int128 part =
                n % (unsigned __int128)MONEY_PICO / (unsigned __int128)powers[PLACES - places];
        *end = '\0';
        if (trim) {
                for (; places && part % 10 == 0; places--)
                        part /= 10;
        }
        if (places) {
                s = put_number(s, part, places);
                *--s = '.';
        }
        s = put_number(s, n / (unsigned __int128)MONEY_PICO, 1);
        if (minus && (part || n / (unsigned __int128)MONEY_PICO))
                *--s = '-';
        return memcpy(out, s, (size_t)(end - s) + 1);
}

char *money_text(char out[MONEY_TEXT], __int128 pico)
{
        return put(out, pico, PLACES, true);
}

__int128 money_round(__int128 pico, unsigned places)
{
        __int128 unit = powers[PLACES - (places < PLACES ? places : PLACES)];
        __int128 rest = pico % unit, half = unit / 2;
        if (unit == 1)
                return pico;
        return pico - rest + (rest >= half ? unit : rest <= -half ? -unit : 0);
}

char *money_text_places(char out[MONEY_TEXT], __int128 pico, unsigned places)
{
        places = places < PLACES ? places : PLACES;
        return put(out, money_round(pico, places), places, false);
}

static int64_t keep_in_range(__int128 n)
{
        return n > INT64_MAX ? INT64_MAX : n < INT64_MIN ? INT64_MIN : (int64_t)n;
}

int64_t money_add(int64_t a, int64_t b)
{
        return keep_in_range((__int128)a + b);
}

int64_t money_scale(int64_t pico, int64_t factor_micro)
{
        return keep_in_range(((__int128)pico * factor_micro + 500000) / 1000000);
}
