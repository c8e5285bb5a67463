/* A stream for a client: chat.completion.chunk objects in the order of the real service. */
#include "dialect/openai.h"

enum { THOUGHT_MAX = 16 * 1024 * 1024, BLOCKS_MAX = 65536 };

struct sent_block {
        struct chat_block start;
        int64_t call;   /* running number of the call within its choice */
        int64_t detail; /* index in reasoning_details of a thought that is told in pieces there; -1: it is not
                         */
        int64_t offset; /* characters of text before a text block */
        int64_t characters; /* of a text block */
        bool has_arguments, has_signature, is_custom, open;
        struct buf held; /* of a thought, or of a custom call's arguments: they are told whole */
        struct buf signature;
};

struct sent_choice {
        struct sent_choice *next;
        int64_t index;
        struct sent_block **blocks;
        size_t block_count, block_room;
        int64_t calls, details, characters;
        bool begun, refused;
};

struct encoder {
        const struct answer_context *c;
        const char *id, *model;
        struct sent_choice *choices;
        struct chat_usage usage;
};

void *openai_encoder_new(const struct answer_context *c)
{
        struct encoder *e = arena_alloc(c->arena, sizeof *e);
        e->c = c;
        return e;
}

/* ---- chunks ---- */

static void open_chunk(struct encoder *e, struct json_writer *w, struct buf *out)
{
        const char *model = e->model ? e->model : e->c->model_asked;
        if (!e->id)
                e->id = openai_answer_id(e->c, NULL);
        buf_adds(out, "data: ");
        json_writer_init(w, out);
        jw_object(w);
        jw_key_string(w, "id", e->id);
        jw_key_string(w, "object", "chat.completion.chunk");
        jw_key_int(w, "created", e->c->created);
        jw_key_string(w, "model", model ? model : "");
        jw_key_array(w, "choices");
}

static void open_delta(struct encoder *e, struct json_writer *w, struct buf *out,
                       const struct sent_choice *choice)
{
        open_chunk(e, w, out);
        jw_object(w);
        jw_key_int(w, "index", choice->index);
        jw_key_object(w, "delta");
}

static void close_delta(struct encoder *e, struct json_writer *w, json_object *logprobs, const char *finish)
{
        jw_end(w);
        if (logprobs) {
                jw_key_object(w, "logprobs");
                jw_key_node(w, "content", logprobs);
                jw_key_null(w, "refusal");
                jw_end(w);
        } else {
                jw_key_null(w, "logprobs");
        }
        jw_key_string(w, "finish_reason", finish);
        jw_end(w);
        jw_end(w);
        if (e->c->stream_usage)
                jw_key_null(w, "usage");
        jw_end(w);
        buf_adds(w->out, "\n\n");
}

static void send_text(struct encoder *e, struct buf *out, const struct sent_choice *choice, const char *key,
                      struct str text)
{
        struct json_writer w;
        open_delta(e, &w, out, choice);
        jw_key_str(&w, key, text);
        close_delta(e, &w, NULL, NULL);
}

static void open_call(struct encoder *e, struct json_writer *w, struct buf *out,
                      const struct sent_choice *choice, const struct sent_block *b)
{
        open_delta(e, w, out, choice);
        jw_key_array(w, "tool_calls");
        jw_object(w);
        jw_key_int(w, "index", b->call);
}

static void close_call(struct encoder *e, struct json_writer *w)
{
        jw_end(w);
        jw_end(w);
        close_delta(e, w, NULL, NULL);
}

static void send_arguments(struct encoder *e, struct buf *out, const struct sent_choice *choice,
                           const struct sent_block *b, struct str text)
{
        struct json_writer w;
        open_call(e, &w, out, choice, b);
        jw_key_object(&w, "function");
        jw_key_str(&w, "arguments", text);
        jw_end(&w);
        close_call(e, &w);
}

/* ---- state ---- */

static struct sent_choice *find_choice(struct encoder *e, int64_t index)
{
        struct sent_choice **at = &e->choices;
        while (*at && (*at)->index != index)
                at = &(*at)->next;
        if (!*at) {
                *at = arena_alloc(e->c->arena, sizeof **at);
                (*at)->index = index;
        }
        return *at;
}

static void begin_choice(struct encoder *e, struct sent_choice *choice, struct buf *out)
{
        struct json_writer w;
        if (choice->begun)
                return;
        choice->begun = true;
        open_delta(e, &w, out, choice);
        jw_key_string(&w, "role", "assistant");
        jw_key_string(&w, "content", "");
        jw_key_null(&w, "refusal");
        close_delta(e, &w, NULL, NULL);
}

static struct sent_block *add_block(struct encoder *e, struct sent_choice *choice)
{
        struct arena *a = e->c->arena;
        if (choice->block_count == BLOCKS_MAX)
                return NULL;
        if (choice->block_count == choice->block_room) {
                size_t room = choice->block_room ? choice->block_room * 2 : 8;
                struct sent_block **blocks = arena_alloc(a, room * sizeof *blocks);
                if (choice->block_count)
                        memcpy(blocks, choice->blocks, choice->block_count * sizeof *blocks);
                choice->blocks = blocks;
                choice->block_room = room;
        }
        struct sent_block *b = arena_alloc(a, sizeof *b);
        buf_init_in_arena(&b->held, a, THOUGHT_MAX);
        buf_init_in_arena(&b->signature, a, THOUGHT_MAX);
        return choice->blocks[choice->block_count++] = b;
}

static struct sent_block *find_block(struct sent_choice *choice, int64_t index)
{
        bool known = index >= 0 && (size_t)index < choice->block_count;
        return known && choice->blocks[index]->open ? choice->blocks[index] : NULL;
}

static struct str contents(const struct buf *b)
{
        return (struct str){b->data ? b->data : "", b->len};
}

/* ---- blocks ---- */

static void start_call(struct encoder *e, struct sent_choice *choice, struct sent_block *b, struct buf *out)
{
        struct arena *a = e->c->arena;
        const struct chat_block *start = &b->start;
        struct json_writer w;
        b->call = choice->calls++;
        b->is_custom = start->raw && start->raw_dialect == DIALECT_OPENAI;
        open_call(e, &w, out, choice, b);
        jw_key_string(&w, "id",
                      start->id && *start->id ? start->id
                                              : openai_made_call_id(a, e->id, choice->index, b->call));
        jw_key_string(&w, "type", b->is_custom ? "custom" : "function");
        jw_key_object(&w, b->is_custom ? "custom" : "function");
        jw_key_string(&w, "name", start->name ? start->name : "");
        jw_key_string(&w, b->is_custom ? "input" : "arguments", "");
        jw_end(&w);
        b->has_signature = start->signature.len > 0;
        if (b->has_signature)
                openai_write_call_signature(&w, a, start->signature_from, start->signature);
        close_call(e, &w);
}

static void send_media(struct encoder *e, const struct sent_choice *choice, const struct chat_block *start,
                       struct buf *out)
{
        struct json_writer w;
        json_object *audio =
                start->raw_dialect == DIALECT_OPENAI ? json_peek_object(start->raw, "audio") : NULL;
        bool image = start->type == BLOCK_IMAGE && start->source.kind == SOURCE_BASE64;
        if (!audio && !image)
                return;
        open_delta(e, &w, out, choice);
        if (audio) {
                jw_key_node(&w, "audio", audio);
        } else {
                jw_key_array(&w, "images");
                jw_object(&w);
                jw_key_string(&w, "type", "image_url");
                jw_key_object(&w, "image_url");
                openai_write_data_url(&w, "url", &start->source, "image/png");
                jw_end(&w);
                jw_end(&w);
                jw_end(&w);
        }
        close_delta(e, &w, NULL, NULL);
}

/*
 * Anthropic signs its thoughts, and wants the very text back: as OpenRouter does, each piece stands in
 * reasoning_details too, for clients that bring those back. Who may sign, but seldom does, is told whole at
 * the end.
 */
static bool is_told_in_pieces(const struct chat_block *start)
{
        return start->type == BLOCK_THINKING && !start->redacted &&
               start->signature_from == DIALECT_ANTHROPIC;
}

static void send_thought(struct encoder *e, const struct sent_choice *choice, const struct sent_block *b,
                         struct str text, struct str signature, struct buf *out)
{
        struct json_writer w;
        open_delta(e, &w, out, choice);
        if (text.len)
                jw_key_str(&w, "reasoning_content", text);
        jw_key_array(&w, "reasoning_details");
        if (signature.len)
                openai_write_told_thought(&w, e->c->arena, &b->start, contents(&b->held), signature,
                                          b->detail);
        else
                openai_write_thought(&w, e->c->arena, &b->start, text, signature, b->detail);
        jw_end(&w);
        close_delta(e, &w, NULL, NULL);
}

static void start_block(struct encoder *e, struct sent_choice *choice, const struct chat_event *event,
                        struct buf *out)
{
        struct arena *a = e->c->arena;
        struct sent_block *b = add_block(e, choice);
        if (!b)
                return;
        b->open = true;
        b->start = event->block_start;
        b->offset = choice->characters;
        b->detail = is_told_in_pieces(&b->start) ? choice->details++ : -1;
        buf_add_str(&b->signature, event->block_start.signature);
        if (b->start.type == BLOCK_TOOL_CALL)
                start_call(e, choice, b, out);
        else if (b->start.type == BLOCK_OTHER || b->start.type == BLOCK_IMAGE)
                send_media(e, choice, &b->start, out);
        /* What the event points to lives only as long as the event. */
        b->start.id = arena_strdup(a, b->start.id);
        b->start.name = arena_strdup(a, b->start.name);
        b->start.raw = NULL;
        b->start.text = b->start.signature = b->start.source.data = (struct str){0};
}

static void send_delta_text(struct encoder *e, struct sent_choice *choice, struct sent_block *b,
                            struct str text, struct buf *out)
{
        if (!text.len)
                return;
        switch (b->start.type) {
        case BLOCK_TEXT:
                send_text(e, out, choice, "content", text);
                b->characters += openai_characters(text);
                choice->characters += openai_characters(text);
                break;
        case BLOCK_THINKING:
                buf_add_str(&b->held, text);
                if (b->detail >= 0)
                        send_thought(e, choice, b, text, (struct str){0}, out);
                else
                        send_text(e, out, choice, "reasoning_content", text);
                break;
        case BLOCK_REFUSAL:
                send_text(e, out, choice, "refusal", text);
                choice->refused = true;
                break;
        default: break;
        }
}

static void send_delta(struct encoder *e, struct sent_choice *choice, const struct chat_event *event,
                       struct buf *out)
{
        struct sent_block *b = find_block(choice, event->block);
        struct json_writer w;
        if (!b)
                return;
        switch (event->delta_kind) {
        case DELTA_TEXT: send_delta_text(e, choice, b, event->delta, out); break;
        case DELTA_ARGUMENTS:
                if (b->is_custom) {
                        buf_add_str(&b->held, event->delta);
                } else if (event->delta.len) {
                        b->has_arguments = true;
                        send_arguments(e, out, choice, b, event->delta);
                }
                break;
        case DELTA_SIGNATURE:
                buf_add_str(&b->signature, event->delta);
                if (b->start.signature_from == DIALECT_NONE)
                        b->start.signature_from = event->block_start.signature_from;
                break;
        case DELTA_CITATION:
                if (!event->citation || !event->citation->url)
                        break;
                open_delta(e, &w, out, choice);
                jw_key_array(&w, "annotations");
                openai_write_citation(&w, event->citation, b->offset, b->characters);
                jw_end(&w);
                close_delta(e, &w, NULL, NULL);
                break;
        case DELTA_LOGPROBS:
                open_delta(e, &w, out, choice);
                close_delta(e, &w, event->logprobs, NULL);
                break;
        }
}

static void stop_call(struct encoder *e, struct sent_choice *choice, struct sent_block *b, struct buf *out)
{
        struct arena *a = e->c->arena;
        struct json_writer w;
        if (b->is_custom) {
                struct chat_block call = {.arguments_text = contents(&b->held)};
                open_call(e, &w, out, choice, b);
                jw_key_object(&w, "custom");
                jw_key_str(&w, "input", json_peek_str(chat_arguments_object(a, &call), "input"));
                jw_end(&w);
                close_call(e, &w);
        } else if (!b->has_arguments) {
                send_arguments(e, out, choice, b, str_of("{}"));
        }
        if (b->has_signature || !b->signature.len)
                return;
        open_call(e, &w, out, choice, b);
        openai_write_call_signature(&w, a, b->start.signature_from, contents(&b->signature));
        close_call(e, &w);
}

/* A thought that must come back unharmed is told once more, whole, with its signature. */
static void stop_block(struct encoder *e, struct sent_choice *choice, int64_t index, struct buf *out)
{
        struct sent_block *b = find_block(choice, index);
        struct json_writer w;
        if (!b)
                return;
        b->open = false;
        if (b->start.type == BLOCK_TOOL_CALL) {
                stop_call(e, choice, b, out);
        } else if (b->signature.len && b->detail >= 0) {
                send_thought(e, choice, b, (struct str){0}, contents(&b->signature), out);
        } else if (b->signature.len && (b->start.type == BLOCK_THINKING || b->start.type == BLOCK_TEXT)) {
                open_delta(e, &w, out, choice);
                jw_key_array(&w, "reasoning_details");
                if (b->start.type == BLOCK_THINKING)
                        openai_write_thought(&w, e->c->arena, &b->start, contents(&b->held),
                                             contents(&b->signature), choice->details++);
                else
                        openai_write_text_signature(&w, e->c->arena, &b->start, contents(&b->signature),
                                                    choice->details++);
                jw_end(&w);
                close_delta(e, &w, NULL, NULL);
        }
        buf_release(&b->held);
        buf_release(&b->signature);
}

/* ---- events ---- */

static void stop_choice(struct encoder *e, struct sent_choice *choice, const struct chat_event *event,
                        struct buf *out)
{
        struct json_writer w;
        struct str why = openai_explanation(event->stop_details);
        if (event->finish == FINISH_FILTER && !choice->refused && why.len)
                send_text(e, out, choice, "refusal", why);
        open_delta(e, &w, out, choice);
        close_delta(e, &w, NULL, openai_finish_word(event->finish));
}

static void end_stream(struct encoder *e, struct buf *out)
{
        struct json_writer w;
        if (e->c->stream_usage && e->usage.known) {
                open_chunk(e, &w, out);
                jw_end(&w);
                jw_key(&w, "usage");
                openai_write_usage(&w, &e->usage);
                jw_end(&w);
                buf_adds(out, "\n\n");
        }
        buf_adds(out, "data: [DONE]\n\n");
}

void openai_encode_event(void *encoder, const struct chat_event *event, struct buf *out)
{
        struct encoder *e = encoder;
        struct sent_choice *choice;
        switch (event->type) {
        case EVENT_START:
                if (event->id && *event->id)
                        e->id = arena_strdup(e->c->arena, event->id);
                if (event->model && *event->model)
                        e->model = arena_strdup(e->c->arena, event->model);
                if (event->usage.known)
                        e->usage = event->usage;
                break;
        case EVENT_BLOCK_START:
                choice = find_choice(e, event->choice);
                begin_choice(e, choice, out);
                start_block(e, choice, event, out);
                break;
        case EVENT_DELTA: send_delta(e, find_choice(e, event->choice), event, out); break;
        case EVENT_BLOCK_STOP: stop_block(e, find_choice(e, event->choice), event->block, out); break;
        case EVENT_STOP:
                choice = find_choice(e, event->choice);
                begin_choice(e, choice, out);
                stop_choice(e, choice, event, out);
                break;
        case EVENT_USAGE: e->usage = event->usage; break;
        case EVENT_END: end_stream(e, out); break;
        case EVENT_PING:
        case EVENT_ERROR: break;
        }
}

void openai_encode_stream_error(void *encoder, const struct err *err, struct buf *out)
{
        struct json_writer w;
        (void)encoder;
        buf_adds(out, "data: ");
        json_writer_init(&w, out);
        openai_write_error(&w, err);
        buf_adds(out, "\n\n");
}

void openai_encode_keepalive(void *encoder, struct buf *out)
{
        (void)encoder;
        buf_adds(out, ": keep-alive\n\n");
}
