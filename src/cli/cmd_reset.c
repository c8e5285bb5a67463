#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "relay/status.h"

enum { TEXT_MAX = 8 << 20, CANDIDATES_SHOWN = 20, NEAR = 3, ESCAPED_ROOM = 4 * SLOT_NAME + 32 };

/* A subject that may be meant: one that the state knows, or one of the configuration. */
struct candidate {
        enum slot_kind kind;
        const char *name;
        bool chosen;
};

struct reset {
        const struct cli_command *command;
        const struct config *config;
        struct state *state;
        struct arena *arena;
        struct candidate *list;
        size_t count, room;
};

static void add(struct reset *r, enum slot_kind kind, const char *name)
{
        for (size_t i = 0; i < r->count; i++) {
                if (r->list[i].kind == kind &&
                    strncmp(r->list[i].name, name, SLOT_NAME - 1) == 0) /* as a slot holds it */
                        return;
        }
        if (r->count == r->room) {
                r->room = r->room ? r->room * 2 : 64;
                r->list = realloc(r->list, r->room * sizeof *r->list);
                if (!r->list)
                        abort();
        }
        r->list[r->count++] = (struct candidate){kind, arena_strdup(r->arena, name), false};
}

static void add_slot(const struct slot *s, void *context)
{
        add(context, s->kind, s->name);
}

static void add_configured(struct reset *r)
{
        const struct config *c = r->config;
        for (size_t i = 0; i < c->account_count; i++)
                add(r, SLOT_ACCOUNT, c->accounts[i].name);
        for (size_t i = 0; i < c->provider_count; i++)
                add(r, SLOT_PROVIDER, c->providers[i].name);
        for (size_t i = 0; i < c->model_count; i++) {
                const struct config_model *m = &c->models[i];
                for (size_t n = 0; n < m->version_count; n++) {
                        const struct config_version *v = &m->versions[n];
                        add(r, SLOT_VERSION, arena_printf(r->arena, "%s@%s", m->name, v->name));
                        for (size_t t = 0; t < v->target_count; t++)
                                add(r, SLOT_TARGET,
                                    arena_printf(r->arena, "%s/%s", v->targets[t].provider->name,
                                                 v->targets[t].model));
                }
        }
}

/* ---------------------------------------------------------------- what is meant */

static void print_name(FILE *f, const char *before, const struct reset *r, const struct candidate *c,
                       const char *after)
{
        char shown[ESCAPED_ROOM];
        const char *name = status_full_name(r->arena, c->kind, c->name);
        text_escape(shown, sizeof shown, name, strlen(name));
        fprintf(f, "%s%s%s", before, shown, after);
}

static bool is_near(const char *word, const char *name)
{
        const char *bare = strchr(word, ':');
        bare = bare ? bare + 1 : word;
        return *bare && (strstr(name, bare) || strstr(bare, name) || text_distance(bare, name) < NEAR);
}

static bool refuse(const struct reset *r, const char *word, bool several)
{
        size_t shown = 0;
        fprintf(stderr, "tollgate %s: %s %s\n", r->command->name, word,
                several ? "may be one of these:" : "is nothing that is configured or that the state knows");
        for (size_t i = 0; i < r->count && shown < CANDIDATES_SHOWN; i++) {
                const struct candidate *c = &r->list[i];
                if (several ? !status_means(word, c->kind, c->name) : !is_near(word, c->name))
                        continue;
                if (!several && !shown)
                        fprintf(stderr, "near it:\n");
                print_name(stderr, "  ", r, c, "\n");
                shown++;
        }
        return false;
}

/* An account is itself and its callers. */
static void choose(struct reset *r, struct candidate *chosen)
{
        chosen->chosen = true;
        for (size_t i = 0; chosen->kind == SLOT_ACCOUNT && i < r->count; i++) {
                struct candidate *c = &r->list[i];
                const struct config_account *of =
                        c->kind == SLOT_CALLER ? status_account_of(r->config, c->name) : NULL;
                if (of && strcmp(of->name, chosen->name) == 0)
                        c->chosen = true;
        }
}

static bool choose_word(struct reset *r, const char *word)
{
        struct candidate *meant = NULL;
        for (size_t i = 0; i < r->count; i++) {
                if (!status_means(word, r->list[i].kind, r->list[i].name))
                        continue;
                if (meant)
                        return refuse(r, word, true);
                meant = &r->list[i];
        }
        if (!meant)
                return refuse(r, word, false);
        choose(r, meant);
        return true;
}

/* ---------------------------------------------------------------- the work */

static void print_json(const struct reset *r, const bool *cleared)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, TEXT_MAX);
        json_writer_init(&w, &text);
        jw_object(&w);
        for (int want = 1; want >= 0; want--) {
                jw_key_array(&w, want ? "cleared" : "untouched");
                for (size_t i = 0; i < r->count; i++) {
                        if (r->list[i].chosen && cleared[i] == (want == 1))
                                jw_string(&w, status_full_name(r->arena, r->list[i].kind, r->list[i].name));
                }
                jw_end(&w);
        }
        jw_end(&w);
        if (jw_done(&w))
                puts(text.data);
        buf_release(&text);
}

static void clear(struct reset *r, bool json)
{
        bool *cleared = arena_alloc(r->arena, r->count + 1), any = false;
        for (size_t i = 0; i < r->count; i++) {
                const struct candidate *c = &r->list[i];
                if (!c->chosen)
                        continue;
                cleared[i] = state_reset(r->state, (struct subject){c->kind, c->name});
                any = true;
                if (!json)
                        print_name(stdout, cleared[i] ? "cleared " : "nothing to clear: ", r, c, "\n");
        }
        if (json)
                print_json(r, cleared);
        else if (!any)
                puts("nothing to clear");
}

static enum cli_exit reset_names(struct reset *r, bool all, bool json, char **names, size_t count)
{
        state_each(r->state, add_slot, r);
        if (!all)
                add_configured(r);
        for (size_t i = 0; all && i < r->count; i++)
                r->list[i].chosen = true;
        /* All of them are known before any is cleared. */
        for (size_t i = 0; i < count; i++) {
                if (!choose_word(r, names[i]))
                        return CLI_NO;
        }
        clear(r, json);
        return CLI_DONE;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct reset r = {.command = command};
        bool all = false, json = false;
        enum cli_exit out;
        const struct cli_option options[] = {{"--all", NULL, &all}, {"--json", NULL, &json}};
        if (!cli_parse(command, options, 2, &config_path, &argc, argv, &out))
                return out;
        if (!all == !argc)
                return cli_misuse(command, all ? "--all takes no names" : "a name is needed, or --all");
        r.config = cli_load(config_path);
        if (!r.config)
                return CLI_FAILED;
        r.arena = arena_new();
        r.state = cli_open_state(command, r.config);
        out = r.state ? reset_names(&r, all, json, argv + 1, (size_t)argc) : CLI_FAILED;
        if (r.state)
                state_close(r.state);
        free(r.list);
        arena_free(r.arena);
        config_unref(r.config);
        return out;
}

const struct cli_command cli_reset = {
        .name = "reset",
        .arguments = "[-c FILE] [--json] NAME ... | --all",
        .summary = "Forgets what the shared state knows of an account, provider, target or version",
        .help = "  NAME         account:helpdesk, provider:openai, target:openai/gpt-5.5,\n"
                "               caller:staff:user:alice, or the name alone where it means one thing;\n"
                "               an account is itself and all its callers\n"
                "  --all        everything\n"
                "  -c FILE      the configuration file\n"
                "  --json       prints an object for programs\n",
        .run = run,
};
