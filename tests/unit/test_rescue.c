/* Streams that break after the client has bytes, and what comes of them by the version's `rescue`. */
#include "relay_streams.h"

#include "dialect/carry.h"

/* ---- providers that say one text, in pieces that the test chooses ---- */

static const char *const syllables[] = {"on", "e ", "\xc3\xa4\xc3\xb6", " t", "hree\\n\\n", "fo", "ur"};
enum { SYLLABLES = sizeof syllables / sizeof *syllables };
#define ALL_SYLLABLES "one \xc3\xa4\xc3\xb6 three\n\nfour"

static size_t cut_after, joined_from, joined_to; /* syllables */

static void say_syllables(struct buf *out, size_t from, size_t to)
{
        char word[64] = "";
        for (size_t i = from; i < to; i++)
                strcat(word, syllables[i]);
        if (*word)
                buf_addf(out, O_WORD("%s"), word);
}

static char *says_some(const char *request)
{
        struct buf out;
        (void)request;
        buf_init(&out, 1 << 16);
        buf_adds(&out, SSE_HEAD O_ROLE);
        say_syllables(&out, 0, cut_after / 2);
        say_syllables(&out, cut_after / 2, cut_after);
        return out.data;
}

/* One delta runs from one syllable to another, all else is a delta each. */
static char *says_all(const char *request)
{
        struct buf out;
        (void)request;
        buf_init(&out, 1 << 16);
        buf_adds(&out, SSE_HEAD O_ROLE);
        for (size_t i = 0; i < joined_from; i++)
                say_syllables(&out, i, i + 1);
        say_syllables(&out, joined_from, joined_to);
        for (size_t i = joined_to; i < SYLLABLES; i++)
                say_syllables(&out, i, i + 1);
        buf_adds(&out, O_END);
        return out.data;
}

/* Single bytes of a text in ASCII: what is cut where is told by the model's name only. */
static char *says_letters(const char *text, size_t len, const char *end)
{
        struct buf out;
        buf_init(&out, 1 << 16);
        buf_adds(&out, SSE_HEAD O_ROLE);
        for (size_t i = 0; i < len; i++)
                buf_addf(&out, O_WORD("%c"), text[i]);
        buf_adds(&out, end);
        return out.data;
}

static char *letters_cut(const char *request)
{
        (void)request;
        return says_letters("one two three", cut_after, "");
}

static char *a_long_answer_cut(const char *request)
{
        struct buf out;
        (void)request;
        buf_init(&out, 16 << 20);
        buf_adds(&out, SSE_HEAD O_ROLE);
        for (int i = 0; i < 9 * 64; i++) { /* 16 KiB each */
                buf_adds(&out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
                for (int k = 0; k < 1024; k++)
                        buf_adds(&out, "sixteen letters ");
                buf_adds(&out, "\"}}]}\n\n");
        }
        return out.data;
}

/* Goes on from what stands at the end of the request. */
static char *goes_on(const char *request)
{
        struct buf out;
        buf_init(&out, 1 << 16);
        bool right = strstr(request, "\"role\":\"assistant\"") && strstr(request, "one tw");
        buf_adds(&out, SSE_HEAD O_ROLE);
        buf_adds(&out, right ? O_WORD("o ") O_WORD("three") : O_WORD("WRONG"));
        buf_adds(&out, O_END);
        return out.data;
}

static const struct script scripts[] = {
        {.model = "some", .make = says_some},
        {.model = "all", .make = says_all},
        {.model = "letters", .make = letters_cut},
        {.model = "long", .make = a_long_answer_cut},
        {.model = "goes-on", .make = goes_on},
        /* "one two three", whole and cut, in each dialect */
        {.model = "o-cut", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one ")}, {10, O_WORD("tw")}}},
        {.model = "o-cut-early", .steps = {{0, SSE_HEAD O_ROLE O_WORD("on")}}},
        {.model = "o-cut-late", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one two th")}}},
        {.model = "o-stalls", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one tw")}}, .linger_ms = 3000},
        {.model = "o-error",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("one")},
                   {100,
                    O_WORD(" tw") "data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n"}}},
        {.model = "o-all",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("o") O_WORD("ne two th") O_WORD("ree") O_END}}},
        {.model = "o-other", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one TWO three") O_END}}},
        {.model = "o-short", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one") O_END}}},
        {.model = "o-silent", .steps = {{0, SSE_HEAD O_ROLE}, {3000, O_END}}},
        {.model = "o-broken", .steps = {{0, ERROR_HEAD("500") "\r\n<html>"}}},
        {.model = "o-whole",
         .steps = {{0, JSON_HEAD "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":"
                                 "\"served\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                                 "\"content\":\"one two three\"},\"finish_reason\":\"stop\"}]}"}}},
        {.model = "a-cut", .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one tw")}}},
        {.model = "a-all",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one two") A_WORD("0", " three") A_CLOSE("0")
                               A_STOP("end_turn")}}},
        {.model = "a-error",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one ")}, {100, A_WORD("0", "tw") A_ERROR}}},
        {.model = "a-two",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one ") A_CLOSE("0") A_TEXT("1")
                               A_WORD("1", "two three") A_CLOSE("1") A_STOP("end_turn")}}},
        {.model = "a-two-cut",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "one ") A_CLOSE("0") A_TEXT("1")
                               A_WORD("1", "tw")}}},
        {.model = "g-cut", .steps = {{0, SSE_HEAD G_WORD("one tw")}}},
        {.model = "g-all", .steps = {{0, SSE_HEAD G_WORD("one two ") G_WORD("three") G_STOP}}},
        /* thoughts */
        {.model = "a-thought-cut",
         .steps = {{0, SSE_HEAD A_BEGIN A_THOUGHT("0") A_THINK("0", "hm") A_SIGN("0", "sigA") A_CLOSE("0")
                               A_TEXT("1") A_WORD("1", "one tw")}}},
        {.model = "a-only-thought", .steps = {{0, SSE_HEAD A_BEGIN A_THOUGHT("0") A_THINK("0", "hm")}}},
        {.model = "a-thought",
         .steps = {{0, SSE_HEAD A_BEGIN A_THOUGHT("0") A_THINK("0", "let me see") A_SIGN("0", "sigB")
                               A_CLOSE("0") A_TEXT("1") A_WORD("1", "one two three") A_CLOSE("1")
                                       A_STOP("end_turn")}}},
        /* "so", then the call look {"a":1} */
        {.model = "o-call",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("so") O_CALL("0", "call_9", "look", "")
                               O_MORE("0", "{\\\"a\\\"") O_MORE("0", ":1}") O_CALLED O_USAGE O_DONE}}},
        {.model = "o-call-cut",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("so") O_CALL("0", "call_7", "look", "{\\\"a")}}},
        {.model = "o-call-begun",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("so") O_CALL("0", "call_7", "look", "")}}},
        {.model = "o-so-cut", .steps = {{0, SSE_HEAD O_ROLE O_WORD("so")}}},
        {.model = "o-call-other",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("so") O_CALL("0", "call_9", "find", "{}") O_CALLED O_DONE}}},
        {.model = "o-call-more",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("so") O_CALL("0", "call_9", "look", "{\\\"b\\\":1}")
                               O_CALLED O_DONE}}},
        {.model = "o-no-call", .steps = {{0, SSE_HEAD O_ROLE O_WORD("so be it") O_END}}},
        {.model = "a-call",
         .steps = {{0,
                    SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "so") A_CLOSE("0") A_TOOL("1", "look")
                            A_INPUT("1", "{\\\"a\\\":") A_INPUT("1", "1}") A_CLOSE("1") A_STOP("tool_use")}}},
        {.model = "a-call-cut",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "so") A_CLOSE("0") A_TOOL("1", "look")
                               A_INPUT("1", "{\\\"a\\\"")}}},
        {.model = "a-empty-text",
         .steps = {{0, SSE_HEAD A_BEGIN A_THOUGHT("0") A_THINK("0", "hm") A_CLOSE("0") A_TEXT("1")}}},
        {.model = "g-call", .steps = {{0, SSE_HEAD G_WORD("so") G_CALL("look", "{\"a\":1}") G_STOP}}},
        {.model = "g-call-cut", .steps = {{0, SSE_HEAD G_WORD("so") G_CALL("look", "{\"a\":1}")}}},
        /* two calls whose pieces are woven, and the same one after the other */
        {.model = "o-woven-cut",
         .steps = {{0, SSE_HEAD O_ROLE O_CALL("0", "call_1", "look", "{\\\"a\\\"")
                               O_CALL("1", "call_2", "find", "{\\\"b\\\"") O_MORE("0", ":1")}}},
        {.model = "o-woven",
         .steps = {{0, SSE_HEAD O_ROLE O_CALL("0", "call_3", "look", "{") O_CALL("1", "call_4", "find", "{")
                               O_MORE("1", "\\\"b\\\":2}") O_MORE("0", "\\\"a\\\":1}") O_CALLED O_DONE}}},
        {.model = "a-calls",
         .steps = {{0, SSE_HEAD A_BEGIN A_TOOL("0", "look") A_INPUT("0", "{\\\"a\\\":1}") A_CLOSE("0") A_TOOL(
                               "1", "find") A_INPUT("1", "{\\\"b\\\":2}") A_CLOSE("1") A_STOP("tool_use")}}},
        /* what can't be gone on from */
        {.model = "g-code-cut",
         .steps = {{0, SSE_HEAD G_WORD("one ") G_CHUNK("{\"executableCode\":{\"code\":\"1\"}}", "")}}},
        /* gone on from text */
        {.model = "a-space",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", " three") A_CLOSE("0") A_STOP("end_turn")}}},
        {.model = "a-no-space",
         .steps = {{0, SSE_HEAD A_BEGIN A_TEXT("0") A_WORD("0", "three") A_CLOSE("0") A_STOP("end_turn")}}},
        {.model = "o-two-space", .steps = {{0, SSE_HEAD O_ROLE O_WORD("one two ")}}},
        {.model = "o-then-call",
         .steps = {{0, SSE_HEAD O_ROLE O_CALL("0", "call_9", "look", "{\\\"a\\\":1}") O_CALLED O_DONE}}},
        {.model = "o-call-on", .steps = {{0, SSE_HEAD O_ROLE O_CALL("0", "call_9", "look", "{\\\"a")}}},
        {.model = "g-on", .steps = {{0, SSE_HEAD G_WORD("o three") G_STOP}}},
        {.model = "o-on-cut", .steps = {{0, SSE_HEAD O_ROLE O_WORD("o th")}}},
        {.model = "o-on-end", .steps = {{0, SSE_HEAD O_ROLE O_WORD("ree") O_END}}},
        /* held back */
        {.model = "o-slow-cut",
         .steps = {{0, SSE_HEAD O_ROLE O_WORD("WRONG ")}, {150, O_WORD("AGAIN")}, {150, O_WORD("!")}}},
};

static const char tools[] =
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"parameters\":{"
        "\"type\":\"object\"}}}]";
static const char a_tools[] = ",\"tools\":[{\"name\":\"look\",\"input_schema\":{\"type\":\"object\"}}]";

static void broken_world(struct world *w, enum config_rescue rescue)
{
        world_start(w);
        w->version.rescue = rescue;
}

/* By the first letter of a model: whose dialect it speaks. */
static void model(struct world *w, const char *name)
{
        world_target(w,
                     name[0] == 'a' && name[1] == '-'   ? "anthropic"
                     : name[0] == 'g' && name[1] == '-' ? "gemini"
                                                        : "openai",
                     name);
}

/* ---- match ---- */

static void the_rest_follows_in_every_dialect(void **state)
{
        (void)state;
        static const char *const first[] = {"o-cut",   "o-stalls",  "o-error", "a-cut",
                                            "a-error", "a-two-cut", "g-cut"},
                                 *const second[] = {"o-all", "o-whole", "a-all", "a-two", "g-all"};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
                        for (size_t n = 0; n < sizeof second / sizeof *second; n++) {
                                struct world w;
                                print_message("%s: %s, %s\n", asks[i].dialect, first[k], second[n]);
                                broken_world(&w, RESCUE_MATCH);
                                world_timeouts(&w.providers[0], 5000, 150, 0);
                                model(&w, first[k]);
                                model(&w, second[n]);
                                ask_with(&w, &asks[i], "");
                                assert_heard(&w, &asks[i], "t:one two three");
                                assert_int_equal(w.record.attempts, 2);
                                assert_int_equal(w.record.rescues, 1);
                                assert_false(w.record.fast_path);
                                assert_string_equal(w.record.provider, w.targets[1].provider->name);
                                world_end(&w);
                        }
                }
        }
}

static void any_split_of_deltas_matches(void **state)
{
        (void)state;
        for (cut_after = 1; cut_after <= SYLLABLES; cut_after++) {
                for (joined_from = 0; joined_from < SYLLABLES; joined_from++) {
                        for (joined_to = joined_from; joined_to <= SYLLABLES; joined_to += 2) {
                                struct world w;
                                broken_world(&w, RESCUE_MATCH);
                                model(&w, "some");
                                model(&w, "all");
                                ask_with(&w, &asks[ASK_OPENAI], "");
                                assert_heard(&w, &asks[ASK_OPENAI], "t:" ALL_SYLLABLES);
                                assert_int_equal(w.record.rescues, 1);
                                world_end(&w);
                        }
                }
        }
        for (cut_after = 1; cut_after <= strlen("one two three"); cut_after++) {
                for (size_t i = 0; i < ASKS; i++) {
                        struct world w;
                        broken_world(&w, RESCUE_MATCH);
                        model(&w, "letters");
                        model(&w, "a-two");
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:one two three");
                        world_end(&w);
                }
        }
}

static void what_differs_is_an_error(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *more;
        } cases[] = {
                {"o-cut", "o-other", ""},
                {"o-cut", "o-short", ""},
                {"o-call-cut", "o-call-other", tools},
                {"o-call-cut", "o-call-more", tools},
                {"o-call-cut", "o-no-call", tools},
                {"o-cut", "o-then-call", tools},
                {"a-call-cut", "o-no-call", tools},
        };
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        int calls = provider.calls;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        broken_world(&w, RESCUE_MATCH);
                        model(&w, cases[k].first);
                        model(&w, cases[k].second);
                        model(&w, "o-all");
                        ask_with(&w, &asks[i], i == ASK_OPENAI ? cases[k].more : "");
                        /* A call reaches clients of some dialects only when it is whole. */
                        assert_broken(&w, &asks[i]);
                        assert_int_equal(w.record.rescues, 1);
                        assert_int_equal(w.record.cause, ERR_UPSTREAM);
                        assert_int_equal(provider.calls - calls, 2);
                        world_end(&w);
                }
        }
}

static void calls_match(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *words;
        } cases[] = {
                {"o-so-cut", "o-call", "t:so|c look:{\"a\":1}"},
                {"o-call-begun", "a-call", "t:so|c look:{\"a\":1}"},
                {"o-call-cut", "o-call", "t:so|c look:{\"a\":1}"},
                {"o-call-cut", "a-call", "t:so|c look:{\"a\":1}"},
                {"o-call-cut", "g-call", "t:so|c look:{\"a\":1}"},
                {"a-call-cut", "o-call", "t:so|c look:{\"a\":1}"},
                {"g-call-cut", "o-call", "t:so|c look:{\"a\":1}"},
                {"g-call-cut", "a-call", "t:so|c look:{\"a\":1}"},
                {"o-woven-cut", "o-woven", "c look:{\"a\":1}|c find:{\"b\":2}"},
                {"o-woven-cut", "a-calls", "c look:{\"a\":1}|c find:{\"b\":2}"},
        };
        for (size_t i = 0; i < ASK_PLAIN; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        broken_world(&w, RESCUE_MATCH);
                        model(&w, cases[k].first);
                        model(&w, cases[k].second);
                        ask_with(&w, &asks[i], i == ASK_OPENAI ? tools : i == ASK_ANTHROPIC ? a_tools : "");
                        assert_heard(&w, &asks[i], cases[k].words);
                        const struct heard *h = hear(&w, &asks[i]);
                        assert_int_equal(h->finish, FINISH_TOOL);
                        /* The id that the client was told first, not the second target's. */
                        if (strcmp(cases[k].first, "o-call-cut") == 0)
                                assert_non_null(strstr(h->blocks[h->count - 1].id, "call_7"));
                        world_end(&w);
                }
        }
}

static void thoughts_are_not_compared(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *words;
        } cases[] = {
                {"a-thought-cut", "a-thought", "h:hm|t:one two three"},
                {"a-thought-cut", "o-all", "h:hm|t:one two three"},
                {"o-cut", "a-thought", "t:one two three"},
                {"a-only-thought", "a-thought", "h:hm|h:let me see|t:one two three"},
                {"a-only-thought", "g-all", "h:hm|t:one two three"},
                /* The end of the thought is told before the second target fails. */
                {"a-only-thought", "o-broken", "h:hm|t:one two three"},
                {"a-empty-text", "o-call", "h:hm|t:so|c look:{\"a\":1}"},
        };
        for (size_t i = 0; i <= ASK_ANTHROPIC; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        broken_world(&w, RESCUE_MATCH);
                        model(&w, cases[k].first);
                        model(&w, cases[k].second);
                        model(&w, "o-all");
                        ask_with(&w, &asks[i], "");
                        const struct heard *h = hear(&w, &asks[i]);
                        if (i == ASK_ANTHROPIC) {
                                enum dialect_id from;
                                enum carry_on on;
                                struct str signature,
                                        given = {h->blocks[0].signature.data, h->blocks[0].signature.len};
                                assert_heard(&w, &asks[i], cases[k].words);
                                /* A thought that was cut bears the mark of one that is not signed. */
                                if (strcmp(cases[k].first, "a-only-thought") == 0)
                                        assert_true(carry_unwrap(w.arena, given, &from, &on, &signature) &&
                                                    !signature.len);
                                if (strcmp(cases[k].first, "a-thought-cut") == 0)
                                        assert_string_equal(h->blocks[0].signature.data, "sigA");
                                if (h->blocks[1].kind == 'h')
                                        assert_string_equal(h->blocks[1].signature.data, "sigB");
                        } else {
                                assert_int_equal(h->ends, 1);
                                assert_true(w.record.whole);
                        }
                        world_end(&w);
                }
        }
}

static void breaks_again_and_is_rescued_again(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *third;
                int rescues;
                bool whole;
        } cases[] = {
                {"o-cut-early", "a-cut", "o-all", 2, true},
                {"o-cut", "o-cut-late", "a-all", 2, true},
                /* Breaks before it has said all that the client has. */
                {"o-cut-late", "o-cut-early", "g-all", 2, true},
                {"o-cut", "o-broken", "a-all", 2, true},
                {"o-cut", "o-silent", "a-all", 2, true},
                {"o-cut", "o-cut", "o-cut", 2, false},
        };
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        broken_world(&w, RESCUE_MATCH);
                        world_timeouts(&w.providers[0], 150, 5000, 0);
                        w.config.keepalive_ms = 50;
                        model(&w, cases[k].first);
                        model(&w, cases[k].second);
                        model(&w, cases[k].third);
                        ask_with(&w, &asks[i], "");
                        if (cases[k].whole)
                                assert_heard(&w, &asks[i], "t:one two three");
                        else
                                assert_broken(&w, &asks[i]);
                        assert_int_equal(w.record.rescues, cases[k].rescues);
                        world_end(&w);
                }
        }
}

/* The usage that a client is told is that of the target which answered to the end. */
static void the_last_usage_is_told(void **state)
{
        (void)state;
        struct world w;
        broken_world(&w, RESCUE_MATCH);
        model(&w, "a-cut");
        model(&w, "o-all");
        ask_with(&w, &asks[ASK_OPENAI], ",\"stream_options\":{\"include_usage\":true}");
        assert_heard(&w, &asks[ASK_OPENAI], "t:one two three");
        assert_int_equal(hear(&w, &asks[ASK_OPENAI])->usage.input, 7);
        assert_int_equal(hear(&w, &asks[ASK_OPENAI])->usage.output, 5);
        assert_int_equal(w.record.usage.output, 5);
        world_end(&w);
}

static void what_cannot_be_compared_is_an_error(void **state)
{
        (void)state;
        static const struct {
                const char *first, *more;
                size_t ask;
        } cases[] = {
                {"g-code-cut", "", ASK_GEMINI},
                {"o-cut", ",\"logprobs\":true", ASK_OPENAI},
                {"long", "", ASK_OPENAI},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                int calls = provider.calls;
                print_message("%s\n", cases[i].first);
                broken_world(&w, RESCUE_MATCH);
                model(&w, cases[i].first);
                model(&w, "o-all");
                ask_with(&w, &asks[cases[i].ask], cases[i].more);
                assert_false(w.record.whole);
                assert_true(world_has(&w, asks[cases[i].ask].error));
                assert_false(world_has(&w, asks[cases[i].ask].end));
                assert_int_equal(provider.calls - calls, 1);
                world_end(&w);
        }
}

static void without_rescue_it_is_an_error(void **state)
{
        (void)state;
        static const char *const first[] = {"o-cut", "a-cut", "a-error", "g-cut", "o-call-cut", "g-call-cut"};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
                        struct world w;
                        int calls = provider.calls;
                        print_message("%s: %s\n", asks[i].dialect, first[k]);
                        broken_world(&w, RESCUE_ERROR);
                        model(&w, first[k]);
                        model(&w, "o-all");
                        ask_with(&w, &asks[i], i == ASK_OPENAI ? tools : i == ASK_ANTHROPIC ? a_tools : "");
                        assert_broken(&w, &asks[i]);
                        assert_int_equal(provider.calls - calls, 1);
                        assert_int_equal(w.record.rescues, 0);
                        world_end(&w);
                }
        }
}

/* ---- continue ---- */

static const struct config_catalogue_row rows[] = {
        {.pattern = "goes-on", .shipped = true, .caps = {.prefill = TRI_YES}},
        {.pattern = "*-on", .shipped = true, .caps = {.prefill = TRI_YES}},
        {.pattern = "o-on-*", .shipped = true, .caps = {.prefill = TRI_YES}},
        {.pattern = "o-then-call", .shipped = true, .caps = {.prefill = TRI_YES}},
        {.pattern = "a-*space", .shipped = true, .caps = {.prefill = TRI_YES}},
        {.pattern = "o-whole", .shipped = true, .caps = {.prefill = TRI_NO}},
};

static void continue_world(struct world *w)
{
        broken_world(w, RESCUE_CONTINUE);
        w->config.catalogue = rows;
        w->config.catalogue_count = sizeof rows / sizeof *rows;
}

static void goes_on_from_the_text(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *third, *words;
        } cases[] = {
                {"o-cut", "goes-on", NULL, "t:one two three"},
                {"a-cut", "goes-on", NULL, "t:one two three"},
                {"g-cut", "goes-on", NULL, "t:one two three"},
                {"a-cut", "g-on", NULL, "t:one two three"},
                {"a-cut", "o-on-cut", "o-on-end", "t:one two three"},
                {"o-two-space", "a-space", NULL, "t:one two three"},
                {"o-two-space", "a-no-space", NULL, "t:one two three"},
                {"o-cut", "o-then-call", NULL, "t:one tw|c look:{\"a\":1}"},
        };
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                        struct world w;
                        if (i == ASK_PLAIN && strchr(cases[k].words, '|'))
                                continue;
                        print_message("%s: %s, %s\n", asks[i].dialect, cases[k].first, cases[k].second);
                        continue_world(&w);
                        model(&w, cases[k].first);
                        model(&w, cases[k].second);
                        if (cases[k].third)
                                model(&w, cases[k].third);
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], cases[k].words);
                        assert_int_equal(w.record.rescues, cases[k].third ? 2 : 1);
                        /* Anthropic refuses white space at the end. */
                        if (strcmp(cases[k].first, "o-two-space") == 0)
                                assert_non_null(strstr(provider.last, "\"one two\""));
                        world_end(&w);
                }
        }
}

/* The text ends where the call begins, not only with the answer. */
static void what_follows_the_text_is_not_held_up(void **state)
{
        (void)state;
        for (size_t i = 0; i <= ASK_ANTHROPIC; i++) {
                struct world w;
                continue_world(&w);
                model(&w, "o-cut");
                model(&w, "o-call-on");
                ask_with(&w, &asks[i], "");
                assert_broken(&w, &asks[i]);
                assert_string_equal(heard_words(&w, hear(&w, &asks[i])), "t:one tw|c look:{\"a");
                world_end(&w);
        }
}

/* By its capability, by the target's own list, and never without. */
static void only_who_goes_on_is_asked(void **state)
{
        (void)state;
        static const struct {
                const char *first, *second, *third, *more;
                bool given, whole;
                int calls;
        } cases[] = {
                {"o-cut", "o-all", "goes-on", "", false, true, 2},
                {"o-cut", "o-whole", "o-all", "", false, false, 1},
                {"o-cut", "o-on-cut", "o-all", "", false, false, 2},
                {"o-cut", "o-all", "o-all", "", true, false,
                 2}, /* asked, and it says all from the beginning */
                {"o-call-cut", "goes-on", "goes-on", tools, false, false, 1},
                {"o-cut", "goes-on", "goes-on", ",\"response_format\":{\"type\":\"json_object\"}", false,
                 false, 1},
                /* There is nothing to go on from: anyone may answer. */
                {"a-only-thought", "o-all", "goes-on", "", false, true, 2},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct world w;
                int calls = provider.calls;
                print_message("%s: %s, %s\n", cases[i].first, cases[i].second, cases[i].third);
                continue_world(&w);
                model(&w, cases[i].first);
                model(&w, cases[i].second);
                model(&w, cases[i].third);
                w.targets[1].capabilities_given = cases[i].given;
                w.targets[1].capabilities = CAPABILITY_PREFILL | CAPABILITY_TOOLS;
                ask_with(&w, &asks[ASK_OPENAI], cases[i].more);
                assert_int_equal(provider.calls - calls, cases[i].calls);
                if (cases[i].given)
                        assert_heard(&w, &asks[ASK_OPENAI], "t:one twone two three");
                else if (cases[i].whole)
                        assert_heard(&w, &asks[ASK_OPENAI],
                                     strcmp(cases[i].first, "o-cut") == 0 ? "t:one two three"
                                                                          : "h:hm|t:one two three");
                else
                        assert_broken(&w, &asks[ASK_OPENAI]);
                world_end(&w);
        }
}

/* The caller's own beginning of the answer stays in front. */
static void goes_on_behind_a_turn_of_the_callers(void **state)
{
        (void)state;
        struct world w;
        struct ask ask = asks[ASK_ANTHROPIC];
        continue_world(&w);
        ask.begin =
                "{\"model\":\"asked\",\"stream\":true,\"max_tokens\":4000,\"thinking\":{\"type\":\"enabled\","
                "\"budget_tokens\":2000},\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
                "{\"role\":\"assistant\",\"content\":\"zero \"}]";
        model(&w, "o-cut");
        model(&w, "a-space");
        w.config.catalogue = (const struct config_catalogue_row[]){
                {.pattern = "*",
                 .shipped = true,
                 .caps = {.prefill = TRI_YES, .reasoning = REASONING_BUDGET}}};
        w.config.catalogue_count = 1;
        ask_with(&w, &ask, "");
        assert_heard(&w, &ask, "t:one tw three");
        assert_non_null(strstr(provider.last, "zero one tw\""));
        assert_null(strstr(provider.last, "budget_tokens"));
        world_end(&w);
}

/* ---- hold ---- */

static void held_streams_fail_over(void **state)
{
        (void)state;
        static const char *const first[] = {"o-slow-cut", "o-cut", "a-error"}, *const second[] = {"a-all",
                                                                                                  "o-all",
                                                                                                  "g-all"};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
                        struct world w;
                        print_message("%s: %s, %s\n", asks[i].dialect, first[k], second[k]);
                        broken_world(&w, RESCUE_HOLD);
                        w.config.keepalive_ms = k == 0 ? 60 : 0;
                        model(&w, first[k]);
                        model(&w, second[k]);
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:one two three");
                        assert_false(world_has(&w, "WRONG"));
                        assert_int_equal(w.record.attempts, 2);
                        assert_int_equal(w.record.rescues, 0);
                        if (k == 0) {
                                assert_memory_equal(world_text(&w), asks[i].keepalive, 2);
                                assert_null(world_header(&w, "x-tollgate-provider"));
                        } else {
                                assert_string_equal(world_header(&w, "x-tollgate-provider"),
                                                    w.targets[1].provider->name);
                        }
                        world_end(&w);
                }
        }
}

static void held_streams_that_only_fail_are_errors(void **state)
{
        (void)state;
        for (size_t i = 0; i < ASKS; i++) {
                for (int wait = 0; wait < 2; wait++) {
                        struct world w;
                        print_message("%s\n", asks[i].dialect);
                        broken_world(&w, RESCUE_HOLD);
                        w.config.keepalive_ms = wait ? 60 : 0;
                        model(&w, wait ? "o-slow-cut" : "o-cut");
                        model(&w, "a-error");
                        ask_with(&w, &asks[i], "");
                        /* Nothing was sent: without a keep-alive it is still a plain error. */
                        if (wait)
                                assert_broken(&w, &asks[i]);
                        else
                                assert_int_equal(w.seen.head.status, 502);
                        assert_false(world_has(&w, "one tw") || world_has(&w, "WRONG"));
                        world_end(&w);
                }
        }
}

/* What is held counts; what was held for an attempt that failed does not any more. */
static void held_bytes_are_counted(void **state)
{
        (void)state;
        for (int fits = 0; fits < 2; fits++) {
                struct world w;
                broken_world(&w, RESCUE_HOLD);
                w.config.max_memory = fits ? 13 << 20 : 5 << 20;
                model(&w, "long");
                model(&w, "long");
                model(&w, "o-all");
                ask_with(&w, &asks[ASK_OPENAI], "");
                assert_int_equal(w.seen.head.status, fits ? 200 : 503);
                assert_int_equal(w.record.attempts, fits ? 3 : 1);
                if (fits)
                        assert_heard(&w, &asks[ASK_OPENAI], "t:one two three");
                world_end(&w);
        }
}

/* The time to the first token is the provider's, not that of the whole. */
static void the_providers_own_first_token_counts(void **state)
{
        (void)state;
        struct world w;
        broken_world(&w, RESCUE_HOLD);
        model(&w, "o-slow-cut");
        ask_with(&w, &asks[ASK_OPENAI], "");
        assert_in_range(w.record.first_token_ms, 0, w.took_ms - 250);
        world_end(&w);
}

/* The built-in provider goes on, too, and is held. */
static void echo_is_no_exception(void **state)
{
        (void)state;
        static const enum config_rescue modes[] = {RESCUE_ERROR, RESCUE_HOLD, RESCUE_MATCH, RESCUE_CONTINUE};
        for (size_t i = 0; i < ASKS; i++) {
                for (size_t k = 0; k < 4; k++) {
                        struct world w;
                        broken_world(&w, modes[k]);
                        world_target(&w, "echo", "echo");
                        ask_with(&w, &asks[i], "");
                        assert_heard(&w, &asks[i], "t:Hi");
                        world_end(&w);
                }
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
                cmocka_unit_test(the_rest_follows_in_every_dialect),
                cmocka_unit_test(any_split_of_deltas_matches),
                cmocka_unit_test(what_differs_is_an_error),
                cmocka_unit_test(calls_match),
                cmocka_unit_test(thoughts_are_not_compared),
                cmocka_unit_test(breaks_again_and_is_rescued_again),
                cmocka_unit_test(the_last_usage_is_told),
                cmocka_unit_test(what_cannot_be_compared_is_an_error),
                cmocka_unit_test(without_rescue_it_is_an_error),
                cmocka_unit_test(goes_on_from_the_text),
                cmocka_unit_test(what_follows_the_text_is_not_held_up),
                cmocka_unit_test(only_who_goes_on_is_asked),
                cmocka_unit_test(goes_on_behind_a_turn_of_the_callers),
                cmocka_unit_test(held_streams_fail_over),
                cmocka_unit_test(held_streams_that_only_fail_are_errors),
                cmocka_unit_test(held_bytes_are_counted),
                cmocka_unit_test(the_providers_own_first_token_counts),
                cmocka_unit_test(echo_is_no_exception),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
