#!/bin/sh
# Installs what building, testing and the demo need and this machine lacks: PostgreSQL 15 or newer and a C compiler.
# Root or sudo on Debian and its relatives; elsewhere it says what to install. Quick when everything is there.
set -eu

oldest_postgres=15

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# The newest server's directory that holds both initdb and postgres, or nothing.
postgres_bin() {
    # shellcheck disable=SC2012 # version directories: plain names, and sort -V wants one a line
    for dir in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr) \
        "$(dirname "$(command -v postgres || echo /nowhere/postgres)")"; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            echo "$dir"
            return
        fi
    done
}

# "postgres (PostgreSQL) 15.18 (Debian …)" -> 15
postgres_major() { "$1/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'; }

# Debian's package starts a cluster named main at installation. Köprü runs clusters of its own, so say no for the
# length of this installation only: what the machine does with PostgreSQL otherwise is not ours to change.
refusal=/etc/postgresql-common/createcluster.d/kopru-setup.conf
refuse_main_cluster() {
    as_root mkdir -p "$(dirname "$refusal")"
    echo 'create_main_cluster = false' | as_root tee "$refusal" >/dev/null
    trap 'as_root rm -f "$refusal"' EXIT
    trap 'exit 130' INT TERM
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "installing needs root: run this as root, or install sudo"
    fi
}

command -v cargo >/dev/null 2>&1 || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
command -v cargo >/dev/null 2>&1 || fail "Rust is missing: install it from https://rustup.rs and run this again"

packages=
[ -n "$(postgres_bin)" ] && command -v psql >/dev/null 2>&1 || packages="postgresql"
command -v cc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || packages="$packages ca-certificates"

if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 ||
        fail "please install, with this system's package manager: PostgreSQL $oldest_postgres or newer (server and psql), a C compiler, CA certificates"
    say "installing$(printf ' %s' "$packages" | tr -s ' ')"
    case $packages in *postgresql*) refuse_main_cluster ;; esac
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
fi

bin=$(postgres_bin)
[ -n "$bin" ] || fail "no PostgreSQL server found under /usr/lib/postgresql: install PostgreSQL $oldest_postgres or newer"
[ "$(postgres_major "$bin")" -ge "$oldest_postgres" ] ||
    fail "$("$bin/postgres" --version) is too old: install PostgreSQL $oldest_postgres or newer (on Debian: https://apt.postgresql.org)"
say "PostgreSQL $(postgres_major "$bin") in $bin, $(cargo --version | cut -d' ' -f1,2)"
