/* A stream from provider to client: bytes to events to bytes, held back until there is content to show. */
#include "base/clock.h"
#include "base/log.h"
#include "relay/billing.h"
#include "relay/cached.h"
#include "relay/rescue.h"

/* Of one stream: what decoders and encoders keep grows with its blocks. */
enum { PENDING_BYTES_MAX = 32 << 20, BLOCKS_MAX = 10000 };

struct pump {
        struct exchange x;
        const struct chat_request *request;
        const struct dialect *client; /* the client's dialect */
        bool fast;                    /* raw bytes go through */
        bool hold;                    /* nothing is sent before all is there */
        int64_t held;                 /* bytes of it counted in flight */
        bool lf_given;                /* the last of them ended in CR, and its LF was added */
        struct sse_parser *sse;
        struct arena *scratch; /* events of one wire event */
        void *decoder;
        struct rescue *rescue;      /* the client's end */
        struct cached_stream *kept; /* what may go into the response cache, or NULL */
        struct buf pending;         /* for the client, not sent yet */
        size_t blocks;
        bool content, whole, failed;
};

static struct relay_run *run_of(const struct pump *p)
{
        return p->x.attempt->run;
}

/* What commits us to this target: something that the client can see, or the end of an answer without any. */
static bool is_content(const struct chat_event *e)
{
        switch (e->type) {
        case EVENT_DELTA: return e->delta.len || e->citation || e->logprobs;
        case EVENT_BLOCK_START:
                return e->block_start.type == BLOCK_TOOL_CALL || e->block_start.type == BLOCK_OTHER;
        case EVENT_STOP:
        case EVENT_END: return true;
        default: return false;
        }
}

static void note_error(struct pump *p, const struct chat_event *e)
{
        struct attempt *at = p->x.attempt;
        const struct relay_call *call = run_of(p)->call;
        p->failed = true;
        at->fault = e->fault ? *e->fault : (struct upstream_fault){.kind = FAULT_IN_BODY};
        /* The scratch arena goes with this event. */
        scrub_fault(call->arena, call->env->config, &at->fault);
}

/* False: another attempt was heard first, and this one ends. */
static bool note_content(struct pump *p)
{
        struct relay_run *run = run_of(p);
        struct attempt *at = p->x.attempt;
        p->x.times.progress_ms = clock_now_ms();
        if (p->content)
                return true;
        if (!exchange_claims(&p->x)) {
                p->failed = true;
                return false;
        }
        p->content = true;
        int64_t took = p->x.times.progress_ms - p->x.times.started_ms;
        at->first_token_ms = took > 0 ? took : 1; /* 0: none came */
        took = p->x.times.progress_ms - run->call->started_ms;
        if (!run->content_sent)
                run->record->first_token_ms = took > 0 ? took : 1;
        return true;
}

static void take_event(struct pump *p, const struct chat_event *e)
{
        struct attempt *at = p->x.attempt;
        if (e->model && !at->served_model)
                at->served_model = scrub_text(run_of(p)->call->arena, run_of(p)->call->env->config, e->model);
        if ((e->type == EVENT_START || e->type == EVENT_USAGE) && e->usage.known)
                at->usage = e->usage;
        if (e->type == EVENT_ERROR) {
                note_error(p, e);
                return;
        }
        if (e->type == EVENT_BLOCK_START && ++p->blocks > BLOCKS_MAX) {
                p->failed = true;
                at->fault = (struct upstream_fault){.kind = FAULT_MALFORMED};
                return;
        }
        if (is_content(e) && !note_content(p))
                return;
        if (e->type == EVENT_DELTA)
                at->streamed_bytes += (int64_t)e->delta.len;
        billing_progress(at);
        if (e->type == EVENT_END)
                billing_show(at, at->served_model);
        p->whole |= e->type == EVENT_END;
        cached_stream_event(p->kept, e);
        if (!p->fast && !rescue_event(p->rescue, at, e, &p->pending))
                p->failed = true;
}

static bool take_events(struct pump *p, const struct chat_events *events)
{
        for (const struct chat_event *e = events->first; e && !p->failed; e = e->next)
                take_event(p, e);
        return !p->failed;
}

/* The usage that we asked for and the client did not: the openai chunk that holds nothing else. */
static bool hidden(const struct pump *p, const struct chat_events *events)
{
        if (p->request->stream_usage || p->client->id != DIALECT_OPENAI)
                return false;
        return events->first && events->first == events->last && events->first->type == EVENT_USAGE;
}

/* An event that ends in CRLF may come apart before its LF: the LF is given at once, and not again with the
 * next event. */
static void pass_raw(struct pump *p, struct str raw)
{
        if (p->lf_given && raw.len && raw.at[0] == '\n')
                raw = (struct str){raw.at + 1, raw.len - 1};
        buf_add_str(&p->pending, raw);
        p->lf_given = raw.len && raw.at[raw.len - 1] == '\r';
        if (p->lf_given)
                buf_addc(&p->pending, '\n');
}

static bool take_wire_event(struct pump *p, const struct sse_event *wire)
{
        struct chat_events events = {.arena = p->scratch};
        p->x.attempt->dialect->decode_event(p->decoder, wire, &events);
        bool ok = take_events(p, &events);
        if (ok && p->fast && !hidden(p, &events))
                pass_raw(p, wire->raw);
        /* Now and not before the next: a stream that waits holds no event. */
        arena_reset(p->scratch);
        return ok;
}

static bool hold_back(struct pump *p)
{
        int64_t more = (int64_t)p->pending.len - p->held;
        if (more <= 0)
                return true;
        if (!deliver_meter(p->x.attempt, more))
                return false;
        p->held += more;
        return true;
}

static bool send_pending(struct pump *p)
{
        struct relay_run *run = run_of(p);
        if (p->pending.failed) {
                p->failed = true;
                rescue_lose(p->rescue);
                p->x.attempt->fault = (struct upstream_fault){.kind = FAULT_MALFORMED};
                return false;
        }
        /* Of two, one has the client's ear. */
        bool heard = p->content || run->content_sent, other = p->x.race && p->x.race->winner != &p->x;
        if (other || !heard || (p->hold && !p->whole))
                return hold_back(p);
        if (!p->pending.len)
                return true;
        if (!run->begun)
                deliver_prepare(run, p->x.attempt->target, p->x.attempt->served_model, true);
        run->content_sent = true;
        run->rescue = p->rescue;
        int64_t before = clock_now_ms();
        bool ok = deliver_bytes(run, (struct str){p->pending.data, p->pending.len}, true);
        buf_reset(&p->pending);
        /* A client that reads slowly is not the provider's silence; but neither is what goes out always
         * content: pings pass too. */
        if (p->x.times.progress_ms && ok)
                p->x.times.progress_ms += run->last_write_ms - before;
        return ok;
}

/* What came before an error: the client's where it has content already, else dropped with the attempt. */
static void send_rest(struct pump *p)
{
        if (run_of(p)->content_sent && !p->pending.failed)
                send_pending(p);
}

static bool is_event_stream(const char *content_type)
{
        return content_type && strncasecmp(content_type, "text/event-stream", 17) == 0;
}

static bool pump_bytes(void *context, const char *bytes, size_t len)
{
        struct pump *p = context;
        struct sse_event wire;
        if (p->whole)
                return true;
        if (!is_event_stream(transfer_content_type(p->x.transfer)))
                return exchange_collect(&p->x, bytes, len);
        if (!sse_feed(p->sse, bytes, len)) {
                p->failed = true;
                p->x.attempt->fault = (struct upstream_fault){.kind = FAULT_MALFORMED};
                return false;
        }
        while (!p->whole && sse_next(p->sse, &wire)) {
                if (!take_wire_event(p, &wire)) {
                        send_rest(p);
                        return false;
                }
        }
        if (p->whole)
                p->x.over_ms = clock_now_ms();
        return send_pending(p);
}

static void pump_keepalive(void *context)
{
        struct pump *p = context;
        deliver_keepalive(run_of(p), rescue_encoder(p->rescue));
}

/* The connection has ended: what was held back, and whether the answer is whole. */
static void finish_stream(struct pump *p)
{
        struct sse_event wire;
        if (!p->whole && sse_end(p->sse, &wire) && !take_wire_event(p, &wire))
                return;
        if (p->whole)
                return;
        struct chat_events events = {.arena = p->scratch};
        p->x.attempt->dialect->decode_end(p->decoder, sse_stray(p->sse), &events);
        if (take_events(p, &events) && p->whole && p->fast && p->client->stream_end)
                buf_adds(&p->pending, p->client->stream_end);
}

/* Asked for a stream, answered in one piece: an error inside a 200, or a provider that does not stream. */
static void finish_whole_body(struct pump *p)
{
        struct attempt *at = p->x.attempt;
        struct arena *a = run_of(p)->call->arena;
        struct chat_reply reply = {0};
        struct str body = {p->x.body.data ? p->x.body.data : "", p->x.body.len};
        if (!at->dialect->decode_chat_reply(a, body, &reply, &at->fault)) {
                p->failed = true;
                return;
        }
        struct chat_events events = {.arena = a};
        chat_reply_events(&reply, &events);
        p->fast = false;
        take_events(p, &events);
}

static void finish(struct pump *p, bool ok)
{
        struct attempt *at = p->x.attempt;
        /* Cut after the finish was seen: only the dialect's last sign is missing. */
        bool maybe_whole = !ok && !p->failed && at->fault.kind == FAULT_CUT && p->content;
        if (p->failed || attempt_is_over(at) || (!ok && !maybe_whole && !p->whole))
                return;
        struct upstream_fault cut = at->fault;
        at->fault = (struct upstream_fault){0};
        if (is_event_stream(p->x.content_type))
                finish_stream(p);
        else
                finish_whole_body(p);
        if (!p->failed)
                send_pending(p);
        else
                send_rest(p);
        if (p->failed && maybe_whole)
                at->fault = cut;
}

static enum attempt_result end_stream(struct question *q, bool ok)
{
        struct pump *p = q->state;
        struct attempt *at = q->attempt;
        finish(p, ok);
        at->run->record->whole = p->whole && !p->failed;
        if (attempt_is_over(at))
                return ATTEMPT_OVER;
        if (p->whole && !p->failed) {
                cached_stream_keep(p->kept, at);
                return ATTEMPT_ANSWERED;
        }
        if (at->fault.kind == FAULT_NONE)
                at->fault = (struct upstream_fault){.kind = FAULT_CUT};
        return ATTEMPT_FAILED;
}

static void release_stream(struct question *q)
{
        struct pump *p = q->state;
        exchange_free(&p->x);
        deliver_meter_less(run_of(p), p->held);
        cached_stream_free(p->kept);
        buf_release(&p->pending);
        arena_free(p->scratch);
        sse_free(p->sse);
}

void question_of_stream(struct question *q)
{
        struct attempt *at = q->attempt;
        const struct relay_call *call = at->run->call;
        struct pump *p = arena_alloc(call->arena, sizeof *p);
        *p = (struct pump){
                .x = {.attempt = at,
                      .wire = &q->wire,
                      .stream = true,
                      .bytes = pump_bytes,
                      .context = p,
                      .keepalive = pump_keepalive},
                .request = q->request,
                .client = call->dialect,
                .hold = call->route->version->rescue == RESCUE_HOLD,
                .sse = sse_new(EVENT_BYTES_MAX),
                .scratch = arena_new(),
                .decoder = at->dialect->decoder_new(call->arena, q->request),
        };
        buf_init(&p->pending, PENDING_BYTES_MAX);
        buf_init(&p->x.body, ANSWER_BYTES_MAX);
        p->rescue = rescue_take(at, q->request, &p->pending);
        p->kept = cached_stream_new(at);
        p->fast = at->fast && call->answer->format == ANSWER_SSE && !rescue_keeps(p->rescue);
        at->fast = p->fast;
        q->exchange = &p->x;
        q->state = p;
        q->end = end_stream;
        q->release = release_stream;
        /* What ends before the target speaks. */
        send_rest(p);
}
