/* The handlers of model requests: decode, find the model, hand over to the relay. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dialect/image_check.h"
#include "gateway/exchange.h"

/* Whom a canary counts as one caller: nameless ones by where they come from. */
static struct route_caller caller_of(const struct exchange *x)
{
        const char *name = x->identity.name;
        return (struct route_caller){
                .account = x->identity.account,
                .identity = name ? name : client_variable(x->client, "REMOTE_ADDR"),
        };
}

static void log_dates(const struct route *route, int64_t now)
{
        const struct config_version *meant = route->meant;
        if (route->version != meant)
                log_info("%s@%s is gone since %s: %s@%s stands in for it", route->model_name, meant->name,
                         meant->sunset, route->model_name, route->version->name);
        else if (meant->deprecated_unix && now >= meant->deprecated_unix)
                log_info("%s@%s is deprecated since %s%s%s", route->model_name, meant->name,
                         meant->deprecated, meant->sunset ? " and goes on " : "",
                         meant->sunset ? meant->sunset : "");
}

static bool resolve(struct exchange *x, const char *name, enum model_task task, struct route *route,
                    struct err *err)
{
        const struct route_caller caller = caller_of(x);
        int64_t now = clock_unix();
        x->model = name;
        if (!route_resolve(x->config, &caller, name, task, now, x->arena, route, err))
                return false;
        x->route = route;
        log_dates(route, now);
        return true;
}

static struct relay_call make_call(struct exchange *x, const struct relay_env *env, const struct route *route)
{
        return (struct relay_call){
                .env = env,
                .arena = x->arena,
                .dialect = x->dialect,
                .account = x->identity.account,
                .caller = x->caller,
                .route = route,
                .answer = &x->answer,
                .body = x->request.body,
                .body_is_json = x->match.endpoint->body == BODY_JSON,
                .client = x->sink,
                .started_ms = x->started_ms,
                .row = x->booked ? &x->row : NULL,
                .trace = x->request.trace,
                .no_cache = x->request.no_cache,
                .no_store = x->request.no_store,
        };
}

struct relay_env exchange_env(struct exchange *x)
{
        return (struct relay_env){
                .config = x->config,
                .pool = x->gateway->pool,
                .memory = &x->gateway->memory,
                .state = x->state,
                .book = x->book,
                .cache = x->gateway->answers,
                /* A CGI process has one worker, and nobody else to keep it for. */
                .waiting = x->gateway->workers > 1 ? &x->gateway->waiting : NULL,
        };
}

static int64_t count_images(const struct chat_block *blocks)
{
        int64_t n = 0;
        for (const struct chat_block *b = blocks; b; b = b->next)
                n += (b->type == BLOCK_IMAGE) + count_images(b->content);
        return n;
}

/* An image makes a chat vision, wherever it was asked. */
static enum model_task task_of(struct exchange *x, const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next)
                x->row.images += count_images(m->blocks);
        return x->row.images ? TASK_VISION : x->match.endpoint->task;
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
        const struct relay_env env = exchange_env(x);
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
        const struct relay_env env = exchange_env(x);
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
