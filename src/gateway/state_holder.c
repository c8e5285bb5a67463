#include "gateway/state_holder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { TRY_AGAIN_MS = 5000, TELL_AGAIN_MS = 60000, REPLACE_AGAIN_MS = 60000 };

struct opened {
        struct opened *next;
        char *path;
        struct state *state;
        bool former; /* its file is not at its path any more; requests may still be using it */
};

struct state_holder {
        pthread_mutex_t lock;
        struct opened *list;
        struct state *alone; /* of this process, where the file can't be used and nothing is limited */
        char *failed;        /* the path that could not be opened last */
        int64_t try_ms, tell_ms, replace_ms;
};

struct state_holder *state_holder_new(void)
{
        struct state_holder *h = calloc(1, sizeof *h);
        if (!h)
                abort();
        pthread_mutex_init(&h->lock, NULL);
        return h;
}

void state_holder_free(struct state_holder *h)
{
        if (!h)
                return;
        while (h->list) {
                struct opened *o = h->list;
                h->list = o->next;
                state_close(o->state);
                free(o->path);
                free(o);
        }
        if (h->alone)
                state_close(h->alone);
        pthread_mutex_destroy(&h->lock);
        free(h->failed);
        free(h);
}

static bool is_limited(const struct config *c)
{
        for (size_t i = 0; i < c->account_count; i++) {
                if (config_any_limit(&c->accounts[i].limits) ||
                    (c->accounts[i].budget.hard && config_any_budget(&c->accounts[i].budget)))
                        return true;
        }
        for (size_t i = 0; i < c->provider_count; i++) {
                if (config_any_limit(&c->providers[i].limits))
                        return true;
        }
        for (size_t m = 0; m < c->model_count; m++) {
                for (size_t v = 0; v < c->models[m].version_count; v++) {
                        const struct config_version *version = &c->models[m].versions[v];
                        for (size_t t = 0; t < version->target_count; t++) {
                                if (config_any_limit(&version->targets[t].limits))
                                        return true;
                        }
                }
        }
        return false;
}

static void note_failure(struct state_holder *h, const struct config *c, const char *why)
{
        int64_t now = clock_now_ms();
        bool other = !h->failed || strcmp(h->failed, c->state) != 0;
        if (other) {
                free(h->failed);
                h->failed = strdup(c->state);
        }
        h->try_ms = now + TRY_AGAIN_MS;
        /* Where nothing is limited, once is enough. */
        if (!other && (now < h->tell_ms || !is_limited(c)))
                return;
        h->tell_ms = now + TELL_AGAIN_MS;
        /* A CGI process lives for one request: it would tell the same at every one. */
        if (is_limited(c))
                log_error("%s; limits can't be kept without it, so no model is asked", why);
        else if (getenv("GATEWAY_INTERFACE"))
                log_debug("%s; each process keeps its own", why);
        else
                log_warn("%s; each process keeps its own", why);
}

static struct state *open_file(struct state_holder *h, const struct config *c)
{
        char why[512] = "";
        enum state_problem problem;
        const struct state_options options = {.path = c->state, .config_path = c->path, .create = true};
        struct state *state = state_open(&options, &problem, why);
        struct opened *o = state ? calloc(1, sizeof *o) : NULL;
        if (!state) {
                note_failure(h, c, why);
                return NULL;
        }
        if (!o || !(o->path = strdup(c->state)))
                abort();
        o->state = state;
        o->next = h->list;
        h->list = o;
        return state;
}

static struct state *alone(struct state_holder *h)
{
        char why[512] = "";
        enum state_problem problem;
        if (!h->alone)
                h->alone = state_open(&(struct state_options){.path = NULL}, &problem, why);
        if (!h->alone)
                log_error("%s", why);
        return h->alone;
}

/* One whose file was removed or replaced limits nothing together with other processes. Seldom, as what is
 * left behind stays open. */
static bool leave_behind(struct state_holder *h, struct opened *o)
{
        int64_t now = clock_now_ms();
        if (!state_lost(o->state) || now < h->replace_ms)
                return false;
        h->replace_ms = now + REPLACE_AGAIN_MS;
        log_warn("%s was removed or replaced while in use; the one that is there counts from now on",
                 o->path);
        return o->former = true;
}

struct state *state_holder_get(struct state_holder *h, const struct config *c)
{
        struct state *found = NULL;
        pthread_mutex_lock(&h->lock);
        for (struct opened *o = h->list; o && !found; o = o->next) {
                if (!o->former && strcmp(o->path, c->state) == 0 && !leave_behind(h, o))
                        found = o->state;
        }
        bool waits = h->failed && strcmp(h->failed, c->state) == 0 && clock_now_ms() < h->try_ms;
        if (!found && !waits)
                found = open_file(h, c);
        if (!found && !is_limited(c))
                found = alone(h);
        pthread_mutex_unlock(&h->lock);
        return found;
}
