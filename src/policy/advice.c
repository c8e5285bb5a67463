#include "policy/advice.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "config/setting.h"
#include "policy/catalogue.h"
#include "policy/price.h"

enum { DAY_S = 86400 };

struct advice {
        const struct config *config;
        int64_t now;
        struct arena *arena;
        advice_fn *fn;
        void *context;
};

static void __attribute__((format(printf, 2, 3))) say(const struct advice *to, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        to->fn(to->context, arena_vprintf(to->arena, fmt, ap));
        va_end(ap);
}

const char *advice_moving(const char *upstream_model)
{
        static const struct {
                const char *pattern, *why;
        } rows[] = {
                {"latest", "is whatever is newest"},
                {"*-latest", "is whatever is newest"},
                {"*:latest", "is whatever is newest"},
                {"*@latest", "is whatever is newest"},
                {"*-preview", "is a preview, which changes without notice"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                if (text_glob(rows[i].pattern, upstream_model, NULL))
                        return rows[i].why;
        }
        return NULL;
}

/* The first second of a date in UTC; 0: none. */
static int64_t begins(const char *date)
{
        int64_t end;
        return date && value_date(date, &end) ? end - DAY_S : 0;
}

static void look_at_target(const struct advice *to, const struct config_model *m,
                           const struct config_version *v, const struct config_target *t)
{
        const struct price_ask ask = {
                .config = to->config, .provider = t->provider, .model = t->model, .unix_s = to->now};
        const struct config_price *price = price_find(&ask, 0);
        if (v->strategy == STRATEGY_COST && (!price || price->input_micro < 0 || price->output_micro < 0))
                say(to, "%s@%s: strategy \"cost\", and prices say nothing of \"%s\"", m->name, v->name,
                    t->model);
        if (strcmp(t->provider->dialect, "echo") == 0)
                return;
        if (v->strategy != STRATEGY_COST && (!price || price->input_micro < 0))
                say(to,
                    "%s@%s: no price is known for \"%s\" of provider \"%s\": what it costs is not counted, "
                    "and "
                    "accounts with a hard budget or a balance are refused",
                    m->name, v->name, t->model, t->provider->name);
        const char *why = advice_moving(t->model);
        if (why)
                say(to, "%s@%s: the model \"%s\" of provider \"%s\" %s", m->name, v->name, t->model,
                    t->provider->name, why);
        struct model_caps caps;
        catalogue_target_caps(to->config, t, &caps);
        int64_t retires = begins(caps.retires);
        if (retires && to->now >= retires - ADVICE_RETIRES_DAYS * (int64_t)DAY_S)
                say(to, "%s@%s: the model \"%s\" of provider \"%s\" %s on %s", m->name, v->name, t->model,
                    t->provider->name, to->now >= retires ? "was to retire" : "retires", caps.retires);
}

static void look_at_dates(const struct advice *to, const struct config_model *m,
                          const struct config_version *v)
{
        const char *force = v == m->use ? ", and in force" : "";
        if (v->sunset_unix && to->now >= v->sunset_unix)
                say(to, "%s@%s: gone since its sunset on %s%s%s%s", m->name, v->name, v->sunset, force,
                    v->after_sunset ? "; its callers get " : "; its callers get a 404",
                    v->after_sunset ? v->after_sunset->name : "");
        else if (v->deprecated_unix && to->now >= v->deprecated_unix)
                say(to, "%s@%s: deprecated since %s%s", m->name, v->name, v->deprecated, force);
}

void advice_give(const struct config *c, int64_t now, struct arena *a, advice_fn *fn, void *context)
{
        const struct advice to = {c, now, a, fn, context};
        for (size_t i = 0; i < c->model_count; i++) {
                const struct config_model *m = &c->models[i];
                for (size_t k = 0; k < m->version_count; k++) {
                        const struct config_version *v = &m->versions[k];
                        look_at_dates(&to, m, v);
                        for (size_t n = 0; n < v->target_count; n++)
                                look_at_target(&to, m, v, &v->targets[n]);
                }
        }
}
