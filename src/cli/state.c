#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static struct state *refuse(const struct cli_command *command, const char *path, const char *why)
{
        fprintf(stderr, "tollgate %s: %s: %s\n", command->name, path, why);
        return NULL;
}

bool cli_become_owner(const struct cli_command *command, const char *path, const struct stat *st)
{
        const struct passwd *pw = getpwuid(st->st_uid);
        if (geteuid() == st->st_uid)
                return true;
        if (geteuid() == 0)
                return cli_become(command, pw ? pw->pw_name : NULL, st->st_uid, pw ? pw->pw_gid : st->st_gid);
        if (pw)
                fprintf(stderr, "tollgate %s: %s belongs to %s: run this as root or as that user\n",
                        command->name, path, pw->pw_name);
        else
                fprintf(stderr, "tollgate %s: %s belongs to user %lu: run this as root or as that user\n",
                        command->name, path, (unsigned long)st->st_uid);
        return false;
}

struct state *cli_open_state(const struct cli_command *command, const struct config *c)
{
        static const char absent[] = "there is no state yet: the responder makes it once it runs";
        struct stat st;
        enum state_problem problem;
        char why[512] = "";
        if (!c->state || !*c->state)
                return refuse(command, c->path, "`state` names no file: each process has a state of its own");
        if (lstat(c->state, &st) != 0)
                return refuse(command, c->state, errno == ENOENT ? absent : strerror(errno));
        if (!cli_become_owner(command, c->state, &st))
                return NULL;
        const struct state_options options = {.path = c->state, .config_path = c->path};
        struct state *s = state_open(&options, &problem, why);
        if (s)
                return s;
        if (problem == STATE_ABSENT)
                return refuse(command, c->state, absent);
        fprintf(stderr, "tollgate %s: %s\n", command->name, why);
        return NULL;
}
