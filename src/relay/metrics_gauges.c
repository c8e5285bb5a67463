/* Gauges, from the shared state as relay/status.c collects it, and the accounts' money. */
#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "relay/metrics.h"
#include "relay/status.h"

/* ---- a metric over rows of the status ---- */

struct row_metric {
        struct metric metric;
        void (*write)(struct exposition *e, const struct status_row *row, struct metric_label labels[4]);
};

/* Targets that no version of the configuration names are many, and strangers name them: only how much is
 * under way there is told. */
static bool is_named(const struct status_row *row)
{
        return row->kind != SLOT_DIRECT && (row->kind != SLOT_TARGET || row->version_count > 0);
}

static void write_in_flight(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        if (row->counted)
                exposition_int(e, labels, 2, row->in_flight);
}

static void write_waiting(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        if (row->counted)
                exposition_int(e, labels, 2, row->waiting);
}

static void write_limits(struct exposition *e, const struct status_row *row, struct metric_label labels[4],
                         bool used)
{
        struct status_limit limits[STATUS_LIMITS];
        status_limits(row, limits);
        for (size_t i = 0; i < STATUS_LIMITS; i++) {
                const struct limit_view *v = &limits[i].view;
                labels[2] = (struct metric_label){"limit", limits[i].name};
                if (v->max)
                        exposition_int(e, labels, 3, used ? v->used : v->max);
        }
}

static void write_limit(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        write_limits(e, row, labels, false);
}

static void write_limit_used(struct exposition *e, const struct status_row *row,
                             struct metric_label labels[4])
{
        write_limits(e, row, labels, true);
}

static void write_told(struct exposition *e, const struct status_row *row, struct metric_label labels[4],
                       bool left)
{
        const struct status_told *told[] = {&row->told_requests, &row->told_tokens};
        static const char *const names[] = {"requests", "tokens"};
        for (size_t i = 0; i < 2; i++) {
                labels[2] = (struct metric_label){"limit", names[i]};
                if (told[i]->limit)
                        exposition_int(e, labels, 3, left ? told[i]->left : told[i]->limit);
        }
}

static void write_told_limit(struct exposition *e, const struct status_row *row,
                             struct metric_label labels[4])
{
        write_told(e, row, labels, false);
}

static void write_told_left(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        write_told(e, row, labels, true);
}

static void write_cooling(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        if (row->kind != SLOT_ACCOUNT)
                exposition_decimal(e, labels, 2, row->cool.left_ms, 3);
}

static void write_breaker(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        static const char *const states[] = {"closed", "open", "probing", "out-of-service"};
        const char *state = status_breaker_name(row);
        if (row->kind != SLOT_TARGET)
                return;
        for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
                labels[2] = (struct metric_label){"state", states[i]};
                exposition_int(e, labels, 3, strcmp(states[i], state) == 0);
        }
}

static void write_in_service(struct exposition *e, const struct status_row *row,
                             struct metric_label labels[4])
{
        if (row->kind != SLOT_ACCOUNT)
                exposition_int(e, labels, 2, row->provider && !row->provider->out_of_service);
}

static void write_callers(struct exposition *e, const struct status_row *row, struct metric_label labels[4])
{
        if (row->kind == SLOT_ACCOUNT && row->account->per != PER_ACCOUNT)
                exposition_int(e, labels, 2, (int64_t)row->caller_total);
}

static const struct row_metric row_metrics[] = {
        {{"tollgate_limit", METRIC_GAUGE, NULL, "Limits that are configured."}, write_limit},
        {{"tollgate_limit_used", METRIC_GAUGE, NULL, "How much of them is used."}, write_limit_used},
        {{"tollgate_provider_limit", METRIC_GAUGE, NULL, "Limits as the provider told them last."},
         write_told_limit},
        {{"tollgate_provider_limit_left", METRIC_GAUGE, NULL, "What it said is left, as of now."},
         write_told_left},
        {{"tollgate_breaker_state", METRIC_GAUGE, NULL, "1 for the state that a target's breaker is in."},
         write_breaker},
        {{"tollgate_cooling_seconds", METRIC_GAUGE, "seconds",
          "How long it will not be asked yet, by the provider's word; 0: it is asked."},
         write_cooling},
        {{"tollgate_in_service", METRIC_GAUGE, NULL, "0: its secret is missing."}, write_in_service},
        {{"tollgate_callers", METRIC_GAUGE, NULL,
          "Users, addresses or keys whose limits are counted, each for itself."},
         write_callers},
};

static void write_rows(struct exposition *e, const struct status_rows *rows,
                       void (*write)(struct exposition *e, const struct status_row *row,
                                     struct metric_label labels[4]))
{
        for (size_t i = 0; i < rows->count; i++) {
                const struct status_row *row = &rows->at[i];
                struct metric_label labels[4] = {{"kind", slot_kind_name(row->kind)}, {"name", row->name}};
                if (is_named(row))
                        write(e, row, labels);
        }
}

/* ---- under way ---- */

/* Callers of accounts that count each for itself, and targets without a version, by their sum. */
static struct status_row summed(const struct status_row *rows, size_t count, enum slot_kind kind,
                                const char *name)
{
        struct status_row sum = {.kind = kind, .name = name, .counted = true};
        for (size_t i = 0; i < count; i++) {
                if (kind == SLOT_ACCOUNT || !is_named(&rows[i])) {
                        sum.in_flight += rows[i].in_flight;
                        sum.waiting += rows[i].waiting;
                }
        }
        return sum;
}

static void write_under_way(struct exposition *e, const struct status *s, const struct metric *metric,
                            void (*write)(struct exposition *e, const struct status_row *row,
                                          struct metric_label labels[4]))
{
        exposition_begin(e, metric);
        write_rows(e, &s->targets, write);
        write_rows(e, &s->providers, write);
        write_rows(e, &s->accounts, write);
        for (size_t i = 0; i < s->accounts.count; i++) {
                const struct status_row *row = &s->accounts.at[i];
                struct metric_label labels[4] = {{"kind", "account"}, {"name", row->name}};
                struct status_row sum = summed(row->callers, row->caller_count, SLOT_ACCOUNT, row->name);
                if (!row->counted && row->account->per != PER_ACCOUNT)
                        write(e, &sum, labels);
        }
        struct metric_label labels[4] = {{"kind", "direct"}, {"name", ""}};
        struct status_row sum = summed(s->targets.at, s->targets.count, SLOT_DIRECT, "");
        write(e, &sum, labels);
}

/* ---- versions ---- */

static void write_versions(struct exposition *e, const struct status *s)
{
        static const struct metric in_force = {"tollgate_version_in_force", METRIC_GAUGE, NULL,
                                               "1: this version answers for the model."};
        static const struct metric canary = {"tollgate_canary_share", METRIC_GAUGE, NULL,
                                             "The share of callers that a canary gets."};
        const struct metric *const metrics[] = {&in_force, &canary};
        for (size_t m = 0; m < 2; m++) {
                exposition_begin(e, metrics[m]);
                for (size_t i = 0; i < s->version_count; i++) {
                        const struct status_version *v = &s->versions[i];
                        const struct metric_label labels[] = {{"model", v->model->name},
                                                              {"version", v->version->name}};
                        if (m == 0)
                                exposition_int(e, labels, 2, v->in_force);
                        else if (v->canary_percent)
                                exposition_decimal(e, labels, 2, v->canary_percent, 2);
                }
        }
}

/* ---- money ---- */

enum money_what { MONEY_LIMIT, MONEY_USED, MONEY_SHARE };

static void write_budget(struct exposition *e, const struct status_budget *b, enum money_what what)
{
        const struct {
                const char *period;
                int64_t limit_pico, used_pico;
        } periods[] = {{"day", b->day_limit_pico, b->view.day_pico},
                       {"month", b->month_limit_pico, b->view.month_pico}};
        for (size_t i = 0; i < 2; i++) {
                const struct metric_label labels[] = {{"account", b->account->name},
                                                      {"period", periods[i].period},
                                                      {"currency", b->currency}};
                double used = (double)periods[i].used_pico, limit = (double)periods[i].limit_pico;
                char text[MONEY_TEXT];
                if (periods[i].limit_pico < 0 || (what != MONEY_LIMIT && !b->loaded))
                        continue;
                /* A budget of nothing is used up. */
                if (what == MONEY_SHARE)
                        snprintf(text, sizeof text, "%.6f", limit > 0 ? used / limit : 1);
                else
                        money_text(text, what == MONEY_LIMIT ? periods[i].limit_pico : periods[i].used_pico);
                exposition_text(e, labels, what == MONEY_SHARE ? 2 : 3, text);
        }
}

static void write_balance(struct exposition *e, const struct status_budget *b)
{
        const struct metric_label labels[] = {{"account", b->account->name}, {"currency", b->currency}};
        char text[MONEY_TEXT];
        if (b->prepaid && b->loaded)
                exposition_text(e, labels, 2, money_text(text, b->view.balance_pico));
}

static void write_money(struct exposition *e, const struct status *s)
{
        static const struct metric budgets[] = {
                [MONEY_LIMIT] = {"tollgate_budget", METRIC_GAUGE, NULL, "Budgets of accounts."},
                [MONEY_USED] = {"tollgate_budget_used", METRIC_GAUGE, NULL,
                                "What is spent or set aside of them."},
                [MONEY_SHARE] = {"tollgate_budget_used_share", METRIC_GAUGE, NULL,
                                 "The same as a share; 1: used up."},
        };
        static const struct metric balance = {"tollgate_balance", METRIC_GAUGE, NULL,
                                              "What is left of the balances of prepaid accounts."};
        for (size_t m = 0; m < sizeof budgets / sizeof *budgets; m++) {
                exposition_begin(e, &budgets[m]);
                for (size_t i = 0; i < s->budget_count; i++)
                        write_budget(e, &s->budgets[i], (enum money_what)m);
        }
        exposition_begin(e, &balance);
        for (size_t i = 0; i < s->budget_count; i++)
                write_balance(e, &s->budgets[i]);
}

/* ---- the whole ---- */

void metrics_write_gauges(struct exposition *e, const struct metrics_ask *ask, struct arena *a)
{
        static const struct metric in_flight = {
                "tollgate_in_flight", METRIC_GAUGE, NULL,
                "Calls under way; those of accounts and providers where limits are counted."};
        static const struct metric waiting = {"tollgate_waiting", METRIC_GAUGE, NULL,
                                              "Requests that wait for their turn."};
        const struct status_ask what = {
                .config = ask->config, .state = ask->state, .book = ask->book, .unix_ms = ask->unix_ms};
        struct status s = {0};
        if (ask->state)
                status_collect(&what, a, &s);
        write_under_way(e, &s, &in_flight, write_in_flight);
        write_under_way(e, &s, &waiting, write_waiting);
        for (size_t i = 0; i < sizeof row_metrics / sizeof *row_metrics; i++) {
                exposition_begin(e, &row_metrics[i].metric);
                write_rows(e, &s.targets, row_metrics[i].write);
                write_rows(e, &s.providers, row_metrics[i].write);
                write_rows(e, &s.accounts, row_metrics[i].write);
        }
        write_versions(e, &s);
        write_money(e, &s);
}
