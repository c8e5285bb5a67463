/* What is done with a ledger now and then, beside the requests: alerts are given, old rows forgotten. */
#ifndef TOLLGATE_GATEWAY_CHORES_H
#define TOLLGATE_GATEWAY_CHORES_H

#include <stdatomic.h>
#include "config/config.h"
#include "store/book.h"

/* Of one thread: a connection to the ledger, and when to do what. */
struct chores;

struct chores *chores_new(void);
void chores_free(struct chores *ch);
/* All that is due: may take a minute, but ends soon when *stop is set. What goes wrong is logged, and tried
 * again later. */
void chores_do(struct chores *ch, struct book *book, const struct config *c, const _Atomic bool *stop);
/* The share of a CGI process: an alert at most, and now and then a few rows. */
void chores_do_little(struct chores *ch, struct book *book, const struct config *c);

/* Gives the alerts that are due, `most` at most; gives how many were tried. Each is tried again for a day,
 * ever later. */
int chores_alerts(struct ledger *l, const struct config *c, int most, int64_t unix_ms,
                  const _Atomic bool *stop);
/* Forgets rows and records that are older than keep_days, in small steps, `steps` at most; gives how many
 * rows. */
int64_t chores_forget(struct ledger *l, const struct config *c, int steps, int64_t unix_ms,
                      const _Atomic bool *stop);

#endif
