"""Serves a model by llama.cpp's server, the peer of `undiced serve`, until it is interrupted.

    python benchmarks/llama_server.py [--model smollm2-135m] [--format Q4_0] [--port 8081] [--slots 16] [--context 2560]

Both of its caches of prefixes are on, as they are by default: of each slot, and of earlier prompts in memory; a slot is
chosen by the longest common beginning. Keys and values are f16, as ours. `mixed_load.py --url http://127.0.0.1:8081`
then asks it what it asks ours. --format serves the file requantized, e.g. to Q4_0, which has repacked kernels.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import peer

from undiced.checkpoint import open_checkpoint

_READY_S = 120


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--format", help="serve the file requantized to it")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--slots", type=int, default=16, help="sequences that run together")
    parser.add_argument("--context", type=int, default=2560, help="positions of each slot")
    args = parser.parse_args()
    with suppress(KeyboardInterrupt), serving(args) as (url, server):
        print(f"{file_of(args).name} at {url}, {args.slots} slots; Ctrl-C ends it", flush=True)
        server.wait()


@contextmanager
def serving(args: argparse.Namespace) -> Iterator[tuple[str, subprocess.Popen]]:
    """The server's address and process, from when it answers."""
    url = f"http://127.0.0.1:{args.port}"
    server = subprocess.Popen(command(args, str(file_of(args))), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait(server, url)
        yield url, server
    finally:
        server.terminate()
        server.wait()


def file_of(args: argparse.Namespace) -> Path:
    """What it serves."""
    file = Path(open_checkpoint(args.model).path)
    return peer.requantized(file, args.format) if args.format else file


def command(args: argparse.Namespace, file: str) -> list[str]:
    """The server's command line."""
    given = {"-m": file, "-t": args.threads, "-tb": args.threads, "--port": args.port, "--host": "127.0.0.1",
             "-np": args.slots, "-c": args.slots * args.context, "-a": args.model}  # fmt: skip
    return [str(peer.program("llama-server")), *(str(word) for pair in given.items() for word in pair), "--no-ui"]


def wait(server: subprocess.Popen, url: str) -> None:
    """Until it answers.

    Raises:
        SystemExit: it ended, or did not within two minutes.
    """
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).read()
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"llama-server {'ended' if server.poll() is not None else 'did not get ready'}.")


if __name__ == "__main__":
    main()
