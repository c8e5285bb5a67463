#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/image.h"
#include "dialect/plain_internal.h"

enum { URL_MAX = 8192 };

static bool bad(struct arena *a, struct err *err, const char *path, const char *what)
{
        return err_set(err, a, ERR_BAD_REQUEST, path, "%s: %s", path, what);
}

/* ---- images ---- */

static bool source_from_bytes(struct arena *a, struct str bytes, const char *path, struct chat_source *out,
                              struct err *err)
{
        const char *type = media_type_of_bytes(bytes.at, bytes.len);
        if (!type || strncmp(type, "image/", 6) != 0)
                return bad(a, err, path,
                           bytes.len ? "not an image (its bytes are of no type known here)" : "empty");
        struct buf *b = buf_in_arena(a, bytes.len / 3 * 4 + 8);
        text_base64_encode(b, bytes.at, bytes.len);
        *out = (struct chat_source){.kind = SOURCE_BASE64, .media_type = type, .data = {b->data, b->len}};
        return true;
}

/* Forms turn the '+' of base64 that was not percent-encoded into a space: it is taken as what it was. */
static bool source_from_base64(struct arena *a, struct str text, const char *path, struct chat_source *out,
                               struct err *err)
{
        struct buf bytes;
        char *copy = arena_strndup(a, text.at, text.len);
        for (char *c = copy; *c; c++)
                *c = (char)(*c == ' ' ? '+' : *c);
        buf_init(&bytes, text.len + 4);
        bool ok = strlen(copy) == text.len && text_base64_decode(&bytes, copy, text.len, true);
        if (ok)
                ok = source_from_bytes(a, (struct str){bytes.data ? bytes.data : "", bytes.len}, path, out,
                                       err);
        else
                bad(a, err, path, "neither an http(s) URL, nor a data URL, nor base64 of an image");
        buf_release(&bytes);
        return ok;
}

static bool source_from_data_url(struct arena *a, struct str url, const char *path, struct chat_source *out,
                                 struct err *err)
{
        static const char mark[] = ";base64";
        const char *comma = memchr(url.at, ',', url.len);
        size_t head = comma ? (size_t)(comma - url.at) : 0, len = sizeof mark - 1;
        if (head < len || strncasecmp(comma - len, mark, len) != 0)
                return bad(a, err, path, "a data URL of an image needs ;base64, and data behind it");
        return source_from_base64(a, (struct str){comma + 1, url.len - head - 1}, path, out, err);
}

static bool has_prefix(struct str s, const char *prefix)
{
        return s.len >= strlen(prefix) && strncasecmp(s.at, prefix, strlen(prefix)) == 0;
}

static bool make_source(struct arena *a, const struct plain_item *item, struct chat_source *out,
                        struct err *err)
{
        struct str v = item->value;
        if (item->is_file)
                return source_from_bytes(a, v, item->path, out, err);
        if (has_prefix(v, "data:"))
                return source_from_data_url(a, v, item->path, out, err);
        if (!has_prefix(v, "http://") && !has_prefix(v, "https://"))
                return source_from_base64(a, v, item->path, out, err);
        if (v.len > URL_MAX || strlen(v.at) != v.len || !text_header_safe(v.at) || strchr(v.at, ' '))
                return bad(a, err, item->path, "not a valid URL");
        *out = (struct chat_source){.kind = SOURCE_URL, .url = v.at};
        return true;
}

/* ---- chat ---- */

/* The openai decoder reads the messages, so that its rules and its paths are the same here. */
static bool decode_messages(const struct client_input *in, const struct plain_values *v,
                            struct chat_request *out, struct err *err)
{
        struct buf *body = buf_in_arena(in->arena, v->messages.len + 64);
        buf_adds(body, "{\"model\":\"plain\",\"messages\":");
        buf_add_str(body, v->messages);
        buf_addc(body, '}');
        struct client_input openai = *in;
        openai.body = (struct str){body->data, body->len};
        openai.content_type = "application/json";
        return dialect_openai.decode_chat_request(&openai, out, err);
}

static void add_system(struct arena *a, struct chat_request *r, struct str text)
{
        struct chat_message *first = r->messages, *last = r->last_message;
        r->messages = r->last_message = NULL;
        struct chat_message *m = chat_add_message(a, r, CHAT_SYSTEM);
        m->path = "system";
        struct chat_block *b = chat_add_block(a, m, BLOCK_TEXT);
        b->path = "system";
        b->text = text;
        m->next = first;
        r->last_message = first ? last : m;
}

static bool add_prompt(struct arena *a, struct chat_request *r, const struct plain_values *v, struct err *err)
{
        if (v->prompt.len == 0 && !v->images.count)
                return bad(a, err, "prompt", "missing");
        struct chat_message *m = chat_add_message(a, r, CHAT_USER);
        m->path = "prompt";
        for (const struct plain_item *item = v->images.first; item; item = item->next) {
                struct chat_block *b = chat_add_block(a, m, BLOCK_IMAGE);
                b->path = item->path;
                if (!make_source(a, item, &b->source, err))
                        return false;
        }
        if (v->prompt.len) {
                struct chat_block *b = chat_add_block(a, m, BLOCK_TEXT);
                b->path = "prompt";
                b->text = v->prompt;
        }
        return true;
}

static bool has_image(const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_IMAGE)
                                return true;
                }
        }
        return false;
}

bool plain_decode_chat(const struct client_input *in, struct chat_request *out, struct err *err)
{
        struct plain_values v;
        struct arena *a = in->arena;
        *out = (struct chat_request){0};
        if (!plain_read(in, PLAIN_CHAT, &v, err))
                return false;
        if (v.messages.at && (v.prompt.at || v.images.count))
                return bad(a, err, "messages",
                           v.prompt.at ? "given together with prompt; one of them is enough"
                                       : "given together with image; put the image into them");
        if (v.messages.at ? !decode_messages(in, &v, out, err) : !add_prompt(a, out, &v, err))
                return false;
        if (v.system.len)
                add_system(a, out, v.system);
        if (in->want_image && !has_image(out))
                return bad(a, err, "image", "missing (vision needs at least one)");
        out->from = DIALECT_PLAIN;
        out->model = v.model && *v.model ? v.model : NULL;
        out->max_tokens = v.max_tokens;
        out->temperature = v.temperature;
        out->stream = v.stream == TRI_YES || plain_accepted(in->accept) == ANSWER_SSE;
        return true;
}

/* ---- embed ---- */

bool plain_decode_embed(const struct client_input *in, struct embed_request *out, struct err *err)
{
        struct plain_values v;
        struct arena *a = in->arena;
        *out = (struct embed_request){0};
        if (!plain_read(in, PLAIN_EMBED, &v, err))
                return false;
        if (!v.inputs.count)
                return bad(a, err, "input", v.inputs.is_list ? "an empty list" : "missing");
        for (const struct plain_item *item = v.inputs.first; item; item = item->next) {
                if (item->value.len == 0)
                        return bad(a, err, item->path, "empty");
                struct embed_input *input = embed_add_input(a, out);
                input->text = item->value;
                input->path = item->path;
        }
        out->from = DIALECT_PLAIN;
        out->model = v.model && *v.model ? v.model : NULL;
        out->single = !v.inputs.is_list;
        out->dimensions = v.dimensions;
        return true;
}
