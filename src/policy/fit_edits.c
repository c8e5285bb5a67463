/* The fast path: what was fitted, as edits of the client's own bytes. */
#include <string.h>

#include "base/json.h"
#include "policy/fit_steps.h"

enum { SPELLINGS_MAX = 8, VALUE_MAX = 1 << 20 };

/* ---- spellings ---- */

static char *snake_of(struct arena *a, const char *camel)
{
        char *snake = arena_alloc(a, 2 * strlen(camel) + 1), *to = snake;
        for (; *camel; camel++) {
                bool upper = *camel >= 'A' && *camel <= 'Z';
                if (upper)
                        *to++ = '_';
                *to++ = (char)(upper ? *camel + 32 : *camel);
        }
        return snake;
}

/* Gemini takes camel and snake case, in each step of the path on its own. */
const char *const *fit_spellings(struct arena *a, enum dialect_id dialect, const char *name)
{
        const char **out = arena_alloc(a, (SPELLINGS_MAX + 1) * sizeof *out);
        size_t n = 0;
        out[n++] = name;
        if (dialect != DIALECT_GEMINI)
                return out;
        const char *dot = strchr(name, '.'), *snake = snake_of(a, name);
        if (strcmp(snake, name) == 0)
                return out;
        out[n++] = snake;
        if (dot) {
                const char *head = arena_strndup(a, name, (size_t)(dot - name));
                out[n++] = arena_printf(a, "%s%s", head, snake_of(a, dot));
                out[n++] = arena_printf(a, "%s%s", snake_of(a, head), dot);
        }
        return out;
}

static const char *const *field_paths(struct arena *a, const struct fitting *f, enum chat_field field)
{
        const struct dialect *d = dialect_by_id(f->to);
        const char *const *names = d->fields[field].names;
        const char **out = arena_alloc(a, (4 * SPELLINGS_MAX + 1) * sizeof *out);
        size_t n = 0;
        const char *first = NULL;
        if (field == FIELD_MAX_TOKENS && f->to == DIALECT_OPENAI) /* as its encoder chooses */
                first = f->caps.max_tokens_field ? f->caps.max_tokens_field : "max_tokens";
        if (first)
                out[n++] = first;
        for (int i = 0; i < 4 && names[i]; i++) {
                if (!first || strcmp(names[i], first) != 0)
                        out[n++] = names[i];
        }
        return out;
}

/* ---- values ---- */

static bool write_number(struct json_writer *w, const struct chat_request *r, enum chat_field field)
{
        switch (field) {
        case FIELD_MAX_TOKENS: jw_int(w, r->max_tokens.value); return true;
        case FIELD_TOP_K: jw_int(w, r->top_k.value); return true;
        case FIELD_SEED: jw_int(w, r->seed.value); return true;
        case FIELD_N: jw_int(w, r->n.value); return true;
        case FIELD_TOP_LOGPROBS: jw_int(w, r->top_logprobs.value); return true;
        case FIELD_TEMPERATURE: jw_number(w, r->temperature.value); return true;
        case FIELD_TOP_P: jw_number(w, r->top_p.value); return true;
        case FIELD_PRESENCE_PENALTY: jw_number(w, r->presence_penalty.value); return true;
        case FIELD_FREQUENCY_PENALTY: jw_number(w, r->frequency_penalty.value); return true;
        default: return false;
        }
}

static void write_value(struct json_writer *w, const struct chat_request *r, enum chat_field field)
{
        if (write_number(w, r, field))
                return;
        switch (field) {
        case FIELD_LOGPROBS: jw_bool(w, r->logprobs); break;
        case FIELD_PARALLEL_TOOLS: jw_bool(w, r->parallel_tools == TRI_YES); break;
        case FIELD_STORE: jw_bool(w, r->store == TRI_YES); break;
        case FIELD_REASONING: jw_string(w, effort_name(r->reasoning.effort)); break;
        case FIELD_USER: jw_string(w, r->user); break;
        case FIELD_SERVICE_TIER: jw_string(w, r->service_tier); break;
        case FIELD_CACHE_KEY: jw_string(w, r->cache_key); break;
        case FIELD_VERBOSITY: jw_string(w, r->verbosity); break;
        case FIELD_STOP:
                jw_array(w);
                for (const struct chat_name *n = r->stop; n; n = n->next)
                        jw_string(w, n->name);
                jw_end(w);
                break;
        default: break;
        }
}

static const char *json_text(struct arena *a, void (*write)(struct json_writer *, const void *),
                             const void *what)
{
        struct buf out;
        struct json_writer w;
        buf_init(&out, VALUE_MAX);
        json_writer_init(&w, &out);
        write(&w, what);
        const char *text = out.failed || !out.len ? NULL : arena_strndup(a, out.data, out.len);
        buf_release(&out);
        return text;
}

struct value {
        const struct chat_request *request;
        enum chat_field field;
};

static void write_field(struct json_writer *w, const void *what)
{
        const struct value *v = what;
        write_value(w, v->request, v->field);
}

static void write_text(struct json_writer *w, const void *what)
{
        jw_string(w, what);
}

/* ---- edits ---- */

static size_t change_edit(struct arena *a, const struct fitting *f, const struct fit_change *c,
                          struct patch_edit *edit)
{
        if (c->field == CHAT_FIELDS) {
                if (strchr(c->shown, ':')) /* a header, not a member */
                        return 0;
                *edit = (struct patch_edit){.paths = fit_spellings(a, f->to, c->shown)};
                return 1;
        }
        *edit = (struct patch_edit){.paths = field_paths(a, f, c->field)};
        if (!edit->paths[0])
                return 0;
        if (!c->removed && fit_has_field(&f->fit->request, c->field))
                edit->value = json_text(a, write_field, &(struct value){&f->fit->request, c->field});
        return 1;
}

size_t fit_patch_edits(struct arena *a, const struct fit *fit, const struct config_target *t,
                       const struct config_version *version, struct patch_edit *edits, size_t max)
{
        static const char *const model[] = {"model", NULL}, *const usage[] = {"stream_options.include_usage",
                                                                              NULL};
        struct fit copy = *fit;
        struct fitting f = {.arena = a,
                            .target = t,
                            .version = version,
                            .fit = &copy,
                            .from = fit->request.from,
                            .to = fit->request.from};
        size_t n = 0;
        f.caps.max_tokens_field = fit->max_tokens_field;
        /* Gemini's stands in the path: one in the body would name the caller's model, and is taken out. */
        const char *name = f.to == DIALECT_GEMINI ? NULL : json_text(a, write_text, t->model);
        if (n < max)
                edits[n++] = (struct patch_edit){.paths = model, .value = name};
        for (size_t i = 0; i < fit->change_count && n < max; i++)
                n += change_edit(a, &f, &fit->changes[i], &edits[n]);
        /* Usage is always counted; the client does not see it unless it asked. */
        if (f.to == DIALECT_OPENAI && fit->request.stream && n < max)
                edits[n++] = (struct patch_edit){.paths = usage, .value = "true"};
        return n;
}
