#include "base/err.h"

#include <string.h>

#include "base/text.h"

static const struct err_row rows[ERR_CAUSES] = {
        [ERR_NONE] = {200, NULL, NULL, NULL, NULL, NULL, false},
        [ERR_BAD_REQUEST] = {400, "invalid_request_error", NULL, "invalid_request_error", "INVALID_ARGUMENT",
                             "bad_request", false},
        [ERR_UNSUPPORTED] = {400, "invalid_request_error", "unsupported_value", "invalid_request_error",
                             "INVALID_ARGUMENT", "unsupported_value", false},
        [ERR_UNAUTHENTICATED] = {401, "authentication_error", "invalid_api_key", "authentication_error",
                                 "UNAUTHENTICATED", "invalid_api_key", false},
        [ERR_FORBIDDEN] = {403, "permission_error", NULL, "permission_error", "PERMISSION_DENIED",
                           "forbidden", false},
        [ERR_NOT_FOUND] = {404, "invalid_request_error", "not_found", "not_found_error", "NOT_FOUND",
                           "not_found", false},
        [ERR_MODEL_NOT_FOUND] = {404, "invalid_request_error", "model_not_found", "not_found_error",
                                 "NOT_FOUND", "model_not_found", false},
        [ERR_METHOD] = {405, "invalid_request_error", "method_not_allowed", "invalid_request_error",
                        "INVALID_ARGUMENT", "method_not_allowed", false},
        [ERR_TOO_LARGE] = {413, "invalid_request_error", "request_too_large", "request_too_large",
                           "INVALID_ARGUMENT", "request_too_large", false},
        [ERR_MEDIA_TYPE] = {415, "invalid_request_error", "unsupported_media_type", "invalid_request_error",
                            "INVALID_ARGUMENT", "unsupported_media_type", false},
        [ERR_RATE_LIMIT] = {429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error",
                            "RESOURCE_EXHAUSTED", "rate_limit_exceeded", true},
        [ERR_QUOTA] = {429, "insufficient_quota", "insufficient_quota", "rate_limit_error",
                       "RESOURCE_EXHAUSTED", "insufficient_quota", false},
        [ERR_PROVIDER_REFUSED] = {400, "invalid_request_error", NULL, "invalid_request_error",
                                  "INVALID_ARGUMENT", "provider_refused", false},
        [ERR_CONTEXT_LENGTH] = {400, "invalid_request_error", "context_length_exceeded",
                                "invalid_request_error", "INVALID_ARGUMENT", "context_length_exceeded",
                                false},
        [ERR_CONTENT_POLICY] = {400, "invalid_request_error", "content_policy_violation",
                                "invalid_request_error", "INVALID_ARGUMENT", "content_policy_violation",
                                false},
        [ERR_UPSTREAM] = {502, "upstream_error", "upstream_error", "api_error", "UNAVAILABLE",
                          "upstream_error", false},
        [ERR_UPSTREAM_CREDENTIALS] = {502, "upstream_error", "upstream_credentials", "api_error",
                                      "UNAVAILABLE", "upstream_credentials", false},
        [ERR_OVERLOADED] = {503, "overloaded_error", "overloaded", "overloaded_error", "UNAVAILABLE",
                            "overloaded", true},
        [ERR_UNAVAILABLE] = {503, "overloaded_error", "unavailable", "overloaded_error", "UNAVAILABLE",
                             "unavailable", true},
        [ERR_UPSTREAM_TIMEOUT] = {504, "timeout_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED",
                                  "timeout", false},
        [ERR_INTERNAL] = {500, "internal_error", "internal_error", "api_error", "INTERNAL", "internal_error",
                          true},
};

const struct err_row *err_row(enum err_cause cause)
{
        return &rows[cause < ERR_CAUSES ? cause : ERR_INTERNAL];
}

int err_status(const struct err *e)
{
        return e->status ? e->status : err_row(e->cause)->status;
}

bool err_set(struct err *e, struct arena *a, enum err_cause cause, const char *param, const char *fmt, ...)
{
        if (e->cause != ERR_NONE)
                return false;
        enum { MESSAGE_MAX = 3000, PARAM_MAX = 500 };
        va_list ap;
        va_start(ap, fmt);
        *e = (struct err){
                .cause = cause,
                .param = param ? arena_strndup(a, param, strnlen(param, PARAM_MAX + 4)) : NULL,
                .message = arena_vprintf(a, fmt, ap),
        };
        va_end(ap);
        /* Both may quote what a caller sent, and all of it has to fit into the answer and the log. */
        text_clean((char *)e->message, MESSAGE_MAX);
        if (param)
                text_clean((char *)e->param, PARAM_MAX);
        return false;
}
