#include "gateway/bookkeeper.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gateway/chores.h"

#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 2 << 20 };
#else
enum { STACK_BYTES = 256 << 10 };
#endif

enum {
        MOVE_EVERY_MS = 250,
        LOOK_EVERY_MS = 2000, /* for the spools of the dead, and for balances */
        CHORES_EVERY_MS = 2000,
        LAST_MOVE_MS = 3000,
        TRY_AGAIN_MS = 5000,
        TELL_AGAIN_MS = 60000
};

/* Of a process that serves many, and of one that serves one. */
static const struct {
        int64_t first_bytes, most_bytes;
} spools[] = {{64 << 10, 8 << 20}, {4 << 20, 64 << 20}};

struct opened {
        struct opened *next;
        struct bookkeeper *keeper;
        char *path;
        struct book *book; /* NULL while it is being opened */
        int64_t look_ms;   /* the moving thread's */
};

struct bookkeeper {
        struct bookkeeper_options options;
        pthread_mutex_t lock; /* of what follows */
        struct opened *list;  /* none is taken away: requests may be using it */
        char *failed;         /* the path that could not be opened last */
        char why[512];
        int64_t try_ms, tell_ms, missed;
        pthread_mutex_t config_lock;
        const struct config *config; /* of the last request */
        _Atomic bool stop;
        pthread_mutex_t sleep_lock;
        pthread_cond_t wake;
        pthread_t mover, worker;
        bool moves, works; /* the threads were started */
};

/* ---- the configuration ---- */

static void remember(struct bookkeeper *k, const struct config *c)
{
        const struct config *old = NULL;
        pthread_mutex_lock(&k->config_lock);
        if (k->config != c) {
                old = k->config;
                k->config = config_ref(c);
        }
        pthread_mutex_unlock(&k->config_lock);
        config_unref(old);
}

/* With a reference of the caller's; NULL: none has come yet. Files are looked at by requests only: what is
 * wrong with them is to be told in their log. */
static const struct config *last_config(struct bookkeeper *k)
{
        pthread_mutex_lock(&k->config_lock);
        const struct config *c = k->config ? config_ref(k->config) : NULL;
        pthread_mutex_unlock(&k->config_lock);
        return c;
}

/* ---- what the dead held ---- */

struct settlement {
        struct budget_terms terms;
        struct budget_moment moment;
        struct budget_hold hold;
        int64_t charge_pico;
        struct budget_alerts alerts;
        struct budget_view view;
        char currency[4];
};

static bool settle_slot(struct slot *slot, int64_t now_ms, void *context)
{
        struct settlement *s = context;
        (void)now_ms;
        if (!slot->budget.loaded) /* whoever loads it finds the row in the ledger */
                return false;
        budget_settle(&slot->budget, &s->terms, &s->moment, &s->hold, s->charge_pico, &s->alerts);
        budget_look(&slot->budget, &s->terms, &s->moment, &s->view);
        memcpy(s->currency, slot->budget.currency, sizeof s->currency);
        return true;
}

static void tell_shares(struct book *book, const char *account, const struct settlement *s,
                        const char *period, uint32_t shares)
{
        const struct config_budget *b = s->terms.budget;
        bool day = strcmp(period, "day") == 0;
        for (size_t i = 0; i < b->alert_count && i < 32; i++) {
                if (shares & 1u << i)
                        book_alert(book,
                                   &(struct book_alert){
                                           .account = account,
                                           .period = period,
                                           .number = day ? s->moment.day : s->moment.month,
                                           .share_micro = b->alert_micro[i],
                                           .spent_pico = day ? s->view.day_pico : s->view.month_pico,
                                           .limit_pico = (day ? b->day_micro : b->month_micro) * 1000000,
                                           .currency = s->currency,
                                           .time_ms = clock_unix_ms()});
        }
}

/* Called from within book_open() and book_move(). */
static void settle(void *context, const char *account, const struct ledger_attempt *a)
{
        struct opened *o = context;
        const struct config *c = last_config(o->keeper);
        const struct config_account *row = c ? config_find_account(c, account) : NULL;
        struct state *state = row ? state_holder_get(o->keeper->options.states, c) : NULL;
        if (state) {
                struct config_budget budget = row->budget;
                struct settlement s = {.terms = {.budget = &budget},
                                       .moment = budget_moment_at(&budget, clock_unix()),
                                       .hold = {true, a->hold_day, a->hold_month, a->hold_pico, a->hold_era},
                                       .charge_pico = a->charge_pico};
                /* While the book is being opened nothing can be told: the next settlement will. */
                if (!o->book)
                        budget.alert_count = 0;
                state_update(state, (struct subject){SLOT_BUDGET, account}, settle_slot, &s);
                tell_shares(o->book, account, &s, "day", s.alerts.day);
                tell_shares(o->book, account, &s, "month", s.alerts.month);
        }
        config_unref(c);
}

/* ---- opening ---- */

static struct opened *find(const struct bookkeeper *k, const char *path)
{
        struct opened *o = k->list;
        while (o && strcmp(o->path, path) != 0)
                o = o->next;
        return o;
}

static struct opened *open_book(struct bookkeeper *k, const struct config *c)
{
        bool many = k->options.threaded;
        struct opened *o = calloc(1, sizeof *o);
        if (!o || !(o->path = strdup(c->ledger)))
                abort();
        o->keeper = k;
        const struct book_options options = {.path = o->path,
                                             .currency = c->currency,
                                             .first_bytes = spools[many].first_bytes,
                                             .most_bytes = spools[many].most_bytes,
                                             .settle = settle,
                                             .context = o};
        o->book = book_open(&options, k->why);
        if (o->book) {
                o->next = k->list;
                return k->list = o;
        }
        k->try_ms = clock_now_ms() + TRY_AGAIN_MS;
        if (!k->failed || strcmp(k->failed, o->path) != 0) {
                free(k->failed);
                k->failed = strdup(o->path);
                k->tell_ms = 0;
        }
        free(o->path);
        free(o);
        return NULL;
}

static struct opened *find_or_open(struct bookkeeper *k, const struct config *c)
{
        struct opened *o = find(k, c->ledger);
        bool waits = k->failed && strcmp(k->failed, c->ledger) == 0 && clock_now_ms() < k->try_ms;
        return o || waits ? o : open_book(k, c);
}

static bool any_hard(const struct config *c)
{
        for (size_t i = 0; i < c->account_count; i++) {
                if (c->accounts[i].budget.hard && config_any_budget(&c->accounts[i].budget))
                        return true;
        }
        return false;
}

static void tell_failure(struct bookkeeper *k, const struct config *c)
{
        int64_t now = clock_now_ms();
        if (now < k->tell_ms)
                return;
        k->tell_ms = now + TELL_AGAIN_MS;
        /* A CGI process lives for one request: it would tell the same at every one. */
        void (*tell)(const char *, ...) = any_hard(c)           ? log_error
                                          : k->options.threaded ? log_warn
                                                                : log_debug;
        tell("%s; %lld requests are not in the ledger%s", k->why, (long long)k->missed,
             any_hard(c) ? ", and those of accounts with hard budgets are refused" : "");
}

static struct book *get(struct bookkeeper *k, const struct config *c, int requests)
{
        if (!k || !c->ledger || !*c->ledger)
                return NULL;
        remember(k, c);
        pthread_mutex_lock(&k->lock);
        struct opened *o = find_or_open(k, c);
        if (!o) {
                k->missed += requests;
                tell_failure(k, c);
        } else if (k->missed && k->failed && strcmp(o->path, k->failed) == 0) {
                log_warn("%s is in use again; %lld requests are not in it", o->path, (long long)k->missed);
                k->missed = 0;
        }
        pthread_mutex_unlock(&k->lock);
        return o ? o->book : NULL;
}

struct book *bookkeeper_get(struct bookkeeper *k, const struct config *c)
{
        return get(k, c, 1);
}

struct book *bookkeeper_look(struct bookkeeper *k, const struct config *c)
{
        return get(k, c, 0);
}

/* ---- threads ---- */

/* Both sleep so; false: it is over. */
static bool wait_ms(struct bookkeeper *k, int64_t ms)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += ms / 1000;
        until.tv_nsec += ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        pthread_mutex_lock(&k->sleep_lock);
        while (!atomic_load(&k->stop) && pthread_cond_timedwait(&k->wake, &k->sleep_lock, &until) == 0)
                continue;
        pthread_mutex_unlock(&k->sleep_lock);
        return !atomic_load(&k->stop);
}

static struct opened *first(struct bookkeeper *k)
{
        pthread_mutex_lock(&k->lock);
        struct opened *o = k->list;
        pthread_mutex_unlock(&k->lock);
        return o;
}

static void move_all(struct bookkeeper *k)
{
        for (struct opened *o = first(k); o; o = o->next) {
                int64_t now = clock_now_ms();
                if (!book_has_lines(o->book) && now < o->look_ms) {
                        /* An account that was topped up for the first time is prepaid for all at once. */
                        book_refresh(o->book);
                        continue;
                }
                o->look_ms = now + LOOK_EVERY_MS;
                book_move(o->book);
        }
}

static void *move_lines(void *keeper)
{
        struct bookkeeper *k = keeper;
        log_bind(k->options.log_sink, k->options.log_context, NULL);
        do
                move_all(k);
        while (wait_ms(k, MOVE_EVERY_MS));
        return NULL;
}

/* Those of the configuration in force: who is to be told stands there. */
static void do_chores(struct bookkeeper *k, struct chores *chores)
{
        const struct config *c = last_config(k);
        pthread_mutex_lock(&k->lock);
        struct opened *o = c && c->ledger ? find(k, c->ledger) : NULL;
        pthread_mutex_unlock(&k->lock);
        if (o)
                chores_do(chores, o->book, c, &k->stop);
        config_unref(c);
}

static void *work(void *keeper)
{
        struct bookkeeper *k = keeper;
        struct chores *chores = chores_new();
        log_bind(k->options.log_sink, k->options.log_context, NULL);
        while (wait_ms(k, CHORES_EVERY_MS))
                do_chores(k, chores);
        chores_free(chores);
        return NULL;
}

static bool start(pthread_t *thread, void *(*run)(void *), struct bookkeeper *k)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        sigfillset(&all);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int problem = pthread_create(thread, &attributes, run, k);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        if (problem)
                log_error("the books are moved at the end only: a thread could not be started: %s",
                          strerror(problem));
        return !problem;
}

/* ---- life ---- */

/* Rows of processes that died before are booked when the first one starts, whether requests come or not. */
static void open_first(struct bookkeeper *k)
{
        const struct config *c = k->options.watch ? config_watch_get(k->options.watch) : NULL;
        if (c && c->ledger && *c->ledger) {
                remember(k, c);
                pthread_mutex_lock(&k->lock);
                if (!find_or_open(k, c))
                        tell_failure(k, c);
                pthread_mutex_unlock(&k->lock);
        }
        config_unref(c);
}

struct bookkeeper *bookkeeper_new(const struct bookkeeper_options *options)
{
        pthread_condattr_t clock;
        struct bookkeeper *k = calloc(1, sizeof *k);
        if (!k)
                abort();
        k->options = *options;
        pthread_mutex_init(&k->lock, NULL);
        pthread_mutex_init(&k->config_lock, NULL);
        pthread_mutex_init(&k->sleep_lock, NULL);
        pthread_condattr_init(&clock);
        pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
        pthread_cond_init(&k->wake, &clock);
        pthread_condattr_destroy(&clock);
        if (!k->options.threaded)
                return k;
        open_first(k);
        k->moves = start(&k->mover, move_lines, k);
        k->works = start(&k->worker, work, k);
        return k;
}

static void stop_threads(struct bookkeeper *k)
{
        pthread_mutex_lock(&k->sleep_lock);
        atomic_store(&k->stop, true);
        pthread_cond_broadcast(&k->wake);
        pthread_mutex_unlock(&k->sleep_lock);
        if (k->moves)
                pthread_join(k->mover, NULL);
        if (k->works)
                pthread_join(k->worker, NULL);
}

/* What a CGI process does when its answer has gone out: the next one does what is left. */
static void move_once(struct bookkeeper *k)
{
        struct chores *chores = chores_new();
        for (struct opened *o = k->list; o; o = o->next) {
                if (book_has_lines(o->book))
                        book_move(o->book);
                if (k->config)
                        chores_do_little(chores, o->book, k->config);
        }
        chores_free(chores);
}

void bookkeeper_free(struct bookkeeper *k)
{
        if (!k)
                return;
        stop_threads(k);
        if (!k->options.threaded)
                move_once(k);
        while (k->list) {
                struct opened *o = k->list;
                k->list = o->next;
                book_close(o->book, k->options.threaded ? LAST_MOVE_MS : 0);
                free(o->path);
                free(o);
        }
        pthread_mutex_destroy(&k->lock);
        pthread_mutex_destroy(&k->config_lock);
        pthread_mutex_destroy(&k->sleep_lock);
        pthread_cond_destroy(&k->wake);
        config_unref(k->config);
        free(k->failed);
        free(k);
}
