/* For the tests of store/state: a folder, a log, and hands that damage files. */
#ifndef TOLLGATE_TESTS_STATE_WORLD_H
#define TOLLGATE_TESTS_STATE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "store/state.h"
#include "store/state_internal.h"

static char folder[] = "/tmp/tollgate-state-XXXXXX";
static char path[128], logged[65536], why[512];
static int64_t clock_ms = 1000000000;

static inline int64_t simulated(void *context)
{
        (void)context;
        return clock_ms;
}

static inline void sink(void *context, const char *line, size_t len)
{
        size_t used = strlen(logged);
        (void)context;
        if (used + len < sizeof logged) {
                memcpy(logged + used, line, len);
                logged[used + len] = '\0';
        }
}

static inline int world_begin(void **state)
{
        (void)state;
        log_bind(sink, NULL, NULL);
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof path, "%s/state", folder);
        return 0;
}

static inline int world_end(void **state)
{
        char command[128];
        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

/* Before each test: no file, nothing logged. */
static inline int world_fresh(void **state)
{
        char command[160];
        (void)state;
        logged[0] = '\0';
        snprintf(command, sizeof command, "chmod 700 '%s' && rm -rf '%s'/*", folder, folder);
        return system(command);
}

static inline struct state *open_as(const struct state_options *o, enum state_problem expected)
{
        enum state_problem problem = STATE_BROKEN;
        struct state *s = state_open(o, &problem, why);
        if (problem != expected)
                fail_msg("problem %d, not %d: %s", problem, expected, why);
        assert_int_equal(s != NULL, expected == STATE_FINE);
        assert_int_equal(why[0] != '\0', expected != STATE_FINE);
        return s;
}

static inline struct state *opened(void)
{
        return open_as(&(struct state_options){.path = path, .create = true}, STATE_FINE);
}

static inline struct state *opened_in_simulation(void)
{
        return open_as(&(struct state_options){.path = path, .create = true, .now_ms = simulated},
                       STATE_FINE);
}

static inline bool count_turn(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        (void)context;
        slot->turn++;
        return true;
}

static inline enum state_result turn(struct state *s, enum slot_kind kind, const char *name)
{
        return state_update(s, (struct subject){kind, name}, count_turn, NULL);
}

/* -1: there is no such slot. */
static inline int64_t turns(struct state *s, enum slot_kind kind, const char *name)
{
        struct slot slot;
        return state_read(s, (struct subject){kind, name}, &slot) ? (int64_t)slot.turn : -1;
}

/* ---- damage */

static inline void page_get(off_t at, union page *p)
{
        int fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        assert_true(state_pread(fd, p, sizeof *p, at));
        close(fd);
}

static inline void page_put(off_t at, const union page *p)
{
        int fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_true(state_pwrite(fd, p, sizeof *p, at));
        close(fd);
}

static inline void flip(off_t at)
{
        unsigned char byte;
        int fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
}

static inline off_t slot_at(const char *name)
{
        union page p;
        for (off_t i = 0; i < STATE_SLOTS; i++) {
                page_get(STATE_AT_SLOTS + i * SLOT_BYTES, &p);
                if (strcmp(p.slot.name, name) == 0)
                        return STATE_AT_SLOTS + i * SLOT_BYTES;
        }
        fail_msg("no slot %s", name);
        return 0;
}

static inline off_t size_of(const char *file)
{
        struct stat st;
        return stat(file, &st) == 0 ? st.st_size : -1;
}

#endif
