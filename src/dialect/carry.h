/*
 * Signatures of thoughts are bound to their vendor, and clients of another dialect must bring them back
 * unharmed. A carried signature is wrapped: the marker "TollgateSig1" and base64url of {"from": dialect,
 * "on": …, "data": …}. The marker is twelve characters of the base64 alphabet, and the whole is padded to a
 * multiple of four, so that it is valid base64 where clients insist on that (gemini's Python SDK decodes and
 * encodes it, maybe in the other alphabet). What comes back unwrapped belongs to the client's own dialect.
 */
#ifndef TOLLGATE_DIALECT_CARRY_H
#define TOLLGATE_DIALECT_CARRY_H

#include <stdbool.h>
#include "base/arena.h"
#include "dialect/chat.h"

enum carry_on {
        CARRY_ON_THINKING,  /* the thinking block's own signature */
        CARRY_ON_REDACTED,  /* a redacted thinking block's data */
        CARRY_ON_NEXT_CALL, /* belongs to the tool call that follows (gemini) */
        CARRY_ON_NEXT_TEXT, /* belongs to the text that follows (gemini) */
};

#define CARRY_MARKER "TollgateSig1"

/* The signature of dialect `from`, wrapped for a client of another. NUL-terminated, in the arena. */
struct str carry_wrap(struct arena *a, enum dialect_id from, enum carry_on on, struct str signature);
/* True when it was a wrapped one. Either base64 alphabet, with or without padding. A broken one: false. */
bool carry_unwrap(struct arena *a, struct str wrapped, enum dialect_id *from, enum carry_on *on,
                  struct str *signature);
/* A quick look whether a body holds any wrapped signature: then it can't take the fast path. */
bool carry_present(struct str body);

#endif
