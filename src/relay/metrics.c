#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "relay/metrics.h"

static void write_own(struct exposition *e, const struct metrics_ask *ask, bool totals_readable)
{
        static const struct metric build = {"tollgate_build_info", METRIC_GAUGE, NULL,
                                            "1, with the version of Tollgate."};
        static const struct metric state = {"tollgate_state_readable", METRIC_GAUGE, NULL,
                                            "1: the shared state can be used; 0: gauges of it are missing."};
        static const struct metric ledger = {"tollgate_ledger_readable", METRIC_GAUGE, NULL,
                                             "1: the ledger can be read; 0: counters are missing."};
        static const struct metric processes = {"tollgate_processes", METRIC_GAUGE, NULL,
                                                "Processes that use the shared state."};
        static const struct metric waiting = {
                "tollgate_spool_waiting_bytes", METRIC_GAUGE, "bytes",
                "What the process that answers has yet to move from its spool into the ledger."};
        static const struct metric full = {
                "tollgate_spool_full", METRIC_GAUGE, NULL,
                "1: that spool takes no more: accounts with hard budgets are refused."};
        const char *path = ask->config->ledger;
        exposition_begin(e, &build);
        exposition_int(e, &(struct metric_label){"version", PACKAGE_VERSION}, 1, 1);
        exposition_begin(e, &state);
        exposition_int(e, NULL, 0, ask->state != NULL);
        exposition_begin(e, &processes);
        if (ask->state)
                exposition_int(e, NULL, 0, state_process_count(ask->state));
        exposition_begin(e, &ledger);
        if (path && *path)
                exposition_int(e, NULL, 0, totals_readable);
        exposition_begin(e, &waiting);
        if (ask->book)
                exposition_int(e, NULL, 0, book_waiting(ask->book));
        exposition_begin(e, &full);
        if (ask->book)
                exposition_int(e, NULL, 0, book_full(ask->book));
}

bool metrics_write(const struct metrics_ask *ask, struct arena *a, struct buf *out)
{
        struct exposition e = {.out = out, .openmetrics = ask->openmetrics};
        bool readable;
        metrics_write_totals(&e, ask->book, a, &readable);
        write_own(&e, ask, readable);
        metrics_write_gauges(&e, ask, a);
        return exposition_end(&e);
}
