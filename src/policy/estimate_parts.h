/* Private to policy/estimate*.c: what is not text. */
#ifndef TOLLGATE_POLICY_ESTIMATE_PARTS_H
#define TOLLGATE_POLICY_ESTIMATE_PARTS_H

#include "policy/estimate.h"

/* Tokens of an image, a document or a piece of audio. caps may be NULL. */
int64_t estimate_image(const struct chat_block *b, enum dialect_id provider, const struct model_caps *caps);
int64_t estimate_document(const struct chat_block *b, enum dialect_id provider);
int64_t estimate_audio(const struct chat_block *b, enum dialect_id provider);

#endif
