/* A second target besides a late one: who is heard, who is ended, and what the client sees of it. */
#include "relay_streams.h"

#define WHOLE(text)                                                                                          \
        JSON_HEAD "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"served\","        \
                  "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" text        \
                  "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5," \
                  "\"total_tokens\":12}}"

#define BOTH(letter) O_ROLE O_WORD(letter letter) O_END

/* Answers in the moment in which as many have asked as shall answer at once. */
static atomic_int together;

static char *with_the_other(const char *request)
{
        bool first = strstr(request, "both-1") != NULL;
        together++;
        for (int i = 0; together % 2 && i < 3000; i++)
                usleep(1000);
        return strdup(first ? SSE_HEAD BOTH("a") : SSE_HEAD BOTH("b"));
}

static const struct script scripts[] = {
        {.model = "both-1", .make = with_the_other},
        {.model = "both-2", .make = with_the_other},
        {.model = "o-quick", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one two") O_END}}},
        {.model = "o-slow", .steps = {{700, SSE_HEAD O_ROLE O_WORD("one two") O_END}}},
        {.model = "o-silent", .steps = {{5000, SSE_HEAD O_ROLE O_WORD("LATE") O_END}}},
        /* Something that is no content. */
        {.model = "o-role", .steps = {{0, SSE_HEAD O_ROLE}, {5000, O_WORD("LATE") O_END}}},
        {.model = "a-pings",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0")},
                   {20, A_EVENT("ping", "")},
                   {5000, A_WORD("0", "LATE")}}},
        {.model = "o-silent-then-cut", .steps = {{500, SSE_HEAD O_ROLE}}},
        {.model = "o-slow-then-cut", .steps = {{500, SSE_HEAD O_ROLE O_WORD("one ")}}},
        {.model = "o-slow-then-late",
         .steps = {{500, SSE_HEAD O_ROLE O_WORD("one ")}, {250, O_WORD("two") O_END}}},
        {.model = "o-slow-broken", .steps = {{500, ERROR_HEAD("500") "\r\n<html>"}}},
        {.model = "o-broken", .steps = {{0, ERROR_HEAD("500") "\r\n<html>"}}},
        {.model = "o-busy", .steps = {{0, ERROR_HEAD("429") "retry-after: 9\r\n\r\n{}"}}},
        {.model = "a-quick",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one two") A_CLOSE("0") A_STOP("end_turn")}}},
        {.model = "a-begins",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one ")},
                   {1200, A_WORD("0", "two") A_CLOSE("0") A_STOP("end_turn")}}},
        {.model = "g-quick", .steps = {{0, SSE_HEAD G_WORD("one two") G_STOP}}},
        {.model = "w-quick", .steps = {{0, WHOLE("one two")}}},
        {.model = "w-slow", .steps = {{700, WHOLE("one two")}}},
        {.model = "w-silent", .steps = {{5000, WHOLE("LATE")}}},
        {.model = "w-odd", .steps = {{0, JSON_HEAD "{\"odd\":true}"}}},
};

static void late_world(struct world *w, int64_t after_ms, const char *first, const char *second)
{
        const char *const models[] = {first, second};
        world_start(w);
        w->version.hedge.after_ms = after_ms;
        for (size_t i = 0; i < 2 && models[i]; i++)
                world_target(w,
                             models[i][0] == 'a'   ? "anthropic"
                             : models[i][0] == 'g' ? "gemini"
                                                   : "openai",
                             models[i]);
}

/* ---- streams ---- */

static void the_second_is_heard_first(void **state)
{
        (void)state;
        static const char *const first[] = {"o-silent", "o-role", "a-pings"}, *const second[] = {
                                                                                      "o-quick", "a-quick",
                                                                                      "g-quick", "w-quick"};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < 12; k++) {
                        struct world w;
                        int left = provider.left;
                        print_message("%s: %s, %s\n", asks[i].dialect, first[k % 3], second[k / 3]);
                        late_world(&w, 60, first[k % 3], second[k / 3]);
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:one two");
                        assert_false(world_has(&w, "LATE"));
                        assert_in_range(w.took_ms, 50, 4000);
                        assert_int_equal(w.record.attempts, 2);
                        assert_string_equal(w.record.provider, w.targets[1].provider->name);
                        assert_string_equal(w.record.upstream_model, second[k / 3]);
                        assert_string_equal(w.record.served_model, "served");
                        assert_string_equal(world_header(&w, "x-tollgate-provider"),
                                            w.targets[1].provider->name);
                        assert_string_equal(world_header(&w, "x-tollgate-attempts"), "2");
                        assert_true(provider_saw_leave(left + 1));
                        world_end(&w);
                }
        }
}

static void the_first_is_heard_first(void **state)
{
        (void)state;
        for (size_t i = 0; i < ASKS; i++) {
                for (int raw = 0; raw < (i == ASK_OPENAI ? 2 : 1); raw++) {
                        struct world w;
                        int left = provider.left;
                        print_message("%s\n", asks[i].dialect);
                        late_world(&w, 60, "o-slow", raw ? "o-silent" : "a-pings");
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:one two");
                        assert_int_equal(w.record.attempts, 2);
                        assert_string_equal(w.record.provider, "openai");
                        assert_string_equal(w.record.upstream_model, "o-slow");
                        assert_int_equal(w.record.fast_path, i == ASK_OPENAI);
                        assert_true(provider_saw_leave(left + 1));
                        world_end(&w);
                }
        }
}

/* Not a byte of the one that lost, however close it was. */
static void both_speak_at_once(void **state)
{
        (void)state;
        for (int i = 0; i < 60; i++) {
                struct world w;
                late_world(&w, 10, "both-1", "both-2");
                ask_with(&w, &asks[ASK_OPENAI], ",\"stream_options\":{\"include_usage\":true}");
                assert_true(w.record.whole && w.record.fast_path);
                assert_string_equal(world_text(&w),
                                    strcmp(w.record.upstream_model, "both-1") == 0 ? BOTH("a") : BOTH("b"));
                world_end(&w);
        }
}

/* One that is in time, or has spoken, is left alone. */
static void who_is_in_time_is_left_alone(void **state)
{
        (void)state;
        static const struct {
                const char *model;
                int64_t after_ms;
        } cases[] = {{"o-quick", 1500}, {"o-slow", 0}, {"a-begins", 1000}, {"o-slow", 3000}};
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                struct world w;
                int calls = provider.calls;
                late_world(&w, cases[k].after_ms, cases[k].model, "o-quick");
                ask_with(&w, &asks[ASK_OPENAI], "");
                assert_heard(&w, &asks[ASK_OPENAI], "t:one two");
                assert_int_equal(w.record.attempts, 1);
                assert_int_equal(provider.calls - calls, 1);
                world_end(&w);
        }
}

static void one_fails_and_the_other_goes_on(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *wins;
        } cases[] = {
                /* the first fails while the second runs */
                {"o-silent-then-cut", "o-slow", "o-slow"},
                {"o-slow-broken", "o-slow", "o-slow"},
                /* the second fails while the first runs */
                {"o-slow", "o-broken", "o-slow"},
                {"o-slow", "o-busy", "o-slow"},
                {"o-slow", "w-odd", "o-slow"},
                {"o-slow-then-late", "o-broken", "o-slow-then-late"},
        };
        for (size_t i = 0; i <= ASK_ANTHROPIC; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        late_world(&w, 60, cases[k].first, cases[k].second);
                        w.config.keepalive_ms = k % 2 ? 40 : 0;
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:one two");
                        assert_string_equal(w.record.upstream_model, cases[k].wins);
                        assert_int_equal(w.record.attempts, 2);
                        world_end(&w);
                }
        }
}

/* The head goes out with a keep-alive while both are silent. */
static void the_client_is_kept_alive_meanwhile(void **state)
{
        (void)state;
        for (size_t i = 0; i < ASKS; i++) {
                struct world w;
                late_world(&w, 60, "o-silent", "o-slow");
                w.config.keepalive_ms = 80;
                ask_with(&w, &asks[i], "");
                assert_heard(&w, &asks[i], "t:one two");
                assert_memory_equal(world_text(&w), asks[i].keepalive, 2);
                assert_null(world_header(&w, "x-tollgate-provider"));
                world_end(&w);
        }
}

static void both_fail(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *third;
                int status, attempts;
        } cases[] = {
                {"o-slow-broken", "o-broken", NULL, 502, 2},
                {"o-slow-broken", "o-slow-broken", NULL, 502, 2},
                {"o-slow-broken", "o-broken", "a-quick", 200, 3},
                {"o-silent-then-cut", "o-slow-broken", "g-quick", 200, 3},
        };
        for (size_t i = 0; i <= ASK_ANTHROPIC; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        late_world(&w, 60, cases[k].first, cases[k].second);
                        if (cases[k].third)
                                world_target(&w, cases[k].third[0] == 'a' ? "anthropic" : "gemini",
                                             cases[k].third);
                        ask_with(&w, &asks[i], "");
                        assert_int_equal(w.seen.head.status, cases[k].status);
                        assert_int_equal(w.record.attempts, cases[k].attempts);
                        if (cases[k].third)
                                assert_heard(&w, &asks[i], "t:one two");
                        world_end(&w);
                }
        }
}

/* Who was heard and then breaks has broken: the other one is gone, and rescue is another matter. */
static void who_was_heard_breaks(void **state)
{
        (void)state;
        for (size_t i = 0; i < ASKS; i++) {
                for (int rescued = i % 2; rescued < (i == ASK_OPENAI ? 2 : (int)(i % 2) + 1); rescued++) {
                        struct world w;
                        int left = provider.left;
                        print_message("%s\n", asks[i].dialect);
                        late_world(&w, 60, "o-slow-then-cut", "o-silent");
                        world_target(&w, "anthropic", "a-quick");
                        w.version.rescue = rescued ? RESCUE_MATCH : RESCUE_ERROR;
                        ask_with(&w, &asks[i], "");
                        if (rescued)
                                assert_heard(&w, &asks[i], "t:one two");
                        else
                                assert_broken(&w, &asks[i]);
                        /* The silent one is not waited for again, while there are others. */
                        assert_int_equal(w.record.attempts, rescued ? 3 : 2);
                        assert_true(provider_saw_leave(left + 1));
                        world_end(&w);
                }
        }
}

/* What is held back is heard all the same. */
static void held_streams_race_for_the_first_word(void **state)
{
        (void)state;
        struct world w;
        late_world(&w, 60, "o-silent", "a-begins");
        w.version.rescue = RESCUE_HOLD;
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_heard(&w, &asks[ASK_OPENAI], "t:one two");
        assert_string_equal(w.record.provider, "anthropic");
        assert_in_range(w.record.first_token_ms, 50, w.took_ms - 1000);
        world_end(&w);
}

static void times_hold_for_both(void **state)
{
        (void)state;
        struct world w;
        late_world(&w, 60, "o-silent", "a-pings");
        world_timeouts(&w.providers[0], 150, 0, 0);
        world_timeouts(&w.providers[1], 150, 0, 0);
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_int_equal(w.seen.head.status, 504);
        assert_in_range(w.took_ms, 190, 4000);
        world_end(&w);

        late_world(&w, 60, "o-silent", "a-pings");
        w.version.total_ms = 200;
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_int_equal(w.seen.head.status, 504);
        assert_in_range(w.took_ms, 190, 4000);
        world_end(&w);
}

static void *hang_up(void *context)
{
        struct world *w = context;
        usleep(250000);
        shutdown(w->seen.fds[1], SHUT_RDWR);
        return NULL;
}

static void both_end_with_the_client(void **state)
{
        (void)state;
        struct world w;
        pthread_t other;
        int left = provider.left;
        late_world(&w, 60, "o-silent", "a-pings");
        w.no_answer = true;
        pthread_create(&other, NULL, hang_up, &w);
        ask_with(&w, &asks[ASK_OPENAI], "");
        pthread_join(other, NULL);
        assert_true(w.record.client_left && !w.record.whole);
        assert_int_equal(w.record.attempts, 2);
        assert_true(provider_saw_leave(left + 2));
        world_end(&w);
}

/* Nothing may keep the first waiting: images are not fetched for the second. */
static void nothing_is_fetched_for_the_second(void **state)
{
        (void)state;
        struct world w;
        struct ask ask = asks[ASK_OPENAI];
        ask.begin = "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{"
                    "\"type\":\"image_url\",\"image_url\":{\"url\":\"http://127.0.0.1:1/a.png\"}}]}]";
        late_world(&w, 60, "o-slow", "g-quick");
        ask_with(&w, &ask, "");
        assert_heard(&w, &ask, "t:one two");
        assert_string_equal(w.record.upstream_model, "o-slow");
        world_end(&w);
}

/* ---- answers in one piece ---- */

static void answers_in_one_piece_race_too(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second;
                int64_t after_ms;
                int attempts;
                const char *wins; /* NULL: none */
        } cases[] = {
                {"w-silent", "w-quick", 60, 2, "w-quick"},    {"w-slow", "w-silent", 60, 2, "w-slow"},
                {"w-slow", "w-odd", 60, 2, "w-slow"},         {"w-slow", "o-broken", 60, 2, "w-slow"},
                {"o-slow-broken", "w-slow", 60, 2, "w-slow"}, {"o-slow-broken", "w-odd", 60, 2, NULL},
                {"w-quick", "w-silent", 1500, 1, "w-quick"},
        };
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                struct world w;
                print_message("%s, %s\n", cases[k].first, cases[k].second);
                late_world(&w, cases[k].after_ms, cases[k].first, cases[k].second);
                world_chat(&w, "openai",
                           "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
                           false);
                assert_int_equal(w.seen.head.status, cases[k].wins ? 200 : 502);
                assert_int_equal(w.record.attempts, cases[k].attempts);
                if (cases[k].wins) {
                        assert_true(world_has(&w, "one two") && w.record.whole);
                        assert_string_equal(w.record.upstream_model, cases[k].wins);
                        assert_int_equal(w.record.usage.output, 5);
                }
                assert_in_range(w.took_ms, 0, 4000);
                world_end(&w);
        }
}

static int set_up(void **state)
{
        (void)state;
        log_configure(LOG_LEVEL_ERROR, NULL);
        provider_start(scripts, sizeof scripts / sizeof *scripts);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        provider_stop();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_second_is_heard_first),
                cmocka_unit_test(the_first_is_heard_first),
                cmocka_unit_test(both_speak_at_once),
                cmocka_unit_test(who_is_in_time_is_left_alone),
                cmocka_unit_test(one_fails_and_the_other_goes_on),
                cmocka_unit_test(the_client_is_kept_alive_meanwhile),
                cmocka_unit_test(both_fail),
                cmocka_unit_test(who_was_heard_breaks),
                cmocka_unit_test(held_streams_race_for_the_first_word),
                cmocka_unit_test(times_hold_for_both),
                cmocka_unit_test(both_end_with_the_client),
                cmocka_unit_test(nothing_is_fetched_for_the_second),
                cmocka_unit_test(answers_in_one_piece_race_too),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
