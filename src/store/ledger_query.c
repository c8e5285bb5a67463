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

void ledger_filter_sql(const struct usage_filter *f, struct buf *sql)
{
        static const char *const texts[] = {"account", "model", "provider", "user"};
        const char *const values[] = {f->account, f->model, f->provider, f->user};
        if (f->since_ms > 0)
                buf_addf(sql, " AND id >= %lld", (long long)(f->since_ms << 20));
        if (f->until_ms > 0)
                buf_addf(sql, " AND id < %lld", (long long)(f->until_ms << 20));
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

static void add_names(struct buf *sql, const struct ledger_column *columns, size_t count)
{
        for (size_t i = 0; i < count; i++)
                buf_addf(sql, "%s%s", i ? ", " : "", columns[i].name);
}

/* Strings are the statement's, or copies in the arena. */
static void read_row(sqlite3_stmt *s, const struct ledger_column *columns, size_t count, struct arena *a,
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
        add_names(&sql, ledger_request_columns, ledger_request_column_count);
        buf_addf(&sql, " FROM requests WHERE id > %lld", (long long)after_id);
        ledger_filter_sql(f, &sql);
        buf_addf(&sql, " ORDER BY id LIMIT %lld", (long long)most);
        sqlite3_stmt *s = ledger_filtered(l, &sql, f, why);
        if (!s)
                return -1;
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                struct ledger_row row;
                read_row(s, ledger_request_columns, ledger_request_column_count, NULL, &row);
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
        add_names(&sql, ledger_attempt_columns, ledger_attempt_column_count);
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
                read_row(s, ledger_attempt_columns, ledger_attempt_column_count, a,
                         &story->attempts[story->attempt_count++]);
        }
        sqlite3_finalize(s);
        return code == SQLITE_DONE || code == SQLITE_ROW;
}

/* By the primary key: our own number, or an id that was made here and holds it. */
static int64_t own_id(const char *text)
{
        int64_t id = ledger_id_of(text);
        size_t len = strlen(text);
        return id ? id : len && len < 20 && strspn(text, "0123456789") == len ? strtoll(text, NULL, 10) : 0;
}

int64_t ledger_find(struct ledger *l, const char *id, struct arena *a, struct ledger_story **out,
                    char why[512])
{
        enum { STORIES_MAX = 100 };
        struct buf sql;
        struct usage_filter none = {0};
        int64_t count = 0;
        int code = SQLITE_ERROR;
        buf_init(&sql, SQL_MAX);
        buf_adds(&sql, "SELECT ");
        add_names(&sql, ledger_request_columns, ledger_request_column_count);
        /* The same condition as the index has; an own id is looked for by the key alone. */
        buf_adds(&sql, " FROM requests WHERE id = ?1 OR (request_id = ?2 AND request_id NOT GLOB 'tg-*') "
                       "ORDER BY id DESC");
        sqlite3_stmt *s = ledger_filtered(l, &sql, &none, why);
        if (!s)
                return -1;
        sqlite3_bind_int64(s, 1, own_id(id));
        sqlite3_bind_text(s, 2, id, -1, SQLITE_STATIC);
        *out = arena_alloc(a, STORIES_MAX * sizeof **out);
        while (count < STORIES_MAX && (code = sqlite3_step(s)) == SQLITE_ROW)
                read_row(s, ledger_request_columns, ledger_request_column_count, a, &(*out)[count++].row);
        sqlite3_finalize(s);
        for (int64_t i = 0; i < count; i++) {
                if (!read_attempts(l, a, &(*out)[i]))
                        return ledger_failed(l, why), -1;
        }
        return code == SQLITE_DONE || code == SQLITE_ROW ? count : (ledger_failed(l, why), -1);
}
