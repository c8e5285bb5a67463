/* Errors of the provider: bodies of status 400 and more, and error events in streams. */
#include "dialect/anthropic.h"

#include <string.h>

#include "base/text.h"
#include "dialect/fault_words.h"

enum { MESSAGE_MAX = 2048, NAME_MAX_LEN = 128 };

static const struct {
        const char *type;
        enum fault_kind kind;
        int status;
} types[] = {
        {"invalid_request_error", FAULT_BAD_REQUEST, 400},
        {"authentication_error", FAULT_CREDENTIALS, 401},
        {"billing_error", FAULT_QUOTA, 402},
        {"permission_error", FAULT_FORBIDDEN, 403},
        {"not_found_error", FAULT_MODEL_GONE, 404},
        {"conflict_error", FAULT_BAD_REQUEST, 409},
        {"request_too_large", FAULT_BAD_REQUEST, 413},
        {"rate_limit_error", FAULT_RATE_LIMIT, 429},
        {"api_error", FAULT_SERVER, 500},
        {"timeout_error", FAULT_TIMEOUT, 504},
        {"overloaded_error", FAULT_OVERLOAD, 529},
};

static const struct {
        int status;
        enum fault_kind kind;
} statuses[] = {
        {401, FAULT_CREDENTIALS}, {402, FAULT_QUOTA},      {403, FAULT_FORBIDDEN},  {404, FAULT_MODEL_GONE},
        {408, FAULT_TIMEOUT},     {410, FAULT_MODEL_GONE}, {429, FAULT_RATE_LIMIT}, {499, FAULT_SERVER},
        {503, FAULT_OVERLOAD},    {504, FAULT_TIMEOUT},    {529, FAULT_OVERLOAD},
};

/* What only the words tell. Codes of error.details count too. */
static const struct {
        const char *words;
        enum fault_kind kind;
} words[] = {
        {"prompt is too long", FAULT_CONTEXT_LENGTH},
        {"exceed context limit", FAULT_CONTEXT_LENGTH},
        {"credit balance is too low", FAULT_QUOTA},
        {"organization_on_hold", FAULT_QUOTA},
        {"contract_spend_limit_reached", FAULT_QUOTA},
        {"enforced_spend_limit_reached", FAULT_QUOTA},
        {"linked_organization_", FAULT_QUOTA},
        {"specified API usage limits", FAULT_QUOTA},
        {"organization has been disabled", FAULT_FORBIDDEN},
        {"content filtering policy", FAULT_CONTENT_POLICY},
        {"Usage Policy", FAULT_CONTENT_POLICY},
};

static const char *clean(struct arena *a, struct str s, size_t max)
{
        if (!s.at || !s.len)
                return NULL;
        char *text = arena_strndup(a, s.at, strnlen(s.at, s.len < 4 * max ? s.len : 4 * max));
        text_clean(text, max);
        return text;
}

static enum fault_kind kind_of(int status, const struct upstream_fault *f)
{
        for (size_t i = 0; status < 500 && i < sizeof words / sizeof *words; i++) {
                if ((f->message && strstr(f->message, words[i].words)) ||
                    (f->code && strstr(f->code, words[i].words)))
                        return words[i].kind;
        }
        /* "model: claude-x" is the model; a file or a container that is not there is the caller's mistake. */
        if (status == 404 && f->message && !strstr(f->message, "model"))
                return FAULT_BAD_REQUEST;
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
                if (statuses[i].status == status)
                        return statuses[i].kind;
        }
        /* Redirects are not followed. */
        if (status >= 500 || (status >= 300 && status < 400))
                return FAULT_SERVER;
        for (size_t i = 0; f->type && i < sizeof types / sizeof *types; i++) {
                /* Where they contradict each other, the status is what every client acts upon. */
                bool contradicts = status >= 400 && status < 500 && types[i].status >= 500;
                if (strcmp(types[i].type, f->type) == 0 && !contradicts)
                        return types[i].kind;
        }
        return FAULT_BAD_REQUEST;
}

/* Of a 403, only what speaks of the key itself: "the specified resource" may be a file of the caller's. */
static bool is_sure(const struct upstream_fault *f)
{
        static const char *const ours[] = {"API key", "organization has been disabled", NULL};
        static const char *const theirs[] = {"resource", "file", "container", "beta", NULL};
        switch (f->kind) {
        case FAULT_CREDENTIALS: return f->type && strstr(f->type, "auth");
        case FAULT_QUOTA: return f->type != NULL;
        case FAULT_FORBIDDEN:
                return f->type && fault_words_any(f->message, ours) && !fault_words_any(f->message, theirs);
        case FAULT_MODEL_GONE:
                return f->type && strcmp(f->type, "not_found_error") == 0 && f->message &&
                       strncmp(f->message, "model:", 6) == 0;
        default: return false;
        }
}

/* Within an answer, only what asks for time says more than that it broke. */
static enum fault_kind kind_in_body(enum fault_kind kind)
{
        return kind == FAULT_RATE_LIMIT || kind == FAULT_OVERLOAD ? kind : FAULT_IN_BODY;
}

void anthropic_read_fault(struct arena *a, int status, json_object *error, bool in_body,
                          struct upstream_fault *out)
{
        *out = (struct upstream_fault){
                .message = clean(a, json_peek_str(error, "message"), MESSAGE_MAX),
                .type = clean(a, json_peek_str(error, "type"), NAME_MAX_LEN),
                .code = clean(a, json_peek_str(json_peek(error, "details"), "error_code"), NAME_MAX_LEN),
        };
        for (size_t i = 0; !status && out->type && i < sizeof types / sizeof *types; i++) {
                if (strcmp(types[i].type, out->type) == 0)
                        status = types[i].status;
        }
        out->status = status;
        out->kind = in_body ? kind_in_body(kind_of(status, out)) : kind_of(status, out);
        out->sure = is_sure(out);
        out->per_day = out->kind == FAULT_RATE_LIMIT && fault_words_per_day(out->message);
}

void anthropic_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out)
{
        struct err ignored = {0};
        json_object *root = body.at ? json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &ignored) : NULL;
        json_object *error = json_peek(root, "error");
        if (json_object_is_type(error, json_type_string)) { /* proxies in front of it */
                *out = (struct upstream_fault){
                        .status = status, .message = clean(a, json_peek_str(root, "error"), MESSAGE_MAX)};
                out->kind = kind_of(status, out);
                return;
        }
        anthropic_read_fault(a, status, error ? error : root, false, out);
}
