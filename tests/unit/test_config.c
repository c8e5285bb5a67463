/* config: what is wrong is told with its line, all of it; what is right has the right values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/setting.h"

static char folder[] = "/tmp/tollgate-config-XXXXXX";

static const char *write_file(const char *name, const char *text)
{
        static char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
        chmod(path, 0600);
        return path;
}

static int setup(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        setenv("TOLLGATE_DATADIR", folder, 1);
        setenv("TG_TEST_KEY", "k-123", 1);
        unsetenv("TG_TEST_NONE");
        write_file("prices.conf",
                   "prices = ( { model = \"shipped\"; input = 1; from = \"2026-11-01\"; } );\n");
        write_file("catalogue.conf",
                   "catalogue = ( { model = \"m\"; window = 5; } );\n"
                   "guards = ( { dialect = \"openai\"; field = \"store\"; needs = \"files\"; "
                   "refuse = true; } );\n");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command);
}

/* Lines 1 and 2 of many tests: a provider, and a model whose versions follow. */
#define P "providers = ( { name = \"e\"; dialect = \"echo\"; } );\n"
#define T "targets = ( { provider = \"e\"; model = \"x\"; } ); "
#define M P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "} ); } );\n"

struct expected {
        int line;
        bool warning;
        const char *text; /* a part of it */
};

static const struct {
        const char *text;
        struct expected problems[8]; /* all of them, in order */
} bad[] = {
        /* what libconfig finds */
        {"a = \n", {{2, false, "syntax error"}}},
        {"workers = 8;\nworkers = 9;\n", {{2, false, "duplicate setting"}}},
        {"log = {\n  level = \"warn\";\n", {{3, false, "syntax error"}}},
        /* what is found in the text */
        {"cors = [\n  \"https://a\",\n];\nwrokers = 3;\n",
         {{3, false, "comma"}, {4, false, "unknown setting \"wrokers\"; did you mean \"workers\"?"}}},
        {"cors = [ \"https://a ];\n", {{1, false, "never closed"}}},
        {"anonymous = \"public;\ncurrency = \"EUR\";\n", {{1, false, "never closed"}}},
        {"workers = 8\nlevel = \"warn\";\n",
         {{2, false, "unknown setting \"level\"; it belongs inside \"log\""}}},
        {"providers = ( { name = \"e\"; dialect = \"echo\"; api_key = \"x\"; } );\n",
         {{1, false, "unknown setting \"api_key\"; did you mean \"key\"?"}}},
        {"fetch = { allow = [ \"*.example\" ]; };\n", {{1, false, "is no host"}}},
        {"\n/* abc\n\n", {{2, false, "never closed"}}},
        {"workers = 99999999999999999999;\n", {{1, false, "too large"}, {1, false, "workers: must"}}},
        {"currency = \"\xff\";\n", {{1, false, "UTF-8"}}},
        {"\n@include \"none.conf\"\n", {{2, false, "none.conf\": No such file"}}},
        {"@include none.conf\n", {{1, false, "expected @include"}}},
        {"@include \"main.conf\"\n", {{1, false, "too many includes"}}},
        /* unknown settings */
        {"provders = ();\n", {{1, false, "unknown setting \"provders\"; did you mean \"providers\"?"}}},
        {"qqqqqqqq = 1;\n", {{1, false, "unknown setting \"qqqqqqqq\""}}},
        {"log = { levle = \"warn\"; };\n", {{1, false, "did you mean \"level\"?"}}},
        {"providers = ( { name = \"e\"; dialect = \"echo\";\n rpm = 5; } );\n",
         {{2, false, "unknown setting \"rpm\""}}},
        /* types */
        {"workers = \"8\";\n", {{1, false, "workers: expected a whole number, found a string"}}},
        {"workers = 8.5;\n", {{1, false, "expected a whole number, found a number with a fraction"}}},
        {"keepalive = true;\n", {{1, false, "keepalive: expected a number of seconds, found a boolean"}}},
        {"trust_web_server = \"yes\";\n", {{1, false, "expected true or false"}}},
        {"log = [ ];\n", {{1, false, "log: expected a group"}}},
        {"providers = { };\n", {{1, false, "providers: expected a list of groups"}}},
        {"providers = ( 1 );\n", {{1, false, "expected groups"}}},
        {"cors = \"https://a\";\n", {{1, false, "cors: expected an array of strings"}}},
        {"cors = ( \"https://a\",\n 3 );\n",
         {{2, false, "cors: expected strings in it, found a whole number"}}},
        {"max_body = true;\n", {{1, false, "expected a size"}}},
        {"max_body = \"32Q\";\n", {{1, false, "\"32Q\" is no size"}}},
        {"currency = 5;\n", {{1, false, "currency: expected a string"}}},
        /* ranges */
        {"version = 2;\n", {{1, false, "version: must be 1, not 2"}}},
        {"workers = 0;\n", {{1, false, "workers: must be at least 3, not 0"}}},
        {"workers = 5000000000;\n", {{1, false, "workers: must be at most 4096, not 5000000000"}}},
        {"keepalive = -1;\n", {{1, false, "must be at least 0"}}},
        {"max_body = 10;\n", {{1, false, "max_body: must be at least 1024"}}},
        {"max_body = \"900M\";\n", {{1, false, "max_memory: must hold"}}},
        {"retry_share = 1.5;\n", {{1, false, "at most 1"}}},
        {"keep_days = 0;\n", {{1, false, "at least 1"}}},
        /* values */
        {"log = { level = \"loud\"; file = \"x.log\"; };\n",
         {{1, false, "level: expected \"error\", \"warn\", \"info\" or \"debug\", not \"loud\""},
          {1, false, "file: \"x.log\" is no absolute path"}}},
        {"currency = \"euro\";\n",
         {{1, false, "is no currency"}, {1, true, "the shipped prices, which are US dollars, do not count"}}},
        {"cors = [ \"*\",\n \"https://a/b\" ];\n",
         {{1, false, "\"*\" is no origin"}, {2, false, "is no origin"}}},
        {"mount = \"ai/\";\n", {{1, false, "is no mount point"}}},
        {"operators = { from = [ \"10.0.0.0/33\", \"x\" ]; };\n",
         {{1, false, "more bits"}, {1, false, "\"x\" is no address"}}},
        {"operators = { accounts = [\n\"nobody\" ]; };\n", {{2, false, "no account \"nobody\""}}},
        {"anonymous = \"public\";\naccounts = ( { name = \"publik\"; direct = true; } );\n",
         {{1, false, "no account \"public\"; did you mean \"publik\"?"}}},
        {M "defaults = { chat = \"b\";\n embed = \"a\"; };\n",
         {{3, false, "chat: there is no model \"b\"; did you mean \"a\"?"},
          {4, false, "\"a\" has no task \"embed\""}}},
        /* providers */
        {"providers = ( { name = \"a b\"; dialect = \"openia\"; } );\n",
         {{1, false, "\"a b\" is no name"}, {1, false, "dialect: expected \"openai\""}}},
        {"providers = (\n{ } );\n", {{2, false, "name is missing"}, {2, false, "dialect is missing"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\"; } );\n", {{1, false, "base is missing"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\";\n base = \"ftp://x\"; } );\n",
         {{2, false, "is no URL"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\";\n base = \"https://u:p@x/v1\"; } );\n",
         {{2, false, "user information"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\";\n base = \"https://x/v1?a=b\"; } );\n",
         {{2, false, "a query"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\";\n base = \"https://x:99999/\"; } );\n",
         {{2, false, "host or port"}}},
        {P "log = { level = \"info\"; };\n@include \"twice.conf\"\n", {{1, false, "duplicate setting"}}},
        {"providers = ( { name = \"e\"; dialect = \"echo\"; },\n{ name = \"e\"; dialect = \"echo\"; } );\n",
         {{2, false, "a provider \"e\" already"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\"; base = \"https://x\";\n"
         "headers = ( { name = \"x y\"; value = \"a\"; },\n { name = \"Host\"; value = \"a\"; } ); } );\n",
         {{2, false, "no name of a header"}, {3, false, "made here"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\"; base = \"https://x\"; proxy = \"x:1\"; } );\n",
         {{1, false, "is no proxy"}}},
        {"providers = ( { name = \"o\"; dialect = \"openai\"; base = \"https://x\";\n"
         "limits = { zone = \"Mars/Base\"; rpm = -1; }; } );\n",
         {{2, false, "unknown time zone"}, {2, false, "rpm: must be at least 0"}}},
        /* models */
        {P "models = ( { name = \"a\"; } );\n", {{2, false, "versions is missing"}}},
        {P "models = ( { name = \"a\";\n versions = ( ); } );\n", {{3, false, "\"a\" has none"}}},
        {P "models = ( { name = \"a\"; versions = (\n{ name = \"1\"; targets = ( ); } ); } );\n",
         {{3, false, "targets: the version \"1\" of model \"a\" has none"}}},
        {P "models = ( { name = \"a\"; versions = (\n{ name = \"1\"; } ); } );\n",
         {{3, false, "targets is missing"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; targets = (\n"
           "{ provider = \"ee\"; model = \"x y\"; } ); } ); } );\n",
         {{3, false, "\"x y\" is no model id"}, {3, false, "no provider \"ee\"; did you mean \"e\"?"}}},
        {P "models = (\n{ name = \"a\"; versions = ( { name = \"1\"; " T "}, { name = \"2\"; " T
           "} ); } );\n",
         {{3, false, "use is missing"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"11\"; " T "},\n{ name = \"11\"; " T "} );\n"
           "use = \"12\"; } );\n",
         {{3, false, "a version \"11\" already"}, {4, false, "no version \"12\"; did you mean \"11\"?"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "} ); },\n"
           "{ name = \"a\"; tasks = [\"chat\", \"talk\"]; versions = ( { name = \"1\"; " T "} ); } );\n",
         {{3, false, "tasks: expected \"chat\", \"vision\" or \"embed\", not \"talk\""},
          {3, false, "a model \"a\" already"}}},
        {P "models = ( { name = \"s\"; tasks = [\"embed\"]; versions = ( { name = \"1\"; targets = (\n"
           "{ provider = \"e\"; model = \"x\"; },\n{ provider = \"e\"; model = \"y\"; } ); } ); } );\n",
         {{4, false, "\"y\" is another model than \"x\""}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "\n"
           "deprecated = \"2026-13-01\";\nsunset = \"soon\";\nafter_sunset = \"1\"; } ); } );\n",
         {{3, false, "is no date"}, {4, false, "is no date"}, {5, false, "this version itself"}}},
        {P "models = ( { name = \"a\"; use = \"1\"; versions = (\n"
           "{ name = \"1\"; " T
           "after_sunset = \"2\"; deprecated = \"2026-06-02\";\nsunset = \"2026-06-01\"; },\n"
           "{ name = \"2\"; " T "after_sunset = \"1\"; } ); } );\n",
         {{4, false, "sunset: lies before"},
          {5, true, "\"2\" has no sunset"},
          {5, false, "after_sunset: leads back to \"2\""}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; targets = ( { provider = \"e\"; model = "
           "\"x\";\nlimits = { rpm = -1; queue = 1; }; } );\n"
           "strategy = \"random\"; rescue = \"pray\"; hedge = \"p49\"; } ); } );\n",
         {{3, false, "rpm: must be at least 0"},
          {3, false, "unknown setting \"queue\""},
          {4, false, "strategy: expected \"failover\""},
          {4, false, "rescue: expected \"error\""},
          {4, false, "hedge: expected \"off\", \"p50\" to \"p99\", or seconds"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "\nhedge = 0; },\n{ name = \"2\"; " T
           "hedge = \"1.2.3\"; },\n{ name = \"3\"; " T "hedge = true; } ); use = \"1\"; } );\n",
         {{3, false, "hedge: expected"}, {4, false, "hedge: expected"}, {5, false, "found a boolean"}}},
        {M "accounts = ( { name = \"x\"; models = [\"a\"]; limits = { queue = 61; }; } );\n",
         {{3, false, "queue: must be at most 60"}}},
        {"prices = ( { input = -1; } );\n",
         {{1, false, "input: must be at least 0"}, {1, false, "model is missing"}}},
        {"prices = ( { model = \"m\"; input = 1; from = \"2026-11-01\"; }, { model = \"m\"; input = 2; },\n"
         "{ model = \"m\"; input = 2; from = \"2026-11-01\"; provider = \"x\"; },\n{ model = \"m\"; input = "
         "3; } );\n",
         {{2, false, "provider: there is no provider \"x\""},
          {3, false, "a price for \"m\" from the same day"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "\n"
           "set = { temperature = 3; };\ndefault = { max_token = 5; top_p = \"x\"; reasoning_effort = "
           "\"some\"; }; } ); "
           "} );\n",
         {{3, false, "temperature: must be 0 to 2, not 3"},
          {4, false, "\"max_token\" is no field"},
          {4, false, "top_p: expected a number, found a string"},
          {4, false, "reasoning_effort: expected one of"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "top_p = 0.5;\n"
           "set = { max_completion_tokens = 5; }; } ); } );\n",
         {{2, false, "unknown setting \"top_p\"; it belongs inside \"set\""},
          {3, false, "did you mean \"max_tokens\"?"}}},
        {M "pins = ( { model = \"a\"; use = \"9\"; at = \"yesterday\"; } );\n",
         {{3, false, "is no time"}, {3, false, "no version \"9\""}}},
        {M "pins = ( { model = \"a\"; use = \"1\"; why = \"two\\nlines\"; } );\n",
         {{3, false, "holds a control character"}}},
        {P "models = ( { name = \"a\"; versions = ( { name = \"1\"; " T "} );\n"
           "canary = { version = \"3\"; percent = 101; }; } );\n",
         {{3, false, "percent: must be at most 100"}, {3, false, "no version \"3\""}}},
        /* accounts */
        {M "accounts = ( { name = \"x\"; models = \"a\"; } );\n",
         {{3, false, "models: expected an array of strings"}}},
        {M "accounts = ( { name = \"x\"; models = [ \"b\" ]; allow = [ \"all\" ]; per = \"day\"; } );\n",
         {{3, false, "allow: expected \"files\""},
          {3, false, "per: expected \"account\""},
          {3, false, "there is no model \"b\"; did you mean \"a\"?"}}},
        {"accounts = ( { name = \"x\"; direct = true; keys = (\n{ name = \"k\"; sha256 = \"abc\"; expires = "
         "\"1\"; } ); } );\n",
         {{2, false, "sha256: is no SHA-256"}, {2, false, "is no date"}}},
        {"accounts = ( { name = \"x\"; direct = true; users = [ \"u\", \"*\" ]; },\n"
         "{ name = \"x\"; direct = true; users = [ \"u\" ]; } );\n",
         {{2, false, "an account \"x\" already"},
          {2, false, "the user \"u\" is one of account \"x\" already"}}},
        {"accounts = ( { name = \"x\"; direct = true; certificates = ( { issuer = \"CN=a\"; } ); } );\n",
         {{1, false, "subject is missing"}}},
        {"accounts = ( { name = \"x\"; direct = true; budget = { alert = [ 0.5, 20.0 ]; currency = \"eur\"; "
         "}; } );\n",
         {{1, false, "alert: must be at most 10"},
          {1, false, "no currency"},
          {1, true, "has no budget of a day"},
          {1, false, "`rates` has none for eur"}}},
        {"accounts = ( { name = \"x\"; direct = true; budget = { day = 1; currency = \"EUR\"; }; } );\n",
         {{1, false, "`rates` has none for EUR"}}},
        {"ledger = \"\";\naccounts = ( { name = \"x\"; direct = true; budget = { month = 1; }; } );\n",
         {{2, false, "counted in the ledger"}}},
        {"alerts = { webhook = \"ftp://x\"; };\n", {{1, false, "webhook: \"ftp://x\""}}},
        /* catalogue */
        {"catalogue = ( { model = \"m\"; sampling = \"maybe\"; reasoning = \"deep\"; efforts = [\"lo\"]; "
         "visoin = true; } );\n",
         {{1, false, "sampling: expected \"true\", \"false\" or \"without_reasoning\""},
          {1, false, "reasoning: expected"},
          {1, false, "efforts: expected"},
          {1, false, "did you mean \"vision\"?"}}},
        {"catalogue = ( { window = 0; } );\n", {{1, false, "at least 1"}, {1, false, "model is missing"}}},
};

static void wrong_ones_are_told(void **state)
{
        (void)state;
        write_file("twice.conf", "log = { };\n");
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct config_report r;
                char path[256];
                snprintf(path, sizeof path, "%s", write_file("main.conf", bad[i].text));
                const struct config *c = config_load(path, &r);
                size_t wanted = 0;
                while (wanted < 8 && bad[i].problems[wanted].text)
                        wanted++;
                bool same = wanted == r.count;
                for (size_t k = 0; same && k < wanted; k++) {
                        const struct expected *e = &bad[i].problems[k];
                        same = r.problems[k].line == e->line && r.problems[k].warning == e->warning &&
                               strstr(r.problems[k].text, e->text);
                }
                if (!same) {
                        print_error("case %zu:\n%s", i, bad[i].text);
                        for (size_t k = 0; k < r.count; k++)
                                print_error("  %s:%d: %s%s\n", r.problems[k].file, r.problems[k].line,
                                            r.problems[k].warning ? "warning: " : "", r.problems[k].text);
                }
                assert_true(same);
                assert_null(c);
                assert_int_equal(r.errors + r.warnings, r.count);
                config_report_free(&r);
        }
}

static const struct config *load_good(const char *text, size_t warnings)
{
        struct config_report r;
        char path[256];
        snprintf(path, sizeof path, "%s", write_file("main.conf", text));
        const struct config *c = config_load(path, &r);
        for (size_t k = 0; k < r.count && (!c || r.warnings != warnings); k++)
                print_error("  %s:%d: %s\n", r.problems[k].file, r.problems[k].line, r.problems[k].text);
        assert_non_null(c);
        assert_int_equal(r.warnings, warnings);
        config_report_free(&r);
        return c;
}

static void an_empty_file_has_the_defaults(void **state)
{
        (void)state;
        const struct config *c = load_good("", 0);
        assert_string_equal(c->currency, "USD");
        assert_int_equal(c->workers, 64);
        assert_int_equal(c->max_body, 32 << 20);
        assert_int_equal(c->max_memory, 512 << 20);
        assert_int_equal(c->keepalive_ms, 15000);
        assert_int_equal(c->log_level, LOG_LEVEL_INFO);
        assert_string_equal(c->log_file, "");
        assert_null(c->mount);
        assert_null(c->anonymous);
        assert_null(c->defaults.chat);
        assert_false(c->trust_web_server);
        assert_int_equal(c->fetch.max, 20 << 20);
        assert_int_equal(c->fetch.timeout_ms, 15000);
        assert_int_equal(c->fetch.images, 16);
        assert_int_equal(c->keep_days, 400);
        assert_true(c->retry_share == 0.2);
        /* The shipped catalogue. */
        assert_int_equal(c->catalogue_count, 1);
        assert_true(c->catalogue[0].shipped);
        assert_int_equal(c->guard_count, 1);
        assert_string_equal(c->guards[0].needs, "files");
        assert_true(c->guards[0].refuse);
        config_unref(c);
}

static void settings_arrive(void **state)
{
        (void)state;
        const struct config *c = load_good(
                "version = 1; workers = 12; max_body = 1048576; max_memory = \"1G\"; keepalive = 2.5; mount "
                "= \"\";\n"
                "log = { level = \"debug\"; file = \"/tmp/x.log\"; }; trust_web_server = true; anonymous = "
                "\"pub\";\n"
                "defaults = { chat = \"a\"; vision = \"a\"; embed = \"s\"; }; cors = [ "
                "\"https://x.example:8443\" ];\n"
                "operators = { users = [\"root\"]; accounts = (\"pub\"); from = [\"::1\", \"10.0.0.0/8\"]; "
                "};\n"
                "fetch = { allow = [\"img.example\", \"10.0.0.0/8\"]; max = 4096; timeout = 3; images = 2; "
                "};\n"
                "providers = (\n"
                "  { name = \"o\"; dialect = \"openai\"; base = \"https://x.example/v1///\"; key = "
                "\"env:TG_TEST_KEY\";\n"
                "    timeouts = { connect = 1; idle = 0.25; }; headers = ( { name = \"x-a\"; value = \"v\"; "
                "} ); },\n"
                "  { name = \"e\"; dialect = \"echo\"; delay = 0.5; tokens = 7; } );\n"
                "models = (\n"
                "  { name = \"a\"; tasks = [\"chat\", \"vision\"]; use = \"2\"; versions = (\n"
                "    { name = \"1\"; targets = ( { provider = \"e\"; model = \"m\"; } ); },\n"
                "    { name = \"2\"; total = 30; strategy = \"failover\"; rescue = \"error\"; hedge = "
                "\"off\";\n"
                "      targets = ( { provider = \"o\"; model = \"gpt-x\"; capabilities = [\"vision\", "
                "\"tools\"]; },\n"
                "                  { provider = \"e\"; model = \"m\"; capabilities = [ ]; } );\n"
                "      set = { temperature = 1; seed = 9000000000; stop = [\"a\\\"b\"]; parallel_tool_calls "
                "= false; };\n"
                "      default = { max_tokens = 4096; stop = \"x\"; reasoning_effort = \"low\"; }; } ); },\n"
                "  { name = \"s\"; tasks = [\"embed\"]; versions = ( { name = \"1\"; targets = ( { provider "
                "= \"e\"; model = "
                "\"m\"; } ); } ); } );\n"
                "accounts = ( { name = \"pub\"; enabled = false; models = [\"a\"]; allow = [\"files\", "
                "\"betas\"]; users = "
                "[\"*\"]; direct = true;\n"
                "  keys = ( { name = \"k\"; sha256 = "
                "\"9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"; expires = "
                "\"1970-01-02\"; } );\n"
                "  certificates = ( { subject = \"CN=a\"; issuer = \"CN=b\"; } ); } );\n"
                "catalogue = ( { model = \"gpt-*\"; window = 400000; vision = true; audio = false; sampling "
                "= "
                "\"without_reasoning\";\n"
                "  reasoning = \"effort\"; efforts = [\"none\", \"low\"]; structured = \"json_schema\"; "
                "tasks = [\"embed\"];\n"
                "  max_tokens_field = \"max_completion_tokens\"; off = \"never\"; retires = \"2027-01-01\"; "
                "},\n"
                "  { model = \"c\"; sampling = false; } );\n",
                0);
        assert_int_equal(c->workers, 12);
        assert_int_equal(c->max_memory, 1 << 30);
        assert_int_equal(c->keepalive_ms, 2500);
        assert_string_equal(c->mount, "");
        assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
        assert_true(c->trust_web_server);
        assert_int_equal(c->operators.from_count, 2);
        assert_string_equal(c->fetch.allow[1], "10.0.0.0/8");
        const struct config_provider *o = config_find_provider(c, "o");
        assert_string_equal(o->base, "https://x.example/v1");
        assert_string_equal(o->key, "k-123");
        assert_null(o->out_of_service);
        assert_int_equal(o->timeouts.connect_ms, 1000);
        assert_int_equal(o->timeouts.idle_ms, 250);
        assert_int_equal(o->timeouts.first_token_ms, 60000);
        assert_int_equal(o->timeouts.attempt_ms, 600000);
        assert_string_equal(o->headers[0].value, "v");
        const struct config_provider *e = config_find_provider(c, "e");
        assert_int_equal(e->echo_delay_ms, 500);
        assert_int_equal(e->echo_tokens, 7);
        assert_int_equal(e->index, 1);
        const struct config_model *a = config_find_model(c, "a");
        const struct config_version *v = config_find_version(a, "2");
        assert_ptr_equal(a->use, v);
        assert_int_equal(a->tasks, TASK_CHAT | TASK_VISION);
        assert_int_equal(v->total_ms, 30000);
        assert_int_equal(a->versions[0].total_ms, 600000);
        assert_int_equal(v->retry.attempts, 2);
        assert_int_equal(v->breaker.cooldown_ms, 15000);
        assert_ptr_equal(v->targets[0].provider, o);
        assert_true(v->targets[0].capabilities_given);
        assert_int_equal(v->targets[0].capabilities, CAPABILITY_VISION | CAPABILITY_TOOLS);
        assert_true(v->targets[1].capabilities_given);
        assert_int_equal(v->targets[1].capabilities, 0);
        assert_false(a->versions[0].targets[0].capabilities_given);
        assert_int_equal(v->set_count, 4);
        assert_string_equal(v->set[0].json, "1");
        assert_true(v->set[0].number == 1.0);
        assert_int_equal(v->set[1].integer, 9000000000);
        assert_string_equal(v->set[2].json, "[\"a\\\"b\"]");
        assert_string_equal(v->set[3].json, "false");
        assert_int_equal(v->fill_count, 3);
        assert_string_equal(v->fill[1].strings[0], "x");
        assert_string_equal(v->fill[2].json, "\"low\"");
        assert_ptr_equal(config_find_model(c, "s")->use, config_find_model(c, "s")->versions);
        const struct config_account *p = config_find_account(c, "pub");
        assert_false(p->enabled);
        assert_true(p->direct);
        assert_int_equal(p->allow_count, 2);
        assert_int_equal(p->keys[0].sha256[0], 0x9f);
        assert_int_equal(p->keys[0].sha256[31], 0x08);
        assert_int_equal(p->keys[0].expires, 2 * 86400);
        assert_string_equal(p->certificates[0].issuer, "CN=b");
        assert_int_equal(c->catalogue_count, 3);
        assert_true(c->catalogue[0].shipped);
        assert_false(c->catalogue[1].shipped);
        assert_string_equal(c->catalogue[1].pattern, "gpt-*");
        const struct model_caps *caps = &c->catalogue[1].caps;
        assert_int_equal(caps->window, 400000);
        assert_int_equal(caps->vision, TRI_YES);
        assert_int_equal(caps->audio, TRI_NO);
        assert_int_equal(caps->tools, TRI_UNSET);
        assert_int_equal(caps->sampling, SAMPLING_WITHOUT_REASONING);
        assert_int_equal(c->catalogue[2].caps.sampling, SAMPLING_NO);
        assert_int_equal(caps->reasoning, REASONING_EFFORT);
        assert_int_equal(caps->efforts, 1 << EFFORT_NONE | 1 << EFFORT_LOW);
        assert_int_equal(caps->structured, STRUCTURED_JSON_SCHEMA);
        assert_int_equal(caps->off, THINKING_OFF_NEVER);
        assert_int_equal(caps->tasks, TASK_EMBED);
        assert_string_equal(caps->max_tokens_field, "max_completion_tokens");
        const struct config *again = config_ref(c);
        config_unref(c);
        assert_string_equal(again->accounts[0].name, "pub");
        config_unref(again);
}

/* Strategies, limits and dates of versions. */
static void what_holds_the_gate(void **state)
{
        (void)state;
        const struct config *c = load_good(
                "state = \"/tmp/s\"; retry_share = 0.5;\n"
                "providers = ( { name = \"g\"; dialect = \"gemini\"; base = \"https://g.example\";\n"
                "    limits = { rpm = 1000; tpm = 1000000; rpd = 10000; tpd = 7; concurrent = 200; }; },\n"
                "  { name = \"o\"; dialect = \"openai\"; base = \"https://o.example\"; } );\n"
                "models = ( { name = \"a\"; use = \"1\"; canary = { version = \"2\"; percent = 5; }; "
                "versions = (\n"
                "  { name = \"1\"; strategy = \"cost\"; rescue = \"match\"; hedge = \"p95\"; "
                "reroute_refusals = "
                "true;\n"
                "    targets = ( { provider = \"g\"; model = \"x\"; weight = 3; limits = { rpm = 5; }; },\n"
                "                { provider = \"g\"; model = \"y\"; limits = { zone = \"UTC\"; }; },\n"
                "                { provider = \"o\"; model = \"z\"; } );\n"
                "    retry = { attempts = 3; backoff = 1; max_backoff = 2; };\n"
                "    breaker = { share = 0.25; minimum = 9; window = 10; cooldown = 5; };\n"
                "    deprecated = \"1970-01-02\"; sunset = \"2026-12-31\"; after_sunset = \"2\"; },\n"
                "  { name = \"2\"; hedge = 2.5; targets = ( { provider = \"o\"; model = \"z\"; } ); },\n"
                "  { name = \"3\"; hedge = \"0.25\"; strategy = \"round-robin\"; rescue = \"hold\";\n"
                "    targets = ( { provider = \"o\"; model = \"z\"; } ); } ); } );\n"
                "accounts = ( { name = \"x\"; models = [\"*\"]; per = \"address\"; limits = { tpm = 9; queue "
                "= 2.5; "
                "queue_length = 3;\n"
                "    zone = \"Europe/Berlin\"; }; } );\n"
                "prices = ( { model = \"z*\"; input = 5; cached = 0.075; output = 0; }, { model = \"x\"; } "
                ");\n",
                0);
        assert_string_equal(c->state, "/tmp/s");
        assert_true(c->retry_share == 0.5);
        const struct config_limits *g = &c->providers[0].limits, *x = &c->accounts[0].limits;
        assert_int_equal(g->rpm, 1000);
        assert_int_equal(g->tpd, 7);
        assert_int_equal(g->concurrent, 200);
        /* Google's day turns in California, unless the file says otherwise. */
        assert_string_equal(g->zone, "America/Los_Angeles");
        assert_non_null(g->days);
        assert_ptr_equal(c->models[0].versions[0].targets[0].limits.days, g->days);
        assert_non_null(x->days);
        assert_string_equal(c->providers[1].limits.zone, "UTC");
        assert_null(c->providers[1].limits.days);
        assert_int_equal(x->queue_ms, 2500);
        assert_int_equal(x->queue_length, 3);
        assert_int_equal(c->accounts[0].per, PER_ADDRESS);
        const struct config_model *m = &c->models[0];
        const struct config_version *v = &m->versions[0];
        assert_int_equal(v->strategy, STRATEGY_COST);
        assert_int_equal(v->rescue, RESCUE_MATCH);
        assert_true(v->reroute_refusals);
        assert_true(v->hedge.percentile == 0.95);
        assert_int_equal(v->hedge.after_ms, 0);
        assert_true(m->versions[1].hedge.percentile == 0);
        assert_int_equal(m->versions[1].hedge.after_ms, 2500);
        assert_int_equal(m->versions[2].hedge.after_ms, 250);
        assert_int_equal(m->versions[2].strategy, STRATEGY_ROUND_ROBIN);
        assert_int_equal(v->targets[0].weight, 3);
        assert_int_equal(v->targets[0].limits.rpm, 5);
        assert_string_equal(v->targets[0].limits.zone, "America/Los_Angeles");
        assert_string_equal(v->targets[1].limits.zone, "UTC");
        assert_null(v->targets[1].limits.days);
        assert_int_equal(v->targets[2].limits.rpm, 0);
        assert_int_equal(v->retry.attempts, 3);
        assert_int_equal(v->retry.max_backoff_ms, 2000);
        assert_true(v->breaker.share == 0.25);
        assert_int_equal(v->breaker.minimum, 9);
        assert_int_equal(v->deprecated_unix, 86400);
        assert_int_equal(v->sunset_unix, 1798675200);
        assert_ptr_equal(v->after_sunset, &m->versions[1]);
        assert_ptr_equal(m->use, v);
        assert_ptr_equal(m->unpinned, v);
        assert_null(m->pin);
        assert_ptr_equal(m->canary, &m->versions[1]);
        assert_int_equal(m->canary_percent, 5);
        assert_int_equal(c->price_count, 3);
        assert_true(c->prices[0].shipped && c->prices[0].from_unix == 1793491200);
        assert_string_equal(c->prices[1].pattern, "z*");
        assert_int_equal(c->prices[1].input_micro, 5000000);
        assert_int_equal(c->prices[1].cached_micro, 75000);
        assert_int_equal(c->prices[1].output_micro, 0);
        assert_int_equal(c->prices[2].output_micro, -1);
        assert_false(c->prices[2].shipped);
        config_unref(c);
}

/* The file need not be there; another one must. The last pin of a model counts, earlier ones may be stale. */
static void pins_are_in_force(void **state)
{
        (void)state;
        static const char main_text[] = P
                "models = ( { name = \"a\"; use = \"1\"; versions = ( { name = \"1\"; " T
                "}, { name = \"2\"; " T "} ); },\n"
                "  { name = \"b\"; versions = ( { name = \"1\"; " T "} ); } );\n@include \"sub/pins.conf\"\n";
        static const char pins[] =
                "pins = ( { model = \"a\"; use = \"gone\"; },\n"
                "{ model = \"a\"; use = \"2\"; by = \"ann\"; at = \"2026-11-22T10:00:00Z\"; },\n"
                "{ model = \"was\"; use = \"1\"; } );\n";
        char sub[300], path[300];
        snprintf(sub, sizeof sub, "%s/sub", folder);
        snprintf(path, sizeof path, "%s/sub/pins.conf", folder);
        mkdir(sub, 0700);
        remove(path);
        const struct config *c = load_good(main_text, 0);
        assert_string_equal(c->pins_path, path);
        assert_int_equal(c->pin_count, 0);
        assert_string_equal(c->models[0].use->name, "1");
        config_unref(c);

        write_file("sub/pins.conf", pins);
        c = load_good(main_text, 1); /* a model "was" is no more */
        assert_int_equal(c->pin_count, 3);
        assert_string_equal(c->models[0].use->name, "2");
        assert_string_equal(c->models[0].unpinned->name, "1");
        assert_ptr_equal(c->models[0].pin, &c->pins[1]);
        assert_string_equal(c->pins[1].by, "ann");
        assert_null(c->pins[1].why);
        assert_null(c->models[1].pin);
        config_unref(c);

        /* A change can be tried before it is made. */
        struct config_report r;
        char main_path[300];
        snprintf(main_path, sizeof main_path, "%s/main.conf", folder);
        c = config_try(main_path, path, "pins = ( { model = \"a\"; use = \"1\"; } );\n", &r);
        assert_non_null(c);
        assert_string_equal(c->models[0].pin->use, "1");
        config_unref(c);
        config_report_free(&r);
        assert_null(config_try(main_path, path, "pins = ( { model = \"a\"; use = \"3\"; } );\n", &r));
        assert_int_equal(r.errors, 1);
        assert_non_null(strstr(r.problems[0].file, "/sub/pins.conf"));
        config_report_free(&r);
        remove(path);

        c = load_good(M, 0);
        assert_null(c->pins_path);
        config_unref(c);
}

static void what_means_nothing_is_warned_of(void **state)
{
        (void)state;
        config_unref(
                load_good(P "models = ( { name = \"s\"; tasks = [\"embed\"]; versions = ( { name = \"1\"; " T
                            "hedge = \"p95\"; rescue = \"hold\"; } ); } );\n",
                          2));
        config_unref(
                load_good(P "models = ( { name = \"s\"; tasks = [\"embed\"]; versions = ( { name = \"1\"; " T
                            "hedge = \"off\"; rescue = \"error\"; } ); } );\n",
                          0));
        config_unref(load_good(M "accounts = ( { name = \"x\"; models = [\"a\"]; per = \"user\"; } );\n", 1));
        config_unref(load_good("prices = ( { model = \"m\"; input = 1; } );\n", 0));
}

/* A secret that is missing takes its provider out of service; no message shows one. */
static void secrets(void **state)
{
        (void)state;
        struct config_report r;
        char path[256];
        write_file("open.key", "sk-file\n");
        snprintf(path, sizeof path, "%s/open.key", folder);
        chmod(path, 0644);
        snprintf(path, sizeof path, "%s",
                 write_file(
                         "main.conf",
                         "providers = (\n"
                         "{ name = \"a\"; dialect = \"openai\"; base = \"https://x\"; key = "
                         "\"env:TG_TEST_NONE\"; },\n"
                         "{ name = \"b\"; dialect = \"openai\"; base = \"https://x\"; key = "
                         "\"file:none.key\"; },\n"
                         "{ name = \"c\"; dialect = \"openai\"; base = \"https://x\"; key = "
                         "\"file:open.key\"; },\n"
                         "{ name = \"d\"; dialect = \"openai\"; base = \"https://x\"; key = \"sk-literal\"; "
                         "},\n"
                         "{ name = \"f\"; dialect = \"openai\"; base = \"http://x\"; key = "
                         "\"env:TG_TEST_KEY\"; },\n"
                         "{ name = \"g\"; dialect = \"openai\"; base = \"https://x\"; key = \"sk\\nx\"; },\n"
                         "{ name = \"h\"; dialect = \"openai\"; base = \"http://127.0.0.1:8000\"; } );\n"));
        const struct config *c = config_load(path, &r);
        assert_non_null(c);
        static const struct {
                int line;
                const char *text;
        } told[] = {{2, "the environment variable TG_TEST_NONE is not set"},
                    {3, "none.key cannot be read"},
                    {4, "every user"},
                    {5, "in clear"},
                    {6, "unencrypted"},
                    {7, "in clear"},
                    {7, "out of service: the secret holds characters"}};
        assert_int_equal(r.count, 7);
        for (size_t i = 0; i < r.count; i++) {
                assert_true(r.problems[i].warning);
                assert_int_equal(r.problems[i].line, told[i].line);
                assert_non_null(strstr(r.problems[i].text, told[i].text));
                assert_null(strstr(r.problems[i].text, "sk-"));
                assert_null(strstr(r.problems[i].text, "k-123"));
        }
        assert_non_null(c->providers[0].out_of_service);
        assert_null(c->providers[0].key);
        assert_non_null(c->providers[1].out_of_service);
        assert_string_equal(c->providers[2].key, "sk-file");
        assert_string_equal(c->providers[3].key, "sk-literal");
        assert_null(c->providers[6].key);
        assert_null(c->providers[6].out_of_service);
        config_unref(c);
        config_report_free(&r);
}

/* Lines are those of the file they stand in, also behind an include and within nested ones. */
static void includes(void **state)
{
        (void)state;
        struct config_report r;
        char path[256], sub[300];
        snprintf(sub, sizeof sub, "%s/sub", folder);
        mkdir(sub, 0700);
        write_file("sub/one.conf", "# one\n@include \"two.conf\"\nmount = 1;");
        write_file("sub/two.conf", "\n\ncurrency = 2;\n");
        snprintf(path, sizeof path, "%s",
                 write_file("main.conf",
                            "workers = \"x\";\n@include \"sub/one.conf\"\n# @include \"no\"\n/* \n"
                            "@include \"no\"\n*/ keepalive = \"y\\\" @include\n\";\nnope = \"#\";\n"));
        assert_null(config_load(path, &r));
        static const struct {
                const char *file, *text;
                int line;
        } told[] = {{"/main.conf", "workers", 1},
                    {"/main.conf", "keepalive", 6},
                    {"/main.conf", "nope", 8},
                    {"/sub/one.conf", "mount", 3},
                    {"/sub/two.conf", "currency", 3}};
        assert_int_equal(r.count, 5);
        for (size_t i = 0; i < r.count; i++) {
                assert_non_null(strstr(r.problems[i].file, told[i].file));
                assert_non_null(strstr(r.problems[i].text, told[i].text));
                assert_int_equal(r.problems[i].line, told[i].line);
        }
        config_report_free(&r);
}

static void other_line_ends_and_marks(void **state)
{
        (void)state;
        const struct config *c = load_good("\xef\xbb\xbfworkers = 7;\r\nmax_body = 0x1000; # 99999999999\r\n"
                                           "fetch = { timeout = 1e1; images = 3.0; }\r\n",
                                           0);
        assert_int_equal(c->workers, 7);
        assert_int_equal(c->max_body, 4096);
        assert_int_equal(c->fetch.timeout_ms, 10000);
        assert_int_equal(c->fetch.images, 3);
        config_unref(c);
}

static void files_that_are_not_there(void **state)
{
        (void)state;
        struct config_report r;
        assert_null(config_load("/nowhere/at/all.conf", &r));
        assert_int_equal(r.errors, 1);
        assert_int_equal(r.problems[0].line, 0);
        config_report_free(&r);
        /* Without the shipped catalogue and prices there are warnings only. */
        char path[256];
        snprintf(path, sizeof path, "%s", write_file("main.conf", M));
        setenv("TOLLGATE_DATADIR", "/nowhere", 1);
        const struct config *c = config_load(path, &r);
        setenv("TOLLGATE_DATADIR", folder, 1);
        assert_non_null(c);
        assert_int_equal(r.warnings, 2);
        config_unref(c);
        config_report_free(&r);
}

/* What ships works as it is, with no warning. */
static void the_sample_is_good(void **state)
{
        (void)state;
        struct config_report r;
        char path[512];
        const char *source = getenv("TOLLGATE_SRCDIR");
        snprintf(path, sizeof path, "%s/conf/tollgate.conf", source ? source : ".");
        unsetenv("GEMINI_API_KEY");
        const struct config *c = config_load(path, &r);
        for (size_t i = 0; i < r.count; i++)
                print_error("%s:%d: %s\n", r.problems[i].file, r.problems[i].line, r.problems[i].text);
        assert_non_null(c);
        assert_int_equal(r.count, 0);
        assert_non_null(c->anonymous);
        assert_non_null(c->defaults.chat);
        assert_non_null(c->defaults.vision);
        assert_non_null(c->defaults.embed);
        assert_string_equal(config_find_model(c, c->defaults.chat)->use->targets[0].provider->dialect,
                            "echo");
        config_unref(c);
        config_report_free(&r);
}

/* From `from` up to the next of the marks. */
static char *piece(const char *from, const char *mark, const char *other)
{
        const char *end = strstr(from + 1, mark), *second = strstr(from + 1, other);
        if (!end || (second && second < end))
                end = second;
        return end ? strndup(from, (size_t)(end - from)) : strdup(from);
}

/* tollgate.conf(5) has each setting of the table in its group's section, with its default and milestone. */
static void manual_has(const char *page, const struct setting_group *g)
{
        char mark[128];
        snprintf(mark, sizeof mark, "\n.Ss %s\n", g->title);
        const char *from = strstr(page, mark);
        if (!from)
                print_error("tollgate.conf.5 lacks the section %s\n", g->title);
        assert_non_null(from);
        char *section = piece(from, "\n.Ss ", "\n.Sh ");
        char *head = piece(section, "\n.It ", "\n.El");
        for (size_t i = 0; i < g->count; i++) {
                const struct setting *s = &g->settings[i];
                char later[16];
                snprintf(mark, sizeof mark, "\n.It Ic %s\n", s->name);
                snprintf(later, sizeof later, "M%d", s->milestone);
                const char *found = strstr(section, mark);
                char *item = found ? piece(found, "\n.It ", "\n.El") : NULL;
                bool whole = item && (!s->fallback || !*s->fallback || strstr(item, s->fallback)) &&
                             (!s->milestone || strstr(item, later) || strstr(head, later));
                if (!whole)
                        print_error("tollgate.conf.5, %s: %s is missing, or its default %s or M%d is\n",
                                    g->title, s->name, s->fallback ? s->fallback : "", s->milestone);
                assert_true(whole);
                free(item);
                if (s->group)
                        manual_has(page, s->group);
        }
        free(section);
        free(head);
}

static void the_manual_is_whole(void **state)
{
        (void)state;
        struct buf page;
        char path[512];
        const char *source = getenv("TOLLGATE_SRCDIR");
        snprintf(path, sizeof path, "%s/docs/tollgate.conf.5", source ? source : ".");
        buf_init(&page, 1 << 20);
        assert_true(buf_read_file(&page, path));
        manual_has(page.data, &setting_root);
        for (size_t i = 0; i < setting_field_count; i++) {
                char mark[128];
                snprintf(mark, sizeof mark, "\n.It Ic %s\n", setting_fields[i].name);
                assert_non_null(strstr(strstr(page.data, "\n.Ss set and default"), mark));
        }
        buf_release(&page);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_ones_are_told),
                cmocka_unit_test(an_empty_file_has_the_defaults),
                cmocka_unit_test(settings_arrive),
                cmocka_unit_test(what_holds_the_gate),
                cmocka_unit_test(pins_are_in_force),
                cmocka_unit_test(what_means_nothing_is_warned_of),
                cmocka_unit_test(secrets),
                cmocka_unit_test(includes),
                cmocka_unit_test(other_line_ends_and_marks),
                cmocka_unit_test(files_that_are_not_there),
                cmocka_unit_test(the_sample_is_good),
                cmocka_unit_test(the_manual_is_whole),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
