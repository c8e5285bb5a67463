#include "store/state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/state_internal.h"

/* Made absolute, and the same by whatever way it was named. */
static char *absolute(const char *path)
{
        char here[PATH_MAX], *real = realpath(path, NULL);
        if (real)
                return real;
        if (path[0] == '/' || !getcwd(here, sizeof here))
                real = strdup(path);
        else if (asprintf(&real, "%s/%s", here, path) < 0)
                real = NULL;
        return real;
}

static struct state *state_new(const struct state_options *o)
{
        struct state *s = calloc(1, sizeof *s);
        if (!s)
                abort();
        s->fd = s->life_fd = s->folder_fd = -1;
        s->now_ms = o->now_ms;
        s->context = o->context;
        if ((o->path && !(s->path = strdup(o->path))) ||
            (o->config_path && !(s->config = absolute(o->config_path))))
                abort();
        pthread_mutex_init(&s->header_lock, NULL);
        for (size_t i = 0; i < STATE_REGIONS; i++)
                pthread_mutex_init(&s->directory_locks[i], NULL);
        return s;
}

/* Whoever opens sees either nothing or all of what another one that opens does. */
static bool begin(struct state *s, bool create, enum state_problem *problem, char why[STATE_WORDS])
{
        if (!state_lock(s->fd, 0, SLOT_BYTES)) {
                snprintf(why, STATE_WORDS, "%s cannot be locked: %s", state_name(s), strerror(errno));
                *problem = STATE_BROKEN;
                return false;
        }
        bool fine = state_header_open(s, create, problem, why);
        if (fine && !(fine = state_process_claim(s, why)))
                *problem = STATE_BROKEN;
        state_unlock(s->fd, 0, SLOT_BYTES);
        return fine;
}

struct state *state_open(const struct state_options *options, enum state_problem *problem, char why[512])
{
        struct state *s = state_new(options);
        *problem = STATE_FINE;
        why[0] = '\0';
        if (state_file_open(s, options->create, problem, why) && begin(s, options->create, problem, why))
                return s;
        state_close(s);
        return NULL;
}

void state_close(struct state *s)
{
        if (!s)
                return;
        const int fds[] = {s->fd, s->life_fd, s->folder_fd};
        for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
                if (fds[i] >= 0)
                        close(fds[i]);
        }
        for (size_t i = 0; i < STATE_REGIONS; i++)
                pthread_mutex_destroy(&s->directory_locks[i]);
        pthread_mutex_destroy(&s->header_lock);
        free((char *)s->path);
        free((char *)s->config);
        free(s);
}

bool state_lost(const struct state *s)
{
        return atomic_load(&s->lost);
}

int64_t state_now_ms(const struct state *s)
{
        return s->now_ms ? s->now_ms(s->context) : state_boottime_ms() + atomic_load(&s->offset_ms);
}

struct process_id state_self(const struct state *s)
{
        return s->self;
}

struct lease_context state_leases(const struct state *s)
{
        return (struct lease_context){.self = s->self, .alive = state_process_alive, .context = (void *)s};
}
