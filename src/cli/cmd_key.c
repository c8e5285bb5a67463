#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"

enum { KEY_BYTES = 32, KEY_TEXT_MAX = 64 };

static bool random_bytes(unsigned char *out, size_t len)
{
        for (size_t got = 0; got < len;) {
                ssize_t n = getrandom(out + got, len - got, 0);
                if (n < 0 && errno != EINTR)
                        return false;
                got += n > 0 ? (size_t)n : 0;
        }
        return true;
}

/* "tg-" and 43 characters; the digest as 64 hex digits. */
static bool make_key(struct buf *key, char digest[65])
{
        unsigned char bytes[KEY_BYTES], hash[SHA256_DIGEST_LENGTH];
        if (!random_bytes(bytes, sizeof bytes))
                return false;
        buf_adds(key, "tg-");
        text_base64url_encode(key, bytes, sizeof bytes);
        explicit_bzero(bytes, sizeof bytes);
        SHA256((const unsigned char *)key->data, key->len, hash);
        text_hex(digest, hash, sizeof hash);
        return !key->failed;
}

static void print_json(const char *key, const char *name, const char *account, const char *digest)
{
        struct buf text;
        struct json_writer w;
        buf_init(&text, 4096);
        json_writer_init(&w, &text);
        jw_object(&w);
        jw_key_string(&w, "key", key);
        jw_key_string(&w, "name", name);
        if (account)
                jw_key_string(&w, "account", account);
        jw_key_string(&w, "sha256", digest);
        jw_end(&w);
        if (jw_done(&w))
                puts(text.data);
        buf_release(&text);
}

static void print_text(const char *key, const char *name, const char *account, const char *digest)
{
        printf("%s\n\n# The key is shown this once. Its line for the configuration", key);
        if (account)
                printf(", an entry of accounts:\n{ name = \"%s\"; models = [\"*\"];\n  keys = ( { name = "
                       "\"%s\"; sha256 = "
                       "\"%s\"; } ); }\n",
                       account, name, digest);
        else
                printf(", among the keys of an account:\n{ name = \"%s\"; sha256 = \"%s\"; }\n", name,
                       digest);
}

static enum cli_exit run(const struct cli_command *command, const char *config_path, int argc, char **argv)
{
        const char *name = "key", *account = NULL;
        bool json = false;
        enum cli_exit out;
        const struct cli_option options[] = {
                {"--name", &name, NULL}, {"--account", &account, NULL}, {"--json", NULL, &json}};
        if (!cli_parse(command, options, 3, &config_path, &argc, argv, &out))
                return out;
        if (argc != 1 || strcmp(argv[1], "new") != 0)
                return cli_misuse(command, "expected: key new");
        if (!text_is_token(name, 64) || (account && !text_is_token(account, 64)))
                return cli_misuse(command, "a name has 1 to 64 of A-Z a-z 0-9 . _ -");
        struct buf key;
        char digest[65];
        buf_init(&key, KEY_TEXT_MAX);
        bool made = make_key(&key, digest);
        if (!made)
                fprintf(stderr, "tollgate key: no random bytes: %s\n", strerror(errno));
        else if (json)
                print_json(key.data, name, account, digest);
        else
                print_text(key.data, name, account, digest);
        if (key.data)
                explicit_bzero(key.data, key.len);
        buf_release(&key);
        return made ? CLI_DONE : CLI_FAILED;
}

const struct cli_command cli_key = {
        .name = "key",
        .arguments = "new [--name NAME] [--account NAME] [--json]",
        .summary = "Makes an API key, prints it once, and its line for the configuration (which holds the "
                   "digest only)",
        .help = "  --name NAME      what the key is called in the configuration and the log\n"
                "  --account NAME   prints the entry of an account with it\n"
                "  --json           prints an object for programs\n",
        .run = run,
};
