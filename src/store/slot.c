#include "store/slot.h"

#include <string.h>

#include "store/state_internal.h"

enum { WINDOW_MS = 2 * 60 * 1000 }; /* booked a minute ahead, counted a minute after that */

const char *slot_kind_name(enum slot_kind kind)
{
        static const char *const names[SLOT_KINDS] = {"free",    "account", "provider", "target",
                                                      "version", "caller",  "direct",   "budget"};
        return kind >= 0 && kind < SLOT_KINDS ? names[kind] : "unknown";
}

static uint64_t rotate(uint64_t x, int by)
{
        return x << by | x >> (64 - by);
}

/* Two words by one multiplication, as wyhash does. */
static uint64_t fold(uint64_t a, uint64_t b)
{
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Against accidents, not against forgers. Four lanes that do not wait for each other: it is done at each
 * look. */
static uint64_t page_sum(const union page *p)
{
        enum { WORDS = sizeof p->words / sizeof *p->words };
        static const uint64_t key[4] = {0xa0761d6478bd642fU, 0xe7037ed1a0b428dbU, 0x8ebc6af09c88c6e3U,
                                        0x589965cc75374cc3U};
        uint64_t a = key[0], b = key[1], c = key[2], d = key[3];
        for (size_t i = 0; i < WORDS; i += 8) {
                const uint64_t *w = p->words + i;
                a = fold((i ? w[0] : 0) ^ key[0], w[1] ^ a);
                b = fold(w[2] ^ key[1], w[3] ^ b);
                c = fold(w[4] ^ key[2], w[5] ^ c);
                d = fold(w[6] ^ key[3], w[7] ^ d);
        }
        uint64_t sum = fold(fold(a ^ key[2], b ^ key[3]), fold(c ^ key[0], d ^ key[1]) ^ key[1]);
        return sum ? sum : 1;
}

void page_seal(union page *p)
{
        p->words[0] = page_sum(p);
}

enum page_word page_check(const union page *p)
{
        if (p->words[0] != 0)
                return p->words[0] == page_sum(p) ? PAGE_FINE : PAGE_BAD;
        for (size_t i = 1; i < sizeof p->words / sizeof *p->words; i++) {
                if (p->words[i] != 0)
                        return PAGE_BAD;
        }
        return PAGE_EMPTY;
}

bool slot_is(const struct slot *slot, struct subject subject, size_t name_len)
{
        return slot->kind == (uint32_t)subject.kind && memcmp(slot->name, subject.name, name_len) == 0 &&
               slot->name[name_len] == '\0';
}

static void sip_round(uint64_t v[4])
{
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: strangers choose names, and must not choose where they collide. */
uint64_t slot_hash(uint64_t seed, enum slot_kind kind, const char *name, size_t len)
{
        uint64_t v[4] = {seed ^ 0x736f6d6570736575U, (uint64_t)kind ^ 0x646f72616e646f6dU,
                         seed ^ 0x6c7967656e657261U, (uint64_t)kind ^ 0x7465646279746573U};
        for (size_t at = 0; at <= len; at += 8) {
                uint64_t word = 0;
                memcpy(&word, name + at, len - at < 8 ? len - at : 8);
                if (len - at < 8)
                        word |= (uint64_t)len << 56;
                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        v[2] ^= 0xff;
        for (int i = 0; i < 3; i++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

enum slot_rest slot_rest(const struct slot *slot, const struct lease_context *c, int64_t keep_ms,
                         int64_t now_ms)
{
        int64_t age = now_ms - slot->used_ms;
        if (age < WINDOW_MS)
                return SLOT_BUSY;
        if (age < keep_ms && (slot->cool.until_ms > now_ms || slot->breaker.mode != BREAKER_CLOSED))
                return SLOT_BUSY;
        struct lease_table leases = slot->leases;
        if (lease_count(&leases, c) > 0)
                return SLOT_BUSY;
        bool days = slot->limit.day_requests || slot->limit.day_tokens ||
                    slot->limit.told_requests.full_ms > now_ms || slot->limit.told_tokens.full_ms > now_ms;
        return days && age < keep_ms ? SLOT_DAYS : SLOT_IDLE;
}
