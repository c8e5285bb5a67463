/* From the spools into the ledger: this process's own records, and those of the dead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/book_internal.h"
#include "store/ledger_columns.h"

enum { GROUP = 2000, BUSY_MS = 1000, LOOK_MS = 2000, RESTART_BYTES = 256 << 10, ROUNDS = 1000 };

const struct ledger_column book_alert_columns[BOOK_ALERT_COLUMNS] = {
        {"account", LEDGER_TEXT, offsetof(struct book_alert, account), 64},
        {"period", LEDGER_TEXT, offsetof(struct book_alert, period), 7},
        {"number", LEDGER_INT, offsetof(struct book_alert, number), 0},
        {"share_micro", LEDGER_INT, offsetof(struct book_alert, share_micro), 0},
        {"spent_pico", LEDGER_INT, offsetof(struct book_alert, spent_pico), 0},
        {"limit_pico", LEDGER_INT, offsetof(struct book_alert, limit_pico), 0},
        {"currency", LEDGER_TEXT, offsetof(struct book_alert, currency), 3},
        {"time_ms", LEDGER_INT, offsetof(struct book_alert, time_ms), 0},
};

/* ---- records that are whole ---- */

struct move {
        struct book *book;
        int64_t requests;
        bool failed;
};

static char *read_row(const struct spool_record *r, struct ledger_row *row)
{
        return ledger_decode(ledger_request_columns, ledger_request_column_count, r->bytes, r->bytes + r->len,
                             row);
}

static char *read_attempt(char *text, char *end, struct ledger_attempt *a)
{
        return text && text < end
                       ? ledger_decode(ledger_attempt_columns, ledger_attempt_column_count, text, end, a)
                       : NULL;
}

/* What can't be read is left out: the checksum held, so it was written so, by nobody of ours. */
static bool add_request(struct book *b, const struct spool_record *r)
{
        struct ledger_row row;
        struct ledger_attempt attempts[BOOK_ATTEMPTS];
        size_t count = 0;
        char *end = r->bytes + r->len, *text = read_row(r, &row);
        if (!text) {
                book_complain(b, "a record of the spool", "it can't be read");
                return true;
        }
        while (count < BOOK_ATTEMPTS && (text = read_attempt(text, end, &attempts[count])))
                count++;
        return ledger_add(b->ledger, &row, attempts, count);
}

static bool add_alert(struct book *b, const struct spool_record *r)
{
        struct book_alert a;
        sqlite3_stmt *s = NULL;
        if (!ledger_decode(book_alert_columns, BOOK_ALERT_COLUMNS, r->bytes, r->bytes + r->len, &a) ||
            !a.account || !a.period || !a.currency)
                return true;
        if (sqlite3_prepare_v2(
                    ledger_sqlite(b->ledger),
                    "INSERT OR IGNORE INTO alerts(account, period, number, share_micro, spent_pico, "
                    "limit_pico, currency, time_ms, due_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
                    -1, &s, NULL) != SQLITE_OK)
                return false;
        const int64_t numbers[] = {a.number, a.share_micro, a.spent_pico, a.limit_pico};
        sqlite3_bind_text(s, 1, a.account, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, a.period, -1, SQLITE_STATIC);
        for (int i = 0; i < 4; i++)
                sqlite3_bind_int64(s, i + 3, numbers[i]);
        sqlite3_bind_text(s, 7, a.currency, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 8, a.time_ms);
        bool ok = sqlite3_step(s) == SQLITE_DONE;
        sqlite3_finalize(s);
        return ok;
}

static bool move_record(const struct spool_record *r, void *context)
{
        struct move *m = context;
        if (m->requests >= GROUP)
                return false;
        if (r->kind == SPOOL_END) {
                m->failed = !add_request(m->book, r);
                m->requests++;
        } else if (r->kind == SPOOL_ALERT) {
                m->failed = !add_alert(m->book, r);
        }
        return !m->failed;
}

/* ---- what is to stay when a spool begins anew: requests that have not ended ---- */

struct open_request {
        int64_t id; /* 0: a free place */
        bool ended;
        int64_t progress, seen;
};

struct open_table {
        struct open_request *places;
        size_t room, count; /* room: a power of two */
};

static struct open_request *open_find(struct open_table *t, int64_t id)
{
        size_t i = (size_t)((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (t->room - 1);
        while (t->places[i].id && t->places[i].id != id)
                i = (i + 1) & (t->room - 1);
        return &t->places[i];
}

static void open_grow(struct open_table *t)
{
        struct open_table larger = {.room = t->room ? t->room * 2 : 1024, .count = t->count};
        larger.places = calloc(larger.room, sizeof *larger.places);
        if (!larger.places)
                abort();
        for (size_t i = 0; i < t->room; i++) {
                if (t->places[i].id)
                        *open_find(&larger, t->places[i].id) = t->places[i];
        }
        free(t->places);
        *t = larger;
}

static struct open_request *open_of(struct open_table *t, int64_t id)
{
        if (t->count * 2 >= t->room)
                open_grow(t);
        struct open_request *o = open_find(t, id);
        if (!o->id) {
                o->id = id;
                t->count++;
        }
        return o;
}

static bool note_open(const struct spool_record *r, void *context)
{
        if (r->kind == SPOOL_ALERT || !r->id)
                return true;
        struct open_request *o = open_of(context, r->id);
        o->ended |= r->kind == SPOOL_END;
        o->progress += r->kind == SPOOL_PROGRESS;
        return true;
}

/* Of progress only the last counts; two attempts may be under way (a hedge). */
static bool is_open(const struct spool_record *r, void *context)
{
        struct open_table *t = context;
        struct open_request *o = r->id ? open_of(t, r->id) : NULL;
        if (!o || o->ended || r->kind == SPOOL_ALERT)
                return false;
        return r->kind != SPOOL_PROGRESS || o->progress - o->seen++ <= 2;
}

static void begin_anew(struct book *b)
{
        struct open_table t = {0};
        int64_t end = atomic_load(&b->moved);
        if (spool_read(b->own, 0, note_open, &t) == end && spool_restart(b->own, end, is_open, &t))
                atomic_store(&b->moved, 0);
        free(t.places);
}

/* ---- the own spool ---- */

static bool give_up(struct book *b, const char *doing)
{
        book_complain(b, doing, ledger_problem(b->ledger));
        ledger_rollback(b->ledger);
        return false;
}

/* A group. False: not now. *more: there is more. */
static bool move_group(struct book *b, int64_t *requests, bool *more)
{
        struct move m = {.book = b};
        int64_t from = atomic_load(&b->moved);
        *more = false;
        if (!ledger_begin(b->ledger, BUSY_MS))
                return give_up(b, "rows wait in its spool");
        int64_t to = spool_read(b->own, from, move_record, &m);
        if (to < 0 || m.failed || !ledger_flush(b->ledger) || !ledger_commit(b->ledger))
                return give_up(b, "rows wait in its spool");
        atomic_store(&b->moved, to);
        *requests += m.requests;
        *more = m.requests >= GROUP;
        return true;
}

static bool move_own(struct book *b, int64_t *requests)
{
        bool more = spool_end(b->own) > atomic_load(&b->moved);
        for (int i = 0; more && i < ROUNDS; i++) {
                if (!move_group(b, requests, &more))
                        return false;
        }
        /* Progress and begins alone fill it as well. */
        if (atomic_load(&b->moved) >= RESTART_BYTES || spool_full(b->own))
                begin_anew(b);
        return true;
}

/* ---- the dead ---- */

struct lost_attempt {
        struct ledger_attempt attempt;
        struct ledger_progress progress;
        bool over, progressed;
};

struct lost {
        struct lost *next;
        int64_t id;
        bool is_new;
        struct ledger_row row;
        struct lost_attempt attempts[BOOK_ATTEMPTS];
        size_t count;
};

struct recovery {
        struct book *book;
        struct arena *arena;
        struct open_table open;
        struct lost *list;
        struct move move;
};

static struct lost *lost_of(struct recovery *r, int64_t id, bool make)
{
        for (struct lost *l = r->list; l; l = l->next) {
                if (l->id == id)
                        return l;
        }
        if (!make)
                return NULL;
        struct lost *l = arena_alloc(r->arena, sizeof *l);
        l->id = id;
        l->next = r->list;
        return r->list = l;
}

static struct lost_attempt *lost_attempt_of(struct lost *l, int64_t n)
{
        for (size_t i = 0; i < l->count; i++) {
                if (l->attempts[i].attempt.n == n)
                        return &l->attempts[i];
        }
        return NULL;
}

/* The strings outlive the spool's buffer. */
static struct spool_record kept_copy(struct recovery *r, const struct spool_record *record)
{
        struct spool_record copy = *record;
        copy.bytes = arena_strndup(r->arena, record->bytes, record->len);
        return copy;
}

static void take_begin(struct recovery *r, const struct spool_record *record)
{
        struct spool_record copy = kept_copy(r, record);
        struct lost *l = lost_of(r, record->id, true);
        struct ledger_row row;
        char *text = read_row(&copy, &row);
        if (!text || l->count == BOOK_ATTEMPTS)
                return;
        struct lost_attempt *a = &l->attempts[l->count];
        if (!read_attempt(text, copy.bytes + copy.len, &a->attempt) || lost_attempt_of(l, a->attempt.n))
                return;
        l->row = row;
        l->count++;
}

static void take_more(struct recovery *r, const struct spool_record *record)
{
        struct spool_record copy = kept_copy(r, record);
        struct lost *l = lost_of(r, record->id, false);
        struct ledger_progress p = {0};
        struct ledger_attempt over;
        struct lost_attempt *a;
        if (!l)
                return;
        if (record->kind == SPOOL_ATTEMPT && read_attempt(copy.bytes, copy.bytes + copy.len, &over) &&
            (a = lost_attempt_of(l, over.n))) {
                a->attempt = over;
                a->over = true;
        } else if (record->kind == SPOOL_PROGRESS &&
                   ledger_decode(ledger_progress_columns, ledger_progress_column_count, copy.bytes,
                                 copy.bytes + copy.len, &p) &&
                   (a = lost_attempt_of(l, p.n))) {
                a->progress = p;
                a->progressed = true;
        }
}

static bool take_record(const struct spool_record *record, void *context)
{
        struct recovery *r = context;
        if (record->kind == SPOOL_END || record->kind == SPOOL_ALERT) {
                r->move.requests = 0; /* all of it in one transaction */
                return move_record(record, &r->move);
        }
        if (!record->id || open_of(&r->open, record->id)->ended)
                return true;
        if (record->kind == SPOOL_BEGIN)
                take_begin(r, record);
        else
                take_more(r, record);
        return true;
}

/* Billed as far as it is known: what was streamed, else what was reserved. */
static void sum_up(struct lost *l)
{
        struct ledger_row *row = &l->row;
        row->attempts = (int64_t)l->count;
        row->outcome = "interrupted";
        row->estimated = 1;
        row->priced = 1;
        row->input = row->cached = row->cache_write = row->cache_write_1h = row->output = row->reasoning = 0;
        row->cost_pico = row->charge_pico = 0;
        for (size_t i = 0; i < l->count; i++) {
                struct ledger_attempt *a = &l->attempts[i].attempt;
                const struct ledger_progress *p = &l->attempts[i].progress;
                if (!l->attempts[i].over) {
                        a->outcome = "interrupted";
                        a->estimated = 1;
                        if (l->attempts[i].progressed) {
                                a->input = p->input;
                                a->cached = p->cached;
                                a->output = p->output;
                                a->cost_pico = p->cost_pico;
                                a->charge_pico = p->charge_pico;
                        }
                }
                row->input += a->input;
                row->cached += a->cached;
                row->cache_write += a->cache_write;
                row->cache_write_1h += a->cache_write_1h;
                row->output += a->output;
                row->reasoning += a->reasoning;
                row->cost_pico += a->cost_pico;
                row->charge_pico += a->charge_pico;
                row->priced &= a->priced;
                row->provider = a->provider;
                row->upstream_model = a->upstream_model;
                row->served_model = a->served_model;
                row->upstream_request_id = a->upstream_request_id;
        }
}

static bool add_lost(struct recovery *r, struct lost *l)
{
        struct ledger_attempt attempts[BOOK_ATTEMPTS];
        struct ledger *ledger = r->book->ledger;
        if (!l->count)
                return true;
        sum_up(l);
        for (size_t i = 0; i < l->count; i++)
                attempts[i] = l->attempts[i].attempt;
        int before = sqlite3_total_changes(ledger_sqlite(ledger));
        bool ok = ledger_add(ledger, &l->row, attempts, l->count);
        l->is_new = sqlite3_total_changes(ledger_sqlite(ledger)) > before;
        r->move.requests++;
        return ok;
}

/* Only what this call has booked: on a second time nobody knows whether it was done. What stays held is more
 * than was spent, never less. */
static void settle_lost(struct recovery *r)
{
        for (struct lost *l = r->list; l; l = l->next) {
                for (size_t i = 0; l->is_new && r->book->settle && i < l->count; i++) {
                        const struct lost_attempt *a = &l->attempts[i];
                        if (!a->over && a->attempt.hold_pico > 0 && l->row.account)
                                r->book->settle(r->book->context, l->row.account, &a->attempt);
                }
        }
}

static bool keep_none(const struct spool_record *r, void *context)
{
        (void)r;
        (void)context;
        return false;
}

bool book_recover(struct book *b, struct spool *s)
{
        struct recovery r = {.book = b, .arena = arena_new(), .move = {.book = b}};
        int64_t end = spool_end(s);
        bool ok = spool_read(s, 0, note_open, &r.open) == end;
        if (ok && !ledger_begin(b->ledger, BUSY_MS)) {
                ok = give_up(b, "a dead process's rows wait");
        } else if (ok) {
                ok = spool_read(s, 0, take_record, &r) == end && !r.move.failed;
                for (struct lost *l = r.list; ok && l; l = l->next)
                        ok = add_lost(&r, l);
                ok = (ok && ledger_flush(b->ledger) && ledger_commit(b->ledger)) ||
                     give_up(b, "a dead process's rows wait");
        }
        if (ok) {
                settle_lost(&r);
                ok = spool_restart(s, end, keep_none, NULL);
        }
        free(r.open.places);
        arena_free(r.arena);
        return ok;
}

static bool recover_named(struct book *b, const char *name)
{
        char why[512];
        bool taken, ok = true;
        struct spool *s = spool_open(b->folder, name, false, 0, 0, &taken, why);
        if (s && spool_end(s))
                ok = book_recover(b, s);
        spool_close(s);
        return ok;
}

static bool recover_all(struct book *b)
{
        int fd = openat(b->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        bool ok = d != NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
                if (strlen(e->d_name) == 4 && strspn(e->d_name, "0123456789") == 4 &&
                    (unsigned)atoi(e->d_name) != b->number)
                        ok = recover_named(b, e->d_name) && ok;
        }
        if (d)
                closedir(d);
        else if (fd >= 0)
                close(fd);
        return ok;
}

/* ---- one round ---- */

static int64_t move(struct book *b, bool all)
{
        int64_t requests = 0, now = clock_now_ms();
        pthread_mutex_lock(&b->moving);
        bool ok = move_own(b, &requests);
        if (ok && (all || now >= b->look_ms)) {
                b->look_ms = now + LOOK_MS;
                ok = recover_all(b);
        }
        pthread_mutex_unlock(&b->moving);
        return ok ? requests : -1;
}

int64_t book_move(struct book *b)
{
        int64_t requests = move(b, false);
        book_refresh(b);
        return requests;
}

int64_t book_move_all(struct book *b)
{
        return move(b, true);
}
