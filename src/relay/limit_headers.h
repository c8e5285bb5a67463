/*
 * x-ratelimit-* (contract §5): the tightest limit of requests and of tokens, as OpenAI writes them.
 */
#ifndef TOLLGATE_RELAY_LIMIT_HEADERS_H
#define TOLLGATE_RELAY_LIMIT_HEADERS_H

#include "policy/limit.h"
#include "relay/relay.h"

enum { LIMIT_HEADERS = 6 };

/* Fills at most LIMIT_HEADERS; values live in the arena. Gives their count. */
size_t limit_headers(struct arena *a, const struct limit_views *views, struct relay_header *out);
/* "1h2m3s", "2m0s", "20ms" */
const char *limit_duration(struct arena *a, int64_t ms);

#endif
