#include "relay/status.h"

#include <string.h>

#include "dialect/fault_kind.h"

struct collector {
        const struct status_ask *ask;
        struct arena *arena;
        struct status *out;
        int64_t now_ms; /* the state's clock */
        struct lease_context leases;
        bool *asked_for; /* for each account: itself, not only callers of it */
};

/* ---------------------------------------------------------------- names */

/* A slot holds the beginning of a long name. */
static bool same_name(const char *slot, const char *name)
{
        return strncmp(slot, name, SLOT_NAME - 1) == 0;
}

bool status_means(const char *word, enum slot_kind kind, const char *name)
{
        const char *kind_name = slot_kind_name(kind);
        size_t len = strlen(kind_name);
        if (strcmp(word, name) == 0)
                return true;
        return strncmp(word, kind_name, len) == 0 && word[len] == ':' && same_name(name, word + len + 1);
}

const char *status_full_name(struct arena *a, enum slot_kind kind, const char *name)
{
        return arena_printf(a, "%s:%s", slot_kind_name(kind), name);
}

const struct config_account *status_account_of(const struct config *c, const char *caller)
{
        const char *colon = strchr(caller, ':');
        for (size_t i = 0; colon && i < c->account_count; i++) {
                const char *name = c->accounts[i].name;
                if (strlen(name) == (size_t)(colon - caller) && strncmp(name, caller, strlen(name)) == 0)
                        return &c->accounts[i];
        }
        return NULL;
}

static bool wanted(const struct collector *k, enum slot_kind kind, const char *name, const char *other)
{
        const struct status_ask *ask = k->ask;
        bool is = !ask->names;
        for (size_t i = 0; i < ask->name_count; i++) {
                if (!status_means(ask->names[i], kind, name) &&
                    !(other && status_means(ask->names[i], kind, other)))
                        continue;
                is = true;
                if (ask->found)
                        ask->found[i] = true;
        }
        return is;
}

/* ---------------------------------------------------------------- a row from a slot */

static struct status_told told(const struct limit_told *t, int64_t now_ms)
{
        struct status_told out = {.limit = t->limit, .left = t->limit};
        if (!t->limit || t->full_ms <= now_ms || t->full_ms <= t->at_ms)
                return out;
        double filled = (double)(now_ms - t->at_ms) / (double)(t->full_ms - t->at_ms);
        out.left = t->remaining + (int64_t)((double)(t->limit - t->remaining) * (filled > 0 ? filled : 0));
        out.left = out.left < 0 ? 0 : out.left;
        out.reset_ms = t->full_ms - now_ms;
        return out;
}

static int64_t ahead(int64_t until_ms, int64_t now_ms)
{
        return until_ms > now_ms ? until_ms - now_ms : 0;
}

static void copy_text(char *out, size_t room, const char *text, size_t max)
{
        size_t len = strnlen(text, max);
        len = len < room ? len : room - 1;
        memcpy(out, text, len);
        out[len] = '\0';
}

static void look_at_breaker(struct status_row *row, const struct breaker_state *b, int64_t now_ms)
{
        row->window_ms = b->bucket_ms * BREAKER_BUCKETS;
        if (row->window_ms)
                breaker_look(b, now_ms, &row->calls, &row->failed);
        row->breaker = b->mode == BREAKER_OPEN || b->mode == BREAKER_PROBING ? b->mode : BREAKER_CLOSED;
        if (row->breaker == BREAKER_CLOSED)
                return;
        row->out = b->out;
        row->cooldown_ms = b->cooldown_ms;
        row->broken = (struct status_trouble){
                .kind = b->kind,
                .status = b->status,
                .since_ms = now_ms > b->opened_ms ? now_ms - b->opened_ms : 0,
                .left_ms = ahead(b->until_ms, now_ms),
        };
        copy_text(row->broken.why, sizeof row->broken.why, b->why, sizeof b->why);
}

static void look_at_cool(struct status_row *row, const struct slot_cool *c, int64_t now_ms)
{
        row->cool = (struct status_trouble){.left_ms = ahead(c->until_ms, now_ms)};
        if (!row->cool.left_ms)
                return;
        row->cool.kind = c->kind;
        row->cool.status = c->status;
        copy_text(row->cool.why, sizeof row->cool.why, c->why, sizeof c->why);
}

static void look_at_target(struct status_row *row, const struct slot *s, int64_t now_ms)
{
        look_at_breaker(row, &s->breaker, now_ms);
        row->average_ms = (int64_t)(latency_now(&s->latency, now_ms) + 0.5);
        row->p50_ms = latency_percentile(&s->latency, 0.5);
        row->p95_ms = latency_percentile(&s->latency, 0.95);
        row->output_tokens = (int64_t)(s->latency.output_tokens + 0.5);
        copy_text(row->served, sizeof row->served, s->served, sizeof s->served);
        row->served_since = s->served_since;
}

/* A slot of zeros is one that was never used: the row then tells the limits alone. */
static void look_at(const struct collector *k, struct status_row *row, const struct slot *s)
{
        struct lease_table leases = s->leases; /* the dead are taken out of the copy */
        const struct config_limits *l = row->limits;
        int64_t unix_s = k->ask->unix_ms / 1000;
        const struct zone_day day = zone_day_of(l ? l->days : NULL, unix_s);
        limit_look(&s->limit, l, day.number, day.ends * 1000 - k->ask->unix_ms, k->now_ms, &row->views);
        row->counted = row->kind == SLOT_TARGET || row->kind == SLOT_DIRECT || (l && config_any_limit(l));
        row->used = s->kind != SLOT_FREE;
        if (!row->used)
                return;
        row->last_unix = k->ask->unix_ms - (k->now_ms > s->used_ms ? k->now_ms - s->used_ms : 0);
        row->told_requests = told(&s->limit.told_requests, k->now_ms);
        row->told_tokens = told(&s->limit.told_tokens, k->now_ms);
        row->in_flight = lease_count(&leases, &k->leases);
        row->waiting = limit_waiting(&s->limit, k->now_ms) + lease_line_length(&s->leases);
        look_at_cool(row, &s->cool, k->now_ms);
        if (row->kind == SLOT_TARGET || row->kind == SLOT_DIRECT)
                look_at_target(row, s, k->now_ms);
}

/* ---------------------------------------------------------------- rows of the configuration */

static void look_up(const struct collector *k, struct status_row *row)
{
        struct slot s = {0};
        if (!k->ask->state || !state_read(k->ask->state, (struct subject){row->kind, row->name}, &s))
                s = (struct slot){0};
        look_at(k, row, &s);
}

static void collect_providers(struct collector *k)
{
        const struct config *c = k->ask->config;
        struct status_rows *rows = &k->out->providers;
        rows->at = arena_alloc(k->arena, (c->provider_count + 1) * sizeof *rows->at);
        for (size_t i = 0; i < c->provider_count; i++) {
                const struct config_provider *p = &c->providers[i];
                if (!wanted(k, SLOT_PROVIDER, p->name, NULL))
                        continue;
                struct status_row *row = &rows->at[rows->count++];
                *row = (struct status_row){
                        .kind = SLOT_PROVIDER, .name = p->name, .provider = p, .limits = &p->limits};
                look_up(k, row);
        }
}

static void collect_accounts(struct collector *k)
{
        const struct config *c = k->ask->config;
        struct status_rows *rows = &k->out->accounts;
        rows->at = arena_alloc(k->arena, (c->account_count + 1) * sizeof *rows->at);
        rows->count = c->account_count;
        k->asked_for = arena_alloc(k->arena, c->account_count + 1);
        for (size_t i = 0; i < c->account_count; i++) {
                const struct config_account *account = &c->accounts[i];
                struct status_row *row = &rows->at[i];
                *row = (struct status_row){.kind = SLOT_ACCOUNT, .name = account->name, .account = account};
                row->limits = account->per == PER_ACCOUNT ? &account->limits : NULL;
                if (account->per != PER_ACCOUNT)
                        row->callers = arena_alloc(k->arena, STATUS_BUSIEST * sizeof *row->callers);
                k->asked_for[i] = wanted(k, SLOT_ACCOUNT, account->name, NULL);
                look_up(k, row);
        }
}

static void add_target(struct collector *k, const struct config_target *t, const char *version, size_t most)
{
        struct status_rows *rows = &k->out->targets;
        const char *name = arena_printf(k->arena, "%s/%s", t->provider->name, t->model);
        struct status_row *row = NULL;
        for (size_t i = 0; i < rows->count && !row; i++)
                row = strcmp(rows->at[i].name, name) == 0 ? &rows->at[i] : NULL;
        if (!row) {
                if (!wanted(k, SLOT_TARGET, name, NULL))
                        return;
                row = &rows->at[rows->count++];
                *row = (struct status_row){.kind = SLOT_TARGET,
                                           .name = name,
                                           .provider = t->provider,
                                           .model = t->model,
                                           .limits = &t->limits};
                row->versions = arena_alloc(k->arena, most * sizeof *row->versions);
                look_up(k, row);
        }
        row->versions[row->version_count++] = version;
}

static enum status_stage stage_of(const struct config_version *v, int64_t unix_s)
{
        if (v->sunset_unix && unix_s >= v->sunset_unix)
                return STAGE_SUNSET;
        return v->deprecated_unix && unix_s >= v->deprecated_unix ? STAGE_DEPRECATED : STAGE_LIVE;
}

static void add_version(struct collector *k, const struct config_model *m, const struct config_version *v,
                        const char *name)
{
        if (!wanted(k, SLOT_VERSION, name, m->name))
                return;
        k->out->versions[k->out->version_count++] = (struct status_version){
                .name = name,
                .model = m,
                .version = v,
                .in_force = v == m->use,
                .pin = v == m->use ? m->pin : NULL,
                .canary_percent = v == m->canary ? m->canary_percent : 0,
                .stage = stage_of(v, k->ask->unix_ms / 1000),
        };
}

/* Those in force first: a target that several versions have is shown with the limits of the one that works.
 */
static void collect_targets(struct collector *k, bool in_force, size_t most)
{
        const struct config *c = k->ask->config;
        for (size_t i = 0; i < c->model_count; i++) {
                const struct config_model *m = &c->models[i];
                for (size_t n = 0; n < m->version_count; n++) {
                        const struct config_version *v = &m->versions[n];
                        if ((v == m->use) != in_force)
                                continue;
                        const char *name = arena_printf(k->arena, "%s@%s", m->name, v->name);
                        add_version(k, m, v, name);
                        for (size_t t = 0; t < v->target_count; t++)
                                add_target(k, &v->targets[t], name, most);
                }
        }
}

static void collect_models(struct collector *k)
{
        const struct config *c = k->ask->config;
        size_t versions = 0, targets = 0;
        for (size_t i = 0; i < c->model_count; i++) {
                versions += c->models[i].version_count;
                for (size_t n = 0; n < c->models[i].version_count; n++)
                        targets += c->models[i].versions[n].target_count;
        }
        k->out->versions = arena_alloc(k->arena, (versions + 1) * sizeof *k->out->versions);
        k->out->targets.at = arena_alloc(k->arena, (targets + STATUS_BUSIEST) * sizeof *k->out->targets.at);
        collect_targets(k, true, targets);
        collect_targets(k, false, targets);
}

/* ---------------------------------------------------------------- rows that only the state knows */

/* Busier first; then the one that was used last; then by name, so that a list holds still. */
static int busier(const void *x, const void *y)
{
        const struct status_row *a = x, *b = y;
        const int64_t pairs[][2] = {
                {b->in_flight + b->waiting, a->in_flight + a->waiting},
                {b->views.rpm.used, a->views.rpm.used},
                {b->last_unix, a->last_unix},
        };
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                if (pairs[i][0] != pairs[i][1])
                        return pairs[i][0] > pairs[i][1] ? 1 : -1;
        }
        return strcmp(a->name, b->name);
}

/* Keeps the list in order, and the busiest in it. True: one was left out. */
static bool keep_busiest(struct status_row *list, size_t *count, const struct status_row *row)
{
        bool full = *count == STATUS_BUSIEST;
        size_t at = *count;
        while (at > 0 && busier(row, &list[at - 1]) < 0)
                at--;
        if (at == STATUS_BUSIEST)
                return true;
        size_t behind = (full ? STATUS_BUSIEST - 1 : *count) - at;
        memmove(&list[at + 1], &list[at], behind * sizeof *list);
        list[at] = *row;
        *count += !full;
        return full;
}

static void take_caller(struct collector *k, const struct slot *s)
{
        const struct config_account *account = status_account_of(k->ask->config, s->name);
        if (!account || account->per == PER_ACCOUNT)
                return;
        size_t index = (size_t)(account - k->ask->config->accounts);
        bool wants = wanted(k, SLOT_CALLER, s->name, NULL);
        if (!wants && !k->asked_for[index])
                return;
        struct status_row *of = &k->out->accounts.at[index];
        struct status_row row = {.kind = SLOT_CALLER, .account = account, .limits = &account->limits};
        row.name = arena_strdup(k->arena, s->name);
        look_at(k, &row, s);
        of->caller_total++;
        keep_busiest(of->callers, &of->caller_count, &row);
}

/* direct: rows behind those of the configuration. */
static void take_target(struct collector *k, const struct slot *s, struct status_rows *direct)
{
        const char *slash = strchr(s->name, '/');
        for (size_t i = 0; s->kind == SLOT_TARGET && i < k->out->targets.count; i++) {
                if (same_name(s->name, k->out->targets.at[i].name))
                        return;
        }
        if (!slash || !wanted(k, s->kind, s->name, NULL))
                return;
        struct status_row row = {.kind = s->kind, .name = arena_strdup(k->arena, s->name)};
        row.provider = config_find_provider(k->ask->config,
                                            arena_strndup(k->arena, s->name, (size_t)(slash - s->name)));
        row.model = row.name + (slash - s->name) + 1;
        look_at(k, &row, s);
        direct->left_out += keep_busiest(direct->at, &direct->count, &row);
}

struct strangers {
        struct collector *collector;
        struct status_rows direct;
};

static void take_slot(const struct slot *s, void *context)
{
        struct strangers *found = context;
        if (s->kind == SLOT_CALLER)
                take_caller(found->collector, s);
        if (s->kind == SLOT_TARGET || s->kind == SLOT_DIRECT)
                take_target(found->collector, s, &found->direct);
}

static void collect_strangers(struct collector *k)
{
        struct status_rows *targets = &k->out->targets;
        struct strangers found = {.collector = k, .direct = {.at = targets->at + targets->count}};
        if (!k->ask->state)
                return;
        state_each(k->ask->state, take_slot, &found);
        targets->count += found.direct.count;
        targets->left_out = found.direct.left_out;
}

/* An account that was not asked for stays where a caller of it was. */
static void drop_unasked(struct collector *k)
{
        struct status_rows *rows = &k->out->accounts;
        size_t kept = 0;
        for (size_t i = 0; i < rows->count; i++) {
                if (k->asked_for[i] || rows->at[i].caller_count)
                        rows->at[kept++] = rows->at[i];
        }
        rows->count = kept;
}

void status_collect(const struct status_ask *ask, struct arena *a, struct status *out)
{
        struct collector k = {.ask = ask, .arena = a, .out = out};
        *out = (struct status){.unix_ms = ask->unix_ms};
        if (ask->state) {
                k.now_ms = state_now_ms(ask->state);
                k.leases = state_leases(ask->state);
        }
        collect_models(&k);
        collect_providers(&k);
        collect_accounts(&k);
        collect_strangers(&k);
        drop_unasked(&k);
        status_collect_budgets(ask, a, out);
}
