/*
 * The events of one target after another become one stream. Each of its blocks gets the client's number: that
 * of a block which the client has and which is being said again, or the next one. What is said again is
 * swallowed.
 */
#include "relay/rescue_told.h"

/* ---- lists ---- */

static struct told_choice *choice_at(struct rescue *r, int64_t index)
{
        struct told_choice **at = &r->choices;
        while (*at && (*at)->index != index)
                at = &(*at)->next;
        if (!*at) {
                *at = arena_alloc(r->run->call->arena, sizeof **at);
                (*at)->index = index;
        }
        return *at;
}

/* Room for one more pointer; what the list grew out of stays in the arena. */
static void *grown(struct arena *a, void *list, size_t count, size_t *room)
{
        if (count < *room)
                return list;
        size_t more = *room ? *room * 2 : 8;
        void **bigger = arena_alloc(a, more * sizeof *bigger);
        if (count)
                memcpy(bigger, list, count * sizeof *bigger);
        *room = more;
        return bigger;
}

static struct source_block *add_source(struct rescue *r, struct told_choice *c, const struct chat_event *e)
{
        struct arena *a = r->run->call->arena;
        if (e->block < 0 || (size_t)e->block != c->source_count || c->source_count == TOLD_BLOCKS_MAX)
                return NULL;
        struct source_block *s = arena_alloc(a, sizeof *s);
        s->type = e->block_start.type;
        s->signature_from = e->block_start.signature_from;
        c->sources = grown(a, c->sources, c->source_count, &c->source_room);
        return c->sources[c->source_count++] = s;
}

static struct source_block *source_at(const struct told_choice *c, int64_t number)
{
        return number >= 0 && (size_t)number < c->source_count ? c->sources[number] : NULL;
}

/* ---- telling ---- */

static void pass(struct rescue *r, const struct chat_event *e, int64_t block, struct buf *out)
{
        struct chat_event mine = *e;
        mine.block = block;
        r->client->encode_event(r->encoder, &mine, out);
}

/* Keeps what is told: the answer stands even where there is no room for it. */
static void keep(struct rescue *r, struct told_block *b, struct str text)
{
        if (r->lost)
                return;
        r->bytes += text.len;
        if (r->bytes > TOLD_BYTES_MAX || !deliver_meter_more(r->run, (int64_t)text.len))
                r->lost = true;
        else
                buf_add_str(&b->text, text);
        b->matched = b->text.len;
}

void rescue_stop_block(struct rescue *r, struct told_choice *c, struct told_block *b, struct buf *out)
{
        const struct chat_event e = {.type = EVENT_BLOCK_STOP, .choice = c->index};
        b->stopped = true;
        /* Encoders give a call without arguments an object. */
        if (b->type == BLOCK_TOOL_CALL && !b->text.len)
                keep(r, b, str_of("{}"));
        pass(r, &e, b->number, out);
}

/* Text of an earlier target that this one leaves as it is must end before something else begins. */
static void stop_left(struct rescue *r, struct told_choice *c, bool all, struct buf *out)
{
        for (size_t i = 0; i < c->count; i++) {
                struct told_block *b = c->blocks[i];
                bool left = !b->live && b->type != BLOCK_TOOL_CALL;
                if (!b->stopped && (all || left))
                        rescue_stop_block(r, c, b, out);
        }
}

static bool is_shown(const struct rescue *r, const struct chat_block *b)
{
        return b->type != BLOCK_THINKING && (b->type != BLOCK_OTHER || b->raw_dialect == r->client->id);
}

static bool is_compared(enum chat_block_type type)
{
        return type == BLOCK_TEXT || type == BLOCK_REFUSAL || type == BLOCK_TOOL_CALL;
}

/* NULL: the choice has ended for the client, or there are too many. */
static struct told_block *tell_start(struct rescue *r, struct told_choice *c, const struct chat_event *e,
                                     struct buf *out)
{
        struct arena *a = r->run->call->arena;
        const struct chat_block *start = &e->block_start;
        if (c->stopped || c->count == TOLD_BLOCKS_MAX)
                return NULL;
        stop_left(r, c, false, out);
        c->awaits_text = false;
        struct told_block *b = arena_alloc(a, sizeof *b);
        b->type = start->type;
        b->number = (int64_t)c->count;
        b->name = arena_strdup(a, start->name);
        b->compared = is_compared(start->type);
        b->bound = b->live = true;
        b->signature_from = start->signature_from;
        b->has_signature = start->signature.len > 0;
        buf_init_in_arena(&b->text, a, TOLD_BYTES_MAX);
        c->blocks = grown(a, c->blocks, c->count, &c->room);
        c->blocks[c->count++] = b;
        r->opaque |= !b->compared && is_shown(r, start);
        pass(r, e, b->number, out);
        return b;
}

static bool tell_text(struct rescue *r, const struct chat_event *e, struct told_block *b, struct str text,
                      struct buf *out)
{
        struct chat_event piece = *e;
        piece.delta = text;
        keep(r, b, text);
        pass(r, &piece, b->number, out);
        return true;
}

/* ---- comparing ---- */

/* The next block that the client has and the target has not come to. */
static struct told_block *next_told(struct told_choice *c)
{
        for (; c->cursor < c->count; c->cursor++) {
                struct told_block *b = c->blocks[c->cursor];
                if (b->compared && !b->bound && (b->text.len || b->type == BLOCK_TOOL_CALL))
                        return b;
        }
        return NULL;
}

static bool text_is_left(const struct told_choice *c)
{
        return c->text && c->text->matched < c->text->text.len;
}

/* The target has said all that the client has. */
static bool is_abreast(struct told_choice *c)
{
        return !c->awaits_text && !text_is_left(c) && !next_told(c);
}

/* Takes what of the piece the client has. False: it differs. */
static bool swallow(struct told_block *b, struct str *piece)
{
        size_t left = b->text.len - b->matched, n = piece->len < left ? piece->len : left;
        if (n && memcmp(b->text.data + b->matched, piece->at, n) != 0)
                return false;
        b->matched += n;
        *piece = (struct str){piece->at + n, piece->len - n};
        return true;
}

static void swallow_space(struct told_choice *c, struct str *piece)
{
        while (c->again.len && piece->len && *c->again.at == *piece->at) {
                c->again = (struct str){c->again.at + 1, c->again.len - 1};
                *piece = (struct str){piece->at + 1, piece->len - 1};
        }
        if (piece->len)
                c->again = (struct str){0};
}

/* ---- text ---- */

static bool can_go_on(const struct told_choice *c, enum chat_block_type type)
{
        return c->text && !c->text->stopped && c->text->type == type;
}

static bool start_text(struct rescue *r, struct told_choice *c, struct source_block *s,
                       const struct chat_block *start, struct buf *out)
{
        const struct chat_event e = {.type = EVENT_BLOCK_START, .choice = c->index, .block_start = *start};
        s->to = c->text = tell_start(r, c, &e, out);
        s->own = true;
        return s->to;
}

/* The client has all of this: what comes now is new. */
static bool go_on(struct rescue *r, struct told_choice *c, struct source_block *s, const struct chat_event *e,
                  struct str piece, struct buf *out)
{
        const struct chat_block start = {.type = s->type, .signature_from = s->signature_from};
        if (!can_go_on(c, s->type) && !start_text(r, c, s, &start, out))
                return false;
        if (c->stopped)
                return false;
        s->to = c->text;
        s->to->live = true;
        return tell_text(r, e, c->text, piece, out);
}

static bool take_text(struct rescue *r, struct told_choice *c, struct source_block *s,
                      const struct chat_event *e, struct buf *out)
{
        struct str piece = e->delta;
        if (piece.len)
                c->awaits_text = false;
        swallow_space(c, &piece);
        while (piece.len) {
                struct told_block *next;
                if (text_is_left(c)) {
                        if (c->text->type != s->type || !swallow(c->text, &piece))
                                return false;
                        s->to = c->text;
                        s->to->live = true;
                } else if ((next = next_told(c))) {
                        if (next->type != s->type)
                                return false;
                        next->bound = true;
                        c->text = next;
                } else {
                        return go_on(r, c, s, e, piece, out);
                }
        }
        return true;
}

/* ---- calls ---- */

static bool start_call(struct rescue *r, struct told_choice *c, struct source_block *s,
                       const struct chat_event *e, struct buf *out)
{
        struct told_block *next = next_told(c);
        const char *name = e->block_start.name;
        if (text_is_left(c))
                return false;
        if (!next) {
                s->own = true;
                return (s->to = tell_start(r, c, e, out));
        }
        if (next->type != BLOCK_TOOL_CALL || strcmp(next->name ? next->name : "", name ? name : "") != 0)
                return false;
        next->bound = true;
        s->to = next;
        return true;
}

static bool take_arguments(struct rescue *r, struct told_choice *c, struct source_block *s,
                           const struct chat_event *e, struct buf *out)
{
        struct str piece = e->delta;
        s->spoke |= piece.len > 0;
        if (!s->to)
                return true;
        if (!swallow(s->to, &piece))
                return false;
        if (!piece.len)
                return true;
        return !s->to->stopped && !c->stopped && tell_text(r, e, s->to, piece, out);
}

/* ---- events ---- */

static bool on_start(struct rescue *r, struct told_choice *c, const struct chat_event *e, struct buf *out)
{
        struct source_block *s = add_source(r, c, e);
        if (!s)
                return false;
        switch (s->type) {
        case BLOCK_TOOL_CALL: return start_call(r, c, s, e, out);
        case BLOCK_TEXT:
        case BLOCK_REFUSAL:
                /* Where the client has text or an open block of it, the first words tell what it is. */
                return !is_abreast(c) || can_go_on(c, s->type) || start_text(r, c, s, &e->block_start, out);
        default: break;
        }
        if (!is_abreast(c))
                return !is_shown(r, &e->block_start);
        return (s->to = tell_start(r, c, e, out));
}

static bool on_delta(struct rescue *r, struct told_choice *c, const struct chat_event *e, struct buf *out)
{
        struct source_block *s = source_at(c, e->block);
        if (!s)
                return true;
        if (e->delta_kind == DELTA_TEXT && is_compared(s->type))
                return take_text(r, c, s, e, out);
        if (e->delta_kind == DELTA_ARGUMENTS)
                return take_arguments(r, c, s, e, out);
        /* Signatures belong to the whole of a block, citations to any place of it. */
        bool fits = s->own || !is_compared(s->type) || (e->delta_kind == DELTA_CITATION && is_abreast(c));
        if (s->to && !s->to->stopped && fits) {
                s->to->has_signature |= e->delta_kind == DELTA_SIGNATURE;
                pass(r, e, s->to->number, out);
        }
        return true;
}

static bool on_block_stop(struct rescue *r, struct told_choice *c, const struct chat_event *e,
                          struct buf *out)
{
        struct source_block *s = source_at(c, e->block);
        const struct chat_event nothing = {
                .type = EVENT_DELTA, .choice = c->index, .delta_kind = DELTA_ARGUMENTS, .delta = {"{}", 2}};
        if (!s || !s->to)
                return true;
        if (s->type == BLOCK_TOOL_CALL) {
                if (!s->own && !s->spoke && !take_arguments(r, c, s, &nothing, out))
                        return false;
                if (s->to->matched < s->to->text.len)
                        return false;
        }
        s->to->live = false;
        /* Text of which the client has more may go on in the target's next block. */
        if (!s->to->stopped && s->to->matched == s->to->text.len)
                rescue_stop_block(r, c, s->to, out);
        return true;
}

static bool all_said(const struct told_choice *c)
{
        for (size_t i = 0; i < c->count; i++) {
                const struct told_block *b = c->blocks[i];
                if (b->compared && (b->matched < b->text.len || (b->type == BLOCK_TOOL_CALL && !b->bound)))
                        return false;
        }
        return true;
}

static bool on_stop(struct rescue *r, struct told_choice *c, const struct chat_event *e, struct buf *out)
{
        if (!all_said(c))
                return false;
        if (c->stopped)
                return true;
        stop_left(r, c, true, out);
        c->stopped = true;
        r->client->encode_event(r->encoder, e, out);
        return true;
}

static bool on_end(struct rescue *r, const struct chat_event *e, struct buf *out)
{
        for (const struct told_choice *c = r->choices; c; c = c->next) {
                if (!all_said(c))
                        return false;
        }
        r->client->encode_event(r->encoder, e, out);
        return true;
}

/* The client knows an id and a model already; what the target counts is news. */
static void on_begin(struct rescue *r, const struct chat_event *e, struct buf *out)
{
        struct chat_event usage = {.type = EVENT_USAGE, .usage = e->usage};
        if (!r->started)
                r->client->encode_event(r->encoder, e, out);
        else if (e->usage.known)
                r->client->encode_event(r->encoder, &usage, out);
        r->started = true;
}

bool rescue_match(struct rescue *r, const struct chat_event *e, struct buf *out)
{
        switch (e->type) {
        case EVENT_START: on_begin(r, e, out); return true;
        case EVENT_BLOCK_START: return on_start(r, choice_at(r, e->choice), e, out);
        case EVENT_DELTA: return on_delta(r, choice_at(r, e->choice), e, out);
        case EVENT_BLOCK_STOP: return on_block_stop(r, choice_at(r, e->choice), e, out);
        case EVENT_STOP: return on_stop(r, choice_at(r, e->choice), e, out);
        case EVENT_END: return on_end(r, e, out);
        default: r->client->encode_event(r->encoder, e, out); return true;
        }
}
