#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Under AddressSanitizer each piece is an allocation of its own and a reset frees them all, so that it sees a
 * write beyond a piece, and a look at what a reset has taken. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PIECES_APART 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PIECES_APART 1
#endif

#ifdef PIECES_APART
enum { CHUNK_BYTES = 0, ALIGN = 16 };
#else
/* Chunks double from the first size to the last: most arenas hold little, and each stream that waits has
 * three. */
enum { FIRST_BYTES = 1024 - 48, CHUNK_BYTES = 4096 - 64, ALIGN = 16 };
#endif

struct chunk {
        struct chunk *next;
        size_t used, size;
        _Alignas(ALIGN) char bytes[];
};

struct deferred {
        struct deferred *next;
        void (*release)(void *);
        void *thing;
};

struct arena {
        struct chunk *chunks; /* newest first; the oldest is the one kept by a reset */
        struct deferred *deferred;
};

static struct chunk *chunk_new(size_t size)
{
        struct chunk *c = malloc(sizeof *c + size);
        if (!c)
                abort();
        *c = (struct chunk){.size = size};
        return c;
}

struct arena *arena_new(void)
{
        struct arena *a = calloc(1, sizeof *a);
        if (!a)
                abort();
        return a;
}

void arena_reset(struct arena *a)
{
        while (a->deferred) {
                struct deferred *d = a->deferred;
                a->deferred = d->next;
                d->release(d->thing);
        }
        while (a->chunks && (a->chunks->next || a->chunks->size > CHUNK_BYTES)) {
                struct chunk *c = a->chunks;
                a->chunks = c->next;
                free(c);
        }
        if (a->chunks)
                a->chunks->used = 0;
}

void arena_free(struct arena *a)
{
        if (!a)
                return;
        arena_reset(a);
        free(a->chunks);
        free(a);
}

#ifdef PIECES_APART
static size_t next_size(const struct chunk *newest)
{
        (void)newest;
        return 0;
}
#else
static size_t next_size(const struct chunk *newest)
{
        if (!newest)
                return FIRST_BYTES;
        return newest->size < CHUNK_BYTES / 2 ? 2 * newest->size : CHUNK_BYTES;
}
#endif

void *arena_alloc(struct arena *a, size_t size)
{
        if (size > SIZE_MAX / 2)
                abort();
        size_t need = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
        struct chunk *c = a->chunks;
        if (!c || c->size - c->used < need) {
                size_t usual = next_size(c);
                c = chunk_new(need > usual ? need : usual);
                if (need > CHUNK_BYTES && a->chunks) {
                        /* A large piece gets a chunk of its own behind the newest, which still has room. */
                        c->next = a->chunks->next;
                        a->chunks->next = c;
                } else {
                        c->next = a->chunks;
                        a->chunks = c;
                }
        }
        void *at = c->bytes + c->used;
        c->used += need;
        memset(at, 0, size);
        return at;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
        char *copy = arena_alloc(a, len + 1);
        if (len)
                memcpy(copy, s, len);
        return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
        return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

struct str arena_str(struct arena *a, const char *s, size_t len)
{
        return (struct str){.at = arena_strndup(a, s, len), .len = len};
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int len = vsnprintf(NULL, 0, fmt, ap);
        if (len < 0)
                abort();
        char *s = arena_alloc(a, (size_t)len + 1);
        vsnprintf(s, (size_t)len + 1, fmt, again);
        va_end(again);
        return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *s = arena_vprintf(a, fmt, ap);
        va_end(ap);
        return s;
}

void arena_defer(struct arena *a, void (*release)(void *), void *thing)
{
        struct deferred *d = arena_alloc(a, sizeof *d);
        *d = (struct deferred){.next = a->deferred, .release = release, .thing = thing};
        a->deferred = d;
}
