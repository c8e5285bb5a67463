/*
 * Keeps the books of this process (store/book.h): opens the ledger that the configuration names, moves lines
 * into it from a thread of its own, settles what the dead held. A second thread does what may take long: it
 * forgets what is older than keep_days, and gives alerts (gateway/chores.h).
 */
#ifndef TOLLGATE_GATEWAY_BOOKKEEPER_H
#define TOLLGATE_GATEWAY_BOOKKEEPER_H

#include "base/log.h"
#include "config/config.h"
#include "gateway/state_holder.h"
#include "store/book.h"

struct bookkeeper;

struct bookkeeper_options {
        struct config_watch *watch; /* where the first configuration comes from; NULL: from requests only */
        struct state_holder *states;
        bool threaded;         /* false in a CGI process, which moves at its end */
        log_sink_fn *log_sink; /* of its threads; NULL: stderr */
        void *log_context;
};

struct bookkeeper *bookkeeper_new(const struct bookkeeper_options *options);
/* Moves what it can in a few seconds; unthreaded: tries once. No request may use a book any more. NULL is
 * fine. */
void bookkeeper_free(struct bookkeeper *k);
/* For a request. NULL: there is no ledger (`ledger = ""`), or it can't be used now: then the log says so,
 * once a minute, and how many requests it lacks. */
struct book *bookkeeper_get(struct bookkeeper *k, const struct config *c);
/* The same for who only reads: no request is missed. */
struct book *bookkeeper_look(struct bookkeeper *k, const struct config *c);

#endif
