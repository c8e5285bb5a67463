/*
 * Keeps the books of this process (store/book.h): opens the ledger that the configuration names, moves lines
 * into it from a thread of its own, forgets what is older than keep_days, gives alerts, settles what the dead
 * held.
 */
#ifndef TOLLGATE_GATEWAY_BOOKKEEPER_H
#define TOLLGATE_GATEWAY_BOOKKEEPER_H

#include "config/config.h"
#include "gateway/state_holder.h"
#include "store/book.h"

struct bookkeeper;

/* threaded: false in a CGI process, which moves at its end. */
struct bookkeeper *bookkeeper_new(struct config_watch *watch, struct state_holder *states, bool threaded);
/* Moves what it can in a few seconds. NULL is fine. */
void bookkeeper_free(struct bookkeeper *k);
/* NULL: there is no ledger (`ledger = ""`), or it can't be used now: the log says so, once a minute. */
struct book *bookkeeper_get(struct bookkeeper *k, const struct config *c);

#endif
