/*
 * Images by URL, for targets that want bytes (SECURITY item 10). Own handle, no connection reuse, no proxy;
 * http and https on ports 80 and 443; at most three redirects, each judged again; addresses judged when the
 * socket is made, so that rebinding gains nothing. One uniform error, whatever was wrong. The type is taken
 * from the bytes.
 */
#ifndef TOLLGATE_UPSTREAM_FETCH_H
#define TOLLGATE_UPSTREAM_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/meter.h"
#include "config/config.h"
#include "dialect/chat.h"

struct fetch_job {
        const char *url;         /* in */
        const char *path;        /* in: the field's path, for the message */
        struct chat_source *out; /* out: SOURCE_BASE64 with media_type, in the arena */
};

/*
 * Fetches all, several at once. False: err ("messages[0].content[1]: the image could not be fetched").
 * memory: counts what the images take against max_memory; NULL: nobody counts. *taken grows by it also where
 * the fetch fails; the caller gives it back once the images are gone.
 */
bool fetch_images(struct arena *a, const struct config *c, struct meter *memory, int64_t *taken,
                  struct fetch_job *jobs, size_t count, struct err *err);

/* Pure, for tests: may this address be connected to? allow: hosts, addresses and CIDR blocks of the
 * configuration; cloud metadata addresses stay refused even when it covers them. */
bool fetch_address_allowed(const struct sockaddr *address, const char *host, const char *const *allow,
                           size_t allow_count);
/* Pure: scheme, host, port and form of a URL, before any look-up. */
bool fetch_url_allowed(const char *url, const char *const *allow, size_t allow_count);

#endif
