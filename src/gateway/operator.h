/*
 * Who is an operator (SECURITY item 5): users and accounts that the configuration lists, and peers by their
 * address. Nobody by default. Pure functions over what was sent and the configuration.
 */
#ifndef TOLLGATE_GATEWAY_OPERATOR_H
#define TOLLGATE_GATEWAY_OPERATOR_H

#include "config/config.h"
#include "gateway/client.h"

struct operator_input {
        const char *user;                     /* authenticated by the web server; NULL: none */
        const struct config_account *account; /* NULL: none */
        const char *peer; /* its address; NULL: unknown, or a proxy's, which says nothing of who asks */
};

/* Fills in `peer`. believe_server: the web server's variables count. */
void operator_read_peer(struct operator_input *out, const struct client *c, bool believe_server);
bool operator_is(const struct config *c, const struct operator_input *in);

/* Does "192.0.2.1", "2001:db8::1" or a block such as "192.0.2.0/24" hold the address? An address of IPv4 in
 * IPv6's form ("::ffff:192.0.2.1") is the one of IPv4. */
bool operator_block_holds(const char *block, const char *address);

#endif
