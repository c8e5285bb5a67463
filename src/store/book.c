#include "store/book.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/book_internal.h"
#include "store/ledger_columns.h"
#include "store/place.h"

enum { SPOOLS = 1024, LINE_MAX_BYTES = SPOOL_RECORD_MAX, ATTEMPT_MAX_BYTES = 2048, ROW_BYTES = 3072 };

/* ---- opening ---- */

void book_complain(struct book *b, enum book_trouble trouble, const char *why)
{
        enum { QUIET_MS = 60000 };
        static const char *const words[BOOK_TROUBLES] = {
                "its spool takes no more: what begins now is in no row",
                "rows wait in the spool",
                "rows of a dead process wait in its spool",
                "it can't be read",
        };
        int64_t now = clock_now_ms(), due = atomic_load(&b->complain_ms[trouble]);
        if (now >= due && atomic_compare_exchange_strong(&b->complain_ms[trouble], &due, now + QUIET_MS))
                log_error("%s: %s: %s", b->path, words[trouble], why);
}

/* Each process has one of its own; its number makes the ids unique. One with a dead process's records is
 * taken only when they are booked: else they would look like this process's own. */
static bool take_spool(struct book *b, const struct book_options *o, char why[512])
{
        bool taken = true;
        for (unsigned i = 0; i < SPOOLS && !b->own && taken; i++) {
                char name[BOOK_NAME];
                snprintf(name, sizeof name, "%04u", i);
                b->own = spool_open(b->folder, name, true, o->first_bytes, o->most_bytes, &taken, why);
                b->number = i;
                if (b->own && spool_end(b->own) && !book_recover(b, b->own, i)) {
                        spool_close(b->own);
                        b->own = NULL;
                        taken = true;
                }
        }
        return b->own;
}

/* Ids go on behind those of the process that had this spool before, which are all in the ledger: two in one
 * millisecond, or a clock that went back, would make the same ones. */
static void begin_ids(struct book *b)
{
        enum { AHEAD_MS = 24 * 3600 * 1000 };
        int64_t now = clock_unix_ms(), last = ledger_last_id(b->ledger) >> 20;
        b->id_ms = last > now && last - now < AHEAD_MS ? last : now;
}

static bool open_folder(struct book *b, char why[512])
{
        char path[4096];
        if (snprintf(path, sizeof path, "%s-spool", b->path) >= (int)sizeof path) {
                snprintf(why, 512, "the path of the ledger is too long");
                return false;
        }
        b->folder = place_own_folder(path, why);
        return b->folder >= 0;
}

struct book *book_open(const struct book_options *o, char why[512])
{
        struct book *b = calloc(1, sizeof *b);
        if (!b || !(b->path = strdup(o->path)) || !(b->currency = strdup(o->currency ? o->currency : "USD")))
                abort();
        b->settle = o->settle;
        b->context = o->context;
        b->folder = -1;
        pthread_mutex_init(&b->moving, NULL);
        pthread_mutex_init(&b->reading, NULL);
        pthread_mutex_init(&b->ids, NULL);
        pthread_rwlock_init(&b->purse_lock, NULL);
        /* The ledger first: it judges the folder that the spool lies in. */
        b->ledger = ledger_open(o->path, LEDGER_MAKE, NULL, why);
        if (!b->ledger || !open_folder(b, why) || !take_spool(b, o, why)) {
                book_close(b, 0);
                return NULL;
        }
        begin_ids(b);
        book_refresh(b);
        return b;
}

void book_close(struct book *b, int64_t ms)
{
        if (!b)
                return;
        int64_t until = clock_now_ms() + ms;
        while (b->own && b->ledger && book_has_lines(b) && clock_now_ms() < until) {
                if (book_move(b) < 0)
                        usleep(20000);
        }
        if (b->own && b->ledger)
                book_empty(b);
        spool_close(b->own);
        ledger_close(b->ledger);
        ledger_close(b->reader);
        if (b->folder >= 0)
                close(b->folder);
        pthread_mutex_destroy(&b->moving);
        pthread_mutex_destroy(&b->reading);
        pthread_mutex_destroy(&b->ids);
        pthread_rwlock_destroy(&b->purse_lock);
        free(b->purses);
        free(b->path);
        free(b->currency);
        free(b);
}

/* ---- ids ---- */

int64_t book_id(struct book *b, int64_t unix_ms)
{
        enum { IN_A_MS = 1024 };
        pthread_mutex_lock(&b->ids);
        if (unix_ms > b->id_ms) {
                b->id_ms = unix_ms;
                b->id_next = 0;
        } else if (++b->id_next == IN_A_MS) { /* a clock that went back goes on from where it was */
                b->id_ms++;
                b->id_next = 0;
        }
        int64_t id = b->id_ms << 20 | (int64_t)b->number << 10 | b->id_next;
        pthread_mutex_unlock(&b->ids);
        return id;
}

/* ---- what happens ---- */

static bool append(struct book *b, enum spool_kind kind, int64_t id, struct buf *line)
{
        bool ok = !line->failed && spool_append(b->own, kind, id, line->data, line->len);
        if (!ok)
                book_complain(b, BOOK_FULL, line->failed ? "the record is too long" : strerror(errno));
        buf_release(line);
        return ok;
}

static void add_row(struct buf *line, const struct ledger_row *row)
{
        ledger_encode(ledger_request_columns, ledger_request_column_count, row, line);
}

static void add_attempt(struct buf *line, const struct ledger_attempt *a)
{
        ledger_encode(ledger_attempt_columns, ledger_attempt_column_count, a, line);
}

bool book_begin(struct book *b, const struct ledger_row *row, const struct ledger_attempt *a)
{
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        buf_reserve(&line, ROW_BYTES);
        add_row(&line, row);
        add_attempt(&line, a);
        return append(b, SPOOL_BEGIN, row->id, &line);
}

void book_progress(struct book *b, const struct ledger_progress *p)
{
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        ledger_encode(ledger_progress_columns, ledger_progress_column_count, p, &line);
        append(b, SPOOL_PROGRESS, p->request, &line);
}

void book_attempt(struct book *b, const struct ledger_attempt *a)
{
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        add_attempt(&line, a);
        append(b, SPOOL_ATTEMPT, a->request, &line);
}

bool book_end(struct book *b, const struct ledger_row *row, const struct ledger_attempt *attempts,
              size_t count)
{
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        buf_reserve(&line, ROW_BYTES);
        add_row(&line, row);
        for (size_t i = 0; i < count && i < BOOK_ATTEMPTS && line.len < LINE_MAX_BYTES - ATTEMPT_MAX_BYTES;
             i++)
                add_attempt(&line, &attempts[i]);
        return append(b, SPOOL_END, row->id, &line);
}

void book_alert(struct book *b, const struct book_alert *a)
{
        struct buf line;
        buf_init(&line, LINE_MAX_BYTES);
        ledger_encode(book_alert_columns, BOOK_ALERT_COLUMNS, a, &line);
        append(b, SPOOL_ALERT, 0, &line);
}

bool book_full(const struct book *b)
{
        return spool_full(b->own);
}

int64_t book_waiting(const struct book *b)
{
        int64_t n = spool_end(b->own) - atomic_load(&((struct book *)b)->moved);
        return n > 0 ? n : 0; /* it may be beginning anew just now */
}

bool book_has_lines(const struct book *b)
{
        return book_waiting(b) > 0;
}

/* ---- reading ---- */

struct ledger *book_ledger(struct book *b, char why[512])
{
        return ledger_open(b->path, LEDGER_WRITE, NULL, why);
}

struct ledger *book_reader(struct book *b)
{
        char why[512];
        if (!b->reader && !(b->reader = book_ledger(b, why)))
                book_complain(b, BOOK_UNREADABLE, why);
        return b->reader;
}

static void add_purse(const struct ledger_purse *p, void *context)
{
        struct book *b = context;
        if (b->purse_count == b->purse_room) {
                b->purse_room = b->purse_room ? b->purse_room * 2 : 16;
                b->purses = realloc(b->purses, b->purse_room * sizeof *b->purses);
                if (!b->purses)
                        abort();
        }
        b->purses[b->purse_count++] = *p;
}

/* Changes by another connection; its own are none of the purses'. */
static int64_t data_version(struct ledger *l)
{
        sqlite3_stmt *s = NULL;
        int64_t version = -1;
        if (sqlite3_prepare_v2(ledger_sqlite(l), "PRAGMA data_version", -1, &s, NULL) == SQLITE_OK &&
            sqlite3_step(s) == SQLITE_ROW)
                version = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return version;
}

void book_refresh(struct book *b)
{
        pthread_mutex_lock(&b->reading);
        struct ledger *l = book_reader(b);
        int64_t version = l ? data_version(l) : -1;
        if (l && (version < 0 || version != b->purse_version)) {
                pthread_rwlock_wrlock(&b->purse_lock);
                b->purse_count = 0;
                b->purse_version = ledger_purses(l, add_purse, b) ? version : -1;
                pthread_rwlock_unlock(&b->purse_lock);
        }
        pthread_mutex_unlock(&b->reading);
}

bool book_purse(struct book *b, const char *account, struct book_purse *out)
{
        bool found = false;
        pthread_rwlock_rdlock(&b->purse_lock);
        for (size_t i = 0; i < b->purse_count && !found; i++) {
                const struct ledger_purse *p = &b->purses[i];
                found = strcmp(p->account, account) == 0;
                if (found) {
                        memcpy(out->currency, p->currency, sizeof out->currency);
                        out->topped_pico = p->topped_pico;
                }
        }
        pthread_rwlock_unlock(&b->purse_lock);
        return found;
}

bool book_totals(struct book *b, ledger_totals_fn *fn, void *context)
{
        pthread_mutex_lock(&b->reading);
        struct ledger *l = book_reader(b);
        bool ok = l && ledger_totals_each(l, fn, context);
        if (l && !ok)
                book_complain(b, BOOK_UNREADABLE, ledger_problem(l));
        pthread_mutex_unlock(&b->reading);
        return ok;
}
