/* policy/lease: calls under way and those in line for one, with processes that die. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policy/lease.h"

enum { PROCESSES = 300 };

struct world {
        bool dead[PROCESSES];
        int asked;
        struct lease_table table;
};

static bool alive(void *context, struct process_id p)
{
        struct world *w = context;
        w->asked++;
        return p.generation == 1 && p.index < PROCESSES && !w->dead[p.index];
}

static struct lease_context as(struct world *w, uint32_t index)
{
        return (struct lease_context){
                .self = {.index = index, .generation = 1}, .alive = alive, .context = w};
}

static bool take(struct world *w, uint32_t index, int64_t max, struct lease *out)
{
        struct lease_context c = as(w, index);
        return lease_take(&w->table, max, &c, out);
}

static int64_t count(struct world *w)
{
        struct lease_context c = as(w, 0);
        return lease_count(&w->table, &c);
}

static void a_limit_holds(void **state)
{
        (void)state;
        static const struct {
                int64_t max;
                int asks, granted;
        } rows[] = {{1, 3, 1}, {2, 3, 2}, {7, 7, 7}, {0, 50, 50}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct world w = {0};
                struct lease leases[64];
                int granted = 0;
                for (int k = 0; k < rows[i].asks; k++)
                        granted += take(&w, (uint32_t)k % 3, rows[i].max, &leases[k]);
                assert_int_equal(granted, rows[i].granted);
                assert_int_equal(count(&w), rows[i].granted);
                for (int k = 0; k < rows[i].asks; k++) {
                        struct lease_context c = as(&w, (uint32_t)k % 3);
                        lease_give(&w.table, &c, &leases[k]);
                        lease_give(&w.table, &c, &leases[k]); /* twice does nothing */
                }
                assert_int_equal(count(&w), 0);
        }
}

static void the_dead_give_theirs_back(void **state)
{
        (void)state;
        struct world w = {0};
        struct lease l;
        for (int i = 0; i < 3; i++)
                assert_true(take(&w, 1, 4, &l));
        assert_true(take(&w, 2, 4, &l));
        assert_int_equal(w.asked, 0); /* nobody is asked for below the limit */
        assert_false(take(&w, 3, 4, &l));
        assert_false(l.held);
        w.dead[1] = true;
        assert_true(take(&w, 3, 4, &l));
        assert_int_equal(count(&w), 2);
        /* Of another generation: the kernel need not be asked to know that the former one is dead. */
        struct lease_context again = as(&w, 2);
        again.self.generation = 2;
        w.asked = 0;
        assert_int_equal(lease_count(&w.table, &again), 1);
        assert_int_equal(w.asked, 1);
}

static void a_lease_of_before_takes_nothing_from_the_next(void **state)
{
        (void)state;
        struct world w = {0};
        struct lease old, l;
        struct lease_context c = as(&w, 5), again = as(&w, 5);
        again.self.generation = 2;
        assert_true(lease_take(&w.table, 2, &c, &old));
        assert_true(lease_take(&w.table, 2, &again, &l));
        lease_give(&w.table, &c, &old);
        assert_int_equal(lease_count(&w.table, &again), 1);
}

static void a_full_table_matters_only_with_a_limit(void **state)
{
        (void)state;
        struct world w = {0};
        struct lease l;
        for (uint32_t i = 0; i < LEASE_ROWS; i++)
                assert_true(take(&w, i, 0, &l) && l.counted);
        assert_true(take(&w, 200, 0, &l));
        assert_true(l.held && !l.counted);
        struct lease_context c = as(&w, 200);
        lease_give(&w.table, &c, &l);
        assert_false(take(&w, 200, 1000, &l));
        assert_int_equal(count(&w), LEASE_ROWS);
        w.dead[17] = true;
        assert_true(take(&w, 200, 1000, &l) && l.counted);
        assert_int_equal(count(&w), LEASE_ROWS);
        /* A number beyond a row's is let through uncounted, too. */
        c.self.index = 70000;
        assert_true(lease_take(&w.table, 0, &c, &l) && !l.counted);
        assert_false(lease_take(&w.table, 1000, &c, &l));
}

static void the_line_is_first_come_first_served(void **state)
{
        (void)state;
        struct world w = {0};
        struct lease first, l;
        struct lease_context c[4];
        uint64_t tickets[4];
        for (uint32_t i = 0; i < 4; i++)
                c[i] = as(&w, i);
        assert_true(lease_take(&w.table, 1, &c[0], &first));
        for (uint32_t i = 1; i < 4; i++) {
                tickets[i] = lease_line_join(&w.table, 3, &c[i]);
                assert_true(tickets[i] > 0);
        }
        assert_int_equal(lease_line_join(&w.table, 3, &c[0]), 0);
        assert_int_equal(lease_line_length(&w.table), 3);
        assert_false(lease_line_take(&w.table, tickets[1], 1, &c[1], &l));
        lease_give(&w.table, &c[0], &first);
        assert_false(lease_take(&w.table, 1, &c[0], &l)); /* others wait */
        assert_true(lease_take(&w.table, 0, &c[0], &l));  /* no limit, no line */
        lease_give(&w.table, &c[0], &l);
        assert_false(lease_line_take(&w.table, tickets[2], 1, &c[2], &l));
        w.dead[1] = true;
        assert_true(lease_line_take(&w.table, tickets[2], 1, &c[2], &l));
        assert_int_equal(lease_line_length(&w.table), 1);
        assert_false(lease_line_take(&w.table, tickets[3], 1, &c[3], &first));
        lease_give(&w.table, &c[2], &l);
        lease_line_leave(&w.table, tickets[3]);
        assert_true(lease_take(&w.table, 1, &c[0], &l));
        assert_int_equal(lease_line_length(&w.table), 0);
}

static void a_line_ends(void **state)
{
        (void)state;
        struct world w = {0};
        for (uint32_t i = 0; i < LEASE_LINE; i++) {
                struct lease_context c = as(&w, i);
                assert_true(lease_line_join(&w.table, 0, &c) > 0);
        }
        struct lease_context c = as(&w, 100);
        assert_int_equal(lease_line_join(&w.table, 0, &c), 0);
        w.dead[9] = true;
        assert_true(lease_line_join(&w.table, 0, &c) > 0);
}

static void a_lost_place_is_behind_the_others(void **state)
{
        (void)state;
        struct world w = {0};
        struct lease l;
        struct lease_context a = as(&w, 1), b = as(&w, 2);
        uint64_t lost = lease_line_join(&w.table, 0, &a);
        memset(&w.table, 0, sizeof w.table);
        uint64_t other = lease_line_join(&w.table, 0, &b);
        assert_int_equal(lost, other); /* the same number, not the same place */
        assert_false(lease_line_take(&w.table, lost, 1, &a, &l));
        lease_line_leave(&w.table, other);
        assert_true(lease_line_take(&w.table, lost, 1, &a, &l));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_limit_holds),
                cmocka_unit_test(the_dead_give_theirs_back),
                cmocka_unit_test(a_lease_of_before_takes_nothing_from_the_next),
                cmocka_unit_test(a_full_table_matters_only_with_a_limit),
                cmocka_unit_test(the_line_is_first_come_first_served),
                cmocka_unit_test(a_line_ends),
                cmocka_unit_test(a_lost_place_is_behind_the_others),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
