/* The responder: FastCGI where descriptor 0 is a listening socket, else CGI (contract §1). */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/gateway.h"
#include "gateway/workers.h"

enum { LISTENER = 0, WORKERS_DEFAULT = 64, WORKERS_MAX = 10000, DRAIN_MS = 30000, EARLY_LOG_MAX = 64 << 10 };

#define TUNABLES "GLIBC_TUNABLES"

enum { EXIT_WRONG_USE = 2, EXIT_ENVIRONMENT = 3 };

/* Keys and prompts are in memory: no core holds them, and no other process of the user may look. */
static void keep_memory_private(void)
{
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
}

/* One arena a thread, as glibc would have it, multiplies what freed bodies leave behind. */
static void keep_memory_small(void)
{
        mallopt(M_ARENA_MAX, 4);
        mallopt(M_MMAP_THRESHOLD, 128 << 10);
        mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

/*
 * glibc keeps up to seven freed pieces of each size for each thread: 10 to 16 KiB a stream, mostly of
 * json-c's tables. Only its environment bounds that, and only at a program's start, so this starts itself
 * once more. Where that can't be, or the environment says otherwise, it goes on as it is.
 */
static void keep_threads_small(char **argv)
{
        if (getenv(TUNABLES) || setenv(TUNABLES, "glibc.malloc.tcache_max=208", 1) != 0)
                return;
        execv("/proc/self/exe", argv);
        unsetenv(TUNABLES);
}

static bool is_remote(int fd)
{
        struct sockaddr_storage name = {0};
        socklen_t len = sizeof name;
        return getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
               (name.ss_family == AF_INET || name.ss_family == AF_INET6);
}

/* ---- options ---- */

struct options {
        const char *config;
        int workers; /* 0: the configuration's */
};

static const char usage[] =
        "Usage: tollgate.fcgi [-c FILE] [-w N]\n"
        "Answers FastCGI requests on the socket that is its standard input, or one CGI request.\n"
        "\n"
        "  -c FILE     configuration (else $TOLLGATE_CONF, else the built-in path)\n"
        "  -w N        worker threads (else the setting `workers`)\n"
        "      --version, --help\n"
        "\n"
        "As CGI all arguments are ignored.\n";

static int wrong_use(void)
{
        fputs(usage, stderr);
        return EXIT_WRONG_USE;
}

static int show(const char *text)
{
        return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_ENVIRONMENT : 0;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *out)
{
        static const struct option names[] = {
                {"version", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        int option;
        char *end;
        while ((option = getopt_long(argc, argv, "c:w:", names, NULL)) != -1) {
                long n;
                switch (option) {
                case 'c': out->config = optarg; break;
                case 'w':
                        n = strtol(optarg, &end, 10);
                        if (*end || end == optarg || n < 1 || n > WORKERS_MAX)
                                return wrong_use();
                        out->workers = (int)n;
                        break;
                case 'v': return show("tollgate.fcgi " PACKAGE_VERSION "\n");
                case 'h': return show(usage);
                default: return wrong_use();
                }
        }
        return optind < argc ? wrong_use() : -1;
}

/* ---- CGI ---- */

static bool asked_by_web_server(void)
{
        return getenv("GATEWAY_INTERFACE") || getenv("REQUEST_METHOD");
}

/* The web server waits for the end of this: nobody waits for what is done behind it. */
static void end_answer(void)
{
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0)
                close(STDOUT_FILENO);
        if (nothing > STDERR_FILENO)
                close(nothing);
}

static int serve_cgi(void)
{
        struct gateway g = {.workers = 1};
        g.watch = config_watch_new(NULL);
        g.pool = upstream_pool_new();
        g.states = state_holder_new();
        g.books = bookkeeper_new(&(struct bookkeeper_options){.states = g.states});
        g.answers = response_cache_new();
        struct client *client = client_from_cgi();
        gateway_serve(&g, client);
        client_free(client);
        end_answer();
        bookkeeper_free(g.books);
        state_holder_free(g.states);
        response_cache_free(g.answers);
        upstream_pool_free(g.pool);
        config_watch_free(g.watch);
        return 0;
}

/* ---- FastCGI ---- */

/* Lines of the start go to stderr, which a spawning web server may have thrown away, and are kept for the
 * first request. */
static void early_line(void *context, const char *line, size_t len)
{
        struct buf *kept = context;
        buf_add(kept, line, len);
        ssize_t n;
        do
                n = write(STDERR_FILENO, line, len);
        while (n < 0 && errno == EINTR);
}

/* What no request came to tell. */
static void tell_kept_log(struct gateway *g)
{
        char *text = atomic_exchange(&g->kept_log, NULL);
        if (text)
                fputs(text, stderr);
        free(text);
}

static int worker_count(const struct options *o, struct config_watch *watch)
{
        const struct config *c = config_watch_get(watch);
        int64_t n = o->workers ? o->workers : c ? c->workers : WORKERS_DEFAULT;
        if (c)
                config_unref(c);
        return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (int)n;
}

static int serve_fastcgi(const struct options *o)
{
        struct gateway g = {.socket_is_remote = is_remote(LISTENER)};
        struct buf early;
        sigset_t ends;
        int number;
        buf_init(&early, EARLY_LOG_MAX);
        log_bind(early_line, &early, NULL);
        g.watch = config_watch_new(o->config);
        gateway_set_workers(&g, worker_count(o, g.watch));
        g.states = state_holder_new();
        g.answers = response_cache_new();
        log_bind(NULL, NULL, NULL);
        atomic_store(&g.kept_log, early.data);
        log_bind(gateway_log_line, &g, NULL);
        g.books = bookkeeper_new(&(struct bookkeeper_options){.watch = g.watch,
                                                              .states = g.states,
                                                              .threaded = true,
                                                              .log_sink = gateway_log_line,
                                                              .log_context = &g});
        log_bind(NULL, NULL, NULL);
        g.pool = upstream_pool_new();

        /* Blocked before the threads begin, which inherit it: only the wait below sees them. */
        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGINT);
        sigaddset(&ends, SIGUSR1); /* lighttpd's and libfcgi's graceful end */
        pthread_sigmask(SIG_BLOCK, &ends, NULL);
        struct workers *w = workers_start(&g, LISTENER, g.workers);
        if (!w)
                return EXIT_ENVIRONMENT;
        while (sigwait(&ends, &number) != 0)
                continue;
        if (!workers_stop(w, DRAIN_MS)) {
                log_warn("requests were still running at the end");
                _exit(0);
        }
        bookkeeper_free(g.books);
        state_holder_free(g.states);
        response_cache_free(g.answers);
        upstream_pool_free(g.pool);
        config_watch_free(g.watch);
        tell_kept_log(&g);
        return 0;
}

int main(int argc, char **argv)
{
        struct options options = {0};
        keep_memory_private();
        keep_memory_small();
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_DFL); /* an alert's program is waited for, whatever a web server ignored */
        /* Before any look at the arguments: as CGI they are the query's words, a stranger's. */
        bool cgi = FCGX_IsCGI();
        if (!cgi)
                keep_threads_small(argv);
        if (cgi && asked_by_web_server())
                return serve_cgi();
        int status = read_options(argc, argv, &options);
        if (status >= 0)
                return status;
        if (cgi) {
                fputs("tollgate.fcgi: standard input is no FastCGI socket, and this is no CGI request\n",
                      stderr);
                return wrong_use();
        }
        return serve_fastcgi(&options);
}
