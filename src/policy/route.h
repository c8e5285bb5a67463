/*
 * From the name a caller asks for to targets: "assistant", "assistant@2026-08", "provider/model" (accounts
 * with `direct`), or nothing (the default of the task). Pure.
 *
 * Which version of a model that is: the one asked for by name; else the canary for its share of the callers;
 * else the pinned one, else that of `use`. From its `sunset` on a version gives way to its `after_sunset`,
 * or is not found.
 */
#ifndef TOLLGATE_POLICY_ROUTE_H
#define TOLLGATE_POLICY_ROUTE_H

#include "base/err.h"
#include "config/config.h"

struct route_caller {
        const struct config_account *account; /* NULL: everything is allowed (the command line), no canary */
        const char
                *identity; /* who it is within the account: a user, a key, an address; NULL: nobody knows */
};

enum route_why {
        ROUTE_USE,          /* the setting */
        ROUTE_PIN,          /* `tollgate pin` */
        ROUTE_CANARY,       /* the caller is of its share */
        ROUTE_ASKED,        /* model@version */
        ROUTE_AFTER_SUNSET, /* the version that one of these led to is gone */
        ROUTE_DIRECT
};

struct route {
        const char *model_name;               /* as told in x-tollgate-model: without @version */
        const struct config_model *model;     /* NULL for direct */
        const struct config_version *version; /* never NULL; a made-up one for direct */
        struct config_version direct_version; /* its place */
        struct config_target direct_target;
        enum route_why why;
        const struct config_version *meant; /* before any sunset; what its dates are goes into the headers */
        int64_t deprecated_unix, sunset_unix; /* of `meant`; 0: none */
};

/* task: one enum model_task bit. now: unix seconds. False: err (ERR_MODEL_NOT_FOUND, ERR_FORBIDDEN,
 * ERR_BAD_REQUEST when no model is named and there is no default). */
bool route_resolve(const struct config *c, const struct route_caller *caller, const char *name,
                   enum model_task task, int64_t now, struct arena *a, struct route *out, struct err *err);
/* May the account use this model (by its configured name)? */
bool route_allowed(const struct config_account *account, const char *model_name);
const char *route_why_name(enum route_why why); /* "use", "pin", … */

/*
 * Is this caller one of the model's canary? FNV-1a of 64 bits over the model's name, the account's and the
 * identity, each with a NUL behind it, then the finaliser of MurmurHash3 (fmix64); modulo 10000 below percent
 * times 100. So all processes agree, a caller stays where it is, and a larger percentage only adds callers.
 * The model's name makes canaries of several models hit different callers.
 */
bool route_in_canary(const struct config_model *m, const struct route_caller *caller);

/* Values of headers; out holds ROUTE_DATE_MAX. */
enum { ROUTE_DATE_MAX = 40 };
void route_deprecation(int64_t unix_s, char out[ROUTE_DATE_MAX]); /* RFC 9745: "@1793491200" */
void route_sunset(int64_t unix_s, char out[ROUTE_DATE_MAX]); /* RFC 8594: "Thu, 31 Dec 2026 00:00:00 GMT" */

#endif
