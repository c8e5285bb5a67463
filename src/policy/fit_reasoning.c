/* Reasoning in the model's own kind of control. What a dialect writes for it is in its encoder; here is what
 * the caller asked for and does not get as asked. */
#include "policy/fit_steps.h"

enum { BUDGET_LEAST = 1024 }; /* anthropic's thinking.budget_tokens */

static void drop(struct fitting *f)
{
        bool as_asked = reasoning_wants_off(&f->request->reasoning) && f->caps.reasoning == REASONING_NONE;
        fit_clear_field(f->request, FIELD_REASONING);
        if (as_asked)
                fit_note_forced(f, FIELD_REASONING, f->to == DIALECT_OPENAI);
        else
                fit_note(f, FIELD_REASONING, true, f->to == DIALECT_OPENAI);
}

/* Snaps the effort to the set that the model takes. */
static void snap(struct fitting *f, bool simple)
{
        struct chat_reasoning *t = &f->request->reasoning;
        enum effort nearest = effort_nearest(f->caps.efforts, t->effort);
        if (nearest == t->effort)
                return;
        t->effort = nearest;
        fit_note(f, FIELD_REASONING, nearest == EFFORT_UNSET, simple);
}

/* ---- openai: an effort ---- */

static bool has_functions(const struct chat_request *r)
{
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (!t->raw)
                        return true;
        }
        return false;
}

static void fit_effort(struct fitting *f)
{
        struct chat_reasoning *t = &f->request->reasoning;
        if (f->caps.tools_with_reasoning == TRI_NO && has_functions(f->request) && t->effort != EFFORT_NONE) {
                bool told = reasoning_wants_thought(t);
                *t = (struct chat_reasoning){.effort = EFFORT_NONE, .show = t->show};
                if (told)
                        fit_note(f, FIELD_REASONING, false, true);
                else
                        fit_note_forced(f, FIELD_REASONING, true);
                return;
        }
        bool theirs = f->from != DIALECT_OPENAI;
        bool none = f->caps.reasoning == REASONING_NONE ||
                    (f->caps.reasoning == REASONING_UNSET && theirs && !fit_is_forced(f, FIELD_REASONING));
        if (none) {
                if (fit_has_field(f->request, FIELD_REASONING))
                        drop(f);
                return;
        }
        if (t->mode == THINKING_OFF)
                t->effort = EFFORT_NONE;
        else if (t->effort == EFFORT_UNSET)
                t->effort = effort_of_budget(t->budget_tokens);
        t->mode = THINKING_UNSET;
        t->budget_tokens = 0;
        snap(f, true);
}

/* ---- anthropic ---- */

static bool is_forced(const struct fitting *f)
{
        const struct chat_request *r = f->request;
        return r->tool_choice == TOOL_CHOICE_REQUIRED || r->tool_choice == TOOL_CHOICE_NAMED ||
               (r->response_format >= FORMAT_JSON_OBJECT && f->caps.structured == STRUCTURED_FORCED_TOOL);
}

static void fit_budget(struct fitting *f)
{
        struct chat_reasoning *t = &f->request->reasoning;
        if (!reasoning_wants_thought(t))
                return;
        bool effort_only = t->mode == THINKING_UNSET;
        if (effort_only && f->from == DIALECT_ANTHROPIC && f->caps.efforts)
                return;
        /* The vendor takes neither a forced tool nor a loop without its thought together with a budget. */
        if (is_forced(f) || chat_loop_lacks_thinking(f->request, DIALECT_ANTHROPIC)) {
                drop(f);
                return;
        }
        /* The least budget does not fit in: the answer's room comes on top of it. */
        const struct opt_int *most = &f->request->max_tokens;
        if (most->set &&
            most->value <= (f->caps.budget_min > BUDGET_LEAST ? f->caps.budget_min : BUDGET_LEAST))
                fit_note(f, FIELD_MAX_TOKENS, false, false);
        if (f->from == DIALECT_ANTHROPIC && t->mode != THINKING_BUDGET)
                fit_note(f, FIELD_REASONING, false, false);
}

/* Modes that this model refuses: the encoder takes the nearest, the caller is told. */
static bool mode_changes(const struct fitting *f)
{
        const struct chat_reasoning *t = &f->request->reasoning;
        if (reasoning_wants_off(t))
                return f->caps.off == THINKING_OFF_NEVER ||
                       (t->mode == THINKING_OFF && f->caps.off == THINKING_OFF_BETWEEN_TOOLS);
        if (t->mode == THINKING_BETWEEN_TOOLS)
                return f->caps.off != THINKING_OFF_UNSET && f->caps.off != THINKING_OFF_BETWEEN_TOOLS;
        return t->mode == THINKING_BUDGET;
}

static void fit_adaptive(struct fitting *f)
{
        struct chat_reasoning *t = &f->request->reasoning;
        /* There, an effort in the vendor's own dialect asks for no thought. */
        bool thinks =
                reasoning_wants_thought(t) && (t->mode != THINKING_UNSET || f->from != DIALECT_ANTHROPIC);
        if (thinks && f->caps.forced_with_reasoning == TRI_NO && is_forced(f)) {
                drop(f);
                return;
        }
        if (mode_changes(f))
                fit_note(f, FIELD_REASONING, false, false);
        if (t->mode == THINKING_BUDGET && t->effort == EFFORT_UNSET)
                t->effort = effort_of_budget(t->budget_tokens);
        if (t->effort > EFFORT_NONE)
                snap(f, false);
}

static void fit_anthropic(struct fitting *f)
{
        switch (f->caps.reasoning) {
        case REASONING_NONE: drop(f); break;
        case REASONING_BUDGET:
                if (f->caps.efforts && f->request->reasoning.effort > EFFORT_NONE &&
                    f->from == DIALECT_ANTHROPIC)
                        snap(f, false);
                fit_budget(f);
                break;
        case REASONING_ADAPTIVE: fit_adaptive(f); break;
        default: break;
        }
}

/* ---- gemini ---- */

static void fit_gemini(struct fitting *f)
{
        const struct chat_reasoning *t = &f->request->reasoning;
        bool level = f->caps.reasoning == REASONING_LEVEL, budget = f->caps.reasoning == REASONING_BUDGET;
        if (f->caps.reasoning == REASONING_NONE) {
                drop(f);
                return;
        }
        if (f->from == DIALECT_GEMINI &&
            ((level && t->mode == THINKING_BUDGET) || (budget && t->mode == THINKING_UNSET)))
                fit_note(f, FIELD_REASONING, false, false);
        else if (reasoning_wants_off(t) && (level || f->caps.off == THINKING_OFF_NEVER))
                fit_note(f, FIELD_REASONING, false, false);
        if (level && t->effort > EFFORT_NONE)
                snap(f, false);
}

void fit_reasoning(struct fitting *f)
{
        if (f->to == DIALECT_OPENAI)
                fit_effort(f);
        else if (!fit_has_field(f->request, FIELD_REASONING))
                return;
        else if (f->to == DIALECT_ANTHROPIC)
                fit_anthropic(f);
        else if (f->to == DIALECT_GEMINI)
                fit_gemini(f);
}
