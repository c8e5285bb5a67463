/* Any client's bytes: what decodes can be encoded for each provider, as valid JSON. The first byte picks the
 * dialect. */
#include "base/json.h"
#include "dialect/dialect.h"
#include "fuzz.h"

static const struct dialect *const clients[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini,
                                                &dialect_plain};
static const struct dialect *const providers[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini};
static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                    "multipart/form-data; boundary=X", "text/plain"};

static void check_json(const struct buf *b)
{
        struct json_fault fault;
        if (!b->failed && !json_scan(b->data ? b->data : "", b->len, JSON_FROM_CLIENT, &fault) &&
            strncmp(fault.what, "more than", 9) != 0)
                abort();
}

static void encode_all(struct arena *a, const struct chat_request *r)
{
        for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
                struct wire_request wire = {.method = "POST"};
                struct wire_target target = {.model = "m"};
                struct err err = {0};
                buf_init(&wire.body, 1 << 22);
                if (providers[i]->encode_chat_request(a, r, &target, &wire, &err))
                        check_json(&wire.body);
                else if (err.cause == ERR_NONE)
                        abort();
                buf_release(&wire.body);
        }
}

static void embed_all(struct arena *a, const struct embed_request *r)
{
        for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
                struct wire_request wire = {.method = "POST"};
                struct wire_target target = {.model = "m"};
                struct err err = {0};
                if (!providers[i]->encode_embed_request)
                        continue;
                buf_init(&wire.body, 1 << 22);
                if (providers[i]->encode_embed_request(a, r, &target, &wire, &err))
                        check_json(&wire.body);
                buf_release(&wire.body);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1)
                return 0;
        const struct dialect *d = clients[data[0] & 3];
        char *text = fuzz_text(data + 1, size - 1);
        struct arena *a = arena_new();
        struct form_fields query = {0};
        struct client_input in = {
                .arena = a,
                .body = {text, size - 1},
                .content_type = types[d == &dialect_plain ? data[0] >> 2 & 3 : 0],
                .path_model = d == &dialect_gemini ? "m" : NULL,
                .path_stream = data[0] & 16,
                .path_batch = data[0] & 64,
                .query = &query,
        };
        struct err err = {0};
        if (data[0] & 32 && d->decode_embed_request) {
                struct embed_request r = {0};
                if (d->decode_embed_request(&in, &r, &err))
                        embed_all(a, &r);
                else if (err.cause == ERR_NONE)
                        abort();
        } else {
                struct chat_request r = {0};
                if (d->decode_chat_request(&in, &r, &err))
                        encode_all(a, &r);
                else if (err.cause == ERR_NONE)
                        abort();
        }
        arena_free(a);
        free(text);
        return 0;
}
