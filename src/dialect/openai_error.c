#define _GNU_SOURCE 1 /* strcasestr */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/fault_words.h"
#include "dialect/openai.h"

enum { MESSAGE_MAX = 2048, WORD_MAX = 200 };

/* ---- for clients ---- */

void openai_write_error(struct json_writer *w, const struct err *e)
{
        const struct err_row *row = err_row(e->cause);
        jw_object(w);
        jw_key_object(w, "error");
        jw_key_string(w, "message", e->message ? e->message : "unknown error");
        jw_key_string(w, "type", row->openai_type);
        jw_key_string(w, "param", e->param);
        jw_key_string(w, "code", e->code ? e->code : row->openai_code);
        jw_end(w);
        jw_end(w);
}

void openai_encode_error(const struct answer_context *c, const struct err *e, struct buf *out)
{
        struct json_writer w;
        (void)c;
        json_writer_init(&w, out);
        openai_write_error(&w, e);
}

/* ---- from providers ---- */

/* What servers of this dialect say, by code or type; NULL-terminated. 5xx never mean more than that. */
static const struct {
        const char *word;
        enum fault_kind kind;
} words[] = {
        {"insufficient_quota", FAULT_QUOTA},
        {"insufficient_user_quota", FAULT_QUOTA},
        {"insufficient_balance", FAULT_QUOTA},
        {"billing_hard_limit_reached", FAULT_QUOTA},
        {"billing_not_active", FAULT_QUOTA},
        {"context_length_exceeded", FAULT_CONTEXT_LENGTH},
        {"string_above_max_length", FAULT_CONTEXT_LENGTH},
        {"content_policy_violation", FAULT_CONTENT_POLICY},
        {"content_filter", FAULT_CONTENT_POLICY},
        {"ResponsibleAIPolicyViolation", FAULT_CONTENT_POLICY},
        {"moderation_blocked", FAULT_CONTENT_POLICY},
        {"data_inspection_failed", FAULT_CONTENT_POLICY},
        {"invalid_api_key", FAULT_CREDENTIALS},
        {"model_not_found", FAULT_MODEL_GONE},
        {"model_decommissioned", FAULT_MODEL_GONE},
        {"invalid_model", FAULT_MODEL_GONE}, /* Mistral */
        {"DeploymentNotFound", FAULT_MODEL_GONE},
        {"rate_limit_exceeded", FAULT_RATE_LIMIT},
        {"RateLimitReached", FAULT_RATE_LIMIT},
};

static enum fault_kind kind_of_word(const char *word)
{
        for (size_t i = 0; word && i < sizeof words / sizeof words[0]; i++) {
                if (strcasecmp(words[i].word, word) == 0)
                        return words[i].kind;
        }
        return FAULT_NONE;
}

static bool says(const char *message, const char *what)
{
        return message && strcasestr(message, what);
}

/* Servers without codes (vLLM, aggregators) only have their words. */
static enum fault_kind kind_of_message(const char *message)
{
        static const char key[] = "Incorrect API key provided"; /* xAI: a 400 */
        if (message && strncmp(message, key, sizeof key - 1) == 0)
                return FAULT_CREDENTIALS;
        if (says(message, "maximum context length") || says(message, "context length exceeded") ||
            says(message, "context window") || says(message, "prompt is too long"))
                return FAULT_CONTEXT_LENGTH;
        if (says(message, "model") && !says(message, "file") &&
            (says(message, "not exist") || says(message, "decommissioned") || says(message, "not found")))
                return FAULT_MODEL_GONE;
        return FAULT_NONE;
}

static enum fault_kind kind_of_status(int status)
{
        switch (status) {
        case 401: return FAULT_CREDENTIALS;
        case 402: return FAULT_QUOTA;
        case 403: return FAULT_FORBIDDEN;
        case 408:
        case 504: return FAULT_TIMEOUT;
        case 410: return FAULT_MODEL_GONE;
        case 429: return FAULT_RATE_LIMIT;
        case 498: return FAULT_OVERLOAD; /* Groq: no flex capacity */
        case 499: return FAULT_SERVER;   /* nobody here has left */
        case 503:
        case 529: return FAULT_OVERLOAD;
        default: break;
        }
        if (status >= 500)
                return FAULT_SERVER;
        return status >= 400 ? FAULT_BAD_REQUEST : FAULT_IN_BODY;
}

/* A model counts as gone only where the answer says so: a 404 may be about a file that the caller named. */
static enum fault_kind classify(int status, const struct upstream_fault *f, const char *inner_code,
                                bool has_error)
{
        if (status >= 500)
                return kind_of_status(status);
        enum fault_kind kind = kind_of_word(f->code);
        if (kind == FAULT_NONE)
                kind = kind_of_word(inner_code);
        if (kind == FAULT_NONE)
                kind = kind_of_word(f->type);
        bool callers = status == 0 || status == 400 || status == 404 || status == 413 || status == 422;
        if (kind == FAULT_NONE && callers)
                kind = kind_of_message(f->message);
        if (kind != FAULT_NONE)
                return kind;
        if (status == 404 && !has_error)
                return FAULT_MODEL_GONE;
        return kind_of_status(status);
}

static const char *cleaned(struct arena *a, struct str text, size_t max)
{
        if (!text.len)
                return NULL;
        char *copy = arena_strndup(a, text.at, text.len < 2 * max ? text.len : 2 * max);
        text_clean(copy, max);
        return *copy ? copy : NULL;
}

/* Codes are words or numbers, here text always. */
static const char *word_of(struct arena *a, json_object *error, const char *key)
{
        json_object *node = json_peek(error, key);
        if (json_object_is_type(node, json_type_int))
                return arena_printf(a, "%lld", (long long)json_object_get_int64(node));
        return cleaned(a, json_peek_str(error, key), WORD_MAX);
}

static struct str as_text(json_object *node)
{
        size_t len;
        const char *text = json_object_to_json_string_length(node, JSON_C_TO_STRING_PLAIN, &len);
        return (struct str){text, text ? len : 0};
}

/* message, or what stands in for it: a text, FastAPI's detail, Mistral's {detail: […]}. */
static const char *message_of(struct arena *a, json_object *error)
{
        static const char *const keys[] = {"message", "detail", "error", "msg", "Message"};
        if (json_object_is_type(error, json_type_string))
                return cleaned(a,
                               (struct str){json_object_get_string(error),
                                            (size_t)json_object_get_string_len(error)},
                               MESSAGE_MAX);
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                json_object *node = json_peek(error, keys[i]);
                struct str text = json_peek_str(error, keys[i]);
                if (json_object_is_type(node, json_type_object) || json_object_is_type(node, json_type_array))
                        text = as_text(node);
                if (text.len)
                        return cleaned(a, text, MESSAGE_MAX);
        }
        return NULL;
}

/* OpenRouter says "Provider returned error" and keeps the provider's words apart. */
static const char *with_raw(struct arena *a, json_object *error, const char *message)
{
        const char *raw = cleaned(a, json_peek_str(json_peek_object(error, "metadata"), "raw"), MESSAGE_MAX);
        if (!raw)
                return message;
        return cleaned(a, str_of(arena_printf(a, "%s: %s", message ? message : "error", raw)), MESSAGE_MAX);
}

json_object *openai_find_error(json_object *body)
{
        json_object *error = json_peek(body, "error");
        const char *object = json_peek_string(body, "object");
        bool is_bare = object && strcmp(object, "error") == 0;
        if (json_object_is_type(error, json_type_object) && json_object_object_length(error))
                return error;
        if (json_object_is_type(error, json_type_string) && json_object_get_string_len(error))
                return error;
        return is_bare ? body : NULL;
}

static int status_within(json_object *error)
{
        json_object *node = json_peek(error, "code");
        if (!json_object_is_type(node, json_type_int))
                node = json_peek(error, "status_code");
        if (!json_object_is_type(node, json_type_int))
                node = json_peek(error, "status");
        int64_t n = json_object_is_type(node, json_type_int) ? json_object_get_int64(node) : 0;
        const char *text = json_peek_string(error, "code");
        if (!n && text && strlen(text) == 3 && isdigit((unsigned char)text[0]))
                n = atoi(text);
        return n >= 400 && n <= 599 ? (int)n : 0;
}

/* Passed on from a provider behind an aggregator: not about our account there. */
static bool is_passed_on(const struct upstream_fault *f, json_object *error)
{
        return json_peek(json_peek_object(error, "metadata"), "provider_name") ||
               (f->type && strcmp(f->type, "upstream_error") == 0);
}

/* Enough for a smaller request: the caller's own max_tokens brings it about. */
static bool is_for_this_size(const char *message)
{
        static const char *const sized[] = {"afford", "max_tokens", "pre-consume", "预扣", NULL};
        return fault_words_any(message, sized);
}

static bool is_about_us(const struct upstream_fault *f)
{
        static const char *const names[] = {"unsupported_country_region_territory", "account_deactivated",
                                            "access_terminated", "organization_restricted", NULL};
        static const char *const messages[] = {"Missing scopes: model.request",
                                               "Virtual Network/Firewall rules", NULL};
        return fault_words_any(f->code, names) || fault_words_any(f->type, names) ||
               fault_words_any(f->message, messages);
}

static const char *after(const char *text, const char *const *begins)
{
        for (; text && *begins; begins++) {
                size_t len = strlen(*begins);
                if (strncasecmp(text, *begins, len) == 0)
                        return text + len;
        }
        return NULL;
}

/* "The model `x` does not exist …", "model 'x' not found", "Model Not Exist": a name at most in between. */
static bool says_model_is_gone(const char *message)
{
        static const char *const begins[] = {"the model ", "the requested model ", "model ", NULL};
        static const char *const gone[] = {
                "does not exist",          "not exist",         "not found", "is not found", "was not found",
                "has been decommissioned", "is decommissioned", NULL};
        const char *at = after(message, begins);
        if (!at)
                return false;
        const char *behind = at + strcspn(at, " ");
        return after(at, gone) || after(behind + strspn(behind, " "), gone);
}

/* The model of the request, and not one of a tool or a file whose name holds the word. */
static bool is_about_model(const struct upstream_fault *f)
{
        if (f->param && strcmp(f->param, "model") != 0)
                return false;
        if (kind_of_word(f->code) == FAULT_MODEL_GONE || kind_of_word(f->type) == FAULT_MODEL_GONE)
                return true;
        return says_model_is_gone(f->message);
}

static bool is_sure(const struct upstream_fault *f, json_object *error)
{
        if (!error || is_passed_on(f, error))
                return false;
        switch (f->kind) {
        case FAULT_CREDENTIALS: return true;
        case FAULT_QUOTA: return !is_for_this_size(f->message);
        case FAULT_FORBIDDEN: return is_about_us(f);
        case FAULT_MODEL_GONE: return is_about_model(f);
        default: return false;
        }
}

static void read_words(struct upstream_fault *f, json_object *error)
{
        f->sure = is_sure(f, error);
        if (f->kind != FAULT_RATE_LIMIT)
                return;
        f->retry_after_ms = fault_words_wait_ms(f->message);
        /* Days that roll have a time of their own. */
        f->per_day = !f->retry_after_ms && fault_words_per_day(f->message);
}

static void read_error(struct arena *a, int status, json_object *body, struct upstream_fault *out)
{
        json_object *error = openai_find_error(body), *from = error ? error : body;
        const char *inner = word_of(a, json_peek_object(from, "innererror"), "code");
        out->message = with_raw(a, from, message_of(a, from));
        out->type = word_of(a, from, "type");
        out->code = word_of(a, from, "code");
        out->param = word_of(a, from, "param");
        out->kind = classify(status, out, inner, error != NULL || out->message);
        /* OpenRouter's moderation. */
        if (out->kind == FAULT_FORBIDDEN && json_peek_array(json_peek_object(from, "metadata"), "reasons"))
                out->kind = FAULT_CONTENT_POLICY;
        /* Azure's gateway has a shape of its own. */
        bool is_gateways = json_peek_count(body, "statusCode") == status && status && out->message;
        read_words(out, error ? error : is_gateways ? body : NULL);
}

void openai_fault_in_body(struct arena *a, json_object *body, struct upstream_fault *out)
{
        *out = (struct upstream_fault){0};
        json_object *error = openai_find_error(body);
        read_error(a, status_within(error), body, out);
        if (!out->message)
                out->message = "the provider broke the answer off with an error";
}

void openai_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out)
{
        struct err ignored = {0};
        *out = (struct upstream_fault){.status = status};
        json_object *tree = body.len ? json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &ignored) : NULL;
        if (json_object_is_type(tree, json_type_array) && json_object_array_length(tree))
                tree = json_object_array_get_idx(tree, 0);
        if (json_object_is_type(tree, json_type_object)) {
                read_error(a, status >= 400 ? status : status_within(openai_find_error(tree)), tree, out);
                return;
        }
        /* A page of a proxy in between says nothing to a caller. */
        if (body.len && body.at[strspn(body.at, " \t\r\n")] != '<')
                out->message = cleaned(a, body, 300);
        out->kind = status == 404 ? FAULT_MODEL_GONE : kind_of_status(status);
}
