/*
 * A spool file: records of one process, kept until they are in the ledger. Its owner holds the file's lock
 * (an open file description lock of the kernel's) as long as it lives; a free lock tells that it is dead or
 * has gone.
 *
 * The file is a page with a header and two halves, of which one is in use, told by the header's epoch, a
 * number that never comes twice. Its room is allocated ahead. Records are written one behind the other with a
 * length, and a checksum that takes in the epoch and the place: what a kill left half written, or another
 * epoch left behind, is no record; those behind it are found again. When enough is moved, what must stay is
 * written into the other half, and then the header's epoch is changed, in one small write.
 */
#ifndef TOLLGATE_STORE_SPOOL_H
#define TOLLGATE_STORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct spool;

/* Written in the file: the letters never change. */
enum spool_kind {
        SPOOL_BEGIN = 'B',    /* a request's row so far, and the attempt that begins */
        SPOOL_PROGRESS = 'P', /* how far a stream has come */
        SPOOL_ATTEMPT = 'T',  /* an attempt that is over, before its budget is settled */
        SPOOL_END = 'E',      /* a request's row and all its attempts */
        SPOOL_ALERT = 'A'
};

enum { SPOOL_RECORD_MAX = 64 << 10 };

/*
 * Opens the file `name` in the folder and takes its lock. NULL: another process has it (*taken), or why.
 * create: made where it is missing. first_bytes of each half are allocated at once (0: as they are), a
 * quarter of it always ahead for what ends; most_bytes is the bound of a half. A file that is none of ours is
 * set aside under another name, and the log says so.
 */
struct spool *spool_open(int folder, const char *name, bool create, int64_t first_bytes, int64_t most_bytes,
                         bool *taken, char why[512]);
/* Opens it only to look, whoever has it: nothing but spool_epoch(), spool_read() and spool_close() may
 * follow. NULL: there is nothing. */
struct spool *spool_look(int folder, const char *name);
void spool_close(struct spool *s);

/* Safe from all threads. id: of the request, for whoever reads. False: the bound is reached, or the disk is
 * full. Begins and progress leave room for ends. */
bool spool_append(struct spool *s, enum spool_kind kind, int64_t id, const char *bytes, size_t len);

struct spool_record {
        enum spool_kind kind;
        int64_t id, at; /* at: its place in the half */
        const char *bytes;
        size_t len;
};
typedef bool spool_fn(const struct spool_record *r, void *context);
/* Records from an offset of the half in use (0: its beginning) to its present end; fn false ends it. Gives
 * the place of the record that fn did not take, or the end. For one thread at a time. -1: it could not be
 * read. */
int64_t spool_read(struct spool *s, int64_t from, spool_fn *fn, void *context);
int64_t spool_end(struct spool *s); /* offset behind the last record */
/* Of the half in use; only spool_restart() changes it. */
uint64_t spool_epoch(const struct spool *s);
/* The last begin found no room, and nothing was moved since. */
bool spool_full(struct spool *s);

/*
 * Begins anew, with those records before *moved for which keep says so, and with all behind it, also those
 * that are appended meanwhile; *moved becomes the place where these begin. For the thread that reads. False:
 * no room; nothing has changed.
 */
bool spool_restart(struct spool *s, int64_t *moved, spool_fn *keep, void *context);

#endif
