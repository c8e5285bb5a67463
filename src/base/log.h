/*
 * The log: one line an event, `2026-11-22T10:00:00.000Z level request-id message`. Values are escaped by
 * log_line() itself: control bytes and bytes beyond valid UTF-8 become \xNN, so that nothing forges a line or
 * a terminal escape; a line is cut at 2 KiB. Never pass a secret. Where lines go: the file of
 * log_configure(), else this thread's sink (FastCGI's error stream), else stderr.
 */
#ifndef TOLLGATE_BASE_LOG_H
#define TOLLGATE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef void log_sink_fn(void *context, const char *line, size_t len); /* line ends in '\n' */

/* Process-wide. file "" or NULL: sinks. A file that was moved away is opened again (checked once a second).
 */
void log_configure(enum log_level level, const char *file);
bool log_enabled(enum log_level level);

/* For the calling thread; sink NULL: stderr. request_id may be NULL; it is borrowed until the next call. */
void log_bind(log_sink_fn *sink, void *context, const char *request_id);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
