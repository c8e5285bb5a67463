#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

void json_escape(struct buf *out, const char *s, size_t len)
{
        if (len == 0) /* an absent text: no address to reckon with */
                return;
        size_t from = 0, i = 0;
        while (i < len) {
                unsigned char c = (unsigned char)s[i];
                size_t n = c < 0x80 ? 1 : text_utf8_length(s + i, len - i);
                if (n && c != '"' && c != '\\' && c >= 0x20 && c != 0x7f) {
                        i += n;
                        continue;
                }
                buf_add(out, s + from, i - from);
                if (n == 0)
                        buf_adds(out, "\xef\xbf\xbd");
                else if (c == '"' || c == '\\')
                        buf_addf(out, "\\%c", c);
                else if (c == '\n')
                        buf_adds(out, "\\n");
                else
                        buf_addf(out, "\\u%04x", c);
                from = ++i;
        }
        buf_add(out, s + from, len - from);
}

void json_writer_init(struct json_writer *w, struct buf *out)
{
        *w = (struct json_writer){.out = out};
}

/* What stands between two values; the assertions make broken JSON a crash in the tests, not an answer. */
static void before_value(struct json_writer *w)
{
        if (w->depth == 0 || w->after_key) {
                w->after_key = false;
                return;
        }
        assert(!w->is_object[w->depth - 1]);
        if (w->has_items[w->depth - 1])
                buf_addc(w->out, ',');
        w->has_items[w->depth - 1] = true;
}

static void open_scope(struct json_writer *w, bool object)
{
        before_value(w);
        if (w->depth == JSON_DEPTH_MAX) {
                w->out->failed = true;
                return;
        }
        w->is_object[w->depth] = object;
        w->has_items[w->depth] = false;
        w->depth++;
        buf_addc(w->out, object ? '{' : '[');
}

void jw_object(struct json_writer *w)
{
        open_scope(w, true);
}

void jw_array(struct json_writer *w)
{
        open_scope(w, false);
}

void jw_end(struct json_writer *w)
{
        assert(!w->after_key);
        if (w->depth == 0)
                return;
        w->depth--;
        buf_addc(w->out, w->is_object[w->depth] ? '}' : ']');
}

void jw_key(struct json_writer *w, const char *key)
{
        assert(w->depth > 0 && w->is_object[w->depth - 1] && !w->after_key);
        if (w->has_items[w->depth - 1])
                buf_addc(w->out, ',');
        w->has_items[w->depth - 1] = true;
        buf_addc(w->out, '"');
        json_escape(w->out, key, strlen(key));
        buf_adds(w->out, "\":");
        w->after_key = true;
}

void jw_str(struct json_writer *w, struct str s)
{
        before_value(w);
        buf_addc(w->out, '"');
        json_escape(w->out, s.at, s.len);
        buf_addc(w->out, '"');
}

void jw_string(struct json_writer *w, const char *s)
{
        if (s)
                jw_str(w, str_of(s));
        else
                jw_null(w);
}

void jw_int(struct json_writer *w, int64_t n)
{
        before_value(w);
        buf_addf(w->out, "%lld", (long long)n);
}

void jw_number(struct json_writer *w, double n)
{
        if (!isfinite(n)) {
                jw_null(w);
                return;
        }
        char text[40];
        for (int precision = 15; precision <= 17; precision++) {
                snprintf(text, sizeof text, "%.*g", precision, n);
                if (strtod(text, NULL) == n)
                        break;
        }
        before_value(w);
        buf_adds(w->out, text);
}

void jw_bool(struct json_writer *w, bool b)
{
        before_value(w);
        buf_adds(w->out, b ? "true" : "false");
}

void jw_null(struct json_writer *w)
{
        before_value(w);
        buf_adds(w->out, "null");
}

void jw_node(struct json_writer *w, json_object *node)
{
        size_t len;
        const char *text = json_object_to_json_string_length(
                node, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        before_value(w);
        buf_add(w->out, text, text ? len : 0);
}

void jw_raw(struct json_writer *w, const char *text, size_t len)
{
        before_value(w);
        buf_add(w->out, text, len);
}

void jw_key_str(struct json_writer *w, const char *key, struct str s)
{
        jw_key(w, key);
        jw_str(w, s);
}

void jw_key_string(struct json_writer *w, const char *key, const char *s)
{
        jw_key(w, key);
        jw_string(w, s);
}

void jw_key_int(struct json_writer *w, const char *key, int64_t n)
{
        jw_key(w, key);
        jw_int(w, n);
}

void jw_key_number(struct json_writer *w, const char *key, double n)
{
        jw_key(w, key);
        jw_number(w, n);
}

void jw_key_bool(struct json_writer *w, const char *key, bool b)
{
        jw_key(w, key);
        jw_bool(w, b);
}

void jw_key_null(struct json_writer *w, const char *key)
{
        jw_key(w, key);
        jw_null(w);
}

void jw_key_node(struct json_writer *w, const char *key, json_object *node)
{
        jw_key(w, key);
        jw_node(w, node);
}

void jw_key_object(struct json_writer *w, const char *key)
{
        jw_key(w, key);
        jw_object(w);
}

void jw_key_array(struct json_writer *w, const char *key)
{
        jw_key(w, key);
        jw_array(w);
}

bool jw_done(const struct json_writer *w)
{
        return w->depth == 0 && !w->after_key && !w->out->failed;
}
