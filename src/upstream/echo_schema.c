#include "upstream/echo_schema.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

enum { DEPTH_MAX = 16, VALUES_MAX = 500, TEXT_MAX = 200, ITEMS_MAX = 16 };

struct maker {
        struct arena *arena;
        json_object *root;
        const char *text;
        unsigned values; /* made so far: a schema may branch at every level */
};

static json_object *make(struct maker *m, json_object *schema, unsigned depth);

static void release(void *node)
{
        json_object_put(node);
}

/* Gemini writes types in capitals. A list of types: the first that is not null. */
static const char *schema_type(json_object *schema)
{
        const char *name = json_peek_string(schema, "type");
        json_object *list = json_peek_array(schema, "type");
        for (size_t i = 0; list && !name && i < json_object_array_length(list); i++) {
                json_object *one = json_object_array_get_idx(list, i);
                if (json_object_is_type(one, json_type_string) &&
                    strcasecmp(json_object_get_string(one), "null") != 0)
                        name = json_object_get_string(one);
        }
        if (name)
                return name;
        return json_peek_object(schema, "properties") ? "object"
               : json_peek(schema, "items")           ? "array"
                                                      : "string";
}

/* "#/$defs/Name" and deeper, without the escapes of JSON pointers. */
static json_object *follow(json_object *root, const char *ref)
{
        char key[128];
        if (strncmp(ref, "#", 1) != 0)
                return NULL;
        for (ref++; root && *ref == '/';) {
                size_t len = strcspn(++ref, "/");
                if (len >= sizeof key)
                        return NULL;
                memcpy(key, ref, len);
                key[len] = 0;
                root = json_peek(root, key);
                ref += len;
        }
        return root;
}

static json_object *first_of(json_object *schema, const char *key)
{
        json_object *list = json_peek_array(schema, key);
        return list && json_object_array_length(list) ? json_object_array_get_idx(list, 0) : NULL;
}

static double peek_number(json_object *schema, const char *key, double otherwise)
{
        json_object *n = json_peek(schema, key);
        bool number = json_object_is_type(n, json_type_int) || json_object_is_type(n, json_type_double);
        return number ? json_object_get_double(n) : otherwise;
}

struct range {
        double min, above, max, below, step;
        bool integer;
};

static bool range_has(const struct range *r, double n)
{
        return n >= r->min && n > r->above && n <= r->max && n < r->below && (!r->integer || floor(n) == n) &&
               (!(r->step > 0) || fabs(n / r->step - round(n / r->step)) < 1e-9);
}

static json_object *make_number(json_object *schema, bool integer)
{
        static const double far = 1e15; /* no integer of JSON is lost up to there */
        struct range r = {
                .min = peek_number(schema, "minimum", -far),
                .above = peek_number(schema, "exclusiveMinimum", -2 * far),
                .max = peek_number(schema, "maximum", far),
                .below = peek_number(schema, "exclusiveMaximum", 2 * far),
                .step = peek_number(schema, "multipleOf", 0),
                .integer = integer,
        };
        double low = fmax(r.min, r.above), high = fmin(r.max, r.below), step = r.step > 0 ? r.step : 1;
        const double tries[] = {1,
                                0,
                                step,
                                ceil(low / step) * step,
                                floor(low / step) * step + step,
                                low,
                                low + 1,
                                high,
                                high - 1,
                                floor(high / step) * step,
                                low / 2 + high / 2};
        double value = 1;
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
                if (fabs(tries[i]) < far / 2 && range_has(&r, tries[i])) {
                        value = tries[i];
                        break;
                }
        }
        return integer ? json_object_new_int64((int64_t)value) : json_object_new_double(value);
}

static const struct format_row {
        const char *format, *value;
} format_rows[] = {
        {"date", "2026-01-01"},
        {"time", "12:00:00Z"},
        {"date-time", "2026-01-01T12:00:00Z"},
        {"duration", "PT1M"},
        {"email", "user@example.com"},
        {"hostname", "example.com"},
        {"uri", "https://example.com/"},
        {"ipv4", "192.0.2.1"},
        {"ipv6", "2001:db8::1"},
        {"uuid", "00000000-0000-4000-8000-000000000000"},
};

static json_object *make_string(const struct maker *m, json_object *schema)
{
        const char *format = json_peek_string(schema, "format");
        for (size_t i = 0; format && i < sizeof format_rows / sizeof *format_rows; i++) {
                if (strcmp(format, format_rows[i].format) == 0)
                        return json_object_new_string(format_rows[i].value);
        }
        char text[TEXT_MAX + 1];
        int64_t least = json_peek_count(schema, "minLength");
        double most = peek_number(schema, "maxLength", TEXT_MAX);
        size_t len = strlen(m->text);
        memcpy(text, m->text, len);
        while (len < TEXT_MAX && (int64_t)len < least)
                text[len++] = '.';
        if (most >= 0 && most < (double)len) {
                for (len = (size_t)most; len && ((unsigned char)text[len] & 0xC0) == 0x80;)
                        len--;
        }
        return json_object_new_string_len(text, (int)len);
}

static json_object *make_array(struct maker *m, json_object *schema, unsigned depth)
{
        json_object *list = json_object_new_array(), *items = json_peek(schema, "items");
        int64_t least = json_peek_count(schema, "minItems");
        double most = peek_number(schema, "maxItems", ITEMS_MAX);
        int64_t count = least > 1 ? least : 1;
        if ((double)count > most)
                count = (int64_t)most;
        for (int64_t i = 0; i < count && i < ITEMS_MAX; i++)
                json_object_array_add(list, make(m, items, depth + 1));
        return list;
}

static void add_required(struct maker *m, json_object *schema, json_object *out, unsigned depth)
{
        json_object *required = json_peek_array(schema, "required");
        json_object *properties = json_peek_object(schema, "properties");
        for (size_t i = 0; required && i < json_object_array_length(required); i++) {
                json_object *name = json_object_array_get_idx(required, i);
                const char *key =
                        json_object_is_type(name, json_type_string) ? json_object_get_string(name) : NULL;
                if (key && !json_peek(out, key) && m->values < VALUES_MAX)
                        json_object_object_add(out, key, make(m, json_peek(properties, key), depth + 1));
        }
}

static json_object *make_object(struct maker *m, json_object *schema, unsigned depth)
{
        json_object *out = json_object_new_object(), *all = json_peek_array(schema, "allOf");
        add_required(m, schema, out, depth);
        for (size_t i = 0; all && i < json_object_array_length(all); i++) {
                json_object *part = json_object_array_get_idx(all, i);
                const char *ref = json_peek_string(part, "$ref");
                add_required(m, ref ? follow(m->root, ref) : part, out, depth);
        }
        return out;
}

static json_object *copy_of(json_object *node)
{
        json_object *copy = NULL;
        if (json_object_deep_copy(node, &copy, NULL) != 0)
                return NULL;
        return copy;
}

static json_object *make(struct maker *m, json_object *schema, unsigned depth)
{
        json_object *fixed = json_peek(schema, "const"), *part;
        const char *ref = json_peek_string(schema, "$ref");

        if (depth > DEPTH_MAX || ++m->values > VALUES_MAX)
                return NULL;
        if (fixed || (fixed = first_of(schema, "enum")) || (fixed = json_peek(schema, "default")))
                return copy_of(fixed);
        if (ref)
                return make(m, follow(m->root, ref), depth + 1);
        if ((part = first_of(schema, "anyOf")) || (part = first_of(schema, "oneOf")))
                return make(m, part, depth + 1);
        const char *type = json_peek(schema, "allOf") ? "object" : schema_type(schema);
        if (strcasecmp(type, "object") == 0)
                return make_object(m, schema, depth);
        if (strcasecmp(type, "array") == 0)
                return make_array(m, schema, depth);
        if (strcasecmp(type, "integer") == 0 || strcasecmp(type, "number") == 0)
                return make_number(schema, strcasecmp(type, "integer") == 0);
        if (strcasecmp(type, "boolean") == 0)
                return json_object_new_boolean(1);
        return strcasecmp(type, "null") == 0 ? NULL : make_string(m, schema);
}

json_object *echo_schema_value(struct arena *a, json_object *schema, const char *text)
{
        struct maker m = {.arena = a, .root = schema};
        char *cut = arena_strndup(a, text, strnlen(text, TEXT_MAX));
        size_t len = strlen(cut);
        /* Never through the middle of a character. */
        while (text[len] && len && ((unsigned char)text[len] & 0xC0) == 0x80)
                cut[--len] = 0;
        m.text = cut;
        json_object *value = schema ? make(&m, schema, 0) : NULL;
        if (!value)
                value = json_object_new_object();
        arena_defer(a, release, value);
        return value;
}
