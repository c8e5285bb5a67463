#include "store/ledger.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/money.h"
#include "store/ledger_columns.h"
#include "store/ledger_internal.h"
#include "store/place.h"

enum { SQL_MAX = 16 << 10, CACHE_KIB = 2048 };

/* ---- statements ---- */

bool ledger_ok(struct ledger *l, int code)
{
        if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
                return true;
        log_debug("%s: %s", l->path, sqlite3_errmsg(l->db));
        return false;
}

const char *ledger_problem(const struct ledger *l)
{
        return sqlite3_errmsg(l->db);
}

sqlite3 *ledger_sqlite(struct ledger *l)
{
        return l->db;
}

bool ledger_exec(struct ledger *l, const char *sql)
{
        return ledger_ok(l, sqlite3_exec(l->db, sql, NULL, NULL, NULL));
}

sqlite3_stmt *ledger_query(struct ledger *l, const char *sql)
{
        sqlite3_stmt *s = NULL;
        ledger_ok(l, sqlite3_prepare_v2(l->db, sql, -1, &s, NULL));
        return s;
}

sqlite3_stmt *ledger_prepare(struct ledger *l, enum ledger_statement which, const char *sql)
{
        sqlite3_stmt **s = &l->statements[which];
        if (!*s && !ledger_ok(l, sqlite3_prepare_v3(l->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL)))
                return NULL;
        return *s;
}

bool ledger_run(struct ledger *l, sqlite3_stmt *s)
{
        bool ok = s && ledger_ok(l, sqlite3_step(s));
        if (s)
                sqlite3_reset(s);
        return ok;
}

/* ---- exact sums (SQLite's own sum() overflows at 9.2 million units) ---- */

/* SQLite's memory is aligned for 64 bits. */
struct money_sum {
        __int128 pico;
} __attribute__((packed, aligned(8)));

static void money_sum_step(sqlite3_context *c, int count, sqlite3_value **values)
{
        struct money_sum *sum = sqlite3_aggregate_context(c, sizeof *sum);
        if (sum && count == 1)
                sum->pico += sqlite3_value_int64(values[0]);
}

static void money_sum_final(sqlite3_context *c)
{
        const struct money_sum *sum = sqlite3_aggregate_context(c, 0);
        char text[64], *end = text + sizeof text, *s = end;
        __int128 n = sum ? sum->pico : 0;
        unsigned __int128 left = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n;
        do
                *--s = (char)('0' + (int)(left % 10));
        while (left /= 10);
        if (n < 0)
                *--s = '-';
        sqlite3_result_text(c, s, (int)(end - s), SQLITE_TRANSIENT);
}

/* ---- opening ---- */

/* Made by us, with our mode, before SQLite opens it; its WAL takes the mode over. */
static bool make_file(const char *path, bool create, bool *absent, char why[LEDGER_WHY])
{
        char folder[PATH_MAX], name[PATH_MAX];
        if (strlen(path) >= sizeof folder) {
                snprintf(why, LEDGER_WHY, "the path of the ledger is too long");
                return false;
        }
        strcpy(folder, path);
        strcpy(name, path);
        int at = place_folder(dirname(folder), path, why);
        if (at < 0) {
                *absent = errno == ENOENT;
                return false;
        }
        bool ok = place_look(at, basename(name), path, create, absent, why);
        close(at);
        return ok;
}

static bool set_up(struct ledger *l)
{
        char sql[256];
        snprintf(sql, sizeof sql,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -%d; "
                 "PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 2000;",
                 CACHE_KIB);
        return ledger_exec(l, sql) &&
               ledger_ok(l, sqlite3_create_function(l->db, "money_sum", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                                    NULL, NULL, money_sum_step, money_sum_final));
}

struct ledger *ledger_open(const char *path, enum ledger_mode mode, bool *absent, char why[512])
{
        enum { BUSY_MS = 10000 };
        bool ignored;
        *(absent ? absent : &ignored) = false;
        if (!make_file(path, mode == LEDGER_MAKE, absent ? absent : &ignored, why))
                return NULL;
        struct ledger *l = calloc(1, sizeof *l);
        if (!l || !(l->path = strdup(path)))
                abort();
        l->sets = -1;
        /* One thread a connection: no locks of SQLite's own. Reading in WAL mode writes the index of the WAL.
         */
        int code = sqlite3_open_v2(path, &l->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
        if (code != SQLITE_OK) {
                snprintf(why, LEDGER_WHY, "%.300s: %.200s", path,
                         l->db ? sqlite3_errmsg(l->db) : "no memory");
                ledger_close(l);
                return NULL;
        }
        sqlite3_extended_result_codes(l->db, 1);
        sqlite3_busy_timeout(l->db, BUSY_MS);
        if (!set_up(l)) {
                snprintf(why, LEDGER_WHY, "%.300s: %.200s", path, sqlite3_errmsg(l->db));
                ledger_close(l);
                return NULL;
        }
        if (!ledger_schema_ready(l, mode != LEDGER_READ, why)) {
                ledger_close(l);
                return NULL;
        }
        return l;
}

void ledger_close(struct ledger *l)
{
        if (!l)
                return;
        ledger_totals_forget(l);
        free(l->totals);
        for (size_t i = 0; i < STATEMENTS; i++)
                sqlite3_finalize(l->statements[i]);
        sqlite3_close(l->db);
        free(l->path);
        free(l);
}

/* ---- transactions ---- */

bool ledger_begin(struct ledger *l, int busy_ms)
{
        sqlite3_busy_timeout(l->db, busy_ms);
        return ledger_exec(l, "BEGIN IMMEDIATE");
}

bool ledger_commit(struct ledger *l)
{
        return ledger_exec(l, "COMMIT");
}

void ledger_rollback(struct ledger *l)
{
        if (!sqlite3_get_autocommit(l->db))
                sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
        ledger_totals_forget(l);
}

/* ---- requests ---- */

static sqlite3_stmt *insert(struct ledger *l, enum ledger_statement which, const char *table,
                            const struct ledger_column *columns, size_t count)
{
        struct buf sql;
        if (l->statements[which])
                return l->statements[which];
        buf_init(&sql, SQL_MAX);
        buf_addf(&sql, "INSERT OR IGNORE INTO %s(", table);
        for (size_t i = 0; i < count; i++)
                buf_addf(&sql, "%s%s", i ? ", " : "", columns[i].name);
        buf_adds(&sql, ") VALUES(");
        for (size_t i = 0; i < count; i++)
                buf_adds(&sql, i ? ", ?" : "?");
        buf_add(&sql, ")", 2);
        sqlite3_stmt *s = sql.failed ? NULL : ledger_prepare(l, which, sql.data);
        buf_release(&sql);
        return s;
}

static bool insert_row(struct ledger *l, sqlite3_stmt *s, const struct ledger_column *columns, size_t count,
                       const void *row)
{
        for (size_t i = 0; s && i < count; i++) {
                const void *at = (const char *)row + columns[i].offset;
                int n = (int)i + 1;
                if (columns[i].type == LEDGER_INT) {
                        sqlite3_bind_int64(s, n, *(const int64_t *)at);
                        continue;
                }
                const char *text = *(const char *const *)at;
                if (text)
                        sqlite3_bind_text(s, n, text, (int)ledger_text_len(text, columns[i].most),
                                          SQLITE_STATIC);
                else
                        sqlite3_bind_null(s, n);
        }
        return ledger_run(l, s);
}

/* What a prepaid account has spent. */
static bool spend(struct ledger *l, const struct ledger_row *row)
{
        static const char sql[] = "UPDATE purses SET spent_pico = min(spent_pico + ?1, 9000000000000000000) "
                                  "WHERE account = ?2 AND currency = ?3 AND since_ms <= ?4";
        if (!row->charge_pico || !row->account || !row->charge_currency)
                return true;
        sqlite3_stmt *s = ledger_prepare(l, STATEMENT_SPEND, sql);
        if (!s)
                return false;
        sqlite3_bind_int64(s, 1, row->charge_pico);
        sqlite3_bind_text(s, 2, row->account, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, row->charge_currency, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, row->time_ms);
        return ledger_run(l, s);
}

bool ledger_add(struct ledger *l, const struct ledger_row *row, const struct ledger_attempt *attempts,
                size_t count)
{
        sqlite3_stmt *request =
                insert(l, STATEMENT_REQUEST, "requests", ledger_request_columns, ledger_request_column_count);
        sqlite3_stmt *attempt =
                insert(l, STATEMENT_ATTEMPT, "attempts", ledger_attempt_columns, ledger_attempt_column_count);
        if (!attempt || !insert_row(l, request, ledger_request_columns, ledger_request_column_count, row))
                return false;
        if (!sqlite3_changes(l->db))
                return true; /* it is there already */
        for (size_t i = 0; i < count; i++) {
                struct ledger_attempt a = attempts[i];
                a.request = row->id;
                if (!insert_row(l, attempt, ledger_attempt_columns, ledger_attempt_column_count, &a))
                        return false;
        }
        return spend(l, row) && ledger_totals_add(l, row);
}

bool ledger_flush(struct ledger *l)
{
        return ledger_totals_flush(l);
}

int64_t ledger_forget(struct ledger *l, int64_t before_ms, int64_t most)
{
        static const char find[] =
                "SELECT max(id) FROM (SELECT id FROM requests WHERE id < ?1 ORDER BY id LIMIT ?2)";
        static const char *const removals[] = {"DELETE FROM attempts WHERE request <= ?1",
                                               "DELETE FROM requests WHERE id <= ?1"};
        int64_t last = 0, gone = -1;
        sqlite3_stmt *s = ledger_query(l, find);
        if (s) {
                sqlite3_bind_int64(s, 1, before_ms > 0 ? before_ms << 20 : 0);
                sqlite3_bind_int64(s, 2, most);
                if (sqlite3_step(s) == SQLITE_ROW)
                        last = sqlite3_column_int64(s, 0);
        }
        sqlite3_finalize(s);
        if (!s || !last)
                return s ? 0 : -1;
        if (!ledger_begin(l, 1000))
                return -1;
        bool ok = true;
        for (size_t i = 0; ok && i < sizeof removals / sizeof *removals; i++) {
                ok = (s = ledger_query(l, removals[i])) && sqlite3_bind_int64(s, 1, last) == SQLITE_OK &&
                     ledger_ok(l, sqlite3_step(s));
                sqlite3_finalize(s);
        }
        if (ok)
                gone = sqlite3_changes(l->db);
        if (!ok || !ledger_commit(l)) {
                ledger_rollback(l);
                return -1;
        }
        return gone;
}
