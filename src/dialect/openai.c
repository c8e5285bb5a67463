#include "dialect/openai.h"

static enum answer_format answer_format(const struct client_input *in, bool stream)
{
        (void)in;
        return stream ? ANSWER_SSE : ANSWER_JSON;
}

static const char *content_type(enum answer_format format)
{
        return format == ANSWER_SSE ? "text/event-stream; charset=utf-8" : "application/json";
}

static void write_model(struct json_writer *w, const struct model_entry *m)
{
        jw_object(w);
        jw_key_string(w, "id", m->id);
        jw_key_string(w, "object", "model");
        jw_key_int(w, "created", m->created);
        jw_key_string(w, "owned_by", "tollgate");
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
        jw_key_string(&w, "object", "list");
        jw_key_array(&w, "data");
        for (size_t i = 0; i < count; i++)
                write_model(&w, &models[i]);
        jw_end(&w);
        jw_end(&w);
}

const struct dialect dialect_openai = {
        .id = DIALECT_OPENAI,
        .name = "openai",
        .fields =
                {
                        [FIELD_MODEL] = {{"model"}},
                        [FIELD_MESSAGES] = {{"messages"}},
                        [FIELD_SYSTEM] = {{"system"}},
                        [FIELD_MAX_TOKENS] = {{"max_tokens", "max_completion_tokens"}},
                        [FIELD_TEMPERATURE] = {{"temperature"}},
                        [FIELD_TOP_P] = {{"top_p"}},
                        [FIELD_TOP_K] = {{"top_k"}},
                        [FIELD_PRESENCE_PENALTY] = {{"presence_penalty"}},
                        [FIELD_FREQUENCY_PENALTY] = {{"frequency_penalty"}},
                        [FIELD_SEED] = {{"seed"}},
                        [FIELD_N] = {{"n"}},
                        [FIELD_STOP] = {{"stop"}},
                        [FIELD_LOGPROBS] = {{"logprobs"}},
                        [FIELD_TOP_LOGPROBS] = {{"top_logprobs"}},
                        [FIELD_LOGIT_BIAS] = {{"logit_bias"}},
                        [FIELD_TOOLS] = {{"tools", "functions"}},
                        [FIELD_TOOL_CHOICE] = {{"tool_choice", "function_call"}},
                        [FIELD_PARALLEL_TOOLS] = {{"parallel_tool_calls"}},
                        [FIELD_RESPONSE_FORMAT] = {{"response_format"}},
                        [FIELD_REASONING] = {{"reasoning_effort", "reasoning"}},
                        [FIELD_STREAM] = {{"stream"}},
                        [FIELD_STREAM_USAGE] = {{"stream_options.include_usage"}},
                        [FIELD_USER] = {{"user", "safety_identifier"}},
                        [FIELD_SERVICE_TIER] = {{"service_tier"}},
                        [FIELD_STORE] = {{"store"}},
                        [FIELD_METADATA] = {{"metadata"}},
                        [FIELD_CACHE_KEY] = {{"prompt_cache_key"}},
                        [FIELD_CACHE_CONTROL] = {{"prompt_cache_breakpoint"}},
                        [FIELD_VERBOSITY] = {{"verbosity"}},
                        [FIELD_AUDIO_OUTPUT] = {{"audio", "modalities"}},
                        [FIELD_DIMENSIONS] = {{"dimensions"}},
                        [FIELD_INPUT] = {{"input"}},
                },
        .stream_end = "data: [DONE]\n\n",
        .decode_chat_request = openai_decode_chat_request,
        .decode_embed_request = openai_decode_embed_request,
        .answer_format = answer_format,
        .encode_chat_reply = openai_encode_chat_reply,
        .encode_embed_reply = openai_encode_embed_reply,
        .encode_error = openai_encode_error,
        .encoder_new = openai_encoder_new,
        .encode_event = openai_encode_event,
        .encode_stream_error = openai_encode_stream_error,
        .encode_keepalive = openai_encode_keepalive,
        .encode_models = encode_models,
        .encode_model = encode_model,
        .content_type = content_type,
        .encode_chat_request = openai_encode_chat_request,
        .encode_embed_request = openai_encode_embed_request,
        .address_chat_request = openai_address_chat_request,
        .decode_chat_reply = openai_decode_chat_reply,
        .decode_embed_reply = openai_decode_embed_reply,
        .decode_error = openai_decode_error,
        .decoder_new = openai_decoder_new,
        .decode_event = openai_decode_event,
        .decode_end = openai_decode_end,
};
