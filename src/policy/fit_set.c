/* `set` and `default` of a version: fields by their names in the openai dialect. */
#include <string.h>

#include "policy/fit_steps.h"

static void put_stop(struct fitting *f, const struct config_field *s)
{
        f->request->stop = NULL;
        for (size_t i = 0; i < s->string_count; i++)
                chat_add_name(f->arena, &f->request->stop, s->strings[i]);
}

static void put_effort(struct fitting *f, const struct config_field *s)
{
        enum tri show = f->request->reasoning.show;
        f->request->reasoning = (struct chat_reasoning){.effort = effort_parse(s->string), .show = show};
}

static struct opt_int whole(const struct config_field *s)
{
        return (struct opt_int){.set = true, .value = s->integer};
}

static struct opt_number number(const struct config_field *s)
{
        return (struct opt_number){.set = true, .value = s->number};
}

/* False: a field that chat does not have (dimensions). */
static bool put(struct fitting *f, enum chat_field field, const struct config_field *s)
{
        struct chat_request *r = f->request;
        switch (field) {
        case FIELD_MAX_TOKENS: r->max_tokens = whole(s); break;
        case FIELD_TOP_K: r->top_k = whole(s); break;
        case FIELD_SEED: r->seed = whole(s); break;
        case FIELD_N: r->n = whole(s); break;
        case FIELD_TOP_LOGPROBS: r->top_logprobs = whole(s); break;
        case FIELD_TEMPERATURE: r->temperature = number(s); break;
        case FIELD_TOP_P: r->top_p = number(s); break;
        case FIELD_PRESENCE_PENALTY: r->presence_penalty = number(s); break;
        case FIELD_FREQUENCY_PENALTY: r->frequency_penalty = number(s); break;
        case FIELD_STOP: put_stop(f, s); break;
        case FIELD_LOGPROBS: r->logprobs = s->boolean; break;
        case FIELD_PARALLEL_TOOLS: r->parallel_tools = s->boolean ? TRI_YES : TRI_NO; break;
        case FIELD_REASONING: put_effort(f, s); break;
        case FIELD_USER: r->user = s->string; break;
        case FIELD_SERVICE_TIER: r->service_tier = s->string; break;
        case FIELD_STORE: r->store = s->boolean ? TRI_YES : TRI_NO; break;
        case FIELD_CACHE_KEY: r->cache_key = s->string; break;
        case FIELD_VERBOSITY: r->verbosity = s->string; break;
        default: return false;
        }
        return true;
}

/* Where one member of the target's dialect says it, with the same value. */
static bool is_simple(const struct fitting *f, enum chat_field field)
{
        const struct dialect *d = dialect_by_id(f->to);
        if (!d || !d->fields[field].names[0])
                return false;
        bool structured = field == FIELD_REASONING || field == FIELD_PARALLEL_TOOLS ||
                          field == FIELD_CACHE_KEY || field == FIELD_SERVICE_TIER;
        return f->to == DIALECT_OPENAI || !structured;
}

bool fit_forced(struct fitting *f)
{
        if (!f->version)
                return true;
        for (size_t i = 0; i < f->version->set_count; i++) {
                enum chat_field field = dialect_field_by_name(f->version->set[i].name);
                if (put(f, field, &f->version->set[i]))
                        fit_note_forced(f, field, is_simple(f, field));
        }
        for (size_t i = 0; i < f->version->fill_count; i++) {
                enum chat_field field = dialect_field_by_name(f->version->fill[i].name);
                if (!fit_has_field(f->request, field) && put(f, field, &f->version->fill[i]))
                        fit_note_forced(f, field, is_simple(f, field));
        }
        return true;
}
