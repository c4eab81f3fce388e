#!/bin/sh
# make test-full: everything that make test leaves out. Needs the oracle packages; installs Debian packages if it may.
set -eu
python="$VENV/bin/python"
missing=""
command -v chromium >/dev/null || missing="$missing chromium"
[ -d /usr/include/simde ] || missing="$missing libsimde-dev"
if [ -n "$missing" ]; then
    echo "installing$missing"
    apt-get update -qq && apt-get install -y -qq $missing
fi

echo "== the whole Python suite, slow parts, live oracles and the browser included"
"$python" -m pytest -m "" "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
configure() { # name, further options
    name=$1
    shift
    cmake -S native/tests -B "$work/$name" -DCMAKE_BUILD_TYPE=Release "$@" >/dev/null
    cmake --build "$work/$name" -j 2 >/dev/null
    ctest --test-dir "$work/$name" --output-on-failure --no-tests=error
}
echo "== native tests: every instruction set level, AVX-512 in emulation"
configure plain -DUNDICED_EMULATE_AVX512=ON
echo "== native tests under the address and undefined behavior sanitizers"
configure address -DUNDICED_SANITIZE=address,undefined
echo "== native tests under the thread sanitizer"
configure thread -DUNDICED_SANITIZE=thread
