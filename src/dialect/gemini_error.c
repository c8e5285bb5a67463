#include "dialect/gemini.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dialect/fault_words.h"

enum { MESSAGE_MAX = 2048, WAIT_MAX_MS = 86400000 };

/* ---- what providers say ---- */

json_object *gemini_error_of(json_object *root)
{
        if (json_object_is_type(root, json_type_array))
                root = json_object_array_length(root) > 0 ? json_object_array_get_idx(root, 0) : NULL;
        return json_peek_object(root, "error");
}

/* "34.4s": a Duration in proto3 JSON, in milliseconds; 0 when it is none. */
static int64_t duration_ms(const char *text)
{
        int64_t ms = 0, scale = 100;
        if (!text || !isdigit((unsigned char)*text))
                return 0;
        for (; isdigit((unsigned char)*text); text++)
                ms = ms > WAIT_MAX_MS ? ms : ms * 10 + (*text - '0') * 1000;
        if (*text == '.') {
                for (text++; isdigit((unsigned char)*text); text++, scale /= 10)
                        ms += (*text - '0') * scale;
        }
        return *text != 's' ? 0 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
}

static const char *type_of(json_object *detail)
{
        const char *type = json_peek_string(detail, "@type"), *slash = type ? strrchr(type, '.') : NULL;
        return slash ? slash + 1 : "";
}

/* The first violation is told; the day's is the one that lasts. */
static void read_quota(struct arena *a, json_object *detail, struct upstream_fault *out)
{
        json_object *list = json_peek_array(detail, "violations");
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                const char *id = json_peek_string(json_object_array_get_idx(list, i), "quotaId");
                if (i == 0)
                        out->param = arena_strdup(a, id);
                out->per_day |= id && strstr(id, "PerDay");
        }
}

static void read_details(struct arena *a, json_object *error, struct upstream_fault *out)
{
        json_object *details = json_peek_array(error, "details");
        for (size_t i = 0; details && i < json_object_array_length(details); i++) {
                json_object *detail = json_object_array_get_idx(details, i);
                const char *type = type_of(detail);
                if (strcmp(type, "RetryInfo") == 0) {
                        out->retry_after_ms = duration_ms(json_peek_string(detail, "retryDelay"));
                } else if (strcmp(type, "ErrorInfo") == 0) {
                        out->code = arena_strdup(a, json_peek_string(detail, "reason"));
                } else if (strcmp(type, "QuotaFailure") == 0) {
                        read_quota(a, detail, out);
                } else if (strcmp(type, "BadRequest") == 0) {
                        json_object *list = json_peek_array(detail, "fieldViolations");
                        json_object *first = list ? json_object_array_get_idx(list, 0) : NULL;
                        out->param = arena_strdup(a, json_peek_string(first, "field"));
                }
        }
}

static const struct status_row {
        const char *status;
        enum fault_kind kind;
} statuses[] = {
        {"INVALID_ARGUMENT", FAULT_BAD_REQUEST},
        {"FAILED_PRECONDITION", FAULT_BAD_REQUEST},
        {"OUT_OF_RANGE", FAULT_BAD_REQUEST},
        {"UNAUTHENTICATED", FAULT_CREDENTIALS},
        {"PERMISSION_DENIED", FAULT_FORBIDDEN},
        {"NOT_FOUND", FAULT_MODEL_GONE},
        {"RESOURCE_EXHAUSTED", FAULT_RATE_LIMIT},
        {"INTERNAL", FAULT_SERVER},
        {"UNKNOWN", FAULT_SERVER},
        {"CANCELLED", FAULT_SERVER},
        {"ABORTED", FAULT_SERVER},
        {"UNAVAILABLE", FAULT_OVERLOAD},
        {"DEADLINE_EXCEEDED", FAULT_TIMEOUT},
        {"UNIMPLEMENTED", FAULT_BAD_REQUEST},
};

static enum fault_kind kind_of_http(int status)
{
        switch (status) {
        case 401: return FAULT_CREDENTIALS;
        case 402: return FAULT_QUOTA;
        case 403: return FAULT_FORBIDDEN;
        case 404:
        case 410: return FAULT_MODEL_GONE;
        case 408:
        case 504: return FAULT_TIMEOUT;
        case 499: return FAULT_SERVER; /* nobody here has left */
        case 429: return FAULT_RATE_LIMIT;
        case 503:
        case 529: return FAULT_OVERLOAD;
        default: return status >= 400 && status < 500 ? FAULT_BAD_REQUEST : FAULT_SERVER;
        }
}

static bool has(const char *text, const char *words)
{
        return text && strcasestr(text, words) != NULL;
}

/* What only the reason or the words tell. */
static enum fault_kind refine(enum fault_kind kind, const struct upstream_fault *f)
{
        static const char *const keys[] = {"API_KEY_", "ACCESS_TOKEN_", "CREDENTIALS_MISSING",
                                           "SERVICE_DISABLED"};
        for (size_t i = 0; f->code && i < sizeof keys / sizeof *keys; i++) {
                if (strncmp(f->code, keys[i], strlen(keys[i])) == 0)
                        return FAULT_CREDENTIALS;
        }
        if (f->code && strncmp(f->code, "BILLING_", 8) == 0)
                return FAULT_QUOTA;
        if (kind == FAULT_RATE_LIMIT &&
            (has(f->message, "prepayment credits") || has(f->message, "credits are depleted")))
                return FAULT_QUOTA;
        if (kind != FAULT_BAD_REQUEST)
                return kind;
        if (has(f->message, "API key not valid") || has(f->message, "API key expired"))
                return FAULT_CREDENTIALS;
        if (has(f->message, "exceeds the maximum number of tokens") ||
            has(f->message, "input token count exceeds") || has(f->message, "input context is too long"))
                return FAULT_CONTEXT_LENGTH;
        if (has(f->message, "enable billing"))
                return FAULT_QUOTA;
        if (has(f->message, "location is not supported"))
                return FAULT_FORBIDDEN;
        return kind;
}

/* Whose service the reason is about: a caller's reference may lead to another one than the models'. */
static enum tri is_models_service(json_object *error)
{
        static const char *const services[] = {"generativelanguage.googleapis.com",
                                               "aiplatform.googleapis.com", NULL};
        json_object *details = json_peek_array(error, "details");
        for (size_t i = 0; details && i < json_object_array_length(details); i++) {
                json_object *detail = json_object_array_get_idx(details, i);
                const char *name = json_peek_string(json_peek_object(detail, "metadata"), "service");
                if (name && strcmp(type_of(detail), "ErrorInfo") == 0)
                        return fault_words_any(name, services) ? TRI_YES : TRI_NO;
        }
        return TRI_UNSET;
}

static bool begins(const char *text, const char *with)
{
        return text && strncmp(text, with, strlen(with)) == 0;
}

static bool is_about_model(const char *message)
{
        static const char *const gone[] = {"is not found", "was not found", "no longer available", NULL};
        return fault_words_any(message, gone) &&
               (begins(message, "models/") || begins(message, "Publisher Model") ||
                begins(message, "This model"));
}

static bool is_about_us(const struct upstream_fault *f, json_object *error)
{
        static const char *const words[] = {
                "User location is not supported", "API key was reported as leaked",
                "project has been denied access", "Permission 'aiplatform.endpoints.predict' denied", NULL};
        if (f->code && strcmp(f->code, "SERVICE_DISABLED") == 0)
                return is_models_service(error) == TRI_YES;
        return fault_words_any(f->message, words) ||
               (begins(f->code, "CONSUMER_") && is_models_service(error) != TRI_NO);
}

/* Files and caches that a caller names are "not found (or permission denied)" too. */
static bool is_sure(const struct upstream_fault *f, json_object *error)
{
        bool by_service = f->code && strcmp(f->code, "SERVICE_DISABLED") == 0;
        switch (f->kind) {
        case FAULT_CREDENTIALS: return by_service ? is_about_us(f, error) : true;
        case FAULT_QUOTA: return is_models_service(error) != TRI_NO;
        case FAULT_FORBIDDEN: return is_about_us(f, error);
        case FAULT_MODEL_GONE: return is_about_model(f->message);
        default: return false;
        }
}

static enum fault_kind kind_in_body(enum fault_kind kind)
{
        return kind == FAULT_RATE_LIMIT || kind == FAULT_OVERLOAD ? kind : FAULT_IN_BODY;
}

void gemini_error_read(struct arena *a, int status, json_object *error, bool in_body,
                       struct upstream_fault *out)
{
        int64_t code = json_peek_count(error, "code");
        struct str message = json_peek_str(error, "message");
        const char *name = json_peek_string(error, "status");
        *out = (struct upstream_fault){.status = status ? status : code >= 100 && code < 600 ? (int)code : 0};
        out->type = arena_strdup(a, name);
        if (message.len) {
                char *text = arena_strndup(a, message.at, message.len);
                text_clean(text, MESSAGE_MAX);
                out->message = text;
        }
        read_details(a, error, out);
        out->kind = kind_of_http(out->status);
        for (size_t i = 0; name && i < sizeof statuses / sizeof *statuses; i++) {
                if (strcmp(statuses[i].status, name) == 0)
                        out->kind = statuses[i].kind;
        }
        out->kind = in_body ? kind_in_body(out->kind) : refine(out->kind, out);
        out->sure = is_sure(out, error);
        out->per_day &= out->kind == FAULT_RATE_LIMIT;
}

void gemini_decode_error(struct arena *a, int status, struct str body, struct upstream_fault *out)
{
        struct err err = {0};
        json_object *root = body.len ? json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err) : NULL;
        json_object *error = root ? gemini_error_of(root) : NULL;
        if (error)
                gemini_error_read(a, status, error, false, out);
        else
                *out = (struct upstream_fault){.kind = kind_of_http(status), .status = status};
}

/* ---- what clients are told (google.rpc.Status, and its details) ---- */

static const char *status_name(const struct err *e)
{
        static const struct {
                int status;
                const char *name;
        } rows[] = {{401, "UNAUTHENTICATED"},  {403, "PERMISSION_DENIED"},  {404, "NOT_FOUND"},
                    {409, "ABORTED"},          {429, "RESOURCE_EXHAUSTED"}, {499, "CANCELLED"},
                    {504, "DEADLINE_EXCEEDED"}};
        const struct err_row *row = err_row(e->cause);
        if (!e->status || e->status == row->status)
                return row->gemini_status;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                if (rows[i].status == e->status)
                        return rows[i].name;
        }
        return row->gemini_status;
}

static void write_reason(struct json_writer *w, const struct answer_context *c, const struct err *e)
{
        const char *code = e->code ? e->code : err_row(e->cause)->plain_code;
        char *reason = arena_strdup(c->arena, code ? code : "error");
        for (char *at = reason; *at; at++)
                *at = (char)toupper((unsigned char)*at);
        jw_object(w);
        jw_key_string(w, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
        jw_key_string(w, "reason", reason);
        jw_key_string(w, "domain", "tollgate");
        if (c->request_id) {
                jw_key_object(w, "metadata");
                jw_key_string(w, "requestId", c->request_id);
                jw_end(w);
        }
        jw_end(w);
}

static void write_details(struct json_writer *w, const struct answer_context *c, const struct err *e)
{
        jw_key_array(w, "details");
        write_reason(w, c, e);
        if (e->param) {
                jw_object(w);
                jw_key_string(w, "@type", "type.googleapis.com/google.rpc.BadRequest");
                jw_key_array(w, "fieldViolations");
                jw_object(w);
                jw_key_string(w, "field", e->param);
                jw_key_string(w, "description", e->message ? e->message : "");
                jw_end(w);
                jw_end(w);
                jw_end(w);
        }
        if (e->retry_after_ms > 0) {
                int64_t s = e->retry_after_ms / 1000, ms = e->retry_after_ms % 1000;
                jw_object(w);
                jw_key_string(w, "@type", "type.googleapis.com/google.rpc.RetryInfo");
                jw_key_string(w, "retryDelay",
                              ms ? arena_printf(c->arena, "%lld.%03llds", (long long)s, (long long)ms)
                                 : arena_printf(c->arena, "%llds", (long long)s));
                jw_end(w);
        }
        jw_end(w);
}

void gemini_write_error(struct json_writer *w, const struct answer_context *c, const struct err *e)
{
        jw_object(w);
        jw_key_object(w, "error");
        jw_key_int(w, "code", err_status(e));
        jw_key_string(w, "message", e->message ? e->message : "");
        jw_key_string(w, "status", status_name(e));
        write_details(w, c, e);
        jw_end(w);
        jw_end(w);
}

void gemini_encode_error(const struct answer_context *c, const struct err *e, struct buf *out)
{
        struct json_writer w;
        bool array = c->format == ANSWER_JSON_ARRAY;
        json_writer_init(&w, out);
        if (array)
                jw_array(&w);
        gemini_write_error(&w, c, e);
        if (array)
                jw_end(&w);
}
