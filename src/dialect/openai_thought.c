/* Reasoning on the openai wire, which knows no signatures of its own: reasoning_content for the text,
 * OpenRouter's reasoning_details for what must come back unharmed, Google's extra_content for the signature
 * of a call. */
#include "base/text.h"
#include "dialect/carry.h"
#include "dialect/openai.h"

/*
 * The text of a signed thought that was told in pieces before. OpenAI's own SDK, putting a stream together,
 * keeps of a member that it does not know only what came last: without this a signature would come back
 * without its text.
 */
static const char told_text[] = "told_text";

static struct chat_block *add_thought(struct arena *a, struct openai_thoughts *out)
{
        struct chat_block *b = arena_alloc(a, sizeof *b);
        b->type = BLOCK_THINKING;
        if (out->last)
                out->last->next = b;
        else
                out->first = b;
        return out->last = b;
}

static struct str joined(struct arena *a, struct str x, struct str y)
{
        if (!x.len || !y.len)
                return x.len ? x : y;
        char *both = arena_alloc(a, x.len + y.len + 1);
        memcpy(both, x.at, x.len);
        memcpy(both + x.len, y.at, y.len);
        return (struct str){both, x.len + y.len};
}

/* Where the signature belongs; a wrapped one may be that of something else than this thought. */
static void take_signature(struct arena *a, struct openai_thoughts *out, struct chat_block **block,
                           struct str signature, struct str text, bool redacted)
{
        enum dialect_id from = DIALECT_OPENAI;
        enum carry_on on = redacted ? CARRY_ON_REDACTED : CARRY_ON_THINKING;
        struct str plain = signature;
        carry_unwrap(a, signature, &from, &on, &plain);
        if (on == CARRY_ON_NEXT_TEXT || on == CARRY_ON_NEXT_CALL) {
                bool next_text = on == CARRY_ON_NEXT_TEXT;
                *(next_text ? &out->next_text : &out->next_call) = plain;
                *(next_text ? &out->next_text_from : &out->next_call_from) = from;
                if (!text.len)
                        return;
        }
        if (!*block)
                *block = add_thought(a, out);
        if (on == CARRY_ON_NEXT_TEXT || on == CARRY_ON_NEXT_CALL)
                return;
        (*block)->signature = plain;
        (*block)->signature_from = from;
        (*block)->redacted = on == CARRY_ON_REDACTED;
}

/* Entries that a client collected from a stream come in pieces of one index: put together again. */
static bool is_same_entry(const struct openai_thoughts *out, json_object *entry, int64_t *last_index)
{
        json_object *node = json_peek(entry, "index");
        int64_t index = json_object_is_type(node, json_type_int) ? json_object_get_int64(node) : -1;
        bool same = out->last && !out->last->signature.at && index >= 0 && index == *last_index;
        *last_index = index;
        return same;
}

static bool read_details(struct arena *a, json_object *details, bool is_piece, struct openai_thoughts *out)
{
        int64_t last_index = -1;
        size_t count = json_object_array_length(details);
        for (size_t i = 0; i < count; i++) {
                json_object *entry = json_object_array_get_idx(details, i);
                struct str text = json_peek_str(entry, "text"), signature = json_peek_str(entry, "signature");
                struct str data = json_peek_str(entry, "data");
                struct str told = is_piece ? (struct str){0} : json_peek_str(entry, told_text);
                if (!text.at)
                        text = json_peek_str(entry, "summary");
                bool same = is_same_entry(out, entry, &last_index);
                struct chat_block *block = same ? out->last : NULL;
                /* A signature alone, in an entry of its own, signs the thought before it. */
                bool alone = signature.len && !text.len && last_index < 0;
                if (!block && alone && out->last && !out->last->signature.at)
                        block = out->last;
                if (text.len && !block)
                        block = add_thought(a, out);
                if (text.len)
                        block->text = joined(a, block->text, text);
                if (told.len && !block)
                        block = add_thought(a, out);
                if (told.len)
                        block->text = text = told;
                if (signature.len)
                        take_signature(a, out, &block, signature, text, false);
                if (data.len && !signature.len) {
                        struct chat_block *opaque = NULL;
                        take_signature(a, out, &opaque, data, (struct str){0}, true);
                }
        }
        return out->first || out->next_text.at || out->next_call.at;
}

void openai_read_thoughts(struct arena *a, json_object *message, bool is_piece, struct openai_thoughts *out)
{
        *out = (struct openai_thoughts){0};
        json_object *details = json_peek_array(message, "reasoning_details");
        if (details && read_details(a, details, is_piece, out) && out->first)
                return;
        struct str text = json_peek_str(message, "reasoning_content");
        if (!text.len)
                text = json_peek_str(message, "reasoning");
        if (text.len)
                add_thought(a, out)->text = text;
}

void openai_sign_next(const struct openai_thoughts *thoughts, struct chat_block *blocks)
{
        bool text = thoughts->next_text.len > 0, call = thoughts->next_call.len > 0;
        for (struct chat_block *b = blocks; b; b = b->next) {
                if (text && b->type == BLOCK_TEXT) {
                        b->signature = thoughts->next_text;
                        b->signature_from = thoughts->next_text_from;
                        text = false;
                } else if (call && b->type == BLOCK_TOOL_CALL) {
                        if (!b->signature.at) {
                                b->signature = thoughts->next_call;
                                b->signature_from = thoughts->next_call_from;
                        }
                        call = false;
                }
        }
}

void openai_read_call_signature(struct arena *a, json_object *call, struct chat_block *b)
{
        json_object *google = json_peek_object(json_peek_object(call, "extra_content"), "google");
        struct str signature = json_peek_str(google, "thought_signature");
        enum carry_on on;
        if (!signature.len)
                return;
        b->signature = signature;
        b->signature_from = DIALECT_GEMINI;
        carry_unwrap(a, signature, &b->signature_from, &on, &b->signature);
}

static struct str wrapped(struct arena *a, enum dialect_id from, enum carry_on on, struct str signature)
{
        bool ours = from == DIALECT_OPENAI || from == DIALECT_NONE;
        if (ours && (on == CARRY_ON_THINKING || on == CARRY_ON_REDACTED))
                return signature;
        return carry_wrap(a, from, on, signature);
}

static const char *format_of(enum dialect_id from)
{
        switch (from) {
        case DIALECT_ANTHROPIC: return "anthropic-claude-v1";
        case DIALECT_GEMINI: return "google-gemini-v1";
        default: return "unknown";
        }
}

void openai_write_thought(struct json_writer *w, struct arena *a, const struct chat_block *b, struct str text,
                          struct str signature, int64_t index)
{
        jw_object(w);
        if (b->redacted) {
                jw_key_string(w, "type", "reasoning.encrypted");
                jw_key_str(w, "data", wrapped(a, b->signature_from, CARRY_ON_REDACTED, signature));
        } else {
                jw_key_string(w, "type", "reasoning.text");
                if (text.at)
                        jw_key_str(w, "text", text);
                if (signature.len)
                        jw_key_str(w, "signature",
                                   wrapped(a, b->signature_from, CARRY_ON_THINKING, signature));
        }
        jw_key_string(w, "format", format_of(b->signature_from));
        jw_key_int(w, "index", index);
        jw_end(w);
}

void openai_write_told_thought(struct json_writer *w, struct arena *a, const struct chat_block *b,
                               struct str told, struct str signature, int64_t index)
{
        jw_object(w);
        jw_key_string(w, "type", "reasoning.text");
        jw_key_string(w, "text", "");
        jw_key_str(w, "signature", wrapped(a, b->signature_from, CARRY_ON_THINKING, signature));
        jw_key_str(w, told_text, told);
        jw_key_string(w, "format", format_of(b->signature_from));
        jw_key_int(w, "index", index);
        jw_end(w);
}

void openai_write_text_signature(struct json_writer *w, struct arena *a, const struct chat_block *b,
                                 struct str signature, int64_t index)
{
        jw_object(w);
        jw_key_string(w, "type", "reasoning.encrypted");
        jw_key_str(w, "data", wrapped(a, b->signature_from, CARRY_ON_NEXT_TEXT, signature));
        jw_key_string(w, "format", format_of(b->signature_from));
        jw_key_int(w, "index", index);
        jw_end(w);
}

void openai_write_thought_signature(struct json_writer *w, struct str signature)
{
        jw_key_object(w, "extra_content");
        jw_key_object(w, "google");
        jw_key_str(w, "thought_signature", signature);
        jw_end(w);
        jw_end(w);
}

/* Gemini's own too: the mark tells that a turn of this kind must be written anew for whoever gets it next. */
void openai_write_call_signature(struct json_writer *w, struct arena *a, enum dialect_id from,
                                 struct str signature)
{
        openai_write_thought_signature(w, carry_wrap(a, from, CARRY_ON_NEXT_CALL, signature));
}
