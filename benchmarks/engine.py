"""Engine against llama.cpp on the same file, in alternating runs: decode, prefill, and 32 sequences together.

    python benchmarks/engine.py [--threads 2] [--rounds 5] [--model smollm2-135m]

Every round measures both sides and this machine's own limits (streaming bandwidth, int8 peak), one after the other, so
that drift hits all alike; figures are medians, ratios are taken round by round. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

import peer

from undiced import _native
from undiced.bench.engine import EngineBench
from undiced.bench.work import Work, least
from undiced.checkpoint import open_checkpoint
from undiced.compiled import compile_for_host

PROMPT, DECODE = 512, 128  # tokens, as llama-bench's pp512 and tg128
BATCH, BATCH_PROMPT, BATCH_DECODE = 32, 64, 64
WORKLOADS = {
    "decode": Work(f"decode {DECODE}, batch 1", 1, 0, 1, DECODE),
    "prefill": Work(f"prefill {PROMPT}", 1, 0, PROMPT, 1, drawn=False),
    "batch": Work(f"decode, {BATCH} sequences", BATCH, BATCH_PROMPT, 1, BATCH_DECODE),
}


class Ours:
    """Our engine, loaded once; idle threads park between rounds."""

    def __init__(self, path: Path, threads: int) -> None:
        compiled = compile_for_host(path, threads=threads, max_batch=BATCH, max_context=1024)
        self.program = compiled.program
        self._bench = EngineBench(compiled.program, compiled.checkpoint, list(WORKLOADS.values()))

    def measure(self) -> dict[str, float]:
        """One round: tokens a second of each kind of work."""
        return {name: work.tokens / self._bench.run(work) for name, work in WORKLOADS.items()}


@dataclass
class Theirs:
    """llama.cpp's own benchmark programs."""

    path: Path
    threads: int

    def measure(self) -> dict[str, float]:
        """One round."""
        common = ["-m", str(self.path), "-t", str(self.threads)]
        bench = [peer.program("llama-bench"), *common, "-p", str(PROMPT), "-n", str(DECODE), "-r", "1", "-o", "json"]
        rows = json.loads(_output(bench))
        found = {"prefill" if row["n_prompt"] else "decode": row["avg_ts"] for row in rows}
        context = BATCH * (BATCH_PROMPT + BATCH_DECODE)
        batched = [peer.program("llama-batched-bench"), *common, "-c", str(context), "-npp", str(BATCH_PROMPT)]
        batched += ["-ntg", str(BATCH_DECODE), "-npl", str(BATCH), "--output-format", "jsonl"]
        lines = [line for line in _output(batched).splitlines() if line.startswith("{")]
        found["batch"] = json.loads(lines[-1])["speed_tg"]
        return found


def _output(command: list[object]) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def limits(threads: int) -> dict[str, float]:
    """Limits now: bytes per second of a streaming read, int8 operations per second, all threads together."""
    return {"bytes_per_s": _native.probe_bandwidth(threads), "ops_per_s": _native.probe_int8_peak(threads)}


def shares(
    program: object, rounds: list[dict[str, float]], bounds: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Achieved bytes or operations per second, and the share of the round's own limit (medians)."""
    found = {}
    for name, work in WORKLOADS.items():
        floor = least(work, program)
        amount, limit = (floor.nbytes, "bytes_per_s") if name == "decode" else (floor.operations, "ops_per_s")
        achieved = [r[name] * amount / work.tokens for r in rounds]
        share = [a / b[limit] for a, b in zip(achieved, bounds, strict=True)]
        found[name] = {"achieved_per_s": statistics.median(achieved), "share": statistics.median(share)}
    return found


def main() -> None:
    """Measure, print a table, end in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    path = open_checkpoint(args.model).path
    repacked = peer.requantized(path, "Q4_0")
    sides = {
        "undiced": Ours(path, args.threads),
        "llama.cpp": Theirs(path, args.threads),
        "undiced Q4_0": Ours(repacked, args.threads),
        "llama.cpp Q4_0 repacked": Theirs(repacked, args.threads),
    }
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    bounds = []
    for side in sides.values():
        side.measure()
    for i in range(args.rounds):
        bounds.append(limits(args.threads))
        for name, side in sides.items():
            results[name].append(side.measure())
        print(f"round {i + 1} of {args.rounds} done", flush=True)
    report = {"command": "python benchmarks/engine.py", "commit": _commit(), "cpu": _cpu(), "isa": _native.isa_detect(),
              "threads": args.threads, "rounds": args.rounds, "file": path.name,
              "limits": {k: statistics.median(b[k] for b in bounds) for k in bounds[0]}}  # fmt: skip
    report["tokens_per_second"] = {
        n: {w: statistics.median(r[w] for r in rs) for w in WORKLOADS} for n, rs in results.items()
    }
    report["ratios"] = {
        f"{a} / {b}": {w: _ratio(results[a], results[b], w) for w in WORKLOADS}
        for a, b in (("undiced", "llama.cpp"), ("undiced", "llama.cpp Q4_0 repacked"),
                     ("undiced Q4_0", "llama.cpp Q4_0 repacked"))
    }  # fmt: skip
    report["limit_share"] = shares(sides["undiced"].program, results["undiced"], bounds)
    _print(report)
    print(json.dumps(report))


def _ratio(ours: list[dict[str, float]], theirs: list[dict[str, float]], work: str) -> float:
    """Median over rounds of one side's speed over the other's in the same round."""
    return statistics.median(x[work] / y[work] for x, y in zip(ours, theirs, strict=True))


def _print(report: dict) -> None:
    print(
        f"\n{report['cpu']}, {report['threads']} threads, {report['isa']}, {report['file']}, "
        f"medians of {report['rounds']}"
    )
    print(f"{'tokens per second':34}" + "".join(f"{w:>12}" for w in WORKLOADS))
    for name, row in report["tokens_per_second"].items():
        print(f"{name:34}" + "".join(f"{row[w]:12.0f}" for w in WORKLOADS))
    for name, row in report["ratios"].items():
        print(f"{name:34}" + "".join(f"{row[w]:11.2f}x" for w in WORKLOADS))
    row = report["limit_share"]
    print(f"{'share of the limit (undiced)':34}" + "".join(f"{100 * row[w]['share']:11.0f}%" for w in WORKLOADS))
    limit = report["limits"]
    print(f"limits: {limit['bytes_per_s'] / 1e9:.1f} GB/s streaming, {limit['ops_per_s'] / 1e9:.0f} GOP/s int8")


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
