#include "policy/rate.h"

#include <string.h>

/* Units for a US dollar on that day, in millionths; 0: none is known. */
static int64_t rate_of(const struct config *c, const char *currency, int64_t unix_s)
{
        const struct config_rate *best = NULL;
        for (size_t i = 0; i < c->rate_count; i++) {
                const struct config_rate *r = &c->rates[i];
                if (strcmp(r->currency, currency) == 0 && r->from_unix <= unix_s &&
                    (!best || r->from_unix >= best->from_unix))
                        best = r;
        }
        if (best)
                return best->per_usd_micro;
        return strcmp(currency, "USD") == 0 ? 1000000 : 0;
}

bool rate_convert(const struct config *c, int64_t pico, const char *from, const char *to, int64_t unix_s,
                  int64_t *out)
{
        if (strcmp(from, to) == 0) {
                *out = pico;
                return true;
        }
        int64_t per_from = rate_of(c, from, unix_s), per_to = rate_of(c, to, unix_s);
        if (per_from <= 0 || per_to <= 0)
                return false;
        __int128 n = ((__int128)pico * per_to + per_from - 1) / per_from;
        *out = (int64_t)n;
        return n <= INT64_MAX;
}
