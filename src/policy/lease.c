#include "policy/lease.h"

#include <stddef.h>

static bool same(struct process_id a, struct process_id b)
{
        return a.index == b.index && a.generation == b.generation;
}

static struct process_id holder(const struct lease_row *row)
{
        return (struct process_id){.index = row->process, .generation = row->generation};
}

bool process_lives(const struct lease_context *c, struct process_id p)
{
        if (p.index == c->self.index)
                return p.generation == c->self.generation;
        return c->alive(c->context, p);
}

/* ---- leases ---- */

static void take_back(struct lease_table *t, const struct lease_context *c)
{
        for (size_t i = 0; i < LEASE_ROWS; i++) {
                if (t->rows[i].count > 0 && !process_lives(c, holder(&t->rows[i])))
                        t->rows[i].count = 0;
        }
}

static int64_t held(const struct lease_table *t)
{
        int64_t total = 0;
        for (size_t i = 0; i < LEASE_ROWS; i++)
                total += t->rows[i].count;
        return total;
}

/* The dead are asked for only where it matters: that costs system calls. */
static bool one_is_free(struct lease_table *t, int64_t max, const struct lease_context *c)
{
        if (max <= 0 || held(t) < max)
                return true;
        take_back(t, c);
        return held(t) < max;
}

static struct lease_row *own_row(struct lease_table *t, const struct lease_context *c)
{
        for (size_t i = 0; i < LEASE_ROWS; i++) {
                if (t->rows[i].count > 0 && same(holder(&t->rows[i]), c->self))
                        return &t->rows[i];
        }
        return NULL;
}

static struct lease_row *free_row(struct lease_table *t)
{
        for (size_t i = 0; i < LEASE_ROWS; i++) {
                if (t->rows[i].count == 0)
                        return &t->rows[i];
        }
        return NULL;
}

static struct lease_row *row_for(struct lease_table *t, const struct lease_context *c)
{
        struct lease_row *row = own_row(t, c);
        if (row || c->self.index > UINT16_MAX)
                return row;
        row = free_row(t);
        if (!row) {
                take_back(t, c);
                row = free_row(t);
        }
        if (row)
                *row = (struct lease_row){.process = (uint16_t)c->self.index,
                                          .generation = c->self.generation};
        return row;
}

static bool take(struct lease_table *t, int64_t max, const struct lease_context *c, struct lease *out)
{
        *out = (struct lease){0};
        if (!one_is_free(t, max, c))
                return false;
        struct lease_row *row = row_for(t, c);
        out->counted = row && row->count < UINT16_MAX;
        if (out->counted)
                row->count++;
        out->held = out->counted || max <= 0; /* what can't be counted can't be limited either */
        return out->held;
}

void lease_give(struct lease_table *t, const struct lease_context *c, struct lease *lease)
{
        struct lease_row *row = lease->held && lease->counted ? own_row(t, c) : NULL;
        if (row)
                row->count--;
        *lease = (struct lease){0};
}

int64_t lease_count(struct lease_table *t, const struct lease_context *c)
{
        take_back(t, c);
        return held(t);
}

/* ---- the line ---- */

/* The living who joined before a ticket; the dead among them are struck off. */
static bool others_before(struct lease_table *t, uint64_t ticket, const struct lease_context *c)
{
        bool any = false;
        for (size_t i = 0; i < LEASE_LINE; i++) {
                struct lease_place *p = &t->line[i];
                if (p->ticket == 0 || p->ticket >= ticket)
                        continue;
                if (process_lives(c, p->process))
                        any = true;
                else
                        *p = (struct lease_place){0};
        }
        return any;
}

bool lease_take(struct lease_table *t, int64_t max, const struct lease_context *c, struct lease *out)
{
        *out = (struct lease){0};
        if (max > 0 && others_before(t, UINT64_MAX, c))
                return false;
        return take(t, max, c, out);
}

uint64_t lease_line_join(struct lease_table *t, int64_t most, const struct lease_context *c)
{
        struct lease_place *free_place = NULL;
        others_before(t, UINT64_MAX, c);
        if (most > 0 && lease_line_length(t) >= most)
                return 0;
        for (size_t i = 0; i < LEASE_LINE && !free_place; i++)
                free_place = t->line[i].ticket == 0 ? &t->line[i] : NULL;
        if (!free_place)
                return 0;
        *free_place = (struct lease_place){.ticket = ++t->last_ticket, .process = c->self};
        return t->last_ticket;
}

static struct lease_place *place_of(struct lease_table *t, uint64_t ticket)
{
        for (size_t i = 0; i < LEASE_LINE; i++) {
                if (ticket > 0 && t->line[i].ticket == ticket)
                        return &t->line[i];
        }
        return NULL;
}

bool lease_line_take(struct lease_table *t, uint64_t ticket, int64_t max, const struct lease_context *c,
                     struct lease *out)
{
        struct lease_place *p = place_of(t, ticket);
        *out = (struct lease){0};
        /* One whose place is gone (the slot was rebuilt) stands behind all others. */
        bool own = p && same(p->process, c->self);
        if (max > 0 && others_before(t, own ? ticket : UINT64_MAX, c))
                return false;
        if (!take(t, max, c, out))
                return false;
        if (own)
                *p = (struct lease_place){0};
        return true;
}

void lease_line_leave(struct lease_table *t, uint64_t ticket)
{
        struct lease_place *p = place_of(t, ticket);
        if (p)
                *p = (struct lease_place){0};
}

int64_t lease_line_length(const struct lease_table *t)
{
        int64_t length = 0;
        for (size_t i = 0; i < LEASE_LINE; i++)
                length += t->line[i].ticket > 0;
        return length;
}
