/* What the scan takes, json-c takes too, and the spans and patches of it hold. */
#include "base/json.h"
#include "dialect/patch.h"
#include "fuzz.h"

static void check_patch(struct str json)
{
        static const char *const one[] = {"model", NULL}, *const two[] = {"a.b", "c", NULL};
        const struct patch_edit edits[] = {{.paths = one, .value = "\"x\""}, {.paths = two, .value = NULL}};
        struct buf out;
        struct json_fault fault;
        buf_init(&out, 1 << 20);
        if (patch_apply(json, edits, 2, &out) && !json_scan(out.data, out.len, JSON_FROM_CLIENT, &fault) &&
            strncmp(fault.what, "more than", 9) != 0)
                abort();
        buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = fuzz_text(data, size);
        struct json_fault fault;
        if (json_scan(text, size, JSON_FROM_CLIENT, &fault)) {
                struct arena *a = arena_new();
                struct err err = {0};
                json_object *tree = json_parse(a, text, size, JSON_FROM_CLIENT, &err);
                bool is_null = memchr(text, 'n', size) != NULL;
                if (!tree && !is_null)
                        abort();
                struct json_member members[8];
                size_t n = json_members(text, size, members, 8);
                if (tree && json_object_is_type(tree, json_type_object)) {
                        if (n != (size_t)json_object_object_length(tree))
                                abort();
                        check_patch((struct str){text, size});
                }
                arena_free(a);
        }
        json_scan(text, size, JSON_FROM_PROVIDER, &fault);
        free(text);
        return 0;
}
