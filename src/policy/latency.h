/*
 * What a target lately took and used: a peak-sensitive moving average of the time to the first token (jumps
 * up at once, comes down with time), a histogram for its percentiles, and the tokens of its answers. Pure
 * functions over a struct of fixed layout.
 */
#ifndef TOLLGATE_POLICY_LATENCY_H
#define TOLLGATE_POLICY_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { LATENCY_BUCKETS = 32 };

struct latency_state {
        double average_ms; /* 0: nothing known */
        int64_t at_ms;
        uint32_t counts[LATENCY_BUCKETS]; /* bucket i: up to 10 ms × 1.5^i; all are halved now and then */
        double output_tokens;             /* moving average of what an answer had; 0: nothing known */
};

void latency_note(struct latency_state *l, int64_t first_token_ms, int64_t now_ms);
void latency_note_output(struct latency_state *l, int64_t output_tokens);
/* The average as of now: one that nobody measured lately comes down, so that the target is tried again. */
double latency_now(const struct latency_state *l, int64_t now_ms);
/* 0: too few samples (20) to tell. share: 0.95. */
int64_t latency_percentile(const struct latency_state *l, double share);

#endif
