/* How the rows of the table are written; for the files that hold it. */
#ifndef TOLLGATE_CONFIG_SETTING_ROWS_H
#define TOLLGATE_CONFIG_SETTING_ROWS_H

#include "config/setting.h"

#define COUNT(table)       (sizeof(table) / sizeof *(table))
#define KEPT(type, member) .place = 1 + offsetof(struct type, member)
#define ALSO(type, member) .place2 = 1 + offsetof(struct type, member)
#define SAME               .place = 1 /* a group whose members are kept in the struct of its parent */
#define RANGE(low, high)   .min = (low), .max = (high)
#define GROUP(var, title_, table, size_)                                                                     \
        const struct setting_group var = {                                                                   \
                .title = (title_), .settings = (table), .count = COUNT(table), .size = (size_)}

enum { SECONDS_OF_DAY = 86400 };

/* Limits of a provider or a target; those of an account have a queue besides. */
#define LIMITS_ROWS                                                                                          \
        {.name = "rpm", .type = SETTING_INT, RANGE(0, 1e12), KEPT(config_limits, rpm)},                      \
                {.name = "tpm", .type = SETTING_INT, RANGE(0, 1e12), KEPT(config_limits, tpm)},              \
                {.name = "rpd", .type = SETTING_INT, RANGE(0, 1e12), KEPT(config_limits, rpd)},              \
                {.name = "tpd", .type = SETTING_INT, RANGE(0, 1e12), KEPT(config_limits, tpd)},              \
                {.name = "concurrent",                                                                       \
                 .type = SETTING_INT,                                                                        \
                 RANGE(0, 1000000),                                                                          \
                 KEPT(config_limits, concurrent)},                                                           \
        {                                                                                                    \
                .name = "zone", .type = SETTING_ZONE, .fallback = "UTC", KEPT(config_limits, zone)           \
        }

/* Groups of the main file that have files of their own. */
extern const struct setting_group setting_providers, setting_models, setting_pins; /* settings_models.c */
extern const struct setting_group setting_accounts, setting_seller;                /* settings_accounts.c */
extern const struct setting_group setting_caps;                                    /* settings_caps.c */
/* The words of an account's `allow`. */
extern const struct setting_word setting_permissions[];

#endif
