#include "policy/catalogue.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

/* ---- matching ---- */

static bool digits(const char **s, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (!isdigit((unsigned char)(*s)[i]))
                        return false;
        }
        *s += count;
        return true;
}

/* -2026-04-23, -20260423, @20260423 */
static bool is_date(const char *s)
{
        char mark = *s++;
        if ((mark != '-' && mark != '@') || !digits(&s, 4))
                return false;
        bool dashed = mark == '-' && *s == '-';
        if (dashed && *s++ != '-')
                return false;
        if (!digits(&s, 2) || (dashed && *s++ != '-'))
                return false;
        return digits(&s, 2) && !*s;
}

bool catalogue_matches(const char *pattern, const char *model, size_t *literal)
{
        size_t len = strlen(pattern);
        if (strpbrk(pattern, "*?"))
                return text_glob(pattern, model, literal);
        if (literal)
                *literal = len;
        return strncmp(pattern, model, len) == 0 && (!model[len] || is_date(model + len));
}

/* ---- merging ---- */

static void merge(struct model_caps *to, const struct model_caps *from)
{
#define TAKE(member)                                                                                         \
        if (from->member)                                                                                    \
        to->member = from->member
        TAKE(window);
        TAKE(max_output);
        TAKE(tasks);
        TAKE(vision);
        TAKE(documents);
        TAKE(audio);
        TAKE(tools);
        TAKE(forced_tools);
        TAKE(prefill);
        TAKE(seed);
        TAKE(logprobs);
        TAKE(penalties);
        TAKE(stop);
        TAKE(top_k);
        TAKE(candidates);
        TAKE(parallel_tool_switch);
        TAKE(image_urls);
        TAKE(tool_result_images);
        TAKE(mid_system);
        TAKE(tools_with_reasoning);
        TAKE(bound_thinking);
        TAKE(forced_with_reasoning);
        TAKE(signatures);
        TAKE(dimensions);
        TAKE(cache_control);
        TAKE(sampling);
        TAKE(reasoning);
        TAKE(efforts);
        TAKE(off);
        TAKE(budget_min);
        TAKE(budget_max);
        TAKE(structured);
        TAKE(developer_role);
        TAKE(max_tokens_field);
        TAKE(api_version);
        TAKE(retires);
        TAKE(tool_id_length);
        TAKE(batch_inputs);
        TAKE(cache_min);
#undef TAKE
}

/* Where a row stands among those that match: a later one wins. */
struct rank {
        size_t literal; /* the longer, the more it says */
        bool exact;     /* an id says more than a glob */
        bool own;       /* the operator's */
        size_t index;
};

static bool before(const struct rank *a, const struct rank *b)
{
        if (a->literal != b->literal)
                return a->literal < b->literal;
        if (a->exact != b->exact)
                return b->exact;
        if (a->own != b->own)
                return b->own;
        return a->index < b->index;
}

static bool rank_row(const struct config *c, size_t index, const char *model, struct rank *out)
{
        const struct config_catalogue_row *row = &c->catalogue[index];
        *out = (struct rank){.exact = !strpbrk(row->pattern, "*?"), .own = !row->shipped, .index = index};
        return catalogue_matches(row->pattern, model, &out->literal);
}

void catalogue_caps(const struct config *c, const char *model, struct model_caps *out)
{
        struct rank last = {0}, rank, next;
        bool any = false;
        *out = (struct model_caps){0};
        /* Few rows match: the next one in order is looked for each time, and nothing needs memory. */
        for (;;) {
                bool found = false;
                for (size_t i = 0; i < c->catalogue_count; i++) {
                        if (!rank_row(c, i, model, &rank) || (any && !before(&last, &rank)))
                                continue;
                        if (!found || before(&rank, &next))
                                next = rank;
                        found = true;
                }
                if (!found)
                        return;
                merge(out, &c->catalogue[next.index].caps);
                last = next;
                any = true;
        }
}

static enum tri given(const struct config_target *t, unsigned bit)
{
        return t->capabilities & bit ? TRI_YES : TRI_NO;
}

void catalogue_target_caps(const struct config *c, const struct config_target *t, struct model_caps *out)
{
        catalogue_caps(c, t->model, out);
        if (!t->capabilities_given)
                return;
        out->vision = given(t, CAPABILITY_VISION);
        out->tools = given(t, CAPABILITY_TOOLS);
        out->documents = given(t, CAPABILITY_DOCUMENTS);
        out->audio = given(t, CAPABILITY_AUDIO);
        if (t->capabilities & CAPABILITY_PREFILL) /* a list that leaves it out need not mean it */
                out->prefill = TRI_YES;
}
