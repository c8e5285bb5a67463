#include "dialect/gemini.h"
#include "dialect/tool_name.h"

#include <string.h>

enum { STOP_MAX = 5 };

static bool refuse(struct gemini_encode *e, const char *path, const char *why)
{
        return err_set(e->err, e->arena, ERR_UNSUPPORTED, path, "%s: %s", path, why);
}

static bool refuse_field(struct gemini_encode *e, enum chat_field field, const char *why)
{
        return refuse(e, dialect_field_name(e->r->from, field), why);
}

/* ---- tools ---- */

/* A function without arguments: an object schema without properties is refused by some models. */
static bool takes_arguments(json_object *schema)
{
        json_object *properties = json_peek_object(schema, "properties");
        if (properties && json_object_object_length(properties) > 0)
                return true;
        static const char *const more[] = {"$ref", "anyOf", "oneOf", "allOf", "patternProperties"};
        for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
                if (json_peek(schema, more[i]))
                        return true;
        }
        json_object *additional = json_peek(schema, "additionalProperties");
        return json_object_is_type(additional, json_type_object) ||
               (json_object_is_type(additional, json_type_boolean) && json_object_get_boolean(additional));
}

static void write_schema(struct gemini_encode *e, const char *key, json_object *schema)
{
        jw_key(&e->w, key);
        if (e->r->from == DIALECT_GEMINI)
                jw_node(&e->w, schema);
        else
                gemini_write_schema(&e->w, schema);
}

static bool write_function(struct gemini_encode *e, const struct chat_tool *t)
{
        struct json_writer *w = &e->w;
        /* What a client of this dialect got wrong is its own to mend. */
        const char *name = e->r->from == DIALECT_GEMINI && t->name
                                   ? t->name
                                   : tool_name_out(e->arena, t->name, DIALECT_GEMINI);
        bool own = e->r->from == DIALECT_GEMINI && !tool_name_is_legal(name, DIALECT_GEMINI);
        if (!t->name || !*t->name || own || !tool_name_fits(name, DIALECT_GEMINI)) {
                const char *path = t->path ? arena_printf(e->arena, "%s.name", t->path) : "tools";
                return refuse(e, path,
                              "the target takes names of 1 to 128 letters, digits, _ . : - that start with a "
                              "letter or _");
        }
        jw_object(w);
        jw_key_string(w, "name", name);
        if (t->description)
                jw_key_string(w, "description", t->description);
        if (t->parameters && takes_arguments(t->parameters))
                write_schema(e, "parametersJsonSchema", t->parameters);
        jw_end(w);
        return true;
}

static bool write_tools(struct gemini_encode *e)
{
        struct json_writer *w = &e->w;
        bool open = false;
        jw_key_array(w, "tools");
        for (const struct chat_tool *t = e->r->tools; t; t = t->next) {
                if (t->raw)
                        continue;
                if (!open) {
                        jw_object(w);
                        jw_key_array(w, "functionDeclarations");
                        open = true;
                }
                if (!write_function(e, t))
                        return false;
        }
        if (open) {
                jw_end(w);
                jw_end(w);
        }
        for (const struct chat_tool *t = e->r->tools; t; t = t->next) {
                if (!t->raw)
                        continue;
                if (t->raw_dialect != DIALECT_GEMINI)
                        return refuse(e, t->path ? t->path : "tools", "only another provider has this tool");
                jw_node(w, t->raw);
        }
        jw_end(w);
        return true;
}

static bool has_extras(const struct gemini_encode *e, const char *prefix)
{
        for (const struct chat_extra *x = e->r->extras; x; x = x->next) {
                if (e->r->from == DIALECT_GEMINI && strncmp(x->name, prefix, strlen(prefix)) == 0)
                        return true;
        }
        return false;
}

static const char *calling_mode(const struct chat_request *r)
{
        switch (r->tool_choice) {
        case TOOL_CHOICE_NONE: return "NONE";
        case TOOL_CHOICE_REQUIRED:
        case TOOL_CHOICE_NAMED: return "ANY";
        case TOOL_CHOICE_AUTO: return r->allowed_tools ? "VALIDATED" : "AUTO";
        case TOOL_CHOICE_UNSET: break;
        }
        return r->allowed_tools ? "VALIDATED" : NULL;
}

static void write_tool_config(struct gemini_encode *e)
{
        struct json_writer *w = &e->w;
        const struct chat_request *r = e->r;
        const char *mode = r->tools ? calling_mode(r) : NULL;
        if (!mode && !has_extras(e, "toolConfig."))
                return;
        jw_key_object(w, "toolConfig");
        if (mode) {
                jw_key_object(w, "functionCallingConfig");
                jw_key_string(w, "mode", mode);
                bool named = r->tool_choice == TOOL_CHOICE_NAMED && r->tool_choice_name;
                if (named || (r->allowed_tools && r->tool_choice != TOOL_CHOICE_NONE)) {
                        jw_key_array(w, "allowedFunctionNames");
                        if (named)
                                jw_string(w, tool_name_out(e->arena, r->tool_choice_name, DIALECT_GEMINI));
                        for (const struct chat_name *n = named ? NULL : r->allowed_tools; n; n = n->next)
                                jw_string(w, tool_name_out(e->arena, n->name, DIALECT_GEMINI));
                        jw_end(w);
                }
                jw_end(w);
        }
        gemini_encode_extras(e, "toolConfig.");
        jw_end(w);
}

bool gemini_encode_tools(struct gemini_encode *e)
{
        if (e->r->tools && !write_tools(e))
                return false;
        write_tool_config(e);
        return true;
}

/* ---- thinking ---- */

static const int64_t effort_budgets[EFFORTS] = {
        [EFFORT_MINIMAL] = 512, [EFFORT_LOW] = 1024,    [EFFORT_MEDIUM] = 4096,
        [EFFORT_HIGH] = 16384,  [EFFORT_XHIGH] = 32768, [EFFORT_MAX] = 32768,
};

static enum effort budget_effort(int64_t budget)
{
        if (budget == 0)
                return EFFORT_NONE;
        for (enum effort e = EFFORT_MINIMAL; e < EFFORT_HIGH; e++) {
                if (budget <= effort_budgets[e])
                        return e;
        }
        return EFFORT_HIGH;
}

/* The level that the model has: the nearest not above, else the lowest it has. */
static enum effort nearest_level(enum effort wanted, unsigned efforts)
{
        if (!efforts)
                efforts = 1u << EFFORT_MINIMAL | 1u << EFFORT_LOW | 1u << EFFORT_MEDIUM | 1u << EFFORT_HIGH;
        for (int e = wanted; e > EFFORT_NONE; e--) {
                if (efforts & 1u << e)
                        return (enum effort)e;
        }
        for (enum effort e = EFFORT_MINIMAL; e < EFFORTS; e++) {
                if (efforts & 1u << e)
                        return e;
        }
        return EFFORT_UNSET;
}

static bool asks_level(const struct gemini_encode *e)
{
        const struct chat_reasoning *r = &e->r->reasoning;
        switch (e->target->caps.reasoning) {
        case REASONING_NONE: return false;
        case REASONING_BUDGET: return false;
        case REASONING_UNSET:
                return r->effort != EFFORT_UNSET && r->mode != THINKING_BUDGET && r->mode != THINKING_OFF;
        default: return true;
        }
}

static enum effort level_of(const struct gemini_encode *e)
{
        const struct chat_reasoning *r = &e->r->reasoning;
        enum effort effort = r->effort;
        if (r->mode == THINKING_OFF)
                effort = EFFORT_NONE;
        if (effort == EFFORT_UNSET && r->mode == THINKING_BUDGET && r->budget_tokens > 0)
                effort = budget_effort(r->budget_tokens);
        return effort == EFFORT_UNSET ? EFFORT_UNSET : nearest_level(effort, e->target->caps.efforts);
}

static bool asks_budget(const struct gemini_encode *e, int64_t *budget)
{
        const struct chat_reasoning *r = &e->r->reasoning;
        const struct model_caps *caps = &e->target->caps;
        if (caps->reasoning != REASONING_BUDGET && caps->reasoning != REASONING_UNSET)
                return false;
        if (r->mode == THINKING_OFF || (r->effort == EFFORT_NONE && r->mode != THINKING_BUDGET)) {
                bool never = caps->off == THINKING_OFF_NEVER;
                *budget = never ? (caps->budget_min > 0 ? caps->budget_min : 128) : 0;
                return true;
        }
        if (r->mode == THINKING_BUDGET && r->budget_tokens > 0) {
                *budget = r->budget_tokens;
        } else if (r->effort > EFFORT_NONE && r->effort < EFFORTS && effort_budgets[r->effort] > 0) {
                *budget = effort_budgets[r->effort];
        } else if (r->mode == THINKING_ADAPTIVE || r->budget_tokens < 0) {
                *budget = -1;
                return true;
        } else {
                return false;
        }
        if (caps->budget_max > 0 && *budget > caps->budget_max)
                *budget = caps->budget_max;
        if (*budget < caps->budget_min)
                *budget = caps->budget_min;
        return true;
}

static void write_thinking(struct gemini_encode *e)
{
        struct json_writer *w = &e->w;
        int64_t budget = 0;
        enum effort level = asks_level(e) ? level_of(e) : EFFORT_UNSET;
        bool has_budget = level == EFFORT_UNSET && asks_budget(e, &budget);
        bool shows = e->r->reasoning.show == TRI_YES && e->target->caps.reasoning != REASONING_NONE;
        if (has_budget && budget == 0)
                shows = false; /* an error there: nothing is thought */
        if (level == EFFORT_UNSET && !has_budget && !shows)
                return;
        jw_key_object(w, "thinkingConfig");
        if (level != EFFORT_UNSET)
                jw_key_string(w, "thinkingLevel", effort_name(level));
        if (has_budget)
                jw_key_int(w, "thinkingBudget", budget);
        if (shows)
                jw_key_bool(w, "includeThoughts", true);
        jw_end(w);
}

/* ---- generationConfig ---- */

static void write_int(struct json_writer *w, const char *key, const struct opt_int *value)
{
        if (value->set)
                jw_key_int(w, key, value->value);
}

static void write_number(struct json_writer *w, const char *key, const struct opt_number *value)
{
        if (value->set)
                jw_key_number(w, key, value->value);
}

static bool write_stop(struct gemini_encode *e)
{
        size_t count = 0;
        for (const struct chat_name *n = e->r->stop; n; n = n->next)
                count++;
        if (!count)
                return true;
        if (count > STOP_MAX)
                return refuse_field(e, FIELD_STOP, "the target takes at most 5 stop sequences");
        jw_key_array(&e->w, "stopSequences");
        for (const struct chat_name *n = e->r->stop; n; n = n->next)
                jw_string(&e->w, n->name);
        jw_end(&e->w);
        return true;
}

static void write_format(struct gemini_encode *e)
{
        struct json_writer *w = &e->w;
        const struct chat_request *r = e->r;
        if (r->response_format == FORMAT_TEXT)
                jw_key_string(w, "responseMimeType", "text/plain");
        if (r->response_format != FORMAT_JSON_OBJECT && r->response_format != FORMAT_JSON_SCHEMA)
                return;
        jw_key_string(w, "responseMimeType", "application/json");
        if (r->response_format == FORMAT_JSON_SCHEMA && r->schema)
                write_schema(e, "responseJsonSchema", r->schema);
}

/* A seed only has to be the same for the same request; here it is an int32. */
static void write_seed(struct gemini_encode *e)
{
        uint64_t seed = (uint64_t)e->r->seed.value;
        if (!e->r->seed.set)
                return;
        if (e->r->seed.value < INT32_MIN || e->r->seed.value > INT32_MAX)
                seed = (seed ^ seed >> 32) & INT32_MAX;
        jw_key_int(&e->w, "seed", (int64_t)seed);
}

/* One resolution for the whole request: that of the images, when they agree. */
static void write_resolution(struct gemini_encode *e)
{
        bool mixed;
        const char *detail = e->r->from == DIALECT_GEMINI ? NULL : chat_common_detail(e->r, &mixed);
        if (detail)
                jw_key_string(&e->w, "mediaResolution",
                              strcmp(detail, "low") == 0 ? "MEDIA_RESOLUTION_LOW" : "MEDIA_RESOLUTION_HIGH");
}

bool gemini_encode_config(struct gemini_encode *e)
{
        struct json_writer *w = &e->w;
        const struct chat_request *r = e->r;
        size_t start = w->out->len;
        if (r->logit_bias)
                return refuse_field(e, FIELD_LOGIT_BIAS, "the target has nothing like it");
        jw_key_object(w, "generationConfig");
        size_t empty = w->out->len;
        write_int(w, "maxOutputTokens", &r->max_tokens);
        write_number(w, "temperature", &r->temperature);
        write_number(w, "topP", &r->top_p);
        write_int(w, "topK", &r->top_k);
        write_int(w, "candidateCount", &r->n);
        if (!write_stop(e))
                return false;
        write_seed(e);
        write_number(w, "presencePenalty", &r->presence_penalty);
        write_number(w, "frequencyPenalty", &r->frequency_penalty);
        if (r->logprobs)
                jw_key_bool(w, "responseLogprobs", true);
        if (r->logprobs && r->top_logprobs.set && r->top_logprobs.value > 0)
                jw_key_int(w, "logprobs", r->top_logprobs.value);
        write_format(e);
        write_resolution(e);
        write_thinking(e);
        gemini_encode_extras(e, "generationConfig.");
        bool nothing = w->out->len == empty;
        jw_end(w);
        if (nothing && !w->out->failed) {
                /* Taken back: contents always stand before it, so the writer's state is right again. */
                w->out->len = start;
                w->out->data[start] = '\0';
        }
        return true;
}

/* ---- extras ---- */

static void write_tier(struct gemini_encode *e)
{
        static const char *const rows[][2] = {{"flex", "flex"},
                                              {"priority", "priority"},
                                              {"default", "standard"},
                                              {"standard", "standard"}};
        for (size_t i = 0; e->r->service_tier && i < sizeof rows / sizeof *rows; i++) {
                if (strcmp(rows[i][0], e->r->service_tier) == 0)
                        jw_key_string(&e->w, "serviceTier", rows[i][1]);
        }
}

void gemini_encode_extras(struct gemini_encode *e, const char *prefix)
{
        size_t len = strlen(prefix);
        if (len == 0)
                write_tier(e);
        if (e->r->from != DIALECT_GEMINI)
                return;
        if (len == 0 && e->r->store != TRI_UNSET)
                jw_key_bool(&e->w, "store", e->r->store == TRI_YES);
        for (const struct chat_extra *x = e->r->extras; x; x = x->next) {
                if (strncmp(x->name, prefix, len) != 0 || strchr(x->name + len, '.'))
                        continue;
                jw_key_node(&e->w, x->name + len, x->value);
        }
}
