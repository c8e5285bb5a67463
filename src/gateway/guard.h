/*
 * The guard against foreign pages (contract §3, last paragraph): everything but an API key is sent along by a
 * browser from any site, so a request without one must come from the vhost's own pages, or from none. Pure.
 */
#ifndef TOLLGATE_GATEWAY_GUARD_H
#define TOLLGATE_GATEWAY_GUARD_H

#include "config/config.h"
#include "gateway/client.h"

struct guard_input {
        const char *method;        /* "GET" for HEAD too */
        const char *site, *mode;   /* Sec-Fetch-Site, Sec-Fetch-Mode; or NULL */
        const char *origin, *host; /* or NULL */
        bool https;                /* the vhost's own scheme */
};

void guard_read(struct guard_input *out, const struct client *c, const char *method);
/* An origin that is listed in `cors` counts as the vhost's own, also where a browser calls it cross-site. */
bool guard_is_own_page(const struct guard_input *in, const struct config *config);
/* Listed in `cors` ("null" never is; the configuration takes no "*"). */
bool guard_origin_listed(const struct config *config, const char *origin);

#endif
