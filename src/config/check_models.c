/* What the table can't say of models, their versions and targets. */
#include "config/load.h"

#include <string.h>

enum { SECONDS_OF_DAY = 86400 };

static const config_setting_t *member(const config_setting_t *at, const char *name)
{
        return at && config_setting_type(at) == CONFIG_TYPE_GROUP ? config_setting_get_member(at, name)
                                                                  : NULL;
}

static const config_setting_t *element(const config_setting_t *list, size_t i)
{
        return config_setting_get_elem(list, (unsigned)i);
}

static const char *string(const config_setting_t *at)
{
        return at && config_setting_type(at) == CONFIG_TYPE_STRING ? config_setting_get_string(at) : NULL;
}

const struct config_version *check_need_version(struct loader *l, const config_setting_t *at,
                                                const char *setting, const struct config_model *m,
                                                const char *name)
{
        struct nearest nearest;
        const struct config_version *v = config_find_version(m, name);
        if (v)
                return v;
        nearest_init(&nearest, name);
        for (size_t i = 0; i < m->version_count; i++)
                nearest_offer(&nearest, m->versions[i].name);
        load_error(l, at, "%s: the model \"%s\" has no version \"%s\"%s", setting, m->name, name,
                   nearest_text(l, &nearest));
        return NULL;
}

static void check_target(struct loader *l, const config_setting_t *at, struct config_target *t)
{
        struct nearest nearest;
        const char *name = string(member(at, "provider"));
        if (!name)
                return;
        t->provider = config_find_provider(l->config, name);
        if (t->provider)
                return;
        nearest_init(&nearest, name);
        for (size_t i = 0; i < l->config->provider_count; i++)
                nearest_offer(&nearest, l->config->providers[i].name);
        load_error(l, member(at, "provider"), "provider: there is no provider \"%s\"%s", name,
                   nearest_text(l, &nearest));
}

/* Vectors of two models do not mix; echo's are its own kind, whatever its target row is called. */
static bool same_vectors(const struct config_target *a, const struct config_target *b)
{
        if (!a->model || !b->model || !a->provider || !b->provider || !a->provider->dialect ||
            !b->provider->dialect)
                return true;
        bool a_echo = strcmp(a->provider->dialect, "echo") == 0,
             b_echo = strcmp(b->provider->dialect, "echo") == 0;
        return a_echo == b_echo && strcmp(a->model, b->model) == 0;
}

static int64_t first_second(const char *date)
{
        int64_t end;
        return date && value_date(date, &end) ? end - SECONDS_OF_DAY : 0;
}

static void check_dates(struct loader *l, const config_setting_t *at, struct config_version *v)
{
        v->deprecated_unix = first_second(v->deprecated);
        v->sunset_unix = first_second(v->sunset);
        if (v->deprecated_unix && v->sunset_unix && v->deprecated_unix > v->sunset_unix)
                load_error(l, member(at, "sunset"), "sunset: lies before the date of deprecated");
}

/* Vectors come in one piece: there is no stream that could be late or break off. */
static void check_stream_settings(struct loader *l, const config_setting_t *at, const struct config_model *m)
{
        static const char *const names[] = {"hedge", "rescue"}, *const neutral[] = {"off", "error"};
        for (size_t i = 0; m->tasks == TASK_EMBED && i < sizeof names / sizeof *names; i++) {
                const config_setting_t *given = member(at, names[i]);
                if (given && !(string(given) && strcmp(string(given), neutral[i]) == 0))
                        load_warning(l, given, "%s means nothing to a model that only embeds", names[i]);
        }
}

static void check_version(struct loader *l, const config_setting_t *at, const struct config_model *m,
                          struct config_version *v)
{
        const config_setting_t *targets = member(at, "targets");
        if (!v->target_count && targets && config_setting_length(targets) == 0)
                load_error(l, targets, "targets: the version \"%s\" of model \"%s\" has none", v->name,
                           m->name);
        for (size_t i = 0; i < v->target_count; i++)
                check_target(l, element(targets, i), (struct config_target *)&v->targets[i]);
        for (size_t i = 1; (m->tasks & TASK_EMBED) && i < v->target_count; i++) {
                if (!same_vectors(&v->targets[0], &v->targets[i]))
                        load_error(l, element(targets, i),
                                   "targets: \"%s\" is another model than \"%s\"; vectors of two models do "
                                   "not mix",
                                   v->targets[i].model, v->targets[0].model);
        }
        const char *after = string(member(at, "after_sunset"));
        if (after)
                v->after_sunset = check_need_version(l, member(at, "after_sunset"), "after_sunset", m, after);
        if (v->after_sunset == v)
                load_error(l, member(at, "after_sunset"), "after_sunset: \"%s\" is this version itself",
                           v->name);
        else if (after && !v->sunset)
                load_warning(l, member(at, "after_sunset"),
                             "after_sunset: \"%s\" has no sunset, so this never comes to pass", v->name);
        check_dates(l, at, v);
        check_stream_settings(l, at, m);
}

/* A circle would end nowhere once all of its dates have come. */
static void check_chain(struct loader *l, const config_setting_t *at, const struct config_model *m,
                        const struct config_version *v)
{
        const struct config_version *next = v->after_sunset;
        for (size_t steps = 0; next && next != v && steps < m->version_count; steps++)
                next = next->after_sunset;
        if (next == v && v->after_sunset != v)
                load_error(l, member(at, "after_sunset"), "after_sunset: leads back to \"%s\" itself",
                           v->name);
}

/* The version in force, pins left aside. */
static void check_use(struct loader *l, const config_setting_t *at, struct config_model *m)
{
        const config_setting_t *use = member(at, "use");
        if (string(use))
                m->use = check_need_version(l, use, "use", m, string(use));
        else if (m->version_count == 1)
                m->use = &m->versions[0];
        else if (m->version_count > 1 && !use)
                load_error(l, at, "use is missing: the model \"%s\" has more than one version", m->name);
}

static void check_model(struct loader *l, const config_setting_t *at, struct config_model *m)
{
        const config_setting_t *versions = member(at, "versions");
        if (!m->version_count && versions && config_setting_length(versions) == 0)
                load_error(l, versions, "versions: the model \"%s\" has none", m->name);
        for (size_t i = 0; i < m->version_count; i++) {
                struct config_version *v = (struct config_version *)&m->versions[i];
                if (!v->name)
                        v->name = "";
        }
        for (size_t i = 0; i < m->version_count; i++) {
                struct config_version *v = (struct config_version *)&m->versions[i];
                const config_setting_t *entry = element(versions, i);
                check_version(l, entry, m, v);
                check_chain(l, entry, m, v);
                if (*v->name && config_find_version(m, v->name) != v)
                        load_error(l, member(entry, "name"), "the model \"%s\" has a version \"%s\" already",
                                   m->name, v->name);
        }
        if (!m->tasks && member(at, "tasks") && config_setting_length(member(at, "tasks")) == 0)
                load_error(l, member(at, "tasks"), "tasks: the model \"%s\" has none", m->name);
        check_use(l, at, m);
        m->unpinned = m->use;
        const config_setting_t *canary = member(member(at, "canary"), "version");
        if (string(canary))
                m->canary = check_need_version(l, canary, "canary", m, string(canary));
}

void check_models(struct loader *l, const config_setting_t *root)
{
        const config_setting_t *list = member(root, "models");
        for (size_t i = 0; i < l->config->model_count; i++) {
                struct config_model *m = (struct config_model *)&l->config->models[i];
                if (!m->name)
                        m->name = "";
        }
        for (size_t i = 0; i < l->config->model_count; i++) {
                struct config_model *m = (struct config_model *)&l->config->models[i];
                const config_setting_t *at = element(list, i);
                check_model(l, at, m);
                if (*m->name && config_find_model(l->config, m->name) != m)
                        load_error(l, member(at, "name"), "there is a model \"%s\" already", m->name);
        }
        check_pins(l, root);
}
