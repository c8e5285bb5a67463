/*
 * What an upstream model can do (contract §4, "The catalogue"): rows of config->catalogue that match the
 * model id, merged field by field. A row matches its own id, that id followed by a date (-2026-04-23,
 * -20260423, @20260423), or as a glob; the longest literal part wins, the operator's own rows win over
 * shipped ones at the same length. A pure function.
 */
#ifndef TOLLGATE_POLICY_CATALOGUE_H
#define TOLLGATE_POLICY_CATALOGUE_H

#include "config/config.h"

/* Every matching row counts, less specific ones first, so that "claude-*" may hold what all have in common.
 */
void catalogue_caps(const struct config *c, const char *model, struct model_caps *out);
/* As above, with what the target's own `capabilities` say on top. */
void catalogue_target_caps(const struct config *c, const struct config_target *t, struct model_caps *out);
bool catalogue_matches(const char *pattern, const char *model, size_t *literal);

#endif
