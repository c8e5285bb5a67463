#include "dialect/chat.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

static const char *const effort_names[EFFORTS] = {
        [EFFORT_NONE] = "none",     [EFFORT_MINIMAL] = "minimal", [EFFORT_LOW] = "low",
        [EFFORT_MEDIUM] = "medium", [EFFORT_HIGH] = "high",       [EFFORT_XHIGH] = "xhigh",
        [EFFORT_MAX] = "max",
};

const char *effort_name(enum effort e)
{
        return (size_t)e < EFFORTS ? effort_names[e] : NULL;
}

enum effort effort_parse(const char *name)
{
        for (size_t i = 0; i < EFFORTS; i++) {
                if (effort_names[i] && strcmp(effort_names[i], name) == 0)
                        return (enum effort)i;
        }
        return EFFORT_UNSET;
}

enum effort effort_nearest(unsigned efforts, enum effort wanted)
{
        if (wanted == EFFORT_UNSET || efforts == 0 || (efforts & 1u << wanted))
                return wanted;
        if (wanted == EFFORT_NONE) {
                for (int e = EFFORT_MINIMAL; e < EFFORTS; e++) {
                        if (efforts & 1u << e)
                                return (enum effort)e;
                }
        }
        for (int step = 1; step < EFFORTS; step++) {
                int below = (int)wanted - step, above = (int)wanted + step;
                if (below > EFFORT_NONE && (efforts & 1u << below))
                        return (enum effort)below;
                if (above < EFFORTS && (efforts & 1u << above))
                        return (enum effort)above;
        }
        return EFFORT_UNSET;
}

static bool is_blank_text(const struct chat_block *b)
{
        return b->type == BLOCK_TEXT && (!b->text.at || strspn(b->text.at, " \t\r\n") >= b->text.len);
}

/* The user says something of his own: a new turn of the conversation, not a step of a loop. */
static bool speaks(const struct chat_message *m)
{
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type != BLOCK_TOOL_RESULT && !is_blank_text(b))
                        return true;
        }
        return false;
}

bool chat_loop_lacks_thinking(const struct chat_request *r, enum dialect_id vendor)
{
        bool lacks = false, in_turn = false, begins_with_thought = false;
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                if (m->role == CHAT_USER && speaks(m))
                        lacks = false;
                if (m->role != CHAT_ASSISTANT) {
                        in_turn = false;
                        continue;
                }
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (is_blank_text(b))
                                continue;
                        if (!in_turn)
                                begins_with_thought = b->type == BLOCK_THINKING &&
                                                      b->signature_from == vendor && b->signature.len;
                        in_turn = true;
                        lacks |= b->type == BLOCK_TOOL_CALL && !begins_with_thought;
                }
        }
        return lacks;
}

enum effort effort_of_budget(int64_t budget_tokens)
{
        if (budget_tokens <= 0)
                return EFFORT_UNSET;
        return budget_tokens <= 2048    ? EFFORT_LOW
               : budget_tokens <= 8192  ? EFFORT_MEDIUM
               : budget_tokens <= 24576 ? EFFORT_HIGH
                                        : EFFORT_XHIGH;
}

bool reasoning_wants_off(const struct chat_reasoning *t)
{
        return t->mode == THINKING_OFF || (t->mode == THINKING_UNSET && t->effort == EFFORT_NONE);
}

bool reasoning_wants_thought(const struct chat_reasoning *t)
{
        return !reasoning_wants_off(t) && (t->mode != THINKING_UNSET || t->effort > EFFORT_NONE);
}

struct chat_message *chat_add_message(struct arena *a, struct chat_request *r, enum chat_role role)
{
        struct chat_message *m = arena_alloc(a, sizeof *m);
        m->role = role;
        if (r->last_message)
                r->last_message->next = m;
        else
                r->messages = m;
        return r->last_message = m;
}

struct chat_block *chat_add_block(struct arena *a, struct chat_message *m, enum chat_block_type type)
{
        struct chat_block *b = arena_alloc(a, sizeof *b);
        b->type = type;
        if (m->last_block)
                m->last_block->next = b;
        else
                m->blocks = b;
        return m->last_block = b;
}

struct chat_tool *chat_add_tool(struct arena *a, struct chat_request *r)
{
        struct chat_tool *t = arena_alloc(a, sizeof *t);
        if (r->last_tool)
                r->last_tool->next = t;
        else
                r->tools = t;
        return r->last_tool = t;
}

struct chat_choice *chat_add_choice(struct arena *a, struct chat_reply *r)
{
        struct chat_choice *c = arena_alloc(a, sizeof *c);
        if (r->last_choice)
                r->last_choice->next = c;
        else
                r->choices = c;
        return r->last_choice = c;
}

struct chat_block *chat_add_reply_block(struct arena *a, struct chat_choice *c, enum chat_block_type type)
{
        struct chat_block *b = arena_alloc(a, sizeof *b);
        b->type = type;
        if (c->last_block)
                c->last_block->next = b;
        else
                c->blocks = b;
        return c->last_block = b;
}

struct chat_extra *chat_add_extra(struct arena *a, struct chat_extra **list, const char *name,
                                  json_object *value, bool hint)
{
        struct chat_extra *e = arena_alloc(a, sizeof *e);
        *e = (struct chat_extra){.name = arena_strdup(a, name), .value = value, .hint = hint};
        while (*list)
                list = &(*list)->next;
        return *list = e;
}

void chat_add_name(struct arena *a, struct chat_name **list, const char *name)
{
        struct chat_name *n = arena_alloc(a, sizeof *n);
        n->name = arena_strdup(a, name);
        while (*list)
                list = &(*list)->next;
        *list = n;
}

bool chat_name_is_twin(const char *const *known, const char *name)
{
        for (const char *c = name; *c; c++) {
                if ((unsigned char)*c >= 0x80)
                        return true;
        }
        bool twin = false;
        for (; *known; known++) {
                if (strcmp(*known, name) == 0)
                        return false;
                twin |= strcasecmp(*known, name) == 0;
        }
        return twin;
}

struct embed_input *embed_add_input(struct arena *a, struct embed_request *r)
{
        struct embed_input *i = arena_alloc(a, sizeof *i);
        if (r->last_input)
                r->last_input->next = i;
        else
                r->inputs = i;
        r->input_count++;
        return r->last_input = i;
}

struct chat_event *chat_add_event(struct chat_events *events, enum chat_event_type type, int64_t choice,
                                  int64_t block)
{
        struct chat_event *e = arena_alloc(events->arena, sizeof *e);
        e->type = type;
        e->choice = choice;
        e->block = block;
        if (events->last)
                events->last->next = e;
        else
                events->first = e;
        return events->last = e;
}

static bool only_space(struct str s)
{
        return strspn(s.at, " \t\r\n") == s.len;
}

struct str chat_arguments_text(struct arena *a, const struct chat_block *call)
{
        if (call->arguments_text.at && !only_space(call->arguments_text))
                return call->arguments_text;
        if (!call->arguments)
                return str_of("{}");
        size_t len;
        const char *text = json_object_to_json_string_length(
                call->arguments, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        return arena_str(a, text, len);
}

static void release_json(void *node)
{
        json_object_put(node);
}

json_object *chat_arguments_object(struct arena *a, const struct chat_block *call)
{
        if (call->arguments)
                return call->arguments;
        json_object *object = NULL;
        if (call->arguments_text.at && !only_space(call->arguments_text)) {
                struct err ignored = {0};
                object = json_parse(a, call->arguments_text.at, call->arguments_text.len, JSON_FROM_PROVIDER,
                                    &ignored);
                if (object && json_object_is_type(object, json_type_object))
                        return object;
                object = json_object_new_object();
                json_object_object_add(
                        object, "arguments",
                        json_object_new_string_len(call->arguments_text.at, (int)call->arguments_text.len));
        } else {
                object = json_object_new_object();
        }
        arena_defer(a, release_json, object);
        return object;
}

bool chat_parse_data_url(struct arena *a, const char *url, size_t len, struct chat_source *out)
{
        static const char scheme[] = "data:", base64[] = ";base64";
        if (len < sizeof scheme - 1 || strncasecmp(url, scheme, sizeof scheme - 1) != 0)
                return false;
        const char *comma = memchr(url, ',', len);
        if (!comma)
                return false;
        const char *type = url + sizeof scheme - 1;
        size_t head = (size_t)(comma - type), mark = sizeof base64 - 1;
        if (head < mark || strncasecmp(comma - mark, base64, mark) != 0)
                return false;
        size_t type_len = strcspn(type, ";,");
        const char *data = comma + 1;
        size_t data_len = len - (size_t)(data - url), decoded;
        if (!text_base64_valid(data, data_len, &decoded) || decoded == 0)
                return false;
        char *media_type = arena_strndup(a, type, type_len);
        for (char *c = media_type; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        *out = (struct chat_source){
                .kind = SOURCE_BASE64,
                .media_type = type_len ? media_type : NULL,
                .data = {data, data_len},
        };
        return true;
}

const char *chat_common_detail(const struct chat_request *r, bool *mixed)
{
        const char *common = NULL;
        bool any = false, differ = false;
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_IMAGE)
                                continue;
                        const char *detail = b->detail && strcmp(b->detail, "auto") != 0 ? b->detail : NULL;
                        differ |= any && (!detail != !common || (detail && strcmp(detail, common) != 0));
                        common = any && !detail ? common : detail;
                        any = true;
                }
        }
        *mixed = differ;
        return differ ? NULL : common;
}

struct str chat_join_text(struct arena *a, const struct chat_block *blocks)
{
        size_t len = 0;
        for (const struct chat_block *b = blocks; b; b = b->next)
                len += b->type == BLOCK_TEXT ? b->text.len : 0;
        char *joined = arena_alloc(a, len + 1), *to = joined;
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->type != BLOCK_TEXT || !b->text.len)
                        continue;
                memcpy(to, b->text.at, b->text.len);
                to += b->text.len;
        }
        return (struct str){joined, len};
}

static void block_delta(struct chat_events *out, int64_t choice, int64_t index, enum chat_delta_kind kind,
                        struct str delta)
{
        if (!delta.len)
                return;
        struct chat_event *e = chat_add_event(out, EVENT_DELTA, choice, index);
        e->delta_kind = kind;
        e->delta = delta;
}

static void block_events(const struct chat_block *b, const struct chat_choice *c, int64_t index,
                         struct chat_events *out)
{
        int64_t choice = c->index;
        struct chat_event *start = chat_add_event(out, EVENT_BLOCK_START, choice, index);
        start->block_start = *b;
        start->block_start.next = NULL;
        start->block_start.text = (struct str){0};
        start->block_start.citations = NULL;
        bool thinking = b->type == BLOCK_THINKING && !b->redacted;
        if (thinking)
                start->block_start.signature = (struct str){0};
        if (b->type == BLOCK_TOOL_CALL) {
                start->block_start.arguments = NULL;
                start->block_start.arguments_text = (struct str){0};
                block_delta(out, choice, index, DELTA_ARGUMENTS, chat_arguments_text(out->arena, b));
        }
        block_delta(out, choice, index, DELTA_TEXT, b->text);
        for (struct chat_citation *citation = b->citations; citation; citation = citation->next) {
                struct chat_event *e = chat_add_event(out, EVENT_DELTA, choice, index);
                e->delta_kind = DELTA_CITATION;
                e->citation = citation;
        }
        if (thinking)
                block_delta(out, choice, index, DELTA_SIGNATURE, b->signature);
        json_object *items = b->type == BLOCK_TEXT ? json_peek_array(c->logprobs, "content") : NULL;
        if (items) {
                struct chat_event *e = chat_add_event(out, EVENT_DELTA, choice, index);
                e->delta_kind = DELTA_LOGPROBS;
                e->logprobs = items;
        }
        chat_add_event(out, EVENT_BLOCK_STOP, choice, index);
}

void chat_reply_events(const struct chat_reply *reply, struct chat_events *out)
{
        struct chat_event *start = chat_add_event(out, EVENT_START, 0, 0);
        start->id = reply->id;
        start->model = reply->model;
        start->usage = reply->usage;
        for (const struct chat_choice *c = reply->choices; c; c = c->next) {
                int64_t index = 0;
                for (const struct chat_block *b = c->blocks; b; b = b->next)
                        block_events(b, c, index++, out);
                struct chat_event *stop = chat_add_event(out, EVENT_STOP, c->index, 0);
                stop->finish = c->finish;
                stop->finish_raw = c->finish_raw;
                stop->stop_sequence = c->stop_sequence;
                stop->stop_details = c->stop_details;
        }
        if (reply->usage.known)
                chat_add_event(out, EVENT_USAGE, 0, 0)->usage = reply->usage;
        chat_add_event(out, EVENT_END, 0, 0);
}
