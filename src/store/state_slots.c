/* Where a subject's slot is: in a short window behind the place that its name's hash says. */
#include <string.h>

#include "base/log.h"
#include "store/state_internal.h"

enum { TRIES = 4, DAY_MS = 24 * 3600 * 1000 };

/*
 * Strangers fill theirs as they like: there what only counts a day gives way before a newcomer is refused.
 * Who has thousands of addresses has as many day limits anyway, and must not shut out all others for a day.
 */
static const struct region {
        size_t first, count, window;
        int64_t keep_ms;
        enum slot_rest gives_way; /* up to which */
} regions[STATE_REGIONS] = {
        {0, STATE_SLOTS_FIRST, 64, 2 * (int64_t)DAY_MS, SLOT_IDLE},
        {STATE_SLOTS_FIRST, STATE_SLOTS_CALLERS, 16, DAY_MS, SLOT_DAYS},
};

struct place {
        size_t region, home; /* home: within the region */
        size_t name_len;
};

static struct place place_of(const struct state *s, struct subject subject)
{
        struct place p = {.region = subject.kind == SLOT_CALLER || subject.kind == SLOT_DIRECT,
                          .name_len = strnlen(subject.name, SLOT_NAME - 1)};
        uint64_t hash = slot_hash(atomic_load(&s->seed), subject.kind, subject.name, p.name_len);
        p.home = hash % regions[p.region].count;
        return p;
}

static size_t index_at(const struct place *p, size_t step)
{
        const struct region *r = &regions[p->region];
        return r->first + (p->home + step) % r->count;
}

/* ---- finding */

static enum ask_end find(struct state *s, const struct place *p, struct subject subject, slot_fn *fn,
                         void *context)
{
        struct ask a = {.subject = subject, .name_len = p->name_len, .fn = fn, .context = context};
        enum ask_end end = ASK_OTHER;
        for (size_t i = 0; i < regions[p->region].window && end == ASK_OTHER; i++)
                end = state_turn(s, index_at(p, i), &a);
        return end;
}

/* ---- claiming: under the directory's lock, so that no subject gets two slots */

struct survey {
        struct subject subject;
        size_t name_len;
        slot_fn *fn;
        void *context;
        struct lease_context leases;
        const struct region *region;
        bool found; /* another was faster: fn has been called */
        /* of the slot looked at */
        enum slot_rest rest;
        int64_t used; /* last; free: INT64_MIN */
};

static bool survey_may(struct survey *v, const struct slot *slot, int64_t now_ms)
{
        bool free = slot->kind == SLOT_FREE;
        v->used = free ? INT64_MIN : slot->used_ms;
        v->rest = free ? SLOT_IDLE : slot_rest(slot, &v->leases, v->region->keep_ms, now_ms);
        return v->rest <= v->region->gives_way;
}

static bool survey_look(struct slot *slot, int64_t now_ms, void *context)
{
        struct survey *v = context;
        if (slot_is(slot, v->subject, v->name_len)) {
                v->found = true;
                return v->fn(slot, now_ms, v->context);
        }
        survey_may(v, slot, now_ms);
        return false;
}

static bool survey_take(struct slot *slot, int64_t now_ms, void *context)
{
        struct survey *v = context;
        /* A moment ago it could be had; its subject may have come back since. */
        if (!survey_may(v, slot, now_ms))
                return false;
        struct slot fresh = {.kind = (uint32_t)v->subject.kind, .used_ms = now_ms};
        memcpy(fresh.name, v->subject.name, v->name_len);
        v->found = true;
        if (!v->fn(&fresh, now_ms, v->context))
                return false;
        *slot = fresh;
        return true;
}

static off_t directory_at(size_t region)
{
        return STATE_AT_DIRECTORIES + (off_t)region * SLOT_BYTES;
}

static bool directory_read(struct state *s, size_t region, union page *d)
{
        if (!state_pread(s->fd, d, sizeof *d, directory_at(region)))
                return state_complain(s, "read");
        /* Lost: then any slot may be taken, until the next look at all of them. */
        if (page_check(d) == PAGE_BAD) {
                memset(d, 0, sizeof *d);
                memset(d->directory.taken, 0xff, sizeof d->directory.taken);
                d->directory.guessed = 1;
        }
        return true;
}

static bool directory_write(struct state *s, size_t region, union page *d)
{
        d->directory.layout = SLOT_LAYOUT;
        page_seal(d);
        return state_pwrite(s->fd, d, sizeof *d, directory_at(region)) || state_complain(s, "written");
}

static bool directory_has(const union page *d, size_t i)
{
        return d->directory.taken[i / 8] >> i % 8 & 1;
}

static bool directory_note(struct state *s, size_t region, size_t i)
{
        union page d;
        if (!directory_read(s, region, &d))
                return false;
        if (directory_has(&d, i))
                return true;
        d.directory.taken[i / 8] |= (uint8_t)(1U << i % 8);
        return directory_write(s, region, &d);
}

/* The free slot nearest to home, else the one that is missed least. False: failed. */
static bool survey(struct state *s, const struct place *p, struct survey *v, size_t *best)
{
        struct ask a = {.any = true, .fn = survey_look, .context = v};
        enum slot_rest rest = SLOT_BUSY;
        int64_t used = INT64_MAX;
        *best = SIZE_MAX;
        for (size_t i = 0; i < v->region->window; i++) {
                if (state_turn(s, index_at(p, i), &a) == ASK_FAILED)
                        return false;
                if (v->found)
                        return true;
                if (v->rest > v->region->gives_way || v->rest > rest || (v->rest == rest && v->used >= used))
                        continue;
                rest = v->rest;
                used = v->used;
                *best = i;
        }
        return true;
}

static enum state_result survey_and_take(struct state *s, const struct place *p, struct survey *v)
{
        struct ask take = {.any = true, .fn = survey_take, .context = v};
        size_t best;
        for (int n = 0; n < TRIES; n++) {
                if (!survey(s, p, v, &best))
                        return STATE_FAILED;
                if (v->found)
                        return STATE_DONE;
                if (best == SIZE_MAX)
                        return STATE_FULL;
                size_t index = index_at(p, best);
                if (!directory_note(s, p->region, index - v->region->first) ||
                    state_turn(s, index, &take) == ASK_FAILED)
                        return STATE_FAILED;
                if (v->found)
                        return STATE_DONE;
        }
        return STATE_FULL;
}

static enum state_result claim(struct state *s, const struct place *p, struct subject subject, slot_fn *fn,
                               void *context)
{
        struct survey v = {.subject = subject,
                           .name_len = p->name_len,
                           .fn = fn,
                           .context = context,
                           .leases = state_leases(s),
                           .region = &regions[p->region]};
        enum state_result result = STATE_FAILED;
        pthread_mutex_lock(&s->directory_locks[p->region]);
        if (state_lock(s->fd, directory_at(p->region), SLOT_BYTES)) {
                result = survey_and_take(s, p, &v);
                state_unlock(s->fd, directory_at(p->region), SLOT_BYTES);
        } else {
                state_complain(s, "locked");
        }
        pthread_mutex_unlock(&s->directory_locks[p->region]);
        return result;
}

enum state_result state_update(struct state *s, struct subject subject, slot_fn *fn, void *context)
{
        state_header_look(s);
        struct place p = place_of(s, subject);
        switch (find(s, &p, subject, fn, context)) {
        case ASK_DONE: return STATE_DONE;
        case ASK_OTHER: return claim(s, &p, subject, fn, context);
        default: return STATE_FAILED;
        }
}

/* ---- looking */

static bool copy(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        *(struct slot *)context = *slot;
        return false;
}

bool state_read(struct state *s, struct subject subject, struct slot *out)
{
        state_header_look(s);
        struct place p = place_of(s, subject);
        return find(s, &p, subject, copy, out) == ASK_DONE;
}

static bool forget(struct slot *slot, int64_t now_ms, void *context)
{
        (void)now_ms;
        (void)context;
        struct slot fresh = {.kind = slot->kind, .leases = slot->leases};
        memcpy(fresh.name, slot->name, sizeof fresh.name);
        *slot = fresh;
        return true;
}

bool state_reset(struct state *s, struct subject subject)
{
        state_header_look(s);
        struct place p = place_of(s, subject);
        return find(s, &p, subject, forget, NULL) == ASK_DONE;
}

void state_each(struct state *s, void (*fn)(const struct slot *slot, void *context), void *context)
{
        struct slot slot;
        struct ask a = {.any = true, .fn = copy, .context = &slot};
        union page d;
        state_header_look(s);
        for (size_t region = 0; region < STATE_REGIONS; region++) {
                if (!directory_read(s, region, &d))
                        return;
                for (size_t i = 0; i < regions[region].count; i++) {
                        if (directory_has(&d, i) &&
                            state_turn(s, regions[region].first + i, &a) == ASK_DONE &&
                            slot.kind != SLOT_FREE)
                                fn(&slot, context);
                }
        }
}

/* ---- after a crash */

static void verify_region(struct state *s, size_t region, struct state_found *found)
{
        struct slot slot;
        struct ask a = {.any = true, .fn = copy, .context = &slot};
        union page d, fresh = {.words = {0}};
        bool known = directory_read(s, region, &d);
        bool changed = false;
        for (size_t i = 0; i < regions[region].count; i++) {
                if (state_turn(s, regions[region].first + i, &a) != ASK_DONE)
                        return;
                bool used = slot.kind != SLOT_FREE;
                found->used += used;
                found->lost += known && !used && !d.directory.guessed && directory_has(&d, i);
                if (used && slot.used_ms > found->newest_ms)
                        found->newest_ms = slot.used_ms;
                fresh.directory.taken[i / 8] |= (uint8_t)((unsigned)used << i % 8);
                changed |= known && used != directory_has(&d, i);
        }
        if (changed)
                directory_write(s, region, &fresh);
}

void state_slots_verify(struct state *s, struct state_found *found)
{
        *found = (struct state_found){0};
        for (size_t region = 0; region < STATE_REGIONS; region++) {
                pthread_mutex_lock(&s->directory_locks[region]);
                if (state_lock(s->fd, directory_at(region), SLOT_BYTES)) {
                        verify_region(s, region, found);
                        state_unlock(s->fd, directory_at(region), SLOT_BYTES);
                }
                pthread_mutex_unlock(&s->directory_locks[region]);
        }
}
