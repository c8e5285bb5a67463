/* The pages for people: GET /, GET /status, their stylesheet and scripts. */
#include <string.h>

#include "base/html.h"
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

static void who(struct exchange *x, struct buf *out)
{
        const struct identity *i = &x->identity;
        if (i->kind == IDENTITY_USER || i->kind == IDENTITY_CERTIFICATE)
                html_string(out, i->name);
        else
                buf_adds(out, i->account ? "not logged in" : "");
        if (!i->account)
                return;
        buf_adds(out, " · account ");
        html_string(out, i->account->name);
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
                html_string(out, m->name);
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

static void put_status(struct exchange *x, struct buf *out)
{
        if (exchange_by_operator(x))
                buf_adds(out, "<a href=\"status\">Status</a>");
}

static void put_identity(struct exchange *x, struct buf *out)
{
        html_string(out, identity_kind_name(x->identity.kind));
}

static const struct mark {
        const char *text;
        void (*put)(struct exchange *x, struct buf *out);
} marks[] = {{"<!--who-->", who},         {"<!--chat-->", put_chat},     {"<!--vision-->", put_vision},
             {"<!--embed-->", put_embed}, {"<!--status-->", put_status}, {"<!--identity-->", put_identity}};

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

/* ---- the mount without its slash ---- */

/* The path as the browser wrote it, where the server tells. */
static const char *asked_path(const struct exchange *x)
{
        const char *uri = client_variable(x->client, "REQUEST_URI");
        if (!uri || *uri != '/')
                return x->request.full_path;
        return arena_strndup(x->arena, uri, strcspn(uri, "?#"));
}

static bool ends_in_slash(const char *path)
{
        size_t len = strlen(path);
        return !len || path[len - 1] == '/';
}

/* What the page links would be looked for one folder above. Relative, as what stands before the mount is the
 * business of proxies. */
static bool redirect_to_slash(struct exchange *x, const char *path)
{
        const struct relay_client *sink = x->sink;
        const char *last = strrchr(path, '/');
        struct relay_head head = {.status = 308, .header_count = 1};
        head.headers[0] =
                (struct relay_header){"location", arena_printf(x->arena, "./%s/", last ? last + 1 : path)};
        x->status = head.status;
        if (sink->begin(sink->context, &head))
                sink->flush(sink->context);
        return true;
}

/* ---- the handler ---- */

/* A file that was asked for by the version of this program may be kept for good; a page never. */
static void set_cache(struct exchange *x)
{
        const struct form_field *v = form_find(&x->request.query, "v");
        client_set_header(x->client, "cache-control",
                          v && str_is(v->value, page_version) ? "public, max-age=31536000, immutable"
                                                              : "no-cache");
}

bool handle_page(struct exchange *x, struct err *err)
{
        const char *path = asked_path(x);
        if (strcmp(x->request.path, "/") == 0 && !ends_in_slash(path) && !ends_in_slash(x->request.full_path))
                return redirect_to_slash(x, path);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                const struct page_data *d =
                        strcmp(files[i].path, x->request.path) == 0 ? data_of(files[i].name) : NULL;
                if (!d)
                        continue;
                struct buf *out = buf_in_arena(x->arena, PAGE_MAX);
                if (strncmp(files[i].type, "text/html", 9) == 0)
                        fill(x, d, out);
                else if (buf_add(out, d->bytes, d->len))
                        set_cache(x);
                if (out->failed)
                        return err_set(err, x->arena, ERR_INTERNAL, NULL, "the page is too long");
                exchange_answer(x, files[i].type, (struct str){out->data, out->len});
                return true;
        }
        return err_set(err, x->arena, ERR_NOT_FOUND, NULL, "no such path here");
}
