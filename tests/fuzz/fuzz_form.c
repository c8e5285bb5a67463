/* Forms of every kind; the first byte picks which. */
#include "dialect/form.h"
#include "dialect/image.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1)
                return 0;
        char *text = fuzz_text(data + 1, size - 1);
        struct str body = {text, size - 1};
        struct arena *a = arena_new();
        struct form_fields fields = {0};
        struct err err = {0};
        struct str utf8;
        struct image_info info;
        switch (data[0] % 6) {
        case 0: form_decode_urlencoded(a, body, NULL, &fields, &err); break;
        case 1: form_decode_urlencoded(a, body, "iso-8859-1", &fields, &err); break;
        case 2: form_decode_multipart(a, body, "multipart/form-data; boundary=X", &fields, &err); break;
        case 3:
                form_header_parameter(a, text, "charset");
                form_media_type(a, text);
                break;
        case 4: form_to_utf8(a, body, "windows-1252", &utf8, &err); break;
        case 5:
                image_identify(text, size - 1, &info);
                media_type_of_bytes(text, size - 1);
                break;
        }
        for (const struct form_field *f = fields.first; f; f = f->next) {
                if (f->value.at && f->value.at[f->value.len] != '\0')
                        abort();
        }
        arena_free(a);
        free(text);
        return 0;
}
