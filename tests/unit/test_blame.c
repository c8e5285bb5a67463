/* Who is blamed for what went wrong, and who may still be asked after it. */
#include "relay_streams.h"

#define WHOLE(text)                                                                                          \
        JSON_HEAD "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"served\","        \
                  "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" text        \
                  "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5," \
                  "\"total_tokens\":12}}"
#define GONE                                                                                                 \
        ERROR_HEAD("404")                                                                                    \
        "\r\n{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: a-gone\"}}"

static atomic_int sleepy_calls;

/* Long silence, then words; at once from the second call on. */
static char *sleeps_once(const char *request)
{
        (void)request;
        if (sleepy_calls++ == 0)
                usleep(1500000);
        return strdup(SSE_HEAD O_ROLE O_WORD("one two") O_END);
}

enum { MUCH = 300000 };

static char *answers_at_length(const char *request)
{
        char *answer = malloc(MUCH + 1000);
        strcpy(answer, strstr(request, "w-odd") ? JSON_HEAD "{\"odd\":true}" : WHOLE("one two"));
        size_t len = strlen(answer);
        memset(answer + len, ' ', MUCH);
        answer[len + MUCH] = '\0';
        return answer;
}

/* Signs of life, and not a word. */
static char *pings(const char *request)
{
        struct buf out;
        (void)request;
        buf_init(&out, 1 << 20);
        buf_adds(&out, SSE_HEAD A_BEGIN);
        for (int i = 0; i < 1000; i++)
                buf_adds(&out, A_EVENT("ping", ""));
        buf_adds(&out, A_TEXT("0") A_WORD("0", "one two") A_CLOSE("0") A_STOP("end_turn"));
        return out.data;
}

static const struct script scripts[] = {
        {.model = "w-odd", .make = answers_at_length},
        {.model = "w-long", .make = answers_at_length},
        {.model = "a-pings", .make = pings},
        {.model = "sleeps-once", .make = sleeps_once},
        {.model = "o-quick", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one two") O_END}}},
        {.model = "o-silent", .steps = {{5000, SSE_HEAD O_ROLE O_WORD("LATE") O_END}}},
        {.model = "o-talks", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one ")}, {5000, O_WORD("two") O_END}}},
        {.model = "o-cut", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one ")}}},
        {.model = "a-begins-late",
         .steps = {{0, SSE_HEAD A_BEGIN A_EVENT("ping", "")},
                   {200, A_TEXT("0") A_WORD("0", "one two") A_CLOSE("0") A_STOP("end_turn")}}},
        {.model = "a-gone", .steps = {{500, GONE}}},
        {.model = "w-quick", .steps = {{0, WHOLE("one two")}}},
        {.model = "w-silent", .steps = {{5000, WHOLE("LATE")}}},
        {.model = "o-slow-broken", .steps = {{400, ERROR_HEAD("500") "\r\n<html>"}}},
        {.model = "o-late-there", .steps = {{0, ERROR_HEAD("504") "\r\n{}"}}},
        {.model = "barred",
         .steps = {{0, ERROR_HEAD("401") "\r\n{\"error\":{\"message\":\"Incorrect API key\",\"type\":"
                                         "\"invalid_request_error\",\"code\":\"invalid_api_key\"}}"}}},
        {.model = "barred-by-a-proxy", .steps = {{0, ERROR_HEAD("403") "\r\n<html>no</html>"}}},
};

static const struct config_model model = {.name = "asked"};
static const char whole_body[] =
        "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";

static void start(struct world *w)
{
        world_start(w);
        world_state(w);
        w->route.model = &model;
        w->config.retry_share = 0.2;
        w->version.retry.attempts = 1;
        w->version.breaker =
                (struct config_breaker){.share = 0.5, .minimum = 1, .window_ms = 30000, .cooldown_ms = 60000};
        sleepy_calls = 0;
}

static void ask_whole(struct world *w)
{
        if (w->seen.begun)
                world_again(w);
        world_chat(w, "openai", whole_body, false);
}

static const struct slot *slot_of(struct world *w, const char *name)
{
        struct slot *slot = arena_alloc(w->arena, sizeof *slot);
        assert_true(state_read(w->state, (struct subject){SLOT_TARGET, name}, slot));
        return slot;
}

/* ---- the total ---- */

static void a_total_that_runs_out_blames_nobody_who_spoke(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.total_ms = 2500;
        world_target(&w, "openai", "o-talks");
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_broken(&w, &asks[ASK_OPENAI]);
        assert_int_equal(slot_of(&w, "openai/o-talks")->breaker.mode, BREAKER_CLOSED);
        world_end(&w);
}

static void who_had_no_time_is_not_blamed(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.total_ms = 3000;
        world_timeouts(&w.providers[0], 5000, 5000, 2600);
        world_target(&w, "openai", "w-silent");
        world_target(&w, "openai", "w-silent");
        w.targets[1].model = "o-silent";
        ask_whole(&w);
        assert_int_equal(w.seen.head.status, 504);
        assert_int_equal(w.record.attempts, 2);
        assert_int_equal(slot_of(&w, "openai/w-silent")->breaker.mode, BREAKER_OPEN);
        assert_int_equal(slot_of(&w, "openai/o-silent")->breaker.mode, BREAKER_CLOSED);
        world_end(&w);
        /* Who had all of it is. */
        start(&w);
        w.version.total_ms = 400;
        world_target(&w, "openai", "w-silent");
        ask_whole(&w);
        assert_int_equal(w.seen.head.status, 504);
        assert_int_equal(slot_of(&w, "openai/w-silent")->breaker.mode, BREAKER_OPEN);
        world_end(&w);
}

/* ---- what is told ---- */

/* That no second try was allowed is not what went wrong. */
static void the_first_failure_is_told(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.retry.attempts = 2;
        w.config.retry_share = 0;
        world_target(&w, "openai", "o-late-there");
        ask_whole(&w);
        assert_int_equal(w.record.attempts, 1);
        assert_int_equal(w.seen.head.status, 504);
        world_end(&w);
}

/* ---- probes ---- */

static void an_unclear_answer_brings_no_target_back(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        world_target(&w, "openai", "barred");
        ask_whole(&w);
        assert_int_equal(slot_of(&w, "openai/barred")->breaker.out, 1);
        /* What answers is a page of a proxy now. */
        struct script changed[sizeof scripts / sizeof *scripts];
        memcpy(changed, scripts, sizeof scripts);
        for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
                if (strcmp(changed[i].model, "barred") == 0)
                        changed[i].steps[0].text = ERROR_HEAD("403") "\r\n<html>no</html>";
        }
        provider.scripts = changed;
        w.skipped_ms += BREAKER_OUT_MS + 1000;
        int calls = provider.calls;
        ask_whole(&w);
        provider.scripts = scripts;
        assert_int_equal(provider.calls - calls, 1);
        assert_int_equal(slot_of(&w, "openai/barred")->breaker.out, 1);
        assert_int_equal(slot_of(&w, "openai/barred")->breaker.mode, BREAKER_OPEN);
        world_end(&w);
}

/* ---- hedges ---- */

/* No second one besides, but another one after. */
static void a_hedge_that_may_not_be_leaves_a_target_to_go_to(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.hedge.after_ms = 60;
        w.config.retry_share = 0;
        world_target(&w, "openai", "o-slow-broken");
        world_target(&w, "openai", "w-quick");
        ask_whole(&w);
        assert_int_equal(w.seen.head.status, 200);
        assert_true(world_has(&w, "one two"));
        assert_int_equal(w.record.hedges, 0);
        assert_int_equal(w.record.attempts, 2);
        world_end(&w);
}

/* Images would have to be fetched for it: that is no attempt, and is done when its turn has come. */
static void a_hedge_that_was_not_sent_is_none(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.hedge.after_ms = 60;
        world_target(&w, "openai", "o-slow-broken");
        world_target(&w, "gemini", "g-any");
        world_chat(
                &w, "openai",
                "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                "\"image_url\":{\"url\":\"http://127.0.0.1:1/a.png\"}}]}]}",
                false);
        assert_int_equal(w.record.hedges, 0);
        assert_int_equal(w.record.attempts, 2);
        assert_int_equal(w.seen.head.status, 400);
        /* The count fades, from one. */
        assert_true(slot_of(&w, "gemini/g-any")->retry.retries > 0.5);
        world_end(&w);
}

/* It was only slower: when the quick one breaks, it is asked again. */
static void who_lost_may_still_come_to_the_rescue(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.hedge.after_ms = 60;
        w.version.rescue = RESCUE_HOLD;
        world_target(&w, "openai", "sleeps-once");
        world_target(&w, "openai", "o-cut");
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_heard(&w, &asks[ASK_OPENAI], "t:one two");
        assert_int_equal(w.record.attempts, 3);
        world_end(&w);
}

static void who_loses_is_known_to_be_slow(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.hedge.after_ms = 60;
        world_target(&w, "openai", "o-silent");
        world_target(&w, "openai", "o-quick");
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_heard(&w, &asks[ASK_OPENAI], "t:one two");
        assert_true(slot_of(&w, "openai/o-silent")->latency.average_ms >= 60);
        assert_int_equal(slot_of(&w, "openai/o-silent")->breaker.failed[0], 0);
        world_end(&w);
}

/* The first reaches into the provider's account, the second does not: the first one's refusal may be the
 * caller's doing all the same. */
static void what_the_second_is_asked_says_nothing_of_the_first(void **state)
{
        (void)state;
        static const char *const allow[] = {"betas"};
        const struct config_account account = {.name = "account", .allow = allow, .allow_count = 1};
        struct world w;
        start(&w);
        static const struct config_guard guard = {
                .dialect = "anthropic", .field = "header:anthropic-beta", .needs = "betas"};
        w.account = &account;
        w.config.guards = &guard;
        w.config.guard_count = 1;
        w.betas = "context-1m";
        w.version.hedge.after_ms = 60;
        world_target(&w, "anthropic", "a-gone");
        world_target(&w, "openai", "w-silent");
        world_target(&w, "openai", "w-quick");
        world_chat(&w, "anthropic",
                   "{\"model\":\"asked\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"Hi\"}]}",
                   false);
        assert_int_equal(w.record.hedges, 1);
        assert_int_equal(slot_of(&w, "anthropic/a-gone")->breaker.out, 0);
        world_end(&w);
}

/* ---- memory ---- */

/* What one attempt took is free for the next. */
static void an_attempt_gives_its_memory_back(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.config.max_memory = MUCH * 3 / 2;
        world_target(&w, "openai", "w-odd");
        world_target(&w, "openai", "w-long");
        ask_whole(&w);
        assert_int_equal(w.seen.head.status, 200);
        assert_true(world_has(&w, "one two"));
        assert_int_equal(w.record.attempts, 2);
        world_end(&w);
}

static void what_waits_for_content_is_counted(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.config.max_memory = 10000;
        world_target(&w, "anthropic", "a-pings");
        ask_with(&w, &asks[ASK_ANTHROPIC], "");
        assert_int_equal(w.seen.head.status, 503);
        assert_false(world_has(&w, "one two"));
        world_end(&w);
        start(&w);
        w.config.max_memory = 1 << 20;
        world_target(&w, "anthropic", "a-pings");
        ask_with(&w, &asks[ASK_ANTHROPIC], "");
        assert_heard(&w, &asks[ASK_ANTHROPIC], "t:one two");
        world_end(&w);
}

/* ---- rescues ---- */

/* A write that takes its time before the target has spoken is no silence of the target's. */
static void a_slow_client_is_no_stall_of_the_rescuer(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.rescue = RESCUE_MATCH;
        w.seen.write_ms = 20;
        world_target(&w, "openai", "o-cut");
        world_target(&w, "anthropic", "a-begins-late");
        ask_with(&w, &asks[ASK_ANTHROPIC], "");
        assert_heard(&w, &asks[ASK_ANTHROPIC], "t:one two");
        world_end(&w);
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
                cmocka_unit_test(a_total_that_runs_out_blames_nobody_who_spoke),
                cmocka_unit_test(who_had_no_time_is_not_blamed),
                cmocka_unit_test(the_first_failure_is_told),
                cmocka_unit_test(an_unclear_answer_brings_no_target_back),
                cmocka_unit_test(a_hedge_that_may_not_be_leaves_a_target_to_go_to),
                cmocka_unit_test(a_hedge_that_was_not_sent_is_none),
                cmocka_unit_test(who_lost_may_still_come_to_the_rescue),
                cmocka_unit_test(who_loses_is_known_to_be_slow),
                cmocka_unit_test(what_the_second_is_asked_says_nothing_of_the_first),
                cmocka_unit_test(an_attempt_gives_its_memory_back),
                cmocka_unit_test(what_waits_for_content_is_counted),
                cmocka_unit_test(a_slow_client_is_no_stall_of_the_rescuer),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
