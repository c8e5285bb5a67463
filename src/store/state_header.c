/* The header: which file this is, and what is done with one that is new, old, or damaged. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/state_internal.h"

static const char magic[8] = {'T', 'O', 'L', 'L', 'G', 'A', 'T', 'E'};
static const off_t header_places[] = {0, STATE_AT_COPY};
enum { LOOK_EVERY_MS = 1000 };

/* What an older layout needs before its slots are looked at; a slot of another layout begins anew. */
typedef bool migrate_fn(struct state *s);

/* Never released: there is nothing to keep. */
static bool from_layout_0(struct state *s)
{
        (void)s;
        return true;
}
static migrate_fn *const migrations[SLOT_LAYOUT] = {from_layout_0};

int64_t state_boottime_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_BOOTTIME, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Without /proc the moment of the start stands for its name; it is only roughly known. */
static void boot_name(char out[48])
{
        enum { ROUGHLY_MS = 600000 };
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, out, 36);
        if (fd >= 0)
                close(fd);
        if (n == 36)
                out[36] = '\0';
        else
                snprintf(out, 48, "about %lld",
                         (long long)((clock_unix_ms() - state_boottime_ms()) / ROUGHLY_MS));
}

static bool anybody_lives(const struct state *s)
{
        return s->path && state_locked_by_others(s->fd, STATE_AT_LIVES, STATE_PROCESSES);
}

static bool fail(const struct state *s, enum state_problem *problem, enum state_problem is,
                 char why[STATE_WORDS], const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static bool fail(const struct state *s, enum state_problem *problem, enum state_problem is,
                 char why[STATE_WORDS], const char *fmt, ...)
{
        va_list ap;
        int n = snprintf(why, STATE_WORDS, "%s ", state_name(s));
        if (n >= 0 && n < STATE_WORDS) {
                va_start(ap, fmt);
                vsnprintf(why + n, (size_t)(STATE_WORDS - n), fmt, ap);
                va_end(ap);
        }
        *problem = is;
        return false;
}

/* ---- writing */

static bool header_write(struct state *s)
{
        page_seal(&s->header);
        for (size_t i = 0; i < sizeof header_places / sizeof *header_places; i++) {
                if (!state_pwrite(s->fd, &s->header, sizeof s->header, header_places[i]))
                        return false;
        }
        return fdatasync(s->fd) == 0;
}

static void header_adopt(struct state *s)
{
        atomic_store(&s->seed, s->header.header.seed);
        atomic_store(&s->offset_ms, s->header.header.offset_ms);
}

static void config_set(struct state_header *h, const char *config)
{
        memset(h->config, 0, sizeof h->config);
        if (config) /* the end of a very long path tells more than its beginning */
                snprintf(h->config, sizeof h->config, "%s",
                         config + (strlen(config) >= sizeof h->config ? strlen(config) + 1 - sizeof h->config
                                                                      : 0));
}

static bool header_begin(struct state *s)
{
        memset(&s->header, 0, sizeof s->header);
        struct state_header *h = &s->header.header;
        memcpy(h->magic, magic, sizeof magic);
        h->layout = SLOT_LAYOUT;
        h->slot_bytes = SLOT_BYTES;
        h->slots[0] = STATE_SLOTS_FIRST;
        h->slots[1] = STATE_SLOTS_CALLERS;
        h->made_unix = clock_unix();
        h->offset_ms = clock_unix_ms() - state_boottime_ms();
        boot_name(h->boot);
        config_set(h, s->config);
        if (getrandom(&h->seed, sizeof h->seed, 0) != sizeof h->seed)
                return false;
        header_adopt(s);
        return ftruncate(s->fd, 0) == 0 && ftruncate(s->fd, STATE_FILE_BYTES) == 0 && header_write(s);
}

/* ---- reading */

static bool header_known(const union page *p)
{
        const struct state_header *h = &p->header;
        return page_check(p) == PAGE_FINE && memcmp(h->magic, magic, sizeof magic) == 0 &&
               (h->layout != SLOT_LAYOUT ||
                (h->slot_bytes == SLOT_BYTES && h->slots[0] == STATE_SLOTS_FIRST &&
                 h->slots[1] == STATE_SLOTS_CALLERS)) &&
               memchr(h->config, '\0', sizeof h->config) && memchr(h->boot, '\0', sizeof h->boot);
}

/* A path in the configuration that is wrong must not cost anybody a file of something else. */
static bool is_ours(const struct state *s, off_t size)
{
        union page page;
        bool empty = true;
        for (off_t at = 0; at < size && at < STATE_FILE_BYTES; at += SLOT_BYTES) {
                if (!state_pread(s->fd, &page, sizeof page, at))
                        return false;
                enum page_word word = page_check(&page);
                if (word == PAGE_FINE || memcmp(page.header.magic, magic, sizeof magic) == 0)
                        return true;
                empty &= word == PAGE_EMPTY;
        }
        return empty;
}

static bool header_rebuild(struct state *s, off_t size, enum state_problem *problem, char *why)
{
        char aside[256] = "";
        if (!is_ours(s, size))
                return fail(s, problem, STATE_BROKEN, why, "is no state file of Tollgate");
        if (!s->path || !state_copy_aside(s, aside))
                return fail(s, problem, STATE_BROKEN, why, "is damaged, and cannot be copied aside: %s",
                            strerror(errno));
        if (!header_begin(s))
                return fail(s, problem, STATE_BROKEN, why, "is damaged, and cannot be made anew: %s",
                            strerror(errno));
        log_warn("%s: the header is damaged; what was there is now %s beside it, and all limits begin anew",
                 s->path, aside);
        return true;
}

static bool header_read(struct state *s, off_t size, bool *mend, enum state_problem *problem, char *why)
{
        union page copy;
        if (!state_pread(s->fd, &s->header, sizeof s->header, header_places[0]) ||
            !state_pread(s->fd, &copy, sizeof copy, header_places[1]))
                return fail(s, problem, STATE_BROKEN, why, "cannot be read: %s", strerror(errno));
        bool first = header_known(&s->header), second = header_known(&copy);
        *mend = !first || !second || memcmp(&s->header, &copy, sizeof copy) != 0;
        if (!first && !second)
                return header_rebuild(s, size, problem, why);
        if (!first)
                s->header = copy;
        if (!first)
                log_warn("%s: the header is damaged; its copy at the end takes its place", s->path);
        else if (!second && size >= STATE_FILE_BYTES)
                log_warn("%s: the copy of the header at the end is damaged; it is written anew", s->path);
        return true;
}

static bool header_migrate(struct state *s, bool *mend, enum state_problem *problem, char *why)
{
        struct state_header *h = &s->header.header;
        if (h->layout > SLOT_LAYOUT)
                return fail(s, problem, STATE_NEWER, why,
                            "is of a newer Tollgate (layout %u, this one knows %d)", h->layout, SLOT_LAYOUT);
        if (h->layout == SLOT_LAYOUT)
                return true;
        if (anybody_lives(s))
                return fail(s, problem, STATE_BROKEN, why,
                            "is of an older Tollgate (layout %u) that still runs: it must end first",
                            h->layout);
        log_warn("%s: layout %u becomes layout %d", s->path, h->layout, SLOT_LAYOUT);
        while (h->layout < SLOT_LAYOUT) {
                if (!migrations[h->layout](s))
                        return fail(s, problem, STATE_BROKEN, why, "of layout %u cannot be changed: %s",
                                    h->layout, strerror(errno));
                h->layout++;
        }
        h->slot_bytes = SLOT_BYTES;
        h->slots[0] = STATE_SLOTS_FIRST;
        h->slots[1] = STATE_SLOTS_CALLERS;
        return *mend = true;
}

/* ---- opening */

static bool config_agree(struct state *s, bool *mend, enum state_problem *problem, char *why)
{
        struct state_header *h = &s->header.header, want;
        if (!s->config)
                return true;
        config_set(&want, s->config);
        if (h->config[0] == '\0') {
                memcpy(h->config, want.config, sizeof h->config);
                return *mend = true;
        }
        if (strcmp(h->config, want.config) == 0)
                return true;
        return fail(s, problem, STATE_FOREIGN, why,
                    "belongs to the configuration %.180s, not to %.180s: each needs a file of its own",
                    h->config, want.config);
}

/* The clock goes on by the wall clock over a restart of the machine, and never back. */
static bool time_go_on(struct state *s, const struct state_found *found)
{
        struct state_header *h = &s->header.header;
        char boot[48] = "";
        boot_name(boot);
        if (strcmp(boot, h->boot) == 0 || anybody_lives(s))
                return false;
        int64_t now = clock_unix_ms();
        if (now <= found->newest_ms)
                now = found->newest_ms + 1;
        memset(h->boot, 0, sizeof h->boot);
        memcpy(h->boot, boot, strlen(boot));
        h->offset_ms = now - state_boottime_ms();
        return true;
}

static bool machine_restarted(const struct state *s)
{
        char boot[48] = "";
        boot_name(boot);
        return strcmp(boot, s->header.header.boot) != 0;
}

static void slots_verify(struct state *s, struct state_found *found)
{
        uint64_t before = atomic_load(&s->mended);
        state_slots_verify(s, found);
        uint64_t mended = atomic_load(&s->mended) - before;
        if (mended)
                log_warn("%s: %llu slots were damaged, %zu are fine", state_name(s),
                         (unsigned long long)mended, found->used);
        if (found->lost > mended)
                log_warn("%s: %zu slots that were in use hold only zeros; they begin anew", state_name(s),
                         found->lost - (size_t)mended);
}

static bool header_settle(struct state *s, off_t size, enum state_problem *problem, char *why)
{
        struct state_found found = {0};
        bool mend = false;
        if (!header_read(s, size, &mend, problem, why) || !header_migrate(s, &mend, problem, why) ||
            !config_agree(s, &mend, problem, why))
                return false;
        if (size < STATE_FILE_BYTES) {
                log_warn("%s: the end is missing (%lld of %lld bytes)", s->path, (long long)size,
                         (long long)STATE_FILE_BYTES);
                if (ftruncate(s->fd, STATE_FILE_BYTES) != 0)
                        return fail(s, problem, STATE_BROKEN, why, "cannot be made longer: %s",
                                    strerror(errno));
        }
        header_adopt(s);
        if (mend || size < STATE_FILE_BYTES || machine_restarted(s))
                slots_verify(s, &found);
        mend |= time_go_on(s, &found);
        header_adopt(s);
        if (mend && !header_write(s))
                return fail(s, problem, STATE_BROKEN, why, "cannot be written: %s", strerror(errno));
        return true;
}

bool state_header_open(struct state *s, bool create, enum state_problem *problem, char why[STATE_WORDS])
{
        struct stat st;
        if (fstat(s->fd, &st) != 0)
                return fail(s, problem, STATE_BROKEN, why, "cannot be read: %s", strerror(errno));
        if (st.st_size > 0)
                return header_settle(s, st.st_size, problem, why);
        if (s->path && !create)
                return fail(s, problem, STATE_ABSENT, why, "is empty");
        return header_begin(s) ||
               fail(s, problem, STATE_BROKEN, why, "cannot be written: %s", strerror(errno));
}

/* ---- later on */

/* Another process made it anew: then its seed counts. Or it was damaged under our hands: we know it yet. */
static void header_meet(struct state *s)
{
        union page now;
        if (!state_lock(s->fd, 0, SLOT_BYTES)) {
                state_complain(s, "locked");
                return;
        }
        if (!state_pread(s->fd, &now, sizeof now, 0)) {
                state_complain(s, "read");
        } else if (!header_known(&now)) {
                log_warn("%s: the header was damaged while in use; it is written again", state_name(s));
                if (!header_write(s))
                        state_complain(s, "written");
        } else if (now.header.layout == SLOT_LAYOUT) {
                s->header = now;
                header_adopt(s);
                state_process_write(s);
        }
        state_unlock(s->fd, 0, SLOT_BYTES);
}

/* By its path, as whoever opens it next would find it: the folder may have been moved too. */
static bool replaced(const struct state *s)
{
        struct stat own, there;
        if (fstat(s->fd, &own) != 0)
                return false;
        if (lstat(s->path, &there) != 0)
                return errno == ENOENT || errno == ENOTDIR;
        return own.st_ino != there.st_ino || own.st_dev != there.st_dev;
}

void state_header_look(struct state *s)
{
        int64_t now = clock_now_ms(), due = atomic_load(&s->look_ms);
        if (now < due || !s->path || !atomic_compare_exchange_strong(&s->look_ms, &due, now + LOOK_EVERY_MS))
                return;
        union page page;
        if (replaced(s)) {
                atomic_store(&s->lost, true);
                errno = ENOENT;
                state_complain(s, "found any more, though it is in use");
        }
        pthread_mutex_lock(&s->header_lock);
        if (state_pread(s->fd, &page, sizeof page, 0) && memcmp(&page, &s->header, sizeof page) != 0)
                header_meet(s);
        pthread_mutex_unlock(&s->header_lock);
}
