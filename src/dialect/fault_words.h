/* What the words of an error tell beside its kind. For messages in which providers say it nowhere else. */
#ifndef TOLLGATE_DIALECT_FAULT_WORDS_H
#define TOLLGATE_DIALECT_FAULT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* "Please try again in 7m12.5s": milliseconds, at most a day; 0: no time is named. message may be NULL. */
int64_t fault_words_wait_ms(const char *message);
/* A limit of the day, and none of the minute, has been reached. */
bool fault_words_per_day(const char *message);
/* Does the text hold one of the words? In any case of letters; NULL ends the list. text may be NULL. */
bool fault_words_any(const char *text, const char *const *words);

#endif
