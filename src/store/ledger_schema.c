/* The schema, by the tables of columns, and how an older one becomes today's. */
#include <stdio.h>

#include "store/ledger_internal.h"

enum { SQL_MAX = 64 << 10 };

static bool add_columns(struct buf *sql, const struct ledger_column *columns, size_t count, const char *key)
{
        for (size_t i = 0; i < count; i++)
                buf_addf(sql, "%s%s %s%s", i ? ", " : "", columns[i].name,
                         columns[i].type == LEDGER_INT ? "INTEGER" : "TEXT", i == 0 && key ? key : "");
        return !sql->failed;
}

static const char other_tables[] =
        "CREATE TABLE totals(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE topups(id INTEGER PRIMARY KEY, account TEXT NOT NULL, time_ms INTEGER NOT NULL, "
        "pico INTEGER NOT NULL, currency TEXT NOT NULL, by TEXT, note TEXT);"
        "CREATE TABLE purses(account TEXT PRIMARY KEY, currency TEXT NOT NULL, topped_pico INTEGER NOT NULL, "
        "spent_pico INTEGER NOT NULL, since_ms INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE invoices(number INTEGER PRIMARY KEY, account TEXT NOT NULL, month TEXT NOT NULL, "
        "made_ms INTEGER NOT NULL, currency TEXT NOT NULL, net_pico TEXT NOT NULL, tax_pico TEXT NOT NULL, "
        "gross_pico TEXT NOT NULL, tax_percent TEXT NOT NULL, document TEXT NOT NULL, "
        "UNIQUE(account, month, currency));"
        "CREATE TABLE alerts(id INTEGER PRIMARY KEY, account TEXT NOT NULL, period TEXT NOT NULL, "
        "number INTEGER NOT NULL, share_micro INTEGER NOT NULL, spent_pico INTEGER NOT NULL, "
        "limit_pico INTEGER NOT NULL, currency TEXT NOT NULL, time_ms INTEGER NOT NULL, tries INTEGER NOT "
        "NULL "
        "DEFAULT 0, parts INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT NULL, given_ms INTEGER, "
        "UNIQUE(account, period, number, share_micro));"
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
        /* Ids that were made here are found by the primary key (gateway/bookkeeper.h). */
        "CREATE INDEX requests_by_callers_id ON requests(request_id) WHERE request_id NOT GLOB 'tg-*';";

static bool make_tables(struct ledger *l)
{
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "CREATE TABLE requests(");
        add_columns(&sql, ledger_request_columns, ledger_request_column_count, " PRIMARY KEY");
        buf_adds(&sql, ");CREATE TABLE attempts(");
        add_columns(&sql, ledger_attempt_columns, ledger_attempt_column_count, NULL);
        buf_adds(&sql, ", PRIMARY KEY(request, n)) WITHOUT ROWID;");
        buf_adds(&sql, other_tables);
        buf_addc(&sql, '\0');
        bool ok = !sql.failed && ledger_exec(l, sql.data);
        buf_release(&sql);
        return ok;
}

static bool has_column(struct ledger *l, const char *table, const char *column)
{
        sqlite3_stmt *s = ledger_query(l, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2");
        if (!s)
                return false;
        sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, column, -1, SQLITE_STATIC);
        bool found = sqlite3_step(s) == SQLITE_ROW;
        sqlite3_finalize(s);
        return found;
}

/* Columns that the tables of columns have got since. */
static bool add_missing(struct ledger *l, const char *table, const struct ledger_column *columns,
                        size_t count)
{
        char sql[256];
        for (size_t i = 0; i < count; i++) {
                if (has_column(l, table, columns[i].name))
                        continue;
                snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s %s", table, columns[i].name,
                         columns[i].type == LEDGER_INT ? "INTEGER NOT NULL DEFAULT 0" : "TEXT");
                if (!ledger_exec(l, sql))
                        return false;
        }
        return true;
}

/* How far each spool was moved (ledger.h). */
static bool add_spools(struct ledger *l)
{
        return ledger_exec(l, "CREATE TABLE spools(number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, "
                              "moved INTEGER NOT NULL, done INTEGER NOT NULL)");
}

/* migrations[n] makes schema n + 1 of schema n. A new column needs none, only a new number. */
static bool (*const migrations[LEDGER_SCHEMA])(struct ledger *l) = {make_tables, add_spools};

static int schema_of(struct ledger *l)
{
        sqlite3_stmt *s = ledger_query(l, "PRAGMA user_version");
        int version = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int(s, 0) : -1;
        sqlite3_finalize(s);
        return version;
}

static bool migrate(struct ledger *l, int from)
{
        char sql[64];
        for (int i = from; i < LEDGER_SCHEMA; i++) {
                if (!migrations[i](l))
                        return false;
        }
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", LEDGER_SCHEMA);
        return add_missing(l, "requests", ledger_request_columns, ledger_request_column_count) &&
               add_missing(l, "attempts", ledger_attempt_columns, ledger_attempt_column_count) &&
               ledger_exec(l, sql);
}

bool ledger_schema_ready(struct ledger *l, bool may_write, char why[LEDGER_WHY])
{
        enum { BUSY_MS = 10000 };
        int version = schema_of(l);
        if (version > LEDGER_SCHEMA) {
                snprintf(why, LEDGER_WHY, "%.300s is of a newer Tollgate (schema %d)", l->path, version);
                return false;
        }
        if (version == LEDGER_SCHEMA)
                return true;
        if (version < 0 || !may_write) {
                snprintf(why, LEDGER_WHY,
                         version < 0 ? "%.300s: %.200s" : "%.300s is of an older Tollgate: %.200s", l->path,
                         version < 0 ? ledger_problem(l) : "the responder migrates it");
                return false;
        }
        /* Looked at again under the lock: another process may have been faster. */
        bool ok = ledger_begin(l, BUSY_MS) && (version = schema_of(l)) >= 0 &&
                  (version == LEDGER_SCHEMA || migrate(l, version)) && ledger_commit(l);
        if (!ok) {
                snprintf(why, LEDGER_WHY, "%.300s: %.200s", l->path, ledger_problem(l));
                ledger_rollback(l);
        }
        return ok;
}
