/* Every refused form is a row. The server is a thread of this test; a log sink tells why something was
 * refused. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "upstream/fetch.h"

/* ---------------------------------------------------------------- addresses */

static const struct address_case {
        const char *address;
        bool allowed;
} address_cases[] = {
        {"0.0.0.0", false},
        {"0.255.255.255", false},
        {"1.0.0.0", true},
        {"9.255.255.255", true},
        {"10.0.0.0", false},
        {"10.255.255.255", false},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.64.0.0", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"126.255.255.255", true},
        {"127.0.0.0", false},
        {"127.0.0.1", false},
        {"127.255.255.255", false},
        {"128.0.0.0", true},
        {"169.253.255.255", true},
        {"169.254.0.0", false},
        {"169.254.169.254", false},
        {"169.254.255.255", false},
        {"169.255.0.0", true},
        {"172.15.255.255", true},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"172.32.0.0", true},
        {"191.255.255.255", true},
        {"192.0.0.0", false},
        {"192.0.0.192", false},
        {"192.0.0.255", false},
        {"192.0.1.0", true},
        {"192.167.255.255", true},
        {"192.168.0.0", false},
        {"192.168.255.255", false},
        {"192.169.0.0", true},
        {"198.17.255.255", true},
        {"198.18.0.0", false},
        {"198.19.255.255", false},
        {"198.20.0.0", true},
        {"168.63.129.15", true},
        {"168.63.129.16", false},
        {"168.63.129.17", true},
        {"223.255.255.255", true},
        {"224.0.0.0", false},
        {"239.255.255.255", false},
        {"240.0.0.0", false},
        {"255.255.255.255", false},
        {"8.8.8.8", true},
        {"100.100.100.200", false},
        {"::", false},
        {"::1", false},
        {"::2", false},
        {"::127.0.0.1", false},
        {"::8.8.8.8", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:8.8.8.8", false},
        {"::ffff:a9fe:a9fe", false},
        {"::fffe:ffff:ffff", true},
        {"64:ff9b::a9fe:a9fe", false},
        {"64:ff9b::8.8.8.8", false},
        {"64:ff9b:1::1", false},
        {"64:ff9b:1:ffff::", false},
        {"64:ff9b:2::", true},
        {"2001::1", false},
        {"2001:0:ffff::", false},
        {"2001:1::", true},
        {"2002::1", false},
        {"2002:7f00:1::", false},
        {"2002:ffff::", false},
        {"2003::1", true},
        {"2606:4700::1111", true},
        {"fbff::1", true},
        {"fc00::", false},
        {"fd00::1", false},
        {"fd00:ec2::254", false},
        {"fdff::", false},
        {"fe00::", true},
        {"fe7f::", true},
        {"fe80::1", false},
        {"febf::", false},
        {"ff00::", false},
        {"ff02::1", false},
};

static bool judge(const char *text, unsigned port, const char *host, const char *const *allow, size_t count)
{
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
                return fetch_address_allowed((struct sockaddr *)&v4, host, allow, count);
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        return fetch_address_allowed((struct sockaddr *)&v6, host, allow, count);
}

static void test_addresses(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof address_cases / sizeof *address_cases; i++) {
                print_message("%s\n", address_cases[i].address);
                assert_int_equal(judge(address_cases[i].address, 443, "host.example", NULL, 0),
                                 address_cases[i].allowed);
        }
        struct sockaddr other = {.sa_family = AF_UNIX};
        assert_false(fetch_address_allowed(&other, "host.example", NULL, 0));
}

static const struct allow_case {
        const char *allow, *address;
        unsigned port;
        const char *host;
        bool allowed;
} allow_cases[] = {
        {"10.1.0.0/16", "10.1.2.3", 80, "a.example", true},
        {"10.1.0.0/16", "10.2.2.3", 80, "a.example", false},
        {"10.1.2.0/23", "10.1.3.255", 80, "a.example", true},
        {"10.1.2.0/23", "10.1.4.0", 80, "a.example", false},
        {"10.1.2.3", "10.1.2.3", 80, "a.example", true},
        {"10.1.2.3", "10.1.2.4", 80, "a.example", false},
        {"10.1.2.3:8080", "10.1.2.3", 8080, "a.example", true},
        {"10.1.2.3:8080", "10.1.2.3", 80, "a.example", false},
        {"images.local", "10.1.2.3", 80, "images.local", true},
        {"images.local", "10.1.2.3", 80, "IMAGES.local.", true},
        {"images.local", "10.1.2.3", 80, "evil.images.local", false},
        {"images.local", "10.1.2.3", 80, "a.example", false},
        {"images.local:8080", "10.1.2.3", 8080, "images.local", true},
        {"images.local:8080", "10.1.2.3", 80, "images.local", false},
        {"fd12::/16", "fd12::1", 80, "a.example", true},
        {"fd12::/16", "fd13::1", 80, "a.example", false},
        {"::1", "::1", 80, "a.example", true},
        {"[::1]", "::1", 80, "a.example", true},
        {"[::1]:8080", "::1", 8080, "a.example", true},
        {"[::1]:8080", "::1", 80, "a.example", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", 80, "a.example", false},
        /* broken entries open nothing */
        {"10.0.0.0/33", "10.1.2.3", 80, "a.example", false},
        {"10.0.0.0/x", "10.1.2.3", 80, "a.example", false},
        {"10.0.0.0/", "10.1.2.3", 80, "a.example", false},
        {"a.example/8", "10.1.2.3", 80, "a.example", false},
        {"a.example:", "10.1.2.3", 80, "a.example", false},
        {"a.example:99999", "10.1.2.3", 80, "a.example", false},
        {"", "10.1.2.3", 80, "", false},
        {"*", "10.1.2.3", 80, "a.example", false},
        /* metadata stays shut */
        {"0.0.0.0/0", "10.1.2.3", 80, "a.example", true},
        {"0.0.0.0/0", "169.254.169.254", 80, "a.example", false},
        {"169.254.0.0/16", "169.254.169.254", 80, "a.example", false},
        {"169.254.169.254", "169.254.169.254", 80, "a.example", false},
        {"metadata.google.internal", "169.254.169.254", 80, "metadata.google.internal", false},
        {"0.0.0.0/0", "169.254.170.2", 80, "a.example", false},
        {"0.0.0.0/0", "168.63.129.16", 80, "a.example", false},
        {"0.0.0.0/0", "100.100.100.200", 80, "a.example", false},
        {"0.0.0.0/0", "192.0.0.192", 80, "a.example", false},
        {"::/0", "fd00:ec2::254", 80, "a.example", false},
        {"::/0", "fd20:ce::254", 80, "a.example", false},
        {"::/0", "::ffff:169.254.169.254", 80, "a.example", false},
        {"::/0", "::169.254.169.254", 80, "a.example", false},
        {"::/0", "64:ff9b::169.254.169.254", 80, "a.example", false},
        {"::/0", "2002:a9fe:a9fe::1", 80, "a.example", false},
        {"::/0", "::ffff:10.0.0.1", 80, "a.example", true},
};

static void test_allow(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof allow_cases / sizeof *allow_cases; i++) {
                const struct allow_case *c = &allow_cases[i];
                print_message("%s for %s\n", c->allow, c->address);
                assert_int_equal(judge(c->address, c->port, c->host, &c->allow, 1), c->allowed);
        }
}

/* ---------------------------------------------------------------- URLs */

static const struct url_case {
        const char *url, *allow;
        bool allowed;
} url_cases[] = {
        {"http://a.example/x.png", NULL, true},
        {"https://a.example/x.png?y=1#z", NULL, true},
        {"HTTPS://A.example/", NULL, true},
        {"https://a.example:443/", NULL, true},
        {"http://a.example:443/", NULL, true},
        {"http://8.8.8.8/", NULL, true},
        {"https://[2606:4700::1111]/", NULL, true},
        {"http://a.example:8080/", NULL, false},
        {"http://a.example:22/", NULL, false},
        {"http://a.example:0/", NULL, false},
        {"http://a.example:65616/", NULL, false}, /* 80 in 16 bits */
        {"ftp://a.example/", NULL, false},
        {"file:///etc/passwd", NULL, false},
        {"gopher://a.example/", NULL, false},
        {"data:image/png;base64,AAAA", NULL, false},
        {"javascript:1", NULL, false},
        {"//a.example/", NULL, false},
        {"/x.png", NULL, false},
        {"a.example/x.png", NULL, false},
        {"", NULL, false},
        {"http://", NULL, false},
        {"http:///x", NULL, false},
        {"http://user@a.example/", NULL, false},
        {"http://user:pass@a.example/", NULL, false},
        {"http://:pass@a.example/", NULL, false},
        {"http://a.example\\@127.0.0.1/", NULL, false},
        {"http://a.example#@127.0.0.1/", NULL, true}, /* the host is a.example, whoever reads it */
        {"http://a.example /", NULL, false},
        {"http://a.example/\r\nHost: b", NULL, false},
        {" http://a.example/", NULL, false},
        {"http://a.exa\tmple/", NULL, false},
        {"http://127.0.0.1/", NULL, false},
        {"http://127.0.0.1./", NULL, false},
        {"http://127.1/", NULL, false},
        {"http://127.0.1/", NULL, false},
        {"http://2130706433/", NULL, false},
        {"http://0x7f000001/", NULL, false},
        {"http://0x7f.1/", NULL, false},
        {"http://0177.0.0.1/", NULL, false},
        {"http://017700000001/", NULL, false},
        {"http://0/", NULL, false},
        {"http://%31%32%37.0.0.1/", NULL, false},
        {"http://[::1]/", NULL, false},
        {"http://[::]/", NULL, false},
        {"http://[::ffff:127.0.0.1]/", NULL, false},
        {"http://[::ffff:7f00:1]/", NULL, false},
        {"http://[0:0:0:0:0:ffff:127.0.0.1]/", NULL, false},
        {"http://[64:ff9b::7f00:1]/", NULL, false},
        {"http://[fe80::1%25eth0]/", NULL, false},
        {"http://[2606:4700::1111%25eth0]/", NULL, false},
        {"http://[v1.x]/", NULL, false},
        {"http://169.254.169.254/latest/meta-data/", NULL, false},
        {"http://2852039166/", NULL, false}, /* the same */
        {"http://169.254.169.254/", "169.254.169.254", false},
        {"http://10.0.0.1/", "10.0.0.0/8", true},
        {"http://10.0.0.1:8080/", "10.0.0.0/8", false},
        {"http://10.0.0.1:8080/", "10.0.0.1:8080", true},
        {"http://167772161:8080/", "10.0.0.1:8080", true},
        {"http://10.0.0.1:8081/", "10.0.0.1:8080", false},
        {"http://images.local:8080/", "images.local:8080", true},
        {"http://images.local.:8080/", "images.local:8080", true},
        {"http://other.local:8080/", "images.local:8080", false},
        {"http://images.local:8080/", "images.local", false},
        {"http://[::1]:8080/", "[::1]:8080", true},
        {"http://user@images.local/", "images.local", false},
};

static void test_urls(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof url_cases / sizeof *url_cases; i++) {
                const struct url_case *c = &url_cases[i];
                print_message("%s\n", c->url);
                assert_int_equal(fetch_url_allowed(c->url, &c->allow, c->allow != NULL), c->allowed);
        }
        char *longer = malloc(10000);
        memset(longer, 'a', 9999);
        longer[9999] = 0;
        memcpy(longer, "http://a.example/", 17);
        assert_false(fetch_url_allowed(longer, NULL, 0));
        longer[8000] = 0;
        assert_true(fetch_url_allowed(longer, NULL, 0));
        free(longer);
}

/* ---------------------------------------------------------------- fetching */

static struct {
        int fd, port;
        pthread_t thread;
        atomic_bool stop;
        atomic_int requests, now, most; /* now: requests under way; most: that were at once */
        char last[4096];
} server;

static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\2\x80\0\0\1\xe0\x08\2\0\0\0";

static void reply(int fd, const char *status, const char *headers, const void *body, size_t len)
{
        char head[512];
        int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%scontent-length: %zu\r\n\r\n", status, headers,
                         len);
        send(fd, head, (size_t)n, MSG_NOSIGNAL);
        send(fd, body, len, MSG_NOSIGNAL);
}

static void redirect(int fd, const char *to)
{
        char header[256];
        snprintf(header, sizeof header, "location: %s\r\n", to);
        reply(fd, "302 Found", header, "elsewhere", 9);
}

static void answer(int fd, const char *path)
{
        int n;
        if (strcmp(path, "/png") == 0) {
                reply(fd, "200 OK", "content-type: text/html\r\n", png, sizeof png - 1);
        } else if (strcmp(path, "/gif") == 0) {
                usleep(100000);
                reply(fd, "200 OK", "", "GIF89a\1\0\1\0", 10);
        } else if (sscanf(path, "/hops/%d", &n) == 1 && n > 0) {
                char to[32];
                snprintf(to, sizeof to, n > 1 ? "/hops/%d" : "/png", n - 1);
                redirect(fd, to);
        } else if (strcmp(path, "/to-metadata") == 0) {
                redirect(fd, "http://169.254.169.254/latest/");
        } else if (strcmp(path, "/to-loopback") == 0) {
                redirect(fd, "http://127.0.0.1/x");
        } else if (strcmp(path, "/to-name") == 0) {
                redirect(fd, "http://localhost/x");
        } else if (strcmp(path, "/to-user") == 0) {
                char to[64];
                snprintf(to, sizeof to, "http://me:secret@127.0.0.1:%d/png", server.port);
                redirect(fd, to);
        } else if (strcmp(path, "/to-file") == 0) {
                redirect(fd, "file:///etc/passwd");
        } else if (strcmp(path, "/to-port") == 0) {
                redirect(fd, "http://127.0.0.1:22/");
        } else if (strcmp(path, "/html") == 0) {
                reply(fd, "200 OK", "content-type: image/png\r\n", "<html>", 6);
        } else if (strcmp(path, "/bmp") == 0) {
                reply(fd, "200 OK", "content-type: image/png\r\n",
                      "BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0", 28);
        } else if (strcmp(path, "/large") == 0 || strcmp(path, "/endless") == 0) {
                static char much[400000];
                memcpy(much, png, sizeof png);
                if (path[1] == 'l') {
                        reply(fd, "200 OK", "", much, sizeof much);
                } else {
                        send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
                        send(fd, much, sizeof much, MSG_NOSIGNAL);
                }
        } else if (strcmp(path, "/half") == 0) {
                send(fd, "HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n", 40, MSG_NOSIGNAL);
                send(fd, png, sizeof png - 1, MSG_NOSIGNAL);
        } else if (strncmp(path, "/slow", 5) == 0) {
                usleep(1500000);
        } else if (strcmp(path, "/headers") == 0) {
                send(fd, "HTTP/1.1 200 OK\r\n", 17, MSG_NOSIGNAL);
                for (int i = 0; i < 20000; i++)
                        send(fd, "x-filler: yyyy\r\n", 16, MSG_NOSIGNAL);
                reply(fd, "200 OK", "", png, sizeof png - 1);
        } else {
                reply(fd, "404 Not Found", "", png, sizeof png - 1);
        }
}

static void *serve_one(void *context)
{
        int fd = (int)(intptr_t)context;
        char request[4096], path[128];
        ssize_t n = recv(fd, request, sizeof request - 1, 0);
        if (n > 0) {
                int now = ++server.now;
                if (now > server.most)
                        server.most = now;
                server.requests++;
                request[n] = 0;
                memcpy(server.last, request, (size_t)n + 1);
                if (sscanf(request, "GET %127s", path) == 1)
                        answer(fd, path);
                server.now--;
        }
        shutdown(fd, SHUT_WR);
        while (recv(fd, request, sizeof request, 0) > 0)
                ;
        close(fd);
        return NULL;
}

static void *serve(void *unused)
{
        for (;;) {
                int fd = accept(server.fd, NULL, NULL);
                pthread_t thread;
                if (server.stop || fd < 0)
                        return unused;
                pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd);
                pthread_detach(thread);
        }
}

static int set_up(void **state)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        (void)state;
        server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bind(server.fd, (struct sockaddr *)&at, sizeof at);
        getsockname(server.fd, (struct sockaddr *)&at, &size);
        server.port = ntohs(at.sin_port);
        listen(server.fd, 64);
        return pthread_create(&server.thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
        (void)state;
        server.stop = true;
        shutdown(server.fd, SHUT_RDWR);
        pthread_join(server.thread, NULL);
        close(server.fd);
        usleep(50000); /* threads of connections */
        return 0;
}

static char logged[8192];
static struct meter memory;

static void keep_log(void *context, const char *line, size_t len)
{
        size_t have = strlen(logged);
        (void)context;
        if (have + len < sizeof logged) {
                memcpy(logged + have, line, len);
                logged[have + len] = 0;
        }
}

/* "/path" is asked of the server here. */
static bool fetch(struct arena *a, const char *const *paths, size_t count, struct chat_source *out,
                  struct err *err)
{
        char entry[32];
        const char *const allow[] = {entry};
        struct config c = {
                .max_body = 300000,
                .max_memory = 2000000,
                .fetch = {.allow = allow, .allow_count = 1, .max = 300000, .timeout_ms = 700, .images = 4},
        };
        int64_t taken = 0, before = memory.used;
        struct fetch_job jobs[8];
        snprintf(entry, sizeof entry, "127.0.0.1:%d", server.port);
        for (size_t i = 0; i < count; i++) {
                jobs[i].url = paths[i][0] == '/'
                                      ? arena_printf(a, "http://127.0.0.1:%d%s", server.port, paths[i])
                                      : paths[i];
                jobs[i].path = arena_printf(a, "messages[0].content[%zu]", i);
                jobs[i].out = &out[i];
        }
        logged[0] = 0;
        log_configure(LOG_LEVEL_DEBUG, "");
        log_bind(keep_log, NULL, "req");
        bool ok = fetch_images(a, &c, &memory, &taken, jobs, count, err);
        assert_int_equal(memory.used, before + taken);
        meter_give(&memory, taken);
        log_bind(NULL, NULL, NULL);
        return ok;
}

static const struct fetch_case {
        const char *url, *cause; /* cause NULL: it is fetched */
} fetch_cases[] = {
        {"/png", NULL},
        {"/gif", NULL},
        {"/hops/1", NULL},
        {"/hops/3", NULL},
        {"/hops/4", "it is redirected too often"},
        {"/to-metadata", "its URL is refused"},
        {"/to-loopback", "its URL is refused"},
        {"/to-user", "its URL is refused"},
        {"/to-file", "its URL is refused"},
        {"/to-port", "its URL is refused"},
        /* a name that turns out to mean an address inside */
        {"/to-name", "its address is refused"},
        {"http://localhost/x", "its address is refused"},
        {"https://localhost/x", "its address is refused"},
        {"http://nowhere.invalid/x", "resolve"},
        {"http://user:secret@127.0.0.1/", "its URL is refused"},
        {"/html", "its bytes are no image"},
        {"/bmp", "its bytes are no image"},
        {"/404", "its server answers 404"},
        {"/large", "exceeded"},
        {"/endless", "it is too large"},
        {"/half", ""},
        {"/headers", "its headers are too long"},
        {"/slow?token=hidden#part", "it took too long"},
};

static void test_fetch(void **state)
{
        (void)state;
        setenv("http_proxy", "http://127.0.0.1:9", 1);
        for (size_t i = 0; i < sizeof fetch_cases / sizeof *fetch_cases; i++) {
                const struct fetch_case *c = &fetch_cases[i];
                struct arena *a = arena_new();
                struct err err = {.cause = ERR_NONE};
                struct chat_source source = {.kind = SOURCE_NONE};
                bool ok = fetch(a, &c->url, 1, &source, &err);
                print_message("%s: %s\n", c->url, logged);
                assert_int_equal(ok, c->cause == NULL);
                if (ok) {
                        assert_int_equal(source.kind, SOURCE_BASE64);
                        assert_string_equal(source.media_type,
                                            strcmp(c->url, "/gif") ? "image/png" : "image/gif");
                        assert_string_equal(source.data.at,
                                            strcmp(c->url, "/gif")
                                                    ? "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAA="
                                                    : "R0lGODlhAQABAA==");
                        assert_int_equal(source.data.len, strlen(source.data.at));
                        assert_string_equal(logged, "");
                } else {
                        assert_int_equal(source.kind, SOURCE_NONE);
                        assert_int_equal(err.cause, ERR_BAD_REQUEST);
                        assert_string_equal(err.param, "messages[0].content[0]");
                        assert_string_equal(err.message,
                                            "messages[0].content[0]: the image could not be fetched");
                        assert_non_null(strstr(logged, c->cause));
                        assert_null(strstr(logged, "secret"));
                        assert_null(strstr(logged, "hidden"));
                }
                arena_free(a);
        }
        unsetenv("http_proxy");
        assert_null(strcasestr(server.last, "authorization"));
}

static void test_several(void **state)
{
        (void)state;
        static const char *const paths[] = {"/gif", "/gif", "/png", "/gif"};
        struct arena *a = arena_new();
        struct err err = {.cause = ERR_NONE};
        struct chat_source sources[4];
        server.most = 0;
        assert_true(fetch(a, paths, 4, sources, &err));
        assert_true(server.most >= 2);
        assert_string_equal(sources[2].media_type, "image/png");
        assert_string_equal(sources[3].media_type, "image/gif");
        assert_true(fetch(a, NULL, 0, NULL, &err));
        arena_free(a);
}

static void test_too_many(void **state)
{
        (void)state;
        static const char *const paths[] = {"/png", "/png", "/png", "/png", "/png"};
        struct arena *a = arena_new();
        struct err err = {.cause = ERR_NONE};
        struct chat_source sources[5];
        int before = server.requests;
        assert_false(fetch(a, paths, 5, sources, &err));
        assert_string_equal(err.message,
                            "messages[0].content[4]: at most 4 images by URL are fetched for one request");
        assert_int_equal(server.requests, before);
        arena_free(a);
}

/* All of them together are bounded like a body. */
/* Images count against max_memory as bodies do. */
static void test_memory(void **state)
{
        (void)state;
        static const char *const paths[] = {"/png"};
        struct arena *a = arena_new();
        struct err err = {.cause = ERR_NONE};
        struct chat_source source = {.kind = SOURCE_NONE};
        memory.used = 2000000;
        assert_false(fetch(a, paths, 1, &source, &err));
        assert_non_null(strstr(logged, "max_memory"));
        assert_int_equal(err_status(&err), 503);
        memory.used = 0;
        arena_free(a);
}

static void test_total(void **state)
{
        (void)state;
        static const char *const paths[] = {"/large", "/png"};
        struct arena *a = arena_new();
        struct err err = {.cause = ERR_NONE};
        struct chat_source sources[2] = {{.kind = SOURCE_NONE}};
        int64_t start = clock_now_ms();
        assert_false(fetch(a, paths, 2, sources, &err));
        assert_string_equal(err.message, "messages[0].content[0]: the image could not be fetched");
        assert_true(clock_now_ms() - start < 2000);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses), cmocka_unit_test(test_allow),
                cmocka_unit_test(test_urls),      cmocka_unit_test(test_fetch),
                cmocka_unit_test(test_several),   cmocka_unit_test(test_too_many),
                cmocka_unit_test(test_total),     cmocka_unit_test(test_memory),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
