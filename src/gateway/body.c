#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "gateway/request.h"

enum { STEP_BYTES = 64 << 10 };

static bool too_large(struct request *r, const struct config *config, struct err *err)
{
        return err_set(err, r->arena, ERR_TOO_LARGE, NULL, "the body is larger than %lld bytes",
                       (long long)config->max_body);
}

/* -1: not said. False: it is no number. */
static bool said_length(const struct client *c, int64_t *out)
{
        const char *text = client_variable(c, "CONTENT_LENGTH");
        *out = -1;
        /* A chunked body has no length; a server that passes the header on has taken it apart already. */
        if (!text || client_variable(c, "HTTP_TRANSFER_ENCODING"))
                return true;
        size_t digits = strspn(text, "0123456789");
        if (text[digits])
                return false;
        *out = digits > 18 ? INT64_MAX : strtoll(text, NULL, 10);
        return true;
}

static bool take_memory(struct request *r, const struct config *config, struct meter *memory, int64_t more,
                        struct err *err)
{
        if (meter_take(memory, more, config->max_memory)) {
                r->body_taken += more;
                return true;
        }
        err_set(err, r->arena, ERR_OVERLOADED, NULL, "too many bodies and answers in flight; try again");
        err->retry_after_ms = 1000;
        return false;
}

/* Up to `want` bytes, or to the end when want is -1. */
static bool read_all(struct request *r, struct client *c, const struct config *config, struct meter *memory,
                     int64_t want, struct buf *body, struct err *err)
{
        for (;;) {
                size_t room = want >= 0 ? (size_t)want - body->len : STEP_BYTES;
                if (room == 0)
                        return true;
                if (room > STEP_BYTES)
                        room = STEP_BYTES;
                if ((int64_t)(body->len + room) > r->body_taken &&
                    !take_memory(r, config, memory, STEP_BYTES, err))
                        return false;
                if (!buf_reserve(body, room))
                        return too_large(r, config, err);
                long n = client_read(c, body->data + body->len, room);
                if (n < 0)
                        return err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "the body could not be read");
                if (n == 0)
                        return true;
                body->len += (size_t)n;
                body->data[body->len] = '\0';
                if ((int64_t)body->len > config->max_body)
                        return too_large(r, config, err);
        }
}

bool request_read_body(struct request *r, struct client *c, const struct config *config, struct meter *memory,
                       struct err *err)
{
        int64_t want;
        if (!said_length(c, &want))
                return err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "content-length is no number");
        if (want > config->max_body)
                return too_large(r, config, err);
        if (want > 0 && !take_memory(r, config, memory, want, err))
                return false;
        struct buf *body = buf_in_arena(r->arena, (size_t)config->max_body + STEP_BYTES);
        if (want > 0)
                buf_reserve(body, (size_t)want);
        if (!read_all(r, c, config, memory, want, body, err))
                return false;
        if (want >= 0 && (int64_t)body->len < want)
                return err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "the body ended after %zu of %lld bytes",
                               body->len, (long long)want);
        if (!body->len)
                return true;
        r->body = (struct str){body->data, body->len};
        /* What the body becomes is in flight too. */
        size_t tree = json_tree_bytes(body->data, body->len);
        return !tree || take_memory(r, config, memory, (int64_t)tree, err);
}
