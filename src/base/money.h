/*
 * Money as integers: `_pico` is 1e-12 of a currency's unit (tokens × millionths per million tokens), int64_t
 * in a row (up to 9.2 million units), __int128 in every sum. Never a float. Texts are plain decimals with a
 * dot.
 */
#ifndef TOLLGATE_BASE_MONEY_H
#define TOLLGATE_BASE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#define MONEY_PICO INT64_C(1000000000000)

enum { MONEY_TEXT = 64 };

/* "12", "12.5", "0.000001"; at most 12 places, no sign, no exponent. False: it is no amount, or too large. */
bool money_parse(const char *text, int64_t *pico);
/* A number as JSON writes it, with an exponent or not, times 10^shift; rounded half up to 1e-12. False: it is
 * negative, no number, or too large. */
bool money_number(const char *text, int shift, int64_t *pico);
/* "12.5", "0", "-0.25": trailing zeros trimmed. Gives out. */
char *money_text(char out[MONEY_TEXT], __int128 pico);
/* With exactly `places` (0 to 12), rounded half away from zero: "12.50". */
char *money_text_places(char out[MONEY_TEXT], __int128 pico, unsigned places);
/* The same rounding, as an amount. */
__int128 money_round(__int128 pico, unsigned places);
/* a + b, kept within int64_t. */
int64_t money_add(int64_t a, int64_t b);
/* pico × factor_micro / 1e6, rounded half up; kept within int64_t. No argument is negative. */
int64_t money_scale(int64_t pico, int64_t factor_micro);

#endif
