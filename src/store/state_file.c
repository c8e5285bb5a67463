/* The file as such: where it may lie and whose it is, its locks, its bytes. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/state_internal.h"

const char *state_name(const struct state *s)
{
        return s->path ? s->path : "the state in memory";
}

bool state_complain(struct state *s, const char *doing)
{
        enum { EVERY_MS = 60000 };
        int problem = errno;
        int64_t now = clock_now_ms(), due = atomic_load(&s->complain_ms);
        if (now >= due && atomic_compare_exchange_strong(&s->complain_ms, &due, now + EVERY_MS))
                log_error("%s cannot be %s: %s", state_name(s), doing, strerror(problem));
        return false;
}

/* ---- locks, of the descriptor rather than of the process */

static int lock_call(int fd, int command, short type, off_t at, off_t len, struct flock *out)
{
        *out = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = len};
        int result;
        do
                result = fcntl(fd, command, out);
        while (result != 0 && errno == EINTR);
        return result;
}

bool state_lock(int fd, off_t at, off_t len)
{
        struct flock lock;
        return lock_call(fd, F_OFD_SETLKW, F_WRLCK, at, len, &lock) == 0;
}

void state_unlock(int fd, off_t at, off_t len)
{
        struct flock lock;
        if (lock_call(fd, F_OFD_SETLK, F_UNLCK, at, len, &lock) != 0)
                log_error("a lock of the state cannot be given back: %s", strerror(errno));
}

bool state_locked_by_others(int fd, off_t at, off_t len)
{
        struct flock lock;
        return lock_call(fd, F_OFD_GETLK, F_WRLCK, at, len, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* ---- bytes */

bool state_pread(int fd, void *bytes, size_t len, off_t at)
{
        size_t got = 0;
        while (got < len) {
                ssize_t n = pread(fd, (char *)bytes + got, len - got, at + (off_t)got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                if (n == 0)
                        break;
                got += (size_t)n;
        }
        memset((char *)bytes + got, 0, len - got);
        return true;
}

bool state_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
        size_t done = 0;
        while (done < len) {
                ssize_t n = pwrite(fd, (const char *)bytes + done, len - done, at + (off_t)done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        if (n == 0)
                                errno = ENOSPC;
                        return false;
                }
                done += (size_t)n;
        }
        return true;
}

bool state_copy_aside(const struct state *s, char name[256])
{
        union page page;
        static const union page nothing;
        char time[32], path[PATH_MAX];
        clock_format(clock_unix_ms(), time);
        snprintf(path, sizeof path, "%s", s->path);
        if (snprintf(name, 256, "%s.damaged-%s", basename(path), time) >= 256)
                return errno = ENAMETOOLONG, false;
        int fd = openat(s->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return false;
        struct stat st;
        bool fine = fstat(s->fd, &st) == 0;
        off_t end = fine && st.st_size < STATE_FILE_BYTES ? st.st_size : STATE_FILE_BYTES;
        for (off_t at = 0; fine && at < end; at += SLOT_BYTES) {
                size_t len = end - at < SLOT_BYTES ? (size_t)(end - at) : SLOT_BYTES;
                fine = state_pread(s->fd, &page, len, at) &&
                       (memcmp(&page, &nothing, len) == 0 || state_pwrite(fd, &page, len, at));
        }
        fine = fine && ftruncate(fd, end) == 0;
        int problem = errno;
        close(fd);
        errno = problem;
        return fine;
}

/* ---- where it lies */

static bool refuse(enum state_problem *problem, enum state_problem is, char *why, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
static bool refuse(enum state_problem *problem, enum state_problem is, char *why, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(why, STATE_WORDS, fmt, ap);
        va_end(ap);
        *problem = is;
        return false;
}

/* Who can write in a folder above, and no sticky bit hinders, puts another folder in its place. */
static const char *open_above(const char *folder, char real[PATH_MAX])
{
        struct stat st;
        if (!realpath(folder, real))
                return NULL;
        for (char *end; (end = strrchr(real, '/')) && end[1] != '\0';) {
                end[end == real] = '\0';
                if (stat(real, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                        return real;
        }
        return NULL;
}

static bool folder_open(struct state *s, const char *folder, bool create, enum state_problem *problem,
                        char *why)
{
        struct stat st;
        char real[PATH_MAX];
        s->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (s->folder_fd < 0 || fstat(s->folder_fd, &st) != 0) {
                bool absent = errno == ENOENT && !create;
                bool closed = errno == EACCES || errno == EPERM;
                return refuse(problem,
                              absent   ? STATE_ABSENT
                              : closed ? STATE_FOREIGN
                                       : STATE_BROKEN,
                              why, "%s: the folder %s cannot be opened: %s", s->path, folder,
                              strerror(errno));
        }
        if (st.st_uid != geteuid() && st.st_uid != 0)
                return refuse(problem, STATE_FOREIGN, why,
                              "%s: its folder belongs to user %ld, neither to root nor to user %ld", s->path,
                              (long)st.st_uid, (long)geteuid());
        if (st.st_mode & S_IWOTH)
                return refuse(problem, STATE_FOREIGN, why, "%s lies in a folder that everybody can write in",
                              s->path);
        const char *open_one = open_above(folder, real);
        if (open_one)
                return refuse(problem, STATE_FOREIGN, why, "%s lies below %s, which everybody can write in",
                              s->path, open_one);
        if (create && (st.st_mode & S_IWGRP))
                log_warn("%s: its folder can be written in by group %ld", s->path, (long)st.st_gid);
        return true;
}

static bool file_judge(const struct state *s, const struct stat *st, enum state_problem *problem, char *why)
{
        if (S_ISLNK(st->st_mode))
                return refuse(problem, STATE_FOREIGN, why, "%s is a symbolic link", s->path);
        if (!S_ISREG(st->st_mode))
                return refuse(problem, STATE_FOREIGN, why, "%s is no regular file", s->path);
        if (st->st_uid != geteuid())
                return refuse(problem, STATE_FOREIGN, why, "%s belongs to user %ld, not to user %ld", s->path,
                              (long)st->st_uid, (long)geteuid());
        if (st->st_mode & (S_IRWXG | S_IRWXO))
                return refuse(problem, STATE_FOREIGN, why, "%s is open to others (mode %04o, not 0600)",
                              s->path, (unsigned)st->st_mode & 07777);
        if (st->st_nlink != 1)
                return refuse(problem, STATE_FOREIGN, why, "%s has %ld names (hard links)", s->path,
                              (long)st->st_nlink);
        return true;
}

/* Twice: a lock never conflicts with another one of the same open file. */
static bool file_open_at(struct state *s, const char *name, bool create, enum state_problem *problem,
                         char *why)
{
        enum { HOW = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };
        struct stat st, again;
        s->fd = openat(s->folder_fd, name, HOW);
        if (s->fd < 0 && errno == ENOENT && create)
                s->fd = openat(s->folder_fd, name, HOW | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
        if (s->fd < 0 && errno == EEXIST) /* another process was faster */
                s->fd = openat(s->folder_fd, name, HOW);
        if (s->fd < 0) {
                int cause = errno;
                if (cause == ENOENT)
                        return refuse(problem, STATE_ABSENT, why, "%s does not exist", s->path);
                if (fstatat(s->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                    !file_judge(s, &st, problem, why))
                        return false;
                return refuse(problem, cause == EACCES ? STATE_FOREIGN : STATE_BROKEN, why,
                              "%s cannot be opened: %s", s->path, strerror(cause));
        }
        if (fstat(s->fd, &st) != 0)
                return refuse(problem, STATE_BROKEN, why, "%s cannot be read: %s", s->path, strerror(errno));
        if (!file_judge(s, &st, problem, why))
                return false;
        s->life_fd = openat(s->folder_fd, name, HOW);
        if (s->life_fd < 0 || fstat(s->life_fd, &again) != 0 || again.st_ino != st.st_ino ||
            again.st_dev != st.st_dev)
                return refuse(problem, STATE_BROKEN, why, "%s was changed while it was opened", s->path);
        return true;
}

bool state_file_open(struct state *s, bool create, enum state_problem *problem, char why[STATE_WORDS])
{
        if (!s->path) {
                s->fd = memfd_create("tollgate-state", MFD_CLOEXEC);
                return s->fd >= 0 ||
                       refuse(problem, STATE_BROKEN, why, "no memory for the state: %s", strerror(errno));
        }
        char folder[PATH_MAX], name[PATH_MAX];
        if (strlen(s->path) >= sizeof folder)
                return refuse(problem, STATE_BROKEN, why, "the path of the state is too long");
        strcpy(folder, s->path);
        strcpy(name, s->path);
        return folder_open(s, dirname(folder), create, problem, why) &&
               file_open_at(s, basename(name), create, problem, why);
}

const char *state_place_warning(const char *path)
{
        static const struct {
                long magic;
                const char *words;
        } places[] = {
                {NFS_SUPER_MAGIC, "lies on NFS: locks there are slow and may be lost"},
                {SMB_SUPER_MAGIC, "lies on SMB: locks there do not reach all processes"},
                {CIFS_SUPER_MAGIC, "lies on CIFS: locks there do not reach all processes"},
                {SMB2_SUPER_MAGIC, "lies on SMB: locks there do not reach all processes"},
                {FUSE_SUPER_MAGIC, "lies on a FUSE file system: whether locks work depends on its program"},
                {AFS_SUPER_MAGIC, "lies on AFS: there are no locks of byte ranges"},
                {AFS_FS_MAGIC, "lies on AFS: there are no locks of byte ranges"},
                {CODA_SUPER_MAGIC, "lies on Coda: there are no locks of byte ranges"},
                {CEPH_SUPER_MAGIC, "lies on Ceph: locks there go over the network"},
                {V9FS_MAGIC, "lies on 9p: locks there may not be the kernel's"},
                {(long)0x01161970, "lies on GFS2: locks there go over the network"},
                {OCFS2_SUPER_MAGIC, "lies on OCFS2: locks there go over the network"},
                {(long)0x0bd00bd0, "lies on Lustre: locks there go over the network"},
        };
        struct statfs fs;
        char folder[PATH_MAX];
        if (statfs(path, &fs) != 0) {
                snprintf(folder, sizeof folder, "%s", path);
                if (statfs(dirname(folder), &fs) != 0)
                        return NULL;
        }
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                if ((uint32_t)fs.f_type == (uint32_t)places[i].magic)
                        return places[i].words;
        }
        return NULL;
}
