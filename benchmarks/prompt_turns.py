"""A short question behind long prompts: how long it waits for its first token, and what the long ones lose.

`python benchmarks/prompt_turns.py [--model smollm2-135m] [--prompt 8000] [--long 0 1 4]`. Drives the engine loop in
this process, without HTTP. Ends in one JSON line; `alone_s` is what each prompt takes with nobody beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time

import numpy as np

from undiced.compiled import compile_for_host
from undiced.engine.host import HostBackend
from undiced.serve import GREEDY, Policy, Request, Scheduler
from undiced.serve.loop import EngineLoop

SHORT = 20


def run(loop: EngineLoop, rng: np.random.Generator, long: int, prompt: int, short: int) -> dict[str, float]:
    """Seconds until the short question's only token, and until the last long one's; the long ones come first."""
    vocab = loop.limits.vocab
    lengths = {f"long-{i}": prompt for i in range(long)} | ({"short": short} if short else {})
    for name, length in lengths.items():
        loop.add(Request(name, tuple(rng.integers(100, vocab, length).tolist()), 1, GREEDY))
    start, ended = time.perf_counter(), {}
    while not loop.idle:
        for delta in loop.step():
            if delta.usage is not None:
                ended[delta.request_id] = time.perf_counter() - start
    longest = max((seconds for name, seconds in ended.items() if name != "short"), default=0.0)
    return {"short_s": round(ended.get("short", 0.0), 3), "last_long_s": round(longest, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--prompt", type=int, default=8000)
    parser.add_argument("--long", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    compiled = compile_for_host(options.model, max_batch=8, max_context=8192)
    backend = HostBackend(compiled.program, compiled.checkpoint, pages=6 * 8192 // 32)
    loop = EngineLoop(backend, Scheduler(backend.limits, Policy()))
    rng = np.random.default_rng(0)
    run(loop, rng, 1, 512, SHORT)  # touches weights and pages for the first time
    alone = {
        "short_s": run(loop, rng, 0, 0, SHORT)["short_s"],
        "long_s": run(loop, rng, 1, options.prompt, 0)["last_long_s"],
    }
    behind = {str(long): run(loop, rng, long, options.prompt, SHORT) for long in options.long}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    facts = {"commit": commit, "cpu": platform.processor() or platform.machine(), "model": options.model}
    loop.close()
    print(json.dumps({**facts, "prompt": options.prompt, "question": SHORT, "alone": alone, "behind": behind}))


if __name__ == "__main__":
    main()
