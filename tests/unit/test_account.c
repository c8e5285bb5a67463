/* gateway/account: who is asking, from what web servers hand over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>

#include "gateway/account.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

enum { NOW = 1000 };

static struct config_key keys[] = {{.name = "crm"},
                                   {.name = "old", .expires = NOW},
                                   {.name = "off"},
                                   {.name = "new", .expires = NOW + 1}};
static const char *const staff_users[] = {"*"}, *const desk_users[] = {"alice", "bob"};
static const struct config_certificate certificates[] = {{"CN=desk,O=Example", "CN=Corp CA"},
                                                         {"CN=any", NULL}};
static const struct config_account accounts[] = {
        {.name = "staff", .enabled = true, .users = staff_users, .user_count = 1, .index = 0},
        {.name = "helpdesk",
         .enabled = true,
         .keys = keys,
         .key_count = 2,
         .users = desk_users,
         .user_count = 2,
         .certificates = certificates,
         .certificate_count = 2,
         .index = 1},
        {.name = "closed", .enabled = false, .keys = &keys[2], .key_count = 1, .index = 2},
        {.name = "public", .enabled = true, .keys = &keys[3], .key_count = 1, .index = 3},
};
static const struct config everyone = {.accounts = accounts, .account_count = 4, .anonymous = "public"};
static const struct config nobody = {.accounts = accounts + 1, .account_count = 2};

static int set_up(void **state)
{
        static const char *const texts[] = {"tg_crm", "tg_old", "tg_off", "tg_new"};
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (EVP_Digest(texts[i], strlen(texts[i]), keys[i].sha256, NULL, EVP_sha256(), NULL) != 1)
                        return 1;
        }
        return 0;
}

/* What comes of an environment: "account/kind", or the status. */
static char *outcome(struct arena *a, char **environment, const struct config *c, const char *query,
                     bool believe)
{
        FCGX_Request request = {.envp = environment, .ipcFd = -1};
        struct client *client = client_from_fastcgi(&request);
        struct form_fields fields;
        struct credentials given;
        struct identity who;
        struct err err = {0};
        assert_true(form_decode_urlencoded(a, str_of(query ? query : ""), NULL, &fields, &err));
        credentials_read(&given, a, client, query ? &fields : NULL, believe);
        bool ok = account_find(c, &given, NOW, a, &who, &err);
        char *text = ok ? arena_printf(a, "%s/%d", who.account->name, who.kind)
                        : arena_printf(a, "%d", err_status(&err));
        client_free(client);
        return text;
}

static void identities(void **state)
{
        (void)state;
        static const struct {
                const char *environment[4], *query;
                const struct config *config;
                bool remote;
                const char *want;
        } rows[] = {
                {{NULL}, NULL, &everyone, false, "public/4"},
                {{NULL}, NULL, &nobody, false, "401"},
                {{"HTTP_AUTHORIZATION=Bearer tg_crm"}, NULL, &everyone, false, "helpdesk/1"},
                {{"HTTP_AUTHORIZATION=bearer  tg_crm "}, NULL, &everyone, false, "helpdesk/1"},
                {{"REDIRECT_HTTP_AUTHORIZATION=Bearer tg_crm"}, NULL, &everyone, false, "helpdesk/1"},
                {{"HTTP_X_API_KEY=tg_crm"}, NULL, &everyone, false, "helpdesk/1"},
                {{"HTTP_X_GOOG_API_KEY=tg_crm"}, NULL, &everyone, false, "helpdesk/1"},
                {{NULL}, "key=tg_crm", &everyone, false, "helpdesk/1"},
                {{NULL}, "key=", &everyone, false, "public/4"},
                {{"HTTP_X_API_KEY=tg_crm"}, "key=tg_crm", &everyone, false, "helpdesk/1"},
                {{"HTTP_X_API_KEY=tg_crm"}, "key=tg_new", &everyone, false, "401"},
                {{"HTTP_X_API_KEY=tg_crm", "HTTP_X_API_KEY=tg_new"}, NULL, &everyone, false, "401"},
                {{"HTTP_X_API_KEY=tg_crm", "HTTP_X_API_KEY=tg_crm"}, NULL, &everyone, false, "helpdesk/1"},
                {{"HTTP_AUTHORIZATION=Bearer tg_crm, Bearer tg_crm"}, NULL, &everyone, false, "401"},
                /* empty is absent */
                {{"HTTP_AUTHORIZATION=Bearer", "HTTP_X_API_KEY=  "}, NULL, &everyone, false, "public/4"},
                {{"HTTP_AUTHORIZATION=Bearer ", "HTTP_X_API_KEY=tg_crm"},
                 NULL,
                 &everyone,
                 false,
                 "helpdesk/1"},
                /* wrong ones never fall to the next */
                {{"HTTP_X_API_KEY=tg_none", "REMOTE_USER=alice", "AUTH_TYPE=Basic"},
                 NULL,
                 &everyone,
                 false,
                 "401"},
                {{"HTTP_X_API_KEY=tg_old"}, NULL, &everyone, false, "401"},
                {{"HTTP_X_API_KEY=tg_new"}, NULL, &everyone, false, "public/1"},
                {{"HTTP_X_API_KEY=tg_off"}, NULL, &everyone, false, "401"},
                /* other schemes are the web server's */
                {{"HTTP_AUTHORIZATION=Basic dGdfY3JtOng="}, NULL, &everyone, false, "public/4"},
                {{"HTTP_AUTHORIZATION=Bearertg_crm"}, NULL, &everyone, false, "public/4"},
                {{"HTTP_AUTHORIZATION=Basic eA==", "REMOTE_USER=alice", "AUTH_TYPE=Basic"},
                 NULL,
                 &everyone,
                 false,
                 "helpdesk/2"},
                {{"REMOTE_USER=alice"}, NULL, &everyone, false, "public/4"},
                {{"REMOTE_USER=alice", "AUTH_TYPE="}, NULL, &everyone, false, "public/4"},
                {{"REMOTE_USER=carol", "AUTH_TYPE=Basic"}, NULL, &everyone, false, "staff/2"},
                {{"REMOTE_USER=*", "AUTH_TYPE=Basic"}, NULL, &nobody, false, "403"},
                {{"REMOTE_USER=carol", "AUTH_TYPE=Basic"}, NULL, &nobody, false, "403"},
                {{"REMOTE_USER=alice", "AUTH_TYPE=Basic"}, NULL, &everyone, true, "public/4"},
                {{"REMOTE_USER=alice", "AUTH_TYPE=Basic"}, NULL, &nobody, true, "401"},
                /* certificates */
                {{"SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_S_DN=/O=Example/CN=desk",
                  "SSL_CLIENT_I_DN=CN = Corp CA"},
                 NULL,
                 &everyone,
                 false,
                 "helpdesk/3"},
                {{"SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_S_DN=CN=desk,O=Example",
                  "SSL_CLIENT_I_DN=CN=Other"},
                 NULL,
                 &everyone,
                 false,
                 "403"},
                {{"SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_S_DN=CN=desk,O=Example"},
                 NULL,
                 &everyone,
                 false,
                 "403"},
                {{"SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_S_DN=CN=any"},
                 NULL,
                 &everyone,
                 false,
                 "helpdesk/3"},
                {{"SSL_CLIENT_VERIFY=SUCCESS"}, NULL, &everyone, false, "403"},
                {{"SSL_CLIENT_VERIFY=NONE", "SSL_CLIENT_S_DN=CN=any"}, NULL, &everyone, false, "public/4"},
                {{"SSL_CLIENT_VERIFY=FAILED:x", "SSL_CLIENT_S_DN=CN=any"}, NULL, &nobody, false, "401"},
                {{"SSL_CLIENT_VERIFY=SUCCESS", "SSL_CLIENT_S_DN=CN=any"}, NULL, &everyone, true, "public/4"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                char *environment[5] = {0};
                for (size_t k = 0; k < 4 && rows[i].environment[k]; k++)
                        environment[k] = (char *)rows[i].environment[k];
                char *got = outcome(a, environment, rows[i].config, rows[i].query, !rows[i].remote);
                if (strcmp(got, rows[i].want) != 0)
                        print_error("row %zu: %s, not %s\n", i, got, rows[i].want);
                assert_string_equal(got, rows[i].want);
                arena_free(a);
        }
}

static void subjects(void **state)
{
        (void)state;
        static const struct {
                const char *x, *y;
                bool equal;
        } rows[] = {
                {"CN=desk,O=Example", "/O=Example/CN=desk", true},
                {"CN=desk,O=Example", "CN = desk, O = Example", true},
                {"CN=desk,O=Example", "o=Example,cn=desk", true},
                {"CN=desk,O=Example", "CN=desk + O=Example", true},
                {"CN=desk,O=Example", "CN=Desk,O=Example", false},
                {"CN=desk", "CN=desk,O=Example", false},
                {"CN=desk,CN=desk", "CN=desk", false},
                {"O=Smith\\, Sons,CN=x", "/O=Smith, Sons/CN=x", true},
                {"O=\"Smith, Sons\",CN=x", "CN=x,O=Smith\\, Sons", true},
                {"O=A\\2C B,CN=x", "CN=x,O=A\\, B", true},
                {"O=Caf\\C3\\A9", "/O=Caf\xc3\xa9", true},
                {"CN=a\\ ", "CN=a", false},
                {"CN=a ", "CN=a", true},
                {"emailAddress=a@b", "/E=a@b", true},
                {"S=x", "ST=x", true},
                {"2.5.4.3=x", "CN=x", true},
                {"/O=A/B/CN=x", "O=A/B,CN=x", true},
                /* a value that imitates parts */
                {"CN=desk,O=Example", "CN=desk\\,O=Example", false},
                {"CN=desk", "CN=\"desk", false},
                {"CN=desk", "CN=desk\\00x", false},
                {"CN=desk", "CN=desk\\", false},
                {"", "", false},
                {"CN=desk", "", false},
                {"desk", "desk", false},
                {"/", "/", false},
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (subject_equal(a, rows[i].x, rows[i].y) != rows[i].equal)
                        print_error("row %zu: %s and %s\n", i, rows[i].x, rows[i].y);
                assert_int_equal(subject_equal(a, rows[i].x, rows[i].y), rows[i].equal);
                assert_int_equal(subject_equal(a, rows[i].y, rows[i].x), rows[i].equal);
        }
        assert_false(subject_equal(a, "CN=x", NULL));
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(identities),
                cmocka_unit_test(subjects),
        };
        return cmocka_run_group_tests(tests, set_up, NULL);
}
