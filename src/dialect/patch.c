#include "dialect/patch.h"

#include <stdint.h>
#include <strings.h>

#include "base/arena.h"
#include "base/json.h"

enum { STEPS_MAX = 3, SPELLINGS_MAX = 8 };

/* A member as it is to be written. Only the objects on the way to an edit are taken apart. */
struct node {
        struct node *next;
        const char *key;           /* decoded */
        struct json_member member; /* start NULL: made here */
        const char *value;         /* new JSON text, or NULL: the old one, or `children` */
        struct node *children, *last_child;
        bool expanded, removed, renamed;
        const char *open, *close; /* expanded from text: its braces; NULL: made here */
};

struct path {
        const char *steps[STEPS_MAX];
        size_t count;
};

/* Names of fields are ASCII: any other character need only differ from all of them. */
static const char *decode_key(struct arena *a, const char *key, size_t len)
{
        if (!memchr(key, '\\', len))
                return arena_strndup(a, key, len);
        char *out = arena_alloc(a, len + 1), *to = out;
        for (size_t i = 0; i < len; i++) {
                char c = key[i];
                if (c == '\\' && i + 1 < len) {
                        c = key[++i];
                        if (c == 'u' && len - i > 4) {
                                unsigned code = 0;
                                for (size_t digit = 1; digit <= 4; digit++) {
                                        char h = key[i + digit];
                                        code = code * 16 +
                                               (unsigned)(h <= '9' ? h - '0' : (h | 32) - 'a' + 10);
                                }
                                i += 4;
                                c = code && code < 0x80 ? (char)code : '\x01';
                        } else if (c != '"' && c != '\\' && c != '/') {
                                c = '\x01';
                        }
                }
                *to++ = c;
        }
        return out;
}

static struct node *add_child(struct arena *a, struct node *parent, const char *key)
{
        struct node *n = arena_alloc(a, sizeof *n);
        n->key = key;
        if (parent->last_child)
                parent->last_child->next = n;
        else
                parent->children = n;
        return parent->last_child = n;
}

static const char *skip_space(const char *s, const char *end)
{
        while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r'))
                s++;
        return s;
}

/* Takes an object's text apart; false when it is none. */
static bool expand(struct arena *a, struct node *n, struct str text)
{
        if (n->expanded)
                return true;
        size_t count = json_members(text.at, text.len, NULL, 0);
        if (count == SIZE_MAX)
                return false;
        struct json_member *members = arena_alloc(a, (count + 1) * sizeof *members);
        json_members(text.at, text.len, members, count);
        const char *end = text.at + text.len;
        n->open = skip_space(text.at, end);
        const char *after = n->open + 1;
        for (size_t i = 0; i < count; i++) {
                add_child(a, n, decode_key(a, members[i].key, members[i].key_len))->member = members[i];
                after = members[i].value + members[i].value_len;
        }
        n->close = skip_space(after, end);
        n->expanded = true;
        return true;
}

static bool expand_node(struct arena *a, struct node *n)
{
        if (n->expanded)
                return true;
        return !n->value && n->member.value &&
               expand(a, n, (struct str){n->member.value, n->member.value_len});
}

static struct node *find(struct node *parent, const char *key)
{
        for (struct node *n = parent->children; n; n = n->next) {
                if (!n->removed && strcmp(n->key, key) == 0)
                        return n;
        }
        return NULL;
}

static struct path split_path(struct arena *a, const char *dotted)
{
        struct path p = {0};
        while (p.count < STEPS_MAX) {
                size_t len = p.count == STEPS_MAX - 1 ? strlen(dotted) : strcspn(dotted, ".");
                p.steps[p.count++] = arena_strndup(a, dotted, len);
                if (!dotted[len])
                        break;
                dotted += len + 1;
        }
        return p;
}

static struct node *walk(struct arena *a, struct node *root, const struct path *p)
{
        struct node *at = root;
        for (size_t i = 0; i < p->count; i++) {
                if (!expand_node(a, at))
                        return NULL;
                at = find(at, p->steps[i]);
                if (!at)
                        return NULL;
        }
        return at;
}

static bool is_null(const struct node *n)
{
        struct str value = {n->member.value, n->member.value_len};
        return !n->value && !n->expanded && str_is(value, "null");
}

/* "generation_config" is another spelling of "generationConfig": such parents may keep what they hold. */
static bool same_words(const char *a, const char *b)
{
        for (;; a++, b++) {
                a += strspn(a, "_");
                b += strspn(b, "_");
                if (strncasecmp(a, b, 1) != 0)
                        return false;
                if (!*a)
                        return true;
        }
}

static bool parents_alike(const struct path *a, const struct path *b)
{
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i + 1 < a->count; i++) {
                if (!same_words(a->steps[i], b->steps[i]))
                        return false;
        }
        return true;
}

/* The member at the path, made with its parents where missing; a parent that is no object (null) becomes one.
 */
static struct node *make(struct arena *a, struct node *root, const struct path *p)
{
        struct node *at = root;
        for (size_t i = 0; i < p->count; i++) {
                if (!expand_node(a, at)) {
                        at->expanded = true;
                        at->value = NULL;
                }
                struct node *child = find(at, p->steps[i]);
                at = child ? child : add_child(a, at, p->steps[i]);
        }
        return at;
}

static void edit(struct arena *a, struct node *root, const struct patch_edit *e)
{
        struct path paths[SPELLINGS_MAX];
        struct node *found[SPELLINGS_MAX], *place = NULL;
        size_t count = 0;
        bool there = false;
        for (; count < SPELLINGS_MAX && e->paths[count]; count++) {
                paths[count] = split_path(a, e->paths[count]);
                found[count] = walk(a, root, &paths[count]);
                there = there || (found[count] && !is_null(found[count]));
        }
        if (!count || (e->only_if_absent && there))
                return;
        const char *name = paths[0].steps[paths[0].count - 1];
        for (size_t i = 0; i < count; i++) {
                if (!found[i])
                        continue;
                if (e->value && !place && parents_alike(&paths[i], &paths[0])) {
                        place = found[i];
                        place->renamed = strcmp(place->key, name) != 0;
                        place->key = name;
                } else if (found[i] != place) {
                        found[i]->removed = true;
                }
        }
        if (!e->value)
                return;
        if (!place)
                place = make(a, root, &paths[0]);
        place->value = e->value;
        place->expanded = false;
        place->children = place->last_child = NULL;
}

static void write_object(const struct node *n, struct buf *out);

static void write_value(const struct node *n, struct buf *out)
{
        if (n->value)
                buf_adds(out, n->value);
        else if (n->expanded)
                write_object(n, out);
        else
                buf_add(out, n->member.value, n->member.value_len);
}

static void write_member(const struct node *n, struct buf *out)
{
        const struct json_member *m = &n->member;
        if (m->start && !n->renamed) {
                buf_add(out, m->start, (size_t)(m->value - m->start));
        } else {
                buf_addc(out, '"');
                buf_adds(out, n->key);
                buf_adds(out, "\":");
        }
        write_value(n, out);
}

/* Members keep the space around them; a removed one takes its own along. */
static void write_object(const struct node *n, struct buf *out)
{
        bool first = true;
        const char *gap = n->open ? n->open + 1 : NULL;
        buf_addc(out, '{');
        for (const struct node *m = n->children; m; m = m->next) {
                const char *lead = gap, *end = NULL, *trail = NULL;
                if (m->member.start) {
                        end = m->member.value + m->member.value_len;
                        trail = skip_space(end, n->close);
                        gap = trail < n->close ? trail + 1 : trail;
                }
                if (m->removed)
                        continue;
                if (!first)
                        buf_addc(out, ',');
                first = false;
                if (m->member.start)
                        buf_add(out, lead, (size_t)(m->member.start - lead));
                write_member(m, out);
                if (m->member.start)
                        buf_add(out, end, (size_t)(trail - end));
        }
        buf_addc(out, '}');
}

bool patch_apply(struct str json, const struct patch_edit *edits, size_t count, struct buf *out)
{
        struct arena *a = arena_new();
        struct node root = {0};
        bool ok = expand(a, &root, json);
        if (ok) {
                const char *end = json.at + json.len;
                for (size_t i = 0; i < count; i++)
                        edit(a, &root, &edits[i]);
                /* Most of a large body goes over in one piece. */
                buf_reserve(out, json.len);
                buf_add(out, json.at, (size_t)(root.open - json.at));
                write_object(&root, out);
                if (root.close < end)
                        buf_add(out, root.close + 1, (size_t)(end - root.close - 1));
                ok = !out->failed;
        }
        arena_free(a);
        return ok;
}
