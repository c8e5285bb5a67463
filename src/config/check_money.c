/* What the table of settings can't say of money. */
#include "config/load.h"

static int64_t first_second(const char *date)
{
        int64_t end;
        return date && value_date(date, &end) ? end - 86400 : 0;
}

void check_money(struct loader *l)
{
        struct config *c = l->config;
        for (size_t i = 0; i < c->price_count; i++) {
                struct config_price *p = (struct config_price *)&c->prices[i];
                p->from_unix = first_second(p->from);
        }
        for (size_t i = 0; i < c->rate_count; i++) {
                struct config_rate *r = (struct config_rate *)&c->rates[i];
                r->from_unix = first_second(r->from);
        }
        for (size_t i = 0; i < c->account_count; i++) {
                struct config_account *a = (struct config_account *)&c->accounts[i];
                if (!a->budget.currency)
                        a->budget.currency = c->currency;
        }
}
