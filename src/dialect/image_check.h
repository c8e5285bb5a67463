/*
 * Images, documents and audio that a client sent as base64, judged once for all dialects: standard base64
 * (RFC 4648, section 4, padded), and images that are images, of the type that their bytes tell and not of the
 * one that was claimed.
 */
#ifndef TOLLGATE_DIALECT_IMAGE_CHECK_H
#define TOLLGATE_DIALECT_IMAGE_CHECK_H

#include "base/err.h"
#include "dialect/chat.h"

/*
 * False: err (ERR_BAD_REQUEST at the block's path). Media types of images are set to what they are. gemini's
 * own clients may write the URL alphabet, with or without padding: that is written anew in the arena.
 */
bool image_check_request(struct arena *a, struct chat_request *r, struct err *err);

#endif
