#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "upstream/fetch.h"

enum { URL_MAX = 8192 };

/* ---------------------------------------------------------------- ranges */

struct range {
        const char *address;
        unsigned bits;
};

/* SECURITY item 10 */
static const struct range refused[] = {
        {"0.0.0.0", 8},      {"10.0.0.0", 8},    {"100.64.0.0", 10}, {"127.0.0.0", 8},
        {"169.254.0.0", 16}, {"172.16.0.0", 12}, {"192.0.0.0", 24},  {"192.168.0.0", 16},
        {"198.18.0.0", 15},  {"224.0.0.0", 4},   {"240.0.0.0", 4},   {"168.63.129.16", 32},
        {"::", 128},         {"::1", 128},       {"fc00::", 7},      {"fe80::", 10},
        {"ff00::", 8},       {"::", 96},         {"::ffff:0:0", 96}, {"64:ff9b::", 96},
        {"64:ff9b:1::", 48}, {"2002::", 16},     {"2001::", 32},
};

/* Where clouds hand credentials to their machines. No setting opens these. */
static const struct range metadata[] = {
        {"169.254.169.0", 24},   /* AWS, Azure, Google, DigitalOcean, Oracle, OpenStack */
        {"169.254.170.0", 24},   /* AWS: containers */
        {"169.254.0.23", 32},    /* Tencent */
        {"168.63.129.16", 32},   /* Azure */
        {"100.100.100.200", 32}, /* Alibaba */
        {"192.0.0.192", 32},     /* Oracle */
        {"fd00:ec2::", 32},      /* AWS */
        {"fd20:ce::", 32},       /* Google */
        {"fd00:42::42", 128},    /* Scaleway */
};

/* Forms of IPv6 that hold an address of IPv4, and at which byte. */
static const struct {
        struct range range;
        unsigned at;
} embedded[] = {
        {{"::", 96}, 12},          {{"::ffff:0:0", 96}, 12}, {{"64:ff9b::", 96}, 12},
        {{"64:ff9b:1::", 48}, 12}, {{"2002::", 16}, 2},
};

struct address {
        unsigned len; /* 4 or 16 */
        uint8_t bytes[16];
        uint16_t port;
};

static bool address_of(const struct sockaddr *sa, struct address *out)
{
        memset(out, 0, sizeof *out);
        if (sa->sa_family == AF_INET) {
                const struct sockaddr_in *in = (const void *)sa;
                out->len = 4;
                memcpy(out->bytes, &in->sin_addr, 4);
                out->port = ntohs(in->sin_port);
        } else if (sa->sa_family == AF_INET6) {
                const struct sockaddr_in6 *in = (const void *)sa;
                out->len = 16;
                memcpy(out->bytes, &in->sin6_addr, 16);
                out->port = ntohs(in->sin6_port);
        }
        return out->len != 0;
}

static bool parse_address(const char *text, struct address *out)
{
        memset(out, 0, sizeof *out);
        if (inet_pton(AF_INET, text, out->bytes) == 1)
                out->len = 4;
        else if (inet_pton(AF_INET6, text, out->bytes) == 1)
                out->len = 16;
        return out->len != 0;
}

static bool covers(const struct address *net, unsigned bits, const struct address *a)
{
        if (net->len != a->len || bits > net->len * 8)
                return false;
        if (memcmp(net->bytes, a->bytes, bits / 8) != 0)
                return false;
        unsigned rest = bits % 8;
        return rest == 0 || (net->bytes[bits / 8] ^ a->bytes[bits / 8]) >> (8 - rest) == 0;
}

static bool in_range(const struct range *r, const struct address *a)
{
        struct address net;
        return parse_address(r->address, &net) && covers(&net, r->bits, a);
}

static bool in_ranges(const struct range *ranges, size_t count, const struct address *a)
{
        for (size_t i = 0; i < count; i++) {
                if (in_range(&ranges[i], a))
                        return true;
        }
        return false;
}

static bool is_metadata(const struct address *a)
{
        if (in_ranges(metadata, sizeof metadata / sizeof *metadata, a))
                return true;
        for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++) {
                if (!in_range(&embedded[i].range, a))
                        continue;
                struct address inner = {.len = 4};
                memcpy(inner.bytes, a->bytes + embedded[i].at, 4);
                if (in_ranges(metadata, sizeof metadata / sizeof *metadata, &inner))
                        return true;
        }
        return false;
}

/* ---------------------------------------------------------------- what the configuration allows */

/* "host", "host:8080", "192.0.2.1", "[2001:db8::1]:8080", "10.0.0.0/8", "fd00::/8" */
struct entry {
        char host[256];
        unsigned port; /* 0: none was named */
        bool is_address;
        struct address net;
        unsigned bits;
};

static bool parse_number(const char *s, unsigned max, unsigned *out)
{
        unsigned n = 0;
        for (const char *c = s; *c; c++) {
                if (*c < '0' || *c > '9' || n > max)
                        return false;
                n = n * 10 + (unsigned)(*c - '0');
        }
        *out = n;
        return *s && n <= max;
}

static bool entry_parse(const char *text, struct entry *e)
{
        memset(e, 0, sizeof *e);
        bool brackets = text[0] == '[';
        size_t len = brackets ? strcspn(++text, "]") : strlen(text);
        const char *rest = text + len, *colon = strchr(text, ':');
        if (brackets && *rest)
                rest++;
        else if (!brackets && colon && !strchr(colon + 1, ':')) { /* more colons: an address without a port */
                len = (size_t)(colon - text);
                rest = colon;
        }
        if (len == 0 || len >= sizeof e->host ||
            (*rest && (*rest != ':' || !parse_number(rest + 1, 65535, &e->port))))
                return false;
        memcpy(e->host, text, len);
        char *slash = strchr(e->host, '/');
        if (slash)
                *slash = 0;
        e->is_address = parse_address(e->host, &e->net);
        e->bits = e->net.len * 8;
        return !slash || (e->is_address && parse_number(slash + 1, e->bits, &e->bits));
}

/* Without the dot that ends a full name. */
static bool same_host(const char *one, const char *two)
{
        size_t a = strlen(one), b = strlen(two);
        a -= a && one[a - 1] == '.';
        b -= b && two[b - 1] == '.';
        return a == b && strncasecmp(one, two, a) == 0;
}

bool fetch_address_allowed(const struct sockaddr *sa, const char *host, const char *const *allow,
                           size_t allow_count)
{
        struct address a;
        struct entry e;
        if (!address_of(sa, &a) || is_metadata(&a))
                return false;
        for (size_t i = 0; i < allow_count; i++) {
                if (!entry_parse(allow[i], &e) || (e.port && e.port != a.port))
                        continue;
                if (e.is_address ? covers(&e.net, e.bits, &a) : host && same_host(e.host, host))
                        return true;
        }
        return !in_ranges(refused, sizeof refused / sizeof *refused, &a);
}

/* ---------------------------------------------------------------- URLs */

static bool port_allowed(const char *host, const struct address *literal, unsigned port,
                         const char *const *allow, size_t allow_count)
{
        struct entry e;
        if (port == 80 || port == 443)
                return true;
        for (size_t i = 0; i < allow_count; i++) {
                if (!entry_parse(allow[i], &e) || e.port != port)
                        continue;
                if (e.is_address ? literal->len && covers(&e.net, e.bits, literal) : same_host(e.host, host))
                        return true;
        }
        return false;
}

/* A host that is an address is judged at once; a name is when its address is known. */
static bool host_allowed(const char *host, unsigned port, const char *const *allow, size_t allow_count)
{
        char bare[256];
        struct address literal;
        size_t len = strlen(host);
        bool brackets = host[0] == '[' && len > 2 && host[len - 1] == ']';
        if (len == 0 || len >= sizeof bare)
                return false;
        memcpy(bare, host + brackets, len - 2 * brackets);
        bare[len - 2 * brackets] = 0;
        len = strlen(bare);
        if (len > 1 && bare[len - 1] == '.') /* "127.0.0.1." is an address to a resolver */
                bare[len - 1] = 0;
        if (!parse_address(bare, &literal) && brackets)
                return false;
        if (!port_allowed(bare, &literal, port, allow, allow_count))
                return false;
        if (!literal.len)
                return true;
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        memcpy(&v4.sin_addr, literal.bytes, 4);
        memcpy(&v6.sin6_addr, literal.bytes, 16);
        const void *sa = literal.len == 4 ? (const void *)&v4 : &v6;
        return fetch_address_allowed(sa, bare, allow, allow_count);
}

static bool parts_allowed(CURLU *u, const char *const *allow, size_t allow_count)
{
        char *scheme = NULL, *user = NULL, *password = NULL, *host = NULL, *port = NULL, *zone = NULL;
        unsigned number;
        bool ok = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                  curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK &&
                  curl_url_get(u, CURLUPART_PASSWORD, &password, 0) != CURLUE_OK &&
                  curl_url_get(u, CURLUPART_ZONEID, &zone, 0) != CURLUE_OK;

        ok = ok && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0) &&
             parse_number(port, 65535, &number) && host_allowed(host, number, allow, allow_count);
        curl_free(scheme);
        curl_free(user);
        curl_free(password);
        curl_free(host);
        curl_free(port);
        curl_free(zone);
        return ok;
}

bool fetch_url_allowed(const char *url, const char *const *allow, size_t allow_count)
{
        size_t len = strnlen(url, URL_MAX + 1);
        if (len > URL_MAX)
                return false;
        for (size_t i = 0; i < len; i++) {
                if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f || url[i] == '\\')
                        return false;
        }
        const char *slashes = strstr(url, "://");
        if (!slashes || slashes[3] == '/') /* libcurl forgives "http:///host" */
                return false;
        /* The parser that the transfer uses too: no two opinions of one URL. It also writes odd forms of IPv4
         * addresses (0x7f.1, 2130706433) as four numbers. */
        CURLU *u = curl_url();
        bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                  parts_allowed(u, allow, allow_count);
        curl_url_cleanup(u);
        return ok;
}
