#include "policy/budget.h"

#include <stdio.h>
#include <string.h>

#include "base/money.h"

enum { SECONDS_OF_DAY = 86400, MILLION = 1000000 };

/* Months since 1970-01 and the day's place in its month, from days since 1970-01-01 (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t month_of(int64_t days)
{
        int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
        int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
        int64_t month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);
        return (year - 1970) * 12 + month - 1;
}

struct budget_moment budget_moment_at(const struct config_budget *b, int64_t unix_s)
{
        struct zone_day day = zone_day_of(b->days, unix_s);
        return (struct budget_moment){.day = day.number, .month = month_of(day.number)};
}

struct budget_times budget_times_at(const struct config_budget *b, int64_t unix_s)
{
        struct zone_day day = zone_day_of(b->days, unix_s), first = day, last = day, next;
        int64_t month = month_of(day.number);
        while (month_of((next = zone_day_of(b->days, first.starts - 1)).number) == month)
                first = next;
        while (month_of((next = zone_day_of(b->days, last.ends)).number) == month)
                last = next;
        return (struct budget_times){day.starts, day.ends, first.starts, last.ends};
}

bool budget_loaded(const struct budget_state *s, const char *currency)
{
        return s->loaded && strncmp(s->currency, currency, sizeof s->currency) == 0;
}

void budget_load(struct budget_state *s, const char *currency, const struct budget_moment *m,
                 const struct budget_spent *spent, int64_t era)
{
        *s = (struct budget_state){
                .loaded = 1,
                .day = m->day,
                .month = m->month,
                .day_pico = spent->day_pico,
                .month_pico = spent->month_pico,
                .spent_pico = spent->spent_pico,
                .era = era,
        };
        memcpy(s->currency, currency, strnlen(currency, sizeof s->currency - 1));
}

/* Another day or month has begun. Time that went back changes nothing. */
static void turn(struct budget_state *s, const struct budget_moment *m)
{
        if (m->day > s->day) {
                s->day = m->day;
                s->day_pico = 0;
                s->told_day = 0;
        }
        if (m->month > s->month) {
                s->month = m->month;
                s->month_pico = 0;
                s->told_month = 0;
        }
}

static int64_t limit_of(int64_t micro)
{
        return micro < 0 ? -1 : money_add(0, micro * MILLION);
}

static bool passes(int64_t used, int64_t more, int64_t limit)
{
        return limit >= 0 && (__int128)used + more > limit;
}

static void count(struct budget_state *s, int64_t pico)
{
        s->day_pico = money_add(s->day_pico, pico);
        s->month_pico = money_add(s->month_pico, pico);
        s->spent_pico = money_add(s->spent_pico, pico);
}

enum budget_kind budget_reserve(struct budget_state *s, const struct budget_terms *t,
                                const struct budget_moment *m, int64_t worst_pico, struct budget_hold *hold)
{
        const struct config_budget *b = t->budget;
        turn(s, m);
        bool hard = b->hard && config_any_budget(b);
        if (worst_pico < 0 && (hard || t->prepaid))
                return BUDGET_UNPRICED;
        int64_t more = worst_pico > 0 ? worst_pico : 0;
        if (t->prepaid && passes(s->spent_pico, more, t->topped_pico))
                return BUDGET_BALANCE;
        if (b->hard && passes(s->month_pico, more, limit_of(b->month_micro)))
                return BUDGET_MONTH;
        if (b->hard && passes(s->day_pico, more, limit_of(b->day_micro)))
                return BUDGET_DAY;
        *hold = (struct budget_hold){
                .taken = true, .day = s->day, .month = s->month, .pico = more, .era = s->era};
        count(s, more);
        return BUDGET_FINE;
}

/* Shares that are reached and were not told of. */
static uint32_t shares_due(const struct config_budget *b, int64_t used, int64_t limit, uint32_t *told)
{
        uint32_t due = 0;
        if (limit <= 0)
                return 0;
        for (size_t i = 0; i < b->alert_count && i < 32; i++) {
                if ((__int128)used * MILLION >= (__int128)limit * b->alert_micro[i] && !(*told & 1u << i))
                        due |= 1u << i;
        }
        *told |= due;
        return due;
}

void budget_settle(struct budget_state *s, const struct budget_terms *t, const struct budget_moment *m,
                   struct budget_hold *hold, int64_t cost_pico, struct budget_alerts *alerts)
{
        turn(s, m);
        *alerts = (struct budget_alerts){0};
        if (!hold->taken)
                return;
        int64_t cost = cost_pico > 0 ? cost_pico : 0;
        int64_t more = s->era == hold->era ? cost - hold->pico : cost;
        if (s->day == hold->day)
                s->day_pico = money_add(s->day_pico, more);
        if (s->month == hold->month)
                s->month_pico = money_add(s->month_pico, more);
        s->spent_pico = money_add(s->spent_pico, more);
        hold->taken = false;
        alerts->day = shares_due(t->budget, s->day_pico, limit_of(t->budget->day_micro), &s->told_day);
        alerts->month =
                shares_due(t->budget, s->month_pico, limit_of(t->budget->month_micro), &s->told_month);
}

void budget_look(const struct budget_state *s, const struct budget_terms *t, const struct budget_moment *m,
                 struct budget_view *out)
{
        struct budget_state now = *s;
        turn(&now, m);
        *out = (struct budget_view){.day_pico = now.day_pico, .month_pico = now.month_pico};
        if (t->prepaid)
                out->balance_pico = money_add(t->topped_pico, -now.spent_pico);
}
