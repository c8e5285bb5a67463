#include "dialect/gemini.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call and where it stands, for the names and the order of results. */
struct call_row {
        const char *id, *name;
        size_t order;
};

struct contents {
        struct gemini_encode *e;
        struct call_row *rows; /* sorted by id, then order */
        size_t row_count;
        size_t calls_seen; /* calls written so far: results refer to one of them */
        bool any;          /* a content was written */
        bool step_signed;  /* the step's first call was written */
};

static bool refuse(struct gemini_encode *e, enum err_cause cause, const char *path, const char *why)
{
        return err_set(e->err, e->arena, cause, path, "%s%s%s", path ? path : "", path ? ": " : "", why);
}

/* ---- paths ---- */

const char *gemini_path(struct arena *a, const char *model, const char *method)
{
        static const char prefix[] = "models/", hex[] = "0123456789ABCDEF";
        if (strncmp(model, prefix, sizeof prefix - 1) == 0)
                model += sizeof prefix - 1;
        bool tuned = strncmp(model, "tunedModels/", 12) == 0;
        char *out = arena_alloc(a, strlen(model) * 3 + strlen(method) + 32), *to = out;
        to += sprintf(to, "/v1beta/%s", tuned ? "" : prefix);
        for (const unsigned char *c = (const unsigned char *)model; *c; c++) {
                if (isalnum(*c) || strchr("-._~", *c) ||
                    (*c == '/' && tuned && (const char *)c == model + 11)) {
                        *to++ = (char)*c;
                } else {
                        *to++ = '%';
                        *to++ = hex[*c >> 4];
                        *to++ = hex[*c & 15];
                }
        }
        sprintf(to, ":%s", method);
        return out;
}

void gemini_address_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                 struct wire_request *out)
{
        out->method = "POST";
        out->path = gemini_path(a, t->model, r->stream ? "streamGenerateContent?alt=sse" : "generateContent");
}

/* ---- the index of calls ---- */

static int compare_rows(const void *one, const void *two)
{
        const struct call_row *a = one, *b = two;
        int by_id = strcmp(a->id, b->id);
        return by_id ? by_id : (a->order > b->order) - (a->order < b->order);
}

static void index_calls(struct contents *c)
{
        size_t count = 0;
        for (const struct chat_message *m = c->e->r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next)
                        count += b->type == BLOCK_TOOL_CALL;
        }
        c->rows = arena_alloc(c->e->arena, (count + 1) * sizeof *c->rows);
        for (const struct chat_message *m = c->e->r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_TOOL_CALL) {
                                c->rows[c->row_count] =
                                        (struct call_row){b->id ? b->id : "", b->name, c->row_count};
                                c->row_count++;
                        }
                }
        }
        qsort(c->rows, c->row_count, sizeof *c->rows, compare_rows);
}

/* The last call of that id before the place we are at; NULL: none. */
static const struct call_row *find_call(const struct contents *c, const char *id)
{
        size_t low = 0, high = c->row_count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int by_id = strcmp(c->rows[middle].id, id);
                if (by_id < 0 || (by_id == 0 && c->rows[middle].order < c->calls_seen))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 && strcmp(c->rows[low - 1].id, id) == 0 ? &c->rows[low - 1] : NULL;
}

/* ---- parts ---- */

static void begin_content(struct contents *c, const char *role)
{
        struct json_writer *w = &c->e->w;
        jw_object(w);
        jw_key_string(w, "role", role);
        jw_key_array(w, "parts");
        c->any = true;
}

static void end_content(struct contents *c)
{
        jw_end(&c->e->w);
        jw_end(&c->e->w);
}

static void text_part(struct json_writer *w, struct str text)
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
                text_part(w, b->title && s->data.len
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

static void call_part(struct contents *c, const struct chat_block *b)
{
        struct gemini_encode *e = c->e;
        struct json_writer *w = &e->w;
        jw_object(w);
        jw_key_object(w, "functionCall");
        if (b->id && *b->id)
                jw_key_string(w, "id", b->id);
        jw_key_string(w, "name", b->name);
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

static bool result_media(struct gemini_encode *e, const struct chat_block *result)
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

static bool result_part(struct contents *c, const struct chat_block *b)
{
        struct gemini_encode *e = c->e;
        struct json_writer *w = &e->w;
        const struct call_row *call = b->id ? find_call(c, b->id) : NULL;
        const char *name = call ? call->name : b->name;
        if (!name)
                return refuse(e, ERR_BAD_REQUEST, b->path, "no tool call before it has this id");
        jw_object(w);
        jw_key_object(w, "functionResponse");
        if (b->id && *b->id)
                jw_key_string(w, "id", b->id);
        jw_key_string(w, "name", name);
        result_response(e, b);
        if (has_media(b) && e->target->caps.tool_result_images == TRI_YES) {
                jw_key_array(w, "parts");
                if (!result_media(e, b))
                        return false;
                jw_end(w);
        }
        jw_end(w);
        jw_end(w);
        return true;
}

static bool write_block(struct contents *c, const struct chat_block *b)
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
static bool is_said(const struct gemini_encode *e, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL: return b->text.len > 0 || own_signature(e, b);
        case BLOCK_THINKING: return !b->redacted && own_signature(e, b);
        case BLOCK_TOOL_RESULT: return false; /* hoisted: write_results() */
        default: return true;
        }
}

/* ---- turns ---- */

static bool is_system(const struct chat_message *m)
{
        return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

/* Messages of one turn: all of the model's, or all of the user's, up to the next of another kind. */
static const struct chat_message *turn_end(const struct chat_message *m)
{
        enum chat_role role = m->role;
        while (m && m->role == role)
                m = m->next;
        return m;
}

struct result_row {
        const struct chat_block *block;
        size_t order;
};

static int compare_results(const void *one, const void *two)
{
        const struct result_row *a = one, *b = two;
        return (a->order > b->order) - (a->order < b->order);
}

/* Results of a turn in the order of their calls; those of unknown calls keep their place at the end. */
static struct result_row *turn_results(struct contents *c, const struct chat_message *from,
                                       const struct chat_message *to, size_t *count)
{
        size_t n = 0;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next)
                        n += b->type == BLOCK_TOOL_RESULT;
        }
        *count = n;
        struct result_row *rows = arena_alloc(c->e->arena, (n + 1) * sizeof *rows);
        n = 0;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TOOL_RESULT)
                                continue;
                        const struct call_row *call = b->id ? find_call(c, b->id) : NULL;
                        rows[n] = (struct result_row){b, call ? call->order : c->row_count + n};
                        n++;
                }
        }
        qsort(rows, n, sizeof *rows, compare_results);
        return rows;
}

static bool write_results(struct contents *c, const struct chat_message *from, const struct chat_message *to)
{
        size_t count;
        struct result_row *rows = turn_results(c, from, to, &count);
        if (!count)
                return true;
        begin_content(c, "user");
        for (size_t i = 0; i < count; i++) {
                if (!result_part(c, rows[i].block))
                        return false;
        }
        /* Models that take no media within a result get it after all results, so that these stay together. */
        for (size_t i = 0; i < count && c->e->target->caps.tool_result_images != TRI_YES; i++) {
                if (!result_media(c->e, rows[i].block))
                        return false;
        }
        end_content(c);
        return true;
}

static bool write_turn(struct contents *c, const struct chat_message *from, const struct chat_message *to)
{
        const char *role = from->role == CHAT_ASSISTANT ? "model" : "user";
        bool open = false;
        if (from->role == CHAT_ASSISTANT)
                c->step_signed = false;
        else if (!write_results(c, from, to))
                return false;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (!is_said(c->e, b))
                                continue;
                        if (!open && !c->any && from->role == CHAT_ASSISTANT) {
                                /* A conversation starts with the user here. */
                                begin_content(c, "user");
                                text_part(&c->e->w, str_of("Begin."));
                                end_content(c);
                        }
                        if (!open)
                                begin_content(c, role);
                        open = true;
                        if (!write_block(c, b))
                                return false;
                }
        }
        if (open)
                end_content(c);
        return true;
}

/* System words in mid-conversation: there is no role for them, so they are marked within the user's. */
static void write_late_system(struct contents *c, const struct chat_message *m)
{
        struct str text = chat_join_text(c->e->arena, m->blocks);
        if (!text.len)
                return;
        begin_content(c, "user");
        text_part(&c->e->w, str_of(arena_printf(c->e->arena, "<system>\n%s\n</system>", text.at)));
        end_content(c);
}

static const struct chat_message *write_system(struct gemini_encode *e)
{
        const struct chat_message *m = e->r->messages;
        bool open = false;
        while (m && is_system(m))
                m = m->next;
        if (!m)
                return e->r->messages; /* nothing else: it is what the user says */
        for (const struct chat_message *s = e->r->messages; s != m; s = s->next) {
                for (const struct chat_block *b = s->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TEXT || !b->text.len)
                                continue;
                        if (!open) {
                                jw_key_object(&e->w, "systemInstruction");
                                jw_key_array(&e->w, "parts");
                                open = true;
                        }
                        text_part(&e->w, b->text);
                }
        }
        if (open) {
                jw_end(&e->w);
                jw_end(&e->w);
        }
        return m;
}

bool gemini_encode_contents(struct gemini_encode *e)
{
        struct contents c = {.e = e};
        const struct chat_message *m = write_system(e);
        bool only_system = m && is_system(m);
        index_calls(&c);
        jw_key_array(&e->w, "contents");
        while (m) {
                const struct chat_message *end = turn_end(m);
                if (only_system) {
                        begin_content(&c, "user");
                        text_part(&e->w, chat_join_text(e->arena, m->blocks));
                        end_content(&c);
                        end = m->next;
                } else if (is_system(m)) {
                        write_late_system(&c, m);
                        end = m->next;
                } else if (!write_turn(&c, m, end)) {
                        return false;
                }
                m = end;
        }
        jw_end(&e->w);
        return c.any || refuse(e, ERR_BAD_REQUEST, NULL, "the request has no content");
}

bool gemini_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                struct wire_request *out, struct err *err)
{
        struct gemini_encode e = {.arena = a, .r = r, .target = t, .err = err};
        gemini_address_chat_request(a, r, t, out);
        json_writer_init(&e.w, &out->body);
        jw_object(&e.w);
        if (!gemini_encode_contents(&e) || !gemini_encode_tools(&e) || !gemini_encode_config(&e))
                return false;
        gemini_encode_extras(&e, "");
        jw_end(&e.w);
        if (!jw_done(&e.w))
                return err_set(err, a, ERR_TOO_LARGE, NULL, "the request is too large for the provider");
        return true;
}
