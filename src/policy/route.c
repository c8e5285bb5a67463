#include "policy/route.h"

#include <string.h>

static const char *task_name(enum model_task task)
{
        return task == TASK_EMBED ? "embed" : task == TASK_VISION ? "vision" : "chat";
}

bool route_allowed(const struct config_account *account, const char *model_name)
{
        if (!account)
                return true;
        for (size_t i = 0; i < account->model_count; i++) {
                if (strcmp(account->models[i], "*") == 0 || strcmp(account->models[i], model_name) == 0)
                        return true;
        }
        return false;
}

static bool not_found(struct arena *a, const char *name, struct err *err)
{
        return err_set(err, a, ERR_MODEL_NOT_FOUND, "model", "there is no model \"%s\"", name);
}

/* "provider/model": only for accounts that may ask directly; others can't tell which providers exist. */
static bool resolve_direct(const struct config *c, const struct config_account *account, const char *name,
                           const char *slash, struct arena *a, struct route *out, struct err *err)
{
        const char *provider_name = arena_strndup(a, name, (size_t)(slash - name));
        const struct config_provider *p = config_find_provider(c, provider_name);
        if (!p || !slash[1] || (account && !account->direct))
                return not_found(a, name, err);
        out->direct_target =
                (struct config_target){.provider = p, .model = arena_strdup(a, slash + 1), .weight = 1};
        out->direct_version = (struct config_version){
                .name = "direct",
                .targets = &out->direct_target,
                .target_count = 1,
                .total_ms = 600000,
                .strategy = STRATEGY_FAILOVER,
        };
        out->model_name = arena_strdup(a, name);
        out->version = &out->direct_version;
        return true;
}

static const char *default_model(const struct config *c, enum model_task task)
{
        return task == TASK_EMBED    ? c->defaults.embed
               : task == TASK_VISION ? c->defaults.vision
                                     : c->defaults.chat;
}

bool route_resolve(const struct config *c, const struct config_account *account, const char *name,
                   enum model_task task, struct arena *a, struct route *out, struct err *err)
{
        *out = (struct route){0};
        if (!name || !*name)
                name = default_model(c, task);
        if (!name)
                return err_set(err, a, ERR_BAD_REQUEST, "model",
                               "model: is required, as `defaults` names none for %s", task_name(task));
        const char *at = strrchr(name, '@');
        const char *model_name = at ? arena_strndup(a, name, (size_t)(at - name)) : name;
        const struct config_model *m = config_find_model(c, name);
        const struct config_version *v = m ? m->use : NULL;
        if (!m && at) {
                m = config_find_model(c, model_name);
                v = m ? config_find_version(m, at + 1) : NULL;
        }
        if (!m) {
                const char *slash = strchr(name, '/');
                return slash ? resolve_direct(c, account, name, slash, a, out, err) : not_found(a, name, err);
        }
        if (!route_allowed(account, m->name))
                return err_set(err, a, ERR_FORBIDDEN, "model", "this account may not use the model \"%s\"",
                               m->name);
        if (!v)
                return not_found(a, name, err);
        if (!(m->tasks & task))
                return err_set(err, a, ERR_UNSUPPORTED, "model", "the model \"%s\" does not do %s", m->name,
                               task_name(task));
        out->model_name = m->name;
        out->model = m;
        out->version = v;
        return true;
}
