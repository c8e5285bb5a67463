#include <string.h>

#include "base/text.h"
#include "relay/attempt.h"

static const char removed[] = "[removed]";

/* How keys of the three vendors and of the gateway itself begin; what follows is as long as key characters go
 * on. */
static const char *const prefixes[] = {"sk-", "AIza", "tg-", "Bearer ", "gsk_", "xai-"};

static bool is_key_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("-_.*", c));
}

/* Length of something at `at` that looks like a key, or 0. */
static size_t looks_like_key(const char *at)
{
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
                size_t head = strlen(prefixes[i]), len = head;
                if (strncmp(at, prefixes[i], head) != 0)
                        continue;
                while (is_key_char(at[len]))
                        len++;
                if (len >= head + 6)
                        return len;
        }
        return 0;
}

static size_t begins_with(const char *at, const char *secret, size_t least)
{
        size_t len = secret ? strlen(secret) : 0;
        return len >= least && strncmp(at, secret, len) == 0 ? len : 0;
}

/* Headers of the configuration carry secrets too: some vendors want theirs there. Short ones are words. */
static size_t known_key(const struct config *c, const char *at)
{
        enum { KEY_LEAST = 6, HEADER_LEAST = 12 };
        for (size_t i = 0; i < c->provider_count; i++) {
                const struct config_provider *p = &c->providers[i];
                size_t len = begins_with(at, p->key, KEY_LEAST);
                for (size_t k = 0; k < p->header_count && !len; k++)
                        len = begins_with(at, p->headers[k].value, HEADER_LEAST);
                if (len)
                        return len;
        }
        return 0;
}

const char *scrub_text(struct arena *a, const struct config *c, const char *text)
{
        if (!text)
                return NULL;
        struct buf out;
        buf_init(&out, 8192);
        for (const char *at = text; *at && !out.failed;) {
                size_t len = known_key(c, at);
                if (!len && (at == text || !is_key_char(at[-1])))
                        len = looks_like_key(at);
                if (len)
                        buf_adds(&out, removed);
                else
                        buf_addc(&out, *at);
                at += len ? len : 1;
        }
        char *copy = arena_strndup(a, out.data ? out.data : "", out.len);
        buf_release(&out);
        text_clean(copy, 2048);
        return copy;
}

void scrub_fault(struct arena *a, const struct config *c, struct upstream_fault *fault)
{
        const char **const words[] = {&fault->message, &fault->type, &fault->code, &fault->param};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                *words[i] = scrub_text(a, c, *words[i]);
}
