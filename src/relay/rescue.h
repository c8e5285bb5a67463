/*
 * A stream as its client knows it, whichever targets it comes from: the client's encoder, what the client has
 * been told, and how the answer of another target goes on from there when the first one broke (`rescue` of a
 * version). Inside the relay only.
 *
 * "match": the other target is asked the whole question again. What the client has of text, refusals and
 * calls is compared byte for byte, across any split of deltas and across the borders of neighbouring blocks
 * of text, and swallowed; ids, numbers and open blocks stay as the client knows them. Thoughts are not
 * compared: no two of them are alike, and their signatures can't be. A thought that was broken off is closed
 * without a signature; thoughts of the other target are swallowed until it has said all that the client has,
 * and passed on after that, so also where the client has nothing but thoughts. Blocks that only one vendor
 * knows, images, and log probabilities can't be gone on from.
 *
 * "continue": the text so far is put at the end of the request as a turn of the assistant, and the target's
 * text goes into the block that the client has open.
 */
#ifndef TOLLGATE_RELAY_RESCUE_H
#define TOLLGATE_RELAY_RESCUE_H

#include "relay/attempt.h"

struct rescue;

/*
 * For an attempt whose answer is to be streamed: a new one, with a new encoder, while the client has nothing;
 * else that of the run, made ready for this attempt's target, with what must be closed first written to out.
 * Lives in the arena of the call. The attempt whose bytes go out puts it into run->rescue.
 */
struct rescue *rescue_take(struct attempt *at, const struct chat_request *request, struct buf *out);
void *rescue_encoder(const struct rescue *r);
/* That of the bytes which the client has, for an error event; a new one where it has no more than
 * keep-alives, which leave no trace in an encoder. */
void *rescue_sent_encoder(const struct relay_run *run);
/* What is told must be known, so the provider's own bytes can't be passed. */
bool rescue_keeps(const struct rescue *r);
/* Bytes of the encoder did not reach the client: nothing can go on from here. */
void rescue_lose(struct rescue *r);
/* One event of the target to the client's bytes. False: it differs from what the client has, and at->err says
 * so. */
bool rescue_event(struct rescue *r, struct attempt *at, const struct chat_event *e, struct buf *out);

/* ---- for the walk over targets ---- */

/* May this target be asked? Always while the client has no content. caps: catalogue_target_caps() of it. */
bool rescue_possible(const struct relay_run *run, const struct config_target *next,
                     const struct model_caps *caps);
/* The request that it is to be fitted to and asked: the caller's own, or with "continue" a copy with the text
 * so far. */
const struct chat_request *rescue_request(const struct relay_run *run, const struct chat_request *asked);

#endif
