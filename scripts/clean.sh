#!/bin/sh
# Removes what was built, the demo's data directory, and the private server's files that lie elsewhere when
# PostgreSQL's user cannot reach the data directory: data/postgres is then a link to them.
set -eu

cd "$(dirname "$0")/.."

pid=$(head -n 1 data/postgres/postmaster.pid 2>/dev/null || true)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
    echo "clean: a private PostgreSQL is running on data/ (pid $pid): stop kopru first" >&2
    exit 1
fi

if [ -L data/postgres ]; then
    outside=$(dirname "$(readlink data/postgres)")
    case $outside in
    /var/tmp/kopru-*)
        echo "clean: removing $outside"
        rm -rf "$outside"
        ;;
    esac
fi
rm -rf data
cargo clean
