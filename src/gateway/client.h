/*
 * The one place that knows CGI from FastCGI: environment, body, answer, error log. Late headers fail loudly
 * (assert).
 */
#ifndef TOLLGATE_GATEWAY_CLIENT_H
#define TOLLGATE_GATEWAY_CLIENT_H

#include <fcgiapp.h>
#include <stdbool.h>
#include <stddef.h>
#include "relay/relay.h"

struct client;

/* Borrowed request, until client_free. */
struct client *client_from_fastcgi(FCGX_Request *request);
struct client *client_from_cgi(void);
void client_free(struct client *c);

const char *client_variable(const struct client *c, const char *name); /* CGI variable, or NULL; "" is NULL */
/* Calls fn for each variable "NAME=value". */
void client_each_variable(const struct client *c, void (*fn)(void *context, const char *variable),
                          void *context);
/* Next bytes of the body; 0 at its end, -1 on a broken connection. */
long client_read(struct client *c, char *out, size_t room);
/* Nothing more of the body is wanted: its read buffer is given back. client_read gives 0 from now on. */
void client_body_done(struct client *c);
/* The callbacks that the relay writes through; owned by the client. */
const struct relay_client *client_sink(struct client *c);
/* Headers that go out with every answer (x-request-id, CORS, …), set before the answer begins. Values must be
 * safe. A cache-control among them stands in place of "private, no-store". */
void client_set_header(struct client *c, const char *name, const char *value);
bool client_began(const struct client *c);
void client_log_line(void *client, const char *line,
                     size_t len); /* a log_sink_fn: to the web server's error log */
/* Log lines that could not be told, as the connection was closed: malloc'd, the caller's from now on; NULL:
 * none. */
char *client_untold_log(struct client *c);

#endif
