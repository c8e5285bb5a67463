/*
 * What the books cost a request: a begin, an end, and the move of its lines into the ledger (a row, an
 * attempt, running totals), in groups as the responder moves them.
 *
 *     book [--check] [FOLDER]      a folder that only its owner can write in; without: a new one below /tmp
 *
 * BENCH_REQUESTS: how many (50000). Times are of the processor, so that what else the machine does matters
 * little. --check: exit 1 when a figure is out of reach.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/book.h"

enum { GROUP = 250, ACCOUNTS = 8, MODELS = 5 }; /* a second's requests, or a quarter's of a busy one */

static char path[4096], ids[GROUP][40];

static void die(const char *what)
{
        fprintf(stderr, "book: %s\n", what);
        exit(3);
}

static double cpu_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* As a request of a company's desk looks. */
static struct ledger_row row_of(struct book *b, int n)
{
        static const char *const accounts[ACCOUNTS] = {"helpdesk", "lab",   "web",     "sales",
                                                       "archive",  "legal", "finance", "intranet"};
        static const char *const models[MODELS] = {"chat", "fast", "vision", "summary", "translate"};
        int64_t now = clock_unix_ms(), id = book_id(b, now);
        snprintf(ids[n % GROUP], sizeof ids[0], "tg-%016llx%016llx", (unsigned long long)(n * 7919LL),
                 (unsigned long long)id);
        return (struct ledger_row){.id = id,
                                   .time_ms = now,
                                   .request_id = ids[n % GROUP],
                                   .account = accounts[n % ACCOUNTS],
                                   .user = "e.mustermann@intranet.example",
                                   .identity = "user",
                                   .endpoint = "/v1/chat/completions",
                                   .dialect = "openai",
                                   .model = models[n % MODELS],
                                   .version = "2026-11",
                                   .provider = "openai",
                                   .upstream_model = "gpt-5.5-2026-09-01",
                                   .served_model = "gpt-5.5-2026-09-01",
                                   .upstream_request_id = "req_0123456789abcdef0123456789abcdef",
                                   .trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                   .outcome = "ok",
                                   .status = 200,
                                   .stream = 1,
                                   .attempts = 1,
                                   .input = 1200 + n % 3000,
                                   .cached = 800,
                                   .output = 300 + n % 500,
                                   .reasoning = 40,
                                   .priced = 1,
                                   .cost_pico = INT64_C(4375000000) + n,
                                   .currency = "USD",
                                   .charge_pico = INT64_C(4062500000) + n,
                                   .charge_currency = "EUR",
                                   .queue_ms = 2,
                                   .first_token_ms = 350 + n % 200,
                                   .total_ms = 4200 + n % 3000};
}

static struct ledger_attempt attempt_of(const struct ledger_row *row)
{
        return (struct ledger_attempt){.request = row->id,
                                       .n = 1,
                                       .time_ms = row->time_ms,
                                       .provider = row->provider,
                                       .upstream_model = row->upstream_model,
                                       .served_model = row->served_model,
                                       .upstream_request_id = row->upstream_request_id,
                                       .kind = "first",
                                       .outcome = "ok",
                                       .status = 200,
                                       .input = row->input,
                                       .cached = row->cached,
                                       .output = row->output,
                                       .reasoning = row->reasoning,
                                       .priced = 1,
                                       .cost_pico = row->cost_pico,
                                       .charge_pico = row->charge_pico,
                                       .hold_pico = INT64_C(90000000000),
                                       .hold_day = 20783,
                                       .hold_month = 682,
                                       .first_token_ms = row->first_token_ms,
                                       .total_ms = row->total_ms};
}

struct figures {
        double begin, attempt, end, move;
};

static void group(struct book *b, int from, int count, struct figures *f)
{
        static struct ledger_row rows[GROUP];
        static struct ledger_attempt attempts[GROUP];
        double times[5];
        for (int i = 0; i < count; i++) {
                rows[i] = row_of(b, from + i);
                attempts[i] = attempt_of(&rows[i]);
        }
        times[0] = cpu_us();
        for (int i = 0; i < count; i++) {
                if (!book_begin(b, &rows[i], &attempts[i]))
                        die("the spool is full");
        }
        times[1] = cpu_us();
        for (int i = 0; i < count; i++)
                book_attempt(b, &attempts[i]);
        times[2] = cpu_us();
        for (int i = 0; i < count; i++) {
                if (!book_end(b, &rows[i], &attempts[i], 1))
                        die("the spool is full");
        }
        times[3] = cpu_us();
        if (book_move(b) != count)
                die("the ledger takes no rows");
        times[4] = cpu_us();
        f->begin += times[1] - times[0];
        f->attempt += times[2] - times[1];
        f->end += times[3] - times[2];
        f->move += times[4] - times[3];
}

static bool figure(const char *what, double us, double most, bool check)
{
        bool fine = us <= most;
        printf("  %s: %.2f us of the processor, %.1f asked: %s\n", what, us, most,
               fine ? "reached" : "OUT OF REACH");
        return fine || !check;
}

int main(int argc, char **argv)
{
        char made[] = "/tmp/tollgate-bench-XXXXXX", command[5 * sizeof path], why[512];
        bool check = argc > 1 && strcmp(argv[1], "--check") == 0, fine = true;
        const char *folder = argc > 1 + check ? argv[1 + check] : mkdtemp(made);
        const char *wanted = getenv("BENCH_REQUESTS");
        int requests = wanted && atoi(wanted) > 0 ? atoi(wanted) : 50000, done = 0;
        struct figures f = {0};
        if (!folder || snprintf(path, sizeof path, "%s/usage.db", folder) >= (int)sizeof path)
                die("no folder");
        const struct book_options o = {
                .path = path, .currency = "USD", .first_bytes = 4 << 20, .most_bytes = 64 << 20};
        struct book *b = book_open(&o, why);
        if (!b)
                die(why);
        for (; done < requests; done += GROUP)
                group(b, done, GROUP, &f);
        book_close(b, 0);
        printf("%d requests, moved in groups of %d\n", done, GROUP);
        fine &= figure("a begin", f.begin / done, 1, check);
        fine &= figure("an attempt that is over", f.attempt / done, 1, check);
        fine &= figure("an end", f.end / done, 2, check);
        printf("  the move into the ledger: %.2f us of the processor\n", f.move / done);
        fine &= figure("a request in all", (f.begin + f.attempt + f.end + f.move) / done, 10, check);
        if (snprintf(command, sizeof command, "rm -rf '%s' '%s-wal' '%s-shm' '%s-spool'", path, path, path,
                     path) >= (int)sizeof command ||
            system(command) != 0)
                return 3;
        if (folder == made)
                rmdir(made);
        return !fine;
}
