/*
 * Messages to the provider. Messages of one side in a row become one turn; in a user turn the results of
 * tools stand first, because the vendor looks for them at the head of the turn that follows the calls.
 */
#include "dialect/anthropic.h"
#include "dialect/tool_name.h"

#include <string.h>

#include "base/text.h"

struct turns {
        struct arena *arena;
        struct json_writer *w;
        const struct chat_request *request;
        const struct model_caps *caps;
        struct err *err;
        bool thoughts; /* are sent */
        bool prefill;  /* the last assistant turn ends the conversation */
};

enum side { SIDE_USER, SIDE_ASSISTANT, SIDE_SYSTEM };

static bool is_system(const struct chat_message *m)
{
        return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

/* Those at the start become `system`, unless there is nothing else to say. */
bool anthropic_is_leading_system(const struct chat_request *r, const struct chat_message *m)
{
        const struct chat_message *first = r->messages;
        while (first && is_system(first))
                first = first->next;
        if (!first)
                return false;
        for (const struct chat_message *i = r->messages; i != first; i = i->next) {
                if (i == m)
                        return true;
        }
        return false;
}

static bool blank(struct str s)
{
        for (size_t i = 0; i < s.len; i++) {
                if (!strchr(" \t\r\n", s.at[i]) || !s.at[i])
                        return false;
        }
        return true;
}

void anthropic_write_members(struct json_writer *w, json_object *members)
{
        if (!json_object_is_type(members, json_type_object))
                return;
        json_object_object_foreach(members, key, value)
        {
                jw_key_node(w, key, value);
        }
}

/* What stands at the end of every block. */
static void finish_block(struct turns *t, const struct chat_block *b)
{
        if (b->raw && b->raw_dialect == DIALECT_ANTHROPIC)
                anthropic_write_members(t->w, b->raw);
        if (b->cache_control)
                jw_key_node(t->w, "cache_control", b->cache_control);
        jw_end(t->w);
}

static bool unsupported(struct turns *t, const struct chat_block *b, const char *what)
{
        return err_set(t->err, t->arena, ERR_UNSUPPORTED, b->path, "%s%sthe model does not take %s",
                       b->path ? b->path : "", b->path ? ": " : "", what);
}

/* ---- sources ---- */

static void source_begin(struct json_writer *w, const char *type, const char *media_type)
{
        jw_key_object(w, "source");
        jw_key_string(w, "type", type);
        if (media_type)
                jw_key_string(w, "media_type", media_type);
}

/* A source that is elsewhere: a URL, or one of the provider's own files. */
static bool write_reference(struct turns *t, const struct chat_block *b, const char *foreign)
{
        const struct chat_source *s = &b->source;
        if (s->kind == SOURCE_URL) {
                source_begin(t->w, "url", NULL);
                jw_key_string(t->w, "url", s->url);
        } else if (s->kind == SOURCE_FILE_ID && t->request->from == DIALECT_ANTHROPIC) {
                source_begin(t->w, "file", NULL);
                jw_key_string(t->w, "file_id", s->url);
        } else {
                return unsupported(t, b, foreign);
        }
        return true;
}

static bool write_image(struct turns *t, const struct chat_block *b)
{
        static const char *const taken[] = {"image/jpeg", "image/png", "image/gif", "image/webp"};
        const struct chat_source *s = &b->source;
        const char *media_type =
                s->media_type && strcmp(s->media_type, "image/jpg") == 0 ? "image/jpeg" : s->media_type;
        bool known = false;
        for (size_t i = 0; media_type && i < sizeof taken / sizeof *taken; i++)
                known |= strcmp(taken[i], media_type) == 0;
        if (s->kind == SOURCE_BASE64 && !known)
                return unsupported(t, b, "images of this type; it takes jpeg, png, gif and webp");
        jw_object(t->w);
        jw_key_string(t->w, "type", "image");
        if (s->kind == SOURCE_BASE64) {
                source_begin(t->w, "base64", media_type);
                jw_key_str(t->w, "data", s->data);
        } else if (!write_reference(t, b, "images by reference to another provider's files")) {
                return false;
        }
        jw_end(t->w);
        finish_block(t, b);
        return true;
}

static bool is_text_type(const char *media_type)
{
        return media_type &&
               (strncmp(media_type, "text/", 5) == 0 || strcmp(media_type, "application/json") == 0);
}

/* The text of a document that came as base64, where it is text. */
static bool document_text(struct turns *t, const struct chat_source *s, struct str *out)
{
        struct buf text;
        if (s->kind == SOURCE_TEXT) {
                *out = s->data;
                return true;
        }
        if (s->kind != SOURCE_BASE64 || !is_text_type(s->media_type))
                return false;
        buf_init(&text, s->data.len);
        bool ok = text_base64_decode(&text, s->data.at, s->data.len, false) &&
                  text_is_utf8(text.data, text.len);
        if (ok)
                *out = arena_str(t->arena, text.data, text.len);
        buf_release(&text);
        return ok;
}

static bool write_document(struct turns *t, const struct chat_block *b)
{
        const struct chat_source *s = &b->source;
        struct str text;
        bool is_text = document_text(t, s, &text);
        bool is_pdf =
                s->kind == SOURCE_BASE64 && s->media_type && strcmp(s->media_type, "application/pdf") == 0;
        if (!is_text && s->kind == SOURCE_BASE64 && !is_pdf)
                return unsupported(t, b, "documents of this type; it takes PDF and plain text");
        jw_object(t->w);
        jw_key_string(t->w, "type", "document");
        if (is_text) {
                source_begin(t->w, "text", "text/plain");
                jw_key_str(t->w, "data", text);
        } else if (is_pdf) {
                source_begin(t->w, "base64", s->media_type);
                jw_key_str(t->w, "data", s->data);
        } else if (!write_reference(t, b, "documents by reference to another provider's files")) {
                return false;
        }
        jw_end(t->w);
        if (b->title)
                jw_key_string(t->w, "title", b->title);
        finish_block(t, b);
        return true;
}

/* ---- blocks ---- */

static void write_text(struct turns *t, const struct chat_block *b, struct str text)
{
        bool cited = false;
        jw_object(t->w);
        jw_key_string(t->w, "type", "text");
        jw_key_str(t->w, "text", text);
        for (const struct chat_citation *c = b->citations; c; c = c->next) {
                if (!c->raw || c->raw_dialect != DIALECT_ANTHROPIC)
                        continue; /* another vendor's sources mean nothing here */
                if (!cited)
                        jw_key_array(t->w, "citations");
                cited = true;
                jw_node(t->w, c->raw);
        }
        if (cited)
                jw_end(t->w);
        finish_block(t, b);
}

static void write_thought(struct turns *t, const struct chat_block *b)
{
        jw_object(t->w);
        jw_key_string(t->w, "type", b->redacted ? "redacted_thinking" : "thinking");
        if (!b->redacted)
                jw_key_str(t->w, "thinking", b->text.at ? b->text : str_of(""));
        jw_key_str(t->w, b->redacted ? "data" : "signature", b->signature);
        jw_end(t->w);
}

static void write_call(struct turns *t, const struct chat_block *b)
{
        jw_object(t->w);
        jw_key_string(t->w, "type", "tool_use");
        jw_key_string(t->w, "id", anthropic_tool_id(t->arena, b->id));
        jw_key_string(t->w, "name", tool_name_out(t->arena, b->name, DIALECT_ANTHROPIC));
        jw_key_node(t->w, "input", chat_arguments_object(t->arena, b));
        finish_block(t, b);
}

static bool write_block(struct turns *t, const struct chat_block *b);

static bool is_written(const struct turns *t, const struct chat_block *b)
{
        if (b->type == BLOCK_TEXT || b->type == BLOCK_REFUSAL)
                return !blank(b->text);
        if (b->type == BLOCK_THINKING)
                return t->thoughts && b->signature_from == DIALECT_ANTHROPIC && b->signature.len;
        return true;
}

static bool write_result(struct turns *t, const struct chat_block *b)
{
        bool any = false;
        jw_object(t->w);
        jw_key_string(t->w, "type", "tool_result");
        jw_key_string(t->w, "tool_use_id", anthropic_tool_id(t->arena, b->id));
        for (const struct chat_block *c = b->content; c; c = c->next) {
                if (!is_written(t, c))
                        continue;
                if (!any)
                        jw_key_array(t->w, "content");
                any = true;
                if (!write_block(t, c))
                        return false;
        }
        if (any)
                jw_end(t->w);
        else if (b->is_error) /* an error that says nothing is refused */
                jw_key_string(t->w, "content", "Error");
        if (b->is_error)
                jw_key_bool(t->w, "is_error", true);
        finish_block(t, b);
        return true;
}

static bool write_block(struct turns *t, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL: write_text(t, b, b->text); return true;
        case BLOCK_IMAGE: return write_image(t, b);
        case BLOCK_DOCUMENT: return write_document(t, b);
        case BLOCK_TOOL_CALL: write_call(t, b); return true;
        case BLOCK_TOOL_RESULT: return write_result(t, b);
        case BLOCK_THINKING: write_thought(t, b); return true;
        case BLOCK_OTHER:
                if (b->raw && b->raw_dialect == DIALECT_ANTHROPIC) {
                        jw_node(t->w, b->raw);
                        return true;
                }
                return unsupported(t, b, "this kind of content");
        default: return unsupported(t, b, "audio");
        }
}

/* ---- turns ---- */

/* What of a run of messages goes into a turn: all of it, or only the system's, or all but the system's. */
enum pick { PICK_ALL, PICK_SYSTEM, PICK_OTHERS };

static bool picked(const struct turns *t, const struct chat_message *m, enum pick pick)
{
        bool system = is_system(m) && t->request->messages != m;
        return pick == PICK_ALL || system == (pick == PICK_SYSTEM);
}

static bool run_is_empty(const struct turns *t, const struct chat_message *m, const struct chat_message *end,
                         enum pick pick)
{
        for (; m != end; m = m->next) {
                for (const struct chat_block *b = m->blocks; b && picked(t, m, pick); b = b->next) {
                        if (is_written(t, b))
                                return false;
                }
        }
        return true;
}

/* The model has no system messages here: the user says so. */
static void write_wrapped(struct turns *t, const struct chat_block *b)
{
        struct buf text;
        buf_init(&text, b->text.len + 64);
        buf_adds(&text, "<system>\n");
        buf_add_str(&text, b->text);
        buf_adds(&text, "\n</system>");
        write_text(t, b, (struct str){text.data, text.len});
        buf_release(&text);
}

/* Trailing space of an answer that is to be continued is refused. */
static struct str without_trailing_space(struct str s)
{
        while (s.len && strchr(" \t\r\n", s.at[s.len - 1]) && s.at[s.len - 1])
                s.len--;
        return s;
}

static bool write_message(struct turns *t, const struct chat_message *m, bool results, enum side side)
{
        bool wrap = is_system(m) && side == SIDE_USER && t->request->messages != m;
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (!is_written(t, b) || (b->type == BLOCK_TOOL_RESULT) != results)
                        continue;
                if (wrap && b->type == BLOCK_TEXT)
                        write_wrapped(t, b);
                else if (t->prefill && !m->next && !b->next && b->type == BLOCK_TEXT)
                        write_text(t, b, without_trailing_space(b->text));
                else if (!write_block(t, b))
                        return false;
        }
        return true;
}

static bool write_turn(struct turns *t, const struct chat_message *m, const struct chat_message *end,
                       enum side side, enum pick pick)
{
        static const char *const roles[] = {"user", "assistant", "system"};
        if (run_is_empty(t, m, end, pick))
                return true;
        jw_object(t->w);
        jw_key_string(t->w, "role", roles[side]);
        jw_key_array(t->w, "content");
        for (int pass = 0; pass < 2; pass++) {
                for (const struct chat_message *i = m; i != end; i = i->next) {
                        if (picked(t, i, pick) && !write_message(t, i, pass == 0, side))
                                return false;
                }
        }
        jw_end(t->w);
        jw_end(t->w);
        return true;
}

/*
 * The user's side up to the next answer. Where the model knows the role, the vendor takes one system message
 * there, behind the user's and nowhere else (docs: mid-conversation system messages, "placement rules"), so
 * what the system says goes to that place; with no words of the user before it, it is the user's.
 */
static bool write_user_side(struct turns *t, const struct chat_message *m, const struct chat_message *end)
{
        bool stands = t->caps->mid_system == TRI_YES &&
                      (t->request->from == DIALECT_ANTHROPIC || !run_is_empty(t, m, end, PICK_OTHERS));
        if (!stands)
                return write_turn(t, m, end, SIDE_USER, PICK_ALL);
        return write_turn(t, m, end, SIDE_USER, PICK_OTHERS) &&
               write_turn(t, m, end, SIDE_SYSTEM, PICK_SYSTEM);
}

/* The vendor wants the user to speak first. */
static void write_opening(struct turns *t)
{
        static const struct chat_block opening = {.type = BLOCK_TEXT};
        jw_object(t->w);
        jw_key_string(t->w, "role", "user");
        jw_key_array(t->w, "content");
        write_text(t, &opening, str_of("(The conversation begins.)"));
        jw_end(t->w);
        jw_end(t->w);
}

bool anthropic_write_turns(struct arena *a, struct json_writer *w, const struct chat_request *r,
                           const struct model_caps *caps, struct err *err)
{
        struct turns t = {.arena = a, .w = w, .request = r, .caps = caps, .err = err};
        t.thoughts = anthropic_sends_thoughts(r, caps);
        t.prefill = r->last_message && r->last_message->role == CHAT_ASSISTANT;
        const struct chat_message *m = r->messages, *end;
        if (m && anthropic_is_leading_system(r, m)) {
                while (is_system(m))
                        m = m->next;
        }
        jw_array(w);
        if (m && m->role == CHAT_ASSISTANT && r->from != DIALECT_ANTHROPIC)
                write_opening(&t);
        for (; m; m = end) {
                bool answer = m->role == CHAT_ASSISTANT;
                for (end = m->next; end && (end->role == CHAT_ASSISTANT) == answer; end = end->next)
                        ;
                bool ok = answer ? write_turn(&t, m, end, SIDE_ASSISTANT, PICK_ALL)
                                 : write_user_side(&t, m, end);
                if (!ok)
                        return false;
        }
        jw_end(w);
        return true;
}
