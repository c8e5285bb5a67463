/* tollgate(1): the operator's command line. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static const struct cli_command *const commands[] = {
        &cli_ask,   &cli_check, &cli_key,  &cli_models, &cli_pin,     &cli_reset,   &cli_status,
        &cli_usage, &cli_log,   &cli_show, &cli_topup,  &cli_balance, &cli_invoice, &cli_backup};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *f)
{
        fprintf(f, "usage: tollgate [-c FILE] COMMAND …\n\n");
        for (size_t i = 0; i < COMMANDS; i++)
                fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
        fprintf(f, "\n`tollgate COMMAND --help` tells its options; tollgate(1) tells all.\n");
}

static const struct cli_command *command_find(const char *name)
{
        const struct cli_command *near = NULL;
        unsigned distance = 3;
        for (size_t i = 0; i < COMMANDS; i++) {
                if (strcmp(commands[i]->name, name) == 0)
                        return commands[i];
                unsigned d = text_distance(commands[i]->name, name);
                if (d < distance) {
                        distance = d;
                        near = commands[i];
                }
        }
        fprintf(stderr, "tollgate: unknown command %s", name);
        if (near)
                fprintf(stderr, "; did you mean %s?", near->name);
        fprintf(stderr, "\n");
        return NULL;
}

int main(int argc, char **argv)
{
        const char *config_path = NULL;
        int i = 1;
        for (; i < argc && argv[i][0] == '-'; i++) {
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                        usage(stdout);
                        return CLI_DONE;
                }
                if (strcmp(argv[i], "--version") == 0) {
                        printf("tollgate %s\n", PACKAGE_VERSION);
                        return CLI_DONE;
                }
                if (strcmp(argv[i], "-c") != 0 || i + 1 == argc) {
                        fprintf(stderr, "tollgate: unknown option %s\n", argv[i]);
                        usage(stderr);
                        return CLI_USAGE;
                }
                config_path = argv[++i];
        }
        if (i == argc) {
                usage(stderr);
                return CLI_USAGE;
        }
        const struct cli_command *command = command_find(argv[i]);
        if (!command)
                return CLI_USAGE;
        enum cli_exit out = command->run(command, config_path, argc - i, argv + i);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                fprintf(stderr, "tollgate: standard output could not be written\n");
                return CLI_FAILED;
        }
        return out;
}
