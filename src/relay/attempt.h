/*
 * Inside the relay: one request under way (struct relay_run) and one attempt of it at a target. Not for other
 * floors.
 */
#ifndef TOLLGATE_RELAY_ATTEMPT_H
#define TOLLGATE_RELAY_ATTEMPT_H

#include "policy/fault.h"
#include "policy/fit.h"
#include "relay/admission.h"
#include "relay/relay.h"

/* The largest answer taken in one piece, the largest single event of a stream, and the largest stream. */
enum { ANSWER_BYTES_MAX = 64 << 20, EVENT_BYTES_MAX = 16 << 20, STREAM_BYTES_MAX = 1 << 30 };

struct attempt;
struct billing;
struct cached;
struct hedge;
struct rescue;

struct relay_run {
        const struct relay_call *call;
        struct relay_record *record;
        struct relay_head head; /* grows until it goes out */
        bool begun;             /* the head is out: only an error event can tell of a failure now */
        bool content_sent;      /* a content event is out: another target only where rescue_possible() */
        struct rescue *rescue;  /* of a stream: what content was sent (relay/rescue.h) */
        bool stop;              /* the client has left: nothing more is to be written */
        int64_t deadline_ms;    /* of the version's total, on clock_now_ms() */
        int64_t last_write_ms;
        struct fault_tally tally;
        const char *adjusted;      /* for x-tollgate-adjusted, or NULL */
        bool provoked;             /* as fitted last, it reaches into the provider's account */
        bool answered;             /* the client has its answer, or nothing more can be told */
        bool streams;              /* the answer is a stream: keep-alives may go out before it */
        void *keepalive_encoder;   /* of the client's stream, before any attempt has one */
        struct permit account;     /* what admission_enter() took */
        struct limit_views limits; /* of the account, for the headers, if `limited` */
        bool limited;
        bool images_fetched; /* the request is no longer what the client's bytes say */
        int64_t metered;     /* bytes counted in env->memory */
        struct hedge *hedge; /* a second target may be asked besides; NULL: none */
        struct billing *billing;
        struct cached *cached; /* the response cache (relay/cached.h); NULL: the account has none */
};

enum attempt_result {
        ATTEMPT_ANSWERED, /* the client has the whole answer */
        ATTEMPT_FAILED,   /* fault tells why; run->content_sent tells whether another target may be asked */
        ATTEMPT_OVER,     /* nothing more can be done: the client has left, or err was set */
};

struct attempt {
        struct relay_run *run;
        const struct config_target *target;
        const struct dialect *dialect; /* the provider's; NULL: echo */
        struct target_ask ask;
        struct target_permit permit;
        struct estimate estimate;
        int64_t n;        /* of the request's attempts, from 1 */
        const char *kind; /* for its row: "first", "retry", … */
        struct budget_hold hold;
        int64_t begun_s;  /* unix seconds: prices and rates are those of then */
        int64_t noted_ms; /* when its progress was noted last */
        int64_t started_ms;
        struct upstream_quota quota; /* what the provider's headers said of its limits */
        bool sent;                   /* something may have gone out to the provider */
        int64_t calls;               /* upstream: of embeddings there may be several */
        bool provoked;          /* by the caller's own references or target: a refusal may be its doing */
        bool besides;           /* another one runs at the same time: nothing may keep that waiting */
        int64_t streamed_bytes; /* of text and arguments that came */
        int64_t first_token_ms; /* from its start to its first content; 0: none came */
        struct chat_usage usage;
        const char *adjusted, *served_model, *upstream_request_id; /* or NULL */
        bool fast;                                                 /* the provider's own bytes pass */
        struct upstream_fault fault;
        struct err err; /* ATTEMPT_OVER: to tell the client, if a cause is set */
};

/*
 * Set by the walk over targets before attempt_chat(), and used by it once at most: when nothing has been
 * heard after_ms into the attempt (a stream: no content; one piece: not the answer), open() is asked for a
 * second target. The one that is heard first becomes the attempt, and is in the walk's own struct attempt
 * when attempt_chat() returns: its target may be another one then. The other is told of by ended(), whatever
 * became of it. Not used while the client has content (rescues).
 */
struct hedge {
        int64_t after_ms; /* above 0 */
        /* Picks, admits and fits another target: sets target and dialect (not echo's) of `second`, whose run
         * is set, and run->adjusted, and counts the attempt. NULL: none. Lives until attempt_chat() returns.
         */
        const struct fit *(*open)(struct hedge *h, struct attempt *second);
        /* ATTEMPT_FAILED: its fault, to be counted and judged as that of any attempt; the other one goes on.
         * ATTEMPT_OVER: ended by us, as the other one was heard first (or, if its err is set, for want of
         * something here; perhaps before it was sent); its target may be asked again. Usage and
         * streamed_bytes tell what it cost. */
        void (*ended)(struct hedge *h, struct attempt *other, enum attempt_result result);
        void *context;
};

/* The client has left, or there is an error that no other target can help. */
static inline bool attempt_is_over(const struct attempt *at)
{
        return at->run->stop || at->err.cause != ERR_NONE;
}

/* ---- writing to the client (deliver.c) ---- */
/* Sends the head if it is not out yet, then the bytes. False: the client has left (run->stop). */
bool deliver_bytes(struct relay_run *run, struct str bytes, bool flush);
void deliver_header(struct relay_run *run, const char *name, const char *value);
/* Status, content type and the x-tollgate headers of an answer by this target. */
void deliver_prepare(struct relay_run *run, const struct config_target *target, const char *served_model,
                     bool stream);
/* An answer in one piece: the provider's own bytes, or (raw.at NULL) what was encoded. */
enum attempt_result deliver_answer(struct attempt *at, const char *served_model,
                                   const struct chat_usage *usage, struct str raw, const struct buf *encoded);
/* Counts n more bytes in flight against max_memory; false: no room, and at->err says so. */
bool deliver_meter(struct attempt *at, int64_t n);
/* The same, where doing without is no error. */
bool deliver_meter_more(struct relay_run *run, int64_t n);
/* Bytes that were counted are free before the call ends. */
void deliver_meter_less(struct relay_run *run, int64_t n);

/* Keeps a client that waits for a stream alive; the first one sends the head. */
void deliver_keepalive(struct relay_run *run, void *encoder);

/* ---- waiting (wait.c) ---- */
/* Sleeps, watching the client and the total; streams are kept alive. False: the client has left, or the total
 * has run out. */
bool relay_wait(struct relay_run *run, int64_t ms);
/* One more of those that wait: false where that would take the last workers. */
bool relay_waiting_take(const struct relay_env *env);
void relay_waiting_give(const struct relay_env *env);

/* Tells the client of a failure in the way that is still open. */
void relay_tell(struct relay_run *run, const struct err *e);

/* ---- talking to the provider (exchange.c) ---- */
/* Milliseconds from now until the first of the deadlines that hold; times of 0 don't hold. */
struct exchange_times {
        int64_t started_ms;
        int64_t progress_ms; /* when the last content event came; 0: none yet */
        bool stream;
};

/* Two attempts, of which the one that is heard first goes on. */
struct exchange_race {
        struct exchange *winner; /* NULL: none was heard yet */
};

struct exchange {
        struct attempt *attempt;
        const struct wire_request *wire;
        bool stream;
        /* Takes the body's bytes as they come; NULL: collected in `body`. */
        bool (*bytes)(void *context, const char *bytes, size_t len);
        void *context;
        /* Called when nothing was written to the client for keepalive seconds; NULL: never. */
        void (*keepalive)(void *context);
        struct exchange_times times;
        int64_t over_ms; /* the answer is whole since then: don't wait long for the connection to end; 0: not
                            yet */
        struct transfer *transfer;  /* while it runs */
        enum fault_kind late;       /* a time that ran out */
        struct exchange_race *race; /* NULL: it is alone */
        struct buf body;            /* initialised by the caller, released by exchange_free() */
        int64_t metered;            /* bytes of it counted in flight */
        int status;
        const char *content_type;
};

/* One more piece of the body, counted. False: no room (attempt->err), or more than may be (body.failed). */
bool exchange_collect(struct exchange *x, const char *bytes, size_t len);
/* The body, and its bytes in flight. */
void exchange_free(struct exchange *x);
/* Runs it to its end. False: attempt->fault, or run->stop. A status of 400 and above is a fault. */
bool exchange_run(struct exchange *x);
/* After an event on the client's descriptor: run->stop where it has left. */
void exchange_look_for_client(struct relay_run *run);

/* The same in steps: opened, driven, closed. */
void exchange_open(struct exchange *x, struct upstream_lane *lane);
/*
 * Drives one, or two on the same lane (second NULL: one), until one has ended or is late: that one. NULL: the
 * client has left; of two, one was heard; or until_ms (on clock_now_ms(), 0: none) came before anything was
 * heard.
 */
struct exchange *exchange_drive(struct upstream_lane *lane, struct exchange *first, struct exchange *second,
                                int64_t until_ms);
/* Takes what became of it; one that still runs is ended, its connection closed. As exchange_run(). */
bool exchange_close(struct exchange *x);
/* To be asked before the client hears of it. False: the other one was faster. */
bool exchange_claims(struct exchange *x);

/* Sleeps as the echo provider does, watching the client and the total. False: the client has left, or
 * at->fault. */
bool exchange_pause(struct attempt *at, int64_t ms);

/* ---- one attempt ---- */
enum attempt_result attempt_chat(struct attempt *at, const struct chat_request *original,
                                 const struct fit *fit);
/* Its usage, where nobody counted: what was streamed, else what was reserved; nothing where it gave an error.
 */
void attempt_reckon(struct attempt *at, bool answered);
/* What of an attempt the record tells. */
void attempt_record(const struct attempt *at);

/* A chat made ready for one target: a request to be sent, and what takes its answer. In the arena. */
struct question {
        struct attempt *attempt;
        const struct chat_request *original;
        const struct chat_request *request; /* as fitted */
        struct wire_request wire;
        bool fast;
        struct exchange *exchange;
        void *state; /* of the kind */
        /* After exchange_close(), of which `ok` came: the rest is delivered. */
        enum attempt_result (*end)(struct question *q, bool ok);
        void (*release)(struct question *q); /* frees what is not in the arena, but the wire's body */
};

/* NULL: at->err. (attempt.c) */
struct question *question_new(struct attempt *at, const struct chat_request *original, const struct fit *fit);
void question_free(struct question *q);
/* Makes exchange, end and release of one that is to be streamed. (pump.c) */
void question_of_stream(struct question *q);
/* Asks, with a second target besides where the walk wants it so. (hedge.c) */
enum attempt_result question_ask(struct question *q);

enum attempt_result attempt_echo_chat(struct attempt *at, const struct chat_request *request);
enum attempt_result attempt_embed(struct attempt *at, const struct embed_fit *fit);

/* Caller-facing text of a provider, cleaned of what looks like a secret (scrub.c). Always a copy. */
const char *scrub_text(struct arena *a, const struct config *c, const char *text);
/* The same for all that a fault holds of the provider's words; copies them into the arena. */
void scrub_fault(struct arena *a, const struct config *c, struct upstream_fault *fault);

#endif
