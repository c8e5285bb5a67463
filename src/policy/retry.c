#include "policy/retry.h"

#include <math.h>

static const double crumbs = 0.01; /* what fading leaves of counts that are as good as forgotten */

static void fade(struct retry_state *r, int64_t now_ms)
{
        if (now_ms > r->at_ms) {
                double left = exp(-(double)(now_ms - r->at_ms) / RETRY_FADE_MS);
                r->calls *= left;
                r->retries *= left;
        }
        r->at_ms = now_ms;
}

void retry_count_call(struct retry_state *r, int64_t now_ms)
{
        fade(r, now_ms);
        r->calls++;
}

bool retry_allow(struct retry_state *r, double share, int64_t now_ms)
{
        if (!(share > 0)) /* the floor is for low traffic, not for those who want none */
                return false;
        fade(r, now_ms);
        if (r->retries + 1 > fmax(RETRY_FLOOR, share * r->calls) + crumbs)
                return false;
        r->retries++;
        return true;
}

int64_t retry_backoff_ms(const struct config_retry *rules, int64_t tries, double chance)
{
        int64_t most = rules->backoff_ms;
        while (--tries > 0 && most > 0 && most < rules->max_backoff_ms)
                most *= 2;
        if (most > rules->max_backoff_ms)
                most = rules->max_backoff_ms;
        return most > 0 ? llround((double)most * fmin(fmax(chance, 0), 1)) : 0;
}
