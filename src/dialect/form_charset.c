#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "dialect/form.h"

/*
 * What a client may name. iconv knows hundreds more, among them stateful ones whose converters have a history
 * of faults; none of them is what a form or a terminal sends.
 */
static const struct {
        const char *pattern; /* of the name in lower case */
        const char *iconv;   /* NULL: the name itself */
} charsets[] = {
        {"us-ascii", "CP1252"},   {"ascii", "CP1252"},
        {"iso-8859-1", "CP1252"}, /* as the WHATWG Encoding Standard has it: such pages send a euro sign as
                                     0x80 */
        {"iso8859-1", "CP1252"},  {"iso_8859-1", "CP1252"},
        {"latin1", "CP1252"},     {"iso-8859-?", NULL},
        {"iso-8859-1?", NULL},    {"latin?", NULL},
        {"windows-125?", NULL},   {"cp125?", NULL},
        {"windows-874", "CP874"}, {"ibm437", NULL},
        {"cp437", NULL},          {"ibm850", NULL},
        {"cp850", NULL},          {"ibm866", NULL},
        {"cp866", NULL},          {"macintosh", NULL},
        {"koi8-r", NULL},         {"koi8-u", NULL},
        {"tis-620", NULL},        {"shift_jis", "CP932"},
        {"shift-jis", "CP932"},   {"windows-31j", "CP932"},
        {"euc-jp", NULL},         {"euc-kr", NULL},
        {"gb2312", "GBK"},        {"gbk", NULL},
        {"gb18030", NULL},        {"big5", NULL},
        {"utf-16", NULL},         {"utf-16le", NULL},
        {"utf-16be", NULL},
};

static const char *find_charset(const char *name)
{
        for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++) {
                if (text_glob(charsets[i].pattern, name, NULL))
                        return charsets[i].iconv ? charsets[i].iconv : name;
        }
        return NULL;
}

/* False and errno: EINVAL unknown charset, EILSEQ bytes that are not of it, EFBIG. */
static bool convert(struct arena *a, struct str in, const char *charset, struct str *out)
{
        iconv_t cd = iconv_open("UTF-8", charset);
        if (cd == (iconv_t)-1) {
                errno = EINVAL;
                return false;
        }
        /* One byte gives at most three in UTF-8 in all of the above; two more for a shift at the end. */
        size_t room = in.len * 4 + 8, left = room, in_left = in.len;
        char *text = arena_alloc(a, room + 1), *to = text, *from = (char *)in.at;
        size_t rc = iconv(cd, &from, &in_left, &to, &left);
        if (rc != (size_t)-1)
                rc = iconv(cd, NULL, NULL, &to, &left);
        iconv_close(cd);
        if (rc == (size_t)-1 || in_left) {
                errno = EILSEQ;
                return false;
        }
        *out = (struct str){text, room - left};
        return true;
}

static bool to_utf8(struct arena *a, struct str in, const char *charset, struct str *out, struct err *err)
{
        if (!charset || !*charset || strcasecmp(charset, "utf-8") == 0 || strcasecmp(charset, "utf8") == 0) {
                size_t good = text_utf8_prefix(in.at, in.len);
                if (good < in.len)
                        return err_set(
                                err, a, ERR_BAD_REQUEST, NULL,
                                "not valid UTF-8 at byte %zu (another charset must be named in content-type)",
                                good);
                *out = in;
                return true;
        }
        char *name = arena_strdup(a, charset);
        for (char *c = name; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        const char *known = strlen(name) <= 40 ? find_charset(name) : NULL;
        if (!known)
                return err_set(err, a, ERR_BAD_REQUEST, NULL, "unknown charset");
        if (convert(a, in, known, out))
                return true;
        /* Five bytes that windows-1252 leaves open are controls in iso-8859-1. */
        if (errno == EILSEQ && strcmp(known, "CP1252") == 0 && strstr(name, "8859") &&
            convert(a, in, "ISO-8859-1", out))
                return true;
        return err_set(err, a, ERR_BAD_REQUEST, NULL, errno == EINVAL ? "unknown charset" : "not valid %.40s",
                       name);
}

bool form_to_utf8(struct arena *a, struct str in, const char *charset, struct str *out, struct err *err)
{
        if (!to_utf8(a, in, charset, out, err))
                return false;
        /* As in JSON: no provider takes one, and what reads it as a C string would see less than was checked.
         */
        return !out->len || !memchr(out->at, '\0', out->len) ||
               err_set(err, a, ERR_BAD_REQUEST, NULL, "a NUL character in text");
}
