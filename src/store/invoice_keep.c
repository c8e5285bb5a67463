/* Issued invoices: numbered, kept as documents, read again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/money.h"
#include "store/invoice.h"

enum { DOCUMENT_MAX = 64 << 20, DAY_TEXT = 10 };

/* ---- as JSON ---- */

static void amount(struct json_writer *w, const char *key, __int128 pico, unsigned places)
{
        char text[MONEY_TEXT];
        jw_key_string(w, key, money_text_places(text, pico, places));
}

static void exact_amount(struct json_writer *w, const char *key, __int128 pico)
{
        char text[MONEY_TEXT];
        jw_key_string(w, key, money_text(text, pico));
}

static void party(struct json_writer *w, const char *key, const struct config_party *p)
{
        jw_key_object(w, key);
        jw_key_string(w, "name", p->name ? p->name : "");
        jw_key_string(w, "address", p->address ? p->address : "");
        jw_key_string(w, "tax_id", p->tax_id ? p->tax_id : "");
        jw_end(w);
}

static void line(struct json_writer *w, const struct invoice_line *l)
{
        jw_object(w);
        jw_key_string(w, "day", l->day);
        jw_key_string(w, "model", l->model);
        jw_key_int(w, "requests", l->requests);
        jw_key_int(w, "input", l->input);
        jw_key_int(w, "cached", l->cached);
        jw_key_int(w, "output", l->output);
        amount(w, "amount", l->shown, INVOICE_PLACES);
        exact_amount(w, "exact", l->pico);
        jw_end(w);
}

bool invoice_write_json(const struct invoice *inv, struct buf *out)
{
        struct json_writer w = {.out = out};
        jw_object(&w);
        if (inv->number)
                jw_key_int(&w, "number", inv->number);
        else
                jw_key_null(&w, "number");
        jw_key_bool(&w, "draft", !inv->number);
        jw_key_string(&w, "account", inv->account);
        jw_key_string(&w, "month", inv->month);
        jw_key_string(&w, "from", inv->from);
        jw_key_string(&w, "until", inv->until);
        jw_key_string(&w, "zone", inv->zone);
        jw_key_string(&w, "issued", *inv->issued ? inv->issued : NULL);
        party(&w, "seller", &inv->seller);
        party(&w, "buyer", &inv->buyer);
        jw_key_string(&w, "currency", inv->currency);
        jw_key_bool(&w, "prepaid", inv->prepaid);
        jw_key_array(&w, "lines");
        for (size_t i = 0; i < inv->line_count; i++)
                line(&w, &inv->lines[i]);
        jw_end(&w);
        jw_key_int(&w, "requests", inv->requests);
        amount(&w, "sum", inv->shown, INVOICE_PLACES);
        exact_amount(&w, "exact", inv->exact);
        amount(&w, "rounding", inv->rounding, INVOICE_PLACES);
        amount(&w, "net", inv->net, inv->places);
        jw_key_string(&w, "tax_percent", inv->tax_percent);
        amount(&w, "tax", inv->tax, inv->places);
        amount(&w, "gross", inv->gross, inv->places);
        jw_end(&w);
        return jw_done(&w);
}

static const char *text_of(json_object *at, const char *key)
{
        const char *text = json_peek_string(at, key);
        return text ? text : "";
}

static void read_party(json_object *at, struct config_party *out)
{
        *out = (struct config_party){text_of(at, "name"), text_of(at, "address"), text_of(at, "tax_id")};
}

/* Lines beyond 9.2 million are not in one day of one model. */
static bool read_line(json_object *at, struct invoice_line *out)
{
        int64_t pico;
        if (!money_parse(text_of(at, "exact"), &pico))
                return false;
        *out = (struct invoice_line){
                .day = text_of(at, "day"),
                .model = text_of(at, "model"),
                .requests = json_peek_count(at, "requests"),
                .input = json_peek_count(at, "input"),
                .cached = json_peek_count(at, "cached"),
                .output = json_peek_count(at, "output"),
                .pico = pico,
        };
        return true;
}

bool invoice_read_json(struct arena *a, const char *text, size_t len, struct invoice *out)
{
        struct err err = {0};
        json_object *root = json_parse(a, text, len, JSON_FROM_PROVIDER, &err);
        json_object *lines = root ? json_peek_array(root, "lines") : NULL;
        int64_t micro;
        if (!lines)
                return false;
        *out = (struct invoice){
                .number = json_peek_count(root, "number"),
                .account = text_of(root, "account"),
                .month = text_of(root, "month"),
                .from = text_of(root, "from"),
                .until = text_of(root, "until"),
                .zone = text_of(root, "zone"),
                .issued = text_of(root, "issued"),
                .currency = text_of(root, "currency"),
                .prepaid = json_object_get_boolean(json_peek(root, "prepaid")),
                .tax_percent = text_of(root, "tax_percent"),
                .line_count = json_object_array_length(lines),
        };
        read_party(json_peek_object(root, "seller"), &out->seller);
        read_party(json_peek_object(root, "buyer"), &out->buyer);
        out->lines = arena_alloc(a, (out->line_count + 1) * sizeof *out->lines);
        for (size_t i = 0; i < out->line_count; i++) {
                if (!read_line(json_object_array_get_idx(lines, i), &out->lines[i]))
                        return false;
        }
        if (!invoice_percent(out->tax_percent, &micro))
                return false;
        invoice_reckon(out);
        return true;
}

/* ---- in the ledger ---- */

static bool failed(struct ledger *l, char why[512])
{
        snprintf(why, 512, "the ledger: %s", sqlite3_errmsg(ledger_sqlite(l)));
        return false;
}

bool invoice_find(struct ledger *l, const char *account, const char *month, const char *currency,
                  struct arena *a, struct invoice *out, char why[512])
{
        static const char sql[] = "SELECT document FROM invoices WHERE account = ?1 AND month = ?2 AND "
                                  "(?3 IS NULL OR currency = ?3) ORDER BY number LIMIT 1";
        sqlite3_stmt *s = NULL;
        bool found = false;
        *why = '\0';
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK)
                return failed(l, why);
        sqlite3_bind_text(s, 1, account, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, month, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, currency, -1, SQLITE_STATIC);
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
                found = invoice_read_json(a, (const char *)sqlite3_column_text(s, 0),
                                          (size_t)sqlite3_column_bytes(s, 0), out);
                if (!found)
                        snprintf(why, 512, "the invoice of %s for %s in the ledger can't be read", account,
                                 month);
        } else if (rc != SQLITE_DONE) {
                failed(l, why);
        }
        sqlite3_finalize(s);
        return found;
}

static bool keep(struct ledger *l, const struct invoice *inv, int64_t unix_ms, const struct buf *document,
                 char why[512])
{
        static const char sql[] = "INSERT INTO invoices(number, account, month, made_ms, currency, net_pico, "
                                  "tax_pico, gross_pico, "
                                  "tax_percent, document) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        char net[MONEY_TEXT], tax[MONEY_TEXT], gross[MONEY_TEXT];
        sqlite3_stmt *s = NULL;
        if (sqlite3_prepare_v2(ledger_sqlite(l), sql, -1, &s, NULL) != SQLITE_OK)
                return failed(l, why);
        /* Whole numbers of 1e-12: a million of millions times what money_text() shows. */
        money_text(net, inv->net * MONEY_PICO);
        money_text(tax, inv->tax * MONEY_PICO);
        money_text(gross, inv->gross * MONEY_PICO);
        const char *texts[] = {inv->account, inv->month, NULL,  inv->currency,
                               net,          tax,        gross, inv->tax_percent};
        sqlite3_bind_int64(s, 1, inv->number);
        for (int i = 0; i < 8; i++) {
                if (texts[i])
                        sqlite3_bind_text(s, i + 2, texts[i], -1, SQLITE_STATIC);
        }
        sqlite3_bind_int64(s, 4, unix_ms);
        sqlite3_bind_text(s, 10, document->data, (int)document->len, SQLITE_STATIC);
        bool ok = sqlite3_step(s) == SQLITE_DONE || failed(l, why);
        sqlite3_finalize(s);
        return ok;
}

/* ---- numbers without gaps ---- */

/*
 * The highest number ever stands in a file beside the ledger as well, so that a ledger restored from a backup
 * gives none out again. "17 taken" is written before the invoice is committed, "17 issued" after, and only
 * then is it shown to anybody: one that was taken and is not in the ledger was never seen, and is used again.
 */
struct numbers {
        char path[4096], next[4104];
};

static bool numbers_failed(const char *path, char why[512])
{
        snprintf(why, 512, "%.400s: %s", path, strerror(errno));
        return false;
}

static bool numbers_name(struct ledger *l, struct numbers *n, char why[512])
{
        const char *ledger = sqlite3_db_filename(ledger_sqlite(l), "main");
        int len = snprintf(n->path, sizeof n->path, "%s-numbers", ledger ? ledger : "");
        snprintf(n->next, sizeof n->next, "%.4090s-new", n->path);
        if (ledger && *ledger && len < (int)sizeof n->path - 16)
                return true;
        snprintf(why, 512, "the ledger's path is too long");
        return false;
}

/* 0: none yet. */
static bool numbers_read(const struct numbers *n, int64_t *highest, bool *issued, char why[512])
{
        char text[64] = "", word[16] = "";
        long long number = 0;
        int fd = open(n->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        *highest = 0;
        *issued = true;
        if (fd < 0)
                return errno == ENOENT || numbers_failed(n->path, why);
        ssize_t len = read(fd, text, sizeof text - 1);
        close(fd);
        if (len < 0)
                return numbers_failed(n->path, why);
        if (sscanf(text, "%18lld %15s", &number, word) != 2 || number < 1) {
                snprintf(why, 512, "%.400s: expected a number and \"taken\" or \"issued\"", n->path);
                return false;
        }
        *highest = number;
        *issued = strcmp(word, "taken") != 0;
        return true;
}

static bool numbers_write(const struct numbers *n, int64_t number, const char *word, char why[512])
{
        char text[64];
        int len = snprintf(text, sizeof text, "%lld %s\n", (long long)number, word);
        unlink(n->next);
        int fd = open(n->next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return numbers_failed(n->next, why);
        bool ok = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
        ok = close(fd) == 0 && ok && rename(n->next, n->path) == 0;
        return ok || numbers_failed(n->path, why);
}

static bool highest_kept(struct ledger *l, int64_t *out, char why[512])
{
        sqlite3_stmt *s = NULL;
        bool ok = sqlite3_prepare_v2(ledger_sqlite(l), "SELECT max(number) FROM invoices", -1, &s, NULL) ==
                          SQLITE_OK &&
                  sqlite3_step(s) == SQLITE_ROW;
        *out = ok ? sqlite3_column_int64(s, 0) : 0;
        sqlite3_finalize(s);
        return ok || failed(l, why);
}

static bool take_number(struct ledger *l, const struct numbers *n, int64_t *number, char why[512])
{
        int64_t kept, highest;
        bool issued;
        if (!highest_kept(l, &kept, why) || !numbers_read(n, &highest, &issued, why))
                return false;
        *number = highest <= kept ? kept + 1 : issued ? highest + 1 : highest;
        return numbers_write(n, *number, "taken", why);
}

bool invoice_issue(struct ledger *l, struct invoice *inv, int64_t unix_ms, char why[512])
{
        enum { BUSY_MS = 10000 };
        struct numbers numbers;
        struct buf document;
        bool ok = false;
        if (!numbers_name(l, &numbers, why))
                return false;
        if (!ledger_begin(l, BUSY_MS))
                return failed(l, why);
        buf_init(&document, DOCUMENT_MAX);
        if (take_number(l, &numbers, &inv->number, why)) {
                if (invoice_write_json(inv, &document))
                        ok = keep(l, inv, unix_ms, &document, why) && (ledger_commit(l) || failed(l, why));
                else
                        snprintf(why, 512, "the invoice is too long");
        }
        if (ok)
                ok = numbers_write(&numbers, inv->number, "issued", why);
        else
                ledger_rollback(l);
        if (!ok)
                inv->number = 0;
        buf_release(&document);
        return ok;
}
