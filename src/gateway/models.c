/* The models that this caller may use (GET /v1/models, /v1beta/models, and one of them). */
#include <string.h>

#include "gateway/exchange.h"
#include "policy/catalogue.h"

enum { LIST_MAX = 4 << 20 };

static struct model_entry describe(const struct exchange *x, const struct config_model *m)
{
        struct model_entry entry = {.id = m->name, .tasks = m->tasks};
        if (m->use && m->use->target_count) {
                struct model_caps caps;
                catalogue_target_caps(x->config, &m->use->targets[0], &caps);
                entry.window = caps.window;
                entry.max_output = caps.max_output;
        }
        return entry;
}

static void send(struct exchange *x, struct buf *out)
{
        exchange_answer(x, x->dialect->content_type(ANSWER_JSON),
                        (struct str){out->data ? out->data : "", out->len});
}

bool handle_models(struct exchange *x, struct err *err)
{
        struct model_entry *list = arena_alloc(x->arena, (x->config->model_count + 1) * sizeof *list);
        struct buf out;
        size_t count = 0;
        for (size_t i = 0; i < x->config->model_count; i++) {
                if (route_allowed(x->identity.account, x->config->models[i].name))
                        list[count++] = describe(x, &x->config->models[i]);
        }
        if (!x->dialect->encode_models)
                return err_set(err, x->arena, ERR_NOT_FOUND, NULL, "no such path here");
        buf_init(&out, LIST_MAX);
        x->answer.format = ANSWER_JSON;
        x->dialect->encode_models(&x->answer, list, count, &out);
        send(x, &out);
        buf_release(&out);
        return true;
}

/* "assistant@2026-08" is the model as long as it has that version. */
static const struct config_model *find(const struct exchange *x, const char *name)
{
        const struct config_model *m = config_find_model(x->config, name);
        const char *at = strrchr(name, '@');
        if (m || !at)
                return m;
        m = config_find_model(x->config, arena_strndup(x->arena, name, (size_t)(at - name)));
        return m && config_find_version(m, at + 1) ? m : NULL;
}

bool handle_model(struct exchange *x, struct err *err)
{
        const struct config_model *m = find(x, x->match.name);
        struct buf out;
        x->model = x->match.name;
        if (m && !route_allowed(x->identity.account, m->name))
                return err_set(err, x->arena, ERR_FORBIDDEN, "model", "this account may not use this model");
        if (!m || !x->dialect->encode_model)
                return err_set(err, x->arena, ERR_MODEL_NOT_FOUND, "model", "there is no such model");
        struct model_entry entry = describe(x, m);
        entry.id = x->match.name;
        buf_init(&out, LIST_MAX);
        x->answer.format = ANSWER_JSON;
        x->dialect->encode_model(&x->answer, &entry, &out);
        send(x, &out);
        buf_release(&out);
        return true;
}
