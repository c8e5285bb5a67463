#include "store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/place.h"

enum { HEADER_BYTES = 4096, STEP_BYTES = 1 << 20, READ_BYTES = 1 << 20, ALIGN = 8, SET_ASIDE_TRIES = 3 };

struct spool_header {
        char magic[8];
        uint64_t epoch;
        int64_t most; /* bytes of a half: where the second one begins */
        uint64_t checksum;
};
static const char magic[8] = {'t', 'g', 's', 'p', 'o', 'o', 'l', '1'};

struct record_head {
        uint32_t len; /* of the bytes that follow; 0: no record */
        uint8_t kind, zero[3];
        int64_t id;
        uint64_t checksum; /* of epoch, place, kind, id and the bytes */
};

struct spool {
        int fd;
        int64_t most, reserve, allocated[2]; /* of the halves */
        uint64_t tried;                      /* the epoch that was last begun */
        pthread_mutex_t lock;                /* of what follows, and of writing */
        uint64_t epoch;
        int64_t end;
        bool full;
        char *read; /* of who reads */
};

/* ---- small things ---- */

static int64_t padded(size_t len)
{
        return (int64_t)(sizeof(struct record_head) + (len + ALIGN - 1) / ALIGN * ALIGN);
}

static off_t half_at(const struct spool *s, uint64_t epoch)
{
        return HEADER_BYTES + (off_t)(epoch & 1) * s->most;
}

/* Two words by one multiplication, as wyhash does: against accidents, not against forgers. */
static uint64_t mix(uint64_t h, uint64_t a, uint64_t b)
{
        unsigned __int128 product = (unsigned __int128)(a ^ UINT64_C(0xa0761d6478bd642f)) *
                                    (b ^ h ^ UINT64_C(0xe7037ed1a0b428db));
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t checksum_of(uint64_t epoch, int64_t place, const struct record_head *head, const char *bytes)
{
        uint64_t words[2], h = mix(0, epoch, (uint64_t)place);
        size_t i = 0;
        h = mix(h, (uint64_t)head->kind << 32 | head->len, (uint64_t)head->id);
        for (; i + sizeof words <= head->len; i += sizeof words) {
                memcpy(words, bytes + i, sizeof words);
                h = mix(h, words[0], words[1]);
        }
        memset(words, 0, sizeof words);
        memcpy(words, bytes + i, head->len - i);
        return mix(h, words[0], words[1]) | 1;
}

static bool write_at(int fd, const void *bytes, size_t len, off_t at)
{
        const char *p = bytes;
        while (len) {
                ssize_t n = pwrite(fd, p, len, at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                p += n;
                at += n;
                len -= (size_t)n;
        }
        return true;
}

/* Room for `end` bytes of a half, allocated on the disk. */
static bool make_room(struct spool *s, uint64_t epoch, int64_t end)
{
        int64_t *have = &s->allocated[epoch & 1];
        if (end <= *have)
                return true;
        if (end > s->most)
                return errno = ENOSPC, false;
        int64_t want = (end + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        want = want < s->most ? want : s->most;
        int code;
        do
                code = posix_fallocate(s->fd, half_at(s, epoch) + *have, want - *have);
        while (code == EINTR);
        if (code)
                return errno = code, false;
        *have = want;
        return true;
}

/* Of the other half, and never one that was there before, not even in part. */
static uint64_t next_epoch(struct spool *s)
{
        uint64_t now = (uint64_t)clock_unix_ms() * 1000,
                 least = (s->epoch > s->tried ? s->epoch : s->tried) / 2 + 1;
        return s->tried = (now > least ? now : least) << 1 | !(s->epoch & 1);
}

static uint64_t header_sum(const struct spool_header *h)
{
        return mix(1, h->epoch, (uint64_t)h->most) | 1;
}

static bool write_header(struct spool *s, uint64_t epoch)
{
        struct spool_header h = {.epoch = epoch, .most = s->most};
        memcpy(h.magic, magic, sizeof magic);
        h.checksum = header_sum(&h);
        return write_at(s->fd, &h, sizeof h, 0);
}

/* ---- reading ---- */

static bool head_fits(const struct record_head *h)
{
        return h->len && h->len <= SPOOL_RECORD_MAX && !h->zero[0] && !h->zero[1] && !h->zero[2];
}

static bool record_fits(const struct spool *s, int64_t place, const char *at, int64_t left,
                        struct record_head *head)
{
        if (left < (int64_t)sizeof *head)
                return false;
        memcpy(head, at, sizeof *head);
        return head_fits(head) && padded(head->len) <= left &&
               head->checksum == checksum_of(s->epoch, place, head, at + sizeof *head);
}

static ssize_t read_some(struct spool *s, int64_t from, int64_t end)
{
        int64_t want = end - from < READ_BYTES ? end - from : READ_BYTES;
        ssize_t n;
        do
                n = pread(s->fd, s->read, (size_t)want, half_at(s, s->epoch) + from);
        while (n < 0 && errno == EINTR);
        return n;
}

/* What is no record is passed over, word by word; or it ends the reading (first_gap). */
static int64_t scan(struct spool *s, int64_t from, int64_t end, bool first_gap, spool_fn *fn, void *context)
{
        enum { WHOLE = SPOOL_RECORD_MAX + sizeof(struct record_head) };
        struct record_head head = {0};
        while (from < end) {
                ssize_t n = read_some(s, from, end);
                if (n < 0)
                        return -1;
                bool last = n < READ_BYTES;
                int64_t at = 0;
                while (at < n && (last || n - at >= WHOLE)) {
                        bool fits = record_fits(s, from + at, s->read + at, n - at, &head);
                        const struct spool_record r = {(enum spool_kind)head.kind, head.id, from + at,
                                                       s->read + at + sizeof head, head.len};
                        if (fits ? !fn(&r, context) : first_gap)
                                return from + at;
                        at += fits ? padded(head.len) : ALIGN;
                }
                if (last)
                        break;
                from += at;
        }
        return end;
}

/* Only who moves records changes the epoch, and that is one thread. */
int64_t spool_read(struct spool *s, int64_t from, spool_fn *fn, void *context)
{
        return scan(s, from, spool_end(s), false, fn, context);
}

int64_t spool_end(struct spool *s)
{
        pthread_mutex_lock(&s->lock);
        int64_t end = s->end;
        pthread_mutex_unlock(&s->lock);
        return end;
}

uint64_t spool_epoch(const struct spool *s)
{
        return s->epoch;
}

bool spool_full(struct spool *s)
{
        pthread_mutex_lock(&s->lock);
        bool full = s->full;
        pthread_mutex_unlock(&s->lock);
        return full;
}

/* ---- opening ---- */

static bool take_lock(int fd)
{
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static bool note_end(const struct spool_record *r, void *context)
{
        *(int64_t *)context = r->at + padded(r->len);
        return true;
}

/* Most files are empty when looked at: then one small read tells. */
static bool find_end(struct spool *s, bool first_gap)
{
        struct record_head first = {0};
        ssize_t n = pread(s->fd, &first, sizeof first, half_at(s, s->epoch));
        s->end = 0;
        if (n < (ssize_t)sizeof first || !first.len)
                return n >= 0;
        return scan(s, 0, s->most, first_gap, note_end, &s->end) >= 0;
}

enum look { LOOK_FINE, LOOK_NEW, LOOK_FOREIGN, LOOK_FAILED };

static enum look read_header(struct spool *s)
{
        static const struct spool_header nothing;
        struct spool_header h = {.most = 0};
        ssize_t n = pread(s->fd, &h, sizeof h, 0);
        if (n < 0)
                return LOOK_FAILED;
        /* Its first write never came. */
        if (memcmp(&h, &nothing, sizeof h) == 0)
                return LOOK_NEW;
        if (n < (ssize_t)sizeof h || memcmp(h.magic, magic, sizeof magic) != 0 || h.most < STEP_BYTES ||
            h.most > INT64_C(1) << 40 || h.most % ALIGN || h.checksum != header_sum(&h))
                return LOOK_FOREIGN;
        s->epoch = h.epoch;
        s->most = h.most;
        return LOOK_FINE;
}

/* The header, and where the records end. most: of a file that is new, or empty and no longer as wanted. */
static enum look look(struct spool *s, int64_t most)
{
        enum look l = read_header(s);
        most = most < STEP_BYTES && most ? STEP_BYTES : most / ALIGN * ALIGN;
        if (l == LOOK_FOREIGN || l == LOOK_FAILED)
                return l;
        if (l == LOOK_FINE && !find_end(s, false))
                return LOOK_FAILED;
        if (l == LOOK_FINE && (s->end || !most || s->most == most))
                return l;
        s->most = most ? most : STEP_BYTES;
        s->epoch = next_epoch(s);
        return ftruncate(s->fd, 0) == 0 && write_header(s, s->epoch) ? LOOK_FINE : LOOK_FAILED;
}

static struct spool *spool_new(int fd)
{
        struct spool *s = calloc(1, sizeof *s);
        if (!s || !(s->read = malloc(READ_BYTES)))
                abort();
        s->fd = fd;
        pthread_mutex_init(&s->lock, NULL);
        return s;
}

void spool_close(struct spool *s)
{
        if (!s)
                return;
        close(s->fd);
        pthread_mutex_destroy(&s->lock);
        free(s->read);
        free(s);
}

/* Still under its name: who set it aside meanwhile had its lock before. */
static bool named_so(int folder, const char *name, int fd)
{
        struct stat st, there;
        return fstat(fd, &st) == 0 && fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
               st.st_ino == there.st_ino && st.st_dev == there.st_dev;
}

static bool set_aside(int folder, const char *name)
{
        char other[64];
        snprintf(other, sizeof other, "%.16s.damaged-%lld", name, (long long)clock_unix_ms());
        bool fine = renameat(folder, name, folder, other) == 0;
        log_error("the spool file %s is none, or damaged: it is %s", name,
                  fine ? "kept under another name" : "in the way");
        return fine;
}

/* With its lock, or -1. *again: it was not the one of this name any more. */
static int open_locked(int folder, const char *name, bool create, bool *taken, bool *again, char why[512])
{
        int fd = place_open(folder, name, name, create, NULL, why);
        if (fd < 0)
                return -1;
        if (take_lock(fd)) {
                if (named_so(folder, name, fd))
                        return fd;
                *again = true;
        } else {
                *taken = errno == EAGAIN || errno == EACCES;
                snprintf(why, 512, "%s cannot be locked: %s", name, strerror(errno));
        }
        close(fd);
        return -1;
}

static bool allocate_first(struct spool *s, int64_t first_bytes)
{
        s->reserve = first_bytes / 4;
        return !first_bytes || (make_room(s, 0, first_bytes) && make_room(s, 1, first_bytes));
}

struct spool *spool_open(int folder, const char *name, bool create, int64_t first_bytes, int64_t most_bytes,
                         bool *taken, char why[512])
{
        *taken = false;
        snprintf(why, 512, "%s cannot be used", name);
        for (int i = 0; i < SET_ASIDE_TRIES; i++) {
                bool again = false;
                int fd = open_locked(folder, name, create, taken, &again, why);
                if (fd < 0 && !again)
                        return NULL;
                if (fd < 0)
                        continue;
                struct spool *s = spool_new(fd);
                enum look l = look(s, most_bytes);
                if (l == LOOK_FINE && allocate_first(s, first_bytes))
                        return s;
                snprintf(why, 512, "%s cannot be used: %s", name,
                         l == LOOK_FOREIGN ? "it is none of ours" : strerror(errno));
                again = l == LOOK_FOREIGN && set_aside(folder, name);
                spool_close(s);
                if (!again)
                        return NULL;
        }
        return NULL;
}

struct spool *spool_look(int folder, const char *name)
{
        char why[512];
        int fd = place_open(folder, name, name, false, NULL, why);
        if (fd < 0)
                return NULL;
        struct spool *s = spool_new(fd);
        if (read_header(s) == LOOK_FINE && find_end(s, true))
                return s;
        spool_close(s);
        return NULL;
}

/* ---- writing ---- */

/* At `place` of a half, in one write. */
static bool put(struct spool *s, uint64_t epoch, int64_t place, enum spool_kind kind, int64_t id,
                const char *bytes, size_t len)
{
        char small[4096], *all = small;
        struct record_head head = {.len = (uint32_t)len, .kind = (uint8_t)kind, .id = id};
        size_t size = (size_t)padded(len);
        if (size > sizeof small && !(all = malloc(size)))
                abort();
        head.checksum = checksum_of(epoch, place, &head, bytes);
        memcpy(all, &head, sizeof head);
        memcpy(all + sizeof head, bytes, len);
        memset(all + sizeof head + len, 0, size - sizeof head - len);
        bool ok = make_room(s, epoch, place + (int64_t)size) &&
                  write_at(s->fd, all, size, half_at(s, epoch) + place);
        if (all != small)
                free(all);
        return ok;
}

bool spool_append(struct spool *s, enum spool_kind kind, int64_t id, const char *bytes, size_t len)
{
        bool begins = kind == SPOOL_BEGIN || kind == SPOOL_PROGRESS;
        if (!len || len > SPOOL_RECORD_MAX)
                return errno = EMSGSIZE, false;
        pthread_mutex_lock(&s->lock);
        /* Of what has begun, the end is to find room. */
        bool ok = (!begins || make_room(s, s->epoch, s->end + padded(len) + s->reserve)) &&
                  put(s, s->epoch, s->end, kind, id, bytes, len);
        if (ok)
                s->end += padded(len);
        if (begins || !ok)
                s->full = !ok;
        pthread_mutex_unlock(&s->lock);
        return ok;
}

/* ---- beginning anew ---- */

struct carrying {
        struct spool *spool;
        spool_fn *keep;
        void *context;
        int64_t moved, behind; /* places: of the old half, of the new one */
        uint64_t epoch;
        int64_t end;
        bool failed;
};

static bool carry(const struct spool_record *r, void *context)
{
        struct carrying *c = context;
        if (r->at < c->moved && !c->keep(r, c->context))
                return true;
        if (r->at >= c->moved && c->behind < 0)
                c->behind = c->end;
        c->failed = !put(c->spool, c->epoch, c->end, r->kind, r->id, r->bytes, r->len);
        if (!c->failed)
                c->end += padded(r->len);
        return !c->failed;
}

/* What stands behind the records is of an epoch long ago, which the checksum tells; a word of zeros tells
 * faster. */
static bool close_half(struct carrying *c)
{
        static const struct record_head nothing;
        return c->end + (int64_t)sizeof nothing > c->spool->most ||
               write_at(c->spool->fd, &nothing, sizeof nothing, half_at(c->spool, c->epoch) + c->end);
}

/* Nearly all of it is copied before anybody has to wait. */
bool spool_restart(struct spool *s, int64_t *moved, spool_fn *keep, void *context)
{
        struct carrying c = {.spool = s,
                             .keep = keep,
                             .context = context,
                             .moved = *moved,
                             .behind = -1,
                             .epoch = next_epoch(s)};
        int64_t so_far = spool_end(s);
        if (scan(s, 0, so_far, false, carry, &c) != so_far || c.failed)
                return false;
        pthread_mutex_lock(&s->lock);
        bool ok = scan(s, so_far, s->end, false, carry, &c) == s->end && !c.failed && close_half(&c) &&
                  write_header(s, c.epoch);
        if (ok) {
                s->epoch = c.epoch;
                s->end = c.end;
                s->full = false;
                *moved = c.behind < 0 ? c.end : c.behind;
        }
        pthread_mutex_unlock(&s->lock);
        return ok;
}
