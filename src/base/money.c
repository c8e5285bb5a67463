#include "base/money.h"

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
