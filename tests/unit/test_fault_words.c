/* What the words of errors tell: whether it is surely about us, whether a limit lasts for the day, for how
 * long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>

#include "dialect/fault_words.h"
#include "dialect_dump.h"

static void times_are_read_from_sentences(void **state)
{
        (void)state;
        static const struct {
                const char *message;
                int64_t ms;
        } rows[] = {
                {NULL, 0},
                {"", 0},
                {"slow down", 0},
                {"Please try again in 20s.", 20000},
                {"Limit 3, Used 3. Please try again in 7m12s. Visit https://example.org", 432000},
                {"Please try again in 6ms.", 6},
                {"try again in 1h2m3.5s", 3723500},
                {"Try again in 1.2345s", 1235},
                {"try again in 0.1ms", 1},
                {"try again in 5 minutes", 0},
                {"try again in 5min", 0},
                {"try again in 5minutes", 0},
                {"try again in 20", 0},
                {"try again in -5s", 0},
                {"try again in s", 0},
                {"try again in 1e9s", 0},
                {"try again in 99999999999999999999999999999999h", 86400000},
                {"try again in 48h", 86400000},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                assert_int_equal(fault_words_wait_ms(rows[i].message), rows[i].ms);
}

static void days_are_told_from_minutes(void **state)
{
        (void)state;
        static const struct {
                const char *message;
                bool day;
        } rows[] = {
                {NULL, false},
                {"slow down", false},
                {"on requests per day (RPD): Limit 200", true},
                {"on tokens per day (TPD): Limit 200", true},
                {"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model "
                 "requests "
                 "per day",
                 true},
                {"Rate limit exceeded: free-models-per-min. Add 10 credits to unlock 1000 free model "
                 "requests "
                 "per day",
                 false},
                {"Number of request tokens has exceeded your daily rate limit", true},
                {"on tokens per min (TPM): Limit 200", false},
                {"have a nice day", false},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                assert_int_equal(fault_words_per_day(rows[i].message), rows[i].day);
}

/* ---- bodies of errors ---- */

#define OPENAI(message, more) "{\"error\":{\"message\":\"" message "\"" more "}}"
#define CODE(type, code)      ",\"type\":\"" type "\",\"code\":\"" code "\""
#define ANTHROPIC(type, message)                                                                             \
        "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
#define GEMINI(code, status, message, details)                                                               \
        "{\"error\":{\"code\":" #code ",\"status\":\"" status "\",\"message\":\"" message                    \
        "\",\"details\":[" details "]}}"
#define INFO(reason, service)                                                                                \
        "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason                       \
        "\",\"domain\":\"googleapis.com\",\"metadata\":{\"service\":\"" service "\"}}"
#define MODELS_SERVICE "generativelanguage.googleapis.com"
#define QUOTA_OF(ids)  "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[" ids "]}"
#define RETRY_IN(text) "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"" text "\"}"
#define HTML           "<html><head><title>403 Forbidden</title></head></html>"

enum { SURE = 1, DAY = 2 };

static const struct fault_case {
        const struct dialect *dialect;
        int status;
        enum fault_kind kind;
        int flags;
        int64_t wait_ms;
        const char *body;
} faults[] = {
        /* ---- openai: sure */
        {&dialect_openai, 401, FAULT_CREDENTIALS, SURE, 0,
         OPENAI("Incorrect API key provided: x.", CODE("invalid_request_error", "invalid_api_key"))},
        {&dialect_openai, 401, FAULT_CREDENTIALS, SURE, 0,
         OPENAI("Authentication Fails (no such user)",
                CODE("authentication_error", "invalid_request_error"))},
        {&dialect_openai, 401, FAULT_CREDENTIALS, SURE, 0,
         "{\"statusCode\":401,\"message\":\"Access denied due to invalid subscription "
         "key\"}"},
        {&dialect_openai, 401, FAULT_CREDENTIALS, SURE, 0, "{\"error\":\"Unauthorized\"}"},
        {&dialect_openai, 400, FAULT_CREDENTIALS, SURE, 0,
         "{\"code\":\"Client specified an invalid argument\",\"error\":\"Incorrect API key "
         "provided: xa***\"}"},
        {&dialect_openai, 429, FAULT_QUOTA, SURE, 0,
         OPENAI("You exceeded your current quota, please check your plan and billing "
                "details.",
                CODE("insufficient_quota", "insufficient_quota"))},
        {&dialect_openai, 402, FAULT_QUOTA, SURE, 0,
         OPENAI("Insufficient Balance", CODE("unknown_error", "invalid_request_error"))},
        {&dialect_openai, 403, FAULT_FORBIDDEN, SURE, 0,
         OPENAI("Country, region, or territory not supported",
                CODE("request_forbidden", "unsupported_country_region_territory"))},
        {&dialect_openai, 403, FAULT_FORBIDDEN, SURE, 0,
         OPENAI("Access denied due to Virtual Network/Firewall rules.", CODE("x", "403"))},
        {&dialect_openai, 403, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("Project `proj_x` does not have access to model `gpt-x`",
                CODE("invalid_request_error", "model_not_found"))},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("The model `gpt-x` does not exist or you do not have access to it.",
                ",\"param\":null" CODE("invalid_request_error", "model_not_found"))},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         "{\"object\":\"error\",\"message\":\"The model `m` does not "
         "exist.\",\"type\":\"NotFoundError\","
         "\"param\":\"model\",\"code\":404}"},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("model 'llama9' not found", ",\"type\":\"api_error\",\"param\":null,\"code\":null")},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         "{\"error\":\"model \\\"x\\\" not found, try pulling it first\"}"},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         "{\"code\":\"Some requested entity was not found\",\"error\":\"The model grok-9 "
         "does not exist or "
         "your team does not have access to it.\"}"},
        {&dialect_openai, 404, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("The API deployment for this resource does not exist.", CODE("x", "DeploymentNotFound"))},
        {&dialect_openai, 400, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("The model `x` has been decommissioned and is no longer supported.",
                CODE("invalid_request_error", "model_decommissioned"))},
        {&dialect_openai, 400, FAULT_MODEL_GONE, SURE, 0,
         OPENAI("Model Not Exist", CODE("invalid_request_error", "invalid_request_error"))},
        {&dialect_openai, 400, FAULT_MODEL_GONE, SURE, 0,
         "{\"object\":\"error\",\"message\":\"Invalid model: "
         "m\",\"type\":\"invalid_model\",\"param\":null,"
         "\"code\":\"1500\"}"},
        /* ---- openai: a caller or a proxy may be behind it */
        {&dialect_openai, 401, FAULT_CREDENTIALS, 0, 0, HTML},
        {&dialect_openai, 401, FAULT_CREDENTIALS, 0, 0, ""},
        {&dialect_openai, 401, FAULT_CREDENTIALS, 0, 0, "{}"},
        {&dialect_openai, 401, FAULT_CREDENTIALS, 0, 0,
         OPENAI("bad response status code 401", CODE("upstream_error", "bad_response_status_code"))},
        {&dialect_openai, 401, FAULT_CREDENTIALS, 0, 0,
         OPENAI("Provider returned error",
                ",\"code\":401,\"metadata\":{\"provider_name\":\"p\",\"raw\":\"x\"}")},
        {&dialect_openai, 402, FAULT_QUOTA, 0, 0,
         OPENAI("This request requires more credits, or fewer max_tokens. You requested up "
                "to 65536 tokens, but "
                "can only afford 1234.",
                ",\"code\":402")},
        {&dialect_openai, 402, FAULT_QUOTA, 0, 0, HTML},
        {&dialect_openai, 403, FAULT_QUOTA, 0, 0,
         OPENAI("用户额度不足, 剩余额度 1, 预扣费额度 2", CODE("new_api_error", "insufficient_user_quota"))},
        {&dialect_openai, 403, FAULT_FORBIDDEN, 0, 0, HTML},
        {&dialect_openai, 403, FAULT_FORBIDDEN, 0, 0, OPENAI("no", ",\"code\":null")},
        {&dialect_openai, 403, FAULT_FORBIDDEN, 0, 0,
         OPENAI("You have insufficient permissions for this operation. Missing scopes: "
                "api.files.read",
                "")},
        {&dialect_openai, 404, FAULT_MODEL_GONE, 0, 0, HTML},
        {&dialect_openai, 404, FAULT_MODEL_GONE, 0, 0, "{}"},
        {&dialect_openai, 410, FAULT_MODEL_GONE, 0, 0, HTML},
        {&dialect_openai, 410, FAULT_MODEL_GONE, 0, 0, OPENAI("gone", "")},
        {&dialect_openai, 404, FAULT_BAD_REQUEST, 0, 0, OPENAI("Resource not found", ",\"code\":\"404\"")},
        {&dialect_openai, 404, FAULT_BAD_REQUEST, 0, 0,
         OPENAI("No such File object: file-model", ",\"param\":\"file_id\"")},
        {&dialect_openai, 404, FAULT_MODEL_GONE, 0, 0,
         OPENAI("The model of the tool was not found", CODE("invalid_request_error", "x"))},
        {&dialect_openai, 400, FAULT_MODEL_GONE, 0, 0,
         OPENAI("m", ",\"param\":\"tools[0].model\"" CODE("invalid_request_error", "model_not_found"))},
        {&dialect_openai, 400, FAULT_BAD_REQUEST, 0, 0,
         OPENAI("Invalid value: 'Incorrect API key provided'",
                CODE("invalid_request_error", "invalid_value"))},
        /* ---- openai: limits */
        {&dialect_openai, 429, FAULT_RATE_LIMIT, 0, 20000,
         OPENAI("Rate limit reached for gpt-x on requests per min (RPM): Limit 3, Used 3, "
                "Requested 1. Please try "
                "again in 20s.",
                CODE("requests", "rate_limit_exceeded"))},
        {&dialect_openai, 429, FAULT_RATE_LIMIT, 0, 432000,
         OPENAI("Rate limit reached for gpt-x on requests per day (RPD): Limit 200, Used "
                "200, Requested 1. Please "
                "try again in 7m12s.",
                CODE("requests", "rate_limit_exceeded"))},
        {&dialect_openai, 429, FAULT_RATE_LIMIT, DAY, 0,
         OPENAI("Rate limit reached for gpt-x on requests per day (RPD): Limit 200, Used "
                "200, Requested 1.",
                CODE("requests", "rate_limit_exceeded"))},
        {&dialect_openai, 429, FAULT_RATE_LIMIT, DAY, 0,
         OPENAI("Rate limit exceeded: free-models-per-day", ",\"code\":429")},
        {&dialect_openai, 500, FAULT_SERVER, 0, 0,
         OPENAI("requests per day (RPD), try again in 1s", CODE("server_error", "x"))},

        /* ---- anthropic */
        {&dialect_anthropic, 401, FAULT_CREDENTIALS, SURE, 0,
         ANTHROPIC("authentication_error", "invalid x-api-key")},
        {&dialect_anthropic, 400, FAULT_QUOTA, SURE, 0,
         ANTHROPIC("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")},
        {&dialect_anthropic, 400, FAULT_QUOTA, SURE, 0,
         ANTHROPIC("invalid_request_error",
                   "You have reached your specified API usage limits. You will regain "
                   "access on 2026-09-01 at 00:00 UTC.")},
        {&dialect_anthropic, 402, FAULT_QUOTA, SURE, 0, ANTHROPIC("billing_error", "pay")},
        {&dialect_anthropic, 400, FAULT_FORBIDDEN, SURE, 0,
         ANTHROPIC("invalid_request_error", "This organization has been disabled.")},
        {&dialect_anthropic, 403, FAULT_FORBIDDEN, SURE, 0,
         ANTHROPIC("permission_error", "This API key may not be used.")},
        {&dialect_anthropic, 404, FAULT_MODEL_GONE, SURE, 0,
         ANTHROPIC("not_found_error", "model: claude-none")},
        {&dialect_anthropic, 401, FAULT_CREDENTIALS, 0, 0, HTML},
        {&dialect_anthropic, 401, FAULT_CREDENTIALS, 0, 0, "{\"error\":\"unauthorized\"}"},
        {&dialect_anthropic, 402, FAULT_QUOTA, 0, 0, HTML},
        {&dialect_anthropic, 403, FAULT_FORBIDDEN, 0, 0, HTML},
        {&dialect_anthropic, 403, FAULT_FORBIDDEN, 0, 0,
         ANTHROPIC("permission_error",
                   "Your API key does not have permission to use the specified resource.")},
        {&dialect_anthropic, 403, FAULT_FORBIDDEN, 0, 0, ANTHROPIC("permission_error", "no")},
        {&dialect_anthropic, 404, FAULT_MODEL_GONE, 0, 0, HTML},
        {&dialect_anthropic, 404, FAULT_MODEL_GONE, 0, 0,
         ANTHROPIC("not_found_error", "tools.0.model: claude-none")},
        {&dialect_anthropic, 404, FAULT_BAD_REQUEST, 0, 0,
         ANTHROPIC("not_found_error", "File not found: file_1")},
        {&dialect_anthropic, 404, FAULT_MODEL_GONE, 0, 0,
         ANTHROPIC("not_found_error", "File not found: file_model:")},
        {&dialect_anthropic, 429, FAULT_RATE_LIMIT, DAY, 0,
         ANTHROPIC("rate_limit_error", "Number of requests has exceeded your daily rate limit")},
        {&dialect_anthropic, 429, FAULT_RATE_LIMIT, 0, 0,
         ANTHROPIC("rate_limit_error", "This request would exceed the rate limit of 50,000 "
                                       "input tokens per minute")},

        /* ---- gemini */
        {&dialect_gemini, 400, FAULT_CREDENTIALS, SURE, 0,
         GEMINI(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                INFO("API_KEY_INVALID", MODELS_SERVICE))},
        {&dialect_gemini, 401, FAULT_CREDENTIALS, SURE, 0, GEMINI(401, "UNAUTHENTICATED", "x", "")},
        {&dialect_gemini, 403, FAULT_CREDENTIALS, SURE, 0,
         GEMINI(403, "PERMISSION_DENIED", "x", INFO("SERVICE_DISABLED", MODELS_SERVICE))},
        {&dialect_gemini, 403, FAULT_QUOTA, SURE, 0,
         GEMINI(403, "PERMISSION_DENIED", "x", INFO("BILLING_DISABLED", "aiplatform.googleapis.com"))},
        {&dialect_gemini, 429, FAULT_QUOTA, SURE, 0,
         GEMINI(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", "")},
        {&dialect_gemini, 403, FAULT_FORBIDDEN, SURE, 0,
         GEMINI(403, "PERMISSION_DENIED", "x", INFO("CONSUMER_SUSPENDED", MODELS_SERVICE))},
        {&dialect_gemini, 403, FAULT_FORBIDDEN, SURE, 0,
         GEMINI(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.",
                "")},
        {&dialect_gemini, 400, FAULT_FORBIDDEN, SURE, 0,
         GEMINI(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", "")},
        {&dialect_gemini, 404, FAULT_MODEL_GONE, SURE, 0,
         GEMINI(404, "NOT_FOUND", "models/x is not found for API version v1beta", "")},
        {&dialect_gemini, 404, FAULT_MODEL_GONE, SURE, 0,
         GEMINI(404, "NOT_FOUND",
                "Publisher Model `projects/p/x` was not found or your project does not have "
                "access",
                "")},
        {&dialect_gemini, 404, FAULT_MODEL_GONE, SURE, 0,
         "[" GEMINI(404, "NOT_FOUND", "This model models/x is no longer available to new users.", "") "]"},
        {&dialect_gemini, 401, FAULT_CREDENTIALS, 0, 0, HTML},
        {&dialect_gemini, 403, FAULT_FORBIDDEN, 0, 0, HTML},
        {&dialect_gemini, 404, FAULT_MODEL_GONE, 0, 0, HTML},
        {&dialect_gemini, 403, FAULT_FORBIDDEN, 0, 0,
         GEMINI(403, "PERMISSION_DENIED",
                "You do not have permission to access the File x or it may not exist.", "")},
        {&dialect_gemini, 403, FAULT_FORBIDDEN, 0, 0,
         GEMINI(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)", "")},
        {&dialect_gemini, 403, FAULT_CREDENTIALS, 0, 0,
         GEMINI(403, "PERMISSION_DENIED", "x", INFO("SERVICE_DISABLED", "storage.googleapis.com"))},
        {&dialect_gemini, 403, FAULT_QUOTA, 0, 0,
         GEMINI(403, "PERMISSION_DENIED", "x", INFO("BILLING_DISABLED", "storage.googleapis.com"))},
        {&dialect_gemini, 404, FAULT_MODEL_GONE, 0, 0,
         GEMINI(404, "NOT_FOUND", "Requested entity was not found.", "")},
        {&dialect_gemini, 429, FAULT_RATE_LIMIT, 0, 34400,
         GEMINI(429, "RESOURCE_EXHAUSTED", "slow",
                QUOTA_OF("{\"quotaId\":\"GenerateRequestsPerMinutePerProjectPerModel-"
                         "FreeTier\"}") "," RETRY_IN("34.4s"))},
        {&dialect_gemini, 429, FAULT_RATE_LIMIT, DAY, 34400,
         GEMINI(429, "RESOURCE_EXHAUSTED", "slow",
                QUOTA_OF("{\"quotaId\":\"GenerateRequestsPerMinutePerProjectPerModel-"
                         "FreeTier\"},"
                         "{\"quotaId\":\"GenerateRequestsPerDayPerProjectPerModel-"
                         "FreeTier\"}") "," RETRY_IN("34.4s"))},
        {&dialect_gemini, 429, FAULT_RATE_LIMIT, 0, 0,
         GEMINI(429, "RESOURCE_EXHAUSTED", "slow", QUOTA_OF("7,{},{\"quotaId\":null}"))},
};

static void only_what_is_beyond_doubt_is_sure(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
                const struct fault_case *c = &faults[i];
                struct arena *a = arena_new();
                struct upstream_fault f = {0};
                c->dialect->decode_error(a, c->status, str_of(c->body), &f);
                int flags = (f.sure ? SURE : 0) | (f.per_day ? DAY : 0);
                if (f.kind != c->kind || flags != c->flags || f.retry_after_ms != c->wait_ms)
                        fail_msg("%s %d %s: kind %d, flags %d, %ld ms", c->dialect->name, c->status, c->body,
                                 f.kind, flags, (long)f.retry_after_ms);
                arena_free(a);
        }
}

/* ---- errors within streams ---- */

static void fault_of_stream(struct arena *a, const struct dialect *d, const char *text,
                            struct upstream_fault *out)
{
        struct chat_request r = {.stream = true};
        struct sse_parser *p = sse_new(1 << 20);
        struct sse_event e;
        struct chat_events events = {.arena = a};
        void *decoder = d->decoder_new(a, &r);
        sse_feed(p, text, strlen(text));
        while (sse_next(p, &e))
                d->decode_event(decoder, &e, &events);
        if (!events.last || events.last->type != EVENT_ERROR)
                d->decode_end(decoder, *text == '{' ? str_of(text) : (struct str){0}, &events);
        assert_int_equal(events.last->type, EVENT_ERROR);
        *out = *events.last->fault;
        sse_free(p);
}

#define EVENT(name, data) "event: " name "\ndata: " data "\n\n"
#define DATA(data)        "data: " data "\n\n"

static void errors_within_streams_keep_what_they_say(void **state)
{
        (void)state;
        static const struct fault_case rows[] = {
                {&dialect_anthropic, 529, FAULT_OVERLOAD, 0, 0,
                 EVENT("error", ANTHROPIC("overloaded_error", "Overloaded"))},
                {&dialect_anthropic, 429, FAULT_RATE_LIMIT, DAY, 0,
                 EVENT("error", ANTHROPIC("rate_limit_error", "exceeded your daily rate limit"))},
                {&dialect_anthropic, 500, FAULT_IN_BODY, 0, 0,
                 EVENT("error", ANTHROPIC("api_error", "Internal server error"))},
                {&dialect_anthropic, 401, FAULT_IN_BODY, 0, 0,
                 EVENT("error", ANTHROPIC("authentication_error", "expired"))},
                {&dialect_openai, 0, FAULT_RATE_LIMIT, 0, 20000,
                 DATA(OPENAI("Please try again in 20s.", CODE("tokens", "rate_limit_exceeded")))},
                {&dialect_openai, 0, FAULT_QUOTA, SURE, 0,
                 DATA(OPENAI("You exceeded your current quota",
                             CODE("insufficient_quota", "insufficient_quota")))},
                {&dialect_openai, 0, FAULT_IN_BODY, 0, 0,
                 EVENT("error", OPENAI("The server had an error", CODE("server_error", "x")))},
                {&dialect_openai, 0, FAULT_OVERLOAD, 0, 0, DATA(OPENAI("no provider", ",\"code\":503"))},
                {&dialect_gemini, 503, FAULT_OVERLOAD, 0, 0, DATA(GEMINI(503, "UNAVAILABLE", "busy", ""))},
                {&dialect_gemini, 429, FAULT_RATE_LIMIT, DAY, 9000,
                 DATA(GEMINI(429, "RESOURCE_EXHAUSTED", "slow",
                             QUOTA_OF("{\"quotaId\":\"RequestsPerDay\"}") "," RETRY_IN("9s")))},
                {&dialect_gemini, 429, FAULT_RATE_LIMIT, 0, 9000,
                 GEMINI(429, "RESOURCE_EXHAUSTED", "slow", RETRY_IN("9s"))}, /* without its SSE framing */
                {&dialect_gemini, 500, FAULT_IN_BODY, 0, 0, DATA(GEMINI(500, "INTERNAL", "x", ""))},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct upstream_fault f = {0};
                fault_of_stream(a, rows[i].dialect, rows[i].body, &f);
                int flags = (f.sure ? SURE : 0) | (f.per_day ? DAY : 0);
                if (f.kind != rows[i].kind || flags != rows[i].flags || f.retry_after_ms != rows[i].wait_ms ||
                    f.status != rows[i].status)
                        fail_msg("%s: kind %d, flags %d, %ld ms, status %d", rows[i].body, f.kind, flags,
                                 (long)f.retry_after_ms, f.status);
                arena_free(a);
        }
}

/* ---- recordings ---- */

/* Recorded errors: the models that are none, and requests that are the caller's own mistake. */
static void check_recorded(struct arena *a, const char *file, json_object *exchange, int *errors)
{
        json_object *response = json_peek(exchange, "response");
        int status = (int)json_peek_count(response, "status");
        struct upstream_fault f;
        if (status < 400)
                return;
        dialect_openai.decode_error(a, status, json_peek_str(response, "body"), &f);
        ++*errors;
        if (f.sure != (status == 404) || f.kind != (status == 404 ? FAULT_MODEL_GONE : FAULT_BAD_REQUEST))
                fail_msg("%s: kind %d, sure %d", file, f.kind, f.sure);
}

static void recorded_errors_are_told_apart(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct upstream_fault f;
        const char *root = dump_shared(a, "");
        glob_t found;
        int errors = 0;
        if (!root) {
                arena_free(a);
                skip();
        }
        assert_int_equal(glob(arena_printf(a, "%sopenai/recorded/*.json", root), 0, NULL, &found), 0);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                json_object *list = json_object_from_file(found.gl_pathv[i]);
                for (size_t n = 0; list && n < json_object_array_length(list); n++)
                        check_recorded(a, found.gl_pathv[i], json_object_array_get_idx(list, n), &errors);
                json_object_put(list);
        }
        globfree(&found);
        assert_true(errors >= 4);
        dialect_gemini.decode_error(
                a, 429, dump_file(a, arena_printf(a, "%sgoogle/google-429-retry-info.json", root)), &f);
        assert_int_equal(f.kind, FAULT_RATE_LIMIT);
        assert_int_equal(f.retry_after_ms, 34400);
        assert_false(f.per_day);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_are_read_from_sentences),
                cmocka_unit_test(days_are_told_from_minutes),
                cmocka_unit_test(only_what_is_beyond_doubt_is_sure),
                cmocka_unit_test(errors_within_streams_keep_what_they_say),
                cmocka_unit_test(recorded_errors_are_told_apart),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
