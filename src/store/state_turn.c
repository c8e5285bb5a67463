/*
 * One slot at a time, first come first served. Threads of this process stand in a line in front of each slot;
 * the first of it takes the kernel's lock, reads the slot, lets all that stand in the line have their turns,
 * and writes once for all of them: the more ask at once, the less it costs each. Measured with 64 threads: to
 * hand on after each turn, or to sleep at once, costs more than the turn itself.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "store/state_internal.h"

enum { MENDED_LINES = 32, ROUNDS = 8, YIELDS = 16 };

enum { ASK_WAITS, ASK_SLEEPS, ASK_SERVED, ASK_LEADS };

/* A line's top: NULL, nobody; this, one is at the slot and nobody waits; else who came last. */
static struct ask nobody_waits;

/* Gives true when nobody is at the slot: then it's up to the caller. */
static bool line_join(_Atomic(struct ask *) *line, struct ask *a)
{
        struct ask *top = atomic_load(line), *next;
        do {
                a->next = top == &nobody_waits ? NULL : top;
                next = top ? a : &nobody_waits;
        } while (!atomic_compare_exchange_weak(line, &top, next));
        return !top;
}

/* All that wait, the first one first. Only for whom is at the slot. */
static struct ask *line_take(_Atomic(struct ask *) *line)
{
        struct ask *a = atomic_exchange(line, &nobody_waits), *first = NULL;
        if (a == &nobody_waits)
                return NULL;
        while (a) {
                struct ask *earlier = a->next;
                a->next = first;
                first = a;
                a = earlier;
        }
        return first;
}

/* Who is told is gone at once: nothing of it may be touched afterwards. */
static void ask_tell(struct ask *a, int what)
{
        if (atomic_exchange(&a->now, what) == ASK_SLEEPS)
                sem_post(&a->wake);
}

/* To let others run is cheaper than to sleep and be woken, and a turn is short. */
static int ask_wait(struct ask *a)
{
        int now = atomic_load(&a->now);
        for (int i = 0; i < YIELDS && now == ASK_WAITS; i++) {
                sched_yield();
                now = atomic_load(&a->now);
        }
        if (now == ASK_WAITS && atomic_compare_exchange_strong(&a->now, &now, ASK_SLEEPS)) {
                while (sem_wait(&a->wake) != 0 && errno == EINTR)
                        ;
        }
        return atomic_load(&a->now);
}

/* Who is next may be asleep; that costs less than to let one thread work for all others without an end. */
static void line_hand_on(_Atomic(struct ask *) *line)
{
        struct ask *none = &nobody_waits;
        if (!atomic_compare_exchange_strong(line, &none, NULL))
                ask_tell(line_take(line), ASK_LEADS);
}

/* A slot that was damaged is emptied: that one alone. */
static void slot_mend(struct state *s, size_t index, union page *page, const char *what)
{
        uint64_t count = atomic_fetch_add(&s->mended, 1);
        page->slot.name[SLOT_NAME - 1] = '\0';
        if (count < MENDED_LINES)
                log_warn("%s: slot %zu (%s \"%s\") %s; it begins anew", state_name(s), index,
                         slot_kind_name((enum slot_kind)page->slot.kind), page->slot.name, what);
        memset(page, 0, sizeof *page);
}

static bool slot_load(struct state *s, size_t index, union page *page, bool *changed)
{
        if (!state_pread(s->fd, page, sizeof *page, STATE_AT_SLOTS + (off_t)index * SLOT_BYTES))
                return state_complain(s, "read");
        enum page_word word = page_check(page);
        *changed = true;
        if (word == PAGE_BAD)
                slot_mend(s, index, page, "is damaged");
        else if (word == PAGE_FINE && page->slot.layout != SLOT_LAYOUT)
                slot_mend(s, index, page, "has another layout");
        else
                *changed = false;
        return true;
}

static bool slot_save(struct state *s, size_t index, union page *page)
{
        if (page->slot.kind == SLOT_FREE)
                memset(page, 0, sizeof *page);
        else
                page_seal(page);
        return state_pwrite(s->fd, page, sizeof *page, STATE_AT_SLOTS + (off_t)index * SLOT_BYTES) ||
               state_complain(s, "written");
}

/* Gives true when the slot was changed. */
static bool ask_do(struct state *s, union page *page, struct ask *a)
{
        struct slot *slot = &page->slot;
        a->end = ASK_DONE;
        if (!a->any && !slot_is(slot, a->subject, a->name_len))
                return a->end = ASK_OTHER, false;
        int64_t now = state_now_ms(s);
        if (!a->fn(slot, now, a->context))
                return false;
        slot->used_ms = now;
        slot->layout = SLOT_LAYOUT;
        return true;
}

/* All of a list, and one write. False: it failed for all of them. */
static bool serve(struct state *s, size_t index, union page *page, struct ask *list, bool changed)
{
        for (struct ask *a = list; a; a = a->next)
                changed |= ask_do(s, page, a);
        if (!changed || slot_save(s, index, page))
                return true;
        for (struct ask *a = list; a; a = a->next)
                a->end = ASK_FAILED;
        return false;
}

static void tell_all(struct ask *list, const struct ask *me)
{
        while (list) {
                struct ask *next = list->next;
                if (list != me)
                        ask_tell(list, ASK_SERVED);
                list = next;
        }
}

/* me: and who stands behind it. */
static void lead(struct state *s, size_t index, struct ask *me)
{
        _Atomic(struct ask *) *line = &s->lines[index];
        off_t at = STATE_AT_SLOTS + (off_t)index * SLOT_BYTES;
        union page page;
        bool changed = false, others = false;
        bool locked = state_lock(s->fd, at, SLOT_BYTES) || state_complain(s, "locked");
        bool fine = locked && slot_load(s, index, &page, &changed);

        struct ask *list = me;
        for (int round = 0; list && fine; round++) {
                fine = serve(s, index, &page, list, changed);
                others |= list != me || me->next;
                tell_all(list, me);
                list = fine && round < ROUNDS ? line_take(line) : NULL;
                changed = false;
        }
        for (struct ask *a = list; a; a = a->next)
                a->end = ASK_FAILED;
        if (locked)
                state_unlock(s->fd, at, SLOT_BYTES);
        tell_all(list, me);
        line_hand_on(line);
        /* Or this thread, still awake, would ask again and again before those whom it served can. */
        if (others)
                sched_yield();
}

enum ask_end state_turn(struct state *s, size_t index, struct ask *a)
{
        atomic_init(&a->now, ASK_WAITS);
        sem_init(&a->wake, 0, 0);
        if (line_join(&s->lines[index], a) || ask_wait(a) == ASK_LEADS)
                lead(s, index, a);
        sem_destroy(&a->wake);
        return a->end;
}
