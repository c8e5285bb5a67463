#include <string.h>

#include "policy/catalogue.h"
#include "policy/fit_steps.h"

enum { OPENAI_BATCH = 2048, GEMINI_BATCH = 100, ADJUSTED_MAX = 8 };

static void refuse(struct embed_fit *out, const char *field, const char *why)
{
        if (!out->fits)
                return;
        out->fits = false;
        out->unfit_field = field;
        out->unfit_why = why;
}

static void tell(struct embed_fit *out, const char *name)
{
        if (out->adjusted_count < ADJUSTED_MAX)
                out->adjusted[out->adjusted_count++] = name;
}

static void force(const struct config_field *fields, size_t count, bool only_if_absent,
                  struct embed_request *r)
{
        for (size_t i = 0; i < count; i++) {
                if (strcmp(fields[i].name, "dimensions") == 0 && !(only_if_absent && r->dimensions.set))
                        r->dimensions = (struct opt_int){.set = true, .value = fields[i].integer};
                if (strcmp(fields[i].name, "user") == 0 && !(only_if_absent && r->user))
                        r->user = fields[i].string;
        }
}

static void fit_extras(struct arena *a, struct embed_fit *out, const char *model)
{
        for (const struct chat_extra *e = out->request.extras; e; e = e->next) {
                if (!e->hint)
                        refuse(out, e->name, arena_printf(a, "%s knows no such field", model));
                tell(out, e->name);
        }
        out->request.extras = NULL;
}

static void fit_inputs(struct arena *a, struct embed_fit *out, const char *model)
{
        for (const struct embed_input *i = out->request.inputs; i; i = i->next) {
                if (i->tokens) {
                        refuse(out, i->path ? i->path : "input",
                               arena_printf(a, "%s takes text, not token ids", model));
                        return;
                }
        }
}

void fit_embed(struct arena *a, const struct config *c, const struct embed_request *r,
               const struct config_target *t, const struct config_version *version, struct embed_fit *out)
{
        const struct dialect *d = t->provider->dialect ? dialect_by_name(t->provider->dialect) : NULL;
        struct model_caps caps;
        *out = (struct embed_fit){.fits = true, .request = *r};
        if (version) {
                force(version->set, version->set_count, false, &out->request);
                force(version->fill, version->fill_count, true, &out->request);
        }
        if (!d) /* echo */
                return;
        catalogue_target_caps(c, t, &caps);
        if (!d->encode_embed_request || (caps.tasks && !(caps.tasks & TASK_EMBED))) {
                refuse(out, "model", arena_printf(a, "%s makes no embeddings", t->model));
                return;
        }
        if (out->request.dimensions.set && caps.dimensions == TRI_NO)
                refuse(out, dialect_field_name(r->from, FIELD_DIMENSIONS),
                       arena_printf(a, "%s has one number of dimensions", t->model));
        if (d->id != DIALECT_OPENAI)
                fit_inputs(a, out, t->model);
        if (d->id != r->from)
                fit_extras(a, out, t->model);
        if (d->id == DIALECT_GEMINI && out->request.user) {
                tell(out, "user");
                out->request.user = NULL;
        }
        if (d->id != DIALECT_GEMINI && out->request.task_type) {
                tell(out, "taskType");
                out->request.task_type = NULL;
        }
        if (d->id != DIALECT_GEMINI && out->request.title) {
                tell(out, "title");
                out->request.title = NULL;
        }
        out->batch_inputs = caps.batch_inputs         ? caps.batch_inputs
                            : d->id == DIALECT_GEMINI ? GEMINI_BATCH
                                                      : OPENAI_BATCH;
}
