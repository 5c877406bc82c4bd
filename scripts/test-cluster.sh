#!/bin/sh
# A throw-away PostgreSQL for tests: `test-cluster.sh start DIR` makes one in DIR, which must be empty or absent, and
# prints `export KOPRU_TEST_DATABASE_URL=…`; `test-cluster.sh stop DIR` ends it and removes DIR.
# Unix socket only, nothing synced to disk, owned by an unprivileged user when started by root.
set -eu

fail() {
    printf 'test-cluster: %s\n' "$*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: test-cluster.sh start|stop DIR"
command=$1
case $2 in /*) dir=$2 ;; *) dir=$PWD/$2 ;; esac
data=$dir/data

# shellcheck disable=SC2012 # version directories: plain names, and sort -V wants one a line
newest=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -V | tail -n 1)
[ -z "$newest" ] || PATH=$newest:$PATH

# PostgreSQL refuses to run as root; its package's user is there to be used.
owner=
as_owner=
if [ "$(id -u)" -eq 0 ]; then
    owner=postgres
    id "$owner" >/dev/null 2>&1 || owner=nobody
    as_owner="setpriv --reuid=$owner --regid=$(id -g "$owner") --clear-groups --"
fi

# shellcheck disable=SC2086 # $as_owner is a list of words, or nothing
start() {
    command -v initdb >/dev/null 2>&1 || fail "no PostgreSQL server found: run scripts/setup.sh"
    [ -z "$(ls -A "$dir" 2>/dev/null)" ] || fail "$dir is not empty"
    mkdir -p "$dir"
    [ -z "$owner" ] || chown "$owner" "$dir"
    chmod 700 "$dir"
    cd / # the working directory may be one that the owner cannot enter
    $as_owner test -w "$dir" || fail "$owner cannot reach $dir"
    $as_owner initdb --pgdata="$data" --username=kopru --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync \
        >"$dir/initdb.log" 2>&1 || fail "initdb failed: $(cat "$dir/initdb.log")"
    cat >>"$data/postgresql.conf" <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 300
shared_buffers = 256MB
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 4GB
autovacuum_naptime = 5s
SETTINGS
    # A session of its own: Ctrl-C in a terminal must end the tests first.
    $as_owner setsid postgres -D "$data" >"$dir/postgres.log" 2>&1 </dev/null &
    tries=0
    until pg_isready -q -h "$dir" -U kopru -d postgres; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "PostgreSQL does not answer after 30 s: $(tail -n 20 "$dir/postgres.log")"
        sleep 0.1
    done
    echo "export KOPRU_TEST_DATABASE_URL='postgres://kopru@localhost/postgres?host=$dir'"
}

stop() {
    pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null || true)
    # A pid that was given to another process since then does not work in our data directory.
    if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null || echo "$data")" = "$(readlink -f "$data")" ]; then
        kill -INT "$pid" 2>/dev/null || true
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -ne 100 ] || kill -QUIT "$pid" 2>/dev/null || true
            [ "$tries" -lt 150 ] || fail "PostgreSQL (pid $pid) does not stop"
            sleep 0.1
        done
    fi
    rm -rf "$dir"
}

case $command in
start) start ;;
stop) stop ;;
*) fail "usage: test-cluster.sh start|stop DIR" ;;
esac
