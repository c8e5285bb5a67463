/* What becomes of reasoning and of max_tokens for a model: kinds of control differ (wire rules: "thinking").
 */
#include "dialect/anthropic.h"

#include <string.h>

enum { ANSWER_ROOM = 4096 }; /* left for the answer behind a budget, where the caller named no max_tokens */

static const int64_t budgets[EFFORTS] = {
        [EFFORT_MINIMAL] = 1024, [EFFORT_LOW] = 1024,    [EFFORT_MEDIUM] = 4096,
        [EFFORT_HIGH] = 16384,   [EFFORT_XHIGH] = 32768, [EFFORT_MAX] = 32768,
};

static int64_t clamp(int64_t n, int64_t low, int64_t high)
{
        return high && n > high ? high : n < low ? low : n;
}

static void plan_budget(const struct chat_request *r, const struct model_caps *caps, struct anthropic_plan *p)
{
        const struct chat_reasoning *t = &r->reasoning;
        bool forced =
                r->tool_choice == TOOL_CHOICE_REQUIRED || r->tool_choice == TOOL_CHOICE_NAMED ||
                (r->response_format >= FORMAT_JSON_OBJECT && caps->structured == STRUCTURED_FORCED_TOOL);
        if (forced || chat_loop_lacks_thinking(r, DIALECT_ANTHROPIC))
                return;
        int64_t least = caps->budget_min > ANTHROPIC_BUDGET_MIN ? caps->budget_min : ANTHROPIC_BUDGET_MIN;
        int64_t wanted = t->budget_tokens > 0 ? t->budget_tokens
                                              : budgets[t->effort > EFFORT_NONE ? t->effort : EFFORT_HIGH];
        p->budget = clamp(wanted, least, caps->budget_max);
        if (r->max_tokens.set)
                p->budget = clamp(p->budget, least, p->max_tokens > least ? p->max_tokens - 1 : least);
        if (p->max_tokens <= p->budget) /* both count the thoughts */
                p->max_tokens =
                        p->budget + (r->max_tokens.set && p->max_tokens > 0 ? p->max_tokens : ANSWER_ROOM);
        if (caps->max_output && p->max_tokens > caps->max_output) {
                p->max_tokens = caps->max_output;
                p->budget = clamp(p->budget, least, p->max_tokens - 1);
        }
        p->type = "enabled";
}

static void plan_off(const struct chat_request *r, const struct model_caps *caps, struct anthropic_plan *p)
{
        switch (caps->off) {
        case THINKING_OFF_DISABLED: p->type = "disabled"; break;
        case THINKING_OFF_BETWEEN_TOOLS: p->type = "between_tools"; break;
        case THINKING_OFF_NEVER: p->effort = effort_nearest(caps->efforts, EFFORT_LOW); break;
        case THINKING_OFF_UNSET:
                if (r->from == DIALECT_ANTHROPIC && r->reasoning.mode == THINKING_OFF)
                        p->type = "disabled";
                break;
        default: break;
        }
}

static void plan_adaptive(const struct chat_request *r, const struct model_caps *caps,
                          struct anthropic_plan *p)
{
        const struct chat_reasoning *t = &r->reasoning;
        /* Effort alone says nothing of thinking in this dialect; elsewhere it asks for it. */
        if (t->mode != THINKING_UNSET || r->from != DIALECT_ANTHROPIC)
                p->type = "adaptive";
        if (t->mode == THINKING_BETWEEN_TOOLS &&
            (caps->off == THINKING_OFF_BETWEEN_TOOLS || caps->off == THINKING_OFF_UNSET))
                p->type = "between_tools";
        p->effort = t->effort > EFFORT_NONE ? t->effort : effort_of_budget(t->budget_tokens);
}

void anthropic_plan_thinking(const struct chat_request *r, const struct model_caps *caps,
                             struct anthropic_plan *p)
{
        const struct chat_reasoning *t = &r->reasoning;
        *p = (struct anthropic_plan){0};
        p->max_tokens = r->max_tokens.set  ? r->max_tokens.value
                        : caps->max_output ? caps->max_output
                                           : ANTHROPIC_MAX_TOKENS_DEFAULT;
        if (caps->max_output && p->max_tokens > caps->max_output)
                p->max_tokens = caps->max_output;
        /* A model that no row describes: a budget is taken at its word, anything else goes the newer way. */
        bool budget = caps->reasoning == REASONING_BUDGET ||
                      (caps->reasoning == REASONING_UNSET && t->mode == THINKING_BUDGET);
        if (caps->reasoning == REASONING_NONE)
                return;
        if (budget && t->effort > EFFORT_NONE && caps->efforts)
                p->effort = t->effort;
        if (reasoning_wants_off(t))
                plan_off(r, caps, p);
        else if (reasoning_wants_thought(t) && budget &&
                 (t->mode != THINKING_UNSET || !p->effort || r->from != DIALECT_ANTHROPIC))
                plan_budget(r, caps, p);
        else if (reasoning_wants_thought(t) && !budget)
                plan_adaptive(r, caps, p);
        if (!budget && reasoning_wants_off(t) && t->effort > EFFORT_NONE && !p->effort)
                p->effort = t->effort;
        unsigned known = caps->efforts & ~(1u << EFFORT_NONE);
        if (p->effort == EFFORT_MINIMAL)
                p->effort = EFFORT_LOW;
        if (p->effort > EFFORT_HIGH && p->type && *p->type == 'd') /* off goes with high at most */
                p->effort = EFFORT_HIGH;
        p->effort = caps->efforts && !known ? EFFORT_UNSET : effort_nearest(known, p->effort);
        bool thinks = p->type && *p->type != 'd' && *p->type != 'b';
        if (thinks && t->show != TRI_UNSET)
                p->display = t->show == TRI_YES ? "summarized" : "omitted";
}

static bool has_thought(const struct chat_request *r)
{
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_THINKING && b->signature_from == DIALECT_ANTHROPIC &&
                            b->signature.len)
                                return true;
                }
        }
        return false;
}

bool anthropic_sends_thoughts(const struct chat_request *r, const struct model_caps *caps)
{
        struct anthropic_plan plan;
        if (caps->bound_thinking != TRI_YES || r->from == DIALECT_ANTHROPIC)
                return true;
        anthropic_plan_thinking(r, caps, &plan);
        return !plan.type || strcmp(plan.type, "adaptive") == 0;
}

bool anthropic_is_bound(const struct chat_request *r, const struct model_caps *caps)
{
        return caps->bound_thinking == TRI_YES && r->from != DIALECT_ANTHROPIC && has_thought(r) &&
               anthropic_sends_thoughts(r, caps);
}
