#include "gateway/booking.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/recorder.h"

enum { RETRY_MS = 2000 };

/* It is told by its row's id from here on. */
static void take_id(struct exchange *x)
{
        struct request *r = &x->request;
        request_take_id(r, x->row.id);
        exchange_tell_id(x);
        log_bind(client_log_line, x->client, r->id);
}

static void start_row(struct exchange *x)
{
        int64_t id = x->book ? book_id(x->book, clock_unix_ms()) : 0;
        x->row = (struct ledger_row){
                .id = id,
                .time_ms = clock_unix_ms() - (clock_now_ms() - x->started_ms),
                .account = x->identity.account->name,
                .user = x->identity.name,
                .identity = identity_kind_name(x->identity.kind),
                .endpoint = x->match.endpoint->pattern,
                .dialect = x->dialect->name,
                .trace = x->request.trace,
                .currency = x->config->currency,
                .priced = 1,
        };
        if (id)
                take_id(x);
        x->row.request_id = x->request.id;
        x->booked = true;
}

static void start_recorder(struct exchange *x)
{
        const char *ledger = x->config->ledger;
        if (x->identity.account->record != RECORD_FULL || !ledger || !*ledger)
                return;
        x->recorder = recorder_new(x->arena, x->sink, &x->gateway->memory, x->config->max_memory);
        x->sink = recorder_sink(x->recorder);
}

bool booking_begin(struct exchange *x, struct err *err)
{
        const struct config_account *account = x->identity.account;
        if (!x->match.endpoint->holds_worker || !account)
                return true;
        x->book = bookkeeper_get(x->gateway->books, x->config);
        start_row(x);
        start_recorder(x);
        if (x->book || !account->budget.hard || !config_any_budget(&account->budget))
                return true;
        err_set(err, x->arena, ERR_OVERLOADED, NULL,
                "what this account spends can't be written down; tell the administrator");
        err->retry_after_ms = RETRY_MS;
        return false;
}

/* "assistant@2026-08" as it was asked for, where no route was found. */
static void set_model(struct exchange *x)
{
        const char *at = x->model && !x->row.model ? strrchr(x->model, '@') : NULL;
        if (at) {
                x->row.model = arena_strndup(x->arena, x->model, (size_t)(at - x->model));
                x->row.version = at + 1;
        } else if (!x->row.model) {
                x->row.model = x->model;
        }
}

void booking_end(struct exchange *x, const struct err *err)
{
        const struct relay_record *r = &x->record;
        struct ledger_row *row = &x->row;
        enum answer_format format = x->answer.format;
        enum err_cause cause = r->cause ? r->cause : err->cause;
        if (!x->booked)
                return;
        set_model(x);
        row->status = r->status ? r->status : x->status;
        row->stream = r->streamed || format == ANSWER_SSE || format == ANSWER_JSON_ARRAY;
        row->outcome = r->client_left ? "left" : cause || !r->whole ? "error" : "ok";
        row->error = cause ? err_row(cause)->plain_code : NULL;
        row->total_ms = clock_now_ms() - x->started_ms;
        if (x->book)
                book_end(x->book, row, r->attempt_rows, r->attempt_row_count);
        if (x->recorder)
                recorder_write(x->recorder, x->config->ledger, row, x->request.body);
}
