#include "upstream/echo.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "dialect/image.h"
#include "upstream/echo_schema.h"

enum {
        IMAGE_TOKENS = 85,
        WORD_MAX = 16,        /* bytes of a token: languages without spaces have no end of a word */
        TOKENS_MAX = 1000000, /* of an answer */
        TEXT_MAX = 64 << 20,  /* bytes of an answer */
        CHOICES_MAX = 128,
        PIECES_MAX = 32768,    /* of a stream: an event takes far more room than its token */
        LOOK_BASE64 = 2 << 20, /* of an image: its size stands in its head */
};

/* ---------------------------------------------------------------- tokens */

static bool is_word(unsigned char c)
{
        return isalnum(c) || c == '_' || c >= 0x80;
}

/* Where the token that begins at `at` ends: the space before it, and a word or one mark. */
static size_t token_end(struct str s, size_t at)
{
        while (at < s.len && isspace((unsigned char)s.at[at]))
                at++;
        size_t start = at;
        if (at < s.len && !is_word((unsigned char)s.at[at]))
                return at + 1;
        while (at < s.len && is_word((unsigned char)s.at[at]) && at - start < WORD_MAX)
                at++;
        while (at < s.len && ((unsigned char)s.at[at] & 0xC0) == 0x80) /* the rest of a character */
                at++;
        return at;
}

int64_t echo_tokens(struct str text)
{
        int64_t count = 0;
        for (size_t at = 0; at < text.len; at = token_end(text, at))
                count++;
        return count;
}

static struct str cut_tokens(struct arena *a, struct str text, int64_t max)
{
        size_t at = 0;
        for (int64_t n = 0; n < max && at < text.len; n++)
                at = token_end(text, at);
        return at < text.len ? arena_str(a, text.at, at) : text;
}

/* As often as it takes. */
static struct str fill_tokens(struct arena *a, struct str text, int64_t want)
{
        int64_t have = echo_tokens(text), count = 0;
        struct buf b;
        if (have >= want || !have)
                return cut_tokens(a, text, want);
        buf_init(&b, TEXT_MAX);
        for (; count < want && !b.failed; count += have) {
                if (count)
                        buf_addc(&b, ' ');
                buf_add_str(&b, text);
        }
        struct str out = arena_str(a, b.data, b.len);
        buf_release(&b);
        return cut_tokens(a, out, want);
}

/* ---------------------------------------------------------------- what was asked */

static void describe_base64(struct buf *out, const struct chat_source *source, const char *otherwise)
{
        struct image_info info;
        struct buf bytes;
        size_t len = source->data.len < LOOK_BASE64 ? source->data.len : LOOK_BASE64;

        buf_init(&bytes, LOOK_BASE64);
        if (text_base64_decode(&bytes, source->data.at, len, true) &&
            image_identify(bytes.data, bytes.len, &info))
                buf_addf(out, "%s %" PRIu32 "x%" PRIu32, info.media_type, info.width, info.height);
        else
                buf_adds(out, source->media_type ? source->media_type : otherwise);
        buf_release(&bytes);
}

static void describe(struct buf *out, const struct chat_block *b)
{
        const char *otherwise = b->type == BLOCK_IMAGE   ? "image"
                                : b->type == BLOCK_AUDIO ? "audio"
                                                         : "document";
        if (b->source.kind == SOURCE_BASE64)
                describe_base64(out, &b->source, otherwise);
        else if (b->source.kind == SOURCE_URL || b->source.kind == SOURCE_FILE_ID)
                buf_addf(out, "%s %s", otherwise, b->source.url);
        else
                buf_adds(out, b->title ? b->title : otherwise);
}

static void add_line(struct buf *out)
{
        if (out->len)
                buf_addc(out, '\n');
}

/* Text as it is, and a line for each thing that is none. */
static void add_blocks(struct buf *out, const struct chat_block *blocks)
{
        for (const struct chat_block *b = blocks; b; b = b->next) {
                switch (b->type) {
                case BLOCK_TEXT: buf_add_str(out, b->text); break;
                case BLOCK_IMAGE:
                case BLOCK_DOCUMENT:
                case BLOCK_AUDIO:
                        add_line(out);
                        describe(out, b);
                        if (b->next && b->next->type == BLOCK_TEXT)
                                buf_addc(out, '\n');
                        break;
                default: break;
                }
        }
}

static bool has_result(const struct chat_message *m)
{
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type == BLOCK_TOOL_RESULT)
                        return true;
        }
        return false;
}

static void add_results(struct buf *out, const struct chat_message *m)
{
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
                if (b->type != BLOCK_TOOL_RESULT)
                        continue;
                add_line(out);
                buf_adds(out, b->is_error ? "tool failed: " : "tool said: ");
                struct buf said;
                buf_init(&said, TEXT_MAX);
                add_blocks(&said, b->content);
                if (said.len)
                        buf_add(out, said.data, said.len);
                buf_release(&said);
        }
}

struct echo {
        struct arena *arena;
        const struct config_provider *provider;
        const struct chat_request *request;
        const char *seed;
        const struct chat_message *last; /* of the user; NULL: none */
        struct str said;                 /* the words of it alone */
        bool after_tool;
};

static void look(struct echo *e)
{
        for (const struct chat_message *m = e->request->messages; m; m = m->next) {
                if (m->role == CHAT_USER)
                        e->last = m;
        }
        /* Results may stand in several messages at the end, as in the openai dialect. */
        e->after_tool = e->last && has_result(e->last);
        e->said = e->last ? chat_join_text(e->arena, e->last->blocks) : str_of("");
        if (!e->said.at)
                e->said = str_of("");
}

/* The trailing messages that hold nothing but results belong together. */
static const struct chat_message *first_result(const struct echo *e)
{
        const struct chat_message *first = NULL;
        for (const struct chat_message *m = e->request->messages; m; m = m->next) {
                bool result = m->role == CHAT_USER && has_result(m);
                first = !result ? NULL : first ? first : m;
        }
        return first;
}

static struct str plain_answer(const struct echo *e)
{
        struct buf b;
        buf_init(&b, TEXT_MAX);
        if (e->after_tool) {
                const struct chat_message *m = first_result(e);
                for (m = m ? m : e->last; m; m = m->next)
                        add_results(&b, m);
        }
        if (e->last) {
                struct buf own;
                buf_init(&own, TEXT_MAX);
                add_blocks(&own, e->last->blocks);
                if (own.len) {
                        add_line(&b);
                        buf_add(&b, own.data, own.len);
                }
                buf_release(&own);
        }
        struct str out = b.len ? arena_str(e->arena, b.data, b.len) : str_of("echo");
        buf_release(&b);
        return out;
}

/* ---------------------------------------------------------------- tools */

static bool contains_word(struct str text, const char *word)
{
        size_t len = strlen(word);
        for (size_t i = 0; len && i + len <= text.len; i++) {
                if ((i == 0 || !is_word((unsigned char)text.at[i - 1])) &&
                    strncasecmp(text.at + i, word, len) == 0 &&
                    (i + len == text.len || !is_word((unsigned char)text.at[i + len])))
                        return true;
        }
        return false;
}

static bool is_allowed(const struct chat_request *r, const struct chat_tool *t)
{
        if (t->raw && !t->name)
                return false;
        for (const struct chat_name *n = r->allowed_tools; n; n = n->next) {
                if (strcmp(n->name, t->name) == 0)
                        return true;
        }
        return t->name && !r->allowed_tools;
}

/* The tool that is forced by name, else the one that the prompt names, else the first. */
static const struct chat_tool *pick_tool(const struct echo *e)
{
        const struct chat_request *r = e->request;
        const struct chat_tool *first = NULL, *named = NULL;
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                if (!is_allowed(r, t))
                        continue;
                if (r->tool_choice == TOOL_CHOICE_NAMED && r->tool_choice_name &&
                    strcmp(t->name, r->tool_choice_name) == 0)
                        return t;
                if (!first)
                        first = t;
                if (!named && contains_word(e->said, t->name))
                        named = t;
        }
        return named ? named : first;
}

static const struct chat_tool *tool_to_call(const struct echo *e)
{
        enum tool_choice choice = e->request->tool_choice;
        bool forced = choice == TOOL_CHOICE_REQUIRED || choice == TOOL_CHOICE_NAMED;
        /* Called once: a forced choice that stays in force must not go round for ever. */
        if (choice == TOOL_CHOICE_NONE || e->after_tool || !(forced || contains_word(e->said, "call")))
                return NULL;
        return pick_tool(e);
}

static uint64_t hash_text(const char *s)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        for (; *s; s++)
                h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
        return h;
}

static int64_t add_calls(const struct echo *e, const struct chat_tool *tool, struct chat_choice *choice)
{
        bool twice = contains_word(e->said, "twice") && e->request->parallel_tools != TRI_NO;
        int64_t tokens = 0;
        for (int i = 0; i < (twice ? 2 : 1); i++) {
                struct chat_block *b = chat_add_reply_block(e->arena, choice, BLOCK_TOOL_CALL);
                b->id = arena_printf(e->arena, "call_%016" PRIx64 "%02" PRIx64 "%d", hash_text(e->seed),
                                     (uint64_t)choice->index, i);
                b->name = tool->name;
                b->arguments = echo_schema_value(e->arena, tool->parameters, "echo");
                if (!json_object_is_type(b->arguments, json_type_object))
                        b->arguments = echo_schema_value(e->arena, NULL, "");
                tokens += echo_tokens(str_of(b->name)) + echo_tokens(chat_arguments_text(e->arena, b));
        }
        choice->finish = FINISH_TOOL;
        return tokens;
}

/* ---------------------------------------------------------------- the answer */

static struct str json_answer(const struct echo *e, struct str text)
{
        struct buf b;
        struct json_writer w;
        buf_init(&b, TEXT_MAX);
        json_writer_init(&w, &b);
        if (e->request->response_format == FORMAT_JSON_SCHEMA) {
                jw_node(&w, echo_schema_value(e->arena, e->request->schema, "echo"));
        } else {
                jw_object(&w);
                jw_key_str(&w, "echo", text);
                jw_end(&w);
        }
        struct str out = arena_str(e->arena, b.data, b.len);
        buf_release(&b);
        return out;
}

static struct str cut_at_stop(const struct echo *e, struct str text, struct chat_choice *choice)
{
        const char *best = NULL;
        for (const struct chat_name *n = e->request->stop; n; n = n->next) {
                const char *at = *n->name ? memmem(text.at, text.len, n->name, strlen(n->name)) : NULL;
                if (!at || (best && at >= best))
                        continue;
                best = at;
                choice->stop_sequence = n->name;
                choice->finish = FINISH_STOP_SEQUENCE;
        }
        return best ? arena_str(e->arena, text.at, (size_t)(best - text.at)) : text;
}

static bool thinks(const struct chat_reasoning *r)
{
        return r->effort >= EFFORT_LOW || r->mode == THINKING_BUDGET || r->mode == THINKING_ADAPTIVE;
}

/* Returns its tokens, which are counted whether the thought is shown or not. */
static int64_t add_thought(const struct echo *e, struct chat_choice *choice)
{
        const struct chat_reasoning *r = &e->request->reasoning;
        if (!thinks(r))
                return 0;
        struct buf b;
        buf_init(&b, TEXT_MAX);
        buf_adds(&b, "thinking about: ");
        buf_add_str(&b, cut_tokens(e->arena, e->said, 64));
        struct str text = arena_str(e->arena, b.data, b.len);
        buf_release(&b);
        if (r->show == TRI_YES) {
                struct chat_block *block = chat_add_reply_block(e->arena, choice, BLOCK_THINKING);
                block->text = text;
                block->signature = str_of("ZWNobw==");
                block->signature_from = DIALECT_ECHO;
        }
        return echo_tokens(text);
}

static int64_t add_text(const struct echo *e, struct chat_choice *choice, int64_t spent)
{
        const struct chat_request *r = e->request;
        bool json = r->response_format == FORMAT_JSON_OBJECT || r->response_format == FORMAT_JSON_SCHEMA;
        struct str text = plain_answer(e);
        int64_t want = e->provider->echo_tokens;
        if (json)
                text = json_answer(e, text);
        else if (want > 0)
                text = fill_tokens(e->arena, text, want < TOKENS_MAX ? want : TOKENS_MAX);
        choice->finish = FINISH_STOP;
        text = cut_at_stop(e, text, choice);
        if (r->max_tokens.set) {
                int64_t room = r->max_tokens.value > spent ? r->max_tokens.value - spent : 0;
                if (echo_tokens(text) > room) {
                        text = cut_tokens(e->arena, text, room);
                        choice->finish = FINISH_LENGTH;
                        choice->stop_sequence = NULL;
                }
        }
        chat_add_reply_block(e->arena, choice, BLOCK_TEXT)->text = text;
        return echo_tokens(text);
}

static int64_t count_blocks(struct arena *a, const struct chat_block *blocks, unsigned depth)
{
        int64_t count = 0;
        for (const struct chat_block *b = blocks; b && depth < 8; b = b->next) {
                count += echo_tokens(b->text) + count_blocks(a, b->content, depth + 1);
                if (b->type == BLOCK_IMAGE)
                        count += IMAGE_TOKENS;
                else if (b->source.kind == SOURCE_TEXT)
                        count += echo_tokens(b->source.data);
                else if (b->source.kind == SOURCE_BASE64) /* a page of a document, a second of sound */
                        count += IMAGE_TOKENS + (int64_t)(b->source.data.len / 4096);
                if (b->type == BLOCK_TOOL_CALL)
                        count += echo_tokens(chat_arguments_text(a, b));
        }
        return count;
}

static int64_t count_input(struct arena *a, const struct chat_request *r)
{
        int64_t count = 0;
        for (const struct chat_message *m = r->messages; m; m = m->next)
                count += 3 + count_blocks(a, m->blocks, 0);
        for (const struct chat_tool *t = r->tools; t; t = t->next) {
                const char *schema = t->parameters ? json_object_to_json_string(t->parameters) : "";
                count += echo_tokens(str_of(t->name)) + echo_tokens(str_of(t->description)) +
                         echo_tokens(str_of(schema));
        }
        return count;
}

void echo_chat(struct arena *a, const struct config_provider *p, const char *model,
               const struct chat_request *r, int64_t created, const char *seed, struct chat_reply *out)
{
        struct echo e = {.arena = a, .provider = p, .request = r, .seed = seed ? seed : ""};
        int64_t choices = r->n.set && r->n.value > 1 ? r->n.value : 1;

        look(&e);
        *out = (struct chat_reply){
                .id = arena_printf(a, "echo-%s", e.seed),
                .model = arena_strdup(a, model),
                .created = created,
                .usage = {.known = true, .input = count_input(a, r)},
        };
        const struct chat_tool *tool = tool_to_call(&e);
        for (int64_t i = 0; i < choices && i < CHOICES_MAX; i++) {
                struct chat_choice *c = chat_add_choice(a, out);
                c->index = i;
                int64_t thought = add_thought(&e, c);
                out->usage.reasoning += thought;
                out->usage.output += thought + (tool ? add_calls(&e, tool, c) : add_text(&e, c, thought));
        }
}

/* ---------------------------------------------------------------- the stream */

/* The event goes on as its first token, or as many of them as make `least` bytes; the others follow it. */
static void split_delta(struct chat_events *events, struct chat_event *e, size_t least)
{
        struct str whole = e->delta;
        size_t end = 0;
        for (size_t at = 0; at < whole.len; at = end) {
                do
                        end = token_end(whole, end);
                while (end < whole.len && end - at < least);
                if (at) {
                        struct chat_event *more = arena_alloc(events->arena, sizeof *more);
                        *more = *e;
                        e->next = more;
                        if (events->last == e)
                                events->last = more;
                        e = more;
                }
                e->delta = arena_str(events->arena, whole.at + at, end - at);
        }
}

static bool is_split(const struct chat_event *e)
{
        return e->type == EVENT_DELTA && (e->delta_kind == DELTA_TEXT || e->delta_kind == DELTA_ARGUMENTS);
}

void echo_events(const struct chat_reply *reply, struct chat_events *out)
{
        size_t bytes = 0;
        chat_reply_events(reply, out);
        for (const struct chat_event *e = out->first; e; e = e->next)
                bytes += is_split(e) ? e->delta.len : 0;
        for (struct chat_event *e = out->first, *next; e; e = next) {
                next = e->next;
                if (is_split(e))
                        split_delta(out, e, bytes / PIECES_MAX);
        }
}
