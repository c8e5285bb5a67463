#include "gateway/recorder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "store/place.h"

/* An escaped byte takes up to six. */
enum {
        LINE_MAX_BYTES = 2 * 6 * RECORDER_BODY_MAX + (64 << 10),
        STEP_BYTES = 64 << 10,
        NAME_ROOM = 128,
        LOCK_TRIES = 250,
        LOCK_STEP_US = 20000
};

struct recorder {
        struct arena *arena;
        const struct relay_client *inner;
        struct relay_client outer;
        struct meter *memory;
        int64_t max_memory, taken;
        struct buf answer;
        bool cut;
        int status;
        const char *content_type;
};

/* ---- listening ---- */

static bool begin(void *context, const struct relay_head *head)
{
        struct recorder *r = context;
        r->status = head->status;
        r->content_type = arena_strdup(r->arena, head->content_type);
        return r->inner->begin(r->inner->context, head);
}

/* No answer fails because it is recorded: without room the record is cut. */
static void keep(struct recorder *r, const char *bytes, size_t len)
{
        size_t room = r->answer.max - r->answer.len;
        if (r->cut)
                return;
        r->cut = len > room;
        len = r->cut ? room : len;
        while ((int64_t)(r->answer.len + len) > r->taken) {
                if (!meter_take(r->memory, STEP_BYTES, r->max_memory)) {
                        r->cut = true;
                        return;
                }
                r->taken += STEP_BYTES;
        }
        buf_add(&r->answer, bytes, len);
}

static bool write_through(void *context, const char *bytes, size_t len)
{
        struct recorder *r = context;
        if (!r->inner->write(r->inner->context, bytes, len))
                return false;
        keep(r, bytes, len);
        return true;
}

static bool flush(void *context)
{
        struct recorder *r = context;
        return r->inner->flush(r->inner->context);
}

static bool gone(void *context)
{
        struct recorder *r = context;
        return r->inner->gone(r->inner->context);
}

static void release(void *thing)
{
        struct recorder *r = thing;
        meter_give(r->memory, r->taken);
        buf_release(&r->answer);
}

struct recorder *recorder_new(struct arena *a, const struct relay_client *sink, struct meter *memory,
                              int64_t max_memory)
{
        struct recorder *r = arena_alloc(a, sizeof *r);
        *r = (struct recorder){.arena = a,
                               .inner = sink,
                               .outer = {.context = r,
                                         .begin = begin,
                                         .write = write_through,
                                         .flush = flush,
                                         .fd = sink->fd,
                                         .gone = sink->gone ? gone : NULL},
                               .memory = memory,
                               .max_memory = max_memory};
        buf_init(&r->answer, RECORDER_BODY_MAX);
        arena_defer(a, release, r);
        return r;
}

const struct relay_client *recorder_sink(struct recorder *r)
{
        return &r->outer;
}

/* ---- the line ---- */

/* As text where it is that, byte for byte; else in base64. */
static void put_bytes(struct json_writer *w, struct arena *a, const char *name, struct str s, bool cut)
{
        char key[32];
        size_t len = s.len < RECORDER_BODY_MAX ? s.len : RECORDER_BODY_MAX;
        cut = cut || len < s.len;
        size_t text = text_utf8_prefix(s.at ? s.at : "", len);
        /* A cut may go through a character. */
        if (text == len || (cut && len - text < 4)) {
                jw_key_str(w, name, (struct str){s.at ? s.at : "", text});
        } else {
                struct buf *b = buf_in_arena(a, 2 * RECORDER_BODY_MAX);
                text_base64_encode(b, s.at, len);
                snprintf(key, sizeof key, "%s_base64", name);
                jw_key_str(w, key, (struct str){b->data, b->len});
        }
        snprintf(key, sizeof key, "%s_cut", name);
        if (cut)
                jw_key_bool(w, key, true);
}

static bool make_line(const struct recorder *r, const struct ledger_row *row, struct str body,
                      struct buf *out)
{
        char when[32];
        struct json_writer w;
        struct arena *a = arena_new();
        clock_format(row->time_ms, when);
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "time", when);
        jw_key_string(&w, "request_id", row->request_id);
        jw_key_int(&w, "row", row->id);
        jw_key_string(&w, "account", row->account);
        jw_key_string(&w, "user", row->user);
        jw_key_string(&w, "endpoint", row->endpoint);
        jw_key_string(&w, "model", row->model);
        jw_key_string(&w, "version", row->version);
        jw_key_int(&w, "status", r->status);
        jw_key_string(&w, "content_type", r->content_type);
        put_bytes(&w, a, "request", body, false);
        put_bytes(&w, a, "answer", (struct str){r->answer.data, r->answer.len}, r->cut);
        jw_end(&w);
        buf_addc(out, '\n');
        arena_free(a);
        return jw_done(&w);
}

/* ---- the file ---- */

static int open_folder(const char *ledger, bool make, char why[PLACE_WHY])
{
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s-record", ledger) >= (int)sizeof path) {
                snprintf(why, PLACE_WHY, "the path of the ledger is too long");
                return -1;
        }
        if (!make && access(path, F_OK) != 0)
                return -2;
        return place_own_folder(path, why);
}

static bool lock(int fd)
{
        for (int i = 0; i < LOCK_TRIES; i++) {
                if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                        return true;
                usleep(LOCK_STEP_US);
        }
        return false;
}

/* Where the next line begins: a process that was killed over the last one may have left it without an end. */
static off_t line_start(int fd)
{
        char last = '\n';
        off_t end = lseek(fd, 0, SEEK_END);
        if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n' && pwrite(fd, "\n", 1, end) == 1)
                end++;
        return end;
}

/* Whole lines or none: others append to the same file under the same lock. */
static bool append(int fd, const char *bytes, size_t len, char why[PLACE_WHY])
{
        if (!lock(fd)) {
                snprintf(why, PLACE_WHY, "its file is locked by somebody else");
                return false;
        }
        off_t start = line_start(fd);
        size_t done = 0;
        while (start >= 0 && done < len) {
                ssize_t n = pwrite(fd, bytes + done, len - done, start + (off_t)done);
                if (n <= 0 && errno != EINTR)
                        break;
                done += n > 0 ? (size_t)n : 0;
        }
        if (done == len)
                return true;
        snprintf(why, PLACE_WHY, "its file can't be written: %s", strerror(errno));
        if (start >= 0 && ftruncate(fd, start) != 0)
                log_debug("a torn record stays: %s", strerror(errno));
        return false;
}

static bool store(const char *ledger, const struct ledger_row *row, const struct buf *line,
                  char why[PLACE_WHY])
{
        char name[NAME_ROOM], day[32];
        int folder = -1, fd = -1;
        bool ok = false;
        clock_format(row->time_ms, day);
        snprintf(name, sizeof name, "%s-%.10s.jsonl", row->account, day);
        if ((folder = open_folder(ledger, true, why)) < 0)
                goto out;
        if ((fd = place_open(folder, name, name, true, NULL, why)) < 0)
                goto out;
        ok = append(fd, line->data, line->len, why);
out:
        if (fd >= 0)
                close(fd);
        if (folder >= 0)
                close(folder);
        return ok;
}

void recorder_write(struct recorder *r, const char *ledger, const struct ledger_row *row, struct str body)
{
        char why[PLACE_WHY] = "the line is too long";
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        if (!make_line(r, row, body, &line) || !store(ledger, row, &line, why))
                log_error("this request could not be recorded: %s", why);
        buf_release(&line);
}

/* ---- the end of it ---- */

/* "…-2026-11-26.jsonl" of a day before that one. */
static bool is_older(const char *name, const char *day)
{
        enum { TAIL = 10 + 6 };
        size_t len = strlen(name);
        if (len <= TAIL + 1 || strcmp(name + len - 6, ".jsonl") != 0)
                return false;
        const char *date = name + len - TAIL;
        return date[-1] == '-' && strspn(date, "0123456789-") == 10 && strncmp(date, day, 10) < 0;
}

int recorder_forget(const char *ledger, int64_t before_ms)
{
        char why[PLACE_WHY], day[32];
        int gone = 0, at = open_folder(ledger, false, why);
        if (at < 0)
                return at == -2 ? 0 : -1;
        int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        clock_format(before_ms, day);
        for (struct dirent *e; d && (e = readdir(d));)
                gone += is_older(e->d_name, day) && unlinkat(at, e->d_name, 0) == 0;
        if (d)
                closedir(d);
        else if (fd >= 0)
                close(fd);
        close(at);
        return d ? gone : -1;
}
