/* The rows of the catalogue (config/model_caps.h), and the fields that `set` and `default` of a version may
 * name. */
#include "config/setting_rows.h"

#define CAPS(member) .place = 1 + offsetof(struct config_catalogue_row, caps.member)
#define TRI(member)                                                                                          \
        {                                                                                                    \
                .name = #member, .type = SETTING_TRI, CAPS(member)                                           \
        }

static const struct setting_word tasks[] = {
        {"chat", TASK_CHAT},
        {"vision", TASK_VISION},
        {"embed", TASK_EMBED},
        {0},
};
static const struct setting_word samplings[] = {
        {"true", SAMPLING_YES},
        {"false", SAMPLING_NO},
        {"without_reasoning", SAMPLING_WITHOUT_REASONING},
        {0},
};
static const struct setting_word reasonings[] = {
        {"none", REASONING_NONE},   {"effort", REASONING_EFFORT},     {"budget", REASONING_BUDGET},
        {"level", REASONING_LEVEL}, {"adaptive", REASONING_ADAPTIVE}, {0},
};
static const struct setting_word effort_bits[] = {
        {"none", 1 << EFFORT_NONE}, {"minimal", 1 << EFFORT_MINIMAL},
        {"low", 1 << EFFORT_LOW},   {"medium", 1 << EFFORT_MEDIUM},
        {"high", 1 << EFFORT_HIGH}, {"xhigh", 1 << EFFORT_XHIGH},
        {"max", 1 << EFFORT_MAX},   {0},
};
static const struct setting_word offs[] = {
        {"omit", THINKING_OFF_OMIT},
        {"disabled", THINKING_OFF_DISABLED},
        {"between_tools", THINKING_OFF_BETWEEN_TOOLS},
        {"never", THINKING_OFF_NEVER},
        {0},
};
static const struct setting_word structureds[] = {
        {"none", STRUCTURED_NONE},
        {"json_object", STRUCTURED_JSON_OBJECT},
        {"json_schema", STRUCTURED_JSON_SCHEMA},
        {"output_config", STRUCTURED_OUTPUT_CONFIG},
        {"forced_tool", STRUCTURED_FORCED_TOOL},
        {0},
};
static const struct setting_word max_tokens_fields[] = {{"max_tokens", 0}, {"max_completion_tokens", 0}, {0}};

static const struct setting caps_rows[] = {
        {.name = "model",
         .type = SETTING_STRING,
         .required = true,
         .check = value_id,
         .place = 1 + offsetof(struct config_catalogue_row, pattern)},
        {.name = "window", .type = SETTING_INT, .min = 1, .max = 1e12, CAPS(window)},
        {.name = "max_output", .type = SETTING_INT, .min = 1, .max = 1e12, CAPS(max_output)},
        {.name = "tasks", .type = SETTING_WORDS, .words = tasks, CAPS(tasks)},
        TRI(vision),
        TRI(documents),
        TRI(audio),
        TRI(tools),
        TRI(forced_tools),
        TRI(prefill),
        TRI(seed),
        TRI(logprobs),
        TRI(penalties),
        TRI(stop),
        TRI(top_k),
        TRI(candidates),
        TRI(parallel_tool_switch),
        TRI(image_urls),
        TRI(tool_result_images),
        TRI(mid_system),
        TRI(tools_with_reasoning),
        TRI(bound_thinking),
        TRI(forced_with_reasoning),
        TRI(signatures),
        TRI(dimensions),
        TRI(cache_control),
        {.name = "sampling", .type = SETTING_WORD, .words = samplings, CAPS(sampling)},
        {.name = "reasoning", .type = SETTING_WORD, .words = reasonings, CAPS(reasoning)},
        {.name = "efforts", .type = SETTING_WORDS, .words = effort_bits, CAPS(efforts)},
        {.name = "off", .type = SETTING_WORD, .words = offs, CAPS(off)},
        {.name = "budget_min", .type = SETTING_INT, .min = 0, .max = 1e9, CAPS(budget_min)},
        {.name = "budget_max", .type = SETTING_INT, .min = 0, .max = 1e9, CAPS(budget_max)},
        {.name = "structured", .type = SETTING_WORD, .words = structureds, CAPS(structured)},
        TRI(developer_role),
        {.name = "max_tokens_field",
         .type = SETTING_CHOICE,
         .words = max_tokens_fields,
         CAPS(max_tokens_field)},
        {.name = "api_version", .type = SETTING_DATE, CAPS(api_version)},
        {.name = "retires", .type = SETTING_DATE, CAPS(retires)},
        {.name = "tool_id_length", .type = SETTING_INT, .min = 8, .max = 40, CAPS(tool_id_length)},
        {.name = "batch_inputs", .type = SETTING_INT, .min = 1, .max = 1e6, CAPS(batch_inputs)},
        {.name = "cache_min", .type = SETTING_INT, .min = 1, .max = 1e9, CAPS(cache_min)},
};
const struct setting_group setting_caps = {
        .title = "catalogue",
        .settings = caps_rows,
        .count = COUNT(caps_rows),
        .size = sizeof(struct config_catalogue_row),
};

static const struct setting_word effort_words[] = {
        {"none", 0}, {"minimal", 0}, {"low", 0}, {"medium", 0}, {"high", 0}, {"xhigh", 0}, {"max", 0}, {0},
};
static const struct setting_word verbosities[] = {{"low", 0}, {"medium", 0}, {"high", 0}, {0}};

const struct setting_field setting_fields[] = {
        {.name = "temperature", .type = CONFIG_FIELD_NUMBER, .min = 0, .max = 2},
        {.name = "top_p", .type = CONFIG_FIELD_NUMBER, .min = 0, .max = 1},
        {.name = "top_k", .type = CONFIG_FIELD_INT, .min = 0, .max = 1e6},
        {.name = "max_tokens", .type = CONFIG_FIELD_INT, .min = 1, .max = 1e9},
        {.name = "seed", .type = CONFIG_FIELD_INT, .min = -9e15, .max = 9e15},
        {.name = "stop", .type = CONFIG_FIELD_STRINGS},
        {.name = "n", .type = CONFIG_FIELD_INT, .min = 1, .max = 128},
        {.name = "presence_penalty", .type = CONFIG_FIELD_NUMBER, .min = -2, .max = 2},
        {.name = "frequency_penalty", .type = CONFIG_FIELD_NUMBER, .min = -2, .max = 2},
        {.name = "reasoning_effort", .type = CONFIG_FIELD_STRING, .words = effort_words},
        {.name = "verbosity", .type = CONFIG_FIELD_STRING, .words = verbosities},
        {.name = "parallel_tool_calls", .type = CONFIG_FIELD_BOOL},
        {.name = "logprobs", .type = CONFIG_FIELD_BOOL},
        {.name = "top_logprobs", .type = CONFIG_FIELD_INT, .min = 0, .max = 20},
        {.name = "user", .type = CONFIG_FIELD_STRING},
        {.name = "service_tier", .type = CONFIG_FIELD_STRING},
        {.name = "store", .type = CONFIG_FIELD_BOOL},
        {.name = "prompt_cache_key", .type = CONFIG_FIELD_STRING},
        {.name = "dimensions", .type = CONFIG_FIELD_INT, .min = 1, .max = 1e6},
};
const size_t setting_field_count = COUNT(setting_fields);
