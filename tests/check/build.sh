# Part of ./quickstart and of the suites: building out of tree, safe with others at it in the same clone.

jobs=$(nproc 2>/dev/null || echo 2)

# Makes ./configure where it is missing or older than what it comes from.
build_autogen() {
        mkdir -p "$here/build" || return 1
        (
                flock 9 || exit 1
                [ -x "$here/configure" ] && [ -e "$here/Makefile.in" ] &&
                        [ -z "$(find "$here/configure.ac" "$here/Makefile.am" -newer "$here/Makefile.in")" ] &&
                        [ ! "$here/configure.ac" -nt "$here/configure" ] && exit 0
                "$here/autogen.sh" 9>&- || exit 1
                # autoreconf leaves a file alone that did not change: its date must still say that it was looked at.
                touch "$here/aclocal.m4" && sleep 1 && touch "$here/configure" "$here/config.h.in" "$here/Makefile.in"
        ) 9>"$here/build/.autogen.lock"
}

# build_in FOLDER CONFIGURE-ARGUMENT…: configures where that was not done with the same arguments, and makes all.
build_in() {
        folder=$1
        shift
        build_autogen && mkdir -p "$folder" || return 1
        (
                flock 9 || exit 1
                cd "$folder" || exit 1
                if [ ! -e Makefile ] || [ "$(cat .arguments 2>/dev/null)" != "$*" ] || [ "$here/configure" -nt config.status ]; then
                        "$here/configure" -q "$@" 9>&- && printf '%s\n' "$*" >.arguments || exit 1
                fi
                make -s -j"$jobs" 9>&-
        ) 9>"$folder.lock"
}
