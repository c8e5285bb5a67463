#!/bin/sh
# The command line as its users see it: what it prints, and how it exits. TOLLGATE names the program (./tollgate).
set -u
tollgate=${TOLLGATE:-./tollgate}
source=${TOLLGATE_SRCDIR:-.}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
bad=0 count=0
unset TOLLGATE_CONF GATEWAY_INTERFACE TG_TEST_NONE
TOLLGATE_DATADIR=$work TG_TEST_KEY=sk-never-shown
export TOLLGATE_DATADIR TG_TEST_KEY
: >"$work/catalogue.conf"
sample=$source/conf/tollgate.conf

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
for command in ask check key models; do
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

echo "$((count - bad)) of $count passed"
[ "$bad" = 0 ]
