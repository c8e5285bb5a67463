/*
 * The gemini dialect's own parts (generateContent of the Gemini API, v1beta; Vertex AI's differences in
 * answers). Private: only src/dialect/gemini*.c include it. Ops are as dialect/dialect.h describes them.
 *   gemini.c           row, names of fields, formats, models
 *   gemini_names.c     proto3 JSON names, finish reasons, schemas
 *   gemini_request.c   client's request: contents; gemini_parts.c, gemini_media.c: parts; gemini_config.c:
 * tools and settings gemini_encode.c    provider's request: contents; gemini_encode_parts.c: parts;
 * gemini_encode_config.c: tools and settings gemini_reply.c     provider's reply; gemini_stream.c: stream;
 * gemini_partial.c: arguments in pieces gemini_answer.c    client's reply; gemini_events.c: stream
 *   gemini_embed.c, gemini_error.c
 */
#ifndef TOLLGATE_DIALECT_GEMINI_H
#define TOLLGATE_DIALECT_GEMINI_H

#include <json-c/json.h>
#include <stdbool.h>
#include "base/json.h"
#include "dialect/dialect.h"

/* Gemini takes it in place of a signature, where the call was made by another model. */
#define GEMINI_SKIP_SIGNATURE "skip_thought_signature_validator"

/* ---- names (gemini_names.c) ---- */

/* The spelling of a field that obj uses: proto3 JSON takes lowerCamelCase and snake_case. Both there: an
 * error at `at`. Neither: camel. */
const char *gemini_key(struct json_reader *r, json_object *obj, const struct json_path *at,
                       const char *camel);
/* lowerCamelCase of a key in either spelling, in the arena. */
const char *gemini_camel(struct arena *a, const char *key);

enum gemini_member_use {
        MEMBER_KNOWN, /* has a place in the canonical form */
        MEMBER_HINT,  /* an extra that may be left out */
        MEMBER_NEEDED /* an extra that changes what the caller gets; unknown members too */
};
struct gemini_member {
        const char *camel;
        enum gemini_member_use use;
};
/* Collects every member that is not known as an extra named prefix + lowerCamelCase. The table ends with a
 * NULL name. */
void gemini_collect_extras(struct arena *a, json_object *obj, const char *prefix,
                           const struct gemini_member *table, struct chat_extra **extras);

enum chat_finish gemini_finish(const char *reason); /* unknown: FINISH_STOP; NULL: FINISH_NONE */
/* The reason to tell a client: raw where it is one of gemini's own of that class. NULL: none. */
const char *gemini_finish_name(enum chat_finish finish, const char *raw);

/* JSON Schema of gemini's Schema (upper-case types, nullable, int64 as text, propertyOrdering). Deferred to
 * the arena. */
json_object *gemini_schema_decode(struct json_reader *r, json_object *schema, const struct json_path *at);
/* A schema of another dialect as the vendor takes it (gemini_schema.c). */
void gemini_write_schema(struct json_writer *w, json_object *schema);

/* ---- getters with both spellings ---- */
#define GEMINI_GET(name, type)                                                                               \
        static inline bool gemini_get_##name(struct json_reader *r, json_object *obj,                        \
                                             const struct json_path *at, const char *camel, type out)        \
        {                                                                                                    \
                return json_get_##name(r, obj, at, gemini_key(r, obj, at, camel), out);                      \
        }
GEMINI_GET(string, const char **)
GEMINI_GET(str, struct str *)
GEMINI_GET(bool, bool *)
GEMINI_GET(object, json_object **)
GEMINI_GET(array, json_object **)
#undef GEMINI_GET

/* ---- the client's request ---- */
struct gemini_call {
        struct gemini_call *next;
        const char *id, *name;
        bool answered;
};

struct gemini_decode {
        struct json_reader r;
        struct arena *arena;
        struct chat_request *out;
        struct gemini_call *calls, *last_call;
        size_t call_count;
        struct chat_block *open_thought; /* an unsigned thought that the next part may go on with, or NULL */
        size_t thought_room;             /* bytes of its buffer */
};

bool gemini_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err);
/* A part on its way into a message, or into the content of a tool result. */
struct gemini_part {
        struct gemini_decode *d;
        struct chat_message *message;
        struct chat_block **list, *last; /* list: of a tool result; NULL: the message's */
        json_object *node;
        const struct json_path *at;
        const char *key; /* of the payload, as the client spells it */
};

struct gemini_signature {
        struct str text; /* at NULL: none */
        enum dialect_id from;
        bool wrapped, redacted;
};

struct chat_block *gemini_add_block(struct gemini_part *p, enum chat_block_type type);
void gemini_add_other(struct gemini_part *p); /* one that only this dialect knows */
struct gemini_signature gemini_read_signature(struct gemini_part *p);
void gemini_sign(struct chat_block *b, const struct gemini_signature *s);
void gemini_decode_inline(struct gemini_part *p);
void gemini_decode_file(struct gemini_part *p);
/* One part into the message. */
void gemini_decode_part(struct gemini_decode *d, struct chat_message *m, json_object *part,
                        const struct json_path *at);
void gemini_decode_config(struct gemini_decode *d, json_object *root); /* generationConfig */
void gemini_decode_tools(struct gemini_decode *d, json_object *root);  /* tools, toolConfig */

/* ---- the provider's request ---- */
struct gemini_encode {
        struct arena *arena;
        const struct chat_request *r;
        const struct wire_target *target;
        struct json_writer w;
        struct err *err;
};

bool gemini_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                struct wire_request *out, struct err *err);
void gemini_address_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                 struct wire_request *out);
/* "/v1beta/models/{model}:{method}", percent-encoded. */
const char *gemini_path(struct arena *a, const char *model, const char *method);

/* A call and where it stands, for the names and the order of results. */
struct gemini_call_row {
        const char *id, *name;
        size_t order;
};

struct gemini_contents {
        struct gemini_encode *e;
        struct gemini_call_row *rows; /* sorted by id, then order */
        size_t row_count;
        size_t calls_seen; /* calls written so far: results refer to one of them */
        bool any;          /* a content was written */
        bool step_signed;  /* the step's first call was written */
};

/* The last call of that id before the place we are at; NULL: none. */
const struct gemini_call_row *gemini_find_call(const struct gemini_contents *c, const char *id);
/* Whether the block says anything here: thoughts go back only with gemini's own signature, results are
 * hoisted. */
bool gemini_is_said(const struct gemini_encode *e, const struct chat_block *b);
bool gemini_write_block(struct gemini_contents *c, const struct chat_block *b);
void gemini_text_part(struct json_writer *w, struct str text);
bool gemini_result_part(struct gemini_contents *c, const struct chat_block *b);
bool gemini_result_media(struct gemini_encode *e, const struct chat_block *result);
bool gemini_encode_contents(struct gemini_encode *e); /* systemInstruction and contents */
bool gemini_encode_tools(struct gemini_encode *e);    /* tools and toolConfig */
bool gemini_encode_config(struct gemini_encode *e);   /* generationConfig */
/* Extras of the prefix ("" or "generationConfig."), if the request came in this dialect. */
void gemini_encode_extras(struct gemini_encode *e, const char *prefix);

/* ---- the provider's reply ---- */
/* Counts as last said, field by field. */
struct gemini_usage {
        bool seen;
        int64_t prompt, cached, candidates, thoughts, tool, audio_input, image_input, audio_output;
        enum chat_tier tier;
};
void gemini_usage_read(json_object *metadata, struct gemini_usage *u);
struct chat_usage gemini_usage_canonical(const struct gemini_usage *u);

/* Ids for calls that came without: unique within a conversation. */
struct gemini_ids {
        const char *response; /* the provider's responseId, or NULL */
        int64_t next;
};
const char *gemini_call_id(struct arena *a, struct gemini_ids *ids, json_object *call, const char *name);
/* Why a prompt was blocked, as text; NULL: it was not. */
const char *gemini_block_text(struct arena *a, json_object *root, const char **reason);
/* Citations of a candidate. text: of the block, for positions in characters; {NULL, 0}: positions stay
 * unknown. */
struct chat_citation *gemini_citations(struct arena *a, json_object *candidate, struct str text);
/* OpenAI's logprobs content array of a candidate's logprobsResult, deferred to the arena, or NULL. */
json_object *gemini_logprobs(struct arena *a, json_object *candidate);

bool gemini_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                              struct upstream_fault *fault);
void *gemini_decoder_new(struct arena *a, const struct chat_request *r);
void gemini_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out);
void gemini_decode_end(void *decoder, struct str stray, struct chat_events *out);

/* Arguments that come in pieces (Vertex streamFunctionCallArguments). */
struct gemini_partial;
struct gemini_partial *gemini_partial_new(json_object *args); /* args: what came whole, or NULL */
void gemini_partial_free(void *partial);
bool gemini_partial_add(struct gemini_partial *p,
                        json_object *pieces); /* false: no path, beyond the bounds */
/* All of it as JSON text in the arena. */
struct str gemini_partial_text(struct gemini_partial *p, struct arena *a);

/* ---- errors (gemini_error.c) ---- */
/* The error object of {"error": …} or [{"error": …}], or NULL. */
json_object *gemini_error_of(json_object *root);
/* in_body: FAULT_IN_BODY, but for rate limits and overload. */
void gemini_error_read(struct arena *a, int status, json_object *error, bool in_body,
                       struct upstream_fault *out);
void gemini_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out);
void gemini_encode_error(const struct answer_context *c, const struct err *e, struct buf *out);
void gemini_write_error(struct json_writer *w, const struct answer_context *c, const struct err *e);

/* ---- the client's answer ---- */
void gemini_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply,
                              struct buf *out);
/* A part of an answer; false: nothing was written (nothing of it can be said in this dialect). */
bool gemini_write_part(struct json_writer *w, struct arena *a, const struct chat_block *b);
void gemini_write_usage(struct json_writer *w, const struct chat_usage *u); /* with its key */
void gemini_write_logprobs(struct json_writer *w, json_object *content);    /* openai's array; with its key */
void gemini_write_grounding(struct json_writer *w,
                            const struct chat_block *list); /* with its key, if there is any */

void *gemini_encoder_new(const struct answer_context *c);
void gemini_encode_event(void *encoder, const struct chat_event *event, struct buf *out);
void gemini_encode_stream_error(void *encoder, const struct err *e, struct buf *out);
void gemini_encode_keepalive(void *encoder, struct buf *out);

/* ---- embeddings (gemini_embed.c) ---- */
bool gemini_decode_embed_request(const struct client_input *in, struct embed_request *out, struct err *err);
void gemini_encode_embed_reply(const struct answer_context *c, const struct embed_reply *reply,
                               struct buf *out);
bool gemini_encode_embed_request(struct arena *a, const struct embed_request *r, const struct wire_target *t,
                                 struct wire_request *out, struct err *err);
bool gemini_decode_embed_reply(struct arena *a, struct str body, size_t expected, struct embed_reply *out,
                               struct upstream_fault *fault);

/* ---- small things ---- */
void gemini_release_json(void *node); /* for arena_defer */

#endif
