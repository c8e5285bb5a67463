/* Fields that are fitted or left out, and told. */
#include <string.h>

#include "policy/fit_steps.h"

static void leave_out(struct fitting *f, enum chat_field field)
{
        if (!fit_has_field(f->request, field))
                return;
        fit_clear_field(f->request, field);
        fit_note(f, field, true, true);
}

/* ---- sampling ---- */

/* While it thinks, anthropic takes no sampling from any model. */
static bool thinks_there(const struct fitting *f)
{
        const struct chat_reasoning *t = &f->request->reasoning;
        bool budget = f->caps.reasoning == REASONING_BUDGET ||
                      (f->caps.reasoning == REASONING_UNSET && t->mode == THINKING_BUDGET);
        bool adaptive = f->caps.reasoning == REASONING_ADAPTIVE &&
                        (t->mode != THINKING_UNSET || f->from != DIALECT_ANTHROPIC);
        return f->to == DIALECT_ANTHROPIC && (budget || adaptive) && reasoning_wants_thought(t);
}

static bool refuses_sampling(const struct fitting *f)
{
        /* From this version of the API on, anthropic refuses the fields whatever the model. */
        bool version = f->to == DIALECT_ANTHROPIC && f->caps.api_version &&
                       strcmp(f->caps.api_version, "2026-10-21") >= 0;
        bool thinks =
                f->caps.sampling == SAMPLING_WITHOUT_REASONING && f->request->reasoning.effort != EFFORT_NONE;
        return version || thinks || f->caps.sampling == SAMPLING_NO || thinks_there(f);
}

static void fit_sampling(struct fitting *f)
{
        struct chat_request *r = f->request;
        if (refuses_sampling(f)) {
                leave_out(f, FIELD_TEMPERATURE);
                leave_out(f, FIELD_TOP_P);
                leave_out(f, FIELD_TOP_K);
        }
        if (r->temperature.set && r->temperature.value > 1 && f->to == DIALECT_ANTHROPIC) {
                r->temperature.value = 1;
                fit_note(f, FIELD_TEMPERATURE, false, true);
        }
        /* Its models since 4.1 take one of the two. */
        if (f->to == DIALECT_ANTHROPIC && f->caps.sampling == SAMPLING_YES && r->temperature.set)
                leave_out(f, FIELD_TOP_P);
        if (!fit_can(f->caps.top_k,
                     f->to != DIALECT_OPENAI || f->from == DIALECT_OPENAI || fit_is_forced(f, FIELD_TOP_K)))
                leave_out(f, FIELD_TOP_K);
        if (f->to == DIALECT_ANTHROPIC || f->caps.penalties == TRI_NO) {
                leave_out(f, FIELD_PRESENCE_PENALTY);
                leave_out(f, FIELD_FREQUENCY_PENALTY);
        }
        if (f->to == DIALECT_ANTHROPIC || f->caps.seed == TRI_NO)
                leave_out(f, FIELD_SEED);
}

/* ---- length and stops ---- */

static void fit_length(struct fitting *f)
{
        struct opt_int *n = &f->request->max_tokens;
        if (n->set && f->caps.max_output && n->value > f->caps.max_output) {
                n->value = f->caps.max_output;
                fit_note(f, FIELD_MAX_TOKENS, false, true);
        }
        /* The same number under the name that this model wants. */
        if (n->set && f->to == DIALECT_OPENAI && f->from == DIALECT_OPENAI && f->caps.max_tokens_field)
                fit_note_forced(f, FIELD_MAX_TOKENS, true);
}

/* Stops of white space alone are refused by anthropic. */
static void fit_blank_stops(struct fitting *f)
{
        struct chat_name *kept = NULL;
        bool blank = false;
        for (const struct chat_name *n = f->request->stop; n; n = n->next) {
                if (strspn(n->name, " \t\r\n") == strlen(n->name))
                        blank = true;
                else
                        chat_add_name(f->arena, &kept, n->name);
        }
        if (!blank || f->to != DIALECT_ANTHROPIC)
                return;
        f->request->stop = kept;
        fit_note(f, FIELD_STOP, !kept, true);
}

/* ---- what only some vendors have a place for ---- */

static bool tier_known(const struct fitting *f)
{
        static const char *const words[DIALECTS][5] = {
                [DIALECT_ANTHROPIC] = {"auto", "standard_only", "default", "standard"},
                [DIALECT_GEMINI] = {"flex", "priority", "default", "standard"},
                [DIALECT_OPENAI] = {"auto", "standard_only", "standard", "flex", "priority"},
        };
        for (size_t i = 0; i < 5 && words[f->to][i]; i++) {
                if (strcmp(words[f->to][i], f->request->service_tier) == 0)
                        return true;
        }
        return false;
}

static void fit_vendor_hints(struct fitting *f)
{
        static const struct {
                enum chat_field field;
                unsigned kept_by; /* bits 1 << enum dialect_id of targets that have it, whoever the client is
                                   */
        } hints[] = {
                {FIELD_USER, 1u << DIALECT_OPENAI | 1u << DIALECT_ANTHROPIC},
                {FIELD_STORE, 1u << DIALECT_OPENAI},
                {FIELD_METADATA, 0},
                {FIELD_CACHE_KEY, 1u << DIALECT_OPENAI},
                {FIELD_VERBOSITY, 1u << DIALECT_OPENAI},
        };
        if (f->from == f->to)
                return;
        for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
                if (!(hints[i].kept_by & 1u << f->to))
                        leave_out(f, hints[i].field);
        }
        if (f->to == DIALECT_ANTHROPIC && f->request->user && strlen(f->request->user) > 256) /* its limit */
                leave_out(f, FIELD_USER);
        if (f->request->service_tier && !tier_known(f))
                leave_out(f, FIELD_SERVICE_TIER);
}

/* Both at once is what everybody does; one at a time can't be asked of all. */
static void fit_parallel(struct fitting *f)
{
        enum tri *parallel = &f->request->parallel_tools;
        if (*parallel == TRI_UNSET || fit_can(f->caps.parallel_tool_switch, f->to != DIALECT_GEMINI))
                return;
        bool told = *parallel == TRI_NO;
        *parallel = TRI_UNSET;
        if (told)
                fit_note(f, FIELD_PARALLEL_TOOLS, true, f->to == DIALECT_OPENAI);
        else
                fit_note_forced(f, FIELD_PARALLEL_TOOLS, false);
}

void fit_hints(struct fitting *f)
{
        fit_sampling(f);
        fit_length(f);
        fit_blank_stops(f);
        fit_vendor_hints(f);
        fit_parallel(f);
}
