#include "gateway/caller.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/text.h"

enum { NAME_MAX_SHOWN = 96 };

static bool fits_a_slot(const char *name)
{
        size_t len = strlen(name);
        for (size_t i = 0; i < len; i++) {
                if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
                        return false;
        }
        return len <= NAME_MAX_SHOWN && text_is_utf8(name, len);
}

/* Names of users and subjects of certificates have any length and any bytes; a slot's name has not. */
static const char *shown_name(struct arena *a, const char *name)
{
        uint8_t sum[EVP_MAX_MD_SIZE];
        char hex[65];
        if (fits_a_slot(name))
                return name;
        if (EVP_Digest(name, strlen(name), sum, NULL, EVP_sha256(), NULL) != 1)
                return "?";
        text_hex(hex, sum, 32);
        return arena_strdup(a, hex);
}

static const char *network_of(struct arena *a, const char *address)
{
        struct in6_addr six;
        char text[INET6_ADDRSTRLEN];
        if (!address || inet_pton(AF_INET6, address, &six) != 1)
                return address ? shown_name(a, address) : "unknown";
        if (IN6_IS_ADDR_V4MAPPED(&six)) {
                inet_ntop(AF_INET, six.s6_addr + 12, text, sizeof text);
                return arena_strdup(a, text);
        }
        memset(six.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &six, text, sizeof text);
        return arena_printf(a, "%s/64", text);
}

struct subject caller_subject(struct arena *a, const struct identity *who, const char *address)
{
        const struct config_account *account = who->account;
        if (!account || account->per == PER_ACCOUNT)
                return (struct subject){SLOT_ACCOUNT, account ? account->name : ""};
        /* Who has no name of its own is told by where it comes from. */
        if (account->per == PER_ADDRESS || !who->name)
                return (struct subject){
                        SLOT_CALLER, arena_printf(a, "%s:address:%s", account->name, network_of(a, address))};
        return (struct subject){SLOT_CALLER,
                                arena_printf(a, "%s:%s:%s", account->name, identity_kind_name(who->kind),
                                             shown_name(a, who->name))};
}
