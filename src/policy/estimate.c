#include "policy/estimate.h"

#include <string.h>

#include "base/json.h"
#include "policy/estimate_parts.h"

static const int64_t tokens_max = INT64_C(1000000000000);

/* What stands around the words, in tokens: measured on recorded answers. */
static const struct frame_row {
        int64_t message;
        int64_t tools, tool; /* once where there are any; and around each */
        int64_t call;        /* around a call, and around its result */
        int64_t schema;      /* of the answer; -1: not counted at all */
        int64_t thought;     /* once, when it is told to think */
} frame_rows[DIALECTS] = {
        [DIALECT_OPENAI] = {4, 12, 8, 8, 16, 0},
        [DIALECT_ANTHROPIC] = {4, 480, 12, 12, 120, 28},
        [DIALECT_GEMINI] = {1, 0, 8, 8, -1, 0},
};

struct sum {
        enum dialect_id provider;
        const struct model_caps *caps;
        const struct frame_row *frame;
        int64_t tokens;
        bool most; /* more than any tokenizer makes of it: none makes more tokens than there are bytes */
};

static int64_t of_text(const struct sum *s, const char *text, size_t len)
{
        return s->most ? (int64_t)len : estimate_text(text, len);
}

static int64_t of_name(const struct sum *s, const char *name)
{
        return name ? of_text(s, name, strlen(name)) : 0;
}

/* Sealed thoughts and results, files: no language, and not read by the model as such. */
static bool is_opaque(const char *s, size_t len)
{
        enum { LOOK = 256 };
        if (len < 2 * LOOK)
                return false;
        for (size_t i = 0; i < LOOK; i++) {
                char c = s[i];
                bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
                if (!letter && !strchr("+/=_-", c))
                        return false;
        }
        return true;
}

static int64_t of_string(const struct sum *s, const char *text, size_t len)
{
        return is_opaque(text, len) && !s->most ? (int64_t)(len / 8) : of_text(s, text, len) + 1;
}

/* As deep as the scan of the body lets it be. */
static int64_t of_json(const struct sum *s, json_object *node)
{
        int64_t sum = 2;
        switch (json_object_get_type(node)) {
        case json_type_string:
                return of_string(s, json_object_get_string(node), (size_t)json_object_get_string_len(node));
        case json_type_array:
                for (size_t i = 0; i < json_object_array_length(node); i++)
                        sum += of_json(s, json_object_array_get_idx(node, i));
                return sum;
        case json_type_object: {
                json_object_object_foreach(node, key, value) sum += 2 + of_name(s, key) + of_json(s, value);
                return sum;
        }
        case json_type_double: return s->most ? 24 : 6;
        case json_type_int: return s->most ? 20 : 3;
        default: return s->most ? 5 : 1;
        }
}

static int64_t of_call(const struct sum *s, const struct chat_block *b)
{
        int64_t tokens = s->frame->call + of_name(s, b->id) + of_name(s, b->name);
        if (b->arguments_text.at)
                return tokens + of_text(s, b->arguments_text.at, b->arguments_text.len);
        return tokens + of_json(s, b->arguments);
}

/* Rules of providers change: twice what today's say, and a large picture more. */
static int64_t of_media(const struct sum *s, int64_t tokens)
{
        return s->most ? 2 * tokens + 3000 : tokens;
}

static void add_blocks(struct sum *s, const struct chat_block *first);

static void add_block(struct sum *s, const struct chat_block *b)
{
        switch (b->type) {
        case BLOCK_TEXT:
        case BLOCK_REFUSAL:
        case BLOCK_THINKING:
                s->tokens += of_text(s, b->text.at, b->text.len);
                if (b->redacted || s->most)
                        s->tokens += (int64_t)(b->signature.len / (s->most ? 1 : 8));
                break;
        case BLOCK_IMAGE: s->tokens += of_media(s, estimate_image(b, s->provider, s->caps)); break;
        case BLOCK_DOCUMENT: s->tokens += of_media(s, estimate_document(b, s->provider)); break;
        case BLOCK_AUDIO: s->tokens += of_media(s, estimate_audio(b, s->provider)); break;
        case BLOCK_TOOL_CALL: s->tokens += of_call(s, b); break;
        case BLOCK_TOOL_RESULT:
                s->tokens += s->frame->call + of_name(s, b->id);
                add_blocks(s, b->content);
                break;
        case BLOCK_OTHER: s->tokens += of_json(s, b->raw); break;
        }
}

static void add_blocks(struct sum *s, const struct chat_block *first)
{
        for (const struct chat_block *b = first; b; b = b->next)
                add_block(s, b);
}

static void add_tools(struct sum *s, const struct chat_tool *first)
{
        if (first)
                s->tokens += s->frame->tools;
        for (const struct chat_tool *t = first; t; t = t->next)
                s->tokens += s->frame->tool + of_name(s, t->name) + of_name(s, t->description) +
                             (t->parameters ? of_json(s, t->parameters) : 0) +
                             (t->raw ? of_json(s, t->raw) : 0);
}

static void add_schema(struct sum *s, const struct chat_request *r)
{
        if (!r->schema || s->frame->schema < 0)
                return;
        s->tokens += s->frame->schema + of_name(s, r->schema_name) + of_name(s, r->schema_description) +
                     of_json(s, r->schema);
}

static int64_t bound(int64_t tokens)
{
        return tokens < 0 ? 0 : tokens < tokens_max ? tokens : tokens_max;
}

/* A budget of thought counts within the ceiling at every provider. */
static int64_t output_max(const struct chat_request *r, const struct model_caps *caps)
{
        int64_t most = caps ? caps->max_output : 0;
        int64_t each = r->max_tokens.set && r->max_tokens.value > 0 ? bound(r->max_tokens.value) : 0;
        if (!each || (most > 0 && each > most))
                each = bound(most);
        int64_t answers = r->n.set && r->n.value > 1 ? r->n.value : 1;
        if (!each)
                return 0;
        return answers < tokens_max / (each + 1) ? each * answers : tokens_max;
}

static void sum_chat(struct sum *s, const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                s->tokens += s->frame->message + of_name(s, m->name);
                add_blocks(s, m->blocks);
        }
        add_tools(s, r->tools);
        add_schema(s, r);
        if (reasoning_wants_thought(&r->reasoning))
                s->tokens += s->frame->thought;
}

static enum dialect_id known_provider(enum dialect_id provider)
{
        return provider >= DIALECTS || !frame_rows[provider].message ? DIALECT_OPENAI : provider;
}

void estimate_chat(const struct chat_request *r, enum dialect_id provider, const struct model_caps *caps,
                   struct estimate *out)
{
        provider = known_provider(provider);
        struct sum s = {.provider = provider, .caps = caps, .frame = &frame_rows[provider]};
        sum_chat(&s, r);
        *out = (struct estimate){.input = bound(s.tokens), .output_max = output_max(r, caps)};
}

void estimate_chat_most(const struct chat_request *r, enum dialect_id provider, const struct model_caps *caps,
                        struct estimate *out)
{
        enum { AROUND = 2000, AROUND_MESSAGE = 16 };
        provider = known_provider(provider);
        struct sum s = {.provider = provider, .caps = caps, .frame = &frame_rows[provider], .most = true};
        sum_chat(&s, r);
        for (const struct chat_message *m = r->messages; m; m = m->next)
                s.tokens += AROUND_MESSAGE;
        for (const struct chat_extra *e = r->extras; e; e = e->next)
                s.tokens += of_name(&s, e->name) + of_json(&s, e->value);
        int64_t window = caps->window > 0 ? caps->window : tokens_max, input = bound(s.tokens) + AROUND;
        *out = (struct estimate){.input = input < window ? input : window, .output_max = output_max(r, caps)};
        if (!out->output_max && caps->window > 0)
                out->output_max = caps->window;
}

void estimate_embed(const struct embed_request *r, struct estimate *out)
{
        int64_t tokens = 0;
        for (const struct embed_input *in = r->inputs; in; in = in->next)
                tokens += (int64_t)in->token_count + estimate_text(in->text.at, in->text.len);
        *out = (struct estimate){.input = bound(tokens), .output_max = -1};
}

void estimate_embed_most(const struct embed_request *r, struct estimate *out)
{
        enum { AROUND = 16 };
        int64_t tokens = 0;
        for (const struct embed_input *in = r->inputs; in; in = in->next)
                tokens += (int64_t)(in->token_count + in->text.len) + AROUND;
        *out = (struct estimate){.input = bound(tokens), .output_max = -1};
}

int64_t estimate_total(const struct estimate *e, double lately)
{
        enum { UNKNOWN = 512, USUAL = 256, SLACK = 16 };
        if (e->output_max < 0)
                return bound(e->input);
        int64_t ceiling = bound(e->output_max), output = UNKNOWN;
        if (lately > 0)
                output = lately < (double)tokens_max ? (int64_t)(lately * 1.25) + SLACK : tokens_max;
        else if (ceiling)
                output = ceiling / 4 > USUAL ? ceiling / 4 : USUAL;
        if (ceiling && output > ceiling)
                output = ceiling;
        return bound(bound(e->input) + output);
}
