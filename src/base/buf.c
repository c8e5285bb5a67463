#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void buf_init(struct buf *b, size_t max)
{
        *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
        free(b->data);
        *b = (struct buf){.max = b->max};
}

static void release_deferred(void *b)
{
        buf_release(b);
}

void buf_init_in_arena(struct buf *b, struct arena *a, size_t max)
{
        buf_init(b, max);
        arena_defer(a, release_deferred, b);
}

struct buf *buf_in_arena(struct arena *a, size_t max)
{
        struct buf *b = arena_alloc(a, sizeof *b);
        buf_init_in_arena(b, a, max);
        return b;
}

void buf_reset(struct buf *b)
{
        b->len = 0;
        b->failed = false;
        if (b->data)
                b->data[0] = '\0';
}

bool buf_reserve(struct buf *b, size_t more)
{
        if (b->failed)
                return false;
        if (more > b->max - b->len) {
                b->failed = true;
                return false;
        }
        size_t need = b->len + more + 1;
        if (need <= b->size)
                return true;
        size_t size = b->size ? b->size : 64;
        while (size < need)
                size += size / 2 + 64;
        if (size > b->max + 1)
                size = b->max + 1;
        char *data = realloc(b->data, size);
        if (!data)
                abort();
        b->data = data;
        b->size = size;
        return true;
}

bool buf_add(struct buf *b, const void *bytes, size_t len)
{
        if (!buf_reserve(b, len))
                return false;
        if (len)
                memcpy(b->data + b->len, bytes, len);
        b->len += len;
        b->data[b->len] = '\0';
        return true;
}

bool buf_adds(struct buf *b, const char *cstring)
{
        return buf_add(b, cstring, strlen(cstring));
}

bool buf_add_str(struct buf *b, struct str s)
{
        return buf_add(b, s.at, s.len);
}

bool buf_addc(struct buf *b, char c)
{
        return buf_add(b, &c, 1);
}

bool buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int len = vsnprintf(NULL, 0, fmt, ap);
        bool ok = len >= 0 && buf_reserve(b, (size_t)len);
        if (ok) {
                vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
                b->len += (size_t)len;
        }
        va_end(again);
        return ok;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        bool ok = buf_vaddf(b, fmt, ap);
        va_end(ap);
        return ok;
}

void buf_drop_front(struct buf *b, size_t len)
{
        if (len >= b->len) {
                buf_reset(b);
                return;
        }
        memmove(b->data, b->data + len, b->len - len + 1);
        b->len -= len;
}

bool buf_read_file(struct buf *b, const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        char chunk[2048];
        ssize_t got;
        bool fits = true;
        while (fits && (got = read(fd, chunk, sizeof chunk)) != 0) {
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        break;
                fits = buf_add(b, chunk, (size_t)got);
        }
        int saved = fits ? errno : EFBIG;
        close(fd);
        errno = saved;
        return fits && got == 0;
}
