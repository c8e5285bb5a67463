#include "store/ledger_columns.h"

#include <string.h>

/* Names are those of the members. A column is never moved or taken away: new ones go to the end
 * (ledger_schema.c). */
#define INT(member)                                                                                          \
        {                                                                                                    \
                .name = #member, .type = LEDGER_INT, .offset = offsetof(struct ROW, member)                  \
        }
#define TEXT(member, most_)                                                                                  \
        {                                                                                                    \
                .name = #member, .type = LEDGER_TEXT, .offset = offsetof(struct ROW, member),                \
                .most = (most_)                                                                              \
        }
#define COUNT(table) (sizeof(table) / sizeof *(table))

#define ROW ledger_row
const struct ledger_column ledger_request_columns[] = {
        INT(id),
        INT(time_ms),
        TEXT(request_id, 64),
        TEXT(account, 64),
        TEXT(user, 128),
        TEXT(identity, 16),
        TEXT(endpoint, 64),
        TEXT(dialect, 16),
        TEXT(model, 128),
        TEXT(version, 64),
        TEXT(provider, 64),
        TEXT(upstream_model, 128),
        TEXT(served_model, 128),
        TEXT(upstream_request_id, 96),
        TEXT(trace, 64),
        TEXT(outcome, 16),
        INT(status),
        TEXT(error, 32),
        INT(stream),
        INT(cache_hit),
        INT(attempts),
        INT(retries),
        INT(rescues),
        INT(hedges),
        INT(input),
        INT(cached),
        INT(cache_write),
        INT(cache_write_1h),
        INT(output),
        INT(reasoning),
        INT(images),
        INT(estimated),
        INT(priced),
        INT(cost_pico),
        INT(saved_pico),
        TEXT(currency, 3),
        INT(charge_pico),
        TEXT(charge_currency, 3),
        INT(reported_pico),
        INT(queue_ms),
        INT(first_token_ms),
        INT(total_ms),
};
const size_t ledger_request_column_count = COUNT(ledger_request_columns);
#undef ROW

#define ROW ledger_attempt
const struct ledger_column ledger_attempt_columns[] = {
        INT(request),
        INT(n),
        INT(time_ms),
        TEXT(provider, 64),
        TEXT(upstream_model, 128),
        TEXT(served_model, 128),
        TEXT(upstream_request_id, 96),
        TEXT(kind, 16),
        TEXT(outcome, 16),
        INT(status),
        TEXT(error, 32),
        TEXT(tier, 16),
        INT(input),
        INT(cached),
        INT(cache_write),
        INT(cache_write_1h),
        INT(output),
        INT(reasoning),
        INT(estimated),
        INT(priced),
        INT(cost_pico),
        INT(charge_pico),
        INT(reported_pico),
        INT(hold_pico),
        INT(hold_day),
        INT(hold_month),
        INT(hold_era),
        INT(first_token_ms),
        INT(total_ms),
};
const size_t ledger_attempt_column_count = COUNT(ledger_attempt_columns);
#undef ROW

#define ROW ledger_progress
const struct ledger_column ledger_progress_columns[] = {
        INT(request), INT(n), INT(input), INT(cached), INT(output), INT(cost_pico), INT(charge_pico),
};
const size_t ledger_progress_column_count = COUNT(ledger_progress_columns);
#undef ROW

/* ---- text ---- */

size_t ledger_text_len(const char *text, size_t most)
{
        size_t len = text ? strnlen(text, most) : 0, whole = len;
        if (len < most || !text[len])
                return len;
        while (whole && ((unsigned char)text[whole] & 0xc0) == 0x80)
                whole--;
        return whole ? whole : len;
}

static void put_int(struct buf *out, int64_t value)
{
        char text[24], *end = text + sizeof text, *s = end;
        uint64_t n = value < 0 ? -(uint64_t)value : (uint64_t)value;
        if (!value)
                return;
        for (; n; n /= 10)
                *--s = (char)('0' + n % 10);
        if (value < 0)
                *--s = '-';
        buf_add(out, s, (size_t)(end - s));
}

static void put_text(struct buf *out, const char *s, size_t most)
{
        size_t len = ledger_text_len(s, most);
        while (len) {
                size_t plain = 0;
                while (plain < len && s[plain] != '\t' && s[plain] != '\n' && s[plain] != '\\')
                        plain++;
                buf_add(out, s, plain);
                s += plain;
                len -= plain;
                if (len) {
                        buf_addc(out, '\\');
                        buf_addc(out, *s == '\t' ? 't' : *s == '\n' ? 'n' : '\\');
                        s++;
                        len--;
                }
        }
}

bool ledger_encode(const struct ledger_column *columns, size_t count, const void *row, struct buf *out)
{
        for (size_t i = 0; i < count; i++) {
                const void *at = (const char *)row + columns[i].offset;
                if (columns[i].type == LEDGER_INT)
                        put_int(out, *(const int64_t *)at);
                else
                        put_text(out, *(const char *const *)at, columns[i].most);
                buf_addc(out, '\t');
        }
        return buf_addc(out, '\n');
}

static bool get_int(const char *s, const char *end, int64_t *out)
{
        bool minus = s < end && *s == '-';
        *out = 0;
        for (s += minus; s < end; s++) {
                if (*s < '0' || *s > '9' || __builtin_mul_overflow(*out, 10, out) ||
                    __builtin_sub_overflow(*out, *s - '0', out)) /* downwards: INT64_MIN has no positive */
                        return false;
        }
        return minus || !__builtin_sub_overflow((int64_t)0, *out, out);
}

/* Ends it with NUL in place of the tab. */
static const char *get_text(char *s, char *end)
{
        char *to = s;
        *end = '\0';
        if (s == end)
                return NULL;
        if (!memchr(s, '\\', (size_t)(end - s)))
                return s;
        for (char *from = s; from < end; from++) {
                if (*from == '\\' && from + 1 < end) {
                        from++;
                        *to++ = *from == 't' ? '\t' : *from == 'n' ? '\n' : *from;
                } else {
                        *to++ = *from;
                }
        }
        *to = '\0';
        return s;
}

char *ledger_decode(const struct ledger_column *columns, size_t count, char *text, char *end, void *row)
{
        char *line = memchr(text, '\n', (size_t)(end - text));
        if (!line)
                return NULL;
        for (size_t i = 0; i < count; i++) {
                void *at = (char *)row + columns[i].offset;
                char *stop = text < line ? memchr(text, '\t', (size_t)(line - text)) : NULL;
                if (text < line && !stop)
                        return NULL;
                if (columns[i].type == LEDGER_TEXT)
                        *(const char **)at = stop ? get_text(text, stop) : NULL;
                else if (!stop)
                        *(int64_t *)at = 0;
                else if (!get_int(text, stop, at))
                        return NULL;
                text = stop ? stop + 1 : line;
        }
        return line + 1;
}
