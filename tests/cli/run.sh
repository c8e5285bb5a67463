#!/bin/sh
# The command line as its users see it: what it prints, and how it exits. TOLLGATE names the program (./tollgate).
set -u
tollgate=${TOLLGATE:-./tollgate}
source=${TOLLGATE_SRCDIR:-.}
make_state=${TOLLGATE_MAKE_STATE:-./tests/cli/make_state}
make_ledger=${TOLLGATE_MAKE_LEDGER:-./tests/cli/make_ledger}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
bad=0 count=0
unset TOLLGATE_CONF GATEWAY_INTERFACE TG_TEST_NONE
TOLLGATE_DATADIR=$work TG_TEST_KEY=sk-never-shown
export TOLLGATE_DATADIR TG_TEST_KEY
: >"$work/catalogue.conf"
: >"$work/prices.conf"
# The sample as shipped, but for a state whose folder is there.
sample=$work/sample.conf
{ cat "$source/conf/tollgate.conf" && echo "state = \"$work/state\";"; } >"$sample"

# expect EXIT COMMAND…: its output is left in $work/out, its errors in $work/err
expect() {
        wanted=$1
        shift
        count=$((count + 1))
        "$@" >"$work/out" 2>"$work/err" </dev/null
        got=$?
        if [ "$got" != "$wanted" ]; then
                echo "FAIL: $*: exit $got, expected $wanted"
                sed 's/^/  /' "$work/out" "$work/err"
                bad=$((bad + 1))
        fi
}

# out PATTERN, err PATTERN: an extended regular expression that a line of it matches
out() { look out "$1"; }
err() { look err "$1"; }
look() {
        count=$((count + 1))
        if ! grep -Eq -- "$2" "$work/$1"; then
                echo "FAIL: no line of std$1 matches $2:"
                sed 's/^/  /' "$work/$1"
                bad=$((bad + 1))
        fi
}
silent() {
        count=$((count + 1))
        if [ -s "$work/$1" ]; then
                echo "FAIL: std$1 should be empty:"
                sed 's/^/  /' "$work/$1"
                bad=$((bad + 1))
        fi
}
# A secret that must not be shown.
hidden() {
        count=$((count + 1))
        if cat "$work/out" "$work/err" | grep -q -- "$1"; then
                echo "FAIL: $1 is shown"
                bad=$((bad + 1))
        fi
}

# right STATUS WHAT
right() {
        count=$((count + 1))
        [ "$1" = 0 ] || { echo "FAIL: $2"; bad=$((bad + 1)); }
}

# ---- everywhere
expect 0 "$tollgate" --version
out '^tollgate [0-9]+\.[0-9]+\.[0-9]+$'
expect 0 "$tollgate" --help
out '^  check '
out '^  ask '
expect 2 "$tollgate"
err '^usage:'
expect 2 "$tollgate" chekc
err 'did you mean check'
expect 2 "$tollgate" --nonsense
for command in ask check key models reset status pin usage log show backup; do
        expect 0 "$tollgate" $command --help
        out "^usage: tollgate $command"
        expect 2 "$tollgate" $command --nonsense
        err 'unknown option --nonsense'
        expect 2 "$tollgate" $command -c
        err '-c wants a value'
done

# ---- check
expect 0 "$tollgate" check -c "$sample"
out 'good: 1 provider, 2 models, 1 account, 0 warnings$'
expect 0 "$tollgate" -c "$sample" check
expect 0 env TOLLGATE_CONF="$sample" "$tollgate" check
expect 0 "$tollgate" check -c "$sample" --json
out '^\{"file":".*","good":true,"errors":0,"warnings":0,"problems":\[\]\}$'
expect 2 "$tollgate" check more
expect 1 "$tollgate" check -c "$work/none.conf"
out 'none.conf: error: cannot be read'
cat >"$work/bad.conf" <<'END'
wrokers = 5;
keepalive = "x";
providers = ( { name = "o"; dialect = "openai"; base = "https://x.example"; key = "sk-in-clear"; } );
END
chmod 600 "$work/bad.conf"
expect 1 "$tollgate" check -c "$work/bad.conf"
out '/bad.conf:1: error: unknown setting "wrokers"; did you mean "workers"\?$'
out '/bad.conf:2: error: keepalive: expected a number of seconds, found a string$'
out '/bad.conf:3: warning: .*in clear'
out '/bad.conf: 2 errors, 1 warning$'
expect 1 "$tollgate" check --json -c "$work/bad.conf"
out '"good":false,"errors":2,"warnings":1'
hidden sk-in-clear
expect 3 "$tollgate" check -c "$sample" --as no-such-user-here
err 'there is no user'

cat >"$work/dates.conf" <<END
state = "$work/none/state";
providers = ( { name = "far"; dialect = "openai"; base = "https://far.example"; } );
models = ( { name = "a"; use = "1"; versions = (
        { name = "1"; deprecated = "2020-01-01"; targets = ( { provider = "far"; model = "x-latest"; } ); },
        { name = "2"; sunset = "2020-01-01"; strategy = "cost"; targets = ( { provider = "far"; model = "old"; } ); } ); } );
catalogue = ( { model = "old"; retires = "2020-02-02"; } );
END
expect 0 "$tollgate" check -c "$work/dates.conf"
out 'dates.conf: warning: a@1: deprecated since 2020-01-01, and in force$'
out 'dates.conf: warning: a@1: the model "x-latest" of provider "far" is whatever is newest$'
out 'dates.conf: warning: a@2: gone since its sunset on 2020-01-01; its callers get a 404$'
out 'dates.conf: warning: a@2: strategy "cost", and prices say nothing of "old"$'
out 'dates.conf: warning: a@2: the model "old" of provider "far" was to retire on 2020-02-02$'
out 'dates.conf: warning: state: the folder .*/none: No such file or directory$'
out 'good: 1 provider, 1 model, 0 accounts, 7 warnings$'
expect 0 "$tollgate" check -c "$work/dates.conf" --json
out '"good":true,"errors":0,"warnings":7,.*"line":null,"text":"a@1: deprecated'

# ---- key
expect 0 "$tollgate" key new --name crm --account desk
out '^tg-[A-Za-z0-9_-]{43}$'
key=$(head -n 1 "$work/out")
digest=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
out "sha256 = \"$digest\""
out '^\{ name = "desk"'
{
        echo 'providers = ( { name = "e"; dialect = "echo"; } );'
        echo 'models = ( { name = "a"; versions = ( { name = "1"; targets = ( { provider = "e"; model = "x"; } ); } ); } );'
        echo 'accounts = ('
        sed -n '3,$p' "$work/out"
        echo ');'
} >"$work/key.conf"
expect 0 "$tollgate" check -c "$work/key.conf"
expect 0 "$tollgate" key new --json
out '^\{"key":"tg-[A-Za-z0-9_-]{43}","name":"key","sha256":"[0-9a-f]{64}"\}$'
expect 2 "$tollgate" key
expect 2 "$tollgate" key old
expect 2 "$tollgate" key new --name 'a"b'

# ---- models
expect 0 "$tollgate" models -c "$sample"
out '^assistant: chat, vision$'
out '^  assistant@1 \(in force\)$'
out 'echo/echo \(echo\)'
expect 0 "$tollgate" models -c "$sample" --json
out '^\{"models":\[\{"name":"assistant","tasks":\["chat","vision"\],"versions":\[\{"name":"1","in_force":true'
expect 3 "$tollgate" models -c "$work/bad.conf"
err 'unknown setting "wrokers"'
cat >"$work/vectors.conf" <<'END'
providers = ( { name = "far"; dialect = "gemini"; base = "https://far.example"; } );
models = ( { name = "search"; tasks = ["embed"];
             versions = ( { name = "1"; targets = ( { provider = "far"; model = "gemini-embedding-001"; } ); } ); } );
END
expect 0 env TOLLGATE_DATADIR="$source/conf" "$tollgate" models -c "$work/vectors.conf"
out 'far/gemini-embedding-001 \(gemini\), window 2048$'

expect 0 "$tollgate" models -c "$work/dates.conf"
out '^  a@1 \(in force\), deprecated 2020-01-01$'
out '^  a@2, sunset 2020-01-01$'

# ---- pin
mkdir "$work/pin"
pinned=$work/pin/main.conf pins=$work/pin/pins.conf
{
        echo 'providers = ( { name = "e"; dialect = "echo"; } );'
        echo 'models = ( { name = "a"; use = "1"; versions = ('
        for v in 1 2 3; do echo "  { name = \"$v\"; targets = ( { provider = \"e\"; model = \"x\"; } ); },"; done
        echo '  { name = "old"; sunset = "2020-01-01"; targets = ( { provider = "e"; model = "x"; } ); } );'
        echo '  canary = { version = "3"; percent = 5; }; },'
        echo '  { name = "b"; versions = ( { name = "1"; targets = ( { provider = "e"; model = "x"; } ); } ); } );'
} >"$pinned"
expect 3 "$tollgate" pin -c "$pinned" a 2
err '^@include "pins.conf"$'
silent out
expect 1 test -e "$pins"
echo '@include "pins.conf"' >>"$pinned"
chmod 640 "$pinned"
expect 0 "$tollgate" pin -c "$pinned"
out '^a: 1; canary 3 for 5%$'
out '^b: 1$'
expect 0 "$tollgate" pin -c "$pinned" --history
silent out
expect 1 "$tollgate" pin -c "$pinned" a --rollback
err 'no pin to go back from'
expect 1 "$tollgate" pin -c "$pinned" a 22
err 'no version "22"; did you mean "2"\?'
expect 1 "$tollgate" pin -c "$pinned" c 1
expect 1 test -e "$pins"
expect 0 env SUDO_USER=ann "$tollgate" pin -c "$pinned" a 2 --why 'say "hi" \ and ä; }'
out '^a: 2 is in force \(was 1\)$'
expect 0 "$tollgate" check -c "$pinned"
expect 0 "$tollgate" pin -c "$pinned" a
out '^a: 2, pinned by ann at 20[0-9-]{8}T[0-9:]{8}Z: say "hi" \\ and ä; }; canary 3 for 5%$'
expect 0 test "$(stat -c %a "$pins")" = 640
expect 0 "$tollgate" models -c "$pinned"
out '^  a@2 \(in force, pinned by ann\)$'
out '^  a@3 \(canary for 5%\)$'
expect 0 "$tollgate" ask -c "$pinned" --json -m a good day
out '"version":"2"'
chmod 600 "$pins"
expect 0 "$tollgate" pin -c "$pinned" a 3 --by 'the robot' --json
out '^\{"model":"a","version":"3","previous":"2","by":"the robot","at":"[^"]*","file":".*/pins.conf"\}$'
expect 0 test "$(stat -c %a "$pins")" = 600
# Back, and back again; the same one twice is no step back.
expect 0 "$tollgate" pin -c "$pinned" a --rollback
out '^a: 2 is in force \(was 3\)$'
expect 0 "$tollgate" pin -c "$pinned" a 2 --why again
expect 0 "$tollgate" pin -c "$pinned" a --rollback --why 'as before'
out '^a: 3 is in force \(was 2\)$'
expect 0 "$tollgate" pin -c "$pinned" --history a
out '^20[0-9-]*T[0-9:]*Z a 2 ann: say "hi"'
out '^20[0-9-]*T[0-9:]*Z a 3 .* \(in force\): as before$'
expect 0 test "$(wc -l <"$work/out")" = 5
expect 0 "$tollgate" pin -c "$pinned" --history --json
out '^\{"pins":\[\{"model":"a","version":"2","in_force":false,"by":"ann"'
expect 0 "$tollgate" pin -c "$pinned" --json
out '^\{"models":\[\{"model":"a","version":"3","pinned":true,.*"canary":\{"version":"3","percent":5\}\},\{"model":"b","version":"1","pinned":false\}\]\}$'
expect 0 "$tollgate" pin -c "$pinned" a old
err 'a@old is gone since its sunset on 2020-01-01: callers get a 404'
for wrong in 'a 1 2' '--rollback' 'a 1 --rollback' '--history a 1' '--why x' 'a --by x'; do
        expect 2 "$tollgate" pin -c "$pinned" $wrong
done
expect 2 "$tollgate" pin -c "$pinned" a 1 --why 'two
lines'
# A link leads to the file and stays one.
mkdir "$work/pin/elsewhere"
mv "$pins" "$work/pin/elsewhere/p" && ln -s elsewhere/p "$pins"
expect 0 "$tollgate" pin -c "$pinned" a 1
expect 0 test -L "$pins"
expect 0 grep -q 'use = "1"' "$work/pin/elsewhere/p"
rm "$pins"
# Two at once: none is lost. Then the bound, which spares what is in force and what was before it.
running=
for i in 1 2 3 4 5 6 7 8; do
        "$tollgate" pin -c "$pinned" a $((i % 3 + 1)) --why "run $i" >"$work/run.$i" 2>&1 &
        running="$running $!"
done
for pid in $running; do
        count=$((count + 1))
        wait "$pid" || { echo "FAIL: a pin among others at once" && bad=$((bad + 1)); }
done
expect 0 test "$(grep -c 'run [1-8]' "$pins")" = 8
{
        echo 'pins = ( { model = "b"; use = "9"; }, { model = "b"; use = "1"; why = "kept"; }'
        i=0
        while [ $i -lt 498 ]; do
                i=$((i + 1))
                echo ", { model = \"a\"; use = \"2\"; why = \"row $i\"; }"
        done
        echo ');'
} >"$pins"
expect 0 "$tollgate" pin -c "$pinned" a 3
expect 0 test "$(grep -c 'model = ' "$pins")" = 500
expect 0 grep -q 'model = "b"; use = "9"' "$pins"
expect 0 grep -q 'why = "kept"' "$pins"
expect 1 grep -q '"row 1"' "$pins"
expect 0 grep -q '"row 2"' "$pins"
expect 0 "$tollgate" pin -c "$pinned" a --rollback
out '^a: 2 is in force'
# What would not load is not written; a configuration that is broken is not touched.
echo 'pins = ( );' >"$work/pin/own.conf"
sed 's/@include.*/@include "own.conf"\n@include "pins.conf"/' "$pinned" >"$work/pin/twice.conf"
rm "$pins"
expect 3 "$tollgate" pin -c "$work/pin/twice.conf" a 2
err 'pins.conf:[0-9]+: error: duplicate setting'
err 'nothing was written'
expect 1 test -e "$pins"
expect 0 test -z "$(find "$work/pin" -name '.pins.*')"

# ---- ask
expect 0 "$tollgate" ask -c "$sample" good day
out 'good day'
silent err
expect 0 "$tollgate" ask -c "$sample" --stream good day
out 'good day'
expect 0 "$tollgate" ask -c "$sample" --json -m assistant@1 -- --dashes
out '"model":"assistant","version":"1","provider":"echo",.*"finish":"stop"'
expect 0 "$tollgate" ask -c "$sample" --json --stream good day
out '^\{"text":".*"\}$'
out '"finish":"stop"'
expect 0 sh -c "echo from a pipe | '$tollgate' ask -c '$sample' -"
out 'from a pipe'
expect 0 "$tollgate" ask -c "$sample" -m echo/anything good day
expect 0 "$tollgate" ask -c "$sample" --embed one two
count=$((count + 1))
[ "$(grep -Ec '^[-0-9.e]+( [-0-9.e]+)+$' "$work/out")" = 2 ] || { echo "FAIL: expected two vectors"; bad=$((bad + 1)); }
echo 'iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==' |
        base64 -d >"$work/photo"
expect 0 "$tollgate" ask -c "$sample" --image "$work/photo" 'what is it'
out '3.*2'
expect 3 "$tollgate" ask -c "$sample" --image "$work/none" 'what is it'
expect 3 "$tollgate" ask -c "$sample" --image "$sample" 'what is it'
err 'no image of a known kind'
expect 1 "$tollgate" ask -c "$sample" -m nothing good day
err 'there is no model "nothing"'
expect 1 "$tollgate" ask -c "$sample" -m search good day
expect 2 "$tollgate" ask -c "$sample"
expect 2 "$tollgate" ask -c "$sample" --embed --stream x
expect 3 sh -c "'$tollgate' ask -c '$sample' good day >/dev/full"
cat >"$work/dead.conf" <<'END'
providers = ( { name = "dead"; dialect = "gemini"; base = "http://127.0.0.1:1"; key = "env:TG_TEST_KEY"; },
              { name = "out"; dialect = "openai"; base = "http://127.0.0.1:1/v1"; key = "env:TG_TEST_NONE"; } );
END
expect 3 "$tollgate" ask -c "$work/dead.conf" -m dead/m good day
err 'tollgate ask: '
hidden sk-never-shown
expect 3 "$tollgate" ask -c "$work/dead.conf" -m out/m good day

# ---- status, reset
mkdir -m 700 "$work/state"
cat >"$work/state.conf" <<END
state = "$work/state/file";
providers = ( { name = "e"; dialect = "echo"; }, { name = "out"; dialect = "openai"; base = "http://127.0.0.1:1/v1"; key = "env:TG_TEST_NONE"; } );
models = ( { name = "a"; versions = ( { name = "1"; targets = ( { provider = "e"; model = "x"; }, { provider = "out"; model = "y"; } ); } ); } );
accounts = ( { name = "desk"; models = ["*"]; limits = { rpm = 20; }; }, { name = "e"; models = ["a"]; },
             { name = "staff"; users = ["*"]; models = ["a"]; per = "user"; limits = { rpm = 5; }; } );
END
for command in status 'reset --all'; do
        expect 3 "$tollgate" $command -c "$work/state.conf"
        err 'state/file: there is no state yet'
        silent out
done
expect 1 test -e "$work/state/file"
expect 0 "$make_state" "$work/state/file" "$work/state.conf"
expect 0 "$tollgate" status -c "$work/state.conf"
out '^TARGETS  *STATE  *IN FLIGHT  *WAITING'
out '^e/x  *open  *0  *0  *1  *100 '
out '^  open since .*, probed in .* min: overloaded \(529\): too\\x1b\[31m much$'
out '^out/y  *out-of-service '
out '^e/any  *ok '
out '^PROVIDERS '
out '^ACCOUNTS '
out '^  rpm  *1 of 20, 19 left, all free in '
out '^  staff:user:al\\x1bice  *0  *0  *1  *100$'
out '^out  *out-of-service  *-  *-  *-  *-  *openai$'
out '^VERSIONS$'
out '^a@1  *in force$'
silent err
[ "$(sed -n 's/^\([A-Z][A-Z]*\).*/\1/p' "$work/out" | tr '\n' ' ')" = 'TARGETS PROVIDERS ACCOUNTS VERSIONS ' ]; right $? 'the sections stand in order'
expect 1 grep -q "$(printf '\033')" "$work/out"
expect 0 "$tollgate" status -c "$work/state.conf" --json
out '^\{"at":"20[0-9T:.-]*Z","targets":\[\{"name":"e/x",.*"breaker":\{"state":"open","cause":"overloaded","status":529,'
out '"name":"desk",.*"rpm":\{"max":20,"used":1,"left":19,"reset_seconds":[0-9.]*\}'
expect 0 "$tollgate" status -c "$work/state.conf" account:desk a@1
out '^desk '
out '^a@1 '
expect 1 grep -q '^TARGETS' "$work/out"
expect 1 "$tollgate" status -c "$work/state.conf" desk nothing
err 'there is nothing called nothing'
out '^desk '
for wrong in 0 0.01 1x 4000; do
        expect 2 "$tollgate" status -c "$work/state.conf" --watch=$wrong
done
expect 2 "$tollgate" status -c "$work/state.conf" --watch 0
# Again and again until a signal, which is no failure.
"$tollgate" status -c "$work/state.conf" --json --watch 0.1 desk >"$work/watched" 2>"$work/err" </dev/null &
watching=$!
turns=0
while [ "$(grep -c . "$work/watched")" -lt 3 ] && [ $turns -lt 600 ]; do
        sleep 0.1
        turns=$((turns + 1))
done
kill -TERM $watching
wait $watching
right $? '--watch ends well at a signal'
[ "$(grep -c '"name":"desk"' "$work/watched")" -ge 3 ]; right $? '--watch shows it again'

expect 2 "$tollgate" reset -c "$work/state.conf"
expect 2 "$tollgate" reset -c "$work/state.conf" --all desk
expect 1 "$tollgate" reset -c "$work/state.conf" desk e
err 'e may be one of these:$'
err '^  account:e$'
err '^  provider:e$'
silent out
expect 1 "$tollgate" reset -c "$work/state.conf" dsk
err '^  account:desk$'
expect 0 "$tollgate" status -c "$work/state.conf" desk
out '1 of 20, 19 left'
expect 0 "$tollgate" reset -c "$work/state.conf" desk account:e target:e/x
out '^cleared account:desk$'
out '^nothing to clear: account:e$'
out '^cleared target:e/x$'
expect 0 "$tollgate" status -c "$work/state.conf" desk e/x
out '0 of 20, 20 left$'
out '^e/x  *ok  *0  *0  *0  *0 '
expect 0 "$tollgate" reset -c "$work/state.conf" --json staff
out '^\{"cleared":\["caller:staff:user:(al.*ice","caller:staff:user:bob|bob","caller:staff:user:al.*ice)"\],"untouched":\["account:staff"\]\}$'
expect 0 "$tollgate" reset -c "$work/state.conf" --all
out '^cleared provider:e$'
out '^cleared direct:e/any$'
expect 1 grep -q desk "$work/out"
expect 0 "$tollgate" reset -c "$work/state.conf" --all --json
out '"untouched":\[\]\}$'
expect 0 "$tollgate" status -c "$work/state.conf" e/any
out '^e/any  *ok  *0  *0  *0  *0 '
cp "$work/state.conf" "$work/other.conf"
expect 3 "$tollgate" status -c "$work/other.conf"
err 'tollgate status: .*state/file'
printf 'no state at all' >"$work/state/text"
sed "s,state/file,state/text,; s,state/file,x," "$work/state.conf" >"$work/text.conf"
chmod 600 "$work/state/text"
expect 3 "$tollgate" status -c "$work/text.conf"
ln -s file "$work/state/link"
sed "s,state/file,state/link," "$work/state.conf" >"$work/link.conf"
expect 3 "$tollgate" status -c "$work/link.conf"
# Root becomes the state's owner; other users are sent away.
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
        chmod 711 "$work"
        chmod 644 "$work/state.conf"
        chown -R nobody "$work/state"
        expect 0 "$tollgate" status -c "$work/state.conf"
        out '^TARGETS'
        expect 0 "$tollgate" reset -c "$work/state.conf" desk
        expect 0 test "$(stat -c %U "$work/state/file")" = nobody
        chown root "$work/state/file"
        chmod 755 "$work/state"
        cp "$tollgate" "$work/tollgate" && chmod 755 "$work/tollgate"
        if command -v setpriv >/dev/null; then
                expect 3 setpriv --reuid=nobody --clear-groups "$work/tollgate" status -c "$work/state.conf"
                err 'state/file belongs to root: run this as root or as that user'
        fi
fi

# ---- usage, log, show, backup
mkdir -m 700 "$work/books"
cat >"$work/books.conf" <<END
ledger = "$work/books/usage.db";
providers = ( { name = "e"; dialect = "echo"; } );
END
for command in usage log 'show x' "backup $work/copy.db"; do
        expect 3 "$tollgate" $command -c "$work/books.conf"
        err 'books/usage.db: there is no ledger yet'
        silent out
done
expect 1 test -e "$work/books/usage.db"
echo 'ledger = "";' >"$work/none.conf"
expect 3 "$tollgate" usage -c "$work/none.conf"
err '`ledger` names no file'
expect 0 "$make_ledger" "$work/books/usage.db"

expect 0 "$tollgate" usage -c "$work/books.conf"
out '^all  *4  *25\.0 %  *1007  *39\.7 %  *50  *(199|20[0-3]) ms  *1[12]\.[0-9]* s  0\.000000000002 EUR \+ 0\.0015 USD \(1 unpriced\)$'
out '^requests  *4, 1 failed, 0 interrupted, 1 answered from the response cache$'
out '^attempts  *4: 1 retries, 0 rescues, 0 hedges$'
out '^tokens  *1007 in \(400 cached, 0 written to caches\), 50 out \(0 reasoning\)$'
out '^cost  *0\.000000000002 EUR, saved by caches 0 EUR$'
out '^cost  *0\.0015 USD, saved by caches 0\.00175 USD$'
silent err
expect 0 "$tollgate" usage -c "$work/books.conf" --by model
[ "$(cut -d' ' -f1 "$work/out" | head -4 | tr '\n' ' ')" = 'model assistant search =cmd() ' ]; right $? 'models stand in the order of their cost'
expect 0 "$tollgate" usage -c "$work/books.conf" --by user
out '^al\\x1b\[2Jice '
expect 1 grep -q "$(printf '\033')" "$work/out"
expect 0 "$tollgate" usage -c "$work/books.conf" --by error
out '^upstream_failed  *1 '
expect 0 "$tollgate" usage -c "$work/books.conf" --by version
out '^assistant@2026-11  *1 '
expect 0 "$tollgate" usage -c "$work/books.conf" --by hour --zone Asia/Kolkata
out '^2026-11-26 17:00  *2 '
expect 0 "$tollgate" usage -c "$work/books.conf" --by day --since 2026-11-25 --until 2026-11-26T12:00:01Z
out '^2026-11-25  *1 '
out '^2026-11-26  *1 '
out '^all  *2 '
expect 0 "$tollgate" usage -c "$work/books.conf" --since '2026-11-26 13:00' --until '2026-11-26T13:00:01' --zone Europe/Berlin
out '^all  *1 '
for filter in '--account desk' '--model assistant' '--provider openai'; do
        expect 0 "$tollgate" usage -c "$work/books.conf" $filter
        out '^all  *2 '
done
expect 0 "$tollgate" usage -c "$work/books.conf" --user crm --account desk
out '^all  *1 '
expect 0 "$tollgate" usage -c "$work/books.conf" --account nobody
out '^all  *0 '
expect 0 "$tollgate" usage -c "$work/books.conf" --by account --json
out '^\{"by":"account","lines":\[\{"key":"desk","requests":2,"errors":1,'
out '"costs":\[\{"currency":"USD","amount":"0\.0015","saved":"0\.00025"\}\]'
out '"total":\{"key":"","requests":4,.*"first_token_ms":\{"p50":[0-9]*,"p95":[0-9]*,"p99":[0-9]*\}'
expect 0 "$tollgate" usage -c "$work/books.conf" --by day --json
out '"key":"2026-11-24","starts":"2026-11-24T00:00:00\.000Z"'
expect 0 "$tollgate" usage -c "$work/books.conf" --by account --csv
out '^account,currency,cost,saved,requests,errors,'
out "^\"'=cmd\(\)\",USD,0,0\.0015,1,0,"
[ "$(tr -dc '\r' <"$work/out" | wc -c)" -eq 4 ]; right $? 'lines of CSV end as RFC 4180 says'
for wrong in '--by nothing' '--json --csv' '--zone Nowhere/At_All' '--since yesterday' '--until 2026-02-29' '--since 2026-11-26T25:00' \
        '--since 2026-11-26T10:00:00+01:00' 'desk'; do
        expect 2 "$tollgate" usage -c "$work/books.conf" $wrong
done
expect 3 sh -c "'$tollgate' usage -c '$work/books.conf' >/dev/full"

expect 0 "$tollgate" log -c "$work/books.conf"
[ "$(sed 's/.* //' "$work/out" | tr '\n' ' ')" = 'mine-1 mine-2 mine-1 odd ' ]; right $? 'the log is in the order of time'
out '^2026-11-24 12:00:00 desk  *assistant  *openai  *200 ok  *1000  *50  *900 ms 0\.0015 USD mine-1$'
out '^2026-11-25 12:00:00 desk  *assistant  *-  *502 upstream_failed  .* unpriced  mine-2$'
out ' ok, cached '
expect 0 "$tollgate" log -c "$work/books.conf" -n 2 --model assistant
[ "$(wc -l <"$work/out")" -eq 2 ]; right $? 'two of a model'
expect 0 "$tollgate" log -c "$work/books.conf" -n 0
silent out
expect 0 "$tollgate" log -c "$work/books.conf" --errors
out ' mine-2$'
[ "$(wc -l <"$work/out")" -eq 1 ]; right $? 'errors only'
expect 0 "$tollgate" log -c "$work/books.conf" --json --account shop
out '^\{"id":"[0-9]{19}","time_ms":[0-9]*,"request_id":"odd","account":"shop","user":"al\\u001b\[2Jice",'
for wrong in '-n x' '-n -1' '-n 1000001' 'desk'; do
        expect 2 "$tollgate" log -c "$work/books.conf" $wrong
done
# A request that came before one that is shown, and ends after it.
expect 0 "$make_ledger" "$work/books/usage.db" before 1000
"$tollgate" log -f -n 1 -c "$work/books.conf" >"$work/followed" 2>"$work/err" </dev/null &
following=$!
wait_for() { # COUNT of lines
        turns=0
        while [ "$(wc -l <"$work/followed")" -lt "$1" ] && [ $turns -lt 600 ]; do
                sleep 0.1
                turns=$((turns + 1))
        done
}
wait_for 1
expect 0 "$make_ledger" "$work/books/usage.db" new 0
wait_for 2
expect 0 "$make_ledger" "$work/books/usage.db" slow 600000
wait_for 3
kill -TERM $following
wait $following
right $? 'log -f ends well at a signal'
[ "$(sed 's/.* //' "$work/followed" | tr '\n' ' ')" = 'before new slow ' ]; right $? "all that end are shown once: $(cat "$work/followed")"

expect 0 "$tollgate" show -c "$work/books.conf" mine-2
out '^account  *desk$'
out '^outcome  *error: upstream_failed, status 502$'
out '^attempt 1, first, after 0 ms$'
out '^attempt 2, failover, after 40 ms$'
out '^  target  *claude/claude-opus-4-7$'
out '^  outcome  *error: overloaded, status 529$'
out '^cost  *no price is known$'
silent err
expect 0 "$tollgate" show -c "$work/books.conf" mine-1
[ "$(grep -c '^request ' "$work/out")" -eq 2 ]; right $? 'both requests of an id that a caller gave twice'
out '^  target  *openai/gpt-5\.5, served by gpt\\x1b\[31m-5\.5-red$'
out '^tokens  *1000 in \(400 cached, 0 written to the cache\), 50 out$'
out '^saved by caches  *0\.00025 USD$'
out "^  provider's word  *0\.0016$"
expect 1 grep -q "$(printf '\033')" "$work/out"
expect 0 "$tollgate" show -c "$work/books.conf" --json mine-2
out '^\[\{"id":"[0-9]*",.*"attempts":2,.*"attempt_rows":\[\{"request":"[0-9]*","n":1,.*"error":"overloaded".*\]\}\]$'
number=$(sed 's/^\[{"id":"\([0-9]*\)".*/\1/' "$work/out")
expect 0 "$tollgate" show -c "$work/books.conf" "$number"
out '^request  *mine-2$'
expect 1 "$tollgate" show -c "$work/books.conf" mine-3
err 'no request in the ledger has this id'
silent out
expect 2 "$tollgate" show -c "$work/books.conf"

expect 0 "$tollgate" backup -c "$work/books.conf" "$work/books/copy.db"
expect 0 test "$(stat -c %a "$work/books/copy.db")" = 600
expect 3 "$tollgate" backup -c "$work/books.conf" "$work/books/copy.db"
err 'copy\.db: File exists'
expect 3 "$tollgate" backup -c "$work/books.conf" "$work/nowhere/copy.db"
expect 2 "$tollgate" backup -c "$work/books.conf"
"$tollgate" usage -c "$work/books.conf" --by account --json >"$work/whole"
sed "s,usage\.db,copy.db," "$work/books.conf" >"$work/copy.conf"
expect 0 sh -c "'$tollgate' usage -c '$work/copy.conf' --by account --json | cmp - '$work/whole'"
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
        chmod 644 "$work/books.conf"
        chown -R nobody "$work/books"
        expect 0 "$tollgate" usage -c "$work/books.conf"
        expect 0 sh -c "test -z \"\$(find '$work/books' ! -user nobody)\""
        expect 0 "$tollgate" backup -c "$work/books.conf" "$work/books/other.db"
        expect 0 test "$(stat -c %U "$work/books/other.db")" = nobody
fi

echo "$((count - bad)) of $count passed"
[ "$bad" = 0 ]
