/*
 * The included file pins.conf: which versions are pinned and were. Read as a part of the configuration,
 * written by `tollgate pin` only, whole, in one step.
 */
#ifndef TOLLGATE_CLI_PINS_H
#define TOLLGATE_CLI_PINS_H

#include "base/buf.h"
#include "config/config.h"

enum { PINS_MAX = 500, PINS_TEXT_MAX = 2 << 20, PINS_WHY = 512 };

/* The version that was in force before the last change of the model's pins: of an earlier pin, else that of
 * the setting. NULL: there is nothing to go back to. */
const char *pins_before(const struct config *c, const struct config_model *m);

/* The file with the rows of the configuration and one more. Beyond PINS_MAX rows the oldest are left out, but
 * never one that is in force nor the one before it. False: it would be too large. */
bool pins_text(const struct config *c, const struct config_pin *added, struct buf *out);

/* Keeps other runs out of the file's folder until the descriptor is closed, or the process ends. -1: why
 * tells. */
int pins_lock(const char *path, char why[PINS_WHY]);

/* Replaces the file in one step. It keeps its mode and owner; a new one gets those of the file `like`, as the
 * same processes read both. */
bool pins_write(const char *path, const char *like, const struct buf *text, char why[PINS_WHY]);

#endif
