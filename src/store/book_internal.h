/* Inside the books (book.c, book_move.c); not for others. */
#ifndef TOLLGATE_STORE_BOOK_INTERNAL_H
#define TOLLGATE_STORE_BOOK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "store/book.h"
#include "store/spool.h"

enum { BOOK_ATTEMPTS = 64, BOOK_ALERT_COLUMNS = 8 };

extern const struct ledger_column book_alert_columns[BOOK_ALERT_COLUMNS];

struct book {
        char *path, *currency;
        void (*settle)(void *context, const char *account, const struct ledger_attempt *a);
        void *context;
        int folder;
        unsigned number; /* of the spool */
        struct spool *own;
        _Atomic int64_t moved; /* offset in it: everything before is in the ledger */
        _Atomic int64_t complain_ms;
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

void book_complain(struct book *b, const char *doing, const char *why);
/* Books all that is in a spool whose owner is dead, and begins it anew. False: not now. Under `moving`, or
 * before the book is shared. */
bool book_recover(struct book *b, struct spool *s);
/* As book_move(), and looks for the dead whether it is time or not. */
int64_t book_move_all(struct book *b);

#endif
