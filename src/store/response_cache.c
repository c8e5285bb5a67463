#include "store/response_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/place.h"
#include "store/response_files.h"

enum { KEY = 32, MAC = 32, TELL_AGAIN_MS = 60000, CLOCKS_DIFFER_MS = 60000 };
enum { PATH = RESPONSE_ROOM_TEXT + 1 + 2 + 1 + 2 * RESPONSE_NAME + 1 };

struct response_cache {
        pthread_mutex_t lock;
        dev_t device; /* of the folder that the key is of */
        ino_t inode;
        uint8_t key[KEY];
        bool known;
        int64_t tell_ms;
};

/* The folder for one operation. */
struct folder {
        int fd;
        uint8_t key[KEY];
};

/* Before the bytes of an answer. */
struct head {
        char magic[8];
        int64_t stored_ms, until_ms, length;
        uint8_t mac[MAC]; /* over the name, the fields above and the bytes */
};
static const char magic[8] = "TGanswr1";

struct response_cache *response_cache_new(void)
{
        struct response_cache *rc = calloc(1, sizeof *rc);
        if (!rc)
                abort();
        pthread_mutex_init(&rc->lock, NULL);
        return rc;
}

void response_cache_free(struct response_cache *rc)
{
        if (!rc)
                return;
        pthread_mutex_destroy(&rc->lock);
        free(rc);
}

static void complain(struct response_cache *rc, const char *why)
{
        int64_t now = clock_now_ms();
        pthread_mutex_lock(&rc->lock);
        bool tell = now >= rc->tell_ms;
        if (tell)
                rc->tell_ms = now + TELL_AGAIN_MS;
        pthread_mutex_unlock(&rc->lock);
        if (tell)
                log_warn("the response cache: %s", why);
}

/* ---- the key ---- */

static bool read_key(int folder, const char *path, uint8_t key[KEY], char why[PLACE_WHY])
{
        bool absent;
        int fd = place_open(folder, "key", path, false, &absent, why);
        if (fd < 0)
                return false;
        bool whole = pread(fd, key, KEY, 0) == KEY;
        close(fd);
        /* Cut short by a full disk: there is nothing to be lost with it. */
        if (!whole)
                unlinkat(folder, "key", 0);
        return whole;
}

/* Whole under another name first; who comes second keeps the other one's. */
static void make_key(int folder)
{
        uint8_t key[KEY];
        uint64_t chance;
        char name[32];
        if (getrandom(key, sizeof key, 0) != KEY || getrandom(&chance, sizeof chance, 0) != sizeof chance)
                return;
        snprintf(name, sizeof name, ".new-%016llx", (unsigned long long)chance);
        int fd =
                openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
        if (fd < 0)
                return;
        bool ok = write(fd, key, KEY) == KEY;
        ok &= close(fd) == 0;
        if (ok && renameat2(folder, name, folder, "key", RENAME_NOREPLACE) != 0 && errno == EINVAL)
                ok = renameat(folder, name, folder, "key") ==
                     0; /* a file system that can't say "not if there" */
        unlinkat(folder, name, 0);
}

static bool learn_key(struct response_cache *rc, int folder, const char *path, char why[PLACE_WHY])
{
        char parent[PATH_MAX];
        const char *slash = strrchr(path, '/');
        snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
        int above = place_folder(parent, path, why);
        if (above < 0)
                return false;
        close(above);
        if (read_key(folder, path, rc->key, why))
                return true;
        make_key(folder);
        return read_key(folder, path, rc->key, why);
}

static bool folder_open(struct response_cache *rc, const char *path, struct folder *f)
{
        char why[PLACE_WHY] = "";
        struct stat st;
        f->fd = place_own_folder(path, why);
        if (f->fd < 0 || fstat(f->fd, &st) != 0) {
                complain(rc, why);
                return false;
        }
        pthread_mutex_lock(&rc->lock);
        bool same = rc->known && rc->device == st.st_dev && rc->inode == st.st_ino;
        if (!same)
                rc->known = learn_key(rc, f->fd, path, why);
        bool ok = rc->known;
        rc->device = st.st_dev;
        rc->inode = st.st_ino;
        memcpy(f->key, rc->key, KEY);
        pthread_mutex_unlock(&rc->lock);
        if (!ok) {
                close(f->fd);
                complain(rc, why);
        }
        return ok;
}

/* ---- keyed hashes ---- */

struct response_digest {
        EVP_MAC *mac;
        EVP_MAC_CTX *ctx;
};

static struct response_digest *digest_new(const uint8_t key[KEY])
{
        char sha256[] = "SHA256";
        const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", sha256, 0),
                                     OSSL_PARAM_construct_end()};
        struct response_digest *d = calloc(1, sizeof *d);
        if (!d)
                abort();
        d->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        d->ctx = d->mac ? EVP_MAC_CTX_new(d->mac) : NULL;
        if (!d->ctx || !EVP_MAC_init(d->ctx, key, KEY, params))
                abort();
        return d;
}

struct response_digest *response_digest_new(struct response_cache *rc, const char *folder)
{
        struct folder f;
        if (!folder_open(rc, folder, &f))
                return NULL;
        close(f.fd);
        return digest_new(f.key);
}

void response_digest_add(void *digest, const void *bytes, size_t len)
{
        struct response_digest *d = digest;
        EVP_MAC_update(d->ctx, bytes, len);
}

void response_digest_end(struct response_digest *d, uint8_t name[RESPONSE_NAME])
{
        uint8_t result[MAC];
        size_t len = 0;
        if (name && (!EVP_MAC_final(d->ctx, result, &len, sizeof result) || len != RESPONSE_NAME))
                abort();
        if (name)
                memcpy(name, result, RESPONSE_NAME);
        EVP_MAC_CTX_free(d->ctx);
        EVP_MAC_free(d->mac);
        free(d);
}

static void checksum(const struct folder *f, const uint8_t name[RESPONSE_NAME], const struct head *head,
                     struct str bytes, uint8_t mac[MAC])
{
        struct response_digest *d = digest_new(f->key);
        response_digest_add(d, name, RESPONSE_NAME);
        response_digest_add(d, head, offsetof(struct head, mac));
        response_digest_add(d, bytes.at, bytes.len);
        response_digest_end(d, mac);
}

static void room_name(const struct folder *f, const char *account, char out[RESPONSE_ROOM_TEXT + 1])
{
        uint8_t hash[RESPONSE_NAME];
        struct response_digest *d = digest_new(f->key);
        response_digest_add(d, "room", 5);
        response_digest_add(d, account, strlen(account));
        response_digest_end(d, hash);
        text_hex(out, hash, RESPONSE_ROOM_TEXT / 2);
}

static void answer_path(const struct folder *f, const struct response_room *room,
                        const uint8_t name[RESPONSE_NAME], char out[PATH])
{
        char account[RESPONSE_ROOM_TEXT + 1], hex[2 * RESPONSE_NAME + 1];
        room_name(f, room->name, account);
        text_hex(hex, name, RESPONSE_NAME);
        snprintf(out, PATH, "%s/%.2s/%s", account, hex, hex);
}

/* ---- reading ---- */

static bool read_all(int fd, void *to, size_t len, off_t at)
{
        char *p = to;
        while (len > 0) {
                ssize_t n = pread(fd, p, len, at);
                if (n <= 0)
                        return false;
                p += n;
                at += n;
                len -= (size_t)n;
        }
        return true;
}

static bool is_fresh(const struct head *head, const struct response_room *room, int64_t now_ms)
{
        int64_t age = now_ms - head->stored_ms;
        return now_ms < head->until_ms && age < room->keep_ms && age > -CLOCKS_DIFFER_MS;
}

static bool read_answer(const struct folder *f, int fd, const struct response_room *room,
                        const uint8_t name[RESPONSE_NAME], int64_t now_ms, struct buf *out)
{
        struct head head;
        struct stat st;
        uint8_t mac[MAC];
        if (fstat(fd, &st) != 0 || !read_all(fd, &head, sizeof head, 0) ||
            memcmp(head.magic, magic, sizeof magic) != 0 || head.length < 0 ||
            st.st_size - (off_t)sizeof head != head.length || !is_fresh(&head, room, now_ms))
                return false;
        size_t len = (size_t)head.length, before = out->len;
        if (!buf_reserve(out, len) || !read_all(fd, out->data + before, len, sizeof head))
                return false;
        checksum(f, name, &head, (struct str){out->data + before, len}, mac);
        if (!text_equal_const_time(mac, head.mac, MAC))
                return false;
        out->len = before + len;
        out->data[out->len] = '\0';
        return true;
}

bool response_cache_find(struct response_cache *rc, const struct response_room *room,
                         const uint8_t name[RESPONSE_NAME], int64_t now_ms, struct buf *out)
{
        struct folder f;
        char path[PATH], why[PLACE_WHY];
        bool absent = false;
        if (!folder_open(rc, room->folder, &f))
                return false;
        answer_path(&f, room, name, path);
        int fd = place_open(f.fd, path, path, false, &absent, why);
        bool found = fd >= 0 && read_answer(&f, fd, room, name, now_ms, out);
        if (fd >= 0)
                close(fd);
        else if (!absent)
                complain(rc, why);
        close(f.fd);
        return found;
}

/* ---- writing ---- */

bool response_cache_keep(struct response_cache *rc, const struct response_room *room,
                         const uint8_t name[RESPONSE_NAME], int64_t now_ms, struct str bytes)
{
        struct folder f;
        char path[PATH], account[RESPONSE_ROOM_TEXT + 1];
        struct head head = {
                .stored_ms = now_ms,
                .until_ms = now_ms + room->keep_ms,
                .length = (int64_t)bytes.len,
        };
        int64_t whole = (int64_t)(sizeof head + bytes.len);
        if (whole > room->size - room->size / RESPONSE_SLACK || !folder_open(rc, room->folder, &f))
                return false;
        memcpy(head.magic, magic, sizeof magic);
        checksum(&f, name, &head, bytes, head.mac);
        answer_path(&f, room, name, path);
        room_name(&f, room->name, account);
        bool kept = response_file_write(f.fd, path, head.until_ms,
                                        (struct str){(const char *)&head, sizeof head}, bytes);
        if (!kept) {
                char why[PLACE_WHY];
                snprintf(why, sizeof why, "%.200s: an answer can't be written: %s", room->folder,
                         strerror(errno));
                complain(rc, why);
        }
        if (kept && response_room_grows(f.fd, account, whole, room->size))
                response_room_shrink(f.fd, account, now_ms, room->size - room->size / RESPONSE_SLACK);
        response_folder_tidy(f.fd, now_ms);
        close(f.fd);
        return kept;
}
