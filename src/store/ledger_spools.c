/* What is kept of spools, and of ids. */
#include "store/ledger_internal.h"

bool ledger_spool_read(struct ledger *l, unsigned number, uint64_t epoch, struct ledger_spool *out)
{
        sqlite3_stmt *s = ledger_query(l, "SELECT moved, done FROM spools WHERE number = ?1 AND epoch = ?2");
        *out = (struct ledger_spool){.epoch = epoch};
        if (!s)
                return false;
        sqlite3_bind_int64(s, 1, number);
        sqlite3_bind_int64(s, 2, (int64_t)epoch);
        int code = sqlite3_step(s);
        if (code == SQLITE_ROW) {
                out->moved = sqlite3_column_int64(s, 0);
                out->done = sqlite3_column_int64(s, 1);
        }
        bool ok = ledger_ok(l, code);
        sqlite3_finalize(s);
        return ok;
}

bool ledger_spool_note(struct ledger *l, unsigned number, const struct ledger_spool *spool)
{
        sqlite3_stmt *s = ledger_prepare(l, STATEMENT_SPOOL,
                                         "INSERT OR REPLACE INTO spools(number, epoch, moved, done) "
                                         "VALUES(?1, ?2, ?3, ?4)");
        if (!s)
                return false;
        sqlite3_bind_int64(s, 1, number);
        sqlite3_bind_int64(s, 2, (int64_t)spool->epoch);
        sqlite3_bind_int64(s, 3, spool->moved);
        sqlite3_bind_int64(s, 4, spool->done);
        return ledger_run(l, s);
}

int64_t ledger_last_id(struct ledger *l)
{
        sqlite3_stmt *s = ledger_query(l, "SELECT max(id) FROM requests");
        int64_t id = s && ledger_ok(l, sqlite3_step(s)) ? sqlite3_column_int64(s, 0) : 0;
        sqlite3_finalize(s);
        return id;
}
