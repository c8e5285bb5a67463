#include "cli/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOCK_WAIT_MS = 10000, LOCK_STEP_US = 20000 };

static bool same(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

/* The last row of the model before `end`, where `unlike` is not NULL one of another version. -1: none. */
static ptrdiff_t last_row(const struct config_pin *rows, size_t end, const char *model, const char *unlike)
{
        for (size_t i = end; i-- > 0;) {
                if (same(rows[i].model, model) && !(unlike && same(rows[i].use, unlike)))
                        return (ptrdiff_t)i;
        }
        return -1;
}

const char *pins_before(const struct config *c, const struct config_model *m)
{
        if (!m->pin)
                return NULL;
        ptrdiff_t row = last_row(c->pins, c->pin_count, m->name, m->use->name);
        if (row >= 0)
                return c->pins[row].use;
        return m->unpinned && m->unpinned != m->use ? m->unpinned->name : NULL;
}

/* ---------------------------------------------------------------- text */

static void add_string(struct buf *out, const char *name, const char *value)
{
        if (!value)
                return;
        buf_addf(out, " %s = \"", name);
        for (const char *c = value; *c; c++) {
                unsigned char byte = (unsigned char)*c;
                if (byte < 0x20 || byte == 0x7f) {
                        buf_addf(out, "\\x%02x", byte);
                        continue;
                }
                if (byte == '"' || byte == '\\')
                        buf_addc(out, '\\');
                buf_addc(out, *c);
        }
        buf_adds(out, "\";");
}

/* A row that tells what is in force, or what to go back to. */
static bool needed(const struct config_pin *rows, size_t count, size_t row)
{
        ptrdiff_t last = last_row(rows, count, rows[row].model, NULL);
        return (ptrdiff_t)row == last ||
               (ptrdiff_t)row == last_row(rows, count, rows[row].model, rows[last].use);
}

bool pins_text(const struct config *c, const struct config_pin *added, struct buf *out)
{
        size_t count = c->pin_count + 1, surplus = count > PINS_MAX ? count - PINS_MAX : 0;
        struct config_pin *rows = calloc(count, sizeof *rows);
        if (!rows)
                abort();
        if (c->pin_count)
                memcpy(rows, c->pins, c->pin_count * sizeof *rows);
        rows[c->pin_count] = *added;
        buf_adds(out,
                 "# Written by `tollgate pin`: the last row of a model is in force, the others are history.\n"
                 "pins = (");
        const char *comma = "\n";
        for (size_t i = 0; i < count; i++) {
                if (surplus && !needed(rows, count, i)) {
                        surplus--;
                        continue;
                }
                buf_addf(out, "%s  {", comma);
                add_string(out, "model", rows[i].model);
                add_string(out, "use", rows[i].use);
                add_string(out, "by", rows[i].by);
                add_string(out, "at", rows[i].at);
                add_string(out, "why", rows[i].why);
                buf_adds(out, " }");
                comma = ",\n";
        }
        buf_adds(out, "\n);\n");
        free(rows);
        return !out->failed;
}

/* ---------------------------------------------------------------- the file */

static void tell(char why[PINS_WHY], const char *what, const char *path)
{
        int saved = errno;
        snprintf(why, PINS_WHY, "%s %.300s: %s", what, path, strerror(saved));
}

/* Where the file itself lies, whatever links lead to it: a link is not to be replaced. */
static void real_path(const char *path, char out[PATH_MAX])
{
        if (!realpath(path, out))
                snprintf(out, PATH_MAX, "%s", path);
}

static void folder_of(const char *path, char out[PATH_MAX])
{
        const char *slash = strrchr(path, '/');
        if (!slash)
                snprintf(out, PATH_MAX, ".");
        else
                snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

int pins_lock(const char *path, char why[PINS_WHY])
{
        char real[PATH_MAX], folder[PATH_MAX];
        real_path(path, real);
        folder_of(real, folder);
        /* The folder, not a file in it: nothing stays behind, and whoever may write there may lock. */
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                tell(why, "cannot open", folder);
                return -1;
        }
        int64_t end = clock_now_ms() + LOCK_WAIT_MS;
        while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
                if ((errno != EWOULDBLOCK && errno != EINTR) || clock_now_ms() > end) {
                        tell(why, "cannot lock", folder);
                        close(fd);
                        return -1;
                }
                usleep(LOCK_STEP_US);
        }
        return fd;
}

static bool write_all(int fd, const struct buf *text)
{
        for (size_t done = 0; done < text->len;) {
                ssize_t n = write(fd, text->data + done, text->len - done);
                if (n < 0 && errno != EINTR)
                        return false;
                done += n > 0 ? (size_t)n : 0;
        }
        return fsync(fd) == 0;
}

/* Mode and owner as those who read it are used to. */
static bool dress(int fd, const char *path, const char *like)
{
        struct stat st, own;
        bool there = stat(path, &st) == 0;
        if ((!there && stat(like, &st) != 0) || fstat(fd, &own) != 0)
                return false;
        bool chowned =
                (st.st_uid == own.st_uid && st.st_gid == own.st_gid) || fchown(fd, st.st_uid, st.st_gid) == 0;
        /* A new file is nobody's yet: its maker's is the best one can do. */
        return (chowned || !there) && fchmod(fd, st.st_mode & 0777) == 0;
}

bool pins_write(const char *path, const char *like, const struct buf *text, char why[PINS_WHY])
{
        char real[PATH_MAX], folder[PATH_MAX], part[PATH_MAX];
        bool ok = false;
        real_path(path, real);
        folder_of(real, folder);
        int fd = -1;
        if ((size_t)snprintf(part, sizeof part, "%s/.pins.XXXXXX", folder) < sizeof part)
                fd = mkostemp(part, O_CLOEXEC);
        else
                errno = ENAMETOOLONG;
        if (fd < 0) {
                tell(why, "cannot make a file in", folder);
                return false;
        }
        if (!dress(fd, real, like))
                tell(why, "cannot keep mode and owner of", real);
        else if (!write_all(fd, text))
                tell(why, "cannot write to", folder);
        else if (rename(part, real) != 0)
                tell(why, "cannot replace", real);
        else
                ok = true;
        close(fd);
        int folder_fd = ok ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (folder_fd >= 0) {
                fsync(folder_fd);
                close(folder_fd);
        }
        if (!ok)
                unlink(part);
        return ok;
}
