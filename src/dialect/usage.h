/* What the dialects' usages have in common: words for service tiers, and costs that providers tell. */
#ifndef TOLLGATE_DIALECT_USAGE_H
#define TOLLGATE_DIALECT_USAGE_H

#include <json-c/json.h>
#include "dialect/chat.h"

/* "priority", "flex", "batch", "ON_DEMAND_FLEX", …, in any case; all others, and NULL, are TIER_STANDARD. */
enum chat_tier usage_tier(const char *word);
/* Where a provider tells what an answer cost: OpenRouter's and others' `cost` (a number, or an object with
 * `total_cost`), xAI's `cost_in_usd_ticks` (1e-10 USD), DeepInfra's `estimated_cost`. In 1e-12 of its
 * currency; 0: not told. */
int64_t usage_cost(json_object *usage);

#endif
