#include "dialect/sse.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"

enum {
        STRAY_MAX = 64 * 1024,
        UNREAD_MAX =
                16 * 1024 * 1024, /* whole events that wait for sse_next(), beyond the one in the making */
        IDLE_RAW_MAX = 4096,      /* comments kept in front of an event */
};

struct sse_parser {
        size_t max_event;
        struct buf in;  /* bytes from the start of the event that is given next */
        size_t given;   /* bytes of `in` that belong to the event given last: dropped by the next feed */
        size_t block;   /* where the next block of lines begins */
        size_t whole;   /* end of the last whole block: sse_next() reads up to here */
        size_t line;    /* start of the line that is looked at by the scan */
        size_t scanned; /* bytes the scan has seen */
        bool after_cr;  /* the last line ended in CR: a LF that follows belongs to it */
        bool begun;     /* the byte order mark was looked for */
        bool failed, ended;
        struct buf name, data, stray;
        bool has_data;
};

struct sse_parser *sse_new(size_t max_event)
{
        struct sse_parser *p = calloc(1, sizeof *p);
        if (!p) {
                log_error("out of memory");
                abort();
        }
        p->max_event = max_event;
        buf_init(&p->in, max_event > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * max_event + UNREAD_MAX);
        buf_init(&p->name, max_event);
        buf_init(&p->data, max_event);
        buf_init(&p->stray, STRAY_MAX);
        return p;
}

void sse_free(struct sse_parser *p)
{
        if (!p)
                return;
        buf_release(&p->in);
        buf_release(&p->name);
        buf_release(&p->data);
        buf_release(&p->stray);
        free(p);
}

static void drop_given(struct sse_parser *p)
{
        if (!p->given)
                return;
        buf_drop_front(&p->in, p->given);
        p->block -= p->given;
        p->whole -= p->given;
        p->line -= p->given;
        p->scanned -= p->given;
        p->given = 0;
}

/* A mark that has not arrived whole is waited for: false. */
static bool skip_mark(struct sse_parser *p)
{
        static const char mark[] = "\xEF\xBB\xBF";
        size_t have = p->in.len < 3 ? p->in.len : 3;
        if (memcmp(p->in.data, mark, have) != 0) {
                p->begun = true;
        } else if (have == 3) {
                p->begun = true;
                p->block = p->line = p->scanned = 3;
        }
        return p->begun;
}

/* Where the line that starts at `at` ends (its terminator), or len. */
static size_t line_end(const char *s, size_t at, size_t len)
{
        const char *lf = memchr(s + at, '\n', len - at);
        size_t end = lf ? (size_t)(lf - s) : len;
        const char *cr = memchr(s + at, '\r', end - at);
        return cr ? (size_t)(cr - s) : end;
}

/* Looks for blank lines in what has arrived. A CR ends its line at once, or events would wait for the one
 * after. */
static bool scan(struct sse_parser *p)
{
        const char *s = p->in.data;
        while (p->scanned < p->in.len) {
                if (p->after_cr) {
                        p->after_cr = false;
                        if (s[p->scanned] == '\n') {
                                p->line = ++p->scanned;
                                continue;
                        }
                }
                size_t end = line_end(s, p->scanned, p->in.len);
                if (end == p->in.len) {
                        p->scanned = end;
                        break;
                }
                p->after_cr = s[end] == '\r';
                p->scanned = end + 1;
                if (end == p->line) {
                        if (p->scanned - p->whole > p->max_event)
                                return false;
                        p->whole = p->scanned;
                }
                p->line = p->scanned;
        }
        return p->in.len - p->whole <= p->max_event;
}

bool sse_feed(struct sse_parser *p, const char *bytes, size_t len)
{
        if (p->failed || p->ended)
                return false;
        drop_given(p);
        if (!len)
                return true;
        if (!buf_add(&p->in, bytes, len))
                return !(p->failed = true);
        if ((p->begun || skip_mark(p)) && !scan(p))
                p->failed = true;
        return !p->failed;
}

static void take_stray(struct sse_parser *p, const char *line, size_t len)
{
        size_t room = STRAY_MAX - p->stray.len;
        if (room < 2)
                return;
        buf_add(&p->stray, line, len < room - 1 ? len : room - 1);
        buf_addc(&p->stray, '\n');
}

static void take_line(struct sse_parser *p, const char *line, size_t len)
{
        if (!len || line[0] == ':')
                return;
        const char *colon = memchr(line, ':', len);
        struct str field = {line, colon ? (size_t)(colon - line) : len};
        struct str value = {"", 0};
        if (colon) {
                value = (struct str){colon + 1, len - field.len - 1};
                if (value.len && value.at[0] == ' ')
                        value = (struct str){value.at + 1, value.len - 1};
        }
        if (str_is(field, "data")) {
                if (p->has_data)
                        buf_addc(&p->data, '\n');
                p->has_data = true;
                buf_add_str(&p->data, value);
        } else if (str_is(field, "event")) {
                buf_reset(&p->name);
                buf_add_str(&p->name, value);
        } else if (!str_is(field, "id") && !str_is(field, "retry")) {
                take_stray(p, line, len);
        }
}

static void reset_event(struct sse_parser *p)
{
        buf_reset(&p->name);
        buf_reset(&p->data);
        p->has_data = false;
}

/* Takes lines until a blank one or the limit; true when the block holds data. */
static bool take_block(struct sse_parser *p, size_t limit)
{
        const char *s = p->in.data;
        reset_event(p);
        while (p->block < limit) {
                size_t at = p->block;
                size_t end = line_end(s, at, limit);
                p->block = end < limit ? end + 1 : end;
                if (end < limit && s[end] == '\r' && p->block < limit && s[p->block] == '\n')
                        p->block++;
                if (end == at && end < limit)
                        break;
                take_line(p, s + at, end - at);
        }
        return p->data.len > 0;
}

static bool give_until(struct sse_parser *p, size_t limit, struct sse_event *out)
{
        size_t start = p->given;
        while (p->block < limit) {
                if (take_block(p, limit)) {
                        p->given = p->block;
                        *out = (struct sse_event){
                                .name = {p->name.data ? p->name.data : "", p->name.len},
                                .data = {p->data.data, p->data.len},
                                .raw = {p->in.data + start, p->block - start},
                        };
                        return true;
                }
                if (p->block - start > IDLE_RAW_MAX)
                        p->given = start = p->block;
        }
        return false;
}

bool sse_next(struct sse_parser *p, struct sse_event *out)
{
        return !p->failed && give_until(p, p->whole, out);
}

bool sse_end(struct sse_parser *p, struct sse_event *out)
{
        if (p->failed || p->ended)
                return false;
        p->ended = true;
        p->begun = true;
        return give_until(p, p->in.len, out);
}

struct str sse_stray(const struct sse_parser *p)
{
        return (struct str){p->stray.data ? p->stray.data : "", p->stray.len};
}
