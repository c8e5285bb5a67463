/*
 * A stream's events put together to the whole answer that they are: what chat_reply_events() takes apart. The
 * events' own memory may go once they were taken.
 */
#ifndef TOLLGATE_DIALECT_GATHER_H
#define TOLLGATE_DIALECT_GATHER_H

#include "dialect/chat.h"

struct gather;

/* All in the arena. most: bytes of text, arguments and signatures that are gathered; a longer answer is given
 * up. */
struct gather *gather_new(struct arena *a, size_t most);
void gather_event(struct gather *g, const struct chat_event *e);
/* Bytes gathered so far. */
size_t gather_size(const struct gather *g);
/* NULL: its end has not come, it failed, it is too long, or its events broke the rules of chat.h. */
const struct chat_reply *gather_reply(struct gather *g);

#endif
