/*
 * Names of tools that another vendor's clients may use and a provider refuses: OpenAI takes
 * [a-zA-Z0-9_-]{1,64}, Anthropic the same up to 128, Gemini [a-zA-Z_][a-zA-Z0-9_.:-]{0,127}. Others are
 * escaped by a rule that needs no memory, and found again in the answer.
 */
#ifndef TOLLGATE_DIALECT_TOOL_NAME_H
#define TOLLGATE_DIALECT_TOOL_NAME_H

#include "base/arena.h"
#include "dialect/chat.h"

/* By its letters alone. */
bool tool_name_is_legal(const char *name, enum dialect_id to);
/* The name as the provider's dialect takes it: unchanged where its letters are legal. NULL counts as "". */
const char *tool_name_out(struct arena *a, const char *name, enum dialect_id to);
/* What a provider sent, as the client knows it. NULL stays NULL. */
const char *tool_name_back(struct arena *a, const char *name);
/* Ids of calls for providers that want exactly so many letters and digits: such a one is kept, any other is
 * mapped, the same way for the call and its result. length 0: any will do. */
bool tool_id_fits(const char *id, int64_t length);
const char *tool_id_out(struct arena *a, const char *id, int64_t length);
/* False: even escaped the name is longer than the dialect takes. */
bool tool_name_fits(const char *escaped, enum dialect_id to);

#endif
