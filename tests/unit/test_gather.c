/* Events put together: blocks that are open at once, several choices, pieces of everything, and what is no
 * whole answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dialect/gather.h"
#include "dialect_dump.h"

struct world {
        struct arena *arena;
        struct gather *gather;
};

/* Each event in memory of its own, which is gone and overwritten when the next one comes. */
static void send(struct world *w, struct chat_event e)
{
        struct chat_event *copy = malloc(sizeof *copy);
        char *delta = e.delta.at ? strndup(e.delta.at, e.delta.len) : NULL;
        char *id = e.block_start.id ? strdup(e.block_start.id) : NULL;
        *copy = e;
        copy->delta.at = delta;
        copy->block_start.id = id;
        gather_event(w->gather, copy);
        if (delta)
                memset(delta, '#', e.delta.len);
        if (id)
                memset(id, '#', strlen(id));
        free(delta);
        free(id);
        free(copy);
}

static struct world begin(size_t most)
{
        struct world w = {.arena = arena_new()};
        w.gather = gather_new(w.arena, most);
        send(&w,
             (struct chat_event){
                     .type = EVENT_START, .id = "id", .model = "m", .usage = {.known = true, .input = 9}});
        return w;
}

static void start(struct world *w, int64_t choice, int64_t block, enum chat_block_type type, const char *id)
{
        send(w, (struct chat_event){.type = EVENT_BLOCK_START,
                                    .choice = choice,
                                    .block = block,
                                    .block_start = {.type = type, .id = id, .name = id ? "f" : NULL}});
}

static void delta(struct world *w, int64_t choice, int64_t block, enum chat_delta_kind kind, const char *text)
{
        send(w, (struct chat_event){.type = EVENT_DELTA,
                                    .choice = choice,
                                    .block = block,
                                    .delta_kind = kind,
                                    .delta = str_of(text)});
}

static void stop(struct world *w, int64_t choice, enum chat_finish finish)
{
        send(w,
             (struct chat_event){.type = EVENT_STOP, .choice = choice, .finish = finish, .finish_raw = "f"});
}

static void finish(struct world *w)
{
        send(w, (struct chat_event){.type = EVENT_USAGE, .usage = {.known = true, .input = 9, .output = 4}});
        send(w, (struct chat_event){.type = EVENT_END});
}

static void expect(struct world *w, const char *expected)
{
        struct buf out;
        const struct chat_reply *r = gather_reply(w->gather);
        buf_init(&out, 1 << 20);
        if (r)
                dump_reply(&out, w->arena, r);
        else
                buf_adds(&out, "none");
        assert_string_equal(out.data, expected);
        buf_release(&out);
        arena_free(w->arena);
}

static void test_interleaved(void **state)
{
        (void)state;
        struct world w = begin(1 << 20);
        start(&w, 0, 0, BLOCK_THINKING, NULL);
        delta(&w, 0, 0, DELTA_TEXT, "hm");
        delta(&w, 0, 0, DELTA_SIGNATURE, "s1");
        delta(&w, 0, 0, DELTA_SIGNATURE, "s2");
        start(&w, 0, 1, BLOCK_TOOL_CALL, "a");
        start(&w, 1, 0, BLOCK_TEXT, NULL);
        start(&w, 0, 2, BLOCK_TOOL_CALL, "b");
        for (int i = 3; i < 40; i++) { /* the lists grow under what is open */
                start(&w, 0, i, BLOCK_TEXT, NULL);
                if (i > 3)
                        delta(&w, 0, i, DELTA_TEXT, "");
        }
        delta(&w, 0, 1, DELTA_ARGUMENTS, "{\"x\"");
        delta(&w, 0, 2, DELTA_ARGUMENTS, "{}");
        delta(&w, 1, 0, DELTA_TEXT, "one ");
        delta(&w, 0, 1, DELTA_ARGUMENTS, ":1}");
        delta(&w, 1, 0, DELTA_TEXT, "two");
        stop(&w, 1, FINISH_STOP);
        stop(&w, 0, FINISH_TOOL);
        finish(&w);
        const struct chat_reply *r = gather_reply(w.gather);
        assert_non_null(r);
        assert_string_equal(r->id, "id");
        const struct chat_block *b = r->choices->blocks;
        assert_string_equal(b->text.at, "hm");
        assert_string_equal(b->signature.at, "s1s2");
        assert_string_equal(b->next->id, "a");
        assert_string_equal(b->next->arguments_text.at, "{\"x\":1}");
        assert_string_equal(b->next->next->arguments_text.at, "{}");
        assert_int_equal(r->choices->finish, FINISH_TOOL);
        assert_int_equal(r->choices->next->index, 1);
        assert_string_equal(r->choices->next->blocks->text.at, "one two");
        assert_int_equal(r->usage.output, 4);
        assert_true(gather_size(w.gather) >= 2 + 4 + 7 + 2 + 7);
        arena_free(w.arena);
}

static void test_more_than_text(void **state)
{
        (void)state;
        struct world w = begin(1 << 20);
        json_object *items = json_tokener_parse("[{\"token\":\"a\"}]"),
                    *raw = json_tokener_parse("{\"r\":1}");
        struct chat_citation c = {
                .url = "u", .title = "t", .cited_text = {"q", 1}, .start = 0, .end = 1, .raw = raw};
        start(&w, 0, 0, BLOCK_TEXT, NULL);
        delta(&w, 0, 0, DELTA_TEXT, "a");
        for (int i = 0; i < 2; i++) {
                send(&w,
                     (struct chat_event){.type = EVENT_DELTA, .delta_kind = DELTA_CITATION, .citation = &c});
                send(&w, (struct chat_event){
                                 .type = EVENT_DELTA, .delta_kind = DELTA_LOGPROBS, .logprobs = items});
        }
        send(&w, (struct chat_event){
                         .type = EVENT_BLOCK_START,
                         .block = 1,
                         .block_start = {.type = BLOCK_OTHER, .raw = raw, .raw_dialect = DIALECT_GEMINI}});
        json_object_put(items);
        json_object_put(raw);
        stop(&w, 0, FINISH_STOP);
        finish(&w);
        const struct chat_reply *r = gather_reply(w.gather);
        assert_non_null(r);
        assert_string_equal(json_object_to_json_string_ext(r->choices->logprobs, DUMP_JSON),
                            "{\"content\":[{\"token\":\"a\"},{\"token\":\"a\"}]}");
        assert_string_equal(
                json_object_to_json_string_ext(r->choices->blocks->citations->next->raw, DUMP_JSON),
                "{\"r\":1}");
        expect(&w,
               "0: [text 'a' cite(u t 0-1) cite(u t 0-1)] [other raw={\"r\":1}] stop/f\n usage(in=9 cached=0 "
               "tool=0 out=4 think=0)");
}

static void test_no_answer(void **state)
{
        (void)state;
        /* Not ended. */
        struct world w = begin(1 << 20);
        start(&w, 0, 0, BLOCK_TEXT, NULL);
        delta(&w, 0, 0, DELTA_TEXT, "a");
        stop(&w, 0, FINISH_STOP);
        expect(&w, "none");
        /* Broken off. */
        w = begin(1 << 20);
        start(&w, 0, 0, BLOCK_TEXT, NULL);
        send(&w, (struct chat_event){.type = EVENT_ERROR});
        send(&w, (struct chat_event){.type = EVENT_END});
        expect(&w, "none");
        /* Too long. */
        w = begin(10);
        start(&w, 0, 0, BLOCK_TEXT, NULL);
        for (int i = 0; i < 4; i++)
                delta(&w, 0, 0, DELTA_TEXT, "abc");
        finish(&w);
        expect(&w, "none");
        /* Of blocks that never began, or not in order. */
        w = begin(1 << 20);
        delta(&w, 0, 0, DELTA_TEXT, "abc");
        finish(&w);
        expect(&w, "none");
        w = begin(1 << 20);
        start(&w, 0, 1, BLOCK_TEXT, NULL);
        finish(&w);
        expect(&w, "none");
        w = begin(1 << 20);
        delta(&w, 0, -1, DELTA_TEXT, "abc");
        finish(&w);
        expect(&w, "none");
        /* More choices than anybody may ask for. */
        w = begin(1 << 20);
        for (int i = 0; i < 300; i++)
                stop(&w, i, FINISH_STOP);
        finish(&w);
        expect(&w, "none");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_interleaved),
                cmocka_unit_test(test_more_than_text),
                cmocka_unit_test(test_no_answer),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
