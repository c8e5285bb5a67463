#include "gateway/guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ORIGIN_MAX = 300 };

void guard_read(struct guard_input *out, const struct client *c, const char *method)
{
        const char *https = client_variable(c, "HTTPS"), *scheme = client_variable(c, "REQUEST_SCHEME");
        *out = (struct guard_input){
                .method = method,
                .site = client_variable(c, "HTTP_SEC_FETCH_SITE"),
                .mode = client_variable(c, "HTTP_SEC_FETCH_MODE"),
                .origin = client_variable(c, "HTTP_ORIGIN"),
                .host = client_variable(c, "HTTP_HOST"),
                .https = (https && strcasecmp(https, "off") != 0) ||
                         (scheme && strcasecmp(scheme, "https") == 0),
        };
}

bool guard_origin_listed(const struct config *config, const char *origin)
{
        if (!origin || strcasecmp(origin, "null") == 0)
                return false;
        for (size_t i = 0; i < config->cors_count; i++) {
                if (strcasecmp(config->cors[i], origin) == 0)
                        return true;
        }
        return false;
}

/* Host and port, without the port that the scheme has anyway. */
static bool same_host(const char *x, const char *y, bool https)
{
        const char *standard = https ? ":443" : ":80";
        size_t m = strlen(x), n = strlen(y), tail = strlen(standard);
        if (m > tail && strcmp(x + m - tail, standard) == 0)
                m -= tail;
        if (n > tail && strcmp(y + n - tail, standard) == 0)
                n -= tail;
        return m == n && strncasecmp(x, y, m) == 0;
}

static bool own_origin(const struct guard_input *in)
{
        const char *scheme = in->https ? "https://" : "http://";
        size_t len = strlen(scheme);
        return in->host && strlen(in->origin) <= ORIGIN_MAX && strncasecmp(in->origin, scheme, len) == 0 &&
               same_host(in->origin + len, in->host, in->https);
}

bool guard_is_own_page(const struct guard_input *in, const struct config *config)
{
        bool navigation = strcmp(in->method, "GET") == 0 && in->mode && strcasecmp(in->mode, "navigate") == 0;
        if (navigation || guard_origin_listed(config, in->origin))
                return true;
        if (in->site)
                return strcasecmp(in->site, "same-origin") == 0 || strcasecmp(in->site, "none") == 0;
        return !in->origin || own_origin(in);
}
