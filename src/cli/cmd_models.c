#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"
#include "policy/catalogue.h"

enum { TEXT_MAX = 16 << 20 };

static const struct {
        unsigned bit;
        const char *name;
} tasks[] = {{TASK_CHAT, "chat"}, {TASK_VISION, "vision"}, {TASK_EMBED, "embed"}};
enum { TASKS = sizeof tasks / sizeof *tasks };

static const char *const reasonings[] = {
        [REASONING_UNSET] = NULL,      [REASONING_NONE] = "none",   [REASONING_EFFORT] = "effort",
        [REASONING_BUDGET] = "budget", [REASONING_LEVEL] = "level", [REASONING_ADAPTIVE] = "adaptive",
};

/* A row for many models says what those of them that only embed never do. */
static struct model_caps target_caps(const struct config *c, const struct config_target *t)
{
        struct model_caps caps = {0};
        catalogue_target_caps(c, t, &caps);
        if (caps.tasks == TASK_EMBED)
                caps = (struct model_caps){.window = caps.window, .retires = caps.retires};
        return caps;
}

/* What is known of a target, in brief. */
struct trait {
        const char *name;
        enum tri value;
};
enum { TRAITS = 4 };

static void traits_of(const struct model_caps *caps, struct trait out[TRAITS])
{
        out[0] = (struct trait){"vision", caps->vision};
        out[1] = (struct trait){"documents", caps->documents};
        out[2] = (struct trait){"audio", caps->audio};
        out[3] = (struct trait){"tools", caps->tools};
}

/* ---------------------------------------------------------------- for reading */

static void print_target(const struct config *c, const struct config_target *t)
{
        const struct model_caps caps = target_caps(c, t);
        struct trait traits[TRAITS];
        traits_of(&caps, traits);
        printf("    %s/%s (%s)", t->provider->name, t->model, t->provider->dialect);
        if (caps.window)
                printf(", window %lld", (long long)caps.window);
        if (caps.max_output)
                printf(", output %lld", (long long)caps.max_output);
        for (size_t i = 0; i < TRAITS; i++) {
                if (traits[i].value != TRI_UNSET)
                        printf(", %s%s", traits[i].value == TRI_NO ? "no " : "", traits[i].name);
        }
        if (reasonings[caps.reasoning])
                printf(", reasoning %s", reasonings[caps.reasoning]);
        if (caps.retires)
                printf(", retires %s", caps.retires);
        if (t->provider->out_of_service)
                printf("\n      out of service: %s", t->provider->out_of_service);
        printf("\n");
}

static void print_version(const struct config_model *m, const struct config_version *v)
{
        bool force = v == m->use;
        printf("  %s@%s", m->name, v->name);
        if (force && m->pin)
                printf(" (in force, pinned%s%s)", m->pin->by ? " by " : "", m->pin->by ? m->pin->by : "");
        else if (force)
                printf(" (in force)");
        if (v == m->canary)
                printf(" (canary for %lld%%)", (long long)m->canary_percent);
        if (v->deprecated)
                printf(", deprecated %s", v->deprecated);
        if (v->sunset)
                printf(", sunset %s", v->sunset);
        if (v->after_sunset)
                printf(", then %s", v->after_sunset->name);
        printf("\n");
}

static void print_text(const struct config *c)
{
        for (size_t i = 0; i < c->model_count; i++) {
                const struct config_model *m = &c->models[i];
                const char *comma = "";
                printf("%s: ", m->name);
                for (size_t k = 0; k < TASKS; k++) {
                        if (m->tasks & tasks[k].bit) {
                                printf("%s%s", comma, tasks[k].name);
                                comma = ", ";
                        }
                }
                printf("\n");
                for (size_t k = 0; k < m->version_count; k++) {
                        const struct config_version *v = &m->versions[k];
                        print_version(m, v);
                        for (size_t n = 0; n < v->target_count; n++)
                                print_target(c, &v->targets[n]);
                }
        }
        if (!c->model_count)
                printf("no models\n");
}

/* ---------------------------------------------------------------- for programs */

static void json_target(struct json_writer *w, const struct config *c, const struct config_target *t)
{
        const struct model_caps caps = target_caps(c, t);
        struct trait traits[TRAITS];
        traits_of(&caps, traits);
        jw_object(w);
        jw_key_string(w, "provider", t->provider->name);
        jw_key_string(w, "dialect", t->provider->dialect);
        jw_key_string(w, "model", t->model);
        jw_key_bool(w, "in_service", t->provider->out_of_service == NULL);
        if (caps.window)
                jw_key_int(w, "window", caps.window);
        if (caps.max_output)
                jw_key_int(w, "max_output", caps.max_output);
        for (size_t i = 0; i < TRAITS; i++) {
                if (traits[i].value != TRI_UNSET)
                        jw_key_bool(w, traits[i].name, traits[i].value == TRI_YES);
        }
        if (reasonings[caps.reasoning])
                jw_key_string(w, "reasoning", reasonings[caps.reasoning]);
        if (caps.retires)
                jw_key_string(w, "retires", caps.retires);
        jw_end(w);
}

static void json_version(struct json_writer *w, const struct config *c, const struct config_model *m,
                         const struct config_version *v)
{
        jw_object(w);
        jw_key_string(w, "name", v->name);
        jw_key_bool(w, "in_force", v == m->use);
        if (v == m->use)
                jw_key_bool(w, "pinned", m->pin != NULL);
        if (v == m->canary)
                jw_key_int(w, "canary_percent", m->canary_percent);
        if (v->deprecated)
                jw_key_string(w, "deprecated", v->deprecated);
        if (v->sunset)
                jw_key_string(w, "sunset", v->sunset);
        if (v->after_sunset)
                jw_key_string(w, "after_sunset", v->after_sunset->name);
        jw_key_array(w, "targets");
        for (size_t i = 0; i < v->target_count; i++)
                json_target(w, c, &v->targets[i]);
        jw_end(w);
        jw_end(w);
}

static bool print_json(const struct config *c)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, TEXT_MAX);
        json_writer_init(&w, &text);
        jw_object(&w);
        jw_key_array(&w, "models");
        for (size_t i = 0; i < c->model_count; i++) {
                const struct config_model *m = &c->models[i];
                jw_object(&w);
                jw_key_string(&w, "name", m->name);
                jw_key_array(&w, "tasks");
                for (size_t k = 0; k < TASKS; k++) {
                        if (m->tasks & tasks[k].bit)
                                jw_string(&w, tasks[k].name);
                }
                jw_end(&w);
                jw_key_array(&w, "versions");
                for (size_t k = 0; k < m->version_count; k++)
                        json_version(&w, c, m, &m->versions[k]);
                jw_end(&w);
                jw_end(&w);
        }
        jw_end(&w);
        jw_end(&w);
        bool whole = jw_done(&w);
        if (whole)
                puts(text.data);
        buf_release(&text);
        return whole;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        bool json = false;
        enum cli_exit out;
        const struct cli_option options[] = {{"--json", NULL, &json}};
        if (!cli_parse(command, options, 1, &config_path, &argc, argv, &out))
                return out;
        if (argc)
                return cli_misuse(command, "it takes no arguments");
        const struct config *c = cli_load(config_path);
        if (!c)
                return CLI_FAILED;
        out = CLI_DONE;
        if (!json)
                print_text(c);
        else if (!print_json(c))
                out = CLI_FAILED;
        config_unref(c);
        return out;
}

const struct cli_command cli_models = {
        .name = "models",
        .arguments = "[-c FILE] [--json]",
        .summary = "Lists the models, their versions and targets, and what the targets can do",
        .help = "  -c FILE      the configuration file\n"
                "  --json       prints an object for programs\n",
        .run = run,
};
