#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static const char env_mark[] = "env:", file_mark[] = "file:";

enum secret_kind secret_kind(const char *text)
{
        if (strncmp(text, env_mark, sizeof env_mark - 1) == 0)
                return SECRET_ENV;
        return strncmp(text, file_mark, sizeof file_mark - 1) == 0 ? SECRET_FILE : SECRET_LITERAL;
}

bool secret_file_is_open(const char *path)
{
        struct stat st;
        return stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

/* A line end behind the secret is the editor's, not the secret's. The value travels in a header. */
static void take_value(struct secret *s, char *value)
{
        size_t len = strlen(value);
        while (len && (value[len - 1] == '\n' || value[len - 1] == '\r'))
                value[--len] = '\0';
        if (len == 0)
                s->why = "is empty";
        else if (!text_header_safe(value))
                s->why = "holds characters that no header can carry";
        else
                s->value = value;
}

static void read_file(struct arena *a, struct secret *s)
{
        struct stat st;
        char *text = NULL;
        size_t len = 0;
        ssize_t got = 0;
        /* Not blocking: a FIFO must not hold up a request. */
        int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) != 0) {
                s->why = arena_printf(a, "cannot be read: %s", strerror(errno));
                goto out;
        }
        if (!S_ISREG(st.st_mode)) {
                s->why = "is no regular file";
                goto out;
        }
        s->open_to_others = (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
        text = arena_alloc(a, SECRET_BYTES_MAX + 2);
        while (len <= SECRET_BYTES_MAX && (got = read(fd, text + len, SECRET_BYTES_MAX + 1 - len)) > 0)
                len += (size_t)got;
        if (got < 0)
                s->why = arena_printf(a, "cannot be read: %s", strerror(errno));
        else if (len > SECRET_BYTES_MAX)
                s->why = "is too large for a secret";
        else if (memchr(text, '\0', len))
                s->why = "holds a NUL byte";
        else
                take_value(s, text);
out:
        if (fd >= 0)
                close(fd);
}

void secret_resolve(struct arena *a, const char *text, const char *folder, struct secret *out)
{
        *out = (struct secret){.kind = secret_kind(text)};
        if (out->kind == SECRET_LITERAL) {
                take_value(out, arena_strdup(a, text));
        } else if (out->kind == SECRET_ENV) {
                const char *value = getenv(text + sizeof env_mark - 1);
                if (value)
                        take_value(out, arena_strdup(a, value));
                else
                        out->why = "is not set";
        } else {
                const char *path = text + sizeof file_mark - 1;
                out->path = *path == '/' || !folder ? arena_strdup(a, path)
                                                    : arena_printf(a, "%s/%s", folder, path);
                read_file(a, out);
        }
}
