/* The spools of the dead: what had begun in them and not ended becomes rows as well. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/money.h"
#include "store/book_internal.h"
#include "store/ledger_columns.h"

struct lost_attempt {
        struct ledger_attempt attempt;
        struct ledger_progress progress;
        bool over, progressed;
};

struct book_lost {
        struct book_lost *next;
        bool is_new;
        struct ledger_row row;
        struct lost_attempt *attempts;
        size_t count, room;
};

struct recovery {
        struct book *book;
        struct arena *arena;
        struct book_opens opens;
        struct book_lost *list;
        struct ledger_spool spool; /* how far it was moved by its owner */
        bool failed;
};

/* ---- what had begun ---- */

static struct lost_attempt *attempt_of(const struct book_lost *l, int64_t n)
{
        for (size_t i = 0; l && i < l->count; i++) {
                if (l->attempts[i].attempt.n == n)
                        return &l->attempts[i];
        }
        return NULL;
}

static struct lost_attempt *add_attempt(struct recovery *r, struct book_lost *l)
{
        if (l->count == l->room) {
                struct lost_attempt *old = l->attempts;
                l->room = l->room ? l->room * 2 : 2;
                l->attempts = arena_alloc(r->arena, l->room * sizeof *l->attempts);
                if (old)
                        memcpy(l->attempts, old, l->count * sizeof *old);
        }
        return &l->attempts[l->count++];
}

static struct book_lost *add_request(struct recovery *r, struct book_open_request *o)
{
        if (!o->lost) {
                o->lost = arena_alloc(r->arena, sizeof *o->lost);
                o->lost->next = r->list;
                r->list = o->lost;
        }
        return o->lost;
}

/* Strings outlive the spool's buffer. */
static struct spool_record kept_copy(struct recovery *r, const struct spool_record *record)
{
        struct spool_record copy = *record;
        copy.bytes = memcpy(arena_alloc(r->arena, record->len), record->bytes, record->len);
        return copy;
}

static void take_begin(struct recovery *r, struct book_open_request *o, const struct spool_record *record)
{
        struct spool_record copy = kept_copy(r, record);
        struct ledger_row row;
        struct ledger_attempt attempt;
        const char *text = book_read_row(&copy, &row);
        if (!text || !book_read_attempt(text, &copy, &attempt) || row.id != record->id ||
            attempt_of(o->lost, attempt.n) || (o->lost && o->lost->count == BOOK_ATTEMPTS))
                return;
        struct book_lost *l = add_request(r, o);
        l->row = row;
        add_attempt(r, l)->attempt = attempt;
}

static void take_over(struct recovery *r, const struct book_lost *l, const struct spool_record *record)
{
        struct spool_record copy = kept_copy(r, record);
        struct ledger_attempt over;
        struct lost_attempt *a = book_read_attempt(copy.bytes, &copy, &over) ? attempt_of(l, over.n) : NULL;
        if (a) {
                a->attempt = over;
                a->over = true;
        }
}

static void take_progress(const struct book_lost *l, const struct spool_record *record)
{
        struct ledger_progress p = {0};
        bool fine = ledger_decode(ledger_progress_columns, ledger_progress_column_count, record->bytes,
                                  record->bytes + record->len, &p);
        struct lost_attempt *a = fine ? attempt_of(l, p.n) : NULL;
        if (a) {
                a->progress = p;
                a->progressed = true;
        }
}

static bool take_record(const struct spool_record *record, void *context)
{
        struct recovery *r = context;
        if (record->kind == SPOOL_END || record->kind == SPOOL_ALERT) {
                r->failed = record->at >= r->spool.moved && !book_add(r->book, record);
                return !r->failed;
        }
        struct book_open_request *o = record->id ? book_open_of(&r->opens, record->id) : NULL;
        if (!o || o->ended)
                return true;
        if (record->kind == SPOOL_BEGIN)
                take_begin(r, o, record);
        else if (record->kind == SPOOL_ATTEMPT)
                take_over(r, o->lost, record);
        else if (record->kind == SPOOL_PROGRESS)
                take_progress(o->lost, record);
        return true;
}

/* ---- as rows ---- */

/* As far as it is known: what was streamed, else what was reserved. */
static void interrupt(struct lost_attempt *l)
{
        struct ledger_attempt *a = &l->attempt;
        if (l->over)
                return;
        a->outcome = "interrupted";
        a->estimated = 1;
        if (!l->progressed)
                return;
        a->input = l->progress.input;
        a->cached = l->progress.cached;
        a->output = l->progress.output;
        a->cost_pico = l->progress.cost_pico;
        a->charge_pico = l->progress.charge_pico;
}

static void add_up(struct ledger_row *row, const struct ledger_attempt *a)
{
        row->input = money_add(row->input, a->input);
        row->cached = money_add(row->cached, a->cached);
        row->cache_write = money_add(row->cache_write, a->cache_write);
        row->cache_write_1h = money_add(row->cache_write_1h, a->cache_write_1h);
        row->output = money_add(row->output, a->output);
        row->reasoning = money_add(row->reasoning, a->reasoning);
        row->cost_pico = money_add(row->cost_pico, a->cost_pico);
        row->charge_pico = money_add(row->charge_pico, a->charge_pico);
        row->reported_pico = money_add(row->reported_pico, a->reported_pico);
        row->priced &= a->priced;
        row->provider = a->provider;
        row->upstream_model = a->upstream_model;
        row->served_model = a->served_model;
        row->upstream_request_id = a->upstream_request_id;
}

static bool add_lost(struct recovery *r, struct book_lost *l)
{
        struct ledger_attempt attempts[BOOK_ATTEMPTS];
        struct ledger *ledger = r->book->ledger;
        struct ledger_row *row = &l->row;
        row->attempts = (int64_t)l->count;
        row->outcome = "interrupted";
        row->estimated = row->priced = 1;
        row->input = row->cached = row->cache_write = row->cache_write_1h = row->output = row->reasoning = 0;
        row->cost_pico = row->charge_pico = row->reported_pico = 0;
        for (size_t i = 0; i < l->count; i++) {
                interrupt(&l->attempts[i]);
                add_up(row, &l->attempts[i].attempt);
                attempts[i] = l->attempts[i].attempt;
        }
        int before = sqlite3_total_changes(ledger_sqlite(ledger));
        bool ok = ledger_add(ledger, row, attempts, l->count);
        l->is_new = sqlite3_total_changes(ledger_sqlite(ledger)) > before;
        return ok;
}

/* Only what this call has booked: on a second time nobody knows whether it was done. What stays held is more
 * than was spent, never less. */
static void settle_lost(struct recovery *r)
{
        for (struct book_lost *l = r->list; l && r->book->settle; l = l->next) {
                for (size_t i = 0; l->is_new && l->row.account && i < l->count; i++) {
                        const struct lost_attempt *a = &l->attempts[i];
                        if (!a->over && a->attempt.hold_pico > 0)
                                r->book->settle(r->book->context, l->row.account, &a->attempt);
                }
        }
}

/* ---- a spool ---- */

static bool keep_none(const struct spool_record *r, void *context)
{
        (void)r;
        (void)context;
        return false;
}

/* In one transaction, with the word that it is done. */
static bool add_all(struct recovery *r, struct spool *s, unsigned number, int64_t end)
{
        bool ok = spool_read(s, 0, take_record, r) == end && !r->failed;
        for (struct book_lost *l = r->list; ok && l; l = l->next)
                ok = add_lost(r, l);
        r->spool.moved = end;
        r->spool.done = 1;
        return ok && ledger_flush(r->book->ledger) && ledger_spool_note(r->book->ledger, number, &r->spool) &&
               ledger_commit(r->book->ledger);
}

bool book_recover(struct book *b, struct spool *s, unsigned number)
{
        struct recovery r = {.book = b, .arena = arena_new()};
        int64_t end = spool_end(s);
        bool ok = spool_read(s, 0, book_note_open, &r.opens) == end &&
                  ledger_begin(b->ledger, BOOK_BUSY_MS) &&
                  ledger_spool_read(b->ledger, number, spool_epoch(s), &r.spool);
        if (ok && r.spool.done)
                ledger_rollback(b->ledger);
        else
                ok = (ok && add_all(&r, s, number, end)) || book_give_up(b, BOOK_DEAD);
        if (ok) {
                settle_lost(&r);
                ok = spool_restart(s, &end, keep_none, NULL);
        }
        book_opens_free(&r.opens);
        arena_free(r.arena);
        return ok;
}

/* ---- all of them ---- */

bool book_each_spool(struct book *b, bool (*fn)(struct book *b, const char *name, void *context),
                     void *context)
{
        int fd = openat(b->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        bool ok = d != NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
                if (strlen(e->d_name) == 4 && strspn(e->d_name, "0123456789") == 4)
                        ok = fn(b, e->d_name, context) && ok;
        }
        if (d)
                closedir(d);
        else if (fd >= 0)
                close(fd);
        return ok;
}

static bool recover_named(struct book *b, const char *name, void *context)
{
        char why[512];
        bool taken, ok = true;
        (void)context;
        if (b->own && (unsigned)atoi(name) == b->number)
                return true;
        struct spool *s = spool_open(b->folder, name, false, 0, 0, &taken, why);
        if (s && spool_end(s))
                ok = book_recover(b, s, (unsigned)atoi(name));
        spool_close(s);
        return ok;
}

bool book_recover_all(struct book *b)
{
        return book_each_spool(b, recover_named, NULL);
}
