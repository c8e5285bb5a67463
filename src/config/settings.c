/* Settings: what stands at the top of the file, and its small groups. */
#include "config/setting_rows.h"

#include <string.h>

static const struct setting_word levels[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warn", LOG_LEVEL_WARN},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
        {0},
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
static GROUP(log_group, "log", log_rows, 0);

static const struct setting defaults_rows[] = {
        {.name = "chat", .type = SETTING_STRING, KEPT(config, defaults.chat)},
        {.name = "vision", .type = SETTING_STRING, KEPT(config, defaults.vision)},
        {.name = "embed", .type = SETTING_STRING, KEPT(config, defaults.embed)},
};
static GROUP(defaults_group, "defaults", defaults_rows, 0);

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
static GROUP(operators_group, "operators", operators_rows, 0);

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
static GROUP(fetch_group, "fetch", fetch_rows, 0);

/* ---------------------------------------------------------------- money */

static const struct setting rate_rows[] = {
        {.name = "currency",
         .type = SETTING_STRING,
         .required = true,
         .check = value_currency,
         KEPT(config_rate, currency)},
        {.name = "per_usd",
         .type = SETTING_PRICE,
         .required = true,
         RANGE(1e-6, 1e9),
         KEPT(config_rate, per_usd_micro)},
        {.name = "from", .type = SETTING_DATE, KEPT(config_rate, from)},
};
static GROUP(rates_group, "rates", rate_rows, sizeof(struct config_rate));

static const struct setting alert_rows[] = {
        {.name = "command",
         .type = SETTING_STRING,
         .check = value_absolute,
         .fallback = "",
         KEPT(config, alerts.command)},
        {.name = "webhook", .type = SETTING_STRING, .fallback = "", KEPT(config, alerts.webhook)},
        {.name = "secret", .type = SETTING_SECRET, .fallback = "", KEPT(config, alerts.secret)},
};
static GROUP(alerts_group, "alerts", alert_rows, 0);

/* Per million tokens; the last four are factors. */
#define PRICE(setting, member)                                                                               \
        {                                                                                                    \
                .name = (setting), .type = SETTING_PRICE, RANGE(0, 1e6), KEPT(config_price, member)          \
        }
static const struct setting price_rows[] = {
        {.name = "model",
         .type = SETTING_STRING,
         .required = true,
         .check = value_id,
         KEPT(config_price, pattern)},
        {.name = "provider", .type = SETTING_STRING, .check = value_name, KEPT(config_price, provider)},
        {.name = "from", .type = SETTING_DATE, KEPT(config_price, from)},
        {.name = "above", .type = SETTING_INT, RANGE(0, 1e12), KEPT(config_price, above)},
        PRICE("input", input_micro),
        PRICE("cached", cached_micro),
        PRICE("cache_write", cache_write_micro),
        PRICE("cache_write_1h", cache_write_1h_micro),
        PRICE("output", output_micro),
        PRICE("audio_input", audio_input_micro),
        PRICE("audio_output", audio_output_micro),
        PRICE("image_input", image_input_micro),
        PRICE("priority", priority_micro),
        PRICE("flex", flex_micro),
        PRICE("batch", batch_micro),
        PRICE("fast", fast_micro),
};
static GROUP(prices_group, "prices", price_rows, sizeof(struct config_price));

#define PRICES_ROW                                                                                           \
        {                                                                                                    \
                .name = "prices", .type = SETTING_LIST, .group = &prices_group, KEPT(config, prices),        \
                ALSO(config, price_count)                                                                    \
        }
static const struct setting shipped_price_rows[] = {PRICES_ROW};
const struct setting_group setting_prices = {
        .title = "prices.conf", .settings = shipped_price_rows, .count = COUNT(shipped_price_rows)};

/* ---------------------------------------------------------------- catalogue */

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
         .words = setting_permissions,
         KEPT(config_guard, needs)},
        {.name = "refuse", .type = SETTING_BOOL, .fallback = "false", KEPT(config_guard, refuse)},
};
static GROUP(guards_group, "guards", guard_rows, sizeof(struct config_guard));

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
         .check = value_absolute,
         .fallback = "/var/lib/tollgate/state",
         KEPT(config, state)},
        {.name = "ledger",
         .type = SETTING_STRING,
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
         .group = &setting_providers,
         KEPT(config, providers),
         ALSO(config, provider_count)},
        {.name = "models",
         .type = SETTING_LIST,
         .group = &setting_models,
         KEPT(config, models),
         ALSO(config, model_count)},
        {.name = "pins",
         .type = SETTING_LIST,
         .group = &setting_pins,
         KEPT(config, pins),
         ALSO(config, pin_count)},
        {.name = "accounts",
         .type = SETTING_LIST,
         .group = &setting_accounts,
         KEPT(config, accounts),
         ALSO(config, account_count)},
        {.name = "retry_share",
         .type = SETTING_NUMBER,
         RANGE(0, 1),
         .fallback = "0.2",
         KEPT(config, retry_share)},
        {.name = "rates",
         .type = SETTING_LIST,
         .group = &rates_group,
         KEPT(config, rates),
         ALSO(config, rate_count)},
        {.name = "alerts", .type = SETTING_GROUP, .group = &alerts_group, SAME},
        {.name = "keep_days",
         .type = SETTING_INT,
         RANGE(1, 36500),
         .fallback = "400",
         KEPT(config, keep_days)},
        {.name = "seller", .type = SETTING_GROUP, .group = &setting_seller, KEPT(config, seller)},
        CATALOGUE_ROWS,
        PRICES_ROW,
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
