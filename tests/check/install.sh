# Part of ./quickstart: install_packages serve|check installs the Debian packages that are missing, and leaves no service
# running or enabled that was not before.

packages_to_build='autoconf automake gcc libc6-dev make pkg-config libcurl4-openssl-dev libjson-c-dev libconfig-dev
        libssl-dev libfcgi-dev libsqlite3-dev'
packages_to_serve='lighttpd curl ca-certificates util-linux'
packages_to_check='clang clang-format libclang-rt-dev libcmocka-dev valgrind apache2 libapache2-mod-fcgid spawn-fcgi libfcgi-bin xz-utils procps chromium prometheus'

as_root() {
        if [ "$(id -u)" -eq 0 ]; then
                "$@"
        elif [ -t 0 ]; then
                sudo "$@"
        else
                sudo -n "$@"
        fi
}

# pkg-config may be there as pkgconf, which provides it.
is_installed() {
        case $1 in
        pkg-config) command -v pkg-config >/dev/null ;;
        *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
        esac
}

install_packages() {
        command -v dpkg-query >/dev/null || {
                say 'quickstart: this is no Debian or Ubuntu; taking what is there' >&2
                return 0
        }
        wanted="$packages_to_build $packages_to_serve"
        if [ "$1" = check ]; then
                wanted="$wanted $packages_to_check"
                command -v node >/dev/null || wanted="$wanted nodejs"
                command -v npm >/dev/null || wanted="$wanted npm"
        fi
        missing=
        for package in $wanted; do
                is_installed "$package" || missing="$missing $package"
        done
        [ -n "$missing" ] || return 0
        say "Installing:$missing"
        [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
                die "run this once as root, or: apt-get install$missing"
        # The names must reach the shell that root runs, and that shell must end its work whatever happens to us.
        as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l sh "$here/tests/check/install-as-root" $missing
}
