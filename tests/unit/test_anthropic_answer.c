/* dialect/anthropic: answers and streams of the provider, and answers and streams to clients. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "dialect/carry.h"
#include "dialect/dialect.h"

enum { BODY_MAX = 16 << 20 };

/* ---- an answer put together again from events ---- */

struct told {
        struct arena *arena;
        struct chat_reply reply;
        struct chat_choice *choice;
        struct chat_block *blocks[512];
        struct buf text[512];
        size_t count, open;
        bool ended;
        struct upstream_fault fault;
};

static struct told *told_new(struct arena *a)
{
        struct told *t = arena_alloc(a, sizeof *t);
        t->arena = a;
        t->choice = chat_add_choice(a, &t->reply);
        return t;
}

static void release_node(void *node)
{
        json_object_put(node);
}

static void told_start(struct told *t, const struct chat_event *e)
{
        assert_true((size_t)e->block == t->count && t->count < 512);
        struct chat_block *b = chat_add_reply_block(t->arena, t->choice, e->block_start.type);
        struct chat_block *next = b->next;
        *b = e->block_start;
        b->next = next;
        b->id = arena_strdup(t->arena, b->id);
        b->name = arena_strdup(t->arena, b->name);
        b->text = (struct str){0};
        if (b->signature.at)
                b->signature = arena_str(t->arena, b->signature.at, b->signature.len);
        if (b->raw)
                arena_defer(t->arena, release_node, json_object_get(b->raw));
        t->blocks[t->count] = b;
        buf_init(&t->text[t->count++], BODY_MAX);
        t->open++;
}

static void told_delta(struct told *t, const struct chat_event *e)
{
        assert_true((size_t)e->block < t->count);
        struct chat_block *b = t->blocks[e->block];
        if (e->delta_kind == DELTA_SIGNATURE) {
                b->signature = arena_str(t->arena, e->delta.at, e->delta.len);
        } else if (e->delta_kind == DELTA_CITATION) {
                struct chat_citation *c = arena_alloc(t->arena, sizeof *c), **end = &b->citations;
                *c = *e->citation;
                c->cited_text = (struct str){0};
                c->url = arena_strdup(t->arena, c->url);
                c->title = arena_strdup(t->arena, c->title);
                if (c->raw)
                        arena_defer(t->arena, release_node, json_object_get(c->raw));
                while (*end)
                        end = &(*end)->next;
                *end = c;
        } else {
                buf_add_str(&t->text[e->block], e->delta);
        }
}

static void told_stop(struct told *t, const struct chat_event *e)
{
        struct chat_block *b = t->blocks[e->block];
        struct buf *text = &t->text[e->block];
        struct str s = arena_str(t->arena, text->len ? text->data : "", text->len);
        if (b->type == BLOCK_TOOL_CALL)
                b->arguments_text = s;
        else
                b->text = s;
        t->open--;
}

static void told_take(struct told *t, const struct chat_events *events)
{
        for (const struct chat_event *e = events->first; e; e = e->next) {
                assert_false(t->ended);
                switch (e->type) {
                case EVENT_START:
                        t->reply.id = arena_strdup(t->arena, e->id);
                        t->reply.model = arena_strdup(t->arena, e->model);
                        t->reply.usage = e->usage;
                        break;
                case EVENT_BLOCK_START: told_start(t, e); break;
                case EVENT_DELTA: told_delta(t, e); break;
                case EVENT_BLOCK_STOP: told_stop(t, e); break;
                case EVENT_USAGE: t->reply.usage = e->usage; break;
                case EVENT_STOP:
                        assert_int_equal(t->open, 0);
                        t->choice->finish = e->finish;
                        t->choice->finish_raw = arena_strdup(t->arena, e->finish_raw);
                        t->choice->stop_sequence = arena_strdup(t->arena, e->stop_sequence);
                        if ((t->choice->stop_details = e->stop_details))
                                arena_defer(t->arena, release_node, json_object_get(e->stop_details));
                        break;
                case EVENT_END: t->ended = true; break;
                case EVENT_ERROR:
                        t->ended = true;
                        t->fault = *e->fault;
                        t->fault.message = arena_strdup(t->arena, e->fault->message);
                        t->fault.type = arena_strdup(t->arena, e->fault->type);
                        break;
                case EVENT_PING: break;
                }
        }
}

static void told_release(struct told *t)
{
        for (size_t i = 0; i < t->count; i++)
                buf_release(&t->text[i]);
}

/* Bytes of a stream, cut in two at a place. */
static struct told *read_stream(struct arena *a, struct str bytes, size_t cut)
{
        struct told *t = told_new(a);
        struct arena *scratch = arena_new();
        void *decoder = dialect_anthropic.decoder_new(a, NULL);
        struct sse_parser *sse = sse_new(BODY_MAX);
        struct sse_event event;
        struct str parts[] = {{bytes.at, cut}, {bytes.at + cut, bytes.len - cut}};
        for (int i = 0; i < 2; i++) {
                assert_true(sse_feed(sse, parts[i].at, parts[i].len));
                while (sse_next(sse, &event)) {
                        struct chat_events events = {.arena = scratch};
                        dialect_anthropic.decode_event(decoder, &event, &events);
                        told_take(t, &events);
                        arena_reset(scratch);
                }
        }
        struct chat_events events = {.arena = scratch};
        if (sse_end(sse, &event))
                dialect_anthropic.decode_event(decoder, &event, &events);
        dialect_anthropic.decode_end(decoder, sse_stray(sse), &events);
        told_take(t, &events);
        sse_free(sse);
        arena_free(scratch);
        return t;
}

/* ---- an answer as one line, for comparison ---- */

static void show_block(struct arena *a, struct json_writer *w, const struct chat_block *b)
{
        jw_object(w);
        jw_key_int(w, "type", b->type);
        if (b->type == BLOCK_TOOL_CALL) {
                jw_key_string(w, "id", b->id);
                jw_key_string(w, "name", b->name);
                jw_key_node(w, "arguments", chat_arguments_object(a, b));
        } else {
                jw_key_str(w, "text", b->text.at ? b->text : str_of(""));
        }
        jw_key_str(w, "signature", b->signature.at ? b->signature : str_of(""));
        jw_key_bool(w, "redacted", b->redacted);
        int citations = 0;
        for (const struct chat_citation *c = b->citations; c; c = c->next)
                citations++;
        jw_key_int(w, "citations", citations);
        if (b->raw)
                jw_key_node(w, "raw", b->raw);
        jw_end(w);
}

static char *show(struct arena *a, const struct chat_reply *r)
{
        struct buf out;
        struct json_writer w;
        buf_init(&out, BODY_MAX);
        json_writer_init(&w, &out);
        jw_object(&w);
        jw_key_string(&w, "id", r->id);
        jw_key_string(&w, "model", r->model);
        jw_key_array(&w, "blocks");
        for (const struct chat_block *b = r->choices->blocks; b; b = b->next) {
                if (b->type != BLOCK_TEXT || b->text.len)
                        show_block(a, &w, b);
        }
        jw_end(&w);
        jw_key_int(&w, "finish", r->choices->finish);
        jw_key_string(&w, "stop_sequence", r->choices->stop_sequence);
        jw_key_node(&w, "stop_details", r->choices->stop_details);
        jw_key_int(&w, "input", r->usage.input);
        jw_key_int(&w, "cached", r->usage.cached);
        jw_key_int(&w, "written", r->usage.cache_write);
        jw_key_int(&w, "written_1h", r->usage.cache_write_1h);
        jw_key_int(&w, "output", r->usage.output);
        jw_key_int(&w, "reasoning", r->usage.reasoning);
        jw_end(&w);
        assert_true(jw_done(&w));
        char *text = arena_strdup(a, out.data);
        buf_release(&out);
        return text;
}

/* The answer written for a client, as a stream, in bytes. */
static struct str write_stream(struct arena *a, const struct chat_reply *reply)
{
        struct answer_context *c = arena_alloc(a, sizeof *c);
        struct chat_events events = {.arena = a};
        struct buf out;
        *c = (struct answer_context){
                .arena = a, .request_id = "req_1", .model_asked = "m", .id_seed = "seed"};
        void *encoder = dialect_anthropic.encoder_new(c);
        buf_init(&out, BODY_MAX);
        chat_reply_events(reply, &events);
        for (const struct chat_event *e = events.first; e; e = e->next)
                dialect_anthropic.encode_event(encoder, e, &out);
        assert_false(out.failed);
        struct str bytes = arena_str(a, out.data, out.len);
        buf_release(&out);
        return bytes;
}

static struct str write_whole(struct arena *a, const struct chat_reply *reply)
{
        struct answer_context c = {.arena = a, .request_id = "req_1", .model_asked = "m", .id_seed = "seed"};
        struct buf out;
        buf_init(&out, BODY_MAX);
        dialect_anthropic.encode_chat_reply(&c, reply, &out);
        struct str bytes = arena_str(a, out.data, out.len);
        buf_release(&out);
        return bytes;
}

/* Written for a client in both ways and read again, it is the same answer. */
static void check_written(struct arena *a, const char *name, const struct chat_reply *reply,
                          const char *shown)
{
        struct chat_reply again;
        struct upstream_fault fault;
        if (!dialect_anthropic.decode_chat_reply(a, write_whole(a, reply), &again, &fault))
                fail_msg("%s: written whole, not read: %s", name, fault.message);
        if (strcmp(show(a, &again), shown) != 0)
                fail_msg("%s, written whole:\n%s\nnot\n%s", name, show(a, &again), shown);
        struct told *t = read_stream(a, write_stream(a, reply), 0);
        assert_true(t->ended);
        if (strcmp(show(a, &t->reply), shown) != 0)
                fail_msg("%s, written as a stream:\n%s\nnot\n%s", name, show(a, &t->reply), shown);
        told_release(t);
}

/* ---- recordings ---- */

static const char *recordings(char *path, size_t room)
{
        const char *shared = getenv("TOLLGATE_SHARED"), *source = getenv("TOLLGATE_SRCDIR");
        if (shared)
                snprintf(path, room, "%s/real/anthropic", shared);
        else
                snprintf(path, room, "%s/../shared/real/anthropic", source ? source : ".");
        return path;
}

static bool ends_with(const char *s, const char *end)
{
        size_t len = strlen(s), n = strlen(end);
        return len >= n && strcmp(s + len - n, end) == 0;
}

static void frame_lines(struct buf *out, char *lines)
{
        for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n"))
                buf_addf(out, "data: %s\n\n", line);
}

static void check_stream(struct arena *a, const char *name, struct str bytes)
{
        struct told *t = read_stream(a, bytes, 0);
        if (strstr(name, "spliced-message-start")) {
                assert_int_equal(t->fault.kind, FAULT_MALFORMED);
                told_release(t);
                return;
        }
        if (t->fault.kind)
                fail_msg("%s: %s", name, t->fault.message);
        assert_true(t->ended);
        assert_non_null(t->reply.model);
        assert_true(t->reply.usage.known && t->reply.usage.output > 0);
        const char *shown = show(a, &t->reply);
        check_written(a, name, &t->reply, shown);
        /* Every cut where it is short, some where it is long: each costs the whole. */
        size_t step = bytes.len < 4000 ? 1 : bytes.len / 16 + 1;
        struct arena *other = arena_new();
        for (size_t cut = 1; cut < bytes.len; cut += step) {
                struct told *cut_told = read_stream(other, bytes, cut);
                if (strcmp(show(other, &cut_told->reply), shown) != 0)
                        fail_msg("%s differs when cut at %zu", name, cut);
                told_release(cut_told);
                arena_reset(other);
        }
        arena_free(other);
        told_release(t);
}

static void check_whole(struct arena *a, const char *name, struct str body)
{
        struct chat_reply reply;
        struct upstream_fault fault;
        if (!dialect_anthropic.decode_chat_reply(a, body, &reply, &fault))
                fail_msg("%s: %s", name, fault.message);
        struct err err = {0};
        json_object *content =
                json_peek_array(json_parse(a, body.at, body.len, JSON_FROM_PROVIDER, &err), "content");
        size_t count = 0;
        for (const struct chat_block *b = reply.choices->blocks; b; b = b->next)
                count++;
        assert_int_equal(count, json_object_array_length(content));
        assert_int_not_equal(reply.choices->finish, FINISH_NONE);
        check_written(a, name, &reply, show(a, &reply));
}

static size_t check_recorded(struct arena *a, const char *name, struct buf *file)
{
        struct err err = {0};
        json_object *list = json_parse(a, file->data, file->len, JSON_FROM_PROVIDER, &err);
        size_t checked = 0;
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *response = json_peek(json_object_array_get_idx(list, i), "response");
                struct str body = json_peek_str(response, "body");
                if (body.len && strncmp(body.at, "event:", 6) == 0) {
                        check_stream(a, name, body);
                        checked++;
                }
                json_object *request = json_peek(json_object_array_get_idx(list, i), "request");
                struct str sent = json_peek_str(request, "body");
                static const struct form_fields no_query;
                struct client_input in = {.arena = a, .body = sent, .query = &no_query};
                struct chat_request r;
                if (sent.len && sent.at[0] == '{' && !dialect_anthropic.decode_chat_request(&in, &r, &err))
                        fail_msg("%s: request %zu: %s", name, i, err.message);
        }
        return checked;
}

static size_t check_file(const char *dir, const char *name)
{
        char path[1024];
        struct buf file, framed;
        size_t checked = 1;
        struct arena *a = arena_new();
        snprintf(path, sizeof path, "%s/%s", dir, name);
        buf_init(&file, BODY_MAX);
        buf_init(&framed, BODY_MAX);
        assert_true(buf_read_file(&file, path));
        if (ends_with(dir, "/recorded")) {
                checked = check_recorded(a, name, &file);
        } else if (ends_with(name, ".chunks.txt")) {
                frame_lines(&framed, file.data);
                check_stream(a, name, (struct str){framed.data, framed.len});
        } else if (ends_with(name, ".json")) {
                check_whole(a, name, (struct str){file.data, file.len});
        } else {
                checked = 0;
        }
        buf_release(&file);
        buf_release(&framed);
        arena_free(a);
        return checked;
}

static size_t check_folder(const char *dir)
{
        DIR *d = opendir(dir);
        size_t checked = 0;
        for (struct dirent *e; d && (e = readdir(d));) {
                if (e->d_name[0] != '.' && strcmp(e->d_name, "recorded") != 0)
                        checked += check_file(dir, e->d_name);
        }
        if (d)
                closedir(d);
        return checked;
}

static void recordings_lose_nothing(void **state)
{
        (void)state;
        char dir[900], recorded[1000];
        recordings(dir, sizeof dir);
        DIR *d = opendir(dir);
        if (!d) {
                print_message("skipped: no recordings at %s\n", dir);
                skip();
                return;
        }
        closedir(d);
        snprintf(recorded, sizeof recorded, "%s/recorded", dir);
        size_t checked = check_folder(dir) + check_folder(recorded);
        assert_true(checked > 80);
}

/* ---- streams made by hand ---- */

#define START                                                                                                \
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-x\",\"usage\":{"       \
        "\"input_tokens\":5,"                                                                                \
        "\"cache_read_input_tokens\":2,\"output_tokens\":1}}}\n"
#define TEXT_0                                                                                               \
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}" \
        "\n"
#define HELLO_0                                                                                              \
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"         \
        "\"Hello\"}}\n"
#define STOP_0 "{\"type\":\"content_block_stop\",\"index\":0}\n"
#define END                                                                                                  \
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":" \
        "9}}\n"                                                                                              \
        "{\"type\":\"message_stop\"}\n"

static struct told *read_lines(struct arena *a, const char *lines)
{
        struct buf framed;
        buf_init(&framed, BODY_MAX);
        frame_lines(&framed, arena_strdup(a, lines));
        struct told *t = read_stream(a, arena_str(a, framed.data ? framed.data : "", framed.len), 0);
        buf_release(&framed);
        return t;
}

static void streams_end_whole_or_say_why(void **state)
{
        (void)state;
        static const struct {
                const char *lines;
                enum fault_kind fault;
                const char *says;
                int status;
        } cases[] = {
                {START TEXT_0 HELLO_0 STOP_0 END, FAULT_NONE, NULL, 0},
                {"{\"type\":\"ping\"}\n" START "{\"type\": \"ping\"}\n" TEXT_0
                 "{\"type\":\"ping\"}\n" HELLO_0 STOP_0 END,
                 FAULT_NONE, NULL, 0},
                {START START TEXT_0 HELLO_0 STOP_0 END, FAULT_NONE, NULL, 0},
                {START TEXT_0 HELLO_0 STOP_0 "[DONE]\n" END, FAULT_NONE, NULL, 0},
                {START "{\"type\":\"something_new\"}\n" END, FAULT_NONE, NULL, 0},
                {START TEXT_0 HELLO_0 END, FAULT_NONE, NULL, 0}, /* a lost stop */
                {START "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n", FAULT_NONE,
                 NULL, 0},
                {"", FAULT_CUT, "ended before", 0},
                {START TEXT_0 HELLO_0 STOP_0, FAULT_CUT, "ended before", 0},
                {START "nonsense\n", FAULT_MALFORMED, "no JSON", 0},
                {TEXT_0, FAULT_MALFORMED, "before message_start", 0},
                {START HELLO_0, FAULT_MALFORMED, "not open", 0},
                {"{\"type\":\"message_stop\"}\n", FAULT_MALFORMED, "without a beginning", 0},
                {START TEXT_0 HELLO_0 "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                                      "\"message\":\"Overloaded\"}}\n" END,
                 FAULT_OVERLOAD, "Overloaded", 529},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct told *t = read_lines(a, cases[i].lines);
                assert_true(t->ended);
                if (t->fault.kind != cases[i].fault)
                        fail_msg("case %zu: fault %d, %s", i, t->fault.kind,
                                 t->fault.message ? t->fault.message : "-");
                if (cases[i].says)
                        assert_non_null(strstr(t->fault.message, cases[i].says));
                assert_int_equal(t->fault.status, cases[i].status);
                told_release(t);
                arena_free(a);
        }
}

static void later_usage_wins(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct told *t = read_lines(
                a, START
                "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"input_"
                "tokens\":"
                "61,\"cache_creation_input_tokens\":7,\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,"
                "\"ephemeral_1h_input_tokens\":3},\"output_tokens\":20,\"output_tokens_details\":{"
                "\"thinking_tokens\":8}}}\n{\"type\":\"message_stop\"}\n");
        assert_int_equal(t->reply.usage.input, 61 + 2 + 7);
        assert_int_equal(t->reply.usage.cached, 2);
        assert_int_equal(t->reply.usage.cache_write, 7);
        assert_int_equal(t->reply.usage.cache_write_1h, 3);
        assert_int_equal(t->reply.usage.output, 20);
        assert_int_equal(t->reply.usage.reasoning, 8);
        assert_int_equal(t->choice->finish, FINISH_LENGTH);
        told_release(t);
        arena_free(a);
}

static void forced_tool_becomes_text_again(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct told *t = read_lines(
                a, START
                "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\","
                "\"id\":\"t\","
                "\"name\":\"tollgate_answer\",\"input\":{}}}\n{\"type\":\"content_block_delta\",\"index\":0,"
                "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n" STOP_0
                "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n");
        assert_int_equal(t->blocks[0]->type, BLOCK_TEXT);
        assert_string_equal(t->blocks[0]->text.at, "{\"a\":1}");
        assert_int_equal(t->choice->finish, FINISH_STOP);
        told_release(t);
        struct chat_reply reply;
        struct upstream_fault fault;
        assert_true(dialect_anthropic.decode_chat_reply(
                a,
                str_of("{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"tollgate_answer\","
                       "\"input\":{\"a\":1}}],"
                       "\"stop_reason\":\"tool_use\"}"),
                &reply, &fault));
        assert_int_equal(reply.choices->blocks->type, BLOCK_TEXT);
        assert_string_equal(reply.choices->blocks->text.at, "{\"a\":1}");
        assert_int_equal(reply.choices->finish, FINISH_STOP);
        arena_free(a);
}

/* ---- errors of the provider ---- */

static void errors_have_kinds(void **state)
{
        (void)state;
#define ERROR(type, message)                                                                                 \
        "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
        static const struct {
                int status;
                const char *body;
                enum fault_kind kind;
        } cases[] = {
                {400, ERROR("invalid_request_error", "x: bad"), FAULT_BAD_REQUEST},
                {400, ERROR("invalid_request_error", "prompt is too long: 9 > 8"), FAULT_CONTEXT_LENGTH},
                {400, ERROR("invalid_request_error", "Your credit balance is too low to access"),
                 FAULT_QUOTA},
                {400, ERROR("invalid_request_error", "Output blocked by content filtering policy"),
                 FAULT_CONTENT_POLICY},
                {401, ERROR("authentication_error", "invalid x-api-key"), FAULT_CREDENTIALS},
                {402, ERROR("billing_error", "pay"), FAULT_QUOTA},
                {403, ERROR("permission_error", "no"), FAULT_FORBIDDEN},
                {404, ERROR("not_found_error", "model: claude-none"), FAULT_MODEL_GONE},
                {404, ERROR("not_found_error", "File file_1 not found"), FAULT_BAD_REQUEST},
                {408, "", FAULT_TIMEOUT},
                {413, ERROR("request_too_large", "big"), FAULT_BAD_REQUEST},
                {429, ERROR("rate_limit_error", "slow down"), FAULT_RATE_LIMIT},
                {429,
                 "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\",\"details\":"
                 "{\"error_code\":"
                 "\"contract_spend_limit_reached\"}}}",
                 FAULT_QUOTA},
                {500, ERROR("api_error", "oops"), FAULT_SERVER},
                {502, "<html>bad gateway</html>", FAULT_SERVER},
                {504, ERROR("timeout_error", "late"), FAULT_TIMEOUT},
                {529, ERROR("overloaded_error", "Overloaded"), FAULT_OVERLOAD},
                {503, "{\"error\":\"no channel\"}", FAULT_OVERLOAD},
                {418, "[]", FAULT_BAD_REQUEST},
                {400, "\xff\xfe", FAULT_BAD_REQUEST},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct upstream_fault f;
                dialect_anthropic.decode_error(a, cases[i].status, str_of(cases[i].body), &f);
                if (f.kind != cases[i].kind)
                        fail_msg("%d %s: kind %d", cases[i].status, cases[i].body, f.kind);
                assert_int_equal(f.status, cases[i].status);
                arena_free(a);
        }
        struct arena *a = arena_new();
        struct chat_reply reply;
        struct upstream_fault f;
        assert_false(dialect_anthropic.decode_chat_reply(
                a, str_of(ERROR("overloaded_error", "Over\\u001bloaded")), &reply, &f));
        assert_int_equal(f.kind, FAULT_OVERLOAD);
        assert_int_equal(f.status, 529);
        assert_string_equal(f.message, "Over loaded");
        assert_false(dialect_anthropic.decode_chat_reply(a, str_of("{}"), &reply, &f));
        assert_int_equal(f.kind, FAULT_MALFORMED);
        arena_free(a);
}

/* ---- answers of other vendors, to clients ---- */

static json_object *written(struct arena *a, const struct chat_reply *reply)
{
        struct err err = {0};
        struct str bytes = write_whole(a, reply);
        return json_parse(a, bytes.at, bytes.len, JSON_FROM_CLIENT, &err);
}

static void stop_reasons_for_clients(void **state)
{
        (void)state;
        static const struct {
                enum chat_finish finish;
                const char *raw, *sequence;
                bool call;
                const char *reason;
        } cases[] = {
                {FINISH_STOP, "stop", NULL, false, "end_turn"},
                {FINISH_STOP, "STOP", NULL, true, "tool_use"},
                {FINISH_TOOL, "tool_calls", NULL, false, "end_turn"},
                {FINISH_TOOL, "tool_calls", NULL, true, "tool_use"},
                {FINISH_STOP_SEQUENCE, NULL, "END", false, "stop_sequence"},
                {FINISH_LENGTH, "length", NULL, false, "max_tokens"},
                {FINISH_LENGTH, "model_context_window_exceeded", NULL, false,
                 "model_context_window_exceeded"},
                {FINISH_FILTER, "content_filter", NULL, false, "refusal"},
                {FINISH_PAUSE, "pause_turn", NULL, false, "pause_turn"},
                {FINISH_ERROR, "OTHER", NULL, false, "end_turn"},
                {FINISH_NONE, NULL, NULL, false, "end_turn"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct arena *a = arena_new();
                struct chat_reply reply = {0};
                struct chat_choice *c = chat_add_choice(a, &reply);
                chat_add_reply_block(a, c, BLOCK_TEXT)->text = str_of("hm");
                if (cases[i].call)
                        chat_add_reply_block(a, c, BLOCK_TOOL_CALL)->name = "f";
                c->finish = cases[i].finish;
                c->finish_raw = cases[i].raw;
                c->stop_sequence = cases[i].sequence;
                json_object *root = written(a, &reply);
                assert_string_equal(json_peek_string(root, "stop_reason"), cases[i].reason);
                if (cases[i].sequence)
                        assert_string_equal(json_peek_string(root, "stop_sequence"), cases[i].sequence);
                struct told *t = read_stream(a, write_stream(a, &reply), 0);
                assert_string_equal(t->choice->finish_raw, cases[i].reason);
                told_release(t);
                arena_free(a);
        }
}

static void answers_of_other_vendors(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct chat_reply reply = {.id = "chatcmpl-9", .model = "gpt-x"};
        reply.usage =
                (struct chat_usage){.known = true, .input = 10, .cached = 12, .output = 5, .reasoning = 2};
        struct chat_choice *c = chat_add_choice(a, &reply);
        c->finish = FINISH_TOOL;
        struct chat_block *b = chat_add_reply_block(a, c, BLOCK_THINKING);
        b->text = str_of("hm");
        b->signature = str_of("sig");
        b->signature_from = DIALECT_GEMINI;
        b = chat_add_reply_block(a, c, BLOCK_TEXT);
        b->text = str_of("see");
        b->citations = arena_alloc(a, sizeof *b->citations);
        b->citations->url = "https://x/";
        b = chat_add_reply_block(a, c, BLOCK_TOOL_CALL);
        b->id = "call:1";
        b->name = "f";
        b->arguments_text = str_of("{broken");
        b->signature = str_of("fs");
        b->signature_from = DIALECT_GEMINI;
        chat_add_reply_block(a, c, BLOCK_REFUSAL)->text = str_of("no");
        json_object *root = written(a, &reply), *content = json_peek_array(root, "content");
        assert_string_equal(json_peek_string(root, "id"), "msg_chatcmpl-9");
        assert_int_equal(json_object_array_length(content), 4);
        json_object *usage = json_peek_object(root, "usage");
        assert_int_equal(json_peek_count(usage, "input_tokens"), 0);
        assert_int_equal(json_peek_count(json_peek(usage, "output_tokens_details"), "thinking_tokens"), 2);
        json_object *thought = json_object_array_get_idx(content, 0),
                    *carrier = json_object_array_get_idx(content, 2);
        enum dialect_id from;
        enum carry_on on;
        struct str signature;
        assert_true(carry_unwrap(a, json_peek_str(thought, "signature"), &from, &on, &signature));
        assert_true(from == DIALECT_GEMINI && on == CARRY_ON_THINKING && str_is(signature, "sig"));
        assert_string_equal(json_peek_string(carrier, "type"), "thinking");
        assert_true(carry_unwrap(a, json_peek_str(carrier, "signature"), &from, &on, &signature));
        assert_true(from == DIALECT_GEMINI && on == CARRY_ON_NEXT_CALL && str_is(signature, "fs"));
        json_object *call = json_object_array_get_idx(content, 3);
        assert_string_equal(json_peek_string(json_peek(call, "input"), "arguments"), "{broken");
        assert_null(strchr(json_peek_string(call, "id"), ':'));
        json_object *citation = json_object_array_get_idx(
                json_peek_array(json_object_array_get_idx(content, 1), "citations"), 0);
        assert_string_equal(json_peek_string(citation, "type"), "web_search_result_location");
        assert_true(carry_present(json_peek_str(citation, "encrypted_index")));
        /* A refusal says why, where nothing else came. */
        struct chat_reply refused = {0};
        struct chat_choice *r = chat_add_choice(a, &refused);
        r->finish = FINISH_STOP;
        chat_add_reply_block(a, r, BLOCK_REFUSAL)->text = str_of("no");
        root = written(a, &refused);
        assert_string_equal(json_peek_string(root, "stop_reason"), "refusal");
        assert_string_equal(json_peek_string(json_peek(root, "stop_details"), "explanation"), "no");
        assert_string_equal(json_peek_string(json_peek(root, "stop_details"), "type"), "refusal");
        arena_free(a);
}

/* Two calls whose pieces come in turns: on the wire one block ends before the next begins. */
static void interleaved_blocks_are_put_in_order(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .model_asked = "m", .id_seed = "s"};
        struct chat_events events = {.arena = a};
        void *encoder = dialect_anthropic.encoder_new(&c);
        chat_add_event(&events, EVENT_START, 0, 0);
        for (int i = 0; i < 3; i++) {
                struct chat_event *e = chat_add_event(&events, EVENT_BLOCK_START, 0, i);
                e->block_start.type = i == 2 ? BLOCK_TEXT : BLOCK_TOOL_CALL;
                e->block_start.id = arena_printf(a, "c%d", i);
                e->block_start.name = "f";
        }
        static const char *const pieces[] = {"{\"a\"", "{\"b\"", ":1}", ":2}"};
        for (int i = 0; i < 4; i++) {
                struct chat_event *e = chat_add_event(&events, EVENT_DELTA, 0, i % 2);
                e->delta_kind = DELTA_ARGUMENTS;
                e->delta = str_of(pieces[i]);
        }
        chat_add_event(&events, EVENT_BLOCK_STOP, 0, 1);
        chat_add_event(&events, EVENT_BLOCK_STOP, 0, 2); /* no text came: no block */
        chat_add_event(&events, EVENT_BLOCK_STOP, 0, 0);
        chat_add_event(&events, EVENT_STOP, 0, 0)->finish = FINISH_TOOL;
        chat_add_event(&events, EVENT_END, 0, 0);
        struct buf out;
        buf_init(&out, 1 << 20);
        for (const struct chat_event *e = events.first; e; e = e->next) {
                size_t before = out.len;
                dialect_anthropic.encode_event(encoder, e, &out);
                if (e->type == EVENT_DELTA && e->block == 0)
                        assert_true(out.len > before); /* the first flows at once */
        }
        struct told *t = read_stream(a, (struct str){out.data, out.len}, 0);
        assert_int_equal(t->count, 2);
        assert_string_equal(t->blocks[0]->arguments_text.at, "{\"a\":1}");
        assert_string_equal(t->blocks[1]->arguments_text.at, "{\"b\":2}");
        assert_string_equal(t->choice->finish_raw, "tool_use");
        told_release(t);
        buf_release(&out);
        arena_free(a);
}

static void errors_pings_and_models(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct answer_context c = {.arena = a, .model_asked = "m", .request_id = "req_1"};
        struct err err = {0};
        struct buf out;
        buf_init(&out, 1 << 20);
        err_set(&err, a, ERR_RATE_LIMIT, NULL, "slow \"down\"");
        dialect_anthropic.encode_error(&c, &err, &out);
        assert_string_equal(out.data,
                            "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow "
                            "\\\"down\\\"\"},\"request_id\":\"req_1\"}");
        buf_reset(&out);
        void *encoder = dialect_anthropic.encoder_new(&c);
        dialect_anthropic.encode_keepalive(encoder, &out);
        assert_string_equal(out.data, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        buf_reset(&out);
        dialect_anthropic.encode_stream_error(encoder, &err, &out);
        assert_ptr_equal(strstr(out.data, "event: error\ndata: {\"type\":\"error\","), out.data);
        buf_reset(&out);
        struct chat_event end = {.type = EVENT_END};
        dialect_anthropic.encode_event(encoder, &end, &out);
        assert_int_equal(out.len, 0); /* no sign of a whole answer after an error */
        static const struct model_entry models[] = {{.id = "b", .created = 0, .window = 5},
                                                    {.id = "a", .created = 86400}};
        dialect_anthropic.encode_models(&c, models, 2, &out);
        assert_string_equal(
                out.data,
                "{\"data\":[{\"type\":\"model\",\"id\":\"b\",\"display_name\":\"b\",\"created_at\":"
                "\"1970-01-01T00:00:00Z\",\"max_input_tokens\":5},{\"type\":\"model\",\"id\":\"a\","
                "\"display_name\":\"a\",\"created_at\":\"1970-01-02T00:00:00Z\"}],\"has_more\":false,"
                "\"first_id\":\"b\",\"last_id\":\"a\"}");
        buf_release(&out);
        arena_free(a);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(recordings_lose_nothing),
                cmocka_unit_test(streams_end_whole_or_say_why),
                cmocka_unit_test(later_usage_wins),
                cmocka_unit_test(forced_tool_becomes_text_again),
                cmocka_unit_test(errors_have_kinds),
                cmocka_unit_test(stop_reasons_for_clients),
                cmocka_unit_test(answers_of_other_vendors),
                cmocka_unit_test(interleaved_blocks_are_put_in_order),
                cmocka_unit_test(errors_pings_and_models),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
