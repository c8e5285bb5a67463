/*
 * Arguments that come in pieces (Vertex AI, streamFunctionCallArguments): each piece names a place by a JSON
 * path of members and indexes, "$.recipe.steps[2]", and gives a value or more of a string.
 */
#include "dialect/gemini.h"

#include <stdlib.h>
#include <string.h>

enum {
        STEPS_MAX = 32,
        KEY_MAX = 256,
        INDEX_MAX = 9999,
        TEXT_MAX = 16 * 1024 * 1024, /* all strings of one call */
        NODES_MAX = 100000,
};

struct step {
        char key[KEY_MAX]; /* "": an index */
        size_t index;
};

struct path {
        struct step steps[STEPS_MAX];
        size_t count;
};

struct gemini_partial {
        json_object *root;
        struct path *path; /* of the string in the making; count 0: none */
        char *path_text;
        struct buf text;
        size_t text_total, nodes;
};

struct gemini_partial *gemini_partial_new(json_object *args)
{
        struct gemini_partial *p = calloc(1, sizeof *p);
        struct path *path = calloc(1, sizeof *path);
        if (!p || !path)
                abort();
        p->path = path;
        p->root = NULL;
        if (args)
                json_object_deep_copy(args, &p->root, NULL);
        if (!p->root)
                p->root = json_object_new_object();
        buf_init(&p->text, TEXT_MAX);
        return p;
}

void gemini_partial_free(void *partial)
{
        struct gemini_partial *p = partial;
        json_object_put(p->root);
        buf_release(&p->text);
        free(p->path_text);
        free(p->path);
        free(p);
}

static const char *parse_key(const char *at, struct step *s, const char *ends)
{
        size_t len = strcspn(at, ends);
        if (len == 0 || len >= KEY_MAX)
                return NULL;
        memcpy(s->key, at, len);
        s->key[len] = '\0';
        return at + len;
}

static const char *parse_bracket(const char *at, struct step *s)
{
        if (*at == '\'' || *at == '"') {
                const char ends[2] = {*at, '\0'};
                at = parse_key(at + 1, s, ends);
                return at && at[0] == ends[0] && at[1] == ']' ? at + 2 : NULL;
        }
        char *end;
        if (*at < '0' || *at > '9')
                return NULL;
        unsigned long index = strtoul(at, &end, 10);
        s->index = index;
        return index <= INDEX_MAX && *end == ']' ? end + 1 : NULL;
}

static bool path_parse(const char *text, struct path *out)
{
        out->count = 0;
        if (*text++ != '$')
                return false;
        while (*text) {
                if (out->count == STEPS_MAX)
                        return false;
                struct step *s = &out->steps[out->count++];
                s->key[0] = '\0';
                s->index = 0;
                char kind = *text++;
                text = kind == '.' ? parse_key(text, s, ".[") : kind == '[' ? parse_bracket(text, s) : NULL;
                if (!text)
                        return false;
        }
        return out->count > 0;
}

static json_object *child_get(json_object *parent, const struct step *s)
{
        return *s->key ? json_peek(parent, s->key) : json_object_array_get_idx(parent, s->index);
}

/* Takes the value in any case. */
static bool child_set(struct gemini_partial *p, json_object *parent, const struct step *s, json_object *value)
{
        bool fits = json_object_is_type(parent, *s->key ? json_type_object : json_type_array);
        size_t before = fits && !*s->key ? json_object_array_length(parent) : 0;
        p->nodes += !*s->key && s->index > before ? s->index - before + 1 : 1;
        if (!fits || p->nodes > NODES_MAX) {
                json_object_put(value);
                return false;
        }
        if (*s->key)
                json_object_object_add(parent, s->key, value);
        else
                json_object_array_put_idx(parent, s->index, value);
        return true;
}

/* The parent of the last step, made with all above it. */
static json_object *path_parent(struct gemini_partial *p, const struct path *path)
{
        json_object *at = p->root;
        for (size_t i = 0; i + 1 < path->count; i++) {
                const struct step *s = &path->steps[i];
                if (!json_object_is_type(at, *s->key ? json_type_object : json_type_array))
                        return NULL;
                json_object *next = child_get(at, s);
                if (!next) {
                        next = *path->steps[i + 1].key ? json_object_new_object() : json_object_new_array();
                        if (!child_set(p, at, s, next))
                                return NULL;
                }
                at = next;
        }
        return at;
}

static bool path_set(struct gemini_partial *p, const struct path *path, json_object *value)
{
        json_object *parent = path_parent(p, path);
        if (parent)
                return child_set(p, parent, &path->steps[path->count - 1], value);
        json_object_put(value);
        return false;
}

/* Writes the string in the making into the tree. */
static bool flush_text(struct gemini_partial *p)
{
        if (!p->path_text)
                return true;
        bool ok = !p->text.failed &&
                  path_set(p, p->path,
                           json_object_new_string_len(p->text.data ? p->text.data : "", (int)p->text.len));
        free(p->path_text);
        p->path_text = NULL;
        buf_reset(&p->text);
        return ok;
}

static bool add_text(struct gemini_partial *p, const char *where, const struct path *path, struct str more)
{
        if (!p->path_text || strcmp(p->path_text, where) != 0) {
                if (!flush_text(p))
                        return false;
                json_object *parent = path_parent(p, path);
                json_object *old = NULL;
                const struct step *last = &path->steps[path->count - 1];
                if (parent && json_object_is_type(parent, *last->key ? json_type_object : json_type_array))
                        old = child_get(parent, last);
                if (json_object_is_type(old, json_type_string))
                        buf_add(&p->text, json_object_get_string(old),
                                (size_t)json_object_get_string_len(old));
                p->path_text = strdup(where);
                if (!p->path_text)
                        abort();
                *p->path = *path;
        }
        p->text_total += more.len;
        return p->text_total <= TEXT_MAX && buf_add_str(&p->text, more);
}

static bool add_piece(struct gemini_partial *p, json_object *piece, struct path *path)
{
        const char *where = json_peek_string(piece, "jsonPath");
        if (!where || !path_parse(where, path))
                return false;
        json_object *text = json_peek(piece, "stringValue"), *value = json_peek(piece, "numberValue");
        if (json_object_is_type(text, json_type_string))
                return add_text(p, where, path, json_peek_str(piece, "stringValue"));
        if (!value)
                value = json_peek(piece, "boolValue");
        if (!value && !json_object_object_get_ex(piece, "nullValue", NULL))
                return true; /* says where, and nothing yet */
        return flush_text(p) && path_set(p, path, json_object_get(value));
}

bool gemini_partial_add(struct gemini_partial *p, json_object *pieces)
{
        struct path *path = calloc(1, sizeof *path);
        bool ok = true;
        if (!path)
                abort();
        for (size_t i = 0; ok && i < json_object_array_length(pieces); i++)
                ok = add_piece(p, json_object_array_get_idx(pieces, i), path);
        free(path);
        return ok;
}

struct str gemini_partial_text(struct gemini_partial *p, struct arena *a)
{
        size_t len;
        flush_text(p);
        const char *text = json_object_to_json_string_length(
                p->root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
        return arena_str(a, text, len);
}
