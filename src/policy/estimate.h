/*
 * How many tokens a request will take, before a provider has counted them. Characters by script, images by
 * the provider's own tile rule, the output by what the caller allows at most and what was lately used.
 * Estimates lean to the high side; settling corrects them. Pure functions.
 */
#ifndef TOLLGATE_POLICY_ESTIMATE_H
#define TOLLGATE_POLICY_ESTIMATE_H

#include "dialect/chat.h"

struct estimate {
        int64_t input;
        int64_t output_max; /* the caller's ceiling, or the model's; 0: none is known; -1: no output
                               (embeddings) */
};

/* provider: whose rule for images counts (DIALECT_NONE, ECHO: openai's). */
void estimate_chat(const struct chat_request *r, enum dialect_id provider, const struct model_caps *caps,
                   struct estimate *out);
void estimate_embed(const struct embed_request *r, struct estimate *out);
/* The most that it can be counted as, whatever the tokenizer: for money that must not be passed. output_max
 * as above, else the model's window; 0: nothing is known that bounds it. */
void estimate_chat_most(const struct chat_request *r, enum dialect_id provider, const struct model_caps *caps,
                        struct estimate *out);
void estimate_embed_most(const struct embed_request *r, struct estimate *out);
/* Tokens to reserve: the input, and of the output what `lately` (tokens of an average answer, 0: unknown)
 * lets expect, never more than the ceiling. */
int64_t estimate_total(const struct estimate *e, double lately);
/* Tokens of a text alone. */
int64_t estimate_text(const char *s, size_t len);

#endif
