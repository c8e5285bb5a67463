/* What an image is, told from its bytes and never from what a header claims: PNG, JPEG, GIF, WebP, BMP, TIFF,
 * HEIC, AVIF. */
#ifndef TOLLGATE_DIALECT_IMAGE_H
#define TOLLGATE_DIALECT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct image_info {
        const char *media_type; /* static: "image/png" */
        uint32_t width, height; /* 0: not found */
};

/* False: no image we know. Reads only within len; a cut or hostile file is fine. */
bool image_identify(const void *bytes, size_t len, struct image_info *out);
/* The same from base64 text, standard or of URLs, of which only the beginning is decoded, and of a JPEG what
 * leads to its size. Allocates nothing. */
bool image_identify_base64(struct str text, struct image_info *out);
/* Also "application/pdf" by its magic; NULL when unknown. */
const char *media_type_of_bytes(const void *bytes, size_t len);

#endif
