# For the suites: `. "$(dirname "$0")/suite.sh"`, then `try NAME COMMAND…` for each test, `done_trying` at the end.
here=${TOLLGATE_SRCDIR:-$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)}
work=${TOLLGATE_CHECKDIR:-$here/build/check}
mkdir -p "$work"
. "$here/tests/check/build.sh"
tests=0 failures=0
log=$work/$(basename "$0").log

ok() {
        tests=$((tests + 1))
        echo "ok $tests - $1"
}
not_ok() { # NAME WORDS, or NAME -f FILE…: the end of each file tells why
        tests=$((tests + 1)) failures=$((failures + 1))
        echo "not ok $tests - $1"
        shift
        if [ "${1:-}" = -f ]; then
                shift
                tail -q -n 40 "$@" 2>/dev/null | sed 's/^/# /'
        else
                echo "# $*"
        fi
}
skip() {
        tests=$((tests + 1))
        echo "ok $tests - $1 # SKIP $2"
}
try() {
        name=$1
        shift
        if "$@" >"$log" 2>&1; then ok "$name"; else not_ok "$name" -f "$log" && return 1; fi
}
# Takes the TAP of another program over, numbered anew: its top-level lines, with what stands below a failure.
take_tap() { # FILE PREFIX
        if grep -qx '1\.\.0.*' "$1"; then
                skip "${2:-all}" "$(sed -n 's/^1\.\.0 *# *//p' "$1" | head -n 1)"
                return 0
        fi
        grep -qE '^(not )?ok' "$1" || return 1
        awk -v prefix="$2" '
                /^(not )?ok/ {
                        state = /^ok/ ? "ok" : "not ok"; keep = state == "not ok"
                        sub(/^(not )?ok *[0-9]* *-? */, "")
                        print state " - " prefix $0
                        next
                }
                keep && /^[ #]/ { print }' "$1"
        tests=$((tests + $(grep -cE '^(not )?ok' "$1")))
        failures=$((failures + $(grep -c '^not ok' "$1")))
        return 0
}
done_trying() {
        echo "1..$tests"
        [ $failures -eq 0 ]
        exit
}
