# Part of ./quickstart: builds, and serves under lighttpd in the foreground.

port=${PORT:-8080}
case $port in
'' | *[!0-9]*) die "PORT=$port is no port" ;;
esac
url=http://127.0.0.1:$port/ai
prefix=$here/run/installed
mkdir -p "$here/run" || exit 1

say 'Building in ./build …'
{
        build_in "$here/build/serve" --prefix="$prefix" && make -s -C "$here/build/serve" install
} >"$here/run/build.log" 2>&1 || {
        tail -n 40 "$here/run/build.log" >&2
        die 'the build failed; all of it is in run/build.log'
}

run=$(mktemp -d "$here/run/port-$port.XXXXXX") || exit 1
server=
finish() {
        trap - EXIT INT TERM HUP
        if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
                wait "$server" 2>/dev/null
        fi
        rm -rf "$run"
}
trap finish EXIT
trap 'exit 0' INT TERM HUP

# As root, lighttpd and Tollgate give root up, where their user can reach this folder.
user=
if [ "$(id -u)" -eq 0 ] && id www-data >/dev/null 2>&1; then
        if runuser -u www-data -- test -r "$prefix/libexec/tollgate/tollgate.fcgi"; then
                user=www-data
        else
                say "This folder is closed to other users: the server runs as root here."
        fi
fi

# ---- the configuration
providers='  { name = "local"; dialect = "echo"; }'
targets=
search=
add_provider() { # NAME DIALECT BASE VARIABLE MODEL
        providers="$providers,
  { name = \"$1\"; dialect = \"$2\"; base = \"$3\"; key = \"env:$4\"; }"
        targets="$targets${targets:+,
                }{ provider = \"$1\"; model = \"$5\"; }"
}
[ -z "${GEMINI_API_KEY:-}" ] || {
        add_provider gemini gemini https://generativelanguage.googleapis.com GEMINI_API_KEY gemini-3.5-flash
        search='{ provider = "gemini"; model = "gemini-embedding-001"; }'
}
[ -z "${OPENAI_API_KEY:-}" ] || {
        add_provider openai openai https://api.openai.com/v1 OPENAI_API_KEY gpt-5.5
        search=${search:-'{ provider = "openai"; model = "text-embedding-3-small"; }'}
}
[ -z "${ANTHROPIC_API_KEY:-}" ] ||
        add_provider claude anthropic https://api.anthropic.com ANTHROPIC_API_KEY claude-opus-4-7


# A model of one version and these targets.
model_row() { # NAME TASKS TARGETS
        cat <<END
  { name = "$1"; tasks = [$2];
    versions = ( { name = "1"; targets = (
                $3
    ); } ); }
END
}
models=$(model_row echo '"chat", "vision", "embed"' '{ provider = "local"; model = "echo"; }')
accounts='  { name = "public"; models = ["echo"]; }'
real=$targets
echo_target='{ provider = "local"; model = "echo"; }'
models="$models,
$(model_row assistant '"chat", "vision"' "${targets:-$echo_target}"),
$(model_row search '"embed"' "${search:-$echo_target}")"

# A key of the moment: SDKs insist on one, and the real models stand behind it.
"$prefix/bin/tollgate" key new >"$run/key" 2>&1 || die 'no key could be made'
key=$(grep -oE 'tg-[A-Za-z0-9_-]+' "$run/key" | head -n 1)
rm -f "$run/key"
[ -n "$key" ] || die 'no key could be made'
hash=$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)
accounts="  { name = \"you\"; models = [\"*\"]; direct = true;
    keys = ( { name = \"quickstart\"; sha256 = \"$hash\"; } ); },
$accounts"

cat >"$run/tollgate.conf" <<END
# Written by ./quickstart, which replaces it each time.
version   = 1;
anonymous = "public";
workers   = 16;
defaults  = { chat = "echo"; vision = "echo"; embed = "echo"; };
providers = (
$providers
);
models = (
$models
);
accounts = (
$accounts
);
state     = "$run/state/state";
ledger    = "$run/state/usage.db";
operators = { from = [ "127.0.0.1" ]; };
@include "pins.conf"
END
cat >"$run/tollgate-local.conf" <<END
var.tollgate_fcgi   := "$prefix/libexec/tollgate/tollgate.fcgi"
var.tollgate_conf   := "$run/tollgate.conf"
var.tollgate_socket := "$run/socket"
END
cat >"$run/lighttpd.conf" <<END
server.bind          = "127.0.0.1"
server.port          = $port
server.document-root = "$run/htdocs"
server.upload-dirs   = ( "$run" )
server.errorlog      = "$run/error.log"
include "$prefix/share/tollgate/lighttpd/tollgate.conf"
END
[ -z "$user" ] || cat >>"$run/lighttpd.conf" <<END
server.username  = "$user"
server.groupname = "$user"
END
mkdir "$run/htdocs" "$run/state"
cat >"$run/htdocs/form.html" <<'END'
<!doctype html>
<meta charset="utf-8">
<title>Tollgate</title>
<form action="/ai/vision" method="post" enctype="multipart/form-data">
  <input name="prompt" value="What is in this picture?">
  <input type="file" name="image" accept="image/*">
  <button>Ask</button>
</form>
END
chmod 755 "$run"
[ -z "$user" ] || chown -R "$user" "$run"
"$prefix/bin/tollgate" check -c "$run/tollgate.conf" >"$run/check.log" 2>&1 || {
        cat "$run/check.log" >&2
        die 'the configuration does not check'
}

# ---- the server
lighttpd=$(PATH=$PATH:/usr/sbin command -v lighttpd) || die 'lighttpd is not installed'
"$lighttpd" -D -f "$run/lighttpd.conf" </dev/null >"$run/output" 2>&1 &
server=$!
tries=0
until curl -fsS -o /dev/null "$url/healthz" 2>/dev/null; do
        tries=$((tries + 1))
        if ! kill -0 "$server" 2>/dev/null || [ $tries -gt 100 ]; then
                cat "$run/output" "$run/error.log" >&2 2>/dev/null
                server=
                die "it does not answer on port $port; is the port taken? PORT=8090 ./quickstart takes another"
        fi
        sleep 0.1
done
# A server that was there before would answer as well, and ours would be gone.
sleep 0.2
kill -0 "$server" 2>/dev/null || {
        cat "$run/output" >&2
        die "port $port is taken; PORT=8090 ./quickstart takes another"
}

body='{"model":"%s","messages":[{"role":"user","content":"Hello!"}]}'
say '' "Tollgate stands at $url/ — Ctrl-C ends it. Try:" ''
say "curl $url/v1/chat/completions -H 'content-type: application/json' -d '$(printf "$body" echo)'"
if [ -n "$real" ]; then
        say '' 'Callers without a key get the built-in echo provider. With this key, made just now, the real models:'
else
        say '' 'The built-in echo provider answers all; GEMINI_API_KEY, OPENAI_API_KEY or ANTHROPIC_API_KEY put real models' \
                'behind this key, made just now:'
fi
say '' "  $key" ''
say "curl $url/v1/chat/completions -H 'authorization: Bearer $key' -H 'content-type: application/json' -d '$(printf "$body" assistant)'"
say '' "In a browser: $url/ to try the models, $url/status for what was asked and what it cost."
say "A form that sends a picture: http://127.0.0.1:$port/form.html"
say ''
wait "$server"
status=$?
cat "$run/error.log" >&2 2>/dev/null
die "lighttpd ended with status $status"
