#include "relay/billing.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/money.h"
#include "policy/price.h"
#include "policy/rate.h"

enum { PROGRESS_MS = 1000, BYTES_A_TOKEN = 4, TRY_AGAIN_MS = 2000 };

struct billing {
        bool counted;         /* a budget or a balance: the state counts what is spent */
        bool limited;         /* and refuses */
        const char *currency; /* the account's */
        struct budget_terms terms;
        struct subject subject;
        struct ledger_attempt *rows; /* of attempts that are over */
        size_t count, room;
        int64_t cost_pico, charge_pico, saved_pico, reported_pico;
        bool estimated, unpriced;
};

/* ---- prices ---- */

/* What is set aside and what is settled go by the same prices, though they change in between. */
static int64_t moment_of(const struct attempt *at)
{
        return at->begun_s ? at->begun_s : clock_unix();
}

static struct price_ask price_ask_of(const struct attempt *at, const char *served_model)
{
        return (struct price_ask){.config = at->run->call->env->config,
                                  .provider = at->target->provider,
                                  .model = at->target->model,
                                  .served_model = served_model,
                                  .unix_s = moment_of(at)};
}

/* In the account's currency. What has no rate, which the configuration's check refuses, is charged as it is.
 */
static int64_t charge_of(const struct attempt *at, int64_t cost_pico)
{
        const struct config *c = at->run->call->env->config;
        const char *currency = at->run->billing->currency;
        int64_t charge;
        if (rate_convert(c, cost_pico, c->currency, currency, moment_of(at), &charge))
                return charge;
        log_error("there is no rate from %s to %s", c->currency, currency);
        return cost_pico;
}

/* As far as it has come: what was told, else what was streamed, else what was reserved. */
static struct chat_usage usage_so_far(const struct attempt *at)
{
        struct chat_usage u = at->usage;
        int64_t streamed = at->streamed_bytes > 0 ? at->streamed_bytes / BYTES_A_TOKEN + 1 : 0;
        if (!u.known) {
                u.input = at->estimate.input;
                u.output = streamed ? streamed : at->permit.tokens - at->estimate.input;
        } else if (streamed > u.output) {
                u.output = streamed; /* the last word on it comes at the end */
        }
        u.output = u.output > 0 ? u.output : 0;
        return u;
}

/* ---- the account's budget ---- */

struct budget_visit {
        const struct relay_run *run;
        struct budget_moment moment;
        const struct budget_spent *spent; /* to be loaded */
        struct budget_hold *hold;
        int64_t pico; /* reserving: the worst case; settling: the charge */
        bool missing; /* it is to be loaded first */
        enum budget_kind kind;
        struct budget_view view;
        struct budget_alerts alerts;
};

static bool load(struct slot *slot, int64_t now_ms, void *context)
{
        struct budget_visit *v = context;
        const struct billing *b = v->run->billing;
        (void)now_ms;
        if (budget_loaded(&slot->budget, b->currency))
                return false;
        budget_load(&slot->budget, b->currency, &v->moment, v->spent, clock_unix_ms());
        return true;
}

/* hold NULL: only a look. */
static bool reserve(struct slot *slot, int64_t now_ms, void *context)
{
        struct budget_visit *v = context;
        const struct billing *b = v->run->billing;
        struct budget_hold looked = {0};
        (void)now_ms;
        v->missing = !budget_loaded(&slot->budget, b->currency);
        if (v->missing)
                return false;
        budget_look(&slot->budget, &b->terms, &v->moment, &v->view);
        struct budget_state copy = slot->budget;
        v->kind = budget_reserve(v->hold ? &slot->budget : &copy, &b->terms, &v->moment, v->pico,
                                 v->hold ? v->hold : &looked);
        return v->hold != NULL;
}

static bool settle(struct slot *slot, int64_t now_ms, void *context)
{
        struct budget_visit *v = context;
        const struct billing *b = v->run->billing;
        (void)now_ms;
        v->missing = !budget_loaded(&slot->budget, b->currency);
        if (v->missing) /* whoever loads it finds the row in the ledger */
                return false;
        budget_settle(&slot->budget, &b->terms, &v->moment, v->hold, v->pico, &v->alerts);
        budget_look(&slot->budget, &b->terms, &v->moment, &v->view);
        return true;
}

static bool load_from_ledger(struct budget_visit *v)
{
        const struct relay_call *call = v->run->call;
        const struct billing *b = v->run->billing;
        struct budget_times t = budget_times_at(&call->account->budget, clock_unix());
        struct budget_spent spent;
        if (!book_spent(call->env->book, call->account->name, b->currency, t.day_starts * 1000,
                        t.month_starts * 1000, &spent))
                return false;
        v->spent = &spent;
        bool ok = state_update(call->env->state, b->subject, load, v) == STATE_DONE;
        v->spent = NULL;
        return ok;
}

/* False: the state or the ledger can't be used now. */
static bool visit(struct budget_visit *v, slot_fn *fn)
{
        const struct relay_call *call = v->run->call;
        v->moment = budget_moment_at(&call->account->budget, clock_unix());
        for (int i = 0; i < 3; i++) {
                if (state_update(call->env->state, v->run->billing->subject, fn, v) != STATE_DONE)
                        return false;
                if (!v->missing)
                        return true;
                if (fn == settle || !load_from_ledger(v))
                        return fn == settle;
        }
        return false;
}

static const char *amount(struct arena *a, int64_t pico, const char *currency)
{
        char text[MONEY_TEXT];
        return arena_printf(a, "%s %s", money_text(text, pico), currency);
}

static const char *hours(struct arena *a, int64_t seconds)
{
        if (seconds >= 2 * 86400)
                return arena_printf(a, "in %lld days", (long long)(seconds / 86400));
        return arena_printf(a, "in %lld h %lld min", (long long)(seconds / 3600),
                            (long long)(seconds / 60 % 60));
}

static bool refuse(const struct budget_visit *v, struct err *err)
{
        const struct relay_call *call = v->run->call;
        const struct billing *b = v->run->billing;
        const struct config_budget *budget = &call->account->budget;
        struct arena *a = call->arena;
        int64_t now = clock_unix();
        struct budget_times t = budget_times_at(budget, now);
        const char *worst =
                v->pico > 0 ? arena_printf(a,
                                           ", and this request may cost up to %s (a smaller max_tokens "
                                           "makes that less)",
                                           amount(a, v->pico, b->currency))
                            : "";
        bool month = v->kind == BUDGET_MONTH;
        switch (v->kind) {
        case BUDGET_UNPRICED:
                return err_set(
                        err, a, ERR_QUOTA, NULL,
                        "what this model may cost is not known, and the account's budget is a hard one: send "
                        "max_tokens, or have the administrator set its price");
        case BUDGET_BALANCE:
                return err_set(err, a, ERR_QUOTA, NULL, "the account's balance of %s does not cover it%s",
                               amount(a, v->view.balance_pico, b->currency), worst);
        default:
                err_set(err, a, ERR_QUOTA, NULL,
                        "the account's budget of %s a %s does not cover it: %s are spent or set aside%s; it "
                        "begins "
                        "anew %s",
                        amount(a, (month ? budget->month_micro : budget->day_micro) * 1000000, b->currency),
                        month ? "month" : "day",
                        amount(a, month ? v->view.month_pico : v->view.day_pico, b->currency), worst,
                        hours(a, (month ? t.month_ends : t.day_ends) - now));
                err->retry_after_ms = ((month ? t.month_ends : t.day_ends) - now) * 1000;
                return false;
        }
}

static bool not_now(const struct relay_run *run, const char *why, struct err *err)
{
        err_set(err, run->call->arena, ERR_OVERLOADED, NULL, "%s; tell the administrator", why);
        err->retry_after_ms = TRY_AGAIN_MS;
        return false;
}

/* ---- entering ---- */

static void set_terms(struct relay_run *run, struct billing *b)
{
        const struct relay_call *call = run->call;
        const struct config *c = call->env->config;
        struct book_purse purse;
        b->currency = c->currency;
        if (!call->account)
                return;
        const struct config_budget *budget = &call->account->budget;
        bool any = config_any_budget(budget);
        if (budget->currency)
                b->currency = budget->currency;
        b->terms.budget = budget;
        b->terms.prepaid = call->env->book && book_purse(call->env->book, call->account->name, &purse);
        if (b->terms.prepaid) {
                b->currency = arena_strdup(call->arena, purse.currency);
                b->terms.topped_pico = purse.topped_pico;
        }
        b->counted = any || b->terms.prepaid;
        b->limited = (any && budget->hard) || b->terms.prepaid;
        b->subject = (struct subject){SLOT_BUDGET, call->account->name};
}

/* A balance that does not cover it may have been topped up since it was read. False: not now. */
static bool ask_budget(struct relay_run *run, struct budget_visit *v)
{
        if (!visit(v, reserve))
                return false;
        if (v->kind != BUDGET_BALANCE)
                return true;
        book_refresh(run->call->env->book);
        set_terms(run, run->billing);
        return visit(v, reserve);
}

/* What the row tells of the request before any attempt. */
static void begin_row(const struct relay_run *run, struct ledger_row *row)
{
        const struct relay_call *call = run->call;
        row->model = call->route->model_name;
        row->version = call->route->version->name;
        row->stream = run->record->streamed;
        row->currency = call->env->config->currency;
        row->charge_currency = run->billing->currency;
        row->priced = 1;
}

bool billing_enter(struct relay_run *run, struct err *err)
{
        const struct relay_env *env = run->call->env;
        struct billing *b = arena_alloc(run->call->arena, sizeof *b);
        struct budget_visit v = {.run = run};
        run->billing = b;
        set_terms(run, b);
        if (run->call->row)
                begin_row(run, run->call->row);
        if (!b->counted)
                return true;
        if (!env->book || !env->state) {
                b->counted = false;
                return !b->limited || not_now(run, "what the account has spent can't be counted", err);
        }
        if (b->limited && book_full(env->book))
                return not_now(run, "the gateway's books are full", err);
        if (!ask_budget(run, &v)) {
                b->counted = false;
                return !b->limited || not_now(run, "what the account has spent can't be read", err);
        }
        return v.kind == BUDGET_FINE || refuse(&v, err);
}

bool billing_is_limited(const struct relay_run *run)
{
        return run->billing->limited;
}

/* ---- an attempt ---- */

static int64_t worst_case(const struct relay_run *run, const struct attempt *at, const struct estimate *most)
{
        const struct price_ask ask = price_ask_of(at, NULL);
        if (!run->billing->limited)
                return 0;
        int64_t output = most->output_max < 0 ? 0 : most->output_max;
        int64_t worst = price_worst(&ask, most->input, output);
        /* An answer without a bound costs nothing only where nothing costs anything. */
        if (worst > 0 && most->output_max == 0)
                return -1;
        return worst < 0 ? -1 : charge_of(at, worst);
}

static struct ledger_attempt row_of(const struct attempt *at)
{
        return (struct ledger_attempt){
                .request = at->run->call->row ? at->run->call->row->id : 0,
                .n = at->n,
                .time_ms = clock_unix_ms() - (at->started_ms ? clock_now_ms() - at->started_ms : 0),
                .provider = at->target->provider->name,
                .upstream_model = at->target->model,
                .served_model = at->served_model,
                .upstream_request_id = at->upstream_request_id,
                .kind = at->kind,
                .hold_pico = at->hold.taken ? at->hold.pico : 0,
                .hold_day = at->hold.day,
                .hold_month = at->hold.month,
                .hold_era = at->hold.era,
        };
}

static void set_usage(struct ledger_attempt *a, const struct chat_usage *u, int64_t cost_pico,
                      int64_t charge_pico)
{
        static const char *const tiers[] = {NULL, "priority", "flex", "batch", "fast"};
        a->tier = tiers[u->tier];
        a->input = u->input;
        a->cached = u->cached;
        a->cache_write = u->cache_write;
        a->cache_write_1h = u->cache_write_1h;
        a->output = u->output;
        a->reasoning = u->reasoning;
        a->estimated = u->estimated;
        a->reported_pico = u->reported_pico;
        a->priced = cost_pico >= 0;
        a->cost_pico = cost_pico > 0 ? cost_pico : 0;
        a->charge_pico = charge_pico;
}

static int64_t cost_of(const struct attempt *at, const struct chat_usage *u)
{
        const struct price_ask ask = price_ask_of(at, at->served_model);
        return price_usage(&ask, u);
}

static bool set_aside(struct relay_run *run, struct attempt *at, const struct estimate *most, struct err *err)
{
        struct budget_visit v = {.run = run, .hold = &at->hold, .pico = worst_case(run, at, most)};
        if (!run->billing->counted)
                return true;
        if (!ask_budget(run, &v))
                return !run->billing->limited ||
                       not_now(run, "what the account has spent can't be counted", err);
        return v.kind == BUDGET_FINE || refuse(&v, err);
}

bool billing_begin(struct relay_run *run, struct attempt *at, const struct estimate *most, struct err *err)
{
        const struct relay_call *call = run->call;
        at->begun_s = clock_unix();
        if (!set_aside(run, at, most, err))
                return false;
        if (!call->env->book || !call->row)
                return true;
        struct chat_usage u = usage_so_far(at);
        int64_t cost = cost_of(at, &u);
        struct ledger_attempt a = row_of(at);
        u.estimated = true;
        set_usage(&a, &u, cost, cost > 0 ? charge_of(at, cost) : 0);
        bool kept = book_begin(call->env->book, call->row, &a);
        if (kept || !run->billing->limited)
                return true;
        billing_cancel(run, at);
        return not_now(run, "the gateway's books are full", err);
}

void billing_progress(struct attempt *at)
{
        const struct relay_run *run = at->run;
        const struct relay_call *call = run->call;
        int64_t now = clock_now_ms();
        if (!call->env->book || !call->row ||
            now - (at->noted_ms ? at->noted_ms : at->started_ms) < PROGRESS_MS)
                return;
        at->noted_ms = now;
        const struct chat_usage u = usage_so_far(at);
        int64_t cost = cost_of(at, &u);
        book_progress(call->env->book, &(struct ledger_progress){
                                               .request = call->row->id,
                                               .n = at->n,
                                               .input = u.input,
                                               .cached = u.cached,
                                               .output = u.output,
                                               .cost_pico = cost > 0 ? cost : 0,
                                               .charge_pico = cost > 0 ? charge_of(at, cost) : 0,
                                       });
}

void billing_show(struct attempt *at, const char *served_model)
{
        struct relay_run *run = at->run;
        const struct relay_call *call = run->call;
        const struct price_ask ask = price_ask_of(at, served_model);
        char text[MONEY_TEXT];
        attempt_reckon(at, true);
        int64_t cost = run->billing->unpriced ? -1 : price_usage(&ask, &at->usage);
        if (cost < 0)
                return;
        call->answer->cost =
                arena_strdup(call->arena, money_text(text, (__int128)run->billing->cost_pico + cost));
        call->answer->currency = call->env->config->currency;
}

/* ---- its end ---- */

static const char *outcome_of(const struct attempt *at, bool answered)
{
        if (answered)
                return "ok";
        if (at->run->stop)
                return "left";
        return at->fault.kind || at->err.cause ? "error" : "slower";
}

static void keep_row(struct relay_run *run, const struct ledger_attempt *a)
{
        struct billing *b = run->billing;
        if (b->count == b->room) {
                struct ledger_attempt *old = b->rows;
                b->room = b->room ? b->room * 2 : 1;
                b->rows = arena_alloc(run->call->arena, b->room * sizeof *b->rows);
                if (b->count)
                        memcpy(b->rows, old, b->count * sizeof *old);
        }
        b->rows[b->count++] = *a;
}

static void alert(const struct relay_run *run, const char *period, uint32_t shares, int64_t number,
                  int64_t spent, int64_t limit_micro)
{
        const struct config_budget *budget = &run->call->account->budget;
        for (size_t i = 0; i < budget->alert_count && i < 32; i++) {
                if (!(shares & 1u << i))
                        continue;
                log_warn("account %s has spent %.0f %% of its budget of the %s", run->call->account->name,
                         (double)budget->alert_micro[i] / 1e4, period);
                book_alert(run->call->env->book, &(struct book_alert){.account = run->call->account->name,
                                                                      .period = period,
                                                                      .number = number,
                                                                      .share_micro = budget->alert_micro[i],
                                                                      .spent_pico = spent,
                                                                      .limit_pico = limit_micro * 1000000,
                                                                      .currency = run->billing->currency,
                                                                      .time_ms = clock_unix_ms()});
        }
}

static void settle_budget(struct relay_run *run, struct attempt *at, int64_t charge_pico)
{
        struct budget_visit v = {.run = run, .hold = &at->hold, .pico = charge_pico};
        const struct config_budget *budget = run->billing->terms.budget;
        if (!at->hold.taken)
                return;
        if (!visit(&v, settle))
                log_error("what account %s spent could not be settled: its worst case stays counted",
                          run->call->account->name);
        at->hold.taken = false;
        alert(run, "day", v.alerts.day, v.moment.day, v.view.day_pico, budget->day_micro);
        alert(run, "month", v.alerts.month, v.moment.month, v.view.month_pico, budget->month_micro);
}

void billing_end(struct relay_run *run, struct attempt *at, bool answered)
{
        const struct relay_call *call = run->call;
        struct billing *b = run->billing;
        const struct chat_usage *u = &at->usage;
        const struct price_ask ask = price_ask_of(at, at->served_model);
        int64_t cost = u->known ? price_usage(&ask, u) : 0;
        int64_t charge = cost > 0 ? charge_of(at, cost) : 0;
        struct ledger_attempt a = row_of(at);
        set_usage(&a, u, cost, charge);
        a.outcome = outcome_of(at, answered);
        a.status = at->fault.status;
        a.error = at->fault.kind ? fault_row(at->fault.kind)->name : NULL;
        a.first_token_ms = at->first_token_ms;
        a.total_ms = clock_now_ms() - at->started_ms;
        b->cost_pico = money_add(b->cost_pico, a.cost_pico);
        b->charge_pico = money_add(b->charge_pico, charge);
        b->reported_pico = money_add(b->reported_pico, u->reported_pico);
        b->estimated |= u->estimated;
        b->unpriced |= cost < 0;
        if (cost > 0 && (u->cached || u->cache_write))
                b->saved_pico = money_add(b->saved_pico, price_uncached(&ask, u) - cost);
        keep_row(run, &a);
        /* Before the state is settled: a process that dies in between must not settle it twice. */
        if (call->env->book && call->row && (at->hold.taken || !answered))
                book_attempt(call->env->book, &a);
        settle_budget(run, at, charge);
}

void billing_cancel(struct relay_run *run, struct attempt *at)
{
        const struct relay_call *call = run->call;
        struct ledger_attempt a = row_of(at);
        a.outcome = "error";
        a.priced = 1;
        if (call->env->book && call->row)
                book_attempt(call->env->book, &a);
        settle_budget(run, at, 0);
}

void billing_leave(struct relay_run *run)
{
        struct ledger_row *row = run->call->row;
        struct relay_record *r = run->record;
        const struct billing *b = run->billing;
        if (!row || !b)
                return;
        row->provider = r->provider;
        row->upstream_model = r->upstream_model;
        row->served_model = r->served_model;
        row->upstream_request_id = r->upstream_request_id;
        row->attempts = r->attempts;
        row->retries = r->retries;
        row->rescues = r->rescues;
        row->hedges = r->hedges;
        row->input = r->spent.input;
        row->cached = r->spent.cached;
        row->cache_write = r->spent.cache_write;
        row->cache_write_1h = r->spent.cache_write_1h;
        row->output = r->spent.output;
        row->reasoning = r->spent.reasoning;
        row->estimated = b->estimated;
        row->priced = !b->unpriced;
        row->cost_pico = b->cost_pico;
        row->cache_hit = r->cache_hit;
        row->saved_pico = money_add(b->saved_pico, r->cache_saved_pico);
        row->charge_pico = b->charge_pico;
        row->reported_pico = b->reported_pico;
        row->queue_ms = r->queue_ms;
        row->first_token_ms = r->first_token_ms;
        row->total_ms = r->total_ms;
        row->outcome = r->client_left ? "left" : r->whole ? "ok" : "error";
        r->attempt_rows = b->rows;
        r->attempt_row_count = b->count;
}
