#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "dialect/openai.h"

enum { INPUTS_MAX = 2048, DIMENSIONS_MAX = 65536, TOKEN_MAX = INT32_MAX };

/* ---------------------------------------------------------------- requests */

static void add_text(struct json_reader *r, json_object *node, const struct json_path *at,
                     struct embed_request *out)
{
        struct embed_input *input = embed_add_input(r->arena, out);
        input->path = json_path_text(r->arena, at, NULL);
        input->text = (struct str){json_object_get_string(node), (size_t)json_object_get_string_len(node)};
        if (!input->text.len)
                json_fail(r, at, NULL, "must not be empty");
}

static void add_tokens(struct json_reader *r, json_object *list, const struct json_path *at,
                       struct embed_request *out)
{
        size_t count = json_object_array_length(list);
        int64_t *tokens = arena_alloc(r->arena, (count + 1) * sizeof *tokens);
        struct embed_input *input = embed_add_input(r->arena, out);
        if (!count)
                json_fail(r, at, NULL, "must not be empty");
        for (size_t i = 0; i < count && r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = at, .index = i};
                json_object *node = json_object_array_get_idx(list, i);
                tokens[i] = json_object_get_int64(node);
                if (!json_object_is_type(node, json_type_int))
                        json_fail(r, &item, NULL, "expected a token's number, got %s", json_type_text(node));
                else if (tokens[i] < 0 || tokens[i] > TOKEN_MAX)
                        json_fail(r, &item, NULL, "must be between 0 and %d", TOKEN_MAX);
        }
        input->path = json_path_text(r->arena, at, NULL);
        input->tokens = tokens;
        input->token_count = count;
}

static void decode_input(struct json_reader *r, json_object *body, struct embed_request *out)
{
        struct json_path at = {.key = "input"};
        json_object *input = json_peek(body, "input");
        if (!input) {
                json_fail(r, NULL, "input", "is required");
                return;
        }
        out->single = true;
        if (json_object_is_type(input, json_type_string)) {
                add_text(r, input, &at, out);
                return;
        }
        if (!json_object_is_type(input, json_type_array)) {
                json_fail(r, NULL, "input", "expected a string or an array, got %s", json_type_text(input));
                return;
        }
        size_t count = json_object_array_length(input);
        if (count && json_object_is_type(json_object_array_get_idx(input, 0), json_type_int)) {
                add_tokens(r, input, &at, out);
                return;
        }
        out->single = false;
        if (!count || count > INPUTS_MAX)
                json_fail(r, NULL, "input", "must hold 1 to %d inputs", INPUTS_MAX);
        for (size_t i = 0; i < count && r->err->cause == ERR_NONE; i++) {
                struct json_path item = {.up = &at, .index = i};
                json_object *node = json_object_array_get_idx(input, i);
                if (json_object_is_type(node, json_type_string))
                        add_text(r, node, &item, out);
                else if (json_object_is_type(node, json_type_array))
                        add_tokens(r, node, &item, out);
                else
                        json_fail(r, &item, NULL, "expected a string or an array of tokens, got %s",
                                  json_type_text(node));
        }
}

bool openai_decode_embed_request(const struct client_input *in, struct embed_request *out, struct err *err)
{
        static const char *const known[] = {"model", "input", "dimensions", "encoding_format", "user", NULL};
        static const char *const formats[] = {"float", "base64", NULL};
        json_object *body = json_parse(in->arena, in->body.at, in->body.len, JSON_FROM_CLIENT, err);
        struct json_reader r = {.arena = in->arena, .err = err};
        const char *format = formats[0];
        if (!body)
                return false;
        *out = (struct embed_request){.from = DIALECT_OPENAI};
        if (!json_object_is_type(body, json_type_object))
                return json_fail(&r, NULL, NULL, "expected an object, got %s", json_type_text(body));
        if (json_object_object_length(body) > OPENAI_MEMBERS_MAX)
                return json_fail(&r, NULL, NULL, "more than %d members", OPENAI_MEMBERS_MAX);
        json_get_string(&r, body, NULL, "model", &out->model);
        decode_input(&r, body, out);
        if (json_get_int(&r, body, NULL, "dimensions", 1, DIMENSIONS_MAX, &out->dimensions.value))
                out->dimensions.set = true;
        openai_get_word(&r, body, NULL, "encoding_format", formats, &format);
        out->base64 = format == formats[1];
        json_get_string(&r, body, NULL, "user", &out->user);
        openai_keep_extras(&r, body, known, &out->extras);
        return err->cause == ERR_NONE;
}

static void write_tokens(struct json_writer *w, const struct embed_input *input)
{
        jw_array(w);
        for (size_t i = 0; i < input->token_count; i++)
                jw_int(w, input->tokens[i]);
        jw_end(w);
}

bool openai_encode_embed_request(struct arena *a, const struct embed_request *r, const struct wire_target *t,
                                 struct wire_request *out, struct err *err)
{
        struct json_writer w;
        out->method = "POST";
        out->path = "/embeddings";
        out->header_count = 0;
        json_writer_init(&w, &out->body);
        jw_object(&w);
        jw_key_string(&w, "model", t->model);
        jw_key(&w, "input");
        bool one = r->input_count == 1 && r->single;
        if (!one)
                jw_array(&w);
        for (const struct embed_input *input = r->inputs; input; input = input->next) {
                if (input->tokens)
                        write_tokens(&w, input);
                else
                        jw_str(&w, input->text);
        }
        if (!one)
                jw_end(&w);
        jw_key_string(&w, "encoding_format", r->base64 ? "base64" : "float");
        if (r->dimensions.set)
                jw_key_int(&w, "dimensions", r->dimensions.value);
        if (r->user)
                jw_key_string(&w, "user", r->user);
        for (const struct chat_extra *e = r->extras; e && r->from == DIALECT_OPENAI; e = e->next)
                jw_key_node(&w, e->name, e->value);
        jw_end(&w);
        if (!jw_done(&w))
                return err_set(err, a, ERR_TOO_LARGE, NULL,
                               "the request is larger than what can be sent upstream");
        return true;
}

/* ---------------------------------------------------------------- replies to clients */

static void write_float(struct buf *out, float value)
{
        char text[32];
        for (int precision = 7; precision <= 9; precision++) {
                snprintf(text, sizeof text, "%.*g", precision, (double)value);
                if (strtof(text, NULL) == value)
                        break;
        }
        buf_adds(out, text);
}

static void write_base64(struct arena *a, struct buf *out, const struct embed_vector *v)
{
        uint8_t *bytes = arena_alloc(a, v->count * 4 + 1);
        for (size_t i = 0; i < v->count; i++) {
                uint32_t bits;
                memcpy(&bits, &v->values[i], sizeof bits);
                for (size_t byte = 0; byte < 4; byte++)
                        bytes[4 * i + byte] = (uint8_t)(bits >> 8 * byte);
        }
        text_base64_encode(out, bytes, v->count * 4);
}

static void write_vector(const struct answer_context *c, struct json_writer *w, const struct embed_vector *v)
{
        jw_key(w, "embedding");
        if (c->embed_base64) {
                jw_raw(w, "\"", 1);
                write_base64(c->arena, w->out, v);
                buf_addc(w->out, '"');
                return;
        }
        jw_raw(w, "[", 1);
        for (size_t i = 0; i < v->count; i++) {
                if (i)
                        buf_addc(w->out, ',');
                write_float(w->out, v->values[i]);
        }
        buf_addc(w->out, ']');
}

void openai_encode_embed_reply(const struct answer_context *c, const struct embed_reply *reply,
                               struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        jw_key_string(&w, "object", "list");
        jw_key_array(&w, "data");
        for (size_t i = 0; i < reply->vector_count; i++) {
                jw_object(&w);
                jw_key_string(&w, "object", "embedding");
                jw_key_int(&w, "index", (int64_t)i);
                write_vector(c, &w, &reply->vectors[i]);
                jw_end(&w);
        }
        jw_end(&w);
        jw_key_string(&w, "model",
                      reply->model && *reply->model ? reply->model
                      : c->model_asked              ? c->model_asked
                                                    : "");
        jw_key_object(&w, "usage");
        jw_key_int(&w, "prompt_tokens", reply->usage.input);
        jw_key_int(&w, "total_tokens", reply->usage.input + reply->usage.output);
        jw_end(&w);
        jw_end(&w);
}

/* ---------------------------------------------------------------- replies of providers */

/*
 * Vectors are most of the bytes and millions of numbers: they are read from the text, without a tree. `data`
 * is cut out of the body; what is left goes the usual way.
 */
struct scan {
        const char *at, *end;
        bool bad;
};

static char peek(struct scan *s)
{
        while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
                s->at++;
        return s->at < s->end ? *s->at : '\0';
}

static bool take(struct scan *s, char c)
{
        if (s->bad || peek(s) != c)
                return false;
        s->at++;
        return true;
}

static void need(struct scan *s, char c)
{
        if (!take(s, c))
                s->bad = true;
}

/* The inside of a string, as written. */
static struct str take_string(struct scan *s)
{
        struct str inside = {"", 0};
        need(s, '"');
        if (s->bad)
                return inside;
        inside.at = s->at;
        while (s->at < s->end && *s->at != '"') {
                if (*s->at == '\\')
                        s->at++;
                s->at++;
        }
        if (s->at >= s->end) {
                s->bad = true;
                return inside;
        }
        inside.len = (size_t)(s->at - inside.at);
        s->at++;
        return inside;
}

/* Any value, by its brackets only: what is skipped here is either not looked at, or parsed by json_parse()
 * after. */
static void skip_value(struct scan *s)
{
        size_t depth = 0;
        do {
                char c = peek(s);
                if (c == '"') {
                        take_string(s);
                } else if (c == '[' || c == '{') {
                        depth++;
                        s->at++;
                } else if (c == ']' || c == '}') {
                        if (!depth)
                                s->bad = true;
                        depth--;
                        s->at++;
                } else if (c == '\0') {
                        s->bad = true;
                } else if ((c == ',' || c == ':') && depth) {
                        s->at++;
                } else {
                        const char *start = s->at;
                        while (s->at < s->end && !strchr(" \t\r\n,:]}[{\"", *s->at))
                                s->at++;
                        s->bad = s->bad || s->at == start;
                }
        } while (depth && !s->bad);
}

/* Where the value of the top-level `data` stands; an empty one when there is none. */
static struct str find_data(struct str body)
{
        struct scan s = {body.at, body.at + body.len, false};
        need(&s, '{');
        while (!s.bad && peek(&s) != '}') {
                struct str key = take_string(&s);
                need(&s, ':');
                peek(&s);
                const char *start = s.at;
                skip_value(&s);
                if (!s.bad && str_is(key, "data"))
                        return (struct str){start, (size_t)(s.at - start)};
                if (!take(&s, ','))
                        break;
        }
        return (struct str){0};
}

static bool is_number_byte(char c)
{
        return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static float take_number(struct scan *s)
{
        const char *end = (peek(s), s->at);
        while (end < s->end && is_number_byte(*end))
                end++;
        char text[64], *stop;
        size_t len = (size_t)(end - s->at);
        if (!len || len >= sizeof text) {
                s->bad = true;
                return 0;
        }
        memcpy(text, s->at, len);
        text[len] = '\0';
        float value = strtof(text, &stop);
        s->bad = s->bad || *stop || !isfinite(value);
        s->at = end;
        return value;
}

static void take_floats(struct arena *a, struct scan *s, struct embed_vector *out)
{
        size_t count = 1;
        need(s, '[');
        for (const char *c = s->at; c < s->end && *c != ']'; c++)
                count += *c == ',';
        float *values = arena_alloc(a, count * sizeof *values);
        size_t i = 0;
        do {
                float value = take_number(s);
                if (i < count)
                        values[i++] = value;
        } while (!s->bad && take(s, ','));
        need(s, ']');
        *out = (struct embed_vector){values, i};
}

static void take_base64(struct arena *a, struct scan *s, struct embed_vector *out)
{
        struct str text = take_string(s);
        struct buf bytes, plain;
        buf_init(&bytes, text.len + 4);
        buf_init(&plain, text.len + 4);
        for (size_t i = 0; i < text.len; i++) {
                if (text.at[i] != '\\') /* some servers write "\/" */
                        buf_addc(&plain, text.at[i]);
        }
        bool ok = plain.len && text_base64_decode(&bytes, plain.data, plain.len, false);
        if (!ok || !bytes.len || bytes.len % 4)
                s->bad = true;
        size_t count = s->bad ? 0 : bytes.len / 4;
        float *values = arena_alloc(a, (count + 1) * sizeof *values);
        for (size_t i = 0; i < count; i++) {
                uint32_t bits = 0;
                for (size_t byte = 0; byte < 4; byte++)
                        bits |= (uint32_t)(uint8_t)bytes.data[4 * i + byte] << 8 * byte;
                memcpy(&values[i], &bits, sizeof bits);
                s->bad = s->bad || !isfinite(values[i]);
        }
        *out = (struct embed_vector){values, count};
        buf_release(&bytes);
        buf_release(&plain);
}

static size_t take_index(struct scan *s, size_t count)
{
        float index = take_number(s);
        s->bad = s->bad || !(index >= 0 && index < (float)count);
        return s->bad ? 0 : (size_t)index;
}

static void take_item(struct arena *a, struct scan *s, size_t position, struct embed_reply *out)
{
        struct embed_vector vector = {0};
        size_t index = position;
        need(s, '{');
        while (!s->bad && peek(s) != '}') {
                struct str key = take_string(s);
                need(s, ':');
                char c = peek(s);
                if (str_is(key, "embedding") && c == '[')
                        take_floats(a, s, &vector);
                else if (str_is(key, "embedding") && c == '"')
                        take_base64(a, s, &vector);
                else if (str_is(key, "index") && c >= '0' && c <= '9')
                        index = take_index(s, out->vector_count);
                else
                        skip_value(s);
                if (!take(s, ','))
                        break;
        }
        need(s, '}');
        if (!vector.count || index >= out->vector_count || out->vectors[index].values)
                s->bad = true;
        if (!s->bad)
                out->vectors[index] = vector;
}

static bool read_vectors(struct arena *a, struct str data, size_t expected, struct embed_reply *out)
{
        struct scan s = {data.at, data.at + data.len, false};
        size_t position = 0;
        out->vectors = arena_alloc(a, (expected + 1) * sizeof *out->vectors);
        out->vector_count = expected;
        need(&s, '[');
        do {
                take_item(a, &s, position++, out);
        } while (!s.bad && position < expected && take(&s, ','));
        need(&s, ']');
        if (s.bad || position != expected)
                return false;
        for (size_t i = 1; i < expected; i++) {
                if (out->vectors[i].count != out->vectors[0].count)
                        return false;
        }
        return true;
}

bool openai_decode_embed_reply(struct arena *a, struct str body, size_t expected, struct embed_reply *out,
                               struct upstream_fault *fault)
{
        struct err err = {0};
        struct str data = find_data(body), rest = body;
        *out = (struct embed_reply){0};
        if (data.len) {
                size_t before = (size_t)(data.at - body.at), after = body.len - before - data.len;
                char *text = arena_alloc(a, before + after + 5);
                memcpy(text, body.at, before);
                memcpy(text + before, "null", 4);
                memcpy(text + before + 4, data.at + data.len, after);
                rest = (struct str){text, before + after + 4};
        }
        json_object *tree = json_parse(a, rest.at, rest.len, JSON_FROM_PROVIDER, &err);
        if (tree && openai_find_error(tree)) {
                openai_fault_in_body(a, tree, fault);
                return false;
        }
        if (!tree || !data.len || !expected || !read_vectors(a, data, expected, out)) {
                *fault = (struct upstream_fault){
                        .kind = FAULT_MALFORMED,
                        .message = tree ? "the answer does not hold the vectors asked for" : err.message};
                return false;
        }
        out->model = json_peek_string(tree, "model");
        openai_read_usage(tree, &out->usage);
        return true;
}
