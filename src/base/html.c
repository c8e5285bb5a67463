#include "base/html.h"

#include "base/text.h"

#define UNKNOWN "\xEF\xBF\xBD" /* U+FFFD */

static const char *entity(char c)
{
        switch (c) {
        case '&': return "&amp;";
        case '<': return "&lt;";
        case '>': return "&gt;";
        case '"': return "&quot;";
        case '\'': return "&#39;";
        default: return NULL;
        }
}

static bool is_control(char c)
{
        unsigned char byte = (unsigned char)c;
        return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

void html_text(struct buf *out, struct str s)
{
        for (size_t at = 0; at < s.len;) {
                size_t len = text_utf8_length(s.at + at, s.len - at);
                const char *name = entity(s.at[at]);
                if (!len || is_control(s.at[at]))
                        buf_adds(out, UNKNOWN);
                else if (name)
                        buf_adds(out, name);
                else
                        buf_add(out, s.at + at, len);
                at += len ? len : 1;
        }
}

void html_string(struct buf *out, const char *s)
{
        html_text(out, str_of(s));
}
