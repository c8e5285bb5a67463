#include "policy/fit_steps.h"

#include <string.h>

#include "policy/catalogue.h"

/* ---- shared by the steps ---- */

bool fit_refuse(struct fitting *f, enum err_cause cause, const char *field, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        f->fit->fits = false;
        f->fit->unfit_cause = cause;
        f->fit->unfit_field = field;
        f->fit->unfit_why = arena_vprintf(f->arena, fmt, ap);
        va_end(ap);
        return false;
}

bool fit_can(enum tri says, bool unset)
{
        return says == TRI_UNSET ? unset : says == TRI_YES;
}

const char *fit_field_name(const struct fitting *f, enum chat_field field)
{
        return dialect_field_name(f->from, field);
}

static void note(struct fitting *f, const struct fit_change *change, bool simple)
{
        struct fit *fit = f->fit;
        f->fit->patchable &= simple;
        for (size_t i = 0; i < fit->change_count; i++) {
                struct fit_change *old = &fit->changes[i];
                bool same = old->field == change->field &&
                            (change->field != CHAT_FIELDS || strcmp(old->shown, change->shown) == 0);
                if (!same)
                        continue;
                old->removed = change->removed;
                /* What the operator forced and the model refuses is nothing the caller asked for. */
                return;
        }
        if (fit->change_count == FIT_CHANGES_MAX)
                fit->patchable = false;
        else
                fit->changes[fit->change_count++] = *change;
}

void fit_note(struct fitting *f, enum chat_field field, bool removed, bool simple)
{
        note(f, &(struct fit_change){.field = field, .shown = fit_field_name(f, field), .removed = removed},
             simple);
}

void fit_note_forced(struct fitting *f, enum chat_field field, bool simple)
{
        note(f, &(struct fit_change){.field = field, .shown = fit_field_name(f, field), .forced = true},
             simple);
}

bool fit_is_forced(const struct fitting *f, enum chat_field field)
{
        for (size_t i = 0; i < f->fit->change_count; i++) {
                if (f->fit->changes[i].field == field)
                        return f->fit->changes[i].forced;
        }
        return false;
}

void fit_note_extra(struct fitting *f, const char *name)
{
        note(f, &(struct fit_change){.field = CHAT_FIELDS, .shown = name, .removed = true}, true);
}

static void clear_chat_field(struct chat_request *r, enum chat_field field)
{
        switch (field) {
        case FIELD_STOP: r->stop = NULL; break;
        case FIELD_LOGPROBS: r->logprobs = false; break;
        case FIELD_LOGIT_BIAS: r->logit_bias = NULL; break;
        case FIELD_PARALLEL_TOOLS: r->parallel_tools = TRI_UNSET; break;
        case FIELD_RESPONSE_FORMAT: r->response_format = FORMAT_UNSET; break;
        case FIELD_REASONING: r->reasoning = (struct chat_reasoning){0}; break;
        case FIELD_USER: r->user = NULL; break;
        case FIELD_SERVICE_TIER: r->service_tier = NULL; break;
        case FIELD_STORE: r->store = TRI_UNSET; break;
        case FIELD_METADATA: r->metadata = NULL; break;
        case FIELD_CACHE_KEY: r->cache_key = NULL; break;
        case FIELD_VERBOSITY: r->verbosity = NULL; break;
        default: break;
        }
}

/* Numbers are alike: where they stand in a request. */
static const struct {
        enum chat_field field;
        size_t at;
        bool whole;
} numbers[] = {
        {FIELD_MAX_TOKENS, offsetof(struct chat_request, max_tokens), true},
        {FIELD_TOP_K, offsetof(struct chat_request, top_k), true},
        {FIELD_SEED, offsetof(struct chat_request, seed), true},
        {FIELD_N, offsetof(struct chat_request, n), true},
        {FIELD_TOP_LOGPROBS, offsetof(struct chat_request, top_logprobs), true},
        {FIELD_TEMPERATURE, offsetof(struct chat_request, temperature), false},
        {FIELD_TOP_P, offsetof(struct chat_request, top_p), false},
        {FIELD_PRESENCE_PENALTY, offsetof(struct chat_request, presence_penalty), false},
        {FIELD_FREQUENCY_PENALTY, offsetof(struct chat_request, frequency_penalty), false},
};

static bool *number_set(struct chat_request *r, enum chat_field field)
{
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
                if (numbers[i].field != field)
                        continue;
                char *at = (char *)r + numbers[i].at;
                return numbers[i].whole ? &((struct opt_int *)(void *)at)->set
                                        : &((struct opt_number *)(void *)at)->set;
        }
        return NULL;
}

void fit_clear_field(struct chat_request *r, enum chat_field field)
{
        bool *set = number_set(r, field);
        if (set)
                *set = false;
        else
                clear_chat_field(r, field);
}

bool fit_has_field(const struct chat_request *r, enum chat_field field)
{
        struct chat_request copy = *r;
        const bool *set = number_set(&copy, field);
        if (set)
                return *set;
        switch (field) {
        case FIELD_STOP: return r->stop;
        case FIELD_LOGPROBS: return r->logprobs;
        case FIELD_LOGIT_BIAS: return r->logit_bias;
        case FIELD_PARALLEL_TOOLS: return r->parallel_tools != TRI_UNSET;
        case FIELD_RESPONSE_FORMAT: return r->response_format != FORMAT_UNSET;
        case FIELD_REASONING: return r->reasoning.effort || r->reasoning.mode || r->reasoning.budget_tokens;
        case FIELD_USER: return r->user;
        case FIELD_SERVICE_TIER: return r->service_tier;
        case FIELD_STORE: return r->store != TRI_UNSET;
        case FIELD_METADATA: return r->metadata;
        case FIELD_CACHE_KEY: return r->cache_key;
        case FIELD_VERBOSITY: return r->verbosity;
        default: return false;
        }
}

/* ---- the order of the steps ---- */

static enum dialect_id target_dialect(const struct config_target *t)
{
        const struct dialect *d = t->provider->dialect ? dialect_by_name(t->provider->dialect) : NULL;
        return d ? d->id : DIALECT_ECHO;
}

void fit_chat(struct arena *a, const struct config *c, const struct chat_request *r,
              const struct config_target *t, const struct config_version *version,
              const struct config_account *account, struct fit *out)
{
        struct fitting f = {.arena = a,
                            .config = c,
                            .target = t,
                            .version = version,
                            .account = account,
                            .from = r->from,
                            .to = target_dialect(t),
                            .fit = out,
                            .request = &out->request};
        *out = (struct fit){.fits = true, .request = *r};
        out->patchable = f.from == f.to && dialect_by_id(f.to) && dialect_by_id(f.to)->address_chat_request;
        if (f.to == DIALECT_ECHO) { /* it takes everything, and nothing of it leaves this program */
                fit_forced(&f);
                out->patchable = false;
                return;
        }
        catalogue_target_caps(c, t, &f.caps);
        out->max_tokens_field = f.caps.max_tokens_field;
        if (!fit_guards(&f) || !fit_forced(&f) || !fit_contents(&f) || !fit_needs(&f))
                return;
        fit_reasoning(&f);
        fit_hints(&f);
}
