/* Whose limits count for a request: the account's, or by `per` those of one user, address or key of it. */
#ifndef TOLLGATE_GATEWAY_CALLER_H
#define TOLLGATE_GATEWAY_CALLER_H

#include "gateway/account.h"
#include "store/state.h"

/* address: of the peer, as the web server says (REMOTE_ADDR), or NULL. Of IPv6 its network of 64 bits counts,
 * which is what one customer has. The name lives in the arena. */
struct subject caller_subject(struct arena *a, const struct identity *who, const char *address);

#endif
