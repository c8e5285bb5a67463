/* Waiting for a turn, a backoff or a cool-down: the client is watched, and a stream kept alive. */
#include <poll.h>

#include "base/clock.h"
#include "relay/rescue.h"

static int64_t min_of(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/* Milliseconds until the next keep-alive is due. */
static int64_t quiet_left(const struct relay_run *run, int64_t now)
{
        int64_t every = run->call->env->config->keepalive_ms;
        return run->streams && every > 0 ? run->last_write_ms + every - now : INT64_MAX;
}

static void keep_alive(struct relay_run *run)
{
        const struct relay_call *call = run->call;
        if (!run->keepalive_encoder)
                run->keepalive_encoder = call->dialect->encoder_new(call->answer);
        deliver_keepalive(run, run->content_sent && run->rescue ? rescue_encoder(run->rescue)
                                                                : run->keepalive_encoder);
}

bool relay_wait(struct relay_run *run, int64_t ms)
{
        int64_t now = clock_now_ms(), until = min_of(now + ms, run->deadline_ms);
        bool late = until < now + ms;
        for (; now < until && !run->stop; now = clock_now_ms()) {
                struct pollfd fd = {.fd = run->call->client->fd, .events = POLLIN};
                int64_t quiet = quiet_left(run, now);
                if (quiet <= 0) {
                        keep_alive(run);
                        continue;
                }
                if (poll(&fd, 1, (int)min_of(min_of(until - now, quiet), 60000)) > 0) {
                        exchange_look_for_client(run);
                        /* An event that means nothing would turn this wait into a busy loop. */
                        if (!run->stop)
                                poll(NULL, 0, (int)min_of(until - now, 10));
                }
        }
        return !late && !run->stop;
}

bool relay_waiting_take(const struct relay_env *env)
{
        struct relay_waiting *w = env->waiting;
        if (!w || atomic_fetch_add(&w->count, 1) < w->most)
                return true;
        atomic_fetch_sub(&w->count, 1);
        return false;
}

void relay_waiting_give(const struct relay_env *env)
{
        if (env->waiting)
                atomic_fetch_sub(&env->waiting->count, 1);
}
