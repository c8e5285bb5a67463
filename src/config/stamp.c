#include "config/load.h"

#include <stdlib.h>
#include <string.h>

static void stamp_take(struct stamp *s, const char *path)
{
        struct stat st;
        s->there = stat(path, &st) == 0;
        if (!s->there)
                return;
        s->device = st.st_dev;
        s->inode = st.st_ino;
        s->size = st.st_size;
        s->modified = st.st_mtim;
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
        return a->there == b->there && a->device == b->device && a->inode == b->inode && a->size == b->size &&
               a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

void stamps_add(struct stamps *s, const char *path)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->count; i++) {
                if (strcmp(s->list[i].path, path) == 0)
                        return;
        }
        if (s->count == s->size) {
                s->size = s->size ? 2 * s->size : 8;
                s->list = realloc(s->list, s->size * sizeof *s->list);
                if (!s->list)
                        abort();
        }
        struct stamp *added = &s->list[s->count++];
        *added = (struct stamp){.path = strdup(path)};
        if (!added->path)
                abort();
        stamp_take(added, path);
}

bool stamps_changed(const struct stamps *s)
{
        for (size_t i = 0; i < s->count; i++) {
                struct stamp now = {0};
                stamp_take(&now, s->list[i].path);
                if (!stamp_equal(&now, &s->list[i]))
                        return true;
        }
        return false;
}

void stamps_release(struct stamps *s)
{
        for (size_t i = 0; i < s->count; i++)
                free(s->list[i].path);
        free(s->list);
        *s = (struct stamps){0};
}
