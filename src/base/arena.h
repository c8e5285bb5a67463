/*
 * Memory of one request: allocated in pieces, released in one place. Also holds releases of things that are
 * not memory (json-c trees, curl lists, descriptors): arena_defer() runs them in reverse order. Out of memory
 * aborts. Not for use by several threads at once.
 */
#ifndef TOLLGATE_BASE_ARENA_H
#define TOLLGATE_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include "base/str.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);  /* NULL is fine */
void arena_reset(struct arena *a); /* runs the deferred releases, keeps the first chunk for use again */

void *arena_alloc(struct arena *a, size_t size);    /* zeroed, aligned for any type */
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
struct str arena_str(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
void arena_defer(struct arena *a, void (*release)(void *), void *thing);

#endif
