/* Whose limits count, and the state that they are kept in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "gateway/caller.h"
#include "gateway/state_holder.h"

static void callers(void **state)
{
        (void)state;
        static const struct {
                enum config_per per;
                enum identity_kind kind;
                const char *who, *address;
                enum slot_kind slot;
                const char *name;
        } rows[] = {
                {PER_ACCOUNT, IDENTITY_USER, "alice", "192.0.2.1", SLOT_ACCOUNT, "staff"},
                {PER_USER, IDENTITY_USER, "alice", "192.0.2.1", SLOT_CALLER, "staff:user:alice"},
                {PER_USER, IDENTITY_KEY, "alice", "192.0.2.1", SLOT_CALLER, "staff:key:alice"},
                {PER_KEY, IDENTITY_KEY, "crm", "192.0.2.1", SLOT_CALLER, "staff:key:crm"},
                {PER_USER, IDENTITY_ANONYMOUS, NULL, "192.0.2.1", SLOT_CALLER, "staff:address:192.0.2.1"},
                {PER_ADDRESS, IDENTITY_USER, "alice", "192.0.2.1", SLOT_CALLER, "staff:address:192.0.2.1"},
                {PER_ADDRESS, IDENTITY_USER, "alice", "2001:db8:1:2:3:4:5:6", SLOT_CALLER,
                 "staff:address:2001:db8:1:2::/64"},
                {PER_ADDRESS, IDENTITY_USER, "alice", "2001:db8:1:2::9", SLOT_CALLER,
                 "staff:address:2001:db8:1:2::/64"},
                {PER_ADDRESS, IDENTITY_USER, "alice", "::ffff:192.0.2.1", SLOT_CALLER,
                 "staff:address:192.0.2.1"},
                {PER_ADDRESS, IDENTITY_USER, "alice", NULL, SLOT_CALLER, "staff:address:unknown"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                const struct config_account account = {.name = "staff", .per = rows[i].per};
                const struct identity who = {.kind = rows[i].kind, .account = &account, .name = rows[i].who};
                const struct subject s = caller_subject(a, &who, rows[i].address);
                assert_int_equal(s.kind, rows[i].slot);
                assert_string_equal(s.name, rows[i].name);
                arena_free(a);
        }
}

/* Names that no slot could hold, or that could be taken for others, stay apart. */
static void odd_names_stay_apart(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        const struct config_account account = {.name = "staff", .per = PER_USER};
        char one[300], two[300];
        memset(one, 'x', sizeof one);
        one[sizeof one - 1] = 0;
        memcpy(two, one, sizeof two);
        two[sizeof two - 2] = 'y';
        const char *const names[] = {one, two, "a\nb", "a b", "a\x1b[2J", "a\xff"};
        const char *seen[6];
        for (size_t i = 0; i < 6; i++) {
                const struct identity who = {.kind = IDENTITY_USER, .account = &account, .name = names[i]};
                seen[i] = caller_subject(a, &who, NULL).name;
                assert_true(strlen(seen[i]) < SLOT_NAME);
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(seen[i], seen[k]);
                for (const char *c = seen[i]; *c; c++)
                        assert_in_range(*c, 0x20, 0x7e);
        }
        arena_free(a);
}

static void the_state_is_opened_when_needed(void **state)
{
        (void)state;
        char folder[] = "/tmp/tollgate-holder-XXXXXX", path[64], other[64];
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/state", folder);
        snprintf(other, sizeof other, "%s/other", folder);
        static const struct config_account limited = {.name = "a", .limits = {.rpm = 1}},
                                           free_of_limits = {.name = "a"};
        struct config c = {.path = "/etc/one.conf", .state = path, .accounts = &limited, .account_count = 1};
        struct state_holder *h = state_holder_new();
        struct state *first = state_holder_get(h, &c);
        assert_non_null(first);
        assert_ptr_equal(state_holder_get(h, &c), first);
        /* The setting changes: another file, and back. */
        c.state = other;
        struct state *second = state_holder_get(h, &c);
        assert_non_null(second);
        assert_ptr_not_equal(second, first);
        c.state = path;
        assert_ptr_equal(state_holder_get(h, &c), first);
        /* A file that can't be had: with limits nothing goes, without any each process keeps its own. */
        c.state = "/tmp/nowhere-at-all/state";
        assert_null(state_holder_get(h, &c));
        c.accounts = &free_of_limits;
        struct state *alone = state_holder_get(h, &c);
        assert_non_null(alone);
        assert_ptr_not_equal(alone, first);
        assert_ptr_equal(state_holder_get(h, &c), alone);
        c.accounts = &limited;
        assert_null(state_holder_get(h, &c));
        state_holder_free(h);
        /* Another configuration may not use it. */
        h = state_holder_new();
        c.state = path;
        c.path = "/etc/two.conf";
        assert_null(state_holder_get(h, &c));
        state_holder_free(h);
        unlink(path);
        unlink(other);
        assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
        log_configure(LOG_LEVEL_ERROR, NULL);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(callers),
                cmocka_unit_test(odd_names_stay_apart),
                cmocka_unit_test(the_state_is_opened_when_needed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
