/* What reaches into the provider's account, price or network needs the account's permission (SECURITY item
 * 6). */
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"
#include "policy/fit_steps.h"

static bool allowed(const struct fitting *f, const char *permission)
{
        if (!f->account)
                return true;
        for (size_t i = 0; i < f->account->allow_count; i++) {
                if (strcmp(f->account->allow[i], permission) == 0)
                        return true;
        }
        return false;
}

static bool refuse(struct fitting *f, const struct config_guard *g, const char *field)
{
        return fit_refuse(f, ERR_FORBIDDEN, field, "this account may not use it (it needs \"%s\")", g->needs);
}

/* ---- references to files ---- */

static bool is_listed(const char *const *names, const char *name)
{
        while (*names && strcasecmp(*names, name) != 0)
                names++;
        return *names;
}

/*
 * Is there a reference anywhere in a piece of content that no decoder takes apart? As deep as the scan of the
 * body lets it be. What a model or a program wrote is text to the provider, and a result that names the file
 * it made gives nobody that file.
 */
static bool refers(json_object *node)
{
        static const char *const references[] = {"file_id", "file_ids", "fileData", "file_data",
                                                 "fileUri", "file_uri", NULL};
        static const char *const free_text[] = {"input", "arguments", "args", NULL};
        const char *type = json_peek_string(node, "type");
        size_t len = type ? strlen(type) : 0;
        bool made = len > 7 && strcmp(type + len - 7, "_output") == 0;
        if (json_object_is_type(node, json_type_array)) {
                for (size_t i = 0; i < json_object_array_length(node); i++) {
                        if (refers(json_object_array_get_idx(node, i)))
                                return true;
                }
        }
        if (!json_object_is_type(node, json_type_object))
                return false;
        json_object_object_foreach(node, key, value)
        {
                if (value && !made && is_listed(references, key))
                        return true;
                if (!is_listed(free_text, key) && refers(value))
                        return true;
        }
        return false;
}

static const char *find_file(const struct chat_block *blocks)
{
        for (const struct chat_block *b = blocks; b; b = b->next) {
                const char *inner = b->content ? find_file(b->content) : NULL;
                if (b->source.kind == SOURCE_FILE_ID || refers(b->raw))
                        return b->path ? b->path : "file_id";
                if (inner)
                        return inner;
        }
        return NULL;
}

static const char *find_any_file(const struct chat_request *r)
{
        const char *path = NULL;
        for (const struct chat_message *m = r->messages; m && !path; m = m->next)
                path = find_file(m->blocks);
        return path;
}

/* Content can't be left out: a file that may not be used is always refused. */
static bool guard_files(struct fitting *f, const struct config_guard *g)
{
        const char *path = find_any_file(f->request);
        return path ? refuse(f, g, path) : true;
}

static bool is_of_files(const struct config_guard *g)
{
        return strcmp(g->field, "file_id") == 0 || strcmp(g->field, "fileData") == 0;
}

/* ---- tools that run at the provider ---- */

/* The glob of a guard on tools; NULL: it is on something else. */
static const char *tool_glob(const struct config_guard *g)
{
        static const char tool[] = "tool:";
        return strncmp(g->field, tool, sizeof tool - 1) == 0 ? g->field + sizeof tool - 1 : NULL;
}

static bool tool_matches(const struct chat_tool *t, const char *glob)
{
        return t->raw && t->raw_type && text_glob(glob, t->raw_type, NULL);
}

static bool guard_tools(struct fitting *f, const struct config_guard *g, const char *glob)
{
        struct chat_request *r = f->request;
        struct chat_request kept = {0};
        bool any = false;
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (!tool_matches(t, glob)) {
                        struct chat_tool *copy = chat_add_tool(f->arena, &kept);
                        *copy = *t;
                        copy->next = NULL;
                        continue;
                }
                if (g->refuse)
                        return refuse(f, g, t->path ? t->path : fit_field_name(f, FIELD_TOOLS));
                any = true;
        }
        if (!any)
                return true;
        r->tools = kept.tools;
        r->last_tool = kept.last_tool;
        if (!r->tools)
                r->tool_choice = TOOL_CHOICE_UNSET;
        fit_note(f, FIELD_TOOLS, false, false);
        return true;
}

/* ---- members and headers ---- */

static enum chat_field field_of(enum dialect_id from, const char *name)
{
        const struct dialect *d = dialect_by_id(from);
        for (int field = 0; d && field < CHAT_FIELDS; field++) {
                for (int i = 0; i < 4 && d->fields[field].names[i]; i++) {
                        if (strcmp(d->fields[field].names[i], name) == 0)
                                return (enum chat_field)field;
                }
        }
        return CHAT_FIELDS;
}

/* The list without the one; the request's own list is not touched. */
static struct chat_extra *without(struct arena *a, const struct chat_extra *list, const char *name)
{
        struct chat_extra *kept = NULL, **end = &kept;
        for (; list; list = list->next) {
                if (strcmp(list->name, name) == 0)
                        continue;
                *end = arena_alloc(a, sizeof **end);
                **end = *list;
                (*end)->next = NULL;
                end = &(*end)->next;
        }
        return kept;
}

static bool guard_extra(struct fitting *f, const struct config_guard *g, bool *found)
{
        for (const struct chat_extra *e = f->request->extras; e; e = e->next) {
                /* Case does not count to every decoder of JSON. */
                if (strcasecmp(e->name, g->field) != 0)
                        continue;
                *found = true;
                if (g->refuse)
                        return refuse(f, g, e->name);
                fit_note_extra(f, e->name);
                f->request->extras = without(f->arena, f->request->extras, e->name);
        }
        return true;
}

static bool guard_member(struct fitting *f, const struct config_guard *g)
{
        bool found = false;
        if (!guard_extra(f, g, &found) || found)
                return f->fit->fits;
        enum chat_field field = field_of(f->from, g->field);
        if (field == CHAT_FIELDS || !fit_has_field(f->request, field))
                return true;
        if (g->refuse)
                return refuse(f, g, g->field);
        fit_clear_field(f->request, field);
        fit_note(f, field, true, true);
        return true;
}

static bool guard_one(struct fitting *f, const struct config_guard *g)
{
        if (tool_glob(g))
                return guard_tools(f, g, tool_glob(g));
        return is_of_files(g) ? guard_files(f, g) : guard_member(f, g);
}

static bool concerns(const struct config_guard *g, enum dialect_id from)
{
        /* The plain dialect takes openai's messages. */
        const char *client = from == DIALECT_PLAIN ? "openai" : NULL;
        const struct dialect *d = dialect_by_id(from);
        return (d && strcmp(g->dialect, d->name) == 0) || (client && strcmp(g->dialect, client) == 0);
}

/* ---- what is let through ---- */

static bool carries(const struct chat_request *r, const struct config_guard *g)
{
        if (is_of_files(g))
                return find_any_file(r);
        for (const struct chat_tool *t = tool_glob(g) ? r->tools : NULL; t; t = t->next) {
                if (tool_matches(t, tool_glob(g)))
                        return true;
        }
        for (const struct chat_extra *e = r->extras; e; e = e->next) {
                if (strcasecmp(e->name, g->field) == 0)
                        return true;
        }
        enum chat_field field = field_of(r->from, g->field);
        return field != CHAT_FIELDS && fit_has_field(r, field);
}

bool fit_guards(struct fitting *f)
{
        for (size_t i = 0; i < f->config->guard_count; i++) {
                const struct config_guard *g = &f->config->guards[i];
                if (!concerns(g, f->from))
                        continue;
                if (allowed(f, g->needs))
                        f->fit->reaches_account |= carries(f->request, g);
                else if (!guard_one(f, g))
                        return false;
        }
        return true;
}
