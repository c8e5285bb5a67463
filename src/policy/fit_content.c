/* Blocks and tools: what of them the target can't take. */
#include <string.h>

#include "dialect/tool_name.h"
#include "policy/fit_steps.h"

static const char *path_of(const struct fitting *f, const struct chat_block *b)
{
        return b->path ? b->path : fit_field_name(f, FIELD_MESSAGES);
}

static bool refuse(struct fitting *f, const struct chat_block *b, const char *what)
{
        return fit_refuse(f, ERR_UNSUPPORTED, path_of(f, b), "%s does not take %s", f->target->model, what);
}

static bool fit_document(struct fitting *f, const struct chat_block *b)
{
        if (!fit_can(f->caps.documents, true))
                return refuse(f, b, "documents");
        bool fetches =
                f->to == DIALECT_ANTHROPIC || (f->to == DIALECT_GEMINI && f->caps.image_urls == TRI_YES);
        if (b->source.kind == SOURCE_URL && !fetches)
                return refuse(f, b, "documents by URL");
        return true;
}

static bool fit_block(struct fitting *f, const struct chat_block *b)
{
        if (b->source.kind == SOURCE_FILE_ID && f->from != f->to)
                return refuse(f, b, "files uploaded to another provider");
        switch (b->type) {
        case BLOCK_IMAGE: return fit_can(f->caps.vision, true) || refuse(f, b, "images");
        case BLOCK_DOCUMENT: return fit_document(f, b);
        case BLOCK_AUDIO:
                return (f->to != DIALECT_ANTHROPIC && fit_can(f->caps.audio, true)) || refuse(f, b, "audio");
        case BLOCK_OTHER: return b->raw_dialect == f->to || refuse(f, b, "this kind of content");
        default: return true;
        }
}

/* Members that only another dialect knows: left out, and told. */
static void fit_members(struct fitting *f, const struct chat_block *b)
{
        if (b->type == BLOCK_OTHER || !b->raw || b->raw_dialect == f->to)
                return;
        json_object_object_foreach(b->raw, key, value)
        {
                (void)value;
                fit_note_extra(f, key);
        }
}

/* Ids that this provider does not take are written anew. */
static void fit_call_id(struct fitting *f, const struct chat_block *b)
{
        bool call = b->type == BLOCK_TOOL_CALL || b->type == BLOCK_TOOL_RESULT;
        if (call && f->to == DIALECT_OPENAI && !tool_id_fits(b->id ? b->id : "", f->caps.tool_id_length))
                f->fit->patchable = false;
}

static bool fit_blocks(struct fitting *f, const struct chat_block *blocks)
{
        for (const struct chat_block *b = blocks; b; b = b->next) {
                if (!fit_block(f, b))
                        return false;
                fit_members(f, b);
                fit_call_id(f, b);
                for (const struct chat_block *c = b->content; c; c = c->next) {
                        if (!fit_block(f, c))
                                return false;
                        fit_members(f, c);
                }
        }
        return true;
}

/* How closely to look at images: a hint. */
static void fit_detail(struct fitting *f)
{
        bool mixed;
        const char *common = chat_common_detail(f->request, &mixed);
        if (f->to == f->from || f->to == DIALECT_OPENAI || (!common && !mixed))
                return;
        if (mixed || f->to != DIALECT_GEMINI)
                fit_note_extra(f, "detail");
}

static bool is_system(const struct chat_message *m)
{
        return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

/* Roles that this model of the client's own dialect does not know: the messages are written anew. */
static void fit_roles(struct fitting *f)
{
        bool leading = true;
        for (const struct chat_message *m = f->request->messages; m; m = m->next) {
                leading &= is_system(m);
                bool developer = m->role == CHAT_DEVELOPER && f->caps.developer_role == TRI_NO;
                bool middle = !leading && is_system(m) && f->to == DIALECT_ANTHROPIC &&
                              f->caps.mid_system == TRI_NO;
                if (developer || middle)
                        f->fit->patchable = false;
        }
}

static bool fit_tool(struct fitting *f, const struct chat_tool *t)
{
        if (t->raw && t->raw_dialect != f->to)
                return fit_refuse(f, ERR_UNSUPPORTED, t->path ? t->path : fit_field_name(f, FIELD_TOOLS),
                                  "%s has no tool of type %s", f->target->model,
                                  t->raw_type ? t->raw_type : "unknown");
        fit_members(f, &(struct chat_block){.raw = t->extra, .raw_dialect = f->from});
        return true;
}

/* A dialect that can't restrict a choice gets only the tools that may be chosen. */
static void filter_tools(struct fitting *f)
{
        struct chat_request *r = f->request, kept = {0};
        if (!r->allowed_tools || f->to != DIALECT_ANTHROPIC)
                return;
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                const struct chat_name *n = r->allowed_tools;
                while (n && (!t->name || strcmp(n->name, t->name) != 0))
                        n = n->next;
                if (!n)
                        continue;
                struct chat_tool *copy = chat_add_tool(f->arena, &kept);
                *copy = *t;
                copy->next = NULL;
        }
        r->tools = kept.tools;
        r->last_tool = kept.last_tool;
        r->allowed_tools = NULL;
        f->fit->patchable = false;
}

bool fit_contents(struct fitting *f)
{
        for (const struct chat_message *m = f->request->messages; m; m = m->next) {
                if (!fit_blocks(f, m->blocks))
                        return false;
        }
        fit_roles(f);
        fit_detail(f);
        if (f->request->tools && f->caps.tools == TRI_NO)
                return fit_refuse(f, ERR_UNSUPPORTED, fit_field_name(f, FIELD_TOOLS), "%s takes no tools",
                                  f->target->model);
        for (const struct chat_tool *t = f->request->tools; t; t = t->next) {
                if (!fit_tool(f, t))
                        return false;
        }
        filter_tools(f);
        fit_marks(f);
        return true;
}
