/*
 * Invoices: what an account was charged for the requests of one month in one currency, by day and model. The
 * exact total of the lines, in 1e-12 units, is the exact sum of the rows' charges; amounts are shown with six
 * places, shared out so that the lines shown add up to the total shown; the net amount is that total rounded
 * to what the currency can pay, and the difference stands on a line of its own.
 *
 * An issued invoice has a number and never changes: what is kept is the document itself, as JSON. Numbers
 * have no gaps: one is used up in the transaction that keeps the invoice, and a restored ledger never gives
 * one out again (SECURITY item 21).
 */
#ifndef TOLLGATE_STORE_INVOICE_H
#define TOLLGATE_STORE_INVOICE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/zone.h"
#include "config/config.h"
#include "store/ledger.h"

enum { INVOICE_PLACES = 6 };

struct invoice_line {
        const char *day, *model; /* "2026-11-26"; "" where no model was found */
        int64_t requests, input, cached, output;
        __int128 pico;  /* exact */
        __int128 shown; /* with INVOICE_PLACES, in 1e-12 */
};

struct invoice {
        int64_t number;                                         /* 0: a draft */
        const char *account, *month, *currency, *zone, *issued; /* issued: a day; "" for a draft */
        const char *from, *until;                               /* the first and the last day */
        struct config_party seller, buyer;
        struct invoice_line *lines; /* by day, then model */
        size_t line_count;
        int64_t requests;
        bool prepaid;
        unsigned places;       /* of what the currency can pay: 2 for EUR, 0 for JPY */
        __int128 exact, shown; /* of the lines */
        __int128 rounding;     /* net - shown */
        __int128 net, tax, gross;
        const char *tax_percent; /* "19", "7.5", "0" */
};

/* "2026-11". False: it is no month. */
bool invoice_month(const char *text, int *year, int *month);
/* The first second of a month in a zone (NULL: UTC). */
int64_t invoice_month_starts(const struct zone *z, int year, int month);
/* Places of the currency's smallest coin (ISO 4217). */
unsigned invoice_places(const char *currency);
/* "19", "7.5": in millionths of the amount. False: it is no percentage from 0 to 100 with at most 4 places.
 */
bool invoice_percent(const char *text, int64_t *micro);

struct invoice_ask {
        const struct config *config;
        const struct config_account *account;
        const char *currency; /* NULL: the one that the rows have */
        int year, month;
        const char *tax_percent; /* checked */
        const char *today;       /* "2026-11-26" */
};
/* A draft from the rows. Strings in the arena. False: why. */
bool invoice_collect(struct ledger *l, const struct invoice_ask *ask, struct arena *a, struct invoice *out,
                     char why[512]);
/* Sums, rounding, tax, from the lines, currency and tax_percent. Pure. */
void invoice_reckon(struct invoice *inv);

/* The one that was issued. False: none, or (why not empty) it can't be read. */
bool invoice_find(struct ledger *l, const char *account, const char *month, const char *currency,
                  struct arena *a, struct invoice *out, char why[512]);
/* Gives the draft a number and keeps it. False: why. */
bool invoice_issue(struct ledger *l, struct invoice *inv, int64_t unix_ms, char why[512]);

bool invoice_write_json(const struct invoice *inv, struct buf *out);
bool invoice_read_json(struct arena *a, const char *text, size_t len, struct invoice *out);

#endif
