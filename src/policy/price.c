#include "policy/price.h"

#include <string.h>

#include "policy/catalogue.h"
#include "policy/rate.h"

enum { MILLION = 1000000 };

/* ---- which row ---- */

/* How well a row fits, the more the better; compared from the first member on. */
struct fitness {
        bool fits;
        size_t literal;
        bool exact, own, provider;
        int64_t from, above;
};

static struct fitness fitness_of(const struct config_price *p, const struct price_ask *ask, const char *model,
                                 int64_t prompt_tokens)
{
        /* Most patterns are told by their first letter. */
        if (*p->pattern != *model && *p->pattern != '*' && *p->pattern != '?')
                return (struct fitness){0};
        struct fitness f = {
                .own = !p->shipped, .provider = p->provider, .from = p->from_unix, .above = p->above};
        f.fits = (!p->provider || strcmp(p->provider, ask->provider->name) == 0) &&
                 p->from_unix <= ask->unix_s && (!p->above || prompt_tokens > p->above) &&
                 catalogue_matches(p->pattern, model, &f.literal);
        return f;
}

static bool is_better(const struct fitness *x, const struct fitness *than)
{
        if (!x->fits || !than->fits)
                return x->fits;
        if (x->literal != than->literal)
                return x->literal > than->literal;
        if (x->exact != than->exact)
                return x->exact;
        if (x->own != than->own)
                return x->own;
        if (x->provider != than->provider)
                return x->provider;
        return x->from != than->from ? x->from > than->from : x->above > than->above;
}

static const struct config_price *find(const struct price_ask *ask, const char *model, int64_t prompt_tokens)
{
        const struct config *c = ask->config;
        const struct config_price *best = NULL;
        struct fitness most = {0};
        for (size_t i = 0; model && i < c->price_count; i++) {
                struct fitness f = fitness_of(&c->prices[i], ask, model, prompt_tokens);
                if (is_better(&f, &most)) {
                        best = &c->prices[i];
                        most = f;
                }
        }
        return best;
}

const struct config_price *price_find(const struct price_ask *ask, int64_t prompt_tokens)
{
        const struct config_price *p = find(ask, ask->served_model, prompt_tokens);
        return p ? p : find(ask, ask->model, prompt_tokens);
}

static bool costs_nothing(const struct price_ask *ask)
{
        return ask->provider->dialect && strcmp(ask->provider->dialect, "echo") == 0;
}

/* ---- how much ---- */

static int64_t or_else(int64_t price, int64_t other)
{
        return price >= 0 ? price : other;
}

static int64_t factor_of(const struct config_price *p, enum chat_tier tier)
{
        switch (tier) {
        case TIER_PRIORITY: return or_else(p->priority_micro, MILLION);
        case TIER_FLEX: return or_else(p->flex_micro, MILLION);
        case TIER_BATCH: return or_else(p->batch_micro, MILLION);
        case TIER_FAST: return or_else(p->fast_micro, MILLION);
        default: return MILLION;
        }
}

/* What is left of *pool, at most n of it: a part is never more than the whole, whatever a provider says. */
static int64_t take(int64_t *pool, int64_t n)
{
        int64_t taken = n < 0 ? 0 : n < *pool ? n : *pool;
        *pool -= taken;
        return taken;
}

static int64_t count(int64_t n)
{
        return n > 0 ? n : 0;
}

/* Parts of the input and of the output, none counted twice. */
static __int128 sum_of(const struct config_price *p, const struct chat_usage *u)
{
        int64_t input = count(u->input), output = count(u->output);
        int64_t write = or_else(p->cache_write_micro, p->input_micro);
        int64_t cached = take(&input, u->cached);
        int64_t hour = take(&input, u->cache_write_1h < u->cache_write ? u->cache_write_1h : u->cache_write);
        int64_t written = take(&input, u->cache_write - hour);
        int64_t audio = take(&input, u->audio_input), image = take(&input, u->image_input);
        int64_t spoken = take(&output, u->audio_output);
        __int128 sum = 0;
        sum += (__int128)cached * or_else(p->cached_micro, p->input_micro);
        sum += (__int128)hour * or_else(p->cache_write_1h_micro, write);
        sum += (__int128)written * write;
        sum += (__int128)audio * or_else(p->audio_input_micro, p->input_micro);
        sum += (__int128)image * or_else(p->image_input_micro, p->input_micro);
        sum += (__int128)input * p->input_micro;
        sum += (__int128)spoken * or_else(p->audio_output_micro, or_else(p->output_micro, 0));
        return sum + (__int128)output * or_else(p->output_micro, 0);
}

static bool lacks(const struct config_price *p, int64_t output)
{
        return p->input_micro < 0 || (output > 0 && p->output_micro < 0);
}

/* Shipped prices are US dollars, whatever the configuration reckons in. -1: there is no rate. */
static int64_t in_currency(const struct price_ask *ask, const struct config_price *p, __int128 sum)
{
        const char *currency = ask->config->currency;
        int64_t pico = sum <= INT64_MAX ? (int64_t)sum : INT64_MAX, out;
        if (!p->shipped || !currency || strcmp(currency, "USD") == 0)
                return pico;
        return rate_convert(ask->config, pico, "USD", currency, ask->unix_s, &out) ? out : -1;
}

int64_t price_usage(const struct price_ask *ask, const struct chat_usage *usage)
{
        const struct config_price *p = price_find(ask, usage->input);
        if (!p)
                return costs_nothing(ask) ? 0 : -1;
        if (lacks(p, usage->output))
                return -1;
        return in_currency(ask, p, (sum_of(p, usage) * factor_of(p, usage->tier) + MILLION / 2) / MILLION);
}

int64_t price_uncached(const struct price_ask *ask, const struct chat_usage *usage)
{
        struct chat_usage plain = *usage;
        plain.cached = plain.cache_write = plain.cache_write_1h = 0;
        return price_usage(ask, &plain);
}

static int64_t larger(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

/* By the row for a prompt of this length. -1: it has none, or lacks what is needed. */
static int64_t worst_at(const struct price_ask *ask, int64_t length, int64_t input_tokens,
                        int64_t output_tokens)
{
        const struct config_price *p = price_find(ask, length);
        if (!p || lacks(p, output_tokens))
                return -1;
        int64_t in = larger(p->input_micro, larger(p->cache_write_micro, p->cache_write_1h_micro));
        in = larger(larger(in, p->cached_micro), larger(p->audio_input_micro, p->image_input_micro));
        int64_t out = larger(larger(p->output_micro, p->audio_output_micro), 0);
        __int128 sum = (__int128)count(input_tokens) * in + (__int128)count(output_tokens) * out;
        int64_t factor = larger(MILLION, larger(p->priority_micro, p->fast_micro));
        return in_currency(ask, p, (sum * factor + MILLION - 1) / MILLION);
}

int64_t price_worst(const struct price_ask *ask, int64_t input_tokens, int64_t output_tokens)
{
        const struct config *c = ask->config;
        int64_t worst = worst_at(ask, 0, input_tokens, output_tokens);
        if (worst < 0)
                return price_find(ask, 0) || !costs_nothing(ask) ? -1 : 0;
        /* A shorter prompt than feared may meet another row, which is cheaper or not. */
        for (size_t i = 0; i < c->price_count; i++) {
                const struct config_price *p = &c->prices[i];
                size_t literal;
                if (!p->above || p->above >= input_tokens ||
                    !catalogue_matches(p->pattern, ask->model, &literal))
                        continue;
                int64_t more = worst_at(ask, p->above + 1, input_tokens, output_tokens);
                if (more < 0)
                        return -1;
                worst = larger(worst, more);
        }
        return worst;
}

int64_t price_of(const struct price_ask *ask, const struct config_price *p, int64_t input_tokens,
                 int64_t output_tokens)
{
        if (!p || lacks(p, output_tokens))
                return -1;
        return in_currency(ask, p,
                           (__int128)count(input_tokens) * p->input_micro +
                                   (__int128)count(output_tokens) * or_else(p->output_micro, 0));
}
