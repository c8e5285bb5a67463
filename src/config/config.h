/*
 * The configuration (contract §4): parsed from libconfig by a table of settings, checked as a whole, handed
 * out as one const tree with a count of references. Every problem is reported with file and line; all of
 * them, not only the first. Times are milliseconds here (`_ms`), seconds in the file. Arrays are terminated
 * by their counts. Names point into the tree and live as long as a reference is held.
 */
#ifndef TOLLGATE_CONFIG_CONFIG_H
#define TOLLGATE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/log.h"
#include "base/zone.h"
#include "config/model_caps.h"

struct config_limits { /* 0: no limit */
        int64_t rpm, tpm, rpd, tpd, concurrent;
        int64_t queue_ms, queue_length;
        const char *zone;
        const struct zone *days; /* of `zone`; NULL: UTC */
};

struct config_timeouts {
        int64_t connect_ms, first_token_ms, idle_ms, attempt_ms;
};

struct config_header {
        const char *name, *value;
};

struct config_provider {
        const char *name;
        const char *dialect;        /* "openai", "anthropic", "gemini", "echo" */
        const char *base;           /* no trailing slash; NULL for echo */
        const char *key;            /* the secret itself; NULL: none was configured */
        const char *out_of_service; /* why no request may go there (its secret is missing), or NULL */
        const char *proxy, *ca;
        const struct config_header *headers;
        size_t header_count;
        struct config_limits limits;
        struct config_timeouts timeouts;
        int64_t echo_delay_ms; /* echo: before each token of a stream, and before an answer in one piece */
        int64_t echo_tokens;   /* echo: length of the answer in tokens; 0: as long as the prompt */
        size_t index;
};

enum config_capability {
        CAPABILITY_VISION = 1,
        CAPABILITY_TOOLS = 2,
        CAPABILITY_DOCUMENTS = 4,
        CAPABILITY_AUDIO = 8,
        CAPABILITY_PREFILL = 16
};

struct config_target {
        const struct config_provider *provider;
        const char *model; /* upstream id */
        int64_t weight;
        struct config_limits limits;
        bool capabilities_given;
        unsigned capabilities; /* enum config_capability bits, when given: replaces what the catalogue says */
};

/* A field forced (`set`) or filled in (`default`), by its canonical name in the openai dialect:
 * "temperature". */
struct config_field {
        const char *name;
        const char *json; /* the value as JSON text */
        enum {
                CONFIG_FIELD_INT,
                CONFIG_FIELD_NUMBER,
                CONFIG_FIELD_BOOL,
                CONFIG_FIELD_STRING,
                CONFIG_FIELD_STRINGS
        } type;
        int64_t integer;
        double number;
        bool boolean;
        const char *string;
        const char *const *strings;
        size_t string_count;
};

struct config_retry {
        int64_t attempts; /* at one target, the first included */
        int64_t backoff_ms, max_backoff_ms;
};

struct config_breaker {
        double share;
        int64_t minimum, window_ms, cooldown_ms;
};

enum config_rescue { RESCUE_ERROR, RESCUE_HOLD, RESCUE_MATCH, RESCUE_CONTINUE };
enum config_strategy {
        STRATEGY_FAILOVER,
        STRATEGY_WEIGHTED,
        STRATEGY_ROUND_ROBIN,
        STRATEGY_LATENCY,
        STRATEGY_COST
};

/* When a second target is asked besides. */
struct config_hedge {
        double percentile; /* 0.95: later than this share of a target's answers; 0: not by percentile */
        int64_t after_ms;  /* 0: not by time. Both 0: off */
};

struct config_version {
        const char *name;
        const struct config_target *targets;
        size_t target_count;
        const struct config_field *set, *fill; /* `fill` is the setting `default` */
        size_t set_count, fill_count;
        int64_t total_ms;
        enum config_strategy strategy;
        enum config_rescue rescue;
        struct config_hedge hedge;
        bool reroute_refusals;
        bool auto_cache; /* breakpoints of anthropic's prompt cache are put where they pay */
        struct config_retry retry;
        struct config_breaker breaker;
        const char *deprecated, *sunset;           /* dates as written, or NULL */
        int64_t deprecated_unix, sunset_unix;      /* the first second of that day in UTC; 0: none */
        const struct config_version *after_sunset; /* or NULL */
};

struct config_model {
        const char *name;
        unsigned tasks; /* enum model_task bits */
        const struct config_version *versions;
        size_t version_count;
        const struct config_version *use;      /* the version in force: a pin's, else the setting's */
        const struct config_version *unpinned; /* the setting's */
        const struct config_pin *pin;          /* that put it in force, or NULL */
        const struct config_version *canary;   /* or NULL */
        int64_t canary_percent;
};

/* Written by `tollgate pin`, newest last; the last one of a model is in force. Earlier ones are history: they
 * may name versions that are gone. */
struct config_pin {
        const char *model, *use, *by, *at, *why; /* but for the first two: NULL where not said */
};

/*
 * What tokens cost: per million of them, in millionths of config.currency, those shipped of US dollars (so
 * that tokens × price are 1e-12 of it); -1: not said. A model may have several rows: for each provider, from
 * each date, and above each length of prompt (policy/price.h chooses).
 */
struct config_price {
        const char *pattern;  /* matched as a row of the catalogue is */
        bool shipped;         /* of prices.conf; the operator's own rows win */
        const char *provider; /* counts for this provider's targets only; NULL: for all */
        const char *from;     /* a date, or NULL: always */
        int64_t from_unix;    /* its first second in UTC; 0: always */
        int64_t above;        /* for prompts of more tokens than this, cached ones included; 0: all */
        int64_t input_micro, cached_micro, cache_write_micro, cache_write_1h_micro, output_micro;
        int64_t audio_input_micro, audio_output_micro, image_input_micro;
        int64_t priority_micro, flex_micro, batch_micro,
                fast_micro; /* factors, in millionths: 500000 is the half */
};

/* Units of a currency for one US dollar, in millionths, from a date on. */
struct config_rate {
        const char *currency, *from; /* from: NULL: always */
        int64_t per_usd_micro, from_unix;
};

/* Money that an account may spend, in its own currency. 0: no such budget. */
struct config_budget {
        int64_t day_micro, month_micro; /* -1: none */
        const char *currency;           /* never NULL: config.currency where not said */
        const char *zone;
        const struct zone *days;    /* of `zone`; NULL: UTC */
        const int64_t *alert_micro; /* shares, in millionths, ascending */
        size_t alert_count;         /* at most 32 */
        bool hard;
};

/* The response cache of an account. */
struct config_cache {
        int64_t keep_ms; /* 0: off */
        int64_t size;    /* bytes, of all that the account has there */
        bool share;      /* one cache with all accounts that share */
};

/* Who is on an invoice; "" or NULL: not said. */
struct config_party {
        const char *name, *address, *tax_id;
};

enum config_record { RECORD_NONE, RECORD_FULL };

struct config_key {
        const char *name;
        uint8_t sha256[32];
        int64_t expires; /* unix seconds at the end of the day given; 0: never */
};

struct config_certificate {
        const char *subject, *issuer; /* issuer may be NULL */
};

enum config_per { PER_ACCOUNT, PER_USER, PER_ADDRESS, PER_KEY };

struct config_account {
        const char *name;
        bool enabled, direct;
        const struct config_key *keys;
        size_t key_count;
        const char *const *users; /* "*": every authenticated user */
        size_t user_count;
        const struct config_certificate *certificates;
        size_t certificate_count;
        const char *const *models; /* "*": all */
        size_t model_count;
        const char *const *allow; /* "files", "tiers", "hosted-tools", "betas" */
        size_t allow_count;
        enum config_per per;
        struct config_limits limits;
        struct config_budget budget;
        enum config_record record;
        struct config_cache cache;
        struct config_party buyer;
        size_t index;
};

/* A row of the catalogue as written: a pattern and what it sets. In file order, the shipped file's rows
 * first. */
struct config_catalogue_row {
        const char *pattern;
        bool shipped; /* the operator's own rows win over shipped ones */
        struct model_caps caps;
};

/* A field of a client's request that reaches into the provider's account, price or network (SECURITY item 6).
 */
struct config_guard {
        const char *dialect;
        const char *field; /* top-level member, "header:NAME", or "tool:GLOB" of a hosted tool's type */
        const char *needs; /* the word in an account's `allow` */
        bool refuse;       /* true: 400/403 naming it; false: left out and told as adjusted */
};

struct config {
        const char *path; /* the main file */
        const char *currency, *state, *ledger;
        int64_t workers, max_body, max_memory, keepalive_ms;
        enum log_level log_level;
        const char *log_file;  /* "" : the web server's log */
        const char *mount;     /* NULL: what the web server says */
        const char *anonymous; /* account name or NULL */
        bool trust_web_server;
        struct {
                const char *chat, *vision, *embed;
        } defaults; /* NULL: none */
        const char *const *cors;
        size_t cors_count;
        struct {
                const char *const *users, *const *accounts, *const *from;
                size_t user_count, account_count, from_count;
        } operators;
        struct {
                const char *const
                        *allow; /* hosts, addresses or CIDR blocks that may be fetched though private */
                size_t allow_count;
                int64_t max, timeout_ms, images;
        } fetch;
        const struct config_provider *providers;
        size_t provider_count;
        const struct config_model *models;
        size_t model_count;
        const struct config_account *accounts;
        size_t account_count;
        const struct config_catalogue_row *catalogue;
        size_t catalogue_count;
        const struct config_guard *guards;
        size_t guard_count;
        const struct config_pin *pins;
        size_t pin_count;
        const char *pins_path; /* the included file named pins.conf, there or not; NULL: none is included */
        const struct config_price *prices;
        size_t price_count;
        const struct config_rate *rates;
        size_t rate_count;
        struct {
                const char *command, *webhook; /* "": none */
                const char *secret;            /* for the webhook's HMAC; "" or NULL: none */
        } alerts;
        struct config_party seller;
        double retry_share;
        int64_t keep_days;
};

/* One problem found; `line` 0: concerns the file as a whole. Sorted by file and line. */
struct config_problem {
        bool warning;
        const char *file;
        int line;
        const char *text;
};

struct config_report {
        const struct config_problem *problems;
        size_t count, errors, warnings;
};

/*
 * Loads and checks. Returns the tree with one reference, or NULL when there is an error in the report. The
 * report belongs to the caller (config_report_free) and is filled in both cases. path NULL: $TOLLGATE_CONF,
 * else built in.
 */
const struct config *config_load(const char *path, struct config_report *report);
/* The same with `text` in place of what the file `replaced` holds: to try a change before it is made. The
 * name is one that includes lead to (config.pins_path). */
const struct config *config_try(const char *path, const char *replaced, const char *text,
                                struct config_report *report);
void config_report_free(struct config_report *report);
const char *config_default_path(void);

const struct config *config_ref(const struct config *c);
void config_unref(const struct config *c);

bool config_any_limit(const struct config_limits *l);
/* Is there a budget of a day or a month? (A prepaid balance is no setting: store/book.h) */
bool config_any_budget(const struct config_budget *b);

const struct config_model *config_find_model(const struct config *c, const char *name);
const struct config_version *config_find_version(const struct config_model *m, const char *name);
const struct config_provider *config_find_provider(const struct config *c, const char *name);
const struct config_account *config_find_account(const struct config *c, const char *name);

/* ---- the configuration in force of a running process (watch.c) ---- */
/* Safe from all threads. Looks at the files at most once a second; a broken change is logged once and not
 * taken. */
struct config_watch;
struct config_watch *config_watch_new(const char *path);
/* The configuration in force with a reference of the caller's, or NULL when none has ever been good. */
const struct config *config_watch_get(struct config_watch *w);
void config_watch_free(struct config_watch *w);

#endif
