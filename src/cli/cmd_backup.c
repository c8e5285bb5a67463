/* tollgate backup: a copy of the ledger. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/ledger.h"

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        enum cli_exit status = CLI_FAILED;
        char why[512] = "";
        if (!cli_parse(command, NULL, 0, &config_path, &argc, argv, &status))
                return status;
        if (argc != 1)
                return cli_misuse(command, "expected the file to be made");
        const struct config *c = cli_load(config_path);
        struct ledger *l = c ? cli_open_ledger(command, c, LEDGER_READ) : NULL;
        status = l && ledger_backup(l, argv[1], why) ? CLI_DONE : CLI_FAILED;
        if (*why)
                fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        ledger_close(l);
        config_unref(c);
        return status;
}

const struct cli_command cli_backup = {
        .name = "backup",
        .arguments = "FILE [-c FILE]",
        .summary = "Copies the ledger while it is in use",
        .help = "  -c FILE   configuration\n"
                "\n"
                "FILE must not be there yet. Run by root, it is made by the ledger's owner, who must be able "
                "to\n"
                "write there.\n",
        .run = run,
};
