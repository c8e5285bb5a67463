/* Values written as text: sizes, dates, names, addresses. Pure, but for the look at the time zone database.
 */
#include "config/setting.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/text.h"

enum { ID_MAX = 256, URL_MAX = 2048 };

bool value_size(const char *text, int64_t *bytes)
{
        static const char units[] = "kmgt";
        size_t digits = strspn(text, "0123456789");
        if (digits < 1 || digits > 15)
                return false;
        int64_t n = strtoll(text, NULL, 10);
        const char *unit = text + digits;
        while (*unit == ' ')
                unit++;
        if (*unit) {
                const char *at = strchr(units, tolower((unsigned char)*unit));
                if (!at || (unit[1] && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
                        return false;
                int64_t factor = INT64_C(1) << (10 * (at - units + 1));
                if (n > INT64_C(1000000000000000) / factor)
                        return false;
                n *= factor;
        }
        *bytes = n;
        return true;
}

static bool two_digits(const char *s, int low, int high, int *out)
{
        if (!isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]))
                return false;
        *out = (s[0] - '0') * 10 + (s[1] - '0');
        return *out >= low && *out <= high;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
        y -= m <= 2;
        int64_t era = y / 400, of_era = y - era * 400;
        int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
        return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool value_date(const char *text, int64_t *end)
{
        static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        int century, year, month, day;
        if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !two_digits(text, 19, 99, &century) ||
            !two_digits(text + 2, 0, 99, &year) || !two_digits(text + 5, 1, 12, &month) ||
            !two_digits(text + 8, 1, 31, &day))
                return false;
        year += century * 100;
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if (day > lengths[month - 1] + (month == 2 && leap))
                return false;
        if (end)
                *end = (days_from_civil(year, month, day) + 1) * 86400;
        return true;
}

bool value_time(const char *text)
{
        char date[11];
        int part;
        if (strlen(text) < 20)
                return value_date(text, NULL);
        memcpy(date, text, 10);
        date[10] = '\0';
        return value_date(date, NULL) && text[10] == 'T' && two_digits(text + 11, 0, 23, &part) &&
               text[13] == ':' && two_digits(text + 14, 0, 59, &part) && text[16] == ':' &&
               two_digits(text + 17, 0, 60, &part) && strcmp(text + 19, "Z") == 0;
}

bool value_hedge(const char *text, struct config_hedge *out)
{
        char *end;
        *out = (struct config_hedge){0};
        if (strcmp(text, "off") == 0)
                return true;
        if (text[0] == 'p' && text[1] >= '5' && text[1] <= '9' && isdigit((unsigned char)text[2]) &&
            !text[3]) {
                out->percentile = strtol(text + 1, NULL, 10) / 100.0;
                return true;
        }
        if (!isdigit((unsigned char)*text) || text[strspn(text, "0123456789.")])
                return false;
        double seconds = strtod(text, &end);
        out->after_ms = seconds <= 86400 ? (int64_t)(seconds * 1000 + 0.5) : 0;
        return !*end && out->after_ms >= 10;
}

bool value_sha256(const char *text, uint8_t out[32])
{
        if (strlen(text) != 64 || strspn(text, "0123456789abcdefABCDEF") != 64)
                return false;
        for (size_t i = 0; i < 32; i++) {
                char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
                out[i] = (uint8_t)strtoul(pair, NULL, 16);
        }
        return true;
}

const char *value_zone(const char *text)
{
        static const char folder[] = "/usr/share/zoneinfo";
        char path[sizeof folder + 80];
        struct stat st;
        if (!*text || strlen(text) > 64 || *text == '/' || strstr(text, ".."))
                return "is no name of a time zone";
        if (strcmp(text, "UTC") == 0)
                return NULL;
        snprintf(path, sizeof path, "%s/%s", folder, text);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
                return NULL;
        if (stat(folder, &st) != 0)
                return "cannot be checked: this machine has no time zones (package tzdata); \"UTC\" always "
                       "works";
        return "is an unknown time zone";
}

const char *value_name(const char *text)
{
        return text_is_token(text, 64) ? NULL : "is no name: 1 to 64 of A-Z a-z 0-9 . _ -";
}

const char *value_id(const char *text)
{
        size_t len = 0;
        for (; text[len]; len++) {
                if (text[len] < 0x21 || text[len] > 0x7e)
                        return "is no model id: it holds a space or a character that is not ASCII";
        }
        return len >= 1 && len <= ID_MAX ? NULL : "is no model id: 1 to 256 characters";
}

const char *value_filled(const char *text)
{
        return *text ? NULL : "is empty";
}

const char *value_line(const char *text)
{
        for (const char *c = text; *c; c++) {
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return "holds a control character";
        }
        return NULL;
}

/* [user@]host[:port], as far as `end`. No user info, as credentials have their own setting. */
static bool authority_good(const char *at, const char *end)
{
        if (at == end || memchr(at, '@', (size_t)(end - at)))
                return false;
        const char *colon = NULL;
        if (*at == '[') {
                char literal[INET6_ADDRSTRLEN];
                const char *close = memchr(at, ']', (size_t)(end - at));
                struct in6_addr address;
                if (!close || (size_t)(close - at) > sizeof literal)
                        return false;
                snprintf(literal, sizeof literal, "%.*s", (int)(close - at - 1), at + 1);
                if (inet_pton(AF_INET6, literal, &address) != 1)
                        return false;
                at = close + 1;
                if (at < end && *at != ':')
                        return false;
                colon = at < end ? at : NULL;
        } else {
                const char *host = at;
                while (at < end && (isalnum((unsigned char)*at) || strchr("-._", *at)))
                        at++;
                if (at == host || (at < end && *at != ':'))
                        return false;
                colon = at < end ? at : NULL;
        }
        if (!colon)
                return true;
        char *rest;
        long port = isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &rest, 10) : 0;
        return port >= 1 && port <= 65535 && rest == end;
}

/* The rest behind one of the schemes, or NULL. */
static const char *after_scheme(const char *text, const char *const *schemes)
{
        for (; *schemes; schemes++) {
                if (strncasecmp(text, *schemes, strlen(*schemes)) == 0)
                        return text + strlen(*schemes);
        }
        return NULL;
}

static const char *const web[] = {"http://", "https://", NULL};

const char *value_url(const char *text)
{
        const char *host = after_scheme(text, web);
        if (!host)
                return "is no URL: expected http:// or https://";
        if (strlen(text) > URL_MAX)
                return "is too long for a URL";
        for (const char *c = text; *c; c++) {
                if (*c < 0x21 || *c > 0x7e || strchr("\"<>\\^`{|}", *c))
                        return "is no URL: it holds a character that must be encoded";
        }
        if (strpbrk(host, "?#"))
                return "is no base URL: it has a query or a fragment";
        if (memchr(host, '@', strcspn(host, "/")))
                return "holds user information, which belongs into `key`";
        return authority_good(host, host + strcspn(host, "/")) ? NULL
                                                               : "is no URL: its host or port is wrong";
}

const char *value_proxy(const char *text)
{
        static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
        const char *host = after_scheme(text, schemes);
        if (!host)
                return "is no proxy: expected http://, https://, socks5:// or socks5h://";
        const char *end = host + strcspn(host, "/");
        return (*end == '\0' || end[1] == '\0') && authority_good(host, end)
                       ? NULL
                       : "is no proxy: expected scheme://host:port";
}

const char *value_origin(const char *text)
{
        const char *host = after_scheme(text, web);
        return host && authority_good(host, host + strlen(host))
                       ? NULL
                       : "is no origin: expected https://host[:port]";
}

const char *value_peer(const char *text)
{
        char address[INET6_ADDRSTRLEN];
        unsigned char bytes[16];
        const char *slash = strchr(text, '/');
        size_t len = slash ? (size_t)(slash - text) : strlen(text);
        long bits = 0;
        if (len >= sizeof address)
                return "is no address";
        memcpy(address, text, len);
        address[len] = '\0';
        bool v6 = strchr(address, ':') != NULL;
        if (inet_pton(v6 ? AF_INET6 : AF_INET, address, bytes) != 1)
                return "is no address: expected 192.0.2.1, 2001:db8::1 or a block such as 192.0.2.0/24";
        if (slash) {
                size_t digits = strspn(slash + 1, "0123456789");
                if (digits < 1 || digits > 3 || slash[1 + digits])
                        return "has no number of bits behind its slash";
                bits = strtol(slash + 1, NULL, 10);
        }
        return bits <= (v6 ? 128 : 32) ? NULL : "has more bits behind its slash than an address";
}

/* Where ":8080" stands behind a host, an IPv4 address or a bracketed IPv6 address; NULL: no port. */
static const char *port_of(const char *text)
{
        const char *colon = strrchr(text, ':');
        if (!colon || (text[0] != '[' && strchr(text, ':') != colon) || (text[0] == '[' && colon[-1] != ']'))
                return NULL;
        return colon;
}

const char *value_fetch_host(const char *text)
{
        char host[256];
        const char *port = port_of(text);
        size_t len = port ? (size_t)(port - text) : strlen(text);
        if (port && (strspn(port + 1, "0123456789") != strlen(port + 1) || strtol(port + 1, NULL, 10) < 1 ||
                     strtol(port + 1, NULL, 10) > 65535))
                return "has no port from 1 to 65535 behind its colon";
        if (len >= sizeof host)
                return "is no host";
        bool brackets = len > 1 && text[0] == '[' && text[len - 1] == ']';
        len -= brackets ? 2 : 0;
        memcpy(host, text + brackets, len);
        host[len] = '\0';
        text = host;
        if (strchr(text, '/') || strchr(text, ':'))
                return value_peer(text);
        for (size_t i = 0; i < len; i++) {
                if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
                        return "is no host, which is named whole";
        }
        return len >= 1 && len <= 253 ? NULL : "is no host";
}

const char *value_absolute(const char *text)
{
        return !*text || *text == '/' ? NULL : "is no absolute path";
}

const char *value_mount(const char *text)
{
        size_t len = strlen(text);
        if (len == 0)
                return NULL;
        if (*text != '/' || text[len - 1] == '/' || strstr(text, "//") || strstr(text, "/.") ||
            strpbrk(text, "?#% "))
                return "is no mount point: expected \"\" or \"/ai\", without a slash at its end";
        return text_header_safe(text) ? NULL : "is no mount point: it holds a control character";
}

const char *value_header_name(const char *text)
{
        /* What libcurl and the dialects make themselves, and what would break the framing. */
        static const char *const own[] = {"host",       "content-length", "transfer-encoding",
                                          "connection", "content-type",   "te",
                                          "trailer",    "upgrade",        "expect"};
        size_t len = strlen(text);
        for (size_t i = 0; i < len; i++) {
                if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
                        return "is no name of a header";
        }
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
                if (strcasecmp(text, own[i]) == 0)
                        return "is a header that is made here";
        }
        return len >= 1 && len <= 128 ? NULL : "is no name of a header";
}

const char *value_currency(const char *text)
{
        return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3
                       ? NULL
                       : "is no currency: expected three capitals such as \"USD\"";
}
