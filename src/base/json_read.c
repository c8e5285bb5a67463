#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

static void release_tree(void *tree)
{
        json_object_put(tree);
}

static void tell_fault(const char *text, const struct json_fault *f, struct arena *a, struct err *err)
{
        size_t line = 1, column = 1;
        for (size_t i = 0; i < f->offset; i++) {
                column++;
                if (text[i] == '\n') {
                        line++;
                        column = 1;
                }
        }
        if (f->key[0])
                err_set(err, a, ERR_BAD_REQUEST, f->key,
                        "the body is not valid JSON: line %zu, column %zu: %s \"%s\"", line, column, f->what,
                        f->key);
        else
                err_set(err, a, ERR_BAD_REQUEST, NULL, "the body is not valid JSON: line %zu, column %zu: %s",
                        line, column, f->what);
}

json_object *json_parse(struct arena *a, const char *text, size_t len, enum json_source source,
                        struct err *err)
{
        struct json_fault fault;
        if (len == 0) {
                err_set(err, a, ERR_BAD_REQUEST, NULL, "the body is empty; JSON was expected");
                return NULL;
        }
        if (!json_scan(text, len, source, &fault)) {
                tell_fault(text, &fault, a, err);
                return NULL;
        }
        /* One level more than the scan lets through, so that json-c never refuses what the scan took. */
        struct json_tokener *tokener = len <= INT_MAX ? json_tokener_new_ex(JSON_DEPTH_MAX + 1) : NULL;
        json_object *tree = tokener ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;
        /* A number alone ends only at a byte that is none. */
        if (tokener && json_tokener_get_error(tokener) == json_tokener_continue)
                tree = json_tokener_parse_ex(tokener, "\n", 1);
        bool ok = tokener && json_tokener_get_error(tokener) == json_tokener_success;
        if (tokener)
                json_tokener_free(tokener);
        if (!ok) {
                err_set(err, a, ERR_BAD_REQUEST, NULL, "the body is not valid JSON");
                return NULL;
        }
        if (!tree) { /* the document is `null` */
                err_set(err, a, ERR_BAD_REQUEST, NULL, "the body is null; a JSON object was expected");
                return NULL;
        }
        arena_defer(a, release_tree, tree);
        return tree;
}

/* ---- paths ---- */

static void add_path(struct buf *out, const struct json_path *at, unsigned depth)
{
        if (!at || depth > 2 * JSON_DEPTH_MAX)
                return;
        add_path(out, at->up, depth + 1);
        if (at->key)
                buf_addf(out, "%s%s", out->len ? "." : "", at->key);
        else if (at->up || out->len)
                buf_addf(out, "[%zu]", at->index);
}

const char *json_path_text(struct arena *a, const struct json_path *at, const char *key)
{
        struct buf path;
        buf_init(&path, 4096);
        add_path(&path, at, 0);
        if (key)
                buf_addf(&path, "%s%s", path.len ? "." : "", key);
        const char *text = arena_strndup(a, path.data ? path.data : "", path.len);
        buf_release(&path);
        return text;
}

bool json_fail(struct json_reader *r, const struct json_path *at, const char *key, const char *fmt, ...)
{
        if (r->err->cause != ERR_NONE)
                return false;
        const char *path = json_path_text(r->arena, at, key);
        va_list ap;
        va_start(ap, fmt);
        const char *what = arena_vprintf(r->arena, fmt, ap);
        va_end(ap);
        char shown[512];
        text_escape(shown, sizeof shown, path, strlen(path));
        return err_set(r->err, r->arena, ERR_BAD_REQUEST, *shown ? shown : NULL, "%s%s%s", shown,
                       *shown ? ": " : "", what);
}

const char *json_type_text(json_object *node)
{
        switch (json_object_get_type(node)) {
        case json_type_boolean: return "a boolean";
        case json_type_double:
        case json_type_int: return "a number";
        case json_type_object: return "an object";
        case json_type_array: return "an array";
        case json_type_string: return "a string";
        default: return "null";
        }
}

/* ---- checked getters ---- */

bool json_get_any(json_object *obj, const char *key, json_object **out)
{
        return json_object_is_type(obj, json_type_object) && json_object_object_get_ex(obj, key, out) && *out;
}

static bool get_typed(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                      json_type type, const char *expected, json_object **out)
{
        json_object *node = NULL;
        if (r->err->cause != ERR_NONE || !json_get_any(obj, key, &node))
                return false;
        if (!json_object_is_type(node, type))
                return json_fail(r, at, key, "expected %s, got %s", expected, json_type_text(node));
        *out = node;
        return true;
}

bool json_get_str(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                  struct str *out)
{
        json_object *node = NULL;
        if (!get_typed(r, obj, at, key, json_type_string, "a string", &node))
                return false;
        *out = (struct str){json_object_get_string(node), (size_t)json_object_get_string_len(node)};
        return true;
}

bool json_get_string(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     const char **out)
{
        struct str s;
        if (!json_get_str(r, obj, at, key, &s))
                return false;
        if (memchr(s.at, '\0', s.len))
                return json_fail(r, at, key, "a NUL character");
        *out = s.at;
        return true;
}

/* json-c clamps what is beyond 64 bits; such a number is beyond every range here anyway. */
bool json_get_int(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                  int64_t min, int64_t max, int64_t *out)
{
        json_object *node = NULL;
        if (r->err->cause != ERR_NONE || !json_get_any(obj, key, &node))
                return false;
        bool is_int = json_object_is_type(node, json_type_int);
        bool whole = json_object_is_type(node, json_type_double) &&
                     json_object_get_double(node) == floor(json_object_get_double(node)) &&
                     fabs(json_object_get_double(node)) < 9e15;
        if (!is_int && !whole)
                return json_fail(r, at, key, "expected an integer, got %s", json_type_text(node));
        int64_t value = is_int ? json_object_get_int64(node) : (int64_t)json_object_get_double(node);
        if (value < min || value > max) {
                if (max == INT64_MAX)
                        return json_fail(r, at, key, "must be at least %lld", (long long)min);
                return json_fail(r, at, key, "must be between %lld and %lld", (long long)min, (long long)max);
        }
        *out = value;
        return true;
}

bool json_get_number(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     double min, double max, double *out)
{
        json_object *node = NULL;
        if (r->err->cause != ERR_NONE || !json_get_any(obj, key, &node))
                return false;
        if (!json_object_is_type(node, json_type_int) && !json_object_is_type(node, json_type_double))
                return json_fail(r, at, key, "expected a number, got %s", json_type_text(node));
        double value = json_object_get_double(node);
        if (!(value >= min && value <= max))
                return json_fail(r, at, key, "must be between %g and %g", min, max);
        *out = value;
        return true;
}

bool json_get_bool(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                   bool *out)
{
        json_object *node = NULL;
        if (!get_typed(r, obj, at, key, json_type_boolean, "a boolean", &node))
                return false;
        *out = json_object_get_boolean(node);
        return true;
}

bool json_get_object(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     json_object **out)
{
        return get_typed(r, obj, at, key, json_type_object, "an object", out);
}

bool json_get_array(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                    json_object **out)
{
        return get_typed(r, obj, at, key, json_type_array, "an array", out);
}

static bool need(struct json_reader *r, const struct json_path *at, const char *key, bool got)
{
        return got || json_fail(r, at, key, "is required");
}

bool json_need_string(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                      const char **out)
{
        return need(r, at, key, json_get_string(r, obj, at, key, out));
}

bool json_need_array(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                     json_object **out)
{
        return need(r, at, key, json_get_array(r, obj, at, key, out));
}

bool json_need_object(struct json_reader *r, json_object *obj, const struct json_path *at, const char *key,
                      json_object **out)
{
        return need(r, at, key, json_get_object(r, obj, at, key, out));
}

/* ---- peeking ---- */

json_object *json_peek(json_object *obj, const char *key)
{
        json_object *node = NULL;
        return json_get_any(obj, key, &node) ? node : NULL;
}

static json_object *peek_typed(json_object *obj, const char *key, json_type type)
{
        json_object *node = json_peek(obj, key);
        return json_object_is_type(node, type) ? node : NULL;
}

struct str json_peek_str(json_object *obj, const char *key)
{
        json_object *node = peek_typed(obj, key, json_type_string);
        if (!node)
                return (struct str){0};
        return (struct str){json_object_get_string(node), (size_t)json_object_get_string_len(node)};
}

const char *json_peek_string(json_object *obj, const char *key)
{
        struct str s = json_peek_str(obj, key);
        return s.at && !memchr(s.at, '\0', s.len) ? s.at : NULL;
}

int64_t json_peek_count(json_object *obj, const char *key)
{
        const int64_t most = 1000000000000;
        json_object *node = json_peek(obj, key);
        int64_t n = 0;
        if (json_object_is_type(node, json_type_int))
                n = json_object_get_int64(node);
        else if (json_object_is_type(node, json_type_double) && json_object_get_double(node) > 0)
                n = json_object_get_double(node) < (double)most ? (int64_t)json_object_get_double(node)
                                                                : most;
        return n < 0 ? 0 : n > most ? most : n;
}

json_object *json_peek_object(json_object *obj, const char *key)
{
        return peek_typed(obj, key, json_type_object);
}

json_object *json_peek_array(json_object *obj, const char *key)
{
        return peek_typed(obj, key, json_type_array);
}
