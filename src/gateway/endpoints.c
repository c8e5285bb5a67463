#include "gateway/endpoints.h"

#include <string.h>

#include "gateway/exchange.h"

#define MODEL_CALL .access = ACCESS_ACCOUNT, .holds_worker = true

/* The first row that fits a path is its own: longer patterns go before those that would take theirs too. */
static const struct endpoint endpoints[] = {
        {"POST", "/chat", DIALECT_PLAIN, .handle = handle_chat, .body = BODY_ANY, .task = TASK_CHAT,
         MODEL_CALL},
        {"POST", "/vision", DIALECT_PLAIN, .handle = handle_chat, .body = BODY_ANY, .task = TASK_VISION,
         MODEL_CALL},
        {"POST", "/embed", DIALECT_PLAIN, .handle = handle_embed, .body = BODY_ANY, .task = TASK_EMBED,
         MODEL_CALL},
        {"POST", "/v1/chat/completions", DIALECT_OPENAI, .handle = handle_chat, .body = BODY_JSON,
         .task = TASK_CHAT, MODEL_CALL},
        {"POST", "/v1/embeddings", DIALECT_OPENAI, .handle = handle_embed, .body = BODY_JSON,
         .task = TASK_EMBED, MODEL_CALL},
        {"POST", "/v1/messages", DIALECT_ANTHROPIC, .handle = handle_chat, .body = BODY_JSON,
         .task = TASK_CHAT, MODEL_CALL},
        /* The gemini SDK of JavaScript asks v1 unless told otherwise (@google/genai 3.1). */
        {"POST", "/v1/models/{}:generateContent", DIALECT_GEMINI, .handle = handle_chat, .body = BODY_JSON,
         .task = TASK_CHAT, MODEL_CALL},
        {"POST", "/v1/models/{}:streamGenerateContent", DIALECT_GEMINI, .handle = handle_chat,
         .body = BODY_JSON, .stream = true, .task = TASK_CHAT, MODEL_CALL},
        {"POST", "/v1/models/{}:embedContent", DIALECT_GEMINI, .handle = handle_embed, .body = BODY_JSON,
         .task = TASK_EMBED, MODEL_CALL},
        {"POST", "/v1/models/{}:batchEmbedContents", DIALECT_GEMINI, .handle = handle_embed,
         .body = BODY_JSON, .batch = true, .task = TASK_EMBED, MODEL_CALL},
        {"GET", "/v1/models", DIALECT_OPENAI, .by_header = true, .handle = handle_models},
        {"GET", "/v1/models/{}", DIALECT_OPENAI, .by_header = true, .handle = handle_model},
        {"POST", "/v1beta/models/{}:generateContent", DIALECT_GEMINI, .handle = handle_chat,
         .body = BODY_JSON, .key_in_query = true, .task = TASK_CHAT, MODEL_CALL},
        {"POST", "/v1beta/models/{}:streamGenerateContent", DIALECT_GEMINI, .handle = handle_chat,
         .body = BODY_JSON, .key_in_query = true, .stream = true, .task = TASK_CHAT, MODEL_CALL},
        {"POST", "/v1beta/models/{}:embedContent", DIALECT_GEMINI, .handle = handle_embed, .body = BODY_JSON,
         .key_in_query = true, .task = TASK_EMBED, MODEL_CALL},
        {"POST", "/v1beta/models/{}:batchEmbedContents", DIALECT_GEMINI, .handle = handle_embed,
         .body = BODY_JSON, .key_in_query = true, .batch = true, .task = TASK_EMBED, MODEL_CALL},
        {"GET", "/v1beta/models", DIALECT_GEMINI, .handle = handle_models, .key_in_query = true},
        {"GET", "/v1beta/models/{}", DIALECT_GEMINI, .handle = handle_model, .key_in_query = true},
        {"GET", "/", DIALECT_PLAIN, .handle = handle_page},
        {"GET", "/status", DIALECT_PLAIN, .handle = handle_page, .access = ACCESS_OPERATOR},
        {"GET", "/page.css", DIALECT_PLAIN, .handle = handle_page, .access = ACCESS_OPEN},
        {"GET", "/try.js", DIALECT_PLAIN, .handle = handle_page, .access = ACCESS_OPEN},
        {"GET", "/status.js", DIALECT_PLAIN, .handle = handle_page, .access = ACCESS_OPEN},
        {"GET", "/status/history.json", DIALECT_PLAIN, .handle = handle_history, .access = ACCESS_OPERATOR},
        {"GET", "/status/history.csv", DIALECT_PLAIN, .handle = handle_history_csv,
         .access = ACCESS_OPERATOR},
        {"GET", "/healthz", DIALECT_PLAIN, .handle = handle_health, .access = ACCESS_OPEN},
        {"GET", "/status.json", DIALECT_PLAIN, .handle = handle_status, .access = ACCESS_OPERATOR},
        {"GET", "/metrics", DIALECT_PLAIN, .handle = handle_metrics, .access = ACCESS_OPERATOR},
};

enum { ENDPOINTS = sizeof endpoints / sizeof *endpoints };

/* name and len: what "{}" stands for. */
static bool matches(const struct endpoint *e, const char *path, const char **name, size_t *len)
{
        const char *hole = strstr(e->pattern, "{}");
        *name = NULL;
        if (!hole)
                return strcmp(e->pattern, path) == 0;
        size_t head = (size_t)(hole - e->pattern), tail = strlen(hole + 2), all = strlen(path);
        if (all <= head + tail || strncmp(path, e->pattern, head) != 0 ||
            strcmp(path + all - tail, hole + 2) != 0)
                return false;
        *name = path + head;
        *len = all - head - tail;
        return (*name)[*len - 1] != '/';
}

/* A path with one of gemini's actions is no model's name, even where no endpoint has the action. */
static bool is_action(const struct endpoint *e, const char *method, const char *name, size_t len)
{
        return name && (e->dialect == DIALECT_GEMINI || e->by_header) && strcmp(e->method, "GET") == 0 &&
               strcmp(method, "GET") != 0 && memchr(name, ':', len);
}

bool endpoint_known(const char *path)
{
        const char *name;
        size_t len;
        for (size_t i = 0; i < ENDPOINTS; i++) {
                if (matches(&endpoints[i], path, &name, &len))
                        return true;
        }
        return false;
}

/* The pattern that a path belongs to, by its first row; a method is looked for among the rows of that pattern
 * only. */
static const struct endpoint *owner(const char *path, const char *method)
{
        const char *name;
        size_t len;
        for (size_t i = 0; i < ENDPOINTS; i++) {
                const struct endpoint *e = &endpoints[i];
                if (matches(e, path, &name, &len) && !is_action(e, method, name, len))
                        return e;
        }
        return NULL;
}

static const struct endpoint *with_method(const char *pattern, const char *method)
{
        for (size_t i = 0; i < ENDPOINTS; i++) {
                if (strcmp(endpoints[i].pattern, pattern) == 0 && strcmp(endpoints[i].method, method) == 0)
                        return &endpoints[i];
        }
        return NULL;
}

static const char *allow_of(struct arena *a, const char *pattern)
{
        return arena_printf(a, "%s%sOPTIONS", with_method(pattern, "GET") ? "GET, HEAD, " : "",
                            with_method(pattern, "POST") ? "POST, " : "");
}

const char *endpoint_allow(struct arena *a, const char *path)
{
        const struct endpoint *e = owner(path, "GET");
        return e ? allow_of(a, e->pattern) : NULL;
}

bool endpoint_find(struct arena *a, const char *method, const char *path, struct endpoint_match *out,
                   struct err *err)
{
        const char *name;
        size_t len;
        const struct endpoint *e = owner(path, method), *row = e ? with_method(e->pattern, method) : NULL;
        if (!e)
                return err_set(err, a, ERR_NOT_FOUND, NULL, "no such path here");
        if (row) {
                matches(row, path, &name, &len);
                *out = (struct endpoint_match){.endpoint = row,
                                               .name = name ? arena_strndup(a, name, len) : NULL};
                return true;
        }
        err_set(err, a, ERR_METHOD, NULL, "this method is not allowed here; allowed are %s",
                allow_of(a, e->pattern));
        err->allow = allow_of(a, e->pattern);
        return false;
}

static bool begins(const char *path, const char *prefix)
{
        size_t len = strlen(prefix);
        return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

const struct dialect *endpoint_dialect(const char *path, const struct endpoint *found,
                                       const struct endpoint_signs *signs)
{
        static const struct {
                const char *prefix;
                enum dialect_id dialect;
        } likely[] = {
                {"/v1beta", DIALECT_GEMINI},
                {"/v1/messages", DIALECT_ANTHROPIC},
                {"/v1", DIALECT_OPENAI},
        };
        enum dialect_id id = found ? found->dialect : DIALECT_PLAIN;
        for (size_t i = 0; !found && i < sizeof likely / sizeof *likely; i++) {
                if (begins(path, likely[i].prefix)) {
                        id = likely[i].dialect;
                        break;
                }
        }
        if (id == DIALECT_OPENAI && (!found || found->by_header))
                id = signs->anthropic ? DIALECT_ANTHROPIC : signs->gemini ? DIALECT_GEMINI : id;
        return dialect_by_id(id);
}
