/* What an image is, from its base64 text: only as much is decoded as tells it. */
#include "dialect/image.h"

#include <string.h>

/* Enough for all but a JPEG, whose size stands behind whatever a camera wrote before it. */
enum { HEAD_BYTES = 4096, SEGMENT_BYTES = 16, SEGMENTS_MAX = 1000 };

static int value_of(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        return c == '/' || c == '_' ? 63 : -1;
}

/* Up to `max` bytes from the byte `from` on; fewer where the text ends or is no base64. */
static size_t decode_at(struct str text, size_t from, uint8_t *out, size_t max)
{
        size_t at = from / 3 * 4, skip = from % 3, count = 0;
        uint32_t bits = 0;
        for (unsigned have = 0; at < text.len && count < max; at++) {
                int value = value_of(text.at[at]);
                if (value < 0)
                        break;
                bits = bits << 6 | (uint32_t)value;
                have += 6;
                if (have < 8)
                        continue;
                have -= 8;
                if (skip)
                        skip--;
                else
                        out[count++] = (uint8_t)(bits >> have);
        }
        return count;
}

/* Where the segment behind the one at `at` begins; 0: there is none. */
static size_t next_segment(const uint8_t *segment, size_t len, size_t at)
{
        if (len < 4 || segment[0] != 0xFF || segment[1] == 0xD9 || segment[1] == 0xDA)
                return 0;
        if (segment[1] == 0xFF)
                return at + 1;
        if (segment[1] == 0x01 || (segment[1] >= 0xD0 && segment[1] <= 0xD8))
                return at + 2;
        size_t size = (size_t)segment[2] << 8 | segment[3];
        return size < 2 ? 0 : at + 2 + size;
}

/* Each segment is shown as if it were the first of a file. */
static void find_jpeg_size(struct str text, struct image_info *out)
{
        uint8_t file[2 + SEGMENT_BYTES] = {0xFF, 0xD8};
        size_t at = 2;
        for (int i = 0; i < SEGMENTS_MAX && at && !out->width; i++) {
                size_t len = decode_at(text, at, file + 2, SEGMENT_BYTES);
                if (!image_identify(file, 2 + len, out))
                        out->media_type = "image/jpeg";
                at = next_segment(file + 2, len, at);
        }
}

bool image_identify_base64(struct str text, struct image_info *out)
{
        uint8_t head[HEAD_BYTES];
        size_t len = decode_at(text, 0, head, sizeof head);
        if (!image_identify(head, len, out))
                return false;
        if (!out->width && strcmp(out->media_type, "image/jpeg") == 0)
                find_jpeg_size(text, out);
        return true;
}
