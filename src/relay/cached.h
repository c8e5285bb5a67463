/*
 * The response cache on a request's way (store/response_cache.h): asked after policy and before the walk;
 * what then was answered whole is kept. Inside the relay only. A run whose account has no cache has no
 * `cached`, and everything here does nothing.
 */
#ifndef TOLLGATE_RELAY_CACHED_H
#define TOLLGATE_RELAY_CACHED_H

#include "relay/attempt.h"

struct cached;
struct cached_stream;

/* Sets run->cached, and answers the client where the same was asked before: true. */
bool cached_chat(struct relay_run *run, const struct chat_request *request);
bool cached_embed(struct relay_run *run, const struct embed_request *request);
/* "hit", "miss", "bypass"; NULL: the account has no cache. */
const char *cached_word(const struct relay_run *run);

/* The client has it, whole. What the reply points to lives in the arena of the call. */
void cached_keep_chat(struct attempt *at, const struct chat_reply *reply);
void cached_keep_embed(struct attempt *at, const struct embed_reply *reply);
/* The vectors are wanted, though the client gets the provider's own bytes. */
bool cached_wants(const struct relay_run *run);

/* A stream's events on their way; NULL: nothing of this attempt is to be kept, which the others take. */
struct cached_stream *cached_stream_new(struct attempt *at);
void cached_stream_event(struct cached_stream *s, const struct chat_event *e);
void cached_stream_keep(struct cached_stream *s, const struct attempt *at);
void cached_stream_free(struct cached_stream *s);

/* At the end: writes what is to be kept. */
void cached_store(struct relay_run *run);

#endif
