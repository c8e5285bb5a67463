/* Targets in order, and one answer to the client whatever happens. */
#include "relay/relay.h"

#include "base/clock.h"
#include "base/log.h"
#include "policy/catalogue.h"
#include "relay/billing.h"
#include "relay/cached.h"
#include "relay/walk.h"
#include "relay/rescue.h"

enum { TOTAL_MS_DEFAULT = 600000 };

/* ---- errors ---- */

/* Errors before a stream has begun are plain bodies. */
static enum answer_format error_format(enum answer_format format)
{
        return format == ANSWER_SSE || format == ANSWER_JSON_ARRAY ? ANSWER_JSON : format;
}

static void add_header(struct relay_head *head, const char *name, const char *value)
{
        if (value && head->header_count < RELAY_HEADERS_MAX)
                head->headers[head->header_count++] = (struct relay_header){name, value};
}

static void error_headers(struct relay_head *head, struct arena *a, const struct err *e)
{
        if (e->retry_after_ms > 0)
                add_header(head, "retry-after",
                           arena_printf(a, "%lld", (long long)((e->retry_after_ms + 999) / 1000)));
        if (e->final || !err_row(e->cause)->asking_again_helps)
                add_header(head, "x-should-retry", "false");
        add_header(head, "allow", e->allow);
}

static void send_error(const struct relay_client *client, const struct dialect *dialect,
                       const struct answer_context *answer, const struct err *e, struct relay_head *head)
{
        struct answer_context plain = *answer;
        struct buf out;
        buf_init(&out, 1 << 16);
        plain.format = error_format(answer->format);
        dialect->encode_error(&plain, e, &out);
        head->status = err_status(e);
        head->content_type = dialect->content_type(plain.format);
        head->stream = false;
        error_headers(head, answer->arena, e);
        if (client->begin(client->context, head) &&
            client->write(client->context, out.data ? out.data : "", out.len))
                client->flush(client->context);
        buf_release(&out);
}

void relay_error(const struct relay_client *client, const struct dialect *dialect,
                 const struct answer_context *answer, const struct err *err)
{
        struct relay_head head = {0};
        send_error(client, dialect, answer, err, &head);
}

void relay_tell(struct relay_run *run, const struct err *e)
{
        const struct relay_call *call = run->call;
        run->record->cause = e->cause;
        if (run->stop)
                return;
        if (!run->begun) {
                deliver_prepare(run, NULL, NULL, false);
                run->record->status = err_status(e);
                send_error(call->client, call->dialect, call->answer, e, &run->head);
                return;
        }
        struct buf out;
        buf_init(&out, 1 << 16);
        call->dialect->encode_stream_error(rescue_sent_encoder(run), e, &out);
        deliver_bytes(run, (struct str){out.data, out.len}, true);
        buf_release(&out);
}

/* ---- one run ---- */

static void run_start(struct relay_run *run, const struct relay_call *call, struct relay_record *record)
{
        int64_t total = call->route->version->total_ms;
        *run = (struct relay_run){
                .call = call,
                .record = record,
                .deadline_ms = call->started_ms + (total > 0 ? total : TOTAL_MS_DEFAULT),
                .last_write_ms = clock_now_ms(),
        };
        *record = (struct relay_record){0};
        call->answer->model_asked = call->route->model_name;
        call->answer->version = call->route->version->name;
}

/* The account's turn, the targets, and everything given back. */
static void run_through(struct relay_run *run, const struct errand *errand)
{
        const struct config_version *v = run->call->route->version;
        struct estimate e = {0};
        struct err problem = {0};
        if (v->target_count && run->call->account && config_any_limit(&run->call->account->limits))
                errand->estimate(&v->targets[0], run, errand->request, &e);
        if (billing_enter(run, &problem) && admission_enter(run, &e, &problem)) {
                if (!errand->cached(run, errand->request))
                        walk_targets(run, errand);
                cached_store(run);
        } else if (problem.cause != ERR_NONE) {
                log_info("not admitted: %s", problem.message);
                relay_tell(run, &problem);
        }
        admission_leave(run, run->record->spent.input + run->record->spent.output);
        if (run->metered)
                meter_give(run->call->env->memory, run->metered);
        run->record->total_ms = clock_now_ms() - run->call->started_ms;
        billing_leave(run);
}

/* ---- chat ---- */

struct chat_errand {
        const struct chat_request *request;
        struct fit fit;
};

static const char *adjusted_text(struct arena *a, const struct fit *fit)
{
        struct buf out;
        buf_init(&out, 1024);
        for (size_t i = 0; i < fit->change_count; i++) {
                if (!fit->changes[i].forced && fit->changes[i].shown)
                        buf_addf(&out, "%s%s", out.len ? ", " : "", fit->changes[i].shown);
        }
        const char *text = out.len ? arena_strndup(a, out.data, out.len) : NULL;
        buf_release(&out);
        return text;
}

static bool unfit(const struct config_target *target, struct arena *a, enum err_cause cause,
                  const char *field, const char *why, struct err *err)
{
        log_info("%s/%s can't take this request: %s: %s", target->provider->name, target->model, field, why);
        return err_set(err, a, cause ? cause : ERR_UNSUPPORTED, field, "%s: %s", field, why);
}

static bool fit_chat_target(struct relay_run *run, const struct config_target *target, void *request,
                            struct err *err)
{
        const struct relay_call *call = run->call;
        struct chat_errand *e = request;
        fit_chat(call->arena, call->env->config, rescue_request(run, e->request), target,
                 call->route->version, call->account, &e->fit);
        if (!e->fit.fits)
                return unfit(target, call->arena, e->fit.unfit_cause, e->fit.unfit_field, e->fit.unfit_why,
                             err);
        run->provoked = e->fit.reaches_account;
        run->adjusted = adjusted_text(call->arena, &e->fit);
        if (run->adjusted)
                log_info("adjusted for %s/%s: %s", target->provider->name, target->model, run->adjusted);
        return true;
}

static enum attempt_result try_chat(struct attempt *at, void *request)
{
        struct chat_errand *e = request;
        return attempt_chat(at, e->request, &e->fit);
}

static void estimate_chat_target(const struct config_target *target, const struct relay_run *run,
                                 void *request, struct estimate *out)
{
        const struct chat_errand *e = request;
        const struct dialect *d = dialect_by_name(target->provider->dialect);
        struct model_caps caps;
        catalogue_target_caps(run->call->env->config, target, &caps);
        estimate_chat(rescue_request(run, e->request), d ? d->id : DIALECT_NONE, &caps, out);
}

static void most_of_chat(const struct config_target *target, const struct relay_run *run, void *request,
                         const struct fit *fit, struct estimate *out)
{
        const struct chat_errand *e = request;
        const struct dialect *d = dialect_by_name(target->provider->dialect);
        struct model_caps caps;
        catalogue_target_caps(run->call->env->config, target, &caps);
        estimate_chat_most(fit ? &fit->request : &e->fit.request, d ? d->id : DIALECT_NONE, &caps, out);
}

static const struct fit *fit_chat_besides(struct relay_run *run, const struct config_target *target,
                                          void *request)
{
        struct chat_errand *e = arena_alloc(run->call->arena, sizeof *e);
        struct err ignored = {0};
        e->request = ((const struct chat_errand *)request)->request;
        return fit_chat_target(run, target, e, &ignored) ? &e->fit : NULL;
}

static bool find_chat(struct relay_run *run, void *request)
{
        return cached_chat(run, ((const struct chat_errand *)request)->request);
}

void relay_chat(const struct relay_call *call, const struct chat_request *request,
                struct relay_record *record)
{
        struct relay_run *run = arena_alloc(call->arena, sizeof *run);
        struct chat_errand *e = arena_alloc(call->arena, sizeof *e);
        e->request = request;
        run_start(run, call, record);
        record->streamed = request->stream;
        run->streams = request->stream && call->answer->format != ANSWER_TEXT;
        run_through(run, &(struct errand){fit_chat_target, try_chat, estimate_chat_target, fit_chat_besides,
                                          most_of_chat, find_chat, e});
}

/* ---- embeddings ---- */

struct embed_errand {
        const struct embed_request *request;
        struct embed_fit fit;
};

static bool fit_embed_target(struct relay_run *run, const struct config_target *target, void *request,
                             struct err *err)
{
        const struct relay_call *call = run->call;
        struct embed_errand *e = request;
        struct embed_fit *fit = &e->fit;
        fit_embed(call->arena, call->env->config, e->request, target, call->route->version, fit);
        if (!fit->fits)
                return unfit(target, call->arena, ERR_UNSUPPORTED, fit->unfit_field, fit->unfit_why, err);
        run->adjusted = NULL;
        for (size_t i = 0; i < fit->adjusted_count; i++)
                run->adjusted = arena_printf(call->arena, "%s%s%s", run->adjusted ? run->adjusted : "",
                                             run->adjusted ? ", " : "", fit->adjusted[i]);
        return true;
}

static enum attempt_result try_embed(struct attempt *at, void *request)
{
        struct embed_errand *e = request;
        return attempt_embed(at, &e->fit);
}

static void estimate_embed_target(const struct config_target *target, const struct relay_run *run,
                                  void *request, struct estimate *out)
{
        const struct embed_errand *e = request;
        (void)target;
        (void)run;
        estimate_embed(e->request, out);
}

static void most_of_embed(const struct config_target *target, const struct relay_run *run, void *request,
                          const struct fit *fit, struct estimate *out)
{
        const struct embed_errand *e = request;
        (void)target;
        (void)run;
        (void)fit;
        estimate_embed_most(&e->fit.request, out);
}

static bool find_embed(struct relay_run *run, void *request)
{
        return cached_embed(run, ((const struct embed_errand *)request)->request);
}

void relay_embed(const struct relay_call *call, const struct embed_request *request,
                 struct relay_record *record)
{
        struct relay_run run;
        struct embed_errand e = {.request = request};
        run_start(&run, call, record);
        run_through(&run, &(struct errand){fit_embed_target, try_embed, estimate_embed_target, NULL,
                                           most_of_embed, find_embed, &e});
}
