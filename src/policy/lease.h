/*
 * Calls under way, counted for each process that holds them, so that those of a dead process can be taken
 * back: a process is told dead by the kernel (store/state.h), never by a timeout. Pure functions over a
 * struct of fixed layout; whether a process lives is asked through a callback, and only when it matters: at
 * the limit, or for a status.
 */
#ifndef TOLLGATE_POLICY_LEASE_H
#define TOLLGATE_POLICY_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* A process and which of those that had this number; generation 0: none. */
struct process_id {
        uint32_t index, generation;
};

typedef bool process_alive_fn(void *context, struct process_id p);

enum { LEASE_ROWS = 128, LEASE_LINE = 32 };

struct lease_table {
        struct lease_row {
                uint16_t process, count; /* count 0: free */
                uint32_t generation;
        } rows[LEASE_ROWS];
        /* Who waits for a lease, first come first served; ticket 0: free. */
        struct lease_place {
                uint64_t ticket;
                struct process_id process;
        } line[LEASE_LINE];
        uint64_t last_ticket;
};

/* What one call holds. */
struct lease {
        bool held;
        bool counted; /* false: the table had no room for another process, which matters to nobody without a
                         limit */
};

struct lease_context {
        struct process_id self;
        process_alive_fn *alive;
        void *context;
};
/* Who asks does, and is not asked for; another of its number came before it: numbers are given out again only
 * after a death. */
bool process_lives(const struct lease_context *c, struct process_id p);

/* max 0: no limit. False: all are taken (the dead were taken back first), or others wait in line before this
 * one. */
bool lease_take(struct lease_table *t, int64_t max, const struct lease_context *c, struct lease *out);
void lease_give(struct lease_table *t, const struct lease_context *c, struct lease *lease);
/* Takes the dead back; gives how many are held by the living. */
int64_t lease_count(struct lease_table *t, const struct lease_context *c);

/* Joins the line. 0: the line (or `most`, 0: only the table's own size) is full. */
uint64_t lease_line_join(struct lease_table *t, int64_t most, const struct lease_context *c);
/* Is it this ticket's turn, and a lease free? Then it leaves the line with the lease. */
bool lease_line_take(struct lease_table *t, uint64_t ticket, int64_t max, const struct lease_context *c,
                     struct lease *out);
void lease_line_leave(struct lease_table *t, uint64_t ticket);
int64_t lease_line_length(const struct lease_table *t);

#endif
