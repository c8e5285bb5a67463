#include "dialect/gemini.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- paths ---- */

const char *gemini_path(struct arena *a, const char *model, const char *method)
{
        static const char prefix[] = "models/", hex[] = "0123456789ABCDEF";
        if (strncmp(model, prefix, sizeof prefix - 1) == 0)
                model += sizeof prefix - 1;
        bool tuned = strncmp(model, "tunedModels/", 12) == 0;
        char *out = arena_alloc(a, strlen(model) * 3 + strlen(method) + 32), *to = out;
        to += sprintf(to, "/v1beta/%s", tuned ? "" : prefix);
        for (const unsigned char *c = (const unsigned char *)model; *c; c++) {
                if (isalnum(*c) || strchr("-._~", *c) ||
                    (*c == '/' && tuned && (const char *)c == model + 11)) {
                        *to++ = (char)*c;
                } else {
                        *to++ = '%';
                        *to++ = hex[*c >> 4];
                        *to++ = hex[*c & 15];
                }
        }
        sprintf(to, ":%s", method);
        return out;
}

void gemini_address_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                 struct wire_request *out)
{
        out->method = "POST";
        out->path = gemini_path(a, t->model, r->stream ? "streamGenerateContent?alt=sse" : "generateContent");
}

/* ---- the index of calls ---- */

static int compare_rows(const void *one, const void *two)
{
        const struct gemini_call_row *a = one, *b = two;
        int by_id = strcmp(a->id, b->id);
        return by_id ? by_id : (a->order > b->order) - (a->order < b->order);
}

static void index_calls(struct gemini_contents *c)
{
        size_t count = 0;
        for (const struct chat_message *m = c->e->r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next)
                        count += b->type == BLOCK_TOOL_CALL;
        }
        c->rows = arena_alloc(c->e->arena, (count + 1) * sizeof *c->rows);
        for (const struct chat_message *m = c->e->r->messages; m; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type == BLOCK_TOOL_CALL) {
                                c->rows[c->row_count] =
                                        (struct gemini_call_row){b->id ? b->id : "", b->name, c->row_count};
                                c->row_count++;
                        }
                }
        }
        qsort(c->rows, c->row_count, sizeof *c->rows, compare_rows);
}

/* The last call of that id before the place we are at; NULL: none. */
const struct gemini_call_row *gemini_find_call(const struct gemini_contents *c, const char *id)
{
        size_t low = 0, high = c->row_count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int by_id = strcmp(c->rows[middle].id, id);
                if (by_id < 0 || (by_id == 0 && c->rows[middle].order < c->calls_seen))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 && strcmp(c->rows[low - 1].id, id) == 0 ? &c->rows[low - 1] : NULL;
}

/* ---- turns ---- */

static void begin_content(struct gemini_contents *c, const char *role)
{
        struct json_writer *w = &c->e->w;
        jw_object(w);
        jw_key_string(w, "role", role);
        jw_key_array(w, "parts");
        c->any = true;
}

static void end_content(struct gemini_contents *c)
{
        jw_end(&c->e->w);
        jw_end(&c->e->w);
}

static bool is_system(const struct chat_message *m)
{
        return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

/* Messages of one turn: all of the model's, or all of the user's, up to the next of another kind. */
static const struct chat_message *turn_end(const struct chat_message *m)
{
        enum chat_role role = m->role;
        while (m && m->role == role)
                m = m->next;
        return m;
}

struct result_row {
        const struct chat_block *block;
        size_t order;
};

static int compare_results(const void *one, const void *two)
{
        const struct result_row *a = one, *b = two;
        return (a->order > b->order) - (a->order < b->order);
}

/* Results of a turn in the order of their calls; those of unknown calls keep their place at the end. */
static struct result_row *turn_results(struct gemini_contents *c, const struct chat_message *from,
                                       const struct chat_message *to, size_t *count)
{
        size_t n = 0;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next)
                        n += b->type == BLOCK_TOOL_RESULT;
        }
        *count = n;
        struct result_row *rows = arena_alloc(c->e->arena, (n + 1) * sizeof *rows);
        n = 0;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TOOL_RESULT)
                                continue;
                        const struct gemini_call_row *call = b->id ? gemini_find_call(c, b->id) : NULL;
                        rows[n] = (struct result_row){b, call ? call->order : c->row_count + n};
                        n++;
                }
        }
        qsort(rows, n, sizeof *rows, compare_results);
        return rows;
}

static bool write_results(struct gemini_contents *c, const struct chat_message *from,
                          const struct chat_message *to)
{
        size_t count;
        struct result_row *rows = turn_results(c, from, to, &count);
        if (!count)
                return true;
        begin_content(c, "user");
        for (size_t i = 0; i < count; i++) {
                if (!gemini_result_part(c, rows[i].block))
                        return false;
        }
        /* Models that take no media within a result get it after all results, so that these stay together. */
        for (size_t i = 0; i < count && c->e->target->caps.tool_result_images != TRI_YES; i++) {
                if (!gemini_result_media(c->e, rows[i].block))
                        return false;
        }
        end_content(c);
        return true;
}

static bool write_turn(struct gemini_contents *c, const struct chat_message *from,
                       const struct chat_message *to)
{
        const char *role = from->role == CHAT_ASSISTANT ? "model" : "user";
        bool open = false;
        if (from->role == CHAT_ASSISTANT)
                c->step_signed = false;
        else if (!write_results(c, from, to))
                return false;
        for (const struct chat_message *m = from; m != to; m = m->next) {
                for (const struct chat_block *b = m->blocks; b; b = b->next) {
                        if (!gemini_is_said(c->e, b))
                                continue;
                        if (!open && !c->any && from->role == CHAT_ASSISTANT) {
                                /* A conversation starts with the user here. */
                                begin_content(c, "user");
                                gemini_text_part(&c->e->w, str_of("Begin."));
                                end_content(c);
                        }
                        if (!open)
                                begin_content(c, role);
                        open = true;
                        if (!gemini_write_block(c, b))
                                return false;
                }
        }
        if (open)
                end_content(c);
        return true;
}

/* System words in mid-conversation: there is no role for them, so they are marked within the user's. */
static void write_late_system(struct gemini_contents *c, const struct chat_message *m)
{
        struct str text = chat_join_text(c->e->arena, m->blocks);
        if (!text.len)
                return;
        begin_content(c, "user");
        gemini_text_part(&c->e->w, str_of(arena_printf(c->e->arena, "<system>\n%s\n</system>", text.at)));
        end_content(c);
}

static const struct chat_message *write_system(struct gemini_encode *e)
{
        const struct chat_message *m = e->r->messages;
        bool open = false;
        while (m && is_system(m))
                m = m->next;
        if (!m)
                return e->r->messages; /* nothing else: it is what the user says */
        for (const struct chat_message *s = e->r->messages; s != m; s = s->next) {
                for (const struct chat_block *b = s->blocks; b; b = b->next) {
                        if (b->type != BLOCK_TEXT || !b->text.len)
                                continue;
                        if (!open) {
                                jw_key_object(&e->w, "systemInstruction");
                                jw_key_array(&e->w, "parts");
                                open = true;
                        }
                        gemini_text_part(&e->w, b->text);
                }
        }
        if (open) {
                jw_end(&e->w);
                jw_end(&e->w);
        }
        return m;
}

bool gemini_encode_contents(struct gemini_encode *e)
{
        struct gemini_contents c = {.e = e};
        const struct chat_message *m = write_system(e);
        bool only_system = m && is_system(m);
        index_calls(&c);
        jw_key_array(&e->w, "contents");
        while (m) {
                const struct chat_message *end = turn_end(m);
                if (only_system) {
                        begin_content(&c, "user");
                        gemini_text_part(&e->w, chat_join_text(e->arena, m->blocks));
                        end_content(&c);
                        end = m->next;
                } else if (is_system(m)) {
                        write_late_system(&c, m);
                        end = m->next;
                } else if (!write_turn(&c, m, end)) {
                        return false;
                }
                m = end;
        }
        jw_end(&e->w);
        return c.any || err_set(e->err, e->arena, ERR_BAD_REQUEST, NULL, "the request has no content");
}

bool gemini_encode_chat_request(struct arena *a, const struct chat_request *r, const struct wire_target *t,
                                struct wire_request *out, struct err *err)
{
        struct gemini_encode e = {.arena = a, .r = r, .target = t, .err = err};
        gemini_address_chat_request(a, r, t, out);
        json_writer_init(&e.w, &out->body);
        jw_object(&e.w);
        if (!gemini_encode_contents(&e) || !gemini_encode_tools(&e) || !gemini_encode_config(&e))
                return false;
        gemini_encode_extras(&e, "");
        jw_end(&e.w);
        if (!jw_done(&e.w))
                return err_set(err, a, ERR_TOO_LARGE, NULL, "the request is too large for the provider");
        return true;
}
