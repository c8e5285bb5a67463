/* What requests will cost: texts against counts of o200k, images against the published rules, recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>

#include "base/text.h"
#include "dialect_dump.h"
#include "policy/estimate.h"

/* Tokens as o200k counts them; texts but the last few: Universal Declaration of Human Rights, article 1. */
static const struct text_case {
        const char *name;
        int64_t counted;
        const char *text;
} texts[] = {
        {"english", 33,
         "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
         "conscience and should act towards one another in a spirit of brotherhood."},
        {"german", 38,
         "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
         "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen."},
        {"french", 41,
         "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison "
         "et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité."},
        {"russian", 41,
         "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "
         "совестью и должны поступать в отношении друг друга в духе братства."},
        {"greek", 71,
         "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
         "προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα "
         "αδελφοσύνης."},
        {"arabic", 42,
         "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم "
         "بعضا بروح الإخاء."},
        {"hebrew", 50,
         "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם "
         "לנהוג איש ברעהו ברוח של אחווה."},
        {"hindi", 54,
         "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की "
         "देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।"},
        {"chinese", 35,
         "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"},
        {"japanese", 72,
         "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と"
         "良心とを授けられており、互いに同胞の精神をもって行動しなければならない。"},
        {"korean", 51,
         "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 "
         "양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."},
        {"thai", 63,
         "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม "
         "และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ"},
        {"code", 50,
         "static bool goes_on(struct run *r, enum run_kind kind)\n{\n        if (r->kind == RUN_UPPER && "
         "kind == RUN_LOWER)\n                r->kind = RUN_LOWER;\n        return r->kind == kind;\n}\n"},
        {"json", 33,
         "{\"model\":\"assistant\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"temperature\":"
         "0.25,\"max_tokens\":1024,\"stream\":true}"},
        {"numbers", 43, "3.14159, 2718281828, 42, 2026-08-17T10:00:00Z, 1,000,000.00, 0x1F"},
        {"emoji", 12, "Well done! 🎉🚀 ❤️ 👍🏽 😀"},
        {"base64", 86,
         "iVBORw0KGgoAAAANSUhEUgAAAKYAAAEaAgMAAADmmcReAAAACVBMVEX///8A/"
         "wD+AQASdAFKAAAAR0lEQVR42u3YMREAMAjAwC5d6q8mUYkEVuA+8yvIkVr0oghFURRFURRFURRFUdRCkSRJM7u"},
};

static void texts_of_every_script_are_about_right(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                int64_t tokens = estimate_text(texts[i].text, strlen(texts[i].text));
                double share = (double)tokens / (double)texts[i].counted;
                if (share < 0.8 || share > 1.8)
                        fail_msg("%s: %ld for %ld", texts[i].name, (long)tokens, (long)texts[i].counted);
        }
}

static void no_text_is_nothing_and_broken_text_is_bounded(void **state)
{
        (void)state;
        static char many[1 << 20];
        assert_int_equal(estimate_text(NULL, 0), 0);
        assert_int_equal(estimate_text("", 0), 0);
        assert_in_range(estimate_text("a", 1), 1, 2);
        for (int c = 0; c < 256; c++) {
                memset(many, c, sizeof many);
                int64_t tokens = estimate_text(many, sizeof many);
                assert_in_range(tokens, sizeof many / 20, 3 * sizeof many);
        }
        /* Cut within a character. */
        assert_in_range(estimate_text("\xe4\xba", 2), 1, 8);
        assert_in_range(estimate_text("\xf0\x9f\x98", 3), 1, 12);
}

/* ---- images ---- */

static struct str base64_of(struct arena *a, const void *bytes, size_t len)
{
        struct buf *out = buf_in_arena(a, 2 * len + 16);
        text_base64_encode(out, bytes, len);
        return (struct str){out->data, out->len};
}

static struct str png(struct arena *a, uint32_t w, uint32_t h)
{
        uint8_t bytes[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR________\x08\2\0\0\0";
        for (int i = 0; i < 4; i++) {
                bytes[16 + i] = (uint8_t)(w >> (24 - 8 * i));
                bytes[20 + i] = (uint8_t)(h >> (24 - 8 * i));
        }
        return base64_of(a, bytes, sizeof bytes - 1);
}

static int64_t image_tokens(struct arena *a, struct chat_source source, const char *detail,
                            enum dialect_id provider, const struct model_caps *caps)
{
        struct chat_request r = {0};
        struct estimate with, without;
        struct chat_message *m = chat_add_message(a, &r, CHAT_USER);
        estimate_chat(&r, provider, caps, &without);
        struct chat_block *b = chat_add_block(a, m, BLOCK_IMAGE);
        b->source = source;
        b->detail = detail;
        estimate_chat(&r, provider, caps, &with);
        return with.input - without.input;
}

static void images_follow_the_rules_of_their_provider(void **state)
{
        (void)state;
        static const struct {
                uint32_t w, h;
                const char *detail;
                int64_t openai, anthropic, gemini;
        } rows[] = {
                {1, 1, NULL, 255, 1, 258},
                {512, 512, "auto", 256, 350, 258},
                {513, 512, "high", 425, 351, 258},
                {166, 282, "high", 255, 63, 258}, /* recorded: 76 with the message around it */
                {1024, 1024, "low", 85, 1399, 1032},
                {1024, 1024, "high", 1024, 1399, 1032},
                {2048, 4096, "high", 1536, 1600, 2064},
                {1568, 1568, NULL, 1536, 1600, 2322},
                {8192, 8192, "original", 10000, 1600, 4128},
                {320, 320, "original", 100, 137, 258},
                {UINT32_MAX, UINT32_MAX, "high", 1536, 1600, 4128},
                {UINT32_MAX, 1, "high", 1536, 1, 1032},
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct chat_source s = {.kind = SOURCE_BASE64, .data = png(a, rows[i].w, rows[i].h)};
                const char *detail = rows[i].detail;
                assert_int_equal(image_tokens(a, s, detail, DIALECT_OPENAI, NULL), rows[i].openai);
                assert_int_equal(image_tokens(a, s, detail, DIALECT_NONE, NULL), rows[i].openai);
                assert_int_equal(image_tokens(a, s, detail, DIALECT_ECHO, NULL), rows[i].openai);
                assert_int_equal(image_tokens(a, s, detail, DIALECT_ANTHROPIC, NULL), rows[i].anthropic);
                assert_int_equal(image_tokens(a, s, detail, DIALECT_GEMINI, NULL), rows[i].gemini);
        }
        struct model_caps levels = {.reasoning = REASONING_LEVEL};
        struct chat_source small = {.kind = SOURCE_BASE64, .data = png(a, 64, 64)};
        assert_int_equal(image_tokens(a, small, NULL, DIALECT_GEMINI, &levels), 1120);
        arena_free(a);
}

static void images_without_a_size_count_as_the_usual_maximum(void **state)
{
        (void)state;
        static const struct chat_source sources[] = {
                {.kind = SOURCE_URL, .url = "https://example.org/a.png"},
                {.kind = SOURCE_FILE_ID, .url = "file-1"},
                {.kind = SOURCE_BASE64, .data = {"iVBORw0KGgo=", 12}},
                {.kind = SOURCE_BASE64, .data = {"!!!!", 4}},
                {.kind = SOURCE_BASE64, .data = {"", 0}},
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
                assert_int_equal(image_tokens(a, sources[i], NULL, DIALECT_OPENAI, NULL), 2500);
                assert_int_equal(image_tokens(a, sources[i], "low", DIALECT_OPENAI, NULL), 85);
                assert_int_equal(image_tokens(a, sources[i], NULL, DIALECT_ANTHROPIC, NULL), 1600);
                assert_int_equal(image_tokens(a, sources[i], NULL, DIALECT_GEMINI, NULL), 1120);
        }
        arena_free(a);
}

/* What a camera writes before the picture can be longer than any head that one would like to decode. */
static void a_jpeg_tells_its_size_behind_long_segments(void **state)
{
        (void)state;
        enum { LONG = 60000 };
        struct arena *a = arena_new();
        uint8_t *bytes = arena_alloc(a, 3 * LONG);
        for (int segments = 0; segments < 3; segments++) {
                size_t at = 0;
                bytes[at++] = 0xFF;
                bytes[at++] = 0xD8;
                for (int i = 0; i < segments; i++, at += LONG) {
                        memset(bytes + at, 'x', LONG);
                        bytes[at] = 0xFF;
                        bytes[at + 1] = 0xE1;
                        bytes[at + 2] = (LONG - 2) >> 8;
                        bytes[at + 3] = (LONG - 2) & 0xFF;
                }
                memcpy(bytes + at, "\xff\xff\xc0\0\x11\x08\x0b\xd0\x0f\xc0\3\xff\xda", 13);
                struct chat_source s = {.kind = SOURCE_BASE64, .data = base64_of(a, bytes, at + 13)};
                assert_int_equal(image_tokens(a, s, NULL, DIALECT_GEMINI, NULL), 258 * 4 * 3);
        }
        arena_free(a);
}

/* ---- the output ---- */

static void ceilings_are_the_callers_or_the_models(void **state)
{
        (void)state;
        static const struct {
                struct opt_int asked, n;
                int64_t model, expected;
        } rows[] = {
                {{false, 0}, {false, 0}, 0, 0},
                {{true, 100}, {false, 0}, 0, 100},
                {{true, 100}, {true, 3}, 0, 300},
                {{true, 100}, {true, 1}, 8192, 100},
                {{true, 10000}, {false, 0}, 8192, 8192},
                {{false, 0}, {true, 2}, 8192, 16384},
                {{true, -5}, {true, -2}, 0, 0},
                {{true, INT64_MAX}, {true, INT64_MAX}, 0, INT64_C(1000000000000)},
                {{false, 0}, {true, INT64_MAX}, 8192, INT64_C(1000000000000)},
                {{false, 0}, {true, INT64_MAX}, 0, 0},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct chat_request r = {.max_tokens = rows[i].asked, .n = rows[i].n};
                struct model_caps caps = {.max_output = rows[i].model};
                struct estimate e;
                estimate_chat(&r, DIALECT_OPENAI, rows[i].model ? &caps : NULL, &e);
                assert_int_equal(e.output_max, rows[i].expected);
                assert_int_equal(e.input, 0);
        }
}

static void reservations_weigh_the_output_by_what_was_lately_used(void **state)
{
        (void)state;
        static const int64_t most = INT64_C(1000000000000);
        static const struct {
                struct estimate e;
                double lately;
                int64_t expected;
        } rows[] = {
                {{100, 0}, 0, 612},
                {{100, 0}, 100, 241},
                {{100, 50}, 0, 150},
                {{100, 400}, 0, 356},
                {{100, 4096}, 0, 1124},
                {{100, 4096}, 100, 241},
                {{100, 120}, 1000, 220},
                {{100, 4096}, 1e300, 4196},
                {{100, 4096}, -1, 1124},
                {{100, 4096}, 0.0 / 0.0, 1124},
                {{INT64_MAX, INT64_MAX}, 1e300, most},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                assert_int_equal(estimate_total(&rows[i].e, rows[i].lately), rows[i].expected);
}

/* ---- what else is in a request ---- */

static int64_t decoded(struct arena *a, const struct dialect *d, const char *body)
{
        static const struct form_fields no_query;
        struct client_input in = {.arena = a, .body = str_of(body), .query = &no_query, .path_model = "m"};
        struct chat_request r = {0};
        struct err err = {0};
        struct estimate e;
        if (!d->decode_chat_request(&in, &r, &err))
                fail_msg("%s", err.message);
        estimate_chat(&r, d->id, NULL, &e);
        return e.input;
}

#define OPENAI(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}" more "}"

static void everything_that_is_sent_counts(void **state)
{
        (void)state;
        static const char *const rows[] = {
                OPENAI(",{\"role\":\"assistant\",\"content\":\"Hello\"}]"),
                OPENAI(",{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":"
                       "{\"data\":\"UklGRlwEAABXQVZF\",\"format\":\"wav\"}}]}]"),
                OPENAI(",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
                       "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
                       "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"15\"}]"),
                OPENAI("],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
                       "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\"}}}}}]"),
                OPENAI("],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\","
                       "\"schema\":{\"type\":\"object\"}}}"),
                OPENAI(",{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\","
                       "\"file_data\":\"data:application/pdf;base64,JVBERi0xLjQK\"}}]}]"),
        };
        struct arena *a = arena_new();
        int64_t plain = decoded(a, &dialect_openai, OPENAI("]"));
        assert_in_range(plain, 5, 8);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                assert_in_range(decoded(a, &dialect_openai, rows[i]), plain + 5, plain + 2000);
        arena_free(a);
}

static void sealed_text_of_a_provider_is_not_read_as_language(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        char *sealed = arena_alloc(a, 100001);
        for (int i = 0; i < 100000; i++)
                sealed[i] = "QWx7a+Z/"[i % 8];
        sealed[100000] = 0;
        const char *body = arena_printf(
                a,
                "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":"
                "[{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"srvtoolu_1\",\"content\":"
                "[{\"type\":\"web_search_result\",\"title\":\"t\",\"url\":\"https://example.org\","
                "\"encrypted_content\":\"%s\"}]}]},{\"role\":\"user\",\"content\":\"go on\"}]}",
                sealed);
        assert_in_range(decoded(a, &dialect_anthropic, body), 12000, 14000);
        arena_free(a);
}

static void embeddings_count_texts_and_ids(void **state)
{
        (void)state;
        static const int64_t ids[100];
        struct arena *a = arena_new();
        struct embed_request r = {0};
        struct estimate e;
        estimate_embed(&r, &e);
        assert_int_equal(e.input, 0);
        embed_add_input(a, &r)->text = str_of("Hello, World");
        struct embed_input *in = embed_add_input(a, &r);
        in->tokens = ids;
        in->token_count = 100;
        estimate_embed(&r, &e);
        assert_in_range(e.input, 103, 108);
        assert_int_equal(estimate_total(&e, 0), e.input);
        arena_free(a);
}

/* ---- recordings ---- */

struct tally {
        int count, good;
};

static void compare(struct tally *t, const char *name, int64_t tokens, int64_t reported)
{
        double share = (double)tokens / (double)reported;
        bool good = share >= 0.7 && share <= 2.0;
        t->count++;
        t->good += good;
        if (!good)
                print_message("%s: %ld where %ld were counted\n", name, (long)tokens, (long)reported);
}

static const struct kind {
        const char *url; /* a part of it */
        const struct dialect *dialect;
        const char *reported; /* the first one is that of the question alone */
        bool embed;
} kinds[] = {
        {"/chat/completions", &dialect_openai, "\"prompt_tokens\":", false},
        {"/embeddings", &dialect_openai, "\"prompt_tokens\":", true},
        {"/v1/messages", &dialect_anthropic, "\"input_tokens\":", false},
        {"enerateContent", &dialect_gemini, "\"promptTokenCount\":", false},
};

/* Text alone: what a provider searched and read is in no request. */
static bool is_text(const struct chat_request *r)
{
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (t->raw)
                        return false;
        }
        for (const struct chat_message *m = r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_IMAGE || b->type == BLOCK_AUDIO)
                                return false;
                }
        }
        for (const struct chat_extra *e = r->extras; e; e = e->next) {
                if (strcmp(e->name, "web_search_options") == 0)
                        return false;
        }
        return true;
}

static void compare_exchange(struct arena *a, const char *name, json_object *exchange, struct tally *t)
{
        static const struct form_fields no_query;
        json_object *request = json_peek(exchange, "request");
        const char *url = json_peek_string(request, "url");
        const char *answer = json_peek_string(json_peek(exchange, "response"), "body");
        const struct kind *k = kinds, *end = kinds + sizeof kinds / sizeof *kinds;
        while (k < end && !strstr(url, k->url))
                k++;
        const char *at = k < end && answer ? strstr(answer, k->reported) : NULL;
        if (!at)
                return;
        struct client_input in = {.arena = a,
                                  .body = json_peek_str(request, "body"),
                                  .query = &no_query,
                                  .path_model = k->dialect == &dialect_gemini ? "m" : NULL};
        struct chat_request chat = {0};
        struct embed_request embed = {0};
        struct err err = {0};
        struct estimate e;
        if (k->embed && k->dialect->decode_embed_request(&in, &embed, &err))
                estimate_embed(&embed, &e);
        else if (!k->embed && k->dialect->decode_chat_request(&in, &chat, &err) && is_text(&chat))
                estimate_chat(&chat, k->dialect->id, NULL, &e);
        else
                return;
        compare(t, name, e.input, strtoll(at + strlen(k->reported), NULL, 10));
}

static void recorded_requests_are_estimated_within_bounds(void **state)
{
        (void)state;
        static const char *const folders[] = {"openai", "anthropic", "google"};
        struct arena *a = arena_new();
        struct tally t = {0};
        const char *root = dump_shared(a, "");
        if (!root) {
                arena_free(a);
                skip();
        }
        for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
                glob_t found;
                if (glob(arena_printf(a, "%s%s/recorded/*.json", root, folders[f]), 0, NULL, &found) != 0)
                        fail_msg("no recordings of %s", folders[f]);
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        json_object *list = json_object_from_file(found.gl_pathv[i]);
                        for (size_t n = 0; list && n < json_object_array_length(list); n++)
                                compare_exchange(a, found.gl_pathv[i], json_object_array_get_idx(list, n),
                                                 &t);
                        json_object_put(list);
                }
                globfree(&found);
        }
        print_message("%d of %d recorded requests lie within 0.7 and 2.0 of what was counted\n", t.good,
                      t.count);
        assert_true(t.count >= 50);
        assert_true(t.good * 100 >= t.count * 90);
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(texts_of_every_script_are_about_right),
                cmocka_unit_test(no_text_is_nothing_and_broken_text_is_bounded),
                cmocka_unit_test(images_follow_the_rules_of_their_provider),
                cmocka_unit_test(images_without_a_size_count_as_the_usual_maximum),
                cmocka_unit_test(a_jpeg_tells_its_size_behind_long_segments),
                cmocka_unit_test(ceilings_are_the_callers_or_the_models),
                cmocka_unit_test(reservations_weigh_the_output_by_what_was_lately_used),
                cmocka_unit_test(everything_that_is_sent_counts),
                cmocka_unit_test(sealed_text_of_a_provider_is_not_read_as_language),
                cmocka_unit_test(embeddings_count_texts_and_ids),
                cmocka_unit_test(recorded_requests_are_estimated_within_bounds),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
