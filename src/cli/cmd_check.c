#include <pwd.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"

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
        if (json)
                print_json(path, &report);
        else
                print_text(path, c, &report);
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
