/*
 * Answers kept in files, for all processes of a configuration (SECURITY items 17, 18). A folder of mode 0700
 * with a random key in it (0600) and a room for each account:
 *
 *      usage.db-cache/key                      32 bytes, made once
 *      usage.db-cache/ROOM/7f/7f3a…            an answer, mode 0600, named by a hash with the key
 *
 * A file is written under another name and renamed, so that whoever reads finds all of it or nothing; what is
 * torn, foreign or changed is found out by its checksum, which needs the key, and counts as not there. Its
 * mtime is when it expires. Nothing here is ever worth failing a request for: the log says what is wrong,
 * once a minute.
 */
#ifndef TOLLGATE_STORE_RESPONSE_CACHE_H
#define TOLLGATE_STORE_RESPONSE_CACHE_H

#include <stdint.h>
#include "base/buf.h"

/* What a process knows of the folder. Safe from all threads. */
struct response_cache;

struct response_cache *response_cache_new(void);
void response_cache_free(struct response_cache *rc); /* NULL is fine */

/* Where and how long. */
struct response_room {
        const char *folder;
        const char *name; /* the account; "": shared by all that share */
        int64_t keep_ms;
        int64_t size; /* bytes of the room; the oldest answers make place */
};

/* ---- names: a keyed hash over all that may change the answer ---- */
enum { RESPONSE_NAME = 32 };
struct response_digest;
/* NULL: the folder can't be used now. Made where it is missing. */
struct response_digest *response_digest_new(struct response_cache *rc, const char *folder);
void response_digest_add(void *digest, const void *bytes, size_t len);
/* Frees it; name NULL: only that. */
void response_digest_end(struct response_digest *d, uint8_t name[RESPONSE_NAME]);

/* ---- answers: bytes, which are the caller's own business ---- */
/* Appends them to out. False: there is none, or it is older than room->keep_ms, or larger than out may be. */
bool response_cache_find(struct response_cache *rc, const struct response_room *room,
                         const uint8_t name[RESPONSE_NAME], int64_t now_ms, struct buf *out);
/* False: not kept. Every so often it makes place, and every ten minutes removes what has expired anywhere. */
bool response_cache_keep(struct response_cache *rc, const struct response_room *room,
                         const uint8_t name[RESPONSE_NAME], int64_t now_ms, struct str bytes);

#endif
