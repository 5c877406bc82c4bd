#!/bin/sh
# Runs a command beside a throw-away PostgreSQL, with
#   KOPRU_TEST_DATABASE_URL  the server, for tests that make databases of their own
#   DATABASE_URL             the database `kopru_build`, migrated: sqlx checks every query against it while compiling
# and ends the server when the command is done. Exits as the command does.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || {
    echo "usage: with-test-cluster.sh COMMAND [ARGUMENT…]" >&2
    exit 2
}

# A unix socket's path is short, and PostgreSQL's user must reach it: a checkout is often neither.
place=$(mktemp -d /tmp/kopru-test.XXXXXX)
end() {
    status=$?
    "$root/scripts/test-cluster.sh" stop "$place" || status=1
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

exports=$("$root/scripts/test-cluster.sh" start "$place")
eval "$exports"
echo "test database server: $KOPRU_TEST_DATABASE_URL"

DATABASE_URL=$(printf '%s' "$KOPRU_TEST_DATABASE_URL" | sed 's|/postgres?|/kopru_build?|')
export KOPRU_TEST_DATABASE_URL DATABASE_URL
unset SQLX_OFFLINE

psql -qX "$KOPRU_TEST_DATABASE_URL" -c 'create database kopru_build'
for migration in "$root"/migrations/*.sql; do
    # As sqlx does: each file in a transaction, unless its first line asks for none.
    single=--single-transaction
    case $(head -n 1 "$migration") in '-- no-transaction'*) single= ;; esac
    # shellcheck disable=SC2086 # absent when empty
    psql -qX -v ON_ERROR_STOP=1 $single "$DATABASE_URL" -f "$migration"
done

cd "$root"
"$@"
