#include "store/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/place.h"

enum { HEADER_BYTES = 4096, STEP_BYTES = 1 << 20, READ_BYTES = 1 << 20 };

struct spool_header {
        char magic[8];
        uint64_t epoch;
        int64_t most; /* bytes of a half: where the second one begins */
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
        int64_t most, allocated[2]; /* of the halves */
        pthread_mutex_t lock;       /* of what follows, and of writing */
        uint64_t epoch;
        int64_t end;
        bool full;
        char *read; /* for spool_read() */
};

/* ---- small things ---- */

static int64_t padded(size_t len)
{
        return (int64_t)(sizeof(struct record_head) + (len + 7) / 8 * 8);
}

static off_t half_at(const struct spool *s, uint64_t epoch)
{
        return HEADER_BYTES + (off_t)(epoch & 1) * s->most;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
        h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        return h ^ h >> 29;
}

static uint64_t checksum_of(uint64_t epoch, int64_t place, const struct record_head *head, const char *bytes)
{
        uint64_t h = mix(mix(mix(epoch, (uint64_t)place), (uint64_t)head->kind << 32 | head->len),
                         (uint64_t)head->id);
        size_t i = 0;
        for (; i + 8 <= head->len; i += 8) {
                uint64_t word;
                memcpy(&word, bytes + i, 8);
                h = mix(h, word);
        }
        uint64_t rest = 0;
        memcpy(&rest, bytes + i, head->len - i);
        return mix(h, rest) | 1;
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
        int code = posix_fallocate(s->fd, half_at(s, epoch) + *have, want - *have);
        if (code)
                return errno = code, false;
        *have = want;
        return true;
}

/* ---- opening ---- */

static bool take_lock(int fd)
{
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static bool record_fits(struct spool *s, uint64_t epoch, int64_t place, const char *at, int64_t left,
                        struct record_head *head)
{
        if (left < (int64_t)sizeof *head)
                return false;
        memcpy(head, at, sizeof *head);
        return head->len && head->len <= SPOOL_RECORD_MAX && padded(head->len) <= left &&
               head->checksum == checksum_of(epoch, place, head, at + sizeof *head) &&
               place + padded(head->len) <= s->most;
}

static bool ignore(const struct spool_record *r, void *context)
{
        (void)r;
        (void)context;
        return true;
}

static bool write_header(struct spool *s, uint64_t epoch)
{
        struct spool_header h = {.epoch = epoch, .most = s->most};
        memcpy(h.magic, magic, sizeof magic);
        return write_at(s->fd, &h, sizeof h, 0);
}

/* Most files are empty when looked at: then one small read tells. */
static bool find_end(struct spool *s)
{
        struct record_head first = {0};
        ssize_t n = pread(s->fd, &first, sizeof first, half_at(s, s->epoch));
        s->end = 0;
        if (n < (ssize_t)sizeof first || !first.len)
                return n >= 0;
        s->end = s->most;
        s->end = spool_read(s, 0, ignore, NULL);
        return s->end >= 0;
}

/* The header, and where the records end. most: of a file that is new, or empty and no longer as wanted. */
static bool look(struct spool *s, int64_t most)
{
        struct spool_header h = {.most = 0};
        if (pread(s->fd, &h, sizeof h, 0) < 0)
                return false;
        if (memcmp(h.magic, magic, sizeof magic) != 0 || h.most < STEP_BYTES || h.most > INT64_C(1) << 40) {
                /* New, or its first write never came: nothing was ever in it. */
                s->most = most ? most : STEP_BYTES;
                s->epoch = 1;
                return ftruncate(s->fd, 0) == 0 && write_header(s, s->epoch);
        }
        s->epoch = h.epoch;
        s->most = h.most;
        if (!find_end(s) || s->end || !most || s->most == most)
                return s->end >= 0;
        s->most = most;
        s->epoch += 1;
        return ftruncate(s->fd, 0) == 0 && write_header(s, s->epoch);
}

struct spool *spool_open(int folder, const char *name, bool create, int64_t first_bytes, int64_t most_bytes,
                         bool *taken, char why[512])
{
        *taken = false;
        int fd = place_open(folder, name, name, create, NULL, why);
        if (fd < 0)
                return NULL;
        if (!take_lock(fd)) {
                *taken = errno == EAGAIN || errno == EACCES;
                snprintf(why, 512, "%s cannot be locked: %s", name, strerror(errno));
                close(fd);
                return NULL;
        }
        struct spool *s = calloc(1, sizeof *s);
        if (!s || !(s->read = malloc(READ_BYTES + 1)))
                abort();
        s->fd = fd;
        pthread_mutex_init(&s->lock, NULL);
        bool ok = look(s, most_bytes && most_bytes < STEP_BYTES ? STEP_BYTES : most_bytes);
        if (!ok)
                snprintf(why, 512, "%s cannot be used: %s", name, strerror(errno));
        for (uint64_t half = 0; ok && first_bytes && half < 2; half++) {
                ok = make_room(s, half, first_bytes);
                if (!ok)
                        snprintf(why, 512, "no room for %s: %s", name, strerror(errno));
        }
        if (ok)
                return s;
        spool_close(s);
        return NULL;
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
        if (!len || len > SPOOL_RECORD_MAX)
                return false;
        pthread_mutex_lock(&s->lock);
        bool ok = put(s, s->epoch, s->end, kind, id, bytes, len);
        if (ok)
                s->end += padded(len);
        s->full = !ok;
        pthread_mutex_unlock(&s->lock);
        return ok;
}

int64_t spool_end(struct spool *s)
{
        pthread_mutex_lock(&s->lock);
        int64_t end = s->end;
        pthread_mutex_unlock(&s->lock);
        return end;
}

bool spool_full(struct spool *s)
{
        pthread_mutex_lock(&s->lock);
        bool full = s->full;
        pthread_mutex_unlock(&s->lock);
        return full;
}

/* ---- reading ---- */

static ssize_t read_some(struct spool *s, int64_t from, int64_t end)
{
        int64_t want = end - from < READ_BYTES ? end - from : READ_BYTES;
        ssize_t n;
        do
                n = pread(s->fd, s->read, (size_t)want, half_at(s, s->epoch) + from);
        while (n < 0 && errno == EINTR);
        return n;
}

/* Only who moves records changes the epoch, and that is one thread. */
int64_t spool_read(struct spool *s, int64_t from, bool (*fn)(const struct spool_record *r, void *context),
                   void *context)
{
        int64_t end = spool_end(s);
        while (from < end) {
                ssize_t n = read_some(s, from, end);
                int64_t used = 0;
                struct record_head head;
                if (n < 0)
                        return -1;
                while (record_fits(s, s->epoch, from + used, s->read + used, n - used, &head)) {
                        char *bytes = s->read + used + sizeof head, behind = bytes[head.len];
                        const struct spool_record r = {(enum spool_kind)head.kind, head.id, bytes, head.len};
                        bytes[head.len] = '\0';
                        bool go_on = fn(&r, context);
                        bytes[head.len] = behind;
                        if (!go_on)
                                return from + used;
                        used += padded(head.len);
                }
                if (!used)
                        break;
                from += used;
        }
        return from;
}

/* ---- beginning anew ---- */

struct carrying {
        struct spool *spool;
        bool (*keep)(const struct spool_record *r, void *context);
        void *context;
        uint64_t epoch;
        int64_t end;
        bool failed;
};

static bool carry(const struct spool_record *r, void *context)
{
        struct carrying *c = context;
        if (!c->keep(r, c->context))
                return true;
        c->failed = !put(c->spool, c->epoch, c->end, r->kind, r->id, r->bytes, r->len);
        c->end += padded(r->len);
        return !c->failed;
}

static int64_t read_locked(struct spool *s, struct carrying *c)
{
        int64_t from = 0;
        while (from < s->end && !c->failed) {
                ssize_t n = read_some(s, from, s->end);
                int64_t used = 0;
                struct record_head head;
                while (n > 0 && record_fits(s, s->epoch, from + used, s->read + used, n - used, &head)) {
                        const struct spool_record r = {(enum spool_kind)head.kind, head.id,
                                                       s->read + used + sizeof head, head.len};
                        if (!carry(&r, c))
                                break;
                        used += padded(head.len);
                }
                if (!used)
                        break;
                from += used;
        }
        return from;
}

bool spool_restart(struct spool *s, int64_t end, bool (*keep)(const struct spool_record *r, void *context),
                   void *context)
{
        struct carrying c = {.spool = s, .keep = keep, .context = context};
        bool ok = false;
        pthread_mutex_lock(&s->lock);
        c.epoch = s->epoch + 1;
        if (s->end == end && read_locked(s, &c) == end && !c.failed) {
                struct record_head nothing = {0};
                /* What an epoch two before left there is no record of this one: the checksum tells. */
                ok = (c.end + (int64_t)sizeof nothing > s->allocated[c.epoch & 1] ||
                      write_at(s->fd, &nothing, sizeof nothing, half_at(s, c.epoch) + c.end)) &&
                     write_header(s, c.epoch);
        }
        if (ok) {
                s->epoch = c.epoch;
                s->end = c.end;
                s->full = false;
        }
        pthread_mutex_unlock(&s->lock);
        return ok;
}
