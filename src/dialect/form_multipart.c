#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/form_internal.h"

/* RFC 2046 allows 70 characters in a boundary. */
enum { BOUNDARY_MAX = 70, PART_HEADER_MAX = 8192, PART_HEADERS_MAX = 16 };

struct part_headers {
        const char *disposition, *content_type, *transfer_encoding;
};

struct multipart {
        struct arena *arena;
        struct err *err;
        const char *at, *end;
        char delimiter[BOUNDARY_MAX + 5]; /* CRLF, two dashes, boundary, NUL */
        size_t delimiter_len;
};

static bool fail(struct multipart *m, const char *what)
{
        return err_set(m->err, m->arena, ERR_BAD_REQUEST, NULL, "multipart/form-data: %s", what);
}

static bool take_boundary(struct multipart *m, const char *content_type)
{
        const char *boundary = form_header_parameter(m->arena, content_type, "boundary");
        size_t len = boundary ? strlen(boundary) : 0;
        if (len == 0)
                return fail(m, "content-type names no boundary");
        if (len > BOUNDARY_MAX || !text_header_safe(boundary))
                return fail(m, "the boundary is none that RFC 2046 allows");
        memcpy(m->delimiter, "\r\n--", 4);
        memcpy(m->delimiter + 4, boundary, len + 1);
        m->delimiter_len = len + 4;
        return true;
}

static void take_header(struct multipart *m, const char *line, size_t len, struct part_headers *out)
{
        static const struct {
                const char *name;
                size_t offset;
        } wanted[] = {
                {"content-disposition:", offsetof(struct part_headers, disposition)},
                {"content-type:", offsetof(struct part_headers, content_type)},
                {"content-transfer-encoding:", offsetof(struct part_headers, transfer_encoding)},
        };
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                size_t n = strlen(wanted[i].name);
                if (len < n || strncasecmp(line, wanted[i].name, n) != 0)
                        continue;
                while (n < len && (line[n] == ' ' || line[n] == '\t'))
                        n++;
                const char **field = (const char **)((char *)out + wanted[i].offset);
                *field = arena_strndup(m->arena, line + n, len - n);
        }
}

/* The lines up to the empty one; leaves m->at at the part's content. */
static bool read_headers(struct multipart *m, struct part_headers *out)
{
        size_t count = 0;
        const char *start = m->at;
        for (;;) {
                const char *eol = memmem(m->at, (size_t)(m->end - m->at), "\r\n", 2);
                if (!eol)
                        return fail(m, "it ends within the headers of a part");
                size_t len = (size_t)(eol - m->at);
                if (len == 0) {
                        m->at = eol + 2;
                        return true;
                }
                if (++count > PART_HEADERS_MAX || eol - start > PART_HEADER_MAX)
                        return fail(m, "a part has too many headers");
                if (memchr(m->at, '\0', len))
                        return fail(m, "a part's header holds a NUL byte");
                take_header(m, m->at, len, out);
                m->at = eol + 2;
        }
}

static bool plain_encoding(const char *encoding)
{
        return !encoding || strcasecmp(encoding, "binary") == 0 || strcasecmp(encoding, "8bit") == 0 ||
               strcasecmp(encoding, "7bit") == 0;
}

static bool add_part(struct multipart *m, const struct part_headers *headers, struct str content,
                     struct form_fields *out)
{
        const char *type = form_media_type(m->arena, headers->disposition);
        const char *name = form_header_parameter(m->arena, headers->disposition, "name");
        if (!type || strcmp(type, "form-data") != 0 || !name)
                return fail(m, "a part lacks content-disposition: form-data with a name");
        if (!plain_encoding(headers->transfer_encoding))
                return fail(m, "a part has a content-transfer-encoding (RFC 7578 knows none)");
        if (out->count >= FORM_FIELDS_MAX)
                return fail(m, "too many parts");
        struct form_field *field = form_add(m->arena, out);
        /* The file's name itself is nobody's business here. */
        field->is_file = form_header_parameter(m->arena, headers->disposition, "filename") ||
                         form_header_parameter(m->arena, headers->disposition, "filename*");
        field->content_type = headers->content_type;
        /* Text is copied, so that a NUL stands behind it; files are large, and are only read by length. */
        field->value = field->is_file ? content : arena_str(m->arena, content.at, content.len);
        return form_set_name(m->arena, field, str_of(name), NULL, m->err);
}

/* Behind a delimiter: "--" ends the whole, else white space and CRLF. */
static bool after_delimiter(struct multipart *m, bool *last)
{
        *last = m->end - m->at >= 2 && memcmp(m->at, "--", 2) == 0;
        if (*last)
                return true;
        while (m->at < m->end && (*m->at == ' ' || *m->at == '\t'))
                m->at++;
        if (m->end - m->at < 2 || memcmp(m->at, "\r\n", 2) != 0)
                return fail(m, "a boundary is not followed by a line's end");
        m->at += 2;
        return true;
}

static bool read_parts(struct multipart *m, struct form_fields *out)
{
        bool last = false;
        while (after_delimiter(m, &last) && !last) {
                struct part_headers headers = {0};
                if (!read_headers(m, &headers))
                        return false;
                /* An empty part's delimiter shares the CRLF that ended the headers. */
                const char *from = m->at - 2;
                const char *stop = memmem(from, (size_t)(m->end - from), m->delimiter, m->delimiter_len);
                if (!stop)
                        return fail(m, "it has no end (its last boundary is missing)");
                struct str content = {m->at, stop > m->at ? (size_t)(stop - m->at) : 0};
                if (!add_part(m, &headers, content, out))
                        return false;
                m->at = stop + m->delimiter_len;
        }
        return last;
}

static bool convert_texts(struct multipart *m, const char *content_type, struct form_fields *out)
{
        const char *whole = form_header_parameter(m->arena, content_type, "charset");
        const struct form_field *told = form_find(out, "_charset_");
        if (!whole && told && !told->is_file && told->value.len)
                whole = told->value.at;
        for (struct form_field *f = out->first; f; f = f->next) {
                if (f->is_file)
                        continue;
                const char *own = form_header_parameter(m->arena, f->content_type, "charset");
                if (!form_convert_value(m->arena, f, own ? own : whole, m->err))
                        return false;
        }
        return true;
}

bool form_decode_multipart(struct arena *a, struct str body, const char *content_type,
                           struct form_fields *out, struct err *err)
{
        struct multipart m = {.arena = a, .err = err, .at = body.at, .end = body.at + body.len};
        *out = (struct form_fields){0};
        if (!take_boundary(&m, content_type))
                return false;
        if (body.len == 0)
                return fail(&m, "the body is empty");
        /* The first delimiter may stand at the very start, without its CRLF; anything before it is a
         * preamble. */
        size_t first = m.delimiter_len - 2;
        if (body.len >= first && memcmp(m.at, m.delimiter + 2, first) == 0) {
                m.at += first;
        } else {
                const char *found = memmem(m.at, body.len, m.delimiter, m.delimiter_len);
                if (!found)
                        return fail(&m, "the boundary of content-type is not in the body");
                m.at = found + m.delimiter_len;
        }
        return read_parts(&m, out) && convert_texts(&m, content_type, out);
}
