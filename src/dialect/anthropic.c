/* The row of the dialect, and what is neither a request nor an answer: errors and lists of models. */
#include "dialect/anthropic.h"

#include <time.h>

/* ---- errors ---- */

/* The provider's own status, passed on, has a type of its own in this dialect. */
static const char *error_type(const struct err *e)
{
        static const struct {
                int status;
                const char *type;
        } passed_on[] = {
                {403, "permission_error"},  {404, "not_found_error"},  {409, "conflict_error"},
                {413, "request_too_large"}, {429, "rate_limit_error"},
        };
        for (size_t i = 0; e->cause == ERR_PROVIDER_REFUSED && i < sizeof passed_on / sizeof *passed_on;
             i++) {
                if (passed_on[i].status == e->status)
                        return passed_on[i].type;
        }
        return err_row(e->cause)->anthropic_type;
}

void anthropic_write_error(const struct answer_context *c, const struct err *e, struct json_writer *w)
{
        const char *type = error_type(e);
        jw_object(w);
        jw_key_string(w, "type", "error");
        jw_key_object(w, "error");
        jw_key_string(w, "type", type ? type : "api_error");
        jw_key_string(w, "message", e->message ? e->message : "");
        jw_end(w);
        jw_key_string(w, "request_id", c->request_id);
        jw_end(w);
}

static void encode_error(const struct answer_context *c, const struct err *e, struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        anthropic_write_error(c, e, &w);
}

/* ---- models ---- */

static void write_model(struct json_writer *w, const struct model_entry *m)
{
        char created[32] = "1970-01-01T00:00:00Z";
        time_t seconds = (time_t)m->created;
        struct tm tm;
        if (gmtime_r(&seconds, &tm))
                strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
        jw_object(w);
        jw_key_string(w, "type", "model");
        jw_key_string(w, "id", m->id);
        jw_key_string(w, "display_name", m->id);
        jw_key_string(w, "created_at", created);
        if (m->window)
                jw_key_int(w, "max_input_tokens", m->window);
        if (m->max_output)
                jw_key_int(w, "max_tokens", m->max_output);
        jw_end(w);
}

static void encode_model(const struct answer_context *c, const struct model_entry *model, struct buf *out)
{
        struct json_writer w;
        (void)c;
        json_writer_init(&w, out);
        write_model(&w, model);
}

static void encode_models(const struct answer_context *c, const struct model_entry *models, size_t count,
                          struct buf *out)
{
        struct json_writer w;
        (void)c;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_array(&w, "data");
        for (size_t i = 0; i < count; i++)
                write_model(&w, &models[i]);
        jw_end(&w);
        jw_key_bool(&w, "has_more", false);
        jw_key_string(&w, "first_id", count ? models[0].id : NULL);
        jw_key_string(&w, "last_id", count ? models[count - 1].id : NULL);
        jw_end(&w);
}

/* ---- forms ---- */

static enum answer_format answer_format(const struct client_input *in, bool stream)
{
        (void)in;
        return stream ? ANSWER_SSE : ANSWER_JSON;
}

static const char *content_type(enum answer_format format)
{
        return format == ANSWER_SSE ? "text/event-stream; charset=utf-8" : "application/json";
}

const struct dialect dialect_anthropic = {
        .id = DIALECT_ANTHROPIC,
        .name = "anthropic",
        .stream_end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        .fields =
                {
                        [FIELD_MODEL] = {{"model"}},
                        [FIELD_MESSAGES] = {{"messages"}},
                        [FIELD_SYSTEM] = {{"system"}},
                        [FIELD_MAX_TOKENS] = {{"max_tokens"}},
                        [FIELD_TEMPERATURE] = {{"temperature"}},
                        [FIELD_TOP_P] = {{"top_p"}},
                        [FIELD_TOP_K] = {{"top_k"}},
                        [FIELD_STOP] = {{"stop_sequences"}},
                        [FIELD_TOOLS] = {{"tools"}},
                        [FIELD_TOOL_CHOICE] = {{"tool_choice"}},
                        [FIELD_PARALLEL_TOOLS] = {{"tool_choice.disable_parallel_tool_use"}},
                        [FIELD_RESPONSE_FORMAT] = {{"output_config.format", "output_format"}},
                        [FIELD_REASONING] = {{"thinking", "output_config.effort"}},
                        [FIELD_STREAM] = {{"stream"}},
                        [FIELD_USER] = {{"metadata.user_id"}},
                        [FIELD_SERVICE_TIER] = {{"service_tier"}},
                        [FIELD_METADATA] = {{"metadata"}},
                        [FIELD_CACHE_CONTROL] = {{"cache_control"}},
                },
        .decode_chat_request = anthropic_decode_chat_request,
        .answer_format = answer_format,
        .encode_chat_reply = anthropic_encode_chat_reply,
        .encode_error = encode_error,
        .encoder_new = anthropic_encoder_new,
        .encode_event = anthropic_encode_event,
        .encode_stream_error = anthropic_encode_stream_error,
        .encode_keepalive = anthropic_encode_keepalive,
        .encode_models = encode_models,
        .encode_model = encode_model,
        .content_type = content_type,
        .encode_chat_request = anthropic_encode_chat_request,
        .address_chat_request = anthropic_address_chat_request,
        .decode_chat_reply = anthropic_decode_chat_reply,
        .decode_error = anthropic_decode_error,
        .decoder_new = anthropic_decoder_new,
        .decode_event = anthropic_decode_event,
        .decode_end = anthropic_decode_end,
};
