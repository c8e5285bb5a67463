/* One request under way: what the handlers of endpoints share. Everything lives in `arena`. */
#ifndef TOLLGATE_GATEWAY_EXCHANGE_H
#define TOLLGATE_GATEWAY_EXCHANGE_H

#include "gateway/account.h"
#include "gateway/caller.h"
#include "gateway/endpoints.h"
#include "gateway/gateway.h"
#include "gateway/request.h"

struct exchange {
        struct gateway *gateway;
        struct client *client;
        const struct relay_client *sink; /* answers go through it: the client's own, or one that listens */
        const struct config *config;     /* a reference of this request's; NULL: none is good */
        struct arena *arena;
        struct request request;
        struct endpoint_match match;
        const struct dialect *dialect;
        struct identity identity;
        struct subject caller; /* whose limits count */
        struct state *state;
        struct book *book; /* NULL: none, or it can't be used now */
        bool booked;       /* the row is one for the ledger */
        struct ledger_row row;
        struct recorder *recorder; /* NULL: nothing is recorded */
        struct answer_context answer;
        struct client_input input;
        struct relay_record record;
        const char *model;         /* as asked for, for the log */
        const struct route *route; /* NULL: none was found */
        int64_t started_ms;
        int status; /* of an answer that no relay gave */
};

/* Handlers: each answers the client, or returns false with err, which is then told in the client's dialect.
 */
bool handle_chat(struct exchange *x, struct err *err);
bool handle_embed(struct exchange *x, struct err *err);
bool handle_models(struct exchange *x, struct err *err);
bool handle_model(struct exchange *x, struct err *err);
bool handle_health(struct exchange *x, struct err *err);
bool handle_status(struct exchange *x, struct err *err);
bool handle_page(struct exchange *x, struct err *err);
bool handle_history(struct exchange *x, struct err *err);
bool handle_history_csv(struct exchange *x, struct err *err);
bool handle_metrics(struct exchange *x, struct err *err);

struct relay_env exchange_env(struct exchange *x);
/* Puts the request's id into the answer's headers and context. */
void exchange_tell_id(struct exchange *x);
/* Does an operator ask? For an endpoint that is not theirs alone. */
bool exchange_by_operator(struct exchange *x);
/* Sends a whole answer with status 200. */
void exchange_answer(struct exchange *x, const char *content_type, struct str body);

#endif
