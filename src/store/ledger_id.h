/*
 * Request ids that are made here: "tg-", 16 hex digits of chance and 16 of ledger_row.id. So the row is found
 * by its primary key, and nobody guesses an id of another's. An id may be a caller's own word that only looks
 * so: whoever finds a row by it compares row.request_id as well.
 */
#ifndef TOLLGATE_STORE_LEDGER_ID_H
#define TOLLGATE_STORE_LEDGER_ID_H

#include <stdint.h>

enum { LEDGER_ID_TEXT = 36, LEDGER_ID_MARK = 3 /* bytes of "tg-" */ };

/* Gives out. */
char *ledger_id_text(char out[LEDGER_ID_TEXT], uint64_t chance, int64_t id);
/* 0: it is none of ours. */
int64_t ledger_id_of(const char *text);

#endif
