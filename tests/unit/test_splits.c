/* Every recorded stream, split at every byte: the same events come out, and the same answer is decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>

#include "dialect_dump.h"

/* How a vendor frames one event; %s is its JSON. */
enum framing { FRAME_DATA, FRAME_NAMED, FRAME_CRLF, FRAME_NONE };

static const struct folder {
        const char *pattern;
        const struct dialect *dialect;
        enum framing framing;
} folders[] = {
        {"openai/chat/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"deepseek/chat/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"groq/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"mistral/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"moonshotai/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"xai/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"openai-compatible/chat/*.chunks.txt", &dialect_openai, FRAME_DATA},
        {"openai-compatible/chat/*.sse", &dialect_openai, FRAME_NONE},
        {"anthropic/*.chunks.txt", &dialect_anthropic, FRAME_NAMED},
        {"google/*.chunks.txt", &dialect_gemini, FRAME_CRLF},
};

static void add_event(struct buf *out, enum framing framing, const char *line, size_t len)
{
        static const char type[] = "\"type\":\"";
        const char *name = framing == FRAME_NAMED ? strstr(line, type) : NULL;
        if (name && name < line + len) {
                name += sizeof type - 1;
                buf_addf(out, "event: %.*s\n", (int)strcspn(name, "\""), name);
        }
        buf_adds(out, "data: ");
        buf_add(out, line, len);
        buf_adds(out, framing == FRAME_CRLF ? "\r\n\r\n" : "\n\n");
}

static void frame(struct str lines, enum framing framing, struct buf *out)
{
        if (framing == FRAME_NONE) {
                buf_add_str(out, lines);
                return;
        }
        for (const char *at = lines.at, *end = lines.at + lines.len; at < end;) {
                size_t len = strcspn(at, "\n");
                if (len)
                        add_event(out, framing, at, len);
                at += len + 1;
        }
}

/* Writes the events of `bytes`, given in two pieces. The last LF of an event may come with the next one's raw
 * bytes. */
static void events_of(struct str bytes, size_t split, struct buf *out)
{
        struct sse_parser *p = sse_new(16 << 20);
        struct sse_event e;
        buf_reset(out);
        for (int piece = 0; piece < 2; piece++) {
                size_t from = piece ? split : 0, to = piece ? bytes.len : split;
                sse_feed(p, bytes.at + from, to - from);
                while (sse_next(p, &e)) {
                        buf_addf(out, "[%zu %zu]", e.name.len, e.data.len);
                        buf_add_str(out, e.name);
                        buf_add_str(out, e.data);
                }
        }
        if (sse_end(p, &e))
                buf_addf(out, "[end %zu]", e.data.len);
        sse_free(p);
}

/* End of the event that begins at `at`: behind its blank line. */
static size_t event_end(struct str s, size_t at)
{
        while (at < s.len) {
                size_t line = strcspn(s.at + at, "\r\n");
                at += line;
                at += at + 1 < s.len && s.at[at] == '\r' && s.at[at + 1] == '\n' ? 2 : 1;
                if (line == 0)
                        break;
        }
        return at < s.len ? at : s.len;
}

/* Between events the parser stands as at the start: what a split does shows within an event and its
 * neighbours. */
static size_t split_everywhere(struct str s)
{
        enum { EVENT_SPLITS_MAX = 8192 };
        struct buf whole, parts;
        size_t splits = 0, before = 0;
        buf_init(&whole, 32 << 20);
        buf_init(&parts, 32 << 20);
        for (size_t at = 0; at < s.len;) {
                size_t end = event_end(s, at), after = event_end(s, end);
                struct str window = {s.at + before, after - before};
                /* An event larger than that (pages fetched by a server tool) is split at as many places. */
                size_t step = (end - at) / EVENT_SPLITS_MAX + 1;
                events_of(window, window.len, &whole);
                for (size_t k = at; k < end; k += step, splits++) {
                        events_of(window, k - before, &parts);
                        assert_int_equal(parts.len, whole.len);
                        assert_memory_equal(parts.data ? parts.data : "", whole.data ? whole.data : "",
                                            whole.len);
                }
                before = at;
                at = end;
        }
        buf_release(&whole);
        buf_release(&parts);
        return splits;
}

/* Byte by byte is every split at once. */
static void decode_byte_by_byte(const struct dialect *d, struct str s)
{
        struct arena *a = arena_new();
        struct dump_stream whole = {.arena = a}, bytes = {.arena = a};
        struct buf w, b;
        buf_init(&w, 32 << 20);
        buf_init(&b, 32 << 20);
        dump_decode_sse(d, a, s, 0, 0, &whole);
        dump_decode_sse(d, a, s, 0, 1, &bytes);
        dump_reply(&w, a, &whole.reply);
        dump_reply(&b, a, &bytes.reply);
        assert_int_equal(whole.ended, bytes.ended);
        assert_int_equal(whole.fault, bytes.fault);
        assert_int_equal(w.len, b.len);
        assert_memory_equal(w.data ? w.data : "", b.data ? b.data : "", w.len);
        buf_release(&w);
        buf_release(&b);
        arena_free(a);
}

static void recordings_split_anywhere(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        size_t files = 0, splits = 0;
        if (!dump_shared(a, "")) {
                arena_free(a);
                skip();
        }
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
                glob_t found;
                if (glob(dump_shared(a, folders[i].pattern), 0, NULL, &found) != 0)
                        continue;
                for (size_t k = 0; k < found.gl_pathc; k++, files++) {
                        struct buf stream;
                        buf_init(&stream, 32 << 20);
                        frame(dump_file(a, found.gl_pathv[k]), folders[i].framing, &stream);
                        struct str bytes = {stream.data, stream.len};
                        splits += split_everywhere(bytes);
                        decode_byte_by_byte(folders[i].dialect, bytes);
                        buf_release(&stream);
                }
                globfree(&found);
        }
        print_message("%zu streams, %zu splits\n", files, splits);
        assert_true(files >= 50);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(recordings_split_anywhere)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
