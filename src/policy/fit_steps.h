/* Private to policy/fit*.c: the steps by which a request is fitted to a target, in the order in which they
 * run. */
#ifndef TOLLGATE_POLICY_FIT_STEPS_H
#define TOLLGATE_POLICY_FIT_STEPS_H

#include "policy/fit.h"

struct fitting {
        struct arena *arena;
        const struct config *config;
        const struct config_target *target;
        const struct config_version *version; /* or NULL */
        const struct config_account *account; /* or NULL: everything is allowed */
        struct model_caps caps;
        enum dialect_id from, to;
        struct fit *fit;
        struct chat_request *request; /* the copy in `fit` */
};

/* Each returns false once the target is unfit; then `fit` says why. */
bool fit_guards(struct fitting *f);    /* fit_guard.c */
bool fit_forced(struct fitting *f);    /* fit_set.c: `set` and `default` */
bool fit_contents(struct fitting *f);  /* fit_content.c: blocks and tools */
void fit_marks(struct fitting *f);     /* fit_marks.c: marks for prompt caches; after the contents */
bool fit_needs(struct fitting *f);     /* fit_needs.c: what changes the answer */
void fit_reasoning(struct fitting *f); /* fit_reasoning.c: efforts and budgets; before sampling */
void fit_hints(struct fitting *f);     /* fit_hints.c: what may be left out */

/* ---- shared ---- */
bool fit_refuse(struct fitting *f, enum err_cause cause, const char *field, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* Notes that a field was changed (or left out); a second note of the same field replaces the first, but never
 * makes what is told untold. simple: fit_patch_edits() can say it; else the client's own bytes can't be used.
 */
void fit_note(struct fitting *f, enum chat_field field, bool removed, bool simple);
void fit_note_forced(struct fitting *f, enum chat_field field, bool simple); /* by set or default: not told */
bool fit_is_forced(const struct fitting *f, enum chat_field field);          /* by set or default */
void fit_note_extra(struct fitting *f, const char *name);                    /* a member left out, by name */
/* What the target can do; `unset` where the catalogue is silent. */
bool fit_can(enum tri says, bool unset);
const char *fit_field_name(const struct fitting *f, enum chat_field field);
void fit_clear_field(struct chat_request *r, enum chat_field field); /* as if the caller had not sent it */
bool fit_has_field(const struct chat_request *r, enum chat_field field);
/* All spellings of a dotted member in the body of a dialect, NULL-terminated. */
const char *const *fit_spellings(struct arena *a, enum dialect_id dialect, const char *name);

#endif
