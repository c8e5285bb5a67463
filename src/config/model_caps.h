/*
 * What an upstream model can do and refuse: a row of the catalogue, with unset fields. Rows are merged field
 * by field (policy/catalogue.h); a field that stays unset means the dialect's plain default. A pure struct,
 * so that dialects, which know no configuration, may look at it.
 */
#ifndef TOLLGATE_CONFIG_MODEL_CAPS_H
#define TOLLGATE_CONFIG_MODEL_CAPS_H

#include <stdbool.h>
#include <stdint.h>

enum tri { TRI_UNSET = 0, TRI_NO = 1, TRI_YES = 2 };

enum model_task { TASK_CHAT = 1, TASK_VISION = 2, TASK_EMBED = 4 };

/* Ordered: a lower one asks for less thought. */
enum effort {
        EFFORT_UNSET,
        EFFORT_NONE,
        EFFORT_MINIMAL,
        EFFORT_LOW,
        EFFORT_MEDIUM,
        EFFORT_HIGH,
        EFFORT_XHIGH,
        EFFORT_MAX,
        EFFORTS
};

enum reasoning_kind {
        REASONING_UNSET,
        REASONING_NONE,     /* the model has no such control */
        REASONING_EFFORT,   /* openai: reasoning_effort */
        REASONING_BUDGET,   /* a count of tokens: anthropic thinking.budget_tokens, gemini thinkingBudget */
        REASONING_LEVEL,    /* gemini: thinkingLevel */
        REASONING_ADAPTIVE, /* anthropic: thinking {type: adaptive} with output_config.effort */
};

enum sampling_rule {
        SAMPLING_UNSET,
        SAMPLING_YES,
        SAMPLING_NO,
        SAMPLING_WITHOUT_REASONING, /* taken only with effort none (gpt-5.1 and later) */
};

enum structured_kind {
        STRUCTURED_UNSET,
        STRUCTURED_NONE,          /* no way */
        STRUCTURED_JSON_OBJECT,   /* json_object only */
        STRUCTURED_JSON_SCHEMA,   /* the dialect's native schema field (openai response_format, gemini
                                     responseJsonSchema) */
        STRUCTURED_OUTPUT_CONFIG, /* anthropic output_config.format */
        STRUCTURED_FORCED_TOOL,   /* by a forced tool whose input is the answer */
};

/* How thinking is turned off, for models that think unless told otherwise. */
enum thinking_off {
        THINKING_OFF_UNSET,
        THINKING_OFF_OMIT,          /* leave the field out */
        THINKING_OFF_DISABLED,      /* anthropic {type: disabled}; gemini budget 0; openai effort none */
        THINKING_OFF_BETWEEN_TOOLS, /* anthropic {type: between_tools} */
        THINKING_OFF_NEVER,         /* cannot: the lowest effort or level is taken */
};

struct model_caps {
        int64_t window;     /* tokens; 0: unset */
        int64_t max_output; /* tokens; 0: unset */
        unsigned tasks;     /* enum model_task bits; 0: unset */
        enum tri vision, documents, audio, tools, forced_tools, prefill, seed, logprobs, penalties, stop,
                top_k;
        enum tri candidates;            /* n > 1 */
        enum tri parallel_tool_switch;  /* parallel_tool_calls: false is understood */
        enum tri image_urls;            /* fetches http(s) image URLs itself; else they are fetched here */
        enum tri tool_result_images;    /* images inside tool results */
        enum tri mid_system;            /* system messages in mid-conversation */
        enum tri tools_with_reasoning;  /* NO: effort none is sent when tools are there (gpt-5.6 on chat) */
        enum tri bound_thinking;        /* YES: a thought counts only behind the same words as before */
        enum tri forced_with_reasoning; /* NO: no forced tool while it thinks */
        enum tri signatures;    /* YES: wants thought signatures on function calls (gemini 3 and later) */
        enum tri dimensions;    /* embed: takes `dimensions` */
        enum tri cache_control; /* openai: takes anthropic's marks for its cache on parts and tools */
        enum sampling_rule sampling;
        enum reasoning_kind reasoning;
        unsigned efforts; /* bits 1 << enum effort; 0: unset */
        enum thinking_off off;
        int64_t budget_min, budget_max; /* tokens of thought, for REASONING_BUDGET; 0: unset */
        enum structured_kind structured;
        enum tri developer_role;      /* openai: takes role developer */
        const char *max_tokens_field; /* openai: "max_tokens" or "max_completion_tokens"; NULL: unset */
        const char *api_version;      /* anthropic-version to send; NULL: unset */
        const char *retires;          /* "2026-12-11"; NULL: unset */
        int64_t tool_id_length; /* openai: ids of tool calls are exactly so many letters and digits; 0: any */
        int64_t batch_inputs;   /* embed: inputs in one call; 0: unset */
        int64_t cache_min;      /* anthropic: tokens from which on a prompt is cached; 0: unset */
};

#endif
