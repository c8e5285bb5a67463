/*
 * From the name a caller asks for to targets: "assistant", "assistant@2026-08", "provider/model" (accounts
 * with `direct`), or nothing (the default of the task). Pure.
 */
#ifndef TOLLGATE_POLICY_ROUTE_H
#define TOLLGATE_POLICY_ROUTE_H

#include "base/err.h"
#include "config/config.h"

struct route {
        const char *model_name;               /* as told in x-tollgate-model: without @version */
        const struct config_model *model;     /* NULL for direct */
        const struct config_version *version; /* never NULL; a made-up one for direct */
        struct config_version direct_version; /* its place */
        struct config_target direct_target;
};

/* task: one enum model_task bit. account NULL: everything is allowed (the command line). False: err
 * (ERR_MODEL_NOT_FOUND, ERR_FORBIDDEN, ERR_BAD_REQUEST when no model is named and there is no default). */
bool route_resolve(const struct config *c, const struct config_account *account, const char *name,
                   enum model_task task, struct arena *a, struct route *out, struct err *err);
/* May the account use this model (by its configured name)? */
bool route_allowed(const struct config_account *account, const char *model_name);

#endif
