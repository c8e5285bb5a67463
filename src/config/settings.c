#include "config/setting.h"

#include <string.h>

#define COUNT(table)       (sizeof(table) / sizeof *(table))
#define KEPT(type, member) .place = 1 + offsetof(struct type, member)
#define ALSO(type, member) .place2 = 1 + offsetof(struct type, member)
#define SAME               .place = 1 /* a group whose members are kept in the struct of its parent */
#define RANGE(low, high)   .min = (low), .max = (high)
#define GROUP(var, title_, table, size_)                                                                     \
        static const struct setting_group var = {                                                            \
                .title = (title_), .settings = (table), .count = COUNT(table), .size = (size_)}

enum { DAY = 86400, MANY = 1000000000 };

static const struct setting_word levels[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warn", LOG_LEVEL_WARN},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
        {0},
};
static const struct setting_word dialects[] = {
        {"openai", 0}, {"anthropic", 0}, {"gemini", 0}, {"echo", 0}, {0}};
static const struct setting_word tasks[] = {
        {"chat", TASK_CHAT},
        {"vision", TASK_VISION},
        {"embed", TASK_EMBED},
        {0},
};
static const struct setting_word capabilities[] = {
        {"vision", CAPABILITY_VISION}, {"tools", CAPABILITY_TOOLS},     {"documents", CAPABILITY_DOCUMENTS},
        {"audio", CAPABILITY_AUDIO},   {"prefill", CAPABILITY_PREFILL}, {0},
};
static const struct setting_word strategies[] = {
        {"failover", 0}, {"weighted", 0}, {"round-robin", 0}, {"latency", 0}, {"cost", 0}, {0},
};
static const struct setting_word pers[] = {
        {"account", PER_ACCOUNT}, {"user", PER_USER}, {"address", PER_ADDRESS}, {"key", PER_KEY}, {0},
};
static const struct setting_word permissions[] = {
        {"files", 0}, {"tiers", 0}, {"hosted-tools", 0}, {"betas", 0}, {0},
};
static const struct setting_word client_dialects[] = {
        {"openai", 0}, {"anthropic", 0}, {"gemini", 0}, {"plain", 0}, {0},
};

/* ---------------------------------------------------------------- small groups */

static const struct setting log_rows[] = {
        {.name = "level", .type = SETTING_WORD, .words = levels, .fallback = "info", KEPT(config, log_level)},
        {.name = "file",
         .type = SETTING_STRING,
         .check = value_absolute,
         .fallback = "",
         KEPT(config, log_file)},
};
GROUP(log_group, "log", log_rows, 0);

static const struct setting defaults_rows[] = {
        {.name = "chat", .type = SETTING_STRING, KEPT(config, defaults.chat)},
        {.name = "vision", .type = SETTING_STRING, KEPT(config, defaults.vision)},
        {.name = "embed", .type = SETTING_STRING, KEPT(config, defaults.embed)},
};
GROUP(defaults_group, "defaults", defaults_rows, 0);

static const struct setting operators_rows[] = {
        {.name = "users",
         .type = SETTING_STRINGS,
         .check = value_filled,
         KEPT(config, operators.users),
         ALSO(config, operators.user_count)},
        {.name = "accounts",
         .type = SETTING_STRINGS,
         KEPT(config, operators.accounts),
         ALSO(config, operators.account_count)},
        {.name = "from",
         .type = SETTING_STRINGS,
         .check = value_peer,
         KEPT(config, operators.from),
         ALSO(config, operators.from_count)},
};
GROUP(operators_group, "operators", operators_rows, 0);

static const struct setting fetch_rows[] = {
        {.name = "allow",
         .type = SETTING_STRINGS,
         .check = value_fetch_host,
         KEPT(config, fetch.allow),
         ALSO(config, fetch.allow_count)},
        {.name = "max",
         .type = SETTING_SIZE,
         RANGE(1024, 1 << 30),
         .fallback = "20M",
         KEPT(config, fetch.max)},
        {.name = "timeout",
         .type = SETTING_SECONDS,
         RANGE(0.1, 600),
         .fallback = "15.0",
         KEPT(config, fetch.timeout_ms)},
        {.name = "images", .type = SETTING_INT, RANGE(0, 256), .fallback = "16", KEPT(config, fetch.images)},
};
GROUP(fetch_group, "fetch", fetch_rows, 0);

/* Limits of a provider; those of an account have a queue besides. */
#define LIMITS_ROWS                                                                                          \
        {.name = "rpm", .type = SETTING_INT, .milestone = 2, RANGE(0, 1e12), KEPT(config_limits, rpm)},      \
                {.name = "tpm",                                                                              \
                 .type = SETTING_INT,                                                                        \
                 .milestone = 2,                                                                             \
                 RANGE(0, 1e12),                                                                             \
                 KEPT(config_limits, tpm)},                                                                  \
                {.name = "rpd",                                                                              \
                 .type = SETTING_INT,                                                                        \
                 .milestone = 2,                                                                             \
                 RANGE(0, 1e12),                                                                             \
                 KEPT(config_limits, rpd)},                                                                  \
                {.name = "tpd",                                                                              \
                 .type = SETTING_INT,                                                                        \
                 .milestone = 2,                                                                             \
                 RANGE(0, 1e12),                                                                             \
                 KEPT(config_limits, tpd)},                                                                  \
                {.name = "concurrent",                                                                       \
                 .type = SETTING_INT,                                                                        \
                 .milestone = 2,                                                                             \
                 RANGE(0, 1000000),                                                                          \
                 KEPT(config_limits, concurrent)},                                                           \
        {                                                                                                    \
                .name = "zone", .type = SETTING_ZONE, .milestone = 2, .fallback = "UTC",                     \
                KEPT(config_limits, zone)                                                                    \
        }

static const struct setting provider_limits_rows[] = {LIMITS_ROWS};
GROUP(provider_limits_group, "limits", provider_limits_rows, 0);

static const struct setting account_limits_rows[] = {
        LIMITS_ROWS,
        {.name = "queue",
         .type = SETTING_SECONDS,
         .milestone = 2,
         RANGE(0, 3600),
         KEPT(config_limits, queue_ms)},
        {.name = "queue_length",
         .type = SETTING_INT,
         .milestone = 2,
         RANGE(0, 100000),
         .fallback = "100",
         KEPT(config_limits, queue_length)},
};
GROUP(account_limits_group, "limits", account_limits_rows, 0);

/* ---------------------------------------------------------------- providers */

static const struct setting timeouts_rows[] = {
        {.name = "connect",
         .type = SETTING_SECONDS,
         RANGE(0.01, 600),
         .fallback = "5.0",
         KEPT(config_timeouts, connect_ms)},
        {.name = "first_token",
         .type = SETTING_SECONDS,
         RANGE(0.01, DAY),
         .fallback = "60.0",
         KEPT(config_timeouts, first_token_ms)},
        {.name = "idle",
         .type = SETTING_SECONDS,
         RANGE(0.01, DAY),
         .fallback = "60.0",
         KEPT(config_timeouts, idle_ms)},
        {.name = "attempt",
         .type = SETTING_SECONDS,
         RANGE(0.01, DAY),
         .fallback = "600.0",
         KEPT(config_timeouts, attempt_ms)},
};
GROUP(timeouts_group, "timeouts", timeouts_rows, 0);

static const struct setting header_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_header_name,
         KEPT(config_header, name)},
        {.name = "value", .type = SETTING_SECRET, .required = true, KEPT(config_header, value)},
};
GROUP(headers_group, "headers", header_rows, sizeof(struct config_header));

static const struct setting provider_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_provider, name)},
        {.name = "dialect",
         .type = SETTING_CHOICE,
         .required = true,
         .words = dialects,
         KEPT(config_provider, dialect)},
        {.name = "base", .type = SETTING_STRING, .check = value_url, KEPT(config_provider, base)},
        {.name = "key", .type = SETTING_SECRET, KEPT(config_provider, key)},
        {.name = "limits",
         .type = SETTING_GROUP,
         .milestone = 2,
         .group = &provider_limits_group,
         KEPT(config_provider, limits)},
        {.name = "timeouts",
         .type = SETTING_GROUP,
         .group = &timeouts_group,
         KEPT(config_provider, timeouts)},
        {.name = "proxy", .type = SETTING_STRING, .check = value_proxy, KEPT(config_provider, proxy)},
        {.name = "ca", .type = SETTING_STRING, .check = value_absolute, KEPT(config_provider, ca)},
        {.name = "headers",
         .type = SETTING_LIST,
         .group = &headers_group,
         KEPT(config_provider, headers),
         ALSO(config_provider, header_count)},
        {.name = "delay",
         .type = SETTING_SECONDS,
         RANGE(0, 3600),
         .fallback = "0.0",
         KEPT(config_provider, echo_delay_ms)},
        {.name = "tokens",
         .type = SETTING_INT,
         RANGE(0, 1000000),
         .fallback = "0",
         KEPT(config_provider, echo_tokens)},
};
GROUP(providers_group, "providers", provider_rows, sizeof(struct config_provider));

/* ---------------------------------------------------------------- models */

static const struct setting target_rows[] = {
        {.name = "provider", .type = SETTING_STRING, .required = true}, /* resolved by check_models.c */
        {.name = "model",
         .type = SETTING_STRING,
         .required = true,
         .check = value_id,
         KEPT(config_target, model)},
        {.name = "weight",
         .type = SETTING_INT,
         .milestone = 2,
         RANGE(0, 1000000),
         .fallback = "1",
         KEPT(config_target, weight)},
        {.name = "capabilities",
         .type = SETTING_WORDS,
         .words = capabilities,
         KEPT(config_target, capabilities),
         ALSO(config_target, capabilities_given)},
};
GROUP(targets_group, "targets", target_rows, sizeof(struct config_target));

static const struct setting retry_rows[] = {
        {.name = "attempts",
         .type = SETTING_INT,
         .milestone = 2,
         RANGE(1, 10),
         .fallback = "2",
         KEPT(config_version, retry.attempts)},
        {.name = "backoff",
         .type = SETTING_SECONDS,
         .milestone = 2,
         RANGE(0, 600),
         .fallback = "0.5",
         KEPT(config_version, retry.backoff_ms)},
        {.name = "max_backoff",
         .type = SETTING_SECONDS,
         .milestone = 2,
         RANGE(0, 3600),
         .fallback = "8.0",
         KEPT(config_version, retry.max_backoff_ms)},
};
GROUP(retry_group, "retry", retry_rows, 0);

static const struct setting breaker_rows[] = {
        {.name = "share",
         .type = SETTING_NUMBER,
         .milestone = 2,
         RANGE(0, 1),
         .fallback = "0.5",
         KEPT(config_version, breaker.share)},
        {.name = "minimum",
         .type = SETTING_INT,
         .milestone = 2,
         RANGE(1, MANY),
         .fallback = "5",
         KEPT(config_version, breaker.minimum)},
        {.name = "window",
         .type = SETTING_SECONDS,
         .milestone = 2,
         RANGE(1, DAY),
         .fallback = "30.0",
         KEPT(config_version, breaker.window_ms)},
        {.name = "cooldown",
         .type = SETTING_SECONDS,
         .milestone = 2,
         RANGE(0.1, DAY),
         .fallback = "15.0",
         KEPT(config_version, breaker.cooldown_ms)},
};
GROUP(breaker_group, "breaker", breaker_rows, 0);

static const struct setting version_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_version, name)},
        {.name = "strategy",
         .type = SETTING_CHOICE,
         .milestone = 2,
         .only = "failover",
         .words = strategies,
         .fallback = "failover",
         KEPT(config_version, strategy)},
        {.name = "total",
         .type = SETTING_SECONDS,
         RANGE(0.1, DAY),
         .fallback = "600.0",
         KEPT(config_version, total_ms)},
        {.name = "targets",
         .type = SETTING_LIST,
         .required = true,
         .group = &targets_group,
         KEPT(config_version, targets),
         ALSO(config_version, target_count)},
        {.name = "set", .type = SETTING_FIELDS, KEPT(config_version, set), ALSO(config_version, set_count)},
        {.name = "default",
         .type = SETTING_FIELDS,
         KEPT(config_version, fill),
         ALSO(config_version, fill_count)},
        {.name = "retry", .type = SETTING_GROUP, .milestone = 2, .group = &retry_group, SAME},
        {.name = "breaker", .type = SETTING_GROUP, .milestone = 2, .group = &breaker_group, SAME},
        {.name = "rescue",
         .type = SETTING_STRING,
         .milestone = 2,
         .only = "error",
         .fallback = "error",
         KEPT(config_version, rescue)},
        {.name = "hedge",
         .type = SETTING_STRING,
         .milestone = 2,
         .only = "off",
         .fallback = "off",
         KEPT(config_version, hedge)},
        {.name = "reroute_refusals",
         .type = SETTING_BOOL,
         .milestone = 2,
         .only = "false",
         .fallback = "false",
         KEPT(config_version, reroute_refusals)},
        {.name = "deprecated", .type = SETTING_DATE, .milestone = 2, KEPT(config_version, deprecated)},
        {.name = "sunset", .type = SETTING_DATE, .milestone = 2, KEPT(config_version, sunset)},
        {.name = "after_sunset", .type = SETTING_STRING, .milestone = 2, KEPT(config_version, after_sunset)},
};
GROUP(versions_group, "versions", version_rows, sizeof(struct config_version));

static const struct setting canary_rows[] = {
        {.name = "version",
         .type = SETTING_STRING,
         .milestone = 2,
         .required = true,
         KEPT(config_model, canary_version)},
        {.name = "percent",
         .type = SETTING_INT,
         .milestone = 2,
         .required = true,
         RANGE(0, 100),
         KEPT(config_model, canary_percent)},
};
GROUP(canary_group, "canary", canary_rows, 0);

static const struct setting model_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_model, name)},
        {.name = "tasks",
         .type = SETTING_WORDS,
         .words = tasks,
         .fallback = "chat",
         KEPT(config_model, tasks)},
        {.name = "use", .type = SETTING_STRING}, /* resolved by check_models.c */
        {.name = "versions",
         .type = SETTING_LIST,
         .required = true,
         .group = &versions_group,
         KEPT(config_model, versions),
         ALSO(config_model, version_count)},
        {.name = "canary", .type = SETTING_GROUP, .milestone = 2, .group = &canary_group, SAME},
};
GROUP(models_group, "models", model_rows, sizeof(struct config_model));

static const struct setting pin_rows[] = {
        {.name = "model", .type = SETTING_STRING, .milestone = 2, .required = true},
        {.name = "use", .type = SETTING_STRING, .milestone = 2, .required = true},
        {.name = "by", .type = SETTING_STRING, .milestone = 2},
        {.name = "at", .type = SETTING_TIME, .milestone = 2},
        {.name = "why", .type = SETTING_STRING, .milestone = 2},
};
GROUP(pins_group, "pins", pin_rows, 0);

/* ---------------------------------------------------------------- accounts */

static const struct setting key_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_key, name)},
        {.name = "sha256", .type = SETTING_SHA256, .required = true, KEPT(config_key, sha256)},
        {.name = "expires", .type = SETTING_EXPIRY, KEPT(config_key, expires)},
};
GROUP(keys_group, "keys", key_rows, sizeof(struct config_key));

static const struct setting certificate_rows[] = {
        {.name = "subject",
         .type = SETTING_STRING,
         .required = true,
         .check = value_filled,
         KEPT(config_certificate, subject)},
        {.name = "issuer", .type = SETTING_STRING, .check = value_filled, KEPT(config_certificate, issuer)},
};
GROUP(certificates_group, "certificates", certificate_rows, sizeof(struct config_certificate));

static const struct setting budget_rows[] = {
        {.name = "day", .type = SETTING_NUMBER, .milestone = 3, RANGE(0, 1e9)},
        {.name = "month", .type = SETTING_NUMBER, .milestone = 3, RANGE(0, 1e9)},
        {.name = "currency", .type = SETTING_STRING, .milestone = 3, .check = value_currency},
        {.name = "zone", .type = SETTING_ZONE, .milestone = 3, .fallback = "UTC"},
        {.name = "alert", .type = SETTING_NUMBERS, .milestone = 3, RANGE(0, 10)},
        {.name = "hard", .type = SETTING_BOOL, .milestone = 3, .fallback = "true"},
};
GROUP(budget_group, "budget", budget_rows, 0);

static const struct setting cache_rows[] = {
        {.name = "seconds", .type = SETTING_SECONDS, .milestone = 3, RANGE(0, 366 * DAY), .fallback = "0"},
        {.name = "size", .type = SETTING_SIZE, .milestone = 3, RANGE(0, 1e15), .fallback = "200M"},
        {.name = "share", .type = SETTING_BOOL, .milestone = 3, .fallback = "false"},
};
GROUP(cache_group, "cache", cache_rows, 0);

static const struct setting party_rows[] = {
        {.name = "name", .type = SETTING_STRING, .milestone = 3},
        {.name = "address", .type = SETTING_STRING, .milestone = 3},
        {.name = "tax_id", .type = SETTING_STRING, .milestone = 3},
};
GROUP(seller_group, "seller", party_rows, 0);
GROUP(buyer_group, "buyer", party_rows, 0);

static const struct setting account_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_account, name)},
        {.name = "enabled", .type = SETTING_BOOL, .fallback = "true", KEPT(config_account, enabled)},
        {.name = "keys",
         .type = SETTING_LIST,
         .group = &keys_group,
         KEPT(config_account, keys),
         ALSO(config_account, key_count)},
        {.name = "users",
         .type = SETTING_STRINGS,
         .check = value_filled,
         KEPT(config_account, users),
         ALSO(config_account, user_count)},
        {.name = "certificates",
         .type = SETTING_LIST,
         .group = &certificates_group,
         KEPT(config_account, certificates),
         ALSO(config_account, certificate_count)},
        {.name = "models",
         .type = SETTING_STRINGS,
         KEPT(config_account, models),
         ALSO(config_account, model_count)},
        {.name = "direct", .type = SETTING_BOOL, .fallback = "false", KEPT(config_account, direct)},
        {.name = "allow",
         .type = SETTING_STRINGS,
         .words = permissions,
         KEPT(config_account, allow),
         ALSO(config_account, allow_count)},
        {.name = "per",
         .type = SETTING_WORD,
         .milestone = 2,
         .only = "account",
         .words = pers,
         .fallback = "account",
         KEPT(config_account, per)},
        {.name = "limits",
         .type = SETTING_GROUP,
         .milestone = 2,
         .group = &account_limits_group,
         KEPT(config_account, limits)},
        {.name = "budget", .type = SETTING_GROUP, .milestone = 3, .group = &budget_group},
        {.name = "record", .type = SETTING_STRING, .milestone = 3, .only = "none", .fallback = "none"},
        {.name = "cache", .type = SETTING_GROUP, .milestone = 3, .group = &cache_group},
        {.name = "buyer", .type = SETTING_GROUP, .milestone = 3, .group = &buyer_group},
};
GROUP(accounts_group, "accounts", account_rows, sizeof(struct config_account));

/* ---------------------------------------------------------------- money */

static const struct setting rate_rows[] = {
        {.name = "currency",
         .type = SETTING_STRING,
         .milestone = 3,
         .required = true,
         .check = value_currency},
        {.name = "per_usd", .type = SETTING_NUMBER, .milestone = 3, .required = true, RANGE(1e-6, 1e9)},
        {.name = "from", .type = SETTING_DATE, .milestone = 3},
};
GROUP(rates_group, "rates", rate_rows, 0);

static const struct setting alert_rows[] = {
        {.name = "command", .type = SETTING_STRING, .milestone = 3, .check = value_absolute, .fallback = ""},
        {.name = "webhook", .type = SETTING_STRING, .milestone = 3, .fallback = ""},
        {.name = "secret", .type = SETTING_SECRET, .milestone = 3, .fallback = ""},
};
GROUP(alerts_group, "alerts", alert_rows, 0);

static const struct setting price_rows[] = {
        {.name = "model", .type = SETTING_STRING, .milestone = 3, .required = true, .check = value_id},
        {.name = "input", .type = SETTING_NUMBER, .milestone = 3, RANGE(0, 1e6)},
        {.name = "cached", .type = SETTING_NUMBER, .milestone = 3, RANGE(0, 1e6)},
        {.name = "output", .type = SETTING_NUMBER, .milestone = 3, RANGE(0, 1e6)},
};
GROUP(prices_group, "prices", price_rows, 0);

/* ---------------------------------------------------------------- catalogue */

extern const struct setting_group setting_caps; /* settings_caps.c */

static const struct setting guard_rows[] = {
        {.name = "dialect",
         .type = SETTING_CHOICE,
         .required = true,
         .words = client_dialects,
         KEPT(config_guard, dialect)},
        {.name = "field",
         .type = SETTING_STRING,
         .required = true,
         .check = value_filled,
         KEPT(config_guard, field)},
        {.name = "needs",
         .type = SETTING_CHOICE,
         .required = true,
         .words = permissions,
         KEPT(config_guard, needs)},
        {.name = "refuse", .type = SETTING_BOOL, .fallback = "false", KEPT(config_guard, refuse)},
};
GROUP(guards_group, "guards", guard_rows, sizeof(struct config_guard));

#define CATALOGUE_ROWS                                                                                       \
        {.name = "catalogue",                                                                                \
         .type = SETTING_LIST,                                                                               \
         .group = &setting_caps,                                                                             \
         KEPT(config, catalogue),                                                                            \
         ALSO(config, catalogue_count)},                                                                     \
        {                                                                                                    \
                .name = "guards", .type = SETTING_LIST, .group = &guards_group, KEPT(config, guards),        \
                ALSO(config, guard_count)                                                                    \
        }

static const struct setting catalogue_rows[] = {CATALOGUE_ROWS};
const struct setting_group setting_catalogue = {
        .title = "catalogue.conf", .settings = catalogue_rows, .count = COUNT(catalogue_rows)};

/* ---------------------------------------------------------------- the main file */

static const struct setting root_rows[] = {
        {.name = "version", .type = SETTING_INT, RANGE(1, 1), .fallback = "1"},
        {.name = "currency",
         .type = SETTING_STRING,
         .check = value_currency,
         .fallback = "USD",
         KEPT(config, currency)},
        {.name = "state",
         .type = SETTING_STRING,
         .milestone = 2,
         .check = value_absolute,
         .fallback = "/var/lib/tollgate/state",
         KEPT(config, state)},
        {.name = "ledger",
         .type = SETTING_STRING,
         .milestone = 3,
         .check = value_absolute,
         .fallback = "/var/lib/tollgate/usage.db",
         KEPT(config, ledger)},
        {.name = "workers", .type = SETTING_INT, RANGE(3, 4096), .fallback = "64", KEPT(config, workers)},
        {.name = "max_body",
         .type = SETTING_SIZE,
         RANGE(1024, 1 << 30),
         .fallback = "32M",
         KEPT(config, max_body)},
        {.name = "max_memory",
         .type = SETTING_SIZE,
         RANGE(1 << 20, 1e13),
         .fallback = "512M",
         KEPT(config, max_memory)},
        {.name = "keepalive",
         .type = SETTING_SECONDS,
         RANGE(0, 3600),
         .fallback = "15.0",
         KEPT(config, keepalive_ms)},
        {.name = "log", .type = SETTING_GROUP, .group = &log_group, SAME},
        {.name = "mount", .type = SETTING_STRING, .check = value_mount, KEPT(config, mount)},
        {.name = "trust_web_server",
         .type = SETTING_BOOL,
         .fallback = "false",
         KEPT(config, trust_web_server)},
        {.name = "anonymous", .type = SETTING_STRING, KEPT(config, anonymous)},
        {.name = "defaults", .type = SETTING_GROUP, .group = &defaults_group, SAME},
        {.name = "cors",
         .type = SETTING_STRINGS,
         .check = value_origin,
         KEPT(config, cors),
         ALSO(config, cors_count)},
        {.name = "operators", .type = SETTING_GROUP, .group = &operators_group, SAME},
        {.name = "fetch", .type = SETTING_GROUP, .group = &fetch_group, SAME},
        {.name = "providers",
         .type = SETTING_LIST,
         .group = &providers_group,
         KEPT(config, providers),
         ALSO(config, provider_count)},
        {.name = "models",
         .type = SETTING_LIST,
         .group = &models_group,
         KEPT(config, models),
         ALSO(config, model_count)},
        {.name = "pins", .type = SETTING_LIST, .milestone = 2, .group = &pins_group},
        {.name = "accounts",
         .type = SETTING_LIST,
         .group = &accounts_group,
         KEPT(config, accounts),
         ALSO(config, account_count)},
        {.name = "retry_share",
         .type = SETTING_NUMBER,
         .milestone = 2,
         RANGE(0, 1),
         .fallback = "0.2",
         KEPT(config, retry_share)},
        {.name = "rates", .type = SETTING_LIST, .milestone = 3, .group = &rates_group},
        {.name = "alerts", .type = SETTING_GROUP, .milestone = 3, .group = &alerts_group},
        {.name = "keep_days",
         .type = SETTING_INT,
         .milestone = 3,
         RANGE(1, 36500),
         .fallback = "400",
         KEPT(config, keep_days)},
        {.name = "seller", .type = SETTING_GROUP, .milestone = 3, .group = &seller_group},
        CATALOGUE_ROWS,
        {.name = "prices", .type = SETTING_LIST, .milestone = 3, .group = &prices_group},
};
const struct setting_group setting_root = {.title = "main", .settings = root_rows, .count = COUNT(root_rows)};

const struct setting *setting_find(const struct setting_group *g, const char *name)
{
        for (size_t i = 0; i < g->count; i++) {
                if (strcmp(g->settings[i].name, name) == 0)
                        return &g->settings[i];
        }
        return NULL;
}
