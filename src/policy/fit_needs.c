/* Fields that change what the caller gets: a target that can't do them is unfit. */
#include <string.h>

#include "policy/fit_steps.h"

static bool same_or_openai(const struct fitting *f)
{
        return f->to == DIALECT_OPENAI || f->to == f->from;
}

static bool refuse(struct fitting *f, enum chat_field field, const char *what)
{
        return fit_refuse(f, ERR_UNSUPPORTED, fit_field_name(f, field), "%s does not %s", f->target->model,
                          what);
}

static bool fit_candidates(struct fitting *f)
{
        struct opt_int *n = &f->request->n;
        if (!n->set)
                return true;
        if (n->value > 1)
                return (f->to != DIALECT_ANTHROPIC && fit_can(f->caps.candidates, same_or_openai(f))) ||
                       refuse(f, FIELD_N, "give more than one answer");
        if (!same_or_openai(f) || f->caps.candidates == TRI_NO) { /* one is what everybody gives */
                n->set = false;
                fit_note_forced(f, FIELD_N, true);
        }
        return true;
}

static bool fit_logprobs(struct fitting *f)
{
        const struct chat_request *r = f->request;
        bool can = f->to != DIALECT_ANTHROPIC && fit_can(f->caps.logprobs, same_or_openai(f));
        if (r->logprobs && !can)
                return refuse(f, FIELD_LOGPROBS, "give logprobs");
        if (r->top_logprobs.set && r->top_logprobs.value > 0 && !can)
                return refuse(f, FIELD_TOP_LOGPROBS, "give logprobs");
        if (r->logit_bias && (f->to != DIALECT_OPENAI || f->caps.penalties == TRI_NO))
                return refuse(f, FIELD_LOGIT_BIAS, "take logit_bias");
        return true;
}

static bool fit_choice(struct fitting *f)
{
        const struct chat_request *r = f->request;
        bool forced = r->tool_choice == TOOL_CHOICE_REQUIRED || r->tool_choice == TOOL_CHOICE_NAMED;
        return !forced || f->caps.forced_tools != TRI_NO ||
               refuse(f, FIELD_TOOL_CHOICE, "take a forced tool_choice");
}

static bool fit_format(struct fitting *f)
{
        bool schema = f->request->response_format == FORMAT_JSON_SCHEMA;
        bool json = f->request->response_format == FORMAT_JSON_OBJECT;
        if (!schema && !json)
                return true;
        switch (f->caps.structured) {
        case STRUCTURED_NONE:
                /* Words in the prompt do for any JSON, not for a schema. */
                return (json && f->to == DIALECT_ANTHROPIC) ||
                       refuse(f, FIELD_RESPONSE_FORMAT, "answer in JSON by a rule");
        case STRUCTURED_JSON_OBJECT: return json || refuse(f, FIELD_RESPONSE_FORMAT, "take a JSON schema");
        case STRUCTURED_FORCED_TOOL:
                f->fit->patchable = false;
                return (f->to == DIALECT_ANTHROPIC && f->caps.forced_tools != TRI_NO) ||
                       refuse(f, FIELD_RESPONSE_FORMAT, "take a JSON schema");
        default: return true;
        }
}

static bool fit_stop(struct fitting *f)
{
        static const size_t most[DIALECTS] = {[DIALECT_OPENAI] = 4, [DIALECT_GEMINI] = 5};
        size_t count = 0;
        for (const struct chat_name *n = f->request->stop; n; n = n->next)
                count++;
        if (count && f->caps.stop == TRI_NO)
                return refuse(f, FIELD_STOP, "take stop sequences");
        if (most[f->to] && f->from != f->to && count > most[f->to])
                return refuse(f, FIELD_STOP, "take so many stop sequences");
        return true;
}

/* An answer that goes on where the last message ends. */
static bool fit_prefill(struct fitting *f)
{
        const struct chat_message *last = f->request->last_message;
        if (!last || last->role != CHAT_ASSISTANT)
                return true;
        bool unset = f->to != DIALECT_OPENAI || f->from == DIALECT_OPENAI || f->from == DIALECT_PLAIN;
        return fit_can(f->caps.prefill, unset) ||
               fit_refuse(f, ERR_UNSUPPORTED, last->path ? last->path : fit_field_name(f, FIELD_MESSAGES),
                          "%s does not continue a last message of the assistant", f->target->model);
}

static bool fit_extras(struct fitting *f)
{
        if (f->from == f->to)
                return true;
        for (const struct chat_extra *e = f->request->extras; e; e = e->next) {
                if (!e->hint)
                        return fit_refuse(f, ERR_UNSUPPORTED, e->name, "%s knows no such field",
                                          f->target->model);
                /* It goes on as the user's name. */
                bool kept = f->to == DIALECT_ANTHROPIC && strcmp(e->name, "safety_identifier") == 0;
                if (!kept)
                        fit_note_extra(f, e->name);
        }
        f->request->extras = NULL;
        return true;
}

bool fit_needs(struct fitting *f)
{
        return fit_candidates(f) && fit_logprobs(f) && fit_choice(f) && fit_format(f) && fit_stop(f) &&
               fit_prefill(f) && fit_extras(f);
}
