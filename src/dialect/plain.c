#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dialect/plain_internal.h"

/* ---- Accept (RFC 9110, 12.5.1) ---- */

static const struct {
        const char *type, *range; /* the type, and the range of its kind that stands for it */
        enum answer_format format;
} offers[] = {
        {"application/json", "application/*", ANSWER_JSON},
        {"text/plain", "text/*", ANSWER_TEXT},
        {"text/event-stream", NULL, ANSWER_SSE},
        {"text/html", NULL, ANSWER_HTML},
};

enum { OFFERS = sizeof offers / sizeof *offers, ACCEPT_MAX = 4096 };

/* How exactly the range names the offer: 3 the type itself, 2 its kind, 1 anything (for the default only), 0
 * not. */
static int match_offer(const char *range, size_t len, size_t offer)
{
        if (len == strlen(offers[offer].type) && strncasecmp(range, offers[offer].type, len) == 0)
                return 3;
        if (offers[offer].range && len == strlen(offers[offer].range) &&
            strncasecmp(range, offers[offer].range, len) == 0)
                return 2;
        return len == 3 && memcmp(range, "*/*", 3) == 0 && offers[offer].format == ANSWER_JSON;
}

/* The weight in thousandths of the parameters at s, up to end. */
static int quality(const char *s, const char *end)
{
        for (; s < end; s++) {
                if (*s != ';')
                        continue;
                do
                        s++;
                while (s < end && (*s == ' ' || *s == '\t'));
                if (end - s < 3 || (*s != 'q' && *s != 'Q') || s[1] != '=')
                        continue;
                int q = s[2] == '1' ? 1000 : 0, unit = 100;
                if (q || s[2] != '0' || end - s < 4 || s[3] != '.')
                        return q;
                for (const char *d = s + 4; d < end && *d >= '0' && *d <= '9' && unit; d++, unit /= 10)
                        q += (*d - '0') * unit;
                return q;
        }
        return 1000;
}

enum answer_format plain_accepted(const char *accept)
{
        int exact[OFFERS] = {0}, weight[OFFERS] = {0};
        if (!accept || strlen(accept) > ACCEPT_MAX)
                return ANSWER_JSON;
        while (*accept) {
                accept += strspn(accept, " \t,");
                const char *end = accept + strcspn(accept, ",");
                size_t len = strcspn(accept, ",; \t");
                for (size_t i = 0; len && i < OFFERS; i++) {
                        int match = match_offer(accept, len, i);
                        if (match > exact[i]) {
                                exact[i] = match;
                                weight[i] = quality(accept + len, end);
                        }
                }
                accept = end;
        }
        size_t best = 0;
        for (size_t i = 1; i < OFFERS; i++) {
                if (weight[i] > weight[best] ||
                    (weight[i] && weight[i] == weight[best] && exact[i] > exact[best]))
                        best = i;
        }
        return weight[best] ? offers[best].format : ANSWER_JSON;
}

static enum answer_format answer_format(const struct client_input *in, bool stream)
{
        return stream ? ANSWER_SSE : plain_accepted(in->accept);
}

static const char *content_type(enum answer_format format)
{
        switch (format) {
        case ANSWER_SSE: return "text/event-stream";
        case ANSWER_TEXT: return "text/plain; charset=utf-8";
        case ANSWER_HTML: return "text/html; charset=utf-8";
        default: return "application/json";
        }
}

const struct dialect dialect_plain = {
        .id = DIALECT_PLAIN,
        .name = "plain",
        .fields =
                {
                        [FIELD_MODEL] = {{"model"}},
                        [FIELD_MESSAGES] = {{"messages"}},
                        [FIELD_SYSTEM] = {{"system"}},
                        [FIELD_MAX_TOKENS] = {{"max_tokens"}},
                        [FIELD_TEMPERATURE] = {{"temperature"}},
                        [FIELD_STREAM] = {{"stream"}},
                        [FIELD_DIMENSIONS] = {{"dimensions"}},
                        [FIELD_INPUT] = {{"input"}},
                },
        .decode_chat_request = plain_decode_chat,
        .decode_embed_request = plain_decode_embed,
        .answer_format = answer_format,
        .encode_chat_reply = plain_encode_chat,
        .encode_embed_reply = plain_encode_embed,
        .encode_error = plain_encode_error,
        .encoder_new = plain_encoder_new,
        .encode_event = plain_encode_event,
        .encode_stream_error = plain_encode_stream_error,
        .encode_keepalive = plain_encode_keepalive,
        .content_type = content_type,
};
