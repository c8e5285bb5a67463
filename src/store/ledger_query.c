/* Rows of the ledger: read one by one, and found by their ids. */
#include "store/ledger_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/ledger_filter.h"
#include "store/ledger_id.h"

enum { SQL_MAX = 16 << 10 };

/* ---- filters ---- */

/* The first id that a moment may have. */
static long long id_at(int64_t ms)
{
        enum { CHANCE_BITS = 20 };
        const int64_t last = INT64_MAX >> CHANCE_BITS;
        return (long long)((ms < last ? ms : last) << CHANCE_BITS);
}

void ledger_filter_sql(const struct usage_filter *f, struct buf *sql)
{
        static const char *const texts[] = {"account", "model", "provider", "user"};
        const char *const values[] = {f->account, f->model, f->provider, f->user};
        if (f->since_ms > 0)
                buf_addf(sql, " AND id >= %lld", id_at(f->since_ms));
        if (f->until_ms > 0)
                buf_addf(sql, " AND id < %lld", id_at(f->until_ms));
        for (int i = 0; i < 4; i++) {
                if (values[i])
                        buf_addf(sql, " AND %s = ?%d", texts[i], i + 1);
        }
        if (f->errors)
                buf_adds(sql, " AND outcome <> 'ok'");
}

bool ledger_failed(struct ledger *l, char why[512])
{
        snprintf(why, 512, "the ledger: %s", sqlite3_errmsg(ledger_sqlite(l)));
        return false;
}

sqlite3_stmt *ledger_filtered(struct ledger *l, struct buf *sql, const struct usage_filter *f, char why[512])
{
        const char *const values[] = {f->account, f->model, f->provider, f->user};
        sqlite3_stmt *s = NULL;
        buf_addc(sql, '\0');
        if (sql->failed || sqlite3_prepare_v2(ledger_sqlite(l), sql->data, -1, &s, NULL) != SQLITE_OK) {
                ledger_failed(l, why);
                buf_release(sql);
                return NULL;
        }
        buf_release(sql);
        for (int i = 0; i < 4; i++) {
                if (values[i])
                        sqlite3_bind_text(s, i + 1, values[i], -1, SQLITE_STATIC);
        }
        return s;
}

/* ---- rows ---- */

void ledger_add_names(struct buf *sql, const struct ledger_column *columns, size_t count)
{
        for (size_t i = 0; i < count; i++)
                buf_addf(sql, "%s%s", i ? ", " : "", columns[i].name);
}

void ledger_read_row(sqlite3_stmt *s, const struct ledger_column *columns, size_t count, struct arena *a,
                     void *row)
{
        for (size_t i = 0; i < count; i++) {
                void *at = (char *)row + columns[i].offset;
                if (columns[i].type == LEDGER_INT) {
                        *(int64_t *)at = sqlite3_column_int64(s, (int)i);
                        continue;
                }
                const char *text = (const char *)sqlite3_column_text(s, (int)i);
                *(const char **)at = a ? arena_strdup(a, text) : text;
        }
}

int64_t ledger_last(struct ledger *l, const struct usage_filter *f, int64_t most, char why[512])
{
        struct buf sql;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT min(id) FROM (SELECT id FROM requests WHERE 1");
        ledger_filter_sql(f, &sql);
        buf_addf(&sql, " ORDER BY id DESC LIMIT %lld)", (long long)most);
        sqlite3_stmt *s = ledger_filtered(l, &sql, f, why);
        if (!s)
                return -1;
        int code = sqlite3_step(s);
        int64_t id = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
        sqlite3_finalize(s);
        if (code != SQLITE_ROW)
                ledger_failed(l, why);
        return id > 0 ? id - 1 : id;
}

int64_t ledger_each(struct ledger *l, const struct usage_filter *f, int64_t after_id, int64_t most,
                    void (*fn)(const struct ledger_row *row, void *context), void *context, char why[512])
{
        struct buf sql;
        int code;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT ");
        ledger_add_names(&sql, ledger_request_columns, ledger_request_column_count);
        buf_addf(&sql, " FROM requests WHERE id > %lld", (long long)after_id);
        ledger_filter_sql(f, &sql);
        buf_addf(&sql, " ORDER BY id LIMIT %lld", (long long)most);
        sqlite3_stmt *s = ledger_filtered(l, &sql, f, why);
        if (!s)
                return -1;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                struct ledger_row row;
                ledger_read_row(s, ledger_request_columns, ledger_request_column_count, NULL, &row);
                fn(&row, context);
                after_id = row.id;
        }
        sqlite3_finalize(s);
        return code == SQLITE_DONE ? after_id : (ledger_failed(l, why), -1);
}

/* ---- one request ---- */

static bool read_attempts(struct ledger *l, struct arena *a, struct ledger_story *story)
{
        enum { ATTEMPTS_MAX = 1000 };
        struct buf sql;
        struct usage_filter none = {0};
        char why[512];
        size_t room = 0;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT ");
        ledger_add_names(&sql, ledger_attempt_columns, ledger_attempt_column_count);
        buf_addf(&sql, " FROM attempts WHERE request = %lld ORDER BY n", (long long)story->row.id);
        sqlite3_stmt *s = ledger_filtered(l, &sql, &none, why);
        int code = SQLITE_ERROR;
        while (s && (code = sqlite3_step(s)) == SQLITE_ROW && story->attempt_count < ATTEMPTS_MAX) {
                if (story->attempt_count == room) {
                        struct ledger_attempt *old = story->attempts;
                        room = room ? room * 2 : 4;
                        story->attempts = arena_alloc(a, room * sizeof *old);
                        if (story->attempt_count)
                                memcpy(story->attempts, old, story->attempt_count * sizeof *old);
                }
                ledger_read_row(s, ledger_attempt_columns, ledger_attempt_column_count, a,
                                &story->attempts[story->attempt_count++]);
        }
        sqlite3_finalize(s);
        return code == SQLITE_DONE || code == SQLITE_ROW;
}

/* Our own number, in decimal. */
static int64_t number_of(const char *text)
{
        size_t len = strlen(text);
        return len && len < 20 && strspn(text, "0123456789") == len ? strtoll(text, NULL, 10) : 0;
}

enum { STORIES_MAX = 100 };

/* Adds to *count. False: why. */
static bool find_rows(struct ledger *l, const char *where, int64_t number, int64_t own, const char *id,
                      struct arena *a, struct ledger_story *stories, int64_t *count, char why[512])
{
        struct buf sql;
        struct usage_filter none = {0};
        int code = SQLITE_DONE;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT ");
        ledger_add_names(&sql, ledger_request_columns, ledger_request_column_count);
        buf_addf(&sql, " FROM requests WHERE %s ORDER BY id DESC", where);
        sqlite3_stmt *s = ledger_filtered(l, &sql, &none, why);
        if (!s)
                return false;
        sqlite3_bind_int64(s, 1, number);
        sqlite3_bind_int64(s, 2, own);
        sqlite3_bind_text(s, 3, id, -1, SQLITE_STATIC);
        while (*count < STORIES_MAX && (code = sqlite3_step(s)) == SQLITE_ROW)
                ledger_read_row(s, ledger_request_columns, ledger_request_column_count, a,
                                &stories[(*count)++].row);
        sqlite3_finalize(s);
        return code == SQLITE_DONE || code == SQLITE_ROW || ledger_failed(l, why);
}

int64_t ledger_find(struct ledger *l, const char *id, struct arena *a, struct ledger_story **out,
                    char why[512])
{
        /* The last condition is that of the index; an id that was made here is looked for by the key alone.
         * Callers may have made up some that look so: those cost a look at every row. */
        static const char indexed[] = "id = ?1 OR (id = ?2 AND request_id = ?3) OR (request_id = ?3 AND "
                                      "request_id NOT GLOB 'tg-*')";
        int64_t count = 0;
        *out = arena_alloc(a, STORIES_MAX * sizeof **out);
        if (!find_rows(l, indexed, number_of(id), ledger_id_of(id), id, a, *out, &count, why))
                return -1;
        if (!count && strncmp(id, "tg-", LEDGER_ID_MARK) == 0 &&
            !find_rows(l, "request_id = ?3", 0, 0, id, a, *out, &count, why))
                return -1;
        for (int64_t i = 0; i < count; i++) {
                if (!read_attempts(l, a, &(*out)[i]))
                        return ledger_failed(l, why), -1;
        }
        return count;
}
