#include "dialect/gemini.h"

#include <string.h>

#include "dialect/carry.h"

/* ---- parts ---- */

/* Gemini's own signatures go as they are; another vendor's travel wrapped, and come back in the next request.
 */
static void write_signature(struct json_writer *w, struct arena *a, const struct chat_block *b)
{
        enum carry_on on = b->redacted                  ? CARRY_ON_REDACTED
                           : b->type == BLOCK_TOOL_CALL ? CARRY_ON_NEXT_CALL
                           : b->type == BLOCK_TEXT      ? CARRY_ON_NEXT_TEXT
                                                        : CARRY_ON_THINKING;
        if (!b->signature.len || b->signature_from == DIALECT_NONE)
                return;
        struct str text = b->signature;
        if (b->signature_from != DIALECT_GEMINI || b->redacted)
                text = carry_wrap(a, b->signature_from, on, b->signature);
        if (text.len)
                jw_key_str(w, "thoughtSignature", text);
}

static bool is_signed(const struct chat_block *b)
{
        return b->signature.len > 0 && b->signature_from != DIALECT_NONE;
}

static void write_text(struct json_writer *w, struct arena *a, const struct chat_block *b, bool thought)
{
        jw_object(w);
        jw_key_str(w, "text", b->text.at && !b->redacted ? b->text : str_of(""));
        if (thought)
                jw_key_bool(w, "thought", true);
        write_signature(w, a, b);
        jw_end(w);
}

static void write_call(struct json_writer *w, struct arena *a, const struct chat_block *b)
{
        jw_object(w);
        jw_key_object(w, "functionCall");
        if (b->id && *b->id)
                jw_key_string(w, "id", b->id);
        jw_key_string(w, "name", b->name ? b->name : "");
        jw_key_node(w, "args", chat_arguments_object(a, b));
        jw_end(w);
        write_signature(w, a, b);
        jw_end(w);
}

static bool write_media(struct json_writer *w, struct arena *a, const struct chat_block *b)
{
        const struct chat_source *s = &b->source;
        bool inlined = s->kind == SOURCE_BASE64;
        if (!inlined && s->kind != SOURCE_URL && s->kind != SOURCE_FILE_ID)
                return false;
        jw_object(w);
        jw_key_object(w, inlined ? "inlineData" : "fileData");
        if (s->media_type)
                jw_key_string(w, "mimeType", s->media_type);
        if (inlined)
                jw_key_str(w, "data", s->data);
        else
                jw_key_string(w, "fileUri", s->url);
        jw_end(w);
        write_signature(w, a, b);
        jw_end(w);
        return true;
}

bool gemini_write_part(struct json_writer *w, struct arena *a, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL:
                if (!b->text.len && !is_signed(b))
                        return false;
                write_text(w, a, b, false);
                return true;
        case BLOCK_THINKING:
                /* Some vendors sign thoughts that they don't show: these must travel too. */
                if (!b->text.len && !is_signed(b))
                        return false;
                write_text(w, a, b, true);
                return true;
        case BLOCK_TOOL_CALL: write_call(w, a, b); return true;
        case BLOCK_IMAGE:
        case BLOCK_AUDIO:
        case BLOCK_DOCUMENT: return write_media(w, a, b);
        case BLOCK_OTHER:
                if (b->raw_dialect != DIALECT_GEMINI || !b->raw)
                        return false;
                jw_node(w, b->raw);
                return true;
        case BLOCK_TOOL_RESULT: break;
        }
        return false;
}

/* ---- what goes with a candidate ---- */

static void write_logprob(struct json_writer *w, json_object *item)
{
        jw_object(w);
        jw_key_str(w, "token", json_peek_str(item, "token").at ? json_peek_str(item, "token") : str_of(""));
        jw_key_number(w, "logProbability", json_object_get_double(json_peek(item, "logprob")));
        jw_end(w);
}

void gemini_write_logprobs(struct json_writer *w, json_object *content)
{
        size_t count = json_object_is_type(content, json_type_array) ? json_object_array_length(content) : 0;
        if (!count)
                return;
        jw_key_object(w, "logprobsResult");
        jw_key_array(w, "topCandidates");
        for (size_t i = 0; i < count; i++) {
                json_object *top = json_peek_array(json_object_array_get_idx(content, i), "top_logprobs");
                jw_object(w);
                jw_key_array(w, "candidates");
                for (size_t k = 0; top && k < json_object_array_length(top); k++)
                        write_logprob(w, json_object_array_get_idx(top, k));
                jw_end(w);
                jw_end(w);
        }
        jw_end(w);
        jw_key_array(w, "chosenCandidates");
        for (size_t i = 0; i < count; i++)
                write_logprob(w, json_object_array_get_idx(content, i));
        jw_end(w);
        jw_end(w);
}

/* Bytes of the first n characters. */
static int64_t bytes_of(struct str text, int64_t n)
{
        size_t at = 0;
        for (; at < text.len; at++) {
                if (((unsigned char)text.at[at] & 0xC0) != 0x80 && n-- == 0)
                        break;
        }
        return (int64_t)at;
}

static void write_chunk(struct json_writer *w, const struct chat_citation *c)
{
        jw_object(w);
        jw_key_object(w, "web");
        if (c->url)
                jw_key_string(w, "uri", c->url);
        if (c->title)
                jw_key_string(w, "title", c->title);
        jw_end(w);
        jw_end(w);
}

static void write_support(struct json_writer *w, const struct chat_block *b, const struct chat_citation *c,
                          int64_t part, int64_t chunk)
{
        jw_object(w);
        jw_key_object(w, "segment");
        jw_key_int(w, "partIndex", part);
        if (c->end > c->start && b->text.len) {
                jw_key_int(w, "startIndex", bytes_of(b->text, c->start));
                jw_key_int(w, "endIndex", bytes_of(b->text, c->end));
        }
        if (c->cited_text.len)
                jw_key_str(w, "text", c->cited_text);
        jw_end(w);
        jw_key_array(w, "groundingChunkIndices");
        jw_int(w, chunk);
        jw_end(w);
        jw_end(w);
}

void gemini_write_grounding(struct json_writer *w, const struct chat_block *list)
{
        const struct chat_block *b = list;
        int64_t part = 0, chunk = 0;
        while (b && !b->citations)
                b = b->next;
        if (!b)
                return;
        jw_key_object(w, "groundingMetadata");
        jw_key_array(w, "groundingChunks");
        for (b = list; b; b = b->next) {
                for (const struct chat_citation *c = b->citations; c; c = c->next)
                        write_chunk(w, c);
        }
        jw_end(w);
        jw_key_array(w, "groundingSupports");
        for (b = list; b; b = b->next, part++) {
                for (const struct chat_citation *c = b->citations; c; c = c->next)
                        write_support(w, b, c, part, chunk++);
        }
        jw_end(w);
        jw_end(w);
}

/* ---- usage ---- */

static int64_t at_least_zero(int64_t n)
{
        return n > 0 ? n : 0;
}

static void write_count(struct json_writer *w, const char *key, int64_t n)
{
        if (n > 0)
                jw_key_int(w, key, n);
}

static void write_detail(struct json_writer *w, const char *modality, int64_t n)
{
        if (n <= 0)
                return;
        jw_object(w);
        jw_key_string(w, "modality", modality);
        jw_key_int(w, "tokenCount", n);
        jw_end(w);
}

void gemini_write_usage(struct json_writer *w, const struct chat_usage *u)
{
        int64_t prompt = at_least_zero(u->input - u->tool_input);
        if (!u->known && !u->estimated)
                return;
        jw_key_object(w, "usageMetadata");
        jw_key_int(w, "promptTokenCount", prompt);
        jw_key_int(w, "candidatesTokenCount", at_least_zero(u->output - u->reasoning));
        jw_key_int(w, "totalTokenCount", u->input + u->output);
        write_count(w, "cachedContentTokenCount", u->cached);
        write_count(w, "thoughtsTokenCount", u->reasoning);
        write_count(w, "toolUsePromptTokenCount", u->tool_input);
        if (u->audio_input > 0 || u->image_input > 0) {
                jw_key_array(w, "promptTokensDetails");
                write_detail(w, "TEXT", prompt - u->audio_input - u->image_input);
                write_detail(w, "AUDIO", u->audio_input);
                write_detail(w, "IMAGE", u->image_input);
                jw_end(w);
        }
        if (u->audio_output > 0) {
                jw_key_array(w, "candidatesTokensDetails");
                write_detail(w, "AUDIO", u->audio_output);
                jw_end(w);
        }
        jw_end(w);
}

/* ---- the whole ---- */

static void write_candidate(struct json_writer *w, const struct answer_context *c,
                            const struct chat_choice *choice)
{
        const char *reason = gemini_finish_name(choice->finish, choice->finish_raw);
        const char *message = json_peek_string(choice->stop_details, "explanation");
        bool any = false;
        jw_object(w);
        jw_key_object(w, "content");
        jw_key_array(w, "parts");
        for (const struct chat_block *b = choice->blocks; b; b = b->next)
                any |= gemini_write_part(w, c->arena, b);
        if (!any) {
                /* As the provider does it: SDKs count on a part. */
                jw_object(w);
                jw_key_string(w, "text", "");
                jw_end(w);
        }
        jw_end(w);
        jw_key_string(w, "role", "model");
        jw_end(w);
        if (reason)
                jw_key_string(w, "finishReason", reason);
        if (message)
                jw_key_string(w, "finishMessage", message);
        jw_key_int(w, "index", choice->index);
        gemini_write_logprobs(w, json_peek_array(choice->logprobs, "content"));
        gemini_write_grounding(w, choice->blocks);
        jw_end(w);
}

void gemini_encode_chat_reply(const struct answer_context *c, const struct chat_reply *reply, struct buf *out)
{
        struct json_writer w;
        const char *model = reply->model ? reply->model : c->model_asked,
                   *id = reply->id ? reply->id : c->id_seed;
        json_writer_init(&w, out);
        bool array = c->format == ANSWER_JSON_ARRAY;
        if (array)
                jw_array(&w);
        jw_object(&w);
        jw_key_array(&w, "candidates");
        for (const struct chat_choice *choice = reply->choices; choice; choice = choice->next)
                write_candidate(&w, c, choice);
        jw_end(&w);
        gemini_write_usage(&w, &reply->usage);
        if (model)
                jw_key_string(&w, "modelVersion", model);
        if (id)
                jw_key_string(&w, "responseId", id);
        jw_end(&w);
        if (array)
                jw_end(&w);
}
