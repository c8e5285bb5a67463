#include "relay/cached.h"

#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "dialect/canonical.h"
#include "dialect/gather.h"
#include "dialect/reply_text.h"
#include "policy/price.h"
#include "store/response_cache.h"

enum { MEMBERS_MAX = 128, PIECE = 32 << 10, METER_STEP = 64 << 10 };

struct cached {
        const char *word;
        bool keeps; /* the answer is to be kept, if it is whole */
        struct response_room room;
        uint8_t name[RESPONSE_NAME];
        /* What is to be kept, once there is something. */
        struct chat_reply chat;
        struct embed_reply embed;
        const struct config_target *target; /* who answered; NULL: nothing is to be kept */
        const char *served_model, *adjusted;
        struct arena *arena; /* of a stream that was gathered, or NULL */
        int64_t metered;
};

struct cached_stream {
        struct relay_run *run;
        struct arena *arena;
        struct gather *gather; /* NULL: given up */
        int64_t metered;
};

const char *cached_word(const struct relay_run *run)
{
        return run->cached ? run->cached->word : NULL;
}

bool cached_wants(const struct relay_run *run)
{
        return run->cached && run->cached->keeps;
}

/* ---- which answer it would be ---- */

static const char *folder_of(struct arena *a, const struct config *c)
{
        const char *beside = c->ledger && *c->ledger ? c->ledger : c->state && *c->state ? c->state : NULL;
        return beside ? arena_printf(a, "%s-cache", beside) : NULL;
}

/* Who asks, and whom: an answer is for nobody else, and of nobody else. */
static void add_route(struct canonical *c, const struct relay_call *call, const char *kind)
{
        const struct config_account *account = call->account;
        const struct config_version *v = call->route->version;
        canonical_string(c, kind);
        canonical_string(c, account->cache.share ? NULL : account->name);
        for (size_t i = 0; i < account->allow_count; i++)
                canonical_string(c, account->allow[i]);
        canonical_string(c, NULL);
        canonical_string(c, call->route->model_name);
        canonical_string(c, v->name);
        for (size_t i = 0; i < v->target_count; i++) {
                const struct config_target *t = &v->targets[i];
                canonical_string(c, t->provider->name);
                canonical_string(c, t->provider->dialect);
                canonical_string(c, t->provider->base);
                canonical_string(c, t->model);
        }
        canonical_string(c, NULL);
}

static bool may_pass_bytes(const struct relay_call *call)
{
        const struct config_version *v = call->route->version;
        if (!call->body_is_json || !call->body.at)
                return false;
        for (size_t i = 0; i < v->target_count; i++) {
                if (dialect_by_name(v->targets[i].provider->dialect) == call->dialect)
                        return true;
        }
        return false;
}

/*
 * Where a target may get the client's own bytes (the fast path), they count: they may hold what no decoder
 * looks at. But for how the answer is to travel, and the name that is replaced. False: too many members.
 */
static bool add_bytes(struct canonical *c, const struct relay_call *call)
{
        static const char *const apart[] = {"stream", "stream_options", "model"};
        struct json_member *m = arena_alloc(call->arena, MEMBERS_MAX * sizeof *m);
        size_t n = json_members(call->body.at, call->body.len, m, MEMBERS_MAX);
        if (n > MEMBERS_MAX)
                return false;
        for (size_t i = 0; i < n; i++) {
                struct str key = {m[i].key, m[i].key_len};
                if (str_is(key, apart[0]) || str_is(key, apart[1]) || str_is(key, apart[2]))
                        continue;
                canonical_add(c, m[i].key, m[i].key_len);
                canonical_add(c, m[i].value, m[i].value_len);
        }
        return true;
}

/* `set` and `default` of the version, and nothing of what single targets can't do: another one may. */
static const struct config_target *nobody(void)
{
        static const struct config_provider provider = {.name = "", .dialect = "echo"};
        static const struct config_target target = {.provider = &provider, .model = ""};
        return &target;
}

/* Members by which an account that may use them refers to what is kept, or done, at the provider. */
static bool refers(const struct relay_call *call, const struct chat_extra *extras)
{
        const struct config *c = call->env->config;
        for (; extras; extras = extras->next) {
                for (size_t i = 0; i < c->guard_count; i++) {
                        if (c->guards[i].refuse && strcasecmp(c->guards[i].field, extras->name) == 0)
                                return true;
                }
        }
        return false;
}

static bool add_chat(struct canonical *c, const struct relay_call *call, const void *asked)
{
        struct fit *fit = arena_alloc(call->arena, sizeof *fit);
        const struct chat_request *r = &fit->request;
        fit_chat(call->arena, call->env->config, asked, nobody(), call->route->version, NULL, fit);
        if (!canonical_is_fixed(r) || refers(call, r->extras))
                return false;
        add_route(c, call, "chat");
        canonical_chat(c, r);
        canonical_string(c, canonical_is_portable(r) ? NULL : call->dialect->name);
        return !may_pass_bytes(call) || add_bytes(c, call);
}

static bool add_embed(struct canonical *c, const struct relay_call *call, const void *asked)
{
        struct embed_fit *fit = arena_alloc(call->arena, sizeof *fit);
        fit_embed(call->arena, call->env->config, asked, nobody(), call->route->version, fit);
        if (refers(call, fit->request.extras))
                return false;
        add_route(c, call, "embed");
        canonical_embed(c, &fit->request);
        canonical_string(c, fit->request.extras ? call->dialect->name : NULL);
        return true;
}

/* NULL: the account has none. False in `keeps`: it has, and this request goes by it. */
static struct cached *
begin(struct relay_run *run,
      bool (*add)(struct canonical *c, const struct relay_call *call, const void *asked), const void *asked)
{
        const struct relay_call *call = run->call;
        const struct config_account *account = call->account;
        const char *folder = folder_of(call->arena, call->env->config);
        if (!call->env->cache || !account || account->cache.keep_ms <= 0 || !folder)
                return NULL;
        struct cached *c = arena_alloc(call->arena, sizeof *c);
        c->word = "bypass";
        c->room = (struct response_room){
                .folder = folder,
                .name = account->cache.share ? "" : account->name,
                .keep_ms = account->cache.keep_ms,
                .size = account->cache.size,
        };
        if (call->no_store)
                return c;
        struct response_digest *d = response_digest_new(call->env->cache, folder);
        if (!d)
                return c;
        struct canonical canonical = {.add = response_digest_add, .context = d};
        c->keeps = add(&canonical, call, asked) && !canonical.blurred;
        response_digest_end(d, c->keeps ? c->name : NULL);
        if (c->keeps && !call->no_cache)
                c->word = "miss";
        return c;
}

/* ---- a hit ---- */

struct hit {
        const struct config_target *target;
        const char *served_model, *adjusted, *currency;
        int64_t cost_pico;
        json_object *reply;
};

static const struct config_target *find_target(const struct config_version *v, const char *provider,
                                               const char *model)
{
        for (size_t i = 0; provider && model && i < v->target_count; i++) {
                const struct config_target *t = &v->targets[i];
                if (strcmp(t->provider->name, provider) == 0 && strcmp(t->model, model) == 0)
                        return t;
        }
        return NULL;
}

static bool read_hit(struct relay_run *run, struct str text, const char *kind, struct hit *hit)
{
        const struct relay_call *call = run->call;
        struct err ignored = {0};
        json_object *root = json_parse(call->arena, text.at, text.len, JSON_FROM_PROVIDER, &ignored);
        hit->target = find_target(call->route->version, json_peek_string(root, "provider"),
                                  json_peek_string(root, "model"));
        hit->served_model = json_peek_string(root, "served_model");
        hit->adjusted = json_peek_string(root, "adjusted");
        hit->currency = json_peek_string(root, "currency");
        json_object *cost = json_peek(root, "cost_pico");
        hit->cost_pico = cost ? json_object_get_int64(cost) : 0;
        hit->reply = json_peek_object(root, kind);
        return hit->target && hit->reply;
}

static bool find(struct relay_run *run, const char *kind, struct hit *hit)
{
        const struct relay_call *call = run->call;
        const struct cached *c = run->cached;
        struct buf text;
        bool found = false;
        if (!c || !c->keeps || call->no_cache)
                return false;
        buf_init(&text, ANSWER_BYTES_MAX);
        if (response_cache_find(call->env->cache, &c->room, c->name, clock_unix_ms(), &text) &&
            deliver_meter_more(run, (int64_t)text.len))
                found = read_hit(run, (struct str){text.data, text.len}, kind, hit);
        buf_release(&text);
        return found;
}

/* As if the target had answered, at once and for nothing. */
static void take_hit(struct relay_run *run, const struct hit *hit, const struct chat_usage *usage,
                     bool stream)
{
        const struct relay_call *call = run->call;
        struct relay_record *record = run->record;
        struct answer_context *answer = call->answer;
        const char *currency = call->env->config->currency;
        run->cached->word = "hit";
        run->cached->keeps = false;
        run->adjusted = hit->adjusted;
        record->cache_hit = true;
        record->provider = hit->target->provider->name;
        record->upstream_model = hit->target->model;
        record->served_model = hit->served_model;
        record->usage = *usage;
        record->first_token_ms = clock_now_ms() - call->started_ms;
        answer->provider = record->provider;
        answer->latency_ms = record->first_token_ms;
        answer->cost = "0";
        answer->currency = currency;
        if (hit->currency && currency && strcmp(hit->currency, currency) == 0 && hit->cost_pico > 0)
                record->cache_saved_pico = hit->cost_pico;
        deliver_prepare(run, hit->target, hit->served_model, stream);
        run->answered = true;
        run->content_sent = true;
}

static void end_hit(struct relay_run *run, const struct buf *out)
{
        run->record->whole =
                deliver_bytes(run, (struct str){out->data ? out->data : "", out->len}, run->record->streamed);
}

static void stream_reply(struct relay_run *run, const struct chat_reply *reply, struct buf *out)
{
        const struct relay_call *call = run->call;
        struct chat_events events = {.arena = call->arena};
        void *encoder = call->dialect->encoder_new(call->answer);
        chat_reply_events(reply, &events);
        for (const struct chat_event *e = events.first; e && !run->stop; e = e->next) {
                call->dialect->encode_event(encoder, e, out);
                if (out->len < PIECE || !e->next)
                        continue;
                deliver_bytes(run, (struct str){out->data, out->len}, true);
                buf_reset(out);
        }
}

bool cached_chat(struct relay_run *run, const struct chat_request *request)
{
        const struct relay_call *call = run->call;
        struct chat_reply reply;
        struct hit hit = {0};
        struct buf out;
        run->cached = begin(run, add_chat, request);
        if (!find(run, "chat", &hit) || !reply_text_read_chat(call->arena, hit.reply, &reply))
                return false;
        buf_init(&out, ANSWER_BYTES_MAX);
        take_hit(run, &hit, &reply.usage, request->stream);
        if (request->stream)
                stream_reply(run, &reply, &out);
        else
                call->dialect->encode_chat_reply(call->answer, &reply, &out);
        end_hit(run, &out);
        buf_release(&out);
        return true;
}

bool cached_embed(struct relay_run *run, const struct embed_request *request)
{
        const struct relay_call *call = run->call;
        struct embed_reply reply;
        struct hit hit = {0};
        struct buf out;
        run->cached = begin(run, add_embed, request);
        if (!find(run, "embed", &hit) || !reply_text_read_embed(call->arena, hit.reply, &reply) ||
            reply.vector_count != request->input_count)
                return false;
        buf_init(&out, ANSWER_BYTES_MAX);
        take_hit(run, &hit, &reply.usage, false);
        call->dialect->encode_embed_reply(call->answer, &reply, &out);
        end_hit(run, &out);
        buf_release(&out);
        return true;
}

/* ---- what is kept ---- */

static void keep(const struct attempt *at)
{
        struct cached *c = at->run->cached;
        c->target = at->target;
        c->served_model = at->served_model;
        c->adjusted = at->run->adjusted;
}

/* Whole, and as the model meant it: nothing cut, filtered, refused or paused. */
static bool is_good(const struct chat_reply *reply)
{
        if (!reply->choices)
                return false;
        for (const struct chat_choice *c = reply->choices; c; c = c->next) {
                bool ends = c->finish == FINISH_STOP || c->finish == FINISH_STOP_SEQUENCE ||
                            c->finish == FINISH_TOOL;
                if (!ends || !c->blocks)
                        return false;
                for (const struct chat_block *b = c->blocks; b; b = b->next) {
                        if (b->type == BLOCK_REFUSAL)
                                return false;
                }
        }
        return true;
}

void cached_keep_chat(struct attempt *at, const struct chat_reply *reply)
{
        if (!cached_wants(at->run) || !at->run->record->whole || !is_good(reply))
                return;
        keep(at);
        at->run->cached->chat = *reply;
}

void cached_keep_embed(struct attempt *at, const struct embed_reply *reply)
{
        if (!cached_wants(at->run) || !at->run->record->whole || !reply->vector_count)
                return;
        keep(at);
        at->run->cached->embed = *reply;
}

/* ---- streams ---- */

struct cached_stream *cached_stream_new(struct attempt *at)
{
        struct relay_run *run = at->run;
        /* Of an answer that goes on with another's text, only the rest would be here. */
        bool continues = run->content_sent && run->call->route->version->rescue == RESCUE_CONTINUE;
        if (!cached_wants(run) || continues)
                return NULL;
        struct cached_stream *s = arena_alloc(run->call->arena, sizeof *s);
        int64_t most = run->cached->room.size;
        s->run = run;
        s->arena = arena_new();
        s->gather = gather_new(s->arena, most < ANSWER_BYTES_MAX ? (size_t)most : ANSWER_BYTES_MAX);
        return s;
}

/* Where memory is short, the stream goes on and is not kept. */
void cached_stream_event(struct cached_stream *s, const struct chat_event *e)
{
        if (!s || !s->gather)
                return;
        gather_event(s->gather, e);
        int64_t more = (int64_t)gather_size(s->gather) - s->metered;
        if (more < METER_STEP)
                return;
        if (deliver_meter_more(s->run, more))
                s->metered += more;
        else
                s->gather = NULL;
}

void cached_stream_keep(struct cached_stream *s, const struct attempt *at)
{
        const struct chat_reply *reply = s && s->gather ? gather_reply(s->gather) : NULL;
        struct cached *c = at->run->cached;
        if (!reply || c->arena || !at->run->record->whole || !is_good(reply))
                return;
        keep(at);
        c->chat = *reply;
        c->arena = s->arena;
        c->metered = s->metered;
        s->arena = NULL;
        s->metered = 0;
}

void cached_stream_free(struct cached_stream *s)
{
        if (!s)
                return;
        arena_free(s->arena);
        deliver_meter_less(s->run, s->metered);
        s->arena = NULL;
        s->gather = NULL;
}

/* ---- the end ---- */

/* What the next ones who ask the same will not pay. */
static int64_t cost_of(const struct relay_run *run)
{
        const struct cached *c = run->cached;
        const struct chat_usage *told = c->chat.choices ? &c->chat.usage : &c->embed.usage;
        const struct price_ask ask = {
                .config = run->call->env->config,
                .provider = c->target->provider,
                .model = c->target->model,
                .served_model = c->served_model,
                .unix_s = clock_unix(),
        };
        return price_usage(&ask, told->known ? told : &run->record->usage);
}

static void write_answer(const struct relay_run *run, struct buf *out)
{
        const struct cached *c = run->cached;
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "provider", c->target->provider->name);
        jw_key_string(&w, "model", c->target->model);
        if (c->served_model)
                jw_key_string(&w, "served_model", c->served_model);
        if (c->adjusted)
                jw_key_string(&w, "adjusted", c->adjusted);
        jw_key_int(&w, "cost_pico", cost_of(run));
        jw_key_string(&w, "currency", run->call->env->config->currency);
        jw_key(&w, c->chat.choices ? "chat" : "embed");
        if (c->chat.choices)
                reply_text_write_chat(&w, &c->chat);
        else
                reply_text_write_embed(&w, &c->embed);
        jw_end(&w);
        if (!jw_done(&w))
                out->failed = true;
}

void cached_store(struct relay_run *run)
{
        struct cached *c = run->cached;
        struct buf out;
        if (!c)
                return;
        if (c->target) {
                buf_init(&out, ANSWER_BYTES_MAX);
                write_answer(run, &out);
                if (!out.failed)
                        response_cache_keep(run->call->env->cache, &c->room, c->name, clock_unix_ms(),
                                            (struct str){out.data, out.len});
                buf_release(&out);
        }
        arena_free(c->arena);
        deliver_meter_less(run, c->metered);
        *c = (struct cached){.word = c->word};
}
