/* Text that enters HTML: whatever it holds, it stays text (SECURITY item 13). */
#ifndef TOLLGATE_BASE_HTML_H
#define TOLLGATE_BASE_HTML_H

#include "base/buf.h"

/*
 * As text of an element, or as the value of an attribute in quotes. Control bytes (but tab and line ends) and
 * what is no UTF-8 become U+FFFD. at NULL: nothing.
 */
void html_text(struct buf *out, struct str s);
void html_string(struct buf *out, const char *s);

#endif
