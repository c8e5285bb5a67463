#include "gateway/operator.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses ---- */

struct address {
        unsigned len; /* 4 or 16; 0: none */
        uint8_t bytes[16];
};

static struct address parse_address(const char *text)
{
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        struct address a = {0};
        if (inet_pton(AF_INET, text, a.bytes) == 1)
                a.len = 4;
        else if (inet_pton(AF_INET6, text, a.bytes) == 1)
                a.len = 16;
        if (a.len == 16 && memcmp(a.bytes, mapped, sizeof mapped) == 0) {
                memmove(a.bytes, a.bytes + sizeof mapped, 4);
                a.len = 4;
        }
        return a;
}

bool operator_block_holds(const char *block, const char *address)
{
        char text[INET6_ADDRSTRLEN];
        size_t len = strcspn(block, "/");
        if (len >= sizeof text)
                return false;
        memcpy(text, block, len);
        text[len] = '\0';
        const struct address net = parse_address(text), a = parse_address(address);
        unsigned long all = net.len * 8UL, bits = block[len] ? strtoul(block + len + 1, NULL, 10) : all;
        /* The bits of a mapped block are counted from the start of its longer form. */
        if (net.len == 4 && strchr(text, ':') && block[len])
                bits = bits < 96 ? all + 1 : bits - 96;
        if (!net.len || net.len != a.len || bits > all || memcmp(net.bytes, a.bytes, bits / 8) != 0)
                return false;
        return bits % 8 == 0 || (net.bytes[bits / 8] ^ a.bytes[bits / 8]) >> (8 - bits % 8) == 0;
}

/* ---- what was sent ---- */

/* Looked at one by one, as also an empty one tells of a proxy. */
static void look_for_proxy(void *context, const char *variable)
{
        static const char *const marks[] = {
                "HTTP_X_FORWARDED",     "HTTP_FORWARDED=",   "HTTP_X_REAL_IP=",       "HTTP_VIA=",
                "HTTP_TRUE_CLIENT_IP=", "HTTP_X_CLIENT_IP=", "HTTP_CF_CONNECTING_IP="};
        bool *forwarded = context;
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
                if (strncmp(variable, marks[i], strlen(marks[i])) == 0)
                        *forwarded = true;
        }
}

void operator_read_peer(struct operator_input *out, const struct client *c, bool believe_server)
{
        bool forwarded = false;
        client_each_variable(c, look_for_proxy, &forwarded);
        out->peer = believe_server && !forwarded ? client_variable(c, "REMOTE_ADDR") : NULL;
}

static bool lists(const char *const *names, size_t count, const char *name)
{
        for (size_t i = 0; name && i < count; i++) {
                if (strcmp(names[i], name) == 0)
                        return true;
        }
        return false;
}

bool operator_is(const struct config *c, const struct operator_input *in)
{
        if (lists(c->operators.users, c->operators.user_count, in->user) ||
            lists(c->operators.accounts, c->operators.account_count, in->account ? in->account->name : NULL))
                return true;
        for (size_t i = 0; in->peer && i < c->operators.from_count; i++) {
                if (operator_block_holds(c->operators.from[i], in->peer))
                        return true;
        }
        return false;
}
