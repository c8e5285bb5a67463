/* store/state: what is mended, other layouts, and the clock over restarts of the machine. */
#include "state_world.h"

#include <dirent.h>

#include "base/clock.h"

static const struct state_options make = {.path = path, .create = true};

/* ---- layouts */

static void header_edit(void (*edit)(struct state_header *h))
{
        union page p;
        page_get(0, &p);
        edit(&p.header);
        page_seal(&p);
        page_put(0, &p);
        page_put(STATE_AT_COPY, &p);
}

static void edit_newer(struct state_header *h)
{
        h->layout = SLOT_LAYOUT + 1;
        h->slot_bytes = 2 * SLOT_BYTES;
}

static void edit_older(struct state_header *h)
{
        h->layout = 0;
        h->slots[1] = 100;
}

static void a_newer_layout_is_refused(void **state)
{
        (void)state;
        union page before, after;
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        state_close(s);
        header_edit(edit_newer);
        page_get(0, &before);
        open_as(&make, STATE_NEWER);
        assert_non_null(strstr(why, path));
        page_get(0, &after);
        assert_memory_equal(&before, &after, sizeof before);
}

static void an_older_layout_is_migrated(void **state)
{
        (void)state;
        union page p;
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        turn(s, SLOT_TARGET, "b");
        off_t at = slot_at("a");
        page_get(at, &p);
        p.slot.layout = 0;
        page_seal(&p);
        page_put(at, &p);
        header_edit(edit_older);
        open_as(&make, STATE_BROKEN); /* s lives */
        assert_non_null(strstr(why, "still runs"));
        state_close(s);
        logged[0] = '\0';
        s = opened();
        assert_non_null(strstr(logged, "layout 0 becomes layout 1"));
        assert_non_null(strstr(logged, "\"a\") has another layout"));
        assert_int_equal(turns(s, SLOT_TARGET, "a"), -1);
        assert_int_equal(turns(s, SLOT_TARGET, "b"), 1);
        state_close(s);
        logged[0] = '\0';
        state_close(opened());
        assert_string_equal(logged, "");
}

/* ---- damage */

static void three_slots(void)
{
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        turn(s, SLOT_TARGET, "b");
        turn(s, SLOT_CALLER, "c");
        state_close(s);
        assert_string_equal(logged, "");
}

/* As told by a 0 or 1 for each of the three. */
static void left(const char *which, const char *words)
{
        struct state *s = opened();
        char is[4] = {turns(s, SLOT_TARGET, "a") == 1 ? '1' : '0',
                      turns(s, SLOT_TARGET, "b") == 1 ? '1' : '0',
                      turns(s, SLOT_CALLER, "c") == 1 ? '1' : '0'};
        assert_string_equal(is, which);
        if (!strstr(logged, words) || !strstr(logged, path))
                fail_msg("\"%s\" is not in: %s", words, logged);
        assert_int_equal(size_of(path), STATE_FILE_BYTES);
        /* All is well again. */
        for (int i = 0; i < 3; i++)
                assert_int_equal(
                        turn(s, i < 2 ? SLOT_TARGET : SLOT_CALLER, (const char *[]){"a", "b", "c"}[i]),
                        STATE_DONE);
        logged[0] = '\0';
        state_close(s);
        s = opened();
        assert_int_equal(turns(s, SLOT_TARGET, "b"), which[1] - '0' + 1);
        state_close(s);
        assert_string_equal(logged, "");
}

static void flipped_bits_in_a_slot(void **state)
{
        (void)state;
        static const size_t at[] = {0, 8, 12, 17, 40, 300, 1500, sizeof(struct slot) - 1, SLOT_BYTES - 1};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                world_fresh(NULL);
                three_slots();
                flip(slot_at("b") + (off_t)at[i]);
                left("101", "is damaged; it begins anew");
        }
        world_fresh(NULL);
        three_slots();
        flip(slot_at("b") + 1000);
        left("101", "(target \"b\") is damaged");
}

static char aside[300];

static bool find_aside(void)
{
        DIR *d = opendir(folder);
        struct dirent *e;
        aside[0] = '\0';
        while ((e = readdir(d))) {
                if (strncmp(e->d_name, "state.damaged-", 14) == 0)
                        snprintf(aside, sizeof aside, "%s/%.200s", folder, e->d_name);
        }
        closedir(d);
        return aside[0] != '\0';
}

static void a_flipped_header(void **state)
{
        (void)state;
        static const size_t at[] = {0, 9, 17, 30, 50, 3000, SLOT_BYTES - 1};
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                world_fresh(NULL);
                three_slots();
                flip((off_t)at[i]);
                left("111", "its copy at the end takes its place");
                assert_false(find_aside());
        }
        world_fresh(NULL);
        three_slots();
        flip(STATE_AT_COPY + 100);
        left("111", "the copy of the header at the end is damaged");
}

static void both_headers(void **state)
{
        (void)state;
        struct stat st, now;
        three_slots();
        flip(50);
        flip(STATE_AT_COPY + 50);
        assert_int_equal(stat(path, &st), 0);
        left("000", "all limits begin anew");
        assert_true(find_aside());
        assert_int_equal(stat(path, &now), 0);
        assert_int_equal(now.st_ino, st.st_ino);
        assert_int_equal(stat(aside, &now), 0);
        assert_int_equal(now.st_mode & 07777, 0600);
        assert_int_equal(now.st_size, STATE_FILE_BYTES);
        assert_true(now.st_blocks * 512 < 512 * 1024);
        /* The copy holds what was there. */
        rename(aside, path);
        flip(50);
        left("111", "the copy of the header at the end is damaged"); /* flipped back: only one still is */
}

static void zero(off_t from, off_t to)
{
        static const union page nothing;
        for (off_t at = from; at < to; at += SLOT_BYTES)
                page_put(at, &nothing);
}

static void a_zeroed_tail(void **state)
{
        (void)state;
        three_slots();
        zero(slot_at("c"), STATE_FILE_BYTES);
        left("110", "1 slots that were in use hold only zeros");
}

static void a_zeroed_beginning(void **state)
{
        (void)state;
        three_slots();
        zero(0, STATE_AT_SLOTS);
        left("111", "its copy at the end takes its place");
        world_fresh(NULL);
        three_slots();
        zero(0, STATE_FILE_BYTES);
        left("000", "all limits begin anew");
}

static void a_shorter_file(void **state)
{
        (void)state;
        three_slots();
        assert_int_equal(truncate(path, slot_at("c") + 100), 0);
        left("110", "the end is missing");
        world_fresh(NULL);
        three_slots();
        off_t a = slot_at("a"), b = slot_at("b");
        assert_int_equal(truncate(path, a < b ? b : a), 0);
        left(a < b ? "100" : "010", "2 slots that were in use hold only zeros");
        world_fresh(NULL);
        three_slots();
        assert_int_equal(truncate(path, 1000), 0);
        left("000", "the end is missing (1000 of");
        world_fresh(NULL);
        three_slots();
        assert_int_equal(truncate(path, 20), 0);
        left("000", "all limits begin anew");
}

/* A directory that is lost is guessed: nothing that it told of is lost with it. */
static void a_damaged_directory(void **state)
{
        (void)state;
        three_slots();
        flip(STATE_AT_DIRECTORIES + 20);
        flip(STATE_AT_DIRECTORIES + SLOT_BYTES);
        struct state *s = opened();
        assert_int_equal(turn(s, SLOT_TARGET, "new"), STATE_DONE);
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 1);
        assert_int_equal(turns(s, SLOT_TARGET, "new"), 1);
        struct state_found found;
        state_slots_verify(s, &found);
        assert_int_equal(found.used, 4);
        assert_int_equal(found.lost, 0);
        state_slots_verify(s, &found);
        assert_int_equal(found.used, 4);
        state_close(s);
}

/* ---- others at it */

static void due(struct state *s)
{
        atomic_store(&s->look_ms, 0);
}

static void a_header_damaged_in_use_is_written_again(void **state)
{
        (void)state;
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        flip(40);
        flip(STATE_AT_COPY + 40);
        due(s);
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 1);
        assert_non_null(strstr(logged, "damaged while in use"));
        logged[0] = '\0';
        struct state *other = opened();
        assert_int_equal(turns(other, SLOT_TARGET, "a"), 1);
        assert_string_equal(logged, "");
        state_close(other);
        state_close(s);
}

/* Made anew by another process: both must meet in the same slots, and both live. */
static void a_file_made_anew_in_use(void **state)
{
        (void)state;
        struct state *s = opened();
        turn(s, SLOT_TARGET, "a");
        flip(40);
        flip(STATE_AT_COPY + 40);
        struct state *other = opened();
        assert_int_not_equal(s->header.header.seed, other->header.header.seed);
        due(s);
        assert_int_equal(turn(s, SLOT_TARGET, "a"), STATE_DONE);
        assert_int_equal(turn(other, SLOT_TARGET, "a"), STATE_DONE);
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 2);
        assert_int_equal(s->header.header.seed, other->header.header.seed);
        assert_true(state_process_alive(other, state_self(s)));
        assert_true(state_process_alive(s, state_self(other)));
        assert_int_not_equal(state_self(s).index, state_self(other).index);
        state_close(other);
        assert_false(state_process_alive(s, (struct process_id){1, 1}));
        state_close(s);
}

static void a_file_removed_in_use_is_told(void **state)
{
        (void)state;
        struct state *s = opened();
        unlink(path);
        due(s);
        assert_int_equal(turn(s, SLOT_TARGET, "a"), STATE_DONE);
        assert_non_null(strstr(logged, "though it is in use"));
        assert_true(state_lost(s));
        state_close(s);
}

static void a_file_replaced_in_use_is_told(void **state)
{
        char elsewhere[160];
        (void)state;
        struct state *s = opened();
        due(s);
        turn(s, SLOT_TARGET, "a");
        assert_false(state_lost(s));
        snprintf(elsewhere, sizeof elsewhere, "%s.old", path);
        assert_int_equal(rename(path, elsewhere), 0);
        struct state *other = opened();
        due(s);
        due(other);
        assert_int_equal(turn(s, SLOT_TARGET, "a"), STATE_DONE);
        assert_int_equal(turn(other, SLOT_TARGET, "a"), STATE_DONE);
        assert_non_null(strstr(logged, "though it is in use"));
        assert_true(state_lost(s));
        assert_false(state_lost(other));
        state_close(other);
        state_close(s);
}

/* ---- the clock */

static void edit_boot(struct state_header *h)
{
        memset(h->boot, 0, sizeof h->boot);
        strcpy(h->boot, "another run of the machine");
        h->offset_ms = 12345;
}

static void the_clock_goes_on(void **state)
{
        (void)state;
        struct state *s = opened();
        assert_in_range(state_now_ms(s), clock_unix_ms() - 600000, clock_unix_ms() + 600000);
        turn(s, SLOT_TARGET, "a");
        state_close(s);
        header_edit(edit_boot);
        s = opened();
        assert_in_range(state_now_ms(s), clock_unix_ms() - 600000, clock_unix_ms() + 600000);
        assert_int_equal(turns(s, SLOT_TARGET, "a"), 1);
        /* The same for all, and again after a second look. */
        struct state *other = opened();
        assert_int_equal(atomic_load(&s->offset_ms), atomic_load(&other->offset_ms));
        state_close(other);
        state_close(s);
}

static void the_clock_never_goes_back(void **state)
{
        (void)state;
        union page p;
        struct state *s = opened();
        turn(s, SLOT_CALLER, "c");
        state_close(s);
        off_t at = slot_at("c");
        page_get(at, &p);
        int64_t newest = p.slot.used_ms += 86400000;
        page_seal(&p);
        page_put(at, &p);
        header_edit(edit_boot);
        s = opened();
        assert_in_range(state_now_ms(s), newest + 1, newest + 600000);
        /* While somebody lives, the machine has not been restarted. */
        header_edit(edit_boot);
        struct state *other = opened();
        assert_in_range(atomic_load(&other->offset_ms), 12345, 12345);
        state_close(other);
        state_close(s);
}

static void leases_of_another_run(void **state)
{
        (void)state;
        struct state *s = opened();
        struct process_id self = state_self(s);
        state_close(s);
        header_edit(edit_boot);
        s = opened();
        assert_int_equal(state_self(s).index, self.index);
        assert_false(state_process_alive(s, self));
        assert_true(state_process_alive(s, state_self(s)));
        assert_false(state_process_alive(s, (struct process_id){0, 0}));
        assert_false(state_process_alive(s, (struct process_id){STATE_PROCESSES, 1}));
        state_close(s);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup(fn, world_fresh)
        static const struct CMUnitTest tests[] = {
                TEST(a_newer_layout_is_refused),
                TEST(an_older_layout_is_migrated),
                TEST(flipped_bits_in_a_slot),
                TEST(a_flipped_header),
                TEST(both_headers),
                TEST(a_zeroed_tail),
                TEST(a_zeroed_beginning),
                TEST(a_shorter_file),
                TEST(a_damaged_directory),
                TEST(a_header_damaged_in_use_is_written_again),
                TEST(a_file_made_anew_in_use),
                TEST(a_file_removed_in_use_is_told),
                TEST(a_file_replaced_in_use_is_told),
                TEST(the_clock_goes_on),
                TEST(the_clock_never_goes_back),
                TEST(leases_of_another_run),
        };
        return cmocka_run_group_tests(tests, world_begin, world_end);
}
