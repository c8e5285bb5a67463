#include "dialect/gather.h"

#include <string.h>

#include "base/buf.h"

enum { CHOICES_MAX = 256, BLOCKS_MAX = 10000 };

/* A block, with its texts while they grow. */
struct growing {
        struct chat_block *block;
        struct buf text, arguments, signature;
        struct chat_citation **citations; /* the end of the list */
};

struct line {
        struct line *next;
        struct chat_choice *choice;
        struct growing **blocks; /* each on its own: what is to be released knows its place */
        size_t count, size;
        json_object *logprobs; /* an array of items */
};

struct gather {
        struct arena *arena;
        struct chat_reply reply;
        struct line *lines; /* one for each choice */
        size_t line_count, size, most, blocks;
        bool ended, failed;
};

struct gather *gather_new(struct arena *a, size_t most)
{
        struct gather *g = arena_alloc(a, sizeof *g);
        g->arena = a;
        g->most = most;
        return g;
}

size_t gather_size(const struct gather *g)
{
        return g->size;
}

/* ---- copies: events live in scratch memory ---- */

static struct str copy_str(struct gather *g, struct str s)
{
        g->size += s.len;
        return s.at ? arena_str(g->arena, s.at, s.len) : s;
}

static void release_json(void *node)
{
        json_object_put(node);
}

static json_object *hold_json(struct gather *g, json_object *node)
{
        if (node)
                arena_defer(g->arena, release_json, json_object_get(node));
        return node;
}

static struct line *line_of(struct gather *g, int64_t index)
{
        struct line **end = &g->lines;
        for (; *end; end = &(*end)->next) {
                if ((*end)->choice->index == index)
                        return *end;
        }
        if (g->line_count == CHOICES_MAX)
                return NULL;
        struct line *l = *end = arena_alloc(g->arena, sizeof *l);
        g->line_count++;
        l->choice = chat_add_choice(g->arena, &g->reply);
        l->choice->index = index;
        return l;
}

/* ---- blocks ---- */

static struct growing *one_more(struct gather *g, struct line *l)
{
        if (l->count == l->size) {
                size_t size = l->size ? 2 * l->size : 8;
                struct growing **more = arena_alloc(g->arena, size * sizeof *more);
                if (l->count)
                        memcpy(more, l->blocks, l->count * sizeof *more);
                l->blocks = more;
                l->size = size;
        }
        return l->blocks[l->count++] = arena_alloc(g->arena, sizeof **l->blocks);
}

static struct chat_block *copy_block(struct gather *g, const struct chat_block *from,
                                     struct chat_choice *choice)
{
        struct chat_block *b = chat_add_reply_block(g->arena, choice, from->type);
        *b = *from;
        b->next = NULL;
        b->path = NULL;
        b->text = copy_str(g, from->text);
        b->source.media_type = arena_strdup(g->arena, from->source.media_type);
        b->source.data = copy_str(g, from->source.data);
        b->source.url = arena_strdup(g->arena, from->source.url);
        b->detail = arena_strdup(g->arena, from->detail);
        b->title = arena_strdup(g->arena, from->title);
        b->id = arena_strdup(g->arena, from->id);
        b->name = arena_strdup(g->arena, from->name);
        b->arguments = hold_json(g, from->arguments);
        b->arguments_text = copy_str(g, from->arguments_text);
        b->signature = copy_str(g, from->signature);
        b->cache_control = hold_json(g, from->cache_control);
        b->raw = hold_json(g, from->raw);
        return b;
}

static bool start_block(struct gather *g, const struct chat_event *e)
{
        struct line *l = line_of(g, e->choice);
        /* No decoder starts a block with what has parts of its own. */
        if (!l || e->block != (int64_t)l->count || ++g->blocks > BLOCKS_MAX || e->block_start.content ||
            e->block_start.citations)
                return false;
        struct growing *b = one_more(g, l);
        b->block = copy_block(g, &e->block_start, l->choice);
        b->citations = &b->block->citations;
        return true;
}

/* ---- deltas ---- */

/* The first piece goes behind what the block began with. */
static bool append(struct gather *g, struct buf *text, struct str begun, struct str more)
{
        if (!text->max) {
                buf_init_in_arena(text, g->arena, g->most);
                buf_add_str(text, begun);
        }
        g->size += more.len;
        return buf_add_str(text, more);
}

static bool add_citation(struct gather *g, struct growing *b, const struct chat_citation *from)
{
        struct chat_citation *c = arena_alloc(g->arena, sizeof *c);
        if (!from)
                return true;
        *c = *from;
        c->next = NULL;
        c->url = arena_strdup(g->arena, from->url);
        c->title = arena_strdup(g->arena, from->title);
        c->cited_text = copy_str(g, from->cited_text);
        c->raw = hold_json(g, from->raw);
        *b->citations = c;
        b->citations = &c->next;
        return true;
}

static bool add_logprobs(struct gather *g, struct line *l, json_object *items)
{
        if (!json_object_is_type(items, json_type_array))
                return true;
        if (!l->logprobs) {
                json_object *whole = json_object_new_object();
                l->logprobs = json_object_new_array();
                json_object_object_add(whole, "content", l->logprobs);
                arena_defer(g->arena, release_json, whole);
                l->choice->logprobs = whole;
        }
        for (size_t i = 0; i < json_object_array_length(items); i++) {
                g->size += 64;
                json_object_array_add(l->logprobs, json_object_get(json_object_array_get_idx(items, i)));
        }
        return true;
}

static bool take_delta(struct gather *g, const struct chat_event *e)
{
        struct line *l = line_of(g, e->choice);
        if (!l)
                return false;
        if (e->delta_kind == DELTA_LOGPROBS)
                return add_logprobs(g, l, e->logprobs);
        if (e->block < 0 || e->block >= (int64_t)l->count)
                return false;
        struct growing *b = l->blocks[e->block];
        switch (e->delta_kind) {
        case DELTA_TEXT: return append(g, &b->text, b->block->text, e->delta);
        case DELTA_ARGUMENTS: return append(g, &b->arguments, b->block->arguments_text, e->delta);
        case DELTA_SIGNATURE: return append(g, &b->signature, b->block->signature, e->delta);
        case DELTA_CITATION: return add_citation(g, b, e->citation);
        default: return false;
        }
}

/* ---- the rest ---- */

static void take_start(struct gather *g, const struct chat_event *e)
{
        if (e->id)
                g->reply.id = arena_strdup(g->arena, e->id);
        if (e->model)
                g->reply.model = arena_strdup(g->arena, e->model);
        if (e->usage.known)
                g->reply.usage = e->usage;
}

static bool take_stop(struct gather *g, const struct chat_event *e)
{
        struct line *l = line_of(g, e->choice);
        if (!l)
                return false;
        l->choice->finish = e->finish;
        l->choice->finish_raw = arena_strdup(g->arena, e->finish_raw);
        l->choice->stop_sequence = arena_strdup(g->arena, e->stop_sequence);
        l->choice->stop_details = hold_json(g, e->stop_details);
        return true;
}

static bool take(struct gather *g, const struct chat_event *e)
{
        switch (e->type) {
        case EVENT_START: take_start(g, e); return true;
        case EVENT_BLOCK_START: return start_block(g, e);
        case EVENT_DELTA: return take_delta(g, e);
        case EVENT_STOP: return take_stop(g, e);
        case EVENT_USAGE: g->reply.usage = e->usage; return true;
        case EVENT_END: g->ended = true; return true;
        case EVENT_ERROR: return false;
        default: return true;
        }
}

void gather_event(struct gather *g, const struct chat_event *e)
{
        if (g->failed || g->ended)
                return;
        if (!take(g, e) || g->size > g->most)
                g->failed = true;
}

static struct str grown(const struct buf *text, struct str begun)
{
        return text->max ? (struct str){text->data ? text->data : "", text->len} : begun;
}

const struct chat_reply *gather_reply(struct gather *g)
{
        if (g->failed || !g->ended)
                return NULL;
        for (const struct line *l = g->lines; l; l = l->next) {
                for (size_t i = 0; i < l->count; i++) {
                        struct growing *b = l->blocks[i];
                        b->block->text = grown(&b->text, b->block->text);
                        b->block->arguments_text = grown(&b->arguments, b->block->arguments_text);
                        b->block->signature = grown(&b->signature, b->block->signature);
                }
        }
        return &g->reply;
}
