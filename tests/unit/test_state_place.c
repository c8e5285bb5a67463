/* store/state: where its file may lie, and whose it must be (SECURITY items 18 to 20). */
#include "state_world.h"

#include <sys/wait.h>

static const struct state_options look = {.path = path}; /* as the command line does */
static const struct state_options make = {.path = path, .create = true};

static void the_command_line_makes_none(void **state)
{
        (void)state;
        struct state_options away = {.path = "/nonexistent-folder/state"};
        open_as(&look, STATE_ABSENT);
        assert_int_equal(size_of(path), -1);
        open_as(&away, STATE_ABSENT);
        away.create = true;
        open_as(&away, STATE_BROKEN);
        mode_t before = umask(0);
        state_close(opened());
        umask(before);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_true(st.st_blocks * 512 < 128 * 1024); /* sparse */
        state_close(open_as(&look, STATE_FINE));
        assert_int_equal(truncate(path, 0), 0);
        open_as(&look, STATE_ABSENT);
        state_close(open_as(&make, STATE_FINE));
        assert_string_equal(logged, "");
}

static void spoil_symlink(void)
{
        char target[160];
        snprintf(target, sizeof target, "%s.real", path);
        rename(path, target);
        assert_int_equal(symlink(target, path), 0);
}

static void spoil_dangling(void)
{
        unlink(path);
        assert_int_equal(symlink("/tmp/tollgate-nowhere", path), 0);
}

static void spoil_link(void)
{
        char second[160];
        snprintf(second, sizeof second, "%s.second", path);
        assert_int_equal(link(path, second), 0);
}

static void spoil_group(void)
{
        chmod(path, 0640);
}

static void spoil_others(void)
{
        chmod(path, 0602);
}

static void spoil_fifo(void)
{
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
}

static void spoil_folder_instead(void)
{
        unlink(path);
        assert_int_equal(mkdir(path, 0700), 0);
}

static void spoil_folder_mode(void)
{
        chmod(folder, 0707);
}

static void spoil_folder_sticky(void)
{
        chmod(folder, 01777);
}

static void spoil_owner(void)
{
        assert_int_equal(chown(path, 65534, 65534), 0);
}

static void spoil_folder_owner(void)
{
        assert_int_equal(chown(folder, 65534, 65534), 0);
}

static void refusals(void **state)
{
        (void)state;
        static const struct {
                void (*spoil)(void);
                const char *words;
                bool root;
        } cases[] = {
                {spoil_symlink, "is a symbolic link", false},
                {spoil_dangling, "is a symbolic link", false},
                {spoil_link, "has 2 names", false},
                {spoil_group, "is open to others (mode 0640", false},
                {spoil_others, "is open to others (mode 0602", false},
                {spoil_fifo, "is no regular file", false},
                {spoil_folder_instead, "is no regular file", false},
                {spoil_folder_mode, "a folder that everybody can write in", false},
                {spoil_folder_sticky, "a folder that everybody can write in", false},
                {spoil_owner, "belongs to user 65534", true},
                {spoil_folder_owner, "its folder belongs to user 65534", true},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                if (cases[i].root && geteuid() != 0)
                        continue;
                world_fresh(NULL);
                state_close(opened());
                cases[i].spoil();
                open_as(&look, STATE_FOREIGN);
                open_as(&make, STATE_FOREIGN);
                if (!strstr(why, cases[i].words) || !strstr(why, path))
                        fail_msg("case %zu: %s", i, why);
                if (geteuid() == 0)
                        assert_int_equal(chown(folder, 0, 0), 0);
        }
        assert_int_equal(size_of("/tmp/tollgate-nowhere"), -1);
        struct state_options in_tmp = {.path = "/tmp/tollgate-state-never", .create = true};
        open_as(&in_tmp, STATE_FOREIGN);
        assert_int_equal(size_of(in_tmp.path), -1);
}

static void folders_above(void **state)
{
        (void)state;
        char above[160], below[200];
        struct state_options o = {.path = below, .create = true};
        snprintf(above, sizeof above, "%s/open", folder);
        snprintf(below, sizeof below, "%s/open/own", folder);
        mkdir(above, 0700);
        mkdir(below, 0700);
        chmod(above, 0777);
        strcat(below, "/state");
        open_as(&o, STATE_FOREIGN);
        assert_non_null(strstr(why, "/open, which everybody can write in"));
        chmod(above, 01777);
        state_close(open_as(&o, STATE_FINE));
        assert_string_equal(logged, "");
        below[strlen(below) - strlen("/state")] = '\0';
        chmod(below, 0770);
        strcat(below, "/state");
        state_close(open_as(&o, STATE_FINE));
        assert_non_null(strstr(logged, "can be written in by group"));
}

static void another_user(void **state)
{
        (void)state;
        if (geteuid() != 0)
                skip();
        state_close(opened());
        for (int open_folder = 0; open_folder < 2; open_folder++) {
                chmod(folder, open_folder ? 0755 : 0700);
                pid_t child = fork();
                if (child == 0) {
                        enum state_problem problem;
                        if (setgid(65534) != 0 || setuid(65534) != 0)
                                _exit(2);
                        struct state *s = state_open(&look, &problem, why);
                        _exit(!s && problem == STATE_FOREIGN && strstr(why, path) ? 0 : 1);
                }
                int status;
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_int_equal(status, 0);
        }
}

static void one_configuration(void **state)
{
        (void)state;
        char first[160], second[160], by_link[160];
        snprintf(first, sizeof first, "%s/first.conf", folder);
        snprintf(second, sizeof second, "%s/second.conf", folder);
        snprintf(by_link, sizeof by_link, "%s/link.conf", folder);
        close(open(first, O_CREAT | O_WRONLY, 0600));
        assert_int_equal(symlink(first, by_link), 0);
        state_close(opened()); /* any: says nothing yet */
        struct state_options o = {.path = path, .config_path = first, .create = true};
        state_close(open_as(&o, STATE_FINE));
        o.config_path = by_link;
        state_close(open_as(&o, STATE_FINE));
        state_close(open_as(&look, STATE_FINE));
        o.config_path = second;
        open_as(&o, STATE_FOREIGN);
        assert_non_null(strstr(why, first));
        assert_non_null(strstr(why, second));
        /* Relative is made absolute. */
        char here[256];
        assert_non_null(getcwd(here, sizeof here));
        assert_int_equal(chdir(folder), 0);
        o.config_path = "first.conf";
        state_close(open_as(&o, STATE_FINE));
        assert_int_equal(chdir(here), 0);
        assert_string_equal(logged, "");
}

static void something_else(void **state)
{
        (void)state;
        static const char text[] = "version = 1; # somebody's own file\n";
        char kept[sizeof text] = "";
        int fd = open(path, O_CREAT | O_RDWR, 0600);
        assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
        open_as(&make, STATE_BROKEN);
        assert_non_null(strstr(why, "is no state file of Tollgate"));
        assert_int_equal(pread(fd, kept, sizeof kept, 0), sizeof text - 1);
        assert_string_equal(kept, text);
        close(fd);
}

static void places(void **state)
{
        (void)state;
        assert_null(state_place_warning(path));
        assert_null(state_place_warning("/nonexistent-folder/state"));
        assert_null(state_place_warning("state"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup(fn, world_fresh)
        static const struct CMUnitTest tests[] = {
                TEST(the_command_line_makes_none),
                TEST(refusals),
                TEST(folders_above),
                TEST(another_user),
                TEST(one_configuration),
                TEST(something_else),
                TEST(places),
        };
        return cmocka_run_group_tests(tests, world_begin, world_end);
}
