/* What the table can't say of limits: the zone in which their days turn, and what they count for. */
#include "config/load.h"

#include <string.h>

struct open_zone {
        struct open_zone *next;
        const char *name;
        const struct zone *zone;
};

struct zones {
        struct loader *loader;
        struct open_zone *first;
};

static const config_setting_t *member(const config_setting_t *at, const char *name)
{
        return at && config_setting_type(at) == CONFIG_TYPE_GROUP ? config_setting_get_member(at, name)
                                                                  : NULL;
}

static const config_setting_t *element(const config_setting_t *list, size_t i)
{
        return config_setting_get_elem(list, (unsigned)i);
}

static void release_zone(void *zone)
{
        zone_free(zone);
}

/* Each file is read once, however many limits name it. NULL: *why tells. */
static const struct zone *zone_named(struct zones *z, const char *name, const char **why)
{
        for (const struct open_zone *o = z->first; o; o = o->next) {
                if (strcmp(o->name, name) == 0)
                        return o->zone;
        }
        struct zone *zone = zone_open(name, why);
        if (!zone)
                return NULL;
        arena_defer(z->loader->arena, release_zone, zone);
        struct open_zone *kept = arena_alloc(z->loader->arena, sizeof *kept);
        *kept = (struct open_zone){z->first, name, zone};
        z->first = kept;
        return zone;
}

/* at: the setting `limits`, or NULL; owner: what has them. */
static void open_days(struct zones *z, const config_setting_t *at, const config_setting_t *owner,
                      struct config_limits *limits)
{
        const config_setting_t *zone = member(at, "zone");
        const char *why = NULL;
        if (!limits->zone || strcmp(limits->zone, "UTC") == 0 || value_zone(limits->zone))
                return;
        limits->days = zone_named(z, limits->zone, &why);
        if (!limits->days && (zone || limits->rpd || limits->tpd))
                load_warning(z->loader, zone ? zone : owner, "zone: \"%s\" %s; days are those of UTC",
                             limits->zone, why);
}

/* Google counts days in Pacific time (ai.google.dev, "Rate limits"). */
static void provider_days(struct zones *z, const config_setting_t *owner, const struct config_provider *p,
                          struct config_limits *limits)
{
        const config_setting_t *at = member(owner, "limits");
        if (p && p->dialect && strcmp(p->dialect, "gemini") == 0 && !member(at, "zone"))
                limits->zone = "America/Los_Angeles";
        open_days(z, at, owner, limits);
}

static void version_days(struct zones *z, const config_setting_t *at, const struct config_version *v)
{
        for (size_t i = 0; i < v->target_count; i++) {
                struct config_target *t = (struct config_target *)&v->targets[i];
                provider_days(z, element(member(at, "targets"), i), t->provider, &t->limits);
        }
}

static bool limited(const struct config_limits *l)
{
        return l->rpm || l->tpm || l->rpd || l->tpd || l->concurrent;
}

static void account_days(struct zones *z, const config_setting_t *at, struct config_account *a)
{
        struct config_limits budget = {.zone = a->budget.zone};
        open_days(z, member(at, "limits"), at, &a->limits);
        open_days(z, member(at, "budget"), at, &budget);
        a->budget.days = budget.days;
        if (a->per != PER_ACCOUNT && !limited(&a->limits))
                load_warning(z->loader, member(at, "per"),
                             "per means nothing without limits, and account \"%s\" has none", a->name);
}

void check_limits(struct loader *l, const config_setting_t *root)
{
        struct zones z = {.loader = l};
        struct config *c = l->config;
        for (size_t i = 0; i < c->provider_count; i++) {
                struct config_provider *p = (struct config_provider *)&c->providers[i];
                provider_days(&z, element(member(root, "providers"), i), p, &p->limits);
        }
        for (size_t i = 0; i < c->model_count; i++) {
                const config_setting_t *versions = member(element(member(root, "models"), i), "versions");
                for (size_t k = 0; k < c->models[i].version_count; k++)
                        version_days(&z, element(versions, k), &c->models[i].versions[k]);
        }
        for (size_t i = 0; i < c->account_count; i++)
                account_days(&z, element(member(root, "accounts"), i),
                             (struct config_account *)&c->accounts[i]);
}
