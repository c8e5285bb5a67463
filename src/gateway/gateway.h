/*
 * The web server's side: one request from its CGI environment to the last byte. Everything of the process
 * that outlives a request stands in struct gateway.
 */
#ifndef TOLLGATE_GATEWAY_GATEWAY_H
#define TOLLGATE_GATEWAY_GATEWAY_H

#include <stdatomic.h>
#include "base/meter.h"
#include "config/config.h"
#include "gateway/bookkeeper.h"
#include "gateway/client.h"
#include "gateway/state_holder.h"
#include "store/response_cache.h"
#include "upstream/transport.h"

struct gateway {
        struct config_watch *watch;
        struct upstream_pool *pool;
        struct state_holder *states;
        struct bookkeeper *books; /* NULL: nothing is booked */
        struct response_cache *answers;
        struct relay_waiting waiting;
        struct meter memory;
        _Atomic int busy;         /* model requests under way */
        int workers;              /* threads of this process; two are kept for what must always answer */
        _Atomic(char *) kept_log; /* lines for the next request's error stream: of the start, and of requests
                                     whose own connection was closed; malloc'd, or NULL */
        bool socket_is_remote; /* the listening socket is TCP: REMOTE_USER and SSL_* are not believed unless
                                  configured */
};

/* How many of the workers may wait for a turn (queues, cool-downs): never the last ones. */
void gateway_set_workers(struct gateway *g, int workers);

/* A log_sink_fn for threads without a request: to stderr, which a spawning web server may have thrown away,
 * and to the next request's error stream. */
void gateway_log_line(void *gateway, const char *line, size_t len);

/* Serves one request, whatever it is; never fails. */
void gateway_serve(struct gateway *g, struct client *client);

#endif
