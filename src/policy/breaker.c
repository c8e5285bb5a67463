#include "policy/breaker.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "dialect/fault_kind.h"

/* ---- the window ---- */

static size_t place(int64_t bucket)
{
        return (size_t)(bucket % BREAKER_BUCKETS);
}

static void forget_window(struct breaker_state *b, int64_t bucket, int64_t bucket_ms)
{
        memset(b->answered, 0, sizeof b->answered);
        memset(b->failed, 0, sizeof b->failed);
        b->bucket = bucket;
        b->bucket_ms = bucket_ms;
}

static void roll(struct breaker_state *b, const struct config_breaker *rules, int64_t now_ms)
{
        int64_t bucket_ms = rules->window_ms / BREAKER_BUCKETS;
        if (bucket_ms < 1)
                bucket_ms = 1;
        int64_t bucket = now_ms / bucket_ms, ahead = bucket - b->bucket;
        if (b->bucket_ms != bucket_ms || ahead >= BREAKER_BUCKETS || ahead <= -BREAKER_BUCKETS) {
                forget_window(b, bucket, bucket_ms);
                return;
        }
        while (b->bucket < bucket) {
                b->bucket++;
                b->answered[place(b->bucket)] = b->failed[place(b->bucket)] = 0;
        }
}

void breaker_look(const struct breaker_state *b, int64_t now_ms, int64_t *calls, int64_t *failed)
{
        *calls = *failed = 0;
        if (b->bucket_ms <= 0)
                return;
        int64_t first = now_ms / b->bucket_ms - BREAKER_BUCKETS + 1;
        for (int64_t i = b->bucket - BREAKER_BUCKETS + 1; i <= b->bucket; i++) {
                if (i < first || i < 0)
                        continue;
                *failed += b->failed[place(i)];
                *calls += (int64_t)b->answered[place(i)] + b->failed[place(i)];
        }
}

static void count(uint32_t *n)
{
        if (*n < UINT32_MAX)
                ++*n;
}

/* ---- opening and closing ---- */

void breaker_reset(struct breaker_state *b)
{
        *b = (struct breaker_state){0};
}

static void remember(struct breaker_state *b, const struct breaker_fault *fault)
{
        b->kind = fault->kind;
        b->status = fault->status;
        snprintf(b->why, sizeof b->why, "%s", fault->why ? fault->why : "");
        b->why[text_utf8_prefix(b->why, strlen(b->why))] = '\0'; /* no half of a character at the cut */
}

static void open_for(struct breaker_state *b, int64_t cooldown_ms, int64_t now_ms)
{
        if (b->mode == BREAKER_CLOSED)
                b->opened_ms = now_ms;
        b->mode = BREAKER_OPEN;
        b->probe = (struct process_id){0};
        b->cooldown_ms = cooldown_ms;
        b->until_ms = now_ms + cooldown_ms;
}

/* A first cool-down that is set longer than the bound stays as it is. */
static int64_t doubled(int64_t cooldown_ms, int64_t first_ms)
{
        int64_t most = first_ms << BREAKER_DOUBLINGS;
        if (most > BREAKER_COOLDOWN_MAX_MS)
                most = BREAKER_COOLDOWN_MAX_MS;
        if (most < first_ms)
                most = first_ms;
        return cooldown_ms < most / 2 ? cooldown_ms * 2 : most;
}

/* ---- asking ---- */

/* Only what hangs on the key is mended by another key. */
static bool mended(const struct breaker_state *b, uint64_t credentials)
{
        return b->out && credentials && b->credentials && credentials != b->credentials &&
               (b->kind == FAULT_CREDENTIALS || b->kind == FAULT_QUOTA || b->kind == FAULT_FORBIDDEN);
}

/* An end that is further away than the cool-down is of a clock that is no more. */
static bool cooling(const struct breaker_state *b, int64_t now_ms)
{
        return now_ms < b->until_ms && b->until_ms - now_ms <= b->cooldown_ms;
}

enum breaker_word breaker_ask(struct breaker_state *b, uint64_t credentials, const struct lease_context *c,
                              int64_t now_ms)
{
        if (b->mode != BREAKER_CLOSED && mended(b, credentials))
                breaker_reset(b);
        if (b->mode == BREAKER_CLOSED)
                return BREAKER_PASS;
        if (b->mode == BREAKER_PROBING ? process_lives(c, b->probe) : cooling(b, now_ms))
                return BREAKER_REFUSE;
        b->mode = BREAKER_PROBING;
        b->probe = c->self;
        return BREAKER_PROBE;
}

/* ---- what became of it ---- */

static bool note_probe(struct breaker_state *b, const struct config_breaker *rules,
                       const struct breaker_fault *fault, int64_t now_ms)
{
        if (!fault) {
                breaker_reset(b);
                return true;
        }
        open_for(b, doubled(b->cooldown_ms, b->out ? BREAKER_OUT_MS : rules->cooldown_ms), now_ms);
        if (!b->out) /* a probe that met something else does not say that the key is good again */
                remember(b, fault);
        return true;
}

static bool too_many(const struct breaker_state *b, const struct config_breaker *rules, int64_t now_ms)
{
        int64_t calls, failed;
        breaker_look(b, now_ms, &calls, &failed);
        return rules->share > 0 && calls > 0 && calls >= rules->minimum &&
               (double)failed / (double)calls >= rules->share;
}

bool breaker_note(struct breaker_state *b, const struct config_breaker *rules, bool probe,
                  const struct breaker_fault *fault, int64_t now_ms)
{
        if (probe && b->mode == BREAKER_PROBING)
                return note_probe(b, rules, fault, now_ms);
        if (b->mode != BREAKER_CLOSED) /* it began before this opened, and says nothing new */
                return false;
        roll(b, rules, now_ms);
        count(fault ? &b->failed[place(b->bucket)] : &b->answered[place(b->bucket)]);
        if (!fault || !too_many(b, rules, now_ms))
                return false;
        open_for(b, rules->cooldown_ms, now_ms);
        remember(b, fault);
        return true;
}

bool breaker_out(struct breaker_state *b, bool probe, uint64_t credentials, const struct breaker_fault *fault,
                 int64_t now_ms)
{
        bool was = b->out, its_probe = probe && b->mode == BREAKER_PROBING;
        if (!its_probe && (was || b->mode == BREAKER_PROBING)) /* late, or its probe will tell */
                return false;
        open_for(b, was ? doubled(b->cooldown_ms, BREAKER_OUT_MS) : BREAKER_OUT_MS, now_ms);
        b->out = 1;
        b->credentials = credentials;
        remember(b, fault);
        return !was;
}

void breaker_drop(struct breaker_state *b)
{
        if (b->mode != BREAKER_PROBING)
                return;
        b->mode = BREAKER_OPEN;
        b->probe = (struct process_id){0};
}
