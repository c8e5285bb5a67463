/* Whole answers to clients. */
#include "dialect/anthropic.h"

#include <stdio.h>
#include <string.h>

#include "dialect/carry.h"

const char *anthropic_message_id(const struct answer_context *c, const char *id)
{
        if (id && strncmp(id, "msg_", 4) == 0)
                return anthropic_tool_id(c->arena, id);
        const char *seed = id && *id ? id : c->id_seed ? c->id_seed : "0";
        char *made = arena_printf(c->arena, "msg_%.100s", seed);
        for (char *p = made; *p; p++) {
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p))
                        *p = '_';
        }
        return made;
}

struct str anthropic_signature(struct arena *a, const struct chat_block *b, enum carry_on on)
{
        struct str signature = b->signature.at ? b->signature : str_of("");
        if (b->signature_from == DIALECT_ANTHROPIC)
                return signature;
        /* Also where there is none: a block with an unsigned thought must not reach the vendor on the fast
         * path. */
        return carry_wrap(a, b->signature_from ? b->signature_from : DIALECT_OPENAI, on, signature);
}

void anthropic_write_usage(struct json_writer *w, const struct chat_usage *u)
{
        int64_t fresh = u->input - u->cached - u->cache_write;
        int64_t write_5m = u->cache_write - u->cache_write_1h;
        jw_object(w);
        jw_key_int(w, "input_tokens", fresh > 0 ? fresh : 0);
        jw_key_int(w, "cache_creation_input_tokens", u->cache_write);
        jw_key_int(w, "cache_read_input_tokens", u->cached);
        jw_key_object(w, "cache_creation");
        jw_key_int(w, "ephemeral_5m_input_tokens", write_5m > 0 ? write_5m : 0);
        jw_key_int(w, "ephemeral_1h_input_tokens", u->cache_write_1h);
        jw_end(w);
        jw_key_int(w, "output_tokens", u->output);
        if (u->reasoning) {
                jw_key_object(w, "output_tokens_details");
                jw_key_int(w, "thinking_tokens", u->reasoning);
                jw_end(w);
        }
        jw_end(w);
}

/* Citations of other vendors become search results. Their index is a wrapped nothing, by which they are known
 * again. */
void anthropic_write_citation(struct arena *a, struct json_writer *w, const struct chat_citation *c)
{
        if (c->raw && c->raw_dialect == DIALECT_ANTHROPIC) {
                jw_node(w, c->raw);
                return;
        }
        enum dialect_id from = c->raw_dialect == DIALECT_GEMINI ? DIALECT_GEMINI : DIALECT_OPENAI;
        jw_object(w);
        jw_key_string(w, "type", "web_search_result_location");
        jw_key_str(w, "cited_text", c->cited_text.at ? c->cited_text : str_of(""));
        jw_key_string(w, "url", c->url);
        jw_key_string(w, "title", c->title);
        jw_key_str(w, "encrypted_index", carry_wrap(a, from, CARRY_ON_THINKING, str_of("")));
        jw_end(w);
}

bool anthropic_citation_fits(const struct chat_citation *c)
{
        return c->url || (c->raw && c->raw_dialect == DIALECT_ANTHROPIC);
}

/* ---- how it ended ---- */

static const char *stop_reason(const struct anthropic_stop *s)
{
        /* The vendor's own word, where it says the same and more. */
        static const char *const own[] = {"end_turn", "pause_turn", "model_context_window_exceeded",
                                          "compaction", "refusal"};
        for (size_t i = 0; s->finish_raw && i < sizeof own / sizeof *own; i++) {
                if (strcmp(own[i], s->finish_raw) == 0 && s->finish == anthropic_finish(own[i]))
                        return own[i];
        }
        switch (s->finish) {
        case FINISH_LENGTH: return "max_tokens";
        case FINISH_FILTER: return "refusal";
        case FINISH_PAUSE: return "pause_turn";
        case FINISH_STOP_SEQUENCE: return s->called ? "tool_use" : "stop_sequence";
        default: break;
        }
        /* Clients wait for results exactly where this says so, whatever the provider called it. */
        if (s->called)
                return "tool_use";
        if (s->refusal.len)
                return "refusal";
        return s->stop_sequence ? "stop_sequence" : "end_turn";
}

void anthropic_write_stop(struct json_writer *w, const struct anthropic_stop *s)
{
        const char *reason = stop_reason(s);
        jw_key_string(w, "stop_reason", reason);
        jw_key_string(w, "stop_sequence", strcmp(reason, "stop_sequence") == 0 ? s->stop_sequence : NULL);
        if (s->stop_details) {
                jw_key_node(w, "stop_details", s->stop_details);
                return;
        }
        bool own = s->finish_raw && strcmp(s->finish_raw, "refusal") == 0 && !s->refusal.len;
        if (strcmp(reason, "refusal") != 0 || own) {
                jw_key_null(w, "stop_details");
                return;
        }
        jw_key_object(w, "stop_details");
        jw_key_string(w, "type", "refusal");
        jw_key_null(w, "category");
        if (s->refusal.len)
                jw_key_str(w, "explanation", s->refusal);
        else
                jw_key_null(w, "explanation");
        jw_end(w);
}

/* ---- blocks ---- */

static void write_text(struct arena *a, struct json_writer *w, const struct chat_block *b)
{
        if (!b->text.len)
                return; /* the vendor refuses empty ones when they come back */
        bool cited = false;
        jw_object(w);
        jw_key_string(w, "type", "text");
        jw_key_str(w, "text", b->text);
        for (const struct chat_citation *c = b->citations; c; c = c->next) {
                if (!anthropic_citation_fits(c))
                        continue;
                if (!cited)
                        jw_key_array(w, "citations");
                cited = true;
                anthropic_write_citation(a, w, c);
        }
        if (cited)
                jw_end(w);
        jw_end(w);
}

static void write_thought(struct arena *a, struct json_writer *w, const struct chat_block *b)
{
        jw_object(w);
        jw_key_string(w, "type", b->redacted ? "redacted_thinking" : "thinking");
        if (!b->redacted)
                jw_key_str(w, "thinking", b->text.at ? b->text : str_of(""));
        jw_key_str(w, b->redacted ? "data" : "signature",
                   anthropic_signature(a, b, b->redacted ? CARRY_ON_REDACTED : CARRY_ON_THINKING));
        jw_end(w);
}

static void write_call(struct arena *a, struct json_writer *w, const struct chat_block *b,
                       const char *made_id)
{
        if (b->signature.len && b->signature_from != DIALECT_ANTHROPIC) {
                struct chat_block carrier = {.type = BLOCK_THINKING,
                                             .signature = anthropic_signature(a, b, CARRY_ON_NEXT_CALL),
                                             .signature_from = DIALECT_ANTHROPIC};
                write_thought(a, w, &carrier);
        }
        jw_object(w);
        jw_key_string(w, "type", "tool_use");
        jw_key_string(w, "id", b->id && *b->id ? anthropic_tool_id(a, b->id) : made_id);
        jw_key_string(w, "name", b->name ? b->name : "");
        jw_key_node(w, "input", chat_arguments_object(a, b));
        if (b->raw_dialect == DIALECT_ANTHROPIC)
                anthropic_write_members(w, b->raw);
        jw_end(w);
}

/* Pictures and sounds of other vendors: there is no such block in an answer, so text that holds them. */
struct str anthropic_media_text(struct arena *a, const struct chat_block *b)
{
        struct buf text;
        const struct chat_source *s = &b->source;
        buf_init(&text, s->data.len + 4096);
        buf_adds(&text, b->type == BLOCK_IMAGE ? "![image](" : "[audio](");
        if (s->kind == SOURCE_BASE64) {
                buf_addf(&text, "data:%.100s;base64,",
                         s->media_type ? s->media_type : "application/octet-stream");
                buf_add_str(&text, s->data);
        } else if (s->url) {
                buf_adds(&text, s->url);
        }
        buf_adds(&text, ")");
        struct str out = text.failed ? str_of("") : arena_str(a, text.data, text.len);
        buf_release(&text);
        return out;
}

static void write_media(struct arena *a, struct json_writer *w, const struct chat_block *b)
{
        struct chat_block as_text = {.type = BLOCK_TEXT, .text = anthropic_media_text(a, b)};
        write_text(a, w, &as_text);
}

static void write_block(const struct answer_context *c, struct json_writer *w, const struct chat_block *b,
                        size_t index)
{
        switch (b->type) {
        case BLOCK_TEXT: write_text(c->arena, w, b); break;
        case BLOCK_THINKING: write_thought(c->arena, w, b); break;
        case BLOCK_TOOL_CALL:
                write_call(c->arena, w, b,
                           arena_printf(c->arena, "toolu_%s_%zu", anthropic_message_id(c, NULL) + 4, index));
                break;
        case BLOCK_IMAGE:
        case BLOCK_AUDIO: write_media(c->arena, w, b); break;
        case BLOCK_OTHER:
                if (b->raw && b->raw_dialect == DIALECT_ANTHROPIC)
                        jw_node(w, b->raw);
                break;
        default: break; /* refusals stand in stop_details */
        }
}

void anthropic_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply,
                                 struct buf *out)
{
        struct json_writer w;
        static const struct chat_choice none;
        const struct chat_choice *choice = reply->choices ? reply->choices : &none;
        struct anthropic_stop stop = {
                .finish = choice->finish,
                .finish_raw = choice->finish_raw,
                .stop_sequence = choice->stop_sequence,
                .stop_details = choice->stop_details,
        };
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "id", anthropic_message_id(c, reply->id));
        jw_key_string(&w, "type", "message");
        jw_key_string(&w, "role", "assistant");
        jw_key_string(&w, "model", reply->model ? reply->model : c->model_asked);
        jw_key_array(&w, "content");
        size_t index = 0;
        for (const struct chat_block *b = choice->blocks; b; b = b->next) {
                write_block(c, &w, b, index++);
                stop.called |= b->type == BLOCK_TOOL_CALL;
                if (b->type == BLOCK_REFUSAL)
                        stop.refusal = b->text;
        }
        jw_end(&w);
        anthropic_write_stop(&w, &stop);
        jw_key(&w, "usage");
        anthropic_write_usage(&w, &reply->usage);
        jw_end(&w);
}
