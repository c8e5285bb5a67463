#include "dialect/gemini.h"

#include <string.h>

static void decode_message(struct gemini_decode *d, json_object *content, enum chat_role role,
                           const struct json_path *at)
{
        json_object *parts = NULL;
        if (!gemini_get_array(&d->r, content, at, "parts", &parts))
                return;
        struct json_path parts_at = {.up = at, .key = "parts"};
        struct chat_message *before = d->out->last_message;
        struct chat_message *m = chat_add_message(d->arena, d->out, role);
        m->path = json_path_text(d->arena, at, NULL);
        d->open_thought = NULL;
        for (size_t i = 0; i < json_object_array_length(parts) && d->r.err->cause == ERR_NONE; i++) {
                struct json_path here = {.up = &parts_at, .index = i};
                gemini_decode_part(d, m, json_object_array_get_idx(parts, i), &here);
        }
        if (m->blocks)
                return;
        /* Nothing in it that could be said: SDKs keep such turns in their history. */
        if (before)
                before->next = NULL;
        else
                d->out->messages = NULL;
        d->out->last_message = before;
}

static const struct role_row {
        const char *name;
        enum chat_role role;
} roles[] = {{"user", CHAT_USER}, {"model", CHAT_ASSISTANT}, {"function", CHAT_USER}, {"", CHAT_USER}};

static void decode_content(struct gemini_decode *d, json_object *content, const struct json_path *at)
{
        if (!json_object_is_type(content, json_type_object)) {
                json_fail(&d->r, at, NULL, "expected an object, got %s", json_type_text(content));
                return;
        }
        const char *name = "user";
        gemini_get_string(&d->r, content, at, "role", &name);
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
                if (strcmp(roles[i].name, name) == 0) {
                        decode_message(d, content, roles[i].role, at);
                        return;
                }
        }
        json_fail(&d->r, at, "role", "expected user or model");
}

static void decode_contents(struct gemini_decode *d, json_object *root)
{
        json_object *contents = NULL;
        if (!json_need_array(&d->r, root, NULL, "contents", &contents))
                return;
        struct json_path at = {.key = "contents"};
        for (size_t i = 0; i < json_object_array_length(contents) && d->r.err->cause == ERR_NONE; i++) {
                struct json_path here = {.up = &at, .index = i};
                decode_content(d, json_object_array_get_idx(contents, i), &here);
        }
        if (!d->out->last_message || d->out->last_message->role == CHAT_SYSTEM)
                json_fail(&d->r, NULL, "contents", "is empty");
}

static void system_text(struct gemini_decode *d, struct str text, const char *path)
{
        struct chat_message *m = chat_add_message(d->arena, d->out, CHAT_SYSTEM);
        m->path = path;
        struct chat_block *b = chat_add_block(d->arena, m, BLOCK_TEXT);
        b->text = text;
        b->path = path;
}

static void decode_system(struct gemini_decode *d, json_object *root)
{
        const char *key = gemini_key(&d->r, root, NULL, "systemInstruction");
        json_object *content = NULL, *parts = NULL;
        struct str text;
        if (!json_get_any(root, key, &content))
                return;
        if (json_object_is_type(content, json_type_string)) {
                if (json_get_str(&d->r, root, NULL, key, &text))
                        system_text(d, text, key);
                return;
        }
        struct json_path at = {.key = key};
        if (!json_object_is_type(content, json_type_object)) {
                json_fail(&d->r, NULL, key, "expected an object, got %s", json_type_text(content));
                return;
        }
        if (!gemini_get_array(&d->r, content, &at, "parts", &parts))
                return;
        decode_message(d, content, CHAT_SYSTEM, &at);
        const struct chat_message *m = d->out->messages;
        for (const struct chat_block *b = m ? m->blocks : NULL; b; b = b->next) {
                if (b->type != BLOCK_TEXT)
                        err_set(d->r.err, d->arena, ERR_BAD_REQUEST, b->path,
                                "%s: only text can be a system instruction", b->path);
        }
}

static void decode_tier(struct gemini_decode *d, json_object *root)
{
        const char *tier = NULL;
        if (!gemini_get_string(&d->r, root, NULL, "serviceTier", &tier))
                return;
        char *lower = arena_strdup(d->arena, tier);
        for (char *c = lower; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        /* OpenAI's word for it is the canonical one. */
        d->out->service_tier = strcmp(lower, "standard") == 0 ? "default" : lower;
}

/* A model in the body may only repeat the one of the path. */
static void check_model(struct gemini_decode *d, json_object *root, const char *path_model)
{
        static const char prefix[] = "models/";
        const char *model = NULL;
        if (!json_get_string(&d->r, root, NULL, "model", &model))
                return;
        if (strncmp(model, prefix, sizeof prefix - 1) == 0)
                model += sizeof prefix - 1;
        if (path_model && strcmp(model, path_model) != 0)
                json_fail(&d->r, NULL, "model", "is not the model of the path");
}

static void decode_rest(struct gemini_decode *d, json_object *root)
{
        static const struct gemini_member members[] = {
                {"contents", MEMBER_KNOWN},
                {"systemInstruction", MEMBER_KNOWN},
                {"tools", MEMBER_KNOWN},
                {"toolConfig", MEMBER_KNOWN},
                {"generationConfig", MEMBER_KNOWN},
                {"serviceTier", MEMBER_KNOWN},
                {"store", MEMBER_KNOWN},
                {"model", MEMBER_KNOWN},
                {"safetySettings", MEMBER_HINT},
                {"labels", MEMBER_HINT},
                {"cachedContent", MEMBER_NEEDED},
                {"continuationToken", MEMBER_NEEDED},
                {NULL, MEMBER_KNOWN},
        };
        bool store;
        if (gemini_get_bool(&d->r, root, NULL, "store", &store))
                d->out->store = store ? TRI_YES : TRI_NO;
        decode_tier(d, root);
        json_object_object_foreach(root, key, value)
        {
                gemini_key(&d->r, root, NULL, gemini_camel(d->arena, key));
                (void)value;
        }
        gemini_collect_extras(d->arena, root, "", members, &d->out->extras);
}

bool gemini_decode_chat_request(const struct client_input *in, struct chat_request *out, struct err *err)
{
        struct gemini_decode d = {.r = {.arena = in->arena, .err = err}, .arena = in->arena, .out = out};
        json_object *root =
                json_parse(in->arena, in->body.at ? in->body.at : "", in->body.len, JSON_FROM_CLIENT, err);
        if (!root)
                return false;
        if (!json_object_is_type(root, json_type_object))
                return json_fail(&d.r, NULL, NULL, "expected an object, got %s", json_type_text(root));
        out->from = DIALECT_GEMINI;
        out->model = in->path_model;
        out->stream = in->path_stream;
        out->stream_usage = true;
        check_model(&d, root, in->path_model);
        decode_system(&d, root);
        decode_contents(&d, root);
        gemini_decode_tools(&d, root);
        gemini_decode_config(&d, root);
        decode_rest(&d, root);
        return err->cause == ERR_NONE;
}
