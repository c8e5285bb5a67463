/* What the table can't say of providers, accounts and the rest: names that point nowhere, what fits together.
 */
#include "config/load.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "config/secret.h"

static const config_setting_t *member(const config_setting_t *at, const char *name)
{
        return at && config_setting_type(at) == CONFIG_TYPE_GROUP ? config_setting_get_member(at, name)
                                                                  : NULL;
}

static const config_setting_t *element(const config_setting_t *list, size_t i)
{
        return config_setting_get_elem(list, (unsigned)i);
}

/* ---------------------------------------------------------------- providers */

static const char *secret_name(struct loader *l, const char *text, const struct secret *s)
{
        if (s->kind == SECRET_ENV)
                return arena_printf(l->arena, "the environment variable %s", text + strlen("env:"));
        return s->kind == SECRET_FILE ? arena_printf(l->arena, "the file %s", s->path) : "the secret";
}

const char *check_secret(struct loader *l, const config_setting_t *at, const char *text, const char **why)
{
        struct secret s;
        /* Before it is read, so that no change is missed; a missing file may come. */
        const char *folder = load_folder(l, at);
        if (secret_kind(text) == SECRET_FILE) {
                const char *path = text + strlen("file:");
                stamps_add(l->stamps,
                           *path == '/' || !folder ? path : arena_printf(l->arena, "%s/%s", folder, path));
        }
        secret_resolve(l->arena, text, folder, &s);
        if (s.open_to_others)
                load_warning(l, at, "%s can be read or written by every user of this machine",
                             secret_name(l, text, &s));
        if (!s.value)
                *why = arena_printf(l->arena, "%s %s", secret_name(l, text, &s), s.why);
        return s.value;
}

/* One that could not be had takes the provider out of service. */
static const char *resolve(struct loader *l, const config_setting_t *at, struct config_provider *p,
                           const char *text)
{
        const char *why = NULL, *value = check_secret(l, at, text, &why);
        if (!value) {
                load_warning(l, at, "provider \"%s\" is out of service: %s", p->name, why);
                if (!p->out_of_service)
                        p->out_of_service = why;
        }
        return value;
}

static void check_key(struct loader *l, const config_setting_t *at, struct config_provider *p)
{
        const config_setting_t *key = member(at, "key");
        if (!key || !p->key)
                return;
        const char *text = p->key;
        if (secret_kind(text) == SECRET_LITERAL && *text) {
                struct source_line where = source_where(l->source, config_setting_source_line(key));
                load_warning(l, key,
                             "the key of provider \"%s\" is written here in clear%s; better \"env:NAME\" or "
                             "\"file:PATH\"%s",
                             p->name,
                             secret_file_is_open(where.file)
                                     ? ", where every user of this machine can read it"
                                     : "",
                             *text == '$' ? " (a $ has no meaning here)" : "");
        }
        p->key = resolve(l, key, p, text);
}

static void check_headers(struct loader *l, const config_setting_t *at, struct config_provider *p)
{
        const config_setting_t *list = member(at, "headers");
        for (size_t i = 0; i < p->header_count; i++) {
                struct config_header *h = (struct config_header *)&p->headers[i];
                const config_setting_t *value = member(element(list, i), "value");
                if (value && h->value && *h->value)
                        h->value = resolve(l, value, p, h->value);
                if (!h->value)
                        h->value = "";
        }
}

/* Plain http sends the key over the network in clear: fine on this machine only. */
static bool is_local(const char *base)
{
        static const char *const hosts[] = {"http://127.", "http://localhost", "http://[::1]"};
        for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
                if (strncasecmp(base, hosts[i], strlen(hosts[i])) == 0)
                        return true;
        }
        return false;
}

static void check_base(struct loader *l, const config_setting_t *at, struct config_provider *p)
{
        if (!p->base) {
                load_error(l, at, "base is missing in this entry of providers");
                return;
        }
        size_t len = strlen(p->base);
        while (len && p->base[len - 1] == '/')
                len--;
        p->base = arena_strndup(l->arena, p->base, len);
        if (strncasecmp(p->base, "http://", 7) == 0 && p->key && !is_local(p->base))
                load_warning(l, member(at, "base"), "the key of provider \"%s\" travels unencrypted",
                             p->name);
}

static void check_provider(struct loader *l, const config_setting_t *at, struct config_provider *p)
{
        bool echo = p->dialect && strcmp(p->dialect, "echo") == 0;
        static const char *const not_echo[] = {"base", "key", "proxy", "ca", "headers", "timeouts"};
        static const char *const only_echo[] = {"delay", "tokens"};
        for (size_t i = 0; echo && i < sizeof not_echo / sizeof *not_echo; i++) {
                if (member(at, not_echo[i]))
                        load_warning(l, member(at, not_echo[i]),
                                     "%s means nothing to the built-in provider echo", not_echo[i]);
        }
        for (size_t i = 0; p->dialect && !echo && i < sizeof only_echo / sizeof *only_echo; i++) {
                if (member(at, only_echo[i]))
                        load_warning(l, member(at, only_echo[i]),
                                     "%s is a setting of the built-in provider echo only", only_echo[i]);
        }
        if (!p->name)
                p->name = "";
        if (echo || !p->dialect) {
                p->base = p->key = NULL;
                return;
        }
        check_key(l, at, p);
        check_headers(l, at, p);
        check_base(l, at, p);
        if (p->ca && *p->ca)
                stamps_add(l->stamps, p->ca);
        if (p->ca && access(p->ca, R_OK) != 0) {
                p->out_of_service =
                        arena_printf(l->arena, "the file %s cannot be read: %s", p->ca, strerror(errno));
                load_warning(l, member(at, "ca"), "provider \"%s\" is out of service: %s", p->name,
                             p->out_of_service);
        }
}

static void check_providers(struct loader *l, const config_setting_t *root)
{
        const config_setting_t *list = member(root, "providers");
        for (size_t i = 0; i < l->config->provider_count; i++) {
                struct config_provider *p = (struct config_provider *)&l->config->providers[i];
                p->index = i;
                check_provider(l, element(list, i), p);
                for (size_t k = 0; *p->name && k < i; k++) {
                        if (strcmp(l->config->providers[k].name, p->name) != 0)
                                continue;
                        load_error(l, member(element(list, i), "name"), "there is a provider \"%s\" already",
                                   p->name);
                        break;
                }
        }
}

/* ---------------------------------------------------------------- accounts */

static void need_account(struct loader *l, const config_setting_t *at, const char *setting, const char *name)
{
        struct nearest nearest;
        if (config_find_account(l->config, name))
                return;
        nearest_init(&nearest, name);
        for (size_t i = 0; i < l->config->account_count; i++)
                nearest_offer(&nearest, l->config->accounts[i].name);
        load_error(l, at, "%s: there is no account \"%s\"%s", setting, name, nearest_text(l, &nearest));
}

static void check_account_models(struct loader *l, const config_setting_t *at, const struct config_account *a)
{
        for (size_t i = 0; i < a->model_count; i++) {
                struct nearest nearest;
                if (strcmp(a->models[i], "*") == 0 || config_find_model(l->config, a->models[i]))
                        continue;
                nearest_init(&nearest, a->models[i]);
                for (size_t k = 0; k < l->config->model_count; k++)
                        nearest_offer(&nearest, l->config->models[k].name);
                load_error(l, element(member(at, "models"), i), "models: there is no model \"%s\"%s",
                           a->models[i], nearest_text(l, &nearest));
        }
        const config_setting_t *models = member(at, "models");
        bool unread = models && config_setting_is_scalar(models); /* an error already */
        if (!a->model_count && !a->direct && !unread)
                load_warning(l, at, "account \"%s\" may use no model: it has no `models`", a->name);
}

/* A caller is one account: what finds it may stand in one place only. */
static void check_unique_keys(struct loader *l, const config_setting_t *at, size_t index)
{
        static const uint8_t none[32];
        const struct config_account *a = &l->config->accounts[index];
        for (size_t i = 0; i < a->key_count; i++) {
                const struct config_key *key = &a->keys[i];
                const config_setting_t *entry = element(member(at, "keys"), i);
                for (size_t k = 0; k < i; k++) {
                        if (key->name && a->keys[k].name && strcmp(key->name, a->keys[k].name) == 0)
                                load_error(l, entry, "account \"%s\" has a key \"%s\" already", a->name,
                                           key->name);
                }
                for (size_t n = 0; n <= index; n++) {
                        const struct config_account *other = &l->config->accounts[n];
                        for (size_t k = 0; k < (n == index ? i : other->key_count); k++) {
                                if (memcmp(key->sha256, other->keys[k].sha256, 32) == 0 &&
                                    memcmp(key->sha256, none, 32) != 0)
                                        load_error(l, entry, "this key is one of account \"%s\" already",
                                                   other->name);
                        }
                }
        }
}

static void check_unique_users(struct loader *l, const config_setting_t *at, size_t index)
{
        const struct config_account *a = &l->config->accounts[index];
        for (size_t i = 0; i < a->user_count; i++) {
                for (size_t n = 0; n <= index; n++) {
                        const struct config_account *other = &l->config->accounts[n];
                        for (size_t k = 0; k < (n == index ? i : other->user_count); k++) {
                                if (strcmp(a->users[i], other->users[k]) == 0)
                                        load_error(l, element(member(at, "users"), i),
                                                   "the user \"%s\" is one of account \"%s\" already",
                                                   a->users[i], other->name);
                        }
                }
        }
}

static void check_unique_certificates(struct loader *l, const config_setting_t *at, size_t index)
{
        const struct config_account *a = &l->config->accounts[index];
        for (size_t i = 0; i < a->certificate_count; i++) {
                const struct config_certificate *c = &a->certificates[i];
                for (size_t n = 0; n <= index; n++) {
                        const struct config_account *other = &l->config->accounts[n];
                        for (size_t k = 0; k < (n == index ? i : other->certificate_count); k++) {
                                const struct config_certificate *o = &other->certificates[k];
                                if (c->subject && o->subject && strcmp(c->subject, o->subject) == 0 &&
                                    strcmp(c->issuer ? c->issuer : "", o->issuer ? o->issuer : "") == 0)
                                        load_error(l, element(member(at, "certificates"), i),
                                                   "this certificate is one of account \"%s\" already",
                                                   other->name);
                        }
                }
        }
}

static void check_accounts(struct loader *l, const config_setting_t *root)
{
        const config_setting_t *list = member(root, "accounts");
        for (size_t i = 0; i < l->config->account_count; i++) {
                struct config_account *a = (struct config_account *)&l->config->accounts[i];
                a->index = i;
                if (!a->name)
                        a->name = "";
        }
        for (size_t i = 0; i < l->config->account_count; i++) {
                const struct config_account *a = &l->config->accounts[i];
                const config_setting_t *at = element(list, i);
                for (size_t k = 0; *a->name && k < i; k++) {
                        if (strcmp(l->config->accounts[k].name, a->name) == 0) {
                                load_error(l, member(at, "name"), "there is an account \"%s\" already",
                                           a->name);
                                break;
                        }
                }
                check_account_models(l, at, a);
                check_unique_keys(l, at, i);
                check_unique_users(l, at, i);
                check_unique_certificates(l, at, i);
        }
}

/* ---------------------------------------------------------------- the rest */

static void check_default(struct loader *l, const config_setting_t *root, const char *setting,
                          const char *name, enum model_task task)
{
        if (!name)
                return;
        const config_setting_t *at = member(member(root, "defaults"), setting);
        const struct config_model *m = config_find_model(l->config, name);
        if (m && !(m->tasks & task))
                load_error(l, at, "%s: the model \"%s\" has no task \"%s\"", setting, name, setting);
        if (m)
                return;
        struct nearest nearest;
        nearest_init(&nearest, name);
        for (size_t i = 0; i < l->config->model_count; i++)
                nearest_offer(&nearest, l->config->models[i].name);
        load_error(l, at, "%s: there is no model \"%s\"%s", setting, name, nearest_text(l, &nearest));
}

void check_config(struct loader *l, const config_setting_t *root)
{
        struct config *c = l->config;
        check_providers(l, root);
        check_models(l, root);
        check_accounts(l, root);
        check_limits(l, root);
        check_money(l, root);
        check_default(l, root, "chat", c->defaults.chat, TASK_CHAT);
        check_default(l, root, "vision", c->defaults.vision, TASK_VISION);
        check_default(l, root, "embed", c->defaults.embed, TASK_EMBED);
        if (c->anonymous)
                need_account(l, member(root, "anonymous"), "anonymous", c->anonymous);
        for (size_t i = 0; i < c->operators.account_count; i++)
                need_account(l, element(member(member(root, "operators"), "accounts"), i), "accounts",
                             c->operators.accounts[i]);
        if (c->max_memory < c->max_body) {
                const config_setting_t *at = member(root, "max_memory");
                load_error(l, at ? at : member(root, "max_body"),
                           "max_memory: must hold at least one body of max_body");
        }
}
