/*
 * The operator's command line (contract §1): a table of commands, one file each. What a command prints for
 * reading goes to standard output, what went wrong to standard error.
 */
#ifndef TOLLGATE_CLI_CLI_H
#define TOLLGATE_CLI_CLI_H

#include <stdbool.h>
#include <sys/types.h>
#include "config/config.h"
#include "store/state.h"

enum cli_exit {
        CLI_DONE,
        CLI_NO,     /* a negative answer: a check failed, a model refused */
        CLI_USAGE,  /* wrong use */
        CLI_FAILED, /* the environment failed: a file, the network, the random source */
};

struct cli_command {
        const char *name;
        const char *arguments; /* of the usage line */
        const char *summary;   /* a line */
        const char *help;      /* whole lines about the options */
        /* config_path NULL: the default one. argv[0] is the command's name. */
        enum cli_exit (*run)(const struct cli_command *command, const char *config_path, int argc,
                             char **argv);
};

extern const struct cli_command cli_ask, cli_check, cli_key, cli_models, cli_pin, cli_reset, cli_status;
extern const struct cli_command cli_topup, cli_balance, cli_invoice;
extern const struct cli_command cli_usage, cli_log, cli_show, cli_backup;

/*
 * Options of a command: "-m VALUE", "--name VALUE", "--name=VALUE", "--flag", in any order between the
 * arguments; behind
 * "--" all are arguments. "-" is an argument. `-c` and `--help` are known everywhere.
 */
struct cli_option {
        const char *name;   /* "--image" or "-m" */
        const char **value; /* NULL: a flag */
        bool *flag;         /* with a value too: set, and the value may be left out; the next word is it where
                               it begins with a digit */
};
/* Moves the arguments to the front of argv[1…] and their count to *argc. False: *out says how to leave (help
 * was asked for, or the use was wrong; both have been told). */
bool cli_parse(const struct cli_command *command, const struct cli_option *options, size_t count,
               const char **config_path, int *argc, char **argv, enum cli_exit *out);
enum cli_exit cli_misuse(const struct cli_command *command, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void cli_help(const struct cli_command *command);
/* Becomes the user from here on; there is no way back. False: told. name NULL: of no user that has a name. */
bool cli_become(const struct cli_command *command, const char *name, uid_t uid, gid_t gid);
/* The state and the ledger belong to the user of the responder: root becomes that user, others are refused
 * (told). */
struct stat;
bool cli_become_owner(const struct cli_command *command, const char *path, const struct stat *st);
/* What load has to say, as file:line: lines on standard error (or out). False when any is an error. */
const struct config *cli_load(const char *path);
void cli_print_problem(bool to_stdout, const struct config_problem *p);

/*
 * The shared state (SECURITY item 18): run by root, this becomes its owner before it is opened, so that
 * nothing is left there that the responder may not write; it is never made here. NULL: told, and the exit is
 * CLI_FAILED.
 */
struct state *cli_open_state(const struct cli_command *command, const struct config *c);

#endif
