#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* On every worker's stack: what a deep call touches once stays resident for as long as the thread lives. */
enum { LINE_BYTES = 2048, HEAD_BYTES = 128 };

static const char *const level_names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARN] = "warn",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
};

/* The one process-wide state of the log: level and file, guarded by `lock`. */
static struct {
        pthread_mutex_t lock;
        _Atomic int level;
        int fd;
        char file[4096];
        int64_t looked_ms;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_LEVEL_INFO, .fd = -1};

static _Thread_local struct {
        log_sink_fn *sink;
        void *context;
        const char *request_id;
} bound;

static void open_file(void)
{
        if (state.fd >= 0)
                close(state.fd);
        state.fd = open(state.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        state.looked_ms = clock_now_ms();
}

void log_configure(enum log_level level, const char *file)
{
        pthread_mutex_lock(&state.lock);
        atomic_store(&state.level, (int)level);
        const char *name = file ? file : "";
        if (strcmp(name, state.file) != 0) {
                if (state.fd >= 0)
                        close(state.fd);
                state.fd = -1;
                snprintf(state.file, sizeof state.file, "%s", name);
                if (*name)
                        open_file();
        }
        pthread_mutex_unlock(&state.lock);
}

bool log_enabled(enum log_level level)
{
        return (int)level <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

void log_bind(log_sink_fn *sink, void *context, const char *request_id)
{
        bound.sink = sink;
        bound.context = context;
        bound.request_id = request_id;
}

/* logrotate moves the file away: look once a second whether the name still means our descriptor. */
static void reopen_if_moved(void)
{
        int64_t now = clock_now_ms();
        if (now - state.looked_ms < 1000)
                return;
        state.looked_ms = now;
        struct stat named, held;
        if (state.fd < 0 || stat(state.file, &named) != 0 || fstat(state.fd, &held) != 0 ||
            named.st_ino != held.st_ino || named.st_dev != held.st_dev)
                open_file();
}

static void write_all(int fd, const char *line, size_t len)
{
        ssize_t written;
        do
                written = write(fd, line, len);
        while (written < 0 && errno == EINTR);
}

static void emit(const char *line, size_t len)
{
        pthread_mutex_lock(&state.lock);
        bool to_file = state.file[0] != '\0';
        if (to_file) {
                reopen_if_moved();
                if (state.fd >= 0)
                        write_all(state.fd, line, len);
                to_file = state.fd >= 0;
        }
        pthread_mutex_unlock(&state.lock);
        if (to_file)
                return;
        if (bound.sink)
                bound.sink(bound.context, line, len);
        else
                write_all(STDERR_FILENO, line, len);
}

static bool is_plain(const char *s, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                if (s[i] < ' ' || s[i] > '~')
                        return false;
        }
        return true;
}

/* Moves the message to the front of its own buffer, escaped. Returns its length there. */
static size_t place_message(char *to, size_t room, const char *message)
{
        size_t len = strlen(message);
        if (is_plain(message, len)) {
                memmove(to, message, len);
                return len;
        }
        char *copy = strdup(message);
        if (!copy)
                return 0;
        len = text_escape(to, room, copy, len);
        free(copy);
        return len;
}

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
        char line[LINE_BYTES], stamp[32];
        int saved = errno;
        vsnprintf(line + HEAD_BYTES, sizeof line - HEAD_BYTES - 1, fmt, ap);
        clock_format(clock_unix_ms(), stamp);
        int head = snprintf(line, HEAD_BYTES, "%s tollgate %s %.64s ", stamp, level_names[level],
                            bound.request_id ? bound.request_id : "-");
        size_t len = (size_t)head;
        len += place_message(line + len, sizeof line - len - 1, line + HEAD_BYTES);
        line[len++] = '\n';
        emit(line, len);
        errno = saved;
}

#define DEFINE_LOG(name, level)                                                                              \
        void name(const char *fmt, ...)                                                                      \
        {                                                                                                    \
                if (!log_enabled(level))                                                                     \
                        return;                                                                              \
                va_list ap;                                                                                  \
                va_start(ap, fmt);                                                                           \
                log_line(level, fmt, ap);                                                                    \
                va_end(ap);                                                                                  \
        }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
