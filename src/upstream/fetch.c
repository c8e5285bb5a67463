#include "upstream/fetch.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "dialect/image.h"

/* Whether libcurl or we ourselves saw it first. */
static const char too_late[] = "it took too long";

enum { REDIRECTS_MAX = 3, HEADER_BYTES_MAX = 64 * 1024, CONNECT_MS = 5000 };

/* What all targets that want bytes take. */
static const char *const types_taken[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};

struct fetching {
        struct arena *arena;
        const struct config *config;
        CURLM *multi;
        int64_t end_ms;
        size_t total, total_max; /* bytes of all images together */
        struct meter *memory;    /* or NULL */
        int64_t taken;
        bool starved; /* an image found no room */
        struct transfer_job {
                struct fetching *all;
                struct fetch_job *job;
                CURL *easy;
                const char *url, *host; /* of the step under way */
                unsigned redirects;
                size_t header_bytes;
                struct buf bytes;
                const char *cause; /* why not, for the log */
                bool ended;
        } * jobs;
        size_t count, running;
};

/* ---------------------------------------------------------------- for the log */

/* Scheme, host and path: what else a URL has may be a secret. */
static const char *url_without_secrets(struct arena *a, const char *url)
{
        CURLU *u = curl_url();
        char *text = NULL;
        const char *out = "a URL that is none";
        if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
                curl_url_set(u, CURLUPART_QUERY, NULL, 0);
                curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
                curl_url_set(u, CURLUPART_USER, NULL, 0);
                curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
                if (curl_url_get(u, CURLUPART_URL, &text, CURLU_NO_DEFAULT_PORT) == CURLUE_OK)
                        out = arena_strdup(a, text);
        }
        curl_free(text);
        curl_url_cleanup(u);
        return out;
}

static const char *host_of(struct arena *a, const char *url)
{
        CURLU *u = curl_url();
        char *host = NULL;
        const char *out = "";
        if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK)
                out = arena_strdup(a, host);
        curl_free(host);
        curl_url_cleanup(u);
        return out;
}

/* ---------------------------------------------------------------- one image */

/* The one place where an address is final: whatever a name meant a moment ago, this is what will be connected
 * to. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
        struct transfer_job *j = context;
        const struct config *c = j->all->config;
        if (purpose != CURLSOCKTYPE_IPCXN ||
            !fetch_address_allowed(&address->addr, j->host, c->fetch.allow, c->fetch.allow_count)) {
                j->cause = "its address is refused";
                return CURL_SOCKET_BAD;
        }
        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
        struct transfer_job *j = context;
        (void)line;
        j->header_bytes += size * count;
        if (j->header_bytes <= HEADER_BYTES_MAX)
                return size * count;
        j->cause = "its headers are too long";
        return 0;
}

/* For the bytes, and for their base64 later. */
static bool take_memory(struct fetching *f, size_t len)
{
        int64_t more = (int64_t)(len * 7 / 3 + 1);
        if (!f->memory)
                return true;
        if (!meter_take(f->memory, more, f->config->max_memory))
                return false;
        f->taken += more;
        return true;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
        struct transfer_job *j = context;
        size_t len = size * count;
        j->all->total += len;
        if (!take_memory(j->all, len)) {
                j->all->starved = true;
                j->cause = "there is no room for it in max_memory now";
                return 0;
        }
        if (j->all->total <= j->all->total_max && buf_add(&j->bytes, bytes, len))
                return len;
        j->cause = "it is too large";
        return 0;
}

/* Starts the next step: the first URL or where a redirect points. False: it may not be asked. */
static bool step(struct transfer_job *j, const char *url)
{
        struct fetching *f = j->all;
        int64_t left = f->end_ms - clock_now_ms();

        if (!fetch_url_allowed(url, f->config->fetch.allow, f->config->fetch.allow_count)) {
                j->cause = "its URL is refused";
                return false;
        }
        j->url = arena_strdup(f->arena, url);
        j->host = host_of(f->arena, url);
        f->total -= j->bytes.len;
        buf_reset(&j->bytes);
        curl_easy_setopt(j->easy, CURLOPT_URL, j->url);
        curl_easy_setopt(j->easy, CURLOPT_TIMEOUT_MS, (long)(left > 1 ? left : 1));
        if (curl_multi_add_handle(f->multi, j->easy) == CURLM_OK)
                return true;
        j->cause = "no transfer could be made";
        return false;
}

static void set_up(struct transfer_job *j)
{
        CURL *e = j->easy;
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs must not hold us */
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
        curl_easy_setopt(e, CURLOPT_USERAGENT, "tollgate");
        curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)j->all->config->fetch.max);
        curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, j);
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(e, CURLOPT_HEADERDATA, j);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
        curl_easy_setopt(e, CURLOPT_WRITEDATA, j);
        curl_easy_setopt(e, CURLOPT_PRIVATE, j);
}

static bool type_taken(const char *type)
{
        for (size_t i = 0; i < sizeof types_taken / sizeof *types_taken; i++) {
                if (strcmp(types_taken[i], type) == 0)
                        return true;
        }
        return false;
}

static void keep_image(struct transfer_job *j)
{
        struct image_info info;
        if (!image_identify(j->bytes.data, j->bytes.len, &info) || !type_taken(info.media_type)) {
                j->cause = "its bytes are no image of a kind that is taken";
                return;
        }
        struct buf *text = buf_in_arena(j->all->arena, j->bytes.len / 3 * 4 + 8);
        buf_reserve(text, j->bytes.len / 3 * 4 + 4);
        text_base64_encode(text, j->bytes.data, j->bytes.len);
        *j->job->out = (struct chat_source){.kind = SOURCE_BASE64,
                                            .media_type = info.media_type,
                                            .data = {.at = text->data, .len = text->len}};
        buf_release(&j->bytes); /* the largest thing here: not kept until all are there */
        buf_init(&j->bytes, 0);
}

/* True when the transfer goes on at another URL. */
static bool follow(struct transfer_job *j, CURLcode result)
{
        long status = 0;
        char *next = NULL;
        curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(j->easy, CURLINFO_REDIRECT_URL, &next);
        if (result != CURLE_OK) {
                if (!j->cause)
                        j->cause = result == CURLE_OPERATION_TIMEDOUT ? too_late : curl_easy_strerror(result);
        } else if (status >= 300 && status < 400 && next) {
                if (++j->redirects <= REDIRECTS_MAX)
                        return step(j, arena_strdup(j->all->arena, next));
                j->cause = "it is redirected too often";
        } else if (status != 200) {
                j->cause = arena_printf(j->all->arena, "its server answers %ld", status);
        } else {
                keep_image(j);
        }
        return false;
}

/* ---------------------------------------------------------------- all of them */

static void collect(struct fetching *f)
{
        int left;
        for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));) {
                struct transfer_job *j = NULL;
                CURLcode result = m->data.result;
                if (m->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&j);
                curl_multi_remove_handle(f->multi, j->easy);
                if (!follow(j, result)) {
                        j->ended = true;
                        f->running--;
                }
        }
}

static const struct transfer_job *first_failed(const struct fetching *f)
{
        for (size_t i = 0; i < f->count; i++) {
                if (f->jobs[i].cause)
                        return &f->jobs[i];
        }
        return NULL;
}

static void start(struct fetching *f, struct fetch_job *jobs)
{
        for (size_t i = 0; i < f->count; i++) {
                struct transfer_job *j = &f->jobs[i];
                *j = (struct transfer_job){.all = f, .job = &jobs[i], .url = jobs[i].url, .ended = true};
                buf_init(&j->bytes, (size_t)f->config->fetch.max);
                if (!(j->easy = curl_easy_init()))
                        abort();
                set_up(j);
                if (step(j, jobs[i].url)) {
                        j->ended = false;
                        f->running++;
                }
        }
}

static void drive(struct fetching *f)
{
        int running;
        while (f->running && !first_failed(f)) {
                int64_t left = f->end_ms - clock_now_ms();
                curl_multi_perform(f->multi, &running);
                collect(f);
                if (left <= 0)
                        break;
                if (f->running && !first_failed(f))
                        curl_multi_poll(f->multi, NULL, 0, left < 1000 ? (int)left : 1000, NULL);
        }
        for (size_t i = 0; i < f->count; i++) {
                if (!f->jobs[i].ended && !f->jobs[i].cause && !first_failed(f))
                        f->jobs[i].cause = too_late;
        }
}

static void clean_up(struct fetching *f)
{
        for (size_t i = 0; i < f->count; i++) {
                curl_multi_remove_handle(f->multi, f->jobs[i].easy);
                curl_easy_cleanup(f->jobs[i].easy);
                buf_release(&f->jobs[i].bytes);
        }
        curl_multi_cleanup(f->multi);
}

bool fetch_images(struct arena *a, const struct config *c, struct meter *memory, int64_t *taken,
                  struct fetch_job *jobs, size_t count, struct err *err)
{
        struct fetching f = {
                .arena = a,
                .config = c,
                .memory = memory,
                .count = count,
                .end_ms = clock_now_ms() + c->fetch.timeout_ms,
                .total_max = (size_t)(c->fetch.max > c->max_body ? c->fetch.max : c->max_body),
        };
        if (count == 0)
                return true;
        if (c->fetch.images >= 0 && count > (size_t)c->fetch.images) {
                return err_set(err, a, ERR_BAD_REQUEST, jobs[c->fetch.images].path,
                               "%s: at most %" PRId64 " images by URL are fetched for one request",
                               jobs[c->fetch.images].path, c->fetch.images);
        }
        if (!(f.multi = curl_multi_init()))
                abort();
        f.jobs = arena_alloc(a, count * sizeof *f.jobs);
        start(&f, jobs);
        drive(&f);
        const struct transfer_job *failed = first_failed(&f);
        if (failed) {
                log_info("fetch: %s for %s: %s", url_without_secrets(a, failed->url), failed->job->path,
                         failed->cause);
                if (f.starved) {
                        err_set(err, a, ERR_OVERLOADED, NULL,
                                "too many bodies and answers in flight; try again");
                        err->retry_after_ms = 1000;
                } else {
                        err_set(err, a, ERR_BAD_REQUEST, failed->job->path,
                                "%s: the image could not be fetched", failed->job->path);
                }
        }
        clean_up(&f);
        *taken += f.taken;
        return !failed;
}
