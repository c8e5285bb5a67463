#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/status_table.h"

enum { TEXT_MAX = 8 << 20, EVERY_MS = 2000, EVERY_LEAST_MS = 100, EVERY_MOST_MS = 3600000 };

struct view {
        const struct cli_command *command;
        const struct config *config;
        struct state *state;
        const char *const *names;
        size_t name_count;
        bool json, terminal;
        int64_t every_ms; /* 0: once */
};

/* False: a name that nothing answers to, which has been told. */
static bool make_text(const struct view *v, struct buf *out)
{
        struct arena *a = arena_new();
        bool *found = arena_alloc(a, v->name_count + 1), all = true;
        const struct status_ask ask = {.config = v->config,
                                       .state = v->state,
                                       .unix_ms = clock_unix_ms(),
                                       .names = v->name_count ? v->names : NULL,
                                       .name_count = v->name_count,
                                       .found = found};
        struct status status;
        status_collect(&ask, a, &status);
        if (v->json) {
                status_write(&status, out);
                buf_addc(out, '\n');
        } else {
                status_table(&status, v->terminal, out);
        }
        for (size_t i = 0; i < v->name_count; i++) {
                if (found[i])
                        continue;
                fprintf(stderr, "tollgate %s: there is nothing called %s\n", v->command->name, v->names[i]);
                all = false;
        }
        arena_free(a);
        return all;
}

static enum cli_exit show_once(const struct view *v)
{
        struct buf text;
        buf_init(&text, TEXT_MAX);
        bool all = make_text(v, &text);
        bool whole = !text.failed;
        if (whole)
                fwrite(text.data ? text.data : "", 1, text.len, stdout);
        else
                fprintf(stderr, "tollgate %s: there is too much to show\n", v->command->name);
        buf_release(&text);
        return !whole ? CLI_FAILED : all ? CLI_DONE : CLI_NO;
}

/* ---------------------------------------------------------------- again and again */

/* The alternate screen keeps what was there before; the cursor would only blink. */
static const char screen_enter[] = "\033[?1049h\033[?25l", screen_leave[] = "\033[?25h\033[?1049l";

/* As much of a line as the screen is wide: a longer one would push the rest down. */
static size_t cut_line(const char *line, size_t len, size_t columns)
{
        size_t at = 0;
        for (size_t seen = 0; at < len; at++) {
                if (((unsigned char)line[at] & 0xc0) != 0x80 && seen++ == columns)
                        break;
        }
        return at;
}

static void draw(const struct view *v, const struct buf *text)
{
        struct winsize size = {0};
        char time[32];
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 4 || size.ws_col < 20)
                size = (struct winsize){.ws_row = 24, .ws_col = 80};
        clock_format(clock_unix_ms(), time);
        printf("\033[H%.19sZ, every %g s; Ctrl-C ends\033[K\n\033[K\n", time, (double)v->every_ms / 1000);
        const char *at = text->data ? text->data : "", *end = at + text->len;
        for (unsigned row = 2; at < end && row + 1U < size.ws_row; row++) {
                const char *newline = memchr(at, '\n', (size_t)(end - at));
                size_t len = (size_t)((newline ? newline : end) - at);
                printf("%.*s\033[K\n", (int)cut_line(at, len, size.ws_col), at);
                at += len + (newline != NULL);
        }
        if (at < end)
                printf("…\033[K");
        printf("\033[J");
}

/* Until the next turn. False: a signal says to end. */
static bool wait_turn(const sigset_t *signals, int64_t ms)
{
        const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
        int number;
        do
                number = sigtimedwait(signals, NULL, &time);
        while (number < 0 && errno == EINTR);
        return number < 0 || number == SIGWINCH;
}

static enum cli_exit show_again(const struct view *v)
{
        sigset_t signals;
        struct buf text;
        bool screen = v->terminal && !v->json, good = true;
        /* Blocked and waited for: a signal ends the loop between two pictures, with the screen put back. */
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGHUP);
        sigaddset(&signals, SIGWINCH);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        buf_init(&text, TEXT_MAX);
        if (screen)
                fputs(screen_enter, stdout);
        for (bool first = true;; first = false) {
                buf_reset(&text);
                good = make_text(v, &text) && !text.failed;
                if (!good)
                        break;
                if (screen)
                        draw(v, &text);
                else
                        printf("%s%s", first || v->json ? "" : "\n", text.data ? text.data : "");
                if (fflush(stdout) != 0 || !wait_turn(&signals, v->every_ms))
                        break;
        }
        if (screen)
                fputs(screen_leave, stdout);
        buf_release(&text);
        return good ? CLI_DONE : CLI_NO;
}

static bool read_every(const struct cli_command *command, const char *text, int64_t *ms, enum cli_exit *out)
{
        char *end;
        double seconds = strtod(text, &end);
        if (*end || end == text || !(seconds * 1000 >= EVERY_LEAST_MS && seconds * 1000 <= EVERY_MOST_MS)) {
                *out = cli_misuse(command, "--watch takes seconds from 0.1 to 3600");
                return false;
        }
        *ms = (int64_t)(seconds * 1000);
        return true;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct view v = {.command = command};
        const char *every = NULL;
        bool watch = false;
        enum cli_exit out;
        const struct cli_option options[] = {{"--json", NULL, &v.json}, {"--watch", &every, &watch}};
        if (!cli_parse(command, options, 2, &config_path, &argc, argv, &out))
                return out;
        v.every_ms = watch ? EVERY_MS : 0;
        if (every && !read_every(command, every, &v.every_ms, &out))
                return out;
        v.names = (const char *const *)argv + 1;
        v.name_count = (size_t)argc;
        v.terminal = isatty(STDOUT_FILENO);
        v.config = cli_load(config_path);
        if (!v.config)
                return CLI_FAILED;
        v.state = cli_open_state(command, v.config);
        out = !v.state ? CLI_FAILED : watch ? show_again(&v) : show_once(&v);
        if (v.state)
                state_close(v.state);
        config_unref(v.config);
        return out;
}

const struct cli_command cli_status = {
        .name = "status",
        .arguments = "[-c FILE] [--json] [--watch [SECONDS]] [NAME ...]",
        .summary = "Shows limits, breakers and cool-downs as all processes share them now",
        .help = "  NAME         only these: openai, provider:openai, target:openai/gpt-5.5,\n"
                "               account:helpdesk, caller:staff:user:alice, assistant@2026-08\n"
                "  -c FILE      the configuration file\n"
                "  --json       prints an object for programs\n"
                "  --watch [SECONDS]  shows it again every 2 or SECONDS seconds until Ctrl-C\n",
        .run = run,
};
