# Part of ./quickstart: every suite, and one line over all of them. A suite is tests/check/suite-NAME, which prints TAP.

export TOLLGATE_SRCDIR="$here"
export TOLLGATE_CHECKDIR="${TOLLGATE_CHECKDIR:-$here/build/check}"
mkdir -p "$TOLLGATE_CHECKDIR" || exit 1

# Two at once in one clone take turns; two clones don't meet.
exec 8>"$TOLLGATE_CHECKDIR/.lock"
flock -n 8 || {
        say 'Another check is at work in this folder; waiting for it.'
        flock 8
}

passed=0 failed=0 skipped=0
trap 'exit 130' INT TERM HUP

# Counts one suite's TAP, top-level lines only: "passed failed skipped".
tap_count() {
        awk '
                /^not ok/ { f++; next }
                /^ok/ && / # SKIP/ { s++; next }
                /^ok/ { p++ }
                END { print p + 0, f + 0, s + 0 }' "$1"
}

for suite in ${SUITES:-gcc clang unit install servers valgrind tsan race cases fuzz distcheck}; do
        script=$here/tests/check/suite-$suite
        output=$TOLLGATE_CHECKDIR/$suite.tap
        [ -x "$script" ] || die "there is no suite $suite"
        began=$(date +%s)
        # Its own group, so that a suite which hangs ends with all it started.
        timeout --kill-after=30 "${SUITE_SECONDS:-1500}" "$script" >"$output" 2>"$output.err" </dev/null 8>&-
        status=$?
        set -- $(tap_count "$output")
        if [ $status -ne 0 ] && [ "$2" -eq 0 ]; then
                echo "not ok - suite $suite ended with status $status" >>"$output"
                set -- "$1" 1 "$3"
        elif [ $(($1 + $2 + $3)) -eq 0 ]; then
                echo "not ok - suite $suite ran nothing" >>"$output"
                set -- 0 1 0
        fi
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
        say "$suite: $1 ok, $2 not ok, $3 left out ($(($(date +%s) - began)) s)"
        sed -n 's/^# figure: /    /p' "$output"
        grep -iE '^ok.* # SKIP' "$output" | sed 's/^ok[ 0-9-]*/    left out: /' | sort | uniq -c | sort -rn | head -n 20
        if [ "$2" -gt 0 ]; then
                awk '/^(not )?ok/ { show = /^not ok/ } show' "$output" | head -n 400
                tail -n 40 "$output.err"
        fi
done

say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
exit
