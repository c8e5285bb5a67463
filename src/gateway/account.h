/*
 * Who is asking (contract §3): an API key, else the user whom the web server authenticated, else the client
 * certificate, else the account that `anonymous` names. Pure functions over what was sent and the
 * configuration.
 */
#ifndef TOLLGATE_GATEWAY_ACCOUNT_H
#define TOLLGATE_GATEWAY_ACCOUNT_H

#include "base/err.h"
#include "config/config.h"
#include "dialect/form.h"
#include "gateway/client.h"

struct credentials {
        const char *key;              /* the API key; NULL: none */
        bool key_conflict;            /* two different ones were sent */
        const char *user;             /* REMOTE_USER with AUTH_TYPE; NULL: none */
        bool certificate;             /* SSL_CLIENT_VERIFY is SUCCESS */
        const char *subject, *issuer; /* or NULL */
};

enum identity_kind { IDENTITY_NONE, IDENTITY_KEY, IDENTITY_USER, IDENTITY_CERTIFICATE, IDENTITY_ANONYMOUS };

const char *identity_kind_name(enum identity_kind kind); /* "none", "key", "user", … */

struct identity {
        enum identity_kind kind;
        const struct config_account *account;
        const char *name; /* the key's name, the user, the subject; NULL for anonymous. For the log. */
};

/* query: where `key` is looked for, or NULL. believe_server: REMOTE_USER and SSL_* count. */
void credentials_read(struct credentials *out, struct arena *a, const struct client *c,
                      const struct form_fields *query, bool believe_server);

/* False: err (401, 403). now: unix seconds. */
bool account_find(const struct config *c, const struct credentials *given, int64_t now, struct arena *a,
                  struct identity *out, struct err *err);

/* Distinguished names, compared by their parts whatever their order and spacing: "/O=Example/CN=desk",
 * "CN=desk,O=Example", "CN = desk, O = Example", with the escapes of RFC 2253 (section 3) and RFC 4514. False
 * for what is no name. */
bool subject_equal(struct arena *a, const char *x, const char *y);

#endif
