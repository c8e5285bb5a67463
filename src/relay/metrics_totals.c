/* Counters and histograms, from the ledger's running totals. */
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "base/text.h"
#include "relay/metrics.h"
#include "store/totals.h"

/* ---- the sets ---- */

struct set {
        struct set *next;
        struct totals_labels labels;
        struct totals_values values;
};

struct sets {
        struct arena *arena;
        struct set *list;
        size_t count;
        const struct set **order; /* all of them, sorted for a view */
};

/* Odd bytes are taken out before it is looked at which sets have the same labels: two series of one name
 * would spoil the scrape. */
static const char *keep(struct arena *a, const char *s)
{
        enum { LONGEST = 128 };
        if (!s || !*s)
                return "";
        char *text = arena_strdup(a, s);
        text_clean(text, LONGEST);
        for (char *c = text; *c; c++)
                *c = *c == '\t' || *c == '\n' ? ' ' : *c;
        return text;
}

static void take(const struct totals_labels *l, const struct totals_values *values, void *context)
{
        struct sets *s = context;
        struct set *set = arena_alloc(s->arena, sizeof *set);
        set->labels = (struct totals_labels){
                .account = keep(s->arena, l->account),
                .model = keep(s->arena, l->model),
                .version = keep(s->arena, l->version),
                .provider = keep(s->arena, l->provider),
                .upstream_model = keep(s->arena, l->upstream_model),
                .served_model = keep(s->arena, l->served_model),
                .operation = keep(s->arena, l->operation),
                .error = keep(s->arena, l->error),
                .outcome = keep(s->arena, l->outcome),
                .currency = keep(s->arena, l->currency),
        };
        set->values = *values;
        set->next = s->list;
        s->list = set;
        s->count++;
}

/* ---- views: which labels tell series apart ---- */

struct view_label {
        const char *name;
        size_t place; /* in totals_labels */
};
#define LABEL(name, field)                                                                                   \
        {                                                                                                    \
                name, offsetof(struct totals_labels, field)                                                  \
        }

enum { LABELS = 6, LEVELS = 4 };

/* The first level whose series are no more than `most`; the last one otherwise. Sets are never taken away, so
 * a level is left once and for all. */
struct view {
        size_t most;
        struct view_label levels[LEVELS][LABELS + 1];
};

static const struct view by_outcome = {
        2000,
        {{LABEL("account", account), LABEL("model", model), LABEL("version", version),
          LABEL("provider", provider), LABEL("outcome", outcome), LABEL("error_type", error)},
         {LABEL("account", account), LABEL("model", model), LABEL("outcome", outcome),
          LABEL("error_type", error)},
         {LABEL("account", account), LABEL("outcome", outcome), LABEL("error_type", error)},
         {LABEL("outcome", outcome), LABEL("error_type", error)}}};
static const struct view by_use = {1000,
                                   {{LABEL("account", account), LABEL("model", model),
                                     LABEL("version", version), LABEL("provider", provider)},
                                    {LABEL("account", account), LABEL("model", model)},
                                    {LABEL("account", account)},
                                    {{NULL, 0}}}};
static const struct view by_currency = {
        500,
        {{LABEL("account", account), LABEL("model", model), LABEL("version", version),
          LABEL("provider", provider), LABEL("currency", currency)},
         {LABEL("account", account), LABEL("model", model), LABEL("currency", currency)},
         {LABEL("account", account), LABEL("currency", currency)},
         {LABEL("currency", currency)}}};
/* OpenTelemetry's labels. Not by account: a series is a hundred lines. */
static const struct view by_convention = {
        200,
        {{LABEL("gen_ai_operation_name", operation), LABEL("gen_ai_provider_name", provider),
          LABEL("gen_ai_request_model", upstream_model), LABEL("gen_ai_response_model", served_model),
          LABEL("error_type", error)},
         {LABEL("gen_ai_operation_name", operation), LABEL("gen_ai_provider_name", provider),
          LABEL("gen_ai_request_model", upstream_model), LABEL("error_type", error)},
         {LABEL("gen_ai_operation_name", operation), LABEL("gen_ai_provider_name", provider),
          LABEL("error_type", error)},
         {LABEL("gen_ai_operation_name", operation), LABEL("error_type", error)}}};

static const char *value_of(const struct set *s, const struct view_label *label)
{
        return *(const char *const *)((const char *)&s->labels + label->place);
}

static int compare(const void *x, const void *y, void *level)
{
        const struct set *a = *(const struct set *const *)x, *b = *(const struct set *const *)y;
        int order = 0;
        for (const struct view_label *label = level; label->name && !order; label++)
                order = strcmp(value_of(a, label), value_of(b, label));
        return order;
}

/* A series of a view: the sets that are the same to it. */
struct series {
        struct metric_label labels[LABELS + 1]; /* room for one more */
        size_t label_count;
        struct totals_values values;
};

static size_t sort_for(const struct sets *s, const struct view_label *level)
{
        size_t count = s->count > 0;
        qsort_r(s->order, s->count, sizeof *s->order, compare, (void *)level);
        for (size_t i = 1; i < s->count; i++)
                count += compare(&s->order[i - 1], &s->order[i], (void *)level) != 0;
        return count;
}

static void begin_series(struct series *to, const struct set *from, const struct view_label *level)
{
        *to = (struct series){0};
        for (; level->name; level++)
                to->labels[to->label_count++] = (struct metric_label){level->name, value_of(from, level)};
}

static struct series *series_of(const struct sets *s, const struct view *view, size_t *count)
{
        const struct view_label *level = view->levels[0];
        size_t series = sort_for(s, level);
        for (size_t i = 1; series > view->most && i < LEVELS; i++) {
                level = view->levels[i];
                series = sort_for(s, level);
        }
        struct series *list = arena_alloc(s->arena, (series + 1) * sizeof *list), *to = list;
        for (size_t i = 0; i < s->count; i++) {
                bool first = i == 0 || compare(&s->order[i - 1], &s->order[i], (void *)level) != 0;
                if (first)
                        begin_series(to = i ? to + 1 : list, s->order[i], level);
                totals_merge(&to->values, &s->order[i]->values);
        }
        *count = series;
        return list;
}

/* ---- counters ---- */

enum how { WHOLE, MILLI, PICO };

struct counter_part {
        size_t place;     /* in totals_values */
        const char *kind; /* value of the label that tells parts apart, or NULL */
};

struct counter {
        struct metric metric;
        enum how how;
        const char *label; /* that tells parts apart, or NULL */
        struct counter_part parts[6];
};
#define AT(field) offsetof(struct totals_values, field)

static const struct counter outcome_counters[] = {
        {{"tollgate_requests", METRIC_COUNTER, NULL, "Model requests that are over."},
         WHOLE,
         NULL,
         {{AT(requests), NULL}}},
};
static const struct counter use_counters[] = {
        {{"tollgate_tokens", METRIC_COUNTER, NULL,
          "Tokens; cached and cache_write are parts of input, reasoning is a part of output."},
         WHOLE,
         "kind",
         {{AT(input), "input"},
          {AT(cached), "cached"},
          {AT(cache_write), "cache_write"},
          {AT(output), "output"},
          {AT(reasoning), "reasoning"}}},
        {{"tollgate_images", METRIC_COUNTER, NULL, "Images in requests."}, WHOLE, NULL, {{AT(images), NULL}}},
        {{"tollgate_attempts", METRIC_COUNTER, NULL, "Calls to providers."},
         WHOLE,
         NULL,
         {{AT(attempts), NULL}}},
        {{"tollgate_retries", METRIC_COUNTER, NULL, "Calls to a target after one to the same had failed."},
         WHOLE,
         NULL,
         {{AT(retries), NULL}}},
        {{"tollgate_rescues", METRIC_COUNTER, NULL, "Calls that went on with a stream that had broken."},
         WHOLE,
         NULL,
         {{AT(rescues), NULL}}},
        {{"tollgate_hedges", METRIC_COUNTER, NULL, "Second calls while a first was not answered yet."},
         WHOLE,
         NULL,
         {{AT(hedges), NULL}}},
        {{"tollgate_cache_hits", METRIC_COUNTER, NULL, "Answers out of the response cache."},
         WHOLE,
         NULL,
         {{AT(cache_hits), NULL}}},
        {{"tollgate_estimated_requests", METRIC_COUNTER, NULL,
          "Requests whose tokens were reckoned here, as the provider told none."},
         WHOLE,
         NULL,
         {{AT(estimated), NULL}}},
        {{"tollgate_unpriced_requests", METRIC_COUNTER, NULL,
          "Requests whose cost is not complete, as a model has no price."},
         WHOLE,
         NULL,
         {{AT(unpriced), NULL}}},
        {{"tollgate_queue_seconds", METRIC_COUNTER, "seconds", "Time that requests waited for their turn."},
         MILLI,
         NULL,
         {{AT(queue_ms), NULL}}},
};
static const struct counter currency_counters[] = {
        {{"tollgate_cost", METRIC_COUNTER, NULL, "What providers charge, by the prices configured."},
         PICO,
         NULL,
         {{AT(cost_pico), NULL}}},
        /* Writing to a prompt cache may cost more than was saved yet: it may fall. */
        {{"tollgate_saved", METRIC_GAUGE, NULL, "What caches have saved since the ledger was begun."},
         PICO,
         NULL,
         {{AT(saved_pico), NULL}}},
};

static void write_value(struct exposition *e, const struct series *s, size_t labels, size_t place,
                        enum how how)
{
        const void *at = (const char *)&s->values + place;
        char text[MONEY_TEXT];
        if (how == PICO)
                exposition_text(e, s->labels, labels, money_text(text, *(const __int128 *)at));
        else
                exposition_decimal(e, s->labels, labels, *(const int64_t *)at, how == MILLI ? 3 : 0);
}

/* All that was refused at once would be nothing but zeros. */
static bool was_used(const struct totals_values *v)
{
        return v->attempts || v->cache_hits || v->queue_ms;
}

static void write_counters(struct exposition *e, const struct sets *sets, const struct view *view,
                           const struct counter *counters, size_t counter_count)
{
        size_t count;
        struct series *list = series_of(sets, view, &count);
        for (size_t i = 0; i < counter_count; i++) {
                const struct counter *c = &counters[i];
                exposition_begin(e, &c->metric);
                for (size_t n = 0; n < count; n++) {
                        struct series *s = &list[n];
                        const struct counter_part *part = c->parts;
                        if (view != &by_outcome && !was_used(&s->values))
                                continue;
                        do {
                                s->labels[s->label_count] = (struct metric_label){c->label, part->kind};
                                write_value(e, s, s->label_count + (part->kind != NULL), part->place, c->how);
                        } while ((++part)->kind);
                }
        }
}

/* ---- histograms, under OpenTelemetry's names ---- */

struct histogram {
        const double *bounds;
        size_t bound_count, counts, sum; /* places in totals_values */
        unsigned sum_places;
        const char *kind;
};
static const struct histogram input_tokens = {
        totals_tokens_bounds, TOTALS_TOKENS, AT(input_tokens), AT(input), 0, "input"};
static const struct histogram output_tokens = {
        totals_tokens_bounds, TOTALS_TOKENS, AT(output_tokens), AT(output), 0, "output"};
static const struct histogram durations = {
        totals_seconds_bounds, TOTALS_SECONDS, AT(duration), AT(duration_us), 6, NULL};
static const struct histogram first_tokens = {totals_ttft_bounds, TOTALS_TTFT, AT(ttft),
                                              AT(ttft_us),        6,           NULL};
static const struct histogram next_tokens = {totals_tpot_bounds, TOTALS_TPOT, AT(tpot), AT(tpot_us), 6, NULL};

/* Semantic conventions 1.37, "Generative AI metrics". */
static const struct {
        struct metric metric;
        const struct histogram *parts[2];
} histograms[] = {
        {{"gen_ai_client_token_usage", METRIC_HISTOGRAM, NULL, "Tokens of requests that reached a provider."},
         {&input_tokens, &output_tokens}},
        {{"gen_ai_server_request_duration_seconds", METRIC_HISTOGRAM, "seconds",
          "Time of a request, waits and all attempts included."},
         {&durations}},
        {{"gen_ai_server_time_to_first_token_seconds", METRIC_HISTOGRAM, "seconds",
          "Time to the first token of a stream."},
         {&first_tokens}},
        {{"gen_ai_server_time_per_output_token_seconds", METRIC_HISTOGRAM, "seconds",
          "Time for each token behind the first one of a stream that came to its end."},
         {&next_tokens}},
};

static void write_histogram(struct exposition *e, struct series *s, const struct histogram *h)
{
        const char *values = (const char *)&s->values;
        const struct metric_histogram what = {
                .bounds = h->bounds,
                .counts = (const int64_t *)(const void *)(values + h->counts),
                .bound_count = h->bound_count,
                .sum = *(const int64_t *)(const void *)(values + h->sum),
                .sum_places = h->sum_places,
        };
        int64_t any = 0;
        for (size_t i = 0; i <= what.bound_count; i++)
                any |= what.counts[i];
        s->labels[s->label_count] = (struct metric_label){"gen_ai_token_type", h->kind};
        if (any)
                exposition_histogram(e, s->labels, s->label_count + (h->kind != NULL), &what);
}

static void write_histograms(struct exposition *e, const struct sets *sets)
{
        size_t count;
        struct series *list = series_of(sets, &by_convention, &count);
        for (size_t i = 0; i < sizeof histograms / sizeof *histograms; i++) {
                exposition_begin(e, &histograms[i].metric);
                for (size_t n = 0; n < count; n++) {
                        for (size_t p = 0; p < 2 && histograms[i].parts[p]; p++)
                                write_histogram(e, &list[n], histograms[i].parts[p]);
                }
        }
}

/* ---- the whole ---- */

#define COUNT(x) (sizeof(x) / sizeof *(x))

void metrics_write_totals(struct exposition *e, struct book *book, struct arena *a, bool *readable)
{
        struct sets sets = {.arena = a};
        *readable = book && book_totals(book, take, &sets);
        /* A part of them would look like counters that went back. */
        if (!*readable)
                sets.list = NULL, sets.count = 0;
        sets.order = arena_alloc(a, (sets.count + 1) * sizeof *sets.order);
        size_t i = 0;
        for (const struct set *s = sets.list; s; s = s->next)
                sets.order[i++] = s;
        write_counters(e, &sets, &by_outcome, outcome_counters, COUNT(outcome_counters));
        write_counters(e, &sets, &by_use, use_counters, COUNT(use_counters));
        write_counters(e, &sets, &by_currency, currency_counters, COUNT(currency_counters));
        write_histograms(e, &sets);
}
