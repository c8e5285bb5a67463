/*
 * Server-sent events (WHATWG HTML, 9.2): bytes in, events out, at any split of the bytes. LF, CRLF and CR end
 * lines; a BOM at the start, comments and unknown fields are swallowed; `data` lines are joined by LF. Capped
 * at birth.
 */
#ifndef TOLLGATE_DIALECT_SSE_H
#define TOLLGATE_DIALECT_SSE_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/str.h"

struct sse_event {
        struct str name; /* "": none given */
        struct str data;
        /* The bytes as they arrived, with comments before it and the blank line that ended it. */
        struct str raw;
};

/* No NUL follows `raw`; comments of more than 4 KiB in a row are forgotten. */
struct sse_parser;

/* max_event: bytes of one event, raw. */
struct sse_parser *sse_new(size_t max_event);
void sse_free(struct sse_parser *p); /* NULL is fine */
/* Takes bytes; then call sse_next() until it gives false. False: an event is beyond the cap (sticky). */
bool sse_feed(struct sse_parser *p, const char *bytes, size_t len);
/* The next whole event; its strings live until the next call of feed, next or end. Events without data are
 * skipped. */
bool sse_next(struct sse_parser *p, struct sse_event *out);
/* At the end of the connection: an event that lacks only its blank line is given once; true then. Afterwards
 * sse_stray() tells what else came: bytes of lines that were no SSE field at all (capped at 64 KiB), e.g. a
 * raw JSON error body. */
bool sse_end(struct sse_parser *p, struct sse_event *out);
struct str sse_stray(const struct sse_parser *p);

#endif
