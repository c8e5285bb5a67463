/* The ledger for commands: opened as its owner, as the state is. */
#ifndef TOLLGATE_CLI_LEDGER_H
#define TOLLGATE_CLI_LEDGER_H

#include "base/json.h"
#include "cli/cli.h"
#include "store/ledger.h"

/* NULL: told, and the exit is CLI_FAILED. It is never made here. */
struct ledger *cli_open_ledger(const struct cli_command *command, const struct config *c,
                               enum ledger_mode mode);

/* Members of an object by a table of columns. Ids are strings: many programs hold numbers to 53 bits only. */
void cli_json_columns(struct json_writer *w, const struct ledger_column *columns, size_t count,
                      const void *row);

#endif
