/* The configuration in force of a process: looks at its files at most once a second, and takes what is good.
 */
#include "config/config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/load.h"

enum { LOOK_EVERY_MS = 1000 };

struct config_watch {
        pthread_mutex_t lock;         /* held for a few instructions only: never while files are looked at */
        const struct config *current; /* NULL: none has ever been good */
        int64_t look_ms;              /* when to look next */
        bool looking;                 /* one thread does; it alone touches what stands below */
        char *path;
        struct stamps stamps; /* of the files of the last attempt, good or not */
};

static void log_report(const struct config_report *r, bool taken)
{
        /* A CGI process lives for one request: it would tell the same warnings at every one. */
        bool quiet = getenv("GATEWAY_INTERFACE") != NULL;
        for (size_t i = 0; i < r->count; i++) {
                const struct config_problem *p = &r->problems[i];
                void (*log)(const char *, ...) = !p->warning ? log_error : quiet ? log_debug : log_warn;
                if (p->line)
                        log("%s:%d: %s", p->file, p->line, p->text);
                else
                        log("%s: %s", p->file, p->text);
        }
        if (!taken)
                log_error("the configuration has %zu error%s and was not taken", r->errors,
                          r->errors == 1 ? "" : "s");
}

/* A fresh tree, or NULL when it is broken; the stamps are those of this attempt either way. */
static const struct config *attempt(struct config_watch *w)
{
        struct config_report report;
        struct stamps stamps = {0};
        const struct config *fresh = load_stamped(w->path, &report, &stamps);
        stamps_release(&w->stamps);
        w->stamps = stamps;
        if (fresh)
                log_configure(fresh->log_level, fresh->log_file);
        log_report(&report, fresh != NULL);
        config_report_free(&report);
        return fresh;
}

struct config_watch *config_watch_new(const char *path)
{
        struct config_watch *w = calloc(1, sizeof *w);
        if (!w || !(w->path = strdup(path ? path : config_default_path())))
                abort();
        pthread_mutex_init(&w->lock, NULL);
        w->current = attempt(w);
        w->look_ms = clock_now_ms() + LOOK_EVERY_MS;
        return w;
}

static void look(struct config_watch *w)
{
        const struct config *old = NULL, *fresh = NULL;
        bool changed = stamps_changed(&w->stamps);
        if (changed)
                fresh = attempt(w);
        pthread_mutex_lock(&w->lock);
        if (fresh) {
                old = w->current;
                w->current = fresh;
        }
        w->look_ms = clock_now_ms() + LOOK_EVERY_MS;
        w->looking = false;
        pthread_mutex_unlock(&w->lock);
        if (fresh)
                log_info("the configuration %s is in force", fresh->path);
        config_unref(old);
}

/* A reference of the caller's. due: it is now up to the caller to look at the files. */
static const struct config *current(struct config_watch *w, bool *due)
{
        int64_t now = clock_now_ms();
        pthread_mutex_lock(&w->lock);
        const struct config *c = w->current ? config_ref(w->current) : NULL;
        if (due && (*due = !w->looking && now >= w->look_ms))
                w->looking = true;
        pthread_mutex_unlock(&w->lock);
        return c;
}

const struct config *config_watch_get(struct config_watch *w)
{
        bool due;
        const struct config *c = current(w, &due);
        if (!due)
                return c;
        look(w);
        config_unref(c);
        return current(w, NULL);
}

void config_watch_free(struct config_watch *w)
{
        if (!w)
                return;
        config_unref(w->current);
        stamps_release(&w->stamps);
        pthread_mutex_destroy(&w->lock);
        free(w->path);
        free(w);
}
