#include "store/usage_times.h"

#include <stddef.h>

enum { SUB = 32, OCTAVES = 40 }; /* up to 2^44 ms */

/* Bucket n of the first two octaves is n ms; above, each octave has SUB. */
static size_t bucket_of(int64_t ms)
{
        if (ms < 2 * SUB)
                return (size_t)ms;
        int shift = 58 - __builtin_clzll((unsigned long long)ms); /* leaves six bits, the first of them 1 */
        size_t bucket = (size_t)shift * SUB + (size_t)(ms >> shift);
        return bucket < OCTAVES * SUB ? bucket : OCTAVES * SUB - 1;
}

static int64_t middle_of(size_t bucket)
{
        if (bucket < 2 * SUB)
                return (int64_t)bucket;
        int shift = (int)(bucket / SUB) - 1;
        int64_t low = (int64_t)(bucket % SUB + SUB) << shift;
        return low + ((INT64_C(1) << shift) - 1) / 2;
}

static uint32_t *octave_of(struct usage_times *t, struct arena *a, size_t octave)
{
        if (!t->octaves)
                t->octaves = arena_alloc(a, OCTAVES * sizeof(uint32_t *));
        if (!t->octaves[octave])
                t->octaves[octave] = arena_alloc(a, SUB * sizeof(uint32_t));
        return t->octaves[octave];
}

void usage_times_add(struct usage_times *t, struct arena *a, int64_t ms)
{
        if (ms <= 0)
                return;
        size_t bucket = bucket_of(ms);
        octave_of(t, a, bucket / SUB)[bucket % SUB]++;
        t->count++;
}

void usage_times_merge(struct usage_times *into, struct arena *a, const struct usage_times *more)
{
        for (size_t i = 0; more->octaves && i < OCTAVES; i++) {
                if (!more->octaves[i])
                        continue;
                uint32_t *to = octave_of(into, a, i);
                for (size_t k = 0; k < SUB; k++)
                        to[k] += more->octaves[i][k];
        }
        into->count += more->count;
}

int64_t usage_times_percentile(const struct usage_times *t, int percent)
{
        int64_t rank = (t->count * percent + 99) / 100, seen = 0;
        for (size_t i = 0; t->octaves && i < OCTAVES; i++) {
                for (size_t k = 0; t->octaves[i] && k < SUB; k++) {
                        seen += t->octaves[i][k];
                        if (seen >= rank)
                                return middle_of(i * SUB + k);
                }
        }
        return 0;
}
