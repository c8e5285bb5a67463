#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "upstream/lane.h"

enum {
        LANES_AT_REST = 128,      /* more are closed rather than kept */
        LANE_REST_MS = 60 * 1000, /* longer than that, providers have closed the connections anyway */
        LANE_CONNECTIONS = 4,
        RECEIVE_BUFFER = 4 * 1024, /* each stream that waits has one */
        SEND_BUFFER =
                16 * 1024, /* kept by each handle that has sent over TLS: a record's size, libcurl's least */
};

struct upstream_pool {
        pthread_mutex_t lock;
        struct upstream_lane *warmest, *coldest;
        size_t at_rest;
        struct trust *trust;
        CURLSH *share; /* DNS and TLS sessions; connections can't be shared by threads */
        pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
};

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *context)
{
        struct upstream_pool *p = context;
        (void)easy;
        (void)access;
        pthread_mutex_lock(&p->share_locks[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *context)
{
        struct upstream_pool *p = context;
        (void)easy;
        pthread_mutex_unlock(&p->share_locks[data]);
}

struct upstream_pool *upstream_pool_new(void)
{
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                abort();
        struct upstream_pool *p = calloc(1, sizeof *p);
        if (!p || !(p->share = curl_share_init()))
                abort();
        pthread_mutex_init(&p->lock, NULL);
        for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
                pthread_mutex_init(&p->share_locks[i], NULL);
        curl_share_setopt(p->share, CURLSHOPT_LOCKFUNC, share_lock);
        curl_share_setopt(p->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
        curl_share_setopt(p->share, CURLSHOPT_USERDATA, p);
        curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
        curl_share_setopt(p->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
        p->trust = trust_new();
        return p;
}

struct trust *upstream_pool_trust(struct upstream_pool *p)
{
        return p->trust;
}

static struct upstream_lane *lane_new(struct upstream_pool *p)
{
        struct upstream_lane *lane = calloc(1, sizeof *lane);
        if (!lane || !(lane->multi = curl_multi_init()))
                abort();
        lane->pool = p;
        curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)LANE_CONNECTIONS);
        return lane;
}

static void lane_free(struct upstream_lane *lane)
{
        for (size_t i = 0; i < lane->spare_count; i++)
                curl_easy_cleanup(lane->spares[i]);
        curl_multi_cleanup(lane->multi);
        free(lane);
}

static void rest_remove(struct upstream_pool *p, struct upstream_lane *lane)
{
        *(lane->warmer ? &lane->warmer->colder : &p->warmest) = lane->colder;
        *(lane->colder ? &lane->colder->warmer : &p->coldest) = lane->warmer;
        lane->warmer = lane->colder = NULL;
        p->at_rest--;
}

void upstream_pool_free(struct upstream_pool *p)
{
        if (!p)
                return;
        while (p->warmest) {
                struct upstream_lane *lane = p->warmest;
                rest_remove(p, lane);
                lane_free(lane);
        }
        curl_share_cleanup(p->share);
        for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
                pthread_mutex_destroy(&p->share_locks[i]);
        pthread_mutex_destroy(&p->lock);
        trust_free(p->trust);
        free(p);
        curl_global_cleanup();
}

struct upstream_lane *upstream_lane_take(struct upstream_pool *p)
{
        pthread_mutex_lock(&p->lock);
        struct upstream_lane *lane = p->warmest;
        if (lane)
                rest_remove(p, lane);
        pthread_mutex_unlock(&p->lock);
        return lane ? lane : lane_new(p);
}

void upstream_lane_give(struct upstream_lane *lane)
{
        struct upstream_pool *p = lane->pool;
        struct upstream_lane *old = NULL;
        int64_t now = clock_now_ms();

        lane->rested_ms = now;
        pthread_mutex_lock(&p->lock);
        lane->warmer = NULL;
        lane->colder = p->warmest;
        *(p->warmest ? &p->warmest->warmer : &p->coldest) = lane;
        p->warmest = lane;
        p->at_rest++;
        /* One at most each time: no caller pays for a whole night's worth. */
        if (p->at_rest > LANES_AT_REST || now - p->coldest->rested_ms > LANE_REST_MS) {
                old = p->coldest;
                rest_remove(p, old);
        }
        pthread_mutex_unlock(&p->lock);
        if (old)
                lane_free(old);
}

static void handle_set_up(struct upstream_lane *lane, CURL *e)
{
        curl_easy_setopt(e, CURLOPT_SHARE, lane->pool->share);
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
        curl_easy_setopt(e, CURLOPT_QUICK_EXIT,
                         1L); /* a resolver that hangs must not hold a caller after its timeout */
        curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
        curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
        curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)(LANE_REST_MS / 1000));
        curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, 3600L);
}

CURL *lane_handle_take(struct upstream_lane *lane)
{
        if (lane->spare_count)
                return lane->spares[--lane->spare_count];
        CURL *e = curl_easy_init();
        if (!e)
                abort();
        handle_set_up(lane, e);
        return e;
}

void lane_handle_give(struct upstream_lane *lane, CURL *easy)
{
        long connects = 0;

        if (lane->spare_count == LANE_SPARES) {
                curl_easy_cleanup(easy);
                return;
        }
        /* libcurl asks again when a kept connection turns out dead, but counts these over the handle's whole
         * life and gives up at five; only a reset clears that. A transfer over a warm connection needs none.
         */
        curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
        if (connects) {
                curl_easy_reset(easy);
                handle_set_up(lane, easy);
        }
        lane->spares[lane->spare_count++] = easy;
}
