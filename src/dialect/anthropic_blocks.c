/* Content blocks of a client's request. */
#include "dialect/anthropic.h"

#include <string.h>

#include "base/text.h"
#include "dialect/carry.h"

struct anthropic_call { /* a tool call seen so far */
        struct anthropic_call *next;
        const char *id, *name;
};

/* What is being read: the message, and signatures that wait for the block they belong to. */
struct place {
        struct chat_message *message;
        enum chat_role role;
        bool in_result; /* inside a tool result */
        struct str call_signature, text_signature;
        enum dialect_id call_from, text_from;
};

static struct anthropic_call **call_bucket(struct anthropic_reader *r, const char *id)
{
        uint32_t hash = text_hash_seed();
        for (; *id; id++)
                hash = (hash ^ (unsigned char)*id) * 16777619u;
        return &r->calls[(hash ^ hash >> 16) % (sizeof r->calls / sizeof *r->calls)];
}

static void remember_call(struct anthropic_reader *r, const char *id, const char *name)
{
        struct anthropic_call **bucket = call_bucket(r, id), *call = arena_alloc(r->json.arena, sizeof *call);
        *call = (struct anthropic_call){.next = *bucket, .id = id, .name = name};
        *bucket = call;
}

static const char *find_call(struct anthropic_reader *r, const char *id)
{
        const struct anthropic_call *call = *call_bucket(r, id);
        while (call && strcmp(call->id, id) != 0)
                call = call->next;
        return call ? call->name : NULL;
}

static void keep_others(struct anthropic_reader *r, json_object *node, struct chat_block *b,
                        const char *const *known)
{
        b->raw = anthropic_other_members(r->json.arena, node, known);
        b->raw_dialect = b->raw ? DIALECT_ANTHROPIC : DIALECT_NONE;
}

/* ---- sources ---- */

static bool read_base64(struct anthropic_reader *r, json_object *source, const struct json_path *at,
                        struct chat_source *out)
{
        size_t decoded;
        if (!json_get_str(&r->json, source, at, "data", &out->data))
                return json_fail(&r->json, at, "data", "Field required");
        if (!json_need_string(&r->json, source, at, "media_type", &out->media_type))
                return false;
        if (!text_base64_valid(out->data.at, out->data.len, &decoded) || decoded == 0)
                return json_fail(&r->json, at, "data", "is no valid base64");
        out->kind = SOURCE_BASE64;
        return true;
}

static bool read_url(struct anthropic_reader *r, json_object *source, const struct json_path *at,
                     struct chat_source *out)
{
        if (!json_need_string(&r->json, source, at, "url", &out->url))
                return false;
        if (strncasecmp(out->url, "https://", 8) != 0 && strncasecmp(out->url, "http://", 7) != 0)
                return json_fail(&r->json, at, "url", "must be an http or https URL");
        out->kind = SOURCE_URL;
        return true;
}

static bool read_text_source(struct anthropic_reader *r, json_object *source, const struct json_path *at,
                             struct chat_source *out)
{
        out->kind = SOURCE_TEXT;
        out->media_type = "text/plain";
        return json_get_str(&r->json, source, at, "data", &out->data) ||
               json_fail(&r->json, at, "data", "Field required");
}

/* Source of a document given as content: text only, put together. False without an error: it holds more than
 * text. */
static bool read_content_source(struct anthropic_reader *r, json_object *source, struct chat_source *out)
{
        json_object *content = json_peek(source, "content");
        struct buf joined;
        if (json_object_is_type(content, json_type_string)) {
                out->data = json_peek_str(source, "content");
        } else if (json_object_is_type(content, json_type_array)) {
                size_t count = json_object_array_length(content);
                buf_init(&joined, SIZE_MAX / 4);
                for (size_t i = 0; i < count; i++) {
                        json_object *part = json_object_array_get_idx(content, i);
                        const char *type = json_peek_string(part, "type");
                        struct str text = json_peek_str(part, "text");
                        if (!text.at || !type || strcmp(type, "text") != 0) {
                                buf_release(&joined);
                                return false;
                        }
                        if (i)
                                buf_adds(&joined, "\n\n");
                        buf_add_str(&joined, text);
                }
                out->data = arena_str(r->json.arena, joined.len ? joined.data : "", joined.len);
                buf_release(&joined);
        } else {
                return false;
        }
        out->kind = SOURCE_TEXT;
        out->media_type = "text/plain";
        return true;
}

static bool read_source(struct anthropic_reader *r, json_object *node, const struct json_path *up,
                        struct chat_source *out)
{
        const struct json_path at = {.up = up, .key = "source"};
        json_object *source;
        const char *type;
        if (!json_need_object(&r->json, node, up, "source", &source) ||
            !json_need_string(&r->json, source, &at, "type", &type))
                return false;
        if (strcmp(type, "base64") == 0)
                return read_base64(r, source, &at, out);
        if (strcmp(type, "url") == 0)
                return read_url(r, source, &at, out);
        if (strcmp(type, "text") == 0)
                return read_text_source(r, source, &at, out);
        if (strcmp(type, "file") == 0) {
                out->kind = SOURCE_FILE_ID;
                return json_need_string(&r->json, source, &at, "file_id", &out->url);
        }
        return json_fail(&r->json, &at, "type", "must be one of base64, url, text, file, content");
}

/* ---- one reader for each type of block; each adds its block to the message ---- */

static struct chat_block *add(struct anthropic_reader *r, struct place *p, const struct json_path *at,
                              json_object *node, enum chat_block_type type)
{
        struct chat_block *b = chat_add_block(r->json.arena, p->message, type);
        b->path = json_path_text(r->json.arena, at, NULL);
        json_get_object(&r->json, node, at, "cache_control", &b->cache_control);
        return b;
}

static bool read_other(struct anthropic_reader *r, struct place *p, json_object *node,
                       const struct json_path *at)
{
        struct chat_block *b = add(r, p, at, node, BLOCK_OTHER);
        b->raw = node;
        b->raw_dialect = DIALECT_ANTHROPIC;
        return true;
}

/* Citations made here for answers of other vendors hold a wrapped mark, and lose it again. */
static void read_citations(struct anthropic_reader *r, json_object *node, struct chat_block *b)
{
        struct chat_citation **end = &b->citations;
        json_object *list = json_peek_array(node, "citations");
        size_t count = list ? json_object_array_length(list) : 0;
        for (size_t i = 0; i < count; i++) {
                struct chat_citation *c =
                        anthropic_read_citation(r->json.arena, json_object_array_get_idx(list, i));
                *end = c;
                end = &c->next;
        }
}

static bool read_text(struct anthropic_reader *r, struct place *p, json_object *node,
                      const struct json_path *at)
{
        static const char *const known[] = {"type", "text", "cache_control", "citations", NULL};
        struct chat_block *b = add(r, p, at, node, BLOCK_TEXT);
        if (!json_get_str(&r->json, node, at, "text", &b->text))
                return json_fail(&r->json, at, "text", "Field required");
        keep_others(r, node, b, known);
        read_citations(r, node, b);
        b->signature = p->text_signature;
        b->signature_from = p->text_from;
        p->text_signature = (struct str){0};
        p->text_from = DIALECT_NONE;
        return true;
}

static bool read_image(struct anthropic_reader *r, struct place *p, json_object *node,
                       const struct json_path *at)
{
        static const char *const known[] = {"type", "source", "cache_control", NULL};
        struct chat_block *b = add(r, p, at, node, BLOCK_IMAGE);
        keep_others(r, node, b, known);
        return read_source(r, node, at, &b->source);
}

static bool read_document(struct anthropic_reader *r, struct place *p, json_object *node,
                          const struct json_path *at)
{
        static const char *const known[] = {"type", "source", "cache_control", "title", NULL};
        if (r->strict && p->role == CHAT_ASSISTANT)
                return json_fail(&r->json, at, NULL,
                                 "document blocks are not permitted in assistant messages");
        json_object *source = json_peek_object(node, "source");
        const char *type = json_peek_string(source, "type");
        struct chat_source content = {0};
        bool is_content = type && strcmp(type, "content") == 0;
        if (is_content && !read_content_source(r, source, &content))
                return read_other(r, p, node, at);
        struct chat_block *b = add(r, p, at, node, BLOCK_DOCUMENT);
        json_get_string(&r->json, node, at, "title", &b->title);
        keep_others(r, node, b, known);
        b->source = content;
        return is_content || read_source(r, node, at, &b->source);
}

/* A wrapped signature goes back to where it came from (dialect/carry.h). */
static bool unwrap(struct anthropic_reader *r, struct place *p, struct str signature, struct str text,
                   bool redacted, const struct json_path *at)
{
        enum dialect_id from = DIALECT_ANTHROPIC;
        enum carry_on on = redacted ? CARRY_ON_REDACTED : CARRY_ON_THINKING;
        carry_unwrap(r->json.arena, signature, &from, &on, &signature);
        if (on == CARRY_ON_NEXT_CALL) {
                p->call_signature = signature;
                p->call_from = from;
        } else if (on == CARRY_ON_NEXT_TEXT) {
                p->text_signature = signature;
                p->text_from = from;
        }
        bool next = on == CARRY_ON_NEXT_CALL || on == CARRY_ON_NEXT_TEXT;
        if (next && !text.len)
                return true;
        struct chat_block *b = chat_add_block(r->json.arena, p->message, BLOCK_THINKING);
        b->path = json_path_text(r->json.arena, at, NULL);
        b->text = text;
        b->redacted = redacted && on == CARRY_ON_REDACTED;
        if (!next && signature.len) {
                b->signature = signature;
                b->signature_from = from;
        }
        return true;
}

static bool read_thought(struct anthropic_reader *r, struct place *p, json_object *node,
                         const struct json_path *at)
{
        struct str text = {0}, signature = {0};
        if (!json_get_str(&r->json, node, at, "thinking", &text))
                return json_fail(&r->json, at, "thinking", "Field required");
        json_get_str(&r->json, node, at, "signature", &signature);
        return unwrap(r, p, signature.at ? signature : str_of(""), text, false, at);
}

static bool read_redacted(struct anthropic_reader *r, struct place *p, json_object *node,
                          const struct json_path *at)
{
        struct str data;
        if (!json_get_str(&r->json, node, at, "data", &data))
                return json_fail(&r->json, at, "data", "Field required");
        return unwrap(r, p, data, (struct str){0}, true, at);
}

static bool read_call(struct anthropic_reader *r, struct place *p, json_object *node,
                      const struct json_path *at)
{
        static const char *const known[] = {"type", "id", "name", "input", "cache_control", NULL};
        if (p->role != CHAT_ASSISTANT)
                return json_fail(&r->json, at, NULL, "tool_use blocks can only be in assistant messages");
        struct chat_block *b = add(r, p, at, node, BLOCK_TOOL_CALL);
        if (!json_need_string(&r->json, node, at, "id", &b->id) ||
            !json_need_string(&r->json, node, at, "name", &b->name) ||
            !json_need_object(&r->json, node, at, "input", &b->arguments))
                return false;
        keep_others(r, node, b, known);
        b->signature = p->call_signature;
        b->signature_from = p->call_from;
        p->call_signature = (struct str){0};
        p->call_from = DIALECT_NONE;
        remember_call(r, b->id, b->name);
        return true;
}

static bool read_list(struct anthropic_reader *r, struct place *p, json_object *content,
                      const struct json_path *at);

static bool read_result(struct anthropic_reader *r, struct place *p, json_object *node,
                        const struct json_path *at)
{
        static const char *const known[] = {"type",     "tool_use_id",   "content",
                                            "is_error", "cache_control", NULL};
        if (p->role != CHAT_USER)
                return json_fail(&r->json, at, NULL, "tool_result blocks can only be in user messages");
        struct chat_block *b = add(r, p, at, node, BLOCK_TOOL_RESULT);
        if (!json_need_string(&r->json, node, at, "tool_use_id", &b->id))
                return false;
        b->name = find_call(r, b->id);
        json_get_bool(&r->json, node, at, "is_error", &b->is_error);
        keep_others(r, node, b, known);
        json_object *content;
        if (!json_get_any(node, "content", &content))
                return r->json.err->cause == ERR_NONE;
        const struct json_path content_at = {.up = at, .key = "content"};
        struct chat_message inner = {0};
        struct place within = {.message = &inner, .role = p->role, .in_result = true};
        bool ok = read_list(r, &within, content, &content_at);
        b->content = inner.blocks;
        return ok;
}

static const struct {
        const char *type;
        bool (*read)(struct anthropic_reader *r, struct place *p, json_object *node,
                     const struct json_path *at);
        bool in_result; /* may stand inside a tool result */
} readers[] = {
        {"text", read_text, true},
        {"image", read_image, true},
        {"document", read_document, true},
        {"tool_use", read_call, false},
        {"tool_result", read_result, false},
        {"thinking", read_thought, false},
        {"redacted_thinking", read_redacted, false},
};

static bool read_block(struct anthropic_reader *r, struct place *p, json_object *node,
                       const struct json_path *at)
{
        const char *type;
        if (!json_object_is_type(node, json_type_object))
                return json_fail(&r->json, at, NULL, "expected an object, got %s", json_type_text(node));
        if (!json_need_string(&r->json, node, at, "type", &type))
                return false;
        for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
                if (strcmp(readers[i].type, type) != 0)
                        continue;
                if (p->in_result && !readers[i].in_result)
                        return json_fail(&r->json, at, "type", "%s can't stand inside a tool_result", type);
                if (p->role == CHAT_SYSTEM && readers[i].read != read_text)
                        return json_fail(&r->json, at, "type", "only text can stand in a system prompt");
                return readers[i].read(r, p, node, at) && r->json.err->cause == ERR_NONE;
        }
        return read_other(r, p, node, at) && r->json.err->cause == ERR_NONE;
}

static bool read_list(struct anthropic_reader *r, struct place *p, json_object *content,
                      const struct json_path *at)
{
        if (json_object_is_type(content, json_type_string)) {
                struct chat_block *b = chat_add_block(r->json.arena, p->message, BLOCK_TEXT);
                b->path = json_path_text(r->json.arena, at, NULL);
                b->text = (struct str){json_object_get_string(content),
                                       (size_t)json_object_get_string_len(content)};
                return true;
        }
        if (!json_object_is_type(content, json_type_array))
                return json_fail(&r->json, at, NULL, "expected a string or a list of blocks, got %s",
                                 json_type_text(content));
        size_t count = json_object_array_length(content);
        for (size_t i = 0; i < count; i++) {
                const struct json_path item = {.up = at, .index = i};
                if (!read_block(r, p, json_object_array_get_idx(content, i), &item))
                        return false;
        }
        return true;
}

bool anthropic_read_content(struct anthropic_reader *r, json_object *content, const struct json_path *at,
                            struct chat_message *m)
{
        struct place p = {.message = m, .role = m->role};
        return read_list(r, &p, content, at);
}
