/* Asks a model through the same code as the responder does, with no web server: a newcomer's first try. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/cli.h"
#include "dialect/image.h"
#include "dialect/sse.h"
#include "policy/route.h"
#include "relay/relay.h"

enum { ERROR_MAX = 1 << 20, EVENT_MAX = 64 << 20 };

struct ask {
        const struct cli_command *command;
        const char *model, *image;
        bool embed, stream, json, terminal; /* `terminal`: standard output is one */
        const char **prompts;
        size_t prompt_count;
        struct arena *arena;
        const struct config *config;
        /* the answer on its way out */
        int status;
        struct sse_parser *sse; /* of a stream; NULL: the body is printed as it is */
        struct buf error;       /* the body of an error, for the end */
        bool mid_line, cut;     /* `cut`: the stream told of an error */
};

/* ---------------------------------------------------------------- the client that writes to standard output
 */

static bool put(struct ask *ask, struct str s)
{
        /* A terminal obeys what it is shown: there, a model's text holds no control characters. */
        if (ask->terminal) {
                char *clean = arena_strndup(ask->arena, s.len ? s.at : "", s.len);
                text_clean(clean, s.len);
                s = str_of(clean);
        }
        if (s.len)
                ask->mid_line = s.at[s.len - 1] != '\n';
        return fwrite(s.at, 1, s.len, stdout) == s.len;
}

static bool begin(void *context, const struct relay_head *head)
{
        struct ask *ask = context;
        ask->status = head->status;
        if (head->status < 400 && head->stream)
                ask->sse = sse_new(EVENT_MAX);
        return true;
}

static bool put_event(struct ask *ask, const struct sse_event *event)
{
        struct err ignored = {0};
        if (str_is(event->name, "error")) {
                ask->cut = true;
                buf_add_str(&ask->error, event->data);
                return true;
        }
        if (ask->json)
                return put(ask, event->data) && put(ask, str_of("\n"));
        if (!str_is(event->name, "text"))
                return true;
        json_object *data =
                json_parse(ask->arena, event->data.at, event->data.len, JSON_FROM_PROVIDER, &ignored);
        return put(ask, json_peek_str(data, "text"));
}

static bool write_bytes(void *context, const char *bytes, size_t len)
{
        struct ask *ask = context;
        struct sse_event event;
        if (ask->status >= 400) {
                buf_add(&ask->error, bytes, len);
                return true;
        }
        if (!ask->sse)
                return put(ask, (struct str){bytes, len});
        if (!sse_feed(ask->sse, bytes, len))
                return false;
        while (sse_next(ask->sse, &event)) {
                if (!put_event(ask, &event))
                        return false;
        }
        return true;
}

static bool flush(void *context)
{
        (void)context;
        return fflush(stdout) == 0;
}

/* ---------------------------------------------------------------- the request */

static bool complain(const char *what, const char *why)
{
        fprintf(stderr, "tollgate ask: %s: %s\n", what, why);
        return false;
}

/* "-" is standard input. */
static bool read_prompts(struct ask *ask, char **argv)
{
        for (size_t i = 0; i < ask->prompt_count; i++) {
                ask->prompts[i] = argv[1 + i];
                if (strcmp(argv[1 + i], "-") == 0) {
                        struct buf *b = buf_in_arena(ask->arena, (size_t)ask->config->max_body);
                        char chunk[16384];
                        size_t got;
                        while ((got = fread(chunk, 1, sizeof chunk, stdin)) > 0)
                                buf_add(b, chunk, got);
                        if (ferror(stdin) || b->failed)
                                return complain("standard input",
                                                b->failed ? "larger than max_body" : "cannot be read");
                        if (memchr(b->data ? b->data : "", '\0', b->len))
                                return complain("standard input", "holds a NUL byte");
                        ask->prompts[i] = b->data ? b->data : "";
                }
                if (!text_is_utf8(ask->prompts[i], strlen(ask->prompts[i])))
                        return complain("the prompt", "is not UTF-8");
        }
        return true;
}

static bool add_image(struct ask *ask, struct chat_message *m)
{
        struct chat_block *block = chat_add_block(ask->arena, m, BLOCK_IMAGE);
        block->path = "image";
        if (strncmp(ask->image, "http://", 7) == 0 || strncmp(ask->image, "https://", 8) == 0) {
                block->source = (struct chat_source){.kind = SOURCE_URL, .url = ask->image};
                return true;
        }
        struct buf *bytes = buf_in_arena(ask->arena, (size_t)ask->config->max_body);
        struct buf *text = buf_in_arena(ask->arena, (size_t)ask->config->max_body * 2);
        struct image_info info;
        if (!buf_read_file(bytes, ask->image))
                return complain(ask->image, strerror(errno));
        if (!image_identify(bytes->data ? bytes->data : "", bytes->len, &info))
                return complain(ask->image, "is no image of a known kind");
        text_base64_encode(text, bytes->data, bytes->len);
        block->source = (struct chat_source){
                .kind = SOURCE_BASE64, .media_type = info.media_type, .data = {text->data, text->len}};
        return true;
}

static bool make_chat(struct ask *ask, struct chat_request *r)
{
        struct buf *text = buf_in_arena(ask->arena, (size_t)ask->config->max_body);
        *r = (struct chat_request){.from = DIALECT_PLAIN, .model = ask->model, .stream = ask->stream};
        struct chat_message *m = chat_add_message(ask->arena, r, CHAT_USER);
        m->path = "prompt";
        if (ask->image && !add_image(ask, m))
                return false;
        for (size_t i = 0; i < ask->prompt_count; i++) {
                if (i)
                        buf_addc(text, ' ');
                buf_adds(text, ask->prompts[i]);
        }
        if (text->failed)
                return complain("the prompt", "is larger than max_body");
        struct chat_block *block = chat_add_block(ask->arena, m, BLOCK_TEXT);
        block->path = "prompt";
        block->text = (struct str){text->data ? text->data : "", text->len};
        return true;
}

static void make_embed(struct ask *ask, struct embed_request *r)
{
        *r = (struct embed_request){
                .from = DIALECT_PLAIN, .model = ask->model, .single = ask->prompt_count == 1};
        for (size_t i = 0; i < ask->prompt_count; i++) {
                struct embed_input *input = embed_add_input(ask->arena, r);
                input->text = str_of(ask->prompts[i]);
                input->path = "input";
        }
}

/* ---------------------------------------------------------------- asking */

static const char *request_id(struct arena *a)
{
        uint8_t bytes[8] = {0};
        char hex[17];
        if (getrandom(bytes, sizeof bytes, 0) < 0)
                memcpy(bytes, &(int64_t){clock_now_us()}, sizeof bytes);
        text_hex(hex, bytes, sizeof bytes);
        return arena_printf(a, "cli-%s", hex);
}

static enum cli_exit tell_error(struct ask *ask, enum err_cause cause, const char *message)
{
        /* Who asks wrongly gets a no; what failed behind is the environment. */
        enum cli_exit out = cause != ERR_NONE && err_row(cause)->status >= 500 ? CLI_FAILED : CLI_NO;
        struct err ignored = {0};
        if (!message && ask->error.len && !ask->json) {
                json_object *body =
                        json_parse(ask->arena, ask->error.data, ask->error.len, JSON_FROM_PROVIDER, &ignored);
                message = json_peek_string(json_peek_object(body, "error"), "message");
        }
        if (!message)
                message = ask->error.len ? ask->error.data : "there was no answer";
        size_t len = strlen(message);
        if (len && message[len - 1] == '\n')
                len--;
        fprintf(stderr, "%s%.*s\n", ask->json ? "" : "tollgate ask: ", (int)len, message);
        return out;
}

static enum cli_exit relay(struct ask *ask, const struct route *route, struct upstream_pool *pool)
{
        struct meter memory = {0};
        struct relay_record record = {0};
        const struct relay_env env = {.config = ask->config, .pool = pool, .memory = &memory};
        const struct relay_client client = {
                .context = ask, .begin = begin, .write = write_bytes, .flush = flush, .fd = -1};
        const char *id = request_id(ask->arena);
        struct answer_context answer = {
                .arena = ask->arena,
                .format = ask->stream ? ANSWER_SSE
                          : ask->json ? ANSWER_JSON
                                      : ANSWER_TEXT,
                .request_id = id,
                .id_seed = id,
                .created = clock_unix(),
        };
        const struct relay_call call = {
                .env = &env,
                .arena = ask->arena,
                .dialect = &dialect_plain,
                .route = route,
                .answer = &answer,
                .client = &client,
                .started_ms = clock_now_ms(),
        };
        struct chat_request chat;
        struct embed_request embed;
        if (ask->embed) {
                make_embed(ask, &embed);
                relay_embed(&call, &embed, &record);
        } else {
                if (!make_chat(ask, &chat))
                        return CLI_FAILED;
                relay_chat(&call, &chat, &record);
        }
        if (ask->mid_line)
                fputc('\n', stdout);
        fflush(stdout);
        if (record.client_left) {
                complain("standard output", "could not be written");
                return CLI_FAILED;
        }
        if (record.cause != ERR_NONE || ask->cut || ask->status >= 400)
                return tell_error(ask, record.cause, NULL);
        return CLI_DONE;
}

static enum cli_exit ask_model(struct ask *ask, char **argv)
{
        struct route route;
        struct err err = {0};
        enum model_task task = ask->embed ? TASK_EMBED : ask->image ? TASK_VISION : TASK_CHAT;
        if (!read_prompts(ask, argv))
                return CLI_FAILED;
        const struct route_caller operator= {0};
        if (!route_resolve(ask->config, &operator, ask->model, task, clock_unix(), ask->arena, &route, &err))
                return tell_error(ask, err.cause, err.message);
        struct upstream_pool *pool = upstream_pool_new();
        enum cli_exit out = relay(ask, &route, pool);
        upstream_pool_free(pool);
        return out;
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        struct ask ask = {.command = command};
        enum cli_exit out;
        const struct cli_option options[] = {
                {"-m", &ask.model, NULL},      {"--model", &ask.model, NULL},   {"--image", &ask.image, NULL},
                {"--embed", NULL, &ask.embed}, {"--stream", NULL, &ask.stream}, {"--json", NULL, &ask.json},
        };
        if (!cli_parse(command, options, sizeof options / sizeof *options, &config_path, &argc, argv, &out))
                return out;
        if (argc < 1)
                return cli_misuse(command, "expected a prompt, or - for standard input");
        if (ask.embed && (ask.image || ask.stream))
                return cli_misuse(command, "--embed goes with neither --image nor --stream");
        /* Warnings of attempts that fail belong on the screen; one line per request does not. */
        log_configure(LOG_LEVEL_WARN, NULL);
        signal(SIGPIPE, SIG_IGN);
        ask.config = cli_load(config_path);
        if (!ask.config)
                return CLI_FAILED;
        ask.arena = arena_new();
        ask.terminal = isatty(STDOUT_FILENO);
        ask.prompt_count = (size_t)argc;
        ask.prompts = arena_alloc(ask.arena, (size_t)argc * sizeof *ask.prompts);
        buf_init(&ask.error, ERROR_MAX);
        out = ask_model(&ask, argv);
        buf_release(&ask.error);
        sse_free(ask.sse);
        arena_free(ask.arena);
        config_unref(ask.config);
        return out;
}

const struct cli_command cli_ask = {
        .name = "ask",
        .arguments = "[-c FILE] [-m MODEL] [--image FILE] [--embed] [--stream] [--json] PROMPT …",
        .summary = "Asks a model through the gateway's own code, without a web server",
        .help = "  -c FILE       the configuration file\n"
                "  -m MODEL      a model, model@version, or provider/model; else the default of the task\n"
                "  --image FILE  an image to look at: a file, or a URL\n"
                "  --embed       prints the vector of each prompt instead of an answer\n"
                "  --stream      prints the answer as it comes\n"
                "  --json        prints the answer as an object (with --stream: one for each event)\n"
                "  PROMPT        what to ask; - reads standard input\n",
        .run = run,
};
