/*
 * What a target cannot do (contract §4): a hint is fitted or left out and told as adjusted; anything that
 * changes what the caller gets makes the target unfit. Also `set` and `default` of a version, and the guards
 * of SECURITY item 6. Pure functions over structs; the request is never changed, a shallow copy is.
 */
#ifndef TOLLGATE_POLICY_FIT_H
#define TOLLGATE_POLICY_FIT_H

#include "config/config.h"
#include "dialect/chat.h"
#include "dialect/dialect.h"
#include "dialect/patch.h"

enum { FIT_CHANGES_MAX = 32 };

struct fit_change {
        enum chat_field field; /* CHAT_FIELDS: an extra member, by name */
        const char *shown;     /* in the client's words, for x-tollgate-adjusted: "temperature" */
        bool removed;          /* left out; else its value was changed in `request` */
        bool forced;           /* by `set` or `default`: not told as adjusted */
};

struct fit {
        bool fits;
        const char *unfit_field;     /* in the client's words, with the path where there is one:
                                        "messages[0].content[1]" */
        const char *unfit_why;       /* a sentence: "claude-opus-5-5 does not take a forced tool_choice" */
        enum err_cause unfit_cause;  /* ERR_UNSUPPORTED, or ERR_FORBIDDEN for guards */
        struct chat_request request; /* the copy to encode */
        struct fit_change changes[FIT_CHANGES_MAX];
        size_t change_count;
        const char *max_tokens_field; /* openai: the name that the model wants, or NULL */
        /* It holds what is guarded, since its account may use it (files, betas, hosted tools): a 4xx may be
         * its own doing, whatever it says, and takes no target out of service (SECURITY item 8). */
        bool reaches_account;
        bool patchable; /* the client's own bytes can be used: fit_patch_edits() says with which edits */
};

/* allow: the account's permissions (SECURITY item 6). version gives `set` and `default`; NULL for none. */
void fit_chat(struct arena *a, const struct config *c, const struct chat_request *r,
              const struct config_target *t, const struct config_version *version,
              const struct config_account *account, struct fit *out);

struct embed_fit {
        bool fits;
        const char *unfit_field, *unfit_why;
        struct embed_request request;
        const char *adjusted[8];
        size_t adjusted_count;
        int64_t batch_inputs; /* inputs of one upstream call; 0: all */
};
void fit_embed(struct arena *a, const struct config *c, const struct embed_request *r,
               const struct config_target *t, const struct config_version *version, struct embed_fit *out);

/* Edits that make the client's own body fit for the target: model, forced and removed fields, usage of
 * streams. */
size_t fit_patch_edits(struct arena *a, const struct fit *f, const struct config_target *t,
                       const struct config_version *version, struct patch_edit *edits, size_t max);

#endif
