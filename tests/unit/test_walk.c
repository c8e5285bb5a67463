/* The walk over targets: second tries, cool-downs, breakers, limits and queues, in one process. */
#include "relay_world.h"

#define HEAD(status, more)                                                                                   \
        "HTTP/1.1 " status " X\r\ncontent-type: application/json\r\n" more "connection: close\r\n\r\n"
#define ANSWER(words, input, output)                                                                         \
        HEAD("200", "")                                                                                      \
        "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"served\",\"choices\":[{"    \
        "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" words                               \
        "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":" input                               \
        ",\"completion_tokens\":" output "}}"
#define FINE ANSWER("fine", "7", "5")

static atomic_int flaky_calls;

/* The first answer is a failure, each time that the count is put back to 0. */
static char *flaky(const char *request)
{
        (void)request;
        return strdup(flaky_calls++ ? FINE : HEAD("503", "") "{}");
}

static char *slow_down(const char *request)
{
        (void)request;
        return strdup(flaky_calls++
                              ? FINE
                              : HEAD("429", "retry-after-ms: 300\r\n") "{\"error\":{\"message\":\"slow\"}}");
}

static char *slow_down_untimed(const char *request)
{
        (void)request;
        return strdup(flaky_calls++ ? FINE : HEAD("429", "") "{\"error\":{\"message\":\"slow\"}}");
}

static const struct script scripts[] = {
        {.model = "flaky", .make = flaky},
        {.model = "slow-down", .make = slow_down},
        {.model = "slow-down-untimed", .make = slow_down_untimed},
        {"fine", {{0, FINE}}, 0, NULL},
        {"sleepy", {{400, FINE}}, 0, NULL},
        {"large", {{0, ANSWER("large", "900", "90")}}, 0, NULL},
        {"broken", {{0, HEAD("500", "") "{}"}}, 0, NULL},
        {"busy-long",
         {{0, HEAD("429", "retry-after: 30\r\n") "{\"error\":{\"message\":\"slow\"}}"}},
         0,
         NULL},
        {"barred",
         {{0, HEAD("401", "") "{\"error\":{\"message\":\"Incorrect API key\",\"type\":"
                              "\"invalid_request_error\",\"code\":\"invalid_api_key\"}}"}},
         0,
         NULL},
        {"too-long",
         {{0, HEAD("400", "") "{\"error\":{\"message\":\"This model's maximum context length is 10 tokens\","
                              "\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}"}},
         0,
         NULL},
        {"none-left",
         {{0, HEAD("200",
                   "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n"
                   "x-ratelimit-reset-requests: 30s\r\n") "{\"id\":\"c1\",\"object\":\"chat.completion\","
                                                          "\"created\":1,\"model\":\"served\",\"choices\":"
                                                          "[{\"index\":0,\"message\":{\"role\":"
                                                          "\"assistant\",\"content\":\"last\"},"
                                                          "\"finish_reason\":\"stop\"}]}"}},
         0,
         NULL},
};

static const char body[] = "{\"model\":\"asked\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
                  stream_body[] =
                          "{\"model\":\"asked\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"Hi\"}]}";

static void start(struct world *w)
{
        world_start(w);
        world_state(w);
        w->config.retry_share = 0.2;
        w->version.retry = (struct config_retry){.attempts = 2, .backoff_ms = 50, .max_backoff_ms = 100};
        w->version.breaker =
                (struct config_breaker){.share = 0.5, .minimum = 4, .window_ms = 30000, .cooldown_ms = 400};
        flaky_calls = 0;
}

static int ask(struct world *w)
{
        int calls = provider.calls;
        if (w->seen.begun)
                world_again(w);
        world_chat(w, "openai", body, false);
        return provider.calls - calls;
}

static void expect_answer(struct world *w, int status, const char *words)
{
        assert_int_equal(w->seen.head.status, status);
        assert_true(world_has(w, words));
}

static void tries_again_once(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        world_target(&w, "openai", "flaky");
        assert_int_equal(ask(&w), 2);
        expect_answer(&w, 200, "fine");
        assert_int_equal(w.record.retries, 1);
        assert_string_equal(world_header(&w, "x-tollgate-attempts"), "2");
        world_end(&w);
        /* No more than `attempts`, then the next target. */
        start(&w);
        world_target(&w, "openai", "broken");
        world_target(&w, "openai", "fine");
        assert_int_equal(ask(&w), 3);
        expect_answer(&w, 200, "fine");
        world_end(&w);
}

static void waits_out_a_limit_of_the_provider(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        world_target(&w, "openai", "slow-down");
        assert_int_equal(ask(&w), 2);
        expect_answer(&w, 200, "fine");
        assert_in_range(w.took_ms, 290, 5000);
        world_end(&w);
        /* Without a time: a backoff. */
        start(&w);
        world_target(&w, "openai", "slow-down-untimed");
        assert_int_equal(ask(&w), 2);
        expect_answer(&w, 200, "fine");
        world_end(&w);
        /* No time for it: at once, with the time to come back. */
        start(&w);
        world_target(&w, "openai", "busy-long");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 503, "overloaded");
        assert_string_equal(world_header(&w, "retry-after"), "30");
        /* It is told to everybody: nobody asks before. */
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 503, "overloaded");
        assert_in_range(atoi(world_header(&w, "retry-after")), 25, 31);
        assert_in_range(w.took_ms, 0, 5000);
        w.version.target_count = 1;
        world_target(&w, "openai", "fine");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 200, "fine");
        world_end(&w);
}

static void a_breaker_opens_and_closes(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.retry.attempts = 1;
        world_target(&w, "openai", "flaky");
        w.targets[0].model = "broken";
        for (int i = 0; i < 4; i++) {
                assert_int_equal(ask(&w), 1);
                assert_int_equal(w.seen.head.status, 502);
        }
        /* Open: nobody is sent there, and the cause is remembered. */
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 503, "overloaded");
        assert_non_null(world_header(&w, "retry-after"));
        /* After the cool-down one probe, which fails: the next cool-down is twice as long. */
        usleep(450000);
        assert_int_equal(ask(&w), 1);
        assert_int_equal(w.seen.head.status, 502);
        usleep(450000);
        assert_int_equal(ask(&w), 0);
        usleep(450000);
        assert_int_equal(ask(&w), 1);
        world_end(&w);
}

static void bad_credentials_take_it_out_of_service(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        world_target(&w, "openai", "barred");
        world_target(&w, "openai", "fine");
        assert_int_equal(ask(&w), 2);
        expect_answer(&w, 200, "fine");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 200, "fine");
        /* Alone: the caller learns that it is not theirs. */
        w.version.target_count = 1;
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 502, "upstream_credentials");
        /* Another key: it is tried again. */
        w.providers[0].key = "another-secret";
        assert_int_equal(ask(&w), 1);
        world_end(&w);
        /* Asked for directly, by whoever may: no mark. */
        start(&w);
        world_target(&w, "openai", "barred");
        static const struct config_model model = {.name = "asked"};
        w.route.model = NULL;
        assert_int_equal(ask(&w), 1);
        assert_int_equal(ask(&w), 1);
        w.route.model = &model;
        world_end(&w);
}

static void too_long_goes_to_a_larger_window(void **state)
{
        (void)state;
        static const struct config_catalogue_row rows[] = {
                {.pattern = "too-long", .caps = {.window = 1000}},
                {.pattern = "broken", .caps = {.window = 500}},
                {.pattern = "fine", .caps = {.window = 2000}},
        };
        struct world w;
        start(&w);
        w.config.catalogue = rows;
        w.config.catalogue_count = 3;
        world_target(&w, "openai", "too-long");
        world_target(&w, "openai", "broken");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 400, "maximum context length");
        world_target(&w, "openai", "fine");
        assert_int_equal(ask(&w), 2);
        expect_answer(&w, 200, "fine");
        world_end(&w);
}

static void retries_stay_within_their_share(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.breaker.share = 0; /* never opens */
        w.version.retry.backoff_ms = 0;
        world_target(&w, "openai", "broken");
        int calls = 0;
        for (int i = 0; i < 100; i++)
                calls += ask(&w);
        assert_in_range(calls, 105, 100 + 20 + RETRY_FLOOR + 2);
        world_end(&w);
}

static void the_total_bounds_it_all(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.total_ms = 200;
        world_target(&w, "openai", "slow-down");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 503, "overloaded");
        assert_in_range(w.took_ms, 0, 2000);
        world_end(&w);
}

static void what_the_provider_says_counts(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        world_target(&w, "openai", "none-left");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 200, "last");
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 503, "overloaded");
        assert_in_range(atoi(world_header(&w, "retry-after")), 1, 30);
        world_end(&w);
}

/* ---- the account ---- */

static struct config_account account = {.name = "account"};

static void limits_of_the_account(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        account.limits = (struct config_limits){.rpm = 2, .tpm = 100000, .queue_length = 10};
        w.account = &account;
        world_target(&w, "openai", "fine");
        assert_int_equal(ask(&w), 1);
        assert_string_equal(world_header(&w, "x-ratelimit-limit-requests"), "2");
        assert_string_equal(world_header(&w, "x-ratelimit-remaining-requests"), "1");
        assert_string_equal(world_header(&w, "x-ratelimit-limit-tokens"), "100000");
        assert_int_equal(ask(&w), 1);
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 429, "rate_limit_exceeded");
        assert_true(world_has(&w, "rpm = 2"));
        assert_in_range(atoi(world_header(&w, "retry-after")), 50, 62);
        assert_string_equal(world_header(&w, "x-ratelimit-remaining-requests"), "0");
        /* Another caller's are others. */
        w.caller = "other";
        assert_int_equal(ask(&w), 1);
        world_end(&w);
}

static void tokens_are_settled(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        account.limits = (struct config_limits){.tpm = 1000, .queue_length = 10};
        w.account = &account;
        world_target(&w, "openai", "large"); /* says 990 */
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 200, "large");
        assert_int_equal(ask(&w), 0);
        expect_answer(&w, 429, "tpm = 1000");
        world_end(&w);
}

static void *ask_in_thread(void *context)
{
        ask(context);
        return NULL;
}

static void concurrent_calls_wait_in_line(void **state)
{
        (void)state;
        struct world w, other;
        pthread_t thread;
        start(&w);
        account.limits = (struct config_limits){.concurrent = 1, .queue_ms = 5000, .queue_length = 10};
        w.account = &account;
        world_target(&w, "openai", "sleepy");
        world_start(&other);
        other.state = w.state;
        other.account = &account;
        world_target(&other, "openai", "fine");
        pthread_create(&thread, NULL, ask_in_thread, &w);
        usleep(150000);
        world_chat(&other, "openai", body, false);
        expect_answer(&other, 200, "fine");
        assert_in_range(other.took_ms, 150, 5000);
        assert_in_range(other.record.queue_ms, 100, 5000);
        pthread_join(thread, NULL);
        expect_answer(&w, 200, "fine");
        /* Without a queue: at once. */
        account.limits.queue_ms = 0;
        world_again(&other);
        world_again(&w);
        pthread_create(&thread, NULL, ask_in_thread, &w);
        usleep(150000);
        world_chat(&other, "openai", body, false);
        expect_answer(&other, 429, "concurrent = 1");
        pthread_join(thread, NULL);
        other.state = NULL;
        world_end(&other);
        world_end(&w);
}

static void *hang_up(void *context)
{
        struct world *w = context;
        usleep(200000);
        shutdown(w->seen.fds[1], SHUT_RDWR);
        return NULL;
}

static int64_t waiting(struct world *w)
{
        struct slot *slot = arena_alloc(w->arena, sizeof *slot);
        assert_true(state_read(w->state, (struct subject){SLOT_ACCOUNT, "account"}, slot));
        return limit_waiting(&slot->limit, state_now_ms(w->state));
}

static void who_leaves_gives_the_turn_back(void **state)
{
        (void)state;
        struct world w;
        pthread_t thread;
        start(&w);
        account.limits = (struct config_limits){.tpm = 1000, .queue_ms = 60000, .queue_length = 10};
        w.account = &account;
        w.version.total_ms = 120000;
        world_target(&w, "openai", "large");
        assert_int_equal(ask(&w), 1);
        world_again(&w);
        w.no_answer = true;
        pthread_create(&thread, NULL, hang_up, &w);
        world_chat(&w, "openai", body, false);
        pthread_join(thread, NULL);
        assert_true(w.record.client_left);
        assert_in_range(w.took_ms, 150, 10000);
        assert_int_equal(waiting(&w), 0);
        world_end(&w);
}

/* A stream that waits in the queue shows signs of life. */
static void a_stream_waits_with_keepalives(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.config.keepalive_ms = 60;
        world_target(&w, "openai", "slow-down");
        world_chat(&w, "openai", stream_body, true);
        assert_int_equal(w.seen.head.status, 200);
        assert_true(world_has(&w, ": keep-alive"));
        assert_true(world_has(&w, "fine"));
        world_end(&w);
}

/* No more wait than may: the others are told at once. */
static void waiting_never_takes_the_last_workers(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.waiting.most = 1;
        w.waiting.count = 1;
        world_target(&w, "openai", "slow-down");
        assert_int_equal(ask(&w), 1);
        expect_answer(&w, 503, "overloaded");
        assert_in_range(w.took_ms, 0, 290);
        assert_int_equal(w.waiting.count, 1);
        w.waiting.count = 0;
        world_end(&w);
}

static void round_robin_goes_round(void **state)
{
        (void)state;
        struct world w;
        start(&w);
        w.version.strategy = STRATEGY_ROUND_ROBIN;
        world_target(&w, "openai", "fine");
        world_target(&w, "openai", "large");
        for (int i = 0; i < 6; i++) {
                assert_int_equal(ask(&w), 1);
                expect_answer(&w, 200, i % 2 ? "large" : "fine");
        }
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
                cmocka_unit_test(tries_again_once),
                cmocka_unit_test(waits_out_a_limit_of_the_provider),
                cmocka_unit_test(a_breaker_opens_and_closes),
                cmocka_unit_test(bad_credentials_take_it_out_of_service),
                cmocka_unit_test(too_long_goes_to_a_larger_window),
                cmocka_unit_test(retries_stay_within_their_share),
                cmocka_unit_test(the_total_bounds_it_all),
                cmocka_unit_test(what_the_provider_says_counts),
                cmocka_unit_test(limits_of_the_account),
                cmocka_unit_test(tokens_are_settled),
                cmocka_unit_test(concurrent_calls_wait_in_line),
                cmocka_unit_test(who_leaves_gives_the_turn_back),
                cmocka_unit_test(a_stream_waits_with_keepalives),
                cmocka_unit_test(waiting_never_takes_the_last_workers),
                cmocka_unit_test(round_robin_goes_round),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
