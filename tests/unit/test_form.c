/* dialect/form: urlencoded and multipart bodies, header parameters, charsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "dialect/form.h"

#define ARRAY_SIZE(x) (sizeof(x) / sizeof *(x))

/* "name=value|name=value", files marked by a '@'. */
static char *render(struct arena *a, const struct form_fields *f)
{
        char *out = arena_strdup(a, "");
        for (const struct form_field *i = f->first; i; i = i->next)
                out = arena_printf(a, "%s%s%s=%s%.*s", out, *out ? "|" : "", i->name, i->is_file ? "@" : "",
                                   (int)i->value.len, i->value.at);
        return out;
}

/* What the allocator has given out, under either of them. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
        struct mallinfo2 info = mallinfo2();
        return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                       : info.uordblks + info.hblkhd;
}

/* Headers of parts full of parameters that nobody asks for: memory grows with the body, not with its square.
 */
static void many_parameters(void **state)
{
        (void)state;
        enum { PARTS = 100, PARAMETERS = 1500 };
        static const char type[] = "multipart/form-data; boundary=b";
        struct arena *a = arena_new();
        struct form_fields f;
        struct err err = {0};
        struct buf body;
        buf_init(&body, 8 << 20);
        for (int i = 0; i < PARTS; i++) {
                buf_addf(&body, "--b\r\nContent-Disposition: form-data; name=n%d", i);
                for (int k = 0; k < PARAMETERS; k++)
                        buf_adds(&body, ";a=\"\"");
                buf_adds(&body, "\r\n\r\nx\r\n");
        }
        buf_adds(&body, "--b--");
        size_t before = allocated();
        assert_true(form_decode_multipart(a, (struct str){body.data, body.len}, type, &f, &err));
        assert_int_equal(f.count, PARTS);
        assert_true(allocated() - before < 4 * body.len);
        buf_release(&body);
        arena_free(a);
}

static void urlencoded_bodies(void **state)
{
        (void)state;
        static const struct {
                const char *body, *charset, *want; /* want NULL: an error */
        } rows[] = {
                {"", NULL, ""},
                {"a=1&b=2", NULL, "a=1|b=2"},
                {"a=1&a=2", NULL, "a=1|a=2"},
                {"&&a=1&", NULL, "a=1"},
                {"a", NULL, "a="},
                {"=x", NULL, "=x"},
                {"a=b=c", NULL, "a=b=c"},
                {"a=x+y%20z%2B", NULL, "a=x y z+"},
                {"a=100%&b=%zz&c=%4", NULL, "a=100%|b=%zz|c=%4"},
                {"a=%C3%A9", NULL, "a=\xc3\xa9"},
                {"a=%E9", NULL, NULL},
                {"a=%E9", "iso-8859-1", "a=\xc3\xa9"},
                {"a=%80", "ISO-8859-1", "a=\xe2\x82\xac"},
                {"a=%81", "iso-8859-1", "a=\xc2\x81"},
                {"a=%80", "windows-1252", "a=\xe2\x82\xac"},
                {"a=%81", "windows-1252", NULL},
                {"a=%E9&_charset_=windows-1252", NULL, "a=\xc3\xa9|_charset_=windows-1252"},
                {"a=x", "no-such-charset", NULL},
                {"a=x", "utf-8//TRANSLIT", NULL},
                {"a=x", "ISO-2022-KR", NULL},
                {"a%00b=x", NULL, NULL},
                {"a=x%00y", NULL, NULL},
                {"a=x%00y", "windows-1252", NULL},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct form_fields f;
                struct err err = {0};
                bool ok = form_decode_urlencoded(a, str_of(rows[i].body), rows[i].charset, &f, &err);
                assert_int_equal(ok, rows[i].want != NULL);
                assert_int_equal(err.cause, ok ? ERR_NONE : ERR_BAD_REQUEST);
                if (ok)
                        assert_string_equal(render(a, &f), rows[i].want);
                arena_free(a);
        }
}

static void too_many_fields(void **state)
{
        (void)state;
        struct arena *a = arena_new();
        struct form_fields f;
        struct err err = {0};
        char *body = arena_alloc(a, 2 * FORM_FIELDS_MAX + 3);
        for (int i = 0; i <= FORM_FIELDS_MAX; i++)
                memcpy(body + 2 * i, "a&", 2);
        struct str all = {body, 2 * FORM_FIELDS_MAX + 1}, fewer = {body, 2 * FORM_FIELDS_MAX};
        assert_true(form_decode_urlencoded(a, fewer, NULL, &f, &err));
        assert_int_equal(f.count, FORM_FIELDS_MAX);
        assert_false(form_decode_urlencoded(a, all, NULL, &f, &err));
        assert_int_equal(err.cause, ERR_BAD_REQUEST);
        arena_free(a);
}

#define PART(headers, text) "--B\r\n" headers "\r\n\r\n" text "\r\n"
#define FIELD(name, text)   PART("Content-Disposition: form-data; name=\"" name "\"", text)

static void multipart_bodies(void **state)
{
        (void)state;
        static const struct {
                const char *body, *type, *want;
        } rows[] = {
                {FIELD("a", "1") "--B--\r\n", NULL, "a=1"},
                {FIELD("a", "1") FIELD("b", "") "--B--", NULL, "a=1|b="},
                {"preamble\r\n" FIELD("a", "1") "--B--\r\nepilogue", NULL, "a=1"},
                {FIELD("a", "x\r\n--Bx\r\ny") "--B--\r\n", NULL, NULL},
                {FIELD("a", "x\r\n-- B\r\ny") "--B--\r\n", NULL, "a=x\r\n-- B\r\ny"},
                {PART("content-disposition: FORM-DATA; name=a; filename=\"C:\\tmp\\p.png\"\r\nContent-Type: "
                      "image/png",
                      "bytes") "--B--\r\n",
                 NULL, "a=@bytes"},
                {PART("Content-Disposition: form-data; name=\"a\"; filename=\"\"", "") "--B--\r\n", NULL,
                 "a=@"},
                {PART("Content-Disposition: form-data; name=\"a\\\"b\"; filename=\"../../x\\\"y\"",
                      "z") "--B--\r\n",
                 NULL, "a\"b=@z"},
                {PART("Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; "
                      "charset=iso-8859-15",
                      "\xa4") "--B--\r\n",
                 NULL, "a=\xe2\x82\xac"},
                {FIELD("_charset_", "windows-1252") FIELD("a", "\xe9") "--B--", NULL,
                 "_charset_=windows-1252|a=\xc3\xa9"},
                {FIELD("a", "\xe9") "--B--", NULL, NULL},
                {FIELD("a", "1"), NULL, NULL},
                {"--B\r\nContent-Disposition: form-data; name=\"a\"", NULL, NULL},
                {"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ntext", NULL, NULL},
                {PART("X: y", "1") "--B--", NULL, NULL},
                {PART("Content-Disposition: attachment; name=a", "1") "--B--", NULL, NULL},
                {PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
                      "1") "--B--",
                 NULL, NULL},
                {"", NULL, NULL},
                {"no boundary here", NULL, NULL},
                {FIELD("a", "1") "--B--", "multipart/form-data", NULL},
                {FIELD("a", "1") "--B--", "multipart/form-data; boundary=", NULL},
                {FIELD("a", "1") "--B--", "multipart/form-data; charset=utf-8; boundary=\"B\"", "a=1"},
                {FIELD("a", "1") "--B--", "multipart/form-data; boundary=C", NULL},
                {FIELD("a", "1") "--B--",
                 "multipart/form-data; "
                 "boundary=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                 NULL},
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct arena *a = arena_new();
                struct form_fields f;
                struct err err = {0};
                const char *type = rows[i].type ? rows[i].type : "multipart/form-data; boundary=B";
                bool ok = form_decode_multipart(a, str_of(rows[i].body), type, &f, &err);
                if (ok != (rows[i].want != NULL))
                        print_error("row %zu: %s\n", i, err.message ? err.message : "taken");
                assert_int_equal(ok, rows[i].want != NULL);
                assert_int_equal(err.cause, ok ? ERR_NONE : ERR_BAD_REQUEST);
                if (ok)
                        assert_string_equal(render(a, &f), rows[i].want);
                arena_free(a);
        }
}

/* Cut anywhere, a body is an error and nothing worse. */
static void multipart_cut_anywhere(void **state)
{
        (void)state;
        static const char body[] = FIELD("a", "1") FIELD("b", "2") "--B--";
        for (size_t len = 0; len < sizeof body - 1; len++) {
                struct arena *a = arena_new();
                struct form_fields f;
                struct err err = {0};
                char *cut = malloc(len + 1);
                memcpy(cut, body, len);
                cut[len] = '\0';
                assert_false(form_decode_multipart(a, (struct str){cut, len},
                                                   "multipart/form-data; boundary=B", &f, &err));
                assert_non_null(err.message);
                free(cut);
                arena_free(a);
        }
}

static void header_parameters(void **state)
{
        (void)state;
        static const struct {
                const char *value, *name, *want;
        } rows[] = {
                {"text/plain; charset=utf-8", "charset", "utf-8"},
                {"text/plain;CHARSET=\"a\\\"b\"", "charset", "a\"b"},
                {"text/plain; a=\"x;charset=no\"; charset = latin1 ", "charset", "latin1"},
                {"text/plain", "charset", NULL},
                {"text/plain; charset", "charset", NULL},
                {"text/plain; xcharset=a", "charset", NULL},
                {"text/plain; charset=\"open", "charset", "open"},
                {";;;=;", "charset", NULL},
                {NULL, "charset", NULL},
        };
        struct arena *a = arena_new();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *got = form_header_parameter(a, rows[i].value, rows[i].name);
                assert_int_equal(got == NULL, rows[i].want == NULL);
                if (got)
                        assert_string_equal(got, rows[i].want);
        }
        assert_string_equal(form_media_type(a, " Application/JSON ; charset=x"), "application/json");
        assert_null(form_media_type(a, NULL));
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(urlencoded_bodies),      cmocka_unit_test(many_parameters),
                cmocka_unit_test(too_many_fields),        cmocka_unit_test(multipart_bodies),
                cmocka_unit_test(multipart_cut_anywhere), cmocka_unit_test(header_parameters),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
