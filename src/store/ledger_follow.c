#include <stdlib.h>

#include "store/ledger_filter.h"

enum { SQL_MAX = 16 << 10 };

/* The ids of the filter, rising. False: why. */
static bool list_ids(struct ledger *l, const struct usage_filter *f, struct ledger_follow *out, char why[512])
{
        struct buf sql;
        size_t room = 0;
        int code;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT id FROM requests WHERE 1");
        ledger_filter_sql(f, &sql);
        buf_adds(&sql, " ORDER BY id");
        sqlite3_stmt *s = ledger_filtered(l, &sql, f, why);
        if (!s)
                return false;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                if (out->count == room) {
                        room = room ? room * 2 : 256;
                        out->ids = realloc(out->ids, room * sizeof *out->ids);
                        if (!out->ids)
                                abort();
                }
                out->ids[out->count++] = sqlite3_column_int64(s, 0);
        }
        sqlite3_finalize(s);
        return code == SQLITE_DONE || ledger_failed(l, why);
}

static sqlite3_stmt *prepare_row(struct ledger *l, char why[512])
{
        static const struct usage_filter none;
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT ");
        ledger_add_names(&sql, ledger_request_columns, ledger_request_column_count);
        buf_adds(&sql, " FROM requests WHERE id = ?1");
        return ledger_filtered(l, &sql, &none, why);
}

int64_t ledger_fresh(struct ledger *l, const struct usage_filter *f, struct ledger_follow *follow,
                     void (*fn)(const struct ledger_row *row, void *context), void *context, char why[512])
{
        struct ledger_follow now = {0};
        sqlite3_stmt *s = fn ? prepare_row(l, why) : NULL;
        int64_t fresh = -1;
        size_t old = 0;
        if ((fn && !s) || !list_ids(l, f, &now, why)) {
                ledger_follow_release(&now);
                goto out;
        }
        fresh = 0;
        for (size_t i = 0; i < now.count; i++) {
                while (old < follow->count && follow->ids[old] < now.ids[i])
                        old++;
                if (old < follow->count && follow->ids[old] == now.ids[i])
                        continue;
                fresh++;
                if (!fn)
                        continue;
                sqlite3_bind_int64(s, 1, now.ids[i]);
                /* It may have been forgotten since. */
                if (sqlite3_step(s) == SQLITE_ROW) {
                        struct ledger_row row;
                        ledger_read_row(s, ledger_request_columns, ledger_request_column_count, NULL, &row);
                        fn(&row, context);
                }
                sqlite3_reset(s);
        }
        ledger_follow_release(follow);
        *follow = now;
out:
        sqlite3_finalize(s);
        return fresh;
}

void ledger_follow_release(struct ledger_follow *follow)
{
        free(follow->ids);
        *follow = (struct ledger_follow){0};
}
