/* What the table of settings can't say of money. */
#include <string.h>

#include "base/clock.h"
#include "config/load.h"

static int64_t first_second(const char *date)
{
        int64_t end;
        return date && value_date(date, &end) ? end - 86400 : 0;
}

static const config_setting_t *row_at(const config_setting_t *root, const char *list, size_t i)
{
        const config_setting_t *at = root ? config_setting_get_member(root, list) : NULL;
        return at ? config_setting_get_elem(at, (unsigned)i) : NULL;
}

/* ---- prices ---- */

static bool same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_row(const struct config_price *a, const struct config_price *b)
{
        return a->shipped == b->shipped && a->above == b->above && a->from_unix == b->from_unix &&
               same(a->pattern, b->pattern) && same(a->provider, b->provider);
}

static void check_price(struct loader *l, const config_setting_t *at, size_t i)
{
        struct config_price *p = (struct config_price *)&l->config->prices[i];
        p->from_unix = first_second(p->from);
        if (p->provider && !config_find_provider(l->config, p->provider))
                load_error(l, at, "provider: there is no provider \"%s\"", p->provider);
        for (size_t k = 0; k < i; k++) {
                if (same_row(&l->config->prices[k], p))
                        load_error(l, at, "there is a price for \"%s\" from the same day and length already",
                                   p->pattern);
        }
}

void check_prices(struct loader *l, const config_setting_t *root)
{
        for (size_t i = 0; i < l->config->price_count; i++)
                check_price(l, row_at(root, "prices", i), i);
}

/* ---- currencies ---- */

/* One that holds today. */
static bool has_rate(const struct config *c, const char *currency)
{
        int64_t now = clock_unix();
        for (size_t i = 0; i < c->rate_count; i++) {
                if (same(c->rates[i].currency, currency) && c->rates[i].from_unix <= now)
                        return true;
        }
        return same(currency, "USD");
}

static void check_account(struct loader *l, const config_setting_t *at, struct config_account *a)
{
        struct config *c = l->config;
        const config_setting_t *budget = at ? config_setting_get_member(at, "budget") : NULL;
        bool any = config_any_budget(&a->budget);
        if (!a->budget.currency)
                a->budget.currency = c->currency;
        if (any && !(c->ledger && *c->ledger))
                load_error(l, budget,
                           "budget: what is spent is counted in the ledger, and `ledger` names no file");
        if (!any && a->budget.alert_count)
                load_warning(l, budget, "alert: account \"%s\" has no budget of a day or a month", a->name);
        if (!c->currency || same(a->budget.currency, c->currency))
                return;
        const char *missing = !has_rate(c, c->currency)          ? c->currency
                              : !has_rate(c, a->budget.currency) ? a->budget.currency
                                                                 : NULL;
        if (missing)
                load_error(l, budget, "currency: `rates` has none for %s (units for a US dollar) today",
                           missing);
}

static void check_currency(struct loader *l, const config_setting_t *root)
{
        const struct config *c = l->config;
        if (c->currency && !has_rate(c, c->currency))
                load_warning(l, root ? config_setting_get_member(root, "currency") : NULL,
                             "currency: `rates` has none for %s today: the shipped prices, which are US "
                             "dollars, do not count",
                             c->currency);
}

static void check_alerts(struct loader *l, const config_setting_t *root)
{
        struct config *c = l->config;
        const config_setting_t *alerts = root ? config_setting_get_member(root, "alerts") : NULL;
        const config_setting_t *at = alerts ? config_setting_get_member(alerts, "secret") : NULL;
        const char *why = NULL;
        if (c->alerts.webhook && *c->alerts.webhook && value_url(c->alerts.webhook))
                load_error(l, config_setting_get_member(alerts, "webhook"), "webhook: \"%s\" %s",
                           c->alerts.webhook, value_url(c->alerts.webhook));
        if (!c->alerts.secret || !*c->alerts.secret)
                return;
        c->alerts.secret = check_secret(l, at, c->alerts.secret, &why);
        if (c->alerts.secret)
                return;
        load_warning(l, at, "secret: %s; the webhook is not called", why);
        c->alerts.webhook = "";
}

void check_money(struct loader *l, const config_setting_t *root)
{
        struct config *c = l->config;
        check_prices(l, root);
        for (size_t i = 0; i < c->rate_count; i++) {
                struct config_rate *r = (struct config_rate *)&c->rates[i];
                r->from_unix = first_second(r->from);
        }
        check_currency(l, root);
        check_alerts(l, root);
        for (size_t i = 0; i < c->account_count; i++) {
                struct config_account *a = (struct config_account *)&c->accounts[i];
                const config_setting_t *at = row_at(root, "accounts", i);
                check_account(l, at, a);
                if (a->record == RECORD_FULL)
                        load_warning(l, at ? config_setting_get_member(at, "record") : NULL,
                                     "record: prompts and answers of account \"%s\" are kept in files",
                                     a->name);
        }
}
