/* Images that a client sent as bytes: are they any? Told before a target is asked, in every dialect alike. */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/image.h"
#include "gateway/exchange.h"

enum { HEAD_BASE64 = 64, HEAD_BYTES = 48 };

/* Types that image_identify() tells by their bytes; of others the target knows more. */
static bool is_known_type(const char *type)
{
        static const char *const known[] = {"image/png", "image/jpeg", "image/jpg", "image/gif",
                                            "image/webp"};
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                if (strcasecmp(type, known[i]) == 0)
                        return true;
        }
        return false;
}

/* Providers want the standard alphabet with its padding; clients may send either, without. */
static void pad(struct arena *a, struct chat_source *s)
{
        bool url = memchr(s->data.at, '-', s->data.len) || memchr(s->data.at, '_', s->data.len);
        size_t missing = (4 - s->data.len % 4) % 4;
        if (!url && !missing)
                return;
        char *copy = arena_alloc(a, s->data.len + missing + 1);
        for (size_t i = 0; i < s->data.len; i++) {
                char c = s->data.at[i];
                copy[i] = c == '-' ? '+' : c == '_' ? '/' : c;
        }
        memset(copy + s->data.len, '=', missing);
        copy[s->data.len + missing] = '\0';
        s->data = (struct str){copy, s->data.len + missing};
}

static bool check_image(struct arena *a, struct chat_block *b, struct err *err)
{
        struct chat_source *s = &b->source;
        struct image_info info;
        struct buf head;
        size_t decoded;
        if (s->kind != SOURCE_BASE64)
                return true;
        if (!s->data.len || !text_base64_valid(s->data.at, s->data.len, &decoded))
                return err_set(err, a, ERR_BAD_REQUEST, b->path, "%s: the image is not base64",
                               b->path ? b->path : "image");
        pad(a, s);
        buf_init(&head, HEAD_BYTES + 16);
        size_t len = s->data.len < HEAD_BASE64 ? s->data.len : HEAD_BASE64;
        bool known = text_base64_decode(&head, s->data.at, len, false) &&
                     image_identify(head.data ? head.data : "", head.len, &info);
        buf_release(&head);
        if (known || (s->media_type && !is_known_type(s->media_type)))
                return true;
        return err_set(err, a, ERR_BAD_REQUEST, b->path, "%s: the bytes are no image",
                       b->path ? b->path : "image");
}

static bool check_blocks(struct arena *a, struct chat_block *blocks, struct err *err)
{
        for (struct chat_block *b = blocks; b; b = b->next) {
                if (b->type == BLOCK_IMAGE && !check_image(a, b, err))
                        return false;
                if (b->content && !check_blocks(a, b->content, err))
                        return false;
        }
        return true;
}

bool images_check(struct arena *a, struct chat_request *r, struct err *err)
{
        for (struct chat_message *m = r->messages; m; m = m->next) {
                if (!check_blocks(a, m->blocks, err))
                        return false;
        }
        return true;
}
