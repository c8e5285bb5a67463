#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "policy/fault.h"
#include "relay/status.h"

/* ---------------------------------------------------------------- words */

const char *status_breaker_name(const struct status_row *target)
{
        static const char *const modes[] = {
                [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_PROBING] = "probing"};
        return target->out && target->breaker == BREAKER_OPEN ? "out-of-service" : modes[target->breaker];
}

const char *status_per_name(enum config_per per)
{
        static const char *const names[] = {
                [PER_ACCOUNT] = "account", [PER_USER] = "user", [PER_ADDRESS] = "address", [PER_KEY] = "key"};
        return names[per];
}

const char *status_strategy_name(enum config_strategy strategy)
{
        static const char *const names[] = {[STRATEGY_FAILOVER] = "failover",
                                            [STRATEGY_WEIGHTED] = "weighted",
                                            [STRATEGY_ROUND_ROBIN] = "round-robin",
                                            [STRATEGY_LATENCY] = "latency",
                                            [STRATEGY_COST] = "cost"};
        return names[strategy];
}

const char *status_stage_name(enum status_stage stage)
{
        static const char *const names[] = {
                [STAGE_LIVE] = "live", [STAGE_DEPRECATED] = "deprecated", [STAGE_SUNSET] = "sunset"};
        return names[stage];
}

void status_limits(const struct status_row *row, struct status_limit out[STATUS_LIMITS])
{
        static const struct config_limits none;
        const struct config_limits *l = row->limits ? row->limits : &none;
        const struct status_limit all[STATUS_LIMITS] = {
                {"rpm", row->views.rpm, true},
                {"tpm", row->views.tpm, true},
                {"rpd", row->views.rpd, true},
                {"tpd", row->views.tpd, true},
                {"concurrent", {.max = l->concurrent, .used = row->in_flight}, false},
                {"queue", {.max = l->queue_length, .used = row->waiting}, false},
        };
        memcpy(out, all, sizeof all);
}

/* ---------------------------------------------------------------- JSON */

static void write_seconds(struct json_writer *w, const char *key, int64_t ms)
{
        jw_key_number(w, key, (double)ms / 1000);
}

static void write_time(struct json_writer *w, const char *key, int64_t unix_ms)
{
        char text[32];
        clock_format(unix_ms, text);
        jw_key_string(w, key, text);
}

/* What is 0 where it is not known. */
static void write_known(struct json_writer *w, const char *key, int64_t n)
{
        if (n)
                jw_key_int(w, key, n);
        else
                jw_key_null(w, key);
}

static void write_text(struct json_writer *w, const char *key, const char *text)
{
        jw_key_string(w, key, text && *text ? text : NULL);
}

static void write_count(struct json_writer *w, const struct status_row *row, const char *key, int64_t n)
{
        if (row->counted)
                jw_key_int(w, key, n);
        else
                jw_key_null(w, key);
}

static void write_limits(struct json_writer *w, const struct status_row *row)
{
        struct status_limit limits[STATUS_LIMITS];
        status_limits(row, limits);
        jw_key_object(w, "limits");
        for (size_t i = 0; i < STATUS_LIMITS; i++) {
                const struct limit_view *v = &limits[i].view;
                jw_key_object(w, limits[i].name);
                write_known(w, "max", v->max);
                write_count(w, row, "used", v->used);
                if (v->max)
                        jw_key_int(w, "left", v->max > v->used ? v->max - v->used : 0);
                else
                        jw_key_null(w, "left");
                if (limits[i].window)
                        write_seconds(w, "reset_seconds", v->reset_ms);
                jw_end(w);
        }
        jw_end(w);
}

static void write_told(struct json_writer *w, const char *key, const struct status_told *t)
{
        if (!t->limit) {
                jw_key_null(w, key);
                return;
        }
        jw_key_object(w, key);
        jw_key_int(w, "max", t->limit);
        jw_key_int(w, "left", t->left);
        write_seconds(w, "reset_seconds", t->reset_ms);
        jw_end(w);
}

static void write_cause(struct json_writer *w, const struct status_trouble *t)
{
        jw_key_string(w, "cause", t->kind > 0 && t->kind < FAULT_KINDS ? fault_row(t->kind)->name : NULL);
        write_known(w, "status", t->status);
        write_text(w, "why", t->why);
}

static void write_cool(struct json_writer *w, const struct status_row *row, int64_t unix_ms)
{
        if (!row->cool.left_ms) {
                jw_key_null(w, "cooling");
                return;
        }
        jw_key_object(w, "cooling");
        write_cause(w, &row->cool);
        write_time(w, "until", unix_ms + row->cool.left_ms);
        write_seconds(w, "left_seconds", row->cool.left_ms);
        jw_end(w);
}

static void write_breaker(struct json_writer *w, const struct status_row *row, int64_t unix_ms)
{
        jw_key_object(w, "breaker");
        jw_key_string(w, "state", status_breaker_name(row));
        if (row->breaker != BREAKER_CLOSED) {
                write_cause(w, &row->broken);
                write_time(w, "since", unix_ms - row->broken.since_ms);
                write_time(w, "until", unix_ms + row->broken.left_ms);
                write_seconds(w, "left_seconds", row->broken.left_ms);
                write_seconds(w, "cooldown_seconds", row->cooldown_ms);
        }
        write_seconds(w, "window_seconds", row->window_ms);
        jw_key_int(w, "calls", row->calls);
        jw_key_int(w, "failed", row->failed);
        if (row->calls > 0)
                jw_key_number(w, "share", (double)(row->failed * 1000 / row->calls) / 1000);
        else
                jw_key_null(w, "share");
        jw_end(w);
}

/* What all rows have. The object is left open. */
static void begin_row(struct json_writer *w, const struct status_row *row)
{
        jw_object(w);
        jw_key_string(w, "name", row->name);
        if (row->used)
                write_time(w, "last_used", row->last_unix);
        else
                jw_key_null(w, "last_used");
        write_count(w, row, "in_flight", row->in_flight);
        write_count(w, row, "waiting", row->waiting);
        write_limits(w, row);
}

static void write_told_limits(struct json_writer *w, const struct status_row *row)
{
        jw_key_object(w, "told");
        write_told(w, "requests", &row->told_requests);
        write_told(w, "tokens", &row->told_tokens);
        jw_end(w);
}

static void write_service(struct json_writer *w, const struct status_row *row)
{
        const char *why = row->provider ? row->provider->out_of_service : "its provider is not configured";
        jw_key_bool(w, "in_service", why == NULL);
        jw_key_string(w, "out_of_service", why);
}

static void write_target(struct json_writer *w, const struct status_row *row, int64_t unix_ms)
{
        begin_row(w, row);
        write_told_limits(w, row);
        jw_key_string(w, "model", row->model);
        jw_key_bool(w, "direct", row->kind == SLOT_DIRECT);
        jw_key_array(w, "versions");
        for (size_t i = 0; i < row->version_count; i++)
                jw_string(w, row->versions[i]);
        jw_end(w);
        write_service(w, row);
        write_breaker(w, row, unix_ms);
        write_cool(w, row, unix_ms);
        jw_key_object(w, "first_token");
        write_known(w, "average_ms", row->average_ms);
        write_known(w, "p50_ms", row->p50_ms);
        write_known(w, "p95_ms", row->p95_ms);
        jw_end(w);
        write_known(w, "output_tokens", row->output_tokens);
        if (row->served[0]) {
                jw_key_object(w, "served");
                jw_key_string(w, "model", row->served);
                write_time(w, "since", row->served_since * 1000);
                jw_end(w);
        } else {
                jw_key_null(w, "served");
        }
        jw_end(w);
}

static void write_provider(struct json_writer *w, const struct status_row *row, int64_t unix_ms)
{
        begin_row(w, row);
        write_told_limits(w, row);
        jw_key_string(w, "dialect", row->provider->dialect);
        write_service(w, row);
        write_cool(w, row, unix_ms);
        jw_end(w);
}

static void write_account(struct json_writer *w, const struct status_row *row, int64_t unix_ms)
{
        (void)unix_ms;
        begin_row(w, row);
        jw_key_bool(w, "enabled", row->account->enabled);
        jw_key_string(w, "per", status_per_name(row->account->per));
        if (row->account->per != PER_ACCOUNT) {
                jw_key_int(w, "caller_count", (int64_t)row->caller_total);
                jw_key_array(w, "callers");
                for (size_t i = 0; i < row->caller_count; i++) {
                        begin_row(w, &row->callers[i]);
                        jw_end(w);
                }
                jw_end(w);
        }
        jw_end(w);
}

static void write_pin(struct json_writer *w, const struct config_pin *pin)
{
        if (!pin) {
                jw_key_null(w, "pin");
                return;
        }
        jw_key_object(w, "pin");
        jw_key_string(w, "by", pin->by);
        jw_key_string(w, "at", pin->at);
        jw_key_string(w, "why", pin->why);
        jw_end(w);
}

static void write_version(struct json_writer *w, const struct status_version *v)
{
        const struct config_version *version = v->version;
        jw_object(w);
        jw_key_string(w, "name", v->name);
        jw_key_string(w, "model", v->model->name);
        jw_key_string(w, "version", version->name);
        jw_key_bool(w, "in_force", v->in_force);
        write_pin(w, v->pin);
        jw_key_int(w, "canary_percent", v->canary_percent);
        jw_key_string(w, "stage", status_stage_name(v->stage));
        jw_key_string(w, "deprecated", version->deprecated);
        jw_key_string(w, "sunset", version->sunset);
        jw_key_string(w, "after_sunset", version->after_sunset ? version->after_sunset->name : NULL);
        jw_key_string(w, "strategy", status_strategy_name(version->strategy));
        jw_key_array(w, "targets");
        for (size_t i = 0; i < version->target_count; i++) {
                const struct config_target *t = &version->targets[i];
                char name[512];
                snprintf(name, sizeof name, "%s/%s", t->provider->name, t->model);
                jw_string(w, name);
        }
        jw_end(w);
        jw_end(w);
}

static void write_rows(struct json_writer *w, const char *key, const struct status_rows *rows,
                       int64_t unix_ms,
                       void (*write)(struct json_writer *, const struct status_row *, int64_t))
{
        jw_key_array(w, key);
        for (size_t i = 0; i < rows->count; i++)
                write(w, &rows->at[i], unix_ms);
        jw_end(w);
}

static void write_spent(struct json_writer *w, const char *key, bool known, int64_t used, int64_t limit,
                        int64_t ends, int64_t unix_ms)
{
        char text[MONEY_TEXT];
        if (limit < 0) {
                jw_key_null(w, key);
                return;
        }
        jw_key_object(w, key);
        jw_key_string(w, "used", known ? money_text(text, used) : NULL);
        jw_key_string(w, "limit", money_text(text, limit));
        jw_key_int(w, "reset_seconds", ends - unix_ms / 1000);
        jw_end(w);
}

static void write_budget(struct json_writer *w, const struct status_budget *b, int64_t unix_ms)
{
        char text[MONEY_TEXT];
        jw_object(w);
        jw_key_string(w, "account", b->account->name);
        jw_key_string(w, "currency", b->currency);
        jw_key_bool(w, "hard", b->account->budget.hard);
        write_spent(w, "day", b->loaded, b->view.day_pico, b->day_limit_pico, b->times.day_ends, unix_ms);
        write_spent(w, "month", b->loaded, b->view.month_pico, b->month_limit_pico, b->times.month_ends,
                    unix_ms);
        if (b->prepaid) {
                jw_key_object(w, "balance");
                jw_key_string(w, "left", b->loaded ? money_text(text, b->view.balance_pico) : NULL);
                jw_key_string(w, "topped_up", money_text(text, b->topped_pico));
                jw_end(w);
        } else {
                jw_key_null(w, "balance");
        }
        jw_end(w);
}

bool status_write(const struct status *s, struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        write_time(&w, "at", s->unix_ms);
        write_rows(&w, "targets", &s->targets, s->unix_ms, write_target);
        jw_key_int(&w, "targets_left_out", (int64_t)s->targets.left_out);
        write_rows(&w, "providers", &s->providers, s->unix_ms, write_provider);
        write_rows(&w, "accounts", &s->accounts, s->unix_ms, write_account);
        jw_key_array(&w, "budgets");
        for (size_t i = 0; i < s->budget_count; i++)
                write_budget(&w, &s->budgets[i], s->unix_ms);
        jw_end(&w);
        jw_key_array(&w, "versions");
        for (size_t i = 0; i < s->version_count; i++)
                write_version(&w, &s->versions[i]);
        jw_end(&w);
        jw_end(&w);
        return jw_done(&w);
}
