/* One attempt of an embeddings call: as many upstream calls as the provider's batch size wants, put together
 * again. */
#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "dialect/openai.h"
#include "dialect/patch.h"
#include "policy/catalogue.h"
#include "relay/billing.h"
#include "relay/cached.h"
#include "upstream/echo.h"

enum { BODY_EXTRA = 1 << 20 };

static void add_usage(struct chat_usage *sum, const struct chat_usage *more)
{
        sum->known |= more->known;
        sum->estimated |= more->estimated;
        sum->input += more->input;
        sum->output += more->output;
        sum->cached += more->cached;
        sum->audio_input += more->audio_input;
        sum->image_input += more->image_input;
        sum->reported_pico = money_add(sum->reported_pico, more->reported_pico);
        if (more->tier)
                sum->tier = more->tier;
}

static enum attempt_result deliver_vectors(struct attempt *at, const struct embed_reply *reply,
                                           struct str raw)
{
        const struct relay_call *call = at->run->call;
        struct buf out;
        buf_init(&out, ANSWER_BYTES_MAX);
        call->answer->latency_ms = clock_now_ms() - call->started_ms;
        at->usage = reply->usage;
        billing_show(at, reply->model);
        if (!raw.at)
                call->dialect->encode_embed_reply(call->answer, reply, &out);
        enum attempt_result result = deliver_answer(at, reply->model, &reply->usage, raw, &out);
        buf_release(&out);
        if (result == ATTEMPT_ANSWERED && !raw.at)
                cached_keep_embed(at, reply);
        return result;
}

/* Providers that say nothing of usage (gemini-embedding-001): four characters a token. */
static void estimate_usage(const struct embed_request *r, struct chat_usage *usage)
{
        size_t bytes = 0, tokens = 0;
        if (usage->known)
                return;
        for (const struct embed_input *i = r->inputs; i; i = i->next) {
                bytes += i->text.len + 3;
                tokens += i->token_count;
        }
        *usage =
                (struct chat_usage){.known = true, .estimated = true, .input = (int64_t)(bytes / 4 + tokens)};
}

/* One upstream call; the body of the answer is left in x. False: a fault, an error, or the client has left.
 */
static bool ask(struct attempt *at, const struct wire_request *wire, struct exchange *x)
{
        *x = (struct exchange){.attempt = at, .wire = wire};
        buf_init(&x->body, ANSWER_BYTES_MAX);
        return exchange_run(x);
}

static bool ask_batch(struct attempt *at, const struct embed_request *batch, const struct wire_target *target,
                      struct embed_reply *part)
{
        const struct relay_call *call = at->run->call;
        struct wire_request wire = {.method = "POST"};
        struct exchange x = {.attempt = at};
        bool ok = false;
        buf_init(&wire.body, (size_t)call->env->config->max_body * 2 + BODY_EXTRA);
        if (!at->dialect->encode_embed_request(call->arena, batch, target, &wire, &at->err))
                goto out;
        if (wire.body.failed) {
                err_set(&at->err, call->arena, ERR_TOO_LARGE, NULL, "the request is too large");
                goto out;
        }
        ok = ask(at, &wire, &x);
        if (ok) {
                struct str body = {x.body.data ? x.body.data : "", x.body.len};
                ok = at->dialect->decode_embed_reply(call->arena, body, batch->input_count, part, &at->fault);
        }
out:
        exchange_free(&x);
        buf_release(&wire.body);
        return ok;
}

/* The next `most` inputs of the request as a request of their own. */
static struct embed_request take_batch(const struct embed_request *r, struct embed_input **next, int64_t most)
{
        struct embed_request batch = *r;
        batch.inputs = *next;
        batch.input_count = 0;
        for (struct embed_input *i = *next; i && (most <= 0 || batch.input_count < (size_t)most);
             i = i->next) {
                batch.last_input = i;
                batch.input_count++;
        }
        *next = batch.last_input->next;
        return batch;
}

static enum attempt_result ask_all(struct attempt *at, const struct embed_fit *fit,
                                   const struct wire_target *target)
{
        struct arena *a = at->run->call->arena;
        const struct embed_request *r = &fit->request;
        struct embed_reply whole = {.vectors = arena_alloc(a, (r->input_count + 1) * sizeof *whole.vectors)};
        struct embed_input *next = r->inputs;
        while (next) {
                struct embed_reply part = {0};
                struct embed_request batch = take_batch(r, &next, fit->batch_inputs);
                /* The encoder walks the list to its end: cut it there, and mend it afterwards. */
                struct embed_input *rest = batch.last_input->next;
                batch.last_input->next = NULL;
                bool ok = ask_batch(at, &batch, target, &part);
                if (ok)
                        estimate_usage(&batch, &part.usage);
                batch.last_input->next = rest;
                if (!ok) {
                        at->usage = whole.usage; /* of the batches that were answered */
                        return attempt_is_over(at) ? ATTEMPT_OVER : ATTEMPT_FAILED;
                }
                memcpy(whole.vectors + whole.vector_count, part.vectors,
                       part.vector_count * sizeof *part.vectors);
                whole.vector_count += part.vector_count;
                whole.model = part.model;
                add_usage(&whole.usage, &part.usage);
        }
        return deliver_vectors(at, &whole, (struct str){0});
}

/* ---- the fast path: openai to openai in one call ---- */

static bool can_patch(const struct attempt *at, const struct embed_fit *fit)
{
        const struct relay_call *call = at->run->call;
        const struct config_version *v = call->route->version;
        return call->dialect == at->dialect && at->dialect->id == DIALECT_OPENAI && call->body_is_json &&
               fit->adjusted_count == 0 && v->set_count == 0 && v->fill_count == 0 &&
               (fit->batch_inputs <= 0 || fit->request.input_count <= (size_t)fit->batch_inputs);
}

/* Model and usage without a tree of thousands of numbers. False: not an answer of embeddings. */
static bool peek_reply(struct arena *a, struct str body, struct embed_reply *out)
{
        struct json_member members[16];
        struct json_fault fault;
        bool data = false;
        if (!json_scan(body.at, body.len, JSON_FROM_PROVIDER, &fault))
                return false;
        size_t n = json_members(body.at, body.len, members, 16);
        if (n == SIZE_MAX || n > 16)
                return false;
        for (size_t i = 0; i < n; i++) {
                struct str key = {members[i].key, members[i].key_len};
                struct err ignored = {0};
                if (str_is(key, "error"))
                        return false;
                data |= str_is(key, "data") && members[i].value[0] == '[';
                if (!str_is(key, "model") && !str_is(key, "usage"))
                        continue;
                json_object *node =
                        json_parse(a, members[i].value, members[i].value_len, JSON_FROM_PROVIDER, &ignored);
                if (str_is(key, "model") && json_object_is_type(node, json_type_string))
                        out->model = json_object_get_string(node);
                else
                        openai_count_usage(node, &out->usage);
        }
        return data;
}

/* The client has the provider's own bytes; the vectors in them may be wanted. */
static void keep_patched(struct attempt *at, struct str body, size_t count)
{
        struct arena *a = at->run->call->arena;
        struct embed_reply *reply;
        struct upstream_fault ignored = {0};
        if (!cached_wants(at->run))
                return;
        reply = arena_alloc(a, sizeof *reply);
        if (at->dialect->decode_embed_reply(a, body, count, reply, &ignored))
                cached_keep_embed(at, reply);
}

static enum attempt_result ask_patched(struct attempt *at, const struct embed_fit *fit)
{
        const struct relay_call *call = at->run->call;
        static const char *const model_paths[] = {"model", NULL};
        struct wire_request wire = {.method = "POST", .path = "/embeddings"};
        struct exchange x = {.attempt = at};
        struct embed_reply reply = {0};
        struct buf model;
        enum attempt_result result = ATTEMPT_FAILED;
        buf_init(&wire.body, (size_t)call->env->config->max_body * 2 + BODY_EXTRA);
        buf_init(&model, 4096);
        buf_addc(&model, '"');
        json_escape(&model, at->target->model, strlen(at->target->model));
        buf_addc(&model, '"');
        const struct patch_edit edit = {.paths = model_paths, .value = model.data};
        if (!patch_apply(call->body, &edit, 1, &wire.body)) {
                at->fault = (struct upstream_fault){.kind = FAULT_MALFORMED};
                goto out;
        }
        at->run->record->fast_path = true;
        if (ask(at, &wire, &x)) {
                struct str body = {x.body.data ? x.body.data : "", x.body.len};
                if (peek_reply(call->arena, body, &reply)) {
                        result = deliver_vectors(at, &reply, body);
                        if (result == ATTEMPT_ANSWERED)
                                keep_patched(at, body, fit->request.input_count);
                } else
                        at->dialect->decode_embed_reply(call->arena, body, fit->request.input_count, &reply,
                                                        &at->fault);
        }
        if (attempt_is_over(at))
                result = ATTEMPT_OVER;
        else if (result == ATTEMPT_FAILED && at->fault.kind == FAULT_NONE)
                at->fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .status = x.status};
out:
        exchange_free(&x);
        buf_release(&model);
        buf_release(&wire.body);
        return result;
}

enum attempt_result attempt_embed(struct attempt *at, const struct embed_fit *fit)
{
        const struct relay_call *call = at->run->call;
        if (!at->dialect) {
                struct embed_reply reply = {0};
                echo_embed(call->arena, at->target->model, &fit->request, &reply);
                return deliver_vectors(at, &reply, (struct str){0});
        }
        if (can_patch(at, fit))
                return ask_patched(at, fit);
        struct wire_target target = {.model = at->target->model};
        catalogue_target_caps(call->env->config, at->target, &target.caps);
        return ask_all(at, fit, &target);
}
