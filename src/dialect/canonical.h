/*
 * A request as bytes that differ wherever the requests differ, for the response cache: every field that may
 * change an answer, each with its length, so that no two requests give the same bytes. How the answer is to
 * travel (stream, encoding of vectors) and where things stood (paths) are no part of it.
 */
#ifndef TOLLGATE_DIALECT_CANONICAL_H
#define TOLLGATE_DIALECT_CANONICAL_H

#include "dialect/chat.h"

struct canonical {
        void (*add)(void *context, const void *bytes, size_t len); /* a digest, or a buffer */
        void *context;
        bool blurred; /* it holds numbers too large to be told apart: its bytes say too little */
};

/* One more field of any kind, with its length. */
void canonical_add(struct canonical *c, const void *bytes, size_t len);
void canonical_string(struct canonical *c, const char *s); /* NULL is not "" */
/* Members that the model is never shown by (`model`, `from`) are the caller's to add. */
void canonical_chat(struct canonical *c, const struct chat_request *r);
void canonical_embed(struct canonical *c, const struct embed_request *r);

/* It means the same whichever dialect it came in: texts and images of users and assistants, sampling, length
 * and stops. All else may be told otherwise to a provider of another dialect than the client's. */
bool canonical_is_portable(const struct chat_request *r);
/* It says all there is to know: nothing in it is a reference to what may change, or done elsewhere. */
bool canonical_is_fixed(const struct chat_request *r);

#endif
