/*
 * Images by the rules that the providers publish, from the size in pixels; documents and audio by their
 * bytes.
 *
 *   openai     fitted into 2048 × 2048, then the short side to 768: 85 and 170 for each tile of 512; detail
 * low:
 *              85. Newer models count patches of 32, at most 1536 (detail original: 10000): the larger
 * counts. anthropic  fitted into 1568 × 1568: width × height / 750, at most 1600. gemini     258 for each
 * tile of 768, at most 16 of them; models with thinking levels: at least 1120.
 */
#include <string.h>

#include "dialect/image.h"
#include "policy/estimate_parts.h"

static int64_t at_most(int64_t n, int64_t max)
{
        return n < max ? n : max;
}

static int64_t at_least(int64_t n, int64_t min)
{
        return n > min ? n : min;
}

/* Pieces of that size, the last of which may be cut. */
static int64_t pieces(double length, double size)
{
        int64_t n = (int64_t)(length / size);
        return (double)n * size < length ? n + 1 : at_least(n, 1);
}

static double shrink(double length, double max)
{
        return length > max ? max / length : 1;
}

static int64_t openai_patches(double w, double h, int64_t max)
{
        double large = 32.0 * (double)max; /* no overflow: more than all of them in a row */
        return at_most(pieces(w < large ? w : large, 32) * pieces(h < large ? h : large, 32), max);
}

static int64_t openai_image(double w, double h, const char *detail, const struct model_caps *caps)
{
        (void)caps;
        if (detail && strcmp(detail, "low") == 0)
                return 85;
        if (detail && strcmp(detail, "original") == 0)
                return openai_patches(w, h, 10000);
        int64_t patches = openai_patches(w, h, 1536);
        double fit = shrink(w > h ? w : h, 2048);
        fit *= shrink((w < h ? w : h) * fit, 768);
        int64_t tiles = pieces(w * fit, 512) * pieces(h * fit, 512);
        return at_least(85 + 170 * tiles, patches);
}

static int64_t anthropic_image(double w, double h, const char *detail, const struct model_caps *caps)
{
        (void)detail;
        (void)caps;
        double fit = shrink(w > h ? w : h, 1568);
        return at_most((int64_t)(w * fit * h * fit / 750) + 1, 1600);
}

static int64_t gemini_image(double w, double h, const char *detail, const struct model_caps *caps)
{
        (void)detail;
        double fit = shrink(w > h ? w : h, 4 * 768);
        int64_t tokens = 258 * pieces(w * fit, 768) * pieces(h * fit, 768);
        return at_least(tokens, caps && caps->reasoning == REASONING_LEVEL ? 1120 : 0);
}

struct media_row {
        int64_t (*image)(double w, double h, const char *detail, const struct model_caps *caps);
        int64_t image_unknown;    /* an image by URL, or without a size: the usual maximum */
        int64_t document_per_kib; /* of a PDF: some 2,000 to 3,000 for a page, or one picture of it */
        int64_t document_least, document_most;
        int64_t audio_per_kib; /* of MP3; the samples of a WAV take four times the room */
};

static const struct media_row media_rows[DIALECTS] = {
        [DIALECT_OPENAI] = {openai_image, 2500, 40, 1500, 300000, 2},
        [DIALECT_ANTHROPIC] = {anthropic_image, 1600, 40, 1500, 300000, 2},
        [DIALECT_GEMINI] = {gemini_image, 1120, 6, 258, 300000, 4},
};

static const struct media_row *media_row(enum dialect_id provider)
{
        const struct media_row *row = &media_rows[provider < DIALECTS ? provider : DIALECT_OPENAI];
        return row->image ? row : &media_rows[DIALECT_OPENAI];
}

int64_t estimate_image(const struct chat_block *b, enum dialect_id provider, const struct model_caps *caps)
{
        const struct media_row *row = media_row(provider);
        struct image_info info;
        if (b->detail && strcmp(b->detail, "low") == 0 && row->image == openai_image)
                return 85;
        if (b->source.kind != SOURCE_BASE64 || !image_identify_base64(b->source.data, &info) || !info.width)
                return row->image_unknown;
        return row->image(info.width, info.height, b->detail, caps);
}

static int64_t kib_of(struct str base64)
{
        return (int64_t)(base64.len / 4 * 3 / 1024) + 1;
}

int64_t estimate_document(const struct chat_block *b, enum dialect_id provider)
{
        const struct media_row *row = media_row(provider);
        int64_t title = b->title ? estimate_text(b->title, strlen(b->title)) : 0;
        if (b->source.kind == SOURCE_TEXT)
                return title + estimate_text(b->source.data.at, b->source.data.len);
        if (b->source.kind != SOURCE_BASE64)
                return title + 2 * row->document_least;
        int64_t tokens = kib_of(b->source.data) * row->document_per_kib;
        return title + at_most(at_least(tokens, row->document_least), row->document_most);
}

int64_t estimate_audio(const struct chat_block *b, enum dialect_id provider)
{
        const struct media_row *row = media_row(provider);
        bool samples = b->source.media_type && strstr(b->source.media_type, "wav");
        int64_t kib = b->source.kind == SOURCE_BASE64 ? kib_of(b->source.data) : 512;
        return at_least(kib * row->audio_per_kib / (samples ? 4 : 1), 8);
}
