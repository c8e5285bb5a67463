#include "base/clock.h"
#include "base/text.h"
#include "relay/cached.h"
#include "relay/limit_headers.h"

void deliver_header(struct relay_run *run, const char *name, const char *value)
{
        struct relay_head *h = &run->head;
        /* Ids of models may come from anywhere: what is no safe header value is not told. */
        if (!value || !*value || !text_header_safe(value) || h->header_count == RELAY_HEADERS_MAX)
                return;
        h->headers[h->header_count++] = (struct relay_header){name, value};
}

/* Of the version that was meant, whether or not another stands in for it. */
static void add_dates(struct relay_run *run, const struct route *route)
{
        char text[ROUTE_DATE_MAX];
        if (route->deprecated_unix) {
                route_deprecation(route->deprecated_unix, text);
                deliver_header(run, "deprecation", arena_strdup(run->call->arena, text));
        }
        if (route->sunset_unix) {
                route_sunset(route->sunset_unix, text);
                deliver_header(run, "sunset", arena_strdup(run->call->arena, text));
        }
}

void deliver_prepare(struct relay_run *run, const struct config_target *target, const char *served_model,
                     bool stream)
{
        const struct relay_call *call = run->call;
        if (run->begun)
                return;
        run->head = (struct relay_head){
                .status = 200,
                .stream = stream,
                .content_type = call->dialect->content_type(call->answer->format),
        };
        deliver_header(run, "x-tollgate-model", call->route->model_name);
        deliver_header(run, "x-tollgate-version", call->route->version->name);
        add_dates(run, call->route);
        if (target) {
                deliver_header(run, "x-tollgate-provider", target->provider->name);
                deliver_header(run, "x-tollgate-served-model", served_model ? served_model : target->model);
        }
        deliver_header(run, "x-tollgate-attempts",
                       arena_printf(call->arena, "%lld", (long long)run->record->attempts));
        deliver_header(run, "x-tollgate-adjusted", run->adjusted);
        deliver_header(run, "x-tollgate-cache", cached_word(run));
        deliver_header(run, "x-tollgate-cost", call->answer->cost);
        struct relay_header limits[LIMIT_HEADERS];
        size_t count = run->limited ? limit_headers(call->arena, &run->limits, limits) : 0;
        for (size_t i = 0; i < count; i++)
                deliver_header(run, limits[i].name, limits[i].value);
}

static bool left(struct relay_run *run)
{
        run->stop = true;
        run->record->client_left = true;
        return false;
}

bool deliver_bytes(struct relay_run *run, struct str bytes, bool flush)
{
        const struct relay_client *client = run->call->client;
        if (run->stop)
                return false;
        if (!run->begun) {
                run->begun = true;
                run->record->status = run->head.status;
                if (!client->begin(client->context, &run->head))
                        return left(run);
        }
        if (bytes.len && !client->write(client->context, bytes.at, bytes.len))
                return left(run);
        if (flush && !client->flush(client->context))
                return left(run);
        run->last_write_ms = clock_now_ms();
        return true;
}

void deliver_keepalive(struct relay_run *run, void *encoder)
{
        struct buf out;
        buf_init(&out, 4096);
        run->call->dialect->encode_keepalive(encoder, &out);
        if (!run->begun)
                deliver_prepare(run, NULL, NULL, true);
        deliver_bytes(run, (struct str){out.data, out.len}, true);
        buf_release(&out);
}

bool deliver_meter_more(struct relay_run *run, int64_t n)
{
        const struct relay_env *env = run->call->env;
        if (!env->memory)
                return true;
        if (!meter_take(env->memory, n, env->config->max_memory))
                return false;
        run->metered += n;
        return true;
}

void deliver_meter_less(struct relay_run *run, int64_t n)
{
        const struct relay_env *env = run->call->env;
        if (!env->memory)
                return;
        meter_give(env->memory, n);
        run->metered -= n;
}

bool deliver_meter(struct attempt *at, int64_t n)
{
        if (deliver_meter_more(at->run, n))
                return true;
        err_set(&at->err, at->run->call->arena, ERR_OVERLOADED, NULL,
                "too many bodies and answers in flight; try again");
        at->err.retry_after_ms = 1000;
        return false;
}

enum attempt_result deliver_answer(struct attempt *at, const char *served_model,
                                   const struct chat_usage *usage, struct str raw, const struct buf *encoded)
{
        struct relay_run *run = at->run;
        served_model = scrub_text(run->call->arena, run->call->env->config, served_model);
        run->record->usage = at->usage = *usage;
        run->record->served_model = at->served_model = served_model;
        if (!raw.at && encoded->failed) {
                at->fault = (struct upstream_fault){.kind = FAULT_MALFORMED};
                return ATTEMPT_FAILED;
        }
        deliver_prepare(run, at->target, served_model, false);
        if (!at->first_token_ms)
                at->first_token_ms = clock_now_ms() - at->started_ms;
        run->content_sent = true;
        run->record->whole =
                deliver_bytes(run, raw.at ? raw : (struct str){encoded->data, encoded->len}, false);
        return run->record->whole ? ATTEMPT_ANSWERED : ATTEMPT_OVER;
}
