/* TLS to a server of this test, with certificates made on the spot: `ca` is trusted, and only for who names
 * it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "upstream/transport.h"

static struct {
        int fd, port;
        SSL_CTX *ctx;
        pthread_t thread;
        atomic_bool stop;
        atomic_int handshakes, resumed;
        char ca[32], other_ca[32]; /* files */
} server;

static X509 *make_certificate(EVP_PKEY *key, const char *address)
{
        X509 *x = X509_new();
        X509_NAME *name = X509_get_subject_name(x);
        X509V3_CTX context;
        X509_set_version(x, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), -60);
        X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
        X509_set_issuer_name(x, name);
        X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, address);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
        X509_sign(x, key, EVP_sha256());
        return x;
}

static void write_certificate(X509 *x, char *path)
{
        strcpy(path, "/tmp/test_trust.XXXXXX");
        FILE *f = fdopen(mkstemp(path), "w");
        PEM_write_X509(f, x);
        fclose(f);
}

static void *serve(void *unused)
{
        static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0 && !server.stop; close(fd)) {
                SSL *ssl = SSL_new(server.ctx);
                char request[4096];
                struct timeval wait = {.tv_sec = 1};
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
                SSL_set_fd(ssl, fd);
                if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof request) > 0) {
                        server.handshakes++;
                        server.resumed += SSL_session_reused(ssl);
                        SSL_write(ssl, answer, sizeof answer - 1);
                        SSL_shutdown(
                                ssl); /* one request a connection: the next shows whether it is trusted */
                }
                SSL_free(ssl);
        }
        return unused;
}

static int set_up(void **state)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        EVP_PKEY *key = EVP_EC_gen("P-256"), *other_key = EVP_EC_gen("P-256");
        X509 *x = make_certificate(key, "IP:127.0.0.1"), *other = make_certificate(other_key, "IP:127.0.0.1");
        (void)state;
        write_certificate(x, server.ca);
        write_certificate(other, server.other_ca);
        server.ctx = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate(server.ctx, x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(server.ctx, key), 1);
        SSL_CTX_set_session_id_context(server.ctx, (const unsigned char *)"t", 1);
        X509_free(x);
        X509_free(other);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other_key);
        server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bind(server.fd, (struct sockaddr *)&at, sizeof at);
        getsockname(server.fd, (struct sockaddr *)&at, &size);
        server.port = ntohs(at.sin_port);
        listen(server.fd, 16);
        return pthread_create(&server.thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
        (void)state;
        server.stop = true;
        shutdown(server.fd, SHUT_RDWR);
        pthread_join(server.thread, NULL);
        close(server.fd);
        SSL_CTX_free(server.ctx);
        unlink(server.ca);
        unlink(server.other_ca);
        return 0;
}

static bool take(void *context, const char *bytes, size_t len)
{
        (void)bytes;
        *(size_t *)context += len;
        return true;
}

static void test_trust(void **state)
{
        (void)state;
        const struct {
                const char *host, *ca;
                enum fault_kind fault;
        } cases[] = {
                {"127.0.0.1", NULL, FAULT_TLS},
                {"127.0.0.1", server.ca, FAULT_NONE},
                {"127.0.0.1", server.ca, FAULT_NONE},
                {"127.0.0.1", NULL, FAULT_TLS}, /* not by the other's leave */
                {"127.0.0.1", server.other_ca, FAULT_TLS},
                {"127.0.0.1", server.ca, FAULT_NONE},
                {"localhost", server.ca, FAULT_TLS}, /* another name than the certificate's */
                {"127.0.0.1", "/nonexistent", FAULT_TLS},
        };
        struct upstream_pool *pool = upstream_pool_new();
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct upstream_lane *lane = upstream_lane_take(pool);
                size_t got = 0;
                struct transfer_request r = {
                        .method = "POST",
                        .url = arena_printf(a, "https://%s:%d/", cases[i].host, server.port),
                        .ca = cases[i].ca,
                        .body = str_of("x"),
                        .connect_ms = 5000,
                };
                struct transfer *t = transfer_open(lane, a, &r, &(struct transfer_sink){&got, take});
                const char *message = NULL;
                for (int n = 0; n < 20 && !transfer_ended(t); n++)
                        upstream_lane_run(lane, 1000, -1);
                print_message("case %zu\n", i);
                assert_int_equal(transfer_fault(t, &message), cases[i].fault);
                assert_int_equal(got, cases[i].fault ? 0 : 2);
                transfer_close(t);
                upstream_lane_give(lane);
                arena_free(a);
        }
        assert_int_equal(server.handshakes, 3);
        assert_true(server.resumed >= 1); /* sessions are kept, among those who trust the same */
        upstream_pool_free(pool);
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN); /* the server of a refused handshake writes to a closed connection */
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_trust)};
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
