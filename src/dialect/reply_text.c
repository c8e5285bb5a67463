#include "dialect/reply_text.h"

#include "base/text.h"

enum { BLOCKS_DEEP = 4 };

/*
 * One table for each struct drives both directions. Members that are zero are left out. Enums are kept as
 * their numbers: who reads wrote it, or the checksum of the file would not be right.
 */
enum kind { KIND_STR, KIND_STRING, KIND_INT, KIND_ENUM, KIND_BOOL, KIND_NODE };

struct member {
        const char *key;
        enum kind kind;
        size_t offset;
        int most; /* KIND_ENUM: it is below this */
};

#define MEMBER(type, of, name)                                                                               \
        {                                                                                                    \
                .key = #name, .kind = of, .offset = offsetof(struct type, name)                              \
        }
#define ENUM(type, name, end)                                                                                \
        {                                                                                                    \
                .key = #name, .kind = KIND_ENUM, .offset = offsetof(struct type, name), .most = end          \
        }
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static const struct member usage_members[] = {
        MEMBER(chat_usage, KIND_BOOL, known),        MEMBER(chat_usage, KIND_BOOL, estimated),
        MEMBER(chat_usage, KIND_INT, input),         MEMBER(chat_usage, KIND_INT, cached),
        MEMBER(chat_usage, KIND_INT, cache_write),   MEMBER(chat_usage, KIND_INT, cache_write_1h),
        MEMBER(chat_usage, KIND_INT, output),        MEMBER(chat_usage, KIND_INT, reasoning),
        MEMBER(chat_usage, KIND_INT, audio_input),   MEMBER(chat_usage, KIND_INT, audio_output),
        MEMBER(chat_usage, KIND_INT, image_input),   MEMBER(chat_usage, KIND_INT, tool_input),
        MEMBER(chat_usage, KIND_INT, reported_pico), ENUM(chat_usage, tier, TIER_FAST + 1),
};

static const struct member source_members[] = {
        ENUM(chat_source, kind, SOURCE_TEXT + 1),
        MEMBER(chat_source, KIND_STRING, media_type),
        MEMBER(chat_source, KIND_STR, data),
        MEMBER(chat_source, KIND_STRING, url),
};

static const struct member citation_members[] = {
        MEMBER(chat_citation, KIND_STRING, url),     MEMBER(chat_citation, KIND_STRING, title),
        MEMBER(chat_citation, KIND_STR, cited_text), MEMBER(chat_citation, KIND_INT, start),
        MEMBER(chat_citation, KIND_INT, end),        MEMBER(chat_citation, KIND_NODE, raw),
        ENUM(chat_citation, raw_dialect, DIALECTS),
};

static const struct member block_members[] = {
        ENUM(chat_block, type, BLOCK_OTHER + 1),      MEMBER(chat_block, KIND_STR, text),
        MEMBER(chat_block, KIND_STRING, detail),      MEMBER(chat_block, KIND_STRING, title),
        MEMBER(chat_block, KIND_STRING, id),          MEMBER(chat_block, KIND_STRING, name),
        MEMBER(chat_block, KIND_NODE, arguments),     MEMBER(chat_block, KIND_STR, arguments_text),
        MEMBER(chat_block, KIND_BOOL, is_error),      MEMBER(chat_block, KIND_BOOL, redacted),
        MEMBER(chat_block, KIND_STR, signature),      ENUM(chat_block, signature_from, DIALECTS),
        MEMBER(chat_block, KIND_NODE, cache_control), MEMBER(chat_block, KIND_NODE, raw),
        ENUM(chat_block, raw_dialect, DIALECTS),
};

static const struct member choice_members[] = {
        MEMBER(chat_choice, KIND_INT, index),         ENUM(chat_choice, finish, FINISH_ERROR + 1),
        MEMBER(chat_choice, KIND_STRING, finish_raw), MEMBER(chat_choice, KIND_STRING, stop_sequence),
        MEMBER(chat_choice, KIND_NODE, stop_details), MEMBER(chat_choice, KIND_NODE, logprobs),
};

static const struct member reply_members[] = {
        MEMBER(chat_reply, KIND_STRING, id),
        MEMBER(chat_reply, KIND_STRING, model),
        MEMBER(chat_reply, KIND_INT, created),
        MEMBER(chat_reply, KIND_STRING, service_tier),
};

/* ---- writing ---- */

static void write_member(struct json_writer *w, const struct member *m, const void *at)
{
        const char *string;
        struct str str;
        int64_t number;
        json_object *node;
        int word;
        bool yes;
        switch (m->kind) {
        case KIND_STR:
                memcpy(&str, at, sizeof str);
                if (str.at)
                        jw_key_str(w, m->key, str);
                break;
        case KIND_STRING:
                memcpy(&string, at, sizeof string);
                if (string)
                        jw_key_string(w, m->key, string);
                break;
        case KIND_INT:
                memcpy(&number, at, sizeof number);
                if (number)
                        jw_key_int(w, m->key, number);
                break;
        case KIND_ENUM:
                memcpy(&word, at, sizeof word);
                if (word)
                        jw_key_int(w, m->key, word);
                break;
        case KIND_BOOL:
                memcpy(&yes, at, sizeof yes);
                if (yes)
                        jw_key_bool(w, m->key, true);
                break;
        case KIND_NODE:
                memcpy(&node, at, sizeof node);
                if (node)
                        jw_key_node(w, m->key, node);
                break;
        }
}

static void write_members(struct json_writer *w, const struct member *members, size_t count, const void *of)
{
        for (size_t i = 0; i < count; i++)
                write_member(w, &members[i], (const char *)of + members[i].offset);
}

static void write_usage(struct json_writer *w, const struct chat_usage *u)
{
        jw_key_object(w, "usage");
        write_members(w, usage_members, COUNT(usage_members), u);
        jw_end(w);
}

static void write_blocks(struct json_writer *w, const char *key, const struct chat_block *blocks, int deep)
{
        if (!blocks || deep == BLOCKS_DEEP)
                return;
        jw_key_array(w, key);
        for (const struct chat_block *b = blocks; b; b = b->next) {
                jw_object(w);
                write_members(w, block_members, COUNT(block_members), b);
                if (b->source.kind) {
                        jw_key_object(w, "source");
                        write_members(w, source_members, COUNT(source_members), &b->source);
                        jw_end(w);
                }
                if (b->citations)
                        jw_key_array(w, "citations");
                for (const struct chat_citation *c = b->citations; c; c = c->next) {
                        jw_object(w);
                        write_members(w, citation_members, COUNT(citation_members), c);
                        jw_end(w);
                }
                if (b->citations)
                        jw_end(w);
                write_blocks(w, "content", b->content, deep + 1);
                jw_end(w);
        }
        jw_end(w);
}

void reply_text_write_chat(struct json_writer *w, const struct chat_reply *reply)
{
        jw_object(w);
        write_members(w, reply_members, COUNT(reply_members), reply);
        write_usage(w, &reply->usage);
        jw_key_array(w, "choices");
        for (const struct chat_choice *c = reply->choices; c; c = c->next) {
                jw_object(w);
                write_members(w, choice_members, COUNT(choice_members), c);
                write_blocks(w, "blocks", c->blocks, 0);
                jw_end(w);
        }
        jw_end(w);
        jw_end(w);
}

void reply_text_write_embed(struct json_writer *w, const struct embed_reply *reply)
{
        struct buf base64;
        buf_init(&base64, SIZE_MAX / 4);
        jw_object(w);
        if (reply->model)
                jw_key_string(w, "model", reply->model);
        write_usage(w, &reply->usage);
        jw_key_array(w, "vectors");
        for (size_t i = 0; i < reply->vector_count; i++) {
                buf_reset(&base64);
                text_base64_encode(&base64, reply->vectors[i].values,
                                   reply->vectors[i].count * sizeof *reply->vectors[i].values);
                jw_str(w, (struct str){base64.data ? base64.data : "", base64.len});
        }
        jw_end(w);
        jw_end(w);
        buf_release(&base64);
}

/* ---- reading ---- */

static bool read_number(json_object *node, int64_t *out)
{
        *out = json_object_get_int64(node);
        return json_object_is_type(node, json_type_int);
}

static bool read_text(json_object *node, struct str *out)
{
        if (!json_object_is_type(node, json_type_string))
                return false;
        *out = (struct str){json_object_get_string(node), (size_t)json_object_get_string_len(node)};
        return true;
}

static bool read_member(const struct member *m, json_object *node, void *to)
{
        struct str str = {0};
        int64_t number = 0;
        int word;
        bool yes;
        switch (m->kind) {
        case KIND_STR:
                if (!read_text(node, &str))
                        return false;
                memcpy(to, &str, sizeof str);
                return true;
        case KIND_STRING:
                if (!read_text(node, &str) || strlen(str.at) != str.len)
                        return false;
                memcpy(to, &str.at, sizeof str.at);
                return true;
        case KIND_INT:
                if (!read_number(node, &number))
                        return false;
                memcpy(to, &number, sizeof number);
                return true;
        case KIND_ENUM:
                if (!read_number(node, &number) || number < 0 || number >= m->most)
                        return false;
                word = (int)number;
                memcpy(to, &word, sizeof word);
                return true;
        case KIND_BOOL:
                if (!json_object_is_type(node, json_type_boolean))
                        return false;
                yes = json_object_get_boolean(node);
                memcpy(to, &yes, sizeof yes);
                return true;
        case KIND_NODE: memcpy(to, &node, sizeof node); return true;
        }
        return false;
}

static bool read_members(const struct member *members, size_t count, json_object *node, void *to)
{
        if (!json_object_is_type(node, json_type_object))
                return false;
        for (size_t i = 0; i < count; i++) {
                json_object *value = json_peek(node, members[i].key);
                if (value && !read_member(&members[i], value, (char *)to + members[i].offset))
                        return false;
        }
        return true;
}

static size_t length_of(json_object *array)
{
        return array ? json_object_array_length(array) : 0;
}

static bool read_citations(struct arena *a, json_object *list, struct chat_block *b)
{
        struct chat_citation **end = &b->citations;
        for (size_t i = 0; i < length_of(list); i++) {
                struct chat_citation *c = arena_alloc(a, sizeof *c);
                if (!read_members(citation_members, COUNT(citation_members),
                                  json_object_array_get_idx(list, i), c))
                        return false;
                *end = c;
                end = &c->next;
        }
        return true;
}

static bool read_blocks(struct arena *a, json_object *list, struct chat_choice *to, int deep)
{
        for (size_t i = 0; i < length_of(list); i++) {
                json_object *node = json_object_array_get_idx(list, i);
                struct chat_block *b = chat_add_reply_block(a, to, BLOCK_TEXT);
                struct chat_choice inner = {0};
                json_object *source = json_peek_object(node, "source");
                if (!read_members(block_members, COUNT(block_members), node, b) ||
                    (source && !read_members(source_members, COUNT(source_members), source, &b->source)) ||
                    !read_citations(a, json_peek_array(node, "citations"), b) || deep == BLOCKS_DEEP ||
                    !read_blocks(a, json_peek_array(node, "content"), &inner, deep + 1))
                        return false;
                b->content = inner.blocks;
        }
        return true;
}

bool reply_text_read_chat(struct arena *a, json_object *node, struct chat_reply *out)
{
        json_object *choices = json_peek_array(node, "choices");
        *out = (struct chat_reply){0};
        if (!choices || !read_members(reply_members, COUNT(reply_members), node, out) ||
            !read_members(usage_members, COUNT(usage_members), json_peek(node, "usage"), &out->usage))
                return false;
        for (size_t i = 0; i < length_of(choices); i++) {
                json_object *choice = json_object_array_get_idx(choices, i);
                struct chat_choice *c = chat_add_choice(a, out);
                if (!read_members(choice_members, COUNT(choice_members), choice, c) ||
                    !read_blocks(a, json_peek_array(choice, "blocks"), c, 0))
                        return false;
        }
        return true;
}

static bool read_vector(struct arena *a, json_object *node, struct embed_vector *out)
{
        struct str text;
        struct buf bytes;
        if (!read_text(node, &text))
                return false;
        buf_init(&bytes, text.len);
        bool ok = !text.len ||
                  (text_base64_decode(&bytes, text.at, text.len, false) && bytes.len % sizeof(float) == 0);
        if (ok) {
                float *values = arena_alloc(a, bytes.len + sizeof *values);
                if (bytes.len)
                        memcpy(values, bytes.data, bytes.len);
                *out = (struct embed_vector){values, bytes.len / sizeof *values};
        }
        buf_release(&bytes);
        return ok;
}

bool reply_text_read_embed(struct arena *a, json_object *node, struct embed_reply *out)
{
        json_object *vectors = json_peek_array(node, "vectors");
        *out = (struct embed_reply){.model = json_peek_string(node, "model")};
        if (!vectors ||
            !read_members(usage_members, COUNT(usage_members), json_peek(node, "usage"), &out->usage))
                return false;
        out->vectors = arena_alloc(a, (length_of(vectors) + 1) * sizeof *out->vectors);
        for (size_t i = 0; i < length_of(vectors); i++) {
                if (!read_vector(a, json_object_array_get_idx(vectors, i), &out->vectors[i]))
                        return false;
                out->vector_count++;
        }
        return true;
}
