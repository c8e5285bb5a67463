/*
 * The built-in provider: deterministic, no network. Chat echoes; vision names type, width and height of each
 * image, read from its bytes; tools: calls the first tool with a value for each required field when the
 * prompt says "call" and the tool's name, or a tool is forced; embed: hashed word and character n-grams, unit
 * length. Usage is plausible.
 */
#ifndef TOLLGATE_UPSTREAM_ECHO_H
#define TOLLGATE_UPSTREAM_ECHO_H

#include "config/config.h"
#include "dialect/chat.h"

/* model: what the target row names, told back as the served model. created: unix seconds. seed: text for ids.
 */
void echo_chat(struct arena *a, const struct config_provider *p, const char *model,
               const struct chat_request *r, int64_t created, const char *seed, struct chat_reply *out);
/* The same as a stream: START, one DELTA a token, …, END. */
void echo_events(const struct chat_reply *reply, struct chat_events *out);
void echo_embed(struct arena *a, const char *model, const struct embed_request *r, struct embed_reply *out);
/* Tokens of a text by echo's plain rule: words and marks. */
int64_t echo_tokens(struct str text);

#endif
