#include "gateway/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/text.h"
#include "store/ledger_id.h"

enum { REQUEST_ID_MAX = 64, PATH_MAX_BYTES = 4096, QUERY_MAX = 64 << 10, MOUNT_STEPS_MAX = 32 };

/* ---- id ---- */

/* row_id 0: none is known; then that part is chance too. */
static const char *make_id(struct arena *a, int64_t row_id)
{
        uint64_t chance[2];
        if (getrandom(chance, sizeof chance, 0) != (ssize_t)sizeof chance)
                abort();
        return ledger_id_text(arena_alloc(a, LEDGER_ID_TEXT), chance[0],
                              row_id ? row_id : (int64_t)(chance[1] >> 1));
}

void request_take_id(struct request *r, int64_t row_id)
{
        const char *made = make_id(r->arena, row_id);
        if (r->id == r->unique)
                r->id = made;
        r->unique = made;
}

/* ---- headers ---- */

static bool is_hex_id(const char *s, size_t digits)
{
        return strspn(s, "0123456789abcdef") >= digits && strspn(s, "0") < digits;
}

bool request_trace_valid(const char *t)
{
        enum { TRACE = 3, PARENT = TRACE + 33, FLAGS = PARENT + 17, ALL = FLAGS + 2 };
        return t && strlen(t) == ALL && strncmp(t, "00-", TRACE) == 0 && is_hex_id(t + TRACE, 32) &&
               t[PARENT - 1] == '-' && is_hex_id(t + PARENT, 16) && t[FLAGS - 1] == '-' &&
               strspn(t + FLAGS, "0123456789abcdef") == 2;
}

/* One word of a list, whatever its case (RFC 9111, section 5.2). */
static bool lists_word(const char *list, const char *word)
{
        static const char between[] = ", \t";
        size_t len = strlen(word);
        for (const char *s = list ? list : ""; *s;) {
                s += strspn(s, between);
                size_t n = strcspn(s, between);
                if (n == len && strncasecmp(s, word, len) == 0)
                        return true;
                s += n;
        }
        return false;
}

/* ---- path ---- */

static bool ends_in(const char *s, size_t len, const char *tail)
{
        size_t n = strlen(tail);
        return len >= n && memcmp(s + len - n, tail, n) == 0;
}

/* lighttpd's key "/ai/" calls /ai/v1 the script. What is left behind it must not pass for a shorter endpoint.
 */
static size_t without_version(const char *full, size_t len)
{
        if (ends_in(full, len, "/v1"))
                return len - strlen("/v1");
        return ends_in(full, len, "/v1beta") ? len - strlen("/v1beta") : len;
}

const char *request_split_path(struct arena *a, const char *script, const char *info, const char *setting,
                               request_path_known *known, const char **mount)
{
        if (script && strcmp(script, "/") == 0)
                script = NULL;
        size_t script_len = script ? strlen(script) : 0;
        const char *full = arena_printf(a, "%s%s", script ? script : "", info ? info : "");
        if (setting) {
                size_t len = strlen(setting);
                while (len && setting[len - 1] == '/')
                        len--;
                *mount = arena_strndup(a, setting, len);
                if (strncmp(full, *mount, len) != 0 || (full[len] && full[len] != '/'))
                        return NULL;
                return full[len] ? full + len : "/";
        }
        size_t at = 0;
        for (int step = 0; step < MOUNT_STEPS_MAX; step++) {
                if (without_version(full, at) == at && known(full + at)) {
                        *mount = arena_strndup(a, full, at);
                        return full + at;
                }
                const char *slash = at < script_len ? strchr(full + at + 1, '/') : NULL;
                if (!slash || (size_t)(slash - full) > script_len)
                        break;
                at = (size_t)(slash - full);
        }
        at = without_version(full, script_len);
        *mount = arena_strndup(a, full, at);
        return full[at] ? full + at : "/";
}

/* Behind the scheme and authority of an absolute form, up to the query. */
static const char *uri_path(const char *uri, size_t *len)
{
        const char *scheme = *uri == '/' ? NULL : strstr(uri, "://");
        if (scheme) {
                const char *slash = strchr(scheme + 3, '/');
                uri = slash ? slash : "/";
        }
        *len = strcspn(uri, "?#");
        return uri;
}

static int hex_digit(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The byte at *s, decoded when `escaped`; *s is left behind it. */
static unsigned char path_byte(const char **s, const char *end, bool escaped)
{
        const char *at = *s;
        if (escaped && *at == '%' && end - at > 2 && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
                *s = at + 3;
                return (unsigned char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
        }
        *s = at + 1;
        return (unsigned char)*at;
}

/* Why the path is one that no endpoint has, or NULL. A slash at the very end is let through: it is a mount's
 * own. */
static const char *path_fault(const char *path, size_t len, bool escaped)
{
        const char *s = path, *end = path + len;
        if (len > PATH_MAX_BYTES)
                return "the path is too long";
        if (len == 0 || *s++ != '/')
                return "the path does not begin with a slash";
        size_t dots = 0, bytes = 0;
        while (s < end) {
                bool slash = *s == '/';
                unsigned char c = path_byte(&s, end, escaped);
                if (c < 0x20 || c == 0x7f)
                        return "the path holds a control byte";
                if (!slash) {
                        bytes++;
                        dots += c == '.';
                        continue;
                }
                if (bytes == 0)
                        return "the path holds an empty segment";
                if (dots == bytes && bytes <= 2)
                        return "the path holds a dot segment";
                bytes = dots = 0;
        }
        return bytes && dots == bytes && bytes <= 2 ? "the path holds a dot segment" : NULL;
}

static bool check_paths(struct request *r, const char *uri, struct err *err)
{
        const char *fault = path_fault(r->full_path, strlen(r->full_path), false);
        if (!fault && uri && strcmp(uri, "*") != 0) {
                size_t len;
                const char *path = uri_path(uri, &len);
                fault = path_fault(path, len, true);
        }
        return !fault || err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "%s", fault);
}

/* ---- the whole ---- */

static bool read_query(struct request *r, const struct client *c, struct err *err)
{
        const char *query = client_variable(c, "QUERY_STRING");
        if (!query)
                return true;
        if (strlen(query) > QUERY_MAX)
                return err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "the query is too long");
        struct err bad = {0};
        if (form_decode_urlencoded(r->arena, str_of(query), NULL, &r->query, &bad))
                return true;
        r->query = (struct form_fields){0};
        return err_set(err, r->arena, ERR_BAD_REQUEST, NULL, "query: %s", bad.message);
}

bool request_read(struct request *r, struct arena *a, const struct client *c, const char *mount,
                  request_path_known *known, struct err *err)
{
        const char *id = client_variable(c, "HTTP_X_REQUEST_ID"),
                   *method = client_variable(c, "REQUEST_METHOD"),
                   *trace = client_variable(c, "HTTP_TRACEPARENT");
        *r = (struct request){
                .arena = a,
                .unique = make_id(a, 0),
                .trace = request_trace_valid(trace) ? trace : NULL,
                .no_cache = lists_word(client_variable(c, "HTTP_CACHE_CONTROL"), "no-cache"),
                .no_store = lists_word(client_variable(c, "HTTP_CACHE_CONTROL"), "no-store"),
                .head = method && strcmp(method, "HEAD") == 0,
                .content_type = client_variable(c, "CONTENT_TYPE"),
                .content_encoding = client_variable(c, "HTTP_CONTENT_ENCODING"),
                .accept = client_variable(c, "HTTP_ACCEPT"),
                .api_version = client_variable(c, "HTTP_ANTHROPIC_VERSION"),
                .betas = client_variable(c, "HTTP_ANTHROPIC_BETA"),
                .body = {"", 0},
        };
        r->id = id && text_is_token(id, REQUEST_ID_MAX) ? id : r->unique;
        r->method = r->head ? "GET" : method ? method : "";
        const char *script = client_variable(c, "SCRIPT_NAME"), *info = client_variable(c, "PATH_INFO");
        r->full_path =
                arena_printf(a, "%s%s", script && strcmp(script, "/") != 0 ? script : "", info ? info : "");
        if (!*r->full_path)
                r->full_path = "/";
        r->path = request_split_path(a, script, info, mount, known, &r->mount);
        if (!r->path) {
                r->path = r->full_path;
                r->mount = "";
                return check_paths(r, client_variable(c, "REQUEST_URI"), err) &&
                       err_set(err, a, ERR_NOT_FOUND, NULL, "no such path here");
        }
        return check_paths(r, client_variable(c, "REQUEST_URI"), err) && read_query(r, c, err);
}
