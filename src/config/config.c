#include "config/config.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

#ifndef TOLLGATE_SYSCONFDIR
#define TOLLGATE_SYSCONFDIR "/etc/tollgate"
#endif
#ifndef TOLLGATE_DATADIR
#define TOLLGATE_DATADIR "/usr/share/tollgate"
#endif

/* The tree handed out is `config`; the rest keeps it alive. */
struct tree {
        struct config config;
        struct arena *arena;
        _Atomic unsigned references;
};

static struct tree *tree_of(const struct config *c)
{
        return (struct tree *)((char *)c - offsetof(struct tree, config));
}

const char *config_default_path(void)
{
        const char *path = getenv("TOLLGATE_CONF");
        return path && *path ? path : TOLLGATE_SYSCONFDIR "/tollgate.conf";
}

static const char *shipped_path(struct arena *a, const char *file)
{
        const char *folder = getenv("TOLLGATE_DATADIR");
        return arena_printf(a, "%s/%s", folder && *folder ? folder : TOLLGATE_DATADIR, file);
}

/* libconfig's own words, where it has better ones than "syntax error". */
static void report_syntax(struct problems *p, const struct source *s, const config_t *document)
{
        struct source_line where = source_where(s, (unsigned)config_error_line(document));
        const char *text = config_error_text(document);
        bool vague = !text || strcmp(text, "syntax error") == 0;
        problem_add(p, false, where.file, where.line, "%s",
                    vague ? "syntax error here, or at the end of what stands before: is a comma, a quote or "
                            "a bracket "
                            "missing?"
                          : text);
}

/* Reads a file into libconfig's tree. False: there is nothing to look at; all is reported. */
static bool read_document(struct loader *l, struct source *s, config_t *document, const char *path,
                          bool missing_is_fine)
{
        *s = (struct source){
                .arena = l->arena, .problems = l->problems, .stamps = l->stamps, .swap = l->swap};
        config_init(document);
        size_t errors = l->problems->errors;
        if (!source_read(s, path, missing_is_fine))
                return false;
        l->source = s;
        if (config_read_string(document, s->text.data ? s->text.data : ""))
                return true;
        /* What was found wrong in the text already is told better there. */
        if (l->problems->errors == errors)
                report_syntax(l->problems, s, document);
        return false;
}

static void join(struct arena *a, const void **rows, size_t *count, const void *first, size_t first_count,
                 size_t size)
{
        if (!first_count)
                return;
        char *all = arena_alloc(a, (first_count + *count) * size);
        memcpy(all, first, first_count * size);
        if (*count)
                memcpy(all + first_count * size, *rows, *count * size);
        *rows = all;
        *count += first_count;
}

/* The catalogue as shipped: its rows come before the operator's. */
static void load_catalogue(struct loader *l)
{
        config_t document;
        struct source source;
        struct config shipped = {0};
        if (read_document(l, &source, &document, shipped_path(l->arena, "catalogue.conf"), true)) {
                read_group(l, config_root_setting(&document), &setting_catalogue, &shipped);
                for (size_t i = 0; i < shipped.catalogue_count; i++)
                        ((struct config_catalogue_row *)shipped.catalogue)[i].shipped = true;
        }
        const void *rows = l->config->catalogue, *guards = l->config->guards;
        join(l->arena, &rows, &l->config->catalogue_count, shipped.catalogue, shipped.catalogue_count,
             sizeof *shipped.catalogue);
        join(l->arena, &guards, &l->config->guard_count, shipped.guards, shipped.guard_count,
             sizeof *shipped.guards);
        l->config->catalogue = rows;
        l->config->guards = guards;
        config_destroy(&document);
        source_release(&source);
}

/* The price list as shipped. */
static void load_prices(struct loader *l)
{
        config_t document;
        struct source source;
        struct config shipped = {0};
        if (read_document(l, &source, &document, shipped_path(l->arena, "prices.conf"), true)) {
                read_group(l, config_root_setting(&document), &setting_prices, &shipped);
                for (size_t i = 0; i < shipped.price_count; i++)
                        ((struct config_price *)shipped.prices)[i].shipped = true;
                /* A provider that a row names is one of the operator's. */
                struct loader own = *l;
                own.config = &shipped;
                check_prices(&own, config_root_setting(&document));
        }
        const void *rows = l->config->prices;
        join(l->arena, &rows, &l->config->price_count, shipped.prices, shipped.price_count,
             sizeof *shipped.prices);
        l->config->prices = rows;
        config_destroy(&document);
        source_release(&source);
}

static const struct config *load(const char *path, struct source_swap swap, struct config_report *report,
                                 struct stamps *stamps)
{
        struct arena *arena = arena_new(), *scratch = arena_new();
        struct tree *tree = arena_alloc(arena, sizeof *tree);
        struct problems problems = {.arena = scratch};
        struct loader l = {.arena = arena,
                           .problems = &problems,
                           .stamps = stamps,
                           .swap = swap,
                           .config = &tree->config};
        struct source source;
        config_t document;
        tree->arena = arena;
        atomic_init(&tree->references, 1);
        tree->config.path = arena_strdup(arena, path ? path : config_default_path());
        if (read_document(&l, &source, &document, tree->config.path, false)) {
                const config_setting_t *root = config_root_setting(&document);
                read_group(&l, root, &setting_root, &tree->config);
                check_config(&l, root);
        }
        tree->config.pins_path = source.pins;
        load_catalogue(&l);
        load_prices(&l);
        config_destroy(&document);
        source_release(&source);
        problems_pack(&problems, report);
        arena_free(scratch);
        if (!report->errors)
                return &tree->config;
        arena_free(arena);
        return NULL;
}

const struct config *load_stamped(const char *path, struct config_report *report, struct stamps *stamps)
{
        return load(path, (struct source_swap){0}, report, stamps);
}

const struct config *config_load(const char *path, struct config_report *report)
{
        return load_stamped(path, report, NULL);
}

const struct config *config_try(const char *path, const char *replaced, const char *text,
                                struct config_report *report)
{
        return load(path, (struct source_swap){replaced, text}, report, NULL);
}

void config_report_free(struct config_report *report)
{
        free((void *)report->problems);
        *report = (struct config_report){0};
}

const struct config *config_ref(const struct config *c)
{
        atomic_fetch_add_explicit(&tree_of(c)->references, 1, memory_order_relaxed);
        return c;
}

void config_unref(const struct config *c)
{
        if (!c)
                return;
        struct tree *tree = tree_of(c);
        if (atomic_fetch_sub_explicit(&tree->references, 1, memory_order_acq_rel) == 1)
                arena_free(tree->arena);
}

#define DEFINE_FIND(noun, owner, rows, rows_count)                                                           \
        const struct config_##noun *config_find_##noun(const struct owner *in, const char *name)             \
        {                                                                                                    \
                for (size_t i = 0; i < in->rows_count; i++) {                                                \
                        if (in->rows[i].name && strcmp(in->rows[i].name, name) == 0)                         \
                                return &in->rows[i];                                                         \
                }                                                                                            \
                return NULL;                                                                                 \
        }

DEFINE_FIND(model, config, models, model_count)
DEFINE_FIND(version, config_model, versions, version_count)
DEFINE_FIND(provider, config, providers, provider_count)
DEFINE_FIND(account, config, accounts, account_count)

bool config_any_limit(const struct config_limits *l)
{
        return l->rpm || l->tpm || l->rpd || l->tpd || l->concurrent;
}

bool config_any_budget(const struct config_budget *b)
{
        return b->day_micro >= 0 || b->month_micro >= 0;
}
