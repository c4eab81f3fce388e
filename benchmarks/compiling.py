"""How long models take to be compiled for wafers: each of the catalog's configurations, in a process of its own.

    python benchmarks/compiling.py [--machine wse3] [--context 4096] [MODEL ...]

A process is held to one core. `cpu_s` is its processor time from its start to its end, `wall_s` the time that passed,
and `place_s` the processor time of the compilation alone. A model that no number of wafers holds is said to fit none.
Ends in one JSON line.
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
import json, sys, time
from undiced.core.errors import UndicedError
from undiced.study.question import Question, place
began = time.process_time()
try:
    wafers = place(Question(sys.argv[1], machine=sys.argv[2], context=int(sys.argv[3]))).program.wafers
except UndicedError as error:
    wafers = 0
print(json.dumps({"wafers": wafers, "place_s": round(time.process_time() - began, 2)}))
"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One model: 0 wafers where it fits none."""

    wafers: int
    place_s: float
    cpu_s: float
    wall_s: float


def compiled(model: str, machine: str, context: int) -> Compiled:
    """A process that compiles it, on one core."""
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", CHILD, model, machine, str(context)]
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
    args = parser.parse_args()
    found = {}
    print(f"{'model':<28} {'wafers':>7} {'place_s':>8} {'cpu_s':>7} {'wall_s':>7}")
    for model in args.models:
        found[model] = one = compiled(model, args.machine, args.context)
        wafers = str(one.wafers) if one.wafers else "none"
        print(f"{model:<28} {wafers:>7} {one.place_s:>8.2f} {one.cpu_s:>7.2f} {one.wall_s:>7.2f}", flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    late = {model: limit for model, limit in LIMITS_S.items() if model in found and found[model].place_s > limit}
    facts = {"commit": commit, "cpu": platform.processor() or platform.machine(), "machine": args.machine}
    told = {
        "slowest_s": max(one.place_s for one in found.values()),
        "sum_s": sum(one.place_s for one in found.values()),
    }
    print(json.dumps({**facts, "models": len(found), **told, "over_their_limits": late}))


if __name__ == "__main__":
    main()
