/* The same events come out however the bytes are split; the first byte says how. */
#include "base/buf.h"
#include "dialect/sse.h"
#include "fuzz.h"

static void collect(struct sse_parser *p, struct buf *out)
{
        struct sse_event e;
        while (sse_next(p, &e)) {
                buf_addf(out, "[%zu,%zu]", e.name.len, e.data.len);
                buf_add_str(out, e.name);
                buf_add_str(out, e.data);
        }
}

static void run(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
        struct sse_parser *p = sse_new(4096);
        bool ok = true;
        for (size_t at = 0; at < size && ok; at += step) {
                size_t n = size - at < step ? size - at : step;
                char *piece = fuzz_text(data + at, n);
                ok = sse_feed(p, piece, n);
                collect(p, out);
                free(piece);
        }
        struct sse_event e;
        if (ok && sse_end(p, &e)) {
                buf_addf(out, "[end %zu]", e.data.len);
                buf_add_str(out, e.data);
        }
        sse_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2 || size > 4096)
                return 0;
        struct buf whole, split;
        buf_init(&whole, 1 << 22);
        buf_init(&split, 1 << 22);
        run(data + 1, size - 1, size, &whole);
        run(data + 1, size - 1, 1 + data[0] % 7, &split);
        if (whole.len != split.len || (whole.len && memcmp(whole.data, split.data, whole.len) != 0))
                abort();
        buf_release(&whole);
        buf_release(&split);
        return 0;
}
