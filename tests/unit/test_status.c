/* relay/status: what is told of a state whose slots were made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/fault_kind.h"
#include "relay/status.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

/* 2026-11-22T10:00:00Z, and what the state's clock says then. */
static const int64_t NOW_UNIX_MS = 1795341600000, NOW_MS = 1000000;

static const struct config_provider providers[] = {
        {.name = "openai", .dialect = "openai", .limits = {.rpm = 300, .concurrent = 20}},
        {.name = "far", .dialect = "gemini", .out_of_service = "env:FAR_KEY is not set"},
};
static const struct config_target old_targets[] = {{.provider = &providers[0], .model = "gpt-4o"}};
static const struct config_target new_targets[] = {
        {.provider = &providers[0], .model = "gpt-5.5", .limits = {.tpm = 1000, .rpd = 50}},
        {.provider = &providers[1], .model = "gemini-3.5-flash"},
        {.provider = &providers[0], .model = "gpt-4o", .limits = {.rpm = 7}},
};
static const struct config_version versions[] = {
        {.name = "2026-08",
         .targets = old_targets,
         .target_count = 1,
         .deprecated = "2026-11-01",
         .deprecated_unix = 1793491200,
         .sunset = "2026-12-31",
         .sunset_unix = 1798675200,
         .after_sunset = &versions[1]},
        {.name = "2026-11", .targets = new_targets, .target_count = 3, .strategy = STRATEGY_LATENCY},
};
static const struct config_pin pin = {"assistant", "2026-11", "root", "2026-11-20T08:00:00Z", "release"};
static const struct config_model models[] = {{.name = "assistant",
                                              .versions = versions,
                                              .version_count = 2,
                                              .use = &versions[1],
                                              .pin = &pin,
                                              .canary = &versions[0],
                                              .canary_percent = 5}};
#define NO_BUDGET .budget = {.day_micro = -1, .month_micro = -1}
static const struct config_account accounts[] = {
        {.name = "desk",
         .enabled = true,
         .limits = {.rpm = 60, .tpm = 100000, .concurrent = 8, .queue_ms = 5000, .queue_length = 100},
         NO_BUDGET},
        {.name = "staff", .enabled = true, .per = PER_USER, .limits = {.rpm = 10}, .index = 1, NO_BUDGET},
        {.name = "shut", .index = 2, NO_BUDGET},
};
static const struct config config = {.path = "/none",
                                     .providers = providers,
                                     .provider_count = ARRAY_SIZE(providers),
                                     .models = models,
                                     .model_count = ARRAY_SIZE(models),
                                     .accounts = accounts,
                                     .account_count = ARRAY_SIZE(accounts)};

/* ---- a state */

static int64_t read_clock(void *context)
{
        return *(int64_t *)context;
}

static struct {
        struct state *state;
        struct arena *arena;
        int64_t now_ms;
} world;

static int set_up(void **state)
{
        char why[512];
        enum state_problem problem;
        (void)state;
        world.now_ms = NOW_MS;
        const struct state_options options = {.now_ms = read_clock, .context = &world.now_ms};
        world.state = state_open(&options, &problem, why);
        world.arena = arena_new();
        return world.state ? 0 : 1;
}

static int tear_down(void **state)
{
        (void)state;
        state_close(world.state);
        arena_free(world.arena);
        return 0;
}

static void change(enum slot_kind kind, const char *name, slot_fn *fn, void *context)
{
        assert_int_equal(state_update(world.state, (struct subject){kind, name}, fn, context), STATE_DONE);
}

static bool touch(struct slot *s, int64_t now_ms, void *context)
{
        (void)s, (void)now_ms, (void)context;
        return true;
}

/* Requests at once, of 100 tokens each. */
static bool use(struct slot *s, int64_t now_ms, void *context)
{
        const int *times = context;
        const struct limit_ask ask = {.tokens = 100, .day = 20779, .day_left_ms = 50400000};
        for (int i = 0; i < *times; i++)
                assert_true(limit_reserve(&s->limit, NULL, &ask, now_ms).granted);
        return true;
}

static bool hold(struct slot *s, int64_t now_ms, void *context)
{
        const struct lease_context self = state_leases(world.state);
        struct lease lease;
        (void)now_ms, (void)context;
        assert_true(lease_take(&s->leases, 0, &self, &lease));
        return true;
}

static bool fill_target(struct slot *s, int64_t now_ms, void *context)
{
        (void)context;
        s->breaker = (struct breaker_state){
                .bucket_ms = 3000,
                .bucket = now_ms / 3000,
                .opened_ms = now_ms - 4000,
                .until_ms = now_ms + 11000,
                .cooldown_ms = 15000,
                .mode = BREAKER_OPEN,
                .kind = FAULT_OVERLOAD,
                .status = 529,
                .why = "Overloaded, \"really\"",
        };
        s->breaker.answered[s->breaker.bucket % BREAKER_BUCKETS] = 3;
        s->breaker.failed[s->breaker.bucket % BREAKER_BUCKETS] = 6;
        s->cool = (struct slot_cool){
                .until_ms = now_ms + 2500, .kind = FAULT_RATE_LIMIT, .status = 429, .why = "slow down"};
        s->latency = (struct latency_state){.average_ms = 420, .at_ms = now_ms + 1000, .output_tokens = 77.4};
        s->limit.told_requests = (struct limit_told){
                .limit = 100, .remaining = 40, .at_ms = now_ms - 10000, .full_ms = now_ms + 10000};
        strcpy(s->served, "gpt-5.5-2026-04-23");
        s->served_since = NOW_UNIX_MS / 1000 - 3600;
        return true;
}

static const struct status *look(const char *const *names, size_t count, bool *found)
{
        struct status *out = arena_alloc(world.arena, sizeof *out);
        const struct status_ask ask = {.config = &config,
                                       .state = world.state,
                                       .unix_ms = NOW_UNIX_MS + world.now_ms - NOW_MS,
                                       .names = names,
                                       .name_count = count,
                                       .found = found};
        status_collect(&ask, world.arena, out);
        return out;
}

static const char *text_of(const struct status *s)
{
        struct buf *out = buf_in_arena(world.arena, 1 << 20);
        struct json_fault fault;
        assert_true(status_write(s, out));
        assert_true(json_scan(out->data, out->len, JSON_FROM_CLIENT, &fault));
        return out->data;
}

static const struct status_row *row_of(const struct status_rows *rows, const char *name)
{
        for (size_t i = 0; i < rows->count; i++) {
                if (strcmp(rows->at[i].name, name) == 0)
                        return &rows->at[i];
        }
        return NULL;
}

/* ---- the JSON, whole */

/* tests/unit/status.json without its line breaks and indents. */
static const char *expected_text(void)
{
        const char *source = getenv("TOLLGATE_SRCDIR");
        struct buf *file = buf_in_arena(world.arena, 1 << 20), *out = buf_in_arena(world.arena, 1 << 20);
        assert_true(buf_read_file(
                file, arena_printf(world.arena, "%s/tests/unit/status.json", source ? source : ".")));
        for (const char *line = file->data; *line; line += strcspn(line, "\n"), line += *line != '\0') {
                const char *text = line + strspn(line, " ");
                buf_add(out, text, strcspn(text, "\n"));
        }
        return out->data;
}

static void whole(void **state)
{
        (void)state;
        int three = 3;
        change(SLOT_TARGET, "openai/gpt-5.5", use, &three);
        change(SLOT_TARGET, "openai/gpt-5.5", hold, NULL);
        change(SLOT_TARGET, "openai/gpt-5.5", fill_target, NULL);
        change(SLOT_CALLER, "staff:user:alice", use, &three);
        world.now_ms += 1000;
        static const char *const asked[] = {"openai/gpt-5.5", "provider:openai", "staff",
                                            "assistant@2026-08"};
        bool found[4] = {false};
        assert_string_equal(text_of(look(asked, 4, found)), expected_text());
        for (size_t i = 0; i < 4; i++)
                assert_true(found[i]);
}

/* ---- rows */

static void without_a_state(void **state)
{
        (void)state;
        struct status out;
        const struct status_ask ask = {.config = &config, .unix_ms = NOW_UNIX_MS};
        status_collect(&ask, world.arena, &out);
        assert_int_equal(out.targets.count, 3);
        assert_int_equal(out.providers.count, 2);
        assert_int_equal(out.accounts.count, 3);
        assert_int_equal(out.version_count, 2);
        assert_false(out.targets.at[0].used);
        const char *text = text_of(&out);
        assert_non_null(strstr(text, "\"in_service\":false,\"out_of_service\":\"env:FAR_KEY is not set\""));
        assert_non_null(strstr(
                text, "\"pin\":{\"by\":\"root\",\"at\":\"2026-11-20T08:00:00Z\",\"why\":\"release\"}"));
        assert_non_null(strstr(text, "\"enabled\":false,\"per\":\"account\""));
}

static void a_target_of_two_versions(void **state)
{
        (void)state;
        const struct status *s = look(NULL, 0, NULL);
        const struct status_row *row = row_of(&s->targets, "openai/gpt-4o");
        assert_int_equal(row->limits->rpm, 7); /* of the version in force */
        assert_int_equal(row->version_count, 2);
        assert_string_equal(row->versions[0], "assistant@2026-11");
        assert_string_equal(row->versions[1], "assistant@2026-08");
}

struct breaker_case {
        int32_t mode, out;
        int64_t until_ms;
        const char *name;
        int64_t left_ms;
};

static bool set_breaker(struct slot *s, int64_t now_ms, void *context)
{
        const struct breaker_case *c = context;
        (void)now_ms;
        s->breaker = (struct breaker_state){.mode = c->mode, .out = c->out, .until_ms = c->until_ms};
        memset(s->breaker.why, 'x', sizeof s->breaker.why); /* no end */
        s->breaker.kind = 12345;
        return true;
}

static void breakers(void **state)
{
        (void)state;
        static const struct breaker_case rows[] = {
                {BREAKER_CLOSED, 0, NOW_MS + 5, "closed", 0},
                {BREAKER_OPEN, 0, NOW_MS + 5000, "open", 5000},
                {BREAKER_OPEN, 0, NOW_MS - 5, "open", 0},
                {BREAKER_OPEN, 1, NOW_MS + 5000, "out-of-service", 5000},
                {BREAKER_PROBING, 1, NOW_MS, "probing", 0},
                {77, 0, 0, "closed", 0},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                change(SLOT_TARGET, "openai/gpt-5.5", set_breaker, (void *)&rows[i]);
                const struct status *s = look(NULL, 0, NULL);
                const struct status_row *row = row_of(&s->targets, "openai/gpt-5.5");
                assert_string_equal(status_breaker_name(row), rows[i].name);
                assert_int_equal(row->broken.left_ms, rows[i].left_ms);
                assert_true(strlen(row->broken.why) < sizeof row->broken.why);
                text_of(s);
        }
}

static void what_strangers_name(void **state)
{
        (void)state;
        char name[64];
        for (int i = 0; i < 60; i++) {
                int times = i % 10 + 1;
                snprintf(name, sizeof name, "staff:user:%02d", i);
                change(SLOT_CALLER, name, use, &times);
                snprintf(name, sizeof name, "openai/any-%02d", i);
                change(SLOT_DIRECT, name, use, &times);
        }
        change(SLOT_CALLER, "staff:user:00", hold, NULL);
        change(SLOT_CALLER, "nobody:user:x", touch, NULL);
        change(SLOT_CALLER, "desk:user:x", touch, NULL); /* of a time when its limits were per user */
        change(SLOT_DIRECT, "gone/model", touch, NULL);
        change(SLOT_TARGET, "openai/of-yesterday", hold, NULL);
        const struct status *s = look(NULL, 0, NULL);
        const struct status_row *staff = row_of(&s->accounts, "staff");
        assert_int_equal(staff->caller_total, 60);
        assert_int_equal(staff->caller_count, STATUS_BUSIEST);
        assert_string_equal(staff->callers[0].name, "staff:user:00");
        assert_string_equal(staff->callers[1].name, "staff:user:09");
        assert_string_equal(staff->callers[2].name, "staff:user:19");
        for (size_t i = 2; i < staff->caller_count; i++)
                assert_true(staff->callers[i - 1].views.rpm.used >= staff->callers[i].views.rpm.used);
        assert_int_equal(row_of(&s->accounts, "desk")->caller_total, 0);
        assert_int_equal(s->targets.count, 3 + STATUS_BUSIEST);
        assert_int_equal(s->targets.left_out, 12);
        assert_string_equal(s->targets.at[3].name, "openai/of-yesterday");
        assert_ptr_equal(s->targets.at[3].provider, &providers[0]);
        assert_null(row_of(&s->targets, "gone/model"));
        text_of(s);

        /* Asked for, it need not be busy. */
        static const char *const names[] = {"caller:staff:user:50", "gone/model", "nothing"};
        bool found[3] = {false};
        s = look(names, 3, found);
        assert_true(found[0] && found[1] && !found[2]);
        assert_int_equal(s->accounts.count, 1);
        assert_int_equal(s->accounts.at[0].caller_count, 1);
        assert_int_equal(s->targets.count, 1);
        assert_null(s->targets.at[0].provider);
        assert_int_equal(s->providers.count + s->version_count, 0);
        text_of(s);
}

static void names(void **state)
{
        (void)state;
        static const struct {
                const char *word;
                enum slot_kind kind;
                const char *name;
                bool means;
        } rows[] = {
                {"openai", SLOT_PROVIDER, "openai", true},
                {"openai", SLOT_ACCOUNT, "openai", true},
                {"provider:openai", SLOT_PROVIDER, "openai", true},
                {"provider:openai", SLOT_ACCOUNT, "openai", false},
                {"provider:", SLOT_PROVIDER, "openai", false},
                {"open", SLOT_PROVIDER, "openai", false},
                {"staff:user:alice", SLOT_CALLER, "staff:user:alice", true},
                {"caller:staff:user:alice", SLOT_CALLER, "staff:user:alice", true},
                {"target:openai/ft:gpt", SLOT_TARGET, "openai/ft:gpt", true},
                {"openai/ft:gpt", SLOT_TARGET, "openai/ft:gpt", true},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (status_means(rows[i].word, rows[i].kind, rows[i].name) != rows[i].means)
                        fail_msg("%s", rows[i].word);
        }
        assert_ptr_equal(status_account_of(&config, "staff:user:alice"), &accounts[1]);
        assert_null(status_account_of(&config, "staffer:x"));
        assert_null(status_account_of(&config, "sta:x"));
        assert_null(status_account_of(&config, "staff"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(whole),    test(without_a_state),     test(a_target_of_two_versions),
                test(breakers), test(what_strangers_name), test(names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
