#include "policy/route.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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
                .retry = {.attempts = 2, .backoff_ms = 500, .max_backoff_ms = 8000},
                .breaker = {.share = 0.5, .minimum = 5, .window_ms = 30000, .cooldown_ms = 15000},
        };
        out->model_name = arena_strdup(a, name);
        out->version = out->meant = &out->direct_version;
        out->why = ROUTE_DIRECT;
        return true;
}

/* ---------------------------------------------------------------- which version */

static uint64_t hash_more(uint64_t h, const char *s)
{
        for (;; s++) {
                h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
                if (!*s)
                        return h;
        }
}

/* FNV alone leaves names that differ in their last letter near each other. */
static uint64_t hash_end(uint64_t h)
{
        h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
        h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
        return h ^ h >> 33;
}

bool route_in_canary(const struct config_model *m, const struct route_caller *caller)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        if (!m->canary || !caller->account)
                return false;
        h = hash_more(h, m->name);
        h = hash_more(h, caller->account->name);
        h = hash_more(h, caller->identity ? caller->identity : "");
        return hash_end(h) % 10000 < (uint64_t)m->canary_percent * 100;
}

static bool is_gone(const struct config_version *v, int64_t now)
{
        return v->sunset_unix && now >= v->sunset_unix;
}

/* What stands in for a version at this time: itself, mostly; NULL: nothing does. */
static const struct config_version *standing(const struct config_model *m, const struct config_version *v,
                                             int64_t now)
{
        for (size_t steps = 0; v && is_gone(v, now); steps++)
                v = steps < m->version_count ? v->after_sunset : NULL;
        return v;
}

static bool choose(const struct config_model *m, const struct config_version *asked,
                   const struct route_caller *caller, int64_t now, struct route *out)
{
        out->meant = asked ? asked : m->use;
        out->why = asked ? ROUTE_ASKED : m->pin ? ROUTE_PIN : ROUTE_USE;
        /* Nobody asked for a canary: one that is gone takes nobody along. */
        if (!asked && route_in_canary(m, caller) && standing(m, m->canary, now)) {
                out->meant = m->canary;
                out->why = ROUTE_CANARY;
        }
        out->deprecated_unix = out->meant->deprecated_unix;
        out->sunset_unix = out->meant->sunset_unix;
        out->version = standing(m, out->meant, now);
        if (out->version != out->meant)
                out->why = ROUTE_AFTER_SUNSET;
        return out->version != NULL;
}

static const char *default_model(const struct config *c, enum model_task task)
{
        return task == TASK_EMBED    ? c->defaults.embed
               : task == TASK_VISION ? c->defaults.vision
                                     : c->defaults.chat;
}

bool route_resolve(const struct config *c, const struct route_caller *caller, const char *name,
                   enum model_task task, int64_t now, struct arena *a, struct route *out, struct err *err)
{
        const struct config_account *account = caller->account;
        *out = (struct route){0};
        if (!name || !*name)
                name = default_model(c, task);
        if (!name)
                return err_set(err, a, ERR_BAD_REQUEST, "model",
                               "model: is required, as `defaults` names none for %s", task_name(task));
        bool unknown = false;
        const char *at = strrchr(name, '@');
        const char *model_name = at ? arena_strndup(a, name, (size_t)(at - name)) : name;
        const struct config_model *m = config_find_model(c, name);
        const struct config_version *asked = NULL;
        if (!m && at) {
                m = config_find_model(c, model_name);
                asked = m ? config_find_version(m, at + 1) : NULL;
                unknown = !asked;
        }
        if (!m) {
                const char *slash = strchr(name, '/');
                return slash ? resolve_direct(c, account, name, slash, a, out, err) : not_found(a, name, err);
        }
        if (!route_allowed(account, m->name))
                return err_set(err, a, ERR_FORBIDDEN, "model", "this account may not use the model \"%s\"",
                               m->name);
        if (unknown)
                return not_found(a, name, err);
        if (!(m->tasks & task))
                return err_set(err, a, ERR_UNSUPPORTED, "model", "the model \"%s\" does not do %s", m->name,
                               task_name(task));
        if (!choose(m, asked, caller, now, out))
                return err_set(err, a, ERR_MODEL_NOT_FOUND, "model",
                               "the version \"%s\" of the model \"%s\" is gone since %s", out->meant->name,
                               m->name, out->meant->sunset);
        out->model_name = m->name;
        out->model = m;
        return true;
}

/* ---------------------------------------------------------------- words */

const char *route_why_name(enum route_why why)
{
        static const char *const names[] = {
                [ROUTE_USE] = "use",
                [ROUTE_PIN] = "pin",
                [ROUTE_CANARY] = "canary",
                [ROUTE_ASKED] = "asked",
                [ROUTE_AFTER_SUNSET] = "after_sunset",
                [ROUTE_DIRECT] = "direct",
        };
        return names[why];
}

void route_deprecation(int64_t unix_s, char out[ROUTE_DATE_MAX])
{
        snprintf(out, ROUTE_DATE_MAX, "@%lld", (long long)unix_s);
}

void route_sunset(int64_t unix_s, char out[ROUTE_DATE_MAX])
{
        /* strftime would follow the locale. */
        static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t t = (time_t)unix_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        snprintf(out, ROUTE_DATE_MAX, "%s, %02d %s %d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                 months[tm.tm_mon], 1900 + tm.tm_year, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
