/*
 * The endpoints (contract §2) as a table. What guards them stands in columns that gateway.c looks at before
 * any handler runs, so that no handler can forget one.
 */
#ifndef TOLLGATE_GATEWAY_ENDPOINTS_H
#define TOLLGATE_GATEWAY_ENDPOINTS_H

#include "dialect/dialect.h"

struct exchange;

enum endpoint_access {
        ACCESS_ACCOUNT,  /* needs an account, and the guard against foreign pages */
        ACCESS_OPERATOR, /* needs an operator (gateway/operator.h), and that guard */
        ACCESS_OPEN,     /* for everybody */
};

enum endpoint_body { BODY_NONE, BODY_JSON, BODY_ANY };

struct endpoint {
        const char *method;  /* GET stands for HEAD too */
        const char *pattern; /* "{}" stands for one or more bytes */
        enum dialect_id dialect;
        bool by_header; /* the dialect is what the headers tell of the client (struct endpoint_signs) */
        bool (*handle)(struct exchange *x, struct err *err);
        enum endpoint_access access;
        enum endpoint_body body;
        bool key_in_query; /* ?key= is an API key here */
        bool holds_worker; /* a model request: may not take one of the last workers */
        enum model_task task;
        bool stream, batch; /* gemini: said by the path */
};

struct endpoint_match {
        const struct endpoint *endpoint;
        const char *name; /* what "{}" stood for, or NULL */
};

/* path: below the mount. True: found. False: err is ERR_NOT_FOUND, or ERR_METHOD with `allow`. */
bool endpoint_find(struct arena *a, const char *method, const char *path, struct endpoint_match *out,
                   struct err *err);
/* Does any endpoint have this path, whatever the method? */
bool endpoint_known(const char *path);
/* "GET, HEAD, OPTIONS"; NULL: no such path. */
const char *endpoint_allow(struct arena *a, const char *path);
/* Whose SDK asks, by its headers: anthropic-version; x-goog-api-key. */
struct endpoint_signs {
        bool anthropic, gemini;
};

/* The dialect that speaks at a path, also at one that nothing has: errors are told in it. Never NULL. */
const struct dialect *endpoint_dialect(const char *path, const struct endpoint *found,
                                       const struct endpoint_signs *signs);

#endif
