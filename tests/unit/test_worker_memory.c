/* What every worker's thread pays for: the log's lines, and the stack that a deep call has touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/stack.h"

static char got[8192];
static size_t got_len;

static void keep(void *context, const char *line, size_t len)
{
        (void)context;
        assert_true(len < sizeof got);
        memcpy(got, line, len);
        got[len] = '\0';
        got_len = len;
}

/* Behind "2026-11-22T10:00:00.000Z tollgate ". */
static const char *behind_time(void)
{
        const char *name = strstr(got, " tollgate ");
        assert_non_null(name);
        assert_int_equal(name - got, 24);
        return name + strlen(" tollgate ");
}

static void lines(void **state)
{
        (void)state;
        static const struct {
                const char *id, *message, *want;
        } rows[] = {
                {"abc", "plain words", "warn abc plain words\n"},
                {NULL, "", "warn - \n"},
                {"r", "two\nlines\x1b[31m\x7f", "warn r two\\x0alines\\x1b[31m\\x7f\n"},
                {"r", "caf\xc3\xa9 \xff", "warn r caf\xc3\xa9 \\xff\n"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                log_bind(keep, NULL, rows[i].id);
                log_warn("%s", rows[i].message);
                assert_string_equal(behind_time(), rows[i].want);
        }
        log_bind(NULL, NULL, NULL);
}

static void a_line_is_cut_at_2_kib(void **state)
{
        (void)state;
        static const char bytes[] = {'x', '\n', '\xc3'};
        char id[101], message[6000];
        memset(id, 'i', sizeof id - 1);
        id[sizeof id - 1] = '\0';
        log_bind(keep, NULL, id);
        for (size_t i = 0; i < sizeof bytes; i++) {
                memset(message, bytes[i], sizeof message - 1);
                message[sizeof message - 1] = '\0';
                log_error("%s", message);
                assert_in_range(got_len, 1800, 2048);
                assert_int_equal(strlen(got), got_len);
                assert_ptr_equal(strchr(got, '\n'), got + got_len - 1);
        }
        log_bind(NULL, NULL, NULL);
}

/* On the stack itself, also where sanitizers put arrays elsewhere. */
static __attribute__((noinline)) uintptr_t touch(size_t depth)
{
        volatile char *bytes = __builtin_alloca(depth);
        for (size_t i = 0; i < depth; i += 512)
                bytes[i] = 1;
        return (uintptr_t)bytes;
}

static bool resident(uintptr_t at)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        unsigned char in = 0;
        assert_int_equal(mincore((void *)(at / page * page), page, &in), 0);
        return in & 1;
}

static void stack_below_is_given_back(void **state)
{
        (void)state;
        char mine[4096];
        memset(mine, 'm', sizeof mine);
        uintptr_t deepest = touch(48 << 10);
        assert_true(resident(deepest));
        stack_release();
        assert_false(resident(deepest));
        for (size_t i = 0; i < sizeof mine; i++)
                assert_int_equal(mine[i], 'm');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines),
                cmocka_unit_test(a_line_is_cut_at_2_kib),
                cmocka_unit_test(stack_below_is_given_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
