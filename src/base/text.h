/* Small things about bytes and text: UTF-8, base64 (RFC 4648), hex, escaping, names. Pure functions. */
#ifndef TOLLGATE_BASE_TEXT_H
#define TOLLGATE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* Length of the longest valid UTF-8 prefix; len when all of it is valid. Surrogates and overlong forms are
 * not. */
size_t text_utf8_prefix(const char *s, size_t len);
/* Bytes of the one valid character at s; 0 when there is none. len > 0. */
size_t text_utf8_length(const char *s, size_t len);
bool text_is_utf8(const char *s, size_t len);

/* Printable form for logs: control bytes and invalid UTF-8 become \xNN. Writes at most room - 1 bytes and a
 * NUL. */
size_t text_escape(char *out, size_t room, const char *s, size_t len);
/*
 * One value of a log line's `name=value`: as it is, or in double quotes where it could be read as several
 * (white space, '"', '='). Cut to room, which holds the NUL too and is at least 8. NULL or "": "-". Gives
 * out.
 */
const char *text_word(char *out, size_t room, const char *s);
/* In place: control bytes (but tab and newline) become spaces, invalid UTF-8 '?', cut at max on a character.
 */
void text_clean(char *s, size_t max);

/* Base64 in both alphabets, padding optional, white space refused unless skip_space. False: not base64. */
bool text_base64_decode(struct buf *out, const char *s, size_t len, bool skip_space);
bool text_base64_valid(const char *s, size_t len, size_t *decoded_len);
void text_base64_encode(struct buf *out, const void *bytes, size_t len);
void text_base64url_encode(struct buf *out, const void *bytes, size_t len); /* no padding */

void text_hex(char *out, const uint8_t *bytes, size_t len); /* out holds 2 * len + 1 */

/* Only characters that are safe in a header value: visible ASCII and space, no control bytes. */
bool text_header_safe(const char *s);
/* 1 to max of [A-Za-z0-9._-]. */
bool text_is_token(const char *s, size_t max);
/* A character-wise glob: '*' any run, '?' any character. literal (may be NULL) gets the count of literal
 * characters. */
bool text_glob(const char *pattern, const char *s, size_t *literal);
/* Edit distance, for "did you mean": capped at 8. */
unsigned text_distance(const char *a, const char *b);
/* Of this process, for tables of what strangers name: they can't choose keys that collide. */
uint32_t text_hash_seed(void);
bool text_equal_const_time(const void *a, const void *b, size_t len);

#endif
