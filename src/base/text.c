#include "base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Length of the valid sequence at s, 0 when there is none. Table 3-7 of the Unicode standard. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
        unsigned char c = s[0];
        if (c < 0x80)
                return 1;
        size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
        if (n == 0 || n > len)
                return 0;
        unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (s[1] < low || s[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        }
        return n;
}

size_t text_utf8_prefix(const char *s, size_t len)
{
        size_t i = 0;
        while (i < len) {
                size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
                if (n == 0)
                        break;
                i += n;
        }
        return i;
}

size_t text_utf8_length(const char *s, size_t len)
{
        return utf8_sequence((const unsigned char *)s, len);
}

bool text_is_utf8(const char *s, size_t len)
{
        return text_utf8_prefix(s, len) == len;
}

size_t text_escape(char *out, size_t room, const char *s, size_t len)
{
        size_t used = 0;
        for (size_t i = 0; i < len;) {
                const unsigned char *at = (const unsigned char *)s + i;
                size_t n = utf8_sequence(at, len - i);
                /* C1 controls (U+0080 to U+009F) drive terminals as the C0 ones do. */
                bool control = n == 0 || (n == 1 && (*at < 0x20 || *at == 0x7f)) ||
                               (n == 2 && *at == 0xc2 && at[1] < 0xa0);
                size_t need = control ? 4 : n;
                if (used + need + 1 > room)
                        break;
                if (control)
                        snprintf(out + used, 5, "\\x%02x", *at);
                else
                        memcpy(out + used, at, n);
                used += need;
                i += control ? 1 : n;
        }
        if (room)
                out[used] = '\0';
        return used;
}

const char *text_word(char *out, size_t room, const char *s)
{
        char *to = out, *end = out + room - 2; /* for the closing quote and the NUL */
        if (!s || !*s)
                s = "-";
        bool quoted = strpbrk(s, " \t\r\n\v\f\"=") != NULL;
        if (quoted)
                *to++ = '"';
        for (; *s; s++) {
                bool escaped = quoted && (*s == '"' || *s == '\\');
                if (to + 1 + escaped > end)
                        break;
                if (escaped)
                        *to++ = '\\';
                *to++ = *s;
        }
        if (quoted)
                *to++ = '"';
        *to = '\0';
        return out;
}

void text_clean(char *s, size_t max)
{
        size_t len = strlen(s), i = 0;
        while (i < len) {
                size_t n = utf8_sequence((unsigned char *)s + i, len - i);
                if (i + (n ? n : 1) > max)
                        break;
                unsigned char c = (unsigned char)s[i];
                if (n == 0)
                        s[i] = '?';
                else if ((n == 1 && c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
                        s[i] = ' ';
                else if (n == 2 && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0)
                        s[i] = s[i + 1] = ' ';
                i += n ? n : 1;
        }
        s[i] = '\0';
}

static int base64_value(unsigned char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '+' || c == '-')
                return 62;
        return c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One walk for both: decodes when out is there, else only counts. */
static bool base64_walk(struct buf *out, const char *s, size_t len, bool skip_space, size_t *decoded_len)
{
        unsigned bits = 0, held = 0, pads = 0;
        size_t symbols = 0, bytes = 0;
        if (out && !buf_reserve(out, len / 4 * 3 + 3))
                return false;
        for (size_t i = 0; i < len; i++) {
                if (skip_space && is_space(s[i]))
                        continue;
                if (s[i] == '=') {
                        pads++;
                        continue;
                }
                int value = base64_value((unsigned char)s[i]);
                if (value < 0 || pads)
                        return false;
                symbols++;
                bits = (bits << 6 | (unsigned)value) & 0xffffff;
                held += 6;
                if (held >= 8) {
                        held -= 8;
                        bytes++;
                        if (out)
                                out->data[out->len++] = (char)(bits >> held & 0xff);
                }
        }
        if (out && out->data)
                out->data[out->len] = '\0';
        if (decoded_len)
                *decoded_len = bytes;
        return symbols % 4 != 1 && (pads == 0 || (symbols + pads) % 4 == 0) && pads <= 2;
}

bool text_base64_decode(struct buf *out, const char *s, size_t len, bool skip_space)
{
        return base64_walk(out, s, len, skip_space, NULL);
}

bool text_base64_valid(const char *s, size_t len, size_t *decoded_len)
{
        return base64_walk(NULL, s, len, false, decoded_len);
}

static void base64_write(struct buf *out, const unsigned char *s, size_t len, const char *alphabet, bool pad)
{
        if (!buf_reserve(out, (len + 2) / 3 * 4))
                return;
        char *to = out->data + out->len;
        for (; len >= 3; s += 3, len -= 3) {
                *to++ = alphabet[s[0] >> 2];
                *to++ = alphabet[(s[0] & 3) << 4 | s[1] >> 4];
                *to++ = alphabet[(s[1] & 15) << 2 | s[2] >> 6];
                *to++ = alphabet[s[2] & 63];
        }
        if (len) {
                unsigned char second = len == 2 ? s[1] : 0;
                *to++ = alphabet[s[0] >> 2];
                *to++ = alphabet[(s[0] & 3) << 4 | second >> 4];
                if (len == 2)
                        *to++ = alphabet[(second & 15) << 2];
                for (size_t i = len; pad && i < 3; i++)
                        *to++ = '=';
        }
        out->len = (size_t)(to - out->data);
        *to = '\0';
}

void text_base64_encode(struct buf *out, const void *bytes, size_t len)
{
        base64_write(out, bytes, len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                     true);
}

void text_base64url_encode(struct buf *out, const void *bytes, size_t len)
{
        base64_write(out, bytes, len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                     false);
}

void text_hex(char *out, const uint8_t *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                snprintf(out + 2 * i, 3, "%02x", bytes[i]);
        out[2 * len] = '\0';
}

bool text_header_safe(const char *s)
{
        for (; *s; s++) {
                if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
                        return false;
        }
        return true;
}

bool text_is_token(const char *s, size_t max)
{
        size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
        return len >= 1 && len <= max && s[len] == '\0';
}

bool text_glob(const char *pattern, const char *s, size_t *literal)
{
        const char *star = NULL, *resume = NULL, *p = pattern;
        while (*s) {
                if (*p == '*') {
                        star = p++;
                        resume = s;
                } else if (*p == '?' || *p == *s) {
                        p++;
                        s++;
                } else if (star) {
                        p = star + 1;
                        s = ++resume;
                } else {
                        return false;
                }
        }
        while (*p == '*')
                p++;
        if (literal) {
                *literal = 0;
                for (const char *c = pattern; *c; c++)
                        *literal += *c != '*' && *c != '?';
        }
        return *p == '\0';
}

unsigned text_distance(const char *a, const char *b)
{
        enum { MAX = 64, FAR = 8 };
        size_t la = strlen(a), lb = strlen(b);
        if (la >= MAX || lb >= MAX)
                return FAR;
        unsigned row[MAX + 1];
        for (size_t j = 0; j <= lb; j++)
                row[j] = (unsigned)j;
        for (size_t i = 1; i <= la; i++) {
                unsigned diagonal = row[0];
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= lb; j++) {
                        unsigned above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
                        if (above + 1 < best)
                                best = above + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                        diagonal = above;
                }
        }
        return row[lb] < FAR ? row[lb] : FAR;
}

bool text_equal_const_time(const void *a, const void *b, size_t len)
{
        const volatile unsigned char *x = a, *y = b;
        unsigned char differ = 0;
        for (size_t i = 0; i < len; i++)
                differ |= (unsigned char)(x[i] ^ y[i]);
        return differ == 0;
}

static uint32_t hash_seed;
static pthread_once_t hash_seed_once = PTHREAD_ONCE_INIT;

static void make_hash_seed(void)
{
        if (getrandom(&hash_seed, sizeof hash_seed, 0) != sizeof hash_seed)
                hash_seed = 0x9e3779b9U;
}

uint32_t text_hash_seed(void)
{
        pthread_once(&hash_seed_once, make_hash_seed);
        return hash_seed;
}
