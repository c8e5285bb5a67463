/*
 * The books of one process: its spool file and the ledger behind it (docs/architecture.md). What happens is
 * appended to the spool in about a microsecond, and moved into SQLite in groups by book_move(), off the
 * request's path. A process that dies leaves its spool; whoever moves next finds it by its free lock, and
 * books what had begun and not ended as `interrupted`. Each request is in the ledger exactly once, by its id.
 *
 * The spool lies beside the ledger ("usage.db-spool/", mode 0700), its room allocated ahead, so that a full
 * disk loses nothing until the bound. SECURITY items 16, 18.
 */
#ifndef TOLLGATE_STORE_BOOK_H
#define TOLLGATE_STORE_BOOK_H

#include "policy/budget.h"
#include "store/ledger.h"
#include "store/ledger_row.h"

struct book;

struct book_options {
        const char *path;                /* of the ledger */
        const char *currency;            /* config.currency */
        int64_t first_bytes, most_bytes; /* of this process's spool: allocated at once; its bound */
        /* Called by book_move() for each attempt of a dead process that the account's budget still holds:
         * with its account, what was held, and what it is charged. May be NULL. */
        void (*settle)(void *context, const char *account, const struct ledger_attempt *a);
        void *context;
};

/* NULL: why, in words that name the file. Makes the ledger and the spool's folder where they are missing. */
struct book *book_open(const struct book_options *o, char why[512]);
/* Moves what it can within ms, and closes. What is left is for others. */
void book_close(struct book *b, int64_t ms);

/* A new id for a request, ascending with time. */
int64_t book_id(struct book *b, int64_t unix_ms);

/*
 * Before an attempt goes out: the request so far (all that is known of it), and the attempt with what is
 * reckoned of it (tokens, cost_pico, charge_pico: what it is billed if nothing more is heard of it). False:
 * the spool is full (logged, once a minute).
 */
bool book_begin(struct book *b, const struct ledger_row *row, const struct ledger_attempt *a);
/* How far a stream has come; at most once a second for each attempt. */
void book_progress(struct book *b, const struct ledger_progress *p);
/* An attempt is over, while its request goes on or its budget is about to be settled: what is settled in the
 * state is no more to be settled for a dead process. */
void book_attempt(struct book *b, const struct ledger_attempt *a);
/* The request is over; all its attempts. Its begins and progress are void from here on. */
bool book_end(struct book *b, const struct ledger_row *row, const struct ledger_attempt *attempts,
              size_t count);
/* The spool has reached its bound: accounts with hard budgets or balances are to be refused. */
bool book_full(const struct book *b);

/* An alert is due: once for each account, period and share, whatever is said how often. */
struct book_alert {
        const char *account, *period; /* "day", "month" */
        int64_t number;               /* the day's or the month's: budget_state */
        int64_t share_micro, spent_pico, limit_pico;
        const char *currency;
        int64_t time_ms;
};
void book_alert(struct book *b, const struct book_alert *a);

/*
 * One round: this process's own lines, then those of the dead, into the ledger. For one thread at a time.
 * Gives how many requests were moved; -1: not now (the database is locked, the disk full: logged, once a
 * minute; nothing is lost).
 */
int64_t book_move(struct book *b);
/* Lines wait to be moved. */
bool book_has_lines(const struct book *b);
/* Bytes of them; more than a group waits only where the ledger can't be written. */
int64_t book_waiting(const struct book *b);
/* The running totals of all processes, but for lines that wait (ledger_totals_each()); safe from all threads.
 * False: the ledger can't be read now. */
bool book_totals(struct book *b, ledger_totals_fn *fn, void *context);
/* The ledger, for reports, alerts, retention: a connection of its own, for one thread. NULL: why. */
struct ledger *book_ledger(struct book *b, char why[512]);

/* ---- prepaid accounts: those that were ever topped up ---- */
struct book_purse {
        char currency[4];
        int64_t topped_pico;
};
/* As known since the last refresh; safe from all threads, cheap. False: the account is not prepaid. */
bool book_purse(struct book *b, const char *account, struct book_purse *out);
/* Reads them again where the ledger has changed. book_open() and book_move() do so too. */
void book_refresh(struct book *b);

/* What an account spent since these moments (unix ms) in a currency, lines of all spools counted in;
 * spent_pico since it became prepaid. False: the ledger can't be read now. */
bool book_spent(struct book *b, const char *account, const char *currency, int64_t day_starts_ms,
                int64_t month_starts_ms, struct budget_spent *out);

#endif
