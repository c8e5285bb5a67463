/* Answers as pages, for forms without JavaScript. What models say and callers sent becomes text. */
#include <math.h>

#include "base/html.h"
#include "dialect/plain_internal.h"

enum { SHOWN_NUMBERS = 8, MATRIX_MAX = 32 };

static const char *home(const struct answer_context *c)
{
        return c->home ? c->home : "./";
}

static void head(struct buf *out, const struct answer_context *c, const char *title)
{
        buf_addf(out,
                 "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<title>%s · Tollgate</title>\n<link rel=\"icon\" href=\"data:,\">\n"
                 "<link rel=\"stylesheet\" href=\"%spage.css\">\n</head>\n<body>\n"
                 "<header><strong>Tollgate</strong> <nav aria-label=\"Pages\"><a href=\"%s\">Try "
                 "it</a></nav></header>\n"
                 "<main>\n<h1>%s</h1>\n",
                 title, home(c), home(c), title);
}

static void foot(struct buf *out, const struct answer_context *c)
{
        buf_addf(out, "<p><a href=\"%s\">Ask something else</a></p>\n</main>\n</body>\n</html>\n", home(c));
}

static void fact(struct buf *out, const char *name, const char *value)
{
        if (!value || !*value)
                return;
        buf_addf(out, "<div><dt>%s</dt><dd>", name);
        html_string(out, value);
        buf_adds(out, "</dd></div>\n");
}

/* finish NULL: there is no such thing. */
static void facts(struct buf *out, const struct answer_context *c, const char *served,
                  const struct chat_usage *u, const char *finish)
{
        buf_adds(out, "<dl class=\"facts\">\n");
        fact(out, "Model", c->model_asked);
        fact(out, "Version", c->version);
        fact(out, "Provider", c->provider);
        fact(out, "Served by", served);
        fact(out, "Finish", finish);
        fact(out, "Tokens",
             arena_printf(c->arena, "%lld in, %lld out", (long long)u->input, (long long)u->output));
        if (c->cost)
                fact(out, "Cost", arena_printf(c->arena, "%s %s", c->cost, c->currency));
        fact(out, "Time", arena_printf(c->arena, "%.2f s", (double)c->latency_ms / 1000));
        fact(out, "Request", c->request_id);
        buf_adds(out, "</dl>\n");
}

static void tool_call(struct buf *out, struct arena *a, const struct chat_block *call)
{
        json_object *arguments = chat_arguments_object(a, call);
        buf_adds(out, "<li>");
        html_string(out, call->name);
        buf_addc(out, ' ');
        html_string(out, json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN));
        buf_adds(out, "</li>\n");
}

void plain_write_page(const struct answer_context *c, const struct plain_answer *answer, struct buf *out)
{
        head(out, c, "Answer");
        buf_adds(out, "<section aria-label=\"Answer\"><ol class=\"talk\"><li>");
        html_text(out, answer->text);
        buf_adds(out, "</li>\n");
        for (const struct chat_block *b = answer->calls; b; b = b->next) {
                if (b->type == BLOCK_TOOL_CALL)
                        tool_call(out, c->arena, b);
        }
        buf_adds(out, "</ol>\n");
        facts(out, c, answer->served_model, &answer->usage, plain_finish_word(answer->finish));
        buf_adds(out, "</section>\n");
        foot(out, c);
}

static double cosine(const struct embed_vector *a, const struct embed_vector *b)
{
        double ab = 0, aa = 0, bb = 0;
        for (size_t i = 0; i < a->count && i < b->count; i++) {
                ab += (double)a->values[i] * (double)b->values[i];
                aa += (double)a->values[i] * (double)a->values[i];
                bb += (double)b->values[i] * (double)b->values[i];
        }
        return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The page's style has a shade for each tenth. */
static void near_cell(struct buf *out, double near)
{
        buf_addf(out, "<td class=\"n%d\">%.3f</td>", near <= 0 ? 0 : near >= 1 ? 10 : (int)(near * 10), near);
}

static void matrix(struct buf *out, const struct embed_reply *reply)
{
        buf_adds(out, "<div class=\"scroll\"><table class=\"matrix\"><caption class=\"note\">How near the "
                      "texts are to one "
                      "another (cosine)</caption><thead><tr><td></td>");
        for (size_t i = 0; i < reply->vector_count; i++)
                buf_addf(out, "<th scope=\"col\">Text %zu</th>", i + 1);
        buf_adds(out, "</tr></thead><tbody>");
        for (size_t i = 0; i < reply->vector_count; i++) {
                buf_addf(out, "<tr><th scope=\"row\">Text %zu</th>", i + 1);
                for (size_t k = 0; k < reply->vector_count; k++)
                        near_cell(out, cosine(&reply->vectors[i], &reply->vectors[k]));
                buf_adds(out, "</tr>");
        }
        buf_adds(out, "</tbody></table></div>\n");
}

void plain_write_vectors_page(const struct answer_context *c, const struct embed_reply *reply,
                              struct buf *out)
{
        head(out, c, "Vectors");
        buf_adds(out, "<section aria-label=\"Vectors\">\n");
        if (reply->vector_count <= MATRIX_MAX)
                matrix(out, reply);
        for (size_t i = 0; i < reply->vector_count; i++) {
                const struct embed_vector *v = &reply->vectors[i];
                buf_addf(out, "<p class=\"note\">Text %zu, %zu numbers:", i + 1, v->count);
                for (size_t n = 0; n < v->count && n < SHOWN_NUMBERS; n++)
                        buf_addf(out, " %.6g", (double)v->values[n]);
                buf_adds(out, v->count > SHOWN_NUMBERS ? " …</p>\n" : "</p>\n");
        }
        facts(out, c, reply->model, &reply->usage, NULL);
        buf_adds(out, "</section>\n");
        foot(out, c);
}

void plain_write_error_page(const struct answer_context *c, const struct err *e, struct buf *out)
{
        head(out, c, "This did not work");
        buf_adds(out, "<section><p class=\"error\" role=\"alert\">");
        html_string(out, e->message ? e->message : "");
        buf_adds(out, "</p>\n<dl class=\"facts\">\n");
        fact(out, "Status", arena_printf(c->arena, "%d", err_status(e)));
        fact(out, "Code", e->code ? e->code : err_row(e->cause)->plain_code);
        fact(out, "Request", c->request_id);
        buf_adds(out, "</dl></section>\n");
        foot(out, c);
}
