#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dialect/image.h"

#define BYTES(s) s, sizeof s - 1

static const struct image_case {
        const char *bytes;
        size_t len;
        const char *type;
        uint32_t width, height;
} cases[] = {
        {BYTES("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\2\x80\0\0\1\xe0\x08\2\0\0\0"), "image/png", 640, 480},
        {BYTES("\x89PNG\r\n\x1a\n\0\0\0\x0dJUNK\0\0\2\x80\0\0\1\xe0"), "image/png", 0, 0},
        {BYTES("\x89PNG\r\n\x1a\n"), "image/png", 0, 0},
        {BYTES("GIF89a\x40\1\xc8\0\x80"), "image/gif", 320, 200},
        {BYTES("GIF87a\x01\0\1\0"), "image/gif", 1, 1},
        /* JPEG: an APP0, fill bytes, a progressive frame */
        {BYTES("\xff\xd8\xff\xe0\0\4ab\xff\xff\xff\xc2\0\x11\x08\1\xe0\2\x80\3"), "image/jpeg", 640, 480},
        /* … a Huffman table is no frame */
        {BYTES("\xff\xd8\xff\xc4\0\4ab\xff\xc0\0\x11\x08\0\x10\0\x20\3"), "image/jpeg", 32, 16},
        {BYTES("\xff\xd8\xff\xe0\xff\xff"), "image/jpeg", 0, 0},
        {BYTES("\xff\xd8\xff\xe0\0\0\xff\xc0\0\x11\x08\0\x10\0\x20\3"), "image/jpeg", 0, 0},
        {BYTES("\xff\xd8\xff\xd9\xff\xc0\0\x11\x08\0\x10\0\x20\3"), "image/jpeg", 0, 0},
        {BYTES("RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\1\0\x9d\1\x2a\x80\2\xe0\1\0\0"), "image/webp", 640, 480},
        {BYTES("RIFF\x24\0\0\0WEBPVP8L\x18\0\0\0\x2f\x7f\xc2\x77\0\0\0\0"), "image/webp", 640, 480},
        {BYTES("RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\2\0\xdf\1\0"), "image/webp", 640, 480},
        {BYTES("RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\2\0\xdf\1"), "image/webp", 0, 0},
        {BYTES("BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x80\2\0\0\x20\xfe\xff\xff\1\0"), "image/bmp", 640,
         480},
        {BYTES("BM\x36\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x80\2\xe0\1\1\0"), "image/bmp", 640, 480},
        {BYTES("BMW drivers welcome, all of them"), NULL, 0, 0},
        {BYTES("II*\0\x08\0\0\0\2\0\0\1\3\0\1\0\0\0\x80\2\0\0\1\1\4\0\1\0\0\0\xe0\1\0\0"), "image/tiff", 640,
         480},
        {BYTES("MM\0*\0\0\0\x08\0\2\1\0\0\3\0\0\0\1\2\x80\0\0\1\1\0\3\0\0\0\1\1\xe0\0\0"), "image/tiff", 640,
         480},
        {BYTES("MM\0*\xff\xff\xff\xff"), "image/tiff", 0, 0},
        {BYTES("\0\0\0\x18"
               "ftypavif\0\0\0\0avifmif1"
               "\0\0\0\x44metaXXXX"
               "\0\0\0\x38iprp\0\0\0\x30ipco"
               "\0\0\0\x14ispe\0\0\0\0\0\0\0\x10\0\0\0\x10"
               "\0\0\0\x14ispe\0\0\0\0\0\0\2\x80\0\0\1\xe0"),
         "image/avif", 640, 480},
        {BYTES("\0\0\0\x18"
               "ftypheic\0\0\0\0mif1heic"),
         "image/heic", 0, 0},
        {BYTES("\0\0\0\x18"
               "ftypmif1\0\0\0\0mif1heic"),
         "image/heic", 0, 0},
        {BYTES("\0\0\0\x14"
               "ftypmif1\0\0\0\0mif1heic"),
         "image/heif", 0, 0},
        {BYTES("\0\0\0\x18"
               "ftypisom\0\0\0\0isommp42"),
         NULL, 0, 0},
        {BYTES("\0\0\0\x10"
               "ftypheic\0\0\0\0"),
         "image/heic", 0, 0},
        {BYTES("<svg xmlns='http://www.w3.org/2000/svg'/>"), NULL, 0, 0},
        {BYTES("RIFF\x24\0\0\0AVI LIST"), NULL, 0, 0},
        {BYTES(""), NULL, 0, 0},
};

static void test_identify(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const struct image_case *c = &cases[i];
                struct image_info info;
                print_message("case %zu: %s\n", i, c->type ? c->type : "none");
                assert_int_equal(image_identify(c->bytes, c->len, &info), c->type != NULL);
                if (c->type)
                        assert_string_equal(info.media_type, c->type);
                assert_int_equal(info.width, c->width);
                assert_int_equal(info.height, c->height);
        }
}

/* Cut at every byte, in memory of just that size: a sanitizer sees any read beyond. */
static void test_cut(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                for (size_t len = 0; len < cases[i].len; len++) {
                        char *copy = malloc(len ? len : 1);
                        struct image_info info;
                        memcpy(copy, cases[i].bytes, len);
                        if (image_identify(copy, len, &info))
                                assert_string_equal(info.media_type, media_type_of_bytes(copy, len));
                        free(copy);
                }
        }
}

static void test_other_media(void **state)
{
        (void)state;
        static const struct {
                const char *bytes;
                size_t len;
                const char *type;
        } media[] = {
                {BYTES("%PDF-1.7\n"), "application/pdf"},
                {BYTES("RIFF\0\0\0\0WAVEfmt "), "audio/wav"},
                {BYTES("ID3\4\0"), "audio/mp3"},
                {BYTES("\xff\xfb\x90\x44"), "audio/mp3"},
                {BYTES("GIF89a\1\0\1\0"), "image/gif"},
                {BYTES("plain text"), NULL},
                {BYTES("%PD"), NULL},
        };
        for (size_t i = 0; i < sizeof media / sizeof *media; i++) {
                const char *type = media_type_of_bytes(media[i].bytes, media[i].len);
                struct image_info info;
                if (media[i].type)
                        assert_string_equal(type, media[i].type);
                else
                        assert_null(type);
                assert_int_equal(image_identify(media[i].bytes, media[i].len, &info), type && type[0] == 'i');
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identify),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_other_media),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
