/* config: secrets from the environment and from files, and what is no secret. */
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

#include "config/secret.h"

static char folder[] = "/tmp/tollgate-secret-XXXXXX";

static void write_file(const char *name, const char *bytes, size_t len, mode_t mode)
{
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, len, f), len);
        fclose(f);
        chmod(path, mode);
}

static int setup(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        char large[SECRET_BYTES_MAX + 1], path[256];
        memset(large, 'a', sizeof large);
        write_file("good", "sk-1\n", 5, 0600);
        write_file("crlf", "sk-2\r\n\r\n", 8, 0640);
        write_file("bare", "sk-3", 4, 0604);
        write_file("empty", "\n", 1, 0600);
        write_file("nul", "sk\0x", 4, 0600);
        write_file("lines", "sk-4\nsk-5\n", 10, 0600);
        write_file("large", large, sizeof large, 0600);
        write_file("largest", large, SECRET_BYTES_MAX, 0600);
        snprintf(path, sizeof path, "%s/fifo", folder);
        mkfifo(path, 0600);
        setenv("TG_A", "value", 1);
        setenv("TG_EMPTY", "", 1);
        setenv("TG_CONTROL", "a\x1b[0m", 1);
        unsetenv("TG_NONE");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

static void each_kind(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                enum secret_kind kind;
                const char *value; /* or what is wrong: */
                const char *why;
                bool open;
        } rows[] = {
                {"sk-literal", SECRET_LITERAL, "sk-literal", NULL, false},
                {"environment", SECRET_LITERAL, "environment", NULL, false},
                {"", SECRET_LITERAL, NULL, "empty", false},
                {"a\nb", SECRET_LITERAL, NULL, "no header", false},
                {"schl\xc3\xbcssel", SECRET_LITERAL, NULL, "no header", false},
                {"env:TG_A", SECRET_ENV, "value", NULL, false},
                {"env:TG_EMPTY", SECRET_ENV, NULL, "empty", false},
                {"env:TG_NONE", SECRET_ENV, NULL, "not set", false},
                {"env:", SECRET_ENV, NULL, "not set", false},
                {"env:TG_CONTROL", SECRET_ENV, NULL, "no header", false},
                {"file:good", SECRET_FILE, "sk-1", NULL, false},
                {"file:crlf", SECRET_FILE, "sk-2", NULL, false},
                {"file:bare", SECRET_FILE, "sk-3", NULL, true},
                {"file:empty", SECRET_FILE, NULL, "empty", false},
                {"file:nul", SECRET_FILE, NULL, "NUL", false},
                {"file:lines", SECRET_FILE, NULL, "no header", false},
                {"file:large", SECRET_FILE, NULL, "too large", false},
                {"file:none", SECRET_FILE, NULL, "No such file", false},
                {"file:", SECRET_FILE, NULL, "regular", false},
                {"file:fifo", SECRET_FILE, NULL, "regular", false},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct arena *a = arena_new();
                struct secret s;
                secret_resolve(a, rows[i].text, folder, &s);
                assert_int_equal(s.kind, rows[i].kind);
                assert_int_equal(secret_kind(rows[i].text), rows[i].kind);
                assert_int_equal(s.open_to_others, rows[i].open);
                if (rows[i].value) {
                        assert_non_null(s.value);
                        assert_string_equal(s.value, rows[i].value);
                        assert_null(s.why);
                } else {
                        assert_null(s.value);
                        assert_non_null(strstr(s.why, rows[i].why));
                        assert_null(strstr(s.why, "sk"));
                }
                arena_free(a);
        }
}

static void absolute_paths_and_bounds(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct secret s;
        char text[300];
        snprintf(text, sizeof text, "file:%s/good", folder);
        secret_resolve(a, text, "/elsewhere", &s);
        assert_string_equal(s.value, "sk-1");
        assert_string_equal(s.path, text + 5);
        secret_resolve(a, "file:largest", folder, &s);
        assert_int_equal(strlen(s.value), SECRET_BYTES_MAX);
        snprintf(text, sizeof text, "%s/bare", folder);
        assert_true(secret_file_is_open(text));
        snprintf(text, sizeof text, "%s/good", folder);
        assert_false(secret_file_is_open(text));
        assert_false(secret_file_is_open("/nowhere/at/all"));
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_kind),
                cmocka_unit_test(absolute_paths_and_bounds),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
