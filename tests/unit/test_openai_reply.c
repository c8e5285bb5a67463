/* dialect/openai: answers and streams of providers, and answers and streams to clients. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/carry.h"
#include "dialect/dialect.h"

enum { BODY_MAX = 16 << 20 };

/* ---- events as text ---- */

static void add_str(struct buf *out, const char *name, struct str s)
{
        if (s.len)
                buf_addf(out, " %s=%.*s", name, (int)s.len, s.at);
}

static const char *kind_name(enum fault_kind kind)
{
        static const char *const names[FAULT_KINDS] = {
                [FAULT_RATE_LIMIT] = "rate_limit",
                [FAULT_CONTEXT_LENGTH] = "context_length",
                [FAULT_CUT] = "cut",
                [FAULT_MALFORMED] = "malformed",
                [FAULT_IN_BODY] = "in_body",
        };
        return names[kind] ? names[kind] : "?";
}

static void render(struct buf *out, const struct chat_event *e)
{
        static const char *const types[] = {"start", "block", "delta", "stopped", "usage",
                                            "stop",  "end",   "error", "ping"};
        static const char *const kinds[] = {"text", "arguments", "signature", "citation", "logprobs"};
        buf_addf(out, "%s", types[e->type]);
        if (e->type == EVENT_BLOCK_START || e->type == EVENT_DELTA || e->type == EVENT_BLOCK_STOP)
                buf_addf(out, " %d.%d", (int)e->choice, (int)e->block);
        if (e->type == EVENT_START)
                buf_addf(out, " id=%s model=%s", e->id ? e->id : "-", e->model ? e->model : "-");
        if (e->type == EVENT_BLOCK_START) {
                buf_addf(out, " type=%d", e->block_start.type);
                add_str(out, "id", str_of(e->block_start.id));
                add_str(out, "name", str_of(e->block_start.name));
                add_str(out, "signature", e->block_start.signature);
        }
        if (e->type == EVENT_DELTA) {
                add_str(out, kinds[e->delta_kind], e->delta);
                if (e->citation)
                        buf_addf(out, " url=%s %d-%d", e->citation->url, (int)e->citation->start,
                                 (int)e->citation->end);
                if (e->logprobs)
                        buf_addf(out, " logprobs=%d", (int)json_object_array_length(e->logprobs));
        }
        if (e->type == EVENT_STOP)
                buf_addf(out, " %d finish=%d", (int)e->choice, e->finish);
        if (e->type == EVENT_USAGE)
                buf_addf(out, " %d/%d/%d/%d", (int)e->usage.input, (int)e->usage.cached, (int)e->usage.output,
                         (int)e->usage.reasoning);
        if (e->type == EVENT_ERROR)
                buf_addf(out, " kind=%s %s", kind_name(e->fault->kind),
                         e->fault->message ? e->fault->message : "-");
        buf_addc(out, '\n');
}

/* Decodes a stream, in two pieces where `split` is within it; each event goes to `each`. */
typedef void each_fn(void *context, const struct chat_event *e);

static void drain(void *decoder, struct arena *scratch, const struct sse_event *event, struct str stray,
                  each_fn *each, void *context)
{
        struct chat_events events = {.arena = scratch};
        if (event)
                dialect_openai.decode_event(decoder, event, &events);
        else
                dialect_openai.decode_end(decoder, stray, &events);
        for (const struct chat_event *e = events.first; e; e = e->next)
                each(context, e);
        arena_reset(scratch);
}

static void decode_stream(struct arena *a, struct str text, size_t split, each_fn *each, void *context)
{
        static const struct chat_request none;
        struct arena *scratch = arena_new();
        struct sse_parser *p = sse_new(BODY_MAX);
        void *decoder = dialect_openai.decoder_new(a, &none);
        struct sse_event event;
        size_t cut = split < text.len ? split : text.len;
        assert_true(sse_feed(p, text.at, cut));
        while (sse_next(p, &event))
                drain(decoder, scratch, &event, (struct str){0}, each, context);
        assert_true(sse_feed(p, text.at + cut, text.len - cut));
        while (sse_next(p, &event))
                drain(decoder, scratch, &event, (struct str){0}, each, context);
        if (sse_end(p, &event))
                drain(decoder, scratch, &event, (struct str){0}, each, context);
        drain(decoder, scratch, NULL, sse_stray(p), each, context);
        sse_free(p);
        arena_free(scratch);
}

static void render_each(void *context, const struct chat_event *e)
{
        render(context, e);
}

#define CHUNK(delta)                                                                                         \
        "data: {\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta                     \
        ",\"finish_reason\":null}]}\n\n"
#define FINISH(word)                                                                                         \
        "data: {\"id\":\"i\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":" word "}]}\n\n"
#define DONE  "data: [DONE]\n\n"
#define START "start id=i model=m\n"

static const struct {
        const char *in, *want;
} streams[] = {
        {CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}") CHUNK("{\"content\":\"a\"}")
                 CHUNK("{\"content\":\"b\"}") FINISH(
                         "\"stop\"") "data: "
                                     "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"
                                     "\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n" DONE,
         START "block 0.0 type=0\ndelta 0.0 text=a\ndelta 0.0 text=b\nstopped 0.0\nstop 0 finish=1\nusage "
               "3/1/2/0\nend\n"},
        /* no [DONE]: whole all the same, since it was finished */
        {CHUNK("{\"content\":\"a\"}") FINISH("\"length\""),
         START "block 0.0 type=0\ndelta 0.0 text=a\nstopped 0.0\nstop 0 finish=3\nend\n"},
        {CHUNK("{\"content\":\"a\"}"),
         START "block 0.0 type=0\ndelta 0.0 text=a\nerror kind=cut the stream ended before the "
               "answer was whole\n"},
        /* [DONE] without a finish: Snowflake's empty one */
        {CHUNK("{\"content\":\"a\"}") FINISH("\"\"") DONE,
         START "block 0.0 type=0\ndelta 0.0 text=a\nstopped 0.0\nstop 0 finish=1\nend\n"},
        {DONE, "error kind=malformed the stream had no choices\n"},
        {"", "error kind=cut the stream ended before the answer was whole\n"},
        {"data: {\"x\n\n", "error kind=malformed an event of the stream is no JSON object\n"},
        /* calls: pieces woven, name repeated empty, counted from 1 */
        {CHUNK("{\"tool_calls\":[{\"index\":1,\"id\":\"A\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]"
               "}") CHUNK("{\"tool_calls\":[{\"index\":2,\"id\":\"B\",\"function\":{\"name\":\"g\","
                          "\"arguments\":\"{\"}}]}")
                 CHUNK("{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"\",\"arguments\":\"{}\"}},{"
                       "\"index\":2,"
                       "\"function\":{\"arguments\":\"}\"}}]}") FINISH("\"tool_calls\"") DONE,
         START "block 0.0 type=4 id=A name=f\nblock 0.1 type=4 id=B name=g\ndelta 0.1 arguments={\ndelta 0.0 "
               "arguments={}\n"
               "delta 0.1 arguments=}\nstopped 0.0\nstopped 0.1\nstop 0 finish=4\nend\n"},
        /* neither index nor id: a name begins a call; "stop" with calls is a call */
        {CHUNK("{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"function\":{"
               "\"name\":\"g\",\"arguments\":{"
               "\"a\":1}}}]}") FINISH("\"stop\"") DONE,
         START "block 0.0 type=4 id=call_i_0_0 name=f\ndelta 0.0 arguments={}\nblock 0.1 type=4 "
               "id=call_i_0_1 name=g\n"
               "delta 0.1 arguments={\"a\":1}\nstopped 0.0\nstopped 0.1\nstop 0 finish=4\nend\n"},
        /* all calls with index 0, but ids of their own */
        {CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"A\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}"
               "]}") CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"B\",\"function\":{\"name\":\"g\","
                           "\"arguments\":\"2\"}}]}") FINISH("\"tool_calls\"") DONE,
         START "block 0.0 type=4 id=A name=f\ndelta 0.0 arguments=1\nblock 0.1 type=4 id=B name=g\ndelta 0.1 "
               "arguments=2\n"
               "stopped 0.0\nstopped 0.1\nstop 0 finish=4\nend\n"},
        /* a name that comes late */
        {CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"A\",\"function\":{\"arguments\":\"{\"}}]}")
                 CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"}\"}}]}")
                         FINISH("\"tool_calls\""),
         START "block 0.0 type=4 id=A name=f\ndelta 0.0 arguments={\ndelta 0.0 arguments=}\nstopped "
               "0.0\nstop 0 finish=4\n"
               "end\n"},
        {CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"A\",\"function\":{\"arguments\":\"{\"}}]}")
                 FINISH("\"tool_calls\""),
         START "error kind=malformed a tool call has no name\n"},
        {CHUNK("{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}")
                 CHUNK("{\"function_call\":{\"arguments\":\"{}\"}}") FINISH("\"function_call\""),
         START "block 0.0 type=4 id=call_i_0_0 name=f\ndelta 0.0 arguments={}\nstopped 0.0\nstop 0 "
               "finish=4\nend\n"},
        {CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"A\",\"type\":\"custom\",\"custom\":{\"name\":\"c\","
               "\"input\":\"\"}}]}")
                 CHUNK("{\"tool_calls\":[{\"index\":0,\"custom\":{\"input\":\"a\\\"b\"}}]}")
                         FINISH("\"tool_calls\""),
         START "block 0.0 type=4 id=A name=c\ndelta 0.0 arguments={\"input\":\"\ndelta 0.0 "
               "arguments=a\\\"b\ndelta 0.0 "
               "arguments=\"}\nstopped 0.0\nstop 0 finish=4\nend\n"},
        /* thoughts, in each of their spellings */
        {CHUNK("{\"reasoning_content\":\"t\",\"content\":null}") CHUNK("{\"reasoning\":\"u\"}")
                 CHUNK("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"v\"}"
                       "]},{\"type\":\"text\","
                       "\"text\":\"w\"}]}") FINISH("\"stop\""),
         START "block 0.0 type=6\ndelta 0.0 text=t\ndelta 0.0 text=u\ndelta 0.0 text=v\nstopped 0.0\nblock "
               "0.1 type=0\n"
               "delta 0.1 text=w\nstopped 0.1\nstop 0 finish=1\nend\n"},
        {CHUNK("{\"reasoning\":\"t\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"t\","
               "\"index\":0}]}") CHUNK("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":"
                                       "\"s\",\"index\":0}]}")
                 CHUNK("{\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"d\"}]}")
                         CHUNK("{\"content\":\"x\"}") FINISH("\"stop\""),
         START "block 0.0 type=6\ndelta 0.0 text=t\ndelta 0.0 signature=s\nstopped 0.0\nblock 0.1 type=6 "
               "signature=d\nstopped "
               "0.1\nblock 0.2 type=0\ndelta 0.2 text=x\nstopped 0.2\nstop 0 finish=1\nend\n"},
        {CHUNK("{\"refusal\":\"no\"}") FINISH("\"stop\""),
         START "block 0.0 type=7\ndelta 0.0 text=no\nstopped 0.0\nstop 0 finish=1\nend\n"},
        /* errors in the midst of a 200 */
        {CHUNK("{\"content\":\"a\"}") "event: error\ndata: {\"error\":{\"message\":\"tool "
                                      "broke\",\"code\":\"tool_use_failed\"}}\n\n",
         START "block 0.0 type=0\ndelta 0.0 text=a\nerror kind=in_body tool broke\n"},
        {CHUNK("{\"content\":\"a\"}") "data: "
                                      "{\"error\":{\"code\":429,\"message\":\"slow\"},\"choices\":[]}"
                                      "\n\n" DONE,
         START "block 0.0 type=0\ndelta 0.0 text=a\nerror kind=rate_limit slow\n"},
        {CHUNK("{\"content\":\"a\"}") FINISH("\"error\"") DONE, START
         "block 0.0 type=0\ndelta 0.0 text=a\nerror kind=in_body the provider broke the answer off with an "
         "error\n"},
        {"{\"error\":{\"message\":\"no\\nsuch\",\"code\":\"context_length_exceeded\"}}\n",
         "error kind=context_length no\nsuch\n"},
        /* an answer in one piece */
        {"{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":"
         "\"stop\"}],\"usage\":{"
         "\"prompt_tokens\":1,\"completion_tokens\":1}}",
         START "block 0.0 type=0\ndelta 0.0 text=a\nstopped 0.0\nstop 0 finish=1\nusage 1/0/1/0\nend\n"},
        /* Azure's first chunk; two choices; annotations; logprobs */
        {"data: "
         "{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"prompt_filter_results\":[]}\n\n" CHUNK(
                 "{\"content\":\"a\"}") "data: "
                                        "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},"
                                        "\"logprobs\":{\"content\":[{},{}]}}]}\n\n"
                                        "data: "
                                        "{\"choices\":[{\"index\":1,\"delta\":{\"annotations\":[{\"type\":"
                                        "\"url_citation\",\"url_citation\":{"
                                        "\"url\":\"u\",\"start_index\":0,\"end_index\":1}}]},\"finish_"
                                        "reason\":\"stop\"}]}\n\n" FINISH("\"content_filter\""),
         START "block 0.0 type=0\ndelta 0.0 text=a\nblock 1.0 type=0\ndelta 1.0 text=b\ndelta 1.0 "
               "logprobs=2\ndelta 1.0 url=u "
               "0-1\nstopped 1.0\nstop 1 finish=1\nstopped 0.0\nstop 0 finish=5\nend\n"},
        /* usage only where Groq puts it */
        {CHUNK("{\"content\":\"a\"}") "data: "
                                      "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                                      "\"x_groq\":{\"usage\":{"
                                      "\"prompt_tokens\":4,\"completion_tokens\":5}},\"usage\":null}\n\n",
         START "block 0.0 type=0\ndelta 0.0 text=a\nstopped 0.0\nstop 0 finish=1\nusage 4/0/5/0\nend\n"},
};

static void streams_become_events(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
                size_t len = strlen(streams[i].in);
                for (size_t split = 0; split <= len; split++) {
                        struct arena *a = arena_new();
                        struct buf out;
                        buf_init(&out, 1 << 20);
                        decode_stream(a, str_of(streams[i].in), split, render_each, &out);
                        if (strcmp(out.data, streams[i].want) != 0)
                                fail_msg("%s\nsplit at %zu gave\n%s\nwanted\n%s", streams[i].in, split,
                                         out.data, streams[i].want);
                        buf_release(&out);
                        arena_free(a);
                }
        }
}

/* ---- answers put together from events ---- */

struct told {
        struct arena *arena;
        struct buf text[4], thought[4], calls[4];
        int finish[4];
        struct chat_usage usage;
        bool ended, failed;
        enum chat_block_type types[4][256];
};

static struct told *told_new(struct arena *a)
{
        struct told *t = arena_alloc(a, sizeof *t);
        t->arena = a;
        for (int i = 0; i < 4; i++) {
                buf_init(&t->text[i], BODY_MAX);
                buf_init(&t->thought[i], BODY_MAX);
                buf_init(&t->calls[i], BODY_MAX);
        }
        return t;
}

static void told_release(struct told *t)
{
        for (int i = 0; i < 4; i++) {
                buf_release(&t->text[i]);
                buf_release(&t->thought[i]);
                buf_release(&t->calls[i]);
        }
}

static void tell(void *context, const struct chat_event *e)
{
        struct told *t = context;
        assert_false(t->ended || t->failed);
        assert_true(e->choice < 4 && e->block < 256);
        switch (e->type) {
        case EVENT_BLOCK_START:
                t->types[e->choice][e->block] = e->block_start.type;
                if (e->block_start.type == BLOCK_TOOL_CALL)
                        buf_addf(&t->calls[e->choice], "[%s %s]", e->block_start.id, e->block_start.name);
                break;
        case EVENT_DELTA:
                if (e->delta_kind == DELTA_ARGUMENTS)
                        buf_add_str(&t->calls[e->choice], e->delta);
                else if (e->delta_kind == DELTA_TEXT)
                        buf_add_str(t->types[e->choice][e->block] == BLOCK_THINKING ? &t->thought[e->choice]
                                                                                    : &t->text[e->choice],
                                    e->delta);
                break;
        case EVENT_STOP: t->finish[e->choice] = e->finish; break;
        case EVENT_USAGE: t->usage = e->usage; break;
        case EVENT_END: t->ended = true; break;
        case EVENT_ERROR: t->failed = true; break;
        default: break;
        }
}

static const char *text_of(const struct buf *b)
{
        return b->data ? b->data : "";
}

static void assert_same_told(const struct told *x, const struct told *y)
{
        struct chat_usage x_usage = x->usage, y_usage = y->usage;
        assert_int_equal(x->ended, y->ended);
        /* What the provider charges us is not told again. */
        x_usage.reported_pico = y_usage.reported_pico = 0;
        assert_memory_equal(&x_usage, &y_usage, sizeof x_usage);
        for (int i = 0; i < 4; i++) {
                assert_string_equal(text_of(&x->text[i]), text_of(&y->text[i]));
                assert_string_equal(text_of(&x->thought[i]), text_of(&y->thought[i]));
                assert_string_equal(text_of(&x->calls[i]), text_of(&y->calls[i]));
                assert_int_equal(x->finish[i], y->finish[i]);
        }
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

static bool ends_with(const char *s, const char *end)
{
        return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

typedef void recording_fn(struct arena *a, const char *name, struct str text);

static size_t each_recording(const char *root, const char *folder, const char *suffix, recording_fn *run)
{
        char path[2048];
        size_t count = 0;
        snprintf(path, sizeof path, "%s/%s", root, folder);
        DIR *d = opendir(path);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
                if (!ends_with(e->d_name, suffix))
                        continue;
                struct arena *a = arena_new();
                struct buf file;
                buf_init(&file, BODY_MAX);
                snprintf(path, sizeof path, "%s/%s/%s", root, folder, e->d_name);
                assert_true(buf_read_file(&file, path));
                run(a, path, (struct str){file.data, file.len});
                buf_release(&file);
                arena_free(a);
                count++;
        }
        closedir(d);
        return count;
}

static const char *const folders[] = {"openai/chat", "deepseek/chat",         "groq", "mistral", "moonshotai",
                                      "xai",         "openai-compatible/chat"};

/* What the chunks say, read in the plainest way. */
static void add_plain(struct buf *out, json_object *node)
{
        if (json_object_is_type(node, json_type_string))
                buf_add(out, json_object_get_string(node), (size_t)json_object_get_string_len(node));
}

static void read_plain(struct buf *text, struct buf *thought, struct buf *arguments, json_object *message)
{
        json_object *content = json_peek_array(message, "content"),
                    *calls = json_peek_array(message, "tool_calls");
        add_plain(text, json_peek(message, "content"));
        for (size_t i = 0; content && i < json_object_array_length(content); i++) {
                json_object *part = json_object_array_get_idx(content, i),
                            *inner = json_peek_array(part, "thinking");
                add_plain(text, json_peek(part, "text"));
                for (size_t k = 0; inner && k < json_object_array_length(inner); k++)
                        add_plain(thought, json_peek(json_object_array_get_idx(inner, k), "text"));
        }
        add_plain(thought, json_peek(message, "reasoning_content"));
        add_plain(thought, json_peek(message, "reasoning"));
        for (size_t i = 0; calls && i < json_object_array_length(calls); i++)
                add_plain(arguments,
                          json_peek(json_peek(json_object_array_get_idx(calls, i), "function"), "arguments"));
}

static void assert_plain(const char *name, const struct told *t, struct str sse)
{
        struct buf text, thought, arguments, told;
        buf_init(&text, BODY_MAX);
        buf_init(&thought, BODY_MAX);
        buf_init(&arguments, BODY_MAX);
        buf_init(&told, BODY_MAX);
        for (const char *line = sse.at; line && *line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                if (strncmp(line, "data: {", 7) != 0)
                        continue;
                char *copy = strndup(line + 6, strcspn(line + 6, "\n"));
                json_object *chunk = json_tokener_parse(copy), *choices = json_peek_array(chunk, "choices");
                for (size_t i = 0; choices && i < json_object_array_length(choices); i++)
                        read_plain(&text, &thought, &arguments,
                                   json_peek(json_object_array_get_idx(choices, i), "delta"));
                json_object_put(chunk);
                free(copy);
        }
        /* Calls without their heads. */
        for (const char *c = text_of(&t->calls[0]); *c; c++) {
                if (*c == '[' && (c == t->calls[0].data || c[-1] == '}'))
                        c = strchr(c, ']');
                else
                        buf_addc(&told, *c);
        }
        print_message("%s: %zu text, %zu thought, %zu arguments\n", name, text.len, thought.len,
                      arguments.len);
        assert_string_equal(text_of(&text), text_of(&t->text[0]));
        assert_string_equal(text_of(&thought), text_of(&t->thought[0]));
        assert_string_equal(text_of(&arguments), text_of(&told));
        buf_release(&text);
        buf_release(&thought);
        buf_release(&arguments);
        buf_release(&told);
}

struct reencoding {
        void *encoder;
        struct buf out;
        struct told *told;
};

static void reencode(void *context, const struct chat_event *e)
{
        struct reencoding *r = context;
        tell(r->told, e);
        if (e->type != EVENT_ERROR)
                dialect_openai.encode_event(r->encoder, e, &r->out);
}

/* What is sent on is read the same again, and a split changes nothing. */
static void check_stream(struct arena *a, const char *name, struct str sse)
{
        struct answer_context c = {.arena = a, .format = ANSWER_SSE, .stream_usage = true, .id_seed = "x"};
        struct reencoding r = {.encoder = dialect_openai.encoder_new(&c), .told = told_new(a)};
        struct told *again = told_new(a);
        buf_init(&r.out, BODY_MAX);
        decode_stream(a, sse, 0, reencode, &r);
        if (!r.told->ended)
                fail_msg("%s is not whole", name);
        assert_plain(name, r.told, sse);
        assert_true(r.told->usage.known || strstr(name, "fallback"));
        decode_stream(a, (struct str){r.out.data, r.out.len}, 0, tell, again);
        assert_same_told(r.told, again);
        told_release(again);
        struct buf want;
        buf_init(&want, BODY_MAX);
        decode_stream(a, sse, 0, render_each, &want);
        size_t step = sse.len > 4000 ? sse.len / 97 + 1 : 1;
        for (size_t split = 1; split < sse.len; split += step) {
                struct buf out;
                struct arena *b = arena_new();
                buf_init(&out, BODY_MAX);
                decode_stream(b, sse, split, render_each, &out);
                assert_string_equal(out.data, want.data);
                buf_release(&out);
                arena_free(b);
        }
        buf_release(&want);
        buf_release(&r.out);
        told_release(r.told);
}

static void check_chunks(struct arena *a, const char *name, struct str lines)
{
        struct buf sse;
        buf_init(&sse, BODY_MAX);
        for (const char *line = lines.at; line < lines.at + lines.len;) {
                size_t len = strcspn(line, "\n");
                if (len)
                        buf_addf(&sse, "data: %.*s\n\n", (int)len, line);
                line += len + (line[len] == '\n');
        }
        buf_adds(&sse, "data: [DONE]\n\n");
        check_stream(a, name, (struct str){sse.data, sse.len});
        buf_release(&sse);
}

static void recorded_streams_lose_nothing(void **state)
{
        (void)state;
        const char *root = shared();
        size_t count = 0;
        if (!root)
                skip();
        for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
                count += each_recording(root, folders[i], ".chunks.txt", check_chunks);
        count += each_recording(root, "openai-compatible/chat", ".sse", check_stream);
        assert_true(count >= 18);
}

static void tell_reply(struct told *t, const struct chat_reply *reply)
{
        struct chat_events events = {.arena = t->arena};
        chat_reply_events(reply, &events);
        for (const struct chat_event *e = events.first; e; e = e->next)
                tell(t, e);
}

static void check_reply(struct arena *a, const char *name, struct str body)
{
        struct chat_reply reply, again;
        struct upstream_fault fault = {0};
        struct answer_context c = {.arena = a, .format = ANSWER_JSON, .id_seed = "x"};
        bool is_error = strstr(name, "error") != NULL;
        bool ok = dialect_openai.decode_chat_reply(a, body, &reply, &fault);
        if (is_error) {
                assert_false(ok);
                dialect_openai.decode_error(a, 400, body, &fault);
                assert_int_equal(fault.kind, FAULT_BAD_REQUEST);
                return;
        }
        if (!ok)
                fail_msg("%s: %s", name, fault.message);
        struct told *t = told_new(a), *t2 = told_new(a);
        struct buf text, thought, arguments, out;
        buf_init(&text, BODY_MAX);
        buf_init(&thought, BODY_MAX);
        buf_init(&arguments, BODY_MAX);
        buf_init(&out, BODY_MAX);
        json_object *tree = json_tokener_parse(body.at);
        json_object *choice = json_object_array_get_idx(json_peek(tree, "choices"), 0);
        read_plain(&text, &thought, &arguments, json_peek(choice, "message"));
        tell_reply(t, &reply);
        assert_string_equal(text_of(&text), text_of(&t->text[0]));
        assert_string_equal(text_of(&thought), text_of(&t->thought[0]));
        assert_true(!arguments.len || strstr(t->calls[0].data, arguments.data));
        json_object *usage = json_peek(tree, "usage");
        assert_int_equal(reply.usage.input, json_peek_count(usage, "prompt_tokens"));
        assert_true(reply.usage.output >= json_peek_count(usage, "completion_tokens"));
        assert_true(reply.usage.output >= reply.usage.reasoning);
        assert_string_equal(reply.id, json_peek_string(tree, "id"));
        json_object_put(tree);
        dialect_openai.encode_chat_reply(&c, &reply, &out);
        assert_true(dialect_openai.decode_chat_reply(a, (struct str){out.data, out.len}, &again, &fault));
        tell_reply(t2, &again);
        assert_same_told(t, t2);
        told_release(t);
        told_release(t2);
        buf_release(&text);
        buf_release(&thought);
        buf_release(&arguments);
        buf_release(&out);
}

static void recorded_answers_lose_nothing(void **state)
{
        (void)state;
        const char *root = shared();
        size_t count = 0;
        if (!root)
                skip();
        for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
                count += each_recording(root, folders[i], ".json", check_reply);
        assert_true(count >= 18);
}

/* Request and answer of the real service: both decode; answers as they are, errors to their kind. */
static void check_exchange(struct arena *a, const char *name, struct str file)
{
        static const struct form_fields no_query;
        json_object *list = json_tokener_parse(file.at), *exchange = json_object_array_get_idx(list, 0);
        json_object *request = json_peek(exchange, "request"), *response = json_peek(exchange, "response");
        struct str body = json_peek_str(response, "body");
        int status = (int)json_peek_count(response, "status");
        struct client_input in = {.arena = a, .body = json_peek_str(request, "body"), .query = &no_query};
        struct err err = {0};
        struct upstream_fault fault = {0};
        if (!strstr(name, "/chat-")) {
                json_object_put(list);
                return;
        }
        struct chat_request r;
        bool taken = dialect_openai.decode_chat_request(&in, &r, &err);
        if (status == 200 && !taken)
                fail_msg("%s: %s", name, err.message);
        if (status != 200) {
                dialect_openai.decode_error(a, status, body, &fault);
                assert_int_equal(fault.kind, status == 404 ? FAULT_MODEL_GONE : FAULT_BAD_REQUEST);
                assert_non_null(fault.message);
        } else if (strstr(name, "streaming")) {
                struct told *t = told_new(a);
                decode_stream(a, body, 0, tell, t);
                assert_true(t->ended);
                assert_plain(name, t, body);
                told_release(t);
        } else {
                check_reply(a, name, arena_str(a, body.at, body.len));
        }
        json_object_put(list);
}

static void recorded_exchanges_are_understood(void **state)
{
        (void)state;
        const char *root = shared();
        if (!root)
                skip();
        assert_true(each_recording(root, "openai/recorded", ".json", check_exchange) >= 20);
}

/* ---- faults ---- */

static const struct {
        int status;
        const char *body;
        enum fault_kind kind;
        const char *message;
} errors[] = {
        {429,
         "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
         FAULT_QUOTA, "m"},
        {429, "{\"error\":{\"message\":\"m\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
         FAULT_RATE_LIMIT, "m"},
        {429, "{\"error\":{\"message\":\"m\",\"code\":\"429\"}}", FAULT_RATE_LIMIT, "m"},
        {400, "{\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\"}}", FAULT_CONTEXT_LENGTH,
         "m"},
        {400,
         "{\"object\":\"error\",\"message\":\"This model's maximum context length is "
         "5\",\"type\":\"BadRequestError\",\"code\":400}",
         FAULT_CONTEXT_LENGTH, "This model's maximum context length is 5"},
        {400,
         "{\"error\":{\"message\":\"m\",\"type\":null,\"param\":\"prompt\",\"code\":\"content_filter\","
         "\"status\":400,"
         "\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}",
         FAULT_CONTENT_POLICY, "m"},
        {404, "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\"}}", FAULT_MODEL_GONE, "m"},
        {404, "{\"error\":{\"message\":\"m\",\"code\":\"DeploymentNotFound\"}}", FAULT_MODEL_GONE, "m"},
        {404, "{\"error\":\"model 'x' not found, try pulling it first\"}", FAULT_MODEL_GONE,
         "model 'x' not found, try pulling it first"},
        {404, "{\"error\":{\"message\":\"No such File object: model\"}}", FAULT_BAD_REQUEST,
         "No such File object: model"},
        {404, "<html>", FAULT_MODEL_GONE, NULL},
        {410, "{}", FAULT_MODEL_GONE, NULL},
        {401, "{\"statusCode\":401,\"message\":\"Access denied\"}", FAULT_CREDENTIALS, "Access denied"},
        {402, "{\"error\":{\"message\":\"Insufficient Balance\"}}", FAULT_QUOTA, "Insufficient Balance"},
        {403, "{\"error\":{\"message\":\"m\"}}", FAULT_FORBIDDEN, "m"},
        {403, "{\"error\":{\"message\":\"m\",\"code\":403,\"metadata\":{\"reasons\":[\"x\"]}}}",
         FAULT_CONTENT_POLICY, "m"},
        {408, "", FAULT_TIMEOUT, NULL},
        {413, "{\"error\":{\"message\":\"m\"}}", FAULT_BAD_REQUEST, "m"},
        {422, "{\"detail\":[{\"msg\":\"x\"}]}", FAULT_BAD_REQUEST, "[{\"msg\":\"x\"}]"},
        {422, "{\"object\":\"error\",\"message\":{\"detail\":[1]},\"type\":\"invalid_request_error\"}",
         FAULT_BAD_REQUEST, "{\"detail\":[1]}"},
        {500, "{\"error\":{\"message\":\"m\",\"type\":\"one_api_error\"}}", FAULT_SERVER, "m"},
        {502, "<html>bad gateway</html>", FAULT_SERVER, NULL},
        {503, "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\",\"type\":\"new_api_error\"}}",
         FAULT_OVERLOAD, "m"},
        {503, "upstream connect error\x01", FAULT_OVERLOAD, "upstream connect error "},
        {529, "", FAULT_OVERLOAD, NULL},
        {498, "{}", FAULT_OVERLOAD, NULL},
        {400, "[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]",
         FAULT_BAD_REQUEST, "m"},
        {502,
         "{\"error\":{\"message\":\"Provider returned error\",\"code\":502,\"metadata\":{\"raw\":\"why\"}}}",
         FAULT_SERVER, "Provider returned error: why"},
        {400, "{\"error\":{\"message\":\"a\\u0007b\"}}", FAULT_BAD_REQUEST, "a b"},
};

static void errors_have_their_kinds(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
                struct arena *a = arena_new();
                struct upstream_fault fault;
                dialect_openai.decode_error(a, errors[i].status, str_of(errors[i].body), &fault);
                if (fault.kind != errors[i].kind)
                        fail_msg("%s: kind %d", errors[i].body, fault.kind);
                assert_int_equal(fault.status, errors[i].status);
                if (errors[i].message)
                        assert_string_equal(fault.message, errors[i].message);
                else
                        assert_null(fault.message);
                arena_free(a);
        }
}

static void long_messages_are_cut(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct buf body;
        struct upstream_fault fault;
        buf_init(&body, 1 << 20);
        buf_adds(&body, "{\"error\":{\"message\":\"");
        for (int i = 0; i < 5000; i++)
                buf_adds(&body, "\xC3\xA4");
        buf_adds(&body, "\"}}");
        dialect_openai.decode_error(a, 400, (struct str){body.data, body.len}, &fault);
        assert_int_equal(strlen(fault.message), 2048);
        buf_release(&body);
        arena_free(a);
}

/* ---- answers of providers ---- */

static void broken_answers_are_faults(void **state)
{
        (void)state;
        static const struct {
                const char *body;
                enum fault_kind kind;
        } cases[] = {
                {"", FAULT_MALFORMED},
                {"<html>", FAULT_MALFORMED},
                {"[]", FAULT_MALFORMED},
                {"{}", FAULT_MALFORMED},
                {"{\"choices\":[]}", FAULT_MALFORMED},
                {"{\"error\":{\"message\":\"x\"}}", FAULT_IN_BODY},
                {"{\"error\":{\"message\":\"x\",\"code\":402}}", FAULT_QUOTA},
                {"{\"error\":{\"message\":\"x\",\"code\":\"503\"}}", FAULT_OVERLOAD},
                {"{\"choices\":[{\"message\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}",
                 FAULT_IN_BODY},
                {"{\"error\":\"boom\"}", FAULT_IN_BODY},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct arena *a = arena_new();
                struct chat_reply reply;
                struct upstream_fault fault = {0};
                assert_false(dialect_openai.decode_chat_reply(a, str_of(cases[i].body), &reply, &fault));
                if (fault.kind != cases[i].kind)
                        fail_msg("%s: kind %d", cases[i].body, fault.kind);
                arena_free(a);
        }
}

static void counts_are_bounded(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply reply;
        struct upstream_fault fault = {0};
        assert_true(dialect_openai.decode_chat_reply(
                a,
                str_of("{\"choices\":[{\"index\":-4,\"message\":{\"content\":\"x\"},\"finish_reason\":null}],"
                       "\"usage\":{"
                       "\"prompt_tokens\":-5,\"completion_tokens\":1e300,\"prompt_tokens_details\":{\"cached_"
                       "tokens\":99}}}"),
                &reply, &fault));
        assert_int_equal(reply.usage.input, 0);
        assert_int_equal(reply.usage.cached, 0);
        assert_int_equal(reply.usage.output, 1000000000000);
        assert_int_equal(reply.choices->index, 0);
        assert_int_equal(reply.choices->finish, FINISH_STOP);
        arena_free(a);
}

/* ---- answers to clients ---- */

static void answers_have_the_shape_of_the_sdk(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .model_asked = "assistant", .created = 5, .id_seed = "seed"};
        struct chat_reply reply = {.usage = {.known = true,
                                             .input = 9,
                                             .cached = 4,
                                             .cache_write = 2,
                                             .output = 7,
                                             .reasoning = 3}};
        struct chat_choice *choice = chat_add_choice(a, &reply);
        struct chat_block *thought = chat_add_reply_block(a, choice, BLOCK_THINKING);
        struct chat_block *text = chat_add_reply_block(a, choice, BLOCK_TEXT);
        struct chat_block *more = chat_add_reply_block(a, choice, BLOCK_TEXT);
        struct chat_block *call = chat_add_reply_block(a, choice, BLOCK_TOOL_CALL);
        struct chat_citation cited = {.url = "https://x", .title = "t"};
        struct buf out;
        thought->text = str_of("th");
        thought->signature = str_of("s");
        thought->signature_from = DIALECT_ANTHROPIC;
        text->text = str_of("\xC3\xA4");
        more->text = str_of("bc");
        more->citations = &cited;
        call->id = "toolu_1";
        call->name = "f";
        call->signature = str_of("gs");
        call->signature_from = DIALECT_GEMINI;
        choice->finish = FINISH_TOOL;
        struct str carried = carry_wrap(a, DIALECT_ANTHROPIC, CARRY_ON_THINKING, str_of("s"));
        buf_init(&out, 1 << 20);
        dialect_openai.encode_chat_reply(&c, &reply, &out);
        assert_string_equal(
                out.data,
                arena_printf(
                        a,
                        "{\"id\":\"chatcmpl-seed\",\"object\":\"chat.completion\",\"created\":5,\"model\":"
                        "\"assistant\","
                        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\xC3\xA4"
                        "bc\",\"refusal\":null,\"reasoning_content\":\"th\",\"reasoning_details\":[{\"type\":"
                        "\"reasoning.text\",\"text\":\"th\",\"signature\":\"%s\",\"format\":\"anthropic-"
                        "claude-v1\","
                        "\"index\":0}],\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\","
                        "\"function\":{\"name\":"
                        "\"f\",\"arguments\":\"{}\"},\"extra_content\":{\"google\":{\"thought_signature\":"
                        "\"%s\"}}}],"
                        "\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":1,"
                        "\"end_index\":3,"
                        "\"title\":\"t\",\"url\":\"https://"
                        "x\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],"
                        "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":7,\"total_tokens\":16,"
                        "\"prompt_tokens_details\":{\"cached_tokens\":4,\"cache_write_tokens\":2,\"audio_"
                        "tokens\":0},"
                        "\"completion_tokens_details\":{\"reasoning_tokens\":3,\"audio_tokens\":0,"
                        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}",
                        carried.at, carry_wrap(a, DIALECT_GEMINI, CARRY_ON_NEXT_CALL, str_of("gs")).at));
        buf_release(&out);
        arena_free(a);
}

static void a_filtered_answer_says_why(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .model_asked = "m", .id_seed = "x"};
        struct chat_reply reply = {.id = "i", .model = "m", .created = 1};
        struct chat_choice *choice = chat_add_choice(a, &reply);
        struct err err = {0};
        struct buf out;
        choice->finish = FINISH_FILTER;
        choice->stop_details = json_parse(a, "{\"explanation\":\"no\"}", 20, JSON_FROM_PROVIDER, &err);
        buf_init(&out, 1 << 20);
        dialect_openai.encode_chat_reply(&c, &reply, &out);
        assert_non_null(strstr(out.data, "\"content\":null,\"refusal\":\"no\""));
        assert_non_null(strstr(out.data, "\"finish_reason\":\"content_filter\""));
        assert_null(strstr(out.data, "usage"));
        buf_release(&out);
        arena_free(a);
}

#define HEAD                                                                                                 \
        "data: "                                                                                             \
        "{\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\",\"choices\":["
#define DELTA(d)                                                                                             \
        HEAD "{\"index\":0,\"delta\":" d ",\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"

static struct chat_event *add(struct chat_events *events, enum chat_event_type type, int64_t block)
{
        return chat_add_event(events, type, 0, block);
}

static void add_delta(struct chat_events *events, int64_t block, enum chat_delta_kind kind, const char *text)
{
        struct chat_event *e = add(events, EVENT_DELTA, block);
        e->delta_kind = kind;
        e->delta = str_of(text);
}

static void chunks_come_in_the_order_of_the_service(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .created = 5, .stream_usage = true, .id_seed = "x"};
        struct chat_events events = {.arena = a};
        struct chat_event *e = add(&events, EVENT_START, 0);
        struct buf out;
        e->id = "i";
        e->model = "m";
        e = add(&events, EVENT_BLOCK_START, 0);
        e->block_start.type = BLOCK_THINKING;
        e->block_start.signature_from = DIALECT_GEMINI;
        add_delta(&events, 0, DELTA_TEXT, "th");
        add_delta(&events, 0, DELTA_SIGNATURE, "s");
        add(&events, EVENT_BLOCK_STOP, 0);
        add(&events, EVENT_BLOCK_START, 1)->block_start.type = BLOCK_TEXT;
        add_delta(&events, 1, DELTA_TEXT, "hi");
        add(&events, EVENT_BLOCK_STOP, 1);
        for (int64_t i = 2; i < 4; i++) {
                e = add(&events, EVENT_BLOCK_START, i);
                e->block_start.type = BLOCK_TOOL_CALL;
                e->block_start.id = i == 2 ? "A" : "B";
                e->block_start.name = "f";
        }
        add_delta(&events, 3, DELTA_ARGUMENTS, "{}");
        add(&events, EVENT_BLOCK_STOP, 2);
        add(&events, EVENT_BLOCK_STOP, 3);
        add(&events, EVENT_STOP, 0)->finish = FINISH_TOOL;
        add(&events, EVENT_USAGE, 0)->usage = (struct chat_usage){.known = true, .input = 1, .output = 2};
        add(&events, EVENT_END, 0);
        buf_init(&out, 1 << 20);
        void *encoder = dialect_openai.encoder_new(&c);
        dialect_openai.encode_keepalive(encoder, &out);
        for (e = events.first; e; e = e->next)
                dialect_openai.encode_event(encoder, e, &out);
        struct str carried = carry_wrap(a, DIALECT_GEMINI, CARRY_ON_THINKING, str_of("s"));
        assert_string_equal(
                out.data,
                arena_printf(
                        a,
                        ": keep-alive\n\n" DELTA("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":"
                                                 "null}") DELTA("{\"reasoning_content\":\"th\"}")
                                DELTA("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"th\","
                                      "\"signature\":\"%s\",\"format\":\"google-gemini-v1\",\"index\":0}]}")
                                        DELTA("{\"content\":\"hi\"}") DELTA(
                                                "{\"tool_calls\":[{\"index\":0,\"id\":\"A\",\"type\":"
                                                "\"function\","
                                                "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}")
                                                DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"B\",\"type\":"
                                                      "\"function\",\"function\":{\"name\":\"f\","
                                                      "\"arguments\":"
                                                      "\"\"}}]}") DELTA("{\"tool_calls\":[{\"index\":1,"
                                                                        "\"function\":{"
                                                                        "\"arguments\":\"{}\"}}]}")
                                                        DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{"
                                                              "\"arguments\":\"{}\"}}]}") HEAD
                        "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],"
                        "\"usage\":null}\n\n" HEAD
                        "],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,"
                        "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                        "\"completion_tokens_details\":{"
                        "\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                        "\"rejected_prediction_tokens\":0}}}\n\ndata: [DONE]\n\n",
                        carried.at));
        buf_release(&out);
        arena_free(a);
}

static void usage_is_kept_from_who_did_not_ask(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .id_seed = "x", .model_asked = "m"};
        struct chat_events events = {.arena = a};
        struct buf out;
        add(&events, EVENT_STOP, 0)->finish = FINISH_STOP;
        add(&events, EVENT_USAGE, 0)->usage = (struct chat_usage){.known = true, .input = 1, .output = 2};
        add(&events, EVENT_END, 0);
        buf_init(&out, 1 << 20);
        void *encoder = dialect_openai.encoder_new(&c);
        for (struct chat_event *e = events.first; e; e = e->next)
                dialect_openai.encode_event(encoder, e, &out);
        assert_null(strstr(out.data, "usage"));
        assert_true(ends_with(out.data, "data: [DONE]\n\n"));
        buf_release(&out);
        arena_free(a);
}

static void errors_have_the_shape_of_the_service(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a};
        struct err err = {.cause = ERR_MODEL_NOT_FOUND, .message = "no\nsuch \"model\"", .param = "model"};
        struct buf out;
        buf_init(&out, 1 << 20);
        dialect_openai.encode_error(&c, &err, &out);
        assert_string_equal(
                out.data,
                "{\"error\":{\"message\":\"no\\nsuch \\\"model\\\"\",\"type\":\"invalid_request_error\","
                "\"param\":\"model\",\"code\":\"model_not_found\"}}");
        buf_reset(&out);
        dialect_openai.encode_stream_error(dialect_openai.encoder_new(&c), &err, &out);
        assert_string_equal(out.data, "data: {\"error\":{\"message\":\"no\\nsuch "
                                      "\\\"model\\\"\",\"type\":\"invalid_request_error\","
                                      "\"param\":\"model\",\"code\":\"model_not_found\"}}\n\n");
        buf_release(&out);
        arena_free(a);
}

static void models_are_listed(void **state)
{
        (void)state;
        struct answer_context c = {0};
        const struct model_entry models[] = {{.id = "a", .created = 5}, {.id = "b"}};
        struct buf out;
        buf_init(&out, 1 << 20);
        dialect_openai.encode_models(&c, models, 2, &out);
        assert_string_equal(out.data, "{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"object\":\"model\","
                                      "\"created\":5,\"owned_by\":"
                                      "\"tollgate\"},{\"id\":\"b\",\"object\":\"model\",\"created\":0,"
                                      "\"owned_by\":\"tollgate\"}]}");
        buf_reset(&out);
        dialect_openai.encode_model(&c, models, &out);
        assert_string_equal(out.data,
                            "{\"id\":\"a\",\"object\":\"model\",\"created\":5,\"owned_by\":\"tollgate\"}");
        buf_release(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(streams_become_events),
                cmocka_unit_test(recorded_streams_lose_nothing),
                cmocka_unit_test(recorded_answers_lose_nothing),
                cmocka_unit_test(recorded_exchanges_are_understood),
                cmocka_unit_test(errors_have_their_kinds),
                cmocka_unit_test(long_messages_are_cut),
                cmocka_unit_test(broken_answers_are_faults),
                cmocka_unit_test(counts_are_bounded),
                cmocka_unit_test(answers_have_the_shape_of_the_sdk),
                cmocka_unit_test(a_filtered_answer_says_why),
                cmocka_unit_test(chunks_come_in_the_order_of_the_service),
                cmocka_unit_test(usage_is_kept_from_who_did_not_ask),
                cmocka_unit_test(errors_have_the_shape_of_the_service),
                cmocka_unit_test(models_are_listed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
