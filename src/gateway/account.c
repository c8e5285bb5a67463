#include "gateway/account.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { KEY_MAX = 1024, USER_MAX = 256 };

/* ---- what was sent ---- */

struct collector {
        struct credentials *out;
        struct arena *arena;
};

static void add_key(struct collector *k, const char *key)
{
        size_t len = strlen(key);
        while (len && (key[len - 1] == ' ' || key[len - 1] == '\t'))
                len--;
        key = arena_strndup(k->arena, key, len);
        if (len == 0)
                return;
        if (k->out->key && strcmp(k->out->key, key) != 0)
                k->out->key_conflict = true;
        k->out->key = key;
}

/* Servers hand a header over twice where it came twice, or under two spellings: every one of them is looked
 * at. */
static void look_at_variable(void *context, const char *variable)
{
        static const struct {
                const char *name;
                bool bearer;
        } carriers[] = {
                {"HTTP_AUTHORIZATION=", true},
                {"REDIRECT_HTTP_AUTHORIZATION=",
                 true}, /* Apache's rewrite rules; no header can make this name */
                {"HTTP_X_API_KEY=", false},
                {"HTTP_X_GOOG_API_KEY=", false},
        };
        for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
                size_t len = strlen(carriers[i].name);
                if (strncmp(variable, carriers[i].name, len) != 0)
                        continue;
                const char *value = variable + len;
                value += strspn(value, " \t");
                if (carriers[i].bearer) {
                        if (strncasecmp(value, "bearer", 6) != 0 ||
                            (value[6] && value[6] != ' ' && value[6] != '\t'))
                                continue;
                        value += 6;
                        value += strspn(value, " \t");
                }
                add_key(context, value);
        }
}

void credentials_read(struct credentials *out, struct arena *a, const struct client *c,
                      const struct form_fields *query, bool believe_server)
{
        struct collector k = {.out = out, .arena = a};
        *out = (struct credentials){0};
        client_each_variable(c, look_at_variable, &k);
        for (const struct form_field *f = query ? query->first : NULL; f; f = f->next) {
                if (strcmp(f->name, "key") == 0)
                        add_key(&k, f->value.at);
        }
        if (!believe_server)
                return;
        if (client_variable(c, "AUTH_TYPE"))
                out->user = client_variable(c, "REMOTE_USER");
        const char *verified = client_variable(c, "SSL_CLIENT_VERIFY");
        out->certificate = verified && strcmp(verified, "SUCCESS") == 0;
        out->subject = client_variable(c, "SSL_CLIENT_S_DN");
        out->issuer = client_variable(c, "SSL_CLIENT_I_DN");
}

/* ---- whose it is ---- */

static bool unauthenticated(struct arena *a, struct err *err, const char *why)
{
        return err_set(err, a, ERR_UNAUTHENTICATED, NULL, "%s", why);
}

/* Every key is compared, found or not: the time tells nothing of which one was near. */
static const struct config_account *key_owner(const struct config *c, const uint8_t sum[32],
                                              const struct config_key **key)
{
        const struct config_account *owner = NULL;
        for (size_t i = 0; i < c->account_count; i++) {
                const struct config_account *account = &c->accounts[i];
                for (size_t k = 0; k < account->key_count; k++) {
                        if (text_equal_const_time(account->keys[k].sha256, sum, 32)) {
                                owner = account;
                                *key = &account->keys[k];
                        }
                }
        }
        return owner;
}

static bool find_by_key(const struct config *c, const struct credentials *given, int64_t now, struct arena *a,
                        struct identity *out, struct err *err)
{
        uint8_t sum[EVP_MAX_MD_SIZE];
        const struct config_key *key = NULL;
        const struct config_account *owner = NULL;
        if (given->key_conflict)
                return unauthenticated(a, err, "two different API keys were sent");
        size_t len = strlen(given->key);
        if (len <= KEY_MAX && EVP_Digest(given->key, len, sum, NULL, EVP_sha256(), NULL) == 1)
                owner = key_owner(c, sum, &key);
        /* One answer for all of them: it tells nobody which keys exist. */
        if (!owner || !owner->enabled || (key->expires && now >= key->expires))
                return unauthenticated(a, err, "the API key is not valid");
        *out = (struct identity){.kind = IDENTITY_KEY, .account = owner, .name = key->name};
        return true;
}

static bool lists_user(const struct config_account *account, const char *user)
{
        for (size_t i = 0; i < account->user_count; i++) {
                if (strcmp(account->users[i], user) == 0)
                        return true;
        }
        return false;
}

static bool admit(struct identity *out, const struct config_account *account, enum identity_kind kind,
                  const char *name, struct arena *a, struct err *err)
{
        const char *what = kind == IDENTITY_USER ? "user" : "certificate";
        if (!account)
                return err_set(err, a, ERR_FORBIDDEN, NULL, "no account lists this %s", what);
        if (!account->enabled)
                return err_set(err, a, ERR_FORBIDDEN, NULL, "the account of this %s is disabled", what);
        *out = (struct identity){.kind = kind, .account = account, .name = name};
        return true;
}

/* An account that names the user goes before one that takes everybody. */
static bool find_by_user(const struct config *c, const char *user, struct arena *a, struct identity *out,
                         struct err *err)
{
        const struct config_account *found = NULL;
        for (size_t i = 0; i < c->account_count && !found && strcmp(user, "*") != 0; i++)
                found = lists_user(&c->accounts[i], user) ? &c->accounts[i] : NULL;
        for (size_t i = 0; i < c->account_count && !found; i++)
                found = lists_user(&c->accounts[i], "*") ? &c->accounts[i] : NULL;
        return admit(out, strlen(user) <= USER_MAX ? found : NULL, IDENTITY_USER, user, a, err);
}

static bool find_by_certificate(const struct config *c, const struct credentials *given, struct arena *a,
                                struct identity *out, struct err *err)
{
        const struct config_account *found = NULL;
        for (size_t i = 0; i < c->account_count && !found && given->subject; i++) {
                for (size_t k = 0; k < c->accounts[i].certificate_count && !found; k++) {
                        const struct config_certificate *listed = &c->accounts[i].certificates[k];
                        if (subject_equal(a, listed->subject, given->subject) &&
                            (!listed->issuer ||
                             (given->issuer && subject_equal(a, listed->issuer, given->issuer))))
                                found = &c->accounts[i];
                }
        }
        return admit(out, found, IDENTITY_CERTIFICATE, given->subject, a, err);
}

bool account_find(const struct config *c, const struct credentials *given, int64_t now, struct arena *a,
                  struct identity *out, struct err *err)
{
        *out = (struct identity){0};
        if (given->key || given->key_conflict)
                return find_by_key(c, given, now, a, out, err);
        if (given->user)
                return find_by_user(c, given->user, a, out, err);
        if (given->certificate)
                return find_by_certificate(c, given, a, out, err);
        const struct config_account *anonymous = c->anonymous ? config_find_account(c, c->anonymous) : NULL;
        if (!anonymous || !anonymous->enabled)
                return unauthenticated(a, err, "an API key is needed");
        *out = (struct identity){.kind = IDENTITY_ANONYMOUS, .account = anonymous};
        return true;
}

const char *identity_kind_name(enum identity_kind kind)
{
        static const char *const names[] = {"none", "key", "user", "certificate", "anonymous"};
        return names[kind];
}
