/*
 * What an account has spent, and may: pure functions over a struct of fixed layout that lives in the shared
 * state (a slot SLOT_BUDGET named as the account). All amounts are 1e-12 of the account's currency.
 *
 * The worst case of each attempt is counted as spent when it begins, and settled to what it cost when it
 * ends: so no number of processes ever passes a hard budget. Of a process that died, the worst case stays
 * counted until its row is in the ledger (store/book.h), which settles it.
 */
#ifndef TOLLGATE_POLICY_BUDGET_H
#define TOLLGATE_POLICY_BUDGET_H

#include "config/config.h"

struct budget_state {
        uint32_t loaded;    /* 0: what was spent is to be read from the ledger first */
        char currency[4];   /* whose amounts these are; another one: to be loaded again */
        int64_t day, month; /* zone_day.number; months since 1970-01 */
        int64_t day_pico, month_pico, spent_pico; /* spent_pico: since the account became prepaid, or 0 */
        uint32_t told_day, told_month;            /* alerts given, a bit for each share */
        int64_t era;                              /* told by when it was loaded */
};

enum budget_kind { BUDGET_FINE, BUDGET_DAY, BUDGET_MONTH, BUDGET_BALANCE, BUDGET_UNPRICED };

struct budget_moment {
        int64_t day, month; /* of now, in the budget's zone */
};
struct budget_moment budget_moment_at(const struct config_budget *b, int64_t unix_s);
/* When the day and the month of a moment begin and end; unix seconds. */
struct budget_times {
        int64_t day_starts, day_ends, month_starts, month_ends;
};
struct budget_times budget_times_at(const struct config_budget *b, int64_t unix_s);

/* What was counted for one attempt. */
struct budget_hold {
        bool taken;
        int64_t day, month, pico, era;
};

struct budget_terms {
        const struct config_budget *budget;
        bool prepaid;
        int64_t topped_pico; /* prepaid: all that was ever topped up */
};

/* From the ledger: what was spent on the day, in the month, and of the balance. */
struct budget_spent {
        int64_t day_pico, month_pico, spent_pico;
};
void budget_load(struct budget_state *s, const char *currency, const struct budget_moment *m,
                 const struct budget_spent *spent, int64_t era);
bool budget_loaded(const struct budget_state *s, const char *currency);

/* Counts `worst_pico` (-1: unpriced). BUDGET_FINE: taken. A budget that is not hard refuses nothing, and of
 * an unpriced model counts nothing. */
enum budget_kind budget_reserve(struct budget_state *s, const struct budget_terms *t,
                                const struct budget_moment *m, int64_t worst_pico, struct budget_hold *hold);
/* Alerts that the settling made due, as bits of the shares. */
struct budget_alerts {
        uint32_t day, month;
};
/* What it cost, in place of what was held. What was held before the state was loaded anew is not in it. Days
 * and months that have passed since are settled as far as they still stand. */
void budget_settle(struct budget_state *s, const struct budget_terms *t, const struct budget_moment *m,
                   struct budget_hold *hold, int64_t cost_pico, struct budget_alerts *alerts);

/* For status, metrics, refusals and `tollgate balance`. */
struct budget_view {
        int64_t day_pico, month_pico, balance_pico; /* used; what is left of the balance (may be negative) */
};
void budget_look(const struct budget_state *s, const struct budget_terms *t, const struct budget_moment *m,
                 struct budget_view *out);

#endif
