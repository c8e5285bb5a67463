#include "dialect/gemini.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static const char *media_type(struct arena *a, const char *given)
{
        static const struct {
                const char *from, *to;
        } same[] = {{"audio/x-wav", "audio/wav"},
                    {"audio/wave", "audio/wav"},
                    {"audio/vnd.wave", "audio/wav"},
                    {"audio/mpeg", "audio/mp3"},
                    {"image/jpg", "image/jpeg"}};
        char *type = arena_strndup(a, given, strcspn(given, "; "));
        for (char *c = type; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
                if (strcmp(same[i].from, type) == 0)
                        return same[i].to;
        }
        return type;
}

/* BLOCK_OTHER: none that the canonical form knows (video). */
static enum chat_block_type media_block(const char *type)
{
        if (!type)
                return BLOCK_OTHER;
        if (strncmp(type, "image/", 6) == 0)
                return BLOCK_IMAGE;
        if (strncmp(type, "audio/", 6) == 0)
                return BLOCK_AUDIO;
        if (strncmp(type, "text/", 5) == 0 || strcmp(type, "application/pdf") == 0)
                return BLOCK_DOCUMENT;
        return BLOCK_OTHER;
}

/* Standard base64 with its padding, whatever alphabet a client wrote (the Python SDK writes the one for
 * URLs). */
static bool standard_base64(struct arena *a, struct str in, struct str *out)
{
        size_t decoded = 0;
        if (!text_base64_valid(in.at, in.len, &decoded) || decoded == 0)
                return false;
        *out = in;
        if (in.len % 4 == 0 && !memchr(in.at, '-', in.len) && !memchr(in.at, '_', in.len))
                return true;
        struct buf bytes, text;
        buf_init(&bytes, decoded + 4);
        buf_init(&text, in.len + 8);
        bool ok = text_base64_decode(&bytes, in.at, in.len, false);
        if (ok) {
                text_base64_encode(&text, bytes.data, bytes.len);
                *out = arena_str(a, text.data, text.len);
        }
        buf_release(&bytes);
        buf_release(&text);
        return ok;
}

static const char *detail_of(struct gemini_part *p)
{
        static const struct {
                const char *level, *detail;
        } rows[] = {{"MEDIA_RESOLUTION_LOW", "low"},
                    {"MEDIA_RESOLUTION_MEDIUM", "auto"},
                    {"MEDIA_RESOLUTION_HIGH", "high"},
                    {"MEDIA_RESOLUTION_ULTRA_HIGH", "original"}};
        json_object *resolution = NULL;
        const char *level = NULL;
        if (!gemini_get_object(&p->d->r, p->node, p->at, "mediaResolution", &resolution) ||
            !gemini_get_string(&p->d->r, resolution, p->at, "level", &level))
                return NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                if (strcmp(rows[i].level, level) == 0)
                        return rows[i].detail;
        }
        return NULL;
}

static void add_media(struct gemini_part *p, enum chat_block_type type, const struct chat_source *source,
                      const char *title)
{
        if (type == BLOCK_OTHER) {
                gemini_add_other(p);
                return;
        }
        struct chat_block *b = gemini_add_block(p, type);
        struct gemini_signature s = gemini_read_signature(p);
        b->source = *source;
        b->title = title;
        b->detail = type == BLOCK_IMAGE ? detail_of(p) : NULL;
        gemini_sign(b, &s);
}

void gemini_decode_inline(struct gemini_part *p)
{
        struct gemini_decode *d = p->d;
        json_object *blob = NULL;
        const char *type = NULL, *title = NULL;
        struct str data = {0};
        if (!json_get_object(&d->r, p->node, p->at, p->key, &blob))
                return;
        struct json_path at = {.up = p->at, .key = p->key};
        if (!gemini_get_string(&d->r, blob, &at, "mimeType", &type)) {
                json_fail(&d->r, &at, "mimeType", "is missing");
                return;
        }
        gemini_get_string(&d->r, blob, &at, "displayName", &title);
        if (!gemini_get_str(&d->r, blob, &at, "data", &data)) {
                json_fail(&d->r, &at, "data", "is missing");
                return;
        }
        struct chat_source source = {.kind = SOURCE_BASE64, .media_type = media_type(d->arena, type)};
        if (!standard_base64(d->arena, data, &source.data)) {
                json_fail(&d->r, &at, "data", "is no base64");
                return;
        }
        add_media(p, media_block(source.media_type), &source, title);
}

static bool is_web_url(const char *uri)
{
        return strncasecmp(uri, "https://", 8) == 0 || strncasecmp(uri, "http://", 7) == 0;
}

/* Addresses that mean something to Google alone: an upload, however its host is written, or a video that it
 * watches itself. */
static bool is_upload(const char *uri)
{
        static const char host[] = "generativelanguage.googleapis.com";
        size_t len = sizeof host - 1;
        if (!is_web_url(uri))
                return true;
        const char *at = strstr(uri, "://") + 3;
        const char *end = at + strcspn(at, "/?#\\"), *user = memrchr(at, '@', (size_t)(end - at));
        at = user ? user + 1 : at;
        return (size_t)(end - at) >= len && strncasecmp(at, host, len) == 0 &&
               (at + len == end || at[len] == ':' || at[len] == '.');
}

static bool is_video_page(const char *uri)
{
        static const char *const hosts[] = {"https://www.youtube.com/", "https://youtube.com/",
                                            "https://youtu.be/", "https://m.youtube.com/",
                                            "http://www.youtube.com/"};
        for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
                if (strncasecmp(uri, hosts[i], strlen(hosts[i])) == 0)
                        return true;
        }
        return false;
}

void gemini_decode_file(struct gemini_part *p)
{
        struct gemini_decode *d = p->d;
        json_object *file = NULL;
        const char *type = NULL, *uri = NULL;
        if (!json_get_object(&d->r, p->node, p->at, p->key, &file))
                return;
        struct json_path at = {.up = p->at, .key = p->key};
        gemini_get_string(&d->r, file, &at, "mimeType", &type);
        if (!gemini_get_string(&d->r, file, &at, "fileUri", &uri)) {
                json_fail(&d->r, &at, "fileUri", "is missing");
                return;
        }
        type = type ? media_type(d->arena, type) : NULL;
        enum chat_block_type block = media_block(type);
        if (is_video_page(uri))
                block = BLOCK_OTHER;
        else if (!type && is_web_url(uri) && !is_upload(uri))
                block = BLOCK_IMAGE;
        struct chat_source source = {
                .kind = is_upload(uri) ? SOURCE_FILE_ID : SOURCE_URL,
                .media_type = type,
                .url = uri,
        };
        add_media(p, block, &source, NULL);
}
