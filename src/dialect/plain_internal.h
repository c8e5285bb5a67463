/*
 * The plain dialect's own parts (contract §2, "The plain dialect"); shared by plain*.c only. A request in any
 * of its body types becomes one set of values first; the rest looks at the values and not at where they came
 * from.
 */
#ifndef TOLLGATE_DIALECT_PLAIN_INTERNAL_H
#define TOLLGATE_DIALECT_PLAIN_INTERNAL_H

#include "base/json.h"
#include "dialect/dialect.h"

enum plain_use { PLAIN_CHAT = 1, PLAIN_EMBED = 2 };

struct plain_item {
        struct plain_item *next;
        const char *path; /* "image", "image[1]" */
        struct str value;
        bool is_file; /* the value is the file's bytes */
};

struct plain_list {
        struct plain_item *first, *last;
        size_t count;
        bool is_list; /* given as a JSON array, or more than once in a form */
};

struct plain_values {
        const char *model;
        struct str prompt, system;
        struct plain_list images, inputs;
        struct str messages; /* JSON text of the array; {NULL, 0}: absent */
        struct opt_int max_tokens, dimensions;
        struct opt_number temperature;
        enum tri stream;
};

/* Reads the body, whatever its type, and for text bodies the query. False: err. */
bool plain_read(const struct client_input *in, enum plain_use use, struct plain_values *out, struct err *err);

/* Which form the client wants, by its Accept header alone. ANSWER_JSON when it has no wish that can be met.
 */
enum answer_format plain_accepted(const char *accept);

bool plain_decode_chat(const struct client_input *in, struct chat_request *out, struct err *err);
bool plain_decode_embed(const struct client_input *in, struct embed_request *out, struct err *err);

void plain_encode_chat(const struct answer_context *c, const struct chat_reply *reply, struct buf *out);
void plain_encode_embed(const struct answer_context *c, const struct embed_reply *reply, struct buf *out);
void plain_encode_error(const struct answer_context *c, const struct err *e, struct buf *out);
void *plain_encoder_new(const struct answer_context *c);
void plain_encode_event(void *encoder, const struct chat_event *event, struct buf *out);
void plain_encode_stream_error(void *encoder, const struct err *e, struct buf *out);
void plain_encode_keepalive(void *encoder, struct buf *out);

/* The members of an answer that chat has; text, finish and calls where they are known. */
struct plain_answer {
        const char *id, *served_model;
        struct str text;
        enum chat_finish finish;
        const struct chat_block *calls; /* BLOCK_TOOL_CALL of this list are told */
        struct chat_usage usage;
};
/* Pages for forms without JavaScript (plain_html.c): what models say is text. */
void plain_write_page(const struct answer_context *c, const struct plain_answer *answer, struct buf *out);
void plain_write_vectors_page(const struct answer_context *c, const struct embed_reply *reply,
                              struct buf *out);
void plain_write_error_page(const struct answer_context *c, const struct err *e, struct buf *out);
const char *plain_finish_word(enum chat_finish finish);
void plain_write_answer(const struct answer_context *c, const struct plain_answer *answer, struct buf *out);

#endif
