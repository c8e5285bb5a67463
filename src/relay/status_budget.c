/* What accounts have spent, for status and metrics. */
#include <string.h>

#include "base/money.h"
#include "relay/status.h"

static int64_t limit_of(int64_t micro)
{
        return micro < 0 ? -1 : micro * 1000000;
}

static bool asked_for(const struct status_ask *ask, const char *name)
{
        for (size_t i = 0; i < ask->name_count; i++) {
                if (status_means(ask->names[i], SLOT_ACCOUNT, name))
                        return true;
        }
        return !ask->names;
}

static bool look_at(const struct status_ask *ask, const struct config_account *account,
                    struct status_budget *b)
{
        const struct config_budget *budget = &account->budget;
        int64_t unix_s = ask->unix_ms / 1000;
        struct book_purse purse = {.topped_pico = 0};
        struct slot slot;
        *b = (struct status_budget){.account = account,
                                    .day_limit_pico = limit_of(budget->day_micro),
                                    .month_limit_pico = limit_of(budget->month_micro)};
        b->prepaid = ask->book && book_purse(ask->book, account->name, &purse);
        if (!b->prepaid && !config_any_budget(budget))
                return false;
        const char *currency = b->prepaid ? purse.currency : budget->currency ? budget->currency : "";
        memcpy(b->currency, currency, strnlen(currency, sizeof b->currency - 1));
        b->topped_pico = purse.topped_pico;
        b->times = budget_times_at(budget, unix_s);
        if (!ask->state || !state_read(ask->state, (struct subject){SLOT_BUDGET, account->name}, &slot) ||
            !budget_loaded(&slot.budget, b->currency))
                return true;
        const struct budget_terms terms = {budget, b->prepaid, purse.topped_pico};
        const struct budget_moment moment = budget_moment_at(budget, unix_s);
        budget_look(&slot.budget, &terms, &moment, &b->view);
        b->loaded = true;
        return true;
}

void status_collect_budgets(const struct status_ask *ask, struct arena *a, struct status *out)
{
        const struct config *c = ask->config;
        out->budgets = arena_alloc(a, (c->account_count + 1) * sizeof *out->budgets);
        for (size_t i = 0; i < c->account_count; i++) {
                if (asked_for(ask, c->accounts[i].name) &&
                    look_at(ask, &c->accounts[i], &out->budgets[out->budget_count]))
                        out->budget_count++;
        }
}
