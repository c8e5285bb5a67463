#include "dialect/gemini.h"
#include "dialect/tool_name.h"

#include <string.h>

static bool refuse(struct gemini_encode *e, enum err_cause cause, const char *path, const char *why)
{
        return err_set(e->err, e->arena, cause, path, "%s%s%s", path ? path : "", path ? ": " : "", why);
}

void gemini_text_part(struct json_writer *w, struct str text)
{
        jw_object(w);
        jw_key_str(w, "text", text);
        jw_end(w);
}

/* By the first bytes, where the client did not say: only magic that base64 shows without decoding. */
static const char *media_type(const struct chat_block *b)
{
        static const struct {
                const char *start, *type;
        } magic[] = {{"iVBORw0KGgo", "image/png"},
                     {"/9j/", "image/jpeg"},
                     {"R0lGOD", "image/gif"},
                     {"UklGR", "image/webp"},
                     {"JVBERi", "application/pdf"}};
        if (b->source.media_type)
                return b->source.media_type;
        for (size_t i = 0; i < sizeof magic / sizeof *magic && b->source.kind == SOURCE_BASE64; i++) {
                if (b->source.data.len >= strlen(magic[i].start) &&
                    memcmp(b->source.data.at, magic[i].start, strlen(magic[i].start)) == 0)
                        return magic[i].type;
        }
        return b->type == BLOCK_DOCUMENT ? "application/pdf" : NULL;
}

static void file_data(struct json_writer *w, const char *type, const char *uri)
{
        jw_key_object(w, "fileData");
        if (type)
                jw_key_string(w, "mimeType", type);
        jw_key_string(w, "fileUri", uri);
        jw_end(w);
}

static bool media_part(struct gemini_encode *e, const struct chat_block *b, bool modifiers)
{
        struct json_writer *w = &e->w;
        const struct chat_source *s = &b->source;
        const char *type = media_type(b);
        if (s->kind == SOURCE_TEXT) {
                gemini_text_part(w, b->title && s->data.len
                                            ? str_of(arena_printf(e->arena, "%s\n\n%s", b->title, s->data.at))
                                            : s->data);
                return true;
        }
        if (s->kind == SOURCE_URL && e->target->caps.image_urls != TRI_YES)
                return refuse(e, ERR_UNSUPPORTED, b->path,
                              "the target takes no URLs, and it was not fetched");
        if (s->kind == SOURCE_FILE_ID && e->r->from != DIALECT_GEMINI)
                return refuse(e, ERR_UNSUPPORTED, b->path, "a file uploaded to another provider");
        if (s->kind == SOURCE_NONE || (s->kind == SOURCE_BASE64 && !type))
                return refuse(e, ERR_UNSUPPORTED, b->path, "the media type is not known");
        jw_object(w);
        if (s->kind == SOURCE_BASE64) {
                jw_key_object(w, "inlineData");
                jw_key_string(w, "mimeType", type);
                jw_key_str(w, "data", s->data);
                jw_end(w);
        } else {
                file_data(w, type, s->url);
        }
        if (modifiers && b->signature.len && b->signature_from == DIALECT_GEMINI &&
            e->target->caps.signatures != TRI_NO)
                jw_key_str(w, "thoughtSignature", b->signature);
        jw_end(w);
        return true;
}

static bool own_signature(const struct gemini_encode *e, const struct chat_block *b)
{
        return b->signature.len && b->signature_from == DIALECT_GEMINI &&
               e->target->caps.signatures != TRI_NO;
}

static void signed_text(struct gemini_encode *e, const struct chat_block *b, bool thought)
{
        struct json_writer *w = &e->w;
        jw_object(w);
        jw_key_str(w, "text", b->text.at ? b->text : str_of(""));
        if (thought)
                jw_key_bool(w, "thought", true);
        if (own_signature(e, b))
                jw_key_str(w, "thoughtSignature", b->signature);
        jw_end(w);
}

static void call_part(struct gemini_contents *c, const struct chat_block *b)
{
        struct gemini_encode *e = c->e;
        struct json_writer *w = &e->w;
        jw_object(w);
        jw_key_object(w, "functionCall");
        if (b->id && *b->id)
                jw_key_string(w, "id", b->id);
        jw_key_string(w, "name", tool_name_out(e->arena, b->name, DIALECT_GEMINI));
        jw_key_node(w, "args", chat_arguments_object(e->arena, b));
        jw_end(w);
        /* Only the first call of a step is signed, and only models that ask for it take the substitute. */
        if (own_signature(e, b))
                jw_key_str(w, "thoughtSignature", b->signature);
        else if (!c->step_signed && e->target->caps.signatures == TRI_YES)
                jw_key_string(w, "thoughtSignature", GEMINI_SKIP_SIGNATURE);
        c->step_signed = true;
        c->calls_seen++;
        jw_end(w);
}

/* A JSON object that a tool gave goes as it is, unless it could be taken for one of the conventions. */
static json_object *result_object(struct arena *a, struct str text)
{
        struct err ignored = {0};
        size_t space = strspn(text.at, " \t\r\n");
        if (text.at[space] != '{')
                return NULL;
        json_object *o = json_parse(a, text.at, text.len, JSON_FROM_CLIENT, &ignored);
        bool plain = o && json_object_is_type(o, json_type_object) &&
                     !json_object_object_get_ex(o, "error", NULL) &&
                     !json_object_object_get_ex(o, "output", NULL) &&
                     !json_object_object_get_ex(o, "result", NULL);
        return plain ? o : NULL;
}

static void result_response(struct gemini_encode *e, const struct chat_block *b)
{
        struct json_writer *w = &e->w;
        struct str text = chat_join_text(e->arena, b->content);
        json_object *object = b->is_error ? NULL : result_object(e->arena, text);
        if (object) {
                jw_key_node(w, "response", object);
                return;
        }
        jw_key_object(w, "response");
        jw_key_str(w, b->is_error ? "error" : "output", text);
        jw_end(w);
}

static bool has_media(const struct chat_block *b)
{
        for (const struct chat_block *c = b->content; c; c = c->next) {
                if (c->type != BLOCK_TEXT)
                        return true;
        }
        return false;
}

bool gemini_result_media(struct gemini_encode *e, const struct chat_block *result)
{
        for (const struct chat_block *b = result->content; b; b = b->next) {
                if (b->type == BLOCK_TEXT || b->type == BLOCK_THINKING)
                        continue;
                if (b->type != BLOCK_IMAGE && b->type != BLOCK_DOCUMENT && b->type != BLOCK_AUDIO)
                        return refuse(e, ERR_UNSUPPORTED, b->path, "can't stand in a tool result");
                if (!media_part(e, b, false))
                        return false;
        }
        return true;
}

bool gemini_result_part(struct gemini_contents *c, const struct chat_block *b)
{
        struct gemini_encode *e = c->e;
        struct json_writer *w = &e->w;
        const struct gemini_call_row *call = b->id ? gemini_find_call(c, b->id) : NULL;
        const char *name = call ? call->name : b->name;
        if (!name)
                return refuse(e, ERR_BAD_REQUEST, b->path, "no tool call before it has this id");
        jw_object(w);
        jw_key_object(w, "functionResponse");
        if (b->id && *b->id)
                jw_key_string(w, "id", b->id);
        jw_key_string(w, "name", tool_name_out(e->arena, name, DIALECT_GEMINI));
        result_response(e, b);
        if (has_media(b) && e->target->caps.tool_result_images == TRI_YES) {
                jw_key_array(w, "parts");
                if (!gemini_result_media(e, b))
                        return false;
                jw_end(w);
        }
        jw_end(w);
        jw_end(w);
        return true;
}

bool gemini_write_block(struct gemini_contents *c, const struct chat_block *b)
{
        struct gemini_encode *e = c->e;
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL: signed_text(e, b, false); return true;
        case BLOCK_THINKING: signed_text(e, b, true); return true;
        case BLOCK_TOOL_CALL: call_part(c, b); return true;
        case BLOCK_IMAGE:
        case BLOCK_DOCUMENT:
        case BLOCK_AUDIO: return media_part(e, b, true);
        case BLOCK_OTHER:
                if (b->raw_dialect != DIALECT_GEMINI)
                        return refuse(e, ERR_UNSUPPORTED, b->path, "only another provider knows this block");
                jw_node(&e->w, b->raw);
                return true;
        case BLOCK_TOOL_RESULT: break;
        }
        return true;
}

/* Whether the block says anything here. Thoughts go back only with gemini's own signature: others are another
 * vendor's. */
bool gemini_is_said(const struct gemini_encode *e, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL: return b->text.len > 0 || own_signature(e, b);
        case BLOCK_THINKING: return !b->redacted && own_signature(e, b);
        case BLOCK_TOOL_RESULT: return false; /* hoisted: write_results() */
        default: return true;
        }
}
