/*
 * Which certificate authorities are trusted: the system's, and with a provider's `ca` those of that file too.
 * libcurl alone would replace one by the other, and read the system's bundle for every connection; here one
 * X509_STORE per `ca` is shared by all connections of the process (OpenSSL's stores are counted and safe for
 * threads).
 */
#ifndef TOLLGATE_UPSTREAM_TRUST_H
#define TOLLGATE_UPSTREAM_TRUST_H

#include <curl/curl.h>

struct trust;

/* NULL where libcurl has no OpenSSL: then libcurl's own ways hold, and `ca` replaces. */
struct trust *trust_new(void);
void trust_free(struct trust *t);

struct trust_use {
        struct trust *trust; /* may be NULL */
        const char *ca;      /* or NULL */
};

/* Sets the easy handle's trust. `use` and its `ca` must live as long as the transfer. */
void trust_apply(CURL *easy, struct trust_use *use);

#endif
