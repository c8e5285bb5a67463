/* The handlers of model requests: decode, find the model, hand over to the relay. */
#include <string.h>

#include "base/clock.h"
#include "dialect/image_check.h"
#include "gateway/exchange.h"
#include "relay/status.h"

enum { STATUS_MAX = 4 << 20 };

static bool resolve(struct exchange *x, const char *name, enum model_task task, struct route *route,
                    struct err *err)
{
        x->model = name;
        return route_resolve(x->config, x->identity.account, name, task, x->arena, route, err);
}

static struct relay_call make_call(struct exchange *x, const struct relay_env *env, const struct route *route)
{
        return (struct relay_call){
                .env = env,
                .arena = x->arena,
                .dialect = x->dialect,
                .account = x->identity.account,
                .route = route,
                .answer = &x->answer,
                .body = x->request.body,
                .body_is_json = x->match.endpoint->body == BODY_JSON,
                .client = client_sink(x->client),
                .started_ms = x->started_ms,
        };
}

static struct relay_env make_env(struct exchange *x)
{
        return (struct relay_env){
                .config = x->config,
                .pool = x->gateway->pool,
                .memory = &x->gateway->memory,
        };
}

static bool shows_image(const struct chat_block *blocks)
{
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (b->type == BLOCK_IMAGE || (b->content && shows_image(b->content)))
                        return true;
        }
        return false;
}

/* An image makes a chat vision, wherever it was asked. */
static enum model_task task_of(const struct exchange *x, const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                if (shows_image(m->blocks))
                        return TASK_VISION;
        }
        return x->match.endpoint->task;
}

bool handle_chat(struct exchange *x, struct err *err)
{
        struct chat_request *r = arena_alloc(x->arena, sizeof *r);
        struct route *route = arena_alloc(x->arena, sizeof *route);
        if (!x->dialect->decode_chat_request(&x->input, r, err) || !image_check_request(x->arena, r, err))
                return false;
        x->answer.format = x->dialect->answer_format(&x->input, r->stream);
        x->answer.stream_usage = r->stream_usage;
        if (!resolve(x, r->model, task_of(x, r), route, err))
                return false;
        const struct relay_env env = make_env(x);
        const struct relay_call call = make_call(x, &env, route);
        relay_chat(&call, r, &x->record);
        return true;
}

bool handle_embed(struct exchange *x, struct err *err)
{
        struct embed_request *r = arena_alloc(x->arena, sizeof *r);
        struct route *route = arena_alloc(x->arena, sizeof *route);
        if (!x->dialect->decode_embed_request(&x->input, r, err))
                return false;
        /* Vectors come in one piece: a wish for an event stream can't be met. */
        if (x->answer.format == ANSWER_SSE || x->answer.format == ANSWER_JSON_ARRAY)
                x->answer.format = ANSWER_JSON;
        x->answer.embed_base64 = r->base64;
        x->answer.embed_batch = x->match.endpoint->batch;
        if (!resolve(x, r->model, TASK_EMBED, route, err))
                return false;
        const struct relay_env env = make_env(x);
        const struct relay_call call = make_call(x, &env, route);
        relay_embed(&call, r, &x->record);
        return true;
}

bool handle_health(struct exchange *x, struct err *err)
{
        (void)err;
        exchange_answer(x, "application/json", str_of("{\"status\":\"ok\"}\n"));
        return true;
}

bool handle_status(struct exchange *x, struct err *err)
{
        const struct status_ask ask = {
                .config = x->config, .state = x->gateway->state, .unix_ms = clock_unix_ms()};
        struct buf *out = buf_in_arena(x->arena, STATUS_MAX);
        struct status status;
        status_collect(&ask, x->arena, &status);
        if (!status_write(&status, out) || !buf_addc(out, '\n'))
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the status is too long");
        exchange_answer(x, "application/json", (struct str){out->data, out->len});
        return true;
}
