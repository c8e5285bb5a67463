/*
 * The openai dialect's own parts (openai-chat and openai-embeddings of the OpenAI API reference, and what
 * compatible servers make of them). The client's end: request, messages, tools (decode), answer, chunks
 * (encode). The provider's end: send (encode), reply, stream, error (decode). Embeddings: both ends in one
 * file.
 */
#ifndef TOLLGATE_DIALECT_OPENAI_H
#define TOLLGATE_DIALECT_OPENAI_H

#include "base/json.h"
#include "dialect/dialect.h"

enum {
        OPENAI_CHOICES_MAX = 128,
        OPENAI_CALLS_MAX = 1024, /* tool calls of one choice */
        OPENAI_TOOLS_MAX = 4096,
        OPENAI_MEMBERS_MAX = 512, /* of a request's body */
};

/* ---- the client's end: requests ---- */
bool openai_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err);
bool openai_decode_embed_request(const struct client_input *in, struct embed_request *out, struct err *err);

/* Member `key` as one of a NULL-terminated list of words; the error lists them. */
bool openai_get_word(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     const char *const *words, const char **out);
/* Top-level members that no table knows go to `extras`. known is NULL-terminated. */
void openai_keep_extras(struct json_reader *r, json_object *body, const char *const *known,
                        struct chat_extra **extras);

void openai_decode_messages(struct json_reader *r, json_object *body, struct chat_request *out);
/* tools, functions, tool_choice, function_call, parallel_tool_calls */
void openai_decode_tools(struct json_reader *r, json_object *body, struct chat_request *out);
/*
 * Thoughts that a client brings back or a provider gives: reasoning_details, else reasoning_content, else
 * reasoning. Signatures of other vendors are unwrapped (dialect/carry.h); one of the text or the call that
 * follows stands apart.
 */
struct openai_thoughts {
        struct chat_block *first, *last; /* BLOCK_THINKING */
        struct str next_text, next_call;
        enum dialect_id next_text_from, next_call_from;
};
/* is_piece: of a stream, where the text of a signed thought has been told already. */
void openai_read_thoughts(struct arena *a, json_object *message, bool is_piece, struct openai_thoughts *out);
/* Puts what stood apart onto the first text and the first call without one. */
void openai_sign_next(const struct openai_thoughts *thoughts, struct chat_block *blocks);
/* Signature of a call: extra_content.google.thought_signature. */
void openai_read_call_signature(struct arena *a, json_object *call, struct chat_block *b);

/* ---- the client's end: answers ---- */
void openai_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply,
                              struct buf *out);
void openai_encode_embed_reply(const struct answer_context *c, const struct embed_reply *reply,
                               struct buf *out);
void openai_encode_error(const struct answer_context *c, const struct err *e, struct buf *out);
void *openai_encoder_new(const struct answer_context *c);
void openai_encode_event(void *encoder, const struct chat_event *event, struct buf *out);
void openai_encode_stream_error(void *encoder, const struct err *e, struct buf *out);
void openai_encode_keepalive(void *encoder, struct buf *out);

const char *openai_answer_id(const struct answer_context *c, const char *provider_id);
const char *openai_finish_word(enum chat_finish finish);
void openai_write_usage(struct json_writer *w, const struct chat_usage *u);
void openai_write_error(struct json_writer *w, const struct err *e);
/* One entry of reasoning_details; the signature is wrapped where it is another vendor's. An absent text or
 * signature is left out: pieces of a stream. */
void openai_write_thought(struct json_writer *w, struct arena *a, const struct chat_block *b, struct str text,
                          struct str signature, int64_t index);
/* The last piece of a signed thought: the text that came before it stands in a member of its own. */
void openai_write_told_thought(struct json_writer *w, struct arena *a, const struct chat_block *b,
                               struct str told, struct str signature, int64_t index);
/* An entry that carries the signature of a text (gemini). */
void openai_write_text_signature(struct json_writer *w, struct arena *a, const struct chat_block *b,
                                 struct str signature, int64_t index);
void openai_write_thought_signature(struct json_writer *w, struct str signature);
void openai_write_call_signature(struct json_writer *w, struct arena *a, enum dialect_id from,
                                 struct str signature);
/* Nothing for a citation without a URL. offset: characters of text before the block. */
bool openai_write_citation(struct json_writer *w, const struct chat_citation *c, int64_t offset,
                           int64_t block_length);
/* "key": "data:…;base64,…" of a SOURCE_BASE64; otherwise: the media type where none is known. */
void openai_write_data_url(struct json_writer *w, const char *key, const struct chat_source *s,
                           const char *otherwise);
int64_t openai_characters(struct str text);
/* Why a filtered answer was refused: stop_details.explanation, or {NULL, 0}. */
struct str openai_explanation(json_object *stop_details);

/* ---- the provider's end ---- */
bool openai_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                struct wire_request *out, struct err *err);
void openai_address_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                 struct wire_request *out);
bool openai_encode_embed_request(struct arena *a, const struct embed_request *r, const struct wire_target *t,
                                 struct wire_request *out, struct err *err);
/* False: err is set (a block that no openai server takes). */
bool openai_write_messages(struct json_writer *w, struct arena *a, const struct chat_request *r,
                           const struct wire_target *t, struct err *err);

bool openai_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                              struct upstream_fault *fault);
bool openai_decode_embed_reply(struct arena *a, struct str body, size_t expected, struct embed_reply *out,
                               struct upstream_fault *fault);
void openai_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out);
/* The fault of an error member (object or text) found where an answer was expected. */
void openai_fault_in_body(struct arena *a, json_object *body, struct upstream_fault *out);
/* The error of a body: its `error`, or the body itself where it is one (vLLM); NULL: none. */
json_object *openai_find_error(json_object *body);

void *openai_decoder_new(struct arena *a, const struct chat_request *r);
void openai_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out);
void openai_decode_end(void *decoder, struct str stray, struct chat_events *out);

/* Usage in any of the places where servers put it; false: none. */
bool openai_read_usage(json_object *body, struct chat_usage *out);
/* The same of the object itself, without the tier that stands beside it. */
bool openai_count_usage(json_object *usage, struct chat_usage *out);
/* FINISH_NONE for an absent, null or empty one. */
enum chat_finish openai_read_finish(const char *word);
/* A call without an id gets one that is the same whenever the answer is read. */
const char *openai_made_call_id(struct arena *a, const char *reply_id, int64_t choice, int64_t block);
/* Fields of a url_citation annotation; NULL for any other. */
struct chat_citation *openai_read_annotation(struct arena *a, json_object *annotation);
/* An object {"input": text} as JSON text: the arguments of a call of a custom tool. */
struct str openai_custom_arguments(struct arena *a, struct str input);

#endif
