#include "dialect/carry.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

enum { MARKER_LEN = sizeof CARRY_MARKER - 1, OVERHEAD = 64 };

/* Names in the envelope: they travel through clients and must not change with the enums. */
static const char *const from_names[DIALECTS] = {
        [DIALECT_OPENAI] = "openai",
        [DIALECT_ANTHROPIC] = "anthropic",
        [DIALECT_GEMINI] = "gemini",
};
static const char *const on_names[] = {
        [CARRY_ON_THINKING] = "thinking",
        [CARRY_ON_REDACTED] = "redacted",
        [CARRY_ON_NEXT_CALL] = "next_call",
        [CARRY_ON_NEXT_TEXT] = "next_text",
};
enum { ON_COUNT = sizeof on_names / sizeof *on_names };

static int name_index(const char *const *names, size_t count, const char *name)
{
        for (size_t i = 0; name && i < count; i++) {
                if (names[i] && strcmp(names[i], name) == 0)
                        return (int)i;
        }
        return -1;
}

struct str carry_wrap(struct arena *a, enum dialect_id from, enum carry_on on, struct str signature)
{
        /* Each byte of the signature takes at most six in JSON, and eight after base64. */
        size_t cap = signature.len > (SIZE_MAX / 16) ? 0 : signature.len * 8 + 4 * OVERHEAD;
        struct buf envelope, out;
        struct json_writer w;
        buf_init(&envelope, cap);
        buf_init(&out, cap);
        json_writer_init(&w, &envelope);
        jw_object(&w);
        jw_key_string(&w, "from", (size_t)from < DIALECTS ? from_names[from] : NULL);
        jw_key_string(&w, "on", (size_t)on < ON_COUNT ? on_names[on] : NULL);
        jw_key_str(&w, "data", signature);
        jw_end(&w);
        /* Spaces in place of '=': nothing is left for a client to strip or to add. */
        while (envelope.len % 3 != 0 && buf_addc(&envelope, ' '))
                ;
        buf_adds(&out, CARRY_MARKER);
        text_base64url_encode(&out, envelope.data, envelope.len);
        struct str wrapped = out.failed ? (struct str){0} : arena_str(a, out.data, out.len);
        buf_release(&envelope);
        buf_release(&out);
        return wrapped;
}

static bool envelope_read(struct arena *a, const struct buf *text, enum dialect_id *from, enum carry_on *on,
                          struct str *signature)
{
        struct err ignored = {0};
        json_object *envelope = json_parse(a, text->data, text->len, JSON_FROM_CLIENT, &ignored);
        int from_index = name_index(from_names, DIALECTS, json_peek_string(envelope, "from"));
        int on_index = name_index(on_names, ON_COUNT, json_peek_string(envelope, "on"));
        struct str data = json_peek_str(envelope, "data");
        if (from_index < 0 || on_index < 0 || !data.at)
                return false;
        *from = (enum dialect_id)from_index;
        *on = (enum carry_on)on_index;
        *signature = arena_str(a, data.at, data.len);
        return true;
}

bool carry_unwrap(struct arena *a, struct str wrapped, enum dialect_id *from, enum carry_on *on,
                  struct str *signature)
{
        if (wrapped.len <= MARKER_LEN || memcmp(wrapped.at, CARRY_MARKER, MARKER_LEN) != 0)
                return false;
        struct buf text;
        buf_init(&text, wrapped.len);
        bool ok = text_base64_decode(&text, wrapped.at + MARKER_LEN, wrapped.len - MARKER_LEN, false) &&
                  envelope_read(a, &text, from, on, signature);
        buf_release(&text);
        return ok;
}

bool carry_present(struct str body)
{
        return body.len >= MARKER_LEN && memmem(body.at, body.len, CARRY_MARKER, MARKER_LEN) != NULL;
}
