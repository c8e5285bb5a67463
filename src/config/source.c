/*
 * libconfig resolves includes against one folder, wraps integers beyond 32 bits, and stops at the first
 * syntax error. So the text is put together here, includes and all, with a map from its lines to files; long
 * integers get their L, and the commonest slip, a comma behind the last element, is reported and taken out so
 * that the rest is checked too.
 */
#include "config/load.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { FILE_MAX = 4 << 20, TEXT_MAX = 16 << 20, INCLUDES_DEEP = 8 };

enum lexer { IN_CODE, IN_STRING, IN_LINE_COMMENT, IN_COMMENT };

/* One file on its way into the text. */
struct walk {
        struct source *to;
        const char *file;
        int line, began; /* `began`: line of the string or comment we are in */
        int spans;       /* where the first string began that goes beyond its line; 0: none did */
        const char *at, *end;
        enum lexer state;
        char last;      /* the last character that counts */
        size_t last_at; /* where it stands in the text */
        unsigned depth;
};

static bool read_file(struct source *s, const char *path, unsigned depth);

static void walk_error(struct walk *w, int line, const char *what)
{
        problem_add(w->to->problems, false, w->file, line, "%s", what);
}

/* The text has a new line; the map says where it is from. */
static void map_line(struct source *s, const char *file, int line)
{
        if (s->count == s->size) {
                s->size = s->size ? 2 * s->size : 256;
                s->lines = realloc(s->lines, s->size * sizeof *s->lines);
                if (!s->lines)
                        abort();
        }
        s->lines[s->count++] = (struct source_line){file, line};
}

static void put(struct walk *w, size_t len)
{
        buf_add(&w->to->text, w->at, len);
        w->at += len;
}

static void put_newline(struct walk *w)
{
        put(w, 1);
        if (w->state == IN_STRING && !w->spans)
                w->spans = w->began;
        w->line++;
        map_line(w->to, w->file, w->line);
        if (w->state == IN_LINE_COMMENT)
                w->state = IN_CODE;
}

/* Digits, or more: 5, 5L, 0x1f, 5.0, 5e3. */
static void put_number(struct walk *w)
{
        const char *start = w->at, *end = w->at;
        while (end < w->end &&
               (isalnum((unsigned char)*end) || *end == '.' ||
                ((*end == '+' || *end == '-') && end > start && (end[-1] == 'e' || end[-1] == 'E'))))
                end++;
        size_t len = (size_t)(end - start), digits = 0;
        while (digits < len && isdigit((unsigned char)start[digits]))
                digits++;
        bool suffixed = len > digits && start[digits] == 'L';
        bool whole = digits == len || suffixed;
        put(w, len);
        if (!whole)
                return;
        errno = 0;
        char text[32] = "";
        memcpy(text, start, digits < sizeof text ? digits : 0);
        long long value = strtoll(text, NULL, 10);
        if (digits >= sizeof text || errno == ERANGE)
                walk_error(w, w->line, "the number is too large");
        else if (value > INT32_MAX && !suffixed)
                buf_addc(&w->to->text, 'L');
}

/* errno tells why it could not be read. */
static bool may_be_absent(struct source *s, const char *path)
{
        return s->pins && strcmp(s->pins, path) == 0 && errno == ENOENT;
}

static void note_pins(struct source *s, const char *path)
{
        const char *slash = strrchr(path, '/');
        if (!s->pins && strcmp(slash ? slash + 1 : path, "pins.conf") == 0)
                s->pins = path;
}

/* `@include "path"`, alone on its line. True: it was one, and has been dealt with. */
static bool take_include(struct walk *w)
{
        static const char mark[] = "@include";
        size_t left = (size_t)(w->end - w->at), mark_len = sizeof mark - 1;
        if (left < mark_len || memcmp(w->at, mark, mark_len) != 0)
                return false;
        const char *eol = memchr(w->at, '\n', left);
        eol = eol ? eol : w->end;
        const char *open = w->at + mark_len;
        while (open < eol && (*open == ' ' || *open == '\t'))
                open++;
        const char *close =
                open < eol && *open == '"' ? memchr(open + 1, '"', (size_t)(eol - open - 1)) : NULL;
        if (!close || close == open + 1) {
                walk_error(w, w->line, "expected @include \"path\"");
                w->to->broken = true;
        } else {
                char *name = arena_strndup(w->to->arena, open + 1, (size_t)(close - open - 1));
                const char *slash = strrchr(w->file, '/');
                if (*name != '/' && slash)
                        name = arena_printf(w->to->arena, "%.*s/%s", (int)(slash - w->file), w->file, name);
                const char *rest = close + 1;
                while (rest < eol && isspace((unsigned char)*rest))
                        rest++;
                if (rest < eol && *rest != '#' && *rest != '/' && *rest != ';')
                        walk_error(w, w->line, "@include must stand alone on its line");
                note_pins(w->to, name);
                if (w->depth >= INCLUDES_DEEP)
                        walk_error(w, w->line,
                                   "too many includes within includes (does the file include itself?)");
                else if (!read_file(w->to, name, w->depth + 1) && !may_be_absent(w->to, name))
                        problem_add(w->to->problems, false, w->file, w->line, "cannot include \"%s\": %s",
                                    name, strerror(errno));
                /* What comes behind it stands on a line of this file again. */
                buf_addc(&w->to->text, '\n');
                map_line(w->to, w->file, w->line);
        }
        w->at = eol;
        return true;
}

/* How many of the next bytes are (not) in the set: things go by runs, as a CGI process reads all this at each
 * start. */
static size_t run(const struct walk *w, const char *set)
{
        const char *c = w->at;
        while (c < w->end && strchr(set, *c))
                c++;
        return c > w->at ? (size_t)(c - w->at) : 1;
}

static size_t run_until(const struct walk *w, const char *set)
{
        const char *c = w->at + 1;
        while (c < w->end && !strchr(set, *c))
                c++;
        return (size_t)(c - w->at);
}

static void step_code(struct walk *w)
{
        char c = *w->at, next = w->at + 1 < w->end ? w->at[1] : '\0';
        bool name = isalpha((unsigned char)c) || c == '*' || c == '_';
        size_t here = w->to->text.len;
        if (c == '@' && take_include(w))
                return;
        if (isspace((unsigned char)c)) {
                put(w, run(w, " \t\r\f\v"));
                return;
        }
        if (c == '#' || (c == '/' && (next == '/' || next == '*'))) {
                w->state = next == '*' && c == '/' ? IN_COMMENT : IN_LINE_COMMENT;
                w->began = w->line;
                put(w, c == '#' ? 1 : 2);
                return;
        }
        if ((c == ')' || c == ']') && w->last == ',' && !w->to->text.failed) {
                walk_error(w, w->line, "a comma stands behind the last element");
                w->to->text.data[w->last_at] = ' ';
        }
        w->last = c;
        w->last_at = here;
        if (c == '"') {
                w->state = IN_STRING;
                w->began = w->line;
                put(w, 1);
        } else if (isdigit((unsigned char)c)) {
                put_number(w);
        } else if (name) {
                const char *end = w->at;
                while (end < w->end && (isalnum((unsigned char)*end) || strchr("-_*", *end)))
                        end++;
                put(w, (size_t)(end - w->at));
        } else {
                put(w, 1);
        }
}

static void step(struct walk *w)
{
        char c = *w->at, next = w->at + 1 < w->end ? w->at[1] : '\0';
        if (c == '\n') {
                put_newline(w);
        } else if (w->state == IN_CODE) {
                step_code(w);
        } else if (w->state == IN_STRING) {
                bool escape = c == '\\' && next && next != '\n';
                if (c == '"')
                        w->state = IN_CODE;
                put(w, escape ? 2 : c == '"' || c == '\\' ? 1 : run_until(w, "\"\\\n"));
        } else if (w->state == IN_COMMENT && c == '*' && next == '/') {
                w->state = IN_CODE;
                put(w, 2);
        } else {
                put(w, run_until(w, "*\n"));
        }
}

/* Line of a byte. */
static int line_of(const struct buf *b, size_t offset)
{
        int line = 1;
        for (size_t i = 0; i < offset; i++)
                line += b->data[i] == '\n';
        return line;
}

static bool bytes_good(struct source *s, const char *path, const struct buf *b)
{
        const char *nul = memchr(b->data ? b->data : "", '\0', b->len);
        size_t valid = text_utf8_prefix(b->data ? b->data : "", b->len);
        if (nul) {
                problem_add(s->problems, false, path, line_of(b, (size_t)(nul - b->data)), "a NUL byte");
        } else if (valid < b->len) {
                problem_add(s->problems, false, path, line_of(b, valid), "a byte that is not UTF-8");
        }
        return !nul && valid == b->len;
}

static bool read_bytes(struct source *s, const char *path, struct buf *out)
{
        bool replaced = s->swap.path && strcmp(s->swap.path, path) == 0;
        return replaced ? buf_adds(out, s->swap.text) : buf_read_file(out, path);
}

/* False and errno: the file can't be read. What is wrong in it is reported here. */
static bool read_file(struct source *s, const char *path, unsigned depth)
{
        struct buf bytes;
        buf_init(&bytes, FILE_MAX);
        stamps_add(s->stamps, path);
        bool read = read_bytes(s, path, &bytes);
        int saved = errno;
        if (!read) {
                s->broken = s->broken || !may_be_absent(s, path);
        } else if (!bytes_good(s, path, &bytes)) {
                s->broken = true;
        } else {
                static const char bom[] = "\xef\xbb\xbf";
                size_t skip = bytes.len >= 3 && memcmp(bytes.data, bom, 3) == 0 ? 3 : 0;
                struct walk w = {
                        .to = s,
                        .file = arena_strdup(s->arena, path),
                        .line = 1,
                        .depth = depth,
                        .at = bytes.data ? bytes.data + skip : "",
                };
                w.end = w.at + bytes.len - skip;
                if (depth)
                        buf_addc(&s->text, '\n');
                map_line(s, w.file, 1);
                while (w.at < w.end)
                        step(&w);
                if (w.state == IN_STRING || w.state == IN_COMMENT) {
                        /* Where a quote is missing, all behind it are taken the wrong way round. */
                        bool string = w.state == IN_STRING && w.spans;
                        walk_error(&w, string ? w.spans : w.began,
                                   w.state == IN_STRING ? "a string that is never closed"
                                                        : "a comment that is never closed");
                        s->broken = true;
                }
        }
        buf_release(&bytes);
        errno = saved;
        return read;
}

bool source_read(struct source *s, const char *path, bool missing_is_fine)
{
        buf_init(&s->text, TEXT_MAX);
        if (!read_file(s, path, 0)) {
                bool fine = missing_is_fine && (errno == ENOENT || errno == ENOTDIR);
                problem_add(s->problems, fine, path, 0, "cannot be read: %s", strerror(errno));
                return false;
        }
        if (s->text.failed)
                problem_add(s->problems, false, path, 0, "with all that it includes it is too large");
        return !s->broken && !s->text.failed;
}

void source_release(struct source *s)
{
        buf_release(&s->text);
        free(s->lines);
        s->lines = NULL;
        s->count = s->size = 0;
}

struct source_line source_where(const struct source *s, unsigned line)
{
        if (line >= 1 && line <= s->count)
                return s->lines[line - 1];
        return (struct source_line){s->count ? s->lines[0].file : "", 0};
}
