#!/bin/sh
# All tests of the workspace, beside scripts/with-test-cluster.sh. Arguments go to the runner. With KOPRU_SOAK set, the
# scenarios run at their full size.
set -eu

export CARGO_TERM_PROGRESS_WHEN=never
if cargo nextest --version >/dev/null 2>&1; then
    [ -z "${KOPRU_SOAK:-}" ] || set -- --profile soak "$@"
    exec cargo nextest run --workspace "$@"
fi
exec cargo test --workspace --lib --bins --tests --no-fail-fast "$@"
