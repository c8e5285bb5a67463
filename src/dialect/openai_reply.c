#include "dialect/openai.h"
#include "dialect/tool_name.h"
#include "dialect/usage.h"

/* ---- small readers, shared with the stream ---- */

/* Counts said twice, once too small: servers whose completion_tokens leave the reasoning out (xAI) say so by
 * the total. */
static void include_reasoning(json_object *usage, struct chat_usage *out)
{
        int64_t total = json_peek_count(usage, "total_tokens");
        if (out->reasoning && total && total == out->input + out->output + out->reasoning)
                out->output += out->reasoning;
        else if (out->reasoning > out->output)
                out->output = out->reasoning;
}

static int64_t first_count(json_object *a, const char *a_key, json_object *b, const char *b_key)
{
        int64_t n = json_peek_count(a, a_key);
        return n ? n : json_peek_count(b, b_key);
}

bool openai_count_usage(json_object *usage, struct chat_usage *out)
{
        json_object *in = json_peek_object(usage, "prompt_tokens_details");
        json_object *made = json_peek_object(usage, "completion_tokens_details");
        struct chat_usage u = {
                .input = first_count(usage, "prompt_tokens", usage, "input_tokens"),
                .output = first_count(usage, "completion_tokens", usage, "output_tokens"),
                .cached = first_count(in, "cached_tokens", usage, "prompt_cache_hit_tokens"),
                .cache_write = json_peek_count(in, "cache_write_tokens"),
                .reasoning = first_count(made, "reasoning_tokens", usage, "reasoning_tokens"),
                .audio_input = json_peek_count(in, "audio_tokens"),
                .audio_output = json_peek_count(made, "audio_tokens"),
                .image_input = json_peek_count(in, "image_tokens"),
                .reported_pico = usage_cost(usage),
        };
        if (!u.cached)
                u.cached = first_count(usage, "cached_tokens", usage, "num_cached_tokens");
        include_reasoning(usage, &u);
        u.known = u.input || u.output;
        if (u.cached > u.input)
                u.cached = u.input;
        if (u.cache_write > u.input - u.cached)
                u.cache_write = u.input - u.cached;
        if (u.known)
                *out = u;
        return u.known;
}

bool openai_read_usage(json_object *body, struct chat_usage *out)
{
        json_object *usage = json_peek_object(body, "usage");
        if (!usage)
                usage = json_peek_object(json_peek_object(body, "x_groq"), "usage");
        if (!usage || !openai_count_usage(usage, out))
                return false;
        out->tier = usage_tier(json_peek_string(body, "service_tier"));
        return true;
}

enum chat_finish openai_read_finish(const char *word)
{
        static const struct {
                const char *word;
                enum chat_finish finish;
        } words[] = {
                {"stop", FINISH_STOP},
                {"length", FINISH_LENGTH},
                {"tool_calls", FINISH_TOOL},
                {"content_filter", FINISH_FILTER},
                {"function_call", FINISH_TOOL},
                {"model_length", FINISH_LENGTH},
                {"max_tokens", FINISH_LENGTH},
                {"error", FINISH_ERROR},
                {"insufficient_system_resource", FINISH_ERROR},
        };
        if (!word || !*word)
                return FINISH_NONE;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                if (strcmp(words[i].word, word) == 0)
                        return words[i].finish;
        }
        return FINISH_STOP;
}

const char *openai_made_call_id(struct arena *a, const char *reply_id, int64_t choice, int64_t block)
{
        const char *id = reply_id ? reply_id : "0";
        size_t len = strlen(id), start = len > 24 ? len - 24 : 0;
        char *made = arena_printf(a, "call_%s_%lld_%lld", id + start, (long long)choice, (long long)block);
        for (char *c = made; *c; c++) {
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c))
                        *c = '_';
        }
        return made;
}

struct str openai_custom_arguments(struct arena *a, struct str input)
{
        struct buf json;
        struct json_writer w;
        buf_init(&json, input.len * 6 + 64);
        json_writer_init(&w, &json);
        jw_object(&w);
        jw_key_str(&w, "input", input);
        jw_end(&w);
        struct str text = arena_str(a, json.data, json.len);
        buf_release(&json);
        return text;
}

struct chat_citation *openai_read_annotation(struct arena *a, json_object *annotation)
{
        json_object *cited = json_peek_object(annotation, "url_citation");
        const char *url = json_peek_string(cited, "url");
        if (!url)
                return NULL;
        struct chat_citation *c = arena_alloc(a, sizeof *c);
        *c = (struct chat_citation){
                .url = url,
                .title = json_peek_string(cited, "title"),
                .cited_text = json_peek_str(cited, "content"),
                .start = json_peek_count(cited, "start_index"),
                .end = json_peek_count(cited, "end_index"),
                .raw = annotation,
                .raw_dialect = DIALECT_OPENAI,
        };
        return c;
}

/* ---- a message ---- */

static void append_block(struct chat_choice *c, struct chat_block *b)
{
        b->next = NULL;
        if (c->last_block)
                c->last_block->next = b;
        else
                c->blocks = b;
        c->last_block = b;
}

static void add_text(struct arena *a, struct chat_choice *c, enum chat_block_type type, struct str text)
{
        if (text.len)
                chat_add_reply_block(a, c, type)->text = text;
}

/* Mistral's {type: thinking, thinking: [{type: text, text}]}; the inner part may be a plain text. */
static void read_thinking_part(struct arena *a, struct chat_choice *c, json_object *part)
{
        json_object *inner = json_peek_array(part, "thinking");
        add_text(a, c, BLOCK_THINKING, json_peek_str(part, "thinking"));
        size_t count = inner ? json_object_array_length(inner) : 0;
        for (size_t i = 0; i < count; i++)
                add_text(a, c, BLOCK_THINKING, json_peek_str(json_object_array_get_idx(inner, i), "text"));
}

static void read_data_image(struct arena *a, struct chat_choice *c, json_object *part)
{
        struct str url = json_peek_str(json_peek_object(part, "image_url"), "url");
        struct chat_source source;
        if (url.len && chat_parse_data_url(a, url.at, url.len, &source))
                chat_add_reply_block(a, c, BLOCK_IMAGE)->source = source;
}

static void read_content(struct arena *a, struct chat_choice *c, json_object *message)
{
        json_object *parts = json_peek_array(message, "content");
        add_text(a, c, BLOCK_TEXT, json_peek_str(message, "content"));
        size_t count = parts ? json_object_array_length(parts) : 0;
        for (size_t i = 0; i < count; i++) {
                json_object *part = json_object_array_get_idx(parts, i);
                const char *type = json_peek_string(part, "type");
                if (type && strcmp(type, "thinking") == 0)
                        read_thinking_part(a, c, part);
                else if (type && strcmp(type, "refusal") == 0)
                        add_text(a, c, BLOCK_REFUSAL, json_peek_str(part, "refusal"));
                else if (type && strcmp(type, "image_url") == 0)
                        read_data_image(a, c, part);
                else
                        add_text(a, c, BLOCK_TEXT, json_peek_str(part, "text"));
        }
        json_object *images = json_peek_array(message, "images");
        count = images ? json_object_array_length(images) : 0;
        for (size_t i = 0; i < count; i++)
                read_data_image(a, c, json_object_array_get_idx(images, i));
}

static void read_arguments(struct arena *a, struct chat_block *b, json_object *function)
{
        struct err ignored = {0};
        json_object *object = json_peek_object(function, "arguments");
        b->arguments_text = json_peek_str(function, "arguments");
        if (b->arguments_text.len)
                object = json_parse(a, b->arguments_text.at, b->arguments_text.len, JSON_FROM_PROVIDER,
                                    &ignored);
        b->arguments = json_object_is_type(object, json_type_object) ? object : NULL;
}

static void read_call(struct arena *a, struct chat_choice *c, json_object *call, const char *reply_id,
                      int64_t index)
{
        json_object *function = json_peek_object(call, "function"),
                    *custom = json_peek_object(call, "custom");
        const char *name = json_peek_string(function ? function : custom, "name");
        if (!name || !*name)
                return;
        struct chat_block *b = chat_add_reply_block(a, c, BLOCK_TOOL_CALL);
        b->id = json_peek_string(call, "id");
        if (!b->id || !*b->id)
                b->id = openai_made_call_id(a, reply_id, c->index, index);
        b->name = tool_name_back(a, name);
        openai_read_call_signature(a, call, b);
        if (function) {
                read_arguments(a, b, function);
                return;
        }
        b->arguments_text = openai_custom_arguments(a, json_peek_str(custom, "input"));
        b->raw = call;
        b->raw_dialect = DIALECT_OPENAI;
}

static void read_calls(struct arena *a, struct chat_choice *c, json_object *message, const char *reply_id)
{
        json_object *calls = json_peek_array(message, "tool_calls");
        json_object *function = json_peek_object(message, "function_call");
        size_t count = calls ? json_object_array_length(calls) : 0;
        for (size_t i = 0; i < count && i < OPENAI_CALLS_MAX; i++)
                read_call(a, c, json_object_array_get_idx(calls, i), reply_id, (int64_t)i);
        const char *name = json_peek_string(function, "name");
        if (count || !name || !*name)
                return;
        struct chat_block *b = chat_add_reply_block(a, c, BLOCK_TOOL_CALL);
        b->id = openai_made_call_id(a, reply_id, c->index, 0);
        b->name = tool_name_back(a, name);
        read_arguments(a, b, function);
}

static void read_annotations(struct arena *a, struct chat_choice *c, json_object *message)
{
        json_object *annotations = json_peek_array(message, "annotations");
        struct chat_block *text = c->blocks;
        while (text && text->type != BLOCK_TEXT)
                text = text->next;
        if (!annotations || !text)
                return;
        struct chat_citation **tail = &text->citations;
        size_t count = json_object_array_length(annotations);
        for (size_t i = 0; i < count; i++) {
                *tail = openai_read_annotation(a, json_object_array_get_idx(annotations, i));
                if (*tail)
                        tail = &(*tail)->next;
        }
}

static void read_message(struct arena *a, struct chat_choice *c, json_object *message, const char *reply_id)
{
        struct openai_thoughts thoughts;
        openai_read_thoughts(a, message, false, &thoughts);
        for (struct chat_block *b = thoughts.first, *next; b; b = next) {
                next = b->next;
                append_block(c, b);
        }
        read_content(a, c, message);
        add_text(a, c, BLOCK_REFUSAL, json_peek_str(message, "refusal"));
        read_calls(a, c, message, reply_id);
        read_annotations(a, c, message);
        openai_sign_next(&thoughts, c->blocks);
        if (json_peek_string(json_peek_object(message, "audio"), "data")) {
                struct chat_block *b = chat_add_reply_block(a, c, BLOCK_OTHER);
                b->raw = message;
                b->raw_dialect = DIALECT_OPENAI;
        }
}

static bool has_call(const struct chat_choice *c)
{
        for (const struct chat_block *b = c->blocks; b; b = b->next) {
                if (b->type == BLOCK_TOOL_CALL)
                        return true;
        }
        return false;
}

static void read_choice(struct arena *a, struct chat_reply *out, json_object *choice, int64_t position)
{
        struct chat_choice *c = chat_add_choice(a, out);
        json_object *message = json_peek_object(choice, "message");
        c->index = json_peek(choice, "index") ? json_peek_count(choice, "index") : position;
        if (c->index >= OPENAI_CHOICES_MAX)
                c->index = position;
        read_message(a, c, message, out->id);
        add_text(a, c, BLOCK_TEXT, json_peek_str(choice, "text"));
        c->finish_raw = json_peek_string(choice, "finish_reason");
        c->finish = openai_read_finish(c->finish_raw);
        /* A forced function ends in "stop" at openai itself; what counts is that there are calls to answer.
         */
        if ((c->finish == FINISH_STOP || c->finish == FINISH_NONE) && has_call(c))
                c->finish = FINISH_TOOL;
        else if (c->finish == FINISH_NONE)
                c->finish = FINISH_STOP;
        json_object *logprobs = json_peek_object(choice, "logprobs");
        c->logprobs = json_peek_array(logprobs, "content") ? logprobs : NULL;
}

static bool is_error_finish(json_object *choices)
{
        json_object *first = json_object_array_get_idx(choices, 0);
        return openai_read_finish(json_peek_string(first, "finish_reason")) == FINISH_ERROR;
}

bool openai_decode_chat_reply(struct arena *a, struct str body, struct chat_reply *out,
                              struct upstream_fault *fault)
{
        struct err err = {0};
        json_object *tree = json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err);
        json_object *choices = json_peek_array(tree, "choices");
        size_t count = choices ? json_object_array_length(choices) : 0;
        *out = (struct chat_reply){0};
        if (!tree) {
                *fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .message = err.message};
                return false;
        }
        if (openai_find_error(tree) || (count && is_error_finish(choices))) {
                openai_fault_in_body(a, tree, fault);
                return false;
        }
        if (!count || count > OPENAI_CHOICES_MAX) {
                *fault = (struct upstream_fault){.kind = FAULT_MALFORMED,
                                                 .message = "the answer has no choices"};
                return false;
        }
        out->id = json_peek_string(tree, "id");
        out->model = json_peek_string(tree, "model");
        out->created = json_peek_count(tree, "created");
        out->service_tier = json_peek_string(tree, "service_tier");
        for (size_t i = 0; i < count; i++)
                read_choice(a, out, json_object_array_get_idx(choices, i), (int64_t)i);
        openai_read_usage(tree, &out->usage);
        return true;
}
