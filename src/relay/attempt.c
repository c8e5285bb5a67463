/* One attempt of a chat at one target: encode or patch, ask, decode, answer. */
#include "base/clock.h"
#include "base/log.h"
#include "dialect/carry.h"
#include "policy/catalogue.h"
#include "relay/billing.h"
#include "relay/cached.h"
#include "relay/rescue.h"
#include "upstream/echo.h"
#include "upstream/fetch.h"

enum { EDITS_MAX = 64, BODY_EXTRA = 1 << 20, ECHO_FLUSH = 32 << 10, BYTES_A_TOKEN = 4 };

/* ---- images by URL ---- */

static size_t count_urls(const struct chat_block *blocks)
{
        size_t n = 0;
        for (const struct chat_block *b = blocks; b; b = b->next) {
                n += b->type == BLOCK_IMAGE && b->source.kind == SOURCE_URL;
                for (const struct chat_block *c = b->content; c; c = c->next)
                        n += c->type == BLOCK_IMAGE && c->source.kind == SOURCE_URL;
        }
        return n;
}

static void add_jobs(struct chat_block *blocks, const char *path, struct fetch_job *jobs, size_t *n)
{
        for (struct chat_block *b = blocks; b; b = b->next) {
                const char *here = b->path ? b->path : path;
                if (b->type == BLOCK_IMAGE && b->source.kind == SOURCE_URL)
                        jobs[(*n)++] =
                                (struct fetch_job){.url = b->source.url, .path = here, .out = &b->source};
                if (b->content)
                        add_jobs(b->content, here, jobs, n);
        }
}

/* Fetched once for all attempts: the blocks themselves change, and then the client's own bytes can't be used.
 */
static bool fetch_for(struct attempt *at, const struct chat_request *r)
{
        const struct relay_call *call = at->run->call;
        size_t count = 0, n = 0;
        for (const struct chat_message *m = r->messages; m; m = m->next)
                count += count_urls(m->blocks);
        if (count == 0)
                return true;
        if (at->besides)
                return err_set(&at->err, call->arena, ERR_INTERNAL, NULL,
                               "images would have to be fetched first");
        struct fetch_job *jobs = arena_alloc(call->arena, count * sizeof *jobs);
        for (const struct chat_message *m = r->messages; m; m = m->next)
                add_jobs(m->blocks, m->path, jobs, &n);
        at->run->images_fetched = true;
        return fetch_images(call->arena, call->env->config, call->env->memory, &at->run->metered, jobs, n,
                            &at->err);
}

static bool wants_bytes(const struct attempt *at, const struct model_caps *caps)
{
        if (caps->image_urls != TRI_UNSET)
                return caps->image_urls == TRI_NO;
        return at->dialect->id == DIALECT_GEMINI;
}

/* ---- the request ---- */

static bool can_patch(const struct attempt *at, const struct fit *fit)
{
        const struct relay_run *run = at->run;
        const struct relay_call *call = run->call;
        /* The request then holds what the client has of the answer. */
        bool continues = run->content_sent && call->route->version->rescue == RESCUE_CONTINUE;
        return call->dialect == at->dialect && fit->patchable && call->body_is_json && !run->images_fetched &&
               !continues && at->dialect->address_chat_request && !carry_present(call->body);
}

/* Not inlined: its edits would stand on the stack below the whole stream. */
static __attribute__((noinline)) bool patch_request(struct attempt *at, const struct fit *fit,
                                                    const struct wire_target *target,
                                                    struct wire_request *wire)
{
        const struct relay_call *call = at->run->call;
        struct patch_edit edits[EDITS_MAX];
        size_t n = fit_patch_edits(call->arena, fit, at->target, call->route->version, edits, EDITS_MAX);
        at->dialect->address_chat_request(call->arena, &fit->request, target, wire);
        return patch_apply(call->body, edits, n, &wire->body);
}

/* False: at->err. *fast tells which way it went. */
static bool make_request(struct attempt *at, const struct fit *fit, const struct model_caps *caps,
                         struct wire_request *wire, bool *fast)
{
        struct arena *a = at->run->call->arena;
        const struct wire_target target = {.model = at->target->model, .caps = *caps};
        *fast = can_patch(at, fit) && patch_request(at, fit, &target, wire);
        if (*fast)
                return true;
        buf_reset(&wire->body);
        wire->header_count = 0;
        if (!at->dialect->encode_chat_request(a, &fit->request, &target, wire, &at->err))
                return false;
        return !wire->body.failed || err_set(&at->err, a, ERR_TOO_LARGE, NULL, "the request is too large");
}

/* ---- the answer in one piece ---- */

static enum attempt_result deliver_reply(struct attempt *at, const struct chat_reply *reply, struct str raw)
{
        struct relay_run *run = at->run;
        const struct relay_call *call = run->call;
        struct buf out;
        buf_init(&out, ANSWER_BYTES_MAX);
        run->record->first_token_ms = clock_now_ms() - call->started_ms;
        call->answer->latency_ms = run->record->first_token_ms;
        at->usage = reply->usage;
        billing_show(at, reply->model);
        if (!raw.at)
                call->dialect->encode_chat_reply(call->answer, reply, &out);
        enum attempt_result result = deliver_answer(at, reply->model, &reply->usage, raw, &out);
        buf_release(&out);
        if (result == ATTEMPT_ANSWERED)
                cached_keep_chat(at, reply);
        return result;
}

static enum attempt_result end_whole(struct question *q, bool ok)
{
        struct attempt *at = q->attempt;
        const struct relay_call *call = at->run->call;
        const struct buf *got = &q->exchange->body;
        struct str body = {got->data ? got->data : "", got->len};
        struct chat_reply reply = {0};
        enum attempt_result result = ATTEMPT_FAILED;
        if (ok && at->dialect->decode_chat_reply(call->arena, body, &reply, &at->fault) &&
            exchange_claims(q->exchange))
                result = deliver_reply(at, &reply, at->fast ? body : (struct str){0});
        return attempt_is_over(at) ? ATTEMPT_OVER : result;
}

static void release_whole(struct question *q)
{
        exchange_free(q->exchange);
}

static void question_of_whole(struct question *q)
{
        struct exchange *x = arena_alloc(q->attempt->run->call->arena, sizeof *x);
        x->attempt = q->attempt;
        x->wire = &q->wire;
        buf_init(&x->body, ANSWER_BYTES_MAX);
        q->exchange = x;
        q->end = end_whole;
        q->release = release_whole;
}

/* ---- a question ---- */

void attempt_record(const struct attempt *at)
{
        struct relay_record *record = at->run->record;
        record->provider = at->target->provider->name;
        record->upstream_model = at->target->model;
        record->upstream_request_id = at->upstream_request_id;
        record->served_model = at->served_model;
        record->usage = at->usage;
        record->fast_path = at->fast;
}

void attempt_reckon(struct attempt *at, bool answered)
{
        struct chat_usage *u = &at->usage;
        const struct upstream_fault *f = &at->fault;
        if (u->known || !at->sent)
                return;
        if (!answered && (f->status >= 400 || (f->kind && !fault_row(f->kind)->asked)))
                return;
        u->known = u->estimated = true;
        u->input = at->estimate.input;
        u->output = at->streamed_bytes > 0 ? at->streamed_bytes / BYTES_A_TOKEN + 1
                                           : at->permit.tokens - at->estimate.input;
        if (u->output < 0)
                u->output = 0;
}

/* In the arena, as all that would stand on the stack below the whole stream. */
struct question *question_new(struct attempt *at, const struct chat_request *original, const struct fit *fit)
{
        const struct relay_call *call = at->run->call;
        struct question *q = arena_alloc(call->arena, sizeof *q);
        struct model_caps *caps = arena_alloc(call->arena, sizeof *caps);
        q->attempt = at;
        q->original = original;
        q->request = &fit->request;
        q->wire.method = "POST";
        at->adjusted = at->run->adjusted;
        catalogue_target_caps(call->env->config, at->target, caps);
        if (wants_bytes(at, caps) && !fetch_for(at, &fit->request))
                return NULL;
        buf_init(&q->wire.body, (size_t)call->env->config->max_body * 2 + BODY_EXTRA);
        if (!make_request(at, fit, caps, &q->wire, &at->fast)) {
                buf_release(&q->wire.body);
                return NULL;
        }
        if (fit->request.stream)
                question_of_stream(q);
        else
                question_of_whole(q);
        return q;
}

void question_free(struct question *q)
{
        q->release(q);
        buf_release(&q->wire.body);
}

enum attempt_result attempt_chat(struct attempt *at, const struct chat_request *original,
                                 const struct fit *fit)
{
        if (!at->dialect)
                return attempt_echo_chat(at, &fit->request);
        struct question *q = question_new(at, original, fit);
        if (!q)
                return ATTEMPT_OVER;
        enum attempt_result result = question_ask(q);
        question_free(q);
        attempt_record(at);
        return result;
}

/* ---- echo ---- */

static enum attempt_result echo_stream(struct attempt *at, const struct chat_request *request,
                                       const struct chat_reply *reply)
{
        struct relay_run *run = at->run;
        const struct relay_call *call = run->call;
        struct chat_events events = {.arena = call->arena};
        struct buf out;
        buf_init(&out, ANSWER_BYTES_MAX);
        struct rescue *rescue = rescue_take(at, request, &out);
        bool hold = call->route->version->rescue == RESCUE_HOLD;
        echo_events(reply, &events);
        deliver_prepare(run, at->target, reply->model, true);
        run->content_sent = !hold;
        run->rescue = rescue;
        run->record->usage = at->usage = reply->usage;
        run->record->served_model = at->served_model = reply->model;
        int64_t delay = at->target->provider->echo_delay_ms;
        for (const struct chat_event *e = events.first; e && !run->stop; e = e->next) {
                if (e->type == EVENT_DELTA && delay > 0 && !exchange_pause(at, delay))
                        break;
                if (e->type == EVENT_DELTA && !run->record->first_token_ms) {
                        int64_t now = clock_now_ms(); /* 0: none came */
                        run->record->first_token_ms = now > call->started_ms ? now - call->started_ms : 1;
                        at->first_token_ms = now > at->started_ms ? now - at->started_ms : 1;
                }
                if (e->type == EVENT_END)
                        billing_show(at, reply->model);
                if (!rescue_event(rescue, at, e, &out))
                        break;
                billing_progress(at);
                /* One write a token where somebody watches; all at once where nothing is to be waited for. */
                if (!e->next || (!hold && (delay > 0 || out.len >= ECHO_FLUSH))) {
                        deliver_bytes(run, (struct str){out.data, out.len}, true);
                        buf_reset(&out);
                }
        }
        buf_release(&out);
        run->record->whole = !attempt_is_over(at) && at->fault.kind == FAULT_NONE;
        if (at->fault.kind != FAULT_NONE)
                return ATTEMPT_FAILED;
        cached_keep_chat(at, reply);
        return attempt_is_over(at) ? ATTEMPT_OVER : ATTEMPT_ANSWERED;
}

enum attempt_result attempt_echo_chat(struct attempt *at, const struct chat_request *request)
{
        const struct relay_call *call = at->run->call;
        struct chat_reply reply = {0};
        echo_chat(call->arena, at->target->provider, at->target->model, request, call->answer->created,
                  call->answer->id_seed, &reply);
        if (request->stream)
                return echo_stream(at, request, &reply);
        if (!exchange_pause(at, at->target->provider->echo_delay_ms))
                return at->run->stop ? ATTEMPT_OVER : ATTEMPT_FAILED;
        return deliver_reply(at, &reply, (struct str){0});
}
