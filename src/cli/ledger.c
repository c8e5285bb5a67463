#include "cli/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct ledger *refuse(const struct cli_command *command, const char *path, const char *why)
{
        fprintf(stderr, "tollgate %s: %s: %s\n", command->name, path, why);
        return NULL;
}

struct ledger *cli_open_ledger(const struct cli_command *command, const struct config *c,
                               enum ledger_mode mode)
{
        struct stat st;
        char why[512] = "";
        if (!c->ledger || !*c->ledger)
                return refuse(command, c->path, "`ledger` names no file: nothing is counted");
        if (lstat(c->ledger, &st) != 0)
                return refuse(command, c->ledger,
                              errno == ENOENT ? "there is no ledger yet: the responder makes it once it runs"
                                              : strerror(errno));
        if (!cli_become_owner(command, c->ledger, &st))
                return NULL;
        struct ledger *l = ledger_open(c->ledger, mode, NULL, why);
        if (!l)
                fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return l;
}
