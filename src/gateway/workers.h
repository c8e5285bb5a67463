/*
 * Threads over a listening FastCGI socket, each with one request from accept to end. A few are started; one
 * more whenever the last idle one takes a request, up to the limit: what is never needed costs no memory. The
 * listener may be shared with other processes and is never shut down.
 */
#ifndef TOLLGATE_GATEWAY_WORKERS_H
#define TOLLGATE_GATEWAY_WORKERS_H

#include <sys/socket.h>

#include "gateway/gateway.h"

struct workers;

/* To be called by the only thread. most: as many threads at once. NULL: no thread could be started. */
struct workers *workers_start(struct gateway *g, int listener, int most);
/*
 * Stops accepting, and waits until what runs has ended, at most drain_ms. True: all threads have ended, and
 * the gateway may be taken down; false: some still run, and only _exit() is safe.
 */
bool workers_stop(struct workers *w, int64_t drain_ms);

/*
 * FastCGI's own list of who may connect over TCP, addresses parted by commas (specification 3.2,
 * FCGI_WEB_SERVER_ADDRS). list NULL: everybody. Peers of a UNIX socket are let in by its mode.
 */
bool workers_peer_allowed(const char *list, const struct sockaddr *peer);

#endif
