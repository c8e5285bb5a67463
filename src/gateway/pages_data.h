/* The files of src/gateway/pages, compiled in: they are part of the program, and found wherever it runs. */
#ifndef TOLLGATE_GATEWAY_PAGES_DATA_H
#define TOLLGATE_GATEWAY_PAGES_DATA_H

#include <stddef.h>

struct page_data {
        const char *name, *bytes; /* name NULL ends the list */
        size_t len;
};
extern const struct page_data page_data[];
/* A checksum of them all, which stands where they have {{version}}. */
extern const char page_version[];

#endif
