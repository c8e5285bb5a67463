/*
 * Where files of ours may lie, and whose they must be (SECURITY item 18): in a folder of ours or root's that
 * not everybody can write in, nor in any above it; a regular file of our own, mode 0600, with one name.
 */
#ifndef TOLLGATE_STORE_PLACE_H
#define TOLLGATE_STORE_PLACE_H

#include <stdbool.h>

enum { PLACE_WHY = 512 };

/* The folder as an O_PATH descriptor, judged. -1: why. `path` is named in words; it is the file's or the
 * folder's. */
int place_folder(const char *folder, const char *path, char why[PLACE_WHY]);
/* Makes a folder of mode 0700 where it is missing, and judges it: ours, and nobody else's. -1: why. */
int place_own_folder(const char *path, char why[PLACE_WHY]);
/* Opens for reading and writing a file in it, judged; made where `create`. -1: why; *absent (may be NULL)
 * where it is not there and was not to be made. */
int place_open(int folder, const char *name, const char *path, bool create, bool *absent,
               char why[PLACE_WHY]);

/* The same without opening it: to close a file takes away all locks of POSIX that the process has on it, and
 * SQLite's are such (fcntl(2)). False: why. */
bool place_look(int folder, const char *name, const char *path, bool create, bool *absent,
                char why[PLACE_WHY]);

#endif
