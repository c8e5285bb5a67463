/* The pages for people: GET /, GET /status, their stylesheet and scripts. */
#include <string.h>

#include "base/text.h"
#include "gateway/exchange.h"
#include "gateway/pages_data.h"
#include "policy/route.h"

enum { PAGE_MAX = 4 << 20 };

static const struct page_file {
        const char *path, *name, *type;
} files[] = {
        {"/", "try.html", "text/html; charset=utf-8"},
        {"/status", "status.html", "text/html; charset=utf-8"},
        {"/page.css", "page.css", "text/css; charset=utf-8"},
        {"/try.js", "try.js", "text/javascript; charset=utf-8"},
        {"/status.js", "status.js", "text/javascript; charset=utf-8"},
};

static const struct page_data *data_of(const char *name)
{
        for (const struct page_data *d = page_data; d->name; d++) {
                if (strcmp(d->name, name) == 0)
                        return d;
        }
        return NULL;
}

/* ---- what a page says of its reader ---- */

static void html(struct buf *out, const char *s)
{
        for (; *s; s++) {
                switch (*s) {
                case '&': buf_adds(out, "&amp;"); break;
                case '<': buf_adds(out, "&lt;"); break;
                case '>': buf_adds(out, "&gt;"); break;
                case '"': buf_adds(out, "&quot;"); break;
                default: buf_addc(out, (unsigned char)*s < ' ' ? ' ' : *s);
                }
        }
}

static void who(struct exchange *x, struct buf *out)
{
        const struct identity *i = &x->identity;
        if (i->kind == IDENTITY_USER || i->kind == IDENTITY_CERTIFICATE)
                html(out, i->name);
        else
                buf_adds(out, i->account ? "not logged in" : "");
        if (!i->account)
                return;
        buf_adds(out, " · account ");
        html(out, i->account->name);
}

static bool offers(const struct exchange *x, const struct config_model *m, unsigned task)
{
        return (m->tasks & task) && route_allowed(x->identity.account, m->name);
}

static void options(struct exchange *x, struct buf *out, unsigned task, const char *preferred)
{
        size_t count = 0;
        for (size_t i = 0; i < x->config->model_count; i++) {
                const struct config_model *m = &x->config->models[i];
                if (!offers(x, m, task))
                        continue;
                buf_addf(out, "<option%s>", preferred && strcmp(preferred, m->name) == 0 ? " selected" : "");
                html(out, m->name);
                buf_adds(out, "</option>");
                count++;
        }
        if (!count)
                buf_adds(out, "<option value=\"\">none for you</option>");
}

static void put_chat(struct exchange *x, struct buf *out)
{
        options(x, out, TASK_CHAT, x->config->defaults.chat);
}

static void put_vision(struct exchange *x, struct buf *out)
{
        options(x, out, TASK_VISION, x->config->defaults.vision);
}

static void put_embed(struct exchange *x, struct buf *out)
{
        options(x, out, TASK_EMBED, x->config->defaults.embed);
}

static const struct mark {
        const char *text;
        void (*put)(struct exchange *x, struct buf *out);
} marks[] = {{"<!--who-->", who},
             {"<!--chat-->", put_chat},
             {"<!--vision-->", put_vision},
             {"<!--embed-->", put_embed}};

static void fill(struct exchange *x, const struct page_data *d, struct buf *out)
{
        const char *s = d->bytes, *end = d->bytes + d->len, *next;
        while ((next = memmem(s, (size_t)(end - s), "<!--", 4))) {
                buf_add(out, s, (size_t)(next - s));
                s = next;
                size_t i = 0, count = sizeof marks / sizeof *marks;
                while (i < count && strncmp(s, marks[i].text, strlen(marks[i].text)) != 0)
                        i++;
                if (i < count)
                        marks[i].put(x, out);
                else
                        buf_add(out, s, 4);
                s += i < count ? strlen(marks[i].text) : 4;
        }
        buf_add(out, s, (size_t)(end - s));
}

bool handle_page(struct exchange *x, struct err *err)
{
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                const struct page_data *d =
                        strcmp(files[i].path, x->request.path) == 0 ? data_of(files[i].name) : NULL;
                if (!d)
                        continue;
                struct buf *out = buf_in_arena(x->arena, PAGE_MAX);
                if (strncmp(files[i].type, "text/html", 9) == 0)
                        fill(x, d, out);
                else
                        buf_add(out, d->bytes, d->len);
                if (out->failed)
                        return err_set(err, x->arena, ERR_INTERNAL, NULL, "the page is too long");
                exchange_answer(x, files[i].type, (struct str){out->data, out->len});
                return true;
        }
        return err_set(err, x->arena, ERR_NOT_FOUND, NULL, "no such path here");
}
