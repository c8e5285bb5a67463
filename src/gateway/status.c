/* What the shared state knows, for operators (GET /status.json). */
#include "relay/status.h"

#include "base/clock.h"
#include "gateway/exchange.h"

enum { STATUS_MAX = 4 << 20 };

bool handle_status(struct exchange *x, struct err *err)
{
        const struct status_ask ask = {
                .config = x->config,
                .state = state_holder_get(x->gateway->states, x->config),
                .book = bookkeeper_get(x->gateway->books, x->config),
                .unix_ms = clock_unix_ms(),
        };
        struct buf *out = buf_in_arena(x->arena, STATUS_MAX);
        struct status status;
        if (!ask.state)
                return err_set(err, x->arena, ERR_OVERLOADED, NULL,
                               "the gateway's shared state can't be used; its log says why");
        status_collect(&ask, x->arena, &status);
        if (!status_write(&status, out) || !buf_addc(out, '\n'))
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the status is too long");
        exchange_answer(x, "application/json", (struct str){out->data, out->len});
        return true;
}
