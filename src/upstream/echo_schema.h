/* A JSON value that a JSON Schema allows, as plain as can be: for the built-in provider's answers and tool
 * calls. */
#ifndef TOLLGATE_UPSTREAM_ECHO_SCHEMA_H
#define TOLLGATE_UPSTREAM_ECHO_SCHEMA_H

#include <json-c/json.h>
#include "base/arena.h"

/* Each required member, down to a bounded depth and size; `text` fills strings that nothing else tells about.
 * Knows type, properties, required, items, enum, const, default, bounds, $ref within the schema, anyOf,
 * oneOf, allOf. schema may be NULL. Released with the arena. Never NULL. */
json_object *echo_schema_value(struct arena *a, json_object *schema, const char *text);

#endif
