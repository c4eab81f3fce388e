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
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import peer

from undiced import _native
from undiced.checkpoint import open_checkpoint
from undiced.compiled import compile_for_host
from undiced.engine.backend import StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy

PROMPT, DECODE = 512, 128  # tokens, as llama-bench's pp512 and tg128
BATCH, BATCH_PROMPT, BATCH_DECODE = 32, 64, 64
WORKLOADS = {
    "decode": f"decode {DECODE}, batch 1",
    "prefill": f"prefill {PROMPT}",
    "batch": f"decode, {BATCH} sequences",
}


class Ours:
    """Our engine, loaded once; idle threads park between rounds."""

    def __init__(self, path: Path, threads: int) -> None:
        compiled = compile_for_host(path, threads=threads, max_batch=BATCH, max_context=1024)
        self.program = compiled.program
        self.backend = HostBackend(compiled.program, compiled.checkpoint, threads=threads, max_tokens=PROMPT)
        self.vocab = compiled.program.vocab
        self.pages_each = self.backend.limits.pages // BATCH
        self.batches: dict[tuple[int, int, bool], StepInput] = {}
        self.offsets = np.arange(PROMPT, dtype=np.int32)

    def step(self, tokens: np.ndarray, at: int, sampled: bool = True) -> np.ndarray:
        """One step of `tokens` (sequences, new tokens), all at position `at`; returns the sampled tokens.

        The result is overwritten by the next step. Arrays are made once per shape, as the server's are.
        """
        count, new = tokens.shape
        batch = self.batches.get((count, new, sampled))
        if batch is None:
            batch = self.batches[count, new, sampled] = self._batch(count, new, sampled)
        batch.tokens.reshape(count, new)[:] = tokens
        batch.positions.reshape(count, new)[:] = self.offsets[:new] + at
        return self.backend.collect(self.backend.submit(batch)).tokens

    def _batch(self, count: int, new: int, sampled: bool) -> StepInput:
        starts = np.arange(0, (count + 1) * new, new, dtype=np.int32)
        rows = (starts[1:] - 1).astype(np.int32) if sampled else np.zeros(0, np.int32)
        sampling = greedy(np.arange(len(rows), dtype=np.int32))
        pages = np.arange(count * self.pages_each, dtype=np.int32).reshape(count, self.pages_each)
        zeros = np.zeros(count * new, np.int32)
        return StepInput(zeros, zeros.copy(), starts, np.arange(count, dtype=np.int32), pages, rows, sampling)

    def decode(self, sequences: int, prompt: int, new: int) -> float:
        """Tokens a second of `new` steps after a prompt."""
        rng = np.random.default_rng(0)
        at = 0
        chunk = max(1, PROMPT // sequences)
        for at in range(0, prompt, chunk):
            size = min(chunk, prompt - at)
            tokens = self.step(rng.integers(100, self.vocab, (sequences, size)), at)
        if not prompt:
            tokens = rng.integers(100, self.vocab, sequences)
        start = time.perf_counter()
        for i in range(new):
            tokens = self.step(tokens.reshape(sequences, 1), prompt + i)
        return sequences * new / (time.perf_counter() - start)

    def prefill(self) -> float:
        """Tokens a second of a prompt of PROMPT tokens."""
        tokens = np.random.default_rng(1).integers(100, self.vocab, (1, PROMPT))
        start = time.perf_counter()
        self.step(tokens, 0)
        return PROMPT / (time.perf_counter() - start)

    def measure(self) -> dict[str, float]:
        """One round."""
        return {"decode": self.decode(1, 0, DECODE), "prefill": self.prefill(),
                "batch": self.decode(BATCH, BATCH_PROMPT, BATCH_DECODE)}  # fmt: skip


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
    bytes_per_token = program.fact("matmul_bytes_per_token")
    macs, prompt_macs = program.fact("matmul_macs_per_token"), program.fact("layer_matmul_macs_per_token")
    per_token = {"decode": (bytes_per_token, "bytes_per_s"), "prefill": (2 * prompt_macs, "ops_per_s"),
                 "batch": (2 * macs, "ops_per_s")}  # fmt: skip
    found = {}
    for work, (amount, limit) in per_token.items():
        achieved = [r[work] * amount for r in rounds]
        share = [a / b[limit] for a, b in zip(achieved, bounds, strict=True)]
        found[work] = {"achieved_per_s": statistics.median(achieved), "share": statistics.median(share)}
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
