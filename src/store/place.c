#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(char *why, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(why, PLACE_WHY, fmt, ap);
        va_end(ap);
        return -1;
}

/* Who can write in a folder above, and no sticky bit hinders, puts another folder in its place. */
static bool open_above(const char *folder, char real[PATH_MAX])
{
        struct stat st;
        if (!realpath(folder, real))
                return false;
        for (char *end; (end = strrchr(real, '/')) && end[1] != '\0';) {
                end[end == real] = '\0';
                if (stat(real, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
                        return true;
        }
        return false;
}

int place_folder(const char *folder, const char *path, char why[PLACE_WHY])
{
        struct stat st;
        char real[PATH_MAX];
        int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0) {
                refuse(why, "%.200s: the folder %.200s cannot be opened: %s", path, folder, strerror(errno));
        } else if (st.st_uid != geteuid() && st.st_uid != 0) {
                refuse(why, "%.200s: its folder belongs to user %ld, neither to root nor to user %ld", path,
                       (long)st.st_uid, (long)geteuid());
        } else if (st.st_mode & S_IWOTH) {
                refuse(why, "%.200s lies in a folder that everybody can write in", path);
        } else if (open_above(folder, real)) {
                refuse(why, "%.200s lies below %.200s, which everybody can write in", path, real);
        } else {
                return fd;
        }
        if (fd >= 0)
                close(fd);
        return -1;
}

int place_own_folder(const char *path, char why[PLACE_WHY])
{
        struct stat st;
        if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
                return refuse(why, "%.200s cannot be made: %s", path, strerror(errno));
        int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0) {
                refuse(why, "%.200s cannot be opened: %s", path, strerror(errno));
        } else if (st.st_uid != geteuid()) {
                refuse(why, "%.200s belongs to user %ld, not to user %ld", path, (long)st.st_uid,
                       (long)geteuid());
        } else if (st.st_mode & (S_IRWXG | S_IRWXO)) {
                refuse(why, "%.200s is open to others (mode %04o, not 0700)", path,
                       (unsigned)st.st_mode & 07777);
        } else {
                return fd;
        }
        if (fd >= 0)
                close(fd);
        return -1;
}

static bool judge(const struct stat *st, const char *path, char *why)
{
        if (S_ISLNK(st->st_mode))
                refuse(why, "%.200s is a symbolic link", path);
        else if (!S_ISREG(st->st_mode))
                refuse(why, "%.200s is no regular file", path);
        else if (st->st_uid != geteuid())
                refuse(why, "%.200s belongs to user %ld, not to user %ld", path, (long)st->st_uid,
                       (long)geteuid());
        else if (st->st_mode & (S_IRWXG | S_IRWXO))
                refuse(why, "%.200s is open to others (mode %04o, not 0600)", path,
                       (unsigned)st->st_mode & 07777);
        else if (st->st_nlink > 1)
                refuse(why, "%.200s has %ld names (hard links)", path, (long)st->st_nlink);
        else
                return true;
        return false;
}

/* Made beside it and linked into its place: nobody sees it open, or half made. */
static bool make_file(int folder, const char *name)
{
        char fresh[NAME_MAX + 1];
        if (snprintf(fresh, sizeof fresh, ".%.200s-%ld", name, (long)getpid()) >= (int)sizeof fresh)
                return errno = ENAMETOOLONG, false;
        unlinkat(folder, fresh, 0);
        int fd = openat(folder, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        if (fd < 0)
                return false;
        close(fd);
        bool ok = linkat(folder, fresh, folder, name, 0) == 0 || errno == EEXIST;
        int problem = errno;
        unlinkat(folder, fresh, 0);
        errno = problem;
        return ok;
}

bool place_look(int folder, const char *name, const char *path, bool create, bool *absent,
                char why[PLACE_WHY])
{
        struct stat st;
        bool there = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!there && errno == ENOENT && create && make_file(folder, name))
                there = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (absent)
                *absent = !there && errno == ENOENT;
        /* Another process may be just about to take the second name away. */
        for (int i = 0; there && st.st_nlink > 1 && i < 100; i++) {
                usleep(1000);
                there = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        }
        if (there)
                return judge(&st, path, why);
        refuse(why, errno == ENOENT ? "%.200s does not exist" : "%.200s cannot be opened: %s", path,
               strerror(errno));
        return false;
}

int place_open(int folder, const char *name, const char *path, bool create, bool *absent, char why[PLACE_WHY])
{
        enum { HOW = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };
        struct stat st;
        bool is_absent = false;
        int fd = openat(folder, name, HOW);
        if (fd < 0 && errno == ENOENT && create)
                fd = openat(folder, name, HOW | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
        if (fd < 0 && errno == EEXIST) /* another process was faster */
                fd = openat(folder, name, HOW);
        if (fd < 0) {
                is_absent = errno == ENOENT;
                refuse(why, is_absent ? "%.200s does not exist" : "%.200s cannot be opened: %s", path,
                       strerror(errno));
        } else if (fstat(fd, &st) != 0 || !judge(&st, path, why)) {
                close(fd);
                fd = -1;
        }
        if (absent)
                *absent = is_absent;
        return fd;
}
