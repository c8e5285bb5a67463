#include "upstream/trust.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* A renewed bundle is noticed after this long. */
enum { STORE_LIFE_MS = 3600 * 1000 };

struct trust_store {
        struct trust_store *next;
        char *ca; /* "": the system's alone */
        X509_STORE *store;
        int64_t made_ms;
};

struct trust {
        pthread_mutex_t lock;
        struct trust_store *stores;
        char *file, *path; /* where this libcurl looks for the system's authorities; NULL: nowhere */
};

/* A folder of links named by hash is read one certificate at a time when needed: no bundle in memory. */
static bool is_hashed(const char *path)
{
        DIR *dir = opendir(path);
        if (!dir)
                return false;
        bool found = false;
        for (const struct dirent *e; !found && (e = readdir(dir));)
                found = strspn(e->d_name, "0123456789abcdef") == 8 && strcmp(e->d_name + 8, ".0") == 0;
        closedir(dir);
        return found;
}

struct trust *trust_new(void)
{
        const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
        if (!version->ssl_version || !strstr(version->ssl_version, "OpenSSL"))
                return NULL;
        struct trust *t = calloc(1, sizeof *t);
        CURL *easy = curl_easy_init();
        if (!t || !easy)
                abort();
        pthread_mutex_init(&t->lock, NULL);
        char *file = NULL, *path = NULL;
        curl_easy_getinfo(easy, CURLINFO_CAINFO, &file);
        curl_easy_getinfo(easy, CURLINFO_CAPATH, &path);
        if (path && is_hashed(path))
                t->path = strdup(path);
        else if (file)
                t->file = strdup(file);
        curl_easy_cleanup(easy);
        return t;
}

static void store_free(struct trust_store *s)
{
        X509_STORE_free(s->store);
        free(s->ca);
        free(s);
}

void trust_free(struct trust *t)
{
        if (!t)
                return;
        for (struct trust_store *s = t->stores, *next; s; s = next) {
                next = s->next;
                store_free(s);
        }
        pthread_mutex_destroy(&t->lock);
        free(t->file);
        free(t->path);
        free(t);
}

static X509_STORE *store_make(const struct trust *t, const char *ca)
{
        X509_STORE *store = X509_STORE_new();
        if (!store)
                return NULL;
        int ok = t->path   ? X509_STORE_load_path(store, t->path)
                 : t->file ? X509_STORE_load_file(store, t->file)
                           : X509_STORE_set_default_paths(store);
        if (!ok)
                log_warn("the system's certificate authorities could not be read");
        /* libcurl reads `ca` too, into this store, and fails the transfer if that is no good. */
        if (*ca && !X509_STORE_load_file(store, ca))
                log_warn("the certificate authorities of %s could not be read", ca);
        /* An intermediate or leaf in `ca` counts as an anchor, as it does for libcurl. */
        X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
        ERR_clear_error();
        return store;
}

/* With a reference of the caller's. */
static X509_STORE *store_get(struct trust *t, const char *ca)
{
        int64_t now = clock_now_ms();
        X509_STORE *found = NULL;
        pthread_mutex_lock(&t->lock);
        for (struct trust_store **at = &t->stores, *s; (s = *at);) {
                if (now - s->made_ms > STORE_LIFE_MS) {
                        *at = s->next;
                        store_free(s);
                        continue;
                }
                if (strcmp(s->ca, ca) == 0)
                        found = s->store;
                at = &s->next;
        }
        if (!found && (found = store_make(t, ca))) {
                struct trust_store *s = calloc(1, sizeof *s);
                if (!s || !(s->ca = strdup(ca)))
                        abort();
                s->store = found;
                s->made_ms = now;
                s->next = t->stores;
                t->stores = s;
        }
        if (found)
                X509_STORE_up_ref(found);
        pthread_mutex_unlock(&t->lock);
        return found;
}

static CURLcode use_store(CURL *easy, void *ssl_ctx, void *context)
{
        const struct trust_use *use = context;
        X509_STORE *store = store_get(use->trust, use->ca ? use->ca : "");

        (void)easy;
        if (!store)
                return CURLE_OUT_OF_MEMORY;
        SSL_CTX_set_cert_store(ssl_ctx, store); /* takes the reference */
        return CURLE_OK;
}

void trust_apply(CURL *easy, struct trust_use *use)
{
        if (!use->trust) {
                if (use->ca)
                        curl_easy_setopt(easy, CURLOPT_CAINFO, use->ca);
                return;
        }
        /* `ca` is named to libcurl too: it keeps connections and sessions of different trust apart by these
         * names. */
        curl_easy_setopt(easy, CURLOPT_CAINFO, use->ca);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, use->ca);
        curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
        curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, use_store);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, use);
}
