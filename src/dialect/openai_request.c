#include <limits.h>
#include <stdint.h>
#include <strings.h>

#include "dialect/openai.h"

enum {
        STOP_MAX = 4,
        METADATA_MAX = 16,
        METADATA_KEY_MAX = 64,
        METADATA_VALUE_MAX = 512,
        IDENTIFIER_MAX = 128
};

/* Members that a hint is made of only at openai: harmless to leave out elsewhere. */
static const char *const hint_names[] = {"prompt_cache_options", "prompt_cache_retention",
                                         "safety_identifier", "prediction", NULL};

static const char *const chat_names[] = {"model",
                                         "messages",
                                         "max_tokens",
                                         "max_completion_tokens",
                                         "temperature",
                                         "top_p",
                                         "top_k",
                                         "presence_penalty",
                                         "frequency_penalty",
                                         "seed",
                                         "n",
                                         "stop",
                                         "logprobs",
                                         "top_logprobs",
                                         "logit_bias",
                                         "tools",
                                         "functions",
                                         "tool_choice",
                                         "function_call",
                                         "parallel_tool_calls",
                                         "response_format",
                                         "reasoning_effort",
                                         "reasoning",
                                         "stream",
                                         "stream_options",
                                         "user",
                                         "service_tier",
                                         "store",
                                         "metadata",
                                         "prompt_cache_key",
                                         "cache_control",
                                         "verbosity",
                                         NULL};

static bool is_listed(const char *const *names, const char *name)
{
        while (*names && strcmp(*names, name) != 0)
                names++;
        return *names != NULL;
}

/* Says what holds anyway: not worth refusing a target for. */
static bool says_nothing(const char *name, json_object *value)
{
        return strcmp(name, "modalities") == 0 && json_object_is_type(value, json_type_array) &&
               json_object_array_length(value) == 1 &&
               json_object_is_type(json_object_array_get_idx(value, 0), json_type_string) &&
               strcmp(json_object_get_string(json_object_array_get_idx(value, 0)), "text") == 0;
}

void openai_keep_extras(struct json_reader *r, json_object *body, const char *const *known,
                        struct chat_extra **extras)
{
        json_object_object_foreach(body, name, value)
        {
                if (chat_name_is_twin(known, name))
                        json_fail(r, NULL, name, "is another spelling of a member that is known by its own");
                if (value && !is_listed(known, name) && !says_nothing(name, value))
                        chat_add_extra(r->arena, extras, name, value, is_listed(hint_names, name));
        }
}

bool openai_get_word(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     const char *const *words, const char **out)
{
        const char *word;
        if (!json_get_string(r, obj, at, key, &word))
                return false;
        for (size_t i = 0; words[i]; i++) {
                if (strcmp(words[i], word) == 0) {
                        *out = words[i];
                        return true;
                }
        }
        struct buf list;
        buf_init(&list, 1024);
        for (size_t i = 0; words[i]; i++)
                buf_addf(&list, "%s\"%s\"", i ? ", " : "", words[i]);
        json_fail(r, at, key, "must be one of %s", list.data);
        buf_release(&list);
        return false;
}

static void get_opt_int(struct json_reader *r, json_object *body, const char *key, int64_t min, int64_t max,
                        struct opt_int *out)
{
        if (json_get_int(r, body, NULL, key, min, max, &out->value))
                out->set = true;
}

static void get_opt_number(struct json_reader *r, json_object *body, const char *key, double min, double max,
                           struct opt_number *out)
{
        if (json_get_number(r, body, NULL, key, min, max, &out->value))
                out->set = true;
}

static void decode_max_tokens(struct json_reader *r, json_object *body, struct chat_request *out)
{
        get_opt_int(r, body, "max_tokens", 1, INT32_MAX, &out->max_tokens);
        if (!json_peek(body, "max_completion_tokens"))
                return;
        if (out->max_tokens.set)
                json_fail(r, NULL, "max_completion_tokens",
                          "given together with max_tokens, which is the same field");
        get_opt_int(r, body, "max_completion_tokens", 1, INT32_MAX, &out->max_tokens);
}

static void decode_stop(struct json_reader *r, json_object *body, struct chat_request *out)
{
        json_object *stop = json_peek(body, "stop");
        const char *text;
        if (!stop)
                return;
        if (!json_object_is_type(stop, json_type_array)) {
                if (!json_object_is_type(stop, json_type_string))
                        json_fail(r, NULL, "stop", "expected a string or an array of strings, got %s",
                                  json_type_text(stop));
                else if (json_get_string(r, body, NULL, "stop", &text) && *text)
                        chat_add_name(r->arena, &out->stop, text);
                return;
        }
        size_t count = json_object_array_length(stop);
        if (count > STOP_MAX)
                json_fail(r, NULL, "stop", "at most %d sequences", STOP_MAX);
        struct json_path at = {.key = "stop"};
        for (size_t i = 0; i < count && i < STOP_MAX; i++) {
                struct json_path item = {.up = &at, .index = i};
                json_object *node = json_object_array_get_idx(stop, i);
                if (!json_object_is_type(node, json_type_string))
                        json_fail(r, &item, NULL, "expected a string, got %s", json_type_text(node));
                else if (strlen(json_object_get_string(node)) != (size_t)json_object_get_string_len(node))
                        json_fail(r, &item, NULL, "a NUL character");
                else
                        chat_add_name(r->arena, &out->stop, json_object_get_string(node));
        }
}

static void decode_sampling(struct json_reader *r, json_object *body, struct chat_request *out)
{
        get_opt_number(r, body, "temperature", 0, 2, &out->temperature);
        get_opt_number(r, body, "top_p", 0, 1, &out->top_p);
        get_opt_int(r, body, "top_k", 0, INT32_MAX, &out->top_k);
        get_opt_number(r, body, "presence_penalty", -2, 2, &out->presence_penalty);
        get_opt_number(r, body, "frequency_penalty", -2, 2, &out->frequency_penalty);
        get_opt_int(r, body, "seed", INT64_MIN, INT64_MAX, &out->seed);
        get_opt_int(r, body, "n", 1, OPENAI_CHOICES_MAX, &out->n);
        json_get_bool(r, body, NULL, "logprobs", &out->logprobs);
        get_opt_int(r, body, "top_logprobs", 0, 20, &out->top_logprobs);
        if (out->top_logprobs.set && !out->logprobs)
                json_fail(r, NULL, "top_logprobs", "needs logprobs to be true");
        if (!json_get_object(r, body, NULL, "logit_bias", &out->logit_bias))
                return;
        struct json_path at = {.key = "logit_bias"};
        json_object_object_foreach(out->logit_bias, token, bias)
        {
                double ignored;
                if (!bias)
                        json_fail(r, &at, token, "expected a number, got null");
                json_get_number(r, out->logit_bias, &at, token, -100, 100, &ignored);
        }
        if (json_object_object_length(out->logit_bias) == 0)
                out->logit_bias = NULL;
}

static void decode_response_format(struct json_reader *r, json_object *body, struct chat_request *out)
{
        static const char *const types[] = {"text", "json_object", "json_schema", NULL};
        struct json_path at = {.key = "response_format"}, in = {.up = &at, .key = "json_schema"};
        json_object *format, *schema;
        const char *type = NULL;
        bool strict;
        if (!json_get_object(r, body, NULL, "response_format", &format))
                return;
        if (!openai_get_word(r, format, &at, "type", types, &type)) {
                json_fail(r, &at, "type", "is required");
                return;
        }
        if (type == types[0]) {
                out->response_format = FORMAT_TEXT;
                return;
        }
        if (type == types[1]) {
                out->response_format = FORMAT_JSON_OBJECT;
                return;
        }
        out->response_format = FORMAT_JSON_SCHEMA;
        if (!json_need_object(r, format, &at, "json_schema", &schema))
                return;
        json_need_string(r, schema, &in, "name", &out->schema_name);
        json_get_string(r, schema, &in, "description", &out->schema_description);
        if (!json_get_object(r, schema, &in, "schema", &out->schema)) {
                struct err ignored = {0};
                out->schema = json_parse(r->arena, "{}", 2, JSON_FROM_CLIENT, &ignored);
        }
        if (json_get_bool(r, schema, &in, "strict", &strict))
                out->schema_strict = strict ? TRI_YES : TRI_NO;
}

static bool decode_effort(struct json_reader *r, json_object *obj, const struct json_path *at,
                          const char *key, struct chat_reasoning *out)
{
        static const char *const efforts[] = {"none", "minimal", "low", "medium",
                                              "high", "xhigh",   "max", NULL};
        const char *word;
        if (!openai_get_word(r, obj, at, key, efforts, &word))
                return false;
        out->effort = effort_parse(word);
        if (out->effort == EFFORT_NONE)
                out->mode = THINKING_OFF;
        return true;
}

/* reasoning_effort; or OpenRouter's reasoning {effort, max_tokens, exclude, enabled}. */
static void decode_reasoning(struct json_reader *r, json_object *body, struct chat_request *out)
{
        struct json_path at = {.key = "reasoning"};
        struct chat_reasoning *reasoning = &out->reasoning;
        json_object *object;
        bool yes;
        bool effort = decode_effort(r, body, NULL, "reasoning_effort", reasoning);
        if (!json_get_object(r, body, NULL, "reasoning", &object))
                return;
        if (effort)
                json_fail(r, NULL, "reasoning",
                          "given together with reasoning_effort, which is the same field");
        decode_effort(r, object, &at, "effort", reasoning);
        if (json_get_int(r, object, &at, "max_tokens", 0, INT32_MAX, &reasoning->budget_tokens) &&
            reasoning->budget_tokens)
                reasoning->mode = THINKING_BUDGET;
        if (json_get_bool(r, object, &at, "exclude", &yes))
                reasoning->show = yes ? TRI_NO : TRI_YES;
        if (json_get_bool(r, object, &at, "enabled", &yes) && !yes)
                *reasoning = (struct chat_reasoning){.effort = EFFORT_NONE, .mode = THINKING_OFF};
}

static void decode_stream(struct json_reader *r, json_object *body, struct chat_request *out)
{
        struct json_path at = {.key = "stream_options"};
        json_object *options;
        bool ignored;
        json_get_bool(r, body, NULL, "stream", &out->stream);
        if (!json_get_object(r, body, NULL, "stream_options", &options))
                return;
        if (!out->stream)
                json_fail(r, NULL, "stream_options", "is only allowed where stream is true");
        json_get_bool(r, options, &at, "include_usage", &out->stream_usage);
        json_get_bool(r, options, &at, "include_obfuscation", &ignored);
}

static void decode_metadata(struct json_reader *r, json_object *body, struct chat_request *out)
{
        struct json_path at = {.key = "metadata"};
        if (!json_get_object(r, body, NULL, "metadata", &out->metadata))
                return;
        if (json_object_object_length(out->metadata) > METADATA_MAX)
                json_fail(r, NULL, "metadata", "at most %d pairs", METADATA_MAX);
        json_object_object_foreach(out->metadata, key, value)
        {
                struct str text = {0};
                if (openai_characters(str_of(key)) > METADATA_KEY_MAX)
                        json_fail(r, NULL, "metadata", "a key of more than %d characters", METADATA_KEY_MAX);
                if (!value)
                        json_fail(r, &at, key, "expected a string, got null");
                json_get_str(r, out->metadata, &at, key, &text);
                if (openai_characters(text) > METADATA_VALUE_MAX)
                        json_fail(r, &at, key, "more than %d characters", METADATA_VALUE_MAX);
        }
}

static void decode_hints(struct json_reader *r, json_object *body, struct chat_request *out)
{
        static const char *const verbosities[] = {"low", "medium", "high", NULL};
        struct str identifier = {0};
        bool store;
        json_get_string(r, body, NULL, "user", &out->user);
        if (json_get_str(r, body, NULL, "safety_identifier", &identifier)) {
                if (openai_characters(identifier) > IDENTIFIER_MAX)
                        json_fail(r, NULL, "safety_identifier", "more than %d characters", IDENTIFIER_MAX);
                if (!out->user)
                        json_get_string(r, body, NULL, "safety_identifier", &out->user);
        }
        json_get_string(r, body, NULL, "service_tier", &out->service_tier);
        json_get_string(r, body, NULL, "prompt_cache_key", &out->cache_key);
        json_get_object(r, body, NULL, "cache_control", &out->cache_control);
        openai_get_word(r, body, NULL, "verbosity", verbosities, &out->verbosity);
        if (json_get_bool(r, body, NULL, "store", &store))
                out->store = store ? TRI_YES : TRI_NO;
        decode_metadata(r, body, out);
}

bool openai_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err)
{
        json_object *body = json_parse(in->arena, in->body.at, in->body.len, JSON_FROM_CLIENT, err);
        if (!body)
                return false;
        struct json_reader r = {.arena = in->arena, .err = err};
        *out = (struct chat_request){.from = DIALECT_OPENAI};
        if (!json_object_is_type(body, json_type_object))
                return json_fail(&r, NULL, NULL, "expected an object, got %s", json_type_text(body));
        if (json_object_object_length(body) > OPENAI_MEMBERS_MAX)
                return json_fail(&r, NULL, NULL, "more than %d members", OPENAI_MEMBERS_MAX);
        json_get_string(&r, body, NULL, "model", &out->model);
        openai_decode_messages(&r, body, out);
        openai_decode_tools(&r, body, out);
        decode_max_tokens(&r, body, out);
        decode_sampling(&r, body, out);
        decode_stop(&r, body, out);
        decode_response_format(&r, body, out);
        decode_reasoning(&r, body, out);
        decode_stream(&r, body, out);
        decode_hints(&r, body, out);
        openai_keep_extras(&r, body, chat_names, &out->extras);
        return err->cause == ERR_NONE;
}
