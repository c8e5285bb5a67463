/*
 * The canonical forms that stand between dialects: requests, replies and streams of chat, and embeddings.
 * Typed wherever policy or translation looks; json_object * kept as it came where nobody looks (schemas,
 * arguments, fields that only one dialect knows). All memory belongs to the arena of the request; json
 * objects live as long as the tree they came from (json_parse) or are deferred to the arena. Zero means
 * absent, unless said otherwise.
 */
#ifndef TOLLGATE_DIALECT_CHAT_H
#define TOLLGATE_DIALECT_CHAT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/str.h"
#include "config/model_caps.h"

enum dialect_id {
        DIALECT_NONE,
        DIALECT_OPENAI,
        DIALECT_ANTHROPIC,
        DIALECT_GEMINI,
        DIALECT_PLAIN,
        DIALECT_ECHO,
        DIALECTS
};

struct opt_number {
        bool set;
        double value;
};
struct opt_int {
        bool set;
        int64_t value;
};

/* ---------------------------------------------------------------- messages */

enum chat_role { CHAT_SYSTEM, CHAT_DEVELOPER, CHAT_USER, CHAT_ASSISTANT };

enum chat_block_type {
        BLOCK_TEXT,        /* text */
        BLOCK_IMAGE,       /* source, detail */
        BLOCK_DOCUMENT,    /* source, title */
        BLOCK_AUDIO,       /* source (base64, media_type audio/wav, audio/mp3) */
        BLOCK_TOOL_CALL,   /* id, name, arguments; assistant only */
        BLOCK_TOOL_RESULT, /* id of the call, name where known, content (blocks), is_error; user only */
        BLOCK_THINKING,    /* text, signature; redacted: text is empty and signature holds the opaque data */
        BLOCK_REFUSAL,     /* text: why the model refused */
        BLOCK_OTHER,       /* raw: a block that only raw_dialect knows (server tools and the like) */
};

enum chat_source_kind { SOURCE_NONE, SOURCE_BASE64, SOURCE_URL, SOURCE_FILE_ID, SOURCE_TEXT };

struct chat_source {
        enum chat_source_kind kind;
        const char *media_type; /* "image/png"; NULL: unknown */
        struct str data;        /* SOURCE_BASE64: standard base64 text, checked; SOURCE_TEXT: the text */
        const char *url;        /* SOURCE_URL: http(s) URL (data URLs are taken apart into SOURCE_BASE64);
                                   SOURCE_FILE_ID: the id */
};

struct chat_citation {
        struct chat_citation *next;
        const char *url, *title; /* NULL: unknown */
        struct str cited_text;
        int64_t start, end; /* characters (Unicode code points) of the block's text; end 0: unknown */
        json_object *raw;   /* as it came, or NULL */
        enum dialect_id raw_dialect;
};

struct chat_block {
        struct chat_block *next;
        enum chat_block_type type;
        const char
                *path; /* where it stood in the client's request: "messages[3].content[1]"; NULL in replies */
        struct str text;
        struct chat_source source;
        const char *detail; /* image: "auto", "low", "high", "original" */
        const char *title;  /* document: title or file name */
        const char *id, *name;
        json_object *arguments;     /* tool call: an object; NULL when arguments_text is no JSON object */
        struct str arguments_text;  /* tool call: JSON text as it came; absent: serialise `arguments` */
        struct chat_block *content; /* tool result: text, image and document blocks */
        bool is_error;
        bool redacted;
        struct str signature;            /* thinking, tool call (gemini), text (gemini) */
        enum dialect_id signature_from;  /* whose it is: never sent to another (dialect/carry.h) */
        struct chat_citation *citations; /* text of replies */
        json_object *cache_control;      /* a mark for the provider's cache in anthropic's shape, or NULL */
        bool cache_breakpoint;           /* it came as openai's own prompt_cache_breakpoint */
        json_object *raw; /* BLOCK_OTHER: the block; other types: an object of members that only raw_dialect
                             knows, or NULL */
        enum dialect_id raw_dialect;
};

struct chat_message {
        struct chat_message *next;
        enum chat_role role;
        const char *name;
        const char *path; /* "messages[3]" */
        struct chat_block *blocks;
        struct chat_block *last_block;
};

/* ---------------------------------------------------------------- tools */

struct chat_tool {
        struct chat_tool *next;
        const char *name, *description;
        json_object *parameters; /* JSON Schema, NULL: no arguments */
        enum tri strict;
        json_object *cache_control;
        json_object *raw; /* set: a tool that runs at the provider or that only raw_dialect knows (hosted,
                             custom grammar) */
        enum dialect_id raw_dialect;
        const char *raw_type; /* "web_search_20260318", "googleSearch", "custom" */
        const char *path;     /* "tools[2]" */
        json_object *extra;   /* members of a function tool that only the request's own dialect knows, as an
                                 object; or NULL */
};

struct chat_name {
        struct chat_name *next;
        const char *name;
};

enum tool_choice {
        TOOL_CHOICE_UNSET,
        TOOL_CHOICE_AUTO,
        TOOL_CHOICE_NONE,
        TOOL_CHOICE_REQUIRED,
        TOOL_CHOICE_NAMED
};

enum response_format { FORMAT_UNSET, FORMAT_TEXT, FORMAT_JSON_OBJECT, FORMAT_JSON_SCHEMA };

/* ---------------------------------------------------------------- request */

/* Fields that policy may refuse, force, fill in or leave out. Each dialect names them in its own words
 * (dialect.h). */
enum chat_field {
        FIELD_MODEL,
        FIELD_MESSAGES,
        FIELD_SYSTEM,
        FIELD_MAX_TOKENS,
        FIELD_TEMPERATURE,
        FIELD_TOP_P,
        FIELD_TOP_K,
        FIELD_PRESENCE_PENALTY,
        FIELD_FREQUENCY_PENALTY,
        FIELD_SEED,
        FIELD_N,
        FIELD_STOP,
        FIELD_LOGPROBS,
        FIELD_TOP_LOGPROBS,
        FIELD_LOGIT_BIAS,
        FIELD_TOOLS,
        FIELD_TOOL_CHOICE,
        FIELD_PARALLEL_TOOLS,
        FIELD_RESPONSE_FORMAT,
        FIELD_REASONING, /* effort, budget, level, thinking */
        FIELD_STREAM,
        FIELD_STREAM_USAGE,
        FIELD_USER,
        FIELD_SERVICE_TIER,
        FIELD_STORE,
        FIELD_METADATA,
        FIELD_CACHE_KEY,
        FIELD_CACHE_CONTROL,
        FIELD_VERBOSITY,
        FIELD_AUDIO_OUTPUT, /* modalities, audio */
        FIELD_DIMENSIONS,
        FIELD_INPUT,
        CHAT_FIELDS
};

enum thinking_mode {
        THINKING_UNSET,
        THINKING_OFF,
        THINKING_BUDGET,
        THINKING_ADAPTIVE,
        THINKING_BETWEEN_TOOLS
};

struct chat_reasoning {
        enum effort effort;
        enum thinking_mode mode;
        int64_t budget_tokens; /* 0: unset; -1: the model's choice (gemini's dynamic) */
        enum tri show;         /* should thoughts be part of the answer (includeThoughts, display) */
};

/* A top-level member that the client's dialect has and the canonical form does not. */
struct chat_extra {
        struct chat_extra *next;
        const char *name;
        json_object *value;
        bool hint; /* may be left out when the target is of another dialect (told as adjusted); else the
                      target is unfit */
};

struct chat_request {
        enum dialect_id from;
        const char *model; /* as the client named it: "assistant", "assistant@2026-08",
                              "gemini/gemini-3.5-flash" */
        struct chat_message *messages, *last_message;
        struct chat_tool *tools, *last_tool;
        enum tool_choice tool_choice;
        const char *tool_choice_name;    /* TOOL_CHOICE_NAMED */
        struct chat_name *allowed_tools; /* AUTO or REQUIRED restricted to these; NULL: all */
        enum tri parallel_tools;         /* NO: at most one call */
        enum response_format response_format;
        json_object *schema; /* FORMAT_JSON_SCHEMA */
        const char *schema_name, *schema_description;
        enum tri schema_strict;
        struct chat_reasoning reasoning;
        struct opt_int max_tokens, top_k, seed, n, top_logprobs;
        struct opt_number temperature, top_p, presence_penalty, frequency_penalty;
        struct chat_name *stop; /* in order */
        bool logprobs;
        json_object *logit_bias;
        bool stream;
        bool stream_usage; /* openai: the client asked for the usage chunk */
        /* hints */
        const char *user, *service_tier, *cache_key, *verbosity;
        json_object *metadata;
        enum tri store;
        json_object *cache_control; /* a mark on the whole request, in anthropic's shape, or NULL */
        struct chat_extra *extras;
        const char *api_version; /* anthropic: the version header the client sent, or NULL */
};

/* ---------------------------------------------------------------- reply */

enum chat_finish {
        FINISH_NONE,
        FINISH_STOP,
        FINISH_STOP_SEQUENCE,
        FINISH_LENGTH,
        FINISH_TOOL,
        FINISH_FILTER,
        FINISH_PAUSE,
        FINISH_ERROR
};

/* Service tiers, as far as they are priced otherwise. TIER_FAST: anthropic's `speed`. */
enum chat_tier { TIER_STANDARD, TIER_PRIORITY, TIER_FLEX, TIER_BATCH, TIER_FAST };

/* Counts of tokens, bounded to 0 … 1e12. `input` includes cached and cache_write; `output` includes
 * reasoning. */
struct chat_usage {
        bool known;                                         /* the provider said something */
        bool estimated;                                     /* reckoned here */
        int64_t input, cached, cache_write, cache_write_1h; /* cache_write includes the 1 h part */
        int64_t output, reasoning;
        int64_t audio_input, audio_output, image_input;
        int64_t tool_input;    /* gemini toolUsePromptTokenCount, included in `input` */
        int64_t reported_pico; /* its cost by the provider's own word, in 1e-12 of its currency; 0: none said
                                */
        enum chat_tier tier;   /* that served it, by the provider's word */
};

struct chat_choice {
        struct chat_choice *next;
        int64_t index;
        struct chat_block *blocks, *last_block;
        enum chat_finish finish;
        const char *finish_raw;    /* in the provider's words */
        const char *stop_sequence; /* FINISH_STOP_SEQUENCE, where known */
        json_object *stop_details; /* anthropic's, of a refusal */
        json_object *logprobs;     /* openai's shape: {content: [{token, logprob, bytes, top_logprobs}]} */
};

struct chat_reply {
        const char *id, *model; /* the provider's */
        int64_t created;        /* unix seconds; 0: unknown */
        struct chat_choice *choices, *last_choice;
        struct chat_usage usage;
        const char *service_tier;
};

/* ---------------------------------------------------------------- stream */

enum chat_event_type {
        EVENT_START,       /* id, model, usage (input where known) */
        EVENT_BLOCK_START, /* block_start: type, id, name, signature, redacted, raw; no text */
        EVENT_DELTA,       /* delta_kind, delta */
        EVENT_BLOCK_STOP,
        EVENT_USAGE, /* usage: the totals so far; replaces what was said before */
        EVENT_STOP,  /* finish of a choice */
        EVENT_END,   /* the provider's sign that the answer is whole; always last */
        EVENT_ERROR, /* error: the provider failed in mid-stream; always last */
        EVENT_PING,
};

enum chat_delta_kind {
        DELTA_TEXT,      /* of TEXT, THINKING and REFUSAL blocks */
        DELTA_ARGUMENTS, /* a piece of JSON text of a TOOL_CALL */
        DELTA_SIGNATURE, /* of THINKING (and gemini text); whole or in pieces: append */
        DELTA_CITATION,  /* event.citation, on a TEXT block */
        DELTA_LOGPROBS,  /* event.logprobs: an array of openai's content items */
};

/*
 * Blocks of a choice are numbered from 0 without gaps in the order in which they start. Blocks may be open at
 * the same time (openai interleaves parallel calls); encoders that need them one after the other hold back
 * the later ones. Every block that starts stops, and stops before its choice's EVENT_STOP, unless the stream
 * ends in EVENT_ERROR.
 */
struct chat_event {
        struct chat_event *next;
        enum chat_event_type type;
        int64_t choice;
        int64_t block;
        struct chat_block block_start;
        enum chat_delta_kind delta_kind;
        struct str delta;
        struct chat_citation *citation;
        json_object *logprobs;
        const char *id, *model;
        enum chat_finish finish;
        const char *finish_raw, *stop_sequence;
        json_object *stop_details;
        struct chat_usage usage;
        struct upstream_fault *fault; /* EVENT_ERROR (dialect/fault_kind.h) */
};

/* Events of one wire event, in the scratch arena it was decoded into. */
struct chat_events {
        struct arena *arena;
        struct chat_event *first, *last;
};

/* ---------------------------------------------------------------- embeddings */

struct embed_input {
        struct embed_input *next;
        struct str text;
        const int64_t *tokens; /* openai: token ids in place of text, or NULL */
        size_t token_count;
        const char *path;
};

struct embed_request {
        enum dialect_id from;
        const char *model;
        struct embed_input *inputs, *last_input;
        size_t input_count;
        bool single; /* the client gave one input, not a list of one */
        struct opt_int dimensions;
        bool base64;                   /* openai encoding_format */
        const char *task_type, *title; /* gemini */
        const char *user;
        struct chat_extra *extras;
};

struct embed_vector {
        const float *values;
        size_t count;
};

struct embed_reply {
        const char *model;
        struct embed_vector *vectors; /* in the order of the inputs */
        size_t vector_count;
        struct chat_usage usage;
};

/* ---------------------------------------------------------------- makers (chat.c) */

struct chat_message *chat_add_message(struct arena *a, struct chat_request *r, enum chat_role role);
struct chat_block *chat_add_block(struct arena *a, struct chat_message *m, enum chat_block_type type);
struct chat_tool *chat_add_tool(struct arena *a, struct chat_request *r);
struct chat_choice *chat_add_choice(struct arena *a, struct chat_reply *r);
struct chat_block *chat_add_reply_block(struct arena *a, struct chat_choice *c, enum chat_block_type type);
struct chat_extra *chat_add_extra(struct arena *a, struct chat_extra **list, const char *name,
                                  json_object *value, bool hint);
void chat_add_name(struct arena *a, struct chat_name **list, const char *name); /* appends */
struct embed_input *embed_add_input(struct arena *a, struct embed_request *r);
/* Appends a zeroed event of the type; choice and block as given. */
struct chat_event *chat_add_event(struct chat_events *events, enum chat_event_type type, int64_t choice,
                                  int64_t block);

/* Arguments of a call as JSON text: arguments_text, else the object serialised, else "{}". "" counts as "{}".
 */
struct str chat_arguments_text(struct arena *a, const struct chat_block *call);
/* Arguments as an object: `arguments`, else arguments_text parsed, else (broken JSON) an object {"arguments":
 * "<text>"}. */
json_object *chat_arguments_object(struct arena *a, const struct chat_block *call);
/* Takes a data: URL apart (RFC 2397); base64 only, checked. False: it is none, or broken. */
bool chat_parse_data_url(struct arena *a, const char *url, size_t len, struct chat_source *out);
const char *effort_name(enum effort e);     /* "none", "minimal", … ; NULL for EFFORT_UNSET */
enum effort effort_parse(const char *name); /* EFFORT_UNSET when unknown */
/* The nearest of a set of efforts (bits 1 << enum effort; 0: all), the lower one of two; NONE only for NONE,
 * and the lowest of the set where that is not in it. */
enum effort effort_nearest(unsigned efforts, enum effort wanted);
/* True in the middle of a tool loop of which a turn with calls does not begin with a thinking block of this
 * vendor: then a vendor that wants its thoughts back can't be asked to think (anthropic with budgets). */
bool chat_loop_lacks_thinking(const struct chat_request *r, enum dialect_id vendor);
/* The detail ("low", "high", "original"; "auto" is no wish) that every image of the request has. NULL: none,
 * or they do not agree, then mixed. */
const char *chat_common_detail(const struct chat_request *r, bool *mixed);
/* A budget of tokens in the words of efforts; EFFORT_UNSET when there is none. */
enum effort effort_of_budget(int64_t budget_tokens);
/* What the caller asked for: no thought at all; some thought. Neither: nothing was said. */
bool reasoning_wants_off(const struct chat_reasoning *t);
bool reasoning_wants_thought(const struct chat_reasoning *t);
/*
 * A member's name that some decoders of JSON take for another: one of `known` (NULL-terminated) in other
 * case, or with letters beyond ASCII, of which a few fold to ASCII ones (encoding/json of Go). Such a member
 * would slip by what was set, chosen or refused under the name itself.
 */
bool chat_name_is_twin(const char *const *known, const char *name);
/* All text blocks of a list put together. */
struct str chat_join_text(struct arena *a, const struct chat_block *blocks);
/* The events a reply would have streamed, for targets that answer in one piece: START … USAGE, STOP, END. */
void chat_reply_events(const struct chat_reply *reply, struct chat_events *out);

#endif
