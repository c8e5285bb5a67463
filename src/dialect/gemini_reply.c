#include "dialect/gemini.h"
#include "dialect/tool_name.h"
#include "dialect/usage.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { CITATIONS_MAX = 256, CANDIDATES_MAX = 128 };

/* ---- usage ---- */

static void count(json_object *metadata, const char *key, int64_t *out)
{
        if (json_peek(metadata, key))
                *out = json_peek_count(metadata, key);
}

static void modality(json_object *metadata, const char *key, const char *name, int64_t *out)
{
        json_object *list = json_peek_array(metadata, key);
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                json_object *row = json_object_array_get_idx(list, i);
                const char *is = json_peek_string(row, "modality");
                if (is && strcmp(is, name) == 0)
                        *out = json_peek_count(row, "tokenCount");
        }
}

void gemini_usage_read(json_object *metadata, struct gemini_usage *u)
{
        if (!metadata)
                return;
        if (json_peek(metadata, "promptTokenCount") || json_peek(metadata, "totalTokenCount") ||
            json_peek(metadata, "candidatesTokenCount"))
                u->seen = true;
        count(metadata, "promptTokenCount", &u->prompt);
        count(metadata, "cachedContentTokenCount", &u->cached);
        count(metadata, "candidatesTokenCount", &u->candidates);
        count(metadata, "thoughtsTokenCount", &u->thoughts);
        count(metadata, "toolUsePromptTokenCount", &u->tool);
        modality(metadata, "promptTokensDetails", "AUDIO", &u->audio_input);
        modality(metadata, "promptTokensDetails", "IMAGE", &u->image_input);
        modality(metadata, "candidatesTokensDetails", "AUDIO", &u->audio_output);
        /* AI Studio's word for it, else Vertex AI's. */
        const char *tier = json_peek_string(metadata, "serviceTier");
        if (!tier)
                tier = json_peek_string(metadata, "trafficType");
        if (tier)
                u->tier = usage_tier(tier);
}

struct chat_usage gemini_usage_canonical(const struct gemini_usage *u)
{
        return (struct chat_usage){
                .known = u->seen,
                .input = u->prompt + u->tool,
                .cached = u->cached,
                .tool_input = u->tool,
                .output = u->candidates + u->thoughts,
                .reasoning = u->thoughts,
                .audio_input = u->audio_input,
                .image_input = u->image_input,
                .audio_output = u->audio_output,
                .tier = u->tier,
        };
}

/* ---- calls ---- */

static const char *legal(struct arena *a, const char *text)
{
        char *out = arena_strndup(a, text, strnlen(text, 40));
        for (char *c = out; *c; c++) {
                if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
                        *c = '_';
        }
        return out;
}

const char *gemini_call_id(struct arena *a, struct gemini_ids *ids, json_object *call, const char *name)
{
        const char *id = json_peek_string(call, "id");
        int64_t n = ids->next++;
        if (id && *id)
                return arena_strdup(a, id);
        return arena_printf(a, "call_%s_%lld", legal(a, ids->response ? ids->response : name), (long long)n);
}

/* ---- what else a candidate has ---- */

const char *gemini_block_text(struct arena *a, json_object *root, const char **reason)
{
        json_object *feedback = json_peek_object(root, "promptFeedback");
        const char *why = json_peek_string(feedback, "blockReason");
        const char *message = json_peek_string(feedback, "blockReasonMessage");
        if (!why)
                return NULL;
        *reason = arena_strdup(a, why);
        return arena_printf(a, "The prompt was blocked by the provider (%s)%s%s", why, message ? ": " : ".",
                            message ? message : "");
}

/* Characters within the first `bytes` bytes of text. */
static int64_t characters(struct str text, int64_t bytes)
{
        int64_t n = 0;
        for (size_t i = 0; i < text.len && (int64_t)i < bytes; i++)
                n += ((unsigned char)text.at[i] & 0xC0) != 0x80;
        return n;
}

struct citation_list {
        struct arena *arena;
        struct str text;
        struct chat_citation *first, **end;
        size_t count;
};

static void add_citation(struct citation_list *l, const char *url, const char *title, struct str cited,
                         int64_t start, int64_t end)
{
        if (l->count >= CITATIONS_MAX || (!url && !title))
                return;
        struct chat_citation *c = arena_alloc(l->arena, sizeof *c);
        *c = (struct chat_citation){
                .url = arena_strdup(l->arena, url),
                .title = arena_strdup(l->arena, title),
                .cited_text = cited.at ? arena_str(l->arena, cited.at, cited.len) : (struct str){0},
                .raw_dialect = DIALECT_GEMINI,
        };
        if (l->text.at && end > start && (size_t)end <= l->text.len) {
                c->start = characters(l->text, start);
                c->end = characters(l->text, end);
        }
        *l->end = c;
        l->end = &c->next;
        l->count++;
}

static void grounding(struct citation_list *l, json_object *metadata)
{
        json_object *chunks = json_peek_array(metadata, "groundingChunks");
        json_object *supports = json_peek_array(metadata, "groundingSupports");
        size_t count_chunks = chunks ? json_object_array_length(chunks) : 0;
        size_t count_supports = supports ? json_object_array_length(supports) : 0;
        for (size_t i = 0; i < count_supports && l->count < CITATIONS_MAX; i++) {
                json_object *support = json_object_array_get_idx(supports, i);
                json_object *segment = json_peek_object(support, "segment");
                json_object *indexes = json_peek_array(support, "groundingChunkIndices");
                for (size_t k = 0;
                     indexes && k < json_object_array_length(indexes) && l->count < CITATIONS_MAX; k++) {
                        int64_t at = json_object_get_int64(json_object_array_get_idx(indexes, k));
                        if (at < 0 || (uint64_t)at >= count_chunks)
                                continue;
                        json_object *chunk = json_object_array_get_idx(chunks, (size_t)at);
                        json_object *web = json_peek_object(chunk, "web");
                        if (!web)
                                web = json_peek_object(chunk, "retrievedContext");
                        add_citation(l, json_peek_string(web, "uri"), json_peek_string(web, "title"),
                                     json_peek_str(segment, "text"), json_peek_count(segment, "startIndex"),
                                     json_peek_count(segment, "endIndex"));
                }
        }
        for (size_t i = 0; i < count_chunks && !count_supports; i++) {
                json_object *web = json_peek_object(json_object_array_get_idx(chunks, i), "web");
                add_citation(l, json_peek_string(web, "uri"), json_peek_string(web, "title"), (struct str){0},
                             0, 0);
        }
}

struct chat_citation *gemini_citations(struct arena *a, json_object *candidate, struct str text)
{
        struct citation_list l = {.arena = a, .text = text};
        l.end = &l.first;
        json_object *metadata = json_peek_object(candidate, "citationMetadata");
        json_object *sources = json_peek_array(metadata, "citationSources");
        if (!sources)
                sources = json_peek_array(metadata, "citations");
        for (size_t i = 0; sources && i < json_object_array_length(sources); i++) {
                json_object *s = json_object_array_get_idx(sources, i);
                add_citation(&l, json_peek_string(s, "uri"), json_peek_string(s, "title"), (struct str){0},
                             json_peek_count(s, "startIndex"), json_peek_count(s, "endIndex"));
        }
        grounding(&l, json_peek_object(candidate, "groundingMetadata"));
        return l.first;
}

static json_object *logprob_item(json_object *from)
{
        json_object *item = json_object_new_object(), *bytes = json_object_new_array();
        struct str token = json_peek_str(from, "token");
        json_object *value = json_peek(from, "logProbability");
        double p = json_object_get_double(value);
        json_object_object_add(item, "token",
                               json_object_new_string_len(token.at ? token.at : "", (int)token.len));
        json_object_object_add(item, "logprob", json_object_new_double(isfinite(p) ? p : -9999.0));
        for (size_t i = 0; i < token.len; i++)
                json_object_array_add(bytes, json_object_new_int((unsigned char)token.at[i]));
        json_object_object_add(item, "bytes", bytes);
        return item;
}

json_object *gemini_logprobs(struct arena *a, json_object *candidate)
{
        json_object *result = json_peek_object(candidate, "logprobsResult");
        json_object *chosen = json_peek_array(result, "chosenCandidates"),
                    *tops = json_peek_array(result, "topCandidates");
        if (!chosen)
                return NULL;
        json_object *content = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(chosen); i++) {
                json_object *item = logprob_item(json_object_array_get_idx(chosen, i));
                json_object *list = json_object_new_array();
                json_object *top =
                        tops ? json_peek_array(json_object_array_get_idx(tops, i), "candidates") : NULL;
                for (size_t k = 0; top && k < json_object_array_length(top); k++)
                        json_object_array_add(list, logprob_item(json_object_array_get_idx(top, k)));
                json_object_object_add(item, "top_logprobs", list);
                json_object_array_add(content, item);
        }
        arena_defer(a, gemini_release_json, content);
        return content;
}

/* ---- blocks ---- */

struct reply {
        struct arena *arena;
        struct chat_reply *out;
        struct gemini_ids ids;
};

static void sign(struct chat_block *b, json_object *part)
{
        struct str signature = json_peek_str(part, "thoughtSignature");
        if (!signature.len)
                return;
        b->signature = signature;
        b->signature_from = DIALECT_GEMINI;
}

static void decode_text(struct chat_choice *c, struct arena *a, json_object *part)
{
        json_object *thought = json_peek(part, "thought");
        bool is_thought = json_object_is_type(thought, json_type_boolean) && json_object_get_boolean(thought);
        struct str text = json_peek_str(part, "text");
        if (!text.len && !json_peek_str(part, "thoughtSignature").len)
                return;
        struct chat_block *b = chat_add_reply_block(a, c, is_thought ? BLOCK_THINKING : BLOCK_TEXT);
        b->text = text.at ? text : str_of("");
        sign(b, part);
}

static void decode_call(struct reply *r, struct chat_choice *c, json_object *part, json_object *call)
{
        const char *name = json_peek_string(call, "name");
        struct chat_block *b = chat_add_reply_block(r->arena, c, BLOCK_TOOL_CALL);
        b->name = name ? tool_name_back(r->arena, name) : "";
        b->id = gemini_call_id(r->arena, &r->ids, call, b->name);
        b->arguments = json_peek_object(call, "args");
        if (!b->arguments)
                b->arguments_text = str_of("{}");
        sign(b, part);
}

static void decode_part(struct reply *r, struct chat_choice *c, json_object *part)
{
        json_object *call = json_peek_object(part, "functionCall"),
                    *blob = json_peek_object(part, "inlineData");
        const char *type = json_peek_string(blob, "mimeType");
        if (call) {
                decode_call(r, c, part, call);
        } else if (json_peek(part, "text") ||
                   (json_peek(part, "thoughtSignature") && json_object_object_length(part) == 1)) {
                decode_text(c, r->arena, part);
        } else if (type && strncmp(type, "image/", 6) == 0) {
                struct chat_block *b = chat_add_reply_block(r->arena, c, BLOCK_IMAGE);
                b->source = (struct chat_source){SOURCE_BASE64, type, json_peek_str(blob, "data"), NULL};
                sign(b, part);
        } else if (json_object_is_type(part, json_type_object) && json_object_object_length(part) > 0) {
                struct chat_block *b = chat_add_reply_block(r->arena, c, BLOCK_OTHER);
                b->raw = part;
                b->raw_dialect = DIALECT_GEMINI;
        }
}

static void finish_choice(struct reply *r, struct chat_choice *c, json_object *candidate)
{
        const char *message = json_peek_string(candidate, "finishMessage");
        bool called = false;
        struct chat_block *text = NULL;
        for (struct chat_block *b = c->blocks; b; b = b->next) {
                called |= b->type == BLOCK_TOOL_CALL;
                if (b->type == BLOCK_TEXT)
                        text = b;
        }
        c->finish_raw = json_peek_string(candidate, "finishReason");
        c->finish = gemini_finish(c->finish_raw);
        if (called && c->finish == FINISH_STOP)
                c->finish = FINISH_TOOL;
        if (c->finish == FINISH_FILTER && !c->blocks && message)
                chat_add_reply_block(r->arena, c, BLOCK_REFUSAL)->text = str_of(message);
        if (text)
                text->citations = gemini_citations(r->arena, candidate, text->text);
        json_object *content = gemini_logprobs(r->arena, candidate);
        if (content) {
                c->logprobs = json_object_new_object();
                json_object_object_add(c->logprobs, "content", json_object_get(content));
                arena_defer(r->arena, gemini_release_json, c->logprobs);
        }
}

static void decode_candidate(struct reply *r, json_object *candidate, size_t position)
{
        struct chat_choice *c = chat_add_choice(r->arena, r->out);
        json_object *parts = json_peek_array(json_peek_object(candidate, "content"), "parts");
        c->index = json_peek(candidate, "index") ? json_peek_count(candidate, "index") : (int64_t)position;
        for (size_t i = 0; parts && i < json_object_array_length(parts); i++)
                decode_part(r, c, json_object_array_get_idx(parts, i));
        finish_choice(r, c, candidate);
}

static bool malformed(struct upstream_fault *fault, const char *why)
{
        *fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .message = why};
        return false;
}

static bool decode_candidates(struct reply *r, json_object *root, struct upstream_fault *fault)
{
        json_object *list = json_peek_array(root, "candidates");
        size_t count_candidates = list ? json_object_array_length(list) : 0;
        if (count_candidates > CANDIDATES_MAX)
                return malformed(fault, "more candidates than can be");
        for (size_t i = 0; i < count_candidates; i++)
                decode_candidate(r, json_object_array_get_idx(list, i), i);
        if (count_candidates)
                return true;
        const char *reason = NULL, *text = gemini_block_text(r->arena, root, &reason);
        if (!text)
                return malformed(fault, "an answer without candidates");
        struct chat_choice *c = chat_add_choice(r->arena, r->out);
        c->finish = FINISH_FILTER;
        c->finish_raw = reason;
        chat_add_reply_block(r->arena, c, BLOCK_REFUSAL)->text = str_of(text);
        return true;
}

bool gemini_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                              struct upstream_fault *fault)
{
        struct err err = {0};
        struct gemini_usage usage = {0};
        json_object *root = json_parse(a, body.at ? body.at : "", body.len, JSON_FROM_PROVIDER, &err);
        if (!root)
                return malformed(fault, err.message);
        json_object *error = gemini_error_of(root);
        if (error) {
                gemini_error_read(a, 0, error, true, fault);
                return false;
        }
        if (!json_object_is_type(root, json_type_object))
                return malformed(fault, "the answer is no object");
        out->id = json_peek_string(root, "responseId");
        out->model = json_peek_string(root, "modelVersion");
        struct reply r = {.arena = a, .out = out, .ids = {.response = out->id}};
        if (!decode_candidates(&r, root, fault))
                return false;
        json_object *metadata = json_peek_object(root, "usageMetadata");
        gemini_usage_read(metadata, &usage);
        out->usage = gemini_usage_canonical(&usage);
        out->service_tier = json_peek_string(metadata, "serviceTier");
        return true;
}
