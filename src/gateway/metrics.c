/* Counters, histograms and gauges for Prometheus, for operators (GET /metrics). */
#include "relay/metrics.h"

#include "base/clock.h"
#include "gateway/exchange.h"

bool handle_metrics(struct exchange *x, struct err *err)
{
        const struct metrics_ask ask = {
                .config = x->config,
                .state = state_holder_get(x->gateway->states, x->config),
                .book = bookkeeper_look(x->gateway->books, x->config),
                .unix_ms = clock_unix_ms(),
                .openmetrics = exposition_wants_openmetrics(x->request.accept),
        };
        struct buf *out = buf_in_arena(x->arena, METRICS_MAX);
        if (!metrics_write(&ask, x->arena, out))
                return err_set(err, x->arena, ERR_INTERNAL, NULL, "the metrics are too long");
        exchange_answer(x, exposition_content_type(ask.openmetrics), (struct str){out->data, out->len});
        return true;
}
