#include "base/clock.h"
#include "base/log.h"
#include "base/stack.h"
#include "relay/attempt.h"
#include "upstream/provider.h"

/* After the sign of a whole answer the provider gets this long to end it in good order, which keeps the
 * connection. */
enum { LINGER_MS = 250 };

static int64_t min_of(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/* Which of the times that hold has run out at `now`? FAULT_NONE: none; then *left_ms is how long until the
 * first does. */
static enum fault_kind time_fault(const struct exchange *x, int64_t now, int64_t *left_ms)
{
        const struct config_timeouts *t = &x->attempt->target->provider->timeouts;
        const struct exchange_times *when = &x->times;
        const struct {
                int64_t from, limit;
                enum fault_kind kind;
        } limits[] = {
                {when->started_ms, x->stream && !when->progress_ms ? t->first_token_ms : 0,
                 FAULT_FIRST_TOKEN},
                {when->progress_ms, x->stream && when->progress_ms ? t->idle_ms : 0, FAULT_IDLE},
                {when->started_ms, x->stream ? 0 : t->attempt_ms, FAULT_ATTEMPT_TIME},
        };
        int64_t left = x->attempt->run->deadline_ms - now;
        if (left <= 0)
                return FAULT_ATTEMPT_TIME;
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
                if (limits[i].limit <= 0)
                        continue;
                int64_t until = limits[i].from + limits[i].limit - now;
                if (until <= 0)
                        return limits[i].kind;
                left = min_of(left, until);
        }
        *left_ms = left;
        return FAULT_NONE;
}

static int64_t keepalive_left(const struct exchange *x, int64_t now)
{
        int64_t every = x->attempt->run->call->env->config->keepalive_ms;
        /* Nothing may follow the sign of a whole answer. */
        return x->keepalive && every > 0 && !x->over_ms ? x->attempt->run->last_write_ms + every - now
                                                        : INT64_MAX;
}

/* What a client that has left looks like on its descriptor is the client's own business: ask it. */
void exchange_look_for_client(struct relay_run *run)
{
        const struct relay_client *client = run->call->client;
        if (client->gone && client->gone(client->context)) {
                run->stop = true;
                run->record->client_left = true;
        }
}

bool exchange_collect(struct exchange *x, const char *bytes, size_t len)
{
        if (!deliver_meter(x->attempt, (int64_t)len))
                return false;
        x->metered += (int64_t)len;
        return buf_add(&x->body, bytes, len);
}

static bool collect(void *context, const char *bytes, size_t len)
{
        return exchange_collect(context, bytes, len);
}

/* Now and not with the call: the next attempt needs the room. */
void exchange_free(struct exchange *x)
{
        buf_release(&x->body);
        deliver_meter_less(x->attempt->run, x->metered);
        x->metered = 0;
}

bool exchange_claims(struct exchange *x)
{
        const struct attempt *at = x->attempt;
        if (x->race && !x->race->winner)
                x->race->winner = x;
        if (x->race && x->race->winner != x)
                return false;
        /* They may have been another attempt's. */
        at->run->adjusted = at->adjusted;
        at->run->call->answer->provider = at->target->provider->name;
        return true;
}

/* True: it has ended, or is to be. Else *left_ms shrinks to the time until that may be. */
static bool is_over(struct exchange *x, int64_t now, int64_t *left_ms)
{
        int64_t left = 0;
        if (transfer_ended(x->transfer))
                return true;
        x->late = time_fault(x, now, &left);
        if (x->late != FAULT_NONE || (x->over_ms && now >= x->over_ms + LINGER_MS))
                return true;
        if (x->over_ms)
                left = min_of(left, x->over_ms + LINGER_MS - now);
        *left_ms = min_of(*left_ms, left);
        return false;
}

struct exchange *exchange_drive(struct upstream_lane *lane, struct exchange *first, struct exchange *second,
                                int64_t until_ms)
{
        struct relay_run *run = first->attempt->run;
        /* Decoding, encoding and connecting went deeper than any event of a stream will. */
        bool deep = first->stream;
        while (!run->stop) {
                if (deep && run->begun) {
                        stack_release();
                        deep = false;
                }
                int64_t now = clock_now_ms(), left = INT64_MAX, quiet = keepalive_left(first, now);
                if (second && first->race->winner)
                        return NULL;
                if (is_over(first, now, &left))
                        return first;
                if (second && is_over(second, now, &left))
                        return second;
                if (until_ms && !first->times.progress_ms) {
                        if (now >= until_ms)
                                return NULL;
                        left = min_of(left, until_ms - now);
                }
                if (quiet <= 0) {
                        first->keepalive(first->context);
                        continue;
                }
                if (upstream_lane_run(lane, min_of(left, quiet), run->call->client->fd) & LANE_CLIENT)
                        exchange_look_for_client(run);
        }
        return NULL;
}

/* The network's or the status' fault of an ended transfer, with the provider's words where there are some. */
static void ended_fault(struct exchange *x, struct transfer *t)
{
        struct attempt *at = x->attempt;
        struct arena *a = at->run->call->arena;
        const char *message = NULL;
        enum fault_kind kind = transfer_fault(t, &message);
        if (x->status >= 300 && x->status < 400) {
                /* No error of the dialect, and by no means the caller's. */
                at->fault = (struct upstream_fault){.kind = FAULT_SERVER,
                                                    .message = "a redirect, which is not followed"};
        } else if (x->status >= 400) {
                at->dialect->decode_error(a, x->status, transfer_error_body(t), &at->fault);
                if (!at->fault.retry_after_ms)
                        at->fault.retry_after_ms = transfer_retry_after_ms(t);
        } else if (kind != FAULT_NONE) {
                at->fault = (struct upstream_fault){.kind = kind, .message = arena_strdup(a, message)};
        }
        if (at->fault.kind != FAULT_NONE && !at->fault.status)
                at->fault.status = x->status;
}

void exchange_open(struct exchange *x, struct upstream_lane *lane)
{
        struct attempt *at = x->attempt;
        struct arena *a = at->run->call->arena;
        struct transfer_request request;
        provider_prepare(a, at->target->provider, at->dialect, x->wire, at->run->call->trace, &request);
        request.max_bytes = x->stream ? STREAM_BYTES_MAX : ANSWER_BYTES_MAX;
        const struct transfer_sink sink = {
                .context = x->bytes ? x->context : x,
                .bytes = x->bytes ? x->bytes : collect,
        };
        x->times = (struct exchange_times){.started_ms = clock_now_ms(), .stream = x->stream};
        x->late = FAULT_NONE;
        x->transfer = transfer_open(lane, a, &request, &sink);
        at->sent = true;
        at->calls++;
}

bool exchange_close(struct exchange *x)
{
        struct attempt *at = x->attempt;
        const struct relay_call *call = at->run->call;
        struct transfer *t = x->transfer;
        x->status = transfer_status(t);
        at->quota = *transfer_quota(t);
        x->content_type = arena_strdup(call->arena, transfer_content_type(t));
        at->upstream_request_id = scrub_text(call->arena, call->env->config, transfer_request_id(t));
        if (at->fault.kind == FAULT_NONE && x->late != FAULT_NONE)
                at->fault = (struct upstream_fault){.kind = x->late, .status = x->status};
        else if (at->fault.kind == FAULT_NONE && !attempt_is_over(at))
                ended_fault(x, t);
        if (at->fault.kind == FAULT_NONE && x->body.failed)
                at->fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .status = x->status};
        x->transfer = NULL;
        transfer_close(t);
        return at->fault.kind == FAULT_NONE && !attempt_is_over(at);
}

bool exchange_run(struct exchange *x)
{
        struct attempt *at = x->attempt;
        struct upstream_lane *lane = upstream_lane_take(at->run->call->env->pool);
        exchange_open(x, lane);
        exchange_drive(lane, x, NULL, 0);
        bool ok = exchange_close(x);
        upstream_lane_give(lane);
        at->run->record->upstream_request_id = at->upstream_request_id;
        return ok;
}

bool exchange_pause(struct attempt *at, int64_t ms)
{
        at->sent = true;
        if (relay_wait(at->run, ms))
                return true;
        if (!at->run->stop)
                at->fault = (struct upstream_fault){.kind = FAULT_ATTEMPT_TIME};
        return false;
}
