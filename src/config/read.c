/* Walks libconfig's tree by the table of settings and fills the structs. */
#include "config/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { SHOWN_MAX = 60 };

static void *place(const struct setting *s, void *base)
{
        return base && s->place ? (char *)base + s->place - 1 : NULL;
}

static void *place2(const struct setting *s, void *base)
{
        return base && s->place2 ? (char *)base + s->place2 - 1 : NULL;
}

/* Through memcpy, as the places hold pointers to const things of many types. */
static void keep(void *at, const void *value, size_t size)
{
        if (at)
                memcpy(at, value, size);
}

static void keep_pointer(void *at, const void *pointer)
{
        keep(at, &pointer, sizeof pointer);
}

static void keep_int64(void *at, int64_t value)
{
        keep(at, &value, sizeof value);
}

static bool is_string(const config_setting_t *at)
{
        return config_setting_type(at) == CONFIG_TYPE_STRING;
}

static bool is_sequence(const config_setting_t *at)
{
        return config_setting_type(at) == CONFIG_TYPE_ARRAY || config_setting_type(at) == CONFIG_TYPE_LIST;
}

static void wrong_type(struct loader *l, const config_setting_t *at, const struct setting *s,
                       const char *expected)
{
        load_error(l, at, "%s: expected %s, found %s", s->name, expected, read_type(at));
}

/* A value as shown in messages: short. */
static const char *shown(struct loader *l, const char *value)
{
        size_t len = strlen(value);
        if (len <= SHOWN_MAX)
                return value;
        return arena_printf(l->arena, "%.*s…", (int)text_utf8_prefix(value, SHOWN_MAX), value);
}

static bool in_range(struct loader *l, const config_setting_t *at, const struct setting *s, double value)
{
        if (s->min == 0 && s->max == 0)
                return true;
        if (value >= s->min && value <= s->max)
                return true;
        if (s->min == s->max)
                load_error(l, at, "%s: must be %.15g, not %.15g", s->name, s->min, value);
        else if (value < s->min)
                load_error(l, at, "%s: must be at least %.15g, not %.15g", s->name, s->min, value);
        else
                load_error(l, at, "%s: must be at most %.15g, not %.15g", s->name, s->max, value);
        return false;
}

static const char *word_list(struct loader *l, const struct setting_word *words)
{
        const char *text = "";
        for (const struct setting_word *w = words; w->name; w++)
                text = arena_printf(l->arena, "%s%s\"%s\"", text,
                                    !*text      ? ""
                                    : w[1].name ? ", "
                                                : " or ",
                                    w->name);
        return text;
}

/* Also writes the table's own name of it, which outlives everything. */
static const struct setting_word *word_find(struct loader *l, const config_setting_t *at,
                                            const struct setting *s, const char *value)
{
        for (const struct setting_word *w = s->words; w->name; w++) {
                if (strcmp(w->name, value) == 0)
                        return w;
        }
        if (at)
                load_error(l, at, "%s: expected %s, not \"%s\"", s->name, word_list(l, s->words),
                           shown(l, value));
        return NULL;
}

/* ---------------------------------------------------------------- single values */

static void read_bool(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        if (config_setting_type(at) != CONFIG_TYPE_BOOL) {
                wrong_type(l, at, s, "true or false");
                return;
        }
        bool value = config_setting_get_bool(at) != 0;
        enum tri tri = value ? TRI_YES : TRI_NO;
        if (s->type == SETTING_BOOL)
                keep(place(s, base), &value, sizeof value);
        else
                keep(place(s, base), &tri, sizeof tri);
}

static void read_int(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        int64_t value;
        if (!read_whole(at, &value))
                wrong_type(l, at, s, "a whole number");
        else if (in_range(l, at, s, (double)value))
                keep_int64(place(s, base), value);
}

static void read_float(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        double value;
        if (!read_number(at, &value))
                wrong_type(l, at, s, s->type == SETTING_SECONDS ? "a number of seconds" : "a number");
        else if (!in_range(l, at, s, value))
                return;
        else if (s->type == SETTING_SECONDS)
                keep_int64(place(s, base), (int64_t)llround(value * 1000));
        else
                keep(place(s, base), &value, sizeof value);
}

static void read_price(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        double value;
        if (!read_number(at, &value))
                wrong_type(l, at, s, "a number");
        else if (in_range(l, at, s, value))
                keep_int64(place(s, base), llround(value * 1e6));
}

static void read_hedge(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        struct config_hedge hedge = {0};
        double seconds;
        const char *text = is_string(at)               ? config_setting_get_string(at)
                           : read_number(at, &seconds) ? arena_printf(l->arena, "%.15g", seconds)
                                                       : NULL;
        if (!text)
                wrong_type(l, at, s, "\"off\", a percentile such as \"p95\", or seconds");
        else if (!value_hedge(text, &hedge))
                load_error(l, at,
                           "%s: expected \"off\", \"p50\" to \"p99\", or seconds from 0.01 to 86400, not "
                           "\"%s\"",
                           s->name, shown(l, text));
        else
                keep(place(s, base), &hedge, sizeof hedge);
}

static void read_size(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        int64_t value;
        if (is_string(at)) {
                if (!value_size(config_setting_get_string(at), &value)) {
                        load_error(l, at, "%s: \"%s\" is no size: expected bytes, or \"32M\" (k, M, G, T)",
                                   s->name, shown(l, config_setting_get_string(at)));
                        return;
                }
        } else if (!read_whole(at, &value)) {
                wrong_type(l, at, s, "a size: bytes, or \"32M\"");
                return;
        }
        if (in_range(l, at, s, (double)value))
                keep_int64(place(s, base), value);
}

/* What is wrong with a string by its type; NULL: nothing. */
static const char *string_fault(const struct setting *s, const char *value)
{
        uint8_t digest[32];
        switch (s->type) {
        case SETTING_DATE:
        case SETTING_EXPIRY: return value_date(value, NULL) ? NULL : "is no date: expected \"2026-11-30\"";
        case SETTING_TIME: return value_time(value) ? NULL : "is no time: expected \"2026-11-30T10:00:00Z\"";
        case SETTING_ZONE: return value_zone(value);
        case SETTING_SHA256:
                return value_sha256(value, digest) ? NULL : "is no SHA-256: expected 64 hexadecimal digits";
        default: return s->check ? s->check(value) : NULL;
        }
}

static void keep_string(struct loader *l, const struct setting *s, void *base, const char *value)
{
        int64_t end;
        if (s->type == SETTING_EXPIRY && place(s, base) && value_date(value, &end))
                keep_int64(place(s, base), end);
        else if (s->type == SETTING_SHA256 && place(s, base))
                value_sha256(value, place(s, base));
        else if (s->type != SETTING_EXPIRY && place(s, base))
                keep_pointer(place(s, base), arena_strdup(l->arena, value));
}

static void read_string(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        if (!is_string(at)) {
                wrong_type(l, at, s, "a string");
                return;
        }
        const char *value = config_setting_get_string(at);
        const char *fault = string_fault(s, value);
        /* A digest is no secret, but whoever puts the key itself there should not find it in a log. */
        bool hidden = s->type == SETTING_SHA256 || s->type == SETTING_SECRET;
        if (fault && s->type == SETTING_ZONE && strncmp(fault, "cannot", 6) == 0)
                load_warning(l, at, "%s: \"%s\" %s", s->name, shown(l, value), fault);
        else if (fault && hidden)
                load_error(l, at, "%s: %s", s->name, fault);
        else if (fault)
                load_error(l, at, "%s: \"%s\" %s", s->name, shown(l, value), fault);
        keep_string(l, s, base, value);
}

static void keep_word(const struct setting *s, void *base, const struct setting_word *w)
{
        if (s->type == SETTING_CHOICE)
                keep_pointer(place(s, base), w->name);
        else
                keep(place(s, base), &w->value, sizeof w->value);
}

static void read_word(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        const char *value = NULL;
        if (is_string(at))
                value = config_setting_get_string(at);
        else if (config_setting_type(at) == CONFIG_TYPE_BOOL) /* some words are "true" and "false" */
                value = config_setting_get_bool(at) ? "true" : "false";
        if (!value) {
                wrong_type(l, at, s, word_list(l, s->words));
                return;
        }
        const struct setting_word *w = word_find(l, at, s, value);
        if (w)
                keep_word(s, base, w);
}

/* ---------------------------------------------------------------- several values */

static void read_words(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        static const bool given = true;
        unsigned bits = 0;
        if (!is_sequence(at)) {
                wrong_type(l, at, s, "an array of strings [ ]");
                return;
        }
        for (int i = 0; i < config_setting_length(at); i++) {
                const config_setting_t *element = config_setting_get_elem(at, (unsigned)i);
                const struct setting_word *w = NULL;
                if (!is_string(element))
                        wrong_type(l, element, s, "strings in it");
                else
                        w = word_find(l, element, s, config_setting_get_string(element));
                bits |= w ? (unsigned)w->value : 0;
        }
        keep(place(s, base), &bits, sizeof bits);
        keep(place2(s, base), &given, sizeof given);
}

static void read_strings(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        if (!is_sequence(at)) {
                wrong_type(l, at, s, "an array of strings [ ]");
                return;
        }
        size_t length = (size_t)config_setting_length(at), count = 0;
        const char **list = arena_alloc(l->arena, (length + 1) * sizeof *list);
        for (size_t i = 0; i < length; i++) {
                const config_setting_t *element = config_setting_get_elem(at, (unsigned)i);
                if (!is_string(element)) {
                        wrong_type(l, element, s, "strings in it");
                        continue;
                }
                const char *value = config_setting_get_string(element);
                const char *fault = s->check ? s->check(value) : NULL;
                if (fault)
                        load_error(l, element, "%s: \"%s\" %s", s->name, shown(l, value), fault);
                else if (s->words && !word_find(l, element, s, value))
                        continue;
                list[count++] = arena_strdup(l->arena, value);
        }
        keep_pointer(place(s, base), list);
        keep(place2(s, base), &count, sizeof count);
}

static int ascending(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static void read_shares(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        enum { SHARES_MAX = 32 };
        size_t count = 0;
        int64_t *list = arena_alloc(l->arena, SHARES_MAX * sizeof *list);
        if (!is_sequence(at)) {
                wrong_type(l, at, s, "an array of numbers [ ]");
                return;
        }
        for (int i = 0; i < config_setting_length(at); i++) {
                const config_setting_t *element = config_setting_get_elem(at, (unsigned)i);
                double value;
                if (!read_number(element, &value))
                        wrong_type(l, element, s, "numbers in it");
                else if (!in_range(l, element, s, value))
                        continue;
                else if (count == SHARES_MAX)
                        load_error(l, element, "%s: at most %d", s->name, SHARES_MAX);
                else
                        list[count++] = llround(value * 1e6);
        }
        qsort(list, count, sizeof *list, ascending);
        keep_pointer(place(s, base), list);
        keep(place2(s, base), &count, sizeof count);
}

static void read_set(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        const struct config_field *fields = NULL;
        size_t count = 0;
        if (config_setting_type(at) != CONFIG_TYPE_GROUP) {
                wrong_type(l, at, s, "a group { }");
                return;
        }
        read_fields(l, at, &fields, &count);
        keep_pointer(place(s, base), fields);
        keep(place2(s, base), &count, sizeof count);
}

static void read_subgroup(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        if (config_setting_type(at) != CONFIG_TYPE_GROUP)
                wrong_type(l, at, s, "a group { }");
        else
                read_group(l, at, s->group, place(s, base));
}

static void read_list(struct loader *l, const config_setting_t *at, const struct setting *s, void *base)
{
        /* An empty array has no elements that could be of a wrong type. */
        if (config_setting_type(at) != CONFIG_TYPE_LIST &&
            !(config_setting_type(at) == CONFIG_TYPE_ARRAY && config_setting_length(at) == 0)) {
                wrong_type(l, at, s, "a list of groups ( { }, { } )");
                return;
        }
        size_t count = (size_t)config_setting_length(at), size = s->group->size;
        char *list = size ? arena_alloc(l->arena, (count + 1) * size) : NULL;
        for (size_t i = 0; i < count; i++) {
                const config_setting_t *element = config_setting_get_elem(at, (unsigned)i);
                bool group = config_setting_type(element) == CONFIG_TYPE_GROUP;
                if (!group)
                        wrong_type(l, element, s, "groups { } in it");
                read_group(l, group ? element : NULL, s->group, list ? list + i * size : NULL);
        }
        keep_pointer(place(s, base), list);
        keep(place2(s, base), &count, sizeof count);
}

static void (*const readers[SETTING_TYPES])(struct loader *, const config_setting_t *, const struct setting *,
                                            void *) = {
        [SETTING_BOOL] = read_bool,      [SETTING_TRI] = read_bool,      [SETTING_INT] = read_int,
        [SETTING_NUMBER] = read_float,   [SETTING_SECONDS] = read_float, [SETTING_SIZE] = read_size,
        [SETTING_STRING] = read_string,  [SETTING_SECRET] = read_string, [SETTING_STRINGS] = read_strings,
        [SETTING_SHARES] = read_shares,  [SETTING_WORD] = read_word,     [SETTING_CHOICE] = read_word,
        [SETTING_WORDS] = read_words,    [SETTING_DATE] = read_string,   [SETTING_EXPIRY] = read_string,
        [SETTING_TIME] = read_string,    [SETTING_ZONE] = read_string,   [SETTING_SHA256] = read_string,
        [SETTING_HEDGE] = read_hedge,    [SETTING_PRICE] = read_price,   [SETTING_FIELDS] = read_set,
        [SETTING_GROUP] = read_subgroup, [SETTING_LIST] = read_list,
};

/* ---------------------------------------------------------------- defaults */

static void fall_back(struct loader *l, const struct setting *s, void *base)
{
        int64_t integer = 0;
        double number;
        if (s->type == SETTING_GROUP)
                read_group(l, NULL, s->group, place(s, base));
        if (s->type == SETTING_PRICE)
                keep_int64(place(s, base), -1);
        if (!s->fallback || !place(s, base))
                return;
        switch (s->type) {
        case SETTING_BOOL:
                keep(place(s, base), &(bool){strcmp(s->fallback, "true") == 0}, sizeof(bool));
                break;
        case SETTING_INT: keep_int64(place(s, base), strtoll(s->fallback, NULL, 10)); break;
        case SETTING_SECONDS: keep_int64(place(s, base), llround(strtod(s->fallback, NULL) * 1000)); break;
        case SETTING_NUMBER:
                number = strtod(s->fallback, NULL);
                keep(place(s, base), &number, sizeof number);
                break;
        case SETTING_SIZE:
                value_size(s->fallback, &integer);
                keep_int64(place(s, base), integer);
                break;
        case SETTING_WORD:
        case SETTING_WORDS:
        case SETTING_CHOICE: keep_word(s, base, word_find(l, NULL, s, s->fallback)); break;
        case SETTING_HEDGE:
                keep(place(s, base), &(struct config_hedge){0}, sizeof(struct config_hedge));
                break;
        default: keep_pointer(place(s, base), s->fallback); break;
        }
}

/* ---------------------------------------------------------------- groups */

/* Has a setting of a later milestone the value that holds anyway? */
static bool has_neutral_value(const config_setting_t *at, const struct setting *s)
{
        if (!s->only)
                return false;
        if (config_setting_type(at) == CONFIG_TYPE_BOOL)
                return strcmp(s->only, config_setting_get_bool(at) ? "true" : "false") == 0;
        return is_string(at) && strcmp(s->only, config_setting_get_string(at)) == 0;
}

static void note_milestone(struct loader *l, const config_setting_t *at, const struct setting *s)
{
        /* Within a group that was told about, its members are not told again; nor is what asks for nothing.
         */
        bool empty = config_setting_is_aggregate(at) && config_setting_length(at) == 0;
        if (s->milestone && !empty && !has_neutral_value(at, s))
                load_warning(l, at, "%s is not in force yet (milestone %d); it was checked only", s->name,
                             s->milestone);
}

/* True when the rows of this group are all of a later milestone: then its head was told about. */
static bool all_later(const struct setting_group *g)
{
        for (size_t i = 0; i < g->count; i++) {
                if (!g->settings[i].milestone)
                        return false;
        }
        return true;
}

void read_group(struct loader *l, const config_setting_t *at, const struct setting_group *g, void *base)
{
        uint64_t seen = 0;
        bool told = all_later(g);
        for (int i = 0; at && i < config_setting_length(at); i++) {
                const config_setting_t *member = config_setting_get_elem(at, (unsigned)i);
                const struct setting *s = setting_find(g, config_setting_name(member));
                if (!s) {
                        load_unknown(l, member, g);
                        continue;
                }
                seen |= UINT64_C(1) << (s - g->settings);
                if (!told)
                        note_milestone(l, member, s);
                /* What was wrong leaves the default, so that later checks have something to look at. */
                fall_back(l, s, base);
                readers[s->type](l, member, s, base);
        }
        for (size_t i = 0; i < g->count; i++) {
                const struct setting *s = &g->settings[i];
                if (seen >> i & 1)
                        continue;
                if (s->required && at)
                        load_error(l, at, "%s is missing in this entry of %s", s->name, g->title);
                fall_back(l, s, base);
        }
}
