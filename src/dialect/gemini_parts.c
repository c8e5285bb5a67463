#include "dialect/gemini.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "dialect/carry.h"

enum { OPEN_CALLS_MAX = 4096 }; /* unanswered calls that a result is looked for in */

struct chat_block *gemini_add_block(struct gemini_part *p, enum chat_block_type type)
{
        struct chat_block *b;
        if (p->list) {
                b = arena_alloc(p->d->arena, sizeof *b);
                b->type = type;
                if (p->last)
                        p->last->next = b;
                else
                        *p->list = b;
                p->last = b;
        } else {
                b = chat_add_block(p->d->arena, p->message, type);
        }
        b->path = json_path_text(p->d->arena, p->at, NULL);
        return b;
}

/* A part that only this dialect knows. */
void gemini_add_other(struct gemini_part *p)
{
        struct chat_block *b = gemini_add_block(p, BLOCK_OTHER);
        b->raw = p->node;
        b->raw_dialect = DIALECT_GEMINI;
}

/* ---- signatures ---- */

struct gemini_signature gemini_read_signature(struct gemini_part *p)
{
        struct gemini_signature s = {.from = DIALECT_GEMINI};
        enum carry_on on = CARRY_ON_THINKING;
        struct str raw = {0};
        if (!gemini_get_str(&p->d->r, p->node, p->at, "thoughtSignature", &raw) || raw.len == 0 ||
            str_is(raw, GEMINI_SKIP_SIGNATURE))
                return s;
        s.wrapped = carry_unwrap(p->d->arena, raw, &s.from, &on, &s.text);
        s.redacted = s.wrapped && on == CARRY_ON_REDACTED;
        if (!s.wrapped)
                s.text = raw;
        return s;
}

void gemini_sign(struct chat_block *b, const struct gemini_signature *s)
{
        if (!s->text.at)
                return;
        b->signature = s->text;
        b->signature_from = s->from;
}

/* ---- text and thoughts ---- */

/* Room doubles, so that a thought in thousands of parts stays linear. */
static void append_thought(struct gemini_decode *d, struct chat_block *b, struct str more)
{
        size_t need = b->text.len + more.len + 1;
        if (need > d->thought_room) {
                d->thought_room = need * 2;
                char *room = arena_alloc(d->arena, d->thought_room);
                if (b->text.len)
                        memcpy(room, b->text.at, b->text.len);
                b->text.at = room;
        }
        if (more.len)
                memcpy((char *)b->text.at + b->text.len, more.at, more.len);
        b->text.len += more.len;
}

/*
 * A stream gives a thought in many parts, and SDKs send them back as they came: parts go together until one
 * is signed. A signature of gemini's own stays on its part alone; another vendor's belongs to the whole
 * thought before it.
 */
static void decode_thought(struct gemini_part *p, struct str text, const struct gemini_signature *s)
{
        struct gemini_decode *d = p->d;
        bool go_on = d->open_thought && !s->redacted && (!s->text.at || s->wrapped);
        struct chat_block *b = go_on ? d->open_thought : gemini_add_block(p, BLOCK_THINKING);
        if (!go_on)
                d->thought_room = 0;
        append_thought(d, b, s->redacted ? str_of("") : text);
        b->redacted = s->redacted;
        gemini_sign(b, s);
        d->open_thought = s->text.at ? NULL : b;
}

static void decode_text(struct gemini_part *p)
{
        struct gemini_decode *d = p->d;
        struct str text = str_of("");
        bool thought = false;
        json_get_str(&d->r, p->node, p->at, p->key, &text);
        gemini_get_bool(&d->r, p->node, p->at, "thought", &thought);
        struct gemini_signature s = gemini_read_signature(p);
        if (d->r.err->cause != ERR_NONE)
                return;
        if (thought && p->message && p->message->role == CHAT_ASSISTANT) {
                decode_thought(p, text, &s);
                return;
        }
        d->open_thought = NULL;
        if (!text.len && !s.text.at)
                return;
        struct chat_block *b = gemini_add_block(p, BLOCK_TEXT);
        b->text = text;
        gemini_sign(b, &s);
}

/* ---- calls and their results ---- */

static const char *legal_name(struct arena *a, const char *name)
{
        char *legal = arena_strndup(a, name, strnlen(name, 40));
        for (char *c = legal; *c; c++) {
                if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
                        *c = '_';
        }
        return legal;
}

static struct gemini_call *remember_call(struct gemini_decode *d, const char *id, const char *name)
{
        struct gemini_call *call = arena_alloc(d->arena, sizeof *call);
        call->name = name;
        call->id = id && *id
                           ? id
                           : arena_printf(d->arena, "call_%zu_%s", d->call_count, legal_name(d->arena, name));
        d->call_count++;
        if (d->last_call)
                d->last_call->next = call;
        else
                d->calls = call;
        return d->last_call = call;
}

static void decode_call(struct gemini_part *p)
{
        struct gemini_decode *d = p->d;
        json_object *call = NULL, *args = NULL;
        const char *id = NULL, *name = NULL;
        if (!json_get_object(&d->r, p->node, p->at, p->key, &call))
                return;
        struct json_path at = {.up = p->at, .key = p->key};
        if (p->list || p->message->role != CHAT_ASSISTANT) {
                json_fail(&d->r, p->at, p->key, "only the model calls functions");
                return;
        }
        gemini_get_string(&d->r, call, &at, "id", &id);
        gemini_get_object(&d->r, call, &at, "args", &args);
        if (!json_need_string(&d->r, call, &at, "name", &name))
                return;
        struct gemini_signature s = gemini_read_signature(p);
        struct chat_block *b = gemini_add_block(p, BLOCK_TOOL_CALL);
        b->id = remember_call(d, id, name)->id;
        b->name = name;
        b->arguments = args;
        gemini_sign(b, &s);
}

/* The call that a result belongs to: by its id, else the first of its name that has no result yet. */
static const char *answer_call(struct gemini_decode *d, const char *id, const char *name)
{
        while (d->calls && d->calls->answered)
                d->calls = d->calls->next;
        if (!d->calls)
                d->last_call = NULL;
        size_t steps = 0;
        for (struct gemini_call *c = d->calls; c && steps < OPEN_CALLS_MAX; c = c->next, steps++) {
                if (c->answered || (id && *id ? strcmp(c->id, id) : strcmp(c->name, name)) != 0)
                        continue;
                c->answered = true;
                return c->id;
        }
        return id && *id ? id
                         : arena_printf(d->arena, "call_%zu_%s", d->call_count++, legal_name(d->arena, name));
}

static struct str value_text(struct arena *a, json_object *value)
{
        size_t len;
        if (json_object_is_type(value, json_type_string))
                return (struct str){json_object_get_string(value), (size_t)json_object_get_string_len(value)};
        const char *text = json_object_to_json_string_length(
                value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        return arena_str(a, text, len);
}

/* {"output": …} and {"result": …} are the ways of the SDKs to make an object of anything; else the object is
 * the result. */
static struct str result_text(struct arena *a, json_object *response, bool *is_error)
{
        json_object *inner;
        *is_error = false;
        if (json_object_object_length(response) == 1) {
                if (json_object_object_get_ex(response, "error", &inner)) {
                        *is_error = true;
                        return value_text(a, inner);
                }
                if (json_object_object_get_ex(response, "output", &inner) ||
                    json_object_object_get_ex(response, "result", &inner))
                        return value_text(a, inner);
        }
        *is_error = json_get_any(response, "error", &inner);
        return value_text(a, response);
}

static void result_content(struct gemini_part *p, json_object *result, struct chat_block *b,
                           const struct json_path *at)
{
        struct gemini_decode *d = p->d;
        json_object *response = NULL, *parts = NULL;
        struct gemini_part inner = {.d = d, .message = p->message, .list = &b->content, .at = at};
        gemini_get_object(&d->r, result, at, "response", &response);
        gemini_get_array(&d->r, result, at, "parts", &parts);
        if (response) {
                struct chat_block *text = gemini_add_block(&inner, BLOCK_TEXT);
                text->text = result_text(d->arena, response, &b->is_error);
        }
        struct json_path parts_at = {.up = at, .key = "parts"};
        for (size_t i = 0; parts && i < json_object_array_length(parts); i++) {
                struct json_path here = {.up = &parts_at, .index = i};
                inner.at = &here;
                inner.node = json_object_array_get_idx(parts, i);
                if (!json_object_is_type(inner.node, json_type_object)) {
                        json_fail(&d->r, &here, NULL, "expected an object, got %s",
                                  json_type_text(inner.node));
                        return;
                }
                inner.key = gemini_key(&d->r, inner.node, &here, "inlineData");
                if (json_peek(inner.node, inner.key)) {
                        gemini_decode_inline(&inner);
                        continue;
                }
                inner.key = gemini_key(&d->r, inner.node, &here, "fileData");
                if (!json_peek(inner.node, inner.key))
                        json_fail(&d->r, &here, NULL, "expected inlineData or fileData");
                gemini_decode_file(&inner);
        }
}

static void decode_result(struct gemini_part *p)
{
        struct gemini_decode *d = p->d;
        json_object *result = NULL;
        const char *id = NULL, *name = NULL;
        if (!json_get_object(&d->r, p->node, p->at, p->key, &result))
                return;
        struct json_path at = {.up = p->at, .key = p->key};
        if (p->message->role != CHAT_USER) {
                json_fail(&d->r, p->at, p->key, "the model does not answer function calls");
                return;
        }
        gemini_get_string(&d->r, result, &at, "id", &id);
        if (!json_need_string(&d->r, result, &at, "name", &name))
                return;
        struct chat_block *b = gemini_add_block(p, BLOCK_TOOL_RESULT);
        b->id = answer_call(d, id, name);
        b->name = name;
        result_content(p, result, b, &at);
}

/* ---- the table of payloads ---- */

static const struct payload {
        const char *camel;
        void (*decode)(struct gemini_part *p);
} payloads[] = {
        {"text", decode_text},
        {"inlineData", gemini_decode_inline},
        {"fileData", gemini_decode_file},
        {"functionCall", decode_call},
        {"functionResponse", decode_result},
        {"executableCode", gemini_add_other},
        {"codeExecutionResult", gemini_add_other},
        {"toolCall", gemini_add_other},
        {"toolResponse", gemini_add_other},
};
enum { PAYLOADS = sizeof payloads / sizeof *payloads };

void gemini_decode_part(struct gemini_decode *d, struct chat_message *m, json_object *node,
                        const struct json_path *at)
{
        struct gemini_part p = {.d = d, .message = m, .node = node, .at = at, .key = "text"};
        const struct payload *found = NULL;
        if (!json_object_is_type(node, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(node));
                return;
        }
        for (size_t i = 0; i < PAYLOADS; i++) {
                const char *key = gemini_key(&d->r, node, at, payloads[i].camel);
                if (!json_peek(node, key))
                        continue;
                if (found) {
                        json_fail(&d->r, at, NULL, "has both %s and %s", p.key, key);
                        return;
                }
                found = &payloads[i];
                p.key = key;
        }
        /* A part of nothing but a signature is an empty text. */
        if (!found && json_peek(node, gemini_key(&d->r, node, at, "thoughtSignature")))
                found = &payloads[0];
        if (!found) {
                json_fail(&d->r, at, NULL,
                          "expected one of text, inlineData, fileData, functionCall, functionResponse");
                return;
        }
        if (found->decode != decode_text)
                d->open_thought = NULL;
        found->decode(&p);
}
