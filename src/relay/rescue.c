/* When a broken stream can go on from another target, and with which request. */
#include "dialect/carry.h"
#include "relay/rescue_told.h"

/* ---- what the client has ---- */

static bool has_content(const struct told_block *b)
{
        return b->compared && (b->text.len || b->type == BLOCK_TOOL_CALL);
}

/* The one text that is all the client has besides thoughts. *alone is false where it has more. */
static struct told_block *only_text(const struct rescue *r, bool *alone)
{
        struct told_block *text = NULL;
        *alone = true;
        for (const struct told_choice *c = r->choices; c; c = c->next) {
                for (size_t i = 0; i < c->count; i++) {
                        struct told_block *b = c->blocks[i];
                        if (!has_content(b))
                                continue;
                        *alone = *alone && !text && b->type == BLOCK_TEXT && c->index == 0;
                        text = b;
                }
                *alone = *alone && !c->stopped;
        }
        return text;
}

static bool can_continue(const struct rescue *r)
{
        bool alone;
        return only_text(r, &alone) && alone && r->request->response_format <= FORMAT_TEXT &&
               (!r->request->n.set || r->request->n.value <= 1);
}

/* Asked to go on from the text so far; else the whole question again. */
static bool continues(const struct rescue *r)
{
        bool alone;
        return r->mode == RESCUE_CONTINUE && only_text(r, &alone);
}

bool rescue_possible(const struct relay_run *run, const struct config_target *next,
                     const struct model_caps *caps)
{
        const struct rescue *r = run->rescue;
        (void)next;
        if (!run->content_sent)
                return true;
        if (!r || !rescue_keeps(r) || r->lost || r->opaque || r->request->logprobs)
                return false;
        return !continues(r) || (can_continue(r) && caps->prefill == TRI_YES);
}

/* ---- the request ---- */

static size_t without_space(const char *s, size_t len)
{
        while (len && s[len - 1] && strchr(" \t\r\n", s[len - 1]))
                len--;
        return len;
}

/* The lists that grow are copied: those of the caller serve the other attempts. */
static void copy_messages(struct arena *a, struct chat_request *r)
{
        const struct chat_message *from = r->messages;
        r->messages = r->last_message = NULL;
        for (; from; from = from->next) {
                struct chat_message *m = chat_add_message(a, r, from->role);
                *m = *from;
                m->next = NULL;
        }
}

static void copy_blocks(struct arena *a, struct chat_message *m)
{
        const struct chat_block *from = m->blocks;
        m->blocks = m->last_block = NULL;
        for (; from; from = from->next) {
                struct chat_block *b = chat_add_block(a, m, from->type);
                *b = *from;
                b->next = NULL;
        }
}

static struct str join(struct arena *a, struct str first, struct str second)
{
        char *both = arena_alloc(a, first.len + second.len + 1);
        if (first.len)
                memcpy(both, first.at, first.len);
        memcpy(both + first.len, second.at, second.len);
        return (struct str){both, first.len + second.len};
}

/* Behind a last turn of the assistant's that the caller gave, in that turn. */
static void append_text(struct arena *a, struct chat_request *r, struct str text)
{
        struct chat_message *m = r->last_message;
        if (m && m->role == CHAT_ASSISTANT)
                copy_blocks(a, m);
        else
                m = chat_add_message(a, r, CHAT_ASSISTANT);
        if (!m->last_block || m->last_block->type != BLOCK_TEXT)
                chat_add_block(a, m, BLOCK_TEXT);
        m->last_block->text = join(a, m->last_block->text, text);
}

const struct chat_request *rescue_request(const struct relay_run *run, const struct chat_request *asked)
{
        const struct rescue *r = run->rescue;
        bool alone;
        if (!run->content_sent || !r || !continues(r))
                return asked;
        const struct told_block *b = only_text(r, &alone);
        struct arena *a = run->call->arena;
        size_t len = without_space(b->text.data, b->text.len);
        if (!len)
                return asked;
        struct chat_request *copy = arena_alloc(a, sizeof *copy);
        *copy = *asked;
        copy_messages(a, copy);
        append_text(a, copy, arena_str(a, b->text.data, len));
        /* The thought is over, and vendors refuse a new one before text that is given. */
        copy->reasoning = (struct chat_reasoning){.effort = EFFORT_NONE, .mode = THINKING_OFF};
        return copy;
}

/* ---- the start of an attempt ---- */

static struct rescue *rescue_new(struct relay_run *run, const struct chat_request *request)
{
        const struct relay_call *call = run->call;
        struct rescue *r = arena_alloc(call->arena, sizeof *r);
        r->run = run;
        r->request = request;
        r->client = call->dialect;
        r->encoder = call->dialect->encoder_new(call->answer);
        r->mode = call->route->version->rescue;
        return r;
}

/* An unsigned thought must not come back to its vendor as a signed one: the mark of a signature that is none
 * goes with it. */
static void close_thought(struct rescue *r, struct told_choice *c, struct told_block *b, struct buf *out)
{
        if (r->client->id == DIALECT_ANTHROPIC && b->signature_from == DIALECT_ANTHROPIC &&
            !b->has_signature) {
                const struct chat_event e = {
                        .type = EVENT_DELTA,
                        .choice = c->index,
                        .block = b->number,
                        .delta_kind = DELTA_SIGNATURE,
                        .delta = carry_wrap(r->run->call->arena, DIALECT_OPENAI, CARRY_ON_THINKING,
                                            str_of("")),
                };
                r->client->encode_event(r->encoder, &e, out);
        }
        rescue_stop_block(r, c, b, out);
}

/* All that is compared stands to be said again; nobody goes on with a thought that was cut. */
static void rewind_choice(struct rescue *r, struct told_choice *c, struct buf *out)
{
        c->source_count = c->cursor = 0;
        c->text = NULL;
        c->again = (struct str){0};
        c->awaits_text = false;
        for (size_t i = 0; i < c->count; i++) {
                struct told_block *b = c->blocks[i];
                b->matched = 0;
                b->bound = b->live = false;
                if (!b->stopped && b->type == BLOCK_THINKING)
                        close_thought(r, c, b, out);
        }
}

/* The target goes on behind the text, of which the last white space was not given to it. */
static void go_on_behind(struct told_choice *c, struct told_block *b)
{
        size_t len = without_space(b->text.data, b->text.len);
        b->matched = b->text.len;
        b->bound = true;
        c->text = b;
        c->cursor = c->count;
        c->awaits_text = true;
        c->again = (struct str){b->text.data + len, b->text.len - len};
}

struct rescue *rescue_take(struct attempt *at, const struct chat_request *request, struct buf *out)
{
        struct relay_run *run = at->run;
        struct rescue *r = run->rescue;
        bool alone;
        if (!run->content_sent || !r)
                return rescue_new(run, request);
        run->record->rescues++;
        bool behind = continues(r);
        struct told_block *text = only_text(r, &alone);
        for (struct told_choice *c = r->choices; c; c = c->next) {
                rewind_choice(r, c, out);
                if (behind && c->index == 0)
                        go_on_behind(c, text);
        }
        return r;
}

void *rescue_encoder(const struct rescue *r)
{
        return r->encoder;
}

void *rescue_sent_encoder(const struct relay_run *run)
{
        const struct relay_call *call = run->call;
        return run->content_sent && run->rescue ? run->rescue->encoder
                                                : call->dialect->encoder_new(call->answer);
}

bool rescue_keeps(const struct rescue *r)
{
        return r->mode == RESCUE_MATCH || r->mode == RESCUE_CONTINUE;
}

void rescue_lose(struct rescue *r)
{
        r->lost = true;
}

bool rescue_event(struct rescue *r, struct attempt *at, const struct chat_event *e, struct buf *out)
{
        if (!rescue_keeps(r)) {
                r->client->encode_event(r->encoder, e, out);
                return true;
        }
        return rescue_match(r, e, out) ||
               err_set(&at->err, r->run->call->arena, ERR_UPSTREAM, NULL,
                       "the provider's stream broke off, and the answer of another one differs from it");
}
