/*
 * Who lives: each process holds the lock of a byte, through an open file of its own, as long as it is there.
 * The number of that byte is its index; the registry says which of those that had it this one is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "store/state_internal.h"

static off_t entry_at(uint32_t index)
{
        return STATE_AT_PROCESSES + (off_t)index * STATE_PROCESS_BYTES;
}

static uint64_t entry_check(const struct state_process *p, uint32_t index)
{
        return slot_hash(index + 1, SLOT_FREE, (const char *)p, offsetof(struct state_process, check));
}

static bool entry_read(const struct state *s, uint32_t index, struct state_process *out)
{
        return state_pread(s->fd, out, sizeof *out, entry_at(index)) && out->check == entry_check(out, index);
}

void state_process_write(struct state *s)
{
        struct state_process own = {.pid = (uint32_t)getpid(), .generation = s->self.generation};
        own.check = entry_check(&own, s->self.index);
        if (!state_pwrite(s->fd, &own, sizeof own, entry_at(s->self.index)))
                state_complain(s, "written");
}

static bool life_lock(int fd, uint32_t index)
{
        struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = STATE_AT_LIVES + index, .l_len = 1};
        return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static uint32_t any_generation(void)
{
        uint32_t n = 0;
        if (getrandom(&n, sizeof n, GRND_NONBLOCK) != sizeof n)
                n = (uint32_t)state_boottime_ms();
        return n ? n : 1;
}

bool state_process_claim(struct state *s, char why[STATE_WORDS])
{
        struct state_process before;
        uint32_t i = 0, tries = 0;
        if (s->life_fd >= 0) {
                /* Each lock that is tried costs a look at all that are held, so begin where one is likely
                 * free. */
                i = (uint32_t)getpid() % STATE_PROCESSES;
                while (tries < STATE_PROCESSES && !life_lock(s->life_fd, i)) {
                        if (errno != EAGAIN && errno != EACCES) {
                                snprintf(why, STATE_WORDS, "%s cannot be locked: %s", s->path,
                                         strerror(errno));
                                return false;
                        }
                        i = (i + 1) % STATE_PROCESSES;
                        tries++;
                }
        }
        if (tries == STATE_PROCESSES) {
                snprintf(why, STATE_WORDS, "%s is in use by %d processes already", s->path, STATE_PROCESSES);
                return false;
        }
        s->self.index = i;
        s->self.generation = any_generation();
        if (entry_read(s, i, &before) && before.generation != 0 && before.generation != UINT32_MAX)
                s->self.generation = before.generation + 1;
        state_process_write(s);
        return true;
}

bool state_process_alive(void *state, struct process_id p)
{
        struct state *s = state;
        struct state_process entry;
        if (p.generation == 0 || p.index >= STATE_PROCESSES)
                return false;
        if (p.index == s->self.index)
                return p.generation == s->self.generation;
        if (s->life_fd < 0)
                return false;
        /* An entry that is damaged says nothing: then the lock alone decides. */
        if (entry_read(s, p.index, &entry) && entry.generation != p.generation)
                return false;
        return state_locked_by_others(s->fd, STATE_AT_LIVES + p.index, 1);
}

/* By halves: only where a lock is held is looked at closely. */
static int64_t count_locks(const struct state *s, off_t from, off_t count)
{
        if (!state_locked_by_others(s->fd, from, count))
                return 0;
        if (count == 1)
                return 1;
        return count_locks(s, from, count / 2) + count_locks(s, from + count / 2, count - count / 2);
}

int64_t state_process_count(struct state *s)
{
        return s->life_fd < 0 ? 1 : count_locks(s, STATE_AT_LIVES, STATE_PROCESSES);
}
