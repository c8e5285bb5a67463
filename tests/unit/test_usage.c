/*
 * What a provider says it used, as each dialect counts it, comes to the amount reckoned by hand: nothing that
 * was cached, written to a cache, thought or spoken is paid for twice. Where a recording tells its cost, that
 * is the amount.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/money.h"
#include "dialect/dialect.h"
#include "dialect/usage.h"
#include "policy/price.h"

/* Prices that tell every kind of token apart; grok's are xAI's own. */
#define NONE -1
static const struct config_price prices[] = {
        {.pattern = "gpt",
         .input_micro = 1000000,
         .cached_micro = 100000,
         .cache_write_micro = 1250000,
         .cache_write_1h_micro = NONE,
         .output_micro = 10000000,
         .audio_input_micro = 30000000,
         .audio_output_micro = 60000000,
         .image_input_micro = NONE,
         .priority_micro = 2000000,
         .flex_micro = 500000,
         .batch_micro = 500000,
         .fast_micro = NONE},
        {.pattern = "claude",
         .input_micro = 5000000,
         .cached_micro = 500000,
         .cache_write_micro = 6250000,
         .cache_write_1h_micro = 10000000,
         .output_micro = 25000000,
         .audio_input_micro = NONE,
         .audio_output_micro = NONE,
         .image_input_micro = NONE,
         .priority_micro = NONE,
         .flex_micro = NONE,
         .batch_micro = 500000,
         .fast_micro = 2000000},
        {.pattern = "gemini",
         .input_micro = 300000,
         .cached_micro = 30000,
         .cache_write_micro = NONE,
         .cache_write_1h_micro = NONE,
         .output_micro = 2500000,
         .audio_input_micro = 1000000,
         .audio_output_micro = NONE,
         .image_input_micro = NONE,
         .priority_micro = 1800000,
         .flex_micro = 500000,
         .batch_micro = 500000,
         .fast_micro = NONE},
        {.pattern = "grok-3-mini",
         .input_micro = 300000,
         .cached_micro = 75000,
         .cache_write_micro = NONE,
         .cache_write_1h_micro = NONE,
         .output_micro = 500000,
         .audio_input_micro = NONE,
         .audio_output_micro = NONE,
         .image_input_micro = NONE,
         .priority_micro = NONE,
         .flex_micro = NONE,
         .batch_micro = NONE,
         .fast_micro = NONE},
};
static const struct config config = {.prices = prices, .price_count = sizeof prices / sizeof *prices};
static const struct config_provider provider = {.name = "p", .dialect = "openai"};

struct bill {
        const char *what;
        enum dialect_id dialect;
        const char *model;
        const char *usage; /* openai, anthropic: `usage`; gemini: `usageMetadata` */
        const char *tier;  /* openai: service_tier, which stands beside the usage */
        int64_t pico;      /* reckoned by hand */
        int64_t reported;  /* the provider's word, 1e-12 */
};

/* Sums of tokens × price of a million of them are 1e-6 of the currency. */
#define PICO(sum) ((int64_t)((sum)*1000000.0 + 0.5))

static const struct bill bills[] = {
        /* ---- openai: cached and written tokens are part of prompt_tokens, reasoning of completion_tokens */
        {"plain", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":16,\"completion_tokens\":363,\"total_tokens\":379}", "default",
         PICO(16 * 1.0 + 363 * 10.0), 0},
        {"cached and thought", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":2006,\"completion_tokens\":300,\"total_tokens\":2306,\"prompt_tokens_details\":{"
         "\"cached_tokens\":1920,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":192}"
         "}",
         NULL, PICO(86 * 1.0 + 1920 * 0.1 + 300 * 10.0), 0},
        {"written", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":2000,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":500,"
         "\"cache_write_tokens\":1400}}",
         NULL, PICO(100 * 1.0 + 500 * 0.1 + 1400 * 1.25 + 10.0), 0},
        {"spoken", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":28,\"completion_tokens\":20,\"prompt_tokens_details\":{\"audio_tokens\":8,"
         "\"cached_tokens\":0},\"completion_tokens_details\":{\"audio_tokens\":15}}",
         NULL, PICO(20 * 1.0 + 8 * 30.0 + 5 * 10.0 + 15 * 60.0), 0},
        {"priority", DIALECT_OPENAI, "gpt", "{\"prompt_tokens\":10,\"completion_tokens\":1}", "priority",
         PICO(2 * (10 * 1.0 + 10.0)), 0},
        {"fast is priority", DIALECT_OPENAI, "gpt", "{\"prompt_tokens\":10,\"completion_tokens\":1}", "fast",
         PICO(2 * (10 * 1.0 + 10.0)), 0},
        {"flex", DIALECT_OPENAI, "gpt", "{\"prompt_tokens\":10,\"completion_tokens\":1}", "flex",
         PICO((10 * 1.0 + 10.0) / 2), 0},
        {"groq's on_demand", DIALECT_OPENAI, "gpt", "{\"prompt_tokens\":10,\"completion_tokens\":1}",
         "on_demand", PICO(10 * 1.0 + 10.0), 0},
        {"deepseek", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":100,\"completion_tokens\":345,\"total_tokens\":445,\"prompt_cache_hit_tokens\":"
         "64,"
         "\"prompt_cache_miss_tokens\":36,\"completion_tokens_details\":{\"reasoning_tokens\":315}}",
         NULL, PICO(36 * 1.0 + 64 * 0.1 + 345 * 10.0), 0},
        {"deepseek, both words", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":100,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":64},"
         "\"prompt_cache_hit_tokens\":64,\"prompt_cache_miss_tokens\":36}",
         NULL, PICO(36 * 1.0 + 64 * 0.1 + 5 * 10.0), 0},
        {"mistral", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":100,\"completion_tokens\":5,\"num_cached_tokens\":40,\"prompt_tokens_details\":{"
         "\"cached_tokens\":40}}",
         NULL, PICO(60 * 1.0 + 40 * 0.1 + 5 * 10.0), 0},
        {"together, moonshot", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":100,\"completion_tokens\":5,\"cached_tokens\":40}", NULL,
         PICO(60 * 1.0 + 40 * 0.1 + 5 * 10.0), 0},
        {"openrouter", DIALECT_OPENAI, "gpt",
         "{\"prompt_tokens\":100,\"completion_tokens\":5,\"total_tokens\":105,\"cost\":0.00042605,\"is_"
         "byok\":"
         "false,\"cost_details\":{\"upstream_inference_cost\":null},\"prompt_tokens_details\":{"
         "\"cached_tokens\":40,\"cache_write_tokens\":20}}",
         NULL, PICO(40 * 1.0 + 40 * 0.1 + 20 * 1.25 + 5 * 10.0), 426050000},
        /* xAI: completion_tokens leave the reasoning out. These four were billed so. */
        {"xai", DIALECT_OPENAI, "grok-3-mini",
         "{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":241,\"prompt_tokens_details\":{"
         "\"text_tokens\":12,\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":228},"
         "\"cost_in_usd_ticks\":1176500}",
         NULL, INT64_C(117650000), INT64_C(117650000)},
        {"xai, a call", DIALECT_OPENAI, "grok-3-mini",
         "{\"prompt_tokens\":291,\"completion_tokens\":26,\"total_tokens\":506,\"prompt_tokens_details\":{"
         "\"text_tokens\":291,\"cached_tokens\":244},\"completion_tokens_details\":{\"reasoning_tokens\":189}"
         ","
         "\"cost_in_usd_ticks\":1399000}",
         NULL, INT64_C(139900000), INT64_C(139900000)},
        {"xai, a stream", DIALECT_OPENAI, "grok-3-mini",
         "{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":303,\"prompt_tokens_details\":{"
         "\"text_tokens\":12,\"cached_tokens\":11},\"completion_tokens_details\":{\"reasoning_tokens\":290},"
         "\"cost_in_usd_ticks\":1466250}",
         NULL, INT64_C(146625000), INT64_C(146625000)},
        {"xai, a call in a stream", DIALECT_OPENAI, "grok-3-mini",
         "{\"prompt_tokens\":291,\"completion_tokens\":26,\"total_tokens\":513,\"prompt_tokens_details\":{"
         "\"text_tokens\":291,\"cached_tokens\":290},\"completion_tokens_details\":{\"reasoning_tokens\":196}"
         ","
         "\"cost_in_usd_ticks\":1330500}",
         NULL, INT64_C(133050000), INT64_C(133050000)},

        /* ---- anthropic: what was read and written stands beside input_tokens */
        {"plain", DIALECT_ANTHROPIC, "claude", "{\"input_tokens\":10,\"output_tokens\":3}", NULL,
         PICO(10 * 5.0 + 3 * 25.0), 0},
        {"read and written", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":6,\"cache_creation_input_tokens\":3337,\"cache_read_input_tokens\":6289,"
         "\"output_tokens\":198,\"output_tokens_details\":{\"thinking_tokens\":90}}",
         NULL, PICO(6 * 5.0 + 3337 * 6.25 + 6289 * 0.5 + 198 * 25.0), 0},
        {"written for an hour", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":6,\"cache_creation_input_tokens\":500,\"cache_read_input_tokens\":1000,"
         "\"cache_creation\":{\"ephemeral_5m_input_tokens\":300,\"ephemeral_1h_input_tokens\":200},"
         "\"output_tokens\":2,\"service_tier\":\"standard\"}",
         NULL, PICO(6 * 5.0 + 300 * 6.25 + 200 * 10.0 + 1000 * 0.5 + 2 * 25.0), 0},
        {"batch", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":10,\"output_tokens\":4,\"service_tier\":\"batch\"}", NULL,
         PICO((10 * 5.0 + 4 * 25.0) / 2), 0},
        {"fast", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":10,\"output_tokens\":4,\"service_tier\":\"standard\",\"speed\":\"fast\"}", NULL,
         PICO(2 * (10 * 5.0 + 4 * 25.0)), 0},
        {"priority costs what it costs", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":10,\"output_tokens\":4,\"service_tier\":\"priority\"}", NULL,
         PICO(10 * 5.0 + 4 * 25.0), 0},
        /* The totals leave the compaction out, and it is paid for; those of the advisor's own model are not
         * this one's. */
        {"compaction", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":682,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
         "\"iterations\":["
         "{\"input_tokens\":60385,\"output_tokens\":592,\"cache_read_input_tokens\":7,"
         "\"cache_creation_input_tokens\":0,\"type\":\"compaction\"},{\"input_tokens\":682,\"output_tokens\":"
         "1320,\"type\":\"message\"},{\"input_tokens\":9,\"output_tokens\":9,\"type\":\"advisor_message\"}],"
         "\"output_tokens\":1320}",
         NULL, PICO((682 + 60385) * 5.0 + 7 * 0.5 + (1320 + 592) * 25.0), 0},
        {"openrouter's messages", DIALECT_ANTHROPIC, "claude",
         "{\"input_tokens\":10,\"output_tokens\":3,\"cost\":1.25e-4}", NULL, PICO(10 * 5.0 + 3 * 25.0),
         125000000},

        /* ---- gemini: cached tokens are part of the prompt; thoughts and tools' prompts stand beside */
        {"plain", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":9,\"candidatesTokenCount\":29,\"totalTokenCount\":38}", NULL,
         PICO(9 * 0.3 + 29 * 2.5), 0},
        {"thought", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":9,\"candidatesTokenCount\":29,\"totalTokenCount\":320,"
         "\"promptTokensDetails\":[{"
         "\"modality\":\"TEXT\",\"tokenCount\":9}],\"thoughtsTokenCount\":282}",
         NULL, PICO(9 * 0.3 + 311 * 2.5), 0},
        {"cached, and a tool's", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":2000,\"cachedContentTokenCount\":1500,\"candidatesTokenCount\":10,"
         "\"thoughtsTokenCount\":20,\"toolUsePromptTokenCount\":70,\"totalTokenCount\":2100,\"trafficType\":"
         "\"ON_DEMAND\"}",
         NULL, PICO(570 * 0.3 + 1500 * 0.03 + 30 * 2.5), 0},
        {"heard", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":100,\"candidatesTokenCount\":10,\"totalTokenCount\":110,"
         "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":20},{\"modality\":\"AUDIO\","
         "\"tokenCount\":80}]}",
         NULL, PICO(20 * 0.3 + 80 * 1.0 + 10 * 2.5), 0},
        {"flex", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":20,\"candidatesTokenCount\":10,\"totalTokenCount\":30,\"serviceTier\":"
         "\"flex\"}",
         NULL, PICO((20 * 0.3 + 10 * 2.5) / 2), 0},
        {"priority, in Vertex AI's words", DIALECT_GEMINI, "gemini",
         "{\"promptTokenCount\":20,\"candidatesTokenCount\":10,\"totalTokenCount\":30,\"trafficType\":"
         "\"ON_DEMAND_PRIORITY\"}",
         NULL, PICO(1.8 * (20 * 0.3 + 10 * 2.5)), 0},
};

static int64_t price(const struct bill *b, const struct chat_usage *u)
{
        const struct price_ask ask = {&config, &provider, b->model, NULL, 1};
        return price_usage(&ask, u);
}

static void check(const struct bill *b, const char *way, const struct chat_usage *u)
{
        int64_t pico = price(b, u);
        if (!u->known || pico != b->pico || u->reported_pico != b->reported)
                fail_msg("%s, %s: %lld is not %lld, or %lld not %lld", b->what, way, (long long)pico,
                         (long long)b->pico, (long long)u->reported_pico, (long long)b->reported);
}

static const char *body_of(struct arena *a, const struct bill *b)
{
        const char *tier = b->tier ? arena_printf(a, ",\"service_tier\":\"%s\"", b->tier) : "";
        switch (b->dialect) {
        case DIALECT_OPENAI:
                return arena_printf(a,
                                    "{\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{"
                                    "\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":\"stop\"}],"
                                    "\"usage\":%s%s}",
                                    b->usage, tier);
        case DIALECT_ANTHROPIC:
                return arena_printf(
                        a,
                        "{\"id\":\"1\",\"type\":\"message\",\"model\":\"m\",\"content\":[{\"type\":"
                        "\"text\",\"text\":\"x\"}],\"stop_reason\":\"end_turn\",\"usage\":%s}",
                        b->usage);
        default:
                return arena_printf(
                        a,
                        "{\"responseId\":\"1\",\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                        "\"x\"}]},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":%s}",
                        b->usage);
        }
}

static void whole_answers(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof bills / sizeof *bills; i++) {
                struct arena *a = arena_new();
                const struct bill *b = &bills[i];
                struct chat_reply reply = {0};
                struct upstream_fault fault = {0};
                const char *body = body_of(a, b);
                if (!dialect_by_id(b->dialect)
                             ->decode_chat_reply(a, (struct str){body, strlen(body)}, &reply, &fault))
                        fail_msg("%s: %s", b->what, fault.message ? fault.message : "?");
                check(b, "whole", &reply.usage);
                arena_free(a);
        }
}

/* ---- streams ---- */

struct stream {
        struct arena *arena;
        const struct dialect *dialect;
        void *decoder;
        struct chat_usage last; /* as the relay keeps it */
};

static void feed(struct stream *s, const char *name, const char *data)
{
        struct chat_events events = {.arena = s->arena};
        const struct sse_event event = {.name = {name, strlen(name)}, .data = {data, strlen(data)}};
        s->dialect->decode_event(s->decoder, &event, &events);
        for (const struct chat_event *e = events.first; e; e = e->next) {
                if ((e->type == EVENT_START || e->type == EVENT_USAGE) && e->usage.known)
                        s->last = e->usage;
                if (e->type == EVENT_ERROR)
                        print_message("an error: %s\n", e->fault->message ? e->fault->message : "?");
        }
}

static void stream_openai(struct stream *s, const struct bill *b)
{
        const char *tier = b->tier ? arena_printf(s->arena, ",\"service_tier\":\"%s\"", b->tier) : "";
        feed(s, "",
             arena_printf(s->arena,
                          "{\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                          "\"assistant\",\"content\":\"x\"}}]%s}",
                          tier));
        feed(s, "",
             "{\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
             "\"stop\"}]}");
        /* Some tell it twice. */
        for (int i = 0; i < 2; i++)
                feed(s, "", arena_printf(s->arena, "{\"id\":\"1\",\"choices\":[],\"usage\":%s}", b->usage));
        feed(s, "", "[DONE]");
}

static void stream_anthropic(struct stream *s, const struct bill *b)
{
        feed(s, "message_start",
             arena_printf(
                     s->arena,
                     "{\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"type\":\"message\",\"role\":"
                     "\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":%s}}",
                     b->usage));
        feed(s, "content_block_start",
             "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":"
             "\"\"}}");
        feed(s, "content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
        /* The totals once more, then the output alone. */
        feed(s, "message_delta",
             arena_printf(
                     s->arena,
                     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":%s}",
                     b->usage));
        feed(s, "message_delta",
             "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"cache_read_input_tokens\":null}}");
        feed(s, "message_stop", "{\"type\":\"message_stop\"}");
}

static void stream_gemini(struct stream *s, const struct bill *b)
{
        static const char *const parts[] = {"", ",\"finishReason\":\"STOP\""};
        for (int i = 0; i < 2; i++)
                feed(s, "",
                     arena_printf(s->arena,
                                  "{\"responseId\":\"1\",\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                                  "\"x\"}]},\"index\":0%s}],\"usageMetadata\":%s}",
                                  parts[i], b->usage));
}

static void streams(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof bills / sizeof *bills; i++) {
                const struct bill *b = &bills[i];
                const struct chat_request request = {.stream = true};
                struct stream s = {.arena = arena_new(), .dialect = dialect_by_id(b->dialect)};
                struct chat_events events = {.arena = s.arena};
                s.decoder = s.dialect->decoder_new(s.arena, &request);
                if (b->dialect == DIALECT_OPENAI)
                        stream_openai(&s, b);
                else if (b->dialect == DIALECT_ANTHROPIC)
                        stream_anthropic(&s, b);
                else
                        stream_gemini(&s, b);
                s.dialect->decode_end(s.decoder, (struct str){0}, &events);
                for (const struct chat_event *e = events.first; e; e = e->next) {
                        assert_int_not_equal(e->type, EVENT_ERROR);
                        if (e->type == EVENT_USAGE)
                                s.last = e->usage;
                }
                check(b, "in a stream", &s.last);
                arena_free(s.arena);
        }
}

/* Anthropic's start tells of the input, and its end of the output alone. */
static void a_stream_that_tells_in_parts(void **state)
{
        const struct chat_request request = {.stream = true};
        struct stream s = {.arena = arena_new(), .dialect = &dialect_anthropic};
        const struct bill b = {
                "in parts", DIALECT_ANTHROPIC,
                "claude",   "",
                NULL,       PICO(2 * (5 * 5.0 + 1000 * 6.25 + 3000 * 10.0 + 7 * 0.5 + 90 * 25.0)),
                0};
        (void)state;
        s.decoder = s.dialect->decoder_new(s.arena, &request);
        feed(&s, "message_start",
             "{\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"model\":\"m\",\"usage\":{\"input_"
             "tokens\":5,"
             "\"cache_creation_input_tokens\":4000,\"cache_read_input_tokens\":7,\"cache_creation\":{"
             "\"ephemeral_5m_input_tokens\":1000,\"ephemeral_1h_input_tokens\":3000},\"output_tokens\":1,"
             "\"service_tier\":\"standard\",\"speed\":\"fast\"}}}");
        feed(&s, "message_delta",
             "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_"
             "tokens\":90,"
             "\"output_tokens_details\":{\"thinking_tokens\":40}}}");
        assert_int_equal(s.last.reasoning, 40);
        check(&b, "of a stream", &s.last);
        arena_free(s.arena);
}

/* A stream that breaks with an error may tell what it used until then. */
static void an_error_that_tells_its_usage(void **state)
{
        const struct chat_request request = {.stream = true};
        struct stream s = {.arena = arena_new(), .dialect = &dialect_openai};
        (void)state;
        s.decoder = s.dialect->decoder_new(s.arena, &request);
        feed(&s, "", "{\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}");
        feed(&s, "",
             "{\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"error\":{"
             "\"code\":400,"
             "\"message\":\"Token limit reached\"},\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"
             "\"cost\":0.5}}");
        assert_int_equal(s.last.input, 7);
        assert_int_equal(s.last.output, 3);
        assert_int_equal(s.last.reported_pico, MONEY_PICO / 2);
        arena_free(s.arena);
}

static void vectors(void **state)
{
        static const char body[] =
                "{\"object\":\"list\",\"model\":\"m\",\"data\":[{\"index\":0,\"embedding\":[1]}],"
                "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8,\"cost\":\"0.00000016\"}}";
        static const char other[] =
                "{\"embeddings\":[{\"values\":[1]}],\"usageMetadata\":{\"promptTokenCount\":9,"
                "\"totalTokenCount\":9,\"serviceTier\":\"FLEX\"}}";
        struct arena *a = arena_new();
        struct embed_reply reply = {0};
        struct upstream_fault fault = {0};
        (void)state;
        assert_true(
                dialect_openai.decode_embed_reply(a, (struct str){body, sizeof body - 1}, 1, &reply, &fault));
        assert_int_equal(reply.usage.input, 8);
        assert_int_equal(reply.usage.output, 0);
        assert_int_equal(reply.usage.reported_pico, 160000);
        assert_true(dialect_gemini.decode_embed_reply(a, (struct str){other, sizeof other - 1}, 1, &reply,
                                                      &fault));
        assert_int_equal(reply.usage.input, 9);
        assert_int_equal(reply.usage.tier, TIER_FLEX);
        arena_free(a);
}

/* ---- costs that providers tell ---- */

static void costs_in_other_words(void **state)
{
        static const struct {
                const char *usage;
                int64_t pico;
        } rows[] = {
                {"{}", 0},
                {"{\"cost\":null}", 0},
                {"{\"cost\":0}", 0},
                {"{\"cost\":2}", 2 * MONEY_PICO},
                {"{\"cost\":-1.5}", 0},
                {"{\"cost\":true}", 0},
                {"{\"cost\":\"free\"}", 0},
                {"{\"cost\":\"0.25\"}", MONEY_PICO / 4},
                {"{\"cost\":0.1}", MONEY_PICO / 10}, /* no number of base two */
                {"{\"cost\":0.0000000000014}", 1},
                {"{\"cost\":1e-12}", 1},
                {"{\"cost\":1E400}", 0},
                {"{\"cost\":9e18}", 0},
                {"{\"cost\":{\"input_tokens_cost\":0.001,\"output_tokens_cost\":0.002,\"total_cost\":0.008}}",
                 INT64_C(8000000000)},
                {"{\"cost\":{\"total_cost\":null}}", 0},
                {"{\"cost_in_usd_ticks\":1}", 100},
                {"{\"cost_in_usd_ticks\":123456}", 12345600},
                {"{\"estimated_cost\":2.4e-05}", 24000000},
                {"{\"cost\":0,\"estimated_cost\":0.5}", MONEY_PICO / 2},
        };
        (void)state;
        assert_int_equal(usage_cost(NULL), 0);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                json_object *tree = json_tokener_parse(rows[i].usage);
                int64_t pico = usage_cost(tree);
                if (pico != rows[i].pico)
                        fail_msg("%s: %lld", rows[i].usage, (long long)pico);
                json_object_put(tree);
        }
}

static void words_of_tiers(void **state)
{
        (void)state;
        assert_int_equal(usage_tier(NULL), TIER_STANDARD);
        assert_int_equal(usage_tier("default"), TIER_STANDARD);
        assert_int_equal(usage_tier("scale"), TIER_STANDARD);
        assert_int_equal(usage_tier("PROVISIONED_THROUGHPUT"), TIER_STANDARD);
        assert_int_equal(usage_tier("Priority"), TIER_PRIORITY);
        assert_int_equal(usage_tier("ON_DEMAND_FLEX"), TIER_FLEX);
        assert_int_equal(usage_tier("batch"), TIER_BATCH);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_answers),
                cmocka_unit_test(streams),
                cmocka_unit_test(a_stream_that_tells_in_parts),
                cmocka_unit_test(an_error_that_tells_its_usage),
                cmocka_unit_test(vectors),
                cmocka_unit_test(costs_in_other_words),
                cmocka_unit_test(words_of_tiers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
