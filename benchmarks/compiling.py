"""How long models take to be compiled for wafers: each of the catalog's configurations, in a process of its own.

    python benchmarks/compiling.py [--machine wse3] [--context 4096] [--weights fp16] [MODEL ...]

A process is held to one core. `cpu_s` is its processor time from its start to its end, `wall_s` the time that passed,
and `place_s` the processor time of the compilation alone, modules loaded. `program` is the beginning of the program's
digest: where that of two commits is the same, nothing about it has moved. A model that no number of wafers holds is
said to fit none. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass

from undiced.model import PRESETS

LIMITS_S = {"llama-3.1-8b": 2.0, "llama-3.1-405b": 10.0}  # what place_s is held to
CHILD = """
import hashlib, json, sys, time
import undiced.compiler.wafer.asked, undiced.compiler.wafer.search, undiced.machine, undiced.sim.prompt
import undiced.study.subject
from undiced.core.errors import UndicedError
from undiced.study.question import Question, place
began, asked = time.process_time(), dict(zip(("machine", "context", "weights"), sys.argv[2:]))
try:
    program = place(Question(sys.argv[1], **{**asked, "context": int(asked["context"])})).program
except UndicedError as error:
    program = None
took = round(time.process_time() - began, 2)
digest = hashlib.sha256(program.payload).hexdigest()[:12] if program else ""
print(json.dumps({"wafers": program.wafers if program else 0, "program": digest, "place_s": took}))
"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One model: 0 wafers where it fits none."""

    wafers: int
    program: str
    place_s: float
    cpu_s: float
    wall_s: float


def compiled(model: str, machine: str, context: int, weights: str) -> Compiled:
    """A process that compiles it, on one core."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", CHILD, model, machine, str(context), weights]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    with child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{model}: the process ended with {child.returncode}.")
    wall = time.perf_counter() - began
    return Compiled(**json.loads(said), cpu_s=round(used.ru_utime + used.ru_stime, 2), wall_s=round(wall, 2))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", metavar="MODEL", default=list(PRESETS))
    parser.add_argument("--machine", default="wse3")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--weights", default="fp16")
    args = parser.parse_args()
    found = {}
    print(f"{'model':<28} {'wafers':>7} {'program':>12} {'place_s':>8} {'cpu_s':>7} {'wall_s':>7}")
    for model in args.models:
        found[model] = one = compiled(model, args.machine, args.context, args.weights)
        wafers = str(one.wafers) if one.wafers else "none"
        times = f"{one.place_s:>8.2f} {one.cpu_s:>7.2f} {one.wall_s:>7.2f}"
        print(f"{model:<28} {wafers:>7} {one.program:>12} {times}", flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    late = {model: limit for model, limit in LIMITS_S.items() if model in found and found[model].place_s > limit}
    facts = {
        "commit": commit,
        "cpu": platform.processor() or platform.machine(),
        "machine": args.machine,
        "weights": args.weights,
    }
    told = {
        "slowest_s": max(one.place_s for one in found.values()),
        "sum_s": round(sum(one.place_s for one in found.values()), 2),
    }
    print(json.dumps({**facts, "models": len(found), **told, "over_their_limits": late}))


if __name__ == "__main__":
    main()
