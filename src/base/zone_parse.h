/* Inside of base/zone: the reader of files alone, for tests with hostile bytes. */
#ifndef TOLLGATE_BASE_ZONE_PARSE_H
#define TOLLGATE_BASE_ZONE_PARSE_H

#include <stddef.h>
#include "base/zone.h"

/* NULL: it is no TZif file, or one that contradicts itself. */
struct zone *zone_parse(const void *bytes, size_t len);

#endif
