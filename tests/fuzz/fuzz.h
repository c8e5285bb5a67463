/* What every libFuzzer target here shares. */
#ifndef TOLLGATE_TESTS_FUZZ_H
#define TOLLGATE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string of its own, NUL-terminated as the decoders promise, so that a read beyond it is seen.
 */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);
        if (!text)
                abort();
        if (size)
                memcpy(text, data, size);
        text[size] = '\0';
        return text;
}

#endif
