#include "relay/limit_headers.h"

const char *limit_duration(struct arena *a, int64_t ms)
{
        if (ms < 1000)
                return arena_printf(a, "%lldms", (long long)(ms > 0 ? ms : 0));
        long long s = (ms + 999) / 1000;
        if (s < 60)
                return arena_printf(a, "%llds", s);
        if (s < 3600)
                return arena_printf(a, "%lldm%llds", s / 60, s % 60);
        return arena_printf(a, "%lldh%lldm%llds", s / 3600, s / 60 % 60, s % 60);
}

static int64_t left(const struct limit_view *v)
{
        return v->max > v->used ? v->max - v->used : 0;
}

/* The one with less left, in calls or tokens: that one stops the caller first. */
static const struct limit_view *tighter(const struct limit_view *a, const struct limit_view *b)
{
        if (!a->max || !b->max)
                return a->max ? a : b->max ? b : NULL;
        return left(a) <= left(b) ? a : b;
}

static size_t write_view(struct arena *a, const struct limit_view *v, const char *what,
                         struct relay_header *out)
{
        if (!v)
                return 0;
        out[0] = (struct relay_header){arena_printf(a, "x-ratelimit-limit-%s", what),
                                       arena_printf(a, "%lld", (long long)v->max)};
        out[1] = (struct relay_header){arena_printf(a, "x-ratelimit-remaining-%s", what),
                                       arena_printf(a, "%lld", (long long)left(v))};
        out[2] = (struct relay_header){arena_printf(a, "x-ratelimit-reset-%s", what),
                                       limit_duration(a, v->reset_ms)};
        return 3;
}

size_t limit_headers(struct arena *a, const struct limit_views *views, struct relay_header *out)
{
        size_t n = write_view(a, tighter(&views->rpm, &views->rpd), "requests", out);
        return n + write_view(a, tighter(&views->tpm, &views->tpd), "tokens", out + n);
}
