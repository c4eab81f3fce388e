"""Instruction set levels of one machine against each other: works of `undiced bench engine`, the levels in turn.

    python benchmarks/levels.py [--model smollm2-135m] [--threads 2 8] [--rounds 5] [--levels avx2 avx512]

Every round measures each work once on each level, in another order each time; ratios are taken round by round. A line
of JSON for each number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

from undiced import _native
from undiced.bench.engine import EngineBench
from undiced.bench.work import WORKS
from undiced.checkpoint import open_checkpoint
from undiced.compiled import compile_for_host
from undiced.engine.level import LEVELS


def compare(path: Path, threads: int, rounds: int, levels: list[str]) -> dict[str, object]:
    """Median, least and most tokens per second of each work on each level, and the last level's gain over the first."""
    batch, context = max(work.sequences for work in WORKS), max(work.positions for work in WORKS)
    made = compile_for_host(path, threads=threads, max_batch=batch, max_context=context)
    benches = {level: EngineBench(made.program, made.checkpoint, WORKS, isa=level) for level in levels}
    speed: dict[str, dict[str, list[float]]] = {work.name: {level: [] for level in levels} for work in WORKS}
    for bench in benches.values():
        for work in WORKS:
            bench.run(work)
    for turn in range(rounds):
        for work in WORKS:
            for level in levels if turn % 2 else levels[::-1]:
                speed[work.name][level].append(work.tokens / benches[level].run(work))
    for bench in benches.values():
        bench.close()
    rows: dict[str, dict[str, object]] = {}
    for name, found in speed.items():
        gains = [b / a for a, b in zip(found[levels[0]], found[levels[-1]], strict=True)]
        rows[name] = {level: [statistics.median(all_), min(all_), max(all_)] for level, all_ in found.items()}
        rows[name]["gain"] = statistics.median(gains)
    return {"threads": threads, "tokens_per_second": rows}


def main() -> None:
    """Compare, a line of JSON for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = [level for level in LEVELS if _native.isa_supported(level)]
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, nargs="+", default=[min(2, len(os.sched_getaffinity(0)))])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--levels", nargs="+", choices=there, default=there[-2:])
    args = parser.parse_args()
    path = open_checkpoint(args.model).path
    for threads in args.threads:
        found = compare(path, threads, args.rounds, args.levels)
        print(json.dumps({"bench": "levels", "model": path.name, "rounds": args.rounds, **found}), flush=True)


if __name__ == "__main__":
    main()
