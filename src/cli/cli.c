#include "cli/cli.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

void cli_help(const struct cli_command *command)
{
        printf("usage: tollgate %s %s\n\n%s.\n\n%s", command->name, command->arguments, command->summary,
               command->help);
}

enum cli_exit cli_misuse(const struct cli_command *command, const char *fmt, ...)
{
        va_list ap;
        fprintf(stderr, "tollgate %s: ", command->name);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fprintf(stderr, "\nusage: tollgate %s %s\n", command->name, command->arguments);
        return CLI_USAGE;
}

static const struct cli_option *option_find(const struct cli_option *options, size_t count, const char *name,
                                            size_t len)
{
        for (size_t i = 0; i < count; i++) {
                if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
                        return &options[i];
        }
        return NULL;
}

/* argv ends in NULL. */
static bool begins_with_digit(const char *word)
{
        return word && *word >= '0' && *word <= '9';
}

bool cli_parse(const struct cli_command *command, const struct cli_option *options, size_t count,
               const char **config_path, int *argc, char **argv, enum cli_exit *out)
{
        const struct cli_option everywhere = {.name = "-c", .value = config_path};
        int kept = 1;
        bool only_arguments = false;
        for (int i = 1; i < *argc; i++) {
                char *word = argv[i];
                if (only_arguments || word[0] != '-' || word[1] == '\0') {
                        argv[kept++] = word;
                        continue;
                }
                if (strcmp(word, "--") == 0) {
                        only_arguments = true;
                        continue;
                }
                if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
                        cli_help(command);
                        *out = CLI_DONE;
                        return false;
                }
                const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
                size_t len = equals ? (size_t)(equals - word) : strlen(word);
                const struct cli_option *o =
                        strcmp(word, "-c") == 0 ? &everywhere : option_find(options, count, word, len);
                if (!o || (equals && !o->value)) {
                        *out = cli_misuse(command, "unknown option %s", word);
                        return false;
                }
                if (o->flag)
                        *o->flag = true;
                if (!o->value || (o->flag && !equals && !begins_with_digit(argv[i + 1]))) {
                        continue;
                } else if (equals) {
                        *o->value = equals + 1;
                } else if (i + 1 < *argc) {
                        *o->value = argv[++i];
                } else {
                        *out = cli_misuse(command, "%s wants a value", word);
                        return false;
                }
        }
        *argc = kept - 1;
        return true;
}

bool cli_become(const struct cli_command *command, const char *name, uid_t uid, gid_t gid)
{
        if (uid == geteuid())
                return true;
        if ((name ? initgroups(name, gid) : setgroups(0, NULL)) == 0 && setgid(gid) == 0 && setuid(uid) == 0)
                return true;
        fprintf(stderr, "tollgate %s: cannot become ", command->name);
        if (name)
                fprintf(stderr, "%s: %s\n", name, strerror(errno));
        else
                fprintf(stderr, "user %lu: %s\n", (unsigned long)uid, strerror(errno));
        return false;
}

void cli_print_problem(bool to_stdout, const struct config_problem *p)
{
        FILE *f = to_stdout ? stdout : stderr;
        const char *kind = p->warning ? "warning" : "error";
        if (p->line)
                fprintf(f, "%s:%d: %s: %s\n", p->file, p->line, kind, p->text);
        else
                fprintf(f, "%s: %s: %s\n", p->file, kind, p->text);
}

const struct config *cli_load(const char *path)
{
        struct config_report report;
        const struct config *c = config_load(path, &report);
        for (size_t i = 0; !c && i < report.count; i++) {
                if (!report.problems[i].warning)
                        cli_print_problem(false, &report.problems[i]);
        }
        config_report_free(&report);
        return c;
}
