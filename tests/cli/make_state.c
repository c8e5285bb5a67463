/* make_state STATE CONFIG: a state as a responder leaves it, with slots that run.sh knows. */
#include <stdio.h>
#include <string.h>

#include "dialect/fault_kind.h"
#include "store/state.h"

static bool use(struct slot *s, int64_t now_ms, void *context)
{
        const struct limit_ask ask = {.tokens = 100, .day_left_ms = 1000};
        (void)context;
        return limit_reserve(&s->limit, NULL, &ask, now_ms).granted;
}

static bool open_breaker(struct slot *s, int64_t now_ms, void *context)
{
        (void)context;
        s->breaker = (struct breaker_state){.mode = BREAKER_OPEN,
                                            .opened_ms = now_ms,
                                            .until_ms = now_ms + 500000,
                                            .cooldown_ms = 500000,
                                            .kind = FAULT_OVERLOAD,
                                            .status = 529,
                                            .why = "too\033[31m much"};
        return true;
}

int main(int argc, char **argv)
{
        static const struct {
                struct subject subject;
                slot_fn *fn;
        } rows[] = {
                {{SLOT_ACCOUNT, "desk"}, use},
                {{SLOT_PROVIDER, "e"}, use},
                {{SLOT_TARGET, "e/x"}, use},
                {{SLOT_TARGET, "e/x"}, open_breaker},
                {{SLOT_CALLER, "staff:user:al\033ice"}, use},
                {{SLOT_CALLER, "staff:user:bob"}, use},
                {{SLOT_DIRECT, "e/any"}, use},
        };
        enum state_problem problem;
        char why[512] = "";
        if (argc != 3)
                return 2;
        const struct state_options options = {.path = argv[1], .config_path = argv[2], .create = true};
        struct state *s = state_open(&options, &problem, why);
        if (!s) {
                fprintf(stderr, "%s\n", why);
                return 3;
        }
        bool fine = true;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                fine = state_update(s, rows[i].subject, rows[i].fn, NULL) == STATE_DONE && fine;
        state_close(s);
        return fine ? 0 : 3;
}
