/* Puts versions in force, and back: rows of the included pins.conf. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/pins.h"
#include "config/setting.h"

enum { JSON_MAX = 4 << 20, WHY_MAX = 500, BY_MAX = 100, TIME_TEXT = 32 };

struct pin_options {
        const char *config_path, *why, *by;
        const char *model, *version;
        bool rollback, history, json;
};

/* ---------------------------------------------------------------- what is in force, and was */

static void print_in_force(const struct config_model *m)
{
        const struct config_pin *pin = m->pin;
        printf("%s: %s", m->name, m->use->name);
        if (pin)
                printf(", pinned%s%s%s%s%s%s", pin->by ? " by " : "", pin->by ? pin->by : "",
                       pin->at ? " at " : "", pin->at ? pin->at : "", pin->why && *pin->why ? ": " : "",
                       pin->why ? pin->why : "");
        if (m->canary)
                printf("; canary %s for %lld%%", m->canary->name, (long long)m->canary_percent);
        printf("\n");
}

static void json_pin(struct json_writer *w, const struct config_pin *pin)
{
        if (pin->by)
                jw_key_string(w, "by", pin->by);
        if (pin->at)
                jw_key_string(w, "at", pin->at);
        if (pin->why)
                jw_key_string(w, "why", pin->why);
}

static void json_in_force(struct json_writer *w, const struct config_model *m)
{
        jw_object(w);
        jw_key_string(w, "model", m->name);
        jw_key_string(w, "version", m->use->name);
        jw_key_bool(w, "pinned", m->pin != NULL);
        if (m->pin)
                json_pin(w, m->pin);
        if (m->canary) {
                jw_key_object(w, "canary");
                jw_key_string(w, "version", m->canary->name);
                jw_key_int(w, "percent", m->canary_percent);
                jw_end(w);
        }
        jw_end(w);
}

static void print_row(const struct config *c, const struct config_pin *pin)
{
        const struct config_model *m = config_find_model(c, pin->model);
        printf("%s %s %s %s%s%s%s\n", pin->at ? pin->at : "-", pin->model, pin->use, pin->by ? pin->by : "-",
               m && m->pin == pin ? " (in force)" : "", pin->why && *pin->why ? ": " : "",
               pin->why ? pin->why : "");
}

static void json_row(struct json_writer *w, const struct config *c, const struct config_pin *pin)
{
        const struct config_model *m = config_find_model(c, pin->model);
        jw_object(w);
        jw_key_string(w, "model", pin->model);
        jw_key_string(w, "version", pin->use);
        jw_key_bool(w, "in_force", m && m->pin == pin);
        json_pin(w, pin);
        jw_end(w);
}

static bool wanted(const struct pin_options *o, const char *model)
{
        return !o->model || strcmp(o->model, model) == 0;
}

static void list_text(const struct pin_options *o, const struct config *c)
{
        for (size_t i = 0; o->history && i < c->pin_count; i++) {
                if (wanted(o, c->pins[i].model))
                        print_row(c, &c->pins[i]);
        }
        for (size_t i = 0; !o->history && i < c->model_count; i++) {
                if (wanted(o, c->models[i].name))
                        print_in_force(&c->models[i]);
        }
}

static enum cli_exit list_json(const struct pin_options *o, const struct config *c)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, JSON_MAX);
        json_writer_init(&w, &text);
        jw_object(&w);
        jw_key_array(&w, o->history ? "pins" : "models");
        for (size_t i = 0; o->history && i < c->pin_count; i++) {
                if (wanted(o, c->pins[i].model))
                        json_row(&w, c, &c->pins[i]);
        }
        for (size_t i = 0; !o->history && i < c->model_count; i++) {
                if (wanted(o, c->models[i].name))
                        json_in_force(&w, &c->models[i]);
        }
        jw_end(&w);
        jw_end(&w);
        bool whole = jw_done(&w);
        if (whole)
                puts(text.data);
        buf_release(&text);
        return whole ? CLI_DONE : CLI_FAILED;
}

/* ---------------------------------------------------------------- a new pin */

static enum cli_exit refuse(const char *what, const char *name, const char *near)
{
        fprintf(stderr, "tollgate pin: %s \"%s\"%s%s%s\n", what, name, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
        return CLI_NO;
}

/* Half its letters may be wrong, no more. */
static const char *nearer(const char *name, const char *best, const char *candidate)
{
        unsigned distance = text_distance(name, candidate), limit = (unsigned)strlen(name) / 2;
        if (distance > (limit < 1 ? 1 : limit) || (best && distance >= text_distance(name, best)))
                return best;
        return candidate;
}

static const struct config_model *find_model(const struct config *c, const char *name, enum cli_exit *out)
{
        const struct config_model *m = config_find_model(c, name);
        const char *near = NULL;
        for (size_t i = 0; !m && i < c->model_count; i++)
                near = nearer(name, near, c->models[i].name);
        if (!m)
                *out = refuse("there is no model", name, near);
        return m;
}

static const struct config_version *find_version(const struct config_model *m, const char *name,
                                                 enum cli_exit *out)
{
        const struct config_version *v = config_find_version(m, name);
        const char *near = NULL;
        for (size_t i = 0; !v && i < m->version_count; i++)
                near = nearer(name, near, m->versions[i].name);
        if (!v)
                *out = refuse("that model has no version", name, near);
        return v;
}

static bool text_good(const char *s, size_t max)
{
        return !s || (strlen(s) <= max && text_is_utf8(s, strlen(s)) && !value_line(s));
}

/* Who did it: the one behind sudo, not root. The result lives until the next call. */
static const char *operator_name(void)
{
        static const char unknown[] = "unknown";
        const char *sudo = getenv("SUDO_USER");
        if (sudo && *sudo && text_good(sudo, BY_MAX))
                return sudo;
        const struct passwd *pw = getpwuid(getuid());
        return pw && pw->pw_name ? pw->pw_name : unknown;
}

static void time_text(char out[TIME_TEXT])
{
        time_t now = (time_t)clock_unix();
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Would the configuration stand with it, and would it be in force? */
static bool would_stand(const struct pin_options *o, const struct config *c, const struct config_pin *pin,
                        const char *text)
{
        struct config_report report;
        const struct config *next = config_try(o->config_path, c->pins_path, text, &report);
        const struct config_model *m = next ? config_find_model(next, pin->model) : NULL;
        bool good = m && m->pin && strcmp(m->use->name, pin->use) == 0;
        for (size_t i = 0; !next && i < report.count; i++) {
                if (!report.problems[i].warning)
                        cli_print_problem(false, &report.problems[i]);
        }
        if (!good)
                fprintf(stderr, "tollgate pin: the configuration would not stand with this pin; nothing was "
                                "written\n");
        config_report_free(&report);
        config_unref(next);
        return good;
}

static void warn_of_dates(const struct config_model *m, const struct config_version *v)
{
        int64_t now = clock_unix();
        if (v->sunset_unix && now >= v->sunset_unix)
                fprintf(stderr,
                        "tollgate pin: warning: %s@%s is gone since its sunset on %s: callers get %s\n",
                        m->name, v->name, v->sunset, v->after_sunset ? v->after_sunset->name : "a 404");
        else if (v->deprecated_unix && now >= v->deprecated_unix)
                fprintf(stderr, "tollgate pin: warning: %s@%s is deprecated since %s\n", m->name, v->name,
                        v->deprecated);
}

static void tell_done(const struct pin_options *o, const struct config *c, const struct config_model *m,
                      const struct config_pin *pin)
{
        struct buf text;
        struct json_writer w;
        if (!o->json) {
                printf("%s: %s is in force (was %s)\n", m->name, pin->use, m->use->name);
                return;
        }
        buf_init(&text, JSON_MAX);
        json_writer_init(&w, &text);
        jw_object(&w);
        jw_key_string(&w, "model", m->name);
        jw_key_string(&w, "version", pin->use);
        jw_key_string(&w, "previous", m->use->name);
        json_pin(&w, pin);
        jw_key_string(&w, "file", c->pins_path);
        jw_end(&w);
        if (jw_done(&w))
                puts(text.data);
        buf_release(&text);
}

static enum cli_exit write_pin(const struct pin_options *o, const struct config *c,
                               const struct config_model *m, const struct config_pin *pin)
{
        struct buf text;
        char why[PINS_WHY];
        bool done = false;
        buf_init(&text, PINS_TEXT_MAX);
        if (!pins_text(c, pin, &text))
                fprintf(stderr, "tollgate pin: %s would grow too large\n", c->pins_path);
        else if (would_stand(o, c, pin, text.data) && !(done = pins_write(c->pins_path, c->path, &text, why)))
                fprintf(stderr, "tollgate pin: %s\n", why);
        buf_release(&text);
        if (done)
                tell_done(o, c, m, pin);
        return done ? CLI_DONE : CLI_FAILED;
}

/* Under the lock, with what the files say now. */
static enum cli_exit change(const struct pin_options *o, const struct config *c)
{
        enum cli_exit out = CLI_NO;
        char at[TIME_TEXT];
        const struct config_model *m = find_model(c, o->model, &out);
        if (!m)
                return out;
        const char *name = o->rollback ? pins_before(c, m) : o->version;
        if (!name) {
                fprintf(stderr, "tollgate pin: %s: there is no pin to go back from\n", m->name);
                return CLI_NO;
        }
        const struct config_version *v = find_version(m, name, &out);
        if (!v)
                return out;
        warn_of_dates(m, v);
        time_text(at);
        const struct config_pin pin = {
                .model = m->name,
                .use = v->name,
                .by = o->by ? o->by : operator_name(),
                .at = at,
                .why = o->why        ? o->why
                       : o->rollback ? "rollback"
                                     : NULL,
        };
        return write_pin(o, c, m, &pin);
}

/* Where pins are written to; an answer for who has not included the file yet. */
static char *pins_file(const struct config *c)
{
        if (c->pins_path)
                return strdup(c->pins_path);
        fprintf(stderr,
                "tollgate pin: %s does not include the file that pins are written to. Add this line, alone, "
                "at "
                "its end:\n@include \"pins.conf\"\n",
                c->path);
        return NULL;
}

static enum cli_exit change_locked(const struct pin_options *o)
{
        char why[PINS_WHY];
        const struct config *c = cli_load(o->config_path);
        char *path = c ? pins_file(c) : NULL;
        config_unref(c);
        if (!path)
                return CLI_FAILED;
        enum cli_exit out = CLI_FAILED;
        int lock = pins_lock(path, why);
        /* Read again: another run may have pinned until now. */
        c = lock >= 0 ? cli_load(o->config_path) : NULL;
        if (lock < 0)
                fprintf(stderr, "tollgate pin: %s\n", why);
        else if (c && c->pins_path && strcmp(c->pins_path, path) == 0)
                out = change(o, c);
        else if (c)
                fprintf(stderr, "tollgate pin: the configuration changed meanwhile; try again\n");
        config_unref(c);
        if (lock >= 0)
                close(lock);
        free(path);
        return out;
}

/* ---------------------------------------------------------------- the command */

static enum cli_exit list(const struct pin_options *o)
{
        enum cli_exit out = CLI_DONE;
        const struct config *c = cli_load(o->config_path);
        if (!c)
                return CLI_FAILED;
        /* The history may speak of models that are gone. */
        if (o->model && !o->history)
                find_model(c, o->model, &out);
        if (out == CLI_DONE && o->json)
                out = list_json(o, c);
        else if (out == CLI_DONE)
                list_text(o, c);
        config_unref(c);
        return out;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct pin_options o = {0};
        enum cli_exit out;
        const struct cli_option options[] = {
                {"--why", &o.why, NULL},         {"--by", &o.by, NULL},     {"--rollback", NULL, &o.rollback},
                {"--history", NULL, &o.history}, {"--json", NULL, &o.json},
        };
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv, &out))
                return out;
        if (argc > 2 || (o.rollback && argc != 1) || (o.history && (argc > 1 || o.rollback)))
                return cli_misuse(command,
                                  "expected MODEL VERSION, MODEL --rollback, --history [MODEL], or nothing");
        o.config_path = config_path;
        o.model = argc > 0 ? argv[1] : NULL;
        o.version = argc > 1 ? argv[2] : NULL;
        if (!o.version && !o.rollback && (o.why || o.by))
                return cli_misuse(command, "--why and --by go with a new pin");
        if (!text_good(o.why, WHY_MAX) || !text_good(o.by, BY_MAX))
                return cli_misuse(command,
                                  "--why takes up to %d bytes and --by up to %d of UTF-8 without line ends",
                                  WHY_MAX, BY_MAX);
        return o.version || o.rollback ? change_locked(&o) : list(&o);
}

const struct cli_command cli_pin = {
        .name = "pin",
        .arguments =
                "[-c FILE] [MODEL VERSION | MODEL --rollback | --history [MODEL]] [--why TEXT] [--by NAME] "
                "[--json]",
        .summary = "Puts a version of a model in force, or back, and keeps who did it, when and why",
        .help = "  -c FILE        the configuration file; it includes pins.conf, which is written\n"
                "  MODEL VERSION  puts the version in force\n"
                "  --rollback     puts the one in force that was before\n"
                "  --history      lists all pins, of one model where it is named; the last one is in force\n"
                "  --why TEXT     the reason, for the history\n"
                "  --by NAME      who it was; else the user behind sudo, else the user\n"
                "  --json         prints an object for programs\n"
                "Without arguments it lists the versions in force.\n",
        .run = run,
};
