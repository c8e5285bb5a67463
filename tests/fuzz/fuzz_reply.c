/* Any provider's bytes, in one piece or as a stream: every client dialect can tell what came of it. */
#include "base/json.h"
#include "dialect/dialect.h"
#include "fuzz.h"

static const struct dialect *const providers[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini};
static const struct dialect *const clients[] = {&dialect_openai, &dialect_anthropic, &dialect_gemini,
                                                &dialect_plain};

static void check_json(const struct buf *b)
{
        struct json_fault fault;
        if (!b->failed && !json_scan(b->data ? b->data : "", b->len, JSON_FROM_CLIENT, &fault) &&
            strncmp(fault.what, "more than", 9) != 0)
                abort();
}

static void whole(struct arena *a, const struct dialect *from, const struct dialect *to, struct str body)
{
        struct chat_reply reply = {0};
        struct upstream_fault fault = {0};
        struct answer_context c = {
                .arena = a, .format = ANSWER_JSON, .request_id = "r", .model_asked = "m", .id_seed = "s"};
        struct buf out;
        if (!from->decode_chat_reply(a, body, &reply, &fault)) {
                if (fault.kind == FAULT_NONE)
                        abort();
                from->decode_error(a, 400, body, &fault);
                return;
        }
        buf_init(&out, 1 << 22);
        to->encode_chat_reply(&c, &reply, &out);
        check_json(&out);
        buf_release(&out);
}

static bool deliver(const struct chat_events *events, const struct dialect *to, void *encoder,
                    struct buf *out)
{
        for (const struct chat_event *e = events->first; e; e = e->next) {
                if (e->type == EVENT_ERROR || e->type == EVENT_END) {
                        if (e->next)
                                abort(); /* nothing comes after the last */
                        if (e->type == EVENT_END)
                                to->encode_event(encoder, e, out);
                        return false;
                }
                to->encode_event(encoder, e, out);
        }
        return true;
}

static void stream(struct arena *a, const struct dialect *from, const struct dialect *to, struct str body)
{
        struct chat_request request = {.stream = true};
        struct answer_context c = {
                .arena = a, .format = ANSWER_SSE, .request_id = "r", .model_asked = "m", .id_seed = "s"};
        struct sse_parser *p = sse_new(1 << 20);
        struct arena *scratch = arena_new();
        void *decoder = from->decoder_new(a, &request), *encoder = to->encoder_new(&c);
        struct sse_event wire;
        struct buf out;
        bool more = sse_feed(p, body.at, body.len);
        buf_init(&out, 1 << 22);
        while (more && sse_next(p, &wire)) {
                arena_reset(scratch);
                struct chat_events events = {.arena = scratch};
                from->decode_event(decoder, &wire, &events);
                more = deliver(&events, to, encoder, &out);
        }
        if (more) {
                arena_reset(scratch);
                struct chat_events events = {.arena = scratch};
                from->decode_end(decoder, sse_stray(p), &events);
                if (deliver(&events, to, encoder, &out))
                        abort(); /* an ended stream is either whole or broken */
        }
        buf_release(&out);
        arena_free(scratch);
        sse_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 1)
                return 0;
        const struct dialect *from = providers[data[0] % 3], *to = clients[data[0] / 3 % 4];
        char *text = fuzz_text(data + 1, size - 1);
        struct arena *a = arena_new();
        struct str body = {text, size - 1};
        if (data[0] & 128) {
                whole(a, from, to, body);
        } else {
                stream(a, from, to, body);
        }
        arena_free(a);
        free(text);
        return 0;
}
