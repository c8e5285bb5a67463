/*
 * Inside of store/: what the parts of the shared state share.
 *
 * The file: a header page; the registry of processes; a directory page for each region; the slots; and at the
 * very end the header once more, so that neither a lost beginning nor a lost end takes both. It is sparse.
 * Any layout to come keeps page 0 as it is here: checksum, magic, layout.
 *
 * Locks, all of the kernel's, by byte ranges: the header's page (opening, mending), a directory's page (new
 * slots of its region), a slot's page, and far behind the end of the file a byte for each process, held as
 * long as it lives. They are taken in this order; nobody holds two slots.
 */
#ifndef TOLLGATE_STORE_STATE_INTERNAL_H
#define TOLLGATE_STORE_STATE_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>
#include "store/state.h"

enum {
        STATE_PROCESSES = 4096,
        STATE_PROCESS_BYTES = 16,
        STATE_REGIONS = 2,
        STATE_SLOTS_FIRST = 2048, /* accounts, providers, targets, versions: as many as are configured */
        STATE_SLOTS_CALLERS = 8192,
        STATE_SLOTS = STATE_SLOTS_FIRST + STATE_SLOTS_CALLERS,
        STATE_CONFIG_PATH = 2048,
        STATE_WORDS = 512
};

#define STATE_AT_PROCESSES   ((off_t)SLOT_BYTES)
#define STATE_AT_DIRECTORIES (STATE_AT_PROCESSES + (off_t)STATE_PROCESSES * STATE_PROCESS_BYTES)
#define STATE_AT_SLOTS       (STATE_AT_DIRECTORIES + (off_t)STATE_REGIONS * SLOT_BYTES)
#define STATE_AT_COPY        (STATE_AT_SLOTS + (off_t)STATE_SLOTS * SLOT_BYTES)
#define STATE_FILE_BYTES     (STATE_AT_COPY + SLOT_BYTES)
#define STATE_AT_LIVES       ((off_t)1 << 40)

struct state_header {
        uint64_t checksum; /* of the rest of the page */
        char magic[8];
        uint32_t layout, slot_bytes, slots[STATE_REGIONS];
        uint64_t seed;     /* of the hash that places the slots: strangers name some of them */
        char boot[48];     /* of the machine's run that offset_ms belongs to */
        int64_t offset_ms; /* state time less CLOCK_BOOTTIME */
        int64_t made_unix;
        char config[STATE_CONFIG_PATH]; /* "": not said yet */
};

/* Which slots of a region were ever taken, one bit each. */
struct state_directory {
        uint64_t checksum;
        uint32_t layout, guessed; /* 1: it was lost; all may be taken */
        uint8_t taken[STATE_SLOTS_CALLERS / 8];
};

struct state_process {
        uint32_t pid, generation;
        uint64_t check;
};
_Static_assert(sizeof(struct state_process) == STATE_PROCESS_BYTES, "an entry of the registry");

union page {
        uint64_t words[SLOT_BYTES / sizeof(uint64_t)];
        uint8_t bytes[SLOT_BYTES];
        struct slot slot;
        struct state_header header;
        struct state_directory directory;
};
_Static_assert(sizeof(union page) == SLOT_BYTES, "all of them are pages");

struct ask;

struct state {
        int fd;           /* everything but the life */
        int life_fd;      /* -1: memory */
        int folder_fd;    /* -1: memory */
        const char *path; /* NULL: memory */
        const char *config;
        int64_t (*now_ms)(void *context);
        void *context;
        struct process_id self;
        _Atomic uint64_t seed;
        _Atomic int64_t offset_ms;
        _Atomic int64_t look_ms;     /* when to look at the header again (clock_now_ms) */
        _Atomic int64_t complain_ms; /* when to log the next failure */
        _Atomic uint64_t mended;     /* slots that were damaged */
        _Atomic bool lost;
        pthread_mutex_t header_lock, directory_locks[STATE_REGIONS];
        union page header; /* as it was read or written last; under header_lock */
        _Atomic(struct ask *) lines[STATE_SLOTS];
};

/* ---- slot.c: pages and their checksums */
enum page_word { PAGE_FINE, PAGE_EMPTY, PAGE_BAD };
void page_seal(union page *p);
enum page_word page_check(const union page *p);
bool slot_is(const struct slot *slot, struct subject subject, size_t name_len);
uint64_t slot_hash(uint64_t seed, enum slot_kind kind, const char *name, size_t len);
/* Who would miss it: after keep_ms, only those who hold something of it. */
enum slot_rest {
        SLOT_IDLE,
        SLOT_DAYS, /* it counts a day, or keeps a provider's word of what is used up; nothing else */
        SLOT_BUSY  /* it is held, counts in a window, cools down or is broken */
};
enum slot_rest slot_rest(const struct slot *slot, const struct lease_context *c, int64_t keep_ms,
                         int64_t now_ms);

/* ---- state_file.c: opening, locks, reading and writing */
bool state_file_open(struct state *s, bool create, enum state_problem *problem, char why[STATE_WORDS]);
bool state_lock(int fd, off_t at, off_t len);
void state_unlock(int fd, off_t at, off_t len);
bool state_locked_by_others(int fd, off_t at, off_t len); /* on error: true */
/* All of it, or false and errno. What lies behind the end of the file reads as zeros. */
bool state_pread(int fd, void *bytes, size_t len, off_t at);
bool state_pwrite(int fd, const void *bytes, size_t len, off_t at);
bool state_copy_aside(const struct state *s, char name[256]);
const char *state_name(const struct state *s);
/* Logs errno, once a minute. Gives false. */
bool state_complain(struct state *s, const char *doing);

/* ---- state_header.c */
/* Under the header's lock: whatever is found becomes a file that can be used, or *problem. */
bool state_header_open(struct state *s, bool create, enum state_problem *problem, char why[STATE_WORDS]);
/* Once a second: has somebody else changed or damaged it? */
void state_header_look(struct state *s);
int64_t state_boottime_ms(void);

/* ---- state_process.c */
bool state_process_claim(struct state *s, char why[STATE_WORDS]);
void state_process_write(struct state *s); /* the own entry, again */
bool state_process_alive(void *state, struct process_id p);

/* ---- state_turn.c: one slot, first come first served */
enum ask_end {
        ASK_DONE,
        ASK_OTHER, /* the slot is another's, or nobody's */
        ASK_FAILED
};
struct ask {
        struct subject subject;
        size_t name_len;
        bool any; /* whatever the slot holds; the subject does not matter */
        slot_fn *fn;
        void *context;
        /* from here on state_turn()'s own */
        struct ask *next;
        sem_t wake;
        _Atomic int now;
        enum ask_end end;
};
enum ask_end state_turn(struct state *s, size_t index, struct ask *a);

/* ---- state_slots.c */
struct state_found {
        size_t used, lost; /* lost: once taken, now empty */
        int64_t newest_ms;
};
/* Looks at all slots; mends them and the directories. */
void state_slots_verify(struct state *s, struct state_found *found);

#endif
