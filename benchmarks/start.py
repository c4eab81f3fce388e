"""From the start of a process to its first token: `undiced serve`, and a script with `LLM`, in alternating rounds.

    python benchmarks/start.py [--model smollm2-135m] [--rounds 5]

Elapsed time counts from before the process is started: for the server to the first text of a streamed completion, which
is asked as soon as it says that it is ready, for the script to its first piece of text. CPU is processor time of the
process until then, with the engine process apart; unlike the elapsed time it hardly depends on what else the machine
does. The model lies in the cache; a first round does not count. The package has bytecode, as an installation has (see
bytecode.py). One JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import uvloop
from bytecode import ensure_bytecode
from servers import cpu_s, served
from streams import Place, together

SCRIPT = """
import sys, time
from undiced import LLM, SamplingParams
with LLM(sys.argv[1]) as llm:
    for text, _ in llm.stream("Once upon a time", SamplingParams(max_tokens=8, temperature=0)):
        if text:
            print(time.process_time(), flush=True)
            break
"""


def started(model: str) -> dict[str, float]:
    """One start of a server."""
    began = time.perf_counter()
    with served(model) as server:
        ready = time.perf_counter()
        body = {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}
        [answer] = uvloop.run(together(Place.of(server.url), [body]))
        assert not answer.failure, answer.failure
        return {
            "first_token_s": answer.said_s[0] - began,
            "ready_s": ready - began,
            "edge_cpu_s": cpu_s(server.edge),
            "engine_cpu_s": cpu_s(server.engine()),
        }


def scripted(model: str) -> dict[str, float]:
    """One start of a script."""
    began = time.perf_counter()
    script = subprocess.Popen([sys.executable, "-c", SCRIPT, model], stdout=subprocess.PIPE, text=True)
    assert script.stdout is not None
    cpu = float(script.stdout.readline())
    found = {"first_token_s": time.perf_counter() - began, "cpu_s": cpu}
    script.wait(30)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    ensure_bytecode()
    sides = {"serve": started, "LLM": scripted}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for at in range(given.rounds + 1):
        for name, start in sides.items():
            found = start(given.model)
            if at:
                rounds[name].append(found)
    medians = {
        name: {key: round(statistics.median(each[key] for each in found), 3) for key in found[0]}
        for name, found in rounds.items()
    }
    print(json.dumps({"model": given.model, "rounds": given.rounds, **medians}))


if __name__ == "__main__":
    main()
