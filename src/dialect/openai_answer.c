#include "base/text.h"
#include "dialect/openai.h"

const char *openai_answer_id(const struct answer_context *c, const char *provider_id)
{
        if (provider_id && *provider_id)
                return provider_id;
        return arena_printf(c->arena, "chatcmpl-%s", c->id_seed ? c->id_seed : "0");
}

const char *openai_finish_word(enum chat_finish finish)
{
        switch (finish) {
        case FINISH_LENGTH: return "length";
        case FINISH_TOOL: return "tool_calls";
        case FINISH_FILTER: return "content_filter";
        default: return "stop";
        }
}

struct str openai_explanation(json_object *stop_details)
{
        struct str why = json_peek_str(stop_details, "explanation");
        return why.len ? why : (struct str){0};
}

int64_t openai_characters(struct str text)
{
        int64_t count = 0;
        for (size_t i = 0; i < text.len; i++)
                count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
        return count;
}

/* ---- pieces shared with the stream ---- */

void openai_write_usage(struct json_writer *w, const struct chat_usage *u)
{
        jw_object(w);
        jw_key_int(w, "prompt_tokens", u->input);
        jw_key_int(w, "completion_tokens", u->output);
        jw_key_int(w, "total_tokens", u->input + u->output);
        jw_key_object(w, "prompt_tokens_details");
        jw_key_int(w, "cached_tokens", u->cached);
        if (u->cache_write)
                jw_key_int(w, "cache_write_tokens", u->cache_write);
        jw_key_int(w, "audio_tokens", u->audio_input);
        if (u->image_input)
                jw_key_int(w, "image_tokens", u->image_input);
        jw_end(w);
        jw_key_object(w, "completion_tokens_details");
        jw_key_int(w, "reasoning_tokens", u->reasoning);
        jw_key_int(w, "audio_tokens", u->audio_output);
        jw_key_int(w, "accepted_prediction_tokens", 0);
        jw_key_int(w, "rejected_prediction_tokens", 0);
        jw_end(w);
        jw_end(w);
}

bool openai_write_citation(struct json_writer *w, const struct chat_citation *c, int64_t offset,
                           int64_t block_length)
{
        if (!c->url)
                return false;
        bool known = c->end > c->start;
        jw_object(w);
        jw_key_string(w, "type", "url_citation");
        jw_key_object(w, "url_citation");
        jw_key_int(w, "start_index", offset + (known ? c->start : 0));
        jw_key_int(w, "end_index", offset + (known ? c->end : block_length));
        jw_key_string(w, "title", c->title ? c->title : "");
        jw_key_string(w, "url", c->url);
        jw_end(w);
        jw_end(w);
        return true;
}

/* ---- the message ---- */

static struct str join(struct arena *a, const struct chat_block *blocks, enum chat_block_type type)
{
        size_t len = 0;
        for (const struct chat_block *b = blocks; b; b = b->next)
                len += b->type == type ? b->text.len : 0;
        char *joined = arena_alloc(a, len + 1), *to = joined;
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->type != type || !b->text.len)
                        continue;
                memcpy(to, b->text.at, b->text.len);
                to += b->text.len;
        }
        return (struct str){joined, len};
}

static bool has_block(const struct chat_block *blocks, enum chat_block_type type)
{
        while (blocks && blocks->type != type)
                blocks = blocks->next;
        return blocks != NULL;
}

static struct str refusal_of(struct arena *a, const struct chat_choice *choice)
{
        struct str refusal = join(a, choice->blocks, BLOCK_REFUSAL);
        if (!refusal.len && choice->finish == FINISH_FILTER)
                refusal = openai_explanation(choice->stop_details);
        return refusal;
}

/* No text at all is null beside calls or a refusal, and empty otherwise: so clients may send it back. */
static void write_content(struct json_writer *w, struct arena *a, const struct chat_choice *choice)
{
        struct str refusal = refusal_of(a, choice);
        bool else_null = refusal.len || has_block(choice->blocks, BLOCK_TOOL_CALL);
        if (has_block(choice->blocks, BLOCK_TEXT) || !else_null)
                jw_key_str(w, "content", chat_join_text(a, choice->blocks));
        else
                jw_key_null(w, "content");
        if (refusal.len)
                jw_key_str(w, "refusal", refusal);
        else
                jw_key_null(w, "refusal");
}

static void write_annotations(struct json_writer *w, const struct chat_choice *choice)
{
        int64_t offset = 0;
        jw_key_array(w, "annotations");
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                if (b->type != BLOCK_TEXT)
                        continue;
                int64_t length = openai_characters(b->text);
                for (const struct chat_citation *c = b->citations; c; c = c->next)
                        openai_write_citation(w, c, offset, length);
                offset += length;
        }
        jw_end(w);
}

static bool is_signed(const struct chat_block *b)
{
        return (b->type == BLOCK_THINKING || b->type == BLOCK_TEXT) && b->signature.len;
}

/* The details stand beside the plain text only where there is something that must come back unharmed. */
static void write_reasoning(struct json_writer *w, struct arena *a, const struct chat_choice *choice)
{
        struct str text = join(a, choice->blocks, BLOCK_THINKING);
        bool any_signed = false;
        int64_t index = 0;
        if (text.len)
                jw_key_str(w, "reasoning_content", text);
        for (const struct chat_block *b = choice->blocks; b; b = b->next)
                any_signed = any_signed || is_signed(b);
        if (!any_signed)
                return;
        jw_key_array(w, "reasoning_details");
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                if (b->type == BLOCK_THINKING)
                        openai_write_thought(w, a, b, b->text, b->signature, index++);
                else if (is_signed(b))
                        openai_write_text_signature(w, a, b, b->signature, index++);
        }
        jw_end(w);
}

static void write_call(struct json_writer *w, struct arena *a, const struct chat_block *b, int64_t index,
                       const struct answer_context *c)
{
        jw_object(w);
        jw_key_string(w, "id", b->id && *b->id ? b->id : openai_made_call_id(a, c->id_seed, 0, index));
        if (b->raw && b->raw_dialect == DIALECT_OPENAI) {
                jw_key_string(w, "type", "custom");
                jw_key_object(w, "custom");
                jw_key_string(w, "name", b->name ? b->name : "");
                jw_key_str(w, "input", json_peek_str(chat_arguments_object(a, b), "input"));
        } else {
                jw_key_string(w, "type", "function");
                jw_key_object(w, "function");
                jw_key_string(w, "name", b->name ? b->name : "");
                jw_key_str(w, "arguments", chat_arguments_text(a, b));
        }
        jw_end(w);
        if (b->signature.len)
                openai_write_call_signature(w, a, b->signature_from, b->signature);
        jw_end(w);
}

static void write_calls(struct json_writer *w, const struct answer_context *c,
                        const struct chat_choice *choice)
{
        int64_t index = 0;
        if (!has_block(choice->blocks, BLOCK_TOOL_CALL))
                return;
        jw_key_array(w, "tool_calls");
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                if (b->type == BLOCK_TOOL_CALL)
                        write_call(w, c->arena, b, index++, c);
        }
        jw_end(w);
}

/* Images that models make, where OpenRouter puts them; audio as it came. */
static void write_media(struct json_writer *w, const struct chat_choice *choice)
{
        bool any = false;
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                if (b->type != BLOCK_IMAGE || b->source.kind != SOURCE_BASE64)
                        continue;
                if (!any)
                        jw_key_array(w, "images");
                any = true;
                jw_object(w);
                jw_key_string(w, "type", "image_url");
                jw_key_object(w, "image_url");
                openai_write_data_url(w, "url", &b->source, "image/png");
                jw_end(w);
                jw_end(w);
        }
        if (any)
                jw_end(w);
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                if (b->type == BLOCK_OTHER && b->raw_dialect == DIALECT_OPENAI &&
                    json_peek_object(b->raw, "audio")) {
                        jw_key_node(w, "audio", json_peek_object(b->raw, "audio"));
                        return;
                }
        }
}

void openai_write_data_url(struct json_writer *w, const char *key, const struct chat_source *s,
                           const char *otherwise)
{
        /* Straight into the body, since images are large; the data is checked base64. */
        const char *type = s->media_type && *s->media_type ? s->media_type : otherwise;
        jw_key(w, key);
        jw_raw(w, "\"data:", 6);
        json_escape(w->out, type, strlen(type));
        buf_adds(w->out, ";base64,");
        buf_add_str(w->out, s->data);
        buf_addc(w->out, '"');
}

static void write_message(struct json_writer *w, const struct answer_context *c,
                          const struct chat_choice *choice)
{
        jw_object(w);
        jw_key_string(w, "role", "assistant");
        write_content(w, c->arena, choice);
        write_reasoning(w, c->arena, choice);
        write_calls(w, c, choice);
        write_annotations(w, choice);
        write_media(w, choice);
        jw_end(w);
}

void openai_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply, struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "id", openai_answer_id(c, reply->id));
        jw_key_string(&w, "object", "chat.completion");
        jw_key_int(&w, "created", reply->created ? reply->created : c->created);
        jw_key_string(&w, "model",
                      reply->model && *reply->model ? reply->model
                      : c->model_asked              ? c->model_asked
                                                    : "");
        jw_key_array(&w, "choices");
        for (const struct chat_choice *choice = reply->choices; choice; choice = choice->next) {
                jw_object(&w);
                jw_key_int(&w, "index", choice->index);
                jw_key(&w, "message");
                write_message(&w, c, choice);
                if (choice->logprobs)
                        jw_key_node(&w, "logprobs", choice->logprobs);
                else
                        jw_key_null(&w, "logprobs");
                jw_key_string(&w, "finish_reason", openai_finish_word(choice->finish));
                jw_end(&w);
        }
        jw_end(&w);
        if (reply->usage.known) {
                jw_key(&w, "usage");
                openai_write_usage(&w, &reply->usage);
        }
        if (reply->service_tier)
                jw_key_string(&w, "service_tier", reply->service_tier);
        jw_end(&w);
}
