/*
 * A dialect is a wire format, used at both ends: it decodes requests and encodes answers for clients, and
 * encodes requests and decodes answers for providers. One row each; an op that is NULL means "can't". All ops
 * are pure: bytes and structs only, no sockets, no clock, no configuration.
 */
#ifndef TOLLGATE_DIALECT_DIALECT_H
#define TOLLGATE_DIALECT_DIALECT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dialect/chat.h"
#include "dialect/fault_kind.h"
#include "dialect/form.h"
#include "dialect/sse.h"

/* What a client sent. */
struct client_input {
        struct arena *arena;
        struct str body;
        const char *content_type;        /* whole header value, or NULL */
        const char *accept;              /* or NULL */
        const char *path_model;          /* gemini: decoded {model} of the path; else NULL */
        bool path_stream;                /* gemini: the path says streamGenerateContent */
        bool path_batch;                 /* gemini: batchEmbedContents */
        bool want_image;                 /* plain: asked on /vision */
        const struct form_fields *query; /* decoded query string; never NULL */
        const char *api_version, *betas; /* anthropic-version and anthropic-beta headers, or NULL */
};

/* How the answer is to be written for a client. */
enum answer_format { ANSWER_JSON, ANSWER_SSE, ANSWER_TEXT, ANSWER_JSON_ARRAY, ANSWER_HTML };

/* What the encoders of answers need to know beyond the answer. Fields may be filled in while the request goes
 * on. */
struct answer_context {
        struct arena *arena;
        enum answer_format format;
        const char *request_id;
        const char *model_asked;        /* without @version */
        const char *version, *provider; /* NULL: not known yet */
        int64_t created;    /* unix seconds, for dialects that want one when the provider gave none */
        int64_t latency_ms; /* plain */
        const char *home;   /* HTML: from the path that was asked to the mount, "./" or "../"; NULL: "./" */
        bool stream_usage;  /* openai: write the usage chunk */
        bool embed_base64, embed_batch;
        const char *cost,
                *currency;   /* plain, and x-tollgate-cost: a decimal, and its currency; NULL: not known */
        const char *id_seed; /* unique text to make ids from where the provider gave none */
};

/* An upstream request in the making: everything but base URL and credentials. */
struct wire_header {
        const char *name, *value;
};

struct wire_request {
        const char *method; /* "POST" */
        const char *path;   /* below the provider's base, with query, percent-encoded: "/chat/completions" */
        struct wire_header headers[8]; /* content-type is always application/json and not listed */
        size_t header_count;
        struct buf body; /* initialised by the caller with its cap; owned by the caller */
};

/* The target, as far as encoders look at it. */
struct wire_target {
        const char *model; /* upstream id */
        struct model_caps caps;
};

struct model_entry {
        const char *id;
        int64_t created;
        int64_t window, max_output; /* 0: unknown */
        unsigned tasks;
};

/* Names of a canonical field in a dialect. The first is the one shown and written; all are replaced by `set`.
 */
struct field_names {
        const char *names[4]; /* dotted paths of members: "generationConfig.maxOutputTokens"; NULL ends */
};

struct dialect {
        enum dialect_id id;
        const char *name;
        struct field_names fields[CHAT_FIELDS];
        /* Bytes that end a whole stream, written on the fast path where the provider closed without them.
         * NULL: none. */
        const char *stream_end;

        /* ---- the client's end ---- */
        bool (*decode_chat_request)(const struct client_input *in, struct chat_request *out, struct err *err);
        bool (*decode_embed_request)(const struct client_input *in, struct embed_request *out,
                                     struct err *err);
        /* Which form the answer takes, before anything is decoded as far as it goes (errors need it too). */
        enum answer_format (*answer_format)(const struct client_input *in, bool stream);
        void (*encode_chat_reply)(const struct answer_context *c, const struct chat_reply *reply,
                                  struct buf *out);
        void (*encode_embed_reply)(const struct answer_context *c, const struct embed_reply *reply,
                                   struct buf *out);
        void (*encode_error)(const struct answer_context *c, const struct err *e, struct buf *out);
        /* Streams. State lives in c->arena (which outlives the stream). EVENT_ERROR is not passed here. */
        void *(*encoder_new)(const struct answer_context *c);
        void (*encode_event)(void *encoder, const struct chat_event *event, struct buf *out);
        /* An error after the stream began; the stream then ends without its sign of a whole answer. */
        void (*encode_stream_error)(void *encoder, const struct err *e, struct buf *out);
        void (*encode_keepalive)(
                void *encoder, struct buf *out); /* swallowed by every SDK; may come before the first event */
        void (*encode_models)(const struct answer_context *c, const struct model_entry *models, size_t count,
                              struct buf *out);
        void (*encode_model)(const struct answer_context *c, const struct model_entry *model,
                             struct buf *out);
        /* Content type of an answer in c->format. */
        const char *(*content_type)(enum answer_format format);

        /* ---- the provider's end ---- */
        /* The request has been fitted (policy/fit.h): what the target can't do is gone or refused. False:
         * err. */
        bool (*encode_chat_request)(struct arena *a, const struct chat_request *r,
                                    const struct wire_target *t, struct wire_request *out, struct err *err);
        bool (*encode_embed_request)(struct arena *a, const struct embed_request *r,
                                     const struct wire_target *t, struct wire_request *out, struct err *err);
        /* Path and headers only, for the fast path, where the body is the client's own. */
        void (*address_chat_request)(struct arena *a, const struct chat_request *r,
                                     const struct wire_target *t, struct wire_request *out);
        bool (*decode_chat_reply)(struct arena *a, struct str body, struct chat_reply *out,
                                  struct upstream_fault *fault);
        bool (*decode_embed_reply)(struct arena *a, struct str body, size_t expected, struct embed_reply *out,
                                   struct upstream_fault *fault);
        /* A body of status >= 400 (or any body that is an error). Never fails: unknown shapes give a kind by
         * status. retry-after headers are added by the transport. */
        void (*decode_error)(struct arena *a, int status, struct str body, struct upstream_fault *out);
        void *(*decoder_new)(struct arena *a, const struct chat_request *r);
        /* One SSE event to 0 … n events in out->arena (scratch: state that must last is kept in decoder_new's
         * arena). A malformed event becomes EVENT_ERROR with FAULT_MALFORMED. Nothing comes after END or
         * ERROR. */
        void (*decode_event)(void *decoder, const struct sse_event *event, struct chat_events *out);
        /* The connection was closed in good order. Gives what was held back, then END if the answer is whole
         * (finish seen), else EVENT_ERROR with FAULT_CUT. stray: bytes that were no SSE at all (gemini's raw
         * error JSON). */
        void (*decode_end)(void *decoder, struct str stray, struct chat_events *out);
};

extern const struct dialect dialect_openai, dialect_anthropic, dialect_gemini, dialect_plain;

/* By name ("openai", …) or id; NULL when unknown. "echo" is a provider, not a dialect with a wire form. */
const struct dialect *dialect_by_name(const char *name);
const struct dialect *dialect_by_id(enum dialect_id id);
/* The field's name in the client's words, for messages and x-tollgate-adjusted; falls back to the openai
 * name. */
const char *dialect_field_name(enum dialect_id id, enum chat_field field);
/* For settings `set` and `default`: the canonical field of an openai name ("max_tokens", "reasoning_effort"),
 * or CHAT_FIELDS. */
enum chat_field dialect_field_by_name(const char *openai_name);

#endif
