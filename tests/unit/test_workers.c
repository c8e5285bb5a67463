/* gateway/workers: who may connect. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "gateway/workers.h"

static void peers(void **state)
{
        (void)state;
        static const struct {
                const char *list, *peer; /* peer "": of a UNIX socket */
                bool allowed;
        } cases[] = {
                {NULL, "192.0.2.1", true},
                {NULL, "2001:db8::1", true},
                {"192.0.2.1", "192.0.2.1", true},
                {"192.0.2.1", "192.0.2.10", false},
                {"192.0.2.10", "192.0.2.1", false},
                {"192.0.2.9, 192.0.2.1", "192.0.2.1", true},
                {"192.0.2.1", "::ffff:192.0.2.1", true},
                {"192.0.2.1", "::ffff:192.0.2.2", false},
                {"192.0.2.1", "2001:db8::1", false},
                {"192.0.2.1", "::1", false},
                {"192.0.2.1,2001:DB8::1", "2001:db8::1", true},
                {"", "192.0.2.1", false},
                {"192.0.2.1", "", true},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sockaddr_storage peer = {.ss_family = AF_UNIX};
                struct sockaddr_in *four = (struct sockaddr_in *)(void *)&peer;
                struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&peer;
                if (strchr(cases[i].peer, ':')) {
                        six->sin6_family = AF_INET6;
                        assert_int_equal(inet_pton(AF_INET6, cases[i].peer, &six->sin6_addr), 1);
                } else if (*cases[i].peer) {
                        four->sin_family = AF_INET;
                        assert_int_equal(inet_pton(AF_INET, cases[i].peer, &four->sin_addr), 1);
                }
                if (workers_peer_allowed(cases[i].list, (struct sockaddr *)&peer) != cases[i].allowed)
                        fail_msg("%s by \"%s\"", cases[i].peer, cases[i].list ? cases[i].list : "nothing");
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {cmocka_unit_test(peers)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
