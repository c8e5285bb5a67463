/*
 * Marks for the providers' prompt caches (cache_control), in the order in which a prompt is cached: tools,
 * system, messages. Left out where the target has no place for them; the earliest of too many; and put where
 * they pay, where a version says `auto_cache`.
 */
#include <string.h>

#include "base/json.h"
#include "dialect/anthropic.h"
#include "policy/estimate.h"
#include "policy/fit_steps.h"

/* Of one request, at anthropic; tokens of a prompt from which on it caches. */
enum { MARKS_MAX = 4, CACHE_MIN = 1024 };

/* ---- which there are ---- */

static bool takes(const struct fitting *f, const struct chat_block *b)
{
        if (f->to == DIALECT_ANTHROPIC)
                return true;
        /* A call has no place for one in openai's dialect. */
        return f->to == DIALECT_OPENAI &&
               (b->cache_breakpoint || (f->caps.cache_control == TRI_YES && b->type != BLOCK_TOOL_CALL));
}

/* Some stand in what is passed on as it came. */
static json_object *mark_of(const struct chat_block *b)
{
        return b->cache_control         ? b->cache_control
               : b->type == BLOCK_OTHER ? json_peek_object(b->raw, "cache_control")
                                        : NULL;
}

struct tally {
        int64_t taken, lost;
        bool breakpoint; /* of those lost, one is openai's own */
};

static void count(const struct fitting *f, const struct chat_block *b, struct tally *t)
{
        if (!mark_of(b))
                return;
        if (takes(f, b)) {
                t->taken++;
                return;
        }
        t->lost++;
        t->breakpoint |= b->cache_breakpoint;
}

static struct chat_block block_of(const struct chat_tool *tool)
{
        bool raw = tool->raw && !tool->cache_control;
        return (struct chat_block){.type = raw ? BLOCK_OTHER : BLOCK_TEXT,
                                   .cache_control = tool->cache_control,
                                   .raw = raw ? tool->raw : NULL};
}

static struct tally count_all(const struct fitting *f)
{
        const struct chat_request *r = f->request;
        struct tally t = {0};
        count(f, &(struct chat_block){.cache_control = r->cache_control}, &t);
        for (const struct chat_tool *tool = r->tools; tool; tool = tool->next) {
                struct chat_block b = block_of(tool);
                count(f, &b, &t);
        }
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        for (const struct chat_block *c = b->content; c; c = c->next)
                                count(f, c, &t);
                        count(f, b, &t);
                }
        }
        return t;
}

/* ---- lists of our own: the caller's request serves other targets too ---- */

static struct chat_block *copy_blocks(struct arena *a, const struct chat_block *from,
                                      struct chat_block **last)
{
        struct chat_message list = {0};
        for (; from; from = from->next) {
                struct chat_block *b = chat_add_block(a, &list, from->type);
                *b = *from;
                b->next = NULL;
                if (b->content)
                        b->content = copy_blocks(a, from->content, NULL);
        }
        if (last)
                *last = list.last_block;
        return list.blocks;
}

static void own_messages(struct fitting *f)
{
        struct chat_request kept = {0};
        for (const struct chat_message *from = f->request->messages; from; from = from->next) {
                struct chat_message *m = chat_add_message(f->arena, &kept, from->role);
                *m = *from;
                m->next = NULL;
                m->blocks = copy_blocks(f->arena, from->blocks, &m->last_block);
        }
        f->request->messages = kept.messages;
        f->request->last_message = kept.last_message;
}

static void own_tools(struct fitting *f)
{
        struct chat_request kept = {0};
        for (const struct chat_tool *from = f->request->tools; from; from = from->next) {
                struct chat_tool *t = chat_add_tool(f->arena, &kept);
                *t = *from;
                t->next = NULL;
        }
        f->request->tools = kept.tools;
        f->request->last_tool = kept.last_tool;
}

/* ---- too many ---- */

static void release_json(void *node)
{
        json_object_put(node);
}

static json_object *without_mark(struct arena *a, json_object *raw)
{
        json_object *copy = NULL;
        if (!json_peek(raw, "cache_control") || json_object_deep_copy(raw, &copy, NULL) != 0)
                return raw;
        arena_defer(a, release_json, copy);
        json_object_object_del(copy, "cache_control");
        return copy;
}

static void drop_from_block(struct fitting *f, struct chat_block *b, int64_t *left)
{
        if (!*left || !mark_of(b) || !takes(f, b))
                return;
        --*left;
        b->cache_control = NULL;
        if (b->type == BLOCK_OTHER)
                b->raw = without_mark(f->arena, b->raw);
}

/* What stands further back covers more of the prompt. */
static void drop_earliest(struct fitting *f, int64_t left)
{
        own_tools(f);
        own_messages(f);
        for (struct chat_tool *t = f->request->tools; t && left; t = t->next) {
                struct chat_block b = block_of(t);
                if (!mark_of(&b))
                        continue;
                left--;
                t->cache_control = NULL;
                if (t->raw)
                        t->raw = without_mark(f->arena, t->raw);
        }
        for (struct chat_message *m = f->request->messages; m; m = m->next) {
                for (struct chat_block *b = m->blocks; b; b = b->next) {
                        for (struct chat_block *c = b->content; c; c = c->next)
                                drop_from_block(f, c, &left);
                        drop_from_block(f, b, &left);
                }
        }
}

/* ---- auto_cache ---- */

static json_object *new_mark(struct fitting *f)
{
        static const char text[] = "{\"type\":\"ephemeral\"}";
        struct err ignored = {0};
        return json_parse(f->arena, text, sizeof text - 1, JSON_FROM_CLIENT, &ignored);
}

static int64_t tokens_of(const char *text)
{
        return text ? estimate_text(text, strlen(text)) : 0;
}

static int64_t tokens_of_tools(const struct chat_request *r)
{
        int64_t tokens = 0;
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                json_object *schema = t->raw ? t->raw : t->parameters;
                tokens += tokens_of(t->name) + tokens_of(t->description);
                tokens += schema ? tokens_of(json_object_to_json_string_ext(schema, JSON_C_TO_STRING_PLAIN))
                                 : 0;
        }
        return tokens;
}

static bool is_blank(struct str s)
{
        return strspn(s.at ? s.at : "", " \t\r\n") >= s.len;
}

/* The last block of `system`, as it will be written; NULL: none. *tokens: of all. */
static struct chat_block *last_of_system(const struct chat_request *r, int64_t *tokens)
{
        struct chat_block *last = NULL;
        if (!r->messages || !anthropic_is_leading_system(r, r->messages))
                return NULL;
        for (const struct chat_message *m = r->messages;
             m && (m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER); m = m->next) {
                for (struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TEXT || is_blank(b->text))
                                continue;
                        *tokens += estimate_text(b->text.at, b->text.len);
                        last = b;
                }
        }
        return last;
}

static void mark_where_it_pays(struct fitting *f)
{
        struct chat_request *r = f->request;
        int64_t least = f->caps.cache_min ? f->caps.cache_min : CACHE_MIN, all;
        int64_t tokens = all = tokens_of_tools(r);
        bool tools = r->tools && tokens >= least, system = last_of_system(r, &all) && all >= least;
        if (!tools && !system)
                return;
        f->fit->patchable = false;
        if (tools) {
                own_tools(f);
                /* One that runs at the provider is passed on as it came. */
                if (!r->last_tool->raw)
                        r->last_tool->cache_control = new_mark(f);
        }
        if (system) {
                own_messages(f);
                last_of_system(r, &all)->cache_control = new_mark(f);
        }
}

/* ---- the step ---- */

static void tell(struct fitting *f, const char *name)
{
        fit_note_extra(f, name);
        /* It stands deeper in the body than edits reach. */
        f->fit->patchable = false;
}

void fit_marks(struct fitting *f)
{
        const struct tally t = count_all(f);
        if (t.lost)
                tell(f, t.breakpoint ? "prompt_cache_breakpoint" : "cache_control");
        if (t.lost && !takes(f, &(struct chat_block){.type = BLOCK_TEXT}))
                f->request->cache_control = NULL;
        if (t.taken > MARKS_MAX && (f->to == DIALECT_ANTHROPIC || f->caps.cache_control == TRI_YES)) {
                drop_earliest(f, t.taken - MARKS_MAX);
                tell(f, "cache_control");
        }
        bool none = !t.taken && !t.lost;
        if (f->to == DIALECT_ANTHROPIC && none && f->version && f->version->auto_cache)
                mark_where_it_pays(f);
}
