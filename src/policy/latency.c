#include "policy/latency.h"

#include <math.h>

enum { FADE_MS = 10000, SAMPLES_FEW = 20, SAMPLES_MAX = 512, FIRST_MS = 10 };

static const double output_share = 0.1; /* of each answer in the average of tokens */

/* What is left of something after a time. */
static double left(int64_t since_ms, int64_t now_ms)
{
        return now_ms > since_ms ? exp(-(double)(now_ms - since_ms) / FADE_MS) : 1;
}

/* The upper bound of a bucket; the last one takes all the rest. */
static double bound_ms(int i)
{
        return FIRST_MS * pow(1.5, i);
}

static int bucket_of(double ms)
{
        int i = 0;
        while (i < LATENCY_BUCKETS - 1 && ms > bound_ms(i))
                i++;
        return i;
}

static uint32_t samples(const struct latency_state *l)
{
        uint32_t total = 0;
        for (int i = 0; i < LATENCY_BUCKETS; i++)
                total += l->counts[i];
        return total;
}

void latency_note(struct latency_state *l, int64_t first_token_ms, int64_t now_ms)
{
        double ms = first_token_ms > 1 ? (double)first_token_ms : 1; /* 0 would say: unknown */
        double kept = left(l->at_ms, now_ms);
        l->average_ms = ms >= l->average_ms ? ms : l->average_ms * kept + ms * (1 - kept);
        l->at_ms = now_ms;
        l->counts[bucket_of(ms)]++;
        if (samples(l) <= SAMPLES_MAX)
                return;
        for (int i = 0; i < LATENCY_BUCKETS; i++)
                l->counts[i] /= 2;
}

void latency_note_output(struct latency_state *l, int64_t output_tokens)
{
        double tokens = output_tokens > 1 ? (double)output_tokens : 1;
        if (l->output_tokens > 0)
                tokens = l->output_tokens + (tokens - l->output_tokens) * output_share;
        l->output_tokens = tokens;
}

double latency_now(const struct latency_state *l, int64_t now_ms)
{
        return l->average_ms * left(l->at_ms, now_ms);
}

int64_t latency_percentile(const struct latency_state *l, double share)
{
        uint32_t total = samples(l), below = 0;
        if (total < SAMPLES_FEW)
                return 0;
        int i = 0;
        for (; i < LATENCY_BUCKETS - 1; i++) {
                below += l->counts[i];
                if (below > 0 && below >= share * total)
                        break;
        }
        return (int64_t)ceil(bound_ms(i));
}
