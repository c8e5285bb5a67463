#include "dialect/gemini.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 65536, DIMENSIONS_MAX = 65536, VECTORS_MAX = 100000 };

/* ---- the client's request ---- */

struct embed_decode {
        struct json_reader r;
        struct embed_request *out;
        const char *path_model;
};

/* All text parts of a content are one input. */
static void decode_content(struct embed_decode *d, json_object *content, const struct json_path *at)
{
        json_object *parts = NULL;
        struct buf text;
        if (!json_object_is_type(content, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(content));
                return;
        }
        if (!json_need_array(&d->r, content, at, "parts", &parts))
                return;
        struct json_path parts_at = {.up = at, .key = "parts"};
        buf_init(&text, SIZE_MAX / 4);
        for (size_t i = 0; i < json_object_array_length(parts) && d->r.err->cause == ERR_NONE; i++) {
                json_object *part = json_object_array_get_idx(parts, i);
                struct json_path here = {.up = &parts_at, .index = i};
                struct str piece = {0};
                if (!json_object_is_type(part, json_type_object))
                        json_fail(&d->r, &here, NULL, "expected an object, got %s", json_type_text(part));
                else if (!json_get_str(&d->r, part, &here, "text", &piece))
                        json_fail(&d->r, &here, NULL, "only text can be embedded");
                if (i > 0)
                        buf_addc(&text, '\n');
                buf_add_str(&text, piece);
        }
        if (d->r.err->cause == ERR_NONE && text.len == 0) {
                json_fail(&d->r, at, NULL, "has no text");
        } else if (d->r.err->cause == ERR_NONE) {
                struct embed_input *input = embed_add_input(d->r.arena, d->out);
                input->text = arena_str(d->r.arena, text.data, text.len);
                input->path = json_path_text(d->r.arena, at, NULL);
        }
        buf_release(&text);
}

static bool same(const char *a, const char *b)
{
        return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* The settings of one request: all of a batch must have the same, since one call upstream carries them once.
 */
static void decode_settings(struct embed_decode *d, json_object *node, const struct json_path *at, bool first)
{
        struct embed_request *out = d->out;
        const char *task = NULL, *title = NULL, *model = NULL;
        struct opt_int dimensions = {0};
        json_get_string(&d->r, node, at, "model", &model);
        if (model && strncmp(model, "models/", 7) == 0)
                model += 7;
        if (model && d->path_model && strcmp(model, d->path_model) != 0)
                json_fail(&d->r, at, "model", "is not the model of the path");
        gemini_get_string(&d->r, node, at, "taskType", &task);
        json_get_string(&d->r, node, at, "title", &title);
        dimensions.set = json_get_int(&d->r, node, at, gemini_key(&d->r, node, at, "outputDimensionality"), 1,
                                      DIMENSIONS_MAX, &dimensions.value);
        if (task && strcmp(task, "TASK_TYPE_UNSPECIFIED") == 0)
                task = NULL;
        if (first) {
                out->task_type = task;
                out->title = title;
                out->dimensions = dimensions;
        } else if (!same(out->task_type, task)) {
                json_fail(&d->r, at, "taskType", "differs from that of the first request");
        } else if (!same(out->title, title)) {
                json_fail(&d->r, at, "title", "differs from that of the first request");
        } else if (out->dimensions.set != dimensions.set || out->dimensions.value != dimensions.value) {
                json_fail(&d->r, at, "outputDimensionality", "differs from that of the first request");
        }
}

static void decode_one(struct embed_decode *d, json_object *node, const struct json_path *at, bool first)
{
        static const struct gemini_member members[] = {
                {"model", MEMBER_KNOWN},       {"content", MEMBER_KNOWN},
                {"contents", MEMBER_KNOWN},    {"taskType", MEMBER_KNOWN},
                {"title", MEMBER_KNOWN},       {"outputDimensionality", MEMBER_KNOWN},
                {"autoTruncate", MEMBER_HINT}, {NULL, MEMBER_KNOWN},
        };
        json_object *content = NULL, *contents = NULL;
        if (!json_object_is_type(node, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(node));
                return;
        }
        decode_settings(d, node, at, first);
        json_get_object(&d->r, node, at, "content", &content);
        struct json_path here = {.up = at, .key = "content"};
        if (content) {
                decode_content(d, content, &here);
        } else if (json_get_array(&d->r, node, at, "contents", &contents)) {
                if (json_object_array_length(contents) != 1) {
                        json_fail(&d->r, at, "contents",
                                  "expected one; more are asked for with batchEmbedContents");
                        return;
                }
                struct json_path list = {.up = at, .key = "contents"}, item = {.up = &list};
                decode_content(d, json_object_array_get_idx(contents, 0), &item);
        } else {
                json_fail(&d->r, at, "content", "is missing");
        }
        if (first)
                gemini_collect_extras(d->r.arena, node, "", members, &d->out->extras);
}

bool gemini_decode_embed_request(const struct client_input *in, struct embed_request *out, struct err *err)
{
        struct embed_decode d = {
                .r = {.arena = in->arena, .err = err}, .out = out, .path_model = in->path_model};
        json_object *root =
                json_parse(in->arena, in->body.at ? in->body.at : "", in->body.len, JSON_FROM_CLIENT, err);
        json_object *list = NULL;
        if (!root)
                return false;
        if (!json_object_is_type(root, json_type_object))
                return json_fail(&d.r, NULL, NULL, "expected an object, got %s", json_type_text(root));
        out->from = DIALECT_GEMINI;
        out->model = in->path_model;
        out->single = !in->path_batch;
        if (!in->path_batch) {
                decode_one(&d, root, NULL, true);
                return err->cause == ERR_NONE;
        }
        if (!json_need_array(&d.r, root, NULL, "requests", &list))
                return false;
        if (json_object_array_length(list) == 0)
                return json_fail(&d.r, NULL, "requests", "is empty");
        struct json_path at = {.key = "requests"};
        for (size_t i = 0; i < json_object_array_length(list) && err->cause == ERR_NONE; i++) {
                struct json_path here = {.up = &at, .index = i};
                decode_one(&d, json_object_array_get_idx(list, i), &here, i == 0);
        }
        return err->cause == ERR_NONE;
}

/* ---- the client's answer ---- */

/* The shortest text that reads back as the same float: the double's would be twice as long. */
static void write_float(struct json_writer *w, float value)
{
        char text[32];
        if (!isfinite(value)) {
                jw_int(w, 0);
                return;
        }
        for (int digits = 6; digits <= 9; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, (double)value);
                if (strtof(text, NULL) == value)
                        break;
        }
        jw_raw(w, text, strlen(text));
}

static void write_vector(struct json_writer *w, const struct embed_vector *v)
{
        jw_key_array(w, "values");
        for (size_t i = 0; i < v->count; i++)
                write_float(w, v->values[i]);
        jw_end(w);
}

void gemini_encode_embed_reply(const struct answer_context *c, const struct embed_reply *reply,
                               struct buf *out)
{
        struct json_writer w;
        json_writer_init(&w, out);
        jw_object(&w);
        if (!c->embed_batch && reply->vector_count == 1) {
                jw_key_object(&w, "embedding");
                write_vector(&w, &reply->vectors[0]);
                jw_end(&w);
        } else {
                jw_key_array(&w, "embeddings");
                for (size_t i = 0; i < reply->vector_count; i++) {
                        jw_object(&w);
                        write_vector(&w, &reply->vectors[i]);
                        jw_end(&w);
                }
                jw_end(&w);
        }
        if (reply->usage.known || reply->usage.estimated) {
                jw_key_object(&w, "usageMetadata");
                jw_key_int(&w, "promptTokenCount", reply->usage.input);
                jw_key_int(&w, "totalTokenCount", reply->usage.input);
                jw_end(&w);
        }
        jw_end(&w);
}

/* ---- the provider's request ---- */

static void write_input(struct json_writer *w, const struct embed_request *r, const struct embed_input *input,
                        const char *model)
{
        jw_object(w);
        jw_key_string(w, "model", model);
        jw_key_object(w, "content");
        jw_key_array(w, "parts");
        jw_object(w);
        jw_key_str(w, "text", input->text);
        jw_end(w);
        jw_end(w);
        jw_end(w);
        if (r->task_type)
                jw_key_string(w, "taskType", r->task_type);
        if (r->title)
                jw_key_string(w, "title", r->title);
        if (r->dimensions.set)
                jw_key_int(w, "outputDimensionality", r->dimensions.value);
        for (const struct chat_extra *x = r->from == DIALECT_GEMINI ? r->extras : NULL; x; x = x->next)
                jw_key_node(w, x->name, x->value);
        jw_end(w);
}

/* One entry for each input, always: some models make one vector of all parts of a content. */
bool gemini_encode_embed_request(struct arena *a, const struct embed_request *r, const struct wire_target *t,
                                 struct wire_request *out, struct err *err)
{
        struct json_writer w;
        const char *bare = strncmp(t->model, "models/", 7) == 0 ? t->model + 7 : t->model;
        const char *model = arena_printf(a, "models/%s", bare);
        out->method = "POST";
        out->path = gemini_path(a, t->model, "batchEmbedContents");
        json_writer_init(&w, &out->body);
        jw_object(&w);
        jw_key_array(&w, "requests");
        for (const struct embed_input *i = r->inputs; i; i = i->next) {
                const char *path = i->path ? i->path : "input";
                if (i->tokens)
                        return err_set(err, a, ERR_UNSUPPORTED, path, "%s: the target takes text, not tokens",
                                       path);
                write_input(&w, r, i, model);
        }
        jw_end(&w);
        jw_end(&w);
        if (!jw_done(&w))
                return err_set(err, a, ERR_TOO_LARGE, NULL, "the request is too large for the provider");
        return true;
}

/* ---- the provider's reply ---- */

static bool malformed(struct upstream_fault *fault, const char *why)
{
        *fault = (struct upstream_fault){.kind = FAULT_MALFORMED, .message = why};
        return false;
}

/*
 * A hundred vectors are hundreds of thousands of numbers, more than a tree may have nodes: they are read from
 * the text, and the number of the vector stands in their place in what is parsed.
 */
struct vectors {
        struct arena *arena;
        struct embed_vector *list;
        size_t count, max;
};

static const char *skip_space(const char *at, const char *end)
{
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
                at++;
        return at;
}

/* The end of a string that starts at the quote, after its own quote; end: there is none. */
static const char *string_end(const char *at, const char *end)
{
        for (at++; at < end && *at != '"'; at++) {
                if (*at == '\\')
                        at++;
        }
        return at < end ? at + 1 : end;
}

/* One number; NULL: none, or one that no float holds. */
static const char *take_float(const char *at, const char *end, float *out)
{
        char text[64], *stop;
        size_t len = 0;
        at = skip_space(at, end);
        while (at < end && len + 1 < sizeof text && *at && strchr("+-.0123456789eE", *at))
                text[len++] = *at++;
        text[len] = '\0';
        *out = strtof(text, &stop);
        return len && !*stop && isfinite(*out) ? skip_space(at, end) : NULL;
}

/* The numbers between brackets, from after the first; NULL: not only numbers, or too many. */
static const char *take_vector(struct vectors *v, const char *at, const char *end)
{
        size_t room = 1, count = 0;
        const char *close = memchr(at, ']', (size_t)(end - at));
        for (const char *c = at; close && c < close; c++)
                room += *c == ',';
        if (!close || room > VALUES_MAX || v->count == v->max)
                return NULL;
        float *values = arena_alloc(v->arena, room * sizeof *values);
        do {
                at = take_float(at, close, &values[count++]);
        } while (at && at < close && *at == ',' && count < room && (at++, true));
        if (!at || at != close)
                return NULL;
        v->list[v->count++] = (struct embed_vector){values, count};
        return close + 1;
}

/* False: a vector that is none. */
static bool lift_vectors(struct vectors *v, struct str body, struct buf *rest)
{
        static const char key[] = "\"values\"";
        const char *at = body.at, *end = body.at + body.len;
        while (at < end) {
                const char *quote = memchr(at, '"', (size_t)(end - at));
                const char *after = quote ? string_end(quote, end) : end;
                buf_add(rest, at, (size_t)(after - at));
                at = after;
                if (!quote || (size_t)(after - quote) != sizeof key - 1 ||
                    memcmp(quote, key, sizeof key - 1) != 0)
                        continue;
                const char *next = skip_space(at, end);
                next = next < end && *next == ':' ? skip_space(next + 1, end) : end;
                const char *first = next < end && *next == '[' ? skip_space(next + 1, end) : end;
                if (first >= end || !strchr("-0123456789", *first) || !*first)
                        continue;
                at = take_vector(v, first, end);
                if (!at)
                        return false;
                buf_addf(rest, ":%zu", v->count - 1);
        }
        return !rest->failed;
}

/* Vertex AI's older models answer with predictions, and count tokens in each. */
static json_object *vector_at(json_object *root, json_object *list, size_t i, struct chat_usage *usage)
{
        if (!list)
                return json_peek_object(root, "embedding");
        json_object *row = json_object_array_get_idx(list, i), *inner = json_peek_object(row, "embeddings");
        json_object *statistics = json_peek_object(inner, "statistics");
        if (statistics) {
                usage->known = true;
                usage->input += json_peek_count(statistics, "token_count");
        }
        return inner ? inner : row;
}

static void read_usage(json_object *root, struct chat_usage *usage)
{
        struct gemini_usage u = {0};
        gemini_usage_read(json_peek_object(root, "usageMetadata"), &u);
        if (u.seen)
                *usage = gemini_usage_canonical(&u);
}

static bool read_tree(json_object *root, size_t expected, const struct vectors *v, struct embed_reply *out,
                      struct upstream_fault *fault)
{
        json_object *error = gemini_error_of(root), *list = json_peek_array(root, "embeddings");
        if (error) {
                gemini_error_read(v->arena, 0, error, true, fault);
                return false;
        }
        if (!list)
                list = json_peek_array(root, "predictions");
        size_t count = list ? json_object_array_length(list) : json_peek_object(root, "embedding") ? 1 : 0;
        if (count != expected)
                return malformed(fault,
                                 arena_printf(v->arena, "%zu vectors for %zu inputs", count, expected));
        out->vectors = arena_alloc(v->arena, (count + 1) * sizeof *out->vectors);
        for (size_t i = 0; i < count; i++) {
                json_object *number = json_peek(vector_at(root, list, i, &out->usage), "values");
                int64_t at = json_object_is_type(number, json_type_int) ? json_object_get_int64(number) : -1;
                if (at < 0 || (uint64_t)at >= v->count)
                        return malformed(fault, "a vector without values");
                out->vectors[i] = v->list[at];
        }
        out->vector_count = count;
        read_usage(root, &out->usage);
        return true;
}

bool gemini_decode_embed_reply(struct arena *a, struct str body, size_t expected, struct embed_reply *out,
                               struct upstream_fault *fault)
{
        struct vectors v = {.arena = a, .max = expected};
        struct err err = {0};
        struct buf rest;
        bool ok = false;
        if (expected > VECTORS_MAX)
                return malformed(fault, "more vectors than can be");
        v.list = arena_alloc(a, (expected + 1) * sizeof *v.list);
        buf_init(&rest, body.len + expected * 24 + 1);
        if (!body.len || !lift_vectors(&v, body, &rest)) {
                malformed(fault, "a vector that is none, or more than were asked for");
        } else {
                json_object *root = json_parse(a, rest.data, rest.len, JSON_FROM_PROVIDER, &err);
                ok = root ? read_tree(root, expected, &v, out, fault) : malformed(fault, err.message);
        }
        buf_release(&rest);
        return ok;
}
