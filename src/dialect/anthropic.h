/*
 * Private to dialect/anthropic*.c: the Messages API (versions 2023-06-01 and 2026-10-21), both ends. What is
 * shared by the files of this dialect: the operations, tables of names, and the small rules that must hold in
 * both directions.
 */
#ifndef TOLLGATE_DIALECT_ANTHROPIC_H
#define TOLLGATE_DIALECT_ANTHROPIC_H

#include "base/json.h"
#include "dialect/carry.h"
#include "dialect/dialect.h"

#define ANTHROPIC_VERSION_CLASSIC "2023-06-01"
#define ANTHROPIC_VERSION_STRICT  "2026-10-21" /* from here on sampling fields are refused at all */
/* An extra of this name holds the client's anthropic-beta header (guards name it so). */
#define ANTHROPIC_BETAS "header:anthropic-beta"
/* The tool whose input is the answer, for models that take a schema in no other way. */
#define ANTHROPIC_ANSWER_TOOL "tollgate_answer"

enum { ANTHROPIC_BUDGET_MIN = 1024, ANTHROPIC_MAX_TOKENS_DEFAULT = 4096 };

/* ---- requests of clients (anthropic_request.c, anthropic_blocks.c) ---- */
struct anthropic_reader {
        struct json_reader json;
        struct chat_request *request;
        bool strict;                       /* version 2026-10-21 or later */
        struct anthropic_call *calls[256]; /* names of the calls so far, by a hash of their ids */
};

bool anthropic_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err);
/* Content of a message: a string or a list of blocks, added to m. */
bool anthropic_read_content(struct anthropic_reader *r, json_object *content, const struct json_path *at,
                            struct chat_message *m);
/* Members of obj that are not in `known` (NULL-terminated), as an object of their own; NULL when there are
 * none. */
json_object *anthropic_other_members(struct arena *a, json_object *obj, const char *const *known);

/* ---- requests to providers (anthropic_call.c, anthropic_thinking.c, anthropic_turns.c) ---- */
struct anthropic_plan {   /* what becomes of the request's reasoning */
        const char *type; /* of `thinking`; NULL: the field is left out */
        int64_t budget;   /* "enabled" */
        const char *display;
        enum effort effort; /* of output_config; EFFORT_UNSET: left out */
        int64_t max_tokens;
};

/*
 * Models with preserved thinking check that nothing before a thought has changed. Clients of other dialects
 * give thoughts back beside the text and not between its parts, or not all of them, so the vendor is asked to
 * drop what does not match (thinking.block_binding). anthropic_sends_thoughts: false where it can't be asked.
 */
#define ANTHROPIC_BINDING_BETA "thinking-binding-controls-2026-08-01"
bool anthropic_is_bound(const struct chat_request *r, const struct model_caps *caps);
bool anthropic_sends_thoughts(const struct chat_request *r, const struct model_caps *caps);
bool anthropic_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                   struct wire_request *out, struct err *err);
void anthropic_address_chat_request(struct arena *a, const struct chat_request *r,
                                    const struct wire_target *t, struct wire_request *out);
void anthropic_plan_thinking(const struct chat_request *r, const struct model_caps *caps,
                             struct anthropic_plan *out);
bool anthropic_write_turns(struct arena *a, struct json_writer *w, const struct chat_request *r,
                           const struct model_caps *caps, struct err *err);
/* The members that other_members() kept, into the object that is open. */
void anthropic_write_members(struct json_writer *w, json_object *members);
/* A schema of another dialect, as far as output_config.format takes it (anthropic_schema.c). */
void anthropic_write_schema(struct json_writer *w, json_object *schema);
bool anthropic_is_leading_system(const struct chat_request *r, const struct chat_message *m);

/* ---- answers of providers (anthropic_reply.c, anthropic_events.c, anthropic_fault.c) ---- */
bool anthropic_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                                 struct upstream_fault *fault);
void *anthropic_decoder_new(struct arena *a, const struct chat_request *r);
void anthropic_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out);
void anthropic_decode_end(void *decoder, struct str stray, struct chat_events *out);
void anthropic_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out);
/* kind by status and type; in_body: FAULT_IN_BODY, but for rate limits and overload. error: the inner object,
 * may be NULL. */
void anthropic_read_fault(struct arena *a, int status, json_object *error, bool in_body,
                          struct upstream_fault *out);
/* A block of an answer into b. keep: nodes are referenced until the arena goes, since their tree may go
 * earlier. */
void anthropic_read_reply_block(struct arena *a, json_object *node, struct chat_block *b);
struct chat_citation *anthropic_read_citation(struct arena *a, json_object *node);
/* Later counts replace earlier ones, member by member. */
void anthropic_read_usage(json_object *usage, struct chat_usage *out);
enum chat_finish anthropic_finish(const char *stop_reason);      /* FINISH_STOP for one that is not known */
json_object *anthropic_keep(struct arena *a, json_object *node); /* NULL stays NULL */

/* ---- answers to clients (anthropic_answer.c, anthropic_stream.c) ---- */
void anthropic_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply,
                                 struct buf *out);
void *anthropic_encoder_new(const struct answer_context *c);
void anthropic_encode_event(void *encoder, const struct chat_event *event, struct buf *out);
void anthropic_encode_stream_error(void *encoder, const struct err *e, struct buf *out);
void anthropic_encode_keepalive(void *encoder, struct buf *out);
void anthropic_write_error(const struct answer_context *c, const struct err *e, struct json_writer *w);
void anthropic_write_usage(struct json_writer *w, const struct chat_usage *u);
void anthropic_write_citation(struct arena *a, struct json_writer *w, const struct chat_citation *c);
const char *anthropic_message_id(const struct answer_context *c, const char *id);
/* Text that holds an image or audio block, as a data URL. */
struct str anthropic_media_text(struct arena *a, const struct chat_block *b);
bool anthropic_citation_fits(const struct chat_citation *c); /* enough is known of it to be written */
/* The signature of a thinking block as this client is to see it. */
struct str anthropic_signature(struct arena *a, const struct chat_block *b, enum carry_on on);
/* stop_reason, stop_sequence and stop_details, as members of the object that is open. */
struct anthropic_stop {
        enum chat_finish finish;
        const char *finish_raw, *stop_sequence;
        json_object *stop_details;
        struct str refusal; /* text of refusal blocks */
        bool called;        /* a tool_use block was written */
};
void anthropic_write_stop(struct json_writer *w, const struct anthropic_stop *s);

/* ---- names (anthropic_names.c) ---- */
/* Tool ids must match ^[a-zA-Z0-9_-]+$: others are mapped, the same way for the call and its result. */
const char *anthropic_tool_id(struct arena *a, const char *id);

#endif
