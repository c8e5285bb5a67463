#include "policy/limit.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { SECOND_MS = 1000, GAP_MAX_MS = 50, CLOCK_SLACK_S = 2 };

/* Beyond what any provider says or any call uses; sums of it stay far from overflow. */
static const int64_t counts_max = 1000000000000000;

static const char *const names[LIMIT_KINDS] = {
        [LIMIT_NONE] = "none",
        [LIMIT_RPM] = "rpm",
        [LIMIT_TPM] = "tpm",
        [LIMIT_RPD] = "rpd",
        [LIMIT_TPD] = "tpd",
        [LIMIT_CONCURRENT] = "concurrent",
        [LIMIT_QUEUE] = "queue_length",
        [LIMIT_TOO_LARGE] = "too large",
        [LIMIT_TOLD] = "provider",
};

const char *limit_name(enum limit_kind kind)
{
        return names[kind < LIMIT_KINDS ? kind : LIMIT_NONE];
}

static int64_t later(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/* ---- the ring ---- */

static size_t place(int64_t second)
{
        return (size_t)(second & (LIMIT_RING - 1));
}
_Static_assert((LIMIT_RING & (LIMIT_RING - 1)) == 0, "place() masks");
_Static_assert(LIMIT_RING > LIMIT_WINDOW_S + LIMIT_AHEAD_S + CLOCK_SLACK_S,
               "the ring holds what is looked at");

static bool spoken_of(const struct limit_state *s, int64_t second)
{
        return second <= s->newest_s && second > s->newest_s - LIMIT_RING;
}

static uint32_t in_second(const struct limit_state *s, const uint32_t *ring, int64_t second)
{
        return spoken_of(s, second) ? ring[place(second)] : 0;
}

static int64_t sum(const struct limit_state *s, const uint32_t *ring, int64_t first, int64_t last)
{
        int64_t total = 0;
        last = earlier(last, s->newest_s);
        for (int64_t t = later(first, s->newest_s - LIMIT_RING + 1); t <= last; t++)
                total += ring[place(t)];
        return total;
}

static void advance(struct limit_state *s, int64_t second)
{
        if (second - s->newest_s >= LIMIT_RING) {
                memset(s->requests, 0, sizeof s->requests);
                memset(s->tokens, 0, sizeof s->tokens);
                s->newest_s = second;
        }
        while (s->newest_s < second) {
                s->newest_s++;
                s->requests[place(s->newest_s)] = s->tokens[place(s->newest_s)] = 0;
        }
}

static void add(uint32_t *count, int64_t n)
{
        *count = n > UINT32_MAX - *count ? UINT32_MAX : (uint32_t)(*count + n);
}

static void take(uint32_t *count, int64_t n)
{
        *count = n > *count ? 0 : (uint32_t)(*count - n);
}

/* Further ahead than anything is booked: the slot was written under a clock that is no more. Days are not
 * counted by it. */
static bool of_dead_clock(const struct limit_state *s, int64_t now_ms)
{
        int64_t far_ms = now_ms + (LIMIT_AHEAD_S + CLOCK_SLACK_S) * SECOND_MS;
        return s->newest_s > far_ms / SECOND_MS || s->booked_ms > far_ms;
}

static void forget_dead_clock(struct limit_state *s, int64_t now_ms)
{
        if (!of_dead_clock(s, now_ms))
                return;
        *s = (struct limit_state){.newest_s = now_ms / SECOND_MS,
                                  .era = s->era,
                                  .day = s->day,
                                  .day_requests = s->day_requests,
                                  .day_tokens = s->day_tokens};
}

/* ---- days ---- */

/* Who asked just before midnight may come here just after another who asked on the new day. */
static bool on_day(const struct limit_state *s, int64_t day)
{
        return day == s->day || day == s->day - 1;
}

static enum limit_kind day_refuses(const struct limit_state *s, const struct config_limits *l, int64_t day,
                                   int64_t tokens)
{
        int64_t requests_used = on_day(s, day) ? s->day_requests : 0;
        int64_t tokens_used = on_day(s, day) ? s->day_tokens : 0;
        if (l->rpd > 0 && requests_used >= l->rpd)
                return LIMIT_RPD;
        if (l->tpd > 0 && tokens > l->tpd - tokens_used)
                return LIMIT_TPD;
        return LIMIT_NONE;
}

static void day_count(struct limit_state *s, struct limit_turn *turn)
{
        if (!on_day(s, turn->day)) {
                s->day = turn->day;
                s->day_requests = s->day_tokens = 0;
        }
        turn->day = s->day;
        s->day_requests++;
        s->day_tokens = earlier(s->day_tokens + turn->tokens, counts_max);
}

/* ---- the provider's word ---- */

/* When a full need is there; one larger than the bucket asks for a full bucket. */
static int64_t told_when(const struct limit_told *t, int64_t need, int64_t from_ms)
{
        need = earlier(need, t->limit);
        if (t->limit <= 0 || from_ms >= t->full_ms || t->remaining >= need)
                return from_ms;
        double share = (double)(need - t->remaining) / (double)(t->limit - t->remaining);
        int64_t ready_ms = t->at_ms + (int64_t)ceil((double)(t->full_ms - t->at_ms) * share);
        return later(from_ms, earlier(ready_ms, t->full_ms));
}

/* n < 0: it comes back. */
static void told_take(struct limit_told *t, int64_t n)
{
        if (t->limit > 0)
                t->remaining = later(earlier(t->remaining - n, t->limit), -counts_max);
}

/* A later word has counted the turn itself. */
static bool told_before(const struct limit_told *t, const struct limit_turn *turn)
{
        return turn->at_ms / SECOND_MS > t->at_ms / SECOND_MS;
}

static void told_set(const struct limit_state *s, const uint32_t *ring, struct limit_told *to,
                     const struct limit_told *word)
{
        if (!word || word->limit <= 0 || (to->limit > 0 && word->at_ms < to->at_ms))
                return;
        *to = *word;
        to->limit = earlier(word->limit, counts_max);
        to->remaining = earlier(later(word->remaining, 0), to->limit);
        to->full_ms = later(word->full_ms, word->at_ms);
        /* The provider knows nothing of the turns that are booked ahead. */
        told_take(to, sum(s, ring, word->at_ms / SECOND_MS + 1, s->newest_s));
}

void limit_tell(struct limit_state *s, const struct limit_told *requests, const struct limit_told *tokens)
{
        told_set(s, s->requests, &s->told_requests, requests);
        told_set(s, s->tokens, &s->told_tokens, tokens);
}

/* ---- turns ---- */

struct window {
        int64_t requests, tokens;
};

/* What forbids a turn in a second whose window holds w. */
static enum limit_kind forbids(const struct limit_state *s, const struct config_limits *l,
                               const struct window *w, int64_t tokens, int64_t second)
{
        if ((l->rpm > 0 && w->requests >= l->rpm) || in_second(s, s->requests, second) == UINT32_MAX)
                return LIMIT_RPM;
        if ((l->tpm > 0 && tokens > l->tpm - w->tokens) ||
            tokens > UINT32_MAX - in_second(s, s->tokens, second))
                return LIMIT_TPM;
        return LIMIT_NONE;
}

/* The first second from *second on that takes the turn, and its window. It ends: 61 seconds after the last
 * count the window is empty. */
static enum limit_kind seek(const struct limit_state *s, const struct config_limits *l, int64_t tokens,
                            int64_t *second, struct window *w)
{
        int64_t first = *second - LIMIT_WINDOW_S;
        enum limit_kind by = LIMIT_NONE, forbidden;
        *w = (struct window){0};
        if (l->rpm > 0)
                w->requests = sum(s, s->requests, first, *second);
        if (l->tpm > 0)
                w->tokens = sum(s, s->tokens, first, *second);
        while ((forbidden = forbids(s, l, w, tokens, *second)) != LIMIT_NONE) {
                by = forbidden;
                w->requests -= in_second(s, s->requests, *second - LIMIT_WINDOW_S);
                w->tokens -= in_second(s, s->tokens, *second - LIMIT_WINDOW_S);
                ++*second;
                w->requests += in_second(s, s->requests, *second);
                w->tokens += in_second(s, s->tokens, *second);
        }
        return by;
}

/* Those who wait for the same second wake one after the other, in their order. */
static int64_t behind_last(const struct limit_state *s, const struct config_limits *l, const struct window *w,
                           int64_t tokens, int64_t second)
{
        int64_t end = second * SECOND_MS + SECOND_MS - 1, room = SECOND_MS;
        if (l->rpm > 0)
                room = earlier(room, l->rpm - w->requests);
        if (l->tpm > 0 && tokens > 0)
                room = earlier(room, (l->tpm - w->tokens) / tokens);
        int64_t gap = (end + 1 - s->booked_ms) / later(room, 1);
        return earlier(s->booked_ms + later(earlier(gap, GAP_MAX_MS), 1), end);
}

/* The earliest moment that breaks no limit and passes nobody who was there before. */
static int64_t earliest(const struct limit_state *s, const struct config_limits *l, int64_t tokens,
                        int64_t now_ms, enum limit_kind *by)
{
        struct window w;
        int64_t from = later(now_ms, s->booked_ms);
        if (from > now_ms)
                *by = l->rpm > 0 ? LIMIT_RPM : l->tpm > 0 ? LIMIT_TPM : LIMIT_TOLD;
        int64_t told_ms = told_when(&s->told_tokens, tokens, told_when(&s->told_requests, 1, from));
        if (told_ms > from)
                *by = LIMIT_TOLD;
        int64_t second = told_ms / SECOND_MS;
        enum limit_kind full = seek(s, l, tokens, &second, &w);
        if (full != LIMIT_NONE)
                *by = full;
        int64_t at_ms = later(told_ms, second * SECOND_MS);
        if (at_ms > now_ms && s->booked_ms / SECOND_MS == second)
                at_ms = later(at_ms, behind_last(s, l, &w, tokens, second));
        return at_ms;
}

static void book(struct limit_state *s, struct limit_turn *turn, int64_t now_ms)
{
        int64_t second = turn->at_ms / SECOND_MS;
        if (!s->era)
                s->era = (uint32_t)now_ms | 1;
        turn->era = s->era;
        advance(s, second);
        add(&s->requests[place(second)], 1);
        add(&s->tokens[place(second)], turn->tokens);
        s->booked_ms = turn->at_ms;
        if (turn->at_ms <= now_ms) {
                s->passed = s->passed_s == second ? s->passed + 1 : 1;
                s->passed_s = second;
        }
        told_take(&s->told_requests, 1);
        told_take(&s->told_tokens, turn->tokens);
        day_count(s, turn);
}

static bool too_large(const struct config_limits *l, int64_t tokens)
{
        return (l->tpm > 0 && tokens > l->tpm) || (l->tpd > 0 && tokens > l->tpd) || tokens > UINT32_MAX;
}

struct limit_turn limit_reserve(struct limit_state *s, const struct config_limits *l,
                                const struct limit_ask *ask, int64_t now_ms)
{
        static const struct config_limits none;
        struct limit_turn turn = {.tokens = later(ask->tokens, 0), .day = ask->day};
        if (!l)
                l = &none;
        if (too_large(l, turn.tokens)) {
                turn.by = LIMIT_TOO_LARGE;
                return turn;
        }
        turn.by = day_refuses(s, l, ask->day, turn.tokens);
        if (turn.by != LIMIT_NONE) {
                turn.at_ms = now_ms + ask->day_left_ms;
                return turn;
        }
        forget_dead_clock(s, now_ms);
        turn.at_ms = earliest(s, l, turn.tokens, now_ms, &turn.by);
        if (turn.at_ms - now_ms > earlier(later(ask->wait_ms, 0), LIMIT_AHEAD_S * SECOND_MS))
                return turn;
        if (turn.at_ms > now_ms && l->queue_length > 0 && limit_waiting(s, now_ms) >= l->queue_length) {
                turn.by = LIMIT_QUEUE;
                return turn;
        }
        turn.granted = true;
        book(s, &turn, now_ms);
        return turn;
}

/* ---- afterwards ---- */

static void return_tokens(struct limit_state *s, const struct limit_turn *turn, int64_t n)
{
        int64_t second = turn->at_ms / SECOND_MS;
        if (spoken_of(s, second))
                take(&s->tokens[place(second)], n);
        if (turn->day == s->day)
                s->day_tokens = later(s->day_tokens - n, 0);
        if (told_before(&s->told_tokens, turn))
                told_take(&s->told_tokens, -n);
}

void limit_settle(struct limit_state *s, const struct limit_turn *turn, int64_t used_tokens, int64_t now_ms)
{
        int64_t over = earlier(later(used_tokens, 0), counts_max) - turn->tokens;
        if (!turn->granted || over == 0)
                return;
        forget_dead_clock(s, now_ms);
        if (over < 0) {
                if (turn->era == s->era)
                        return_tokens(s, turn, -over);
                return;
        }
        advance(s, now_ms / SECOND_MS);
        add(&s->tokens[place(now_ms / SECOND_MS)], over);
        s->day_tokens = earlier(s->day_tokens + over, counts_max);
        if (told_before(&s->told_tokens, turn))
                told_take(&s->told_tokens, over);
}

/* Of a second's turns, those that were booked before it came. */
static int64_t booked_in(const struct limit_state *s, int64_t second)
{
        int64_t all = in_second(s, s->requests, second);
        return later(all - (s->passed_s == second ? s->passed : 0), 0);
}

/* When the last turns ahead are given back, nobody is kept waiting behind them. */
static void pull_booked(struct limit_state *s, int64_t now_ms)
{
        int64_t now_s = now_ms / SECOND_MS, last = earlier(s->booked_ms / SECOND_MS, s->newest_s);
        while (last > now_s && in_second(s, s->requests, last) == 0)
                last--;
        bool none = last <= now_s && booked_in(s, now_s) == 0;
        s->booked_ms = earlier(s->booked_ms, none ? now_ms : last * SECOND_MS + SECOND_MS - 1);
}

void limit_give_back(struct limit_state *s, const struct limit_turn *turn, int64_t now_ms)
{
        int64_t second = turn->at_ms / SECOND_MS;
        if (!turn->granted)
                return;
        forget_dead_clock(s, now_ms);
        if (turn->era != s->era)
                return;
        if (spoken_of(s, second))
                take(&s->requests[place(second)], 1);
        if (turn->day == s->day)
                s->day_requests = later(s->day_requests - 1, 0);
        if (told_before(&s->told_requests, turn))
                told_take(&s->told_requests, -1);
        return_tokens(s, turn, turn->tokens);
        pull_booked(s, now_ms);
}

/* ---- looking ---- */

/* Booked turns of the second under way that are still to come, as if they lay evenly in it. */
static int64_t left_in_second(const struct limit_state *s, int64_t now_ms)
{
        int64_t second = now_ms / SECOND_MS, start = second * SECOND_MS, booked = booked_in(s, second);
        int64_t last = earlier(s->booked_ms, start + SECOND_MS - 1);
        if (s->passed_s != second) /* then they began with the second, with gaps of a known size */
                last = earlier(last, start + later(booked - 1, 0) * GAP_MAX_MS);
        if (last <= now_ms)
                return 0;
        return later(1, ((booked - 1) * (last - now_ms) + (last - start) - 1) / (last - start));
}

int64_t limit_waiting(const struct limit_state *s, int64_t now_ms)
{
        if (of_dead_clock(s, now_ms) || s->booked_ms <= now_ms)
                return 0;
        return sum(s, s->requests, now_ms / SECOND_MS + 1, s->newest_s) + left_in_second(s, now_ms);
}

static struct limit_view look_window(const struct limit_state *s, const uint32_t *ring, int64_t max,
                                     int64_t now_ms)
{
        int64_t now_s = now_ms / SECOND_MS, first = now_s - LIMIT_WINDOW_S, last = s->newest_s;
        struct limit_view view = {.max = max};
        if (of_dead_clock(s, now_ms))
                return view;
        view.used = sum(s, ring, first, now_s);
        while (last >= first && in_second(s, ring, last) == 0)
                last--;
        if (last >= first)
                view.reset_ms = (last + LIMIT_WINDOW_S + 1) * SECOND_MS - now_ms;
        return view;
}

void limit_look(const struct limit_state *s, const struct config_limits *l, int64_t day, int64_t day_left_ms,
                int64_t now_ms, struct limit_views *out)
{
        bool today = on_day(s, day);
        *out = (struct limit_views){
                .rpm = look_window(s, s->requests, l ? l->rpm : 0, now_ms),
                .tpm = look_window(s, s->tokens, l ? l->tpm : 0, now_ms),
                .rpd = {.max = l ? l->rpd : 0, .used = today ? s->day_requests : 0},
                .tpd = {.max = l ? l->tpd : 0, .used = today ? s->day_tokens : 0},
        };
        out->rpd.reset_ms = out->rpd.used ? day_left_ms : 0;
        out->tpd.reset_ms = out->tpd.used ? day_left_ms : 0;
}
