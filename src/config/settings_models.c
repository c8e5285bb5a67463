/* Settings: providers, models, versions, targets, pins. */
#include "config/setting_rows.h"

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
        {"failover", STRATEGY_FAILOVER},
        {"weighted", STRATEGY_WEIGHTED},
        {"round-robin", STRATEGY_ROUND_ROBIN},
        {"latency", STRATEGY_LATENCY},
        {"cost", STRATEGY_COST},
        {0},
};
static const struct setting_word rescues[] = {
        {"error", RESCUE_ERROR},
        {"hold", RESCUE_HOLD},
        {"match", RESCUE_MATCH},
        {"continue", RESCUE_CONTINUE},
        {0},
};
static const struct setting limits_rows[] = {LIMITS_ROWS};
static GROUP(limits_group, "limits", limits_rows, 0);

/* ---------------------------------------------------------------- providers */

static const struct setting timeouts_rows[] = {
        {.name = "connect",
         .type = SETTING_SECONDS,
         RANGE(0.01, 600),
         .fallback = "5.0",
         KEPT(config_timeouts, connect_ms)},
        {.name = "first_token",
         .type = SETTING_SECONDS,
         RANGE(0.01, SECONDS_OF_DAY),
         .fallback = "60.0",
         KEPT(config_timeouts, first_token_ms)},
        {.name = "idle",
         .type = SETTING_SECONDS,
         RANGE(0.01, SECONDS_OF_DAY),
         .fallback = "60.0",
         KEPT(config_timeouts, idle_ms)},
        {.name = "attempt",
         .type = SETTING_SECONDS,
         RANGE(0.01, SECONDS_OF_DAY),
         .fallback = "600.0",
         KEPT(config_timeouts, attempt_ms)},
};
static GROUP(timeouts_group, "timeouts", timeouts_rows, 0);

static const struct setting header_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_header_name,
         KEPT(config_header, name)},
        {.name = "value", .type = SETTING_SECRET, .required = true, KEPT(config_header, value)},
};
static GROUP(headers_group, "headers", header_rows, sizeof(struct config_header));

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
        {.name = "limits", .type = SETTING_GROUP, .group = &limits_group, KEPT(config_provider, limits)},
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
GROUP(setting_providers, "providers", provider_rows, sizeof(struct config_provider));

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
         RANGE(0, 1000000),
         .fallback = "1",
         KEPT(config_target, weight)},
        {.name = "limits", .type = SETTING_GROUP, .group = &limits_group, KEPT(config_target, limits)},
        {.name = "capabilities",
         .type = SETTING_WORDS,
         .words = capabilities,
         KEPT(config_target, capabilities),
         ALSO(config_target, capabilities_given)},
};
static GROUP(targets_group, "targets", target_rows, sizeof(struct config_target));

static const struct setting retry_rows[] = {
        {.name = "attempts",
         .type = SETTING_INT,
         RANGE(1, 10),
         .fallback = "2",
         KEPT(config_version, retry.attempts)},
        {.name = "backoff",
         .type = SETTING_SECONDS,
         RANGE(0, 600),
         .fallback = "0.5",
         KEPT(config_version, retry.backoff_ms)},
        {.name = "max_backoff",
         .type = SETTING_SECONDS,
         RANGE(0, 3600),
         .fallback = "8.0",
         KEPT(config_version, retry.max_backoff_ms)},
};
static GROUP(retry_group, "retry", retry_rows, 0);

static const struct setting breaker_rows[] = {
        {.name = "share",
         .type = SETTING_NUMBER,
         RANGE(0, 1),
         .fallback = "0.5",
         KEPT(config_version, breaker.share)},
        {.name = "minimum",
         .type = SETTING_INT,
         RANGE(1, 1000000000),
         .fallback = "5",
         KEPT(config_version, breaker.minimum)},
        {.name = "window",
         .type = SETTING_SECONDS,
         RANGE(1, SECONDS_OF_DAY),
         .fallback = "30.0",
         KEPT(config_version, breaker.window_ms)},
        {.name = "cooldown",
         .type = SETTING_SECONDS,
         RANGE(0.1, SECONDS_OF_DAY),
         .fallback = "15.0",
         KEPT(config_version, breaker.cooldown_ms)},
};
static GROUP(breaker_group, "breaker", breaker_rows, 0);

static const struct setting version_rows[] = {
        {.name = "name",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_version, name)},
        {.name = "strategy",
         .type = SETTING_WORD,
         .words = strategies,
         .fallback = "failover",
         KEPT(config_version, strategy)},
        {.name = "total",
         .type = SETTING_SECONDS,
         RANGE(0.1, SECONDS_OF_DAY),
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
        {.name = "retry", .type = SETTING_GROUP, .group = &retry_group, SAME},
        {.name = "breaker", .type = SETTING_GROUP, .group = &breaker_group, SAME},
        {.name = "rescue",
         .type = SETTING_WORD,
         .words = rescues,
         .fallback = "error",
         KEPT(config_version, rescue)},
        {.name = "hedge", .type = SETTING_HEDGE, .fallback = "off", KEPT(config_version, hedge)},
        {.name = "reroute_refusals",
         .type = SETTING_BOOL,
         .fallback = "false",
         KEPT(config_version, reroute_refusals)},
        {.name = "auto_cache", .type = SETTING_BOOL, .fallback = "false", KEPT(config_version, auto_cache)},
        {.name = "deprecated", .type = SETTING_DATE, KEPT(config_version, deprecated)},
        {.name = "sunset", .type = SETTING_DATE, KEPT(config_version, sunset)},
        {.name = "after_sunset", .type = SETTING_STRING}, /* resolved by check_models.c */
};
static GROUP(versions_group, "versions", version_rows, sizeof(struct config_version));

static const struct setting canary_rows[] = {
        {.name = "version", .type = SETTING_STRING, .required = true}, /* resolved by check_models.c */
        {.name = "percent",
         .type = SETTING_INT,
         .required = true,
         RANGE(0, 100),
         KEPT(config_model, canary_percent)},
};
static GROUP(canary_group, "canary", canary_rows, 0);

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
        {.name = "canary", .type = SETTING_GROUP, .group = &canary_group, SAME},
};
GROUP(setting_models, "models", model_rows, sizeof(struct config_model));

static const struct setting pin_rows[] = {
        {.name = "model",
         .type = SETTING_STRING,
         .required = true,
         .check = value_name,
         KEPT(config_pin, model)},
        {.name = "use", .type = SETTING_STRING, .required = true, .check = value_name, KEPT(config_pin, use)},
        {.name = "by", .type = SETTING_STRING, .check = value_line, KEPT(config_pin, by)},
        {.name = "at", .type = SETTING_TIME, KEPT(config_pin, at)},
        {.name = "why", .type = SETTING_STRING, .check = value_line, KEPT(config_pin, why)},
};
GROUP(setting_pins, "pins", pin_rows, sizeof(struct config_pin));
