#include <ctype.h>
#include <math.h>
#include <string.h>

#include "upstream/echo.h"

enum { DIMENSIONS = 256, DIMENSIONS_MAX = 4096, WORD_BYTES = 64 };

/* Weights: what a text says, in which order, and how it is spelled. */
static const float word_weight = 1.0F, pair_weight = 0.5F, gram_weight = 0.35F;

static uint64_t hash_bytes(uint64_t h, const char *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
        return h;
}

/* FNV-1a spreads its low bits badly for short keys. */
static uint64_t mix(uint64_t h)
{
        h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
        return h ^ (h >> 29);
}

struct vector {
        float *values;
        size_t count;
};

/* A signed hash: features that fall together cancel out as often as they add up. */
static void add_feature(struct vector *v, char kind, uint64_t hash, float weight)
{
        uint64_t h = mix(hash ^ ((uint64_t)(unsigned char)kind << 56));
        v->values[h % v->count] += h >> 63 ? weight : -weight;
}

static void add_word(struct vector *v, const char *word, size_t len, uint64_t *before)
{
        static const uint64_t start = UINT64_C(0xcbf29ce484222325);
        char padded[WORD_BYTES + 2];
        uint64_t hash = hash_bytes(start, word, len);

        add_feature(v, 'w', hash, word_weight);
        if (*before)
                add_feature(v, 'p', *before * 31 + hash, pair_weight);
        *before = hash;
        padded[0] = ' ';
        memcpy(padded + 1, word, len);
        padded[len + 1] = ' ';
        for (size_t i = 0; i + 3 <= len + 2; i++)
                add_feature(v, 'g', hash_bytes(start, padded + i, 3), gram_weight);
}

/* Words in lower case; marks and space only part them. Longer runs (languages without spaces) are taken in
 * pieces. */
static void add_text(struct vector *v, struct str text)
{
        char word[WORD_BYTES];
        size_t len = 0;
        uint64_t before = 0;
        for (size_t i = 0; i <= text.len; i++) {
                unsigned char c = i < text.len ? (unsigned char)text.at[i] : ' ';
                bool part = isalnum(c) || c >= 0x80;
                if (len && (!part || len == WORD_BYTES)) {
                        add_word(v, word, len, &before);
                        len = 0;
                }
                if (part)
                        word[len++] = (char)tolower(c);
        }
}

static void make_unit(struct vector *v)
{
        double sum = 0;
        for (size_t i = 0; i < v->count; i++)
                sum += (double)v->values[i] * v->values[i];
        if (sum <= 0)
                v->values[0] = 1;
        for (size_t i = 0; sum > 0 && i < v->count; i++)
                v->values[i] = (float)(v->values[i] / sqrt(sum));
}

void echo_embed(struct arena *a, const char *model, const struct embed_request *r, struct embed_reply *out)
{
        size_t dimensions = DIMENSIONS, n = 0;
        if (r->dimensions.set && r->dimensions.value > 0)
                dimensions =
                        r->dimensions.value < DIMENSIONS_MAX ? (size_t)r->dimensions.value : DIMENSIONS_MAX;
        *out = (struct embed_reply){
                .model = arena_strdup(a, model),
                .vectors = arena_alloc(a, (r->input_count ? r->input_count : 1) * sizeof *out->vectors),
                .usage.known = true,
        };
        for (const struct embed_input *in = r->inputs; in && n < r->input_count; in = in->next) {
                struct vector v = {.values = arena_alloc(a, dimensions * sizeof(float)), .count = dimensions};
                for (size_t i = 0; in->tokens && i < in->token_count; i++)
                        add_feature(&v, 't',
                                    hash_bytes(1, (const char *)&in->tokens[i], sizeof in->tokens[i]), 1);
                if (in->tokens)
                        out->usage.input += (int64_t)in->token_count;
                else
                        out->usage.input += echo_tokens(in->text);
                add_text(&v, in->text);
                make_unit(&v);
                out->vectors[n++] = (struct embed_vector){.values = v.values, .count = v.count};
        }
        out->vector_count = n;
}
