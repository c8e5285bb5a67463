/* The ledger for commands: opened as its owner, as the state is. */
#ifndef TOLLGATE_CLI_LEDGER_H
#define TOLLGATE_CLI_LEDGER_H

#include "cli/cli.h"
#include "store/ledger.h"

/* NULL: told, and the exit is CLI_FAILED. It is never made here. */
struct ledger *cli_open_ledger(const struct cli_command *command, const struct config *c,
                               enum ledger_mode mode);

#endif
