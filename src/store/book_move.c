/* From the own spool into the ledger, in groups. */
#include <string.h>

#include "base/clock.h"
#include "store/book_internal.h"
#include "store/ledger_columns.h"

enum { GROUP = 2000, LOOK_MS = 2000, RESTART_BYTES = 256 << 10, ROUNDS = 1000 };

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

const char *book_read_row(const struct spool_record *r, struct ledger_row *row)
{
        return ledger_decode(ledger_request_columns, ledger_request_column_count, r->bytes, r->bytes + r->len,
                             row);
}

const char *book_read_attempt(const char *text, const struct spool_record *r, struct ledger_attempt *a)
{
        const char *end = r->bytes + r->len;
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
        const char *text = book_read_row(r, &row);
        if (!text) {
                book_complain(b, BOOK_UNREADABLE, "a record of the spool is left out");
                return true;
        }
        while (count < BOOK_ATTEMPTS && (text = book_read_attempt(text, r, &attempts[count])))
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

bool book_add(struct book *b, const struct spool_record *r)
{
        return r->kind == SPOOL_END ? add_request(b, r) : r->kind != SPOOL_ALERT || add_alert(b, r);
}

bool book_give_up(struct book *b, enum book_trouble trouble)
{
        book_complain(b, trouble, ledger_problem(b->ledger));
        ledger_rollback(b->ledger);
        return false;
}

/* ---- a group ---- */

struct move {
        struct book *book;
        int64_t requests;
        bool wrote, failed;
};

static bool move_record(const struct spool_record *r, void *context)
{
        struct move *m = context;
        if (m->requests >= GROUP)
                return false;
        if (r->kind != SPOOL_END && r->kind != SPOOL_ALERT)
                return true;
        m->wrote = true;
        m->failed = !book_add(m->book, r);
        m->requests += r->kind == SPOOL_END;
        return !m->failed;
}

/* False: not now. *more: there is more. */
static bool move_group(struct book *b, int64_t *requests, bool *more)
{
        struct move m = {.book = b};
        int64_t from = atomic_load(&b->moved);
        *more = false;
        if (!ledger_begin(b->ledger, BOOK_BUSY_MS))
                return book_give_up(b, BOOK_WAITS);
        int64_t to = spool_read(b->own, from, move_record, &m);
        struct ledger_spool spool = {.epoch = spool_epoch(b->own), .moved = to};
        bool ok = to >= 0 && !m.failed &&
                  (!m.wrote || (ledger_flush(b->ledger) && ledger_spool_note(b->ledger, b->number, &spool)));
        if (!ok || !ledger_commit(b->ledger))
                return book_give_up(b, BOOK_WAITS);
        atomic_store(&b->moved, to);
        *requests += m.requests;
        *more = m.requests >= GROUP;
        return true;
}

/* ---- beginning anew: what stays are the requests that have not ended ---- */

/* Of progress only the last counts; two attempts may be under way (a hedge). */
static bool is_open(const struct spool_record *r, void *context)
{
        enum { KEPT = 4 };
        struct book_open_request *o = r->id ? book_open_of(context, r->id) : NULL;
        if (!o || o->ended || r->kind == SPOOL_ALERT)
                return false;
        return r->kind != SPOOL_PROGRESS || o->progress - o->seen++ <= KEPT;
}

static void begin_anew(struct book *b)
{
        struct book_opens opens = {0};
        int64_t moved = atomic_load(&b->moved);
        if (spool_read(b->own, 0, book_note_open, &opens) >= 0 &&
            spool_restart(b->own, &moved, is_open, &opens))
                atomic_store(&b->moved, moved);
        book_opens_free(&opens);
}

void book_empty(struct book *b)
{
        pthread_mutex_lock(&b->moving);
        if (atomic_load(&b->moved))
                begin_anew(b);
        pthread_mutex_unlock(&b->moving);
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

/* ---- one round ---- */

static int64_t move(struct book *b, bool all)
{
        int64_t requests = 0, now = clock_now_ms();
        pthread_mutex_lock(&b->moving);
        bool ok = move_own(b, &requests);
        if (ok && (all || now >= b->look_ms)) {
                b->look_ms = now + LOOK_MS;
                ok = book_recover_all(b);
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
