/* Private to store/response_*.c: the files of the response cache and the room they take. */
#ifndef TOLLGATE_STORE_RESPONSE_FILES_H
#define TOLLGATE_STORE_RESPONSE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum { RESPONSE_ROOM_TEXT = 16 };
/* Room is made when an eighth of it was written since the last time, and then down to seven eighths. */
enum { RESPONSE_SLACK = 8 };

/* path is "ROOM/7f/7f3a…" below the folder; missing folders are made. False: errno. */
bool response_file_write(int folder, const char *path, int64_t until_ms, struct str head, struct str bytes);
/* So many bytes more were written there, by whichever process. True: it is time to make room. */
bool response_room_grows(int folder, const char *room, int64_t bytes, int64_t size);
/* Removes what has expired, then those that expire the soonest until at most so many bytes are left. */
void response_room_shrink(int folder, const char *room, int64_t now_ms, int64_t most);
/* At most every ten minutes: removes from all rooms what has expired, and what the dead left unfinished. */
void response_folder_tidy(int folder, int64_t now_ms);

#endif
