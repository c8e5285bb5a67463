/* Inside the books (book.c, book_move.c); not for others. */
#ifndef TOLLGATE_STORE_BOOK_INTERNAL_H
#define TOLLGATE_STORE_BOOK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "store/book.h"
#include "store/spool.h"

enum { BOOK_ATTEMPTS = 64, BOOK_ALERT_COLUMNS = 8, BOOK_NAME = 16, BOOK_BUSY_MS = 1000 };

extern const struct ledger_column book_alert_columns[BOOK_ALERT_COLUMNS];

/* What is complained of once a minute, each for itself. */
enum book_trouble { BOOK_FULL, BOOK_WAITS, BOOK_DEAD, BOOK_UNREADABLE, BOOK_TROUBLES };

struct book {
        char *path, *currency;
        void (*settle)(void *context, const char *account, const struct ledger_attempt *a);
        void *context;
        int folder;
        unsigned number; /* of the spool */
        struct spool *own;
        _Atomic int64_t moved; /* offset in it: everything before is in the ledger */
        _Atomic int64_t complain_ms[BOOK_TROUBLES];
        pthread_mutex_t moving; /* of `ledger` and the moving itself */
        struct ledger *ledger;
        int64_t look_ms;         /* when to look for spools of the dead again */
        pthread_mutex_t reading; /* of `reader` */
        struct ledger *reader;
        pthread_rwlock_t purse_lock;
        struct ledger_purse *purses;
        size_t purse_count, purse_room;
        int64_t purse_version; /* 0: never read */
        pthread_mutex_t ids;
        int64_t id_ms, id_next;
};

/* ---- book.c */
void book_complain(struct book *b, enum book_trouble trouble, const char *why);
/* The connection for reading; under `reading`. NULL: told in the log. */
struct ledger *book_reader(struct book *b);

/* ---- book_move.c */
/* As book_move(), and looks for the dead whether it is time or not. */
int64_t book_move_all(struct book *b);
/* Nothing of the own spool is to be kept any more. For the end. */
void book_empty(struct book *b);
/* Rows of a record that is whole: SPOOL_END, SPOOL_ALERT. False: not now. */
bool book_add(struct book *b, const struct spool_record *r);
/* Rolls back, complains, and gives false. */
bool book_give_up(struct book *b, enum book_trouble trouble);
/* Strings point into the record. NULL and false: it is none. */
const char *book_read_row(const struct spool_record *r, struct ledger_row *row);
const char *book_read_attempt(const char *text, const struct spool_record *r, struct ledger_attempt *a);

/* ---- book_opens.c: the requests of a spool that have begun */
struct book_open_request {
        int64_t id; /* 0: a free place */
        bool ended;
        int64_t progress, seen;
        struct book_lost *lost; /* book_dead.c */
};
struct book_opens {
        struct book_open_request *places;
        size_t room, count; /* room: a power of two */
};
struct book_open_request *book_open_of(struct book_opens *t, int64_t id);
/* Notes begins, progress and ends: a spool_fn. */
bool book_note_open(const struct spool_record *r, void *opens);
void book_opens_free(struct book_opens *t);

/* ---- book_dead.c */
/* Books all that is in a spool whose owner is dead, and begins it anew. False: not now. Under `moving`, or
 * before the book is shared. */
bool book_recover(struct book *b, struct spool *s, unsigned number);
/* All spools whose lock is free. */
bool book_recover_all(struct book *b);
/* Calls fn for each spool of the folder, in use or not. False: the folder can't be read, or fn said so. */
bool book_each_spool(struct book *b, bool (*fn)(struct book *b, const char *name, void *context),
                     void *context);

#endif
