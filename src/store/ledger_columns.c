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

/* ---- what is kept of a text ---- */

size_t ledger_text_len(const char *text, size_t most)
{
        size_t len = text ? strnlen(text, most) : 0, whole = len;
        if (len < most || !text[len])
                return len;
        while (whole && ((unsigned char)text[whole] & 0xc0) == 0x80)
                whole--;
        return whole ? whole : len;
}

/* ---- numbers: seven bits a byte, the sign in the lowest, so that small ones take one byte ---- */

enum { NUMBER_MAX = 10 };

static char *put_number(char *out, uint64_t n)
{
        for (; n >= 0x80; n >>= 7)
                *out++ = (char)(n | 0x80);
        *out++ = (char)n;
        return out;
}

static const char *get_number(const char *s, const char *end, uint64_t *out)
{
        *out = 0;
        for (unsigned shift = 0; s < end && shift < 64; shift += 7) {
                unsigned char c = (unsigned char)*s++;
                *out |= (uint64_t)(c & 0x7f) << shift;
                if (c < 0x80)
                        return s;
        }
        return NULL;
}

static uint64_t folded(int64_t n)
{
        return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static int64_t unfolded(uint64_t n)
{
        return (int64_t)(n >> 1 ^ -(n & 1));
}

/* ---- texts: their length and one, 0 for none; the bytes; a NUL ---- */

static char *put_text(char *out, const char *s, size_t len)
{
        if (!s)
                return put_number(out, 0);
        out = put_number(out, len + 1);
        memcpy(out, s, len);
        out[len] = '\0';
        return out + len + 1;
}

static const char *get_text(const char *s, const char *end, const char **out)
{
        uint64_t len;
        *out = NULL;
        s = get_number(s, end, &len);
        if (!s || !len)
                return s;
        if ((uint64_t)(end - s) < len || s[len - 1])
                return NULL;
        *out = s;
        return s + len;
}

/* ---- rows ---- */

bool ledger_encode(const struct ledger_column *columns, size_t count, const void *row, struct buf *out)
{
        size_t most = NUMBER_MAX;
        for (size_t i = 0; i < count; i++)
                most += columns[i].most + NUMBER_MAX + 1;
        if (!buf_reserve(out, most))
                return false;
        char *at = put_number(out->data + out->len, count);
        for (size_t i = 0; i < count; i++) {
                const void *member = (const char *)row + columns[i].offset;
                if (columns[i].type == LEDGER_INT) {
                        at = put_number(at, folded(*(const int64_t *)member));
                } else {
                        const char *text = *(const char *const *)member;
                        at = put_text(at, text, ledger_text_len(text, columns[i].most));
                }
        }
        *at = '\0';
        out->len = (size_t)(at - out->data);
        return true;
}

static const char *get_member(const struct ledger_column *column, const char *at, const char *end,
                              void *member)
{
        uint64_t n;
        if (column->type == LEDGER_TEXT)
                return get_text(at, end, member);
        at = get_number(at, end, &n);
        if (at)
                *(int64_t *)member = unfolded(n);
        return at;
}

static void set_nothing(const struct ledger_column *column, void *member)
{
        if (column->type == LEDGER_TEXT)
                *(const char **)member = NULL;
        else
                *(int64_t *)member = 0;
}

const char *ledger_decode(const struct ledger_column *columns, size_t count, const char *at, const char *end,
                          void *row)
{
        uint64_t there;
        at = get_number(at, end, &there);
        if (!at || there > count)
                return NULL;
        for (size_t i = 0; at && i < count; i++) {
                void *member = (char *)row + columns[i].offset;
                if (i < there)
                        at = get_member(&columns[i], at, end, member);
                else
                        set_nothing(&columns[i], member);
        }
        return at;
}
