#include "dialect/image_check.h"

#include <string.h>

#include "base/text.h"
#include "dialect/image.h"

/* Of a file's beginning, all that its type is told from: 4 characters of base64 are 3 bytes. */
enum { HEAD_CHARACTERS = 4096, HEAD_BYTES = HEAD_CHARACTERS / 4 * 3 };

static bool is_standard(struct str data)
{
        size_t len = data.len;
        if (len == 0 || len % 4 != 0)
                return false;
        len -= data.at[len - 1] == '=';
        len -= data.at[len - 1] == '=';
        for (size_t i = 0; i < len; i++) {
                char c = data.at[i];
                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '+' || c == '/'))
                        return false;
        }
        return true;
}

static bool write_anew(struct arena *a, struct str *data)
{
        struct buf bytes, *out = buf_in_arena(a, data->len + 8);
        buf_init(&bytes, data->len + 4);
        bool ok = text_base64_decode(&bytes, data->at, data->len, false) && bytes.len;
        if (ok)
                text_base64_encode(out, bytes.data, bytes.len);
        buf_release(&bytes);
        if (ok)
                *data = (struct str){out->data, out->len};
        return ok && !out->failed;
}

static const char *type_of(struct str data)
{
        struct buf head;
        size_t len = data.len < HEAD_CHARACTERS ? data.len : HEAD_CHARACTERS;
        buf_init(&head, HEAD_BYTES + 4);
        const char *type = NULL;
        if (text_base64_decode(&head, data.at, len, false))
                type = media_type_of_bytes(head.data, head.len);
        buf_release(&head);
        return type;
}

static bool check_block(struct arena *a, enum dialect_id from, struct chat_block *b, const char *path,
                        struct err *err)
{
        struct chat_source *s = &b->source;
        if (s->kind != SOURCE_BASE64)
                return true;
        if (!is_standard(s->data) && (from != DIALECT_GEMINI || !write_anew(a, &s->data)))
                return err_set(err, a, ERR_BAD_REQUEST, path, "%s: not valid base64", path);
        if (b->type != BLOCK_IMAGE)
                return true;
        const char *type = type_of(s->data);
        if (!type || strncmp(type, "image/", 6) != 0)
                return err_set(err, a, ERR_BAD_REQUEST, path,
                               "%s: not an image (its bytes are of no type known here)", path);
        s->media_type = type;
        return true;
}

/* Tool results hold blocks, and those hold none. */
bool image_check_request(struct arena *a, struct chat_request *r, struct err *err)
{
        for (struct chat_message *m = r->messages; m; m = m->next) {
                for (struct chat_block *b = m->blocks; b; b = b->next) {
                        const char *path = b->path ? b->path : m->path ? m->path : "messages";
                        if (!check_block(a, r->from, b, path, err))
                                return false;
                        for (struct chat_block *c = b->content; c; c = c->next) {
                                if (!check_block(a, r->from, c, c->path ? c->path : path, err))
                                        return false;
                        }
                }
        }
        return true;
}
