/* Messages for a provider: canonical turns become openai's, results of tools before all else of their turn.
 */
#include <stdint.h>

#include "dialect/openai.h"
#include "dialect/tool_name.h"

struct turn {
        struct json_writer *w;
        struct arena *a;
        const struct chat_request *r;
        const struct wire_target *t;
        struct err *err;
};

static bool is_ours(const struct turn *s, enum dialect_id from)
{
        return s->r->from == DIALECT_OPENAI && (from == DIALECT_OPENAI || from == DIALECT_NONE);
}

static bool refuse(const struct turn *s, const struct chat_block *b, const char *what)
{
        return err_set(s->err, s->a, ERR_UNSUPPORTED, b->path, "%s%s%s can't be sent to %s",
                       b->path ? b->path : "", b->path ? ": " : "", what, s->t->model);
}

/* ---- parts ---- */

static bool takes_mark(const struct turn *s, const struct chat_block *b)
{
        return b->cache_control && (b->cache_breakpoint || s->t->caps.cache_control == TRI_YES);
}

/* openai's own only where the client marked it so, anthropic's only where the catalogue says so: other
 * servers and models refuse the member. */
static void write_breakpoint(const struct turn *s, const struct chat_block *b)
{
        if (!takes_mark(s, b))
                return;
        if (!b->cache_breakpoint) {
                jw_key_node(s->w, "cache_control", b->cache_control);
                return;
        }
        const char *ttl = json_peek_string(b->cache_control, "ttl");
        jw_key_object(s->w, "prompt_cache_breakpoint");
        jw_key_string(s->w, "mode", "explicit");
        if (ttl)
                jw_key_string(s->w, "ttl", strcmp(ttl, "1h") == 0 ? "12h" : "30m");
        jw_end(s->w);
}

static bool write_image(const struct turn *s, const struct chat_block *b)
{
        if (b->source.kind != SOURCE_URL && b->source.kind != SOURCE_BASE64)
                return refuse(s, b, "an image that is neither a URL nor bytes");
        jw_object(s->w);
        jw_key_string(s->w, "type", "image_url");
        jw_key_object(s->w, "image_url");
        if (b->source.kind == SOURCE_URL)
                jw_key_string(s->w, "url", b->source.url);
        else
                openai_write_data_url(s->w, "url", &b->source, "image/png");
        if (b->detail)
                jw_key_string(s->w, "detail", b->detail);
        jw_end(s->w);
        write_breakpoint(s, b);
        jw_end(s->w);
        return true;
}

static bool write_audio(const struct turn *s, const struct chat_block *b)
{
        const char *type = b->source.media_type ? b->source.media_type : "";
        bool wav = strcmp(type, "audio/wav") == 0 || strcmp(type, "audio/x-wav") == 0;
        bool mp3 = strcmp(type, "audio/mp3") == 0 || strcmp(type, "audio/mpeg") == 0;
        if (b->source.kind != SOURCE_BASE64 || !(wav || mp3))
                return refuse(s, b, "audio other than wav and mp3 in base64");
        jw_object(s->w);
        jw_key_string(s->w, "type", "input_audio");
        jw_key_object(s->w, "input_audio");
        jw_key_str(s->w, "data", b->source.data);
        jw_key_string(s->w, "format", wav ? "wav" : "mp3");
        jw_end(s->w);
        write_breakpoint(s, b);
        jw_end(s->w);
        return true;
}

static void write_text(const struct turn *s, struct str text, const struct chat_block *b)
{
        jw_object(s->w);
        jw_key_string(s->w, "type", "text");
        jw_key_str(s->w, "text", text);
        if (b)
                write_breakpoint(s, b);
        jw_end(s->w);
}

static bool write_document(const struct turn *s, const struct chat_block *b)
{
        if (b->source.kind == SOURCE_TEXT) {
                write_text(s, b->source.data, b);
                return true;
        }
        if (b->source.kind == SOURCE_URL)
                return refuse(s, b, "a document by URL");
        if (b->source.kind == SOURCE_FILE_ID && s->r->from != DIALECT_OPENAI)
                return refuse(s, b, "a file of another provider");
        jw_object(s->w);
        jw_key_string(s->w, "type", "file");
        jw_key_object(s->w, "file");
        if (b->source.kind == SOURCE_FILE_ID) {
                jw_key_string(s->w, "file_id", b->source.url);
        } else {
                jw_key_string(s->w, "filename", b->title ? b->title : "document.pdf");
                openai_write_data_url(s->w, "file_data", &b->source, "application/pdf");
        }
        jw_end(s->w);
        write_breakpoint(s, b);
        jw_end(s->w);
        return true;
}

static bool write_part(const struct turn *s, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT: write_text(s, b->text, b); return true;
        case BLOCK_REFUSAL: write_text(s, b->text, b); return true;
        case BLOCK_IMAGE: return write_image(s, b);
        case BLOCK_AUDIO: return write_audio(s, b);
        case BLOCK_DOCUMENT: return write_document(s, b);
        case BLOCK_THINKING: return true;
        default: return refuse(s, b, "this block");
        }
}

/* One text is a plain string, which every server takes; anything else is parts. */
static bool write_content(const struct turn *s, const struct chat_block *blocks)
{
        jw_key(s->w, "content");
        if (!blocks || (!blocks->next && blocks->type == BLOCK_TEXT && !takes_mark(s, blocks))) {
                jw_str(s->w, blocks && blocks->text.at ? blocks->text : str_of(""));
                return true;
        }
        jw_array(s->w);
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (!write_part(s, b))
                        return false;
        }
        jw_end(s->w);
        return true;
}

static void open_message(const struct turn *s, const char *role, const char *name)
{
        jw_object(s->w);
        jw_key_string(s->w, "role", role);
        if (name)
                jw_key_string(s->w, "name", name);
}

/* ---- results of tools ---- */

static bool stays_in_result(const struct turn *s, const struct chat_block *b)
{
        return b->type == BLOCK_TEXT ||
               (b->type == BLOCK_IMAGE && s->t->caps.tool_result_images == TRI_YES) ||
               (b->type == BLOCK_DOCUMENT && b->source.kind == SOURCE_TEXT);
}

static struct str result_text(const struct turn *s, const struct chat_block *result, bool moved)
{
        struct buf text;
        buf_init(&text, SIZE_MAX / 4);
        if (result->is_error)
                buf_adds(&text, "Error: ");
        for (const struct chat_block *b = result->content; b; b = b->next) {
                if (b->type == BLOCK_TEXT || b->type == BLOCK_DOCUMENT)
                        buf_add_str(&text, b->type == BLOCK_TEXT ? b->text : b->source.data);
        }
        if (moved && !text.len)
                buf_adds(&text, "The result is attached to the next user message.");
        struct str whole = arena_str(s->a, text.data ? text.data : "", text.len);
        buf_release(&text);
        return whole;
}

static bool write_result(const struct turn *s, const struct chat_block *result, bool *moved)
{
        const struct chat_block *last = NULL;
        bool parts = false, moves = false;
        for (const struct chat_block *b = result->content; b; b = b->next) {
                bool stays = stays_in_result(s, b);
                moves = moves || !stays;
                parts = parts || (stays && (b->type == BLOCK_IMAGE || takes_mark(s, b)));
                last = stays ? b : last;
        }
        /* A mark on the result is one behind the last of its parts. */
        parts = parts || (last && takes_mark(s, result));
        *moved = *moved || moves;
        open_message(s, "tool", NULL);
        jw_key_string(s->w, "tool_call_id", tool_id_out(s->a, result->id, s->t->caps.tool_id_length));
        if (!parts) {
                struct chat_block only = {.content = result->content, .is_error = result->is_error};
                /* Media leave the result; their text parts are those that stay. */
                struct chat_block *kept = NULL, **tail = &kept;
                for (const struct chat_block *b = result->content; b; b = b->next) {
                        if (!stays_in_result(s, b))
                                continue;
                        *tail = arena_alloc(s->a, sizeof **tail);
                        **tail = *b;
                        (*tail)->next = NULL;
                        tail = &(*tail)->next;
                }
                only.content = kept;
                jw_key_str(s->w, "content", result_text(s, &only, moves));
                jw_end(s->w);
                return true;
        }
        jw_key_array(s->w, "content");
        if (result->is_error)
                write_text(s, str_of("Error:"), NULL);
        for (const struct chat_block *b = result->content; b; b = b->next) {
                struct chat_block part = *b;
                if (b == last && takes_mark(s, result)) {
                        part.cache_control = result->cache_control;
                        part.cache_breakpoint = result->cache_breakpoint;
                }
                if (stays_in_result(s, b) && !write_part(s, &part))
                        return false;
        }
        jw_end(s->w);
        jw_end(s->w);
        return true;
}

static bool write_moved(const struct turn *s, const struct chat_block *result)
{
        bool told = false;
        for (const struct chat_block *b = result->content; b; b = b->next) {
                if (stays_in_result(s, b))
                        continue;
                if (!told)
                        write_text(s,
                                   str_of(arena_printf(s->a, "Result of the tool call %s:",
                                                       result->id     ? result->id
                                                       : result->name ? result->name
                                                                      : "")),
                                   NULL);
                told = true;
                if (!write_part(s, b))
                        return false;
        }
        return true;
}

static bool write_user(const struct turn *s, const struct chat_message *m)
{
        const struct chat_block *last = NULL;
        size_t results = 0, others = 0;
        bool moved = false;
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type != BLOCK_TOOL_RESULT) {
                        others++;
                        last = b;
                        continue;
                }
                results++;
                if (!write_result(s, b, &moved))
                        return false;
        }
        if (results && !others && !moved)
                return true;
        open_message(s, "user", m->name);
        if (!moved && (others == 0 || (others == 1 && last->type == BLOCK_TEXT && !takes_mark(s, last)))) {
                jw_key_str(s->w, "content", last && last->text.at ? last->text : str_of(""));
                jw_end(s->w);
                return true;
        }
        jw_key_array(s->w, "content");
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                bool ok = b->type == BLOCK_TOOL_RESULT ? write_moved(s, b) : write_part(s, b);
                if (!ok)
                        return false;
        }
        jw_end(s->w);
        jw_end(s->w);
        return true;
}

/* ---- assistant ---- */

static void write_thoughts(const struct turn *s, const struct chat_message *m)
{
        bool any_signed = false, any = false;
        int64_t index = 0;
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type != BLOCK_THINKING || !is_ours(s, b->signature_from))
                        continue;
                any = true;
                any_signed = any_signed || b->signature.len;
        }
        if (!any)
                return;
        if (any_signed) {
                jw_key_array(s->w, "reasoning_details");
        } else {
                /* Servers that want their reasoning back (DeepSeek in a tool loop) want it as they gave it.
                 */
                struct chat_block *texts = NULL, **tail = &texts;
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_THINKING || !is_ours(s, b->signature_from))
                                continue;
                        *tail = arena_alloc(s->a, sizeof **tail);
                        **tail = (struct chat_block){.type = BLOCK_TEXT, .text = b->text};
                        tail = &(*tail)->next;
                }
                jw_key_str(s->w, "reasoning_content", chat_join_text(s->a, texts));
                return;
        }
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type == BLOCK_THINKING && is_ours(s, b->signature_from))
                        openai_write_thought(s->w, s->a, b, b->text, b->signature, index++);
        }
        jw_end(s->w);
}

static void write_call(const struct turn *s, const struct chat_block *b)
{
        bool custom = b->raw && b->raw_dialect == DIALECT_OPENAI;
        const char *name = b->name ? b->name : "";
        jw_object(s->w);
        jw_key_string(s->w, "id", tool_id_out(s->a, b->id, s->t->caps.tool_id_length));
        jw_key_string(s->w, "type", custom ? "custom" : "function");
        jw_key_object(s->w, custom ? "custom" : "function");
        jw_key_string(s->w, "name",
                      s->r->from == DIALECT_OPENAI ? name : tool_name_out(s->a, name, DIALECT_OPENAI));
        if (custom)
                jw_key_str(s->w, "input", json_peek_str(chat_arguments_object(s->a, b), "input"));
        else
                jw_key_str(s->w, "arguments", chat_arguments_text(s->a, b));
        jw_end(s->w);
        if (b->signature.len && b->signature_from == DIALECT_GEMINI && s->t->caps.signatures == TRI_YES)
                openai_write_thought_signature(s->w, b->signature);
        jw_end(s->w);
}

/* Content of an assistant is one string wherever it can be: few compatible servers take parts there. */
static void write_answer(const struct turn *s, const struct chat_message *m, bool has_text, bool has_refusal,
                         bool has_calls)
{
        bool marked = false;
        for (const struct chat_block *b = m->blocks; b; b = b->next)
                marked = marked || (b->type == BLOCK_TEXT && b->text.len && takes_mark(s, b));
        if (!has_refusal && !marked) {
                if (has_text || !has_calls)
                        jw_key_str(s->w, "content", chat_join_text(s->a, m->blocks));
                else
                        jw_key_null(s->w, "content");
                return;
        }
        jw_key_array(s->w, "content");
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type == BLOCK_TEXT && b->text.len)
                        write_text(s, b->text, b);
                if (b->type != BLOCK_REFUSAL)
                        continue;
                jw_object(s->w);
                jw_key_string(s->w, "type", "refusal");
                jw_key_str(s->w, "refusal", b->text);
                jw_end(s->w);
        }
        jw_end(s->w);
}

static bool write_assistant(const struct turn *s, const struct chat_message *m)
{
        bool text = false, refusal = false, calls = false;
        const struct chat_block *audio = NULL;
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                text = text || (b->type == BLOCK_TEXT && b->text.len);
                refusal = refusal || b->type == BLOCK_REFUSAL;
                calls = calls || b->type == BLOCK_TOOL_CALL;
                if (b->type == BLOCK_OTHER && b->raw_dialect == DIALECT_OPENAI)
                        audio = b;
                else if (b->type == BLOCK_OTHER || b->type == BLOCK_TOOL_RESULT ||
                         b->type == BLOCK_DOCUMENT || b->type == BLOCK_AUDIO || b->type == BLOCK_IMAGE)
                        return refuse(s, b, "this block of an assistant's message");
        }
        open_message(s, "assistant", m->name);
        if (audio)
                jw_key_node(s->w, "audio", audio->raw);
        if (!audio || text || refusal)
                write_answer(s, m, text, refusal, calls);
        write_thoughts(s, m);
        if (calls) {
                jw_key_array(s->w, "tool_calls");
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_TOOL_CALL)
                                write_call(s, b);
                }
                jw_end(s->w);
        }
        jw_end(s->w);
        return true;
}

/* ---- messages ---- */

static bool write_system(const struct turn *s, const struct chat_message *m)
{
        bool developer = m->role == CHAT_DEVELOPER && s->t->caps.developer_role != TRI_NO;
        open_message(s, developer ? "developer" : "system", m->name);
        if (!write_content(s, m->blocks))
                return false;
        jw_end(s->w);
        return true;
}

bool openai_write_messages(struct json_writer *w, struct arena *a, const struct chat_request *r,
                           const struct wire_target *t, struct err *err)
{
        const struct turn s = {.w = w, .a = a, .r = r, .t = t, .err = err};
        jw_key_array(w, "messages");
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                bool ok = m->role == CHAT_USER        ? write_user(&s, m)
                          : m->role == CHAT_ASSISTANT ? write_assistant(&s, m)
                                                      : write_system(&s, m);
                if (!ok)
                        return false;
        }
        jw_end(w);
        return true;
}
