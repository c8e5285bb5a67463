#include "dialect/image.h"

#include <string.h>

/* A window on the bytes: reading outside of it gives 0, so that a cut file is one without a size. */
struct view {
        const uint8_t *at;
        size_t len;
};

static struct view view_part(struct view v, size_t from, size_t len)
{
        if (!v.at) /* of a box that is not there */
                return v;
        if (from > v.len)
                from = v.len;
        if (len > v.len - from)
                len = v.len - from;
        return (struct view){v.at + from, len};
}

static uint32_t get(struct view v, size_t at, size_t bytes, bool big)
{
        uint32_t n = 0;
        if (at > v.len || bytes > v.len - at)
                return 0;
        for (size_t i = 0; i < bytes; i++)
                n = n << 8 | v.at[at + (big ? i : bytes - 1 - i)];
        return n;
}

static bool has(struct view v, size_t at, const char *bytes, size_t len)
{
        return at <= v.len && len <= v.len - at && memcmp(v.at + at, bytes, len) == 0;
}

static void size_png(struct view v, struct image_info *out)
{
        if (!has(v, 12, "IHDR", 4))
                return;
        out->width = get(v, 16, 4, true);
        out->height = get(v, 20, 4, true);
}

static void size_gif(struct view v, struct image_info *out)
{
        out->width = get(v, 6, 2, false);
        out->height = get(v, 8, 2, false);
}

/* SOF markers but DHT (C4), JPG (C8) and DAC (CC): ISO 10918-1, table B.1. */
static bool is_frame_marker(uint8_t marker)
{
        return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static void size_jpeg(struct view v, struct image_info *out)
{
        for (size_t at = 2; at + 4 <= v.len;) {
                if (v.at[at] != 0xFF)
                        return;
                uint8_t marker = v.at[at + 1];
                if (marker == 0xFF) { /* fill */
                        at++;
                        continue;
                }
                if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) { /* without a length */
                        at += 2;
                        continue;
                }
                if (is_frame_marker(marker)) {
                        out->height = get(v, at + 5, 2, true);
                        out->width = get(v, at + 7, 2, true);
                        return;
                }
                uint32_t len = get(v, at + 2, 2, true);
                if (len < 2 || marker == 0xD9 || marker == 0xDA)
                        return;
                at += 2 + len;
        }
}

/* RFC 9649 */
static void size_webp(struct view v, struct image_info *out)
{
        if (has(v, 12, "VP8 ", 4) && has(v, 23, "\x9d\x01\x2a", 3)) {
                out->width = get(v, 26, 2, false) & 0x3FFF;
                out->height = get(v, 28, 2, false) & 0x3FFF;
        } else if (has(v, 12, "VP8L", 4) && has(v, 20, "\x2f", 1) && v.len >= 25) {
                uint32_t bits = get(v, 21, 4, false);
                out->width = (bits & 0x3FFF) + 1;
                out->height = (bits >> 14 & 0x3FFF) + 1;
        } else if (has(v, 12, "VP8X", 4) && v.len >= 30) {
                out->width = get(v, 24, 3, false) + 1;
                out->height = get(v, 27, 3, false) + 1;
        }
}

static void size_bmp(struct view v, struct image_info *out)
{
        bool old = get(v, 14, 4, false) == 12;
        out->width = old ? get(v, 18, 2, false) : get(v, 18, 4, false);
        out->height = old ? get(v, 20, 2, false) : get(v, 22, 4, false);
        if (!old && out->height > INT32_MAX) /* written from the top */
                out->height = 0 - out->height;
        if (out->width > INT32_MAX)
                out->width = 0;
}

/* TIFF 6.0, section 2: width and height are short or long entries of the first directory. */
static void size_tiff(struct view v, struct image_info *out)
{
        bool big = v.at[0] == 'M';
        size_t at = get(v, 4, 4, big);
        uint32_t count = get(v, at, 2, big);
        for (uint32_t i = 0; i < count; i++) {
                size_t entry = at + 2 + (size_t)12 * i;
                uint32_t tag = get(v, entry, 2, big);
                uint32_t value = get(v, entry + 8, get(v, entry + 2, 2, big) == 3 ? 2 : 4, big);
                if (entry >= v.len || tag > 257)
                        return;
                if (tag == 256)
                        out->width = value;
                if (tag == 257)
                        out->height = value;
        }
}

/* ISO 14496-12: the box of that name within a box's contents; len 0 and at NULL when there is none. `next`
 * goes on. */
static struct view find_box(struct view in, const char *name, size_t *next)
{
        for (size_t at = *next; at + 8 <= in.len;) {
                uint64_t size = get(in, at, 4, true);
                size_t head = 8;
                if (size == 1) {
                        size = (uint64_t)get(in, at + 8, 4, true) << 32 | get(in, at + 12, 4, true);
                        head = 16;
                }
                if (size == 0 || size > in.len - at)
                        size = in.len - at;
                if (size < head)
                        break;
                *next = at + (size_t)size;
                if (memcmp(in.at + at + 4, name, 4) == 0)
                        return view_part(in, at + head, (size_t)size - head);
                at = *next;
        }
        return (struct view){NULL, 0};
}

/* ISO 23008-12: the largest `ispe` is the image's; smaller ones are its tiles and thumbnails. */
static void size_heif(struct view v, struct image_info *out)
{
        size_t next = 0;
        struct view box = find_box(v, "meta", &next);
        box = view_part(box, 4, box.len); /* version and flags */
        next = 0;
        box = find_box(box, "iprp", &next);
        next = 0;
        box = find_box(box, "ipco", &next);
        next = 0;
        for (struct view size; (size = find_box(box, "ispe", &next)).at;) {
                uint32_t width = get(size, 4, 4, true), height = get(size, 8, 4, true);
                if ((uint64_t)width * height > (uint64_t)out->width * out->height) {
                        out->width = width;
                        out->height = height;
                }
        }
}

static const struct brand_row {
        char brand[5];
        const char *media_type;
} brand_rows[] = {
        {"avif", "image/avif"}, {"avis", "image/avif"}, {"heic", "image/heic"}, {"heix", "image/heic"},
        {"hevc", "image/heic"}, {"hevx", "image/heic"}, {"heim", "image/heic"}, {"heis", "image/heic"},
};

/* The major brand, and then the compatible ones: "mif1" as major says nothing about what is inside. */
static const char *heif_type(struct view v)
{
        size_t end = get(v, 0, 4, true);
        if (!has(v, 4, "ftyp", 4))
                return NULL;
        if (end > v.len)
                end = v.len;
        for (size_t at = 8; at + 4 <= end && at < 256; at += at == 8 ? 8 : 4) {
                for (size_t i = 0; i < sizeof brand_rows / sizeof *brand_rows; i++) {
                        if (has(v, at, brand_rows[i].brand, 4))
                                return brand_rows[i].media_type;
                }
        }
        return has(v, 8, "mif1", 4) || has(v, 8, "msf1", 4) ? "image/heif" : NULL;
}

static const struct magic_row {
        const char *media_type;
        const char *magic, *more; /* more: at byte 8 */
        size_t len;
        void (*size)(struct view v, struct image_info *out); /* NULL: no image */
} magic_rows[] = {
        {"image/png", "\x89PNG\r\n\x1a\n", NULL, 8, size_png},
        {"image/jpeg", "\xff\xd8\xff", NULL, 3, size_jpeg},
        {"image/gif", "GIF87a", NULL, 6, size_gif},
        {"image/gif", "GIF89a", NULL, 6, size_gif},
        {"image/webp", "RIFF", "WEBP", 4, size_webp},
        {"image/tiff", "II*\0", NULL, 4, size_tiff},
        {"image/tiff", "MM\0*", NULL, 4, size_tiff},
        {"application/pdf", "%PDF-", NULL, 5, NULL},
        {"audio/wav", "RIFF", "WAVE", 4, NULL},
        {"audio/mp3", "ID3", NULL, 3, NULL},
        {"audio/mp3", "\xff\xfb", NULL, 2, NULL},
        {"audio/mp3", "\xff\xf3", NULL, 2, NULL},
        {"audio/mp3", "\xff\xf2", NULL, 2, NULL},
};

static const struct magic_row *find_magic(struct view v)
{
        for (size_t i = 0; i < sizeof magic_rows / sizeof *magic_rows; i++) {
                const struct magic_row *row = &magic_rows[i];
                if (has(v, 0, row->magic, row->len) && (!row->more || has(v, 8, row->more, 4)))
                        return row;
        }
        return NULL;
}

/* Two letters are a weak sign: the reserved bytes and the kind of header have to fit. */
static bool is_bmp(struct view v)
{
        uint32_t header = get(v, 14, 4, false);
        return has(v, 0, "BM", 2) && has(v, 6, "\0\0\0\0", 4) &&
               (header == 12 || (header >= 40 && header <= 124));
}

bool image_identify(const void *bytes, size_t len, struct image_info *out)
{
        struct view v = {bytes, len};
        const struct magic_row *row = find_magic(v);

        *out = (struct image_info){.media_type = NULL};
        if (row && row->size) {
                out->media_type = row->media_type;
                row->size(v, out);
        } else if (!row && is_bmp(v)) {
                out->media_type = "image/bmp";
                size_bmp(v, out);
        } else if (!row && (out->media_type = heif_type(v))) {
                size_heif(v, out);
        }
        if (!out->width || !out->height)
                out->width = out->height = 0;
        return out->media_type != NULL;
}

const char *media_type_of_bytes(const void *bytes, size_t len)
{
        struct image_info info;
        if (image_identify(bytes, len, &info))
                return info.media_type;
        const struct magic_row *row = find_magic((struct view){bytes, len});
        return row ? row->media_type : NULL;
}
