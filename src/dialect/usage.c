#include "dialect/usage.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/money.h"

enum chat_tier usage_tier(const char *word)
{
        static const struct {
                const char *word;
                enum chat_tier tier;
        } rows[] = {
                {"priority", TIER_PRIORITY},
                {"fast", TIER_PRIORITY}, /* openai's other word for it */
                {"flex", TIER_FLEX},
                {"batch", TIER_BATCH},
                {"on_demand_priority", TIER_PRIORITY},
                {"on_demand_flex", TIER_FLEX},
                {"service_tier_priority", TIER_PRIORITY},
                {"service_tier_flex", TIER_FLEX},
        };
        for (size_t i = 0; word && i < sizeof rows / sizeof *rows; i++) {
                if (strcasecmp(rows[i].word, word) == 0)
                        return rows[i].tier;
        }
        return TIER_STANDARD;
}

int64_t usage_cost(json_object *usage)
{
        static const struct {
                const char *group, *name;
                int shift;
        } rows[] = {
                {NULL, "cost", 0},
                {"cost", "total_cost", 0},
                {NULL, "cost_in_usd_ticks", -10},
                {NULL, "estimated_cost", 0},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                json_object *at = rows[i].group ? json_peek_object(usage, rows[i].group) : usage;
                json_object *n = json_peek(at, rows[i].name);
                int64_t pico;
                /* As text: a number stands there as it came, which a double would not be. */
                const char *text =
                        json_object_is_type(n, json_type_string) ? json_object_get_string(n)
                        : json_object_is_type(n, json_type_int) || json_object_is_type(n, json_type_double)
                                ? json_object_to_json_string(n)
                                : NULL;
                if (text && money_number(text, rows[i].shift, &pico) && pico)
                        return pico;
        }
        return 0;
}
