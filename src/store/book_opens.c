/* The requests that a spool's records tell of, by their ids. */
#include <stdlib.h>

#include "store/book_internal.h"

static struct book_open_request *find(const struct book_opens *t, int64_t id)
{
        size_t i = (size_t)((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (t->room - 1);
        while (t->places[i].id && t->places[i].id != id)
                i = (i + 1) & (t->room - 1);
        return &t->places[i];
}

static void grow(struct book_opens *t)
{
        struct book_opens larger = {.room = t->room ? t->room * 2 : 1024, .count = t->count};
        larger.places = calloc(larger.room, sizeof *larger.places);
        if (!larger.places)
                abort();
        for (size_t i = 0; i < t->room; i++) {
                if (t->places[i].id)
                        *find(&larger, t->places[i].id) = t->places[i];
        }
        free(t->places);
        *t = larger;
}

struct book_open_request *book_open_of(struct book_opens *t, int64_t id)
{
        if (t->count * 2 >= t->room)
                grow(t);
        struct book_open_request *o = find(t, id);
        if (!o->id) {
                o->id = id;
                t->count++;
        }
        return o;
}

bool book_note_open(const struct spool_record *r, void *opens)
{
        if (r->kind == SPOOL_ALERT || !r->id)
                return true;
        struct book_open_request *o = book_open_of(opens, r->id);
        o->ended |= r->kind == SPOOL_END;
        o->progress += r->kind == SPOOL_PROGRESS;
        return true;
}

void book_opens_free(struct book_opens *t)
{
        free(t->places);
        *t = (struct book_opens){0};
}
