/* Settings: accounts, their keys, certificates, limits and money. */
#include "config/setting_rows.h"

static const struct setting_word pers[] = {
        {"account", PER_ACCOUNT}, {"user", PER_USER}, {"address", PER_ADDRESS}, {"key", PER_KEY}, {0},
};
const struct setting_word setting_permissions[] = {
        {"files", 0}, {"tiers", 0}, {"hosted-tools", 0}, {"betas", 0}, {0},
};
static const struct setting account_limits_rows[] = {
        LIMITS_ROWS,
        {.name = "queue", .type = SETTING_SECONDS, RANGE(0, 60), KEPT(config_limits, queue_ms)},
        {.name = "queue_length",
         .type = SETTING_INT,
         RANGE(0, 100000),
         .fallback = "100",
         KEPT(config_limits, queue_length)},
};
static GROUP(account_limits_group, "limits", account_limits_rows, 0);

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
static GROUP(keys_group, "keys", key_rows, sizeof(struct config_key));

static const struct setting certificate_rows[] = {
        {.name = "subject",
         .type = SETTING_STRING,
         .required = true,
         .check = value_filled,
         KEPT(config_certificate, subject)},
        {.name = "issuer", .type = SETTING_STRING, .check = value_filled, KEPT(config_certificate, issuer)},
};
static GROUP(certificates_group, "certificates", certificate_rows, sizeof(struct config_certificate));

static const struct setting_word records[] = {{"none", RECORD_NONE}, {"full", RECORD_FULL}, {0}};

/* Amounts up to a million: sums of 1e-12 of them stay far from the end of 64 bits. */
static const struct setting budget_rows[] = {
        {.name = "day", .type = SETTING_PRICE, RANGE(0, 1e6), KEPT(config_budget, day_micro)},
        {.name = "month", .type = SETTING_PRICE, RANGE(0, 1e6), KEPT(config_budget, month_micro)},
        {.name = "currency",
         .type = SETTING_STRING,
         .check = value_currency,
         KEPT(config_budget, currency)}, /* absent: check_money.c */
        {.name = "zone", .type = SETTING_ZONE, .fallback = "UTC", KEPT(config_budget, zone)},
        {.name = "alert",
         .type = SETTING_SHARES,
         RANGE(0.000001, 10),
         KEPT(config_budget, alert_micro),
         ALSO(config_budget, alert_count)},
        {.name = "hard", .type = SETTING_BOOL, .fallback = "true", KEPT(config_budget, hard)},
};
static GROUP(budget_group, "budget", budget_rows, 0);

static const struct setting cache_rows[] = {
        {.name = "seconds",
         .type = SETTING_SECONDS,
         RANGE(0, 366 * SECONDS_OF_DAY),
         .fallback = "0",
         KEPT(config_cache, keep_ms)},
        {.name = "size", .type = SETTING_SIZE, RANGE(0, 1e15), .fallback = "200M", KEPT(config_cache, size)},
        {.name = "share", .type = SETTING_BOOL, .fallback = "false", KEPT(config_cache, share)},
};
static GROUP(cache_group, "cache", cache_rows, 0);

static const struct setting party_rows[] = {
        {.name = "name", .type = SETTING_STRING, .fallback = "", KEPT(config_party, name)},
        {.name = "address", .type = SETTING_STRING, .fallback = "", KEPT(config_party, address)},
        {.name = "tax_id", .type = SETTING_STRING, .fallback = "", KEPT(config_party, tax_id)},
};
GROUP(setting_seller, "seller", party_rows, 0);
static GROUP(buyer_group, "buyer", party_rows, 0);

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
         .words = setting_permissions,
         KEPT(config_account, allow),
         ALSO(config_account, allow_count)},
        {.name = "per",
         .type = SETTING_WORD,
         .words = pers,
         .fallback = "account",
         KEPT(config_account, per)},
        {.name = "limits",
         .type = SETTING_GROUP,
         .group = &account_limits_group,
         KEPT(config_account, limits)},
        {.name = "budget", .type = SETTING_GROUP, .group = &budget_group, KEPT(config_account, budget)},
        {.name = "record",
         .type = SETTING_WORD,
         .words = records,
         .fallback = "none",
         KEPT(config_account, record)},
        {.name = "cache", .type = SETTING_GROUP, .group = &cache_group, KEPT(config_account, cache)},
        {.name = "buyer", .type = SETTING_GROUP, .group = &buyer_group, KEPT(config_account, buyer)},
};
GROUP(setting_accounts, "accounts", account_rows, sizeof(struct config_account));
