#include "store/response_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/place.h"

enum { TIDY_MS = 600000, UNFINISHED_MS = 600000, NAME_MAX_KEPT = 72, PATH = 128 };

/* ---- one file ---- */

static bool write_all(int fd, struct str bytes)
{
        while (bytes.len > 0) {
                ssize_t n = write(fd, bytes.at, bytes.len);
                if (n <= 0)
                        return false;
                bytes.at += n;
                bytes.len -= (size_t)n;
        }
        return true;
}

static struct timespec timespec_of(int64_t ms)
{
        return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

static int64_t ms_of(struct timespec t)
{
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void set_time(int fd, int64_t ms)
{
        const struct timespec times[2] = {timespec_of(ms), timespec_of(ms)};
        futimens(fd, times);
}

/* Folders are missing once, files always. */
static int create(int folder, const char *path)
{
        enum { HOW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
        char above[PATH];
        int fd = openat(folder, path, HOW, S_IRUSR | S_IWUSR);
        if (fd >= 0 || errno != ENOENT)
                return fd;
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                snprintf(above, sizeof above, "%.*s", (int)(slash - path), path);
                if (mkdirat(folder, above, S_IRWXU) != 0 && errno != EEXIST)
                        return -1;
        }
        return openat(folder, path, HOW, S_IRUSR | S_IWUSR);
}

bool response_file_write(int folder, const char *path, int64_t until_ms, struct str head, struct str bytes)
{
        char unfinished[PATH];
        uint64_t chance;
        const char *slash = strrchr(path, '/');
        if (!slash || getrandom(&chance, sizeof chance, 0) != sizeof chance)
                return false;
        snprintf(unfinished, sizeof unfinished, "%.*s/.new-%016llx", (int)(slash - path), path,
                 (unsigned long long)chance);
        int fd = create(folder, unfinished);
        if (fd < 0)
                return false;
        bool ok = write_all(fd, head) && write_all(fd, bytes);
        int problem = errno;
        if (ok)
                set_time(fd, until_ms);
        if (close(fd) != 0 || !ok || renameat(folder, unfinished, folder, path) != 0) {
                problem = ok ? errno : problem;
                unlinkat(folder, unfinished, 0);
                errno = problem;
                return false;
        }
        return true;
}

/* ---- how much was written ---- */

bool response_room_grows(int folder, const char *room, int64_t bytes, int64_t size)
{
        char path[PATH], why[PLACE_WHY];
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int64_t written = 0;
        snprintf(path, sizeof path, "%s/written", room);
        int fd = place_open(folder, path, path, true, NULL, why);
        if (fd < 0)
                return true; /* it can't be counted: look each time */
        while (fcntl(fd, F_OFD_SETLKW, &whole) != 0 && errno == EINTR)
                continue;
        if (pread(fd, &written, sizeof written, 0) != sizeof written || written < 0)
                written = 0;
        written += bytes;
        bool due = written > size / RESPONSE_SLACK;
        if (due)
                written = 0;
        if (pwrite(fd, &written, sizeof written, 0) != sizeof written)
                due = true;
        close(fd); /* and with it goes the lock */
        return due;
}

/* ---- what lies in a room ---- */

struct entry {
        char name[NAME_MAX_KEPT]; /* "7f/7f3a…" */
        int64_t until_ms, size;
};

struct entries {
        struct entry *list;
        size_t count, size;
        int64_t bytes;
};

static void add(struct entries *all, const char *shelf, const char *name, int64_t until_ms, int64_t size)
{
        if (all->count == all->size) {
                all->size = all->size ? 2 * all->size : 64;
                all->list = realloc(all->list, all->size * sizeof *all->list);
                if (!all->list)
                        abort();
        }
        struct entry *e = &all->list[all->count];
        if ((size_t)snprintf(e->name, sizeof e->name, "%s/%s", shelf, name) >= sizeof e->name)
                return;
        e->until_ms = until_ms;
        e->size = size;
        all->bytes += size;
        all->count++;
}

static DIR *open_list(int above, const char *name)
{
        int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (fd >= 0 && !d)
                close(fd);
        return d;
}

static bool is_hex(const char *s, size_t len)
{
        return strspn(s, "0123456789abcdef") == len && s[len] == '\0';
}

/* One shelf: what has expired goes, the rest is told (all NULL: is not). */
static void look_through(int room, const char *shelf, int64_t now_ms, struct entries *all)
{
        DIR *d = open_list(room, shelf);
        struct dirent *e;
        struct stat st;
        while (d && (e = readdir(d))) {
                if (e->d_name[0] == '.' && strncmp(e->d_name, ".new-", 5) != 0)
                        continue;
                if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
                        continue;
                int64_t until_ms = ms_of(st.st_mtim), spare = e->d_name[0] == '.' ? UNFINISHED_MS : 0;
                if (until_ms + spare <= now_ms)
                        unlinkat(dirfd(d), e->d_name, 0);
                else if (all && !spare)
                        add(all, shelf, e->d_name, until_ms, st.st_size);
        }
        if (d)
                closedir(d);
}

static void look_through_room(int folder, const char *room, int64_t now_ms, struct entries *all)
{
        DIR *d = open_list(folder, room);
        struct dirent *e;
        while (d && (e = readdir(d))) {
                if (is_hex(e->d_name, 2))
                        look_through(dirfd(d), e->d_name, now_ms, all);
        }
        if (d)
                closedir(d);
}

static int by_time(const void *one, const void *two)
{
        const struct entry *a = one, *b = two;
        return a->until_ms < b->until_ms ? -1 : a->until_ms > b->until_ms;
}

void response_room_shrink(int folder, const char *room, int64_t now_ms, int64_t most)
{
        struct entries all = {0};
        char path[PATH];
        look_through_room(folder, room, now_ms, &all);
        if (all.bytes > most)
                qsort(all.list, all.count, sizeof *all.list, by_time);
        for (size_t i = 0; i < all.count && all.bytes > most; i++) {
                snprintf(path, sizeof path, "%s/%s", room, all.list[i].name);
                if (unlinkat(folder, path, 0) == 0 || errno == ENOENT)
                        all.bytes -= all.list[i].size;
        }
        free(all.list);
}

/* ---- all rooms ---- */

void response_folder_tidy(int folder, int64_t now_ms)
{
        char why[PLACE_WHY];
        struct stat st;
        struct dirent *e;
        bool absent = false;
        int fd = place_open(folder, "tidied", "tidied", false, &absent, why);
        bool due = absent;
        if (fd < 0 && absent)
                fd = place_open(folder, "tidied", "tidied", true, NULL, why);
        if (fd < 0)
                return;
        /* Also where a clock was set back. */
        if (!due && fstat(fd, &st) == 0) {
                int64_t age = now_ms - ms_of(st.st_mtim);
                due = age >= TIDY_MS || age < -TIDY_MS;
        }
        if (due)
                set_time(fd, now_ms);
        close(fd);
        DIR *d = due ? open_list(folder, ".") : NULL;
        while (d && (e = readdir(d))) {
                if (is_hex(e->d_name, RESPONSE_ROOM_TEXT))
                        look_through_room(folder, e->d_name, now_ms, NULL);
        }
        if (d)
                closedir(d);
}
