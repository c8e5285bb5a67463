/* gateway/operator: who may see the pages of operators. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/operator.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

static const char *const users[] = {"root"}, *const listed[] = {"ops"},
                         *const from[] = {"192.0.2.0/25", "2001:db8::/32", "198.51.100.7"};
static const struct config everything = {.operators = {.users = users,
                                                       .accounts = listed,
                                                       .from = from,
                                                       .user_count = 1,
                                                       .account_count = 1,
                                                       .from_count = 3}};
static const struct config nothing = {.path = "none"};
static const struct config_account ops = {.name = "ops"}, staff = {.name = "staff"};

static void blocks(void **state)
{
        (void)state;
        static const struct {
                const char *block, *address;
                bool holds;
        } rows[] = {
                {"192.0.2.1", "192.0.2.1", true},
                {"192.0.2.1", "192.0.2.2", false},
                {"192.0.2.0/24", "192.0.2.255", true},
                {"192.0.2.0/24", "192.0.3.0", false},
                {"192.0.2.0/25", "192.0.2.127", true},
                {"192.0.2.0/25", "192.0.2.128", false},
                {"192.0.2.1/32", "192.0.2.1", true},
                {"192.0.2.1/32", "192.0.2.0", false},
                {"0.0.0.0/0", "203.0.113.9", true},
                {"0.0.0.0/0", "2001:db8::1", false},
                {"10.0.0.0/33", "10.0.0.0", false},
                {"2001:db8::/32", "2001:db8:ffff::1", true},
                {"2001:db8::/32", "2001:db9::", false},
                {"2001:db8::1", "2001:DB8:0::1", true},
                {"::/0", "2001:db8::1", true},
                /* a listener for both families shows IPv4 so */
                {"192.0.2.0/24", "::ffff:192.0.2.7", true},
                {"::ffff:192.0.2.0/120", "192.0.2.7", true},
                {"::ffff:192.0.2.0/120", "192.0.3.7", false},
                {"::ffff:0.0.0.0/80", "192.0.2.7", false},
                {"::1", "127.0.0.1", false},
                {"127.0.0.1", "", false},
                {"127.0.0.1", "unix:", false},
                {"127.0.0.1", "127.0.0.1.example", false},
                {"", "", false},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (operator_block_holds(rows[i].block, rows[i].address) != rows[i].holds)
                        fail_msg("%s, %s", rows[i].block, rows[i].address);
        }
}

static void who(void **state)
{
        (void)state;
        static const struct {
                const struct config *config;
                struct operator_input in;
                bool is;
        } rows[] = {
                {&everything, {.user = "root"}, true},
                {&everything, {.user = "Root"}, false},
                {&everything, {.user = "alice"}, false},
                {&everything, {.account = &ops}, true},
                {&everything, {.account = &staff}, false},
                {&everything, {.account = &staff, .user = "root"}, true},
                {&everything, {.peer = "192.0.2.5"}, true},
                {&everything, {.peer = "192.0.2.200"}, false},
                {&everything, {.peer = "2001:db8::5"}, true},
                {&everything, {.peer = "198.51.100.7"}, true},
                {&everything, {.user = NULL}, false},
                {&nothing, {.user = "root", .account = &ops, .peer = "127.0.0.1"}, false},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (operator_is(rows[i].config, &rows[i].in) != rows[i].is)
                        fail_msg("row %zu", i);
        }
}

static void peers(void **state)
{
        (void)state;
        static const struct {
                const char *also; /* a variable besides the address */
                bool believe, known;
        } rows[] = {
                {"HTTP_HOST=gate.example", true, true},
                {"HTTP_HOST=gate.example", false, false},
                {"HTTP_X_FORWARDED_FOR=192.0.2.1", true, false},
                {"HTTP_X_FORWARDED_FOR=", true, false},
                {"HTTP_X_FORWARDED_HOST=gate.example", true, false},
                {"HTTP_FORWARDED=for=192.0.2.1", true, false},
                {"HTTP_X_REAL_IP=192.0.2.1", true, false},
                {"HTTP_VIA=1.1 proxy", true, false},
                {"HTTP_VIAL=1", true, true},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *environment[] = {(char *)"REMOTE_ADDR=192.0.2.5", (char *)rows[i].also, NULL};
                FCGX_Request request = {.envp = environment, .ipcFd = -1};
                struct client *client = client_from_fastcgi(&request);
                struct operator_input in = {.peer = "unset"};
                operator_read_peer(&in, client, rows[i].believe);
                if ((in.peer != NULL) != rows[i].known)
                        fail_msg("%s", rows[i].also);
                if (in.peer)
                        assert_string_equal(in.peer, "192.0.2.5");
                client_free(client);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(blocks),
                cmocka_unit_test(who),
                cmocka_unit_test(peers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
