/* Running totals: gathered in memory over a transaction, then merged into their rows. */
#include <stdlib.h>
#include <string.h>

#include "store/ledger_internal.h"

enum { KEY_MAX = 2048, VALUE_MAX = 16 << 10 };

void ledger_totals_forget(struct ledger *l)
{
        for (size_t i = 0; i < l->total_count; i++)
                buf_release(&l->totals[i].key);
        l->total_count = 0;
        l->sets = -1;
}

static struct ledger_total *find(struct ledger *l, const struct buf *key)
{
        /* The last ones first: requests of a kind come in a row. */
        for (size_t i = l->total_count; i-- > 0;) {
                const struct buf *k = &l->totals[i].key;
                if (k->len == key->len && memcmp(k->data, key->data, k->len) == 0)
                        return &l->totals[i];
        }
        if (l->total_count == l->total_room) {
                l->total_room = l->total_room ? l->total_room * 2 : 64;
                l->totals = realloc(l->totals, l->total_room * sizeof *l->totals);
                if (!l->totals)
                        abort();
        }
        struct ledger_total *t = &l->totals[l->total_count++];
        memset(t, 0, sizeof *t);
        buf_init(&t->key, KEY_MAX);
        buf_add(&t->key, key->data, key->len);
        return t;
}

bool ledger_totals_add(struct ledger *l, const struct ledger_row *row)
{
        struct totals_labels labels;
        struct buf key;
        buf_init(&key, KEY_MAX);
        totals_labels_of(row, &labels);
        bool ok = totals_key(&labels, &key);
        if (ok)
                totals_add(&find(l, &key)->values, row);
        buf_release(&key);
        return ok;
}

static bool count_sets(struct ledger *l)
{
        sqlite3_stmt *s = ledger_query(l, "SELECT count(*) FROM totals");
        bool ok = s && ledger_ok(l, sqlite3_step(s));
        if (ok)
                l->sets = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return ok;
}

/* What is in the ledger already is added. *there: it is. */
static bool merge_old(struct ledger *l, const struct buf *key, struct totals_values *values, bool *there)
{
        sqlite3_stmt *s = ledger_prepare(l, STATEMENT_TOTALS_READ, "SELECT value FROM totals WHERE key = ?1");
        struct totals_values old;
        if (!s)
                return false;
        sqlite3_bind_blob(s, 1, key->data, (int)key->len, SQLITE_STATIC);
        int code = sqlite3_step(s);
        *there = code == SQLITE_ROW;
        /* One that can't be read begins anew: no total is worth that rows wait for ever. */
        if (*there && totals_decode(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), &old))
                totals_merge(values, &old);
        sqlite3_reset(s);
        return ledger_ok(l, code);
}

static bool write_total(struct ledger *l, const struct buf *key, const struct totals_values *values)
{
        sqlite3_stmt *s = ledger_prepare(l, STATEMENT_TOTALS_WRITE,
                                         "INSERT OR REPLACE INTO totals(key, value) VALUES(?1, ?2)");
        struct buf value;
        buf_init(&value, VALUE_MAX);
        bool ok = s && totals_encode(values, &value);
        if (ok) {
                sqlite3_bind_blob(s, 1, key->data, (int)key->len, SQLITE_STATIC);
                sqlite3_bind_blob(s, 2, value.data, (int)value.len, SQLITE_STATIC);
                ok = ledger_run(l, s);
        }
        buf_release(&value);
        return ok;
}

/* Names are many, strangers' among them: beyond the bound those of new sets are "other". */
static bool write_other(struct ledger *l, const struct buf *from, struct totals_values *values)
{
        struct totals_labels labels;
        struct buf key;
        bool there, ok = totals_labels_from(from->data, from->len, &labels);
        labels.account = labels.model = labels.version = labels.provider = "other";
        labels.upstream_model = labels.served_model = "other";
        buf_init(&key, KEY_MAX);
        ok = ok && totals_key(&labels, &key) && merge_old(l, &key, values, &there) &&
             write_total(l, &key, values);
        buf_release(&key);
        return ok;
}

static bool flush_one(struct ledger *l, struct ledger_total *t)
{
        bool there;
        if (!merge_old(l, &t->key, &t->values, &there))
                return false;
        /* Other processes add sets too. */
        if (!there && l->sets < 0 && !count_sets(l))
                return false;
        if (!there && l->sets >= TOTALS_SETS_MAX)
                return write_other(l, &t->key, &t->values);
        l->sets += !there;
        return write_total(l, &t->key, &t->values);
}

bool ledger_totals_flush(struct ledger *l)
{
        bool ok = true;
        l->sets = -1;
        for (size_t i = 0; ok && i < l->total_count; i++)
                ok = flush_one(l, &l->totals[i]);
        ledger_totals_forget(l);
        return ok;
}

bool ledger_totals_each(struct ledger *l, ledger_totals_fn *fn, void *context)
{
        sqlite3_stmt *s = ledger_query(l, "SELECT key, value FROM totals ORDER BY key");
        struct totals_labels labels;
        struct totals_values values;
        int code = SQLITE_ERROR;
        while (s && (code = sqlite3_step(s)) == SQLITE_ROW) {
                if (totals_labels_from(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0),
                                       &labels) &&
                    totals_decode(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &values))
                        fn(&labels, &values, context);
        }
        sqlite3_finalize(s);
        return ledger_ok(l, code);
}
