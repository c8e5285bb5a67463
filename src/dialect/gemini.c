#include "dialect/gemini.h"

#include <string.h>

/* Every mix of the two spellings is taken by proto3 JSON, so every mix must be found by edits. */
#define CONFIG(camel, snake)                                                                                 \
        {                                                                                                    \
                {                                                                                            \
                        "generationConfig." camel, "generationConfig." snake, "generation_config." camel,    \
                                "generation_config." snake                                                   \
                }                                                                                            \
        }
#define CONFIG_ONE(name)                                                                                     \
        {                                                                                                    \
                {                                                                                            \
                        "generationConfig." name, "generation_config." name                                  \
                }                                                                                            \
        }

static enum answer_format answer_format(const struct client_input *in, bool stream)
{
        if (!in->path_stream && !stream)
                return ANSWER_JSON;
        const struct form_field *alt = in->query ? form_find(in->query, "alt") : NULL;
        return alt && str_is(alt->value, "sse") ? ANSWER_SSE : ANSWER_JSON_ARRAY;
}

static const char *content_type(enum answer_format format)
{
        return format == ANSWER_SSE ? "text/event-stream" : "application/json; charset=UTF-8";
}

static void write_model(struct json_writer *w, struct arena *a, const struct model_entry *model)
{
        jw_object(w);
        jw_key_string(w, "name", arena_printf(a, "models/%s", model->id));
        jw_key_string(w, "version", "");
        jw_key_string(w, "displayName", model->id);
        if (model->window > 0)
                jw_key_int(w, "inputTokenLimit", model->window);
        if (model->max_output > 0)
                jw_key_int(w, "outputTokenLimit", model->max_output);
        jw_key_array(w, "supportedGenerationMethods");
        if (model->tasks & (TASK_CHAT | TASK_VISION)) {
                jw_string(w, "generateContent");
                jw_string(w, "streamGenerateContent");
        }
        if (model->tasks & TASK_EMBED) {
                jw_string(w, "embedContent");
                jw_string(w, "batchEmbedContents");
        }
        jw_end(w);
        jw_end(w);
}

static void encode_models(const struct answer_context *c, const struct model_entry *models, size_t count,
                          struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_array(&w, "models");
        for (size_t i = 0; i < count; i++)
                write_model(&w, c->arena, &models[i]);
        jw_end(&w);
        jw_end(&w);
}

static void encode_model(const struct answer_context *c, const struct model_entry *model, struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        write_model(&w, c->arena, model);
}

const struct dialect dialect_gemini = {
        .id = DIALECT_GEMINI,
        .name = "gemini",
        .fields =
                {
                        /* The model stands in the path: no member to replace. */
                        [FIELD_MESSAGES] = {{"contents"}},
                        [FIELD_SYSTEM] = {{"systemInstruction", "system_instruction"}},
                        [FIELD_MAX_TOKENS] = CONFIG("maxOutputTokens", "max_output_tokens"),
                        [FIELD_TEMPERATURE] = CONFIG_ONE("temperature"),
                        [FIELD_TOP_P] = CONFIG("topP", "top_p"),
                        [FIELD_TOP_K] = CONFIG("topK", "top_k"),
                        [FIELD_PRESENCE_PENALTY] = CONFIG("presencePenalty", "presence_penalty"),
                        [FIELD_FREQUENCY_PENALTY] = CONFIG("frequencyPenalty", "frequency_penalty"),
                        [FIELD_SEED] = CONFIG_ONE("seed"),
                        [FIELD_N] = CONFIG("candidateCount", "candidate_count"),
                        [FIELD_STOP] = CONFIG("stopSequences", "stop_sequences"),
                        [FIELD_LOGPROBS] = CONFIG("responseLogprobs", "response_logprobs"),
                        [FIELD_TOP_LOGPROBS] = CONFIG_ONE("logprobs"),
                        [FIELD_TOOLS] = {{"tools"}},
                        [FIELD_TOOL_CHOICE] = {{"toolConfig", "tool_config"}},
                        [FIELD_RESPONSE_FORMAT] = CONFIG("responseMimeType", "response_mime_type"),
                        [FIELD_REASONING] = CONFIG("thinkingConfig", "thinking_config"),
                        [FIELD_SERVICE_TIER] = {{"serviceTier", "service_tier"}},
                        [FIELD_STORE] = {{"store"}},
                        [FIELD_METADATA] = {{"labels"}},
                        [FIELD_CACHE_KEY] = {{"cachedContent", "cached_content"}},
                        [FIELD_AUDIO_OUTPUT] = CONFIG("responseModalities", "response_modalities"),
                        [FIELD_DIMENSIONS] = {{"outputDimensionality", "output_dimensionality"}},
                        [FIELD_INPUT] = {{"content"}},
                },
        .decode_chat_request = gemini_decode_chat_request,
        .decode_embed_request = gemini_decode_embed_request,
        .answer_format = answer_format,
        .encode_chat_reply = gemini_encode_chat_reply,
        .encode_embed_reply = gemini_encode_embed_reply,
        .encode_error = gemini_encode_error,
        .encoder_new = gemini_encoder_new,
        .encode_event = gemini_encode_event,
        .encode_stream_error = gemini_encode_stream_error,
        .encode_keepalive = gemini_encode_keepalive,
        .encode_models = encode_models,
        .encode_model = encode_model,
        .content_type = content_type,
        .encode_chat_request = gemini_encode_chat_request,
        .encode_embed_request = gemini_encode_embed_request,
        .address_chat_request = gemini_address_chat_request,
        .decode_chat_reply = gemini_decode_chat_reply,
        .decode_embed_reply = gemini_decode_embed_reply,
        .decode_error = gemini_decode_error,
        .decoder_new = gemini_decoder_new,
        .decode_event = gemini_decode_event,
        .decode_end = gemini_decode_end,
};

void gemini_release_json(void *node)
{
        json_object_put(node);
}
