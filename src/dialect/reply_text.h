/*
 * Whole answers as JSON of our own, and back, with nothing lost: for the response cache. Not for clients, and
 * not kept longer than that: another version of Tollgate may write another form, which is no error there.
 */
#ifndef TOLLGATE_DIALECT_REPLY_TEXT_H
#define TOLLGATE_DIALECT_REPLY_TEXT_H

#include "base/json.h"
#include "dialect/chat.h"

/* As the next value of the writer. */
void reply_text_write_chat(struct json_writer *w, const struct chat_reply *reply);
void reply_text_write_embed(struct json_writer *w, const struct embed_reply *reply);

/* Text lives as long as the tree, all else in the arena. False: it is none of ours, or not whole. */
bool reply_text_read_chat(struct arena *a, json_object *node, struct chat_reply *out);
bool reply_text_read_embed(struct arena *a, json_object *node, struct embed_reply *out);

#endif
