/* dialect/openai: what other providers said, told to openai's clients, says the same; and what other
 * dialects' clients ask. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/dialect.h"

enum { BODY_MAX = 16 << 20, BLOCKS_MAX = 1024 };

struct told {
        struct buf text, thought, calls, signatures;
        enum chat_block_type types[BLOCKS_MAX];
        enum chat_finish finish;
        struct chat_usage usage;
        bool ended, failed;
};

static void told_init(struct told *t)
{
        *t = (struct told){0};
        buf_init(&t->text, BODY_MAX);
        buf_init(&t->thought, BODY_MAX);
        buf_init(&t->calls, BODY_MAX);
        buf_init(&t->signatures, BODY_MAX);
}

static void told_release(struct told *t)
{
        buf_release(&t->text);
        buf_release(&t->thought);
        buf_release(&t->calls);
        buf_release(&t->signatures);
}

static void tell_delta(struct told *t, const struct chat_event *e)
{
        enum chat_block_type type = t->types[e->block];
        if (e->delta_kind == DELTA_SIGNATURE && (type == BLOCK_THINKING || type == BLOCK_TEXT))
                buf_addf(&t->signatures, "%.*s", (int)e->delta.len, e->delta.at);
        else if (e->delta_kind == DELTA_ARGUMENTS && type == BLOCK_TOOL_CALL)
                buf_add_str(&t->calls, e->delta);
        else if (e->delta_kind == DELTA_TEXT && type == BLOCK_TEXT)
                buf_add_str(&t->text, e->delta);
        else if (e->delta_kind == DELTA_TEXT && type == BLOCK_THINKING)
                buf_add_str(&t->thought, e->delta);
}

static void tell(struct told *t, const struct chat_event *e)
{
        assert_false(t->ended || t->failed);
        assert_int_equal(e->choice, 0);
        assert_true(e->block < BLOCKS_MAX);
        switch (e->type) {
        case EVENT_BLOCK_START:
                t->types[e->block] = e->block_start.type;
                if (e->block_start.type == BLOCK_TOOL_CALL)
                        buf_addf(&t->calls, "[%s]", e->block_start.name);
                if (e->block_start.signature.len && e->block_start.type != BLOCK_OTHER)
                        buf_add_str(&t->signatures, e->block_start.signature);
                break;
        case EVENT_DELTA: tell_delta(t, e); break;
        case EVENT_BLOCK_STOP:
                if (t->types[e->block] == BLOCK_TOOL_CALL && t->calls.data[t->calls.len - 1] == ']')
                        buf_adds(&t->calls, "{}");
                break;
        case EVENT_STOP:
                /* openai has fewer words: no pause, no sequence; and calls are what counts. */
                t->finish = e->finish;
                if (e->finish == FINISH_STOP_SEQUENCE || e->finish == FINISH_PAUSE)
                        t->finish = FINISH_STOP;
                if (t->finish == FINISH_STOP && t->calls.len)
                        t->finish = FINISH_TOOL;
                break;
        case EVENT_START:
        case EVENT_USAGE:
                if (e->usage.known)
                        t->usage = e->usage;
                break;
        case EVENT_END: t->ended = true; break;
        case EVENT_ERROR: t->failed = true; break;
        default: break;
        }
}

static const char *of(const struct buf *b)
{
        return b->data ? b->data : "";
}

static void assert_same(const char *name, const struct told *x, const struct told *y)
{
        if (strcmp(of(&x->text), of(&y->text)) != 0 || strcmp(of(&x->thought), of(&y->thought)) != 0 ||
            strcmp(of(&x->calls), of(&y->calls)) != 0 || strcmp(of(&x->signatures), of(&y->signatures)) != 0)
                fail_msg("%s\ntext %s\n     %s\nthought %s\n        %s\ncalls %s\n      %s\nsigned %s\n      "
                         " %s",
                         name, of(&x->text), of(&y->text), of(&x->thought), of(&y->thought), of(&x->calls),
                         of(&y->calls), of(&x->signatures), of(&y->signatures));
        if (x->finish != y->finish)
                fail_msg("%s: finish %d, %d", name, x->finish, y->finish);
        assert_int_equal(x->usage.input, y->usage.input);
        assert_int_equal(x->usage.cached, y->usage.cached);
        assert_int_equal(x->usage.cache_write, y->usage.cache_write);
        assert_int_equal(x->usage.output, y->usage.output);
        assert_int_equal(x->usage.reasoning, y->usage.reasoning);
        assert_true(x->ended && y->ended);
}

/* ---- recordings ---- */

static const char *shared(void)
{
        static char path[1024];
        const char *dir = getenv("TOLLGATE_SHARED"), *src = getenv("TOLLGATE_SRCDIR");
        snprintf(path, sizeof path, "%s%s/real", dir ? dir : src ? src : ".", dir ? "" : "/../shared");
        DIR *d = opendir(path);
        if (!d) {
                print_message("skipped: no recordings at hand\n");
                return NULL;
        }
        closedir(d);
        return path;
}

static void frame(struct buf *sse, const char *line, size_t len)
{
        char *copy = strndup(line, len);
        json_object *event = json_tokener_parse(copy);
        const char *type = json_peek_string(event, "type");
        if (type)
                buf_addf(sse, "event: %s\n", type);
        buf_addf(sse, "data: %s\n\n", copy);
        json_object_put(event);
        free(copy);
}

/* Events of the stream to x, as chunks to `chunks`. */
static void run_stream(const struct dialect *d, struct arena *a, struct str sse, struct told *x,
                       void *encoder, struct buf *chunks)
{
        static const struct chat_request none;
        struct arena *scratch = arena_new();
        struct sse_parser *p = sse_new(BODY_MAX);
        void *decoder = d->decoder_new(a, &none);
        struct sse_event event;
        bool more = true;
        assert_true(sse_feed(p, sse.at, sse.len));
        while (more) {
                struct chat_events events = {.arena = scratch};
                more = sse_next(p, &event);
                if (more)
                        d->decode_event(decoder, &event, &events);
                else
                        d->decode_end(decoder, (struct str){"", 0}, &events);
                for (const struct chat_event *e = events.first; e; e = e->next) {
                        tell(x, e);
                        if (encoder && e->type != EVENT_ERROR)
                                dialect_openai.encode_event(encoder, e, chunks);
                }
                arena_reset(scratch);
        }
        sse_free(p);
        arena_free(scratch);
}

static bool check_chunks(const struct dialect *d, const char *name, struct str lines)
{
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .stream_usage = true, .id_seed = "x", .model_asked = "m"};
        struct told x, y;
        struct buf sse, chunks;
        told_init(&x);
        told_init(&y);
        buf_init(&sse, BODY_MAX);
        buf_init(&chunks, BODY_MAX);
        for (const char *line = lines.at; line < lines.at + lines.len;) {
                size_t len = strcspn(line, "\n");
                if (len)
                        frame(&sse, line, len);
                line += len + (line[len] == '\n');
        }
        run_stream(d, a, (struct str){sse.data, sse.len}, &x, dialect_openai.encoder_new(&c), &chunks);
        bool whole = x.ended;
        if (whole) {
                run_stream(&dialect_openai, a, (struct str){chunks.data, chunks.len}, &y, NULL, NULL);
                assert_same(name, &x, &y);
        }
        buf_release(&sse);
        buf_release(&chunks);
        told_release(&x);
        told_release(&y);
        arena_free(a);
        return whole;
}

static void tell_reply(struct arena *a, struct told *t, const struct chat_reply *reply)
{
        struct chat_events events = {.arena = a};
        chat_reply_events(reply, &events);
        for (const struct chat_event *e = events.first; e; e = e->next)
                tell(t, e);
}

static bool check_reply(const struct dialect *d, const char *name, struct str body)
{
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .id_seed = "x", .model_asked = "m"};
        struct chat_reply reply = {0}, again = {0};
        struct upstream_fault fault = {0};
        struct buf out;
        buf_init(&out, BODY_MAX);
        bool ok = d->decode_chat_reply(a, body, &reply, &fault);
        if (ok) {
                struct told x, y;
                told_init(&x);
                told_init(&y);
                tell_reply(a, &x, &reply);
                dialect_openai.encode_chat_reply(&c, &reply, &out);
                assert_true(
                        dialect_openai.decode_chat_reply(a, (struct str){out.data, out.len}, &again, &fault));
                tell_reply(a, &y, &again);
                assert_same(name, &x, &y);
                told_release(&x);
                told_release(&y);
        }
        buf_release(&out);
        arena_free(a);
        return ok;
}

static size_t check_folder(const struct dialect *d, const char *root, const char *folder, bool chunks)
{
        char path[2048];
        size_t count = 0;
        snprintf(path, sizeof path, "%s/%s", root, folder);
        DIR *dir = opendir(path);
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));) {
                const char *end = chunks ? ".chunks.txt" : ".json";
                size_t len = strlen(e->d_name);
                if (len < strlen(end) || strcmp(e->d_name + len - strlen(end), end) != 0)
                        continue;
                struct buf file;
                buf_init(&file, BODY_MAX);
                snprintf(path, sizeof path, "%s/%s/%s", root, folder, e->d_name);
                assert_true(buf_read_file(&file, path));
                struct str text = {file.data, file.len};
                bool whole = chunks ? check_chunks(d, path, text) : check_reply(d, path, text);
                if (!whole)
                        print_message("no whole answer: %s\n", e->d_name);
                count += whole;
                buf_release(&file);
        }
        closedir(dir);
        return count;
}

static void answers_of_others_say_the_same(void **state)
{
        (void)state;
        const char *root = shared();
        if (!root)
                skip();
        assert_true(check_folder(&dialect_anthropic, root, "anthropic", false) >= 25);
        assert_true(check_folder(&dialect_gemini, root, "google", false) >= 5);
}

static void streams_of_others_say_the_same(void **state)
{
        (void)state;
        const char *root = shared();
        if (!root)
                skip();
        assert_true(check_folder(&dialect_anthropic, root, "anthropic", true) >= 20);
        assert_true(check_folder(&dialect_gemini, root, "google", true) >= 7);
}

/* ---- requests ---- */

static const struct {
        const struct dialect *from;
        const char *in, *out;
} requests[] = {
        {&dialect_anthropic,
         "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"s\",\"stop_sequences\":[\"x\"],\"tools\":[{\"name\":"
         "\"f\",\"input_schema\":{"
         "\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_"
         "use\":true},\"messages\":["
         "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
         "\"thinking\":\"t\","
         "\"signature\":\"sig\"},{\"type\":\"text\",\"text\":\"ok\"},{\"type\":\"tool_use\",\"id\":\"toolu_"
         "1\",\"name\":\"f\",\"input\":{"
         "\"a\":1}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\","
         "\"is_error\":true,\"content\":"
         "[{\"type\":\"text\",\"text\":\"bad\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_"
         "type\":\"image/png\",\"data\":"
         "\"iVBORw0KGgo=\"}}]},{\"type\":\"text\",\"text\":\"why\",\"cache_control\":{\"type\":\"ephemeral\"}"
         "}]}]}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
         "\"content\":\"hi\"},{\"role\":"
         "\"assistant\",\"content\":\"ok\",\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\","
         "\"function\":{\"name\":\"f\","
         "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"toolu_1\",\"content\":"
         "\"Error: bad\"},{\"role\":"
         "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Result of the tool call "
         "toolu_1:\"},{\"type\":\"image_url\",\"image_url\":{"
         "\"url\":\"data:image/"
         "png;base64,iVBORw0KGgo=\"}},{\"type\":\"text\",\"text\":\"why\"}]}],\"tools\":[{\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],\"tool_choice\":{\"type\":"
         "\"function\",\"function\":{"
         "\"name\":\"f\"}},\"parallel_tool_calls\":false,\"max_tokens\":9,\"stop\":[\"x\"]}"},
        {&dialect_gemini,
         "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{"
         "\"text\":\"hi\"},{"
         "\"inlineData\":{\"mimeType\":\"image/"
         "png\",\"data\":\"iVBORw0KGgo=\"}}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{"
         "\"id\":\"c1\",\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"c2ln\"}]},{\"role\":"
         "\"user\",\"parts\":[{"
         "\"functionResponse\":{\"id\":\"c1\",\"name\":\"f\",\"response\":{\"output\":\"r\"}}}]}],"
         "\"generationConfig\":{"
         "\"maxOutputTokens\":9,\"temperature\":0.5}}",
         "{\"model\":\"up\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
         "\"content\":[{\"type\":\"text\","
         "\"text\":\"hi\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
         "png;base64,iVBORw0KGgo=\"}}]},{\"role\":"
         "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\","
         "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"}],"
         "\"max_tokens\":9,"
         "\"temperature\":0.5}"},
};

static void requests_of_others_are_put_in_our_words(void **state)
{
        (void)state;
        static const struct form_fields no_query;
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
                struct arena *a = arena_new();
                struct client_input in = {
                        .arena = a, .body = str_of(requests[i].in), .query = &no_query, .path_model = "m"};
                struct wire_target t = {.model = "up"};
                struct wire_request out = {0};
                struct chat_request r = {0};
                struct err err = {0};
                buf_init(&out.body, BODY_MAX);
                if (!requests[i].from->decode_chat_request(&in, &r, &err) ||
                    !dialect_openai.encode_chat_request(a, &r, &t, &out, &err))
                        fail_msg("%s: %s", requests[i].from->name, err.message);
                assert_string_equal(out.body.data, requests[i].out);
                buf_release(&out.body);
                arena_free(a);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(answers_of_others_say_the_same),
                cmocka_unit_test(streams_of_others_say_the_same),
                cmocka_unit_test(requests_of_others_are_put_in_our_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
