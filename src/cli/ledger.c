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

static bool is_id(const char *name)
{
        return strcmp(name, "id") == 0 || strcmp(name, "request") == 0;
}

void cli_json_columns(struct json_writer *w, const struct ledger_column *columns, size_t count,
                      const void *row)
{
        for (size_t i = 0; i < count; i++) {
                const void *at = (const char *)row + columns[i].offset;
                char id[24];
                if (columns[i].type == LEDGER_TEXT) {
                        jw_key_string(w, columns[i].name, *(const char *const *)at);
                } else if (is_id(columns[i].name)) {
                        snprintf(id, sizeof id, "%lld", (long long)*(const int64_t *)at);
                        jw_key_string(w, columns[i].name, id);
                } else {
                        jw_key_int(w, columns[i].name, *(const int64_t *)at);
                }
        }
}
