#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "upstream/provider.h"

#include <string.h>
#include <strings.h>

#ifdef PACKAGE_VERSION
#define USER_AGENT "tollgate/" PACKAGE_VERSION
#else
#define USER_AGENT "tollgate"
#endif

enum { OWN_HEADERS = 5 };

struct header_set {
        struct wire_header *at;
        size_t count;
};

/* The last word on a name wins. */
static void header_put(struct header_set *set, const char *name, const char *value)
{
        for (size_t i = 0; i < set->count; i++) {
                if (strcasecmp(set->at[i].name, name) == 0) {
                        set->at[i].value = value;
                        return;
                }
        }
        set->at[set->count++] = (struct wire_header){.name = name, .value = value};
}

/* How each dialect carries the key. */
static const struct credential_row {
        const char *header, *prefix;
} credential_rows[DIALECTS] = {
        [DIALECT_OPENAI] = {"authorization", "Bearer "},
        [DIALECT_ANTHROPIC] = {"x-api-key", ""},
        [DIALECT_GEMINI] = {"x-goog-api-key", ""},
};

void provider_prepare(struct arena *a, const struct config_provider *p, const struct dialect *d,
                      const struct wire_request *wire, const char *trace, struct transfer_request *out)
{
        const struct credential_row *credential = &credential_rows[d->id];
        struct header_set set = {.count = 0};

        set.at = arena_alloc(a, (OWN_HEADERS + wire->header_count + p->header_count) * sizeof *set.at);
        header_put(&set, "content-type", "application/json");
        header_put(&set, "user-agent", USER_AGENT);
        if (trace)
                header_put(&set, "traceparent", trace);
        if (p->key && *p->key && credential->header)
                header_put(&set, credential->header, arena_printf(a, "%s%s", credential->prefix, p->key));
        for (size_t i = 0; i < wire->header_count; i++)
                header_put(&set, wire->headers[i].name, wire->headers[i].value);
        for (size_t i = 0; i < p->header_count; i++)
                header_put(&set, p->headers[i].name, p->headers[i].value);

        *out = (struct transfer_request){
                .method = wire->method ? wire->method : "POST",
                .url = arena_printf(a, "%s%s", p->base ? p->base : "", wire->path),
                .headers = set.at,
                .header_count = set.count,
                .body = {.at = wire->body.data, .len = wire->body.len},
                .proxy = p->proxy,
                .ca = p->ca,
                .connect_ms = p->timeouts.connect_ms,
        };
}
