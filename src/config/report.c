#include "config/load.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* A file of garbage shall not fill the memory with complaints. */
enum { PROBLEMS_MAX = 1000 };

void problem_vadd(struct problems *p, bool warning, const char *file, int line, const char *fmt, va_list ap)
{
        if (!warning)
                p->errors++;
        if (p->count == PROBLEMS_MAX)
                return;
        if (p->count == p->size) {
                size_t size = p->size ? 2 * p->size : 16;
                struct config_problem *list = arena_alloc(p->arena, size * sizeof *list);
                if (p->count)
                        memcpy(list, p->list, p->count * sizeof *list);
                p->list = list;
                p->size = size;
        }
        char *raw = arena_vprintf(p->arena, fmt, ap);
        size_t room = 4 * strlen(raw) + 1;
        char *text = arena_alloc(p->arena, room);
        text_escape(text, room, raw, strlen(raw));
        p->list[p->count++] = (struct config_problem){.warning = warning,
                                                      .file = arena_strdup(p->arena, file ? file : ""),
                                                      .line = line,
                                                      .text = text};
}

void problem_add(struct problems *p, bool warning, const char *file, int line, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        problem_vadd(p, warning, file, line, fmt, ap);
        va_end(ap);
}

static int by_place(const void *a, const void *b)
{
        const struct config_problem *x = *(const struct config_problem *const *)a;
        const struct config_problem *y = *(const struct config_problem *const *)b;
        int order = strcmp(x->file, y->file);
        if (order == 0)
                order = (x->line > y->line) - (x->line < y->line);
        /* In the order of their finding, as qsort isn't stable. */
        return order ? order : (x > y) - (x < y);
}

void problems_pack(const struct problems *p, struct config_report *report)
{
        size_t bytes = p->count * sizeof(struct config_problem) + 1;
        const struct config_problem **order = calloc(p->count + 1, sizeof *order);
        for (size_t i = 0; i < p->count; i++)
                bytes += strlen(p->list[i].file) + strlen(p->list[i].text) + 2;
        struct config_problem *list = malloc(bytes);
        if (!order || !list)
                abort();
        for (size_t i = 0; i < p->count; i++)
                order[i] = &p->list[i];
        qsort(order, p->count, sizeof *order, by_place);
        char *to = (char *)(list + p->count);
        size_t warnings = 0;
        for (size_t i = 0; i < p->count; i++) {
                list[i] = *order[i];
                list[i].file = to;
                to = stpcpy(to, order[i]->file) + 1;
                list[i].text = to;
                to = stpcpy(to, order[i]->text) + 1;
                warnings += order[i]->warning;
        }
        free(order);
        *report = (struct config_report){
                .problems = list, .count = p->count, .errors = p->errors, .warnings = warnings};
}

void load_error(struct loader *l, const config_setting_t *at, const char *fmt, ...)
{
        struct source_line where = source_where(l->source, config_setting_source_line(at));
        va_list ap;
        va_start(ap, fmt);
        problem_vadd(l->problems, false, where.file, where.line, fmt, ap);
        va_end(ap);
}

void load_warning(struct loader *l, const config_setting_t *at, const char *fmt, ...)
{
        struct source_line where = source_where(l->source, config_setting_source_line(at));
        va_list ap;
        va_start(ap, fmt);
        problem_vadd(l->problems, true, where.file, where.line, fmt, ap);
        va_end(ap);
}

const char *load_folder(struct loader *l, const config_setting_t *at)
{
        const char *file = source_where(l->source, config_setting_source_line(at)).file;
        const char *slash = file ? strrchr(file, '/') : NULL;
        if (!slash)
                return NULL;
        return slash == file ? "" : arena_strndup(l->arena, file, (size_t)(slash - file));
}

void nearest_init(struct nearest *n, const char *name)
{
        size_t half = strlen(name) / 2;
        /* Farther than half its letters is no misspelling. */
        *n = (struct nearest){.name = name, .distance = (unsigned)(half < 1 ? 1 : half > 4 ? 4 : half) + 1};
}

void nearest_offer(struct nearest *n, const char *candidate)
{
        unsigned distance = candidate ? text_distance(n->name, candidate) : n->distance;
        if (distance < n->distance) {
                n->distance = distance;
                n->best = candidate;
        }
}

const char *nearest_text(struct loader *l, const struct nearest *n)
{
        return n->best ? arena_printf(l->arena, "; did you mean \"%s\"?", n->best) : "";
}

/* The member of this group that knows the setting, for what stands one level too high. */
static const char *owner_of(const struct setting_group *g, const char *name)
{
        for (size_t i = 0; i < g->count; i++) {
                const struct setting *s = &g->settings[i];
                if (s->type == SETTING_FIELDS ? read_field_known(name)
                                              : s->group && setting_find(s->group, name) != NULL)
                        return s->name;
        }
        return NULL;
}

/* "api_key" where "key" is meant. */
static const char *ending_of(const struct setting_group *g, const char *name)
{
        const char *ending = strrchr(name, '_');
        const struct setting *s = ending ? setting_find(g, ending + 1) : NULL;
        return s ? s->name : NULL;
}

void load_unknown(struct loader *l, const config_setting_t *at, const struct setting_group *g)
{
        struct nearest nearest;
        nearest_init(&nearest, config_setting_name(at));
        for (size_t i = 0; i < g->count; i++)
                nearest_offer(&nearest, g->settings[i].name);
        const char *owner = nearest.best ? NULL : owner_of(g, config_setting_name(at));
        if (!nearest.best && !owner)
                nearest.best = ending_of(g, config_setting_name(at));
        load_error(l, at, "unknown setting \"%.60s\"%s", config_setting_name(at),
                   owner ? arena_printf(l->arena, "; it belongs inside \"%s\"", owner)
                         : nearest_text(l, &nearest));
}
