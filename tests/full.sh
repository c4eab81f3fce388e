#!/bin/sh
# make test-full: everything that make test leaves out. Needs the oracle packages; installs Debian packages if it may.
# A part that fails doesn't stop the others; what failed is named at the end. About two and a half hours on two cores.
set -u
python="$VENV/bin/python"
missing=""
command -v chromium >/dev/null || missing="$missing chromium"
[ -d /usr/include/simde ] || missing="$missing libsimde-dev"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
export TESTS_NEED_POSTGRES=1 # what would be left out without it fails
if [ -n "$missing" ]; then
    echo "== installing$missing"
    { apt-get update -qq && apt-get install -y -qq $missing; } || exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=""
left=""

part() { # what it is, command...
    said=$1
    shift
    began=$(date +%s)
    echo "== $said"
    (set -e; "$@") # not behind if or ||, where a shell forgets -e
    status=$?
    [ $status -ne 130 ] || exit 130
    if [ $status -eq 0 ]; then
        echo "== done after $(($(date +%s) - began)) s: $said"
    else
        echo "== FAILED after $(($(date +%s) - began)) s: $said"
        failed="$failed
  $said"
    fi
}

fast() { "$python" -m pytest -n 2 --dist loadfile; }
long="slow or oracle or browser"
untimed="tests/property tests/oracle tests/unit/account tests/unit/compiler tests/unit/sim tests/unit/study tests/unit/validation"
apart() { "$python" -m pytest -m "$long" -n 2 --dist worksteal $untimed; }
rest() {
    OPENBLAS_NUM_THREADS=2 "$python" -m pytest -m "$long" $(for folder in $untimed; do echo "--ignore=$folder"; done) tests
}

built() { # name, further cmake options: builds the kernels' and the engine's native tests
    name=$1
    shift
    cmake -S native/tests -B "$work/$name" "$@" >/dev/null
    cmake --build "$work/$name" -j 2 --target kernel_tests engine_tests >/dev/null
}
kernels() {
    built "$@"
    "$work/$1/kernel_tests"
    "$work/$1/engine_tests"
}
avx512() {
    cmake --build "$work/plain" -j 2 --target kernel_tests_avx512_emulated >/dev/null
    "$work/plain/kernel_tests_avx512_emulated"
}
arm() { # with dot products, and without (the portable level)
    built arm --toolchain "$(pwd)/native/aarch64.cmake"
    for processor in max cortex-a53; do
        for program in kernel_tests engine_tests; do
            qemu-aarch64 -cpu $processor -L /usr/aarch64-linux-gnu "$work/arm/$program"
        done
    done
}
crossed() { command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; }
threads() {
    cmake -S native/tests -B "$work/thread" -DUNDICED_SANITIZE=thread >/dev/null
    cmake --build "$work/thread" -j 2 --target engine_tests >/dev/null
    "$work/thread/engine_tests"
}
engine() { # sanitizer, its runtime library
    cmake -S . -B "$work/engine-$1" -DUNDICED_SANITIZE="$1" -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$(pwd)/$python" \
        -Dnanobind_DIR="$("$python" -m nanobind --cmake_dir)" >/dev/null
    cmake --build "$work/engine-$1" -j 2 --target _native >/dev/null
    mkdir -p "$work/overlay-$1"
    cp -r src/undiced "$work/overlay-$1/"
    cp "$work/engine-$1"/_native*.so "$work/overlay-$1/undiced/"
    LD_PRELOAD="$(g++ -print-file-name="$2") $(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
        "$python" tests/overlay.py "$work/overlay-$1" -q -p no:cacheprovider tests/unit/engine \
        tests/unit/checkpoint/test_strings.py tests/unit/remote/test_relay.py \
        -k "native or flights or draft_pair or steps_ahead or strings or relay or kept"
    LD_PRELOAD="$(g++ -print-file-name="$2") $(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
        UNDICED_TESTS_DAMAGED=3000 "$python" tests/overlay.py "$work/overlay-$1" -q -p no:cacheprovider \
        tests/property/test_fabric.py tests/property/test_fabric_damage.py
}

part "the suite of make test" fast
part "long tests and live oracles, which measure no times" apart
part "the other long tests, documents, newcomers and the browser" rest
echo "== what newcomers saw is kept in build/newcomers: read it as they would"
part "kernels against scalar references, the team and the engine: every instruction set level of this processor" kernels plain
part "the AVX-512 level in emulation" avx512
case $(uname -m) in
    aarch64 | arm64) echo "== the NEON level: this is an Arm processor, it was among the levels above" ;;
    *)
        crossed || apt-get install -y -qq g++-aarch64-linux-gnu qemu-user || true
        if crossed; then
            part "the NEON level in emulation" arm
        else
            left=" but what was left out"
            echo "== LEFT OUT: the NEON level in emulation needs a cross compiler and an emulator (apt-get install g++-aarch64-linux-gnu qemu-user)"
        fi
        ;;
esac
part "kernels under the undefined behavior sanitizer" kernels undefined -DUNDICED_SANITIZE=undefined
part "kernels under the address sanitizer" kernels address -DUNDICED_SANITIZE=address
part "the team and the engine under the thread sanitizer" threads
part "the whole native module under the thread sanitizer" engine thread libtsan.so
part "the whole native module under the address sanitizer" engine address libasan.so
part "the whole native module under the undefined behavior sanitizer" engine undefined libubsan.so

[ -z "$failed" ] || { echo "== failed:$failed"; exit 1; }
echo "== all passed$left"
