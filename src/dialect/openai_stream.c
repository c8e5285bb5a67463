/*
 * Chunks of a provider become events. Text, thought and refusal of a choice follow one another, each a block
 * of its own; calls of tools stay open until the choice ends, since servers may weave their pieces. What must
 * outlive a chunk is kept in the decoder's arena, all else in the event's.
 */
#include "base/text.h"
#include "dialect/openai.h"
#include "dialect/tool_name.h"
#include "dialect/usage.h"

enum { PENDING_MAX = 4 * 1024 * 1024 };

struct call {
        struct call *next;
        int64_t index; /* the server's; -1: it gave none */
        const char *id;
        int64_t block; /* -1: not started, its name has not come yet */
        bool custom;
        struct buf pending; /* arguments that came before the name */
};

struct choice {
        struct choice *next;
        int64_t index, blocks;
        struct call *calls, *last_call;
        size_t call_count;
        enum chat_block_type open_type; /* of the open text, thought or refusal */
        int64_t open;                   /* its block; -1: none */
        struct str signature;           /* of the open thought, told at its end */
        enum dialect_id signature_from;
        struct str next_text; /* a signature that waits for its text */
        enum dialect_id next_text_from;
        bool stopped;
};

struct decoder {
        struct arena *a;
        const char *id;
        struct choice *choices;
        size_t choice_count;
        enum chat_tier tier;
        bool started, over;
};

void *openai_decoder_new(struct arena *a, const struct chat_request *r)
{
        struct decoder *d = arena_alloc(a, sizeof *d);
        (void)r;
        d->a = a;
        return d;
}

static struct upstream_fault *fail(struct decoder *d, struct chat_events *out, enum fault_kind kind,
                                   const char *message)
{
        struct upstream_fault *fault = arena_alloc(d->a, sizeof *fault);
        *fault = (struct upstream_fault){.kind = kind, .message = message};
        if (!d->over)
                chat_add_event(out, EVENT_ERROR, 0, 0)->fault = fault;
        d->over = true;
        return fault;
}

/* ---- blocks ---- */

static struct chat_event *start_block(struct choice *c, struct chat_events *out, enum chat_block_type type)
{
        struct chat_event *e = chat_add_event(out, EVENT_BLOCK_START, c->index, c->blocks++);
        e->block_start.type = type;
        return e;
}

static struct chat_event *add_delta(struct choice *c, struct chat_events *out, int64_t block,
                                    enum chat_delta_kind kind, struct str delta)
{
        struct chat_event *e = chat_add_event(out, EVENT_DELTA, c->index, block);
        e->delta_kind = kind;
        e->delta = delta;
        return e;
}

static void close_text(struct choice *c, struct chat_events *out)
{
        if (c->open < 0)
                return;
        if (c->signature.len) {
                struct chat_event *e = add_delta(c, out, c->open, DELTA_SIGNATURE, c->signature);
                e->block_start.signature_from = c->signature_from;
        }
        c->signature = (struct str){0};
        chat_add_event(out, EVENT_BLOCK_STOP, c->index, c->open);
        c->open = -1;
}

static int64_t open_text(struct choice *c, struct chat_events *out, enum chat_block_type type)
{
        if (c->open >= 0 && c->open_type == type)
                return c->open;
        close_text(c, out);
        c->open = c->blocks;
        c->open_type = type;
        struct chat_event *e = start_block(c, out, type);
        if (type == BLOCK_THINKING)
                e->block_start.signature_from = DIALECT_OPENAI;
        if (type == BLOCK_TEXT && c->next_text.len) {
                e->block_start.signature = c->next_text;
                e->block_start.signature_from = c->next_text_from;
                c->next_text = (struct str){0};
        }
        return c->open;
}

static void add_text(struct choice *c, struct chat_events *out, enum chat_block_type type, struct str text)
{
        if (text.len)
                add_delta(c, out, open_text(c, out, type), DELTA_TEXT, text);
}

/* ---- thoughts ---- */

/* Servers give a thought's signature in a piece of its own, after the text: it ends the block. */
static void read_thoughts(struct decoder *d, struct choice *c, json_object *delta, struct chat_events *out)
{
        struct openai_thoughts thoughts;
        openai_read_thoughts(out->arena, delta, true, &thoughts);
        /* In a stream the signature of a text is told after it. */
        if (thoughts.next_text.len && c->open >= 0 && c->open_type == BLOCK_TEXT) {
                struct chat_event *e = add_delta(c, out, c->open, DELTA_SIGNATURE, thoughts.next_text);
                e->block_start.signature_from = thoughts.next_text_from;
        } else if (thoughts.next_text.len) {
                c->next_text = arena_str(d->a, thoughts.next_text.at, thoughts.next_text.len);
                c->next_text_from = thoughts.next_text_from;
        }
        for (const struct chat_block *b = thoughts.first; b; b = b->next) {
                if (b->redacted) {
                        close_text(c, out);
                        struct chat_event *e = start_block(c, out, BLOCK_THINKING);
                        e->block_start.redacted = true;
                        e->block_start.signature = b->signature;
                        e->block_start.signature_from = b->signature_from;
                        chat_add_event(out, EVENT_BLOCK_STOP, c->index, e->block);
                        continue;
                }
                add_text(c, out, BLOCK_THINKING, b->text);
                if (!b->signature.len)
                        continue;
                open_text(c, out, BLOCK_THINKING);
                c->signature = arena_str(d->a, b->signature.at, b->signature.len);
                c->signature_from = b->signature_from;
                close_text(c, out);
        }
}

static void read_thinking_part(struct choice *c, json_object *part, struct chat_events *out)
{
        json_object *inner = json_peek_array(part, "thinking");
        size_t count = inner ? json_object_array_length(inner) : 0;
        add_text(c, out, BLOCK_THINKING, json_peek_str(part, "thinking"));
        for (size_t i = 0; i < count; i++)
                add_text(c, out, BLOCK_THINKING, json_peek_str(json_object_array_get_idx(inner, i), "text"));
}

static void read_content(struct choice *c, json_object *delta, struct chat_events *out)
{
        json_object *parts = json_peek_array(delta, "content");
        size_t count = parts ? json_object_array_length(parts) : 0;
        add_text(c, out, BLOCK_TEXT, json_peek_str(delta, "content"));
        for (size_t i = 0; i < count; i++) {
                json_object *part = json_object_array_get_idx(parts, i);
                const char *type = json_peek_string(part, "type");
                if (type && strcmp(type, "thinking") == 0)
                        read_thinking_part(c, part, out);
                else if (type && strcmp(type, "refusal") == 0)
                        add_text(c, out, BLOCK_REFUSAL, json_peek_str(part, "refusal"));
                else
                        add_text(c, out, BLOCK_TEXT, json_peek_str(part, "text"));
        }
        add_text(c, out, BLOCK_REFUSAL, json_peek_str(delta, "refusal"));
}

/* ---- calls ---- */

static struct call *add_call(struct decoder *d, struct choice *c, int64_t index)
{
        struct call *call = arena_alloc(d->a, sizeof *call);
        call->index = index;
        call->block = -1;
        buf_init_in_arena(&call->pending, d->a, PENDING_MAX);
        if (c->last_call)
                c->last_call->next = call;
        else
                c->calls = call;
        c->call_count++;
        return c->last_call = call;
}

/* Servers count calls from 0, from 1, not at all, or give each call of several the same index and an id of
 * its own. */
static struct call *find_call(struct decoder *d, struct choice *c, int64_t index, const char *id,
                              const char *name)
{
        bool begins = id && *id && name && *name;
        struct call *call = c->calls;
        if (index < 0 && !(id && *id)) {
                /* A name after a name is a further call. */
                bool further = !c->last_call || (name && *name && c->last_call->block >= 0);
                return further ? add_call(d, c, index) : c->last_call;
        }
        struct call *found = NULL;
        for (; call; call = call->next) {
                bool same_id = id && *id && call->id && strcmp(call->id, id) == 0;
                if (index < 0 ? same_id : call->index == index)
                        found = call;
        }
        if (found && begins && found->id && strcmp(found->id, id) != 0)
                found = NULL;
        return found ? found : add_call(d, c, index);
}

/* Input of a custom tool is text: as the arguments of every other call it becomes JSON. */
static void add_arguments(struct call *call, struct choice *c, struct chat_events *out, struct str text)
{
        if (!text.len)
                return;
        if (call->custom) {
                struct buf escaped;
                buf_init(&escaped, text.len * 6 + 16);
                json_escape(&escaped, text.at, text.len);
                text = arena_str(out->arena, escaped.data, escaped.len);
                buf_release(&escaped);
        }
        if (call->block < 0)
                buf_add_str(&call->pending, text);
        else
                add_delta(c, out, call->block, DELTA_ARGUMENTS, text);
}

static void start_call(struct decoder *d, struct choice *c, struct call *call, const char *name,
                       json_object *fragment, struct chat_events *out)
{
        close_text(c, out);
        call->block = c->blocks;
        struct chat_event *e = start_block(c, out, BLOCK_TOOL_CALL);
        e->block_start.id = call->id ? call->id : openai_made_call_id(d->a, d->id, c->index, call->block);
        e->block_start.name = tool_name_back(out->arena, arena_strdup(out->arena, name));
        openai_read_call_signature(out->arena, fragment, &e->block_start);
        if (call->custom) {
                e->block_start.raw = fragment;
                e->block_start.raw_dialect = DIALECT_OPENAI;
                add_delta(c, out, call->block, DELTA_ARGUMENTS, str_of("{\"input\":\""));
        }
        if (call->pending.len)
                add_delta(c, out, call->block, DELTA_ARGUMENTS,
                          arena_str(out->arena, call->pending.data, call->pending.len));
        buf_release(&call->pending);
}

static bool read_call(struct decoder *d, struct choice *c, json_object *fragment, int64_t index,
                      struct chat_events *out)
{
        json_object *custom = json_peek_object(fragment, "custom");
        json_object *function = custom ? custom : json_peek_object(fragment, "function");
        const char *id = json_peek_string(fragment, "id"), *name = json_peek_string(function, "name");
        struct call *call = find_call(d, c, index, id, name);
        if (c->call_count > OPENAI_CALLS_MAX)
                return false;
        if (!call->id && id && *id)
                call->id = arena_strdup(d->a, id);
        call->custom = call->custom || custom;
        if (call->block < 0 && name && *name)
                start_call(d, c, call, name, fragment, out);
        struct str arguments = json_peek_str(function, custom ? "input" : "arguments");
        json_object *object = json_peek_object(function, "arguments");
        if (object) {
                size_t len;
                const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &len);
                arguments = arena_str(out->arena, text, len);
        }
        add_arguments(call, c, out, arguments);
        return !call->pending.failed;
}

static bool read_calls(struct decoder *d, struct choice *c, json_object *delta, struct chat_events *out)
{
        json_object *calls = json_peek_array(delta, "tool_calls");
        json_object *function = json_peek_object(delta, "function_call");
        size_t count = calls ? json_object_array_length(calls) : 0;
        for (size_t i = 0; i < count; i++) {
                json_object *fragment = json_object_array_get_idx(calls, i),
                            *index = json_peek(fragment, "index");
                bool numbered = json_object_is_type(index, json_type_int);
                if (json_object_is_type(fragment, json_type_object) &&
                    !read_call(d, c, fragment, numbered ? json_object_get_int64(index) : -1, out))
                        return false;
        }
        if (!function)
                return true;
        /* The deprecated single call: a fragment without an index. */
        json_object *fragment = json_object_new_object();
        json_object_object_add(fragment, "function", json_object_get(function));
        bool ok = read_call(d, c, fragment, 0, out);
        json_object_put(fragment);
        return ok;
}

/* ---- choices ---- */

static struct choice *find_choice(struct decoder *d, int64_t index)
{
        struct choice **at = &d->choices;
        while (*at && (*at)->index != index)
                at = &(*at)->next;
        if (!*at && d->choice_count < OPENAI_CHOICES_MAX) {
                *at = arena_alloc(d->a, sizeof **at);
                **at = (struct choice){.index = index, .open = -1};
                d->choice_count++;
        }
        return *at;
}

/* False: a call never told its name. */
static bool stop_choice(struct choice *c, enum chat_finish finish, const char *raw, struct chat_events *out)
{
        if (c->stopped)
                return true;
        c->stopped = true;
        close_text(c, out);
        for (struct call *call = c->calls; call; call = call->next) {
                if (call->block < 0)
                        return false;
                if (call->custom)
                        add_delta(c, out, call->block, DELTA_ARGUMENTS, str_of("\"}"));
                chat_add_event(out, EVENT_BLOCK_STOP, c->index, call->block);
        }
        struct chat_event *e = chat_add_event(out, EVENT_STOP, c->index, 0);
        e->finish = finish == FINISH_STOP && c->calls ? FINISH_TOOL : finish;
        e->finish_raw = raw;
        return true;
}

static void read_side(struct choice *c, json_object *choice, json_object *delta, struct chat_events *out)
{
        json_object *annotations = json_peek_array(delta, "annotations");
        json_object *logprobs = json_peek_array(json_peek_object(choice, "logprobs"), "content");
        json_object *audio = json_peek_object(delta, "audio");
        size_t count = annotations ? json_object_array_length(annotations) : 0;
        for (size_t i = 0; i < count; i++) {
                struct chat_citation *cited =
                        openai_read_annotation(out->arena, json_object_array_get_idx(annotations, i));
                if (cited)
                        add_delta(c, out, open_text(c, out, BLOCK_TEXT), DELTA_CITATION, (struct str){0})
                                ->citation = cited;
        }
        if (logprobs && json_object_array_length(logprobs) && c->open >= 0)
                add_delta(c, out, c->open, DELTA_LOGPROBS, (struct str){0})->logprobs = logprobs;
        if (audio) {
                close_text(c, out);
                struct chat_event *e = start_block(c, out, BLOCK_OTHER);
                e->block_start.raw = delta;
                e->block_start.raw_dialect = DIALECT_OPENAI;
                chat_add_event(out, EVENT_BLOCK_STOP, c->index, e->block);
        }
}

static bool read_choice(struct decoder *d, json_object *choice, struct chat_events *out)
{
        struct choice *c = find_choice(d, json_peek_count(choice, "index"));
        json_object *delta = json_peek_object(choice, "delta");
        const char *word = json_peek_string(choice, "finish_reason");
        enum chat_finish finish = openai_read_finish(word);
        if (!c) {
                fail(d, out, FAULT_MALFORMED, "the stream has more choices than can be");
                return false;
        }
        if (c->stopped)
                return true;
        read_thoughts(d, c, delta, out);
        read_content(c, delta, out);
        add_text(c, out, BLOCK_TEXT, json_peek_str(choice, "text"));
        read_side(c, choice, delta, out);
        if (!read_calls(d, c, delta, out)) {
                fail(d, out, FAULT_MALFORMED, "the stream has more tool calls than can be");
                return false;
        }
        if (finish == FINISH_ERROR) {
                fail(d, out, FAULT_IN_BODY, "the provider broke the answer off with an error");
                return false;
        }
        if (finish != FINISH_NONE && !stop_choice(c, finish, word, out)) {
                fail(d, out, FAULT_MALFORMED, "a tool call has no name");
                return false;
        }
        return true;
}

/* ---- the stream ---- */

/* Azure's first chunk has neither choices nor an id: the answer starts with the next one. */
static void start(struct decoder *d, json_object *chunk, bool has_choices, struct chat_events *out)
{
        const char *id = json_peek_string(chunk, "id"), *model = json_peek_string(chunk, "model");
        bool named = id && *id;
        if (d->started || !(named || has_choices))
                return;
        d->started = true;
        d->id = named ? arena_strdup(d->a, id) : NULL;
        struct chat_event *e = chat_add_event(out, EVENT_START, 0, 0);
        e->id = d->id;
        e->model = model && *model ? model : NULL;
}

/* [DONE], or the end of the connection: choices that were never finished in so many words are so now. */
static void end(struct decoder *d, bool done, struct chat_events *out)
{
        bool all = d->choices != NULL;
        if (d->over)
                return;
        for (struct choice *c = d->choices; c; c = c->next)
                all = all && (c->stopped || done);
        if (!all) {
                fail(d, out, done ? FAULT_MALFORMED : FAULT_CUT,
                     done ? "the stream had no choices" : "the stream ended before the answer was whole");
                return;
        }
        for (struct choice *c = d->choices; c; c = c->next) {
                if (!stop_choice(c, FINISH_STOP, NULL, out)) {
                        fail(d, out, FAULT_MALFORMED, "a tool call has no name");
                        return;
                }
        }
        chat_add_event(out, EVENT_END, 0, 0);
        d->over = true;
}

static bool is_done(struct str data)
{
        while (data.len && strchr(" \t\r\n", data.at[data.len - 1]))
                data.len--;
        return str_is(data, "[DONE]");
}

/* The tier may stand in other chunks than the counts. */
static void read_usage(struct decoder *d, json_object *chunk, struct chat_events *out)
{
        struct chat_usage usage;
        if (json_peek(chunk, "service_tier"))
                d->tier = usage_tier(json_peek_string(chunk, "service_tier"));
        if (!openai_read_usage(chunk, &usage))
                return;
        usage.tier = d->tier;
        chat_add_event(out, EVENT_USAGE, 0, 0)->usage = usage;
}

void openai_decode_event(void *decoder, const struct sse_event *event, struct chat_events *out)
{
        struct decoder *d = decoder;
        struct err err = {0};
        if (d->over)
                return;
        if (is_done(event->data)) {
                end(d, true, out);
                return;
        }
        json_object *chunk =
                json_parse(out->arena, event->data.at, event->data.len, JSON_FROM_PROVIDER, &err);
        if (!json_object_is_type(chunk, json_type_object) || !chunk) {
                fail(d, out, FAULT_MALFORMED, "an event of the stream is no JSON object");
                return;
        }
        if (openai_find_error(chunk) || str_is(event->name, "error")) {
                struct upstream_fault fault;
                if (d->started) /* what came until then may be told, and is paid for */
                        read_usage(d, chunk, out);
                openai_fault_in_body(d->a, chunk, &fault);
                *fail(d, out, FAULT_IN_BODY, NULL) = fault;
                return;
        }
        json_object *choices = json_peek_array(chunk, "choices");
        size_t count = choices ? json_object_array_length(choices) : 0;
        start(d, chunk, count > 0, out);
        for (size_t i = 0; i < count; i++) {
                if (!read_choice(d, json_object_array_get_idx(choices, i), out))
                        return;
        }
        read_usage(d, chunk, out);
}

/* A server that does not stream answers in one piece, or with an error: no line of that is an event. */
static bool read_whole(struct decoder *d, struct str stray, struct chat_events *out)
{
        struct chat_reply reply;
        struct upstream_fault fault = {0};
        if (!stray.len || stray.at[strspn(stray.at, " \t\r\n")] != '{')
                return false;
        bool whole = openai_decode_chat_reply(d->a, stray, &reply, &fault);
        if (whole && !d->started)
                chat_reply_events(&reply, out);
        else if (!whole && fault.kind != FAULT_MALFORMED)
                *fail(d, out, FAULT_IN_BODY, NULL) = fault;
        else
                return false;
        d->over = true;
        return true;
}

void openai_decode_end(void *decoder, struct str stray, struct chat_events *out)
{
        struct decoder *d = decoder;
        if (!d->over && !read_whole(d, stray, out))
                end(d, false, out);
}
