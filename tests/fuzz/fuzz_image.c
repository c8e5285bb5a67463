/* libFuzzer: image_identify and media_type_of_bytes over any bytes agree, and read nothing beyond them. */
#include "fuzz.h"

#include "dialect/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct image_info info;
        bool image = image_identify(data, size, &info);
        const char *type = media_type_of_bytes(data, size);

        if (image && (!type || strcmp(type, info.media_type) != 0))
                abort();
        if (!image && (info.width || info.height || info.media_type))
                abort();
        if ((info.width == 0) != (info.height == 0))
                abort();
        return 0;
}
