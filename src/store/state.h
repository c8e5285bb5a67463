/*
 * The shared state (docs/architecture.md): one file of slots that all processes of a configuration share,
 * each slot under a lock of the kernel's (open file description locks, fcntl(2)). A slot is read, changed by
 * a pure function, and written in one piece: a process that is killed leaves it as it was before or after.
 * What a crash of the machine left behind is told by checksums, set aside and rebuilt.
 *
 * The clock is CLOCK_BOOTTIME, moved so that it goes on over a restart of the machine: milliseconds that only
 * go forward, the same for all processes.
 *
 * SECURITY items 18 to 20: never in a folder that others can write, never through a symbolic link, mode 0600,
 * one owner, one configuration.
 */
#ifndef TOLLGATE_STORE_STATE_H
#define TOLLGATE_STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/slot.h"

struct state;

enum state_problem {
        STATE_FINE,
        STATE_ABSENT,  /* not there, and not to be made (the command line) */
        STATE_FOREIGN, /* another user's, another configuration's, or in a place that others can write */
        STATE_NEWER,   /* of a newer Tollgate */
        STATE_BROKEN   /* could not be opened, read or written */
};

struct state_options {
        const char *path;                 /* NULL: memory of this process alone */
        const char *config_path;          /* which configuration it serves (made absolute), or NULL: any */
        bool create;                      /* the responder makes it; the command line never does */
        int64_t (*now_ms)(void *context); /* for simulations: the clock; NULL: CLOCK_BOOTTIME */
        void *context;
};

/* NULL: *problem, and why in words that name the file. Says in the log what it had to mend. */
struct state *state_open(const struct state_options *options, enum state_problem *problem, char why[512]);
void state_close(struct state *s);
/* Its path leads to another file by now, or to none: others do not see what is kept here any more. Told a
 * second later, and for good. */
bool state_lost(const struct state *s);
int64_t state_now_ms(const struct state *s);
struct process_id state_self(const struct state *s);
/* Processes that have it open, this one included. */
int64_t state_process_count(struct state *s);
/* For lease_* and breaker_*: this process, and who lives. */
struct lease_context state_leases(const struct state *s);

struct subject {
        enum slot_kind kind;
        const char *name; /* cut at SLOT_NAME - 1 */
};

/*
 * Changes the slot under its lock; true: write it back (what was changed with false may be written with
 * another caller's turn, or not at all). It must not call state_*, and may run on the thread of another
 * caller who asks for the same slot.
 */
typedef bool slot_fn(struct slot *slot, int64_t now_ms, void *context);

enum state_result {
        STATE_DONE,
        STATE_FULL,  /* no slot is free for another caller */
        STATE_FAILED /* the file could not be read or written: the log says why, once a minute */
};

/* Finds the subject's slot, or makes one. Safe from all threads. */
enum state_result state_update(struct state *s, struct subject subject, slot_fn *fn, void *context);
/* Looks without making one. False: there is none. */
bool state_read(struct state *s, struct subject subject, struct slot *out);
/* A copy of each slot in use, in the order of the file. */
void state_each(struct state *s, void (*fn)(const struct slot *slot, void *context), void *context);
/* Forgets a slot, as if it had never been used; calls under way stay counted. False: there is none. */
bool state_reset(struct state *s, struct subject subject);

/* What speaks against a place for the file, in words, or NULL: a network file system (SECURITY item 20). */
const char *state_place_warning(const char *path);

#endif
