/* Shared by form.c, form_multipart.c and form_charset.c only. */
#ifndef TOLLGATE_DIALECT_FORM_INTERNAL_H
#define TOLLGATE_DIALECT_FORM_INTERNAL_H

#include "dialect/form.h"

enum { FORM_NAME_MAX = 256 };

struct form_field *form_add(struct arena *a, struct form_fields *f); /* appends an empty one */
/* Checks the name and converts it; false: err. */
bool form_set_name(struct arena *a, struct form_field *field, struct str name, const char *charset,
                   struct err *err);
/* The field's value to UTF-8, in place; the error names the field. */
bool form_convert_value(struct arena *a, struct form_field *field, const char *charset, struct err *err);

#endif
