/* gateway/state_holder: which state counts for a configuration, and what stands in when there is none. */
#include "state_world.h"

#include "gateway/state_holder.h"

static const struct config_account limited = {.name = "a", .limits = {.rpm = 5}};

static struct config config_of(bool limits)
{
        return (struct config){.path = "/etc/tollgate.conf",
                               .state = path,
                               .accounts = limits ? &limited : NULL,
                               .account_count = limits};
}

static void look(struct state *s)
{
        atomic_store(&s->look_ms, 0);
        assert_int_equal(turn(s, SLOT_TARGET, "a"), STATE_DONE);
}

static void one_state_for_a_path(void **state)
{
        (void)state;
        struct config c = config_of(true), other = c;
        struct state_holder *h = state_holder_new();
        struct state *s = state_holder_get(h, &c);
        assert_non_null(s);
        look(s);
        assert_ptr_equal(state_holder_get(h, &c), s);
        char second[160];
        snprintf(second, sizeof second, "%s.second", path);
        other.state = second;
        struct state *t = state_holder_get(h, &other);
        assert_true(t && t != s);
        assert_ptr_equal(state_holder_get(h, &c), s);
        state_holder_free(h);
}

static void without_a_file_limits_let_nobody_pass(void **state)
{
        (void)state;
        assert_int_equal(chmod(folder, 0777), 0);
        for (int limits = 0; limits < 2; limits++) {
                struct config c = config_of(limits);
                struct state_holder *h = state_holder_new();
                struct state *s = state_holder_get(h, &c);
                assert_int_equal(s != NULL, !limits);
                assert_ptr_equal(state_holder_get(h, &c), s);
                state_holder_free(h);
        }
        assert_non_null(strstr(logged, "no model is asked"));
}

/* Who removed it, or put another there, gets no second set of limits beside the first. */
static void a_file_that_was_replaced_is_left_behind(void **state)
{
        (void)state;
        struct config c = config_of(true);
        struct state_holder *h = state_holder_new();
        struct state *s = state_holder_get(h, &c);
        look(s);
        assert_int_equal(unlink(path), 0);
        look(s);
        struct state *t = state_holder_get(h, &c);
        assert_true(t && t != s);
        assert_non_null(strstr(logged, "removed or replaced while in use"));
        struct state *outside = opened();
        look(t);
        assert_int_equal(turns(outside, SLOT_TARGET, "a"), 1);
        look(s); /* of a request that still runs */
        assert_ptr_equal(state_holder_get(h, &c), t);
        /* Seldom: what is left behind stays open. */
        assert_int_equal(unlink(path), 0);
        look(t);
        assert_ptr_equal(state_holder_get(h, &c), t);
        state_close(outside);
        state_holder_free(h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, world_fresh)
        const struct CMUnitTest tests[] = {
                TEST(one_state_for_a_path),
                TEST(without_a_file_limits_let_nobody_pass),
                TEST(a_file_that_was_replaced_is_left_behind),
        };
        return cmocka_run_group_tests(tests, world_begin, world_end);
}
