#include "cli/invoice_print.h"

#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "base/text.h"
#include "store/usage_write.h"

/* ---- what all share: the lines below the table ---- */

struct sum_row {
        const char *label;
        __int128 pico;
        unsigned places;
        bool strong;
};
enum { SUM_ROWS = 5 };

static size_t sum_rows(const struct invoice *inv, char tax_label[64], struct sum_row rows[SUM_ROWS])
{
        size_t n = 0;
        snprintf(tax_label, 64, "Tax %s %%", inv->tax_percent);
        rows[n++] = (struct sum_row){"Sum of the lines", inv->shown, INVOICE_PLACES, false};
        if (inv->rounding)
                rows[n++] = (struct sum_row){"Rounding", inv->rounding, INVOICE_PLACES, false};
        rows[n++] = (struct sum_row){"Net", inv->net, inv->places, false};
        rows[n++] = (struct sum_row){tax_label, inv->tax, inv->places, false};
        rows[n++] = (struct sum_row){"Total", inv->gross, inv->places, true};
        return n;
}

static const char *title(const struct invoice *inv, char out[64])
{
        if (inv->number)
                snprintf(out, 64, "Invoice %lld", (long long)inv->number);
        else
                snprintf(out, 64, "Draft of an invoice");
        return out;
}

static const char prepaid_note[] = "Paid from the account's balance.";

/* ---- text ---- */

/* Names of the configuration and of models, without a terminal's escapes. */
static void add_escaped(struct buf *out, const char *s)
{
        char shown[1024];
        text_escape(shown, sizeof shown, s, strlen(s));
        buf_adds(out, shown);
}

/* A name longer than its column stays whole: an invoice leaves nothing out. */
static void text_cell(struct buf *out, const char *s, int width)
{
        char shown[1024];
        text_escape(shown, sizeof shown, s, strlen(s));
        buf_addf(out, "%-*s", width, shown);
}

static void text_party(struct buf *out, const char *label, const struct config_party *p)
{
        const char *parts[] = {p->name, p->address, p->tax_id};
        bool first = true;
        for (size_t i = 0; i < 3; i++) {
                const char *rest = parts[i];
                while (rest && *rest) {
                        size_t len = strcspn(rest, "\n");
                        char line[512];
                        snprintf(line, sizeof line, "%.*s", (int)(len < 500 ? len : 500), rest);
                        buf_addf(out, "%-8s%s", first ? label : "", i == 2 ? "Tax ID " : "");
                        add_escaped(out, line);
                        buf_addc(out, '\n');
                        first = false;
                        rest += len + (rest[len] == '\n');
                }
        }
        if (!first)
                buf_addc(out, '\n');
}

void invoice_write_text(const struct invoice *inv, struct buf *out)
{
        char text[MONEY_TEXT], label[64];
        struct sum_row rows[SUM_ROWS];
        buf_addf(out, "%s\n", title(inv, label));
        buf_addf(out, "%s to %s (%s)%s%s\n", inv->from, inv->until, inv->zone,
                 *inv->issued ? ", issued " : "", inv->issued);
        buf_adds(out, "Account ");
        add_escaped(out, inv->account);
        buf_adds(out, "\n\n");
        text_party(out, "From", &inv->seller);
        text_party(out, "To", &inv->buyer);
        buf_addf(out, "%-10s  %-20s %8s %11s %9s %14s\n", "Day", "Model", "Requests", "Input", "Output",
                 inv->currency);
        for (size_t i = 0; i < inv->line_count; i++) {
                const struct invoice_line *l = &inv->lines[i];
                buf_addf(out, "%s  ", l->day);
                text_cell(out, *l->model ? l->model : "-", 20);
                buf_addf(out, " %8lld %11lld %9lld %14s\n", (long long)l->requests, (long long)l->input,
                         (long long)l->output, money_text_places(text, l->shown, INVOICE_PLACES));
        }
        if (!inv->line_count)
                buf_adds(out, "Nothing was charged.\n");
        buf_addc(out, '\n');
        size_t n = sum_rows(inv, label, rows);
        for (size_t i = 0; i < n; i++)
                buf_addf(out, "%60s %*s\n", rows[i].label,
                         rows[i].places == INVOICE_PLACES ? 17 : (int)(17 - INVOICE_PLACES + rows[i].places),
                         money_text_places(text, rows[i].pico, rows[i].places));
        if (inv->prepaid)
                buf_addf(out, "\n%s\n", prepaid_note);
        if (!inv->number)
                buf_adds(out, "\nThis is a draft: it has no number, and later requests may be added.\n");
}

/* ---- HTML ---- */

static void html(struct buf *out, const char *s)
{
        for (; *s; s++) {
                switch (*s) {
                case '&': buf_adds(out, "&amp;"); break;
                case '<': buf_adds(out, "&lt;"); break;
                case '>': buf_adds(out, "&gt;"); break;
                case '"': buf_adds(out, "&quot;"); break;
                case '\n': buf_adds(out, "<br>"); break;
                default: buf_addc(out, *s);
                }
        }
}

static const char style[] =
        "@page{size:A4;margin:20mm 18mm}\n"
        "*{box-sizing:border-box}\n"
        "body{font:10.5pt/1.45 system-ui,sans-serif;color:#111;background:#fff;max-width:174mm;margin:12mm "
        "auto}\n"
        "h1{font-size:20pt;font-weight:600;margin:0 0 2mm}\n"
        ".draft{color:#a33}\n"
        ".meta{color:#555;margin:0 0 10mm}\n"
        ".parties{display:flex;gap:12mm;margin:0 0 10mm}\n"
        ".parties div{flex:1}\n"
        ".parties h2{font-size:9pt;font-weight:600;color:#555;margin:0 0 1mm}\n"
        "table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
        "th{font-size:9pt;font-weight:600;color:#555;text-align:left;border-bottom:.4mm solid #111}\n"
        "th,td{padding:1.2mm 2mm 1.2mm 0;vertical-align:top;overflow-wrap:anywhere}\n"
        "th.n,td.n{text-align:right;padding-right:0;padding-left:2mm;white-space:nowrap}\n"
        "tbody tr{border-bottom:.1mm solid #ddd;break-inside:avoid}\n"
        "thead{display:table-header-group}\n"
        "tfoot{display:table-row-group}\n"
        "tfoot tr{break-inside:avoid}\n"
        "tfoot td{border:0}\n"
        "tfoot tr.total td{font-weight:600;font-size:12pt;border-top:.4mm solid #111}\n"
        ".note{margin-top:8mm;color:#555}\n"
        "@media print{body{margin:0;max-width:none}}\n";

static void html_party(struct buf *out, const char *label, const struct config_party *p)
{
        if (!(p->name && *p->name) && !(p->address && *p->address) && !(p->tax_id && *p->tax_id))
                return;
        buf_addf(out, "<div><h2>%s</h2>", label);
        if (p->name && *p->name) {
                buf_adds(out, "<strong>");
                html(out, p->name);
                buf_adds(out, "</strong><br>");
        }
        html(out, p->address ? p->address : "");
        if (p->tax_id && *p->tax_id) {
                buf_adds(out, "<br>Tax ID ");
                html(out, p->tax_id);
        }
        buf_adds(out, "</div>\n");
}

static void html_lines(const struct invoice *inv, struct buf *out)
{
        char text[MONEY_TEXT];
        buf_adds(out,
                 "<table>\n<thead><tr><th scope=\"col\">Day</th><th scope=\"col\">Model</th>"
                 "<th scope=\"col\" class=\"n\">Requests</th><th scope=\"col\" class=\"n\">Input tokens</th>"
                 "<th scope=\"col\" class=\"n\">Output tokens</th><th scope=\"col\" class=\"n\">");
        html(out, inv->currency);
        buf_adds(out, "</th></tr></thead>\n<tbody>\n");
        for (size_t i = 0; i < inv->line_count; i++) {
                const struct invoice_line *l = &inv->lines[i];
                buf_adds(out, "<tr><td>");
                html(out, l->day);
                buf_adds(out, "</td><td>");
                html(out, *l->model ? l->model : "-");
                buf_addf(out,
                         "</td><td class=\"n\">%lld</td><td class=\"n\">%lld</td><td class=\"n\">%lld</td>"
                         "<td class=\"n\">%s</td></tr>\n",
                         (long long)l->requests, (long long)l->input, (long long)l->output,
                         money_text_places(text, l->shown, INVOICE_PLACES));
        }
        if (!inv->line_count)
                buf_adds(out, "<tr><td colspan=\"6\">Nothing was charged.</td></tr>\n");
}

void invoice_write_html(const struct invoice *inv, struct buf *out)
{
        char text[MONEY_TEXT], label[64];
        struct sum_row rows[SUM_ROWS];
        buf_addf(out,
                 "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s, ",
                 title(inv, label));
        html(out, inv->account);
        buf_addf(out, ", %s</title>\n<style>\n%s</style>\n</head>\n<body>\n", inv->month, style);
        buf_addf(out, "<h1%s>%s</h1>\n<p class=\"meta\">%s to %s (", inv->number ? "" : " class=\"draft\"",
                 label, inv->from, inv->until);
        html(out, inv->zone);
        buf_addf(out, ")%s%s · account ", *inv->issued ? " · issued " : "", inv->issued);
        html(out, inv->account);
        buf_adds(out, "</p>\n<div class=\"parties\">\n");
        html_party(out, "From", &inv->seller);
        html_party(out, "To", &inv->buyer);
        buf_adds(out, "</div>\n");
        html_lines(inv, out);
        buf_adds(out, "</tbody>\n<tfoot>\n");
        size_t n = sum_rows(inv, label, rows);
        for (size_t i = 0; i < n; i++)
                buf_addf(out, "<tr%s><td colspan=\"5\" class=\"n\">%s</td><td class=\"n\">%s%s%s</td></tr>\n",
                         rows[i].strong ? " class=\"total\"" : "", rows[i].label,
                         money_text_places(text, rows[i].pico, rows[i].places), rows[i].strong ? " " : "",
                         rows[i].strong ? inv->currency : "");
        buf_adds(out, "</tfoot>\n</table>\n");
        if (inv->prepaid)
                buf_addf(out, "<p class=\"note\">%s</p>\n", prepaid_note);
        if (!inv->number)
                buf_adds(out,
                         "<p class=\"note\">This is a draft: it has no number, and later requests may be "
                         "added.</p>\n");
        buf_adds(out, "</body>\n</html>\n");
}

/* ---- CSV ---- */

void invoice_write_csv(const struct invoice *inv, struct buf *out)
{
        char text[MONEY_TEXT], exact[MONEY_TEXT], label[64];
        struct sum_row rows[SUM_ROWS];
        buf_adds(
                out,
                "invoice,account,day,model,requests,input_tokens,cached_tokens,output_tokens,amount,currency,"
                "exact\r\n");
        for (size_t i = 0; i < inv->line_count; i++) {
                const struct invoice_line *l = &inv->lines[i];
                buf_addf(out, "%lld,", (long long)inv->number);
                csv_cell(out, inv->account);
                buf_addf(out, ",%s,", l->day);
                csv_cell(out, l->model);
                buf_addf(out, ",%lld,%lld,%lld,%lld,%s,%s,%s\r\n", (long long)l->requests,
                         (long long)l->input, (long long)l->cached, (long long)l->output,
                         money_text_places(text, l->shown, INVOICE_PLACES), inv->currency,
                         money_text(exact, l->pico));
        }
        size_t n = sum_rows(inv, label, rows);
        for (size_t i = 0; i < n; i++) {
                buf_addf(out, "%lld,", (long long)inv->number);
                csv_cell(out, inv->account);
                buf_addf(out, ",,%s,,,,,%s,%s,\r\n", rows[i].label,
                         money_text_places(text, rows[i].pico, rows[i].places), inv->currency);
        }
}
