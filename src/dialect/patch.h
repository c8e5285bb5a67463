/*
 * The fast path: a request's own bytes with only what must change changed. Works on scanned JSON text
 * (base/json.h), so that no key stands twice. Unknown members, order, number forms and spacing are kept.
 */
#ifndef TOLLGATE_DIALECT_PATCH_H
#define TOLLGATE_DIALECT_PATCH_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/str.h"

struct patch_edit {
        const char *const
                *paths; /* NULL-terminated: every spelling, as dotted member paths of at most three steps */
        const char *
                value; /* JSON text to stand at paths[0], made with its parents where missing; NULL: remove */
        bool only_if_absent; /* leave the member alone where any spelling is there (setting `default`) */
};

/*
 * All spellings are removed; then the value is written at the place of the first one found, else at the end
 * of its parent. Keys are compared decoded (an escaped letter in a key is that letter). The place is kept
 * where the parents are the same but for case and underscores, else it is made at paths[0]. A parent that is
 * no object (null) becomes one. only_if_absent: null counts as absent. At most 8 spellings. False: no object,
 * or out's cap.
 */
bool patch_apply(struct str json, const struct patch_edit *edits, size_t count, struct buf *out);

#endif
