#include "relay/exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

/* ---- what is wanted ---- */

/* "q=0.5" as 500. */
static int quality(const char *s, const char *end)
{
        while (s < end) {
                s += strspn(s, "; \t");
                if (end - s > 2 && strncasecmp(s, "q=", 2) == 0)
                        return (int)(strtod(s + 2, NULL) * 1000 + 0.5);
                s += strcspn(s, ";,");
        }
        return 1000;
}

/* -1: this type is not named. */
static int wanted(const char *accept, const char *type)
{
        int best = -1;
        while (*accept) {
                accept += strspn(accept, " \t,");
                const char *end = accept + strcspn(accept, ",");
                size_t len = strcspn(accept, ",; \t");
                if (len == strlen(type) && strncasecmp(accept, type, len) == 0) {
                        int q = quality(accept + len, end);
                        best = q > best ? q : best;
                }
                accept = end;
        }
        return best;
}

bool exposition_wants_openmetrics(const char *accept)
{
        int open = accept ? wanted(accept, "application/openmetrics-text") : 0;
        return open > 0 && open >= wanted(accept, "text/plain");
}

const char *exposition_content_type(bool openmetrics)
{
        return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                           : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- pieces ---- */

static const char *total_suffix(const struct metric *m)
{
        return m->type == METRIC_COUNTER ? "_total" : "";
}

void exposition_begin(struct exposition *e, const struct metric *m)
{
        static const char *const types[] = {
                [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
        const char *suffix = e->openmetrics ? "" : total_suffix(m);
        e->metric = m;
        buf_addf(e->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", m->name, suffix, m->help, m->name, suffix,
                 types[m->type]);
        if (e->openmetrics && m->unit)
                buf_addf(e->out, "# UNIT %s %s\n", m->name, m->unit);
}

static void add_value(struct buf *out, const char *s)
{
        const char *end = s + strlen(s);
        while (s < end) {
                size_t n = text_utf8_length(s, (size_t)(end - s));
                if (!n)
                        buf_adds(out, "\xEF\xBF\xBD");
                else if (*s == '\n')
                        buf_adds(out, "\\n");
                else if (*s == '"' || *s == '\\')
                        buf_addf(out, "\\%c", *s);
                else
                        buf_add(out, s, n);
                s += n ? n : 1;
        }
}

/* le: another label behind the others, or NULL. */
static void add_name(struct exposition *e, const char *suffix, const struct metric_label *labels,
                     size_t count, const char *le)
{
        char before = '{';
        buf_adds(e->out, e->metric->name);
        buf_adds(e->out, suffix);
        for (size_t i = 0; i < count; i++) {
                if (!labels[i].value || !*labels[i].value)
                        continue;
                buf_addc(e->out, before);
                buf_adds(e->out, labels[i].name);
                buf_adds(e->out, "=\"");
                add_value(e->out, labels[i].value);
                buf_addc(e->out, '"');
                before = ',';
        }
        if (le) {
                buf_addf(e->out, "%cle=\"%s\"", before, le);
                before = ',';
        }
        buf_adds(e->out, before == ',' ? "} " : " ");
}

static const char *decimal_text(char out[48], int64_t value, unsigned places)
{
        static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
        uint64_t n = value < 0 ? -(uint64_t)value : (uint64_t)value, unit = powers[places];
        if (places)
                snprintf(out, 48, "%s%llu.%0*llu", value < 0 ? "-" : "", (unsigned long long)(n / unit),
                         (int)places, (unsigned long long)(n % unit));
        else
                snprintf(out, 48, "%lld", (long long)value);
        return out;
}

/* The canonical form of OpenMetrics, which Prometheus 3 makes of others: "0.5", "1.0", "1.048576e+06". */
static const char *bound_text(char out[48], double bound)
{
        int digits = 1;
        while (digits < 17) {
                snprintf(out, 48, "%.*e", digits - 1, bound);
                if (strtod(out, NULL) == bound)
                        break;
                digits++;
        }
        if (bound >= 1e6 || bound < 1e-4)
                return out;
        snprintf(out, 48, "%.*g", digits < 6 ? 6 : digits, bound);
        if (!strchr(out, '.'))
                strcat(out, ".0");
        return out;
}

/* ---- samples ---- */

void exposition_text(struct exposition *e, const struct metric_label *labels, size_t count, const char *value)
{
        add_name(e, total_suffix(e->metric), labels, count, NULL);
        buf_adds(e->out, value);
        buf_addc(e->out, '\n');
}

void exposition_decimal(struct exposition *e, const struct metric_label *labels, size_t count, int64_t value,
                        unsigned places)
{
        char text[48];
        exposition_text(e, labels, count, decimal_text(text, value, places));
}

void exposition_int(struct exposition *e, const struct metric_label *labels, size_t count, int64_t value)
{
        exposition_decimal(e, labels, count, value, 0);
}

void exposition_histogram(struct exposition *e, const struct metric_label *labels, size_t count,
                          const struct metric_histogram *h)
{
        char text[48];
        uint64_t all = 0;
        for (size_t i = 0; i <= h->bound_count; i++) {
                all += (uint64_t)h->counts[i];
                add_name(e, "_bucket", labels, count,
                         i < h->bound_count ? bound_text(text, h->bounds[i]) : "+Inf");
                buf_addf(e->out, "%llu\n", (unsigned long long)all);
        }
        add_name(e, "_sum", labels, count, NULL);
        buf_addf(e->out, "%s\n", decimal_text(text, h->sum, h->sum_places));
        add_name(e, "_count", labels, count, NULL);
        buf_addf(e->out, "%llu\n", (unsigned long long)all);
}

bool exposition_end(struct exposition *e)
{
        if (e->openmetrics)
                buf_adds(e->out, "# EOF\n");
        return !e->out->failed;
}
