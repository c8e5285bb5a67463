#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/arena.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "policy/advice.h"
#include "store/state.h"

enum { JSON_MAX = 4 << 20 };

/* From here on files are tried as that user. */
static bool become(const struct cli_command *command, const char *user)
{
        const struct passwd *pw = getpwnam(user);
        if (pw)
                return cli_become(command, user, pw->pw_uid, pw->pw_gid);
        fprintf(stderr, "tollgate check: there is no user %s\n", user);
        return false;
}

/* ---------------------------------------------------------------- what loading does not look at */

/* Problems found, with more warnings behind them. */
struct findings {
        struct arena *arena;
        const char *path;
        struct config_report report;
        size_t size;
};

static void add_warning(void *context, const char *text)
{
        struct findings *f = context;
        struct config_report *r = &f->report;
        if (r->count == f->size) {
                size_t size = 2 * f->size + 16;
                struct config_problem *list = arena_alloc(f->arena, size * sizeof *list);
                if (r->count)
                        memcpy(list, r->problems, r->count * sizeof *list);
                r->problems = list;
                f->size = size;
        }
        ((struct config_problem *)r->problems)[r->count++] =
                (struct config_problem){.warning = true, .file = f->path, .text = text};
        r->warnings++;
}

/* As the user who will run it, the file itself can be tried. */
static const char *try_state(struct findings *f, const struct config *c, const char *folder)
{
        enum state_problem problem;
        char why[512] = "";
        const struct state_options options = {.path = c->state, .config_path = c->path};
        struct state *s = state_open(&options, &problem, why);
        state_close(s);
        if (!s && problem != STATE_ABSENT)
                return arena_printf(f->arena, "state: %s", why);
        if (!s && access(folder, W_OK | X_OK) != 0)
                return arena_printf(f->arena, "state: the folder %s cannot be written: %s", folder,
                                    strerror(errno));
        return NULL;
}

static void check_state(struct findings *f, const struct config *c, bool as_user)
{
        const char *slash = *c->state ? strrchr(c->state, '/') : NULL;
        struct stat st;
        if (!slash)
                return;
        const char *folder =
                slash == c->state ? "/" : arena_strndup(f->arena, c->state, (size_t)(slash - c->state));
        bool there = stat(folder, &st) == 0;
        if (!there || !S_ISDIR(st.st_mode)) {
                add_warning(f, arena_printf(f->arena, "state: the folder %s: %s", folder,
                                            there ? "is none" : strerror(errno)));
                return;
        }
        const char *why = state_place_warning(c->state);
        if (why)
                add_warning(f, arena_printf(f->arena, "state: %s: %s", c->state, why));
        why = as_user ? try_state(f, c, folder) : NULL;
        if (why)
                add_warning(f, why);
}

/* ---------------------------------------------------------------- output */

static void print_json(const char *path, const struct config_report *r)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, JSON_MAX);
        json_writer_init(&w, &text);
        jw_object(&w);
        jw_key_string(&w, "file", path);
        jw_key_bool(&w, "good", r->errors == 0);
        jw_key_int(&w, "errors", (int64_t)r->errors);
        jw_key_int(&w, "warnings", (int64_t)r->warnings);
        jw_key_array(&w, "problems");
        for (size_t i = 0; i < r->count; i++) {
                const struct config_problem *p = &r->problems[i];
                jw_object(&w);
                jw_key_string(&w, "severity", p->warning ? "warning" : "error");
                jw_key_string(&w, "file", p->file);
                if (p->line)
                        jw_key_int(&w, "line", p->line);
                else
                        jw_key_null(&w, "line");
                jw_key_string(&w, "text", p->text);
                jw_end(&w);
        }
        jw_end(&w);
        jw_end(&w);
        if (jw_done(&w))
                puts(text.data);
        buf_release(&text);
}

static void print_text(const char *path, const struct config *c, const struct config_report *r)
{
        for (size_t i = 0; i < r->count; i++)
                cli_print_problem(true, &r->problems[i]);
        if (c)
                printf("%s: good: %zu provider%s, %zu model%s, %zu account%s, %zu warning%s\n", path,
                       c->provider_count, c->provider_count == 1 ? "" : "s", c->model_count,
                       c->model_count == 1 ? "" : "s", c->account_count, c->account_count == 1 ? "" : "s",
                       r->warnings, r->warnings == 1 ? "" : "s");
        else
                printf("%s: %zu error%s, %zu warning%s\n", path, r->errors, r->errors == 1 ? "" : "s",
                       r->warnings, r->warnings == 1 ? "" : "s");
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        const char *user = NULL;
        bool json = false;
        enum cli_exit out;
        const struct cli_option options[] = {{"--as", &user, NULL}, {"--json", NULL, &json}};
        if (!cli_parse(command, options, 2, &config_path, &argc, argv, &out))
                return out;
        if (argc)
                return cli_misuse(command, "it takes no arguments");
        if (user && !become(command, user))
                return CLI_FAILED;
        struct config_report report;
        const char *path = config_path ? config_path : config_default_path();
        const struct config *c = config_load(config_path, &report);
        struct findings all = {.arena = arena_new(), .path = path, .report = report, .size = report.count};
        if (c) {
                advice_give(c, clock_unix(), all.arena, add_warning, &all);
                check_state(&all, c, user != NULL);
        }
        if (json)
                print_json(path, &all.report);
        else
                print_text(path, c, &all.report);
        arena_free(all.arena);
        config_report_free(&report);
        config_unref(c);
        return c ? CLI_DONE : CLI_NO;
}

const struct cli_command cli_check = {
        .name = "check",
        .arguments = "[-c FILE] [--as USER] [--json]",
        .summary = "Checks the configuration and prints all that is wrong with it",
        .help = "  -c FILE      the configuration file\n"
                "  --as USER    tries the files as that user, such as the web server's (needs root)\n"
                "  --json       prints an object for programs\n",
        .run = run,
};
