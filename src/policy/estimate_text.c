/*
 * Tokens of a text, as tokenizers of today take it apart: words, numbers, punctuation and white space in
 * runs, and everything that is not ASCII by its script. The weights were fitted to o200k over prose of twenty
 * languages, code, JSON, tables, and base64, and then raised, since other vendors' vocabularies are smaller.
 */
#include "policy/estimate.h"

enum { UNIT = 64 }; /* weights are in 1/64 of a token */

enum run_kind { RUN_MARK, RUN_LOWER, RUN_UPPER, RUN_DIGIT, RUN_SPACE, RUN_LINE, RUN_NONE, RUN_KINDS };

/* What a run of ASCII costs: the first characters together, and each one behind them. */
static const struct run_row {
        uint16_t first, more;
        uint16_t free; /* characters that `first` pays for */
} run_rows[RUN_KINDS] = {
        [RUN_NONE] = {0, 0, 0},      [RUN_LOWER] = {UNIT, 11, 5}, /* a word; long ones fall into pieces */
        [RUN_UPPER] = {UNIT, 28, 2}, /* OPENSSL, and what is no language at all */
        [RUN_DIGIT] = {UNIT, 32, 2}, /* three digits a token, and one by one at some vendors */
        [RUN_SPACE] = {0, 4, 1},     /* a single one belongs to the word behind it */
        [RUN_LINE] = {UNIT, 8, 1},   [RUN_MARK] = {UNIT - 6, 22, 1},
};

/* Weight of one character beyond ASCII. */
static const struct script_row {
        uint32_t last; /* the rows are in order: from behind the one before up to this */
        uint16_t weight;
} script_rows[] = {
        {0x024F, 34},   /* Latin with marks: they break words */
        {0x036F, 48},   /* phonetic, combining */
        {0x03FF, 28},   /* Greek */
        {0x052F, 24},   /* Cyrillic */
        {0x058F, 32},   /* Armenian */
        {0x05FF, 34},   /* Hebrew */
        {0x06FF, 28},   /* Arabic */
        {0x08FF, 40},   /* Syriac and others */
        {0x0DFF, 34},   /* the scripts of India */
        {0x0E7F, 34},   /* Thai */
        {0x109F, 44},   /* Lao, Tibetan, Burmese */
        {0x10FF, 30},   /* Georgian */
        {0x11FF, 70},   /* Hangul in pieces */
        {0x1CFF, 64},   /* Ethiopic, Khmer, and rare ones */
        {0x1DFF, 64},   /* rare */
        {0x1EFF, 20},   /* Latin with two marks: Vietnamese */
        {0x1FFF, 60},   /* Greek with more marks */
        {0x206F, 48},   /* general punctuation, joiners */
        {0x2BFF, 80},   /* signs, arrows, boxes, dingbats */
        {0x2E7F, 80},   /* rare */
        {0x303F, 48},   /* punctuation of East Asia */
        {0x30FF, 44},   /* kana */
        {0x33FF, 64},   /* rare */
        {0x9FFF, 62},   /* ideographs */
        {0xABFF, 80},   /* rare */
        {0xD7FF, 50},   /* Hangul */
        {0xFAFF, 80},   /* compatibility */
        {0xFEFF, 60},   /* forms; the selector of emoji */
        {0xFFFF, 64},   /* full width */
        {0x1EFFF, 128}, /* old scripts, mathematical letters */
        {0x1FFFF, 130}, /* emoji */
        {0x3FFFF, 130}, /* rare ideographs */
        {UINT32_MAX, 160},
};

/* All else is RUN_MARK. */
static const uint8_t kinds[128] = {
        ['a' ... 'z'] = RUN_LOWER, ['A' ... 'Z'] = RUN_UPPER, ['0' ... '9'] = RUN_DIGIT, [' '] = RUN_SPACE,
        ['\t'] = RUN_SPACE,        ['\n'] = RUN_LINE,         ['\r'] = RUN_LINE,
};

struct run {
        enum run_kind kind;
        uint64_t len;
};

static uint64_t run_weight(struct run r)
{
        const struct run_row *row = &run_rows[r.kind];
        return row->first + (r.len > row->free ? (r.len - row->free) * row->more : 0);
}

/* Code point and length of the character at s; what is no UTF-8 is a character of its own. */
static uint32_t read_character(const uint8_t *s, size_t len, size_t *bytes)
{
        size_t n = *s >= 0xF0 ? 4 : *s >= 0xE0 ? 3 : *s >= 0xC0 ? 2 : 1;
        uint32_t c = *s & (0x7F >> n);
        if (n > len)
                n = 1;
        for (size_t i = 1; i < n; i++)
                c = c << 6 | (s[i] & 0x3F);
        *bytes = n;
        return c;
}

/* Neighbours are mostly of one script, so the last row is tried first. */
static uint64_t script_weight(uint32_t c, size_t *row)
{
        if (c > script_rows[*row].last || (*row && c <= script_rows[*row - 1].last)) {
                for (*row = 0; c > script_rows[*row].last;)
                        ++*row;
        }
        return script_rows[*row].weight;
}

/* A capital letter begins a word, within one too (camelCase), and is no run of its own before small ones. */
static bool goes_on(struct run *r, enum run_kind kind)
{
        if (r->kind == RUN_UPPER && kind == RUN_LOWER)
                r->kind = RUN_LOWER;
        return r->kind == kind;
}

int64_t estimate_text(const char *s, size_t len)
{
        const uint8_t *at = (const uint8_t *)s, *end = at + len;
        struct run run = {RUN_NONE, 0};
        uint64_t weight = 0;
        size_t row = 0, bytes;
        while (at < end) {
                if (*at < 128) {
                        enum run_kind kind = kinds[*at++];
                        if (!goes_on(&run, kind)) {
                                weight += run_weight(run);
                                run = (struct run){kind, 0};
                        }
                        run.len++;
                        continue;
                }
                weight += run_weight(run);
                run = (struct run){RUN_NONE, 0};
                weight += script_weight(read_character(at, (size_t)(end - at), &bytes), &row);
                at += bytes;
        }
        weight += run_weight(run);
        return (int64_t)((weight + weight / 10 + UNIT - 1) / UNIT);
}
