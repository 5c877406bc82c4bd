#!/bin/sh
# Installs Schemathesis, which asks the served API what its description allows and more, into target/api-tester. Its
# version and those of all it stands on are fixed (api-tester.txt), so that a run today finds what it found yesterday. Quick
# when it is there.
set -eu

cd "$(dirname "$0")/.."
home=${CARGO_TARGET_DIR:-target}/api-tester
say() { printf 'api-tester: %s\n' "$*"; }
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

if cmp -s scripts/api-tester.txt "$home/installed.txt" && "$home/bin/schemathesis" --version >/dev/null 2>&1; then
    exit 0
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    command -v apt-get >/dev/null 2>&1 || {
        echo "api-tester: please install Python 3 with its venv module" >&2
        exit 1
    }
    say "installing python3-venv"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends python3 python3-venv
fi
say "installing Schemathesis into $home"
rm -rf "$home"
python3 -m venv "$home"
"$home/bin/pip" install -q --disable-pip-version-check --no-deps -r scripts/api-tester.txt
cp scripts/api-tester.txt "$home/installed.txt"
