#!/bin/sh
# All tests of the workspace, beside scripts/with-test-cluster.sh. Arguments go to the runner. With KOPRU_SOAK set, the
# scenarios run at their full size.
set -eu

export CARGO_TERM_PROGRESS_WHEN=never
if cargo nextest --version >/dev/null 2>&1; then
    [ -z "${KOPRU_SOAK:-}" ] || set -- --profile soak "$@"
    exec cargo nextest run --workspace "$@"
fi
# Most of the long tests wait for other processes and for time to pass.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"
exec cargo test --workspace --lib --bins --tests --no-fail-fast "$@"
