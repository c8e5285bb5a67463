/* A provider is a row of configuration: dialect, base URL, way to sign. Makes a whole HTTP request of a
 * dialect's. */
#ifndef TOLLGATE_UPSTREAM_PROVIDER_H
#define TOLLGATE_UPSTREAM_PROVIDER_H

#include "config/config.h"
#include "dialect/dialect.h"
#include "upstream/transport.h"

/* URL, credentials (openai: Authorization Bearer; anthropic: x-api-key; gemini: x-goog-api-key), the
 * provider's own headers (which win), user-agent, and trace (traceparent; NULL: none). The body stays the
 * wire request's. */
void provider_prepare(struct arena *a, const struct config_provider *p, const struct dialect *d,
                      const struct wire_request *wire, const char *trace, struct transfer_request *out);

#endif
