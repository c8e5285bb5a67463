/*
 * What a provider says of its own limits, in the headers of any answer:
 *
 *   x-ratelimit-{limit,remaining,reset}-{requests,tokens}    openai, groq, azure (which has only `remaining`)
 * and most others; resets as "6m0s", "120ms", seconds or unix times
 *   anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}
 *                                                            resets as RFC 3339 times
 *
 * Pure functions; the time is an argument. Values that are none are ignored: a provider can say what it
 * likes.
 */
#ifndef TOLLGATE_UPSTREAM_QUOTA_H
#define TOLLGATE_UPSTREAM_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

struct quota_word {
        bool known;        /* false: nothing was said, and the rest means nothing */
        int64_t limit;     /* 1 … 1e12; 0: not said */
        int64_t remaining; /* 0 … 1e12, not more than a limit that is known; -1: not said */
        int64_t reset_ms;  /* from when the header came until all is free again, at most 24 h; -1: not said */
};

enum quota_tokens { QUOTA_ALL_TOKENS, QUOTA_INPUT_TOKENS, QUOTA_OUTPUT_TOKENS, QUOTA_TOKEN_KINDS };

struct upstream_quota {
        struct quota_word requests;
        /*
         * Of all kinds of tokens the one of which the smallest share is left, told as that share of the
         * largest of the limits: a tenth left of the output is a tenth left of everything, and what a request
         * takes of input and output together can be held against it.
         */
        struct quota_word tokens;
        struct quota_word of_kind[QUOTA_TOKEN_KINDS]; /* as they were said */
};

/* Zero the struct before the first. Names in any case; headers that say nothing of limits are ignored. */
void quota_header(struct upstream_quota *q, const char *name, const char *value, int64_t now_unix_ms);

#endif
