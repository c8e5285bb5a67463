#include <strings.h>

#include "base/text.h"
#include "dialect/openai.h"

struct reading {
        struct json_reader *r;
        struct chat_request *out;
        struct lh_table *call_names;  /* id of a call → its name */
        struct chat_message *results; /* the message that the next tool message joins, or NULL */
};

static const char *const details[] = {"auto", "low", "high", "original", NULL};

static const char *path_text(const struct reading *m, const struct json_path *at, const char *key)
{
        return json_path_text(m->r->arena, at, key);
}

/* ---- parts ---- */

/* anthropic's mark, as servers of this dialect take it that have its models behind them. */
static void decode_mark(struct reading *m, json_object *node, const struct json_path *at,
                        struct chat_block *b)
{
        json_object *mark;
        if (b && json_get_object(m->r, node, at, "cache_control", &mark)) {
                b->cache_control = mark;
                b->cache_breakpoint = false;
        }
}

/* openai's mark in the canonical shape, which is anthropic's: a life of 12 h is nearest to its longer one. */
static void decode_breakpoint(struct reading *m, json_object *part, const struct json_path *at,
                              struct chat_block *b)
{
        static const char *const ttls[] = {"30m", "12h", NULL};
        struct json_path in = {.up = at, .key = "prompt_cache_breakpoint"};
        json_object *mark;
        const char *ttl = NULL;
        if (!json_get_object(m->r, part, at, "prompt_cache_breakpoint", &mark))
                return;
        openai_get_word(m->r, mark, &in, "ttl", ttls, &ttl);
        struct err ignored = {0};
        const char *text =
                ttl == ttls[1] ? "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}" : "{\"type\":\"ephemeral\"}";
        b->cache_control = json_parse(m->r->arena, text, strlen(text), JSON_FROM_CLIENT, &ignored);
        b->cache_breakpoint = true;
}

static bool is_web_url(const char *url)
{
        return strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0;
}

static void decode_image(struct reading *m, json_object *part, const struct json_path *at,
                         struct chat_block *b)
{
        struct json_path in = {.up = at, .key = "image_url"};
        json_object *image;
        struct str url = {0};
        if (!json_need_object(m->r, part, at, "image_url", &image))
                return;
        openai_get_word(m->r, image, &in, "detail", details, &b->detail);
        if (!json_need_string(m->r, image, &in, "url", &url.at))
                return;
        url.len = strlen(url.at);
        if (strncasecmp(url.at, "data:", 5) == 0) {
                if (!chat_parse_data_url(m->r->arena, url.at, url.len, &b->source))
                        json_fail(m->r, &in, "url", "the data URL holds no valid base64");
        } else if (is_web_url(url.at)) {
                b->source = (struct chat_source){.kind = SOURCE_URL, .url = url.at};
        } else {
                json_fail(m->r, &in, "url", "must be an http or https URL, or a data URL with base64");
        }
}

static void decode_audio(struct reading *m, json_object *part, const struct json_path *at,
                         struct chat_block *b)
{
        static const char *const formats[] = {"wav", "mp3", NULL};
        struct json_path in = {.up = at, .key = "input_audio"};
        json_object *audio;
        const char *format = NULL, *data;
        size_t len;
        if (!json_need_object(m->r, part, at, "input_audio", &audio))
                return;
        if (!openai_get_word(m->r, audio, &in, "format", formats, &format)) {
                json_fail(m->r, &in, "format", "is required");
                return;
        }
        if (!json_need_string(m->r, audio, &in, "data", &data))
                return;
        if (!text_base64_valid(data, strlen(data), &len) || !len)
                json_fail(m->r, &in, "data", "is no valid base64");
        b->source = (struct chat_source){.kind = SOURCE_BASE64,
                                         .media_type = format == formats[0] ? "audio/wav" : "audio/mp3",
                                         .data = str_of(data)};
}

static void decode_file(struct reading *m, json_object *part, const struct json_path *at,
                        struct chat_block *b)
{
        static const char pdf_in_base64[] = "JVBERi";
        struct json_path in = {.up = at, .key = "file"};
        json_object *file;
        const char *data, *id;
        size_t len;
        if (!json_need_object(m->r, part, at, "file", &file))
                return;
        json_get_string(m->r, file, &in, "filename", &b->title);
        bool has_id = json_get_string(m->r, file, &in, "file_id", &id);
        if (has_id)
                b->source = (struct chat_source){.kind = SOURCE_FILE_ID, .url = id};
        if (!json_get_string(m->r, file, &in, "file_data", &data)) {
                if (!has_id)
                        json_fail(m->r, &in, NULL, "needs file_data or file_id");
                return;
        }
        if (has_id)
                json_fail(m->r, &in, NULL, "takes file_data or file_id, not both");
        if (chat_parse_data_url(m->r->arena, data, strlen(data), &b->source))
                return;
        if (strncmp(data, pdf_in_base64, sizeof pdf_in_base64 - 1) == 0 &&
            text_base64_valid(data, strlen(data), &len))
                b->source = (struct chat_source){
                        .kind = SOURCE_BASE64, .media_type = "application/pdf", .data = str_of(data)};
        else
                json_fail(m->r, &in, "file_data", "must be a data URL with valid base64");
}

static void decode_text(struct reading *m, json_object *part, const struct json_path *at,
                        struct chat_block *b)
{
        if (!json_get_str(m->r, part, at, "text", &b->text))
                json_fail(m->r, at, "text", "is required");
}

static void decode_refusal(struct reading *m, json_object *part, const struct json_path *at,
                           struct chat_block *b)
{
        if (!json_get_str(m->r, part, at, "refusal", &b->text))
                json_fail(m->r, at, "refusal", "is required");
}

enum { FOR_SYSTEM = 1, FOR_USER = 2, FOR_ASSISTANT = 4, FOR_TOOL = 8 };

static const struct part_type {
        const char *name;
        unsigned where;
        enum chat_block_type type;
        void (*decode)(struct reading *m, json_object *part, const struct json_path *at,
                       struct chat_block *b);
} part_types[] = {
        {"text", FOR_SYSTEM | FOR_USER | FOR_ASSISTANT | FOR_TOOL, BLOCK_TEXT, decode_text},
        {"image_url", FOR_USER | FOR_TOOL, BLOCK_IMAGE, decode_image},
        {"input_audio", FOR_USER, BLOCK_AUDIO, decode_audio},
        {"file", FOR_USER | FOR_TOOL, BLOCK_DOCUMENT, decode_file},
        {"refusal", FOR_ASSISTANT, BLOCK_REFUSAL, decode_refusal},
};

static const struct part_type *find_part(const char *name, unsigned where)
{
        for (size_t i = 0; i < sizeof part_types / sizeof part_types[0]; i++) {
                if ((part_types[i].where & where) && strcmp(part_types[i].name, name) == 0)
                        return &part_types[i];
        }
        return NULL;
}

static void unknown_part(struct reading *m, const struct json_path *at, const char *name, unsigned where)
{
        struct buf list;
        buf_init(&list, 512);
        for (size_t i = 0; i < sizeof part_types / sizeof part_types[0]; i++) {
                if (part_types[i].where & where)
                        buf_addf(&list, "%s\"%s\"", list.len ? ", " : "", part_types[i].name);
        }
        char shown[64];
        text_escape(shown, sizeof shown, name, strlen(name));
        json_fail(m->r, at, "type", "\"%s\" is not taken here, only %s", shown, list.data);
        buf_release(&list);
}

/* Content as text or as parts, onto the message. False: there is none. */
static bool decode_content(struct reading *m, json_object *message, const struct json_path *at,
                           unsigned where, struct chat_message *to)
{
        struct json_path in = {.up = at, .key = "content"};
        json_object *content = json_peek(message, "content");
        if (!content)
                return false;
        if (json_object_is_type(content, json_type_string)) {
                struct chat_block *b = chat_add_block(m->r->arena, to, BLOCK_TEXT);
                b->path = path_text(m, &in, NULL);
                json_get_str(m->r, message, at, "content", &b->text);
                return true;
        }
        if (!json_object_is_type(content, json_type_array))
                return json_fail(m->r, at, "content", "expected a string or an array of parts, got %s",
                                 json_type_text(content));
        size_t count = json_object_array_length(content);
        for (size_t i = 0; i < count && m->r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &in, .index = i};
                json_object *part = json_object_array_get_idx(content, i);
                const char *name;
                if (!json_object_is_type(part, json_type_object))
                        return json_fail(m->r, &item, NULL, "expected an object, got %s",
                                         json_type_text(part));
                if (!json_need_string(m->r, part, &item, "type", &name))
                        return false;
                const struct part_type *type = find_part(name, where);
                if (!type) {
                        unknown_part(m, &item, name, where);
                        return false;
                }
                struct chat_block *b = chat_add_block(m->r->arena, to, type->type);
                b->path = path_text(m, &item, NULL);
                type->decode(m, part, &item, b);
                decode_breakpoint(m, part, &item, b);
                decode_mark(m, part, &item, b);
        }
        return count > 0 || json_fail(m->r, at, "content", "an empty array");
}

/* ---- assistant ---- */

static void append_block(struct chat_message *to, struct chat_block *b)
{
        b->next = NULL;
        if (to->last_block)
                to->last_block->next = b;
        else
                to->blocks = b;
        to->last_block = b;
}

static void remember_call(struct reading *m, const char *id, const char *name)
{
        struct lh_entry *known = lh_table_lookup_entry(m->call_names, id);
        if (known)
                lh_table_delete_entry(m->call_names, known);
        lh_table_insert(m->call_names, id, name);
}

/* Arguments are kept as text, as broken as the model may have made them; objects are seen through. */
static void take_arguments(struct reading *m, json_object *function, const struct json_path *at,
                           struct chat_block *b)
{
        struct err ignored = {0};
        if (!json_get_str(m->r, function, at, "arguments", &b->arguments_text))
                return;
        if (b->arguments_text.len)
                b->arguments = json_parse(m->r->arena, b->arguments_text.at, b->arguments_text.len,
                                          JSON_FROM_PROVIDER, &ignored);
        if (!json_object_is_type(b->arguments, json_type_object))
                b->arguments = NULL;
}

static void decode_custom_call(struct reading *m, json_object *call, const struct json_path *at,
                               struct chat_block *b)
{
        struct json_path in = {.up = at, .key = "custom"};
        json_object *custom;
        struct str input = {"", 0};
        if (!json_need_object(m->r, call, at, "custom", &custom))
                return;
        json_need_string(m->r, custom, &in, "name", &b->name);
        json_get_str(m->r, custom, &in, "input", &input);
        b->arguments_text = openai_custom_arguments(m->r->arena, input);
        b->raw = call;
        b->raw_dialect = DIALECT_OPENAI;
}

static void decode_call(struct reading *m, json_object *call, const struct json_path *at,
                        struct chat_message *to)
{
        static const char *const types[] = {"function", "custom", NULL};
        struct json_path in = {.up = at, .key = "function"};
        const char *type = types[0];
        json_object *function;
        struct chat_block *b = chat_add_block(m->r->arena, to, BLOCK_TOOL_CALL);
        b->path = path_text(m, at, NULL);
        if (!json_object_is_type(call, json_type_object)) {
                json_fail(m->r, at, NULL, "expected an object, got %s", json_type_text(call));
                return;
        }
        json_need_string(m->r, call, at, "id", &b->id);
        openai_get_word(m->r, call, at, "type", types, &type);
        if (type == types[1]) {
                decode_custom_call(m, call, at, b);
        } else if (json_need_object(m->r, call, at, "function", &function)) {
                json_need_string(m->r, function, &in, "name", &b->name);
                take_arguments(m, function, &in, b);
                openai_read_call_signature(m->r->arena, call, b);
        }
        if (m->r->err->cause == ERR_NONE)
                remember_call(m, b->id, b->name);
}

static void decode_calls(struct reading *m, json_object *message, const struct json_path *at,
                         struct chat_message *to)
{
        struct json_path in = {.up = at, .key = "tool_calls"};
        json_object *calls;
        if (!json_get_array(m->r, message, at, "tool_calls", &calls))
                return;
        size_t count = json_object_array_length(calls);
        if (count > OPENAI_CALLS_MAX)
                json_fail(m->r, at, "tool_calls", "at most %d calls", OPENAI_CALLS_MAX);
        for (size_t i = 0; i < count && m->r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &in, .index = i};
                decode_call(m, json_object_array_get_idx(calls, i), &item, to);
        }
}

/* The deprecated single call has no id: its name stands for it. */
static const char *function_id(struct reading *m, const char *name)
{
        return arena_printf(m->r->arena, "function_%s", name);
}

static void decode_function_call(struct reading *m, json_object *message, const struct json_path *at,
                                 struct chat_message *to)
{
        struct json_path in = {.up = at, .key = "function_call"};
        json_object *call;
        if (!json_get_object(m->r, message, at, "function_call", &call))
                return;
        struct chat_block *b = chat_add_block(m->r->arena, to, BLOCK_TOOL_CALL);
        b->path = path_text(m, &in, NULL);
        if (!json_need_string(m->r, call, &in, "name", &b->name))
                return;
        take_arguments(m, call, &in, b);
        b->id = function_id(m, b->name);
        remember_call(m, b->id, b->name);
}

static void decode_assistant(struct reading *m, json_object *message, const struct json_path *at,
                             struct chat_message *to)
{
        struct openai_thoughts thoughts;
        struct str refusal;
        json_object *audio;
        openai_read_thoughts(m->r->arena, message, false, &thoughts);
        for (struct chat_block *b = thoughts.first, *next; b; b = next) {
                next = b->next;
                b->path = path_text(m, at, "reasoning_details");
                append_block(to, b);
        }
        bool any = decode_content(m, message, at, FOR_ASSISTANT, to);
        if (json_get_str(m->r, message, at, "refusal", &refusal) && refusal.len) {
                struct chat_block *b = chat_add_block(m->r->arena, to, BLOCK_REFUSAL);
                b->path = path_text(m, at, "refusal");
                b->text = refusal;
                any = true;
        }
        if (json_get_object(m->r, message, at, "audio", &audio)) {
                struct chat_block *b = chat_add_block(m->r->arena, to, BLOCK_OTHER);
                b->path = path_text(m, at, "audio");
                b->raw = audio;
                b->raw_dialect = DIALECT_OPENAI;
                any = true;
        }
        struct chat_block *last = to->last_block;
        decode_calls(m, message, at, to);
        decode_function_call(m, message, at, to);
        bool called = to->last_block != last;
        if (!any && !called)
                json_fail(m->r, at, "content", "is required where there are no tool_calls");
        openai_sign_next(&thoughts, to->blocks);
}

/* ---- results of tools ---- */

static void decode_result(struct reading *m, json_object *message, const struct json_path *at, const char *id)
{
        void *name = NULL;
        struct chat_message content = {0};
        if (!m->results) {
                m->results = chat_add_message(m->r->arena, m->out, CHAT_USER);
                m->results->path = path_text(m, at, NULL);
        }
        struct chat_block *b = chat_add_block(m->r->arena, m->results, BLOCK_TOOL_RESULT);
        b->path = path_text(m, at, NULL);
        b->id = id;
        if (id && lh_table_lookup_ex(m->call_names, id, &name))
                b->name = name;
        if (!decode_content(m, message, at, FOR_TOOL, &content))
                json_fail(m->r, at, "content", "is required");
        b->content = content.blocks;
        decode_mark(m, message, at, b);
}

static void decode_tool(struct reading *m, json_object *message, const struct json_path *at)
{
        const char *id = NULL;
        json_need_string(m->r, message, at, "tool_call_id", &id);
        decode_result(m, message, at, id);
}

static void decode_function(struct reading *m, json_object *message, const struct json_path *at)
{
        const char *name;
        if (json_need_string(m->r, message, at, "name", &name))
                decode_result(m, message, at, function_id(m, name));
}

/* ---- messages ---- */

static const struct role {
        const char *name;
        enum chat_role role;
        unsigned where; /* parts of its content; 0: not by decode_content alone */
        void (*decode_result)(struct reading *m, json_object *message, const struct json_path *at);
} roles[] = {
        {"system", CHAT_SYSTEM, FOR_SYSTEM, NULL}, {"developer", CHAT_DEVELOPER, FOR_SYSTEM, NULL},
        {"user", CHAT_USER, FOR_USER, NULL},       {"assistant", CHAT_ASSISTANT, 0, NULL},
        {"tool", CHAT_USER, 0, decode_tool},       {"function", CHAT_USER, 0, decode_function},
};

static const struct role *find_role(struct reading *m, json_object *message, const struct json_path *at)
{
        const char *names[sizeof roles / sizeof roles[0] + 1] = {0}, *name;
        size_t count = sizeof roles / sizeof roles[0];
        for (size_t i = 0; i < count; i++)
                names[i] = roles[i].name;
        if (!openai_get_word(m->r, message, at, "role", names, &name)) {
                json_fail(m->r, at, "role", "is required");
                return NULL;
        }
        size_t i = 0;
        while (roles[i].name != name)
                i++;
        return &roles[i];
}

static void decode_message(struct reading *m, json_object *message, const struct json_path *at)
{
        if (!json_object_is_type(message, json_type_object)) {
                json_fail(m->r, at, NULL, "expected an object, got %s", json_type_text(message));
                return;
        }
        const struct role *role = find_role(m, message, at);
        if (!role)
                return;
        if (role->decode_result) {
                role->decode_result(m, message, at);
                return;
        }
        m->results = NULL;
        struct chat_message *to = chat_add_message(m->r->arena, m->out, role->role);
        to->path = path_text(m, at, NULL);
        json_get_string(m->r, message, at, "name", &to->name);
        if (role->role == CHAT_ASSISTANT)
                decode_assistant(m, message, at, to);
        else if (!decode_content(m, message, at, role->where, to))
                json_fail(m->r, at, "content", "is required");
        decode_mark(m, message, at, to->last_block);
}

void openai_decode_messages(struct json_reader *r, json_object *body, struct chat_request *out)
{
        struct json_path in = {.key = "messages"};
        json_object *messages;
        if (!json_need_array(r, body, NULL, "messages", &messages))
                return;
        size_t count = json_object_array_length(messages);
        if (!count)
                json_fail(r, NULL, "messages", "an empty array; at least one message is needed");
        struct reading m = {.r = r, .out = out, .call_names = lh_kchar_table_new(32, NULL)};
        if (!m.call_names)
                abort();
        for (size_t i = 0; i < count && r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &in, .index = i};
                decode_message(&m, json_object_array_get_idx(messages, i), &item);
        }
        lh_table_free(m.call_names);
}
